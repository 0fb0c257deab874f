// Encoding a text: special tokens are found in the raw bytes first (leftmost, then longest), the stretches between them
// are normalised and split on their own, and the model's prefix and suffix go around the whole.
#include <stdlib.h>

#include "runtime/text/tokenizer_internal.h"
#include "runtime/text/utf8.h"

// First index in [low, high) of the sorted special tokens whose byte at |depth| is >= |byte|; tokens that end before
// |depth| come first.
static uint32_t lower_bound(const text_tokenizer *t, uint32_t low, uint32_t high, size_t depth, int byte) {
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    size_t length;
    const char *bytes = text_symbol_bytes(t, t->specials[middle], &length);
    int here = depth < length ? (unsigned char)bytes[depth] : -1;
    if (here < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// The longest special token at the start of |text|, or -1. The sorted list is narrowed byte by byte.
static int32_t special_at(const text_tokenizer *t, const char *text, size_t size, bool control) {
  if (!t->special_start[(unsigned char)text[0]]) return -1;
  uint32_t low = 0, high = t->special_count;
  int32_t best = -1;
  for (size_t depth = 0; depth < size && low < high; depth++) {
    int byte = (unsigned char)text[depth];
    low = lower_bound(t, low, high, depth, byte);
    high = lower_bound(t, low, high, depth, byte + 1);
    if (low == high) break;
    size_t length;
    text_symbol_bytes(t, t->specials[low], &length);
    if (length != depth + 1) continue;
    if (control || text_type_of(t, t->specials[low]) == TEXT_TOKEN_USER) best = (int32_t)t->specials[low];
  }
  return best;
}

// One stretch without special tokens.
static weir_status encode_stretch(text_scratch *s, const char *text, size_t size) {
  const text_blob_header *h = s->tokenizer->header;
  if (!size) return WEIR_OK;
  if (text_normalizes(h)) {
    text_buffer_clear(&s->normal);
    WEIR_TRY(text_normalize(h, text, size, &s->normal));
    text = s->normal.data;
    size = s->normal.size;
  }
  if (h->kind == TEXT_KIND_WORDPIECE) return text_wordpiece_words(s, text, size);
  if ((h->flags & TEXT_FLAG_PREFIX_SPACE) && size && text[0] != ' ') {
    text_buffer_clear(&s->spaced);
    WEIR_TRY(text_buffer_put(&s->spaced, ' '));
    WEIR_TRY(text_buffer_append(&s->spaced, text, size));
    text = s->spaced.data;
    size = s->spaced.size;
  }
  return text_pretokenize(s, text, size, text_bpe_piece);
}

static weir_status encode_all(text_scratch *s, const char *text, size_t size, bool control) {
  const text_tokenizer *t = s->tokenizer;
  size_t start = 0;
  for (size_t at = 0; at < size;) {
    int32_t id = special_at(t, text + at, size - at, control);
    if (id < 0) {
      at++;
      continue;
    }
    size_t length, end = at;
    text_symbol_bytes(t, (uint32_t)id, &length);
    if (t->types[id] & TEXT_STRIP_LEFT) end = start + text_trim_end(text + start, at - start);
    WEIR_TRY(encode_stretch(s, text + start, end - start));
    WEIR_TRY(text_ids_append(s->out, id));
    at += length;
    if (t->types[id] & TEXT_STRIP_RIGHT) at += text_skip_space(text + at, size - at);
    start = at;
  }
  return encode_stretch(s, text + start, size - start);
}

static weir_status put_list(const text_tokenizer *t, text_section_id list, text_ids *out) {
  const text_section *section = &t->header->sections[list];
  const int32_t *ids = (const int32_t *)((const char *)t->header + section->offset);
  for (uint64_t i = 0; i < section->count; i++) WEIR_TRY(text_ids_append(out, ids[i]));
  return WEIR_OK;
}

static void scratch_deinit(text_scratch *s) {
  for (size_t i = 0; i < TEXT_STEP_LIMIT; i++) pcre2_match_data_free(s->match[i]);
  pcre2_match_context_free(s->context);
  pcre2_jit_stack_free(s->stack);
  text_buffer_deinit(&s->normal);
  text_buffer_deinit(&s->spaced);
  free(s->nodes);
  free(s->heap);
}

weir_status text_encode(const text_tokenizer *t, const char *text, size_t size, text_encode_options options,
                        text_ids *out) {
  size_t before = out->count;
  size_t suffix = options.add_special ? t->header->sections[TEXT_SECTION_SUFFIX].count : 0;
  text_scratch scratch = {.tokenizer = t, .out = out};
  weir_status status = options.add_special ? put_list(t, TEXT_SECTION_PREFIX, out) : WEIR_OK;
  if (!status) status = encode_all(&scratch, text, size, options.parse_special);
  scratch_deinit(&scratch);
  if (!status && options.max_ids) {
    size_t room = options.max_ids > suffix ? options.max_ids - suffix : 0;
    if (out->count - before > room) out->count = before + room;
  }
  if (!status && suffix) status = put_list(t, TEXT_SECTION_SUFFIX, out);
  if (status) out->count = before;
  return status;
}
