// The memory plan of a program: offsets in one arena, exact for every value of the sizes.
//
// A buffer's size is bytes times a product of sizes (rows, requests). Buffers with the same product can share a place
// when they are not alive in the same phase (the launches between two syncs run at once); a place is as large as its
// largest buffer, to the next multiple of 64. Places stand after one another, so offsets and the peak are expressions
// in the sizes, known before a run.
#ifndef WEIR_CODEGEN_LOWER_MEMORY_H
#define WEIR_CODEGEN_LOWER_MEMORY_H

#include "runtime/base/program.h"

typedef struct {
  const char *name;
  int64_t bytes;         // times |shape| times |rows|
  const void *rows_key;  // as shape_key
  rt_expr rows;
  const void *shape_key;  // equal keys are equal shapes; null for none
  rt_expr shape;
  int first, last;  // phases in which it is alive, inclusive; -1 if never
} memory_buffer;

// Fills |program|'s buffers (one per entry of |buffers|, same order) and arena_bytes.
void cg_plan_memory(weir_arena *arena, const memory_buffer *buffers, int count, rt_program *program);

#endif
