// Reader of the text form of kernels (docs/kernel-ir.md): recursive descent over bytes that may be anything.
//
// It builds what is written, unfolded, and refuses what the structures cannot hold: unknown names, too deep nesting,
// numbers out of range. Whether the kernel makes sense is ir_kernel_verify's matter.
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_text.h"

enum { MAX_TEXT_BYTES = 1 << 23, MAX_EXPR_NEST = 200, MAX_BUFFERS = 64, MAX_NAMES = 2000, MAX_TOKEN = 200 };

typedef ir_kparser parser;
typedef ir_kentry entry;

bool ir_kr_fail(parser *p, const char *fmt, ...) {
  if (p->failed) return false;
  p->failed = true;
  p->failed_line = p->token_line;
  va_list args;
  va_start(args, fmt);
  vsnprintf(p->message, sizeof p->message, fmt, args);
  va_end(args);
  return false;
}

// Something else stands at the cursor.
bool ir_kr_fail_expected(parser *p, const char *what) {
  p->token_line = p->line;
  return ir_kr_fail(p, "expected %s", what);
}

// ---- bytes
static void take(parser *p, size_t bytes) {
  p->at += bytes;
  p->token_line = p->line;
}

static void skip_space(parser *p, bool newlines) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || (newlines && *p->at == '\n'))) {
    if (*p->at == '\n') p->line++;
    p->at++;
  }
}

bool ir_kr_peek(parser *p, const char *token) {
  skip_space(p, true);
  size_t length = strlen(token);
  return (size_t)(p->end - p->at) >= length && !memcmp(p->at, token, length);
}

bool ir_kr_accept(parser *p, const char *token) {
  if (p->failed || !ir_kr_peek(p, token)) return false;
  take(p, strlen(token));
  return true;
}

bool ir_kr_expect(parser *p, const char *token) {
  char quoted[8];
  if (ir_kr_accept(p, token)) return true;
  snprintf(quoted, sizeof quoted, "'%s'", token);
  return ir_kr_fail_expected(p, quoted);
}

static bool is_name_byte(char c) { return isalnum((unsigned char)c) || c == '_'; }

// The extent of a name at |at|: letters, digits, _, inner dots, and a number behind '#'. 0 if there is none.
static size_t name_extent(const char *at, const char *end) {
  if (at == end || (!isalpha((unsigned char)*at) && *at != '_')) return 0;
  const char *c = at;
  while (c < end && (is_name_byte(*c) || (*c == '.' && c + 1 < end && is_name_byte(c[1])))) c++;
  if (c + 1 < end && *c == '#' && isdigit((unsigned char)c[1]))
    for (c++; c < end && isdigit((unsigned char)*c);) c++;
  return (size_t)(c - at);
}

const char *ir_kr_name(parser *p) {
  skip_space(p, true);
  size_t length = name_extent(p->at, p->end);
  if (p->failed || length == 0 || length > MAX_TOKEN) {
    if (length) ir_kr_fail(p, "the name is too long");
    else ir_kr_fail_expected(p, "a name");
    return NULL;
  }
  const char *name = weir_arena_strndup(p->arena, p->at, length);
  take(p, length);
  return name;
}

bool ir_kr_accept_word(parser *p, const char *word) {
  skip_space(p, true);
  size_t length = strlen(word);
  if (p->failed || name_extent(p->at, p->end) != length || memcmp(p->at, word, length)) return false;
  take(p, length);
  return true;
}

const char *ir_kr_plain_name(parser *p, const char *name) {
  size_t length = strcspn(name, "#");
  return weir_arena_strndup(p->arena, name, length);
}

// A number's text; |out_is_float| if it has a point or an exponent.
static const char *number_text(parser *p, bool *out_is_float) {
  const char *c = p->at;
  *out_is_float = false;
  if (c < p->end && *c == '-') c++;
  if (c == p->end || !isdigit((unsigned char)*c)) return NULL;
  while (c < p->end && isdigit((unsigned char)*c)) c++;
  // "0..5" is a range.
  if (c + 1 < p->end && *c == '.' && isdigit((unsigned char)c[1]))
    for (*out_is_float = true, c++; c < p->end && isdigit((unsigned char)*c);) c++;
  if (c < p->end && *c == 'e') {
    *out_is_float = true;
    c++;
    if (c < p->end && (*c == '-' || *c == '+')) c++;
    while (c < p->end && isdigit((unsigned char)*c)) c++;
  }
  if (c - p->at > 60) return NULL;
  const char *text = weir_arena_strndup(p->arena, p->at, (size_t)(c - p->at));
  take(p, (size_t)(c - p->at));
  return text;
}

