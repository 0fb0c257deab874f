// Statements with bodies and memory: scan, cond, states, blocks, choices of blocks, what the model unrolls.
#include <stdio.h>
#include <string.h>

#include "tests/common/random_text_maker.h"

static bool rows_of_s(const value *v) {
  return v->type == F32 && v->rank == 2 && v->dims[0] == DIM_S && v->dims[1] > 0;
}
static bool small(const value *v) { return moderate(v) && v->rank <= 2; }
static bool fixed(const value *v) {
  if (!moderate(v)) return false;
  for (int i = 0; i < v->rank; i++)
    if (v->dims[i] < 1) return false;
  return true;
}

// What a scan over T carries: a state, or, where T is whole, a local.
static const char *new_carry(maker *m, int width) {
  const char *name = new_name(m, 'c');
  if (m->mode == MODE_STEP || pick_chance(m, 2))
    MEMBER("  state %s: f32[%d] = %g;\n", name, width, pick_chance(m, 2) ? 0.5 : 0.0);
  else LINE("    %s = 0 * %s;\n", name, new_param(m, text_of(m, "%d", width)));
  return name;
}

static bool scanned(maker *m) {
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, f32_rows, &x)) return false;
  int width = x.dims[1];
  value y = *new_value(m, F32, 2, x.dims, 3, false);
  const char *c = new_carry(m, width), *w;
  switch (pick_below(m, 7)) {
    case 0:
      w = new_param(m, text_of(m, "%d, %d", width, width));
      LINE("    scan t in T carry %s {\n      %s = tanh(linear(%s, %s) + %s[t]);\n      %s[t] = %s;\n    }\n", c, c, c,
           w, x.name, y.name, c);
      break;
    case 1:
      LINE(
          "    scan t in T carry %s {\n      %s[d] = 0.5 * %s[d] + tanh(%s[t, d]);\n      %s[t, d] = %s[d] * 0.5;\n    "
          "}\n",
          c, c, c, x.name, y.name, c);
      break;
    case 2:
      LINE(
          "    scan t in T carry %s {\n      a = %s[t];\n      scan i in 0..3 carry a { a = tanh(a + 0.25 * f32(i)) + "
          "%s; }\n"
          "      %s = 0.5 * %s + 0.25 * a;\n      %s[t] = a;\n    }\n",
          c, x.name, c, c, c, y.name);
      break;
    case 3:
      LINE(
          "    scan t in T carry %s {\n      cond %s[0] > 10 { %s = 0 * %s; } else { %s = 0.5 * %s + tanh(%s[t]); }\n"
          "      %s[t] = %s;\n    }\n",
          c, c, c, c, c, c, x.name, y.name, c);
      break;
    case 4:
      LINE(
          "    scan t in T carry %s {\n      %s = max(0.5 * %s, tanh(%s[t]));\n      %s[t] = %s + 0.01 * "
          "f32(pos(t));\n    }\n",
          c, c, c, x.name, y.name, c);
      break;
    case 5:
      LINE(
          "    scan t in T carry %s {\n      e = 1.0;\n      a = %s[t];\n      scan i in 0..6 carry a, e while e > "
          "0.05 { a = tanh(a); e = "
          "0.25 * e; }\n      %s = 0.5 * (%s + a);\n      %s[t] = %s;\n    }\n",
          c, x.name, c, c, y.name, c);
      break;
    default:
      w = new_param(m, text_of(m, "%d, %d", width, width));
      LINE(
          "    scan t in T carry %s {\n      a = softmax(linear(%s[t], %s) + %s, over = -1);\n      %s = 0.5 * %s + "
          "a;\n      "
          "%s[t] = a;\n    }\n",
          c, x.name, w, c, c, c, y.name);
  }
  return true;
}

static const char cell_text[] =
    "block Cell {D: int} (x: f32[D]) -> f32[D] {\n  param u: f32[D, D];\n  state h: f32[D] = 0;\n  state n: f32[] = "
    "1;\n"
    "  h = tanh(linear(h, u) + x);\n  n = 0.5 * n + 0.25;\n  return h * n;\n}\n";
static const char gate_text[] =
    "block Gate {D: int} (x: f32[..., D]) -> f32[..., D] {\n  param w: f32[D, D];\n  return x + sigmoid(linear(x, "
    "w));\n}\n";
