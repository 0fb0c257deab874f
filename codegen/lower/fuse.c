// Fusion: which values get memory of their own and which are computed inside the kernel of their consumer.
//
// Values are visited against the order of the body, so that the fate of all consumers is known. Legality comes from
// index maps: a value can be computed inside a consumer when the consumer asks for it at indices that follow from its
// own (elementwise, movement, reductions within a row), and when all its consumers end in one kernel, or repeating it
// costs nothing (movement). Profit is the traffic that is saved (a write and a read per use) minus the work that is
// repeated: a value needed by every pass of a row kernel is computed in every pass. Products (linear, attend, rope) are
// never repeated; a linear takes the elementwise consumer chain as its epilogue. Each decision is logged with its
// reason. Must not build kernels.
#include <string.h>

#include "codegen/lower/internal.h"

enum {
  DEAR = 4,          // cost of an op that has no place in a product's epilogue where its operands are weights
  MAX_SOURCES = 11,  // values that a kernel reads; there are its result, tables, and what joins it besides
  MAX_COPIES = 64,   // a chain of values that each use the one before several times grows without bound else
  OPS_PER_BYTE = 4
};  // repeated scalar operations that are as dear as a byte written and read again in cache, see docs/design/fusion.md

static bool is_free_movement(const ir_node *node) {
  switch (node->op) {
    case IR_OP_constant:
    case IR_OP_pos:
    case IR_OP_iota:
    case IR_OP_size:
    case IR_OP_slice:
    case IR_OP_reshape:
    case IR_OP_permute:
    case IR_OP_broadcast:
    case IR_OP_last:
    case IR_OP_cast:
      return true;
    default:
      return false;
  }
}

// Products (and the like) whose kernels take the elementwise consumers of their sums.
static bool has_epilogue(ir_op op) {
  return op == IR_OP_linear || op == IR_OP_conv || op == IR_OP_max_pool || op == IR_OP_avg_pool;
}

static bool is_product(ir_op op) {
  return has_epilogue(op) || op == IR_OP_attend || op == IR_OP_rope || op == IR_OP_matmul;
}

static bool is_row_op(const ir_node *node) {
  return (ir_op_get_info(node->op)->flags & (IR_FLAG_REDUCE | IR_FLAG_ROW)) != 0;
}

static bool is_elementwise(const ir_node *node) { return (ir_op_get_info(node->op)->flags & IR_FLAG_EW) != 0; }

static bool same_dims(const ir_type *a, const ir_type *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i]) return false;
  return true;
}

ir_value *cg_base(const function_lowering *fl, ir_value *value) {
  while (cg_info(fl, value)->fate == FATE_ALIAS) value = cg_info(fl, value)->base;
  return value;
}

static int64_t row_bytes(const value_info *info) {
  int64_t elements;
  return cg_inner_elements(info, &elements) ? elements * ir_dtype_bytes(info->value->type.dtype) : 0;
}

static void note(function_lowering *fl, const ir_node *node, const ir_node *consumer, bool fused, const char *reason) {
  cg_module *out = fl->low->out;
  value_info *info = cg_info(fl, node->results[0]);
  cg_decision decision = {.function = fl->function->name,
                          .loc = node->loc,
                          .producer = ir_op_get_info(node->op)->name,
                          .consumer = consumer ? ir_op_get_info(consumer->op)->name : "",
                          .fused = fused,
                          .reason = reason,
                          .saved_bytes = 2 * row_bytes(info)};
  WEIR_PUSH(fl->low->arena, out->decisions, out->decision_count, out->decision_capacity, decision);
}

static void note_all(function_lowering *fl, const ir_node *node, bool fused, const char *reason) {
  value_info *info = cg_info(fl, node->results[0]);
  for (int i = 0; i < info->use_count; i++) note(fl, node, info->users[i], fused, reason);
  if (info->is_result) note(fl, node, NULL, fused, reason);
}

// Operations per element to compute the value again from memory.
static int64_t inline_cost(const function_lowering *fl, const ir_value *value) {
  const value_info *info = cg_info(fl, value);
  if (!value->def || info->fate != FATE_INLINE) return 1;
  int64_t cost = ir_op_get_info(value->def->op)->cost;
  if (is_row_op(value->def)) return 0;  // computed once per row
  for (int i = 0; i < value->def->operand_count; i++) cost += inline_cost(fl, value->def->operands[i]);
  return cost;
}

