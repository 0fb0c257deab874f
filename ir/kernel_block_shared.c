// Memory of block kernels: bounds, alignment, and for shared memory who wrote and read each granule when.
//
// Two accesses of different threads, one of them a write, must be ordered: by what the later thread's warp knows of the
// clock of the earlier one's, within a warp by what barrier_warp and the barriers make known to all its threads. Reads
// are kept as one where the later comes after the earlier; where they are unordered, as a vector over all clocks.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ir/kernel_block_interp.h"

bool ir_kw_fail(ir_kw_machine *m, const ir_kw_warp *w, const char *fmt, ...) {
  char what[240];
  va_list args;
  va_start(args, fmt);
  vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  if (m->status) return false;
  const char *line = w->at ? ir_kernel_print_stmt(m->arena, m->kernel, w->at->stmt) : "the end";
  m->status = weir_status_make(WEIR_CODE_INVALID_DATA, "kernel %s, item %lld: %s in: %s", m->kernel->name,
                               (long long)m->block[w->block].item, what, line);
  return false;
}

bool ir_kw_steps(ir_kw_machine *m, uint64_t count) {
  m->steps += count;
  if (m->options->step_limit == 0 || m->steps <= m->options->step_limit) return true;
  if (!m->status) m->status = weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel %s: too many steps", m->kernel->name);
  return false;
}

void ir_kw_join(const ir_kw_machine *m, uint32_t *clocks, const uint32_t *other) {
  for (int i = 0; i < m->clock_count; i++)
    if (other[i] > clocks[i]) clocks[i] = other[i];
}

// ---- order
static int clock_of_thread(const ir_kw_machine *m, int thread) {
  return thread >= IR_KW_AGENT ? m->warp_count + thread - IR_KW_AGENT : thread / IR_WARP;
}

bool ir_kw_is_before(const ir_kw_machine *m, const ir_kw_warp *w, int self, int thread, uint32_t clock) {
  int other = clock_of_thread(m, thread), own = w->block * m->warps + w->number;
  if (thread == self) return true;
  return clock <= (other == own ? w->synced : w->clocks[other]);
}

typedef struct {
  ir_kw_machine *m;
  ir_kw_warp *w;
  int block, buffer, lane, self;
  uint32_t offset;
} access;

static bool conflict(const access *a, const char *what, int thread, const char *did) {
  const char *name = a->m->kernel->buffers[a->buffer].name;
  long long byte = (long long)a->offset - a->m->offsets[a->buffer];
  int of_block = a->m->kernel->threads;
  if (thread >= IR_KW_AGENT)
    return ir_kw_fail(a->m, a->w, "thread %d %s '%s' at byte %lld, where a copy %s it and was not waited for",
                      a->self % of_block, what, name, byte, did);
  char who[32] = "others of its warp";
  if (thread != a->self) snprintf(who, sizeof who, "thread %d", thread % of_block);
  return ir_kw_fail(a->m, a->w, "thread %d %s '%s' at byte %lld, which %s %s with no barrier between",
                    a->self % of_block, what, name, byte, who, did);
}

// ---- reads
static ir_kw_reader *readers_of(ir_kw_machine *m, ir_kw_cell *cell) {
  if (cell->readers) return &m->readers[(size_t)cell->readers * (size_t)m->warp_count];
  if (m->reader_count + 1 >= m->reader_capacity) {  // number 0 stands for none
    uint32_t capacity = m->reader_capacity ? 2 * m->reader_capacity : 1024;
    size_t row = (size_t)m->warp_count;
    m->readers = weir_arena_grow(m->arena, m->readers, m->reader_capacity * row, capacity * row, sizeof *m->readers);
    m->reader_capacity = capacity;
  }
  cell->readers = ++m->reader_count;
  ir_kw_reader *row = &m->readers[(size_t)cell->readers * (size_t)m->warp_count];
  memset(row, 0, sizeof *row * (size_t)m->warp_count);
  row[clock_of_thread(m, cell->reader)] = (ir_kw_reader){cell->read_clock, cell->reader, cell->many};
  return row;
}

static void note_read(const access *a, ir_kw_cell *cell) {
  const ir_kw_warp *w = a->w;
  int own = w->block * a->m->warps + w->number;
  uint32_t now = w->clocks[own];
  bool of_warp = cell->read_clock && clock_of_thread(a->m, cell->reader) == own;
  if (!cell->readers &&
      (!cell->read_clock || of_warp || ir_kw_is_before(a->m, w, a->self, cell->reader, cell->read_clock))) {
    bool alone = !of_warp || cell->read_clock <= w->synced || (cell->reader == a->self && !cell->many);
    cell->many = !alone;
    cell->reader = (uint16_t)a->self;
    cell->read_clock = now;
    return;
  }
  ir_kw_reader *r = &readers_of(a->m, cell)[own];
  bool alone = r->clock == 0 || r->clock <= w->synced || (r->thread == a->self && !r->many);
  *r = (ir_kw_reader){now, (uint16_t)a->self, !alone};
}

