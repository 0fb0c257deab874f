// A recurrent cell in one launch an iteration: products of the carries with packed matrices, and what becomes of them
// element by element, for the same columns of all gates.
//
// Legality: each result of the body is a row of one width whose columns follow from the same columns of carries and of
// what the scan captures, and from columns of products of whole carries, moved by multiples of a panel at most. A work
// item takes a block of columns of all that, for a chunk of requests: the panels of every gate that meet there, with
// their sums in registers, then the elementwise part from sums in local memory. Carries have two places, for even and
// odd iterations, since every item reads all of a carry that a product takes. A sum takes its inputs in order, as in
// linear_float.c: the bits are the same. What does not fit is left to scan.c.
#include <string.h>

#include "codegen/lower/internal.h"

enum {
  MOST_VECTORS = 6,  // of an item, for each row
  WANTED_VECTORS = 4,
  REGISTERS = 24,
  MAX_HEIGHT = 8,
  CHUNK = 48,        // requests of an item
  MAX_VISITS = 256,  // nodes of the body, counted as often as they are written out
  MAX_CARRIES = 3,
  MAX_AHEAD = 8,  // lines of an iteration that are read ahead
};

// Columns of a product that an item needs: those of its block, |offset| further.
typedef struct {
  const ir_node *linear;
  int64_t offset;
} gate;

// A row that each iteration has one of, from |offset| on.
typedef struct {
  ir_value *from;
  int64_t offset;
} ahead;

typedef struct {
  function_lowering *fl, inner;
  const ir_node *node;
  const ir_function *body;
  int carries;
  ir_value *pairs[MAX_CARRIES];  // of the inner function: [2, width]
  gate gates[MOST_VECTORS];
  weir_storage storage;  // of the matrices of all
  ahead rows[MAX_AHEAD];
  int gate_count, row_count, visits, panels;
  bool *read;  // by parameter of the body: what the kernel reads besides carries
  int64_t width;
  emitter e;
  int sums;
  const ir_kexpr *lo, *hi, *column, *now, *next;  // requests, first column; which place carries have and get
  const ir_kexpr *first, *tile, *lane;
  ir_kvar *acc;
} cell;

// ---- legality

static int carry_of(const cell *c, const ir_value *value) {
  return !value->def && value->result >= 1 && value->result <= c->carries ? value->result - 1 : -1;
}

// The operand of the scan that |param| of the body stands for; null for the number of the iteration.
static ir_value *captured(const cell *c, const ir_value *param) {
  for (int i = 0; i < c->node->operand_count; i++)
    if (cg_region_param(c->node, i) == param->result) return c->node->operands[i];
  return NULL;
}

static bool is_row(const ir_value *value, int64_t width) {
  return value->type.rank == 1 && value->type.dtype == IR_f32 && cg_const_dim(value->type.dims[0]) == width;
}

static bool add_gate(cell *c, const ir_node *linear, int64_t offset) {
  const ir_value *x = linear->operands[0], *w = linear->operands[1];
  int carry = carry_of(c, x);
  ir_value *matrix = w->def ? NULL : captured(c, w);
  if (linear->operand_count != 2 || carry < 0 || !matrix || offset % IR_LANES) return false;
  const cg_weight_format *format = cg_format_of(c->fl, cg_base(c->fl, matrix));
  bool plain = format && cg_is_panel(*format) && !weir_storage_has_codes(format->storage) && !format->compute;
  if (!plain || (c->gate_count && format->storage != c->storage) || cg_base(c->fl, matrix)->type.rank != 2 ||
      linear->results[0]->type.rank != 1)
    return false;
  for (int i = 0; i < c->gate_count; i++)
    if (c->gates[i].linear == linear && c->gates[i].offset == offset) return true;
  if (c->gate_count == MOST_VECTORS) return false;
  c->read[w->result] = true;
  c->storage = format->storage;
  c->gates[c->gate_count++] = (gate){linear, offset};
  return true;
}

static void read_ahead(cell *c, ir_value *from, int64_t offset) {
  for (int i = 0; i < c->row_count; i++)
    if (c->rows[i].from == from && c->rows[i].offset == offset) return;
  if (c->row_count < MAX_AHEAD) c->rows[c->row_count++] = (ahead){from, offset};
}

