// Ops that walk a line from its first element to its last: running values, sorting, the k largest. An item of the
// kernel has a whole line along the op's axis, so that what comes out depends on the line alone.
//
// Sorting is a merge from runs of one element on, over indices, between two places that the line has for itself: stable
// and n log n. A few of the largest are kept in order while the line passes, which costs no more than a look at each
// element that does not belong to them. NaN comes last.
#include "codegen/lower/line.h"

enum {
  FEW = 64,       // the k largest by insertion; more are sorted
  MAX_PAIRS = 16  // pairs of passes: runs of 4^16 elements are longer than any line
};

static const ir_kexpr *load(cg_line *l, ir_value *value, const ir_kexpr *at) { return cg_line_load(l, value, at); }
static void store(cg_line *l, const ir_value *value, const ir_kexpr *at, const ir_kexpr *expr) {
  cg_line_store(l, value, at, expr);
}
static const ir_kexpr *load_index(cg_line *l, ir_value *value, const ir_kexpr *at) {
  return cg_line_load_index(l, value, at);
}

static ir_kvar *number(cg_line *l, const char *name, const ir_kexpr *start) {
  return ir_kb_reg(&l->e.b, name, start->type, false, 0, NULL, start);
}

static const ir_kexpr *read(cg_line *l, ir_kvar *reg) { return ir_kb_read(&l->e.b, reg, NULL, NULL, NULL); }
static void set(cg_line *l, ir_kvar *reg, const ir_kexpr *value) { ir_kb_set(&l->e.b, reg, value, NULL, NULL, NULL); }

static const ir_kexpr *op2(cg_line *l, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&l->e.b, op, x->type, x, y, NULL);
}
static const ir_kexpr *test(cg_line *l, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&l->e.b, op, IR_KT_bool, x, y, NULL);
}
static const ir_kexpr *choose(cg_line *l, const ir_kexpr *condition, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&l->e.b, IR_K_select, x->type, condition, x, y);
}

// ---- running values

// The largest so far, and the sum of exponentials relative to it.
static const ir_kexpr *step_log_sum(cg_line *l, ir_kvar *most, ir_kvar *sum, const ir_kexpr *x) {
  ir_kbuilder *b = &l->e.b;
  const ir_kexpr *old = ir_kb_let(b, "old", read(l, most)), *now = ir_kb_let(b, "now", op2(l, IR_K_max, old, x));
  const ir_kexpr *shift = cg_emit_safe_shift(&l->e, now);
  const ir_kexpr *before = ir_kb_op(b, IR_K_exp, x->type, ir_kb_sub(b, old, shift), NULL, NULL);
  const ir_kexpr *mine = ir_kb_op(b, IR_K_exp, x->type, ir_kb_sub(b, x, shift), NULL, NULL);
  const ir_kexpr *total = ir_kb_let(b, "sum", ir_kb_add(b, ir_kb_mul(b, read(l, sum), before), mine));
  set(l, most, now);
  set(l, sum, total);
  return cg_emit_log_sum(&l->e, shift, ir_kb_op(b, IR_K_log, x->type, total, NULL, NULL));
}

weir_status cg_lower_running(function_lowering *fl, ir_node *node) {
  weir_status status;
  if (cg_block_running(fl, node, &status)) return status;
  ir_value *x = node->operands[0], *root = node->results[0];
  ir_combine combine = node->op == IR_OP_cumsum    ? IR_COMBINE_sum
                       : node->op == IR_OP_cumprod ? IR_COMBINE_prod
                       : node->op == IR_OP_cummax  ? IR_COMBINE_max
                       : node->op == IR_OP_cummin  ? IR_COMBINE_min
                                                   : IR_COMBINE_logsumexp;
  ir_ktype type = cg_compute_type(x->type.dtype);
  cg_line l = {0};
  cg_line_open(&l, fl, root, x, (int)ir_node_attr(node, IR_ATTR_axis)->i, CG_LINE_ITEM, 0);
  ir_kbuilder *b = &l.e.b;
  ir_kvar *so_far = number(&l, "r", ir_kb_const(b, type, cg_combine_start(combine, type)));
  ir_kvar *sum = combine == IR_COMBINE_logsumexp ? number(&l, "s", ir_kb_const(b, type, 0)) : NULL;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_SERIAL, "i", ir_kb_int(b, 0), l.size, 1);
  const ir_kexpr *element = ir_kb_let(b, "x", load(&l, x, i)), *value;
  if (sum) {
    value = step_log_sum(&l, so_far, sum, element);
  } else {
    value = ir_kb_let(b, "v", op2(&l, cg_combine_op(combine), read(&l, so_far), element));
    set(&l, so_far, value);
  }
  store(&l, root, i, value);
  ir_kb_end(b);
  return cg_emit_finish(&l.e);
}