int64_t ir_kr_int(parser *p, int64_t lo, int64_t hi) {
  skip_space(p, true);
  bool is_float;
  const char *text = p->failed ? NULL : number_text(p, &is_float);
  if (!text || is_float) {
    ir_kr_fail_expected(p, "an integer");
    return lo;
  }
  errno = 0;
  long long value = strtoll(text, NULL, 10);
  if (errno || value < lo || value > hi) {
    ir_kr_fail(p, "%s is out of range", text);
    return lo;
  }
  return value;
}

static bool find_type(const char *name, ir_ktype *out) {
  for (int t = 0; t < IR_KT_COUNT; t++) {
    if (strcmp(ir_ktype_name((ir_ktype)t), name)) continue;
    *out = (ir_ktype)t;
    return true;
  }
  return false;
}

ir_ktype ir_kr_type(parser *p) {
  ir_ktype type = IR_KT_f32;
  const char *name = ir_kr_name(p);
  if (name && !find_type(name, &type)) ir_kr_fail(p, "unknown element type '%s'", name);
  return type;
}

// ---- names
entry *ir_kr_find(parser *p, const char *name) {
  for (int i = p->name_count - 1; i >= 0; i--)
    if (!strcmp(p->names[i].name, name)) return &p->names[i];
  return NULL;
}

bool ir_kr_declare(parser *p, entry e) {
  static const char *const literals[] = {"true", "false", "inf", "nan"};
  for (int i = 0; i < 4; i++)
    if (!strcmp(e.name, literals[i])) return ir_kr_fail(p, "'%s' is a literal", e.name);
  if (ir_kr_find(p, e.name)) return ir_kr_fail(p, "'%s' is in use already", e.name);
  if (p->name_count == MAX_NAMES) return ir_kr_fail(p, "too many names");
  WEIR_PUSH(p->arena, p->names, p->name_count, p->name_capacity, e);
  return true;
}

bool ir_kr_declare_var(parser *p, const char *name, ir_kvar *var) {
  return ir_kr_declare(p, (entry){.name = name, .kind = IR_KNAME_VAR, .var = var});
}

int ir_kr_buffer(parser *p) {
  const char *name = ir_kr_name(p);
  entry *e = name ? ir_kr_find(p, name) : NULL;
  if (e && e->kind == IR_KNAME_BUFFER) return e->buffer;
  if (name) ir_kr_fail(p, "no buffer '%s'", name);
  return 0;
}

// ---- expressions
static const ir_kexpr *nothing(parser *p) { return ir_kb_int(&p->b, 0); }

static const ir_kexpr *raw(parser *p, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                           const ir_kexpr *z) {
  const ir_kexpr *e = ir_kb_raw(&p->b, op, type, x, y, z);
  if (e->facts->depth > IR_K_MAX_DEPTH) ir_kr_fail(p, "the expression is nested too deeply");
  return p->failed ? nothing(p) : e;
}

static const ir_kexpr *const_value(parser *p, const char *text, bool is_float) {
  ir_ktype type = is_float ? IR_KT_f32 : IR_KT_i64;
  if (p->at < p->end && *p->at == ':') {
    p->at++;
    type = ir_kr_type(p);
  }
  if (is_float != ir_ktype_is_float(type)) ir_kr_fail(p, "%s is no %s", text, ir_ktype_name(type));
  if (is_float) return ir_kb_const(&p->b, type, type == IR_KT_f32 ? (double)strtof(text, NULL) : strtod(text, NULL));
  int64_t lo, hi;
  ir_ktype_limits(type, &lo, &hi);
  errno = 0;
  long long value = strtoll(text, NULL, 10);
  if (errno || value < lo || value > hi) ir_kr_fail(p, "%s is out of range", text);
  return ir_kb_int_const(&p->b, type, value);
}

// A number of the text, inf and nan included; null if there is none.
static const char *float_text(parser *p, bool *out_is_float) {
  *out_is_float = true;
  if (ir_kr_accept_word(p, "inf")) return "inf";
  if (ir_kr_accept_word(p, "nan")) return "nan";
  if (ir_kr_peek(p, "-inf") && name_extent(p->at + 1, p->end) == 3) {
    p->at += 4;
    return "-inf";
  }
  return number_text(p, out_is_float);
}

