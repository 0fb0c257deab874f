// The functions and words that every text knows. Elementwise ones come from the op table: an op with one operand,
// no attributes and the EW flag is a function of the same name.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_more_ops.h"

// ---- numbers: what the elementwise functions are at build time

static bool math(ir_op op, double x, double *out) {
  switch (op) {
    case IR_OP_exp:
      *out = exp(x);
      return true;
    case IR_OP_log:
      *out = log(x);
      return true;
    case IR_OP_sqrt:
      *out = sqrt(x);
      return true;
    case IR_OP_rsqrt:
      *out = 1 / sqrt(x);
      return true;
    case IR_OP_sin:
      *out = sin(x);
      return true;
    case IR_OP_cos:
      *out = cos(x);
      return true;
    case IR_OP_tanh:
      *out = tanh(x);
      return true;
    case IR_OP_floor:
      *out = floor(x);
      return true;
    case IR_OP_ceil:
      *out = ceil(x);
      return true;
    case IR_OP_round:
      *out = rint(x);
      return true;
    case IR_OP_abs:
      *out = fabs(x);
      return true;
    case IR_OP_tan:
      *out = tan(x);
      return true;
    case IR_OP_atan:
      *out = atan(x);
      return true;
    case IR_OP_exp2:
      *out = exp2(x);
      return true;
    case IR_OP_log2:
      *out = log2(x);
      return true;
    case IR_OP_trunc:
      *out = trunc(x);
      return true;
    default:
      return false;
  }
}

static lang_value bad_argument(lang_frame *frame, const lang_call *call, int index) {
  lang_error(frame->elab, LANG_W_WANTS_TENSOR, call->exprs[index]->span,
             weir_arena_printf(frame->elab->arena, "an argument of %s", call->name),
             lang_value_describe(frame->elab->arena, call->positional[index]));
  return lang_value_error();
}

static lang_value unary(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_value x = call->positional[0];
  double result;
  if (x.kind == LANG_V_TENSOR) return lang_elementwise(frame, self->op, &x, 1, call->expr->span);
  if (x.kind == LANG_V_INT && self->op == IR_OP_abs && x.i != INT64_MIN) return lang_value_int(x.i < 0 ? -x.i : x.i);
  if (lang_value_is_number(x) && math(self->op, lang_value_number(x), &result)) return lang_value_float(result);
  return bad_argument(frame, call, 0);
}

static lang_value binary(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_value a = call->positional[0], b = call->positional[1];
  if (a.kind == LANG_V_TENSOR || b.kind == LANG_V_TENSOR)
    return lang_elementwise(frame, self->op, call->positional, 2, call->expr->span);
  if (!lang_value_is_number(a)) return bad_argument(frame, call, 0);
  if (!lang_value_is_number(b)) return bad_argument(frame, call, 1);
  double x = lang_value_number(a), y = lang_value_number(b);
  if (self->op == IR_OP_pow) return lang_value_float(pow(x, y));
  bool first = self->op == IR_OP_max ? x >= y : x <= y;
  lang_value chosen = first ? a : b;
  return a.kind == b.kind ? chosen : lang_value_float(lang_value_number(chosen));
}

// max(x, over = d) reduces, max(a, b) is elementwise.
static lang_value extreme(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_builtin other = *self;
  if (call->count == 2 && !call->named.count) return binary(frame, self, call);
  if (call->count == 2) {
    lang_error(frame->elab, LANG_W_TOO_MANY_ARGUMENTS, call->exprs[1]->span, self->name, "1");
    return lang_value_error();
  }
  other.op = self->op == IR_OP_max ? IR_OP_amax : IR_OP_amin;
  return lang_builtin_reduce(frame, &other, call);
}

static lang_value choose_elements(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_value c = call->positional[0];
  if (c.kind == LANG_V_BOOL) return call->positional[c.b ? 1 : 2];
  if (c.kind != LANG_V_TENSOR) return bad_argument(frame, call, 0);
  lang_value values[3] = {c, call->positional[1], call->positional[2]};
  if (lang_value_is_number(values[1]) && lang_value_is_number(values[2])) {
    bool ints = values[1].kind == LANG_V_INT && values[2].kind == LANG_V_INT;
    values[1] = lang_cast(frame, values[1], ints ? IR_i32 : IR_f32, false, call->expr->span);
  }
  return lang_elementwise(frame, self->op, values, 3, call->expr->span);
}

static lang_value to_int(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_value x = call->positional[0];
  if (x.kind == LANG_V_INT) return x;
  if (x.kind == LANG_V_BOOL) return lang_value_int(x.b);
  if (x.kind == LANG_V_FLOAT && fabs(x.f) < 0x1p63) return lang_value_int((int64_t)x.f);
  lang_error(frame->elab, LANG_W_NO_CONVERSION, call->expr->span, "int", lang_value_describe(frame->elab->arena, x));
  return lang_value_error();
}