// Passes over a row that the kernel of |root| makes: one for each reduction inside (softmax two), and the last.
static int passes_of(const function_lowering *fl, const ir_value *root) {
  int passes = 1;
  for (int i = 0; i < fl->value_count; i++) {
    const value_info *info = &fl->values[i];
    if (!info->value || !info->value->def || !is_row_op(info->value->def)) continue;
    if (info->value == root || info->group == root) passes += info->value->def->op == IR_OP_softmax ? 2 : 1;
  }
  return passes;
}

// The single root in which all users of |value| are computed; null if there are several or a user takes whole memory.
static ir_value *common_root(const function_lowering *fl, const value_info *info) {
  ir_value *root = NULL;
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (cg_takes_memory(user->op) || user->op == IR_OP_append || user->result_count != 1) return NULL;
    const value_info *result = cg_info(fl, user->results[0]);
    bool own = result->fate == FATE_ROOT || result->fate == FATE_PACKED;
    ir_value *candidate = own ? result->value : result->fate == FATE_INLINE ? result->group : NULL;
    if (!candidate || (root && root != candidate)) return NULL;
    root = candidate;
  }
  return root;
}

int cg_group_linears(const function_lowering *fl, ir_value *root, ir_node **out, int capacity) {
  int count = 0;
  for (int i = 0; i < fl->value_count; i++) {
    const value_info *info = &fl->values[i];
    if (!info->value || !info->value->def || !has_epilogue(info->value->def->op)) continue;
    if (info->value != root && !(info->fate == FATE_INLINE && info->group == root)) continue;
    if (count < capacity) out[count] = info->value->def;
    count++;
  }
  return count;
}

// Whether |value| reaches |root| through elementwise nodes of the same dims only. A kernel computes what it uses
// several times once.
static bool elementwise_path(const function_lowering *fl, const ir_value *value, const ir_value *root) {
  const value_info *info = cg_info(fl, value);
  if (value == root) return true;
  if (!info->use_count || info->is_result || info->copies > MAX_COPIES) return false;
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (!is_elementwise(user) || !same_dims(&user->results[0]->type, &value->type) ||
        !elementwise_path(fl, user->results[0], root))
      return false;
  }
  return true;
}

static bool group_has_row_op(const function_lowering *fl, const ir_value *root) { return passes_of(fl, root) > 1; }

bool cg_reduces_ahead(const function_lowering *fl, const ir_value *root) {
  for (int i = 0; i < fl->value_count; i++) {
    const value_info *info = &fl->values[i];
    if (info->value && info->value != root && info->group == root && info->fate == FATE_INLINE &&
        is_row_op(info->value->def))
      return true;
  }
  return false;
}

static bool is_weight(const function_lowering *fl, const ir_value *value) {
  return !value->def && fl->function->params[value->result].kind == IR_PARAM_WEIGHT;
}

static weir_storage weight_storage(const function_lowering *fl, const ir_value *value) {
  return fl->out->formats[value->result].storage;
}

static bool called_or_returned(const value_info *info) {
  if (info->is_result) return true;
  for (int i = 0; i < info->use_count; i++)
    if (cg_takes_memory(info->users[i]->op)) return true;
  return false;
}

static const char *why_no_root(const value_info *info) {
  if (called_or_returned(info)) return "its memory is an argument or a result";
  for (int i = 0; i < info->use_count; i++)
    if (info->users[i]->op == IR_OP_append) return "its rows go to a state";
  return "its consumers are in different kernels";
}

// Whether rope turns what the linear, and no other, gives: in the linear's kernel.
static bool is_turned(const function_lowering *fl, const ir_node *linear, ir_value *root) {
  const ir_value *turned = linear->op == IR_OP_linear ? cg_rope_product(fl, root) : NULL, *w = linear->operands[1];
  ir_node *other;
  return turned && is_weight(fl, w) && cg_is_panel(fl->out->formats[w->result]) &&
         elementwise_path(fl, linear->results[0], turned) && !cg_group_linears(fl, root, &other, 1);
}

// Whether a product's registers become |value|, element by element, through values that nothing else reads.
static bool ends_product(const function_lowering *fl, const ir_value *value) {
  const ir_node *node = value->def;
  if (!node || has_epilogue(node->op)) return node != NULL;
  for (int i = 0; is_elementwise(node) && i < node->operand_count; i++) {
    const ir_value *x = node->operands[i];
    if (cg_info(fl, x)->use_count == 1 && same_dims(&x->type, &value->type) && ends_product(fl, x)) return true;
  }
  return false;
}

// Whether |value| stands between a product and the rope that turns it.
static bool is_turned_later(const function_lowering *fl, const ir_value *value, const ir_value *root) {
  const ir_value *turned = cg_rope_product(fl, root);
  return turned && elementwise_path(fl, value, turned) && ends_product(fl, turned);
}

