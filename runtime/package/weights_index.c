// Parsing of the weight index: one pass over a copy of the text that is cut into strings in place, then a sort for
// look-ups.
#include "runtime/package/weights_index.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  char *next, *end;
  int line;
} reader;

#define BAD(reader, ...) bad_line((reader)->line, __VA_ARGS__)

static weir_status bad_line(int line, const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "weight index, line %d: %s", line, what);
}

// Cuts the next word out of the line and steps over the one |separator| behind it. Null if it is empty or ends
// otherwise.
static char *word_take(reader *r, char separator) {
  char *word = r->next;
  while (r->next<r->end && * r->next> ' ' && *r->next < 0x7f) r->next++;
  if (r->next == word || r->next == r->end || *r->next != separator) return NULL;
  *r->next++ = 0;
  return word;
}

// A decimal without sign or leading zeros.
static bool number_parse(const char *word, int64_t *out) {
  int64_t value = 0;
  if (!word || !*word || (word[0] == '0' && word[1])) return false;
  for (; *word; word++) {
    if (*word < '0' || *word > '9') return false;
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *word - '0', &value)) return false;
  }
  *out = value;
  return true;
}

// "-" or numbers with 'x' between.
static bool dims_valid(const char *word) {
  if (!strcmp(word, "-")) return true;
  for (const char *p = word;; p++) {
    const char *digits = p;
    while (*p >= '0' && *p <= '9') p++;
    if (p == digits || p - digits > 18) return false;
    if (!*p) return true;
    if (*p != 'x') return false;
  }
}

static weir_status weight_parse(reader *r, int64_t free_from, int64_t section_bytes, rt_package_weight *out) {
  char *key = word_take(r, ' ');
  char *storage = key ? word_take(r, ' ') : NULL;
  char *layout = storage ? word_take(r, ' ') : NULL;
  char *dims = layout ? word_take(r, ' ') : NULL;
  char *offset = dims ? word_take(r, ' ') : NULL;
  char *bytes = offset ? word_take(r, '\n') : NULL;
  if (!bytes) return BAD(r, "not six words");
  rt_package_weight w = {.key = key, .storage = storage, .layout = layout, .dims = dims};
  if (!dims_valid(dims)) return BAD(r, "bad dims");
  if (!number_parse(offset, &w.offset) || !number_parse(bytes, &w.bytes)) return BAD(r, "bad number");
  if (w.offset % RT_PACKAGE_WEIGHT_ALIGNMENT) return BAD(r, "place is not aligned");
  if (w.offset < free_from) return BAD(r, "overlaps the weight before");
  if (w.offset > section_bytes || w.bytes > section_bytes - w.offset) return BAD(r, "reaches past the weights");
  *out = w;
  return WEIR_OK;
}

static int by_key_compare(const void *a, const void *b, void *weights) {
  const rt_package_weight *w = weights;
  return strcmp(w[*(const int *)a].key, w[*(const int *)b].key);
}

static weir_status weights_parse(const weir_allocator *allocator, reader *r, size_t section_bytes,
                                 rt_weights_index *index) {
  char *title = word_take(r, ' ');
  int64_t count;
  if (!title || strcmp(title, "weights") || !number_parse(word_take(r, '\n'), &count))
    return BAD(r, "not 'weights COUNT'");
  // A line has twelve bytes at least: a larger count is false, and is not allocated for.
  if (count > (r->end - r->next) / 12) return BAD(r, "fewer lines than it says");
  index->count = (int)count;
  WEIR_TRY(weir_alloc(allocator, (size_t)count * sizeof *index->weights, 16, true, &index->weights));
  WEIR_TRY(weir_alloc(allocator, (size_t)count * sizeof *index->by_key, 16, true, &index->by_key));
  int64_t free_from = 0;
  for (int i = 0; i < index->count; i++) {
    r->line++;
    rt_package_weight *w = &index->weights[i];
    WEIR_TRY(weight_parse(r, free_from, (int64_t)section_bytes, w));
    free_from = w->offset + w->bytes;
    index->by_key[i] = i;
  }
  r->line++;
  if (r->next != r->end) return BAD(r, "more lines than it says");
  if (count) qsort_r(index->by_key, (size_t)count, sizeof *index->by_key, by_key_compare, index->weights);
  for (int i = 1; i < index->count; i++) {
    int a = index->by_key[i - 1], b = index->by_key[i];
    if (!strcmp(index->weights[a].key, index->weights[b].key)) return bad_line((a > b ? a : b) + 2, "a key twice");
  }
  return WEIR_OK;
}

weir_status rt_weights_index_parse(const weir_allocator *allocator, const char *text, size_t length,
                                   size_t section_bytes, rt_weights_index *out_index) {
  rt_weights_index index = {0};
  if (length > 1u << 30) return bad_line(1, "larger than 1 GiB");
  index.text_bytes = length + 1;
  WEIR_TRY(weir_alloc(allocator, index.text_bytes, 16, false, &index.text));
  if (length) memcpy(index.text, text, length);
  index.text[length] = 0;
  reader r = {index.text, index.text + length, 1};
  weir_status status = weights_parse(allocator, &r, section_bytes, &index);
  if (status) {
    rt_weights_index_deinit(allocator, &index);
    return status;
  }
  *out_index = index;
  return WEIR_OK;
}

void rt_weights_index_deinit(const weir_allocator *allocator, rt_weights_index *index) {
  weir_free(allocator, index->weights, (size_t)index->count * sizeof *index->weights);
  weir_free(allocator, index->by_key, (size_t)index->count * sizeof *index->by_key);
  weir_free(allocator, index->text, index->text_bytes);
  *index = (rt_weights_index){0};
}
