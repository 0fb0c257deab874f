// The lexer: text and tags, with Jinja's white space control. trim_blocks takes the newline behind a block tag or
// comment, lstrip_blocks the blanks before one that begins its line; - takes all white space on its side, + keeps it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text/template_syntax.h"
#include "runtime/text/utf8.h"

typedef struct {
  text_env *env;
  const char *source;
  size_t size, at;
  int line;
  bool line_starting;  // the last thing read ended with a newline
  char open[128];      // brackets not closed yet
  size_t open_count;
  text_lexemes *out;
} lexer;

static bool looking_at(const lexer *l, const char *text) {
  size_t size = strlen(text);
  return l->size - l->at >= size && !memcmp(l->source + l->at, text, size);
}

static void push(lexer *l, text_lexeme lexeme) {
  text_lexemes *out = l->out;
  if (out->count == out->capacity) {
    size_t larger = out->capacity ? 2 * out->capacity : 64;
    text_lexeme *moved = text_env_alloc(l->env, larger * sizeof *moved);
    if (!moved) return;
    if (out->count) memcpy(moved, out->items, out->count * sizeof *moved);
    out->items = moved;
    out->capacity = larger;
  }
  lexeme.line = l->line;
  out->items[out->count++] = lexeme;
}

static void fail(lexer *l, const char *what) {
  l->env->line = l->line;
  text_fail(l->env, WEIR_CODE_INVALID_DATA, "%s", what);
}

// Moves over |size| bytes, counting lines.
static void advance(lexer *l, size_t size) {
  for (size_t i = 0; i < size; i++) l->line += l->source[l->at + i] == '\n';
  l->at += size;
  l->line_starting = l->at > 0 && l->source[l->at - 1] == '\n';
}

// Python's isspace: White_Space and the four separators below it.
static bool is_space(uint32_t code) { return text_is_white_space(code) || (code >= 0x1C && code <= 0x1F); }

static size_t spaces_at(const lexer *l, size_t at) {
  size_t start = at;
  while (at < l->size) {
    text_char c = text_utf8_next(l->source + at, l->size - at);
    if (!is_space(c.code)) break;
    at += c.size;
  }
  return at - start;
}

static size_t trimmed(const char *text, size_t size) {
  while (size) {
    size_t kept = text_trim_end(text, size);
    while (kept && (unsigned char)text[kept - 1] >= 0x1C && (unsigned char)text[kept - 1] <= 0x1F) kept--;
    if (kept == size) break;
    size = kept;
  }
  return size;
}

// What is left of the text before a tag. |sign| is the character behind {% {{ {#, |block| false for {{.
static size_t left_strip(const lexer *l, size_t start, char sign, bool block) {
  size_t size = l->at - start;
  const char *text = l->source + start;
  if (sign == '-') return trimmed(text, size);
  if (sign == '+' || !block) return size;
  const char *newline = memrchr(text, '\n', size);
  size_t line = newline ? (size_t)(newline - text) + 1 : 0;
  if (!newline && !l->line_starting) return size;
  return line + trimmed(text + line, size - line) == line ? line : size;
}

static void push_data(lexer *l, size_t start, size_t size) {
  if (size) push(l, (text_lexeme){.kind = TEXT_TOK_DATA, .text = {l->source + start, size}});
}

// Behind the end of a block tag or comment: |sign| is the character before it.
static void close_tag(lexer *l, size_t tag_size, char sign, bool trims) {
  advance(l, tag_size);
  if (sign == '-') {
    advance(l, spaces_at(l, l->at));
  } else if (trims && sign != '+' && l->at < l->size && l->source[l->at] == '\n') {
    advance(l, 1);
  }
}

static void skip_comment(lexer *l) {
  const char *end = memmem(l->source + l->at + 2, l->size - l->at - 2, "#}", 2);
  if (!end) {
    fail(l, "a comment has no end");
    return;
  }
  size_t inner = (size_t)(end - l->source);
  char sign = inner > l->at + 2 ? l->source[inner - 1] : 0;
  advance(l, inner - l->at);
  close_tag(l, 2, sign, true);
}

// ---- raw blocks

// If a tag {% |name| %} starts at |at|: its size, with the signs of both ends.
static size_t plain_tag(const lexer *l, size_t at, const char *name, char *left, char *right) {
  size_t start = at, length = strlen(name);
  if (l->size - at < 2 || memcmp(l->source + at, "{%", 2)) return 0;
  at += 2;
  *left = at < l->size ? l->source[at] : 0;
  if (*left == '-' || *left == '+') at++;
  at += spaces_at(l, at);
  if (l->size - at < length || memcmp(l->source + at, name, length)) return 0;
  at += length;
  at += spaces_at(l, at);
  *right = at < l->size ? l->source[at] : 0;
  if (*right == '-' || *right == '+') at++;
  return l->size - at >= 2 && !memcmp(l->source + at, "%}", 2) ? at + 2 - start : 0;
}

