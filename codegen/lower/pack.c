// Rows packed for products of lower precision: once for each value, whatever number of linears reads it.
//
// The kernel runs over rows and takes in what computes them where nothing else wants that in memory (a norm is written
// as codes only). A group is 32 inputs. int8: with m the largest magnitude of a group, its scale is m / 127 and its
// codes are the values times 127 / m, rounded to the nearest, ties to even. A group whose m is below 2^-100 is zeros;
// one with an infinity or NaN has NaN for a scale, so that all that it enters becomes NaN. int8_row: the same with the
// whole row for a group. bf16: each value rounded to the nearest, ties to even. Nothing here depends on other rows.
#include <math.h>

#include "codegen/lower/internal.h"

// A number between 2^23 and 2^24 has no bits behind the point: added to a small one it leaves the nearest integer in
// its low bits.
enum { GROUP = 32, ROUNDER = 3 << 22, ROUNDER_BITS = 0x4B400000 };

// What the int8 linears of the function ask of the sums of codes of |x|, a mask of cg_panel_sums.
static unsigned sums_wanted(const function_lowering *fl, const ir_value *x) {
  unsigned wanted = 0;
  const value_info *info = cg_info(fl, x);
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (user->op == IR_OP_linear && cg_linear_compute(fl, user) == CG_COMPUTE_INT8)
      wanted |= 1u << cg_panel_sums_of(fl->out->formats[user->operands[1]->result].storage);
  }
  return wanted;
}

// A temporary with |per| inputs of |x| an element.
static ir_value *rows_of(function_lowering *fl, const ir_value *x, ir_dtype dtype, int64_t per) {
  ir_type type = x->type;
  int last = type.rank - 1;
  type.dtype = dtype;
  type.dims[last] = ir_dim_const(fl->low->module->dims, (cg_const_dim(type.dims[last]) + per - 1) / per);
  return cg_new_value(fl, type);
}

typedef struct {
  emitter *e;
  ir_value *x;
  const packed_rows *to;
  const ir_kexpr *idx[IR_MAX_RANK];
  const ir_kexpr *group;  // i64
} pack_kernel;

// The place of element |at| of the current row of |value|.
static const ir_kexpr *place(pack_kernel *p, const ir_value *value, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  int last = p->x->type.rank - 1;
  for (int i = 0; i < last; i++) idx[i] = p->idx[i];
  idx[last] = at;
  return cg_emit_place_of(p->e, value, idx);
}

static void store(pack_kernel *p, ir_value *value, ir_ktype type, const ir_kexpr *index, const ir_kexpr *expr) {
  int buffer = cg_emit_slot(p->e, cg_info(p->e->fl, value)->slot, IR_KB_OUT);
  ir_kb_store(&p->e->b, type, buffer, index, expr);
}

// Input |half| * 16 + lane of the group.
static const ir_kexpr *input_at(pack_kernel *p, int half, const ir_kexpr *lane) {
  ir_kbuilder *b = &p->e->b;
  return ir_kb_add(b, ir_kb_add(b, ir_kb_mul(b, p->group, ir_kb_int(b, GROUP)), ir_kb_int(b, half * IR_LANES)), lane);
}

static const ir_kexpr *open_lanes(pack_kernel *p) {
  ir_kbuilder *b = &p->e->b;
  return ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
}

// The values of the group into registers, and the largest magnitude.
static const ir_kexpr *read_group(pack_kernel *p, ir_kvar *values) {
  ir_kbuilder *b = &p->e->b;
  ir_kvar *most = ir_kb_reg(b, "most", IR_KT_f32, false, 0, NULL, ir_kb_const(b, IR_KT_f32, 0));
  const ir_kexpr *lane = open_lanes(p), *largest = NULL;
  for (int half = 0; half < 2; half++) {
    p->idx[p->x->type.rank - 1] = input_at(p, half, lane);
    const ir_kexpr *value = ir_kb_let(b, "x", cg_emit_value(p->e, p->x, p->idx));
    ir_kb_set(b, values, value, ir_kb_int(b, half), NULL, NULL);
    const ir_kexpr *magnitude = ir_kb_op(b, IR_K_abs, IR_KT_f32, value, NULL, NULL);
    largest = largest ? ir_kb_op(b, IR_K_max, IR_KT_f32, largest, magnitude, NULL) : magnitude;
  }
  ir_kb_reduce(b, IR_K_max, most, largest);
  ir_kb_end(b);
  return ir_kb_let(b, "m", ir_kb_read(b, most, NULL, NULL, NULL));
}