static const ir_kexpr *parse_literal(parser *p) {
  bool is_float;
  if (ir_kr_accept_word(p, "true")) return ir_kb_int_const(&p->b, IR_KT_bool, 1);
  if (ir_kr_accept_word(p, "false")) return ir_kb_int_const(&p->b, IR_KT_bool, 0);
  const char *text = float_text(p, &is_float);
  return text ? const_value(p, text, is_float) : NULL;
}

// "(a, b, c)": the number of arguments.
int ir_kr_args(parser *p, const ir_kexpr **args, int capacity, const char *open, const char *close) {
  int count = 0;
  ir_kr_expect(p, open);
  do {
    if (count == capacity) {
      ir_kr_fail(p, "too many operands");
      break;
    }
    args[count++] = ir_kr_expr(p, 1);
  } while (ir_kr_accept(p, ","));
  ir_kr_expect(p, close);
  return count;
}

static bool find_op(const char *name, ir_kop *out) {
  for (int i = 0; i < IR_K_COUNT; i++) {
    int arity = ir_kop_arity((ir_kop)i);
    bool call = arity > 0 && ir_kop_level((ir_kop)i) == 0 && i != IR_K_load && i != IR_K_cast && i != IR_K_bitcast;
    if (!call || strcmp(ir_kop_name((ir_kop)i), name)) continue;
    *out = (ir_kop)i;
    return true;
  }
  return false;
}

static const ir_kexpr *parse_call(parser *p, const char *name) {
  const ir_kexpr *a[3] = {NULL, NULL, NULL};
  ir_ktype type;
  ir_kop op;
  if (!strcmp(name, ir_kop_name(IR_K_matrix_unit))) {
    ir_kr_expect(p, "(");
    ir_kr_expect(p, ")");
    return ir_kb_matrix_unit(&p->b);
  }
  int count = ir_kr_args(p, a, 3, "(", ")");
  if (p->failed) return nothing(p);
  if (find_type(name, &type)) {
    if (count != 1) ir_kr_fail(p, "a cast has one operand");
    return raw(p, IR_K_cast, type, a[0], NULL, NULL);
  }
  if (!find_op(name, &op)) {
    ir_kr_fail(p, "unknown operation '%s'", name);
    return nothing(p);
  }
  if (count != ir_kop_arity(op)) ir_kr_fail(p, "%s has %d operands", name, ir_kop_arity(op));
  ir_ktype result = a[0]->type;
  if (op == IR_K_select && a[1]) result = a[1]->type;
  if (op == IR_K_dot4 || op == IR_K_dot4_7) result = IR_KT_i32;
  if (op == IR_K_dot2) result = IR_KT_f32;
  if (op == IR_K_pack2 || op == IR_K_pack2_f16) result = IR_KT_u32;
  return raw(p, op, result, a[0], a[1], a[2]);
}

// "[index]" or "[request; index]" behind a buffer and its type.
void ir_kr_element(parser *p, const ir_kexpr **out_request, const ir_kexpr **out_index) {
  *out_request = NULL;
  ir_kr_expect(p, "[");
  *out_index = ir_kr_expr(p, 1);
  if (ir_kr_accept(p, ";")) {
    *out_request = *out_index;
    *out_index = ir_kr_expr(p, 1);
  }
  ir_kr_expect(p, "]");
}

static const ir_kexpr *parse_typed(parser *p, const char *name) {
  ir_ktype type = ir_kr_type(p);
  if (!strcmp(name, "bitcast") && ir_kr_peek(p, "(")) {
    const ir_kexpr *x = NULL;
    ir_kr_args(p, &x, 1, "(", ")");
    return p->failed ? nothing(p) : raw(p, IR_K_bitcast, type, x, NULL, NULL);
  }
  entry *e = ir_kr_find(p, name);
  if (!e || e->kind != IR_KNAME_BUFFER) {
    ir_kr_fail(p, "no buffer '%s'", name);
    return nothing(p);
  }
  int buffer = e->buffer;
  const ir_kexpr *request, *index;
  ir_kr_element(p, &request, &index);
  if (p->failed) return nothing(p);
  return request ? ir_kb_load_table(&p->b, type, buffer, request, index) : ir_kb_load(&p->b, type, buffer, index);
}

