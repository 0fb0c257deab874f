// Blocks: the threads of a group of blocks as fibers, warp by warp.
//
// The scheduler runs every ready lane of a warp until it waits or ends, and the warp again as long as something moved;
// then the next warp. The thread that arrives last at an operation carries it out for all and goes on itself, so that
// most operations cost each other lane one switch out and one in. When nothing moves and threads are left, the
// operation they wait for cannot complete: sim_stuck says which.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

static void thread_main(void *argument) {
  sim_thread *t = argument;
  sim_launch *launch = t->worker->launch;
  rt_sim_entered(&t->worker->fibers);
  launch->entry->enter(launch->params, &t->head);
  sim_early_end(t);
  sim_copy_end(t);
  sim_tensor_end(t);
  sim_wgmma_end(t);
  t->state = SIM_DONE;
  rt_sim_suspend(&t->worker->fibers, t->stack);
  __builtin_unreachable();
}

void sim_wait(sim_thread *t, sim_state state, uint32_t line) {
  t->state = (uint8_t)state;
  t->line = line;
  rt_sim_suspend(&t->worker->fibers, t->stack);
}

static uint64_t random_next(sim_worker *worker) {
  worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
  return worker->random >> 33;
}

// Begins or resumes a ready thread. False when there is no memory for its stack.
static bool thread_run(sim_worker *worker, sim_thread *t) {
  if (!t->stack) {
    t->stack = rt_sim_stack_take(&worker->fibers);
    if (!t->stack) return false;
    t->head.learning = !worker->learned;
    worker->learned = true;
    rt_sim_stack_begin(t->stack, thread_main, t);
  }
  *worker->slot = &t->head;
  rt_sim_resume(&worker->fibers, t->stack);
  if (t->state == SIM_DONE) {
    rt_sim_stack_give(&worker->fibers, t->stack);
    t->stack = NULL;
    t->block->live--;
    worker->live--;
  }
  return true;
}

// Whether a lane ran. A seed lets the lanes begin at any of them, up or down.
static bool warp_run(sim_worker *worker, sim_block *block, int warp) {
  sim_thread *first = block->threads + warp * SIM_WARP;
  uint32_t *ready = &block->ready[warp];
  if (!*ready) return false;
  const uint64_t order = worker->random ? random_next(worker) : 0;
  const unsigned turn = order & 31;
  const bool down = order >> 5 & 1;
  uint32_t lanes = *ready >> turn | *ready << (-turn & 31);
  *ready = 0;
  while (lanes) {
    unsigned bit = down ? 31 - (unsigned)__builtin_clz(lanes) : (unsigned)__builtin_ctz(lanes);
    lanes &= ~(1u << bit);
    if (!thread_run(worker, &first[(bit + turn) & 31])) {
      pthread_mutex_lock(&worker->launch->lock);
      worker->launch->no_memory = true;
      pthread_mutex_unlock(&worker->launch->lock);
      worker->faulted = true;
    }
    if (worker->faulted) return false;
  }
  if (worker->log_count) sim_count_flush(worker);
  return true;
}

static void thread_init(sim_worker *worker, sim_block *block, int index) {
  sim_thread *t = &block->threads[index];
  sim_launch *launch = worker->launch;
  t->head = (rt_sim_head){.api = &sim_api,
                          .thread = (uint32_t)index,
                          .threads = (uint32_t)block->count,
                          .block = (uint32_t)block->number,
                          .grid = (uint32_t)launch->options->grid,
                          .rank = (uint32_t)block->rank,
                          .cluster = (uint32_t)launch->cluster,
                          .checked = !launch->options->unchecked};
  t->worker = worker;
  t->block = block;
  t->team_count = 0;
  t->fenced = false;
  t->waited = !launch->options->overlaps;
  t->id = block->rank * block->count + index;
  t->epoch = 1;
  t->far = NULL;
  t->copy_count = 0;
  t->groups = 0;
  t->logged = 0;
  t->proxy = t->store_groups = t->product_groups = 0;
  t->product_fenced = false;
  memset(t->known, 0, sizeof(t->known));
  sim_ready(t);
}

static void block_begin(sim_worker *worker, int rank, int64_t number) {
  sim_launch *launch = worker->launch;
  sim_block *block = &worker->blocks[rank];
  block->worker = worker;
  block->number = number;
  block->rank = rank;
  block->count = block->live = launch->threads;
  block->threads = worker->threads + (size_t)rank * (size_t)launch->threads;
  block->base = worker->base_memory + (size_t)rank * (size_t)worker->group_threads;
  memset(block->base, 0, (size_t)worker->group_threads * sizeof(uint32_t));
  memset(block->bytes, BYTE_NEW, block->used_high);
  memset(block->owner, 0, block->used_high / 16 + 1);
  memset(block->arrived, 0, sizeof(block->arrived));
  memset(block->ready, 0, sizeof(block->ready));
  block->shared_count = 0;
  block->used_high = block->shared_high = (uint32_t)((launch->options->dynamic_bytes + 1023) / 1024 * 1024);
  for (int i = 0; i < SIM_BARRIERS; i++) {
    if (block->clocks[i]) memset(block->clocks[i], 0, (size_t)worker->group_threads * sizeof(uint32_t));
  }
  for (int i = 0; i < block->count; i++) thread_init(worker, block, i);
}

