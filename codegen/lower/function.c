// Lowers one function: slots for parameters, results and everything that has memory, then one kernel or call per root
// in body order.
#include <string.h>

#include "codegen/lower/internal.h"
#include "runtime/base/checked.h"

int cg_add_kernel(lowering *low, ir_kernel *kernel) {
  cg_module *out = low->out;
  uint64_t hash = ir_kernel_hash(kernel);
  for (int i = 0; i < out->kernel_count; i++)
    if (low->kernel_hashes[i] == hash && ir_kernel_equal(out->kernels[i], kernel)) return i;
  int hash_count = out->kernel_count;
  WEIR_PUSH(low->arena, low->kernel_hashes, hash_count, low->hash_capacity, hash);
  WEIR_PUSH(low->arena, out->kernels, out->kernel_count, out->kernel_capacity, kernel);
  return out->kernel_count - 1;
}

unsigned cg_weight_uses(const ir_function *function, int param) {
  const ir_value *value = function->params[param].value;
  unsigned uses = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) {
      if (node->operands[i] != value) continue;
      if (node->op == IR_OP_call) uses |= cg_weight_uses(node->callee, i);
      else uses |= node->op == IR_OP_linear && i == 1 ? 1 : 2;
    }
  }
  return uses;
}

// ---- slots

static int add_slot(function_lowering *fl, slot_kind kind, int index, const ir_value *value) {
  lowered *out = fl->out;
  const char *name = value->name ? value->name : weir_arena_printf(fl->low->arena, "v%d", value->id);
  if (kind == SLOT_PARAM && fl->function->params[index].kind == IR_PARAM_WEIGHT) name = "w";
  slot added = {.kind = kind, .index = index, .name = name, .value = value};
  WEIR_PUSH(fl->low->arena, out->slots, out->slot_count, out->slot_capacity, added);
  return out->slot_count - 1;
}

// The state parameter whose memory a history is: through appends and calls.
static ir_value *state_of(const function_lowering *fl, ir_value *value) {
  while (value->def) {
    const ir_node *node = value->def;
    if (node->op == IR_OP_append) {
      value = node->operands[0];
    } else if (node->op == IR_OP_call && node->callee->results[value->result].state >= 0) {
      value = node->operands[node->callee->results[value->result].state];
    } else {
      return NULL;
    }
  }
  return fl->function->params[value->result].kind == IR_PARAM_STATE ? value : NULL;
}

// The value whose kernel may write the rows of |append| straight into the state: computed here, for nothing else.
static ir_value *direct_rows(const function_lowering *fl, const ir_node *append) {
  ir_value *rows = append->operands[1];
  for (;;) {
    const value_info *info = cg_info(fl, rows);
    if (!rows->def || info->use_count != 1 || info->is_result) return NULL;
    if (info->fate == FATE_ROOT) return rows->def->op == IR_OP_call || rows->def->op == IR_OP_append ? NULL : rows;
    if (info->fate != FATE_INLINE || rows->def->op != IR_OP_reshape) return NULL;
    const value_info *x = cg_info(fl, rows->def->operands[0]);
    if (x->cls != CLASS_PACKED || x->axis != 0) return NULL;
    rows = rows->def->operands[0];
  }
}

static void assign_slots(function_lowering *fl) {
  const ir_function *fn = fl->function;
  for (int i = 0; i < fn->param_count; i++)
    cg_info(fl, fn->params[i].value)->slot = add_slot(fl, SLOT_PARAM, i, fn->params[i].value);
  for (int i = 0; i < fl->value_count; i++)
    fl->values[i].slot = fl->values[i].fate == FATE_PARAM ? fl->values[i].slot : -1;
  for (const ir_node *node = fn->first; node; node = node->next) {
    for (int i = 0; i < node->result_count; i++) {
      ir_value *state = state_of(fl, node->results[i]);
      if (state) cg_info(fl, node->results[i])->slot = cg_info(fl, state)->slot;
    }
    if (node->op != IR_OP_append) continue;
    ir_value *rows = direct_rows(fl, node);
    if (rows) cg_info(fl, rows)->slot = cg_info(fl, node->results[0])->slot;
  }
  for (int i = 0; i < fn->result_count; i++) {
    ir_value *base = cg_base(fl, fn->results[i].value);
    value_info *info = cg_info(fl, base);
    bool direct = fn->results[i].state < 0 && info->fate == FATE_ROOT && info->cls != CLASS_INVARIANT;
    if (direct && info->slot < 0) info->slot = add_slot(fl, SLOT_RESULT, i, base);
  }
  for (int i = 0; i < fl->value_count; i++) {
    value_info *info = &fl->values[i];
    if (info->value && info->fate == FATE_ROOT && info->slot < 0) info->slot = add_slot(fl, SLOT_TEMP, 0, info->value);
  }
}

