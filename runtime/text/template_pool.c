// The pool: blocks that double up to 1 MiB; the last string given out can grow in place while its block has room.
#include <stdlib.h>
#include <string.h>

#include "runtime/text/template_value.h"

struct text_pool_block {
  text_pool_block *next;
  size_t capacity, used;
  _Alignas(16) char data[];
};

static text_pool_block *add_block(text_pool *pool, size_t bytes) {
  size_t capacity = pool->head ? 2 * pool->head->capacity : 4096;
  if (capacity > 1 << 20) capacity = 1 << 20;
  if (capacity < bytes) capacity = bytes;
  if (pool->used > pool->limit || capacity > pool->limit - pool->used) capacity = bytes;
  if (pool->used > pool->limit || capacity > pool->limit - pool->used) return NULL;
  text_pool_block *block = calloc(1, sizeof *block + capacity);
  if (!block) return NULL;
  block->capacity = capacity;
  block->next = pool->head;
  pool->head = block;
  pool->used += capacity;
  return block;
}

void *text_pool_alloc(text_pool *pool, size_t bytes) {
  if (bytes > SIZE_MAX / 4) return NULL;
  text_pool_block *block = pool->head;
  size_t start = block ? (block->used + 15) & ~(size_t)15 : 0;
  if (!block || start > block->capacity || block->capacity - start < bytes) {
    block = add_block(pool, bytes ? bytes : 1);
    if (!block) return NULL;
    start = 0;
  }
  block->used = start + bytes;
  return block->data + start;
}

char *text_pool_extend(text_pool *pool, const char *bytes, size_t size, size_t more) {
  text_pool_block *block = pool->head;
  if (more > SIZE_MAX / 8 || size > SIZE_MAX / 8) return NULL;
  bool last = block && size && bytes + size == block->data + block->used && bytes >= block->data;
  if (last && block->capacity - block->used >= more) {
    block->used += more;
    return (char *)bytes;
  }
  // The copy gets a block with as much room again, if the limit lets it.
  if (size + more > 1024) block = add_block(pool, 2 * (size + more));
  char *copy = text_pool_alloc(pool, size + more);
  if (copy && size) memcpy(copy, bytes, size);
  return copy;
}

void text_pool_deinit(text_pool *pool) {
  for (text_pool_block *block = pool->head; block;) {
    text_pool_block *next = block->next;
    free(block);
    block = next;
  }
  *pool = (text_pool){0};
}
