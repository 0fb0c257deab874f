// Graph IR: typed SSA over tensors, written for one request.
//
// A module holds functions; blocks of a model stay functions, so equal layers are one function called many times with
// other weights. A function has parameters (inputs, weights, states) and results. Values have one definition: a
// parameter or a node. A node is an op of ir/ops.def with operands, attributes and results; `call` names its callee.
// Nodes of a body stand in a list in execution order. States are threaded as values: a state parameter holds the rows
// (or the fixed value) before, the matching result the one after. Seq dims are those of one request; that requests are
// packed appears below this level only.
//
// Text: `ir_print_module` writes it, `ir_parse_module` reads it, and parse(print(m)) prints the same. Grammar in
// ir/README.md. Everything lives in the module's arena and dies with it; passes never free. One thread per module.
#ifndef WEIR_IR_GRAPH_H
#define WEIR_IR_GRAPH_H

#include <stdio.h>

#include "ir/type.h"
#include "runtime/base/status.h"

typedef enum {
#define OP(name, ...) IR_OP_##name,
#include "ir/ops.def"
#undef OP
  IR_OP_COUNT
} ir_op;

typedef enum {
#define ATTR(name, kind, meaning) IR_ATTR_##name,
#include "ir/attrs.def"
#undef ATTR
  IR_ATTR_COUNT
} ir_attr_name;

typedef enum {
  IR_ATTR_INT,
  IR_ATTR_FLOAT,
  IR_ATTR_BOOL,
  IR_ATTR_INTS,
  IR_ATTR_DIM,
  IR_ATTR_DIMS,
  IR_ATTR_DTYPE,
  IR_ATTR_COMBINE
} ir_attr_kind;

// How fold and scatter combine; the texts are the names in lower case.
#define IR_COMBINES(X) X(sum) X(prod) X(max) X(min) X(any) X(all) X(mean) X(logsumexp) X(argmax) X(argmin)
typedef enum {
#define X(name) IR_COMBINE_##name,
  IR_COMBINES(X)
#undef X
      IR_COMBINE_COUNT
} ir_combine;
const char *ir_combine_name(ir_combine combine);
bool ir_combine_find(const char *name, ir_combine *out);

// One attribute. Which member counts follows from the name's kind in attrs.def.
typedef struct {
  ir_attr_name name;
  int count;  // of ints and dims
  union {
    int64_t i;  // INT, BOOL
    ir_combine combine;
    double f;
    ir_dtype dtype;
    ir_dim dim;
    int64_t ints[IR_MAX_RANK];
    ir_dim dims[IR_MAX_RANK];
  };
} ir_attr;

enum {
  IR_FLAG_PURE = 1,
  IR_FLAG_EW = 2,
  IR_FLAG_COMM = 4,
  IR_FLAG_REDUCE = 8,
  IR_FLAG_MOVE = 16,
  IR_FLAG_ROW = 32,
  IR_FLAG_STATE = 64,
  IR_FLAG_FLOAT = 128,
  IR_FLAG_BOOLS = 256,
  IR_FLAG_REGION = 512,
  IR_FLAG_INTS = 1024,
};
enum { IR_COST_MATMUL = -1, IR_COST_ATTEND = -2, IR_COST_CONV = -3, IR_COST_WINDOW = -4, IR_COST_FOURIER = -5 };
#define IR_MAX_ATTRS 8

typedef struct {
  const char *name;
  int operands;  // -1: any
  int attr_count;
  ir_attr_name attrs[IR_MAX_ATTRS];
  unsigned flags;  // IR_FLAG_*
  int cost;
  const char *meaning;
} ir_op_info;

const ir_op_info *ir_op_get_info(ir_op op);
bool ir_op_find(const char *name, ir_op *out);
const char *ir_attr_get_name(ir_attr_name name);
ir_attr_kind ir_attr_get_kind(ir_attr_name name);

// Where in the model text a node comes from; line 0 is nowhere.
typedef struct {
  const char *file;
  int line, column;
} ir_loc;

typedef struct ir_node ir_node;
typedef struct ir_function ir_function;
typedef struct ir_module ir_module;

typedef struct {
  ir_type type;
  ir_node *def;      // null for a parameter
  int result;        // which result of |def|, or which parameter
  int id;            // printed as %id; renumbered by ir_function_renumber
  const char *name;  // from the model text, for readers; may be null
  int64_t lo, hi;    // of integers: known inclusive range; lo > hi where none is known
  ir_dim below;      // of integers with a range from 0 or more: a size of the request that all are less than; or null
} ir_value;

