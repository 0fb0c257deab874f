// .npy: round trips, files as NumPy writes them, and headers that lie.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/io.h"
#include "runtime/base/npy.h"

typedef struct {
  char data[512];
  size_t size;
} npy_file;

// A file of the given version, header text and number of data bytes.
static void make(npy_file *f, int major, const char *header, size_t data_bytes) {
  memset(f, 0, sizeof *f);
  memcpy(f->data, "\x93NUMPY", 6);
  f->data[6] = (char)major;
  const size_t length = strlen(header), width = major == 1 ? 2 : 4;
  f->data[8] = (char)(length & 255);
  f->data[9] = (char)(length >> 8);
  memcpy(f->data + 8 + width, header, length);
  f->size = 8 + width + length + data_bytes;
}

static weir_status parse(const npy_file *f, size_t size, weir_npy *out_array) {
  char *copy = malloc(size ? size : 1);
  memcpy(copy, f->data, size);
  weir_status status = weir_npy_parse(copy, size, out_array);
  free(copy);
  return status;
}

static void accepted(int major, const char *header, weir_storage storage, int rank, size_t data_bytes) {
  npy_file f;
  weir_npy array;
  make(&f, major, header, data_bytes);
  weir_status status = parse(&f, f.size, &array);
  cr_assert(!status, "%s: %s", header, weir_status_message(status));
  cr_assert(array.storage == storage && array.rank == rank && array.data_bytes == data_bytes, "%s", header);
}

static void refused(const char *header, size_t data_bytes, weir_code code, const char *part) {
  npy_file f;
  weir_npy array;
  make(&f, 1, header, data_bytes);
  weir_status status = parse(&f, f.size, &array);
  cr_assert_eq(weir_status_code(status), code, "%s: %s", header, weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), part), "'%s' is not in '%s'", part, weir_status_message(status));
  weir_status_release(status);
}

Test(npy, round_trip_of_every_dtype) {
  static const weir_storage storages[] = {WEIR_STORAGE_F32, WEIR_STORAGE_F64, WEIR_STORAGE_F16, WEIR_STORAGE_I8,
                                          WEIR_STORAGE_I16, WEIR_STORAGE_I32, WEIR_STORAGE_I64, WEIR_STORAGE_U8,
                                          WEIR_STORAGE_U16, WEIR_STORAGE_U32, WEIR_STORAGE_U64, WEIR_STORAGE_BOOL};
  char path[] = "/tmp/weir-npy-XXXXXX";
  const int fd = mkstemp(path);
  cr_assert(fd >= 0);
  close(fd);
  char data[48];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(3 * i + 1);
  for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
    for (int rank = 0; rank <= 3; rank++) {
      const int64_t dims[3] = {3, rank == 1 ? 0 : 2, 1};
      weir_status status = weir_npy_write(path, storages[i], rank, dims, data);
      cr_assert(!status, "%s", weir_status_message(status));
      weir_npy array;
      status = weir_npy_read(path, &array);
      cr_assert(!status, "%s", weir_status_message(status));
      cr_assert(array.storage == storages[i] && array.rank == rank && memcmp(array.data, data, array.data_bytes) == 0);
      for (int d = 0; d < rank; d++) cr_assert_eq(array.dims[d], dims[d]);
      weir_npy_release(&array);
    }
  unlink(path);
}

Test(npy, header_bytes_are_those_of_numpy) {
  char *header;
  size_t size;
  cr_assert(!weir_npy_header(WEIR_STORAGE_F32, 2, (int64_t[]){3, 4}, &header, &size));
  cr_assert_eq(size, 128);
  static const char text[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
  cr_assert(memcmp(header, "\x93NUMPY\1\0\x76\0", 10) == 0 && memcmp(header + 10, text, strlen(text)) == 0);
  cr_assert(header[127] == '\n' && header[126] == ' ');
  free(header);
}

Test(npy, accepts_what_others_write) {
  accepted(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", WEIR_STORAGE_F32, 2, 24);
  accepted(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", WEIR_STORAGE_F32, 1, 8);
  accepted(3, "{\"shape\":(),\"descr\":\"|b1\",\"fortran_order\":False}", WEIR_STORAGE_BOOL, 0, 1);
  accepted(1, "{'descr': '<u1', 'fortran_order': False, 'shape': (0, 7)}", WEIR_STORAGE_U8, 2, 0);
}

Test(npy, refuses) {
  refused("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, WEIR_CODE_UNSUPPORTED, "Fortran order");
  refused("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, WEIR_CODE_UNSUPPORTED, "big-endian");
  refused("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 8, WEIR_CODE_UNSUPPORTED, "'|O'");
  refused("{'descr': '|f4', 'fortran_order': False, 'shape': (2,), }", 8, WEIR_CODE_UNSUPPORTED, "'|f4'");
  refused("{'descr': '', 'fortran_order': False, 'shape': (2,), }", 8, WEIR_CODE_UNSUPPORTED, "dtype ''");
  refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, WEIR_CODE_UNSUPPORTED, "structured");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, WEIR_CODE_INVALID_DATA, "asks for 8 bytes");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, WEIR_CODE_INVALID_DATA, "asks for 8 bytes");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999)}", 8, WEIR_CODE_INVALID_DATA,
          "more than");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8, WEIR_CODE_INVALID_DATA,
          "too large");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 8, WEIR_CODE_INVALID_DATA,
          "a dimension was expected");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}", 4,
          WEIR_CODE_INVALID_DATA, "16 dim");
  refused("{'descr': '<f4', 'shape': (2,), }", 8, WEIR_CODE_INVALID_DATA, "missing");
  refused("{'descr': '<f4', 'descr': '<f4', 'shape': (2,), }", 8, WEIR_CODE_INVALID_DATA, "twice");
  refused("{'descr': '<f4', 'what': 1}", 8, WEIR_CODE_INVALID_DATA, "unknown key");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", 8, WEIR_CODE_INVALID_DATA, "behind");
  refused("{'descr': '<f4", 8, WEIR_CODE_INVALID_DATA, "unclosed");
  refused("", 0, WEIR_CODE_INVALID_DATA, "'{' was expected");
  char *header;
  size_t size;
  weir_status status = weir_npy_header(WEIR_STORAGE_BF16, 0, NULL, &header, &size);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_UNSUPPORTED);
  weir_status_release(status);
  status = weir_npy_write("/tmp/x.npy", WEIR_STORAGE_F32, 1, (int64_t[]){-1}, NULL);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  weir_status_release(status);
}

Test(npy, every_truncation_and_byte_change) {
  npy_file f;
  weir_npy array;
  make(&f, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
  for (size_t size = 0; size < f.size; size++) {
    weir_status status = parse(&f, size, &array);
    cr_assert(status, "%zu", size);
    weir_status_release(status);
  }
  for (size_t at = 0; at < f.size; at++)
    for (int change = 1; change < 256; change++) {
      f.data[at] = (char)(f.data[at] ^ change);
      weir_status_release(parse(&f, f.size, &array));
      f.data[at] = (char)(f.data[at] ^ change);
    }
}
