// The list of diagnostics: adding, ordering, and the facts of a code. How they look is render.c's business.
#include "compiler/lang/diag.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"

static const struct {
  const char *text, *name, *message, *explanation;
  lang_severity severity;
} rows[LANG_W_COUNT] = {
#define WEIR_DIAG(code, severity, name, message, explanation) \
  {"W" #code, #name, message, explanation, LANG_SEVERITY_##severity},
#include "compiler/lang/diag.def"
#undef WEIR_DIAG
};

void lang_diags_init(lang_diags *diags, weir_arena *arena) { *diags = (lang_diags){.arena = arena}; }

void lang_diags_source_add(lang_diags *diags, const lang_source *source) {
  if (source->id < 1) return;
  while (diags->source_count < source->id)
    WEIR_PUSH(diags->arena, diags->sources, diags->source_count, diags->source_capacity, NULL);
  diags->sources[source->id - 1] = source;
}

const lang_source *lang_diags_source(const lang_diags *diags, int32_t file) {
  return file >= 1 && file <= diags->source_count ? diags->sources[file - 1] : NULL;
}

// Counts an error; false when it is beyond the cap.
static bool count_in(lang_diags *diags, lang_diag_code code) {
  if (rows[code].severity != LANG_SEVERITY_ERROR) return true;
  if (++diags->error_count <= LANG_MAX_ERRORS) return true;
  diags->dropped_count++;
  return false;
}

static void keep(lang_diags *diags, lang_diag *diag) {
  diag->order = diags->count;
  WEIR_PUSH(diags->arena, diags->data, diags->count, diags->capacity, diag);
}

lang_diag *lang_diag_vadd(lang_diags *diags, lang_diag_code code, lang_span span, va_list args) {
  if (!count_in(diags, code)) {
    diags->spare = (lang_diag){.code = code, .span = span, .message = ""};
    return &diags->spare;
  }
  lang_diag *diag = WEIR_NEW(diags->arena, lang_diag);
  diag->code = code;
  diag->span = span;
  diag->message = weir_arena_vprintf(diags->arena, rows[code].message, args);
  keep(diags, diag);
  return diag;
}

void lang_diags_take(lang_diags *diags, const lang_diags *from) {
  for (int i = 0; i < from->count; i++)
    if (count_in(diags, from->data[i]->code)) keep(diags, from->data[i]);
  diags->error_count += from->dropped_count;
  diags->dropped_count += from->dropped_count;
}

lang_diag *lang_diag_add(lang_diags *diags, lang_diag_code code, lang_span span, ...) {
  va_list args;
  va_start(args, span);
  lang_diag *diag = lang_diag_vadd(diags, code, span, args);
  va_end(args);
  return diag;
}

void lang_diag_note(lang_diags *diags, lang_diag *diag, lang_span span, const char *fmt, ...) {
  if (diag == &diags->spare) return;
  va_list args;
  va_start(args, fmt);
  lang_note note = {span, weir_arena_vprintf(diags->arena, fmt, args)};
  va_end(args);
  WEIR_PUSH(diags->arena, diag->notes, diag->note_count, diag->note_capacity, note);
}

static int order_by_place(const void *left, const void *right) {
  const lang_diag *a = *(lang_diag *const *)left, *b = *(lang_diag *const *)right;
  if (a->span.file != b->span.file) return a->span.file < b->span.file ? -1 : 1;
  if (a->span.begin != b->span.begin) return a->span.begin < b->span.begin ? -1 : 1;
  return a->order < b->order ? -1 : a->order > b->order;
}

static bool same(const lang_diag *a, const lang_diag *b) {
  return a->code == b->code && a->span.file == b->span.file && a->span.begin == b->span.begin &&
         a->span.end == b->span.end && strcmp(a->message, b->message) == 0;
}

void lang_diags_sort(lang_diags *diags) {
  if (diags->count == 0) return;
  qsort(diags->data, (size_t)diags->count, sizeof *diags->data, order_by_place);
  int kept = 0;
  for (int i = 0; i < diags->count; i++) {
    bool again = false;
    // Equal ones share their place, so they are neighbours of the ones kept last.
    for (int j = kept - 1; j >= 0 && !again && diags->data[j]->span.begin == diags->data[i]->span.begin; j--)
      again = same(diags->data[j], diags->data[i]);
    if (!again) diags->data[kept++] = diags->data[i];
    else if (rows[diags->data[i]->code].severity == LANG_SEVERITY_ERROR) diags->error_count--;
  }
  diags->count = kept;
}

const char *lang_diag_text(lang_diag_code code) { return rows[code].text; }
const char *lang_diag_name(lang_diag_code code) { return rows[code].name; }
lang_severity lang_diag_severity(lang_diag_code code) { return rows[code].severity; }
const char *lang_severity_text(lang_severity severity) { return severity == LANG_SEVERITY_ERROR ? "error" : "warning"; }
const char *lang_diag_explanation(lang_diag_code code) { return rows[code].explanation; }

bool lang_diag_find(const char *text, lang_diag_code *out_code) {
  if (text[0] == 'W' || text[0] == 'w') text++;
  for (int code = 0; code < LANG_W_COUNT; code++) {
    if (strcmp(rows[code].text + 1, text) != 0) continue;
    *out_code = (lang_diag_code)code;
    return true;
  }
  return false;
}

#define NAME_MAX_COMPARED 64

static int smaller(int a, int b) { return a < b ? a : b; }

// Optimal string alignment distance of two names of at most NAME_MAX_COMPARED bytes.
static int edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
  int rows3[3][NAME_MAX_COMPARED + 1];
  for (size_t j = 0; j <= b_length; j++) rows3[0][j] = (int)j;
  for (size_t i = 1; i <= a_length; i++) {
    int *row = rows3[i % 3], *above = rows3[(i + 2) % 3], *above2 = rows3[(i + 1) % 3];
    row[0] = (int)i;
    for (size_t j = 1; j <= b_length; j++) {
      row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = smaller(row[j], above2[j - 2] + 1);
    }
  }
  return rows3[a_length % 3][b_length];
}

const char *lang_did_you_mean(const char *name, const char *const *candidates, int count) {
  size_t length = strlen(name);
  if (length == 0 || length > NAME_MAX_COMPARED) return NULL;
  int best_distance = length < 3 ? 1 : (int)(length + 2) / 3;
  const char *best = NULL;
  for (int i = 0; i < count; i++) {
    size_t other = strlen(candidates[i]);
    if (other > NAME_MAX_COMPARED || strcmp(name, candidates[i]) == 0) continue;
    int distance = edit_distance(name, length, candidates[i], other);
    if (distance > best_distance || (best && distance == best_distance)) continue;
    if ((size_t)distance >= length) continue;
    best_distance = distance;
    best = candidates[i];
  }
  return best;
}