static const char heads_text[] =
    "block Heads {D: int, reach: int} (x: f32[T, D]) -> f32[T, D] {\n  state keys, values: f32[1, D] over last(T, "
    "reach);\n"
    "  q = x as [T, 1, D];\n  keys = append(keys, rope(q, 1e3, rotary = D / 2 * 2));\n  values = append(values, q);\n"
    "  return attend(q, keys, values, causal = true, window = reach) as [T, D];\n}\n";
static const char past_text[] =
    "block Past {D: int} (x: f32[T, D]) -> f32[T, D] {\n  state keys: f32[1, D] over T;\n  q = x as [T, 1, D];\n"
    "  keys = append(keys, tanh(q));\n  return attend(q, keys, keys, causal = true) as [T, D];\n}\n";
static const char expert_text[] =
    "block Expert {D: int, F: int} (x: f32[D]) -> f32[D] {\n  param up: f32[F, D];\n  param down: f32[D, F];\n"
    "  return linear(silu(linear(x, up)), down);\n}\n";
static const char table_text[] =
    "block Table {V: int, D: int} (i: i32[...] in 0..V) -> f32[..., D] {\n  param weight: f32[V, D];\n  return "
    "gather(weight, i);\n"
    "  fn scores(x: f32[..., D]) -> f32[..., V] { return linear(x, weight); }\n}\n";
static const char memory_text[] =
    "block Memory {D: int} (x: f32[T, D]) -> f32[T, D] {\n  state keys: f32[1, D] over S;\n"
    "  fn remember(m: f32[S, D]) { keys = m as [S, 1, D]; }\n  return attend(x as [T, 1, D], keys, keys) as [T, "
    "D];\n}\n";
static const char squash_text[] =
    "fn squash(x: f32[...], a: float) -> f32[...] { return a * tanh(x); }\n"
    "fn mixed(x: f32[..., D], n: int) -> f32[..., D] where n >= 1 {\n  y = x;\n  for i in 0..n { y = y * 0.5 + f32(i) "
    "* 0.25; }\n"
    "  if n % 2 == 0 { y = tanh(y); } else { y = sin(y); }\n  return y;\n}\n";

static bool cells(maker *m) {
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, f32_rows, &x) || x.bound > 8) return false;
  int n = m->member_count++;
  need(m, cell_text);
  value y = *new_value(m, F32, 2, x.dims, 1, false);
  switch (pick_below(m, 3)) {
    case 0:
      MEMBER("  m%d: Cell{%d};\n", n, x.dims[1]);
      LINE("    scan t in T carry m%d { %s[t] = m%d(%s[t]); }\n", n, y.name, n, x.name);
      break;
    case 1:
      MEMBER("  m%d: Cell{%d}[2];\n", n, x.dims[1]);
      LINE("    scan t in T carry m%d { %s[t] = m%d[1](m%d[0](%s[t])); }\n", n, y.name, n, n, x.name);
      break;
    default:
      MEMBER("  m%d: Cell{%d}[2];\n", n, x.dims[1]);
      LINE("    %s = %s;\n    for cell in m%d { scan t in T carry cell { a%s[t] = cell(%s[t]); } %s = a%s; }\n", y.name,
           x.name, n, y.name, y.name, y.name, y.name);
  }
  return true;
}

