// Runs kernels as they are meant: float64 registers, every access checked, local memory tracked byte by byte.
//
// The loop over instructions is a computed jump; everything that may fail leaves it by one of two labels, where the
// message is made.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_block_interp.h"
#include "ir/kernel_interp.h"
#include "runtime/base/half.h"

typedef ir_ki_memory memory;

typedef struct {
  const ir_kernel *kernel;
  ir_ki_code code;
  memory *buffers;
  uint64_t step_limit;
  uint8_t item;  // of |written|; 255 items on everything is cleared
  ir_ki_value *slots;
} machine;

typedef enum { FAULT_NONE, FAULT_BOUNDS, FAULT_UNWRITTEN, FAULT_DIM, FAULT_STEPS, FAULT_PROMISE, FAULT_MATRIX } fault;

// ---- cold operations
static ir_ki_value combine(ir_kop op, ir_ktype type, bool round_f32, ir_ki_value x, ir_ki_value y) {
  ir_ki_value r = {0};
  if (!ir_ktype_is_float(type)) {
    if (!ir_k_int_op(op, type, x.i, y.i, &r.i)) r.i = 0;
    return r;
  }
  r.f = op == IR_K_add   ? x.f + y.f
        : op == IR_K_mul ? x.f * y.f
        : op == IR_K_max ? ir_ki_float_max(x.f, y.f)
                         : ir_ki_float_min(x.f, y.f);
  if (round_f32 && type == IR_KT_f32) r.f = (float)r.f;
  return r;
}

// 16 partial results pairwise: 8 apart, then 4, 2, 1; then with what the register held.
static void reduce(ir_ki_value *acc, ir_ki_value *partials, ir_kop op, ir_ktype type, bool round_f32) {
  for (int apart = IR_LANES / 2; apart > 0; apart /= 2)
    for (int i = 0; i < apart; i++) partials[i] = combine(op, type, round_f32, partials[i], partials[i + apart]);
  *acc = combine(op, type, round_f32, *acc, partials[0]);
}

static fault access_special(machine *m, const ir_ki_insn *in, bool store) {
  memory *b = &m->buffers[in->b];
  ir_ktype type = (ir_ktype)in->aux;
  uint64_t size = (uint64_t)ir_ktype_bytes(type), index = (uint64_t)m->slots[in->a].i;
  char *base = b->base;
  if (b->table) {
    int64_t request = m->slots[in->c].i;
    if (request < 0 || request >= b->requests || !b->table[request]) return FAULT_BOUNDS;
    base = b->table[request];
  }
  if (index >= b->bytes / size) return FAULT_BOUNDS;
  uint64_t at = index * size;
  if (store) {
    ir_ki_store(type, base + at, m->slots[in->dst]);
    if (b->written) memset(b->written + at, m->item, size);
    return FAULT_NONE;
  }
  for (uint64_t i = 0; b->written && i < size; i++)
    if (b->written[at + i] != m->item) return FAULT_UNWRITTEN;
  m->slots[in->dst] = ir_ki_load(type, base + at);
  return FAULT_NONE;
}

static fault matdot(machine *m, const ir_ki_insn *in, uint64_t *steps, uint64_t limit) {
  const ir_ki_value *at = &m->slots[in->a];
  ir_ki_matrices of = {m->code.stmts[in->stmt]->matdot, (ir_ktype)in->aux, m->buffers, m->item, limit};
  bool inside = ir_ki_matdot(&of, at, steps);
  return *steps > limit ? FAULT_STEPS : inside ? FAULT_NONE : FAULT_MATRIX;
}

static void next_item(machine *m) {
  if (++m->item != 0) return;
  for (int i = 0; i < m->kernel->buffer_count; i++)
    if (m->buffers[i].written) memset(m->buffers[i].written, 0, m->buffers[i].bytes);
  m->item = 1;
}

// ---- the loop
#define CASE(name) label_##name:
#define NEXT_INSN goto *labels[(++in)->op]
#define INT2(name, expr)                          \
  CASE(name) {                                    \
    const int64_t x = s[in->a].i, y = s[in->b].i; \
    s[in->dst].i = (expr);                        \
    NEXT_INSN;                                    \
  }
#define INT1(name, expr)          \
  CASE(name) {                    \
    const int64_t x = s[in->a].i; \
    s[in->dst].i = (expr);        \
    NEXT_INSN;                    \
  }
#define FLOAT2(name, field, expr)                \
  CASE(name) {                                   \
    const double x = s[in->a].f, y = s[in->b].f; \
    s[in->dst].field = (expr);                   \
    NEXT_INSN;                                   \
  }
