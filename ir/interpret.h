// The inside of the interpreter, shared by interpret.c (functions, nodes), interpret_args.c (sizes from arguments) and
// interpret_region.c (what runs a region many times).
//
// A frame is one function with the sizes of its symbols. A region's frame is made once and run for every index: its
// cells are filled anew each time. Nothing here is part of the library's interface.
#ifndef WEIR_IR_INTERPRET_H
#define WEIR_IR_INTERPRET_H

#include "ir/graph.h"

typedef struct {
  ir_tensor tensor;
  double scalar;  // the element of a scalar that an op made
  const ir_node *last_user;
  bool owned, kept;
} ir_cell;

typedef struct {
  const ir_function *function;
  int64_t *sizes;  // by symbol; borrowed
  ir_cell *cells;  // by value id
} ir_frame;

// Plans the frame. On failure nothing is owned; else ir_frame_end frees what it holds.
weir_status ir_frame_start(ir_frame *f, const ir_function *function, int64_t *sizes);
void ir_frame_end(ir_frame *f);
// Borrows the tensors of the arguments until the next call.
void ir_frame_bind(ir_frame *f, const ir_tensor *args);
weir_status ir_frame_run(ir_frame *f);
weir_status ir_frame_run_node(ir_frame *f, const ir_node *node);
void ir_frame_clear(ir_frame *f);  // frees what the last run made
// Moves result |index| out; its data is malloc'ed.
weir_status ir_frame_take(ir_frame *f, int index, ir_tensor *out);
const ir_tensor *ir_frame_result(const ir_frame *f, int index);

weir_status ir_frame_size(const ir_frame *f, ir_dim dim, int64_t *out);
// Fills in dtype and dims and allocates.
weir_status ir_frame_tensor(const ir_frame *f, const ir_type *type, ir_tensor *out);
// |args| are borrowed; the data of |results| is malloc'ed (also on failure, where not null).
weir_status ir_run_function(const ir_function *function, int64_t *sizes, const ir_tensor *args, ir_tensor *results);
// The node of an op that takes functions, call excepted.
weir_status ir_run_region(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results);
// Sizes of the callee's symbols, as many as the module has, under the caller's frame and |map|.
weir_status ir_callee_sizes(const ir_frame *f, const ir_dim *map, int count, int64_t *sizes);
// OUT_OF_RANGE where an index of the element node lies outside.
weir_status ir_check_element(const ir_frame *f, const ir_node *node, const ir_tensor *operands);

// |sizes| and |bound| are zeroed and have an entry for each symbol.
weir_status ir_bind_args(const ir_function *function, const ir_interpret_options *options, const ir_tensor *args,
                         int64_t *sizes, bool *bound);

#endif
