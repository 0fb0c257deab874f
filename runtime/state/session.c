// Session storage and its life: open, grow, truncate, fork, and the steps' begin, commit and revert.
#include "runtime/state/session.h"

#include <math.h>
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/base/half.h"

enum {
  DEFAULT_ROWS = 65536,
  // Neighbouring states begin at different places within a page, so that equal rows of many states do not fall on the
  // same cache sets.
  STAGGER_BYTES = 5 * 64,
};

// ---- filling

// The code whose value is nearest; of two, the first. Only for initial values: there is no need to be quick.
static uint8_t f8_nearest(float value, float (*widen)(uint8_t)) {
  uint8_t best = 0;
  for (int code = 0; code < 256; code++) {
    float distance = fabsf(widen((uint8_t)code) - value), least = fabsf(widen(best) - value);
    if (distance < least) best = (uint8_t)code;
  }
  return best;
}

void rt_state_fill(void *data, int64_t bytes, rt_dtype dtype, double initial) {
  int width = rt_dtype_bytes(dtype);
  unsigned char element[8] = {0};
  float f = (float)initial;
  int64_t i = (int64_t)initial;
  switch (dtype) {
    case RT_DTYPE_f16:
      memcpy(element, &(uint16_t){weir_f32_to_f16(f)}, 2);
      break;
    case RT_DTYPE_bf16:
      memcpy(element, &(uint16_t){weir_f32_to_bf16(f)}, 2);
      break;
    case RT_DTYPE_f32:
      memcpy(element, &f, 4);
      break;
    case RT_DTYPE_f64:
      memcpy(element, &initial, 8);
      break;
    case RT_DTYPE_f8e4m3:
      element[0] = f8_nearest(f, weir_f8e4m3_to_f32);
      break;
    case RT_DTYPE_f8e5m2:
      element[0] = f8_nearest(f, weir_f8e5m2_to_f32);
      break;
    default:
      memcpy(element, &i, (size_t)width);
      break;  // little-endian
  }
  if (initial == 0) {
    memset(data, 0, (size_t)bytes);
    return;
  }
  for (int64_t k = 0; k + width <= bytes; k += width) memcpy((char *)data + k, element, (size_t)width);
}

static void fixed_reset(weir_session *session) {
  const weir_model *model = session->model;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    if (!s->rows) rt_state_fill(session->storage[i].data, s->row_bytes, s->dtype, s->initial);
  }
}

// ---- storage

// Storage of a row state for |rows|; the caller frees it.
static weir_status storage_make(const weir_model *model, int state, int64_t rows, rt_state_storage *out) {
  int64_t bytes, stagger = (int64_t)state * STAGGER_BYTES % 4096;
  if (!weir_mul_i64(model->states[state].row_bytes, rows, &bytes) ||
      !weir_add_i64(bytes, stagger + RT_SLACK_BYTES, &bytes)) {
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "state '%s': %lld rows overflow", model->states[state].path,
                            (long long)rows);
  }
  rt_state_storage storage = {.memory_bytes = (size_t)bytes};
  WEIR_TRY_CTX(weir_alloc(model->allocator, storage.memory_bytes, 64, false, &storage.memory), "state '%s'",
               model->states[state].path);
  storage.data = (uint8_t *)storage.memory + stagger;
  *out = storage;
  return WEIR_OK;
}

