// The kernel of a scatter: rows go where their index says and are combined there in their order, so that the bits are
// the same every time. An item has all rows of one request but one line of the other dims, whose last runs in lanes; so
// no two items write the same place. What the rows are made of is computed in here (fuse.c).
#include "codegen/lower/internal.h"

// The axes behind the first as one number, but for the last one, which runs in lanes.
static const ir_kexpr *set_line(emitter *e, const ir_type *type, const ir_kexpr *line, const ir_kexpr **idx) {
  for (int i = type->rank - 2; i >= 1; i--) {
    const ir_kexpr *dim = cg_dim_expr(e, type->dims[i]);
    idx[i] = ir_kb_mod(&e->b, line, dim);
    line = ir_kb_div(&e->b, line, dim);
  }
  return line;
}

static const ir_kexpr *open_lanes(emitter *e, const ir_type *type, bool lanes, const ir_kexpr **idx) {
  if (type->rank < 2) return NULL;
  const ir_kexpr *size = cg_dim_expr(e, type->dims[type->rank - 1]);
  idx[type->rank - 1] = ir_kb_for(&e->b, lanes ? IR_KR_LANES : IR_KR_SERIAL, "d", ir_kb_int(&e->b, 0), size, 1);
  return idx[type->rank - 1];
}

// What is gathered for each element of the result. Where the result's own memory does not do, it is gathered in memory
// of its own and finished at the end: narrow floats, and what needs two numbers.
typedef struct {
  ir_combine combine;
  ir_value *acc;    // so far: in the type of the rows, wide; may be the result itself
  ir_value *other;  // mean: how many; logsumexp: the sum relative to the largest; argmax: where the best is; else null
} gathered;

static ir_value *own_memory(function_lowering *fl, const ir_value *like, ir_dtype dtype) {
  ir_type type = like->type;
  type.dtype = dtype;
  return cg_new_value(fl, type);
}

static gathered plan(function_lowering *fl, ir_value *root, ir_combine combine, ir_dtype dtype) {
  ir_dtype wide = (ir_dtype)cg_compute_type(dtype);
  bool arg = combine == IR_COMBINE_argmax || combine == IR_COMBINE_argmin;
  bool two = arg || combine == IR_COMBINE_mean || combine == IR_COMBINE_logsumexp;
  gathered g = {.combine = combine, .acc = root};
  if (two || wide != dtype) g.acc = own_memory(fl, root, wide);
  if (two) g.other = own_memory(fl, root, arg ? IR_i32 : wide);
  return g;
}

static void put(emitter *e, const ir_value *value, const ir_kexpr *const *idx, const ir_kexpr *expr) {
  cg_emit_store(e, value, cg_info(e->fl, value)->slot, idx, expr);
}

static ir_ktype type_of(const ir_value *value) { return (ir_ktype)value->type.dtype; }

static void begin(emitter *e, const gathered *g, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  bool arg = g->combine == IR_COMBINE_argmax || g->combine == IR_COMBINE_argmin;
  double start = arg || g->combine == IR_COMBINE_mean ? 0 : cg_combine_start(g->combine, type_of(g->acc));
  put(e, g->acc, idx, ir_kb_const(b, type_of(g->acc), start));
  if (g->other) put(e, g->other, idx, ir_kb_const(b, type_of(g->other), arg ? -1 : 0));
}

static const ir_kexpr *choose(emitter *e, const ir_kexpr *condition, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&e->b, IR_K_select, x->type, condition, x, y);
}

// |x| of row |row| joins what is there.
static void join(emitter *e, const gathered *g, const ir_kexpr *const *idx, const ir_kexpr *x, const ir_kexpr *row) {
  ir_kbuilder *b = &e->b;
  // Taken before anything is stored.
  const ir_kexpr *old = ir_kb_let(b, "old", cg_emit_load(e, g->acc, idx));
  const ir_kexpr *other = g->other ? ir_kb_let(b, "other", cg_emit_load(e, g->other, idx)) : NULL;
  if (g->combine == IR_COMBINE_argmax || g->combine == IR_COMBINE_argmin) {
    const ir_kexpr *first = ir_kb_op(b, IR_K_lt, IR_KT_bool, other, ir_kb_const(b, other->type, 0), NULL);
    const ir_kexpr *better = cg_emit_better(e, cg_combine_op(g->combine), x, old);
    better = ir_kb_op(b, IR_K_or, IR_KT_bool, first, better, NULL);
    put(e, g->other, idx, choose(e, better, ir_kb_cast(b, IR_KT_i32, row), other));
    put(e, g->acc, idx, choose(e, better, x, old));
  } else if (g->combine == IR_COMBINE_logsumexp) {
    const ir_kexpr *now = ir_kb_op(b, IR_K_max, x->type, old, x, NULL), *shift = cg_emit_safe_shift(e, now);
    const ir_kexpr *before = ir_kb_op(b, IR_K_exp, x->type, ir_kb_sub(b, old, shift), NULL, NULL);
    const ir_kexpr *mine = ir_kb_op(b, IR_K_exp, x->type, ir_kb_sub(b, x, shift), NULL, NULL);
    put(e, g->other, idx, ir_kb_add(b, ir_kb_mul(b, other, before), mine));
    put(e, g->acc, idx, now);
  } else {
    put(e, g->acc, idx, ir_kb_op(b, cg_combine_op(g->combine), x->type, old, x, NULL));
    if (other) put(e, g->other, idx, ir_kb_add(b, other, ir_kb_const(b, other->type, 1)));
  }
}

