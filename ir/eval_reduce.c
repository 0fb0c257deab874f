// References of reductions and of softmax. Elements are visited in row-major order.
#include <math.h>

#include "ir/eval.h"
#include "ir/rules.h"

// Which elements of the operand belong to one element of the result.
typedef struct {
  int kept_rank, gone_rank;
  int64_t kept_dims[IR_MAX_RANK], kept_strides[IR_MAX_RANK];
  int64_t gone_dims[IR_MAX_RANK], gone_strides[IR_MAX_RANK];
  int64_t count;  // elements reduced
} reduction;

static reduction make_reduction(const ir_node *node, const ir_tensor *x) {
  reduction r = {.count = 1};
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  int64_t strides[IR_MAX_RANK];
  ir_tensor_strides(x, strides);
  for (int axis = 0, next = 0; axis < x->rank; axis++) {
    if (next < over->count && over->ints[next] == axis) {
      next++;
      r.gone_dims[r.gone_rank] = x->dims[axis];
      r.gone_strides[r.gone_rank++] = strides[axis];
      r.count *= x->dims[axis];
    } else {
      r.kept_dims[r.kept_rank] = x->dims[axis];
      r.kept_strides[r.kept_rank++] = strides[axis];
    }
  }
  return r;
}

typedef double (*fold_fn)(double accumulator, double x, ir_dtype dtype);

static void fold(const ir_node *node, const ir_tensor *x, ir_tensor *result, double start, fold_fn step) {
  reduction r = make_reduction(node, x);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    const double *from = x->data + ir_offset_of(i, r.kept_rank, r.kept_dims, r.kept_strides);
    double accumulator = start;
    for (int64_t j = 0; j < r.count; j++) {
      accumulator = step(accumulator, from[ir_offset_of(j, r.gone_rank, r.gone_dims, r.gone_strides)], x->dtype);
    }
    result->data[i] = accumulator;
  }
}

static double step_sum(double a, double x, ir_dtype dtype) {
  return ir_dtype_is_int(dtype) ? ir_wrap_to(dtype, (int64_t)((uint64_t)(int64_t)a + (uint64_t)(int64_t)x)) : a + x;
}
static double step_prod(double a, double x, ir_dtype dtype) {
  return ir_dtype_is_int(dtype) ? ir_wrap_to(dtype, (int64_t)((uint64_t)(int64_t)a * (uint64_t)(int64_t)x)) : a * x;
}
static double step_max(double a, double x, ir_dtype dtype) {
  (void)dtype;
  return isnan(a) || a > x ? a : x;
}
static double step_min(double a, double x, ir_dtype dtype) {
  (void)dtype;
  return isnan(a) || a < x ? a : x;
}
static double step_squares(double a, double x, ir_dtype dtype) {
  (void)dtype;
  return a + x * x;
}

void ir_eval_sum(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, 0, step_sum);
}

void ir_eval_prod(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, 1, step_prod);
}

void ir_eval_mean(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, 0, step_sum);
  double elements = (double)make_reduction(node, operands).count;
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) result->data[i] /= elements;
}

void ir_eval_norm(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, 0, step_squares);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) result->data[i] = sqrt(result->data[i]);
}

// The end of the type's values: smallest (largest if |high|).
static double type_end(ir_dtype dtype, bool high) {
  if (!ir_dtype_is_int(dtype)) return high ? INFINITY : -INFINITY;
  int64_t lo, hi;
  ir_dtype_range(dtype, &lo, &hi);
  return (double)(high ? hi : lo);
}

void ir_eval_amax(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, type_end(result->dtype, false), step_max);
}

void ir_eval_amin(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, type_end(result->dtype, true), step_min);
}

void ir_eval_logsumexp(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  reduction r = make_reduction(node, operands);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    const double *from = operands->data + ir_offset_of(i, r.kept_rank, r.kept_dims, r.kept_strides);
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < r.count; j++) {
      largest = step_max(largest, from[ir_offset_of(j, r.gone_rank, r.gone_dims, r.gone_strides)], IR_f64);
    }
    for (int64_t j = 0; j < r.count && isfinite(largest); j++) {
      sum += exp(from[ir_offset_of(j, r.gone_rank, r.gone_dims, r.gone_strides)] - largest);
    }
    result->data[i] = isfinite(largest) ? largest + log(sum) : largest;
  }
}

static double step_any(double a, double x, ir_dtype dtype) {
  (void)dtype;
  return a != 0 || x != 0;
}
static double step_all(double a, double x, ir_dtype dtype) {
  (void)dtype;
  return a != 0 && x != 0;
}

void ir_eval_any(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, 0, step_any);
}

void ir_eval_all(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  fold(node, operands, result, 1, step_all);
}

// |sign| -1 looks for the smallest.
static void find_extreme(const ir_node *node, const ir_tensor *operands, ir_tensor *result, int sign) {
  reduction r = make_reduction(node, operands);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    const double *from = operands->data + ir_offset_of(i, r.kept_rank, r.kept_dims, r.kept_strides);
    int64_t best = 0;
    for (int64_t j = 1; j < r.count; j++) {
      double x = sign * from[j * r.gone_strides[0]], top = sign * from[best * r.gone_strides[0]];
      if (x > top || (isnan(x) && !isnan(top))) best = j;
    }
    result->data[i] = (double)best;
  }
}

void ir_eval_argmax(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  find_extreme(node, operands, result, 1);
}

void ir_eval_argmin(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  find_extreme(node, operands, result, -1);
}

void ir_eval_softmax(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t strides[IR_MAX_RANK], axis = ir_node_attr(node, IR_ATTR_axis)->i;
  ir_tensor_strides(operands, strides);
  int64_t count = ir_tensor_elements(result), size = result->dims[axis], stride = strides[axis];
  for (int64_t start = 0; start < count; start++) {
    if (start / stride % size) continue;  // not the first along the axis
    const double *x = operands->data + start;
    double *y = result->data + start, largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < size; j++) largest = step_max(largest, x[j * stride], IR_f64);
    for (int64_t j = 0; j < size; j++) sum += y[j * stride] = exp(x[j * stride] - largest);
    for (int64_t j = 0; j < size; j++) y[j * stride] /= sum;
  }
}
