// Where the time of a call goes, kernel by kernel, from one measured run: what threads worked, what they waited, and
// which limit of the machine that was near to.
#ifndef WEIR_COMPILER_DRIVER_PERF_H
#define WEIR_COMPILER_DRIVER_PERF_H

#include "compiler/driver/cost.h"
#include "compiler/driver/trial.h"

// Of all launches of a kernel.
typedef struct {
  double wall_s;     // until the last thread was done and all had met; 0: it did not run
  double longest_s;  // of the thread that worked longest in each launch
  double mean_s;     // of a thread
  double alone_s;    // of launches that one of several threads did by itself
  bool complete;     // every launch was seen: longest and mean can be relied on
} cli_kernel_time;

// Runs the trial a few times and keeps the fastest run. |out|: one for each kernel of the entry's program, in its
// order.
weir_status cli_perf_measure(cli *c, cli_trial *trial, cli_kernel_time *out) WEIR_MUST_USE;
// Why it is not faster: the limit that it is near to, or what keeps it from one. Arena text.
const char *cli_perf_why(weir_arena *arena, const cli_kernel_cost *cost, const cli_kernel_time *time,
                         const cli_roof *roof);

#endif
