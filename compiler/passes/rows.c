// See rows.h. Attributes that name axes move one axis further in, dims get the rows in front.
#include "compiler/passes/rows.h"

ir_value *pass_rows_insert(pass_rows *x, ir_op op, ir_value *const *operands, int count, const ir_attr *attrs,
                           int attr_count) {
  ir_node *node = ir_insert(x->function, x->position, op, operands, count, attrs, attr_count, x->position->loc, NULL);
  return node ? node->results[0] : NULL;
}

// Attributes one axis further in.
static bool shift_attr(const pass_rows *x, ir_op op, ir_attr *attr) {
  switch (attr->name) {
    case IR_ATTR_axis:
      attr->i++;
      return true;
    case IR_ATTR_over:
      for (int i = 0; i < attr->count; i++) attr->ints[i]++;
      return true;
    case IR_ATTR_perm:
      if (attr->count == IR_MAX_RANK) return false;
      for (int i = attr->count; i > 0; i--) attr->ints[i] = attr->ints[i - 1] + 1;
      attr->ints[0] = 0;
      attr->count++;
      return true;
    case IR_ATTR_dims:
      if (attr->count == IR_MAX_RANK) return false;
      for (int i = attr->count; i > 0; i--) attr->dims[i] = attr->dims[i - 1];
      attr->dims[0] = x->rows;
      attr->count++;
      return true;
    default:
      return op != IR_OP_iota;
  }
}

static bool has_form(const ir_node *node) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  switch (node->op) {
    case IR_OP_reshape:
    case IR_OP_permute:
    case IR_OP_slice:
    case IR_OP_concat:
    case IR_OP_softmax:
      return true;
    default:
      return (flags & (IR_FLAG_EW | IR_FLAG_REDUCE)) != 0;
  }
}

ir_value *pass_rows_node(pass_rows *x, const ir_node *node) {
  ir_value *operands[16];
  ir_attr attrs[8];
  bool any = false, all = true;
  if (node->operand_count > 16 || node->attr_count > 8 || node->callee || node->result_count != 1) return NULL;
  for (int i = 0; i < node->operand_count; i++) {
    int id = node->operands[i]->id;
    operands[i] = x->values[id];
    if (!operands[i]) return NULL;
    any |= x->has_rows[id];
    all &= x->has_rows[id] || node->operands[i]->type.rank == 0;
  }
  for (int i = 0; i < node->attr_count; i++) attrs[i] = node->attrs[i];
  if (any && (!has_form(node) || (!all && node->op == IR_OP_concat))) return NULL;
  for (int i = 0; any && i < node->attr_count; i++)
    if (!shift_attr(x, node->op, &attrs[i])) return NULL;
  int id = node->results[0]->id;
  x->has_rows[id] = any;
  return x->values[id] = pass_rows_insert(x, node->op, operands, node->operand_count, attrs, node->attr_count);
}
