// Binding a call: tables of requests and positions, packed inputs, addresses of buffers, and the list of launches to
// run.
//
// Everything is written into memory that is there already. What a program says is not trusted here either: buffers must
// lie inside the arena, packed tensors must have the sizes that it counted with.
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/exec/exec_internal.h"
#include "runtime/state/session.h"

#define BAD(...) weir_status_make(WEIR_CODE_INVALID_DATA, __VA_ARGS__)

// Hands out the parts of a block one after the other.
typedef struct {
  uint8_t *next;
  int64_t used;
} cursor;

// What kernels call the place at which the process has |host|.
static void *device_address(const rt_block *block, void *host) {
  if (!host || block->data == block->host) return host;
  return block->data + ((uint8_t *)host - block->host);
}

static void *take(cursor *c, int64_t bytes) {
  uint8_t *result = c->next;
  bytes = (bytes + 63) & ~INT64_C(63);
  if (c->next) c->next += bytes;
  c->used += bytes;
  return result;
}

// ---- tables

static int64_t tables_place(weir_executor *x, const weir_entry *entry, const rt_totals *totals) {
  cursor c = {x->tables.host, 0};
  const rt_program *p = entry->program;
  for (int i = 0; i < p->symbol_count + p->volume_count; i++) {
    unsigned tables = entry->tables[i];
    int64_t requests = (int64_t)sizeof(int32_t) * totals->requests, rows = (int64_t)sizeof(int32_t) * totals->rows[i];
    x->starts[i] = tables & RT_TABLE_STARTS ? take(&c, requests + (int64_t)sizeof(int32_t)) : NULL;
    x->requests[i] = tables & RT_TABLE_REQUESTS ? take(&c, rows) : NULL;
    if (i >= p->symbol_count) continue;
    x->positions[i] = tables & RT_TABLE_POSITIONS ? take(&c, rows) : NULL;
    x->past[i] = tables & RT_TABLE_PAST ? take(&c, requests) : NULL;
  }
  for (int i = 0; i < p->state_count; i++) x->state_tables[i] = take(&c, (int64_t)sizeof(void *) * totals->requests);
  return c.used;
}

// |rows| of request |r| of symbol or volume |i|, of which |begin| stand before.
static void rows_fill(weir_executor *x, int i, int r, int64_t begin, int64_t rows) {
  if (x->starts[i]) x->starts[i][r] = (int32_t)begin, x->starts[i][r + 1] = (int32_t)(begin + rows);
  for (int64_t k = 0; x->requests[i] && k < rows; k++) x->requests[i][begin + k] = (int32_t)r;
}

static void positions_fill(weir_executor *x, int i, int r, int64_t begin, int64_t rows, int64_t past) {
  if (x->past[i]) x->past[i][r] = (int32_t)past;
  for (int64_t k = 0; x->positions[i] && k < rows; k++) x->positions[i][begin + k] = (int32_t)(past + k);
}

// ---- states

// Where the states of an entry without a session begin; |state_tables[i][0]| holds it until the requests are placed.
static weir_status states_place(weir_executor *x, const weir_entry *entry, const rt_totals *totals) {
  const rt_program *p = entry->program;
  cursor c = {x->states.data, 0};
  for (int i = 0; i < p->state_count; i++) {
    const rt_state *s = &p->states[i];
    int64_t bytes = s->rows ? s->row_bytes : (s->row_bytes + 63) & ~INT64_C(63);
    int64_t count = s->rows ? rt_state_packed(s, totals->rows[s->symbol], totals->requests) : totals->requests;
    uint8_t *base = take(&c, bytes * count);
    x->state_tables[i][0] = base;
    for (int r = 0; !s->rows && r < totals->requests; r++) {
      x->state_tables[i][r] = base + r * bytes;
      WEIR_TRY(rt_state_fill(x->queue, base + r * bytes, s->row_bytes, s->dtype, s->initial));
    }
  }
  return WEIR_OK;
}

static void states_point(weir_executor *x, const weir_entry *entry, const weir_session *session, int r,
                         const int64_t *begins) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->state_count; i++) {
    const rt_state *s = &p->states[i];
    if (session) {
      x->state_tables[i][r] = rt_session_state(session, entry, i);
    } else if (s->rows) {
      x->state_tables[i][r] =
          (uint8_t *)x->state_tables[i][0] + rt_state_packed(s, begins[s->symbol], r) * s->row_bytes;
    }
  }
}

// ---- inputs and outputs

