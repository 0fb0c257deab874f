// Golden texts of the elaborator: each tests/text/elab/*.test holds a command, a program and what the command prints.
//
//   command: graph | errors       the graph's text, or the diagnostics
//   ---- program
//   ...
//   ---- expected
//   ...
//
// WEIR_BLESS=1 writes what is printed into the files instead of comparing; the difference is then git's to show.
#include <glob.h>

#include "tests/unit/lang/elab_test.h"

static const char program_mark[] = "---- program\n", expected_mark[] = "---- expected\n";

static char *file_read(const char *path) {
  FILE *file = fopen(path, "rb");
  cr_assert(file, "%s", path);
  char *text = calloc(1, 1 << 20);
  size_t size = fread(text, 1, (1 << 20) - 1, file);
  cr_assert(size > 0);
  fclose(file);
  return text;
}

static const char *command_run(elab_bench *bench, const char *command, const char *program, size_t length) {
  elab_load_text(bench, program, length);
  elab_run(bench, NULL);
  const char *graph = "";
  if (bench->graph) {
    weir_status status = ir_verify(bench->graph->module);
    cr_expect(!status, "%s", weir_status_message(status));
    weir_status_release(status);
    if (strncmp(command, "graph", 5) == 0) graph = ir_print_module(&bench->arena, bench->graph->module);
  }
  return weir_arena_printf(&bench->arena, "%s%s", elab_messages(bench), graph);
}

static void golden_run(const char *path, bool bless) {
  char *text = file_read(path);
  const char *program = strstr(text, program_mark), *expected = strstr(text, expected_mark);
  cr_assert(strncmp(text, "command: ", 9) == 0 && program && expected, "%s is no golden text", path);
  program += strlen(program_mark);
  elab_bench *bench = elab_open();
  const char *got = command_run(bench, text + strlen("command: "), program, (size_t)(expected - program));
  expected += strlen(expected_mark);
  if (bless) {
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    fprintf(file, "%.*s%s", (int)(expected - text), text, got);
    fclose(file);
  } else {
    cr_expect_str_eq(got, expected, "%s:\n%s", path, got);
  }
  elab_close(bench);
  free(text);
}

Test(elab_golden, all) {
  glob_t found;
  cr_assert_eq(glob(WEIR_SOURCE_DIR "/tests/text/elab/*.test", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) golden_run(found.gl_pathv[i], getenv("WEIR_BLESS") != NULL);
  globfree(&found);
}
