// Shared memory: buffers, bounds, bytes that nobody has written, bytes that a copy is still to write.
//
// A block's threads all declare the same buffers in the same order, each with a position of its own that moves along;
// buffers begin at multiples of 1024 bytes, so that one next to another never hides an index that is too large by a
// little. Memory holds 0xff where nothing was written.
#include <stdio.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

static uint32_t up(int64_t bytes) { return (uint32_t)((bytes + 1023) / 1024 * 1024); }

static void shared_add(sim_thread *t, uint32_t low, int64_t bytes, const char *name) {
  sim_block *block = t->block;
  for (int i = 0; i < block->shared_count; i++) {
    if (block->shared[i].low == low) {
      if (block->shared[i].high - low != bytes) {
        sim_fault(t, RT_SIM_argument, 0, name, 0, "threads declare shared %s in different orders", name);
      }
      return;
    }
  }
  if (block->shared_count == SIM_MAX_SHARED) sim_fault(t, RT_SIM_argument, 0, name, 0, "too many shared buffers");
  sim_shared *s = &block->shared[block->shared_count++];
  *s = (sim_shared){.low = low, .high = low + (uint32_t)bytes};
  snprintf(s->name, sizeof(s->name), "%s", name);
  memset(block->owner + low / 16, block->shared_count, ((size_t)bytes + 15) / 16);
}

void *sim_shared_state(rt_sim_head *self, int64_t bytes, const char *name, int32_t dynamic) {
  sim_thread *t = sim_thread_of(self);
  sim_block *block = t->block;
  const int64_t dynamic_bytes = (int64_t)t->worker->launch->options->dynamic_bytes;
  if (dynamic) {
    const int64_t low = dynamic - 1;
    if (bytes < 0 || low < 0 || low % 16 || low + bytes > dynamic_bytes) {
      sim_fault(t, RT_SIM_argument, 0, name, 0, "shared %s of %lld bytes at %lld, the launch gives %lld", name,
                (long long)bytes, (long long)low, (long long)dynamic_bytes);
    }
    if (bytes) shared_add(t, (uint32_t)low, bytes, name);
    return block->memory + low;
  }
  uint32_t low = self->shared_at ? self->shared_at : up(dynamic_bytes);
  if (bytes < 0 || bytes > RT_SIM_SHARED_BYTES || low + up(bytes) > (RT_SIM_SHARED_BYTES + 1023) / 1024 * 1024) {
    sim_fault(t, RT_SIM_argument, 0, name, 0, "shared %s of %lld bytes is too large behind %u others", name,
              (long long)bytes, low);
  }
  if (bytes) shared_add(t, low, bytes, name);
  self->shared_at = low + up(bytes);
  if (self->shared_at > block->shared_high) block->shared_high = self->shared_at;
  if (block->shared_high > block->used_high) block->used_high = block->shared_high;
  return block->memory + low;
}

sim_block *sim_shared_block(sim_thread *t, const void *at) {
  sim_worker *w = t->worker;
  if ((uintptr_t)at - (uintptr_t)t->block->memory < RT_SIM_SHARED_BYTES) return t->block;
  for (int i = 0; i < w->launch->cluster; i++) {
    if ((uintptr_t)at - (uintptr_t)w->blocks[i].memory < RT_SIM_SHARED_BYTES) return &w->blocks[i];
  }
  return NULL;
}

const char *sim_shared_name(const sim_block *block, const void *at) {
  uintptr_t offset = (uintptr_t)at - (uintptr_t)block->memory;
  int owner = offset < RT_SIM_SHARED_BYTES ? block->owner[offset / 16] : 0;
  return owner ? block->shared[owner - 1].name : "";
}

sim_block *sim_shared_check(sim_thread *t, const void *at, uint64_t bytes, uint32_t align, uint32_t line) {
  sim_block *block = sim_shared_block(t, at);
  if (!block) sim_fault(t, RT_SIM_bounds, line, NULL, 0, "%p is no shared memory", at);
  uint32_t offset = (uint32_t)((uintptr_t)at - (uintptr_t)block->memory);
  int owner = block->owner[offset / 16];
  const char *name = sim_shared_name(block, at);
  if (!owner || offset >= block->shared[owner - 1].high || block->shared[owner - 1].high - offset < bytes) {
    sim_fault(t, RT_SIM_bounds, line, name, offset, "%llu bytes at byte %u of shared memory lie in no one buffer",
              (unsigned long long)bytes, offset);
  }
  if (offset % align) {
    sim_fault(t, RT_SIM_misaligned, line, name, offset,
              "byte %u of shared memory for an operation that takes multiples of %u", offset, align);
  }
  return block;
}

