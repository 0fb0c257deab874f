// How a program of commands starts and ends: `weir`, and those that `weir build --standalone` makes.
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/driver/cli.h"

static bool wants_colour(int fd) {
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  return !(no && *no) && isatty(fd) && !(term && !strcmp(term, "dumb"));
}

static void argument_insert(cli *c, const char *first) {
  const char **arguments = WEIR_NEW_ARRAY(&c->arena, const char *, c->argument_count + 1);
  arguments[0] = first;
  for (int i = 0; i < c->argument_count; i++) arguments[i + 1] = c->arguments[i];
  c->arguments = arguments;
  c->argument_count++;
}

int cli_command_run(cli *c, const cli_command *command, int count, char **texts, const char *first) {
  if (!cli_parse(c, command, count, texts)) return CLI_USAGE;
  if (cli_has(c, "help")) {
    cli_help(c, command);
    return cli_flush(c);
  }
  if (first) argument_insert(c, first);
  int code = command->function(c);
  cli_progress_end(c);
  int written = cli_flush(c);
  return code == CLI_DONE ? written : code;
}

int cli_start(int count, char **texts, int (*run)(cli *c, int count, char **texts)) {
  setlocale(LC_CTYPE, "C.UTF-8");
  cli c = {.colour = wants_colour(STDERR_FILENO), .terminal = isatty(STDERR_FILENO)};
  weir_arena_init(&c.arena);
  c.cancel = cli_cancel_install();
  int code = run(&c, count, texts);
  if (__atomic_load_n(c.cancel, __ATOMIC_RELAXED)) code = CLI_CANCELLED;
  weir_arena_deinit(&c.arena);
  return code;
}
