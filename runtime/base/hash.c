// Content hashes over libsodium. Its BLAKE2b state wants 64-byte alignment, which a struct from malloc does not have;
// so the state is kept as plain bytes and copied to an aligned one around each call, 384 bytes against the thousands
// that a call hashes.
#include "runtime/base/hash.h"

#include <sodium.h>
#include <string.h>

#include "runtime/base/io.h"

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(weir_hasher), "hasher state must fit");
_Static_assert(crypto_hash_sha256_BYTES == WEIR_HASH_BYTES, "digests share a type");

void weir_hasher_init(weir_hasher *hasher) {
  // Picks the fastest implementation once; a failure means the portable one stays.
  if (sodium_init() < 0) WEIR_BUG("sodium_init failed");
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, WEIR_HASH_BYTES);
  memcpy(hasher->opaque, &state, sizeof state);
}

void weir_hasher_add(weir_hasher *hasher, const void *data, size_t bytes) {
  crypto_generichash_state state;
  memcpy(&state, hasher->opaque, sizeof state);
  crypto_generichash_update(&state, data, bytes);
  memcpy(hasher->opaque, &state, sizeof state);
}

void weir_hasher_add_u64(weir_hasher *hasher, uint64_t value) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  weir_hasher_add(hasher, bytes, sizeof bytes);
}

void weir_hasher_add_text(weir_hasher *hasher, const char *text) {
  const size_t length = strlen(text);
  weir_hasher_add_u64(hasher, length);
  weir_hasher_add(hasher, text, length);
}

void weir_hasher_finish(weir_hasher *hasher, weir_hash *out_hash) {
  crypto_generichash_state state;
  memcpy(&state, hasher->opaque, sizeof state);
  crypto_generichash_final(&state, out_hash->bytes, WEIR_HASH_BYTES);
  memset(hasher, 0, sizeof *hasher);
}

void weir_hash_bytes(const void *data, size_t bytes, weir_hash *out_hash) {
  weir_hasher hasher;
  weir_hasher_init(&hasher);
  weir_hasher_add(&hasher, data, bytes);
  weir_hasher_finish(&hasher, out_hash);
}

weir_status weir_hash_file(const char *path, weir_hash *out_hash) {
  weir_map map;
  WEIR_TRY(weir_map_open(path, &map));
  weir_hash_bytes(map.data, map.size, out_hash);
  weir_map_close(&map);
  return WEIR_OK;
}

weir_status weir_sha256_file(const char *path, weir_hash *out_hash) {
  weir_map map;
  WEIR_TRY(weir_map_open(path, &map));
  crypto_hash_sha256(out_hash->bytes, map.data, map.size);
  weir_map_close(&map);
  return WEIR_OK;
}

void weir_hash_hex(const weir_hash *hash, char out_hex[WEIR_HASH_HEX_BYTES]) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < WEIR_HASH_BYTES; i++) {
    out_hex[2 * i] = digits[hash->bytes[i] >> 4];
    out_hex[2 * i + 1] = digits[hash->bytes[i] & 15];
  }
  out_hex[2 * WEIR_HASH_BYTES] = 0;
}

bool weir_hash_equal(const weir_hash *a, const weir_hash *b) { return memcmp(a, b, sizeof *a) == 0; }

static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool weir_hash_parse(const char *hex, weir_hash *out_hash) {
  weir_hash hash;
  if (strlen(hex) != 2 * WEIR_HASH_BYTES) return false;
  for (int i = 0; i < WEIR_HASH_BYTES; i++) {
    const int high = digit_value(hex[2 * i]), low = digit_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    hash.bytes[i] = (uint8_t)(high << 4 | low);
  }
  *out_hash = hash;
  return true;
}
