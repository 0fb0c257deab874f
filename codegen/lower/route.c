// Choosing a matrix for each row at run time: y[r] = x[r] w[index[r]]^T.
//
// Rows are first put in order of their index, equals in their own order; then a work item is one matrix and a block of
// its columns, for all rows that chose it, in tiles. So a matrix is read once for a tile of its rows, and not at all
// where none chose it; an output element adds its inputs in order in one lane, whatever else is in the call.
//
// The matrices are one weight of the package: panels of all, one behind the other (a stack of weights has no kernel,
// program_interface.c makes it a weight). For a device of thread blocks block/route.c does all of it.
#include "codegen/lower/block/block.h"

enum { MAX_PANELS = 4, TILE = 4, MAX_BLOCK_EXPERTS = 4096 };

bool cg_is_weight_stack(const function_lowering *fl, const ir_value *value) {
  if (!value->def || value->def->op != IR_OP_stack) return false;
  for (int i = 0; i < value->def->operand_count; i++) {
    const ir_value *part = value->def->operands[i];
    if (part->def || part->id >= fl->function->next_id || fl->function->params[part->result].kind != IR_PARAM_WEIGHT)
      return false;
  }
  return value->def->operand_count > 0;
}

const cg_weight_format *cg_format_of(const function_lowering *fl, const ir_value *value) {
  if (cg_is_weight_stack(fl, value)) value = value->def->operands[0];
  if (value->def || value->id >= fl->function->next_id) return NULL;
  return fl->function->params[value->result].kind == IR_PARAM_WEIGHT ? &fl->out->formats[value->result] : NULL;
}

// A route whose callee is one product.
static bool is_routed_linear(const ir_node *node) {
  const ir_function *callee = node->callee;
  const ir_node *linear = callee->first;
  return linear && !linear->next && linear->op == IR_OP_linear && callee->param_count == 2 &&
         callee->result_count == 1 && linear->operands[0] == callee->params[0].value &&
         linear->operands[1] == callee->params[1].value && callee->params[1].kind == IR_PARAM_WEIGHT;
}

typedef struct {
  function_lowering *fl;
  const ir_node *node;
  ir_value *order, *starts;  // rows by their index; where those of each matrix begin
  int64_t experts, outs, cols, lead;
  weir_storage storage;
  int panels;
} route;

static const ir_kexpr *number(ir_kbuilder *b, int64_t value) { return ir_kb_int(b, value); }

static const ir_kexpr *load_i32(ir_kbuilder *b, int buffer, const ir_kexpr *at) {
  return ir_kb_cast(b, IR_KT_i64, ir_kb_load(b, IR_KT_i32, buffer, at));
}

static void store_i32(ir_kbuilder *b, int buffer, const ir_kexpr *at, const ir_kexpr *value) {
  ir_kb_store(b, IR_KT_i32, buffer, at, ir_kb_cast(b, IR_KT_i32, value));
}

// All indices of the call, the requests' one behind the other. |*out_count|: how many.
static int index_buffer(emitter *e, ir_value *index, const ir_kexpr **out_count) {
  const ir_kexpr *each = ir_kb_int(&e->b, 1);
  const value_info *info = cg_info(e->fl, index);
  if (!info->ragged) each = cg_dim_expr(e, index->type.dims[0]);
  *out_count = ir_kb_mul(&e->b, cg_emit_rows(e, index), each);
  return cg_emit_slot(e, cg_info(e->fl, cg_base(e->fl, index))->slot, IR_KB_IN);
}

