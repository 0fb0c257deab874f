// Splitting text into the pieces that BPE works on, with PCRE2.
//
// PCRE2 wants valid UTF-8, and texts are any bytes: the valid stretches are split by the patterns, the stretches
// between them are pieces of their own. Each step sees a piece as a whole subject, so that look-around never leaves it.
//
// Published patterns were written for Oniguruma, whose \s is the Unicode property White_Space; PCRE2's also has U+180E.
// So \s and \S are spelled out as a class before compiling. Nested classes and class intersections mean something else
// in PCRE2 and are refused.
#include <string.h>

#include "runtime/text/tokenizer_internal.h"
#include "runtime/text/utf8.h"

#define SPACES \
  "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

// What goes into |out| for the escape \|c|.
static weir_status put_escape(char c, bool in_class, text_buffer *out) {
  if (c == 's') {
    const char *spelled = in_class ? SPACES : "[" SPACES "]";
    return text_buffer_append(out, spelled, strlen(spelled));
  }
  if (c == 'S' && !in_class) return text_buffer_append(out, "[^" SPACES "]", strlen("[^" SPACES "]"));
  WEIR_TRY(text_buffer_put(out, '\\'));
  return text_buffer_put(out, c);
}

static weir_status spell_spaces(const char *p, size_t size, text_buffer *out) {
  size_t class_start = 0;  // index behind "[" or "[^" of the class we are in, 0 outside
  for (size_t i = 0; i < size; i++) {
    if (p[i] == '\\' && i + 1 < size) {
      WEIR_TRY(put_escape(p[++i], class_start != 0, out));
      continue;
    }
    if (class_start && p[i] == '[' && !(i + 1 < size && p[i + 1] == ':')) {
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "nested character class at byte %zu of a pattern", i);
    }
    if (class_start && p[i] == '&' && i + 1 < size && p[i + 1] == '&') {
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "class intersection at byte %zu of a pattern", i);
    }
    WEIR_TRY(text_buffer_put(out, p[i]));
    if (class_start && p[i] == '[') {  // [:name:]
      while (++i < size) {
        WEIR_TRY(text_buffer_put(out, p[i]));
        if (p[i] == ']' && p[i - 1] == ':') break;
      }
    } else if (class_start && p[i] == ']' && i != class_start) {
      class_start = 0;
    } else if (!class_start && p[i] == '[') {
      if (i + 1 < size && p[i + 1] == '^') WEIR_TRY(text_buffer_put(out, p[++i]));
      class_start = i + 1;
    }
  }
  return WEIR_OK;
}

weir_status text_pattern_compile(const char *pattern, size_t size, pcre2_code **out) {
  text_buffer spelled = {0};
  pcre2_compile_context *context = NULL;
  weir_status status = spell_spaces(pattern, size, &spelled);
  if (status) goto cleanup;
  context = pcre2_compile_context_create(NULL);
  if (!context) {
    status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to compile a pattern");
    goto cleanup;
  }
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(context, 1 << 16);
  int error = 0;
  PCRE2_SIZE at = 0;
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  PCRE2_SPTR text = (PCRE2_SPTR)(spelled.data ? spelled.data : "");
  *out = pcre2_compile(text, spelled.size, options, &error, &at, context);
  if (!*out) {
    char reason[128] = "";
    pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
    status = weir_status_make(WEIR_CODE_INVALID_DATA, "bad pre-tokenizer pattern: %s (at byte %zu of its expansion)",
                              reason, at);
  } else {
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);  // without JIT the interpreter does the work
  }
cleanup:
  pcre2_compile_context_free(context);
  text_buffer_deinit(&spelled);
  return status;
}

// ---- matching

static weir_status prepare(text_scratch *s, size_t step, size_t text_size) {
  if (!s->context) {
    s->context = pcre2_match_context_create(NULL);
    if (!s->context) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for matching");
    pcre2_set_heap_limit(s->context, 1 << 16);  // KiB
    s->stack = pcre2_jit_stack_create(1 << 15, 1 << 20, NULL);
    if (s->stack) pcre2_jit_stack_assign(s->context, NULL, s->stack);
  }
  uint64_t limit = 10000000 + 16 * (uint64_t)text_size;
  pcre2_set_match_limit(s->context, limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit);
  if (!s->match[step]) s->match[step] = pcre2_match_data_create(1, NULL);
  if (!s->match[step]) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for matching");
  return WEIR_OK;
}

