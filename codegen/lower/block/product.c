// Products of two values as block kernels: a block has a tile of rows and columns of one image, and goes through k slab
// by slab. A slab of both factors is read into registers while the one before is multiplied, then put into shared
// memory; threads read it along the axis whose elements stand side by side there, four at once where that can be.
//
// float32: a thread has four rows by eight columns and adds k = 0, 1, 2 ... in order. Where both factors are bf16, or
// both f16, by mma m16n8k16: an element is a chain of operations, 16 k each, from zero. What lies outside of a factor
// is zeros. So a sum depends on nothing but its row and column: no tile, no schedule, no batch.
#include "codegen/lower/block/block.h"
#include "codegen/lower/product_internal.h"

enum {
  TALL = 4,       // rows of a thread, float32
  WIDE = 8,       // its columns
  SLAB = 16,      // k of a slab, float32
  MMA_SLAB = 32,  // of halves
  MMA_UP = 2,     // warps over each other, and side by side
  MMA_ACROSS = 2,
  FEW_ROWS = 16,
};

// A factor's slab on its way to shared memory.
typedef struct {
  bool is_x, k_inner;        // elements side by side in memory differ in k
  int extent, each;          // rows or columns of the tile; elements that a thread reads at once
  int buffer;                // SHARED
  int64_t k_step, out_step;  // elements from k to k, from row (column) to row
  int count;                 // elements of a thread
  ir_kvar *held;
} factor;

typedef struct {
  product_kernel *p;
  const char *key;
  int rows, columns, threads, slab;  // of the tile
  bool halves;
  ir_kmma kind;
  const ir_kexpr *thread, *lane, *warp;
  const ir_kexpr *row_last, *column_last;
  factor x, y;
  ir_kvar *acc, *a, *b;
} block_product;

static ir_kbuilder *builder(block_product *f) { return &f->p->e.b; }
static ir_ktype held_type(const block_product *f) {
  return !f->halves ? IR_KT_f32 : f->kind == IR_KMMA_bf16 ? IR_KT_bf16 : IR_KT_f16;
}

// ---- slabs

static const ir_kexpr *element(block_product *f, const factor *s, const ir_kexpr *out, const ir_kexpr *k) {
  return s->is_x ? cg_product_x(f->p, out, k) : cg_product_y(f->p, k, out);
}

static int64_t extent_of(const block_product *f, const factor *s) {  // of all; -1: known at run time
  const ir_type *type = &f->p->root->type;
  if (s->is_x && !f->p->has_rows) return 1;
  return cg_const_dim(type->dims[s->is_x ? f->p->lead : type->rank - 1]);
}

static int64_t depth_of(const block_product *f) {
  const ir_type *x = &f->p->x->type;
  return cg_const_dim(x->dims[x->rank - 1]);
}

// The |i|th piece of the thread: its first k, within the slab, and its first row or column, within the tile.
static void place_of(block_product *f, const factor *s, const ir_kexpr *i, const ir_kexpr **k, const ir_kexpr **out) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *nth = ir_kb_add(b, f->thread, bk_scaled(b, i, f->threads));
  int fast = (s->k_inner ? f->slab : s->extent) / s->each;
  const ir_kexpr *along = bk_scaled(b, bk_mod(b, nth, fast), s->each), *across = bk_div(b, nth, fast);
  *k = ir_kb_let(b, "k", s->k_inner ? along : across);
  *out = ir_kb_let(b, "out", s->k_inner ? across : along);
}

// No farther than the last |each| of |count|.
static const ir_kexpr *within(ir_kbuilder *b, const ir_kexpr *at, const ir_kexpr *count, int each) {
  return ir_kb_min(b, at, bk_plus(b, count, -each));
}

