// Index notation, shared by the files elab_index*.c alone.
//
// A statement (or a reducer that stands outside of one) is elaborated in two moves. First its text is evaluated by the
// ordinary evaluator inside of scratch regions: an index is an i32[] parameter, `x[i, j]` an `element`, a reducer a
// `fold` with a region of its own; so functions, casts and `select` need nothing special. Every subscript is proved in
// range right then, under the guards that are open. Then the finished scalar is emitted where the statement stands:
// as ordinary ops over whole tensors where its structure allows it, else as one `map` (docs/design/regions.md). The
// scratch regions are left behind without an owner and dropped with the module's other orphans.
#ifndef WEIR_COMPILER_LANG_ELAB_INDEX_H
#define WEIR_COMPILER_LANG_ELAB_INDEX_H

#include "compiler/lang/elab_impl.h"
#include "ir/prove.h"

// An index. Its values in the text are low .. low + size - 1; |param| counts from 0 to size - 1.
typedef struct {
  const char *name;  // as written; "_" for a dim that the text leaves out
  lang_span span;
  ir_dim low, size;
  const char *label;  // how the text calls the size, or null
  ir_value *param;
  ir_dim variable;  // of the prover: |param|
  int order;        // indices of the result first, then those it leaves out, then those of reducers
} lang_ix;
// Of the dims of a row that a chosen block takes; they never meet the dims that the statement leaves out.
enum { LANG_IX_WHOLE = 1000, LANG_IX_REDUCER = 2000, LANG_IX_ROWS = 1 << 20 };

// A value that the prover knows as one unknown.
typedef struct {
  const ir_value *value;
  ir_dim variable;
} lang_ix_unknown;

typedef struct lang_index_scope {
  struct lang_index_scope *outer;
  lang_region *root;
  LANG_LIST(lang_region *) regions;  // scratch: |root| and those of the reducers
  LANG_LIST(lang_ix *) indices;
  LANG_LIST(lang_ix *) visible;  // those that can be named where we are, the innermost last
  LANG_LIST(lang_ix *) foreign;  // variables of scans around the statement, as the prover knows them
  lang_ix *whole[IR_MAX_RANK];   // for dims that the text leaves out, counted from the last
  int whole_count;
  ir_prover *prover;
  LANG_LIST(lang_ix_unknown) unknowns;
  LANG_LIST(lang_tensor_value *) positions;  // pos(T) of dims that were asked for
  const ir_symbol *latest;                   // some value of it is a latest one
  int subscript;                             // inside of so many subscripts
} lang_index_scope;

// ---- elab_index_scope.c
bool lang_index_is_param(const ir_value *value, const lang_region *region);
// An index of the text whose parameter is made in |region|.
lang_ix *lang_index_add(lang_frame *frame, lang_region *region, const char *name, lang_span span, ir_dim low,
                        ir_dim size, const char *label);
// The index that stands for dim |slot| (from the last) of those that the text leaves out; null after a report.
lang_ix *lang_index_whole(lang_frame *frame, int slot, ir_dim size, const char *label, lang_span span);
// The index whose parameter |value| is, seen from whichever region; null if it is none.
lang_ix *lang_index_of(const lang_index_scope *scope, ir_value *value);
// A value with an |index| as the scope knows it: one of its own or the variable of a scan.
lang_ix *lang_index_known(lang_frame *frame, lang_tensor_value *tensor);
// What |value| stands for outside of the region it is a parameter of; itself if it is none.
ir_value *lang_index_origin(const lang_index_scope *scope, ir_value *value);
// Whether |value| exists in a scratch region only.
bool lang_index_inner(const lang_index_scope *scope, const ir_value *value);

// ---- elab_index_range.c: which dim a bare subscript runs over
// Looks for |name| as a bare subscript in |expr|, but not below a reducer that binds it too. The dim goes to |*out|,
// which stays null if there is none. False after a report: two dims.
bool lang_index_find_range(lang_frame *frame, const lang_name *name, const lang_expr *expr, ir_dim *out,
                           const char **out_label);

