// A program with a model in it: the commands of `weir` that use one, on the model that is linked in.
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/driver/cli.h"

static bool wants_colour(int fd) {
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  return !(no && *no) && isatty(fd) && !(term && !strcmp(term, "dumb"));
}

static void help_all(const char *program) {
  printf("%s COMMAND [arguments] [options]\n\n", program);
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command command;
    cli_command_get(i, &command);
    printf("  %-10s %s\n", command.name, command.summary);
  }
  printf("\n%s COMMAND --help shows options and examples.\n", program);
}

// The model stands where `weir` has its name: before all other arguments.
static void model_insert(cli *c) {
  const char **arguments = WEIR_NEW_ARRAY(&c->arena, const char *, c->argument_count + 1);
  arguments[0] = "the model";
  for (int i = 0; i < c->argument_count; i++) arguments[i + 1] = c->arguments[i];
  c->arguments = arguments;
  c->argument_count++;
}

static int run(cli *c, int count, char **texts) {
  cli_command command;
  if (count < 2 || !strcmp(texts[1], "--help") || !strcmp(texts[1], "-h")) {
    help_all(texts[0]);
    return count < 2 ? CLI_USAGE : cli_flush(c);
  }
  if (!cli_command_find(texts[1], &command)) return cli_usage(c, "there is no command '%s'", texts[1]);
  if (!cli_parse(c, &command, count - 2, texts + 2)) return CLI_USAGE;
  if (cli_has(c, "help")) {
    cli_help(c, &command);
    return cli_flush(c);
  }
  model_insert(c);
  int code = command.function(c);
  int written = cli_flush(c);
  return code == CLI_DONE ? written : code;
}

int main(int argc, char **argv) {
  setlocale(LC_CTYPE, "C.UTF-8");
  cli c = {.colour = wants_colour(STDERR_FILENO), .terminal = isatty(STDERR_FILENO)};
  weir_arena_init(&c.arena);
  c.cancel = cli_cancel_install();
  int code = run(&c, argc, argv);
  if (__atomic_load_n(c.cancel, __ATOMIC_RELAXED)) code = CLI_CANCELLED;
  weir_arena_deinit(&c.arena);
  return code;
}
