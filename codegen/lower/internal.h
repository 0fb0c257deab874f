// Shared by the files of codegen/lower only.
#ifndef WEIR_CODEGEN_LOWER_INTERNAL_H
#define WEIR_CODEGEN_LOWER_INTERNAL_H

#include "codegen/lower/lower.h"
#include "ir/kernel_block.h"

// How a value depends on the request, which decides how it lies in memory:
//   invariant  weights and constants only: its dims
//   request    one block per request: R x dims
//   packed     has ragged (seq or batch) dims: the blocks of all requests one behind the other. With V the product of
//              the ragged dims (the value's volume) and |inner| that of the others, request r's block begins at
//              element starts[V][r] * inner. Inside, the ragged axes come first, then the others, each in order. So a
//              value with one ragged dim is the rows of all requests together, whichever axis it is.
//   history    rows of a state, earlier calls included: a table of pointers, one per request
typedef enum { CLASS_INVARIANT, CLASS_REQUEST, CLASS_PACKED, CLASS_HISTORY } value_class;

// PACKED: computed in the kernel that packs it for products of lower precision, which have no other use for it
// (pack.c).
typedef enum { FATE_DEAD, FATE_INLINE, FATE_ALIAS, FATE_ROOT, FATE_PARAM, FATE_PACKED } value_fate;

// What lowering knows of one value. Indexed by value->id.
typedef struct {
  ir_value *value;
  value_class cls;
  unsigned ragged;  // mask of the ragged axes; HISTORY: the first
  int axis;         // PACKED: the first ragged axis, whose rows a kernel's items are
  ir_dim volume;    // PACKED, HISTORY: product of the ragged dims
  int use_count;
  int copies;       // how often kernels would write out its computation if it were inlined
  ir_node **users;  // nodes, one per operand occurrence
  bool is_result;
  bool is_lowered;  // ROOT: in the launch of another (linear_join.c)
  value_fate fate;
  ir_value *group;  // INLINE: the root it is computed in; null if it is in several (free movement)
  ir_value *base;   // ALIAS: the root or parameter whose memory it shares
  int slot;         // ROOT, PARAM: where it lies
} value_info;

// Where memory comes from, seen from inside a function.
typedef enum {
  SLOT_PARAM,
  SLOT_RESULT,
  SLOT_TEMP,
  SLOT_ROPE,
  SLOT_STACK,
  SLOT_PARTS,
  SLOT_ROWS,
  SLOT_COUNTERS
} slot_kind;
typedef struct {
  slot_kind kind;
  int index;  // PARAM, RESULT
  const char *name;
  const ir_value *value;
  bool spread;       // an invariant value, once for each request
  unsigned first;    // axes that come first in a request's block: the ragged ones, but where somebody outside says it
  const int *parts;  // STACK: slots of |index| weights that become one
  // ROWS: the matrix in slot |index| once more, its rows one behind the other in bf16, |bytes| in all
  // ROPE: cosines and sines of the positions of the rows of |rows|, made once per program
  // COUNTERS: |piece| i32 for each of |rows|, all 0 between launches; |index| tells those of a function apart
  // PARTS: |bytes| for each request and each |piece| rows of |rows|, begun and ended ones counted too
  ir_dim rows;
  double theta;
  int rotary;
  int64_t bytes, piece;
} slot;

// Arguments of a kernel under construction: tables among them whose use may fold away.
enum { CG_BUILD_ARGS = 3 * RT_MAX_ARGS };

// A pointer argument of a launch before it is bound.
typedef struct {
  bool is_slot;
  int slot;
  rt_arg_kind table;  // STARTS, REQUESTS of the volume |rows|; PAST: |rows| is a symbol T.past
  ir_dim rows;
  bool write;
} launch_arg;

