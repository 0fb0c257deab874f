// A scan over the threads of a block: what stands before each, and the whole.
//
// In a warp by shuffles, 1, 2, 4, 8 and 16 threads apart; warps leave their sums in shared memory, where every thread
// adds up those before its own, in order.
#include "codegen/lower/line.h"

typedef const ir_kexpr *pair[2];

static void choose(ir_kbuilder *b, int count, const ir_kexpr *condition, const ir_kexpr *const *x,
                   const ir_kexpr *const *y, const ir_kexpr **out) {
  for (int p = 0; p < count; p++) out[p] = ir_kb_let(b, "s", ln_choose(b, condition, x[p], y[p]));
}

// What the thread |distance| before has; in the first ones of the warp something else.
static void from_before(ir_kbuilder *b, int count, const ir_kexpr *lane, int distance, const ir_kexpr *const *x,
                        const ir_kexpr **out) {
  for (int p = 0; p < count; p++)
    out[p] = ir_kb_let(b, "far", ir_kb_shuffle(b, x[p], bk_plus(b, lane, IR_WARP - distance)));
}

void cg_emit_block_scan(ir_kbuilder *b, const cg_block_scan *scan, const ir_kexpr *thread, int threads, int shared,
                        const ir_kexpr *const *own, const ir_kexpr **out_before, const ir_kexpr **out_all) {
  int count = scan->count, warps = threads / IR_WARP;
  const ir_kexpr *lane = ir_kb_let(b, "lane", bk_mod(b, thread, IR_WARP));
  const ir_kexpr *warp = ir_kb_let(b, "warp", bk_div(b, thread, IR_WARP));
  pair sum = {own[0], count > 1 ? own[1] : NULL}, far, both, none;
  for (int p = 0; p < count; p++) none[p] = ir_kb_const(b, scan->type, scan->identity[p]);
  for (int d = 1; d < IR_WARP; d *= 2) {
    from_before(b, count, lane, d, sum, far);
    scan->combine(scan->user, far, sum, both);
    choose(b, count, ln_test(b, IR_K_ge, lane, bk_int(b, d)), both, sum, sum);
  }
  from_before(b, count, lane, 1, sum, far);
  ir_kb_if(b, ln_test(b, IR_K_eq, lane, bk_int(b, IR_WARP - 1)));
  for (int p = 0; p < count; p++) ir_kb_store(b, scan->type, shared, bk_plus(b, warp, (int64_t)p * IR_WARP), sum[p]);
  ir_kb_end(b);
  ir_kb_barrier(b);
  ir_kvar *before[2], *all[2];
  for (int p = 0; p < count; p++) {
    before[p] = ln_reg(b, "before", none[p]);
    all[p] = ln_reg(b, "all", none[p]);
  }
  const ir_kexpr *w = bk_for(b, "w", bk_int(b, 0), bk_int(b, warps), 1);
  pair old, part;
  for (int p = 0; p < count; p++) {
    old[p] = ir_kb_let(b, "old", ln_read(b, all[p]));
    part[p] = ir_kb_let(b, "part", ir_kb_load(b, scan->type, shared, bk_plus(b, w, (int64_t)p * IR_WARP)));
  }
  ir_kb_if(b, ln_test(b, IR_K_eq, w, warp));
  for (int p = 0; p < count; p++) ln_set(b, before[p], old[p]);
  ir_kb_end(b);
  scan->combine(scan->user, old, part, both);
  for (int p = 0; p < count; p++) ln_set(b, all[p], both[p]);
  ir_kb_end(b);
  pair ahead;
  for (int p = 0; p < count; p++) {
    ahead[p] = ir_kb_let(b, "ahead", ln_read(b, before[p]));
    out_all[p] = ir_kb_let(b, "all", ln_read(b, all[p]));
  }
  scan->combine(scan->user, ahead, far, both);
  choose(b, count, ln_test(b, IR_K_eq, lane, bk_int(b, 0)), ahead, both, out_before);
  ir_kb_barrier(b);
}