// A state that rows are appended to, read right here.
static bool history(maker *m) {
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, f32_rows, &x)) return false;
  int width = x.dims[1], reach = 2 + pick_below(m, 4), kind = pick_below(m, 6);
  const char *s = new_name(m, 's');
  value *y = new_value(m, F32, 2, x.dims, x.bound, false);
  if (kind < 2) MEMBER("  state %s: f32[1, %d] over T;\n", s, width);
  else if (kind < 4) MEMBER("  state %s: f32[%d] over T;\n", s, width);
  else MEMBER("  state %s: f32[%d] over last(T, %d);\n", s, width, reach);
  LINE(kind < 2 ? "    %s = append(%s, %s as [T, 1, %d]);\n" : "    %s = append(%s, %s);\n", s, s, x.name, width);
  switch (kind) {
    case 0:
    case 1:
      LINE("    %s = attend(%s as [T, 1, %d], %s, %s, causal = true%s) as [T, %d];\n", y->name, x.name, width, s, s,
           kind ? ", window = 3" : "", width);
      break;
    case 2:
      LINE("    p%s[t, u] = tanh(sum(d: %s[t, d] * %s[u, d]));\n", y->name, x.name, s);
      LINE("    z%s[t] = logsumexp(u: p%s[t, u] where pos(u) <= pos(t));\n", y->name, y->name);
      LINE("    %s[t, d] = sum(u: exp(p%s[t, u] - z%s[t]) * %s[u, d] where pos(u) <= pos(t));\n", y->name, y->name,
           y->name, s);
      break;
    case 3:
      LINE("    %s[t in T, d] = max(u: %s[u, d] where pos(u) <= pos(t));\n", y->name, s);
      y->exact = x.exact;
      break;
    case 4:
      LINE("    %s[t in T, d] = sum(u: tanh(%s[u, d]) where 0 <= pos(t) - pos(u) < %d);\n", y->name, s, reach);
      y->bound = reach;
      break;
    default:
      LINE(
          "    %s[t in T, d] = sum(u: %s[%d - 1 - (pos(t) - pos(u)), d] * %s[u, d] where 0 <= pos(t) - pos(u) < %d);\n",
          y->name, new_param(m, text_of(m, "%d, %d", reach, width)), reach, s, reach);
      y->bound = reach * x.bound;
  }
  tame(m, y);
  return true;
}

// A state over S that another step has written, of the model or of a block.
static bool remembered(maker *m) {
  value x;
  if (m->mode != MODE_STEP || !pick_value(m, f32_rows, &x) || x.bound > 4) return false;
  int width = x.dims[1], kind = pick_below(m, 4);
  const char *s = new_name(m, 's'), *comma = m->remember_params.length ? ", " : "";
  if (!m->remember.data && kind == 3) kind = 0;
  value *y = new_value(m, F32, 2, x.dims, 2, false);
  if (kind == 2) {
    need(m, memory_text);
    MEMBER("  %s: Memory{%d};\n", s, width);
    text_add(m, &m->remember_params, "%s%s_now: f32[S, %d]", comma, s, width);
    text_add(m, &m->remember, "    %s.remember(%s_now);\n", s, s);
    LINE("    %s = %s(%s);\n", y->name, s, x.name);
    return true;
  }
  MEMBER("  state %s: f32[%s%d]%s;\n", s, kind < 3 ? "1, " : "", width, kind < 3 ? " over S" : "");
  text_add(m, &m->remember_params, "%s%s_now: f32[%s%d]", comma, s, kind < 3 ? "S, 1, " : "", width);
  text_add(m, &m->remember, "    %s = %s_now;\n", s, s);
  if (kind == 0) {
    LINE("    %s = attend(%s as [T, 1, %d], %s, %s) as [T, %d];\n", y->name, x.name, width, s, s, width);
  } else if (kind == 1) {
    LINE("    %s[t, d] = sum(u: %s[u, 0, d] * 0.125) + 0.5 * %s[t, d];\n", y->name, s, x.name);
    y->bound = 2 * x.bound + 3;
  } else {
    LINE("    %s = %s + %s;\n", y->name, x.name, s);
    y->bound = x.bound + 2;
  }
  return true;
}

// A state of a fixed shape that the call gives a new value.
static bool noted(maker *m) {
  value x;
  // Where T grows the value before the call would count calls.
  if (m->mode == MODE_BATCH || m->mode == MODE_STEP || !pick_value(m, fixed, &x) || x.rank > 2) return false;
  const char *s = new_name(m, 's');
  MEMBER("  state %s: f32[%s] = 1;\n", s, dims_text(m, x.rank, x.dims));
  if (pick_chance(m, 2)) LINE("    cond flag { %s = %s + %s; } else { a%s = %s; }\n", s, s, x.name, s, x.name);
  else LINE("    %s = 0.5 * %s + %s;\n", s, s, x.name);
  value *y = new_like(m, &x, x.bound + 1, false);
  LINE("    %s = 1 * %s;\n", y->name, s);
  return true;
}

