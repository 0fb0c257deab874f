// What number and string tokens are worth. Numbers are read digit by digit into int64 or by strtod (the C locale is the
// process's default and libraries do not change it); units multiply.
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/lang/reader.h"
#include "runtime/base/checked.h"

static const struct {
  const char *suffix;
  lang_unit unit;
  int64_t whole;  // the factor, or 0 when it is a fraction
  double factor;
} units[] = {
    {"", LANG_UNIT_NONE, 1, 1},
    {"k", LANG_UNIT_COUNT, 1000, 1e3},
    {"M", LANG_UNIT_COUNT, 1000000, 1e6},
    {"G", LANG_UNIT_COUNT, 1000000000, 1e9},
    {"B", LANG_UNIT_BYTES, 1, 1},
    {"KB", LANG_UNIT_BYTES, 1000, 1e3},
    {"MB", LANG_UNIT_BYTES, 1000000, 1e6},
    {"GB", LANG_UNIT_BYTES, 1000000000, 1e9},
    {"TB", LANG_UNIT_BYTES, 1000000000000, 1e12},
    {"KiB", LANG_UNIT_BYTES, 1 << 10, 1 << 10},
    {"MiB", LANG_UNIT_BYTES, 1 << 20, 1 << 20},
    {"GiB", LANG_UNIT_BYTES, 1 << 30, 1 << 30},
    {"KB/s", LANG_UNIT_BYTES_PER_SECOND, 1000, 1e3},
    {"MB/s", LANG_UNIT_BYTES_PER_SECOND, 1000000, 1e6},
    {"GB/s", LANG_UNIT_BYTES_PER_SECOND, 1000000000, 1e9},
    {"TB/s", LANG_UNIT_BYTES_PER_SECOND, 1000000000000, 1e12},
    {"ns", LANG_UNIT_SECONDS, 0, 1e-9},
    {"us", LANG_UNIT_SECONDS, 0, 1e-6},
    {"ms", LANG_UNIT_SECONDS, 0, 1e-3},
    {"s", LANG_UNIT_SECONDS, 1, 1},
    {"min", LANG_UNIT_SECONDS, 60, 60},
    {"h", LANG_UNIT_SECONDS, 3600, 3600},
    {"W", LANG_UNIT_WATTS, 1, 1},
};
#define UNIT_COUNT (sizeof units / sizeof *units)

static size_t digits_count(const char *text) {
  size_t n = 0;
  while (isdigit((unsigned char)text[n])) n++;
  return n;
}

// The length of the number in |text| without its unit: digits, a fraction, an exponent.
static size_t decimal_length(const char *text) {
  size_t n = digits_count(text);
  if (text[n] == '.' && digits_count(text + n + 1)) n += 1 + digits_count(text + n + 1);
  if (text[n] == 'e' || text[n] == 'E') {
    size_t sign = text[n + 1] == '+' || text[n + 1] == '-';
    size_t digits = digits_count(text + n + 1 + sign);
    if (digits) n += 1 + sign + digits;
  }
  return n;
}

static bool whole_read(const char *text, int64_t factor, int64_t *out_value) {
  int64_t value = 0;
  for (; *text; text++)
    if (!weir_mul_i64(value, 10, &value) || !weir_add_i64(value, *text - '0', &value)) return false;
  return weir_mul_i64(value, factor, out_value);
}

static size_t unit_find(lang_reader *reader, const char *suffix, lang_span span) {
  for (size_t i = 0; i < UNIT_COUNT; i++)
    if (strcmp(units[i].suffix, suffix) == 0) return i;
  const char *names[UNIT_COUNT];
  for (size_t i = 0; i < UNIT_COUNT; i++) names[i] = units[i].suffix;
  const char *near = lang_did_you_mean(suffix, names + 1, UNIT_COUNT - 1);
  const char *hint = near ? weir_arena_printf(reader->arena, "; did you mean '%s'?", near) : "";
  lang_diag_add(&reader->diags, LANG_W_BAD_UNIT, span, suffix, hint);
  return 0;
}

lang_number lang_number_read(lang_reader *reader, const char *text, size_t length, lang_span span) {
  size_t digits = decimal_length(text);
  lang_number number = {.text = weir_arena_strndup(reader->arena, text, digits),
                        .suffix = weir_arena_strndup(reader->arena, text + digits, length - digits)};
  size_t unit = unit_find(reader, number.suffix, span);
  number.unit = units[unit].unit;
  number.is_int = units[unit].whole != 0 && digits_count(number.text) == digits;
  number.f = strtod(number.text, NULL) * units[unit].factor;
  number.overflow = !isfinite(number.f);
  if (number.is_int && !whole_read(number.text, units[unit].whole, &number.i)) {
    number.i = INT64_MAX;
    number.overflow = true;
  }
  if (number.overflow) lang_diag_add(&reader->diags, LANG_W_NUMBER_TOO_LARGE, span);
  return number;
}

static void bad_escape(lang_reader *reader, const char *text, size_t at, size_t length, lang_span span) {
  size_t bytes = 1;
  while (at + bytes < length && ((unsigned char)text[at + bytes] & 0xC0) == 0x80) bytes++;
  lang_span place = lang_source_span(reader->source, span.begin + at - 1, span.begin + at + bytes);
  lang_diag_add(&reader->diags, LANG_W_BAD_ESCAPE, place, weir_arena_strndup(reader->arena, text + at, bytes));
}

char *lang_string_read(lang_reader *reader, const char *text, size_t length, lang_span span, size_t *out_length) {
  char *out = weir_arena_alloc(reader->arena, length);
  size_t count = 0;
  bool reported = false;
  for (size_t i = 1; i + 1 < length; i++) {
    if (text[i] != '\\') {
      out[count++] = text[i];
      continue;
    }
    char c = text[++i];
    if (c == 'n') c = '\n';
    else if (c == 't') c = '\t';
    else if (c == 'r') c = '\r';
    else if (c != '\\' && c != '"' && !reported) {
      bad_escape(reader, text, i, length, span);
      reported = true;
    }
    out[count++] = c;
  }
  out[count] = '\0';
  *out_length = count;
  return out;
}
