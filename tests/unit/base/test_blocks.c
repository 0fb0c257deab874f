// Storage formats: the table, and decoding and encoding bit for bit against reference data (tests/data/dequant:
// FORMAT.bin and what it decodes to, FORMAT.npy; where there is a quantiser, FORMAT.quant_in.npy and its bytes,
// FORMAT.quant_out.bin).
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/blocks.h"
#include "runtime/base/half.h"
#include "runtime/base/io.h"
#include "runtime/base/npy.h"

static const char *data_path(char *path, size_t size, weir_storage storage, const char *suffix) {
  snprintf(path, size, "%s/tests/data/dequant/%s%s", WEIR_SOURCE_DIR, weir_storage_name(storage), suffix);
  return path;
}

static void must(weir_status status) { cr_assert(!status, "%s", weir_status_message(status)); }

static void fails(weir_status status, weir_code code) {
  cr_assert_eq(weir_status_code(status), code, "%s", weir_status_message(status));
  weir_status_release(status);
}

Test(blocks, decode_is_bit_equal_to_reference) {
  int formats = 0;
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++) {
    const weir_storage storage = (weir_storage)i;
    char path[512];
    if (!weir_file_exists(data_path(path, sizeof path, storage, ".bin"))) continue;
    weir_map blocks;
    weir_npy expected;
    must(weir_map_open(path, &blocks));
    must(weir_npy_read(data_path(path, sizeof path, storage, ".npy"), &expected));
    int64_t bytes;
    must(weir_storage_row_bytes(storage, expected.elements, &bytes));
    cr_assert_eq((size_t)bytes, blocks.size, "%s", weir_storage_name(storage));
    float *values = malloc(expected.data_bytes);
    double *wide = malloc(2 * expected.data_bytes);
    must(weir_storage_decode(storage, blocks.data, expected.elements, values));
    must(weir_storage_decode_f64(storage, blocks.data, expected.elements, wide));
    const float *want = expected.data;
    for (int64_t e = 0; e < expected.elements; e++) {
      cr_assert_eq(weir_f32_bits(values[e]), weir_f32_bits(want[e]), "%s element %lld: %.9g, not %.9g",
                   weir_storage_name(storage), (long long)e, (double)values[e], (double)want[e]);
      // Cancellation between the two terms bounds the relative error by the block's scale, not by the value.
      cr_assert(fabs(wide[e] - (double)want[e]) <= 1e-6 * fabs((double)want[e]) + 1e-4, "%s",
                weir_storage_name(storage));
    }
    free(values);
    free(wide);
    weir_npy_release(&expected);
    weir_map_close(&blocks);
    formats++;
  }
  cr_assert_eq(formats, 25, "%d", formats);
}

Test(blocks, encode_is_bit_equal_to_reference) {
  int formats = 0;
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++) {
    const weir_storage storage = (weir_storage)i;
    char path[512];
    if (!weir_file_exists(data_path(path, sizeof path, storage, ".quant_in.npy"))) continue;
    weir_npy input;
    weir_map expected;
    must(weir_npy_read(path, &input));
    must(weir_map_open(data_path(path, sizeof path, storage, ".quant_out.bin"), &expected));
    uint8_t *bytes = malloc(expected.size);
    must(weir_storage_encode(storage, input.data, input.elements, bytes));
    for (size_t b = 0; b < expected.size; b++)
      cr_assert_eq(bytes[b], expected.data[b], "%s byte %zu: %02x, not %02x", weir_storage_name(storage), b, bytes[b],
                   expected.data[b]);
    free(bytes);
    weir_npy_release(&input);
    weir_map_close(&expected);
    formats++;
  }
  cr_assert_eq(formats, 10, "%d", formats);
}

// Every format that can be both: decode(encode(decode(x))) is decode(x) up to the format's own step.
Test(blocks, encode_survives_special_values) {
  static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -1e-45f, 0.0f, -0.0f};
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++) {
    if (!weir_storage_info((weir_storage)i)->can_encode) continue;
    float x[256], y[256];
    uint8_t bytes[2048];
    for (int e = 0; e < 256; e++) x[e] = values[e % 9];
    must(weir_storage_encode((weir_storage)i, x, 256, bytes));
    must(weir_storage_decode((weir_storage)i, bytes, 256, y));
  }
}

Test(blocks, decode_survives_any_bytes) {
  uint32_t state = 1;
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++) {
    if (!weir_storage_info((weir_storage)i)->can_decode) continue;
    for (int round = 0; round < 50; round++) {
      int64_t size;
      must(weir_storage_row_bytes((weir_storage)i, weir_storage_info((weir_storage)i)->block_elements, &size));
      uint8_t *bytes = malloc((size_t)size);
      float y[256];
      for (int64_t b = 0; b < size; b++) bytes[b] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
      must(weir_storage_decode((weir_storage)i, bytes, weir_storage_info((weir_storage)i)->block_elements, y));
      free(bytes);
    }
  }
}

