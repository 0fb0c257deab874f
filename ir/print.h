// Printing with a complaint under one line: what ir_verify's messages are made of.
#ifndef WEIR_IR_PRINT_H
#define WEIR_IR_PRINT_H

#include "ir/graph.h"
#include "ir/text_buffer.h"

// Writes |function|; behind the line of |marked| (a node, an ir_param, an ir_result, or the function itself for its
// first line) stands |complaint|. |marked| may be null. Copes with modules that are broken in ways ir_verify finds.
void ir_text_function(ir_text *text, const ir_function *function, const void *marked, const char *complaint);

#endif
