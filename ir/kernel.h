// Kernel IR: one fused group as a nest of ranges over flat memory.
//
// A kernel is a function of buffers and sizes that does |grid| independent work items. Its body runs once per item with
// the grid variable bound. Inside are ranges (serial, lanes, unrolled), immutable values, register variables, loads,
// stores and reductions. Memory is untyped bytes: every load and store says the element type it reads or writes and its
// index in units of that type. Movement ops of the graph have vanished into index expressions; quantised blocks are
// decoded by ordinary integer operations.
//
// Meaning (ir_kernel_interpret): every range is a loop, a `lanes` range too; registers declared with lanes hold one
// value per lane; floats are float64 except that stores and casts round to their type. A printer may run the iterations
// of a `lanes` range at once, and computes reductions over it in 16 partial results (element i goes to partial i % 16)
// combined pairwise 8, 4, 2, 1: this order is part of the contract, so that bits do not depend on the number of rows,
// the split of work or the vector width of the machine.
//
// A kernel with |threads| is a block kernel, whose items are thread blocks of a GPU: ir/kernel_block.h.
//
// Text form: ir_kernel_print / ir_kernel_parse, a fixed point. All nodes live in an arena. One thread per kernel.
#ifndef WEIR_IR_KERNEL_H
#define WEIR_IR_KERNEL_H

#include "ir/type.h"
#include "runtime/base/status.h"

// Lanes of a vector register at every ISA level; narrower machines use several registers.
enum { IR_LANES = 16, IR_KERNEL_MAX_ARGS = 24, IR_KERNEL_MAX_SIZES = 16 };

// ---- expressions: KOP(name, operands, meaning). Index arithmetic is i64; values have the dtype of the node. No
// promotion: operands have one type (shift counts too). Integers wrap; division and remainder round toward minus
// infinity and give 0 for a zero divisor.
// clang-format off
#define IR_KERNEL_OPS(KOP)                                                                                           \
  KOP(const, 0, "a literal: i for integers and bool, f for floats")                                                  \
  KOP(size, 0, "i64: run-time size number |index| of the kernel")                                                    \
  KOP(matrix_unit, 0, "bool: whether the level that runs the kernel has a unit for MATDOT")                          \
  KOP(var, -1, "a range variable, value or register; operands index a register array")                               \
  KOP(load, 1, "element of buffer |index| at operand 0, an i64 in units of the node's type")                         \
  KOP(add, 2, "") KOP(sub, 2, "") KOP(mul, 2, "") KOP(div, 2, "") KOP(mod, 2, "")                                    \
  KOP(min, 2, "NaN if either is") KOP(max, 2, "NaN if either is")                                                    \
  KOP(fma, 3, "a * b + c, rounded once where the machine can; floats only")                                          \
  KOP(neg, 1, "") KOP(abs, 1, "") KOP(sqrt, 1, "") KOP(rsqrt, 1, "1 / sqrt(x)")                                      \
  KOP(exp, 1, "") KOP(log, 1, "") KOP(sin, 1, "") KOP(cos, 1, "") KOP(tanh, 1, "") KOP(erf, 1, "") KOP(pow, 2, "")   \
  KOP(floor, 1, "") KOP(ceil, 1, "") KOP(round, 1, "ties to even")                                                   \
  KOP(eq, 2, "bool") KOP(ne, 2, "bool") KOP(lt, 2, "bool") KOP(le, 2, "bool") KOP(gt, 2, "bool") KOP(ge, 2, "bool")  \
  KOP(and, 2, "bitwise; logical for bool") KOP(or, 2, "likewise") KOP(xor, 2, "likewise")                            \
  KOP(not, 1, "logical for bool, bitwise else")                                                                      \
  KOP(shl, 2, "integers") KOP(shr, 2, "integers: arithmetic where signed")                                           \
  KOP(select, 3, "operand 1 where operand 0 (bool), else 2; both evaluated, except loads of the untaken one")        \
  KOP(cast, 1, "to the node's type; floats to integers round toward zero and saturate, NaN gives 0")                 \
  KOP(bitcast, 1, "same bits, type of equal width")                                                                  \
  KOP(dot4, 3, "i32: c + the sum over the bytes of u32 a, unsigned, times those of i32 b, signed; wraps")            \
  KOP(dot4_7, 3, "dot4 where no byte of a has its highest bit set, which the kernel promises")                       \
  KOP(dot2, 3, "f32: u32 a, u32 b are pairs of bf16; fma(a low, b low, fma(a high, b high, c))")                     \
  KOP(pack2, 2, "u32: f32 a, b rounded to bf16, ties to even, as low and high half")                                 \
  /* from here on: block kernels only (ir/kernel_block.h) */                                                         \
  KOP(shuffle_xor, 2, "operand 0 (f32, i32, u32) of the warp's thread number ^ a constant 1..31; all 32 take part")  \
  KOP(shuffle_down, 2, "of thread number + a constant 1..31; the own where that is past the warp")                   \
  KOP(shuffle, 2, "of thread operand 1, an i64, modulo 32")                                                          \
  KOP(any, 1, "bool: whether it holds in any of the warp's threads; all 32 take part")                               \
  KOP(all, 1, "bool: whether it holds in all of them")                                                               \
  KOP(exp2, 1, "f32: 2 to the power; the machine's quick one")                                                       \
  KOP(pack2_f16, 2, "u32: f32 a, b rounded to f16 as low and high half")                                             \
  KOP(fma2, 3, "u32: pairs of bf16, a * b + c of the low and of the high halves, each rounded once")                 \
  KOP(fma2_f16, 3, "u32: the same of f16")                                                                           \
  KOP(permute, 3, "u32: byte i is byte (c >> 4 i & 7) of the eight of u32 a (0..3) and b (4..7)")