static void read_factor(block_product *f, const factor *s, const ir_kexpr *slab) {
  product_kernel *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *i = bk_unroll(b, "i", s->count / s->each), *k, *out, *zero = bk_int(b, 0);
  place_of(f, s, i, &k, &out);
  bool rest = depth_of(f) < 0 || depth_of(f) % f->slab;
  k = ir_kb_let(b, "k", ir_kb_add(b, bk_scaled(b, slab, f->slab), k));
  const ir_kexpr *inside = bk_less(b, k, p->depth);
  if (rest) inside = ir_kb_let(b, "inside", inside), k = within(b, k, p->depth, s->k_inner ? s->each : 1);
  out = ir_kb_add(b, s->is_x ? p->row_lo : p->column_lo, out);
  if (extent_of(f, s) < 0 || extent_of(f, s) % s->extent)
    out = within(b, out, s->is_x ? f->row_last : f->column_last, s->k_inner ? 1 : s->each);
  k = ir_kb_let(b, "k", k), out = ir_kb_let(b, "out", out);
  const ir_kexpr *first = element(f, s, out, k);
  if (s->each > 1) {
    while (first->op == IR_K_cast) first = first->args[0];
    const ir_kexpr *request = first->arg_count > 1 ? first->args[1] : NULL;
    ir_kplace from = ir_kb_place_table(first->index, first->type, request, first->args[0]);
    ir_kb_read_vector(b, ir_kb_regs(s->held, i, zero, NULL), s->each, from, IR_KHINT_NONE);
  } else {
    ir_kb_set(b, s->held, first, i, zero, NULL);
  }
  for (int n = 0; rest && n < s->each; n++) {
    const ir_kexpr *value = ir_kb_read(b, s->held, i, bk_int(b, n), NULL);
    value = ir_kb_op(b, IR_K_select, IR_KT_f32, inside, value, bk_zero(b));
    ir_kb_set(b, s->held, value, i, bk_int(b, n), NULL);
  }
  ir_kb_end(b);
}

static void put_factor(block_product *f, const factor *s) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *i = bk_unroll(b, "i", s->count / s->each), *k, *out;
  place_of(f, s, i, &k, &out);
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, k, s->k_step), bk_scaled(b, out, s->out_step));
  int64_t step = s->k_inner ? s->k_step : s->out_step;
  if (s->each > 1 && step == 1)
    ir_kb_write_vector(b, ir_kb_place(s->buffer, held_type(f), at), ir_kb_regs(s->held, i, bk_int(b, 0), NULL), s->each,
                       IR_KHINT_NONE);
  for (int n = 0; !(s->each > 1 && step == 1) && n < s->each; n++) {
    const ir_kexpr *value = ir_kb_cast(b, held_type(f), ir_kb_read(b, s->held, i, bk_int(b, n), NULL));
    ir_kb_store(b, held_type(f), s->buffer, bk_plus(b, at, n * step), value);
  }
  ir_kb_end(b);
}

// Whether four elements along the inner axis, from a multiple of four on, can be read at once.
static bool reads_fours(block_product *f, const factor *s) {
  ir_kbuilder *b = builder(f);
  int64_t length = s->k_inner ? depth_of(f) : extent_of(f, s);
  ir_kplace place;
  if (length < 4 || length % 4) return false;
  const ir_kexpr *along = bk_scaled(b, cg_placeholder(&f->p->e), 4), *across = cg_placeholder(&f->p->e);
  const ir_kexpr *next = bk_plus(b, along, 1);
  if (s->k_inner) return cg_block_fours(b, element(f, s, across, along), element(f, s, across, next), &place);
  return cg_block_fours(b, element(f, s, along, across), element(f, s, next, across), &place);
}

static void add_factor(block_product *f, factor *s, bool is_x, int64_t bytes) {
  product_kernel *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_value *value = is_x ? p->x : p->y;
  int rank = value->type.rank, pad = f->halves ? 8 : 4;
  s->is_x = is_x;
  s->extent = is_x ? f->rows : f->columns;
  s->k_inner = cg_product_is_inner(p, value, is_x || p->linear ? rank - 1 : rank - 2);
  s->each = reads_fours(f, s) ? 4 : 1;
  s->count = s->extent * f->slab / f->threads;
  // float32: x [row][k], y [k][column]; halves: x [row][k], y as its elements are in memory.
  bool along_k = is_x || (f->halves && s->k_inner);
  s->k_step = along_k ? 1 : s->extent + pad;
  s->out_step = along_k ? f->slab + pad : 1;
  int64_t size = (along_k ? s->out_step * s->extent : s->k_step * f->slab) * ir_ktype_bytes(held_type(f));
  s->buffer = ir_kb_add_shared(b, is_x ? "xs" : "ys", size > bytes ? size : bytes);
  int dims[2] = {s->count / s->each, s->each};
  s->held = ir_kb_reg(b, is_x ? "x" : "y", IR_KT_f32, false, 2, dims, bk_zero(b));
}

