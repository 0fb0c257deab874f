// The two evaluations of a rule's sides.
#include "ir/rewrite_eval.h"

#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "runtime/base/checked.h"

typedef struct {
  weir_arena *arena;
  const ir_function *function;
  ir_tensor *values;  // by id
  double **errors;    // by id; null: rounded evaluation
  double work;        // done so far: operations and bytes
} run;

enum { MOST_WORK = 1 << 21 };  // of one evaluation: a text may not make a test last

// Bounds are in these units: the interpreter's own functions are good to a few.
static const double unit = 4 * 0x1p-53;

static weir_status room_for(run *r, const ir_type *type, ir_tensor *out) {
  int64_t count = 1;
  *out = (ir_tensor){.dtype = type->dtype, .rank = type->rank};
  for (int i = 0; i < type->rank; i++) {
    if (!ir_dim_is_const(type->dims[i], &out->dims[i]) || !weir_mul_i64(count, out->dims[i], &count) || count < 0 ||
        count > MOST_WORK)
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "its tensors are too large");
  }
  out->data = WEIR_NEW_ARRAY(r->arena, double, count);
  return WEIR_OK;
}

// The evaluator of an op; |pos| begins at 0 here.
static void apply(const run *r, const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  ir_node copy = *node;
  ir_attr attr;
  if (node->op == IR_OP_pos) {
    attr = ir_attr_dim(IR_ATTR_dim, ir_dim_const(r->function->module->dims, 0));
    copy.attrs = &attr;
  }
  if (ir_tensor_elements(result) > 0) ir_op_eval(node->op)(&copy, operands, result);
}

// ---- rounded

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

static uint64_t mix_number(uint64_t hash, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return mix(hash, bits);
}

static int digits_of(ir_dtype dtype) {
  switch (dtype) {
    case IR_f64:
      return 53;
    case IR_f32:
      return 24;
    case IR_f16:
      return 11;
    case IR_bf16:
      return 8;
    case IR_f8e4m3:
      return 4;
    default:
      return 3;
  }
}

// One of the neighbours of |value|, or itself.
static double choose(ir_dtype dtype, double value, uint64_t hash) {
  static const double steps[] = {0, 1, -1, 0};
  if (!isfinite(value) || value == 0) return value;
  return ir_round_to(dtype, value + steps[hash >> 62] * fabs(value) * ldexp(1, 1 - digits_of(dtype)));
}

// Whether IEEE arithmetic fixes the result of an elementwise op: of those that are no more work than a root.
static bool is_fixed(ir_op op) { return ir_op_get_info(op)->cost <= ir_op_get_info(IR_OP_sqrt)->cost; }

static bool is_extreme(ir_op op) { return op == IR_OP_amax || op == IR_OP_amin || op == IR_OP_argmax; }

static void choose_elementwise(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    uint64_t hash = mix(0, (uint64_t)node->op + 1);
    for (int k = 0; k < node->operand_count; k++)
      hash = mix_number(hash, operands[k].data[i % ir_tensor_elements(&operands[k])]);
    result->data[i] = choose(result->dtype, result->data[i], hash);
  }
}

// By the sequence of the terms of each sum, and the axes that they lie on.
static void choose_reduced(const ir_node *node, const ir_tensor *x, ir_tensor *result) {
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  int64_t strides[IR_MAX_RANK], kept_dims[IR_MAX_RANK], kept_strides[IR_MAX_RANK];
  int64_t gone_dims[IR_MAX_RANK], gone_strides[IR_MAX_RANK], terms = 1, count = ir_tensor_elements(result);
  int kept = 0, gone = 0;
  uint64_t start = mix(0, (uint64_t)node->op + 1);
  ir_tensor_strides(x, strides);
  for (int axis = 0; axis < x->rank; axis++) {
    bool reduced = gone < over->count && over->ints[gone] == axis;
    if (reduced) gone_dims[gone] = x->dims[axis], gone_strides[gone++] = strides[axis], terms *= x->dims[axis];
    else kept_dims[kept] = x->dims[axis], kept_strides[kept++] = strides[axis];
  }
  for (int i = 0; i < gone; i++) start = mix(start, (uint64_t)gone_dims[i]);
  for (int64_t i = 0; i < count; i++) {
    const double *from = x->data + ir_offset_of(i, kept, kept_dims, kept_strides);
    uint64_t hash = start;
    for (int64_t j = 0; j < terms; j++) hash = mix_number(hash, from[ir_offset_of(j, gone, gone_dims, gone_strides)]);
    result->data[i] = choose(result->dtype, result->data[i], hash);
  }
}

