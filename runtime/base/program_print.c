// The text form of programs (docs/program.md): one line for each thing, in the order of the tables.
//
// Expressions are stored as postfix code and printed as infix with the fewest parentheses; reading them back gives the
// same code.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/program_internal.h"

typedef struct {
  weir_arena *arena;
  char *data;
  size_t length, capacity;
} text;

static void put(text *t, const char *fmt, ...) WEIR_PRINTF(2, 3);
static void put(text *t, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int length = vsnprintf(t->data + t->length, t->capacity - t->length, fmt, args);
  va_end(args);
  if (length > 0 && (size_t)length >= t->capacity - t->length) {
    size_t capacity = 2 * t->capacity + (size_t)length + 1;
    t->data = weir_arena_grow(t->arena, t->data, t->length, capacity, 1);
    t->capacity = capacity;
    vsnprintf(t->data + t->length, t->capacity - t->length, fmt, again);
  }
  va_end(again);
  if (length > 0) t->length += (size_t)length;
}

static void put_quoted(text *t, const char *string) {
  put(t, "\"");
  for (const unsigned char *c = (const unsigned char *)(string ? string : ""); *c; c++) {
    if (*c == '"' || *c == '\\') put(t, "\\%c", *c);
    else if (*c < 32 || *c > 126) put(t, "\\x%02x", *c);
    else put(t, "%c", *c);
  }
  put(t, "\"");
}

// ---- expressions
typedef struct {
  const char *text;
  int level;  // 1 sums, 2 products, 3 the rest
} piece;

static const struct {
  const char *symbol;
  int level;
} operators[] = {
    [RT_SIZE_ADD] = {"+", 1}, [RT_SIZE_SUB] = {"-", 1},   [RT_SIZE_MUL] = {"*", 2},   [RT_SIZE_DIV] = {"/", 2},
    [RT_SIZE_MOD] = {"%", 2}, [RT_SIZE_MIN] = {"min", 3}, [RT_SIZE_MAX] = {"max", 3},
};

static piece join(weir_arena *arena, rt_size_code code, piece a, piece b) {
  const char *symbol = operators[code].symbol;
  int level = operators[code].level;
  if (level == 3) return (piece){weir_arena_printf(arena, "%s(%s, %s)", symbol, a.text, b.text), 3};
  bool left = a.level < level, right = b.level <= level;
  const char *space = level == 1 ? " " : "";
  return (piece){weir_arena_printf(arena, "%s%s%s%s%s%s%s%s%s", left ? "(" : "", a.text, left ? ")" : "", space, symbol,
                                   space, right ? "(" : "", b.text, right ? ")" : ""),
                 level};
}

static void put_expr(text *t, rt_expr expr, const char *const *names, int name_count) {
  piece stack[RT_EXPR_MAX_STACK];
  int depth = 0;
  for (int i = 0; i < expr.op_count; i++) {
    rt_size_op op = expr.ops[i];
    piece p;
    if (op.code == RT_SIZE_CONST) {
      p = (piece){weir_arena_printf(t->arena, "%lld", (long long)op.value), 3};
    } else if (op.code == RT_SIZE_VAR) {
      p = (piece){op.value >= 0 && op.value < name_count ? names[op.value] : "?", 3};
    } else if ((unsigned)op.code > RT_SIZE_MAX || depth < 2) {
      put(t, "?");
      return;
    } else {
      depth -= 2;
      p = join(t->arena, op.code, stack[depth], stack[depth + 1]);
    }
    if (depth == RT_EXPR_MAX_STACK) {
      put(t, "?");
      return;
    }
    stack[depth++] = p;
  }
  put(t, "%s", depth == 1 ? stack[0].text : "?");
}

static void put_size(text *t, const rt_program *p, rt_expr expr) { put_expr(t, expr, p->sizes, p->size_count); }

