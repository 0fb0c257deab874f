// NumPy .npy files: how tensors come and go on the command line. The format is NumPy's NEP 1.
//
// Read: versions 1.0, 2.0 and 3.0, little endian or single byte, C order; dtypes f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1.
// Anything else is a status that says what was found: Fortran order, big endian and objects are UNSUPPORTED, a
// malformed header is INVALID_DATA. Written: version 1.0. bf16 has no NumPy type: UNSUPPORTED, the caller converts
// first.
#ifndef WEIR_RUNTIME_BASE_NPY_H
#define WEIR_RUNTIME_BASE_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/blocks.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_NPY_MAX_RANK 16

typedef struct {
  weir_storage storage;
  int rank;  // 0 is a scalar
  int64_t dims[WEIR_NPY_MAX_RANK];
  int64_t elements;
  const void *data;  // row-major
  size_t data_bytes;
  void *owned;  // what weir_npy_release frees; null for a view
} weir_npy;

// A view of an .npy file that lies in memory: |data| points into |bytes|, perhaps unaligned. Bytes behind the array are
// an error.
weir_status weir_npy_parse(const void *bytes, size_t size, weir_npy *out_array) WEIR_MUST_USE;
// Reads a file; |data| is 16-byte aligned and owned by the array.
weir_status weir_npy_read(const char *path, weir_npy *out_array) WEIR_MUST_USE;
// Frees what the array owns and clears it.
void weir_npy_release(weir_npy *array);

// The bytes in front of the data of an .npy file: memory from malloc that the caller frees. |out_size| is a multiple
// of 64.
weir_status weir_npy_header(weir_storage storage, int rank, const int64_t *dims, char **out_header,
                            size_t *out_size) WEIR_MUST_USE;
// Writes a file (atomically: io.h).
weir_status weir_npy_write(const char *path, weir_storage storage, int rank, const int64_t *dims,
                           const void *data) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
