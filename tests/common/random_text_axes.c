// Statements that look along an axis: reductions, order, running values, products, movement, windows, signals.
#include <string.h>

#include "tests/common/random_text_maker.h"

static int without(const value *x, int axis, int *out) {
  int rank = 0;
  for (int i = 0; i < x->rank; i++)
    if (i != axis) out[rank++] = x->dims[i];
  return rank;
}

static int longest(const value *x, int axis) { return x->dims[axis] > 0 ? x->dims[axis] : 48; }
static bool f32_some(const value *v) { return v->type == F32 && v->rank >= 1; }
static bool int_some(const value *v) { return is_int(v->type) && v->rank >= 1; }
static bool bool_some(const value *v) { return v->type == BOOL && v->rank >= 1; }
static bool exact_some(const value *v) { return v->type != BOOL && v->rank >= 1 && v->exact; }
static bool exact_f32(const value *v) { return v->type == F32 && v->rank >= 1 && v->exact; }

static bool reduce(maker *m) {
  static const char *const ops[] = {"sum", "mean", "max", "min", "norm", "logsumexp", "variance", "prod"};
  value x;
  int axis, dims[MAX_RANK], op = pick_below(m, 8);
  if (!pick_value(m, f32_some, &x) || !pick_axis(m, &x, &axis)) return false;
  if (op == 7 && longest(&x, axis) > 6) return false;
  int rank = without(&x, axis, dims);
  value *y = new_value(m, F32, rank, dims, x.bound, x.exact && (op == 2 || op == 3));
  if (op == 7) LINE("    %s = prod(tanh(%s), over = %d);\n", y->name, x.name, axis - x.rank);
  else LINE("    %s = %s(%s, over = %d);\n", y->name, ops[op], x.name, axis - x.rank);
  if (op == 0 || op == 4) y->bound = longest(&x, axis) * x.bound;
  if (op == 5) y->bound = x.bound + 4;
  if (op == 6) y->bound = x.bound * x.bound;
  tame(m, y);
  return true;
}

// Several axes at once; those that may not be reduced stay.
static bool reduce_several(maker *m) {
  value x;
  if (!pick_value(m, f32_some, &x) || x.rank < 2 || !along(m, &x, x.rank - 1) || !along(m, &x, x.rank - 2))
    return false;
  double most = (double)longest(&x, x.rank - 1) * longest(&x, x.rank - 2) * x.bound;
  bool mean = pick_chance(m, 2);
  value *y = new_value(m, F32, x.rank - 2, x.dims, mean ? x.bound : most, false);
  LINE("    %s = %s(%s, over = [-2, -1]);\n", y->name, mean ? "mean" : "sum", x.name);
  tame(m, y);
  return true;
}

static bool reduce_integers(maker *m) {
  static const char *const ops[] = {"sum", "max", "min"};
  value x;
  int axis, dims[MAX_RANK], op = pick_below(m, 3);
  if (!pick_value(m, int_some, &x) || x.type == I8 || !pick_axis(m, &x, &axis)) return false;
  int rank = without(&x, axis, dims);
  value *y = new_value(m, x.type, rank, dims, 0, true);
  y->bound = op ? x.bound : longest(&x, axis) * x.bound;
  LINE("    %s = %s(%s, over = %d);\n", y->name, ops[op], x.name, axis - x.rank);
  tame(m, y);
  return true;
}

static bool where_extreme(maker *m) {
  value x;
  int axis, dims[MAX_RANK];
  if (!pick_value(m, exact_some, &x) || !pick_axis(m, &x, &axis)) return false;
  int rank = without(&x, axis, dims);
  value *y = new_value(m, I32, rank, dims, longest(&x, axis), true);
  LINE("    %s = %s(%s, over = %d);\n", y->name, pick_chance(m, 2) ? "argmin" : "argmax", x.name, axis - x.rank);
  return true;
}