#define FLOAT1(name, expr)       \
  CASE(name) {                   \
    const double x = s[in->a].f; \
    s[in->dst].f = (expr);       \
    NEXT_INSN;                   \
  }
// |C| is the type in memory, |field| of the slot; |convert| makes the slot's value of |raw|.
#define LOAD(name, C, field, convert)                                   \
  CASE(LD_##name) {                                                     \
    const memory *b = &buffers[in->b];                                  \
    const uint64_t index = (uint64_t)s[in->a].i + (uint64_t)s[in->c].i; \
    if (index >= b->bytes / sizeof(C)) {                                \
      what = FAULT_BOUNDS;                                              \
      goto failed;                                                      \
    }                                                                   \
    C raw;                                                              \
    memcpy(&raw, b->base + index * sizeof(C), sizeof raw);              \
    s[in->dst].field = convert;                                         \
    NEXT_INSN;                                                          \
  }

static fault run(machine *m, const ir_ki_insn **out_insn) {
  static const void *const labels[IR_KI_COUNT] = {
#define X(name) [IR_KI_##name] = &&label_##name,
      IR_KI_OPS(X)
#undef X
  };
  ir_ki_value *const s = m->slots;
  const memory *const buffers = m->buffers;
  const ir_ki_insn *in = m->code.code;
  uint64_t steps = 0;
  const uint64_t limit = m->step_limit ? m->step_limit : UINT64_MAX;
  fault what;
  goto *labels[in->op];

  INT2(IADD, (int64_t)((uint64_t)x + (uint64_t)y))
  INT2(ISUB, (int64_t)((uint64_t)x - (uint64_t)y))
  INT2(IMUL, (int64_t)((uint64_t)x * (uint64_t)y))
  INT2(IDIV, ir_k_floor_div(x, y))
  INT2(IMOD, ir_k_floor_mod(x, y))
  INT2(IMIN, x < y ? x : y)
  INT2(IMAX, x > y ? x : y)
  INT1(INEG, (int64_t)(0 - (uint64_t)x))
  INT1(IABS, x < 0 ? (int64_t)(0 - (uint64_t)x) : x)
  INT2(AND, x & y)
  INT2(OR, x | y)
  INT2(XOR, x ^ y)
  INT1(NOT, ~x)
  INT1(LNOT, !x)
  INT2(SHL, (uint64_t)y >= in->aux ? 0 : (int64_t)((uint64_t)x << y))
  INT2(SHR, (uint64_t)y >= in->aux ? (x < 0 ? -1 : 0) : x >> y)
  INT2(IEQ, x == y)
  INT2(INE, x != y)
  INT2(ILT, x < y)
  INT2(ILE, x <= y)
  INT2(IGT, x > y)
  INT2(IGE, x >= y)
  INT1(WRAP, ir_ktype_wrap((ir_ktype)in->aux, x))
  FLOAT2(FADD, f, x + y)
  FLOAT2(FSUB, f, x - y)
  FLOAT2(FMUL, f, x * y)
  FLOAT2(FDIV, f, x / y)
  FLOAT2(FMOD, f, ir_ki_floor_fmod(x, y))
  FLOAT2(FMIN, f, ir_ki_float_min(x, y))
  FLOAT2(FMAX, f, ir_ki_float_max(x, y))
  FLOAT2(FMA, f, x * y + s[in->c].f)
  FLOAT2(FMA32, f, fmaf((float)x, (float)y, (float)s[in->c].f))
  FLOAT1(FNEG, -x)
  FLOAT1(FABS, fabs(x))
  FLOAT1(FSQRT, sqrt(x))
  FLOAT1(FRSQRT, 1 / sqrt(x))
  FLOAT1(FRSQRT32, 1 / (float)sqrt(x))
  FLOAT1(FEXP, exp(x))
  FLOAT1(FLOG, log(x))
  FLOAT1(FSIN, sin(x))
  FLOAT1(FCOS, cos(x))
  FLOAT1(FTANH, tanh(x))
  FLOAT1(FERF, erf(x))
  FLOAT2(FPOW, f, pow(x, y))
  FLOAT1(FFLOOR, floor(x))
  FLOAT1(FCEIL, ceil(x))
  FLOAT1(FROUND, nearbyint(x))
  FLOAT2(FEQ, i, x == y)
  FLOAT2(FNE, i, x != y)
  FLOAT2(FLT, i, x < y)
  FLOAT2(FLE, i, x <= y)
  FLOAT2(FGT, i, x > y)
  FLOAT2(FGE, i, x >= y)
  FLOAT1(ROUND32, (float)x)
  FLOAT1(NARROW, ir_ki_narrow((ir_ktype)in->aux, x))
  CASE(DOT4) {
    s[in->dst].i = ir_ki_dot4((uint32_t)s[in->a].i, (int32_t)s[in->b].i, (int32_t)s[in->c].i);
    NEXT_INSN;
  }
  CASE(DOT4_7) {
    if (s[in->a].i & 0x80808080) {
      what = FAULT_PROMISE;
      goto failed;
    }
    s[in->dst].i = ir_ki_dot4((uint32_t)s[in->a].i, (int32_t)s[in->b].i, (int32_t)s[in->c].i);
    NEXT_INSN;
  }
  CASE(DOT2) {
    s[in->dst].f = ir_ki_dot2((uint32_t)s[in->a].i, (uint32_t)s[in->b].i, (float)s[in->c].f);
    NEXT_INSN;
  }
  CASE(PACK2) {
    const uint32_t low = weir_f32_to_bf16((float)s[in->a].f), high = weir_f32_to_bf16((float)s[in->b].f);
    s[in->dst].i = low | high << 16;
    NEXT_INSN;
  }
  CASE(SELECT) {
    s[in->dst] = s[in->a].i ? s[in->b] : s[in->c];
    NEXT_INSN;
  }
  CASE(MOV) {
    s[in->dst] = s[in->a];
    NEXT_INSN;
  }
  CASE(I2F) {
    s[in->dst].f = (double)s[in->a].i;
    NEXT_INSN;
  }
  CASE(F2I) {
    s[in->dst].i = ir_ktype_saturate((ir_ktype)in->aux, s[in->a].f);
    NEXT_INSN;
  }
  CASE(BITCAST) {
    s[in->dst] = ir_ki_bitcast((ir_ktype)(in->aux / 32), (ir_ktype)(in->aux % 32), s[in->a]);
    NEXT_INSN;
  }
  LOAD(f16, uint16_t, f, weir_f16_to_f32(raw))
  LOAD(bf16, uint16_t, f, weir_bf16_to_f32(raw))
  LOAD(f32, float, f, raw)
  LOAD(f64, double, f, raw)
  LOAD(f8e4m3, uint8_t, f, weir_f8e4m3_to_f32(raw))
  LOAD(f8e5m2, uint8_t, f, weir_f8e5m2_to_f32(raw))
  LOAD(i8, int8_t, i, raw)
  LOAD(i16, int16_t, i, raw)
  LOAD(i32, int32_t, i, raw)
  LOAD(i64, int64_t, i, raw)
  LOAD(u8, uint8_t, i, raw)
  LOAD(bool, uint8_t, i, raw != 0)
  LOAD(u16, uint16_t, i, raw)
  LOAD(u32, uint32_t, i, raw)
  CASE(ST) {
    const memory *b = &buffers[in->b];
    const uint64_t size = (uint64_t)ir_ktype_bytes((ir_ktype)in->aux);
    const uint64_t index = (uint64_t)s[in->a].i + (uint64_t)s[in->c].i;
    if (index >= b->bytes / size) {
      what = FAULT_BOUNDS;
      goto failed;
    }
    ir_ki_store((ir_ktype)in->aux, b->base + index * size, s[in->dst]);
    NEXT_INSN;
  }
  CASE(LDX) {
    what = access_special(m, in, false);
    if (what) goto failed;
    NEXT_INSN;
  }
  CASE(STX) {
    what = access_special(m, in, true);
    if (what) goto failed;
    NEXT_INSN;
  }
  CASE(FILL) {
    const ir_ki_value value = s[in->a];
    for (int i = 0; i < in->c; i++) s[in->dst + i] = value;
    NEXT_INSN;
  }
  CASE(RD) {
    if ((uint64_t)s[in->a].i >= in->aux) goto outside;
    s[in->dst] = s[in->b + s[in->a].i];
    NEXT_INSN;
  }
  CASE(WR) {
    if ((uint64_t)s[in->a].i >= in->aux) goto outside;
    s[in->b + s[in->a].i] = s[in->dst];
    NEXT_INSN;
  }
  CASE(RDL) {
    if ((uint64_t)s[in->a].i >= in->aux) goto outside;
    s[in->dst] = s[in->b + IR_LANES * s[in->a].i + s[in->c].i];
    NEXT_INSN;
  }
  CASE(WRL) {
    if ((uint64_t)s[in->a].i >= in->aux) goto outside;
    s[in->b + IR_LANES * s[in->a].i + s[in->c].i] = s[in->dst];
    NEXT_INSN;
  }
  CASE(DIM) {
    if ((uint64_t)s[in->a].i >= (uint64_t)in->b) goto outside;
    NEXT_INSN;
  }
  CASE(REDUCE) {
    reduce(&s[in->dst], &s[in->a], (ir_kop)in->b, (ir_ktype)in->aux, m->code.round_f32);
    NEXT_INSN;
  }
  CASE(LOOP) {
    s[in->dst] = s[in->a];
    if (s[in->dst].i >= s[in->b].i) in += in->c - 1;
    NEXT_INSN;
  }
  CASE(NEXT) {
    const uint64_t left = (uint64_t)s[in->b].i - (uint64_t)s[in->dst].i;
    if (left > (uint64_t)s[in->a].i) {
      s[in->dst].i += s[in->a].i;
      if (++steps > limit) goto too_long;
      in += in->c - 1;
    }
    NEXT_INSN;
  }
  CASE(TILE) {
    if (s[in->dst].i >= s[in->a].i) {
      in += in->c - 1;
      NEXT_INSN;
    }
    const uint64_t left = (uint64_t)s[in->a].i - (uint64_t)s[in->dst].i;
    int k = 0;
    while (k < in->aux - 1 && (uint64_t)s[in->b + k].i > left) k++;
    s[in->dst + 1] = s[in->b + k];
    NEXT_INSN;
  }
  CASE(TNEXT) {
    s[in->dst].i += s[in->dst + 1].i;
    if (++steps > limit) goto too_long;
    in += in->c - 1;
    NEXT_INSN;
  }
  CASE(JMP) {
    in += in->c - 1;
    NEXT_INSN;
  }
  CASE(JZ) {
    if (!s[in->a].i) in += in->c - 1;
    NEXT_INSN;
  }
  CASE(MATDOT) {
    what = matdot(m, in, &steps, limit);
    if (what) goto failed;
    NEXT_INSN;
  }
  CASE(ITEM) {
    next_item(m);
    NEXT_INSN;
  }
  CASE(END)
  return FAULT_NONE;

outside:
  what = FAULT_DIM;
  goto failed;
too_long:
  what = FAULT_STEPS;
failed:
  *out_insn = in;
  return what;
}

