// Queues: a stream, copies on it, and for executors the parameter structs of all launches and the scratch memory that
// the largest of them needs.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/device/cuda/abi.h"
#include "runtime/device/cuda/device_internal.h"

rt_cuda_device *rt_cuda_device_of(rt_queue *queue) { return (rt_cuda_device *)queue->device; }

static uint64_t at(const void *memory) { return (uint64_t)(uintptr_t)memory; }
static void *stream_of(rt_queue *queue) { return ((rt_cuda_queue *)queue)->stream; }

// ---- making

static weir_status entry_make(rt_cuda_queue *q, const weir_entry *entry, rt_cuda_entry *out) {
  const rt_program *p = entry->program;
  int64_t bytes = 0;
  WEIR_TRY(weir_pool_array(&q->pool, (size_t)p->launch_count, sizeof *out->at, &out->at));
  for (int i = 0; i < p->launch_count; i++) {
    const rt_launch *launch = &p->launches[i];
    const rt_cuda_kernel *k = entry->kernels[launch->kernel].context;
    out->at[i] = bytes;
    bytes += (rt_cuda_param_bytes(launch->arg_count, launch->dim_count, k->maps, NULL) + 63) & ~INT64_C(63);
  }
  out->bytes = bytes;
  return weir_pool_array(&q->pool, (size_t)bytes, 1, &out->params);
}

// Scratch of all teams that a capped grid has.
static bool scratch_note(const rt_cuda_device *d, const rt_cuda_kernel *k, int64_t *most) {
  int64_t teams = (int64_t)d->multiprocessors * k->occupancy * k->items_per_block, bytes;
  if (!weir_mul_i64(teams, k->scratch_bytes, &bytes)) return false;
  if (rt_cuda_is_library(d, k)) bytes = RT_CUDA_LIBRARY_WORK_BYTES;
  if (bytes > *most) *most = bytes;
  return true;
}

static weir_status queue_fill(rt_cuda_queue *q, const weir_model *model) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  int64_t scratch = 0;
  WEIR_TRY(weir_pool_array(&q->pool, (size_t)model->entry_count, sizeof *q->entries, &q->entries));
  for (int i = 0; i < model->entry_count; i++) {
    const weir_entry *entry = &model->entries[i];
    WEIR_TRY(entry_make(q, entry, &q->entries[i]));
    for (int k = 0; k < entry->program->kernel_count; k++)
      if (!scratch_note(d, entry->kernels[k].context, &scratch))
        return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "scratch of '%s'", entry->program->kernels[k].symbol);
  }
  if (scratch) WEIR_TRY_CTX(d->base.ops->alloc(&d->base, (size_t)scratch, &q->scratch), "scratch");
  q->base.scratch_bytes = scratch;
  const char *check = getenv("WEIR_CHECK_LAUNCHES");
  q->check = check && !strcmp(check, "1");
  const char *overlap = getenv("WEIR_OVERLAP");
  q->overlaps = !overlap || strcmp(overlap, "0") != 0;
  return WEIR_OK;
}

static weir_status stream_make(rt_cuda_queue *q, bool launches) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  int least = 0, greatest = 0;
  weir_status status = rt_cuda_check(d, d->driver.priorities(&least, &greatest), "streams");
  if (status) return status;
  int code = d->driver.stream_create(&q->stream, RT_CUDA_STREAM_NON_BLOCKING, launches ? greatest : least);
  if (code) q->stream = NULL;
  WEIR_TRY(rt_cuda_check(d, code, "stream"));
  void **const events[] = {&q->begin, &q->end};
  for (int i = 0; launches && i < 2; i++) {
    code = d->driver.event_create(events[i], 0);
    if (code) *events[i] = NULL;
    WEIR_TRY(rt_cuda_check(d, code, "event"));
  }
  return WEIR_OK;
}

weir_status rt_cuda_queue_make(rt_device *device, const weir_model *model, const weir_executor_options *options,
                               rt_queue **out_queue) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  rt_cuda_queue *q;
  WEIR_TRY(weir_alloc(device->allocator, sizeof *q, 64, true, &q));
  q->base = (rt_queue){.device = device, .threads = 1};
  q->pool.allocator = device->allocator;
  q->model = model;
  weir_status status = rt_cuda_enter(d);
  if (!status) {
    status = stream_make(q, options);
    rt_cuda_leave(d);
  }
  if (!status && options) status = queue_fill(q, model);
  if (status) rt_cuda_queue_free(&q->base);
  else *out_queue = &q->base;
  return status;
}