static const ir_kexpr *parse_read(parser *p, const char *name) {
  entry *e = ir_kr_find(p, name);
  const ir_kexpr *a[3] = {NULL, NULL, NULL};
  if (e && e->kind == IR_KNAME_SIZE) return e->size;
  if (!e || e->kind != IR_KNAME_VAR) {
    if (!e) ir_kr_fail(p, "unknown name '%s'", name);
    else ir_kr_fail(p, "'%s' is a %s", name, e->kind == IR_KNAME_MAP ? "map" : "buffer");
    return nothing(p);
  }
  ir_kvar *var = e->var;
  if (ir_kr_peek(p, "[")) {
    if (var->kind != IR_KVAR_REG) ir_kr_fail(p, "'%s' is no array", name);
    ir_kr_args(p, a, 3, "[", "]");
  }
  return p->failed ? nothing(p) : ir_kb_read(&p->b, var, a[0], a[1], a[2]);
}

static const ir_kexpr *parse_primary(parser *p) {
  if (ir_kr_accept(p, "(")) {
    const ir_kexpr *e = ir_kr_expr(p, 1);
    ir_kr_expect(p, ")");
    return e;
  }
  const ir_kexpr *literal = parse_literal(p);
  if (literal || p->failed) return literal ? literal : nothing(p);
  const char *name = ir_kr_name(p);
  if (!name) return nothing(p);
  if (p->at < p->end && *p->at == '(') return parse_call(p, name);
  if (p->at < p->end && *p->at == ':') {
    p->at++;
    return parse_typed(p, name);
  }
  return parse_read(p, name);
}

// The operator at the cursor if it has |level|.
static bool accept_infix(parser *p, int level, ir_kop *out) {
  size_t best = 0;
  skip_space(p, true);
  // "//" begins a comment.
  if (p->failed || ir_kr_peek(p, "//")) return false;
  for (int i = 0; i < IR_K_COUNT; i++) {
    const char *symbol = ir_kop_symbol((ir_kop)i);
    if (!symbol || strlen(symbol) <= best || !ir_kr_peek(p, symbol)) continue;
    best = strlen(symbol);
    *out = (ir_kop)i;
  }
  if (!best || ir_kop_level(*out) != level) return false;
  take(p, best);
  return true;
}

const ir_kexpr *ir_kr_expr(parser *p, int level) {
  if (p->failed) return nothing(p);
  if (level > 4) return parse_primary(p);
  if (level == 1 && ++p->nest > MAX_EXPR_NEST) {
    ir_kr_fail(p, "the expression is nested too deeply");
    return nothing(p);
  }
  const ir_kexpr *x = ir_kr_expr(p, level + 1);
  ir_kop op;
  while (accept_infix(p, level, &op)) {
    const ir_kexpr *y = ir_kr_expr(p, level + 1);
    if (p->failed) break;
    x = raw(p, op, level == 2 ? IR_KT_bool : x->type, x, y, NULL);
  }
  if (level == 1) p->nest--;
  return x;
}

// ---- statements
static bool parse_list(parser *p, int depth);

static bool parse_block(parser *p, int depth) {
  int visible = p->name_count;
  bool ok = ir_kr_expect(p, "{") && parse_list(p, depth + 1) && ir_kr_expect(p, "}");
  p->name_count = visible;
  return ok;
}

static bool parse_tiles(parser *p, int tiles[6], int *out_count) {
  *out_count = 0;
  if (!ir_kr_accept_word(p, "by")) return ir_kr_fail_expected(p, "'by'");
  do {
    if (*out_count == 6) return ir_kr_fail(p, "too many tiles");
    tiles[(*out_count)++] = (int)ir_kr_int(p, 1, 1 << 20);
  } while (ir_kr_accept(p, ","));
  return !p->failed;
}

