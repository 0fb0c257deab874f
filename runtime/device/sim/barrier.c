// Barriers of the block, named barriers of some warps, the barrier of a cluster; and what it means when nothing moves.
//
// The thread that completes a barrier orders what its threads did and makes them ready. A barrier of all threads may
// not be met by some while others have ended or wait elsewhere.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

// What those that have come to a named barrier know; null where there is no memory.
static uint32_t *clock_of(sim_thread *t, int id, uint32_t line) {
  sim_block *block = t->block;
  if (!block->clocks[id]) {
    block->clocks[id] = calloc((size_t)t->worker->group_threads, sizeof(uint32_t));
    if (!block->clocks[id]) sim_fault(t, RT_SIM_argument, line, NULL, 0, "no memory for the clocks of barrier %d", id);
  }
  return block->clocks[id];
}

static void named_arrive(sim_thread *t, int id, uint32_t line) {
  sim_clock_join(t, clock_of(t, id, line));
  sim_epoch_end(t);
}

static void named_complete(sim_thread *t, int id) {
  sim_block *block = t->block;
  block->arrived[id] = 0;
  for (int i = 0; i < block->count; i++) {
    sim_thread *o = &block->threads[i];
    if (o->state != SIM_AT_BARRIER || o->barrier != id) continue;
    sim_clock_take(o, block->clocks[id]);
    if (o == t) o->state = SIM_READY;
    else sim_ready(o);
  }
  memset(block->clocks[id], 0, (size_t)t->worker->group_threads * sizeof(uint32_t));
  t->worker->counters.barriers++;
}

static void block_complete(sim_thread *t) {
  sim_block *block = t->block;
  block->worker->counters.barriers++;
  sim_order_block(block);
  for (int i = 0; i < block->count; i++) {
    if (&block->threads[i] != t) sim_ready(&block->threads[i]);
  }
}

// One more thread comes to a barrier; its number is in range. Whether it is the last.
static bool arrive(sim_thread *t, int64_t id, int64_t threads, uint32_t line) {
  sim_block *block = t->block;
  if (!t->worker->steps--) sim_fault(t, RT_SIM_steps, line, NULL, 0, "the block has used up its steps");
  if (id < 0 || id >= SIM_BARRIERS || threads <= 0 || threads > block->count || (id && threads % SIM_WARP)) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "barrier %lld of %lld threads", (long long)id, (long long)threads);
  }
  if (block->arrived[id] && block->expected[id] != threads) {
    sim_fault(t, RT_SIM_divergent_barrier, line, NULL, 0, "barrier %lld of %lld threads, others came to it as of %d",
              (long long)id, (long long)threads, block->expected[id]);
  }
  block->expected[id] = (int)threads;
  t->barrier = (int)id;
  return ++block->arrived[id] == threads;
}

void sim_barrier(rt_sim_head *self, int32_t id, int32_t threads, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  sim_block *block = t->block;
  if (id == 0 && block->arrived[0]) {
    // The first that waits stands for all: they have been compared with it.
    const sim_thread *o = block->threads;
    while (o->state != SIM_AT_BARRIER || o->barrier) o++;
    if (o->line != line) {
      sim_fault(t, RT_SIM_divergent_barrier, line, NULL, 0, "thread %u waits at the barrier in line %u", o->head.thread,
                o->line);
    }
  }
  bool last = arrive(t, id, id == 0 ? block->count : threads, line);
  if (id) named_arrive(t, id, line);
  if (!last) {
    sim_wait(t, SIM_AT_BARRIER, line);
    return;
  }
  if (id) {
    t->state = SIM_AT_BARRIER;
    named_complete(t, id);
    return;
  }
  block->arrived[0] = 0;
  block_complete(t);
}

void sim_barrier_arrive(sim_thread *t, int64_t id, int64_t threads, uint32_t line) {
  if (!id) sim_fault(t, RT_SIM_argument, line, NULL, 0, "arrival at the barrier of all threads without waiting");
  bool last = arrive(t, id, threads, line);
  named_arrive(t, (int)id, line);
  if (last) named_complete(t, (int)id);
}

void sim_cluster_barrier(sim_thread *t, uint32_t line) {
  sim_worker *w = t->worker;
  if ((int)++w->cluster_arrived < w->group_threads) {
    sim_wait(t, SIM_AT_CLUSTER, line);
    return;
  }
  w->cluster_arrived = 0;
  w->counters.barriers++;
  for (int rank = 0; rank < w->launch->cluster; rank++) {
    sim_block *block = &w->blocks[rank];
    for (int i = 0; i < w->group_threads; i++) block->base[i] = w->threads[i].epoch;
  }
  for (int i = 0; i < w->group_threads; i++) {
    sim_epoch_end(&w->threads[i]);
    if (&w->threads[i] != t) sim_ready(&w->threads[i]);
  }
}

// One thread that waits in |state|, or null.
static sim_thread *waiting(sim_worker *w, sim_state state) {
  for (int i = 0; i < w->group_threads; i++) {
    if (w->threads[i].state == state) return &w->threads[i];
  }
  return NULL;
}

// Where the other threads are: the first few different places.
static const char *places(sim_worker *w, char *text, size_t bytes) {
  static const char *const names[] = {"ready",    "warp operation", "barrier", "cluster barrier",
                                      "mbarrier", "wgmma",          "end"};
  size_t used = 0;
  text[0] = 0;
  for (int i = 0, shown = 0; i < w->group_threads && shown < 6; i++) {
    const sim_thread *t = &w->threads[i], *before = i ? &w->threads[i - 1] : NULL;
    bool same = before && before->state == t->state && (t->state == SIM_DONE || before->line == t->line);
    if (same) continue;
    int n = t->state == SIM_DONE
                ? snprintf(text + used, bytes - used, "%sthread %d on: at the end", shown ? "; " : "", i)
                : snprintf(text + used, bytes - used, "%sthread %d on: %s in line %u", shown ? "; " : "", i,
                           names[t->state], t->line);
    if (n < 0 || (used += (size_t)n) >= bytes - 1) break;
    shown++;
  }
  return text;
}

void sim_stuck(sim_worker *w) {
  char text[512];
  places(w, text, sizeof(text));
  sim_thread *t = waiting(w, SIM_AT_WARP);
  if (t) {
    sim_fault_of(t, RT_SIM_divergent_warp, t->line, NULL, 0, "not all of its %u threads come to this operation: %s",
                 t->width, text);
    return;
  }
  t = waiting(w, SIM_AT_WGMMA);
  if (t) {
    sim_fault_of(t, RT_SIM_divergent_warp, t->line, NULL, 0, "not all of the warpgroup come to this wgmma: %s", text);
    return;
  }
  t = waiting(w, SIM_AT_MBARRIER);
  if (t) {
    sim_fault_of(t, RT_SIM_deadlock, t->line, NULL, 0, "the phase of this mbarrier never completes: %s", text);
    return;
  }
  t = waiting(w, SIM_AT_BARRIER);
  if (!t) t = waiting(w, SIM_AT_CLUSTER);
  if (t) sim_fault_of(t, RT_SIM_divergent_barrier, t->line, NULL, 0, "not all threads come to this barrier: %s", text);
}
