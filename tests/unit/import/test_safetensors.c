// safetensors: what a good file says, and that every kind of bad file is a status.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "compiler/import/builder.h"
#include "tests/unit/import/make_files.h"

static file_buffer file;

static weir_status open_bytes(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  weir_arena arena;
  weir_arena_init(&arena);
  import_checkpoint *checkpoint;
  weir_status status = import_checkpoint_from_memory(&arena, copy, size, &checkpoint);
  weir_arena_deinit(&arena);
  free(copy);
  return status;
}

static void refused(const char *header, size_t data_bytes, const char *part) {
  make_safetensors(&file, header, data_bytes);
  weir_status status = open_bytes(file.data, file.size);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%s: %s", header, weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), part), "'%s' is not in '%s'", part, weir_status_message(status));
  weir_status_release(status);
}

Test(safetensors, reads) {
  weir_arena arena;
  weir_arena_init(&arena);
  make_safetensors(&file, sample_header, SAMPLE_DATA_BYTES);
  import_checkpoint *c;
  weir_status status = import_checkpoint_from_memory(&arena, file.data, file.size, &c);
  cr_assert(!status, "%s", weir_status_message(status));
  cr_assert_eq(c->format, IMPORT_FORMAT_SAFETENSORS);
  cr_assert_eq(c->tensor_count, 4);
  const import_tensor *a = import_checkpoint_tensor(c, "a"), *b = import_checkpoint_tensor(c, "b");
  cr_assert(a->storage == WEIR_STORAGE_F32 && a->rank == 2 && a->dims[0] == 2 && a->dims[1] == 3 && a->bytes == 24);
  cr_assert_eq(a->data, file.data + sizeof sample_header - 1 + 8);
  cr_assert(b->storage == WEIR_STORAGE_BF16 && b->data == a->data + 24);
  cr_assert_eq(import_checkpoint_tensor(c, "empty")->elements, 0);
  cr_assert_eq(import_checkpoint_tensor(c, "scalar")->rank, 0);
  import_string note;
  cr_assert(import_kv_get_string(c, "note", &note) && note.length == 2);
  weir_arena_deinit(&arena);
}

Test(safetensors, every_truncation_is_refused) {
  make_safetensors(&file, sample_header, SAMPLE_DATA_BYTES);
  for (size_t size = 0; size < file.size; size++) {
    weir_status status = open_bytes(file.data, size);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%zu", size);
    weir_status_release(status);
  }
}

Test(safetensors, every_byte_change_is_survived) {
  make_safetensors(&file, sample_header, SAMPLE_DATA_BYTES);
  for (size_t at = 0; at < file.size - SAMPLE_DATA_BYTES; at++)
    for (int change = 1; change < 256; change += at < 8 ? 1 : 7) {
      file.data[at] ^= (uint8_t)change;
      weir_status_release(open_bytes(file.data, file.size));
      file.data[at] ^= (uint8_t)change;
    }
}

Test(safetensors, header_length) {
  file.size = 0;
  put_u64(&file, UINT64_MAX);
  put(&file, "{}", 2);
  weir_status status = open_bytes(file.data, file.size);
  cr_assert(strstr(weir_status_message(status), "header length 18446744073709551615 at byte 0"));
  weir_status_release(status);
}

Test(safetensors, bad_json) {
  refused("{\"a\":", 0, "JSON at byte");
  refused("[]", 0, "no object");
  refused("{} {}", 0, "JSON at byte");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[[[1]]],\"data_offsets\":[0,4]}}", 4, "nested deeper than 3");
  refused(
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_"
      "offsets\":[1,2]}}",
      2, "duplicate");
  refused("{\"\xff\":1}", 0, "unable to decode byte");
  char deep[4000];
  memset(deep, '[', sizeof deep - 1);
  deep[sizeof deep - 1] = 0;
  refused(deep, 0, "JSON at byte 11 is nested deeper");
}

Test(safetensors, bad_entries) {
  refused("{\"a\":1}", 0, "no object");
  refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is missing");
  refused("{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype 'F33' is unknown");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, "shape is missing");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "shape[0] is no count");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "shape[0] is no count");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4, "exceeds 2^63");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]}}", 4,
          "exceeds 2^63 bytes");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}", 4, "JSON at byte");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "9 dimensions");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets is missing");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "lie outside");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "lie outside");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "lie outside");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8,
          "span 8 bytes, dtype and shape need 4");
  refused(
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_"
      "offsets\":[0,1]}}",
      1, "hole or overlap");
  refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "hole or overlap");
  refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 2, "belong to no tensor");
  refused("{\"__metadata__\":{\"a\":1}}", 0, "'a' is no string");
  refused("{\"__metadata__\":[]}", 0, "__metadata__ is no object");
  refused("{\"a\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "control character");
}
