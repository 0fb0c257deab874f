// What tools for editors ask of the front end: what an expression was worth, and which names need no declaration.
//
// A lang_watch collects the values of one elaboration (lang_check_observed with its |observer|). Everything lives in
// the arena; a watch is read after the elaboration and before the arena goes.
#ifndef WEIR_COMPILER_LANG_SERVICE_H
#define WEIR_COMPILER_LANG_SERVICE_H

#include "compiler/lang/elab.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  lang_observer observer;  // first: what the elaborator is given
  weir_arena *arena;
  struct lang_watched *data;  // open addressing over expressions
  int count, capacity;        // a power of two
} lang_watch;

void lang_watch_init(lang_watch *watch, weir_arena *arena);

// What |expr| was worth: "f32[T, 576]", "30", "an instance of Linear". Null when it was not evaluated or failed. Where
// it had several types (a block used in several shapes) the first one, and |*out_varies|.
const char *lang_watch_text(const lang_watch *watch, const lang_expr *expr, bool *out_varies);
// What is known of the dims and the range of its value, one a line: "T: seq, 1 to 8192". Null for nothing.
const char *lang_watch_facts(const lang_watch *watch, const lang_expr *expr);

// Functions, element types and words that the language has: for completion. |doc| is null where there is none.
typedef enum {
  LANG_BUILTIN_FUNCTION,
  LANG_BUILTIN_CONSTANT,
  LANG_BUILTIN_TYPE,
  LANG_BUILTIN_KEYWORD
} lang_builtin_kind;
typedef struct {
  const char *name;
  lang_builtin_kind kind;
  const char *doc;
  const char *named;  // of functions: its named arguments, separated by spaces; else null
} lang_builtin_entry;
int lang_builtin_list(weir_arena *arena, lang_builtin_entry **out);
// Words that cannot be names, null-terminated; and words that begin declarations and can.
extern const char *const lang_reserved_words[];
extern const char *const lang_declaration_words[];

#ifdef __cplusplus
}
#endif
#endif
