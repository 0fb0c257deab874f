// Index notation as loops: an element of a `map` and a `fold`.
//
// A region's scalars are computed at indices that are kernel expressions; what it captures is asked for in what is
// around it, an element of a tensor like any other (compute.c). Subscripts are computed as 64-bit indices, so that a
// place in memory stays a sum that the kernel builder can simplify.
//
// A fold opens one loop for each index, in order, and adds what its guard admits. A part of the guard that is linear in
// an index narrows that loop instead of being asked in each turn: the window of a convolution, a band of positions. The
// order of what is left is that of the indices, so the bits of a sum depend neither on the loops' bounds nor on how
// sequences are packed or cut. Loops stand inside of lanes where the result has an axis for them.
#include <math.h>

#include "codegen/lower/internal.h"
#include "runtime/base/checked.h"

enum { MAX_CONDITIONS = 32, MAX_DEPTH = 200 };

// A region being computed.
typedef struct level {
  const struct level *outer;  // null: around it is the function
  const ir_node *owner;
  const ir_kexpr *idx[IR_MAX_RANK];   // of its indices; null: its loop is not open yet
  unsigned *uses;                     // by value id: the indices that a value depends on
  const ir_kexpr **values, **places;  // by value id: computed already, as a scalar and as a subscript
} level;

static const ir_kexpr *scalar(emitter *e, const level *at, ir_value *value);
static const ir_kexpr *place(emitter *e, const level *at, ir_value *value);

static int index_count(const ir_node *owner) { return owner->attrs[0].count; }

static level open_level(emitter *e, const level *outer, const ir_node *owner) {
  const ir_function *region = owner->callee;
  level l = {.outer = outer, .owner = owner};
  l.uses = WEIR_NEW_ARRAY(e->b.arena, unsigned, region->next_id);
  l.values = WEIR_NEW_ARRAY(e->b.arena, const ir_kexpr *, region->next_id);
  l.places = WEIR_NEW_ARRAY(e->b.arena, const ir_kexpr *, region->next_id);
  for (int i = 0; i < index_count(owner); i++) l.uses[region->params[i].value->id] = 1u << i;
  for (const ir_node *node = region->first; node; node = node->next) {
    unsigned all = 0;
    for (int i = 0; i < node->operand_count; i++) all |= l.uses[node->operands[i]->id];
    for (int i = 0; i < node->result_count; i++) l.uses[node->results[i]->id] = all;
  }
  return l;
}

// What a parameter stands for around the region; null for an index.
static ir_value *captured(const level *at, const ir_value *param) {
  int operand = param->result - index_count(at->owner);
  return operand < 0 ? NULL : at->owner->operands[operand];
}

static const ir_kexpr *fail(emitter *e, const char *what, ir_ktype type) {
  e->unsupported = what;
  return ir_kb_const(&e->b, type, 0);
}

// The tensor of the function that |value| stands for.
static ir_value *tensor_of(const level *at, ir_value *value) {
  while (at && !value->def) {
    value = captured(at, value);
    at = at->outer;
    if (!value) return NULL;
  }
  return at ? NULL : value;
}

// ---- subscripts

