// In a panel of format 1 the fields of a block stand one behind the other, 16 lanes side by side in each: copied bytes
// first, then codes in words of four bytes, low bits first, in the order of the inputs.
#include "compiler/plan/panel1.h"

#include <string.h>

enum { LANES = 16, MOST_FIELDS = 5 };

typedef enum { END, COPY2, COPY4, BITS4, BITS1, BITS2, BYTES } field_kind;

typedef struct {
  field_kind kind;
  int from, count;  // of copies: where in the block, how many words
} field;

typedef struct {
  weir_storage storage;
  int block;
  void (*put_low)(uint8_t *block, int k, unsigned code);   // the low four bits of input k, or all eight
  void (*put_high)(uint8_t *block, int k, unsigned code);  // the bits above the fourth
  field fields[MOST_FIELDS];
} format;

static void put_nibble(uint8_t *q, int k, unsigned code) { q[k % 16] |= (uint8_t)(k < 16 ? code : code << 4); }
static void low_q4_0(uint8_t *b, int k, unsigned code) { put_nibble(b + 2, k, code); }
static void low_q4_1(uint8_t *b, int k, unsigned code) { put_nibble(b + 4, k, code); }
static void low_q5_0(uint8_t *b, int k, unsigned code) { put_nibble(b + 6, k, code); }
static void high_q5_0(uint8_t *b, int k, unsigned code) { b[2 + k / 8] |= (uint8_t)(code << (k % 8)); }
static void low_q5_1(uint8_t *b, int k, unsigned code) { put_nibble(b + 8, k, code); }
static void high_q5_1(uint8_t *b, int k, unsigned code) { b[4 + k / 8] |= (uint8_t)(code << (k % 8)); }
static void low_q8_0(uint8_t *b, int k, unsigned code) { b[2 + k] = (uint8_t)code; }

static void low_k4(uint8_t *qs, int k, unsigned code) {
  qs[k / 64 * 32 + k % 32] |= (uint8_t)(k % 64 < 32 ? code : code << 4);
}
static void low_q4_k(uint8_t *b, int k, unsigned code) { low_k4(b + 16, k, code); }
static void low_q5_k(uint8_t *b, int k, unsigned code) { low_k4(b + 48, k, code); }
static void high_q5_k(uint8_t *b, int k, unsigned code) { b[16 + k % 32] |= (uint8_t)(code << (k / 32)); }
static void low_q6_k(uint8_t *b, int k, unsigned code) {
  int e = k % 128;
  b[k / 128 * 64 + e % 64] |= (uint8_t)(e < 64 ? code : code << 4);
}
static void high_q6_k(uint8_t *b, int k, unsigned code) {
  int e = k % 128;
  b[128 + k / 128 * 32 + e % 32] |= (uint8_t)(code << (2 * (e / 32)));
}

static const format formats[] = {
    {WEIR_STORAGE_F32, 1, NULL, NULL, {{COPY4, 0, 1}}},
    {WEIR_STORAGE_F16, 1, NULL, NULL, {{COPY2, 0, 1}}},
    {WEIR_STORAGE_BF16, 1, NULL, NULL, {{COPY2, 0, 1}}},
    {WEIR_STORAGE_Q8_0, 32, low_q8_0, NULL, {{COPY2, 0, 1}, {BYTES, 0, 0}}},
    {WEIR_STORAGE_Q4_0, 32, low_q4_0, NULL, {{COPY2, 0, 1}, {BITS4, 0, 0}}},
    {WEIR_STORAGE_Q4_1, 32, low_q4_1, NULL, {{COPY2, 0, 1}, {COPY2, 2, 1}, {BITS4, 0, 0}}},
    {WEIR_STORAGE_Q5_0, 32, low_q5_0, high_q5_0, {{COPY2, 0, 1}, {BITS1, 0, 0}, {BITS4, 0, 0}}},
    {WEIR_STORAGE_Q5_1, 32, low_q5_1, high_q5_1, {{COPY2, 0, 1}, {COPY2, 2, 1}, {BITS1, 0, 0}, {BITS4, 0, 0}}},
    {WEIR_STORAGE_Q4_K, 256, low_q4_k, NULL, {{COPY2, 0, 1}, {COPY2, 2, 1}, {COPY4, 4, 3}, {BITS4, 0, 0}}},
    {WEIR_STORAGE_Q5_K,
     256,
     low_q5_k,
     high_q5_k,
     {{COPY2, 0, 1}, {COPY2, 2, 1}, {COPY4, 4, 3}, {BITS1, 0, 0}, {BITS4, 0, 0}}},
    {WEIR_STORAGE_Q6_K, 256, low_q6_k, high_q6_k, {{COPY2, 208, 1}, {COPY4, 192, 4}, {BITS2, 0, 0}, {BITS4, 0, 0}}},
};

static const format *format_of(weir_storage storage) {
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
    if (formats[i].storage == storage) return &formats[i];
  return NULL;
}

bool plan_panel1_supports(weir_storage storage) { return format_of(storage) != NULL; }

static int bits_of(field_kind kind) { return kind == BITS4 ? 4 : kind == BITS1 ? 1 : kind == BITS2 ? 2 : 8; }

// One lane's words of codes; returns where the next field begins.
static const uint8_t *codes_unpack(const format *f, field_kind kind, const uint8_t *in, int lane, uint8_t *block) {
  int bits = bits_of(kind), per_word = 32 / bits;
  bool high = kind == BITS1 || kind == BITS2;
  for (int k = 0; k < f->block; k += per_word, in += 4 * LANES) {
    uint32_t word;
    memcpy(&word, in + 4 * lane, sizeof word);
    for (int j = 0; j < per_word; j++) {
      unsigned code = word >> (bits * j) & (unsigned)((1ull << bits) - 1);
      (high ? f->put_high : f->put_low)(block, k + j, code);
    }
  }
  return in;
}

static void block_unpack(const format *f, const uint8_t *in, int lane, uint8_t *block) {
  for (int i = 0; i < MOST_FIELDS && f->fields[i].kind != END; i++) {
    const field *at = &f->fields[i];
    if (at->kind == COPY2) {
      memcpy(block + at->from, in + 2 * lane, 2);
      in += 2 * LANES;
    } else if (at->kind == COPY4) {
      for (int word = 0; word < at->count; word++, in += 4 * LANES)
        memcpy(block + at->from + 4 * word, in + 4 * lane, 4);
    } else {
      in = codes_unpack(f, at->kind, in, lane, block);
    }
  }
}

void plan_panel1_unpack(weir_storage storage, const uint8_t *panels, int64_t rows, int64_t cols, uint8_t *out) {
  const format *f = format_of(storage);
  int64_t bytes = (int64_t)weir_storage_info(storage)->block_bytes, blocks = cols / f->block;
  memset(out, 0, (size_t)(rows * blocks * bytes));
  for (int64_t row = 0; row < rows; row++) {
    const uint8_t *panel = panels + row / LANES * LANES * blocks * bytes;
    for (int64_t b = 0; b < blocks; b++)
      block_unpack(f, panel + b * bytes * LANES, (int)(row % LANES), out + (row * blocks + b) * bytes);
  }
}