static const ir_kexpr *finished(emitter *e, const gathered *g, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *acc = cg_emit_load(e, g->acc, idx), *other = g->other ? cg_emit_load(e, g->other, idx) : NULL;
  if (!other) return acc;
  if (g->combine == IR_COMBINE_mean) return ir_kb_div(b, acc, other);
  if (g->combine == IR_COMBINE_logsumexp)
    return cg_emit_log_sum(e, cg_emit_safe_shift(e, acc), ir_kb_op(b, IR_K_log, other->type, other, NULL, NULL));
  return ir_kb_op(b, IR_K_max, other->type, other, ir_kb_const(b, other->type, 0), NULL);
}

typedef void (*element_fn)(emitter *e, const gathered *g, ir_value *root, const ir_kexpr *const *idx);
static void begin_element(emitter *e, const gathered *g, ir_value *root, const ir_kexpr *const *idx) {
  (void)root;
  begin(e, g, idx);
}
static void finish_element(emitter *e, const gathered *g, ir_value *root, const ir_kexpr *const *idx) {
  put(e, root, idx, finished(e, g, idx));
}

// All elements of the line.
static void each_element(emitter *e, const gathered *g, ir_value *root, const ir_kexpr **idx, element_fn element) {
  ir_kbuilder *b = &e->b;
  idx[0] = ir_kb_for(b, IR_KR_SERIAL, "row", ir_kb_int(b, 0), cg_dim_expr(e, root->type.dims[0]), 1);
  bool many = open_lanes(e, &root->type, true, idx) != NULL;
  element(e, g, root, idx);
  if (many) ir_kb_end(b);
  ir_kb_end(b);
}

// Each row, in order, joins the elements where its index says.
static void each_row(emitter *e, const gathered *g, const ir_node *node, const ir_kexpr **idx) {
  ir_kbuilder *b = &e->b;
  ir_value *index = node->operands[0], *rows = node->operands[1];
  const ir_type *type = &node->results[0]->type;
  const ir_kexpr *from[IR_MAX_RANK], *zero = ir_kb_int(b, 0);
  for (int i = 1; i < type->rank; i++) from[i] = idx[i];
  const ir_kexpr *row = from[0] = ir_kb_for(b, IR_KR_SERIAL, "e", zero, cg_dim_expr(e, index->type.dims[0]), 1);
  const ir_kexpr *to = ir_kb_let(b, "to", ir_kb_cast(b, IR_KT_i64, cg_emit_value(e, index, from)));
  const ir_kexpr *low = ir_kb_op(b, IR_K_ge, IR_KT_bool, to, zero, NULL);
  const ir_kexpr *high = ir_kb_op(b, IR_K_lt, IR_KT_bool, to, cg_dim_expr(e, type->dims[0]), NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_and, IR_KT_bool, low, high, NULL));
  bool many = type->rank > 1;
  idx[0] = to;
  if (many) from[type->rank - 1] = cg_placeholder(e);
  bool ahead = cg_emit_reductions(e, rows, from);
  if (many) from[type->rank - 1] = open_lanes(e, type, ahead, idx);
  join(e, g, idx, cg_emit_value(e, rows, from), row);
  if (many) ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
}

// An item for each request and line of the other dims but the last.
weir_status cg_lower_scatter(function_lowering *fl, ir_value *root) {
  const ir_node *node = root->def;
  gathered g = plan(fl, root, ir_node_attr(node, IR_ATTR_combine)->combine, node->operands[1]->type.dtype);
  emitter e;
  cg_emit_begin(&e, fl, root, "scatter", "rows combined where their index says");
  ir_kbuilder *b = &e.b;
  const ir_kexpr *lines = ir_kb_int(b, 1), *idx[IR_MAX_RANK];
  bool requests = cg_info(fl, root)->cls != CLASS_INVARIANT;
  for (int i = 1; i < root->type.rank - 1; i++) lines = ir_kb_mul(b, lines, cg_dim_expr(&e, root->type.dims[i]));
  const ir_kexpr *items = requests ? ir_kb_mul(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), lines) : lines;
  const ir_kexpr *n = ir_kb_set_grid(b, items, "n");
  if (requests) cg_emit_set_request(&e, ir_kb_div(b, n, lines));
  set_line(&e, &root->type, ir_kb_mod(b, n, lines), idx);
  cg_emit_slot(&e, cg_info(fl, g.acc)->slot, IR_KB_INOUT);
  if (g.other) cg_emit_slot(&e, cg_info(fl, g.other)->slot, IR_KB_INOUT);
  each_element(&e, &g, root, idx, begin_element);
  each_row(&e, &g, node, idx);
  if (g.acc != root) each_element(&e, &g, root, idx, finish_element);
  return cg_emit_finish(&e);
}
