#include "compiler/driver/page.h"

#include <string.h>

static void put_html(ir_text *t, const char *words, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (words[i] == '<') ir_text_puts(t, "&lt;");
    else if (words[i] == '>') ir_text_puts(t, "&gt;");
    else if (words[i] == '&') ir_text_puts(t, "&amp;");
    else ir_text_printf(t, "%c", words[i]);
  }
}

// Signs that Markdown would read, outside of code.
static void put_markdown(ir_text *t, const char *words, size_t length, bool cell) {
  bool code = false;
  for (size_t i = 0; i < length; i++) {
    code ^= words[i] == '`';
    if (!code && strchr("*_<[", words[i])) ir_text_puts(t, "\\");
    if (cell && words[i] == '|') ir_text_puts(t, "\\");
    ir_text_printf(t, "%c", words[i]);
  }
}

static void put_words(page *p, const char *words, size_t length, bool cell) {
  if (!p->html) {
    put_markdown(&p->text, words, length, cell);
    return;
  }
  for (size_t at = 0; at < length;) {
    const char *open = memchr(words + at, '`', length - at);
    const char *close = open ? memchr(open + 1, '`', (size_t)(words + length - open - 1)) : NULL;
    size_t plain = close ? (size_t)(open - words) - at : length - at;
    put_html(&p->text, words + at, plain);
    at += plain;
    if (!close) return;
    ir_text_puts(&p->text, "<code>");
    put_html(&p->text, open + 1, (size_t)(close - open - 1));
    ir_text_puts(&p->text, "</code>");
    at = (size_t)(close - words) + 1;
  }
}

void page_begin(page *p, weir_arena *arena, bool html, const char *title) {
  *p = (page){.arena = arena, .html = html};
  ir_text_init(&p->text, arena);
  if (!html) return;
  ir_text_puts(&p->text, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>");
  put_html(&p->text, title, strlen(title));
  ir_text_puts(
      &p->text,
      "</title>\n<style>\nbody{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;"
      "color:#222;background:#fff}\ncode,pre{font:14px/1.4 \"DejaVu Sans Mono\",Menlo,Consolas,monospace}\n"
      "pre{background:#f4f6f8;padding:.8em 1em;overflow:auto}\ntable{border-collapse:collapse}\n"
      "th,td{border-bottom:1px solid #ccd3da;padding:.25em .8em;text-align:left;vertical-align:top}\n</style>\n"
      "</head>\n<body>\n");
}

const char *page_end(page *p) {
  if (p->html) ir_text_puts(&p->text, "</body>\n</html>\n");
  return p->text.data;
}

void page_heading(page *p, int level, const char *text) {
  if (p->html) {
    ir_text_printf(&p->text, "<h%d>", level);
    put_words(p, text, strlen(text), false);
    ir_text_printf(&p->text, "</h%d>\n", level);
    return;
  }
  ir_text_printf(&p->text, "%s%.*s ", p->text.length ? "\n" : "", level, "######");
  put_words(p, text, strlen(text), false);
  ir_text_puts(&p->text, "\n");
}

void page_paragraph(page *p, const char *text) {
  while (*text) {
    const char *end = strstr(text, "\n\n");
    size_t length = end ? (size_t)(end - text) : strlen(text);
    ir_text_puts(&p->text, p->html ? "<p>" : "\n");
    put_words(p, text, length, false);
    ir_text_puts(&p->text, p->html ? "</p>\n" : "\n");
    text += length;
    text += strspn(text, "\n");
  }
}

void page_code(page *p, const char *language, const char *text) {
  size_t length = strlen(text);
  if (p->html) {
    ir_text_puts(&p->text, "<pre>");
    put_html(&p->text, text, length);
    ir_text_puts(&p->text, "</pre>\n");
    return;
  }
  ir_text_printf(&p->text, "\n```%s\n%s%s```\n", language, text, length && text[length - 1] == '\n' ? "" : "\n");
}

static void put_cells(page *p, const char *const *cells, int columns, const char *tag) {
  ir_text_puts(&p->text, p->html ? "<tr>" : "|");
  for (int i = 0; i < columns; i++) {
    if (p->html) ir_text_printf(&p->text, "<%s>", tag);
    else ir_text_puts(&p->text, " ");
    put_words(p, cells[i], strlen(cells[i]), true);
    if (p->html) ir_text_printf(&p->text, "</%s>", tag);
    else ir_text_puts(&p->text, " |");
  }
  ir_text_puts(&p->text, p->html ? "</tr>\n" : "\n");
}

void page_table(page *p, const char *const *heads, int columns) {
  ir_text_puts(&p->text, p->html ? "<table>\n" : "\n");
  put_cells(p, heads, columns, "th");
  if (p->html) return;
  ir_text_puts(&p->text, "|");
  for (int i = 0; i < columns; i++) ir_text_puts(&p->text, "---|");
  ir_text_puts(&p->text, "\n");
}

void page_row(page *p, const char *const *cells, int columns) { put_cells(p, cells, columns, "td"); }

void page_table_end(page *p) {
  if (p->html) ir_text_puts(&p->text, "</table>\n");
}