static bool any_or_all(maker *m) {
  value x;
  int axis, dims[MAX_RANK];
  if (!pick_value(m, bool_some, &x) || !pick_axis(m, &x, &axis)) return false;
  int rank = without(&x, axis, dims);
  value *y = new_value(m, BOOL, rank, dims, 1, true);
  LINE("    %s = %s(%s, over = %d);\n", y->name, pick_chance(m, 2) ? "all" : "any", x.name, axis - x.rank);
  return true;
}

static bool running(maker *m) {
  static const char *const ops[] = {"softmax", "cumsum", "cummax", "cummin", "cumlogsumexp", "cumprod", "reverse"};
  value x;
  int axis, op = pick_below(m, 7);
  if (!pick_value(m, f32_some, &x) || !pick_axis(m, &x, &axis)) return false;
  double bound = op == 0 ? 1 : op == 1 ? longest(&x, axis) * x.bound : op == 4 ? x.bound + 4 : x.bound;
  value *y = new_like(m, &x, bound, x.exact && (op == 2 || op == 3 || op == 6));
  if (op == 5) LINE("    %s = cumprod(tanh(%s), over = %d);\n", y->name, x.name, axis - x.rank), y->bound = 1;
  else LINE("    %s = %s(%s, over = %d);\n", y->name, ops[op], x.name, axis - x.rank);
  tame(m, y);
  return true;
}

static bool ordered(maker *m) {
  value x;
  int axis;
  if (!pick_value(m, exact_some, &x) || !pick_axis(m, &x, &axis)) return false;
  const char *down = pick_chance(m, 2) ? ", descending = true" : "";
  if (pick_chance(m, 2)) {
    value *y = new_value(m, I32, x.rank, x.dims, longest(&x, axis), true);
    LINE("    %s = argsort(%s, over = %d%s);\n", y->name, x.name, axis - x.rank, down);
    return true;
  }
  value *y = new_like(m, &x, x.bound, true);
  LINE("    %s = sort(%s, over = %d%s);\n", y->name, x.name, axis - x.rank, down);
  return true;
}

static bool largest(maker *m) {
  value x;
  if (!pick_value(m, exact_f32, &x) || x.dims[x.rank - 1] < 1) return false;
  int size = x.dims[x.rank - 1], k = 1 + pick_below(m, size), dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  dims[x.rank - 1] = k;
  value *y = new_value(m, F32, x.rank, dims, x.bound, true), *z = new_value(m, I32, x.rank, dims, size, true);
  LINE("    %s, %s = top_k(%s, %d);\n", y->name, z->name, x.name, k);
  return true;
}

static bool product(maker *m) {
  value x;
  if (!pick_value(m, float_lines, &x)) return false;
  int width = x.dims[x.rank - 1], out = 1 + pick_below(m, 6), dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  dims[x.rank - 1] = out;
  const char *w = new_param(m, text_of(m, "%d, %d", out, width));
  value *y = new_value(m, F32, x.rank, dims, 0.5 * width * x.bound + 1, false);
  if (pick_chance(m, 3))
    LINE("    %s = linear(%s, %s, %s);\n", y->name, x.name, w, new_param(m, text_of(m, "%d", out)));
  else LINE("    %s = linear(%s, %s);\n", y->name, x.name, w);
  tame(m, y);
  return true;
}

static bool matrices(maker *m) {
  value x;
  if (!pick_value(m, float_lines, &x) || x.rank < 2) return false;
  int width = x.dims[x.rank - 1], out = 1 + pick_below(m, 5), dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  if (pick_chance(m, 2) && x.dims[0] > 0 && x.dims[x.rank - 2] > 0) {  // with itself, turned
    dims[x.rank - 1] = dims[x.rank - 2];
    const char *perm = x.rank == 2 ? "[1, 0]" : x.rank == 3 ? "[0, 2, 1]" : "[0, 1, 3, 2]";
    value *y = new_value(m, F32, x.rank, dims, width * x.bound * x.bound, false);
    LINE("    %s = matmul(%s, permute(%s, %s));\n", y->name, x.name, x.name, perm);
    tame(m, y);
    return true;
  }
  dims[x.rank - 1] = out;
  const char *w = new_param(m, text_of(m, "%d, %d", width, out));
  value *y = new_value(m, F32, x.rank, dims, 0.5 * width * x.bound, false);
  LINE("    %s = matmul(%s, %s);\n", y->name, x.name, w);
  tame(m, y);
  return true;
}

