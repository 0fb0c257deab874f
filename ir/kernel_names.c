// Names, widths and value rules of the kernel IR's element types and operations.
#include <math.h>

#include "ir/kernel_internal.h"

typedef struct {
  const char *name;
  int bytes;
  bool is_float, is_signed;
} type_row;

static const type_row types[IR_KT_COUNT] = {
    [IR_KT_f16] = {"f16", 2, true, true},       [IR_KT_bf16] = {"bf16", 2, true, true},
    [IR_KT_f32] = {"f32", 4, true, true},       [IR_KT_f64] = {"f64", 8, true, true},
    [IR_KT_f8e4m3] = {"f8e4m3", 1, true, true}, [IR_KT_f8e5m2] = {"f8e5m2", 1, true, true},
    [IR_KT_i8] = {"i8", 1, false, true},        [IR_KT_i16] = {"i16", 2, false, true},
    [IR_KT_i32] = {"i32", 4, false, true},      [IR_KT_i64] = {"i64", 8, false, true},
    [IR_KT_u8] = {"u8", 1, false, false},       [IR_KT_bool] = {"bool", 1, false, false},
    [IR_KT_u16] = {"u16", 2, false, false},     [IR_KT_u32] = {"u32", 4, false, false},
};

static const char *const op_names[IR_K_COUNT] = {
#define KOP(name, operands, meaning) [IR_K_##name] = #name,
    IR_KERNEL_OPS(KOP)
#undef KOP
};

const char *ir_ktype_name(ir_ktype type) { return (unsigned)type < IR_KT_COUNT ? types[type].name : "?"; }
int ir_ktype_bytes(ir_ktype type) { return (unsigned)type < IR_KT_COUNT ? types[type].bytes : 1; }
bool ir_ktype_is_float(ir_ktype type) { return (unsigned)type < IR_KT_COUNT && types[type].is_float; }
bool ir_ktype_is_int(ir_ktype type) {
  return (unsigned)type < IR_KT_COUNT && !types[type].is_float && type != IR_KT_bool;
}
const char *ir_kop_name(ir_kop op) { return (unsigned)op < IR_K_COUNT ? op_names[op] : "?"; }

void ir_ktype_limits(ir_ktype type, int64_t *out_lo, int64_t *out_hi) {
  if (type == IR_KT_bool) {
    *out_lo = 0, *out_hi = 1;
    return;
  }
  int bits = 8 * ir_ktype_bytes(type);
  if ((unsigned)type >= IR_KT_COUNT || types[type].is_float || bits == 64) {
    *out_lo = INT64_MIN, *out_hi = INT64_MAX;
  } else if (types[type].is_signed) {
    *out_lo = -(INT64_C(1) << (bits - 1)), *out_hi = (INT64_C(1) << (bits - 1)) - 1;
  } else {
    *out_lo = 0, *out_hi = (INT64_C(1) << bits) - 1;
  }
}

int64_t ir_ktype_wrap(ir_ktype type, int64_t value) {
  switch (type) {
    case IR_KT_i8:
      return (int8_t)value;
    case IR_KT_i16:
      return (int16_t)value;
    case IR_KT_i32:
      return (int32_t)value;
    case IR_KT_u8:
      return (uint8_t)value;
    case IR_KT_u16:
      return (uint16_t)value;
    case IR_KT_u32:
      return (uint32_t)value;
    case IR_KT_bool:
      return value != 0;
    default:
      return value;
  }
}

double ir_ktype_round(ir_ktype type, double value) { return type == IR_KT_f32 ? (double)(float)value : value; }

int64_t ir_ktype_saturate(ir_ktype type, double value) {
  if (type == IR_KT_bool) return value != 0;
  if (isnan(value)) return 0;
  int64_t lo, hi;
  ir_ktype_limits(type, &lo, &hi);
  if (value <= (double)lo) return lo;
  if (value >= (double)hi) return hi;
  return (int64_t)value;
}

