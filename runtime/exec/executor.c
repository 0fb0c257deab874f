// Executors: the blocks of memory, and the order of a call.
//
// Everything that a call writes is allocated when the executor is made (records, tables of pointers) or when a block
// grows. Until the launches run, nothing that a caller can see has changed.
#include <string.h>

#include "runtime/exec/exec_internal.h"
#include "runtime/state/session.h"

// ---- creation

static bool expr_varies(rt_expr e, const bool *loop_sizes) {
  for (int i = 0; i < e.op_count; i++)
    if (e.ops[i].code == RT_SIZE_VAR && loop_sizes[e.ops[i].value]) return true;
  return false;
}

// What changes from one iteration of a loop to the next.
static unsigned launch_varies(const rt_program *p, const rt_launch *launch) {
  bool loop_sizes[RT_MAX_SIZES] = {0};
  unsigned varies = 0;
  for (int i = 0; i < p->loop_count; i++) loop_sizes[p->loops[i].size] = true;
  for (int k = 0; k < launch->dim_count; k++)
    if (expr_varies(launch->dims[k], loop_sizes)) varies |= 1u << k;
  if (expr_varies(launch->grid, loop_sizes) || expr_varies(launch->guard, loop_sizes)) varies |= RT_GRID_VARIES;
  return varies;
}

// Pointer arguments and sizes of all launches in two arrays; what does not change between calls is filled in here.
static weir_status launches_prepare(rt_bound *bound, weir_pool *pool) {
  const rt_program *p = bound->entry->program;
  size_t arg_count = 0, dim_count = 0, launches = (size_t)p->launch_count;
  for (size_t i = 0; i < launches; i++) {
    arg_count += (size_t)p->launches[i].arg_count;
    dim_count += (size_t)p->launches[i].dim_count;
  }
  void **args;
  int64_t *dims;
  WEIR_TRY(weir_pool_array(pool, arg_count, sizeof *args, &args));
  WEIR_TRY(weir_pool_array(pool, dim_count, sizeof *dims, &dims));
  WEIR_TRY(weir_pool_array(pool, arg_count, sizeof *bound->pointers, &bound->pointers));
  WEIR_TRY(weir_pool_array(pool, dim_count, sizeof *bound->varying, &bound->varying));
  WEIR_TRY(weir_pool_array(pool, launches, sizeof *bound->launch_args, &bound->launch_args));
  WEIR_TRY(weir_pool_array(pool, launches, sizeof *bound->launch_dims, &bound->launch_dims));
  WEIR_TRY(weir_pool_array(pool, launches, sizeof *bound->launch_varies, &bound->launch_varies));
  WEIR_TRY(weir_pool_array(pool, launches, sizeof *bound->records, &bound->records));
  WEIR_TRY(weir_pool_array(pool, (size_t)p->loop_count, sizeof *bound->loops, &bound->loops));
  for (size_t i = 0; i < launches; i++) {
    const rt_launch *launch = &p->launches[i];
    bound->launch_args[i] = args;
    bound->launch_dims[i] = dims;
    bound->launch_varies[i] = p->loop_count ? launch_varies(p, launch) : 0;
    for (int k = 0; k < launch->arg_count; k++, args++) {
      rt_arg arg = launch->args[k];
      if (arg.kind == RT_ARG_WEIGHT) {
        *args = (void *)(uintptr_t)bound->entry->weights[arg.index];
      } else {
        bound->pointers[bound->pointer_count++] = (rt_pointer){arg, args};
      }
    }
    for (int k = 0; k < launch->dim_count; k++, dims++) {
      rt_expr e = launch->dims[k];
      if (e.op_count == 1 && e.ops[0].code == RT_SIZE_CONST) {
        *dims = e.ops[0].value;
      } else {
        bound->varying[bound->varying_count++] = (rt_varying){e, dims};
      }
    }
  }
  return WEIR_OK;
}

static int max_int(int a, int b) { return a > b ? a : b; }

static weir_status arrays_make(weir_executor *x) {
  int buffers = 0, inputs = 0, outputs = 0, states = 0;
  for (int i = 0; i < x->model->entry_count; i++) {
    const rt_program *p = x->model->entries[i].program;
    buffers = max_int(buffers, p->buffer_count);
    inputs = max_int(inputs, p->input_count);
    outputs = max_int(outputs, p->output_count);
    states = max_int(states, p->state_count);
  }
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)buffers, sizeof *x->buffers, &x->buffers));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)buffers, sizeof *x->buffer_ends, &x->buffer_ends));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)inputs, sizeof *x->inputs, &x->inputs));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)inputs, sizeof *x->input_bytes, &x->input_bytes));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)inputs, sizeof *x->input_packed, &x->input_packed));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)outputs, sizeof *x->outputs, &x->outputs));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)outputs, sizeof *x->output_bytes, &x->output_bytes));
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)outputs, sizeof *x->output_packed, &x->output_packed));
  return weir_pool_array(&x->pool, (size_t)states, sizeof *x->state_tables, &x->state_tables);
}

