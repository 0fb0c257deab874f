// What the elaborator's tests share: a program from a text, with the library of the repo, elaborated.
#ifndef WEIR_TESTS_UNIT_LANG_ELAB_TEST_H
#define WEIR_TESTS_UNIT_LANG_ELAB_TEST_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/lang/elab.h"

typedef struct {
  weir_arena arena;
  lang_diags diags;
  lang_program *program;
  lang_graph *graph;
} elab_bench;

static inline elab_bench *elab_open(void) {
  elab_bench *bench = calloc(1, sizeof *bench);
  weir_arena_init(&bench->arena);
  lang_diags_init(&bench->diags, &bench->arena);
  return bench;
}

static inline void elab_close(elab_bench *bench) {
  weir_arena_deinit(&bench->arena);
  free(bench);
}

static inline void elab_load_text(elab_bench *bench, const char *text, size_t length) {
  static const char *const folders[] = {WEIR_SOURCE_DIR "/models"};
  lang_search search = {.folders = folders, .count = 1};
  weir_status status =
      lang_load_text(&bench->arena, "test.weir", text, length, &search, &bench->diags, &bench->program);
  cr_assert(!status, "%s", weir_status_message(status));
}

static inline void elab_load_model(elab_bench *bench, const char *name) {
  static const char *const folders[] = {WEIR_SOURCE_DIR "/models"};
  lang_search search = {.folders = folders, .count = 1};
  const char *path = weir_arena_printf(&bench->arena, "%s/models/%s.weir", WEIR_SOURCE_DIR, name);
  weir_status status = lang_load(&bench->arena, path, &search, &bench->diags, &bench->program);
  cr_assert(!status, "%s", weir_status_message(status));
}

// |overrides| is null or a list that ends with null.
static inline lang_graph *elab_run(elab_bench *bench, const char *const *overrides) {
  lang_options options = {.overrides = overrides, .float_dtype = IR_f32};
  while (overrides && overrides[options.override_count]) options.override_count++;
  bench->graph = lang_elaborate(&bench->arena, bench->program, &options, &bench->diags);
  lang_diags_sort(&bench->diags);
  return bench->graph;
}

static inline lang_graph *elab_text(elab_bench *bench, const char *text) {
  elab_load_text(bench, text, strlen(text));
  return elab_run(bench, NULL);
}

// The rendered diagnostics, with paths below the root of the repo.
static inline const char *elab_messages(elab_bench *bench) {
  char *text = lang_diags_render(&bench->diags, &bench->arena, false), *at;
  size_t root = strlen(WEIR_SOURCE_DIR) + 1;
  while ((at = strstr(text, WEIR_SOURCE_DIR "/")) != NULL) memmove(at, at + root, strlen(at + root) + 1);
  return text;
}

#endif
