// Opening a blob: every offset, count and index is checked once, so that the encoder may trust them. Nothing is copied;
// the patterns of the pre-tokenizer are the only thing built.
#include <stdlib.h>

#include "runtime/base/checked.h"
#include "runtime/text/tokenizer_internal.h"

static const uint32_t item_bytes[TEXT_SECTION_COUNT] = {
    [TEXT_SECTION_OFFSETS] = 4,
    [TEXT_SECTION_BYTES] = 1,
    [TEXT_SECTION_TYPES] = 1,
    [TEXT_SECTION_TEXTS] = 4,
    [TEXT_SECTION_MERGES] = sizeof(text_merge),
    [TEXT_SECTION_BYTE_SYMBOLS] = 4,
    [TEXT_SECTION_SPECIALS] = 4,
    [TEXT_SECTION_STEPS] = sizeof(text_step),
    [TEXT_SECTION_PATTERNS] = 1,
    [TEXT_SECTION_PREFIX] = 4,
    [TEXT_SECTION_SUFFIX] = 4,
    [TEXT_SECTION_STOPS] = 4,
    [TEXT_SECTION_TEMPLATE] = 1,
};

static weir_status bad(const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "bad tokenizer blob: %s", what);
}

#define CHECK(condition, what) \
  if (!(condition)) return bad(what)

static weir_status check_header(const text_blob_header *h, size_t size) {
  CHECK(size >= sizeof *h, "too short");
  CHECK(!memcmp(h->magic, TEXT_BLOB_MAGIC, 8), "magic or version");
  CHECK(h->size == size, "size");
  CHECK(h->kind <= TEXT_KIND_WORDPIECE && !(h->flags & ~(uint32_t)TEXT_FLAG_ALL) && h->form < TEXT_FORM_COUNT, "kind");
  CHECK(h->max_word_chars >= 1 && h->max_word_chars <= TEXT_WORD_CHARS_LIMIT, "word length limit");
  CHECK(h->vocab >= 1 && h->vocab <= TEXT_VOCAB_LIMIT && h->symbols >= h->vocab && h->symbols <= 2 * TEXT_VOCAB_LIMIT,
        "counts");
  const int32_t ids[] = {h->bos, h->eos, h->unk, h->cls, h->sep, h->pad, h->mask};
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
    CHECK(ids[i] >= -1 && ids[i] < (int64_t)h->vocab, "special id");
  CHECK(h->unk >= 0 || (h->kind != TEXT_KIND_WORDPIECE && !(h->flags & TEXT_FLAG_BYTE_UNKNOWN)),
        "unknown token missing");
  for (int i = 0; i < TEXT_SECTION_COUNT; i++) {
    size_t bytes, end;
    const text_section *s = &h->sections[i];
    CHECK(s->offset % 8 == 0 && weir_mul_size(s->count, item_bytes[i], &bytes), "section");
    CHECK(weir_add_size(s->offset, bytes, &end) && end <= size && s->offset >= sizeof *h, "section");
  }
  return WEIR_OK;
}

static bool power_of_two(uint64_t n) { return n && n <= 1u << 31 && !(n & (n - 1)); }

static weir_status check_counts(const text_blob_header *h) {
  const text_section *s = h->sections;
  CHECK(s[TEXT_SECTION_OFFSETS].count == (uint64_t)h->symbols + 1, "offset count");
  CHECK(s[TEXT_SECTION_TYPES].count == h->vocab, "type count");
  CHECK(power_of_two(s[TEXT_SECTION_TEXTS].count) && power_of_two(s[TEXT_SECTION_MERGES].count), "table size");
  CHECK(s[TEXT_SECTION_BYTE_SYMBOLS].count == 256, "byte symbols");
  CHECK(s[TEXT_SECTION_STEPS].count <= TEXT_STEP_LIMIT, "step count");
  CHECK(s[TEXT_SECTION_SPECIALS].count <= h->vocab, "special count");
  return WEIR_OK;
}

static bool ids_below(const uint32_t *ids, uint64_t count, uint32_t limit) {
  bool fine = true;
  for (uint64_t i = 0; i < count; i++) fine &= ids[i] < limit;
  return fine;
}

static const void *section(const text_blob_header *h, text_section_id id) {
  return (const char *)h + h->sections[id].offset;
}

