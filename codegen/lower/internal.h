// Shared by the files of codegen/lower only.
#ifndef WEIR_CODEGEN_LOWER_INTERNAL_H
#define WEIR_CODEGEN_LOWER_INTERNAL_H

#include "codegen/lower/lower.h"

// How a value depends on the request, which decides how it lies in memory:
//   invariant  weights and constants only: its dims
//   request    one block per request: R x dims
//   packed     has one seq or batch dim: rows of all requests together x the other dims, whichever axis it is
//   history    rows of a state, earlier calls included: a table of pointers, one per request
typedef enum { CLASS_INVARIANT, CLASS_REQUEST, CLASS_PACKED, CLASS_HISTORY } value_class;

typedef enum { FATE_DEAD, FATE_INLINE, FATE_ALIAS, FATE_ROOT, FATE_PARAM } value_fate;

// What lowering knows of one value. Indexed by value->id.
typedef struct {
  ir_value *value;
  value_class cls;
  int axis;                 // PACKED: the ragged axis
  const ir_symbol *symbol;  // PACKED, HISTORY: the symbol that counts its rows
  int use_count;
  ir_node **users;  // nodes, one per operand occurrence
  bool is_result;
  value_fate fate;
  ir_value *group;  // INLINE: the root it is computed in; null if it is in several (free movement)
  ir_value *base;   // ALIAS: the root or parameter whose memory it shares
  int slot;         // ROOT, PARAM: where it lies
} value_info;

// Where memory comes from, seen from inside a function.
typedef enum { SLOT_PARAM, SLOT_RESULT, SLOT_TEMP, SLOT_ROPE } slot_kind;
typedef struct {
  slot_kind kind;
  int index;  // PARAM, RESULT
  const char *name;
  const ir_value *value;
  bool spread;  // RESULT: an invariant value, once for each request
  // ROPE: cosines and sines of the positions of |symbol|, made once per program
  const ir_symbol *symbol;
  double theta;
  int rotary;
} slot;

// A pointer argument of a launch before it is bound.
typedef struct {
  bool is_slot;
  int slot;
  rt_arg_kind table;  // STARTS, REQUESTS, POSITIONS, PAST of |symbol|
  const ir_symbol *symbol;
  bool write;
} launch_arg;

// A kernel size before it is bound.
typedef enum { SIZE_REQUESTS, SIZE_ROWS, SIZE_ROWS_MAX, SIZE_PLAIN } size_kind;
typedef struct {
  size_kind kind;
  const ir_symbol *symbol;
} launch_size;

// The memory of a TEMP slot: bytes times the product of its dims but the ragged one, times rows.
typedef struct {
  int64_t bytes;
  ir_dim inner;    // over plain symbols; null where constant
  size_kind rows;  // ROWS of |symbol|, REQUESTS, or PLAIN for neither
  const ir_symbol *symbol;
} value_shape;

typedef struct lowered lowered;
typedef struct {
  const lowered *callee;  // a call if not null
  int *args, *results;    // of a call: slots
  int kernel;             // index into the module's kernels
  int arg_count;
  launch_arg args_of_kernel[RT_MAX_ARGS];
  int size_count;
  launch_size sizes[RT_MAX_DIMS];
  const ir_kexpr *grid;  // over the kernel's sizes
  bool guarded;          // runs only where guard_lo <= rows < guard_hi; |guard| is a kernel size
  const ir_kexpr *guard;
  int64_t guard_lo, guard_hi;
  const char *note;
} item;

// A function lowered for given formats of its weight parameters.
struct lowered {
  const ir_function *function;
  cg_weight_format *formats;  // per parameter; unused for inputs and states
  slot *slots;
  int slot_count, slot_capacity;
  value_shape *shapes;  // per slot; of TEMP slots only
  item *items;
  int item_count, item_capacity;
  int *result_slots;  // per result
};

typedef struct {
  weir_arena *arena;
  const ir_module *module;
  const cg_lower_options *options;
  cg_module *out;
  lowered **functions;
  int function_count, function_capacity;
  uint64_t *kernel_hashes;
  int hash_capacity;
} lowering;

// One function being lowered.
typedef struct {
  lowering *low;
  lowered *out;
  const ir_function *function;
  value_info *values;  // by id
  int value_count;
} function_lowering;

// One kernel being built. Values are computed at indices: idx[i] is the index along axis i of the value's type; along a
// ragged axis it is the packed row.
typedef struct {
  ir_value *value;
  const ir_kexpr *idx[IR_MAX_RANK];
  int part;  // 0 the value; of the line of a softmax: 1 the sum, 2 the largest
  const ir_kexpr *expr;
} bound_value;

typedef struct {
  function_lowering *fl;
  ir_kbuilder b;
  item item;
  ir_value *root;           // computed here although it has memory; null in copies
  const ir_symbol *symbol;  // that counts the rows of the domain; null if none
  const ir_kexpr *request;  // request of the current item; null until known
  const ir_kexpr *row;      // packed row of the current item, if any
  bound_value *bound;
  int bound_count, bound_capacity;
  const char *unsupported;  // first thing that could not be lowered
} emitter;

