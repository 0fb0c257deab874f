// Arena blocks double in size up to 1 MiB; a larger request gets a block of its own.
#include "runtime/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct weir_arena_block {
  weir_arena_block *next;
  size_t capacity;
  size_t used;
  _Alignas(16) unsigned char data[];
};

static _Noreturn void exhausted(void) {
  fputs("weir: out of memory\n", stderr);
  _Exit(3);
}

void weir_arena_init(weir_arena *arena) { *arena = (weir_arena){0}; }

void weir_arena_deinit(weir_arena *arena) {
  for (weir_arena_block *block = arena->head; block;) {
    weir_arena_block *next = block->next;
    free(block);
    block = next;
  }
  *arena = (weir_arena){0};
}

static bool add_block(weir_arena *arena, size_t capacity) {
  if (capacity > SIZE_MAX / 2) return false;
  weir_arena_block *block = calloc(1, sizeof *block + capacity);
  if (!block) return false;
  block->capacity = capacity;
  block->next = arena->head;
  arena->head = block;
  return true;
}

bool weir_arena_reserve(weir_arena *arena, size_t bytes) {
  const weir_arena_block *block = arena->head;
  return (block && block->capacity - block->used >= bytes) || add_block(arena, bytes);
}

void *weir_arena_alloc(weir_arena *arena, size_t bytes) {
  if (bytes > SIZE_MAX / 2) exhausted();
  bytes = bytes ? (bytes + 15) & ~(size_t)15 : 16;
  weir_arena_block *block = arena->head;
  if (!block || block->capacity - block->used < bytes) {
    size_t capacity = block ? block->capacity * 2 : 4096;
    if (capacity > 1 << 20) capacity = 1 << 20;
    if (capacity < bytes) capacity = bytes;
    if (!add_block(arena, capacity)) exhausted();
    block = arena->head;
  }
  void *result = block->data + block->used;
  block->used += bytes;
  arena->used_bytes += bytes;
  return result;
}

void *weir_arena_array(weir_arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) exhausted();
  return weir_arena_alloc(arena, bytes);
}

void *weir_arena_grow(weir_arena *arena, const void *old, size_t old_count, size_t new_count, size_t size) {
  void *data = weir_arena_array(arena, new_count, size);
  if (old_count) memcpy(data, old, old_count * size);
  return data;
}

char *weir_arena_strndup(weir_arena *arena, const char *text, size_t length) {
  char *copy = weir_arena_alloc(arena, length + 1);
  memcpy(copy, text, length);
  return copy;
}

char *weir_arena_strdup(weir_arena *arena, const char *text) { return weir_arena_strndup(arena, text, strlen(text)); }

char *weir_arena_vprintf(weir_arena *arena, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, fmt, again);
  va_end(again);
  char *text = weir_arena_alloc(arena, (size_t)(length < 0 ? 0 : length) + 1);
  vsnprintf(text, (size_t)(length < 0 ? 0 : length) + 1, fmt, args);
  return text;
}

char *weir_arena_printf(weir_arena *arena, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  char *text = weir_arena_vprintf(arena, fmt, args);
  va_end(args);
  return text;
}
