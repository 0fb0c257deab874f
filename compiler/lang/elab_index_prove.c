// Subscripts proved in range: values of the scratch regions as expressions of the prover.
//
// Indices are variables, sums and products are polynomials, pos(t) is t and where its sequence began, everything else
// is one unknown with the interval that the graph knows of it. `min`, `max`, `select` and `clamp` are decided by cases,
// so that x[clamp(i, 0, T - 1)] needs no fact about i.
#include <string.h>

#include "compiler/lang/elab_index.h"
#include "ir/rules.h"

enum { MOST_CASES = 6, MOST_DEPTH = 64 };

typedef struct {
  weir_arena *arena;
  lang_index_scope *scope;
  ir_dim_table *module, *dims;  // of the module, of the prover
  const ir_node *cases[MOST_CASES];
  int taken[MOST_CASES];  // which operand stands for cases[i]
  int count;
  const ir_node *open;  // met and not decided
  int depth;
} translation;

static ir_dim translate(translation *t, ir_value *value);

// ---- unknowns

// Whether two scalars are the same whatever the indices are.
static bool same_value(const lang_index_scope *scope, ir_value *a, ir_value *b, int depth) {
  a = lang_index_origin(scope, a);
  b = lang_index_origin(scope, b);
  if (a == b) return true;
  const ir_node *p = a->def, *q = b->def;
  if (!p || !q || depth > 16 || p->op != q->op || p->callee || p->operand_count != q->operand_count) return false;
  if (p->attr_count && memcmp(p->attrs, q->attrs, (size_t)p->attr_count * sizeof *p->attrs) != 0) return false;
  if (!(ir_op_get_info(p->op)->flags & IR_FLAG_PURE)) return false;
  for (int i = 0; i < p->operand_count; i++) {
    if (!same_value(scope, p->operands[i], q->operands[i], depth + 1)) return false;
  }
  return true;
}

static ir_dim unknown(translation *t, ir_value *value) {
  lang_index_scope *scope = t->scope;
  for (int i = 0; i < scope->unknowns.count; i++) {
    if (same_value(scope, (ir_value *)scope->unknowns.data[i].value, value, 0)) return scope->unknowns.data[i].variable;
  }
  int64_t lo = INT64_MIN, hi = INT64_MAX;
  ir_value_range(value, &lo, &hi);
  const ir_value *x =
      value->def && value->def->op == IR_OP_element ? lang_index_origin(scope, value->def->operands[0]) : NULL;
  const char *name = x && x->name ? weir_arena_printf(t->arena, "%s[..]", x->name) : value->name ? value->name : "i";
  ir_dim below = x ? x->below : value->below;
  ir_dim most = below && lo >= 0 ? ir_prover_import(scope->prover, below) : NULL;
  lang_ix_unknown fresh = {value, most ? ir_prover_index(scope->prover, name, ir_dim_const(t->dims, lo), most)
                                       : ir_prover_unknown(scope->prover, name, lo, hi)};
  LANG_PUSH(t->arena, &scope->unknowns, fresh);
  return fresh.variable;
}

// ---- translation

static ir_dim of_case(translation *t, const ir_node *node) {
  for (int i = 0; i < t->count; i++) {
    if (t->cases[i] == node) return translate(t, node->operands[t->taken[i]]);
  }
  if (!t->open && t->count < MOST_CASES) t->open = node;
  return unknown(t, node->results[0]);
}

static ir_dim quotient(translation *t, const ir_node *node) {
  ir_dim a = translate(t, node->operands[0]), b = translate(t, node->operands[1]);
  int64_t by;
  if (!a || !b || !ir_dim_is_const(b, &by) || by < 1) return unknown(t, node->results[0]);
  return node->op == IR_OP_div ? ir_dim_div(t->dims, a, b) : ir_dim_mod(t->dims, a, b);
}

static ir_dim of_element(translation *t, const ir_node *node) {
  const ir_node *source = lang_index_origin(t->scope, node->operands[0])->def;
  bool counts = source && (source->op == IR_OP_pos || source->op == IR_OP_iota);
  if (!counts) return unknown(t, node->results[0]);
  ir_dim at = translate(t, node->operands[1]);
  if (source->op == IR_OP_iota) return at;
  ir_dim first = ir_prover_import(t->scope->prover, ir_dim_first_position(t->module, source->attrs[0].dim));
  return at && first ? ir_dim_add(t->dims, at, first) : NULL;
}

