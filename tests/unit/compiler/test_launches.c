// How often a decoder layer goes over its rows: at most six launches and six waits, in every plan, for many rows and
// for few. docs/adr/0048 says which six.
#include <criterion/criterion.h>
#include <string.h>

#include "compiler/plan/build.h"

enum { MOST = 6 };

static const char *const sizes[] = {"layers=3", "D=128", "F=256", "heads=4", "kv_heads=2", "V=100"};

// Whether the launch runs in a call of one request with |rows| rows behind |past| others.
static bool runs(const rt_program *program, const rt_launch *launch, int64_t rows, int64_t past) {
  int64_t values[64], guard;
  cr_assert_leq(program->size_count, 64);
  for (int i = 0; i < program->size_count; i++) {
    const char *name = program->sizes[i];
    values[i] = !strcmp(name, "R") ? 1 : strstr(name, ".all") ? rows + past : rows;
  }
  if (!launch->guard.op_count) return true;
  cr_assert(rt_expr_eval(launch->guard, values, &guard));
  return guard >= launch->guard_lo && guard < launch->guard_hi;
}

static void check_call(const char *what, const rt_program *program, const char *layer, int64_t rows, int64_t past) {
  int launches = 0, waits = 0;
  for (int i = 0; i < program->launch_count; i++) {
    const rt_launch *launch = &program->launches[i];
    if (!launch->note || !strstr(launch->note, layer)) continue;
    waits += launch->sync;
    launches += runs(program, launch, rows, past);
  }
  cr_expect(launches > 3 && launches <= MOST, "%s, %s, %lld rows: %d launches", what, layer, (long long)rows, launches);
  cr_expect_leq(waits, MOST, "%s, %s: %d waits", what, layer, waits);
}

static void check(const char *file, const char *plan) {
  weir_arena arena;
  lang_diags diags;
  plan_unit unit;
  weir_arena_init(&arena);
  lang_diags_init(&diags, &arena);
  plan_request request = {.text = weir_arena_printf(&arena, WEIR_SOURCE_DIR "/models/%s", file),
                          .random = true,
                          .plan = plan,
                          .overrides = sizes,
                          .override_count = sizeof sizes / sizeof *sizes,
                          .models_folder = WEIR_SOURCE_DIR "/models"};
  weir_status status = plan_read(&arena, &request, &diags, &unit);
  if (!status) status = plan_front(&unit);
  cr_assert(!status, "%s: %s", file, weir_status_message(status));
  for (int i = 0; i < unit.code->program_count; i++) {
    const char *what = weir_arena_printf(&arena, "%s, %s", file, plan ? plan : "no plan");
    for (int layer = 0; layer < 3; layer++) {
      const char *path = weir_arena_printf(&arena, "[%d]/", layer);
      check_call(what, unit.code->programs[i], path, 512, 0);
      check_call(what, unit.code->programs[i], path, 1, 300);
      check_call(what, unit.code->programs[i], path, 4, 0);
    }
  }
  plan_close(&unit);
  weir_arena_deinit(&arena);
}

Test(launches, in_float32) {
  check("smollm2.weir", NULL);
  check("llama.weir", NULL);
}

Test(launches, in_bf16) { check("smollm2.weir", "bf16"); }

Test(launches, in_int8) { check("smollm2.weir", WEIR_SOURCE_DIR "/tests/data/blocks.weir"); }

Test(launches, in_int8_with_a_scale_a_row) { check("smollm2.weir", "w8a8"); }
