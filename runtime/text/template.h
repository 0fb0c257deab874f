// Chat templates: the subset of Jinja that models' chat templates are written in, as Hugging Face runs them
// (trim_blocks and lstrip_blocks on, keep_trailing_newline off, break and continue, raise_exception, strftime_now).
//
// A template is compiled once into a tree and rendered any number of times, by any thread. Templates come with
// checkpoints and are hostile until proved otherwise: steps, output, values and nesting are bounded, and there is no
// way out of the sandbox (no imports, includes, attributes of host objects). README.md lists the language.
#ifndef WEIR_RUNTIME_TEXT_TEMPLATE_H
#define WEIR_RUNTIME_TEXT_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/text/buffer.h"
#include "runtime/text/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct text_template text_template;

// Copies what it needs of |source|. INVALID_DATA with the line for a syntax error.
weir_status text_template_create(const char *source, size_t size, text_template **out) WEIR_MUST_USE;
void text_template_release(text_template *tmpl);  // null is allowed

typedef struct {
  size_t max_steps;         // evaluated nodes; 0: 4 million
  size_t max_output_bytes;  // 0: 16 MiB
  size_t max_memory_bytes;  // values alive or dead of one rendering; 0: 256 MiB
  int64_t now_unix;         // what strftime_now sees (UTC); 0: the clock
} text_template_limits;

// Appends the rendered text to |out|. |variables| is an object, its members are the template's globals; it is borrowed
// and only read. |limits| may be null. INVALID_DATA with the line for an error in the template or a call of
// raise_exception (its message is kept), OUT_OF_RANGE when a limit is reached; |out| is then as before.
weir_status text_template_render(const text_template *tmpl, const json_t *variables, const text_template_limits *limits,
                                 text_buffer *out) WEIR_MUST_USE;

// One conversation by the conventions of Hugging Face: the variables messages, tools (if not null),
// add_generation_prompt, bos_token, eos_token, unk_token, pad_token, sep_token, cls_token, mask_token (those the
// tokenizer has), and the members of |extra| (or null), which win.
typedef struct {
  const json_t *messages;  // array of {role, content, ...}
  const json_t *tools;
  const json_t *extra;
  bool add_generation_prompt;
} text_chat;
weir_status text_template_render_chat(const text_template *tmpl, const text_tokenizer *tokenizer, const text_chat *chat,
                                      const text_template_limits *limits, text_buffer *out) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