// ---- setting up
bool ir_ki_size(const ir_kexpr *e, const int64_t *sizes, int64_t *out) {
  int64_t a = 0, b = 0;
  if (e->op == IR_K_const) {
    *out = e->i;
    return true;
  }
  if (e->op == IR_K_size) {
    *out = sizes[e->index];
    return true;
  }
  if (e->arg_count < 1 || e->arg_count > 2 || !ir_ki_size(e->args[0], sizes, &a)) return false;
  if (e->arg_count == 2 && !ir_ki_size(e->args[1], sizes, &b)) return false;
  return ir_k_int_op(e->op, e->args[0]->type, a, b, out);
}

static weir_status bind_argument(const ir_kernel *k, const ir_kbuffer *b, void *arg, size_t arg_bytes,
                                 const int64_t *sizes, memory *out) {
  out->bytes = arg_bytes;
  if (b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT) {
    out->table = arg;
    out->requests = INT64_MAX;
    for (int i = 0; i < k->size_count; i++)
      if (!strcmp(k->sizes[i], "R")) out->requests = sizes[i];
    if (!arg) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "kernel %s: table '%s' is null", k->name, b->name);
    return WEIR_OK;
  }
  int64_t needed;
  if (!ir_ki_size(b->bytes, sizes, &needed) || needed < 0)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "kernel %s: extent of '%s' overflows", k->name, b->name);
  if ((uint64_t)needed > arg_bytes || (needed && !arg))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "kernel %s: '%s' needs %" PRId64 " bytes and has %zu", k->name,
                            b->name, needed, arg ? arg_bytes : 0);
  out->base = arg;
  out->bytes = (uint64_t)needed;
  return WEIR_OK;
}

