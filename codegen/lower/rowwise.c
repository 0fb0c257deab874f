// Kernels that compute a value element by element: one work item a row, reductions of the row first, then its elements,
// the last dim in lanes. Also the reduction over the ragged dim itself, one work item a request, which adds rows in
// order into a local row.
#include <math.h>

#include "codegen/lower/internal.h"
#include "runtime/base/checked.h"

enum { ITEM_ELEMENTS = 512 };  // the least that is worth a work item of its own

// Opens loops over |axes|, what |value| needs computed as soon as its indices are known.
static void open_loops(emitter *e, ir_value *value, const ir_kexpr **idx, const int *axes, int count) {
  for (int i = 0; i < count; i++) idx[axes[i]] = cg_placeholder(e);
  for (int i = 0; i < count; i++) {
    bool ahead = cg_emit_reductions(e, value, idx);
    bool lanes = i == count - 1 && ahead;
    const ir_kexpr *dim = cg_dim_expr(e, value->type.dims[axes[i]]);
    idx[axes[i]] = ir_kb_for(&e->b, lanes ? IR_KR_LANES : IR_KR_SERIAL, "i", ir_kb_int(&e->b, 0), dim, 1);
  }
}

static void emit_elements(emitter *e, ir_value *value, int index, const ir_kexpr **idx, const int *axes, int count) {
  open_loops(e, value, idx, axes, count);
  cg_emit_store(e, value, index, idx, cg_emit_value(e, value, idx));
  while (count--) ir_kb_end(&e->b);
}

void cg_emit_row(emitter *e, ir_value *value, const ir_kexpr **idx) {
  int axes[IR_MAX_RANK] = {0}, count = 0;
  for (int i = 1; i < value->type.rank; i++) axes[count++] = i;
  emit_elements(e, value, cg_info(e->fl, value)->slot, idx, axes, count);
}

// The axes of |value| along which something of it is a line (softmax): all of those are walked last.
static unsigned line_axes(const function_lowering *fl, const ir_value *value, bool root) {
  value_fate fate = cg_info(fl, value)->fate;
  if (!value->def || (!root && fate != FATE_INLINE)) return 0;
  const ir_node *node = value->def;
  unsigned axes = node->op == IR_OP_softmax ? 1u << ir_node_attr(node, IR_ATTR_axis)->i : 0;
  if (node->op != IR_OP_softmax && !(ir_op_get_info(node->op)->flags & IR_FLAG_EW)) return 0;
  for (int i = 0; i < node->operand_count; i++) {
    const ir_value *x = node->operands[i];
    bool same = x->type.rank == value->type.rank;
    if (same) axes |= line_axes(fl, x, false);
  }
  return axes;
}

// One item for each line along the first ragged axis, where a line needs all of it: requests times the other elements.
static void emit_line_domain(emitter *e, const ir_value *value, unsigned first, const ir_kexpr **idx) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *lines = ir_kb_int(b, 1);
  for (int i = 0; i < value->type.rank; i++)
    if (first >> i & 1) lines = ir_kb_mul(b, lines, cg_dim_expr(e, value->type.dims[i]));
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, cg_emit_size(e, SIZE_REQUESTS, NULL), lines), "n");
  cg_emit_set_request(e, ir_kb_div(b, n, lines));
  const ir_kexpr *rest = ir_kb_mod(b, n, lines);
  for (int i = value->type.rank - 1; i >= 0; i--) {
    if (!(first >> i & 1)) continue;
    const ir_kexpr *dim = cg_dim_expr(e, value->type.dims[i]);
    idx[i] = ir_kb_mod(b, rest, dim);
    rest = ir_kb_div(b, rest, dim);
  }
}