static ir_dim of_node(translation *t, const ir_node *node) {
  ir_dim a, b;
  switch (node->op) {
    case IR_OP_constant:
      return ir_dim_const(t->dims, (int64_t)node->attrs[0].f);
    case IR_OP_size:
      return ir_prover_import(t->scope->prover, node->attrs[0].dim);
    case IR_OP_neg:
      a = translate(t, node->operands[0]);
      return a ? ir_dim_sub(t->dims, ir_dim_const(t->dims, 0), a) : NULL;
    case IR_OP_add:
    case IR_OP_sub:
    case IR_OP_mul:
      a = translate(t, node->operands[0]);
      b = translate(t, node->operands[1]);
      if (!a || !b) return NULL;
      return node->op == IR_OP_add   ? ir_dim_add(t->dims, a, b)
             : node->op == IR_OP_sub ? ir_dim_sub(t->dims, a, b)
                                     : ir_dim_mul(t->dims, a, b);
    case IR_OP_div:
    case IR_OP_mod:
      return quotient(t, node);
    case IR_OP_cast:
      if (!ir_dtype_is_int(node->operands[0]->type.dtype)) return unknown(t, node->results[0]);
      return translate(t, node->operands[0]);
    case IR_OP_element:
      return of_element(t, node);
    case IR_OP_min:
    case IR_OP_max:
    case IR_OP_select:
      return of_case(t, node);
    default:
      return unknown(t, node->results[0]);
  }
}

static ir_dim translate(translation *t, ir_value *value) {
  value = lang_index_origin(t->scope, value);
  lang_ix *ix = lang_index_of(t->scope, value);
  if (ix) return ix->variable;
  for (int i = 0; i < t->scope->foreign.count; i++) {
    if (t->scope->foreign.data[i]->param == value) return t->scope->foreign.data[i]->variable;
  }
  if (!ir_dtype_is_int(value->type.dtype)) return NULL;
  if (!value->def || value->type.rank || t->depth > MOST_DEPTH) return unknown(t, value);
  t->depth++;
  ir_dim result = of_node(t, value->def);
  t->depth--;
  return result;
}

static translation begin(lang_frame *frame, lang_index_scope *scope) {
  return (translation){.arena = frame->elab->arena,
                       .scope = scope,
                       .module = frame->elab->module->dims,
                       .dims = ir_prover_dims(scope->prover)};
}

// ---- guards

static void assume_comparison(translation *t, const ir_node *node, ir_prove_relation relation) {
  if (!ir_dtype_is_int(node->operands[0]->type.dtype)) return;
  ir_prover_assume(t->scope->prover, relation, translate(t, node->operands[0]), translate(t, node->operands[1]));
}

static void assume(translation *t, ir_value *guard, int depth) {
  guard = lang_index_origin(t->scope, guard);
  const ir_node *node = guard->def;
  if (!node || depth > MOST_DEPTH) return;
  switch (node->op) {
    case IR_OP_and:
      assume(t, node->operands[0], depth + 1);
      assume(t, node->operands[1], depth + 1);
      return;
    case IR_OP_lt:
      assume_comparison(t, node, IR_PROVE_LT);
      return;
    case IR_OP_le:
      assume_comparison(t, node, IR_PROVE_LE);
      return;
    case IR_OP_gt:
      assume_comparison(t, node, IR_PROVE_GT);
      return;
    case IR_OP_ge:
      assume_comparison(t, node, IR_PROVE_GE);
      return;
    case IR_OP_eq:
      assume_comparison(t, node, IR_PROVE_EQ);
      return;
    default:
      return;
  }
}

void lang_index_assume(lang_frame *frame, lang_index_scope *scope, ir_value *guard) {
  translation t = begin(frame, scope);
  assume(&t, guard, 0);
}

// ---- questions

