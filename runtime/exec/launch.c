// Running a bound call: every thread of the team walks the whole list of launches and takes its share of each.
//
// There is no hand-over between launches: a barrier where the program says `sync`, nothing elsewhere. Between launches
// that thread 0 does alone its own order is enough, and the sync stays pending until another thread takes part. The
// first share of a launch is static (thread t always gets the same rows, so their weights stay in its cache), the rest
// is taken in small pieces from a counter, which evens out threads that were held up.
//
// In a loop each thread counts for itself and evaluates the sizes that change, so that an iteration costs no more
// barriers than its launches say; there shares are static alone. A loop of small launches is thread 0's business.
//
// To stop early, a thread that sees the flag says so and from then on only walks along; whoever passes a barrier after
// it does the same. So no launch ever reads what a launch before its sync has left undone, and all threads meet at
// every barrier.
#include <string.h>
#include <time.h>

#include "runtime/exec/exec_internal.h"

enum {
  SOLO_NS = 2000,     // a launch shorter than this is not worth a second thread
  STATIC_NS = 40000,  // one shorter than this is shared out evenly, once
  CHUNK_NS = 2000,    // what a trip to the counter should buy
  BYTES_PER_NS = 10,
  FLOPS_PER_NS = 32,
  CHUNKS_PER_THREAD = 8,
  ASK_EVERY = 32,  // iterations of a loop without flags after which threads hear of a stop
};

enum { GOING, CANCELLED, REFUSED };

typedef struct {
  weir_executor *executor;
  rt_bound *bound;
  weir_run_options *options;
  const int *cancel;
  bool timed;
  int64_t last_ns;      // thread 0: when the launch before ended
  atomic_int stopped;   // GOING, or why not
  atomic_int refused;   // launch whose kernel refused
  atomic_bool goes[2];  // whether a loop goes on: decided by thread 0, in turns
} walk;

// One thread on its way.
typedef struct {
  walk *w;
  int thread, threads;
  void *scratch;
  bool pending;                 // a sync is due
  bool shared;                  // several threads have worked since the last barrier
  int since;                    // launches since then
  bool alone;                   // in a loop that thread 0 runs by itself
  unsigned turns;               // of |goes|
  int64_t sizes[RT_MAX_SIZES];  // with the loops' own; filled in if there are loops
} walker;

// What a launch does this time.
typedef struct {
  const int64_t *dims;
  int64_t grid, first;
  bool solo;
} turn;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

// Estimated time of one item. Of an item that nothing is known about it is safe to think that it is long.
static int64_t item_time(const rt_launch *launch) {
  int64_t flops_ns = launch->flops_per_item / FLOPS_PER_NS, bytes_ns = launch->bytes_per_item / BYTES_PER_NS;
  int64_t item_ns = flops_ns > bytes_ns ? flops_ns : bytes_ns;
  if (launch->flops_per_item <= 0 && launch->bytes_per_item <= 0) return STATIC_NS;
  return item_ns < 1 ? 1 : item_ns;
}

static bool is_solo(int64_t grid, int64_t item_ns, int threads) {
  return threads == 1 || grid == 1 || grid < ceil_div(SOLO_NS, item_ns);
}

void rt_record_split(rt_record *record, int threads, const rt_launch *launch) {
  int64_t item_ns = item_time(launch), grid = record->grid;
  record->solo = is_solo(grid, item_ns, threads);
  record->first = record->solo ? grid : ceil_div(grid, threads);
  record->chunk = 1;
  if (!record->looped && !record->solo && grid >= ceil_div(STATIC_NS, item_ns) && grid >= 4 * (int64_t)threads) {
    record->first = grid / (2 * (int64_t)threads);
    int64_t least = ceil_div(CHUNK_NS, item_ns), even = grid / (CHUNKS_PER_THREAD * (int64_t)threads);
    record->chunk = even > least ? even : least;
  }
  int64_t taken;
  if (__builtin_mul_overflow(record->first, record->solo ? 1 : threads, &taken) || taken > grid) taken = grid;
  atomic_store_explicit(&record->next, taken, memory_order_relaxed);
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

static const rt_launch *launch_of(const walk *w, const rt_record *record) {
  return &w->bound->entry->program->launches[record->launch];
}

static void refuse(walk *w, int launch) {
  atomic_store_explicit(&w->refused, launch, memory_order_relaxed);
  atomic_store_explicit(&w->stopped, REFUSED, memory_order_relaxed);
}

static bool going(const walk *w) { return atomic_load_explicit(&w->stopped, memory_order_relaxed) == GOING; }

static void items_run(walker *k, const rt_record *record, const turn *t, int64_t begin, int64_t end) {
  const rt_kernel_entry *kernel = &record->kernel;
  if (kernel->native) kernel->native(record->args, t->dims, begin, end, k->scratch);
  else if (kernel->run(kernel->context, record->args, t->dims, begin, end, k->scratch)) refuse(k->w, record->launch);
}

static void share_run(walker *k, rt_record *record, const turn *t) {
  int64_t grid = t->grid;
  if (t->solo) {
    if (k->thread == 0) items_run(k, record, t, 0, grid);
    return;
  }
  int64_t begin;
  if (!__builtin_mul_overflow((int64_t)k->thread, t->first, &begin) && begin < grid)
    items_run(k, record, t, begin, grid - begin < t->first ? grid : begin + t->first);
  while (!record->looped && atomic_load_explicit(&record->next, memory_order_relaxed) < grid) {
    begin = atomic_fetch_add_explicit(&record->next, record->chunk, memory_order_relaxed);
    if (begin >= grid) break;
    items_run(k, record, t, begin, grid - begin < record->chunk ? grid : begin + record->chunk);
  }
}

// Sizes of this iteration; |dims| has room for them. False where there is nothing to do.
static bool turn_make(walker *k, const rt_record *record, int64_t *dims, turn *out) {
  *out = (turn){record->dims, record->grid, record->first, record->solo};
  if (!record->varies) return true;
  const rt_launch *launch = launch_of(k->w, record);
  bool ok = true;
  if (record->varies & RT_GRID_VARIES) {
    ok = rt_launch_items(launch, k->sizes, &out->grid);
    if (ok && !out->grid) return false;
    out->solo = ok && is_solo(out->grid, item_time(launch), k->threads);
    out->first = ceil_div(out->grid, k->threads);
  }
  for (int i = 0; i < launch->dim_count; i++) {
    if (record->varies >> i & 1) ok = ok && rt_expr_eval(launch->dims[i], k->sizes, &dims[i]);
    else dims[i] = record->dims[i];
  }
  out->dims = dims;
  if (!ok) refuse(k->w, record->launch);
  return ok;
}

// Launches of a loop have one entry for all iterations.
static void time_note(walk *w, rt_record *record, int64_t items) {
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
    time->items += items;
    time->flops += launch->flops_per_item * items;
    time->bytes += launch->bytes_per_item * items;
    time->ns += now - w->last_ns;
  }
  w->last_ns = now_ns();
}