static void storage_free(const weir_model *model, rt_state_storage *storage) {
  weir_free(model->allocator, storage->memory, storage->memory_bytes);
}

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
  WEIR_TRY(weir_pool_array(&session->pool, session->fixed_bytes + RT_SLACK_BYTES, 1, &session->fixed));
  WEIR_TRY(weir_pool_array(&session->pool, session->fixed_bytes, 1, &session->saved));
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
  size_t growing = (size_t)model->growing_count;
  WEIR_TRY(weir_pool_array(&session->pool, growing, sizeof *session->rows, &session->rows));
  WEIR_TRY(weir_pool_array(&session->pool, growing, sizeof *session->new_rows, &session->new_rows));
  WEIR_TRY(weir_pool_array(&session->pool, growing, sizeof *session->capacity, &session->capacity));
  WEIR_TRY(weir_pool_array(&session->pool, (size_t)model->state_count, sizeof *session->storage, &session->storage));
  for (int k = 0; k < model->growing_count; k++) session->capacity[k] = capacity[k];
  WEIR_TRY(fixed_make(session));
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    if (s->rows) WEIR_TRY(storage_make(model, i, capacity[s->growing], &session->storage[i]));
  }
  fixed_reset(session);
  return WEIR_OK;
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
  for (int i = 0; session->storage && i < model->state_count; i++) storage_free(model, &session->storage[i]);
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
    if (s->rows && s->growing == growing) status = storage_make(model, i, rows, &fresh[i]);
  }
  for (int i = 0; i < model->state_count; i++) {
    rt_state_storage *old = &session->storage[i];
    if (!fresh[i].memory) continue;
    if (!status) {
      int64_t bytes = model->states[i].row_bytes * session->rows[growing];
      if (bytes) memcpy(fresh[i].data, old->data, (size_t)bytes);
      rt_state_storage kept = *old;
      *old = fresh[i];
      fresh[i] = kept;
    }
    storage_free(model, &fresh[i]);
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

static weir_status session_truncate(weir_session *session, const char *symbol, int64_t rows) {
  const weir_model *model = session->model;
  int only = -1;
  if (symbol) WEIR_TRY(rows_check(model, symbol, rows, &only));
  if (!symbol && rows == 0) {
    for (int k = 0; k < model->growing_count; k++) session->rows[k] = 0;
    fixed_reset(session);
    return WEIR_OK;
  }
  bool change = false;
  for (int k = 0; k < model->growing_count; k++) {
    if (only >= 0 && k != only) continue;
    if (rows < 0 || rows > session->rows[k]) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "cannot keep %lld rows of %s: there are %lld", (long long)rows,
                              model->growing[k].name, (long long)session->rows[k]);
    }
    change |= rows < session->rows[k];
  }
  if (change && session->fixed_bytes) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "the session has states that are not rows: it can only start anew");
  }
  for (int k = 0; k < model->growing_count; k++) {
    if (only < 0 || k == only) session->rows[k] = rows;
  }
  return WEIR_OK;
}

weir_status weir_session_truncate(weir_session *session, const char *symbol, int64_t rows) {
  if (!rt_session_claim(session)) return busy_status();
  weir_status status = session_truncate(session, symbol, rows);
  atomic_store(&session->busy, 0);
  return status;
}

weir_status weir_session_fork(const weir_session *session, weir_session **out_session) {
  const weir_model *model = session->model;
  weir_session *copy;
  WEIR_TRY(session_make(session->model, session->capacity, &copy));
  for (int k = 0; k < model->growing_count; k++) copy->rows[k] = session->rows[k];
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    int64_t bytes = s->rows ? s->row_bytes * session->rows[s->growing] : s->row_bytes;
    if (bytes) memcpy(copy->storage[i].data, session->storage[i].data, (size_t)bytes);
  }
  *out_session = copy;
  return WEIR_OK;
}

// ---- for the executor

bool rt_session_claim(weir_session *session) { return !atomic_exchange(&session->busy, 1); }

void rt_session_past(const weir_session *session, const weir_entry *entry, int64_t *out_past) {
  for (int i = 0; i < entry->program->symbol_count; i++) {
    int k = entry->growing[i];
    out_past[i] = session && k >= 0 ? session->rows[k] : 0;
  }
}

weir_status rt_session_room(const weir_session *session, const weir_entry *entry, int index, const int64_t *values) {
  for (int i = 0; i < entry->program->symbol_count; i++) {
    int k = entry->growing[i];
    if (k < 0 || values[i] <= session->capacity[k] - session->rows[k]) continue;
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "request %d: %lld more rows of %s, the session has %lld of %lld",
                            index, (long long)values[i], session->model->growing[k].name, (long long)session->rows[k],
                            (long long)session->capacity[k]);
  }
  return WEIR_OK;
}

void *rt_session_state(const weir_session *session, int state) { return session->storage[state].data; }

int64_t rt_session_bytes(const weir_session *session, const weir_entry *entry) {
  int64_t bytes = 0;
  for (int i = 0; i < entry->program->state_count; i++) {
    const rt_model_state *s = &session->model->states[entry->states[i]];
    bytes += s->rows ? s->row_bytes * session->rows[s->growing] : s->row_bytes;
  }
  return bytes;
}

void rt_session_begin(weir_session *session, const weir_entry *entry, const int64_t *values) {
  for (int k = 0; k < session->model->growing_count; k++) session->new_rows[k] = 0;
  for (int i = 0; i < entry->program->symbol_count; i++) {
    if (entry->growing[i] >= 0) session->new_rows[entry->growing[i]] = values[i];
  }
  if (session->fixed_bytes) memcpy(session->saved, session->fixed, session->fixed_bytes);
}

void rt_session_revert(weir_session *session) {
  if (session->fixed_bytes) memcpy(session->fixed, session->saved, session->fixed_bytes);
}

void rt_session_commit(weir_session *session) {
  for (int k = 0; k < session->model->growing_count; k++) session->rows[k] += session->new_rows[k];
}
