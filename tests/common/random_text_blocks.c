// Statements with declarations of their own: blocks in blocks, flags and lists of build-time values, blocks as
// arguments, functions with lengths of their own, loops that stack.
#include <stdio.h>
#include <string.h>

#include "tests/common/random_text_maker.h"

static bool lines_of_any(const value *v) {
  return v->type == F32 && v->rank >= 1 && v->dims[v->rank - 1] > 0 && v->bound <= 8;
}
static bool lines_of_t(const value *v) { return f32_rows(v) && v->bound <= 8; }
static bool whole_rows(const value *v) {
  return v->type == F32 && v->rank == 2 && v->dims[1] > 0 && v->bound <= 8 &&
         (v->dims[0] == DIM_S || v->dims[0] == DIM_N);
}
static bool vector(const value *v) { return moderate(v) && v->rank == 1 && v->dims[0] > 0; }

static const char layer_text[] =
    "block Plain {I: int, O: int, bias: bool = false} (x: f32[..., I]) -> f32[..., O] {\n  param weight: f32[O, I];\n"
    "  if bias { param bias: f32[O]; }\n  y = linear(x, weight);\n  if bias { y = y + bias; }\n  return y;\n}\n"
    "block Pair {D: int, F: int, act: fn} (x: f32[..., D]) -> f32[..., D] {\n  up: Plain{D, F, bias = true};\n"
    "  down: Plain{F, D};\n  return x + tanh(down(act(up(x))));\n}\n"
    "block Twice {inner: block} (x: f32[..., D]) -> f32[..., D] {\n  return 0.5 * inner(tanh(inner(x)));\n}\n";

// One block in another, with flags, functions and blocks as parameters.
static bool nested(maker *m) {
  static const char *const acts[] = {"relu", "gelu", "silu", "tanh", "sigmoid"};
  value x;
  if (!pick_value(m, lines_of_any, &x)) return false;
  int n = m->member_count++, width = x.dims[x.rank - 1];
  need(m, layer_text);
  value *y = new_like(m, &x, x.bound + 1, false);
  MEMBER("  m%d: Pair{%d, %d, %s};\n", n, width, 1 + pick_below(m, 5), acts[pick_below(m, 5)]);
  if (pick_chance(m, 2)) {
    LINE("    %s = m%d(%s);\n", y->name, n, x.name);
    return true;
  }
  MEMBER("  t%d: Twice{m%d};\n", n, n);
  LINE("    %s = t%d(%s) + m%d(%s);\n", y->name, n, x.name, n, x.name);
  y->bound = 2 * x.bound + 2;
  tame(m, y);
  return true;
}

static const char stack_text[] =
    "block Layer {D: int, reach: int} (x: f32[T, D]) -> f32[T, D] {\n  q_proj: Linear{D, D};\n"
    "  state keys: f32[1, D] over last(T, reach);\n  state sum: f32[D] = 0;\n  q = f32(q_proj(f(x))) as [T, 1, D];\n"
    "  keys = append(keys, tanh(q));\n  a = attend(q, keys, keys, causal = true, window = reach) as [T, D];\n"
    "  scan t in T carry sum { sum = 0.5 * sum + 0.25 * tanh(x[t]); y[t] = a[t] + sum; }\n  return y;\n}\n";

// Layers with a window, a carried state and weights each.
static bool layered(maker *m) {
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, lines_of_t, &x)) return false;
  int n = m->member_count++;
  need(m, stack_text);
  MEMBER("  m%d: [for i in 1..=2: Layer{%d, i + 1}];\n", n, x.dims[1]);
  value *y = new_like(m, &x, 2, false);
  LINE("    %s = %s;\n    for layer in m%d { %s = layer(%s); }\n", y->name, x.name, n, y->name, y->name);
  return true;
}

static const char filter_text[] =
    "fn filtered(x: f32[S, I], w: f32[K, I, O]) -> f32[S, O] where K % 2 == 1 {\n"
    "  y[n in S, o] = sum(j, i: x[n + j - K / 2, i] * w[j, i, o] where 0 <= n + j - K / 2 < S);\n  return y;\n}\n"
    "fn halved(x: f32[S, I]) -> f32[(S - 1) / 2 + 1, I] {\n  y[n in (S - 1) / 2 + 1, i] = 0.5 * x[2 * n, i];\n  return "
    "y;\n}\n";

