// Matching: a pattern against a node and what it is made of.
//
// Both graphs are walked together from the root. Dims are not compared on the way but noted as equations between a dim
// of the pattern and one of the target; they are solved at the end, each in one symbol that is not known yet and occurs
// linearly. Commuting operands are tried in all orders: one bit for each such node of the pattern, so that the walk
// itself never has to go back.
#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/rewrite.h"

enum { EQUATIONS_MAX = 192, SAME_DEPTH = 6 };

typedef struct {
  ir_dim pattern, target;
} equation;

typedef struct {
  const ir_pattern *pattern;
  ir_match *match;
  ir_dim_table *dims;                             // of the target
  ir_value *seen[IR_PATTERN_MAX + IR_MATCH_MAX];  // by id of the pattern's value
  equation equations[EQUATIONS_MAX];
  int equation_count;
  unsigned swaps;  // bit k: the k-th commuting node is read with its operands exchanged
} matcher;

// ---- equal values

bool ir_attr_same(const ir_attr *a, const ir_attr *b) {
  if (a->name != b->name || a->count != b->count) return false;
  switch (ir_attr_get_kind(a->name)) {
    case IR_ATTR_INT:
    case IR_ATTR_BOOL:
      return a->i == b->i;
    case IR_ATTR_FLOAT:
      return !memcmp(&a->f, &b->f, sizeof a->f);
    case IR_ATTR_DTYPE:
      return a->dtype == b->dtype;
    case IR_ATTR_COMBINE:
      return a->combine == b->combine;
    case IR_ATTR_DIM:
      return a->dim == b->dim;
    case IR_ATTR_INTS:
      return !memcmp(a->ints, b->ints, (size_t)a->count * sizeof a->ints[0]);
    case IR_ATTR_DIMS:
      return !memcmp(a->dims, b->dims, (size_t)a->count * sizeof a->dims[0]);
  }
  return false;
}

// The same value, or one that is computed in the same way: equal nodes need not have been joined yet.
static bool same_value(const ir_value *a, const ir_value *b, int depth) {
  if (a == b) return true;
  const ir_node *x = a->def, *y = b->def;
  if (!x || !y || !depth || x->op != y->op || x->callee || a->result != b->result) return false;
  if (!(ir_op_get_info(x->op)->flags & IR_FLAG_PURE) || x->operand_count != y->operand_count) return false;
  for (int i = 0; i < x->attr_count; i++) {
    if (!ir_attr_same(&x->attrs[i], &y->attrs[i])) return false;
  }
  for (int i = 0; i < x->operand_count; i++) {
    if (!same_value(x->operands[i], y->operands[i], depth - 1)) return false;
  }
  return true;
}

bool ir_value_same(const ir_value *a, const ir_value *b) { return same_value(a, b, SAME_DEPTH); }

// ---- numbers

static int hole_of(const ir_pattern *pattern, double value) {
  for (int i = 0; i < pattern->hole_count; i++) {
    if (pattern->holes[i] == value) return i;
  }
  return -1;
}

static bool same_number(double a, double b) { return (a == b && signbit(a) == signbit(b)) || (isnan(a) && isnan(b)); }

static bool match_number(matcher *m, double pattern, double target) {
  int hole = hole_of(m->pattern, pattern);
  if (hole < 0) return same_number(pattern, target);
  bool whole = fabs(target) <= 0x1p53 && target == floor(target);
  if (!isfinite(target) || (m->pattern->hole_ints[hole] && !whole)) return false;
  if (m->match->bound[hole]) return same_number(m->match->numbers[hole], target);
  m->match->bound[hole] = true;
  m->match->numbers[hole] = target;
  return true;
}

// ---- dims

static bool equate(matcher *m, ir_dim pattern, ir_dim target) {
  for (int i = 0; i < m->equation_count; i++) {
    if (m->equations[i].pattern == pattern) return m->equations[i].target == target;
  }
  if (m->equation_count == EQUATIONS_MAX || !pattern || !target) return false;
  m->equations[m->equation_count++] = (equation){pattern, target};
  return true;
}

