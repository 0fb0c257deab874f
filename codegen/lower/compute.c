// How an element of a value is computed: pulled from the elements it depends on. Movement ops only change the indices
// at which their operand is asked for; elementwise ops become scalar operations; reductions within a row become loops
// at the current place.
#include <math.h>
#include <string.h>

#include "codegen/lower/internal.h"

static const char placeholder_name[] = "?";

static bool is_product_op(ir_op op) { return op == IR_OP_linear || op == IR_OP_matmul; }

const ir_kexpr *cg_placeholder(emitter *e) {
  ir_kvar *var = WEIR_NEW(e->b.arena, ir_kvar);
  *var = (ir_kvar){.kind = IR_KVAR_VALUE, .name = placeholder_name, .type = IR_KT_i64};
  return ir_kb_read(&e->b, var, NULL, NULL, NULL);
}

static bool depends_on_placeholder(const ir_kexpr *expr) {
  if (expr->op == IR_K_var && expr->var->name == placeholder_name) return true;
  for (int i = 0; i < expr->arg_count; i++)
    if (depends_on_placeholder(expr->args[i])) return true;
  return false;
}

// ---- index maps

// Both dims are cut into segments of equal products, the shortest that there are, so that what a reshape leaves alone
// keeps its index; a ragged dim meets its own, or k of it, without its length.
static void map_segment(emitter *e, const ir_type *from, int out_lo, int out_hi, const ir_type *to, int in_lo,
                        int in_hi, const ir_kexpr *const *out, const ir_kexpr **in) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *flat = NULL;
  for (int i = out_lo; i < out_hi; i++)
    flat = flat ? ir_kb_add(b, ir_kb_mul(b, flat, cg_dim_expr(e, from->dims[i])), out[i]) : out[i];
  if (!flat) flat = ir_kb_int(b, 0);
  for (int i = in_hi - 1; i > in_lo; i--) {
    const ir_kexpr *dim = cg_dim_expr(e, to->dims[i]);
    in[i] = ir_kb_mod(b, flat, dim);
    flat = ir_kb_div(b, flat, dim);
  }
  if (in_hi > in_lo) in[in_lo] = flat;
}

static void map_reshape(emitter *e, const ir_node *node, const ir_kexpr *const *out, const ir_kexpr **in) {
  ir_dim_table *dims = e->fl->low->module->dims;
  const ir_type *from = &node->results[0]->type, *to = &node->operands[0]->type;
  int out_lo = 0, in_lo = 0;
  while (out_lo < from->rank || in_lo < to->rank) {
    int out_hi = out_lo, in_hi = in_lo;
    ir_dim one = ir_dim_const(dims, 1), left = one, right = one;
    // The side with fewer atoms so far takes its next dim; which it is matters for speed of the search only.
    do {
      bool grow_out = out_hi < from->rank && (in_hi == to->rank || out_hi - out_lo <= in_hi - in_lo);
      if (grow_out) left = ir_dim_mul(dims, left, from->dims[out_hi++]);
      else if (in_hi < to->rank) right = ir_dim_mul(dims, right, to->dims[in_hi++]);
      else break;
      if (!left || !right) break;
    } while (left != right);
    if (left != right || !left) out_hi = from->rank, in_hi = to->rank;
    while (out_hi < from->rank && from->dims[out_hi] == one) out_hi++;
    while (in_hi < to->rank && to->dims[in_hi] == one) in_hi++;
    map_segment(e, from, out_lo, out_hi, to, in_lo, in_hi, out, in);
    out_lo = out_hi;
    in_lo = in_hi;
  }
}

static void map_slice(emitter *e, const ir_node *node, const ir_kexpr *const *out, const ir_kexpr **in) {
  int axis = (int)ir_node_attr(node, IR_ATTR_axis)->i;
  for (int i = 0; i < node->operands[0]->type.rank; i++) in[i] = out[i];
  in[axis] = ir_kb_add(&e->b, out[axis], cg_dim_expr(e, ir_node_attr(node, IR_ATTR_start)->dim));
}

static void map_last(emitter *e, const ir_node *node, const ir_kexpr *const *out, const ir_kexpr **in) {
  ir_kbuilder *b = &e->b;
  for (int i = 1; i < node->operands[0]->type.rank; i++) in[i] = out[i - 1];
  in[0] = ir_kb_sub(b, cg_dim_expr(e, node->operands[0]->type.dims[0]), ir_kb_int(b, 1));
}