// Counting: starts, then places.
static weir_status lower_order(route *r) {
  emitter e;
  cg_emit_begin(&e, r->fl, NULL, "order", "rows in order of their index");
  ir_kbuilder *b = &e.b;
  const ir_kexpr *count, *one = number(b, 1), *zero = number(b, 0), *all = number(b, r->experts);
  ir_kb_set_grid(b, one, "g");
  int index = index_buffer(&e, r->node->operands[0], &count);
  int order = cg_emit_slot(&e, cg_info(r->fl, r->order)->slot, IR_KB_OUT);
  int starts = cg_emit_slot(&e, cg_info(r->fl, r->starts)->slot, IR_KB_INOUT);
  int next = ir_kb_add_buffer(b, IR_KB_LOCAL, "next", number(b, 4 * (r->experts + 1)), -1);
  const ir_kexpr *i = ir_kb_for(b, IR_KR_SERIAL, "i", zero, number(b, r->experts + 1), 1);
  store_i32(b, next, i, zero);
  ir_kb_end(b);
  const ir_kexpr *n = ir_kb_for(b, IR_KR_SERIAL, "n", zero, count, 1);
  const ir_kexpr *at = ir_kb_let(b, "at", ir_kb_add(b, load_i32(b, index, n), one));
  store_i32(b, next, at, ir_kb_add(b, load_i32(b, next, at), one));
  ir_kb_end(b);
  store_i32(b, starts, zero, zero);
  i = ir_kb_for(b, IR_KR_SERIAL, "i", zero, all, 1);
  const ir_kexpr *sum =
      ir_kb_let(b, "sum", ir_kb_add(b, load_i32(b, starts, i), load_i32(b, next, ir_kb_add(b, i, one))));
  store_i32(b, starts, ir_kb_add(b, i, one), sum);
  store_i32(b, next, i, load_i32(b, starts, i));
  ir_kb_end(b);
  n = ir_kb_for(b, IR_KR_SERIAL, "n", zero, count, 1);
  const ir_kexpr *expert = ir_kb_let(b, "expert", load_i32(b, index, n));
  const ir_kexpr *place = ir_kb_let(b, "place", load_i32(b, next, expert));
  store_i32(b, order, place, n);
  store_i32(b, next, expert, ir_kb_add(b, place, one));
  ir_kb_end(b);
  return cg_emit_finish(&e);
}

typedef struct {
  route *r;
  emitter e;
  int x, y, w, order, sums;
  const ir_kexpr *first, *tile, *lane, *column, *panel;
  ir_kvar *acc;
} product;

// Row of x and y of row |m| in order.
static const ir_kexpr *row_of(product *p, const ir_kexpr *m) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *lead = number(b, p->r->lead);
  const ir_kexpr *row = load_i32(b, p->order, ir_kb_div(b, m, lead));
  return ir_kb_add(b, ir_kb_mul(b, row, lead), ir_kb_mod(b, m, lead));
}

static void accumulate(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  product *p = user;
  ir_kbuilder *b = &p->e.b;
  ir_dtype dtype = p->r->node->operands[1]->type.dtype;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", number(b, 0), p->tile, 1);
  const ir_kexpr *row = ir_kb_let(b, "row", row_of(p, ir_kb_add(b, p->first, i)));
  const ir_kexpr *index = ir_kb_add(b, ir_kb_mul(b, row, number(b, p->r->cols)), at);
  const ir_kexpr *x = ir_kb_let(b, "x", ir_kb_cast(b, IR_KT_f32, ir_kb_load(b, (ir_ktype)dtype, p->x, index)));
  for (int k = 0; k < p->r->panels; k++) {
    const ir_kexpr *sum = ir_kb_read(b, p->acc, i, number(b, k), NULL);
    ir_kb_set(b, p->acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w[k], sum), i, number(b, k), NULL);
  }
  ir_kb_end(b);
}

static const ir_kexpr *sum_index(product *p, const ir_kexpr *i, int panel, const ir_kexpr *lane) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, i, number(b, p->r->panels)), number(b, panel));
  return ir_kb_add(b, ir_kb_mul(b, at, number(b, IR_LANES)), lane);
}