// ---- movement

static bool turned(maker *m) {
  value x;
  if (!pick_value(m, any_value, &x) || x.rank < 2) return false;
  int first = x.dims[0] == DIM_B, count = x.rank - first, a = first + pick_below(m, count),
      b = first + (a - first + 1) % count;
  int dims[MAX_RANK];
  const char *perm = "";
  if (count < 2) return false;
  for (int i = 0; i < x.rank; i++) {
    int from = i == a ? b : i == b ? a : i;
    dims[i] = x.dims[from];
    perm = text_of(m, "%s%s%d", perm, i ? ", " : "", from);
  }
  value *y = new_value(m, x.type, x.rank, dims, x.bound, x.exact);
  LINE("    %s = permute(%s, [%s]);\n", y->name, x.name, perm);
  return true;
}

static bool reshaped(maker *m) {
  value x;
  if (!pick_value(m, any_value, &x) || x.rank < 1 || x.dims[x.rank - 1] < 1) return false;
  int last = x.dims[x.rank - 1], dims[MAX_RANK], rank = x.rank;
  memcpy(dims, x.dims, sizeof dims);
  if (x.rank >= 2 && x.dims[x.rank - 2] > 0 && pick_chance(m, 2)) {  // two fixed ones become one
    dims[x.rank - 2] *= last;
    rank--;
  } else if (x.rank == 2 && x.dims[0] == DIM_T && last == 4 && m->mode == MODE_SEQ && pick_chance(m, 3)) {
    dims[0] = DIM_T_FOUR;
    rank = 1;
  } else if (rank < MAX_RANK) {
    int part = last % 2 == 0 ? 2 : last % 3 == 0 ? 3 : 1;
    dims[rank - 1] = last / part;
    dims[rank++] = part;
  }
  value *y = new_value(m, x.type, rank, dims, x.bound, x.exact);
  LINE("    %s = %s as [%s];\n", y->name, x.name, dims_text(m, rank, dims));
  return true;
}

static bool joined(maker *m) {
  value x;
  if (!pick_value(m, any_number, &x) || x.rank < 1 || x.dims[x.rank - 1] < 1) return false;
  int dims[MAX_RANK], last = x.rank - 1;
  memcpy(dims, x.dims, sizeof dims);
  switch (pick_below(m, 4)) {
    case 0: {
      value z = pick_fitting(m, &x);
      dims[last] *= 2;
      value *y = new_value(m, x.type, x.rank, dims, x.bound > z.bound ? x.bound : z.bound, x.exact && z.exact);
      LINE("    %s = concat(%s, %s, over = -1);\n", y->name, x.name, z.rank == x.rank ? z.name : x.name);
      return true;
    }
    case 1: {
      dims[last] *= 3;
      value *y = new_value(m, x.type, x.rank, dims, x.bound, x.exact);
      LINE("    %s = %s(%s, 3, over = -1);\n", y->name, pick_chance(m, 2) ? "tile" : "repeat", x.name);
      return true;
    }
    case 2: {
      static const char *const modes[] = {"", ", value = 1", ", mode = \"edge\"", ", mode = \"reflect\""};
      int how = pick_below(m, 4), before = pick_below(m, 3), after = pick_below(m, 3);
      if (how == 3 && (before >= dims[last] || after >= dims[last])) before = after = 0;
      dims[last] += before + after;
      value *y = new_value(m, x.type, x.rank, dims, x.bound > 1 ? x.bound : 1, x.exact);
      LINE("    %s = pad(%s, %d, %d, over = -1%s);\n", y->name, x.name, before, after, modes[how]);
      return true;
    }
    default: {
      value *y = new_value(m, x.type, x.rank, dims, x.bound, x.exact);
      LINE("    %s = roll(%s, %d, over = -1);\n", y->name, x.name, pick_below(m, 9) - 4);
      return true;
    }
  }
}

