// Sessions as bytes: a header that names the model, the rows of each growing symbol, the states one behind the other,
// and a hash of it all. Little-endian. Only for the same package: bytes of another one, or damaged ones, are refused
// before anything is changed.
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/state/session.h"

#define MAGIC "WEIRSESS"
enum { VERSION = 1 };

typedef struct {
  char magic[8];
  uint32_t version;
  uint32_t symbol_count;
  uint8_t identity[WEIR_HASH_BYTES];
  uint64_t state_count;
} header;

// Bytes of the form when the growing symbols have |rows|. False on overflow.
static bool form_bytes(const weir_model *model, const int64_t *rows, int64_t *out) {
  int64_t sum = (int64_t)sizeof(header) + (int64_t)sizeof(int64_t) * model->growing_count + WEIR_HASH_BYTES;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    int64_t bytes;
    if (!weir_mul_i64(s->row_bytes, s->rows ? rows[s->growing] : 1, &bytes) || !weir_add_i64(sum, bytes, &sum))
      return false;
  }
  *out = sum;
  return true;
}

weir_status weir_session_export(const weir_session *session, void *data, size_t bytes, size_t *out_bytes) {
  const weir_model *model = session->model;
  int64_t needed;
  if (!form_bytes(model, session->rows, &needed))
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the session overflows");
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
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    size_t size = (size_t)(s->row_bytes * (s->rows ? session->rows[s->growing] : 1));
    if (size) memcpy(next, session->storage[i].data, size);
    next += size;
  }
  weir_hash hash;
  weir_hash_bytes(data, (size_t)(next - (uint8_t *)data), &hash);
  memcpy(next, hash.bytes, sizeof hash.bytes);
  return WEIR_OK;
}

static weir_status form_check(const weir_session *session, const uint8_t *data, size_t bytes, int64_t *out_rows) {
  const weir_model *model = session->model;
  header h;
  size_t rows_bytes = sizeof(int64_t) * (size_t)model->growing_count;
  if (bytes < sizeof h || memcmp(data, MAGIC, sizeof h.magic)) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "these bytes are no session");
  }
  memcpy(&h, data, sizeof h);
  if (h.version != VERSION) return weir_status_make(WEIR_CODE_UNSUPPORTED, "session version %u", h.version);
  if (memcmp(h.identity, model->identity.bytes, sizeof h.identity) ||
      h.symbol_count != (uint32_t)model->growing_count || h.state_count != (uint64_t)model->state_count) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session is of another model");
  }
  if (bytes < sizeof h + rows_bytes) return weir_status_make(WEIR_CODE_INVALID_DATA, "the session is cut short");
  if (rows_bytes) memcpy(out_rows, data + sizeof h, rows_bytes);
  for (int k = 0; k < model->growing_count; k++) {
    if (out_rows[k] < 0) return weir_status_make(WEIR_CODE_INVALID_DATA, "the session has negative rows");
    if (out_rows[k] > session->capacity[k]) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "%lld rows of %s, room for %lld", (long long)out_rows[k],
                              model->growing[k].name, (long long)session->capacity[k]);
    }
  }
  int64_t expected;
  if (!form_bytes(model, out_rows, &expected) || (size_t)expected != bytes) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session has %zu bytes, not what its rows need", bytes);
  }
  weir_hash hash;
  weir_hash_bytes(data, bytes - WEIR_HASH_BYTES, &hash);
  if (memcmp(hash.bytes, data + bytes - WEIR_HASH_BYTES, WEIR_HASH_BYTES)) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the session is damaged: wrong hash");
  }
  return WEIR_OK;
}

static weir_status session_import(weir_session *session, const uint8_t *data, size_t bytes) {
  const weir_model *model = session->model;
  int64_t rows[RT_MAX_SYMBOLS];
  WEIR_TRY(form_check(session, data, bytes, rows));
  const uint8_t *next = data + sizeof(header) + sizeof(int64_t) * (size_t)model->growing_count;
  for (int i = 0; i < model->state_count; i++) {
    const rt_model_state *s = &model->states[i];
    size_t size = (size_t)(s->row_bytes * (s->rows ? rows[s->growing] : 1));
    if (size) memcpy(session->storage[i].data, next, size);
    next += size;
  }
  for (int k = 0; k < model->growing_count; k++) session->rows[k] = rows[k];
  return WEIR_OK;
}

weir_status weir_session_import(weir_session *session, const void *data, size_t bytes) {
  if (!rt_session_claim(session)) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the session is in use");
  weir_status status = session_import(session, data, bytes);
  atomic_store(&session->busy, 0);
  return status;
}