static bool parse_for(parser *p, ir_krange range, int depth) {
  const char *name = ir_kr_name(p), *size_name = NULL;
  if (range == IR_KR_TILES && ir_kr_expect(p, ",")) size_name = ir_kr_name(p);
  if (p->failed) return false;
  if (!ir_kr_accept_word(p, "in")) return ir_kr_fail_expected(p, "'in'");
  const ir_kexpr *lo = ir_kr_expr(p, 1), *size = NULL, *var;
  if (!ir_kr_expect(p, "..")) return false;
  const ir_kexpr *hi = ir_kr_expr(p, 1);
  int visible = p->name_count;
  if (range == IR_KR_TILES) {
    int tiles[6], count;
    if (!parse_tiles(p, tiles, &count)) return false;
    var = ir_kb_tiles(&p->b, ir_kr_plain_name(p, name), lo, hi, tiles, count, &size);
    size->var->name = ir_kr_plain_name(p, size_name);
  } else {
    int64_t step = ir_kr_accept_word(p, "step") ? ir_kr_int(p, 1, INT64_MAX) : 1;
    if (p->failed) return false;
    var = ir_kb_for(&p->b, range, ir_kr_plain_name(p, name), lo, hi, step);
  }
  bool ok = ir_kr_declare_var(p, name, var->var) && (!size || ir_kr_declare_var(p, size_name, size->var)) &&
            parse_block(p, depth);
  p->name_count = visible;
  ir_kb_end(&p->b);
  return ok;
}

static bool parse_if(parser *p, int depth) {
  ir_kb_if(&p->b, ir_kr_expr(p, 1));
  bool ok = parse_block(p, depth);
  if (ok && ir_kr_accept_word(p, "else")) {
    ir_kb_else(&p->b);
    ok = parse_block(p, depth);
  }
  ir_kb_end(&p->b);
  return ok;
}

static bool parse_let(parser *p) {
  const char *name = ir_kr_name(p);
  ir_kr_expect(p, ":");
  ir_ktype type = ir_kr_type(p);
  ir_kr_expect(p, "=");
  if (ir_kr_atomic_value(p, name, type)) return true;
  const ir_kexpr *value = ir_kr_expr(p, 1);
  if (p->failed) return false;
  if (value->type != type) return ir_kr_fail(p, "the value is %s", ir_ktype_name(value->type));
  return ir_kr_declare_var(p, name, ir_kb_let_raw(&p->b, ir_kr_plain_name(p, name), value)->var);
}

static bool parse_reg(parser *p) {
  const char *name = ir_kr_name(p);
  ir_kr_expect(p, ":");
  ir_ktype type = ir_kr_type(p);
  int dims[3] = {0}, rank = 0;
  if (ir_kr_accept(p, "[")) {
    do {
      if (rank == 3) return ir_kr_fail(p, "registers have three dims at most");
      dims[rank++] = (int)ir_kr_int(p, 1, IR_K_MAX_REG_ELEMENTS);
    } while (ir_kr_accept(p, ","));
    ir_kr_expect(p, "]");
  }
  bool lanes = ir_kr_accept_word(p, "lanes");
  ir_kr_expect(p, "=");
  const ir_kexpr *initial = ir_kr_expr(p, 1);
  if (p->failed) return false;
  return ir_kr_declare_var(p, name, ir_kb_reg(&p->b, ir_kr_plain_name(p, name), type, lanes, rank, dims, initial));
}

static bool parse_set(parser *p, bool reduce) {
  ir_kop combine = IR_K_add;
  if (reduce) {
    const char *word = ir_kr_name(p);
    static const ir_kop combines[] = {IR_K_add, IR_K_max, IR_K_min, IR_K_mul};
    int i = 0;
    while (word && i < 4 && strcmp(word, ir_kop_name(combines[i]))) i++;
    if (i == 4) return ir_kr_fail(p, "no reduction '%s'", word);
    combine = combines[i & 3];
  }
  const char *name = ir_kr_name(p);
  entry *e = name ? ir_kr_find(p, name) : NULL;
  if (!e || e->kind != IR_KNAME_VAR || e->var->kind != IR_KVAR_REG)
    return ir_kr_fail(p, "no register '%s'", name ? name : "");
  ir_kvar *var = e->var;
  const ir_kexpr *a[3] = {NULL, NULL, NULL};
  int count = ir_kr_peek(p, "[") ? ir_kr_args(p, a, 3, "[", "]") : 0;
  ir_kr_expect(p, "=");
  const ir_kexpr *value = ir_kr_expr(p, 1);
  if (p->failed) return false;
  ir_kstmt *stmt = ir_kb_stmt(&p->b, reduce ? IR_KS_REDUCE : IR_KS_SET);
  stmt->var = var;
  if (reduce) stmt->combine = combine;
  stmt->expr = value;
  stmt->index_count = count;
  memcpy(stmt->indices, a, sizeof a);
  return true;
}

