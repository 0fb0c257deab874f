// What the files of this folder share: models, calls and executors as they are in memory.
//
// A call goes through five stages, each in a file: request.c reads what the requests say, plan.c turns it into sizes
// and bytes, bind.c places tables and resolves launches, the device runs them (launch.c: on the host), executor.c holds
// the whole together.
#ifndef WEIR_RUNTIME_EXEC_EXEC_INTERNAL_H
#define WEIR_RUNTIME_EXEC_EXEC_INTERNAL_H

#include <stdatomic.h>

#include "runtime/exec/device.h"
#include "runtime/exec/model.h"
#include "runtime/exec/pick.h"

enum {
  RT_MAX_SYMBOLS = 64,                              // of one program; more are refused when a model is made
  RT_MAX_VOLUMES = 64,                              // likewise
  RT_MAX_VALUES = 2 * RT_MAX_SYMBOLS,               // a request's symbols, then their rows before the call
  RT_MAX_TABLES = RT_MAX_SYMBOLS + RT_MAX_VOLUMES,  // symbols, then volumes
  RT_MAX_SIZES = 448,
  RT_SLACK_BYTES = 64,  // behind every block: kernels may read a whole vector that begins inside
};

// ---- models

// A state of the model's sessions: of all step entries that name its path.
typedef struct {
  const char *path;
  rt_dtype dtype;
  bool rows, whole;
  int growing;        // rows that are not whole: index into the model's growing symbols
  int64_t row_bytes;  // of one row, or of the block
  bool panel;         // rows: in panels
  int64_t window;
  double initial;
  bool unset;
  bool follows;  // fixed: a step with rows writes it, so that it cannot go back with them
} rt_model_state;

// A symbol whose rows add up in sessions.
typedef struct {
  const char *name;
  int64_t hi;
  bool keeps_all;  // some state keeps every row
} rt_growing;

// Which tables of a symbol some launch reads: bits by argument kind.
enum { RT_TABLE_STARTS = 1, RT_TABLE_REQUESTS = 2, RT_TABLE_POSITIONS = 4, RT_TABLE_PAST = 8 };

struct weir_entry {
  weir_model *model;
  const rt_program *program;
  int size_requests;         // index of the size R
  rt_kernel_entry *kernels;  // one for each of the program's
  const void **weights;      // likewise
  const char **input_dims;   // text
  const char **output_dims;
  int *states;                  // step: the model's state of each of the program's
  int growing[RT_MAX_SYMBOLS];  // step: index into the model's growing symbols, else -1
  unsigned tables[RT_MAX_TABLES];
  int64_t weight_bytes;
  int64_t scratch_bytes;  // of one thread, with slack
};

struct weir_model {
  atomic_int references;
  weir_pool pool;  // everything but this struct
  const weir_allocator *allocator;
  const char *name, *isa;
  weir_hash identity;
  rt_device host;     // unless the parts name another:
  rt_device *device;  // where weights, states and executors are
  rt_queue *queue;    // of the sessions' copies
  rt_kernel_provider provider;
  void *weight_context;
  void (*destroy_weights)(void *context);
  weir_entry *entries;
  int entry_count;
  rt_model_state *states;
  int state_count;
  rt_growing *growing;
  int growing_count;
};

// "T, 576" in |buffer|; dims of an interface tensor over the program's symbols. Cut short with "..." where it does not
// fit.
void rt_dims_text(const rt_program *program, const rt_tensor *tensor, char *buffer, size_t bytes);

// ---- what a call asks for

// Sums over the requests; index: symbol of the program, or symbol_count + volume.
typedef struct {
  int requests;
  int64_t rows[RT_MAX_TABLES];       // of all requests; plain symbols: the common value
  int64_t most[RT_MAX_TABLES];       // of one request
  int64_t all_most[RT_MAX_SYMBOLS];  // of one request, earlier calls included
  int64_t session_bytes;             // step: of the sessions' states after the call
} rt_totals;

// A request's values of the program's symbols, and behind them the rows before this call of each (RT_MAX_VALUES).
// INVALID_ARGUMENT: number, types or shapes of inputs; symbols out of bounds. |past| may be null (none).
weir_status rt_request_bind(const weir_entry *entry, const weir_request *request, int index, const int64_t *past,
                            int64_t *out_values) WEIR_MUST_USE;
// Bounds and divisors of the values alone.
weir_status rt_values_check(const weir_entry *entry, int index, const int64_t *values,
                            const int64_t *past) WEIR_MUST_USE;
// Every element of integer inputs is in its range.
weir_status rt_request_check_elements(const weir_entry *entry, const weir_request *request, int index,
                                      const int64_t *values) WEIR_MUST_USE;
// Fills in type and shape of the outputs; with |room|, they must have memory for them.
weir_status rt_request_outputs(const weir_entry *entry, weir_request *request, int index, const int64_t *values,
                               bool room) WEIR_MUST_USE;
// Bytes of |tensor| for one request. OUT_OF_RANGE on overflow. |out_shape| may be null.
weir_status rt_tensor_request_bytes(const rt_tensor *tensor, const int64_t *values, int64_t *out_shape,
                                    int64_t *out_bytes) WEIR_MUST_USE;