// A kernel size before it is bound: requests; elements of the volume |dim| of all requests, or the most of one; the
// plain symbol |dim|. Or the iteration of a loop around the kernel: |dim| is its number, a constant, counted from the
// outermost of the block.
typedef enum { SIZE_REQUESTS, SIZE_ROWS, SIZE_ROWS_MAX, SIZE_PLAIN, SIZE_LOOP } size_kind;
typedef struct {
  size_kind kind;
  ir_dim dim;
} launch_size;

// The memory of a TEMP slot: bytes times the product of its dims but the ragged ones, times rows.
typedef struct {
  int64_t bytes;
  ir_dim inner;    // over plain symbols; null where constant
  size_kind rows;  // ROWS of |volume|, REQUESTS, or PLAIN for neither
  ir_dim volume;
} value_shape;

typedef enum { LOOP_NONE, LOOP_BEGIN, LOOP_END } loop_mark;

typedef struct lowered lowered;
typedef struct {
  loop_mark loop;         // not a launch: a loop begins or ends
  ir_dim trips;           // LOOP_BEGIN: the most of one request; null: once
  int flags;              // LOOP_BEGIN: slot of R bools, -1 for none
  const lowered *callee;  // a call if not null
  const ir_node *call;    // its node: what the callee's symbols stand for; null: a region, which has the caller's
  int *args, *results;    // of a call: slots
  int kernel;             // index into the module's kernels
  int arg_count;
  launch_arg args_of_kernel[CG_BUILD_ARGS];  // of a finished kernel at most RT_MAX_ARGS
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
  const char *choice_key;  // of choices that were made for the kernel under construction
  int key_capacity;
  struct cg_images *images;  // of each function that was asked about (images.c)
  int image_count, image_capacity;
} lowering;

// Rows of a linear's input in the form that products of lower precision read. All are temporaries of 32-bit elements;
// the codes are four int8 or two bf16 a word. int8, for each 32 inputs: the scale, and as far as some format of the
// function asks for it (null else) the sum of the codes times the scale; for each 32 or 16 inputs minus that sum.
typedef struct {
  const ir_value *x;
  cg_compute compute;
  ir_value *codes, *scales, *scaled_sums, *minus_32, *minus_16;
  ir_value *starts;  // int8_row: -128 times the sum of a row's codes
  bool image;        // |codes| are an image of words of two channels (block/window_mma.c)
} packed_rows;

// What one launch computes besides its root, row by row: who completes some rows of |root| computes |value| of them.
typedef struct {
  ir_value *root, *value;
  const packed_rows *packed;  // |value| is not stored but packed
  int counters;               // slot
} row_tail;

// One function being lowered.
typedef struct {
  lowering *low;
  lowered *out;
  const ir_function *function;
  value_info *values;  // by id
  int value_count, value_capacity;
  // Of a region: the loops of the block around it, outermost first, and the parameters that count them (-1: none).
  const ir_dim *loops;
  int loop_count;
  const int *loop_params;
  // Rows in order of the last index that a route chose by (route.c).
  const ir_value *ordered_by;
  ir_value *order, *order_starts;
  const signed char *spatial;  // by value id: spatial axes of a value that lies channels last, 0: of others (images.c)
  packed_rows *packed;         // what products of lower precision read (pack.c)
  int packed_count, packed_capacity;
  row_tail *tails;  // tail.c
  int tail_count, tail_capacity, counters;
} function_lowering;

// One kernel being built. Values are computed at indices: idx[i] is the index along axis i of the value's type, for one
// request: along a ragged axis it counts from the first row of the current request.
typedef struct {
  ir_value *value;
  const ir_kexpr *idx[IR_MAX_RANK];
  int part;  // 0 the value; of the line of a softmax: 1 the sum, 2 the largest
  const ir_kexpr *expr;
} bound_value;

// What tables say of the current request: read once, where the request became the current one.
typedef enum { FACT_START, FACT_END, FACT_PAST } request_fact_kind;
typedef struct {
  request_fact_kind kind;
  ir_dim rows;  // volume, or symbol T.past
  const ir_kexpr *expr;
} request_fact;

