// Runs the vector code of block kernels: one instruction for the 32 threads of a warp.
//
// Arithmetic is done for all of them, as it cannot fail; what reads memory or needs the others looks at the mask.
#include <math.h>
#include <string.h>

#include "ir/kernel_block_interp.h"
#include "runtime/base/half.h"

typedef ir_ki_value value;

// ---- single values
static double float_of(ir_kop op, const double a[3], bool round) {
  switch (op) {
    case IR_K_div:
      return a[0] / a[1];
    case IR_K_mod:
      return ir_ki_floor_fmod(a[0], a[1]);
    case IR_K_min:
      return ir_ki_float_min(a[0], a[1]);
    case IR_K_max:
      return ir_ki_float_max(a[0], a[1]);
    case IR_K_neg:
      return -a[0];
    case IR_K_abs:
      return fabs(a[0]);
    case IR_K_sqrt:
      return sqrt(a[0]);
    case IR_K_rsqrt:
      return round ? (double)(1 / (float)sqrt(a[0])) : 1 / sqrt(a[0]);
    case IR_K_exp:
      return exp(a[0]);
    case IR_K_exp2:
      return exp2(a[0]);
    case IR_K_log:
      return log(a[0]);
    case IR_K_sin:
      return sin(a[0]);
    case IR_K_cos:
      return cos(a[0]);
    case IR_K_tanh:
      return tanh(a[0]);
    case IR_K_erf:
      return erf(a[0]);
    case IR_K_pow:
      return pow(a[0], a[1]);
    case IR_K_floor:
      return floor(a[0]);
    case IR_K_ceil:
      return ceil(a[0]);
    default:
      return nearbyint(a[0]);
  }
}

static int64_t compare_of(ir_kop op, double a, double b) {
  return op == IR_K_eq   ? a == b
         : op == IR_K_ne ? a != b
         : op == IR_K_lt ? a < b
         : op == IR_K_le ? a <= b
         : op == IR_K_gt ? a > b
                         : a >= b;
}

static value cast_of(ir_ktype from, ir_ktype to, value v) {
  value r = {0};
  bool from_float = ir_ktype_is_float(from);
  if (!ir_ktype_is_float(to)) {
    r.i = from_float ? ir_ktype_saturate(to, v.f) : ir_ktype_wrap(to, v.i);
    return r;
  }
  double x = from_float ? v.f : (double)v.i;
  r.f = to == IR_KT_f64 ? x : to == IR_KT_f32 ? (double)(float)x : ir_ki_narrow(to, x);
  return r;
}

// |half| of a, b, c as numbers of |type|: a b + c, rounded once, in the lower bits.
static uint32_t fma_half(ir_ktype type, int half, uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t words[3] = {a, b, c};
  double x[3];
  for (int i = 0; i < 3; i++) {
    uint16_t bits = (uint16_t)(words[i] >> 16 * half);
    x[i] = type == IR_KT_bf16 ? weir_bf16_to_f32(bits) : weir_f16_to_f32(bits);
  }
  uint16_t out;
  ir_ki_store(type, &out, (value){.f = fma(x[0], x[1], x[2])});
  return out;
}

static uint32_t permute(uint32_t a, uint32_t b, uint32_t which) {
  uint64_t bytes = (uint64_t)b << 32 | a;
  uint32_t out = 0;
  for (int i = 0; i < 4; i++) out |= (uint32_t)(bytes >> 8 * (which >> 4 * i & 7) & 255) << 8 * i;
  return out;
}

// Operations on words, of any types.
static value word_of(ir_kop op, value a, value b, value c) {
  value r = {0};
  uint32_t x = (uint32_t)a.i, y = (uint32_t)b.i, z = (uint32_t)c.i;
  ir_ktype type = op == IR_K_fma2_f16 ? IR_KT_f16 : IR_KT_bf16;
  switch (op) {
    case IR_K_dot4:
    case IR_K_dot4_7:
      r.i = ir_ki_dot4(x, (int32_t)y, (int32_t)z);
      break;
    case IR_K_dot2:
      r.f = ir_ki_dot2(x, y, (float)c.f);
      break;
    case IR_K_pack2:
      r.i = weir_f32_to_bf16((float)a.f) | (int64_t)weir_f32_to_bf16((float)b.f) << 16;
      break;
    case IR_K_pack2_f16:
      r.i = weir_f32_to_f16((float)a.f) | (int64_t)weir_f32_to_f16((float)b.f) << 16;
      break;
    case IR_K_permute:
      r.i = permute(x, y, z);
      break;
    default:
      r.i = fma_half(type, 0, x, y, z) | (int64_t)fma_half(type, 1, x, y, z) << 16;
      break;
  }
  return r;
}

