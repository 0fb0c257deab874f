// The engine's outside: a sim device, its workers, launches.
//
// A launch is done by one worker on the caller's thread or by several on a team; they take groups of blocks one at a
// time. Workers keep their stacks and shared memory from launch to launch.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

const rt_sim_api sim_api = {
    .version = RT_SIM_ABI_VERSION,
    .bytes = (int32_t)sizeof(rt_sim_api),
    .access = sim_access,
    .extent = sim_extent_state,
    .shared = sim_shared_state,
    .barrier = sim_barrier,
    .warp = sim_warp,
    .operation = sim_operation,
    .copy = sim_copy_async,
    .commit = sim_copy_commit,
    .wait = sim_copy_wait,
    .fence = sim_fence,
    .atomic = sim_atomic,
    .index = sim_index,
    .fresh = sim_shared_fresh,
};

weir_status rt_sim_create(rt_sim **out_sim) {
  rt_sim *sim = calloc(1, sizeof(*sim));
  *out_sim = sim;
  if (!sim) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "sim");
  pthread_mutex_init(&sim->lock, NULL);
  pthread_mutex_init(&sim->memory_lock, NULL);
  return WEIR_OK;
}

void rt_sim_destroy(rt_sim *sim) {
  if (!sim) return;
  for (int i = 0; i < sim->worker_count; i++) sim_worker_free(sim->workers[i]);
  free(sim->workers);
  while (sim->region_count) weir_status_release(rt_sim_unregister(sim, (const void *)sim->regions[0].low));
  free(sim->regions);
  pthread_mutex_destroy(&sim->lock);
  pthread_mutex_destroy(&sim->memory_lock);
  free(sim);
}

static weir_status workers_ensure(rt_sim *sim, int count) {
  if (sim->worker_count >= count) return WEIR_OK;
  sim_worker **grown = realloc(sim->workers, (size_t)count * sizeof(*grown));
  if (!grown) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "workers of sim");
  sim->workers = grown;
  while (sim->worker_count < count) {
    sim_worker *worker = calloc(1, sizeof(*worker));
    if (!worker) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "workers of sim");
    rt_sim_fibers_init(&worker->fibers);
    sim->workers[sim->worker_count++] = worker;
  }
  return WEIR_OK;
}

static void launch_part(void *context, int part, int parts) {
  (void)parts;
  sim_launch *launch = context;
  sim_worker *worker = launch->sim->workers[part];
  worker->slot = launch->entry->slot();
  for (;;) {
    int64_t i = atomic_fetch_add(&launch->next, 1);
    if (i >= launch->groups || atomic_load(&launch->stop)) break;
    // A stride prime to the count visits every group once.
    int64_t group = launch->stride ? (int64_t)((uint64_t)i * launch->stride % (uint64_t)launch->groups) : i;
    sim_group_run(worker, group);
    if (worker->faulted) break;
  }
  *worker->slot = NULL;
}

static uint64_t stride_of(uint64_t seed, uint64_t count) {
  if (!seed || count < 3) return 0;
  uint64_t stride = (seed * 0x9e3779b97f4a7c15u >> 20) % count;
  for (;; stride = (stride + 1) % count) {
    uint64_t a = stride, b = count;
    while (a) {
      uint64_t r = b % a;
      b = a;
      a = r;
    }
    if (b == 1 && stride) return stride;
  }
}

// A stamp's launch is a number of eight bits; before it comes round again, all is forgotten.
static void launch_number(rt_sim *sim, sim_launch *launch) {
  if (++sim->launches == 256) {
    sim->launches = sim->open = 1;
    sim_regions_forget(sim);
    for (int i = 0; i < sim->worker_count; i++) {
      for (int rank = 0; rank < SIM_MAX_CLUSTER; rank++) {
        sim_block *block = &sim->workers[i]->blocks[rank];
        if (block->cells) memset((void *)block->cells, 0, (RT_SIM_SHARED_BYTES / 4 + 8) * sizeof(sim_cell));
      }
    }
  }
  if (!launch->options->overlaps) sim->open = sim->launches;
  launch->open = sim->open;
  launch->stamp = (sim_stamp)sim->launches << STAMP_LAUNCH;
}

static weir_status options_check(const rt_sim_kernel *kernel, const rt_sim_launch_options *o) {
  int threads = o->threads ? o->threads : kernel->threads, cluster = o->cluster > 1 ? o->cluster : 1;
  if (o->grid < 1 || o->grid > INT32_MAX || threads < 1 || threads > RT_SIM_MAX_THREADS || cluster > SIM_MAX_CLUSTER ||
      o->grid % cluster || o->dynamic_bytes > RT_SIM_SHARED_BYTES || threads * cluster > SIM_GROUP_THREADS ||
      threads > kernel->threads || (!o->params && kernel->param_bytes)) {
    return weir_status_make(
        WEIR_CODE_INVALID_ARGUMENT,
        "sim: %s with %lld blocks of %d threads (%d at most), clusters of %d, %zu bytes of shared memory", kernel->name,
        (long long)o->grid, threads, kernel->threads, cluster, o->dynamic_bytes);
  }
  return WEIR_OK;
}

static weir_status launch_run(rt_sim *sim, sim_launch *launch) {
  const int parts = launch->options->team ? rt_team_thread_count(launch->options->team) : 1;
  WEIR_TRY(workers_ensure(sim, parts));
  launch_number(sim, launch);
  for (int i = 0; i < parts; i++) WEIR_TRY(sim_worker_prepare(sim->workers[i], launch));
  if (parts > 1) rt_team_split(launch->options->team, launch_part, launch);
  else launch_part(launch, 0, 1);
  for (int i = 0; i < parts; i++) sim_report_merge(launch, sim->workers[i]);
  sim_regions_end_launch(sim);
  sim_atomic_end_launch(sim);
  if (launch->no_memory) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "stacks of sim");
  if (launch->faulted) return weir_status_make(WEIR_CODE_INVALID_DATA, "%s", launch->report->text);
  return WEIR_OK;
}

weir_status rt_sim_launch(rt_sim *sim, const rt_sim_kernel *kernel, const rt_sim_launch_options *options,
                          rt_sim_report *out_report) {
  rt_sim_report own, *report = out_report ? out_report : &own;
  *report = (rt_sim_report){0};
  WEIR_TRY(options_check(kernel, options));
  sim_launch launch = {.sim = sim,
                       .entry = ((const struct sim_named *)(const void *)kernel)->entry,
                       .options = options,
                       .params = options->params,
                       .threads = options->threads ? options->threads : kernel->threads,
                       .cluster = options->cluster > 1 ? options->cluster : 1,
                       .report = report};
  launch.groups = options->grid / launch.cluster;
  launch.track_groups = launch.groups <= SIM_GROUPS;
  launch.stride = stride_of(options->seed, (uint64_t)launch.groups);
  pthread_mutex_init(&launch.lock, NULL);
  pthread_mutex_lock(&sim->lock);
  weir_status status = launch_run(sim, &launch);
  pthread_mutex_unlock(&sim->lock);
  pthread_mutex_destroy(&launch.lock);
  return status;
}
