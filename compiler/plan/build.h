// From a model text, weights and a plan to a package: the pipeline behind every command.
//
//   read     text and all it uses, the checkpoint (mapped, not read)
//   front    plan, element type, bind, elaboration, passes, lowering
//   build    C, shared objects, packed weights, tokenizer -> one package in the cache, named by a hash of everything
//   that went in
// Nothing here prints. Mistakes of the text are diagnostics in the list that the caller gives; then the status is
// INVALID_DATA and |diags->error_count| is not 0. All else that is wrong with the input is a status. A failure, SIGINT
// (|cancel|) and a full disk leave nothing half-written. Two processes that build the same package do it once.
// Structures live in the unit's arena.
#ifndef WEIR_COMPILER_PLAN_BUILD_H
#define WEIR_COMPILER_PLAN_BUILD_H

#include "codegen/lower/lower.h"
#include "compiler/import/checkpoint.h"
#include "compiler/lang/elab.h"
#include "ir/rewrite.h"
#include "runtime/base/hash.h"
#include "runtime/text/buffer.h"

typedef struct {
  const char *text;     // path of the .weir file
  const char *model;    // null: its only model, or its last one
  const char *weights;  // path of a checkpoint; null: none
  bool random;          // weights from |seed| instead
  uint64_t seed;
  const char *plan;              // name of a plan of the text, or path of a file with one; null: none
  bool lines;                    // the code has line numbers, of C files that are kept in the cache
  bool exact;                    // products in float32 and states as declared, whatever the plan says
  const char *const *overrides;  // "layers=2"
  int override_count;
  const struct rt_package *package;  // not null: texts, weights and tokenizer are those of this package, of any format
  const char *models_folder;         // where `use std.nn;` is looked for
  // 0: the default schedules. Else better ones are searched on this machine for so many seconds (tune.h); there must be
  // one target, of code that runs here. |tune_machine| names the machine in what is written down.
  double tune_seconds;
  const char *tune_machine;
  const char *tune_device;  // where it is measured: "cuda", "cuda:N", "sim"; null: this processor
  const int *cancel;        // may be null
  void (*progress)(void *user, const char *what, double fraction);  // fraction below 0: unknown. May be null
  void *user;
} plan_request;

// A weight that the plan's `store` could not bring into the format it asks for.
typedef struct {
  const char *path, *asked, *stored, *reason;
} plan_kept;

typedef struct {
  weir_arena *arena;
  const plan_request *request;
  lang_diags *diags;
  // read
  lang_program *program;
  size_t plan_file_length;        // the first text is a plan's file, so long before a line was added; 0: it is not
  const char *plan_uses;          // that line with the model's name instead of its path
  const char *model_name;         // to elaborate; null: lang_elaborate chooses
  import_checkpoint *checkpoint;  // null without weights
  weir_hash weights_hash;         // of the checkpoint's content; zeros without
  // front
  ir_dtype float_dtype;
  lang_graph *graph;
  const lang_plan *plan;                     // null without
  const lang_tensor_source *const *sources;  // of graph->weights; null entries: no tensor, its initial value is used
  const char *bind_name;                     // null: equal names
  const char *passes;                        // one line a pass
  lang_program *library;                     // the library's rules; null without
  ir_rules *rules;                           // what the pass of rules applied, and where; null: none
  cg_module *code;
  cg_module *device_code;  // for GPUs and sim, after plan_lower_device
  cg_module *sm_90a_code;  // for GPUs with the sm_90a set, after plan_lower_sm_90a
  unsigned blocks;         // of a package for devices alone: what |code| was lowered for; else 0
  plan_kept *kept;         // each is also named in a warning
  int kept_count, kept_capacity;
} plan_unit;

// Reads the text and opens the checkpoint. |unit| is to be closed in any case; |arena| and |diags| must outlive it.
weir_status plan_read(weir_arena *arena, const plan_request *request, lang_diags *diags,
                      plan_unit *out_unit) WEIR_MUST_USE;
// Elaborates, binds, runs the passes, lowers.
weir_status plan_front(plan_unit *unit) WEIR_MUST_USE;
// Lowers the unit's graph for devices of thread blocks too. After plan_front; once.
weir_status plan_lower_device(plan_unit *unit) WEIR_MUST_USE;
weir_status plan_lower_sm_90a(plan_unit *unit) WEIR_MUST_USE;
void plan_close(plan_unit *unit);
// Whether the plan lets products be a library's.
bool plan_takes_library(const plan_unit *unit);
// In what the plan wants products with the weight |path| computed.
cg_compute plan_compute_of(const plan_unit *unit, const char *path);
// The storage format that the weight |path| is kept in. After plan_front.
weir_storage plan_storage_of(const plan_unit *unit, const char *path);

// What the code of one target took.
typedef struct {
  const char *target;     // "cuda:sm_90a", "sim"
  int kernels, compiled;  // those that the target has; those of them that were not in the cache
  double seconds;         // wall time, with reading the cache
} plan_target_time;

typedef struct {
  const char *path;  // of the package, in the cache
  weir_hash key;
  bool cached;  // found, not built
  int64_t bytes;
  double seconds;           // of this call
  double compile_seconds;   // of the C compiler, 0 where its results were in the cache
  plan_target_time *times;  // of targets that are no processors; none where the package was found
  int time_count;
} plan_result;

// The targets that are built where nothing says otherwise: for this machine alone, or for any recent one of its kind.
// Null-terminated.
const char *const *plan_targets_here(void);
const char *const *plan_targets_anywhere(void);

// Targets as on the command line ("cpu", "cpu:x86-64-v4"); |target_count| 0: those of the plan, else |defaults|.
weir_status plan_build(weir_arena *arena, const plan_request *request, const char *const *targets, int target_count,
                       const char *const *defaults, lang_diags *diags, plan_result *out_result) WEIR_MUST_USE;

// The packed tokenizer of a checkpoint (GGUF metadata, or tokenizer.json beside it), from the cache if it was made
// before. Empty if it has none. UNSUPPORTED, INVALID_DATA as in runtime/text/tokenizer.h.
weir_status plan_tokenizer(import_checkpoint *checkpoint, text_buffer *out_blob) WEIR_MUST_USE;

#endif
