// The text in front of all kernels of a file: types, scalar and vector operations, mathematics.
//
// The texts are C in string form (prelude_*.inc). The mathematics is written once with '@' for the shape, and printed
// for one lane (s) and for sixteen (v), so that both have the same bits. Functions for masked, strided and scattered
// memory come only for the element types that need them: every kernel file pays for what stands here.
#include <string.h>

#include "codegen/cpu/internal.h"

static const char head_text[] =
#include "codegen/cpu/prelude_head.inc"
    ;
static const char base_text[] =
#include "codegen/text/prelude_scalar.inc"
    ;
static const char trig_text[] =
#include "codegen/text/prelude_trig.inc"
    ;
static const char vector_text[] =
#include "codegen/cpu/prelude_vector.inc"
    ;
static const char memory_text[] =
#include "codegen/cpu/prelude_memory.inc"
    ;
static const char dot_text[] =
#include "codegen/cpu/prelude_dot.inc"
    ;
static const char scalar_dot_text[] =
#include "codegen/text/prelude_dot.inc"
    ;
static const char matrix_text[] =
#include "codegen/cpu/prelude_matrix.inc"
    ;
static const char vector_trig_text[] =
#include "codegen/cpu/prelude_vector_trig.inc"
    ;
static const char math_text[] =
#include "codegen/text/prelude_math.inc"
    ;

static void put_math(ir_text *out, char shape) {
  char *text = weir_arena_strdup(out->arena, math_text);
  for (char *p = text; *p; p++)
    if (*p == '@') *p = shape;
  ir_text_puts(out, text);
}

void cg_prelude(ir_text *out, const bool memory[IR_KT_COUNT], bool dots, bool matrices) {
  ir_text_puts(out, head_text);
  ir_text_puts(out, base_text);
  put_math(out, 's');
  ir_text_puts(out, trig_text);
  ir_text_puts(out, vector_text);
  ir_text_puts(out, memory_text);
  put_math(out, 'v');
  if (dots) ir_text_puts(out, scalar_dot_text);
  if (dots) ir_text_puts(out, dot_text);
  if (matrices) ir_text_puts(out, matrix_text);
  ir_text_puts(out, vector_trig_text);
  for (int t = 0; t < IR_KT_COUNT; t++) {
    if (!memory[t]) continue;
    ir_ktype type = (ir_ktype)t;
    const char *name = ir_ktype_name(type), *c_type = cg_memory_type(type);
    // Plain words have masked forms of their own.
    if (type != IR_KT_f32 && type != IR_KT_i32 && type != IR_KT_u32)
      ir_text_printf(out, "MASKED_MEMORY(%c, %s, %s)\n", cg_rep(type), name, c_type);
    ir_text_printf(out, "SCATTERED_MEMORY(%c, %s, %s)\n", cg_rep(type), name, c_type);
  }
}