// ---- elab_index_prove.c
void lang_index_assume(lang_frame *frame, lang_index_scope *scope, ir_value *guard);
// Whether 0 <= value < size; else |*out_missing| is the fact that was not found.
bool lang_index_inside(lang_frame *frame, lang_index_scope *scope, ir_value *value, ir_dim size,
                       const char **out_missing);
// The position of |ix| in its whole sequence.
ir_dim lang_index_position(lang_index_scope *scope, ir_dim_table *dims, const lang_ix *ix);
// value = ix + offset, with an offset that is a number of the module: "3", "T - 1". |*out_ix| is null for a number
// alone. False for anything else.
bool lang_index_linear(const lang_index_scope *scope, ir_dim_table *dims, ir_value *value, lang_ix **out_ix,
                       ir_dim *out_offset);

// ---- elab_index_element.c
// A subscript of a dim of |dim|, proved, as an i32 in the region where we are; null after a report.
ir_value *lang_index_subscript(lang_frame *frame, lang_value v, ir_dim dim, lang_span span);
// A tensor as an element: its dims are those that the text leaves out.
lang_tensor_value *lang_index_scalar(lang_frame *frame, lang_tensor_value *x, lang_span span);
// |x| at the indices |given|, one for each of its first dims; the others are dims that the text leaves out.
lang_value lang_index_row(lang_frame *frame, lang_tensor_value *x, lang_ix *const *given, int count, lang_span span);
// The roles of a reducer's index, its guards being assumed.
void lang_index_reduce_role(lang_frame *frame, const lang_ix *ix, const char *what, lang_span span);

// ---- elab_index_emit.c
// A tensor over |axes|: the scalar |value| for all their values.
typedef struct {
  ir_value *value;  // null while only looking
  int rank;
  lang_ix *axes[IR_MAX_RANK];
} lang_vec;
typedef struct {
  const ir_value *value;  // null: free
  bool dry, ok;
  lang_vec vec;
} lang_emitted;
typedef struct {
  lang_frame *frame;
  lang_index_scope *scope;
  lang_span span;
  bool dry;               // only looking: nothing is built
  lang_ix *replaced;      // this index stands
  ir_value *replacement;  // for this value
  int depth;
  lang_emitted *done;  // open addressing by value
  int done_count, done_capacity;
} lang_emit;
// The scalar as a tensor by ordinary ops. False if its structure needs a map.
bool lang_emit_vec(lang_emit *m, ir_value *value, lang_vec *out);
// The same looked at first, so that nothing is left behind where it fails.
bool lang_emit_try(lang_emit *m, ir_value *value, lang_vec *out);
// A tensor over |axes| in that order, by ops or else by a map. Null after a report.
ir_value *lang_emit_tensor(lang_emit *m, ir_value *value, lang_ix *const *axes, int count);
// Brings |x| to |axes|, which contain its own.
bool lang_emit_align(lang_emit *m, lang_vec *x, lang_ix *const *axes, int count);
ir_value *lang_emit_op(lang_emit *m, ir_op op, ir_value *const *operands, int count, const ir_attr *attrs,
                       int attr_count);
ir_value *lang_emit_reshape(lang_emit *m, ir_value *x, const ir_dim *dims, int rank);
ir_value *lang_emit_permute(lang_emit *m, ir_value *x, const int *perm, int rank);
bool lang_emit_union(const lang_vec *parts, int count, lang_vec *out);
// Adds the indices that |value| depends on, but not those of |without|, to |out|, in their order.
bool lang_emit_depends(const lang_emit *m, ir_value *value, const lang_vec *without, lang_vec *out);
int lang_vec_axis(const lang_vec *x, const lang_ix *ix);

// ---- elab_index_fold.c: reducers as products, reductions, scatter
bool lang_emit_fold(lang_emit *m, ir_node *fold, lang_vec *out);

// ---- elab_index_map.c: what is left
ir_value *lang_emit_map(lang_emit *m, ir_value *value, lang_ix *const *axes, int count);
// |value| of the body of |fold| where its guard holds, else 0, as a tensor over |axes|, which have the fold's indices.
ir_value *lang_emit_guarded(lang_emit *m, const ir_node *fold, ir_value *value, lang_ix *const *axes, int count);

#endif
