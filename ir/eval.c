// Dispatch of the reference evaluators, and the arithmetic of element types.
#include "ir/eval.h"

#include <math.h>

ir_eval_fn ir_op_eval(ir_op op) {
  static const ir_eval_fn functions[] = {
#define OP(name, operands, attrs, type, flags, cost, meaning) ir_eval_##name,
#include "ir/ops.def"
#undef OP
  };
  return ir_op_takes_function(op) ? NULL : functions[op];
}

int64_t ir_tensor_elements(const ir_tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->rank; i++) count *= tensor->dims[i];
  return count;
}

void ir_tensor_strides(const ir_tensor *tensor, int64_t *strides) {
  int64_t stride = 1;
  for (int i = tensor->rank - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= tensor->dims[i];
  }
}

int64_t ir_offset_of(int64_t index, int rank, const int64_t *dims, const int64_t *strides) {
  int64_t offset = 0;
  for (int i = rank - 1; i >= 0; i--) {
    offset += index % dims[i] * strides[i];
    index /= dims[i];
  }
  return offset;
}

// Nearest number with |digits| bits of significand and exponents from |least|; |overflow| beyond |largest|.
static double round_float(double value, int digits, int least, double largest, double overflow) {
  if (value == 0 || !isfinite(value)) return isinf(value) ? copysign(overflow, value) : value;
  int exponent;
  frexp(value, &exponent);
  int quantum = exponent - digits;
  if (quantum < least - digits + 1) quantum = least - digits + 1;
  double rounded = ldexp(nearbyint(ldexp(value, -quantum)), quantum);
  return fabs(rounded) > largest ? copysign(overflow, value) : rounded;
}

static double round_integer(ir_dtype dtype, double value) {
  int bits = 8 * ir_dtype_bytes(dtype);
  double lo = dtype == IR_u8 ? 0 : -ldexp(1, bits - 1);
  double hi = dtype == IR_u8 ? 255 : ldexp(1, bits - 1) - 1;
  if (isnan(value)) return 0;
  value = trunc(value);
  return value < lo ? lo : value > hi ? hi : value;
}

double ir_round_to(ir_dtype dtype, double value) {
  switch (dtype) {
    case IR_f64:
      return value;
    case IR_f32:
      return (float)value;
    case IR_f16:
      return round_float(value, 11, -14, 65504, INFINITY);
    case IR_bf16:
      return round_float(value, 8, -126, 0x1.fep127, INFINITY);
    case IR_f8e4m3:
      return round_float(value, 4, -6, 448, NAN);
    case IR_f8e5m2:
      return round_float(value, 3, -14, 57344, INFINITY);
    case IR_bool:
      return value != 0;
    default:
      return round_integer(dtype, value);
  }
}

double ir_wrap_to(ir_dtype dtype, int64_t value) {
  switch (dtype) {
    case IR_i8:
      return (int8_t)value;
    case IR_i16:
      return (int16_t)value;
    case IR_i32:
      return (int32_t)value;
    case IR_u8:
      return (uint8_t)value;
    default:
      return (double)value;
  }
}

// No node is evaluated through these: they run functions (interpret.c, interpret_region.c).
#define RUNS_FUNCTIONS(name)                                                               \
  void ir_eval_##name(const ir_node *node, const ir_tensor *operands, ir_tensor *result) { \
    (void)node;                                                                            \
    (void)operands;                                                                        \
    (void)result;                                                                          \
  }
RUNS_FUNCTIONS(call)
RUNS_FUNCTIONS(map)
RUNS_FUNCTIONS(fold)
RUNS_FUNCTIONS(scan)
RUNS_FUNCTIONS(cond)
RUNS_FUNCTIONS(route)
