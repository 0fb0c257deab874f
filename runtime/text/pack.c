// Description to blob. The tokens become bytes, merge rules become pairs of symbol numbers, and both lookups become
// open hash tables whose seed is chosen so that no lookup is long, whatever the vocabulary.
#include <stdlib.h>

#include "runtime/base/checked.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/description.h"
#include "runtime/text/utf8.h"

typedef struct {
  const text_description *d;
  text_buffer offsets, bytes;  // of the symbols so far
  uint32_t symbols;
  uint32_t *index;  // open hash table of symbol + 1 by bytes, for the time of packing
  uint32_t index_mask;
  uint32_t byte_symbols[256];
  text_merge *merges;  // in order of rank
  size_t merge_count;
  text_blob_header header;
  text_buffer *out;
  size_t start;  // of the blob in |out|
} packer;

// ---- symbols

static uint32_t offset_of(const packer *p, uint32_t symbol) {
  uint32_t offset;
  memcpy(&offset, p->offsets.data + 4 * (size_t)symbol, 4);
  return offset;
}

static text_view symbol_text(const packer *p, uint32_t symbol) {
  uint32_t start = offset_of(p, symbol);
  return (text_view){p->bytes.data + start, offset_of(p, symbol + 1) - start};
}

// The slot of these bytes in the index: theirs, or the empty one where they belong.
static uint32_t *index_slot(const packer *p, const char *bytes, size_t size) {
  uint32_t slot = (uint32_t)text_mix(text_hash_bytes(p->header.text_seed, bytes, size));
  for (;; slot++) {
    uint32_t *entry = &p->index[slot & p->index_mask];
    if (!*entry) return entry;
    text_view text = symbol_text(p, *entry - 1);
    if (text.size == size && !memcmp(text.bytes, bytes, size)) return entry;
  }
}

static weir_status grow_index(packer *p) {
  uint32_t size = p->index ? 2 * (p->index_mask + 1) : 1024;
  uint32_t *old = p->index, old_count = old ? p->index_mask + 1 : 0;
  p->index = calloc(size, sizeof *p->index);
  if (!p->index) {
    p->index = old;
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a vocabulary");
  }
  p->index_mask = size - 1;
  for (uint32_t i = 0; i < old_count; i++) {
    if (!old[i]) continue;
    text_view text = symbol_text(p, old[i] - 1);
    *index_slot(p, text.bytes, text.size) = old[i];
  }
  free(old);
  return WEIR_OK;
}

// Adds a symbol, to the index also if |indexed| and no symbol has these bytes.
static weir_status add_symbol(packer *p, const char *bytes, size_t size, bool indexed) {
  if (p->symbols >= 2 * TEXT_VOCAB_LIMIT || p->bytes.size + size > UINT32_MAX) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "tokenizer description: the vocabulary is too large");
  }
  if (2 * (uint64_t)p->symbols >= p->index_mask) WEIR_TRY(grow_index(p));
  WEIR_TRY(text_buffer_append(&p->bytes, bytes, size));
  uint32_t end = (uint32_t)p->bytes.size;
  WEIR_TRY(text_buffer_append(&p->offsets, &end, 4));
  uint32_t symbol = p->symbols++;
  if (!indexed || !size) return WEIR_OK;
  text_view text = symbol_text(p, symbol);
  uint32_t *slot = index_slot(p, text.bytes, size);
  if (!*slot) *slot = symbol + 1;
  return WEIR_OK;
}

// Appends the bytes that |text| stands for in the byte alphabet; text with any other character stands for itself.
static weir_status spell_out(text_view text, text_buffer *out) {
  size_t before = out->size;
  for (size_t at = 0; at < text.size;) {
    text_char c = text_utf8_next(text.bytes + at, text.size - at);
    int byte = c.state == TEXT_UTF8_VALID ? text_alphabet_byte(c.code) : -1;
    if (byte < 0) {
      out->size = before;
      return text_buffer_append(out, text.bytes, text.size);
    }
    WEIR_TRY(text_buffer_put(out, (char)byte));
    at += c.size;
  }
  return WEIR_OK;
}

static bool is_raw(text_token_type type) {
  return type == TEXT_TOKEN_CONTROL || type == TEXT_TOKEN_USER || type == TEXT_TOKEN_UNKNOWN;
}

