// Nodes as C expressions. Scalars use C's operators where these have the kernel IR's meaning (the code is compiled with
// -fwrapv), all else and all vectors the prelude's functions: s*_op and v*_op with a letter for the type the value
// lives in.
#include <math.h>

#include "codegen/text/code.h"

char cg_rep(ir_ktype type) {
  switch (cg_base_type(type)) {
    case IR_KT_f32:
      return 'f';
    case IR_KT_f64:
      return 'd';
    case IR_KT_i32:
      return 'i';
    case IR_KT_u32:
      return 'u';
    case IR_KT_bool:
      return 'm';
    default:
      return 'l';
  }
}

const char *cg_c_type(ir_ktype type, bool vector) {
  switch (cg_rep(type)) {
    case 'f':
      return vector ? "vf" : "f32";
    case 'd':
      return vector ? "vd" : "f64";
    case 'i':
      return vector ? "vi" : "i32";
    case 'u':
      return vector ? "vu" : "u32";
    case 'm':
      return vector ? "vm" : "bool";
    default:
      return vector ? "vl" : "i64";
  }
}

const char *cg_memory_type(ir_ktype type) {
  switch (type) {
    case IR_KT_f16:
    case IR_KT_bf16:
      return "u16";
    case IR_KT_f8e4m3:
    case IR_KT_f8e5m2:
    case IR_KT_bool:
      return "u8";
    default:
      return ir_ktype_name(type);
  }
}

void cg_emit_float(ir_text *out, ir_ktype type, double value) {
  bool single = cg_rep(type) == 'f';
  if (isnan(value)) {
    ir_text_puts(out, single ? "__builtin_nanf(\"\")" : "__builtin_nan(\"\")");
  } else if (isinf(value)) {
    ir_text_printf(out, single ? "%s__builtin_inff()" : "%s__builtin_inf()", value < 0 ? "-" : "");
  } else if (value == floor(value) && fabs(value) < 1e6) {
    ir_text_printf(out, single ? "%.1ff" : "%.1f", value);
  } else {
    ir_text_printf(out, single ? "%af" : "%a", value);
  }
}

static void emit_const(ir_text *out, const cg_node *n) {
  if (ir_ktype_is_float(n->type)) cg_emit_float(out, n->type, n->f);
  else if (n->i == INT64_MIN) ir_text_puts(out, "(-0x7fffffffffffffffLL - 1)");
  else if (n->type == IR_KT_i32 && n->i == INT32_MIN) ir_text_puts(out, "(-2147483647 - 1)");
  else if (cg_rep(n->type) == 'u') ir_text_printf(out, "%uu", (unsigned)n->i);
  else ir_text_printf(out, n->i > INT32_MAX || n->i < INT32_MIN ? "%lldLL" : "%lld", (long long)n->i);
}

static const char *infix(const cg_node *n) {
  char rep = cg_rep(n->args[0]->type);
  bool is_float = rep == 'f' || rep == 'd';
  if (n->vector) return NULL;
  switch (n->op) {
    case IR_K_add:
      return rep == 'm' ? NULL : "+";
    case IR_K_sub:
      return rep == 'm' ? NULL : "-";
    case IR_K_mul:
      return rep == 'm' ? NULL : "*";
    case IR_K_div:
      return is_float ? "/" : NULL;
    case IR_K_eq:
      return "==";
    case IR_K_ne:
      return "!=";
    case IR_K_lt:
      return "<";
    case IR_K_le:
      return "<=";
    case IR_K_gt:
      return ">";
    case IR_K_ge:
      return ">=";
    case IR_K_and:
      return "&";
    case IR_K_or:
      return "|";
    case IR_K_xor:
      return "^";
    default:
      return NULL;
  }
}

static void emit_call(cg_code *c, ir_text *out, const cg_node *n, const char *name) {
  ir_text_printf(out, "%s(", name);
  for (int i = 0; i < n->arg_count; i++) {
    if (i) ir_text_puts(out, ", ");
    cg_emit_expr(c, out, n->args[i]);
  }
  ir_text_puts(out, ")");
}