// ---- sums in float32

static const ir_kexpr *thread_row(block_product *f, const ir_kexpr *i) {
  ir_kbuilder *b = builder(f);
  int across = f->columns / WIDE;
  return ir_kb_add(b, bk_div(b, f->thread, across), bk_scaled(b, i, f->rows / TALL));
}

// The first column of the thread's |half|th four.
static const ir_kexpr *thread_column(block_product *f, int half) {
  ir_kbuilder *b = builder(f);
  int across = f->columns / WIDE;
  return bk_plus(b, bk_scaled(b, bk_mod(b, f->thread, across), 4), (int64_t)half * f->columns / 2);
}

static void multiply(block_product *f) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0), *k = bk_for(b, "k", zero, bk_int(b, f->slab), 4), *i = bk_unroll(b, "i", TALL);
  const ir_kexpr *from = ir_kb_add(b, bk_scaled(b, thread_row(f, i), f->x.out_step), k);
  ir_kb_read_vector(b, ir_kb_regs(f->a, i, zero, NULL), 4, ir_kb_place(f->x.buffer, IR_KT_f32, from), IR_KHINT_NONE);
  ir_kb_end(b);
  const ir_kexpr *u = bk_unroll(b, "u", 4);
  for (int half = 0; half < 2; half++) {
    from = ir_kb_add(b, bk_scaled(b, ir_kb_add(b, k, u), f->y.k_step), thread_column(f, half));
    ir_kb_read_vector(b, ir_kb_regs(f->b, bk_int(b, 4 * half), NULL, NULL), 4,
                      ir_kb_place(f->y.buffer, IR_KT_f32, from), IR_KHINT_NONE);
  }
  i = bk_unroll(b, "i", TALL);
  const ir_kexpr *j = bk_unroll(b, "j", WIDE), *sum = ir_kb_read(b, f->acc, i, j, NULL);
  sum = ir_kb_op(b, IR_K_fma, IR_KT_f32, ir_kb_read(b, f->a, i, u, NULL), ir_kb_read(b, f->b, j, NULL, NULL), sum);
  ir_kb_set(b, f->acc, sum, i, j, NULL);
  for (int n = 0; n < 4; n++) ir_kb_end(b);
}

static void add_sums(block_product *f) {
  ir_kbuilder *b = builder(f);
  int acc[2] = {TALL, WIDE}, a[2] = {TALL, 4}, wide = WIDE;
  f->acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 2, acc, bk_zero(b));
  f->a = ir_kb_reg(b, "a", IR_KT_f32, false, 2, a, bk_zero(b));
  f->b = ir_kb_reg(b, "b", IR_KT_f32, false, 1, &wide, bk_zero(b));
}

// ---- of halves: a warp has a quarter of the tile

static int mma_tall(const block_product *f) { return f->rows / MMA_UP / 16; }
static int mma_wide(const block_product *f) { return f->columns / MMA_ACROSS / 8; }
static const ir_kexpr *warp_row(block_product *f) {
  return bk_scaled(builder(f), bk_mod(builder(f), f->warp, MMA_UP), f->rows / MMA_UP);
}
static const ir_kexpr *warp_column(block_product *f) {
  return bk_scaled(builder(f), bk_div(builder(f), f->warp, MMA_UP), f->columns / MMA_ACROSS);
}