// Null, or why the linear can't become part of the kernel of |root|.
static const char *refuse_epilogue(const function_lowering *fl, const ir_node *linear, ir_value *root) {
  if (!root) return why_no_root(cg_info(fl, linear->results[0]));
  if (cg_info(fl, root)->fate == FATE_PACKED) return "the consumer packs rows";
  if (!is_turned(fl, linear, root)) {
    if (!is_elementwise(root->def)) return "the consumer is no elementwise kernel";
    if (!elementwise_path(fl, linear->results[0], root)) return "the consumer moves its elements";
  }
  if (group_has_row_op(fl, root)) return "the consumer reduces over rows: the whole row must be there first";
  if (linear->op == IR_OP_linear && !is_weight(fl, linear->operands[1])) return "the matrix is computed";
  ir_node *others[2];
  int count = cg_group_linears(fl, root, others, 2);
  if (count == 0) return NULL;
  if (count > 1) return "the kernel already has two products";
  if (linear->op != IR_OP_linear || others[0]->op != IR_OP_linear) return "the kernel already has a product";
  if (others[0]->operands[0] != linear->operands[0]) return "another product with another input is in the kernel";
  if (!same_dims(&others[0]->operands[1]->type, &linear->operands[1]->type))
    return "another product of other dims is in the kernel";
  if (weight_storage(fl, others[0]->operands[1]) != weight_storage(fl, linear->operands[1]) ||
      cg_linear_compute(fl, others[0]) != cg_linear_compute(fl, linear))
    return "the matrices have different storage";
  return NULL;
}

static bool is_indexed(ir_op op) { return op == IR_OP_map || op == IR_OP_fold; }

static bool reads_whole_operand(const ir_node *user) {
  return cg_takes_memory(user->op) || user->op == IR_OP_append || is_product(user->op) || is_indexed(user->op);
}

// Whether index notation asks for elements of |value| wherever its subscripts say, through movement too.
static bool feeds_indexed(const function_lowering *fl, const value_info *info) {
  for (int i = 0; i < info->use_count && info->value->type.rank; i++) {
    const ir_node *user = info->users[i];
    if (is_indexed(user->op)) return true;
    bool moves = is_free_movement(user) && cg_info(fl, user->results[0])->fate == FATE_INLINE;
    if (moves && feeds_indexed(fl, cg_info(fl, user->results[0]))) return true;
  }
  return false;
}

// Whether a consumer asks for elements of |value| where it has none and leaves out what comes of it (compute.c).
static bool feeds_choice(const function_lowering *fl, const value_info *info) {
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (user->op == IR_OP_concat || user->op == IR_OP_gather || user->op == IR_OP_element) return true;
    const value_info *result = cg_info(fl, user->results[0]);
    if (result->fate == FATE_INLINE && feeds_choice(fl, result)) return true;
  }
  return false;
}

static bool only_read_whole(const value_info *info) {
  for (int i = 0; i < info->use_count; i++)
    if (!reads_whole_operand(info->users[i])) return false;
  return true;
}

// Whether a reshape keeps the order of elements in memory: ragged axes stay in front.
static bool keeps_memory(const function_lowering *fl, const ir_node *node) {
  if (node->op != IR_OP_reshape) return false;
  const value_info *x = cg_info(fl, node->operands[0]), *y = cg_info(fl, node->results[0]);
  if (x->cls == CLASS_HISTORY || cg_is_image(fl, x->value) || cg_is_image(fl, y->value)) return false;
  return x->cls == y->cls && cg_is_row_major(x, x->ragged) && cg_is_row_major(y, y->ragged);
}

static bool has_memory(const function_lowering *fl, const ir_value *value) {
  return !value->def || cg_takes_memory(value->def->op) || value->def->op == IR_OP_append ||
         is_product(value->def->op) || !is_free_movement(value->def) ||
         (keeps_memory(fl, value->def) && has_memory(fl, value->def->operands[0]));
}

static bool is_plain_memory(const function_lowering *fl, ir_value *value) {
  while (value->def && keeps_memory(fl, value->def)) value = value->def->operands[0];
  return value->def || !is_weight(fl, value);
}

static void decide_movement(function_lowering *fl, ir_node *node, value_info *info) {
  if (called_or_returned(info)) {
    if (keeps_memory(fl, node) && has_memory(fl, node->operands[0]) && is_plain_memory(fl, node->operands[0])) {
      info->fate = FATE_ALIAS;
      info->base = node->operands[0];  // through reshapes that are computed nowhere
      while (info->base->def && keeps_memory(fl, info->base->def)) info->base = info->base->def->operands[0];
      note_all(fl, node, true, "the same memory under other dims");
      return;
    }
    info->fate = FATE_ROOT;
    note_all(fl, node, false, "its memory is an argument or a result");
    return;
  }
  info->fate = FATE_INLINE;
  info->group = common_root(fl, info);
  note_all(fl, node, true, "movement is index arithmetic");
}

