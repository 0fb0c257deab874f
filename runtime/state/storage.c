// Memory of states: filling, room, moving and copying of rows. Nothing here reads a state's bytes but by the queue.
#include <math.h>
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/base/half.h"
#include "runtime/state/session.h"

enum {
  // Neighbouring states begin at different places within a page, so that equal rows of many states do not fall on the
  // same cache sets.
  STAGGER_BYTES = 5 * 64,
  WINDOW_SLACK = 64,      // rows that a short window may wander before it moves back
  CHUNK_BYTES = 1 << 20,  // of panels that are taken apart at a time
};

// ---- filling

// The code whose value is nearest; of two, the first. Only for initial values: there is no need to be quick.
static uint8_t f8_nearest(float value, float (*widen)(uint8_t)) {
  uint8_t best = 0;
  for (int code = 0; code < 256; code++) {
    float distance = fabsf(widen((uint8_t)code) - value), least = fabsf(widen(best) - value);
    if (distance < least) best = (uint8_t)code;
  }
  return best;
}

weir_status rt_state_fill(rt_queue *queue, void *data, int64_t bytes, rt_dtype dtype, double initial) {
  int width = rt_dtype_bytes(dtype);
  unsigned char element[8] = {0};
  float f = (float)initial;
  int64_t i = (int64_t)initial;
  switch (dtype) {
    case RT_DTYPE_f16:
      memcpy(element, &(uint16_t){weir_f32_to_f16(f)}, 2);
      break;
    case RT_DTYPE_bf16:
      memcpy(element, &(uint16_t){weir_f32_to_bf16(f)}, 2);
      break;
    case RT_DTYPE_f32:
      memcpy(element, &f, 4);
      break;
    case RT_DTYPE_f64:
      memcpy(element, &initial, 8);
      break;
    case RT_DTYPE_f8e4m3:
      element[0] = f8_nearest(f, weir_f8e4m3_to_f32);
      break;
    case RT_DTYPE_f8e5m2:
      element[0] = f8_nearest(f, weir_f8e5m2_to_f32);
      break;
    default:
      memcpy(element, &i, (size_t)width);
      break;  // little-endian
  }
  return queue->device->ops->fill(queue, data, (size_t)(bytes - bytes % width), element, width);
}

// ---- rows

int64_t rt_state_span(const rt_model_state *s, int64_t first, int64_t count) {
  if (!s->panel) return count;
  return (first % RT_PANEL_ROWS + count + RT_PANEL_ROWS - 1) / RT_PANEL_ROWS * RT_PANEL_ROWS;
}

static int64_t panel_begin(const rt_model_state *s, int64_t row) { return s->panel ? row - row % RT_PANEL_ROWS : row; }

weir_status rt_storage_make(const weir_model *model, int state, int64_t rows, rt_state_storage *out) {
  int64_t bytes, stagger = (int64_t)state * STAGGER_BYTES % 4096;
  bool rounded = !model->states[state].panel || weir_round_up_i64(rows, RT_PANEL_ROWS, &rows);
  if (!rounded || !weir_mul_i64(model->states[state].row_bytes, rows, &bytes) ||
      !weir_add_i64(bytes, stagger + RT_SLACK_BYTES, &bytes)) {
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "state '%s': %lld rows overflow", model->states[state].path,
                            (long long)rows);
  }
  rt_state_storage storage = {.memory_bytes = (size_t)bytes, .room = rows, .held = -1};
  WEIR_TRY_CTX(model->device->ops->alloc(model->device, storage.memory_bytes, &storage.memory), "state '%s'",
               model->states[state].path);
  storage.data = storage.memory + stagger;
  *out = storage;
  return WEIR_OK;
}

void rt_storage_free(const weir_model *model, rt_state_storage *storage) {
  model->device->ops->free(model->device, storage->memory, storage->memory_bytes);
  *storage = (rt_state_storage){.held = -1};
}

static int64_t wander(const rt_model_state *s) { return s->window - 1 > WINDOW_SLACK ? s->window - 1 : WINDOW_SLACK; }

