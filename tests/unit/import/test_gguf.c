// GGUF: what a good file says, and that every kind of bad file is a status. Files under attack lie at the end of their
// own allocation, so that the address sanitizer sees a read past the end.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "compiler/import/builder.h"
#include "tests/unit/import/make_files.h"

static file_buffer file;
static weir_arena arena;

static void start(void) { weir_arena_init(&arena); }
static void stop(void) { weir_arena_deinit(&arena); }
TestSuite(gguf, .init = start, .fini = stop);

static weir_status open_bytes(const uint8_t *data, size_t size, import_checkpoint **out_checkpoint) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  weir_arena own;
  weir_arena_init(&own);
  weir_status status = import_checkpoint_from_memory(&own, copy, size, out_checkpoint);
  weir_arena_deinit(&own);
  free(copy);
  return status;
}

static void refused(weir_code code, const char *part) {
  import_checkpoint *checkpoint;
  weir_status status = open_bytes(file.data, file.size, &checkpoint);
  cr_assert_eq(weir_status_code(status), code, "%s", weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), part), "'%s' is not in '%s'", part, weir_status_message(status));
  weir_status_release(status);
}

Test(gguf, reads_tensors) {
  for (uint32_t version = 2; version <= 3; version++) {
    make_gguf(&file, version);
    import_checkpoint *c;
    weir_status status = import_checkpoint_from_memory(&arena, file.data, file.size, &c);
    cr_assert(!status, "%s", weir_status_message(status));
    cr_assert_eq(c->format, IMPORT_FORMAT_GGUF);
    cr_assert_eq(c->tensor_count, 3);
    const import_tensor *t = import_checkpoint_tensor(c, "w.dense");
    cr_assert(t && t->storage == WEIR_STORAGE_F32 && t->rank == 2 && t->dims[0] == 2 && t->dims[1] == 3 &&
              t->bytes == 24);
    float values[6];
    memcpy(values, t->data, sizeof values);
    cr_assert_eq(values[5], 5.0f);
    t = import_checkpoint_tensor(c, "w.blocks");
    cr_assert(t && t->storage == WEIR_STORAGE_Q4_0 && t->elements == 64 && t->bytes == 36 && t->data[1] == 7);
    cr_assert_eq(t->data, file.data + t->offset);
    t = import_checkpoint_tensor(c, "w.scalar");
    cr_assert(t && t->rank == 0 && t->elements == 1 && t->bytes == 2);
    cr_assert_null(import_checkpoint_tensor(c, "w"));
    weir_hash hash, expected;
    weir_hash_bytes(file.data, file.size, &expected);
    cr_assert(!import_checkpoint_hash(c, &hash) && weir_hash_equal(&hash, &expected));
    import_checkpoint_close(c);
  }
}

Test(gguf, reads_metadata) {
  make_gguf(&file, 3);
  import_checkpoint *c;
  cr_assert(!import_checkpoint_from_memory(&arena, file.data, file.size, &c));
  cr_assert_eq(c->kv_count, SAMPLE_KVS);
  int64_t i = 0;
  double f = 0;
  bool b = false;
  import_string s = {0};
  cr_assert(import_kv_get_int(c, "t.layers", &i) && i == 3);
  cr_assert(import_kv_get_int(c, "t.offset", &i) && i == -5);
  cr_assert(import_kv_get_int(c, "t.part", &i) && i == 7);
  cr_assert(!import_kv_get_int(c, "t.huge", &i) && !import_kv_get_int(c, "t.epsilon", &i) &&
            !import_kv_get_int(c, "none", &i));
  cr_assert(import_kv_get_float(c, "t.epsilon", &f) && f == (double)1e-5f);
  cr_assert(import_kv_get_float(c, "t.base", &f) && f == 0.1);
  cr_assert(import_kv_get_float(c, "t.layers", &f) && f == 3);
  cr_assert(import_kv_get_bool(c, "t.flag", &b) && b);
  cr_assert(import_kv_get_string(c, "general.architecture", &s) && s.length == 4 && memcmp(s.data, "test", 4) == 0);
  cr_assert(!import_kv_get_string(c, "t.tokens", &s));
  const import_kv *tokens = import_kv_get_array(c, "t.tokens", IMPORT_KV_STRING);
  cr_assert(tokens && tokens->count == 3 && import_kv_string_at(tokens, 2).length == 5 &&
            import_kv_string_at(tokens, 1).length == 0);
  const import_kv *scores = import_kv_get_array(c, "t.scores", IMPORT_KV_FLOAT);
  cr_assert(scores && scores->count == 2 && import_kv_float_at(scores, 1) == -2.0);
  const import_kv *types = import_kv_get_array(c, "t.types", IMPORT_KV_INT);
  cr_assert(types && import_kv_int_at(types, 1) == -3);
  cr_assert_null(import_kv_get_array(c, "t.types", IMPORT_KV_FLOAT));
}

Test(gguf, every_truncation_is_refused) {
  make_gguf(&file, 3);
  for (size_t size = 0; size < file.size; size++) {
    import_checkpoint *c;
    weir_status status = open_bytes(file.data, size, &c);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%zu: %s", size, weir_status_message(status));
    weir_status_release(status);
  }
}

Test(gguf, every_bit_flip_is_survived) {
  make_gguf(&file, 3);
  for (size_t bit = 0; bit < 8 * file.size; bit++) {
    import_checkpoint *c;
    file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    weir_status_release(open_bytes(file.data, file.size, &c));
    file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
}

// Every aligned and unaligned u64 replaced by values that break careless arithmetic.
Test(gguf, extreme_numbers_are_survived) {
  static const uint64_t extremes[] = {0,          UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 31,
                                      UINT32_MAX, 1ull << 60};
  make_gguf(&file, 3);
  for (size_t at = 0; at + 8 <= file.size; at++)
    for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
      uint8_t saved[8];
      import_checkpoint *c;
      memcpy(saved, file.data + at, 8);
      memcpy(file.data + at, &extremes[e], 8);
      weir_status_release(open_bytes(file.data, file.size, &c));
      memcpy(file.data + at, saved, 8);
    }
}