// clang-format on

typedef enum {
#define KOP(name, operands, meaning) IR_K_##name,
  IR_KERNEL_OPS(KOP)
#undef KOP
      IR_K_COUNT
} ir_kop;

// Element types inside kernels are those of ir_dtype plus unsigned 16 and 32 bit words for block decoding.
typedef enum {
  IR_KT_f16,
  IR_KT_bf16,
  IR_KT_f32,
  IR_KT_f64,
  IR_KT_f8e4m3,
  IR_KT_f8e5m2,
  IR_KT_i8,
  IR_KT_i16,
  IR_KT_i32,
  IR_KT_i64,
  IR_KT_u8,
  IR_KT_bool,  // up to here equal to ir_dtype
  IR_KT_u16,
  IR_KT_u32,
  IR_KT_COUNT
} ir_ktype;
// f16, bf16 and f8 exist in loads and stores and as results of cast only: arithmetic on them goes through f32.

typedef struct ir_kvar ir_kvar;
typedef struct ir_kexpr ir_kexpr;
struct ir_kexpr {
  ir_kop op;
  ir_ktype type;
  int arg_count;
  const ir_kexpr *args[4];
  int64_t i;                      // const of integers and bool
  double f;                       // const of floats
  int index;                      // size: number; load: buffer number
  ir_kvar *var;                   // var
  const struct ir_kfacts *facts;  // what the builder knows of an integer (its interval); null for nodes made by hand
};

typedef enum { IR_KVAR_RANGE, IR_KVAR_VALUE, IR_KVAR_REG } ir_kvar_kind;
struct ir_kvar {
  ir_kvar_kind kind;
  const char *name;
  ir_ktype type;  // RANGE: i64
  bool lanes;  // REG: one value per lane, used inside `lanes` ranges of extent 16 only. VALUE: set by the place where
               // it stands
  int rank;    // REG: array of constant dims, all indices constant after unrolling
  int dims[3];
  int id;  // number for printing
};

// ---- statements
typedef enum {
  IR_KS_FOR,       // for var in lo..hi by step
  IR_KS_LET,       // value var = expr
  IR_KS_REG,       // declares register var, every element = expr
  IR_KS_SET,       // var[indices] = expr
  IR_KS_REDUCE,    // var = combine(var, expr), where |combine| is add, max, min or mul; the register stands outside the
                   // innermost `lanes` range
  IR_KS_STORE,     // buffer[index] = expr
  IR_KS_PREFETCH,  // buffer[index] will be read soon: no effect but on time, and the index may be anything
  IR_KS_MATDOT,    // a product of two matrices in memory, see ir_kmatdot
  IR_KS_IF,        // if expr body else body2
  IR_KS_COMMENT,
  IR_KS_BLOCK,   // an operation of block kernels, see ir/kernel_block.h
  IR_KS_ARRIVE,  // register var (i64) = whether buffer[index], an i32, is |expr| (i64) with one more; then it is 0
                 // again. Items that run at once count one after the other, and whoever finds it full sees all that
                 // those before had stored. Outside of `lanes` ranges
} ir_kstmt_kind;

