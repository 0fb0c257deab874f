// Matrix operations of block kernels, in the layouts that ir/kernel_block.h gives, and the registers of wgmmas under
// way.
#include <string.h>

#include "ir/kernel_block_interp.h"
#include "runtime/base/half.h"

enum { ROWS = 16, MAX_K = 32, MAX_N = 256 };

// ---- elements
static int elements_in_word(ir_kmma kind) { return ir_kmma_k(kind) / 8; }

static double element(ir_kmma kind, uint32_t word, int i) {
  uint32_t bits = word & ~UINT32_C(0x1fff);  // tf32
  float single;
  switch (kind) {
    case IR_KMMA_bf16:
      return weir_bf16_to_f32((uint16_t)(word >> 16 * i));
    case IR_KMMA_f16:
      return weir_f16_to_f32((uint16_t)(word >> 16 * i));
    case IR_KMMA_s8:
      return (int8_t)(word >> 8 * i);
    case IR_KMMA_e4m3:
      return weir_f8e4m3_to_f32((uint8_t)(word >> 8 * i));
    default:
      memcpy(&single, &bits, 4);
      return single;
  }
}

typedef struct {
  double a[ROWS][MAX_K], b[MAX_K][MAX_N];
} factors;

static factors *factors_of(ir_kw_machine *m) {
  if (!m->factors) m->factors = WEIR_NEW(m->arena, factors);
  return m->factors;
}

static void read_a(const ir_kw_machine *m, const ir_kw_warp *w, ir_kmma kind, factors *f) {
  int per = elements_in_word(kind);
  for (int l = 0; l < IR_WARP; l++)
    for (int i = 0; i < 4; i++) {
      uint32_t word = (uint32_t)ir_kw_register(m, w, &w->at->a, i, l)->i;
      for (int e = 0; e < per; e++)
        f->a[l / 4 + 8 * (i % 2)][per * (l % 4) + 4 * per * (i / 2) + e] = element(kind, word, e);
    }
}

static void read_b(const ir_kw_machine *m, const ir_kw_warp *w, ir_kmma kind, factors *f) {
  int per = elements_in_word(kind);
  for (int l = 0; l < IR_WARP; l++)
    for (int i = 0; i < 2; i++) {
      uint32_t word = (uint32_t)ir_kw_register(m, w, &w->at->b, i, l)->i;
      for (int e = 0; e < per; e++) f->b[per * (l % 4) + 4 * per * i + e][l / 4] = element(kind, word, e);
    }
}

// C += A B for the 16 rows of a warp and |n| columns; C starts at 0 for threads outside of |adds|.
static void multiply(const ir_kw_machine *m, const ir_kw_warp *w, ir_kmma kind, int n, const factors *f,
                     uint32_t adds) {
  for (int l = 0; l < IR_WARP; l++)
    for (int r = 0; r < n / 2; r++) {
      int i = r % 4, row = l / 4 + 8 * (i / 2), column = 8 * (r / 4) + 2 * (l % 4) + i % 2;
      ir_ki_value *c = ir_kw_register(m, w, &w->at->c, r, l);
      double sum = 0;
      for (int k = 0; k < ir_kmma_k(kind); k++) sum += f->a[row][k] * f->b[k][column];
      if (kind == IR_KMMA_s8) {
        c->i = (int32_t)((uint32_t)(ir_kw_has(adds, l) ? c->i : 0) + (uint32_t)(int32_t)sum);
        continue;
      }
      c->f = (ir_kw_has(adds, l) ? c->f : 0) + sum;
      if (m->options->round_f32) c->f = (double)(float)c->f;
    }
}

// ---- registers of wgmmas under way
bool ir_kw_use(ir_kw_machine *m, ir_kw_warp *w, int first, int count, bool sets) {
  for (int i = first; w->busy && i < first + count; i++) {
    if (w->busy[i] == 1 || (w->busy[i] && sets))
      return ir_kw_fail(m, w, "a register that a wgmma uses is %s before its wait", sets ? "set" : "read");
    if (sets) w->dirty[i] = true;
  }
  return true;
}

