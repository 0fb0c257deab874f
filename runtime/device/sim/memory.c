// Global memory: bounds, alignment, and who touched what.
//
// A buffer is known by its base pointer: a stated extent of the kernel, else the allocation around it. Lookups are kept
// in a small table of the worker. Buffers that no argument of the launch writes have no cells to look at; accesses
// of the others are compared with the last two writes and reads of each word (see internal.h, order.c).
#include <stdio.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

void sim_slots_clear(sim_worker *worker) { memset(worker->slots, 0, sizeof(worker->slots)); }

void sim_extent_state(rt_sim_head *self, const void *at, int64_t bytes, const char *name, int32_t written) {
  sim_thread *t = sim_thread_of(self);
  sim_worker *w = t->worker;
  uintptr_t low = (uintptr_t)at, high;
  if (bytes < 0 || __builtin_add_overflow(low, (uintptr_t)bytes, &high)) {
    sim_fault(t, RT_SIM_bounds, 0, name, 0, "extent of %s: %lld bytes", name, (long long)bytes);
  }
  sim_extent *e = NULL;
  for (int i = 0; i < w->extent_count && !e; i++) {
    if (w->extents[i].at == low) e = &w->extents[i];
  }
  if (!e) {
    if (w->extent_count == SIM_MAX_EXTENTS) sim_fault(t, RT_SIM_argument, 0, name, 0, "too many extents");
    e = &w->extents[w->extent_count++];
    *e = (sim_extent){.at = low, .high = high};
    snprintf(e->name, sizeof(e->name), "%s", name);
  }
  if (high > e->high) e->high = high;
  if (written) e->written = true;
  if (w->sim->required || low == high) return;
  weir_status status = sim_region_add(w->sim, low, high, true);
  if (status) {
    weir_status_release(status);
    sim_fault(t, RT_SIM_argument, 0, name, 0, "no memory for the shadow of %s", name);
  }
}

const char *sim_buffer_name(sim_worker *worker, const void *base) {
  uintptr_t at = (uintptr_t)base;
  for (int i = 0; i < worker->extent_count; i++) {
    if (worker->extents[i].at == at) return worker->extents[i].name;
  }
  for (int i = 0; i < worker->extent_count; i++) {
    if (worker->extents[i].at <= at && at < worker->extents[i].high) return worker->extents[i].name;
  }
  return "";
}

// The bytes around |base| that it may be used for.
static bool slot_fill(sim_thread *t, const void *base, sim_slot *slot) {
  sim_worker *w = t->worker;
  uintptr_t at = (uintptr_t)base;
  const sim_extent *e = NULL, own = {(uintptr_t)t->head.scratch,
                                     (uintptr_t)t->head.scratch + (uintptr_t)t->head.scratch_bytes, true, "scratch"};
  for (int i = 0; i < w->extent_count; i++) {
    const sim_extent *o = &w->extents[i];
    if (o->at == at) {
      e = o;
      break;
    }
    if (o->at <= at && at < o->high) e = o;
  }
  sim_region region;
  bool found = sim_region_find(w->sim, at, &region);
  if (own.at && own.at <= at && at < own.high) {
    e = &own;
    if (!found && !w->sim->required) {
      weir_status_release(sim_region_add(w->sim, own.at, own.high, true));
      found = sim_region_find(w->sim, at, &region);
    }
  }
  if (!e && !found) return false;
  if (e && !found && (w->sim->required || e->at == e->high)) {
    *slot = (sim_slot){.base = base, .low = at};  // nothing may be touched
    return true;
  }
  *slot = (sim_slot){.base = base, .written = true};
  slot->low = e ? e->at : region.low;
  uintptr_t high = e ? e->high : region.high;
  // A stated extent beyond the allocation it lies in is cut off, so that the access is found.
  if (e && found && !region.temporary) {
    if (high > region.high) high = region.high;
    if (slot->low < region.low) slot->low = region.low;
  }
  slot->bytes = high - slot->low;
  bool checked = !e || e->written;
  for (int i = 0; e && i < w->extent_count && !checked; i++) {
    checked = w->extents[i].written && w->extents[i].at < high && slot->low < w->extents[i].high;
  }
  slot->written = !e || e->written;
  // Temporary ranges are split where they overlap; cells are used where one region holds all of the buffer.
  if (checked && found && w->launch->track_groups && region.cells && region.low <= slot->low && high <= region.high) {
    slot->cells = region.cells;
    slot->cells_low = region.low & ~(uintptr_t)3;
  }
  return true;
}

const sim_slot *sim_slot_of(sim_thread *t, const void *base, uint32_t line) {
  sim_worker *w = t->worker;
  uintptr_t at = (uintptr_t)base;
  sim_slot *slot = &w->slots[(at >> 4 ^ at >> 11 ^ at >> 19) % SIM_SLOTS];
  if (slot->base == base && base) return slot;
  if (!base) sim_fault(t, RT_SIM_bounds, line, sim_buffer_name(w, base), 0, "access through a null pointer");
  if (!slot_fill(t, base, slot)) {
    slot->base = NULL;
    sim_fault(t, RT_SIM_bounds, line, NULL, 0, "%p lies in no argument and in no allocation", base);
  }
  return slot;
}

