// Content hashes: BLAKE2b-256 for everything Weir names by content, SHA-256 where the outside world publishes one. Both
// are libsodium's. A hash state belongs to one thread at a time.
#ifndef WEIR_RUNTIME_BASE_HASH_H
#define WEIR_RUNTIME_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_HASH_BYTES 32
#define WEIR_HASH_HEX_BYTES 65  // with the NUL

typedef struct {
  uint8_t bytes[WEIR_HASH_BYTES];
} weir_hash;

typedef struct {
  uint64_t opaque[48];  // the library's state; may be copied
} weir_hasher;

// BLAKE2b with a 32-byte digest and no key, piece by piece.
void weir_hasher_init(weir_hasher *hasher);
void weir_hasher_add(weir_hasher *hasher, const void *data, size_t bytes);
// Adds the length, then the text: "ab","c" differs from "a","bc".
void weir_hasher_add_text(weir_hasher *hasher, const char *text);
void weir_hasher_add_u64(weir_hasher *hasher, uint64_t value);
// Ends it; the hasher must be initialised before it is used again.
void weir_hasher_finish(weir_hasher *hasher, weir_hash *out_hash);

void weir_hash_bytes(const void *data, size_t bytes, weir_hash *out_hash);
weir_status weir_hash_file(const char *path, weir_hash *out_hash) WEIR_MUST_USE;
weir_status weir_sha256_file(const char *path, weir_hash *out_hash) WEIR_MUST_USE;

// Lower-case hexadecimal, NUL-terminated.
void weir_hash_hex(const weir_hash *hash, char out_hex[WEIR_HASH_HEX_BYTES]);
// Not in constant time.
bool weir_hash_equal(const weir_hash *a, const weir_hash *b);
// False unless |hex| is exactly 64 hexadecimal digits.
bool weir_hash_parse(const char *hex, weir_hash *out_hash);

#ifdef __cplusplus
}
#endif
#endif