typedef enum {
  IR_KR_SERIAL,  // in order; the printer hides a constant count from the C compiler, so that it keeps registers
  IR_KR_LANES,   // iterations independent but for REDUCE, may run 16 at once. Any extent; step 1
  IR_KR_UNROLL,  // constant bounds after tiling; printed as copies
  IR_KR_TILES,   // var runs over lo..hi in steps taken from |tiles| (descending, last is 1): as many as fit of the
                 // first, then of the next ...; |tile_var| is the size of the step, a constant in each printed copy
} ir_krange;

// What a matrix unit does: for m < rows, p < panels, n < 16
//   c[at_c + m * row_c + 16 p + n] = (adds ? itself : 0) + the sum over w < words of
//     a[at_a + m * row_a + w] . b[at_b + p * panel_b + w * row_b + n]
// where a and b are u32 words. c: i32: the four signed bytes of a times the four unsigned ones of b, exact and
// wrapping. c: f32: pairs of bf16. Words are taken |step| at a time, the missing ones of the last step being zeros;
// inside a step low and high halves each have a sum that starts at 0 and takes fused multiply-adds in order; their sum
// is then added to c. Denormals may be taken for zeros. Stands outside of `lanes` ranges; c overlaps neither a nor b.
// All of a kernel have one type and one step.
typedef enum {
  IR_KM_AT_C,
  IR_KM_ROW_C,
  IR_KM_AT_A,
  IR_KM_ROW_A,
  IR_KM_AT_B,
  IR_KM_ROW_B,
  IR_KM_PANEL_B,
  IR_KM_ROWS,
  IR_KM_WORDS,
  IR_KM_COUNT
} ir_kmatdot_expr;

typedef struct {
  int c, a, b;  // buffers, none a table
  bool adds;
  int panels;                       // 1..16
  int step;                         // 1..16
  const ir_kexpr *at[IR_KM_COUNT];  // i64
} ir_kmatdot;

typedef struct ir_kstmt ir_kstmt;
struct ir_kstmt {
  ir_kstmt_kind kind;
  ir_krange range;
  ir_kvar *var;       // FOR, LET, REG, SET, REDUCE
  ir_kvar *tile_var;  // TILES
  int tile_count, tiles[6];
  const ir_kexpr *lo, *hi;        // FOR
  int64_t step;                   // FOR SERIAL: at least 1
  const ir_kexpr *expr;           // LET REG SET REDUCE STORE IF ARRIVE
  ir_kop combine;                 // REDUCE
  int index_count;                // SET, REDUCE: of a register array
  const ir_kexpr *indices[3];     // SET, REDUCE; STORE, PREFETCH, ARRIVE: indices[0]
  int buffer;                     // STORE, PREFETCH, ARRIVE
  ir_ktype type;                  // STORE, PREFETCH: element type in memory; expr has this type
  const char *text;               // COMMENT
  const ir_kmatdot *matdot;       // MATDOT, whose c has |type|
  const struct ir_kblock *block;  // BLOCK; its |var| is that of the atomic operation, if any
  ir_kstmt *body, *body2;         // first statement of a list
  ir_kstmt *next;
};

// ---- kernels
typedef enum {
  IR_KB_IN,   // read only
  IR_KB_OUT,  // written, every byte that the graph value has
  IR_KB_INOUT,
  IR_KB_TABLE_IN,
  IR_KB_TABLE_INOUT,  // array of pointers, one per request: the element index is pointer_of(request) + index; see
                      // ir_kbuffer.request
  IR_KB_LOCAL,        // scratch of the running thread, |bytes| long, uninitialised at the start of an item
  IR_KB_CONST,        // literal data printed with the kernel
  IR_KB_SHARED,       // block kernels: memory of the running block, |bytes| long, uninitialised likewise
  IR_KB_MBARRIER,     // block kernels: |count| mbarriers of 8 bytes in shared memory
} ir_kbuffer_kind;