// Fragments: of x the four 8 x 8 of 16 rows and 16 k; of y two, 16 k of eight columns.
static void multiply_halves(block_product *f) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0), *half = bk_unroll(b, "half", MMA_SLAB / 16), *k = bk_scaled(b, half, 16);
  const ir_kexpr *of_eight = bk_mod(b, f->lane, 8), *nth = bk_div(b, f->lane, 8),
                 *odd = bk_scaled(b, bk_mod(b, nth, 2), 8);
  const ir_kexpr *i = bk_unroll(b, "i", mma_tall(f));
  const ir_kexpr *row = ir_kb_add(b, ir_kb_add(b, warp_row(f), bk_scaled(b, i, 16)), ir_kb_add(b, of_eight, odd));
  const ir_kexpr *at = ir_kb_add(b, k, bk_scaled(b, bk_div(b, nth, 2), 8));
  at = ir_kb_add(b, bk_scaled(b, row, f->x.out_step), at);
  ir_kb_ldmatrix(b, ir_kb_regs(f->a, i, zero, NULL), 4, ir_kb_place(f->x.buffer, IR_KT_u16, at), false);
  ir_kb_end(b);
  const ir_kexpr *j = bk_unroll(b, "j", mma_wide(f));
  const ir_kexpr *column = ir_kb_add(b, warp_column(f), bk_scaled(b, j, 8));
  bool trans = f->y.k_step != 1;
  if (trans) at = ir_kb_add(b, bk_scaled(b, ir_kb_add(b, k, ir_kb_add(b, of_eight, odd)), f->y.k_step), column);
  else at = ir_kb_add(b, bk_scaled(b, ir_kb_add(b, column, of_eight), f->y.out_step), ir_kb_add(b, k, odd));
  ir_kb_ldmatrix(b, ir_kb_regs(f->b, zero, NULL, NULL), 2, ir_kb_place(f->y.buffer, IR_KT_u16, at), trans);
  i = bk_unroll(b, "i", mma_tall(f));
  at = ir_kb_add(b, bk_scaled(b, i, mma_wide(f)), j);
  ir_kb_mma(b, f->kind, ir_kb_regs(f->acc, at, zero, NULL), ir_kb_regs(f->a, i, zero, NULL),
            ir_kb_regs(f->b, zero, NULL, NULL));
  for (int n = 0; n < 3; n++) ir_kb_end(b);
}

static void add_fragments(block_product *f) {
  ir_kbuilder *b = builder(f);
  int acc[2] = {mma_tall(f) * mma_wide(f), 4}, a[2] = {mma_tall(f), 4}, two = 2;
  f->acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 2, acc, bk_zero(b));
  f->a = ir_kb_reg(b, "a", IR_KT_u32, false, 2, a, ir_kb_const(b, IR_KT_u32, 0));
  f->b = ir_kb_reg(b, "b", IR_KT_u32, false, 1, &two, ir_kb_const(b, IR_KT_u32, 0));
}

// ---- the result

// Sums lie over the slab of x: [row][column], four words between rows.
static const ir_kexpr *sum_at(block_product *f, const ir_kexpr *row, const ir_kexpr *column) {
  return ir_kb_add(builder(f), bk_scaled(builder(f), row, f->columns + 4), column);
}

static void put_sums(block_product *f) {
  ir_kbuilder *b = builder(f);
  if (!f->halves) {
    const ir_kexpr *i = bk_unroll(b, "i", TALL);
    for (int half = 0; half < 2; half++)
      ir_kb_write_vector(b, ir_kb_place(f->x.buffer, IR_KT_f32, sum_at(f, thread_row(f, i), thread_column(f, half))),
                         ir_kb_regs(f->acc, i, bk_int(b, 4 * half), NULL), 4, IR_KHINT_NONE);
    ir_kb_end(b);
    return;
  }
  const ir_kexpr *i = bk_unroll(b, "i", mma_tall(f)), *j = bk_unroll(b, "j", mma_wide(f));
  const ir_kexpr *row = ir_kb_add(b, ir_kb_add(b, warp_row(f), bk_scaled(b, i, 16)), bk_div(b, f->lane, 4));
  const ir_kexpr *column =
      ir_kb_add(b, ir_kb_add(b, warp_column(f), bk_scaled(b, j, 8)), bk_scaled(b, bk_mod(b, f->lane, 4), 2));
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, i, mma_wide(f)), j);
  for (int n = 0; n < 4; n++)
    ir_kb_store(b, IR_KT_f32, f->x.buffer, sum_at(f, bk_plus(b, row, n / 2 * 8), bk_plus(b, column, n % 2)),
                ir_kb_read(b, f->acc, at, bk_int(b, n), NULL));
  ir_kb_end(b);
  ir_kb_end(b);
}

