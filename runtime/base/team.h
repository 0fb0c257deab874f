// Team: a fixed set of threads that works off jobs, phase by phase.
//
// A job is a sequence of phases, each a number of chunks that any thread may do, in any order and at the same time. The
// thread that finishes the last chunk of a phase says what the next one is, without a hand-over: it may also do small
// work itself there, which then costs no other thread anything. So completion is counted in work done, not in threads
// arrived: one that the system has put off its core holds up nobody unless it holds chunks, and then a thread that
// waits gives it its own core (docs/adr/0034).
//
// The caller is thread 0; the others are created once. Between jobs they spin for some tens of microseconds, then sleep
// on a futex. One job at a time, started by one thread at a time; a team belongs to no thread in particular. Nothing is
// allocated after create.
#ifndef WEIR_RUNTIME_BASE_TEAM_H
#define WEIR_RUNTIME_BASE_TEAM_H

#include "runtime/base/alloc.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  RT_TEAM_MAX_THREADS = 1024,
  RT_TEAM_SHARE_CHUNKS = 255,  // most chunks of a phase for each thread,
  RT_TEAM_MAX_CHUNKS = 65535,  // and in all
};

typedef struct rt_team rt_team;

// Cores that this process may use: its affinity mask, one for each physical core, not more than its control group's
// quota. At least 1.
int rt_team_default_threads(void);

typedef struct {
  int chunks;  // at most rt_team_chunk_limit; 0: the job is done
  int most;    // chunks that a thread takes at a time at most; 0: no limit
} rt_team_phase;

typedef struct {
  // Called by one thread at a time, first by the caller; everything that was done before is visible to it. What it
  // writes is visible to all that work on the phase.
  rt_team_phase (*next)(void *context, int thread);
  // Chunks |begin|..|end|. |thread| is the one that does them: no two of one number run at once. Thread t of n begins
  // with its own nth of the chunks, in order, and then helps others: in a calm machine, the same chunks every time.
  void (*work)(void *context, int thread, int begin, int end);
  void *context;
} rt_team_job;

// |threads| 0 means rt_team_default_threads(). Threads are spread over the nodes of memory, those of one node side by
// side. When |pin|, each created thread is bound to a core where the team has one for every core that the process may
// use, else to its node where there are several. The caller's own affinity is left alone, but for moments inside of a
// job in which it is helped onto another core. INVALID_ARGUMENT past RT_TEAM_MAX_THREADS; IO if a thread cannot be
// created (then none is left).
weir_status rt_team_create(int threads, bool pin, const weir_allocator *allocator, rt_team **out_team) WEIR_MUST_USE;
// Ends and joins the threads. Null is allowed. Not during a job.
void rt_team_destroy(rt_team *team);
int rt_team_thread_count(const rt_team *team);
int rt_team_chunk_limit(const rt_team *team);  // of one phase

// Returns when the job is done. What the caller wrote before is visible to all that work, what they wrote is visible to
// it; no thread looks at |job->context| any more.
void rt_team_run(rt_team *team, const rt_team_job *job);

// The job of one phase: |fn| for each part of |parts|, which is the number of threads. Parts run at the same time where
// the machine lets them.
typedef void (*rt_team_fn)(void *context, int part, int parts);
void rt_team_split(rt_team *team, rt_team_fn fn, void *context);

#ifdef __cplusplus
}
#endif
#endif
