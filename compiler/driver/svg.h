// A picture of a graph module: its functions, who calls whom and how often, and what ops each has.
#ifndef WEIR_COMPILER_DRIVER_SVG_H
#define WEIR_COMPILER_DRIVER_SVG_H

#include "ir/graph.h"

// A whole SVG document; arena text.
const char *svg_draw_module(weir_arena *arena, const ir_module *module);

#endif
