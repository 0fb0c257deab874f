// A matrix for each row, chosen at run time, as block kernels: rows are put in order of their choice, then the products
// of block.h run over tiles of rows that chose the same matrix.
//
// Nothing of it is the host's: it launches as many tiles as there can be, and a block finds its own from the offsets of
// the matrices. A warp takes 32 matrices at a time, counts the tiles of each and adds up over its threads; every warp
// does, so nothing has to be told to others. The rows of a tile stand wherever the input has them; their places are put
// into shared memory once. What a row's sum is depends on none of this.
#include "codegen/lower/block/block.h"

// ---- the order

enum { MOST_THREADS = 1024, MOST_COUNTS = 32 << 10 };  // threads; bytes of counts

typedef struct {
  emitter e;
  int index, order, starts, counts;
  int64_t experts;
  int warps;
  const ir_kexpr *count, *thread, *lane, *warp, *lo, *hi;
} order_kernel;

static const ir_kexpr *load_i64(ir_kbuilder *b, int buffer, const ir_kexpr *at) {
  return ir_kb_cast(b, IR_KT_i64, ir_kb_load(b, IR_KT_i32, buffer, at));
}

static const ir_kexpr *i32(ir_kbuilder *b, const ir_kexpr *x) { return ir_kb_cast(b, IR_KT_i32, x); }
static const ir_kexpr *small(ir_kbuilder *b, int64_t value) { return ir_kb_const(b, IR_KT_i32, (double)value); }

// The warp's count of |expert|.
static const ir_kexpr *count_at(order_kernel *o, const ir_kexpr *warp, const ir_kexpr *expert) {
  return ir_kb_add(&o->e.b, bk_scaled(&o->e.b, warp, o->experts), expert);
}

// A warp has a run of the rows: counts them.
static void count_rows(order_kernel *o) {
  ir_kbuilder *b = &o->e.b;
  const ir_kexpr *i = bk_for(b, "i", o->thread, bk_int(b, o->experts * o->warps), (int64_t)o->warps * IR_WARP);
  ir_kb_store(b, IR_KT_i32, o->counts, i, small(b, 0));
  ir_kb_end(b);
  ir_kb_barrier(b);
  const ir_kexpr *n = bk_for(b, "n", ir_kb_add(b, o->lo, o->lane), o->hi, IR_WARP);
  const ir_kexpr *at = count_at(o, o->warp, load_i64(b, o->index, n));
  ir_kb_atomic(b, IR_K_add, ir_kb_place(o->counts, IR_KT_i32, at), small(b, 1));
  ir_kb_end(b);
  ir_kb_barrier(b);
}

// Inclusive sum of |x| over the threads of the warp up to each.
static const ir_kexpr *sum_before(ir_kbuilder *b, const ir_kexpr *lane, const ir_kexpr *x) {
  for (int d = 1; d < IR_WARP; d *= 2) {
    x = ir_kb_let(b, "up_to", x);
    const ir_kexpr *from = bk_max(b, bk_plus(b, lane, -d), bk_int(b, 0));
    const ir_kexpr *before = ir_kb_let(b, "before", ir_kb_shuffle(b, x, from));
    const ir_kexpr *first = bk_less(b, lane, bk_int(b, d));
    x = ir_kb_add(b, x, ir_kb_op(b, IR_K_select, IR_KT_i32, first, small(b, 0), before));
  }
  return ir_kb_let(b, "up_to", x);
}