typedef struct {
  ir_kbuffer_kind kind;
  const char *name;
  const ir_kexpr *bytes;  // extent in terms of sizes (LOCAL, CONST, SHARED, MBARRIER: constant; TABLE: null, checked by
                          // the runtime's capacity)
  int arg;     // which pointer of the launch; several buffers may share one. -1 for LOCAL, CONST, SHARED, MBARRIER
  bool fixed;  // IN of block kernels: no launch ever writes it, so it may be read before wait_dependencies
  // CONST; MBARRIER: count
  ir_ktype type;
  int64_t count;
  const double *data;
} ir_kbuffer;

// Loads and stores of TABLE buffers carry the request in args[1] of the load, in indices[1] of the store.

typedef struct {
  const char *name;    // grammar: docs/kernels.md; part of the emitted symbol
  const char *banner;  // what it computes, for readers
  int size_count;
  const char *sizes[IR_KERNEL_MAX_SIZES];  // names
  int buffer_count, buffer_capacity;
  ir_kbuffer *buffers;
  int arg_count;  // pointers of a launch
  ir_kvar *grid_var;
  const ir_kexpr *grid;  // number of work items, in terms of sizes
  // Block kernels: threads of a block, 0 in all others; blocks that a multiprocessor should hold, 0: no wish; blocks of
  // a cluster, 0: none; tensor maps.
  int threads, resident, cluster;
  // Block kernels that a library of products may stand for: y[rows, outs] in f32 is x[rows, cols] times w[outs, cols],
  // both bf16, rows one behind the other. The arguments are x, w, y, the one size is rows. |outs| 0: they are not.
  struct {
    int64_t outs, cols;
    int algorithm;  // which of those that the library proposes
  } library;
  ir_kvar *thread_var;
  int map_count, map_capacity;
  struct ir_kmap *maps;
  ir_kstmt *body;
  int var_count;
} ir_kernel;

// ---- building
typedef struct {
  weir_arena *arena;
  ir_kernel *kernel;
  ir_kstmt ***ends;  // stack of list ends
  int depth, capacity;
  struct ir_kb_state *state;  // the builder's own: interned expressions, open statements
} ir_kbuilder;

void ir_kb_init(ir_kbuilder *b, weir_arena *arena, const char *name, const char *banner);
const ir_kexpr *ir_kb_add_size(ir_kbuilder *b, const char *name);  // the same name gives the same size
// |arg| -1: the next pointer, or none for LOCAL and CONST.
int ir_kb_add_buffer(ir_kbuilder *b, ir_kbuffer_kind kind, const char *name, const ir_kexpr *bytes, int arg);
int ir_kb_add_const(ir_kbuilder *b, const char *name, ir_ktype type, int64_t count, const double *data);  // copies
const ir_kexpr *ir_kb_set_grid(ir_kbuilder *b, const ir_kexpr *count, const char *name);  // returns the variable

// Expressions fold constants and the identities x+0, x*1, x*0, x/1 of integers.
const ir_kexpr *ir_kb_int(ir_kbuilder *b, int64_t value);  // i64
const ir_kexpr *ir_kb_const(ir_kbuilder *b, ir_ktype type, double value);
const ir_kexpr *ir_kb_op(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                         const ir_kexpr *z);  // y, z may be null
const ir_kexpr *ir_kb_add(ir_kbuilder *b, const ir_kexpr *x,
                          const ir_kexpr *y);  // and the others: the type of the operands
const ir_kexpr *ir_kb_sub(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y);
const ir_kexpr *ir_kb_mul(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y);
const ir_kexpr *ir_kb_div(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y);
const ir_kexpr *ir_kb_mod(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y);
const ir_kexpr *ir_kb_min(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y);
const ir_kexpr *ir_kb_cast(ir_kbuilder *b, ir_ktype type, const ir_kexpr *x);  // none if the type is the same
const ir_kexpr *ir_kb_load(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *index);
const ir_kexpr *ir_kb_load_table(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request,
                                 const ir_kexpr *index);
const ir_kexpr *ir_kb_read(ir_kbuilder *b, ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j,
                           const ir_kexpr *k);  // indices may be null

// Statements go to the end of the open list. ranges open one, ir_kb_end closes it.
const ir_kexpr *ir_kb_for(ir_kbuilder *b, ir_krange range, const char *name, const ir_kexpr *lo, const ir_kexpr *hi,
                          int64_t step);
