// Runs block kernels: warps in turns, each until it has to wait; the blocks of a cluster together.
//
// Every turn of all warps is followed by the completion of one copy under way, so that what does not wait for it is
// caught. Where nothing moves any more, the threads that wait do so for ever: an error.
#include <string.h>

#include "ir/kernel_block_interp.h"

typedef ir_kw_machine machine;
typedef ir_kw_warp warp;

static uint32_t *own_clock(const machine *m, warp *w) { return &w->clocks[w->block * m->warps + w->number]; }

// ---- barriers
// The lowest thread of the warp that is not here; all are if there is none.
static bool whole_warp(machine *m, const warp *w) {
  if (w->mask == UINT32_MAX) return true;
  int lane = 0, here = 0;
  while (ir_kw_has(w->mask, lane)) lane++;
  while (!ir_kw_has(w->mask, here)) here++;
  return ir_kw_fail(m, w, "thread %d does not come where thread %d is", ir_kw_thread(m, w, lane) % m->kernel->threads,
                    ir_kw_thread(m, w, here) % m->kernel->threads);
}

// All that |w| did is ordered before what its threads do next.
static void order_warp(const machine *m, warp *w) {
  uint32_t *clock = own_clock(m, w);
  w->synced = (*clock)++;
}

static void release(machine *m, ir_kw_barrier *b, ir_kw_state state, int block, int number) {
  for (int i = 0; i < m->warp_count; i++) {
    warp *w = &m->warp[i];
    if (w->state != state || (block >= 0 && w->block != block) || w->barrier != number) continue;
    ir_kw_join(m, w->clocks, b->clocks);
    order_warp(m, w);
    w->state = IR_KW_READY;
  }
  b->arrived = b->threads = 0;
  memset(b->clocks, 0, sizeof *b->clocks * (size_t)m->clock_count);
}

// |w| comes to barrier |b| of |threads|. |same|: all must stand in one statement.
static bool arrive(machine *m, warp *w, ir_kw_barrier *b, int threads, bool same, ir_kw_state state, int number) {
  if (!whole_warp(m, w)) return false;
  if (b->arrived && b->threads != threads) return ir_kw_fail(m, w, "the barrier was begun by %d threads", b->threads);
  if (b->arrived && same && b->stmt != w->at->stmt)
    return ir_kw_fail(m, w, "a barrier that others do not come to, as they are in: %s",
                      ir_kernel_print_stmt(m->arena, m->kernel, b->stmt));
  b->threads = threads;
  b->stmt = w->at->stmt;
  b->arrived += IR_WARP;
  ir_kw_join(m, b->clocks, w->clocks);
  if (state != IR_KW_READY) {
    w->state = state;
    w->barrier = number;
  } else {
    (*own_clock(m, w))++;
  }
  if (b->arrived < threads) return true;
  release(m, b, state == IR_KW_READY ? IR_KW_AT_BARRIER : state, state == IR_KW_AT_CLUSTER ? -1 : w->block, number);
  return true;
}

static bool barrier(machine *m, warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  ir_kw_barrier *barriers = m->block[w->block].barriers;
  if (b->op == IR_KO_BARRIER_CLUSTER)
    return arrive(m, w, &m->cluster, m->kernel->threads * m->blocks, true, IR_KW_AT_CLUSTER, 0);
  if (!b->value) return arrive(m, w, &barriers[0], m->kernel->threads, true, IR_KW_AT_BARRIER, 0);
  if (!whole_warp(m, w)) return false;
  const ir_ki_value *id = ir_kw_vector(m, w, w->at->value);
  for (int l = 0; l < IR_WARP; l++)
    if (id[l].i != id[0].i || id[l].i < 1 || id[l].i > 15)
      return ir_kw_fail(m, w, "barrier number %lld", (long long)id[l].i);
  bool waits = b->op == IR_KO_BARRIER;
  return arrive(m, w, &barriers[id[0].i], b->number, false, waits ? IR_KW_AT_BARRIER : IR_KW_READY, (int)id[0].i);
}