// Indices of the only operand of a movement op, or of operand |operand| of an elementwise one.
static void map_operand(emitter *e, const ir_node *node, int operand, const ir_kexpr *const *out, const ir_kexpr **in) {
  const ir_type *x = &node->operands[operand]->type, *y = &node->results[0]->type;
  switch (node->op) {
    case IR_OP_reshape:
      map_reshape(e, node, out, in);
      break;
    case IR_OP_slice:
      map_slice(e, node, out, in);
      break;
    case IR_OP_last:
      map_last(e, node, out, in);
      break;
    case IR_OP_permute: {
      const ir_attr *perm = ir_node_attr(node, IR_ATTR_perm);
      for (int i = 0; i < y->rank; i++) in[perm->ints[i]] = out[i];
      break;
    }
    default:  // elementwise, broadcast: the operand's dims end the result's
      for (int i = 0; i < x->rank; i++) in[i] = out[y->rank - x->rank + i];
  }
}

// ---- scalar operations

static const ir_kexpr *op1(emitter *e, ir_kop op, const ir_kexpr *x) {
  return ir_kb_op(&e->b, op, x->type, x, NULL, NULL);
}
static const ir_kexpr *op2(emitter *e, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&e->b, op, x->type, x, y, NULL);
}
static const ir_kexpr *compare(emitter *e, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&e->b, op, IR_KT_bool, x, y, NULL);
}
static const ir_kexpr *number(emitter *e, const ir_kexpr *like, double value) {
  return ir_kb_const(&e->b, like->type, value);
}

static const ir_kexpr *one_plus_exp_neg(emitter *e, const ir_kexpr *x) {
  return ir_kb_add(&e->b, number(e, x, 1), op1(e, IR_K_exp, op1(e, IR_K_neg, x)));
}

static const ir_kexpr *gelu(emitter *e, const ir_kexpr *x) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *erf = op1(e, IR_K_erf, ir_kb_mul(b, x, number(e, x, sqrt(0.5))));
  return ir_kb_mul(b, ir_kb_mul(b, number(e, x, 0.5), x), ir_kb_add(b, number(e, x, 1), erf));
}

static const ir_kexpr *gelu_tanh(emitter *e, const ir_kexpr *x) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *cube = ir_kb_mul(b, ir_kb_mul(b, x, x), x);
  const ir_kexpr *inner = ir_kb_add(b, x, ir_kb_mul(b, number(e, x, 0.044715), cube));
  const ir_kexpr *tanh_inner = op1(e, IR_K_tanh, ir_kb_mul(b, number(e, x, sqrt(2 / M_PI)), inner));
  return ir_kb_mul(b, ir_kb_mul(b, number(e, x, 0.5), x), ir_kb_add(b, number(e, x, 1), tanh_inner));
}

static const ir_kexpr *softplus(emitter *e, const ir_kexpr *x) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *small = op1(e, IR_K_exp, op1(e, IR_K_neg, op1(e, IR_K_abs, x)));
  return ir_kb_add(b, op2(e, IR_K_max, x, number(e, x, 0)), cg_emit_log1p(e, small));
}

static const ir_kexpr *cast_to(emitter *e, const ir_kexpr *x, ir_dtype dtype) {
  return ir_kb_cast(&e->b, cg_compute_type(dtype), ir_kb_cast(&e->b, (ir_ktype)dtype, x));
}

// Elementwise graph ops that are one kernel op; 0 (a constant) for the others.
static const ir_kop direct_ops[IR_OP_COUNT] = {
    [IR_OP_neg] = IR_K_neg,     [IR_OP_abs] = IR_K_abs,     [IR_OP_exp] = IR_K_exp,     [IR_OP_log] = IR_K_log,
    [IR_OP_sqrt] = IR_K_sqrt,   [IR_OP_rsqrt] = IR_K_rsqrt, [IR_OP_sin] = IR_K_sin,     [IR_OP_cos] = IR_K_cos,
    [IR_OP_tanh] = IR_K_tanh,   [IR_OP_erf] = IR_K_erf,     [IR_OP_floor] = IR_K_floor, [IR_OP_ceil] = IR_K_ceil,
    [IR_OP_round] = IR_K_round, [IR_OP_not] = IR_K_not,     [IR_OP_add] = IR_K_add,     [IR_OP_sub] = IR_K_sub,
    [IR_OP_mul] = IR_K_mul,     [IR_OP_div] = IR_K_div,     [IR_OP_pow] = IR_K_pow,     [IR_OP_max] = IR_K_max,
    [IR_OP_min] = IR_K_min,     [IR_OP_and] = IR_K_and,     [IR_OP_or] = IR_K_or,       [IR_OP_mod] = IR_K_mod,
};

