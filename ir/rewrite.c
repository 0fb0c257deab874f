// Applying rules: the lists by root op, the walk over a function, replacing, and the budget.
//
// A function is walked from its first node to its last, again and again until nothing applies. After a rewriting the
// walk goes on at the first new node, so that what a rule makes is looked at by the others at once. Rules that undo
// each other, or that grow what they match, are found by their number: a function may be rewritten a fixed number of
// times for each node it began with.
#include "ir/rewrite.h"

#include <string.h>

enum { BUDGET_BASE = 256, BUDGET_PER_NODE = 16, TRAIL = 64, USUAL_SIZE = 64 };

ir_rules *ir_rules_create(weir_arena *arena) {
  ir_rules *rules = WEIR_NEW(arena, ir_rules);
  rules->arena = arena;
  return rules;
}

void ir_rules_add(ir_rules *rules, ir_rule *rule, ir_op op) {
  if (!rules->count || rules->data[rules->count - 1] != rule)
    WEIR_PUSH(rules->arena, rules->data, rules->count, rules->capacity, rule);
  WEIR_PUSH(rules->arena, rules->of_op[op], rules->of_op_count[op], rules->of_op_capacity[op], rules->count - 1);
}

// ---- may it be replaced

static bool is_matched(const ir_match *match, const ir_node *node) {
  for (int i = 0; i < match->node_count; i++) {
    if (match->nodes[i] == node) return true;
  }
  return false;
}

// Whether a matched node is needed by nobody but matched nodes: it goes when the root goes. |dies|: of the nodes
// before.
static void find_dying(const ir_match *match, bool *dies) {
  for (int i = 0; i < match->node_count; i++) dies[i] = true;
  for (bool again = true; again;) {
    again = false;
    for (int i = 1; i < match->node_count; i++) {
      const ir_value *value = match->nodes[i]->results[0];
      bool needed = false;
      if (!dies[i] || match->nodes[i] == match->root) continue;
      for (int k = 0; k < match->function->result_count; k++)
        needed = needed || match->function->results[k].value == value;
      for (const ir_node *user = match->nodes[i]->next; user && !needed; user = user->next) {
        for (int k = 0; k < user->operand_count && !needed; k++) {
          if (user->operands[k] != value) continue;
          needed = true;
          for (int j = 0; j < match->node_count; j++) needed = needed && !(match->nodes[j] == user && dies[j]);
        }
      }
      if (needed) dies[i] = false, again = true;
    }
  }
}

// Work of a node, sizes taken as USUAL_SIZE where they are not known.
static double work_of(const ir_node *node, const int64_t *sizes) {
  double flops, bytes;
  ir_node_cost(node, sizes, &flops, &bytes);
  return flops + bytes;
}

static bool is_cheaper(const ir_match *match, const ir_function *replacement, const bool *dies) {
  const ir_dim_table *dims = match->function->module->dims;
  int64_t sizes[256];
  int count = ir_symbol_count(dims);
  if (count > 256) return false;
  for (int i = 0; i < count; i++) {
    const ir_symbol *symbol = ir_symbol_at(dims, i);
    sizes[i] = symbol->hi < USUAL_SIZE ? symbol->hi : symbol->lo > USUAL_SIZE ? symbol->lo : USUAL_SIZE;
  }
  double before = 0, after = 0;
  for (int i = 0; i < match->node_count; i++) {
    bool twice = false;
    for (int j = 0; j < i; j++) twice = twice || match->nodes[j] == match->nodes[i];
    if (dies[i] && !twice) before += work_of(match->nodes[i], sizes);
  }
  for (const ir_node *node = replacement->first; node; node = node->next) after += work_of(node, sizes);
  return after <= before;
}

// Values that others use stay where they are. Then the replacement is worth it only if it is no more work than what
// goes.
static bool is_worth(const ir_match *match, const ir_function *replacement) {
  bool dies[IR_PATTERN_MAX];
  find_dying(match, dies);
  for (int i = 1; i < match->node_count; i++) {
    if (!dies[i] && match->nodes[i]->op != IR_OP_constant) return is_cheaper(match, replacement, dies);
  }
  return true;
}

// The replacement's type: the same, or one that `broadcast` brings to the result's.
static bool type_fits(const ir_type *type, const ir_type *wanted, bool *out_broadcast) {
  *out_broadcast = type->rank < wanted->rank;
  if (type->dtype != wanted->dtype || type->rank > wanted->rank) return false;
  for (int i = 1; i <= type->rank; i++) {
    if (type->dims[type->rank - i] != wanted->dims[wanted->rank - i]) return false;
  }
  return true;
}