// Quotient and remainder of i64 by a constant power of two, or of what is not negative.
static bool emit_index_division(cg_code *c, ir_text *out, const cg_node *n) {
  int64_t d;
  if (n->vector || n->type != IR_KT_i64 || (n->op != IR_K_div && n->op != IR_K_mod)) return false;
  if (!cg_is_int(n->args[1], &d) || d <= 0) return false;
  bool quotient = n->op == IR_K_div, power = (d & (d - 1)) == 0;
  if (!power && !n->args[0]->not_negative) return false;
  ir_text_puts(out, "(");
  cg_emit_expr(c, out, n->args[0]);
  if (power && quotient) ir_text_printf(out, " >> %d)", __builtin_ctzll((unsigned long long)d));
  else if (power) ir_text_printf(out, " & %lld)", (long long)(d - 1));
  else ir_text_printf(out, " %s %lld)", quotient ? "/" : "%", (long long)d);
  return true;
}

// Shifts by a constant within the type.
static bool emit_constant_shift(cg_code *c, ir_text *out, const cg_node *n) {
  if (n->op != IR_K_shl && n->op != IR_K_shr) return false;
  const cg_node *count = n->args[1]->op == CG_SPLAT ? n->args[1]->args[0] : n->args[1];
  char rep = cg_rep(n->type);
  int64_t by;
  if (!cg_is_int(count, &by) || by < 0 || by >= (rep == 'l' ? 64 : 32) || (n->vector && rep == 'l')) return false;
  if (n->vector) ir_text_printf(out, "v%c_%s_n(", rep, ir_kop_name((ir_kop)n->op));
  else ir_text_puts(out, "(");
  cg_emit_expr(c, out, n->args[0]);
  ir_text_printf(out, n->vector ? ", %lld)" : n->op == IR_K_shl ? " << %lld)" : " >> %lld)", (long long)by);
  return true;
}

static void emit_cast(cg_code *c, ir_text *out, const cg_node *n) {
  char to = cg_rep(n->type), from = cg_rep(n->args[0]->type), shape = n->vector ? 'v' : 's';
  const char *name = to != from ? weir_arena_printf(c->arena, "%c%c_from_%c", shape, to, from)
                                : weir_arena_printf(c->arena, "%c%c_wrap_%s", shape, to, ir_ktype_name(n->type));
  emit_call(c, out, n, name);
}

static void emit_bitcast(cg_code *c, ir_text *out, const cg_node *n) {
  bool from_unsigned = cg_rep(n->args[0]->type) == 'u' && cg_rep(n->type) == 'f';
  emit_call(
      c, out, n,
      weir_arena_printf(c->arena, "%c%c_bits%s", n->vector ? 'v' : 's', cg_rep(n->type), from_unsigned ? "_u" : ""));
}

void cg_emit_place(cg_code *c, ir_text *out, int buffer, ir_ktype type, cg_node *request, cg_node *index,
                   bool element) {
  ir_text_puts(out, c->access[buffer][type].view);
  if (request) {
    ir_text_puts(out, "[");
    cg_emit_expr(c, out, request);
    ir_text_puts(out, "]");
  }
  if (!index) return;
  int64_t zero;
  if (!element && cg_is_int(index, &zero) && zero == 0) return;
  ir_text_puts(out, element ? "[" : " + ");
  cg_emit_expr(c, out, index);
  if (element) ir_text_puts(out, "]");
}

static void emit_scalar_load(cg_code *c, ir_text *out, const cg_node *n) {
  if (n->args[2]) {
    ir_text_puts(out, "(");
    cg_emit_expr(c, out, n->args[2]);
    ir_text_puts(out, " ? ");
  }
  c->target->load(c, out, n);
  if (n->args[2]) ir_text_puts(out, " : 0)");
}

static void emit_vector_load(cg_code *c, ir_text *out, const cg_node *n) {
  int64_t step = 0;
  bool ramp = n->op == CG_LOAD_RAMP, next = ramp && cg_is_int(n->args[3], &step) && step == 1;
  bool second = step == 2 && n->type == IR_KT_f32;
  const char *form = next ? (n->args[2] ? "_m" : "") : second ? "_s2" : ramp ? "_s" : "_g";
  ir_text_printf(out, "v%c_load_%s%s(", cg_rep(n->type), ir_ktype_name(n->type), form);
  cg_emit_place(c, out, n->index, n->type, n->args[1], ramp ? n->args[0] : NULL, false);
  if (!next && !second) {
    ir_text_puts(out, ", ");
    cg_emit_expr(c, out, ramp ? n->args[3] : n->args[0]);
  }
  if (n->args[2]) {
    ir_text_puts(out, ", ");
    cg_emit_expr(c, out, n->args[2]);
  } else if (!ramp) {
    ir_text_puts(out, ", vm_splat(1)");
  }
  ir_text_puts(out, ")");
}

