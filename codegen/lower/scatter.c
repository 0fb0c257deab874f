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

// An item for each request and line: its rows begin empty, then each element is added where its index says, in order.
weir_status cg_lower_scatter(function_lowering *fl, ir_value *root) {
  const ir_node *node = root->def;
  ir_value *index = node->operands[0], *rows = node->operands[1];
  ir_combine combine = node->attrs[1].combine;
  ir_ktype type = (ir_ktype)root->type.dtype;
  ir_kop op = cg_combine_op(combine);
  bool direct = combine != IR_COMBINE_mean && combine != IR_COMBINE_logsumexp && combine != IR_COMBINE_argmax &&
                combine != IR_COMBINE_argmin && cg_compute_type(root->type.dtype) == type;
  if (!direct)
    return cg_unsupported(fl->function, node->loc, "a scatter with %s of %s has no lowering yet",
                          ir_combine_name(combine), ir_dtype_name(root->type.dtype));
  emitter e;
  cg_emit_begin(&e, fl, root, "scatter", "rows added where their index says");
  ir_kbuilder *b = &e.b;
  const ir_kexpr *lines = ir_kb_int(b, 1), *idx[IR_MAX_RANK], *from[IR_MAX_RANK], *zero = ir_kb_int(b, 0);
  bool requests = cg_info(fl, root)->cls != CLASS_INVARIANT;
  for (int i = 1; i < root->type.rank - 1; i++) lines = ir_kb_mul(b, lines, cg_dim_expr(&e, root->type.dims[i]));
  const ir_kexpr *items = requests ? ir_kb_mul(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), lines) : lines;
  const ir_kexpr *n = ir_kb_set_grid(b, items, "n");
  if (requests) cg_emit_set_request(&e, ir_kb_div(b, n, lines));
  set_line(&e, &root->type, ir_kb_mod(b, n, lines), idx);
  int own = cg_info(fl, root)->slot;
  cg_emit_slot(&e, own, IR_KB_INOUT);
  idx[0] = ir_kb_for(b, IR_KR_SERIAL, "row", zero, cg_dim_expr(&e, root->type.dims[0]), 1);
  bool many = open_lanes(&e, &root->type, true, idx) != NULL;
  cg_emit_store(&e, root, own, idx, ir_kb_const(b, type, cg_combine_start(combine, type)));
  if (many) ir_kb_end(b);
  ir_kb_end(b);
  for (int i = 1; i < root->type.rank; i++) from[i] = idx[i];
  from[0] = ir_kb_for(b, IR_KR_SERIAL, "e", zero, cg_dim_expr(&e, index->type.dims[0]), 1);
  const ir_kexpr *to = ir_kb_let(b, "to", ir_kb_cast(b, IR_KT_i64, cg_emit_value(&e, index, from)));
  const ir_kexpr *low = ir_kb_op(b, IR_K_ge, IR_KT_bool, to, zero, NULL);
  const ir_kexpr *high = ir_kb_op(b, IR_K_lt, IR_KT_bool, to, cg_dim_expr(&e, root->type.dims[0]), NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_and, IR_KT_bool, low, high, NULL));
  idx[0] = to;
  if (many) from[rows->type.rank - 1] = cg_placeholder(&e);
  bool ahead = cg_emit_reductions(&e, rows, from);
  if (many) from[rows->type.rank - 1] = open_lanes(&e, &root->type, ahead, idx);
  const ir_kexpr *old = cg_emit_load(&e, root, idx), *x = cg_emit_value(&e, rows, from);
  cg_emit_store(&e, root, own, idx, ir_kb_op(b, op, type, old, x, NULL));
  if (many) ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  return cg_emit_finish(&e);
}
