// Golden texts: each tests/text/lang/*.test holds a command, a program and what the command prints.
//
//   command: check | fmt | dump
//   ---- program
//   ...
//   ---- expected
//   ...
//
// WEIR_BLESS=1 writes what is printed into the files instead of comparing; the difference is then git's to show.
#include <glob.h>

#include "tests/unit/lang/lang_test.h"

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

static const char *command_run(lang_bench *bench, const char *command, const char *program, size_t length) {
  const lang_file *file = bench_parse_bytes(bench, program, length);
  lang_diags_sort(&bench->diags);
  const char *messages = lang_diags_render(&bench->diags, &bench->arena, false);
  const char *output = "";
  if (file->ok && strncmp(command, "fmt", 3) == 0) output = lang_format(&bench->arena, file);
  if (file->ok && strncmp(command, "dump", 4) == 0) output = lang_file_dump(&bench->arena, file);
  return weir_arena_printf(&bench->arena, "%s%s", messages, output);
}

static void golden_run(const char *path, bool bless) {
  char *text = file_read(path);
  const char *command = strstr(text, "command: "), *program = strstr(text, program_mark),
             *expected = strstr(text, expected_mark);
  cr_assert(command == text && program && expected, "%s is no golden text", path);
  program += strlen(program_mark);
  lang_bench *bench = bench_open();
  const char *got = command_run(bench, command + strlen("command: "), program, (size_t)(expected - program));
  expected += strlen(expected_mark);
  if (bless) {
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    fprintf(file, "%.*s%s", (int)(expected - text), text, got);
    fclose(file);
  } else {
    cr_expect_str_eq(got, expected, "%s:\n%s", path, got);
  }
  bench_close(bench);
  free(text);
}

Test(golden, all) {
  glob_t found;
  cr_assert_eq(glob(WEIR_SOURCE_DIR "/tests/text/lang/*.test", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) golden_run(found.gl_pathv[i], getenv("WEIR_BLESS") != NULL);
  globfree(&found);
}