// ---- items

static weir_status lower_call(function_lowering *fl, const ir_node *node) {
  lowering *low = fl->low;
  cg_weight_format *formats = WEIR_NEW_ARRAY(low->arena, cg_weight_format, node->operand_count);
  item call = {.args = WEIR_NEW_ARRAY(low->arena, int, node->operand_count),
               .results = WEIR_NEW_ARRAY(low->arena, int, node->result_count),
               .note = node->callee->name};
  for (int i = 0; i < node->operand_count; i++) {
    ir_value *base = cg_base(fl, node->operands[i]);
    const value_info *info = cg_info(fl, base);
    ir_param_kind kind = node->callee->params[i].kind;
    if (info->slot < 0)
      return cg_unsupported(fl->function, node->loc, "an argument of '%s' has no memory", node->callee->name);
    if (kind == IR_PARAM_INPUT && info->cls == CLASS_INVARIANT)
      return cg_unsupported(fl->function, node->loc, "a constant as argument of '%s' has no lowering yet",
                            node->callee->name);
    bool weight = !base->def && fl->function->params[base->result].kind == IR_PARAM_WEIGHT;
    if (kind == IR_PARAM_WEIGHT && !weight)
      return cg_unsupported(fl->function, node->loc, "a computed weight of '%s' has no lowering yet",
                            node->callee->name);
    if (weight) formats[i] = fl->out->formats[base->result];
    call.args[i] = info->slot;
  }
  for (int i = 0; i < node->result_count; i++) call.results[i] = cg_info(fl, node->results[i])->slot;
  lowered *callee;
  WEIR_TRY(cg_lower_function(low, node->callee, formats, &callee));
  call.callee = callee;
  WEIR_PUSH(low->arena, fl->out->items, fl->out->item_count, fl->out->item_capacity, call);
  return WEIR_OK;
}

static weir_status lower_root(function_lowering *fl, ir_value *root) {
  ir_node *linears[2];
  int count = cg_group_linears(fl, root, linears, 2);
  if (count > 0) return cg_lower_linear(fl, root, linears, count);
  const ir_node *node = root->def;
  if (node->op == IR_OP_attend) return cg_lower_attend(fl, root);
  if (node->op == IR_OP_rope) return cg_lower_rope(fl, root);
  if ((ir_op_get_info(node->op)->flags & IR_FLAG_REDUCE) && cg_reduces_rows(fl, node))
    return cg_lower_rows_reduction(fl, root);
  return cg_lower_rowwise(fl, root);
}

static weir_status lower_nodes(function_lowering *fl) {
  for (ir_node *node = fl->function->first; node; node = node->next) {
    if (node->op == IR_OP_call) {
      WEIR_TRY(lower_call(fl, node));
    } else if (node->op == IR_OP_append) {
      if (!direct_rows(fl, node)) WEIR_TRY(cg_lower_copy(fl, node->operands[1], cg_info(fl, node->results[0])->slot));
    } else if (cg_info(fl, node->results[0])->fate == FATE_ROOT) {
      WEIR_TRY(lower_root(fl, node->results[0]));
    }
  }
  return WEIR_OK;
}