static void emit_scalar_select(cg_code *c, ir_text *out, const cg_node *n) {
  ir_text_puts(out, "(");
  cg_emit_expr(c, out, n->args[0]);
  ir_text_puts(out, " ? ");
  cg_emit_expr(c, out, n->args[1]);
  ir_text_puts(out, " : ");
  cg_emit_expr(c, out, n->args[2]);
  ir_text_puts(out, ")");
}

static void emit_ir_op(cg_code *c, ir_text *out, cg_node *n) {
  const char *sign = n->arg_count == 2 ? infix(n) : NULL;
  if (sign) {
    ir_text_puts(out, "(");
    cg_emit_expr(c, out, n->args[0]);
    ir_text_printf(out, " %s ", sign);
    cg_emit_expr(c, out, n->args[1]);
    ir_text_puts(out, ")");
  } else if (n->op == IR_K_neg && !n->vector) {
    ir_text_puts(out, "(- ");
    cg_emit_expr(c, out, n->args[0]);
    ir_text_puts(out, ")");
  } else if (n->op == IR_K_select && !n->vector) {
    emit_scalar_select(c, out, n);
  } else if (!emit_index_division(c, out, n) && !emit_constant_shift(c, out, n)) {
    char shape = n->vector ? 'v' : 's';
    // Comparisons are named after the type they compare.
    char rep = cg_rep(n->op >= IR_K_eq && n->op <= IR_K_ge ? n->args[0]->type : n->type);
    emit_call(c, out, n, weir_arena_printf(c->arena, "%c%c_%s", shape, rep, ir_kop_name((ir_kop)n->op)));
  }
}

// Operations of a warp are the prelude's by their own names.
static const char *warp_name(cg_code *c, const cg_node *n) {
  if (n->op == IR_K_any) return "ANY";
  if (n->op == IR_K_all) return "ALL";
  const char *how = n->op == IR_K_shuffle_xor ? "_XOR" : n->op == IR_K_shuffle_down ? "_DOWN" : "";
  return weir_arena_printf(c->arena, "SHFL%s_%s", how, cg_c_type(n->type, false));
}

void cg_emit_expr(cg_code *c, ir_text *out, cg_node *n) {
  if (n->c_name) {
    ir_text_puts(out, n->c_name);
    return;
  }
  switch (n->op) {
    case IR_K_shuffle_xor:
    case IR_K_shuffle_down:
    case IR_K_shuffle:
    case IR_K_any:
    case IR_K_all:
      emit_call(c, out, n, warp_name(c, n));
      return;
    case IR_K_const:
      emit_const(out, n);
      return;
    case IR_K_size:
      ir_text_puts(out, c->size_names[n->index]);
      return;
    case IR_K_matrix_unit:
      ir_text_puts(out, "MATRIX_UNIT");
      return;
    case CG_NAME:
      ir_text_puts(out, n->name);
      return;
    case CG_SPLAT:
      emit_call(c, out, n, weir_arena_printf(c->arena, "v%c_splat", cg_rep(n->type)));
      return;
    case CG_RAMP:
      emit_call(c, out, n, weir_arena_printf(c->arena, "v%c_ramp", cg_rep(n->type)));
      return;
    case CG_FIRST:
      emit_call(c, out, n, "vm_first");
      return;
    case CG_NIBBLE:
      emit_call(c, out, n, "vf_from_nibble");
      return;
    case CG_ANY:
      emit_call(c, out, n, "vm_any");
      return;
    case IR_K_load:
    case CG_LOAD_RAMP:
      if (n->vector) emit_vector_load(c, out, n);
      else emit_scalar_load(c, out, n);
      return;
    case IR_K_cast:
      emit_cast(c, out, n);
      return;
    case IR_K_bitcast:
      emit_bitcast(c, out, n);
      return;
    default:
      break;
  }
  char shape = n->vector ? 'v' : 's';
  if (n->op >= CG_OF_BITS)
    emit_call(c, out, n,
              weir_arena_printf(c->arena, "%cf_bits_%s", shape, ir_ktype_name((ir_ktype)(n->op - CG_OF_BITS))));
  else if (n->op >= CG_BITS_OF)
    emit_call(c, out, n,
              weir_arena_printf(c->arena, "%cu_bits_%s", shape, ir_ktype_name((ir_ktype)(n->op - CG_BITS_OF))));
  else emit_ir_op(c, out, n);
}
