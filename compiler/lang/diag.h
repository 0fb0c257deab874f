// Diagnostics: the user's mistakes in model text. A list collects all of a run; they are data first and text second.
//
// Every diagnostic has a row in diag.def (code, severity, message format, a paragraph for the error index). A span
// gives its place; notes tell the rest of the story, each with a place of its own or none. Adding never fails and
// nothing is printed. The list keeps at most LANG_MAX_ERRORS errors and counts the rest. One thread at a time;
// everything lives in the arena given to lang_diags_init.
#ifndef WEIR_COMPILER_LANG_DIAG_H
#define WEIR_COMPILER_LANG_DIAG_H

#include <stdarg.h>
#include <stdbool.h>

#include "compiler/lang/source.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { LANG_SEVERITY_ERROR, LANG_SEVERITY_WARNING } lang_severity;

// LANG_W_MISSING_SEMICOLON and so on.
typedef enum {
#define WEIR_DIAG(code, severity, name, message, explanation) LANG_W_##name,
#include "compiler/lang/diag.def"
#undef WEIR_DIAG
  LANG_W_COUNT
} lang_diag_code;  // a row's place in diag.def; the number in its name is lang_diag_text's

typedef struct {
  lang_span span;  // no place: file 0
  const char *message;
} lang_note;

typedef struct {
  lang_diag_code code;
  lang_span span;
  const char *message;
  lang_note *notes;
  int note_count, note_capacity;
  int order;  // in which it was added
} lang_diag;

#define LANG_MAX_ERRORS 100

typedef struct {
  weir_arena *arena;
  lang_diag **data;  // in the order of adding until lang_diags_sort
  int count, capacity;
  int error_count;              // kept and dropped ones; warnings do not count
  int dropped_count;            // errors beyond the cap
  const lang_source **sources;  // by file number - 1; null where a number is unused
  int source_count, source_capacity;
  lang_diag spare;  // what adding beyond the cap returns
} lang_diags;

void lang_diags_init(lang_diags *diags, weir_arena *arena);
// Makes a source known to the renderer. Borrowed.
void lang_diags_source_add(lang_diags *diags, const lang_source *source);
// Null when unknown.
const lang_source *lang_diags_source(const lang_diags *diags, int32_t file);

// Adds a diagnostic; the arguments are those of its row's format. Returns it for notes (never null: beyond the cap it
// is one that is not in the list).
lang_diag *lang_diag_add(lang_diags *diags, lang_diag_code code, lang_span span, ...);
lang_diag *lang_diag_vadd(lang_diags *diags, lang_diag_code code, lang_span span, va_list args);
// Adds a note; |span| may be no place.
void lang_diag_note(lang_diags *diags, lang_diag *diag, lang_span span, const char *fmt, ...) WEIR_PRINTF(4, 5);

// Moves all of |from| to the end of |diags|. Both use arenas that outlive |diags|.
void lang_diags_take(lang_diags *diags, const lang_diags *from);

// Sorts by file, place and order, and drops equal ones (same code, place and message).
void lang_diags_sort(lang_diags *diags);

// A code's facts. The text of a code is "W0102".
const char *lang_diag_text(lang_diag_code code);
const char *lang_diag_name(lang_diag_code code);  // "MISSING_SEMICOLON"
lang_severity lang_diag_severity(lang_diag_code code);
const char *lang_severity_text(lang_severity severity);  // "error" "warning"
const char *lang_diag_explanation(lang_diag_code code);
// Finds a code by its text ("W0102", "0102"); false when there is none.
bool lang_diag_find(const char *text, lang_diag_code *out_code);

// All of them, one after the other, each as `path:line:col: error[W0102]: message`, the line with carets, the notes;
// then a line that counts the dropped ones. Arena text.
char *lang_diags_render(const lang_diags *diags, weir_arena *arena, bool colour);

// The candidate nearest to |name| if it is near enough to be a slip, else null. Edits count insertions, deletions,
// substitutions and swaps of neighbours; at most a third of the name's length may differ.
const char *lang_did_you_mean(const char *name, const char *const *candidates, int count);

#ifdef __cplusplus
}
#endif
#endif
