// Session storage and its life: open, grow, truncate, fork, and the steps' begin, commit and revert.
#include "runtime/state/session.h"

#include <string.h>

#include "runtime/base/checked.h"

enum { DEFAULT_ROWS = 65536 };

static bool is_fixed(const rt_model_state *s) { return !s->rows; }
static bool grows(const rt_model_state *s) { return s->rows && !s->whole; }

// Back to what a new session has.
static weir_status states_reset(weir_session *session) {
  const weir_model *model = session->model;
  for (int k = 0; k < model->growing_count; k++) session->rows[k] = 0;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    rt_state_storage *storage = &session->storage[i];
    storage->base = 0;
    storage->held = is_fixed(s) && !s->unset ? 1 : -1;
    if (is_fixed(s)) WEIR_TRY(rt_state_fill(model->queue, storage->data, s->row_bytes, s->dtype, s->initial));
  }
  return model->device->ops->wait(model->queue);
}

// ---- storage

static weir_status fixed_make(weir_session *session) {
  const weir_model *model = session->model;
  int64_t total = 0, rounded;
  for (int i = 0; i < model->state_count; i++) {
    if (model->states[i].rows) continue;
    if (!weir_round_up_i64(model->states[i].row_bytes, 64, &rounded) || !weir_add_i64(total, rounded, &total)) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the states overflow");
    }
  }
  if (!total) return WEIR_OK;
  session->fixed_bytes = (size_t)total;
  WEIR_TRY(model->device->ops->alloc(model->device, session->fixed_bytes + RT_SLACK_BYTES, &session->fixed));
  WEIR_TRY(model->device->ops->alloc(model->device, session->fixed_bytes, &session->saved));
  uint8_t *next = session->fixed;
  for (int i = 0; i < model->state_count; i++) {
    if (model->states[i].rows) continue;
    session->storage[i].data = next;
    next += (model->states[i].row_bytes + 63) & ~INT64_C(63);
  }
  return WEIR_OK;
}

static weir_status session_fill(weir_session *session, const int64_t *capacity) {
  const weir_model *model = session->model;
  size_t growing = (size_t)model->growing_count, states = (size_t)model->state_count;
  WEIR_TRY(weir_pool_array(&session->pool, growing, sizeof *session->rows, &session->rows));
  WEIR_TRY(weir_pool_array(&session->pool, growing, sizeof *session->new_rows, &session->new_rows));
  WEIR_TRY(weir_pool_array(&session->pool, growing, sizeof *session->capacity, &session->capacity));
  WEIR_TRY(weir_pool_array(&session->pool, states, sizeof *session->written, &session->written));
  WEIR_TRY(weir_pool_array(&session->pool, states, sizeof *session->other, &session->other));
  WEIR_TRY(weir_pool_array(&session->pool, states, sizeof *session->storage, &session->storage));
  for (int k = 0; k < model->growing_count; k++) session->capacity[k] = capacity[k];
  WEIR_TRY(fixed_make(session));
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    if (!grows(s)) continue;
    WEIR_TRY(rt_storage_make(model, i, rt_storage_first_room(model, s, capacity[s->growing]), &session->storage[i]));
  }
  return states_reset(session);
}

static weir_status session_make(weir_model *model, const int64_t *capacity, weir_session **out_session) {
  weir_session *session;
  WEIR_TRY(weir_alloc(model->allocator, sizeof *session, 64, true, &session));
  weir_model_retain(model);
  session->model = model;
  session->pool.allocator = model->allocator;
  weir_status status = session_fill(session, capacity);
  if (status) {
    weir_session_close(session);
    return status;
  }
  *out_session = session;
  return WEIR_OK;
}

void weir_session_close(weir_session *session) {
  if (!session) return;
  weir_model *model = session->model;
  for (int i = 0; session->storage && i < model->state_count; i++) {
    rt_storage_free(model, &session->storage[i]);
    rt_storage_free(model, &session->other[i]);
  }
  model->device->ops->free(model->device, session->fixed, session->fixed_bytes + RT_SLACK_BYTES);
  model->device->ops->free(model->device, session->saved, session->fixed_bytes);
  weir_pool_deinit(&session->pool);
  weir_free(model->allocator, session, sizeof *session);
  weir_model_release(model);
}

// ---- symbols

// -1 if no symbol of this name grows; null: the first.
static int growing_find(const weir_model *model, const char *symbol) {
  if (!symbol) return model->growing_count ? 0 : -1;
  for (int k = 0; k < model->growing_count; k++) {
    if (!strcmp(model->growing[k].name, symbol)) return k;
  }
  return -1;
}

static weir_status rows_check(const weir_model *model, const char *symbol, int64_t rows, int *out_growing) {
  int k = growing_find(model, symbol);
  if (k < 0)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "no symbol '%s' grows in a session", symbol ? symbol : "");
  if (rows < 0 || rows > model->growing[k].hi) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%lld rows of %s: at most %lld", (long long)rows,
                            model->growing[k].name, (long long)model->growing[k].hi);
  }
  *out_growing = k;
  return WEIR_OK;
}

weir_status weir_session_open(weir_model *model, const weir_capacity *capacities, int capacity_count,
                              weir_session **out_session) {
  int64_t capacity[RT_MAX_SYMBOLS];
  if (model->growing_count > RT_MAX_SYMBOLS) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "%d growing symbols: at most %d", model->growing_count,
                            RT_MAX_SYMBOLS);
  }
  for (int k = 0; k < model->growing_count; k++) {
    capacity[k] = model->growing[k].hi < DEFAULT_ROWS ? model->growing[k].hi : DEFAULT_ROWS;
  }
  for (int i = 0; i < capacity_count; i++) {
    int k;
    WEIR_TRY(rows_check(model, capacities[i].symbol, capacities[i].rows, &k));
    capacity[k] = capacities[i].rows;
  }
  return session_make(model, capacity, out_session);
}

