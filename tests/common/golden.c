// Golden text files.
#include "tests/common/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(weir_arena *arena, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  char *text = weir_arena_alloc(arena, 1 << 20);
  text[fread(text, 1, (1 << 20) - 1, file)] = 0;
  fclose(file);
  return text;
}

// The text behind the line "--- name"; its end in |*out_end|.
static char *section(char *text, const char *name, char **out_end) {
  char line[64];
  snprintf(line, sizeof line, "--- %s\n", name);
  char *start = strstr(text, line);
  if (!start) return NULL;
  start += strlen(line);
  *out_end = start + strlen(start);
  for (char *next = start; (next = strstr(next, "--- ")); next++) {
    if (next > start && next[-1] != '\n') continue;
    *out_end = next;
    break;
  }
  return start;
}

static bool check_file(weir_arena *arena, const char *path, golden_run run, int *failed) {
  char *text = read_file(arena, path), *end, *command, *input, *expected;
  if (!text) return false;
  command = section(text, "command", &end);
  if (command) command = weir_arena_strndup(arena, command, (size_t)(end - command) - 1);
  input = section(text, "input", &end);
  if (input) input = weir_arena_strndup(arena, input, (size_t)(end - input));
  expected = section(text, "output", &end);
  if (!command || !input || !expected) {
    printf("%s: lacks a section\n", path);
    ++*failed;
    return true;
  }
  const char *output = run(arena, command, input);
  if (!output) return false;
  if (!strcmp(output, expected)) return true;
  if (getenv("WEIR_BLESS")) {
    FILE *file = fopen(path, "wb");
    if (file) {
      fprintf(file, "%.*s%s", (int)(expected - text), text, output);
      fclose(file);
    }
    return true;
  }
  printf("%s: expected\n%s---- got\n%s----\n", path, expected, output);
  ++*failed;
  return true;
}

static int is_golden(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return length > 4 && !strcmp(entry->d_name + length - 4, ".txt");
}

int golden_check(const char *folder, golden_run run, int *out_failed) {
  struct dirent **entries;
  int count = scandir(folder, &entries, is_golden, alphasort), ours = 0;
  *out_failed = 0;
  for (int i = 0; i < count; i++) {
    weir_arena arena;
    weir_arena_init(&arena);
    ours += check_file(&arena, weir_arena_printf(&arena, "%s/%s", folder, entries[i]->d_name), run, out_failed);
    weir_arena_deinit(&arena);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
  return ours;
}