static void store_tile(block_product *f) {
  product_kernel *p = f->p;
  ir_kbuilder *b = builder(f);
  put_sums(f);
  ir_kb_barrier(b);
  const ir_kexpr *i = bk_for(b, "i", f->thread, bk_int(b, (int64_t)f->rows * f->columns), f->threads);
  const ir_kexpr *row = ir_kb_let(b, "row", bk_div(b, i, f->columns));
  const ir_kexpr *column = ir_kb_let(b, "column", bk_mod(b, i, f->columns));
  const ir_kexpr *m = ir_kb_let(b, "m", ir_kb_add(b, p->row_lo, row));
  const ir_kexpr *n = ir_kb_let(b, "n", ir_kb_add(b, p->column_lo, column));
  ir_kb_if(b, bk_and(b, bk_less(b, m, f->row_last), bk_less(b, n, f->column_last)));
  cg_product_store(p, m, n, ir_kb_load(b, IR_KT_f32, f->x.buffer, sum_at(f, row, column)));
  ir_kb_end(b);
  ir_kb_end(b);
}

// ---- the block

static const ir_kexpr *pieces(ir_kbuilder *b, const ir_kexpr *all, int64_t size) {
  return bk_div(b, bk_plus(b, all, size - 1), size);
}

// Opens the grid and the `if` that the block has something to do.
static void bind_block(block_product *f) {
  product_kernel *p = f->p;
  emitter *e = &p->e;
  ir_kbuilder *b = builder(f);
  const ir_type *type = &p->root->type;
  const ir_kexpr *one = bk_int(b, 1), *tiles = one;
  if (p->has_rows) tiles = pieces(b, cg_emit_most(e, type->dims[p->lead]), f->rows);
  const ir_kexpr *chunks = pieces(b, cg_emit_most(e, type->dims[type->rank - 1]), f->columns);
  const ir_kexpr *images = cg_emit_images(e, p->root, p->lead);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, ir_kb_mul(b, images, tiles), chunks), "n");
  f->thread = ir_kb_set_threads(b, "t", f->threads, 0);
  const ir_kexpr *rest = ir_kb_let(b, "part", ir_kb_div(b, n, chunks));
  p->column_lo = ir_kb_let(b, "column_lo", bk_scaled(b, ir_kb_mod(b, n, chunks), f->columns));
  p->row_lo = ir_kb_let(b, "row_lo", bk_scaled(b, ir_kb_mod(b, rest, tiles), f->rows));
  cg_emit_set_image(e, p->root, p->lead, ir_kb_div(b, rest, tiles), p->idx);
  f->row_last = ir_kb_let(b, "rows", p->has_rows ? cg_dim_expr(e, type->dims[p->lead]) : one);
  f->column_last = ir_kb_let(b, "columns", cg_dim_expr(e, type->dims[type->rank - 1]));
  p->depth = ir_kb_let(b, "depth", cg_dim_expr(e, p->x->type.dims[p->x->type.rank - 1]));
  f->lane = ir_kb_let(b, "lane", bk_mod(b, f->thread, IR_WARP));
  f->warp = ir_kb_let(b, "warp", bk_div(b, f->thread, IR_WARP));
  ir_kb_if(b, bk_and(b, bk_less(b, p->row_lo, f->row_last), bk_less(b, p->column_lo, f->column_last)));
}

static void emit_tile(block_product *f) {
  product_kernel *p = f->p;
  ir_kbuilder *b = builder(f);
  int64_t sums = (int64_t)4 * f->rows * (f->columns + 4);
  add_factor(f, &f->x, true, sums);
  add_factor(f, &f->y, false, 0);
  if (f->halves) add_fragments(f);
  else add_sums(f);
  const ir_kexpr *zero = bk_int(b, 0), *slabs = ir_kb_let(b, "slabs", pieces(b, p->depth, f->slab));
  ir_kb_if(b, bk_less(b, zero, slabs));
  read_factor(f, &f->x, zero);
  read_factor(f, &f->y, zero);
  ir_kb_end(b);
  const ir_kexpr *slab = bk_for(b, "slab", zero, slabs, 1), *next = ir_kb_let(b, "next", bk_plus(b, slab, 1));
  put_factor(f, &f->x);
  put_factor(f, &f->y);
  ir_kb_barrier(b);
  ir_kb_if(b, bk_less(b, next, slabs));
  read_factor(f, &f->x, next);
  read_factor(f, &f->y, next);
  ir_kb_end(b);
  if (f->halves) multiply_halves(f);
  else multiply(f);
  ir_kb_barrier(b);
  ir_kb_end(b);
  store_tile(f);
}

