// The host's queue: what host.c makes and launch.c runs on.
#ifndef WEIR_RUNTIME_EXEC_HOST_H
#define WEIR_RUNTIME_EXEC_HOST_H

#include "runtime/base/team.h"
#include "runtime/exec/exec_internal.h"

typedef struct {
  rt_queue base;
  rt_team *team;
  uint8_t *scratch;
  size_t scratch_bytes;   // as allocated
  size_t scratch_stride;  // of a thread
} rt_host_queue;

// Runs the records on the team. CANCELLED, INTERNAL (a kernel refused).
weir_status rt_host_launch(rt_queue *queue, rt_bound *bound, weir_run_options *options) WEIR_MUST_USE;

#endif
