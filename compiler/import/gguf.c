// GGUF, versions 2 and 3, little endian: the file format of ggml (specification: docs/gguf.md of that project).
//
//   magic "GGUF", u32 version, u64 tensor count, u64 key-value count
//   key-values: string key, u32 type, value (array: u32 element type, u64 count, elements)
//   tensors:    string name, u32 rank, u64 dims (innermost first), u32 type, u64 offset into the data section
//   padding to general.alignment (32 if the key is missing), then the data section
// A string is a u64 length and its bytes. Every read goes through a cursor that knows the end of the file; nothing is
// allocated on a count's word alone: a count must be possible in the bytes that are left.
#include <string.h>

#include "compiler/import/builder.h"
#include "runtime/base/checked.h"

enum {
  GGUF_U8,
  GGUF_I8,
  GGUF_U16,
  GGUF_I16,
  GGUF_U32,
  GGUF_I32,
  GGUF_F32,
  GGUF_BOOL,
  GGUF_STRING,
  GGUF_ARRAY,
  GGUF_U64,
  GGUF_I64,
  GGUF_F64,
  GGUF_TYPE_COUNT
};
enum { GGUF_MAX_RANK = 4, MIN_KV_BYTES = 8 + 4 + 1, MIN_TENSOR_BYTES = 8 + 4 + 4 + 8, MAX_ALIGNMENT = 1 << 20 };

// Bytes of a value of each type, 0 for strings and arrays; and how it is shown to the rest of the compiler.
static const struct {
  uint8_t bytes;
  import_kv_type type;
} value_types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {1, IMPORT_KV_INT},    [GGUF_I8] = {1, IMPORT_KV_INT},    [GGUF_U16] = {2, IMPORT_KV_INT},
    [GGUF_I16] = {2, IMPORT_KV_INT},   [GGUF_U32] = {4, IMPORT_KV_INT},   [GGUF_I32] = {4, IMPORT_KV_INT},
    [GGUF_F32] = {4, IMPORT_KV_FLOAT}, [GGUF_BOOL] = {1, IMPORT_KV_BOOL}, [GGUF_STRING] = {0, IMPORT_KV_STRING},
    [GGUF_U64] = {8, IMPORT_KV_INT},   [GGUF_I64] = {8, IMPORT_KV_INT},   [GGUF_F64] = {8, IMPORT_KV_FLOAT},
};

typedef struct {
  const uint8_t *data;
  size_t size, at;
} cursor;

static weir_status take(cursor *c, size_t bytes, const char *field, const uint8_t **out_data) {
  if (bytes > c->size - c->at)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the file ends inside %s at byte %zu", field, c->at);
  *out_data = c->data + c->at;
  c->at += bytes;
  return WEIR_OK;
}

static weir_status take_u32(cursor *c, const char *field, uint32_t *out_value) {
  const uint8_t *data = NULL;
  WEIR_TRY(take(c, sizeof *out_value, field, &data));
  memcpy(out_value, data, sizeof *out_value);
  return WEIR_OK;
}

static weir_status take_u64(cursor *c, const char *field, uint64_t *out_value) {
  const uint8_t *data = NULL;
  WEIR_TRY(take(c, sizeof *out_value, field, &data));
  memcpy(out_value, data, sizeof *out_value);
  return WEIR_OK;
}

// A u64 count of things of at least |min_bytes| each.
static weir_status take_count(cursor *c, const char *field, size_t min_bytes, uint64_t *out_count) {
  const size_t at = c->at;
  WEIR_TRY(take_u64(c, field, out_count));
  if (*out_count > (c->size - c->at) / min_bytes)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "%s %llu at byte %zu is more than the file has room for", field,
                            (unsigned long long)*out_count, at);
  return WEIR_OK;
}

static weir_status take_string(cursor *c, const char *field, import_string *out_text) {
  uint64_t length = 0;
  const uint8_t *data = NULL;
  WEIR_TRY(take_count(c, field, 1, &length));
  WEIR_TRY(take(c, (size_t)length, field, &data));
  *out_text = (import_string){(const char *)data, (size_t)length};
  return WEIR_OK;
}

static weir_status take_name(cursor *c, weir_arena *arena, const char *field, const char **out_name) {
  import_string text = {0};
  const size_t at = c->at;
  WEIR_TRY(take_string(c, field, &text));
  return import_name_take(arena, field, text.data, text.length, at + 8, out_name);
}

