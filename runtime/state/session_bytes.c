// Sessions as bytes: a header that names the model, the rows of each growing symbol, how much of each state there is,
// the states one behind the other, and a hash of it all. Little-endian. Only for the same package: bytes of another
// one, or damaged ones, are refused before anything is changed.
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/state/session.h"

#define MAGIC "WEIRSESS"
enum { VERSION = 2 };

typedef struct {
  char magic[8];
  uint32_t version;
  uint32_t symbol_count;
  uint8_t identity[WEIR_HASH_BYTES];
  uint64_t state_count;
} header;

// Rows (or 1, or -1) that the form has of state |i|.
static int64_t held_of(const weir_session *session, int i) {
  const rt_model_state *s = &session->model->states[i];
  return s->rows && !s->whole ? rt_state_kept(s, session->rows[s->growing]) : session->storage[i].held;
}

static int64_t head_bytes(const weir_model *model) {
  return (int64_t)sizeof(header) + (int64_t)sizeof(int64_t) * (model->growing_count + model->state_count);
}

// Bytes of the form with so much |held| of each state. False on overflow.
static bool form_bytes(const weir_model *model, const int64_t *held, int64_t *out) {
  int64_t sum = head_bytes(model) + WEIR_HASH_BYTES;
  for (int i = 0; i < model->state_count; i++) {
    int64_t bytes;
    if (held[i] < 0) continue;
    if (!weir_mul_i64(model->states[i].row_bytes, held[i], &bytes) || !weir_add_i64(sum, bytes, &sum)) return false;
  }
  *out = sum;
  return true;
}

static bool session_form_bytes(const weir_session *session, int64_t *out) {
  const weir_model *model = session->model;
  int64_t sum = head_bytes(model) + WEIR_HASH_BYTES;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    int64_t rows = s->rows && !s->whole ? session->rows[s->growing] : 0;
    if (!weir_add_i64(sum, rt_storage_bytes(s, &session->storage[i], rows), &sum)) return false;
  }
  *out = sum;
  return true;
}

weir_status weir_session_export(const weir_session *session, void *data, size_t bytes, size_t *out_bytes) {
  const weir_model *model = session->model;
  int64_t needed;
  if (!session_form_bytes(session, &needed)) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the session overflows");
  *out_bytes = (size_t)needed;
  if (!data) return WEIR_OK;
  if (bytes < (size_t)needed) {
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "room for %zu bytes, the session has %lld", bytes,
                            (long long)needed);
  }
  header h = {
      .version = VERSION, .symbol_count = (uint32_t)model->growing_count, .state_count = (uint64_t)model->state_count};
  memcpy(h.magic, MAGIC, sizeof h.magic);
  memcpy(h.identity, model->identity.bytes, sizeof h.identity);
  uint8_t *next = data;
  memcpy(next, &h, sizeof h);
  next += sizeof h;
  size_t rows_bytes = sizeof(int64_t) * (size_t)model->growing_count;
  if (rows_bytes) memcpy(next, session->rows, rows_bytes);
  next += rows_bytes;
  for (int i = 0; i < model->state_count; i++, next += sizeof(int64_t))
    memcpy(next, &(int64_t){held_of(session, i)}, sizeof(int64_t));
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    int64_t rows = s->rows && !s->whole ? session->rows[s->growing] : 0;
    size_t size = (size_t)rt_storage_bytes(s, &session->storage[i], rows);
    WEIR_TRY(rt_storage_export(model->queue, s, &session->storage[i], rows, next));
    next += size;
  }
  WEIR_TRY(model->device->ops->wait(model->queue));
  weir_hash hash;
  weir_hash_bytes(data, (size_t)(next - (uint8_t *)data), &hash);
  memcpy(next, hash.bytes, sizeof hash.bytes);
  return WEIR_OK;
}

// ---- import

typedef struct {
  int64_t *rows, *held;  // in a pool
} form;

static weir_status header_check(const weir_model *model, const uint8_t *data, size_t bytes) {
  header h;
  if (bytes < sizeof h || memcmp(data, MAGIC, sizeof h.magic)) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "these bytes are no session");
  }
  memcpy(&h, data, sizeof h);
  if (h.version != VERSION) return weir_status_make(WEIR_CODE_UNSUPPORTED, "session version %u", h.version);
  if (memcmp(h.identity, model->identity.bytes, sizeof h.identity) ||
      h.symbol_count != (uint32_t)model->growing_count || h.state_count != (uint64_t)model->state_count) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session is of another model");
  }
  if (bytes < (size_t)head_bytes(model)) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session is cut short");
  }
  return WEIR_OK;
}

static weir_status rows_check(const weir_session *session, const int64_t *rows) {
  const weir_model *model = session->model;
  for (int k = 0; k < model->growing_count; k++) {
    if (rows[k] < 0) return weir_status_make(WEIR_CODE_INVALID_DATA, "the session has negative rows");
    int64_t room = model->growing[k].keeps_all ? session->capacity[k] : model->growing[k].hi;
    if (rows[k] <= room) continue;
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "%lld rows of %s, room for %lld", (long long)rows[k],
                            model->growing[k].name, (long long)room);
  }
  return WEIR_OK;
}

