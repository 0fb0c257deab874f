// An entry made ready to run on example inputs, for commands that measure: requests, sessions behind the steps that
// must come first, room for results.
#ifndef WEIR_COMPILER_DRIVER_TRIAL_H
#define WEIR_COMPILER_DRIVER_TRIAL_H

#include "compiler/driver/model.h"
#include "compiler/plan/steps.h"
#include "runtime/base/program.h"

// The sizes that --size says, for each symbol of the program; 128 or the nearest bound for others.
int cli_sizes_read(cli *c, const rt_program *program, int64_t *out_values);
// Every --size names a symbol of one of the programs; else prints what is wrong.
int cli_sizes_check(const cli *c, const rt_program *const *programs, int count);

typedef struct {
  const cli_model *model;  // must outlive the trial
  const weir_entry *entry;
  weir_entry_info info;
  int requests;
  int64_t past;                   // rows of the entry's own in a session before the call
  int64_t wanted;                 // rows that the steps before have, about
  int64_t room;                   // rows of a session
  int64_t *values, *past_values;  // of all requests, one behind the other
  weir_view *inputs, *outputs;
  weir_request *calls;
  plan_steps steps;
} cli_trial;

// |values|: a size for each symbol of the entry, of request r at |values| + r * |stride|; 0: all are alike. |past|:
// rows that a session has before the call; only of a step that makes rows. |more|: further rows that sessions are to
// have room for. Memory comes from |arena| and malloc; cli_trial_close in any case.
weir_status cli_trial_open(weir_arena *arena, const cli_model *model, const weir_entry *entry, const int64_t *values,
                           int stride, int requests, int64_t past, int64_t more, cli_trial *out) WEIR_MUST_USE;
// Whether calls of the entry add rows to a session.
bool cli_entry_grows(const weir_entry *entry);
// Empty sessions, in which those steps have run that this one waits for; nothing for entries that keep nothing.
weir_status cli_trial_begin(cli_trial *trial) WEIR_MUST_USE;
// Other sizes for the next call, in the same sessions; for all requests alike.
weir_status cli_trial_resize(cli_trial *trial, const int64_t *values) WEIR_MUST_USE;
// One call.
weir_status cli_trial_run(cli_trial *trial, weir_run_options *options) WEIR_MUST_USE;
void cli_trial_close(cli_trial *trial);

#endif
