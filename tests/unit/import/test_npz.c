// .npz: round trips, and archives that lie.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/import/npz.h"
#include "runtime/base/io.h"

static char path[64];

static void start(void) {
  strcpy(path, "/tmp/weir-npz-XXXXXX");
  const int fd = mkstemp(path);
  cr_assert(fd >= 0);
  close(fd);
  unlink(path);
}
static void stop(void) { unlink(path); }
TestSuite(npz, .init = start, .fini = stop);

static const float weights[6] = {0, 1, 2, 3, 4, 5};
static const int64_t step[1] = {42};

static void write_two(void) {
  import_npz_entry entries[2] = {
      {"layer.w",
       {.storage = WEIR_STORAGE_F32, .rank = 2, .dims = {2, 3}, .elements = 6, .data = weights, .data_bytes = 24}},
      {"step", {.storage = WEIR_STORAGE_I64, .rank = 0, .elements = 1, .data = step, .data_bytes = 8}}};
  weir_status status = import_npz_write(path, entries, 2);
  cr_assert(!status, "%s", weir_status_message(status));
}

static void refused(size_t max_bytes, weir_code code) {
  import_npz npz = {0};
  weir_status status = import_npz_read(path, max_bytes, &npz);
  cr_assert_eq(weir_status_code(status), code, "%s", weir_status_message(status));
  weir_status_release(status);
}

Test(npz, round_trip) {
  write_two();
  import_npz npz;
  weir_status status = import_npz_read(path, 1 << 20, &npz);
  cr_assert(!status, "%s", weir_status_message(status));
  cr_assert_eq(npz.count, 2);
  const weir_npy *w = import_npz_find(&npz, "layer.w");
  cr_assert(w && w->rank == 2 && w->dims[1] == 3 && memcmp(w->data, weights, sizeof weights) == 0);
  const weir_npy *s = import_npz_find(&npz, "step");
  cr_assert(s && s->rank == 0 && *(const int64_t *)s->data == 42);
  cr_assert_null(import_npz_find(&npz, "layer"));
  import_npz_release(&npz);
}

Test(npz, equal_arrays_give_equal_files) {
  char *first, *second;
  size_t first_size, second_size;
  write_two();
  cr_assert(!weir_file_read(path, 1 << 20, &first, &first_size));
  write_two();
  cr_assert(!weir_file_read(path, 1 << 20, &second, &second_size));
  cr_assert(first_size == second_size && memcmp(first, second, first_size) == 0);
  free(first);
  free(second);
}

Test(npz, limits_and_missing_files) {
  refused(1000, WEIR_CODE_NOT_FOUND);
  write_two();
  refused(100, WEIR_CODE_OUT_OF_RANGE);
  weir_status status = import_npz_write(path, NULL, 0);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  weir_status_release(status);
  import_npz_entry entry = {"x", {.storage = WEIR_STORAGE_F32, .elements = 1, .data = weights, .data_bytes = 4}};
  status = import_npz_write("/nonexistent/x.npz", &entry, 1);
  cr_assert_neq(weir_status_code(status), WEIR_CODE_OK);
  weir_status_release(status);
}

Test(npz, broken_archives) {
  write_two();
  char *data;
  size_t size;
  cr_assert(!weir_file_read(path, 1 << 20, &data, &size));
  for (size_t cut = 0; cut < size; cut += 3) {
    cr_assert(!weir_file_write_atomic(path, data, cut));
    import_npz npz = {0};
    weir_status status = import_npz_read(path, 1 << 20, &npz);
    cr_assert(status, "%zu", cut);
    weir_status_release(status);
  }
  for (size_t at = 0; at < size; at++) {
    data[at] ^= 0x41;
    cr_assert(!weir_file_write_atomic(path, data, size));
    import_npz npz = {0};
    weir_status status = import_npz_read(path, 1 << 20, &npz);
    if (!status) import_npz_release(&npz);
    weir_status_release(status);
    data[at] ^= 0x41;
  }
  free(data);
}