int64_t weir_session_rows(const weir_session *session, const char *symbol) {
  int k = growing_find(session->model, symbol);
  return k < 0 ? -1 : session->rows[k];
}

int64_t weir_session_capacity(const weir_session *session, const char *symbol) {
  int k = growing_find(session->model, symbol);
  return k < 0 ? -1 : session->capacity[k];
}

static weir_status busy_status(void) { return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the session is in use"); }

// All states of the symbol get new storage first; only when that has succeeded are the old ones let go.
static weir_status session_grow(weir_session *session, int growing, int64_t rows) {
  const weir_model *model = session->model;
  rt_state_storage *fresh;
  weir_pool pool = {.allocator = model->allocator};
  WEIR_TRY(weir_pool_array(&pool, (size_t)model->state_count, sizeof *fresh, &fresh));
  weir_status status = WEIR_OK;
  for (int i = 0; !status && i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    if (!grows(s) || s->growing != growing) continue;
    int64_t room = rt_storage_first_room(model, s, rows);
    if (room <= session->storage[i].room) continue;
    status = rt_storage_make(model, i, room, &fresh[i]);
    if (!status) status = rt_storage_copy(model->queue, s, &session->storage[i], session->rows[growing], &fresh[i]);
  }
  if (!status) status = model->device->ops->wait(model->queue);
  for (int i = 0; i < model->state_count; i++) {
    rt_state_storage *old = &session->storage[i];
    if (!fresh[i].memory) continue;
    if (!status) {
      rt_state_storage kept = *old;
      *old = fresh[i];
      fresh[i] = kept;
    }
    rt_storage_free(model, &fresh[i]);
  }
  weir_pool_deinit(&pool);
  if (!status) session->capacity[growing] = rows;
  return status;
}

weir_status weir_session_grow(weir_session *session, const char *symbol, int64_t rows) {
  int k;
  WEIR_TRY(rows_check(session->model, symbol, rows, &k));
  if (!rt_session_claim(session)) return busy_status();
  weir_status status = rows > session->capacity[k] ? session_grow(session, k, rows) : WEIR_OK;
  atomic_store(&session->busy, 0);
  return status;
}

// Whether what the states keep reaches back to |rows| rows of symbol |k|: windows must still have the rows before, and
// nothing of a fixed shape may have followed the rows.
static weir_status truncate_check(const weir_session *session, int k, int64_t rows) {
  const weir_model *model = session->model;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    if (is_fixed(s) && s->follows) {
      return weir_status_make(
          WEIR_CODE_UNSUPPORTED,
          "state '%s' is not rows and cannot go back: fork the session before, or start anew with 0 rows", s->path);
    }
    if (!s->window || s->growing != k || rows == 0) continue;
    if (rows - rt_state_kept(s, rows) >= session->storage[i].base) continue;
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE,
                            "state '%s' keeps the last %lld rows: the session can go back to %lld rows of %s, or to 0",
                            s->path, (long long)(s->window - 1), (long long)(session->storage[i].base + s->window - 1),
                            model->growing[k].name);
  }
  return WEIR_OK;
}

static weir_status session_truncate(weir_session *session, const char *symbol, int64_t rows) {
  const weir_model *model = session->model;
  int only = -1;
  if (symbol) WEIR_TRY(rows_check(model, symbol, rows, &only));
  if (!symbol && rows == 0) {
    return states_reset(session);
  }
  for (int k = 0; k < model->growing_count; k++) {
    if (only >= 0 && k != only) continue;
    if (rows < 0 || rows > session->rows[k]) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "cannot keep %lld rows of %s: there are %lld", (long long)rows,
                              model->growing[k].name, (long long)session->rows[k]);
    }
    if (rows < session->rows[k]) WEIR_TRY(truncate_check(session, k, rows));
  }
  for (int k = 0; k < model->growing_count; k++) {
    if (only < 0 || k == only) session->rows[k] = rows;
  }
  for (int i = 0; i < model->state_count; i++)
    if (model->states[i].window && session->rows[model->states[i].growing] == 0) session->storage[i].base = 0;
  return WEIR_OK;
}

weir_status weir_session_truncate(weir_session *session, const char *symbol, int64_t rows) {
  if (!rt_session_claim(session)) return busy_status();
  weir_status status = session_truncate(session, symbol, rows);
  atomic_store(&session->busy, 0);
  return status;
}

static weir_status states_copy(const weir_session *from, weir_session *to) {
  const weir_model *model = from->model;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    if (s->whole && from->storage[i].held >= 0)
      WEIR_TRY(rt_storage_whole(model, i, from->storage[i].held, &to->storage[i]));
    int64_t rows = grows(s) ? from->rows[s->growing] : 0, most = grows(s) ? from->storage[i].room : 0;
    int64_t need = grows(s) ? rt_storage_reach(s, &from->storage[i], rows) : 0;
    WEIR_TRY(rt_storage_grow(model, model->queue, i, 0, need, most, &to->storage[i]));
    WEIR_TRY(rt_storage_copy(model->queue, s, &from->storage[i], rows, &to->storage[i]));
  }
  for (int k = 0; k < model->growing_count; k++) to->rows[k] = from->rows[k];
  return model->device->ops->wait(model->queue);
}

weir_status weir_session_fork(const weir_session *session, weir_session **out_session) {
  weir_session *copy;
  WEIR_TRY(session_make(session->model, session->capacity, &copy));
  weir_status status = states_copy(session, copy);
  if (status) weir_session_close(copy);
  else *out_session = copy;
  return status;
}
