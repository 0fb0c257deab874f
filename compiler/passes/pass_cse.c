// Common subexpressions: of pure nodes with equal op, attributes and operands the first is kept. A body is
// straight-line code, so the first is before all others. Operands of commuting ops are compared in either order.
#include <string.h>

#include "compiler/passes/pass.h"

typedef struct {
  ir_node **slots;  // open addressing, a power of two
  size_t count;
} node_table;

static bool same_attr(const ir_attr *a, const ir_attr *b) {
  if (a->name != b->name || a->count != b->count) return false;
  switch (ir_attr_get_kind(a->name)) {
    case IR_ATTR_INT:
    case IR_ATTR_BOOL:
      return a->i == b->i;
    case IR_ATTR_FLOAT:
      return !memcmp(&a->f, &b->f, sizeof a->f);
    case IR_ATTR_DTYPE:
      return a->dtype == b->dtype;
    case IR_ATTR_DIM:
      return a->dim == b->dim;
    case IR_ATTR_INTS:
      return !memcmp(a->ints, b->ints, (size_t)a->count * sizeof a->ints[0]);
    case IR_ATTR_DIMS:
      return !memcmp(a->dims, b->dims, (size_t)a->count * sizeof a->dims[0]);
  }
  return false;
}

static bool commutes(const ir_node *node) { return ir_op_get_info(node->op)->flags & IR_FLAG_COMM; }

static bool same_node(const ir_node *a, const ir_node *b) {
  if (a->op != b->op || a->operand_count != b->operand_count) return false;
  bool swapped = commutes(a) && a->operands[0] == b->operands[1] && a->operands[1] == b->operands[0];
  for (int i = 0; i < a->operand_count && !swapped; i++) {
    if (a->operands[i] != b->operands[i]) return false;
  }
  for (int i = 0; i < a->attr_count; i++) {
    if (!same_attr(&a->attrs[i], &b->attrs[i])) return false;
  }
  return true;
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
    if (!first->results[0]->name) first->results[0]->name = node->results[0]->name;
    ir_value_replace(function, node->results[0], first->results[0]);
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
