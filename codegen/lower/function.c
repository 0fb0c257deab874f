// Lowers one function: slots for parameters, results and everything that has memory, then one kernel or call per root
// in body order.
#include <string.h>

#include "codegen/lower/internal.h"
#include "runtime/base/checked.h"

int cg_add_kernel(lowering *low, ir_kernel *kernel) {
  cg_module *out = low->out;
  uint64_t hash = ir_kernel_hash(kernel);
  const char *key = low->choice_key;
  low->choice_key = NULL;
  for (int i = 0; i < out->kernel_count; i++)
    if (low->kernel_hashes[i] == hash && ir_kernel_equal(out->kernels[i], kernel)) return i;
  int hash_count = out->kernel_count, key_count = hash_count;
  WEIR_PUSH(low->arena, out->kernel_keys, key_count, low->key_capacity, key);
  WEIR_PUSH(low->arena, low->kernel_hashes, hash_count, low->hash_capacity, hash);
  WEIR_PUSH(low->arena, out->kernels, out->kernel_count, out->kernel_capacity, kernel);
  return out->kernel_count - 1;
}

static unsigned use_of(const ir_node *node, int operand) {
  cg_layout layout;
  if (node->op == IR_OP_linear && operand == 1) return 1;
  if (node->op != IR_OP_conv || operand != 1) return 2;
  if (!cg_conv_takes_taps(node, &layout)) return cg_conv_takes_groups(node) ? 32 : 2;
  return layout == CG_LAYOUT_TAPS ? 8 : 16;
}

static unsigned uses_of(const ir_function *function, const ir_value *value) {
  unsigned uses = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) {
      if (node->operands[i] != value) continue;
      int at = cg_region_param(node, i);
      if (node->op == IR_OP_call) uses |= cg_weight_uses(node->callee, i);
      else if (node->op == IR_OP_route && i > 0) uses |= cg_weight_uses(node->callee, i - 1) | 4;
      else if (node->op == IR_OP_stack) uses |= uses_of(function, node->results[0]);
      else if (at >= 0)
        uses |= cg_weight_uses(node->callee, at) | (node->second ? cg_weight_uses(node->second, at) : 0);
      else uses |= use_of(node, i);
    }
  }
  return uses;
}

static bool is_running(ir_op op) { return op >= IR_OP_cumsum && op <= IR_OP_cumlogsumexp; }
static bool is_order(ir_op op) { return op == IR_OP_sort || op == IR_OP_argsort || op == IR_OP_top_k; }

bool cg_takes_memory(ir_op op) {
  return op == IR_OP_call || op == IR_OP_scan || op == IR_OP_cond || op == IR_OP_route || is_running(op) ||
         is_order(op);
}

unsigned cg_weight_uses(const ir_function *function, int param) {
  return uses_of(function, function->params[param].value);
}

// ---- slots

// Axes that come first in a request's block of |info|: outside of the model's entries the ragged ones, but callers of
// an entry have rows in the order of the dims.
static unsigned first_axes(const function_lowering *fl, slot_kind kind, const value_info *info) {
  bool outside = fl->function->kind == IR_FUNCTION_ENTRY || fl->function->kind == IR_FUNCTION_STEP;
  bool interface = outside && (kind == SLOT_PARAM || kind == SLOT_RESULT);
  if (cg_is_image(fl, info->value)) return cg_image_axes(&info->value->type, fl->spatial[info->value->id]);
  return interface && !cg_is_row_major(info, info->ragged) ? 0 : info->ragged;
}

