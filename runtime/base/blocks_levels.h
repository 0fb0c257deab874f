// Small tables and scale forms that the decoders (blocks.c) and encoders (blocks_encode.c) of block formats share.
// Private to runtime/base.
#ifndef WEIR_RUNTIME_BASE_BLOCKS_LEVELS_H
#define WEIR_RUNTIME_BASE_BLOCKS_LEVELS_H

#include <stdint.h>

#include "runtime/base/half.h"

// Two-bit codes of the IQ2 grids (code 3 does not occur) and three-bit codes of the IQ3 grids.
static const uint8_t iq2_levels[4] __attribute__((unused)) = {0x08, 0x19, 0x2b, 0};
static const uint8_t iq3_xxs_levels[8] __attribute__((unused)) = {0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e};
static const uint8_t iq3_s_levels[8] __attribute__((unused)) = {1, 3, 5, 7, 9, 11, 13, 15};
// IQ4_NL and IQ4_XS.
static const int8_t iq4_levels[16]
    __attribute__((unused)) = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// E2M1 values, doubled.
static const int8_t fp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// An E8M0 scale, halved because the levels are doubled: 2^(e - 128); the two smallest are subnormal floats.
static inline float e8m0_half(uint8_t e) {
  return weir_f32_from_bits(e < 2 ? UINT32_C(0x00200000) << e : (uint32_t)(e - 1) << 23);
}

// An unsigned E4M3 scale, halved for the same reason; 0x7f stands for zero.
static inline float ue4m3_half(uint8_t byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  if (byte == 0 || byte == 0x7f) return 0.0f;
  if (exponent == 0) return (float)mantissa * 0x1p-10f;
  return (1.0f + (float)mantissa / 8.0f) * weir_f32_from_bits((uint32_t)(exponent - 8 + 127) << 23);
}

#endif