// Whether column n + |offset| of |value| can be computed by the item that has column n.
static bool visit(cell *c, const ir_value *value, int64_t offset) {
  const ir_node *node = value->def;
  if (++c->visits > MAX_VISITS || value->type.rank > 1) return false;
  if (value->type.rank && value->type.dtype != IR_f32) return false;
  if (!node && carry_of(c, value) < 0) return c->read[value->result] = true;
  if (!node) return offset == 0;
  if (node->op == IR_OP_linear) return add_gate(c, node, offset);
  if (node->result_count != 1 || node->callee) return false;
  if (node->op == IR_OP_constant) return !value->type.rank;
  if (node->op == IR_OP_element) {  // a row of what is captured
    ir_value *from = node->operands[0];
    if (!from->def) c->read[from->result] = true;
    read_ahead(c, from, offset);
    return !from->def && from->type.rank == 2 && node->operand_count == 2 && carry_of(c, from) < 0 &&
           from->type.dtype == IR_f32 && !node->operands[1]->def && node->operands[1]->result == 0;
  }
  if (node->op == IR_OP_slice) {
    int64_t start = cg_const_dim(ir_node_attr(node, IR_ATTR_start)->dim);
    return value->type.rank == 1 && start >= 0 && visit(c, node->operands[0], offset + start);
  }
  if (node->op == IR_OP_broadcast) return !node->operands[0]->type.rank && visit(c, node->operands[0], 0);
  if (!(ir_op_get_info(node->op)->flags & IR_FLAG_EW)) return false;
  for (int i = 0; i < node->operand_count; i++) {
    const ir_value *x = node->operands[i];
    if (x->type.rank && x->type.dims[0] != value->type.dims[0]) return false;
    if (!visit(c, x, x->type.rank ? offset : 0)) return false;
  }
  return true;
}

// Pointers of the kernel at most: two for each carry, one for each other result and value, two for rows, with a table.
static int arguments(const cell *c) {
  int count = 2 * c->carries + c->body->result_count - c->carries + 1;
  for (int i = 1; i < c->body->param_count; i++)
    count += c->read[i] * (c->body->params[i].value->type.rank > 1 ? 2 : 1);
  return count;
}

static bool fits(cell *c) {
  if (c->node->second || c->fl->loop_count || c->carries < 1 || c->carries > MAX_CARRIES) return false;
  if (c->body->result_count > c->carries + 2) return false;
  c->read = WEIR_NEW_ARRAY(c->fl->low->arena, bool, c->body->param_count);
  c->width = c->body->results[0].value->type.rank == 1 ? cg_const_dim(c->body->results[0].value->type.dims[0]) : -1;
  if (c->width <= 0 || c->width % IR_LANES) return false;
  for (int i = 0; i < c->carries; i++)
    if (!is_row(c->body->params[i + 1].value, c->width)) return false;
  for (int i = 0; i < c->body->result_count; i++)
    if (!is_row(c->body->results[i].value, c->width) || !visit(c, c->body->results[i].value, 0)) return false;
  return c->gate_count > 0 && arguments(c) <= RT_MAX_ARGS;
}

// ---- emission

static const ir_kexpr *number(cell *c, int64_t value) { return ir_kb_int(&c->e.b, value); }

static const ir_kexpr *load_carry(cell *c, int carry, const ir_kexpr *at) {
  const ir_kexpr *idx[2] = {c->now, at};
  return cg_emit_load(&c->e, c->pairs[carry], idx);
}

// acc += x w, for the requests of the tile and all gates.
static void accumulate(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  cell *c = user;
  ir_kbuilder *b = &c->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", number(c, 0), c->tile, 1);
  cg_emit_set_request(&c->e, ir_kb_add(b, c->first, i));
  for (int v = 0; v < c->gate_count * c->panels; v++) {
    const ir_kexpr *x = load_carry(c, carry_of(c, c->gates[v / c->panels].linear->operands[0]), at);
    const ir_kexpr *nth = number(c, v), *sum = ir_kb_read(b, c->acc, i, nth, NULL);
    ir_kb_set(b, c->acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w[v], sum), i, nth, NULL);
  }
  ir_kb_end(b);
}

