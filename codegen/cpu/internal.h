// What the files of the CPU printer share, beside codegen/text/code.h.
#ifndef WEIR_CODEGEN_CPU_INTERNAL_H
#define WEIR_CODEGEN_CPU_INTERNAL_H

#include "codegen/text/code.h"

// ---- emit.c
extern const cg_target cg_cpu_target;
// The function |name|: the kernel, or what has some of its items.
void cg_emit(cg_code *c, ir_text *out, const char *name);
void cg_emit_head(ir_text *out, const char *name);

// ---- print.c
typedef struct {
  const char *text;
  size_t bytes;
  bool memory[IR_KT_COUNT], dots, matrices;  // what it asks of the prelude
} cg_printed;
weir_status cg_print_kernel(weir_arena *arena, const ir_kernel *kernel, cg_printed *out) WEIR_MUST_USE;
const char *cg_print_file(weir_arena *arena, const cg_printed *const *kernels, int count);

// ---- prelude.c
void cg_prelude(ir_text *out, const bool memory[IR_KT_COUNT], bool dots, bool matrices);

#endif
