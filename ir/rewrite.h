// Rewriting: where a function holds what the left side of a rule says, the right side takes its place.
//
// A pattern is a graph function of a module of its own: its parameters are the tensors that a rule speaks of, its one
// result is the left side. Its symbols stand for any size, and some of its numbers (holes) for any number. A match says
// which values, sizes and numbers of the target they are. Where rules come from, when they hold and what their right
// sides are is the maker's matter (compiler/lang/rule.h): this file knows two callbacks. Rules are looked up by the op
// of the root, so a rule costs nothing where its root does not occur.
//
// What is guaranteed for every rewriting: result and replacement have the same type, and integers keep their known
// range; a value that others use stays, and its work is not done twice unless the replacement is the cheaper one; the
// number of rewritings is bounded. Memory is the module's arena. One thread per module.
#ifndef WEIR_IR_REWRITE_H
#define WEIR_IR_REWRITE_H

#include "ir/graph.h"

enum {
  IR_MATCH_MAX = 16,     // tensors and numbers of one pattern
  IR_MATCH_SIZES = 32,   // symbols of a pattern have an index below
  IR_PATTERN_MAX = 32,   // nodes of one pattern
  IR_PATTERN_SWAPS = 6,  // so many commuting nodes of a pattern are tried in both orders
};

typedef struct {
  const ir_function *function;   // nodes are ops without regions and calls; at most IR_PATTERN_MAX
  ir_node *root;                 // defines the result
  double holes[IR_MATCH_MAX];    // as a constant, a float or an int attribute: stands for number i
  bool hole_ints[IR_MATCH_MAX];  // number i is a whole one
  int hole_count;
  const void *maker;  // the maker's own
} ir_pattern;

typedef struct {
  ir_function *function;  // that is rewritten
  ir_node *root;
  ir_value *tensors[IR_MATCH_MAX];  // by parameter of the pattern
  double numbers[IR_MATCH_MAX];     // by hole; where |bound|
  bool bound[IR_MATCH_MAX];
  ir_dim sizes[IR_MATCH_SIZES];  // by index of the pattern's symbol; null where nothing said it
  ir_node *nodes[IR_PATTERN_MAX];
  int node_count;  // root first
} ir_match;

typedef struct ir_rule {
  const char *name;
  ir_loc loc;
  bool exact;
  bool library;  // not written by the user of the model
  void *maker;
  // Patterns whose root may be |node|: same op, type and rank are checked again. Borrowed until the next call.
  int (*patterns)(const struct ir_rule *rule, const ir_node *node, const ir_pattern *const **out_patterns);
  // The right side for this match: a function that is not listed in the module, over the module's dims, its inputs the
  // tensors of the match, in order. Null where the rule does not hold.
  ir_function *(*replacement)(const struct ir_rule *rule, const ir_pattern *pattern, const ir_match *match);
} ir_rule;

// How often a rule applied at one place of a text.
typedef struct {
  const ir_rule *rule;
  const char *function;
  ir_loc loc;  // of what was replaced
  int count;
} ir_firing;

typedef struct ir_rules {
  weir_arena *arena;
  ir_rule **data;  // in the order in which they are tried
  int count, capacity;
  int *of_op[IR_OP_COUNT];  // indices into |data| by op of the root
  int of_op_count[IR_OP_COUNT], of_op_capacity[IR_OP_COUNT];
  bool exact_only;  // rules that may change rounding are left out
  // what happened
  ir_firing *firings;
  int firing_count, firing_capacity;
  const ir_rule **endless;  // null, or the rules that kept each other going until the budget was spent
  int endless_count;
  const char *endless_function;
} ir_rules;

ir_rules *ir_rules_create(weir_arena *arena);
// A rule whose left side ends in |op|. The same rule may have several roots.
void ir_rules_add(ir_rules *rules, ir_rule *rule, ir_op op);

// Whether |pattern| is found at |node|; fills |out_match|. Only what the graph says is checked, not the rule's
// conditions.
bool ir_pattern_match(const ir_pattern *pattern, ir_function *function, ir_node *node, ir_match *out_match);

// Equal names and contents; floats by their bits.
bool ir_attr_same(const ir_attr *a, const ir_attr *b);
// Whether both are computed in the same way from the same values, a few operations deep.
bool ir_value_same(const ir_value *a, const ir_value *b);

// Applies the rules to every function of the module, and to regions, until none applies any more or the budget is spent
// (rules->endless says so; what was done until then is kept and right). True if anything changed.
bool ir_rewrite(ir_module *module, ir_rules *rules);

#endif