// Where the sum of request |row| is in local memory.
static const ir_kexpr *sum_at(cell *c, const ir_kexpr *row, int vector, const ir_kexpr *lane) {
  ir_kbuilder *b = &c->e.b;
  const ir_kexpr *line = ir_kb_mul(b, ir_kb_sub(b, row, c->lo), number(c, c->gate_count * c->panels));
  return ir_kb_add(b, ir_kb_mul(b, ir_kb_add(b, line, number(c, vector)), number(c, IR_LANES)), lane);
}

static void emit_sums(cell *c) {
  ir_kbuilder *b = &c->e.b;
  static const int all[] = {MAX_HEIGHT, 6, 4, 2, 1};
  cg_panel_operand ops[MOST_VECTORS];
  int vectors = c->gate_count * c->panels, skip = 0;
  int64_t inputs = cg_const_dim(c->gates[0].linear->operands[1]->type.dims[1]);
  while (all[skip] > 1 && all[skip] * vectors > REGISTERS) skip++;
  for (int v = 0; v < vectors; v++) {
    const gate *g = &c->gates[v / c->panels];
    int buffer = cg_emit_slot(&c->e, cg_info(&c->inner, g->linear->operands[1])->slot, IR_KB_IN);
    const ir_kexpr *panel = ir_kb_div(b, c->column, number(c, IR_LANES));
    const ir_kexpr *at = ir_kb_add(b, panel, number(c, g->offset / IR_LANES + v % c->panels));
    ops[v] = (cg_panel_operand){.buffer = buffer, .panel = at};
  }
  c->first = ir_kb_tiles(b, "m", c->lo, c->hi, all + skip, 5 - skip, &c->tile);
  c->lane = ir_kb_for(b, IR_KR_LANES, "l", number(c, 0), number(c, IR_LANES), 1);
  int dims[2] = {all[skip], vectors};
  c->acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 2, dims, ir_kb_const(b, IR_KT_f32, 0));
  cg_panel_emit(b, c->storage, inputs, ops, vectors, c->lane, number(c, 0), number(c, inputs), accumulate, c);
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", number(c, 0), c->tile, 1);
  for (int v = 0; v < vectors; v++)
    ir_kb_store(b, IR_KT_f32, c->sums, sum_at(c, ir_kb_add(b, c->first, i), v, c->lane),
                ir_kb_read(b, c->acc, i, number(c, v), NULL));
  for (int k = 0; k < 3; k++) ir_kb_end(b);
}

// What the next iteration will read of rows in panel |p| of the block: other threads may have written it, and its place
// follows from no pattern that hardware would find.
static void emit_ahead(cell *c, int p) {
  ir_kbuilder *b = &c->e.b;
  const ir_kexpr *t = cg_emit_size(&c->e, SIZE_LOOP, ir_dim_const(c->fl->low->module->dims, 0));
  for (int i = 0; i < c->row_count; i++) {
    const ir_kexpr *n = ir_kb_add(b, c->column, number(c, p * IR_LANES + c->rows[i].offset));
    const ir_kexpr *idx[2] = {ir_kb_add(b, t, number(c, 1)), n}, *x = cg_emit_load(&c->e, c->rows[i].from, idx);
    if (x->op == IR_K_load) ir_kb_prefetch(b, x->type, x->index, x->args[1], x->args[0]);
  }
}

