// Places for buffers: largest first, into the first place of the same product whose buffers are never alive at the same
// time.
#include "codegen/lower/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

typedef struct {
  int64_t bytes;
  const memory_buffer *shape;  // whose factors it has
  int *members, count, capacity;
} place;

static bool same_factors(const memory_buffer *a, const memory_buffer *b) {
  return a->rows_key == b->rows_key && a->shape_key == b->shape_key;
}

static bool overlap(const memory_buffer *a, const memory_buffer *b) {
  return a->first <= b->last && b->first <= a->last;
}

static bool fits(const place *at, const memory_buffer *buffers, const memory_buffer *wanted) {
  if (!same_factors(at->shape, wanted)) return false;
  for (int i = 0; i < at->count; i++)
    if (overlap(&buffers[at->members[i]], wanted)) return false;
  return true;
}

typedef struct {
  int64_t bytes;
  int index;
} order_entry;

static int larger_first(const void *a, const void *b) {
  const order_entry *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  return x->index - y->index;
}

static rt_expr place_bytes(weir_arena *arena, const place *at) {
  rt_expr total = rt_expr_const(arena, at->bytes);
  if (at->shape->shape_key) total = rt_expr_binary(arena, RT_SIZE_MUL, total, at->shape->shape);
  if (at->shape->rows_key) total = rt_expr_binary(arena, RT_SIZE_MUL, total, at->shape->rows);
  return total;
}

// Up to the next place, which begins on a multiple of ALIGN.
static rt_expr place_room(weir_arena *arena, const place *at) {
  rt_expr bytes = place_bytes(arena, at), align = rt_expr_const(arena, ALIGN);
  if (at->bytes % ALIGN == 0) return bytes;
  bytes = rt_expr_binary(arena, RT_SIZE_ADD, bytes, rt_expr_const(arena, ALIGN - 1));
  return rt_expr_binary(arena, RT_SIZE_MUL, rt_expr_binary(arena, RT_SIZE_DIV, bytes, align), align);
}

static rt_expr buffer_bytes(weir_arena *arena, const memory_buffer *buffer) {
  place alone = {.bytes = buffer->bytes, .shape = buffer};
  return place_bytes(arena, &alone);
}

void cg_plan_memory(weir_arena *arena, const memory_buffer *buffers, int count, rt_program *program) {
  order_entry *order = WEIR_NEW_ARRAY(arena, order_entry, count);
  int *place_of = WEIR_NEW_ARRAY(arena, int, count);
  place *places = NULL;
  int place_count = 0, place_capacity = 0;
  for (int i = 0; i < count; i++) order[i] = (order_entry){buffers[i].bytes, i};
  qsort(order, (size_t)count, sizeof *order, larger_first);
  for (int i = 0; i < count; i++) {
    const memory_buffer *wanted = &buffers[order[i].index];
    int at = 0;
    while (at < place_count && !fits(&places[at], buffers, wanted)) at++;
    if (at == place_count) {
      place added = {.bytes = wanted->bytes, .shape = wanted};
      WEIR_PUSH(arena, places, place_count, place_capacity, added);
    }
    WEIR_PUSH(arena, places[at].members, places[at].count, places[at].capacity, order[i].index);
    place_of[order[i].index] = at;
  }
  rt_expr *offsets = WEIR_NEW_ARRAY(arena, rt_expr, place_count);
  rt_expr end = rt_expr_const(arena, 0);
  for (int i = 0; i < place_count; i++) {
    offsets[i] = end;
    end = rt_expr_binary(arena, RT_SIZE_ADD, end, place_room(arena, &places[i]));
  }
  program->buffers = WEIR_NEW_ARRAY(arena, rt_buffer, count);
  program->buffer_count = count;
  for (int i = 0; i < count; i++)
    program->buffers[i] = (rt_buffer){buffer_bytes(arena, &buffers[i]), offsets[place_of[i]], buffers[i].name};
  program->arena_bytes = end;
}
