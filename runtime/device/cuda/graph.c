// A call as one graph. A graph is made for one list of launches, node by node: those between two syncs depend on all of
// the part before, those that share scratch memory on each other. From call to call only nodes whose parameters or grid
// changed are set anew. Which launches run follows from guards and grids over the call's sizes, so the lists of an
// entry are few; the one that was used longest ago makes room for a new one.
#include <stdio.h>
#include <string.h>

#include "runtime/device/cuda/device_internal.h"

struct rt_cuda_graph {
  int64_t used;  // call of its last use
  int count;
  int *launches;  // of each node
  void **nodes;
  unsigned *grids;
  uint8_t *params;  // as the nodes have them, where the entry's are
  void *graph, *exec;
  int capacity;  // launches of the entry
  bool overlaps;
  int64_t bytes;
};

static rt_cuda_entry *entry_of(rt_cuda_queue *q, const rt_bound *bound) {
  return &q->entries[bound->entry - q->model->entries];
}

// ---- memory: one block

static size_t graph_bytes(int capacity, int64_t params) {
  return ((sizeof(rt_cuda_graph) + (size_t)capacity * (sizeof(void *) + 2 * sizeof(int)) + 63) & ~(size_t)63) +
         (size_t)params;
}

static weir_status graph_alloc(rt_cuda_queue *q, int capacity, int64_t params, rt_cuda_graph **out) {
  uint8_t *memory;
  size_t bytes = graph_bytes(capacity, params);
  WEIR_TRY(weir_alloc(q->base.device->allocator, bytes, 64, true, &memory));
  rt_cuda_graph *g = (rt_cuda_graph *)memory;
  g->nodes = (void **)(memory + sizeof *g);
  g->launches = (int *)(g->nodes + capacity);
  g->grids = (unsigned *)(g->launches + capacity);
  g->params = memory + bytes - params;
  g->capacity = capacity;
  g->bytes = params;
  *out = g;
  return WEIR_OK;
}

void rt_cuda_graph_free(rt_cuda_queue *q, rt_cuda_graph *g, bool entered) {
  const rt_cuda_driver *driver = &rt_cuda_device_of(&q->base)->driver;
  if (!g) return;
  if (entered && g->exec) (void)driver->graph_free(g->exec);
  if (entered && g->graph) (void)driver->graph_destroy(g->graph);
  weir_free(q->base.device->allocator, g, graph_bytes(g->capacity, g->bytes));
}

// ---- making

static rt_cuda_node node_of(const rt_cuda_shot *shot, void **parameters) {
  return (rt_cuda_node){.function = shot->kernel->function,
                        .grid = {shot->grid, 1, 1},
                        .block = {(unsigned)shot->kernel->threads, 1, 1},
                        .dynamic_bytes = (unsigned)shot->kernel->dynamic_bytes,
                        .parameters = parameters};
}

static int cluster_set(const rt_cuda_driver *driver, void *node, int cluster) {
  rt_cuda_attribute attribute = {0};
  if (cluster <= 1) return RT_CUDA_OK;
  if (!driver->graph_attribute) return RT_CUDA_NOT_FOUND;
  attribute.value.cluster[0] = (unsigned)cluster;
  attribute.value.cluster[1] = attribute.value.cluster[2] = 1;
  return driver->graph_attribute(node, RT_CUDA_LAUNCH_CLUSTER, &attribute.value);
}

// |first|..|end| are the nodes that node |g->count| comes after. A kernel that waits by itself may begin before the one
// has ended; behind several it waits for all, as streams do.
static int node_add(rt_cuda_queue *q, rt_cuda_graph *g, const rt_cuda_shot *shot, int first, int end) {
  const rt_cuda_driver *driver = &rt_cuda_device_of(&q->base)->driver;
  rt_cuda_node node = node_of(shot, (void *[]){shot->params});
  void **out = &g->nodes[g->count];
  bool overlaps = shot->kernel->waits && g->overlaps && end - first == 1;
  int code =
      driver->graph_add(out, g->graph, overlaps ? NULL : g->nodes + first, overlaps ? 0 : (size_t)(end - first), &node);
  const rt_cuda_edge edge = {.from_port = RT_CUDA_PORT_OVERLAP, .type = RT_CUDA_EDGE_OVERLAP};
  for (int i = first; !code && overlaps && i < end; i++)
    code = driver->graph_edges(g->graph, &g->nodes[i], out, &edge, 1);
  return code ? code : cluster_set(driver, *out, shot->kernel->cluster);
}

