// Atomic operations and device-wide fences, and the order between blocks that comes of them.
//
// A block that did a fence and then an atomic operation has published what it did before; a block whose atomic
// operation meets the same word later knows it. That is all that "the last block sums up" needs. What a block does
// after it has published is taken for known, too: such a race is not seen.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

typedef struct sim_release {
  struct sim_release *next;
  uintptr_t at;
  uint8_t groups[];  // a bit each
} sim_release;

static sim_release *release_of(sim_worker *w, uintptr_t at) {
  rt_sim *sim = w->sim;
  for (sim_release *r = sim->releases; r; r = r->next) {
    if (r->at == at) return r;
  }
  if (sim->release_count >= 4096) return NULL;
  sim_release *r = calloc(1, sizeof(*r) + (size_t)(w->launch->groups + 7) / 8);
  if (!r) return NULL;
  r->at = at;
  r->next = sim->releases;
  sim->releases = r;
  sim->release_count++;
  return r;
}

// With the lock held.
static void publish(sim_thread *t, uintptr_t at) {
  sim_worker *w = t->worker;
  const size_t bytes = (size_t)(w->launch->groups + 7) / 8;
  sim_release *r = release_of(w, at);
  if (!w->acquired) w->acquired = calloc(1, bytes);
  if (!r || !w->acquired) return;
  for (size_t i = 0; i < bytes; i++) w->acquired[i] |= r->groups[i];
  if (!t->fenced) return;
  for (size_t i = 0; i < bytes; i++) r->groups[i] |= w->acquired[i];
  r->groups[w->group / 8] |= (uint8_t)(1 << w->group % 8);
}

static uint32_t combined(uint32_t old, uint32_t value, uint32_t kind) {
  const bool is_signed = kind & RT_SIM_ATOMIC_SIGNED;
  const bool less = is_signed ? (int32_t)value < (int32_t)old : value < old;
  switch (kind & 3) {
    case RT_SIM_ATOMIC_MIN:
      return less ? value : old;
    case RT_SIM_ATOMIC_MAX:
      return less ? old : value;
    default:
      return old + value;
  }
}

uint32_t sim_atomic(rt_sim_head *self, const void *base, uint32_t *at, uint32_t value, uint32_t kind, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  rt_sim *sim = t->worker->sim;
  const bool shared = kind & RT_SIM_ATOMIC_SHARED;
  const uint32_t flags = RT_SIM_WRITE | RT_SIM_ATOMIC | 4 * RT_SIM_ELEMENT | (shared ? RT_SIM_SHARED : 0);
  if (self->checked) {
    if (shared) sim_access(self, base, at, 4, 4 * RT_SIM_ELEMENT | RT_SIM_SHARED | RT_SIM_ATOMIC, line);
    sim_access(self, base, at, 4, flags, line);
  }
  if (shared) {
    uint32_t old = *at;
    *at = combined(old, value, kind);
    return old;
  }
  pthread_mutex_lock(&sim->memory_lock);
  uint32_t old = *at;
  *at = combined(old, value, kind);
  if (self->checked && t->worker->launch->track_groups) publish(t, (uintptr_t)at);
  pthread_mutex_unlock(&sim->memory_lock);
  return old;
}

void sim_fence(rt_sim_head *self) { sim_thread_of(self)->fenced = true; }

void sim_atomic_end_launch(rt_sim *sim) {
  while (sim->releases) {
    sim_release *r = sim->releases;
    sim->releases = r->next;
    free(r);
  }
  sim->release_count = 0;
}
