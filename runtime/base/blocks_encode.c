// Encoders of storage formats: a block of float32 values to bytes, in the float32 arithmetic of the format's reference
// so that the bytes agree. They are for tests, for small tools and for plans that quantise at build time; better
// quantisers (error feedback, calibration) live with the passes and end by writing the same layouts.
#include <math.h>
#include <string.h>

#include "runtime/base/blocks.h"
#include "runtime/base/blocks_levels.h"
#include "runtime/base/half.h"

static void store_u16(uint8_t *b, uint16_t value) { memcpy(b, &value, sizeof value); }
static void store_f16(uint8_t *b, float value) { store_u16(b, weir_f32_to_f16(value)); }

// Towards zero and into 0..limit; NaN becomes 0.
static uint8_t truncate_to(float value, int limit) {
  if (!(value > 0)) return 0;
  return value >= (float)limit ? (uint8_t)limit : (uint8_t)value;
}

// To nearest, halves away from zero, into -limit..limit; NaN becomes 0.
static int round_to(float value, int limit) {
  if (!(value == value)) return 0;
  const float rounded = roundf(value);
  if (rounded >= (float)limit) return limit;
  return rounded <= (float)-limit ? -limit : (int)rounded;
}

static float inverse(float d) { return d == 0 ? 0.0f : 1.0f / d; }

static float largest_magnitude(const float *x, int64_t count) {
  float best = 0;
  for (int64_t i = 0; i < count; i++)
    if (fabsf(x[i]) > best) best = fabsf(x[i]);
  return best;
}

// The value of largest magnitude, with its sign; the first of equals.
static float largest_signed(const float *x, int count) {
  float best = x[0];
  for (int i = 1; i < count; i++)
    if (fabsf(x[i]) > fabsf(best)) best = x[i];
  return best;
}

static void minimum_maximum(const float *x, int count, float *out_min, float *out_max) {
  *out_min = *out_max = x[0];
  for (int i = 1; i < count; i++) {
    if (x[i] < *out_min) *out_min = x[i];
    if (x[i] > *out_max) *out_max = x[i];
  }
}

static void encode_F32(const float *x, uint8_t *b) { memcpy(b, x, sizeof *x); }
static void encode_F16(const float *x, uint8_t *b) { store_f16(b, *x); }
static void encode_BF16(const float *x, uint8_t *b) { store_u16(b, weir_f32_to_bf16(*x)); }
static void encode_F64(const float *x, uint8_t *b) {
  const double wide = (double)*x;
  memcpy(b, &wide, sizeof wide);
}

// 32 codes of 5 bits as nibbles at |nibbles| and, where |high| is not null, their upper bits at |high|.
static void pack_32(const uint8_t codes[32], uint8_t *nibbles, uint8_t *high) {
  for (int i = 0; i < 16; i++) nibbles[i] = (uint8_t)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  if (!high) return;
  memset(high, 0, 4);
  for (int i = 0; i < 32; i++) high[i / 8] |= (uint8_t)((codes[i] >> 4 & 1) << (i % 8));
}

// Codes around the middle: the value of largest magnitude becomes code 0.
static float codes_symmetric(const float *x, int half, uint8_t codes[32]) {
  const float d = largest_signed(x, 32) / (float)-half, id = inverse(d);
  for (int i = 0; i < 32; i++) codes[i] = truncate_to(x[i] * id + ((float)half + 0.5f), 2 * half - 1);
  return d;
}

// Codes from the minimum up to |top|.
static float codes_affine(const float *x, int top, uint8_t codes[32], float *out_min) {
  float max;
  minimum_maximum(x, 32, out_min, &max);
  const float d = (max - *out_min) / (float)top, id = inverse(d);
  for (int i = 0; i < 32; i++) codes[i] = truncate_to((x[i] - *out_min) * id + 0.5f, top);
  return d;
}

static void encode_Q4_0(const float *x, uint8_t *b) {
  uint8_t codes[32];
  store_f16(b, codes_symmetric(x, 8, codes));
  pack_32(codes, b + 2, NULL);
}

static void encode_Q5_0(const float *x, uint8_t *b) {
  uint8_t codes[32];
  store_f16(b, codes_symmetric(x, 16, codes));
  pack_32(codes, b + 6, b + 2);
}

static void encode_Q4_1(const float *x, uint8_t *b) {
  uint8_t codes[32];
  float min;
  store_f16(b, codes_affine(x, 15, codes, &min));
  store_f16(b + 2, min);
  pack_32(codes, b + 4, NULL);
}

