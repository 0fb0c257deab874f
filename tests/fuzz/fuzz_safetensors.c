// Fuzzes the safetensors reader. The length in front is made to fit half of the inputs, so that mutations reach the
// JSON behind it.
#include "tests/fuzz/checkpoint_input.h"
#include "tests/fuzz/harness.h"
#include "tests/unit/import/make_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size >= 4 && memcmp(data, "GGUF", 4) == 0) return 0;
  checkpoint_input(data, size);
  const uint8_t *end = size > 8 ? memchr(data + 8, ' ', size - 8) : NULL;
  uint8_t *fitted = end ? malloc(size) : NULL;
  if (!fitted) return 0;
  memcpy(fitted, data, size);
  memcpy(fitted, &(uint64_t){(uint64_t)(end - data) - 8}, 8);
  checkpoint_input(fitted, size);
  free(fitted);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const char *const headers[] = {sample_header,
                                        "{\"a\":{\"dtype\":\"U8\",\"shape\":[33],\"data_offsets\":[0,33]}} ", "{} "};
  file_buffer file;
  if (index > 2) return 0;
  make_safetensors(&file, headers[index], index < 2 ? SAMPLE_DATA_BYTES : 0);
  if (file.size > capacity) return 0;
  memcpy(buffer, file.data, file.size);
  return file.size;
}
