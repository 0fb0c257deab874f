// Reading /sys: a few small files for each processor and node. Policies of memory go by system call, so that no library
// is needed; where they are refused, pages lie where the system puts them, which is right too.
#include "runtime/base/topology.h"

#include <limits.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 512, NODE_LIMIT = 256 };

// The first number in a small file, or |otherwise|. |out_second| (may be null) is the one after it.
static long file_number(const char *path, long otherwise, long *out_second) {
  FILE *file = fopen(path, "re");
  if (!file) return otherwise;
  long first = otherwise, second = 0;
  int found = fscanf(file, "%ld %ld", &first, &second);
  fclose(file);
  if (out_second && found == 2) *out_second = second;
  return found >= 1 ? first : otherwise;
}

// Sets the flags of "0-3,8,10-11"; false where there is no such file.
static bool file_list(const char *path, bool *flags, int limit) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  long first, last;
  while (fscanf(file, "%ld", &first) == 1) {
    int next = fgetc(file);
    last = first;
    if (next == '-') {
      if (fscanf(file, "%ld", &last) != 1) break;
      next = fgetc(file);
    }
    for (long i = first < 0 ? 0 : first; i <= last && i < limit; i++) flags[i] = true;
    if (next != ',') break;
  }
  fclose(file);
  return true;
}

static void own_processors(bool *allowed) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask)) CPU_SET(0, &mask);
  for (int i = 0; i < RT_CPU_LIMIT; i++) allowed[i] = CPU_ISSET(i, &mask);
}

static int cpu_compare(const void *left, const void *right) {
  const rt_cpu *a = left, *b = right;
  if (a->node != b->node) return a->node < b->node ? -1 : 1;
  if (a->core != b->core) return a->core < b->core ? -1 : 1;
  return (a->cpu > b->cpu) - (a->cpu < b->cpu);
}

static void nodes_read(const char *root, int *node_of) {
  char path[PATH_BYTES];
  bool online[NODE_LIMIT] = {0};
  snprintf(path, sizeof path, "%s/devices/system/node/online", root);
  (void)file_list(path, online, NODE_LIMIT);
  for (int node = 0; node < NODE_LIMIT; node++) {
    bool cpus[RT_CPU_LIMIT] = {0};
    if (!online[node]) continue;
    snprintf(path, sizeof path, "%s/devices/system/node/node%d/cpulist", root, node);
    (void)file_list(path, cpus, RT_CPU_LIMIT);
    for (int i = 0; i < RT_CPU_LIMIT; i++)
      if (cpus[i]) node_of[i] = node;
  }
}

void rt_topology_read(const char *root, const bool *allowed, rt_topology *out) {
  bool own[RT_CPU_LIMIT];
  int node_of[RT_CPU_LIMIT] = {0};
  *out = (rt_topology){0};
  if (!allowed) own_processors(own);
  nodes_read(root, node_of);
  for (int i = 0; i < RT_CPU_LIMIT; i++) {
    if (!(allowed ? allowed : own)[i]) continue;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, i);
    long core = file_number(path, i, NULL);  // siblings share the first of them
    if (core < 0 || core >= RT_CPU_LIMIT) core = i;
    out->cpus[out->cpu_count++] = (rt_cpu){i, (int)core, node_of[i]};
  }
  qsort(out->cpus, (size_t)out->cpu_count, sizeof *out->cpus, cpu_compare);
  for (int i = 0; i < out->cpu_count; i++) {
    out->core_count += !i || out->cpus[i].core != out->cpus[i - 1].core;
    out->node_count += !i || out->cpus[i].node != out->cpus[i - 1].node;
  }
}

int rt_topology_place(const rt_topology *t, int thread, int threads) {
  if (!t->node_count) return 0;
  int wanted = (int)((long)thread * t->node_count / threads);  // counted among the nodes that are ours
  int begin = 0, end, cores = 0;
  for (int nodes = 0; nodes < wanted; begin++) nodes += t->cpus[begin].node != t->cpus[begin + 1].node;
  for (end = begin; end < t->cpu_count && t->cpus[end].node == t->cpus[begin].node; end++)
    cores += end == begin || t->cpus[end].core != t->cpus[end - 1].core;
  // The first thread of the node is the first whose share of the nodes begins there.
  int first = (int)(((long)wanted * threads + t->node_count - 1) / t->node_count);
  int core = (thread - first) % cores;
  for (int i = begin; i < end; i++) {
    if (i > begin && t->cpus[i].core != t->cpus[i - 1].core) core--;
    if (!core) return i;
  }
  return begin;
}

// ---- quotas

int rt_cpu_quota(void) {
  char group[512] = "", path[640];
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (file) {
    char line[512];
    while (fgets(line, sizeof line, file)) {
      if (!strncmp(line, "0::", 3)) {
        line[strcspn(line, "\n")] = 0;
        memcpy(group, line + 3, strlen(line + 3) + 1);
      }
    }
    fclose(file);
  }
  long period = 0;
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
  long quota = file_number(path, 0, &period);
  if (!quota) quota = file_number("/sys/fs/cgroup/cpu.max", 0, &period);
  if (!quota) {
    quota = file_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", 0, NULL);
    period = file_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 0, NULL);
  }
  if (quota <= 0 || period <= 0) return INT_MAX;
  long processors = (quota + period - 1) / period;
  return processors < INT_MAX ? (int)processors : INT_MAX;
}

// ---- memory

enum { WORD_BITS = 8 * sizeof(unsigned long), MASK_WORDS = 1024 / WORD_BITS, MASK_BITS = MASK_WORDS * WORD_BITS };

typedef struct {
  int mode;
  unsigned long nodes[MASK_WORDS];
} policy;

static bool policy_get(policy *out) {
  *out = (policy){0};
  return !syscall(SYS_get_mempolicy, &out->mode, out->nodes, (unsigned long)MASK_BITS, NULL, 0UL);
}

// The kernel takes one bit less than it is told.
static bool policy_set(const policy *p) {
  return !syscall(SYS_set_mempolicy, p->mode, p->nodes, (unsigned long)MASK_BITS + 1);
}

void rt_memory_fetch(const rt_topology *topology, const void *data, size_t bytes) {
  policy before, spread = {.mode = MPOL_INTERLEAVE};
  bool changed = false;
  if (!bytes) return;
  for (int i = 0; i < topology->cpu_count; i++) {
    int node = topology->cpus[i].node;
    spread.nodes[node / WORD_BITS] |= 1UL << node % WORD_BITS;
  }
  if (topology->node_count > 1) changed = policy_get(&before) && policy_set(&spread);
  // Whole pages; the kernel reads them ahead in this thread's name, whose policy says where they go.
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data / page * page;
  (void)madvise((void *)begin, (uintptr_t)data + bytes - begin, MADV_WILLNEED);
  if (changed) (void)policy_set(&before);
}
