// Statements about rows: index notation, guards, scatter, rectangles of two lengths, lengths made of others, attention.
#include <stdio.h>
#include <string.h>

#include "tests/common/random_text_maker.h"

static bool any_rows(const value *v) { return v->type == F32 && v->rank == 2 && v->dims[1] > 0 && v->dims[0] < 0; }
static bool seq_rows(const value *v) { return any_rows(v) && v->dims[0] != DIM_B && v->dims[0] != DIM_N; }
static bool rows_of_s(const value *v) {
  return v->type == F32 && v->rank == 2 && v->dims[0] == DIM_S && v->dims[1] > 0;
}
static bool exact_column(const value *v) { return v->type == F32 && v->rank == 1 && v->exact && v->dims[0] < 0; }

static value *rows_like(maker *m, const value *x, double bound) { return new_value(m, F32, 2, x->dims, bound, false); }

// Elements of a row, sums within it.
static bool within_row(maker *m) {
  value x;
  if (!pick_value(m, any_rows, &x)) return false;
  int width = x.dims[1], out[3] = {x.dims[0], 3, 2};
  value *y;
  switch (pick_below(m, 6)) {
    case 0:
      y = rows_like(m, &x, 2 * x.bound + 4);
      LINE("    %s[t, d] = %s[t, d] * 0.5 + f32(d) * 0.25;\n", y->name, x.name);
      break;
    case 1:
      y = rows_like(m, &x, width * x.bound);
      LINE("    %s[t, d in %d] = sum(e: %s[t, e] where e <= d);\n", y->name, width, x.name);
      break;
    case 2:
      y = new_value(m, F32, 3, out, 0.5 * width * x.bound, false);
      LINE("    %s[t, a, b] = sum(d: %s[t, d] * %s[a, d, b]);\n", y->name, x.name,
           new_param(m, text_of(m, "3, %d, 2", width)));
      break;
    case 3:
      y = rows_like(m, &x, x.bound);
      LINE("    %s[t, d] = select(d %% 2 == 0, %s[t, d], %s[t, 0]);\n", y->name, x.name, x.name);
      break;
    case 4:
      y = new_value(m, F32, 1, x.dims, x.bound + 2, false);
      LINE("    %s[t] = logsumexp(d: %s[t, d] where d != 1) * 0.5;\n", y->name, x.name);
      if (width < 2 || (width == 2)) y->bound = x.bound;
      break;
    default:
      y = rows_like(m, &x, x.bound);
      LINE("    %s[t, d in %d] = %s[t, %d - d];\n", y->name, width, x.name, width - 1);
  }
  tame(m, y);
  return true;
}

// Neighbours and pairs within a sequence that is there as a whole.
static bool across_rows(maker *m) {
  value x;
  if (!pick_value(m, m->mode == MODE_SEQ ? seq_rows : rows_of_s, &x)) return false;
  const char *l = dim_text(m, x.dims[0]);
  int width = x.dims[1], shorter[2] = {DIM_T_LESS, width}, half[2] = {DIM_T_HALF, width},
      square[2] = {x.dims[0], x.dims[0]};
  value *y;
  switch (pick_below(m, 8)) {
    case 0:
      y = rows_like(m, &x, 1.5 * x.bound);
      LINE("    %s[t in %s, d] = sum(k: %s[t + k - 1, d] * %s[k, d] where 0 <= t + k - 1 < %s);\n", y->name, l, x.name,
           new_param(m, text_of(m, "3, %d", width)), l);
      break;
    case 1:
      if (x.dims[0] != DIM_T) return false;
      y = new_value(m, F32, 2, shorter, 2 * x.bound, x.exact);
      LINE("    %s[t in T - 1, d] = %s[t + 1, d] - %s[t, d];\n", y->name, x.name, x.name);
      break;
    case 2:
      LINE("    p%s[t, u] = sum(d: %s[t, d] * %s[u, d]);\n", x.name, x.name, x.name);
      y = new_value(m, F32, 1, x.dims, 6, false);
      LINE("    %s = logsumexp(tanh(p%s), over = -1);\n", y->name, x.name);
      break;
    case 3:
      if (x.dims[0] != DIM_T) return false;
      y = new_value(m, F32, 2, half, x.bound, x.exact);
      LINE("    %s[n in (T - 1) / 2 + 1, d] = %s[2 * n, d];\n", y->name, x.name);
      break;
    case 4:
      y = rows_like(m, &x, x.bound);
      LINE("    %s[t in %s, d] = max(u: %s[u, d] where t - 2 <= u <= t + 1);\n", y->name, l, x.name);
      break;
    case 5:
      y = new_value(m, F32, 2, square, 4, false);
      LINE("    %s[t, u] = tanh(sum(d: %s[t, d] * %s[u, d])) + 0.125 * f32(t - u);\n", y->name, x.name, x.name);
      break;
    case 6:
      y = rows_like(m, &x, x.bound);
      LINE("    %s[t in %s, d] = %s[%s - 1 - t, d];\n", y->name, l, x.name, l);
      y->exact = x.exact;
      break;
    default:
      y = new_value(m, F32, 1, &x.dims[1], 24 * x.bound, false);
      LINE("    %s[d] = sum(t: %s[t, d] where t %% 2 == 0) + %s[0, d];\n", y->name, x.name, x.name);
  }
  tame(m, y);
  return true;
}