_Noreturn static void race(sim_thread *t, sim_stamp other, bool other_writes, bool write, const sim_place *place) {
  const sim_worker *w = t->worker;
  const int count = t->block->count;
  int64_t group = (int64_t)(other >> STAMP_GROUP & (SIM_GROUPS - 1));
  int id = (int)(other >> STAMP_THREAD & (SIM_GROUP_THREADS - 1));
  int64_t block = group * w->launch->cluster + id / count;
  const char *buffer =
      place->shared ? sim_shared_name(place->shared, place->base) : sim_buffer_name(t->worker, place->base);
  const char *had = !(other & 15) ? "changed atomically" : other_writes ? "written" : "read";
  sim_fault(t, RT_SIM_race, place->line, buffer, place->index,
            "%s %s[%lld], which thread %d of block %lld has %s with nothing between to order them",
            write ? "writes" : "reads", buffer, (long long)place->index, id % count, (long long)block, had);
}

// Whether |earlier| conflicts with an access to the bytes of |mask|.
static inline bool conflicts(const sim_thread *t, sim_stamp earlier, unsigned mask, bool atomic, bool shared) {
  if (!earlier) return false;
  if (shared && (earlier ^ t->worker->prefix) >> STAMP_GROUP) return false;  // of a block that is no more
  unsigned other = earlier & 15;
  if (other ? !(other & mask) : atomic) return false;
  return !sim_ordered(t, earlier);
}

void sim_touch(sim_thread *t, sim_cell *cell, unsigned mask, bool write, bool atomic, const sim_place *place) {
  const sim_stamp stamp =
      t->worker->prefix | (sim_stamp)t->id << STAMP_THREAD | (sim_stamp)t->epoch << STAMP_EPOCH | (atomic ? 0 : mask);
  _Atomic sim_stamp *list = write ? cell->writes : cell->reads;
  sim_stamp first = atomic_load_explicit(&list[0], memory_order_relaxed);
  if (first == stamp && !write) return;  // checked before
  for (int i = 0; i < 2; i++) {
    sim_stamp w = atomic_load_explicit(&cell->writes[i], memory_order_relaxed);
    if (conflicts(t, w, mask, atomic, place->shared)) race(t, w, true, write, place);
  }
  for (int i = 0; write && i < 2; i++) {
    sim_stamp r = atomic_load_explicit(&cell->reads[i], memory_order_relaxed);
    if (conflicts(t, r, mask, atomic, place->shared)) race(t, r, false, true, place);
  }
  if ((first ^ stamp) <= 15 && (first & 15) && (stamp & 15)) {
    atomic_store_explicit(&list[0], first | stamp, memory_order_relaxed);
    return;
  }
  // What happened before this access and touched no other byte is known to all that this access is known to.
  if (first && !(!(first & 15 & ~mask) && sim_ordered(t, first))) {
    atomic_store_explicit(&list[1], first, memory_order_relaxed);
  }
  atomic_store_explicit(&list[0], stamp, memory_order_relaxed);
}

void sim_touch_async(sim_thread *t, sim_cell *cell, bool write, const sim_place *place) {
  const sim_worker *w = t->worker;
  for (int i = 0; i < 2; i++) {
    sim_stamp before = atomic_load_explicit(&cell->writes[i], memory_order_relaxed);
    if (conflicts(t, before, 15, false, place->shared)) race(t, before, true, write, place);
    if (write || !before || before & STAMP_TENSOR || (before ^ w->prefix) >> STAMP_GROUP) continue;
    const sim_thread *writer = &w->threads[before >> STAMP_THREAD & (SIM_GROUP_THREADS - 1)];
    if (writer->proxy < (before >> STAMP_EPOCH & SIM_EPOCH_LAST)) {
      const char *name = sim_shared_name(place->shared, place->base);
      sim_fault(t, RT_SIM_matrix_operands, place->line, name, place->index,
                "%s at byte %lld was written by thread %u, which has done no proxy fence since", name,
                (long long)place->index, writer->head.thread);
    }
  }
  for (int i = 0; write && i < 2; i++) {
    sim_stamp before = atomic_load_explicit(&cell->reads[i], memory_order_relaxed);
    if (conflicts(t, before, 15, false, place->shared)) race(t, before, false, true, place);
  }
}

void sim_stamp_async(const sim_thread *t, sim_cell *cell) {
  sim_stamp stamp =
      t->worker->prefix | STAMP_TENSOR | (sim_stamp)t->id << STAMP_THREAD | (sim_stamp)t->epoch << STAMP_EPOCH | 15;
  atomic_store_explicit(&cell->writes[0], stamp, memory_order_relaxed);
  atomic_store_explicit(&cell->writes[1], 0, memory_order_relaxed);
  atomic_store_explicit(&cell->reads[0], 0, memory_order_relaxed);
  atomic_store_explicit(&cell->reads[1], 0, memory_order_relaxed);
}

