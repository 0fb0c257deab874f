// Rotary positions. Cosines and sines depend on positions only, so one small table per program serves all layers: row n
// holds rotary/2 cosines, then as many sines, from angles computed in float64 (positions reach thousands of radians).
// Where the positions are no `pos` the angles are computed in place.
#include <math.h>

#include "codegen/lower/internal.h"

static double *frequencies(weir_arena *arena, double theta, int rotary) {
  double *out = WEIR_NEW_ARRAY(arena, double, rotary / 2);
  for (int i = 0; i < rotary / 2; i++) out[i] = pow(theta, -2.0 * i / rotary);
  return out;
}

static const ir_kexpr *angle(ir_kbuilder *b, const ir_kexpr *position, int table, const ir_kexpr *pair) {
  return ir_kb_mul(b, ir_kb_cast(b, IR_KT_f64, position), ir_kb_load(b, IR_KT_f64, table, pair));
}

static const ir_kexpr *turn(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *at) {
  return ir_kb_cast(b, type, ir_kb_op(b, op, IR_KT_f64, at, NULL, NULL));
}

weir_status cg_lower_rope_table(lowering *low, double theta, int rotary, bool positions_given, int *out_kernel) {
  ir_kbuilder b;
  ir_kb_init(&b, low->arena, "rope_table", "cosines and sines of rotary positions");
  const ir_kexpr *rows = ir_kb_add_size(&b, "rows"), *half = ir_kb_int(&b, rotary / 2);
  const ir_kexpr *table_bytes = ir_kb_mul(&b, rows, ir_kb_int(&b, 4)), *position;
  int positions = ir_kb_add_buffer(&b, IR_KB_IN, positions_given ? "positions" : "requests_of", table_bytes, -1);
  int table = ir_kb_add_buffer(&b, IR_KB_OUT, "table", ir_kb_mul(&b, rows, ir_kb_int(&b, 4 * rotary)), -1);
  int freq = ir_kb_add_const(&b, "frequencies", IR_KT_f64, rotary / 2, frequencies(low->arena, theta, rotary));
  const ir_kexpr *row = ir_kb_set_grid(&b, rows, "n");
  position = ir_kb_load(&b, IR_KT_i32, positions, row);
  if (!positions_given) {
    const ir_kexpr *requests = ir_kb_add(&b, ir_kb_add_size(&b, "requests"), ir_kb_int(&b, 1));
    int starts = ir_kb_add_buffer(&b, IR_KB_IN, "starts", ir_kb_mul(&b, requests, ir_kb_int(&b, 4)), -1);
    const ir_kexpr *start = ir_kb_load(&b, IR_KT_i32, starts, ir_kb_cast(&b, IR_KT_i64, position));
    position = ir_kb_sub(&b, row, ir_kb_cast(&b, IR_KT_i64, start));
  }
  const ir_kexpr *pair = ir_kb_for(&b, IR_KR_SERIAL, "i", ir_kb_int(&b, 0), half, 1);
  const ir_kexpr *at = ir_kb_let(&b, "angle", angle(&b, position, freq, pair));
  const ir_kexpr *to = ir_kb_add(&b, ir_kb_mul(&b, row, ir_kb_int(&b, rotary)), pair);
  ir_kb_store(&b, IR_KT_f32, table, to, turn(&b, IR_K_cos, IR_KT_f32, at));
  ir_kb_store(&b, IR_KT_f32, table, ir_kb_add(&b, to, half), turn(&b, IR_K_sin, IR_KT_f32, at));
  ir_kb_end(&b);
  ir_kernel *kernel = ir_kb_finish(&b);
  WEIR_TRY(ir_kernel_verify(kernel));
  uint64_t hash = ir_kernel_hash(kernel);
  kernel->name = weir_arena_printf(low->arena, "k_rope_table_%08x", (unsigned)(hash ^ (hash >> 32)));
  *out_kernel = cg_add_kernel(low, kernel);
  return WEIR_OK;
}

typedef struct {
  emitter *e;
  ir_value *root, *x;
  ir_ktype type;
  int64_t half;
  bool interleaved;
  int table, freq;  // buffers; table is -1 where angles are computed in place
  const ir_kexpr *row, *position;
  const ir_kexpr *idx[IR_MAX_RANK];  // all axes but the last
} rope_kernel;