static void choose_any(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  uint64_t hash = mix(0, (uint64_t)node->op + 1);
  for (int k = 0; k < node->operand_count; k++) {
    int64_t count = ir_tensor_elements(&operands[k]);
    for (int i = 0; i < operands[k].rank; i++) hash = mix(hash, (uint64_t)operands[k].dims[i]);
    for (int64_t i = 0; i < count; i++) hash = mix_number(hash, operands[k].data[i]);
  }
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) result->data[i] = choose(result->dtype, result->data[i], mix(hash, (uint64_t)i));
}

static void round_result(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  int64_t count = ir_tensor_elements(result);
  if (!ir_dtype_is_float(result->dtype)) return;
  for (int64_t i = 0; i < count; i++) result->data[i] = ir_round_to(result->dtype, result->data[i]);
  if (!node->operand_count || (flags & IR_FLAG_MOVE) || is_extreme(node->op)) return;
  if (flags & IR_FLAG_EW) {
    if (!is_fixed(node->op)) choose_elementwise(node, operands, result);
  } else if ((flags & IR_FLAG_REDUCE) && ir_node_attr(node, IR_ATTR_over)) {
    choose_reduced(node, operands, result);
  } else {
    choose_any(node, operands, result);
  }
}

// ---- bounded

static double *new_errors(const run *r, const ir_tensor *tensor) {
  return WEIR_NEW_ARRAY(r->arena, double, ir_tensor_elements(tensor));
}

// Evaluates the node with operand k moved by |signs[k]| times its errors (alternating where |signs[k]| is 2), and
// raises |errors| to the distance from |result|, |factor| times.
static void widen(run *r, const ir_node *node, const ir_tensor *operands, const ir_tensor *result, const int *signs,
                  double factor, double *errors) {
  ir_tensor moved[8], other = *result;
  other.data = new_errors(r, result);
  for (int k = 0; k < node->operand_count; k++) {
    const double *e = r->errors[node->operands[k]->id];
    int64_t count = ir_tensor_elements(&operands[k]);
    moved[k] = operands[k];
    moved[k].data = new_errors(r, &operands[k]);
    for (int64_t i = 0; i < count; i++) {
      int sign = signs[k] == 2 ? (i % 2 ? 1 : -1) : signs[k];
      double x = operands[k].data[i];
      moved[k].data[i] = e[i] == 0 || !isfinite(x) ? x : x + sign * e[i];
    }
  }
  apply(r, node, moved, &other);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    double a = result->data[i], b = other.data[i];
    if (a == b || (isnan(a) && isnan(b))) continue;
    double gap = factor * fabs(a - b);
    if (!isfinite(gap)) gap = INFINITY;
    if (gap > errors[i]) errors[i] = gap;
  }
}

static double largest(const ir_tensor *tensor, const double *errors) {
  double most = 0;
  int64_t count = ir_tensor_elements(tensor);
  for (int64_t i = 0; i < count; i++) {
    double x = errors ? errors[i] : fabs(tensor->data[i]);
    if (isfinite(x) && x > most) most = x;
    if (errors && !isfinite(x)) return INFINITY;
  }
  return most;
}

// Own errors of |amount| of each element, and what is lost where it is too small to be a normal number.
static void add_own(const ir_tensor *result, double amount, double *errors) {
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    double y = result->data[i];
    if (!isfinite(y) || y == 0) continue;
    errors[i] += amount * fabs(y) + (fabs(y) < 0x1p-1022 ? 0x1p-1074 : 0);
  }
}

// A zero that comes of numbers that are none may be what was left of a small number.
static void add_underflow(const ir_node *node, const ir_tensor *operands, const ir_tensor *result, double *errors) {
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    bool small = result->data[i] == 0;
    for (int k = 0; k < node->operand_count && small; k++) {
      double x = operands[k].data[i % ir_tensor_elements(&operands[k])];
      small = isfinite(x) && x != 0;
    }
    if (small) errors[i] += 0x1p-1074;
  }
}

// Applies the op to errors, or to magnitudes, in the place of the operands.
static void apply_errors(run *r, const ir_node *node, const ir_tensor *operands, ir_tensor *result, bool magnitudes) {
  ir_tensor moved[IR_MAX_RANK * 4];
  for (int k = 0; k < node->operand_count; k++) {
    int64_t count = ir_tensor_elements(&operands[k]);
    moved[k] = operands[k];
    if (node->op == IR_OP_gather && k == 1) continue;  // the index
    moved[k].data = new_errors(r, &operands[k]);
    for (int64_t i = 0; i < count; i++)
      moved[k].data[i] = magnitudes ? fabs(operands[k].data[i]) : r->errors[node->operands[k]->id][i];
  }
  result->data = new_errors(r, result);
  apply(r, node, moved, result);
}

