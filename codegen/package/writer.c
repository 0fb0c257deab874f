// The package writer: the file grows by appending only; header and table are written last, so that an unfinished file
// is no package.
#include "codegen/package/writer.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/io.h"
#include "runtime/package/format.h"
#include "runtime/package/package.h"

struct cg_package_writer {
  weir_arena arena;  // records and index text
  weir_atomic_file file;
  weir_status failure;  // the first one
  rt_package_record *records;
  int record_count, record_capacity;
  bool open;  // a section is being written
  const cg_signing_key *key;
  weir_hasher hasher;
  struct index_line {
    const char *key;  // for messages about duplicates, which the reader finds
    const char *text;
  } * lines;
  int line_count, line_capacity;
};

static const uint8_t zeros[RT_PACKAGE_ALIGNMENT];

// A status that says the same as the first failure.
static weir_status failure_again(const cg_package_writer *w) {
  return weir_status_make(weir_status_code(w->failure), "%s", weir_status_message(w->failure));
}

// Remembers |status| if it is the first failure; hands on a copy.
static weir_status keep(cg_package_writer *w, weir_status status) {
  if (!status) return WEIR_OK;
  if (w->failure) {
    weir_status_release(status);
  } else {
    w->failure = status;
  }
  return failure_again(w);
}

static weir_status refuse(cg_package_writer *w, const char *what, const char *name) {
  return keep(w, weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "package writer: %s '%s'", what, name));
}

weir_status cg_package_create(const char *path, cg_package_writer **out_writer) {
  cg_package_writer *w = calloc(1, sizeof *w);
  if (!w) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a package writer");
  weir_arena_init(&w->arena);
  weir_status status = weir_atomic_file_open(path, &w->file);
  if (status) {
    weir_arena_deinit(&w->arena);
    free(w);
    return status;
  }
  // Room for the header, filled in by commit.
  status = weir_atomic_file_write(&w->file, zeros, RT_PACKAGE_ALIGNMENT);
  if (status) {
    cg_package_discard(w);
    return status;
  }
  *out_writer = w;
  return WEIR_OK;
}

// Zeros up to the next multiple of |unit|, counted in the hash if |hashed|.
static weir_status pad(cg_package_writer *w, uint64_t position, uint64_t unit, bool hashed) {
  size_t missing = (size_t)((unit - position % unit) % unit);
  if (hashed) weir_hasher_add(&w->hasher, zeros, missing);
  return missing ? weir_atomic_file_write(&w->file, zeros, missing) : WEIR_OK;
}

weir_status cg_package_begin(cg_package_writer *w, const char *name) {
  if (w->failure) return failure_again(w);
  if (w->open) return refuse(w, "a section is open already before", name);
  if (!rt_package_name_valid(name)) return refuse(w, "bad section name", name);
  if (w->record_count == RT_PACKAGE_MAX_SECTIONS) return refuse(w, "too many sections with", name);
  for (int i = 0; i < w->record_count; i++) {
    if (!strcmp(w->records[i].name, name)) return refuse(w, "a section twice:", name);
  }
  WEIR_TRY(keep(w, pad(w, w->file.size_bytes, RT_PACKAGE_ALIGNMENT, false)));
  rt_package_record record = {.offset = w->file.size_bytes};
  memcpy(record.name, name, strlen(name));
  WEIR_PUSH(&w->arena, w->records, w->record_count, w->record_capacity, record);
  weir_hasher_init(&w->hasher);
  w->open = true;
  return WEIR_OK;
}

weir_status cg_package_append(cg_package_writer *w, const void *data, size_t bytes) {
  if (w->failure) return failure_again(w);
  if (!w->open) return refuse(w, "no section is open", "append");
  if (!bytes) return WEIR_OK;
  weir_hasher_add(&w->hasher, data, bytes);
  return keep(w, weir_atomic_file_write(&w->file, data, bytes));
}

weir_status cg_package_end(cg_package_writer *w) {
  if (w->failure) return failure_again(w);
  if (!w->open) return refuse(w, "no section is open", "end");
  rt_package_record *record = &w->records[w->record_count - 1];
  record->bytes = w->file.size_bytes - record->offset;
  weir_hash hash;
  weir_hasher_finish(&w->hasher, &hash);
  memcpy(record->hash, hash.bytes, sizeof record->hash);
  w->open = false;
  return WEIR_OK;
}

weir_status cg_package_add(cg_package_writer *w, const char *name, const void *data, size_t bytes) {
  WEIR_TRY(cg_package_begin(w, name));
  WEIR_TRY(cg_package_append(w, data, bytes));
  return cg_package_end(w);
}

// ---- weights

weir_status cg_package_weights_begin(cg_package_writer *w) { return cg_package_begin(w, RT_SECTION_WEIGHTS); }

static bool word_valid(const char *word) {
  for (const char *p = word; *p; p++) {
    if (*p <= ' ' || *p >= 0x7f) return false;
  }
  return *word != 0;
}

