// Golden texts of programs: each NAME.test holds a command, a program and what the command prints.
//
//   command: ...
//   ---- program
//   ...
//   ---- expected
//   ...
//
// WEIR_BLESS=1 writes what is printed into the files instead of comparing; the difference is then git's to show.
#ifndef WEIR_TESTS_UNIT_LANG_GOLDEN_TEXTS_H
#define WEIR_TESTS_UNIT_LANG_GOLDEN_TEXTS_H

#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What |command| prints for the |length| bytes of |program|, from malloc.
typedef char *(*golden_command)(const char *command, const char *program, size_t length);

static const char golden_program[] = "---- program\n", golden_expected[] = "---- expected\n";

static char *golden_read(const char *path) {
  FILE *file = fopen(path, "rb");
  cr_assert(file, "%s", path);
  char *text = calloc(1, 1 << 20);
  size_t size = fread(text, 1, (1 << 20) - 1, file);
  cr_assert(size > 0);
  fclose(file);
  return text;
}

static void golden_run(const char *path, golden_command run) {
  char *text = golden_read(path);
  const char *program = strstr(text, golden_program), *expected = strstr(text, golden_expected);
  cr_assert(strncmp(text, "command: ", 9) == 0 && program && expected, "%s is no golden text", path);
  program += strlen(golden_program);
  char *got = run(text + strlen("command: "), program, (size_t)(expected - program));
  expected += strlen(golden_expected);
  if (getenv("WEIR_BLESS")) {
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    fprintf(file, "%.*s%s", (int)(expected - text), text, got);
    fclose(file);
  } else {
    cr_expect_str_eq(got, expected, "%s:\n%s", path, got);
  }
  free(got);
  free(text);
}

// Runs every file that |pattern| names; there must be some.
static void golden_run_all(const char *pattern, golden_command run) {
  glob_t found;
  cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) golden_run(found.gl_pathv[i], run);
  globfree(&found);
}

#endif
