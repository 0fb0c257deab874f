// Diagnostics of the elaborator: once per code and place, with the chain of blocks and fns that led there and, for a
// dim, the chain of ops back to where it was said. Also the two bounds that make elaboration end: steps and depth.
#include <stdio.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

static void reserve(lang_buffer *b, size_t length) {
  size_t need = b->length + length + 1;
  if (need <= b->capacity) return;
  size_t capacity = b->capacity * 2 > need ? b->capacity * 2 : need + 64;
  b->data = weir_arena_grow(b->arena, b->data, b->length, capacity, 1);
  b->capacity = capacity;
}

void lang_buffer_puts(lang_buffer *b, const char *text) {
  size_t length = strlen(text);
  reserve(b, length);
  memcpy(b->data + b->length, text, length + 1);
  b->length += length;
}

void lang_buffer_add(lang_buffer *b, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  reserve(b, (size_t)(length < 0 ? 0 : length));
  if (length > 0) vsnprintf(b->data + b->length, (size_t)length + 1, fmt, again);
  va_end(again);
  b->length += (size_t)(length < 0 ? 0 : length);
  b->data[b->length] = 0;
}

// ---- once per code and place

static uint64_t place_key(lang_diag_code code, lang_span span) {
  uint64_t key = ((uint64_t)code << 52) ^ ((uint64_t)(uint32_t)span.file << 34) ^ span.begin;
  return key * 0x9E3779B97F4A7C15u | 1;
}

static bool set_insert(uint64_t *set, int capacity, uint64_t key) {
  for (uint64_t i = key >> 20;; i++) {
    uint64_t *at = &set[i & (uint64_t)(capacity - 1)];
    if (*at == key) return false;
    if (*at) continue;
    *at = key;
    return true;
  }
}

static bool first_time(lang_elab *elab, lang_diag_code code, lang_span span) {
  if (2 * (elab->reported_count + 1) > elab->reported_capacity) {
    int capacity = elab->reported_capacity ? 2 * elab->reported_capacity : 256;
    uint64_t *set = WEIR_NEW_ARRAY(elab->arena, uint64_t, capacity);
    for (int i = 0; i < elab->reported_capacity; i++) {
      if (elab->reported[i]) set_insert(set, capacity, elab->reported[i]);
    }
    elab->reported = set;
    elab->reported_capacity = capacity;
  }
  if (!set_insert(elab->reported, elab->reported_capacity, place_key(code, span))) return false;
  elab->reported_count++;
  return true;
}

bool lang_reported(const lang_elab *elab, lang_diag_code code, lang_span span) {
  uint64_t key = place_key(code, span);
  for (uint64_t i = key >> 20; elab->reported_capacity; i++) {
    uint64_t at = elab->reported[i & (uint64_t)(elab->reported_capacity - 1)];
    if (at == key) return true;
    if (!at) break;
  }
  return false;
}

// ---- reporting

static void add_sites(lang_elab *elab, lang_diag *diag, const lang_site *site) {
  for (int shown = 0; site && shown < 8; site = site->parent, shown++) {
    lang_diag_note(elab->diags, diag, site->span, "%s", site->what);
  }
}

void lang_error_flush(lang_elab *elab) {
  if (elab->open) add_sites(elab, elab->open, elab->open_site);
  elab->open = NULL;
}

lang_diag *lang_error(lang_elab *elab, lang_diag_code code, lang_span span, ...) {
  lang_error_flush(elab);
  // What follows the end of the work is no mistake of the text.
  if (elab->stopped || !first_time(elab, code, span)) {
    return WEIR_NEW(elab->arena, lang_diag);  // takes notes and is not in the list
  }
  va_list args;
  va_start(args, span);
  lang_diag *diag = lang_diag_vadd(elab->diags, code, span, args);
  va_end(args);
  elab->open = diag;
  elab->open_site = elab->site;
  return diag;
}

void lang_note_add(lang_elab *elab, lang_diag *diag, lang_span span, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const char *text = weir_arena_vprintf(elab->arena, fmt, args);
  va_end(args);
  lang_diag_note(elab->diags, diag, span, "%s", text);
}

void lang_suggest(lang_elab *elab, lang_diag *diag, const char *name, const char *const *candidates, int count) {
  const char *near = lang_did_you_mean(name, candidates, count);
  if (near) lang_note_add(elab, diag, (lang_span){0}, "did you mean '%s'?", near);
}

lang_site *lang_site_push(lang_elab *elab, const char *what, lang_span span) {
  lang_site *site = WEIR_NEW(elab->arena, lang_site), *old = elab->site;
  *site = (lang_site){old, what, span};
  elab->site = site;
  return old;
}

// ---- bounds

static void stop(lang_elab *elab, lang_diag_code code, lang_span span) {
  elab->exhausted = true;
  if (!elab->stopped) lang_error(elab, code, span);
  elab->stopped = true;
}

bool lang_spend(lang_elab *elab, int64_t steps, lang_span span) {
  if (elab->exhausted) return false;
  if (span.file) elab->spent = span;
  elab->steps += steps < 0 || steps > LANG_STEP_BUDGET ? LANG_STEP_BUDGET : steps;
  if (elab->steps < LANG_STEP_BUDGET) return true;
  stop(elab, LANG_W_TOO_MUCH_WORK, elab->spent);
  return false;
}

bool lang_enter(lang_elab *elab, lang_span span) {
  if (elab->depth >= LANG_DEPTH_LIMIT) {
    stop(elab, LANG_W_TOO_DEEP_CALLS, span);
    return false;
  }
  elab->depth++;
  return true;
}

void lang_leave(lang_elab *elab) { elab->depth--; }

// ---- places

ir_loc lang_loc(const lang_elab *elab, lang_span span) {
  const lang_source *source = lang_diags_source(elab->diags, span.file);
  return (ir_loc){source ? source->path : NULL, source ? span.first_line : 0, source ? span.first_column : 0};
}

const char *lang_span_text(const lang_elab *elab, lang_span span) {
  const lang_source *source = lang_diags_source(elab->diags, span.file);
  if (!source || span.end > source->length || span.begin > span.end) return "";
  return weir_arena_strndup(elab->arena, source->text + span.begin, span.end - span.begin);
}
