// Running a bound call on the host: its launches are a job of the team.
//
// Launches between two places where the program says `sync` are one phase: their chunks stand one behind the other, so
// that a thread that has its share of one goes on with the next. Every thread begins with an even part of the phase in
// time, always the same rows, and in order of address; what is left of others' parts it takes when it is done. A phase
// too short for a second thread is done by the thread that finished the one before, on its way.
//
// The same thread follows the program: it counts loops, reads their flags, evaluates sizes that change, looks whether
// the caller wants to stop, and notes times. All that happens between two phases, when nobody else works, so it needs
// no atomics; the team passes it on from thread to thread. Answers do not depend on who does what.
#include <time.h>

#include "runtime/exec/host.h"
#include "runtime/exec/walk.h"

enum {
  SOLO_NS = 2000,      // a phase shorter than this is not worth a second thread
  CHUNK_NS = 4000,     // what a chunk should take; but of a thread's part of a phase there are
  LEAST_PARTS = 1,     // so many
  MOST_PARTS = 32,     // to so many
  BITE_NS = 200000,    // what a thread takes at a time at most
  UNKNOWN_NS = 40000,  // of an item that nothing is known about it is safe to think that it is long
  BYTES_PER_NS = 10,
  FLOPS_PER_NS = 32,
  PHASE_RECORDS = 255,  // at most; so chunks of two threads' parts are not more than the team counts
};

enum { GOING, CANCELLED, REFUSED };

typedef struct {
  rt_host_queue *queue;
  rt_bound *bound;
  weir_run_options *options;
  const int *cancel;
  bool timed, traced;
  atomic_int stopped;  // GOING, or why not
  atomic_int refused;  // launch whose kernel refused
  // Where the program is: written between phases. The running phase, its first record, is what all threads look at: in
  // a cache line of its own, which a loop around one phase leaves alone.
  _Alignas(64) rt_record *phase;
  _Alignas(64) int64_t last_ns;  // when the phase before ended
  int64_t phases;                // begun so far
  rt_walk program;
} walk;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

// ---- cutting phases into chunks

// Estimated time of one item.
static int64_t item_time(const rt_record *record) {
  int64_t flops_ns = record->flops / FLOPS_PER_NS, bytes_ns = record->bytes / BYTES_PER_NS;
  int64_t item_ns = flops_ns > bytes_ns ? flops_ns : bytes_ns;
  if (!record->flops && !record->bytes) return UNKNOWN_NS;
  return item_ns < 1 ? 1 : item_ns;
}

static int64_t phase_time(const rt_record *records, int count) {
  int64_t total = 0, one;
  for (int i = 0; i < count; i++)
    if (__builtin_mul_overflow(records[i].grid, item_time(&records[i]), &one) ||
        __builtin_add_overflow(total, one, &total))
      return INT64_MAX;
  return total;
}

// How |count| records become one phase of about |chunk_ns| a chunk. Returns its chunks.
static int64_t phase_cut(rt_record *records, int count, int64_t chunk_ns) {
  int64_t chunks = 0;
  for (int i = 0; i < count; i++) {
    rt_record *r = &records[i];
    r->chunk = chunk_ns / item_time(r);
    if (r->chunk < 1) r->chunk = 1;
    r->first = (int)chunks;
    chunks += ceil_div(r->grid, r->chunk);
    if (chunks > RT_TEAM_MAX_CHUNKS) break;
  }
  return chunks;
}

static void phase_plan(const walk *w, rt_record *records, int count) {
  rt_team *team = w->queue->team;
  int threads = rt_team_thread_count(team), limit = rt_team_chunk_limit(team);
  int64_t total = phase_time(records, count), chunks;
  records->count = count;
  records->chunks = 0;
  if (threads == 1 || total < SOLO_NS) return;
  int64_t parts = total / threads / CHUNK_NS;
  parts = parts < LEAST_PARTS ? LEAST_PARTS : parts > MOST_PARTS ? MOST_PARTS : parts;
  int64_t chunk_ns = total / (parts * threads) + 1;
  while ((chunks = phase_cut(records, count, chunk_ns)) > limit) chunk_ns *= 2;
  if (chunks < 2) return;
  records->chunks = (int)chunks;
  records->most = chunk_ns < BITE_NS ? (int)(BITE_NS / chunk_ns) : 1;
}

static bool phase_varies(const rt_record *records, int count) {
  for (int i = 0; i < count; i++)
    if (records[i].varies & RT_GRID_VARIES) return true;
  return false;
}

// With |timed| every launch is a phase.
static void phases_plan(walk *w) {
  rt_record *records = w->bound->records;
  int all = w->bound->record_count;
  for (int begin = 0, count; begin < all; begin += count) {
    for (count = 1; begin + count < all && count < PHASE_RECORDS && !w->timed; count++)
      if (records[begin + count].sync) break;
    phase_plan(w, &records[begin], count);
  }
}

