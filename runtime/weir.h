// Weir's runtime: load a package, run its entries. The one public header; it needs neither the compiler nor a C
// compiler.
//
// weir_model is a loaded package: entries, weights, code. Immutable; any number of threads may use it.
//
// weir_executor has the threads and the memory to run a model's entries. One call at a time; several executors of one
// model run side by side.
//
// weir_session is what a model remembers of one sequence between steps. One call at a time; any executor of its model
// may step it.
//
// Failures are statuses (runtime/base/status.h), owned by the caller. INVALID_ARGUMENT names the input, the request and
// the element that is wrong; a call that fails has changed nothing. Nothing here prints, exits, raises signals or keeps
// global state. Text that is returned lives as long as the model. Models are counted: executors and sessions keep
// theirs alive; weir_model_release may come first.
//
// Memory comes from the allocator given at load. Running allocates nothing as long as it stays within what weir_reserve
// made room for; only a step that replaces rows of a session as a whole takes room for more of them than before.
#ifndef WEIR_RUNTIME_WEIR_H
#define WEIR_RUNTIME_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/alloc.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_model weir_model;
typedef struct weir_entry weir_entry;
typedef struct weir_executor weir_executor;
typedef struct weir_session weir_session;

// ---- models

typedef struct {
  // Null or "cpu"; "cuda", "cuda:N": a GPU of NVIDIA's driver, which is opened now; "sim": the code for GPUs on the
  // CPU, slow and checked. A device is used by all executors and sessions of the model.
  const char *device;
  const char *isa;  // null: the best code in the package that the device can run; else this one ("x86-64-v3", "sm_90a")
  const weir_allocator *allocator;  // null: the system's; must outlive the model
  const char *weights_folder;       // a further folder to look in for weights beside the package; may be null
  // Null, or the public key that must have signed the package: 64 hexadecimal digits, or the text of a PEM file. Then
  // everything is checked against its hash before it is used, weights too, so that all of it is what was signed.
  const char *require_key;
} weir_load_options;

// Maps the package at |path|. Programs and code are checked against their hashes; weights are not read unless a key is
// required (that is rt_package_verify of runtime/package/package.h). INVALID_DATA: malformed, not signed as required;
// NOT_FOUND: no such file, or none of its weights; UNSUPPORTED: no code for this machine.
// |options| may be null.
weir_status weir_model_load(const char *path, const weir_load_options *options, weir_model **out_model) WEIR_MUST_USE;
void weir_model_retain(weir_model *model);
void weir_model_release(weir_model *model);  // null is allowed
const char *weir_model_name(const weir_model *model);
const char *weir_model_isa(const weir_model *model);  // the code in use: "x86-64-v4"

// ---- what a model takes and gives

typedef enum {
  WEIR_DTYPE_F16,
  WEIR_DTYPE_BF16,
  WEIR_DTYPE_F32,
  WEIR_DTYPE_F64,
  WEIR_DTYPE_F8E4M3,
  WEIR_DTYPE_F8E5M2,
  WEIR_DTYPE_I8,
  WEIR_DTYPE_I16,
  WEIR_DTYPE_I32,
  WEIR_DTYPE_I64,
  WEIR_DTYPE_U8,
  WEIR_DTYPE_BOOL,
} weir_dtype;
const char *weir_dtype_name(weir_dtype dtype);  // "f32"
size_t weir_dtype_bytes(weir_dtype dtype);

typedef enum {
  WEIR_ROLE_PLAIN,  // one value for all requests of a call
  WEIR_ROLE_BATCH,  // rows, independent of each other
  WEIR_ROLE_SEQ,    // rows of a sequence; requests of one call may differ in length
} weir_role;

typedef struct {
  const char *name;  // "T"
  weir_role role;
  int64_t lo, hi;   // a request's value; of the whole sequence if |grows|
  int64_t divisor;  // the value must be a multiple of it
  bool grows;       // rows add up over the calls of a session
  bool stored;      // no input says it: a session does, once a step before has written what has so many rows
} weir_symbol_info;

typedef struct {
  const char *name;
  weir_dtype dtype;
  int rank;
  const char *dims;  // "T, 576": of one request, over the entry's symbols
  int64_t lo, hi;    // integers: inclusive range of every element; lo > hi: any
} weir_tensor_info;

