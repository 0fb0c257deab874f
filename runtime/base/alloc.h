// Allocator: how the runtime gets memory. Passed in explicitly by whoever loads a model; never global.
//
// Unlike an arena it can fail (null) and its blocks are freed one by one. The runtime calls it while things are
// created, grown or destroyed, never on the step path. The owner of a block remembers its size. Functions of one
// allocator may be called from any thread, several at once.
#ifndef WEIR_RUNTIME_BASE_ALLOC_H
#define WEIR_RUNTIME_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_allocator {
  void *context;
  // |bytes| > 0, |alignment| a power of two from 16 to 4096. Null when there is no memory. Contents are undefined.
  void *(*alloc)(void *context, size_t bytes, size_t alignment);
  // |bytes| as it was asked for. |memory| is not null.
  void (*free)(void *context, void *memory, size_t bytes);
} weir_allocator;

// The system's memory. Large blocks are mapped on their own and cost nothing until they are touched: room for a long
// session may be taken generously.
const weir_allocator *weir_allocator_system(void);

// |*out_memory| is zeroed when |zero|. No bytes yield null and success. OUT_OF_MEMORY otherwise, with the amount.
weir_status weir_alloc(const weir_allocator *allocator, size_t bytes, size_t alignment, bool zero,
                       void *out_memory) WEIR_MUST_USE;
// Null is allowed.
void weir_free(const weir_allocator *allocator, void *memory, size_t bytes);

// A pool: many small blocks of one owner, freed together. A zeroed struct with an allocator is an empty pool.
typedef struct weir_pool_block weir_pool_block;
typedef struct {
  const weir_allocator *allocator;
  weir_pool_block *head;
} weir_pool;
// |count| * |size| zeroed bytes, 64-byte aligned; never null on success. OUT_OF_MEMORY on failure or overflow.
weir_status weir_pool_array(weir_pool *pool, size_t count, size_t size, void *out_memory) WEIR_MUST_USE;
weir_status weir_pool_strdup(weir_pool *pool, const char *text, const char **out_text) WEIR_MUST_USE;
// Frees everything; the pool may be used again.
void weir_pool_deinit(weir_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
