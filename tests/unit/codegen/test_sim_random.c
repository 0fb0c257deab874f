// Random programs as the code for GPUs, on the sim device: the graph interpreter's results, and no check fires. Threads
// take turns in another order in each launch. Programs whose kernels are one object share its build, which is most of
// the time; Criterion runs the parts side by side. WEIR_SIM_PROGRAMS=N takes N programs a part, so 10 N in all; with
// sanitizers the usual number is smaller.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/common/lowered_case.h"
#include "tests/common/random_module.h"
#include "tests/unit/codegen/sim_launches.h"

#if defined(__SANITIZE_ADDRESS__)
enum { PROGRAMS = 6 };
#else
enum { PROGRAMS = 20 };  // of each of ten parts
#endif
enum { MOST = 1000 };
// Values stay below 64, so a stored float32 is off by at most 4e-6; the programs amplify that by no more than some
// tens.
static const double tolerance = 1e-4;

typedef struct {
  weir_arena arena;
  lowered_case made;
  bool fits;  // it has a lowering
} program;

static int programs_of_a_part(void) {
  const char *said = getenv("WEIR_SIM_PROGRAMS");
  int count = said ? atoi(said) : PROGRAMS;
  return count < 1 ? 1 : count > MOST ? MOST : count;
}

static void make(program *p, uint64_t seed) {
  weir_arena_init(&p->arena);
  ir_function *function = random_module_create(ir_module_create(&p->arena, "Random"), seed, 6 + (int)(seed % 30));
  int requests = 1 + (int)(seed % CASE_MAX_REQUESTS);
  weir_status status = lowered_case_make_blocks(&p->arena, function, seed, requests, false, &p->made);
  bool unsupported = status && weir_status_code(status) == WEIR_CODE_UNSUPPORTED;
  cr_expect(!status || unsupported, "seed %d: %s", (int)seed, weir_status_message(status));
  p->fits = !status;
  weir_status_release(status);
}

static void run_part(int part) {
  static program programs[MOST];
  int count = programs_of_a_part(), first = part * count, ran = 0;
  sim_launches sim;
  sim_launches_init(&sim);
  sim.optimize = "-O0";  // small programs: compiling them takes longer than running them
  for (int i = 0; i < count; i++) {
    make(&programs[i], (uint64_t)(first + i));
    if (programs[i].fits) sim_launches_add(&sim, programs[i].made.code);
  }
  sim_launches_compile(&sim);
  for (int i = 0; i < count; i++) {
    lowered_case *c = &programs[i].made;
    c->launch = sim_launches_run;
    c->launch_user = &sim;
    sim.requests = c->requests;
    const char *wrong = programs[i].fits ? lowered_case_check_interpreted(c, tolerance) : NULL;
    cr_expect(!wrong, "seed %d: %s", first + i, wrong);
    ran += programs[i].fits;
    weir_arena_deinit(&programs[i].arena);
  }
  cr_assert_geq(ran, count * 9 / 10);
  sim_launches_deinit(&sim);
}

Test(sim_random, part_0) { run_part(0); }
Test(sim_random, part_1) { run_part(1); }
Test(sim_random, part_2) { run_part(2); }
Test(sim_random, part_3) { run_part(3); }
Test(sim_random, part_4) { run_part(4); }
Test(sim_random, part_5) { run_part(5); }
Test(sim_random, part_6) { run_part(6); }
Test(sim_random, part_7) { run_part(7); }
Test(sim_random, part_8) { run_part(8); }
Test(sim_random, part_9) { run_part(9); }