// How many of the first axes make items of their own, so that all threads have some where rows are few and long; 0
// where a row stays one item. What is computed ahead for a row would be computed for each of them.
static int leading_axes(const function_lowering *fl, const ir_value *value, const ir_value *root) {
  const value_info *info = cg_info(fl, value);
  int first = info->ragged ? 1 : 0, lead = first;
  if (info->ragged > 1 || (root && cg_reduces_ahead(fl, root))) return 0;
  int64_t rest = 1;
  bool reduces = root && (ir_op_get_info(root->def->op)->flags & IR_FLAG_REDUCE);
  const ir_attr *over = reduces ? ir_node_attr(root->def, IR_ATTR_over) : NULL;
  for (int i = 0; over && i < over->count; i++) {
    int64_t dim = cg_const_dim(root->def->operands[0]->type.dims[over->ints[i]]);
    if (dim > 0 && !weir_mul_i64(rest, dim, &rest)) return 0;
  }
  for (int i = first; i < value->type.rank; i++) {
    int64_t dim = cg_const_dim(value->type.dims[i]);
    if (dim < 0 || !weir_mul_i64(rest, dim, &rest)) return 0;
  }
  while (lead < value->type.rank && cg_const_dim(value->type.dims[lead]) > 0 &&
         rest / cg_const_dim(value->type.dims[lead]) >= ITEM_ELEMENTS)
    rest /= cg_const_dim(value->type.dims[lead++]);
  return lead == first ? 0 : lead;
}

// Opens the grid; which axes are left to walk inside of an item, in order.
static int open_domain(emitter *e, const ir_value *value, const ir_value *root, unsigned lines, const ir_kexpr **idx,
                       int *axes) {
  const value_info *info = cg_info(e->fl, value);
  unsigned done = 0;
  int lead = lines ? 0 : leading_axes(e->fl, value, root);
  if (lead) {
    cg_emit_set_image(e, value, lead, ir_kb_set_grid(&e->b, cg_emit_images(e, value, lead), "n"), idx);
    done = (1u << lead) - 1;
  } else if (info->ragged && (lines >> info->axis & 1)) {
    for (int i = 0; i < value->type.rank; i++)
      if (!(info->ragged >> i & 1) && !(lines >> i & 1)) done |= 1u << i;
    emit_line_domain(e, value, done, idx);
  } else {
    cg_emit_domain(e, value, idx);
    if (info->ragged) done = 1u << info->axis;
  }
  int count = 0;
  for (int last = 0; last < 2; last++)
    for (int i = 0; i < value->type.rank; i++)
      if (!(done >> i & 1) && (int)(lines >> i & 1) == last) axes[count++] = i;
  return count;
}

// ---- images: all axes but the channels come first in memory (images.c)

// The axis that comes last in slot |index| where all others come first; -1 if there is no such.
static int channel_axis(const function_lowering *fl, const ir_value *value, int index) {
  unsigned all = (1u << value->type.rank) - 1, last = all & ~fl->out->slots[index].first;
  return last && !(last & (last - 1)) ? __builtin_ctz(last) : -1;
}

static bool lies_last(const function_lowering *fl, const ir_value *value, int index) {
  const slot *at = &fl->out->slots[index];
  int axis = channel_axis(fl, value, index);
  if (axis < 0 || axis == value->type.rank - 1 || at->spread || cg_info(fl, value)->cls == CLASS_INVARIANT)
    return false;
  for (int i = axis; i < value->type.rank; i++)
    if (cg_const_dim(value->type.dims[i]) < 1) return false;
  return (cg_info(fl, value)->ragged >> axis) == 0;
}

// Items of some positions each; opens the loop over those and returns the axis that is left.
static int open_image(emitter *e, const ir_value *value, int index, const ir_kexpr **idx) {
  ir_kbuilder *b = &e->b;
  const ir_type *type = &value->type;
  int axis = channel_axis(e->fl, value, index);
  int64_t positions = 1, some = 4 * ITEM_ELEMENTS / cg_const_dim(type->dims[axis]);
  for (int i = axis + 1; i < type->rank; i++) positions *= cg_const_dim(type->dims[i]);
  if (some < 1) some = 1;
  if (some > positions) some = positions;
  const ir_kexpr *chunks = ir_kb_int(b, (positions + some - 1) / some), *length = ir_kb_int(b, some);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, cg_emit_images(e, value, axis), chunks), "n");
  cg_emit_set_image(e, value, axis, ir_kb_div(b, n, chunks), idx);
  const ir_kexpr *lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_mod(b, n, chunks), length));
  const ir_kexpr *hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, lo, length), ir_kb_int(b, positions)));
  const ir_kexpr *rest = ir_kb_for(b, IR_KR_SERIAL, "p", lo, hi, 1);
  for (int i = type->rank - 1; i > axis; i--) {
    const ir_kexpr *dim = ir_kb_int(b, cg_const_dim(type->dims[i]));
    idx[i] = i > axis + 1 ? ir_kb_mod(b, rest, dim) : rest;
    rest = ir_kb_div(b, rest, dim);
  }
  return axis;
}

