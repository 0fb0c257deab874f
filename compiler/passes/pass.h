// Passes over the graph IR, and the gate through which all of them run.
//
// A pass is one file pass_<name>.c with one function pass_<name>(module) that says whether it changed anything;
// passes.def is the list of passes and their order. Passes allocate from the module's arena, never free, keep the
// module valid for ir_verify, and know nothing of dumps, timing or flags: the gate renumbers, times, dumps, verifies
// and skips, and drops the regions of nodes that a pass removed. One thread per module; no globals.
#ifndef WEIR_COMPILER_PASSES_PASS_H
#define WEIR_COMPILER_PASSES_PASS_H

#include "ir/graph.h"

typedef enum {
#define PASS(name, meaning) PASS_##name,
#include "compiler/passes/passes.def"
#undef PASS
  PASS_COUNT
} pass_id;

#define PASS(name, meaning) bool pass_##name(ir_module *module);
#include "compiler/passes/passes.def"
#undef PASS

// What the gate does beside running a pass. Zero is the plain case.
typedef struct {
  const char *dump_dir;  // writes NNN-pass.ir here; null: nowhere. Borrowed.
  bool verify;           // after each pass; debug builds always do
  bool skip[PASS_COUNT];
} pass_options;

// From the values of WEIR_DUMP (a folder) and WEIR_DEBUG ("verify", "skip-NAME", separated by commas); each may be
// null. INVALID_ARGUMENT names an unknown flag and lists the known ones.
weir_status pass_options_init(pass_options *options, const char *dump, const char *debug);
// All flags of WEIR_DEBUG, one a line with its meaning; "help" is the driver's.
const char *pass_flags_print(weir_arena *arena);
// Sets one flag of |length| bytes; false if it is none of ours.
bool pass_options_set(pass_options *options, const char *flag, size_t length);

typedef struct {
  pass_id id;
  bool progress, skipped;
  int64_t time_ns;                // without dump and verification
  int nodes_before, nodes_after;  // in all functions
} pass_record;

typedef struct {
  const pass_options *options;
  pass_record *records;  // of all passes run so far, in the arena of the first module
  int record_count, record_capacity;
  int dump_count;  // the next dump's NNN
} pass_context;

void pass_context_init(pass_context *context, const pass_options *options);
const char *pass_get_name(pass_id id);
// Runs one pass. INTERNAL with the function's text where it left the module broken, IO where a dump cannot be written.
weir_status pass_run(pass_context *context, ir_module *module, pass_id id);
// All passes of passes.def; dumps the module as it came as 000-input.ir.
weir_status pass_pipeline(pass_context *context, ir_module *module);
// One line a pass: "canonicalize   0.12 ms   120 -> 97 nodes".
const char *pass_print_records(weir_arena *arena, const pass_context *context);

#endif
