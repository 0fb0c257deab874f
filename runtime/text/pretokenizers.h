// The table of named pre-tokenizers (models/pretokenizers.def). Internal to runtime/text.
#ifndef WEIR_RUNTIME_TEXT_PRETOKENIZERS_H
#define WEIR_RUNTIME_TEXT_PRETOKENIZERS_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/text/blob.h"

enum { TEXT_PRE_PATTERNS = 6 };

typedef struct {
  const char *name;
  const char *patterns[TEXT_PRE_PATTERNS];  // ends with null unless full
  text_form form;
  bool ignore_merges;
  bool add_bos;
} text_pretokenizer;

// Null if there is no such name.
const text_pretokenizer *text_pretokenizer_find(const char *name, size_t size);

#endif
