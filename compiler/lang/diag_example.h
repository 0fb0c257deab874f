// An example of every diagnostic: a text that is refused with it, and the same text mended. They are kept in
// diag_examples.txt, whose head tells its form, and are built into the library.
#ifndef WEIR_COMPILER_LANG_DIAG_EXAMPLE_H
#define WEIR_COMPILER_LANG_DIAG_EXAMPLE_H

#include "compiler/lang/diag.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const char *options;  // "" for none; " build" and the like as they stand behind the code
  size_t options_length;
  const char *text;
  size_t length;
} lang_example_text;

typedef struct {
  lang_example_text wrong, mend;
} lang_diag_example;

// Borrowed from the program. False when the code has none.
bool lang_diag_example_find(lang_diag_code code, lang_diag_example *out);

// The text as it is compiled: what <<...>> stands for is written out. In |arena|, with a NUL behind it.
char *lang_example_expand(weir_arena *arena, const lang_example_text *text, size_t *out_length);

#ifdef __cplusplus
}
#endif
#endif