// The sums of the tile to the rows' own places; the last panel may have fewer columns than lanes.
static void store_tile(product *p) {
  ir_kbuilder *b = &p->e.b;
  ir_dtype dtype = p->r->node->results[0]->type.dtype;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_SERIAL, "i", number(b, 0), p->tile, 1);
  const ir_kexpr *row = ir_kb_let(b, "row", row_of(p, ir_kb_add(b, p->first, i)));
  for (int k = 0; k < p->r->panels; k++) {
    const ir_kexpr *column = ir_kb_add(b, p->column, number(b, k * IR_LANES)), *width = number(b, IR_LANES);
    if (p->r->outs % IR_LANES) width = ir_kb_min(b, width, ir_kb_sub(b, number(b, p->r->outs), column));
    const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", number(b, 0), width, 1);
    const ir_kexpr *at = ir_kb_add(b, ir_kb_add(b, ir_kb_mul(b, row, number(b, p->r->outs)), column), lane);
    const ir_kexpr *sum = ir_kb_load(b, IR_KT_f32, p->sums, sum_index(p, i, k, lane));
    ir_kb_store(b, (ir_ktype)dtype, p->y, at, ir_kb_cast(b, (ir_ktype)dtype, sum));
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

static void emit_tile(product *p, const ir_kexpr *lo, const ir_kexpr *hi) {
  static const int heights[] = {TILE, 2, 1};
  ir_kbuilder *b = &p->e.b;
  int dims[2] = {TILE, p->r->panels};
  cg_panel_operand operands[MAX_PANELS];
  p->first = ir_kb_tiles(b, "m", lo, hi, heights, 3, &p->tile);
  p->lane = ir_kb_for(b, IR_KR_LANES, "l", number(b, 0), number(b, IR_LANES), 1);
  p->acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 2, dims, ir_kb_const(b, IR_KT_f32, 0));
  for (int k = 0; k < p->r->panels; k++)
    operands[k] = (cg_panel_operand){.buffer = p->w, .panel = ir_kb_add(b, p->panel, number(b, k))};
  cg_panel_emit(b, p->r->storage, p->r->cols, operands, p->r->panels, p->lane, number(b, 0), number(b, p->r->cols),
                accumulate, p);
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", number(b, 0), p->tile, 1);
  for (int k = 0; k < p->r->panels; k++)
    ir_kb_store(b, IR_KT_f32, p->sums, sum_index(p, i, k, p->lane), ir_kb_read(b, p->acc, i, number(b, k), NULL));
  ir_kb_end(b);
  ir_kb_end(b);
  store_tile(p);
  ir_kb_end(b);
}

static weir_status lower_product(route *r) {
  product p = {.r = r};
  weir_arena *arena = r->fl->low->arena;
  const char *storage = weir_storage_name(r->storage);
  cg_emit_begin(&p.e, r->fl, r->node->results[0],
                weir_arena_printf(arena, "route_%s_%dx%d", storage, r->panels * IR_LANES, (int)r->cols),
                weir_arena_printf(arena, "each row with one of %d matrices %s[%d, %d]", (int)r->experts, storage,
                                  (int)r->outs, (int)r->cols));
  ir_kbuilder *b = &p.e.b;
  int64_t all = (r->outs + IR_LANES - 1) / IR_LANES, blocks = all / r->panels;
  const ir_kexpr *g = ir_kb_set_grid(b, number(b, r->experts * blocks), "item");
  const ir_kexpr *expert = ir_kb_let(b, "expert", ir_kb_div(b, g, number(b, blocks)));
  const ir_kexpr *block = ir_kb_let(b, "block", ir_kb_mod(b, g, number(b, blocks)));
  p.order = cg_emit_slot(&p.e, cg_info(r->fl, r->order)->slot, IR_KB_IN);
  int starts = cg_emit_slot(&p.e, cg_info(r->fl, r->starts)->slot, IR_KB_IN);
  p.w = cg_emit_slot(&p.e, cg_info(r->fl, cg_base(r->fl, r->node->operands[2]))->slot, IR_KB_IN);
  p.x = cg_emit_slot(&p.e, cg_info(r->fl, cg_base(r->fl, r->node->operands[1]))->slot, IR_KB_IN);
  p.y = cg_emit_slot(&p.e, cg_info(r->fl, r->node->results[0])->slot, IR_KB_OUT);
  p.sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", number(b, 4 * TILE * r->panels * IR_LANES), -1);
  p.column = ir_kb_mul(b, block, number(b, r->panels * IR_LANES));
  p.panel = ir_kb_add(b, ir_kb_mul(b, expert, number(b, all)), ir_kb_mul(b, block, number(b, r->panels)));
  const ir_kexpr *lead = number(b, r->lead);
  const ir_kexpr *lo = ir_kb_let(b, "lo", ir_kb_mul(b, load_i32(b, starts, expert), lead));
  const ir_kexpr *hi = ir_kb_let(b, "hi", ir_kb_mul(b, load_i32(b, starts, ir_kb_add(b, expert, number(b, 1))), lead));
  emit_tile(&p, lo, hi);
  return cg_emit_finish(&p.e);
}

