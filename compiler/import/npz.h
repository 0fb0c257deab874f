// .npz: several named .npy arrays in one zip file, as NumPy's savez writes them (read: stored or deflated; written:
// stored).
//
// Here and not in runtime/base because base does not link libzip.
#ifndef WEIR_COMPILER_IMPORT_NPZ_H
#define WEIR_COMPILER_IMPORT_NPZ_H

#include <stddef.h>

#include "runtime/base/npy.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  char *name;  // without ".npy"
  weir_npy array;
} import_npz_entry;

typedef struct {
  import_npz_entry *entries;
  size_t count;
} import_npz;

// Reads every member. INVALID_DATA for a broken archive, a member that is no .npy, a name used twice; OUT_OF_RANGE if
// the arrays together exceed |max_bytes| once inflated (the archive's claims are not trusted). The caller releases it.
weir_status import_npz_read(const char *path, size_t max_bytes, import_npz *out_npz) WEIR_MUST_USE;
void import_npz_release(import_npz *npz);
// Null if there is none of that name.
const weir_npy *import_npz_find(const import_npz *npz, const char *name);

// Writes all entries to |path|, atomically. Entries are borrowed.
weir_status import_npz_write(const char *path, const import_npz_entry *entries, size_t count) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