static weir_status lower_elements(function_lowering *fl, ir_value *value, int index, ir_value *root, const char *name,
                                  bool replaces) {
  emitter e;
  const ir_kexpr *idx[IR_MAX_RANK];
  int axes[IR_MAX_RANK] = {0}, count = 0;
  cg_emit_begin(&e, fl, root, name,
                weir_arena_printf(fl->low->arena, "%s of %s", name, ir_type_print(fl->low->arena, &value->type)));
  e.replaces = replaces;
  bool image = lies_last(fl, value, index) && !(root && line_axes(fl, root, true));
  if (fl->out->slots[index].spread) {
    cg_emit_set_request(&e, ir_kb_set_grid(&e.b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n"));
    for (; count < value->type.rank; count++) axes[count] = count;
  } else if (image) {
    axes[count++] = open_image(&e, value, index, idx);
  } else {
    count = open_domain(&e, value, root, root ? line_axes(fl, root, true) : 0, idx, axes);
  }
  emit_elements(&e, value, index, idx, axes, count);
  if (image) ir_kb_end(&e.b);
  return cg_emit_finish(&e);
}

weir_status cg_lower_rowwise(function_lowering *fl, ir_value *root) {
  return lower_elements(fl, root, cg_info(fl, root)->slot, root, ir_op_get_info(root->def->op)->name, false);
}

weir_status cg_lower_copy(function_lowering *fl, ir_value *value, int index) {
  return lower_elements(fl, value, index, NULL, "copy", false);
}

weir_status cg_lower_replace(function_lowering *fl, ir_value *value, int index) {
  return lower_elements(fl, value, index, NULL, "replace", true);
}

// ---- many parts

static weir_status lower_part(function_lowering *fl, ir_value *root, int operand, int axis) {
  const ir_node *node = root->def;
  ir_value *value = node->operands[operand];
  ir_kbuilder *b;
  emitter e;
  const ir_kexpr *idx[IR_MAX_RANK], *to[IR_MAX_RANK];
  int axes[IR_MAX_RANK] = {0}, count = 0, rank = value->type.rank;
  cg_emit_begin(&e, fl, root, "concat_part", "one operand of a concatenation, in its place");
  b = &e.b;
  if (cg_info(fl, value)->cls == CLASS_INVARIANT && cg_info(fl, root)->cls != CLASS_INVARIANT) {
    cg_emit_set_request(&e, ir_kb_set_grid(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n"));
    for (; count < rank; count++) axes[count] = count;
  } else {
    count = open_domain(&e, value, NULL, 0, idx, axes);
  }
  const ir_kexpr *start = ir_kb_int(b, 0);
  for (int i = 0; i < operand; i++) start = ir_kb_add(b, start, cg_dim_expr(&e, node->operands[i]->type.dims[axis]));
  open_loops(&e, value, idx, axes, count);
  for (int i = 0; i < rank; i++) to[i] = i == axis ? ir_kb_add(b, idx[i], start) : idx[i];
  cg_emit_store(&e, root, cg_info(fl, root)->slot, to, cg_emit_value(&e, value, idx));
  while (count--) ir_kb_end(b);
  return cg_emit_finish(&e);
}

weir_status cg_lower_concat(function_lowering *fl, ir_value *root) {
  int axis = (int)ir_node_attr(root->def, IR_ATTR_axis)->i;
  for (int i = 0; i < root->def->operand_count; i++) WEIR_TRY(lower_part(fl, root, i, axis));
  return WEIR_OK;
}

// ---- over the ragged dim

typedef struct {
  ir_kop combine;
  double initial;
  bool square;
} fold_kind;

static bool fold_of(ir_op op, fold_kind *out) {
  switch (op) {
    case IR_OP_sum:
    case IR_OP_mean:
      *out = (fold_kind){IR_K_add, 0, false};
      return true;
    case IR_OP_norm:
      *out = (fold_kind){IR_K_add, 0, true};
      return true;
    case IR_OP_prod:
      *out = (fold_kind){IR_K_mul, 1, false};
      return true;
    case IR_OP_amax:
      *out = (fold_kind){IR_K_max, -INFINITY, false};
      return true;
    case IR_OP_amin:
      *out = (fold_kind){IR_K_min, INFINITY, false};
      return true;
    default:
      return false;
  }
}

static const ir_kexpr *finish_fold(emitter *e, ir_op op, const ir_kexpr *total, const ir_kexpr *rows) {
  ir_kbuilder *b = &e->b;
  if (op == IR_OP_mean) return ir_kb_div(b, total, ir_kb_cast(b, total->type, rows));
  if (op == IR_OP_norm) return ir_kb_op(b, IR_K_sqrt, total->type, total, NULL, NULL);
  return total;
}

weir_status cg_lower_rows_reduction(function_lowering *fl, ir_value *root) {
  const ir_node *node = root->def;
  const value_info *x = cg_info(fl, node->operands[0]);
  int64_t width;
  fold_kind kind;
  ir_ktype type = cg_compute_type(root->type.dtype);
  if (!fold_of(node->op, &kind) || x->ragged != 1 || x->value->type.rank != 2 || !cg_inner_elements(x, &width) ||
      !ir_ktype_is_float(type) || ir_node_attr(node, IR_ATTR_over)->count != 1 || width > 16384)
    return cg_lower_rowwise(fl, root);
  emitter e;
  cg_emit_begin(&e, fl, root, ir_op_get_info(node->op)->name,
                weir_arena_printf(fl->low->arena, "%s over the rows of each sequence", ir_op_get_info(node->op)->name));
  ir_kbuilder *b = &e.b;
  const ir_kexpr *idx[2];
  cg_emit_domain(&e, root, idx);
  const ir_kexpr *rows = cg_dim_expr(&e, x->value->type.dims[0]);
  const ir_kexpr *zero = ir_kb_int(b, 0), *extent = ir_kb_int(b, width);
  int local = ir_kb_add_buffer(b, IR_KB_LOCAL, "total", ir_kb_int(b, width * ir_ktype_bytes(type)), -1);
  const ir_kexpr *d = ir_kb_for(b, IR_KR_LANES, "d", zero, extent, 1);
  ir_kb_store(b, type, local, d, ir_kb_const(b, type, kind.initial));
  ir_kb_end(b);
  idx[0] = ir_kb_for(b, IR_KR_SERIAL, "n", zero, rows, 1);
  idx[1] = cg_placeholder(&e);
  bool lanes = cg_emit_reductions(&e, node->operands[0], idx);
  idx[1] = ir_kb_for(b, lanes ? IR_KR_LANES : IR_KR_SERIAL, "d", zero, extent, 1);
  const ir_kexpr *element = cg_emit_value(&e, node->operands[0], idx);
  if (kind.square) element = ir_kb_mul(b, element, element);
  ir_kb_store(b, type, local, idx[1],
              ir_kb_op(b, kind.combine, type, ir_kb_load(b, type, local, idx[1]), element, NULL));
  ir_kb_end(b);
  ir_kb_end(b);
  d = ir_kb_for(b, IR_KR_LANES, "d", zero, extent, 1);
  cg_emit_store(&e, root, cg_info(fl, root)->slot, &d, finish_fold(&e, node->op, ir_kb_load(b, type, local, d), rows));
  ir_kb_end(b);
  return cg_emit_finish(&e);
}