// Counts become places: matrices in order, warps in order. The first warp does; a thread has a matrix.
static void place_counts(order_kernel *o) {
  ir_kbuilder *b = &o->e.b;
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, o->warp, bk_int(b, 0), NULL));
  ir_kvar *before = ir_kb_reg(b, "before", IR_KT_i32, false, 0, NULL, small(b, 0));
  const ir_kexpr *first = bk_for(b, "first", bk_int(b, 0), bk_int(b, o->experts), IR_WARP);
  const ir_kexpr *expert = ir_kb_let(b, "expert", ir_kb_add(b, first, o->lane));
  const ir_kexpr *have = ir_kb_let(b, "have", bk_less(b, expert, bk_int(b, o->experts)));
  ir_kvar *sum = ir_kb_reg(b, "sum", IR_KT_i32, false, 0, NULL, small(b, 0));
  ir_kb_if(b, have);
  const ir_kexpr *w = bk_for(b, "w", bk_int(b, 0), bk_int(b, o->warps), 1);
  const ir_kexpr *count = ir_kb_load(b, IR_KT_i32, o->counts, count_at(o, w, expert));
  ir_kb_set(b, sum, ir_kb_add(b, ir_kb_read(b, sum, NULL, NULL, NULL), count), NULL, NULL, NULL);
  ir_kb_end(b);
  ir_kb_end(b);
  const ir_kexpr *mine = ir_kb_let(b, "mine", ir_kb_read(b, sum, NULL, NULL, NULL));
  const ir_kexpr *end = ir_kb_add(b, ir_kb_read(b, before, NULL, NULL, NULL), sum_before(b, o->lane, mine));
  end = ir_kb_let(b, "end", end);
  ir_kb_set(b, before, ir_kb_shuffle(b, end, bk_int(b, IR_WARP - 1)), NULL, NULL, NULL);
  ir_kb_if(b, have);
  ir_kb_store(b, IR_KT_i32, o->starts, bk_plus(b, expert, 1), end);
  ir_kb_set(b, sum, ir_kb_sub(b, end, mine), NULL, NULL, NULL);
  w = bk_for(b, "w", bk_int(b, 0), bk_int(b, o->warps), 1);
  const ir_kexpr *at = count_at(o, w, expert), *place = ir_kb_let(b, "place", ir_kb_read(b, sum, NULL, NULL, NULL));
  const ir_kexpr *of_warp = ir_kb_let(b, "of_warp", ir_kb_load(b, IR_KT_i32, o->counts, at));
  ir_kb_store(b, IR_KT_i32, o->counts, at, place);
  ir_kb_set(b, sum, ir_kb_add(b, place, of_warp), NULL, NULL, NULL);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, o->lane, bk_int(b, 0), NULL));
  ir_kb_store(b, IR_KT_i32, o->starts, bk_int(b, 0), small(b, 0));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
}