static bool parse_prefetch(parser *p) {
  int buffer = ir_kr_buffer(p);
  ir_kr_expect(p, ":");
  ir_ktype type = ir_kr_type(p);
  const ir_kexpr *request, *index;
  ir_kr_element(p, &request, &index);
  if (p->failed) return false;
  ir_kb_prefetch(&p->b, type, buffer, request, index);
  return true;
}

// "arrive last = c:i32[I] of COUNT"
static bool parse_arrive(parser *p) {
  const char *name = ir_kr_name(p);
  entry *e = name ? ir_kr_find(p, name) : NULL;
  if (!e || e->kind != IR_KNAME_VAR || e->var->kind != IR_KVAR_REG)
    return ir_kr_fail(p, "no register '%s'", name ? name : "");
  ir_kvar *last = e->var;
  ir_kr_expect(p, "=");
  int buffer = ir_kr_buffer(p);
  ir_kr_expect(p, ":");
  ir_ktype type = ir_kr_type(p);
  const ir_kexpr *request, *index;
  ir_kr_element(p, &request, &index);
  if (p->failed || !ir_kr_word(p, "of")) return false;
  const ir_kexpr *count = ir_kr_expr(p, 1);
  if (p->failed) return false;
  if (type != IR_KT_i32 || request) return ir_kr_fail(p, "arrivals are counted in an i32 that is in no table");
  ir_kb_arrive(&p->b, last, buffer, index, count);
  return true;
}

// "x:u32[at, row]" of the given type and number of indices; gives the buffer.
static int parse_matrix(parser *p, ir_ktype *out_type, const ir_kexpr **at, int count) {
  int buffer = ir_kr_buffer(p);
  ir_kr_expect(p, ":");
  *out_type = ir_kr_type(p);
  if (!p->failed && ir_kr_args(p, at, count, "[", "]") != count) ir_kr_fail(p, "a matrix has %d indices here", count);
  return buffer;
}

bool ir_kr_word(parser *p, const char *word) {
  return ir_kr_accept_word(p, word) || ir_kr_fail(p, "expected '%s'", word);
}

static bool parse_matdot(parser *p) {
  ir_kmatdot d = {.adds = ir_kr_accept_word(p, "add")};
  ir_ktype type, a, b;
  if (!d.adds && !ir_kr_word(p, "set")) return false;
  d.c = parse_matrix(p, &type, &d.at[IR_KM_AT_C], 2);
  ir_kr_expect(p, "=");
  d.a = parse_matrix(p, &a, &d.at[IR_KM_AT_A], 2);
  ir_kr_expect(p, ",");
  d.b = parse_matrix(p, &b, &d.at[IR_KM_AT_B], 3);
  if (p->failed || !ir_kr_word(p, "rows")) return false;
  if (a != IR_KT_u32 || b != IR_KT_u32) return ir_kr_fail(p, "the factors of matdot are u32");
  d.at[IR_KM_ROWS] = ir_kr_expr(p, 1);
  if (p->failed || !ir_kr_word(p, "panels")) return false;
  d.panels = (int)ir_kr_int(p, 1, 16);
  if (p->failed || !ir_kr_word(p, "words")) return false;
  d.at[IR_KM_WORDS] = ir_kr_expr(p, 1);
  if (p->failed || !ir_kr_word(p, "step")) return false;
  d.step = (int)ir_kr_int(p, 1, 16);
  if (p->failed) return false;
  ir_kb_matdot(&p->b, type, &d);
  return true;
}

static bool parse_store(parser *p) {
  int buffer = ir_kr_buffer(p);
  ir_kr_expect(p, ":");
  ir_ktype type = ir_kr_type(p);
  const ir_kexpr *request, *index;
  ir_kr_element(p, &request, &index);
  ir_kr_expect(p, "=");
  const ir_kexpr *value = ir_kr_expr(p, 1);
  if (p->failed) return false;
  if (request) ir_kb_store_table(&p->b, type, buffer, request, index, value);
  else ir_kb_store(&p->b, type, buffer, index, value);
  return true;
}

static bool parse_comment(parser *p) {
  if (p->at < p->end && *p->at == ' ') p->at++;
  const char *eol = p->at;
  for (; eol < p->end && *eol != '\n'; eol++)
    if ((unsigned char)*eol < ' ' || *eol == 127) return ir_kr_fail(p, "control character in a comment");
  ir_kb_comment(&p->b, "%.*s", (int)(eol - p->at), p->at);
  p->at = eol;
  return true;
}

