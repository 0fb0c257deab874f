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
#define A4(a, b, c, d) \
  4, { IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_##c, IR_ATTR_##d }
#define A5(a, b, c, d, e) \
  5, { IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_##c, IR_ATTR_##d, IR_ATTR_##e }
#define A6(a, b, c, d, e, f) \
  6, { IR_ATTR_##a, IR_ATTR_##b, IR_ATTR_##c, IR_ATTR_##d, IR_ATTR_##e, IR_ATTR_##f }
#define PURE IR_FLAG_PURE
#define EW IR_FLAG_EW
#define COMM IR_FLAG_COMM
#define REDUCE IR_FLAG_REDUCE
#define MOVE IR_FLAG_MOVE
#define ROW IR_FLAG_ROW
#define STATE IR_FLAG_STATE
#define FLOAT IR_FLAG_FLOAT
#define BOOLS IR_FLAG_BOOLS
#define REGION IR_FLAG_REGION
#define INTS IR_FLAG_INTS
#define MATMUL IR_COST_MATMUL
#define ATTEND IR_COST_ATTEND
#define CONV IR_COST_CONV
#define WINDOW IR_COST_WINDOW
#define FOURIER IR_COST_FOURIER

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

bool ir_op_takes_function(ir_op op) {
  return op == IR_OP_call || op == IR_OP_route || (ops[op].flags & IR_FLAG_REGION);
}

static const char *const combine_names[] = {
#define X(name) #name,
    IR_COMBINES(X)
#undef X
};

const char *ir_combine_name(ir_combine combine) { return combine_names[combine]; }

bool ir_combine_find(const char *name, ir_combine *out) {
  for (int i = 0; i < IR_COMBINE_COUNT; i++) {
    if (strcmp(combine_names[i], name)) continue;
    *out = (ir_combine)i;
    return true;
  }
  return false;
}

ir_attr ir_attr_int(ir_attr_name name, int64_t value) { return (ir_attr){.name = name, .i = value}; }
ir_attr ir_attr_float(ir_attr_name name, double value) { return (ir_attr){.name = name, .f = value}; }
ir_attr ir_attr_dim(ir_attr_name name, ir_dim dim) { return (ir_attr){.name = name, .dim = dim}; }
ir_attr ir_attr_dtype(ir_attr_name name, ir_dtype dtype) { return (ir_attr){.name = name, .dtype = dtype}; }

ir_attr ir_attr_combine(ir_attr_name name, ir_combine combine) { return (ir_attr){.name = name, .combine = combine}; }

ir_attr ir_attr_substitute(ir_dim_table *dims, const ir_attr *attr, const ir_dim *map) {
  ir_attr moved = *attr;
  ir_attr_kind kind = ir_attr_get_kind(attr->name);
  if (kind == IR_ATTR_DIM) moved.dim = ir_dim_substitute(dims, attr->dim, map);
  for (int i = 0; kind == IR_ATTR_DIMS && i < attr->count; i++)
    moved.dims[i] = ir_dim_substitute(dims, attr->dims[i], map);
  return moved;
}

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
