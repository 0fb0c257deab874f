// The table of storage formats, lookups in it, and decoding. Encoding is in blocks_encode.c.
//
// The decoders are text included twice (blocks_decode.inc), for float and for double. They are plain loops, the meaning
// of each format; the kernels that generated code uses are faster and are compared with these.
#include "runtime/base/blocks.h"

#include <string.h>
#include <strings.h>

#include "runtime/base/blocks_grids.inc"
#include "runtime/base/blocks_levels.h"
#include "runtime/base/checked.h"
#include "runtime/base/half.h"

static const weir_storage_desc descriptions[WEIR_STORAGE_COUNT] = {
#define FLAG_Y true
#define FLAG_R true
#define FLAG_N false
#define FRONT(kind) (WEIR_STORAGE_CLASS_##kind == WEIR_STORAGE_CLASS_ROW ? sizeof(float) : 0)
#define WEIR_STORAGE_ROW(id, kind, gguf, safetensors, elements, bytes, decode, encode) \
  {#id, WEIR_STORAGE_CLASS_##kind, gguf, safetensors, elements, bytes, FRONT(kind), FLAG_##decode, FLAG_##encode},
#include "runtime/base/blocks.def"
#undef WEIR_STORAGE_ROW
#undef FLAG_Y
#undef FLAG_R
#undef FLAG_N
#undef FRONT
};

const weir_storage_desc *weir_storage_info(weir_storage storage) { return &descriptions[storage]; }

const char *weir_storage_name(weir_storage storage) {
  return (unsigned)storage < WEIR_STORAGE_COUNT ? descriptions[storage].name : "?";
}

bool weir_storage_has_codes(weir_storage storage) {
  weir_storage_class kind = weir_storage_info(storage)->kind;
  return kind == WEIR_STORAGE_CLASS_BLOCK || kind == WEIR_STORAGE_CLASS_ROW;
}

bool weir_storage_from_name(const char *name, weir_storage *out_storage) {
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++)
    if (strcasecmp(descriptions[i].name, name) == 0) {
      *out_storage = (weir_storage)i;
      return true;
    }
  return false;
}

bool weir_storage_from_gguf(uint32_t gguf_type, weir_storage *out_storage) {
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++)
    if (descriptions[i].gguf_type >= 0 && (uint32_t)descriptions[i].gguf_type == gguf_type) {
      *out_storage = (weir_storage)i;
      return true;
    }
  return false;
}

bool weir_storage_from_safetensors(const char *dtype, weir_storage *out_storage) {
  for (int i = 0; i < WEIR_STORAGE_COUNT; i++)
    if (descriptions[i].safetensors_name[0] && strcmp(descriptions[i].safetensors_name, dtype) == 0) {
      *out_storage = (weir_storage)i;
      return true;
    }
  return false;
}

weir_status weir_storage_row_bytes(weir_storage storage, int64_t elements, int64_t *out_bytes) {
  const weir_storage_desc *info = weir_storage_info(storage);
  if (elements < 0 || elements % info->block_elements != 0)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%lld elements are no whole number of %s blocks of %u",
                            (long long)elements, info->name, info->block_elements);
  int64_t bytes;
  if (!weir_mul_i64(elements / info->block_elements, info->block_bytes, &bytes) ||
      !weir_add_i64(bytes, info->row_bytes, out_bytes))
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "%lld elements of %s exceed 2^63 bytes", (long long)elements,
                            info->name);
  return WEIR_OK;
}

static inline uint16_t load_u16(const uint8_t *b) {
  uint16_t value;
  memcpy(&value, b, sizeof value);
  return value;
}

static inline uint32_t load_u32(const uint8_t *b) {
  uint32_t value;
  memcpy(&value, b, sizeof value);
  return value;
}

static inline float load_f32(const uint8_t *b) {
  float value;
  memcpy(&value, b, sizeof value);
  return value;
}

static inline float load_f16(const uint8_t *b) { return weir_f16_to_f32(load_u16(b)); }

// Q4_K and Q5_K: eight scales and eight minima of 6 bits in 12 bytes |s|. Bytes 0..3 hold scales 0..3, bytes 4..7
// minima 0..3, each with the upper two bits of number k + 4 on top; bytes 8..11 hold the low nibbles of scales (low)
// and minima (high) 4..7.
static inline int k_scale(const uint8_t *s, int k) {
  return k < 4 ? s[k] & 63 : (s[k + 4] & 15) | (s[k - 4] >> 6) << 4;
}

static inline int k_minimum(const uint8_t *s, int k) {
  return k < 4 ? s[k + 4] & 63 : s[k + 4] >> 4 | (s[k] >> 6) << 4;
}

// Seven sign bits and an eighth that makes their number even.
static inline uint8_t even_signs(uint32_t bits) {
  bits &= 127;
  return (uint8_t)(bits | (uint32_t)(__builtin_popcount(bits) & 1) << 7);
}

#define REAL float
#define DECODE(id) decode_f32_##id
#include "runtime/base/blocks_decode.inc"
#undef REAL
#undef DECODE

#define REAL double
#define DECODE(id) decode_f64_##id
#include "runtime/base/blocks_decode.inc"
#undef REAL
#undef DECODE

static weir_status check_decode(weir_storage storage, int64_t elements) {
  const weir_storage_desc *info = weir_storage_info(storage);
  if (!info->can_decode) return weir_status_make(WEIR_CODE_UNSUPPORTED, "%s cannot be decoded", info->name);
  int64_t bytes;
  return weir_storage_row_bytes(storage, elements, &bytes);
}

weir_status weir_storage_decode(weir_storage storage, const void *src, int64_t elements, float *dst) {
  const weir_storage_desc *info = weir_storage_info(storage);
  WEIR_TRY(check_decode(storage, elements));
  decode_f32_table[storage]((const uint8_t *)src + info->row_bytes, elements / info->block_elements, dst);
  if (info->row_bytes) decode_f32_scale_row(src, elements, dst);
  return WEIR_OK;
}

weir_status weir_storage_decode_f64(weir_storage storage, const void *src, int64_t elements, double *dst) {
  const weir_storage_desc *info = weir_storage_info(storage);
  WEIR_TRY(check_decode(storage, elements));
  decode_f64_table[storage]((const uint8_t *)src + info->row_bytes, elements / info->block_elements, dst);
  if (info->row_bytes) decode_f64_scale_row(src, elements, dst);
  return WEIR_OK;
}
