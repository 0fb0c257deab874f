// The chain of a dim: from a value back through the ops that kept one of its axes, to the op, parameter or argument
// that said its size. Reads the graph that has been built so far; says at most six notes.
#include <string.h>

#include "compiler/lang/elab_impl.h"

typedef struct {
  lang_elab *elab;
  lang_diag *diag;
  const lang_function *function;  // whose uses tell slots
  const char *size;               // the dim, printed
  int notes;
} chain;

static lang_span loc_span(const lang_elab *elab, ir_loc loc) {
  if (!loc.file || loc.line < 1) return (lang_span){0};
  for (int i = 0; i < elab->diags->source_count; i++) {
    const lang_source *source = elab->diags->sources[i];
    if (!source || source->path != loc.file || loc.line > source->line_count) continue;
    size_t length, column = (size_t)loc.column - 1, start = source->lines[loc.line - 1];
    lang_source_line(source, loc.line, &length);
    return lang_source_span(source, start + (column < length ? column : length),
                            start + (column < length ? column + 1 : length));
  }
  return (lang_span){0};
}

bool lang_axis_origin(const ir_node *node, int *axis, int *operand) {
  const ir_op_info *info = ir_op_get_info(node->op);
  int rank = node->results[0]->type.rank, from_end = rank - 1 - *axis;
  *operand = 0;
  if (info->flags & IR_FLAG_EW) {
    for (int i = 0; i < node->operand_count; i++) {
      int operand_rank = node->operands[i]->type.rank;
      if (operand_rank <= from_end) continue;
      *operand = i;
      *axis = operand_rank - 1 - from_end;
      return true;
    }
    return false;
  }
  switch (node->op) {
    case IR_OP_softmax:
    case IR_OP_rope:
      return true;
    case IR_OP_linear:
      if (*axis == rank - 1) *operand = 1, *axis = 0;
      return true;
    case IR_OP_attend:
      if (*axis == 2) *operand = 2;
      return true;
    case IR_OP_permute:
      *axis = (int)node->attrs[0].ints[*axis];
      return true;
    case IR_OP_last:
      ++*axis;
      return true;
    case IR_OP_concat:
    case IR_OP_slice:
      return node->attrs[0].i != *axis;
    case IR_OP_broadcast:
      *axis -= rank - node->operands[0]->type.rank;
      return *axis >= 0;
    case IR_OP_gather:
      if (*axis < node->operands[1]->type.rank) *operand = 1;
      else *axis -= node->operands[1]->type.rank - 1;
      return true;
    case IR_OP_append:
      return *axis > 0;
    case IR_OP_matmul:
      if (*axis == rank - 1) *operand = 1, *axis = node->operands[1]->type.rank - 1;
      else *axis -= rank - node->operands[0]->type.rank;
      return *axis >= 0;
    default:
      if (!(info->flags & IR_FLAG_REDUCE)) return false;
      for (int i = 0; i < node->attrs[0].count; i++) *axis += node->attrs[0].ints[i] <= *axis;
      return true;
  }
}

// A name in a declared type that is a parameter of the slot's block: where it was given.
static void note_argument(chain *c, const lang_slot *slot, int axis) {
  if (axis < 0 || axis >= slot->type->subs.count) return;
  const lang_expr *sub = slot->type->subs.data[axis].low;
  const lang_instance *owner = slot->owner;
  if (!sub || sub->kind != LANG_EXPR_NAME) return;
  for (int i = 0; i < owner->params->count; i++) {
    if (owner->params->data[i].name.text != sub->name && strcmp(owner->params->data[i].name.text, sub->name) != 0)
      continue;
    lang_note_add(c->elab, c->diag, owner->arg_spans[i], "%s is %s here", sub->name, c->size);
    c->notes++;
  }
}

static const lang_function *function_of(const lang_elab *elab, const ir_function *ir) {
  for (int i = 0; i < elab->functions.count; i++) {
    if (elab->functions.data[i]->ir == ir) return elab->functions.data[i];
  }
  return NULL;
}

static void note_param(chain *c, const ir_value *value, int axis) {
  const lang_function *function = c->function;
  for (int i = 0; function && i < function->uses.count; i++) {
    const lang_usage *use = &function->uses.data[i];
    if (use->param != value) continue;
    lang_note_add(c->elab, c->diag, use->slot->span, "%s is dim %d of %s", c->size, axis, use->slot->path);
    c->notes++;
    note_argument(c, use->slot, axis - (use->slot->over != NULL));
    return;
  }
  if (value->name) {
    lang_note_add(c->elab, c->diag, (lang_span){0}, "%s is dim %d of the argument %s", c->size, axis, value->name);
    c->notes++;
  }
}

void lang_note_dim(lang_elab *elab, lang_diag *diag, const lang_function *function, const ir_value *value, int axis,
                   const char *who) {
  if (axis < 0 || axis >= value->type.rank) return;
  chain c = {elab, diag, function, ir_dim_print(elab->arena, value->type.dims[axis]), 0};
  for (int hops = 0; c.notes < 6 && hops < 200; hops++) {
    const ir_node *node = value->def;
    if (!node) {
      note_param(&c, value, axis);
      return;
    }
    if (node->op == IR_OP_call) {
      lang_note_add(elab, diag, loc_span(elab, node->loc), "%s%s comes out of %s here", who, c.size,
                    node->callee->name);
      c.notes++;
      c.function = function_of(elab, node->callee);
      value = node->callee->results[value->result].value;
      continue;
    }
    int operand;
    if (!lang_axis_origin(node, &axis, &operand)) {
      lang_note_add(elab, diag, loc_span(elab, node->loc), "%s%s is made by %s here", who, c.size,
                    ir_op_get_info(node->op)->name);
      return;
    }
    value = node->operands[operand];
  }
}