typedef struct {
  function_lowering *fl;
  ir_kbuilder b;
  item item;
  ir_value *root;            // computed here although it has memory; null in copies
  const ir_kexpr *request;   // the current request; null where none is
  ir_kstmt **request_place;  // behind the statement where it became that
  int request_lanes;         // open lanes ranges there
  request_fact *facts;
  int fact_count, fact_capacity;
  bool replaces;  // a store to a state of rows is all of them, from the first on; else rows of this call are appended
  struct cg_locals *locals;  // values in local memory; null but in scan_kernel.c
  bound_value *bound;
  int bound_count, bound_capacity;
  const char *unsupported;  // first thing that could not be lowered
} emitter;

// ---- analyze.c
weir_status cg_analyze(function_lowering *fl);
value_info *cg_info(const function_lowering *fl, const ir_value *value);
weir_status cg_unsupported(const ir_function *function, ir_loc loc, const char *fmt, ...)
    WEIR_PRINTF(3, 4) WEIR_MUST_USE;
// Product of the dims other than the ragged ones; false if one of them is not constant.
bool cg_inner_elements(const value_info *info, int64_t *out);
// Whether |node| reduces over the first ragged axis of its operand, so that no item of the operand's kernel has all.
bool cg_reduces_rows(const function_lowering *fl, const ir_node *node);
// Whether the layout of |info| is row-major for each request: nothing but ones stands before its ragged axes.
bool cg_is_row_major(const value_info *info, unsigned first);
// True of nodes that there are kernels for (supported.c): who adds a lowering adds its op.
bool cg_has_lowering(const ir_node *node);
int64_t cg_const_dim(ir_dim dim);  // the number, or -1

// ---- fuse.c: sets the fate and group of every value and logs the decisions.
void cg_fuse(function_lowering *fl);
// Whether the kernel of |root| computes reductions other than |root| ahead of its elements.
bool cg_reduces_ahead(const function_lowering *fl, const ir_value *root);
// The root or parameter whose memory |value| is, through aliases.
ir_value *cg_base(const function_lowering *fl, ir_value *value);
// The linear nodes computed inside the group of |root|; at most |capacity|.
int cg_group_linears(const function_lowering *fl, ir_value *root, ir_node **out, int capacity);

// ---- emit.c: memory; compute.c: values
void cg_emit_begin(emitter *e, function_lowering *fl, ir_value *root, const char *name, const char *banner);
// Closes the kernel, shares it with an equal one and appends the launch.
weir_status cg_emit_finish(emitter *e);
const ir_kexpr *cg_emit_size(emitter *e, size_kind kind, ir_dim dim);  // null dim: requests
// Buffer of the kernel for a slot or table; the same for the same one.
int cg_emit_slot(emitter *e, int slot, ir_kbuffer_kind kind);
int cg_emit_table(emitter *e, rt_arg_kind table, ir_dim rows);
// Makes |request| the current one. What the tables say of it is read at this place, so that it holds until the open
// range ends; what is not used leaves no trace (prune.c).
void cg_emit_set_request(emitter *e, const ir_kexpr *request);
const ir_kexpr *cg_emit_request(emitter *e);
const ir_kexpr *cg_emit_panel_lead(emitter *e, const slot *at);
const ir_kexpr *cg_emit_start(emitter *e, ir_dim volume);  // first element of the current request in all of |volume|
// Any dim of the current request as a number: constants, plain symbols, ragged dims, rows of earlier calls.
const ir_kexpr *cg_dim_expr(emitter *e, ir_dim dim);
// The value at |idx|, as a kernel type for computing (f32 for small floats).
const ir_kexpr *cg_emit_value(emitter *e, ir_value *value, const ir_kexpr *const *idx);
// Element |idx| of a value that has memory.
const ir_kexpr *cg_emit_load(emitter *e, ir_value *value, const ir_kexpr *const *idx);
// Where element |idx| of a value with a temporary of its own stands there.
const ir_kexpr *cg_emit_place_of(emitter *e, const ir_value *value, const ir_kexpr *const *idx);
// A stand-in for the index of a loop that is not open yet.
const ir_kexpr *cg_placeholder(emitter *e);
// Computes ahead, at the current place, the reductions that the value at |idx| needs, placeholders among the indices.
// False if one of them depends on a placeholder: it will be computed inside that loop, which must then be serial.
bool cg_emit_reductions(emitter *e, ir_value *value, const ir_kexpr *const *idx);
// Stores |expr| as element |idx| of |value| in slot |index|: its own, or the state that it is appended to.
void cg_emit_store(emitter *e, const ir_value *value, int index, const ir_kexpr *const *idx, const ir_kexpr *expr);
// Where that is.
ir_kplace cg_emit_store_place(emitter *e, const ir_value *value, int index, const ir_kexpr *const *idx);
ir_ktype cg_compute_type(ir_dtype dtype);
void cg_bind(emitter *e, ir_value *value, const ir_kexpr *const *idx, int part, const ir_kexpr *expr);