// Results that are a parameter, or the same value twice, and states of a fixed shape are copied at the end.
static weir_status lower_results(function_lowering *fl) {
  const ir_function *fn = fl->function;
  fl->out->result_slots = WEIR_NEW_ARRAY(fl->low->arena, int, fn->result_count);
  for (int i = 0; i < fn->result_count; i++) {
    const ir_result *result = &fn->results[i];
    ir_value *base = cg_base(fl, result->value);
    int at = cg_info(fl, base)->slot;
    if (result->state >= 0) {
      const ir_param *state = &fn->params[result->state];
      int to = cg_info(fl, state->value)->slot;
      if (!state->rows && at != to) WEIR_TRY(cg_lower_copy(fl, result->value, to));
      fl->out->result_slots[i] = to;
      continue;
    }
    if (fl->out->slots[at].kind != SLOT_RESULT || fl->out->slots[at].index != i) {
      int to = add_slot(fl, SLOT_RESULT, i, result->value);
      fl->out->slots[to].spread = cg_info(fl, base)->cls == CLASS_INVARIANT;
      WEIR_TRY(cg_lower_copy(fl, result->value, to));
      at = to;
    }
    fl->out->result_slots[i] = at;
  }
  return WEIR_OK;
}

// What add_temp needs to know of a value once its function is done.
static weir_status shape_of(const function_lowering *fl, const ir_value *value, value_shape *out) {
  const value_info *info = cg_info(fl, value);
  ir_dim_table *dims = fl->low->module->dims;
  *out = (value_shape){.bytes = ir_dtype_bytes(value->type.dtype), .rows = SIZE_PLAIN, .symbol = info->symbol};
  if (info->cls == CLASS_PACKED) out->rows = SIZE_ROWS;
  if (info->cls == CLASS_REQUEST) out->rows = SIZE_REQUESTS;
  ir_dim inner = ir_dim_const(dims, 1);
  for (int i = 0; i < value->type.rank && inner; i++)
    if (info->cls != CLASS_PACKED || i != info->axis) inner = ir_dim_mul(dims, inner, value->type.dims[i]);
  int64_t number;
  if (!inner) return cg_unsupported(fl->function, fl->function->loc, "a tensor of more than 2^63 elements");
  if (!ir_dim_is_const(inner, &number)) out->inner = inner;
  else if (!weir_mul_i64(out->bytes, number, &out->bytes))
    return cg_unsupported(fl->function, fl->function->loc, "a tensor of more than 2^63 bytes");
  return WEIR_OK;
}

static weir_status record_shapes(function_lowering *fl) {
  lowered *out = fl->out;
  out->shapes = WEIR_NEW_ARRAY(fl->low->arena, value_shape, out->slot_count);
  for (int i = 0; i < out->slot_count; i++)
    if (out->slots[i].kind == SLOT_TEMP) WEIR_TRY(shape_of(fl, out->slots[i].value, &out->shapes[i]));
  return WEIR_OK;
}

static bool same_formats(const lowered *a, const ir_function *function, const cg_weight_format *formats) {
  if (a->function != function) return false;
  for (int i = 0; i < function->param_count; i++) {
    if (function->params[i].kind != IR_PARAM_WEIGHT) continue;
    if (a->formats[i].storage != formats[i].storage || a->formats[i].layout != formats[i].layout) return false;
  }
  return true;
}

weir_status cg_lower_function(lowering *low, const ir_function *function, const cg_weight_format *formats,
                              lowered **out) {
  for (int i = 0; i < low->function_count; i++) {
    if (same_formats(low->functions[i], function, formats)) {
      *out = low->functions[i];
      return WEIR_OK;
    }
  }
  lowered *made = WEIR_NEW(low->arena, lowered);
  made->function = function;
  made->formats = WEIR_NEW_ARRAY(low->arena, cg_weight_format, function->param_count);
  memcpy(made->formats, formats, sizeof *formats * (size_t)function->param_count);
  function_lowering fl = {.low = low, .out = made, .function = function};
  WEIR_TRY(cg_analyze(&fl));
  cg_fuse(&fl);
  assign_slots(&fl);
  WEIR_TRY(lower_nodes(&fl));
  WEIR_TRY(lower_results(&fl));
  WEIR_TRY(record_shapes(&fl));
  WEIR_PUSH(low->arena, low->functions, low->function_count, low->function_capacity, made);
  *out = made;
  return WEIR_OK;
}