const ir_kexpr *cg_emit_elementwise(emitter *e, const ir_node *node, const ir_kexpr *const *x) {
  ir_kbuilder *b = &e->b;
  ir_kop op = direct_ops[node->op];
  if (op) return ir_kb_op(b, op, x[0]->type, x[0], node->operand_count > 1 ? x[1] : NULL, NULL);
  switch (node->op) {
    case IR_OP_eq:
      return compare(e, IR_K_eq, x[0], x[1]);
    case IR_OP_ne:
      return compare(e, IR_K_ne, x[0], x[1]);
    case IR_OP_lt:
      return compare(e, IR_K_lt, x[0], x[1]);
    case IR_OP_le:
      return compare(e, IR_K_le, x[0], x[1]);
    case IR_OP_gt:
      return compare(e, IR_K_gt, x[0], x[1]);
    case IR_OP_ge:
      return compare(e, IR_K_ge, x[0], x[1]);
    case IR_OP_select:
      return ir_kb_op(b, IR_K_select, x[1]->type, x[0], x[1], x[2]);
    case IR_OP_cast:
      return cast_to(e, x[0], ir_node_attr(node, IR_ATTR_dtype)->dtype);
    case IR_OP_sigmoid:
      return ir_kb_div(b, number(e, x[0], 1), one_plus_exp_neg(e, x[0]));
    case IR_OP_silu:
      return ir_kb_div(b, x[0], one_plus_exp_neg(e, x[0]));
    case IR_OP_relu:
      return op2(e, IR_K_max, x[0], number(e, x[0], 0));
    case IR_OP_gelu:
      return gelu(e, x[0]);
    case IR_OP_gelu_tanh:
      return gelu_tanh(e, x[0]);
    case IR_OP_softplus:
      return softplus(e, x[0]);
    default: {
      const ir_kexpr *special = cg_emit_special(e, node, x);
      if (special) return special;
      e->unsupported = ir_op_get_info(node->op)->name;
      return x[0];
    }
  }
}

// ---- sources

const ir_kexpr *cg_emit_source(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  if (node->op == IR_OP_constant) {
    ir_dtype dtype = ir_node_attr(node, IR_ATTR_dtype)->dtype;
    return cast_to(e, ir_kb_const(b, cg_compute_type(dtype), ir_node_attr(node, IR_ATTR_value)->f), dtype);
  }
  ir_dim dim = ir_node_attr(node, IR_ATTR_dim)->dim;
  if (node->op == IR_OP_iota) return ir_kb_cast(b, IR_KT_i32, idx[0]);
  if (node->op == IR_OP_size) return ir_kb_cast(b, IR_KT_i32, cg_dim_expr(e, dim));
  if (node->op != IR_OP_pos) {
    e->unsupported = ir_op_get_info(node->op)->name;
    return ir_kb_const(b, IR_KT_i32, 0);
  }
  ir_dim first = ir_dim_first_position(e->fl->low->module->dims, dim);
  return ir_kb_cast(b, IR_KT_i32, ir_kb_add(b, cg_dim_expr(e, first), idx[0]));
}

// ---- reductions

// Axes over which |node| reduces its operand, as a mask.
static unsigned reduced_axes(const ir_node *node) {
  if (node->op == IR_OP_softmax) return 1u << ir_node_attr(node, IR_ATTR_axis)->i;
  if (node->op == IR_OP_matmul) return 0;
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  unsigned mask = 0;
  for (int i = 0; i < over->count; i++) mask |= 1u << over->ints[i];
  return mask;
}