// Opens the grid of a kernel that computes |value| element by element: an item for each row along its first ragged
// axis, for each request, or one. Sets the request and idx of that axis, if there is one.
void cg_emit_domain(emitter *e, const ir_value *value, const ir_kexpr **idx);
// The number of rows of |value| over all its ragged axes: of all requests, of requests, or one.
const ir_kexpr *cg_emit_rows(emitter *e, const ir_value *value);
// Makes |row| of those the current one: sets the request and idx of the ragged axes.
void cg_emit_set_row(emitter *e, const ir_value *value, const ir_kexpr *row, const ir_kexpr **idx);

// The same for |row| of all that |volume| counts; returns where it stands in its request.
const ir_kexpr *cg_emit_set_row_of(emitter *e, ir_dim volume, const ir_kexpr *row);

// The places in the first |lead| axes of |value|, of all requests: how many, and making |image| of them the current
// one, which sets the request (of a value that depends on one) and idx of those axes.
const ir_kexpr *cg_emit_images(emitter *e, const ir_value *value, int lead);
void cg_emit_set_image(emitter *e, const ir_value *value, int lead, const ir_kexpr *image, const ir_kexpr **idx);
const ir_kexpr *cg_emit_most(emitter *e, ir_dim dim);  // the largest that |dim| is for any request: for grids

// ---- images.c: values that lie channels last
// Spatial axes of the values of |function| that do, by id.
const signed char *cg_find_images(lowering *low, const ir_function *function);
// The axes that come first in a request's block of such a value of |spatial| axes: all but the channels.
unsigned cg_image_axes(const ir_type *type, int spatial);
bool cg_is_image(const function_lowering *fl, const ir_value *value);
// Sums and means over all positions of an image, whose channels are lanes. False if |root| is something else.
bool cg_lower_image_mean(function_lowering *fl, ir_value *root, weir_status *out_status);

// ---- state_panel.c: rows of states in panels
// Whether the state at the path of |param| lies in panels, in all entries.
bool cg_state_takes_panels(const ir_module *module, const ir_param *param);
// The rows in panels that |value| is, as they are or widened; null if it is something else.
bool cg_widens(const ir_node *node);  // a cast to f32 that changes no value
ir_value *cg_panel_keys(const function_lowering *fl, ir_value *value);
bool cg_slot_in_panels(const function_lowering *fl, const slot *at);
// Elements of a word of rows of so many |elements|.
int cg_panel_word_elements(ir_dtype dtype, int64_t elements);
// Where element |at| of row |row| is, counted from the first panel. |elements| of a row, |word| of a word.
const ir_kexpr *cg_panel_row_index(ir_kbuilder *b, const ir_kexpr *row, const ir_kexpr *at, const ir_kexpr *elements,
                                   int word);

// ---- prune.c: takes out what nothing uses: values, then arguments and sizes.
void cg_prune(weir_arena *arena, ir_kernel *kernel, item *it);

