// Expands the table of named pre-tokenizers.
#include "runtime/text/pretokenizers.h"

enum { M = 1, B = 2 };

#define PATTERNS(...) \
  { __VA_ARGS__ }
#define PRETOKENIZER(name, patterns, form, flags) \
  {name, PATTERNS patterns, TEXT_FORM_##form, ((flags)&M) != 0, ((flags)&B) != 0},

static const text_pretokenizer table[] = {
#include "models/pretokenizers.def"
};

const text_pretokenizer *text_pretokenizer_find(const char *name, size_t size) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strlen(table[i].name) == size && !memcmp(table[i].name, name, size)) return &table[i];
  }
  return NULL;
}
