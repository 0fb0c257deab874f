// Copies that run beside the threads, and mbarriers.
//
// cp.async copies at once, and nobody may look before its thread has waited. Copies that signal an mbarrier stand in a
// queue until the warps have had their turn; what they bring is then dated by the mbarrier's own clock.
#include <string.h>

#include "ir/kernel_block_interp.h"

// ---- cp.async
bool ir_kw_async(ir_kw_machine *m, ir_kw_warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  int bytes = b->number, count = bytes / ir_ktype_bytes(b->to.type);
  for (int l = 0; l < IR_WARP; l++) {
    char *from;
    uint32_t to;
    bool on = w->at->condition == IR_KW_NONE || ir_kw_vector(m, w, w->at->condition)[l].i;
    if (!ir_kw_has(w->mask, l)) continue;
    if (!ir_kw_shared_offset(m, w, &w->at->to, l, bytes, bytes, &to)) return false;
    if (!ir_kw_copy_begins(m, w, w->block, b->to.buffer, to, (uint32_t)bytes, l)) return false;
    if (on && !ir_kw_touch(m, w, &w->at->from, l, count, bytes, IR_KW_READS, &from)) return false;
    char *shared = m->block[w->block].shared + to;
    if (on) memcpy(shared, from, (size_t)bytes);
    else memset(shared, 0, (size_t)bytes);
    ir_kw_copies_add(m->arena, &w->async[l], to, (uint32_t)bytes);
  }
  return true;
}

bool ir_kw_async_wait(ir_kw_machine *m, ir_kw_warp *w) {
  uint32_t now = w->clocks[w->block * m->warps + w->number];
  for (int l = 0; l < IR_WARP; l++) {
    ir_kw_copies *c = &w->async[l];
    if (!ir_kw_has(w->mask, l)) continue;
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
      const ir_kw_copy copy = c->items[i];
      if (copy.group >= c->group - w->at->stmt->block->number) c->items[kept++] = copy;
      else ir_kw_copy_ends(m, w->block, copy.offset, copy.bytes, ir_kw_thread(m, w, l), now);
    }
    c->count = kept;
  }
  return true;
}

// ---- mbarriers
// The one that |at| names for |lane|; null after a failure.
static ir_kw_mbarrier *mbarrier_at(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_place *at, int lane, int block,
                                   uint32_t *out_number) {
  const ir_kbuffer *buffer = &m->kernel->buffers[at->buffer];
  int64_t index = ir_kw_vector(m, w, at->index)[lane].i;
  if (index < 0 || index >= buffer->count) {
    ir_kw_fail(m, w, "no mbarrier %lld of '%s'", (long long)index, buffer->name);
    return NULL;
  }
  *out_number = m->offsets[at->buffer] + (uint32_t)index;
  ir_kw_mbarrier *b = &m->block[block].mbarriers[*out_number];
  bool makes = w->at->stmt->block->op == IR_KO_MBARRIER_INIT;
  if (makes || (b->ready && ir_kw_is_before(m, w, ir_kw_thread(m, w, lane), b->maker, b->made))) return b;
  ir_kw_fail(m, w,
             b->ready ? "mbarrier %lld of '%s' was initialised with no barrier between"
                      : "mbarrier %lld of '%s' is not initialised",
             (long long)index, buffer->name);
  return NULL;
}

static void complete_phase(ir_kw_mbarrier *b) {
  if (b->pending || b->bytes) return;
  b->phase++;
  b->pending = b->count;
}

// An arrival of |w|'s threads.
static bool arrive(ir_kw_machine *m, ir_kw_warp *w, ir_kw_mbarrier *b) {
  if (b->pending == 0) return ir_kw_fail(m, w, "more arrivals than the mbarrier counts");
  b->pending--;
  ir_kw_join(m, b->clocks, w->clocks);
  complete_phase(b);
  return true;
}

static bool mbarrier_op(ir_kw_machine *m, ir_kw_warp *w, int lane) {
  ir_kblock_op op = w->at->stmt->block->op;
  int64_t value = w->at->value == IR_KW_NONE ? 0 : ir_kw_vector(m, w, w->at->value)[lane].i;
  bool remote = op == IR_KO_MBARRIER_ARRIVE && w->at->value != IR_KW_NONE;
  if (remote && (value < 0 || value >= m->blocks))
    return ir_kw_fail(m, w, "no block %lld in the cluster", (long long)value);
  uint32_t number;
  ir_kw_mbarrier *b = mbarrier_at(m, w, &w->at->to, lane, remote ? (int)value : w->block, &number);
  if (!b) return false;
  if (op == IR_KO_MBARRIER_INIT) {
    if (value < 1 || value >= 1 << 20) return ir_kw_fail(m, w, "an mbarrier of %lld arrivals", (long long)value);
    if (b->ready) return ir_kw_fail(m, w, "the mbarrier is initialised already");
    b->ready = true;
    b->maker = (uint16_t)ir_kw_thread(m, w, lane);
    b->made = w->clocks[w->block * m->warps + w->number];
    b->count = b->pending = value;
    return true;
  }
  if (op == IR_KO_MBARRIER_EXPECT) {
    if (value < 0 || value >= 1 << 20) return ir_kw_fail(m, w, "%lld bytes expected", (long long)value);
    b->bytes += value;
  }
  return arrive(m, w, b);
}

