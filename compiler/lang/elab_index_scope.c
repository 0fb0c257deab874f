// What a statement of index notation knows: its indices, and which value of the scratch regions is what. A value that
// comes into a region is a parameter there; here it is followed back to the index or the tensor that it stands for.
#include "compiler/lang/elab_index.h"

bool lang_index_is_param(const ir_value *value, const lang_region *region) {
  return !value->def && value->result < region->ir->param_count && region->ir->params[value->result].value == value;
}

ir_value *lang_index_origin(const lang_index_scope *scope, ir_value *value) {
  for (int r = 0; !value->def && r < scope->regions.count; r++) {
    const lang_region *region = scope->regions.data[r];
    if (!lang_index_is_param(value, region)) continue;
    for (int i = 0; i < region->captures.count; i++) {
      if (region->captures.data[i].inner == value) return region->captures.data[i].origin;
    }
  }
  return value;
}

bool lang_index_inner(const lang_index_scope *scope, const ir_value *value) {
  for (int r = 0; r < scope->regions.count; r++) {
    const lang_region *region = scope->regions.data[r];
    if (value->def ? value->def->parent == region->ir : lang_index_is_param(value, region)) return true;
  }
  return false;
}

lang_ix *lang_index_of(const lang_index_scope *scope, ir_value *value) {
  if (value->def) return NULL;
  value = lang_index_origin(scope, value);
  for (int i = 0; i < scope->indices.count; i++) {
    if (scope->indices.data[i]->param == value) return scope->indices.data[i];
  }
  return NULL;
}

lang_ix *lang_index_known(lang_frame *frame, lang_tensor_value *tensor) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = frame->function->index;
  lang_ix *own = lang_index_of(scope, tensor->value);
  if (own || !tensor->index) return own;
  for (int i = 0; i < scope->foreign.count; i++) {
    if (scope->foreign.data[i]->param == tensor->value) return scope->foreign.data[i];
  }
  lang_ix *ix = WEIR_NEW(elab->arena, lang_ix);
  const char *name = tensor->value->name ? tensor->value->name : "t";
  *ix = (lang_ix){.name = name, .span = tensor->span, .size = tensor->index, .param = tensor->value};
  ix->low = ir_dim_const(elab->module->dims, 0);
  ix->variable = ir_prover_index(scope->prover, name, ir_dim_const(ir_prover_dims(scope->prover), 0),
                                 ir_prover_import(scope->prover, tensor->index));
  LANG_PUSH(elab->arena, &scope->foreign, ix);
  return ix;
}

lang_ix *lang_index_add(lang_frame *frame, lang_region *region, const char *name, lang_span span, ir_dim low,
                        ir_dim size, const char *label) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = frame->function->index;
  lang_ix *ix = WEIR_NEW(elab->arena, lang_ix);
  *ix = (lang_ix){.name = name, .span = span, .low = low, .size = size, .label = label};
  ix->param = lang_region_param(region, name, ir_type_make(IR_i32, 0, NULL));
  int64_t lo, hi;
  ir_dim_bounds(size, &lo, &hi);
  ix->param->lo = 0;
  ix->param->hi = hi > INT32_MAX ? INT32_MAX : hi > 0 ? hi - 1 : 0;
  ix->variable = ir_prover_index(scope->prover, name, ir_dim_const(ir_prover_dims(scope->prover), 0),
                                 ir_prover_import(scope->prover, size));
  LANG_PUSH(elab->arena, &scope->indices, ix);
  LANG_PUSH(elab->arena, &scope->visible, ix);
  return ix;
}

lang_ix *lang_index_whole(lang_frame *frame, int slot, ir_dim size, const char *label, lang_span span) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = frame->function->index;
  if (slot < scope->whole_count) {
    lang_ix *ix = scope->whole[slot];
    if (lang_dim_equal(elab->module->dims, ix->size, size)) return ix;
    lang_diag *diag = lang_error(elab, LANG_W_INDEX_WHOLE_DIMS, span, ir_dim_print(elab->arena, size),
                                 ir_dim_print(elab->arena, ix->size));
    lang_note_add(elab, diag, ix->span, "the other one is here");
    return NULL;
  }
  lang_ix *ix = lang_index_add(frame, scope->root, "_", span, ir_dim_const(elab->module->dims, 0), size, label);
  ix->order = LANG_IX_WHOLE - slot;
  scope->whole[scope->whole_count++] = ix;
  return ix;
}