weir_status cg_package_weight(cg_package_writer *w, const char *key, const char *storage, const char *layout,
                              const char *dims, const void *data, size_t bytes) {
  if (w->failure) return failure_again(w);
  if (!w->open || strcmp(w->records[w->record_count - 1].name, RT_SECTION_WEIGHTS)) {
    return refuse(w, "the weights are not open for", key);
  }
  if (!word_valid(key) || !word_valid(storage) || !word_valid(layout) || !word_valid(dims)) {
    return refuse(w, "a field with spaces for weight", key);
  }
  uint64_t start = w->records[w->record_count - 1].offset;
  WEIR_TRY(keep(w, pad(w, w->file.size_bytes - start, RT_PACKAGE_WEIGHT_ALIGNMENT, true)));
  uint64_t offset = w->file.size_bytes - start;
  const char *text = weir_arena_printf(&w->arena, "%s %s %s %s %llu %zu\n", key, storage, layout, dims,
                                       (unsigned long long)offset, bytes);
  WEIR_PUSH(&w->arena, w->lines, w->line_count, w->line_capacity,
            ((struct index_line){weir_arena_strdup(&w->arena, key), text}));
  return cg_package_append(w, data, bytes);
}

static int line_compare(const void *a, const void *b) {
  return strcmp(((const struct index_line *)a)->key, ((const struct index_line *)b)->key);
}

// Kernels may read whole vectors, a few bytes past the last element: the section ends on a multiple of 64 too.
weir_status cg_package_weights_end(cg_package_writer *w) {
  if (w->failure) return failure_again(w);
  if (!w->open) return refuse(w, "the weights are not open for", "end");
  uint64_t start = w->records[w->record_count - 1].offset;
  WEIR_TRY(keep(w, pad(w, w->file.size_bytes - start, RT_PACKAGE_WEIGHT_ALIGNMENT, true)));
  WEIR_TRY(cg_package_end(w));
  WEIR_TRY(cg_package_begin(w, RT_SECTION_WEIGHTS_INDEX));
  const char *title = weir_arena_printf(&w->arena, "weights %d\n", w->line_count);
  WEIR_TRY(cg_package_append(w, title, strlen(title)));
  for (int i = 0; i < w->line_count; i++) WEIR_TRY(cg_package_append(w, w->lines[i].text, strlen(w->lines[i].text)));
  if (w->line_count) qsort(w->lines, (size_t)w->line_count, sizeof *w->lines, line_compare);
  for (int i = 1; i < w->line_count; i++) {
    if (!strcmp(w->lines[i - 1].key, w->lines[i].key)) return refuse(w, "a weight twice:", w->lines[i].key);
  }
  return cg_package_end(w);
}

// ---- the end

static weir_status finish(cg_package_writer *w, weir_hash *out_hash) {
  if (w->failure) return failure_again(w);
  if (w->open) return refuse(w, "a section is still open at", "commit");
  WEIR_TRY(pad(w, w->file.size_bytes, RT_PACKAGE_ALIGNMENT, false));
  size_t table_bytes = (size_t)w->record_count * sizeof *w->records;
  rt_package_header header = {
      .version = RT_PACKAGE_VERSION,
      .section_count = (uint32_t)w->record_count,
      .file_bytes = w->file.size_bytes + table_bytes,
      .table_offset = w->file.size_bytes,
  };
  memcpy(header.magic, RT_PACKAGE_MAGIC, sizeof header.magic);
  weir_hasher_init(&w->hasher);
  weir_hasher_add(&w->hasher, &header, offsetof(rt_package_header, table_hash));
  weir_hasher_add(&w->hasher, w->records, table_bytes);
  weir_hasher_finish(&w->hasher, out_hash);
  memcpy(header.table_hash, out_hash->bytes, sizeof header.table_hash);
  if (table_bytes) WEIR_TRY(weir_atomic_file_write(&w->file, w->records, table_bytes));
  if (w->key) {
    rt_package_signature signature;
    WEIR_TRY(cg_sign(w->key, out_hash, &signature));
    WEIR_TRY(weir_atomic_file_write(&w->file, &signature, sizeof signature));
  }
  return weir_atomic_file_write_at(&w->file, 0, &header, sizeof header);
}

void cg_package_sign(cg_package_writer *w, const cg_signing_key *key) { w->key = key; }

weir_status cg_package_commit(cg_package_writer *w, uint64_t *out_bytes, weir_hash *out_hash) {
  weir_hash hash;
  weir_status status = finish(w, &hash);
  uint64_t bytes = w->file.size_bytes;
  if (status) {
    cg_package_discard(w);
    return status;
  }
  status = weir_atomic_file_commit(&w->file);  // ends the file, also where it fails
  weir_arena_deinit(&w->arena);
  free(w);
  if (status) return status;
  if (out_bytes) *out_bytes = bytes;
  if (out_hash) *out_hash = hash;
  return WEIR_OK;
}

void cg_package_discard(cg_package_writer *w) {
  if (!w) return;
  weir_atomic_file_discard(&w->file);
  weir_status_release(w->failure);
  weir_arena_deinit(&w->arena);
  free(w);
}