weir_status ir_ki_bind(weir_arena *arena, const ir_kernel *k, void *const *args, const size_t *arg_bytes,
                       const int64_t *sizes, ir_ki_memory **out_buffers) {
  *out_buffers = WEIR_NEW_ARRAY(arena, memory, k->buffer_count + 1);
  for (int i = 0; i < k->buffer_count; i++) {
    const ir_kbuffer *b = &k->buffers[i];
    memory *out = &(*out_buffers)[i];
    if (b->arg >= 0) {
      WEIR_TRY(bind_argument(k, b, args[b->arg], arg_bytes[b->arg], sizes, out));
      continue;
    }
    out->bytes = (uint64_t)b->bytes->i;
    if (b->kind >= IR_KB_SHARED) continue;
    out->base = weir_arena_alloc(arena, out->bytes);
    if (b->kind == IR_KB_LOCAL) out->written = weir_arena_alloc(arena, out->bytes);
    for (int64_t n = 0; b->kind == IR_KB_CONST && n < b->count; n++) {
      ir_ki_value value = {.f = b->data[n]};
      if (!ir_ktype_is_float(b->type)) value.i = ir_ktype_saturate(b->type, b->data[n]);
      ir_ki_store(b->type, out->base + n * ir_ktype_bytes(b->type), value);
    }
  }
  return WEIR_OK;
}