static bool has_range(const ir_value *value) { return value->lo <= value->hi; }

// ---- replacing

static ir_value *copy_nodes(const ir_match *match, const ir_function *replacement, ir_value **map) {
  ir_function *function = match->function;
  weir_arena *arena = function->module->arena;
  for (int i = 0; i < replacement->param_count; i++) map[replacement->params[i].value->id] = match->tensors[i];
  for (const ir_node *node = replacement->first; node; node = node->next) {
    ir_value **operands = WEIR_NEW_ARRAY(arena, ir_value *, node->operand_count);
    for (int i = 0; i < node->operand_count; i++) operands[i] = map[node->operands[i]->id];
    ir_node *copy = ir_insert(function, match->root, node->op, operands, node->operand_count, node->attrs,
                              node->attr_count, match->root->loc, NULL);
    if (!copy) return NULL;
    map[node->results[0]->id] = copy->results[0];
  }
  return map[replacement->results[0].value->id];
}

// The value that takes the root's place; null where types or ranges would change. New nodes stand before the root.
static ir_value *build(const ir_match *match, const ir_function *replacement) {
  ir_function *function = match->function;
  const ir_value *old = match->root->results[0];
  bool broadcast;
  if (!type_fits(&replacement->results[0].value->type, &old->type, &broadcast)) return NULL;
  ir_value **map = WEIR_NEW_ARRAY(function->module->arena, ir_value *, replacement->next_id + 1);
  ir_value *fresh = copy_nodes(match, replacement, map);
  if (fresh && broadcast) {
    ir_attr dims = ir_attr_dims(IR_ATTR_dims, old->type.dims, old->type.rank);
    ir_node *node = ir_insert(function, match->root, IR_OP_broadcast, &fresh, 1, &dims, 1, match->root->loc, NULL);
    fresh = node ? node->results[0] : NULL;
  }
  if (!fresh || ir_value_same(fresh, old)) return NULL;  // nothing would change
  if (has_range(old) && !(has_range(fresh) && fresh->lo >= old->lo && fresh->hi <= old->hi)) {
    if (!fresh->def || is_matched(match, fresh->def)) return NULL;
    // Equal values: what was known of the one holds for the other.
    bool known = has_range(fresh);
    fresh->lo = known && fresh->lo > old->lo ? fresh->lo : old->lo;
    fresh->hi = known && fresh->hi < old->hi ? fresh->hi : old->hi;
  }
  return fresh;
}

static bool is_unused(const ir_function *function, const ir_node *node) {
  for (int i = 0; i < node->result_count; i++) {
    if (ir_value_use_count(function, node->results[i])) return false;
  }
  return true;
}

static void record(ir_rules *rules, const ir_rule *rule, const ir_match *match) {
  const ir_loc *loc = &match->root->loc;
  for (int i = 0; i < rules->firing_count; i++) {
    ir_firing *firing = &rules->firings[i];
    if (firing->rule != rule || firing->loc.line != loc->line || firing->loc.column != loc->column) continue;
    if (strcmp(firing->function, match->function->name) != 0) continue;
    firing->count++;
    return;
  }
  ir_firing firing = {rule, match->function->name, *loc, 1};
  WEIR_PUSH(rules->arena, rules->firings, rules->firing_count, rules->firing_capacity, firing);
}

// ---- the walk

typedef struct {
  ir_rules *rules;
  ir_function *function;
  bool own;  // only rules that are not the library's
  int budget;
  const ir_rule *trail[TRAIL];  // the rules that applied last, as a ring
  int trail_count;
} walk;

// Replaces |match->root|; false where nothing was changed. |*next| must be no node that goes.
static bool replace(walk *w, const ir_rule *rule, const ir_match *match, const ir_function *replacement,
                    ir_node **out_next) {
  ir_node *root = match->root, *before = root->prev;
  ir_value *fresh = is_worth(match, replacement) ? build(match, replacement) : NULL;
  if (!fresh) {
    while (root->prev != before) ir_node_remove(root->prev);
    return false;
  }
  record(w->rules, rule, match);
  if (fresh->def && !fresh->name) fresh->name = root->results[0]->name;
  ir_value_replace(w->function, root->results[0], fresh);
  *out_next = root->prev != before ? (before ? before->next : w->function->first) : root->next;
  for (int i = 0; i < match->node_count; i++) {
    ir_node *node = match->nodes[i];
    bool gone = false;  // one node may be matched by several of the pattern
    for (int j = 0; j < i; j++) gone = gone || match->nodes[j] == node;
    if (gone || !is_unused(w->function, node) || node == *out_next) continue;
    ir_node_remove(node);
  }
  w->trail[w->trail_count++ % TRAIL] = rule;
  return true;
}

