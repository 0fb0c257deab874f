// A bound call on a stream: its records become parameter structs, and those one graph or launches one by one.
//
// Between a call's sends and its receives nothing is waited for, unless a loop has flags, which the host reads before
// each iteration, or the call is timed or checked. A caller who cancels is heard before the launches, between records
// that are launched one by one, and at each iteration of a loop; a graph under way runs to its end. Calls with products
// by a library go one by one: their launches are the library's.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/device/cuda/abi.h"
#include "runtime/device/cuda/device_internal.h"
#include "runtime/exec/walk.h"

enum {
  WAVES = 16
};  // an item kernel's blocks at most, in blocks that the device runs at once: the rest they loop over

// ---- one record

int64_t rt_cuda_grid(const rt_cuda_device *d, const rt_cuda_kernel *k, int64_t items) {
  if (k->block) return items <= INT32_MAX ? items : 0;
  int64_t blocks = items / k->items_per_block + (items % k->items_per_block != 0);
  int64_t once = (int64_t)d->multiprocessors * k->occupancy, most = k->scratch_bytes ? once : once * WAVES;
  if (blocks > most) blocks = most;
  return blocks < INT32_MAX ? blocks : INT32_MAX;
}

// Maps are made anew where an address or a size is another than that of the last launch, which |params| has.
static weir_status maps_make(rt_cuda_queue *q, const rt_cuda_kernel *k, const rt_launch *launch,
                             const rt_record *record, uint8_t *params) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  size_t args = (size_t)launch->arg_count * 8, dims = (size_t)launch->dim_count * 8;
  int64_t at;
  if (!memcmp(params, record->args, args) && (!dims || !memcmp(params + args, record->dims, dims))) return WEIR_OK;
  (void)rt_cuda_param_bytes(launch->arg_count, launch->dim_count, k->maps, &at);
  for (int i = 0; i < k->maps; i++) {
    int code = RT_CUDA_OK;
    weir_status status = rt_cuda_map_encode(&d->driver, &k->map[i], record->args, record->dims,
                                            params + at + (int64_t)i * RT_CUDA_MAP_BYTES, &code);
    if (!status) status = rt_cuda_check(d, code, "tensor map");
    if (!status) continue;
    memset(params, 0, args);  // no addresses: they are half made
    return weir_status_annotate(status, "kernel '%s'", k->name);
  }
  return WEIR_OK;
}

weir_status rt_cuda_shot_make(rt_cuda_queue *q, const rt_bound *bound, const rt_record *record,
                              rt_cuda_shot *out_shot) {
  const rt_program *p = bound->entry->program;
  const rt_launch *launch = &p->launches[record->launch];
  const rt_cuda_entry *e = &q->entries[bound->entry - q->model->entries];
  const rt_cuda_kernel *k = record->kernel.context;
  int64_t grid = rt_cuda_grid(rt_cuda_device_of(&q->base), k, record->grid);
  if (!grid) {
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel '%s': a grid of %lld blocks", k->name,
                            (long long)record->grid);
  }
  uint8_t *params = e->params + e->at[record->launch], *next = params;
  size_t args = (size_t)launch->arg_count * 8, dims = (size_t)launch->dim_count * 8;
  const uint64_t rest[] = {(uint64_t)record->grid, (uint64_t)(uintptr_t)q->scratch, (uint64_t)k->scratch_bytes};
  int64_t bytes = rt_cuda_param_bytes(launch->arg_count, launch->dim_count, k->maps, NULL);
  if (k->maps) WEIR_TRY(maps_make(q, k, launch, record, params));
  if (args) memcpy(next, record->args, args);
  if (dims) memcpy(next + args, record->dims, dims);
  memcpy(next + args + dims, rest, sizeof rest);
  *out_shot = (rt_cuda_shot){k, (unsigned)grid, params, bytes};
  return WEIR_OK;
}

static int shot_fire(rt_cuda_queue *q, const rt_cuda_shot *shot) {
  rt_cuda_attribute attributes[2] = {0};
  unsigned count = 0;
  if (shot->kernel->cluster > 1) {
    attributes[count].id = RT_CUDA_LAUNCH_CLUSTER;
    attributes[count].value.cluster[0] = (unsigned)shot->kernel->cluster;
    attributes[count].value.cluster[1] = attributes[count].value.cluster[2] = 1;
    count++;
  }
  bool overlaps = shot->kernel->waits && q->overlaps && !q->behind_library;
  q->behind_library = false;
  if (overlaps) {
    attributes[count].id = RT_CUDA_LAUNCH_OVERLAP;
    attributes[count++].value.overlap = 1;
  }
  rt_cuda_launch launch = {.grid = {shot->grid, 1, 1},
                           .block = {(unsigned)shot->kernel->threads, 1, 1},
                           .dynamic_bytes = (unsigned)shot->kernel->dynamic_bytes,
                           .stream = q->stream,
                           .attributes = attributes,
                           .attribute_count = count};
  return rt_cuda_device_of(&q->base)->driver.launch(&launch, shot->kernel->function, (void *[]){shot->params}, NULL);
}

// By the library, if it is its own and it does it. What a library runs is not ours: nothing overlaps with it.
static weir_status shot_launch(rt_cuda_queue *q, const rt_cuda_shot *shot, const char *what) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  bool done = false;
  if (rt_cuda_is_library(d, shot->kernel)) WEIR_TRY(rt_cuda_library_fire(q, shot, &done));
  q->behind_library |= done;
  return done ? WEIR_OK : rt_cuda_check_work(d, shot_fire(q, shot), what);
}

