// Facts about an open tokenizer: vocabulary, special ids, lookups.
#include "runtime/text/tokenizer_internal.h"

static bool in_range(const text_tokenizer *t, int32_t id) { return id >= 0 && (uint32_t)id < t->header->vocab; }

static bool is_continuation(const text_tokenizer *t, int32_t id, text_view text) {
  return t->header->kind == TEXT_KIND_WORDPIECE && text.size > 2 && text.bytes[0] == '#' && text.bytes[1] == '#' &&
         text_type_of(t, (uint32_t)id) == TEXT_TOKEN_NORMAL;
}

text_kind text_tokenizer_kind(const text_tokenizer *t) { return (text_kind)t->header->kind; }

int32_t text_tokenizer_vocab_size(const text_tokenizer *t) { return (int32_t)t->header->vocab; }

text_view text_tokenizer_token_bytes(const text_tokenizer *t, int32_t id) {
  if (!in_range(t, id)) return (text_view){"", 0};
  text_view text;
  text.bytes = text_symbol_bytes(t, (uint32_t)id, &text.size);
  if (is_continuation(t, id, text)) return (text_view){text.bytes + 2, text.size - 2};
  return text;
}

bool text_token_joins(const text_tokenizer *t, int32_t id) {
  text_view text;
  text.bytes = text_symbol_bytes(t, (uint32_t)id, &text.size);
  return is_continuation(t, id, text);
}

text_token_type text_tokenizer_token_type(const text_tokenizer *t, int32_t id) {
  return in_range(t, id) ? text_type_of(t, (uint32_t)id) : TEXT_TOKEN_UNUSED;
}

int32_t text_table_find(const text_tokenizer *t, uint64_t hash, const char *bytes, size_t size) {
  uint32_t slot = (uint32_t)text_mix(hash);
  for (uint32_t probe = 0; probe < TEXT_PROBE_LIMIT; probe++) {
    uint32_t id = t->texts[(slot + probe) & t->text_mask];
    if (!id) return -1;
    size_t length;
    const char *text = text_symbol_bytes(t, id - 1, &length);
    if (length == size && !memcmp(text, bytes, size)) return (int32_t)(id - 1);
  }
  return -1;
}

int32_t text_tokenizer_find(const text_tokenizer *t, const char *text, size_t size) {
  return text_table_find(t, text_hash_bytes(t->header->text_seed, text, size), text, size);
}

text_special_ids text_tokenizer_special_ids(const text_tokenizer *t) {
  const text_blob_header *h = t->header;
  return (text_special_ids){h->bos, h->eos, h->unk, h->cls, h->sep, h->pad, h->mask};
}

const int32_t *text_tokenizer_stop_ids(const text_tokenizer *t, size_t *out_count) {
  const text_section *stops = &t->header->sections[TEXT_SECTION_STOPS];
  *out_count = stops->count;
  return (const int32_t *)((const char *)t->header + stops->offset);
}

bool text_tokenizer_is_stop(const text_tokenizer *t, int32_t id) {
  size_t count;
  const int32_t *stops = text_tokenizer_stop_ids(t, &count);
  for (size_t i = 0; i < count; i++) {
    if (stops[i] == id) return true;
  }
  return false;
}

text_view text_tokenizer_chat_template(const text_tokenizer *t) {
  const text_section *section = &t->header->sections[TEXT_SECTION_TEMPLATE];
  return (text_view){(const char *)t->header + section->offset, section->count};
}
