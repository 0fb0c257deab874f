// Lines of a value as items, blocks or threads of blocks (line.h).
#include "codegen/lower/line.h"

static const ir_kexpr *unflatten(emitter *e, const ir_type *type, unsigned axes, const ir_kexpr *flat,
                                 const ir_kexpr **idx) {
  for (int i = type->rank - 1; i >= 0; i--) {
    if (!(axes >> i & 1)) continue;
    const ir_kexpr *dim = cg_dim_expr(e, type->dims[i]);
    idx[i] = ir_kb_let(&e->b, "line", ir_kb_mod(&e->b, flat, dim));
    flat = ir_kb_div(&e->b, flat, dim);
  }
  return flat;
}

// The grid; returns the number of the line.
static const ir_kexpr *open_grid(cg_line *l, const ir_kexpr *count, cg_line_form form) {
  ir_kbuilder *b = &l->e.b;
  if (form != CG_LINE_THREAD) {
    const ir_kexpr *n = ir_kb_set_grid(b, count, "n");
    if (form == CG_LINE_BLOCK) l->thread = ir_kb_set_threads(b, "t", l->threads, 0);
    return n;
  }
  const ir_kexpr *g = ir_kb_set_grid(b, bk_div(b, bk_plus(b, count, l->threads - 1), l->threads), "g");
  l->thread = ir_kb_set_threads(b, "t", l->threads, 0);
  const ir_kexpr *n = ir_kb_let(b, "n", ir_kb_add(b, bk_scaled(b, g, l->threads), l->thread));
  ir_kb_if(b, bk_less(b, n, count));
  return n;
}

void cg_line_open(cg_line *l, function_lowering *fl, ir_value *root, ir_value *x, int axis, cg_line_form form,
                  int threads) {
  emitter *e = &l->e;
  const char *name = ir_op_get_info(root->def->op)->name;
  const char *banner =
      weir_arena_printf(fl->low->arena, "%s along axis %d of %s", name, axis, ir_type_print(fl->low->arena, &x->type));
  if (form != CG_LINE_ITEM) name = weir_arena_printf(fl->low->arena, "block_%s", name);
  cg_emit_begin(e, fl, root, name, banner);
  ir_kbuilder *b = &e->b;
  const ir_type *type = &x->type;
  ir_dim volume = NULL;
  unsigned ragged = 0, plain = 0;
  l->x = x;
  l->axis = axis;
  l->threads = threads;
  for (int i = 0; i < type->rank; i++) {
    if (i == axis) continue;
    bool is_plain = ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN;
    *(is_plain ? &plain : &ragged) |= 1u << i;
    if (!is_plain) volume = volume ? ir_dim_mul(fl->low->module->dims, volume, type->dims[i]) : type->dims[i];
  }
  const ir_kexpr *count = cg_emit_size(e, volume ? SIZE_ROWS : SIZE_REQUESTS, volume);
  for (int i = 0; i < type->rank; i++)
    if (plain >> i & 1) count = ir_kb_mul(b, count, cg_dim_expr(e, type->dims[i]));
  const ir_kexpr *n = unflatten(e, type, plain, open_grid(l, count, form), l->idx);
  if (volume) unflatten(e, type, ragged, cg_emit_set_row_of(e, volume, n), l->idx);
  else cg_emit_set_request(e, n);
  l->size = cg_dim_expr(e, type->dims[axis]);
}

static const ir_kexpr **place(cg_line *l, const ir_kexpr *at, const ir_kexpr **idx) {
  for (int i = 0; i < l->x->type.rank; i++) idx[i] = i == l->axis ? at : l->idx[i];
  return idx;
}

const ir_kexpr *cg_line_load(cg_line *l, ir_value *value, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  return cg_emit_load(&l->e, value, place(l, at, idx));
}

void cg_line_store(cg_line *l, const ir_value *value, const ir_kexpr *at, const ir_kexpr *expr) {
  const ir_kexpr *idx[IR_MAX_RANK];
  cg_emit_store(&l->e, value, cg_info(l->e.fl, value)->slot, place(l, at, idx), expr);
}

const ir_kexpr *cg_line_load_index(cg_line *l, ir_value *value, const ir_kexpr *at) {
  return ir_kb_cast(&l->e.b, IR_KT_i64, cg_line_load(l, value, at));
}

void cg_line_use_both_ways(cg_line *l, const ir_value *value) {
  cg_emit_slot(&l->e, cg_info(l->e.fl, value)->slot, IR_KB_INOUT);
}

int64_t cg_line_most(const ir_type *type, int axis) { return cg_const_dim(type->dims[axis]); }

// Ragged axes stand before the others in memory.
bool cg_line_is_contiguous(const function_lowering *fl, const ir_value *x, int axis) {
  unsigned ragged = cg_info(fl, x)->ragged;
  bool first = ragged >> axis & 1;
  for (int i = 0; i < x->type.rank; i++) {
    bool behind = first == (ragged >> i & 1) ? i > axis : first;
    if (behind && cg_const_dim(x->type.dims[i]) != 1) return false;
  }
  return true;
}