// The results of request |row| in panel |p| of the block.
static void emit_columns(cell *c, ir_value *const *results, const ir_kexpr *row, int p) {
  emitter *e = &c->e;
  ir_kbuilder *b = &e->b;
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", number(c, 0), number(c, IR_LANES), 1);
  const ir_kexpr *n = ir_kb_add(b, ir_kb_add(b, c->column, number(c, p * IR_LANES)), lane);
  const ir_kexpr *values[MAX_CARRIES + 2], *t = cg_emit_size(e, SIZE_LOOP, ir_dim_const(c->fl->low->module->dims, 0));
  int bound = e->bound_count;
  for (int g = 0; g < c->gate_count; g++) {
    const ir_kexpr *at = ir_kb_add(b, n, number(c, c->gates[g].offset));
    const ir_kexpr *sum = ir_kb_load(b, IR_KT_f32, c->sums, sum_at(c, row, g * c->panels + p, lane));
    cg_bind(e, c->gates[g].linear->results[0], &at, 0, sum);
  }
  for (int i = 0; i < c->carries; i++) cg_bind(e, c->body->params[i + 1].value, &n, 0, load_carry(c, i, n));
  for (const ir_node *node = c->body->first; node; node = node->next)  // results that follow from others: once
    if (cg_info(&c->inner, node->results[0])->is_result)
      cg_bind(e, node->results[0], &n, 0, ir_kb_let(b, "v", cg_emit_value(e, node->results[0], &n)));
  for (int i = 0; i < c->body->result_count; i++) values[i] = cg_emit_value(e, c->body->results[i].value, &n);
  for (int i = 0; i < c->body->result_count; i++) {
    const ir_kexpr *place[2] = {c->next, n}, *out[2] = {t, n};
    int to = cg_info(&c->inner, results[i])->slot;
    if (i < c->carries) cg_emit_store(e, c->pairs[i], cg_info(&c->inner, c->pairs[i])->slot, place, values[i]);
    cg_emit_store(e, results[i], to, i < c->carries ? &n : out, values[i]);
  }
  e->bound_count = bound;
  ir_kb_end(b);
}

static weir_status emit_cell(cell *c, ir_value *const *results) {
  emitter *e = &c->e;
  ir_kbuilder *b = &e->b;
  int vectors = c->gate_count * c->panels;
  cg_emit_begin(e, &c->inner, NULL, weir_arena_printf(c->fl->low->arena, "cell%d_%d", c->gate_count, (int)c->width),
                "an iteration of a scan: the same columns of all products, then its results there");
  for (int i = 0; i < c->carries; i++) cg_emit_slot(e, cg_info(&c->inner, c->pairs[i])->slot, IR_KB_INOUT);
  const ir_kexpr *requests = cg_emit_size(e, SIZE_REQUESTS, NULL);
  const ir_kexpr *chunks = ir_kb_div(b, ir_kb_add(b, requests, number(c, CHUNK - 1)), number(c, CHUNK));
  int64_t columns = (int64_t)c->panels * IR_LANES;
  const ir_kexpr *nth = ir_kb_set_grid(b, ir_kb_mul(b, chunks, number(c, c->width / columns)), "item");
  c->column = ir_kb_let(b, "column", ir_kb_mul(b, ir_kb_div(b, nth, chunks), number(c, columns)));
  c->lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_mod(b, nth, chunks), number(c, CHUNK)));
  c->hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, c->lo, number(c, CHUNK)), requests));
  const ir_kexpr *t = cg_emit_size(e, SIZE_LOOP, ir_dim_const(c->fl->low->module->dims, 0));
  c->now = ir_kb_let(b, "now", ir_kb_mod(b, t, number(c, 2)));
  c->next = ir_kb_sub(b, number(c, 1), c->now);
  c->sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", number(c, 4 * CHUNK * vectors * IR_LANES), -1);
  emit_sums(c);
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", c->lo, c->hi, 1);
  cg_emit_set_request(e, row);
  const ir_kexpr *active = cg_emit_active(e);
  if (active) ir_kb_if(b, active);
  for (int p = 0; p < c->panels; p++) {
    emit_ahead(c, p);
    emit_columns(c, results, row, p);
  }
  if (active) ir_kb_end(b);
  ir_kb_end(b);
  return cg_emit_finish(e);
}

// ---- the loop

// Initial values to where the carries begin, and to the results of a request without rows.
static weir_status start(cell *c, ir_value *const *pairs) {
  emitter e;
  cg_emit_begin(&e, c->fl, NULL, "start", "what a scan begins with");
  ir_kbuilder *b = &e.b;
  cg_emit_set_request(&e, ir_kb_set_grid(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n"));
  for (int i = 0; i < c->carries; i++) {
    const ir_kexpr *n = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, 0), ir_kb_int(b, c->width), 1);
    const ir_kexpr *idx[2] = {ir_kb_int(b, 0), n}, *value = cg_emit_load(&e, c->node->operands[i], &n);
    cg_emit_store(&e, pairs[i], cg_info(c->fl, pairs[i])->slot, idx, value);
    cg_emit_store(&e, c->node->results[i], cg_info(c->fl, c->node->results[i])->slot, &n, value);
    ir_kb_end(b);
  }
  return cg_emit_finish(&e);
}