struct ir_node {
  ir_op op;
  int operand_count, result_count, attr_count;
  ir_value **operands;
  ir_value **results;
  ir_attr *attrs;
  ir_function *callee;  // of call and route; first region of map, fold, scan, cond (docs/design/regions.md)
  ir_function *second;  // second region of scan (while) and cond (else); may be null
  ir_function *parent;
  ir_node *prev, *next;
  ir_loc loc;
};

typedef enum {
  IR_PARAM_INPUT,   // per request
  IR_PARAM_WEIGHT,  // the same for all requests; |path| is the model's path of it in an entry function
  IR_PARAM_STATE,   // per session; |path| likewise
} ir_param_kind;

typedef struct {
  ir_param_kind kind;
  const char *name;  // input: its name; weight, state: path below the function's block ("self_attn.q_proj.weight")
  ir_value *value;
  // Initial value. Weights: null, must come from a checkpoint; else an expression's text ("normal(0.02)", "0") kept for
  // training. States: a fixed shape has a number ("0"); a state over rows starts empty.
  const char *init;
  bool rows;       // state: first dim is the rows so far (T.past), grown by append or replaced
  int64_t window;  // state over last(T, W): W; 0 keeps all
} ir_param;

typedef struct {
  const char *name;  // output's name ("" if the text gives none); state results: the path
  ir_value *value;
  int state;  // index of the state parameter that this is the new value of; -1 for an output
} ir_result;

// A region belongs to one node; its dims are its owner's. All its parameters are inputs, its results have no names.
typedef enum { IR_FUNCTION_BLOCK, IR_FUNCTION_ENTRY, IR_FUNCTION_STEP, IR_FUNCTION_REGION } ir_function_kind;

struct ir_function {
  ir_function_kind kind;
  const char *name;
  const char *doc;  // its doc comment, may be null
  ir_module *module;
  ir_param *params;
  int param_count, param_capacity;
  ir_result *results;
  int result_count, result_capacity;
  ir_node *first, *last;
  int next_id;
  ir_loc loc;
};

struct ir_module {
  weir_arena *arena;
  ir_dim_table *dims;
  const char *name;         // the model's
  ir_function **functions;  // callees before callers
  int function_count, function_capacity;
  int clone_count;         // numbers the names of cloned regions
  struct ir_rules *rules;  // what the pass of rules applies (ir/rewrite.h); null: none
};

ir_module *ir_module_create(weir_arena *arena, const char *name);
ir_function *ir_function_create(ir_module *module, ir_function_kind kind, const char *name);
ir_function *ir_function_find(const ir_module *module, const char *name);
// Adds a parameter; its value has no known integer range.
ir_value *ir_function_add_param(ir_function *function, ir_param_kind kind, const char *name, ir_type type);
void ir_function_add_result(ir_function *function, const char *name, ir_value *value, int state);

// ---- building. Appends a node at the end of |function|, with result types from the table's rule.
// On operands or attributes that the rule refuses: returns null and writes a one-line reason into |*out_error| (arena
// of the module; may be null). Copies operands and attributes. Single-result ops return the result.
ir_value *ir_build(ir_function *function, ir_op op, ir_value *const *operands, int operand_count, const ir_attr *attrs,
                   int attr_count, ir_loc loc, const char **out_error);
// A call; results in node->results, as many as the callee has.
ir_node *ir_build_call(ir_function *function, ir_function *callee, ir_value *const *operands, int operand_count,
                       ir_loc loc, const char **out_error);
// A node with regions: map, fold, scan, cond; or route with its callee as |first|. The regions |first| and |second|
// (may be null) become its own and move in front of |function|; results in node->results. Its results' types (of all
// ops) come from operands, attributes and regions: a region is complete when its owner is built.
ir_node *ir_build_region(ir_function *function, ir_op op, ir_function *first, ir_function *second,
                         ir_value *const *operands, int operand_count, const ir_attr *attrs, int attr_count, ir_loc loc,
                         const char **out_error);
// A copy of |region| (and of the regions in it) under a new name, dims replaced by |map| (as ir_dim_substitute; null:
// the same dims). It has no owner yet. Null where a rule refuses a node under the new dims.
ir_function *ir_region_clone(ir_module *module, const ir_function *region, const ir_dim *map);
// Shorthands that return null where ir_build does.
ir_value *ir_build1(ir_function *function, ir_op op, ir_value *x, ir_loc loc, const char **out_error);
ir_value *ir_build2(ir_function *function, ir_op op, ir_value *x, ir_value *y, ir_loc loc, const char **out_error);
ir_value *ir_build_constant(ir_function *function, double value, ir_dtype dtype, ir_loc loc);

