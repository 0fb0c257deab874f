// weir help: the same texts as --help, and the documents made from the table.
#include "compiler/driver/cli.h"

int cmd_help(cli *c) {
  if (!cli_arguments(c, 0, 1)) return CLI_USAGE;
  const char *shell = cli_text(c, "completions");
  if (c->json) return cli_usage(c, "its texts are for readers: there is no --json");
  if (shell) {
    if (!cli_help_completions(shell)) return cli_usage(c, "completions are made for bash and zsh, not for '%s'", shell);
  } else if (cli_has(c, "markdown")) {
    cli_help_markdown();
  } else if (cli_has(c, "man")) {
    cli_help_man();
  } else if (c->argument_count) {
    cli_command command;
    if (!cli_command_find(c->arguments[0], &command)) return cli_usage(c, "there is no command '%s'", c->arguments[0]);
    cli_help(c, &command);
  } else {
    cli_help_all();
  }
  return CLI_DONE;
}
