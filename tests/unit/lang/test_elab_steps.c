// What a step promises: the rows are the same however the sequence is cut into calls, and the same as in an entry,
// which sees it whole. Each model runs over many random cuts, on the graph interpreter.
#include "tests/unit/lang/session_test.h"

enum { CUTS = 60, LONGEST = 17 };

static session begin(elab_bench *bench, uint64_t seed) {
  return (session){.arena = &bench->arena, .graph = bench->graph, .seed = seed};
}

static int64_t *sizes_of(elab_bench *bench, const char *const *names, const int64_t *values, int count) {
  ir_dim_table *dims = bench->graph->module->dims;
  int64_t *sizes = WEIR_NEW_ARRAY(&bench->arena, int64_t, ir_symbol_count(dims) + 1);
  for (int i = 0; i < count; i++) {
    const ir_symbol *symbol = ir_symbol_find(dims, names[i]);
    if (symbol) sizes[symbol->index] = values[i];
  }
  return sizes;
}

static void expect_rows(const ir_tensor *got, const ir_tensor *whole, int64_t past, const char *what) {
  int64_t width = whole->dims[0] ? ir_tensor_elements(whole) / whole->dims[0] : 0, count = ir_tensor_elements(got);
  for (int64_t i = 0; i < count; i++) {
    double a = got->data[i], b = whole->data[past * width + i];
    cr_assert(a == b || fabs(a - b) <= 1e-12 * (1 + fabs(b)), "%s: row %lld: %.17g, whole %.17g", what,
              (long long)(past + i / (width ? width : 1)), a, b);
  }
}

// Runs |step| on T rows in pieces and compares all rows of its first output with those of |entry| on the whole.
// |before|: a step that is called first on rows of its own, or null.
static void check(const char *text, const char *entry, const char *step, const char *before) {
  elab_bench *bench = elab_open();
  elab_text(bench, text);
  cr_assert(bench->graph, "%s", elab_messages(bench));
  weir_status verified = ir_verify(bench->graph->module);
  cr_assert(!verified, "%s", weir_status_message(verified));
  for (uint64_t seed = 1; seed <= CUTS; seed++) {
    int64_t total = 1 + (int64_t)(session_noise("total", 0, seed) * LONGEST), other = 1 + (int64_t)seed % 5;
    int64_t *sizes = sizes_of(bench, (const char *const[]){"T", "S", "A"}, (int64_t[]){total, other, other}, 3);
    session whole = begin(bench, seed), parts = begin(bench, seed);
    session_call(&whole, entry, "T", 0, total, sizes);
    if (before) session_call(&parts, before, NULL, 0, 0, sizes);
    memcpy(parts.inputs, whole.inputs, sizeof whole.inputs);
    parts.input_count = whole.input_count;
    for (int64_t past = 0, n = 0; past < total; past += n) {
      n = 1 + (int64_t)(session_noise("cut", past, seed) * 6);
      if (seed == 1 || n > total - past) n = seed == 1 ? 1 : total - past;
      session_call(&parts, step, "T", past, n, sizes);
      expect_rows(&parts.outputs[0].tensor, &whole.outputs[0].tensor, past, step);
    }
  }
  elab_close(bench);
}

Test(elab_steps, lstm) {
  check(
      "use std.nn;\n"
      "dim T: seq;\n"
      "block Cell {I: int, H: int} (x: f[I]) -> f[H] {\n"
      "  param weight_ih: f[4 * H, I];\n"
      "  param weight_hh: f[4 * H, H];\n"
      "  state h: f[H] = 0;\n"
      "  state c: f32[H] = 0;\n"
      "  i, g, n, o = split(linear(x, weight_ih) + linear(h, weight_hh), [H, H, H, H]);\n"
      "  c = f32(sigmoid(g)) * c + f32(sigmoid(i) * tanh(n));\n"
      "  h = sigmoid(o) * f(tanh(c));\n"
      "  return h;\n"
      "}\n"
      "model M {D = 4, V = 16} {\n"
      "  dim T: seq in 1..=64;\n"
      "  embed: Embedding{V, D};\n"
      "  rnn: Cell{D, D}[2];\n"
      "  fn run(tokens: i32[T] in 0..V) -> f32[T, D] {\n"
      "    x = embed(tokens);\n"
      "    for cell in rnn {\n"
      "      scan t in T carry cell { y[t] = cell(x[t]); }\n"
      "      x = y;\n"
      "    }\n"
      "    return f32(x);\n"
      "  }\n"
      "  step s(tokens: i32[T] in 0..V) -> f32[T, D] { return run(tokens); }\n"
      "  entry e(tokens: i32[T] in 0..V) -> f32[T, D] { return run(tokens); }\n"
      "}\n",
      "e", "s", NULL);
}