bool ir_kw_use_regs(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_regs *r, int count, bool sets) {
  for (int l = 0; w->busy && l < IR_WARP; l++) {
    if (!ir_kw_has(w->mask, l)) continue;
    int64_t first = r->first + (r->element == IR_KW_NONE ? 0 : ir_kw_vector(m, w, r->element)[l].i);
    if (!ir_kw_use(m, w, (int)first, count, sets)) return false;
  }
  return true;
}

// The registers of an operand of a wgmma; they are the same ones in all threads.
static bool hold(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_regs *r, int count, int as) {
  int first = r->first + (r->element == IR_KW_NONE ? 0 : (int)ir_kw_vector(m, w, r->element)[0].i);
  for (int i = first; i < first + count; i++) {
    if (w->busy[i] && (as == 2 ? w->busy[i] == 1 : w->busy[i] == 2))
      return ir_kw_fail(m, w, "a register of this wgmma is in use by an earlier one");
    if (w->dirty[i]) return ir_kw_fail(m, w, "a register of this wgmma was set without a wgmma fence behind it");
    w->busy[i] = (uint8_t)as;
  }
  w->results.group = w->products.group;
  ir_kw_copies_add(m->arena, &w->results, (uint32_t)first << 1 | (as == 2), (uint32_t)count);
  return true;
}

// ---- mma, ldmatrix
bool ir_kw_mma(ir_kw_machine *m, ir_kw_warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  factors *f = factors_of(m);
  if (!ir_kw_steps(m, 8) || !ir_kw_use_regs(m, w, &w->at->a, ir_kmma_a_regs(b->kind), false) ||
      !ir_kw_use_regs(m, w, &w->at->b, 2, false) || !ir_kw_use_regs(m, w, &w->at->c, 4, true))
    return false;
  read_a(m, w, b->kind, f);
  read_b(m, w, b->kind, f);
  multiply(m, w, b->kind, 8, f, UINT32_MAX);
  return true;
}

bool ir_kw_matrix_move(ir_kw_machine *m, ir_kw_warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  bool loads = b->op == IR_KO_LDMATRIX;
  const ir_kw_place *at = loads ? &w->at->from : &w->at->to;
  char *rows[IR_WARP];
  if (!ir_kw_use_regs(m, w, &w->at->c, b->number, loads)) return false;
  for (int l = 0; l < 8 * b->number; l++)
    if (!ir_kw_touch(m, w, at, l, 16 / ir_ktype_bytes(at->type), 16, loads ? IR_KW_READS : IR_KW_WRITES, &rows[l]))
      return false;
  for (int i = 0; i < b->number; i++)
    for (int l = 0; l < IR_WARP; l++) {
      ir_ki_value *r = ir_kw_register(m, w, &w->at->c, i, l);
      uint32_t word = (uint32_t)r->i;
      for (int half = 0; half < 2; half++) {
        int row = b->trans ? 2 * (l % 4) + half : l / 4, column = b->trans ? l / 4 : 2 * (l % 4) + half;
        char *here = rows[8 * i + row] + 2 * column;
        if (loads) memcpy((char *)&word + 2 * half, here, 2);
        else memcpy(here, (char *)&word + 2 * half, 2);
      }
      if (loads) r->i = word;
    }
  return true;
}

// ---- wgmma
typedef struct {
  ir_kw_machine *m;
  ir_kw_warp *w;
  const ir_kwgmma *factor;
  ir_kmma kind;
  uint32_t offset;  // of its first element in shared memory, before swizzling
} tile;

// The sixteen bytes at |at| from the tile's start on, and that they are read until the wgmma is done.
static const char *chunk(tile *t, int64_t at) {
  const ir_kw_machine *m = t->m;
  int buffer = t->factor->at.buffer;
  int64_t from = (int64_t)t->offset - m->offsets[buffer] + at;
  if (from < 0 || from + 16 > (int64_t)m->buffers[buffer].bytes) {
    ir_kw_fail(t->m, t->w, "a factor is outside of '%s'", m->kernel->buffers[buffer].name);
    return NULL;
  }
  uint32_t place = t->offset + (uint32_t)at;
  place ^= (place >> 7 & (uint32_t)(t->factor->swizzle / 16 - 1)) << 4;
  if (!ir_kw_reading_begins(t->m, t->w, buffer, place, 16, 0)) return NULL;
  ir_kw_copies_add(m->arena, &t->w->products, place, 16);
  return m->block[t->w->block].shared + place;
}