static bool is_anchored(const double *errors, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (errors[i] != 0) return false;
  }
  return true;
}

static int64_t terms_of(const ir_node *node, const ir_tensor *operands, const ir_tensor *result) {
  int64_t most = 1;
  for (int k = 0; k < node->operand_count; k++) {
    int64_t count = ir_tensor_elements(&operands[k]);
    most = count > most ? count : most;
  }
  (void)result;
  return most;
}

static void bound_elementwise(run *r, const ir_node *node, const ir_tensor *operands, const ir_tensor *result,
                              double *errors) {
  int corners = 1 << node->operand_count;
  bool anchored = true;
  for (int k = 0; k < node->operand_count; k++)
    anchored = anchored && is_anchored(r->errors[node->operands[k]->id], ir_tensor_elements(&operands[k]));
  for (int corner = 0; corner < corners && !anchored; corner++) {
    int signs[3];
    for (int k = 0; k < node->operand_count; k++) signs[k] = corner >> k & 1 ? 1 : -1;
    widen(r, node, operands, result, signs, 1.5, errors);
  }
  if (!ir_dtype_is_float(result->dtype)) return;
  add_own(result, unit, errors);
  if (node->op == IR_OP_mul || node->op == IR_OP_div || !is_fixed(node->op))
    add_underflow(node, operands, result, errors);
}

// Sums and products of sums: errors of the operands, and a unit for each term of the sum of magnitudes.
static void bound_linear(run *r, const ir_node *node, const ir_tensor *operands, ir_tensor *result, double *errors) {
  ir_tensor sizes = *result, one = *result, other = *result;
  double terms = (double)terms_of(node, operands, result);
  int64_t count = ir_tensor_elements(result);
  apply_errors(r, node, operands, &sizes, true);
  if (node->operand_count == 1) {
    apply_errors(r, node, operands, &one, false);
    for (int64_t i = 0; i < count; i++) errors[i] += one.data[i] + terms * unit * sizes.data[i];
    return;
  }
  double *kept[2] = {r->errors[node->operands[0]->id], r->errors[node->operands[1]->id]};
  for (int k = 0; k < 2; k++) {  // |x| with errors of w, |w| with errors of x
    int64_t elements = ir_tensor_elements(&operands[k]);
    ir_tensor moved[2] = {operands[0], operands[1]};
    moved[1 - k].data = new_errors(r, &operands[1 - k]);
    for (int64_t i = 0; i < ir_tensor_elements(&operands[1 - k]); i++)
      moved[1 - k].data[i] = fabs(operands[1 - k].data[i]) + kept[1 - k][i];
    moved[k].data = WEIR_NEW_ARRAY(r->arena, double, elements);
    memcpy(moved[k].data, kept[k], (size_t)elements * sizeof(double));
    other.data = new_errors(r, result);
    apply(r, node, moved, &other);
    for (int64_t i = 0; i < count; i++) errors[i] += other.data[i];
  }
  for (int64_t i = 0; i < count; i++) errors[i] += terms * unit * sizes.data[i];
}

// exp(x - max) / sum: relative errors grow with the errors and the size of what stands in the exponent.
static void bound_softmax(run *r, const ir_node *node, const ir_tensor *operands, const ir_tensor *result,
                          double *errors) {
  double most = largest(&operands[0], r->errors[node->operands[0]->id]), size = largest(&operands[0], NULL);
  double relative = expm1(4 * most) + ((double)terms_of(node, operands, result) + 2 * size) * unit;
  add_own(result, relative, errors);
  add_underflow(node, operands, result, errors);
}

// Anything else: moved all together, against each other, and apart; four times what was seen.
static void bound_other(run *r, const ir_node *node, const ir_tensor *operands, const ir_tensor *result,
                        double *errors) {
  static const int ways[4][8] = {{1, 1, 1, 1, 1, 1, 1, 1},
                                 {-1, -1, -1, -1, -1, -1, -1, -1},
                                 {2, 1, 2, 1, 2, 1, 2, 1},
                                 {1, -1, 2, -1, 1, 2, 1, -1}};
  double size = largest(result, NULL);
  for (int k = 0; k < node->operand_count; k++) {
    double most = largest(&operands[k], NULL);
    size = most > size ? most : size;
  }
  for (int way = 0; way < 4 && node->operand_count <= 8; way++) widen(r, node, operands, result, ways[way], 4, errors);
  int64_t count = ir_tensor_elements(result);
  bool floats = ir_dtype_is_float(result->dtype);
  for (int64_t i = 0; i < count && floats; i++)
    errors[i] += isfinite(result->data[i]) ? (double)terms_of(node, operands, result) * unit * size : 0;
}

