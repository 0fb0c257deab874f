// Everything that explains the command line: --help, docs/cli.md, shell completions. All of it is read off the table.
#include <stdio.h>
#include <string.h>

#include "compiler/driver/cli.h"

static const char exit_codes[] =
    "Exit codes: 0 done; 1 the input is wrong; 2 wrong usage; 3 the world failed (file, network, device, memory); 70 a "
    "mistake in Weir; "
    "130 interrupted.";

// Prints |text| in lines of at most |width| columns, each but the first behind |indent| spaces.
static void print_wrapped(const char *text, int column, int indent, int width) {
  while (*text) {
    size_t word = strcspn(text, " ");
    if (column > indent && column + 1 + (int)word > width) {
      printf("\n%*s", indent, "");
      column = indent;
    } else if (column > indent) {
      putchar(' ');
      column++;
    }
    printf("%.*s", (int)word, text);
    column += (int)word;
    text += word;
    while (*text == ' ') text++;
  }
  putchar('\n');
}

static int option_form(const cli_option *option, char *out, size_t size) {
  return snprintf(out, size, "%s%s%s%s%s", option->short_name, *option->short_name ? ", " : "    ", option->long_name,
                  *option->value ? " " : "", option->value);
}

void cli_help(const cli *c, const cli_command *command) {
  (void)c;
  printf(CLI_PROGRAM " %s%s%s [options]\n\n", command->name, *command->arguments ? " " : "", command->arguments);
  printf("%c%s.\n", command->summary[0] - 'a' + 'A', command->summary + 1);
  if (command->about) {
    putchar('\n');
    print_wrapped(command->about, 0, 0, 100);
  }
  printf("\nOptions\n");
  for (int i = 0; i < command->option_count; i++) {
    char form[96];
    int length = option_form(command->options[i], form, sizeof form);
    printf("  %-32s", form);
    if (length > 31) printf("\n%34s", "");
    print_wrapped(command->options[i]->help, 34, 34, 110);
  }
  printf("\nExamples\n");
  for (int i = 0; i < command->example_count; i++) {
    printf("  %s\n", command->examples[i].line);
    if (*command->examples[i].what) printf("      %s\n", command->examples[i].what);
  }
}

void cli_help_all(void) {
  printf(
      "weir COMMAND [arguments] [options]\n\nCompiles deep-learning models written as text into one package file, and "
      "runs it.\n\n");
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command command;
    cli_command_get(i, &command);
    printf("  %-10s ", command.name);
    print_wrapped(command.summary, 13, 13, 110);
  }
  printf(
      "\nMODEL is a .weir file, a package, or a name of the zoo (weir list).\n"
      "weir COMMAND --help shows options and examples; weir --version the version.\n");
  print_wrapped(exit_codes, 0, 0, 100);
}

// ---- docs/cli.md

// A cell of a table: vertical bars are escaped.
static void print_cell(const char *text) {
  for (; *text; text++) {
    if (*text == '|') putchar('\\');
    putchar(*text);
  }
}

static void markdown_options(const cli_command *command, int from, int to) {
  if (from >= to) return;
  printf("| Option | |\n|---|---|\n");
  for (int i = from; i < to; i++) {
    const cli_option *option = command->options[i];
    printf("| `");
    if (*option->short_name) printf("%s, ", option->short_name);
    printf("%s", option->long_name);
    if (*option->value) {
      putchar(' ');
      print_cell(option->value);
    }
    printf("` | ");
    print_cell(option->help);
    printf(" |\n");
  }
  putchar('\n');
}

static bool is_common(const cli_option *option) {
  static const char *const keys[] = {"json", "quiet", "verbose", "help"};
  for (int i = 0; i < 4; i++) {
    if (!strcmp(option->key, keys[i])) return true;
  }
  return false;
}

static int own_options(const cli_command *command) {
  int count = command->option_count;
  while (count && is_common(command->options[count - 1])) count--;
  return count;
}