static const ir_kexpr *place_of_node(emitter *e, const level *at, const ir_node *node) {
  ir_kbuilder *b = &e->b;
  ir_value *const *x = node->operands;
  ir_dim_table *dims = e->fl->low->module->dims;
  switch (node->op) {
    case IR_OP_constant:
      return ir_kb_int(b, (int64_t)node->attrs[0].f);
    case IR_OP_size:
      return cg_dim_expr(e, node->attrs[0].dim);
    case IR_OP_neg:
      return ir_kb_sub(b, ir_kb_int(b, 0), place(e, at, x[0]));
    case IR_OP_add:
      return ir_kb_add(b, place(e, at, x[0]), place(e, at, x[1]));
    case IR_OP_sub:
      return ir_kb_sub(b, place(e, at, x[0]), place(e, at, x[1]));
    case IR_OP_mul:
      return ir_kb_mul(b, place(e, at, x[0]), place(e, at, x[1]));
    case IR_OP_div:
      return ir_kb_div(b, place(e, at, x[0]), place(e, at, x[1]));
    case IR_OP_mod:
      return ir_kb_mod(b, place(e, at, x[0]), place(e, at, x[1]));
    case IR_OP_min:
      return ir_kb_min(b, place(e, at, x[0]), place(e, at, x[1]));
    case IR_OP_max:
      return ir_kb_op(b, IR_K_max, IR_KT_i64, place(e, at, x[0]), place(e, at, x[1]), NULL);
    case IR_OP_select:
      return ir_kb_op(b, IR_K_select, IR_KT_i64, scalar(e, at, x[0]), place(e, at, x[1]), place(e, at, x[2]));
    case IR_OP_cast:
      if (!ir_dtype_is_int(x[0]->type.dtype)) break;
      return place(e, at, x[0]);
    case IR_OP_element: {
      const ir_value *source = tensor_of(at, x[0]);
      if (!source || !source->def || source->def->op != IR_OP_pos) break;
      ir_dim first = ir_dim_first_position(dims, source->def->attrs[0].dim);
      return ir_kb_add(b, cg_dim_expr(e, first), place(e, at, x[1]));
    }
    default:
      break;
  }
  return ir_kb_cast(b, IR_KT_i64, scalar(e, at, node->results[0]));
}

// An integer as a subscript.
static const ir_kexpr *place(emitter *e, const level *at, ir_value *value) {
  if (!at) return ir_kb_cast(&e->b, IR_KT_i64, cg_emit_value(e, value, NULL));
  const ir_kexpr **known = &at->places[value->id];
  if (*known) return *known;
  if (value->def) {
    *known = place_of_node(e, at, value->def);
  } else {
    ir_value *outer = captured(at, value);
    *known = outer ? place(e, at->outer, outer) : at->idx[value->result];
  }
  return *known;
}

// ---- scalars

static const ir_kexpr *element(emitter *e, const level *at, const ir_node *node) {
  const ir_kexpr *idx[IR_MAX_RANK];
  ir_value *x = tensor_of(at, node->operands[0]);
  if (!x || node->operand_count != x->type.rank + 1)
    return fail(e, "a tensor made inside of index notation", cg_compute_type(node->results[0]->type.dtype));
  for (int i = 0; i < x->type.rank; i++) idx[i] = place(e, at, node->operands[i + 1]);
  return cg_where_active(e, cg_emit_value(e, x, idx));
}

static const ir_kexpr *fold(emitter *e, const level *outer, const ir_node *node);

static const ir_kexpr *scalar_of_node(emitter *e, const level *at, const ir_node *node) {
  const ir_kexpr *x[3];
  ir_ktype type = cg_compute_type(node->results[0]->type.dtype);
  if (node->op == IR_OP_element) return element(e, at, node);
  if (node->op == IR_OP_fold) return fold(e, at, node);
  if (node->op == IR_OP_constant || node->op == IR_OP_size) return cg_emit_source(e, node, NULL);
  if (!(ir_op_get_info(node->op)->flags & IR_FLAG_EW) || node->operand_count > 3 || node->results[0]->type.rank)
    return fail(e, ir_op_get_info(node->op)->name, type);
  for (int i = 0; i < node->operand_count; i++) x[i] = scalar(e, at, node->operands[i]);
  return cg_emit_elementwise(e, node, x);
}

static const ir_kexpr *scalar(emitter *e, const level *at, ir_value *value) {
  if (!at) return cg_emit_value(e, value, NULL);
  const ir_kexpr **known = &at->values[value->id];
  if (*known) return *known;
  if (value->def) {
    *known = scalar_of_node(e, at, value->def);
  } else {
    ir_value *outer = captured(at, value);
    *known = outer ? scalar(e, at->outer, outer) : ir_kb_cast(&e->b, IR_KT_i32, at->idx[value->result]);
  }
  return *known;
}