static void store_sums(pack_kernel *p, ir_kvar *const *sums, const ir_kexpr *scale) {
  ir_kbuilder *b = &p->e->b;
  const packed_rows *to = p->to;
  const ir_kexpr *half[2], *zero = ir_kb_const(b, IR_KT_i32, 0);
  for (int i = 0; i < 2; i++) half[i] = ir_kb_let(b, "sum", ir_kb_read(b, sums[i], NULL, NULL, NULL));
  const ir_kexpr *all = ir_kb_add(b, half[0], half[1]);
  if (to->scaled_sums)
    store(p, to->scaled_sums, IR_KT_f32, place(p, to->scaled_sums, p->group),
          ir_kb_mul(b, scale, ir_kb_cast(b, IR_KT_f32, all)));
  if (to->minus_32) store(p, to->minus_32, IR_KT_i32, place(p, to->minus_32, p->group), ir_kb_sub(b, zero, all));
  for (int i = 0; to->minus_16 && i < 2; i++) {
    const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, p->group, ir_kb_int(b, 2)), ir_kb_int(b, i));
    store(p, to->minus_16, IR_KT_i32, place(p, to->minus_16, at), ir_kb_sub(b, zero, half[i]));
  }
}

static const ir_kexpr *number(pack_kernel *p, double value) { return ir_kb_const(&p->e->b, IR_KT_f32, value); }

// From the largest magnitude of a group; returns what values are multiplied by.
static const ir_kexpr *scale_of(pack_kernel *p, const ir_kexpr *most, const ir_kexpr **out_scale) {
  ir_kbuilder *b = &p->e->b;
  const ir_kexpr *some = ir_kb_op(b, IR_K_ge, IR_KT_bool, most, number(p, 0x1p-100), NULL);
  const ir_kexpr *none = ir_kb_op(b, IR_K_lt, IR_KT_bool, most, number(p, 0x1p-100), NULL);
  const ir_kexpr *finite = ir_kb_op(b, IR_K_lt, IR_KT_bool, most, number(p, INFINITY), NULL);
  const ir_kexpr *usual = ir_kb_op(b, IR_K_and, IR_KT_bool, some, finite, NULL);
  const ir_kexpr *scale = ir_kb_mul(b, most, number(p, 1.0f / 127));
  scale = ir_kb_op(b, IR_K_select, IR_KT_f32, finite, scale, number(p, NAN));
  *out_scale = ir_kb_let(b, "scale", ir_kb_op(b, IR_K_select, IR_KT_f32, none, number(p, 0), scale));
  const ir_kexpr *inverse = ir_kb_div(b, number(p, 127), most);
  return ir_kb_let(b, "inverse", ir_kb_op(b, IR_K_select, IR_KT_f32, usual, inverse, number(p, 0)));
}

// Writes the code of |value|, input |at| of the row, and returns it.
static const ir_kexpr *store_code(pack_kernel *p, const ir_kexpr *value, const ir_kexpr *inverse, const ir_kexpr *at) {
  ir_kbuilder *b = &p->e->b;
  value = ir_kb_op(b, IR_K_fma, IR_KT_f32, value, inverse, number(p, ROUNDER));
  const ir_kexpr *code = ir_kb_op(b, IR_K_bitcast, IR_KT_i32, value, NULL, NULL);
  code = ir_kb_let(b, "code", ir_kb_sub(b, code, ir_kb_const(b, IR_KT_i32, ROUNDER_BITS)));
  const ir_kexpr *first = ir_kb_mul(b, place(p, p->to->codes, ir_kb_int(b, 0)), ir_kb_int(b, 4));
  store(p, p->to->codes, IR_KT_i8, ir_kb_add(b, first, at), ir_kb_cast(b, IR_KT_i8, code));
  return code;
}

