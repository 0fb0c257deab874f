// The verifier: what every pass may rely on. It stops at the first complaint and shows it under the line it is about.
//
// Linear states: once a state (a state parameter, or what an `append` or a call gives) was appended to, or was handed
// to a call as a state, it has no further use; its successor does. What a pure op computes (an empty state to start
// from) is a plain value and may be used at will.
#include "ir/print.h"
#include "ir/rules.h"

#include <string.h>

// Values that were defined so far, by pointer, with a mark for states that are used up. Ids are checked through a
// second table.
typedef struct {
  const ir_value *value;
  const ir_node *consumer;
} seen_value;

typedef struct {
  weir_arena *arena;  // scratch
  const ir_module *module;
  const ir_function *function;
  seen_value *seen;      // open addressing by pointer
  const ir_value **ids;  // open addressing by id
  size_t slots;
  ir_dim *map;
  // By function: its owner, where it is a region, and how deep regions are nested in it.
  const ir_node **owners;
  int *depths;
} verifier;

enum { MAX_REGION_DEPTH = 32 };

static weir_status complain(verifier *v, const void *marked, const char *fmt, ...) WEIR_PRINTF(3, 4);
static weir_status complain(verifier *v, const void *marked, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const char *complaint = weir_arena_vprintf(v->arena, fmt, args);
  va_end(args);
  ir_text text;
  ir_text_init(&text, v->arena);
  ir_text_function(&text, v->function, marked, complaint);
  return weir_status_make(WEIR_CODE_INVALID_DATA, "%s\n%s", complaint, text.data);
}

// ---- the table of defined values

static seen_value *find_seen(verifier *v, const ir_value *value) {
  size_t at = ((uintptr_t)value >> 4) * 0x9E3779B97F4A7C15u & (v->slots - 1);
  while (v->seen[at].value && v->seen[at].value != value) at = (at + 1) & (v->slots - 1);
  return &v->seen[at];
}

static weir_status define(verifier *v, const void *marked, const ir_value *value, const ir_node *def, int result) {
  if (!value) return complain(v, marked, "a value is missing");
  if (value->def != def || value->result != result)
    return complain(v, marked, "%%%d does not name its definition", value->id);
  seen_value *slot = find_seen(v, value);
  if (slot->value) return complain(v, marked, "%%%d is defined twice", value->id);
  slot->value = value;
  if (value->id < 0 || value->id >= v->function->next_id)
    return complain(v, marked, "id %%%d is not below the function's next", value->id);
  size_t at = (size_t)value->id * 0x9E3779B97F4A7C15u & (v->slots - 1);
  for (; v->ids[at]; at = (at + 1) & (v->slots - 1)) {
    if (v->ids[at]->id == value->id) return complain(v, marked, "id %%%d stands for two values", value->id);
  }
  v->ids[at] = value;
  return WEIR_OK;
}

static weir_status use(verifier *v, const void *marked, const ir_value *value) {
  if (!value) return complain(v, marked, "an operand is missing");
  const seen_value *slot = find_seen(v, value);
  if (!slot->value) return complain(v, marked, "%%%d is used before its definition", value->id);
  if (slot->consumer) {
    return complain(v, marked, "state %%%d is used again after '%s' took it", value->id,
                    ir_op_get_info(slot->consumer->op)->name);
  }
  return WEIR_OK;
}

// ---- nodes

static weir_status check_result_types(verifier *v, const ir_node *node, const ir_type *expected, int index) {
  if (ir_type_equal(expected, &node->results[index]->type)) return WEIR_OK;
  return complain(v, node, "result %%%d is %s, but its operands give %s", node->results[index]->id,
                  ir_type_print(v->arena, &node->results[index]->type), ir_type_print(v->arena, expected));
}

static int function_index(const ir_module *module, const ir_function *function) {
  for (int i = 0; i < module->function_count; i++) {
    if (module->functions[i] == function) return i;
  }
  return -1;
}

static weir_status check_call(verifier *v, const ir_node *node) {
  const ir_function *callee = node->callee;
  const char *error = NULL;
  if (!callee || callee->module != v->module) return complain(v, node, "the callee is missing");
  int callee_index = function_index(v->module, callee);
  if (callee_index < 0 || callee_index >= function_index(v->module, v->function)) {
    return complain(v, node, "callee '%s' does not stand before its caller", callee->name);
  }
  if (node->attr_count || node->second) return complain(v, node, "a call has one callee and no attributes");
  if (callee->kind == IR_FUNCTION_REGION) return complain(v, node, "region '%s' is no callee", callee->name);
  if (!ir_call_bind(callee, node->operands, node->operand_count, v->map, &error)) return complain(v, node, "%s", error);
  if (node->result_count != callee->result_count)
    return complain(v, node, "call has %d results, '%s' has %d", node->result_count, callee->name,
                    callee->result_count);
  for (int i = 0; i < node->result_count; i++) {
    ir_type type = callee->results[i].value->type;
    for (int j = 0; j < type.rank; j++) type.dims[j] = ir_dim_substitute(v->module->dims, type.dims[j], v->map);
    WEIR_TRY(check_result_types(v, node, &type, i));
  }
  return WEIR_OK;
}