static weir_status tensors_place(weir_executor *x, const rt_program *p, const rt_need *need, int requests) {
  cursor c = {x->packing.host, 0};
  bool apart = x->model->device->ops->apart, pack = apart || requests > 1;
  for (int i = 0; i < p->input_count + p->output_count; i++) {
    bool input = i < p->input_count;
    int k = input ? i : i - p->input_count;
    const rt_tensor *t = input ? &p->inputs[k] : &p->outputs[k];
    int64_t bytes;
    if (!rt_expr_eval(t->bytes, need->sizes, &bytes)) return BAD("'%s': bytes", t->name);
    // The place for packing; one request, or several that stand in a row, are used where they are if kernels can.
    void *place = pack ? take(&c, bytes) : NULL;
    if (pack) (void)take(&c, RT_SLACK_BYTES);
    if (i == p->input_count - 1) x->inputs_end = c.used;
    (input ? x->inputs : x->outputs)[k] = place;
    (input ? x->input_bytes : x->output_bytes)[k] = 0;
    (input ? x->input_packed : x->output_packed)[k] = apart;
  }
  return WEIR_OK;
}

// |t|'s |bytes| of request |r| follow the bytes of the requests before it. Copies once they do not stand in a row.
static weir_status input_add(weir_executor *x, const rt_tensor *t, int i, const weir_request *requests, int r,
                             int64_t bytes, int64_t limit) {
  int64_t before = x->input_bytes[i];
  const uint8_t *first = requests[0].inputs[i].data, *data = requests[r].inputs[i].data;
  if (bytes > limit - before) return BAD("'%s': more bytes than the program counts", t->name);
  if (bytes && !x->input_packed[i] && r && data != first + before) {
    if (before) memcpy(x->inputs[i], first, (size_t)before);
    x->input_packed[i] = true;
  }
  if (bytes && x->input_packed[i]) memcpy((uint8_t *)x->inputs[i] + before, data, (size_t)bytes);
  x->input_bytes[i] = before + bytes;
  return WEIR_OK;
}

static weir_status tensors_add(weir_executor *x, const rt_program *p, const weir_request *requests, int r,
                               const int64_t *values, const rt_need *need) {
  for (int i = 0; i < p->input_count; i++) {
    int64_t bytes, limit;
    WEIR_TRY(rt_tensor_request_bytes(&p->inputs[i], values, NULL, &bytes));
    if (!rt_expr_eval(p->inputs[i].bytes, need->sizes, &limit)) return BAD("'%s': bytes", p->inputs[i].name);
    WEIR_TRY(input_add(x, &p->inputs[i], i, requests, r, bytes, limit));
  }
  for (int i = 0; i < p->output_count; i++) {
    int64_t bytes;
    WEIR_TRY(rt_tensor_request_bytes(&p->outputs[i], values, NULL, &bytes));
    const uint8_t *first = requests[0].outputs[i].data, *data = requests[r].outputs[i].data;
    if (bytes && r && data != first + x->output_bytes[i]) x->output_packed[i] = true;
    if (!weir_add_i64(x->output_bytes[i], bytes, &x->output_bytes[i])) return BAD("'%s': bytes", p->outputs[i].name);
  }
  return WEIR_OK;
}

static weir_status tensors_check(weir_executor *x, const rt_program *p, const weir_request *requests,
                                 const rt_need *need) {
  for (int i = 0; i < p->input_count + p->output_count; i++) {
    bool input = i < p->input_count;
    int k = input ? i : i - p->input_count;
    const rt_tensor *t = input ? &p->inputs[k] : &p->outputs[k];
    int64_t bytes = input ? x->input_bytes[k] : x->output_bytes[k], expected;
    if (!rt_expr_eval(t->bytes, need->sizes, &expected) || bytes != expected) {
      return BAD("'%s': the program counts %lld bytes, the requests have %lld", t->name, (long long)expected,
                 (long long)bytes);
    }
    if (input && !x->input_packed[k]) x->inputs[k] = requests[0].inputs[k].data;
    if (!input && !x->output_packed[k]) x->outputs[k] = requests[0].outputs[k].data;
  }
  return WEIR_OK;
}

weir_status rt_fetch_outputs(weir_executor *x, const weir_entry *entry) {
  const rt_device_ops *device = x->model->device->ops;
  for (int i = 0; device->apart && i < entry->program->output_count; i++) {
    if (!x->output_bytes[i]) continue;
    const void *from = device_address(&x->packing, x->outputs[i]);
    WEIR_TRY(device->receive(x->queue, x->outputs[i], from, (size_t)x->output_bytes[i]));
  }
  return device->wait(x->queue);
}