static bool small_integers(const value *v) {
  return v->type == I32 && v->rank == 1 && (v->dims[0] == DIM_T || v->dims[0] == DIM_S);
}

// Rows of the own sequence by a computed index.
static bool gathered(maker *m) {
  value x, at;
  if (m->mode != MODE_SEQ || !pick_value(m, f32_rows, &x) || !pick_value(m, small_integers, &at)) return false;
  int dims[2] = {at.dims[0], x.dims[1]};
  value *y = new_value(m, F32, 2, dims, x.bound, x.exact);
  switch (pick_below(m, 3)) {
    case 0:
      LINE("    %s[e, d] = %s[clamp(%s[e], 0, T - 1), d];\n", y->name, x.name, at.name);
      break;
    case 1:
      LINE("    %s = gather(%s, clamp(%s, 0, T - 1));\n", y->name, x.name, at.name);
      break;
    default:
      y->dims[0] = DIM_S;
      LINE("    %s[e, d] = %s[links[e], d];\n", y->name, x.name);
  }
  return true;
}

// Sums of rows where their index says.
static bool scattered(maker *m) {
  static const char *const combines[] = {"sum", "max", "mean"};
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, rows_of_s, &x)) return false;
  int combine = pick_below(m, 3), width = x.dims[1], six[2] = {6, width}, rows[2] = {DIM_T, width};
  if (m->mode != MODE_SEQ || pick_chance(m, 3)) {
    const char *to = new_name(m, 'a');
    LINE("    %s[e in S] = e * 5 %% 6;\n", to);
    value *y = new_value(m, F32, 2, six, 12 * x.bound, false);
    LINE("    %s[n in 6, d] = sum(e: %s[e, d] where %s[e] == n);\n", y->name, x.name, to);
    tame(m, y);
    return true;
  }
  value *y = new_value(m, F32, 2, rows, 12 * x.bound, false);
  if (combine) {  // of none these are no numbers
    LINE("    h%s[n in T, d] = %s(e: %s[e, d] where links[e] == n);\n", y->name, combines[combine], x.name);
    LINE("    %s[n, d] = select(any(e: e >= 0 where links[e] == n), h%s[n, d], 0);\n", y->name, y->name);
    y->bound = x.bound;
  } else {
    LINE("    %s[n in T, d] = sum(e: %s[e, d] where links[e] == n);\n", y->name, x.name);
  }
  tame(m, y);
  return true;
}

static bool counted(maker *m) {
  value x;
  if (m->mode != MODE_SEQ || !pick_value(m, small_integers, &x)) return false;
  static const int eight[] = {8};
  value *y = new_value(m, I32, 1, eight, 48, true);
  LINE("    %s[v in 8] = sum(t: i32(1) where %s[t] == v);\n", y->name, x.name);
  return true;
}

static bool rectangle(maker *m) {
  value x, z;
  if (m->mode != MODE_SEQ || !pick_value(m, f32_rows, &x) || !pick_value(m, rows_of_s, &z)) return false;
  int dims[2] = {DIM_T, DIM_S};
  if (x.dims[1] != z.dims[1]) return false;
  value *y = new_value(m, F32, 2, dims, x.dims[1] * x.bound * z.bound, false);
  switch (pick_below(m, 4)) {
    case 0:
      LINE("    %s[t, e] = sum(d: %s[t, d] * %s[e, d]);\n", y->name, x.name, z.name);
      break;
    case 1:
      LINE("    %s = linear(%s, %s);\n", y->name, x.name, z.name);
      break;
    case 2:
      LINE("    %s = softmax(linear(tanh(%s), tanh(%s)), over = S);\n", y->name, x.name, z.name);
      y->bound = 1;
      break;
    default:
      LINE("    %s[t, e] = %s[t, 0] - %s[e, 0];\n", y->name, x.name, z.name);
      y->bound = x.bound + z.bound;
  }
  tame(m, y);
  return true;
}

