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
    if (info->cls == CLASS_PACKED && i == info->axis) continue;
    if (info->cls == CLASS_HISTORY && i == 0) continue;
    int64_t dim = cg_const_dim(info->value->type.dims[i]);
    if (dim < 0) return false;
    total *= dim;  // fits: the elaborator has checked sizes of tensors
  }
  *out = total;
  return true;
}

// The one ragged axis of |type|, -1 if it has none, -2 if it has several.
static int ragged_axis(const ir_type *type) {
  int axis = -1;
  for (int i = 0; i < type->rank; i++) {
    if (ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN) continue;
    if (axis >= 0) return -2;
    axis = i;
  }
  return axis;
}

static weir_status classify(function_lowering *fl, value_info *info, ir_loc loc, bool varies) {
  const ir_type *type = &info->value->type;
  int axis = ragged_axis(type);
  if (axis == -2)
    return cg_unsupported(fl->function, loc, "a value with two ragged dims, %s, has no lowering yet",
                          ir_type_print(fl->low->arena, type));
  if (axis < 0) {
    info->cls = varies ? CLASS_REQUEST : CLASS_INVARIANT;
    return WEIR_OK;
  }
  info->cls = CLASS_PACKED;
  info->axis = axis;
  info->symbol = ir_dim_as_symbol(type->dims[axis]);
  if (!info->symbol)
    return cg_unsupported(fl->function, loc, "the ragged dim '%s' is computed from others; that has no lowering yet",
                          ir_dim_print(fl->low->arena, type->dims[axis]));
  return WEIR_OK;
}

static weir_status analyze_params(function_lowering *fl) {
  const ir_function *fn = fl->function;
  for (int i = 0; i < fn->param_count; i++) {
    const ir_param *param = &fn->params[i];
    value_info *info = cg_info(fl, param->value);
    info->value = param->value;
    info->fate = FATE_PARAM;
    info->cls = CLASS_INVARIANT;
    if (param->kind == IR_PARAM_INPUT) WEIR_TRY(classify(fl, info, fn->loc, true));
    if (param->kind == IR_PARAM_STATE) {
      info->cls = param->rows ? CLASS_HISTORY : CLASS_REQUEST;
      if (param->window)
        return cg_unsupported(fn, fn->loc, "the state '%s' over last(...) has no lowering yet", param->name);
    }
  }
  return WEIR_OK;
}

static bool any_varies(const function_lowering *fl, const ir_node *node) {
  if (node->op == IR_OP_pos || node->op == IR_OP_size || node->op == IR_OP_call) return true;
  for (int i = 0; i < node->operand_count; i++)
    if (cg_info(fl, node->operands[i])->cls != CLASS_INVARIANT) return true;
  return false;
}

// The symbol of the rows that an append adds, for its history and for the state before.
static weir_status analyze_append(function_lowering *fl, const ir_node *node) {
  value_info *result = cg_info(fl, node->results[0]), *rows = cg_info(fl, node->operands[1]);
  if (rows->cls != CLASS_PACKED || rows->axis != 0)
    return cg_unsupported(fl->function, node->loc, "append needs rows over a ragged dim");
  result->cls = CLASS_HISTORY;
  result->symbol = rows->symbol;
  cg_info(fl, node->operands[0])->symbol = rows->symbol;
  return WEIR_OK;
}

static weir_status analyze_nodes(function_lowering *fl) {
  for (ir_node *node = fl->function->first; node; node = node->next) {
    bool varies = any_varies(fl, node);
    for (int i = 0; i < node->result_count; i++) {
      value_info *info = cg_info(fl, node->results[i]);
      info->value = node->results[i];
      if (node->op == IR_OP_append) continue;
      bool state = node->op == IR_OP_call && node->callee->results[i].state >= 0 &&
                   node->callee->params[node->callee->results[i].state].rows;
      if (state) info->cls = CLASS_HISTORY;
      else WEIR_TRY(classify(fl, info, node->loc, varies));
    }
    if (node->op == IR_OP_append) WEIR_TRY(analyze_append(fl, node));
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
  if (x->cls != CLASS_PACKED) return false;
  if (node->op == IR_OP_softmax) return ir_node_attr(node, IR_ATTR_axis)->i == x->axis;
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  for (int i = 0; over && i < over->count; i++)
    if (over->ints[i] == x->axis) return true;
  return false;
}

weir_status cg_analyze(function_lowering *fl) {
  fl->value_count = fl->function->next_id;
  fl->values = WEIR_NEW_ARRAY(fl->low->arena, value_info, fl->value_count);
  WEIR_TRY(analyze_params(fl));
  WEIR_TRY(analyze_nodes(fl));
  count_users(fl);
  return WEIR_OK;
}