// ---- vectors
#define EACH(expr) \
  for (int l = 0; l < IR_WARP; l++) expr

static void float_op(const ir_kexpr *e, bool round_f32, value *dst, const value *a, const value *b, const value *c) {
  bool round = round_f32 && e->type == IR_KT_f32;
  switch (e->op) {
    case IR_K_add:
      EACH(dst[l].f = a[l].f + b[l].f);
      break;
    case IR_K_sub:
      EACH(dst[l].f = a[l].f - b[l].f);
      break;
    case IR_K_mul:
      EACH(dst[l].f = a[l].f * b[l].f);
      break;
    case IR_K_fma:
      if (round) EACH(dst[l].f = fmaf((float)a[l].f, (float)b[l].f, (float)c[l].f));
      else EACH(dst[l].f = a[l].f * b[l].f + c[l].f);
      return;
    default:
      EACH(dst[l].f = float_of(e->op, (double[]){a[l].f, b[l].f, c[l].f}, round));
      break;
  }
  if (round) EACH(dst[l].f = (double)(float)dst[l].f);
}

static void int_op(const ir_kexpr *e, ir_ktype type, value *dst, const value *a, const value *b) {
  bool index = type == IR_KT_i64;
  if (index && e->op == IR_K_add) EACH(dst[l].i = (int64_t)((uint64_t)a[l].i + (uint64_t)b[l].i));
  else if (index && e->op == IR_K_sub) EACH(dst[l].i = (int64_t)((uint64_t)a[l].i - (uint64_t)b[l].i));
  else if (index && e->op == IR_K_mul) EACH(dst[l].i = (int64_t)((uint64_t)a[l].i * (uint64_t)b[l].i));
  else if (e->op == IR_K_lt) EACH(dst[l].i = a[l].i < b[l].i);
  else if (e->op == IR_K_and) EACH(dst[l].i = a[l].i & b[l].i);
  else EACH((void)ir_k_int_op(e->op, type, a[l].i, b[l].i, &dst[l].i));
}

// The thread that |lane| reads from.
static int shuffle_source(ir_kop op, int lane, int64_t by) {
  if (op == IR_K_shuffle) return (int)ir_k_floor_mod(by, IR_WARP);
  if (op == IR_K_shuffle_xor) return lane ^ (int)by;
  return lane + by < IR_WARP ? lane + (int)by : lane;
}

static bool warp_op(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_insn *in, value *dst, const value *a, const value *b) {
  ir_kop op = in->expr->op;
  if (m->masks[in->mask] != UINT32_MAX) {
    int missing = 0;
    while (ir_kw_has(m->masks[in->mask], missing)) missing++;
    return ir_kw_fail(m, w, "thread %d does not take part in %s", ir_kw_thread(m, w, missing) % m->kernel->threads,
                      ir_kop_name(op));
  }
  value result[IR_WARP];
  bool any = false, all = true;
  EACH(any |= a[l].i != 0);
  EACH(all &= a[l].i != 0);
  if (op == IR_K_any || op == IR_K_all) EACH(result[l].i = op == IR_K_any ? any : all);
  else EACH(result[l] = a[shuffle_source(op, l, b[l].i)]);
  memcpy(dst, result, sizeof result);
  return true;
}

