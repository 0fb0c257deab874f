// Program: what a package stores for one entry of a model, and all that the runtime executes.
//
// A program runs a batch of R requests packed without padding. Its run-time sizes ("sizes") are `R`, and for each
// symbol T of the model `T` (rows of all requests together for a seq or batch dim, the common value of a plain dim) and
// for seq dims `T.max` (most rows of one request). For a seq that grows in a step, `T.all.max` is the most rows of one
// request, earlier calls included. Buffers are temporaries in one arena, at offsets that are polynomials in the sizes,
// planned so that buffers alive together do not overlap; |arena_bytes| is the exact peak. Instructions launch kernels
// on them, in order, and loops over ranges of them; `sync` means that everything launched before must be finished
// first. Nothing here knows the graph or the kernel IR.
//
// Text form (print/parse, a fixed point) is what stands in a package; parse checks everything before it is trusted. The
// same form serves the compiler (built in an arena) and the runtime (parsed into one, read-only afterwards).
#ifndef WEIR_RUNTIME_BASE_PROGRAM_H
#define WEIR_RUNTIME_BASE_PROGRAM_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_MAX_RANK = 8, RT_MAX_ARGS = 24, RT_MAX_DIMS = 16, RT_MAX_LOOP_DEPTH = 8, RT_PANEL_ROWS = 16 };

typedef enum {
  RT_DTYPE_f16,
  RT_DTYPE_bf16,
  RT_DTYPE_f32,
  RT_DTYPE_f64,
  RT_DTYPE_f8e4m3,
  RT_DTYPE_f8e5m2,
  RT_DTYPE_i8,
  RT_DTYPE_i16,
  RT_DTYPE_i32,
  RT_DTYPE_i64,
  RT_DTYPE_u8,
  RT_DTYPE_bool,
  RT_DTYPE_COUNT
} rt_dtype;  // the order of ir_dtype
const char *rt_dtype_name(rt_dtype dtype);
int rt_dtype_bytes(rt_dtype dtype);

// A size expression: postfix code over sizes, evaluated with checked arithmetic. Text: ordinary infix, "4*576*T +
// 64*R", with + - * / % min max and parentheses.
typedef struct {
  int op_count;
  const struct rt_size_op *ops;
} rt_expr;
typedef enum {
  RT_SIZE_CONST,
  RT_SIZE_VAR,
  RT_SIZE_ADD,
  RT_SIZE_SUB,
  RT_SIZE_MUL,
  RT_SIZE_DIV,
  RT_SIZE_MOD,
  RT_SIZE_MIN,
  RT_SIZE_MAX
} rt_size_code;
typedef struct rt_size_op {
  rt_size_code code;
  int64_t value;  // CONST: the number; VAR: index of the size
} rt_size_op;
rt_expr rt_expr_const(weir_arena *arena, int64_t value);
rt_expr rt_expr_var(weir_arena *arena, int size);
rt_expr rt_expr_binary(weir_arena *arena, rt_size_code code, rt_expr a, rt_expr b);
bool rt_expr_eval(rt_expr expr, const int64_t *sizes, int64_t *out);  // false on overflow or division by zero

typedef enum { RT_ROLE_PLAIN, RT_ROLE_BATCH, RT_ROLE_SEQ } rt_role;
// A symbol of the model: what a request says. Sizes derived from it are found by name.
typedef struct {
  const char *name;
  rt_role role;
  int64_t lo, hi;    // bounds on one request (for a growing seq: on the whole sequence)
  int64_t divisor;   // each request's value must be a multiple
  bool grows;        // rows add up over the calls of a session
  bool stored;       // no input says it: it follows from the rows of whole states in the session
  int size;          // index of the size |name|
  int size_max;      // of NAME.max; -1 for plain
  int size_all_max;  // of NAME.all.max; -1 if it does not grow
} rt_symbol;

// Elements that each request has of something counted neither by a symbol nor alike for all: rows of a ragged dim that
// is computed from others, or the product of several ragged dims. Bound as a symbol is: first element of each request,
// request of each element, the sum and the most. OUT_OF_RANGE where a count is negative or the sum passes 2^31 - 1.
typedef struct {
  const char *name;  // a name as sizes have it, for texts
  rt_expr count;     // of one request, over symbols: value i < symbol_count is symbol i, symbol_count + i its rows
                     // before this call (0 if it does not grow)
  int size;          // index of the size |name|: of all requests
  int size_max;      // of NAME.max: the most of one request
} rt_volume;

// A dim of an interface tensor, for one request: a constant or an expression over symbols (numbered as in rt_volume).
typedef struct {
  const char *name;
  rt_dtype dtype;
  int rank;
  rt_expr dims[RT_MAX_RANK];  // over symbols
  int ragged;      // symbol, or symbol_count + volume, of which each request has another number of equal parts;
                   // -1: one [dims] block per request, stacked
  rt_expr bytes;   // of all requests together, over sizes
  int64_t lo, hi;  // integers: inclusive range that each element must have; lo > hi: unchecked
  bool limited;    // integers with a range: each element is also less than |below|,
  rt_expr below;   // over symbols
} rt_tensor;