// The warps of a warpgroup do |w->at| together.
static bool warpgroup(machine *m, warp *w) {
  int group = w->number / 4;
  ir_kw_barrier *b = &m->block[w->block].group[group];
  if (b->arrived && b->stmt != w->at->stmt) return ir_kw_fail(m, w, "the warps of a warpgroup are not together");
  b->stmt = w->at->stmt;
  b->arrived++;
  w->state = IR_KW_AT_GROUP;
  if (b->arrived < 4) return true;
  b->arrived = 0;
  for (int i = 0; i < 4; i++) m->warp[w->block * m->warps + 4 * group + i].state = IR_KW_READY;
  return true;
}

// ---- statements
static void set_masked(warp *w, ir_ki_value *to, const ir_ki_value *from) {
  for (int l = 0; l < IR_WARP; l++)
    if (ir_kw_has(w->mask, l)) to[l] = from[l];
}

static ir_ki_value *own(const warp *w, int vector) { return w->vars + (size_t)vector * IR_WARP; }

static void push(warp *w, const ir_kw_stmt *list, const ir_kw_stmt *loop, uint32_t mask) {
  w->frames[w->depth++] = (ir_kw_frame){list, loop, mask, mask};
}

static void set_tile(warp *w, const ir_kw_stmt *s, int lane) {
  uint64_t left = (uint64_t)own(w, s->limit)[lane].i - (uint64_t)own(w, s->c.first)[lane].i;
  int k = 0;
  while (k < s->stmt->tile_count - 1 && (uint64_t)s->stmt->tiles[k] > left) k++;
  own(w, s->tile)[lane].i = s->stmt->tiles[k];
}

static void begin_for(machine *m, warp *w) {
  const ir_kw_stmt *s = w->at;
  uint32_t active = 0;
  set_masked(w, own(w, s->c.first), ir_kw_vector(m, w, s->lo));
  set_masked(w, own(w, s->limit), ir_kw_vector(m, w, s->hi));
  for (int l = 0; l < IR_WARP; l++) {
    if (!ir_kw_has(w->mask, l) || own(w, s->c.first)[l].i >= own(w, s->limit)[l].i) continue;
    active |= UINT32_C(1) << l;
    if (s->stmt->range == IR_KR_TILES) set_tile(w, s, l);
  }
  if (active) push(w, s->body, s, active);
}

// The threads of the loop that have another iteration.
static uint32_t next_iteration(warp *w, const ir_kw_frame *f) {
  const ir_kw_stmt *s = f->loop;
  bool tiles = s->stmt->range == IR_KR_TILES;
  ir_ki_value *i = own(w, s->c.first), *hi = own(w, s->limit);
  uint32_t active = 0;
  for (int l = 0; l < IR_WARP; l++) {
    if (!ir_kw_has(f->active, l)) continue;
    uint64_t step = tiles ? (uint64_t)own(w, s->tile)[l].i : (uint64_t)s->stmt->step;
    if ((uint64_t)hi[l].i - (uint64_t)i[l].i <= step) continue;
    i[l].i += (int64_t)step;
    active |= UINT32_C(1) << l;
    if (tiles) set_tile(w, s, l);
  }
  return active;
}

static void begin_if(machine *m, warp *w) {
  const ir_ki_value *condition = ir_kw_vector(m, w, w->at->value);
  uint32_t holds = 0;
  for (int l = 0; l < IR_WARP; l++) holds |= (uint32_t)(condition[l].i != 0) << l;
  if (w->at->body2 && (w->mask & ~holds)) push(w, w->at->body2, NULL, w->mask & ~holds);
  if (w->at->body && (w->mask & holds)) push(w, w->at->body, NULL, w->mask & holds);
}

static bool set_register(machine *m, warp *w) {
  const ir_ki_value *value = ir_kw_vector(m, w, w->at->value);
  if (!ir_kw_use_regs(m, w, &w->at->c, 1, true)) return false;
  for (int l = 0; l < IR_WARP; l++)
    if (ir_kw_has(w->mask, l)) *ir_kw_register(m, w, &w->at->c, 0, l) = value[l];
  return true;
}

static bool make_register(machine *m, warp *w) {
  const ir_kvar *var = w->at->stmt->var;
  int count = 1;
  for (int i = 0; i < var->rank; i++) count *= var->dims[i];
  if (!ir_kw_use(m, w, w->at->c.first, count, true)) return false;
  for (int i = 0; i < count; i++) set_masked(w, own(w, w->at->c.first + i), ir_kw_vector(m, w, w->at->value));
  return true;
}