static void block_free(weir_executor *x, rt_block *block) {
  rt_device *device = x->model->device;
  size_t bytes = block->bytes + RT_SLACK_BYTES;
  if (block->host && block->host != block->data) device->ops->free_host(device, block->host, bytes);
  if (block->data) device->ops->free(device, block->data, bytes);
}

weir_status rt_block_grow(weir_executor *x, rt_block *block, int64_t bytes, bool met) {
  rt_device *device = x->model->device;
  if ((size_t)bytes <= block->bytes && block->data) return WEIR_OK;
  size_t with_slack;
  if (__builtin_add_overflow((size_t)bytes, RT_SLACK_BYTES, &with_slack)) {
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %lld bytes", (long long)bytes);
  }
  rt_block fresh = {.bytes = (size_t)bytes};
  WEIR_TRY(device->ops->alloc(device, with_slack, &fresh.data));
  if (!device->ops->apart) {
    fresh.host = fresh.data;
  } else if (met) {
    weir_status status = device->ops->alloc_host(device, with_slack, &fresh.host);
    if (status) device->ops->free(device, fresh.data, with_slack);
    if (status) return status;
  }
  block_free(x, block);
  *block = fresh;
  return WEIR_OK;
}

static weir_status executor_fill(weir_executor *x, const weir_executor_options *options) {
  weir_model *model = x->model;
  WEIR_TRY(weir_pool_array(&x->pool, (size_t)model->entry_count, sizeof *x->bound, &x->bound));
  for (int i = 0; i < model->entry_count; i++) {
    x->bound[i].entry = &model->entries[i];
    WEIR_TRY(launches_prepare(&x->bound[i], &x->pool));
  }
  WEIR_TRY(arrays_make(x));
  WEIR_TRY(model->device->ops->queue_make(model->device, model, options, &x->queue));
  rt_need none = {0};
  return rt_executor_grow(x, &none);
}

weir_status weir_executor_create(weir_model *model, const weir_executor_options *options,
                                 weir_executor **out_executor) {
  static const weir_executor_options defaults;
  weir_executor *x;
  if (!options) options = &defaults;
  WEIR_TRY(weir_alloc(model->allocator, sizeof *x, 64, true, &x));
  weir_model_retain(model);
  x->model = model;
  x->pool.allocator = model->allocator;
  x->no_growth = options->no_growth;
  weir_status status = executor_fill(x, options);
  if (status) {
    weir_executor_destroy(x);
    return status;
  }
  *out_executor = x;
  return WEIR_OK;
}

void weir_executor_destroy(weir_executor *x) {
  if (!x) return;
  weir_model *model = x->model;
  model->device->ops->queue_free(x->queue);
  block_free(x, &x->arena);
  block_free(x, &x->tables);
  block_free(x, &x->packing);
  block_free(x, &x->states);
  block_free(x, &x->picks);
  weir_pool_deinit(&x->pool);
  weir_free(model->allocator, x, sizeof *x);
  weir_model_release(model);
}

int weir_executor_threads(const weir_executor *x) { return x->queue->threads; }

weir_status rt_executor_grow(weir_executor *x, const rt_need *need) {
  WEIR_TRY_CTX(rt_block_grow(x, &x->arena, need->arena_bytes, false), "temporaries");
  WEIR_TRY_CTX(rt_block_grow(x, &x->tables, need->table_bytes, true), "tables");
  WEIR_TRY_CTX(rt_block_grow(x, &x->packing, need->packing_bytes, true), "packing");
  WEIR_TRY_CTX(rt_block_grow(x, &x->states, need->state_bytes, false), "states");
  return WEIR_OK;
}

// ---- a call

static weir_status room_make(weir_executor *x, const rt_need *need) {
  bool enough = (size_t)need->arena_bytes <= x->arena.bytes && (size_t)need->table_bytes <= x->tables.bytes &&
                (size_t)need->packing_bytes <= x->packing.bytes && (size_t)need->state_bytes <= x->states.bytes;
  if (enough) return WEIR_OK;
  if (x->no_growth) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the call needs more memory than was reserved");
  return rt_executor_grow(x, need);
}

