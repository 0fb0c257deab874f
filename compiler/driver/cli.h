// What every command gets and uses: its arguments, how it prints, how it ends.
//
// Results go to standard output, everything else to standard error. A command returns its exit code; only main.c ends
// the process. Exit codes: 0 done, 1 the user's input is wrong, 2 wrong usage, 3 the world failed, 70 our bug, 130
// after SIGINT.
#ifndef WEIR_COMPILER_DRIVER_CLI_H
#define WEIR_COMPILER_DRIVER_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler/driver/table.h"
#include "compiler/lang/diag.h"
#include "runtime/base/arena.h"

// What the program is called in its help. Programs of `weir build --standalone` have another name.
#ifndef CLI_PROGRAM
#define CLI_PROGRAM "weir"
#endif

enum { CLI_DONE = 0, CLI_INPUT = 1, CLI_USAGE = 2, CLI_WORLD = 3, CLI_BUG = 70, CLI_CANCELLED = 130 };

typedef struct {
  const cli_option *option;
  const char *text;
} cli_given;

struct cli {
  weir_arena arena;  // lives as long as the command
  cli_command command;
  int argument_count;  // without options
  const char **arguments;
  int given_count, given_capacity;
  cli_given *given;
  bool json, quiet, verbose;
  bool exact;         // models are built with products in float32, whatever the plan says
  bool colour;        // of standard error
  bool terminal;      // standard error is one: progress may be shown
  const int *cancel;  // becomes non-zero on SIGINT
  // What a failure is to say more, given the model that is open; takes the status. Null: nothing.
  weir_status (*advise)(struct cli *c, weir_status status);
  const void *opened;  // of |advise|
  bool progress_shown;
  char last_detail[96];  // of progress, with --verbose and no terminal
};

// ---- starting (start.c)
// What `main` does: |run| is the program, whose exit code it returns, or CLI_CANCELLED.
int cli_start(int count, char **texts, int (*run)(cli *c, int count, char **texts));
// Reads |texts|, what stands behind the command's name, and runs the command. |first| not null: stands before the
// arguments given.
int cli_command_run(cli *c, const cli_command *command, int count, char **texts, const char *first);

// ---- arguments (args.c)
// Fills in |c| for |command|. False after a message about wrong usage.
bool cli_parse(cli *c, const cli_command *command, int count, char **texts);
bool cli_has(const cli *c, const char *key);
// Value of an option, the last one given; null if it was not given.
const char *cli_text(const cli *c, const char *key);
// The |n|th value of an option that repeats; null past the end.
const char *cli_text_at(const cli *c, const char *key, int n);
int cli_count(const cli *c, const char *key);
// Numbers in a range; |*out| keeps its default if the option was not given. False after a message.
bool cli_int(const cli *c, const char *key, int64_t lo, int64_t hi, int64_t *out);
bool cli_float(const cli *c, const char *key, double lo, double hi, double *out);
// Fewer than |least| or more than |most| arguments (-1: any): false after a message.
bool cli_arguments(const cli *c, int least, int most);
// Prints "weir NAME: message" and where help is; returns CLI_USAGE.
int cli_usage(const cli *c, const char *fmt, ...) WEIR_PRINTF(2, 3);

// ---- output (out.c)
// Notes and progress on standard error; nothing with --quiet.
void cli_note(const cli *c, const char *fmt, ...) WEIR_PRINTF(2, 3);
// Only with --verbose.
void cli_detail(const cli *c, const char *fmt, ...) WEIR_PRINTF(2, 3);
// An error line of the user's making; returns CLI_INPUT.
int cli_error(const cli *c, const char *fmt, ...) WEIR_PRINTF(2, 3);
// Reports and releases |status|; returns the exit code that it means (CLI_DONE for null). With --json also as a
// document.
int cli_fail(cli *c, weir_status status);
// One line that is overwritten, on a terminal; |fraction| below 0: unknown.
void cli_progress(cli *c, const char *what, double fraction);
void cli_progress_end(cli *c);
// Writes the document with a newline and releases it. CLI_WORLD if standard output fails.
int cli_json(cli *c, json_t *document);
// Bytes to standard output; false when that fails (then errors are ignored: the reader has gone).
bool cli_write(const char *bytes, size_t count);
// CLI_DONE, or CLI_WORLD with a message if standard output could not be written.
int cli_flush(const cli *c);
// Sorts and prints all diagnostics; true if there are errors.
bool cli_diagnostics(cli *c, lang_diags *diags);
json_t *cli_diagnostics_json(const lang_diags *diags);
// Whether the text has the form of a diagnostic's code, W0123; prints what that code means (code.c).
bool cli_is_code(const char *text);
int cli_explain_code(cli *c, const char *text);
// A string; what is not UTF-8 becomes U+FFFD.
json_t *cli_json_text(const char *bytes, size_t count);
// Whether a result may be put at |path|: nothing is there, or a file. Results appear by rename, which would replace a
// device or a pipe by a file. Prints what is wrong; CLI_DONE, CLI_INPUT.
int cli_check_output(const cli *c, const char *path);
// "98.4 MB", "1.2 kB"; arena text.
const char *cli_bytes(weir_arena *arena, double bytes);
double cli_now(void);  // seconds of a clock that only goes forward

// ---- help (help.c)
void cli_help(const cli *c, const cli_command *command);
void cli_help_all(void);
void cli_help_markdown(void);
void cli_help_man(void);  // man.c
bool cli_help_completions(const char *shell);

// ---- SIGINT (cancel.c)
// Takes over SIGINT and SIGTERM, ignores SIGPIPE. The flag stays valid for the life of the process.
const int *cli_cancel_install(void);

#endif