// ---- one file per kind of kernel
enum { CG_CONCAT_OPERANDS = 8 };  // of a concat in one kernel, or inside of its consumer's
// Any value, element by element, with the reductions it needs: into its own slot as a root, or a copy into |index|.
weir_status cg_lower_rowwise(function_lowering *fl, ir_value *root);
weir_status cg_lower_copy(function_lowering *fl, ir_value *value, int index);
// A row of |value| whose first index is known, into its slot.
void cg_emit_row(emitter *e, ir_value *value, const ir_kexpr **idx);
// Into a state of rows, all of which it becomes.
weir_status cg_lower_replace(function_lowering *fl, ir_value *value, int index);
weir_status cg_lower_concat(function_lowering *fl, ir_value *root);  // of many operands: each by a kernel of its own
weir_status cg_lower_rows_reduction(function_lowering *fl, ir_value *root);  // over the ragged axis only
weir_status cg_lower_linear(function_lowering *fl, ir_value *root, ir_node **linears, int linear_count);
// Whether |root| is a kernel of linear.c.
bool cg_is_panel_linear(const function_lowering *fl, const ir_value *root, const ir_node *linear);
// What the linear |node| multiplies in.
cg_compute cg_linear_compute(const function_lowering *fl, const ir_node *node);
// ---- pack.c: the packed rows of |x|, made by a kernel where they are asked for first.
weir_status cg_pack_rows(function_lowering *fl, ir_value *x, cg_compute compute, packed_rows *out);
// Room for them alone, for a kernel that stores them row by row with cg_emit_packed_row. |idx|: the row's indices.
void cg_pack_room(function_lowering *fl, ir_value *x, cg_compute compute, packed_rows *out);
void cg_emit_packed_row(emitter *e, const packed_rows *to, const ir_kexpr *const *idx);

// ---- tail.c: rows that are computed by whoever completes what they follow from
void cg_find_tails(function_lowering *fl);
const row_tail *cg_tail_of(const function_lowering *fl, const ir_value *root);
bool cg_is_tail(const function_lowering *fl, const ir_value *value);
int cg_add_counters(function_lowering *fl, ir_dim rows, int per_row);  // a SLOT_COUNTERS
// Opens an `if`: this is arrival number |count| at counter |index|.
void cg_emit_arrive(emitter *e, int counters, const ir_kexpr *index, const ir_kexpr *count);
// Computes the rows |lo|..|hi|, counted over all requests.
void cg_emit_tail_rows(emitter *e, const row_tail *tail, const ir_kexpr *lo, const ir_kexpr *hi);
// The kernel that sets counters to 0; its argument is their buffer.
weir_status cg_lower_clear(lowering *low, int per_row, int *out_kernel);

weir_status cg_lower_product(function_lowering *fl, ir_value *root);  // matmul, and linear of any two values
weir_status cg_lower_window(function_lowering *fl, ir_value *root, const ir_node *node);
// Whether the convolution reads its weight in taps, and in which of their layouts (window_direct.c and others).
bool cg_conv_takes_taps(const ir_node *node, cg_layout *out_layout);
// Whether groups of outputs are whole pairs of panels, so that thread blocks read the weight in taps.
bool cg_conv_takes_groups(const ir_node *node);
weir_status cg_lower_attend(function_lowering *fl, ir_value *root);
weir_status cg_lower_rope(function_lowering *fl, ir_value *root);
// Turns row |row| of all that |root| has.
void cg_emit_rope_row(emitter *e, ir_value *root, const ir_kexpr *row);
// What |root|, a rope, turns, [rows, outputs], if a product's kernel can turn it; else null. |root| is [rows, heads,
// size of a head], and halves of heads are whole registers.
ir_value *cg_rope_product(const function_lowering *fl, const ir_value *root);
// Turns pair |pair| of a head, the elements |x|, and stores both; |idx|: row and head, changed behind them.
void cg_rope_store_pair(emitter *e, ir_value *root, const ir_kexpr **idx, const ir_kexpr *pair,
                        const ir_kexpr *const *x);