// Two sequences behind one another, one twice, a part of one.
static bool lengths(maker *m) {
  value x, z;
  if (m->mode != MODE_SEQ || !pick_value(m, f32_rows, &x)) return false;
  int dims[2] = {DIM_T_TWICE, x.dims[1]};
  switch (pick_below(m, 5)) {
    case 0: {
      if (!pick_value(m, rows_of_s, &z) || z.dims[1] != x.dims[1]) return false;
      dims[0] = DIM_S_T;
      value *y = new_value(m, F32, 2, dims, x.bound > z.bound ? x.bound : z.bound, x.exact && z.exact);
      LINE("    %s = concat(%s, %s, over = 0);\n", y->name, z.name, x.name);
      return true;
    }
    case 1: {
      value *y = new_value(m, F32, 2, dims, x.bound, x.exact);
      LINE("    %s = repeat(%s, 2, over = 0);\n", y->name, x.name);
      return true;
    }
    case 2: {
      dims[0] = DIM_T_LESS;
      value *y = new_value(m, F32, 2, dims, x.bound, x.exact);
      LINE("    %s = %s[%s];\n", y->name, x.name, pick_chance(m, 2) ? "1..T" : "0..T - 1");
      return true;
    }
    case 3: {
      value *y = new_value(m, F32, 1, &dims[1], x.bound, x.exact);
      LINE("    %s = %s;\n", y->name, text_of(m, pick_chance(m, 2) ? "last(%s)" : "%s[1]", x.name));
      return true;
    }
    default: {
      dims[0] = DIM_T;
      value *y = new_value(m, F32, 2, dims, x.bound + 1, false);
      LINE("    %s = %s + f32(pos(T))[0] - spread(f32(pos(T)) / f32(T), %d);\n", y->name, x.name, x.dims[1]);
      return true;
    }
  }
}

static bool attention(maker *m) {
  value x, z;
  if (m->mode != MODE_SEQ || !pick_value(m, f32_rows, &x) || x.bound > 4) return false;
  int width = x.dims[1], heads = width % 2 == 0 ? 2 : 1, size = width / heads, kind = pick_below(m, 5);
  bool across = kind == 3 && pick_value(m, seq_rows, &z) && z.dims[1] == size && z.bound <= 4;
  value *y = new_value(m, F32, 2, x.dims, x.bound, false);
  const char *q = text_of(m, "%s as [T, %d, %d]", x.name, heads, size);
  if (across) {
    const char *k = text_of(m, "%s as [%s, 1, %d]", z.name, dim_text(m, z.dims[0]), size);
    LINE("    %s = attend(%s, %s, %s) as [T, %d];\n", y->name, q, k, k, width);
    y->bound = z.bound;
  } else if (kind == 4) {
    LINE("    b%s[t, u in T] = 0.125 * f32(t - u) + 0 * %s[t, 0];\n", y->name, x.name);
    LINE("    %s = attend(%s, %s, %s, bias = b%s) as [T, %d];\n", y->name, q, q, q, y->name, width);
  } else {
    static const char *const forms[] = {"", ", causal = true", ", causal = true, window = 3", ", scale = 0.5"};
    LINE("    %s = attend(%s, %s, %s%s) as [T, %d];\n", y->name, q, q, q, forms[kind], width);
  }
  return true;
}

static bool turned_by_position(maker *m) {
  value x;
  if (m->mode == MODE_BATCH || !pick_value(m, f32_rows, &x) || x.dims[1] % 2) return false;
  value *y = rows_like(m, &x, 1.5 * x.bound);
  LINE("    %s = rope(%s as [T, 1, %d], 100.0) as [T, %d];\n", y->name, x.name, x.dims[1], x.dims[1]);
  return true;
}

// An order of rows that another column says.
static bool extremes(maker *m) {
  value x;
  if (!pick_value(m, exact_column, &x) || !along(m, &x, 0)) return false;
  static const int none[1] = {0};
  bool index = pick_chance(m, 2);
  value *y = new_value(m, index ? I32 : F32, 0, none, index ? 48 : x.bound, true);
  if (index) LINE("    %s = argmax(t: %s[t] where %s[t] < 0.5);\n", y->name, x.name, x.name);
  else LINE("    %s = min(%s, over = 0);\n", y->name, x.name);
  return true;
}

static bool looked_up(maker *m) {
  if (m->mode == MODE_TICK) return false;
  int width = 1 + pick_below(m, 5), dims[2] = {m->mode == MODE_BATCH ? DIM_B : DIM_T, width};
  const char *w = new_param(m, text_of(m, "8, %d", width));
  value *y = new_value(m, F32, 2, dims, 0.5, true);
  if (pick_chance(m, 2)) LINE("    %s = gather(%s, ids);\n", y->name, w);
  else LINE("    %s[t, d] = %s[ids[t], d];\n", y->name, w);
  return true;
}

// A convolution along a sequence: its rows are the last dim there.
static bool along_sequence(maker *m) {
  value x;
  if (m->mode != MODE_SEQ || !pick_value(m, f32_rows, &x)) return false;
  int width = x.dims[1], out = 1 + pick_below(m, 3), dims[2] = {DIM_T, out};
  const char *w = new_param(m, text_of(m, "%d, %d, 3", out, width));
  bool stride = pick_chance(m, 2);
  if (stride) dims[0] = DIM_T_HALF;
  value *y = new_value(m, F32, 2, dims, 1.5 * width * x.bound, false);
  LINE("    %s = permute(conv1d(permute(%s, [1, 0]), %s, pad = 1%s), [1, 0]);\n", y->name, x.name, w,
       stride ? ", stride = 2" : "");
  tame(m, y);
  return true;
}

const statement random_text_rows[] = {
    within_row, within_row, across_rows, across_rows,        gathered, scattered, counted,        rectangle, rectangle,
    lengths,    lengths,    attention,   turned_by_position, extremes, looked_up, along_sequence, NULL};