// What must hold where operand |taken| of |node| is what it stands for.
static void assume_case(translation *t, const ir_node *node, int taken) {
  if (node->op == IR_OP_select) {
    if (taken == 1) assume(t, node->operands[0], 0);
    return;
  }
  ir_prove_relation relation = (node->op == IR_OP_max) == (taken == 0) ? IR_PROVE_GE : IR_PROVE_LE;
  ir_prover_assume(t->scope->prover, relation, translate(t, node->operands[0]), translate(t, node->operands[1]));
}

static bool inside(lang_frame *frame, translation *t, ir_value *value, ir_dim size, const char **out_missing) {
  lang_index_scope *scope = t->scope;
  if (!lang_spend(frame->elab, 16, (lang_span){0})) return false;
  int mark = ir_prover_mark(scope->prover);
  for (int i = 0; i < t->count; i++) assume_case(t, t->cases[i], t->taken[i]);
  t->open = NULL;
  ir_dim e = translate(t, value), zero = ir_dim_const(t->dims, 0);
  const ir_node *node = t->open;
  bool holds = ir_prove_inside(scope->prover, e, size);
  if (!holds && !node) {
    bool low = ir_prove_compare(scope->prover, IR_PROVE_GE, e, zero);
    *out_missing =
        e ? ir_prove_missing(scope->prover, frame->elab->arena, low ? IR_PROVE_LT : IR_PROVE_GE, e, low ? size : zero)
          : NULL;
  }
  ir_prover_release(scope->prover, mark);
  if (holds || !node) return holds;
  int first = node->op == IR_OP_select;
  for (int taken = first; taken < first + 2; taken++) {
    translation one = *t;
    one.cases[one.count] = node;
    one.taken[one.count++] = taken;
    if (!inside(frame, &one, value, size, out_missing)) return false;
  }
  return true;
}

// An element of an index tensor, all of whose elements are known to lie in the dim: i = clamp(idx, 0, T - 1).
static bool element_below(const lang_index_scope *scope, ir_value *value, ir_dim size) {
  const ir_node *node = lang_index_origin(scope, value)->def;
  return node && node->op == IR_OP_element && ir_value_below(lang_index_origin(scope, node->operands[0]), size);
}

bool lang_index_inside(lang_frame *frame, lang_index_scope *scope, ir_value *value, ir_dim size,
                       const char **out_missing) {
  if (element_below(scope, value, size)) return true;
  translation t = begin(frame, scope);
  return inside(frame, &t, value, ir_prover_import(scope->prover, size), out_missing);
}

ir_dim lang_index_position(lang_index_scope *scope, ir_dim_table *dims, const lang_ix *ix) {
  ir_dim first = ir_prover_import(scope->prover, ir_dim_first_position(dims, ix->size));
  return first ? ir_dim_add(ir_prover_dims(scope->prover), ix->variable, first) : NULL;
}

// ---- linear subscripts, in dims of the module

bool lang_index_linear(const lang_index_scope *scope, ir_dim_table *dims, ir_value *value, lang_ix **out_ix,
                       ir_dim *out_offset) {
  value = lang_index_origin(scope, value);
  *out_offset = ir_dim_const(dims, 0);
  *out_ix = lang_index_of(scope, value);
  if (*out_ix) return true;
  const ir_node *node = value->def;
  lang_ix *a_ix, *b_ix;
  ir_dim a, b;
  if (!node || value->type.rank) return false;
  switch (node->op) {
    case IR_OP_constant:
      *out_offset = ir_dim_const(dims, (int64_t)node->attrs[0].f);
      return ir_dtype_is_int(value->type.dtype);
    case IR_OP_size:
      *out_offset = node->attrs[0].dim;
      return true;
    case IR_OP_add:
    case IR_OP_sub:
      if (!lang_index_linear(scope, dims, node->operands[0], &a_ix, &a) ||
          !lang_index_linear(scope, dims, node->operands[1], &b_ix, &b) || (b_ix && (a_ix || node->op == IR_OP_sub)))
        return false;
      *out_ix = a_ix ? a_ix : b_ix;
      *out_offset = node->op == IR_OP_add ? ir_dim_add(dims, a, b) : ir_dim_sub(dims, a, b);
      return *out_offset != NULL;
    default:
      return false;
  }
}