static void encode_Q5_1(const float *x, uint8_t *b) {
  uint8_t codes[32];
  float min;
  store_f16(b, codes_affine(x, 31, codes, &min));
  store_f16(b + 2, min);
  pack_32(codes, b + 8, b + 4);
}

static void encode_Q8_0(const float *x, uint8_t *b) {
  const float d = largest_magnitude(x, 32) / 127.0f, id = inverse(d);
  store_f16(b, d);
  for (int i = 0; i < 32; i++) b[2 + i] = (uint8_t)round_to(x[i] * id, 127);
}

// Ternary codes 0, 1, 2 for -1, 0, 1 times the largest magnitude.
static float codes_ternary(const float *x, uint8_t codes[256]) {
  const float d = largest_magnitude(x, 256), id = inverse(d);
  for (int i = 0; i < 256; i++) codes[i] = (uint8_t)(round_to(x[i] * id, 1) + 1);
  return d;
}

// |digits| codes of base three to a byte, as a fraction of 256 rounded up; the first digit is the most significant of
// five.
static void pack_digits(const uint8_t *codes, int count, int digits, uint8_t *b) {
  static const uint8_t powers[5] = {81, 27, 9, 3, 1};
  for (int i = 0; i < count; i++) {
    int sum = 0;
    for (int p = 0; p < digits; p++) sum += codes[p * count + i] * powers[p];
    b[i] = (uint8_t)((sum * 256 + 242) / 243);
  }
}

static void encode_TQ1_0(const float *x, uint8_t *b) {
  uint8_t codes[256];
  store_f16(b + 52, codes_ternary(x, codes));
  pack_digits(codes, 32, 5, b);
  pack_digits(codes + 160, 16, 5, b + 32);
  pack_digits(codes + 240, 4, 4, b + 48);
}

static void encode_TQ2_0(const float *x, uint8_t *b) {
  uint8_t codes[256];
  store_f16(b + 64, codes_ternary(x, codes));
  memset(b, 0, 64);
  for (int e = 0; e < 256; e++) b[e / 128 * 32 + e % 32] |= (uint8_t)(codes[e] << (e / 32 % 4 * 2));
}

static uint8_t nearest_fp4(float d, float x) {
  int best = 0;
  float best_error = fabsf(d * (float)fp4_levels[0] - x);
  for (int k = 1; k < 16; k++) {
    const float error = fabsf(d * (float)fp4_levels[k] - x);
    if (error < best_error) best = k, best_error = error;
  }
  return (uint8_t)best;
}

static void encode_MXFP4(const float *x, uint8_t *b) {
  const float max = largest_magnitude(x, 32);
  // The largest E2M1 magnitude is 6 = 1.5 * 2^2, hence the two octaves.
  b[0] = max > 0 ? truncate_to(floorf(log2f(max)) - 2.0f + 127.0f, 255) : 0;
  const float d = e8m0_half(b[0]);
  for (int i = 0; i < 16; i++) b[1 + i] = (uint8_t)(nearest_fp4(d, x[i]) | nearest_fp4(d, x[i + 16]) << 4);
}

// One scale for the row, in front of its codes.
static void encode_W8_row(const float *x, int64_t count, uint8_t *row) {
  const float d = largest_magnitude(x, count) / 127.0f, id = inverse(d);
  memcpy(row, &d, sizeof d);
  for (int64_t i = 0; i < count; i++) row[sizeof d + (size_t)i] = (uint8_t)round_to(x[i] * id, 127);
}

#define ENTRY_Y(id) encode_##id
#define ENTRY_R(id) NULL
#define ENTRY_N(id) NULL
#define WEIR_STORAGE_ROW(id, kind, gguf, safetensors, elements, bytes, decode, encode) ENTRY_##encode(id),
static void (*const encoders[WEIR_STORAGE_COUNT])(const float *x, uint8_t *b) = {
#include "runtime/base/blocks.def"
};
#undef WEIR_STORAGE_ROW
#undef ENTRY_Y
#undef ENTRY_R
#undef ENTRY_N

weir_status weir_storage_encode(weir_storage storage, const float *src, int64_t elements, void *dst) {
  const weir_storage_desc *info = weir_storage_info(storage);
  if (!info->can_encode) return weir_status_make(WEIR_CODE_UNSUPPORTED, "%s cannot be encoded", info->name);
  int64_t bytes;
  WEIR_TRY(weir_storage_row_bytes(storage, elements, &bytes));
  if (storage == WEIR_STORAGE_W8) {
    encode_W8_row(src, elements, dst);
    return WEIR_OK;
  }
  uint8_t *out = dst;
  for (int64_t at = 0; at < elements; at += info->block_elements, out += info->block_bytes)
    encoders[storage](src + at, out);
  return WEIR_OK;
}
