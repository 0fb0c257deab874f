// Order: what a thread knows of the others' epochs, and so which accesses happened before its own.
//
// Barriers of a whole block are by far the most frequent, so they have a vector for the block; a team's fence joins the
// 32 numbers of a warp; named barriers, mbarriers and clusters join whole vectors, which threads get when they first
// meet one. Knowledge is transitive: whoever learns of an epoch learns what its thread knew.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

static inline uint32_t max_of(uint32_t a, uint32_t b) { return a > b ? a : b; }

bool sim_ordered(const sim_thread *t, sim_stamp earlier) {
  const sim_worker *w = t->worker;
  if ((earlier ^ w->prefix) >> STAMP_GROUP) {
    if ((earlier ^ w->prefix) >> STAMP_LAUNCH) return true;
    uint64_t group = earlier >> STAMP_GROUP & (SIM_GROUPS - 1);
    return w->acquired && (w->acquired[group / 8] >> (group % 8) & 1);
  }
  int id = (int)(earlier >> STAMP_THREAD & (SIM_GROUP_THREADS - 1));
  uint32_t epoch = (uint32_t)(earlier >> STAMP_EPOCH & SIM_EPOCH_LAST);
  if ((id == t->id && !(earlier & STAMP_TENSOR)) || epoch == SIM_EPOCH_LAST || t->block->base[id] >= epoch) return true;
  if (t->far && t->far[id] >= epoch) return true;
  int mine = id - t->block->rank * t->block->count;
  return mine >= 0 && mine / SIM_WARP == (int)t->head.thread / SIM_WARP && t->known[mine % SIM_WARP] >= epoch;
}

void sim_epoch_end(sim_thread *t) {
  if (t->epoch < SIM_EPOCH_LAST) t->epoch++;
}

uint32_t *sim_far(sim_thread *t) {
  if (t->far) return t->far;
  sim_worker *w = t->worker;
  size_t count = (size_t)w->group_threads;
  if (w->far_capacity < count * count) {
    // Nobody has a vector yet: the memory is for all threads of a group, and stays.
    free(w->far_memory);
    w->far_memory = malloc(count * count * sizeof(uint32_t));
    w->far_capacity = w->far_memory ? count * count : 0;
    if (!w->far_memory)
      sim_fault(t, RT_SIM_argument, t->line, NULL, 0, "no memory for the clocks of %zu threads", count);
  }
  t->far = w->far_memory + (size_t)t->id * count;
  memcpy(t->far, t->block->base, count * sizeof(uint32_t));
  return t->far;
}

void sim_clock_join(sim_thread *t, uint32_t *clock) {
  const int count = t->worker->group_threads;
  for (int i = 0; i < count; i++) clock[i] = max_of(clock[i], t->block->base[i]);
  if (t->far) {
    for (int i = 0; i < count; i++) clock[i] = max_of(clock[i], t->far[i]);
  }
  int first = t->id - (int)t->head.thread % SIM_WARP,
      lanes = t->block->count - (int)t->head.thread / SIM_WARP * SIM_WARP;
  for (int i = 0; i < SIM_WARP && i < lanes; i++) clock[first + i] = max_of(clock[first + i], t->known[i]);
  clock[t->id] = t->epoch;
}

void sim_clock_take(sim_thread *t, const uint32_t *clock) {
  uint32_t *far = sim_far(t);
  for (int i = 0; i < t->worker->group_threads; i++) far[i] = max_of(far[i], clock[i]);
}

void sim_order_block(sim_block *block) {
  const int count = block->worker->group_threads;
  for (int i = 0; i < block->count; i++) {
    sim_thread *t = &block->threads[i];
    if (t->far) {
      for (int k = 0; k < count; k++) block->base[k] = max_of(block->base[k], t->far[k]);
    }
  }
  for (int i = 0; i < block->count; i++) {
    block->base[block->threads[i].id] = block->threads[i].epoch;
    sim_epoch_end(&block->threads[i]);
  }
}

void sim_order_warp(sim_thread *first, uint32_t lanes) {
  uint32_t known[SIM_WARP] = {0};
  bool far = false;
  for (int i = 0; i < SIM_WARP; i++) {
    if (!(lanes >> i & 1)) continue;
    for (int k = 0; k < SIM_WARP; k++) known[k] = max_of(known[k], first[i].known[k]);
    far |= first[i].far != NULL;
  }
  for (int i = 0; i < SIM_WARP; i++) {
    if (lanes >> i & 1) known[i] = first[i].epoch;
  }
  if (far) {
    const int count = first->worker->group_threads;
    int leader = __builtin_ctz(lanes);
    uint32_t *all = sim_far(&first[leader]);
    for (int i = 0; i < SIM_WARP; i++) {
      if (!(lanes >> i & 1) || !first[i].far || i == leader) continue;
      for (int k = 0; k < count; k++) all[k] = max_of(all[k], first[i].far[k]);
    }
    for (int i = 0; i < SIM_WARP; i++) {
      if (lanes >> i & 1 && i != leader) memcpy(sim_far(&first[i]), all, (size_t)count * sizeof(uint32_t));
    }
  }
  for (int i = 0; i < SIM_WARP; i++) {
    if (!(lanes >> i & 1)) continue;
    memcpy(first[i].known, known, sizeof(known));
    sim_epoch_end(&first[i]);
  }
}
