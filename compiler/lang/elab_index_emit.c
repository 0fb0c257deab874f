// From an element back to whole tensors: an expression over indices becomes ordinary ops where its structure allows it,
// so that it fuses, uses packed matrices and is seen by every pass. A value depends on some indices; as a tensor it has
// one axis for each of them. Elementwise ops align their operands, bare subscripts permute, constant ones slice, one
// run-time subscript gathers. What does not fit goes to a `map` (elab_index_map.c).
//
// Everything is looked at (|dry|) before anything is built, so that a failure leaves nothing behind.
#include <string.h>

#include "compiler/lang/elab_index.h"
#include "ir/rules.h"

enum { MOST_DEPTH = 200 };

// ---- building where the statement stands

ir_value *lang_emit_op(lang_emit *m, ir_op op, ir_value *const *operands, int count, const ir_attr *attrs,
                       int attr_count) {
  lang_elab *elab = m->frame->elab;
  const char *reason = NULL;
  if (!lang_spend(elab, 4 + count, m->span)) return NULL;
  ir_value *built =
      ir_build(lang_here(m->frame), op, operands, count, attrs, attr_count, lang_loc(elab, m->span), &reason);
  if (!built) lang_error(elab, LANG_W_OP_REFUSED, m->span, reason ? reason : ir_op_get_info(op)->name);
  return built;
}

ir_value *lang_emit_reshape(lang_emit *m, ir_value *x, const ir_dim *dims, int rank) {
  bool same = rank == x->type.rank;
  for (int i = 0; same && i < rank; i++) same = dims[i] == x->type.dims[i];
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, rank);
  return same ? x : lang_emit_op(m, IR_OP_reshape, &x, 1, &attr, 1);
}

ir_value *lang_emit_permute(lang_emit *m, ir_value *x, const int *perm, int rank) {
  int64_t wide[IR_MAX_RANK] = {0};
  bool same = true;
  for (int i = 0; i < rank; i++) {
    wide[i] = perm[i];
    same = same && perm[i] == i;
  }
  ir_attr attr = ir_attr_ints(IR_ATTR_perm, wide, rank);
  return same ? x : lang_emit_op(m, IR_OP_permute, &x, 1, &attr, 1);
}

// ---- axes

int lang_vec_axis(const lang_vec *x, const lang_ix *ix) {
  for (int i = 0; i < x->rank; i++) {
    if (x->axes[i] == ix) return i;
  }
  return -1;
}

static bool is_suffix(const lang_vec *x, lang_ix *const *axes, int count) {
  for (int i = 0; i < x->rank; i++) {
    if (x->rank > count || x->axes[x->rank - 1 - i] != axes[count - 1 - i]) return false;
  }
  return true;
}

bool lang_emit_union(const lang_vec *parts, int count, lang_vec *out) {
  const lang_vec *longest = &parts[0];
  for (int i = 1; i < count; i++) {
    if (parts[i].rank > longest->rank) longest = &parts[i];
  }
  *out = *longest;
  bool suffixes = true;
  for (int i = 0; i < count; i++) suffixes = suffixes && is_suffix(&parts[i], longest->axes, longest->rank);
  if (suffixes) return true;
  out->rank = 0;
  for (int i = 0; i < count; i++) {
    for (int k = 0; k < parts[i].rank; k++) {
      lang_ix *ix = parts[i].axes[k];
      int at = 0;
      while (at < out->rank && out->axes[at]->order < ix->order) at++;
      if (at < out->rank && out->axes[at] == ix) continue;
      if (out->rank == IR_MAX_RANK) return false;
      memmove(out->axes + at + 1, out->axes + at, (size_t)(out->rank - at) * sizeof *out->axes);
      out->axes[at] = ix;
      out->rank++;
    }
  }
  if (longest->rank == out->rank) *out = *longest;  // it has all of them: the others come to it
  return true;
}

