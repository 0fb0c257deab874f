// Fuzzes the front end: any bytes give diagnostics or a tree; a tree without an error is laid out to a text with the
// same tree, which is laid out to itself, and no comment is lost on the way. Seeds are the models of tests/data/lang.
#include "compiler/lang/fmt.h"
#include "compiler/lang/parse.h"
#include "tests/fuzz/harness.h"

#ifndef WEIR_SOURCE_DIR
#define WEIR_SOURCE_DIR "."
#endif

static lang_file *read_text(weir_arena *arena, int id, const char *text, size_t size, lang_diags *diags) {
  lang_source *source;
  if (lang_source_make(arena, id, "fuzz.weir", text, size, &source)) abort();
  lang_diags_source_add(diags, source);
  return lang_parse(arena, source, diags);
}

static void check_format(weir_arena *arena, const lang_file *file, lang_diags *diags) {
  const char *once = lang_format(arena, file);
  const lang_file *again = read_text(arena, 2, once, strlen(once), diags);
  if (!again->ok || again->comments.count != file->comments.count) abort();
  if (strcmp(lang_file_dump(arena, file), lang_file_dump(arena, again)) != 0) abort();
  if (strcmp(once, lang_format(arena, again)) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir_arena arena;
  weir_arena_init(&arena);
  lang_diags diags;
  lang_diags_init(&diags, &arena);
  const lang_file *file = read_text(&arena, 1, (const char *)data, size, &diags);
  lang_file_dump(&arena, file);
  if (file->ok) check_format(&arena, file, &diags);
  lang_diags_sort(&diags);
  lang_diags_render(&diags, &arena, true);
  if (file->ok != (diags.error_count == 0)) abort();
  weir_arena_deinit(&arena);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const char *const names[] = {"gnn",      "lstm",    "mamba",   "minilm",   "mobilenetv3", "moe",
                                      "resnet50", "sliding", "smollm2", "spiking",  "supernet",    "t5",
                                      "training", "vit",     "whisper", "comments", "errors"};
  if (index >= (int)(sizeof names / sizeof *names)) return 0;
  char path[256];
  snprintf(path, sizeof path, "%s/tests/data/lang/%s.weir", WEIR_SOURCE_DIR, names[index]);
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  size_t size = fread(buffer, 1, capacity, file);
  fclose(file);
  return size;
}