// A warp goes through its rows 32 at a time. A row's place is behind those of the same choice before it in the warp.
static void place_rows(order_kernel *o) {
  ir_kbuilder *b = &o->e.b;
  const ir_kexpr *first = bk_for(b, "first", o->lo, o->hi, IR_WARP),
                 *n = ir_kb_let(b, "n", ir_kb_add(b, first, o->lane));
  const ir_kexpr *have = ir_kb_let(b, "have", bk_less(b, n, o->hi));
  const ir_kexpr *last = ir_kb_min(b, n, bk_plus(b, o->hi, -1));
  const ir_kexpr *chosen = ir_kb_let(b, "chosen", ir_kb_load(b, IR_KT_i32, o->index, last));
  const ir_kexpr *expert = ir_kb_op(b, IR_K_select, IR_KT_i32, have, chosen, small(b, -1));
  expert = ir_kb_let(b, "expert", expert);
  ir_kvar *ahead = ir_kb_reg(b, "ahead", IR_KT_i32, false, 0, NULL, small(b, 0));
  ir_kvar *same = ir_kb_reg(b, "same", IR_KT_i32, false, 0, NULL, small(b, 0));
  const ir_kexpr *j = bk_for(b, "j", bk_int(b, 0), bk_int(b, IR_WARP), 1);
  const ir_kexpr *other = ir_kb_let(b, "other", ir_kb_shuffle(b, expert, j));
  const ir_kexpr *equal = ir_kb_op(b, IR_K_eq, IR_KT_bool, other, expert, NULL);
  equal = ir_kb_let(b, "equal", ir_kb_op(b, IR_K_select, IR_KT_i32, equal, small(b, 1), small(b, 0)));
  const ir_kexpr *front = ir_kb_op(b, IR_K_select, IR_KT_i32, bk_less(b, j, o->lane), equal, small(b, 0));
  ir_kb_set(b, same, ir_kb_add(b, ir_kb_read(b, same, NULL, NULL, NULL), equal), NULL, NULL, NULL);
  ir_kb_set(b, ahead, ir_kb_add(b, ir_kb_read(b, ahead, NULL, NULL, NULL), front), NULL, NULL, NULL);
  ir_kb_end(b);
  const ir_kexpr *rank = ir_kb_let(b, "rank", ir_kb_read(b, ahead, NULL, NULL, NULL));
  const ir_kexpr *at = ir_kb_let(b, "at", count_at(o, o->warp, ir_kb_cast(b, IR_KT_i64, chosen)));
  ir_kvar *base = ir_kb_reg(b, "base", IR_KT_i32, false, 0, NULL, ir_kb_load(b, IR_KT_i32, o->counts, at));
  const ir_kexpr *place = ir_kb_add(b, ir_kb_read(b, base, NULL, NULL, NULL), rank);
  place = ir_kb_let(b, "place", place);
  ir_kb_barrier_warp(b);
  ir_kb_if(b, have);
  ir_kb_store(b, IR_KT_i32, o->order, ir_kb_cast(b, IR_KT_i64, place), i32(b, n));
  const ir_kexpr *whole = ir_kb_read(b, same, NULL, NULL, NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, ir_kb_add(b, rank, small(b, 1)), whole, NULL));
  ir_kb_store(b, IR_KT_i32, o->counts, at, ir_kb_add(b, place, small(b, 1)));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier_warp(b);
  ir_kb_end(b);
}

weir_status cg_route_order(function_lowering *fl, ir_node *node, const cg_route *route) {
  ir_value *index = node->operands[0];
  order_kernel o = {.experts = route->experts, .warps = MOST_THREADS / IR_WARP};
  ir_kbuilder *b = &o.e.b;
  while (o.warps > 1 && 4 * o.warps * o.experts > MOST_COUNTS) o.warps /= 2;
  cg_emit_begin(&o.e, fl, NULL, "route_order", "rows in order of their index");
  o.count = cg_emit_rows(&o.e, index);
  if (!cg_info(fl, index)->ragged) o.count = ir_kb_mul(b, o.count, cg_dim_expr(&o.e, index->type.dims[0]));
  ir_kb_set_grid(b, bk_int(b, 1), "item");
  o.thread = ir_kb_set_threads(b, "t", o.warps * IR_WARP, 0);
  o.index = cg_emit_slot(&o.e, cg_info(fl, cg_base(fl, index))->slot, IR_KB_IN);
  o.order = cg_emit_slot(&o.e, cg_info(fl, route->order)->slot, IR_KB_OUT);
  o.starts = cg_emit_slot(&o.e, cg_info(fl, route->starts)->slot, IR_KB_OUT);
  o.counts = ir_kb_add_shared(b, "counts", 4 * o.warps * o.experts);
  o.lane = ir_kb_let(b, "lane", bk_mod(b, o.thread, IR_WARP));
  o.warp = ir_kb_let(b, "warp", bk_div(b, o.thread, IR_WARP));
  const ir_kexpr *each = bk_div(b, bk_plus(b, o.count, o.warps - 1), o.warps);
  each = ir_kb_let(b, "each", each);
  o.lo = ir_kb_let(b, "lo", ir_kb_min(b, ir_kb_mul(b, o.warp, each), o.count));
  o.hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, o.lo, each), o.count));
  count_rows(&o);
  place_counts(&o);
  place_rows(&o);
  return cg_emit_finish(&o.e);
}