static bool add_axes(const lang_emit *m, ir_value *value, const lang_vec *without, lang_vec *out, int depth) {
  lang_ix *ix = lang_index_of(m->scope, value);
  value = lang_index_origin(m->scope, value);
  if (ix && lang_vec_axis(without, ix) < 0 && lang_vec_axis(out, ix) < 0) {
    if (out->rank == IR_MAX_RANK) return false;
    int at = out->rank++;
    for (; at > 0 && out->axes[at - 1]->order > ix->order; at--) out->axes[at] = out->axes[at - 1];
    out->axes[at] = ix;
  }
  if (ix || !lang_index_inner(m->scope, value) || !value->def) return true;
  if (depth > 64 || !lang_spend(m->frame->elab, 1, m->span)) return false;
  for (int i = 0; i < value->def->operand_count; i++) {
    if (!add_axes(m, value->def->operands[i], without, out, depth + 1)) return false;
  }
  return true;
}

bool lang_emit_depends(const lang_emit *m, ir_value *value, const lang_vec *without, lang_vec *out) {
  return add_axes(m, value, without, out, 0);
}

bool lang_emit_align(lang_emit *m, lang_vec *x, lang_ix *const *axes, int count) {
  if (m->dry || count == x->rank) {
    int perm[IR_MAX_RANK] = {0};
    for (int i = 0; !m->dry && i < count; i++) perm[i] = lang_vec_axis(x, axes[i]);
    if (!m->dry) x->value = lang_emit_permute(m, x->value, perm, count);
    x->rank = count;
    memcpy(x->axes, axes, (size_t)count * sizeof *axes);
    return m->dry || x->value;
  }
  lang_vec wide = {.value = x->value};
  ir_dim dims[IR_MAX_RANK] = {NULL};
  for (int i = 0; i < count; i++) {
    if (lang_vec_axis(x, axes[i]) < 0) wide.axes[wide.rank++] = axes[i];
  }
  memcpy(wide.axes + wide.rank, x->axes, (size_t)x->rank * sizeof *x->axes);
  wide.rank += x->rank;
  for (int i = 0; i < wide.rank; i++) dims[i] = wide.axes[i]->size;
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, wide.rank);
  wide.value = lang_emit_op(m, IR_OP_broadcast, &x->value, 1, &attr, 1);
  *x = wide;
  return wide.value && lang_emit_align(m, x, axes, count);
}

// ---- elements

typedef struct {
  lang_ix *bare;      // the index that runs along the axis from |start|
  ir_dim start;       // of |bare|, or the one place where |index| is null too
  ir_value *index;    // a run-time subscript
  lang_vec gathered;  // that
} axis_plan;

// What the graph itself knows of a subscript: gather asks for that, a proof of the text is not kept.
static bool known_below(const lang_emit *m, ir_value *value, ir_dim dim) {
  const ir_node *def = value->def;
  if (ir_value_below(value, dim)) return true;
  if (def && def->op == IR_OP_element) return ir_value_below(lang_index_origin(m->scope, def->operands[0]), dim);
  return false;
}

static bool plan_axis(lang_emit *m, ir_value *value, ir_dim dim, axis_plan *out) {
  ir_dim_table *dims = m->frame->elab->module->dims;
  *out = (axis_plan){0};
  value = lang_index_origin(m->scope, value);
  bool linear = lang_index_linear(m->scope, dims, value, &out->bare, &out->start);
  if (linear && out->bare == m->replaced && out->bare) linear = false;
  if (linear && out->bare) {
    int64_t zero;
    bool begins = ir_dim_is_const(out->start, &zero) && zero == 0;
    if (begins && lang_dim_equal(dims, out->bare->size, dim)) return true;
    return ir_dim_role(dim) == IR_ROLE_PLAIN;  // a part of a ragged dim is no whole tensor
  }
  if (linear) return ir_dim_role(dim) == IR_ROLE_PLAIN;
  out->bare = NULL;
  out->index = value;
  if (m->replaced && lang_index_of(m->scope, value) == m->replaced) out->index = value = m->replacement;
  return known_below(m, value, dim) && lang_emit_vec(m, value, &out->gathered);
}

