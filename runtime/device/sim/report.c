// Faults and counters: the first fault of a launch goes into its report, in one sentence.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

const char *rt_sim_check_name(rt_sim_check check) {
  static const char *const names[] = {
#define CHECK(name, meaning) #name,
      RT_SIM_CHECKS(CHECK)
#undef CHECK
  };
  return check >= 0 && check < RT_SIM_CHECK_COUNT ? names[check] : "?";
}

const char *rt_sim_check_meaning(rt_sim_check check) {
  static const char *const meanings[] = {
#define CHECK(name, meaning) meaning,
      RT_SIM_CHECKS(CHECK)
#undef CHECK
  };
  return check >= 0 && check < RT_SIM_CHECK_COUNT ? meanings[check] : "?";
}

static void fault_record(sim_thread *t, rt_sim_check check, uint32_t line, const char *buffer, int64_t index,
                         const char *fmt, va_list list) {
  sim_launch *launch = t->worker->launch;
  char what[640];
  vsnprintf(what, sizeof(what), fmt, list);
  t->worker->faulted = true;
  atomic_store(&launch->stop, true);
  pthread_mutex_lock(&launch->lock);
  if (!launch->faulted) {
    launch->faulted = true;
    rt_sim_report *r = launch->report;
    r->check = check;
    r->block = t->block->number;
    r->thread = (int)t->head.thread;
    r->index = index;
    r->line = (int)line;
    snprintf(r->kernel, sizeof(r->kernel), "%s", launch->entry->name);
    snprintf(r->buffer, sizeof(r->buffer), "%s", buffer ? buffer : "");
    char name[32];
    snprintf(name, sizeof(name), "%s", rt_sim_check_name(check));
    for (char *c = name; *c; c++) {
      if (*c == '_') *c = ' ';
    }
    snprintf(r->text, sizeof(r->text), "sim: %s in %s, block %lld, thread %d, line %d: %s", name, r->kernel,
             (long long)r->block, r->thread, r->line, what);
  }
  pthread_mutex_unlock(&launch->lock);
}

void sim_fault(sim_thread *t, rt_sim_check check, uint32_t line, const char *buffer, int64_t index, const char *fmt,
               ...) {
  va_list list;
  va_start(list, fmt);
  fault_record(t, check, line, buffer, index, fmt, list);
  va_end(list);
  t->state = SIM_DONE;
  rt_sim_suspend(&t->worker->fibers, t->stack);
  __builtin_unreachable();
}

void sim_fault_of(sim_thread *t, rt_sim_check check, uint32_t line, const char *buffer, int64_t index, const char *fmt,
                  ...) {
  va_list list;
  va_start(list, fmt);
  fault_record(t, check, line, buffer, index, fmt, list);
  va_end(list);
}

void sim_report_merge(sim_launch *launch, sim_worker *worker) {
  rt_sim_report *to = launch->report, *from = &worker->counters;
  to->blocks += from->blocks;
  to->barriers += from->barriers;
  to->warp_operations += from->warp_operations;
  to->accesses += from->accesses;
  to->bank_conflicts += from->bank_conflicts;
  to->sectors += from->sectors;
  to->extra_sectors += from->extra_sectors;
  if (from->shared_bytes > to->shared_bytes) to->shared_bytes = from->shared_bytes;
}
