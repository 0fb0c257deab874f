// Counters of memory traffic: bank conflicts and sectors of 32 bytes.
//
// Lanes run one after the other, so the accesses of one instruction are brought together again by their number since
// the warp's lanes last waited, and by line and width; at the warp's next stop they are counted. Shared memory has 32
// banks of four bytes; an access of 8 or 16 bytes a lane is done by halves or quarters of a warp. Beyond the least is
// what the same bytes would not need if they lay side by side.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

enum { LOG = 2048 };

void sim_count(sim_thread *t, const void *at, uint32_t bytes, bool shared, uint32_t line) {
  sim_worker *w = t->worker;
  if (!w->log) w->log = calloc(LOG, sizeof(sim_log));
  uint32_t n = t->logged++;
  if (!w->log || n >= LOG) return;
  while (w->log_count <= (int)n) w->log[w->log_count++].lanes = 0;
  sim_log *log = &w->log[n];
  if (log->lanes && (log->line != line || log->bytes != bytes || log->shared != shared)) return;
  log->line = line;
  log->bytes = (uint8_t)bytes;
  log->shared = shared;
  log->lanes |= 1u << t->head.thread % SIM_WARP;
  log->at[t->head.thread % SIM_WARP] = (uint64_t)(uintptr_t)at;
}

// Passes that the banks need for lanes |begin|..|end|: the most different words of one bank.
static int passes(const sim_log *log, int begin, int end) {
  int most = 0;
  int depth[32] = {0};
  uint64_t seen[SIM_WARP * 4];
  int count = 0;
  for (int lane = begin; lane < end; lane++) {
    if (!(log->lanes >> lane & 1)) continue;
    uint64_t first = log->at[lane] / 4, words = log->bytes < 4 ? 1 : log->bytes / 4;
    for (uint64_t word = first; word < first + words; word++) {
      bool known = false;
      for (int i = 0; i < count && !known; i++) known = seen[i] == word;
      if (known) continue;
      seen[count++] = word;
      if (++depth[word % 32] > most) most = depth[word % 32];
    }
  }
  return most;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static void count_sectors(rt_sim_report *to, const sim_log *log) {
  uint64_t list[SIM_WARP], all[SIM_WARP];
  int count = 0;
  for (int lane = 0; lane < SIM_WARP; lane++) {
    if (!(log->lanes >> lane & 1)) continue;
    all[count] = log->at[lane];
    list[count++] = log->at[lane] / 32;
  }
  qsort(list, (size_t)count, sizeof(*list), compare);
  qsort(all, (size_t)count, sizeof(*all), compare);
  uint64_t sectors = 0, different = 0;
  for (int i = 0; i < count; i++) {
    sectors += !i || list[i] != list[i - 1];
    different += !i || all[i] != all[i - 1];
  }
  uint64_t least = (different * log->bytes + 31) / 32;
  to->sectors += sectors;
  if (sectors > least) to->extra_sectors += sectors - least;
}

void sim_count_flush(sim_worker *w) {
  for (int i = 0; i < w->log_count; i++) {
    const sim_log *log = &w->log[i];
    if (!log->lanes) continue;
    if (!log->shared) {
      count_sectors(&w->counters, log);
      continue;
    }
    int part = log->bytes == 16 ? 8 : log->bytes == 8 ? 16 : 32;
    for (int begin = 0; begin < SIM_WARP; begin += part) {
      int n = passes(log, begin, begin + part);
      if (n > 1) w->counters.bank_conflicts += (uint64_t)(n - 1);
    }
  }
  w->log_count = 0;
}
