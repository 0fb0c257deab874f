// Codes of quantised panels to fragments of bf16 in registers, without shared memory between: what a matrix unit takes
// of 16 outputs and 16 inputs. Weights have the values that panel.c gives them in float32, rounded to bf16.
#ifndef WEIR_CODEGEN_LOWER_BLOCK_CODES_H
#define WEIR_CODEGEN_LOWER_BLOCK_CODES_H

#include "codegen/lower/panel_internal.h"
#include "ir/kernel_block.h"

// One panel, of which the thread has two neighbouring lanes: rows g and g + 8 of the fragment.
typedef struct {
  const panel_format *format;
  int buffer;
  const ir_kexpr *base;       // words in front of the block
  const ir_kexpr *lane;       // the even one
  const ir_kexpr *scales[2];  // f32, of a format with a scale for each row; else null
  // Of the thread, made by cg_codes_begin: which half of a group's codes it has, and which bytes of it.
  const ir_kexpr *half, *shift, *pick;
} cg_codes;
// |quad|: the thread's number in its four.
void cg_codes_begin(ir_kbuilder *b, weir_storage storage, const ir_kexpr *quad, cg_codes *out);
// The fragments of inputs |part| * 32 to |part| * 32 + 31 of the block into |a|, [.., 4] words, |at| and the next;
// |upper|: |part| is one of the last four of eight.
void cg_codes_fragments(ir_kbuilder *b, const cg_codes *c, const ir_kexpr *part, bool upper, ir_kvar *a, int at);

#endif