static void emit_int8_group(pack_kernel *p) {
  ir_kbuilder *b = &p->e->b;
  int two = 2;
  ir_kvar *values = ir_kb_reg(b, "v", IR_KT_f32, true, 1, &two, number(p, 0)), *sums[2];
  const ir_kexpr *scale, *inverse = scale_of(p, read_group(p, values), &scale);
  for (int i = 0; i < 2; i++) sums[i] = ir_kb_reg(b, "sum", IR_KT_i32, false, 0, NULL, ir_kb_const(b, IR_KT_i32, 0));
  const ir_kexpr *lane = open_lanes(p);
  for (int half = 0; half < 2; half++) {
    const ir_kexpr *value = ir_kb_read(b, values, ir_kb_int(b, half), NULL, NULL);
    ir_kb_reduce(b, IR_K_add, sums[half], store_code(p, value, inverse, input_at(p, half, lane)));
  }
  ir_kb_end(b);
  store(p, p->to->scales, IR_KT_f32, place(p, p->to->scales, p->group), scale);
  store_sums(p, sums, scale);
}

// The whole row: its values into local memory, then as codes.
static void emit_int8_row(pack_kernel *p, int64_t cols) {
  ir_kbuilder *b = &p->e->b;
  int values = ir_kb_add_buffer(b, IR_KB_LOCAL, "values", ir_kb_int(b, 4 * cols), -1);
  ir_kvar *most = ir_kb_reg(b, "most", IR_KT_f32, false, 0, NULL, number(p, 0));
  const ir_kexpr *i = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, 0), ir_kb_int(b, cols), 1), *zero = ir_kb_int(b, 0);
  p->idx[p->x->type.rank - 1] = i;
  const ir_kexpr *value = ir_kb_let(b, "x", cg_emit_value(p->e, p->x, p->idx));
  ir_kb_store(b, IR_KT_f32, values, i, value);
  ir_kb_reduce(b, IR_K_max, most, ir_kb_op(b, IR_K_abs, IR_KT_f32, value, NULL, NULL));
  ir_kb_end(b);
  const ir_kexpr *scale, *inverse = scale_of(p, ir_kb_let(b, "m", ir_kb_read(b, most, NULL, NULL, NULL)), &scale);
  ir_kvar *sum = ir_kb_reg(b, "sum", IR_KT_i32, false, 0, NULL, ir_kb_const(b, IR_KT_i32, 0));
  i = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, 0), ir_kb_int(b, cols), 1);
  ir_kb_reduce(b, IR_K_add, sum, store_code(p, ir_kb_load(b, IR_KT_f32, values, i), inverse, i));
  ir_kb_end(b);
  store(p, p->to->scales, IR_KT_f32, place(p, p->to->scales, zero), scale);
  const ir_kexpr *start = ir_kb_mul(b, ir_kb_read(b, sum, NULL, NULL, NULL), ir_kb_const(b, IR_KT_i32, -128));
  store(p, p->to->starts, IR_KT_i32, place(p, p->to->starts, zero), start);
}

// The last dim of a row, its other indices known.
static void emit_row(pack_kernel *p) {
  ir_kbuilder *b = &p->e->b;
  int last = p->x->type.rank - 1;
  int64_t cols = cg_const_dim(p->x->type.dims[last]);
  p->idx[last] = cg_placeholder(p->e);
  if (!cg_emit_reductions(p->e, p->x, p->idx)) p->e->unsupported = "a sum that differs within a row that is packed";
  if (p->to->compute == CG_COMPUTE_INT8) {
    p->group = ir_kb_for(b, IR_KR_SERIAL, "g", ir_kb_int(b, 0), ir_kb_int(b, cols / GROUP), 1);
    emit_int8_group(p);
    ir_kb_end(b);
    return;
  }
  if (p->to->compute == CG_COMPUTE_INT8_ROW) {
    emit_int8_row(p, cols);
    return;
  }
  const ir_kexpr *i = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, 0), ir_kb_int(b, cols), 1);
  p->idx[last] = i;
  const ir_kexpr *value = ir_kb_cast(b, IR_KT_bf16, cg_emit_value(p->e, p->x, p->idx));
  const ir_kexpr *at = ir_kb_mul(b, place(p, p->to->codes, ir_kb_int(b, 0)), ir_kb_int(b, 2));
  store(p, p->to->codes, IR_KT_bf16, ir_kb_add(b, at, i), value);
  ir_kb_end(b);
}

