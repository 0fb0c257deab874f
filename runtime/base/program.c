// Size expressions and the element types of programs.
//
// An expression is postfix code evaluated on a small fixed stack: launches evaluate their grids on every step, so
// nothing is allocated.
#include "runtime/base/program.h"

#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/base/program_internal.h"

static const struct {
  const char *name;
  int bytes;
} dtypes[RT_DTYPE_COUNT] = {
    [RT_DTYPE_f16] = {"f16", 2}, [RT_DTYPE_bf16] = {"bf16", 2},     [RT_DTYPE_f32] = {"f32", 4},
    [RT_DTYPE_f64] = {"f64", 8}, [RT_DTYPE_f8e4m3] = {"f8e4m3", 1}, [RT_DTYPE_f8e5m2] = {"f8e5m2", 1},
    [RT_DTYPE_i8] = {"i8", 1},   [RT_DTYPE_i16] = {"i16", 2},       [RT_DTYPE_i32] = {"i32", 4},
    [RT_DTYPE_i64] = {"i64", 8}, [RT_DTYPE_u8] = {"u8", 1},         [RT_DTYPE_bool] = {"bool", 1},
};

const char *rt_dtype_name(rt_dtype dtype) { return (unsigned)dtype < RT_DTYPE_COUNT ? dtypes[dtype].name : "?"; }
int rt_dtype_bytes(rt_dtype dtype) { return (unsigned)dtype < RT_DTYPE_COUNT ? dtypes[dtype].bytes : 0; }

int rt_state_word(rt_dtype dtype, int64_t row_bytes) {
  if (dtype == RT_DTYPE_f16) return rt_dtype_bytes(dtype);
  int word = row_bytes % 4 == 0 ? 4 : row_bytes % 2 == 0 ? 2 : 1, least = rt_dtype_bytes(dtype);
  return word > least ? word : least;
}

rt_expr rt_expr_const(weir_arena *arena, int64_t value) {
  rt_size_op *op = WEIR_NEW(arena, rt_size_op);
  *op = (rt_size_op){RT_SIZE_CONST, value};
  return (rt_expr){1, op};
}

rt_expr rt_expr_var(weir_arena *arena, int size) {
  rt_size_op *op = WEIR_NEW(arena, rt_size_op);
  *op = (rt_size_op){RT_SIZE_VAR, size};
  return (rt_expr){1, op};
}

static bool apply(rt_size_code code, int64_t a, int64_t b, int64_t *out) {
  switch (code) {
    case RT_SIZE_ADD:
      return weir_add_i64(a, b, out);
    case RT_SIZE_SUB:
      return !__builtin_sub_overflow(a, b, out);
    case RT_SIZE_MUL:
      return weir_mul_i64(a, b, out);
    case RT_SIZE_DIV:
    case RT_SIZE_MOD: {
      if (b == 0 || (a == INT64_MIN && b == -1)) return false;
      int64_t q = a / b, r = a % b;
      // Toward minus infinity.
      if (r != 0 && (r < 0) != (b < 0)) q--, r += b;
      *out = code == RT_SIZE_DIV ? q : r;
      return true;
    }
    case RT_SIZE_MIN:
      *out = a < b ? a : b;
      return true;
    case RT_SIZE_MAX:
      *out = a > b ? a : b;
      return true;
    default:
      return false;
  }
}

static bool is_const(rt_expr e, int64_t *out) {
  if (e.op_count != 1 || e.ops[0].code != RT_SIZE_CONST) return false;
  *out = e.ops[0].value;
  return true;
}

// x + 0, x - 0, x * 1, x / 1. Not x * 0: x may fail.
static bool identity(rt_size_code code, rt_expr a, rt_expr b, rt_expr *out) {
  int64_t c;
  if (is_const(b, &c)) {
    bool keeps =
        c == 0 ? code == RT_SIZE_ADD || code == RT_SIZE_SUB : c == 1 && (code == RT_SIZE_MUL || code == RT_SIZE_DIV);
    if (keeps) *out = a;
    return keeps;
  }
  if (is_const(a, &c)) {
    bool keeps = (c == 0 && code == RT_SIZE_ADD) || (c == 1 && code == RT_SIZE_MUL);
    if (keeps) *out = b;
    return keeps;
  }
  return false;
}

rt_expr rt_expr_binary(weir_arena *arena, rt_size_code code, rt_expr a, rt_expr b) {
  int64_t x, y, value;
  rt_expr simple;
  if (is_const(a, &x) && is_const(b, &y) && apply(code, x, y, &value)) return rt_expr_const(arena, value);
  if (identity(code, a, b, &simple)) return simple;
  int count = a.op_count + b.op_count + 1;
  rt_size_op *ops = WEIR_NEW_ARRAY(arena, rt_size_op, count);
  if (a.op_count) memcpy(ops, a.ops, (size_t)a.op_count * sizeof *ops);
  if (b.op_count) memcpy(ops + a.op_count, b.ops, (size_t)b.op_count * sizeof *ops);
  ops[count - 1] = (rt_size_op){code, 0};
  return (rt_expr){count, ops};
}

bool rt_expr_eval(rt_expr expr, const int64_t *sizes, int64_t *out) {
  int64_t stack[RT_EXPR_MAX_STACK];
  int depth = 0;
  for (int i = 0; i < expr.op_count; i++) {
    rt_size_op op = expr.ops[i];
    if (op.code == RT_SIZE_CONST || op.code == RT_SIZE_VAR) {
      if (depth == RT_EXPR_MAX_STACK) return false;
      stack[depth++] = op.code == RT_SIZE_CONST ? op.value : sizes[op.value];
    } else {
      if (depth < 2 || !apply(op.code, stack[depth - 2], stack[depth - 1], &stack[depth - 2])) return false;
      depth--;
    }
  }
  if (depth != 1) return false;
  *out = stack[0];
  return true;
}

bool rt_expr_well_formed(rt_expr expr, int size_count) {
  int depth = 0;
  if (expr.op_count < 1 || expr.op_count > RT_EXPR_MAX_OPS || !expr.ops) return false;
  for (int i = 0; i < expr.op_count; i++) {
    rt_size_op op = expr.ops[i];
    if (op.code == RT_SIZE_CONST || op.code == RT_SIZE_VAR) {
      if (op.code == RT_SIZE_VAR && (op.value < 0 || op.value >= size_count)) return false;
      if (++depth > RT_EXPR_MAX_STACK) return false;
    } else if ((unsigned)op.code > RT_SIZE_MAX || --depth < 1) {
      return false;
    }
  }
  return depth == 1;
}
