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

// Regions, several results, windows of a state: what random modules do not have.
static const char regions[] =
    "module M\ndim T: seq in 1..=9\ndim T.past: seq in 0..=9 before T\ndim T.keep3: seq in 0..=3 kept T\n"
    "region f { input %0: i32[] \"i\" in 0..=7 input %1: i32[] \"t\" input %2: f32[T, 8] \"x\"\n"
    "  %3 = element %2, %1, %0 : f32[]\n  %4 = constant {value=0.0, dtype=f32} : f32[]\n  %5 = gt %3, %4 : bool[]\n"
    "  result %3 \"\" result %5 \"\" }\n"
    "region m { input %0: i32[] \"t\" in 0..=8 input %1: f32[T, 8] \"x\"\n"
    "  %2 = fold f %0, %1 {dims=[8], combine=max} : f32[] result %2 \"\" }\n"
    "region body { input %0: i32[] \"t\" input %1: f32[8] \"h\" %2 = neg %1 : f32[8] result %2 \"\" result %1 \"\" }\n"
    "region yes { input %0: f32[8] \"h\" result %0 \"\" }\nregion no { input %0: f32[8] \"h\" result %0 \"\" }\n"
    "block e { input %0: f32[8] \"x\" weight %1: f32[8] \"w\" %2 = mul %0, %1 : f32[8] result %2 \"\" }\n"
    "step s { input %0: f32[T, 8] \"x\" input %1: bool[] \"p\" input %2: i32[T] \"i\" in 0..=2 weight %3: f32[3, 8] "
    "\"w\"\n"
    "  state %4: f32[T.keep3, 8] \"k\" rows window 4\n  %5 = append %4, %0 : f32[T + T.keep3, 8]\n"
    "  %6 = map m %0 {dims=[T]} : f32[T]\n  %7 = last %0 : f32[8]\n"
    "  %8, %9 = scan body %7 {dim=T, carries=1} : f32[8], f32[T, 8]\n  %10 = cond yes, no %1, %8 : f32[8]\n"
    "  %11 = route e %2, %9, %3 : f32[T, 8]\n  %12, %13 = top_k %11 {axis=1, k=2} : f32[T, 2], i32[T, 2]\n"
    "  %14 = pad %6 {before=[1], after=[2], value=0.0} : f32[T + 3]\n  %15 = pos {dim=T + T.keep3} : i32[T + T.keep3]\n"
    "  result %10 \"a\" result %12 \"b\" result %14 \"c\" result %15 \"d\" result %5 \"k\" of %4 }\n";

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  if (index == 12 && sizeof regions <= capacity) {
    memcpy(buffer, regions, sizeof regions - 1);
    return sizeof regions - 1;
  }
  if (index >= 12) return 0;
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
