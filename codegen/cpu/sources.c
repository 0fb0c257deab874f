// Small kernels share files, cut where the hash of a text says so (content-defined chunking): on average four a file.
#include "codegen/cpu/sources.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/internal.h"

enum { SMALL_BYTES = 6000, FILE_BYTES = 24000, CUT = 4 };

typedef struct {
  const char *name;
  cg_printed printed;
} entry;

static int by_name(const void *a, const void *b) {
  const entry *x = *(const entry *const *)a, *y = *(const entry *const *)b;
  return strcmp(x->name, y->name);
}

static uint32_t fnv(const char *text) {
  uint32_t hash = 2166136261u;
  for (; *text; text++) hash = (hash ^ (uint8_t)*text) * 16777619u;
  return hash ^ hash >> 16;
}

// How many of |entries| the next file holds.
static int file_length(entry *const *entries, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) {
    const cg_printed *p = &entries[i]->printed;
    if (p->bytes > SMALL_BYTES) return i ? i : 1;
    bytes += p->bytes;
    if (bytes > FILE_BYTES || fnv(p->text) % CUT == 0) return i + 1;
  }
  return count;
}

weir_status cg_sources_make(weir_arena *arena, const ir_kernel *const *kernels, int count, cg_source **out_sources,
                            int *out_count) {
  entry *all = WEIR_NEW_ARRAY(arena, entry, count + 1), **sorted = WEIR_NEW_ARRAY(arena, entry *, count + 1);
  for (int i = 0; i < count; i++) {
    all[i].name = kernels[i]->name;
    WEIR_TRY(cg_print_kernel(arena, kernels[i], &all[i].printed));
    sorted[i] = &all[i];
  }
  qsort(sorted, (size_t)count, sizeof *sorted, by_name);
  cg_source *sources = NULL;
  int capacity = 0;
  *out_count = 0;
  const cg_printed **members = WEIR_NEW_ARRAY(arena, const cg_printed *, count + 1);
  for (int from = 0; from < count || !*out_count;) {
    int length = file_length(sorted + from, count - from);
    for (int i = 0; i < length; i++) members[i] = &sorted[from + i]->printed;
    const char *text = cg_print_file(arena, members, length);
    cg_source source = {length ? sorted[from]->name : "k_none", text, strlen(text)};
    WEIR_PUSH(arena, sources, *out_count, capacity, source);
    from += length ? length : 1;
  }
  *out_sources = sources;
  return WEIR_OK;
}
