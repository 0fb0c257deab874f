// Processors, cores and nodes of memory that this process may use, as /sys and the affinity mask say, and which
// of them the threads of a team get.
//
// A folder that has the shape of /sys stands for it in tests. What a file does not say is taken to be simple: a
// processor is a core of its own, all memory is one node.
#ifndef WEIR_RUNTIME_BASE_TOPOLOGY_H
#define WEIR_RUNTIME_BASE_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_CPU_LIMIT = 1024 };  // processors with larger numbers are left unused

typedef struct {
  int cpu;
  int core;  // the lowest processor of its core
  int node;
} rt_cpu;

typedef struct {
  int cpu_count, core_count, node_count;  // node_count: nodes that have processors of ours
  rt_cpu cpus[RT_CPU_LIMIT];              // node by node, core by core
} rt_topology;

// |root|: "/sys". |allowed|: which processors count, RT_CPU_LIMIT flags; null: the affinity mask of the process.
void rt_topology_read(const char *root, const bool *allowed, rt_topology *out);
// The core of thread |thread| of |threads|, as index of its first processor in |cpus|: an even number of threads to
// each node, neighbours beside each other; more threads than cores share them.
int rt_topology_place(const rt_topology *topology, int thread, int threads);

// Processors' worth of time that the control group grants; INT_MAX if unlimited.
int rt_cpu_quota(void);

// Asks for the pages of a mapped file ahead of their use. Those that are not in memory yet are laid on all nodes of
// |topology| in turns, so that threads of every node read at the rate of all; pages that are in memory already stay
// where they are. The memory policy of the calling thread is as before afterwards.
void rt_memory_fetch(const rt_topology *topology, const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
