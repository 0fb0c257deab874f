// A parsed description, and how to write one. Internal to runtime/text. README.md documents the JSON schema.
#ifndef WEIR_RUNTIME_TEXT_DESCRIPTION_H
#define WEIR_RUNTIME_TEXT_DESCRIPTION_H

#include <jansson.h>

#include "runtime/text/blob.h"
#include "runtime/text/tokenizer.h"

#define TEXT_DESCRIPTION_FORMAT "weir-tokenizer-1"

typedef struct {
  text_view pattern;
  text_split split;
  bool invert;
} text_split_step;

typedef struct {
  json_t *root;  // owns every view below
  text_kind kind;
  uint32_t vocab;
  text_view *tokens;  // as written in the description
  uint8_t *types;     // type and strip bits
  json_t *merges;     // array or null
  text_split_step steps[TEXT_STEP_LIMIT];
  uint32_t step_count;
  uint32_t flags;
  text_form form;
  uint32_t max_word_chars;
  int32_t bos, eos, unk, cls, sep, pad, mask;
  const json_t *prefix, *suffix, *stops;  // arrays of checked ids, or null
  text_view chat_template;
} text_description;

// INVALID_DATA names the member that is wrong. |out| is to be deinitialised in any case.
weir_status text_description_parse(const char *json, size_t size, text_description *out) WEIR_MUST_USE;
void text_description_deinit(text_description *description);

// The letter of a token type in the member "types": n u c d b x.
char text_type_letter(text_token_type type);
const char *text_form_name(text_form form);

// Parses JSON text, NUL characters in strings allowed; |what| names it in the error.
weir_status text_json_parse(const char *json, size_t size, const char *what, json_t **out) WEIR_MUST_USE;
// Appends |root| as JSON text and releases it; null |root| is OUT_OF_MEMORY.
weir_status text_json_write(json_t *root, text_buffer *out) WEIR_MUST_USE;
// A string of the view's bytes; null if it is not UTF-8 or memory is out.
static inline json_t *text_json_view(text_view view) { return json_stringn(view.bytes ? view.bytes : "", view.size); }
static inline text_view text_json_text(const json_t *string) {
  return (text_view){json_string_value(string), json_string_length(string)};
}

// True for the names that models give to the token which ends an answer (<|im_end|>, <|eot_id|>, ...).
bool text_is_stop_name(text_view token);

#endif
