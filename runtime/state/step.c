// What a step does with a session: is it ready, is there room, where do launches find the states, and begin, revert and
// commit around the launches.
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/state/session.h"

bool rt_session_claim(weir_session *session) { return !atomic_exchange(&session->busy, 1); }

// ---- symbols that only the session knows

// Rows of a whole state, from the values of all symbols. False on overflow.
static bool whole_rows(const rt_program *p, const rt_state *s, const int64_t *values, int64_t *out) {
  if (s->symbol < p->symbol_count) *out = values[s->symbol];
  else if (!rt_expr_eval(p->volumes[s->symbol - p->symbol_count].count, values, out)) return false;
  return *out >= 0;
}

// The least value of |symbol| with which |s| has |rows| rows, by halving: counts do not fall when a symbol rises. -1 if
// there is none.
static int64_t stored_value(const rt_program *p, const rt_state *s, int symbol, int64_t rows) {
  int64_t values[RT_MAX_VALUES] = {0}, lo = p->symbols[symbol].lo, hi = p->symbols[symbol].hi, count;
  while (lo < hi) {
    values[symbol] = lo + (hi - lo) / 2;
    if (whole_rows(p, s, values, &count) && count < rows) lo = values[symbol] + 1;
    else hi = values[symbol];
  }
  values[symbol] = lo;
  return whole_rows(p, s, values, &count) && count == rows ? lo : -1;
}

static bool counts_by(const rt_program *p, const rt_state *s, int symbol) {
  if (!s->whole || s->writes || s->symbol == symbol) return s->whole && !s->writes;
  if (s->symbol < p->symbol_count) return false;
  rt_expr e = p->volumes[s->symbol - p->symbol_count].count;
  for (int i = 0; i < e.op_count; i++)
    if (e.ops[i].code == RT_SIZE_VAR && e.ops[i].value == symbol) return true;
  return false;
}

static int64_t stored_symbol(const weir_session *session, const weir_entry *entry, int symbol) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->state_count; i++) {
    if (!counts_by(p, &p->states[i], symbol)) continue;
    int64_t held = session->storage[entry->states[i]].held;
    return held < 0 ? -1 : stored_value(p, &p->states[i], symbol, held);
  }
  return -1;
}

void rt_session_past(const weir_session *session, const weir_entry *entry, int64_t *out_past) {
  for (int i = 0; i < entry->program->symbol_count; i++) {
    int k = entry->growing[i];
    out_past[i] = session && k >= 0 ? session->rows[k] : 0;
    if (session && entry->program->symbols[i].stored) out_past[i] = stored_symbol(session, entry, i);
  }
}

// ---- before a step

// A step entry that writes state |state| of the model.
static const char *writer_of(const weir_model *model, int state) {
  for (int e = 0; e < model->entry_count; e++) {
    const weir_entry *entry = &model->entries[e];
    for (int i = 0; entry->program->step && i < entry->program->state_count; i++)
      if (entry->states[i] == state && entry->program->states[i].writes) return entry->program->name;
  }
  return NULL;
}

weir_status rt_session_ready(const weir_session *session, const weir_entry *entry, int index, const int64_t *values) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->state_count; i++) {
    const rt_state *s = &p->states[i];
    if (!s->reads) continue;
    int64_t held = session->storage[entry->states[i]].held, rows;
    if (held < 0) {
      const char *writer = writer_of(session->model, entry->states[i]);
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "request %d: state '%s' has no value yet%s%s%s", index,
                              s->path, writer ? ": run '" : "", writer ? writer : "", writer ? "' first" : "");
    }
    if (!values || !s->whole || s->writes || (whole_rows(p, s, values, &rows) && rows == held)) continue;
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "request %d: state '%s' has %lld rows, not what the inputs say",
                            index, s->path, (long long)held);
  }
  return WEIR_OK;
}

weir_status rt_session_look(const weir_session *session, const weir_entry *entry, int index, int64_t *out_past) {
  const rt_program *p = entry->program;
  const char *wrong = NULL;
  if (session && !p->step) wrong = "the entry keeps nothing, but a session is given";
  if (session && session->model != entry->model) wrong = "the session is another model's";
  if (wrong) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "request %d: %s", index, wrong);
  if (session) WEIR_TRY(rt_session_ready(session, entry, index, NULL));
  for (int i = 0; !session && i < p->symbol_count; i++) {
    if (!p->symbols[i].stored) continue;
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "request %d: only a session says what %s is", index,
                            p->symbols[i].name);
  }
  rt_session_past(session, entry, out_past);
  return WEIR_OK;
}

weir_status rt_session_room(const weir_session *session, const weir_entry *entry, int index, const int64_t *values) {
  for (int i = 0; i < entry->program->symbol_count; i++) {
    int k = entry->growing[i];
    if (k < 0) continue;
    int64_t used = session->model->growing[k].keeps_all ? session->rows[k] : 0;
    if (values[i] <= session->capacity[k] - used) continue;
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "request %d: %lld more rows of %s, the session has %lld of %lld",
                            index, (long long)values[i], session->model->growing[k].name, (long long)used,
                            (long long)session->capacity[k]);
  }
  return WEIR_OK;
}