static bool read_is_before(const access *a, int thread, uint32_t clock, bool many) {
  if (clock == 0) return true;
  // Of several readers of the own warp one is another thread.
  int own = a->w->block * a->m->warps + a->w->number;
  if (many && clock_of_thread(a->m, thread) == own) return clock <= a->w->synced;
  return ir_kw_is_before(a->m, a->w, a->self, thread, clock);
}

static bool check_reads(const access *a, const ir_kw_cell *cell) {
  if (cell->reading)
    return ir_kw_fail(a->m, a->w, "thread %d writes '%s' at byte %lld, which a wgmma or tma_store may still read",
                      a->self % a->m->kernel->threads, a->m->kernel->buffers[a->buffer].name,
                      (long long)a->offset - a->m->offsets[a->buffer]);
  if (!cell->readers)
    return read_is_before(a, cell->reader, cell->read_clock, cell->many) || conflict(a, "writes", cell->reader, "read");
  const ir_kw_reader *row = &a->m->readers[(size_t)cell->readers * (size_t)a->m->warp_count];
  for (int i = 0; i < a->m->warp_count; i++)
    if (!read_is_before(a, row[i].thread, row[i].clock, row[i].many))
      return conflict(a, "writes", row[i].thread, "read");
  return true;
}

// ---- accesses
static bool record_cell(access *a, ir_kw_cell *cell, ir_kw_access how) {
  const ir_kw_warp *w = a->w;
  uint32_t now = w->clocks[w->block * a->m->warps + w->number];
  if (cell->copying)
    return ir_kw_fail(a->m, w, "thread %d %s '%s' at byte %lld before the copy into it is complete",
                      a->self % a->m->kernel->threads, how == IR_KW_READS ? "reads" : "writes",
                      a->m->kernel->buffers[a->buffer].name, (long long)a->offset - a->m->offsets[a->buffer]);
  if (!cell->written && how != IR_KW_WRITES)
    return ir_kw_fail(a->m, w, "thread %d reads '%s' at byte %lld, which is not written",
                      a->self % a->m->kernel->threads, a->m->kernel->buffers[a->buffer].name,
                      (long long)a->offset - a->m->offsets[a->buffer]);
  bool both_atomic = cell->atomic && how == IR_KW_ATOMIC;
  if (cell->written && !both_atomic && !ir_kw_is_before(a->m, w, a->self, cell->writer, cell->write_clock))
    return conflict(a, how == IR_KW_READS ? "reads" : "writes", cell->writer, "wrote");
  if (how == IR_KW_READS) {
    note_read(a, cell);
    return true;
  }
  if (!check_reads(a, cell)) return false;
  *cell = (ir_kw_cell){.written = true, .atomic = how == IR_KW_ATOMIC, .writer = (uint16_t)a->self, .write_clock = now};
  return true;
}

bool ir_kw_record(ir_kw_machine *m, ir_kw_warp *w, int block, int buffer, uint32_t offset, uint32_t bytes, int lane,
                  ir_kw_access how) {
  access a = {m, w, block, buffer, lane, ir_kw_thread(m, w, lane), offset};
  uint32_t granule = (uint32_t)m->code.granule;
  for (; a.offset < offset + bytes; a.offset += granule)
    if (!record_cell(&a, &m->block[block].cells[a.offset / granule], how)) return false;
  return true;
}

// Bytes of an access to |at| for |lane|: checked against the buffer of |*out_base|.
static bool locate(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_place *at, int lane, int64_t count, int align,
                   uint64_t *out_at, char **out_base) {
  const ir_ki_memory *b = &m->buffers[at->buffer];
  uint64_t size = (uint64_t)ir_ktype_bytes(at->type);
  int64_t index = ir_kw_vector(m, w, at->index)[lane].i;
  bool inside =
      index >= 0 && (uint64_t)index <= b->bytes / size && (uint64_t)count <= b->bytes / size - (uint64_t)index;
  char request[40] = "";
  *out_base = b->base;
  if (b->table) {
    int64_t r = ir_kw_vector(m, w, at->request)[lane].i;
    snprintf(request, sizeof request, "request %lld, ", (long long)r);
    inside = inside && r >= 0 && r < b->requests && b->table[r];
    if (inside) *out_base = b->table[r];
  }
  int thread = ir_kw_thread(m, w, lane) % m->kernel->threads;
  const char *name = m->kernel->buffers[at->buffer].name;
  if (!inside)
    return ir_kw_fail(m, w, "thread %d: access outside of '%s' (%llu bytes) at %s%s element %lld", thread, name,
                      (unsigned long long)b->bytes, request, ir_ktype_name(at->type), (long long)index);
  *out_at = (uint64_t)index * size;
  return *out_at % (uint64_t)align == 0 ||
         ir_kw_fail(m, w, "thread %d: access to '%s' at byte %llu, which is no multiple of %d", thread, name,
                    (unsigned long long)*out_at, align);
}

