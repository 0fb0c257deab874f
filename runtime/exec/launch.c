// Running a bound call: its launches are a job of the team.
//
// Launches between two places where the program says `sync` are one phase: their chunks stand one behind the other, so
// that a thread that has its share of one goes on with the next. Every thread begins with an even part of the phase in
// time, always the same rows, and in order of address; what is left of others' parts it takes when it is done. A phase
// too short for a second thread is done by the thread that finished the one before, on its way.
//
// The same thread follows the program: it counts loops, reads their flags, evaluates sizes that change, looks whether
// the caller wants to stop, and notes times. All that happens between two phases, when nobody else works, so it needs
// no atomics; the team passes it on from thread to thread. Answers do not depend on who does what.
#include <string.h>
#include <time.h>

#include "runtime/exec/exec_internal.h"

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
  int loop;
  int64_t turn, trips;
} frame;

typedef struct {
  weir_executor *executor;
  rt_bound *bound;
  weir_run_options *options;
  const int *cancel;
  bool timed, traced;
  atomic_int stopped;  // GOING, or why not
  atomic_int refused;  // launch whose kernel refused
  // Where the program is: written between phases, in a cache line of its own.
  _Alignas(64) rt_record *phase;  // first record of the running phase
  int64_t last_ns;                // when the phase before ended
  int64_t phases;                 // begun so far
  int at;                         // next record
  int loop;                       // next loop that begins at it or later
  int depth;
  frame frames[RT_MAX_LOOP_DEPTH];
  int64_t sizes[RT_MAX_SIZES];  // with the loops' own; filled in if there are loops
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

static const rt_launch *launch_of(const walk *w, const rt_record *record) {
  return &w->bound->entry->program->launches[record->launch];
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
  rt_team *team = w->executor->team;
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

bool rt_launch_items(const rt_launch *launch, const int64_t *sizes, int64_t *out_items) {
  int64_t guard, grid;
  if (launch->guard.op_count) {
    if (!rt_expr_eval(launch->guard, sizes, &guard)) return false;
    if (guard < launch->guard_lo || guard >= launch->guard_hi) {
      *out_items = 0;
      return true;
    }
  }
  if (!rt_expr_eval(launch->grid, sizes, &grid) || grid < 0) return false;
  *out_items = grid;
  return true;
}

// ---- one launch

static void refuse(walk *w, int launch) {
  atomic_store_explicit(&w->refused, launch, memory_order_relaxed);
  atomic_store_explicit(&w->stopped, REFUSED, memory_order_relaxed);
}

static bool going(walk *w) {
  if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_RELAXED) &&
      atomic_load_explicit(&w->stopped, memory_order_relaxed) == GOING)
    atomic_store_explicit(&w->stopped, CANCELLED, memory_order_relaxed);
  return atomic_load_explicit(&w->stopped, memory_order_relaxed) == GOING;
}

static void trace_add(const walk *w, int thread, const rt_record *record, int64_t items, int64_t begin_ns) {
  weir_trace_thread *trace = &w->options->trace[thread];
  const rt_launch *launch = launch_of(w, record);
  if (trace->count >= trace->capacity) {
    trace->lost++;
    return;
  }
  trace->events[trace->count++] = (weir_trace_event){
      .note = launch->note ? launch->note : "",
      .kernel = w->bound->entry->program->kernels[launch->kernel].symbol,
      .begin_ns = begin_ns,
      .end_ns = now_ns(),
      .items = items,
      .phase = w->phases,
  };
}

