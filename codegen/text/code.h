// What the C printers of CPU and CUDA share: the expanded form of one kernel.
//
// Printing is three steps. expand.c walks the kernel IR once, substituting constants: unrolled and tiled ranges become
// copies, registers become single C variables. The innermost `lanes` ranges become, for a CPU, a block loop and a
// masked rest; for a team of threads (|cg_target.team|), a loop that each thread begins at its own number. While it
// does so node.c makes every expression a node of a graph without duplicates. Each node knows its |home|, the outermost
// scope in which it can be computed, and is announced in front of the statement of that scope under which it was first
// needed; so loop-invariant work leaves loops. Last, emit_scope.c and the target's emit.c print the statements, with a
// named temporary for each node that is used more than once or from a deeper scope.
//
// On a CPU values that depend on the lane are vector nodes. An i64 that grows evenly with the lane stays a pair of
// scalars (a ramp), so that index arithmetic is scalar and a ramp of step 1 is a plain vector load.
#ifndef WEIR_CODEGEN_TEXT_CODE_H
#define WEIR_CODEGEN_TEXT_CODE_H

#include "ir/kernel.h"
#include "ir/text_buffer.h"

// Operations beside those of the kernel IR.
enum {
  CG_SPLAT = IR_K_COUNT,                  // scalar -> vector
  CG_RAMP,                                // i64 args[0] + lane * args[1]
  CG_FIRST,                               // mask of the first args[0] lanes
  CG_ANY,                                 // mask -> bool
  CG_NAME,                                // a C variable
  CG_LOAD_RAMP,                           // vector of elements args[0] + lane * args[3]; request and mask as of a load
  CG_NIBBLE,                              // f32 of the low four bits of a vector of u32
  CG_BITS_OF,                             // + small float type: its bits of a value, as u32
  CG_OF_BITS = CG_BITS_OF + IR_KT_COUNT,  // + small float type: the value of bits in a u32
};

static inline bool cg_is_compare(int op) { return op >= IR_K_eq && op <= IR_K_ge; }

typedef struct cg_scope cg_scope;
typedef struct cg_node cg_node;
typedef struct cg_stmt cg_stmt;

struct cg_node {
  int op;  // ir_kop or above
  ir_ktype type;
  bool vector;  // 16 lanes
  int arg_count;
  cg_node *args[4];  // load: index, request or null, mask or null
  int64_t i;         // const
  double f;          // const
  int index;         // size, load
  const char *name;  // NAME; else a proposal for the temporary, or null
  unsigned seen;     // by the walk of this number
  unsigned once;     // not 0: holds at one statement only (reads of registers and of memory that is written)
  cg_scope *home;
  int64_t divisor;  // i64 scalars: the value is a multiple of this; 0: the value is 0
  bool not_negative;

  bool live, deep, wanted;  // used at all; used below its home; has a name of its own in the source
  int uses;
  const char *c_name;  // temporary, once printed
  int print_depth;
  cg_node *next_in_bucket;
};

// An assignable C variable: a register, one element of a register array, or 16 partial results.
typedef struct {
  const char *name;
  ir_ktype type;
  bool vector;
  bool used;   // by anything but its declaration; the others are not printed
  bool inner;  // declared in a `lanes` range or one value a lane: may be set from inside
} cg_slot;

typedef enum {
  CG_FOR,         // for (a = lo; a < hi; a += step) body
  CG_ITEMS,       // of a device: all work items of this team
  CG_EXTENT,      // of a device: the buffer is |value| bytes long
  CG_LANES,       // of a device: body for every |step|th from lo on, or without |name| once
  CG_TILE,        // for (; hi - name >= step; name += step) body
  CG_BLOCKS,      // for (; name + 16 <= hi; name += 16) body
  CG_MASKED_FOR,  // lanes leave the loop one by one
  CG_IF,
  CG_DECLARE,  // slot = value
  CG_COUNTER,  // i64 name = value
  CG_SET,      // slot = value, under |mask|
  CG_STORE,
  CG_PREFETCH,
  CG_MATDOT,
  CG_ARRIVE,  // slot = whether this arrival is number |value|
  CG_FINISH,  // slot = combine(slot, partial)
  CG_BLOCK,   // an operation of block kernels
  CG_COMMENT,
} cg_stmt_kind;