// ---- before the thread has waited for earlier launches

// Whether a launch that may still run has written the word.
static bool is_recent(const sim_thread *t, const sim_cell *cell) {
  const sim_launch *launch = t->worker->launch;
  for (int i = 0; i < 2; i++) {
    sim_stamp w = atomic_load_explicit(&cell->writes[i], memory_order_relaxed);
    if (w && w >> STAMP_LAUNCH >= launch->open && w >> STAMP_LAUNCH != launch->stamp >> STAMP_LAUNCH) return true;
  }
  return false;
}

static void early_access(sim_thread *t, const sim_slot *slot, const void *base, uintptr_t at, uint32_t bytes,
                         bool write, int64_t index, uint32_t line) {
  sim_worker *w = t->worker;
  const char *name = sim_buffer_name(w, base);
  sim_region region;
  if (write) {
    sim_fault(t, RT_SIM_early, line, name, index, "writes %s[%lld] before it waits for the launches before", name,
              (long long)index);
  }
  if (!sim_region_find(w->sim, slot->low, &region) || !region.cells || at + bytes > region.high) return;
  const sim_cell *cell = region.cells + (at - (region.low & ~(uintptr_t)3)) / 4;
  for (uint32_t i = 0; i < bytes; i += 4, cell++) {
    if (!is_recent(t, cell)) continue;
    sim_fault(t, RT_SIM_early, line, name, index,
              "reads %s[%lld], which a launch before has written, before it waits for it", name, (long long)index);
  }
}

void sim_early_end(sim_thread *t) {
  if (!t->waited) sim_fault(t, RT_SIM_early, 0, NULL, 0, "a thread ends and has not waited for the launches before");
}

static void global_access(sim_thread *t, const void *base, const void *at, uint32_t bytes, uint32_t flags,
                          uint32_t line) {
  sim_worker *w = t->worker;
  const sim_slot *slot = sim_slot_of(t, base, line);
  const uintptr_t a = (uintptr_t)at, offset = a - slot->low;
  const int64_t element = flags / RT_SIM_ELEMENT ? flags / RT_SIM_ELEMENT : 1;
  const bool write = flags & RT_SIM_WRITE;
  const int64_t index = ((int64_t)a - (int64_t)(uintptr_t)base) / element;
  if (offset > slot->bytes || slot->bytes - offset < bytes) {
    sim_fault(t, RT_SIM_bounds, line, sim_buffer_name(w, base), index, "%s %s[%lld], %u bytes at %lld of %llu",
              write ? "writes" : "reads", sim_buffer_name(w, base), (long long)index, bytes,
              (long long)((int64_t)a - (int64_t)slot->low), (unsigned long long)slot->bytes);
  }
  if (a & (bytes - 1)) {
    sim_fault(t, RT_SIM_misaligned, line, sim_buffer_name(w, base), index,
              "%s[%lld], %u bytes at an address of %u mod %u", sim_buffer_name(w, base), (long long)index, bytes,
              (unsigned)(a & (bytes - 1)), bytes);
  }
  if (write && !slot->written) {
    sim_fault(t, RT_SIM_read_only, line, sim_buffer_name(w, base), index, "writes %s[%lld], which is only read",
              sim_buffer_name(w, base), (long long)index);
  }
  if (w->launch->options->count) sim_count(t, at, bytes, false, line);
  if (!t->waited) early_access(t, slot, base, a, bytes, write, index, line);
  if (!slot->cells) return;
  sim_cell *cell = slot->cells + (a - slot->cells_low) / 4;
  const bool atomic = flags & RT_SIM_ATOMIC;
  const sim_place place = {NULL, base, index, line};
  if (bytes < 4) {
    sim_touch(t, cell, ((1u << bytes) - 1) << (a & 3), write, atomic, &place);
    return;
  }
  for (uint32_t i = 0; i < bytes; i += 4, cell++) sim_touch(t, cell, 15, write, atomic, &place);
}

void sim_access(rt_sim_head *self, const void *base, const void *at, uint32_t bytes, uint32_t flags, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  sim_worker *w = t->worker;
  w->counters.accesses++;
  if (!w->steps--) sim_fault(t, RT_SIM_steps, line, NULL, 0, "the block has used up its steps");
  if (flags & RT_SIM_SHARED) sim_shared_access(t, base, at, bytes, flags, line);
  else global_access(t, base, at, bytes, flags, line);
}

void sim_index(rt_sim_head *self, int64_t index, int64_t count, uint32_t line) {
  if (index >= 0 && index < count) return;
  sim_fault(sim_thread_of(self), RT_SIM_local_index, line, NULL, index, "element %lld of an array of %lld",
            (long long)index, (long long)count);
}
