// Statements that work element by element: arithmetic of every type, comparisons, casts, random numbers, quantised
// ones.
#include <stdio.h>

#include "tests/common/random_text_maker.h"

// Puts |x| into |form|, which names it once or twice.
static const char *filled(maker *m, const char *form, const char *x) {
  char out[160];
  snprintf(out, sizeof out, form, x, x);
  return weir_arena_strdup(m->arena, out);
}

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
      {"gelu_tanh(%s)", 2, false},
      {"sin(%s)", 1, false},
      {"cos(%s)", 1, false},
      {"tan(0.5 * %s)", 1.6, false},
      {"asin(0.4 * %s)", 1, false},
      {"acos(0.4 * %s)", 3.2, false},
      {"atan(%s)", 1.2, false},
      {"sinh(%s)", 3.7, false},
      {"cosh(%s)", 3.8, false},
      {"asinh(%s)", 1.5, false},
      {"acosh(2 + abs(%s))", 2.1, false},
      {"atanh(0.4 * %s)", 1.1, false},
      {"exp2(%s)", 4, false},
      {"log2(1.5 + abs(%s))", 1.9, false},
      {"log1p(abs(%s))", 1.1, false},
      {"expm1(%s)", 6.4, false},
      {"erf(%s)", 1, false},
      {"erfc(%s)", 2, false},
      {"softplus(%s)", 2.2, false},
      {"sqrt(0.25 + abs(%s))", 1.5, false},
      {"rsqrt(0.5 + abs(%s))", 1.5, false},
      {"log(1 + abs(%s))", 1.1, false},
  };
  int at = pick_below(m, sizeof forms / sizeof *forms);
  value x;
  if (!pick_value(m, forms[at].bound ? moderate : any_f32, &x)) return false;
  value *y = new_like(m, &x, forms[at].bound ? forms[at].bound : x.bound, forms[at].exact && x.exact);
  LINE("    %s = %s;\n", y->name, filled(m, forms[at].form, x.name));
  return true;
}

static bool exact_float(const value *v) { return v->type == F32 && v->exact; }

static bool rounding(maker *m) {
  static const char *const ops[] = {"floor", "ceil", "round", "trunc", "sign"};
  value x;
  if (!pick_value(m, exact_float, &x)) return false;
  value *y = new_like(m, &x, x.bound + 1, true);
  LINE("    %s = %s(%s);\n", y->name, ops[pick_below(m, 5)], x.name);
  return true;
}

static bool binary(maker *m) {
  value x;
  if (!pick_value(m, any_f32, &x)) return false;
  value z = pick_fitting(m, &x);
  bool swap = pick_chance(m, 2), exact = x.exact && z.exact;
  const char *a = swap ? z.name : x.name, *b = swap ? x.name : z.name;
  double most = x.bound > z.bound ? x.bound : z.bound;
  value *y = new_like(m, &x, most, false);
  switch (pick_below(m, 9)) {
    case 0:
      LINE("    %s = %s + %s;\n", y->name, a, b);
      y->bound = x.bound + z.bound;
      y->exact = exact;
      break;
    case 1:
      LINE("    %s = %s - %s;\n", y->name, a, b);
      y->bound = x.bound + z.bound;
      y->exact = exact;
      break;
    case 2:
      LINE("    %s = %s * %s;\n", y->name, a, b);
      y->bound = x.bound * z.bound;
      break;
    case 3:
      LINE("    %s = %s / (abs(%s) + 1);\n", y->name, a, b);
      break;
    case 4:
      LINE("    %s = %s(%s, %s);\n", y->name, pick_chance(m, 2) ? "min" : "max", a, b);
      y->exact = exact;
      break;
    case 5:
      LINE("    %s = %g * %s + %g;\n", y->name, pick_literal(m), x.name, pick_literal(m));
      y->bound = 2 * x.bound + 2;
      break;
    case 6:
      LINE("    %s = atan2(%s, abs(%s) + 1);\n", y->name, a, b);
      y->bound = 1.6;
      break;
    case 7:
      LINE("    %s = pow(abs(%s) + 0.5, tanh(%s));\n", y->name, a, b);
      y->bound = x.bound > z.bound ? x.bound + 2 : z.bound + 2;
      break;
    default:
      if (!exact) LINE("    %s = with_grad(%s, %s);\n", y->name, x.name, x.name), y->bound = x.bound;
      else LINE("    %s = %s %% %g;\n", y->name, x.name, pick_literal(m)), y->bound = 2, y->exact = true;
  }
  tame(m, y);
  return true;
}