// ---- one by one

typedef struct {
  rt_cuda_queue *queue;
  rt_bound *bound;
  weir_run_options *options;
  const int *cancel;
  bool timed, traced, cancelled;
  int64_t phases;
  weir_status status;  // the first failure
} series;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool going(void *context) {
  series *s = context;
  if (s->cancel && __atomic_load_n(s->cancel, __ATOMIC_RELAXED)) s->cancelled = true;
  return !s->cancelled && !s->status;
}

static void refuse(void *context, int launch) {
  series *s = context;
  const rt_program *p = s->bound->entry->program;
  if (s->status) return;
  s->status = weir_status_make(WEIR_CODE_INTERNAL, "launch of '%s' has no valid size",
                               p->kernels[p->launches[launch].kernel].symbol);
}

static weir_status flags_room(rt_cuda_queue *q, size_t bytes) {
  rt_device *d = q->base.device;
  if (bytes <= q->flags_bytes) return WEIR_OK;
  uint8_t *fresh;
  WEIR_TRY(d->ops->alloc_host(d, bytes, &fresh));
  d->ops->free_host(d, q->flags, q->flags_bytes);
  q->flags = fresh;
  q->flags_bytes = bytes;
  return WEIR_OK;
}

static bool any_flag(void *context, const rt_bound_loop *loop) {
  series *s = context;
  rt_cuda_queue *q = s->queue;
  size_t count = (size_t)s->bound->requests;
  if (s->status) return false;
  s->status = flags_room(q, count);
  if (!s->status) s->status = rt_cuda_receive(&q->base, q->flags, loop->flags, count);
  if (!s->status) s->status = rt_cuda_wait(&q->base);
  for (size_t r = 0; !s->status && r < count; r++)
    if (q->flags[r]) return true;
  return false;
}

// Between two events, waited for: what it takes on the device, without the way there.
static weir_status record_time(series *s, rt_record *record, const rt_cuda_shot *shot) {
  rt_cuda_queue *q = s->queue;
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  const rt_cuda_driver *driver = &d->driver;
  char what[200];
  float ms = 0;
  snprintf(what, sizeof what, "kernel '%s'", shot->kernel->name);
  WEIR_TRY(rt_cuda_check_work(d, driver->event_record(q->begin, q->stream), what));
  WEIR_TRY(shot_launch(q, shot, what));
  int code = driver->event_record(q->end, q->stream);
  if (!code) code = driver->event_wait(q->end);
  if (!code) code = driver->event_elapsed(&ms, q->begin, q->end);
  WEIR_TRY(rt_cuda_check_work(d, code, what));
  int64_t ns = (int64_t)((double)ms * 1e6), end_ns = now_ns();
  if (s->timed) rt_time_note(s->bound, s->options, record, ns);
  if (s->traced) {
    rt_trace_note(
        s->bound, s->options, 0, record,
        (weir_trace_event){.begin_ns = end_ns - ns, .end_ns = end_ns, .items = record->grid, .phase = s->phases});
  }
  return WEIR_OK;
}

static weir_status record_run(series *s, rt_record *record) {
  rt_cuda_device *d = rt_cuda_device_of(&s->queue->base);
  rt_cuda_shot shot;
  WEIR_TRY(rt_cuda_shot_make(s->queue, s->bound, record, &shot));
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status;
  if (s->timed || s->traced || s->queue->check) {
    status = record_time(s, record, &shot);
  } else {
    char what[200];
    snprintf(what, sizeof what, "launch of '%s'", shot.kernel->name);
    status = shot_launch(s->queue, &shot, what);
  }
  rt_cuda_leave(d);
  return status;
}

static weir_status series_run(rt_cuda_queue *q, rt_bound *bound, weir_run_options *options) {
  series s = {.queue = q,
              .bound = bound,
              .options = options,
              .cancel = options ? options->cancel : NULL,
              .timed = options && options->times,
              .traced = options && options->trace};
  rt_walk walk = {.going = going, .any_flag = any_flag, .refuse = refuse, .context = &s};
  rt_walk_begin(&walk, bound);
  while (rt_walk_next(&walk)) {
    rt_record *record = &bound->records[walk.at++];
    rt_walk_vary(&walk, record);
    s.phases += record->sync;
    if (!s.status && record->grid) s.status = record_run(&s, record);
  }
  if (!s.status && s.cancelled) s.status = weir_status_make(WEIR_CODE_CANCELLED, "cancelled");
  return s.status;
}

weir_status rt_cuda_launch_bound(rt_queue *queue, rt_bound *bound, weir_run_options *options) {
  rt_cuda_queue *q = (rt_cuda_queue *)queue;
  bool single = options && (options->times || options->trace);
  if (options) options->time_count = 0;
  if (options && options->cancel && __atomic_load_n(options->cancel, __ATOMIC_RELAXED))
    return weir_status_make(WEIR_CODE_CANCELLED, "cancelled");
  if (!bound->record_count) return WEIR_OK;
  for (int i = 0; !single && i < bound->record_count; i++)
    single = rt_cuda_is_library(rt_cuda_device_of(queue), bound->records[i].kernel.context);
  if (single || q->check || bound->loop_count) return series_run(q, bound, options);
  return rt_cuda_graph_run(q, bound);
}