// The table kernel of a SLOT_ROPE; returns its index. Its arguments are positions and the table, or else the rows'
// requests, the table and starts: positions count from 0.
weir_status cg_lower_rope_table(lowering *low, double theta, int rotary, bool positions_given, int *out_kernel);

// ---- index.c: index notation. Elements in the kernel under construction; whether a region's results depend on the
// request without any operand.
const ir_kexpr *cg_emit_map(emitter *e, const ir_node *node, const ir_kexpr *const *idx);
const ir_kexpr *cg_emit_fold(emitter *e, const ir_node *node);
bool cg_region_varies(const ir_function *region);
// How a reducer begins and goes on; argmax and argmin: what makes an element better.
double cg_combine_start(ir_combine combine, ir_ktype type);
ir_kop cg_combine_op(ir_combine combine);
// of compute.c: whether |x| comes before the extreme |best| (|op| gt or lt), NaN first; the end of a logsumexp.
const ir_kexpr *cg_emit_better(emitter *e, ir_kop op, const ir_kexpr *x, const ir_kexpr *best);
const ir_kexpr *cg_emit_safe_shift(emitter *e, const ir_kexpr *largest);
const ir_kexpr *cg_emit_log_sum(emitter *e, const ir_kexpr *shift, const ir_kexpr *log_sum);
// ---- scatter.c
weir_status cg_lower_scatter(function_lowering *fl, ir_value *root);
// of compute.c: ops of a region's scalars
const ir_kexpr *cg_emit_source(emitter *e, const ir_node *node, const ir_kexpr *const *idx);
const ir_kexpr *cg_emit_elementwise(emitter *e, const ir_node *node, const ir_kexpr *const *x);
// special.c: the formulas of other elementwise ops; null if |node| is none. log(1 + x), precise near 0.
const ir_kexpr *cg_emit_log1p(emitter *e, const ir_kexpr *x);
// Whether the formula of |op| computes steps ahead, wherever its value is asked for.
bool cg_has_steps(ir_op op);
const ir_kexpr *cg_emit_special(emitter *e, const ir_node *node, const ir_kexpr *const *x);
const ir_kexpr *cg_where_active(emitter *e, const ir_kexpr *x);

// ---- route.c
weir_status cg_lower_route(function_lowering *fl, ir_node *node);
// Whether |value| stacks weights: it is one weight of the package.
bool cg_is_weight_stack(const function_lowering *fl, const ir_value *value);
// How a weight parameter or a stack of them is stored; null for other values.
const cg_weight_format *cg_format_of(const function_lowering *fl, const ir_value *value);

// ---- scan.c, cond.c: ops that own regions
weir_status cg_lower_scan(function_lowering *fl, ir_node *node);
weir_status cg_lower_cond(function_lowering *fl, ir_node *node);
// True if the scan is one kernel; |*out_status| says how that went.
bool cg_lower_scan_kernel(function_lowering *fl, ir_node *node, weir_status *out_status);
// Fills in function, formats and parameters of |inner| for a region of |node|, all operands taken as captures, and the
// slots of the owner that its parameters are.
weir_status cg_region_begin(function_lowering *fl, const ir_node *node, ir_function *region, function_lowering *inner,
                            int **out_args);
// True if an iteration of the scan is one kernel (scan_cell.c); |*out_status| says how that went.
bool cg_lower_scan_cell(function_lowering *fl, ir_node *node, weir_status *out_status);
// As cg_region_begin for the body of the innermost of |inner|'s loops, which counts its first parameter; |arg_slots| of
// operands that are in place already, -1 for those to capture.
weir_status cg_region_begin_loop(function_lowering *fl, const ir_node *node, ir_function *region, const int *arg_slots,
                                 function_lowering *inner, int **out_args);