static weir_status complain(const machine *m, weir_arena *arena, fault what, const ir_ki_insn *in) {
  const ir_kernel *k = m->kernel;
  const char *line = in->stmt >= 0 ? ir_kernel_print_stmt(arena, k, m->code.stmts[in->stmt]) : "";
  if (what == FAULT_STEPS) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel %s: too many steps", k->name);
  if (what == FAULT_DIM)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "kernel %s: register index %" PRId64 " is outside in: %s", k->name,
                            m->slots[in->a].i, line);
  if (what == FAULT_MATRIX)
    return weir_status_make(WEIR_CODE_INVALID_DATA,
                            "kernel %s: a matrix is outside of its buffer or has unwritten local memory in: %s",
                            k->name, line);
  if (what == FAULT_PROMISE)
    return weir_status_make(WEIR_CODE_INVALID_DATA,
                            "kernel %s: dot4_7 of %#" PRIx64 ", which has a byte above 127, in: %s", k->name,
                            m->slots[in->a].i, line);
  bool load = in->op >= IR_KI_LD_f16 && in->op <= IR_KI_LD_u32;
  bool plain = load || in->op == IR_KI_ST;
  int64_t index = (int64_t)((uint64_t)m->slots[in->a].i + (plain ? (uint64_t)m->slots[in->c].i : 0));
  const char *type = ir_ktype_name(load ? (ir_ktype)(in->op - IR_KI_LD_f16) : (ir_ktype)in->aux);
  const memory *b = &m->buffers[in->b];
  char request[40] = "";
  if (b->table) snprintf(request, sizeof request, "request %" PRId64 ", ", m->slots[in->c].i);
  return weir_status_make(WEIR_CODE_INVALID_DATA,
                          "kernel %s: %s '%s' (%" PRIu64 " bytes) at %s%s element %" PRId64 " in: %s", k->name,
                          what == FAULT_UNWRITTEN ? "unwritten local memory" : "access outside of",
                          k->buffers[in->b].name, b->bytes, request, type, index, line);
}

static weir_status interpret(weir_arena *arena, const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                             const int64_t *sizes, int64_t begin, int64_t end, const ir_kinterpret_options *options) {
  machine m = {.kernel = kernel, .step_limit = options->step_limit};
  WEIR_TRY(ir_ki_compile(arena, kernel, options->round_f32, options->matrix_unit, &m.code));
  WEIR_TRY(ir_ki_bind(arena, kernel, args, arg_bytes, sizes, &m.buffers));
  int64_t grid;
  if (!ir_ki_size(kernel->grid, sizes, &grid) || begin < 0 || end > grid)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "kernel %s: items %" PRId64 "..%" PRId64 " of %" PRId64,
                            kernel->name, begin, end, grid);
  m.slots = m.code.slots;
  for (int i = 0; i < kernel->size_count; i++) m.slots[m.code.first_size + i].i = sizes[i];
  m.slots[m.code.begin].i = begin;
  m.slots[m.code.end].i = end;
  const ir_ki_insn *at = NULL;
  fault what = run(&m, &at);
  return what ? complain(&m, arena, what, at) : WEIR_OK;
}

weir_status ir_kernel_interpret_options(const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                                        const int64_t *sizes, int64_t begin, int64_t end,
                                        const ir_kinterpret_options *options) {
  WEIR_TRY(ir_kernel_verify(kernel));
  weir_arena arena;
  weir_arena_init(&arena);
  weir_status status = kernel->threads ? ir_kw_run(&arena, kernel, args, arg_bytes, sizes, begin, end, options)
                                       : interpret(&arena, kernel, args, arg_bytes, sizes, begin, end, options);
  weir_arena_deinit(&arena);
  return status;
}

weir_status ir_kernel_interpret(const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                                const int64_t *sizes, int64_t begin, int64_t end) {
  return ir_kernel_interpret_options(kernel, args, arg_bytes, sizes, begin, end, &(ir_kinterpret_options){0});
}
