// Fuzzes the .npz reader: any bytes give arrays whose every byte can be read, or a status; archives that claim to be
// small and inflate to more than the limit are refused. The reader takes a path: inputs lie in an anonymous file.
#include <sys/mman.h>

#include "compiler/import/npz.h"
#include "tests/fuzz/harness.h"

enum { MOST = 1 << 20 };

static int memory_file(const uint8_t *data, size_t size, char path[64]) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0 || (size && pwrite(fd, data, size, 0) != (ssize_t)size)) abort();
  snprintf(path, 64, "/proc/self/fd/%d", fd);
  return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  const int fd = memory_file(data, size, path);
  import_npz npz;
  weir_status status = import_npz_read(path, MOST, &npz);
  uint64_t sum = 0, bytes = 0;
  for (size_t i = 0; !status && i < npz.count; i++) {
    const weir_npy *array = &npz.entries[i].array;
    for (size_t k = 0; k < array->data_bytes; k++) sum += ((const uint8_t *)array->data)[k];
    bytes += array->data_bytes;
    if (!import_npz_find(&npz, npz.entries[i].name)) abort();
  }
  if (bytes > MOST) abort();
  volatile uint64_t sink = sum;
  (void)sink;
  if (!status) import_npz_release(&npz);
  weir_status_release(status);
  close(fd);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const float numbers[] = {1, 2, 3, 4, 5, 6};
  static const import_npz_entry entries[] = {
      {"x", {.storage = WEIR_STORAGE_F32, .rank = 2, .dims = {2, 3}, .elements = 6, .data = numbers, .data_bytes = 24}},
      {"tokens",
       {.storage = WEIR_STORAGE_I32, .rank = 1, .dims = {6}, .elements = 6, .data = numbers, .data_bytes = 24}},
      {"one", {.storage = WEIR_STORAGE_F32, .elements = 1, .data = numbers, .data_bytes = 4}},
  };
  char folder[] = "/tmp/weir-fuzz-npz-XXXXXX", path[64];
  if (index > 2 || !mkdtemp(folder)) return 0;
  snprintf(path, sizeof path, "%s/a.npz", folder);
  weir_status status = import_npz_write(path, entries, (size_t)index + 1);
  FILE *file = status ? NULL : fopen(path, "rb");
  const size_t size = file ? fread(buffer, 1, capacity, file) : 0;
  if (file) fclose(file);
  unlink(path);
  rmdir(folder);
  weir_status_release(status);
  return size;
}
