// docs/ops.md is what the op table says. WEIR_BLESS=1 writes it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/print_ops.h"

Test(docs, ops_page_is_current) {
  weir_arena arena;
  weir_arena_init(&arena);
  const char *expected = ir_print_ops_markdown(&arena), *path = WEIR_SOURCE_DIR "/docs/ops.md";
  if (getenv("WEIR_BLESS")) {
    FILE *out = fopen(path, "w");
    cr_assert(out);
    fputs(expected, out);
    fclose(out);
  }
  FILE *file = fopen(path, "r");
  cr_assert(file, "docs/ops.md is missing");
  char *text = weir_arena_alloc(&arena, 1 << 18);
  text[fread(text, 1, (1 << 18) - 1, file)] = 0;
  fclose(file);
  cr_expect(!strcmp(text, expected), "docs/ops.md differs from the op table; run test_graph_docs with WEIR_BLESS=1");
  weir_arena_deinit(&arena);
}
