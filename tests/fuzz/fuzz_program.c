// Fuzzes the reader of programs: any bytes give a status or a verified program that prints to a fixed point and whose
// expressions can be evaluated.
#include <stdlib.h>

#include "runtime/base/program.h"
#include "tests/fuzz/harness.h"
#include "tests/unit/base/program_sample.h"

static void evaluate(const rt_program *program) {
  int64_t sizes[256], value;
  for (int i = 0; i < 256; i++) sizes[i] = i % 7;
  for (int i = 0; i < program->launch_count; i++) {
    const rt_launch *l = &program->launches[i];
    bool known = rt_expr_eval(l->grid, sizes, &value);
    for (int d = 0; d < l->dim_count; d++) known &= rt_expr_eval(l->dims[d], sizes, &value);
    if (known && l->guard.op_count) rt_expr_eval(l->guard, sizes, &value);
  }
  rt_expr_eval(program->arena_bytes, sizes, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir_arena arena;
  weir_arena_init(&arena);
  rt_program *program, *again;
  weir_status status = rt_program_parse(&arena, (const char *)data, size, &program);
  if (!status) {
    const char *text = rt_program_print(&arena, program);
    if (rt_program_parse(&arena, text, strlen(text), &again)) abort();
    if (strcmp(rt_program_print(&arena, again), text)) abort();
    evaluate(program);
  }
  weir_status_release(status);
  weir_arena_deinit(&arena);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const char small[] = "program \"p\"\nsizes R\noutput \"y\" f32[2] bytes 8*R\narena 0\n";
  static const char states[] =
      "program \"p\" step\nsizes R, T, T.max, T.all.max, S, S.max, v, v.max\nsymbol T seq 1..300 grows\n"
      "symbol S seq 1..32 stored\nvolume v count (S + 1)/2\nstate \"m\" f32 bytes 4 whole v reads\n"
      "state \"n\" f32 bytes 4 whole S writes\nstate \"g\" f32 bytes 4 unset reads writes\n"
      "state \"l\" bf16 bytes 4 rows T window 4\narena 0\n";
  const char *const seeds[] = {program_sample, small, states};
  const char *text = index < 3 ? seeds[index] : "";
  size_t length = strlen(text);
  if (length > capacity) length = capacity;
  memcpy(buffer, text, length);
  return length;
}
