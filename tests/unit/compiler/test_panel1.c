// Panels of format 1 back to rows. The packer here is the one of format 1, kept for this test.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/panel1.h"

enum { LANES = 16, MOST = 5 };
enum { COPY2 = 1, COPY4, NIBBLES, BITS1, BITS2, BYTES };

typedef struct {
  weir_storage storage;
  int block;
  unsigned (*code)(const uint8_t *block, int k);
  int fields[MOST][3];  // kind, from, count
} format;

static unsigned nibble(const uint8_t *q, int k) { return k < 16 ? q[k] & 15 : q[k - 16] >> 4; }
static unsigned q4_0(const uint8_t *b, int k) { return nibble(b + 2, k); }
static unsigned q4_1(const uint8_t *b, int k) { return nibble(b + 4, k); }
static unsigned q5_0(const uint8_t *b, int k) { return nibble(b + 6, k) | (b[2 + k / 8] >> (k % 8) & 1u) << 4; }
static unsigned q5_1(const uint8_t *b, int k) { return nibble(b + 8, k) | (b[4 + k / 8] >> (k % 8) & 1u) << 4; }
static unsigned q8_0(const uint8_t *b, int k) { return b[2 + k]; }
static unsigned k4(const uint8_t *q, int k) {
  unsigned byte = q[k / 64 * 32 + k % 32];
  return k % 64 < 32 ? byte & 15 : byte >> 4;
}
static unsigned q4_k(const uint8_t *b, int k) { return k4(b + 16, k); }
static unsigned q5_k(const uint8_t *b, int k) { return k4(b + 48, k) | (b[16 + k % 32] >> (k / 32) & 1u) << 4; }
static unsigned q6_k(const uint8_t *b, int k) {
  int half = k / 128, e = k % 128;
  unsigned low = b[half * 64 + e % 64];
  return (e < 64 ? low & 15 : low >> 4) | (b[128 + half * 32 + e % 32] >> (2 * (e / 32)) & 3u) << 4;
}

static const format formats[] = {
    {WEIR_STORAGE_F32, 1, NULL, {{COPY4, 0, 1}}},
    {WEIR_STORAGE_F16, 1, NULL, {{COPY2, 0, 1}}},
    {WEIR_STORAGE_BF16, 1, NULL, {{COPY2, 0, 1}}},
    {WEIR_STORAGE_Q8_0, 32, q8_0, {{COPY2, 0, 1}, {BYTES, 0, 8}}},
    {WEIR_STORAGE_Q4_0, 32, q4_0, {{COPY2, 0, 1}, {NIBBLES, 0, 4}}},
    {WEIR_STORAGE_Q4_1, 32, q4_1, {{COPY2, 0, 1}, {COPY2, 2, 1}, {NIBBLES, 0, 4}}},
    {WEIR_STORAGE_Q5_0, 32, q5_0, {{COPY2, 0, 1}, {BITS1, 0, 1}, {NIBBLES, 0, 4}}},
    {WEIR_STORAGE_Q5_1, 32, q5_1, {{COPY2, 0, 1}, {COPY2, 2, 1}, {BITS1, 0, 1}, {NIBBLES, 0, 4}}},
    {WEIR_STORAGE_Q4_K, 256, q4_k, {{COPY2, 0, 1}, {COPY2, 2, 1}, {COPY4, 4, 3}, {NIBBLES, 0, 32}}},
    {WEIR_STORAGE_Q5_K, 256, q5_k, {{COPY2, 0, 1}, {COPY2, 2, 1}, {COPY4, 4, 3}, {BITS1, 0, 8}, {NIBBLES, 0, 32}}},
    {WEIR_STORAGE_Q6_K, 256, q6_k, {{COPY2, 208, 1}, {COPY4, 192, 4}, {BITS2, 0, 16}, {NIBBLES, 0, 32}}},
};

static uint32_t word_of(const format *f, const int *field, const uint8_t *block, int word) {
  uint32_t out = 0;
  if (field[0] == COPY4) {
    memcpy(&out, block + field[1] + 4 * word, 4);
    return out;
  }
  int bits = field[0] == NIBBLES ? 4 : field[0] == BITS1 ? 1 : field[0] == BITS2 ? 2 : 8, count = 32 / bits;
  int shift = field[0] == BITS1 || field[0] == BITS2 ? 4 : 0;
  for (int j = 0; j < count; j++)
    out |= (f->code(block, word * count + j) >> shift & (uint32_t)((1ull << bits) - 1)) << (bits * j);
  return out;
}

static uint8_t *block_pack(const format *f, const uint8_t *block, int lane, uint8_t *out) {
  for (int i = 0; i < MOST && f->fields[i][0]; i++) {
    if (f->fields[i][0] == COPY2) {
      if (block) memcpy(out + 2 * lane, block + f->fields[i][1], 2);
      out += 2 * LANES;
      continue;
    }
    for (int word = 0; word < f->fields[i][2]; word++, out += 4 * LANES) {
      uint32_t value = block ? word_of(f, f->fields[i], block, word) : 0;
      memcpy(out + 4 * lane, &value, 4);
    }
  }
  return out;
}

// Rows of random bytes, 21 of them: one whole panel and a part of one.
static void round_trip(const format *f) {
  int64_t rows = 21, cols = 2 * f->block, bytes = (int64_t)weir_storage_info(f->storage)->block_bytes;
  int64_t row_bytes = cols / f->block * bytes, panels = (rows + LANES - 1) / LANES;
  uint8_t *given = malloc((size_t)(rows * row_bytes)), *got = malloc((size_t)(rows * row_bytes));
  uint8_t *packed = calloc((size_t)(panels * LANES * row_bytes), 1);
  uint32_t state = 7;
  for (int64_t i = 0; i < rows * row_bytes; i++) given[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
  for (int64_t row = 0; row < panels * LANES; row++)
    for (int64_t b = 0; b < cols / f->block; b++)
      block_pack(f, row < rows ? given + row * row_bytes + b * bytes : NULL, (int)(row % LANES),
                 packed + row / LANES * LANES * row_bytes + b * bytes * LANES);
  cr_assert(plan_panel1_supports(f->storage));
  plan_panel1_unpack(f->storage, packed, rows, cols, got);
  cr_assert_arr_eq(got, given, (size_t)(rows * row_bytes), "%s", weir_storage_name(f->storage));
  free(given);
  free(got);
  free(packed);
}

Test(panel1, every_format_comes_back) {
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) round_trip(&formats[i]);
  cr_assert_not(plan_panel1_supports(WEIR_STORAGE_I32));
}