static weir_status add_tokens(packer *p) {
  const text_description *d = p->d;
  text_buffer spelled = {0};
  uint32_t zero = 0;
  weir_status status = text_buffer_append(&p->offsets, &zero, 4);
  for (uint32_t i = 0; i < d->vocab && !status; i++) {
    bool raw = is_raw(d->types[i] & TEXT_TYPE_MASK);
    text_buffer_clear(&spelled);
    status = raw || d->kind == TEXT_KIND_WORDPIECE ? text_buffer_append(&spelled, d->tokens[i].bytes, d->tokens[i].size)
                                                   : spell_out(d->tokens[i], &spelled);
    if (!status) status = add_symbol(p, spelled.data, spelled.size, !raw);
  }
  text_buffer_deinit(&spelled);
  // Special tokens last: where a plain token has the same bytes, merges and lookups mean the plain one.
  for (uint32_t i = 0; i < d->vocab && !status; i++) {
    text_view text = symbol_text(p, i);
    if (!text.size || !is_raw(d->types[i] & TEXT_TYPE_MASK)) continue;
    uint32_t *slot = index_slot(p, text.bytes, text.size);
    if (!*slot) *slot = i + 1;
  }
  return status;
}

// The symbol with these bytes, made if there is none.
static weir_status want_symbol(packer *p, const char *bytes, size_t size, uint32_t *out) {
  uint32_t *slot = index_slot(p, bytes, size);
  if (!*slot) {
    WEIR_TRY(add_symbol(p, bytes, size, true));
    slot = index_slot(p, bytes, size);
  }
  *out = *slot - 1;
  return WEIR_OK;
}

// ---- merges

static weir_status add_merge(packer *p, const json_t *rule, text_buffer *pair) {
  text_view text = text_json_text(rule);
  const char *space = text.size > 2 ? memchr(text.bytes + 1, ' ', text.size - 2) : NULL;
  if (!space)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "tokenizer description: merge %zu is not 'left right'",
                            p->merge_count);
  text_merge *merge = &p->merges[p->merge_count];
  text_buffer_clear(pair);
  WEIR_TRY(spell_out((text_view){text.bytes, (size_t)(space - text.bytes)}, pair));
  size_t left = pair->size;
  WEIR_TRY(spell_out((text_view){space + 1, (size_t)(text.bytes + text.size - space - 1)}, pair));
  WEIR_TRY(want_symbol(p, pair->data, left, &merge->left));
  WEIR_TRY(want_symbol(p, pair->data + left, pair->size - left, &merge->right));
  WEIR_TRY(want_symbol(p, pair->data, pair->size, &merge->result));
  merge->rank = (uint32_t)p->merge_count++;
  return WEIR_OK;
}

static weir_status add_merges(packer *p) {
  size_t count = json_array_size(p->d->merges);
  if (count > 4 * (size_t)TEXT_VOCAB_LIMIT)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "tokenizer description: too many merges");
  p->merges = calloc(count ? count : 1, sizeof *p->merges);
  if (!p->merges) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu merges", count);
  text_buffer pair = {0};
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < count && !status; i++) status = add_merge(p, json_array_get(p->d->merges, i), &pair);
  text_buffer_deinit(&pair);
  for (unsigned byte = 0; byte < 256 && !status; byte++) {
    char single = (char)byte;
    status = want_symbol(p, &single, 1, &p->byte_symbols[byte]);
  }
  return status;
}

// ---- hash tables

// The smallest size with a load of at most one half.
static uint64_t table_size(size_t count) {
  uint64_t size = 16;
  while (size < 2 * (uint64_t)count) size *= 2;
  return size;
}

static bool place_text(const packer *p, uint32_t *table, uint64_t size, uint32_t id) {
  text_view text = symbol_text(p, id);
  uint32_t slot = (uint32_t)text_mix(text_hash_bytes(p->header.text_seed, text.bytes, text.size));
  for (uint32_t probe = 0; probe < TEXT_PROBE_LIMIT; probe++) {
    uint32_t *entry = &table[(slot + probe) & (size - 1)];
    if (*entry) continue;
    *entry = id + 1;
    return true;
  }
  return false;
}

