// A page that is written once and comes out as Markdown or as HTML.
#ifndef WEIR_COMPILER_DRIVER_PAGE_H
#define WEIR_COMPILER_DRIVER_PAGE_H

#include <stdbool.h>

#include "ir/text_buffer.h"

typedef struct {
  ir_text text;
  weir_arena *arena;
  bool html;
} page;

void page_begin(page *p, weir_arena *arena, bool html, const char *title);
const char *page_end(page *p);
void page_heading(page *p, int level, const char *text);
// Words with `code` in them; lines are joined, empty lines begin a new paragraph.
void page_paragraph(page *p, const char *text);
// Text as it is; |language| may be "".
void page_code(page *p, const char *language, const char *text);
// A table: its heads, then rows of as many cells. Cells are words with `code` in them.
void page_table(page *p, const char *const *heads, int columns);
void page_row(page *p, const char *const *cells, int columns);
void page_table_end(page *p);

#endif