static void group_begin(sim_worker *worker, int64_t group) {
  sim_launch *launch = worker->launch;
  worker->group = group;
  worker->prefix = launch->stamp | (sim_stamp)(group % SIM_GROUPS) << STAMP_GROUP;
  worker->steps = launch->options->steps ? launch->options->steps : RT_SIM_STEPS;
  worker->live = worker->group_threads;
  worker->cluster_arrived = 0;
  worker->random = launch->options->seed ? launch->options->seed * 0x9e3779b97f4a7c15u + (uint64_t)group : 0;
  if (worker->acquired) memset(worker->acquired, 0, (size_t)(launch->groups + 7) / 8);
  for (int rank = 0; rank < launch->cluster; rank++) block_begin(worker, rank, group * launch->cluster + rank);
}

void sim_group_run(sim_worker *worker, int64_t group) {
  group_begin(worker, group);
  const int cluster = worker->launch->cluster, warps = (worker->launch->threads + SIM_WARP - 1) / SIM_WARP;
  while (worker->live && !worker->faulted) {
    bool moved = false;
    uint64_t offset = worker->random ? random_next(worker) : 0;
    for (int i = 0; i < warps * cluster && !worker->faulted; i++) {
      int w = (int)(((uint64_t)i + offset) % (uint64_t)(warps * cluster));
      sim_block *block = &worker->blocks[w / warps];
      while (warp_run(worker, block, w % warps)) moved = true;
    }
    if (!moved && !worker->faulted && !sim_tensor_deliver_all(worker)) sim_stuck(worker);
  }
  for (int rank = 0; rank < cluster; rank++) {
    sim_block *block = &worker->blocks[rank];
    for (int i = 0; i < block->count; i++) {
      if (block->threads[i].stack) rt_sim_stack_give(&worker->fibers, block->threads[i].stack);
      block->threads[i].stack = NULL;
      sim_stores_free(&block->threads[i]);
      sim_products_free(&block->threads[i]);
    }
    sim_mbarriers_free(block);
    if (block->shared_high > worker->counters.shared_bytes) worker->counters.shared_bytes = block->shared_high;
  }
  sim_readings_free(worker);
  sim_loads_free(worker->loading);
  worker->loading = NULL;
  worker->log_count = 0;
  worker->counters.blocks += (uint64_t)cluster;
}

static bool block_prepare(sim_block *block) {
  if (block->memory) return true;
  // Cells are compared by launch and group, and are zero where nothing was written: they need no clearing.
  block->memory = aligned_alloc(1024, (RT_SIM_SHARED_BYTES + 1023) / 1024 * 1024);
  block->bytes = calloc(1, RT_SIM_SHARED_BYTES + 64);
  block->cells = calloc(RT_SIM_SHARED_BYTES / 4 + 8, sizeof(sim_cell));
  block->owner = calloc(1, RT_SIM_SHARED_BYTES / 16 + 8);
  if (block->memory) memset(block->memory, 0xff, RT_SIM_SHARED_BYTES);
  return block->memory && block->bytes && block->cells && block->owner;
}

weir_status sim_worker_prepare(sim_worker *worker, sim_launch *launch) {
  const int threads = launch->threads * launch->cluster;
  worker->launch = launch;
  worker->sim = launch->sim;
  worker->group_threads = threads;
  worker->learned = worker->faulted = false;
  worker->extent_count = worker->log_count = 0;
  worker->counters = (rt_sim_report){0};
  sim_slots_clear(worker);
  for (int rank = 0; rank < SIM_MAX_CLUSTER; rank++) {
    // Their length is that of a group of this launch.
    for (int i = 0; i < SIM_BARRIERS; i++) {
      free(worker->blocks[rank].clocks[i]);
      worker->blocks[rank].clocks[i] = NULL;
    }
  }
  if (worker->thread_capacity < threads) {
    for (int i = 0; i < worker->thread_capacity; i++) free(worker->threads[i].copies);
    free(worker->threads);
    worker->threads = calloc((size_t)threads, sizeof(sim_thread));
    worker->thread_capacity = worker->threads ? threads : 0;
    if (!worker->threads) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "threads of sim");
  }
  size_t clocks = (size_t)threads * (size_t)launch->cluster;
  if (worker->base_capacity < clocks) {
    free(worker->base_memory);
    worker->base_memory = calloc(clocks, sizeof(uint32_t));
    worker->base_capacity = worker->base_memory ? clocks : 0;
    if (!worker->base_memory) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "clocks of sim");
  }
  for (int rank = 0; rank < launch->cluster; rank++) {
    if (!block_prepare(&worker->blocks[rank])) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "shared memory of sim");
  }
  free(worker->acquired);
  worker->acquired = NULL;
  return WEIR_OK;
}

void sim_worker_free(sim_worker *worker) {
  if (!worker) return;
  for (int i = 0; i < worker->thread_capacity; i++) free(worker->threads[i].copies);
  for (int rank = 0; rank < SIM_MAX_CLUSTER; rank++) {
    sim_block *block = &worker->blocks[rank];
    free(block->memory);
    free(block->bytes);
    free(block->cells);
    free(block->owner);
    for (int i = 0; i < SIM_BARRIERS; i++) free(block->clocks[i]);
  }
  rt_sim_fibers_deinit(&worker->fibers);
  free(worker->threads);
  free(worker->base_memory);
  free(worker->far_memory);
  free(worker->acquired);
  free(worker->log);
  free(worker->linear);
  free(worker);
}
