// Kernels of modules on the sim device in the place of the kernel interpreter: one object for many modules, and what
// ir_program_call calls for a launch. Grids of item kernels are small, so that blocks loop; the order of threads is
// another one in each launch.
#ifndef WEIR_TESTS_UNIT_CODEGEN_SIM_LAUNCHES_H
#define WEIR_TESTS_UNIT_CODEGEN_SIM_LAUNCHES_H

#include <string.h>

#include "codegen/cuda/print.h"
#include "codegen/lower/lower.h"
#include "runtime/device/cuda/abi.h"
#include "runtime/device/cuda/maps.h"
#include "runtime/device/sim/driver.h"
#include "tests/unit/runtime/sim_harness.h"

typedef struct {
  weir_arena arena;
  cg_cuda_kernel *kernels;  // printed, each name once
  int count, capacity;
  const char *optimize;  // a flag of the compiler; null: as shipped
  rt_sim_object *object;
  rt_sim *sim;
  uint64_t seed;
  int requests;  // of a call: how many pointers a table has
  int blocks;    // launches of block kernels so far
  void (*counted)(void *user, const ir_kernel *kernel, const rt_sim_report *report);  // of each launch; null: none
  void *counted_user;
} sim_launches;

static const cg_cuda_kernel *sim_launches_find(const sim_launches *s, const char *name) {
  for (int i = 0; i < s->count; i++)
    if (!strcmp(s->kernels[i].name, name)) return &s->kernels[i];
  return NULL;
}

static inline void sim_launches_init(sim_launches *s) {
  *s = (sim_launches){.seed = 1, .requests = 1};
  weir_arena_init(&s->arena);
}

static inline void sim_launches_add(sim_launches *s, const cg_module *code) {
  const cg_cuda_print_options options = {.prelude = CG_CUDA_SIM};
  for (int i = 0; i < code->kernel_count; i++) {
    cg_cuda_kernel printed;
    OK(cg_cuda_print(&s->arena, code->kernels[i], &options, &printed));
    // A name has a hash of all but names of buffers.
    if (!sim_launches_find(s, printed.name)) WEIR_PUSH(&s->arena, s->kernels, s->count, s->capacity, printed);
  }
}

static inline void sim_launches_compile(sim_launches *s) {
  const char *text = cg_cuda_file(&s->arena, CG_CUDA_SIM, s->kernels, s->count);
  s->object = sim_compile_file_as(text, s->optimize ? s->optimize : "-O1");
  OK(rt_sim_create(&s->sim));
}

static inline void sim_launches_deinit(sim_launches *s) {
  rt_sim_destroy(s->sim);
  rt_sim_object_unload(s->object);
  weir_arena_deinit(&s->arena);
}

static inline void sim_launches_own(sim_launches *s, const void *at, size_t bytes, bool on) {
  if (!bytes) return;
  weir_status status = on ? rt_sim_register(s->sim, at, bytes) : rt_sim_unregister(s->sim, at);
  weir_status_release(status);  // it may be several arguments
}

// Tables and the memory behind them are the device's while a kernel runs.
static inline void sim_launches_tables(sim_launches *s, const ir_kernel *kernel, void *const *args, const size_t *bytes,
                                       bool on) {
  for (int i = 0; i < kernel->buffer_count; i++) {
    const ir_kbuffer *b = &kernel->buffers[i];
    if (b->kind != IR_KB_TABLE_IN && b->kind != IR_KB_TABLE_INOUT) continue;
    sim_launches_own(s, args[b->arg], (size_t)s->requests * sizeof(void *), on);
    for (int r = 0; r < s->requests; r++) sim_launches_own(s, ((void *const *)args[b->arg])[r], bytes[b->arg], on);
  }
}

// Its tensor maps, as the launcher makes them of its facts.
static inline void sim_launches_maps(const cg_cuda_kernel *k, void *const *args, const int64_t *dims, uint8_t *params) {
  const char *at = k->map_facts, *end = at + strlen(at);
  rt_cuda_driver driver;
  int64_t maps_at;
  rt_sim_driver(&driver);
  (void)rt_cuda_param_bytes(k->args, k->dims, k->maps, &maps_at);
  for (int i = 0; i < k->maps; i++) {
    rt_cuda_map map;
    int code;
    cr_assert(rt_cuda_map_parse(&at, end, &map) && rt_cuda_map_fits(&map, k->args, k->dims), "%s", k->map_facts);
    OK(rt_cuda_map_encode(&driver, &map, args, dims, params + maps_at + i * RT_CUDA_MAP_BYTES, &code));
    cr_assert_eq(code, 0);
  }
  cr_assert_eq(at, end);
}

// As ir_program_call.launch; |user| is a sim_launches.
static inline weir_status sim_launches_run(void *user, const ir_kernel *kernel, void *const *args, const size_t *bytes,
                                           const int64_t *dims, int64_t grid) {
  enum { MOST_GRID = 3 };
  sim_launches *s = user;
  const cg_cuda_kernel *k = sim_launches_find(s, kernel->name);
  const rt_sim_kernel *found;
  _Alignas(64) uint64_t params[RT_CUDA_MAX_PARAM_BYTES / 8] = {0};
  int at = 0;
  if (!grid) return WEIR_OK;
  cr_assert(k && k->args + k->dims + 3 <= 64, "%s", kernel->name);
  int64_t blocks = (grid + k->items_per_block - 1) / k->items_per_block;
  if (!k->block && blocks > MOST_GRID) blocks = MOST_GRID;
  void *scratch = malloc((size_t)(k->scratch_bytes * k->items_per_block * blocks) + 1);
  cr_assert(scratch);
  for (int i = 0; i < k->args; i++) params[at++] = (uint64_t)(uintptr_t)args[i];
  for (int i = 0; i < k->dims; i++) params[at++] = (uint64_t)dims[i];
  params[at++] = (uint64_t)grid;
  params[at++] = (uint64_t)(uintptr_t)scratch;
  params[at++] = (uint64_t)k->scratch_bytes;
  sim_launches_maps(k, args, dims, (uint8_t *)params);
  rt_sim_launch_options options = {.grid = blocks,
                                   .params = params,
                                   .seed = s->seed++,
                                   .dynamic_bytes = (size_t)k->dynamic_bytes,
                                   .count = s->counted != NULL};
  rt_sim_report report;
  weir_status status = rt_sim_object_find(s->object, kernel->name, &found);
  sim_launches_tables(s, kernel, args, bytes, true);
  if (!status) status = rt_sim_launch(s->sim, found, &options, &report);
  sim_launches_tables(s, kernel, args, bytes, false);
  s->blocks += k->block;
  if (!status && s->counted) s->counted(s->counted_user, kernel, &report);
  free(scratch);
  return status;
}

#endif
