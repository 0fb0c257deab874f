// Following a bound call along its records: loops are counted, their flags read, sizes that change evaluated. What runs
// the records is another's matter: a team of threads (launch.c) or a device.
#ifndef WEIR_RUNTIME_EXEC_WALK_H
#define WEIR_RUNTIME_EXEC_WALK_H

#include "runtime/exec/exec_internal.h"

typedef struct {
  int loop;
  int64_t turn, trips;
} rt_walk_frame;

typedef struct {
  const rt_bound *bound;
  // Asked before each record and each iteration: false ends the walk.
  bool (*going)(void *context);
  // Whether any request's flag is set: everything before has been done then.
  bool (*any_flag)(void *context, const rt_bound_loop *loop);
  // A launch has no valid size: the walk ends if `going` then says so.
  void (*refuse)(void *context, int launch);
  void *context;
  int at;    // next record
  int loop;  // next loop that begins at it or later
  int depth;
  rt_walk_frame frames[RT_MAX_LOOP_DEPTH];
  int64_t sizes[RT_MAX_SIZES];  // with the loops' own; filled in if there are loops
} rt_walk;

// The hooks are set; the rest is.
void rt_walk_begin(rt_walk *walk, const rt_bound *bound);
// Turns and enters loops until a record is next: |walk->at|. False at the end of the program, or where it stopped.
bool rt_walk_next(rt_walk *walk);
// Sizes of |record| in this iteration, in place: nobody else looks at them. Without any iteration nothing changes.
void rt_walk_vary(rt_walk *walk, rt_record *record);

// A launch has one entry among |options->times| for all its iterations: adds a run of it.
void rt_time_note(const rt_bound *bound, weir_run_options *options, rt_record *record, int64_t ns);
// Adds an event behind those of |thread|, or counts it as lost.
void rt_trace_note(const rt_bound *bound, weir_run_options *options, int thread, const rt_record *record,
                   weir_trace_event event);

#endif
