// How diagnostics look:
//
//   tiny.weir:3:12: error[W0102]: ';' is missing here
//     3 |   let H = 1
//       |            ^
//   tiny.weir:1:1: note: ...
//
// Tabs become one space each and control characters a dot, so that carets stand under what they mean and no text
// reaches the terminal raw. A long line is cut around its caret. Colour is ANSI and only when the caller says so.
#include <stdio.h>
#include <string.h>

#include "compiler/lang/diag.h"
#include "compiler/lang/text.h"

#define SHOWN_COLUMNS 160

static void put_colour(lang_text_out *out, bool colour, const char *code) {
  if (!colour) return;
  lang_text_add(out, "\x1b[");
  lang_text_add(out, code);
  lang_text_put(out, 'm');
}

// Puts code points [skip, skip + SHOWN_COLUMNS) of a line. A byte that is no UTF-8 counts as one.
static void put_line(lang_text_out *out, const char *line, size_t length, int skip) {
  int at = 0;
  for (size_t i = 0; i < length && at < skip + SHOWN_COLUMNS; at++) {
    size_t bytes = lang_utf8_length(line + i, length - i);
    bool shown = bytes && (unsigned char)line[i] >= 0x20 && line[i] != 0x7F;
    if (at >= skip && !shown) lang_text_put(out, line[i] == '\t' ? ' ' : '.');
    for (size_t j = 0; at >= skip && shown && j < bytes; j++) lang_text_put(out, line[i + j]);
    i += bytes ? bytes : 1;
  }
}

static void put_excerpt(lang_text_out *out, const lang_source *source, lang_span span, bool colour) {
  size_t length;
  const char *line = lang_source_line(source, span.first_line, &length);
  int first = span.first_column - 1;
  int width = span.last_line == span.first_line ? span.last_column - span.first_column : (int)length - first;
  if (width < 1) width = 1;
  int skip = first > SHOWN_COLUMNS / 2 ? first - SHOWN_COLUMNS / 2 : 0;
  if (width > SHOWN_COLUMNS - (first - skip)) width = SHOWN_COLUMNS - (first - skip);
  lang_text_printf(out, "%5d | ", span.first_line);
  put_line(out, line, length, skip);
  lang_text_add(out, "\n      | ");
  for (int i = skip; i < first; i++) lang_text_put(out, ' ');
  put_colour(out, colour, "1;32");
  for (int i = 0; i < width; i++) lang_text_put(out, '^');
  put_colour(out, colour, "0");
  lang_text_put(out, '\n');
}

static void put_message(lang_text_out *out, const char *message) {
  for (; *message; message++) lang_text_put(out, (unsigned char)*message < 0x20 && *message != '\n' ? '.' : *message);
}

static void put_place(lang_text_out *out, const lang_diags *diags, lang_span span) {
  const lang_source *source = lang_diags_source(diags, span.file);
  if (!source) return;
  lang_text_printf(out, "%s:%d:%d: ", source->path, span.first_line, span.first_column);
}

static void put_diag(lang_text_out *out, const lang_diags *diags, const lang_diag *diag, bool colour) {
  bool is_error = lang_diag_severity(diag->code) == LANG_SEVERITY_ERROR;
  put_colour(out, colour, "1");
  put_place(out, diags, diag->span);
  put_colour(out, colour, is_error ? "1;31" : "1;35");
  lang_text_add(out, lang_severity_text(lang_diag_severity(diag->code)));
  lang_text_put(out, '[');
  lang_text_add(out, lang_diag_text(diag->code));
  lang_text_add(out, "]: ");
  put_colour(out, colour, "0");
  put_message(out, diag->message);
  lang_text_put(out, '\n');
  const lang_source *source = lang_diags_source(diags, diag->span.file);
  if (source) put_excerpt(out, source, diag->span, colour);
  for (int i = 0; i < diag->note_count; i++) {
    const lang_note *note = &diag->notes[i];
    source = lang_diags_source(diags, note->span.file);
    lang_text_add(out, source ? "" : "      = ");
    put_place(out, diags, note->span);
    lang_text_add(out, "note: ");
    put_message(out, note->message);
    lang_text_put(out, '\n');
    if (source) put_excerpt(out, source, note->span, colour);
  }
}

char *lang_diags_render(const lang_diags *diags, weir_arena *arena, bool colour) {
  lang_text_out out = {.arena = arena};
  for (int i = 0; i < diags->count; i++) put_diag(&out, diags, diags->data[i], colour);
  if (diags->dropped_count)
    lang_text_printf(&out, "%d more error%s not shown\n", diags->dropped_count, diags->dropped_count == 1 ? "" : "s");
  return lang_text_take(&out);
}