// The next match at or behind |from|; *out_start is |size| if there is none. Empty matches are passed over.
static weir_status find_match(text_scratch *s, size_t step, const char *text, size_t size, size_t from,
                              size_t *out_start, size_t *out_end) {
  const pcre2_code *code = s->tokenizer->patterns[step];
  *out_start = *out_end = size;
  while (from < size) {
    int found = pcre2_match(code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, s->match[step],
                            s->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found = pcre2_match(code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | PCRE2_NO_JIT,
                          s->match[step], s->context);
    }
    if (found == PCRE2_ERROR_NOMATCH) return WEIR_OK;
    if (found < 0) {
      char reason[128] = "";
      pcre2_get_error_message(found, (PCRE2_UCHAR *)reason, sizeof reason);
      return weir_status_make(WEIR_CODE_INVALID_DATA, "pre-tokenizer pattern %zu gave up: %s", step, reason);
    }
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->match[step]);
    if (range[1] > range[0] && range[0] >= from) {  // \K in a look-around can turn a range around
      *out_start = range[0];
      *out_end = range[1];
      return WEIR_OK;
    }
    from += text_utf8_next(text + from, size - from).size;
  }
  return WEIR_OK;
}

typedef struct {
  size_t start, end;
  bool match;
} span;

static weir_status run_step(text_scratch *s, size_t step, const char *text, size_t size, text_piece_fn emit);

// A finished span of one step: hands it to the next one unless it is to be removed.
static weir_status close_span(text_scratch *s, size_t step, const char *text, span part, text_piece_fn emit) {
  if (part.start == part.end) return WEIR_OK;
  if (s->tokenizer->steps[step].split == TEXT_SPLIT_REMOVED && part.match) return WEIR_OK;
  return run_step(s, step + 1, text + part.start, part.end - part.start, emit);
}

// Adds a span behind |pending|, which closes unless the two belong together.
static weir_status add_span(text_scratch *s, size_t step, const char *text, span *pending, span part,
                            text_piece_fn emit) {
  if (part.start == part.end) return WEIR_OK;
  if (s->tokenizer->steps[step].split == TEXT_SPLIT_CONTIGUOUS && pending->match == part.match &&
      pending->end > pending->start) {
    pending->end = part.end;
    return WEIR_OK;
  }
  WEIR_TRY(close_span(s, step, text, *pending, emit));
  *pending = part;
  return WEIR_OK;
}

static weir_status run_step(text_scratch *s, size_t step, const char *text, size_t size, text_piece_fn emit) {
  if (step == s->tokenizer->step_count) return emit(s, text, size);
  bool invert = s->tokenizer->steps[step].invert;
  span pending = {0, 0, false};
  for (size_t at = 0; at < size;) {
    size_t start, end;
    WEIR_TRY(prepare(s, step, size));
    WEIR_TRY(find_match(s, step, text, size, at, &start, &end));
    WEIR_TRY(add_span(s, step, text, &pending, (span){at, start, invert}, emit));
    WEIR_TRY(add_span(s, step, text, &pending, (span){start, end, !invert}, emit));
    at = end;
  }
  return close_span(s, step, text, pending, emit);
}

weir_status text_pretokenize(text_scratch *scratch, const char *text, size_t size, text_piece_fn emit) {
  for (size_t at = 0; at < size;) {
    size_t valid = text_utf8_valid_prefix(text + at, size - at);
    if (valid) WEIR_TRY(run_step(scratch, 0, text + at, valid, emit));
    at += valid;
    size_t broken = at;
    while (broken < size) {
      text_char c = text_utf8_next(text + broken, size - broken);
      if (c.state == TEXT_UTF8_VALID) break;
      broken += c.size;
    }
    if (broken > at) WEIR_TRY(emit(scratch, text + at, broken - at));
    at = broken;
  }
  return WEIR_OK;
}