ir_attr ir_attr_int(ir_attr_name name, int64_t value);  // also BOOL
ir_attr ir_attr_float(ir_attr_name name, double value);
ir_attr ir_attr_ints(ir_attr_name name, const int64_t *values, int count);
ir_attr ir_attr_dim(ir_attr_name name, ir_dim dim);
ir_attr ir_attr_dims(ir_attr_name name, const ir_dim *dims, int count);
ir_attr ir_attr_dtype(ir_attr_name name, ir_dtype dtype);
ir_attr ir_attr_combine(ir_attr_name name, ir_combine combine);
// True of ops that name a function: call, route and those with regions.
bool ir_op_takes_function(ir_op op);
// Null if the node has none of this name.
const ir_attr *ir_node_attr(const ir_node *node, ir_attr_name name);

// ---- changing
// Inserts a new node before |position| (null: at the end). Same errors as ir_build.
ir_node *ir_insert(ir_function *function, ir_node *position, ir_op op, ir_value *const *operands, int operand_count,
                   const ir_attr *attrs, int attr_count, ir_loc loc, const char **out_error);
ir_node *ir_insert_call(ir_function *function, ir_node *position, ir_function *callee, ir_value *const *operands,
                        int operand_count, ir_loc loc, const char **out_error);
ir_node *ir_insert_region(ir_function *function, ir_node *position, ir_op op, ir_function *first, ir_function *second,
                          ir_value *const *operands, int operand_count, const ir_attr *attrs, int attr_count,
                          ir_loc loc, const char **out_error);
// A copy of |node| before |position|, its regions cloned, dims replaced by |map| (null: the same). |values| maps the
// ids of values (of |node|'s function) to their stand-ins; the results are entered. Null where a rule refuses it.
ir_node *ir_node_clone(ir_function *function, ir_node *position, const ir_node *node, const ir_dim *map,
                       ir_value **values);
// |name| with a number behind it that no function has yet.
const char *ir_module_fresh_name(ir_module *module, const char *name);
// |attr| with dims replaced by |map|.
ir_attr ir_attr_substitute(ir_dim_table *dims, const ir_attr *attr, const ir_dim *map);
// Drops the functions that are regions without an owner, as removed nodes leave them behind. True if there were any.
bool ir_module_drop_regions(ir_module *module);
void ir_node_remove(ir_node *node);  // from its list; its results must be unused
void ir_value_replace(ir_function *function, ir_value *old, ir_value *with);  // in all operands and results
int ir_value_use_count(const ir_function *function, const ir_value *value);   // operands and results
void ir_function_renumber(ir_function *function);

// ---- text, checks
const char *ir_print_module(weir_arena *arena, const ir_module *module);
const char *ir_print_function(weir_arena *arena, const ir_function *function);
// INVALID_DATA with line and column on a malformed text; what it returns has passed ir_verify.
weir_status ir_parse_module(weir_arena *arena, const char *text, size_t length, ir_module **out_module);
// Operand and result types by the table, one definition, definitions before uses, call signatures, no recursion, linear
// states. The message holds the function's text with the complaint under the offending line.
weir_status ir_verify(const ir_module *module);

// ---- meaning
// A tensor of the interpreter: elements as float64 in row-major order (integers up to 2^53 are exact).
typedef struct {
  ir_dtype dtype;
  int rank;
  int64_t dims[IR_MAX_RANK];
  double *data;
} ir_tensor;
int64_t ir_tensor_elements(const ir_tensor *tensor);
// Runs |function| for one request. |args| in parameter order (state parameters: the state before; empty rows have
// dims[0] == 0); |results| in result order, allocated in |arena|. Symbols are bound by the args' dims and checked
// against bounds and integer ranges: INVALID_ARGUMENT names the one that fails. Casts round to their type; everything
// else is float64.
weir_status ir_interpret(weir_arena *arena, const ir_function *function, const ir_tensor *args, ir_tensor *results);
// The same with sizes that no argument binds, such as T.past where the states have fixed shapes.
typedef struct {
  const ir_symbol *symbol;
  int64_t value;
} ir_symbol_value;
typedef struct {
  const ir_symbol_value *symbols;
  int symbol_count;
} ir_interpret_options;
weir_status ir_interpret_with(weir_arena *arena, const ir_function *function, const ir_interpret_options *options,
                              const ir_tensor *args, ir_tensor *results);
// The reference of single ops (ir_eval_<name>), used by ir_interpret and by constant folding: all operands known,
// result dims known.
// |result| is the first of as many as the node has.
typedef void (*ir_eval_fn)(const ir_node *node, const ir_tensor *operands, ir_tensor *result);
ir_eval_fn ir_op_eval(ir_op op);  // null for call and what owns regions

// Floating point operations and bytes moved by one node for the given symbol values.
void ir_node_cost(const ir_node *node, const int64_t *values, double *out_flops, double *out_bytes);

#endif