// ---- tiles

const ir_kexpr *cg_route_tiles(block_linear *p) {
  ir_kbuilder *b = &p->k.e.b;
  return ir_kb_add(b, bk_div(b, p->k.rows, p->rows), ir_kb_min(b, bk_int(b, p->route.experts), p->k.rows));
}

// Which matrix tile |tile| is of, counted from 1 (0: none), and how many of its tiles come before, into registers.
static void find_matrix(block_linear *p, int starts, const ir_kexpr *tile, ir_kvar *found, ir_kvar *before) {
  ir_kbuilder *b = &p->k.e.b;
  const cg_route *r = &p->route;
  const ir_kexpr *lane = ir_kb_let(b, "lane", bk_mod(b, p->thread, IR_WARP)), *none = small(b, 0);
  ir_kvar *sum = ir_kb_reg(b, "tiles", IR_KT_i32, false, 0, NULL, none);
  tile = ir_kb_let(b, "tile", i32(b, tile));
  const ir_kexpr *first = bk_for(b, "first", bk_int(b, 0), bk_int(b, r->experts), IR_WARP);
  const ir_kexpr *expert = ir_kb_let(b, "e", ir_kb_min(b, ir_kb_add(b, first, lane), bk_int(b, r->experts)));
  const ir_kexpr *next = ir_kb_min(b, bk_plus(b, expert, 1), bk_int(b, r->experts));
  const ir_kexpr *rows = ir_kb_sub(b, load_i64(b, starts, next), load_i64(b, starts, expert));
  const ir_kexpr *count = bk_div(b, bk_plus(b, bk_scaled(b, rows, r->lead), p->rows - 1), p->rows);
  count = ir_kb_let(b, "count", i32(b, count));
  const ir_kexpr *end = ir_kb_add(b, ir_kb_read(b, sum, NULL, NULL, NULL), sum_before(b, lane, count));
  end = ir_kb_let(b, "end", end);
  const ir_kexpr *begin = ir_kb_let(b, "begin", ir_kb_sub(b, end, count));
  const ir_kexpr *below = ir_kb_op(b, IR_K_le, IR_KT_bool, begin, tile, NULL);
  const ir_kexpr *mine = ir_kb_let(b, "mine", bk_and(b, below, bk_less(b, tile, end)));
  const ir_kexpr *which = i32(b, bk_plus(b, expert, 1)), *nth = ir_kb_sub(b, tile, begin);
  ir_kvar *vars[] = {found, before};
  const ir_kexpr *values[] = {which, nth};
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *x = ir_kb_op(b, IR_K_select, IR_KT_i32, mine, values[i], none);
    for (int d = 1; d < IR_WARP; d *= 2) {
      x = ir_kb_let(b, "x", x);
      x = bk_max(b, x, ir_kb_shuffle_xor(b, x, d));
    }
    ir_kb_set(b, vars[i], bk_max(b, ir_kb_read(b, vars[i], NULL, NULL, NULL), x), NULL, NULL, NULL);
  }
  ir_kb_set(b, sum, ir_kb_shuffle(b, end, bk_int(b, IR_WARP - 1)), NULL, NULL, NULL);
  ir_kb_end(b);
}

