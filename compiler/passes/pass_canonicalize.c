// Canonical form: one way to write what can be written in several. Here is structure, which no rule of a text can say:
// constants are folded with the interpreter's own op references and stand on the right, movements of any shape are
// merged or dropped. Algebra is a matter of rules (models/std/rules.weir, pass_rules.c).
//
// A rewriting looks at one node and gives the value that may stand for its result (an existing one, or a new node in
// front of it), or null. They are tried from first to last node until none applies any more.
#include "compiler/passes/pass.h"

// ---- small questions and builders

static ir_value *operand(const ir_node *node, int i) { return node->operands[i]; }

// The node that defines |value|, if it is an |op|.
static ir_node *def_of(const ir_value *value, ir_op op) {
  return value->def && value->def->op == op ? value->def : NULL;
}

static bool is_constant(const ir_value *value, double *out) {
  const ir_node *def = def_of(value, IR_OP_constant);
  if (def && out) *out = def->attrs[0].f;
  return def != NULL;
}

static bool has_type_of(const ir_value *value, const ir_node *node) {
  return ir_type_equal(&value->type, &node->results[0]->type);
}

// |value| if it may stand for the node's result.
static ir_value *stand_in(ir_value *value, const ir_node *node) { return has_type_of(value, node) ? value : NULL; }

static ir_value *insert(ir_node *node, ir_op op, ir_value *const *operands, int count, const ir_attr *attrs,
                        int attr_count) {
  ir_node *fresh = ir_insert(node->parent, node, op, operands, count, attrs, attr_count, node->loc, NULL);
  return fresh ? fresh->results[0] : NULL;
}

static ir_value *insert_constant(ir_node *node, double value, ir_dtype dtype) {
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, value), ir_attr_dtype(IR_ATTR_dtype, dtype)};
  return insert(node, IR_OP_constant, NULL, 0, attrs, 2);
}

// ---- constants

// Elementwise nodes over constants alone.
static ir_value *fold(ir_node *node) {
  ir_tensor operands[3], result = {.dtype = node->results[0]->type.dtype};
  double values[3], out = 0;
  if (!(ir_op_get_info(node->op)->flags & IR_FLAG_EW)) return NULL;
  for (int i = 0; i < node->operand_count; i++) {
    if (!is_constant(operand(node, i), &values[i])) return NULL;
    operands[i] = (ir_tensor){.dtype = operand(node, i)->type.dtype, .data = &values[i]};
  }
  result.data = &out;
  ir_op_eval(node->op)(node, operands, &result);
  return insert_constant(node, out, result.dtype);
}

static ir_value *size_of_constant(ir_node *node) {
  int64_t size;
  return ir_dim_is_const(node->attrs[0].dim, &size) ? insert_constant(node, (double)size, IR_i32) : NULL;
}

// ---- elementwise

// and, or with a constant.
static ir_value *rewrite_logic(ir_node *node) {
  double constant;
  if (!is_constant(operand(node, 1), &constant)) return NULL;
  bool neutral = (node->op == IR_OP_and) == (constant != 0);
  return stand_in(operand(node, neutral ? 0 : 1), node);
}

// The chosen side of a constant condition.
static ir_value *rewrite_select(ir_node *node) {
  double condition;
  if (!is_constant(operand(node, 0), &condition)) return NULL;
  return stand_in(operand(node, condition != 0 ? 1 : 2), node);
}

// To the same type.
static ir_value *rewrite_cast(ir_node *node) { return has_type_of(operand(node, 0), node) ? operand(node, 0) : NULL; }

// Suffix broadcasting does what a `broadcast` in front does: its source is read directly where the result keeps its
// shape.
static bool skip_broadcasts(ir_node *node) {
  bool changed = false;
  for (int i = 0; i < node->operand_count; i++) {
    ir_node *inner = def_of(operand(node, i), IR_OP_broadcast);
    bool carried = false;
    for (int j = 0; j < node->operand_count; j++)
      carried |= j != i && operand(node, j)->type.rank == node->results[0]->type.rank;
    if (!inner || !carried) continue;
    node->operands[i] = inner->operands[0];
    changed = true;
  }
  return changed;
}

// Constants stand on the right.
static bool order_operands(ir_node *node) {
  if (!is_constant(operand(node, 0), NULL) || is_constant(operand(node, 1), NULL)) return false;
  ir_value *first = node->operands[0];
  node->operands[0] = node->operands[1];
  node->operands[1] = first;
  return true;
}

// ---- movement

