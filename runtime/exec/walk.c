// The walk along records and loops, and what is noted on the way.
#include "runtime/exec/walk.h"

#include <string.h>

void rt_walk_begin(rt_walk *w, const rt_bound *bound) {
  w->bound = bound;
  w->at = w->loop = w->depth = 0;
  if (bound->loop_count) memcpy(w->sizes, bound->sizes, sizeof w->sizes);
}

// To the begin of the innermost loop's next iteration, or past its end.
static void loop_turn(rt_walk *w) {
  rt_walk_frame *f = &w->frames[w->depth - 1];
  const rt_bound_loop *loops = w->bound->loops, *loop = &loops[f->loop];
  if (++f->turn < f->trips && (!loop->flags || w->any_flag(w->context, loop)) && w->going(w->context)) {
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

static void loop_enter(rt_walk *w) {
  const rt_bound_loop *loop = &w->bound->loops[w->loop];
  rt_walk_frame *f = &w->frames[w->depth++];
  *f = (rt_walk_frame){.loop = w->loop++, .turn = -1};
  if (!rt_expr_eval(loop->trips, w->sizes, &f->trips) || f->trips > INT32_MAX) {
    f->trips = 0;
    w->refuse(w->context, w->bound->records[loop->first].launch);
  }
  loop_turn(w);
}

bool rt_walk_next(rt_walk *w) {
  const rt_bound *bound = w->bound;
  for (;;) {
    if (!w->going(w->context)) return false;
    if (w->depth && bound->loops[w->frames[w->depth - 1].loop].end == w->at) {
      loop_turn(w);
    } else if (w->loop < bound->loop_count && bound->loops[w->loop].first == w->at) {
      loop_enter(w);
    } else {
      break;
    }
  }
  return w->at < bound->record_count;
}

void rt_walk_vary(rt_walk *w, rt_record *record) {
  const rt_launch *launch = &w->bound->entry->program->launches[record->launch];
  bool ok = true;
  if (!w->depth || !record->varies) return;
  if (record->varies & RT_GRID_VARIES) ok = rt_launch_items(launch, w->sizes, &record->grid);
  for (int i = 0; i < launch->dim_count && record->grid; i++)
    if (record->varies >> i & 1) ok = ok && rt_expr_eval(launch->dims[i], w->sizes, &record->dims[i]);
  if (!ok) w->refuse(w->context, record->launch);
}

// ---- notes

static int64_t product(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_mul_overflow(a, b, &result) || result > INT64_MAX / 4 ? 0 : result;
}

void rt_time_note(const rt_bound *bound, weir_run_options *options, rt_record *record, int64_t ns) {
  const rt_program *p = bound->entry->program;
  const rt_launch *launch = &p->launches[record->launch];
  if (record->time < 0 && options->time_count < options->time_capacity) {
    record->time = options->time_count++;
    options->times[record->time] = (weir_launch_time){
        .note = launch->note ? launch->note : "",
        .kernel = p->kernels[launch->kernel].symbol,
    };
  }
  if (record->time < 0) return;
  weir_launch_time *time = &options->times[record->time];
  time->items += record->grid;
  time->flops += product(record->flops, record->grid);
  time->bytes += product(record->bytes, record->grid);
  time->ns += ns;
}

void rt_trace_note(const rt_bound *bound, weir_run_options *options, int thread, const rt_record *record,
                   weir_trace_event event) {
  const rt_program *p = bound->entry->program;
  const rt_launch *launch = &p->launches[record->launch];
  weir_trace_thread *trace = &options->trace[thread];
  if (trace->count >= trace->capacity) {
    trace->lost++;
    return;
  }
  event.note = launch->note ? launch->note : "";
  event.kernel = p->kernels[launch->kernel].symbol;
  trace->events[trace->count++] = event;
}