static void items_run(walk *w, int thread, const rt_record *record, int64_t begin, int64_t end) {
  const rt_kernel_entry *kernel = &record->kernel;
  void *scratch = w->executor->scratch.data + (size_t)thread * w->executor->scratch_stride;
  int64_t begin_ns = w->traced ? now_ns() : 0;
  if (kernel->native) kernel->native(record->args, record->dims, begin, end, scratch);
  else if (kernel->run(kernel->context, record->args, record->dims, begin, end, scratch)) refuse(w, record->launch);
  if (w->traced) trace_add(w, thread, record, end - begin, begin_ns);
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

// Sizes of this iteration, in place: nobody else looks at them now.
static void record_vary(walk *w, rt_record *record) {
  const rt_launch *launch = launch_of(w, record);
  bool ok = true;
  if (record->varies & RT_GRID_VARIES) ok = rt_launch_items(launch, w->sizes, &record->grid);
  for (int i = 0; i < launch->dim_count && record->grid; i++)
    if (record->varies >> i & 1) ok = ok && rt_expr_eval(launch->dims[i], w->sizes, &record->dims[i]);
  if (!ok) refuse(w, record->launch);
}

static int64_t product(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_mul_overflow(a, b, &result) || result > INT64_MAX / 4 ? 0 : result;
}

// Launches of a loop have one entry for all iterations.
static void time_note(walk *w, rt_record *record) {
  const rt_launch *launch = launch_of(w, record);
  weir_run_options *options = w->options;
  int64_t now = now_ns();
  if (record->time < 0 && options->time_count < options->time_capacity) {
    record->time = options->time_count++;
    options->times[record->time] = (weir_launch_time){
        .note = launch->note ? launch->note : "",
        .kernel = w->bound->entry->program->kernels[launch->kernel].symbol,
    };
  }
  if (record->time >= 0) {
    weir_launch_time *time = &options->times[record->time];
    time->items += record->grid;
    time->flops += product(record->flops, record->grid);
    time->bytes += product(record->bytes, record->grid);
    time->ns += now - w->last_ns;
  }
  w->last_ns = now_ns();
}

// ---- the walk

static bool any_flag(const rt_bound *bound, const rt_bound_loop *loop) {
  for (int r = 0; loop->flags && r < bound->requests; r++)
    if (loop->flags[r]) return true;
  return !loop->flags;
}

// To the begin of the innermost loop's next iteration, or past its end.
static void loop_turn(walk *w) {
  frame *f = &w->frames[w->depth - 1];
  const rt_bound_loop *loops = w->bound->loops, *loop = &loops[f->loop];
  if (++f->turn < f->trips && any_flag(w->bound, loop) && going(w)) {
    w->sizes[loop->size] = f->turn;
    w->at = loop->first;
    w->loop = f->loop + 1;
    return;
  }
  w->sizes[loop->size] = 0;
  w->at = loop->end;
  while (w->loop < w->bound->loop_count && loops[w->loop].first < loop->end) w->loop++;
  w->depth--;
}

static void loop_enter(walk *w) {
  const rt_bound_loop *loop = &w->bound->loops[w->loop];
  frame *f = &w->frames[w->depth++];
  *f = (frame){.loop = w->loop++, .turn = -1};
  if (!rt_expr_eval(loop->trips, w->sizes, &f->trips) || f->trips > INT32_MAX)
    refuse(w, w->bound->records[loop->first].launch);
  loop_turn(w);
}

// The records of the next phase, with their sizes; null at the end.
static rt_record *phase_next(walk *w) {
  const rt_bound *bound = w->bound;
  for (;;) {
    if (!going(w)) return NULL;
    if (w->depth && bound->loops[w->frames[w->depth - 1].loop].end == w->at) {
      loop_turn(w);
    } else if (w->loop < bound->loop_count && bound->loops[w->loop].first == w->at) {
      loop_enter(w);
    } else {
      break;
    }
  }
  if (w->at == bound->record_count) return NULL;
  rt_record *first = &bound->records[w->at];
  w->at += first->count;
  if (!w->depth) return first;
  for (int i = 0; i < first->count; i++)
    if (first[i].varies) record_vary(w, &first[i]);
  if (phase_varies(first, first->count)) phase_plan(w, first, first->count);
  return going(w) ? first : NULL;
}

// Runs short phases until there is one for all threads.
static rt_team_phase walk_next(void *context, int thread) {
  walk *w = context;
  for (;;) {
    if (w->timed && w->phase && w->phase->grid) time_note(w, w->phase);
    w->phase = phase_next(w);
    w->phases++;
    if (!w->phase) return (rt_team_phase){0, 0};
    if (w->phase->chunks) return (rt_team_phase){w->phase->chunks, w->phase->most};
    for (int i = 0; i < w->phase->count; i++)
      if (w->phase[i].grid) items_run(w, thread, &w->phase[i], 0, w->phase[i].grid);
  }
}

weir_status rt_launch_all(weir_executor *executor, rt_bound *bound, weir_run_options *options) {
  walk w = {.executor = executor, .bound = bound, .options = options};
  w.cancel = options ? options->cancel : NULL;
  w.timed = options && options->times;
  w.traced = options && options->trace;
  if (options) options->time_count = 0;
  if (bound->loop_count) memcpy(w.sizes, bound->sizes, sizeof w.sizes);
  phases_plan(&w);
  w.last_ns = w.timed ? now_ns() : 0;
  rt_team_run(executor->team, &(rt_team_job){walk_next, walk_work, &w});
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
