// Reader of the text form of programs (docs/program.md). The text comes from a package and may be anything: every
// number is bounded, every name and index is looked up, nesting is limited, and the whole is verified before anybody
// sees it.
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/program_internal.h"

// The most memory that a character of text can cost: an op of a size expression, four times over while its list grows
// and once when it is kept. A launch (30 characters at least) costs less.
enum { BYTES_PER_CHARACTER = 5 * sizeof(rt_size_op), SPARE_BYTES = 1 << 16 };
_Static_assert(4 * sizeof(rt_launch) / 30 <= BYTES_PER_CHARACTER, "launches are dearer than expressions");
enum { MAX_TEXT_BYTES = 1 << 24, MAX_NEST = 64, MAX_SIZES = 512, MAX_STRING = 4096 };

typedef struct {
  rt_size_op *ops;
  int count, capacity;
} op_list;

typedef struct {
  weir_arena *arena;
  const char *at, *end;
  int line, nest;
  rt_program *program;
  int size_capacity, symbol_capacity, input_capacity, output_capacity, state_capacity, weight_capacity, buffer_capacity,
      kernel_capacity, launch_capacity, volume_capacity, loop_capacity;
  int open[RT_MAX_LOOP_DEPTH];  // loops without their end so far
  int depth;
  bool failed;
  char message[200];
} parser;

static bool fail(parser *p, const char *fmt, ...) WEIR_PRINTF(2, 3);
static bool fail(parser *p, const char *fmt, ...) {
  if (p->failed) return false;
  p->failed = true;
  va_list args;
  va_start(args, fmt);
  vsnprintf(p->message, sizeof p->message, fmt, args);
  va_end(args);
  return false;
}

// ---- tokens; a line never goes on
static void skip_space(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\t')) p->at++;
}

static bool accept(parser *p, const char *token) {
  skip_space(p);
  size_t length = strlen(token);
  if (p->failed || (size_t)(p->end - p->at) < length || memcmp(p->at, token, length)) return false;
  p->at += length;
  return true;
}

static bool expect(parser *p, const char *token) { return accept(p, token) || fail(p, "expected '%s'", token); }

static bool name_byte(char c) { return isalnum((unsigned char)c) || c == '_'; }

static size_t name_extent(const parser *p) {
  const char *c = p->at;
  if (c == p->end || (!isalpha((unsigned char)*c) && *c != '_')) return 0;
  while (c < p->end && (name_byte(*c) || (*c == '.' && c + 1 < p->end && name_byte(c[1])))) c++;
  return (size_t)(c - p->at);
}

static bool accept_word(parser *p, const char *word) {
  skip_space(p);
  size_t length = strlen(word);
  if (p->failed || name_extent(p) != length || memcmp(p->at, word, length)) return false;
  p->at += length;
  return true;
}

static bool expect_word(parser *p, const char *word) { return accept_word(p, word) || fail(p, "expected '%s'", word); }

static const char *parse_name(parser *p) {
  skip_space(p);
  size_t length = name_extent(p);
  if (p->failed || length == 0 || length > 200) {
    fail(p, "expected a name");
    return "";
  }
  const char *name = weir_arena_strndup(p->arena, p->at, length);
  p->at += length;
  return name;
}

static int64_t parse_int(parser *p, int64_t lo, int64_t hi) {
  skip_space(p);
  char digits[24];
  size_t length = 0;
  const char *c = p->at;
  if (c < p->end && *c == '-') digits[length++] = *c++;
  while (c < p->end && isdigit((unsigned char)*c) && length < sizeof digits - 1) digits[length++] = *c++;
  digits[length] = 0;
  errno = 0;
  char *stop;
  long long value = strtoll(digits, &stop, 10);
  if (p->failed || stop == digits || *stop || errno || (c < p->end && isdigit((unsigned char)*c))) {
    fail(p, "expected an integer");
    return lo;
  }
  if (value < lo || value > hi) {
    fail(p, "%lld is out of range", value);
    return lo;
  }
  p->at = c;
  return value;
}

static double parse_double(parser *p) {
  skip_space(p);
  char digits[48];
  size_t length = 0;
  while (p->at + length < p->end && length < sizeof digits - 1 && !isspace((unsigned char)p->at[length])) length++;
  memcpy(digits, p->at, length);
  digits[length] = 0;
  char *stop;
  double value = strtod(digits, &stop);
  if (length == 0 || *stop) fail(p, "expected a number");
  p->at += length;
  return value;
}