void cg_route_begin(block_linear *p, const ir_kexpr *tile) {
  ir_kbuilder *b = &p->k.e.b;
  cg_route *r = &p->route;
  emitter *e = &p->k.e;
  int starts = cg_emit_slot(e, cg_info(p->k.fl, r->starts)->slot, IR_KB_IN);
  int order = cg_emit_slot(e, cg_info(p->k.fl, r->order)->slot, IR_KB_IN);
  r->places = ir_kb_add_shared(b, "places", 4 * p->rows);
  ir_kvar *found = ir_kb_reg(b, "found", IR_KT_i32, false, 0, NULL, small(b, 0));
  ir_kvar *before = ir_kb_reg(b, "before", IR_KT_i32, false, 0, NULL, small(b, 0));
  find_matrix(p, starts, tile, found, before);
  ir_kb_if(b, bk_less(b, small(b, 0), ir_kb_read(b, found, NULL, NULL, NULL)));
  const ir_kexpr *expert = bk_plus(b, ir_kb_cast(b, IR_KT_i64, ir_kb_read(b, found, NULL, NULL, NULL)), -1);
  expert = ir_kb_let(b, "expert", expert);
  const ir_kexpr *nth = ir_kb_cast(b, IR_KT_i64, ir_kb_read(b, before, NULL, NULL, NULL));
  const ir_kexpr *lo = bk_scaled(b, load_i64(b, starts, expert), r->lead);
  const ir_kexpr *hi = bk_scaled(b, load_i64(b, starts, bk_plus(b, expert, 1)), r->lead);
  p->row_lo = ir_kb_let(b, "row_lo", ir_kb_add(b, lo, bk_scaled(b, nth, p->rows)));
  p->row_count = ir_kb_let(b, "rows_here", ir_kb_min(b, bk_int(b, p->rows), ir_kb_sub(b, hi, p->row_lo)));
  r->panel = ir_kb_let(b, "matrix", bk_scaled(b, expert, (p->k.outs + IR_LANES - 1) / IR_LANES));
  const ir_kexpr *i = bk_for(b, "i", p->thread, bk_int(b, p->rows), p->threads);
  const ir_kexpr *m = ir_kb_add(b, p->row_lo, ir_kb_min(b, i, bk_plus(b, p->row_count, -1)));
  m = ir_kb_let(b, "m", m);
  const ir_kexpr *row = load_i64(b, order, bk_div(b, m, r->lead));
  row = ir_kb_add(b, bk_scaled(b, row, r->lead), bk_mod(b, m, r->lead));
  ir_kb_store(b, IR_KT_i32, r->places, i, i32(b, row));
  ir_kb_end(b);
  ir_kb_barrier(b);
}

// ---- products

weir_status cg_block_route(function_lowering *fl, ir_node *node, const cg_route *known,
                           const cg_weight_format *format) {
  enum { FEW_ROWS = 16, FEW_MMA_ROWS = 8 };
  const ir_type *w = &node->operands[2]->type;
  ir_value *root = node->results[0];
  block_linear few = {.k = {.fl = fl, .root = root, .domain = root, .linears = &node, .matrices = 1}}, many;
  few.route = *known;
  few.x = node->operands[1];
  few.w[0] = node->operands[2];
  few.format = *format;
  few.k.storage = format->storage;
  few.k.outs = cg_const_dim(w->dims[1]);
  few.k.cols = cg_const_dim(w->dims[2]);
  few.runs = cg_block_runs(few.k.storage, few.k.cols);
  few.key = weir_arena_printf(fl->low->arena, "route_%s_%s_%lldx%lldx%lld", weir_storage_name(format->storage),
                              cg_compute_name(format->compute), (long long)known->experts, (long long)few.k.outs,
                              (long long)few.k.cols);
  // Few: as many rows in the mean as the products of one matrix have, of the matrices that a batch of them reaches.
  int64_t each = format->compute ? FEW_MMA_ROWS : FEW_ROWS, spread = known->experts < 8 ? 1 : known->experts / 4;
  int64_t limits[] = {each, each * known->experts};
  int64_t rows = cg_schedule_choice(fl->low, few.key, "few.rows", each * spread, limits, 2);
  many = few;
  if (!format->compute) {
    WEIR_TRY(cg_block_few(&few, rows));
    return cg_block_many(&many, rows);
  }
  packed_rows packed;
  WEIR_TRY(cg_pack_rows(fl, few.x, format->compute, &packed));
  WEIR_TRY(cg_block_mma_few(&few, &packed, rows));
  return cg_block_mma_many(&many, &packed, rows);
}
