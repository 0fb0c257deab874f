// weir check: every diagnostic of the files named, nothing built. A file that several of them use is complained about
// once. Each program has memory of its own, so that many files need no more than the largest.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/lang/elab.h"
#include "compiler/lang/files.h"
#include "compiler/plan/home.h"

typedef struct {
  cli *c;
  const char *models;
  json_t *list;       // with --json: all diagnostics
  const char **seen;  // of each one so far: place, code, message
  int seen_count, seen_capacity;
  bool wrong;
} checker;

// Whether the diagnostic was there before, under whichever name of its file.
static bool is_seen(checker *k, const lang_diags *diags, const lang_diag *diag) {
  char real[PATH_MAX];
  const lang_source *source = lang_diags_source(diags, diag->span.file);
  const char *path = source ? realpath(source->path, real) ? real : source->path : "";
  const char *key = weir_arena_printf(&k->c->arena, "%s:%u:%u:%s:%s", path, diag->span.begin, diag->span.end,
                                      lang_diag_text(diag->code), diag->message);
  for (int i = 0; i < k->seen_count; i++) {
    if (!strcmp(k->seen[i], key)) return true;
  }
  WEIR_PUSH(&k->c->arena, k->seen, k->seen_count, k->seen_capacity, key);
  return false;
}

static void report(checker *k, lang_diags *diags) {
  int kept = 0;
  lang_diags_sort(diags);
  for (int i = 0; i < diags->count; i++) {
    if (!is_seen(k, diags, diags->data[i])) diags->data[kept++] = diags->data[i];
  }
  diags->count = kept;
  k->wrong = k->wrong || diags->error_count > 0;
  if (!k->list) {
    cli_diagnostics(k->c, diags);
    return;
  }
  json_t *items = cli_diagnostics_json(diags);
  json_array_extend(k->list, items);
  json_decref(items);
}

static weir_status check_file(checker *k, const char *path) {
  weir_arena arena;
  lang_diags diags;
  lang_program *program = NULL;
  lang_search search = {.folders = &k->models, .count = 1};
  weir_arena_init(&arena);
  lang_diags_init(&diags, &arena);
  weir_status status = lang_load(&arena, path, &search, &diags, &program);
  if (!status) {
    lang_check(&arena, program, &diags);
    report(k, &diags);
    if (!diags.count) cli_detail(k->c, "%s: no errors", path);
  }
  weir_arena_deinit(&arena);
  return status;
}

int cmd_check(cli *c) {
  const char *code = cli_text(c, "explain");
  if (code) return cli_explain_code(c, code);
  if (!cli_arguments(c, 1, -1)) return CLI_USAGE;
  checker k = {.c = c};
  weir_status status = plan_models_folder(&c->arena, &k.models);
  if (!status && c->json) k.list = json_array();
  for (int i = 0; i < c->argument_count && !status && !*c->cancel; i++) status = check_file(&k, c->arguments[i]);
  if (status) {
    json_decref(k.list);
    return cli_fail(c, status);
  }
  int written = k.list ? cli_json(c, k.list) : CLI_DONE;
  return k.wrong ? CLI_INPUT : written;
}
