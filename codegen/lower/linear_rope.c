// Rotary positions as the epilogue of a product: an item has both halves of a head's pairs in its registers, so q and k
// are turned before they are stored, and k's rows go straight into their state.
//
// Pair i of a head is its outputs i and i + half. Panels p and p + |run| of an item hold the same pairs: an item is
// |run| panels of the first half of a head and the same of the second, for one head or several. It fits where half a
// head is a number of whole panels, all of the head turns, and the table of angles serves (rope.c); otherwise rope is
// a kernel of its own. Must not touch a sum: what a pair becomes is rope.c's formula.
#include "codegen/lower/linear_internal.h"

void cg_linear_fit_root(linear_kernel *k) {
  ir_value *turned = cg_rope_product(k->fl, k->root);
  k->domain = turned ? turned : k->root;
  k->half = 0;
  if (!turned) return;
  k->half = (int)(cg_const_dim(k->root->type.dims[2]) / 2 / IR_LANES);
  k->panels = k->panels > 2 && k->outs / IR_LANES % 4 == 0 ? 4 : 2;
  k->run = k->half % (k->panels / 2) == 0 ? k->panels / 2 : 1;
  k->spread = false;
}

const char *cg_linear_suffix(const linear_kernel *k) { return k->half ? "_rope" : k->matrices > 1 ? "2" : ""; }

bool cg_linear_meets_in_memory(const linear_kernel *k) { return k->outs % IR_LANES != 0 || k->half; }

const ir_kexpr *cg_linear_panel(linear_kernel *k, const ir_kexpr *p) {
  ir_kbuilder *b = &k->e.b;
  if (!k->half) {
    int64_t step = k->spread ? (k->outs + IR_LANES - 1) / IR_LANES / k->panels : 1;
    return ir_kb_mul(b, p, ir_kb_int(b, step));
  }
  if (k->run == k->half) return p;
  const ir_kexpr *run = ir_kb_int(b, k->run), *two = ir_kb_int(b, 2), *nth = ir_kb_div(b, p, run);
  const ir_kexpr *head = ir_kb_mul(b, ir_kb_div(b, nth, two), ir_kb_int(b, 2 * k->half));
  const ir_kexpr *second = ir_kb_mul(b, ir_kb_mod(b, nth, two), ir_kb_int(b, k->half));
  return ir_kb_add(b, ir_kb_add(b, head, second), ir_kb_mod(b, p, run));
}

const ir_kexpr *cg_linear_first_panel(linear_kernel *k, const ir_kexpr *block) {
  ir_kbuilder *b = &k->e.b;
  if (!k->half) return ir_kb_mul(b, block, ir_kb_int(b, k->spread ? 1 : k->panels));
  int per = k->half / k->run;  // items of a head
  const ir_kexpr *heads = ir_kb_div(b, block, ir_kb_int(b, per)), *part = ir_kb_mod(b, block, ir_kb_int(b, per));
  heads = ir_kb_mul(b, heads, ir_kb_int(b, (int64_t)k->half * k->panels / k->run));
  return ir_kb_add(b, heads, ir_kb_mul(b, part, ir_kb_int(b, k->run)));
}

// Output |n| of the current row, whose sum is |sum|, as rope takes it.
static const ir_kexpr *before_turn(linear_kernel *k, const ir_kexpr **idx, const ir_kexpr *n, const ir_kexpr *sum) {
  ir_value *product = k->linears[0]->results[0];
  int bound = k->e.bound_count;
  idx[k->domain->type.rank - 1] = n;
  if (k->domain != product) cg_bind(&k->e, product, idx, 0, sum);
  const ir_kexpr *value = k->domain == product ? sum : cg_emit_value(&k->e, k->domain, idx);
  k->e.bound_count = bound;
  return ir_kb_let(&k->e.b, "x", value);
}

void cg_linear_store_pair(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *const *sums) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *width = ir_kb_int(b, cg_const_dim(k->root->type.dims[2])), *idx[IR_MAX_RANK], *x[2];
  cg_linear_row(k, m, idx);
  for (int i = 0; i < 2; i++)
    x[i] = before_turn(k, idx, ir_kb_add(b, n, ir_kb_int(b, (int64_t)i * k->half * IR_LANES)), sums[i]);
  idx[1] = ir_kb_div(b, n, width);
  cg_rope_store_pair(&k->e, k->root, idx, ir_kb_mod(b, n, width), x);
}

// Vectors |p| and p + run of row |m|, the current one, which is |row| of its request.
static void store_pairs(linear_kernel *k, int p, const ir_kexpr *m, const ir_kexpr *row) {
  ir_kbuilder *b = &k->e.b;
  int64_t width = cg_const_dim(k->root->type.dims[2]);
  const ir_kexpr *first = ir_kb_let(b, "first", cg_linear_column(k, ir_kb_int(b, p)));
  const ir_kexpr *head = ir_kb_let(b, "head", ir_kb_div(b, first, ir_kb_int(b, width)));
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
  const ir_kexpr *pair = ir_kb_add(b, ir_kb_mod(b, first, ir_kb_int(b, width)), lane), *x[2];
  const ir_kexpr *idx[IR_MAX_RANK] = {row};
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *sum =
        ir_kb_load(b, IR_KT_f32, k->sums, cg_linear_sum_index(k, m, ir_kb_int(b, p + i * k->run), lane));
    const ir_kexpr *n = ir_kb_add(b, first, ir_kb_int(b, (int64_t)i * k->half * IR_LANES));
    x[i] = before_turn(k, idx, ir_kb_add(b, n, lane), sum);
  }
  idx[1] = head;
  cg_rope_store_pair(&k->e, k->root, idx, pair, x);
  ir_kb_end(b);
}

void cg_linear_store_turned(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *m = ir_kb_for(b, IR_KR_SERIAL, "m", k->lo, k->hi, 1), *idx[IR_MAX_RANK];
  cg_linear_row(k, m, idx);
  for (int p = 0; p < k->panels; p++)
    if (p / k->run % 2 == 0) store_pairs(k, p, m, idx[0]);
  ir_kb_end(b);
}