static bool store(machine *m, warp *w) {
  const ir_ki_value *value = ir_kw_vector(m, w, w->at->value);
  for (int l = 0; l < IR_WARP; l++) {
    char *bytes;
    if (!ir_kw_has(w->mask, l)) continue;
    if (!ir_kw_touch(m, w, &w->at->to, l, 1, 1, IR_KW_WRITES, &bytes)) return false;
    ir_ki_store(w->at->to.type, bytes, value[l]);
  }
  return true;
}

static bool vector_move(machine *m, warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  bool reads = b->op == IR_KO_READ;
  const ir_kw_place *at = reads ? &w->at->from : &w->at->to;
  int size = ir_ktype_bytes(at->type);
  if (!ir_kw_use_regs(m, w, &w->at->c, b->number, reads)) return false;
  for (int l = 0; l < IR_WARP; l++) {
    char *bytes;
    if (!ir_kw_has(w->mask, l)) continue;
    if (!ir_kw_touch(m, w, at, l, b->number, b->number * size, reads ? IR_KW_READS : IR_KW_WRITES, &bytes))
      return false;
    for (int i = 0; i < b->number; i++) {
      ir_ki_value *r = ir_kw_register(m, w, &w->at->c, i, l);
      if (reads) *r = ir_ki_load(at->type, bytes + i * size);
      else ir_ki_store(at->type, bytes + i * size, *r);
    }
  }
  return true;
}

static bool atomic(machine *m, warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  const ir_ki_value *value = ir_kw_vector(m, w, w->at->value);
  for (int l = 0; l < IR_WARP; l++) {
    char *bytes;
    if (!ir_kw_has(w->mask, l)) continue;
    if (!ir_kw_touch(m, w, &w->at->to, l, 1, 4, IR_KW_ATOMIC, &bytes)) return false;
    ir_ki_value old = ir_ki_load(b->to.type, bytes), next = {0};
    if (!ir_k_int_op(b->combine, b->to.type, old.i, value[l].i, &next.i)) return false;
    ir_ki_store(b->to.type, bytes, next);
    if (b->var) *ir_kw_register(m, w, &w->at->c, 0, l) = old;
  }
  return true;
}

static void close_group(warp *w, ir_kw_copies *groups) {
  for (int l = 0; l < IR_WARP; l++) groups[l].group += ir_kw_has(w->mask, l);
}

static bool wgmma(machine *m, warp *w) {
  switch (w->at->stmt->block->op) {
    case IR_KO_WGMMA_FENCE:
      if (w->dirty) memset(w->dirty, 0, (size_t)m->code.var_count);
      return true;
    case IR_KO_WGMMA_COMMIT:
      w->products.group++;
      return true;
    case IR_KO_WGMMA_WAIT:
      return !w->busy || ir_kw_wgmma_wait(m, w);
    default:
      return ir_kw_wgmma(m, w) && warpgroup(m, w);
  }
}

static bool block_op(machine *m, warp *w) {
  switch (w->at->stmt->block->op) {
    case IR_KO_BARRIER:
    case IR_KO_BARRIER_ARRIVE:
    case IR_KO_BARRIER_CLUSTER:
      return barrier(m, w);
    case IR_KO_BARRIER_WARP:
      if (!whole_warp(m, w)) return false;
      order_warp(m, w);
      return true;
    case IR_KO_ASYNC:
      return ir_kw_async(m, w);
    case IR_KO_COMMIT:
      close_group(w, w->async);
      return true;
    case IR_KO_WAIT:
      return ir_kw_async_wait(m, w);
    case IR_KO_READ:
    case IR_KO_WRITE:
      return vector_move(m, w);
    case IR_KO_LDMATRIX:
    case IR_KO_STMATRIX:
      return whole_warp(m, w) && ir_kw_matrix_move(m, w);
    case IR_KO_MMA:
      return whole_warp(m, w) && ir_kw_mma(m, w);
    case IR_KO_ATOMIC:
      return atomic(m, w);
    case IR_KO_FENCE_ASYNC:
      for (int l = 0; l < IR_WARP; l++)
        if (ir_kw_has(w->mask, l)) w->fenced[l] = *own_clock(m, w);
      (*own_clock(m, w))++;
      return true;
    case IR_KO_MBARRIER_WAIT:
      return ir_kw_mbarrier_wait(m, w);
    case IR_KO_MBARRIER_INIT:
    case IR_KO_MBARRIER_EXPECT:
    case IR_KO_MBARRIER_ARRIVE:
      return ir_kw_mbarrier_op(m, w);
    case IR_KO_BULK:
    case IR_KO_TMA:
      return ir_kw_transfer_start(m, w);
    case IR_KO_TMA_STORE:
      return ir_kw_tma_store(m, w);
    case IR_KO_TMA_COMMIT:
      close_group(w, w->stores);
      return true;
    case IR_KO_TMA_WAIT:
      return ir_kw_tma_wait(m, w);
    case IR_KO_WGMMA:
    case IR_KO_WGMMA_FENCE:
    case IR_KO_WGMMA_COMMIT:
    case IR_KO_WGMMA_WAIT:
      return whole_warp(m, w) && wgmma(m, w);
    case IR_KO_REGISTERS:
      return whole_warp(m, w);
    default:  // fence, launch_dependents, wait_dependencies: memory is in order here
      return true;
  }
}

