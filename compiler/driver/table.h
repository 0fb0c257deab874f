// The table of the command line as data. commands.def is the table; everything that lists commands or options reads it
// through this.
#ifndef WEIR_COMPILER_DRIVER_TABLE_H
#define WEIR_COMPILER_DRIVER_TABLE_H

#include <stdbool.h>

typedef struct cli cli;

// The table; programs of `weir build --standalone` have a smaller one.
#ifndef CLI_COMMANDS
#define CLI_COMMANDS "compiler/driver/commands.def"
#endif

// cmd_check(c) and so on: each returns the exit code.
#define GROUP(name)
#define COMMAND(name, arguments, summary) int cmd_##name(cli *c);
#define USES(group)
#define OPTION(key, short_name, long_name, value, help)
#define ABOUT(text)
#define EXAMPLE(line, what)
#include CLI_COMMANDS
#undef GROUP
#undef COMMAND
#undef USES
#undef OPTION
#undef ABOUT
#undef EXAMPLE

typedef struct {
  const char *key, *short_name, *long_name;  // short_name "" for none
  const char *value;  // what its value is called; "" for a switch; in brackets: it may be left out
  const char *help;
} cli_option;

typedef struct {
  const char *line, *what;
} cli_example;

enum { CLI_MAX_OPTIONS = 32, CLI_MAX_EXAMPLES = 8 };

typedef struct {
  const char *name, *arguments, *summary, *about;  // about: null for none
  int (*function)(cli *c);                         // returns the exit code
  int option_count, example_count;
  const cli_option *options[CLI_MAX_OPTIONS];  // its own first, then its groups', then the common ones
  cli_example examples[CLI_MAX_EXAMPLES];
} cli_command;

int cli_command_count(void);
// Fills |out| with row |index| of the table.
void cli_command_get(int index, cli_command *out);
// False if there is no such command.
bool cli_command_find(const char *name, cli_command *out);
bool cli_option_repeats(const cli_option *option);

#endif
