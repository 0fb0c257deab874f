// Weights on their way to the device: some threads copy parts of the mapped package into pinned memory, each into two
// buffers by turns, so that reading the file, copying and the transfer of what was copied before go on at once.
#include <stdatomic.h>
#include <string.h>

#include "runtime/base/team.h"
#include "runtime/device/cuda/device_internal.h"

enum { CHUNK_BYTES = 4 << 20, MOST_THREADS = 8, BUFFERS = 2 };

typedef struct {
  uint8_t *memory;
  void *event;  // the transfer from it has ended
  bool used;
} buffer;

typedef struct {
  rt_cuda_device *device;
  const rt_piece *pieces;
  int count;
  atomic_llong next;  // chunk that nobody has taken
  atomic_int code;    // first failure
  buffer buffers[MOST_THREADS][BUFFERS];
} upload;

// The |index|th chunk of all; false past the last. |*piece| and |*before| (chunks before it) go on from call to call.
static bool chunk_find(const upload *u, long long index, int *piece, long long *before, size_t *out_offset) {
  for (; *piece < u->count; (*piece)++) {
    long long chunks = (long long)((u->pieces[*piece].bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
    if (index - *before < chunks) {
      *out_offset = (size_t)(index - *before) * CHUNK_BYTES;
      return true;
    }
    *before += chunks;
  }
  return false;
}

static int chunk_send(upload *u, buffer *b, const rt_piece *piece, size_t offset) {
  const rt_cuda_driver *driver = &u->device->driver;
  size_t bytes = piece->bytes - offset < CHUNK_BYTES ? piece->bytes - offset : CHUNK_BYTES;
  int code = b->used ? driver->event_wait(b->event) : RT_CUDA_OK;
  if (code) return code;
  memcpy(b->memory, piece->from + offset, bytes);
  code = driver->copy_in((uint64_t)(uintptr_t)piece->to + offset, b->memory, bytes, u->device->stream);
  if (!code) code = driver->event_record(b->event, u->device->stream);
  b->used = !code;
  return code;
}

static void part_send(void *context, int part, int parts) {
  upload *u = context;
  int piece = 0, turn = 0, code = u->device->driver.context_push(u->device->context);
  long long before = 0;
  size_t offset;
  (void)parts;
  bool entered = !code;
  while (!code && !atomic_load(&u->code) && chunk_find(u, atomic_fetch_add(&u->next, 1), &piece, &before, &offset))
    code = chunk_send(u, &u->buffers[part][turn++ % BUFFERS], &u->pieces[piece], offset);
  if (code) atomic_store(&u->code, code);
  if (entered) rt_cuda_leave(u->device);
}

static int buffers_make(upload *u, int threads) {
  const rt_cuda_driver *driver = &u->device->driver;
  for (int i = 0; i < threads * BUFFERS; i++) {
    buffer *b = &u->buffers[i / BUFFERS][i % BUFFERS];
    void *memory;
    int code = driver->host_alloc(&memory, CHUNK_BYTES, 0);
    if (code) return code;
    b->memory = memory;
    code = driver->event_create(&b->event, 0);
    if (code) b->event = NULL;
    if (code) return code;
  }
  return RT_CUDA_OK;
}

static void buffers_free(upload *u) {
  const rt_cuda_driver *driver = &u->device->driver;
  for (int i = 0; i < MOST_THREADS * BUFFERS; i++) {
    buffer *b = &u->buffers[i / BUFFERS][i % BUFFERS];
    if (b->event) (void)driver->event_destroy(b->event);
    if (b->memory) (void)driver->host_free(b->memory);
  }
}

static int team_size(const rt_piece *pieces, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += pieces[i].bytes;
  int threads = rt_team_default_threads();
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  return bytes < (size_t)threads * CHUNK_BYTES ? 1 : threads;
}

weir_status rt_cuda_upload(rt_device *device, const rt_piece *pieces, int count) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  upload u = {.device = d, .pieces = pieces, .count = count};
  rt_team *team;
  int threads = team_size(pieces, count);
  WEIR_TRY(rt_team_create(threads, false, d->base.allocator, &team));
  weir_status status = rt_cuda_enter(d);
  if (!status) {
    int code = buffers_make(&u, threads);
    if (!code) {
      rt_team_split(team, part_send, &u);
      code = atomic_load(&u.code);
      int waited = d->driver.stream_wait(d->stream);
      if (!code) code = waited;
    }
    buffers_free(&u);
    status = rt_cuda_check(d, code, "upload of weights");
    rt_cuda_leave(d);
  }
  rt_team_destroy(team);
  return status;
}