// ---- order

// Whether an element |y| comes before |x| that stands in front of it: not of equals.
static const ir_kexpr *overtakes(cg_line *l, const ir_kexpr *y, const ir_kexpr *x) {
  const ir_kexpr *before = test(l, l->descending ? IR_K_gt : IR_K_lt, y, x);
  if (!ir_ktype_is_float(x->type)) return before;
  return op2(l, IR_K_or, before, op2(l, IR_K_and, test(l, IR_K_ne, x, x), test(l, IR_K_eq, y, y)));
}

// Merges runs of |width| indices of |from| into runs twice as long of |to|.
static void merge(cg_line *l, ir_value *from, ir_value *to, const ir_kexpr *width) {
  ir_kbuilder *b = &l->e.b;
  const ir_kexpr *zero = ir_kb_int(b, 0), *one = ir_kb_int(b, 1),
                 *twice = ir_kb_let(b, "twice", ir_kb_add(b, width, width));
  const ir_kexpr *blocks = ir_kb_let(b, "blocks", ir_kb_div(b, ir_kb_add(b, l->size, ir_kb_sub(b, twice, one)), twice));
  const ir_kexpr *block = ir_kb_for(b, IR_KR_SERIAL, "block", zero, blocks, 1);
  const ir_kexpr *lo = ir_kb_let(b, "lo", ir_kb_mul(b, block, twice));
  const ir_kexpr *mid = ir_kb_let(b, "mid", ir_kb_min(b, ir_kb_add(b, lo, width), l->size));
  const ir_kexpr *hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, lo, twice), l->size));
  ir_kvar *left = number(l, "left", lo), *right = number(l, "right", mid);
  const ir_kexpr *o = ir_kb_for(b, IR_KR_SERIAL, "o", lo, hi, 1);
  const ir_kexpr *i = ir_kb_let(b, "i", read(l, left)), *j = ir_kb_let(b, "j", read(l, right));
  const ir_kexpr *more_left = test(l, IR_K_lt, i, mid), *more_right = test(l, IR_K_lt, j, hi);
  const ir_kexpr *a = ir_kb_let(b, "a", load_index(l, from, choose(l, more_left, i, lo)));
  const ir_kexpr *c = ir_kb_let(b, "c", load_index(l, from, choose(l, more_right, j, lo)));
  const ir_kexpr *sooner = overtakes(l, load(l, l->x, c), load(l, l->x, a));
  sooner = op2(l, IR_K_or, sooner, ir_kb_op(b, IR_K_not, IR_KT_bool, more_left, NULL, NULL));
  const ir_kexpr *take = ir_kb_let(b, "take", op2(l, IR_K_and, more_right, sooner));
  store(l, to, o, ir_kb_cast(b, IR_KT_i32, choose(l, take, c, a)));
  set(l, left, choose(l, take, i, ir_kb_add(b, i, one)));
  set(l, right, choose(l, take, ir_kb_add(b, j, one), j));
  ir_kb_end(b);
  ir_kb_end(b);
}

// Fills |order|, i32 in the operand's dims, with the indices of the line in order.
static void emit_sort(cg_line *l, ir_value *order, ir_value *other) {
  ir_kbuilder *b = &l->e.b;
  cg_line_use_both_ways(l, order);
  cg_line_use_both_ways(l, other);
  const ir_kexpr *zero = ir_kb_int(b, 0), *i = ir_kb_for(b, IR_KR_SERIAL, "i", zero, l->size, 1);
  store(l, order, i, ir_kb_cast(b, IR_KT_i32, i));
  ir_kb_end(b);
  ir_kvar *width = number(l, "width", ir_kb_int(b, 1));
  ir_kb_for(b, IR_KR_SERIAL, "pass", zero, ir_kb_int(b, MAX_PAIRS), 1);
  ir_kb_if(b, test(l, IR_K_lt, read(l, width), l->size));
  const ir_kexpr *w = ir_kb_let(b, "w", read(l, width));
  merge(l, order, other, w);
  merge(l, other, order, ir_kb_add(b, w, w));
  set(l, width, ir_kb_mul(b, w, ir_kb_int(b, 4)));
  ir_kb_end(b);
  ir_kb_end(b);
}

