// Tokens of the graph IR's text.
#include "ir/scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/checked.h"

bool ir_scan_fail(ir_scanner *p, const char *fmt, ...) {
  int line = 1, column = 1;
  for (const char *c = p->start; c < p->at; c++) {
    column = *c == '\n' ? 1 : column + 1;
    line += *c == '\n';
  }
  va_list args;
  va_start(args, fmt);
  const char *reason = weir_arena_vprintf(p->arena, fmt, args);
  va_end(args);
  if (!p->status) p->status = weir_status_make(WEIR_CODE_INVALID_DATA, "line %d, column %d: %s", line, column, reason);
  return false;
}

void ir_scan_space(ir_scanner *p) {
  for (;;) {
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') p->at++;
    if (p->at[0] != '/' || p->at[1] != '/' || p->at[2] == '/') return;
    while (*p->at && *p->at != '\n') p->at++;
  }
}

bool ir_scan_peek(ir_scanner *p, char c) {
  ir_scan_space(p);
  return *p->at == c;
}

bool ir_scan_accept(ir_scanner *p, char c) {
  if (!ir_scan_peek(p, c)) return false;
  p->at++;
  return true;
}

bool ir_scan_expect(ir_scanner *p, char c) { return ir_scan_accept(p, c) || ir_scan_fail(p, "expected '%c'", c); }

bool ir_scan_is_name_byte(const char *at) {
  return isalnum((unsigned char)*at) || *at == '_' || (*at == '.' && (isalnum((unsigned char)at[1]) || at[1] == '_'));
}

// A name into p->word.
bool ir_scan_name(ir_scanner *p) {
  size_t length = 0;
  ir_scan_space(p);
  if (!isalpha((unsigned char)*p->at) && *p->at != '_') return ir_scan_fail(p, "expected a name");
  while (ir_scan_is_name_byte(p->at + length)) {
    if (length == IR_SCAN_MAX_WORD - 1) return ir_scan_fail(p, "the name is too long");
    p->word[length] = p->at[length];
    length++;
  }
  p->word[length] = 0;
  p->at += length;
  return true;
}

static int hex_digit(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

// The byte behind a backslash; 0 on a malformed escape.
static char read_escape(ir_scanner *p) {
  char c = *p->at;
  if (c == 'n' || c == '"' || c == '\\') {
    p->at++;
    return c == 'n' ? '\n' : c;
  }
  if (c != 'x' || !isxdigit((unsigned char)p->at[1]) || !isxdigit((unsigned char)p->at[2])) return 0;
  c = (char)(hex_digit(p->at[1]) * 16 + hex_digit(p->at[2]));
  p->at += 3;
  return c;
}

// A quoted string into the arena; null on failure.
const char *ir_scan_string(ir_scanner *p) {
  if (!ir_scan_expect(p, '"')) return NULL;
  const char *end = p->at;
  while (*end && *end != '"') end += end[0] == '\\' && end[1] ? 2 : 1;
  char *text = weir_arena_alloc(p->arena, (size_t)(end - p->at) + 1);
  size_t length = 0;
  while (*p->at != '"') {
    char c = *p->at;
    if (c) p->at++;
    if (c == '\\') c = read_escape(p);
    if (c == 0) {
      ir_scan_fail(p, "malformed string");
      return NULL;
    }
    text[length++] = c;
  }
  p->at++;
  return text;
}

// A name, plain or quoted, into the arena.
const char *ir_scan_label(ir_scanner *p) {
  if (ir_scan_peek(p, '"')) return ir_scan_string(p);
  return ir_scan_name(p) ? weir_arena_strdup(p->arena, p->word) : NULL;
}

bool ir_scan_word(ir_scanner *p, const char *word) {
  ir_scan_space(p);
  size_t length = strlen(word);
  if (strncmp(p->at, word, length) || ir_scan_is_name_byte(p->at + length)) return false;
  p->at += length;
  return true;
}

bool ir_scan_integer(ir_scanner *p, int64_t *out) {
  int64_t value = 0;
  bool negative = ir_scan_accept(p, '-');
  ir_scan_space(p);
  if (!isdigit((unsigned char)*p->at)) return ir_scan_fail(p, "expected an integer");
  for (; isdigit((unsigned char)*p->at); p->at++) {
    int digit = *p->at - '0';
    if (!weir_mul_i64(value, 10, &value) || !weir_add_i64(value, negative ? -digit : digit, &value)) {
      return ir_scan_fail(p, "the integer does not fit 64 bits");
    }
  }
  *out = value;
  return true;
}

bool ir_scan_float(ir_scanner *p, double *out) {
  bool negative = ir_scan_accept(p, '-');
  ir_scan_space(p);
  if (ir_scan_word(p, "inf")) {
    *out = negative ? -__builtin_inf() : __builtin_inf();
  } else if (!negative && ir_scan_word(p, "nan")) {
    *out = __builtin_nan("");
  } else {
    size_t length = strspn(p->at, "0123456789.eE+-");
    char digits[64], *end;
    if (!isdigit((unsigned char)*p->at) || length >= sizeof digits) return ir_scan_fail(p, "expected a number");
    memcpy(digits, p->at, length);
    digits[length] = 0;
    *out = strtod(digits, &end);
    if (*end) return ir_scan_fail(p, "malformed number");
    if (negative) *out = -*out;
    p->at += length;
  }
  return true;
}

// ["in"] lo ".." ["=" hi]
bool ir_scan_range(ir_scanner *p, int64_t *lo, int64_t *hi) {
  if (!ir_scan_integer(p, lo) || !ir_scan_expect(p, '.') || !ir_scan_expect(p, '.')) return false;
  *hi = INT64_MAX;
  if (ir_scan_accept(p, '=') && !ir_scan_integer(p, hi)) return false;
  return *lo <= *hi || ir_scan_fail(p, "the range is empty");
}

bool ir_scan_dim(ir_scanner *p, ir_dim *out) {
  ir_scan_space(p);
  *out = ir_dim_parse(p->module->dims, &p->at, false);
  return *out || ir_scan_fail(p, "expected a dim over declared symbols that fits 64 bits");
}

bool ir_scan_dtype(ir_scanner *p, ir_dtype *out) {
  return ir_scan_name(p) && (ir_dtype_find(p->word, out) || ir_scan_fail(p, "unknown element type '%s'", p->word));
}

// "[" dim {"," dim} "]"
bool ir_scan_dims(ir_scanner *p, int *count, ir_dim *dims) {
  *count = 0;
  if (!ir_scan_expect(p, '[')) return false;
  while (!ir_scan_peek(p, ']')) {
    if (*count == IR_MAX_RANK) return ir_scan_fail(p, "more than %d dims", IR_MAX_RANK);
    if (*count && !ir_scan_expect(p, ',')) return false;
    if (!ir_scan_dim(p, &dims[*count])) return false;
    ++*count;
  }
  return ir_scan_expect(p, ']');
}

bool ir_scan_type(ir_scanner *p, ir_type *out) {
  *out = (ir_type){0};
  return ir_scan_dtype(p, &out->dtype) && ir_scan_dims(p, &out->rank, out->dims);
}