static int add_slot(function_lowering *fl, slot_kind kind, int index, const ir_value *value) {
  lowered *out = fl->out;
  const char *name = value->name ? value->name : weir_arena_printf(fl->low->arena, "v%d", value->id);
  if (kind == SLOT_PARAM && fl->function->params[index].kind == IR_PARAM_WEIGHT) name = "w";
  slot added = {
      .kind = kind, .index = index, .name = name, .value = value, .first = first_axes(fl, kind, cg_info(fl, value))};
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

// The value whose kernel may write the rows of |append| straight into the state: computed here, for nothing else. A
// cast on the way is that of the store.
static ir_value *direct_rows(const function_lowering *fl, const ir_node *append) {
  ir_value *rows = append->operands[1];
  for (bool cast = false;;) {
    const value_info *info = cg_info(fl, rows);
    if (!rows->def || info->use_count != 1 || info->is_result) return NULL;
    if (info->fate == FATE_ROOT)
      return cg_takes_memory(rows->def->op) || rows->def->op == IR_OP_append || rows->def->op == IR_OP_scatter ? NULL
                                                                                                               : rows;
    bool stores = rows->def->op == IR_OP_cast && !cast;
    if (info->fate != FATE_INLINE || (rows->def->op != IR_OP_reshape && !stores)) return NULL;
    const value_info *x = cg_info(fl, rows->def->operands[0]);
    if (x->ragged != 1 || x->value->type.dims[0] != append->operands[1]->type.dims[0]) return NULL;
    cast |= stores;
    rows = rows->def->operands[0];
  }
}

// The ragged axes of a parameter or result of another function, as it takes them.
static unsigned callee_axes(const ir_type *type) {
  unsigned axes = 0;
  for (int i = 0; i < type->rank; i++)
    if (ir_dim_role(type->dims[i]) != IR_ROLE_PLAIN) axes |= 1u << i;
  return axes;
}

// Whether the axes of |info| have one order in memory with either mask first.
bool cg_lies_as(const value_info *info, unsigned a, unsigned b) {
  int order[2][IR_MAX_RANK], counts[2] = {0, 0};
  for (int side = 0; side < 2; side++)
    for (int behind = 0; behind < 2; behind++)
      for (int i = 0; i < info->value->type.rank; i++)
        if ((int)!((side ? b : a) >> i & 1) == behind && cg_const_dim(info->value->type.dims[i]) != 1)
          order[side][counts[side]++] = i;
  return memcmp(order[0], order[1], sizeof(int) * (size_t)counts[0]) == 0;
}

// The axes that come first in |value|, a parameter or result of |function|, where it lies channels last; else 0.
static unsigned image_axes_of(const function_lowering *fl, const ir_function *function, const ir_value *value) {
  int spatial = cg_find_images(fl->low, function)[value->id];
  return spatial ? cg_image_axes(&value->type, spatial) : 0;
}

// The axes that come first in |value| as whoever computes it writes it.
static unsigned order_given(const function_lowering *fl, const ir_value *value) {
  const value_info *info = cg_info(fl, value);
  bool called = value->def && value->def->op == IR_OP_call;
  unsigned image = called ? image_axes_of(fl, value->def->callee, value->def->callee->results[value->result].value) : 0;
  if (image && info->cls != CLASS_HISTORY) return image;
  if (!called && cg_is_image(fl, value) && info->cls != CLASS_INVARIANT)
    return cg_image_axes(&value->type, fl->spatial[value->id]);
  if (info->cls != CLASS_PACKED || !value->def || value->def->op != IR_OP_call) return info->ragged;
  unsigned axes = callee_axes(&value->def->callee->results[value->result].value->type);
  return cg_lies_as(info, axes, info->ragged) ? info->ragged : axes;
}

int cg_add_temp(function_lowering *fl, const ir_value *value) { return add_slot(fl, SLOT_TEMP, 0, value); }

int cg_add_parts(function_lowering *fl, const ir_value *value, int64_t bytes, ir_dim rows, int64_t piece) {
  int at = add_slot(fl, SLOT_PARTS, 0, value);
  slot *parts = &fl->out->slots[at];
  parts->name = "parts";
  parts->bytes = bytes, parts->rows = rows, parts->piece = piece;
  return at;
}

int cg_add_rows(function_lowering *fl, int weight, int64_t bytes) {
  for (int i = 0; i < fl->out->slot_count; i++)
    if (fl->out->slots[i].kind == SLOT_ROWS && fl->out->slots[i].index == weight) return i;
  int at = add_slot(fl, SLOT_ROWS, weight, fl->out->slots[weight].value);
  fl->out->slots[at].bytes = bytes;
  return at;
}

static void add_stack(function_lowering *fl, const ir_node *node) {
  int *parts = WEIR_NEW_ARRAY(fl->low->arena, int, node->operand_count);
  for (int i = 0; i < node->operand_count; i++) parts[i] = cg_info(fl, node->operands[i])->slot;
  int at = add_slot(fl, SLOT_STACK, node->operand_count, node->results[0]);
  fl->out->slots[at].parts = parts;
  cg_info(fl, node->results[0])->slot = at;
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
    bool direct = fn->results[i].state < 0 && info->fate == FATE_ROOT && info->cls != CLASS_INVARIANT &&
                  order_given(fl, base) == first_axes(fl, SLOT_RESULT, info);
    if (direct && info->slot < 0) info->slot = add_slot(fl, SLOT_RESULT, i, base);
  }
  for (const ir_node *node = fn->first; node; node = node->next)
    if (cg_is_weight_stack(fl, node->results[0])) add_stack(fl, node);
  for (int i = 0; i < fl->value_count; i++) {
    value_info *info = &fl->values[i];
    if (!info->value || info->fate != FATE_ROOT || info->slot >= 0) continue;
    info->slot = add_slot(fl, SLOT_TEMP, 0, info->value);
    fl->out->slots[info->slot].first = order_given(fl, info->value);
  }
}