static bool whole(const value *v) {
  return v->type == F32 && v->rank == 2 && v->dims[1] > 0 && (v->dims[0] == DIM_T || v->dims[0] == DIM_S);
}

// Functions over a length, applied to any that is there as a whole.
static bool applied(maker *m) {
  value x;
  if (!pick_value(m, whole, &x) || !along(m, &x, 0)) return false;
  need(m, filter_text);
  int out = 1 + pick_below(m, 3), dims[2] = {DIM_T_HALF, x.dims[1]};
  if (x.dims[0] == DIM_T && pick_chance(m, 2)) {
    value *y = new_value(m, F32, 2, dims, x.bound, false);
    LINE("    %s = halved(%s);\n", y->name, x.name);
    return true;
  }
  dims[0] = x.dims[0];
  dims[1] = out;
  value *y = new_value(m, F32, 2, dims, 1.5 * x.dims[1] * x.bound, false);
  LINE("    %s = filtered(%s, %s);\n", y->name, x.name, new_param(m, text_of(m, "3, %d, %d", x.dims[1], out)));
  tame(m, y);
  return true;
}

// A loop over a length that does not grow, or over numbers, with rows stacked.
static bool stacked_turns(maker *m) {
  value x;
  const char *c = new_name(m, 'c');
  if (pick_chance(m, 2)) {
    int turns = 1 + pick_below(m, 5), dims[2];
    if (!pick_value(m, vector, &x)) return false;
    dims[0] = turns;
    dims[1] = x.dims[0];
    value *y = new_value(m, F32, 2, dims, 3, false), *z = new_value(m, F32, 1, dims, 2 * x.dims[0], false);
    LINE(
        "    %s = %s;\n    scan i in 0..%d carry %s {\n      %s = tanh(%s + 0.25 * f32(i));\n      %s[i] = %s;\n      "
        "%s[i] = sum(%s, over "
        "= -1);\n    }\n",
        c, x.name, turns, c, c, c, y->name, c, z->name, c);
    return true;
  }
  if (!pick_value(m, whole_rows, &x)) return false;
  value *y = new_like(m, &x, 2, false);
  LINE("    %s = 0 * %s;\n", c, new_param(m, text_of(m, "%d", x.dims[1])));
  LINE("    scan r in %s carry %s {\n      %s = 0.5 * %s + tanh(%s[r]);\n      %s[r] = %s;\n    }\n",
       dim_text(m, x.dims[0]), c, c, c, x.name, y->name, c);
  return true;
}

static const char counter_text[] =
    "block Counter {D: int} (x: f32[D]) -> f32[D] {\n  state seen: f32[D] = 0;\n  state turns: i32[] = 0;\n"
    "  seen = max(0.5 * seen, tanh(x));\n  turns = turns + 1;\n  return seen * f32(turns % 4 + 1);\n"
    "  fn peek() -> f32[D] { return 2 * seen; }\n}\n";

// A cell with a function that reads what it keeps, and a count.
static bool counting(maker *m) {
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, lines_of_t, &x)) return false;
  int n = m->member_count++;
  need(m, counter_text);
  MEMBER("  m%d: Counter{%d};\n", n, x.dims[1]);
  value *y = new_like(m, &x, 4, false);
  if (pick_chance(m, 2))
    LINE("    scan t in T carry m%d { a = m%d(%s[t]); %s[t] = a + m%d.peek(); }\n", n, n, x.name, y->name, n);
  else LINE("    scan t in T carry m%d { %s[t] = m%d(%s[t]); }\n", n, y->name, n, x.name);
  y->bound = 6;
  return true;
}

static bool reducers(maker *m) {
  static const char *const ops[] = {"sum", "mean", "max", "min", "logsumexp", "prod"};
  value x;
  if (!pick_value(m, f32_matrix, &x) || x.rank != 2 || x.dims[1] < 1 || x.bound > 4) return false;
  int op = pick_below(m, 6), width = x.dims[1];
  value *y = new_value(m, F32, 1, x.dims, x.bound + 4, false);
  const char *body = op == 5 ? text_of(m, "tanh(%s[t, d])", x.name) : text_of(m, "%s[t, d]", x.name);
  const char *guard = width > 1 && pick_chance(m, 2) ? " where d != 1" : "";
  LINE("    %s[t] = %s(d: %s%s);\n", y->name, ops[op], body, guard);
  if (op == 0) y->bound = width * x.bound;
  tame(m, y);
  return true;
}