static bool execute(machine *m, warp *w) {
  if (!ir_kw_eval(m, w)) return false;
  switch (w->at->stmt->kind) {
    case IR_KS_FOR:
      begin_for(m, w);
      return true;
    case IR_KS_IF:
      begin_if(m, w);
      return true;
    case IR_KS_LET:
      set_masked(w, own(w, w->at->c.first), ir_kw_vector(m, w, w->at->value));
      return true;
    case IR_KS_REG:
      return make_register(m, w);
    case IR_KS_SET:
      return set_register(m, w);
    case IR_KS_STORE:
      return store(m, w);
    case IR_KS_BLOCK:
      return block_op(m, w);
    default:
      return true;
  }
}

// ---- turns
// Runs |w| until it has to wait or is done.
static bool run_warp(machine *m, warp *w) {
  while (w->state == IR_KW_READY) {
    if (w->depth == 0) {
      w->state = IR_KW_DONE;
      return true;
    }
    ir_kw_frame *f = &w->frames[w->depth - 1];
    if (f->next) {
      w->at = f->next;
      w->mask = f->active;
      f->next = f->next->next;
      if (!execute(m, w)) return false;
      continue;
    }
    if (f->loop && (f->active = next_iteration(w, f)) != 0) {
      if (!ir_kw_steps(m, 1)) return false;
      f->next = f->loop->body;
      continue;
    }
    w->depth--;
  }
  return true;
}

static bool stuck(machine *m) {
  const warp *waits = NULL, *done = NULL;
  for (int i = 0; i < m->warp_count; i++) {
    const warp **which = m->warp[i].state == IR_KW_DONE ? &done : &waits;
    if (!*which) *which = &m->warp[i];
  }
  int here = ir_kw_thread(m, waits, __builtin_ctz(waits->mask)) % m->kernel->threads;
  if (done && waits->state != IR_KW_AT_MBARRIER)
    return ir_kw_fail(m, waits, "thread %d waits for thread %d, which does not come", here,
                      ir_kw_thread(m, done, 0) % m->kernel->threads);
  return ir_kw_fail(m, waits, "thread %d waits for ever", here);
}

static bool run_cluster(machine *m) {
  for (;;) {
    bool moved = false, all_done = true;
    for (int i = 0; i < m->warp_count; i++) {
      warp *w = &m->warp[i];
      if (w->state == IR_KW_AT_MBARRIER && ir_kw_mbarrier_poll(m, w)) w->state = IR_KW_READY;
      moved |= w->state == IR_KW_READY;
      if (!run_warp(m, w)) return false;
      all_done &= w->state == IR_KW_DONE;
    }
    moved |= ir_kw_transfer_finish(m);
    if (all_done) break;
    if (!moved) return stuck(m);
  }
  while (ir_kw_transfer_finish(m)) continue;
  return true;
}

