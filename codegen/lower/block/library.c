// Products in bf16 that a library of the device's maker may do where a plan allows it: for many rows, from a number on
// that was measured to be worth it.
//
// Behind the templates' kernels, whose guards end there, stand a kernel for each matrix that leaves its sums in memory,
// f32, and one that does with them what follows on a product in the item kernels, once for all matrices. The first say
// what they compute (ir_kernel.library), so that the launcher may call the library instead. Where there is none they
// run themselves, right and without haste: a warp has sixteen outputs for eight rows, read from memory. Where nothing
// follows, the sums are the result.
//
// The library reads rows of the matrix one behind the other, so the package then has it once more in this form. Sums
// have the library's order: nothing here is the bits of other templates, nor the same for all numbers of rows.
#include "codegen/lower/block/block.h"

enum { WARPS = 4, UP = 16, ROWS = 8, BEHIND_ROWS = 32, BEHIND_PANELS = 8, BEHIND_THREADS = 256 };

// The root's rows are those of x, and nothing else stands between.
static bool has_plain_rows(const block_linear *p) {
  const function_lowering *fl = p->k.fl;
  const value_info *info = cg_info(fl, p->k.domain);
  for (int i = 0; i < p->k.domain->type.rank - 1; i++)
    if (!(info->ragged >> i & 1) && cg_const_dim(p->k.domain->type.dims[i]) != 1) return false;
  return info->ragged || info->cls == CLASS_REQUEST;
}

int64_t cg_block_library_rows(block_linear *p) {
  static const int64_t rows[] = {32, 128, 512}, algorithms[] = {1, 2, 3};
  lowering *low = p->k.fl->low;
  bool fits = low->options->library && p->format.compute == CG_COMPUTE_BF16 && p->format.layout == CG_LAYOUT_PAIRS &&
              p->k.cols % 32 == 0 && p->k.outs % 8 == 0 && !p->windows && !p->route.experts && has_plain_rows(p);
  for (int m = 0; fits && m < p->k.matrices; m++) fits = cg_format_of(p->k.fl, cg_base(p->k.fl, p->w[m])) != NULL;
  if (!fits) return 0;
  int64_t from = cg_inexact_choice(low, p->key, "library.rows", 0, rows, 3);
  p->algorithm = (int)cg_inexact_choice(low, p->key, "library.algorithm", 0, algorithms, 3);
  return from;
}

// ---- the product

typedef struct {
  linear_kernel *k;
  const ir_kexpr *row_lo, *out, *group, *quad;
  int x, w, y;
} product;

static void multiply(product *f) {
  linear_kernel *k = f->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *zero = bk_int(b, 0), *last = bk_plus(b, k->rows, -1), *words = bk_int(b, k->cols / 2);
  int acc_dims[2] = {1, 4}, a_dims[2] = {1, 4}, b_dims[2] = {1, 2};
  ir_kvar *acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 2, acc_dims, bk_zero(b));
  ir_kvar *a = ir_kb_reg(b, "a", IR_KT_u32, false, 2, a_dims, ir_kb_const(b, IR_KT_u32, 0));
  ir_kvar *x = ir_kb_reg(b, "xs", IR_KT_u32, false, 2, b_dims, ir_kb_const(b, IR_KT_u32, 0));
  const ir_kexpr *m = ir_kb_let(b, "m", ir_kb_min(b, ir_kb_add(b, f->row_lo, f->group), last)), *n[2];
  for (int h = 0; h < 2; h++) {
    const ir_kexpr *at = ir_kb_add(b, f->out, bk_plus(b, f->group, 8 * h));
    n[h] = ir_kb_let(b, "n", ir_kb_min(b, at, bk_int(b, k->outs - 1)));
  }
  const ir_kexpr *word = bk_for(b, "word", zero, words, 8);
  for (int i = 0; i < 4; i++) {
    const ir_kexpr *at =
        ir_kb_add(b, ir_kb_mul(b, n[i % 2], words), ir_kb_add(b, word, bk_plus(b, f->quad, i / 2 * 4)));
    ir_kb_set(b, a, ir_kb_load(b, IR_KT_u32, f->w, at), zero, bk_int(b, i), NULL);
  }
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, m, words), ir_kb_add(b, word, bk_plus(b, f->quad, 4 * i)));
    ir_kb_set(b, x, ir_kb_load(b, IR_KT_u32, f->x, at), zero, bk_int(b, i), NULL);
  }
  ir_kb_mma(b, IR_KMMA_bf16, ir_kb_regs(acc, zero, zero, NULL), ir_kb_regs(a, zero, zero, NULL),
            ir_kb_regs(x, zero, zero, NULL));
  ir_kb_end(b);
  for (int i = 0; i < 4; i++) {
    const ir_kexpr *out = ir_kb_add(b, f->out, bk_plus(b, f->group, i / 2 * 8));
    const ir_kexpr *row = ir_kb_add(b, f->row_lo, bk_plus(b, bk_scaled(b, f->quad, 2), i % 2));
    ir_kb_if(b, bk_and(b, bk_less(b, row, k->rows), bk_less(b, out, bk_int(b, k->outs))));
    ir_kb_store(b, IR_KT_f32, f->y, ir_kb_add(b, bk_scaled(b, row, k->outs), out),
                ir_kb_read(b, acc, zero, bk_int(b, i), NULL));
    ir_kb_end(b);
  }
}