static weir_status requests_read(const weir_entry *entry, weir_request *requests, int count, rt_totals *totals) {
  for (int r = 0; r < count; r++) {
    int64_t values[RT_MAX_VALUES], past[RT_MAX_SYMBOLS];
    const weir_session *session = requests[r].session;
    if (session) WEIR_TRY(rt_session_ready(session, entry, r, NULL));
    rt_session_past(session, entry, past);
    WEIR_TRY(rt_request_bind(entry, &requests[r], r, past, values));
    if (session) WEIR_TRY(rt_session_ready(session, entry, r, values));
    WEIR_TRY(rt_request_check_elements(entry, &requests[r], r, values));
    WEIR_TRY(rt_request_outputs(entry, &requests[r], r, values, true));
    if (session) WEIR_TRY(rt_session_room(session, entry, r, values));
    WEIR_TRY(rt_totals_add(entry, totals, values, past));
  }
  return WEIR_OK;
}

static void sessions_release(weir_request *requests, int count) {
  for (int r = 0; r < count; r++) {
    if (requests[r].session) atomic_store(&requests[r].session->busy, 0);
  }
}

static weir_status sessions_claim(const weir_entry *entry, weir_request *requests, int count) {
  bool step = entry->program->step;
  for (int r = 0; r < count; r++) {
    weir_session *session = requests[r].session;
    const char *wrong = NULL;
    if (!session && step) wrong = "the entry goes on with a session, none is given";
    if (session && !step) wrong = "the entry keeps nothing, but a session is given";
    if (session && session->model != entry->model) wrong = "the session is another model's";
    if (!wrong && session && !rt_session_claim(session)) wrong = "the session is in use, or given twice";
    if (wrong) {
      sessions_release(requests, r);
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "request %d: %s", r, wrong);
    }
  }
  return WEIR_OK;
}

// After the launches: all sessions take their new rows, or none does.
static void sessions_end(weir_executor *x, const weir_entry *entry, weir_request *requests, int count, bool commit) {
  for (int r = 0; r < count; r++) {
    weir_session *session = requests[r].session;
    if (!session) continue;
    if (commit) {
      x->measured.state_bytes += rt_session_bytes(session, entry);
      rt_session_commit(session, x->queue);
    } else {
      rt_session_revert(session, x->queue);
    }
  }
  // Another executor may go on with them. What fails here, a lost device, is what the next call says.
  weir_status_release(x->model->device->ops->wait(x->queue));
}

// Behind the launches: choices of tokens, or outputs, or both where a choice stays open.
static weir_status results_fetch(weir_executor *x, const weir_entry *entry, int count, rt_pick *picks,
                                 bool *out_outputs) {
  *out_outputs = !picks;
  if (picks) WEIR_TRY(rt_pick_launch(x, entry, count, picks));
  for (int r = 0; picks && r < count; r++) *out_outputs |= !picks[r].picked;
  return *out_outputs ? rt_fetch_outputs(x, entry) : WEIR_OK;
}

static weir_status run_claimed(weir_executor *x, const weir_entry *entry, weir_request *requests, int count,
                               weir_run_options *options, rt_pick *picks) {
  rt_totals totals = {0};
  rt_need need;
  rt_bound *bound = &x->bound[entry - x->model->entries];
  weir_memory before = x->measured;
  bool outputs = true;
  WEIR_TRY(requests_read(entry, requests, count, &totals));
  WEIR_TRY(rt_plan_call(entry, &totals, &need));
  WEIR_TRY(room_make(x, &need));
  weir_status status = rt_bind_call(x, bound, requests, &totals, &need);
  if (!status) {
    status = x->model->device->ops->launch(x->queue, bound, options);
    if (!status) status = results_fetch(x, entry, count, picks, &outputs);
    sessions_end(x, entry, requests, count, !status);
  }
  if (status) {
    weir_status_release(x->model->device->ops->wait(x->queue));  // what was sent is no longer read
    x->measured = before;
    return status;
  }
  if (outputs) rt_unpack_outputs(x, entry, requests, count);
  (void)rt_memory_total(&x->measured);  // the plan of this call did not overflow
  return WEIR_OK;
}

weir_status rt_run_pick(weir_executor *x, const weir_entry *entry, weir_request *requests, int request_count,
                        weir_run_options *options, rt_pick *picks) {
  if (entry->model != x->model) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the entry is another model's");
  if (request_count < 1) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%d requests", request_count);
  if (atomic_exchange(&x->busy, 1)) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the executor is in use");
  weir_status status = sessions_claim(entry, requests, request_count);
  if (!status) {
    status = run_claimed(x, entry, requests, request_count, options, picks);
    sessions_release(requests, request_count);
  }
  atomic_store(&x->busy, 0);
  return weir_status_annotate(status, "entry '%s'", entry->program->name);
}

weir_status weir_run(weir_executor *x, const weir_entry *entry, weir_request *requests, int request_count,
                     weir_run_options *options) {
  return rt_run_pick(x, entry, requests, request_count, options, NULL);
}
