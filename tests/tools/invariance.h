// What the files of the program `invariance` share: runs with their answers, and how calls are made and judged.
#ifndef WEIR_TESTS_TOOLS_INVARIANCE_H
#define WEIR_TESTS_TOOLS_INVARIANCE_H

#include "runtime/weir.h"

enum { MAX_RUNS = 32, MAX_TENSORS = 16, MAX_BEFORE = 4, MAX_THREADS = 3 };

typedef struct {
  const weir_entry *entry;
  weir_view inputs[MAX_TENSORS];
} call;

typedef struct {
  call before[MAX_BEFORE];
  int before_count;
  call main;
  weir_view outputs[MAX_TENSORS];  // alone and whole
  uint8_t *kept;                   // the session after that, exported; null where there is none
  size_t kept_bytes;
} run;

typedef struct {
  weir_model *model;
  weir_executor *executors[MAX_THREADS];  // of 1, 2, 3 threads: any of them takes any call
  run runs[MAX_RUNS];
  int run_count, failures;
  int predictions, forks, moves, truncations, refusals, restores, growths, cancels;
  uint64_t random;
} suite;

// Loads the package at |path|; no runs yet.
void open_suite(suite *s, const char *path, uint64_t seed);
void close_suite(suite *s);
int below(suite *s, int64_t limit);
void die(const char *what, weir_status status);
void must(weir_status status, const char *what);
size_t view_bytes(const weir_view *v);
// The symbol that grows in |entry|, or null.
const char *growing(const weir_entry *entry);
// Whether the first axis of such a tensor is |symbol| (null: never).
bool has_rows(weir_tensor_info info, const char *symbol);

// Gives every output memory of the right size.
void make_outputs(const weir_entry *entry, weir_request *requests, int count, weir_view (*outputs)[MAX_TENSORS]);
void free_outputs(const weir_entry *entry, weir_view *outputs);
// Runs on one of the executors; the memory that it took must be what was predicted.
weir_status run_call(suite *s, const weir_entry *entry, weir_request *requests, int count, weir_run_options *options);
// A new session with room for |room| rows of what grows (0: the model's bound), behind the steps before run |r|.
weir_session *open_session(suite *s, const run *r, int64_t room);
// Steps that come before the run, on a session.
void take_before(suite *s, const run *r, weir_session *session);
// The session as bytes, in memory that the caller frees.
uint8_t *export_session(const weir_session *session, size_t *out_bytes);

// Counts and prints what is not the answer of run |number|.
void compare(suite *s, int number, const char *how, int output, const void *got, size_t bytes);
void compare_session(suite *s, int number, const char *how, const weir_session *session);
void failure(suite *s, int number, const char *what);

// Requests with random inputs for every entry.
void random_runs(suite *s);
// All runs alone, then packed, then |cuts| schedules for each step that can be cut. How many schedules there were.
int run_all(suite *s, int cuts);
// All runs of |entry| at once, each cut into calls at random. |entry| is a step with a symbol that grows.
void run_cut(suite *s, const weir_entry *entry, const char *symbol);

#endif
