// Source text and places in it. A lang_source is one text with a path and a number; a lang_span says where in which
// text a thing stands. Everything that has a place (tokens, tree nodes, diagnostics and their notes) carries a span.
//
// Lines and columns count from 1; a column counts code points. |begin| and |end| are byte offsets, |end| and
// |last_column| lie behind the last character. A span of zeros (file 0) is "no place": file numbers start at 1.
#ifndef WEIR_COMPILER_LANG_SOURCE_H
#define WEIR_COMPILER_LANG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t file;
  int32_t first_line, first_column;
  int32_t last_line, last_column;
  uint32_t begin, end;
} lang_span;

typedef struct {
  int32_t id;             // 1, 2, 3 ...
  const char *path;       // as it is shown to the user
  const char *text;       // |length| bytes and a NUL
  size_t length;          // below LANG_MAX_SOURCE_BYTES
  const uint32_t *lines;  // byte offset of the start of each line
  int32_t line_count;     // at least 1
} lang_source;

// A longer text is refused by lang_source_read and lang_source_make: offsets are 32 bit and a model is written by
// people.
#define LANG_MAX_SOURCE_BYTES ((size_t)16 << 20)

// Copies |path| and |text| into |arena|. |id| is the caller's. INVALID_DATA when the text is too long.
weir_status lang_source_make(weir_arena *arena, int32_t id, const char *path, const char *text, size_t length,
                             lang_source **out_source) WEIR_MUST_USE;

// Reads a file. NOT_FOUND, IO, or INVALID_DATA when it is too long or no regular file.
weir_status lang_source_read(weir_arena *arena, int32_t id, const char *path, lang_source **out_source) WEIR_MUST_USE;

// The bytes of line |line| (from 1) without its newline; empty when there is no such line. Borrowed from the source.
const char *lang_source_line(const lang_source *source, int32_t line, size_t *out_length);

// The span of the bytes [begin, end) with its lines and columns filled in. Offsets beyond the text are clamped.
lang_span lang_source_span(const lang_source *source, size_t begin, size_t end);

// The line above the one of |offset| is empty, or nothing but white space.
bool lang_source_blank_above(const lang_source *source, uint32_t offset);

// The bytes of the UTF-8 sequence at |text|, of which |left| bytes may be read, or 0 when it is none.
size_t lang_utf8_length(const char *text, size_t left);

// From the start of |a| to the end of |b|; the other one when one is no place.
static inline lang_span lang_span_join(lang_span a, lang_span b) {
  if (!a.file) return b;
  if (!b.file) return a;
  a.last_line = b.last_line;
  a.last_column = b.last_column;
  a.end = b.end;
  return a;
}

// The empty span directly behind |a|.
static inline lang_span lang_span_behind(lang_span a) {
  lang_span span = {a.file, a.last_line, a.last_column, a.last_line, a.last_column, a.end, a.end};
  return span;
}

#ifdef __cplusplus
}
#endif
#endif
