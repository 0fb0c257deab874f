// Code of the kernel interpreter: what kernel_interp_compile.c makes of a kernel and kernel_interp.c runs.
//
// Three-address instructions over a flat array of 8-byte slots: constants, sizes, variables, registers and temporaries
// each have slots of their own, so the inner loop neither allocates nor looks anything up. Expressions of variables
// further out are computed in front of the loops they do not depend on (they cannot fail: only loads can).
#ifndef WEIR_IR_KERNEL_INTERP_H
#define WEIR_IR_KERNEL_INTERP_H

#include "ir/kernel_internal.h"

typedef union {
  int64_t i;
  double f;
} ir_ki_value;

// clang-format off
// Operands are slots unless said otherwise; s[x] is the content of slot x.
//   arithmetic   dst = a op b (op c). AND .. SHR and I.. on integers, F.. on floats; SHL, SHR: aux is the width in bits
//   WRAP         dst = a wrapped to integer type aux          ROUND32, NARROW  dst = a rounded to f32, to float type aux
//   F2I          dst = a as integer type aux, saturated       BITCAST          aux is from type * 32 + to type
//   LD_type      dst = element s[a] + s[c] of buffer b, in the order of ir_ktype
//   ST           element s[a] + s[c] of buffer b = dst, of type aux
//   LDX, STX     the same for LOCAL and tables: element s[a], request s[c], type aux
//   DOT4, DOT2, PACK2  as the operations of these names; DOT4_7 fails where its promise is broken
//   FILL         c slots from dst = a
//   RD, WR       dst = s[b + s[a]], s[b + s[a]] = dst; aux is the number of elements
//   RDL, WRL     the same at b + 16 * s[a] + s[c]: s[c] is a lane
//   DIM          fails unless 0 <= s[a] < b, a number
//   REDUCE       dst = dst combined with the 16 partials from slot a; b is the combining op, aux the type
//   LOOP         dst = a; jumps by c unless dst < b           NEXT             if dst + a < b: dst += a, jumps by c
//   TILE         s[dst + 1] = the first of aux sizes from slot b that fits between dst and a; jumps by c unless dst < a
//   TNEXT        dst += s[dst + 1], jumps by c                JMP, JZ          jump by c; JZ where s[a] is 0
//   MATDOT       the statement's product; its expressions are in the slots from a on, aux is the type
//   ITEM         a new work item begins: LOCAL memory is unwritten
#define IR_KI_OPS(X) \
  X(IADD) X(ISUB) X(IMUL) X(IDIV) X(IMOD) X(IMIN) X(IMAX) X(INEG) X(IABS) X(AND) X(OR) X(XOR) X(NOT) X(LNOT) X(SHL) X(SHR) \
  X(IEQ) X(INE) X(ILT) X(ILE) X(IGT) X(IGE) X(WRAP) \
  X(FADD) X(FSUB) X(FMUL) X(FDIV) X(FMOD) X(FMIN) X(FMAX) X(FMA) X(FMA32) X(FNEG) X(FABS) X(FSQRT) X(FRSQRT) X(FRSQRT32) \
  X(FEXP) X(FLOG) X(FSIN) X(FCOS) X(FTANH) X(FERF) X(FPOW) X(FFLOOR) X(FCEIL) X(FROUND) \
  X(FEQ) X(FNE) X(FLT) X(FLE) X(FGT) X(FGE) X(ROUND32) X(NARROW) \
  X(DOT4) X(DOT4_7) X(DOT2) X(PACK2) X(SELECT) X(MOV) X(I2F) X(F2I) X(BITCAST) \
  X(LD_f16) X(LD_bf16) X(LD_f32) X(LD_f64) X(LD_f8e4m3) X(LD_f8e5m2) X(LD_i8) X(LD_i16) X(LD_i32) X(LD_i64) X(LD_u8) \
  X(LD_bool) X(LD_u16) X(LD_u32) X(ST) X(LDX) X(STX) \
  X(FILL) X(RD) X(WR) X(RDL) X(WRL) X(DIM) X(REDUCE) \
  X(LOOP) X(NEXT) X(TILE) X(TNEXT) X(JMP) X(JZ) X(MATDOT) X(ITEM) X(END)
// clang-format on

typedef enum {
#define X(name) IR_KI_##name,
  IR_KI_OPS(X)
#undef X
      IR_KI_COUNT
} ir_ki_op;

typedef struct {
  uint16_t op, aux;
  int32_t dst, a, b, c;
  int32_t stmt;  // index into |stmts|, for messages; -1: none
} ir_ki_insn;

typedef struct {
  ir_ki_insn *code;
  int code_count;
  ir_ki_value *slots;  // constants are set, the rest is 0
  int slot_count;
  int first_size;  // slots of the sizes
  int begin, end;  // slots of the items to run
  const ir_kstmt **stmts;
  bool round_f32;
} ir_ki_code;

// A buffer of a run.
typedef struct {
  char *base;
  uint64_t bytes;
  void *const *table;  // pointers of requests, each with |bytes|
  int64_t requests;    // of a table: how many, INT64_MAX if unknown
  uint8_t *written;    // LOCAL: the item number (1..255) that wrote each byte
} ir_ki_memory;

// NaN if either is.
static inline double ir_ki_float_min(double x, double y) { return x != x ? x : y != y ? y : x < y ? x : y; }
static inline double ir_ki_float_max(double x, double y) { return x != x ? x : y != y ? y : x > y ? x : y; }

static inline int32_t ir_ki_dot4(uint32_t a, int32_t b, int32_t c) {
  uint32_t sum = (uint32_t)c;
  for (int i = 0; i < 4; i++) sum += (uint32_t)((int32_t)(a >> 8 * i & 255) * (int8_t)((uint32_t)b >> 8 * i));
  return (int32_t)sum;
}

// kernel_interp_memory.c
double ir_ki_floor_fmod(double x, double y);
float ir_ki_dot2(uint32_t a, uint32_t b, float c);
ir_ki_value ir_ki_bitcast(ir_ktype from, ir_ktype to, ir_ki_value v);

// kernel_interp.c: the value of an expression of sizes, false where it overflows; the buffers of a run, where shared
// memory has an extent only.
bool ir_ki_size(const ir_kexpr *e, const int64_t *sizes, int64_t *out);
weir_status ir_ki_bind(weir_arena *arena, const ir_kernel *k, void *const *args, const size_t *arg_bytes,
                       const int64_t *sizes, ir_ki_memory **out_buffers);

// kernel_interp_matrix.c: the product of a MATDOT whose expressions have the values |at|. Every element of a factor is
// a step. False where an access is outside, or of local memory that the item has not written; |*steps| above the limit
// ends it too.
typedef struct {
  const ir_kmatdot *matdot;
  ir_ktype type;
  ir_ki_memory *buffers;
  uint8_t item;  // of |written|
  uint64_t step_limit;
} ir_ki_matrices;
bool ir_ki_matdot(const ir_ki_matrices *of, const ir_ki_value at[IR_KM_COUNT], uint64_t *steps);

// |kernel| is verified. OUT_OF_RANGE if it needs too many slots.
weir_status ir_ki_compile(weir_arena *arena, const ir_kernel *kernel, bool round_f32, bool matrix_unit,
                          ir_ki_code *out_code);

// The bytes of one element and back (kernel_interp_memory.c).
ir_ki_value ir_ki_load(ir_ktype type, const void *at);
void ir_ki_store(ir_ktype type, void *at, ir_ki_value value);
double ir_ki_narrow(ir_ktype type, double value);

#endif