// Adds a request to the totals. INVALID_ARGUMENT: plain symbols differ; OUT_OF_RANGE: more rows than tables can number.
weir_status rt_totals_add(const weir_entry *entry, rt_totals *totals, const int64_t *values,
                          const int64_t *past) WEIR_MUST_USE;

// ---- what a call needs

typedef struct {
  int64_t sizes[RT_MAX_SIZES];
  int64_t arena_bytes;
  int64_t table_bytes;
  int64_t packing_bytes;
  int64_t state_bytes;  // of states that only live in the call
} rt_need;

weir_status rt_plan_call(const weir_entry *entry, const rt_totals *totals, rt_need *out_need) WEIR_MUST_USE;
// Sets the total; false on overflow.
bool rt_memory_total(weir_memory *memory);

// ---- executors

enum { RT_GRID_VARIES = 1 << RT_MAX_DIMS };

typedef struct {
  rt_kernel_entry kernel;
  void **args;
  int64_t *dims;
  int64_t grid;
  int64_t flops, bytes;  // of an item; both 0: unknown
  int64_t chunk;         // items of a chunk
  int first;             // number of its first chunk in its phase
  // Of the first record of a phase: how many records it has, how many chunks (0: one thread does it), how many of them
  // a thread takes at a time.
  int count, chunks, most;
  int launch;
  unsigned varies;  // what changes with a loop around it: bits of the dims, RT_GRID_VARIES
  bool sync;        // everything before must be finished
  int time;         // where its time is noted; -1: nowhere yet
} rt_record;

// A loop over records |first|..|end|, in the order of the program's loops.
typedef struct {
  int first, end;
  rt_expr trips;
  int size;
  const uint8_t *flags;  // of |requests| requests, in the device's memory; null: none
} rt_bound_loop;

// An expression whose value goes to a place on every call.
typedef struct {
  rt_expr expr;
  int64_t *place;
} rt_varying;

// A pointer argument that depends on the call.
typedef struct {
  rt_arg arg;
  void **place;
} rt_pointer;

// An entry in an executor: launch records with their constant parts filled in.
typedef struct rt_bound {
  const weir_entry *entry;
  rt_record *records;  // of the launches that run in this call, first |record_count|
  int record_count;
  void ***launch_args;  // of each launch
  int64_t **launch_dims;
  unsigned *launch_varies;
  rt_varying *varying;  // dims
  int varying_count;
  rt_pointer *pointers;
  int pointer_count;
  rt_bound_loop *loops;  // those of the program's that have records
  int loop_count;
  int requests;
  const int64_t *sizes;  // of the call
} rt_bound;

// Memory of an executor. |data| is where kernels find it, |host| where the process does: the same on the host, null
// where the process has nothing to do with it.
typedef struct {
  uint8_t *data, *host;
  size_t bytes;
} rt_block;

struct weir_executor {
  weir_model *model;
  weir_pool pool;
  rt_queue *queue;
  bool no_growth;
  atomic_int busy;
  rt_bound *bound;  // of each entry
  rt_block arena, tables, packing, states, picks;
  weir_memory measured;
  // Of the current call, room for the largest entry. What the process writes or reads is at its own addresses here.
  uint8_t **buffers;
  int64_t *buffer_ends;
  void **inputs, **outputs;
  int64_t *input_bytes, *output_bytes;  // of all requests
  bool *input_packed, *output_packed;   // gathered into, scattered from |packing|
  int64_t inputs_end;                   // of |packing| so many bytes are for inputs
  void ***state_tables;
  int32_t *starts[RT_MAX_TABLES], *requests[RT_MAX_TABLES], *positions[RT_MAX_SYMBOLS], *past[RT_MAX_SYMBOLS];
};

// Makes every block at least as large as |need| says. OUT_OF_MEMORY leaves the executor as it was, or with some blocks
// larger.
weir_status rt_executor_grow(weir_executor *executor, const rt_need *need) WEIR_MUST_USE;
// Places tables, packs inputs, sends both to the device, resolves every launch, and counts |executor->measured| but for
// the states. The executor's blocks must be large enough for |need|.
weir_status rt_bind_call(weir_executor *executor, rt_bound *bound, weir_request *requests, const rt_totals *totals,
                         const rt_need *need) WEIR_MUST_USE;
// Fetches outputs from a device with memory apart, behind the launches; waits for both.
weir_status rt_fetch_outputs(weir_executor *executor, const weir_entry *entry) WEIR_MUST_USE;
// Copies packed outputs to the requests' memory.
void rt_unpack_outputs(weir_executor *executor, const weir_entry *entry, const weir_request *requests,
                       int request_count);

// Makes |block| at least |bytes| large; what is in it is lost if it grows. |met|: the process reads or writes it too.
weir_status rt_block_grow(weir_executor *executor, rt_block *block, int64_t bytes, bool met) WEIR_MUST_USE;

// ---- pick.c: launches the kernel of pick.h behind the call's launches and waits for what it says.
weir_status rt_pick_launch(weir_executor *executor, const weir_entry *entry, int count, rt_pick *picks) WEIR_MUST_USE;

// Items of the launch; 0 where its guard is closed. False where guard or grid have no valid value.
bool rt_launch_items(const rt_launch *launch, const int64_t *sizes, int64_t *out_items);

#endif