static ir_value *rewrite_reshape(ir_node *node) {
  if (has_type_of(operand(node, 0), node)) return operand(node, 0);
  ir_node *inner = def_of(operand(node, 0), IR_OP_reshape);
  return inner ? insert(node, IR_OP_reshape, &inner->operands[0], 1, node->attrs, 1) : NULL;
}

static ir_value *rewrite_permute(ir_node *node) {
  const ir_attr *perm = &node->attrs[0];
  bool identity = true;
  for (int i = 0; i < perm->count; i++) identity &= perm->ints[i] == i;
  if (identity) return operand(node, 0);
  ir_node *inner = def_of(operand(node, 0), IR_OP_permute);
  if (!inner) return NULL;
  ir_attr both = *perm;
  for (int i = 0; i < perm->count; i++) both.ints[i] = inner->attrs[0].ints[perm->ints[i]];
  return insert(node, IR_OP_permute, &inner->operands[0], 1, &both, 1);
}

// The whole; a slice of a slice; exactly one part of a concatenation.
static ir_value *rewrite_slice(ir_node *node) {
  if (has_type_of(operand(node, 0), node)) return operand(node, 0);
  ir_dim_table *dims = node->parent->module->dims;
  int64_t axis = node->attrs[0].i;
  ir_node *inner = def_of(operand(node, 0), IR_OP_slice), *joined = def_of(operand(node, 0), IR_OP_concat);
  if (inner && inner->attrs[0].i == axis) {
    ir_attr attrs[3] = {node->attrs[0], node->attrs[1], node->attrs[2]};
    attrs[1].dim = ir_dim_add(dims, attrs[1].dim, inner->attrs[1].dim);
    attrs[2].dim = ir_dim_add(dims, attrs[2].dim, inner->attrs[1].dim);
    return insert(node, IR_OP_slice, &inner->operands[0], 1, attrs, 3);
  }
  if (!joined || joined->attrs[0].i != axis) return NULL;
  ir_dim start = ir_dim_const(dims, 0);
  for (int i = 0; i < joined->operand_count; i++) {
    ir_dim stop = ir_dim_add(dims, start, operand(joined, i)->type.dims[axis]);
    if (start == node->attrs[1].dim && stop == node->attrs[2].dim) return operand(joined, i);
    start = stop;
  }
  return NULL;
}

static ir_value *rewrite_concat(ir_node *node) { return node->operand_count == 1 ? operand(node, 0) : NULL; }

static ir_value *rewrite_broadcast(ir_node *node) {
  if (has_type_of(operand(node, 0), node)) return operand(node, 0);
  ir_node *inner = def_of(operand(node, 0), IR_OP_broadcast);
  return inner ? insert(node, IR_OP_broadcast, &inner->operands[0], 1, node->attrs, 1) : NULL;
}

// The last of equal rows.
static ir_value *rewrite_last(ir_node *node) {
  ir_node *inner = def_of(operand(node, 0), IR_OP_broadcast);
  return inner ? stand_in(operand(inner, 0), node) : NULL;
}

static ir_value *rewrite_rope(ir_node *node) { return node->attrs[1].i == 0 ? operand(node, 0) : NULL; }

// ---- driver

typedef ir_value *(*rewrite_fn)(ir_node *node);

static const rewrite_fn rewrites[IR_OP_COUNT] = {
    [IR_OP_size] = size_of_constant,   [IR_OP_cast] = rewrite_cast,
    [IR_OP_and] = rewrite_logic,       [IR_OP_or] = rewrite_logic,
    [IR_OP_select] = rewrite_select,   [IR_OP_reshape] = rewrite_reshape,
    [IR_OP_permute] = rewrite_permute, [IR_OP_slice] = rewrite_slice,
    [IR_OP_concat] = rewrite_concat,   [IR_OP_broadcast] = rewrite_broadcast,
    [IR_OP_last] = rewrite_last,       [IR_OP_rope] = rewrite_rope,
};

static bool rewrite_node(ir_node *node) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  bool changed = (flags & IR_FLAG_COMM) && order_operands(node);
  if ((flags & IR_FLAG_EW) && node->operand_count > 1) changed |= skip_broadcasts(node);
  ir_value *value = fold(node);
  if (!value && rewrites[node->op]) value = rewrites[node->op](node);
  if (!value) return changed;
  if (value->def && !value->name) value->name = node->results[0]->name;
  ir_value_replace(node->parent, node->results[0], value);
  ir_node_remove(node);
  return true;
}

bool pass_canonicalize(ir_module *module) {
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) {
    for (bool again = true; again; progress |= again) {
      again = false;
      for (ir_node *node = module->functions[i]->first, *next; node; node = next) {
        next = node->next;
        again |= rewrite_node(node);
      }
    }
  }
  return progress;
}
