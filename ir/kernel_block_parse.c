// Reader of what block kernels add to the text of kernels: head lines and statements.
#include <string.h>

#include "ir/kernel_text.h"

// ---- operands
static ir_kregs parse_regs(ir_kparser *p) {
  ir_kregs r = {NULL, 0, {NULL, NULL, NULL}};
  const char *name = ir_kr_name(p);
  const ir_kentry *e = name ? ir_kr_find(p, name) : NULL;
  if (!e || e->kind != IR_KNAME_VAR || e->var->kind != IR_KVAR_REG) {
    ir_kr_fail(p, "no register '%s'", name ? name : "");
    return r;
  }
  r.var = e->var;
  if (ir_kr_peek(p, "[")) r.index_count = ir_kr_args(p, r.indices, 3, "[", "]");
  return r;
}

static ir_kplace parse_place(ir_kparser *p) {
  ir_kplace at = {.buffer = ir_kr_buffer(p)};
  ir_kr_expect(p, ":");
  at.type = ir_kr_type(p);
  ir_kr_element(p, &at.request, &at.index);
  return at;
}

static ir_kplace parse_mbarrier(ir_kparser *p) {
  ir_kplace at = {.buffer = ir_kr_buffer(p), .type = IR_KT_i64};
  ir_kr_args(p, &at.index, 1, "[", "]");
  return at;
}

static ir_khint parse_hint(ir_kparser *p) {
  if (ir_kr_accept_word(p, "stream")) return IR_KHINT_STREAM;
  return ir_kr_accept_word(p, "keep") ? IR_KHINT_KEEP : IR_KHINT_NONE;
}

static ir_kmma parse_kind(ir_kparser *p) {
  const char *name = ir_kr_name(p);
  for (int kind = 0; name && kind < IR_KMMA_COUNT; kind++)
    if (!strcmp(name, ir_kmma_name((ir_kmma)kind))) return (ir_kmma)kind;
  if (name) ir_kr_fail(p, "no matrix operation on '%s'", name);
  return IR_KMMA_bf16;
}

static void parse_box(ir_kparser *p, ir_kblock *b) {
  const char *name = ir_kr_name(p);
  const ir_kentry *e = name ? ir_kr_find(p, name) : NULL;
  if (!e || e->kind != IR_KNAME_MAP) {
    ir_kr_fail(p, "no map '%s'", name ? name : "");
    return;
  }
  b->map = e->buffer;
  int rank = p->b.kernel->maps[b->map].rank;
  if (ir_kr_args(p, b->coords, IR_KMAP_MAX_RANK, "[", "]") != rank) ir_kr_fail(p, "'%s' has %d dims", name, rank);
}

static ir_kwgmma parse_factor(ir_kparser *p) {
  ir_kwgmma f = {.at = parse_place(p)};
  if (!ir_kr_word(p, "swizzle")) return f;
  f.swizzle = (int)ir_kr_int(p, 0, 128);
  f.trans = ir_kr_accept_word(p, "trans");
  if (f.trans) f.stride = ir_kr_int(p, 0, IR_KB_MAX_SHARED);
  return f;
}

// ---- statements, behind their word
static void parse_registers_of(ir_kparser *p, ir_kblock *b) {
  bool loads = b->op == IR_KO_READ || b->op == IR_KO_LDMATRIX;
  if (!loads) {
    b->to = parse_place(p);
    ir_kr_expect(p, "=");
  }
  b->c = parse_regs(p);
  if (p->failed || !ir_kr_word(p, "x")) return;
  b->number = (int)ir_kr_int(p, 1, 16);
  if (loads && ir_kr_expect(p, "=")) b->from = parse_place(p);
  if (b->op == IR_KO_READ || b->op == IR_KO_WRITE) b->hint = parse_hint(p);
}

static void parse_async(ir_kparser *p, ir_kblock *b) {
  b->to = parse_place(p);
  ir_kr_expect(p, "=");
  b->from = parse_place(p);
  if (p->failed || !ir_kr_word(p, "bytes")) return;
  b->number = (int)ir_kr_int(p, 1, 16);
  if (ir_kr_accept_word(p, "when")) b->condition = ir_kr_expr(p, 1);
  b->hint = parse_hint(p);
}

static void parse_bulk(ir_kparser *p, ir_kblock *b) {
  b->to = parse_place(p);
  ir_kr_expect(p, "=");
  b->from = parse_place(p);
  if (p->failed || !ir_kr_word(p, "bytes")) return;
  b->value = ir_kr_expr(p, 1);
  if (p->failed || !ir_kr_word(p, "signal")) return;
  b->signal = parse_mbarrier(p);
}

static void parse_tma(ir_kparser *p, ir_kblock *b) {
  b->to = parse_place(p);
  ir_kr_expect(p, "=");
  parse_box(p, b);
  if (p->failed || !ir_kr_word(p, "signal")) return;
  b->signal = parse_mbarrier(p);
  if (ir_kr_accept_word(p, "multicast")) b->value = ir_kr_expr(p, 1);
  b->hint = parse_hint(p);
}