typedef struct {
  const ir_node *node;
  unsigned axes;
  const ir_kexpr *idx[IR_MAX_RANK];  // of the operand, outside of |axes|
} reduction;

static const ir_kexpr *axis_length(emitter *e, const reduction *r, int axis) {
  return cg_dim_expr(e, r->node->operands[0]->type.dims[axis]);
}

static const ir_kexpr *reduced_count(emitter *e, const reduction *r) {
  const ir_kexpr *count = ir_kb_int(&e->b, 1);
  for (int i = 0; i < r->node->operands[0]->type.rank; i++)
    if (r->axes >> i & 1) count = ir_kb_mul(&e->b, count, axis_length(e, r, i));
  return count;
}

// Opens loops over the reduced axes; the innermost runs in lanes if it may. Returns how many. |idx| gets the loops'
// variables.
static int open_loops(emitter *e, const reduction *r, bool lanes, const ir_kexpr **idx) {
  int last = -1, opened = 0;
  int rank = r->node->operands[0]->type.rank;
  for (int i = 0; i < rank; i++)
    if (r->axes >> i & 1) last = i;
  for (int i = 0; i < rank; i++) {
    idx[i] = r->idx[i];
    if (!(r->axes >> i & 1)) continue;
    ir_krange range = i == last && lanes ? IR_KR_LANES : IR_KR_SERIAL;
    idx[i] = ir_kb_for(&e->b, range, "i", ir_kb_int(&e->b, 0), axis_length(e, r, i), 1);
    opened++;
  }
  return opened;
}

typedef const ir_kexpr *(*element_fn)(emitter *e, const ir_kexpr *x, const ir_kexpr *shift);
static const ir_kexpr *element_self(emitter *e, const ir_kexpr *x, const ir_kexpr *shift) {
  (void)e;
  (void)shift;
  return x;
}
static const ir_kexpr *element_square(emitter *e, const ir_kexpr *x, const ir_kexpr *shift) {
  (void)shift;
  return ir_kb_mul(&e->b, x, x);
}
static const ir_kexpr *element_exp(emitter *e, const ir_kexpr *x, const ir_kexpr *shift) {
  return op1(e, IR_K_exp, ir_kb_sub(&e->b, x, shift));
}

static bool operand_reductions(emitter *e, const reduction *r) {
  const ir_kexpr *idx[IR_MAX_RANK];
  for (int i = 0; i < r->node->operands[0]->type.rank; i++) idx[i] = r->axes >> i & 1 ? cg_placeholder(e) : r->idx[i];
  return cg_emit_reductions(e, r->node->operands[0], idx);
}

// A loop that folds |element| of the operand with |combine| into a register.
static const ir_kexpr *fold(emitter *e, const reduction *r, ir_kop combine, double initial, element_fn element,
                            const ir_kexpr *shift) {
  ir_kbuilder *b = &e->b;
  ir_ktype type = cg_compute_type(r->node->operands[0]->type.dtype);
  bool lanes = operand_reductions(e, r) && !b->kernel->threads;  // block kernels have none
  bool extreme = combine == IR_K_max || combine == IR_K_min;
  if (extreme) initial = cg_combine_start(combine == IR_K_max ? IR_COMBINE_max : IR_COMBINE_min, type);
  ir_kvar *reg = ir_kb_reg(b, "r", type, false, 0, NULL, ir_kb_const(b, type, initial));
  const ir_kexpr *idx[IR_MAX_RANK];
  int bound = e->bound_count, loops = open_loops(e, r, lanes, idx);
  const ir_kexpr *x = element(e, cg_emit_value(e, r->node->operands[0], idx), shift);
  if (lanes) ir_kb_reduce(b, combine, reg, x);
  else ir_kb_set(b, reg, ir_kb_op(b, combine, type, ir_kb_read(b, reg, NULL, NULL, NULL), x, NULL), NULL, NULL, NULL);
  while (loops--) ir_kb_end(b);
  e->bound_count = bound;
  return ir_kb_let(b, "v", ir_kb_read(b, reg, NULL, NULL, NULL));
}

