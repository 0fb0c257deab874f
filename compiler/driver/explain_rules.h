// What `weir explain` says about rules.
#ifndef WEIR_COMPILER_DRIVER_EXPLAIN_RULES_H
#define WEIR_COMPILER_DRIVER_EXPLAIN_RULES_H

#include "compiler/driver/cli.h"
#include "compiler/plan/build.h"

// Prints the rules that applied, and those of the model that did not, each with its place and the places where it
// applied; adds "rules" to |document|. After plan_front.
void cli_explain_rules(cli *c, const plan_unit *unit, json_t *document);

#endif