// ---- setting up
static void reset_warp(machine *m, warp *w) {
  w->state = IR_KW_READY;
  w->depth = 0;
  w->at = NULL;
  w->mask = UINT32_MAX;
  w->synced = 0;
  memset(w->clocks, 0, sizeof *w->clocks * (size_t)m->clock_count);
  *own_clock(m, w) = 1;
  memset(w->fenced, 0, sizeof w->fenced);
  for (int l = 0; l < IR_WARP; l++) {
    w->async[l].count = w->stores[l].count = w->async[l].group = w->stores[l].group = 0;
    own(w, m->code.thread)[l].i = w->number * IR_WARP + l;
    own(w, m->code.grid)[l].i = m->block[w->block].item;
  }
  w->products.count = w->results.count = w->products.group = 0;
  if (w->busy) memset(w->busy, 0, (size_t)m->code.var_count);
  if (w->dirty) memset(w->dirty, 0, (size_t)m->code.var_count);
  if (m->code.first) push(w, m->code.first, NULL, UINT32_MAX);
}

static void reset_barrier(const machine *m, ir_kw_barrier *b) {
  b->arrived = b->threads = 0;
  memset(b->clocks, 0, sizeof *b->clocks * (size_t)m->clock_count);
}

static void reset_block(machine *m, ir_kw_block *b, int64_t item) {
  b->item = item;
  memset(b->cells, 0, sizeof *b->cells * (m->shared_bytes / (uint32_t)m->code.granule + 1));
  for (int i = 0; i < m->mbarrier_count; i++) {
    uint32_t *clocks = b->mbarriers[i].clocks;
    memset(clocks, 0, sizeof *clocks * (size_t)m->clock_count);
    b->mbarriers[i] = (ir_kw_mbarrier){.clocks = clocks};
  }
  for (int i = 0; i < 16; i++) reset_barrier(m, &b->barriers[i]);
  for (int i = 0; i < 8; i++) b->group[i].arrived = 0;
}

static weir_status place_shared(machine *m) {
  const ir_kernel *k = m->kernel;
  uint32_t offset = 0;
  m->offsets = WEIR_NEW_ARRAY(m->arena, uint32_t, k->buffer_count + 1);
  for (int i = 0; i < k->buffer_count; i++) {
    const ir_kbuffer *b = &k->buffers[i];
    if (b->kind == IR_KB_MBARRIER) {
      m->offsets[i] = (uint32_t)m->mbarrier_count;
      m->mbarrier_count += (int)b->count;
    } else if (b->kind == IR_KB_SHARED) {
      offset = (offset + 1023) & ~UINT32_C(1023);
      m->offsets[i] = offset;
      offset += (uint32_t)b->bytes->i;
    }
  }
  m->shared_bytes = (offset + 15) & ~UINT32_C(15);
  if (m->mbarrier_count * m->blocks > 4096)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel %s has too many mbarriers", k->name);
  return WEIR_OK;
}

// The tensor of a map, which must lie in its buffer.
static weir_status set_map(machine *m, int number, const int64_t *sizes) {
  const ir_kmap *map = &m->kernel->maps[number];
  int64_t *dims = m->map_dims[number], *strides = m->map_strides[number], last = 0, size = ir_ktype_bytes(map->type);
  bool ok = !map->offset || ir_ki_size(map->offset, sizes, &m->map_offset[number]);
  ok = ok && m->map_offset[number] >= 0 && m->map_offset[number] % 16 == 0;
  strides[0] = 1;
  for (int i = 0; i < map->rank && ok; i++) {
    int64_t extent;
    ok = ir_ki_size(map->dims[i], sizes, &dims[i]) && dims[i] > 0;
    if (i && map->strides[1]) ok = ok && ir_ki_size(map->strides[i], sizes, &strides[i]);
    else if (i) ok = ok && !__builtin_mul_overflow(strides[i - 1], dims[i - 1], &strides[i]);
    ok = ok && strides[i] >= 0 && (i == 0 || strides[i] % (16 / size > 1 ? 16 / size : 1) == 0);
    ok =
        ok && !__builtin_mul_overflow(dims[i] - 1, strides[i], &extent) && !__builtin_add_overflow(last, extent, &last);
  }
  int64_t bytes;
  ok = ok && !__builtin_mul_overflow(last + 1, size, &bytes) &&
       !__builtin_add_overflow(bytes, m->map_offset[number], &bytes) && bytes <= (int64_t)m->buffers[map->buffer].bytes;
  if (ok) return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                          "kernel %s: map '%s' is empty, outside of its buffer or not at multiples of 16 bytes",
                          m->kernel->name, map->name);
}

