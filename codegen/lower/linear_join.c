// Products that read the same rows, as q, k and v do, are one launch: items of the first, then of the second ... Each
// keeps its own schedule, epilogue and order of additions; they share the rows while those are in cache, and threads
// find work for all of them behind one wait.
//
// Pairs of matrices keep to themselves: with more in one kernel the C compiler has no registers left for their sums.
// The launch stands where the first of them stood, so whatever else the others read must be in memory by then.
#include "codegen/lower/linear_internal.h"

enum {
  MAX_DEPTH = 16,       // of what an epilogue computes
  SHARED_ARGS = 5 + 4,  // pointers that parts have in common: packed rows; tables of requests, rows and angles
};

typedef struct {
  const function_lowering *fl;
  const ir_node *from;  // the first of the parts
  int args;
} joining;

// Whether |value| is made by |from| or behind it.
static bool is_later(const joining *j, const ir_value *value) {
  for (const ir_node *node = j->from; node; node = node->next)
    if (node == value->def) return true;
  return false;
}

static bool in_group(const value_info *info, const ir_value *root) {
  return info->value == root || (info->fate == FATE_INLINE && info->group == root);
}

// Whether an operand of an epilogue can be had where the launch will stand.
static bool is_there(joining *j, ir_value *value, int depth) {
  ir_value *base = cg_base(j->fl, value);
  const value_info *info = cg_info(j->fl, base);
  if (depth > MAX_DEPTH) return false;
  if (!base->def) return j->args++, true;
  if (base->def->op == IR_OP_pos || base->def->op == IR_OP_constant) return true;
  if (info->fate == FATE_ROOT) return j->args++, !is_later(j, base);
  bool inside = info->fate == FATE_INLINE && base->def->result_count == 1;
  for (int i = 0; i < base->def->operand_count && inside; i++) inside = is_there(j, base->def->operands[i], depth + 1);
  return inside;
}

static bool part_is_there(joining *j, const ir_value *root, const ir_value *x) {
  for (int i = 0; i < j->fl->value_count; i++) {
    const value_info *info = &j->fl->values[i];
    if (!info->value || !info->value->def || !in_group(info, root)) continue;
    for (int k = 0; k < info->value->def->operand_count; k++) {
      ir_value *operand = info->value->def->operands[k];
      if (operand != x && !in_group(cg_info(j->fl, operand), root) && !is_there(j, operand, 0)) return false;
    }
  }
  j->args += 3;  // the result; few rows that are turned: their room and counters
  return true;
}

static cg_layout layout_of(const function_lowering *fl, const ir_node *linear) {
  return fl->out->formats[linear->operands[1]->result].layout;
}

static bool joins(const function_lowering *fl, ir_value *root, const linear_part *first, linear_part *out) {
  const value_info *info = cg_info(fl, root);
  const ir_node *linear = first->linears[0];
  if (info->fate != FATE_ROOT || info->is_lowered || cg_tail_of(fl, root)) return false;
  out->root = root;
  out->matrices = cg_group_linears(fl, root, out->linears, 2);
  if (out->matrices != 1 || out->linears[0]->op != IR_OP_linear) return false;
  if (out->linears[0]->operands[0] != linear->operands[0] || !cg_is_panel_linear(fl, root, out->linears[0]))
    return false;
  return cg_linear_compute(fl, out->linears[0]) == cg_linear_compute(fl, linear) &&
         layout_of(fl, out->linears[0]) == layout_of(fl, linear);
}

int cg_linear_join(function_lowering *fl, linear_part *parts) {
  ir_value *x = parts[0].linears[0]->operands[0];
  const value_info *info = cg_info(fl, x);
  joining j = {.fl = fl, .from = parts[0].linears[0], .args = SHARED_ARGS};
  int count = 1;
  if (fl->low->options->blocks || parts[0].matrices > 1 || !part_is_there(&j, parts[0].root, x)) return 1;
  for (int i = 0; i < info->use_count && count < CG_MAX_PARTS; i++) {
    const ir_node *user = info->users[i];
    if (user->op != IR_OP_linear || user->operands[0] != x) continue;
    const value_info *result = cg_info(fl, user->results[0]);
    ir_value *root = result->fate == FATE_ROOT ? result->value : result->fate == FATE_INLINE ? result->group : NULL;
    bool known = !root;
    for (int k = 0; k < count; k++) known |= parts[k].root == root;
    if (known || !joins(fl, root, &parts[0], &parts[count])) continue;
    joining before = j;
    if (part_is_there(&j, root, x) && j.args <= RT_MAX_ARGS) cg_info(fl, parts[count++].root)->is_lowered = true;
    else j = before;
  }
  return count;
}