// The sums of matrix |matrix| into slot |to|.
static weir_status emit_product(const block_linear *p, const packed_rows *x, int matrix, int to, int64_t from) {
  block_linear own = *p;
  linear_kernel *k = &own.k;
  function_lowering *fl = k->fl;
  int w = cg_info(fl, cg_base(fl, p->w[matrix]))->slot;
  cg_linear_open(k, weir_arena_printf(fl->low->arena, "library_bf16_%dx%d", (int)k->outs, (int)k->cols),
                 weir_arena_printf(fl->low->arena, "[rows, %d] x bf16[%d, %d], or a library's", (int)k->cols,
                                   (int)k->outs, (int)k->cols));
  ir_kbuilder *b = &k->e.b;
  product f = {.k = k};
  f.x = cg_emit_slot(&k->e, cg_info(fl, x->codes)->slot, IR_KB_IN);
  f.w = cg_emit_slot(&k->e, cg_add_rows(fl, w, 2 * k->outs * k->cols), IR_KB_IN);
  f.y = cg_emit_slot(&k->e, to, IR_KB_OUT);
  int64_t width = WARPS * UP;
  const ir_kexpr *chunks = bk_div(b, bk_plus(b, k->rows, ROWS - 1), ROWS);
  const ir_kexpr *n = ir_kb_set_grid(b, bk_scaled(b, chunks, (k->outs + width - 1) / width), "item");
  const ir_kexpr *t = ir_kb_set_threads(b, "t", WARPS * IR_WARP, 0);
  ir_kb_set_library(b, k->outs, k->cols, p->algorithm);
  chunks = ir_kb_let(b, "chunks", chunks);
  f.row_lo = ir_kb_let(b, "row_lo", bk_scaled(b, ir_kb_mod(b, n, chunks), ROWS));
  const ir_kexpr *out = bk_scaled(b, ir_kb_div(b, n, chunks), width);
  f.out = ir_kb_let(b, "out", ir_kb_add(b, out, bk_scaled(b, bk_div(b, t, IR_WARP), UP)));
  const ir_kexpr *lane = ir_kb_let(b, "lane", bk_mod(b, t, IR_WARP));
  f.group = ir_kb_let(b, "group", bk_div(b, lane, 4));
  f.quad = ir_kb_let(b, "quad", bk_mod(b, lane, 4));
  multiply(&f);
  fl->low->choice_key = p->key;
  return cg_linear_finish(k, from, INT64_MAX);
}

// ---- what follows

typedef struct {
  block_linear *p;
  ir_value *const *sums;
} epilogue;

static const ir_kexpr *sum_of(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  epilogue *f = user;
  block_linear *p = f->p;
  ir_kbuilder *b = &p->k.e.b;
  int buffer = cg_emit_slot(&p->k.e, cg_info(p->k.fl, f->sums[matrix])->slot, IR_KB_IN);
  const ir_kexpr *at = bk_scaled(b, cg_block_place(p, row), p->k.outs);
  return ir_kb_load(b, IR_KT_f32, buffer, ir_kb_add(b, at, cg_block_column(p, column)));
}

static weir_status emit_epilogue(const block_linear *p, ir_value *const *sums, int64_t from) {
  block_linear own = *p;
  own.rows = BEHIND_ROWS;
  own.threads = BEHIND_THREADS;
  cg_block_fit_panels(&own, BEHIND_PANELS);
  cg_block_begin(&own, "behind");
  cg_block_store(&own, sum_of, &(epilogue){&own, sums});
  return cg_linear_finish(&own.k, from, INT64_MAX);
}

// Whether the sums are all there is, in memory of their form.
static bool is_result(const block_linear *p) {
  const function_lowering *fl = p->k.fl;
  const ir_value *root = p->k.root;
  const value_info *info = cg_info(fl, root);
  bool alone = p->k.matrices == 1 && p->k.linears[0]->results[0] == root && root->type.dtype == IR_f32;
  return alone && fl->out->slots[info->slot].kind == SLOT_TEMP && fl->out->slots[info->slot].first == info->ragged;
}

weir_status cg_block_library(const block_linear *p, const packed_rows *x, int64_t from) {
  function_lowering *fl = p->k.fl;
  ir_value *sums[2];
  bool result = is_result(p);
  for (int m = 0; m < p->k.matrices; m++) {
    ir_type type = p->x->type;
    type.dtype = IR_f32;
    type.dims[type.rank - 1] = ir_dim_const(fl->low->module->dims, p->k.outs);
    sums[m] = result ? p->k.root : cg_new_value(fl, type);
    WEIR_TRY(emit_product(p, x, m, cg_info(fl, sums[m])->slot, from));
  }
  return result ? WEIR_OK : emit_epilogue(p, sums, from);
}
