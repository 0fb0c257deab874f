// Shared by the schedules of products with packed matrices: linear.c multiplies in float32, linear_dot.c with dot
// products of bytes or of pairs of bfloat16. What they have in common is the item (a block of columns for a chunk of
// rows), where its operands are, and what happens to a finished sum.
#ifndef WEIR_CODEGEN_LOWER_LINEAR_INTERNAL_H
#define WEIR_CODEGEN_LOWER_LINEAR_INTERNAL_H

#include "codegen/lower/internal.h"

enum {
  CG_CHUNK_ROWS = 96,  // rows of a work item
  CG_TILE_ROWS = 12,   // even chunks are multiples of it
  CG_MAX_PANELS = 4,   // of a work item, of all matrices together
};

// A product of a launch: one matrix, or two whose elements meet in one epilogue.
typedef struct {
  ir_value *root;
  ir_node *linears[2];
  int matrices;
  row_tail tail;  // |value| null: what cg_tail_of says
} linear_part;

enum { CG_MAX_PARTS = 4 };

// Which products share the launch of |parts|[0]: fills in the others and returns how many there are (linear_join.c).
int cg_linear_join(function_lowering *fl, linear_part *parts);
weir_status cg_lower_linear_float(function_lowering *fl, const linear_part *parts, int count);
weir_status cg_lower_linear_dot(function_lowering *fl, const linear_part *parts, int count);

typedef struct {
  emitter e;
  function_lowering *fl;
  ir_value *root;
  ir_node *const *linears;
  int matrices, panels;  // per item and matrix
  weir_storage storage;
  int64_t cols, outs;       // inputs, outputs of a matrix
  const ir_kexpr *leading;  // rows of x per row of the domain
  const ir_kexpr *rows;     // leading * rows of the domain
  const ir_kexpr *column;   // first output of the item
  const ir_kexpr *lo, *hi;  // rows of the item
  const ir_kexpr *lane;
  int most_rows;         // of an item: even chunks of at most so many; 0: chunks of CG_CHUNK_ROWS
  bool spread;           // the panels of an item stand as far apart as they can, else side by side
  ir_value *domain;      // whose rows are the product's: the root, or what the root turns (linear_rope.c)
  int half, run;         // rope: panels of half a head, 0 where the root is none; panels of an item side by side
  const row_tail *tail;  // null: none
  const ir_kexpr *chunk, *chunks;         // rows of an item; how many items have the same columns
  const ir_kexpr *begin_item, *end_item;  // its items in the launch
  // inside a tile
  const ir_kexpr *first, *tile;
  ir_kvar *acc[2];
  int slab;  // LOCAL buffers
  int sums;
  const ir_kexpr *slab_start;
} linear_kernel;

// The kernel alone, with |leading| and |rows|, for who cuts items otherwise (block/linear.c).
void cg_linear_open(linear_kernel *k, const char *name, const char *banner);
// Closes it; runs where |guard_lo| <= rows < |guard_hi|, always where |guard_hi| is 0.
weir_status cg_linear_finish(linear_kernel *k, int64_t guard_lo, int64_t guard_hi);

// The products of a launch, whose bodies stand between cg_linear_open_part and cg_linear_close_part, one behind the
// other.
typedef struct {
  emitter e;  // between parts; an open one has it
  linear_kernel *parts[CG_MAX_PARTS];
  int count, opened;
  const ir_kexpr *item;
} linear_launch;

// What is known of a part from its root: all that cg_linear_begin needs but panels and rows of an item.
void cg_linear_init(linear_kernel *k, function_lowering *fl, const linear_part *part);
// Opens the kernel and its grid, over all parts. |name|, |banner|: of the first.
void cg_linear_begin(linear_launch *launch, const char *name, const char *banner);
void cg_linear_open_part(linear_launch *launch, linear_kernel *k);
void cg_linear_close_part(linear_launch *launch, linear_kernel *k);
// Closes it, with the guard of cg_linear_finish.
weir_status cg_linear_finish_launch(linear_launch *launch, int64_t guard_lo, int64_t guard_hi);
// Local memory; parts have that of one name in common.
int cg_linear_local(linear_kernel *k, const char *name, int64_t bytes);
// Panels of a matrix for an item: at most |wanted|, a divisor of all.
int cg_linear_panels(int64_t outs, int wanted);
// The name of products of |count| matrices [outs, inputs] for choices among schedules; |compute| "" for float32.
const char *cg_linear_key(function_lowering *fl, weir_storage storage, const char *compute, int count,
                          const ir_type *matrix);

