// Takes out of a scan what no iteration needs the one before for: products of row t with a matrix become one product of
// all rows in front of the scan, and what depends on captures alone is computed once.
//
// Exact: rows of a product do not see each other. Only products are computed for all rows ahead (with the cheap ops
// between the row and them): another value would cost the memory of all its rows and save nothing.
#include <string.h>

#include "compiler/passes/pass.h"
#include "compiler/passes/rows.h"

typedef struct {
  ir_module *module;
  ir_node *scan;
  ir_function *body;
  pass_rows rows;    // values of the body in terms of the function around the scan
  ir_value **added;  // new captures: values outside
  int added_count, added_capacity;
} hoisting;

// Row t of a capture: its place outside is the capture itself.
static bool is_row(const hoisting *h, const ir_node *node) {
  const ir_value *t = h->body->params[0].value;
  return node->op == IR_OP_element && node->operand_count == 2 && node->operands[1] == t && !node->operands[0]->def &&
         h->rows.values[node->operands[0]->id] && !h->rows.has_rows[node->operands[0]->id] &&
         node->operands[0]->type.dims[0] == h->rows.rows;
}

// The new value as a parameter of the regions.
static ir_value *capture(hoisting *h, ir_value *outside) {
  ir_value *inside =
      ir_function_add_param(h->body, IR_PARAM_INPUT, outside->name ? outside->name : "ahead", outside->type);
  inside->lo = outside->lo;
  inside->hi = outside->hi;
  if (h->scan->second) {
    ir_value *other = ir_function_add_param(h->scan->second, IR_PARAM_INPUT, "ahead", outside->type);
    other->lo = outside->lo;
    other->hi = outside->hi;
  }
  WEIR_PUSH(h->module->arena, h->added, h->added_count, h->added_capacity, outside);
  h->rows.values[inside->id] = outside;
  return inside;
}

// Puts |node|'s value outside in the place of its result.
static void replace(hoisting *h, ir_node *node) {
  ir_value *result = node->results[0], *outside = h->rows.values[result->id];
  ir_value *inside = capture(h, outside);
  if (h->rows.has_rows[result->id]) {
    ir_value *operands[2] = {inside, h->body->params[0].value};
    ir_node *row = ir_insert(h->body, node, IR_OP_element, operands, 2, NULL, 0, node->loc, NULL);
    inside = row ? row->results[0] : NULL;
    if (inside) h->rows.values[inside->id] = outside;
    if (inside) h->rows.has_rows[inside->id] = true;
  }
  if (inside) ir_value_replace(h->body, result, inside);
}

// Whether the value of every operand is known outside. Elements of captures at t count only where |rows|.
static bool known(const hoisting *h, const ir_node *node, bool *out_rows) {
  *out_rows = false;
  for (int i = 0; i < node->operand_count; i++) {
    int id = node->operands[i]->id;
    if (!h->rows.values[id]) return false;
    *out_rows |= h->rows.has_rows[id];
  }
  return true;
}

static bool is_cheap(const ir_node *node) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  return (flags & IR_FLAG_MOVE) || node->operand_count == 0 || ir_op_get_info(node->op)->cost == 0;
}

static bool is_pure(const ir_node *node) {
  return (ir_op_get_info(node->op)->flags & IR_FLAG_PURE) && !node->callee && node->result_count == 1 &&
         node->op != IR_OP_element;
}

// Whether a product outside would be the same: rows on the left, one matrix on the right.
static bool is_row_product(const hoisting *h, const ir_node *node) {
  return node->op == IR_OP_linear && h->rows.has_rows[node->operands[0]->id] &&
         !h->rows.has_rows[node->operands[1]->id];
}

static ir_value *product_outside(hoisting *h, const ir_node *node) {
  ir_value *operands[2] = {h->rows.values[node->operands[0]->id], h->rows.values[node->operands[1]->id]};
  int id = node->results[0]->id;
  h->rows.has_rows[id] = true;
  return h->rows.values[id] = pass_rows_insert(&h->rows, IR_OP_linear, operands, 2, NULL, 0);
}

static bool hoist_node(hoisting *h, ir_node *node) {
  bool rows;
  if (is_row(h, node)) {
    int id = node->results[0]->id;
    h->rows.values[id] = h->rows.values[node->operands[0]->id];
    h->rows.has_rows[id] = true;
    return false;
  }
  if (!is_pure(node) || !known(h, node, &rows)) return false;
  if (rows && is_row_product(h, node)) {
    if (!product_outside(h, node)) return false;
    replace(h, node);
    return true;
  }
  if (!pass_rows_node(&h->rows, node) || rows || is_cheap(node)) return false;
  replace(h, node);
  return true;
}

static void rebuild(hoisting *h) {
  ir_node *old = h->scan;
  int count = old->operand_count;
  ir_value **operands = WEIR_NEW_ARRAY(h->module->arena, ir_value *, count + h->added_count);
  memcpy(operands, old->operands, sizeof *operands * (size_t)count);
  memcpy(operands + count, h->added, sizeof *operands * (size_t)h->added_count);
  ir_node *node = ir_insert_region(h->rows.function, old, IR_OP_scan, old->callee, old->second, operands,
                                   count + h->added_count, old->attrs, old->attr_count, old->loc, NULL);
  for (int i = 0; node && i < old->result_count; i++) {
    node->results[i]->name = old->results[i]->name;
    ir_value_replace(h->rows.function, old->results[i], node->results[i]);
  }
  if (node) ir_node_remove(old);
}

static bool hoist(ir_module *module, ir_function *function, ir_node *scan) {
  ir_function *body = scan->callee;
  int count = body->next_id, most = 3 * count, carries = (int)scan->attrs[1].i;  // a node makes two values at most
  hoisting h = {.module = module,
                .scan = scan,
                .body = body,
                .rows = {.function = function,
                         .position = scan,
                         .rows = scan->attrs[0].dim,
                         .values = WEIR_NEW_ARRAY(module->arena, ir_value *, most),
                         .has_rows = WEIR_NEW_ARRAY(module->arena, bool, most)}};
  for (int i = carries; i < scan->operand_count; i++) h.rows.values[body->params[i + 1].value->id] = scan->operands[i];
  for (ir_node *node = body->first, *next; node; node = next) {
    next = node->next;
    if (node->results[0]->id < count) (void)hoist_node(&h, node);
  }
  if (h.added_count) rebuild(&h);
  return h.added_count > 0;
}

bool pass_hoist_scan(ir_module *module) {
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) {
    ir_function *function = module->functions[i];
    for (ir_node *node = function->first, *next; node; node = next) {
      next = node->next;
      if (node->op == IR_OP_scan) progress |= hoist(module, function, node);
    }
  }
  return progress;
}