// The first rule of a pair counts.
static bool place_merge(const packer *p, text_merge *table, uint64_t size, text_merge merge) {
  uint32_t slot = (uint32_t)text_hash_pair(p->header.merge_seed, merge.left, merge.right);
  for (uint32_t probe = 0; probe < TEXT_PROBE_LIMIT; probe++) {
    text_merge *entry = &table[(slot + probe) & (size - 1)];
    if (entry->left == merge.left && entry->right == merge.right) return true;
    if (entry->left != TEXT_NO_SYMBOL) continue;
    *entry = merge;
    return true;
  }
  return false;
}

static bool fill_texts(packer *p, void *table, uint64_t size) {
  memset(table, 0, size * sizeof(uint32_t));
  for (uint32_t i = 0; i <= p->index_mask; i++) {
    uint32_t symbol = p->index[i];
    if (symbol && symbol <= p->d->vocab && !place_text(p, table, size, symbol - 1)) return false;
  }
  return true;
}

static bool fill_merges(packer *p, void *table, uint64_t size) {
  memset(table, 0xFF, size * sizeof(text_merge));
  for (size_t i = 0; i < p->merge_count; i++) {
    if (!place_merge(p, table, size, p->merges[i])) return false;
  }
  return true;
}

typedef bool (*fill_fn)(packer *p, void *table, uint64_t size);

static weir_status put_section(packer *p, text_section_id id, const void *data, size_t item, size_t count);

// Tries seeds, and from time to time a larger table, until every entry is within the probe limit.
static weir_status put_table(packer *p, text_section_id id, uint64_t size, size_t item, uint64_t *seed, fill_fn fill) {
  for (int attempt = 1; attempt <= 64; attempt++) {
    void *table = malloc(size * item);
    if (!table) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a hash table");
    bool filled = fill(p, table, size);
    weir_status status = filled ? put_section(p, id, table, item, size) : WEIR_OK;
    free(table);
    if (filled) return status;
    *seed = text_mix(*seed + 0x9E3779B97F4A7C15ull);
    if (attempt % 16 == 0) size *= 2;
  }
  return weir_status_make(WEIR_CODE_INVALID_DATA, "tokenizer description: the vocabulary defeats every hash seed");
}

// ---- output

static weir_status put_section(packer *p, text_section_id id, const void *data, size_t item, size_t count) {
  static const char zeros[8];
  WEIR_TRY(text_buffer_append(p->out, zeros, (8 - (p->out->size - p->start) % 8) % 8));
  p->header.sections[id] = (text_section){p->out->size - p->start, count};
  return text_buffer_append(p->out, data, item * count);
}

static weir_status put_id_list(packer *p, text_section_id id, const json_t *list) {
  text_ids ids = {0};
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < json_array_size(list) && !status; i++) {
    status = text_ids_append(&ids, (int32_t)json_integer_value(json_array_get(list, i)));
  }
  if (!status) status = put_section(p, id, ids.data, sizeof *ids.data, ids.count);
  text_ids_deinit(&ids);
  return status;
}

