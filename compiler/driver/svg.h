// A model as an SVG picture: entries and steps side by side, blocks as boxes in boxes, dims on the edges.
#ifndef WEIR_COMPILER_DRIVER_SVG_H
#define WEIR_COMPILER_DRIVER_SVG_H

#include "ir/graph.h"

// A whole SVG document of all entries and steps, or of |entry|; arena text. The same for the same module.
const char *svg_draw_module(weir_arena *arena, const ir_module *module, const char *entry);

#endif