static bool parted(maker *m) {
  value x;
  if (!pick_value(m, any_number, &x) || x.rank < 1 || x.dims[x.rank - 1] < 2) return false;
  int last = x.dims[x.rank - 1], cut = 1 + pick_below(m, last - 1), dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  dims[x.rank - 1] = cut;
  value *y = new_value(m, x.type, x.rank, dims, x.bound, x.exact);
  if (pick_chance(m, 2)) {
    const char *dots = x.rank == 1 ? "" : x.rank == 2 ? ".., " : x.rank == 3 ? ".., .., " : ".., .., .., ";
    LINE("    %s = %s[%s%d..%d];\n", y->name, x.name, dots, last - cut, last);
    return true;
  }
  value *z = new_value(m, x.type, x.rank, dims, x.bound, x.exact);
  z->dims[x.rank - 1] = last - cut;
  LINE("    %s, %s = split(%s, [%d, %d]);\n", y->name, z->name, x.name, cut, last - cut);
  return true;
}

// Rows of a fixed table.
static bool taken(maker *m) {
  value x;
  if (!pick_value(m, any_number, &x) || x.rank < 2 || x.dims[x.rank - 1] < 1) return false;
  int last = x.dims[x.rank - 1], at = pick_below(m, last), dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  value *y = new_value(m, x.type, x.rank - 1, dims, x.bound, x.exact);
  LINE("    %s = %s[%s%d];\n", y->name, x.name, x.rank == 2 ? ".., " : x.rank == 3 ? ".., .., " : ".., .., .., ", at);
  return true;
}

// ---- windows over the last dims, which are fixed numbers

static bool image(const value *v) {
  return v->type == F32 && v->rank >= 3 && v->dims[v->rank - 1] > 0 && v->dims[v->rank - 2] > 0 &&
         v->dims[v->rank - 3] > 0;
}

static int sized(int size, int window, int stride, int pad) { return (size + 2 * pad - window) / stride + 1; }

static bool convolved(maker *m) {
  value x;
  if (!pick_value(m, image, &x)) return false;
  int channels = x.dims[x.rank - 3], h = x.dims[x.rank - 2], w = x.dims[x.rank - 1], dims[MAX_RANK];
  int window = 1 + pick_below(m, 3), stride = 1 + pick_below(m, 2), pad = pick_below(m, 2), out = 1 + pick_below(m, 3);
  bool deep = pick_chance(m, 3);
  memcpy(dims, x.dims, sizeof dims);
  if (pick_chance(m, 4)) {
    dims[x.rank - 3] = out;
    dims[x.rank - 2] = (h - 1) * stride + window;
    dims[x.rank - 1] = (w - 1) * stride + window;
    if (dims[x.rank - 2] * dims[x.rank - 1] > 400) return false;
    const char *k = new_param(m, text_of(m, "%d, %d, %d, %d", channels, out, window, window));
    value *y = new_value(m, F32, x.rank, dims, 0.5 * channels * window * window * x.bound, false);
    LINE("    %s = conv_transpose2d(%s, %s, stride = %d);\n", y->name, x.name, k, stride);
    tame(m, y);
    return true;
  }
  if (h + 2 * pad < window || w + 2 * pad < window) return false;
  dims[x.rank - 3] = deep ? channels : out;
  dims[x.rank - 2] = sized(h, window, stride, pad);
  dims[x.rank - 1] = sized(w, window, stride, pad);
  const char *k = new_param(m, text_of(m, "%d, %d, %d, %d", dims[x.rank - 3], deep ? 1 : channels, window, window));
  value *y = new_value(m, F32, x.rank, dims, 0.5 * channels * window * window * x.bound, false);
  LINE("    %s = conv2d(%s, %s, stride = %d, pad = %d);\n", y->name, x.name, k, stride, pad);
  tame(m, y);
  return true;
}