static lang_value to_float(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_value x = call->positional[0];
  if (lang_value_is_number(x)) return lang_value_float(lang_value_number(x));
  if (x.kind == LANG_V_DIM) return lang_cast(frame, x, IR_f32, false, call->expr->span);
  lang_error(frame->elab, LANG_W_NO_CONVERSION, call->expr->span, "float", lang_value_describe(frame->elab->arena, x));
  return lang_value_error();
}

static lang_value length(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_value x = call->positional[0];
  if (x.kind == LANG_V_LIST) return lang_value_int(x.list.count);
  if (x.kind == LANG_V_STRING) return lang_value_int((int64_t)strlen(x.s));
  lang_error(frame->elab, LANG_W_NO_CONVERSION, call->expr->span, "len", lang_value_describe(frame->elab->arena, x));
  return lang_value_error();
}

static lang_value append(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_error(frame->elab, LANG_W_APPEND_FORM, call->expr->span);
  return lang_value_error();
}

// ---- the table: name, least and most positional arguments, named ones, function, op

static const lang_builtin table[] = {
    {"max", 1, 2, " over ", extreme, IR_OP_max},
    {"min", 1, 2, " over ", extreme, IR_OP_min},
    {"pow", 2, 2, "", binary, IR_OP_pow},
    {"select", 3, 3, "", choose_elements, IR_OP_select},
    {"clamp", 3, 3, "", lang_builtin_clamp, IR_OP_max},
    {"sum", 1, 1, " over ", lang_builtin_reduce, IR_OP_sum},
    {"mean", 1, 1, " over ", lang_builtin_reduce, IR_OP_mean},
    {"prod", 1, 1, " over ", lang_builtin_reduce, IR_OP_prod},
    {"norm", 1, 1, " over ", lang_builtin_reduce, IR_OP_norm},
    {"logsumexp", 1, 1, " over ", lang_builtin_reduce, IR_OP_logsumexp},
    {"argmax", 1, 1, " over ", lang_builtin_reduce, IR_OP_argmax},
    {"softmax", 1, 1, " over ", lang_builtin_reduce, IR_OP_softmax},
    {"linear", 2, 3, "", lang_builtin_linear, IR_OP_linear},
    {"matmul", 2, 2, "", lang_builtin_linear, IR_OP_matmul},
    {"attend", 3, 3, " causal window scale bias ", lang_builtin_attend, IR_OP_attend},
    {"rope", 2, 2, " rotary interleaved ", lang_builtin_rope, IR_OP_rope},
    {"gather", 2, 2, "", lang_builtin_gather, IR_OP_gather},
    {"pos", 1, 1, "", lang_builtin_pos, IR_OP_pos},
    {"iota", 1, 1, "", lang_builtin_pos, IR_OP_iota},
    {"permute", 2, 2, "", lang_builtin_permute, IR_OP_permute},
    {"concat", 1, -1, " over ", lang_builtin_concat, IR_OP_concat},
    {"split", 2, 2, " over ", lang_builtin_split, IR_OP_slice},
    {"unstack", 1, 1, " over ", lang_builtin_unstack, IR_OP_slice},
    {"repeat", 2, 2, " over ", lang_builtin_repeat, IR_OP_broadcast},
    {"spread", 2, 2, "", lang_builtin_spread, IR_OP_broadcast},
    {"last", 1, 1, "", lang_builtin_last, IR_OP_last},
    {"int", 1, 1, "", to_int, IR_OP_COUNT},
    {"float", 1, 1, "", to_float, IR_OP_COUNT},
    {"len", 1, 1, "", length, IR_OP_COUNT},
    {"append", 0, -1, "", append, IR_OP_append},
    {"uniform", 2, 2, "", lang_builtin_random, IR_OP_random},
    {"normal", 2, 2, "", lang_builtin_random, IR_OP_random},
    {"bernoulli", 3, 3, "", lang_builtin_random, IR_OP_random},
    {"choose", 1, -1, "", lang_builtin_choose, IR_OP_COUNT},
};
enum { TABLE_COUNT = sizeof table / sizeof *table };

