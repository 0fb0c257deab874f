// Common subexpressions: of pure nodes with equal op, attributes and operands the first is kept. A body is
// straight-line code, so the first is before all others. Operands of commuting ops are compared in either order.
#include <string.h>

#include "compiler/passes/pass.h"
#include "ir/rewrite.h"

typedef struct {
  ir_node **slots;  // open addressing, a power of two
  size_t count;
} node_table;

static bool commutes(const ir_node *node) { return ir_op_get_info(node->op)->flags & IR_FLAG_COMM; }

// Regions are equal where their nodes are, one by one; |twins| maps value ids of |a| to the values of |b|. A region in
// a region is equal to itself alone.
static bool same_region_node(const ir_node *a, const ir_node *b, ir_value **twins) {
  if (a->op != b->op || a->operand_count != b->operand_count || a->callee != b->callee || a->second != b->second)
    return false;
  for (int i = 0; i < a->operand_count; i++) {
    if (twins[a->operands[i]->id] != b->operands[i]) return false;
  }
  for (int i = 0; i < a->attr_count; i++) {
    if (!ir_attr_same(&a->attrs[i], &b->attrs[i])) return false;
  }
  for (int i = 0; i < a->result_count; i++) twins[a->results[i]->id] = b->results[i];
  return true;
}

static bool same_region(const ir_function *a, const ir_function *b) {
  if (a == b) return true;
  if (!a || !b || a->kind != IR_FUNCTION_REGION || b->kind != IR_FUNCTION_REGION) return false;
  if (a->param_count != b->param_count || a->result_count != b->result_count) return false;
  ir_value **twins = WEIR_NEW_ARRAY(a->module->arena, ir_value *, a->next_id);
  for (int i = 0; i < a->param_count; i++) {
    const ir_value *p = a->params[i].value, *q = b->params[i].value;
    if (!ir_type_equal(&p->type, &q->type) || p->lo != q->lo || p->hi != q->hi) return false;
    twins[p->id] = b->params[i].value;
  }
  const ir_node *x = a->first, *y = b->first;
  for (; x && y; x = x->next, y = y->next) {
    if (!same_region_node(x, y, twins)) return false;
  }
  for (int i = 0; i < a->result_count && !x && !y; i++) {
    if (twins[a->results[i].value->id] != b->results[i].value) return false;
  }
  return !x && !y;
}

static bool same_node(const ir_node *a, const ir_node *b) {
  if (a->op != b->op || a->operand_count != b->operand_count) return false;
  bool swapped = commutes(a) && a->operands[0] == b->operands[1] && a->operands[1] == b->operands[0];
  for (int i = 0; i < a->operand_count && !swapped; i++) {
    if (a->operands[i] != b->operands[i]) return false;
  }
  for (int i = 0; i < a->attr_count; i++) {
    if (!ir_attr_same(&a->attrs[i], &b->attrs[i])) return false;
  }
  return same_region(a->callee, b->callee) && same_region(a->second, b->second);
}

static size_t hash_node(const ir_node *node) {
  size_t hash = (size_t)node->op;
  bool unordered = commutes(node);
  for (int i = 0; i < node->operand_count; i++) {
    size_t operand = ((uintptr_t)node->operands[i] >> 4) * 0x9E3779B97F4A7C15u;
    hash = unordered ? hash + operand : hash * 31 + operand;
  }
  if (node->op == IR_OP_constant) {
    uint64_t bits;
    memcpy(&bits, &node->attrs[0].f, sizeof bits);
    hash += bits * 0x9E3779B97F4A7C15u;
  }
  return hash ^ hash >> 31;
}

// The equal node seen before, or null after entering |node|.
static ir_node *find_or_enter(node_table *table, ir_node *node) {
  size_t at = hash_node(node) & (table->count - 1);
  for (; table->slots[at]; at = (at + 1) & (table->count - 1)) {
    if (same_node(table->slots[at], node)) return table->slots[at];
  }
  table->slots[at] = node;
  return NULL;
}

static bool merge_function(ir_function *function) {
  node_table table = {.count = 16};
  size_t nodes = 0;
  bool progress = false;
  for (const ir_node *node = function->first; node; node = node->next) nodes++;
  while (table.count < 2 * nodes) table.count *= 2;
  table.slots = WEIR_NEW_ARRAY(function->module->arena, ir_node *, table.count);
  for (ir_node *node = function->first, *next; node; node = next) {
    next = node->next;
    if (!(ir_op_get_info(node->op)->flags & IR_FLAG_PURE)) continue;
    ir_node *first = find_or_enter(&table, node);
    if (!first) continue;
    for (int i = 0; i < node->result_count; i++) {
      if (!first->results[i]->name) first->results[i]->name = node->results[i]->name;
      ir_value_replace(function, node->results[i], first->results[i]);
    }
    ir_node_remove(node);
    progress = true;
  }
  return progress;
}

bool pass_cse(ir_module *module) {
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) progress |= merge_function(module->functions[i]);
  return progress;
}
