// The manual page, from the same table as --help. Typed for groff's man macros.
#include <stdio.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/plan/version.h"

// Letters that groff would read as something else.
static void put(const char *text) {
  for (const char *at = text; *at; at++) {
    if (*at == '-') fputs("\\-", stdout);
    else if (*at == '\\') fputs("\\e", stdout);
    else if (*at == '\'' && at == text) fputs("\\(aq", stdout);
    else if (*at == '.' && at == text) fputs("\\&.", stdout);
    else putchar(*at);
  }
}

static void put_option(const cli_option *option) {
  printf(".TP\n\\fB");
  if (*option->short_name) {
    put(option->short_name);
    fputs("\\fR, \\fB", stdout);
  }
  put(option->long_name);
  fputs("\\fR", stdout);
  if (*option->value) {
    fputs(" \\fI", stdout);
    put(option->value);
    fputs("\\fR", stdout);
  }
  putchar('\n');
  put(option->help);
  putchar('\n');
}

static bool is_common(const cli_option *option) {
  return !strcmp(option->key, "json") || !strcmp(option->key, "quiet") || !strcmp(option->key, "verbose") ||
         !strcmp(option->key, "help");
}

static void put_command(const cli_command *command) {
  printf(".SS \"weir %s\"\n\\fBweir %s\\fR ", command->name, command->name);
  put(command->arguments);
  printf("\n.PP\n%c", command->summary[0] - 'a' + 'A');
  put(command->summary + 1);
  puts(".");
  if (command->about) {
    puts(".PP");
    put(command->about);
    putchar('\n');
  }
  for (int i = 0; i < command->option_count; i++)
    if (!is_common(command->options[i])) put_option(command->options[i]);
  for (int i = 0; i < command->example_count; i++) {
    puts(".PP\n.nf");
    put(command->examples[i].line);
    puts("\n.fi");
  }
}

void cli_help_man(void) {
  cli_command command;
  printf(
      ".TH WEIR 1 \"\" \"weir %s\" \"User commands\"\n.SH NAME\nweir \\- compile deep\\-learning models to one file, "
      "and "
      "run it\n.SH SYNOPSIS\n\\fBweir\\fR \\fICOMMAND\\fR [arguments] [options]\n.SH OPTIONS OF EVERY COMMAND\n",
      WEIR_VERSION);
  cli_command_get(0, &command);
  for (int i = 0; i < command.option_count; i++)
    if (is_common(command.options[i])) put_option(command.options[i]);
  puts(".SH COMMANDS");
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command_get(i, &command);
    put_command(&command);
  }
  puts(
      ".SH EXIT STATUS\n0 done; 1 the input is wrong; 2 wrong usage; 3 the world failed (file, network, device, "
      "memory); "
      "70 a mistake in Weir; 130 interrupted.\n.SH ENVIRONMENT\n.TP\n\\fBWEIR_HOME\\fR\nwhere fetched weights and "
      "built "
      "packages are kept; default $XDG_CACHE_HOME/weir, else ~/.cache/weir\n.TP\n\\fBWEIR_MODELS\\fR\nthe folder of "
      "the "
      "zoo and the standard library\n.TP\n\\fBCC\\fR\nthe C compiler that builds packages\n.TP\n\\fBNO_COLOR\\fR\nno "
      "colours");
}