// Slices, drops and gathers along the axes of |x|; |out| says which index each axis that is left stands for.
static bool read_axes(lang_emit *m, ir_value *x, const axis_plan *plans, lang_vec *out) {
  ir_dim_table *dims = m->frame->elab->module->dims;
  int rank = x->type.rank, gather = -1, kept = 0, perm[IR_MAX_RANK];
  ir_dim left[IR_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    const axis_plan *p = &plans[i];
    if (p->index) {
      gather = i;
      continue;
    }
    ir_dim stop = ir_dim_add(dims, p->start, p->bare ? p->bare->size : ir_dim_const(dims, 1));
    int64_t zero;
    bool all = ir_dim_is_const(p->start, &zero) && zero == 0 && stop && lang_dim_equal(dims, stop, x->type.dims[i]);
    ir_attr attrs[3] = {ir_attr_int(IR_ATTR_axis, i), ir_attr_dim(IR_ATTR_start, p->start),
                        ir_attr_dim(IR_ATTR_stop, stop)};
    if (!stop || (!all && !(x = lang_emit_op(m, IR_OP_slice, &x, 1, attrs, 3)))) return false;
  }
  for (int i = 0; i < rank; i++) {
    if (plans[i].index || plans[i].bare) left[kept++] = x->type.dims[i];
  }
  x = lang_emit_reshape(m, x, left, kept);
  if (!x) return false;
  out->rank = 0;
  int at = 0, where = 0;
  for (int i = 0; i < rank; i++) {
    if (i == gather) where = at++;
    else if (plans[i].bare) out->axes[out->rank++] = plans[i].bare, at++;
  }
  if (gather >= 0) {
    perm[0] = where;
    for (int i = 0, k = 1; i < kept; i++) {
      if (i != where) perm[k++] = i;
    }
    const lang_vec *index = &plans[gather].gathered;
    x = lang_emit_permute(m, x, perm, kept);
    ir_op op = index->rank ? IR_OP_gather : IR_OP_element;  // one row
    x = x ? lang_emit_op(m, op, (ir_value *[]){x, index->value}, 2, NULL, 0) : NULL;
    memmove(out->axes + index->rank, out->axes, (size_t)out->rank * sizeof *out->axes);
    memcpy(out->axes, index->axes, (size_t)index->rank * sizeof *out->axes);
    out->rank += index->rank;
  }
  out->value = x;
  return x != NULL;
}

static bool element(lang_emit *m, const ir_node *node, lang_vec *out) {
  ir_value *x = lang_index_origin(m->scope, node->operands[0]);
  axis_plan plans[IR_MAX_RANK];
  int rank = x->type.rank, gathers = 0;
  lang_vec seen = {0};
  for (int i = 0; i < rank; i++) {
    axis_plan *p = &plans[i];
    if (!plan_axis(m, node->operands[i + 1], x->type.dims[i], p)) return false;
    gathers += p->index != NULL;
    int count = p->index ? p->gathered.rank : p->bare != NULL;
    for (int k = 0; k < count; k++) {
      lang_ix *ix = p->index ? p->gathered.axes[k] : p->bare;
      if (lang_vec_axis(&seen, ix) >= 0 || seen.rank == IR_MAX_RANK) return false;  // a diagonal
      seen.axes[seen.rank++] = ix;
    }
  }
  if (gathers > 1) return false;
  *out = seen;
  return m->dry || read_axes(m, lang_capture_value(m->frame, x), plans, out);
}

// ---- all values

static bool elementwise(lang_emit *m, const ir_node *node, lang_vec *out) {
  lang_vec x[IR_MAX_RANK];
  ir_value *operands[IR_MAX_RANK];
  for (int i = 0; i < node->operand_count; i++) {
    if (!lang_emit_vec(m, node->operands[i], &x[i])) return false;
  }
  if (!node->operand_count) *out = (lang_vec){0};
  else if (!lang_emit_union(x, node->operand_count, out)) return false;
  if (m->dry) return true;
  for (int i = 0; i < node->operand_count; i++) {
    if (!is_suffix(&x[i], out->axes, out->rank) && !lang_emit_align(m, &x[i], out->axes, out->rank)) return false;
    operands[i] = x[i].value;
  }
  out->value = lang_emit_op(m, node->op, operands, node->operand_count, node->attrs, node->attr_count);
  return out->value != NULL;
}