// The |kv->count| elements of a value.
static weir_status take_elements(cursor *c, weir_arena *arena, import_kv *kv) {
  const size_t bytes = value_types[kv->gguf_type].bytes;
  kv->type = value_types[kv->gguf_type].type;
  if (bytes) return take(c, (size_t)kv->count * bytes, "a value", &kv->raw);
  import_string *strings = WEIR_NEW_ARRAY(arena, import_string, kv->count);
  for (uint64_t i = 0; i < kv->count; i++) WEIR_TRY(take_string(c, "a string value", &strings[i]));
  kv->strings = strings;
  return WEIR_OK;
}

static weir_status check_value_type(const import_kv *kv, bool array_allowed, size_t at) {
  if (kv->gguf_type < GGUF_TYPE_COUNT && (array_allowed || kv->gguf_type != GGUF_ARRAY)) return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_DATA, "key '%.80s': value type %u at byte %zu is %s", kv->key,
                          kv->gguf_type, at, kv->gguf_type == GGUF_ARRAY ? "an array of arrays" : "unknown");
}

static weir_status take_kv(cursor *c, weir_arena *arena, import_kv *kv) {
  *kv = (import_kv){.count = 1};
  WEIR_TRY(take_name(c, arena, "a key", &kv->key));
  size_t at = c->at;
  WEIR_TRY(take_u32(c, "a value type", &kv->gguf_type));
  WEIR_TRY(check_value_type(kv, true, at));
  if (kv->gguf_type == GGUF_ARRAY) {
    kv->is_array = true;
    at = c->at;
    WEIR_TRY(take_u32(c, "an array's element type", &kv->gguf_type));
    WEIR_TRY(check_value_type(kv, false, at));
    const size_t bytes = value_types[kv->gguf_type].bytes;
    WEIR_TRY(take_count(c, "an array's length", bytes ? bytes : 8, &kv->count));
  }
  WEIR_TRY_CTX(take_elements(c, arena, kv), "key '%.80s'", kv->key);
  return WEIR_OK;
}

// Dims are stored innermost first; the tensor gets them outermost first.
static weir_status take_dims(cursor *c, import_tensor *tensor) {
  uint32_t rank = 0;
  const size_t at = c->at;
  WEIR_TRY(take_u32(c, "a tensor's rank", &rank));
  if (rank > GGUF_MAX_RANK)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "rank %u at byte %zu exceeds %d", rank, at, GGUF_MAX_RANK);
  tensor->rank = (int)rank;
  tensor->elements = 1;
  for (int i = tensor->rank - 1; i >= 0; i--) {
    uint64_t dim = 0;
    const size_t dim_at = c->at;
    WEIR_TRY(take_u64(c, "a tensor's dimension", &dim));
    if (dim > INT64_MAX || !weir_mul_i64(tensor->elements, (int64_t)dim, &tensor->elements))
      return weir_status_make(WEIR_CODE_INVALID_DATA, "dimension %llu at byte %zu: the element count exceeds 2^63",
                              (unsigned long long)dim, dim_at);
    tensor->dims[i] = (int64_t)dim;
  }
  return WEIR_OK;
}

static weir_status take_tensor(cursor *c, import_tensor *tensor) {
  WEIR_TRY(take_dims(c, tensor));
  uint32_t type = 0;
  size_t at = c->at;
  WEIR_TRY(take_u32(c, "a tensor's type", &type));
  if (!weir_storage_from_gguf(type, &tensor->storage))
    return weir_status_make(WEIR_CODE_INVALID_DATA, "tensor type %u at byte %zu is unknown", type, at);
  const int64_t row = tensor->rank ? tensor->dims[tensor->rank - 1] : 1;
  const weir_storage_desc *info = weir_storage_info(tensor->storage);
  if (row % info->block_elements != 0)
    return weir_status_make(WEIR_CODE_INVALID_DATA,
                            "rows of %lld are no whole number of %s blocks of %u (type at byte %zu)", (long long)row,
                            info->name, info->block_elements, at);
  if (!weir_mul_i64(tensor->elements / info->block_elements, info->block_bytes, &tensor->bytes))
    return weir_status_make(WEIR_CODE_INVALID_DATA, "its size exceeds 2^63 bytes (type at byte %zu)", at);
  return take_u64(c, "a tensor's offset", &tensor->offset);
}