static bool windows(maker *m) {
  value x;
  if (!pick_value(m, lines_of_any, &x) || x.rank < 2 || x.dims[x.rank - 2] < 1) return false;
  int channels = x.dims[x.rank - 2], n = x.dims[x.rank - 1], dims[MAX_RANK], kind = pick_below(m, 5),
      dilation = 1 + pick_below(m, 2);
  memcpy(dims, x.dims, sizeof dims);
  value *y;
  if (kind < 2) {
    int out = channels * (1 + pick_below(m, 2)), before = pick_below(m, 2), after = pick_below(m, 3);
    int size = n + before + after - dilation;
    if (size < 1) return false;
    dims[x.rank - 2] = out;
    dims[x.rank - 1] = size;
    const char *w = new_param(m, text_of(m, "%d, %d, 2", out, kind ? channels : 1));
    y = new_value(m, F32, x.rank, dims, channels * x.bound, false);
    LINE("    %s = conv1d(%s, %s, pad = [%d, %d], dilation = %d);\n", y->name, x.name, w, before, after, dilation);
  } else if (kind == 2) {
    dims[x.rank - 1] = 2 * (n - 1) + 3 - 2 + 1;
    dims[x.rank - 2] = 2;
    const char *w = new_param(m, text_of(m, "%d, 2, 3", channels));
    y = new_value(m, F32, x.rank, dims, channels * 1.5 * x.bound, false);
    LINE("    %s = conv_transpose1d(%s, %s, stride = 2, pad = 1, extra = 1);\n", y->name, x.name, w);
  } else {
    if (n < 2) return false;
    dims[x.rank - 1] = (n - 2) / 2 + 1;
    y = new_value(m, F32, x.rank, dims, x.bound, false);
    LINE("    %s = %s_pool1d(%s, 2);\n", y->name, kind == 3 ? "max" : "avg", x.name);
  }
  tame(m, y);
  return true;
}

static bool volumes(maker *m) {
  value x;
  if (!pick_value(m, f32_matrix, &x) || x.rank < 4 || x.bound > 8) return false;
  int dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  for (int i = 0; i < 4; i++)
    if (dims[i] < 1) return false;
  const char *w = new_param(m, text_of(m, "2, %d, 1, 1, 1", dims[0]));
  value *y;
  if (pick_chance(m, 2) && dims[1] > 1 && dims[2] > 1 && dims[3] > 1) {
    for (int i = 1; i < 4; i++) dims[i] = dims[i] / 2;
    y = new_value(m, F32, 4, dims, x.bound, false);
    LINE("    %s = %s_pool3d(%s, 2);\n", y->name, pick_chance(m, 2) ? "max" : "avg", x.name);
    return true;
  }
  y = new_value(m, F32, 4, dims, 0.5 * dims[0] * x.bound, false);
  y->dims[0] = 2;
  LINE("    %s = conv3d(%s, %s);\n", y->name, x.name, w);
  tame(m, y);
  return true;
}

static bool masked(maker *m) {
  value x;
  if (m->mode != MODE_SEQ || !pick_value(m, lines_of_t, &x) || x.bound > 4) return false;
  int width = x.dims[1];
  value *y = new_like(m, &x, x.bound, false);
  const char *q = text_of(m, "stack(%s, 0.5 * %s)", x.name, x.name), *k = text_of(m, "%s as [T, 1, %d]", x.name, width);
  LINE("    b%s[t in T, u in T] = t %% 2 == u %% 2 or u == 0;\n", y->name);
  LINE("    %s = sum(attend(permute(%s, [1, 0, 2]), %s, %s, bias = b%s), over = 1);\n", y->name, q, k, k, y->name);
  y->bound = 2 * x.bound;
  return true;
}

const statement random_text_blocks[] = {nested,   nested,   layered, applied, stacked_turns, stacked_turns,
                                        counting, reducers, windows, volumes, masked,        NULL};