// |*out_size| is the tile variable.
const ir_kexpr *ir_kb_tiles(ir_kbuilder *b, const char *name, const ir_kexpr *lo, const ir_kexpr *hi, const int *tiles,
                            int tile_count, const ir_kexpr **out_size);
void ir_kb_if(ir_kbuilder *b, const ir_kexpr *condition);
void ir_kb_else(ir_kbuilder *b);
void ir_kb_end(ir_kbuilder *b);
const ir_kexpr *ir_kb_let(ir_kbuilder *b, const char *name, const ir_kexpr *expr);
// The same for an index from a table that is known to hold |lo|..|hi|: sums with it do not overflow.
const ir_kexpr *ir_kb_let_index(ir_kbuilder *b, const char *name, const ir_kexpr *expr, int64_t lo, int64_t hi);
ir_kvar *ir_kb_reg(ir_kbuilder *b, const char *name, ir_ktype type, bool lanes, int rank, const int *dims,
                   const ir_kexpr *initial);
void ir_kb_set(ir_kbuilder *b, ir_kvar *var, const ir_kexpr *expr, const ir_kexpr *i, const ir_kexpr *j,
               const ir_kexpr *k);
void ir_kb_reduce(ir_kbuilder *b, ir_kop combine, ir_kvar *var, const ir_kexpr *expr);
void ir_kb_store(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *index, const ir_kexpr *expr);
void ir_kb_store_table(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request, const ir_kexpr *index,
                       const ir_kexpr *expr);
void ir_kb_prefetch(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request,
                    const ir_kexpr *index);  // |request|: of tables
// Sets |last|, an i64 register, to whether this is arrival number |count| at the i32 |index| of |buffer|.
void ir_kb_arrive(ir_kbuilder *b, ir_kvar *last, int buffer, const ir_kexpr *index, const ir_kexpr *count);
const ir_kexpr *ir_kb_matrix_unit(ir_kbuilder *b);
void ir_kb_matdot(ir_kbuilder *b, ir_ktype type, const ir_kmatdot *matdot);  // copies
void ir_kb_comment(ir_kbuilder *b, const char *fmt, ...) WEIR_PRINTF(2, 3);
ir_kernel *ir_kb_finish(ir_kbuilder *b);  // all lists closed

// ---- text, checks, meaning
const char *ir_kernel_print(weir_arena *arena, const ir_kernel *kernel);
weir_status ir_kernel_parse(weir_arena *arena, const char *text, size_t length, ir_kernel **out_kernel);
// Types, scopes, registers' indices, ranges' forms. The message shows the kernel with the complaint under the line.
weir_status ir_kernel_verify(const ir_kernel *kernel);
// Content hash of everything but |name| and |banner|: equal kernels are emitted once.
uint64_t ir_kernel_hash(const ir_kernel *kernel);
bool ir_kernel_equal(const ir_kernel *a, const ir_kernel *b);
// Runs items |begin|..|end|. |args[i]| is the pointer of arg i and |arg_bytes[i]| its extent (TABLE: pointers,
// |arg_bytes| the extent behind each); an access outside is INVALID_DATA with the buffer, index and statement, and so
// is a read of LOCAL bytes that the item has not written. The kernel is verified first. A table's request is checked
// against the size named R where the kernel has one.
weir_status ir_kernel_interpret(const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                                const int64_t *sizes, int64_t begin, int64_t end);

typedef struct {
  bool round_f32;  // every f32 operation rounds to f32, fma once: the bits of compiled code where the machine has fma
                   // (exp and the like apart)
  uint64_t step_limit;  // OUT_OF_RANGE after so many iterations of ranges; 0: no limit
  bool matrix_unit;     // what matrix_unit() is
} ir_kinterpret_options;
weir_status ir_kernel_interpret_options(const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                                        const int64_t *sizes, int64_t begin, int64_t end,
                                        const ir_kinterpret_options *options);

const char *ir_ktype_name(ir_ktype type);
int ir_ktype_bytes(ir_ktype type);
bool ir_ktype_is_float(ir_ktype type);
const char *ir_kop_name(ir_kop op);
// The result of an integer or bool op on |a| and |b| (ignored by ops of one operand) of |operand_type|; comparisons
// give 0 or 1. False for ops that are none.
bool ir_k_int_op(ir_kop op, ir_ktype operand_type, int64_t a, int64_t b, int64_t *out);

#endif