// Indices along all axes but the last for row |m| of the flattened rows; makes it the current row.
void cg_linear_row(linear_kernel *k, const ir_kexpr *m, const ir_kexpr **idx);
// The matrices' buffers and panels, panel by panel; returns how many.
int cg_linear_operands(linear_kernel *k, cg_panel_operand *out);

// The first output of panel |panel| of the item.
const ir_kexpr *cg_linear_column(linear_kernel *k, const ir_kexpr *panel);

// ---- linear_rope.c: which panels an item has, and rotary positions as its epilogue
// What follows from the root, once outs, panels and spread are chosen: rope may take other panels.
void cg_linear_fit_root(linear_kernel *k);
const char *cg_linear_suffix(const linear_kernel *k);  // of the kernel's name: many matrices, or rope
// Whether sums must be in local memory before they are stored, for another reason than many matrices.
bool cg_linear_meets_in_memory(const linear_kernel *k);
// Panel |p| of an item counted from its first; the first panel of item |block|.
const ir_kexpr *cg_linear_panel(linear_kernel *k, const ir_kexpr *p);
const ir_kexpr *cg_linear_first_panel(linear_kernel *k, const ir_kexpr *block);
// Turns a pair and stores it: outputs |n| and n + |half| panels of row |m|, whose sums are |sums|.
void cg_linear_store_pair(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *const *sums);
// Turns and stores the sums of the chunk.
void cg_linear_store_turned(linear_kernel *k);

// Tiles of rows, the lanes range and the registers of a tile: |acc|[matrix] has [heights[0], panels].
int cg_linear_heights(int vectors, int limit, int *out);
void cg_linear_open_tile(linear_kernel *k, const int *heights, int count);
void cg_linear_close_tile(linear_kernel *k);

// Stores the epilogue of row |m|, column |n|, with the products' values as given.
void cg_linear_store_row(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *const *sums);
// The same of all of the tile's registers.
void cg_linear_store_registers(linear_kernel *k);
// Sums in local memory: [row of the chunk][matrix][panel][lane]; |vector| counts matrices and panels. Registers from
// there or to there, and the epilogue of the whole chunk; the last panel may have fewer columns than lanes.
void cg_linear_add_sums(linear_kernel *k);
const ir_kexpr *cg_linear_sum_index(linear_kernel *k, const ir_kexpr *row, const ir_kexpr *vector,
                                    const ir_kexpr *lane);
void cg_linear_clear_sums(linear_kernel *k);
void cg_linear_spill(linear_kernel *k, bool load);
void cg_linear_store_sums(linear_kernel *k);

// ---- linear_dot.c: rows packed by pack.c
// The place of element |at| of row |m| of |value|, one of the packed temporaries, and the element there.
const ir_kexpr *cg_linear_packed_place(linear_kernel *k, ir_value *value, const ir_kexpr *m, const ir_kexpr *at);
const ir_kexpr *cg_linear_packed(linear_kernel *k, ir_value *value, ir_ktype type, const ir_kexpr *m,
                                 const ir_kexpr *at);

// linear_int8_row.c: tiles of products of bytes with one scale for each row of both sides.
void cg_linear_int8_row(linear_kernel *k, const packed_rows *x, const int *heights, int count);
// The scale of each lane of the operands, into |out|; stands in a lanes range.
void cg_linear_row_scales(linear_kernel *k, const cg_panel_operand *operands, int count, const ir_kexpr **out);
// The element that an integer |sum|, from -128 times the codes of its row on, stands for.
const ir_kexpr *cg_linear_row_total(linear_kernel *k, const ir_kexpr *sum, const ir_kexpr *weight_scale,
                                    const ir_kexpr *scale);

// linear_matrix.c: the product by a matrix unit, from rows packed as |x|, with the epilogue of all rows of the item.
// Stands in the first branch of an `if` of the level and leaves the second open, for the schedule without a unit.
// False, with nothing emitted, where the packed rows do not lie one behind the other.
bool cg_linear_matrix(linear_kernel *k, const cg_weight_format *format, const packed_rows *x);

#endif
