// safetensors: u64 length of a JSON header, the header, then the bytes of all tensors.
//
// The header maps a name to {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]} with offsets into the data,
// and "__metadata__" to an object of strings. The format demands that tensors cover the data without holes or overlap,
// which is checked here, so that no byte of a file escapes description. Deep nesting is refused before the JSON library
// sees it.
#include <stdlib.h>
#include <string.h>

#include "compiler/import/builder.h"
#include "runtime/base/checked.h"

enum { LENGTH_BYTES = 8, HEADER_DEPTH = 3 };

bool import_safetensors_detect(const uint8_t *data, size_t size) {
  return size > LENGTH_BYTES && data[LENGTH_BYTES] == '{';
}

static weir_status read_shape(const json_t *shape, import_tensor *tensor) {
  if (!json_is_array(shape)) return weir_status_make(WEIR_CODE_INVALID_DATA, "shape is missing or no array");
  if (json_array_size(shape) > IMPORT_MAX_RANK)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "shape has %zu dimensions, more than %d", json_array_size(shape),
                            IMPORT_MAX_RANK);
  tensor->rank = (int)json_array_size(shape);
  tensor->elements = 1;
  for (int i = 0; i < tensor->rank; i++) {
    const json_t *dim = json_array_get(shape, (size_t)i);
    if (!json_is_integer(dim) || json_integer_value(dim) < 0)
      return weir_status_make(WEIR_CODE_INVALID_DATA, "shape[%d] is no count", i);
    tensor->dims[i] = json_integer_value(dim);
    if (!weir_mul_i64(tensor->elements, tensor->dims[i], &tensor->elements))
      return weir_status_make(WEIR_CODE_INVALID_DATA, "shape[%d]: the element count exceeds 2^63", i);
  }
  return WEIR_OK;
}

static weir_status read_offsets(const json_t *offsets, const import_tensor *tensor, uint64_t room, int64_t *out_begin) {
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
    return weir_status_make(WEIR_CODE_INVALID_DATA, "data_offsets is missing or no pair of integers");
  const int64_t b = json_integer_value(begin), e = json_integer_value(end);
  if (b < 0 || e < b || (uint64_t)e > room)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "data_offsets [%lld, %lld] lie outside the data of %llu bytes",
                            (long long)b, (long long)e, (unsigned long long)room);
  if (e - b != tensor->bytes)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "data_offsets span %lld bytes, dtype and shape need %lld",
                            (long long)(e - b), (long long)tensor->bytes);
  *out_begin = b;
  return WEIR_OK;
}

static weir_status read_tensor(const json_t *entry, const weir_map *map, uint64_t data_start, import_tensor *tensor) {
  if (!json_is_object(entry)) return weir_status_make(WEIR_CODE_INVALID_DATA, "its entry is no object");
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  if (!dtype) return weir_status_make(WEIR_CODE_INVALID_DATA, "dtype is missing or no string");
  if (!weir_storage_from_safetensors(dtype, &tensor->storage))
    return weir_status_make(WEIR_CODE_INVALID_DATA, "dtype '%.32s' is unknown", dtype);
  WEIR_TRY(read_shape(json_object_get(entry, "shape"), tensor));
  if (!weir_mul_i64(tensor->elements, weir_storage_info(tensor->storage)->block_bytes, &tensor->bytes))
    return weir_status_make(WEIR_CODE_INVALID_DATA, "its size exceeds 2^63 bytes");
  int64_t begin = 0;
  WEIR_TRY(read_offsets(json_object_get(entry, "data_offsets"), tensor, map->size - data_start, &begin));
  tensor->offset = data_start + (uint64_t)begin;
  tensor->data = map->data + tensor->offset;
  return WEIR_OK;
}

static weir_status read_metadata(import_builder *builder, json_t *object) {
  if (!json_is_object(object)) return weir_status_make(WEIR_CODE_INVALID_DATA, "__metadata__ is no object");
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (!json_is_string(value))
      return weir_status_make(WEIR_CODE_INVALID_DATA, "__metadata__ '%.80s' is no string", key);
    const size_t length = json_string_length(value);
    import_string *text = WEIR_NEW(builder->arena, import_string);
    *text = (import_string){weir_arena_strndup(builder->arena, json_string_value(value), length), length};
    import_kv kv = {.type = IMPORT_KV_STRING, .count = 1, .strings = text};
    WEIR_TRY(import_name_take(builder->arena, "a metadata key", key, strlen(key), LENGTH_BYTES, &kv.key));
    WEIR_PUSH(builder->arena, builder->kvs, builder->kv_count, builder->kv_capacity, kv);
  }
  return WEIR_OK;
}

static int by_offset(const void *a, const void *b) {
  const import_tensor *x = *(import_tensor *const *)a, *y = *(import_tensor *const *)b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

// Tensors from |first| on cover the data section exactly.
static weir_status check_coverage(const import_builder *builder, size_t first, uint64_t data_start, uint64_t size) {
  const size_t count = builder->tensor_count - first;
  const import_tensor **order = WEIR_NEW_ARRAY(builder->arena, const import_tensor *, count);
  for (size_t i = 0; i < count; i++) order[i] = &builder->tensors[first + i];
  qsort(order, count, sizeof *order, by_offset);
  uint64_t at = data_start;
  for (size_t i = 0; i < count; i++) {
    if (order[i]->offset != at)
      return weir_status_make(WEIR_CODE_INVALID_DATA,
                              "tensor '%.80s': data_offsets leave a hole or overlap at byte %llu", order[i]->name,
                              (unsigned long long)at);
    at += (uint64_t)order[i]->bytes;
  }
  if (at != size)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "bytes %llu to %llu belong to no tensor", (unsigned long long)at,
                            (unsigned long long)size);
  return WEIR_OK;
}

static weir_status read_entries(import_builder *builder, int file, json_t *root, uint64_t data_start) {
  const weir_map *map = &builder->files[file].map;
  const size_t first = builder->tensor_count;
  const char *name;
  json_t *entry;
  json_object_foreach(root, name, entry) {
    if (strcmp(name, "__metadata__") == 0) {
      WEIR_TRY(read_metadata(builder, entry));
      continue;
    }
    import_tensor tensor = {.file = file};
    WEIR_TRY(import_name_take(builder->arena, "a tensor's name", name, strlen(name), LENGTH_BYTES, &tensor.name));
    WEIR_TRY_CTX(read_tensor(entry, map, data_start, &tensor), "tensor '%.80s'", name);
    WEIR_PUSH(builder->arena, builder->tensors, builder->tensor_count, builder->tensor_capacity, tensor);
  }
  return check_coverage(builder, first, data_start, map->size);
}

weir_status import_safetensors_read(import_builder *builder, int file) {
  const weir_map *map = &builder->files[file].map;
  if (map->size < LENGTH_BYTES)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the file ends inside the header length at byte 0");
  uint64_t length;
  memcpy(&length, map->data, sizeof length);
  if (length > map->size - LENGTH_BYTES)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "header length %llu at byte 0 exceeds the file's %zu bytes",
                            (unsigned long long)length, map->size);
  json_t *root = NULL;
  WEIR_TRY(
      import_json_parse((const char *)map->data + LENGTH_BYTES, (size_t)length, LENGTH_BYTES, HEADER_DEPTH, &root));
  weir_status status = read_entries(builder, file, root, LENGTH_BYTES + length);
  json_decref(root);
  return status;
}
