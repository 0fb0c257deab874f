// cp.async: copies whose bytes arrive when their thread waits for their group.
//
// The source is read when the copy is issued, the destination is written when it is waited for, and in between its
// bytes may be neither read nor written. After the wait they count as written by the waiting thread at that moment, so
// that others need a barrier.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

static sim_copy *copy_new(sim_thread *t, uint32_t line) {
  if (t->copy_count == t->copy_capacity) {
    int capacity = t->copy_capacity ? 2 * t->copy_capacity : 16;
    sim_copy *grown = realloc(t->copies, (size_t)capacity * sizeof(sim_copy));
    if (!grown) sim_fault(t, RT_SIM_argument, line, NULL, 0, "no memory for %d copies under way", capacity);
    t->copies = grown;
    t->copy_capacity = capacity;
  }
  return &t->copies[t->copy_count++];
}

static void touch_all(sim_thread *t, sim_block *block, const void *base, uint32_t at, uint32_t bytes, uint32_t line) {
  const sim_place place = {block, base, 0, line};
  for (uint32_t i = at / 4; i < (at + bytes) / 4; i++) sim_touch(t, &block->cells[i], 15, true, false, &place);
}

void sim_copy_async(rt_sim_head *self, void *shared, const void *global, uint32_t bytes, int32_t on, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  if (bytes != 4 && bytes != 8 && bytes != 16) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "an asynchronous copy of %u bytes", bytes);
  }
  if (!self->checked) {
    if (on) memcpy(shared, global, bytes);
    else memset(shared, 0, bytes);
    return;
  }
  if (on) sim_access(self, global, global, bytes, bytes * RT_SIM_ELEMENT, line);
  sim_access(self, shared, shared, bytes, RT_SIM_SHARED | RT_SIM_WRITE | bytes * RT_SIM_ELEMENT, line);
  sim_copy *copy = copy_new(t, line);
  sim_block *block = t->block;
  if (sim_shared_block(t, shared) != block) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "an asynchronous copy into another block's shared memory");
  }
  *copy = (sim_copy){.at = (uint32_t)((uint8_t *)shared - block->memory), .bytes = (uint8_t)bytes, .group = t->groups};
  copy->line = line;
  if (on) memcpy(copy->data, global, bytes);
  memset(block->bytes + copy->at, BYTE_COPY, bytes);
}

void sim_copy_commit(rt_sim_head *self) { sim_thread_of(self)->groups++; }

// Completes the copies of groups below |end|.
static void complete(sim_thread *t, uint32_t end, uint32_t line) {
  sim_block *block = t->block;
  int kept = 0;
  for (int i = 0; i < t->copy_count; i++) {
    sim_copy *copy = &t->copies[i];
    if (copy->group >= end) {
      t->copies[kept++] = *copy;
      continue;
    }
    memcpy(block->memory + copy->at, copy->data, copy->bytes);
    memset(block->bytes + copy->at, BYTE_SET, copy->bytes);
    touch_all(t, block, block->memory + copy->at, copy->at, copy->bytes, line);
  }
  t->copy_count = kept;
}

void sim_copy_wait(rt_sim_head *self, int32_t pending, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  if (pending < 0) sim_fault(t, RT_SIM_argument, line, NULL, 0, "a wait for %d groups", pending);
  uint32_t end = t->groups > (uint32_t)pending ? t->groups - (uint32_t)pending : 0;
  if (t->copy_count) complete(t, end, line);
}

void sim_copy_end(sim_thread *t) {
  // Copies that nobody waits for are waste, and must not write into the next block.
  if (t->copy_count) {
    sim_fault(t, RT_SIM_async_pending, t->copies[0].line, sim_shared_name(t->block, t->block->memory + t->copies[0].at),
              t->copies[0].at, "the thread ends, and nobody has waited for a copy of line %u", t->copies[0].line);
  }
}