// -1 in the key: known at run time.
static void choose(block_product *f, bool few) {
  static const int64_t rows[] = {32, 128}, columns[] = {32, 128};
  lowering *low = f->p->fl->low;
  f->slab = f->halves ? MMA_SLAB : SLAB;
  f->rows = few ? FEW_ROWS : (int)cg_schedule_choice(low, f->key, "rows", 64, rows, 2);
  f->columns = few ? 64 : (int)cg_schedule_choice(low, f->key, "columns", 64, columns, 2);
  f->threads = f->rows / TALL * (f->columns / WIDE);
  if (f->halves) {
    if (few) f->rows = 32;
    f->threads = MMA_UP * MMA_ACROSS * IR_WARP;
  }
}

static weir_status lower(block_product *f, bool few, int64_t guard_lo, int64_t guard_hi) {
  product_kernel *p = f->p;
  weir_arena *arena = p->fl->low->arena;
  choose(f, few);
  const char *type = f->halves ? ir_kmma_name(f->kind) : "f32";
  const char *banner =
      weir_arena_printf(arena, "%s = %s x %s, tiles of %d x %d", ir_type_print(arena, &p->root->type),
                        ir_type_print(arena, &p->x->type), ir_type_print(arena, &p->y->type), f->rows, f->columns);
  cg_emit_begin(&p->e, p->fl, p->root, weir_arena_printf(arena, "block_product_%s%s", type, few ? "_few" : ""), banner);
  bind_block(f);
  emit_tile(f);
  ir_kb_end(builder(f));
  if (guard_hi) {
    p->e.item.guarded = true;
    p->e.item.guard = cg_emit_most(&p->e, p->root->type.dims[p->lead]);
    p->e.item.guard_lo = guard_lo, p->e.item.guard_hi = guard_hi;
  }
  return cg_emit_finish(&p->e);
}

// The type of both factors where a matrix unit has it.
static bool takes_halves(const product_kernel *p, ir_kmma *out_kind) {
  ir_dtype x = p->x->type.dtype, y = p->y->type.dtype;
  *out_kind = x == IR_bf16 ? IR_KMMA_bf16 : IR_KMMA_f16;
  return x == y && (x == IR_bf16 || x == IR_f16);
}

bool cg_block_product(product_kernel *p, weir_status *out_status) {
  function_lowering *fl = p->fl;
  if (!fl->low->options->blocks || p->type != IR_KT_f32 || cg_reduces_ahead(fl, p->root)) return false;
  if (cg_block_in_steps(fl, p->x) || cg_block_in_steps(fl, p->y)) return false;
  block_product f = {.p = p};
  const ir_type *type = &p->root->type;
  int64_t rows = p->has_rows ? cg_const_dim(type->dims[p->lead]) : 1;
  f.halves = takes_halves(p, &f.kind);
  f.key =
      weir_arena_printf(fl->low->arena, "block_product_%s_%lldx%lldx%lld", f.halves ? ir_kmma_name(f.kind) : "f32",
                        (long long)rows, (long long)cg_const_dim(type->dims[type->rank - 1]), (long long)depth_of(&f));
  if (rows >= 0) {
    *out_status = lower(&f, rows <= FEW_ROWS, 0, 0);
    return true;
  }
  product_kernel few = *p;
  f.p = &few;
  *out_status = lower(&f, true, 0, FEW_ROWS + 1);
  f.p = p;
  if (!*out_status) *out_status = lower(&f, false, FEW_ROWS + 1, INT64_MAX);
  return true;
}
