// From totals to sizes and bytes: the same arithmetic tells a caller the need of a call beforehand and makes room for
// it.
#include "runtime/base/checked.h"
#include "runtime/exec/exec_internal.h"
#include "runtime/state/session.h"

static weir_status overflow(const char *what) {
  return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the %s of this call overflow", what);
}

static void sizes_fill(const weir_entry *entry, const rt_totals *totals, int64_t *sizes) {
  const rt_program *p = entry->program;
  sizes[entry->size_requests] = totals->requests;
  for (int i = 0; i < p->symbol_count; i++) {
    const rt_symbol *s = &p->symbols[i];
    sizes[s->size] = totals->rows[i];
    if (s->size_max >= 0) sizes[s->size_max] = totals->most[i];
    if (s->size_all_max >= 0) sizes[s->size_all_max] = totals->all_most[i];
  }
  for (int i = 0; i < p->volume_count; i++) {
    sizes[p->volumes[i].size] = totals->rows[p->symbol_count + i];
    sizes[p->volumes[i].size_max] = totals->most[p->symbol_count + i];
  }
}

// Adds |count| * |bytes| rounded up to 64.
static bool add_rounded(int64_t *sum, int64_t count, int64_t bytes) {
  return weir_mul_i64(count, bytes, &bytes) && weir_round_up_i64(bytes, 64, &bytes) && weir_add_i64(*sum, bytes, sum);
}

static bool tables_add(const weir_entry *entry, const rt_totals *totals, int64_t *sum) {
  const rt_program *p = entry->program;
  bool ok = true;
  for (int i = 0; i < p->symbol_count + p->volume_count; i++) {
    unsigned tables = entry->tables[i];
    if (tables & RT_TABLE_STARTS) ok = ok && add_rounded(sum, (int64_t)totals->requests + 1, sizeof(int32_t));
    if (tables & RT_TABLE_REQUESTS) ok = ok && add_rounded(sum, totals->rows[i], sizeof(int32_t));
    if (tables & RT_TABLE_POSITIONS) ok = ok && add_rounded(sum, totals->rows[i], sizeof(int32_t));
    if (tables & RT_TABLE_PAST) ok = ok && add_rounded(sum, totals->requests, sizeof(int32_t));
  }
  for (int i = 0; i < p->state_count; i++) ok = ok && add_rounded(sum, totals->requests, sizeof(void *));
  return ok;
}

static bool packing_add(const rt_tensor *tensors, int count, const int64_t *sizes, int64_t *sum) {
  for (int i = 0; i < count; i++) {
    int64_t bytes;
    if (!rt_expr_eval(tensors[i].bytes, sizes, &bytes) || bytes < 0) return false;
    if (!add_rounded(sum, 1, bytes) || !add_rounded(sum, 1, RT_SLACK_BYTES)) return false;
  }
  return true;
}

// Entries without a session: rows packed as they come, one block for each request.
static bool states_add(const weir_entry *entry, const rt_totals *totals, int64_t *sum) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->state_count; i++) {
    const rt_state *s = &p->states[i];
    int64_t bytes = s->row_bytes;
    if (!s->rows && !weir_round_up_i64(bytes, 64, &bytes)) return false;
    int64_t count = s->rows ? rt_state_packed(s, totals->rows[s->symbol], totals->requests) : totals->requests;
    if (!add_rounded(sum, count, bytes)) return false;
  }
  return true;
}

weir_status rt_plan_call(const weir_entry *entry, const rt_totals *totals, rt_need *out_need) {
  const rt_program *p = entry->program;
  rt_need need = {0};
  sizes_fill(entry, totals, need.sizes);
  if (!rt_expr_eval(p->arena_bytes, need.sizes, &need.arena_bytes) || need.arena_bytes < 0)
    return overflow("temporaries");
  if (!tables_add(entry, totals, &need.table_bytes)) return overflow("tables");
  if (totals->requests > 1 || entry->model->device->ops->apart) {
    bool ok = packing_add(p->inputs, p->input_count, need.sizes, &need.packing_bytes);
    ok = ok && packing_add(p->outputs, p->output_count, need.sizes, &need.packing_bytes);
    if (!ok) return overflow("inputs and outputs");
  }
  if (!p->step && !states_add(entry, totals, &need.state_bytes)) return overflow("states");
  *out_need = need;
  return WEIR_OK;
}