// ---- items

// A copy of an argument that lies as the callee wants it.
weir_status cg_copy_argument(function_lowering *fl, ir_value *value, unsigned first, int *out) {
  int to = add_slot(fl, SLOT_TEMP, 0, value);
  fl->out->slots[to].spread = cg_info(fl, value)->cls == CLASS_INVARIANT;
  fl->out->slots[to].first = first;
  *out = to;
  return cg_lower_copy(fl, value, to);
}

weir_status cg_copy_state(function_lowering *fl, ir_value *value, int *out) {
  *out = cg_info(fl, cg_new_value(fl, value->type))->slot;
  return cg_lower_copy(fl, value, *out);
}

static weir_status lower_argument(function_lowering *fl, const ir_node *node, int i, cg_weight_format *format,
                                  int *out) {
  ir_value *value = node->operands[i], *base = cg_base(fl, value);
  const value_info *info = cg_info(fl, base);
  const ir_param *param = &node->callee->params[i];
  if (cg_loop_of(fl, base) >= 0) return cg_copy_argument(fl, value, 0, out);
  if (info->slot < 0)
    return cg_unsupported(fl->function, node->loc, "an argument of '%s' has no memory", node->callee->name);
  *out = info->slot;
  if (param->kind == IR_PARAM_WEIGHT) {
    const cg_weight_format *known = cg_format_of(fl, base);
    if (known) *format = *known;
    else *format = (cg_weight_format){.storage = cg_plain_storage(value->type.dtype)};
    if (info->cls == CLASS_INVARIANT) return WEIR_OK;
    return cg_unsupported(fl->function, node->loc, "a weight of '%s' that depends on the request has no lowering yet",
                          node->callee->name);
  }
  if (cg_slot_in_panels(fl, &fl->out->slots[info->slot])) format->layout = CG_LAYOUT_PANEL;
  if (param->kind != IR_PARAM_INPUT) return WEIR_OK;
  unsigned image = image_axes_of(fl, node->callee, param->value);
  if (info->cls == CLASS_INVARIANT) return cg_copy_argument(fl, value, image, out);
  if (info->cls == CLASS_HISTORY) return cg_copy_argument(fl, value, image ? image : 1, out);
  bool state = !base->def && fl->function->params[base->result].kind == IR_PARAM_STATE;
  if (state) return image ? cg_copy_argument(fl, value, image, out) : cg_copy_state(fl, value, out);
  unsigned wanted = image ? image : callee_axes(&param->value->type);
  unsigned given = base == value ? fl->out->slots[info->slot].first : cg_info(fl, value)->ragged;
  if (cg_lies_as(cg_info(fl, value), wanted, given)) return WEIR_OK;
  return cg_copy_argument(fl, value, wanted, out);
}

