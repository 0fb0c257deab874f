// Shared by the files that make programs, program*.c, alone: program.c unrolls lowered functions, program_sizes.c says
// what counts and sizes are over the program's sizes, program_cost.c what launches cost, program_interface.c makes
// inputs, outputs, states and weights, program_launch.c launches, loops, and the memory that they use.
#ifndef WEIR_CODEGEN_LOWER_PROGRAM_H
#define WEIR_CODEGEN_LOWER_PROGRAM_H

#include "codegen/lower/internal.h"
#include "codegen/lower/memory.h"

typedef struct {
  rt_arg_kind kind;
  int index;
} location;

typedef struct {
  ir_dim rows;
  double theta;
  int rotary;
  int buffer;
} rope_entry;

typedef struct {
  ir_dim rows;
  int64_t per_row;
  int number, buffer;
} counters_entry;

typedef struct {
  bool read, written;  // since the last sync
  bool guarded;        // the write was by a guarded launch
} hazard;

// Phases of a loop, both included.
typedef struct {
  int first, last;
} span_loop;

typedef struct {
  lowering *low;
  const ir_function *entry;
  rt_program *program;
  int capacity_kernels, capacity_launches, capacity_buffers, capacity_weights;
  int *kernel_of;             // program's kernel of each module kernel, -1
  const ir_symbol **symbols;  // of the program's symbols
  ir_dim *volumes;            // of the program's volumes
  int volume_capacity, volume_dim_capacity, size_capacity;
  const ir_dim *map;  // what the symbols of the function being unrolled stand for; null entries: themselves
  memory_buffer *memory;
  int memory_count, memory_capacity;
  rope_entry *ropes;
  int rope_count, rope_capacity;
  counters_entry *counters;
  int counters_count, counters_capacity;
  int loops[RT_MAX_LOOP_DEPTH], loop_phases[RT_MAX_LOOP_DEPTH];  // those open: the program's, and where they began
  int depth, loop_base, loop_capacity;
  int loop_sizes[RT_MAX_LOOP_DEPTH];  // by depth; 0: none yet
  bool order;                         // the next launch waits for everything before
  hazard *buffers, *states, *outputs;
  int hazard_capacity;
  cg_weight *weights;  // of the program's
  int weight_room;
  span_loop *spans;  // inner loops before outer ones
  int span_count, span_capacity;
  int phase;
} builder;

// ---- program_sizes.c

// The program's symbols and their sizes: the dims that a call says, and those that states bring.
void cg_program_add_symbols(builder *p);
int cg_program_add_size(builder *p, const char *name);
// Index of |symbol| among the program's, -1.
int cg_program_symbol(const builder *p, const ir_symbol *symbol);
// |dim| of the function being unrolled, in the entry's symbols.
ir_dim cg_program_dim_of(const builder *p, ir_dim dim);
// |dim| of the entry over its symbols (the form of interfaces) or over the program's sizes; false where no input says
// it.
bool cg_program_dim_expr(const builder *p, ir_dim dim, bool symbols, rt_expr *out);
// The symbol, or symbol_count + the volume, that counts |dim| (of the entry); -1 if no input says what it is.
int cg_program_rows(builder *p, ir_dim dim);
// A size over the program's sizes; false where no input says what it is.
bool cg_program_size(builder *p, size_kind kind, ir_dim dim, rt_expr *out);
// A kernel's size expression in terms of the program's sizes, given those of its launch.
rt_expr cg_program_size_expr(builder *p, const rt_expr *dims, const ir_kexpr *expr);
// Fills in what an item of |launch| costs, whose dims are there.
void cg_program_cost(builder *p, const ir_kernel *kernel, rt_launch *launch);
// Whether |dim| of a state counts rows that |symbol| has had before.
bool cg_program_rows_before(ir_dim dim, const ir_symbol *symbol);
// The result that gives state |param| its new value; null if none.
const ir_result *cg_program_new_value(const ir_function *entry, const ir_param *param);

// ---- program_interface.c

weir_status cg_program_bind_params(builder *p, cg_weight_format *formats, location *params);
weir_status cg_program_bind_results(builder *p, const location *params, location *results);
// The weights of a STACK slot as one weight.
// A weight once more, in rows.
weir_status cg_program_rows_of(builder *p, const lowered *fn, const slot *s, const location *at, location *out);
weir_status cg_program_stack(builder *p, const lowered *fn, const slot *s, const location *at, location *out);
// Drops the weights that no launch reads, and hands the others to the package.
void cg_program_keep_weights(builder *p);

// ---- block/pick.c: for devices of thread blocks, the kernel that chooses tokens behind a step (runtime/exec/pick.h).
weir_status cg_make_pick(weir_arena *arena, ir_kernel **out_kernel);
weir_status cg_program_add_pick(builder *p);

// ---- program_launch.c

// Index of a kernel of the module among the program's.
int cg_program_kernel(builder *p, int kernel);

weir_status cg_program_launch(builder *p, const item *it, const location *at, const char *note);
// Memory of a TEMP slot.
weir_status cg_program_temp(builder *p, const lowered *fn, const value_shape *shape, const char *name, location *out);
// Memory of a PARTS slot.
weir_status cg_program_parts(builder *p, const lowered *fn, const slot *s, location *out);
// A table of |rows|, a dim of the function being unrolled.
weir_status cg_program_table(builder *p, rt_arg_kind table, ir_dim rows, location *out);
// Memory of a ROPE slot, and the launch that fills it.
weir_status cg_program_rope_table(builder *p, const slot *at, location *out);
// Memory of a COUNTERS slot, and the launch that clears it.
weir_status cg_program_counters(builder *p, const slot *at, location *out);
// The first launch of an iteration waits for the one before, and the first behind the loop for all of it, also where
// there was no iteration.
weir_status cg_program_begin_loop(builder *p, const lowered *fn, const item *it, const location *at);
void cg_program_end_loop(builder *p);
// What lives into a loop, or out of it, lives as long as it runs.
void cg_program_extend_lives(builder *p);

#endif