static bool run_op(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_insn *in, value *dst) {
  const ir_kexpr *e = in->expr;
  const value *a = ir_kw_vector(m, w, in->a), *b = ir_kw_vector(m, w, in->b), *c = ir_kw_vector(m, w, in->c);
  ir_ktype type = e->arg_count ? e->args[0]->type : e->type;  // those made by the compiler have no operands
  if (e->op >= IR_K_shuffle_xor && e->op <= IR_K_all) return warp_op(m, w, in, dst, a, b);
  if (e->op == IR_K_select) {
    EACH(dst[l] = a[l].i ? b[l] : c[l]);
  } else if (e->op == IR_K_cast) {
    EACH(dst[l] = cast_of(type, e->type, a[l]));
  } else if (e->op == IR_K_bitcast) {
    EACH(dst[l] = ir_ki_bitcast(type, e->type, a[l]));
  } else if (e->op >= IR_K_dot4 && e->op != IR_K_exp2) {
    for (int l = 0; l < IR_WARP; l++)
      if (e->op == IR_K_dot4_7 && ir_kw_has(m->masks[in->mask], l) && (a[l].i & 0x80808080))
        return ir_kw_fail(m, w, "dot4_7 of %#llx, which has a byte above 127", (unsigned long long)a[l].i);
    EACH(dst[l] = word_of(e->op, a[l], b[l], c[l]));
  } else if (!ir_ktype_is_float(type)) {
    int_op(e, type, dst, a, b);
  } else if (e->type == IR_KT_bool) {
    EACH(dst[l].i = compare_of(e->op, a[l].f, b[l].f));
  } else {
    float_op(e, m->options->round_f32, dst, a, b, c);
  }
  return true;
}

static bool run_load(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_insn *in, value *dst) {
  const ir_kexpr *e = in->expr;
  const ir_kw_place at = {e->index, e->type, in->a, in->b};
  for (int l = 0; l < IR_WARP; l++) {
    char *bytes;
    dst[l].i = 0;
    if (!ir_kw_has(m->masks[in->mask], l)) continue;
    if (!ir_kw_touch(m, w, &at, l, 1, 1, IR_KW_READS, &bytes)) return false;
    dst[l] = ir_ki_load(e->type, bytes);
  }
  return true;
}

static bool run_read(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_insn *in, value *dst) {
  const value *a = ir_kw_vector(m, w, in->a);
  for (int l = 0; l < IR_WARP; l++) {
    dst[l].i = 0;
    if (!ir_kw_has(m->masks[in->mask], l)) continue;
    int64_t at = in->b + a[l].i;
    if (w->busy && !ir_kw_use(m, w, (int)at, 1, false)) return false;
    dst[l] = w->vars[at * IR_WARP + l];
  }
  return true;
}

static bool check_dim(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_insn *in) {
  const value *a = ir_kw_vector(m, w, in->a);
  for (int l = 0; l < IR_WARP; l++)
    if (ir_kw_has(m->masks[in->mask], l) && (uint64_t)a[l].i >= (uint64_t)in->b)
      return ir_kw_fail(m, w, "register index %lld is outside", (long long)a[l].i);
  return true;
}

// Threads of |mask| for which |a| holds, or does not.
static uint32_t mask_where(uint32_t mask, const value *a, bool holds) {
  for (int l = 0; l < IR_WARP; l++)
    if ((a[l].i != 0) != holds) mask &= ~(UINT32_C(1) << l);
  return mask;
}

bool ir_kw_eval(ir_kw_machine *m, ir_kw_warp *w) {
  m->masks[0] = w->mask;
  for (int i = 0; i < w->at->code_count; i++) {
    const ir_kw_insn *in = &w->at->code[i];
    bool ok = true;
    switch (in->kind) {
      case IR_KW_OP:
        ok = run_op(m, w, in, ir_kw_vector(m, w, in->dst));
        break;
      case IR_KW_LOAD:
        ok = run_load(m, w, in, ir_kw_vector(m, w, in->dst));
        break;
      case IR_KW_READ:
        ok = run_read(m, w, in, ir_kw_vector(m, w, in->dst));
        break;
      case IR_KW_MASK:
      case IR_KW_MASK_NOT:
        m->masks[in->dst] = mask_where(m->masks[in->mask], ir_kw_vector(m, w, in->a), in->kind == IR_KW_MASK);
        break;
      case IR_KW_DIM:
        ok = check_dim(m, w, in);
        break;
    }
    if (!ok) return false;
  }
  return true;
}
