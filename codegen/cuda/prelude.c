// The text in front of the kernels of a file: a head for GPUs or for sim, then the scalar operations of all targets.
#include "codegen/cuda/internal.h"

static const char ptx_text[] =
#include "codegen/cuda/prelude_ptx.inc"
    ;
static const char sim_text[] =
#include "codegen/cuda/prelude_sim.inc"
    ;
static const char scalar_text[] =
#include "codegen/text/prelude_scalar.inc"
    ;
static const char math_text[] =
#include "codegen/text/prelude_math.inc"
    ;
static const char trig_text[] =
#include "codegen/text/prelude_trig.inc"
    ;
static const char dot_text[] =
#include "codegen/text/prelude_dot.inc"
    ;

// Names of the preludes, of emitted text and of C++ that no variable may have.
const char *const cg_cuda_reserved[] = {
    "THREAD",   "BLOCK",       "GRID",         "KERNEL",    "SHARED",    "EXTENT",    "FENCE",
    "BARRIER",  "ANY",         "ALL",          "AT",        "MEMORY",    "BULK",      "p",
    "me",       "team",        "sums",         "apart",     "other",     "warp",      "cell",
    "cell_row", "cell_column", "sum_cell",     "from_word", "word_at",   "left_word", "right_word",
    "low_sum",  "high_sum",    "items",        "maps",      "dim3",      "float2",    "float4",
    "uint2",    "uint4",       "shared_bytes", "class",     "template",  "new",       "delete",
    "this",     "operator",    "private",      "public",    "protected", "virtual",   "friend",
    "try",      "catch",       "throw",        "typename",  "namespace", "using",     "explicit",
    "mutable",  "and",         "or",           "not",       "xor",       "true",      "false",
    "nullptr",  "export",      "constexpr",    "threadIdx", "blockIdx",  "gridDim",   "blockDim",
    "warpSize", "sim_self",    "there",        "done",      "AGAIN",     "OVER",      "WORD0",
    "WORD1",    "WORD2",       "WORD3",        NULL};

void cg_cuda_prelude(ir_text *out, cg_cuda_prelude_kind kind) {
  ir_text_puts(out, kind == CG_CUDA_SIM ? sim_text : ptx_text);
  ir_text_puts(out, scalar_text);
  char *math = weir_arena_strdup(out->arena, math_text);
  for (char *p = math; *p; p++)
    if (*p == '@') *p = 's';
  ir_text_puts(out, math);
  ir_text_puts(out, trig_text);
  if (kind == CG_CUDA_SIM) ir_text_puts(out, dot_text);
}
