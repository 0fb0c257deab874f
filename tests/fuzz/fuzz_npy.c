// Fuzzes the .npy reader: any bytes give an array whose every byte can be read, or a status.
#include "runtime/base/npy.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir_npy array;
  weir_status status = weir_npy_parse(data, size, &array);
  uint64_t sum = 0;
  for (size_t i = 0; !status && i < array.data_bytes; i++) sum += ((const uint8_t *)array.data)[i];
  volatile uint64_t sink = sum;
  (void)sink;
  weir_status_release(status);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const weir_storage storages[] = {WEIR_STORAGE_F32, WEIR_STORAGE_I64, WEIR_STORAGE_BOOL};
  static const int64_t dims[] = {2, 3, 4};
  char *header = NULL;
  size_t size = 0;
  if (index > 2) return 0;
  weir_status status = weir_npy_header(storages[index], index + 1, dims, &header, &size);
  const size_t data_bytes = (size_t[]){8, 48, 24}[index];
  if (status || size + data_bytes > capacity) {
    weir_status_release(status);
    return 0;
  }
  memcpy(buffer, header, size);
  memset(buffer + size, index, data_bytes);
  free(header);
  return size + data_bytes;
}
