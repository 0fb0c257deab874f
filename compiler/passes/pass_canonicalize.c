// Canonical form: one way to write what can be written in several. Rules are exact for finite numbers: they remove
// identities, merge movements, fold constants with the interpreter's own op references, and merge constant factors only
// where no rounding can differ.
//
// A rule looks at one node and gives the value that may stand for its result (an existing one, or a new node in front
// of it), or null. Rules are tried from first to last node until none applies any more.
#include <math.h>

#include "compiler/passes/pass.h"
#include "ir/rules.h"

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

static bool is_number(const ir_value *value, double number) {
  double x;
  return is_constant(value, &x) && x == number;
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

static bool is_integer(const ir_node *node) { return ir_dtype_is_int(node->results[0]->type.dtype); }

// A factor that never rounds: a power of two, in a type whose exponents leave room for it.
static bool is_exact_factor(double x, ir_dtype dtype) {
  int exponent;
  bool wide = dtype == IR_f32 || dtype == IR_f64 || dtype == IR_bf16;
  return wide && isfinite(x) && fabs(frexp(x, &exponent)) == 0.5 && exponent > -30 && exponent < 30;
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

// x * a * b == x * (a * b): always for integers, for floats where one factor is a power of two. Sums: integers only.
static ir_value *merge_constants(ir_node *node) {
  ir_node *inner = def_of(operand(node, 0), node->op);
  double a, b;
  if (!inner || !is_constant(operand(inner, 1), &a) || !is_constant(operand(node, 1), &b)) return NULL;
  ir_dtype dtype = node->results[0]->type.dtype;
  bool exact = is_integer(node) ? fabs(a) < 0x1p20 && fabs(b) < 0x1p20
                                : node->op == IR_OP_mul && (is_exact_factor(a, dtype) || is_exact_factor(b, dtype));
  if (!exact) return NULL;
  ir_value *merged = insert_constant(node, node->op == IR_OP_mul ? a * b : a + b, dtype);
  ir_value *operands[2] = {operand(inner, 0), merged};
  return merged ? insert(node, node->op, operands, 2, NULL, 0) : NULL;
}

// ---- elementwise

static ir_value *rewrite_add(ir_node *node) {
  if (is_number(operand(node, 1), 0)) return stand_in(operand(node, 0), node);
  return merge_constants(node);
}

static ir_value *rewrite_sub(ir_node *node) {
  return is_number(operand(node, 1), 0) ? stand_in(operand(node, 0), node) : NULL;
}

static ir_value *rewrite_mul(ir_node *node) {
  if (is_number(operand(node, 1), 1)) return stand_in(operand(node, 0), node);
  return merge_constants(node);
}

// By a power of two a division is a multiplication.
static ir_value *rewrite_div(ir_node *node) {
  double by;
  if (!is_constant(operand(node, 1), &by)) return NULL;
  if (by == 1) return stand_in(operand(node, 0), node);
  if (is_integer(node) || !is_exact_factor(by, node->results[0]->type.dtype)) return NULL;
  ir_value *operands[2] = {operand(node, 0), insert_constant(node, 1 / by, node->results[0]->type.dtype)};
  return insert(node, IR_OP_mul, operands, 2, NULL, 0);
}

static ir_value *rewrite_pow(ir_node *node) {
  return is_number(operand(node, 1), 1) ? stand_in(operand(node, 0), node) : NULL;
}

// neg neg, not not.
static ir_value *rewrite_involution(ir_node *node) {
  ir_node *inner = def_of(operand(node, 0), node->op);
  return inner ? operand(inner, 0) : NULL;
}

// abs abs, relu relu, floor floor ...
static ir_value *rewrite_idempotent(ir_node *node) {
  return def_of(operand(node, 0), node->op) ? operand(node, 0) : NULL;
}

// max, min, and, or of a value with itself; and, or with a constant that decides nothing.
static ir_value *rewrite_lattice(ir_node *node) {
  if (operand(node, 0) == operand(node, 1)) return operand(node, 0);
  bool neutral = (node->op == IR_OP_and && is_number(operand(node, 1), 1)) ||
                 (node->op == IR_OP_or && is_number(operand(node, 1), 0));
  return neutral ? stand_in(operand(node, 0), node) : NULL;
}

static ir_value *rewrite_select(ir_node *node) {
  double condition;
  if (operand(node, 1) == operand(node, 2)) return stand_in(operand(node, 1), node);
  if (!is_constant(operand(node, 0), &condition)) return NULL;
  return stand_in(operand(node, condition != 0 ? 1 : 2), node);
}

// True where every value of |from| is one of |to|.
static bool is_widening(ir_dtype from, ir_dtype to) {
  if (from == to || to == IR_f64) return from != IR_i64;
  if (to == IR_f32) return ir_dtype_is_float(from) ? from != IR_f64 : from != IR_i32 && from != IR_i64;
  int64_t from_lo, from_hi, to_lo, to_hi;
  if (!ir_dtype_is_int(from) || !ir_dtype_is_int(to)) return false;
  ir_dtype_range(from, &from_lo, &from_hi);
  ir_dtype_range(to, &to_lo, &to_hi);
  return from_lo >= to_lo && from_hi <= to_hi;
}

// A cast to the same type; a cast of a widening cast reads the narrow value. Integers that become floats and integers
// again would saturate instead of wrapping: only back to a type that holds them.
static ir_value *rewrite_cast(ir_node *node) {
  if (has_type_of(operand(node, 0), node)) return operand(node, 0);
  const ir_node *inner = def_of(operand(node, 0), IR_OP_cast);
  if (!inner) return NULL;
  ir_dtype from = operand(inner, 0)->type.dtype, middle = inner->results[0]->type.dtype,
           to = node->results[0]->type.dtype;
  bool one_family = ir_dtype_is_int(from) == ir_dtype_is_int(middle) || is_widening(from, to);
  if (from == IR_bool || !is_widening(from, middle) || !one_family) return NULL;
  if (from == to) return operand(inner, 0);
  return insert(node, IR_OP_cast, &inner->operands[0], 1, node->attrs, 1);
}

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
    [IR_OP_size] = size_of_constant,   [IR_OP_neg] = rewrite_involution,   [IR_OP_not] = rewrite_involution,
    [IR_OP_abs] = rewrite_idempotent,  [IR_OP_relu] = rewrite_idempotent,  [IR_OP_floor] = rewrite_idempotent,
    [IR_OP_ceil] = rewrite_idempotent, [IR_OP_round] = rewrite_idempotent, [IR_OP_cast] = rewrite_cast,
    [IR_OP_add] = rewrite_add,         [IR_OP_sub] = rewrite_sub,          [IR_OP_mul] = rewrite_mul,
    [IR_OP_div] = rewrite_div,         [IR_OP_pow] = rewrite_pow,          [IR_OP_max] = rewrite_lattice,
    [IR_OP_min] = rewrite_lattice,     [IR_OP_and] = rewrite_lattice,      [IR_OP_or] = rewrite_lattice,
    [IR_OP_select] = rewrite_select,   [IR_OP_reshape] = rewrite_reshape,  [IR_OP_permute] = rewrite_permute,
    [IR_OP_slice] = rewrite_slice,     [IR_OP_concat] = rewrite_concat,    [IR_OP_broadcast] = rewrite_broadcast,
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