static void bound_result(run *r, const ir_node *node, const ir_tensor *operands, ir_tensor *result, double *errors) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  int64_t count = ir_tensor_elements(result);
  if (!node->operand_count) {  // numbers may come of a computation while the text was elaborated
    if (ir_dtype_is_float(result->dtype)) add_own(result, unit, errors);
  } else if (flags & IR_FLAG_EW) {
    bound_elementwise(r, node, operands, result, errors);
  } else if ((flags & IR_FLAG_MOVE) && node->operand_count <= IR_MAX_RANK * 4) {
    ir_tensor moved = *result;
    apply_errors(r, node, operands, &moved, false);
    memcpy(errors, moved.data, (size_t)count * sizeof *errors);
  } else if (node->op == IR_OP_sum || node->op == IR_OP_mean || node->op == IR_OP_linear || node->op == IR_OP_matmul) {
    bound_linear(r, node, operands, result, errors);
  } else if (node->op == IR_OP_softmax) {
    bound_softmax(r, node, operands, result, errors);
  } else {
    bound_other(r, node, operands, result, errors);
  }
  for (int64_t i = 0; i < count; i++) {
    // A special value that no neighbour shares is an edge: nothing can be said.
    if (isnan(errors[i])) errors[i] = isfinite(result->data[i]) ? INFINITY : 0;
  }
}

// ---- both

// Real numbers: a float stays what it is when its type changes.
static void apply_real(const run *r, const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  bool widening = node->op == IR_OP_cast && ir_dtype_is_float(result->dtype) && operands[0].dtype != IR_bool;
  if (!widening) apply(r, node, operands, result);
  else memcpy(result->data, operands[0].data, (size_t)ir_tensor_elements(result) * sizeof(double));
}

static weir_status run_node(run *r, const ir_node *node) {
  ir_tensor *operands = WEIR_NEW_ARRAY(r->arena, ir_tensor, node->operand_count), *result;
  if (node->callee || node->result_count != 1 || !ir_op_eval(node->op))
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "%s is no operation of whole tensors",
                            ir_op_get_info(node->op)->name);
  for (int i = 0; i < node->operand_count; i++) operands[i] = r->values[node->operands[i]->id];
  result = &r->values[node->results[0]->id];
  WEIR_TRY(room_for(r, &node->results[0]->type, result));
  double flops, bytes;
  ir_node_cost(node, NULL, &flops, &bytes);  // every dim is a number
  r->work += flops + bytes;
  if (!(r->work <= MOST_WORK)) return weir_status_make(WEIR_CODE_UNSUPPORTED, "it is too much work");
  if (!r->errors) {
    apply(r, node, operands, result);
    round_result(node, operands, result);
    return WEIR_OK;
  }
  apply_real(r, node, operands, result);
  double *errors = r->errors[node->results[0]->id] = new_errors(r, result);
  bool same = node->op == IR_OP_cast && ir_dtype_is_float(result->dtype) && ir_dtype_is_float(operands[0].dtype);
  if (same) memcpy(errors, r->errors[node->operands[0]->id], (size_t)ir_tensor_elements(result) * sizeof *errors);
  else bound_result(r, node, operands, result, errors);
  return WEIR_OK;
}

static weir_status run_all(run *r, const ir_tensor *args, ir_tensor *out_result) {
  const ir_function *function = r->function;
  for (int i = 0; i < function->param_count; i++) {
    int id = function->params[i].value->id;
    r->values[id] = args[i];
    if (r->errors) r->errors[id] = new_errors(r, &args[i]);
  }
  for (const ir_node *node = function->first; node; node = node->next) WEIR_TRY(run_node(r, node));
  *out_result = r->values[function->results[0].value->id];
  return WEIR_OK;
}

weir_status ir_rewrite_eval_rounded(weir_arena *arena, const ir_function *function, const ir_tensor *args,
                                    ir_tensor *out_result, double *out_work) {
  run r = {.arena = arena, .function = function};
  r.values = WEIR_NEW_ARRAY(arena, ir_tensor, function->next_id + 1);
  weir_status status = run_all(&r, args, out_result);
  *out_work = r.work;
  return status;
}

weir_status ir_rewrite_eval_bounded(weir_arena *arena, const ir_function *function, const ir_tensor *args,
                                    ir_tensor *out_result, double **out_errors) {
  run r = {.arena = arena, .function = function};
  r.values = WEIR_NEW_ARRAY(arena, ir_tensor, function->next_id + 1);
  r.errors = WEIR_NEW_ARRAY(arena, double *, function->next_id + 1);
  WEIR_TRY(run_all(&r, args, out_result));
  *out_errors = r.errors[function->results[0].value->id];
  return WEIR_OK;
}
