// The table of cases, and what follows from a case: its module, sizes and arguments.
#include "tests/common/op_cases.h"

#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/rules.h"

#define UNARY(op, ulps) \
  { .node = op " %0", {"$[T, N]"}, "$[T, N]", ulps }
#define TESTS(op) \
  { .node = op " %0", {"$[T, N]"}, "bool[T, N]" }
#define TO(op, to, type) \
  { .node = op " %0 {dtype=" to "}", {"$[T, N]"}, type "[T, N]" }
#define BINARY(op, ulps) \
  { .node = op " %0, %1", {"$[T, N]", "$[T, N]"}, "$[T, N]", ulps }
#define COMPARE(op) \
  { .node = op " %0, %1", {"$[T, N]", "$[T, N]"}, "bool[T, N]" }
#define SUFFIX(op, ulps)                                          \
  {.node = op " %0, %1", {"$[T, N]", "$[N]"}, "$[T, N]", ulps}, { \
    .node = op " %0, %1", {"$[]", "$[T, N]"}, "$[T, N]", ulps     \
  }
#define REDUCE(op, type, ulps, measure, special)                                          \
  {.node = op " %0 {over=[1]}", {"$[T, N]"}, type "[T]", ulps, measure, special},         \
      {.node = op " %0 {over=[0]}", {"$[T, N]"}, type "[N]", ulps, measure, special},     \
      {.node = op " %0 {over=[0, 1]}", {"$[T, N]"}, type "[]", ulps, measure, special}, { \
    .node = op " %0 {over=[0, 2]}", {"$[2, T, N]"}, type "[T]", ulps, measure, special    \
  }
#define ARG(op)                                                                                                 \
  {.node = op " %0 {over=[1]}", {"$[T, K]"}, "i32[T]"}, {.node = op " %0 {over=[0]}", {"$[L, N]"}, "i32[N]"}, { \
    .node = op " %0 {over=[1]}", {"$[N, K]"}, "i32[N]"                                                          \
  }
#define RUNNING(op, ulps, measure, special)                                      \
  {.node = op " %0 {axis=1}", {"$[T, N]"}, "$[T, N]", ulps, measure, special}, { \
    .node = op " %0 {axis=0}", {"$[T, N]"}, "$[T, N]", ulps, measure, special    \
  }
#define ORDER(op, type)                                                             \
  {.node = op " %0 {axis=1, descending=false}", {"$[T, N]"}, type "[T, N]"},        \
      {.node = op " %0 {axis=0, descending=true}", {"$[T, N]"}, type "[T, N]"},     \
      {.node = op " %0 {axis=1, descending=true}", {"$[T, 37]"}, type "[T, 37]"}, { \
    .node = op " %0 {axis=1, descending=false}", {"$[2, T, 3]"}, type "[2, T, 3]"   \
  }
#define SCATTER(how, type, ulps, measure, special)                                                                     \
  {.node = "scatter %0, %1 {dim=5, combine=" how "}",                                                                  \
   {"i32[T]#in -1..=5", "$[T, N]"},                                                                                    \
   type "[5, N]",                                                                                                      \
   ulps,                                                                                                               \
   measure,                                                                                                            \
   special},                                                                                                           \
  {                                                                                                                    \
    .node = "scatter %0, %1 {dim=T, combine=" how "}", {"i32[S]#in -1..=5", "$[S, 2]", "f32[T]"}, type "[T, 2]", ulps, \
    measure, special                                                                                                   \
  }
#define FOLD(how, type, ulps, measure, special)                                                                       \
  {                                                                                                                   \
    .node = "fold each %0 {dims=[N], combine=" how "}", {"$[N]"}, type "[]", ulps, measure, special,                  \
    "region each {\n input %0: i32[] \"i\" in 0..=31\n input %1: $[N] \"x\"\n %2 = element %1, %0 : $[]\n result %2 " \
    "\"\"\n}\n"                                                                                                       \
  }