static void make_barrier(machine *m, ir_kw_barrier *b) {
  b->clocks = WEIR_NEW_ARRAY(m->arena, uint32_t, m->clock_count);
}

static void make_state(machine *m) {
  weir_arena *arena = m->arena;
  m->block = WEIR_NEW_ARRAY(arena, ir_kw_block, m->blocks);
  m->warp = WEIR_NEW_ARRAY(arena, warp, m->warp_count);
  m->masks = WEIR_NEW_ARRAY(arena, uint32_t, m->code.mask_count + 1);
  make_barrier(m, &m->cluster);
  for (int i = 0; i < m->blocks; i++) {
    ir_kw_block *b = &m->block[i];
    b->shared = weir_arena_alloc(arena, m->shared_bytes + 16);
    b->cells = WEIR_NEW_ARRAY(arena, ir_kw_cell, m->shared_bytes / (uint32_t)m->code.granule + 1);
    b->mbarriers = WEIR_NEW_ARRAY(arena, ir_kw_mbarrier, m->mbarrier_count + 1);
    for (int n = 0; n < m->mbarrier_count; n++)
      b->mbarriers[n].clocks = WEIR_NEW_ARRAY(arena, uint32_t, m->clock_count);
    for (int n = 0; n < 16; n++) make_barrier(m, &b->barriers[n]);
  }
  for (int i = 0; i < m->warp_count; i++) {
    warp *w = &m->warp[i];
    w->block = i / m->warps, w->number = i % m->warps;
    w->vars = WEIR_NEW_ARRAY(arena, ir_ki_value, (int64_t)m->code.var_count * IR_WARP);
    w->clocks = WEIR_NEW_ARRAY(arena, uint32_t, m->clock_count);
    if (!m->code.uses_wgmma) continue;
    w->busy = WEIR_NEW_ARRAY(arena, uint8_t, m->code.var_count);
    w->dirty = WEIR_NEW_ARRAY(arena, uint8_t, m->code.var_count);
  }
}

static weir_status run_items(machine *m, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; item += m->blocks) {
    m->reader_count = 0;
    m->transfer_first = m->transfer_count = 0;
    reset_barrier(m, &m->cluster);
    for (int i = 0; i < m->blocks; i++) reset_block(m, &m->block[i], item + i);
    for (int i = 0; i < m->warp_count; i++) reset_warp(m, &m->warp[i]);
    bool ok = ir_kw_steps(m, 1) && run_cluster(m);
    if (!ok) return m->status;
  }
  return WEIR_OK;
}

weir_status ir_kw_run(weir_arena *arena, const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                      const int64_t *sizes, int64_t begin, int64_t end, const ir_kinterpret_options *options) {
  machine *m = WEIR_NEW(arena, machine);
  m->kernel = kernel, m->arena = arena, m->options = options;
  m->warps = kernel->threads / IR_WARP;
  m->blocks = kernel->cluster ? kernel->cluster : 1;
  m->warp_count = m->warps * m->blocks;
  WEIR_TRY(ir_kw_compile(arena, kernel, &m->code));
  WEIR_TRY(ir_ki_bind(arena, kernel, args, arg_bytes, sizes, &m->buffers));
  int64_t grid;
  bool whole = begin % m->blocks == 0 && end % m->blocks == 0;
  if (!ir_ki_size(kernel->grid, sizes, &grid) || begin < 0 || end > grid || !whole)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "kernel %s: items %lld..%lld of %lld in clusters of %d",
                            kernel->name, (long long)begin, (long long)end, (long long)grid, m->blocks);
  WEIR_TRY(place_shared(m));
  for (int i = 0; i < kernel->map_count; i++) WEIR_TRY(set_map(m, i, sizes));
  m->clock_count = m->warp_count + m->mbarrier_count * m->blocks;
  for (int i = 0; i < kernel->size_count; i++)
    for (int l = 0; l < IR_WARP; l++) m->code.consts[(m->code.sizes + i) * IR_WARP + l].i = sizes[i];
  make_state(m);
  return run_items(m, begin, end);
}