bool ir_kw_mbarrier_op(ir_kw_machine *m, ir_kw_warp *w) {
  for (int l = 0; l < IR_WARP; l++)
    if (ir_kw_has(w->mask, l) && !mbarrier_op(m, w, l)) return false;
  // What comes after an arrival is later than what it publishes.
  w->clocks[w->block * m->warps + w->number]++;
  return true;
}

bool ir_kw_mbarrier_poll(ir_kw_machine *m, ir_kw_warp *w) {
  for (int l = 0; l < IR_WARP; l++) {
    const ir_kw_mbarrier *b = &m->block[w->block].mbarriers[w->wait_index[l]];
    if (ir_kw_has(w->mask, l) && (b->phase & 1) == (uint32_t)w->wait_parity[l]) return false;
  }
  for (int l = 0; l < IR_WARP; l++)
    if (ir_kw_has(w->mask, l)) ir_kw_join(m, w->clocks, m->block[w->block].mbarriers[w->wait_index[l]].clocks);
  return true;
}

bool ir_kw_mbarrier_wait(ir_kw_machine *m, ir_kw_warp *w) {
  for (int l = 0; l < IR_WARP; l++) {
    if (!ir_kw_has(w->mask, l)) continue;
    uint32_t number;
    const ir_kw_mbarrier *b = mbarrier_at(m, w, &w->at->to, l, w->block, &number);
    if (!b) return false;
    w->wait_index[l] = number;
    w->wait_parity[l] = ir_kw_vector(m, w, w->at->value)[l].i & 1;
  }
  if (!ir_kw_mbarrier_poll(m, w)) w->state = IR_KW_AT_MBARRIER;
  return true;
}

// ---- tma and bulk copies
// The bytes of a copy of this statement.
static int64_t transfer_bytes(const ir_kw_machine *m, const ir_kblock *b) {
  const ir_kmap *map = &m->kernel->maps[b->map];
  int64_t bytes = ir_ktype_bytes(map->type);
  for (int i = 0; i < map->rank; i++) bytes *= map->box[i];
  return bytes;
}

static bool start_bulk(ir_kw_machine *m, ir_kw_warp *w, int lane, ir_kw_transfer *t) {
  t->bytes = ir_kw_vector(m, w, w->at->value)[lane].i;
  if (t->bytes < 16 || t->bytes % 16) return ir_kw_fail(m, w, "a bulk copy of %lld bytes", (long long)t->bytes);
  if (t->bytes > IR_KB_MAX_SHARED) return ir_kw_fail(m, w, "a bulk copy of %lld bytes", (long long)t->bytes);
  int count = (int)t->bytes / ir_ktype_bytes(w->at->from.type);
  char *from;
  if (!ir_kw_touch(m, w, &w->at->from, lane, count, 16, IR_KW_READS, &from)) return false;
  t->from = from;
  return ir_kw_shared_offset(m, w, &w->at->to, lane, t->bytes, 16, &t->offset);
}

static bool start_tma(ir_kw_machine *m, ir_kw_warp *w, int lane, ir_kw_transfer *t) {
  const ir_kblock *b = w->at->stmt->block;
  const ir_kmap *map = &m->kernel->maps[b->map];
  t->bytes = transfer_bytes(m, b);
  for (int i = 0; i < map->rank; i++) t->coords[i] = ir_kw_vector(m, w, w->at->coords[i])[lane].i;
  return ir_kw_shared_offset(m, w, &w->at->to, lane, t->bytes, 128, &t->offset);
}

static bool start(ir_kw_machine *m, ir_kw_warp *w, int lane) {
  const ir_kblock *b = w->at->stmt->block;
  ir_kw_transfer t = {.stmt = w->at};
  bool tma = b->op == IR_KO_TMA;
  if (!(tma ? start_tma(m, w, lane, &t) : start_bulk(m, w, lane, &t))) return false;
  bool multicast = tma && w->at->value != IR_KW_NONE;
  int64_t to = multicast ? ir_kw_vector(m, w, w->at->value)[lane].i : INT64_C(1) << w->block;
  if (to <= 0 || to >> m->blocks) return ir_kw_fail(m, w, "multicast to blocks %#llx", (unsigned long long)to);
  for (int block = 0; block < m->blocks; block++) {
    if (!(to >> block & 1)) continue;
    if (!mbarrier_at(m, w, &w->at->signal, lane, block, &t.mbarrier)) return false;
    t.block = t.signal_block = block;
    if (!ir_kw_copy_begins(m, w, block, b->to.buffer, t.offset, (uint32_t)t.bytes, lane)) return false;
    WEIR_PUSH(m->arena, m->transfers, m->transfer_count, m->transfer_capacity, t);
  }
  return ir_kw_steps(m, (uint64_t)t.bytes / 64);
}