static const op_case cases[] = {
    // sources
    {.node = "constant {value=1.0, dtype=$}", {"f32[N]"}, "$[]"},
    {.node = "pos {dim=T}", {"f32[T]"}, "i32[T]"},
    {.node = "iota {dim=N}", {"f32[N]"}, "i32[N]"},
    {.node = "iota {dim=T}", {"f32[T]"}, "i32[T]"},
    {.node = "size {dim=T*N}", {"f32[T, N]"}, "i32[]"},
    // elementwise, one operand
    UNARY("neg", 0),
    UNARY("abs", 0),
    UNARY("exp", 2),
    UNARY("log", 2),
    UNARY("sqrt", 1),
    UNARY("rsqrt", 2),
    UNARY("sin", 2),
    UNARY("cos", 2),
    UNARY("tanh", 2),
    UNARY("erf", 2),
    UNARY("sigmoid", 4),
    UNARY("relu", 0),
    UNARY("silu", 4),
    {.node = "gelu %0", {"$[T, N]"}, "$[T, N]", 4, OP_SCALE},
    {.node = "gelu_tanh %0", {"$[T, N]"}, "$[T, N]", 4, OP_SCALE},
    UNARY("softplus", 4),
    UNARY("floor", 0),
    UNARY("ceil", 0),
    UNARY("round", 0),
    UNARY("tan", 4),
    UNARY("asin", 4),
    UNARY("acos", 4),
    UNARY("atan", 4),
    UNARY("sinh", 4),
    UNARY("cosh", 4),
    UNARY("asinh", 4),
    UNARY("acosh", 4),
    UNARY("atanh", 4),
    UNARY("exp2", 4),
    UNARY("log2", 4),
    UNARY("log1p", 4),
    UNARY("expm1", 4),
    UNARY("erfc", 8),
    UNARY("sign", 0),
    UNARY("trunc", 0),
    TESTS("is_nan"),
    TESTS("is_inf"),
    UNARY("not", 0),
    UNARY("bit_not", 0),
    TO("cast", "f16", "f16"),
    TO("cast", "bf16", "bf16"),
    TO("cast", "f32", "f32"),
    TO("cast", "f64", "f64"),
    TO("cast", "f8e4m3", "f8e4m3"),
    TO("cast", "f8e5m2", "f8e5m2"),
    TO("cast", "i8", "i8"),
    TO("cast", "i16", "i16"),
    TO("cast", "i32", "i32"),
    TO("cast", "i64", "i64"),
    TO("cast", "u8", "u8"),
    TO("cast", "bool", "bool"),
    TO("saturate", "i8", "i8"),
    TO("saturate", "i16", "i16"),
    TO("saturate", "i32", "i32"),
    TO("saturate", "i64", "i64"),
    TO("saturate", "u8", "u8"),
    TO("fits", "i8", "bool"),
    TO("fits", "i16", "bool"),
    TO("fits", "i32", "bool"),
    TO("fits", "i64", "bool"),
    TO("fits", "u8", "bool"),
    TO("bitcast", "f32", "f32"),
    TO("bitcast", "i32", "i32"),
    TO("bitcast", "f16", "f16"),
    TO("bitcast", "bf16", "bf16"),
    TO("bitcast", "i16", "i16"),
    TO("bitcast", "i8", "i8"),
    TO("bitcast", "u8", "u8"),
    // elementwise, two and three operands
    BINARY("add", 1),
    SUFFIX("add", 1),
    BINARY("sub", 1),
    BINARY("mul", 1),
    BINARY("div", 1),
    SUFFIX("div", 1),
    BINARY("mod", 1),
    BINARY("pow", 4),
    BINARY("max", 0),
    BINARY("min", 0),
    COMPARE("eq"),
    COMPARE("ne"),
    COMPARE("lt"),
    COMPARE("le"),
    COMPARE("gt"),
    COMPARE("ge"),
    BINARY("and", 0),
    BINARY("or", 0),
    BINARY("atan2", 4),
    BINARY("xor", 0),
    BINARY("bit_and", 0),
    BINARY("bit_or", 0),
    BINARY("bit_xor", 0),
    BINARY("shift_left", 0),
    BINARY("shift_right", 0),
    {.node = "random %0, %1", {"i32[]", "i32[T]"}, "f32[T]"},
    {.node = "random %0, %1", {"i32[T, N]", "i32[T, N]"}, "f32[T, N]"},
    BINARY("with_grad", 0),
    {.node = "select %0, %1, %2", {"bool[T, N]", "$[T, N]", "$[T, N]"}, "$[T, N]"},
    {.node = "select %0, %1, %2", {"bool[N]", "$[T, N]", "$[]"}, "$[T, N]"},
    // reductions
    REDUCE("sum", "$", 3, OP_SUMS, OP_SPECIAL_MILD),
    {.node = "sum %0 {over=[1]}", {"$[N, K]"}, "$[N]", 3, OP_SUMS, OP_SPECIAL_MILD},
    REDUCE("mean", "$", 4, OP_SUMS, OP_SPECIAL_MILD),
    REDUCE("prod", "$", 40, OP_NEAR, OP_SPECIAL_PLAIN),
    REDUCE("amax", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    REDUCE("amin", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    REDUCE("norm", "$", 8, OP_NEAR, OP_SPECIAL_PLAIN),
    REDUCE("logsumexp", "$", 8, OP_SCALE, OP_SPECIAL_MILD),
    ARG("argmax"),
    ARG("argmin"),
    REDUCE("any", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    REDUCE("all", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    {.node = "softmax %0 {axis=1}", {"$[T, N]"}, "$[T, N]", 8, OP_NEAR, OP_SPECIAL_MILD},
    {.node = "softmax %0 {axis=0}", {"$[T, N]"}, "$[T, N]", 8, OP_NEAR, OP_SPECIAL_MILD},
    {.node = "softmax %0 {axis=1}", {"$[2, N, 3]"}, "$[2, N, 3]", 8, OP_NEAR, OP_SPECIAL_MILD},
    // products
    {.node = "linear %0, %1", {"$[T, N]", "$[K, N]"}, "$[T, K]", 4, OP_SUMS, OP_SPECIAL_MILD},
    {.node = "linear %0, %1", {"$[T, 2, 17]", "$[3, 17]"}, "$[T, 2, 3]", 4, OP_SUMS, OP_SPECIAL_MILD},
    {.node = "matmul %0, %1", {"$[T, N]", "$[N, K]"}, "$[T, K]", 4, OP_SUMS, OP_SPECIAL_MILD},
    {.node = "matmul %0, %1", {"$[2, T, N]", "$[2, N, 3]"}, "$[2, T, 3]", 4, OP_SUMS, OP_SPECIAL_MILD},
    {.node = "matmul %0, %1", {"$[2, T]", "$[T, 3]"}, "$[2, 3]", 4, OP_SUMS, OP_SPECIAL_MILD},
    {.node = "attend %0, %1, %2 {causal=false, window=0, scale=0.5}",
     {"$[T, 2, 4]", "$[S, 1, 4]", "$[S, 1, 3]"},
     "$[T, 2, 3]",
     32,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "attend %0, %1, %2 {causal=true, window=3, scale=0.5}",
     {"$[T, 4, 4]", "$[T, 2, 4]", "$[T, 2, 4]"},
     "$[T, 4, 4]",
     32,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "attend %0, %1, %2, %3 {causal=false, window=0, scale=0.5}",
     {"$[T, 2, 4]", "$[S, 1, 4]", "$[S, 1, 3]", "$[T, S]"},
     "$[T, 2, 3]",
     32,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "attend %0, %1, %2, %3 {causal=true, window=0, scale=0.5}",
     {"$[T, 2, 4]", "$[T, 1, 4]", "$[T, 1, 3]", "bool[2, T, T]"},
     "$[T, 2, 3]",
     32,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "attend %0, %1, %2 {causal=true, window=0, scale=0.5}",
     {"$[2, 3, 2, 4]", "$[2, 5, 1, 4]", "$[2, 5, 1, 3]"},
     "$[2, 3, 2, 3]",
     32,
     OP_SCALE,
     OP_SPECIAL_NONE},
    // along one axis
    RUNNING("cumsum", 4, OP_SUMS, OP_SPECIAL_MILD),
    RUNNING("cumprod", 40, OP_NEAR, OP_SPECIAL_PLAIN),
    RUNNING("cummax", 0, OP_NEAR, OP_SPECIAL_ALL),
    RUNNING("cummin", 0, OP_NEAR, OP_SPECIAL_ALL),
    RUNNING("cumlogsumexp", 16, OP_SCALE, OP_SPECIAL_MILD),
    ORDER("sort", "$"),
    ORDER("argsort", "i32"),
    {.node = "argsort %0 {axis=1, descending=true}", {"$[2, 700]"}, "i32[2, 700]"},
    {.node = "top_k %0 {axis=0, k=50}", {"$[700, 2]"}, "$[50, 2], i32[50, 2]"},
    {.node = "top_k %0 {axis=1, k=100}", {"$[2, 700]"}, "$[2, 100], i32[2, 100]"},
    {.node = "top_k %0 {axis=1, k=2}", {"$[T, 5]"}, "$[T, 2], i32[T, 2]"},
    {.node = "top_k %0 {axis=1, k=40}", {"$[T, 50]"}, "$[T, 40], i32[T, 40]"},
    {.node = "top_k %0 {axis=0, k=1}", {"$[L, N]"}, "$[1, N], i32[1, N]"},
    {.node = "top_k %0 {axis=1, k=0}", {"$[T, N]"}, "$[T, 0], i32[T, 0]"},
    // windows
    {.node = "conv %0, %1 {strides=[2], before=[1], after=[2], dilations=[1], groups=2}",
     {"$[T, 4, 9]", "$[6, 2, 3]#tame"},
     "$[T, 6, 5]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "conv %0, %1 {strides=[1], before=[2], after=[0], dilations=[1], groups=1}",
     {"$[2, T]", "$[3, 2, 3]#tame"},
     "$[3, T]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "conv %0, %1 {strides=[1, 2], before=[2, 0], after=[0, 0], dilations=[2, 1], groups=1}",
     {"$[2, 2, 6, 7]", "$[3, 2, 3, 1]#tame"},
     "$[2, 3, 4, 4]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "conv %0, %1 {strides=[1, 2, 1], before=[0, 1, 0], after=[1, 0, 0], dilations=[1, 1, 2], groups=1}",
     {"$[T, 1, 2, 3, 4]", "$[2, 1, 2, 2, 2]#tame"},
     "$[T, 2, 2, 2, 2]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "conv_transpose %0, %1 {strides=[2], before=[1], after=[0], dilations=[1], groups=2, extra=[1]}",
     {"$[T, 4, 5]", "$[4, 2, 3]#tame"},
     "$[T, 4, 11]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "conv_transpose %0, %1 {strides=[1, 3], before=[0, 1], after=[1, 0], dilations=[2, 1], groups=1, "
             "extra=[0, 2]}",
     {"$[2, 2, 3, 2]", "$[2, 3, 2, 2]#tame"},
     "$[2, 3, 4, 6]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "conv_transpose %0, %1 {strides=[2], before=[0], after=[0], dilations=[1], groups=1, extra=[0]}",
     {"$[2, L]", "$[2, 3, 2]#tame"},
     "$[3, 2*L]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "max_pool %0 {window_dims=[3, 2], strides=[2, 1], before=[1, 0], after=[1, 1], dilations=[1, 1]}",
     {"$[T, 6, 5]"},
     "$[T, 3, 5]"},
    {.node = "max_pool %0 {window_dims=[3], strides=[1], before=[1], after=[1], dilations=[1]}",
     {"$[2, T]"},
     "$[2, T]"},
    {.node = "max_pool %0 {window_dims=[2], strides=[2], before=[0], after=[1], dilations=[2]}",
     {"$[T, 7]"},
     "$[T, 3]"},
    {.node = "avg_pool %0 {window_dims=[3, 2], strides=[2, 2], before=[1, 1], after=[1, 0], count_pad=false}",
     {"$[T, 6, 5]"},
     "$[T, 3, 3]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "avg_pool %0 {window_dims=[2], strides=[1], before=[1], after=[0], count_pad=true}",
     {"$[2, T]"},
     "$[2, T]",
     4,
     OP_SUMS,
     OP_SPECIAL_MILD},
    {.node = "resize_nearest %0 {dims=[5, 2]}", {"$[T, 3, 4]"}, "$[T, 5, 2]"},
    {.node = "resize_nearest %0 {dims=[2*L]}", {"$[2, L]"}, "$[2, 2*L]"},
    {.node = "resize_linear %0 {dims=[5, 2], corners=false}",
     {"$[T, 3, 4]"},
     "$[T, 5, 2]",
     16,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "resize_linear %0 {dims=[5, 7], corners=true}",
     {"$[T, 3, 4]"},
     "$[T, 5, 7]",
     16,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "resize_linear %0 {dims=[3], corners=false}", {"$[2, L]"}, "$[2, 3]", 64, OP_SCALE, OP_SPECIAL_NONE},
    // movement
    {.node = "gather %0, %1", {"$[5, N]", "i32[T, 2]#in 0..=4"}, "$[T, 2, N]"},
    {.node = "gather %0, %1", {"$[5]", "i32[N]#in 0..=4"}, "$[N]"},
    {.node = "reshape %0 {dims=[T, 6]}", {"$[T, 2, 3]"}, "$[T, 6]"},
    {.node = "reshape %0 {dims=[2*T, 3]}", {"$[T, 2, 3]"}, "$[2*T, 3]"},
    {.node = "reshape %0 {dims=[3, N, 2]}", {"$[N, 6]"}, "$[3, N, 2]"},
    {.node = "permute %0 {perm=[2, 0, 1]}", {"$[T, 2, N]"}, "$[N, T, 2]"},
    {.node = "slice %0 {axis=1, start=1, stop=3}", {"$[T, 4]"}, "$[T, 2]"},
    {.node = "slice %0 {axis=0, start=1, stop=L}", {"$[L, N]"}, "$[L - 1, N]"},
    {.node = "concat %0, %1 {axis=1}", {"$[T, N]", "$[T, 2]"}, "$[T, N + 2]"},
    {.node = "concat %0, %1 {axis=0}", {"$[T, N]", "$[S, N]"}, "$[S + T, N]"},
    {.node = "concat %0, %1, %2 {axis=0}", {"$[1, 2]", "$[T, 2]", "$[2, 2]"}, "$[T + 3, 2]"},
    {.node = "broadcast %0 {dims=[T, N]}", {"$[N]", "f32[T]"}, "$[T, N]"},
    {.node = "broadcast %0 {dims=[2, T, N]}", {"$[T, N]"}, "$[2, T, N]"},
    {.node = "last %0", {"$[L, N]"}, "$[N]"},
    {.node = "rope %0, %1 {theta=100.0, rotary=4, interleaved=false}",
     {"$[T, 2, 6]", "i32[T]#in 0..=40"},
     "$[T, 2, 6]",
     64,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "rope %0, %1 {theta=100.0, rotary=4, interleaved=true}",
     {"$[T, 2, 4]", "i32[T]#in 0..=40"},
     "$[T, 2, 4]",
     64,
     OP_SCALE,
     OP_SPECIAL_NONE},
    {.node = "stack %0, %1", {"$[T, N]", "$[T, N]"}, "$[2, T, N]"},
    {.node = "reverse %0 {axis=1}", {"$[T, N]"}, "$[T, N]"},
    {.node = "reverse %0 {axis=0}", {"$[T, N]"}, "$[T, N]"},
    {.node = "roll %0 {axis=1, shift=2}", {"$[T, N]"}, "$[T, N]"},
    {.node = "roll %0 {axis=0, shift=-5}", {"$[T, N]"}, "$[T, N]"},
    {.node = "tile %0 {axis=1, times=3}", {"$[T, N]"}, "$[T, 3*N]"},
    {.node = "tile %0 {axis=0, times=2}", {"$[T, N]"}, "$[2*T, N]"},
    {.node = "repeat %0 {axis=1, times=3}", {"$[T, N]"}, "$[T, 3*N]"},
    {.node = "repeat %0 {axis=0, times=2}", {"$[T, N]"}, "$[2*T, N]"},
    {.node = "pad %0 {before=[1, 2], after=[2, 0], value=1.0}", {"$[T, N]"}, "$[T + 3, N + 2]"},
    {.node = "pad %0 {before=[0, 2], after=[0, 1], value=0.0}", {"$[T, 3]"}, "$[T, 6]"},
    {.node = "pad_edge %0 {before=[1, 2], after=[2, 0]}", {"$[L, K]"}, "$[L + 3, K + 2]"},
    {.node = "pad_reflect %0 {before=[0, 2], after=[0, 3]}", {"$[T, 4]"}, "$[T, 9]"},
    {.node = "one_hot %0 {dim=5, dtype=f32}", {"$[T, N]"}, "f32[T, N, 5]"},
    {.node = "one_hot %0 {dim=5, dtype=f16}", {"$[T]"}, "f16[T, 5]"},
    {.node = "one_hot %0 {dim=N, dtype=bool}", {"$[T]", "f32[N]"}, "bool[T, N]"},
    {.node = "one_hot %0 {dim=5, dtype=i8}", {"$[T]"}, "i8[T, 5]"},
    SCATTER("sum", "$", 4, OP_SUMS, OP_SPECIAL_MILD),
    SCATTER("prod", "$", 40, OP_NEAR, OP_SPECIAL_PLAIN),
    SCATTER("max", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    SCATTER("min", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    SCATTER("any", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    SCATTER("all", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    SCATTER("mean", "$", 4, OP_SUMS, OP_SPECIAL_MILD),
    SCATTER("logsumexp", "$", 16, OP_SCALE, OP_SPECIAL_MILD),
    SCATTER("argmax", "i32", 0, OP_NEAR, OP_SPECIAL_ALL),
    SCATTER("argmin", "i32", 0, OP_NEAR, OP_SPECIAL_ALL),
    // signals and storage
    {.node = "dft %0, %1 {inverse=false}", {"$[T, 9]", "$[T, 9]"}, "$[T, 9], $[T, 9]", 64, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "dft %0, %1 {inverse=true}", {"$[T, 8]", "$[T, 8]"}, "$[T, 8], $[T, 8]", 64, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "dft %0, %1 {inverse=false}", {"$[2, N]", "$[2, N]"}, "$[2, N], $[2, N]", 256, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "rfft %0", {"$[T, 9]"}, "$[T, 5], $[T, 5]", 64, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "rfft %0", {"$[T, 1]"}, "$[T, 1], $[T, 1]", 64, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "irfft %0, %1 {dim=9}", {"$[T, 5]", "$[T, 5]"}, "$[T, 9]", 64, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "irfft %0, %1 {dim=8}", {"$[T, 5]", "$[T, 5]"}, "$[T, 8]", 64, OP_SCALE, OP_SPECIAL_NONE},
    {.node = "quantize %0, %1, %2 {axis=0}", {"f32[T, N]", "f32[]#scale", "$[]#small"}, "$[T, N]"},
    {.node = "quantize %0, %1, %2 {axis=1}", {"f16[T, N]", "f16[N]#scale", "$[N]#small"}, "$[T, N]"},
    {.node = "quantize %0, %1, %2 {axis=1}", {"$[T, N]", "$[N]#scale", "i8[N]#small"}, "i8[T, N]"},
    {.node = "dequantize %0, %1, %2 {axis=0}", {"$[T, N]", "f32[]#scale", "$[]#small"}, "f32[T, N]", 1},
    {.node = "dequantize %0, %1, %2 {axis=1}", {"i8[T, N]", "$[N]#scale", "i8[N]#small"}, "$[T, N]", 1},
    // regions
    {.node = "map each %0 {dims=[T, N]}",
     {"$[T, N]"},
     "$[T, N]",
     0,
     OP_NEAR,
     OP_SPECIAL_ALL,
     "region each {\n input %0: i32[] \"i\" in 0..=31\n input %1: i32[] \"j\" in 0..=31\n input %2: $[T, N] \"x\"\n"
     " %3 = element %2, %0, %1 : $[]\n result %3 \"\"\n}\n"},
    FOLD("sum", "$", 4, OP_SUMS, OP_SPECIAL_MILD),
    FOLD("prod", "$", 40, OP_NEAR, OP_SPECIAL_PLAIN),
    FOLD("max", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    FOLD("min", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    FOLD("any", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    FOLD("all", "$", 0, OP_NEAR, OP_SPECIAL_ALL),
    FOLD("mean", "$", 4, OP_SUMS, OP_SPECIAL_MILD),
    FOLD("logsumexp", "$", 16, OP_SCALE, OP_SPECIAL_MILD),
    FOLD("argmax", "i32", 0, OP_NEAR, OP_SPECIAL_ALL),
    FOLD("argmin", "i32", 0, OP_NEAR, OP_SPECIAL_ALL),
    {.node = "element %0, %1, %2", {"$[5, 4]", "i32[]#in 0..=4", "i32[]#in 0..=3"}, "$[]"},
    {.node = "element %0, %1", {"$[5, N]", "i32[]#in 0..=4"}, "$[N]"},
    {.node = "scan turn %0, %1 {dim=T, carries=1}",
     {"$[N]", "$[T, N]"},
     "$[N], $[T, N]",
     40,
     OP_NEAR,
     OP_SPECIAL_NONE,
     "region turn {\n input %0: i32[] \"t\"\n input %1: $[N] \"c\"\n input %2: $[T, N] \"x\"\n"
     " %3 = element %2, %0 : $[N]\n %4 = max %1, %3 : $[N]\n result %4 \"\"\n result %3 \"\"\n}\n"},
    {.node = "cond yes, no %0, %1",
     {"bool[]", "$[T, N]"},
     "$[T, N]",
     0,
     OP_NEAR,
     OP_SPECIAL_ALL,
     "region yes {\n input %0: $[T, N] \"x\"\n %1 = reverse %0 {axis=1} : $[T, N]\n result %1 \"\"\n}\n"
     "region no {\n input %0: $[T, N] \"x\"\n %1 = reverse %0 {axis=0} : $[T, N]\n result %1 \"\"\n}\n"},
    {.node = "route expert %0, %1, %2",
     {"i32[T]#in 0..=2", "$[T, 4]", "weight $[3, 2, 4]"},
     "$[T, 2]",
     4,
     OP_SUMS,
     OP_SPECIAL_NONE,
     "block expert {\n input %0: $[4] \"x\"\n weight %1: $[2, 4] \"w\"\n %2 = linear %0, %1 : $[2]\n result %2 "
     "\"y\"\n}\n"},
    // states and functions
    {.node = "append %0, %1", {"state $[T.past, 3]", "$[T, 3]"}, "$[T + T.past, 3]"},
    {.node = "call block %0",
     {"$[T, N]"},
     "$[T, N]",
     0,
     OP_NEAR,
     OP_SPECIAL_ALL,
     "block block {\n input %0: $[T, N] \"x\"\n %1 = reverse %0 {axis=1} : $[T, N]\n result %1 \"y\"\n}\n"},
};

const op_case *op_cases(int *out_count) {
  *out_count = (int)(sizeof cases / sizeof *cases);
  return cases;
}

ir_op op_case_op(const op_case *c) {
  char name[32] = "";
  ir_op op = IR_OP_COUNT;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(c->node, " "), c->node);
  if (!ir_op_find(name, &op)) return IR_OP_COUNT;
  return op;
}

// ---- modules

static const char *with_dtype(weir_arena *arena, const char *text, ir_dtype dtype) {
  const char *out = "", *dollar;
  for (; (dollar = strchr(text, '$')); text = dollar + 1)
    out = weir_arena_printf(arena, "%s%.*s%s", out, (int)(dollar - text), text, ir_dtype_name(dtype));
  return weir_arena_printf(arena, "%s%s", out, text);
}

static bool uses(const op_case *c, char dim) {
  for (int i = 0; i < OP_CASE_OPERANDS && c->types[i]; i++)
    if (strchr(c->types[i], dim)) return true;
  return false;
}

static const char *declare_dims(weir_arena *arena, const op_case *c) {
  const char *text = "module M\n";
  if (uses(c, 'T')) text = weir_arena_printf(arena, "%sdim T: seq in 0..=32\n", text);
  if (strstr(c->types[0], "T.past")) text = weir_arena_printf(arena, "%sdim T.past: seq in 0..=32 before T\n", text);
  if (uses(c, 'S')) text = weir_arena_printf(arena, "%sdim S: seq in 0..=32\n", text);
  if (uses(c, 'L')) text = weir_arena_printf(arena, "%sdim L: seq in 1..=32\n", text);
  if (uses(c, 'N')) text = weir_arena_printf(arena, "%sdim N: plain in 0..=32\n", text);
  if (uses(c, 'K')) text = weir_arena_printf(arena, "%sdim K: plain in 1..=32\n", text);
  return text;
}

static const char *declare_operand(weir_arena *arena, const char *type, int index) {
  const char *kind = "input", *behind = strstr(type, "#in "), *rest = "";
  bool state = !strncmp(type, "state ", 6);
  if (state) kind = "state", type += 6, rest = " rows";
  else if (!strncmp(type, "weight ", 7)) kind = "weight", type += 7;
  if (behind) rest = weir_arena_printf(arena, " %s", behind + 1);
  return weir_arena_printf(arena, "  %s %%%d: %.*s \"x%d\"%s\n", kind, index, (int)strcspn(type, "#"), type, index,
                           rest);
}

ir_module *op_case_module(weir_arena *arena, const op_case *c, ir_dtype dtype, const char **out_error) {
  bool two = strstr(c->result, "], "), step = !strncmp(c->types[0], "state ", 6);
  const char *text = weir_arena_printf(arena, "%s%s%s main {\n", declare_dims(arena, c), c->before ? c->before : "",
                                       step ? "step" : "entry");
  for (int i = 0; i < OP_CASE_OPERANDS && c->types[i]; i++)
    text = weir_arena_printf(arena, "%s%s", text, declare_operand(arena, c->types[i], i));
  text = weir_arena_printf(arena, "%s  %%9%s = %s : %s\n  result %%9 \"%s%s}\n", text, two ? ", %10" : "", c->node,
                           c->result, step ? "x0\" of %0\n" : "y\"\n", two ? "  result %10 \"z\"\n" : "");
  text = with_dtype(arena, text, dtype);
  ir_module *module = NULL;
  weir_status status = ir_parse_module(arena, text, strlen(text), &module);
  if (!status) return module;
  *out_error = weir_arena_strdup(arena, weir_status_message(status));
  weir_status_release(status);
  return NULL;
}

// ---- sizes

static const struct {
  int requests;
  int64_t t[OP_CASE_REQUESTS], s[OP_CASE_REQUESTS], l[OP_CASE_REQUESTS], n, k;
} runs[OP_CASE_RUNS] = {
    {4, {3, 0, 17, 1}, {1, 17, 3, 3}, {3, 1, 17, 1}, 3, 3},
    {2, {17, 1}, {3, 0}, {17, 2}, 17, 17},
    {1, {1}, {1}, {1}, 1, 1},
    {2, {3, 2}, {2, 3}, {1, 3}, 0, 2},
    {1, {24}, {24}, {24}, 24, 24},
};

int op_case_sizes(const ir_module *module, int run, int64_t *sizes[OP_CASE_REQUESTS]) {
  int symbols = ir_symbol_count(module->dims);
  if (symbols == 0 && run > 0 && run < OP_CASE_RUNS - 1) return 0;
  for (int r = 0; r < runs[run].requests; r++) {
    for (int i = 0; i < symbols; i++) {
      const char *name = ir_symbol_at(module->dims, i)->name;
      sizes[r][i] = !strcmp(name, "T")   ? runs[run].t[r]
                    : !strcmp(name, "S") ? runs[run].s[r]
                    : !strcmp(name, "L") ? runs[run].l[r]
                    : !strcmp(name, "N") ? runs[run].n
                    : !strcmp(name, "K") ? runs[run].k
                                         : 0;
    }
  }
  return runs[run].requests;
}

// ---- values

static uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

enum { SPECIALS = 24 };

static double special_float(ir_dtype dtype, int i, op_special kind) {
  static const double numbers[SPECIALS] = {NAN, INFINITY, -INFINITY, 0.0,  -0.0, 1,   -1,   2,    0.5, -2.5, 1.5, 3,
                                           100, -100,     0.99,      1e-5, 88.5, 1e4, -1e4, 0.25, 0,   0,    0,   0};
  double least = dtype == IR_f64 ? 0x1p-1074 : dtype == IR_f16 ? 0x1p-24 : dtype == IR_bf16 ? 0x1p-133 : 0x1p-149;
  double most = dtype == IR_f64 ? 0x1.fffffffffffffp1023 : dtype == IR_f16 ? 65504 : 0x1.fffffep127;
  if (dtype == IR_bf16) most = 0x1.fep127;
  if (dtype == IR_f8e4m3) least = 0x1p-9, most = 448;
  if (dtype == IR_f8e5m2) least = 0x1p-16, most = 57344;
  if (kind == OP_SPECIAL_MILD) i %= 22;
  if (kind == OP_SPECIAL_PLAIN) i %= 12;
  double x = i == 20 ? least : i == 21 ? -3 * least : i == 22 ? most : i == 23 ? -most : numbers[i];
  return ir_round_to(dtype, x);
}

// Sums of what is no elementwise op stay below 2^53, which the references hold.
static double special_int(ir_dtype dtype, bool cross, int i) {
  static const double numbers[SPECIALS] = {0,  1,  -1, 2,  -2, 3,  5,   7,    -7, 8, 15, 16,
                                           31, 32, 33, 40, 63, 64, 100, -100, 0,  0, 0,  0};
  int64_t lo, hi;
  ir_dtype_range(dtype, &lo, &hi);
  if (dtype == IR_i64) hi = (int64_t)1 << 53;
  if (dtype == IR_i64 && !cross) hi = INT32_MAX, lo = INT32_MIN;
  return i == 20   ? (double)lo
         : i == 21 ? (double)lo + 1
         : i == 22 ? (double)hi
         : i == 23 ? (double)hi - 1
                   : ir_wrap_to(dtype, (int64_t)numbers[i]);
}

static double tame(const ir_value *value, const char *hint, uint64_t *state) {
  ir_dtype dtype = value->type.dtype;
  int64_t draw = (int64_t)next_random(state);
  if (dtype == IR_bool) return (double)(draw & 1);
  if (hint && !strncmp(hint, "#scale", 6)) return ir_round_to(dtype, ldexp(1, (int)(draw % 4) - 2));
  if (ir_dtype_is_int(dtype)) {
    int64_t lo = dtype == IR_u8 ? 0 : -5, hi = 5;
    if (value->lo <= value->hi) lo = value->lo, hi = value->hi;
    return (double)(lo + draw % (hi - lo + 1));
  }
  double x = draw & 1 ? (double)(draw / 2 % 17 - 8) / 4 : (double)(draw % 100003) / 25000.75 - 2;
  return ir_round_to(dtype, x);
}

static double special(const op_case *c, const ir_value *value, bool cross, int operand, int64_t at, uint64_t *state) {
  ir_dtype dtype = value->type.dtype;
  int which = (int)(next_random(state) % SPECIALS);
  if (next_random(state) % 8 == 0) which = 0;
  if (cross) which = (int)(operand == 0 ? at / SPECIALS % SPECIALS : at % SPECIALS);
  if (dtype == IR_bool) return which & 1;
  return ir_dtype_is_int(dtype) ? special_int(dtype, cross, which) : special_float(dtype, which, c->special);
}

void op_case_args(weir_arena *arena, const op_case *c, const ir_function *function, int run, int request,
                  const int64_t *sizes, ir_tensor *args) {
  bool last = run == OP_CASE_RUNS - 1 && c->special != OP_SPECIAL_NONE;
  bool whole = c->special != OP_SPECIAL_PLAIN;
  bool cross = (ir_op_get_info(op_case_op(c))->flags & IR_FLAG_EW) != 0;
  for (int p = 0; p < function->param_count; p++) {
    const ir_value *value = function->params[p].value;
    const char *hint = c->types[p] ? strchr(c->types[p], '#') : NULL;
    bool same = function->params[p].kind == IR_PARAM_WEIGHT;
    uint64_t state = (uint64_t)(run * 100 + p * 10 + (same ? 0 : request)) * 7919 + 12345;
    args[p] = (ir_tensor){.dtype = value->type.dtype, .rank = value->type.rank};
    for (int i = 0; i < value->type.rank; i++) (void)!ir_dim_eval(value->type.dims[i], sizes, &args[p].dims[i]);
    int64_t count = ir_tensor_elements(&args[p]);
    args[p].data = WEIR_NEW_ARRAY(arena, double, count);
    for (int64_t i = 0; i < count; i++) {
      bool strange = last && !hint && (cross || next_random(&state) % 6 == 0);
      strange &= whole || !ir_dtype_is_int(value->type.dtype);
      args[p].data[i] = strange ? special(c, value, cross, p, i, &state) : tame(value, hint, &state);
    }
  }
}