// At {% raw %}, which has |tag_size| bytes: copies up to {% endraw %}.
static void read_raw(lexer *l, size_t tag_size, char right) {
  close_tag(l, tag_size, right, false);
  size_t start = l->at;
  bool starting = l->line_starting;
  while (l->at < l->size) {
    char end_left = 0, end_right = 0;
    size_t end = l->source[l->at] == '{' ? plain_tag(l, l->at, "endraw", &end_left, &end_right) : 0;
    if (end) {
      l->line_starting = starting;
      push_data(l, start, left_strip(l, start, end_left, true));
      close_tag(l, end, end_right, true);
      return;
    }
    advance(l, 1);
  }
  fail(l, "a raw block has no end");
}

// ---- inside tags

static bool is_name_start(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

static void read_name(lexer *l) {
  size_t start = l->at, at = l->at;
  while (at < l->size && (is_name_start((unsigned char)l->source[at]) || is_digit((unsigned char)l->source[at]))) at++;
  push(l, (text_lexeme){.kind = TEXT_TOK_NAME, .text = {l->source + start, at - start}});
  advance(l, at - start);
}

// Digits with single underscores between, copied without them. Returns the size in the source.
static size_t take_digits(const lexer *l, size_t at, char *digits, size_t *count, size_t room) {
  size_t start = at;
  while (at < l->size) {
    bool joined = l->source[at] == '_' && at > start && at + 1 < l->size && is_digit((unsigned char)l->source[at + 1]);
    if (!is_digit((unsigned char)l->source[at]) && !joined) break;
    if (!joined && *count < room) digits[(*count)++] = l->source[at];
    at++;
  }
  return at - start;
}

static void read_number(lexer *l) {
  char digits[64] = "";
  size_t count = 0, at = l->at;
  bool real = false;
  at += take_digits(l, at, digits, &count, sizeof digits - 24);
  if (at + 1 < l->size && l->source[at] == '.' && is_digit((unsigned char)l->source[at + 1])) {
    real = true;
    digits[count++] = '.';
    at++;
    at += take_digits(l, at, digits, &count, sizeof digits - 12);
  }
  size_t sign = at + 1 < l->size && (l->source[at + 1] == '+' || l->source[at + 1] == '-');
  if (at + 1 + sign < l->size && (l->source[at] | 32) == 'e' && is_digit((unsigned char)l->source[at + 1 + sign])) {
    real = true;
    digits[count++] = 'e';
    if (sign) digits[count++] = l->source[at + 1];
    at += 1 + sign;
    at += take_digits(l, at, digits, &count, sizeof digits - 1);
  }
  text_lexeme lexeme = {.kind = real ? TEXT_TOK_FLOAT : TEXT_TOK_INT, .text = {l->source + l->at, at - l->at}};
  errno = 0;
  if (real) {
    lexeme.real = strtod(digits, NULL);
  } else {
    lexeme.integer = strtoll(digits, NULL, 10);
    if (errno || count >= sizeof digits - 24) fail(l, "a number is too large");
  }
  push(l, lexeme);
  advance(l, at - l->at);
}

// The value of |count| hexadecimal digits, or -1.
static int64_t hex_value(const char *text, size_t available, size_t count) {
  int64_t value = 0;
  if (available < count) return -1;
  for (size_t i = 0; i < count; i++) {
    char c = (char)(text[i] | 32);
    int digit = c >= 'a' && c <= 'f' ? c - 'a' + 10 : is_digit((unsigned char)text[i]) ? text[i] - '0' : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// Resolves the escape at |in| (behind the backslash) into |out|; returns how many bytes of |in| it took, 0 if it is
// wrong.
static size_t unescape(const char *in, size_t size, char *out, size_t *out_size) {
  static const char names[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
  const char *found = memchr(names, in[0], sizeof names - 1);
  *out_size = 1;
  if (found) {
    out[0] = values[found - names];
    return 1;
  }
  if (in[0] == '\n') {
    *out_size = 0;
    return 1;
  }
  size_t digits = in[0] == 'x' ? 2 : in[0] == 'u' ? 4 : in[0] == 'U' ? 8 : 0;
  if (digits) {
    int64_t code = hex_value(in + 1, size - 1, digits);
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
    *out_size = text_utf8_put((uint32_t)code, out);
    return 1 + digits;
  }
  if (in[0] >= '0' && in[0] <= '7') {
    uint32_t code = 0;
    size_t used = 0;
    while (used < 3 && used < size && in[used] >= '0' && in[used] <= '7')
      code = code * 8 + (uint32_t)(in[used++] - '0');
    *out_size = text_utf8_put(code, out);
    return used;
  }
  out[0] = '\\';
  return SIZE_MAX;  // not an escape: the backslash stays
}

static void read_string(lexer *l) {
  char quote = l->source[l->at];
  size_t end = l->at + 1;
  while (end < l->size && l->source[end] != quote) end += l->source[end] == '\\' ? 2 : 1;
  if (end >= l->size) {
    fail(l, "a string has no end");
    return;
  }
  const char *in = l->source + l->at + 1;
  size_t size = end - l->at - 1, at = 0, count = 0;
  char *out = text_env_alloc(l->env, size + 4);
  while (out && at < size) {
    size_t produced = 1;
    if (in[at] != '\\') {
      out[count++] = in[at++];
      continue;
    }
    size_t used = unescape(in + at + 1, size - at - 1, out + count, &produced);
    if (!used) {
      fail(l, "a string has a bad escape");
      return;
    }
    at += used == SIZE_MAX ? 1 : 1 + used;
    count += produced;
  }
  push(l, (text_lexeme){.kind = TEXT_TOK_STRING, .text = {out, count}});
  advance(l, end + 1 - l->at);
}

// Keeps the account of brackets: an end of tag inside brackets is an operator.
static bool balance(lexer *l, char c) {
  static const char opening[] = "([{", closing[] = ")]}";
  const char *found = strchr(opening, c);
  if (found) {
    if (l->open_count == sizeof l->open) return false;
    l->open[l->open_count++] = closing[found - opening];
    return true;
  }
  if (!strchr(closing, c)) return true;
  return l->open_count && l->open[--l->open_count] == c;
}

static void read_operator(lexer *l) {
  static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                          "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
    if (!looking_at(l, operators[i])) continue;
    if (!balance(l, operators[i][0])) {
      fail(l, "brackets do not match, or are nested too deeply");
      return;
    }
    push(l, (text_lexeme){.kind = TEXT_TOK_OPERATOR, .text = {operators[i], strlen(operators[i])}});
    advance(l, strlen(operators[i]));
    return;
  }
  fail(l, "a character that means nothing in a tag");
}

// Reads up to and including the end of the tag.
static void read_tag(lexer *l, bool block) {
  const char *end = block ? "%}" : "}}";
  while (!l->env->status) {
    advance(l, spaces_at(l, l->at));
    if (l->at >= l->size) {
      fail(l, "a tag has no end");
      return;
    }
    unsigned char c = (unsigned char)l->source[l->at];
    char sign = c == '-' || (c == '+' && block) ? (char)c : 0;
    size_t skip = sign ? 1 : 0;
    if (!l->open_count && l->size - l->at >= 2 + skip && !memcmp(l->source + l->at + skip, end, 2)) {
      push(l, (text_lexeme){.kind = block ? TEXT_TOK_BLOCK_END : TEXT_TOK_PRINT_END});
      close_tag(l, 2 + skip, sign, block);
      return;
    }
    if (is_digit(c)) {
      read_number(l);
    } else if (is_name_start(c)) {
      read_name(l);
    } else if (c == '"' || c == '\'') {
      read_string(l);
    } else {
      read_operator(l);
    }
  }
}

// Text up to the next tag, then the tag.
static void read_part(lexer *l) {
  size_t start = l->at;
  bool starting = l->line_starting;
  while (l->at < l->size && !(l->source[l->at] == '{' && l->at + 1 < l->size && strchr("{%#", l->source[l->at + 1]) &&
                              l->source[l->at + 1])) {
    advance(l, 1);
  }
  if (l->at >= l->size) {
    push_data(l, start, l->at - start);
    return;
  }
  char kind = l->source[l->at + 1], sign = l->at + 2 < l->size ? l->source[l->at + 2] : 0, right = 0;
  l->line_starting = starting;
  push_data(l, start, left_strip(l, start, sign, kind != '{'));
  size_t raw = plain_tag(l, l->at, "raw", &sign, &right);
  if (kind == '#') {
    skip_comment(l);
  } else if (raw) {
    read_raw(l, raw, right);
  } else {
    push(l, (text_lexeme){.kind = kind == '%' ? TEXT_TOK_BLOCK_BEGIN : TEXT_TOK_PRINT_BEGIN});
    advance(l, sign == '-' || sign == '+' ? 3 : 2);
    read_tag(l, kind == '%');
  }
}

void text_lex(text_env *env, text_view source, text_lexemes *out) {
  lexer l = {.env = env, .source = source.bytes, .size = source.size, .line = 1, .line_starting = true, .out = out};
  while (l.at < l.size && !env->status) read_part(&l);
  push(&l, (text_lexeme){.kind = TEXT_TOK_END});
}
