// Signing packages: keys in PEM files as OpenSSL writes them. Checking is runtime/package/signature.h.
#ifndef WEIR_CODEGEN_PACKAGE_SIGN_H
#define WEIR_CODEGEN_PACKAGE_SIGN_H

#include "runtime/package/signature.h"

// A secret: whoever has read one clears it with cg_signing_key_clear.
typedef struct {
  uint8_t secret[64];  // ed25519: seed and public key
  rt_public_key public_key;
} cg_signing_key;

// Makes a key: the secret one at |path|, for its owner's eyes alone, the public one at |public_path|. INVALID_ARGUMENT
// if one of them is there already: a key is never overwritten.
weir_status cg_signing_key_create(const char *path, const char *public_path, rt_public_key *out_public) WEIR_MUST_USE;
// From a PEM "PRIVATE KEY" of ed25519. INVALID_ARGUMENT for all else, an encrypted one too.
weir_status cg_signing_key_read(const char *path, cg_signing_key *out_key) WEIR_MUST_USE;
void cg_signing_key_clear(cg_signing_key *key);

// The record that stands behind a package of this identity.
weir_status cg_sign(const cg_signing_key *key, const weir_hash *identity, rt_package_signature *out) WEIR_MUST_USE;

#endif