static void begin(uint64_t tensors, uint64_t kvs) {
  file.size = 0;
  put(&file, "GGUF", 4);
  put_u32(&file, 3);
  put_u64(&file, tensors);
  put_u64(&file, kvs);
}

static void end(size_t data_bytes) {
  pad_to(&file, 32);
  memset(file.data + file.size, 0, data_bytes);
  file.size += data_bytes;
}

Test(gguf, versions_and_byte_order) {
  make_gguf(&file, 1);
  refused(WEIR_CODE_UNSUPPORTED, "version 1");
  make_gguf(&file, 4);
  refused(WEIR_CODE_UNSUPPORTED, "version 4");
  make_gguf(&file, 0x03000000);
  refused(WEIR_CODE_UNSUPPORTED, "big-endian");
}

Test(gguf, huge_counts) {
  begin(1ull << 60, 0);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "the tensor count 1152921504606846976 at byte 8");
  begin(0, UINT64_MAX);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "the key-value count 18446744073709551615 at byte 16");
  begin(0, 1);
  put_kv(&file, "k", 9);
  put_u32(&file, 8);
  put_u64(&file, 1ull << 61);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "an array's length 2305843009213693952 at byte 41");
  begin(0, 1);
  put_u64(&file, 1ull << 63);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "a key 9223372036854775808 at byte 24");
}

Test(gguf, bad_values) {
  begin(0, 1);
  put_kv(&file, "k", 13);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "value type 13 at byte 33 is unknown");
  begin(0, 1);
  put_kv(&file, "k", 9);
  put_u32(&file, 9);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "an array of arrays");
  begin(0, 2);
  for (int i = 0; i < 2; i++) {
    put_kv(&file, "twice", 0);
    put(&file, "\1", 1);
  }
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "key 'twice' is given twice");
  begin(0, 1);
  put_kv(&file, "k\n", 0);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "control character");
}

Test(gguf, bad_alignment) {
  static const uint32_t values[] = {0, 1, 4, 24, 1u << 21, UINT32_MAX};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    begin(0, 1);
    put_kv(&file, "general.alignment", 4);
    put_u32(&file, values[i]);
    end(64);
    refused(WEIR_CODE_INVALID_DATA, "general.alignment");
  }
  begin(0, 1);
  put_kv(&file, "general.alignment", 8);
  put_text(&file, "32");
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "general.alignment");
}

static void one_tensor(uint32_t rank, const uint64_t *dims, uint32_t type, uint64_t offset, size_t data_bytes,
                       const char *part) {
  begin(1, 0);
  put_tensor(&file, "w", rank, dims, type, offset);
  end(data_bytes);
  refused(WEIR_CODE_INVALID_DATA, part);
}

Test(gguf, bad_tensors) {
  one_tensor(1, (uint64_t[]){8}, 4, 0, 64, "tensor type 4 at byte 45 is unknown");
  one_tensor(1, (uint64_t[]){8}, 77, 0, 64, "tensor type 77");
  one_tensor(5, (uint64_t[]){1, 1, 1, 1, 1}, 0, 0, 64, "rank 5 at byte 33");
  one_tensor(1, (uint64_t[]){33}, 2, 0, 64, "no whole number of Q4_0 blocks");
  one_tensor(2, (uint64_t[]){1ull << 32, 1ull << 32}, 0, 0, 64, "exceeds 2^63");
  one_tensor(1, (uint64_t[]){1ull << 62}, 0, 0, 64, "exceeds 2^63 bytes");
  one_tensor(1, (uint64_t[]){1ull << 63}, 0, 0, 64, "dimension 9223372036854775808 at byte 37");
  one_tensor(1, (uint64_t[]){17}, 0, 0, 64, "68 bytes at offset 0 of the data section, which has 64");
  one_tensor(1, (uint64_t[]){8}, 0, 64, 64, "32 bytes at offset 64");
  one_tensor(1, (uint64_t[]){8}, 0, 16, 64, "no multiple of the alignment 32");
  one_tensor(1, (uint64_t[]){8}, 0, UINT64_MAX - 31, 64, "data section");
  begin(2, 0);
  put_tensor(&file, "w", 1, (uint64_t[]){8}, 0, 0);
  put_tensor(&file, "w", 1, (uint64_t[]){8}, 0, 32);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "tensor 'w' is given twice");
  begin(2, 0);
  put_tensor(&file, "w", 1, (uint64_t[]){16}, 0, 0);
  put_tensor(&file, "v", 1, (uint64_t[]){8}, 0, 32);
  end(64);
  refused(WEIR_CODE_INVALID_DATA, "'w' and 'v' overlap");
}

Test(gguf, no_tensors_is_fine) {
  begin(0, 0);
  import_checkpoint *c;
  cr_assert(!import_checkpoint_from_memory(&arena, file.data, file.size, &c));
  cr_assert(c->tensor_count == 0 && c->kv_count == 0 && !import_checkpoint_tensor(c, "x") &&
            !import_checkpoint_kv(c, "x"));
}

Test(gguf, part_of_a_split_is_refused) {
  begin(0, 1);
  put_kv(&file, "split.count", 2);
  put(&file, &(uint16_t){3}, 2);
  refused(WEIR_CODE_UNSUPPORTED, "part 1 of 3");
}