// A region or callee stands before its user; a region has one user.
static weir_status check_function_use(verifier *v, const ir_node *node, const ir_function *used) {
  int mine = function_index(v->module, v->function), index = function_index(v->module, used);
  if (index < 0 || index >= mine)
    return complain(v, node, "'%s' does not stand before the function that uses it", used->name);
  if (used->kind != IR_FUNCTION_REGION) return WEIR_OK;
  if (v->owners[index]) return complain(v, node, "region '%s' has two owners", used->name);
  v->owners[index] = node;
  if (v->depths[mine] < v->depths[index] + 1) v->depths[mine] = v->depths[index] + 1;
  if (v->depths[mine] > MAX_REGION_DEPTH)
    return complain(v, node, "regions are nested more than %d deep", MAX_REGION_DEPTH);
  return WEIR_OK;
}

static weir_status check_op(verifier *v, const ir_node *node) {
  const ir_op_info *info = ir_op_get_info(node->op);
  if (node->callee && !ir_op_takes_function(node->op)) return complain(v, node, "'%s' has no callee", info->name);
  if (node->second && !node->callee) return complain(v, node, "the first region is missing");
  if (node->callee) WEIR_TRY(check_function_use(v, node, node->callee));
  if (node->second) WEIR_TRY(check_function_use(v, node, node->second));
  if (node->attr_count != info->attr_count)
    return complain(v, node, "'%s' has %d attributes, not %d", info->name, info->attr_count, node->attr_count);
  for (int i = 0; i < node->attr_count; i++) {
    if (node->attrs[i].name != info->attrs[i])
      return complain(v, node, "attribute %d must be '%s'", i, ir_attr_get_name(info->attrs[i]));
    if (node->attrs[i].count < 0 || node->attrs[i].count > IR_MAX_RANK)
      return complain(v, node, "attribute %d has %d entries", i, node->attrs[i].count);
  }
  ir_inference inference = {.module = v->function->module,
                            .op = node->op,
                            .operands = node->operands,
                            .operand_count = node->operand_count,
                            .attrs = node->attrs,
                            .callee = node->callee,
                            .second = node->second};
  if (!ir_infer(&inference)) return complain(v, node, "%s", inference.error);
  if (node->result_count != inference.result_count)
    return complain(v, node, "'%s' has %d results, not %d", info->name, inference.result_count, node->result_count);
  for (int i = 0; i < node->result_count; i++) WEIR_TRY(check_result_types(v, node, &inference.results[i].type, i));
  return WEIR_OK;
}

static bool is_linear(const verifier *v, const ir_value *value) {
  if (!value->def) return v->function->params[value->result].kind == IR_PARAM_STATE;
  return !(ir_op_get_info(value->def->op)->flags & IR_FLAG_PURE);
}

static bool takes_state(const ir_node *node, int operand) {
  if (node->op == IR_OP_call) return node->callee->params[operand].kind == IR_PARAM_STATE;
  return node->op == IR_OP_append && operand == 0;
}

// Marks the states that |node| takes over.
static void consume(verifier *v, const ir_node *node) {
  for (int i = 0; i < node->operand_count; i++) {
    if (takes_state(node, i) && is_linear(v, node->operands[i])) find_seen(v, node->operands[i])->consumer = node;
  }
}

// A state that is handed on is no other operand of the same node.
static weir_status check_single(verifier *v, const ir_node *node) {
  for (int i = 0; i < node->operand_count; i++) {
    if (!takes_state(node, i) || !is_linear(v, node->operands[i])) continue;
    for (int j = 0; j < node->operand_count; j++) {
      if (i != j && node->operands[i] == node->operands[j])
        return complain(v, node, "state %%%d is handed on twice", node->operands[i]->id);
    }
  }
  return WEIR_OK;
}

