// The system allocator and the pool.
//
// Large blocks are mapped without reserve: a session may take room for thousands of rows, and pages appear as rows are
// written.
#include "runtime/base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAPPED_BYTES = 128 * 1024, POOL_ALIGNMENT = 64 };

static void *system_alloc(void *context, size_t bytes, size_t alignment) {
  (void)context;
  if (bytes >= MAPPED_BYTES) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
  }
  void *memory = NULL;
  return posix_memalign(&memory, alignment, bytes) ? NULL : memory;
}

static void system_free(void *context, void *memory, size_t bytes) {
  (void)context;
  if (bytes >= MAPPED_BYTES) {
    munmap(memory, bytes);
  } else {
    free(memory);
  }
}

const weir_allocator *weir_allocator_system(void) {
  static const weir_allocator allocator = {NULL, system_alloc, system_free};
  return &allocator;
}

weir_status weir_alloc(const weir_allocator *allocator, size_t bytes, size_t alignment, bool zero, void *out_memory) {
  void *memory = NULL;
  if (bytes) {
    if (bytes <= PTRDIFF_MAX) memory = allocator->alloc(allocator->context, bytes, alignment);
    if (!memory) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes", bytes);
    bool fresh = allocator->alloc == system_alloc && bytes >= MAPPED_BYTES;  // the kernel has zeroed it
    if (zero && !fresh) memset(memory, 0, bytes);
  }
  memcpy(out_memory, &memory, sizeof memory);
  return WEIR_OK;
}

void weir_free(const weir_allocator *allocator, void *memory, size_t bytes) {
  if (memory) allocator->free(allocator->context, memory, bytes);
}

struct weir_pool_block {
  weir_pool_block *next;
  size_t bytes;
  _Alignas(POOL_ALIGNMENT) unsigned char data[];
};

weir_status weir_pool_array(weir_pool *pool, size_t count, size_t size, void *out_memory) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, sizeof(weir_pool_block), &bytes)) {
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "%zu elements of %zu bytes overflow", count, size);
  }
  weir_pool_block *block;
  WEIR_TRY(weir_alloc(pool->allocator, bytes, POOL_ALIGNMENT, true, &block));
  block->next = pool->head;
  block->bytes = bytes;
  pool->head = block;
  void *memory = block->data;
  memcpy(out_memory, &memory, sizeof memory);
  return WEIR_OK;
}

weir_status weir_pool_strdup(weir_pool *pool, const char *text, const char **out_text) {
  char *copy;
  size_t bytes = strlen(text) + 1;
  WEIR_TRY(weir_pool_array(pool, bytes, 1, &copy));
  memcpy(copy, text, bytes);
  *out_text = copy;
  return WEIR_OK;
}

void weir_pool_deinit(weir_pool *pool) {
  while (pool->head) {
    weir_pool_block *block = pool->head;
    pool->head = block->next;
    weir_free(pool->allocator, block, block->bytes);
  }
}