typedef struct {
  const char *path;  // "model.layers[0].self_attn.keys"
  weir_dtype dtype;
  bool rows;           // a row for each position of |symbol|, or as many as a step has written; else one block
  const char *symbol;  // null if not rows of a symbol
  int64_t row_bytes;   // of one row, or of the block
  int64_t window;      // of rows only the last |window| - 1 are kept; 0: all
  bool whole;          // rows that a step replaces all at once
  bool unset;          // a step must write it before another can read it
} weir_state_info;

typedef struct {
  const char *name;
  bool step;  // goes on with a session; else keeps nothing
  int symbol_count, input_count, output_count, state_count;
} weir_entry_info;

int weir_model_entry_count(const weir_model *model);
const weir_entry *weir_model_entry(const weir_model *model, int index);
// Null if there is none of this name.
const weir_entry *weir_model_find_entry(const weir_model *model, const char *name);
// Indices must be in range.
weir_entry_info weir_entry_describe(const weir_entry *entry);
weir_symbol_info weir_entry_symbol(const weir_entry *entry, int index);
weir_tensor_info weir_entry_input(const weir_entry *entry, int index);
weir_tensor_info weir_entry_output(const weir_entry *entry, int index);
weir_state_info weir_entry_state(const weir_entry *entry, int index);

// ---- tensors

enum { WEIR_MAX_RANK = 8 };

// A dense row-major tensor in the caller's memory, aligned to its element.
typedef struct {
  void *data;    // inputs are only read
  size_t bytes;  // room at |data|; 0 for inputs: what the shape says
  weir_dtype dtype;
  int rank;
  int64_t shape[WEIR_MAX_RANK];
} weir_view;

// The fields of DLPack's DLTensor, in its layout: a DLTensor pointer may be cast to this.
typedef struct {
  void *data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape;
  int64_t *strides;  // in elements; null: dense row-major
  uint64_t byte_offset;
} weir_dlpack_tensor;

// A view of the same memory. UNSUPPORTED: not in CPU memory, not dense, or a type that Weir lacks.
weir_status weir_view_from_dlpack(const weir_dlpack_tensor *tensor, weir_view *out_view) WEIR_MUST_USE;

// ---- sessions

typedef struct {
  const char *symbol;  // one that grows
  int64_t rows;
} weir_capacity;

// Room for so many rows of each growing symbol; of one that is not named, its upper bound (65,536 at most). Memory
// costs nothing until used. States start at their initial values. INVALID_ARGUMENT: a symbol that does not grow, or
// rows past its bound.
weir_status weir_session_open(weir_model *model, const weir_capacity *capacities, int capacity_count,
                              weir_session **out_session) WEIR_MUST_USE;
void weir_session_close(weir_session *session);  // null is allowed
// Rows so far, and room; -1 if the symbol does not grow. A null |symbol| is the model's first growing one.
int64_t weir_session_rows(const weir_session *session, const char *symbol);
int64_t weir_session_capacity(const weir_session *session, const char *symbol);
// Makes room for |rows| in all; never shrinks.
weir_status weir_session_grow(weir_session *session, const char *symbol, int64_t rows) WEIR_MUST_USE;
// Forgets all rows after the first |rows|, of every growing symbol if |symbol| is null. OUT_OF_RANGE if there are
// fewer, or if a state that keeps the last rows only has lost those before: the message says how far back is possible.
// States that are not rows but follow them cannot go back: UNSUPPORTED when there are any. A null |symbol| with 0 rows
// always works: it starts anew, states that a step has assigned as a whole included.
weir_status weir_session_truncate(weir_session *session, const char *symbol, int64_t rows) WEIR_MUST_USE;
// An equal session that goes on by itself, with the same capacity.
weir_status weir_session_fork(const weir_session *session, weir_session **out_session) WEIR_MUST_USE;
// The session as bytes, for the same package only. With a null |data| only |*out_bytes| is set; OUT_OF_RANGE if |bytes|
// is less.
weir_status weir_session_export(const weir_session *session, void *data, size_t bytes, size_t *out_bytes) WEIR_MUST_USE;
// Replaces the session's contents. INVALID_DATA: damaged, or of another model; OUT_OF_RANGE: more rows than the session
// has room for.
weir_status weir_session_import(weir_session *session, const void *data, size_t bytes) WEIR_MUST_USE;

// ---- running