static ir_value *inner_value(cell *c, ir_type type, slot_kind kind, int index) {
  ir_value *value = cg_new_value(&c->inner, type);
  slot *at = &c->inner.out->slots[cg_info(&c->inner, value)->slot];
  at->kind = kind;
  at->index = index;
  return value;
}

static weir_status iterate(cell *c, ir_value *const *pairs) {
  weir_arena *arena = c->fl->low->arena;
  int *slots = WEIR_NEW_ARRAY(arena, int, c->node->operand_count);
  for (int i = 0; i < c->node->operand_count; i++) slots[i] = i < c->carries ? cg_info(c->fl, pairs[i])->slot : -1;
  item it = {.results = WEIR_NEW_ARRAY(arena, int, c->body->result_count)};
  WEIR_TRY(cg_region_begin_loop(c->fl, c->node, c->node->callee, slots, &c->inner, &it.args));
  WEIR_TRY(cg_analyze(&c->inner));
  for (int i = 0; i < c->body->param_count; i++) {
    ir_value *value = c->body->params[i].value;
    int at = cg_add_temp(&c->inner, value);
    c->inner.out->slots[at].kind = SLOT_PARAM;
    c->inner.out->slots[at].index = i;
    cg_info(&c->inner, value)->slot = at;
  }
  for (const ir_node *node = c->body->first; node; node = node->next)
    for (int i = 0; i < node->result_count; i++) cg_info(&c->inner, node->results[i])->fate = FATE_INLINE;
  for (int i = 0; i < c->carries; i++) c->pairs[i] = inner_value(c, pairs[i]->type, SLOT_PARAM, i + 1);
  ir_value **results = WEIR_NEW_ARRAY(arena, ir_value *, c->body->result_count);
  for (int i = 0; i < c->body->result_count; i++) {
    results[i] = inner_value(c, c->node->results[i]->type, SLOT_RESULT, i);
    it.results[i] = cg_info(c->fl, c->node->results[i])->slot;
  }
  WEIR_TRY(emit_cell(c, results));
  it.callee = c->inner.out;
  WEIR_PUSH(arena, c->fl->out->items, c->fl->out->item_count, c->fl->out->item_capacity, it);
  return WEIR_OK;
}

bool cg_lower_scan_cell(function_lowering *fl, ir_node *node, weir_status *out_status) {
  weir_arena *arena = fl->low->arena;
  ir_dim_table *dims = fl->low->module->dims;
  cell c = {.fl = fl, .node = node, .body = node->callee, .carries = (int)node->attrs[1].i};
  if (!fits(&c)) return false;
  c.panels = WANTED_VECTORS / c.gate_count;
  while (c.panels > 1 && (c.width / IR_LANES % c.panels || c.panels == 3)) c.panels--;
  if (c.panels < 1) c.panels = 1;
  ir_value *pairs[MAX_CARRIES];
  for (int i = 0; i < c.carries; i++) {
    ir_dim both[2] = {ir_dim_const(dims, 2), node->results[i]->type.dims[0]};
    pairs[i] = cg_new_value(fl, ir_type_make(IR_f32, 2, both));
  }
  ir_dim *loops = WEIR_NEW_ARRAY(arena, ir_dim, 1);
  loops[0] = node->attrs[0].dim;
  c.inner = (function_lowering){.low = fl->low, .out = WEIR_NEW(arena, lowered), .loops = loops, .loop_count = 1};
  *out_status = start(&c, pairs);
  if (*out_status) return true;
  cg_mark_loop(fl, LOOP_BEGIN, loops[0], -1);
  fl->loops = loops;
  fl->loop_count = 1;
  *out_status = iterate(&c, pairs);
  fl->loops = NULL;
  fl->loop_count = 0;
  cg_mark_loop(fl, LOOP_END, NULL, -1);
  return true;
}
