// What a node costs: floating point operations and bytes read and written, for given sizes. Movement is counted as if
// it were done; a fused group costs less, which is what the lowering weighs.
#include <stdlib.h>

#include "ir/graph.h"
#include "ir/rules.h"

static double elements(const ir_type *type, const int64_t *values) {
  double count = 1;
  for (int i = 0; i < type->rank; i++) {
    int64_t size;
    if (!ir_dim_eval(type->dims[i], values, &size)) return 0;
    count *= (double)size;
  }
  return count;
}

static double bytes_of(const ir_value *value, const int64_t *values) {
  return elements(&value->type, values) * ir_dtype_bytes(value->type.dtype);
}

static double size_of(ir_dim dim, const int64_t *values) {
  int64_t size;
  return ir_dim_eval(dim, values, &size) ? (double)size : 0;
}

// Pairs of a row and a row that it sees.
static double attend_pairs(const ir_node *node, const int64_t *values) {
  double rows = size_of(node->operands[0]->type.dims[0], values),
         history = size_of(node->operands[1]->type.dims[0], values);
  double window = (double)ir_node_attr(node, IR_ATTR_window)->i;
  if (!ir_node_attr(node, IR_ATTR_causal)->i) return rows * history;
  double pairs = rows * history - rows * (rows - 1) / 2;
  return window && rows * window < pairs ? rows * window : pairs;
}

static double flops_of(const ir_node *node, const int64_t *values) {
  const ir_op_info *info = ir_op_get_info(node->op);
  double results = elements(&node->results[0]->type, values);
  if (info->cost == IR_COST_MATMUL) {
    const ir_type *x = &node->operands[0]->type;
    return 2 * results * size_of(x->dims[x->rank - 1], values);
  }
  if (info->cost == IR_COST_ATTEND) {
    const ir_type *q = &node->operands[0]->type, *v = &node->operands[2]->type;
    double widths = size_of(q->dims[2], values) + size_of(v->dims[2], values);
    return attend_pairs(node, values) * size_of(q->dims[1], values) * (2 * widths + 10);
  }
  bool reduces = info->flags & IR_FLAG_REDUCE;
  return info->cost * (reduces ? elements(&node->operands[0]->type, values) : results);
}

static void call_cost(const ir_node *node, const int64_t *values, double *out_flops, double *out_bytes) {
  const ir_module *module = node->callee->module;
  int count = ir_symbol_count(module->dims);
  const char *error;
  ir_dim *map = calloc((size_t)count + 1, sizeof *map);
  int64_t *inner = calloc((size_t)count + 1, sizeof *inner);
  if (map && inner && ir_call_bind(node->callee, node->operands, node->operand_count, map, &error)) {
    for (int i = 0; i < count; i++) inner[i] = map[i] ? (int64_t)size_of(map[i], values) : values[i];
    for (const ir_node *each = node->callee->first; each; each = each->next) {
      double flops, bytes;
      ir_node_cost(each, inner, &flops, &bytes);
      *out_flops += flops;
      *out_bytes += bytes;
    }
  }
  free(map);
  free(inner);
}

void ir_node_cost(const ir_node *node, const int64_t *values, double *out_flops, double *out_bytes) {
  *out_flops = *out_bytes = 0;
  if (node->callee) {
    call_cost(node, values, out_flops, out_bytes);
    return;
  }
  *out_flops = flops_of(node, values);
  if (node->op == IR_OP_reshape) return;  // a view
  *out_bytes = bytes_of(node->results[0], values);
  bool picks = node->op == IR_OP_gather || node->op == IR_OP_slice || node->op == IR_OP_last;
  if (picks) *out_bytes *= 2;  // reads what it writes, not the whole operand
  for (int i = picks; i < node->operand_count; i++) *out_bytes += bytes_of(node->operands[i], values);
}