static weir_status lower_call(function_lowering *fl, const ir_node *node) {
  lowering *low = fl->low;
  cg_weight_format *formats = WEIR_NEW_ARRAY(low->arena, cg_weight_format, node->operand_count);
  item call = {.args = WEIR_NEW_ARRAY(low->arena, int, node->operand_count),
               .results = WEIR_NEW_ARRAY(low->arena, int, node->result_count),
               .call = node,
               .note = node->callee->name};
  for (int i = 0; i < node->operand_count; i++) {
    WEIR_TRY(lower_argument(fl, node, i, &formats[i], &call.args[i]));
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
  if (count > 0 && linears[0]->op != IR_OP_linear) return cg_lower_window(fl, root, linears[0]);
  if (count > 0) return cg_lower_linear(fl, root, linears, count);
  const ir_node *node = root->def;
  if (node->op == IR_OP_matmul) return cg_lower_product(fl, root);
  if (node->op == IR_OP_concat && node->operand_count > CG_CONCAT_OPERANDS) return cg_lower_concat(fl, root);
  if (node->op == IR_OP_attend) return cg_lower_attend(fl, root);
  if (node->op == IR_OP_rope) return cg_lower_rope(fl, root);
  if (node->op == IR_OP_scatter) return cg_lower_scatter(fl, root);
  weir_status done;
  if (cg_lower_image_mean(fl, root, &done)) return done;
  if ((ir_op_get_info(node->op)->flags & IR_FLAG_REDUCE) && cg_reduces_rows(fl, node))
    return cg_lower_rows_reduction(fl, root);
  return cg_lower_rowwise(fl, root);
}

static weir_status lower_nodes(function_lowering *fl) {
  for (ir_node *node = fl->function->first; node; node = node->next) {
    if (node->op == IR_OP_call) {
      WEIR_TRY(lower_call(fl, node));
    } else if (node->op == IR_OP_scan) {
      WEIR_TRY(cg_lower_scan(fl, node));
    } else if (node->op == IR_OP_cond) {
      WEIR_TRY(cg_lower_cond(fl, node));
    } else if (node->op == IR_OP_route) {
      WEIR_TRY(cg_lower_route(fl, node));
    } else if (is_running(node->op)) {
      WEIR_TRY(cg_lower_running(fl, node));
    } else if (is_order(node->op)) {
      WEIR_TRY(cg_lower_order(fl, node));
    } else if (cg_is_weight_stack(fl, node->results[0])) {
      continue;
    } else if (node->op == IR_OP_append) {
      if (!direct_rows(fl, node)) WEIR_TRY(cg_lower_copy(fl, node->operands[1], cg_info(fl, node->results[0])->slot));
    } else if (cg_is_tail(fl, node->results[0]) || cg_info(fl, node->results[0])->is_lowered) {
      continue;
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
      if (at != to && state->rows) WEIR_TRY(cg_lower_replace(fl, result->value, to));
      else if (at != to) WEIR_TRY(cg_lower_copy(fl, result->value, to));
      fl->out->result_slots[i] = to;
      continue;
    }
    if (at < 0 || fl->out->slots[at].kind != SLOT_RESULT || fl->out->slots[at].index != i) {
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
static weir_status shape_of(const function_lowering *fl, const slot *at, value_shape *out) {
  const ir_value *value = at->value;
  const value_info *info = cg_info(fl, value);
  ir_dim_table *dims = fl->low->module->dims;
  *out = (value_shape){.bytes = ir_dtype_bytes(value->type.dtype), .rows = SIZE_PLAIN, .volume = info->volume};
  if (info->ragged) out->rows = SIZE_ROWS;
  if (info->cls == CLASS_REQUEST || at->spread) out->rows = SIZE_REQUESTS;
  ir_dim inner = ir_dim_const(dims, 1);
  for (int i = 0; i < value->type.rank && inner; i++)
    if (!(info->ragged >> i & 1)) inner = ir_dim_mul(dims, inner, value->type.dims[i]);
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
    if (out->slots[i].kind == SLOT_TEMP) WEIR_TRY(shape_of(fl, &out->slots[i], &out->shapes[i]));
  return WEIR_OK;
}

static bool same_formats(const lowered *a, const ir_function *function, const cg_weight_format *formats) {
  if (a->function != function) return false;
  for (int i = 0; i < function->param_count; i++) {
    if (function->params[i].kind == IR_PARAM_INPUT) continue;
    const cg_weight_format *x = &a->formats[i], *y = &formats[i];
    if (x->storage != y->storage || x->layout != y->layout || x->compute != y->compute) return false;
  }
  return true;
}

weir_status cg_lower_body(function_lowering *fl) {
  WEIR_TRY(cg_analyze(fl));
  fl->spatial = cg_find_images(fl->low, fl->function);
  cg_fuse(fl);
  assign_slots(fl);
  cg_find_tails(fl);
  WEIR_TRY(lower_nodes(fl));
  WEIR_TRY(lower_results(fl));
  return record_shapes(fl);
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
  WEIR_TRY(cg_lower_body(&fl));
  WEIR_PUSH(low->arena, low->functions, low->function_count, low->function_capacity, made);
  *out = made;
  return WEIR_OK;
}