static bool index_itself(lang_emit *m, lang_ix *ix, lang_vec *out) {
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, ix->size);
  if (ix == m->replaced) return lang_emit_vec(m, m->replacement, out);
  *out = (lang_vec){.rank = 1, .axes = {ix}};
  if (!m->dry) out->value = lang_emit_op(m, IR_OP_iota, NULL, 0, &attr, 1);
  return m->dry || out->value;
}

static bool of_node(lang_emit *m, ir_node *node, lang_vec *out) {
  if (node->op == IR_OP_element) return element(m, node, out);
  if (node->op == IR_OP_fold) return lang_emit_fold(m, node, out);
  bool simple = (ir_op_get_info(node->op)->flags & IR_FLAG_EW) || node->op == IR_OP_constant || node->op == IR_OP_size;
  return simple && node->operand_count <= 3 && elementwise(m, node, out);
}

// ---- what was looked at or built before: a value may be used many times

static lang_emitted *slot_of(const lang_emit *m, const ir_value *value, bool dry) {
  uint64_t mask = (uint64_t)m->done_capacity - 1, at = ((uint64_t)(uintptr_t)value >> 4) * 0x9E3779B97F4A7C15u >> 20;
  for (;; at++) {
    lang_emitted *slot = &m->done[at & mask];
    if (!slot->value || (slot->value == value && slot->dry == dry)) return slot;
  }
}

static void remember(lang_emit *m, const ir_value *value, bool ok, const lang_vec *vec) {
  if (2 * (m->done_count + 1) > m->done_capacity) {
    lang_emit old = *m;
    m->done_capacity = old.done_capacity ? 2 * old.done_capacity : 8;
    m->done = WEIR_NEW_ARRAY(m->frame->elab->arena, lang_emitted, m->done_capacity);
    for (int i = 0; i < old.done_capacity; i++) {
      if (old.done[i].value) *slot_of(m, old.done[i].value, old.done[i].dry) = old.done[i];
    }
  }
  *slot_of(m, value, m->dry) = (lang_emitted){value, m->dry, ok, *vec};
  m->done_count++;
}

bool lang_emit_vec(lang_emit *m, ir_value *value, lang_vec *out) {
  value = lang_index_origin(m->scope, value);
  lang_ix *ix = lang_index_of(m->scope, value);
  if (ix) return index_itself(m, ix, out);
  if (!lang_index_inner(m->scope, value)) {
    *out = (lang_vec){.value = m->dry ? NULL : lang_capture_value(m->frame, value)};
    return value->type.rank == 0;
  }
  const lang_emitted *before = m->done_capacity ? slot_of(m, value, m->dry) : NULL;
  if (before && before->value) {
    *out = before->vec;
    return before->ok;
  }
  if (m->depth >= MOST_DEPTH || !lang_spend(m->frame->elab, 4, m->span)) return false;
  m->depth++;
  bool ok = of_node(m, value->def, out);
  m->depth--;
  remember(m, value, ok, out);
  return ok;
}

bool lang_emit_try(lang_emit *m, ir_value *value, lang_vec *out) {
  bool was = m->dry;
  m->dry = true;
  bool ok = lang_emit_vec(m, value, out);
  m->dry = was;
  return ok && (was || lang_emit_vec(m, value, out));
}

ir_value *lang_emit_tensor(lang_emit *m, ir_value *value, lang_ix *const *axes, int count) {
  lang_vec whole;
  if (!lang_emit_try(m, value, &whole)) return lang_emit_map(m, value, axes, count);
  return lang_emit_align(m, &whole, axes, count) ? whole.value : NULL;
}