static weir_status graph_fill(rt_cuda_queue *q, const rt_bound *bound, rt_cuda_graph *g) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  const rt_cuda_entry *e = entry_of(q, bound);
  WEIR_TRY(rt_cuda_check(d, d->driver.graph_create(&g->graph, 0), "graph"));
  int before = 0, first = 0;  // nodes of the part before are |before|..|first|
  bool scratch = false;       // one of this part uses it
  for (int i = 0; i < bound->record_count; i++) {
    const rt_record *record = &bound->records[i];
    const rt_cuda_kernel *k = record->kernel.context;
    rt_cuda_shot shot;
    if (record->sync || (scratch && k->scratch_bytes)) {
      before = first;
      first = i;
      scratch = false;
    }
    scratch |= k->scratch_bytes > 0;
    WEIR_TRY(rt_cuda_shot_make(q, bound, record, &shot));
    WEIR_TRY(rt_cuda_check(d, node_add(q, g, &shot, before, first), "graph"));
    g->launches[i] = record->launch;
    g->grids[i] = shot.grid;
    memcpy(g->params + e->at[record->launch], shot.params, (size_t)shot.bytes);
    g->count++;
  }
  return rt_cuda_check(d, d->driver.graph_make(&g->exec, g->graph, 0), "graph");
}

// ---- using

static bool graph_fits(const rt_cuda_graph *g, const rt_bound *bound) {
  if (!g || g->count != bound->record_count) return false;
  for (int i = 0; i < g->count; i++)
    if (g->launches[i] != bound->records[i].launch) return false;
  return true;
}

static weir_status graph_patch(rt_cuda_queue *q, const rt_bound *bound, rt_cuda_graph *g) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  const rt_cuda_entry *e = entry_of(q, bound);
  for (int i = 0; i < g->count; i++) {
    rt_cuda_shot shot;
    WEIR_TRY(rt_cuda_shot_make(q, bound, &bound->records[i], &shot));
    uint8_t *have = g->params + e->at[g->launches[i]];
    if (g->grids[i] == shot.grid && !memcmp(have, shot.params, (size_t)shot.bytes)) continue;
    rt_cuda_node node = node_of(&shot, (void *[]){shot.params});
    WEIR_TRY(rt_cuda_check(d, d->driver.graph_patch(g->exec, g->nodes[i], &node), "graph"));
    g->grids[i] = shot.grid;
    memcpy(have, shot.params, (size_t)shot.bytes);
  }
  return WEIR_OK;
}

static weir_status graph_make(rt_cuda_queue *q, const rt_bound *bound, rt_cuda_graph **place) {
  rt_cuda_graph *g;
  WEIR_TRY(graph_alloc(q, bound->entry->program->launch_count, entry_of(q, bound)->bytes, &g));
  g->overlaps = q->overlaps && rt_cuda_device_of(&q->base)->driver.graph_edges;
  weir_status status = graph_fill(q, bound, g);
  if (status) {
    bool refused = g->overlaps && weir_status_code(status) == WEIR_CODE_UNSUPPORTED;
    rt_cuda_graph_free(q, g, true);
    if (!refused) return status;
    // A driver that does not take such edges after all: without them.
    weir_status_release(status);
    q->overlaps = false;
    return graph_make(q, bound, place);
  }
  rt_cuda_graph_free(q, *place, true);
  *place = g;
  return WEIR_OK;
}

// The graph of this list of launches, or where one is to be.
static rt_cuda_graph **graph_find(rt_cuda_queue *q, const rt_bound *bound, bool *out_found) {
  rt_cuda_graph **graphs = entry_of(q, bound)->graphs, **oldest = &graphs[0];
  *out_found = true;
  for (int i = 0; i < RT_CUDA_GRAPHS; i++)
    if (graph_fits(graphs[i], bound)) return &graphs[i];
  *out_found = false;
  for (int i = 0; i < RT_CUDA_GRAPHS && *oldest; i++)
    if (!graphs[i] || graphs[i]->used < (*oldest)->used) oldest = &graphs[i];
  return oldest;
}

weir_status rt_cuda_graph_run(rt_cuda_queue *q, rt_bound *bound) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  bool found;
  rt_cuda_graph **place = graph_find(q, bound, &found);
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status = found ? graph_patch(q, bound, *place) : graph_make(q, bound, place);
  if (status && found) {  // half of it may be set
    rt_cuda_graph_free(q, *place, true);
    *place = NULL;
  }
  if (!status) {
    char what[200];
    snprintf(what, sizeof what, "kernels of '%s'", bound->entry->program->name);
    (*place)->used = ++q->calls;
    status = rt_cuda_check_work(d, d->driver.graph_launch((*place)->exec, q->stream), what);
  }
  rt_cuda_leave(d);
  return status;
}