static bool conditional(maker *m) {
  value x;
  if (!pick_value(m, any_f32, &x)) return false;
  const char *test = pick_chance(m, 2) ? "turns > 2" : "flag";
  value *y = new_value(m, F32, x.rank, x.dims, 2 * x.bound, false);
  if (x.rank >= 1 && x.dims[x.rank - 1] > 0 && pick_chance(m, 2)) {
    const char *w = new_param(m, text_of(m, "%d, %d", x.dims[x.rank - 1], x.dims[x.rank - 1]));
    LINE("    %s = %s;\n    cond %s { %s = tanh(linear(%s, %s)); } else { b%s = 1.0; }\n", y->name, x.name, test,
         y->name, x.name, w, y->name);
  } else {
    LINE("    cond %s { %s = %s * 2; } else { %s = tanh(%s); }\n", test, y->name, x.name, y->name, x.name);
  }
  tame(m, y);
  return true;
}

static bool iterated(maker *m) {
  value x;
  if (!pick_value(m, small, &x) || (x.rank && m->mode != MODE_SEQ && x.dims[0] < 0)) return false;
  value *y = new_value(m, F32, x.rank, x.dims, 2, false);
  LINE("    %s = %s;\n", y->name, x.name);
  switch (pick_below(m, 3)) {
    case 0:
      LINE("    scan i in 0..%d carry %s { %s = tanh(%s) + 0.25 * f32(i); }\n", 1 + pick_below(m, 4), y->name, y->name,
           y->name);
      break;
    case 1:
      LINE(
          "    e%s = 1.0;\n    scan i in 0..20 carry %s, e%s while e%s > 0.1 {\n      %s = sin(%s);\n      e%s = 0.5 * "
          "e%s;\n    }\n",
          y->name, y->name, y->name, y->name, y->name, y->name, y->name, y->name);
      break;
    default:
      LINE("    scan i in 0..4 carry %s { cond i %% 2 == 0 { %s = tanh(%s); } else { %s = 0.5 * %s; } }\n", y->name,
           y->name, y->name, y->name, y->name);
  }
  return true;
}

static bool lines_of_t(const value *v) { return f32_rows(v) && v->bound <= 8; }
static bool lines_of_any(const value *v) {
  return v->type == F32 && v->rank >= 1 && v->dims[v->rank - 1] > 0 && v->bound <= 8;
}

static bool called(maker *m) {
  value x;
  int kind = pick_below(m, 7), n = m->member_count++;
  bool rows = kind == 2 || kind == 3;
  if (!pick_value(m, rows ? lines_of_t : lines_of_any, &x) || (rows && m->mode == MODE_BATCH)) return false;
  int width = x.dims[x.rank - 1];
  value *y = new_value(m, F32, x.rank, x.dims, x.bound + 1, false);
  switch (kind) {
    case 0:
      need(m, gate_text);
      MEMBER("  m%d: Gate{%d};\n", n, width);
      LINE("    %s = m%d(%s);\n", y->name, n, x.name);
      break;
    case 1:
      need(m, gate_text);
      MEMBER("  m%d: Gate{%d}[3];\n", n, width);
      LINE("    %s = %s;\n    for layer in m%d { %s = tanh(layer(%s)); }\n", y->name, x.name, n, y->name, y->name);
      break;
    case 2:
      need(m, heads_text);
      MEMBER("  m%d: Heads{%d, %d};\n", n, width, 2 + pick_below(m, 4));
      LINE("    %s = m%d(%s);\n", y->name, n, x.name);
      if (width < 2) return false;
      break;
    case 3:
      need(m, past_text);
      MEMBER("  m%d: Past{%d}[2];\n", n, width);
      LINE("    %s = m%d[0](%s) + m%d[1](%s);\n", y->name, n, x.name, n, x.name);
      y->bound = 2;
      break;
    case 4:
      need(m, squash_text);
      LINE("    %s = squash(%s, %g);\n", y->name, x.name, pick_literal(m));
      y->bound = 2;
      break;
    case 5:
      need(m, squash_text);
      LINE("    %s = mixed(%s, %d);\n", y->name, x.name, 1 + pick_below(m, 3));
      y->bound = 1;
      break;
    default:
      need(m, squash_text);
      MEMBER("  m%d: [for i in 1..=2: Linear{%d, %d}];\n", n, width, width);
      LINE("    %s = f32(m%d[0](f(%s))) + f32(m%d[1](f(%s)));\n", y->name, n, x.name, n, x.name);
      y->bound = 4 * width * x.bound;
  }
  tame(m, y);
  return true;
}