// ---- the public questions

// The states of a request's session, with the rows of the call.
static bool session_add(const rt_program *p, const int64_t *values, const int64_t *past, int64_t *sum) {
  int64_t all[RT_MAX_VALUES], rows, bytes;
  for (int i = 0; i < p->symbol_count; i++) {
    all[i] = values[i];
    all[p->symbol_count + i] = past && p->symbols[i].grows ? past[i] : 0;
  }
  for (int i = 0; i < p->state_count; i++) {
    if (!rt_state_rows(p, &p->states[i], all, &rows) || !weir_mul_i64(p->states[i].row_bytes, rows, &bytes) ||
        !weir_add_i64(*sum, bytes, sum))
      return false;
  }
  return true;
}

static weir_status extents_plan(const weir_entry *entry, const weir_extent *extents, int request_count,
                                rt_totals *totals, rt_need *out_need) {
  const rt_program *p = entry->program;
  if (request_count < 1) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%d requests", request_count);
  for (int r = 0; r < request_count; r++) {
    int64_t values[RT_MAX_SYMBOLS], held[RT_MAX_SYMBOLS];
    const int64_t *past = p->step ? extents[r].past : NULL;
    if (extents[r].session) {
      WEIR_TRY(rt_session_look(extents[r].session, entry, r, held));
      past = held;
    }
    for (int i = 0; i < p->symbol_count; i++)
      values[i] = extents[r].session && p->symbols[i].stored ? held[i] : extents[r].values[i];
    WEIR_TRY(rt_values_check(entry, r, values, past));
    WEIR_TRY(rt_totals_add(entry, totals, values, past));
    if (p->step && !session_add(p, values, past, &totals->session_bytes)) return overflow("states");
  }
  return rt_plan_call(entry, totals, out_need);
}

weir_status weir_reserve(weir_executor *executor, const weir_entry *entry, const weir_extent *extents,
                         int request_count) {
  rt_totals totals = {0};
  rt_need need;
  if (entry->model != executor->model) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the entry is another model's");
  }
  WEIR_TRY(extents_plan(entry, extents, request_count, &totals, &need));
  if (atomic_exchange(&executor->busy, 1))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the executor is in use");
  weir_status status = rt_executor_grow(executor, &need);
  atomic_store(&executor->busy, 0);
  return status;
}

weir_status weir_memory_predict(const weir_executor *executor, const weir_entry *entry, const weir_extent *extents,
                                int request_count, weir_memory *out_memory) {
  rt_totals totals = {0};
  rt_need need;
  WEIR_TRY(extents_plan(entry, extents, request_count, &totals, &need));
  weir_memory m = {
      .weights_bytes = entry->weight_bytes,
      .arena_bytes = need.arena_bytes,
      .state_bytes = totals.session_bytes + need.state_bytes,
      .table_bytes = need.table_bytes,
      .scratch_bytes = executor->queue->scratch_bytes,
      .packing_bytes = need.packing_bytes,
  };
  if (!rt_memory_total(&m)) return overflow("bytes");
  *out_memory = m;
  return WEIR_OK;
}

bool rt_memory_total(weir_memory *m) {
  const int64_t parts[] = {m->weights_bytes, m->arena_bytes,   m->state_bytes,
                           m->table_bytes,   m->scratch_bytes, m->packing_bytes};
  m->total_bytes = 0;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (!weir_add_i64(m->total_bytes, parts[i], &m->total_bytes)) return false;
  }
  return true;
}

void weir_memory_measured(const weir_executor *executor, weir_memory *out_memory) { *out_memory = executor->measured; }