static bool tile_start(tile *t, const ir_kw_place *at) {
  const ir_kwgmma *f = t->factor;
  if (!ir_kw_shared_offset(t->m, t->w, at, 0, 16, 16, &t->offset)) return false;
  uint32_t in_atom = t->offset % (uint32_t)(8 * f->swizzle);
  return in_atom < (f->trans ? 1u : (uint32_t)f->swizzle) ||
         ir_kw_fail(t->m, t->w, "a factor does not begin in the first row of eight");
}

// Puts elements |first| .. |first + count| along m or n of the factor, all of k, at to[i * row + k * column].
static bool tile_read(tile *t, int first, int count, double *to, int row, int column) {
  const ir_kwgmma *f = t->factor;
  int size = ir_ktype_bytes(ir_kmma_type(t->kind)), in_chunk = 16 / size, k = ir_kmma_k(t->kind);
  int outer = f->trans ? k : count, inner = f->trans ? count : k;
  for (int o = 0; o < outer; o++)
    for (int i = 0; i < inner; i += in_chunk) {
      int64_t along = (int64_t)(f->trans ? first + i : i) * size;
      int64_t at = f->trans ? along / f->swizzle * f->stride + (int64_t)o * f->swizzle + along % f->swizzle
                            : (int64_t)(first + o) * f->swizzle + along;
      const char *bytes = chunk(t, at);
      if (!bytes) return false;
      for (int e = 0; e < in_chunk && i + e < inner; e++) {
        uint32_t word = 0;
        memcpy(&word, bytes + e * size, (size_t)size);
        to[f->trans ? (i + e) * row + o * column : o * row + (i + e) * column] = element(t->kind, word, 0);
      }
    }
  return true;
}

bool ir_kw_wgmma(ir_kw_machine *m, ir_kw_warp *w) {
  const ir_kblock *b = w->at->stmt->block;
  factors *f = factors_of(m);
  uint32_t adds = UINT32_MAX;
  if (!ir_kw_steps(m, (uint64_t)b->number)) return false;
  for (int l = 0; l < IR_WARP && w->at->condition != IR_KW_NONE; l++)
    if (!ir_kw_vector(m, w, w->at->condition)[l].i) adds &= ~(UINT32_C(1) << l);
  if (adds && adds != UINT32_MAX) return ir_kw_fail(m, w, "the threads of a wgmma disagree whether it adds");
  if (!hold(m, w, &w->at->c, b->number / 2, 1)) return false;
  if (b->a.var) {
    if (!hold(m, w, &w->at->a, 4, 2)) return false;
    read_a(m, w, b->kind, f);
  } else {
    tile t = {m, w, &b->shared_a, b->kind, 0};
    if (!tile_start(&t, &w->at->shared_a)) return false;
    if (!tile_read(&t, ROWS * (w->number % 4), ROWS, &f->a[0][0], MAX_K, 1)) return false;
  }
  tile t = {m, w, &b->shared_b, b->kind, 0};
  if (!tile_start(&t, &w->at->shared_b) || !tile_read(&t, 0, b->number, &f->b[0][0], 1, MAX_N)) return false;
  multiply(m, w, b->kind, b->number, f, adds);
  return true;
}

bool ir_kw_wgmma_wait(ir_kw_machine *m, ir_kw_warp *w) {
  ir_kw_copies *p = &w->products, *r = &w->results;
  int open = p->group - w->at->stmt->block->number, kept = 0;
  for (int i = 0; i < p->count; i++) {
    const ir_kw_copy copy = p->items[i];
    if (copy.group >= open) p->items[kept++] = copy;
    else if (!ir_kw_reading_ends(m, w, copy.offset, copy.bytes, 0)) return false;
  }
  p->count = kept;
  // Registers of several groups stay in use by the later ones.
  kept = 0;
  for (int i = 0; i < r->count; i++)
    for (uint32_t v = r->items[i].offset >> 1; v < (r->items[i].offset >> 1) + r->items[i].bytes; v++) w->busy[v] = 0;
  for (int i = 0; i < r->count; i++) {
    const ir_kw_copy copy = r->items[i];
    if (copy.group < open) continue;
    r->items[kept++] = copy;
    memset(w->busy + (copy.offset >> 1), copy.offset & 1 ? 2 : 1, copy.bytes);
  }
  r->count = kept;
  return true;
}