// ---- guards

typedef struct {
  ir_value *parts[MAX_CONDITIONS];  // all of them hold
  bool done[MAX_CONDITIONS];        // the loops' bounds say it
  int count;
} conditions;

static void add_condition(conditions *all, ir_value *guard, int depth) {
  const ir_node *node = guard->def;
  if (node && node->op == IR_OP_and && depth < MAX_CONDITIONS && all->count + 2 <= MAX_CONDITIONS - depth) {
    add_condition(all, node->operands[0], depth + 1);
    add_condition(all, node->operands[1], depth + 1);
  } else if (all->count < MAX_CONDITIONS) {
    all->parts[all->count++] = guard;
  }
}

// |value| = factor * index + rest, where the loops of |open| and no others may be used for the rest.
static bool linear(emitter *e, const level *at, ir_value *value, int index, unsigned open, int64_t *factor,
                   const ir_kexpr **rest, int depth) {
  ir_kbuilder *b = &e->b;
  unsigned mine = 1u << index, uses = at->uses[value->id];
  const ir_node *node = value->def;
  int64_t f[2] = {0, 0};
  const ir_kexpr *r[2];
  if (uses & ~(open | mine)) return false;
  if (!(uses & mine)) {
    *factor = 0;
    *rest = place(e, at, value);
    return true;
  }
  if (!node) {
    *factor = 1;
    *rest = ir_kb_int(b, 0);
    return true;
  }
  if (depth > MAX_CONDITIONS) return false;
  bool two = node->op == IR_OP_add || node->op == IR_OP_sub || node->op == IR_OP_mul;
  bool counts = false;
  if (node->op == IR_OP_element) {
    const ir_value *source = tensor_of(at, node->operands[0]);
    counts = source && source->def && source->def->op == IR_OP_pos;
    if (!counts) return false;
    if (!linear(e, at, node->operands[1], index, open, factor, rest, depth + 1)) return false;
    ir_dim first = ir_dim_first_position(e->fl->low->module->dims, source->def->attrs[0].dim);
    *rest = ir_kb_add(b, *rest, cg_dim_expr(e, first));
    return true;
  }
  if (!two && node->op != IR_OP_neg && node->op != IR_OP_cast) return false;
  for (int i = 0; i < 1 + two; i++) {
    if (!ir_dtype_is_int(node->operands[i]->type.dtype)) return false;
    if (!linear(e, at, node->operands[i], index, open, &f[i], &r[i], depth + 1)) return false;
  }
  switch (node->op) {
    case IR_OP_add:
      *rest = ir_kb_add(b, r[0], r[1]);
      return weir_add_i64(f[0], f[1], factor);
    case IR_OP_sub:
      *rest = ir_kb_sub(b, r[0], r[1]);
      return !__builtin_sub_overflow(f[0], f[1], factor);
    case IR_OP_neg:
      *rest = ir_kb_sub(b, ir_kb_int(b, 0), r[0]);
      return !__builtin_sub_overflow((int64_t)0, f[0], factor);
    case IR_OP_mul: {
      int by = f[0] == 0 ? 0 : 1;  // a constant
      if (f[by] != 0 || r[by]->op != IR_K_const) return false;
      *rest = ir_kb_mul(b, r[0], r[1]);
      return weir_mul_i64(f[1 - by], r[by]->i, factor);
    }
    default:
      *factor = f[0];
      *rest = r[0];
      return true;
  }
}

static const ir_kexpr *max_of(emitter *e, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&e->b, IR_K_max, IR_KT_i64, x, y, NULL);
}

