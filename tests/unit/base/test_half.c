// Small floats: every 16-bit pattern survives the way up and down, and narrowing is the nearest value, ties to even.
#include <criterion/criterion.h>
#include <math.h>

#include "runtime/base/half.h"

static bool half_is_nan(uint16_t h) { return (h & 0x7fff) > 0x7c00; }

Test(half, every_f16_round_trips) {
  for (uint32_t h = 0; h < 65536; h++) {
    const float wide = weir_f16_to_f32((uint16_t)h);
    if (half_is_nan((uint16_t)h)) {
      cr_assert(isnan(wide) && half_is_nan(weir_f32_to_f16(wide)));
      continue;
    }
    cr_assert_eq(weir_f32_to_f16(wide), h, "%04x", h);
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) continue;
    const double expected = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    cr_assert_eq((double)wide, h & 0x8000 ? -expected : expected, "%04x", h);
  }
}

// Between two neighbours: just below the middle, the middle (to even), just above.
Test(half, f16_rounds_to_nearest_even) {
  for (uint32_t h = 0; h < 0x7bff; h++) {
    const float low = weir_f16_to_f32((uint16_t)h), high = weir_f16_to_f32((uint16_t)(h + 1));
    const float middle = (low + high) / 2;
    cr_assert_eq(weir_f32_to_f16(nextafterf(middle, 0)), h, "%04x", h);
    cr_assert_eq(weir_f32_to_f16(middle), h + (h & 1), "%04x", h);
    cr_assert_eq(weir_f32_to_f16(nextafterf(middle, INFINITY)), h + 1, "%04x", h);
    cr_assert_eq(weir_f32_to_f16(-middle), 0x8000 | (h + (h & 1)), "%04x", h);
  }
  cr_assert_eq(weir_f32_to_f16(nextafterf(65520.0f, 0)), 0x7bff);
  cr_assert_eq(weir_f32_to_f16(65520.0f), 0x7c00);
  cr_assert_eq(weir_f32_to_f16(3e38f), 0x7c00);
  cr_assert_eq(weir_f32_to_f16(-INFINITY), 0xfc00);
  cr_assert_eq(weir_f32_to_f16(1e-45f), 0);
  cr_assert_eq(weir_f32_to_f16(-0.0f), 0x8000);
}

Test(half, bf16) {
  for (uint32_t h = 0; h < 65536; h++) {
    const float wide = weir_bf16_to_f32((uint16_t)h);
    if (isnan(wide)) cr_assert(isnan(weir_bf16_to_f32(weir_f32_to_bf16(wide))));
    else cr_assert_eq(weir_f32_to_bf16(wide), h);
  }
  cr_assert_eq(weir_f32_to_bf16(weir_f32_from_bits(0x3f808000)), 0x3f80);
  cr_assert_eq(weir_f32_to_bf16(weir_f32_from_bits(0x3f818000)), 0x3f82);
  cr_assert_eq(weir_f32_to_bf16(weir_f32_from_bits(0x3f808001)), 0x3f81);
  cr_assert_eq(weir_f32_to_bf16(weir_f32_from_bits(0x7f7fffff)), 0x7f80);
  cr_assert(isnan(weir_bf16_to_f32(weir_f32_to_bf16(weir_f32_from_bits(0x7f800001)))));
}

Test(half, f8) {
  for (uint32_t b = 0; b < 128; b++) {
    const int e4 = b >> 3 & 15, m3 = b & 7;
    const float a = weir_f8e4m3_to_f32((uint8_t)b);
    if (b == 0x7f) cr_assert(isnan(a));
    else cr_assert_eq((double)a, e4 ? ldexp(8 + m3, e4 - 10) : ldexp(m3, -9), "%02x", b);
    const int e5 = b >> 2 & 31, m2 = b & 3;
    const float c = weir_f8e5m2_to_f32((uint8_t)b);
    if (e5 == 31) cr_assert(m2 ? isnan(c) : isinf(c));
    else cr_assert_eq((double)c, e5 ? ldexp(4 + m2, e5 - 17) : ldexp(m2, -16), "%02x", b);
  }
  cr_assert_eq(weir_f8e4m3_to_f32(0x7e), 448.0f);
  cr_assert_eq(weir_f8e4m3_to_f32(0xfe), -448.0f);
  cr_assert(signbit(weir_f8e4m3_to_f32(0x80)) && isnan(weir_f8e4m3_to_f32(0xff)));
}