// The operands of an operation of block kernels (ir/kernel_block.h), evaluated.
typedef struct {
  const struct ir_kblock *op;
  cg_slot **c, **a, **b;  // registers
  int c_count, a_count, b_count;
  cg_node *to, *to_request, *from, *from_request, *signal, *value, *condition, *at_a, *at_b;
  cg_node *coords[5];
} cg_block;

struct cg_stmt {
  cg_stmt_kind kind;
  cg_stmt *next;
  cg_node **pre;  // nodes first needed here whose home is the statement's scope
  int pre_count, pre_capacity;
  const char *name;  // loop variable; COMMENT: text
  cg_node *lo, *hi;
  int64_t step;
  bool opaque;    // FOR: hide the count
  bool large;     // FOR, LANES, TILE: a body that a C compiler should not copy
  int registers;  // TILE: lane registers that the body declares
  bool last;      // TILE: the smallest tile, always printed
  cg_slot *slot, *partial;
  ir_kop combine;
  cg_node *value, *mask;
  int buffer;                            // STORE, PREFETCH
  ir_ktype type;                         // STORE, PREFETCH
  cg_node *index, *ramp_step, *request;  // STORE, PREFETCH: to index + lane * ramp_step if that is not null
  const ir_kmatdot *matdot;
  cg_node *at[IR_KM_COUNT];  // MATDOT
  cg_block *block;
  bool lanes;         // STORE: inside a `lanes` range
  bool fence, split;  // a team's threads wait before this statement; between its values and its store
  cg_scope *body, *body2;
};

struct cg_scope {
  cg_scope *parent;
  cg_scope *load_limit;  // outermost scope to which a load may move: it must not run where the kernel would not
  int depth;
  cg_stmt *first, **end;
  bool closed;       // its names are free again
  cg_stmt *current;  // being expanded
};

typedef struct {
  bool used, written;  // with this element type
  const char *view;    // C name of the typed pointer
} cg_access;

typedef struct cg_lanes cg_lanes;  // the `lanes` range being expanded (expand.c)
typedef struct cg_code cg_code;

// How the code is printed.
typedef struct {
  bool device;                  // lanes are threads, not vectors
  int team;                     // of a device: threads that share an item
  const char *const *reserved;  // words that no variable may have, beside those of C; null after the last
  void (*load)(cg_code *c, ir_text *out, const cg_node *node);           // an element as a value, without mask
  void (*fence)(cg_code *c, ir_text *out, int indent);                   // of statements with |fence|
  void (*stmt)(cg_code *c, ir_text *out, const cg_stmt *s, int indent);  // what cg_emit_scope does not print itself
} cg_target;

struct cg_code {
  const cg_target *target;
  weir_arena *arena;
  const ir_kernel *kernel;
  // Of the CPU: one kind of items alone, those from |item_lo| below |item_hi|, which do |body|; null: all, the
  // kernel's.
  const ir_kstmt *body;
  const ir_kexpr *item_lo, *item_hi;
  weir_status status;  // the first failure
  cg_scope *root, *scope;
  const char *size_names[IR_KERNEL_MAX_SIZES];

  cg_node **buckets;  // of |bucket_count|
  int bucket_count;
  cg_node **nodes;  // in order of creation
  int node_count, node_capacity;
  unsigned statement;  // running number, for |once|
  int statement_count;

  cg_node **values;    // by variable id: ranges and values
  cg_slot **slots;     // by variable id: elements of a register
  cg_lanes *lanes;     // null outside
  cg_node *mask;       // active lanes of statements; null: all
  cg_node *rest_mask;  // of the rest of a range: at least one lane
  cg_node *guard;      // the same for loads: |mask| and the conditions of selects around
  bool saw_lanes;      // set by every `lanes` range
  int lane_registers;  // used in the copy that is being expanded

  struct cg_names *names;            // taken C identifiers
  bool emitting;                     // names of the expansion stay taken from now on
  bool *written;                     // by arg: some buffer of it is written
  cg_access (*access)[IR_KT_COUNT];  // by buffer
  bool memory[IR_KT_COUNT];          // element types that vectors touch by mask, step or index
  bool dots;                         // has dot products of bytes or pairs
  bool arrives;                      // has items that count arrivals
  bool matrices;                     // has matdots or asks for a matrix unit
  int matrix_step;                   // of its matdots; 0: none
  struct cg_memo *memo;
  cg_node *me;  // of a team: the thread's number in it
};

