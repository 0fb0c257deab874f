// Signatures of packages: ed25519, by libsodium, over the hash of the section table, which covers every byte of a
// package and the hash of weights beside it.
//
// A signature says who made a package; whom to trust is the caller's to know. Keys are PEM files as OpenSSL writes them
// (`openssl genpkey -algorithm ed25519`, `openssl pkey -pubout`).
#ifndef WEIR_RUNTIME_PACKAGE_SIGNATURE_H
#define WEIR_RUNTIME_PACKAGE_SIGNATURE_H

#include "runtime/package/package.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint8_t bytes[RT_PACKAGE_KEY_BYTES];
} rt_public_key;

// |text|: 64 hexadecimal digits, or a PEM "PUBLIC KEY" of ed25519. INVALID_ARGUMENT for all else, a private key too.
weir_status rt_public_key_parse(const char *text, rt_public_key *out_key) WEIR_MUST_USE;
// Hexadecimal digits, or the path of a PEM file.
weir_status rt_public_key_read(const char *text_or_path, rt_public_key *out_key) WEIR_MUST_USE;

// INVALID_DATA unless the package is signed, rightly, and by |key| (null: by whatever key its signature names). Does
// not hash the sections: rt_package_verify and rt_package_check do.
weir_status rt_signature_check(const rt_package *package, const rt_public_key *key) WEIR_MUST_USE;

// What is signed: |out_message| has room for RT_SIGNED_BYTES.
enum { RT_SIGNED_BYTES = sizeof RT_PACKAGE_SIGNED + WEIR_HASH_BYTES };
void rt_signature_message(const weir_hash *identity, uint8_t out_message[RT_SIGNED_BYTES]);

// Bytes of the base64 text between "-----BEGIN |label|-----" and its end, which are exactly |prefix| and then |bytes|
// more. False if there is no such block.
bool rt_pem_parse(const char *text, const char *label, const uint8_t *prefix, size_t prefix_bytes, uint8_t *out,
                  size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