static bool integers(maker *m) {
  static const char *const ops[] = {"+", "-", "*", "/", "%"}, *const calls[] = {"min", "max", "bit_and", "bit_or",
                                                                                "bit_xor"};
  value x;
  if (!pick_value(m, any_int, &x)) return false;
  value z = pick_fitting(m, &x);
  int op = pick_below(m, 14);
  double most = x.bound > z.bound ? x.bound : z.bound;
  if (x.type == I8 && (op < 3 || op == 12)) op = 3;  // within its range, whatever is wanted of it
  value *y = new_like(m, &x, most + 1, true);
  if (op < 5) LINE("    %s = %s %s %s;\n", y->name, x.name, ops[op], z.name);
  else if (op < 10) LINE("    %s = %s(%s, %s);\n", y->name, calls[op - 5], x.name, z.name);
  else if (op == 10) LINE("    %s = bit_not(%s);\n", y->name, x.name);
  else if (op == 11) LINE("    %s = shift_right(%s, %d);\n", y->name, x.name, pick_below(m, 4));
  else if (op == 12) LINE("    %s = shift_left(%s, %d);\n", y->name, x.name, pick_below(m, 4));
  else LINE("    %s = %s(-%s);\n", y->name, pick_chance(m, 2) ? "sign" : "abs", x.name);
  if (op < 2) y->bound = x.bound + z.bound;
  if (op == 2) y->bound = x.bound * z.bound;
  if (op >= 7 && op < 10) y->bound = 2 * most + 1;
  if (op == 12) y->bound = 8 * x.bound;
  tame(m, y);
  return true;
}

// Elements of a bool of |x|'s shape.
static bool compared(maker *m) {
  static const char *const ops[] = {"<", "<=", ">", ">=", "==", "!="};
  value x;
  if (!pick_value(m, exact_value, &x)) return false;
  value z = pick_fitting(m, &x);
  value *y = new_value(m, BOOL, x.rank, x.dims, 1, true);
  if (z.exact) LINE("    %s = %s %s %s;\n", y->name, x.name, ops[pick_below(m, 6)], z.name);
  else LINE("    %s = %s %s %d;\n", y->name, x.name, ops[pick_below(m, 6)], pick_below(m, 2));
  return true;
}

static bool logic(maker *m) {
  value x;
  if (!pick_value(m, any_bool, &x)) return false;
  value z = pick_fitting(m, &x);
  value *y = new_like(m, &x, 1, true);
  switch (pick_below(m, 4)) {
    case 0:
      LINE("    %s = not %s;\n", y->name, x.name);
      break;
    case 1:
      LINE("    %s = %s and %s;\n", y->name, x.name, z.name);
      break;
    case 2:
      LINE("    %s = %s or not %s;\n", y->name, x.name, z.name);
      break;
    default:
      LINE("    %s = xor(%s, %s);\n", y->name, x.name, z.name);
  }
  return true;
}

static bool selected(maker *m) {
  value x;
  if (!pick_value(m, any_number, &x)) return false;
  value z = pick_fitting(m, &x);
  bool number = is_float(x.type) && pick_chance(m, 2);
  value *y = new_like(m, &x, x.bound > z.bound ? x.bound : z.bound, x.exact && z.exact);
  const char *test = x.exact ? text_of(m, "%s > 0", x.name) : "flag";
  if (!x.exact && is_float(x.type) && pick_chance(m, 2)) test = text_of(m, "is_nan(%s) or is_inf(%s)", x.name, x.name);
  if (number) LINE("    %s = select(%s, %s, %g);\n", y->name, test, x.name, pick_literal(m)), y->bound = x.bound + 2;
  else LINE("    %s = select(%s, %s, %s);\n", y->name, test, z.rank == x.rank ? z.name : x.name, x.name);
  return true;
}

