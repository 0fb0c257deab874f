// Options and arguments by the table: `--name value`, `--name=value`, `-n value`, `-nvalue`; `--` ends options.
// Switches of one letter are not run together. An option whose value stands in brackets, [SECONDS], may go without:
// then it has the value "". It takes the next argument only if that begins with a digit.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cli.h"

static const cli_option *option_find(const cli_command *command, const char *text, size_t length) {
  for (int i = 0; i < command->option_count; i++) {
    const cli_option *option = command->options[i];
    if (strlen(option->long_name) == length && !memcmp(option->long_name, text, length)) return option;
    if (length == 2 && !strncmp(option->short_name, text, 2)) return option;
  }
  return NULL;
}

static const char *nearest_option(const cli_command *command, const char *text) {
  const char *names[CLI_MAX_OPTIONS];
  for (int i = 0; i < command->option_count; i++) names[i] = command->options[i]->long_name;
  return lang_did_you_mean(text, names, command->option_count);
}

static bool unknown_option(const cli *c, const char *text) {
  const char *near = nearest_option(&c->command, text);
  if (near) {
    cli_usage(c, "there is no option %s; did you mean %s?", text, near);
  } else {
    cli_usage(c, "there is no option %s", text);
  }
  return false;
}

static bool take(cli *c, const cli_option *option, const char *text) {
  if (!cli_option_repeats(option) && *option->value) {
    for (int i = 0; i < c->given_count; i++) {
      if (c->given[i].option == option) {
        cli_usage(c, "%s is given twice", option->long_name);
        return false;
      }
    }
  }
  cli_given given = {option, text};
  WEIR_PUSH(&c->arena, c->given, c->given_count, c->given_capacity, given);
  return true;
}

// Reads the option at |texts[*at]|.
static bool read_option(cli *c, int count, char **texts, int *at) {
  const char *text = texts[*at], *value = NULL;
  size_t length = strlen(text);
  if (text[1] == '-') {
    const char *equals = strchr(text, '=');
    if (equals) {
      length = (size_t)(equals - text);
      value = equals + 1;
    }
  } else if (length > 2) {
    length = 2;
    value = text + 2;
  }
  const cli_option *option = option_find(&c->command, text, length);
  if (!option) return unknown_option(c, weir_arena_strndup(&c->arena, text, length));
  if (!*option->value) {
    if (!value) return take(c, option, "");
    cli_usage(c, "%s takes no value", option->long_name);
    return false;
  }
  if (!value && *option->value == '[') {
    bool number = *at + 1 < count && texts[*at + 1][0] >= '0' && texts[*at + 1][0] <= '9';
    return take(c, option, number ? texts[++*at] : "");
  }
  if (!value) {
    if (*at + 1 >= count) {
      cli_usage(c, "%s needs a value: %s", option->long_name, option->value);
      return false;
    }
    value = texts[++*at];
  }
  return take(c, option, value);
}

bool cli_parse(cli *c, const cli_command *command, int count, char **texts) {
  c->command = *command;
  c->arguments = WEIR_NEW_ARRAY(&c->arena, const char *, count + 1);
  bool options = true;
  for (int i = 0; i < count; i++) {
    if (options && !strcmp(texts[i], "--")) {
      options = false;
    } else if (options && texts[i][0] == '-' && texts[i][1]) {
      if (!read_option(c, count, texts, &i)) return false;
    } else {
      c->arguments[c->argument_count++] = texts[i];
    }
  }
  c->json = cli_has(c, "json");
  c->quiet = cli_has(c, "quiet");
  c->verbose = cli_has(c, "verbose");
  return true;
}

const char *cli_text_at(const cli *c, const char *key, int n) {
  for (int i = 0; i < c->given_count; i++) {
    if (!strcmp(c->given[i].option->key, key) && n-- == 0) return c->given[i].text;
  }
  return NULL;
}

int cli_count(const cli *c, const char *key) {
  int count = 0;
  while (cli_text_at(c, key, count)) count++;
  return count;
}

bool cli_has(const cli *c, const char *key) { return cli_text_at(c, key, 0) != NULL; }

const char *cli_text(const cli *c, const char *key) {
  int count = cli_count(c, key);
  return count ? cli_text_at(c, key, count - 1) : NULL;
}

static const char *long_name(const cli *c, const char *key) {
  for (int i = 0; i < c->given_count; i++) {
    if (!strcmp(c->given[i].option->key, key)) return c->given[i].option->long_name;
  }
  return key;
}

bool cli_int(const cli *c, const char *key, int64_t lo, int64_t hi, int64_t *out) {
  const char *text = cli_text(c, key);
  if (!text) return true;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (!*text || *end || errno || value < lo || value > hi) {
    if (hi == INT64_MAX) {
      cli_usage(c, "%s wants a whole number of at least %lld, not '%s'", long_name(c, key), (long long)lo, text);
    } else {
      cli_usage(c, "%s wants a whole number from %lld to %lld, not '%s'", long_name(c, key), (long long)lo,
                (long long)hi, text);
    }
    return false;
  }
  *out = value;
  return true;
}

bool cli_float(const cli *c, const char *key, double lo, double hi, double *out) {
  const char *text = cli_text(c, key);
  if (!text) return true;
  char *end;
  double value = strtod(text, &end);
  if (!*text || *end || !(value >= lo && value <= hi)) {
    cli_usage(c, "%s wants a number from %g to %g, not '%s'", long_name(c, key), lo, hi, text);
    return false;
  }
  *out = value;
  return true;
}

bool cli_arguments(const cli *c, int least, int most) {
  if (c->argument_count < least) {
    cli_usage(c, "it needs %s", c->command.arguments);
    return false;
  }
  if (most >= 0 && c->argument_count > most) {
    const char *bare = NULL;  // an option that may have had a number, and took none
    for (int i = 0; i < c->given_count; i++)
      if (*c->given[i].option->value == '[' && !*c->given[i].text) bare = c->given[i].option->long_name;
    if (bare) cli_usage(c, "'%s' is one argument too many; %s takes a number alone", c->arguments[most], bare);
    else cli_usage(c, "'%s' is one argument too many", c->arguments[most]);
    return false;
  }
  return true;
}