static weir_status refuse(const function_lowering *fl, const ir_node *node, const char *why) {
  return cg_unsupported(fl->function, node->loc, "a run-time choice of '%s': %s; that has no lowering yet",
                        node->callee->name, why);
}

// Whether the memory of |value| is the rows of all requests one behind the other.
static bool is_rows(const function_lowering *fl, ir_value *value) {
  const value_info *info = cg_info(fl, value);
  const ir_value *base = cg_base(fl, value);
  if (info->cls == CLASS_REQUEST) return true;
  if (info->cls != CLASS_PACKED || info->ragged != 1) return false;
  return base != value || fl->out->slots[cg_info(fl, base)->slot].first == 1 ||
         cg_is_row_major(info, fl->out->slots[cg_info(fl, base)->slot].first);
}

weir_status cg_lower_route(function_lowering *fl, ir_node *node) {
  if (!is_routed_linear(node)) return refuse(fl, node, "it has ops without a form over rows");
  const ir_type *w = &node->operands[2]->type, *x = &node->operands[1]->type;
  const cg_weight_format *format = cg_format_of(fl, cg_base(fl, node->operands[2]));
  route r = {.fl = fl, .node = node, .experts = cg_const_dim(w->dims[0]), .lead = 1};
  if (!format) return refuse(fl, node, "its matrices are computed");
  if (!cg_is_panel(*format)) return refuse(fl, node, "its matrices are not stored as such");
  for (int i = 0; i < 3; i++)
    if (i != 2 && !is_rows(fl, node->operands[i])) return refuse(fl, node, "its rows do not lie one behind the other");
  for (int i = 1; i < x->rank - 1; i++) r.lead *= cg_const_dim(x->dims[i]);
  r.outs = cg_const_dim(w->dims[1]);
  r.cols = cg_const_dim(w->dims[2]);
  r.storage = format->storage;
  if (r.lead < 1 || r.experts < 1 || cg_compute_type(x->dtype) != IR_KT_f32) return refuse(fl, node, "its types");
  int64_t panels = (r.outs + IR_LANES - 1) / IR_LANES;
  for (r.panels = MAX_PANELS; panels % r.panels; r.panels /= 2) continue;
  ir_dim count = ir_dim_const(fl->low->module->dims, r.experts + 1);
  bool known = fl->ordered_by == node->operands[0] && fl->order_starts->type.dims[0] == count;
  if (!known) {
    fl->order = cg_new_value(fl, node->operands[0]->type);
    fl->order_starts = cg_new_value(fl, ir_type_make(IR_i32, 1, &count));
    fl->ordered_by = node->operands[0];
    cg_info(fl, fl->order_starts)->cls = CLASS_INVARIANT;
  }
  r.order = fl->order;
  r.starts = fl->order_starts;
  if (fl->low->options->blocks && r.experts <= MAX_BLOCK_EXPERTS) {
    cg_route block = {.order = r.order, .starts = r.starts, .experts = r.experts, .lead = r.lead};
    if (!known) WEIR_TRY(cg_route_order(fl, node, &block));
    return cg_block_route(fl, node, &block, format);
  }
  if (!known) WEIR_TRY(lower_order(&r));
  return lower_product(&r);
}
