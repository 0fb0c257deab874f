// What the files of the CUDA printer share, beside codegen/text/code.h.
#ifndef WEIR_CODEGEN_CUDA_INTERNAL_H
#define WEIR_CODEGEN_CUDA_INTERNAL_H

#include "codegen/cuda/print.h"
#include "codegen/text/code.h"

enum { CG_CUDA_STATIC_SHARED = 48 * 1024, CG_CUDA_TEAM_LOCAL = 8 * 1024 };

// The kernel being printed. |code| is first, so that a cg_code of this printer is one.
typedef struct {
  cg_code code;
  cg_target target;
  cg_cuda_kernel *out;
  cg_cuda_prelude_kind prelude;
  bool local_shared;   // LOCAL buffers are in shared memory
  bool sums;           // reductions above a warp: an array in shared memory
  bool waits_itself;   // somewhere in its text; what is not fixed then may change while it runs: no read-only path
  const char **forms;  // definitions of wgmma forms used, each once
  int form_count, form_capacity;
} cg_cuda_code;

static inline cg_cuda_code *cg_cuda_of(cg_code *c) { return (cg_cuda_code *)(void *)c; }

// ---- fence.c: sets |fence| and |split| of the expanded statements of an item kernel
void cg_cuda_fences(cg_code *c);
// ---- emit.c
void cg_cuda_emit_load(cg_code *c, ir_text *out, const cg_node *node);
void cg_cuda_emit_stmt(cg_code *c, ir_text *out, const cg_stmt *s, int indent);
void cg_cuda_emit_fence(cg_code *c, ir_text *out, int indent);
void cg_cuda_emit(cg_cuda_code *k, ir_text *out);
// "ld", "ldc", "lds" or "ldk", as the buffer lies.
const char *cg_cuda_load_name(cg_code *c, int buffer);
bool cg_cuda_is_shared(cg_code *c, int buffer);
// "view, index" as the operands of an access.
void cg_cuda_emit_operands(cg_code *c, ir_text *out, int buffer, ir_ktype type, cg_node *request, cg_node *index);
// ---- maps.c
weir_status cg_cuda_map_facts(weir_arena *arena, const ir_kernel *kernel, const char **out_text) WEIR_MUST_USE;
// ---- emit_block.c
void cg_cuda_emit_block(cg_code *c, ir_text *out, const cg_stmt *s, int indent);
// ---- prelude.c
void cg_cuda_prelude(ir_text *out, cg_cuda_prelude_kind kind);
extern const char *const cg_cuda_reserved[];

#endif
