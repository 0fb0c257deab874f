// What lowering must know of each value before it groups them: class, ragged axis, users. Must not decide anything.
#include <stdarg.h>

#include "codegen/lower/internal.h"

weir_status cg_unsupported(const ir_function *function, ir_loc loc, const char *fmt, ...) {
  char text[400];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (loc.line > 0) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "%s:%d:%d: in '%s': %s", loc.file ? loc.file : "?", loc.line,
                            loc.column, function->name, text);
  }
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "in '%s': %s", function->name, text);
}

value_info *cg_info(const function_lowering *fl, const ir_value *value) { return &fl->values[value->id]; }

int64_t cg_const_dim(ir_dim dim) {
  int64_t value;
  return ir_dim_is_const(dim, &value) ? value : -1;
}

bool cg_inner_elements(const value_info *info, int64_t *out) {
  int64_t total = 1;
  for (int i = 0; i < info->value->type.rank; i++) {
    if (info->ragged >> i & 1) continue;
    int64_t dim = cg_const_dim(info->value->type.dims[i]);
    if (dim < 0) return false;
    total *= dim;  // fits: the elaborator has checked sizes of tensors
  }
  *out = total;
  return true;
}

bool cg_is_row_major(const value_info *info, unsigned first) {
  bool others = false;
  for (int i = 0; i < info->value->type.rank; i++) {
    if (cg_const_dim(info->value->type.dims[i]) == 1) continue;
    if (!(first >> i & 1)) others = true;
    else if (others) return false;
  }
  return true;
}

static weir_status classify(function_lowering *fl, value_info *info, ir_loc loc, bool varies) {
  const ir_type *type = &info->value->type;
  ir_dim_table *dims = fl->low->module->dims;
  info->ragged = 0;
  for (int i = 0; i < type->rank; i++)
    if (ir_dim_role(type->dims[i]) != IR_ROLE_PLAIN) info->ragged |= 1u << i;
  info->cls = info->ragged ? CLASS_PACKED : varies ? CLASS_REQUEST : CLASS_INVARIANT;
  if (!info->ragged) return WEIR_OK;
  info->axis = __builtin_ctz(info->ragged);
  info->volume = ir_dim_const(dims, 1);
  for (int i = 0; i < type->rank && info->volume; i++)
    if (info->ragged >> i & 1) info->volume = ir_dim_mul(dims, info->volume, type->dims[i]);
  if (info->volume) return WEIR_OK;
  return cg_unsupported(fl->function, loc, "the ragged dims of %s multiply to more than 2^63",
                        ir_type_print(fl->low->arena, type));
}

static void make_history(value_info *info) {
  info->cls = CLASS_HISTORY;
  info->ragged = 1;
  info->axis = 0;
  info->volume = info->value->type.dims[0];
}

static weir_status analyze_params(function_lowering *fl) {
  const ir_function *fn = fl->function;
  for (int i = 0; i < fn->param_count; i++) {
    const ir_param *param = &fn->params[i];
    value_info *info = cg_info(fl, param->value);
    info->value = param->value;
    info->fate = FATE_PARAM;
    info->cls = CLASS_INVARIANT;
    if (param->kind == IR_PARAM_INPUT) WEIR_TRY(classify(fl, info, fn->loc, cg_loop_of(fl, param->value) < 0));
    if (param->kind == IR_PARAM_STATE) {
      info->cls = CLASS_REQUEST;
      if (param->rows) make_history(info);
    }
  }
  return WEIR_OK;
}

static bool any_varies(const function_lowering *fl, const ir_node *node) {
  bool loops = node->op == IR_OP_map || node->op == IR_OP_fold;
  if (loops && cg_region_varies(node->callee)) return true;
  for (int i = 0; node->op == IR_OP_fold && i < node->attrs[0].count; i++)
    if (ir_dim_role(node->attrs[0].dims[i]) != IR_ROLE_PLAIN) return true;
  if (node->op == IR_OP_pos || node->op == IR_OP_size || cg_takes_memory(node->op)) return true;
  for (int i = 0; i < node->operand_count; i++)
    if (cg_info(fl, node->operands[i])->cls != CLASS_INVARIANT) return true;
  return false;
}

// The symbol of the rows that an append adds, for its history and for the state before.
static weir_status analyze_nodes(function_lowering *fl) {
  for (ir_node *node = fl->function->first; node; node = node->next) {
    bool varies = any_varies(fl, node);
    if (!cg_has_lowering(node) && !cg_is_weight_stack(fl, node->results[0]))
      return cg_unsupported(fl->function, node->loc, "'%s' has no lowering yet", ir_op_get_info(node->op)->name);
    for (int i = 0; i < node->result_count; i++) {
      value_info *info = cg_info(fl, node->results[i]);
      info->value = node->results[i];
      bool state = node->op == IR_OP_append;
      if (node->op == IR_OP_call && node->callee->results[i].state >= 0)
        state = node->callee->params[node->callee->results[i].state].rows;
      if (state) make_history(info);
      else WEIR_TRY(classify(fl, info, node->loc, varies));
    }
  }
  return WEIR_OK;
}

static void count_users(function_lowering *fl) {
  for (ir_node *node = fl->function->first; node; node = node->next)
    for (int i = 0; i < node->operand_count; i++) cg_info(fl, node->operands[i])->use_count++;
  for (int i = 0; i < fl->value_count; i++) {
    value_info *info = &fl->values[i];
    info->users = WEIR_NEW_ARRAY(fl->low->arena, ir_node *, info->use_count ? info->use_count : 1);
    info->use_count = 0;
  }
  for (ir_node *node = fl->function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) {
      value_info *info = cg_info(fl, node->operands[i]);
      info->users[info->use_count++] = node;
    }
  }
  for (int i = 0; i < fl->function->result_count; i++) cg_info(fl, fl->function->results[i].value)->is_result = true;
}

bool cg_reduces_rows(const function_lowering *fl, const ir_node *node) {
  const value_info *x = cg_info(fl, node->operands[0]);
  if (!x->ragged) return false;
  if (node->op == IR_OP_softmax) return ir_node_attr(node, IR_ATTR_axis)->i == x->axis;
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  for (int i = 0; over && i < over->count; i++)
    if (over->ints[i] == x->axis) return true;
  return false;
}

ir_value *cg_new_value(function_lowering *fl, ir_type type) {
  ir_value *value = WEIR_NEW(fl->low->arena, ir_value);
  ir_node *def = WEIR_NEW(fl->low->arena, ir_node);
  *def = (ir_node){.op = IR_OP_scan};  // made in memory, by no kernel of its own
  *value = (ir_value){.type = type, .def = def, .id = fl->value_count, .lo = 1, .hi = 0};
  value_info info = {.value = value, .fate = FATE_ROOT};
  WEIR_PUSH(fl->low->arena, fl->values, fl->value_count, fl->value_capacity, info);
  // It has no definition: its class is that of the type, which classify refuses only for what its operands had refused.
  weir_status_release(classify(fl, cg_info(fl, value), fl->function->loc, true));
  cg_info(fl, value)->slot = cg_add_temp(fl, value);
  return value;
}

weir_status cg_analyze(function_lowering *fl) {
  fl->value_count = fl->value_capacity = fl->function->next_id;
  fl->values = WEIR_NEW_ARRAY(fl->low->arena, value_info, fl->value_count);
  WEIR_TRY(analyze_params(fl));
  WEIR_TRY(analyze_nodes(fl));
  count_users(fl);
  return WEIR_OK;
}