// factor * index + rest >= 0 as a bound of the loop.
static void narrow(emitter *e, int64_t factor, const ir_kexpr *rest, const ir_kexpr **lo, const ir_kexpr **hi) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *zero = ir_kb_int(b, 0), *by = ir_kb_int(b, factor > 0 ? factor : -factor);
  if (factor > 0) *lo = max_of(e, *lo, ir_kb_sub(b, zero, ir_kb_div(b, rest, by)));
  else *hi = ir_kb_min(b, *hi, ir_kb_add(b, ir_kb_div(b, rest, by), ir_kb_int(b, 1)));
}

// Whether a condition is linear in the index and the bounds of its loop say it now.
static bool narrows(emitter *e, const level *at, ir_value *condition, int index, unsigned open, const ir_kexpr **lo,
                    const ir_kexpr **hi) {
  ir_kbuilder *b = &e->b;
  const ir_node *node = condition->def;
  if (!node || node->operand_count != 2 || !ir_dtype_is_int(node->operands[0]->type.dtype)) return false;
  bool less = node->op == IR_OP_lt || node->op == IR_OP_le, more = node->op == IR_OP_gt || node->op == IR_OP_ge;
  bool equal = node->op == IR_OP_eq;
  int64_t f[2], factor;
  const ir_kexpr *r[2];
  if (!less && !more && !equal) return false;
  for (int i = 0; i < 2; i++)
    if (!linear(e, at, node->operands[i], index, open, &f[i], &r[i], 0)) return false;
  int big = less || equal;  // that side must not be less
  if (__builtin_sub_overflow(f[big], f[1 - big], &factor) || factor == 0 || factor == INT64_MIN) return false;
  if (equal && factor != 1 && factor != -1) return false;
  const ir_kexpr *rest = ir_kb_sub(b, r[big], r[1 - big]);
  if (node->op == IR_OP_lt || node->op == IR_OP_gt) rest = ir_kb_sub(b, rest, ir_kb_int(b, 1));
  narrow(e, factor, rest, lo, hi);
  if (equal) narrow(e, -factor, ir_kb_sub(b, ir_kb_int(b, 0), rest), lo, hi);
  return true;
}

// ---- folds

static void open_loops(emitter *e, level *at, conditions *all) {
  ir_kbuilder *b = &e->b;
  unsigned open = 0;
  for (int i = 0; i < index_count(at->owner); i++) {
    const ir_kexpr *lo = ir_kb_int(b, 0), *hi = cg_dim_expr(e, at->owner->attrs[0].dims[i]);
    for (int k = 0; k < all->count; k++)
      if (!all->done[k]) all->done[k] = narrows(e, at, all->parts[k], i, open, &lo, &hi);
    const char *name = at->owner->callee->params[i].name;
    at->idx[i] = ir_kb_for(b, IR_KR_SERIAL, name && *name && *name != '_' ? name : "i", lo, hi, 1);
    open |= 1u << i;
  }
}

static const ir_kexpr *remaining(emitter *e, const level *at, const conditions *all) {
  const ir_kexpr *test = NULL;
  for (int i = 0; i < all->count; i++) {
    if (all->done[i]) continue;
    const ir_kexpr *one = scalar(e, at, all->parts[i]);
    test = test ? ir_kb_op(&e->b, IR_K_and, IR_KT_bool, test, one, NULL) : one;
  }
  return test;
}

// One walk over the elements. |step| takes the element's level.
typedef struct {
  const ir_node *node;
  ir_value *body;
  ir_kvar *reg, *other;   // what it computes
  const ir_kexpr *shift;  // of exponentials
  ir_kop op;
} walk;
typedef void (*step_fn)(emitter *e, const level *at, const walk *w);

static void run(emitter *e, const level *outer, const walk *w, step_fn step) {
  ir_kbuilder *b = &e->b;
  const ir_function *region = w->node->callee;
  conditions all = {.count = 0};
  int bound = e->bound_count, loops = index_count(w->node);
  level inner = open_level(e, outer, w->node);
  if (region->result_count > 1) add_condition(&all, region->results[1].value, 0);
  open_loops(e, &inner, &all);
  const ir_kexpr *test = remaining(e, &inner, &all);
  if (test) ir_kb_if(b, test);
  step(e, &inner, w);
  if (test) ir_kb_end(b);
  while (loops--) ir_kb_end(b);
  e->bound_count = bound;
}