static void converted(maker *m, const value *x, element to, const char *form, double bound, bool exact) {
  value *y = new_value(m, to, x->rank, x->dims, bound, exact);
  LINE("    %s = %s;\n", y->name, filled(m, form, x->name));
}

static bool cast(maker *m) {
  value x;
  if (!pick_value(m, any_value, &x)) return false;
  double b = x.bound;
  int to = pick_below(m, 4);
  if (x.type == BOOL) {
    converted(m, &x, to ? I32 : F32, to ? "i32(%s)" : "f32(%s)", 1, true);
  } else if (is_int(x.type)) {
    if (to == 0 && b <= 64) converted(m, &x, F32, "f32(%s)", b, true);
    else if (to == 1) converted(m, &x, I64, "i64(%s)", b, true);
    else if (to == 2 && x.type != I8) converted(m, &x, I8, "saturate(%s, i8)", b < 127 ? b : 128, true);
    else if (to == 3) converted(m, &x, BOOL, "fits(%s, i8)", 1, true);
    else converted(m, &x, I32, "i32(%s)", b, true);
  } else if (x.type != F32) {
    converted(m, &x, F32, "f32(%s)", b, x.exact && b <= (x.type == BF16 ? 8 : 64));
  } else if (x.exact && pick_chance(m, 2)) {
    if (to == 0) converted(m, &x, I32, "i32(%s)", b, true);
    else if (to == 1) converted(m, &x, F32, "bitcast(bitcast(%s, i32), f32)", b, true);
    else if (to == 2) converted(m, &x, I8, "saturate(8 * %s, i8)", 8 * b < 127 ? 8 * b : 128, true);
    else converted(m, &x, BOOL, "fits(%s, i8)", 1, true);
  } else {
    static const element wider[] = {F64, F64, F16, BF16};
    value *y = new_value(m, wider[to], x.rank, x.dims, b, x.exact && b <= 8);
    LINE("    %s = %s(%s);\n", y->name, element_text(y->type), x.name);
  }
  return true;
}

static bool other_float(const value *v) { return is_float(v->type) && v->type != F32 && v->bound <= 4; }

// Arithmetic in f64 and in halves; one or two ops, since halves are coarse.
static bool other_floats(maker *m) {
  static const char *const forms[] = {
      "%s + %s", "%s - %s", "max(%s, %s)", "%s * tanh(%s)", "%s * 0.5 + sin(%s)", "sigmoid(%s) - %s"};
  value x;
  if (!pick_value(m, other_float, &x)) return false;
  value *y = new_like(m, &x, 2 * x.bound + 1, false);
  LINE("    %s = %s;\n", y->name, filled(m, forms[pick_below(m, 6)], x.name));
  tame(m, y);
  return true;
}

static bool other_lines(const value *v) { return other_float(v) && v->rank >= 1 && v->dims[v->rank - 1] > 0; }

// The same along the last dim: sums in the type of their operands, products with a matrix that is cast.
static bool other_sums(maker *m) {
  static const char *const ops[] = {"sum", "mean", "max", "softmax", "cummax", "logsumexp"};
  value x;
  int op = pick_below(m, 8), dims[MAX_RANK] = {0};
  if (!pick_value(m, other_lines, &x)) return false;
  int width = x.dims[x.rank - 1], whole = op == 3 || op == 4;
  for (int i = 0; i < x.rank; i++) dims[i] = x.dims[i];
  if (op >= 6) {
    dims[x.rank - 1] = 3;
    const char *w = new_param(m, text_of(m, "3, %d", width));
    value *y = new_value(m, x.type, x.rank, dims, 0.5 * width * x.bound, false);
    LINE("    %s = linear(%s, %s(%s));\n", y->name, x.name, element_text(x.type), w);
    tame(m, y);
    return true;
  }
  value *y = new_value(m, x.type, whole ? x.rank : x.rank - 1, dims, op ? x.bound + 3 : width * x.bound, false);
  LINE("    %s = %s(%s, over = -1);\n", y->name, ops[op], x.name);
  tame(m, y);
  return true;
}

