// What a node costs: floating point operations and bytes read and written, for given sizes. Movement is counted as if
// it were done; a fused group costs less, which is what the lowering weighs.
#include <math.h>
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

// Pairs of a row and a row that it sees, in all leading dims.
static double attend_pairs(const ir_node *node, const int64_t *values) {
  const ir_type *q = &node->operands[0]->type, *k = &node->operands[1]->type;
  double rows = size_of(q->dims[q->rank - 3], values), history = size_of(k->dims[k->rank - 3], values), images = 1;
  double window = (double)ir_node_attr(node, IR_ATTR_window)->i;
  for (int i = 0; i < q->rank - 3; i++) images *= size_of(q->dims[i], values);
  if (!ir_node_attr(node, IR_ATTR_causal)->i) return images * rows * history;
  double pairs = rows * history - rows * (rows - 1) / 2;
  return images * (window && rows * window < pairs ? rows * window : pairs);
}

static double attend_flops(const ir_node *node, const int64_t *values) {
  const ir_type *q = &node->operands[0]->type, *v = &node->operands[2]->type;
  double widths = size_of(q->dims[q->rank - 1], values) + size_of(v->dims[v->rank - 1], values);
  return attend_pairs(node, values) * size_of(q->dims[q->rank - 2], values) * (2 * widths + 10);
}

// Each element of the result (of a transposed convolution: of the operand) meets the weights of one output.
static double conv_flops(const ir_node *node, const int64_t *values) {
  const ir_type *w = &node->operands[1]->type;
  bool transposed = node->op == IR_OP_conv_transpose;
  double each = elements(w, values) / size_of(w->dims[0], values);
  return 2 * each * elements(transposed ? &node->operands[0]->type : &node->results[0]->type, values);
}

static double window_flops(const ir_node *node, double results) {
  const ir_attr *window = ir_node_attr(node, IR_ATTR_window_dims);
  for (int i = 0; i < window->count; i++) results *= (double)window->ints[i];
  return results;
}

// As a fast transform: 5 N log2(N) for each line.
static double fourier_flops(const ir_node *node, const int64_t *values) {
  const ir_type *x = &node->operands[0]->type;
  double n = size_of(x->dims[x->rank - 1], values);
  return 5 * elements(x, values) * (n > 1 ? log2(n) : 1);
}

static double flops_of(const ir_node *node, const int64_t *values) {
  const ir_op_info *info = ir_op_get_info(node->op);
  double results = elements(&node->results[0]->type, values);
  switch (info->cost) {
    case IR_COST_MATMUL: {
      const ir_type *x = &node->operands[0]->type;
      return 2 * results * size_of(x->dims[x->rank - 1], values);
    }
    case IR_COST_ATTEND:
      return attend_flops(node, values);
    case IR_COST_CONV:
      return results ? conv_flops(node, values) : 0;
    case IR_COST_WINDOW:
      return window_flops(node, results);
    case IR_COST_FOURIER:
      return fourier_flops(node, values);
    default:
      break;
  }
  bool reads = info->flags & IR_FLAG_REDUCE || node->op == IR_OP_scatter || node->op == IR_OP_top_k;
  return info->cost * (reads ? elements(&node->operands[node->op == IR_OP_scatter]->type, values) : results);
}

static void body_cost(const ir_function *body, const int64_t *values, double *out_flops, double *out_bytes) {
  for (const ir_node *each = body->first; each; each = each->next) {
    double flops, bytes;
    ir_node_cost(each, values, &flops, &bytes);
    *out_flops += flops;
    *out_bytes += bytes;
  }
}

// Of a call, or of one row of a route.
static void callee_cost(const ir_node *node, const int64_t *values, double *out_flops, double *out_bytes) {
  ir_module *module = node->callee->module;
  int count = ir_symbol_count(module->dims);
  const char *error;
  ir_dim experts;
  ir_dim *map = calloc((size_t)count + 1, sizeof *map);
  int64_t *inner = calloc((size_t)count + 1, sizeof *inner);
  bool bound = map && inner;
  if (bound && node->op == IR_OP_call)
    bound = ir_call_bind(node->callee, node->operands, node->operand_count, map, &error);
  else if (bound)
    bound = ir_route_bind(module, node->callee, node->operands, node->operand_count, map, &experts, &error);
  if (bound) {
    for (int i = 0; i < count; i++) inner[i] = map[i] ? (int64_t)size_of(map[i], values) : values[i];
    body_cost(node->callee, inner, out_flops, out_bytes);
  }
  free(map);
  free(inner);
}

// How often the region runs: once for each index.
static double iterations(const ir_node *node, const int64_t *values) {
  double count = 1;
  for (int i = 0; i < node->attrs[0].count; i++) count *= size_of(node->attrs[0].dims[i], values);
  if (node->op == IR_OP_scan || node->op == IR_OP_route) {
    ir_dim dim = node->op == IR_OP_scan ? node->attrs[0].dim : node->operands[0]->type.dims[0];
    count = size_of(dim, values);
  }
  return node->op == IR_OP_cond ? 1 : count;
}

// Operations of the regions; of two the dearer one (cond) or both (scan). What they read is counted by the owner, but
// an iteration of a scan, a branch, or a row of a route reads its tensors anew.
static void region_cost(const ir_node *node, const int64_t *values, double *out_flops, double *out_bytes) {
  double flops = 0, bytes = 0, more_flops = 0, more_bytes = 0;
  bool scalars = node->op == IR_OP_map || node->op == IR_OP_fold;
  double count = iterations(node, values);
  if (node->op == IR_OP_route) callee_cost(node, values, &flops, &bytes);
  else body_cost(node->callee, values, &flops, &bytes);
  if (node->second) body_cost(node->second, values, &more_flops, &more_bytes);
  if (node->op == IR_OP_cond) {
    flops = flops > more_flops ? flops : more_flops;
    bytes = bytes > more_bytes ? bytes : more_bytes;
  } else {
    flops += more_flops + ir_op_get_info(node->op)->cost;
    bytes += more_bytes;
  }
  *out_flops = count * flops;
  *out_bytes = scalars ? 0 : count * bytes;
  for (int i = 0; i < node->operand_count && scalars; i++) *out_bytes += bytes_of(node->operands[i], values);
  for (int i = 0; i < node->result_count && scalars; i++) *out_bytes += bytes_of(node->results[i], values);
}

void ir_node_cost(const ir_node *node, const int64_t *values, double *out_flops, double *out_bytes) {
  *out_flops = *out_bytes = 0;
  if (node->op == IR_OP_call) {
    callee_cost(node, values, out_flops, out_bytes);
    return;
  }
  if (node->callee) {
    region_cost(node, values, out_flops, out_bytes);
    return;
  }
  *out_flops = flops_of(node, values);
  if (node->op == IR_OP_reshape) return;  // a view
  for (int i = 0; i < node->result_count; i++) *out_bytes += bytes_of(node->results[i], values);
  bool picks =
      node->op == IR_OP_gather || node->op == IR_OP_slice || node->op == IR_OP_last || node->op == IR_OP_element;
  if (picks) *out_bytes *= 2;  // reads what it writes, not the whole operand
  for (int i = picks; i < node->operand_count; i++) *out_bytes += bytes_of(node->operands[i], values);
}
