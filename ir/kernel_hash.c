// Content of a kernel as a string of words: what the emitted code depends on, without names, banner and comments.
//
// Variables are numbered as they occur, so that two kernels built the same way are equal whatever their builders called
// things.
#include <string.h>

#include "ir/kernel_block.h"
#include "ir/kernel_internal.h"

typedef struct {
  weir_arena *arena;
  uint64_t *words;
  size_t count, capacity;
  const ir_kvar **vars;  // in order of occurrence
  int var_count, var_capacity;
} stream;

static void word(stream *s, uint64_t value) { WEIR_PUSH(s->arena, s->words, s->count, s->capacity, value); }

static void number(stream *s, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  word(s, bits);
}

static void var(stream *s, const ir_kvar *v) {
  if (!v) {
    word(s, UINT64_MAX);
    return;
  }
  int i = s->var_count - 1;
  while (i >= 0 && s->vars[i] != v) i--;
  if (i < 0) {
    i = s->var_count;
    WEIR_PUSH(s->arena, s->vars, s->var_count, s->var_capacity, v);
    word(s, (uint64_t)v->kind << 32 | (uint64_t)v->type << 16 | (uint64_t)v->lanes << 8 | (uint64_t)v->rank);
    for (int d = 0; d < v->rank && d < 3; d++) word(s, (uint64_t)v->dims[d]);
  }
  word(s, (uint64_t)i);
}

static void expr(stream *s, const ir_kexpr *e) {
  if (!e) {
    word(s, UINT64_MAX);
    return;
  }
  word(s, (uint64_t)e->op << 32 | (uint64_t)e->type << 8 | (uint64_t)e->arg_count);
  if (e->op == IR_K_const && ir_ktype_is_float(e->type)) number(s, e->f);
  else if (e->op == IR_K_const) word(s, (uint64_t)e->i);
  else if (e->op == IR_K_var) var(s, e->var);
  else if (e->op == IR_K_size || e->op == IR_K_load) word(s, (uint64_t)e->index);
  for (int i = 0; i < e->arg_count; i++) expr(s, e->args[i]);
}

static void matdot(stream *s, const ir_kmatdot *d) {
  const int numbers[] = {d->c, d->a, d->b, d->adds, d->panels, d->step};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) word(s, (uint64_t)numbers[i]);
  for (int i = 0; i < IR_KM_COUNT; i++) expr(s, d->at[i]);
}

static void place(stream *s, const ir_kplace *at) {
  word(s, (uint64_t)at->buffer << 32 | (uint64_t)at->type);
  expr(s, at->index);
  expr(s, at->request);
}

static void registers(stream *s, const ir_kregs *r) {
  var(s, r->var);
  for (int i = 0; i < r->index_count; i++) expr(s, r->indices[i]);
}

static void block(stream *s, const ir_kblock *b) {
  const ir_kplace *const places[] = {&b->to, &b->from, &b->signal, &b->shared_a.at, &b->shared_b.at};
  const ir_kwgmma *const factors[] = {&b->shared_a, &b->shared_b};
  const ir_kregs *const regs[] = {&b->c, &b->a, &b->b};
  const int numbers[] = {(int)b->op, (int)b->kind, (int)b->hint, b->trans, b->up, b->number, (int)b->combine, b->map};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) word(s, (uint64_t)numbers[i]);
  for (int i = 0; i < 5; i++) place(s, places[i]);
  for (int i = 0; i < 2; i++) word(s, (uint64_t)factors[i]->swizzle << 32 | (uint64_t)factors[i]->trans);
  for (int i = 0; i < 2; i++) word(s, (uint64_t)factors[i]->stride);
  for (int i = 0; i < 3; i++) registers(s, regs[i]);
  expr(s, b->value);
  expr(s, b->condition);
  for (int i = 0; i < IR_KMAP_MAX_RANK; i++) expr(s, b->coords[i]);
}

