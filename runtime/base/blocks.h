// Storage formats: how the numbers of a tensor lie in a file or in memory, from plain float32 to blocks of quantised
// values.
//
// A row of a tensor is a sequence of blocks; a block holds |block_elements| values in |block_bytes| bytes. The plain
// number types are blocks of one. Where a format has one scale for a row (WEIR_STORAGE_CLASS_ROW), the row begins with
// it, and what is decoded or encoded in one call is one row. blocks.def is the one table; everything here reads it.
// Sources need no alignment. All functions are pure and may run on any thread. Decoding to float follows the float32
// arithmetic of the format's reference, bit for bit; decoding to double does the same arithmetic in double, which is
// exact: scales have at most 11 bits and codes are small integers (only a scale and a minimum that lie a factor of 2^30
// apart would round).
#ifndef WEIR_RUNTIME_BASE_BLOCKS_H
#define WEIR_RUNTIME_BASE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
#define WEIR_STORAGE_ROW(id, kind, gguf, safetensors, elements, bytes, decode, encode) WEIR_STORAGE_##id,
#include "runtime/base/blocks.def"
#undef WEIR_STORAGE_ROW
  WEIR_STORAGE_COUNT
} weir_storage;

typedef enum {
  WEIR_STORAGE_CLASS_FLOAT,
  WEIR_STORAGE_CLASS_INTEGER,
  WEIR_STORAGE_CLASS_BOOLEAN,
  WEIR_STORAGE_CLASS_BLOCK,
  WEIR_STORAGE_CLASS_ROW,
} weir_storage_class;

typedef struct {
  const char *name;  // "Q4_1"
  weir_storage_class kind;
  int32_t gguf_type;             // type number in GGUF files, -1 for none
  const char *safetensors_name;  // dtype in safetensors files, "" for none
  uint32_t block_elements;
  uint32_t block_bytes;
  uint32_t row_bytes;  // in front of the blocks of each row: its scale, an f32; else 0
  bool can_decode;
  bool can_encode;
} weir_storage_desc;

// The row of |storage|, which must be below WEIR_STORAGE_COUNT. Static.
const weir_storage_desc *weir_storage_info(weir_storage storage);
// "Q4_1"; "?" for a value outside the enum.
const char *weir_storage_name(weir_storage storage);

// Whether its values are codes that scales make numbers of.
bool weir_storage_has_codes(weir_storage storage);

// Lookups; false if there is no such format. Names are compared without case.
bool weir_storage_from_name(const char *name, weir_storage *out_storage);
bool weir_storage_from_gguf(uint32_t gguf_type, weir_storage *out_storage);
bool weir_storage_from_safetensors(const char *dtype, weir_storage *out_storage);

// Bytes of |elements| consecutive values, a whole row where it has a scale. INVALID_ARGUMENT if |elements| is negative
// or no whole number of blocks, OUT_OF_RANGE on overflow.
weir_status weir_storage_row_bytes(weir_storage storage, int64_t elements, int64_t *out_bytes) WEIR_MUST_USE;

// Decodes |elements| values from |src| (weir_storage_row_bytes of them) into |dst|. Integers that a float cannot hold
// are rounded to nearest even; booleans become 0 and 1. INVALID_ARGUMENT as above, UNSUPPORTED if the format cannot be
// decoded.
weir_status weir_storage_decode(weir_storage storage, const void *src, int64_t elements, float *dst) WEIR_MUST_USE;
weir_status weir_storage_decode_f64(weir_storage storage, const void *src, int64_t elements, double *dst) WEIR_MUST_USE;

// Quantises |elements| finite values, bit for bit as the format's reference. INVALID_ARGUMENT as above, UNSUPPORTED if
// the format cannot be encoded. A NaN or an infinity in a block format yields an unspecified but harmless block.
weir_status weir_storage_encode(weir_storage storage, const float *src, int64_t elements, void *dst) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