// One for each elementwise op of one operand.
static const lang_builtin elementwise[] = {
#define A0 0
#define A1(a) 1
#define A2(a, b) 2
#define A3(a, b, c) 3
#define A4(a, b, c, d) 4
#define A5(a, b, c, d, e) 5
#define A6(a, b, c, d, e, f) 6
#define OP(opname, operands, attrs, type, flags, cost, meaning)                                 \
  [IR_OP_##opname] = {.name = (operands) == 1 && (attrs) == 0 && ((flags)&EW) ? #opname : NULL, \
                      .min = 1,                                                                 \
                      .max = 1,                                                                 \
                      .named = "",                                                              \
                      .call = unary,                                                            \
                      .op = IR_OP_##opname},
#define PURE 0
#define EW 1
#define COMM 0
#define REDUCE 0
#define MOVE 0
#define ROW 0
#define STATE 0
#define FLOAT 0
#define BOOLS 0
#define INTS 0
#define REGION 0
#include "ir/ops.def"
#undef OP
#undef A0
#undef A1
#undef A2
#undef A3
#undef A4
#undef A5
#undef A6
#undef PURE
#undef EW
#undef COMM
#undef REDUCE
#undef MOVE
#undef ROW
#undef STATE
#undef FLOAT
#undef BOOLS
#undef INTS
#undef REGION
};

// Words that a later version gives a meaning.
static const char *const later[] = {
    "cumulative",
    "shift",
    "channel_scale",
    "row_scale",
};

const lang_builtin *lang_builtin_find(const char *name) {
  for (int i = 0; i < TABLE_COUNT; i++) {
    if (!strcmp(table[i].name, name)) return &table[i];
  }
  int more;
  const lang_builtin *others = lang_more_builtins(&more);
  for (int i = 0; i < more; i++) {
    if (!strcmp(others[i].name, name)) return &others[i];
  }
  ir_op op;
  return ir_op_find(name, &op) && elementwise[op].name ? &elementwise[op] : NULL;
}

const char *lang_builtin_name(const lang_builtin *builtin) { return builtin->name; }

bool lang_builtin_later(const char *name) {
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    if (!strcmp(later[i], name)) return true;
  }
  return false;
}

bool lang_builtin_constant(const lang_elab *elab, const char *name, lang_value *out) {
  ir_dtype dtype;
  if (!strcmp(name, "true")) *out = lang_value_bool(true);
  else if (!strcmp(name, "false")) *out = lang_value_bool(false);
  else if (!strcmp(name, "training")) *out = lang_value_bool(elab->options->training);
  else if (!strcmp(name, "inf")) *out = lang_value_float(INFINITY);
  else if (!strcmp(name, "nan")) *out = lang_value_float(NAN);
  else if (!strcmp(name, "f")) *out = (lang_value){.kind = LANG_V_DTYPE, .dtype = {elab->options->float_dtype, true}};
  else if (ir_dtype_find(name, &dtype)) *out = (lang_value){.kind = LANG_V_DTYPE, .dtype = {dtype, false}};
  else return false;
  return true;
}

void lang_builtin_names(weir_arena *arena, lang_names *out) {
  static const char *const words[] = {"true", "false", "training", "f", "inf", "nan"};
  lang_name name = {0};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    name.text = words[i];
    LANG_PUSH(arena, out, name);
  }
  for (int i = 0; i < IR_DTYPE_COUNT; i++) {
    name.text = ir_dtype_name((ir_dtype)i);
    LANG_PUSH(arena, out, name);
  }
  for (int i = 0; i < TABLE_COUNT; i++) {
    name.text = table[i].name;
    LANG_PUSH(arena, out, name);
  }
  int more;
  const lang_builtin *others = lang_more_builtins(&more);
  for (int i = 0; i < more; i++) {
    name.text = others[i].name;
    LANG_PUSH(arena, out, name);
  }
  for (int i = 0; i < IR_OP_COUNT; i++) {
    name.text = elementwise[i].name;
    if (name.text) LANG_PUSH(arena, out, name);
  }
}

// ---- calling

static bool named_ok(lang_frame *frame, const lang_builtin *builtin, const lang_call *call) {
  for (int i = 0; i < call->named.count; i++) {
    const lang_name *name = &call->named.data[i].name;
    const char *padded = weir_arena_printf(frame->elab->arena, " %s ", name->text);
    if (strstr(builtin->named, padded)) continue;
    lang_diag *diag = lang_error(frame->elab, LANG_W_UNKNOWN_ARGUMENT, name->span, builtin->name, name->text);
    if (*builtin->named) lang_note_add(frame->elab, diag, (lang_span){0}, "its named arguments:%s", builtin->named);
    return false;
  }
  return true;
}

lang_value lang_builtin_call(lang_frame *frame, const lang_builtin *builtin, const lang_call *call) {
  weir_arena *arena = frame->elab->arena;
  if (call->count < builtin->min) {
    lang_error(frame->elab, LANG_W_TOO_FEW_ARGUMENTS, call->expr->span, builtin->name,
               weir_arena_printf(arena, "%d", builtin->min), weir_arena_printf(arena, "%d", call->count));
    return lang_value_error();
  }
  if (builtin->max >= 0 && call->count > builtin->max) {
    lang_error(frame->elab, LANG_W_TOO_MANY_ARGUMENTS, call->exprs[builtin->max]->span, builtin->name,
               weir_arena_printf(arena, "%d", builtin->max));
    return lang_value_error();
  }
  if (!named_ok(frame, builtin, call)) return lang_value_error();
  bool elements = builtin->op < IR_OP_COUNT && (ir_op_get_info(builtin->op)->flags & IR_FLAG_EW);
  if (frame->function && frame->function->index && !elements && builtin->op != IR_OP_pos &&
      !lang_index_takes(frame, builtin->name, call))
    return lang_value_error();
  lang_value v = builtin->call(frame, builtin, call);
  if (v.kind == LANG_V_TENSOR && !lang_shape_rule(frame, v.tensor, builtin->name, call->expr->span))
    return lang_value_error();
  return v;
}