static const char *symbol_name(const rt_program *p, int symbol) {
  int volume = symbol - p->symbol_count;
  if (volume >= 0 && volume < p->volume_count) return p->volumes[volume].name;
  return symbol >= 0 && symbol < p->symbol_count ? p->symbols[symbol].name : "?";
}

// ---- lines
static void put_symbol(text *t, const rt_symbol *s) {
  static const char *const roles[] = {"plain", "batch", "seq"};
  put(t, "symbol %s %s %lld..%lld", s->name, (unsigned)s->role <= RT_ROLE_SEQ ? roles[s->role] : "?", (long long)s->lo,
      (long long)s->hi);
  if (s->divisor != 1) put(t, " by %lld", (long long)s->divisor);
  if (s->grows) put(t, " grows");
  if (s->stored) put(t, " stored");
  put(t, "\n");
}

static void put_tensor(text *t, const rt_program *p, const char *word, const rt_tensor *x, const char *const *symbols) {
  put(t, "%s ", word);
  put_quoted(t, x->name);
  put(t, " %s[", rt_dtype_name(x->dtype));
  for (int d = 0; d < x->rank && d < RT_MAX_RANK; d++) {
    if (d) put(t, ", ");
    put_expr(t, x->dims[d], symbols, 2 * p->symbol_count);
  }
  put(t, "]");
  if (x->ragged >= 0) put(t, " ragged %s", symbol_name(p, x->ragged));
  put(t, " bytes ");
  put_size(t, p, x->bytes);
  if (x->lo <= x->hi) put(t, " in %lld..%lld", (long long)x->lo, (long long)x->hi);
  if (x->limited) {
    put(t, " below ");
    put_expr(t, x->below, symbols, 2 * p->symbol_count);
  }
  put(t, "\n");
}

static void put_state(text *t, const rt_program *p, const rt_state *s) {
  put(t, "state ");
  put_quoted(t, s->path);
  put(t, " %s bytes %lld", rt_dtype_name(s->dtype), (long long)s->row_bytes);
  if (s->rows) put(t, " %s %s", s->whole ? "whole" : "rows", symbol_name(p, s->symbol));
  if (s->panel) put(t, " panel %d", RT_PANEL_ROWS);
  if (s->window) put(t, " window %lld", (long long)s->window);
  if (s->initial != 0 || signbit(s->initial)) {
    int precision = 1;
    char digits[40];
    do snprintf(digits, sizeof digits, "%.*g", precision, s->initial);
    while (strtod(digits, NULL) != s->initial && ++precision <= 17);
    put(t, " initial %s", isnan(s->initial) ? "nan" : digits);
  }
  if (s->unset) put(t, " unset");
  if (s->reads) put(t, " reads");
  if (s->writes) put(t, " writes");
  put(t, "\n");
}

static void put_arg(text *t, const rt_program *p, rt_arg arg) {
  static const char *const words[] = {"b", "w", "in", "out", "state", "starts", "requests", "positions", "past"};
  if ((unsigned)arg.kind > RT_ARG_PAST) put(t, "?");
  else if (arg.kind < RT_ARG_STARTS) put(t, "%s%d", words[arg.kind], arg.index);
  else put(t, "%s(%s)", words[arg.kind], symbol_name(p, arg.index));
}

static void put_launch(text *t, const rt_program *p, const rt_launch *l) {
  put(t, "launch %d grid ", l->kernel);
  put_size(t, p, l->grid);
  for (int i = 0; i < l->arg_count && i < RT_MAX_ARGS; i++) {
    put(t, i ? ", " : " args ");
    put_arg(t, p, l->args[i]);
  }
  for (int i = 0; i < l->dim_count && i < RT_MAX_DIMS; i++) {
    put(t, i ? ", " : " dims ");
    put_size(t, p, l->dims[i]);
  }
  if (l->sync) put(t, " sync");
  if (l->guard.op_count) {
    put(t, " when ");
    put_size(t, p, l->guard);
    put(t, " in %lld..%lld", (long long)l->guard_lo, (long long)l->guard_hi);
  }
  if (l->flops_per_item.op_count && l->bytes_per_item.op_count) {
    put(t, " cost ");
    put_size(t, p, l->flops_per_item);
    put(t, ", ");
    put_size(t, p, l->bytes_per_item);
  }
  if (l->note && *l->note) {
    put(t, " note ");
    put_quoted(t, l->note);
  }
  put(t, "\n");
}

