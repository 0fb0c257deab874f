// Small floats: IEEE half (f16), bfloat16 (bf16) and the two 8-bit formats of the OCP FP8 specification, to and from
// float32.
//
// Widening is exact. Narrowing rounds to nearest, ties to even; overflow becomes infinity; a NaN stays a NaN (quiet,
// sign and the upper payload bits kept). Integer arithmetic only, so that the result depends neither on the rounding
// mode nor on flush-to-zero, and is the same on every machine. These are reference conversions: fast paths elsewhere
// must agree with them.
#ifndef WEIR_RUNTIME_BASE_HALF_H
#define WEIR_RUNTIME_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t weir_f32_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float weir_f32_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float weir_f16_to_f32(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 31;
  uint32_t mantissa = half & 0x3ff;
  if (exponent == 31) return weir_f32_from_bits(sign | 0x7f800000 | mantissa << 13);
  if (exponent) return weir_f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
  if (!mantissa) return weir_f32_from_bits(sign);
  // Subnormal, mantissa * 2^-24: shift the leading one up to the implicit place.
  uint32_t shift = (uint32_t)__builtin_clz(mantissa) - 21;
  return weir_f32_from_bits(sign | (113 - shift) << 23 | (mantissa << shift & 0x3ff) << 13);
}

// |bits| >> |shift|, rounded to nearest even; 1 <= shift <= 31.
static inline uint32_t weir_shift_round_even(uint32_t bits, uint32_t shift) {
  uint32_t kept = bits >> shift;
  uint32_t rest = bits & ((1u << shift) - 1);
  uint32_t half = 1u << (shift - 1);
  return kept + (rest > half || (rest == half && (kept & 1)));
}

static inline uint16_t weir_f32_to_f16(float value) {
  uint32_t bits = weir_f32_bits(value);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
  if (bits >= 0x47800000) return sign | 0x7c00;  // 65536 and more
  // A carry out of the mantissa raises the exponent, up to infinity: the fields are adjacent.
  if (bits >= 0x38800000) return (uint16_t)(sign | weir_shift_round_even(bits - 0x38000000, 13));
  if (bits < 0x33000000) return sign;  // below 2^-25
  uint32_t mantissa = (bits & 0x7fffff) | 0x800000;
  return (uint16_t)(sign | weir_shift_round_even(mantissa, 126 - (bits >> 23)));
}

static inline float weir_bf16_to_f32(uint16_t half) { return weir_f32_from_bits((uint32_t)half << 16); }

static inline uint16_t weir_f32_to_bf16(float value) {
  uint32_t bits = weir_f32_bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)weir_shift_round_even(bits, 16);
}

// E4M3 as in OCP FP8 ("fn"): no infinities, 0x7f and 0xff are NaN, largest 448.
static inline float weir_f8e4m3_to_f32(uint8_t byte) {
  uint32_t sign = (uint32_t)(byte & 0x80) << 24;
  uint32_t exponent = byte >> 3 & 15;
  uint32_t mantissa = byte & 7;
  if ((byte & 0x7f) == 0x7f) return weir_f32_from_bits(sign | 0x7fc00000);
  if (exponent) return weir_f32_from_bits(sign | (exponent + 120) << 23 | mantissa << 20);
  float magnitude = (float)mantissa * 0x1p-9f;
  return weir_f32_from_bits(sign | weir_f32_bits(magnitude));
}

// E5M2 is the upper byte of a half.
static inline float weir_f8e5m2_to_f32(uint8_t byte) { return weir_f16_to_f32((uint16_t)(byte << 8)); }

#endif
