// Arena: memory that lives and dies together. The compiler allocates from arenas only and never frees single objects.
//
// Allocation never fails from the caller's point of view: a compiler without memory has nothing left to do, and the
// process ends with exit status 3 and a message. Code that must not end the process (the runtime, when it reads a
// program) reserves an upper bound first and reports what weir_arena_reserve says. The runtime does not use arenas on
// the step path. One thread at a time.
#ifndef WEIR_RUNTIME_BASE_ARENA_H
#define WEIR_RUNTIME_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_arena_block weir_arena_block;

typedef struct {
  weir_arena_block *head;  // newest block
  size_t used_bytes;       // handed out so far, alignment included
} weir_arena;

void weir_arena_init(weir_arena *arena);
// Frees all blocks. The arena may be used again.
void weir_arena_deinit(weir_arena *arena);
// Makes room for allocations of |bytes| in all, each rounded up to 16. False without memory; the arena is as it was.
bool weir_arena_reserve(weir_arena *arena, size_t bytes);
// Zeroed, 16-byte aligned. Zero bytes yield a unique pointer.
void *weir_arena_alloc(weir_arena *arena, size_t bytes);
// |count| * |size| with an overflow check.
void *weir_arena_array(weir_arena *arena, size_t count, size_t size);
char *weir_arena_strndup(weir_arena *arena, const char *text, size_t length);
char *weir_arena_strdup(weir_arena *arena, const char *text);
char *weir_arena_printf(weir_arena *arena, const char *fmt, ...) WEIR_PRINTF(2, 3);
char *weir_arena_vprintf(weir_arena *arena, const char *fmt, va_list args);

#define WEIR_NEW(arena, type) ((type *)weir_arena_alloc(arena, sizeof(type)))
#define WEIR_NEW_ARRAY(arena, type, count) ((type *)weir_arena_array(arena, (size_t)(count), sizeof(type)))

// Appends to an arena-backed vector {data, count, capacity}: the old array is left behind when it grows.
#define WEIR_PUSH(arena, data, count, capacity, value)                                                \
  do {                                                                                                \
    if ((count) == (capacity)) {                                                                      \
      (capacity) = (capacity) ? 2 * (capacity) : 8;                                                   \
      (data) = weir_arena_grow((arena), (data), (size_t)(count), (size_t)(capacity), sizeof *(data)); \
    }                                                                                                 \
    (data)[(count)++] = (value);                                                                      \
  } while (0)
void *weir_arena_grow(weir_arena *arena, const void *old, size_t old_count, size_t new_count, size_t size);

#ifdef __cplusplus
}
#endif
#endif
