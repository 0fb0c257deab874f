// The energy that the processor's packages take, where the system lets this process read it: Linux' powercap (RAPL),
// else the counter of perf.
#ifndef WEIR_COMPILER_DRIVER_ENERGY_H
#define WEIR_COMPILER_DRIVER_ENERGY_H

#include "runtime/base/arena.h"

enum { CLI_MAX_PACKAGES = 16 };

typedef struct {
  const char *source;  // "powercap", "perf"; null: not readable, and |why| says why
  const char *why;
  int count;
  const char *paths[CLI_MAX_PACKAGES];  // powercap: of counters in microjoules, which begin anew past |ranges|
  double ranges[CLI_MAX_PACKAGES], last[CLI_MAX_PACKAGES];
  int counter;  // perf: a descriptor, else -1
  double scale, joules;
} cli_energy;

// cli_energy_close in any case.
void cli_energy_open(weir_arena *arena, cli_energy *out);
// Joules since it was opened, of the whole machine: what else runs counts too. Must be called more often than counters
// begin anew (minutes). Below 0: not readable.
double cli_energy_joules(cli_energy *energy);
void cli_energy_close(cli_energy *energy);

#endif
