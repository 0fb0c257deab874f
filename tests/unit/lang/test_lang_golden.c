// Golden texts of the front end. Commands: check, fmt, dump.
#include "tests/unit/lang/golden_texts.h"
#include "tests/unit/lang/lang_test.h"

static char *command_run(const char *command, const char *program, size_t length) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse_bytes(bench, program, length);
  lang_diags_sort(&bench->diags);
  const char *messages = lang_diags_render(&bench->diags, &bench->arena, false);
  const char *output = "";
  if (file->ok && strncmp(command, "fmt", 3) == 0) output = lang_format(&bench->arena, file);
  if (file->ok && strncmp(command, "dump", 4) == 0) output = lang_file_dump(&bench->arena, file);
  char *text = strdup(weir_arena_printf(&bench->arena, "%s%s", messages, output));
  bench_close(bench);
  return text;
}

Test(golden, all) { golden_run_all(WEIR_SOURCE_DIR "/tests/text/lang/*.test", command_run); }
