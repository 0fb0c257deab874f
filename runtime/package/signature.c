// Checking signatures, reading public keys.
#include "runtime/package/signature.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/io.h"

enum { MAX_DER = 128, MAX_PEM_FILE = 1 << 16 };

// A SubjectPublicKeyInfo of ed25519 up to its 32 bytes (RFC 8410).
static const uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

bool rt_pem_parse(const char *text, const char *label, const uint8_t *prefix, size_t prefix_bytes, uint8_t *out,
                  size_t bytes) {
  char mark[64];
  uint8_t der[MAX_DER];
  size_t length = 0;
  snprintf(mark, sizeof mark, "-----BEGIN %s-----", label);
  const char *begin = strstr(text, mark);
  if (!begin) return false;
  begin += strlen(mark);
  const char *end = strstr(begin, "-----END ");
  if (!end || sodium_base642bin(der, sizeof der, begin, (size_t)(end - begin), "\r\n\t ", &length, NULL,
                                sodium_base64_VARIANT_ORIGINAL) != 0)
    return false;
  if (length != prefix_bytes + bytes || memcmp(der, prefix, prefix_bytes)) return false;
  memcpy(out, der + prefix_bytes, bytes);
  sodium_memzero(der, sizeof der);
  return true;
}

weir_status rt_public_key_parse(const char *text, rt_public_key *out_key) {
  weir_hash hex;
  _Static_assert(sizeof hex.bytes == sizeof out_key->bytes, "both have 64 digits");
  if (weir_hash_parse(text, &hex)) {
    memcpy(out_key->bytes, hex.bytes, sizeof hex.bytes);
    return WEIR_OK;
  }
  if (rt_pem_parse(text, "PUBLIC KEY", public_prefix, sizeof public_prefix, out_key->bytes, sizeof out_key->bytes))
    return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "no ed25519 public key: 64 hexadecimal digits, or a PEM file%s",
                          strstr(text, "PRIVATE KEY") ? "; this is a private one" : "");
}

weir_status rt_public_key_read(const char *text_or_path, rt_public_key *out_key) {
  weir_hash hex;
  if (weir_hash_parse(text_or_path, &hex)) return rt_public_key_parse(text_or_path, out_key);
  char *text = NULL;
  size_t size = 0;
  WEIR_TRY(weir_file_read(text_or_path, MAX_PEM_FILE, &text, &size));
  weir_status status = weir_status_annotate(rt_public_key_parse(text, out_key), "'%s'", text_or_path);
  free(text);
  return status;
}

void rt_signature_message(const weir_hash *identity, uint8_t out_message[RT_SIGNED_BYTES]) {
  memcpy(out_message, RT_PACKAGE_SIGNED, sizeof RT_PACKAGE_SIGNED);
  memcpy(out_message + sizeof RT_PACKAGE_SIGNED, identity->bytes, sizeof identity->bytes);
}

weir_status rt_signature_check(const rt_package *package, const rt_public_key *key) {
  const rt_package_signature *signature = rt_package_signed(package);
  if (!signature) return weir_status_make(WEIR_CODE_INVALID_DATA, "the package is not signed");
  if (key && memcmp(key->bytes, signature->key, sizeof key->bytes)) {
    char hex[2 * RT_PACKAGE_KEY_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, signature->key, sizeof signature->key);
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the package is signed by another key, %s", hex);
  }
  uint8_t message[RT_SIGNED_BYTES];
  weir_hash identity = rt_package_identity(package);
  rt_signature_message(&identity, message);
  if (sodium_init() < 0 ||
      crypto_sign_verify_detached(signature->signature, message, sizeof message, signature->key) != 0)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the package's signature is wrong");
  return WEIR_OK;
}
