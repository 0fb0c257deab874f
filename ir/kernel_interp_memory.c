// Elements in memory, bit for bit: the reference of loads, stores and narrowing casts.
#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/kernel_interp.h"
#include "runtime/base/half.h"

// |value| is exactly a number of the format.
static uint8_t f8e4m3_bits(double value) {
  uint8_t sign = signbit(value) ? 0x80 : 0;
  double magnitude = fabs(value);
  if (isnan(value)) return sign | 0x7f;
  if (magnitude < 0x1p-6) return (uint8_t)(sign | (uint8_t)(magnitude * 512));
  int exponent;
  double mantissa = frexp(magnitude, &exponent);
  return (uint8_t)(sign | (exponent + 6) << 3 | (int)(mantissa * 16 - 8));
}

double ir_ki_narrow(ir_ktype type, double value) {
  float single = (float)value;
  // Most values are f32 already, for which the integer conversions are quicker.
  if ((double)single == value) {
    if (type == IR_KT_f16) return weir_f16_to_f32(weir_f32_to_f16(single));
    if (type == IR_KT_bf16) return weir_bf16_to_f32(weir_f32_to_bf16(single));
  }
  return ir_round_to((ir_dtype)type, value);
}

double ir_ki_floor_fmod(double x, double y) {
  double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

float ir_ki_dot2(uint32_t a, uint32_t b, float c) {
  float high = fmaf(weir_bf16_to_f32((uint16_t)(a >> 16)), weir_bf16_to_f32((uint16_t)(b >> 16)), c);
  return fmaf(weir_bf16_to_f32((uint16_t)a), weir_bf16_to_f32((uint16_t)b), high);
}

ir_ki_value ir_ki_bitcast(ir_ktype from, ir_ktype to, ir_ki_value v) {
  char bytes[8] = {0};
  ir_ki_store(from, bytes, v);
  return ir_ki_load(to, bytes);
}

ir_ki_value ir_ki_load(ir_ktype type, const void *at) {
  ir_ki_value v = {0};
  uint8_t byte;
  uint16_t half;
  uint32_t word;
  float single;
  memcpy(&byte, at, 1);
  switch (type) {
    case IR_KT_f16:
      memcpy(&half, at, 2), v.f = weir_f16_to_f32(half);
      break;
    case IR_KT_bf16:
      memcpy(&half, at, 2), v.f = weir_bf16_to_f32(half);
      break;
    case IR_KT_f32:
      memcpy(&single, at, 4), v.f = single;
      break;
    case IR_KT_f64:
      memcpy(&v.f, at, 8);
      break;
    case IR_KT_f8e4m3:
      v.f = weir_f8e4m3_to_f32(byte);
      break;
    case IR_KT_f8e5m2:
      v.f = weir_f8e5m2_to_f32(byte);
      break;
    case IR_KT_i8:
      v.i = (int8_t)byte;
      break;
    case IR_KT_i16:
      memcpy(&half, at, 2), v.i = (int16_t)half;
      break;
    case IR_KT_i32:
      memcpy(&word, at, 4), v.i = (int32_t)word;
      break;
    case IR_KT_i64:
      memcpy(&v.i, at, 8);
      break;
    case IR_KT_u8:
      v.i = byte;
      break;
    case IR_KT_bool:
      v.i = byte != 0;
      break;
    case IR_KT_u16:
      memcpy(&half, at, 2), v.i = half;
      break;
    case IR_KT_u32:
      memcpy(&word, at, 4), v.i = word;
      break;
    default:
      break;
  }
  return v;
}

void ir_ki_store(ir_ktype type, void *at, ir_ki_value v) {
  float single = (float)v.f;
  uint16_t half = 0;
  uint8_t byte = 0;
  switch (type) {
    case IR_KT_f16:
      half = weir_f32_to_f16((float)ir_ki_narrow(type, v.f)), memcpy(at, &half, 2);
      break;
    case IR_KT_bf16:
      half = weir_f32_to_bf16((float)ir_ki_narrow(type, v.f)), memcpy(at, &half, 2);
      break;
    case IR_KT_f32:
      memcpy(at, &single, 4);
      break;
    case IR_KT_f8e4m3:
      byte = f8e4m3_bits(ir_ki_narrow(type, v.f)), memcpy(at, &byte, 1);
      break;
    case IR_KT_f8e5m2:
      byte = (uint8_t)(weir_f32_to_f16((float)ir_ki_narrow(type, v.f)) >> 8), memcpy(at, &byte, 1);
      break;
    // Integers are kept wrapped: their low bytes are the element (little endian).
    default:
      memcpy(at, &v, (size_t)ir_ktype_bytes(type));
      break;
  }
}