// ---- node.c
cg_node *cg_const_int(cg_code *c, ir_ktype type, int64_t value);
cg_node *cg_const_float(cg_code *c, ir_ktype type, double value);
cg_node *cg_size(cg_code *c, int index);
// A variable of |scope|; a new node at every call.
cg_node *cg_name(cg_code *c, const char *name, ir_ktype type, bool vector, cg_scope *scope);
// The value of |slot| now.
cg_node *cg_read(cg_code *c, const cg_slot *slot);
// An operation on operands of any shape: folds, widens to vectors, keeps ramps.
cg_node *cg_op(cg_code *c, int op, ir_ktype type, cg_node *x, cg_node *y, cg_node *z);
// |mask|, scalar or vector, may be null; lanes outside read nothing and give 0.
cg_node *cg_load(cg_code *c, ir_ktype type, int buffer, cg_node *index, cg_node *request, cg_node *mask);
cg_node *cg_ramp(cg_code *c, cg_node *base, cg_node *step);
// |node| as a vector.
cg_node *cg_widen(cg_code *c, cg_node *node);
cg_node *cg_and(cg_code *c, cg_node *x, cg_node *y);  // of masks, null is all
bool cg_is_int(const cg_node *node, int64_t *out);
// Whether nobody writes the buffer while the kernel runs.
bool cg_buffer_is_constant(const cg_code *c, int buffer);
// After expansion: which nodes are used, how often, and which need a name.
void cg_count_uses(cg_code *c);
void cg_fail(cg_code *c, weir_code code, const char *fmt, ...) WEIR_PRINTF(3, 4);

// ---- node_fold.c: the simpler node of an operation on scalars, or null. i64 sums come out as ordered sums of
// products.
cg_node *cg_fold(cg_code *c, int op, ir_ktype type, cg_node *x, cg_node *y, cg_node *z);
cg_node *cg_fold_ramp(cg_code *c, int op, ir_ktype type, cg_node *x, cg_node *y);
// An operation without folding.
cg_node *cg_raw(cg_code *c, int op, ir_ktype type, bool vector, cg_node *x, cg_node *y, cg_node *z);

// ---- expand.c
// |c->status| tells of failure.
void cg_expand(cg_code *c);
// ---- expand_expr.c
cg_node *cg_expr(cg_code *c, const ir_kexpr *expr);
cg_slot *cg_slot_find(cg_code *c, const ir_kvar *var, int index_count, const ir_kexpr *const *indices);
void cg_memo_clear(cg_code *c);
// ---- names.c: a C identifier like |name| that nothing visible from |scope| has.
const char *cg_unique(cg_code *c, const char *name, cg_scope *scope);
// ---- emit_scope.c: statements, each behind the temporaries it is the first to need
void cg_emit_scope(cg_code *c, ir_text *out, cg_scope *scope, int indent);
void cg_emit_line(ir_text *out, int indent);
// " { body }", and the third part of a for.
void cg_emit_body(cg_code *c, ir_text *out, cg_scope *body, int indent);
void cg_emit_step(ir_text *out, const char *name, int64_t step);
// Literal data of a buffer as an initializer.
void cg_emit_data(ir_text *out, const ir_kbuffer *buffer);
// ---- emit_expr.c
void cg_emit_expr(cg_code *c, ir_text *out, cg_node *node);
// "x + index", or "x[index]" as an element, of a view of the CPU.
void cg_emit_place(cg_code *c, ir_text *out, int buffer, ir_ktype type, cg_node *request, cg_node *index, bool element);
void cg_emit_float(ir_text *out, ir_ktype type, double value);
char cg_rep(ir_ktype type);  // f d i u l m
const char *cg_c_type(ir_ktype type, bool vector);
const char *cg_memory_type(ir_ktype type);  // C type of an element in memory
ir_ktype cg_base_type(ir_ktype type);       // what a narrow type lives in: f32 f64 i32 u32 i64 bool

#endif