// A value in the local memory of the kernel.
bool cg_is_local(const emitter *e, const ir_value *value);
const ir_kexpr *cg_emit_local(emitter *e, const ir_value *value, const ir_kexpr *const *idx);
// Which parameter of a region takes operand |operand| of its owner; -1 if none does.
int cg_region_param(const ir_node *node, int operand);
// Number of the loop that |value|, a parameter of a region, counts; -1 if it is another value.
int cg_loop_of(const function_lowering *fl, const ir_value *value);
// Whether the current request still takes part in the loops around; null where each does. A request that does not must
// read nothing at places that are counted by them.
const ir_kexpr *cg_emit_active(emitter *e);
// Lowers a region of |node| and appends the call. Results go to |result_slots|.
weir_status cg_lower_region(function_lowering *fl, const ir_node *node, ir_function *region, const ir_dim *loops,
                            int loop_count, bool counts, const int *arg_slots, const int *result_slots);
// A loop begins (over |trips| of each request; null: once) while |flags|, a slot, says so (-1: always); or ends.
void cg_mark_loop(function_lowering *fl, loop_mark mark, ir_dim trips, int flags);
// A value of the function that no node makes, with memory of its own.
ir_value *cg_new_value(function_lowering *fl, ir_type type);
// Appends a kernel over requests that copies, where |flags| (null: everywhere) and the loops say so, each of |from| to
// the slot of |to|; from |rows| on to the row of the innermost loop.
weir_status cg_lower_commit(function_lowering *fl, ir_value *flags, ir_value *const *from, ir_value *const *to,
                            int count, int rows, const char *name);

// ---- order.c: running values, sorting, the k largest
weir_status cg_lower_running(function_lowering *fl, ir_node *node);
weir_status cg_lower_order(function_lowering *fl, ir_node *node);

// ---- function.c
// Ops whose operands and results are whole values in memory: calls, what owns regions, what walks whole lines.
bool cg_takes_memory(ir_op op);
int cg_add_temp(function_lowering *fl, const ir_value *value);
// A SLOT_PARTS, for kernels of |value|.
// A SLOT_ROWS of the matrix in slot |weight|; the same for the same one.
int cg_add_rows(function_lowering *fl, int weight, int64_t bytes);
int cg_add_parts(function_lowering *fl, const ir_value *value, int64_t bytes, ir_dim rows, int64_t piece);
weir_status cg_copy_argument(function_lowering *fl, ir_value *value, unsigned first, int *out);
// A copy of a state of a fixed shape as an ordinary value.
weir_status cg_copy_state(function_lowering *fl, ir_value *value, int *out);
// The order of axes that the region sees: as in functions of the model.
bool cg_lies_as(const value_info *info, unsigned a, unsigned b);
weir_status cg_lower_body(function_lowering *fl);
weir_status cg_lower_function(lowering *low, const ir_function *function, const cg_weight_format *formats,
                              lowered **out);
int cg_add_kernel(lowering *low, ir_kernel *kernel);
// What a weight parameter is read as anywhere below: bit 0 by a linear, bit 1 otherwise; bit 2: some linear is chosen
// at run time; bit 3: by a convolution in taps, bit 4: transformed, bit 5: in taps by thread blocks
// alone.
unsigned cg_weight_uses(const ir_function *function, int param);

// ---- schedule.c
// The value of a schedule's parameter: |otherwise|, or one of |candidates| that the options choose. |key| names the
// kernel's template and shape; it must live as long as the module.
int64_t cg_schedule_choice(lowering *low, const char *key, const char *parameter, int64_t otherwise,
                           const int64_t *candidates, int count);
// The same among 1, 2 and 4, as far as they are at most |most| and divide |all|.
// The same of an answer that may change bits.
int64_t cg_inexact_choice(lowering *low, const char *key, const char *parameter, int64_t otherwise,
                          const int64_t *candidates, int count);
int64_t cg_schedule_divisor(lowering *low, const char *key, const char *parameter, int64_t otherwise, int64_t all,
                            int64_t most);

// ---- program_interface.c
weir_storage cg_plain_storage(ir_dtype dtype);  // of values of |dtype| as they are

#endif