static int find_table(function_lowering *fl, ir_dim rows, double theta, int rotary) {
  lowered *out = fl->out;
  for (int i = 0; i < out->slot_count; i++) {
    slot *at = &out->slots[i];
    if (at->kind == SLOT_ROPE && at->rows == rows && at->theta == theta && at->rotary == rotary) return i;
  }
  slot added = {.kind = SLOT_ROPE, .name = "rope", .rows = rows, .theta = theta, .rotary = rotary};
  WEIR_PUSH(fl->low->arena, out->slots, out->slot_count, out->slot_capacity, added);
  return out->slot_count - 1;
}

// Cosine and sine of pair |pair| of |row|, counted over all requests.
static void look_up(emitter *e, int table, int rotary, const ir_kexpr *row, const ir_kexpr *pair, const ir_kexpr **c,
                    const ir_kexpr **s) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, row, ir_kb_int(b, rotary)), pair);
  *c = ir_kb_let(b, "c", ir_kb_load(b, IR_KT_f32, table, at));
  *s = ir_kb_let(b, "s", ir_kb_load(b, IR_KT_f32, table, ir_kb_add(b, at, ir_kb_int(b, rotary / 2))));
}

// The pair |x|, |y| turned, as elements |first| and |second| of the head.
static void store_turned(emitter *e, const ir_value *root, const ir_kexpr **idx, const ir_kexpr *const place[2],
                         const ir_kexpr *x, const ir_kexpr *y, const ir_kexpr *c, const ir_kexpr *s) {
  ir_kbuilder *b = &e->b;
  int last = root->type.rank - 1, slot_index = cg_info(e->fl, root)->slot;
  idx[last] = place[0];
  cg_emit_store(e, root, slot_index, idx, ir_kb_sub(b, ir_kb_mul(b, x, c), ir_kb_mul(b, y, s)));
  idx[last] = place[1];
  cg_emit_store(e, root, slot_index, idx, ir_kb_add(b, ir_kb_mul(b, y, c), ir_kb_mul(b, x, s)));
}

static void rotate(rope_kernel *k, int rotary) {
  ir_kbuilder *b = &k->e->b;
  int last = k->root->type.rank - 1;
  const ir_kexpr *half = ir_kb_int(b, k->half), *two = ir_kb_int(b, 2), *one = ir_kb_int(b, 1), *c, *s,
                 *in_place = NULL;
  bool lanes = k->table >= 0 && !k->interleaved;
  const ir_kexpr *pair = ir_kb_for(b, lanes ? IR_KR_LANES : IR_KR_SERIAL, "i", ir_kb_int(b, 0), half, 1);
  if (k->table >= 0) {
    look_up(k->e, k->table, rotary, k->row, pair, &c, &s);
  } else {
    in_place = ir_kb_let(b, "angle", angle(b, k->position, k->freq, pair));
    c = ir_kb_let(b, "c", turn(b, IR_K_cos, k->type, in_place));
    s = ir_kb_let(b, "s", turn(b, IR_K_sin, k->type, in_place));
  }
  const ir_kexpr *first = k->interleaved ? ir_kb_mul(b, pair, two) : pair;
  const ir_kexpr *second = ir_kb_add(b, first, k->interleaved ? one : half), *place[2] = {first, second};
  k->idx[last] = first;
  const ir_kexpr *x = ir_kb_let(b, "x", cg_emit_value(k->e, k->x, k->idx));
  k->idx[last] = second;
  const ir_kexpr *y = ir_kb_let(b, "y", cg_emit_value(k->e, k->x, k->idx));
  store_turned(k->e, k->root, k->idx, place, x, y, c, s);
  ir_kb_end(b);
}

// Whether positions along |dim| are those of a symbol's rows, or count from 0.
static bool counts_rows(const function_lowering *fl, ir_dim dim) {
  ir_dim first = ir_dim_first_position(fl->low->module->dims, dim);
  return ir_dim_as_symbol(dim) || cg_const_dim(first) == 0;
}

// Whether |root| is turned by the table of the rows' positions.
static bool takes_table(const function_lowering *fl, const ir_value *root) {
  const ir_value *positions = root->def->operands[1];
  return cg_compute_type(root->type.dtype) == IR_KT_f32 && cg_info(fl, root)->ragged == 1 && positions->def &&
         positions->def->op == IR_OP_pos && counts_rows(fl, root->type.dims[0]);
}