bool rt_state_rows(const rt_program *p, const rt_state *s, const int64_t *values, int64_t *out_rows) {
  *out_rows = 1;
  if (!s->rows) return true;
  int64_t before = s->whole ? 0 : values[p->symbol_count + s->symbol], first = 0;
  if (s->window && before > s->window - 1) first = before - (s->window - 1);
  if (s->panel) first -= first % RT_PANEL_ROWS;
  bool ok = s->whole ? whole_rows(p, s, values, out_rows) : weir_add_i64(values[s->symbol], before - first, out_rows);
  return ok && (!s->panel || weir_round_up_i64(*out_rows, RT_PANEL_ROWS, out_rows));
}

int64_t rt_state_packed(const rt_state *s, int64_t rows, int64_t requests) {
  return s->panel ? (rows / RT_PANEL_ROWS + requests) * RT_PANEL_ROWS : rows;
}

// ---- during a step

void *rt_session_state(const weir_session *session, const weir_entry *entry, int state) {
  int at = entry->states[state];
  const rt_model_state *s = &session->model->states[at];
  if (s->whole) return (entry->program->states[state].writes ? session->other : session->storage)[at].data;
  return rt_storage_kept(s, &session->storage[at], s->rows ? session->rows[s->growing] : 0);
}

int64_t rt_session_bytes(const weir_session *session, const weir_entry *entry) {
  const rt_program *p = entry->program;
  int64_t bytes = 0;
  for (int i = 0; i < p->state_count; i++) {
    int at = entry->states[i];
    const rt_model_state *s = &session->model->states[at];
    int64_t rows = 1, first = 0;
    if (s->whole) rows = (p->states[i].writes ? session->other : session->storage)[at].held;
    else if (s->rows) rows = rt_state_kept(s, session->rows[s->growing]) + session->new_rows[s->growing];
    if (s->window) first = session->rows[s->growing] - rt_state_kept(s, session->rows[s->growing]);
    bytes += rt_state_span(s, first, rows) * s->row_bytes;
  }
  return bytes;
}

// Room for the rows that the step writes.
static weir_status states_prepare(weir_session *session, const weir_entry *entry, const int64_t *values,
                                  rt_queue *queue) {
  const weir_model *model = session->model;
  const rt_program *p = entry->program;
  for (int i = 0; i < p->state_count; i++) {
    const rt_state *s = &p->states[i];
    int64_t rows;
    int at = entry->states[i];
    const rt_model_state *state = &model->states[at];
    if (s->rows && !s->whole) {
      int64_t before = session->rows[state->growing], most = rt_storage_room(state, session->capacity[state->growing]);
      int64_t need = rt_storage_reach(state, &session->storage[at], before) + values[s->symbol];
      WEIR_TRY(rt_storage_grow(model, queue, at, before, need, most, &session->storage[at]));
    }
    if (!s->whole || !s->writes) continue;
    if (!whole_rows(p, s, values, &rows)) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "state '%s': rows", s->path);
    WEIR_TRY(rt_storage_whole(session->model, at, rows, &session->other[at]));
    session->other[at].held = rows;
  }
  return WEIR_OK;
}

weir_status rt_session_begin(weir_session *session, const weir_entry *entry, const int64_t *values, rt_queue *queue) {
  const rt_program *p = entry->program;
  WEIR_TRY(states_prepare(session, entry, values, queue));
  for (int k = 0; k < session->model->growing_count; k++) session->new_rows[k] = 0;
  for (int i = 0; i < p->symbol_count; i++) {
    if (entry->growing[i] >= 0) session->new_rows[entry->growing[i]] = values[i];
  }
  memset(session->written, 0, sizeof *session->written * (size_t)session->model->state_count);
  for (int i = 0; i < p->state_count; i++)
    if (p->states[i].writes) session->written[entry->states[i]] = true;
  return queue->device->ops->move(queue, session->saved, session->fixed, session->fixed_bytes);
}

void rt_session_revert(weir_session *session, rt_queue *queue) {
  weir_status_release(queue->device->ops->move(queue, session->fixed, session->saved, session->fixed_bytes));
}

void rt_session_commit(weir_session *session, rt_queue *queue) {
  const weir_model *model = session->model;
  for (int k = 0; k < model->growing_count; k++) session->rows[k] += session->new_rows[k];
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    rt_state_storage *storage = &session->storage[i];
    if (s->window) weir_status_release(rt_storage_pack(queue, s, storage, session->rows[s->growing]));
    if (!session->written[i]) continue;
    if (s->whole) {
      rt_state_storage old = *storage;
      *storage = session->other[i];
      session->other[i] = old;
    } else if (!s->rows) {
      storage->held = 1;
    }
  }
}