// Four kinds: one block of |row_bytes| of a fixed shape; rows that grow with |symbol|; of those the last |window| - 1
// kept between calls; rows of another number in each session, which a step replaces as a whole.
//
// Rows lie one behind the other, or in panels of RT_PANEL_ROWS: panel after panel those of RT_PANEL_ROWS positions,
// word w of all of them, in order, before word w + 1 of any (rt_state_word). Storage is then whole panels and begins
// with the one of the first kept row, whose place in it is its position modulo RT_PANEL_ROWS. What stands in a panel
// beside the rows in use is anything at all.
typedef struct {
  const char *path;
  rt_dtype dtype;
  bool rows;   // one row per position of symbol |symbol|; else one block of |row_bytes|
  int symbol;  // -1 if not rows; where |whole|, also symbol_count + volume
  int64_t row_bytes;
  int64_t window;  // 0: keeps all rows
  double initial;  // of fixed states
  bool whole;      // rows that do not grow: |symbol| of them, which the session says unless the program |writes|
  bool unset;      // fixed: there is no initial value; the first step to use it must write it
  bool reads;      // unset or whole: the program reads what an earlier step has left
  bool writes;     // fixed or whole: the program gives it a new value
  bool panel;      // rows: in panels
} rt_state;
// Bytes that stay together in a panel: four, where rows are whole fours, and at least an element. Of f16 one element:
// an instruction loads and widens sixteen neighbours, but does not take them out of pairs.
int rt_state_word(rt_dtype dtype, int64_t row_bytes);

typedef struct {
  const char *path;  // what it holds, as in the package's weight table
  int64_t bytes;
} rt_weight;

typedef struct {
  rt_expr bytes, offset;  // over sizes; offset a multiple of 64
  const char *name;       // for readers
} rt_buffer;

typedef enum {
  RT_ARG_BUFFER,  // arena
  RT_ARG_WEIGHT,
  RT_ARG_INPUT,
  RT_ARG_OUTPUT,
  RT_ARG_STATE,      // table of R pointers to the sessions' storage of state |index|
  RT_ARG_STARTS,     // i32[R + 1]: first packed row of each request, of symbol |index| or volume |index| - symbol_count
  RT_ARG_REQUESTS,   // i32[T]: request of each packed row, likewise
  RT_ARG_POSITIONS,  // i32[T]: position of each packed row in its whole sequence
  RT_ARG_PAST,       // i32[R]: rows before this call
} rt_arg_kind;
typedef struct {
  rt_arg_kind kind;
  int index;
} rt_arg;

typedef struct {
  int kernel;    // index into |kernels|
  rt_expr grid;  // work items, over sizes
  int arg_count;
  rt_arg args[RT_MAX_ARGS];
  int dim_count;
  rt_expr dims[RT_MAX_DIMS];  // the kernel's sizes, over sizes
  bool sync;                  // wait for everything before
  rt_expr guard;              // runs only where guard_lo <= guard < guard_hi; op_count 0: always
  int64_t guard_lo, guard_hi;
  const char *note;  // for traces: path of the block and op
  // Estimates, over sizes, by which threads share the work and traces are read; both 0, negative, without a value or
  // op_count 0: unknown.
  rt_expr flops_per_item, bytes_per_item;
} rt_launch;

// Launches |first|..|last| (both included), run |trips| times. Loops are nested or apart; an outer one stands before
// those inside it.
typedef struct {
  int first, last;
  rt_expr trips;  // over sizes; below 1: not at all; past 2^31 - 1 the run is refused
  int size;       // index of a size that only loops have, nested ones different: the iteration, from 0; 0 outside
  int flags;      // buffer of R bools, read before each iteration: with none set the loop ends; -1: only |trips| counts
} rt_loop;

typedef struct {
  const char *symbol;        // exported name in the code object
  int64_t scratch_bytes;     // per thread
  int arg_count, dim_count;  // what every launch passes
} rt_kernel;

typedef struct {
  const char *name;
  bool step;  // goes on with its session; else starts from initial states and drops them
  int size_count;
  const char **sizes;
  int symbol_count;
  rt_symbol *symbols;
  int volume_count;
  rt_volume *volumes;
  int input_count;
  rt_tensor *inputs;
  int output_count;
  rt_tensor *outputs;
  int state_count;
  rt_state *states;
  int weight_count;
  rt_weight *weights;
  int buffer_count;
  rt_buffer *buffers;
  int kernel_count;
  rt_kernel *kernels;
  int launch_count;
  rt_launch *launches;
  int loop_count;
  rt_loop *loops;
  rt_expr arena_bytes;  // over sizes: the peak
} rt_program;

// Emitted kernels have this signature: |args| and |dims| of the launch, items |begin|..|end|, |scratch| of at least
// scratch_bytes, 64-byte aligned.
typedef void (*rt_kernel_fn)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch);

const char *rt_program_print(weir_arena *arena, const rt_program *program);
// INVALID_DATA with the line on anything malformed; everything is checked as by rt_program_verify.
weir_status rt_program_parse(weir_arena *arena, const char *text, size_t length, rt_program **out_program);
// Indices in range, expressions well formed, argument counts as the kernels say, names unique.
weir_status rt_program_verify(const rt_program *program);

#ifdef __cplusplus
}
#endif
#endif