static const ir_kexpr *read(emitter *e, ir_kvar *reg) { return ir_kb_read(&e->b, reg, NULL, NULL, NULL); }

static void set(emitter *e, ir_kvar *reg, const ir_kexpr *value) { ir_kb_set(&e->b, reg, value, NULL, NULL, NULL); }

static void step_combine(emitter *e, const level *at, const walk *w) {
  ir_kbuilder *b = &e->b;
  const ir_node *product = w->body->def;
  bool fused = w->op == IR_K_add && product && product->op == IR_OP_mul && ir_ktype_is_float(w->reg->type);
  const ir_kexpr *old = read(e, w->reg);
  if (fused) {
    set(e, w->reg,
        ir_kb_op(b, IR_K_fma, w->reg->type, scalar(e, at, product->operands[0]), scalar(e, at, product->operands[1]),
                 old));
  } else {
    set(e, w->reg, ir_kb_op(b, w->op, w->reg->type, old, scalar(e, at, w->body), NULL));
  }
  if (w->other) set(e, w->other, ir_kb_add(b, read(e, w->other), ir_kb_const(b, w->other->type, 1)));
}

static void step_exp(emitter *e, const level *at, const walk *w) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *x = ir_kb_sub(b, scalar(e, at, w->body), w->shift);
  set(e, w->reg, ir_kb_add(b, read(e, w->reg), ir_kb_op(b, IR_K_exp, x->type, x, NULL, NULL)));
}

// |reg| is the best so far, |other| where it is; -1 before the first. NaN is taken once and kept.
static void step_arg(emitter *e, const level *at, const walk *w) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *x = ir_kb_let(b, "x", scalar(e, at, w->body)), *best = read(e, w->reg), *flat = NULL;
  for (int i = 0; i < index_count(w->node); i++) {
    const ir_kexpr *dim = cg_dim_expr(e, w->node->attrs[0].dims[i]);
    flat = flat ? ir_kb_add(b, ir_kb_mul(b, flat, dim), at->idx[i]) : at->idx[i];
  }
  const ir_kexpr *first = ir_kb_op(b, IR_K_lt, IR_KT_bool, read(e, w->other), ir_kb_int(b, 0), NULL);
  const ir_kexpr *better = cg_emit_better(e, w->op, x, best);
  better = ir_kb_let(b, "better", ir_kb_op(b, IR_K_or, IR_KT_bool, first, better, NULL));
  set(e, w->reg, ir_kb_op(b, IR_K_select, x->type, better, x, best));
  set(e, w->other, ir_kb_op(b, IR_K_select, IR_KT_i64, better, flat, read(e, w->other)));
}

static ir_kvar *new_reg(emitter *e, const char *name, ir_ktype type, double start) {
  return ir_kb_reg(&e->b, name, type, false, 0, NULL, ir_kb_const(&e->b, type, start));
}

double cg_combine_start(ir_combine combine, ir_ktype type) {
  bool floats = ir_ktype_is_float(type), bytes = type == IR_KT_u8;
  double top = floats ? INFINITY : bytes ? 255 : ldexp(1, 8 * ir_ktype_bytes(type) - 1) - 1;
  switch (combine) {
    case IR_COMBINE_prod:
    case IR_COMBINE_all:
      return 1;
    case IR_COMBINE_max:
    case IR_COMBINE_logsumexp:
      return floats ? -INFINITY : bytes ? 0 : -top - 1;
    case IR_COMBINE_min:
      return top;
    default:
      return 0;
  }
}

