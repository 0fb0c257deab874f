// Running sums, products, extremes and logs of sums of exponentials, by threads of a block.
//
// Lines whose neighbours lie side by side in memory have a block: pieces of PER elements a thread, each thread's in
// order, then a scan over the threads, on top of what the pieces before gave. Other lines, and short ones, have a
// thread: it goes along in order, some loads ahead, beside others that read the neighbouring words. So the order of a
// block's sums depends on places in the line and on the number of threads, which the type says.
#include <math.h>

#include "codegen/lower/line.h"

enum { PER = 4, AHEAD = 8, COLUMNS = 128, SHORT = 64, MOST_THREADS = 256 };

typedef struct {
  cg_line l;
  ir_combine combine;
  ir_ktype type;
  cg_block_scan scan;
} running;

static void combine(void *user, const ir_kexpr *const *x, const ir_kexpr *const *y, const ir_kexpr **out) {
  running *r = user;
  ir_kbuilder *b = &r->l.e.b;
  if (r->combine != IR_COMBINE_logsumexp) {
    out[0] = ir_kb_let(b, "v", ln_op(b, cg_combine_op(r->combine), x[0], y[0]));
    return;
  }
  const ir_kexpr *most = ir_kb_let(b, "most", ln_op(b, IR_K_max, x[0], y[0])), *part[2];
  const ir_kexpr *shift = cg_emit_safe_shift(&r->l.e, most);
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *far = ir_kb_sub(b, i ? y[0] : x[0], shift);
    part[i] = ir_kb_mul(b, i ? y[1] : x[1], ir_kb_op(b, IR_K_exp, r->type, far, NULL, NULL));
  }
  out[0] = most;
  out[1] = ir_kb_let(b, "sum", ir_kb_add(b, part[0], part[1]));
}

static const ir_kexpr *finished(running *r, const ir_kexpr *const *x) {
  ir_kbuilder *b = &r->l.e.b;
  if (r->combine != IR_COMBINE_logsumexp) return x[0];
  const ir_kexpr *shift = cg_emit_safe_shift(&r->l.e, x[0]);
  return cg_emit_log_sum(&r->l.e, shift, ir_kb_op(b, IR_K_log, r->type, x[1], NULL, NULL));
}

static void start(running *r, ir_combine of, ir_ktype type) {
  r->combine = of;
  r->type = type;
  r->scan = (cg_block_scan){.count = of == IR_COMBINE_logsumexp ? 2 : 1,
                            .type = type,
                            .identity = {of == IR_COMBINE_logsumexp ? -INFINITY : cg_combine_start(of, type), 0},
                            .combine = combine,
                            .user = r};
}

static const ir_kexpr *identity(running *r, int part) {
  return ir_kb_const(&r->l.e.b, r->type, r->scan.identity[part]);
}

static void make_state(running *r, ir_kvar **out) {
  for (int i = 0; i < r->scan.count; i++) out[i] = ln_reg(&r->l.e.b, "r", identity(r, i));
}

static void read_state(running *r, ir_kvar *const *state, const ir_kexpr **out) {
  for (int i = 0; i < r->scan.count; i++) out[i] = ir_kb_let(&r->l.e.b, "old", ln_read(&r->l.e.b, state[i]));
}

static void set_state(running *r, ir_kvar *const *state, const ir_kexpr *const *to) {
  for (int i = 0; i < r->scan.count; i++) ln_set(&r->l.e.b, state[i], to[i]);
}

// ---- a line by a thread

static void emit_thread(running *r, ir_value *x, const ir_value *root) {
  cg_line *l = &r->l;
  ir_kbuilder *b = &l->e.b;
  ir_kvar *state[2];
  make_state(r, state);
  ir_kvar *next = ir_kb_reg(b, "next", r->type, false, 1, (int[]){AHEAD}, ir_kb_const(b, r->type, 0));
  const ir_kexpr *at = bk_for(b, "at", bk_int(b, 0), l->size, AHEAD);
  const ir_kexpr *u = bk_unroll(b, "u", AHEAD), *i = ir_kb_add(b, at, u);
  ir_kb_if(b, bk_less(b, i, l->size));
  ir_kb_set(b, next, cg_line_load(l, x, i), u, NULL, NULL);
  ir_kb_end(b);
  ir_kb_end(b);
  u = bk_unroll(b, "u", AHEAD);
  i = ir_kb_add(b, at, u);
  ir_kb_if(b, bk_less(b, i, l->size));
  const ir_kexpr *old[2], *now[2], *own[2] = {ir_kb_read(b, next, u, NULL, NULL), ir_kb_const(b, r->type, 1)};
  read_state(r, state, old);
  combine(r, old, own, now);
  set_state(r, state, now);
  cg_line_store(l, root, i, finished(r, now));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);  // of the line
}