static const ir_kexpr *argmax(emitter *e, const reduction *r) {
  ir_kbuilder *b = &e->b;
  ir_ktype type = cg_compute_type(r->node->operands[0]->type.dtype);
  operand_reductions(e, r);
  ir_kvar *best = ir_kb_reg(b, "best", type, false, 0, NULL, ir_kb_const(b, type, 0));
  ir_kvar *at = ir_kb_reg(b, "at", IR_KT_i64, false, 0, NULL, ir_kb_int(b, -1));
  const ir_kexpr *idx[IR_MAX_RANK];
  int axis = 0;
  while (!(r->axes >> axis & 1)) axis++;
  int bound = e->bound_count, loops = open_loops(e, r, false, idx);
  const ir_kexpr *x = ir_kb_let(b, "x", cg_emit_value(e, r->node->operands[0], idx));
  const ir_kexpr *first = compare(e, IR_K_lt, ir_kb_read(b, at, NULL, NULL, NULL), ir_kb_int(b, 0));
  const ir_kexpr *better = ir_kb_let(
      b, "better", op2(e, IR_K_or, first, cg_emit_better(e, IR_K_gt, x, ir_kb_read(b, best, NULL, NULL, NULL))));
  ir_kb_set(b, best, ir_kb_op(b, IR_K_select, type, better, x, ir_kb_read(b, best, NULL, NULL, NULL)), NULL, NULL,
            NULL);
  ir_kb_set(b, at, ir_kb_op(b, IR_K_select, IR_KT_i64, better, idx[axis], ir_kb_read(b, at, NULL, NULL, NULL)), NULL,
            NULL, NULL);
  while (loops--) ir_kb_end(b);
  e->bound_count = bound;
  return ir_kb_let(
      b, "v",
      ir_kb_cast(b, IR_KT_i32,
                 ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_read(b, at, NULL, NULL, NULL), ir_kb_int(b, 0), NULL)));
}

// Whether |x| takes the place of |best| among extremes: NaN before all numbers, the first of equals stays.
const ir_kexpr *cg_emit_better(emitter *e, ir_kop op, const ir_kexpr *x, const ir_kexpr *best) {
  const ir_kexpr *better = compare(e, op, x, best);
  if (!ir_ktype_is_float(x->type)) return better;
  const ir_kexpr *new_nan = op2(e, IR_K_and, compare(e, IR_K_ne, x, x), compare(e, IR_K_eq, best, best));
  return op2(e, IR_K_or, better, new_nan);
}

// shift + |log_sum|, but the shift alone where it is infinite: what was summed up is then no number.
const ir_kexpr *cg_emit_log_sum(emitter *e, const ir_kexpr *shift, const ir_kexpr *log_sum) {
  const ir_kexpr *infinite = compare(e, IR_K_eq, shift, number(e, shift, INFINITY));
  return ir_kb_op(&e->b, IR_K_select, shift->type, infinite, shift, ir_kb_add(&e->b, shift, log_sum));
}

// The largest, as the shift of exponentials: 0 where all are -inf, so that exp(x - shift) stays 0.
const ir_kexpr *cg_emit_safe_shift(emitter *e, const ir_kexpr *largest) {
  const ir_kexpr *none = compare(e, IR_K_eq, largest, number(e, largest, -INFINITY));
  return ir_kb_let(&e->b, "m", ir_kb_op(&e->b, IR_K_select, largest->type, none, number(e, largest, 0), largest));
}

static const ir_kexpr *emit_reduction(emitter *e, const reduction *r) {
  ir_kbuilder *b = &e->b;
  switch (r->node->op) {
    case IR_OP_sum:
      return fold(e, r, IR_K_add, 0, element_self, NULL);
    case IR_OP_prod:
      return fold(e, r, IR_K_mul, 1, element_self, NULL);
    case IR_OP_amax:
      return fold(e, r, IR_K_max, -INFINITY, element_self, NULL);
    case IR_OP_amin:
      return fold(e, r, IR_K_min, INFINITY, element_self, NULL);
    case IR_OP_norm:
      return ir_kb_let(b, "v", op1(e, IR_K_sqrt, fold(e, r, IR_K_add, 0, element_square, NULL)));
    case IR_OP_mean: {
      const ir_kexpr *sum = fold(e, r, IR_K_add, 0, element_self, NULL);
      return ir_kb_let(b, "v", ir_kb_div(b, sum, ir_kb_cast(b, sum->type, reduced_count(e, r))));
    }
    case IR_OP_logsumexp: {
      const ir_kexpr *largest = fold(e, r, IR_K_max, -INFINITY, element_self, NULL),
                     *shift = cg_emit_safe_shift(e, largest);
      const ir_kexpr *sum = fold(e, r, IR_K_add, 0, element_exp, shift);
      return ir_kb_let(b, "v", cg_emit_log_sum(e, shift, op1(e, IR_K_log, sum)));
    }
    case IR_OP_argmax:
      return argmax(e, r);
    default:
      e->unsupported = ir_op_get_info(r->node->op)->name;
      return ir_kb_const(b, IR_KT_f32, 0);
  }
}