static bool match_type(matcher *m, const ir_type *pattern, const ir_type *target) {
  if (pattern->dtype != target->dtype || pattern->rank != target->rank) return false;
  for (int i = 0; i < pattern->rank; i++) {
    if (!equate(m, pattern->dims[i], target->dims[i])) return false;
  }
  return true;
}

typedef struct {
  const matcher *m;
  const ir_symbol *open;  // a symbol without a size: the first, and whether there is another
  bool several;
  ir_dim stand_in;  // for |open|
} reading;

static const void *read_constant(void *user, int64_t value) {
  return ir_dim_const(((const reading *)user)->m->dims, value);
}

static const void *read_symbol(void *user, const ir_symbol *symbol) {
  reading *r = user;
  ir_dim size = symbol->index < IR_MATCH_SIZES ? r->m->match->sizes[symbol->index] : NULL;
  if (size) return size;
  if (r->open && r->open != symbol) r->several = true;
  r->open = symbol;
  return r->stand_in;
}

static const void *read_binary(void *user, char op, const void *a, const void *b) {
  ir_dim_table *dims = ((const reading *)user)->m->dims;
  switch (op) {
    case '+':
      return ir_dim_add(dims, a, b);
    case '-':
      return ir_dim_sub(dims, a, b);
    case '*':
      return ir_dim_mul(dims, a, b);
    case '/':
      return ir_dim_div(dims, a, b);
    default:
      return ir_dim_mod(dims, a, b);
  }
}

// The pattern's |dim| in the target, |stand_in| for what has no size.
static ir_dim read_dim(const matcher *m, ir_dim dim, ir_dim stand_in, reading *out) {
  *out = (reading){.m = m, .stand_in = stand_in};
  ir_dim_algebra algebra = {out, read_constant, read_symbol, read_binary};
  return ir_dim_convert(dim, &algebra);
}

static bool at_least(ir_dim dim, int64_t least) {
  int64_t lo, hi;
  ir_dim_bounds(dim, &lo, &hi);
  return lo >= least;
}

// 1: holds, or a symbol was found; 0: cannot hold; -1: not yet.
static int solve_one(matcher *m, const equation *e) {
  reading r;
  ir_dim zero = ir_dim_const(m->dims, 0), at_zero = read_dim(m, e->pattern, zero, &r);
  if (r.several) return -1;
  if (!r.open) return at_zero == e->target;
  if (r.open->index >= IR_MATCH_SIZES) return 0;
  const ir_symbol *symbol = r.open;
  ir_dim at_one = read_dim(m, e->pattern, ir_dim_const(m->dims, 1), &r);
  ir_dim slope = at_zero && at_one ? ir_dim_sub(m->dims, at_one, at_zero) : NULL;
  ir_dim rest = at_zero ? ir_dim_sub(m->dims, e->target, at_zero) : NULL;
  if (!slope || !rest || slope == zero) return 0;
  ir_dim found = ir_dim_div(m->dims, rest, slope);
  if (!found || !at_least(found, symbol->lo) || read_dim(m, e->pattern, found, &r) != e->target) return 0;
  m->match->sizes[symbol->index] = found;
  return 1;
}

static bool solve(matcher *m) {
  bool done[EQUATIONS_MAX] = {false};
  for (bool again = true; again;) {
    again = false;
    for (int i = 0; i < m->equation_count; i++) {
      if (done[i]) continue;
      int result = solve_one(m, &m->equations[i]);
      if (!result) return false;
      done[i] = result > 0;
      again = again || done[i];
    }
  }
  for (int i = 0; i < m->equation_count; i++) {
    if (!done[i]) return false;
  }
  return true;
}

// ---- values

static bool match_attr(matcher *m, const ir_attr *pattern, const ir_attr *target) {
  if (pattern->name != target->name || pattern->count != target->count) return false;
  switch (ir_attr_get_kind(pattern->name)) {
    case IR_ATTR_INT:
      return match_number(m, (double)pattern->i, (double)target->i);
    case IR_ATTR_FLOAT:
      return match_number(m, pattern->f, target->f);
    case IR_ATTR_DIM:
      return equate(m, pattern->dim, target->dim);
    case IR_ATTR_DIMS:
      for (int i = 0; i < pattern->count; i++) {
        if (!equate(m, pattern->dims[i], target->dims[i])) return false;
      }
      return true;
    default:
      return ir_attr_same(pattern, target);
  }
}

