// How commands print.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compiler/driver/cli.h"
#include "runtime/text/tokenizer.h"

static void print_line(const char *prefix, const char *fmt, va_list args) {
  fputs(prefix, stderr);
  vfprintf(stderr, fmt, args);
  fputc('\n', stderr);
}

void cli_note(const cli *c, const char *fmt, ...) {
  if (c->quiet) return;
  va_list args;
  va_start(args, fmt);
  print_line("weir: ", fmt, args);
  va_end(args);
}

void cli_detail(const cli *c, const char *fmt, ...) {
  if (!c->verbose || c->quiet) return;
  va_list args;
  va_start(args, fmt);
  print_line("weir: ", fmt, args);
  va_end(args);
}

static const char *error_prefix(const cli *c) { return c->colour ? "weir: \033[1;31merror:\033[0m " : "weir: error: "; }

int cli_error(const cli *c, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  print_line(error_prefix(c), fmt, args);
  va_end(args);
  return CLI_INPUT;
}

int cli_usage(const cli *c, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fprintf(stderr, CLI_PROGRAM "%s%s: ", c->command.name ? " " : "", c->command.name ? c->command.name : "");
  vfprintf(stderr, fmt, args);
  fprintf(stderr, "\ntry: weir%s%s --help\n", c->command.name ? " " : "", c->command.name ? c->command.name : "");
  va_end(args);
  return CLI_USAGE;
}

static int exit_code(weir_code code) {
  switch (code) {
    case WEIR_CODE_OK:
      return CLI_DONE;
    case WEIR_CODE_INVALID_ARGUMENT:
    case WEIR_CODE_INVALID_DATA:
    case WEIR_CODE_OUT_OF_RANGE:
    case WEIR_CODE_UNSUPPORTED:
      return CLI_INPUT;
    case WEIR_CODE_NOT_FOUND:
    case WEIR_CODE_OUT_OF_MEMORY:
    case WEIR_CODE_IO:
    case WEIR_CODE_DEVICE_LOST:
      return CLI_WORLD;
    case WEIR_CODE_CANCELLED:
      return CLI_CANCELLED;
    case WEIR_CODE_INTERNAL:
      return CLI_BUG;
  }
  return CLI_BUG;
}

int cli_fail(cli *c, weir_status status) {
  if (!status) return CLI_DONE;
  if (c->advise) status = c->advise(c, status);
  weir_code code = weir_status_code(status);
  cli_progress_end(c);
  if (code == WEIR_CODE_CANCELLED) {
    cli_note(c, "interrupted");
  } else {
    fprintf(stderr, "%s%s%s\n", error_prefix(c), weir_status_message(status),
            code == WEIR_CODE_INTERNAL ? "\nThis is a mistake in Weir, not in your input; please report it." : "");
  }
  if (c->json) {
    cli_json(c,
             json_pack("{s:{s:s,s:s}}", "error", "code", weir_code_name(code), "message", weir_status_message(status)));
  }
  weir_status_release(status);
  return exit_code(code);
}

void cli_progress(cli *c, const char *what, double fraction) {
  if (!c->terminal || c->quiet) return;
  if (fraction < 0) {
    fprintf(stderr, "\r\033[K%s ...", what);
  } else {
    int full = (int)(fraction * 24 + 0.5);
    fprintf(stderr, "\r\033[K%-20s [%.*s%*s] %3.0f %%", what, full, "########################", 24 - full, "",
            100 * fraction);
  }
  fflush(stderr);
  c->progress_shown = true;
}

void cli_progress_end(cli *c) {
  if (!c->progress_shown) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  c->progress_shown = false;
}

bool cli_write(const char *bytes, size_t count) { return !count || fwrite(bytes, 1, count, stdout) == count; }

int cli_flush(const cli *c) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_DONE;
  if (errno == EPIPE) return CLI_WORLD;  // whoever read has gone: nothing to say
  cli_error(c, "cannot write the result: %s", strerror(errno));
  return CLI_WORLD;
}

int cli_json(cli *c, json_t *document) {
  if (!document) {
    cli_error(c, "cannot make the JSON document: out of memory");
    return CLI_WORLD;
  }
  cli_progress_end(c);
  json_dumpf(document, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY);
  fputc('\n', stdout);
  json_decref(document);
  return cli_flush(c);
}

bool cli_diagnostics(cli *c, lang_diags *diags) {
  lang_diags_sort(diags);
  if (diags->count) {
    cli_progress_end(c);
    fputs(lang_diags_render(diags, &c->arena, c->colour), stderr);
  }
  return diags->error_count > 0;
}

static json_t *place_json(const lang_diags *diags, lang_span span) {
  const lang_source *source = lang_diags_source(diags, span.file);
  json_t *place = json_object();
  json_object_set_new(place, "file", source ? json_string_nocheck(source->path) : json_null());
  json_object_set_new(place, "line", json_integer(span.first_line));
  json_object_set_new(place, "column", json_integer(span.first_column));
  json_object_set_new(place, "end_line", json_integer(span.last_line));
  json_object_set_new(place, "end_column", json_integer(span.last_column));
  return place;
}

json_t *cli_json_text(const char *bytes, size_t count) {
  json_t *string = json_stringn(bytes, count);
  if (string) return string;
  text_buffer clean = {0};
  weir_status status = text_sanitize_utf8(bytes, count, &clean);
  if (!status) string = json_stringn(clean.data, clean.size);
  weir_status_release(status);
  text_buffer_deinit(&clean);
  return string;
}

static json_t *text_json(const char *text) { return cli_json_text(text, strlen(text)); }

json_t *cli_diagnostics_json(const lang_diags *diags) {
  json_t *list = json_array();
  for (int i = 0; i < diags->count; i++) {
    const lang_diag *diag = diags->data[i];
    json_t *item = place_json(diags, diag->span);
    json_object_set_new(item, "code", json_string(lang_diag_text(diag->code)));
    json_object_set_new(item, "severity", json_string(lang_severity_text(lang_diag_severity(diag->code))));
    json_object_set_new(item, "message", text_json(diag->message));
    json_t *notes = json_array();
    for (int k = 0; k < diag->note_count; k++) {
      json_t *note = place_json(diags, diag->notes[k].span);
      json_object_set_new(note, "message", text_json(diag->notes[k].message));
      json_array_append_new(notes, note);
    }
    json_object_set_new(item, "notes", notes);
    json_array_append_new(list, item);
  }
  return list;
}

int cli_check_output(const cli *c, const char *path) {
  struct stat info;
  if (!*path) return cli_error(c, "an output has no name");
  if (stat(path, &info) != 0 || S_ISREG(info.st_mode)) return CLI_DONE;
  return cli_error(c, "%s is %s; a result cannot take its place", path,
                   S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
}

const char *cli_bytes(weir_arena *arena, double bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 4) {
    bytes /= 1000;
    unit++;
  }
  return weir_arena_printf(arena, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

double cli_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