// Indices of the operand that |node| at |idx| reduces; those of reduced axes stay null.
static reduction make_reduction(const ir_node *node, const ir_kexpr *const *idx) {
  reduction r = {.node = node, .axes = reduced_axes(node)};
  int at = 0;
  for (int i = 0; i < node->operands[0]->type.rank; i++) {
    if (node->op == IR_OP_softmax) r.idx[i] = r.axes >> i & 1 ? NULL : idx[i];
    else r.idx[i] = r.axes >> i & 1 ? NULL : idx[at++];
  }
  return r;
}

static const ir_kexpr *find_bound(const emitter *e, const ir_value *value, const ir_kexpr *const *idx, int part,
                                  unsigned ignore) {
  for (int i = e->bound_count - 1; i >= 0; i--) {
    const bound_value *bound = &e->bound[i];
    if (bound->value != value || bound->part != part) continue;
    bool same = true;
    for (int k = 0; k < value->type.rank && same; k++) same = (ignore >> k & 1) || bound->idx[k] == idx[k];
    if (same) return bound->expr;
  }
  return NULL;
}

// Largest (part 0) and sum (part 1) of the line of a softmax; computed and bound at first use.
static void softmax_parts(emitter *e, const ir_node *node, const ir_kexpr *const *idx, const ir_kexpr **largest,
                          const ir_kexpr **sum) {
  reduction r = make_reduction(node, idx);
  *largest = find_bound(e, node->results[0], idx, 2, r.axes);
  *sum = find_bound(e, node->results[0], idx, 1, r.axes);
  if (*sum) return;
  *largest = cg_emit_safe_shift(e, fold(e, &r, IR_K_max, -INFINITY, element_self, NULL));
  *sum = fold(e, &r, IR_K_add, 0, element_exp, *largest);
  cg_bind(e, node->results[0], idx, 2, *largest);
  cg_bind(e, node->results[0], idx, 1, *sum);
}

static const ir_kexpr *emit_matmul(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_type *x = &node->operands[0]->type, *y = &node->operands[1]->type;
  ir_ktype type = cg_compute_type(node->results[0]->type.dtype);
  ir_kvar *reg = ir_kb_reg(b, "acc", type, false, 0, NULL, ir_kb_const(b, type, 0));
  const ir_kexpr *a_idx[IR_MAX_RANK], *b_idx[IR_MAX_RANK];
  int depth_axis = x->rank - 1;
  bool linear = node->op == IR_OP_linear;
  const ir_kexpr *k = ir_kb_for(b, IR_KR_SERIAL, "k", ir_kb_int(b, 0), cg_dim_expr(e, x->dims[depth_axis]), 1);
  for (int i = 0; i < x->rank; i++) a_idx[i] = i == depth_axis ? k : idx[i];
  if (linear) {
    b_idx[0] = idx[x->rank - 1];
    b_idx[1] = k;
  } else {
    for (int i = 0; i < y->rank; i++) b_idx[i] = i == y->rank - 2 ? k : idx[i];
  }
  int bound = e->bound_count;
  const ir_kexpr *p = cg_emit_value(e, node->operands[0], a_idx), *q = cg_emit_value(e, node->operands[1], b_idx);
  ir_kb_set(b, reg, ir_kb_op(b, IR_K_fma, type, p, q, ir_kb_read(b, reg, NULL, NULL, NULL)), NULL, NULL, NULL);
  ir_kb_end(b);
  e->bound_count = bound;
  return ir_kb_let(b, "v", ir_kb_read(b, reg, NULL, NULL, NULL));
}

// ---- movement with choices