static void make_root(function_lowering *fl, ir_node *node, value_info *info, const char *reason) {
  info->fate = FATE_ROOT;
  note_all(fl, node, false, reason);
}

static void decide_linear(function_lowering *fl, ir_node *node, value_info *info) {
  ir_value *root = called_or_returned(info) ? NULL : common_root(fl, info);
  const char *refused = refuse_epilogue(fl, node, root);
  if (refused) {
    make_root(fl, node, info, refused);
    return;
  }
  info->fate = FATE_INLINE;
  info->group = root;
  note_all(fl, node, true, "epilogue on the product's registers");
}

static bool in_group(const value_info *info, const ir_value *root) {
  return info->value && info->value->def && (info->value == root || (info->fate == FATE_INLINE && info->group == root));
}

// Distinct values that the kernel of |root| would read if |node| were computed in it.
static int sources_with(const function_lowering *fl, const ir_value *root, const ir_node *node) {
  int count = 0;
  bool *seen = WEIR_NEW_ARRAY(fl->low->arena, bool, fl->value_count);
  for (int i = 0; i < fl->value_count; i++) {
    const value_info *info = &fl->values[i];
    if (!in_group(info, root) && !(info->value && info->value->def == node)) continue;
    for (int k = 0; k < info->value->def->operand_count; k++) {
      const ir_value *operand = info->value->def->operands[k];
      if (seen[operand->id] || operand->def == node || in_group(cg_info(fl, operand), root)) continue;
      seen[operand->id] = true;
      count++;
    }
  }
  return count;
}

// Whether kernels over the two values have an item for each row of the same dim.
static bool same_items(const value_info *a, const value_info *b) {
  if (!a->ragged || !b->ragged) return a->cls == b->cls;
  return a->value->type.dims[a->axis] == b->value->type.dims[b->axis];
}

static const char *refuse_inline(const function_lowering *fl, const ir_node *node, const value_info *info,
                                 ir_value *root) {
  if (called_or_returned(info)) return why_no_root(info);
  if (feeds_indexed(fl, info)) return "the consumer reads it as a whole, many times";
  if (cg_has_steps(node->op) && feeds_choice(fl, info)) return "its steps would run where it has no element";
  if (!root) return only_read_whole(info) ? "the consumer reads it as a whole, many times" : why_no_root(info);
  ir_node *linear[1];
  bool product = is_product(root->def->op) || cg_group_linears(fl, root, linear, 1) > 0;
  bool epilogue =
      product && root->def->op != IR_OP_attend && root->def->op != IR_OP_rope && root->def->op != IR_OP_matmul;
  if (node->op == IR_OP_concat && node->operand_count > CG_CONCAT_OPERANDS) return "it has too many parts";
  if (sources_with(fl, root, node) > MAX_SOURCES) return "the kernel would read too many values";
  if (info->copies > MAX_COPIES) return "the kernel would compute it too many times";
  if (is_row_op(node)) {
    if (product) return "a product's kernel has no whole row";
    if (cg_reduces_rows(fl, node)) return "reduces over the ragged dim: a kernel over requests";
    if (!same_items(info, cg_info(fl, root))) return "the consumer has other rows";
    if (is_row_op(root->def) && cg_reduces_rows(fl, root->def)) return "the consumer runs over requests";
    return NULL;
  }
  if (product && !(epilogue && elementwise_path(fl, node->results[0], root)) && !is_turned_later(fl, info->value, root))
    return "the consumer reads it as a whole, many times";
  int64_t repeats = passes_of(fl, root) - 1 + info->use_count - 1;
  int64_t cost = inline_cost(fl, node->results[0]) + ir_op_get_info(node->op)->cost;
  if (repeats * cost > 2 * OPS_PER_BYTE * ir_dtype_bytes(info->value->type.dtype))
    return "repeating it in every pass costs more than the traffic";
  return NULL;
}

// A map is computed where an elementwise consumer of the same dims wants its element.
static void decide_map(function_lowering *fl, ir_node *node, value_info *info) {
  ir_value *root = called_or_returned(info) || feeds_indexed(fl, info) ? NULL : common_root(fl, info);
  ir_node *linear[1];
  bool fits = root && info->use_count == 1 && is_elementwise(root->def) && elementwise_path(fl, info->value, root) &&
              !group_has_row_op(fl, root) && !cg_group_linears(fl, root, linear, 1) &&
              sources_with(fl, root, node) <= MAX_SOURCES;
  if (!fits) {
    make_root(fl, node, info, root ? "the consumer has a kernel of another form" : why_no_root(info));
    return;
  }
  info->fate = FATE_INLINE;
  info->group = root;
  note_all(fl, node, true, "computed where it is needed");
}

