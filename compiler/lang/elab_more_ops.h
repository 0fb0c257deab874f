// Functions of the text for ops along an axis, for windows, bits and signals. elab_builtin.c looks them up in one
// table; helpers here read settings: build-time numbers that are positional or named.
#ifndef WEIR_COMPILER_LANG_ELAB_MORE_OPS_H
#define WEIR_COMPILER_LANG_ELAB_MORE_OPS_H

#include "compiler/lang/elab_impl.h"

const lang_builtin *lang_more_builtins(int *out_count);

// The setting |name|: named, or at |position| (-1: named only). Kind NONE where it is absent.
lang_value lang_more_setting(const lang_call *call, const char *name, int position, const lang_expr **out_expr);
// An integer, or a list of |count|: one for all or one each. |fallback| where it is absent. False after a report.
bool lang_more_ints(lang_frame *frame, const lang_call *call, const char *name, int position, int64_t fallback,
                    int count, int64_t *out);
bool lang_more_flag(lang_frame *frame, const lang_call *call, const char *name, bool *out);
// The axis of `over`, else |fallback| (from the end where negative); -1 after a report. Checks its role.
int lang_more_axis(lang_frame *frame, const lang_tensor_value *x, const lang_call *call, int fallback);

lang_value lang_builtin_conv(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_pool(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_resize(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_upsample(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_pad(lang_frame *frame, const lang_builtin *self, const lang_call *call);

#endif
