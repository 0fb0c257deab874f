// Elaboration: a program (syntax trees) becomes a graph module, one function per block shape, entry and step.
//
// Build-time values are computed here and are gone afterwards: what is left are typed graph functions, the list of
// parameters with their dotted paths, the states, and the evaluated binds and plans. Every mistake of the text is a
// diagnostic; elaboration goes on past it, so that one run reports all. It always ends: work is bounded by a step
// budget, depth by a limit, both diagnostics of their own. Everything lives in the arena given and borrows the program.
// One thread at a time. docs/language/semantics.md tells how it works.
#ifndef WEIR_COMPILER_LANG_ELAB_H
#define WEIR_COMPILER_LANG_ELAB_H

#include "compiler/lang/files.h"
#include "ir/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

// Watches an elaboration: called with each expression and what it is worth. For tools; without one nothing is called.
struct lang_value;
typedef struct lang_observer lang_observer;
struct lang_observer {
  void (*value)(lang_observer *self, const lang_expr *expr, const struct lang_value *value);
};

typedef struct {
  const char *model;             // null: the only model of the root file, else its last one
  const char *const *overrides;  // "layers=2": model parameters
  int override_count;
  bool training;                 // what `training` is: under a train section
  ir_dtype float_dtype;          // what `f` means: f16 bf16 f32 f64
  lang_observer *observer;       // null: nobody
  const struct lang_plan *plan;  // of an earlier run over the same text: states are kept as its `cache` says; null: as
                                 // they are declared
} lang_options;

// A parameter of the model. Shared ones appear once, under the path of their first declaration.
typedef struct {
  const char *path;            // "model.layers.0.self_attn.q_proj.weight"
  const char *const *aliases;  // its other paths
  int alias_count;
  ir_type type;      // logical; how it is stored is the plan's and the checkpoint's matter
  bool is_f;         // declared as `f`: the type follows lang_options.float_dtype
  const char *init;  // text of its initial value; null: a checkpoint must have it
  bool used;         // by some entry or step
  lang_span span;
} lang_weight;

// A state that a step reads or writes.
typedef struct {
  const char *path;
  ir_type type;  // as it is kept; rows: first dim is T.past
  bool rows;
  int64_t window;    // rows kept where over last(T, W); 0: all
  const char *init;  // fixed shapes: the number; null where the step that writes it comes first
  lang_span span;
} lang_memory;

// A value of a plan, or a build-time parameter of the model as it was resolved.
typedef enum {
  LANG_SETTING_INT,
  LANG_SETTING_FLOAT,
  LANG_SETTING_BOOL,
  LANG_SETTING_STRING,  // |text|
  LANG_SETTING_NAME,    // a bare word: bf16
  LANG_SETTING_CALL,    // |text|(items)
  LANG_SETTING_LIST,
} lang_setting_value_kind;
typedef struct lang_setting_value {
  lang_setting_value_kind kind;
  const char *name;  // of a named argument or of a parameter; else null
  const char *text;
  int64_t i;  // INT (in the base unit), BOOL
  double f;   // INT, FLOAT
  struct lang_setting_value *items;
  int item_count;
  lang_span span;
} lang_setting_value;

typedef struct {
  const char *name;        // "target", "store"
  lang_patterns patterns;  // none for `name = values;`
  lang_setting_value *values;
  int value_count;
  lang_span span;
} lang_plan_line;

typedef struct lang_plan {
  const char *name;
  lang_plan_line *lines;
  int line_count, line_capacity;
  lang_span span;
} lang_plan;

typedef struct lang_graph_bind lang_graph_bind;  // opaque
typedef struct {
  const char *name;      // the model's
  ir_module *module;     // entries and steps last; dims have the model's bounds
  lang_weight *weights;  // in the order of declaration
  int weight_count, weight_capacity;
  lang_memory *memories;
  int memory_count, memory_capacity;
  lang_setting_value *settings;  // the model's build-time parameters
  int setting_count;
  lang_graph_bind **binds;  // for this model, in order
  int bind_count, bind_capacity;
  lang_plan *plans;
  int plan_count, plan_capacity;
} lang_graph;

// Null after errors (see |diags|), also when the program has no model. The program may have errors of its own: null
// then.
lang_graph *lang_elaborate(weir_arena *arena, const lang_program *program, const lang_options *options,
                           lang_diags *diags);