Test(elab_steps, state_space) {
  check(
      "use std.nn;\n"
      "dim T: seq;\n"
      "block Mixer {E: int, N: int, K: int} (x: f[T, E]) -> f[T, E] {\n"
      "  dt_proj: Linear{E, E};\n"
      "  b_proj, g_proj: Linear{E, N};\n"
      "  param conv: f[E, K];\n"
      "  param A_log: f32[E, N];\n"
      "  state tail: f[E] over last(T, K);\n"
      "  state h: f32[E, N] = 0;\n"
      "  tail = append(tail, x);\n"
      "  c[t in T, e] = sum(s: conv[e, K - 1 - (pos(t) - pos(s))] * tail[s, e] where 0 <= pos(t) - pos(s) < K);\n"
      "  u = silu(c);\n"
      "  dt = softplus(f32(dt_proj(u)));\n"
      "  b = b_proj(u);\n"
      "  g = g_proj(u);\n"
      "  A = -exp(A_log);\n"
      "  scan t in T carry h {\n"
      "    h[e, n] = exp(dt[t, e] * A[e, n]) * h[e, n] + dt[t, e] * f32(b[t, n]) * f32(u[t, e]);\n"
      "    y[t, e] = sum(n: h[e, n] * f32(g[t, n]));\n"
      "  }\n"
      "  return f(y);\n"
      "}\n"
      "model M {E = 3} {\n"
      "  dim T: seq in 1..=64;\n"
      "  mixers: Mixer{E, 2, 4}[2];\n"
      "  fn run(x: f32[T, E]) -> f32[T, E] {\n"
      "    y = f(x);\n"
      "    for m in mixers { y = y + m(y); }\n"
      "    return f32(y);\n"
      "  }\n"
      "  step s(x: f32[T, E]) -> f32[T, E] { return run(x); }\n"
      "  entry e(x: f32[T, E]) -> f32[T, E] { return run(x); }\n"
      "}\n",
      "e", "s", NULL);
}

#define WINDOW_MODEL(attention)                                        \
  "use std.nn;\n"                                                      \
  "dim T: seq;\n"                                                      \
  "block Att {D: int, heads: int, W: int} (x: f[T, D]) -> f[T, D] {\n" \
  "  let H = D / heads;\n"                                             \
  "  q_proj, k_proj, v_proj: Linear{D, D};\n"                          \
  "  state keys, values: f[heads, H] over last(T, W);\n"               \
  "  keys = append(keys, rope(k_proj(x) as [T, heads, H], 100.0));\n"  \
  "  values = append(values, v_proj(x) as [T, heads, H]);\n"           \
  "  q = rope(q_proj(x) as [T, heads, H], 100.0);\n" attention         \
  "  return y as [T, D];\n"                                            \
  "}\n"                                                                \
  "model M {D = 8} {\n"                                                \
  "  dim T: seq in 1..=64;\n"                                          \
  "  a: Att{D, 2, 4}[2];\n"                                            \
  "  b: Att{D, 2, 1};\n"                                               \
  "  fn run(x: f32[T, D]) -> f32[T, D] {\n"                            \
  "    y = f(x);\n"                                                    \
  "    for l in a { y = y + l(y); }\n"                                 \
  "    return f32(y + b(y));\n"                                        \
  "  }\n"                                                              \
  "  step s(x: f32[T, D]) -> f32[T, D] { return run(x); }\n"           \
  "  entry e(x: f32[T, D]) -> f32[T, D] { return run(x); }\n"          \
  "}\n"

Test(elab_steps, window) {
  check(WINDOW_MODEL("  y = attend(q, keys, values, causal = true, window = W);\n"), "e", "s", NULL);
}

