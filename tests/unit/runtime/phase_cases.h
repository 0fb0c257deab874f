// Phases of several launches: every item runs once, and behind everything that stood before the last sync, whatever the
// costs say and however many threads there are. Items leave the run's number in a cell of their own, in plain memory.
#ifndef WEIR_TESTS_UNIT_RUNTIME_PHASE_CASES_H
#define WEIR_TESTS_UNIT_RUNTIME_PHASE_CASES_H

#include "tests/unit/runtime/fixture.h"

enum { PHASE_LAUNCHES = 120, PHASE_ITEMS = 300 };

typedef struct {
  int grid, behind;  // launches before |behind| are done when this one runs
} phase_launch;

static phase_launch phase_launches[PHASE_LAUNCHES];
static int32_t phase_cells[PHASE_LAUNCHES][PHASE_ITEMS], phase_run;

static void phase_mark(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  int64_t launch = dims[0], seen = phase_launches[launch].behind - 1;
  (void)args, (void)scratch;
  for (int64_t i = begin; i < end; i++) {
    if (seen >= 0) {
      int32_t before = phase_cells[seen][i % phase_launches[seen].grid];
      FIXTURE_CHECK(before == phase_run, "launch %d does not see launch %d", (int)launch, (int)seen);
    }
    FIXTURE_CHECK(phase_cells[launch][i] == phase_run - 1, "launch %d, item %d twice", (int)launch, (int)i);
    phase_cells[launch][i] = phase_run;
  }
}

static weir_status phase_lookup(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  (void)context, (void)kernel;
  *out_entry = (rt_kernel_entry){.native = phase_mark};
  return WEIR_OK;
}

static unsigned phase_random(unsigned *state) { return *state = *state * 1664525 + 1013904223, *state >> 8; }

// Costs: unknown, nothing, short, long, of R, and without a value.
static const char *phase_text(weir_arena *arena, unsigned seed) {
  static const char *const costs[] = {"",
                                      " cost 0, 0",
                                      " cost 100, 40",
                                      " cost 5000000, 0",
                                      " cost 0, R*90000",
                                      " cost 1/(R - 1), 9223372036854775807"};
  const char *text =
      "program \"phases\"\nsizes R, T, T.max\nsymbol T seq 0..9\ninput \"x\" f32[T] ragged T bytes 4*T\n"
      "output \"y\" f32[] bytes 4*R\nkernel 0 \"mark\" args 1 dims 1\n";
  int behind = 0;
  for (int i = 0; i < PHASE_LAUNCHES; i++) {
    bool sync = phase_random(&seed) % 3 == 0;
    int grid = 1 + (int)(phase_random(&seed) % (phase_random(&seed) % 2 ? PHASE_ITEMS : 4));
    if (sync) behind = i;
    phase_launches[i] = (phase_launch){grid, behind};
    text = weir_arena_printf(arena, "%slaunch 0 grid %d args out0 dims %d%s%s\n", text, grid, i, sync ? " sync" : "",
                             costs[phase_random(&seed) % 6]);
  }
  return weir_arena_printf(arena, "%sarena 0\n", text);
}

static void phase_case(int threads, unsigned seed) {
  weir_arena arena;
  rt_program *program;
  weir_model *model;
  weir_executor *executor;
  weir_launch_time times[PHASE_LAUNCHES];
  float x[4] = {0}, y;
  weir_arena_init(&arena);
  const char *text = phase_text(&arena, seed);
  OK(rt_program_parse(&arena, text, strlen(text), &program));
  const rt_program *programs[] = {program};
  rt_model_parts parts = {
      .name = "phases", .isa = "test", .programs = programs, .program_count = 1, .provider = {.lookup = phase_lookup}};
  OK(rt_model_create(&parts, &model));
  OK(weir_executor_create(model, &(weir_executor_options){.threads = threads}, &executor));
  memset(phase_cells, 0, sizeof phase_cells);
  for (phase_run = 1; phase_run <= 12; phase_run++) {
    weir_view input = {.data = x, .dtype = WEIR_DTYPE_F32, .rank = 1, .shape = {4}}, output = {.data = &y, .bytes = 4};
    weir_request request = {NULL, &input, &output};
    weir_run_options options = {.times = phase_run % 4 ? NULL : times, .time_capacity = PHASE_LAUNCHES};
    OK(weir_run(executor, weir_model_find_entry(model, "phases"), &request, 1, &options));
    for (int i = 0; i < PHASE_LAUNCHES; i++)
      for (int k = 0; k < phase_launches[i].grid; k++)
        FIXTURE_CHECK(phase_cells[i][k] == phase_run, "launch %d, item %d was left out", i, k);
  }
  weir_executor_destroy(executor);
  weir_model_release(model);
  weir_arena_deinit(&arena);
}

static void phases_run_in_order(void) {
  static const int threads[] = {1, 2, 3, 7, 16};
  for (unsigned i = 0; i < 20; i++) phase_case(threads[i % 5], i);
}

#endif