// ---- a line by a block

static void emit_block(running *r, ir_value *x, const ir_value *root) {
  cg_line *l = &r->l;
  ir_kbuilder *b = &l->e.b;
  ir_kvar *carry[2], *own[2];
  int shared = ir_kb_add_shared(b, "scan", CG_SCAN_BYTES);
  make_state(r, carry);
  const ir_kexpr *piece = bk_for(b, "piece", bk_int(b, 0), l->size, (int64_t)l->threads * PER);
  const ir_kexpr *first = ir_kb_let(b, "first", ir_kb_add(b, piece, bk_scaled(b, l->thread, PER)));
  for (int p = 0; p < r->scan.count; p++) own[p] = ir_kb_reg(b, "own", r->type, false, 1, (int[]){PER}, identity(r, p));
  const ir_kexpr *u = bk_unroll(b, "u", PER), *i = ir_kb_add(b, first, u);
  ir_kb_if(b, bk_less(b, i, l->size));
  ir_kb_set(b, own[0], cg_line_load(l, x, i), u, NULL, NULL);
  if (r->scan.count > 1) ir_kb_set(b, own[1], ir_kb_const(b, r->type, 1), u, NULL, NULL);
  ir_kb_end(b);
  ir_kb_end(b);
  const ir_kexpr *so_far[2], *next[2], *before[2], *all[2], *old[2], *sum[2];
  for (int k = 0; k < PER; k++) {
    for (int p = 0; p < r->scan.count; p++) next[p] = ir_kb_read(b, own[p], bk_int(b, k), NULL, NULL);
    if (k) combine(r, so_far, next, next);
    for (int p = 0; p < r->scan.count; p++) so_far[p] = ir_kb_let(b, "o", next[p]);
    for (int p = 0; k && p < r->scan.count; p++) ir_kb_set(b, own[p], so_far[p], bk_int(b, k), NULL, NULL);
  }
  cg_emit_block_scan(b, &r->scan, l->thread, l->threads, shared, so_far, before, all);
  read_state(r, carry, old);
  combine(r, old, before, before);
  u = bk_unroll(b, "u", PER);
  i = ir_kb_add(b, first, u);
  ir_kb_if(b, bk_less(b, i, l->size));
  for (int p = 0; p < r->scan.count; p++) next[p] = ir_kb_read(b, own[p], u, NULL, NULL);
  combine(r, before, next, sum);
  cg_line_store(l, root, i, finished(r, sum));
  ir_kb_end(b);
  ir_kb_end(b);
  combine(r, old, all, all);
  set_state(r, carry, all);
  ir_kb_end(b);
}

// ---- the choice

static int threads_of(int64_t most) {
  int64_t threads = (most + PER - 1) / PER;
  if (most < 0 || threads > MOST_THREADS) return MOST_THREADS;
  return (int)((threads + IR_WARP - 1) / IR_WARP * IR_WARP);
}

bool cg_block_running(function_lowering *fl, ir_node *node, weir_status *out_status) {
  static const ir_combine combines[IR_OP_COUNT] = {[IR_OP_cumsum] = IR_COMBINE_sum,
                                                   [IR_OP_cumprod] = IR_COMBINE_prod,
                                                   [IR_OP_cummax] = IR_COMBINE_max,
                                                   [IR_OP_cummin] = IR_COMBINE_min,
                                                   [IR_OP_cumlogsumexp] = IR_COMBINE_logsumexp};
  ir_value *x = node->operands[0], *root = node->results[0];
  ir_ktype type = cg_compute_type(x->type.dtype);
  int axis = (int)ir_node_attr(node, IR_ATTR_axis)->i;
  int64_t most = cg_line_most(&x->type, axis);
  bool shuffled = type == IR_KT_f32 || type == IR_KT_i32;
  bool by_block = shuffled && cg_line_is_contiguous(fl, x, axis) && (most < 0 || most > SHORT);
  if (!fl->low->options->blocks) return false;
  running r = {0};
  cg_line_open(&r.l, fl, root, x, axis, by_block ? CG_LINE_BLOCK : CG_LINE_THREAD,
               by_block ? threads_of(most) : COLUMNS);
  start(&r, combines[node->op], type);
  if (by_block) emit_block(&r, x, root);
  else emit_thread(&r, x, root);
  *out_status = cg_emit_finish(&r.l.e);
  return true;
}