static bool pooled(maker *m) {
  value x;
  if (!pick_value(m, image, &x)) return false;
  int h = x.dims[x.rank - 2], w = x.dims[x.rank - 1], dims[MAX_RANK], kind = pick_below(m, 5);
  memcpy(dims, x.dims, sizeof dims);
  if (kind < 3) {
    int window = 2 + pick_below(m, 2), stride = 1 + pick_below(m, 3), pad = pick_below(m, 2);
    if (h + 2 * pad < window || w + 2 * pad < window) return false;
    dims[x.rank - 2] = sized(h, window, stride, pad);
    dims[x.rank - 1] = sized(w, window, stride, pad);
    value *y = new_value(m, F32, x.rank, dims, x.bound, x.exact && kind == 0);
    if (kind == 0) LINE("    %s = max_pool2d(%s, %d, stride = %d, pad = %d);\n", y->name, x.name, window, stride, pad);
    else
      LINE("    %s = avg_pool2d(%s, %d, stride = %d, pad = %d%s);\n", y->name, x.name, window, stride, pad,
           kind == 1 ? "" : ", count_pad = true");
    return true;
  }
  if (h * w > 100) return false;
  dims[x.rank - 2] = kind == 3 ? 2 * h : 1 + pick_below(m, 7);
  dims[x.rank - 1] = kind == 3 ? 2 * w : 1 + pick_below(m, 7);
  bool nearest = kind == 4 && pick_chance(m, 2);
  value *y = new_value(m, F32, x.rank, dims, x.bound, x.exact && (nearest || kind == 3));
  if (kind == 3) LINE("    %s = upsample(%s, 2);\n", y->name, x.name);
  else
    LINE("    %s = resize(%s, [%d, %d]%s);\n", y->name, x.name, dims[x.rank - 2], dims[x.rank - 1],
         nearest             ? ", mode = \"nearest\""
         : pick_chance(m, 2) ? ", corners = true"
                             : "");
  return true;
}

static bool signals(maker *m) {
  value x;
  if (!pick_value(m, float_lines, &x) || x.bound > 8) return false;
  int n = x.dims[x.rank - 1], dims[MAX_RANK];
  memcpy(dims, x.dims, sizeof dims);
  const char *re = new_name(m, 'g'), *im = new_name(m, 'g');
  if (pick_chance(m, 2)) {
    LINE("    %s, %s = rfft(%s);\n", re, im, x.name);
    if (pick_chance(m, 2)) {
      value *y = new_value(m, F32, x.rank, dims, x.bound, false);
      LINE("    %s = irfft(%s, %s, %d);\n", y->name, re, im, n);
      return true;
    }
    dims[x.rank - 1] = n / 2 + 1;
  } else {
    LINE("    %s, %s = %s(%s, %s);\n", re, im, pick_chance(m, 2) ? "idft" : "dft", x.name, x.name);
  }
  value *y = new_value(m, F32, x.rank, dims, 2.0 * n * x.bound, false);
  LINE("    %s = %s - 0.5 * %s;\n", y->name, re, im);
  tame(m, y);
  return true;
}

const statement random_text_axes[] = {
    reduce,  reduce,  reduce_several, reduce_integers, where_extreme, any_or_all, running,  running,
    ordered, largest, product,        product,         matrices,      turned,     reshaped, joined,
    parted,  taken,   convolved,      pooled,          signals,       NULL};