static void parse_mbarrier_op(ir_kparser *p, ir_kblock *b) {
  static const char *const words[] = {"init", "expect", "arrive", "wait"};
  int i = 0;
  while (i < 4 && !ir_kr_accept_word(p, words[i])) i++;
  if (i == 4) {
    ir_kr_fail_expected(p, "init, expect, arrive or wait");
    return;
  }
  b->op = (ir_kblock_op)(IR_KO_MBARRIER_INIT + i);
  b->to = parse_mbarrier(p);
  bool has_value = b->op == IR_KO_MBARRIER_ARRIVE ? ir_kr_accept_word(p, "at") : ir_kr_expect(p, ",");
  if (has_value) b->value = ir_kr_expr(p, 1);
}

static void parse_wgmma(ir_kparser *p, ir_kblock *b) {
  static const char *const words[] = {"fence", "commit", "wait"};
  for (int i = 0; i < 3; i++) {
    if (!ir_kr_accept_word(p, words[i])) continue;
    b->op = (ir_kblock_op)(IR_KO_WGMMA_FENCE + i);
    if (b->op == IR_KO_WGMMA_WAIT) b->number = (int)ir_kr_int(p, 0, 7);
    return;
  }
  b->kind = parse_kind(p);
  if (p->failed || !ir_kr_word(p, "n")) return;
  b->number = (int)ir_kr_int(p, 8, 256);
  b->c = parse_regs(p);
  if (ir_kr_accept_word(p, "adds")) b->condition = ir_kr_expr(p, 1);
  if (!ir_kr_expect(p, "=")) return;
  // A buffer has a type behind its name, a register has none.
  ir_kparser ahead = *p;
  const char *name = ir_kr_name(&ahead);
  const ir_kentry *e = name ? ir_kr_find(p, name) : NULL;
  if (e && e->kind == IR_KNAME_VAR) b->a = parse_regs(p);
  else b->shared_a = parse_factor(p);
  if (!p->failed && ir_kr_expect(p, ",")) b->shared_b = parse_factor(p);
}

static bool find_combine(ir_kparser *p, const char *name, ir_kop *out) {
  static const ir_kop ops[] = {IR_K_add, IR_K_min, IR_K_max};
  for (int i = 0; name && i < 3; i++) {
    if (strcmp(name, ir_kop_name(ops[i]))) continue;
    *out = ops[i];
    return true;
  }
  return name && ir_kr_fail(p, "no atomic operation '%s'", name);
}

static void parse_atomic(ir_kparser *p, ir_kblock *b) {
  if (!find_combine(p, ir_kr_name(p), &b->combine)) return;
  b->to = parse_place(p);
  ir_kr_expect(p, "=");
  b->value = ir_kr_expr(p, 1);
}

static void parse_mma(ir_kparser *p, ir_kblock *b) {
  b->kind = parse_kind(p);
  b->c = parse_regs(p);
  ir_kr_expect(p, ",");
  if (!p->failed) b->a = parse_regs(p);
  ir_kr_expect(p, ",");
  if (!p->failed) b->b = parse_regs(p);
}

static void parse_barrier(ir_kparser *p, ir_kblock *b) {
  b->value = ir_kr_expr(p, 1);
  if (ir_kr_expect(p, ",")) b->number = (int)ir_kr_int(p, 1, IR_KB_MAX_THREADS);
}

static void parse_operation(ir_kparser *p, ir_kblock *b) {
  switch (b->op) {
    case IR_KO_ASYNC:
      parse_async(p, b);
      break;
    case IR_KO_WAIT:
    case IR_KO_TMA_WAIT:
      b->number = (int)ir_kr_int(p, 0, 63);
      break;
    case IR_KO_READ:
    case IR_KO_WRITE:
    case IR_KO_LDMATRIX:
    case IR_KO_STMATRIX:
      parse_registers_of(p, b);
      break;
    case IR_KO_MMA:
      parse_mma(p, b);
      break;
    case IR_KO_ATOMIC:
      parse_atomic(p, b);
      break;
    case IR_KO_BULK:
      parse_bulk(p, b);
      break;
    case IR_KO_TMA:
      parse_tma(p, b);
      break;
    case IR_KO_TMA_STORE:
      parse_box(p, b);
      ir_kr_expect(p, "=");
      if (!p->failed) b->from = parse_place(p);
      break;
    case IR_KO_REGISTERS:
      b->up = ir_kr_accept_word(p, "up");
      if (!b->up && !ir_kr_word(p, "down")) return;
      b->number = (int)ir_kr_int(p, 1, 256);
      break;
    default:
      break;
  }
}

