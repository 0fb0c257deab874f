// Lowering: graph IR to kernels and programs.
//
// Each function of the module is lowered once for each combination of weight formats it is called with (a model's
// thirty equal layers are one function): its nodes are grouped into kernels (fuse.c), each group becomes a kernel
// (rowwise.c, linear.c, attend.c, rope.c) and a launch. Entry functions are then unrolled into a program (program.c),
// equal kernels are shared between all programs, hazards become `sync`s and temporaries get offsets. Every decision
// about fusion is written down with its reason.
#ifndef WEIR_CODEGEN_LOWER_LOWER_H
#define WEIR_CODEGEN_LOWER_LOWER_H

#include "codegen/lower/panel.h"
#include "ir/graph.h"
#include "runtime/base/program.h"

typedef struct {
  // The storage that the checkpoint (or the plan) gives the weight at this path of the model.
  weir_storage (*storage_of)(void *user, const char *path);
  // In what the plan wants products with it computed; null: all in float32.
  cg_compute (*compute_of)(void *user, const char *path);
  void *user;
  const struct cg_choice *choices;  // schedules other than the default ones; those that fit nothing are passed over
  int choice_count;
  // For a device of thread blocks: what block kernels (ir/kernel_block.h) may need of it, ir_kneeds with
  // IR_KNEEDS_BLOCK; templates are chosen by it. 0: item kernels alone.
  unsigned blocks;
  bool library;  // with blocks: products may be a library's where a choice says so (block/library.c)
} cg_lower_options;

// A schedule's parameter, of the kernels that |key| names by template and shape ("linear_q4_1_1536x576", "few.panels").
typedef struct cg_choice {
  const char *key, *parameter;
  int64_t value;
} cg_choice;

// A choice that lowering had. No answer changes a bit of any result, unless the question is |inexact|.
typedef struct {
  const char *key, *parameter;
  int64_t otherwise;  // without a choice
  int64_t chosen;
  const int64_t *candidates;  // other values
  int candidate_count;
  bool inexact;
} cg_question;

// A weight as the package must hold it. |key| is unique and is the program's name of it.
typedef struct {
  const char *key;  // the path, followed by ":panel" where another layout of the same path exists too
  const char *path;
  // Several weights of one type and format, one behind the other: |dims| has their number first, and |bytes| are those
  // of all. 0: |path| alone.
  int part_count;
  const char **parts;  // paths
  cg_weight_format format;
  bool multiplied;     // some linear reads it
  const char *reason;  // why its products are not computed as the plan says; null: they are
  ir_dtype dtype;      // logical type
  int rank;
  int64_t dims[IR_MAX_RANK];
  int64_t bytes;
} cg_weight;

// One edge of the graph, producer to consumer.
typedef struct {
  const char *function;
  ir_loc loc;                       // of the producer
  const char *producer, *consumer;  // op names; consumer "" for a result
  bool fused;
  const char *reason;
  int64_t saved_bytes;  // per row: traffic that fusing avoids, or would have avoided
} cg_decision;

typedef struct {
  ir_kernel **kernels;  // distinct; kernel->name is the symbol
  int kernel_count, kernel_capacity;
  const char **kernel_keys;  // of the choices that each kernel was made by; null: of none
  rt_program **programs;     // one per entry and step, in the module's order
  int program_count;
  cg_weight *weights;
  int weight_count, weight_capacity;
  cg_decision *decisions;
  int decision_count, decision_capacity;
  cg_question *questions;  // each key and parameter once
  int question_count, question_capacity;
} cg_module;

// UNSUPPORTED with function, op and place for what has no lowering. Everything lives in |arena|, also what |module|
// owns is referred to.
weir_status cg_lower(weir_arena *arena, const ir_module *module, const cg_lower_options *options,
                     cg_module **out_module);

// Whether there is a kernel for the convolution or pooling |node|; others are for passes to write as index
// notation (window.c).
bool cg_window_has_kernel(const ir_node *node);

#endif