void rt_unpack_outputs(weir_executor *x, const weir_entry *entry, const weir_request *requests, int request_count) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->output_count; i++) {
    const uint8_t *from = x->outputs[i];
    for (int r = 0; x->output_packed[i] && r < request_count; r++) {
      const weir_view *view = &requests[r].outputs[i];
      size_t bytes = weir_dtype_bytes(view->dtype);
      for (int d = 0; d < view->rank; d++) bytes *= (size_t)view->shape[d];
      if (bytes) memcpy(view->data, from, bytes);
      from += bytes;
    }
  }
}

static weir_status requests_place(weir_executor *x, const weir_entry *entry, weir_request *requests,
                                  const rt_totals *totals, const rt_need *need) {
  const rt_program *p = entry->program;
  int64_t begins[RT_MAX_TABLES] = {0};
  WEIR_TRY(tensors_place(x, p, need, totals->requests));
  if (!p->step) WEIR_TRY(states_place(x, entry, totals));
  for (int r = 0; r < totals->requests; r++) {
    int64_t values[RT_MAX_VALUES], past[RT_MAX_SYMBOLS];
    weir_session *session = requests[r].session;
    rt_session_past(session, entry, past);
    WEIR_TRY(rt_request_bind(entry, &requests[r], r, past, values));
    if (session) WEIR_TRY(rt_session_begin(session, entry, values, x->queue));
    states_point(x, entry, session, r, begins);
    for (int i = 0; i < p->symbol_count; i++) {
      if (p->symbols[i].role == RT_ROLE_PLAIN) continue;
      rows_fill(x, i, r, begins[i], values[i]);
      positions_fill(x, i, r, begins[i], values[i], values[p->symbol_count + i]);
      begins[i] += values[i];
    }
    for (int i = 0; i < p->volume_count; i++) {
      int64_t count;
      if (!rt_expr_eval(p->volumes[i].count, values, &count)) return BAD("volume '%s'", p->volumes[i].name);
      rows_fill(x, p->symbol_count + i, r, begins[p->symbol_count + i], count);
      begins[p->symbol_count + i] += count;
    }
    WEIR_TRY(tensors_add(x, p, requests, r, values, need));
  }
  return tensors_check(x, p, requests, need);
}

// Tables and inputs go to a device with memory apart; where the process writes is where kernels read otherwise.
static weir_status tables_send(weir_executor *x, int64_t table_bytes) {
  const rt_device_ops *device = x->model->device->ops;
  if (!device->apart) return WEIR_OK;
  if (table_bytes) WEIR_TRY(device->send(x->queue, x->tables.data, x->tables.host, (size_t)table_bytes));
  if (x->inputs_end) WEIR_TRY(device->send(x->queue, x->packing.data, x->packing.host, (size_t)x->inputs_end));
  return WEIR_OK;
}

// ---- launches

static weir_status buffers_place(weir_executor *x, const rt_program *p, const rt_need *need) {
  for (int i = 0; i < p->buffer_count; i++) {
    int64_t offset, bytes;
    const rt_buffer *b = &p->buffers[i];
    if (!rt_expr_eval(b->offset, need->sizes, &offset) || !rt_expr_eval(b->bytes, need->sizes, &bytes) || offset < 0 ||
        bytes < 0 || offset % 64 || offset > need->arena_bytes || bytes > need->arena_bytes - offset) {
      return BAD("buffer '%s' is outside the arena", b->name);
    }
    x->buffers[i] = x->arena.data + offset;
    x->buffer_ends[i] = offset + bytes;
  }
  return WEIR_OK;
}

static void *pointer_of(const weir_executor *x, rt_arg arg) {
  switch (arg.kind) {
    case RT_ARG_BUFFER:
      return x->buffers[arg.index];
    case RT_ARG_INPUT:
      return device_address(&x->packing, x->inputs[arg.index]);
    case RT_ARG_OUTPUT:
      return device_address(&x->packing, x->outputs[arg.index]);
    case RT_ARG_STATE:
      return device_address(&x->tables, x->state_tables[arg.index]);
    case RT_ARG_STARTS:
      return device_address(&x->tables, x->starts[arg.index]);
    case RT_ARG_REQUESTS:
      return device_address(&x->tables, x->requests[arg.index]);
    case RT_ARG_POSITIONS:
      return device_address(&x->tables, x->positions[arg.index]);
    case RT_ARG_PAST:
      return device_address(&x->tables, x->past[arg.index]);
    case RT_ARG_WEIGHT:
      break;  // filled in once
  }
  return NULL;
}

// The loops around launch |i|: begun before it, or ended behind it.
typedef struct {
  int next, depth, open[RT_MAX_LOOP_DEPTH];
} loop_walk;