static bool drawn(maker *m) {
  value x;
  int kind = pick_below(m, 4), seed = pick_below(m, 100);
  if (!pick_value(m, kind == 3 ? any_int : any_f32, &x)) return false;
  const char *dims = dims_text(m, x.rank, x.dims);
  if (x.rank == 0 || (kind == 3 && x.type != I32)) return false;
  for (int i = 0; i < x.rank; i++)
    if (x.dims[i] == DIM_B) return false;
  if (kind == 1) converted(m, &x, BOOL, text_of(m, "bernoulli([%s], 0.5, %d)", dims, seed), 1, true);
  else if (kind == 2) converted(m, &x, F32, text_of(m, "normal([%s], %d)", dims, seed), 6, false);
  else if (kind == 3) converted(m, &x, F32, text_of(m, "random(%d, %%s)", seed), 1, false);
  else converted(m, &x, F32, text_of(m, "uniform([%s], %s)", dims, pick_chance(m, 2) ? "turns" : "7"), 1, false);
  return true;
}

static bool quantised(maker *m) {
  value x;
  if (!pick_value(m, exact_float, &x) || x.bound > 16) return false;
  const char *q = new_name(m, 'q');
  LINE("    %s = quantize(%s, f32(0.25), i8(3));\n", q, x.name);
  value *y = new_like(m, &x, x.bound + 1, true);
  LINE("    %s = dequantize(%s, f32(0.25), i8(3));\n", y->name, q);
  if (!pick_chance(m, 2)) return true;
  value *z = new_value(m, I8, x.rank, x.dims, 4 * x.bound + 3, true);
  snprintf(z->name, sizeof z->name, "%s", q);
  return true;
}

// A stack of values of one type, or one with itself.
static bool stacked(maker *m) {
  value x;
  if (!pick_value(m, any_number, &x) || x.rank == MAX_RANK || x.rank == 0 || x.dims[0] == DIM_B) return false;
  value z = pick_fitting(m, &x);
  int dims[MAX_RANK] = {2};
  for (int i = 0; i < x.rank; i++) dims[i + 1] = x.dims[i];
  value *y = new_value(m, x.type, x.rank + 1, dims, x.bound > z.bound ? x.bound : z.bound, x.exact && z.exact);
  LINE("    %s = stack(%s, %s);\n", y->name, x.name, z.rank == x.rank ? z.name : x.name);
  return true;
}

static bool hot(maker *m) {
  value x;
  if (!pick_value(m, any_int, &x) || x.rank == MAX_RANK) return false;
  int dims[MAX_RANK] = {0}, size = 2 + pick_below(m, 5);
  for (int i = 0; i < x.rank; i++) dims[i] = x.dims[i];
  dims[x.rank] = size;
  value *y = new_value(m, F32, x.rank + 1, dims, 1, true);
  LINE("    %s = one_hot(%s, %d);\n", y->name, x.name, size);
  return true;
}

static bool spread_value(maker *m) {
  value x;
  if (!pick_value(m, any_number, &x) || x.rank == MAX_RANK || x.rank == 0) return false;
  int dims[MAX_RANK] = {0}, size = 1 + pick_below(m, 4);
  for (int i = 0; i < x.rank; i++) dims[i] = x.dims[i];
  dims[x.rank] = size;
  value *y = new_value(m, x.type, x.rank + 1, dims, x.bound, x.exact);
  LINE("    %s = spread(%s, %d);\n", y->name, x.name, size);
  return true;
}

const statement random_text_elements[] = {unary,   unary,     rounding, binary,       binary, integers,     compared,
                                          logic,   selected,  cast,     cast,         drawn,  other_floats, other_sums,
                                          stacked, quantised, hot,      spread_value, NULL};
