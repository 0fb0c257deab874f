// How rows of states lie: one behind the other, or in panels of RT_PANEL_ROWS positions (runtime/base/program.h), so
// that a vector register holds the same element of neighbouring rows. A state is laid in panels where attention reads
// it as keys and nothing else reads it; whoever reads or writes elements asks cg_panel_row_index where they are.
#include <string.h>

#include "codegen/lower/internal.h"

enum { USE_KEYS = 1, USE_OTHER = 2 };

static unsigned uses_of(const ir_function *function, const ir_value *value);

static unsigned uses_in_callee(const ir_function *function, const ir_node *call, int operand) {
  const ir_function *callee = call->callee;
  unsigned uses = uses_of(callee, callee->params[operand].value);
  for (int i = 0; i < callee->result_count; i++)
    if (callee->results[i].state == operand) uses |= uses_of(function, call->results[i]);
  return uses;
}

int cg_panel_word_elements(ir_dtype dtype, int64_t elements) {
  int bytes = ir_dtype_bytes(dtype);
  return rt_state_word((rt_dtype)dtype, elements * bytes) / bytes;
}

// Keys may be read through a cast that changes no value.
bool cg_widens(const ir_node *node) {
  ir_dtype from = node->operands[0]->type.dtype, to = node->results[0]->type.dtype;
  return node->op == IR_OP_cast && ir_dtype_is_float(from) && to == IR_f32 && ir_dtype_bytes(from) < 4;
}

// Words of keys must not stand astride two heads, and bytes are read by whole words of four.
static bool takes_panels(const ir_type *k) {
  if (k->rank != 3 || !ir_dtype_is_float(k->dtype)) return false;
  int64_t heads = cg_const_dim(k->dims[1]), depth = cg_const_dim(k->dims[2]);
  if (heads <= 0 || depth <= 0) return false;
  int word = cg_panel_word_elements(k->dtype, heads * depth), bytes = ir_dtype_bytes(k->dtype);
  return depth % word == 0 && (bytes > 1 || word * bytes == 4);
}

static unsigned uses_of(const ir_function *function, const ir_value *value) {
  unsigned uses = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) {
      if (node->operands[i] != value) continue;
      int at = cg_region_param(node, i);
      if (node->op == IR_OP_append && i == 0) uses |= uses_of(function, node->results[0]);
      else if (node->op == IR_OP_attend && i == 1) uses |= USE_KEYS;
      else if (cg_widens(node)) uses |= uses_of(function, node->results[0]);
      else if (node->op == IR_OP_call) uses |= uses_in_callee(function, node, i);
      else if (at >= 0 && (node->op == IR_OP_scan || node->op == IR_OP_cond))
        uses |= uses_of(node->callee, node->callee->params[at].value) |
                (node->second ? uses_of(node->second, node->second->params[at].value) : 0);
      else uses |= USE_OTHER;
    }
  }
  return uses;
}

bool cg_state_takes_panels(const ir_module *module, const ir_param *param) {
  unsigned uses = 0;
  if (!param->rows || !takes_panels(&param->value->type)) return false;
  for (int f = 0; f < module->function_count; f++) {
    const ir_function *fn = module->functions[f];
    if (fn->kind != IR_FUNCTION_ENTRY && fn->kind != IR_FUNCTION_STEP) continue;
    for (int i = 0; i < fn->param_count; i++)
      if (fn->params[i].kind == IR_PARAM_STATE && !strcmp(fn->params[i].name, param->name))
        uses |= uses_of(fn, fn->params[i].value);
  }
  return uses == USE_KEYS;
}

ir_value *cg_panel_keys(const function_lowering *fl, ir_value *value) {
  while (value->def && cg_info(fl, value)->fate == FATE_INLINE && cg_widens(value->def))
    value = value->def->operands[0];
  const value_info *info = cg_info(fl, value);
  bool panels = info->cls == CLASS_HISTORY && info->slot >= 0 && cg_slot_in_panels(fl, &fl->out->slots[info->slot]);
  return panels ? value : NULL;
}

bool cg_slot_in_panels(const function_lowering *fl, const slot *at) {
  if (at->kind != SLOT_PARAM || fl->function->params[at->index].kind != IR_PARAM_STATE) return false;
  return fl->out->formats[at->index].layout == CG_LAYOUT_PANEL;
}

const ir_kexpr *cg_panel_row_index(ir_kbuilder *b, const ir_kexpr *row, const ir_kexpr *at, const ir_kexpr *elements,
                                   int word) {
  const ir_kexpr *rows = ir_kb_int(b, RT_PANEL_ROWS), *per = ir_kb_int(b, word);
  const ir_kexpr *panel = ir_kb_mul(b, ir_kb_div(b, row, rows), ir_kb_mul(b, elements, rows));
  const ir_kexpr *line = ir_kb_mul(b, ir_kb_div(b, at, per), ir_kb_mul(b, rows, per));
  const ir_kexpr *place = ir_kb_add(b, ir_kb_mul(b, ir_kb_mod(b, row, rows), per), ir_kb_mod(b, at, per));
  return ir_kb_add(b, ir_kb_add(b, panel, line), place);
}