bool ir_kr_block(ir_kparser *p) {
  ir_kblock b = {.op = IR_KO_COUNT};
  if (ir_kr_accept_word(p, "mbarrier")) {
    parse_mbarrier_op(p, &b);
  } else if (ir_kr_accept_word(p, "wgmma")) {
    b.op = IR_KO_WGMMA;
    parse_wgmma(p, &b);
  } else if (ir_kr_accept_word(p, "barrier_named") || ir_kr_accept_word(p, "barrier_arrive")) {
    b.op = p->at[-1] == 'd' ? IR_KO_BARRIER : IR_KO_BARRIER_ARRIVE;
    parse_barrier(p, &b);
  } else if (ir_kr_accept_word(p, "ldmatrix.trans") || ir_kr_accept_word(p, "stmatrix.trans")) {
    b.op = p->at[-14] == 'l' ? IR_KO_LDMATRIX : IR_KO_STMATRIX;
    b.trans = true;
    parse_registers_of(p, &b);
  } else {
    // The words of several parts were taken above.
    int op = 0;
    while (op < IR_KO_COUNT && !ir_kr_accept_word(p, ir_kblock_word((ir_kblock_op)op))) op++;
    if (op == IR_KO_COUNT) return false;
    b.op = (ir_kblock_op)op;
    parse_operation(p, &b);
  }
  if (p->failed) return false;
  ir_kb_block(&p->b, &b);
  return true;
}

bool ir_kr_atomic_value(ir_kparser *p, const char *name, ir_ktype type) {
  static const char *const words[] = {"atomic_add", "atomic_min", "atomic_max"};
  int i = 0;
  while (i < 3 && !ir_kr_accept_word(p, words[i])) i++;
  if (i == 3) return false;
  ir_kop combine = IR_K_add;
  find_combine(p, words[i] + 7, &combine);
  ir_kr_expect(p, "(");
  ir_kplace to = parse_place(p);
  ir_kr_expect(p, ",");
  const ir_kexpr *value = ir_kr_expr(p, 1);
  ir_kr_expect(p, ")");
  if (p->failed) return false;
  if (to.type != type) return ir_kr_fail(p, "the value is %s", ir_ktype_name(to.type));
  const ir_kexpr *old = ir_kb_atomic_old(&p->b, ir_kr_plain_name(p, name), combine, to, value);
  return ir_kr_declare_var(p, name, old->var);
}

// ---- the head
static int parse_dims(ir_kparser *p, const ir_kexpr **dims, int capacity) {
  int count = 0;
  do {
    if (count == capacity) {
      ir_kr_fail(p, "too many dims");
      break;
    }
    dims[count++] = ir_kr_expr(p, 1);
  } while (ir_kr_accept(p, ","));
  return count;
}

bool ir_kr_map(ir_kparser *p) {
  ir_kmap map = {0};
  const char *name = ir_kr_name(p);
  ir_kr_expect(p, ":");
  map.buffer = ir_kr_buffer(p);
  ir_kr_expect(p, ":");
  map.type = ir_kr_type(p);
  if (ir_kr_accept_word(p, "at")) map.offset = ir_kr_expr(p, 1);
  if (p->failed || !ir_kr_word(p, "dims")) return false;
  map.rank = parse_dims(p, map.dims, IR_KMAP_MAX_RANK);
  if (ir_kr_accept_word(p, "strides") && parse_dims(p, map.strides + 1, IR_KMAP_MAX_RANK - 1) != map.rank - 1)
    return ir_kr_fail(p, "a stride for each dim but the first");
  if (p->failed || !ir_kr_word(p, "box")) return false;
  for (int i = 0; i < map.rank; i++) {
    if (i && !ir_kr_expect(p, ",")) return false;
    map.box[i] = (int)ir_kr_int(p, 1, 256);
  }
  if (ir_kr_accept_word(p, "swizzle")) map.swizzle = (int)ir_kr_int(p, 1, 128);
  if (p->failed) return false;
  if (p->b.kernel->map_count == IR_KB_MAX_MAPS) return ir_kr_fail(p, "too many maps");
  map.name = ir_kr_plain_name(p, name);
  int number = ir_kb_add_map(&p->b, &map);
  return ir_kr_declare(p, (ir_kentry){.name = name, .kind = IR_KNAME_MAP, .buffer = number});
}

static bool parse_library(ir_kparser *p) {
  int64_t outs = ir_kr_int(p, 1, INT32_MAX);
  if (!ir_kr_expect(p, ",")) return false;
  int64_t cols = ir_kr_int(p, 1, INT32_MAX);
  if (!ir_kr_accept_word(p, "algorithm")) return ir_kr_fail_expected(p, "'algorithm'");
  ir_kb_set_library(&p->b, outs, cols, (int)ir_kr_int(p, 0, IR_KB_MAX_ALGORITHM));
  return !p->failed;
}

bool ir_kr_threads(ir_kparser *p) {
  if (!ir_kr_accept_word(p, "threads")) return true;
  const char *name = ir_kr_name(p);
  if (!ir_kr_expect(p, ":")) return false;
  int threads = (int)ir_kr_int(p, 1, IR_KB_MAX_THREADS);
  int resident = ir_kr_accept_word(p, "resident") ? (int)ir_kr_int(p, 1, 32) : 0;
  if (p->failed) return false;
  const ir_kexpr *thread = ir_kb_set_threads(&p->b, ir_kr_plain_name(p, name), threads, resident);
  if (ir_kr_accept_word(p, "cluster")) ir_kb_set_cluster(&p->b, (int)ir_kr_int(p, 1, 16));
  if (ir_kr_accept_word(p, "library") && !parse_library(p)) return false;
  return !p->failed && ir_kr_declare_var(p, name, thread->var);
}
