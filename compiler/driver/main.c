// The weir command: finds the command in the table, reads its arguments, runs it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/passes/pass.h"
#include "compiler/plan/version.h"

static int unknown_command(const cli *c, const char *name) {
  int count = cli_command_count();
  const char **names = calloc((size_t)count, sizeof *names);
  for (int i = 0; names && i < count; i++) {
    cli_command command;
    cli_command_get(i, &command);
    names[i] = command.name;
  }
  const char *near = names ? lang_did_you_mean(name, names, count) : NULL;
  free(names);
  if (near) return cli_usage(c, "there is no command '%s'; did you mean '%s'?", name, near);
  return cli_usage(c, "there is no command '%s'", name);
}

static int run(cli *c, int count, char **texts) {
  const char *debug = getenv("WEIR_DEBUG");
  if (debug && !strcmp(debug, "help")) {
    printf("Flags of WEIR_DEBUG, separated by commas:\n%s", pass_flags_print(&c->arena));
    return cli_flush(c);
  }
  if (count < 2) {
    cli_help_all();
    return CLI_USAGE;
  }
  const char *name = texts[1];
  if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
    cli_help_all();
    return cli_flush(c);
  }
  if (!strcmp(name, "--version")) {
    printf("weir %s\n", WEIR_VERSION);
    return cli_flush(c);
  }
  cli_command command;
  if (!cli_command_find(name, &command)) return unknown_command(c, name);
  return cli_command_run(c, &command, count - 2, texts + 2, NULL);
}

int main(int argc, char **argv) { return cli_start(argc, argv, run); }