static weir_status check_node(verifier *v, const ir_node *node, const ir_node *before) {
  if (node->parent != v->function || node->prev != before)
    return complain(v, node, "the node is not linked into its function");
  if ((unsigned)node->op >= IR_OP_COUNT) return complain(v, v->function, "op %d does not exist", node->op);
  for (int i = 0; i < node->operand_count; i++) WEIR_TRY(use(v, node, node->operands[i]));
  WEIR_TRY(node->op == IR_OP_call ? check_call(v, node) : check_op(v, node));
  WEIR_TRY(check_single(v, node));
  consume(v, node);
  for (int i = 0; i < node->result_count; i++) WEIR_TRY(define(v, node, node->results[i], node, i));
  return WEIR_OK;
}

// ---- functions

static weir_status check_param(verifier *v, int index) {
  const ir_param *param = &v->function->params[index];
  WEIR_TRY(define(v, param, param->value, NULL, index));
  if (v->function->kind == IR_FUNCTION_REGION && param->kind != IR_PARAM_INPUT)
    return complain(v, param, "a region is closed: its parameters are inputs");
  if (param->rows && param->kind != IR_PARAM_STATE) return complain(v, param, "only a state has rows");
  if (param->rows && param->value->type.rank < 1) return complain(v, param, "a state over rows has a dim of rows");
  if (param->window < 0 || (param->window && !param->rows))
    return complain(v, param, "a window needs a state over rows");
  if (param->value->lo <= param->value->hi && !ir_dtype_is_int(param->value->type.dtype))
    return complain(v, param, "only integers have a range");
  return WEIR_OK;
}

static weir_status check_result(verifier *v, int index) {
  const ir_function *function = v->function;
  const ir_result *result = &function->results[index];
  WEIR_TRY(use(v, result, result->value));
  if (result->state < 0) return WEIR_OK;
  if (result->state >= function->param_count || function->params[result->state].kind != IR_PARAM_STATE)
    return complain(v, result, "the result names no state parameter");
  for (int i = 0; i < index; i++) {
    if (function->results[i].state == result->state) return complain(v, result, "the state has two new values");
  }
  const ir_param *param = &function->params[result->state];
  ir_type before = param->value->type, after = result->value->type;
  if (param->rows && before.rank == after.rank) before.dims[0] = after.dims[0];
  if (!ir_type_equal(&before, &after)) {
    return complain(v, result, "the new value is %s, the state is %s", ir_type_print(v->arena, &after),
                    ir_type_print(v->arena, &param->value->type));
  }
  return WEIR_OK;
}

static void start_function(verifier *v, const ir_function *function) {
  size_t values = (size_t)function->param_count;
  for (const ir_node *node = function->first; node; node = node->next) values += (size_t)node->result_count;
  v->function = function;
  v->slots = 16;
  while (v->slots < 2 * values) v->slots *= 2;
  v->seen = WEIR_NEW_ARRAY(v->arena, seen_value, v->slots);
  v->ids = WEIR_NEW_ARRAY(v->arena, const ir_value *, v->slots);
}

static weir_status check_function(verifier *v, const ir_function *function) {
  start_function(v, function);
  if (function->module != v->module) return complain(v, function, "the function belongs to another module");
  for (int i = 0; i < function->param_count; i++) WEIR_TRY(check_param(v, i));
  const ir_node *before = NULL;
  for (const ir_node *node = function->first; node; before = node, node = node->next)
    WEIR_TRY(check_node(v, node, before));
  if (function->last != before) return complain(v, function, "the list of nodes does not end with its last");
  for (int i = 0; i < function->result_count; i++) WEIR_TRY(check_result(v, i));
  return WEIR_OK;
}

static weir_status check_module(verifier *v) {
  const ir_module *module = v->module;
  v->map = WEIR_NEW_ARRAY(v->arena, ir_dim, ir_symbol_count(module->dims));
  v->owners = WEIR_NEW_ARRAY(v->arena, const ir_node *, module->function_count + 1);
  v->depths = WEIR_NEW_ARRAY(v->arena, int, module->function_count + 1);
  for (int i = 0; i < module->function_count; i++) {
    v->function = module->functions[i];
    for (int j = 0; j < i; j++) {
      if (!strcmp(module->functions[i]->name, module->functions[j]->name))
        return complain(v, v->function, "the name is taken by another function");
    }
    WEIR_TRY(check_function(v, module->functions[i]));
  }
  for (int i = 0; i < module->function_count; i++) {
    v->function = module->functions[i];
    if (v->function->kind == IR_FUNCTION_REGION && !v->owners[i])
      return complain(v, v->function, "the region has no owner");
  }
  return WEIR_OK;
}

weir_status ir_verify(const ir_module *module) {
  weir_arena scratch;
  weir_arena_init(&scratch);
  verifier v = {.arena = &scratch, .module = module};
  weir_status status = check_module(&v);
  weir_arena_deinit(&scratch);
  return status;
}
