// Access to the key-values of a checkpoint. Numbers stay where they lie in the mapping, in the type that GGUF gave
// them, and are widened when asked for.
#include <string.h>

#include "compiler/import/checkpoint.h"

// Numbering of the GGUF format.
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };

#define LOAD(type, as)                                         \
  do {                                                         \
    type value;                                                \
    memcpy(&value, kv->raw + at * sizeof value, sizeof value); \
    return (as)value;                                          \
  } while (0)

int64_t import_kv_int_at(const import_kv *kv, uint64_t at) {
  switch (kv->gguf_type) {
    case BOOL:
      return kv->raw[at] != 0;
    case U8:
      LOAD(uint8_t, int64_t);
    case I8:
      LOAD(int8_t, int64_t);
    case U16:
      LOAD(uint16_t, int64_t);
    case I16:
      LOAD(int16_t, int64_t);
    case U32:
      LOAD(uint32_t, int64_t);
    case I32:
      LOAD(int32_t, int64_t);
    case I64:
      LOAD(int64_t, int64_t);
    case U64: {
      uint64_t value;
      memcpy(&value, kv->raw + at * sizeof value, sizeof value);
      return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    default:
      return 0;
  }
}

double import_kv_float_at(const import_kv *kv, uint64_t at) {
  switch (kv->gguf_type) {
    case F32:
      LOAD(float, double);
    case F64:
      LOAD(double, double);
    case U64:
      LOAD(uint64_t, double);
    default:
      return (double)import_kv_int_at(kv, at);
  }
}

bool import_kv_bool_at(const import_kv *kv, uint64_t at) { return kv->raw[at] != 0; }

import_string import_kv_string_at(const import_kv *kv, uint64_t at) { return kv->strings[at]; }

static const import_kv *find_value(const import_checkpoint *checkpoint, const char *key) {
  const import_kv *kv = import_checkpoint_kv(checkpoint, key);
  return kv && !kv->is_array ? kv : NULL;
}

bool import_kv_get_int(const import_checkpoint *checkpoint, const char *key, int64_t *out_value) {
  const import_kv *kv = find_value(checkpoint, key);
  if (!kv || kv->type != IMPORT_KV_INT) return false;
  uint64_t wide;
  if (kv->gguf_type == U64 && (memcpy(&wide, kv->raw, sizeof wide), wide > INT64_MAX)) return false;
  *out_value = import_kv_int_at(kv, 0);
  return true;
}

bool import_kv_get_float(const import_checkpoint *checkpoint, const char *key, double *out_value) {
  const import_kv *kv = find_value(checkpoint, key);
  if (!kv || (kv->type != IMPORT_KV_FLOAT && kv->type != IMPORT_KV_INT)) return false;
  *out_value = import_kv_float_at(kv, 0);
  return true;
}

bool import_kv_get_bool(const import_checkpoint *checkpoint, const char *key, bool *out_value) {
  const import_kv *kv = find_value(checkpoint, key);
  if (!kv || kv->type != IMPORT_KV_BOOL) return false;
  *out_value = import_kv_bool_at(kv, 0);
  return true;
}

bool import_kv_get_string(const import_checkpoint *checkpoint, const char *key, import_string *out_value) {
  const import_kv *kv = find_value(checkpoint, key);
  if (!kv || kv->type != IMPORT_KV_STRING) return false;
  *out_value = kv->strings[0];
  return true;
}

const import_kv *import_kv_get_array(const import_checkpoint *checkpoint, const char *key, import_kv_type type) {
  const import_kv *kv = import_checkpoint_kv(checkpoint, key);
  return kv && kv->is_array && kv->type == type ? kv : NULL;
}