static bool has_memory(const emitter *e, const ir_value *value) {
  value_fate fate = cg_info(e->fl, value)->fate;
  return value != e->root && (fate == FATE_ROOT || fate == FATE_PARAM || fate == FATE_ALIAS);
}

// Whether computing the value takes loops, which run whether or not a `select` around it wants the result.
static bool takes_loops(const emitter *e, const ir_value *value) {
  if (has_memory(e, value)) return false;
  const ir_node *node = value->def;
  if ((ir_op_get_info(node->op)->flags & (IR_FLAG_REDUCE | IR_FLAG_ROW)) || is_product_op(node->op)) return true;
  for (int i = 0; i < node->operand_count; i++)
    if (takes_loops(e, node->operands[i])) return true;
  return false;
}

// Index |at| of an operand of |node| that begins at |start|: kept inside the operand where it would be used
// unconditionally.
static const ir_kexpr *concat_index(emitter *e, const ir_node *node, int operand, int axis, const ir_kexpr *at,
                                    const ir_kexpr *start) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *in = ir_kb_sub(b, at, start);
  if (!takes_loops(e, node->operands[operand])) return in;
  const ir_kexpr *last = ir_kb_sub(b, cg_dim_expr(e, node->operands[operand]->type.dims[axis]), ir_kb_int(b, 1));
  return ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_min(b, in, last), ir_kb_int(b, 0), NULL);
}

// In a loop a request whose rows are over reads nothing.
const ir_kexpr *cg_where_active(emitter *e, const ir_kexpr *x) {
  const ir_kexpr *active = cg_emit_active(e);
  return active ? ir_kb_op(&e->b, IR_K_select, x->type, active, x, ir_kb_const(&e->b, x->type, 0)) : x;
}

static const ir_kexpr *emit_gather(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  int index_rank = node->operands[1]->type.rank;
  const ir_kexpr *at = ir_kb_cast(b, IR_KT_i64, cg_emit_value(e, node->operands[1], idx));
  const ir_kexpr *table_idx[IR_MAX_RANK];
  table_idx[0] = at;
  for (int i = 1; i < node->operands[0]->type.rank; i++) table_idx[i] = idx[index_rank + i - 1];
  return cg_where_active(e, cg_emit_value(e, node->operands[0], table_idx));
}

static const ir_kexpr *emit_element(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  const ir_kexpr *at[IR_MAX_RANK];
  int given = node->operand_count - 1;
  for (int i = 0; i < given; i++) at[i] = ir_kb_cast(&e->b, IR_KT_i64, cg_emit_value(e, node->operands[i + 1], NULL));
  for (int i = given; i < node->operands[0]->type.rank; i++) at[i] = idx[i - given];
  return cg_where_active(e, cg_emit_value(e, node->operands[0], at));
}

static const ir_kexpr *emit_concat(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  int axis = (int)ir_node_attr(node, IR_ATTR_axis)->i;
  const ir_kexpr *result = NULL, *starts[CG_CONCAT_OPERANDS], *start = ir_kb_int(b, 0);
  if (node->operand_count > CG_CONCAT_OPERANDS) {
    e->unsupported = "a concat of so many operands inside of another kernel";
    return ir_kb_const(b, cg_compute_type(node->results[0]->type.dtype), 0);
  }
  for (int i = 0; i < node->operand_count; i++) {
    starts[i] = start;
    start = ir_kb_add(b, start, cg_dim_expr(e, node->operands[i]->type.dims[axis]));
  }
  for (int i = node->operand_count - 1; i >= 0; i--) {
    const ir_kexpr *in[IR_MAX_RANK];
    for (int k = 0; k < node->results[0]->type.rank; k++)
      in[k] = k == axis ? concat_index(e, node, i, axis, idx[k], starts[i]) : idx[k];
    const ir_kexpr *x = cg_emit_value(e, node->operands[i], in);
    result = result ? ir_kb_op(b, IR_K_select, x->type, compare(e, IR_K_ge, idx[axis], starts[i + 1]), result, x) : x;
  }
  return result;
}

// ---- entry points

