// A program with a model in it: the commands of `weir` that use one, on the model that is linked in.
#include <stdio.h>
#include <string.h>

#include "compiler/driver/cli.h"

static void help_all(const char *program) {
  printf("%s COMMAND [arguments] [options]\n\n", program);
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command command;
    cli_command_get(i, &command);
    printf("  %-10s %s\n", command.name, command.summary);
  }
  printf("\n%s COMMAND --help shows options and examples.\n", program);
}

static int run(cli *c, int count, char **texts) {
  cli_command command;
  if (count < 2 || !strcmp(texts[1], "--help") || !strcmp(texts[1], "-h")) {
    help_all(texts[0]);
    return count < 2 ? CLI_USAGE : cli_flush(c);
  }
  if (!cli_command_find(texts[1], &command)) return cli_usage(c, "there is no command '%s'", texts[1]);
  // The model stands where `weir` has its name.
  return cli_command_run(c, &command, count - 2, texts + 2, "the model");
}

int main(int argc, char **argv) { return cli_start(argc, argv, run); }