static void block_head(stream *s, const ir_kernel *k) {
  word(s, (uint64_t)k->threads << 32 | (uint64_t)k->resident << 16 | (uint64_t)k->cluster);
  word(s, (uint64_t)k->library.outs);
  word(s, (uint64_t)k->library.cols << 8 | (uint64_t)k->library.algorithm);
  var(s, k->thread_var);
  for (int i = 0; i < k->map_count; i++) {
    const ir_kmap *m = &k->maps[i];
    word(s, (uint64_t)m->buffer << 32 | (uint64_t)m->type);
    word(s, (uint64_t)m->rank << 32 | (uint64_t)m->swizzle);
    expr(s, m->offset);
    for (int d = 0; d < m->rank; d++) {
      expr(s, m->dims[d]);
      expr(s, m->strides[d]);
      word(s, (uint64_t)m->box[d]);
    }
  }
}

static void list(stream *s, const ir_kstmt *stmt) {
  for (; stmt; stmt = stmt->next) {
    if (stmt->kind == IR_KS_COMMENT) continue;
    word(s, (uint64_t)stmt->kind << 32 | (uint64_t)stmt->range << 16 | (uint64_t)stmt->index_count);
    word(s, (uint64_t)stmt->combine << 32 | (uint64_t)stmt->type);
    word(s, (uint64_t)stmt->buffer);
    word(s, (uint64_t)stmt->step);
    var(s, stmt->var);
    var(s, stmt->tile_var);
    word(s, (uint64_t)stmt->tile_count);
    for (int i = 0; i < stmt->tile_count; i++) word(s, (uint64_t)stmt->tiles[i]);
    if (stmt->kind == IR_KS_MATDOT) matdot(s, stmt->matdot);
    if (stmt->kind == IR_KS_BLOCK) block(s, stmt->block);
    expr(s, stmt->lo);
    expr(s, stmt->hi);
    expr(s, stmt->expr);
    for (int i = 0; i < stmt->index_count; i++) expr(s, stmt->indices[i]);
    list(s, stmt->body);
    list(s, stmt->body2);
  }
  word(s, UINT64_MAX - 1);
}

static void kernel_stream(stream *s, const ir_kernel *k) {
  word(s, (uint64_t)k->size_count << 32 | (uint64_t)k->buffer_count);
  word(s, (uint64_t)k->arg_count);
  for (int i = 0; i < k->buffer_count; i++) {
    const ir_kbuffer *b = &k->buffers[i];
    word(s, (uint64_t)b->fixed << 40 | (uint64_t)b->kind << 32 | (uint64_t)(b->arg + 1));
    expr(s, b->bytes);
    if (b->kind != IR_KB_CONST) continue;
    word(s, (uint64_t)b->type);
    word(s, (uint64_t)b->count);
    for (int64_t n = 0; n < b->count; n++) number(s, b->data[n]);
  }
  expr(s, k->grid);
  var(s, k->grid_var);
  if (k->threads) block_head(s, k);
  list(s, k->body);
}

uint64_t ir_kernel_hash(const ir_kernel *kernel) {
  weir_arena arena;
  weir_arena_init(&arena);
  stream s = {.arena = &arena};
  kernel_stream(&s, kernel);
  uint64_t h = 0x243f6a8885a308d3u;
  for (size_t i = 0; i < s.count; i++) {
    h = (h ^ s.words[i]) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
  }
  weir_arena_deinit(&arena);
  return h;
}

bool ir_kernel_equal(const ir_kernel *a, const ir_kernel *b) {
  if (a == b) return true;
  weir_arena arena;
  weir_arena_init(&arena);
  stream s = {.arena = &arena}, t = {.arena = &arena};
  kernel_stream(&s, a);
  kernel_stream(&t, b);
  bool same = s.count == t.count && memcmp(s.words, t.words, s.count * sizeof *s.words) == 0;
  weir_arena_deinit(&arena);
  return same;
}
