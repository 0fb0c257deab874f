// Reading a file: check that the text is text, then scan and parse it, again with a ';' more as long as that helps (see
// reader.h).
#include "compiler/lang/parse.h"

#include "compiler/lang/build.h"
#include "compiler/lang/reader.h"
#include "compiler/lang/weir.tab.h"

// Longer files are not read again: insertion costs a pass each.
#define MAX_BYTES_READ_AGAIN ((size_t)1 << 20)

void lang_reader_too_deep(lang_reader *reader, lang_span span) {
  if (!reader->stopped) lang_diag_add(&reader->diags, LANG_W_TOO_DEEP, span);
  reader->stopped = true;
}

void lang_reader_resume(lang_reader *reader, int depth) {
  if (reader->depth > depth) reader->skip_depth = depth;
  reader->parameters = (lang_span){0};
}

void lang_reader_brace_inline(lang_reader *reader) {
  if (reader->depth > 0) reader->brackets[reader->depth - 1].in_line = true;
}

static bool is_control(unsigned char c) { return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F; }

// The bytes before the first that is no text, with a diagnostic for it.
static size_t text_length(lang_diags *diags, weir_arena *arena, const lang_source *source) {
  const char *text = source->text;
  size_t at = 0;
  while (at < source->length) {
    size_t step = lang_utf8_length(text + at, source->length - at);
    lang_span span = {0};
    if (step == 0 || is_control((unsigned char)text[at])) span = lang_source_span(source, at, at + 1);
    if (step == 0) {
      lang_diag_add(diags, LANG_W_BAD_UTF8, span);
      return at;
    }
    if (span.file) {
      lang_diag_add(diags, LANG_W_BAD_CHARACTER, span,
                    weir_arena_printf(arena, "control character %02X", (unsigned)text[at]));
      return at;
    }
    at += step;
  }
  return at;
}

// One pass over the text; false when it has to be made again.
static bool pass_run(lang_reader *reader) {
  *reader->file = (lang_file){.source = reader->source};
  lang_diags_init(&reader->diags, reader->arena);
  reader->length = text_length(&reader->diags, reader->arena, reader->source);
  lang_span start = {reader->source->id, 1, 1, 1, 1, 0, 0};
  reader->at = reader->token = reader->before = start;
  reader->depth = 0;
  reader->skip_depth = -1;
  reader->parameters = (lang_span){0};
  reader->stopped = reader->restart = false;
  reader->insert_next = 0;
  lang_scan_begin(reader);
  lang_yyparse(reader);
  return !reader->restart;
}

lang_file *lang_parse(weir_arena *arena, const lang_source *source, lang_diags *diags) {
  lang_reader *reader = WEIR_NEW(arena, lang_reader);
  reader->arena = arena;
  reader->source = source;
  reader->file = WEIR_NEW(arena, lang_file);
  reader->can_insert = source->length <= MAX_BYTES_READ_AGAIN;
  while (!pass_run(reader)) continue;
  reader->file->ok = reader->diags.error_count == 0;
  lang_diags_take(diags, &reader->diags);
  lang_trivia_attach(arena, reader->file);
  return reader->file;
}