bool ir_kw_transfer_start(ir_kw_machine *m, ir_kw_warp *w) {
  for (int l = 0; l < IR_WARP; l++)
    if (ir_kw_has(w->mask, l) && !start(m, w, l)) return false;
  return true;
}

static uint32_t swizzled(uint32_t at, int swizzle) {
  return swizzle ? at ^ ((at >> 7 & (uint32_t)(swizzle / 16 - 1)) << 4) : at;
}

// Moves the box of |map| at |coords| between global memory and |offset| of |shared|, row by row of 16 bytes at most, as
// swizzling leaves them together.
static void move_box(const ir_kw_machine *m, int number, const int64_t *coords, char *shared, uint32_t offset,
                     bool store) {
  const ir_kmap *map = &m->kernel->maps[number];
  const int64_t *dims = m->map_dims[number], *strides = m->map_strides[number];
  char *base = m->buffers[map->buffer].base + m->map_offset[number];
  uint32_t size = (uint32_t)ir_ktype_bytes(map->type);
  int64_t count = 1, at[IR_KMAP_MAX_RANK] = {0};
  for (int i = 0; i < map->rank; i++) count *= map->box[i];
  for (int64_t n = 0; n < count; n++) {
    int64_t element = 0;
    bool inside = true;
    for (int i = 0; i < map->rank; i++) {
      int64_t x;
      inside = inside && !__builtin_add_overflow(coords[i], at[i], &x) && x >= 0 && x < dims[i];
      if (inside) element += x * strides[i];
    }
    char *here = shared + swizzled(offset + (uint32_t)n * size, map->swizzle);
    if (store && inside) memcpy(base + element * size, here, size);
    else if (!store && inside) memcpy(here, base + element * size, size);
    else if (!store) memset(here, 0, size);
    for (int i = 0; i < map->rank && ++at[i] == map->box[i]; i++) at[i] = 0;
  }
}

bool ir_kw_transfer_finish(ir_kw_machine *m) {
  if (m->transfer_first == m->transfer_count) return false;
  const ir_kw_transfer *t = &m->transfers[m->transfer_first++];
  const ir_kblock *b = t->stmt->stmt->block;
  ir_kw_mbarrier *signal = &m->block[t->signal_block].mbarriers[t->mbarrier];
  char *shared = m->block[t->block].shared;
  if (b->op == IR_KO_TMA) move_box(m, b->map, t->coords, shared, t->offset, false);
  else memcpy(shared + t->offset, t->from, (size_t)t->bytes);
  int agent = t->signal_block * m->mbarrier_count + (int)t->mbarrier;
  signal->clock++;
  ir_kw_copy_ends(m, t->block, t->offset, (uint32_t)t->bytes, IR_KW_AGENT + agent, signal->clock);
  signal->clocks[m->warp_count + agent] = signal->clock;
  signal->bytes -= t->bytes;
  complete_phase(signal);
  if (m->transfer_first == m->transfer_count) m->transfer_first = m->transfer_count = 0;
  return true;
}

// ---- stores
bool ir_kw_tma_store(ir_kw_machine *m, ir_kw_warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  const ir_kmap *map = &m->kernel->maps[b->map];
  int64_t bytes = transfer_bytes(m, b);
  for (int l = 0; l < IR_WARP; l++) {
    int64_t coords[IR_KMAP_MAX_RANK];
    uint32_t offset;
    if (!ir_kw_has(w->mask, l)) continue;
    for (int i = 0; i < map->rank; i++) coords[i] = ir_kw_vector(m, w, w->at->coords[i])[l].i;
    if (!ir_kw_shared_offset(m, w, &w->at->from, l, bytes, 128, &offset)) return false;
    if (!ir_kw_reading_begins(m, w, b->from.buffer, offset, (uint32_t)bytes, l)) return false;
    move_box(m, b->map, coords, m->block[w->block].shared, offset, true);
    ir_kw_copies_add(m->arena, &w->stores[l], offset, (uint32_t)bytes);
    if (!ir_kw_steps(m, (uint64_t)bytes / 64)) return false;
  }
  return true;
}

bool ir_kw_tma_wait(ir_kw_machine *m, ir_kw_warp *w) {
  for (int l = 0; l < IR_WARP; l++) {
    ir_kw_copies *c = &w->stores[l];
    if (!ir_kw_has(w->mask, l)) continue;
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
      const ir_kw_copy copy = c->items[i];
      if (copy.group >= c->group - w->at->stmt->block->number) c->items[kept++] = copy;
      else if (!ir_kw_reading_ends(m, w, copy.offset, copy.bytes, l)) return false;
    }
    c->count = kept;
  }
  return true;
}
