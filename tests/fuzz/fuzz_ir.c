// Fuzzes the reader of the graph IR's text: any bytes give a module that verifies and prints to a fixed point, or a
// status.
#include <stdlib.h>

#include "ir/graph.h"
#include "tests/common/random_module.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module, *again;
  weir_status status = ir_parse_module(&arena, (const char *)data, size, &module);
  if (!status) {
    const char *text = ir_print_module(&arena, module);
    if (ir_parse_module(&arena, text, strlen(text), &again)) abort();
    if (strcmp(ir_print_module(&arena, again), text)) abort();
  }
  weir_status_release(status);
  weir_arena_deinit(&arena);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  if (index == 12) return 0;
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module = ir_module_create(&arena, "Seed");
  ir_function *main = random_module_create(module, (uint64_t)index, 6 + 2 * index);
  main->doc = "A seed.";
  const char *text = ir_print_module(&arena, module);
  size_t length = strlen(text);
  if (length > capacity) length = capacity;
  memcpy(buffer, text, length);
  weir_arena_deinit(&arena);
  return length;
}
