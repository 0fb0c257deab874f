// References of elementwise ops. Suffix broadcasting in row-major order is an index modulo the operand's size.
#include <math.h>

#include "ir/eval.h"

#define UNARY(name, expression)                                                            \
  void ir_eval_##name(const ir_node *node, const ir_tensor *operands, ir_tensor *result) { \
    (void)node;                                                                            \
    int64_t count = ir_tensor_elements(result);                                            \
    for (int64_t i = 0; i < count; i++) {                                                  \
      double x = operands[0].data[i];                                                      \
      result->data[i] = expression;                                                        \
    }                                                                                      \
  }

#define BINARY(name, expression)                                                           \
  void ir_eval_##name(const ir_node *node, const ir_tensor *operands, ir_tensor *result) { \
    (void)node;                                                                            \
    int64_t count = ir_tensor_elements(result);                                            \
    int64_t x_count = ir_tensor_elements(&operands[0]);                                    \
    int64_t y_count = ir_tensor_elements(&operands[1]);                                    \
    bool whole = ir_dtype_is_int(operands[0].dtype);                                       \
    (void)whole;                                                                           \
    for (int64_t i = 0; i < count; i++) {                                                  \
      double x = operands[0].data[i % x_count], y = operands[1].data[i % y_count];         \
      result->data[i] = expression;                                                        \
    }                                                                                      \
  }

// An integer result that wraps in its type.
#define WRAP(expression) ir_wrap_to(result->dtype, (int64_t)(expression))

static uint64_t bits(double x) { return (uint64_t)(int64_t)x; }

static double floor_quotient(double x, double y) {
  int64_t a = (int64_t)x, b = (int64_t)y;
  if (b == 0) return 0;
  if (b == -1) return -(double)a;
  return (double)(a / b - (a % b != 0 && (a % b < 0) != (b < 0)));
}

static double floor_remainder(double x, double y) {
  int64_t a = (int64_t)x, b = (int64_t)y;
  if (b == 0 || b == -1) return 0;
  int64_t rest = a % b;
  return (double)(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

// Exact, with the sign of y.
static double floor_fmod(double x, double y) {
  double rest = fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

static double larger(double x, double y) { return isnan(x) || x > y ? x : y; }
static double smaller(double x, double y) { return isnan(x) || x < y ? x : y; }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double gelu_tanh(double x) { return x * ((1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2); }

UNARY(neg, ir_dtype_is_int(result->dtype) ? WRAP(-bits(x)) : -x)
UNARY(abs, ir_dtype_is_int(result->dtype) && x < 0 ? WRAP(-bits(x)) : fabs(x))
UNARY(exp, exp(x))
UNARY(log, log(x))
UNARY(sqrt, sqrt(x))
UNARY(rsqrt, 1 / sqrt(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(tanh, tanh(x))
UNARY(erf, erf(x))
UNARY(sigmoid, 1 / (1 + exp(-x)))
UNARY(relu, larger(x, 0))
UNARY(silu, x / (1 + exp(-x)))
UNARY(gelu, x *((1 + erf(x / M_SQRT2)) / 2))
UNARY(gelu_tanh, gelu_tanh(x))
UNARY(softplus, softplus(x))
UNARY(floor, floor(x))
UNARY(ceil, ceil(x))
UNARY(round, nearbyint(x))
UNARY(tan, tan(x))
UNARY(asin, asin(x))
UNARY(acos, acos(x))
UNARY(atan, atan(x))
UNARY(sinh, sinh(x))
UNARY(cosh, cosh(x))
UNARY(asinh, asinh(x))
UNARY(acosh, acosh(x))
UNARY(atanh, atanh(x))
UNARY(exp2, exp2(x))
UNARY(log2, log2(x))
UNARY(log1p, log1p(x))
UNARY(expm1, expm1(x))
UNARY(erfc, erfc(x))
UNARY(sign, isnan(x) ? x : (x > 0) - (x < 0))
UNARY(trunc, trunc(x))
UNARY(is_nan, isnan(x) != 0)
UNARY(is_inf, isinf(x) != 0)
UNARY(not, x == 0)

BINARY(add, whole ? WRAP(bits(x) + bits(y)) : x + y)
BINARY(sub, whole ? WRAP(bits(x) - bits(y)) : x - y)
BINARY(mul, whole ? WRAP(bits(x) * bits(y)) : x *y)
BINARY(div, whole ? WRAP(floor_quotient(x, y)) : x / y)
BINARY(mod, whole ? floor_remainder(x, y) : floor_fmod(x, y))
BINARY(pow, pow(x, y))
BINARY(max, isnan(y) ? y : larger(x, y))
BINARY(min, isnan(y) ? y : smaller(x, y))
BINARY(eq, x == y)
BINARY(ne, x != y)
BINARY(lt, x < y)
BINARY(le, x <= y)
BINARY(gt, x > y)
BINARY(ge, x >= y)
BINARY(atan2, atan2(x, y))
BINARY(xor, (x != 0) != (y != 0))
BINARY(with_grad, ((void)y, x))
BINARY(and, x != 0 && y != 0)
BINARY(or, x != 0 || y != 0)

static double convert(ir_dtype from, ir_dtype to, double value) {
  bool narrow = ir_dtype_is_int(from) && ir_dtype_is_int(to);
  return narrow ? ir_wrap_to(to, (int64_t)value) : ir_round_to(to, value);
}

void ir_eval_cast(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) result->data[i] = convert(operands[0].dtype, result->dtype, operands[0].data[i]);
}

void ir_eval_select(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  int64_t count = ir_tensor_elements(result), counts[3];
  for (int j = 0; j < 3; j++) counts[j] = ir_tensor_elements(&operands[j]);
  for (int64_t i = 0; i < count; i++) {
    int from = operands[0].data[i % counts[0]] != 0 ? 1 : 2;
    result->data[i] = operands[from].data[i % counts[from]];
  }
}
