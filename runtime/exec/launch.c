// Running a bound call: every thread of the team walks the whole list of launches and takes its share of each.
//
// There is no hand-over between launches: a barrier where the program says `sync`, nothing elsewhere. The first share
// of a launch is static (thread t always gets the same rows, so their weights stay in its cache), the rest is taken in
// small pieces from a counter, which evens out threads that were held up.
//
// To stop early, a thread that sees the flag says so and from then on only walks along; whoever passes a barrier after
// it does the same. So no launch ever reads what a launch before its sync has left undone, and all threads meet at
// every barrier.
#include <time.h>

#include "runtime/exec/exec_internal.h"

enum {
  SOLO_NS = 2000,     // a launch shorter than this is not worth a second thread
  STATIC_NS = 40000,  // one shorter than this is shared out evenly, once
  CHUNK_NS = 2000,    // what a trip to the counter should buy
  BYTES_PER_NS = 10,
  FLOPS_PER_NS = 32,
  CHUNKS_PER_THREAD = 8,
};

enum { GOING, CANCELLED, REFUSED };

typedef struct {
  weir_executor *executor;
  rt_bound *bound;
  weir_run_options *options;
  const int *cancel;
  bool timed;
  int64_t last_ns;     // thread 0: when the launch before ended
  atomic_int stopped;  // GOING, or why not
  atomic_int refused;  // launch whose kernel refused
} walk;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

void rt_record_split(rt_record *record, int threads, int64_t flops_per_item, int64_t bytes_per_item) {
  int64_t flops_ns = flops_per_item / FLOPS_PER_NS, bytes_ns = bytes_per_item / BYTES_PER_NS;
  int64_t item_ns = flops_ns > bytes_ns ? flops_ns : bytes_ns, grid = record->grid;
  // Of an item that nothing is known about it is safe to think that it is long.
  if (flops_per_item <= 0 && bytes_per_item <= 0) item_ns = STATIC_NS;
  if (item_ns < 1) item_ns = 1;
  record->solo = threads == 1 || grid == 1 || grid < ceil_div(SOLO_NS, item_ns);
  record->first = record->solo ? grid : ceil_div(grid, threads);
  record->chunk = 1;
  if (!record->solo && grid >= ceil_div(STATIC_NS, item_ns) && grid >= 4 * (int64_t)threads) {
    record->first = grid / (2 * (int64_t)threads);
    int64_t least = ceil_div(CHUNK_NS, item_ns), even = grid / (CHUNKS_PER_THREAD * (int64_t)threads);
    record->chunk = even > least ? even : least;
  }
  int64_t taken;
  if (__builtin_mul_overflow(record->first, record->solo ? 1 : threads, &taken) || taken > grid) taken = grid;
  atomic_store_explicit(&record->next, taken, memory_order_relaxed);
}

static void items_run(walk *w, const rt_record *record, int64_t begin, int64_t end, void *scratch) {
  const rt_kernel_entry *kernel = &record->kernel;
  if (kernel->native) {
    kernel->native(record->args, record->dims, begin, end, scratch);
  } else if (kernel->run(kernel->context, record->args, record->dims, begin, end, scratch)) {
    atomic_store_explicit(&w->refused, record->launch, memory_order_relaxed);
    atomic_store_explicit(&w->stopped, REFUSED, memory_order_relaxed);
  }
}

static void share_run(walk *w, rt_record *record, int thread, void *scratch) {
  int64_t grid = record->grid;
  if (record->solo) {
    if (thread == 0) items_run(w, record, 0, grid, scratch);
    return;
  }
  int64_t begin = (int64_t)thread * record->first;
  if (begin < grid) {
    int64_t end = grid - begin < record->first ? grid : begin + record->first;
    items_run(w, record, begin, end, scratch);
  }
  while (atomic_load_explicit(&record->next, memory_order_relaxed) < grid) {
    begin = atomic_fetch_add_explicit(&record->next, record->chunk, memory_order_relaxed);
    if (begin >= grid) break;
    items_run(w, record, begin, grid - begin < record->chunk ? grid : begin + record->chunk, scratch);
  }
}

static void time_note(walk *w, const rt_record *record) {
  const rt_program *p = w->bound->entry->program;
  const rt_launch *launch = &p->launches[record->launch];
  weir_run_options *options = w->options;
  int64_t now = now_ns();
  if (options->time_count < options->time_capacity) {
    options->times[options->time_count++] = (weir_launch_time){
        .note = launch->note ? launch->note : "",
        .kernel = p->kernels[launch->kernel].symbol,
        .items = record->grid,
        .flops = launch->flops_per_item * record->grid,
        .bytes = launch->bytes_per_item * record->grid,
        .ns = now - w->last_ns,
    };
  }
  w->last_ns = now_ns();
}

static void walk_thread(void *context, int thread, int thread_count) {
  walk *w = context;
  rt_team *team = w->executor->team;
  void *scratch = w->executor->scratch.data + (size_t)thread * w->executor->scratch_stride;
  (void)thread_count;
  for (int i = 0; i < w->bound->record_count; i++) {
    rt_record *record = &w->bound->records[i];
    if (record->barrier) rt_team_barrier(team, thread);
    if (atomic_load_explicit(&w->stopped, memory_order_relaxed) == GOING) {
      if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_RELAXED)) {
        atomic_store_explicit(&w->stopped, CANCELLED, memory_order_relaxed);
      } else {
        share_run(w, record, thread, scratch);
      }
    }
    if (w->timed) {
      rt_team_barrier(team, thread);
      if (thread == 0) time_note(w, record);
    }
  }
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
