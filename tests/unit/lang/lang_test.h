// What the front end's tests share: a text read with an arena and diagnostics of its own.
#ifndef WEIR_TESTS_UNIT_LANG_LANG_TEST_H
#define WEIR_TESTS_UNIT_LANG_LANG_TEST_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/lang/fmt.h"
#include "compiler/lang/parse.h"

typedef struct {
  weir_arena arena;
  lang_diags diags;
} lang_bench;

static inline lang_bench *bench_open(void) {
  lang_bench *bench = calloc(1, sizeof *bench);
  weir_arena_init(&bench->arena);
  lang_diags_init(&bench->diags, &bench->arena);
  return bench;
}

static inline void bench_close(lang_bench *bench) {
  weir_arena_deinit(&bench->arena);
  free(bench);
}

static inline lang_file *bench_parse_bytes(lang_bench *bench, const char *text, size_t length) {
  lang_source *source;
  weir_status status =
      lang_source_make(&bench->arena, bench->diags.source_count + 1, "test.weir", text, length, &source);
  cr_assert(!status);
  lang_diags_source_add(&bench->diags, source);
  return lang_parse(&bench->arena, source, &bench->diags);
}

static inline lang_file *bench_parse(lang_bench *bench, const char *text) {
  return bench_parse_bytes(bench, text, strlen(text));
}

// The models that serve as data; comments.weir is made of comments in all places.
static const char *const lang_models[] = {"gnn",      "lstm",    "mamba",   "minilm",  "mobilenetv3", "moe",
                                          "resnet50", "sliding", "smollm2", "spiking", "supernet",    "t5",
                                          "training", "vit",     "whisper", "comments"};
#define LANG_MODEL_COUNT (sizeof lang_models / sizeof *lang_models)

static inline lang_file *bench_parse_model(lang_bench *bench, const char *name) {
  lang_source *source;
  const char *path = weir_arena_printf(&bench->arena, "%s/tests/data/lang/%s.weir", WEIR_SOURCE_DIR, name);
  weir_status status = lang_source_read(&bench->arena, bench->diags.source_count + 1, path, &source);
  cr_assert(!status, "%s", weir_status_message(status));
  lang_diags_source_add(&bench->diags, source);
  return lang_parse(&bench->arena, source, &bench->diags);
}

// The codes of all diagnostics in order: "W0102 W0101".
static inline const char *bench_codes(lang_bench *bench) {
  const char *codes = "";
  lang_diags_sort(&bench->diags);
  for (int i = 0; i < bench->diags.count; i++)
    codes = weir_arena_printf(&bench->arena, "%s%s%s", codes, i ? " " : "", lang_diag_text(bench->diags.data[i]->code));
  return codes;
}

#endif