int64_t ir_k_floor_div(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return (int64_t)(0 - (uint64_t)a);
  int64_t q = a / b;
  return q - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t ir_k_floor_mod(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return 0;
  int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// A shift by the width or more moves everything out; a negative count is taken modulo 2^64, so it does too.
static int64_t shift_left(ir_ktype type, int64_t a, int64_t n) {
  return (uint64_t)n >= (uint64_t)(8 * ir_ktype_bytes(type)) ? 0 : (int64_t)((uint64_t)a << n);
}

static int64_t shift_right(ir_ktype type, int64_t a, int64_t n) {
  bool out = (uint64_t)n >= (uint64_t)(8 * ir_ktype_bytes(type));
  return out ? (a < 0 ? -1 : 0) : a >> n;
}

bool ir_k_int_op(ir_kop op, ir_ktype type, int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
  switch (op) {
    case IR_K_add:
      r = (int64_t)(ua + ub);
      break;
    case IR_K_sub:
      r = (int64_t)(ua - ub);
      break;
    case IR_K_mul:
      r = (int64_t)(ua * ub);
      break;
    case IR_K_div:
      r = ir_k_floor_div(a, b);
      break;
    case IR_K_mod:
      r = ir_k_floor_mod(a, b);
      break;
    case IR_K_min:
      r = a < b ? a : b;
      break;
    case IR_K_max:
      r = a > b ? a : b;
      break;
    case IR_K_neg:
      r = (int64_t)(0 - ua);
      break;
    case IR_K_abs:
      r = a < 0 ? (int64_t)(0 - ua) : a;
      break;
    case IR_K_and:
      r = a & b;
      break;
    case IR_K_or:
      r = a | b;
      break;
    case IR_K_xor:
      r = a ^ b;
      break;
    case IR_K_not:
      r = type == IR_KT_bool ? !a : ~a;
      break;
    case IR_K_shl:
      r = shift_left(type, a, b);
      break;
    case IR_K_shr:
      r = shift_right(type, a, b);
      break;
    case IR_K_eq:
      *out = a == b;
      return true;
    case IR_K_ne:
      *out = a != b;
      return true;
    case IR_K_lt:
      *out = a < b;
      return true;
    case IR_K_le:
      *out = a <= b;
      return true;
    case IR_K_gt:
      *out = a > b;
      return true;
    case IR_K_ge:
      *out = a >= b;
      return true;
    default:
      return false;
  }
  *out = ir_ktype_wrap(type, r);
  return true;
}

int ir_kop_arity(ir_kop op) {
  static const int counts[IR_K_COUNT] = {
#define KOP(name, operands, meaning) [IR_K_##name] = operands,
      IR_KERNEL_OPS(KOP)
#undef KOP
  };
  return (unsigned)op < IR_K_COUNT ? counts[op] : -1;
}

static const struct {
  const char *symbol;
  int level;
} infix[IR_K_COUNT] = {
    [IR_K_and] = {"&", 1},  [IR_K_or] = {"|", 1},  [IR_K_xor] = {"^", 1}, [IR_K_shl] = {"<<", 1},
    [IR_K_shr] = {">>", 1}, [IR_K_eq] = {"==", 2}, [IR_K_ne] = {"!=", 2}, [IR_K_lt] = {"<", 2},
    [IR_K_le] = {"<=", 2},  [IR_K_gt] = {">", 2},  [IR_K_ge] = {">=", 2}, [IR_K_add] = {"+", 3},
    [IR_K_sub] = {"-", 3},  [IR_K_mul] = {"*", 4}, [IR_K_div] = {"/", 4}, [IR_K_mod] = {"%", 4},
};

int ir_kop_level(ir_kop op) { return (unsigned)op < IR_K_COUNT ? infix[op].level : 0; }
const char *ir_kop_symbol(ir_kop op) { return (unsigned)op < IR_K_COUNT ? infix[op].symbol : NULL; }