// ---- one launch

static void refuse(void *context, int launch) {
  walk *w = context;
  atomic_store_explicit(&w->refused, launch, memory_order_relaxed);
  atomic_store_explicit(&w->stopped, REFUSED, memory_order_relaxed);
}

static bool going(void *context) {
  walk *w = context;
  if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_RELAXED) &&
      atomic_load_explicit(&w->stopped, memory_order_relaxed) == GOING)
    atomic_store_explicit(&w->stopped, CANCELLED, memory_order_relaxed);
  return atomic_load_explicit(&w->stopped, memory_order_relaxed) == GOING;
}

static void items_run(walk *w, int thread, const rt_record *record, int64_t begin, int64_t end) {
  const rt_kernel_entry *kernel = &record->kernel;
  void *scratch = w->queue->scratch + (size_t)thread * w->queue->scratch_stride;
  int64_t begin_ns = w->traced ? now_ns() : 0;
  if (kernel->native) kernel->native(record->args, record->dims, begin, end, scratch);
  else if (kernel->run(kernel->context, record->args, record->dims, begin, end, scratch)) refuse(w, record->launch);
  if (!w->traced) return;
  rt_trace_note(w->bound, w->options, thread, record,
                (weir_trace_event){.begin_ns = begin_ns, .end_ns = now_ns(), .items = end - begin, .phase = w->phases});
}

// Chunks |begin|..|end| of the running phase.
static void walk_work(void *context, int thread, int begin, int end) {
  walk *w = context;
  const rt_record *r = w->phase, *last = r + r->count - 1;
  while (r < last && r[1].first <= begin) r++;
  for (; begin < end; r++) {
    bool whole = r < last && r[1].first <= end;  // up to its last chunk
    int stop = whole ? r[1].first : end;
    int64_t to = whole || end == w->phase->chunks ? r->grid : (stop - r->first) * r->chunk;
    if (stop > begin) items_run(w, thread, r, (begin - r->first) * r->chunk, to);
    begin = stop;
  }
}

static void time_note(walk *w, rt_record *record) {
  rt_time_note(w->bound, w->options, record, now_ns() - w->last_ns);
  w->last_ns = now_ns();
}

// ---- the walk

static bool any_flag(void *context, const rt_bound_loop *loop) {
  const walk *w = context;
  for (int r = 0; r < w->bound->requests; r++)
    if (loop->flags[r]) return true;
  return false;
}

// The records of the next phase, with their sizes; null at the end.
static rt_record *phase_next(walk *w) {
  rt_walk *program = &w->program;
  if (!rt_walk_next(program)) return NULL;
  rt_record *first = &w->bound->records[program->at];
  program->at += first->count;
  if (!program->depth) return first;
  for (int i = 0; i < first->count; i++) rt_walk_vary(program, &first[i]);
  if (phase_varies(first, first->count)) phase_plan(w, first, first->count);
  return going(w) ? first : NULL;
}

// Runs short phases until there is one for all threads.
static rt_team_phase walk_next(void *context, int thread) {
  walk *w = context;
  for (;;) {
    if (w->timed && w->phase && w->phase->grid) time_note(w, w->phase);
    rt_record *phase = phase_next(w);
    if (phase != w->phase) w->phase = phase;
    w->phases++;
    if (!w->phase) return (rt_team_phase){0, 0};
    if (w->phase->chunks) return (rt_team_phase){w->phase->chunks, w->phase->most};
    for (int i = 0; i < w->phase->count; i++)
      if (w->phase[i].grid) items_run(w, thread, &w->phase[i], 0, w->phase[i].grid);
  }
}

weir_status rt_host_launch(rt_queue *queue, rt_bound *bound, weir_run_options *options) {
  walk w = {.queue = (rt_host_queue *)queue, .bound = bound, .options = options};
  w.cancel = options ? options->cancel : NULL;
  w.timed = options && options->times;
  w.traced = options && options->trace;
  if (options) options->time_count = 0;
  w.program = (rt_walk){.going = going, .any_flag = any_flag, .refuse = refuse, .context = &w};
  rt_walk_begin(&w.program, bound);
  phases_plan(&w);
  w.last_ns = w.timed ? now_ns() : 0;
  rt_team_run(w.queue->team, &(rt_team_job){walk_next, walk_work, &w});
  switch (atomic_load_explicit(&w.stopped, memory_order_relaxed)) {
    case CANCELLED:
      return weir_status_make(WEIR_CODE_CANCELLED, "cancelled");
    case REFUSED: {
      const rt_launch *launch = &bound->entry->program->launches[atomic_load(&w.refused)];
      return weir_status_make(WEIR_CODE_INTERNAL, "kernel '%s' refused (%s)",
                              bound->entry->program->kernels[launch->kernel].symbol, launch->note ? launch->note : "");
    }
    default:
      return WEIR_OK;
  }
}
