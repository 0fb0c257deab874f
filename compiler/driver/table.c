// Reads commands.def: one flat list of rows, walked to put together what belongs to a command.
#include "compiler/driver/table.h"

#include <string.h>

typedef enum { ROW_GROUP, ROW_COMMAND, ROW_USES, ROW_OPTION, ROW_ABOUT, ROW_EXAMPLE } row_kind;

typedef struct {
  row_kind kind;
  const char *name, *text, *summary;
  cli_option option;
  int (*function)(cli *c);
} table_row;

static const table_row rows[] = {
#define GROUP(n) {.kind = ROW_GROUP, .name = #n},
#define COMMAND(n, arguments, s) \
  {.kind = ROW_COMMAND, .name = #n, .text = arguments, .summary = s, .function = cmd_##n},
#define USES(group) {.kind = ROW_USES, .name = #group},
#define OPTION(key, short_name, long_name, value, help) \
  {.kind = ROW_OPTION, .name = #key, .option = {#key, short_name, long_name, value, help}},
#define ABOUT(t) {.kind = ROW_ABOUT, .text = t},
#define EXAMPLE(line, what) {.kind = ROW_EXAMPLE, .name = line, .text = what},
#include CLI_COMMANDS
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static void add_group(cli_command *out, const char *name) {
  bool inside = false;
  for (int i = 0; i < ROW_COUNT; i++) {
    if (rows[i].kind == ROW_GROUP || rows[i].kind == ROW_COMMAND) {
      inside = rows[i].kind == ROW_GROUP && !strcmp(rows[i].name, name);
    } else if (inside && out->option_count < CLI_MAX_OPTIONS) {
      out->options[out->option_count++] = &rows[i].option;
    }
  }
}

static void command_read(int row, cli_command *out) {
  *out = (cli_command){.name = rows[row].name,
                       .arguments = rows[row].text,
                       .summary = rows[row].summary,
                       .function = rows[row].function};
  int end = row + 1;
  while (end < ROW_COUNT && rows[end].kind != ROW_COMMAND && rows[end].kind != ROW_GROUP) end++;
  for (int i = row + 1; i < end; i++) {
    if (rows[i].kind == ROW_OPTION && out->option_count < CLI_MAX_OPTIONS) {
      out->options[out->option_count++] = &rows[i].option;
    } else if (rows[i].kind == ROW_ABOUT) {
      out->about = rows[i].text;
    } else if (rows[i].kind == ROW_EXAMPLE && out->example_count < CLI_MAX_EXAMPLES) {
      out->examples[out->example_count++] = (cli_example){rows[i].name, rows[i].text};
    }
  }
  for (int i = row + 1; i < end; i++) {
    if (rows[i].kind == ROW_USES) add_group(out, rows[i].name);
  }
  add_group(out, "common");
}

int cli_command_count(void) {
  int count = 0;
  for (int i = 0; i < ROW_COUNT; i++) count += rows[i].kind == ROW_COMMAND;
  return count;
}

void cli_command_get(int index, cli_command *out) {
  for (int i = 0; i < ROW_COUNT; i++) {
    if (rows[i].kind == ROW_COMMAND && index-- == 0) {
      command_read(i, out);
      return;
    }
  }
}

bool cli_command_find(const char *name, cli_command *out) {
  for (int i = 0; i < ROW_COUNT; i++) {
    if (rows[i].kind == ROW_COMMAND && !strcmp(rows[i].name, name)) {
      command_read(i, out);
      return true;
    }
  }
  return false;
}

bool cli_option_repeats(const cli_option *option) { return strstr(option->help, "(repeats)") != NULL; }