// ---- analyze.c
weir_status cg_analyze(function_lowering *fl);
value_info *cg_info(const function_lowering *fl, const ir_value *value);
weir_status cg_unsupported(const ir_function *function, ir_loc loc, const char *fmt, ...)
    WEIR_PRINTF(3, 4) WEIR_MUST_USE;
// Product of the dims other than the ragged axis; false if one of them is not constant.
bool cg_inner_elements(const value_info *info, int64_t *out);
// Whether |node| reduces over the ragged axis of its operand.
bool cg_reduces_rows(const function_lowering *fl, const ir_node *node);
int64_t cg_const_dim(ir_dim dim);  // the number, or -1

// ---- fuse.c: sets the fate and group of every value and logs the decisions.
void cg_fuse(function_lowering *fl);
// The root or parameter whose memory |value| is, through aliases.
ir_value *cg_base(const function_lowering *fl, ir_value *value);
// The linear nodes computed inside the group of |root|; at most |capacity|.
int cg_group_linears(const function_lowering *fl, ir_value *root, ir_node **out, int capacity);

// ---- emit.c: memory; compute.c: values
void cg_emit_begin(emitter *e, function_lowering *fl, ir_value *root, const char *name, const char *banner);
// Closes the kernel, shares it with an equal one and appends the launch.
weir_status cg_emit_finish(emitter *e);
const ir_kexpr *cg_emit_size(emitter *e, size_kind kind, const ir_symbol *symbol);
// Buffer of the kernel for a slot or table; the same for the same one.
int cg_emit_slot(emitter *e, int slot, ir_kbuffer_kind kind);
int cg_emit_table(emitter *e, rt_arg_kind table, const ir_symbol *symbol);
const ir_kexpr *cg_emit_request(emitter *e);  // request of the current item
const ir_kexpr *cg_emit_start(emitter *e, const ir_symbol *symbol, const ir_kexpr *request);  // first packed row
// The value at |idx|, as a kernel type for computing (f32 for small floats).
const ir_kexpr *cg_emit_value(emitter *e, ir_value *value, const ir_kexpr *const *idx);
// Element |idx| of a value that has memory.
const ir_kexpr *cg_emit_load(emitter *e, ir_value *value, const ir_kexpr *const *idx);
// A stand-in for the index of a loop that is not open yet.
const ir_kexpr *cg_placeholder(emitter *e);
// Computes ahead, at the current place, the reductions that the value at |idx| needs, placeholders among the indices.
// False if one of them depends on a placeholder: it will be computed inside that loop, which must then be serial.
bool cg_emit_reductions(emitter *e, ir_value *value, const ir_kexpr *const *idx);
// Stores |expr| as element |idx| of |value| in slot |index|: its own, or the state that it is appended to.
void cg_emit_store(emitter *e, const ir_value *value, int index, const ir_kexpr *const *idx, const ir_kexpr *expr);
ir_ktype cg_compute_type(ir_dtype dtype);
const ir_kexpr *cg_dim_expr(emitter *e, ir_dim dim);  // constant or plain symbol
void cg_bind(emitter *e, ir_value *value, const ir_kexpr *const *idx, int part, const ir_kexpr *expr);

// Opens the grid over the rows of |value|'s domain and sets row, request and symbol. |per_row| items for each row;
// *out_part is which.
void cg_emit_domain(emitter *e, const ir_value *value, int64_t per_row, const ir_kexpr **out_part);
// The number of rows of |value|: of all requests, of requests, or one.
const ir_kexpr *cg_emit_rows(emitter *e, const ir_value *value);
// Makes |row| (a row of the domain of |value|) the current one.
void cg_emit_set_row(emitter *e, const ir_value *value, const ir_kexpr *row);

// ---- one file per kind of kernel
// Any value, element by element, with the reductions it needs: into its own slot as a root, or a copy into |index|.
weir_status cg_lower_rowwise(function_lowering *fl, ir_value *root);
weir_status cg_lower_copy(function_lowering *fl, ir_value *value, int index);
weir_status cg_lower_rows_reduction(function_lowering *fl, ir_value *root);  // over the ragged axis only
weir_status cg_lower_linear(function_lowering *fl, ir_value *root, ir_node **linears, int linear_count);
weir_status cg_lower_attend(function_lowering *fl, ir_value *root);
weir_status cg_lower_rope(function_lowering *fl, ir_value *root);
// The table kernel of a SLOT_ROPE; returns its index.
weir_status cg_lower_rope_table(lowering *low, double theta, int rotary, int *out_kernel);

// ---- function.c
weir_status cg_lower_function(lowering *low, const ir_function *function, const cg_weight_format *formats,
                              lowered **out);
int cg_add_kernel(lowering *low, ir_kernel *kernel);
// What a weight parameter is read as anywhere below: bit 0 by a linear, bit 1 otherwise.
unsigned cg_weight_uses(const ir_function *function, int param);

// ---- program.c
weir_status cg_build_program(lowering *low, const ir_function *entry, rt_program **out);

#endif
