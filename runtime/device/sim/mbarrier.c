// mbarriers: phases of arrivals and of bytes that tensor copies bring.
//
// The engine keeps the state beside the memory, under the address. A phase is complete when all arrivals were made and
// all expected bytes have come; who waits for it then knows what those that arrived did before. Copies are
// delivered as late as possible: when somebody waits for their mbarrier.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

static void touch(sim_thread *t, sim_block *block, const void *at, bool init, uint32_t line) {
  uint32_t offset = (uint32_t)((const uint8_t *)at - block->memory);
  const sim_place place = {block, at, 0, line};
  for (uint32_t i = 0; i < 2; i++) sim_touch(t, &block->cells[offset / 4 + i], 15, true, !init, &place);
}

static sim_mbarrier *find(sim_block *block, const void *at) {
  for (sim_mbarrier *b = block->mbarriers; b; b = b->next) {
    if (b->at == at) return b;
  }
  return NULL;
}

sim_mbarrier *sim_mbarrier_at(sim_thread *t, const void *at, uint32_t line) {
  sim_block *block = sim_shared_check(t, at, 8, 8, line);
  sim_mbarrier *b = find(block, at);
  if (!b) sim_fault(t, RT_SIM_mbarrier, line, sim_shared_name(block, at), 0, "this mbarrier is not initialised");
  touch(t, block, at, false, line);
  return b;
}

static void init(sim_thread *t, uint64_t *at, int64_t count, uint32_t line) {
  sim_block *block = sim_shared_check(t, at, 8, 8, line);
  if (count < 1 || count >= 1 << 20) {
    sim_fault(t, RT_SIM_argument, line, sim_shared_name(block, at), 0, "mbarrier of %lld arrivals", (long long)count);
  }
  touch(t, block, at, true, line);
  memset(block->bytes + ((uint8_t *)at - block->memory), BYTE_SET, 8);
  sim_mbarrier *b = find(block, at);
  if (b) sim_fault(t, RT_SIM_mbarrier, line, sim_shared_name(block, at), 0, "this mbarrier is initialised already");
  b = calloc(1, sizeof(*b));
  sim_far(t);  // takes the memory of all threads' clocks, so that none is needed where a phase completes
  uint32_t *clock = calloc(2 * (size_t)t->worker->group_threads, sizeof(uint32_t));
  if (!b || !clock) {
    free(b);
    free(clock);
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "no memory for an mbarrier");
  }
  *b = (sim_mbarrier){.next = block->mbarriers, .at = at, .count = (uint32_t)count, .pending = (uint32_t)count};
  b->block = block;
  b->clock = clock;
  block->mbarriers = b;
}

static void complete(sim_worker *w, sim_mbarrier *b) {
  const size_t count = (size_t)w->group_threads;
  if (b->pending || b->bytes) return;
  b->phase++;
  b->pending = b->count;
  memcpy(b->clock + count, b->clock, count * sizeof(uint32_t));
  for (size_t i = 0; i < count; i++) {
    sim_thread *o = &w->threads[i];
    if (o->state != SIM_AT_MBARRIER || o->mbarrier != b || (int)(b->phase & 1) == o->parity) continue;
    sim_clock_take(o, b->clock + count);
    sim_ready(o);
  }
}

void sim_mbarrier_bytes(sim_worker *worker, sim_mbarrier *b, int64_t bytes) {
  b->bytes -= bytes;
  complete(worker, b);
}

static void arrive(sim_thread *t, sim_mbarrier *b, uint32_t line) {
  if (!b->pending) {
    sim_fault(t, RT_SIM_mbarrier, line, sim_shared_name(b->block, b->at), 0,
              "arrival beyond the %u of this phase, which still waits for %lld bytes", b->count, (long long)b->bytes);
  }
  sim_clock_join(t, b->clock);
  sim_epoch_end(t);
  b->pending--;
  complete(t->worker, b);
}

static void wait_for(sim_thread *t, sim_mbarrier *b, int parity, uint32_t line) {
  if (b->loads) sim_tensor_deliver(b);
  if ((int)(b->phase & 1) != parity) {
    sim_clock_take(t, b->clock + t->worker->group_threads);
    return;
  }
  t->mbarrier = b;
  t->parity = parity;
  sim_wait(t, SIM_AT_MBARRIER, line);
}

void sim_mbarrier_operation(sim_thread *t, uint32_t operation, int64_t *args, uint32_t line) {
  uint8_t *at = (uint8_t *)(uintptr_t)args[0];
  if (operation == RT_SIM_MBARRIER_INIT) {
    init(t, (uint64_t *)(void *)at, args[1], line);
    return;
  }
  if (operation == RT_SIM_MBARRIER_ARRIVE && args[1] >= 0) {
    int64_t mapped[2] = {args[0], args[1]};
    sim_operation(&t->head, RT_SIM_MAP_SHARED, mapped, line);
    at = (uint8_t *)(uintptr_t)mapped[0];
  }
  sim_mbarrier *b = sim_mbarrier_at(t, at, line);
  if (operation == RT_SIM_MBARRIER_WAIT) {
    wait_for(t, b, (int)(args[1] & 1), line);
    return;
  }
  if (operation == RT_SIM_MBARRIER_EXPECT) {
    if (args[1] < 0 || args[1] >= 1 << 20) {
      sim_fault(t, RT_SIM_mbarrier, line, NULL, 0, "an mbarrier that expects %lld bytes", (long long)args[1]);
    }
    b->bytes += args[1];
  }
  arrive(t, b, line);
}

void sim_mbarriers_free(sim_block *block) {
  while (block->mbarriers) {
    sim_mbarrier *b = block->mbarriers;
    block->mbarriers = b->next;
    sim_loads_free(b->loads);
    free(b->clock);
    free(b);
  }
}
