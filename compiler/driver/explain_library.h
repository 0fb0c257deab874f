// What `weir explain` says of products by a library: which of them may be, and what was measured.
#ifndef WEIR_COMPILER_DRIVER_EXPLAIN_LIBRARY_H
#define WEIR_COMPILER_DRIVER_EXPLAIN_LIBRARY_H

#include "compiler/driver/model.h"

// Of a text: whether its plan allows it, and for how many products. A text has no table of choices.
void cli_explain_library(cli *c, const plan_unit *unit, json_t *document);
// Of a package, whose section `tuning` is the table. The exit code.
int cli_explain_package(cli *c, const char *path);

#endif
