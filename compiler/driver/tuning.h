// What a package says of the schedules that were searched for it (compiler/plan/tune.h), as lines of text.
#ifndef WEIR_COMPILER_DRIVER_TUNING_H
#define WEIR_COMPILER_DRIVER_TUNING_H

#include "compiler/driver/cli.h"
#include "runtime/package/package.h"

// The section `tuning`; null where there is none, or where it is damaged.
json_t *cli_tuning_read(const rt_package *package);

// Summary, what was kept and, if |all|, what was not, line by line.
void cli_tuning_lines(weir_arena *arena, const json_t *tuning, bool all, void (*line)(void *user, const char *text),
                      void *user);

#endif