// Turns the offset into the data section into an offset in the file, and checks it.
static weir_status place_tensor(import_tensor *tensor, const cursor *c, uint64_t data_start, uint64_t alignment) {
  if (tensor->offset % alignment != 0)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "tensor '%.80s': offset %llu is no multiple of the alignment %llu",
                            tensor->name, (unsigned long long)tensor->offset, (unsigned long long)alignment);
  const uint64_t room = c->size > data_start ? c->size - data_start : 0;
  if (tensor->offset > room || (uint64_t)tensor->bytes > room - tensor->offset)
    return weir_status_make(
        WEIR_CODE_INVALID_DATA, "tensor '%.80s': %lld bytes at offset %llu of the data section, which has %llu bytes",
        tensor->name, (long long)tensor->bytes, (unsigned long long)tensor->offset, (unsigned long long)room);
  tensor->offset += data_start;
  tensor->data = c->data + (tensor->offset < c->size ? tensor->offset : c->size);
  return WEIR_OK;
}

static weir_status take_header(cursor *c, uint64_t *out_tensors, uint64_t *out_kvs) {
  const uint8_t *magic = NULL;
  uint32_t version = 0;
  WEIR_TRY(take(c, 4, "the magic", &magic));
  if (memcmp(magic, "GGUF", 4) != 0) return weir_status_make(WEIR_CODE_INVALID_DATA, "the magic at byte 0 is not GGUF");
  WEIR_TRY(take_u32(c, "the version", &version));
  if (version && !(version & 0xffff))
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "big-endian GGUF files are not supported");
  if (version != 2 && version != 3)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "GGUF version %u is not supported (2 and 3 are)", version);
  WEIR_TRY(take_count(c, "the tensor count", MIN_TENSOR_BYTES, out_tensors));
  return take_count(c, "the key-value count", MIN_KV_BYTES, out_kvs);
}

// general.alignment among the key-values from |first| on.
static weir_status find_alignment(const import_builder *builder, size_t first, uint64_t *out_alignment) {
  *out_alignment = 32;
  for (size_t i = first; i < builder->kv_count; i++) {
    const import_kv *kv = &builder->kvs[i];
    if (strcmp(kv->key, "general.alignment") != 0) continue;
    uint32_t value = 0;
    if (!kv->is_array && kv->gguf_type == GGUF_U32) memcpy(&value, kv->raw, sizeof value);
    if (value < 8 || value > MAX_ALIGNMENT || (value & (value - 1)))
      return weir_status_make(WEIR_CODE_INVALID_DATA, "general.alignment is no u32 power of two between 8 and %d",
                              MAX_ALIGNMENT);
    *out_alignment = value;
  }
  return WEIR_OK;
}

weir_status import_gguf_read(import_builder *builder, int file) {
  const weir_map *map = &builder->files[file].map;
  cursor c = {map->data, map->size, 0};
  const size_t first_kv = builder->kv_count, first_tensor = builder->tensor_count;
  uint64_t tensors = 0, kvs = 0, alignment = 32;
  WEIR_TRY(take_header(&c, &tensors, &kvs));
  for (uint64_t i = 0; i < kvs; i++) {
    import_kv kv;
    WEIR_TRY_CTX(take_kv(&c, builder->arena, &kv), "key-value %llu", (unsigned long long)i);
    WEIR_PUSH(builder->arena, builder->kvs, builder->kv_count, builder->kv_capacity, kv);
  }
  WEIR_TRY(find_alignment(builder, first_kv, &alignment));
  for (uint64_t i = 0; i < tensors; i++) {
    import_tensor tensor = {.file = file};
    WEIR_TRY_CTX(take_name(&c, builder->arena, "a tensor's name", &tensor.name), "tensor %llu", (unsigned long long)i);
    WEIR_TRY_CTX(take_tensor(&c, &tensor), "tensor '%.80s'", tensor.name);
    WEIR_PUSH(builder->arena, builder->tensors, builder->tensor_count, builder->tensor_capacity, tensor);
  }
  const uint64_t data_start = ((uint64_t)c.at + alignment - 1) & ~(alignment - 1);
  for (size_t i = first_tensor; i < builder->tensor_count; i++)
    WEIR_TRY(place_tensor(&builder->tensors[i], &c, data_start, alignment));
  return WEIR_OK;
}
