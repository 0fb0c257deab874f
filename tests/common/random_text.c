// The generator writes one statement after the other; each takes values made before and gives new ones. What it knows
// of a value is its type, a bound on its magnitude and whether float32 computes it exactly.
#include "tests/common/random_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_VALUES = 64, MAX_RANK = 4, SEQ = -1, SEQ_LESS = -2 };  // dims: a number, T, T - 1

typedef enum { F32, I32, BOOL } element;

typedef struct {
  char name[16];
  element type;
  int rank, dims[MAX_RANK];
  double bound;
  bool exact;
} value;

typedef struct {
  char *data;
  size_t length, capacity;
} text;

typedef struct {
  weir_arena *arena;
  random_choices *choices;
  text members, body;
  value values[MAX_VALUES];
  int value_count, names, member_count;
  bool step;   // nothing may look along T but backwards
  bool grows;  // a state was appended over T
} maker;

// ---- choices and texts

static uint32_t take(random_choices *c, weir_arena *arena) {
  if (c->next == c->count) {
    uint32_t fresh = 0;
    if (c->random) {
      c->random ^= c->random << 13;
      c->random ^= c->random >> 7;
      c->random ^= c->random << 17;
      fresh = (uint32_t)(c->random >> 24);
    }
    WEIR_PUSH(arena, c->data, c->count, c->capacity, fresh);
  }
  return c->data[c->next++];
}

static int below(maker *m, int limit) { return (int)(take(m->choices, m->arena) % (uint32_t)limit); }
static bool chance(maker *m, int of) { return below(m, of) == of - 1; }  // 0 is no

