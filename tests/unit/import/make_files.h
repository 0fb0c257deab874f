// Small weight files made in memory, for tests and as seeds for fuzzing. A buffer is a fixed array with a length: the
// files fit by design.
#ifndef WEIR_TESTS_UNIT_IMPORT_MAKE_FILES_H
#define WEIR_TESTS_UNIT_IMPORT_MAKE_FILES_H

#include <stdint.h>
#include <string.h>

typedef struct {
  uint8_t data[8192];
  size_t size;
} file_buffer;

static inline void put(file_buffer *b, const void *data, size_t bytes) {
  memcpy(b->data + b->size, data, bytes);
  b->size += bytes;
}

static inline void put_u32(file_buffer *b, uint32_t value) { put(b, &value, sizeof value); }
static inline void put_u64(file_buffer *b, uint64_t value) { put(b, &value, sizeof value); }
static inline void put_text(file_buffer *b, const char *text) {
  put_u64(b, strlen(text));
  put(b, text, strlen(text));
}

static inline void put_kv(file_buffer *b, const char *key, uint32_t type) {
  put_text(b, key);
  put_u32(b, type);
}

static inline void put_tensor(file_buffer *b, const char *name, uint32_t rank, const uint64_t *dims, uint32_t type,
                              uint64_t offset) {
  put_text(b, name);
  put_u32(b, rank);
  for (uint32_t i = 0; i < rank; i++) put_u64(b, dims[i]);
  put_u32(b, type);
  put_u64(b, offset);
}

static inline void pad_to(file_buffer *b, size_t unit) {
  while (b->size % unit) b->data[b->size++] = 0;
}

enum { SAMPLE_KVS = 12 };

// The key-values of the sample GGUF: every value type but u8, i8, i16.
static inline void put_sample_kvs(file_buffer *b) {
  put_kv(b, "general.architecture", 8);
  put_text(b, "test");
  put_kv(b, "general.alignment", 4);
  put_u32(b, 32);
  put_kv(b, "t.layers", 4);
  put_u32(b, 3);
  put_kv(b, "t.offset", 11);
  put_u64(b, (uint64_t)-5);
  put_kv(b, "t.huge", 10);
  put_u64(b, UINT64_MAX);
  put_kv(b, "t.epsilon", 6);
  put(b, &(float){1e-5f}, 4);
  put_kv(b, "t.base", 12);
  put(b, &(double){0.1}, 8);
  put_kv(b, "t.flag", 7);
  put(b, "\1", 1);
  put_kv(b, "t.tokens", 9);
  put_u32(b, 8);
  put_u64(b, 3);
  put_text(b, "a");
  put_text(b, "");
  put_text(b, "\xc4\xa0the");
  put_kv(b, "t.scores", 9);
  put_u32(b, 6);
  put_u64(b, 2);
  put(b, (float[]){0.5f, -2.0f}, 8);
  put_kv(b, "t.types", 9);
  put_u32(b, 5);
  put_u64(b, 2);
  put(b, (int32_t[]){1, -3}, 8);
  put_kv(b, "t.part", 2);
  put(b, &(uint16_t){7}, 2);
}

// A GGUF file with an F32 matrix [2,3], a Q4_0 matrix [2,32] and an F16 scalar.
static inline void make_gguf(file_buffer *b, uint32_t version) {
  b->size = 0;
  put(b, "GGUF", 4);
  put_u32(b, version);
  put_u64(b, 3);
  put_u64(b, SAMPLE_KVS);
  put_sample_kvs(b);
  put_tensor(b, "w.dense", 2, (uint64_t[]){3, 2}, 0, 0);
  put_tensor(b, "w.blocks", 2, (uint64_t[]){32, 2}, 2, 32);
  put_tensor(b, "w.scalar", 0, NULL, 1, 96);
  pad_to(b, 32);
  put(b, (float[]){0, 1, 2, 3, 4, 5}, 24);
  pad_to(b, 32);
  for (int i = 0; i < 36; i++) put(b, &(uint8_t){(uint8_t)(i * 7)}, 1);
  pad_to(b, 32);
  put(b, &(uint16_t){0x3c00}, 2);
}

// A file with the given header and |data_bytes| zeros behind it.
static inline void make_safetensors(file_buffer *b, const char *header, size_t data_bytes) {
  b->size = 0;
  put_text(b, header);
  memset(b->data + b->size, 0, data_bytes);
  b->size += data_bytes;
}

static const char sample_header[] __attribute__((unused)) =
    "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\\u00e9\"},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[24,32]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"empty\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":[32,32]},"
    "\"scalar\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[32,33]}}  ";
enum { SAMPLE_DATA_BYTES = 33 };

#endif
