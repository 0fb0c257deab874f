// Ids to bytes, all at once or as they come.
#include "runtime/text/tokenizer_internal.h"
#include "runtime/text/utf8.h"

static const char replacement[] = "\xEF\xBF\xBD";

static bool is_left_out(const text_tokenizer *t, int32_t id, text_decode_options options) {
  if (!options.skip_special) return false;
  text_token_type type = text_type_of(t, (uint32_t)id);
  return type == TEXT_TOKEN_CONTROL || type == TEXT_TOKEN_UNKNOWN;
}

static weir_status out_of_range(int32_t id) {
  return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "id %d is not in the vocabulary", id);
}

// True if a space goes before |id|: WordPiece, not at the start, not a continuation.
static bool wants_space(const text_tokenizer *t, int32_t id, bool started) {
  return started && t->header->kind == TEXT_KIND_WORDPIECE && !text_token_joins(t, id);
}

weir_status text_decode(const text_tokenizer *t, const int32_t *ids, size_t count, text_decode_options options,
                        text_buffer *out) {
  for (size_t i = 0; i < count; i++) {
    if (ids[i] < 0 || (uint32_t)ids[i] >= t->header->vocab) return out_of_range(ids[i]);
  }
  size_t before = out->size;
  bool started = false;
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < count && !status; i++) {
    if (is_left_out(t, ids[i], options)) continue;
    if (wants_space(t, ids[i], started)) status = text_buffer_put(out, ' ');
    text_view bytes = text_tokenizer_token_bytes(t, ids[i]);
    if (!status) status = text_buffer_append(out, bytes.bytes, bytes.size);
    started = true;
  }
  if (status) out->size = before;
  return status;
}

void text_stream_decoder_init(text_stream_decoder *decoder, const text_tokenizer *tokenizer,
                              text_decode_options options) {
  *decoder = (text_stream_decoder){.tokenizer = tokenizer, .options = options};
}

// Adds a byte to the tail and moves out what is decided.
static weir_status take_byte(text_stream_decoder *d, unsigned char byte, text_buffer *out) {
  d->tail[d->tail_size++] = byte;
  while (d->tail_size) {
    text_char c = text_utf8_next((const char *)d->tail, d->tail_size);
    if (c.state == TEXT_UTF8_PARTIAL) return WEIR_OK;
    if (c.state == TEXT_UTF8_VALID) {
      WEIR_TRY(text_buffer_append(out, d->tail, c.size));
    } else {
      WEIR_TRY(text_buffer_append(out, replacement, 3));
    }
    d->tail_size -= c.size;
    memmove(d->tail, d->tail + c.size, d->tail_size);
  }
  return WEIR_OK;
}

weir_status text_stream_decoder_feed(text_stream_decoder *d, int32_t id, text_buffer *out) {
  const text_tokenizer *t = d->tokenizer;
  if (id < 0 || (uint32_t)id >= t->header->vocab) return out_of_range(id);
  if (is_left_out(t, id, d->options)) return WEIR_OK;
  if (wants_space(t, id, d->started)) WEIR_TRY(take_byte(d, ' ', out));
  d->started = true;
  text_view bytes = text_tokenizer_token_bytes(t, id);
  for (size_t i = 0; i < bytes.size; i++) WEIR_TRY(take_byte(d, (unsigned char)bytes.bytes[i], out));
  return WEIR_OK;
}

weir_status text_stream_decoder_finish(text_stream_decoder *d, text_buffer *out) {
  bool unfinished = d->tail_size > 0;
  d->tail_size = 0;
  d->started = false;
  return unfinished ? text_buffer_append(out, replacement, 3) : WEIR_OK;
}

weir_status text_sanitize_utf8(const char *bytes, size_t size, text_buffer *out) {
  for (size_t at = 0; at < size;) {
    text_char c = text_utf8_next(bytes + at, size - at);
    if (c.state == TEXT_UTF8_VALID) {
      WEIR_TRY(text_buffer_append(out, bytes + at, c.size));
    } else {
      WEIR_TRY(text_buffer_append(out, replacement, 3));
    }
    at += c.size;
  }
  return WEIR_OK;
}
