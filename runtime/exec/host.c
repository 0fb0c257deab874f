// The host as a device: its memory is the process's, its queue a team of threads with scratch memory. Copies happen at
// once; so a queue made for copies alone is nothing but its head.
#include "runtime/exec/host.h"

#include <string.h>

static weir_status host_alloc(rt_device *device, size_t bytes, uint8_t **out_memory) {
  return weir_alloc(device->allocator, bytes, 64, false, out_memory);
}

static void host_free(rt_device *device, void *memory, size_t bytes) { weir_free(device->allocator, memory, bytes); }

static void queue_free(rt_queue *queue) {
  rt_host_queue *q = (rt_host_queue *)queue;
  if (!q) return;
  if (q->team) rt_team_destroy(q->team);
  weir_free(queue->device->allocator, q->scratch, q->scratch_bytes);
  weir_free(queue->device->allocator, q, sizeof *q);
}

static weir_status queue_fill(rt_host_queue *q, const weir_model *model, const weir_executor_options *options) {
  const weir_allocator *allocator = q->base.device->allocator;
  int64_t scratch = 0;
  for (int i = 0; i < model->entry_count; i++)
    if (model->entries[i].scratch_bytes > scratch) scratch = model->entries[i].scratch_bytes;
  WEIR_TRY(rt_team_create(options->threads, !options->no_pin, allocator, &q->team));
  q->base.threads = rt_team_thread_count(q->team);
  // Whole pairs of cache lines, so that threads do not share any.
  q->scratch_stride = ((size_t)scratch + RT_SLACK_BYTES + 127) & ~(size_t)127;
  q->base.scratch_bytes = (int64_t)q->scratch_stride * q->base.threads;
  size_t with_slack = (size_t)q->base.scratch_bytes + RT_SLACK_BYTES;
  WEIR_TRY(weir_alloc(allocator, with_slack, 64, false, &q->scratch));
  q->scratch_bytes = with_slack;
  return WEIR_OK;
}

static weir_status queue_make(rt_device *device, const weir_model *model, const weir_executor_options *options,
                              rt_queue **out_queue) {
  rt_host_queue *q;
  WEIR_TRY(weir_alloc(device->allocator, sizeof *q, 64, true, &q));
  q->base.device = device;
  weir_status status = options ? queue_fill(q, model, options) : WEIR_OK;
  if (status) queue_free(&q->base);
  else *out_queue = &q->base;
  return status;
}

static weir_status copy(rt_queue *queue, void *to, const void *from, size_t bytes) {
  (void)queue;
  if (bytes) memcpy(to, from, bytes);
  return WEIR_OK;
}

static weir_status move(rt_queue *queue, void *to, const void *from, size_t bytes) {
  (void)queue;
  if (bytes) memmove(to, from, bytes);
  return WEIR_OK;
}

static weir_status fill(rt_queue *queue, void *to, size_t bytes, const void *element, int width) {
  static const unsigned char zeros[8];
  (void)queue;
  if (!memcmp(element, zeros, (size_t)width)) {
    if (bytes) memset(to, 0, bytes);
    return WEIR_OK;
  }
  for (size_t at = 0; at < bytes; at += (size_t)width) memcpy((char *)to + at, element, (size_t)width);
  return WEIR_OK;
}

static weir_status wait(rt_queue *queue) {
  (void)queue;
  return WEIR_OK;
}

const rt_device_ops rt_host_ops = {
    .alloc = host_alloc,
    .free = host_free,
    .queue_make = queue_make,
    .queue_free = queue_free,
    .send = copy,
    .receive = copy,
    .move = move,
    .fill = fill,
    .wait = wait,
    .launch = rt_host_launch,
};