// ---- the walk

static void meet(walker *k) {
  rt_team_barrier(k->w->executor->team, k->thread);
  k->pending = k->shared = false;
  k->since = 0;
}

// Before work that thread 0 does alone (|solo|) or all do.
static void order(walker *k, bool sync, bool solo) {
  k->pending |= sync;
  if (k->pending && k->since && (k->shared || !solo)) meet(k);
  if (!k->since) k->pending = false;
  k->shared |= !solo;
  k->since++;
}

static void walk_record(walker *k, rt_record *record) {
  walk *w = k->w;
  int64_t dims[RT_MAX_DIMS];
  turn t;
  if (!turn_make(k, record, dims, &t)) {
    k->pending |= record->sync;
    return;
  }
  if (!k->alone) order(k, record->sync, t.solo);
  if (going(w)) {
    if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_RELAXED))
      atomic_store_explicit(&w->stopped, CANCELLED, memory_order_relaxed);
    else share_run(k, record, &t);
  }
  if (!w->timed) return;
  meet(k);
  if (k->thread == 0) time_note(w, record, t.grid);
}

static bool any_flag(const rt_bound *bound, const rt_bound_loop *loop) {
  for (int r = 0; loop->flags && r < bound->requests; r++)
    if (loop->flags[r]) return true;
  return !loop->flags;
}

// Whether iteration |t| runs: asked where there are flags, and now and then for those who want to stop. All threads get
// one answer: thread 0 gives it, in one of two places, so that a slow thread still finds the last one.
static bool goes_on(walker *k, const rt_bound_loop *loop, int64_t t) {
  walk *w = k->w;
  if (k->alone) return going(w) && any_flag(w->bound, loop);
  if (!loop->flags && t % ASK_EVERY != ASK_EVERY - 1) return true;
  if (k->shared) meet(k);
  atomic_bool *place = &w->goes[k->turns++ & 1];
  if (k->thread == 0) atomic_store_explicit(place, going(w) && any_flag(w->bound, loop), memory_order_relaxed);
  meet(k);
  return atomic_load_explicit(place, memory_order_relaxed);
}

static void walk_range(walker *k, int begin, int end, int loop);

static void run_loop(walker *k, int index) {
  const rt_bound_loop *loop = &k->w->bound->loops[index];
  int64_t trips;
  if (!rt_expr_eval(loop->trips, k->sizes, &trips) || trips > INT32_MAX) {
    refuse(k->w, k->w->bound->records[loop->first].launch);
    return;
  }
  for (int64_t t = 0; t < trips; t++) {
    k->sizes[loop->size] = t;
    if (!goes_on(k, loop, t)) break;
    walk_range(k, loop->first, loop->end, index + 1);
  }
  k->sizes[loop->size] = 0;
}

static void walk_loop(walker *k, int index) {
  const rt_bound_loop *loop = &k->w->bound->loops[index];
  if (k->alone || !loop->solo || k->w->timed) {
    run_loop(k, index);
    return;
  }
  order(k, loop->sync, true);
  if (k->thread == 0) {
    k->alone = true;
    run_loop(k, index);
    k->alone = false;
  }
  k->pending |= loop->sync;
}

// Records |begin|..|end|; the loops among them are those from |loop| on.
static void walk_range(walker *k, int begin, int end, int loop) {
  const rt_bound *bound = k->w->bound;
  for (int i = begin; i < end;) {
    while (loop < bound->loop_count && bound->loops[loop].first < i) loop++;
    if (loop < bound->loop_count && bound->loops[loop].first == i) {
      walk_loop(k, loop);
      i = bound->loops[loop].end;
    } else {
      walk_record(k, &bound->records[i++]);
    }
  }
}

static void walk_thread(void *context, int thread, int thread_count) {
  walk *w = context;
  walker k = {.w = w, .thread = thread, .threads = thread_count};
  k.scratch = w->executor->scratch.data + (size_t)thread * w->executor->scratch_stride;
  if (w->bound->loop_count) memcpy(k.sizes, w->bound->sizes, sizeof k.sizes);
  walk_range(&k, 0, w->bound->record_count, 0);
}

weir_status rt_launch_all(weir_executor *executor, rt_bound *bound, weir_run_options *options) {
  walk w = {.executor = executor, .bound = bound, .options = options};
  w.cancel = options ? options->cancel : NULL;
  w.timed = options && options->times;
  if (options) options->time_count = 0;
  w.last_ns = w.timed ? now_ns() : 0;
  rt_team_run(executor->team, walk_thread, &w);
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