static weir_status held_check(const weir_model *model, const form *f) {
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    int64_t held = f->held[i];
    bool fits = s->whole  ? held >= -1
                : s->rows ? held == rt_state_kept(s, f->rows[s->growing])
                          : held == 1 || (held == -1 && s->unset);
    if (!fits) return weir_status_make(WEIR_CODE_INVALID_DATA, "state '%s' has no such rows", s->path);
  }
  return WEIR_OK;
}

// Emitted code relies on bools being 0 or 1.
static weir_status bools_check(const weir_model *model, const form *f, const uint8_t *next) {
  for (int i = 0; i < model->state_count; i++) {
    int64_t bytes = f->held[i] > 0 ? model->states[i].row_bytes * f->held[i] : 0;
    for (int64_t k = 0; model->states[i].dtype == RT_DTYPE_bool && k < bytes; k++) {
      if (next[k] > 1)
        return weir_status_make(WEIR_CODE_INVALID_DATA, "state '%s': a bool is %d", model->states[i].path, next[k]);
    }
    next += bytes;
  }
  return WEIR_OK;
}

static weir_status form_check(const weir_session *session, const uint8_t *data, size_t bytes, form *f) {
  const weir_model *model = session->model;
  int64_t expected;
  weir_hash hash;
  WEIR_TRY(header_check(model, data, bytes));
  size_t rows_bytes = sizeof(int64_t) * (size_t)model->growing_count,
         held_bytes = sizeof(int64_t) * (size_t)model->state_count;
  if (rows_bytes) memcpy(f->rows, data + sizeof(header), rows_bytes);
  if (held_bytes) memcpy(f->held, data + sizeof(header) + rows_bytes, held_bytes);
  WEIR_TRY(rows_check(session, f->rows));
  WEIR_TRY(held_check(model, f));
  if (!form_bytes(model, f->held, &expected) || (size_t)expected != bytes) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session has %zu bytes, not what its rows need", bytes);
  }
  weir_hash_bytes(data, bytes - WEIR_HASH_BYTES, &hash);
  if (memcmp(hash.bytes, data + bytes - WEIR_HASH_BYTES, WEIR_HASH_BYTES)) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session is damaged: wrong hash");
  }
  return bools_check(model, f, data + head_bytes(model));
}

// Room for what state |i| has in the form; of whole states in the block that no step reads.
static weir_status room_take(weir_session *session, const form *f, int i) {
  const weir_model *model = session->model;
  const rt_model_state *s = &model->states[i];
  rt_state_storage *storage = &session->storage[i];
  if (f->held[i] < 0 || !s->rows) return WEIR_OK;
  if (s->whole) return rt_storage_whole(model, i, f->held[i], &session->other[i]);
  int64_t first = s->window ? f->rows[s->growing] - f->held[i] : 0, need = rt_state_span(s, first, f->held[i]);
  int64_t most = rt_storage_room(s, session->capacity[s->growing]);
  return rt_storage_grow(model, model->queue, i, session->rows[s->growing], need, most, storage);
}

// Room first, so that nothing is changed where there is none.
static weir_status states_take(weir_session *session, const form *f, const uint8_t *next) {
  const weir_model *model = session->model;
  for (int i = 0; i < model->state_count; i++) WEIR_TRY(room_take(session, f, i));
  for (int k = 0; k < model->growing_count; k++) session->rows[k] = f->rows[k];
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    rt_state_storage *storage = &session->storage[i];
    if (s->whole) {
      rt_state_storage old = *storage;
      *storage = session->other[i];
      session->other[i] = old;
    }
    WEIR_TRY(rt_storage_import(model->queue, s, next, s->window ? session->rows[s->growing] : 0, f->held[i], storage));
    next += f->held[i] > 0 ? s->row_bytes * f->held[i] : 0;
  }
  return model->device->ops->wait(model->queue);
}

static weir_status session_import(weir_session *session, const uint8_t *data, size_t bytes) {
  const weir_model *model = session->model;
  weir_pool pool = {.allocator = model->allocator};
  form f;
  weir_status status = weir_pool_array(&pool, (size_t)model->growing_count, sizeof *f.rows, &f.rows);
  if (!status) status = weir_pool_array(&pool, (size_t)model->state_count, sizeof *f.held, &f.held);
  if (!status) status = form_check(session, data, bytes, &f);
  if (!status) status = states_take(session, &f, data + head_bytes(model));
  weir_pool_deinit(&pool);
  return status;
}

weir_status weir_session_import(weir_session *session, const void *data, size_t bytes) {
  if (!rt_session_claim(session)) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the session is in use");
  weir_status status = session_import(session, data, bytes);
  atomic_store(&session->busy, 0);
  return status;
}