// One of several equal blocks for each row.
static bool chosen(maker *m) {
  value x;
  if (!pick_value(m, lines_of_t, &x) || m->mode == MODE_BATCH) return false;
  int n = m->member_count++, width = x.dims[1];
  need(m, expert_text);
  MEMBER("  m%d: Expert{%d, %d}[8];\n", n, width, 1 + pick_below(m, 4));
  value *y = new_value(m, F32, 2, x.dims, 4 * width * x.bound, false);
  if (pick_chance(m, 2)) {
    LINE("    h%s, i%s = top_k(softmax(linear(%s, %s), over = -1), 2);\n", y->name, y->name, "0.5 * y",
         new_param(m, "8, 3"));
    LINE("    i%s = (spread(ids, 2) + iota(2)) %% 8;\n", y->name);
    LINE("    %s[t] = sum(j: h%s[t, j] * m%d[i%s[t, j]](%s[t]));\n", y->name, y->name, n, y->name, x.name);
  } else {
    LINE("    %s[t] = m%d[ids[t]](%s[t]);\n", y->name, n, x.name);
  }
  tame(m, y);
  return true;
}

static bool embedded(maker *m) {
  if (m->mode == MODE_TICK) return false;
  int n = m->member_count++, width = 1 + pick_below(m, 4), dims[2] = {m->mode == MODE_BATCH ? DIM_B : DIM_T, width};
  need(m, table_text);
  MEMBER("  m%d: Table{8, %d};\n", n, width);
  value *y = new_value(m, F32, 2, dims, 0.5, true);
  LINE("    %s = m%d(ids);\n", y->name, n);
  if (!pick_chance(m, 2)) return true;
  dims[1] = 8;
  value *z = new_value(m, F32, 2, dims, 0.25 * width, false);
  LINE("    %s = m%d.scores(%s);\n", z->name, n, y->name);
  return true;
}

// The last row; where T grows, it can only be returned.
static bool latest(maker *m) {
  value x;
  if (m->mode != MODE_STEP || !pick_value(m, f32_rows, &x)) return false;
  value *y = new_value(m, F32, 1, &x.dims[1], x.bound + 1, false);
  LINE("    %s = 0.5 * last(%s) + 0.25;\n", y->name, x.name);
  y->latest = true;
  if (!pick_chance(m, 2)) return true;
  const char *s = new_name(m, 's');
  MEMBER("  state %s: f32[%d] = 0;\n", s, x.dims[1]);
  if (pick_chance(m, 2)) LINE("    %s = tanh(%s);\n", s, y->name);
  else LINE("    cond flag { %s = %s; } else { %s = 2 * %s; }\n", s, y->name, s, y->name);
  return true;
}

static bool lists(maker *m) {
  value x;
  if (!pick_value(m, moderate, &x)) return false;
  value *y = new_like(m, &x, 4, false);
  const char *l = new_name(m, 'l');
  LINE("    let %s = [for i in 0..3: 0.25 * i];\n    %s = %s;\n", l, y->name, x.name);
  LINE("    for a in %s { if a > 0.3 { %s = sin(%s); } else { %s = %s + a; } }\n", l, y->name, y->name, y->name,
       y->name);
  return true;
}

static bool means(maker *m) {
  value x, z;
  if (m->mode == MODE_BATCH || !pick_value(m, f32_rows, &x) || !pick_value(m, rows_of_s, &z) || z.dims[1] != x.dims[1])
    return false;
  value *y = new_like(m, &x, x.bound + z.bound, false);
  LINE("    %s = %s + mean(%s, over = S);\n", y->name, x.name, z.name);
  tame(m, y);
  return true;
}

const statement random_text_flow[] = {scanned,    scanned,  cells,       cells,    history, history,
                                      remembered, noted,    conditional, iterated, called,  called,
                                      chosen,     embedded, latest,      lists,    means,   NULL};
