// Kernels that compute a value element by element: one work item a row, reductions of the row first, then its elements,
// the last dim in lanes. Also the reduction over the ragged dim itself, one work item a request, which adds rows in
// order into a local row.
#include <math.h>

#include "codegen/lower/internal.h"

// The axes of |value| other than the ragged one, in order.
static int inner_axes(const function_lowering *fl, const ir_value *value, int *axes) {
  const value_info *info = cg_info(fl, value);
  int count = 0;
  for (int i = 0; i < value->type.rank; i++)
    if (info->cls != CLASS_PACKED || i != info->axis) axes[count++] = i;
  return count;
}

static void emit_elements(emitter *e, ir_value *value, int index) {
  ir_kbuilder *b = &e->b;
  const value_info *info = cg_info(e->fl, value);
  int axes[IR_MAX_RANK], count = inner_axes(e->fl, value, axes);
  const ir_kexpr *idx[IR_MAX_RANK];
  if (info->cls == CLASS_PACKED) idx[info->axis] = e->row;
  for (int i = 0; i < count; i++) idx[axes[i]] = cg_placeholder(e);
  for (int i = 0; i < count; i++) {
    bool ahead = cg_emit_reductions(e, value, idx);
    bool lanes = i == count - 1 && ahead;
    const ir_kexpr *dim = cg_dim_expr(e, value->type.dims[axes[i]]);
    idx[axes[i]] = ir_kb_for(b, lanes ? IR_KR_LANES : IR_KR_SERIAL, "i", ir_kb_int(b, 0), dim, 1);
  }
  cg_emit_store(e, value, index, idx, cg_emit_value(e, value, idx));
  for (int i = 0; i < count; i++) ir_kb_end(b);
}

static weir_status lower_elements(function_lowering *fl, ir_value *value, int index, ir_value *root, const char *name) {
  emitter e;
  cg_emit_begin(&e, fl, root, name,
                weir_arena_printf(fl->low->arena, "%s of %s", name, ir_type_print(fl->low->arena, &value->type)));
  if (fl->out->slots[index].spread) e.request = ir_kb_set_grid(&e.b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n");
  else cg_emit_domain(&e, value, 1, NULL);
  emit_elements(&e, value, index);
  return cg_emit_finish(&e);
}

weir_status cg_lower_rowwise(function_lowering *fl, ir_value *root) {
  return lower_elements(fl, root, cg_info(fl, root)->slot, root, ir_op_get_info(root->def->op)->name);
}

weir_status cg_lower_copy(function_lowering *fl, ir_value *value, int index) {
  if (cg_info(fl, value)->cls == CLASS_HISTORY)
    return cg_unsupported(fl->function, fl->function->loc, "a history as a result has no lowering yet");
  return lower_elements(fl, value, index, NULL, "copy");
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
  if (!fold_of(node->op, &kind) || x->axis != 0 || x->value->type.rank != 2 || !cg_inner_elements(x, &width) ||
      !ir_ktype_is_float(type) || ir_node_attr(node, IR_ATTR_over)->count != 1 || width > 16384)
    return cg_lower_rowwise(fl, root);
  emitter e;
  cg_emit_begin(&e, fl, root, ir_op_get_info(node->op)->name,
                weir_arena_printf(fl->low->arena, "%s over the rows of each sequence", ir_op_get_info(node->op)->name));
  ir_kbuilder *b = &e.b;
  cg_emit_domain(&e, root, 1, NULL);
  e.symbol = x->symbol;
  const ir_kexpr *request = cg_emit_request(&e);
  const ir_kexpr *lo = cg_emit_start(&e, x->symbol, request),
                 *hi = cg_emit_start(&e, x->symbol, ir_kb_add(b, request, ir_kb_int(b, 1)));
  const ir_kexpr *zero = ir_kb_int(b, 0), *extent = ir_kb_int(b, width), *idx[2];
  int local = ir_kb_add_buffer(b, IR_KB_LOCAL, "total", ir_kb_int(b, width * ir_ktype_bytes(type)), -1);
  const ir_kexpr *d = ir_kb_for(b, IR_KR_LANES, "d", zero, extent, 1);
  ir_kb_store(b, type, local, d, ir_kb_const(b, type, kind.initial));
  ir_kb_end(b);
  idx[0] = ir_kb_for(b, IR_KR_SERIAL, "n", lo, hi, 1);
  e.row = idx[0];
  idx[1] = cg_placeholder(&e);
  bool lanes = cg_emit_reductions(&e, node->operands[0], idx);
  idx[1] = ir_kb_for(b, lanes ? IR_KR_LANES : IR_KR_SERIAL, "d", zero, extent, 1);
  const ir_kexpr *element = cg_emit_value(&e, node->operands[0], idx);
  if (kind.square) element = ir_kb_mul(b, element, element);
  ir_kb_store(b, type, local, idx[1],
              ir_kb_op(b, kind.combine, type, ir_kb_load(b, type, local, idx[1]), element, NULL));
  ir_kb_end(b);
  ir_kb_end(b);
  e.row = NULL;
  d = ir_kb_for(b, IR_KR_LANES, "d", zero, extent, 1);
  cg_emit_store(&e, root, cg_info(fl, root)->slot, &d,
                finish_fold(&e, node->op, ir_kb_load(b, type, local, d), ir_kb_sub(b, hi, lo)));
  ir_kb_end(b);
  return cg_emit_finish(&e);
}