void cg_emit_packed_row(emitter *e, const packed_rows *to, const ir_kexpr *const *idx) {
  pack_kernel p = {.e = e, .x = (ir_value *)to->x, .to = to};
  for (int i = 0; i < p.x->type.rank - 1; i++) p.idx[i] = idx[i];
  emit_row(&p);
}

static weir_status lower_pack(function_lowering *fl, ir_value *x, const packed_rows *to) {
  emitter e;
  weir_arena *arena = fl->low->arena;
  int last = x->type.rank - 1, loops = 0;
  const char *compute = cg_compute_name(to->compute);
  const ir_kexpr *idx[IR_MAX_RANK];
  cg_emit_begin(&e, fl, cg_info(fl, x)->fate == FATE_PACKED ? x : NULL, weir_arena_printf(arena, "pack_%s", compute),
                weir_arena_printf(arena, "%s as %s for products", ir_type_print(arena, &x->type), compute));
  cg_emit_domain(&e, x, idx);
  const value_info *info = cg_info(fl, x);
  for (int i = 0; i < last; i++) {
    if (info->ragged && i == info->axis) continue;
    idx[i] = ir_kb_for(&e.b, IR_KR_SERIAL, "i", ir_kb_int(&e.b, 0), cg_dim_expr(&e, x->type.dims[i]), 1);
    loops++;
  }
  cg_emit_packed_row(&e, to, idx);
  while (loops--) ir_kb_end(&e.b);
  return cg_emit_finish(&e);
}

static bool find_packed(const function_lowering *fl, const ir_value *x, cg_compute compute, packed_rows *out) {
  for (int i = 0; i < fl->packed_count; i++) {
    *out = fl->packed[i];
    if (out->x == x && out->compute == compute && !out->image) return true;
  }
  return false;
}

void cg_pack_room(function_lowering *fl, ir_value *x, cg_compute compute, packed_rows *out) {
  bool int8 = compute == CG_COMPUTE_INT8, row = compute == CG_COMPUTE_INT8_ROW;
  unsigned sums = int8 ? sums_wanted(fl, x) : 0;
  *out = (packed_rows){.x = x, .compute = compute, .codes = rows_of(fl, x, IR_i32, int8 || row ? 4 : 2)};
  int64_t cols = cg_const_dim(x->type.dims[x->type.rank - 1]);
  if (row) out->scales = rows_of(fl, x, IR_f32, cols);
  if (row) out->starts = rows_of(fl, x, IR_i32, cols);
  if (int8) out->scales = rows_of(fl, x, IR_f32, GROUP);
  if (sums >> CG_SUMS_SCALED & 1) out->scaled_sums = rows_of(fl, x, IR_f32, GROUP);
  if (sums >> CG_SUMS_32 & 1) out->minus_32 = rows_of(fl, x, IR_i32, GROUP);
  if (sums >> CG_SUMS_16 & 1) out->minus_16 = rows_of(fl, x, IR_i32, GROUP / 2);
  WEIR_PUSH(fl->low->arena, fl->packed, fl->packed_count, fl->packed_capacity, *out);
}

weir_status cg_pack_rows(function_lowering *fl, ir_value *x, cg_compute compute, packed_rows *out) {
  if (find_packed(fl, x, compute, out)) return WEIR_OK;
  cg_pack_room(fl, x, compute, out);
  return lower_pack(fl, x, out);
}