// Keeps the |k| first in order in |order|, whose axis has as many elements.
static void emit_first(cg_line *l, ir_value *order, int64_t k) {
  ir_kbuilder *b = &l->e.b;
  const ir_kexpr *zero = ir_kb_int(b, 0), *one = ir_kb_int(b, 1), *most = ir_kb_int(b, k);
  ir_kvar *count = number(l, "count", zero), *at = number(l, "at", zero);
  ir_kvar *worst = number(l, "worst", ir_kb_const(b, cg_compute_type(l->x->type.dtype), 0));
  cg_line_use_both_ways(l, order);
  const ir_kexpr *u = ir_kb_for(b, IR_KR_SERIAL, "u", zero, l->size, 1);
  const ir_kexpr *x = ir_kb_let(b, "x", load(l, l->x, u)), *have = ir_kb_let(b, "have", read(l, count));
  ir_kb_if(b, op2(l, IR_K_or, test(l, IR_K_lt, have, most), overtakes(l, x, read(l, worst))));
  const ir_kexpr *last = ir_kb_let(b, "last", ir_kb_min(b, have, ir_kb_int(b, k - 1)));
  set(l, at, last);
  const ir_kexpr *s = ir_kb_for(b, IR_KR_SERIAL, "s", zero, last, 1);
  const ir_kexpr *q = ir_kb_let(b, "q", ir_kb_sub(b, last, ir_kb_add(b, s, one)));
  const ir_kexpr *there = ir_kb_let(b, "there", load_index(l, order, q)), *above = ir_kb_add(b, q, one);
  const ir_kexpr *moves = op2(l, IR_K_and, test(l, IR_K_eq, read(l, at), above), overtakes(l, x, load(l, l->x, there)));
  ir_kb_if(b, moves);
  store(l, order, above, ir_kb_cast(b, IR_KT_i32, there));
  set(l, at, q);
  ir_kb_end(b);
  ir_kb_end(b);
  store(l, order, ir_kb_let(b, "here", read(l, at)), ir_kb_cast(b, IR_KT_i32, u));
  set(l, count, ir_kb_add(b, last, one));
  set(l, worst, load(l, l->x, load_index(l, order, last)));
  ir_kb_end(b);
  ir_kb_end(b);
}

// Elements of the operand where |order| says, into |to|, and what it says into |indices| (may be null).
static void emit_taken(cg_line *l, ir_value *order, ir_value *to, ir_value *indices, const ir_kexpr *count) {
  ir_kbuilder *b = &l->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_SERIAL, "i", ir_kb_int(b, 0), count, 1);
  const ir_kexpr *from = ir_kb_let(b, "from", load_index(l, order, i));
  store(l, to, i, load(l, l->x, from));
  if (indices && indices != order) store(l, indices, i, ir_kb_cast(b, IR_KT_i32, from));
  ir_kb_end(b);
}

static ir_value *scratch(function_lowering *fl, const ir_value *like) {
  ir_type type = like->type;
  type.dtype = IR_i32;
  return cg_new_value(fl, type);
}

weir_status cg_lower_order(function_lowering *fl, ir_node *node) {
  weir_status status;
  if (cg_block_sorted(fl, node, &status)) return status;
  ir_value *x = node->operands[0], *first = node->results[0],
           *second = node->op == IR_OP_top_k ? node->results[1] : NULL;
  const ir_attr *descending = ir_node_attr(node, IR_ATTR_descending), *k = ir_node_attr(node, IR_ATTR_k);
  cg_line l = {.descending = !descending || descending->i};
  bool few = k && k->i <= FEW;
  if (k && k->i == 0) return WEIR_OK;
  ir_value *order = few                         ? second
                    : node->op == IR_OP_argsort ? first
                                                : scratch(fl, x),
           *other = few ? NULL : scratch(fl, x);
  cg_line_open(&l, fl, first, x, (int)ir_node_attr(node, IR_ATTR_axis)->i, CG_LINE_ITEM, 0);
  if (few) emit_first(&l, order, k->i);
  else emit_sort(&l, order, other);
  if (node->op != IR_OP_argsort) emit_taken(&l, order, first, second, k ? ir_kb_int(&l.e.b, k->i) : l.size);
  return cg_emit_finish(&l.e);
}