static int hex_digit(char c) { return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

// The byte behind a backslash: itself if it is a quote or backslash, or xNN. 0 if it is malformed.
static char parse_escape(parser *p) {
  char c = p->at < p->end ? *p->at++ : 0;
  if (c == '"' || c == '\\') return c;
  if (c != 'x' || p->end - p->at < 2 || hex_digit(p->at[0]) < 0 || hex_digit(p->at[1]) < 0) return 0;
  c = (char)(hex_digit(p->at[0]) * 16 + hex_digit(p->at[1]));
  p->at += 2;
  return c;
}

static const char *parse_quoted(parser *p) {
  if (!expect(p, "\"")) return "";
  size_t room = 0;
  while (room < (size_t)(p->end - p->at) && p->at[room] != '\n') room++;
  if (room > MAX_STRING) room = MAX_STRING;
  char *out = weir_arena_alloc(p->arena, room + 1), *o = out, *stop = out + room;
  while (p->at < p->end && *p->at != '"') {
    char c = *p->at++;
    if ((unsigned char)c < ' ' || (unsigned char)c > 126) c = 0;
    else if (c == '\\') c = parse_escape(p);
    if (!c || o == stop) {
      fail(p, c ? "the string is too long" : "a malformed string");
      return "";
    }
    *o++ = c;
  }
  expect(p, "\"");
  return out;
}

// ---- expressions
static void push_op(parser *p, op_list *list, rt_size_code code, int64_t value) {
  WEIR_PUSH(p->arena, list->ops, list->count, list->capacity, ((rt_size_op){code, value}));
}

static void parse_sum(parser *p, op_list *list, bool symbols);

// The symbol whose rows before this call |name| is; -1 if none.
static int find_past(const rt_program *g, const char *name) {
  for (int i = 0; i < g->symbol_count; i++) {
    size_t length = strlen(g->symbols[i].name);
    if (!strncmp(g->symbols[i].name, name, length) && !strcmp(name + length, ".past")) return i;
  }
  return -1;
}

static void parse_size_name(parser *p, op_list *list, bool symbols) {
  const char *name = parse_name(p);
  const rt_program *g = p->program;
  int count = symbols ? g->symbol_count : g->size_count, i = 0;
  while (i < count && strcmp(symbols ? g->symbols[i].name : g->sizes[i], name)) i++;
  if (i == count) {
    int past = symbols ? find_past(g, name) : -1;
    if (past < 0) fail(p, "no %s '%s'", symbols ? "symbol" : "size", name);
    i = count + past;
  }
  push_op(p, list, RT_SIZE_VAR, i);
}

static void parse_primary(parser *p, op_list *list, bool symbols) {
  bool least = accept_word(p, "min"), most = !least && accept_word(p, "max");
  if (++p->nest > MAX_NEST) fail(p, "the expression is nested too deeply");
  if (p->failed) return;
  if (least || most) {
    expect(p, "(");
    parse_sum(p, list, symbols);
    expect(p, ",");
    parse_sum(p, list, symbols);
    expect(p, ")");
    push_op(p, list, least ? RT_SIZE_MIN : RT_SIZE_MAX, 0);
  } else if (accept(p, "(")) {
    parse_sum(p, list, symbols);
    expect(p, ")");
  } else if (p->at < p->end && (isdigit((unsigned char)*p->at) || *p->at == '-')) {
    push_op(p, list, RT_SIZE_CONST, parse_int(p, INT64_MIN, INT64_MAX));
  } else {
    parse_size_name(p, list, symbols);
  }
  p->nest--;
}

static void parse_product(parser *p, op_list *list, bool symbols) {
  parse_primary(p, list, symbols);
  while (!p->failed) {
    rt_size_code code = accept(p, "*")   ? RT_SIZE_MUL
                        : accept(p, "/") ? RT_SIZE_DIV
                        : accept(p, "%") ? RT_SIZE_MOD
                                         : RT_SIZE_CONST;
    if (code == RT_SIZE_CONST) return;
    parse_primary(p, list, symbols);
    push_op(p, list, code, 0);
  }
}

static void parse_sum(parser *p, op_list *list, bool symbols) {
  parse_product(p, list, symbols);
  while (!p->failed) {
    rt_size_code code = accept(p, "+") ? RT_SIZE_ADD : accept(p, "-") ? RT_SIZE_SUB : RT_SIZE_CONST;
    if (code == RT_SIZE_CONST) return;
    parse_product(p, list, symbols);
    push_op(p, list, code, 0);
  }
}

static rt_expr parse_expr(parser *p, bool symbols) {
  op_list list = {0};
  p->nest = 0;
  parse_sum(p, &list, symbols);
  if (p->failed) return (rt_expr){0};
  return (rt_expr){list.count, list.ops};
}

// ---- lines
static int parse_symbol_name(parser *p) {
  const char *name = parse_name(p);
  for (int i = 0; i < p->program->symbol_count; i++)
    if (!strcmp(p->program->symbols[i].name, name)) return i;
  fail(p, "no symbol '%s'", name);
  return -1;
}

// A symbol, or symbol_count + a volume.
static int parse_rows_name(parser *p) {
  skip_space(p);
  const rt_program *g = p->program;
  size_t length = name_extent(p);
  for (int i = 0; i < g->volume_count; i++) {
    if (strlen(g->volumes[i].name) != length || memcmp(g->volumes[i].name, p->at, length)) continue;
    p->at += length;
    return g->symbol_count + i;
  }
  return parse_symbol_name(p);
}

static rt_dtype parse_dtype(parser *p) {
  const char *name = parse_name(p);
  for (int d = 0; d < RT_DTYPE_COUNT; d++)
    if (!strcmp(rt_dtype_name((rt_dtype)d), name)) return (rt_dtype)d;
  fail(p, "no element type '%s'", name);
  return RT_DTYPE_f32;
}

static int find_size(const rt_program *g, const char *name, const char *suffix) {
  size_t length = strlen(name);
  for (int i = 0; i < g->size_count; i++)
    if (!strncmp(g->sizes[i], name, length) && !strcmp(g->sizes[i] + length, suffix)) return i;
  return -1;
}

static void parse_sizes(parser *p) {
  rt_program *g = p->program;
  do {
    if (g->size_count == MAX_SIZES) fail(p, "too many sizes");
    const char *name = parse_name(p);
    if (p->failed) return;
    WEIR_PUSH(p->arena, g->sizes, g->size_count, p->size_capacity, name);
  } while (accept(p, ","));
}

static void parse_symbol(parser *p) {
  rt_program *g = p->program;
  rt_symbol s = {.name = parse_name(p), .divisor = 1, .size_max = -1, .size_all_max = -1};
  if (accept_word(p, "batch")) s.role = RT_ROLE_BATCH;
  else if (accept_word(p, "seq")) s.role = RT_ROLE_SEQ;
  else expect_word(p, "plain");
  s.lo = parse_int(p, 0, INT64_MAX);
  expect(p, "..");
  s.hi = parse_int(p, 0, INT64_MAX);
  if (accept_word(p, "by")) s.divisor = parse_int(p, 1, INT64_MAX);
  s.grows = accept_word(p, "grows");
  s.stored = accept_word(p, "stored");
  s.size = find_size(g, s.name, "");
  if (s.role != RT_ROLE_PLAIN) s.size_max = find_size(g, s.name, ".max");
  if (s.grows) s.size_all_max = find_size(g, s.name, ".all.max");
  if (g->symbol_count == MAX_SIZES) fail(p, "too many symbols");
  if (!p->failed) WEIR_PUSH(p->arena, g->symbols, g->symbol_count, p->symbol_capacity, s);
}

static void parse_volume(parser *p) {
  rt_program *g = p->program;
  rt_volume v = {.name = parse_name(p)};
  expect_word(p, "count");
  v.count = parse_expr(p, true);
  v.size = find_size(g, v.name, "");
  v.size_max = find_size(g, v.name, ".max");
  if (g->volume_count == MAX_SIZES) fail(p, "too many volumes");
  if (!p->failed) WEIR_PUSH(p->arena, g->volumes, g->volume_count, p->volume_capacity, v);
}

static rt_tensor parse_tensor(parser *p) {
  rt_tensor t = {.name = parse_quoted(p), .ragged = -1, .lo = 1, .hi = 0};
  t.dtype = parse_dtype(p);
  expect(p, "[");
  if (!accept(p, "]")) {
    do {
      if (t.rank == RT_MAX_RANK) fail(p, "too many dims");
      if (p->failed) return t;
      t.dims[t.rank++] = parse_expr(p, true);
    } while (accept(p, ","));
    expect(p, "]");
  }
  if (accept_word(p, "ragged")) t.ragged = parse_rows_name(p);
  expect_word(p, "bytes");
  t.bytes = parse_expr(p, false);
  if (accept_word(p, "in")) {
    t.lo = parse_int(p, INT64_MIN, INT64_MAX);
    expect(p, "..");
    t.hi = parse_int(p, t.lo, INT64_MAX);
    t.limited = accept_word(p, "below");
    if (t.limited) t.below = parse_expr(p, true);
  }
  return t;
}

static void parse_state(parser *p) {
  rt_state s = {.path = parse_quoted(p), .symbol = -1};
  s.dtype = parse_dtype(p);
  expect_word(p, "bytes");
  s.row_bytes = parse_int(p, 1, INT64_MAX);
  s.whole = accept_word(p, "whole");
  s.rows = s.whole || accept_word(p, "rows");
  if (s.rows) s.symbol = parse_rows_name(p);
  s.panel = accept_word(p, "panel");
  if (s.panel) (void)parse_int(p, RT_PANEL_ROWS, RT_PANEL_ROWS);
  if (accept_word(p, "window")) s.window = parse_int(p, 1, INT64_MAX);
  if (accept_word(p, "initial")) s.initial = parse_double(p);
  s.unset = accept_word(p, "unset");
  s.reads = accept_word(p, "reads");
  s.writes = accept_word(p, "writes");
  if (!p->failed) WEIR_PUSH(p->arena, p->program->states, p->program->state_count, p->state_capacity, s);
}

// The number of a table's line, which must be |count|.
static void parse_number(parser *p, int count) {
  if (parse_int(p, 0, INT32_MAX) != count) fail(p, "expected entry %d", count);
}

static void parse_weight(parser *p) {
  parse_number(p, p->program->weight_count);
  rt_weight w = {.path = parse_quoted(p)};
  expect_word(p, "bytes");
  w.bytes = parse_int(p, 0, INT64_MAX);
  if (!p->failed) WEIR_PUSH(p->arena, p->program->weights, p->program->weight_count, p->weight_capacity, w);
}

static void parse_buffer(parser *p) {
  parse_number(p, p->program->buffer_count);
  rt_buffer b = {.name = parse_quoted(p)};
  expect_word(p, "bytes");
  b.bytes = parse_expr(p, false);
  expect_word(p, "at");
  b.offset = parse_expr(p, false);
  if (!p->failed) WEIR_PUSH(p->arena, p->program->buffers, p->program->buffer_count, p->buffer_capacity, b);
}

static void parse_kernel(parser *p) {
  parse_number(p, p->program->kernel_count);
  rt_kernel k = {.symbol = parse_quoted(p)};
  expect_word(p, "args");
  k.arg_count = (int)parse_int(p, 0, RT_MAX_ARGS);
  expect_word(p, "dims");
  k.dim_count = (int)parse_int(p, 0, RT_MAX_DIMS);
  if (accept_word(p, "scratch")) k.scratch_bytes = parse_int(p, 1, INT64_MAX);
  if (!p->failed) WEIR_PUSH(p->arena, p->program->kernels, p->program->kernel_count, p->kernel_capacity, k);
}

static rt_arg parse_arg(parser *p) {
  static const char *const words[] = {"starts", "requests", "positions", "past"};
  static const char *const tables[] = {"b", "w", "in", "out", "state"};
  for (int i = 0; i < 4; i++) {
    if (!accept_word(p, words[i])) continue;
    expect(p, "(");
    int symbol = i < 2 ? parse_rows_name(p) : parse_symbol_name(p);
    expect(p, ")");
    return (rt_arg){(rt_arg_kind)(RT_ARG_STARTS + i), symbol};
  }
  const char *name = parse_name(p);
  size_t letters = strcspn(name, "0123456789");
  const char *digits = name + letters;
  size_t count = strlen(digits);
  for (int i = 0; i < 5 && count > 0 && count < 9 && strspn(digits, "0123456789") == count; i++)
    if (strlen(tables[i]) == letters && !strncmp(tables[i], name, letters))
      return (rt_arg){(rt_arg_kind)i, atoi(digits)};
  fail(p, "no argument '%s'", name);
  return (rt_arg){RT_ARG_BUFFER, 0};
}

static void parse_launch(parser *p) {
  rt_launch l = {.kernel = (int)parse_int(p, 0, INT32_MAX), .note = ""};
  expect_word(p, "grid");
  l.grid = parse_expr(p, false);
  if (accept_word(p, "args")) {
    do {
      if (l.arg_count == RT_MAX_ARGS) fail(p, "too many arguments");
      if (p->failed) return;
      l.args[l.arg_count++] = parse_arg(p);
    } while (accept(p, ","));
  }
  if (accept_word(p, "dims")) {
    do {
      if (l.dim_count == RT_MAX_DIMS) fail(p, "too many dims");
      if (p->failed) return;
      l.dims[l.dim_count++] = parse_expr(p, false);
    } while (accept(p, ","));
  }
  l.sync = accept_word(p, "sync");
  if (accept_word(p, "when")) {
    l.guard = parse_expr(p, false);
    expect_word(p, "in");
    l.guard_lo = parse_int(p, INT64_MIN, INT64_MAX);
    expect(p, "..");
    l.guard_hi = parse_int(p, INT64_MIN, INT64_MAX);
  }
  if (accept_word(p, "cost")) {
    l.flops_per_item = parse_expr(p, false);
    expect(p, ",");
    l.bytes_per_item = parse_expr(p, false);
  }
  if (accept_word(p, "note")) l.note = parse_quoted(p);
  if (!p->failed) WEIR_PUSH(p->arena, p->program->launches, p->program->launch_count, p->launch_capacity, l);
}

static void parse_loop(parser *p) {
  rt_program *g = p->program;
  const char *name = parse_name(p);
  rt_loop l = {.first = g->launch_count, .last = g->launch_count - 1, .size = find_size(g, name, ""), .flags = -1};
  if (l.size < 0) fail(p, "no size '%s'", name);
  expect_word(p, "trips");
  l.trips = parse_expr(p, false);
  if (accept_word(p, "while")) {
    rt_arg flags = parse_arg(p);
    if (flags.kind != RT_ARG_BUFFER) fail(p, "flags are a buffer");
    l.flags = flags.index;
  }
  if (p->depth == RT_MAX_LOOP_DEPTH) fail(p, "loops are nested too deeply");
  if (p->failed) return;
  p->open[p->depth++] = g->loop_count;
  WEIR_PUSH(p->arena, g->loops, g->loop_count, p->loop_capacity, l);
}

static void parse_loop_end(parser *p) {
  rt_program *g = p->program;
  if (!p->depth) {
    fail(p, "there is no loop to end");
    return;
  }
  rt_loop *l = &g->loops[p->open[--p->depth]];
  l->last = g->launch_count - 1;
  if (l->last < l->first) fail(p, "an empty loop");
}

static void end_line(parser *p) {
  skip_space(p);
  if (p->failed) return;
  if (p->at == p->end || *p->at != '\n') {
    fail(p, "expected the end of the line");
    return;
  }
  p->at++;
  p->line++;
}

static bool parse_table_line(parser *p) {
  rt_program *g = p->program;
  if (accept_word(p, "symbol")) {
    parse_symbol(p);
  } else if (accept_word(p, "volume")) {
    parse_volume(p);
  } else if (accept_word(p, "input")) {
    rt_tensor t = parse_tensor(p);
    if (!p->failed) WEIR_PUSH(p->arena, g->inputs, g->input_count, p->input_capacity, t);
  } else if (accept_word(p, "output")) {
    rt_tensor t = parse_tensor(p);
    if (!p->failed) WEIR_PUSH(p->arena, g->outputs, g->output_count, p->output_capacity, t);
  } else if (accept_word(p, "state")) {
    parse_state(p);
  } else if (accept_word(p, "weight")) {
    parse_weight(p);
  } else if (accept_word(p, "buffer")) {
    parse_buffer(p);
  } else if (accept_word(p, "kernel")) {
    parse_kernel(p);
  } else if (accept_word(p, "launch")) {
    parse_launch(p);
  } else if (accept_word(p, "loop")) {
    parse_loop(p);
  } else if (accept_word(p, "end")) {
    parse_loop_end(p);
  } else {
    return false;
  }
  end_line(p);
  return !p->failed;
}

static void parse_program(parser *p) {
  rt_program *g = p->program;
  expect_word(p, "program");
  g->name = parse_quoted(p);
  g->step = accept_word(p, "step");
  end_line(p);
  if (accept_word(p, "sizes")) {
    parse_sizes(p);
    end_line(p);
  }
  while (!p->failed && parse_table_line(p)) continue;
  if (p->failed) return;
  if (p->depth) fail(p, "a loop has no end");
  expect_word(p, "arena");
  g->arena_bytes = parse_expr(p, false);
  end_line(p);
  if (!p->failed && p->at != p->end) fail(p, "text behind the program");
}

weir_status rt_program_parse(weir_arena *arena, const char *text, size_t length, rt_program **out_program) {
  if (length > MAX_TEXT_BYTES) return weir_status_make(WEIR_CODE_INVALID_DATA, "program text of %zu bytes", length);
  if (!weir_arena_reserve(arena, length * BYTES_PER_CHARACTER + SPARE_BYTES))
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "a program text of %zu bytes", length);
  parser p = {.arena = arena, .at = text, .end = text + length, .line = 1, .program = WEIR_NEW(arena, rt_program)};
  parse_program(&p);
  if (p.failed) return weir_status_make(WEIR_CODE_INVALID_DATA, "line %d: %s", p.line, p.message);
  WEIR_TRY_CTX(rt_program_verify(p.program), "program '%s'", p.program->name);
  *out_program = p.program;
  return WEIR_OK;
}