static bool try_rule(walk *w, const ir_rule *rule, ir_node *node, ir_node **out_next) {
  const ir_pattern *const *patterns;
  int count = rule->patterns(rule, node, &patterns);
  for (int i = 0; i < count; i++) {
    ir_match match;
    if (!ir_pattern_match(patterns[i], w->function, node, &match)) continue;
    const ir_function *replacement = rule->replacement(rule, patterns[i], &match);
    if (replacement && replace(w, rule, &match, replacement, out_next)) return true;
  }
  return false;
}

static bool rewrite_node(walk *w, ir_node *node, ir_node **out_next) {
  const int *list = w->rules->of_op[node->op];
  if (node->result_count != 1) return false;
  for (int i = 0; i < w->rules->of_op_count[node->op]; i++) {
    const ir_rule *rule = w->rules->data[list[i]];
    if ((w->rules->exact_only && !rule->exact) || (w->own && rule->library)) continue;
    if (try_rule(w, rule, node, out_next)) return true;
  }
  return false;
}

static void report_endless(walk *w) {
  ir_rules *rules = w->rules;
  if (rules->endless) return;
  int seen = w->trail_count < TRAIL ? w->trail_count : TRAIL;
  rules->endless = WEIR_NEW_ARRAY(rules->arena, const ir_rule *, seen + 1);
  rules->endless_function = w->function->name;
  for (int i = 0; i < seen; i++) {
    bool known = false;
    for (int k = 0; k < rules->endless_count; k++) known = known || rules->endless[k] == w->trail[i];
    if (!known) rules->endless[rules->endless_count++] = w->trail[i];
  }
}

// Until nothing applies, or the budget is spent.
static bool walk_function(walk *w) {
  bool progress = false;
  for (bool again = true; again && w->budget > 0;) {
    again = false;
    for (ir_node *node = w->function->first, *next; node && w->budget > 0; node = next) {
      next = node->next;
      if (!rewrite_node(w, node, &next)) continue;
      again = progress = true;
      w->budget--;
    }
  }
  if (w->budget <= 0) report_endless(w);
  return progress;
}

static bool rewrite_function(ir_function *function, ir_rules *rules, bool any_own) {
  walk w = {.rules = rules, .function = function, .own = true, .budget = BUDGET_BASE};
  for (const ir_node *node = function->first; node; node = node->next) w.budget += BUDGET_PER_NODE;
  // A model's own rules see its text before the library has rewritten parts of it.
  bool progress = any_own && walk_function(&w);
  w.own = false;
  return walk_function(&w) || progress;
}

// Functions that entries and steps reach; all where there are none. Callees stand before callers.
static bool *find_reached(const ir_module *module, weir_arena *arena) {
  bool *reached = WEIR_NEW_ARRAY(arena, bool, module->function_count + 1), any = false;
  for (int i = 0; i < module->function_count; i++)
    any = any || module->functions[i]->kind == IR_FUNCTION_ENTRY || module->functions[i]->kind == IR_FUNCTION_STEP;
  for (int i = module->function_count - 1; i >= 0; i--) {
    const ir_function *function = module->functions[i];
    reached[i] = reached[i] || !any || function->kind == IR_FUNCTION_ENTRY || function->kind == IR_FUNCTION_STEP;
    for (const ir_node *node = function->first; node && reached[i]; node = node->next) {
      for (int k = 0; k < i && (node->callee || node->second); k++)
        reached[k] = reached[k] || module->functions[k] == node->callee || module->functions[k] == node->second;
    }
  }
  return reached;
}

bool ir_rewrite(ir_module *module, ir_rules *rules) {
  const bool *reached = find_reached(module, rules->arena);
  bool progress = false, any_own = false;
  for (int i = 0; i < rules->count; i++) any_own = any_own || !rules->data[i]->library;
  for (int i = 0; i < module->function_count; i++) {
    if (reached[i]) progress |= rewrite_function(module->functions[i], rules, any_own);
  }
  return progress;
}
