// What scan and cond share: values that enter or leave a region, and the places of a frame that a body replaces.
#ifndef WEIR_COMPILER_LANG_ELAB_CONTROL_H
#define WEIR_COMPILER_LANG_ELAB_CONTROL_H

#include "compiler/lang/elab_impl.h"

// A tensor; numbers become f32 or i32, as |like| if that is a tensor. Null after a report.
lang_tensor_value *lang_carried_tensor(lang_frame *frame, lang_value value, const lang_tensor_value *like,
                                       const char *name, lang_span span);
bool lang_carried_same(const lang_tensor_value *a, const lang_tensor_value *b);  // type and `f`
// |value| with the labels and the lateness of |like|.
lang_tensor_value *lang_carried_wrap(lang_frame *frame, ir_value *value, const lang_tensor_value *like, lang_span span);
static inline lang_value lang_of_tensor(lang_tensor_value *tensor) {
  return (lang_value){.kind = LANG_V_TENSOR, .tensor = tensor};
}

// What lies around a body while it is run.
typedef struct {
  lang_scope *scope, *locals;
  lang_region *region;
} lang_outer;
lang_outer lang_body_enter(lang_frame *frame, lang_region *region);
void lang_body_leave(lang_frame *frame, lang_outer was);

#endif