static bool parse_stmt(parser *p, int depth) {
  static const char *const ranges[] = {"for", "lanes", "unroll", "tiles"};
  if (ir_kr_accept(p, "//")) return parse_comment(p);
  for (int i = 0; i < 4; i++)
    if (ir_kr_accept_word(p, ranges[i])) return parse_for(p, (ir_krange)i, depth);
  if (ir_kr_accept_word(p, "if")) return parse_if(p, depth);
  if (ir_kr_accept_word(p, "let")) return parse_let(p);
  if (ir_kr_accept_word(p, "reg")) return parse_reg(p);
  if (ir_kr_accept_word(p, "set")) return parse_set(p, false);
  if (ir_kr_accept_word(p, "reduce")) return parse_set(p, true);
  if (ir_kr_accept_word(p, "store")) return parse_store(p);
  if (ir_kr_accept_word(p, "prefetch")) return parse_prefetch(p);
  if (ir_kr_accept_word(p, "matdot")) return parse_matdot(p);
  // Block kernels have a statement of that name for mbarriers.
  if (!p->b.kernel->threads && ir_kr_accept_word(p, "arrive")) return parse_arrive(p);
  return ir_kr_block(p) || ir_kr_fail_expected(p, "a statement");
}

static bool parse_list(parser *p, int depth) {
  if (depth > IR_K_MAX_NEST) return ir_kr_fail(p, "statements are nested too deeply");
  while (!ir_kr_peek(p, "}"))
    if (!parse_stmt(p, depth)) return false;
  return true;
}

// ---- the head
static const char *parse_quoted(parser *p) {
  if (!ir_kr_expect(p, "\"")) return "";
  char *out = weir_arena_alloc(p->arena, (size_t)(p->end - p->at) + 1), *o = out;
  while (p->at < p->end && *p->at != '"' && *p->at != '\n') {
    char c = *p->at++;
    if (c == '\\' && p->at < p->end) {
      c = *p->at++;
      if (c == 'n') {
        c = '\n';
      } else if (c == 'x' && p->end - p->at >= 2) {
        char hex[3] = {p->at[0], p->at[1], 0}, *stop;
        c = (char)strtol(hex, &stop, 16);
        if (stop != hex + 2 || !isxdigit((unsigned char)hex[0]) || !c) ir_kr_fail(p, "bad escape");
        p->at += 2;
      }
    }
    *o++ = c;
  }
  ir_kr_expect(p, "\"");
  return memchr(out, 0, (size_t)(o - out)) ? (ir_kr_fail(p, "zero byte in a string"), "") : out;
}

static bool parse_sizes(parser *p) {
  do {
    const char *name = ir_kr_name(p);
    if (!name) return false;
    if (strchr(name, '#')) return ir_kr_fail(p, "a size has a plain name");
    if (p->b.kernel->size_count == IR_KERNEL_MAX_SIZES) return ir_kr_fail(p, "too many sizes");
    if (ir_kr_find(p, name)) return ir_kr_fail(p, "'%s' is in use already", name);
    if (!ir_kr_declare(p, (entry){.name = name, .kind = IR_KNAME_SIZE, .size = ir_kb_add_size(&p->b, name)}))
      return false;
  } while (ir_kr_accept(p, ","));
  return true;
}

static bool parse_const_data(parser *p, const char *name) {
  ir_ktype type = ir_kr_type(p);
  ir_kr_expect(p, "[");
  // An element takes two bytes of text at least.
  int64_t count = ir_kr_int(p, 1, (p->end - p->at) / 2 + 1);
  ir_kr_expect(p, "]");
  ir_kr_expect(p, "=");
  if (p->failed) return false;
  double *data = WEIR_NEW_ARRAY(p->arena, double, count);
  for (int64_t i = 0; i < count; i++) {
    if (i && !ir_kr_expect(p, ",")) return false;
    bool is_float;
    skip_space(p, true);
    const char *number = float_text(p, &is_float);
    if (!number) return ir_kr_fail_expected(p, "a number");
    data[i] = type == IR_KT_f32 ? (double)strtof(number, NULL) : strtod(number, NULL);
    int64_t lo, hi;
    ir_ktype_limits(type, &lo, &hi);
    bool fits = ir_ktype_is_float(type) || (!is_float && data[i] >= (double)lo && data[i] <= (double)hi);
    if (!fits) return ir_kr_fail(p, "element %lld is no %s", (long long)i, ir_ktype_name(type));
  }
  int buffer = ir_kb_add_const(&p->b, ir_kr_plain_name(p, name), type, count, data);
  return ir_kr_declare(p, (entry){.name = name, .kind = IR_KNAME_BUFFER, .buffer = buffer});
}