static void add(maker *m, text *t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(maker *m, text *t, const char *fmt, ...) {
  char line[512];
  va_list args;
  va_start(args, fmt);
  int length = vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  if (t->length + (size_t)length + 1 > t->capacity) {
    size_t capacity = 2 * (t->capacity + (size_t)length) + 256;
    char *data = WEIR_NEW_ARRAY(m->arena, char, capacity);
    if (t->data) memcpy(data, t->data, t->length);
    t->data = data;
    t->capacity = capacity;
  }
  memcpy(t->data + t->length, line, (size_t)length + 1);
  t->length += (size_t)length;
}

static const char *dim_text(int dim, char *out) {
  if (dim == SEQ) return "T";
  if (dim == SEQ_LESS) return "T - 1";
  snprintf(out, 12, "%d", dim);
  return out;
}

static const char *type_text(weir_arena *arena, const value *v) {
  static const char *const names[] = {"f32", "i32", "bool"};
  char dims[64] = "", number[12];
  for (int i = 0; i < v->rank; i++) {
    strcat(dims, i ? ", " : "");
    strcat(dims, dim_text(v->dims[i], number));
  }
  return weir_arena_printf(arena, "%s[%s]", names[v->type], dims);
}

// ---- values

static bool ragged(const value *v) {
  for (int i = 0; i < v->rank; i++)
    if (v->dims[i] < 0) return true;
  return false;
}

static value *fresh(maker *m, element type, int rank, const int *dims, double bound, bool exact) {
  if (m->value_count == MAX_VALUES) m->value_count--;
  value *v = &m->values[m->value_count++];
  *v = (value){.type = type, .rank = rank, .bound = bound, .exact = exact};
  snprintf(v->name, sizeof v->name, "v%d", m->names++);
  for (int i = 0; i < rank; i++) v->dims[i] = dims[i];
  return v;
}

static value *like(maker *m, const value *x, double bound, bool exact) {
  return fresh(m, x->type, x->rank, x->dims, bound, exact);
}

typedef bool (*wanted)(const value *v);
static bool any_float(const value *v) { return v->type == F32; }
static bool float_rows(const value *v) { return v->type == F32 && v->rank >= 1 && v->dims[v->rank - 1] > 0; }
static bool rows_of_seq(const value *v) {
  return v->type == F32 && v->rank == 2 && v->dims[0] == SEQ && v->dims[1] > 0;
}
static bool exact_rows(const value *v) { return float_rows(v) && v->exact; }
static bool moderate(const value *v) { return v->type == F32 && v->bound <= 2; }
static bool matrix(const value *v) { return v->type == F32 && v->rank >= 2; }

static value *pick(maker *m, wanted f) {
  value *found[MAX_VALUES];
  int count = 0;
  for (int i = m->value_count - 1; i >= 0; i--)  // the newest first: choice 0 makes chains
    if (f(&m->values[i])) found[count++] = &m->values[i];
  return count ? found[below(m, count)] : NULL;
}

// Another float whose shape is that of |x|, ends it, or is a scalar.
static value *fitting(maker *m, const value *x) {
  value *found[MAX_VALUES];
  int count = 0;
  for (int i = m->value_count - 1; i >= 0; i--) {
    value *v = &m->values[i];
    if (v->type != x->type || v->rank > x->rank) continue;
    bool fits = true;
    for (int k = 1; k <= v->rank; k++) fits = fits && v->dims[v->rank - k] == x->dims[x->rank - k];
    if (fits) found[count++] = v;
  }
  return found[below(m, count)];
}

static double literal(maker *m) { return 0.25 * (1 + below(m, 8)); }

// Brings |v| back to small magnitudes where it has grown.
static void tame(maker *m, value *v) {
  if (v->type != F32 || v->bound <= 16) return;
  add(m, &m->body, "    %s = tanh(%s);\n", v->name, v->name);
  v->bound = 1;
  v->exact = false;
}

static const char *param(maker *m, const char *dims) {
  const char *name = weir_arena_printf(m->arena, "w%d", m->member_count++);
  add(m, &m->members, "  param %s: f32[%s];\n", name, dims);
  return name;
}

// ---- statements. Each returns false where it found no operands.

static bool unary(maker *m) {
  static const struct {
    const char *form;
    double bound;  // of the result for operands up to 2; 0: that of the operand
    bool exact;
  } forms[] = {
      {"-%s", 0, true},
      {"abs(%s)", 0, true},
      {"relu(%s)", 0, true},
      {"tanh(%s)", 1, false},
      {"sigmoid(%s)", 1, false},
      {"exp(%s)", 7.4, false},
      {"silu(%s)", 2, false},
      {"gelu(%s)", 2, false},
      {"sin(%s)", 1, false},
      {"cos(%s)", 1, false},
      {"softplus(%s)", 2.2, false},
      {"sqrt(abs(%s))", 1.5, false},
      {"erf(%s)", 1, false},
      {"log(1 + abs(%s))", 1.1, false},
  };
  int at = below(m, sizeof forms / sizeof *forms);
  value *x = pick(m, forms[at].bound ? moderate : any_float);
  if (!x) return false;
  char expr[64];
  snprintf(expr, sizeof expr, forms[at].form, x->name);
  value *y = like(m, x, forms[at].bound ? forms[at].bound : x->bound, forms[at].exact && x->exact);
  add(m, &m->body, "    %s = %s;\n", y->name, expr);
  return true;
}

static bool binary(maker *m) {
  value *x = pick(m, any_float);
  if (!x) return false;
  value *z = fitting(m, x);
  bool swap = chance(m, 2);
  const char *a = swap ? z->name : x->name, *b = swap ? x->name : z->name;
  double xb = x->bound, zb = z->bound;
  bool exact = x->exact && z->exact;
  int kind = below(m, 7);
  value *y = like(m, x, 0, exact);
  switch (kind) {
    case 0:
    case 1:
      add(m, &m->body, "    %s = %s %s %s;\n", y->name, a, kind ? "-" : "+", b);
      y->bound = xb + zb;
      break;
    case 2:
      add(m, &m->body, "    %s = %s * %s;\n", y->name, a, b);
      y->bound = xb * zb;
      y->exact = false;
      break;
    case 3:
      add(m, &m->body, "    %s = %s / (abs(%s) + 1);\n", y->name, a, b);
      y->bound = xb > zb ? xb : zb;
      y->exact = false;
      break;
    case 4:
      add(m, &m->body, "    %s = %s(%s, %s);\n", y->name, chance(m, 2) ? "min" : "max", a, b);
      y->bound = xb > zb ? xb : zb;
      break;
    case 5:
      add(m, &m->body, "    %s = %g * %s + %g;\n", y->name, literal(m), x->name, literal(m));
      y->bound = 2 * xb + 2;
      y->exact = false;
      break;
    default:
      if (!exact) return m->value_count--, false;
      add(m, &m->body, "    %s = select(%s %s %s, %s, %s);\n", y->name, a, chance(m, 2) ? "<" : ">=", b, x->name,
          x->name);
      y->bound = xb;
  }
  tame(m, y);
  return true;
}

static bool reduce(maker *m) {
  static const char *const ops[] = {"sum", "mean", "max", "min", "norm", "logsumexp"};
  value *x = pick(m, float_rows);
  if (!x) return false;
  int axis = x->rank - 1;
  if (!m->step && x->rank >= 1 && chance(m, 3)) axis = below(m, x->rank);
  if (x->dims[axis] == SEQ_LESS) return false;
  int op = below(m, 6), dims[MAX_RANK], rank = 0;
  for (int i = 0; i < x->rank; i++)
    if (i != axis) dims[rank++] = x->dims[i];
  double xb = x->bound;
  bool exact = x->exact && (op == 2 || op == 3);
  const char *from = x->name;
  value *y = fresh(m, F32, rank, dims, xb, exact);
  add(m, &m->body, "    %s = %s(%s, over = %d);\n", y->name, ops[op], from, axis - x->rank);
  if (op == 0 || op == 4) y->bound = 16 * xb;
  if (op == 5) y->bound = xb + 3;
  tame(m, y);
  return true;
}

static bool lines(maker *m) {  // softmax, sorting, cumulative: along the last dim
  static const char *const ops[] = {"softmax", "cumsum", "sort", "reverse"};
  int op = below(m, 4);
  value *x = pick(m, op == 2 ? exact_rows : float_rows);
  if (!x) return false;
  value *y = like(m, x, op == 0 ? 1 : op == 1 ? 6 * x->bound : x->bound, op >= 2 && x->exact);
  add(m, &m->body, "    %s = %s(%s, over = -1);\n", y->name, ops[op], x->name);
  tame(m, y);
  return true;
}

static bool product(maker *m) {
  value *x = pick(m, float_rows);
  if (!x) return false;
  int width = x->dims[x->rank - 1], out = 1 + below(m, 6), dims[MAX_RANK];
  const char *w = param(m, weir_arena_printf(m->arena, "%d, %d", out, width));
  memcpy(dims, x->dims, sizeof dims);
  dims[x->rank - 1] = out;
  double bound = 0.5 * width * x->bound;
  const char *from = x->name;
  value *y = fresh(m, F32, x->rank, dims, bound, false);
  if (chance(m, 3))
    add(m, &m->body, "    %s = linear(%s, %s, %s);\n", y->name, from, w,
        param(m, weir_arena_printf(m->arena, "%d", out)));
  else add(m, &m->body, "    %s = linear(%s, %s);\n", y->name, from, w);
  y->bound += 1;
  tame(m, y);
  return true;
}

static bool movement(maker *m) {
  value *x = pick(m, matrix);
  if (!x) return false;
  value from = *x;
  switch (below(m, 4)) {
    case 0: {  // two axes change places
      int a = below(m, from.rank), b = (a + 1) % from.rank, dims[MAX_RANK];
      char perm[64] = "", number[12];
      for (int i = 0; i < from.rank; i++) {
        dims[i] = from.dims[i == a ? b : i == b ? a : i];
        snprintf(number, sizeof number, "%s%d", i ? ", " : "", i == a ? b : i == b ? a : i);
        strcat(perm, number);
      }
      value *y = fresh(m, F32, from.rank, dims, from.bound, from.exact);
      add(m, &m->body, "    %s = permute(%s, [%s]);\n", y->name, from.name, perm);
      return true;
    }
    case 1: {  // a new last axis
      int last = from.dims[from.rank - 1];
      if (from.rank == MAX_RANK || last < 2 || last % 2) return false;
      int dims[MAX_RANK];
      memcpy(dims, from.dims, sizeof dims);
      dims[from.rank - 1] = last / 2;
      dims[from.rank] = 2;
      value *y = fresh(m, F32, from.rank + 1, dims, from.bound, from.exact);
      add(m, &m->body, "    %s = %s as [", y->name, from.name);
      for (int i = 0; i <= from.rank; i++) {
        char number[12];
        add(m, &m->body, "%s%s", i ? ", " : "", dim_text(dims[i], number));
      }
      add(m, &m->body, "];\n");
      return true;
    }
    case 2: {
      if (from.dims[from.rank - 1] <= 0) return false;
      int dims[MAX_RANK];
      memcpy(dims, from.dims, sizeof dims);
      dims[from.rank - 1] *= 2;
      value *y = fresh(m, F32, from.rank, dims, from.bound, from.exact);
      add(m, &m->body, "    %s = concat(%s, %s, over = -1);\n", y->name, from.name, from.name);
      return true;
    }
    default: {
      int last = from.dims[from.rank - 1];
      if (last < 2) return false;
      int cut = 1 + below(m, last - 1), dims[MAX_RANK];
      memcpy(dims, from.dims, sizeof dims);
      dims[from.rank - 1] = cut;
      value *y = fresh(m, F32, from.rank, dims, from.bound, from.exact);
      value *z = fresh(m, F32, from.rank, dims, from.bound, from.exact);
      z->dims[from.rank - 1] = last - cut;
      add(m, &m->body, "    %s, %s = split(%s, [%d, %d]);\n", y->name, z->name, from.name, cut, last - cut);
      return true;
    }
  }
}

static bool indexed(maker *m) {
  value *x = pick(m, rows_of_seq);
  if (!x) return false;
  value from = *x;
  int width = from.dims[1], dims[2] = {SEQ, width};
  switch (below(m, m->step ? 3 : 6)) {
    case 0: {
      value *y = fresh(m, F32, 2, dims, 2 * from.bound + 2, false);
      add(m, &m->body, "    %s[t, d] = %s[t, d] * 0.5 + f32(d) * 0.25;\n", y->name, from.name);
      tame(m, y);
      return true;
    }
    case 1: {  // a triangular sum within the row
      value *y = fresh(m, F32, 2, dims, width * from.bound, false);
      add(m, &m->body, "    %s[t, d in %d] = sum(e: %s[t, e] where e <= d);\n", y->name, width, from.name);
      tame(m, y);
      return true;
    }
    case 2: {
      const char *w = param(m, weir_arena_printf(m->arena, "3, %d, 2", width));
      int out[3] = {SEQ, 3, 2};
      value *y = fresh(m, F32, 3, out, 0.5 * width * from.bound, false);
      add(m, &m->body, "    %s[t, a, b] = sum(d: %s[t, d] * %s[a, d, b]);\n", y->name, from.name, w);
      tame(m, y);
      return true;
    }
    case 3: {  // neighbours, none beyond the ends
      const char *w = param(m, weir_arena_printf(m->arena, "3, %d", width));
      value *y = fresh(m, F32, 2, dims, 1.5 * from.bound, false);
      add(m, &m->body, "    %s[t in T, d] = sum(k: %s[t + k - 1, d] * %s[k, d] where 0 <= t + k - 1 < T);\n", y->name,
          from.name, w);
      tame(m, y);
      return true;
    }
    case 4: {
      dims[0] = SEQ_LESS;
      value *y = fresh(m, F32, 2, dims, 2 * from.bound, from.exact);
      add(m, &m->body, "    %s[t in T - 1, d] = %s[t + 1, d] - %s[t, d];\n", y->name, from.name, from.name);
      return true;
    }
    default: {  // all pairs of rows
      int one[1] = {SEQ};
      value *y = fresh(m, F32, 1, one, 8, false);
      add(m, &m->body, "    p%s[t, u] = sum(d: %s[t, d] * %s[u, d]);\n", y->name, from.name, from.name);
      add(m, &m->body, "    %s = logsumexp(tanh(p%s), over = -1);\n", y->name, y->name);
      return true;
    }
  }
}

static bool scanned(maker *m) {
  value *x = pick(m, rows_of_seq);
  if (!x || (m->step && m->grows && chance(m, 2))) return false;
  value from = *x;
  int width = from.dims[1], dims[2] = {SEQ, width};
  char carry[24];
  snprintf(carry, sizeof carry, "c%d", m->names++);
  if (m->step || chance(m, 2)) {
    add(m, &m->members, "  state %s: f32[%d] = %g;\n", carry, width, chance(m, 2) ? 0.5 : 0.0);
    m->grows = true;
  } else {
    add(m, &m->body, "    %s = 0 * w%d;\n", carry, m->member_count);
    param(m, weir_arena_printf(m->arena, "%d", width));
  }
  value *y = fresh(m, F32, 2, dims, 3, false);
  if (chance(m, 2)) {
    const char *w = param(m, weir_arena_printf(m->arena, "%d, %d", width, width));
    add(m, &m->body, "    scan t in T carry %s {\n      %s = tanh(linear(%s, %s) + %s[t]);\n      %s[t] = %s;\n    }\n",
        carry, carry, carry, w, from.name, y->name, carry);
  } else {
    add(m, &m->body,
        "    scan t in T carry %s {\n      %s[d] = 0.5 * %s[d] + tanh(%s[t, d]);\n      %s[t, d] = %s[d] * 0.5;\n    "
        "}\n",
        carry, carry, carry, from.name, y->name, carry);
  }
  return true;
}

static bool history(maker *m) {
  value *x = pick(m, rows_of_seq);
  if (!x) return false;
  value from = *x;
  int width = from.dims[1], dims[2] = {SEQ, width};
  char name[24];
  snprintf(name, sizeof name, "s%d", m->names++);
  bool window = chance(m, 2);
  int reach = 2 + below(m, 4);
  if (window) {
    add(m, &m->members, "  state %s: f32[%d] over last(T, %d);\n", name, width, reach);
    add(m, &m->body, "    %s = append(%s, %s);\n", name, name, from.name);
  } else {
    add(m, &m->members, "  state %s: f32[1, %d] over T;\n", name, width);
    add(m, &m->body, "    %s = append(%s, %s as [T, 1, %d]);\n", name, name, from.name, width);
  }
  m->grows = true;
  value *y = fresh(m, F32, 2, dims, 8, false);
  if (window)
    add(m, &m->body, "    %s[t in T, d] = sum(u: tanh(%s[u, d]) where 0 <= pos(t) - pos(u) < %d);\n", y->name, name,
        reach);
  else
    add(m, &m->body, "    %s = attend(%s as [T, 1, %d], %s, %s, causal = true) as [T, %d];\n", y->name, from.name,
        width, name, name, width);
  y->bound = window ? reach : from.bound;
  return true;
}

static bool attention(maker *m) {
  value *x = pick(m, rows_of_seq);
  if (!x || m->step || x->bound > 2) return false;
  value from = *x;
  value *y = fresh(m, F32, 2, from.dims, from.bound, false);
  add(m, &m->body, "    %s = attend(%s as [T, 1, %d], %s as [T, 1, %d], %s as [T, 1, %d]) as [T, %d];\n", y->name,
      from.name, from.dims[1], from.name, from.dims[1], from.name, from.dims[1], from.dims[1]);
  return true;
}

static bool conditional(maker *m) {
  value *x = pick(m, any_float);
  if (!x) return false;
  value from = *x;
  value *y = fresh(m, F32, from.rank, from.dims, 2 * from.bound, false);
  add(m, &m->body, "    cond flag { %s = %s * 2; } else { %s = tanh(%s); }\n", y->name, from.name, y->name, from.name);
  tame(m, y);
  return true;
}

static bool iterated(maker *m) {
  value *x = pick(m, moderate);
  if (!x || ragged(x)) return false;
  value from = *x;
  value *y = fresh(m, F32, from.rank, from.dims, 2, false);
  add(m, &m->body, "    %s = %s;\n    scan i in 0..%d carry %s { %s = tanh(%s) + 0.25 * f32(i); }\n", y->name,
      from.name, 1 + below(m, 4), y->name, y->name, y->name);
  return true;
}

static bool called(maker *m) {
  value *x = pick(m, rows_of_seq);
  if (!x) return false;
  value from = *x;
  int number = m->member_count++;
  value *y = fresh(m, F32, 2, from.dims, 4, false);
  if (chance(m, 2)) {
    add(m, &m->members, "  m%d: Gate{%d};\n", number, from.dims[1]);
    add(m, &m->body, "    %s = m%d(%s);\n", y->name, number, from.name);
    y->bound = from.bound + 1;
  } else {
    add(m, &m->body, "    %s = squash(%s, %g);\n", y->name, from.name, literal(m));
    y->bound = 2;
  }
  return true;
}

static bool looked_up(maker *m) {
  int width = 1 + below(m, 5), dims[2] = {SEQ, width};
  const char *w = param(m, weir_arena_printf(m->arena, "8, %d", width));
  value *y = fresh(m, F32, 2, dims, 0.5, true);
  if (chance(m, 2)) add(m, &m->body, "    %s = gather(%s, ids);\n", y->name, w);
  else add(m, &m->body, "    %s[t, d] = %s[ids[t], d];\n", y->name, w);
  return true;
}

static void statement(maker *m) {
  static bool (*const kinds[])(maker *) = {unary,       binary,   binary,  reduce,   lines,   product,
                                           movement,    indexed,  indexed, scanned,  history, attention,
                                           conditional, iterated, called,  looked_up};
  for (int tries = 0; tries < 6; tries++) {
    if (kinds[below(m, sizeof kinds / sizeof *kinds)](m)) return;
  }
}

// ---- the program

static void results(maker *m) {
  int count = 1 + below(m, 3);
  text types = {0}, names = {0};
  for (int i = 0; i < count; i++) {
    value *v = &m->values[m->value_count - 1 - below(m, m->value_count < 6 ? m->value_count : 6)];
    add(m, &types, "%sr%d: %s", i ? ", " : "", i, type_text(m->arena, v));
    add(m, &names, "%s%s", i ? ", " : "", v->name);
  }
  add(m, &m->body, "    return %s;\n  }\n}\n", names.data);
  add(m, &m->members, "  %s main(x: f32[T, 4], y: f32[T, 3], c: f32[5], ids: i32[T] in 0..8, flag: bool[]) -> (%s) {\n",
      m->step ? "step" : "entry", types.data);
}

const char *random_text(weir_arena *arena, random_choices *choices) {
  maker m = {.arena = arena, .choices = choices};
  choices->next = 0;
  m.step = chance(&m, 3);
  static const int x[2] = {SEQ, 4}, y[2] = {SEQ, 3}, c[1] = {5};
  fresh(&m, F32, 1, c, 2, true);
  fresh(&m, F32, 2, y, 2, true);
  fresh(&m, F32, 2, x, 2, true);
  strcpy(m.values[0].name, "c");
  strcpy(m.values[1].name, "y");
  strcpy(m.values[2].name, "x");
  int count = 1 + below(&m, 14);
  for (int i = 0; i < count; i++) statement(&m);
  results(&m);
  return weir_arena_printf(arena,
                           "use std.nn;\n"
                           "dim T: seq;\n"
                           "fn squash(x: f32[...], a: float) -> f32[...] { return a * tanh(x); }\n"
                           "block Gate {D: int} (x: f32[T, D]) -> f32[T, D] {\n"
                           "  param w: f32[D, D];\n"
                           "  return x + sigmoid(linear(x, w));\n"
                           "}\n"
                           "model Random {} {\n"
                           "  dim T: seq in 2..=24;\n"
                           "%s%s",
                           m.members.data, m.body.data);
}

// ---- shrinking

static bool still_fails(weir_arena *arena, random_choices *c, random_text_fails fails, void *user, const char **best) {
  const char *made = random_text(arena, c);
  if (strlen(made) >= strlen(*best) || !fails(user, made)) return false;
  *best = made;
  return true;
}

const char *random_text_shrink(weir_arena *arena, const random_choices *choices, random_text_fails fails, void *user,
                               int attempts) {
  random_choices now = {.count = choices->count};
  now.data = WEIR_NEW_ARRAY(arena, uint32_t, choices->count + 1);
  memcpy(now.data, choices->data, sizeof *now.data * (size_t)choices->count);
  random_choices first = now;
  const char *best = random_text(arena, &first);
  for (int size = now.count / 2; size >= 1; size /= 2) {
    for (int at = 0; at + size <= now.count && attempts > 0;) {
      bool made = false;
      for (int zero = 0; zero < 2 && !made; zero++, attempts--) {  // leave them out, then set them to 0
        random_choices tried = {.count = zero ? now.count : now.count - size};
        tried.data = WEIR_NEW_ARRAY(arena, uint32_t, now.count + 1);
        memcpy(tried.data, now.data, sizeof *now.data * (size_t)at);
        if (!zero) memcpy(tried.data + at, now.data + at + size, sizeof *now.data * (size_t)(now.count - at - size));
        else memcpy(tried.data + at + size, now.data + at + size, sizeof *now.data * (size_t)(now.count - at - size));
        made = still_fails(arena, &tried, fails, user, &best);
        if (made) now = tried;
      }
      if (!made) at += size;
    }
  }
  return best;
}