void rt_cuda_queue_free(rt_queue *queue) {
  rt_cuda_queue *q = (rt_cuda_queue *)queue;
  if (!q) return;
  rt_cuda_device *d = rt_cuda_device_of(queue);
  bool entered = !d->driver.context_push(d->context);
  if (entered && q->stream) (void)d->driver.stream_wait(q->stream);
  rt_cuda_plans_free(q);
  for (int i = 0; q->entries && i < q->model->entry_count; i++)
    for (int k = 0; k < RT_CUDA_GRAPHS; k++) rt_cuda_graph_free(q, q->entries[i].graphs[k], entered);
  if (entered) {
    if (q->begin) (void)d->driver.event_destroy(q->begin);
    if (q->end) (void)d->driver.event_destroy(q->end);
    if (q->stream) (void)d->driver.stream_destroy(q->stream);
    rt_cuda_leave(d);
  }
  d->base.ops->free(&d->base, q->scratch, (size_t)q->base.scratch_bytes);
  d->base.ops->free_host(&d->base, q->flags, q->flags_bytes);
  weir_pool_deinit(&q->pool);
  weir_free(d->base.allocator, q, sizeof *q);
}

// ---- work

weir_status rt_cuda_send(rt_queue *queue, void *to, const void *from, size_t bytes) {
  rt_cuda_device *d = rt_cuda_device_of(queue);
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status =
      rt_cuda_check_work(d, d->driver.copy_in(at(to), from, bytes, stream_of(queue)), "copy to the device");
  rt_cuda_leave(d);
  return status;
}

weir_status rt_cuda_receive(rt_queue *queue, void *to, const void *from, size_t bytes) {
  rt_cuda_device *d = rt_cuda_device_of(queue);
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status =
      rt_cuda_check_work(d, d->driver.copy_out(to, at(from), bytes, stream_of(queue)), "copy from the device");
  rt_cuda_leave(d);
  return status;
}

// Ranges that overlap are copied in parts as long as the way they go, the end towards which they go first.
static int move_parts(rt_cuda_device *d, uint64_t to, uint64_t from, size_t bytes, void *stream) {
  size_t way = (size_t)(to < from ? from - to : to - from);
  if (!way || !bytes) return RT_CUDA_OK;
  if (way >= bytes) return d->driver.copy_within(to, from, bytes, stream);
  int code = RT_CUDA_OK;
  for (size_t done = 0, part; !code && done < bytes; done += part) {
    part = way < bytes - done ? way : bytes - done;
    size_t offset = to < from ? done : bytes - done - part;
    code = d->driver.copy_within(to + offset, from + offset, part, stream);
  }
  return code;
}

weir_status rt_cuda_move(rt_queue *queue, void *to, const void *from, size_t bytes) {
  rt_cuda_device *d = rt_cuda_device_of(queue);
  if (!bytes) return WEIR_OK;
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status =
      rt_cuda_check_work(d, move_parts(d, at(to), at(from), bytes, stream_of(queue)), "copy on the device");
  rt_cuda_leave(d);
  return status;
}

// Eight bytes are two columns of four.
static int fill_start(rt_cuda_device *d, uint64_t to, size_t bytes, const void *element, int width, void *stream) {
  const rt_cuda_driver *driver = &d->driver;
  uint32_t words[2] = {0};
  memcpy(words, element, (size_t)width);
  switch (width) {
    case 1:
      return driver->fill8(to, (unsigned char)words[0], bytes, stream);
    case 2:
      return driver->fill16(to, (unsigned short)words[0], bytes / 2, stream);
    case 4:
      return driver->fill32(to, words[0], bytes / 4, stream);
    default: {
      int code = driver->fill32_rows(to, 8, words[0], 1, bytes / 8, stream);
      return code ? code : driver->fill32_rows(to + 4, 8, words[1], 1, bytes / 8, stream);
    }
  }
}

weir_status rt_cuda_fill(rt_queue *queue, void *to, size_t bytes, const void *element, int width) {
  rt_cuda_device *d = rt_cuda_device_of(queue);
  if (!bytes) return WEIR_OK;
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status =
      rt_cuda_check_work(d, fill_start(d, at(to), bytes, element, width, stream_of(queue)), "filling of memory");
  rt_cuda_leave(d);
  return status;
}

weir_status rt_cuda_wait(rt_queue *queue) {
  rt_cuda_device *d = rt_cuda_device_of(queue);
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status = rt_cuda_check_work(d, d->driver.stream_wait(stream_of(queue)), "kernels or copies");
  rt_cuda_leave(d);
  return status;
}