// Whether nothing but products of lower precision reads |info|: then it is computed in the kernel that packs its rows.
static bool is_packed_only(const function_lowering *fl, const value_info *info) {
  if (!info->use_count || called_or_returned(info) || ends_product(fl, info->value)) return false;
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (user->op != IR_OP_linear || user->operands[0] != info->value || !cg_linear_compute(fl, user)) return false;
  }
  return !is_row_op(info->value->def) || !cg_reduces_rows(fl, info->value->def);
}

// Rows of a state that attention reads as its keys or values, widened: that is done where they are loaded.
static bool is_widened_history(const function_lowering *fl, const ir_node *node, const value_info *info) {
  if (!cg_widens(node) || cg_info(fl, node->operands[0])->cls != CLASS_HISTORY || info->is_result) return false;
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (user->op != IR_OP_attend) return false;
    for (int k = 0; k < user->operand_count; k++)
      if (user->operands[k] == info->value && k != 1 && k != 2) return false;
  }
  return true;
}

// Whether |info| follows from weights alone and is dear to compute again for each element that wants it.
static bool is_once_for_all(const function_lowering *fl, const value_info *info) {
  if (info->cls != CLASS_INVARIANT || ir_op_get_info(info->value->def->op)->cost < DEAR) return false;
  for (int i = 0; i < info->use_count; i++)
    if (cg_info(fl, info->users[i]->results[0])->cls != CLASS_INVARIANT) return true;
  return false;
}

static void decide_value(function_lowering *fl, ir_node *node, value_info *info) {
  if (is_once_for_all(fl, info)) {
    make_root(fl, node, info, "it follows from weights alone: once for all elements");
    return;
  }
  if (is_packed_only(fl, info)) {
    info->fate = FATE_PACKED;
    note_all(fl, node, true, "computed where its rows are packed");
    return;
  }
  ir_value *root = common_root(fl, info);
  if (is_widened_history(fl, node, info)) {
    info->fate = FATE_INLINE;
    info->group = root;
    note_all(fl, node, true, "widened where attention loads it");
    return;
  }
  const char *refused = refuse_inline(fl, node, info, root);
  if (refused) {
    make_root(fl, node, info, refused);
    return;
  }
  info->fate = FATE_INLINE;
  info->group = root;
  note_all(fl, node, true,
           is_row_op(node) ? "a value of the row, computed ahead in the same kernel" : "computed where it is needed");
}

// Users are decided before what they use.
static void count_copies(function_lowering *fl, value_info *info) {
  int64_t copies = 0;
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    const value_info *result = user->result_count ? cg_info(fl, user->results[0]) : NULL;
    copies += result && result->fate == FATE_INLINE ? result->copies : 1;
  }
  info->copies = copies > INT32_MAX ? INT32_MAX : (int)copies;
}

void cg_fuse(function_lowering *fl) {
  for (ir_node *node = fl->function->last; node; node = node->prev) {
    if (cg_takes_memory(node->op)) {
      for (int i = 0; i < node->result_count; i++) cg_info(fl, node->results[i])->fate = FATE_ROOT;
      continue;
    }
    value_info *info = cg_info(fl, node->results[0]);
    count_copies(fl, info);
    if (node->op == IR_OP_append || cg_is_weight_stack(fl, node->results[0])) info->fate = FATE_ROOT;
    else if (info->use_count == 0 && !info->is_result) info->fate = FATE_DEAD;
    else if (has_epilogue(node->op)) decide_linear(fl, node, info);
    else if (is_product(node->op)) make_root(fl, node, info, "a kernel of its own");
    else if (node->op == IR_OP_map) decide_map(fl, node, info);
    else if (node->op == IR_OP_fold || node->op == IR_OP_scatter) make_root(fl, node, info, "a kernel of its own");
    else if (is_free_movement(node)) decide_movement(fl, node, info);
    else decide_value(fl, node, info);
    if (info->fate == FATE_DEAD)
      for (int i = 0; i < node->operand_count; i++) {  // a dead node's operands are not used by it
        value_info *operand = cg_info(fl, node->operands[i]);
        for (int u = 0; u < operand->use_count; u++)
          if (operand->users[u] == node) operand->users[u--] = operand->users[--operand->use_count];
      }
  }
}