// Slow path: some byte is not plainly set.
static void bytes_check(sim_thread *t, sim_block *block, uint32_t offset, uint32_t bytes, bool write,
                        const sim_place *place) {
  const char *name = sim_shared_name(block, place->base);
  for (uint32_t i = 0; i < bytes; i++) {
    const uint8_t state = block->bytes[offset + i];
    if (state == BYTE_NEW && !write) {
      sim_fault(t, RT_SIM_uninitialised, place->line, name, place->index, "reads %s[%lld], which nobody has written",
                name, (long long)place->index);
    }
    if (state == BYTE_COPY || state == BYTE_TENSOR) {
      sim_fault(t, RT_SIM_async_pending, place->line, name, place->index,
                "%s %s[%lld], which an asynchronous copy is still to write", write ? "writes" : "reads", name,
                (long long)place->index);
    }
    if (state >= BYTE_READ && write) {
      sim_fault(t, RT_SIM_async_pending, place->line, name, place->index,
                "writes %s[%lld], which an operation under way still reads", name, (long long)place->index);
    }
  }
}

void sim_shared_access(sim_thread *t, const void *base, const void *at, uint32_t bytes, uint32_t flags, uint32_t line) {
  sim_block *block = sim_shared_block(t, base);
  const int64_t element = flags / RT_SIM_ELEMENT ? flags / RT_SIM_ELEMENT : 1;
  const int64_t index = ((int64_t)(uintptr_t)at - (int64_t)(uintptr_t)base) / element;
  const bool write = flags & RT_SIM_WRITE;
  if (!block) sim_fault(t, RT_SIM_bounds, line, NULL, index, "%p is no shared memory", base);
  const uintptr_t from = (uintptr_t)base - (uintptr_t)block->memory, offset = (uintptr_t)at - (uintptr_t)block->memory;
  const int owner = block->owner[from / 16];
  const sim_shared *s = owner ? &block->shared[owner - 1] : NULL;
  if (!s || offset < s->low || offset >= s->high || s->high - offset < bytes) {
    const char *name = sim_shared_name(block, base);
    sim_fault(t, RT_SIM_bounds, line, name, index, "%s shared %s[%lld], %u bytes at %lld of %u",
              write ? "writes" : "reads", name, (long long)index, bytes, (long long)offset - (s ? s->low : 0),
              s ? s->high - s->low : 0);
  }
  if (offset & (bytes - 1)) {
    sim_fault(t, RT_SIM_misaligned, line, s->name, index, "%s[%lld], %u bytes at byte %u of shared memory", s->name,
              (long long)index, bytes, (unsigned)offset);
  }
  const sim_place place = {block, base, index, line};
  uint8_t *state = block->bytes + offset;
  for (uint32_t i = 0; i < bytes; i++) {
    if (state[i] == BYTE_SET) continue;
    bytes_check(t, block, (uint32_t)offset, bytes, write, &place);
    break;
  }
  if (write) memset(state, BYTE_SET, bytes);
  if (t->worker->launch->options->count) sim_count(t, at, bytes, true, line);
  sim_cell *cell = block->cells + offset / 4;
  const bool atomic = flags & RT_SIM_ATOMIC;
  if (bytes < 4) {
    sim_touch(t, cell, ((1u << bytes) - 1) << (offset & 3), write, atomic, &place);
    return;
  }
  for (uint32_t i = 0; i < bytes; i += 4, cell++) sim_touch(t, cell, 15, write, atomic, &place);
}

void sim_shared_fresh(rt_sim_head *self, const void *at, int64_t bytes, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  if (bytes <= 0) return;
  sim_block *block = sim_shared_check(t, at, (uint64_t)bytes, 1, line);
  memset(block->bytes + ((uintptr_t)at - (uintptr_t)block->memory), BYTE_NEW, (size_t)bytes);
}