static weir_status loops_begin(const weir_executor *x, rt_bound *bound, loop_walk *w, int i) {
  const rt_program *p = bound->entry->program;
  for (; w->next < p->loop_count && p->loops[w->next].first == i; w->next++) {
    const rt_loop *l = &p->loops[w->next];
    rt_bound_loop *loop = &bound->loops[w->next];
    *loop = (rt_bound_loop){.first = bound->record_count, .trips = l->trips, .size = l->size};
    if (l->flags >= 0) {
      const uint8_t *flags = x->buffers[l->flags];
      if (x->arena.data + x->buffer_ends[l->flags] - flags < bound->requests) return BAD("flags of a loop are too few");
      loop->flags = flags;
    }
    w->open[w->depth++] = w->next;
  }
  return WEIR_OK;
}

static void loops_end(rt_bound *bound, loop_walk *w, int i) {
  const rt_program *p = bound->entry->program;
  for (; w->depth && p->loops[w->open[w->depth - 1]].last == i; w->depth--)
    bound->loops[w->open[w->depth - 1]].end = bound->record_count;
}

static void empty_loops_drop(rt_bound *bound, int count) {
  bound->loop_count = 0;
  for (int i = 0; i < count; i++)
    if (bound->loops[i].end > bound->loops[i].first) bound->loops[bound->loop_count++] = bound->loops[i];
}

static int64_t cost_of(rt_expr e, const int64_t *sizes) {
  int64_t cost;
  return e.op_count && rt_expr_eval(e, sizes, &cost) && cost > 0 ? cost : 0;  // 0: unknown
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

// Launches that run become records. The `sync` of one that does not run falls to the next; where a loop begins or ends
// there is one too.
static weir_status records_make(const weir_executor *x, rt_bound *bound) {
  const rt_program *p = bound->entry->program;
  loop_walk loops = {0};
  bool sync = false;
  bound->record_count = 0;
  for (int i = 0; i < p->launch_count; i++) {
    const rt_launch *launch = &p->launches[i];
    int64_t grid = 1;
    int begun = loops.next, open;
    WEIR_TRY(loops_begin(x, bound, &loops, i));
    open = loops.depth;
    unsigned varies = loops.depth > 0 ? bound->launch_varies[i] : 0;
    if (!(varies & RT_GRID_VARIES) && !rt_launch_items(launch, bound->sizes, &grid))
      return BAD("launch %d: no valid grid", i);
    sync |= launch->sync || loops.next > begun;
    if (grid) {
      rt_record *record = &bound->records[bound->record_count++];
      record->kernel = bound->entry->kernels[launch->kernel];
      record->args = bound->launch_args[i];
      record->dims = bound->launch_dims[i];
      record->grid = grid;
      record->flops = cost_of(launch->flops_per_item, bound->sizes);
      record->bytes = cost_of(launch->bytes_per_item, bound->sizes);
      record->launch = i;
      record->varies = varies;
      record->sync = sync;
      record->time = -1;
      sync = false;
    }
    loops_end(bound, &loops, i);
    sync |= loops.depth < open;
  }
  empty_loops_drop(bound, p->loop_count);
  return WEIR_OK;
}

weir_status rt_bind_call(weir_executor *x, rt_bound *bound, weir_request *requests, const rt_totals *totals,
                         const rt_need *need) {
  const weir_entry *entry = bound->entry;
  weir_memory *m = &x->measured;
  *m = (weir_memory){.weights_bytes = entry->weight_bytes, .scratch_bytes = x->queue->scratch_bytes};
  m->table_bytes = tables_place(x, entry, totals);
  m->packing_bytes = need->packing_bytes;
  m->state_bytes = need->state_bytes;
  WEIR_TRY(requests_place(x, entry, requests, totals, need));
  WEIR_TRY(tables_send(x, m->table_bytes));
  WEIR_TRY(buffers_place(x, entry->program, need));
  for (int i = 0; i < bound->varying_count; i++) {
    if (!rt_expr_eval(bound->varying[i].expr, need->sizes, bound->varying[i].place))
      return BAD("a launch has no valid sizes");
  }
  for (int i = 0; i < bound->pointer_count; i++) {
    rt_arg arg = bound->pointers[i].arg;
    *bound->pointers[i].place = pointer_of(x, arg);
    if (arg.kind == RT_ARG_BUFFER && x->buffer_ends[arg.index] > m->arena_bytes)
      m->arena_bytes = x->buffer_ends[arg.index];
  }
  m->arena_bytes = (m->arena_bytes + 63) & ~INT64_C(63);  // as the plan counts
  bound->requests = totals->requests;
  bound->sizes = need->sizes;
  return records_make(x, bound);
}
