// The builder of block kernels (ir/kernel_block.h), on that of ir/kernel_build.c.
#include <string.h>

#include "ir/kernel_block.h"
#include "ir/kernel_internal.h"

// ---- the head
const ir_kexpr *ir_kb_set_threads(ir_kbuilder *b, const char *name, int threads, int resident) {
  b->kernel->threads = threads;
  b->kernel->resident = resident;
  const ir_kexpr *read = ir_kb_range_var(b, name, ir_kb_int(b, 0), ir_kb_int(b, threads));
  b->kernel->thread_var = read->var;
  return read;
}

void ir_kb_set_library(ir_kbuilder *b, int64_t outs, int64_t cols, int algorithm) {
  b->kernel->library.outs = outs;
  b->kernel->library.cols = cols;
  b->kernel->library.algorithm = algorithm;
}

void ir_kb_set_cluster(ir_kbuilder *b, int blocks) { b->kernel->cluster = blocks; }

int ir_kb_add_shared(ir_kbuilder *b, const char *name, int64_t bytes) {
  return ir_kb_add_buffer(b, IR_KB_SHARED, name, ir_kb_int(b, bytes), -1);
}

int ir_kb_add_mbarriers(ir_kbuilder *b, const char *name, int count) {
  int buffer = ir_kb_add_buffer(b, IR_KB_MBARRIER, name, ir_kb_int(b, (int64_t)count * 8), -1);
  b->kernel->buffers[buffer].type = IR_KT_i64;
  b->kernel->buffers[buffer].count = count;
  return buffer;
}

int ir_kb_add_map(ir_kbuilder *b, const ir_kmap *map) {
  ir_kernel *k = b->kernel;
  WEIR_PUSH(b->arena, k->maps, k->map_count, k->map_capacity, *map);
  k->maps[k->map_count - 1].name = ir_k_clean_name(b->arena, map->name);
  return k->map_count - 1;
}

// ---- operands
ir_kplace ir_kb_place(int buffer, ir_ktype type, const ir_kexpr *index) {
  return (ir_kplace){buffer, type, index, NULL};
}

ir_kplace ir_kb_place_table(int buffer, ir_ktype type, const ir_kexpr *request, const ir_kexpr *index) {
  return (ir_kplace){buffer, type, index, request};
}

ir_kregs ir_kb_regs(ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j, const ir_kexpr *k) {
  return (ir_kregs){var, k ? 3 : j ? 2 : i ? 1 : 0, {i, j, k}};
}

static ir_kplace mbarrier(int buffer, const ir_kexpr *index) { return ir_kb_place(buffer, IR_KT_i64, index); }

// ---- expressions
const ir_kexpr *ir_kb_shuffle_xor(ir_kbuilder *b, const ir_kexpr *x, int distance) {
  return ir_kb_raw(b, IR_K_shuffle_xor, x->type, x, ir_kb_int(b, distance), NULL);
}

const ir_kexpr *ir_kb_shuffle_down(ir_kbuilder *b, const ir_kexpr *x, int distance) {
  return ir_kb_raw(b, IR_K_shuffle_down, x->type, x, ir_kb_int(b, distance), NULL);
}

const ir_kexpr *ir_kb_shuffle(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *lane) {
  return ir_kb_raw(b, IR_K_shuffle, x->type, x, lane, NULL);
}

const ir_kexpr *ir_kb_any(ir_kbuilder *b, const ir_kexpr *condition) {
  return ir_kb_raw(b, IR_K_any, IR_KT_bool, condition, NULL, NULL);
}

const ir_kexpr *ir_kb_all(ir_kbuilder *b, const ir_kexpr *condition) {
  return ir_kb_raw(b, IR_K_all, IR_KT_bool, condition, NULL, NULL);
}

// ---- statements
void ir_kb_block(ir_kbuilder *b, const ir_kblock *block) {
  ir_kblock *copy = WEIR_NEW(b->arena, ir_kblock);
  *copy = *block;
  ir_kb_stmt(b, IR_KS_BLOCK)->block = copy;
}

void ir_kb_barrier(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_BARRIER}); }

void ir_kb_barrier_named(ir_kbuilder *b, const ir_kexpr *id, int threads) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_BARRIER, .value = id, .number = threads});
}

void ir_kb_barrier_arrive(ir_kbuilder *b, const ir_kexpr *id, int threads) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_BARRIER_ARRIVE, .value = id, .number = threads});
}

void ir_kb_barrier_warp(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_BARRIER_WARP}); }

void ir_kb_async(ir_kbuilder *b, ir_kplace to, ir_kplace from, int bytes, const ir_kexpr *condition, ir_khint hint) {
  ir_kb_block(b, &(ir_kblock){
                     .op = IR_KO_ASYNC, .to = to, .from = from, .number = bytes, .condition = condition, .hint = hint});
}

void ir_kb_commit(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_COMMIT}); }

void ir_kb_wait(ir_kbuilder *b, int outstanding) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_WAIT, .number = outstanding});
}

void ir_kb_read_vector(ir_kbuilder *b, ir_kregs to, int count, ir_kplace from, ir_khint hint) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_READ, .c = to, .number = count, .from = from, .hint = hint});
}

void ir_kb_write_vector(ir_kbuilder *b, ir_kplace to, ir_kregs from, int count, ir_khint hint) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_WRITE, .c = from, .number = count, .to = to, .hint = hint});
}