static weir_status check_symbols(const text_tokenizer *t) {
  const text_blob_header *h = t->header;
  bool fine = t->offsets[0] == 0 && t->offsets[h->symbols] == h->sections[TEXT_SECTION_BYTES].count;
  for (uint32_t i = 0; i < h->symbols; i++) fine &= t->offsets[i] <= t->offsets[i + 1];
  CHECK(fine, "token offsets");
  for (uint32_t i = 0; i < h->vocab; i++) fine &= (t->types[i] & TEXT_TYPE_MASK) <= TEXT_TOKEN_UNUSED;
  CHECK(fine, "token type");
  CHECK(ids_below(t->texts, (uint64_t)t->text_mask + 1, h->vocab + 1), "text table");
  CHECK(ids_below(t->byte_symbols, 256, h->symbols), "byte symbols");
  for (uint64_t i = 0; i <= t->merge_mask; i++)
    fine &= t->merges[i].left == TEXT_NO_SYMBOL || t->merges[i].result < h->symbols;
  CHECK(fine, "merge table");
  return WEIR_OK;
}

static weir_status check_lists(const text_tokenizer *t) {
  const text_blob_header *h = t->header;
  CHECK(ids_below(t->specials, t->special_count, h->vocab), "special token");
  static const text_section_id lists[] = {TEXT_SECTION_PREFIX, TEXT_SECTION_SUFFIX, TEXT_SECTION_STOPS};
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    CHECK(ids_below(section(h, lists[i]), h->sections[lists[i]].count, h->vocab), "id list");
  }
  return WEIR_OK;
}

static void attach(text_tokenizer *t, const text_blob_header *h) {
  t->header = h;
  t->offsets = section(h, TEXT_SECTION_OFFSETS);
  t->bytes = section(h, TEXT_SECTION_BYTES);
  t->types = section(h, TEXT_SECTION_TYPES);
  t->texts = section(h, TEXT_SECTION_TEXTS);
  t->text_mask = (uint32_t)(h->sections[TEXT_SECTION_TEXTS].count - 1);
  t->merges = section(h, TEXT_SECTION_MERGES);
  t->merge_mask = (uint32_t)(h->sections[TEXT_SECTION_MERGES].count - 1);
  t->byte_symbols = section(h, TEXT_SECTION_BYTE_SYMBOLS);
  t->specials = section(h, TEXT_SECTION_SPECIALS);
  t->special_count = (uint32_t)h->sections[TEXT_SECTION_SPECIALS].count;
  t->steps = section(h, TEXT_SECTION_STEPS);
}

static weir_status compile_steps(text_tokenizer *t) {
  const text_blob_header *h = t->header;
  const char *patterns = section(h, TEXT_SECTION_PATTERNS);
  for (uint32_t i = 0; i < h->sections[TEXT_SECTION_STEPS].count; i++) {
    const text_step *step = &t->steps[i];
    CHECK((uint64_t)step->pattern_offset + step->pattern_size <= h->sections[TEXT_SECTION_PATTERNS].count, "pattern");
    CHECK(step->split < TEXT_SPLIT_COUNT && step->invert <= 1, "step");
    WEIR_TRY(text_pattern_compile(patterns + step->pattern_offset, step->pattern_size, &t->patterns[i]));
    t->step_count = i + 1;
  }
  return WEIR_OK;
}

weir_status text_tokenizer_open(const void *blob, size_t size, text_tokenizer **out) {
  if ((uintptr_t)blob % 8)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "a tokenizer blob wants 8-byte alignment");
  WEIR_TRY(check_header(blob, size));
  WEIR_TRY(check_counts(blob));
  text_tokenizer *t = calloc(1, sizeof *t);
  if (!t) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a tokenizer");
  atomic_init(&t->references, 1);
  attach(t, blob);
  weir_status status = check_symbols(t);
  if (!status) status = check_lists(t);
  if (!status) status = compile_steps(t);
  if (status) {
    text_tokenizer_release(t);
    return status;
  }
  for (uint32_t i = 0; i < t->special_count; i++) {
    size_t length;
    const char *bytes = text_symbol_bytes(t, t->specials[i], &length);
    if (length) t->special_start[(unsigned char)bytes[0]] = true;
  }
  *out = t;
  return WEIR_OK;
}

weir_status text_tokenizer_create(const char *description, size_t size, text_tokenizer **out) {
  text_buffer blob = {0};  // malloc aligns
  weir_status status = text_tokenizer_pack(description, size, &blob);
  if (!status) status = text_tokenizer_open(blob.data, blob.size, out);
  if (status) {
    text_buffer_deinit(&blob);
    return status;
  }
  (*out)->owned_blob = blob.data;
  return WEIR_OK;
}

text_tokenizer *text_tokenizer_retain(text_tokenizer *t) {
  atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
  return t;
}

void text_tokenizer_release(text_tokenizer *t) {
  if (!t || atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1) return;
  for (uint32_t i = 0; i < t->step_count; i++) pcre2_code_free(t->patterns[i]);
  free(t->owned_blob);
  free(t);
}