int64_t rt_storage_room(const rt_model_state *s, int64_t capacity) {
  int64_t extra = s->window ? s->window - 1 + wander(s) : 0, room;
  if (s->window && s->panel) extra += RT_PANEL_ROWS;  // its first row stands anywhere in the first panel
  return weir_add_i64(capacity, extra, &room) ? room : INT64_MAX;
}

int64_t rt_storage_first_room(const weir_model *model, const rt_model_state *s, int64_t capacity) {
  int64_t first = model->device->ops->first_rows;
  return rt_storage_room(s, first && first < capacity ? first : capacity);
}

int64_t rt_storage_reach(const rt_model_state *s, const rt_state_storage *storage, int64_t rows) {
  return s->window ? rows - panel_begin(s, storage->base) : rows;
}

weir_status rt_storage_grow(const weir_model *model, rt_queue *queue, int state, int64_t rows, int64_t need,
                            int64_t most, rt_state_storage *storage) {
  if (need <= storage->room) return WEIR_OK;
  int64_t room = storage->room > INT64_MAX / 2 ? INT64_MAX : 2 * storage->room;
  if (room > most) room = most;
  if (room < need) room = need;
  rt_state_storage fresh;
  WEIR_TRY(rt_storage_make(model, state, room, &fresh));
  weir_status status = rt_storage_copy(queue, &model->states[state], storage, rows, &fresh);
  if (!status) status = model->device->ops->wait(queue);
  if (!status) {
    rt_state_storage old = *storage;
    *storage = fresh;
    fresh = old;
  }
  rt_storage_free(model, &fresh);
  return status;
}

int64_t rt_state_kept(const rt_model_state *s, int64_t rows) {
  return s->window && rows > s->window - 1 ? s->window - 1 : rows;
}

// Where the first row in use, or its panel, stands in the storage.
static int64_t first_row(const rt_model_state *s, const rt_state_storage *storage, int64_t rows) {
  return s->window ? panel_begin(s, rows - rt_state_kept(s, rows)) - panel_begin(s, storage->base) : 0;
}

uint8_t *rt_storage_kept(const rt_model_state *s, const rt_state_storage *storage, int64_t rows) {
  return storage->data + first_row(s, storage, rows) * s->row_bytes;
}

weir_status rt_storage_pack(rt_queue *queue, const rt_model_state *s, rt_state_storage *storage, int64_t rows) {
  int64_t kept = rt_state_kept(s, rows);
  if (rows - kept - storage->base <= wander(s)) return WEIR_OK;
  const uint8_t *from = rt_storage_kept(s, storage, rows);
  WEIR_TRY(queue->device->ops->move(queue, storage->data, from,
                                    (size_t)(rt_state_span(s, rows - kept, kept) * s->row_bytes)));
  storage->base = rows - kept;
  return WEIR_OK;
}

// Rows (or the block) in use.
static int64_t count_of(const rt_model_state *s, const rt_state_storage *storage, int64_t rows) {
  int64_t count = s->rows && !s->whole ? rt_state_kept(s, rows) : storage->held;
  return count > 0 ? count : 0;
}

int64_t rt_storage_bytes(const rt_model_state *s, const rt_state_storage *storage, int64_t rows) {
  return count_of(s, storage, rows) * s->row_bytes;
}

weir_status rt_storage_copy(rt_queue *queue, const rt_model_state *s, const rt_state_storage *from, int64_t rows,
                            rt_state_storage *to) {
  int64_t count = count_of(s, from, rows), first = s->window ? rows - count : 0;
  if (count) {
    size_t bytes = (size_t)(rt_state_span(s, first, count) * s->row_bytes);
    WEIR_TRY(queue->device->ops->move(queue, to->data, rt_storage_kept(s, from, rows), bytes));
  }
  to->held = from->held;
  to->base = first;
  return WEIR_OK;
}