ir_kop cg_combine_op(ir_combine combine) {
  switch (combine) {
    case IR_COMBINE_prod:
      return IR_K_mul;
    case IR_COMBINE_max:
    case IR_COMBINE_logsumexp:
      return IR_K_max;
    case IR_COMBINE_min:
      return IR_K_min;
    case IR_COMBINE_any:
      return IR_K_or;
    case IR_COMBINE_all:
      return IR_K_and;
    case IR_COMBINE_argmax:
      return IR_K_gt;
    case IR_COMBINE_argmin:
      return IR_K_lt;
    default:
      return IR_K_add;
  }
}

static const ir_kexpr *log_sum(emitter *e, const level *outer, walk *w) {
  ir_kbuilder *b = &e->b;
  ir_ktype type = w->reg->type;
  run(e, outer, w, step_combine);
  const ir_kexpr *most = read(e, w->reg), *zero = ir_kb_const(b, type, 0);
  const ir_kexpr *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, most, ir_kb_const(b, type, -INFINITY), NULL);
  w->shift = ir_kb_let(b, "m", ir_kb_op(b, IR_K_select, type, none, zero, most));
  w->reg = new_reg(e, "r", type, 0);
  run(e, outer, w, step_exp);
  const ir_kexpr *sum = read(e, w->reg);
  return ir_kb_let(b, "v", cg_emit_log_sum(e, w->shift, ir_kb_op(b, IR_K_log, type, sum, NULL, NULL)));
}

// The value of a fold, computed at the current place.
static const ir_kexpr *fold(emitter *e, const level *outer, const ir_node *node) {
  ir_kbuilder *b = &e->b;
  ir_combine combine = node->attrs[1].combine;
  ir_value *body = node->callee->results[0].value;
  ir_ktype type = cg_compute_type(body->type.dtype);
  walk w = {.node = node, .body = body, .op = cg_combine_op(combine)};
  for (int i = 0; i < node->operand_count; i++)  // here, so that no loop is around them
    if (!node->operands[i]->type.rank) scalar(e, outer, node->operands[i]);
  w.reg = new_reg(e, "r", type, cg_combine_start(combine, type));
  if (combine == IR_COMBINE_logsumexp) return log_sum(e, outer, &w);
  if (combine == IR_COMBINE_argmax || combine == IR_COMBINE_argmin) {
    w.other = new_reg(e, "at", IR_KT_i64, -1);
    run(e, outer, &w, step_arg);
    const ir_kexpr *at = ir_kb_op(b, IR_K_max, IR_KT_i64, read(e, w.other), ir_kb_int(b, 0), NULL);
    return ir_kb_let(b, "v", ir_kb_cast(b, IR_KT_i32, at));
  }
  if (combine == IR_COMBINE_mean) w.other = new_reg(e, "count", type, 0);
  run(e, outer, &w, step_combine);
  const ir_kexpr *all = read(e, w.reg);
  if (combine == IR_COMBINE_mean) all = ir_kb_div(b, all, read(e, w.other));
  return ir_kb_let(b, "v", all);
}

const ir_kexpr *cg_emit_fold(emitter *e, const ir_node *node) { return fold(e, NULL, node); }

const ir_kexpr *cg_emit_map(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  level at = open_level(e, NULL, node);
  for (int i = 0; i < index_count(node); i++) at.idx[i] = idx[i];
  for (int i = 0; i < node->operand_count; i++)
    if (!node->operands[i]->type.rank) scalar(e, NULL, node->operands[i]);
  return scalar(e, &at, node->callee->results[0].value);
}

// Sizes and lengths that a region asks for by itself.
bool cg_region_varies(const ir_function *region) {
  for (const ir_node *node = region->first; node; node = node->next) {
    if (node->op == IR_OP_pos || node->op == IR_OP_size) return true;
    for (int i = 0; node->op == IR_OP_fold && i < node->attrs[0].count; i++)
      if (ir_dim_role(node->attrs[0].dims[i]) != IR_ROLE_PLAIN) return true;
    if (node->callee && node->callee->kind == IR_FUNCTION_REGION && cg_region_varies(node->callee)) return true;
  }
  return false;
}