// Launches with the loops around them.
static void put_launches(text *t, const rt_program *p) {
  int open[RT_MAX_LOOP_DEPTH], depth = 0, next = 0;
  for (int i = 0; i < p->launch_count; i++) {
    for (; next < p->loop_count && p->loops[next].first == i && depth < RT_MAX_LOOP_DEPTH; next++) {
      const rt_loop *l = &p->loops[next];
      put(t, "loop %s trips ", l->size >= 0 && l->size < p->size_count ? p->sizes[l->size] : "?");
      put_size(t, p, l->trips);
      if (l->flags >= 0) put(t, " while b%d", l->flags);
      put(t, "\n");
      open[depth++] = next;
    }
    put_launch(t, p, &p->launches[i]);
    for (; depth && p->loops[open[depth - 1]].last <= i; depth--) put(t, "end\n");
  }
}

static void put_tables(text *t, const rt_program *p) {
  for (int i = 0; i < p->weight_count; i++) {
    put(t, "weight %d ", i);
    put_quoted(t, p->weights[i].path);
    put(t, " bytes %lld\n", (long long)p->weights[i].bytes);
  }
  for (int i = 0; i < p->buffer_count; i++) {
    put(t, "buffer %d ", i);
    put_quoted(t, p->buffers[i].name);
    put(t, " bytes ");
    put_size(t, p, p->buffers[i].bytes);
    put(t, " at ");
    put_size(t, p, p->buffers[i].offset);
    put(t, "\n");
  }
  for (int i = 0; i < p->kernel_count; i++) {
    const rt_kernel *k = &p->kernels[i];
    put(t, "kernel %d ", i);
    put_quoted(t, k->symbol);
    put(t, " args %d dims %d", k->arg_count, k->dim_count);
    if (k->scratch_bytes) put(t, " scratch %lld", (long long)k->scratch_bytes);
    put(t, "\n");
  }
}

const char *rt_program_print(weir_arena *arena, const rt_program *p) {
  text t = {.arena = arena, .data = weir_arena_alloc(arena, 4096), .capacity = 4096};
  put(&t, "program ");
  put_quoted(&t, p->name);
  put(&t, "%s\n", p->step ? " step" : "");
  for (int i = 0; i < p->size_count; i++) put(&t, "%s%s", i ? ", " : "sizes ", p->sizes[i]);
  if (p->size_count) put(&t, "\n");
  const char **symbols = WEIR_NEW_ARRAY(arena, const char *, 2 * p->symbol_count + 1);
  for (int i = 0; i < p->symbol_count; i++) {
    symbols[i] = p->symbols[i].name;
    symbols[p->symbol_count + i] = weir_arena_printf(arena, "%s.past", p->symbols[i].name);
  }
  for (int i = 0; i < p->symbol_count; i++) put_symbol(&t, &p->symbols[i]);
  for (int i = 0; i < p->volume_count; i++) {
    put(&t, "volume %s count ", p->volumes[i].name);
    put_expr(&t, p->volumes[i].count, symbols, 2 * p->symbol_count);
    put(&t, "\n");
  }
  for (int i = 0; i < p->input_count; i++) put_tensor(&t, p, "input", &p->inputs[i], symbols);
  for (int i = 0; i < p->output_count; i++) put_tensor(&t, p, "output", &p->outputs[i], symbols);
  for (int i = 0; i < p->state_count; i++) put_state(&t, p, &p->states[i]);
  put_tables(&t, p);
  put_launches(&t, p);
  put(&t, "arena ");
  put_size(&t, p, p->arena_bytes);
  put(&t, "\n");
  return t.data;
}