bool ir_kw_touch(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_place *at, int lane, int count, int align,
                 ir_kw_access how, char **out) {
  uint64_t byte = 0;
  char *base;
  if (!locate(m, w, at, lane, count, align, &byte, &base)) return false;
  if (m->kernel->buffers[at->buffer].kind != IR_KB_SHARED) {
    *out = base + byte;
    return true;
  }
  uint32_t offset = m->offsets[at->buffer] + (uint32_t)byte;
  *out = m->block[w->block].shared + offset;
  uint32_t bytes = (uint32_t)(count * ir_ktype_bytes(at->type));
  return ir_kw_record(m, w, w->block, at->buffer, offset, bytes, lane, how);
}

bool ir_kw_shared_offset(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_place *at, int lane, int64_t bytes, int align,
                         uint32_t *out) {
  uint64_t byte = 0;
  char *base;
  int size = ir_ktype_bytes(at->type);
  if (!locate(m, w, at, lane, (bytes + size - 1) / size, align, &byte, &base)) return false;
  *out = m->offsets[at->buffer] + (uint32_t)byte;
  return true;
}

// ---- copies by others than threads
bool ir_kw_copy_begins(ir_kw_machine *m, ir_kw_warp *w, int block, int buffer, uint32_t offset, uint32_t bytes,
                       int lane) {
  if (!ir_kw_record(m, w, block, buffer, offset, bytes, lane, IR_KW_WRITES)) return false;
  uint32_t granule = (uint32_t)m->code.granule;
  for (uint32_t at = offset; at < offset + bytes; at += granule) m->block[block].cells[at / granule].copying = true;
  return true;
}

void ir_kw_copy_ends(ir_kw_machine *m, int block, uint32_t offset, uint32_t bytes, int writer, uint32_t clock) {
  uint32_t granule = (uint32_t)m->code.granule;
  for (uint32_t at = offset; at < offset + bytes; at += granule)
    m->block[block].cells[at / granule] =
        (ir_kw_cell){.written = true, .writer = (uint16_t)writer, .write_clock = clock};
}

bool ir_kw_reading_begins(ir_kw_machine *m, ir_kw_warp *w, int buffer, uint32_t offset, uint32_t bytes, int lane) {
  if (!ir_kw_record(m, w, w->block, buffer, offset, bytes, lane, IR_KW_READS)) return false;
  uint32_t granule = (uint32_t)m->code.granule;
  for (uint32_t at = offset; at < offset + bytes; at += granule) {
    ir_kw_cell *cell = &m->block[w->block].cells[at / granule];
    cell->reading++;
    if (cell->writer >= IR_KW_AGENT) continue;
    const ir_kw_warp *by = &m->warp[cell->writer / IR_WARP];
    if (cell->write_clock > by->fenced[cell->writer % IR_WARP])
      return ir_kw_fail(m, w, "'%s' at byte %lld was written by thread %d without a fence_async",
                        m->kernel->buffers[buffer].name, (long long)at - m->offsets[buffer],
                        cell->writer % m->kernel->threads);
  }
  return true;
}

bool ir_kw_reading_ends(ir_kw_machine *m, ir_kw_warp *w, uint32_t offset, uint32_t bytes, int lane) {
  uint32_t granule = (uint32_t)m->code.granule;
  access a = {m, w, w->block, 0, lane, ir_kw_thread(m, w, lane), offset};
  for (uint32_t at = offset; at < offset + bytes; at += granule) {
    ir_kw_cell *cell = &m->block[w->block].cells[at / granule];
    cell->reading--;
    note_read(&a, cell);
  }
  return true;
}

void ir_kw_copies_add(weir_arena *arena, ir_kw_copies *c, uint32_t offset, uint32_t bytes) {
  ir_kw_copy copy = {offset, bytes, c->group};
  WEIR_PUSH(arena, c->items, c->count, c->capacity, copy);
}