typedef struct {
  int threads;     // 0: one for each core that this process may use
  bool no_pin;     // never bind threads to cores
  bool no_growth;  // a call that needs more than was reserved fails with OUT_OF_RANGE; else the executor grows first
} weir_executor_options;

// |options| may be null.
weir_status weir_executor_create(weir_model *model, const weir_executor_options *options,
                                 weir_executor **out_executor) WEIR_MUST_USE;
void weir_executor_destroy(weir_executor *executor);  // null is allowed
int weir_executor_threads(const weir_executor *executor);

// One sequence in a call. Requests of a call are packed without padding; each gets bit for bit what it would get alone.
typedef struct {
  weir_session *session;    // for step entries; null for others. Not twice in a call
  const weir_view *inputs;  // input_count of them, in the entry's order
  weir_view *outputs;  // output_count of them: |data| and |bytes| say where; type and shape are filled in. When the
                       // requests' tensors stand one behind the other in memory, they are used in place; else they are
                       // packed and unpacked by a copy
} weir_request;

typedef struct {
  const char *note;    // block and op that it computes
  const char *kernel;  // symbol in the code object
  int64_t items;
  int64_t flops, bytes;  // estimated by the compiler; 0: unknown
  int64_t ns;
} weir_launch_time;

// Items of a launch that one thread did at a stretch; times are of CLOCK_MONOTONIC.
typedef struct {
  const char *note;    // block and op that the launch computes
  const char *kernel;  // symbol in the code object
  int64_t begin_ns, end_ns;
  int64_t items;
  int64_t
      phase;  // number of the phase in the call: launches of one phase may run at once. With |times| each launch is one
} weir_trace_event;

// Room for the events of one thread, which writes it alone. What does not fit is counted.
typedef struct {
  weir_trace_event *events;
  int64_t capacity, count, lost;
} weir_trace_thread;

typedef struct {
  const int *cancel;  // null, or a flag that another thread or a signal handler sets to non-zero (__atomic_store_n):
                      // the call ends with CANCELLED within one launch; sessions stay as they were
  // Null, or room for |time_capacity| launches in order (weir_entry_launch_count is enough); threads then wait for each
  // other after every launch.
  weir_launch_time *times;
  int time_capacity;
  int time_count;  // out: filled in
  // Null, or one for each of the executor's threads: events are added behind |count|. Between them a thread waits. It
  // costs two looks at the clock for each event.
  weir_trace_thread *trace;
} weir_run_options;

// Checks the inputs and fills in type and shape of every output, without touching output data: for callers that must
// make room. INVALID_ARGUMENT also where a session lacks what a step before has to write; steps without such states
// need no session here.
weir_status weir_output_shapes(const weir_entry *entry, weir_request *requests, int request_count) WEIR_MUST_USE;

// Runs |entry| on all requests. With a step entry each session then has the new rows. INVALID_ARGUMENT: shapes, types,
// ranges; OUT_OF_RANGE: a session's or an output's room. |options| may be null.
weir_status weir_run(weir_executor *executor, const weir_entry *entry, weir_request *requests, int request_count,
                     weir_run_options *options) WEIR_MUST_USE;
int weir_entry_launch_count(const weir_entry *entry);

// ---- memory

// What one request of a call will be: a value for each symbol of the entry, and the rows before it (null: none) of
// each.
typedef struct {
  const int64_t *values;
  const int64_t *past;
  const weir_session *session;  // null, or one that says the rows before, and the values of symbols that are stored
} weir_extent;

typedef struct {
  int64_t weights_bytes;  // mapped, shared by all executors
  int64_t arena_bytes;    // temporaries
  int64_t state_bytes;    // of the requests' states, the rows of this call included
  int64_t table_bytes;    // where requests begin, positions, pointers
  int64_t scratch_bytes;  // of all threads
  int64_t packing_bytes;  // to pack tensors of several requests; 0 for one
  int64_t total_bytes;
} weir_memory;

// The exact need of a call, before it.
weir_status weir_memory_predict(const weir_executor *executor, const weir_entry *entry, const weir_extent *extents,
                                int request_count, weir_memory *out_memory) WEIR_MUST_USE;
// What the last successful weir_run used, counted from the pointers that its launches got; all zero before the first.
void weir_memory_measured(const weir_executor *executor, weir_memory *out_memory);
// Makes room for such calls. Room once made is kept.
weir_status weir_reserve(weir_executor *executor, const weir_entry *entry, const weir_extent *extents,
                         int request_count) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
