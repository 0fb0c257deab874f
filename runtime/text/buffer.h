// Growing byte and id buffers: how the text library hands out results of unknown length.
//
// A zeroed struct is an empty buffer. The caller owns it, may reuse it after text_buffer_clear and frees it with
// text_buffer_deinit. Functions that fill a buffer append to it. A failed append (OUT_OF_MEMORY) leaves it unchanged.
#ifndef WEIR_RUNTIME_TEXT_BUFFER_H
#define WEIR_RUNTIME_TEXT_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  char *data;  // |size| bytes; not ended by a NUL
  size_t size;
  size_t capacity;
} text_buffer;

typedef struct {
  int32_t *data;
  size_t count;
  size_t capacity;
} text_ids;

weir_status text_buffer_reserve(text_buffer *buffer, size_t more_bytes) WEIR_MUST_USE;
weir_status text_buffer_append(text_buffer *buffer, const void *bytes, size_t count) WEIR_MUST_USE;
weir_status text_buffer_put(text_buffer *buffer, char byte) WEIR_MUST_USE;
static inline void text_buffer_clear(text_buffer *buffer) { buffer->size = 0; }
void text_buffer_deinit(text_buffer *buffer);

weir_status text_ids_append(text_ids *ids, int32_t id) WEIR_MUST_USE;
static inline void text_ids_clear(text_ids *ids) { ids->count = 0; }
void text_ids_deinit(text_ids *ids);

#ifdef __cplusplus
}
#endif
#endif