static bool parse_buffer_line(parser *p, ir_kbuffer_kind kind) {
  const char *name = ir_kr_name(p);
  if (!name) return false;
  if (p->b.kernel->buffer_count == MAX_BUFFERS) return ir_kr_fail(p, "too many buffers");
  bool table = kind == IR_KB_TABLE_IN || kind == IR_KB_TABLE_INOUT;
  if (!table && !ir_kr_expect(p, ":")) return false;
  if (kind == IR_KB_CONST) return parse_const_data(p, name);
  if (kind == IR_KB_MBARRIER) {
    int count = (int)ir_kr_int(p, 1, 1024);
    if (p->failed) return false;
    int made = ir_kb_add_mbarriers(&p->b, ir_kr_plain_name(p, name), count);
    return ir_kr_declare(p, (entry){.name = name, .kind = IR_KNAME_BUFFER, .buffer = made});
  }
  const ir_kexpr *bytes = table ? NULL : ir_kr_expr(p, 1);
  int arg = -1;
  if (kind < IR_KB_LOCAL) {
    if (!ir_kr_expect(p, "@")) return false;
    arg = (int)ir_kr_int(p, 0, IR_KERNEL_MAX_ARGS - 1);
  }
  bool fixed = kind == IR_KB_IN && ir_kr_accept_word(p, "fixed");
  if (p->failed) return false;
  int buffer = ir_kb_add_buffer(&p->b, kind, ir_kr_plain_name(p, name), bytes, arg);
  p->b.kernel->buffers[buffer].fixed = fixed;
  return ir_kr_declare(p, (entry){.name = name, .kind = IR_KNAME_BUFFER, .buffer = buffer});
}

static bool parse_head(parser *p) {
  static const char *const words[] = {"in",    "out",   "inout",  "table_in", "table_inout",
                                      "local", "const", "shared", "mbarrier"};
  if (!ir_kr_accept_word(p, "kernel")) return ir_kr_fail_expected(p, "'kernel'");
  const char *name = ir_kr_name(p);
  const char *banner = parse_quoted(p);
  if (p->failed) return false;
  ir_kb_init(&p->b, p->arena, ir_kr_plain_name(p, name), banner);
  if (ir_kr_accept_word(p, "sizes") && !parse_sizes(p)) return false;
  for (;;) {
    int kind = 0;
    while (kind <= IR_KB_MBARRIER && !ir_kr_accept_word(p, words[kind])) kind++;
    if (kind > IR_KB_MBARRIER) break;
    if (!parse_buffer_line(p, (ir_kbuffer_kind)kind)) return false;
  }
  while (ir_kr_accept_word(p, "map"))
    if (!ir_kr_map(p)) return false;
  if (!ir_kr_accept_word(p, "grid")) return ir_kr_fail_expected(p, "a buffer or 'grid'");
  const char *grid = ir_kr_peek(p, ":") ? NULL : ir_kr_name(p);
  if (!ir_kr_expect(p, ":")) return false;
  const ir_kexpr *count = ir_kr_expr(p, 1);
  if (p->failed) return false;
  if (!grid) p->b.kernel->grid = count;
  else if (!ir_kr_declare_var(p, grid, ir_kb_set_grid(&p->b, count, ir_kr_plain_name(p, grid))->var)) return false;
  return ir_kr_threads(p);
}

// |p->b| is not there before the head's first line is read.
static bool parse_kernel(parser *p) {
  if (!parse_head(p) || !parse_block(p, 0)) return false;
  skip_space(p, true);
  return p->at == p->end || ir_kr_fail_expected(p, "the end of the text");
}

weir_status ir_kernel_parse(weir_arena *arena, const char *text, size_t length, ir_kernel **out_kernel) {
  if (length > MAX_TEXT_BYTES) return weir_status_make(WEIR_CODE_INVALID_DATA, "kernel text of %zu bytes", length);
  parser p = {.arena = arena, .at = text, .end = text + length, .line = 1};
  if (!parse_kernel(&p)) return weir_status_make(WEIR_CODE_INVALID_DATA, "line %d: %s", p.failed_line, p.message);
  *out_kernel = ir_kb_finish(&p.b);
  return WEIR_OK;
}
