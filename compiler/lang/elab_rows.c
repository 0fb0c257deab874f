// Rows of a loop: `y[t] = e;` with the variable of a scan stacks, `x[t]` with it or with a computed integer is a row,
// pos(t) the position of a row in the whole sequence.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_control.h"
#include "ir/rules.h"

static lang_tensor_value *variable_of(const lang_frame *frame, const char *name) {
  const lang_binding *bound = lang_scope_find(frame->scope, name);
  bool is = bound && bound->kind == LANG_BINDING_CONST && bound->value.kind == LANG_V_TENSOR;
  return is && bound->value.tensor->index ? bound->value.tensor : NULL;
}

const char *lang_scan_variable(const lang_frame *frame, const lang_expr *sub) {
  const lang_region *region = frame->region;
  if (!region || !sub || sub->kind != LANG_EXPR_NAME || !variable_of(frame, sub->name)) return NULL;
  while (region && region->kind == LANG_REGION_COND) region = region->parent;
  return region && region->variable && !strcmp(region->variable, sub->name) ? region->variable : NULL;
}

void lang_scan_row(lang_frame *frame, const lang_name *name, const char *variable, lang_value row, lang_span span) {
  const lang_binding *bound = lang_scope_find(frame->scope, name->text);
  if (row.kind == LANG_V_TENSOR && !row.tensor->value->name && row.tensor->value->def)
    row.tensor->value->name = name->text;
  lang_name hidden = {weir_arena_printf(frame->elab->arena, "%s[%s]", name->text, variable), name->span};
  if (bound && bound->kind != LANG_BINDING_LOCAL) {
    lang_error(frame->elab, LANG_W_NOT_ASSIGNABLE, name->span, name->text);
    row = lang_value_error();
  }
  if (row.kind == LANG_V_NONE) {
    lang_error(frame->elab, LANG_W_NO_RESULT, span);
    row = lang_value_error();
  }
  lang_set_local(frame, &hidden, row);
}

lang_value lang_row_of(lang_frame *frame, lang_tensor_value *x, lang_tensor_value *t, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  const ir_type *type = &x->value->type;
  if (!type->rank) {
    lang_error(elab, LANG_W_TOO_MANY_SUBSCRIPTS, span, lang_tensor_text(elab->arena, x));
    return lang_value_error();
  }
  if (t->value->type.rank || t->value->type.dtype != IR_i32) {
    lang_error(elab, LANG_W_BAD_INDEX, span, lang_value_describe(elab->arena, lang_of_tensor(t)));
    return lang_value_error();
  }
  bool inside = t->index ? lang_dim_decide(dims, LANG_OP_LE, t->index, type->dims[0]) == 1
                         : ir_value_below(t->value, type->dims[0]);
  if (!inside) {
    lang_diag *diag = lang_error(elab, LANG_W_UNPROVED_INDEX, span, ir_dim_print(elab->arena, type->dims[0]));
    if (t->index) lang_note_add(elab, diag, t->span, "it runs to %s", ir_dim_print(elab->arena, t->index));
    else if (t->value->lo <= t->value->hi)
      lang_note_add(elab, diag, t->span, "it is known to be in %" PRId64 "..=%" PRId64, t->value->lo, t->value->hi);
    lang_note_add(elab, diag, (lang_span){0}, "clamp(i, 0, n - 1) brings it within bounds");
    return lang_value_error();
  }
  if (t->index != type->dims[0]) lang_axis_rule(frame, x, 0, "an index", span);
  lang_value v = lang_build(frame, IR_OP_element, (lang_tensor_value *[]){x, t}, 2, NULL, 0, span);
  if (v.kind == LANG_V_TENSOR) memcpy(v.tensor->labels, x->labels + 1, (IR_MAX_RANK - 1) * sizeof *x->labels);
  return v;
}

lang_value lang_pos_of(lang_frame *frame, lang_tensor_value *t, lang_span span) {
  if (!lang_dim_seq(t->index, frame->elab->module->dims)) return lang_of_tensor(t);
  lang_region *inside = lang_region_leave(frame);
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, t->index);
  lang_value pos = lang_build_here(frame, IR_OP_pos, NULL, 0, &attr, 1, span);
  lang_region_enter(frame, inside);
  if (pos.kind != LANG_V_TENSOR) return pos;
  return lang_build(frame, IR_OP_element, (lang_tensor_value *[]){pos.tensor, t}, 2, NULL, 0, span);
}