// size(D), as it is or cast: where D is known its number stands there instead.
static bool match_size(matcher *m, const ir_node *pattern, const ir_value *target) {
  const ir_node *size = pattern->op == IR_OP_cast ? pattern->operands[0]->def : pattern;
  if (!size || size->op != IR_OP_size || !target->def || target->def->op != IR_OP_constant) return false;
  double number = target->def->attrs[0].f;
  if (target->type.dtype != pattern->results[0]->type.dtype || number < 0 || number > 0x1p53 || number != floor(number))
    return false;
  return equate(m, size->attrs[0].dim, ir_dim_const(m->dims, (int64_t)number));
}

static bool match_value(matcher *m, const ir_value *pattern, ir_value *target);

// Which bit of |swaps| is this pattern node's; -1 where operands keep their places.
static int swap_bit(const ir_node *node) {
  int bit = 0;
  if (!(ir_op_get_info(node->op)->flags & IR_FLAG_COMM) || node->operand_count != 2) return -1;
  for (const ir_node *at = node->next; at; at = at->next) {
    bit += (ir_op_get_info(at->op)->flags & IR_FLAG_COMM) && at->operand_count == 2;
  }
  return bit < IR_PATTERN_SWAPS ? bit : -1;
}

static bool match_node(matcher *m, const ir_node *pattern, ir_node *target) {
  if (pattern->op != target->op || pattern->operand_count != target->operand_count || target->callee) return false;
  for (int i = 0; i < pattern->attr_count; i++) {
    if (!match_attr(m, &pattern->attrs[i], &target->attrs[i])) return false;
  }
  if (m->match->node_count == IR_PATTERN_MAX) return false;
  m->match->nodes[m->match->node_count++] = target;
  int bit = swap_bit(pattern);
  bool swap = bit >= 0 && (m->swaps >> bit & 1);
  for (int i = 0; i < pattern->operand_count; i++) {
    if (!match_value(m, pattern->operands[i], target->operands[swap ? 1 - i : i])) return false;
  }
  return true;
}

static bool match_value(matcher *m, const ir_value *pattern, ir_value *target) {
  ir_value **seen = &m->seen[pattern->id];
  if (*seen) return same_value(*seen, target, SAME_DEPTH);
  *seen = target;
  if (pattern->def && match_size(m, pattern->def, target)) return true;
  if (!match_type(m, &pattern->type, &target->type)) return false;
  if (pattern->def) return target->def && target->result == 0 && match_node(m, pattern->def, target->def);
  m->match->tensors[pattern->result] = target;
  return true;
}

static int swap_count(const ir_pattern *pattern) {
  int count = 0;
  for (const ir_node *node = pattern->function->first; node; node = node->next) {
    count += swap_bit(node) >= 0;
  }
  return count;
}

// A first look at op, element type and rank, and one level down: most candidates end here.
static bool could_match(const ir_node *pattern, const ir_node *target) {
  if (pattern->op != target->op || pattern->operand_count != target->operand_count || target->result_count != 1)
    return false;
  const ir_type *a = &pattern->results[0]->type, *b = &target->results[0]->type;
  return a->dtype == b->dtype && a->rank == b->rank;
}

bool ir_pattern_match(const ir_pattern *pattern, ir_function *function, ir_node *node, ir_match *out_match) {
  if (!could_match(pattern->root, node)) return false;
  int orders = 1 << swap_count(pattern);
  for (int swaps = 0; swaps < orders; swaps++) {
    matcher m = {.pattern = pattern, .match = out_match, .dims = function->module->dims, .swaps = (unsigned)swaps};
    *out_match = (ir_match){.function = function, .root = node};
    if (match_value(&m, pattern->root->results[0], node->results[0]) && solve(&m)) return true;
  }
  return false;
}