const ir_kexpr *cg_emit_value(emitter *e, ir_value *value, const ir_kexpr *const *idx) {
  const ir_kexpr *bound = find_bound(e, value, idx, 0, 0);
  if (bound) return bound;
  if (cg_is_local(e, value)) return cg_emit_local(e, value, idx);
  if (has_memory(e, value)) return cg_emit_load(e, value, idx);
  const ir_node *node = value->def;
  unsigned flags = ir_op_get_info(node->op)->flags;
  if (node->op == IR_OP_map) return cg_emit_map(e, node, idx);
  if (node->op == IR_OP_fold) return cg_emit_fold(e, node);
  if (node->operand_count == 0) return cg_emit_source(e, node, idx);
  if (node->op == IR_OP_gather) return emit_gather(e, node, idx);
  if (node->op == IR_OP_element) return emit_element(e, node, idx);
  if (node->op == IR_OP_concat) return emit_concat(e, node, idx);
  if (is_product_op(node->op)) return emit_matmul(e, node, idx);
  if (node->op == IR_OP_softmax) {
    const ir_kexpr *largest, *sum;
    softmax_parts(e, node, idx, &largest, &sum);
    return ir_kb_div(&e->b, element_exp(e, cg_emit_value(e, node->operands[0], idx), largest), sum);
  }
  if (flags & IR_FLAG_REDUCE) {
    reduction r = make_reduction(node, idx);
    return emit_reduction(e, &r);
  }
  const ir_kexpr *in[IR_MAX_RANK], *x[4];
  if (node->operand_count > 3) {
    e->unsupported = ir_op_get_info(node->op)->name;
    return ir_kb_const(&e->b, cg_compute_type(value->type.dtype), 0);
  }
  for (int i = 0; i < node->operand_count; i++) {
    map_operand(e, node, i, idx, in);
    x[i] = cg_emit_value(e, node->operands[i], in);
  }
  return flags & IR_FLAG_MOVE ? x[0] : cg_emit_elementwise(e, node, x);
}

// A reduction met while looking ahead: computed and bound here if its indices are known.
static bool reduction_ahead(emitter *e, const ir_node *node, const ir_kexpr *const *idx) {
  reduction r = make_reduction(node, idx);
  for (int i = 0; i < node->operands[0]->type.rank; i++)
    if (r.idx[i] && depends_on_placeholder(r.idx[i])) return false;
  if (node->op == IR_OP_softmax) {
    const ir_kexpr *largest, *sum;
    softmax_parts(e, node, idx, &largest, &sum);
    return cg_emit_reductions(e, node->operands[0], idx);
  }
  if (!find_bound(e, node->results[0], idx, 0, 0)) cg_bind(e, node->results[0], idx, 0, emit_reduction(e, &r));
  return true;
}

bool cg_emit_reductions(emitter *e, ir_value *value, const ir_kexpr *const *idx) {
  if (has_memory(e, value) || cg_is_local(e, value) || find_bound(e, value, idx, 0, 0)) return true;
  const ir_node *node = value->def;
  unsigned flags = ir_op_get_info(node->op)->flags;
  if (node->op == IR_OP_map) {  // its loops stand inside of lanes; what has no index comes ahead
    for (int i = 0; i < node->operand_count; i++)
      if (!node->operands[i]->type.rank) cg_emit_reductions(e, node->operands[i], NULL);
    return true;
  }
  if (node->op == IR_OP_fold) {
    cg_bind(e, value, idx, 0, cg_emit_fold(e, node));
    return true;
  }
  if (node->operand_count == 0) return true;
  if (is_product_op(node->op)) return false;
  if (flags & (IR_FLAG_REDUCE | IR_FLAG_ROW)) return reduction_ahead(e, node, idx);
  if (node->op == IR_OP_gather)
    return has_memory(e, node->operands[0]) && cg_emit_reductions(e, node->operands[1], idx);
  if (node->op == IR_OP_element) {
    bool ahead = has_memory(e, node->operands[0]);
    for (int i = 1; i < node->operand_count && ahead; i++) ahead = cg_emit_reductions(e, node->operands[i], NULL);
    return ahead;
  }
  if (node->op == IR_OP_concat) return !takes_loops(e, value);
  bool ok = true;
  const ir_kexpr *in[IR_MAX_RANK];
  for (int i = 0; i < node->operand_count; i++) {
    map_operand(e, node, i, idx, in);
    if (!cg_emit_reductions(e, node->operands[i], in)) ok = false;
  }
  return ok;
}