void cli_help_markdown(void) {
  cli_command command;
  printf(
      "# The command line\n\n<!-- Made by `weir help --markdown` from compiler/driver/commands.def. Not to be edited. "
      "-->\n\n");
  printf(
      "`MODEL` is a `.weir` file, a package, or a name of the zoo. Results go to standard output, everything else to "
      "standard error; "
      "`--json` makes the result one JSON document. `NO_COLOR` is respected, progress is shown on a terminal "
      "only.\n\n%s\n\n",
      exit_codes);
  printf(
      "Fetched weights and built packages live under `$WEIR_HOME` (default `$XDG_CACHE_HOME/weir`, else "
      "`~/.cache/weir`). "
      "Deleting it is always safe.\n\n## Every command\n\n");
  cli_command_get(0, &command);
  markdown_options(&command, own_options(&command), command.option_count);
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command_get(i, &command);
    printf("## weir %s\n\n    weir %s%s%s\n\n%c%s.", command.name, command.name, *command.arguments ? " " : "",
           command.arguments, command.summary[0] - 'a' + 'A', command.summary + 1);
    if (command.about) printf(" %s", command.about);
    printf("\n\n");
    markdown_options(&command, 0, own_options(&command));
    for (int k = 0; k < command.example_count; k++) {
      printf("    %s\n", command.examples[k].line);
      if (*command.examples[k].what) printf("        # %s\n", command.examples[k].what);
    }
    if (i + 1 < cli_command_count()) putchar('\n');
  }
}

// ---- completions

static void print_words(const cli_command *command) {
  for (int i = 0; i < command->option_count; i++) {
    if (*command->options[i]->short_name) printf("%s ", command->options[i]->short_name);
    printf("%s%s", command->options[i]->long_name, i + 1 < command->option_count ? " " : "");
  }
}

static void completions_bash(void) {
  cli_command command;
  printf(
      "# bash completion of weir; made by `weir help --completions bash`\n_weir() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]}\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '");
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command_get(i, &command);
    printf("%s%s", i ? " " : "", command.name);
  }
  printf(
      "' -- \"$word\"))\n    return\n  fi\n  COMPREPLY=()\n  [[ $word == -* ]] || { COMPREPLY=($(compgen -f -- "
      "\"$word\")); return; }\n"
      "  case ${COMP_WORDS[1]} in\n");
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command_get(i, &command);
    printf("    %s) COMPREPLY=($(compgen -W '", command.name);
    print_words(&command);
    printf("' -- \"$word\")) ;;\n");
  }
  printf("  esac\n}\ncomplete -o filenames -F _weir weir\n");
}

// A help text inside zsh's brackets and single quotes.
static void print_zsh(const char *text) {
  for (; *text; text++) {
    if (*text == '\'') {
      printf("'\\''");
    } else {
      if (strchr("[]:", *text)) putchar('\\');
      putchar(*text);
    }
  }
}

static void zsh_option(const cli_option *option, const char *name) {
  printf(" \\\n        '%s%s[", cli_option_repeats(option) ? "*" : "", name);
  print_zsh(option->help);
  putchar(']');
  if (*option->value) {
    putchar(':');
    print_zsh(option->value);
    printf(":%s", strstr(option->value, "FILE") ? "_files" : "");
  }
  putchar('\'');
}

static void completions_zsh(void) {
  cli_command command;
  printf("#compdef weir\n# zsh completion of weir; made by `weir help --completions zsh`\nlocal -a commands=(\n");
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command_get(i, &command);
    printf("  '%s:", command.name);
    print_zsh(command.summary);
    printf("'\n");
  }
  printf(")\nif (( CURRENT == 2 )); then\n  _describe command commands\nelse\n  case $words[2] in\n");
  for (int i = 0; i < cli_command_count(); i++) {
    cli_command_get(i, &command);
    printf("    %s)\n      _arguments '*:file:_files'", command.name);
    for (int k = 0; k < command.option_count; k++) {
      if (*command.options[k]->short_name) zsh_option(command.options[k], command.options[k]->short_name);
      zsh_option(command.options[k], command.options[k]->long_name);
    }
    printf(" ;;\n");
  }
  printf("  esac\nfi\n");
}

bool cli_help_completions(const char *shell) {
  if (!strcmp(shell, "bash")) completions_bash();
  else if (!strcmp(shell, "zsh")) completions_zsh();
  else return false;
  return true;
}
