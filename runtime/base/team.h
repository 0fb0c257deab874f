// Team: a fixed set of threads that run one function together (SPMD), over and over.
//
// The caller is thread 0; the others are created once. Between runs they spin for some tens of microseconds, then sleep
// on a futex; inside a run nobody sleeps for long: barriers spin, yield when the machine has fewer free cores than the
// team has threads, and sleep only when somebody is very late. One run at a time, started by one thread at a time; a
// team belongs to no thread in particular. Nothing is allocated after create.
#ifndef WEIR_RUNTIME_BASE_TEAM_H
#define WEIR_RUNTIME_BASE_TEAM_H

#include "runtime/base/alloc.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_TEAM_MAX_THREADS = 1024 };

typedef struct rt_team rt_team;
typedef void (*rt_team_fn)(void *context, int thread, int thread_count);

// Cores that this process may use: its affinity mask, one for each physical core, not more than its control group's
// quota. At least 1.
int rt_team_default_threads(void);

// |threads| 0 means rt_team_default_threads(). When |pin| and the team has a thread for every processor that the
// process may use, each created thread is bound to one; the caller's own affinity is left alone. INVALID_ARGUMENT past
// RT_TEAM_MAX_THREADS; IO if a thread cannot be created (then none is left).
weir_status rt_team_create(int threads, bool pin, const weir_allocator *allocator, rt_team **out_team) WEIR_MUST_USE;
// Ends and joins the threads. Null is allowed. Not during a run.
void rt_team_destroy(rt_team *team);
int rt_team_thread_count(const rt_team *team);

// Calls |fn| once on every thread, returns when all have returned. What the caller wrote before is visible to all, what
// they wrote is visible to it.
void rt_team_run(rt_team *team, rt_team_fn fn, void *context);

// Inside a run: returns when all threads of the team have called it. Every thread must call it equally often.
void rt_team_barrier(rt_team *team, int thread);

#ifdef __cplusplus
}
#endif
#endif
