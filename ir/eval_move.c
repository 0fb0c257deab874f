// References of sources and movement.
#include <math.h>
#include <string.h>

#include "ir/eval.h"

static void copy(double *to, const double *from, int64_t count) {
  if (count > 0) memcpy(to, from, (size_t)count * sizeof(double));
}

static int64_t dim_attr(const ir_node *node, ir_attr_name name) {
  int64_t value = 0;
  ir_dim_is_const(ir_node_attr(node, name)->dim, &value);
  return value;
}

void ir_eval_constant(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)operands;
  result->data[0] = ir_node_attr(node, IR_ATTR_value)->f;
}

void ir_eval_size(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)operands;
  result->data[0] = (double)dim_attr(node, IR_ATTR_dim);
}

void ir_eval_iota(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  (void)operands;
  for (int64_t i = 0; i < result->dims[0]; i++) result->data[i] = (double)i;
}

void ir_eval_pos(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)operands;
  int64_t first = dim_attr(node, IR_ATTR_dim);
  for (int64_t i = 0; i < result->dims[0]; i++) result->data[i] = (double)(first + i);
}

void ir_eval_gather(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  const ir_tensor *table = &operands[0], *index = &operands[1];
  int64_t count = ir_tensor_elements(index), total = ir_tensor_elements(result);
  int64_t width = count ? total / count : 0;
  for (int64_t i = 0; i < count; i++) {
    double at = index->data[i];
    bool inside = at >= 0 && at < (double)table->dims[0];
    if (inside) copy(result->data + i * width, table->data + (int64_t)at * width, width);
    for (int64_t j = 0; j < width && !inside; j++) result->data[i * width + j] = NAN;
  }
}

void ir_eval_reshape(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  copy(result->data, operands->data, ir_tensor_elements(result));
}

void ir_eval_permute(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  const ir_attr *perm = ir_node_attr(node, IR_ATTR_perm);
  int64_t strides[IR_MAX_RANK], from[IR_MAX_RANK], count = ir_tensor_elements(result);
  ir_tensor_strides(operands, strides);
  for (int i = 0; i < result->rank; i++) from[i] = strides[perm->ints[i]];
  for (int64_t i = 0; i < count; i++) {
    result->data[i] = operands->data[ir_offset_of(i, result->rank, result->dims, from)];
  }
}

void ir_eval_slice(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t axis = ir_node_attr(node, IR_ATTR_axis)->i, start = dim_attr(node, IR_ATTR_start), inner = 1, outer = 1;
  for (int64_t i = axis + 1; i < result->rank; i++) inner *= result->dims[i];
  for (int64_t i = 0; i < axis; i++) outer *= result->dims[i];
  int64_t before = operands->dims[axis] * inner, after = result->dims[axis] * inner;
  for (int64_t i = 0; i < outer; i++)
    copy(result->data + i * after, operands->data + i * before + start * inner, after);
}

static void join(const ir_tensor *operands, int operand_count, int64_t axis, ir_tensor *result) {
  int64_t inner = 1, outer = 1, offset = 0;
  for (int64_t i = axis + 1; i < result->rank; i++) inner *= result->dims[i];
  for (int64_t i = 0; i < axis; i++) outer *= result->dims[i];
  for (int j = 0; j < operand_count; j++) {
    int64_t part = operands[j].dims[axis] * inner;
    for (int64_t i = 0; i < outer; i++) {
      copy(result->data + i * result->dims[axis] * inner + offset, operands[j].data + i * part, part);
    }
    offset += part;
  }
}

void ir_eval_concat(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  join(operands, node->operand_count, ir_node_attr(node, IR_ATTR_axis)->i, result);
}

void ir_eval_append(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  join(operands, node->operand_count, 0, result);
}

void ir_eval_broadcast(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  int64_t part = ir_tensor_elements(operands), count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i += part) copy(result->data + i, operands->data, part);
}

void ir_eval_last(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  int64_t width = ir_tensor_elements(result);
  copy(result->data, operands->data + (operands->dims[0] - 1) * width, width);
}