// Row |row| of panels: its words stand RT_PANEL_ROWS words apart. |store|: |bytes| go there, else they come from there.
static void panel_row(const rt_model_state *s, uint8_t *data, int64_t row, uint8_t *bytes, bool store) {
  int word = rt_state_word(s->dtype, s->row_bytes);
  uint8_t *at = data + row / RT_PANEL_ROWS * RT_PANEL_ROWS * s->row_bytes + row % RT_PANEL_ROWS * word;
  for (int64_t i = 0; i < s->row_bytes; i += word, at += RT_PANEL_ROWS * word) {
    if (store) memcpy(at, bytes + i, (size_t)word);
    else memcpy(bytes + i, at, (size_t)word);
  }
}

// |count| rows, the first of them row |first| of the panel at |panels|, to or from |rows|: some panels at a time are
// taken apart or put together in the process's memory. What stands beside the rows in a panel that is stored is lost.
static weir_status panels_convert(rt_queue *queue, const rt_model_state *s, uint8_t *panels, int64_t first,
                                  int64_t count, uint8_t *rows, bool store) {
  const rt_device_ops *ops = queue->device->ops;
  int64_t panel = RT_PANEL_ROWS * s->row_bytes, most = CHUNK_BYTES / panel < 1 ? 1 : CHUNK_BYTES / panel;
  uint8_t *chunk;
  weir_status status = weir_alloc(queue->device->allocator, (size_t)(most * panel), 64, false, &chunk);
  for (int64_t at = first, end = first + count; !status && at < end;) {
    int64_t begin = at / RT_PANEL_ROWS, stop = begin + most,
            last = stop * RT_PANEL_ROWS < end ? stop * RT_PANEL_ROWS : end;
    size_t bytes = (size_t)((last + RT_PANEL_ROWS - 1) / RT_PANEL_ROWS - begin) * (size_t)panel;
    if (store) memset(chunk, 0, bytes);
    else status = ops->receive(queue, chunk, panels + begin * panel, bytes);
    if (!status && !store) status = ops->wait(queue);
    for (; !status && at < last; at++)
      panel_row(s, chunk, at - begin * RT_PANEL_ROWS, rows + (at - first) * s->row_bytes, store);
    if (!status && store) status = ops->send(queue, panels + begin * panel, chunk, bytes);
    if (!status && store) status = ops->wait(queue);
  }
  weir_free(queue->device->allocator, chunk, (size_t)(most * panel));
  return status;
}

weir_status rt_storage_export(rt_queue *queue, const rt_model_state *s, const rt_state_storage *storage, int64_t rows,
                              uint8_t *out) {
  int64_t count = count_of(s, storage, rows), first = s->window ? (rows - count) % RT_PANEL_ROWS : 0;
  if (!count) return WEIR_OK;
  uint8_t *kept = rt_storage_kept(s, storage, rows);
  if (s->panel) return panels_convert(queue, s, kept, first, count, out, false);
  return queue->device->ops->receive(queue, out, kept, (size_t)(count * s->row_bytes));
}

weir_status rt_storage_import(rt_queue *queue, const rt_model_state *s, const uint8_t *data, int64_t rows, int64_t held,
                              rt_state_storage *storage) {
  int64_t first = s->window ? rows - held : 0, count = held > 0 ? held : 0;
  storage->held = held;
  storage->base = first;
  if (!count) return WEIR_OK;
  uint8_t *from = (uint8_t *)(uintptr_t)data;  // only read
  if (s->panel) return panels_convert(queue, s, storage->data, first % RT_PANEL_ROWS, count, from, true);
  return queue->device->ops->send(queue, storage->data, data, (size_t)(count * s->row_bytes));
}

weir_status rt_storage_whole(const weir_model *model, int state, int64_t rows, rt_state_storage *storage) {
  if (storage->memory && rows <= storage->room) return WEIR_OK;
  rt_state_storage fresh;
  WEIR_TRY(rt_storage_make(model, state, rows, &fresh));
  rt_storage_free(model, storage);
  *storage = fresh;
  return WEIR_OK;
}
