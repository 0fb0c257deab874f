// What a session keeps for a step, for `weir explain`.
#ifndef WEIR_COMPILER_DRIVER_EXPLAIN_STATES_H
#define WEIR_COMPILER_DRIVER_EXPLAIN_STATES_H

#include "compiler/driver/cli.h"
#include "runtime/base/program.h"

// Prints a line for each kind of state unless --json; gives the same as a document.
json_t *cli_explain_states(cli *c, const rt_program *program);

#endif
