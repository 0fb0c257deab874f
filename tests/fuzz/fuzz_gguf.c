// Fuzzes the GGUF reader: any bytes give a checkpoint whose every byte can be read, or a status.
#include "tests/fuzz/checkpoint_input.h"
#include "tests/fuzz/harness.h"
#include "tests/unit/import/make_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // The magic decides which reader runs; keep it, so that no input is spent on the other one.
  if (size < 4 || memcmp(data, "GGUF", 4) != 0) return 0;
  checkpoint_input(data, size);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  file_buffer file;
  if (index > 1) return 0;
  make_gguf(&file, index == 0 ? 3 : 2);
  if (file.size > capacity) return 0;
  memcpy(buffer, file.data, file.size);
  return file.size;
}