Test(blocks, table_is_consistent) {
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++) {
    const weir_storage_desc *info = weir_storage_info((weir_storage)i);
    weir_storage found;
    cr_assert(weir_storage_from_name(info->name, &found) && found == (weir_storage)i);
    if (info->gguf_type >= 0)
      cr_assert(weir_storage_from_gguf((uint32_t)info->gguf_type, &found) && found == (weir_storage)i);
    if (info->safetensors_name[0])
      cr_assert(weir_storage_from_safetensors(info->safetensors_name, &found) && found == (weir_storage)i);
    cr_assert(!info->can_encode || info->can_decode);
    cr_assert(weir_storage_has_codes(found) == (info->block_elements > 1));
  }
  weir_storage found;
  cr_assert(weir_storage_from_name("q4_k", &found) && found == WEIR_STORAGE_Q4_K);
  cr_assert(!weir_storage_from_name("Q9", &found));
  cr_assert(!weir_storage_from_gguf(4, &found) && !weir_storage_from_gguf(UINT32_MAX, &found));
  cr_assert(!weir_storage_from_safetensors("", &found));
  cr_assert_str_eq(weir_storage_name(WEIR_STORAGE_COUNT), "?");
}

// One scale a row: it stands in front, and every value is within half a step of it.
Test(blocks, rows_have_one_scale) {
  float x[96], y[96], scale;
  uint8_t bytes[4 + 96];
  int64_t size;
  must(weir_storage_row_bytes(WEIR_STORAGE_W8, 96, &size));
  cr_assert_eq(size, 100);
  for (int i = 0; i < 96; i++) x[i] = (float)((i * 37) % 61 - 30) / (float)(1 + i / 32);
  x[50] = -254;
  must(weir_storage_encode(WEIR_STORAGE_W8, x, 96, bytes));
  must(weir_storage_decode(WEIR_STORAGE_W8, bytes, 96, y));
  memcpy(&scale, bytes, sizeof scale);
  cr_assert_eq(scale, 2);
  cr_assert_eq((int8_t)bytes[4 + 50], -127);
  for (int i = 0; i < 96; i++) cr_assert(fabsf(y[i] - x[i]) <= 1 && y[i] == 2 * (float)(int8_t)bytes[4 + i]);
  for (int i = 0; i < 96; i++) x[i] = 0;
  must(weir_storage_encode(WEIR_STORAGE_W8, x, 96, bytes));
  must(weir_storage_decode(WEIR_STORAGE_W8, bytes, 96, y));
  for (int i = 0; i < 96; i++) cr_assert_eq(y[i], 0);
  fails(weir_storage_row_bytes(WEIR_STORAGE_W8, 33, &size), WEIR_CODE_INVALID_ARGUMENT);
}

Test(blocks, sizes_are_checked) {
  int64_t bytes = -1;
  fails(weir_storage_row_bytes(WEIR_STORAGE_Q4_0, 33, &bytes), WEIR_CODE_INVALID_ARGUMENT);
  fails(weir_storage_row_bytes(WEIR_STORAGE_F32, -1, &bytes), WEIR_CODE_INVALID_ARGUMENT);
  fails(weir_storage_row_bytes(WEIR_STORAGE_F32, INT64_MAX / 2, &bytes), WEIR_CODE_OUT_OF_RANGE);
  cr_assert_eq(bytes, -1);
  must(weir_storage_row_bytes(WEIR_STORAGE_Q6_K, 512, &bytes));
  cr_assert_eq(bytes, 420);
  float x[256] = {0};
  uint8_t block[292] = {0};
  fails(weir_storage_encode(WEIR_STORAGE_Q2_K, x, 256, block), WEIR_CODE_UNSUPPORTED);
  fails(weir_storage_decode(WEIR_STORAGE_Q8_K, block, 256, x), WEIR_CODE_UNSUPPORTED);
  fails(weir_storage_decode(WEIR_STORAGE_Q4_1, block, 16, x), WEIR_CODE_INVALID_ARGUMENT);
}

Test(blocks, integers_and_booleans) {
  const int64_t wide[2] = {INT64_C(9007199254740993), -3};
  double d[2];
  must(weir_storage_decode_f64(WEIR_STORAGE_I64, wide, 2, d));
  cr_assert_eq(d[0], 9007199254740992.0);
  cr_assert_eq(d[1], -3.0);
  const uint8_t flags[3] = {0, 1, 7};
  float f[3];
  must(weir_storage_decode(WEIR_STORAGE_BOOL, flags, 3, f));
  cr_assert(f[0] == 0 && f[1] == 1 && f[2] == 1);
  must(weir_storage_decode(WEIR_STORAGE_U8, flags, 3, f));
  cr_assert_eq(f[2], 7.0f);
  must(weir_storage_decode(WEIR_STORAGE_I8, (const int8_t[]){-128}, 1, f));
  cr_assert_eq(f[0], -128.0f);
}
