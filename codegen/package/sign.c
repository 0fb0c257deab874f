// Keys and signatures with libsodium. A secret key is written to a file that is made for its owner alone, before its
// first byte.
#include "codegen/package/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/io.h"

enum { MAX_PEM_FILE = 1 << 16, PEM_BYTES = 256 };

// A PrivateKeyInfo of ed25519 up to its 32 bytes, and a SubjectPublicKeyInfo (RFC 8410).
static const uint8_t private_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                         0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

static weir_status sodium_start(void) {
  return sodium_init() < 0 ? weir_status_make(WEIR_CODE_IO, "the system gives no random numbers") : WEIR_OK;
}

static void pem_print(char out[PEM_BYTES], const char *label, const uint8_t *prefix, size_t prefix_bytes,
                      const uint8_t *bytes) {
  uint8_t der[64];
  char base64[128];
  memcpy(der, prefix, prefix_bytes);
  memcpy(der + prefix_bytes, bytes, 32);
  sodium_bin2base64(base64, sizeof base64, der, prefix_bytes + 32, sodium_base64_VARIANT_ORIGINAL);
  snprintf(out, PEM_BYTES, "-----BEGIN %s-----\n%s\n-----END %s-----\n", label, base64, label);
  sodium_memzero(der, sizeof der);
  sodium_memzero(base64, sizeof base64);
}

// A new file with this text; never an old one.
static weir_status file_create(const char *path, mode_t mode, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0 && errno == EEXIST)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' is there already: a key is not overwritten", path);
  if (fd < 0) return weir_status_errno(errno, "cannot make '%s'", path);
  size_t length = strlen(text);
  ssize_t written = write(fd, text, length);
  int error = written < 0 ? errno : (size_t)written < length ? ENOSPC : 0;
  if (close(fd) != 0 && !error) error = errno;
  if (!error) return WEIR_OK;
  unlink(path);
  return weir_status_errno(error, "cannot write '%s'", path);
}

weir_status cg_signing_key_create(const char *path, const char *public_path, rt_public_key *out_public) {
  cg_signing_key key;
  char text[PEM_BYTES];
  WEIR_TRY(sodium_start());
  crypto_sign_keypair(key.public_key.bytes, key.secret);
  pem_print(text, "PRIVATE KEY", private_prefix, sizeof private_prefix, key.secret);
  weir_status status = file_create(path, 0600, text);
  if (!status) {
    pem_print(text, "PUBLIC KEY", public_prefix, sizeof public_prefix, key.public_key.bytes);
    status = file_create(public_path, 0644, text);
    if (status) unlink(path);
  }
  *out_public = key.public_key;
  sodium_memzero(text, sizeof text);
  cg_signing_key_clear(&key);
  return status;
}

weir_status cg_signing_key_read(const char *path, cg_signing_key *out_key) {
  char *text = NULL;
  size_t size = 0;
  uint8_t seed[crypto_sign_SEEDBYTES];
  WEIR_TRY(sodium_start());
  WEIR_TRY(weir_file_read(path, MAX_PEM_FILE, &text, &size));
  bool found = rt_pem_parse(text, "PRIVATE KEY", private_prefix, sizeof private_prefix, seed, sizeof seed);
  bool public = strstr(text, "BEGIN PUBLIC KEY") != NULL;
  sodium_memzero(text, size);
  free(text);
  if (!found) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' is no ed25519 private key (PEM, not encrypted)%s", path,
                            public ? "; it is a public one" : "");
  }
  crypto_sign_seed_keypair(out_key->public_key.bytes, out_key->secret, seed);
  sodium_memzero(seed, sizeof seed);
  return WEIR_OK;
}

void cg_signing_key_clear(cg_signing_key *key) { sodium_memzero(key, sizeof *key); }

weir_status cg_sign(const cg_signing_key *key, const weir_hash *identity, rt_package_signature *out) {
  uint8_t message[RT_SIGNED_BYTES];
  WEIR_TRY(sodium_start());
  *out = (rt_package_signature){0};
  memcpy(out->magic, RT_PACKAGE_SIGNATURE_MAGIC, sizeof out->magic);
  memcpy(out->key, key->public_key.bytes, sizeof out->key);
  rt_signature_message(identity, message);
  crypto_sign_detached(out->signature, NULL, message, sizeof message, key->secret);
  return WEIR_OK;
}
