// A packed matrix times few rows, float32: the matrix is read once, as fast as it comes.
//
// A quad of threads has one panel's outputs, four each, for one run of the inputs, so that each read is 16 bytes and
// many are under way; codes are decoded in registers. A block has all runs of some panels, for one row or four. The
// sums of runs meet in shared memory, where they are added in order.
#include "codegen/lower/block/block.h"

enum { THREADS = 128, ROWS = 4, QUAD = 4 };

typedef struct {
  block_linear *p;
  bool fours;
  int tall;  // rows at hand: 1, or ROWS
  ir_kvar *acc;
  ir_kvar *x;   // four inputs of each row
  int visited;  // inputs so far
} few_kernel;

static void multiply(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  few_kernel *f = user;
  block_linear *p = f->p;
  ir_kbuilder *b = &p->k.e.b;
  int nth = f->visited++ % 4;
  const ir_kexpr *i = bk_unroll(b, "i", f->tall), *x = cg_block_input(p, cg_block_row(p, i), at);
  if (f->fours && nth == 0)
    ir_kb_read_vector(b, ir_kb_regs(f->x, i, bk_int(b, 0), NULL), 4, ir_kb_place(x->index, IR_KT_f32, x->args[0]),
                      IR_KHINT_NONE);
  if (f->fours) x = ir_kb_read(b, f->x, i, bk_int(b, nth), NULL);
  else x = ir_kb_let(b, "x", x);
  for (int v = 0; v < QUAD * p->k.matrices; v++) {
    const ir_kexpr *sum = ir_kb_read(b, f->acc, i, bk_int(b, v), NULL);
    ir_kb_set(b, f->acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w[v], sum), i, bk_int(b, v), NULL);
  }
  ir_kb_end(b);
}

// Where the sum of a run stands: [run][row][matrix][panel][lane].
static const ir_kexpr *part_at(const block_linear *p, const ir_kexpr *run, const ir_kexpr *row, int matrix,
                               const ir_kexpr *column) {
  ir_kbuilder *b = (ir_kbuilder *)&p->k.e.b;
  int64_t width = (int64_t)p->panels * IR_LANES;
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, run, ROWS), row);
  return ir_kb_add(b, bk_plus(b, bk_scaled(b, at, width * p->k.matrices), width * matrix), column);
}

// The quad's run for |tall| rows.
static void emit_rows(few_kernel *f, int tall, const ir_kexpr *panel, const ir_kexpr *run, const ir_kexpr *lane) {
  block_linear *p = f->p;
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  int count = QUAD * k->matrices, dims[2] = {tall, count}, fours[2] = {tall, 4};
  f->tall = tall;
  f->visited = 0;
  f->acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 2, dims, bk_zero(b));
  if (f->fours) f->x = ir_kb_reg(b, "xs", IR_KT_f32, false, 2, fours, bk_zero(b));
  cg_panel_operand ops[2 * QUAD];
  for (int v = 0; v < count; v++)
    ops[v] = (cg_panel_operand){cg_block_weight(p, v / QUAD), cg_block_panel(p, panel), v % QUAD + 1, tall == 1};
  const ir_kexpr *lo = ir_kb_let(b, "lo", bk_scaled(b, run, p->runs.length));
  const ir_kexpr *hi = ir_kb_let(b, "hi", ir_kb_min(b, bk_plus(b, lo, p->runs.length), bk_int(b, k->cols)));
  cg_panel_emit(b, k->storage, k->cols, ops, count, lane, lo, hi, multiply, f);
  const ir_kexpr *i = bk_unroll(b, "i", tall), *column = ir_kb_add(b, bk_scaled(b, panel, IR_LANES), lane);
  for (int m = 0; m < k->matrices; m++)
    ir_kb_write_vector(b, ir_kb_place(p->tile, IR_KT_f32, part_at(p, run, i, m, column)),
                       ir_kb_regs(f->acc, i, bk_int(b, m * QUAD), NULL), QUAD, IR_KHINT_NONE);
  ir_kb_end(b);
}

static const ir_kexpr *sum_of(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  block_linear *p = user;
  ir_kbuilder *b = &p->k.e.b;
  ir_kvar *total = ir_kb_reg(b, "total", IR_KT_f32, false, 0, NULL, bk_zero(b));
  const ir_kexpr *run = bk_for(b, "run", bk_int(b, 0), bk_int(b, p->runs.count), 1);
  const ir_kexpr *part = ir_kb_load(b, IR_KT_f32, p->tile, part_at(p, run, row, matrix, column));
  ir_kb_set(b, total, ir_kb_add(b, ir_kb_read(b, total, NULL, NULL, NULL), part), NULL, NULL, NULL);
  ir_kb_end(b);
  return ir_kb_read(b, total, NULL, NULL, NULL);
}

weir_status cg_block_few(block_linear *p, int64_t most_rows) {
  ir_kbuilder *b = &p->k.e.b;
  int64_t all = (p->k.outs + IR_LANES - 1) / IR_LANES;
  p->panels = THREADS / QUAD / p->runs.count;
  while (!p->k.half && p->panels > 1 && all % p->panels) p->panels--;
  cg_block_fit_panels(p, p->panels);
  int quads = p->panels * p->runs.count;
  p->rows = ROWS;
  p->threads = (quads * QUAD + IR_WARP - 1) / IR_WARP * IR_WARP;
  cg_block_begin(p, "few");
  few_kernel f = {.p = p, .fours = cg_block_reads_fours(p)};
  p->tile = ir_kb_add_shared(b, "parts", (int64_t)4 * p->runs.count * ROWS * p->k.matrices * p->panels * IR_LANES);
  const ir_kexpr *quad = ir_kb_let(b, "quad", bk_div(b, p->thread, QUAD));
  const ir_kexpr *lane = ir_kb_let(b, "lane", bk_scaled(b, bk_mod(b, p->thread, QUAD), QUAD));
  const ir_kexpr *panel = ir_kb_let(b, "nth", bk_mod(b, quad, p->panels));
  const ir_kexpr *run = ir_kb_let(b, "run", bk_div(b, quad, p->panels));
  if (quads * QUAD < p->threads) ir_kb_if(b, bk_less(b, quad, bk_int(b, quads)));
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, p->row_count, bk_int(b, 1), NULL));
  emit_rows(&f, 1, panel, run, lane);
  ir_kb_else(b);
  emit_rows(&f, ROWS, panel, run, lane);
  ir_kb_end(b);
  if (quads * QUAD < p->threads) ir_kb_end(b);
  cg_block_store(p, sum_of, p);
  return cg_block_finish(p, 0, most_rows + 1);
}
