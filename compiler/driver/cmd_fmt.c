// weir fmt: the one layout.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/driver/cli.h"
#include "compiler/lang/fmt.h"
#include "compiler/lang/parse.h"
#include "runtime/base/io.h"

typedef struct {
  lang_source *source;
  char *text;  // laid out; null after diagnostics
} laid_out;

static weir_status read_source(cli *c, const char *path, lang_source **out) {
  if (strcmp(path, "-")) return lang_source_read(&c->arena, 1, path, out);
  char *text = NULL;
  size_t size = 0;
  WEIR_TRY(weir_file_read("/dev/stdin", LANG_MAX_SOURCE_BYTES, &text, &size));
  weir_status status = lang_source_make(&c->arena, 1, "-", text, size, out);
  free(text);
  return status;
}

static weir_status lay_out(cli *c, const char *path, laid_out *out, json_t *problems) {
  *out = (laid_out){0};
  WEIR_TRY(read_source(c, path, &out->source));
  lang_diags diags;
  lang_diags_init(&diags, &c->arena);
  lang_diags_source_add(&diags, out->source);
  lang_file *file = lang_parse(&c->arena, out->source, &diags);
  if (c->json) {
    lang_diags_sort(&diags);
    json_t *items = cli_diagnostics_json(&diags);
    json_array_extend(problems, items);
    json_decref(items);
  } else {
    cli_diagnostics(c, &diags);
  }
  if (!diags.error_count && file->ok) out->text = lang_format(&c->arena, file);
  return WEIR_OK;
}

// Replaces the file, keeping its permissions.
static weir_status replace(const char *path, const char *text) {
  struct stat info;
  bool known = stat(path, &info) == 0;
  WEIR_TRY(weir_file_write_atomic(path, text, strlen(text)));
  if (known) (void)!chmod(path, info.st_mode & 07777);
  return WEIR_OK;
}

int cmd_fmt(cli *c) {
  if (!cli_arguments(c, 1, -1)) return CLI_USAGE;
  bool check = cli_has(c, "check");
  json_t *problems = json_array(), *changed = json_array();
  int result = CLI_DONE;
  weir_status status = WEIR_OK;
  for (int i = 0; i < c->argument_count && !status && !*c->cancel; i++) {
    const char *path = c->arguments[i];
    laid_out out;
    status = lay_out(c, path, &out, problems);
    if (status) break;
    if (!out.text) {
      result = CLI_INPUT;
      continue;
    }
    bool differs =
        strlen(out.text) != out.source->length || memcmp(out.text, out.source->text, out.source->length) != 0;
    if (differs) json_array_append_new(changed, cli_json_text(path, strlen(path)));
    if (check) {
      if (differs) result = CLI_INPUT;
      if (differs && !c->json) printf("%s\n", path);
    } else if (!strcmp(path, "-")) {
      if (!c->json) cli_write(out.text, strlen(out.text));
    } else if (differs) {
      status = replace(path, out.text);
      cli_detail(c, "%s: laid out anew", path);
    }
  }
  if (!status && c->json) {
    int written = cli_json(c, json_pack("{s:o,s:o}", "changed", changed, "diagnostics", problems));
    return result == CLI_DONE ? written : result;
  }
  json_decref(problems);
  json_decref(changed);
  return status ? cli_fail(c, status) : result;
}