ir_value *cg_rope_product(const function_lowering *fl, const ir_value *root) {
  const ir_node *node = root->def;
  if (!node || node->op != IR_OP_rope || root->type.rank != 3 || root->type.dtype != IR_f32) return NULL;
  int64_t width = cg_const_dim(root->type.dims[2]), heads = cg_const_dim(root->type.dims[1]);
  if (width <= 0 || heads <= 0 || width % (2 * IR_LANES) || ir_node_attr(node, IR_ATTR_rotary)->i != width ||
      ir_node_attr(node, IR_ATTR_interleaved)->i || !takes_table(fl, root))
    return NULL;
  ir_value *x = node->operands[0];
  if (!x->def || x->def->op != IR_OP_reshape || cg_info(fl, x)->fate != FATE_INLINE || cg_info(fl, x)->group != root)
    return NULL;
  ir_value *turned = x->def->operands[0];
  bool rows = turned->type.rank == 2 && turned->type.dtype == IR_f32 && turned->type.dims[0] == root->type.dims[0] &&
              cg_info(fl, turned)->ragged == 1 && cg_const_dim(turned->type.dims[1]) == heads * width;
  return rows && turned->def && cg_info(fl, turned)->fate != FATE_ROOT ? turned : NULL;
}

void cg_rope_store_pair(emitter *e, ir_value *root, const ir_kexpr **idx, const ir_kexpr *pair,
                        const ir_kexpr *const *x) {
  ir_kbuilder *b = &e->b;
  const ir_node *node = root->def;
  int rotary = (int)ir_node_attr(node, IR_ATTR_rotary)->i;
  double theta = ir_node_attr(node, IR_ATTR_theta)->f;
  ir_dim rows = root->type.dims[0];
  int table = cg_emit_slot(e, find_table(e->fl, rows, theta, rotary), IR_KB_IN);
  const ir_kexpr *row = ir_kb_add(b, cg_emit_start(e, rows), idx[0]), *c, *s;
  const ir_kexpr *place[2] = {pair, ir_kb_add(b, pair, ir_kb_int(b, rotary / 2))};
  look_up(e, table, rotary, row, pair, &c, &s);
  store_turned(e, root, idx, place, x[0], x[1], c, s);
}

// The rest of a row along the first ragged axis, whose indices are known as far as that.
static void emit_row(rope_kernel *k) {
  ir_kbuilder *b = &k->e->b;
  const ir_node *node = k->root->def;
  const value_info *info = cg_info(k->e->fl, k->root);
  int rotary = (int)ir_node_attr(node, IR_ATTR_rotary)->i, last = k->root->type.rank - 1, loops = 0;
  double theta = ir_node_attr(node, IR_ATTR_theta)->f;
  k->x = node->operands[0];
  k->type = cg_compute_type(k->root->type.dtype);
  k->half = rotary / 2;
  k->interleaved = ir_node_attr(node, IR_ATTR_interleaved)->i != 0;
  k->table = -1;
  if (takes_table(k->e->fl, k->root)) {
    ir_dim rows = k->root->type.dims[0];
    k->table = cg_emit_slot(k->e, find_table(k->e->fl, rows, theta, rotary), IR_KB_IN);
    k->row = ir_kb_add(b, cg_emit_start(k->e, rows), k->idx[0]);
  } else {
    weir_arena *arena = k->e->fl->low->arena;
    k->freq = ir_kb_add_const(b, "frequencies", IR_KT_f64, rotary / 2, frequencies(arena, theta, rotary));
  }
  for (int i = 0; i < last; i++) {
    if (!info->ragged || i != info->axis) {
      k->idx[i] = ir_kb_for(b, IR_KR_SERIAL, "h", ir_kb_int(b, 0), cg_dim_expr(k->e, k->root->type.dims[i]), 1);
      loops++;
    }
    if (i == 0 && k->table < 0) k->position = ir_kb_let(b, "position", cg_emit_value(k->e, node->operands[1], k->idx));
  }
  rotate(k, rotary);
  int64_t width = cg_const_dim(k->root->type.dims[last]);
  if (rotary < width) {
    k->idx[last] = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, rotary), ir_kb_int(b, width), 1);
    cg_emit_store(k->e, k->root, info->slot, k->idx, cg_emit_value(k->e, k->x, k->idx));
    ir_kb_end(b);
  }
  while (loops--) ir_kb_end(b);
}

void cg_emit_rope_row(emitter *e, ir_value *root, const ir_kexpr *row) {
  rope_kernel k = {.e = e, .root = root};
  cg_emit_set_row(e, root, row, k.idx);
  emit_row(&k);
}

weir_status cg_lower_rope(function_lowering *fl, ir_value *root) {
  emitter e;
  rope_kernel k = {.e = &e, .root = root};
  cg_emit_begin(&e, fl, root, "rope", "rotary positions on the last dim");
  cg_emit_domain(&e, root, k.idx);
  emit_row(&k);
  return cg_emit_finish(&e);
}
