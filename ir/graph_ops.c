// The op and attribute tables as data, and attributes as values.
#include <string.h>

#include "ir/graph.h"

#define A0 \
  0, { 0 }
#define A1(a) \
  1, { IR_ATTR_##a }
#define A2(a, b) \
  2, { IR_ATTR_##a, IR_ATTR_##b }
#define A3(a, b, c) \
  3, { IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_##c }
#define PURE IR_FLAG_PURE
#define EW IR_FLAG_EW
#define COMM IR_FLAG_COMM
#define REDUCE IR_FLAG_REDUCE
#define MOVE IR_FLAG_MOVE
#define ROW IR_FLAG_ROW
#define STATE IR_FLAG_STATE
#define FLOAT IR_FLAG_FLOAT
#define BOOLS IR_FLAG_BOOLS
#define MATMUL IR_COST_MATMUL
#define ATTEND IR_COST_ATTEND

static const ir_op_info ops[] = {
#define OP(name, operands, attrs, type, flags, cost, meaning) {#name, operands, attrs, flags, cost, meaning},
#include "ir/ops.def"
#undef OP
};

static const struct {
  const char *name;
  ir_attr_kind kind;
} attrs[] = {
#define ATTR(name, kind, meaning) {#name, IR_ATTR_##kind},
#include "ir/attrs.def"
#undef ATTR
};

const ir_op_info *ir_op_get_info(ir_op op) { return &ops[op]; }
const char *ir_attr_get_name(ir_attr_name name) { return attrs[name].name; }
ir_attr_kind ir_attr_get_kind(ir_attr_name name) { return attrs[name].kind; }

bool ir_op_find(const char *name, ir_op *out) {
  for (int i = 0; i < IR_OP_COUNT; i++) {
    if (strcmp(ops[i].name, name)) continue;
    *out = (ir_op)i;
    return true;
  }
  return false;
}

ir_attr ir_attr_int(ir_attr_name name, int64_t value) { return (ir_attr){.name = name, .i = value}; }
ir_attr ir_attr_float(ir_attr_name name, double value) { return (ir_attr){.name = name, .f = value}; }
ir_attr ir_attr_dim(ir_attr_name name, ir_dim dim) { return (ir_attr){.name = name, .dim = dim}; }
ir_attr ir_attr_dtype(ir_attr_name name, ir_dtype dtype) { return (ir_attr){.name = name, .dtype = dtype}; }

ir_attr ir_attr_ints(ir_attr_name name, const int64_t *values, int count) {
  ir_attr attr = {.name = name, .count = count};
  for (int i = 0; i < count && i < IR_MAX_RANK; i++) attr.ints[i] = values[i];
  return attr;
}

ir_attr ir_attr_dims(ir_attr_name name, const ir_dim *dims, int count) {
  ir_attr attr = {.name = name, .count = count};
  for (int i = 0; i < count && i < IR_MAX_RANK; i++) attr.dims[i] = dims[i];
  return attr;
}

const ir_attr *ir_node_attr(const ir_node *node, ir_attr_name name) {
  for (int i = 0; i < node->attr_count; i++) {
    if (node->attrs[i].name == name) return &node->attrs[i];
  }
  return NULL;
}