static int compare_symbols(const void *a, const void *b, void *packer_pointer) {
  text_view x = symbol_text(packer_pointer, *(const uint32_t *)a),
            y = symbol_text(packer_pointer, *(const uint32_t *)b);
  int order = memcmp(x.bytes, y.bytes, x.size < y.size ? x.size : y.size);
  if (order) return order;
  if (x.size != y.size) return x.size < y.size ? -1 : 1;
  return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

// The tokens that are looked for in raw text, sorted; of several with the same bytes the lowest id.
static weir_status put_specials(packer *p) {
  uint32_t *ids = malloc(p->d->vocab * sizeof *ids), count = 0, kept = 0;
  if (!ids) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for special tokens");
  for (uint32_t i = 0; i < p->d->vocab; i++) {
    if (is_raw(p->d->types[i] & TEXT_TYPE_MASK) && symbol_text(p, i).size) ids[count++] = i;
  }
  qsort_r(ids, count, sizeof *ids, compare_symbols, p);
  for (uint32_t i = 0; i < count; i++) {
    text_view text = symbol_text(p, ids[i]), last = kept ? symbol_text(p, ids[kept - 1]) : (text_view){"", 0};
    if (text.size != last.size || memcmp(text.bytes, last.bytes, text.size)) ids[kept++] = ids[i];
  }
  weir_status status = put_section(p, TEXT_SECTION_SPECIALS, ids, sizeof *ids, kept);
  free(ids);
  return status;
}

static weir_status put_steps(packer *p) {
  text_step steps[TEXT_STEP_LIMIT] = {0};
  text_buffer patterns = {0};
  weir_status status = WEIR_OK;
  for (uint32_t i = 0; i < p->d->step_count && !status; i++) {
    const text_split_step *step = &p->d->steps[i];
    steps[i] = (text_step){(uint32_t)patterns.size, (uint32_t)step->pattern.size, step->split, step->invert};
    status = step->pattern.size > 1 << 16
                 ? weir_status_make(WEIR_CODE_INVALID_DATA, "a pre-tokenizer pattern is too long")
                 : text_buffer_append(&patterns, step->pattern.bytes, step->pattern.size);
  }
  if (!status) status = put_section(p, TEXT_SECTION_STEPS, steps, sizeof *steps, p->d->step_count);
  if (!status) status = put_section(p, TEXT_SECTION_PATTERNS, patterns.data, 1, patterns.size);
  text_buffer_deinit(&patterns);
  return status;
}

static weir_status put_all(packer *p) {
  const text_description *d = p->d;
  WEIR_TRY(text_buffer_append(p->out, &p->header, sizeof p->header));
  WEIR_TRY(put_section(p, TEXT_SECTION_OFFSETS, p->offsets.data, 4, (size_t)p->symbols + 1));
  WEIR_TRY(put_section(p, TEXT_SECTION_BYTES, p->bytes.data, 1, p->bytes.size));
  WEIR_TRY(put_section(p, TEXT_SECTION_TYPES, d->types, 1, d->vocab));
  WEIR_TRY(put_table(p, TEXT_SECTION_TEXTS, table_size(d->vocab), 4, &p->header.text_seed, fill_texts));
  uint64_t merges = table_size(p->merge_count);
  WEIR_TRY(put_table(p, TEXT_SECTION_MERGES, merges, sizeof(text_merge), &p->header.merge_seed, fill_merges));
  WEIR_TRY(put_section(p, TEXT_SECTION_BYTE_SYMBOLS, p->byte_symbols, 4, 256));
  WEIR_TRY(put_specials(p));
  WEIR_TRY(put_steps(p));
  WEIR_TRY(put_id_list(p, TEXT_SECTION_PREFIX, d->prefix));
  WEIR_TRY(put_id_list(p, TEXT_SECTION_SUFFIX, d->suffix));
  WEIR_TRY(put_id_list(p, TEXT_SECTION_STOPS, d->stops));
  WEIR_TRY(put_section(p, TEXT_SECTION_TEMPLATE, d->chat_template.bytes, 1, d->chat_template.size));
  p->header.size = p->out->size - p->start;
  memcpy(p->out->data + p->start, &p->header, sizeof p->header);
  return WEIR_OK;
}

static void fill_header(packer *p) {
  const text_description *d = p->d;
  text_blob_header *h = &p->header;
  memcpy(h->magic, TEXT_BLOB_MAGIC, sizeof h->magic);
  h->kind = d->kind;
  h->flags = d->flags;
  h->form = d->form;
  h->vocab = d->vocab;
  h->symbols = p->symbols;
  h->max_word_chars = d->max_word_chars;
  h->bos = d->bos;
  h->eos = d->eos;
  h->unk = d->unk;
  h->cls = d->cls;
  h->sep = d->sep;
  h->pad = d->pad;
  h->mask = d->mask;
}

weir_status text_tokenizer_pack(const char *description, size_t size, text_buffer *out) {
  text_description parsed;
  packer p = {.d = &parsed, .out = out, .start = out->size};
  p.header.text_seed = 0xCBF29CE484222325ull;  // the start value of FNV-1a
  weir_status status = text_description_parse(description, size, &parsed);
  if (!status) status = add_tokens(&p);
  if (!status) status = add_merges(&p);
  if (!status) {
    fill_header(&p);
    status = put_all(&p);
  }
  if (status) out->size = p.start;
  text_description_deinit(&parsed);
  text_buffer_deinit(&p.offsets);
  text_buffer_deinit(&p.bytes);
  free(p.index);
  free(p.merges);
  return status;
}
