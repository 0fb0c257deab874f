// Growing buffers: doubling, checked, one allocation each.
#include "runtime/text/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/checked.h"

// Grows |*data| to hold |count| + |more| items of |size| bytes.
static weir_status grow(void **data, size_t count, size_t more, size_t size, size_t *capacity) {
  size_t need, bytes;
  if (!weir_add_size(count, more, &need) || !weir_mul_size(need, 2 * size, &bytes)) {
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "a text buffer of %zu items is too large", count);
  }
  if (need <= *capacity) return WEIR_OK;
  size_t larger = *capacity < 32 ? 64 : 2 * *capacity;
  if (larger < need) larger = need;
  void *moved = realloc(*data, larger * size);
  if (!moved) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a text buffer of %zu items", larger);
  *data = moved;
  *capacity = larger;
  return WEIR_OK;
}

weir_status text_buffer_reserve(text_buffer *buffer, size_t more_bytes) {
  void *data = buffer->data;
  WEIR_TRY(grow(&data, buffer->size, more_bytes, 1, &buffer->capacity));
  buffer->data = data;
  return WEIR_OK;
}

weir_status text_buffer_append(text_buffer *buffer, const void *bytes, size_t count) {
  if (!count) return WEIR_OK;
  WEIR_TRY(text_buffer_reserve(buffer, count));
  memcpy(buffer->data + buffer->size, bytes, count);
  buffer->size += count;
  return WEIR_OK;
}

weir_status text_buffer_put(text_buffer *buffer, char byte) { return text_buffer_append(buffer, &byte, 1); }

void text_buffer_deinit(text_buffer *buffer) {
  free(buffer->data);
  *buffer = (text_buffer){0};
}

weir_status text_ids_append(text_ids *ids, int32_t id) {
  if (ids->count == ids->capacity) {
    void *data = ids->data;
    WEIR_TRY(grow(&data, ids->count, 1, sizeof *ids->data, &ids->capacity));
    ids->data = data;
  }
  ids->data[ids->count++] = id;
  return WEIR_OK;
}

void text_ids_deinit(text_ids *ids) {
  free(ids->data);
  *ids = (text_ids){0};
}