Test(elab_steps, window_written_out) {
  check(WINDOW_MODEL("  p[h, t, u] = sum(d: f32(q[t, h, d]) * f32(keys[u, h, d]));\n"
                     "  z[h, t] = logsumexp(u: p[h, t, u] where 0 <= pos(t) - pos(u) < W);\n"
                     "  y[t, h, d] = f(sum(u: exp(p[h, t, u] - z[h, t]) * f32(values[u, h, d])\n"
                     "                     where 0 <= pos(t) - pos(u) < W));\n"),
        "e", "s", NULL);
}

Test(elab_steps, encoder_decoder) {
  check(
      "use std.nn;\n"
      "dim A, S, T: seq;\n"
      "block Cross {D: int} (x: f[T, D]) -> f[T, D] {\n"
      "  q, k, v: Linear{D, D};\n"
      "  state keys, values: f[2, D / 2] over S;\n"
      "  fn remember(memory: f[S, D]) {\n"
      "    keys = k(memory) as [S, 2, D / 2];\n"
      "    values = v(memory) as [S, 2, D / 2];\n"
      "  }\n"
      "  return attend(q(x) as [T, 2, D / 2], keys, values) as [T, D];\n"
      "}\n"
      "block Layer {D: int} (x: f[T, D]) -> f[T, D] {\n"
      "  q, k, v: Linear{D, D};\n"
      "  state keys, values: f[1, D] over T;\n"
      "  cross: Cross{D};\n"
      "  keys = append(keys, k(x) as [T, 1, D]);\n"
      "  values = append(values, v(x) as [T, 1, D]);\n"
      "  y = x + attend(q(x) as [T, 1, D], keys, values, causal = true) as [T, D];\n"
      "  return y + cross(y);\n"
      "}\n"
      "model M {D = 4} {\n"
      "  dim A: seq in 1..=64;\n"
      "  dim S: seq = (A - 1) / 2 + 1;\n"
      "  dim T: seq in 1..=64;\n"
      "  layers: Layer{D}[2];\n"
      "  fn remember(audio: f32[A, D]) {\n"
      "    m[i in S, d] = audio[2 * i, d];\n"
      "    for l in layers { l.cross.remember(f(m)); }\n"
      "  }\n"
      "  fn decode(x: f32[T, D]) -> f32[T, D] {\n"
      "    y = f(x);\n"
      "    for l in layers { y = l(y); }\n"
      "    return f32(y);\n"
      "  }\n"
      "  step encode(audio: f32[A, D]) { remember(audio); }\n"
      "  step s(x: f32[T, D]) -> f32[T, D] { return decode(x); }\n"
      "  entry e(audio: f32[A, D], x: f32[T, D]) -> f32[T, D] {\n"
      "    remember(audio);\n"
      "    return decode(x);\n"
      "  }\n"
      "}\n",
      "e", "s", "encode");
}

// Positions and random numbers count on where only fixed-shape states go on; a choice in a loop keeps its states.
Test(elab_steps, positions_and_choices) {
  check(
      "dim T: seq;\n"
      "block Gate {D: int} (x: f32[D]) -> f32[D] {\n"
      "  state h: f32[D] = 0.5;\n"
      "  state n: i32[] = 3;\n"
      "  cond sum(x, over = D) > 0.0 {\n"
      "    h = 0.5 * h + x;\n"
      "    n = n + 1;\n"
      "    y = h * f32(n);\n"
      "  } else {\n"
      "    y = h - x;\n"
      "  }\n"
      "  return y;\n"
      "}\n"
      "model M {D = 3} {\n"
      "  dim T: seq in 1..=64;\n"
      "  gates: Gate{D}[2];\n"
      "  state best: f32[] = -10;\n"
      "  fn run(x: f32[T, D]) -> f32[T, D] {\n"
      "    u = uniform([T, D], 7) + normal(x, 8);\n"
      "    scan t in T carry gates, best {\n"
      "      a = gates[0](x[t] * u[t]);\n"
      "      scan i in 1..4 carry a { a = a + 0.25 * a * f32(i); }\n"
      "      b = gates[1](a);\n"
      "      best = max(best, b[0]);\n"
      "      cond best > 1.0 { y[t] = b * best; } else { y[t] = b + f32(pos(t)); }\n"
      "    }\n"
      "    return y;\n"
      "  }\n"
      "  step s(x: f32[T, D]) -> f32[T, D] { return run(x); }\n"
      "  entry e(x: f32[T, D]) -> f32[T, D] { return run(x); }\n"
      "}\n",
      "e", "s", NULL);
}