void ir_kb_ldmatrix(ir_kbuilder *b, ir_kregs to, int matrices, ir_kplace from, bool trans) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_LDMATRIX, .c = to, .number = matrices, .from = from, .trans = trans});
}

void ir_kb_stmatrix(ir_kbuilder *b, ir_kplace to, ir_kregs from, int matrices, bool trans) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_STMATRIX, .c = from, .number = matrices, .to = to, .trans = trans});
}

void ir_kb_mma(ir_kbuilder *b, ir_kmma kind, ir_kregs c, ir_kregs a, ir_kregs b_regs) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_MMA, .kind = kind, .c = c, .a = a, .b = b_regs});
}

void ir_kb_atomic(ir_kbuilder *b, ir_kop combine, ir_kplace to, const ir_kexpr *value) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_ATOMIC, .combine = combine, .to = to, .value = value});
}

const ir_kexpr *ir_kb_atomic_old(ir_kbuilder *b, const char *name, ir_kop combine, ir_kplace to,
                                 const ir_kexpr *value) {
  ir_kblock *block = WEIR_NEW(b->arena, ir_kblock);
  *block = (ir_kblock){.op = IR_KO_ATOMIC, .combine = combine, .to = to, .value = value};
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_BLOCK);
  stmt->block = block;
  const ir_kexpr *read = ir_kb_value_var(b, name, to.type);
  block->var = stmt->var = read->var;
  return read;
}

void ir_kb_fence(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_FENCE}); }
void ir_kb_launch_dependents(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_LAUNCH_DEPENDENTS}); }
void ir_kb_wait_dependencies(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_WAIT_DEPENDENCIES}); }

// ---- sm_90a
void ir_kb_barrier_cluster(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_BARRIER_CLUSTER}); }
void ir_kb_fence_async(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_FENCE_ASYNC}); }

static void mbarrier_op(ir_kbuilder *b, ir_kblock_op op, int buffer, const ir_kexpr *index, const ir_kexpr *value) {
  ir_kb_block(b, &(ir_kblock){.op = op, .to = mbarrier(buffer, index), .value = value});
}

void ir_kb_mbarrier_init(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *count) {
  mbarrier_op(b, IR_KO_MBARRIER_INIT, buffer, index, count);
}

void ir_kb_mbarrier_expect(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *bytes) {
  mbarrier_op(b, IR_KO_MBARRIER_EXPECT, buffer, index, bytes);
}

void ir_kb_mbarrier_arrive(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *rank) {
  mbarrier_op(b, IR_KO_MBARRIER_ARRIVE, buffer, index, rank);
}

void ir_kb_mbarrier_wait(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *parity) {
  mbarrier_op(b, IR_KO_MBARRIER_WAIT, buffer, index, parity);
}

void ir_kb_bulk(ir_kbuilder *b, ir_kplace to, ir_kplace from, const ir_kexpr *bytes, int signal,
                const ir_kexpr *signal_index) {
  ir_kb_block(
      b,
      &(ir_kblock){.op = IR_KO_BULK, .to = to, .from = from, .value = bytes, .signal = mbarrier(signal, signal_index)});
}

static void copy_coords(const ir_kbuilder *b, ir_kblock *block, const ir_kexpr *const *coords) {
  int rank = block->map >= 0 && block->map < b->kernel->map_count ? b->kernel->maps[block->map].rank : 0;
  for (int i = 0; i < rank && i < IR_KMAP_MAX_RANK; i++) block->coords[i] = coords[i];
}

void ir_kb_tma(ir_kbuilder *b, ir_kplace to, int map, const ir_kexpr *const *coords, int signal,
               const ir_kexpr *signal_index, const ir_kexpr *multicast, ir_khint hint) {
  ir_kblock block = {.op = IR_KO_TMA, .to = to, .map = map, .value = multicast, .hint = hint};
  block.signal = mbarrier(signal, signal_index);
  copy_coords(b, &block, coords);
  ir_kb_block(b, &block);
}

void ir_kb_tma_store(ir_kbuilder *b, int map, const ir_kexpr *const *coords, ir_kplace from) {
  ir_kblock block = {.op = IR_KO_TMA_STORE, .from = from, .map = map};
  copy_coords(b, &block, coords);
  ir_kb_block(b, &block);
}

void ir_kb_tma_commit(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_TMA_COMMIT}); }

void ir_kb_tma_wait(ir_kbuilder *b, int outstanding) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_TMA_WAIT, .number = outstanding});
}

void ir_kb_wgmma(ir_kbuilder *b, ir_kmma kind, int n, ir_kregs c, const ir_kexpr *adds, const ir_kregs *a_regs,
                 const ir_kwgmma *a, const ir_kwgmma *b_shared) {
  ir_kblock block = {.op = IR_KO_WGMMA, .kind = kind, .number = n, .c = c, .condition = adds, .shared_b = *b_shared};
  if (a_regs) block.a = *a_regs;
  else block.shared_a = *a;
  ir_kb_block(b, &block);
}

void ir_kb_wgmma_fence(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_WGMMA_FENCE}); }
void ir_kb_wgmma_commit(ir_kbuilder *b) { ir_kb_block(b, &(ir_kblock){.op = IR_KO_WGMMA_COMMIT}); }

void ir_kb_wgmma_wait(ir_kbuilder *b, int outstanding) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_WGMMA_WAIT, .number = outstanding});
}

void ir_kb_registers(ir_kbuilder *b, bool up, int count) {
  ir_kb_block(b, &(ir_kblock){.op = IR_KO_REGISTERS, .up = up, .number = count});
}