// Checks all that needs no model: names, places and forms of every declaration, and elaborates each model with its
// defaults if all its parameters have one. For `weir check`.
void lang_check(weir_arena *arena, const lang_program *program, lang_diags *diags);
// The same, watched.
void lang_check_observed(weir_arena *arena, const lang_program *program, lang_observer *observer, lang_diags *diags);

// ---- plans
const lang_plan *lang_graph_plan(const lang_graph *graph, const char *name);  // null if there is none
// A line that this version checks and does not act on; null without one.
const lang_plan_line *lang_plan_later(const lang_plan *plan);
// Whether some line sets |name|.
bool lang_plan_has(const lang_plan *plan, const char *name);
// The values that `name = values;` gives, last one wins; null if it is not set.
const lang_plan_line *lang_plan_get(const lang_plan *plan, const char *name);
// The line `name patterns: values;` that holds for |path|, last one wins; null if none does.
const lang_plan_line *lang_plan_select(const lang_plan *plan, const char *name, const char *path);
// The line `activations patterns: int8;` or `compute patterns: bf16;` that holds for products with the weight |path|,
// by its path or that of something it is part of; the last one of either wins, null if none does.
const lang_plan_line *lang_plan_compute(const lang_plan *plan, const char *path);
// Whether a value of `activations` is int8(row): one scale for a row of inputs, instead of one for each 32.
bool lang_setting_is_row(const lang_setting_value *value);
// What the line `cache patterns: f16();` says that holds for the state |path|; false if none does.
bool lang_plan_cache(const lang_plan *plan, const char *path, ir_dtype *out);
// Whether a dotted path (numbers are segments) is one that the pattern stands for.
bool lang_pattern_match(const lang_pattern *pattern, const char *path);

// ---- binds: where a checkpoint has our parameters
typedef enum {
  LANG_SOURCE_TENSOR,     // the tensor |name| of the checkpoint
  LANG_SOURCE_CONCAT,     // parts one after another along |axis|
  LANG_SOURCE_SLICE,      // elements start..stop of parts[0] along |axis| (from split)
  LANG_SOURCE_TRANSPOSE,  // the last two axes of parts[0] swapped
  // Rows of parts[0], [heads * H, ...]: within each head, row 2 i + j of the file is our row i + j * H / 2 (some
  // files interleave the halves of a rotary pair, the language keeps them apart).
  LANG_SOURCE_UNPERMUTE,
} lang_source_kind;
typedef struct lang_tensor_source {
  lang_source_kind kind;
  const char *name;
  const struct lang_tensor_source *const *parts;
  int part_count;
  int axis;
  int64_t start, stop;
  int64_t heads;
} lang_tensor_source;

const char *lang_bind_name(const lang_graph_bind *bind);
lang_graph_bind *lang_graph_bind_find(const lang_graph *graph, const char *name);  // null if there is none
// Where our parameter |path| is; the same name without a line for it, or where |bind| is null. Null after a line that
// cannot be applied.
const lang_tensor_source *lang_bind_resolve(const lang_graph_bind *bind, weir_arena *arena, const char *path);
// Whether the bind says that the checkpoint's |name| may stay unused.
bool lang_bind_ignores(const lang_graph_bind *bind, const char *name);

// A tensor of a checkpoint: dims in row-major order, outermost first.
typedef struct {
  const char *name;
  int rank;
  int64_t dims[IR_MAX_RANK];
} lang_tensor;
typedef enum { LANG_PROBLEM_MISSING, LANG_PROBLEM_UNEXPECTED, LANG_PROBLEM_SHAPE } lang_problem_kind;
typedef struct {
  lang_problem_kind kind;
  const char *path;     // ours; null for an unexpected tensor
  const char *name;     // theirs
  const char *message;  // one line
} lang_problem;
typedef struct {
  const lang_tensor_source **sources;  // weight_count of them; null where the checkpoint has none
  lang_problem *problems;
  int problem_count, problem_capacity;
} lang_bind_report;
// Resolves every weight and reports all that is missing, unexpected or mis-shaped at once. |bind| may be null (equal
// names). A missing weight that no entry uses is no problem; one with an initial value is marked, for a caller who
// starts without a whole checkpoint.
void lang_check_bind(const lang_graph *graph, const lang_graph_bind *bind, weir_arena *arena,
                     const lang_tensor *tensors, int tensor_count, lang_bind_report *out_report);
// The bind with the fewest problems for these tensors (null: equal names are best).
lang_graph_bind *lang_bind_choose(const lang_graph *graph, const lang_tensor *tensors, int tensor_count);

#ifdef __cplusplus
}
#endif
#endif
