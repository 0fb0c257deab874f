// Archives of arrays need libzip, which has no static library everywhere: such a program takes and gives .npy files.
#include "compiler/import/npz.h"

#include <stddef.h>

static weir_status not_here(const char *path) {
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "'%s': this program reads and writes .npy files, not archives", path);
}

weir_status import_npz_read(const char *path, size_t max_bytes, import_npz *out_npz) {
  (void)max_bytes;
  *out_npz = (import_npz){0};
  return not_here(path);
}

void import_npz_release(import_npz *npz) { *npz = (import_npz){0}; }

const weir_npy *import_npz_find(const import_npz *npz, const char *name) {
  (void)npz, (void)name;
  return NULL;
}

weir_status import_npz_write(const char *path, const import_npz_entry *entries, size_t count) {
  (void)entries, (void)count;
  return not_here(path);
}
