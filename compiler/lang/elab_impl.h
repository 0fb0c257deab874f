// What the files of the elaborator share. Not for others: elab.h is the contract.
//
// lang_elab is one run. lang_frame is one body being executed: of a block, a fn, an entry; or being laid out
// (|structure|), when only declarations count and no tensor exists. lang_function is one graph function with what
// callers must know about it. lang_site is where we are, for the notes of a diagnostic: the chain of blocks and fns
// from the entry down.
#ifndef WEIR_COMPILER_LANG_ELAB_IMPL_H
#define WEIR_COMPILER_LANG_ELAB_IMPL_H

#include <stdlib.h>

#include "runtime/base/checked.h"

#include "compiler/lang/elab.h"
#include "compiler/lang/value.h"

enum {
  LANG_STEP_BUDGET = 2 * 1000 * 1000,  // evaluations, up to 300 bytes each; 100 layers take some ten thousand
  LANG_DEPTH_LIMIT = 1000,             // expressions within expressions, through calls
  LANG_BLOCK_LIMIT = 64,               // instances within instances
};

typedef struct lang_elab lang_elab;
typedef struct lang_frame lang_frame;
typedef struct lang_function lang_function;

// ---- texts that grow
typedef struct {
  weir_arena *arena;
  char *data;
  size_t length, capacity;
} lang_buffer;
void lang_buffer_add(lang_buffer *buffer, const char *fmt, ...) WEIR_PRINTF(2, 3);
void lang_buffer_puts(lang_buffer *buffer, const char *text);

// ---- elab_table.c: numbers by hash
typedef struct {
  uint64_t hash;
  int value;
  bool used;
} lang_table_entry;
typedef struct {
  lang_table_entry *data;
  int count, capacity;
} lang_table;
uint64_t lang_table_hash(const char *text);
void lang_table_add(weir_arena *arena, lang_table *table, uint64_t hash, int value);
// The next value with that hash, in no order; -1 after the last. |*cursor| starts at 0.
int lang_table_next(const lang_table *table, uint64_t hash, int *cursor);

// ---- where we are
typedef struct lang_site {
  struct lang_site *parent;
  const char *what;  // "in block Attention{...} at model.layers.0.self_attn"
  lang_span span;    // of the call or construction
} lang_site;

// ---- members
typedef enum { LANG_SLOT_WEIGHT, LANG_SLOT_STATE } lang_slot_kind;
struct lang_slot {
  lang_slot_kind kind;
  const char *path;  // in the model
  LANG_LIST(const char *) aliases;
  lang_span span;         // of its name
  const lang_type *type;  // as declared
  ir_dtype dtype;
  ir_dtype kept;  // of rows that are appended: what they are rounded to, once; elsewhere |dtype|
  bool is_f;
  int rank;  // of a state over rows: without the rows
  ir_dim dims[IR_MAX_RANK];
  const char *init;
  const lang_expr *over;  // of a state over rows, else null
  lang_instance *owner;
  int64_t window;           // over last(T, W): W; 0 keeps all
  bool read, written;       // by some step; of states that begin empty
  bool whole;               // over S and assigned whole: a history that does not grow
  const ir_symbol *symbol;  // the seq that its rows or a scan that carries it run over, once a step has said so
  int64_t least, most;      // rows that steps assign whole; most 0: none
  int index;                // in lang_graph's weights or memories; -1
  int mark;                 // visited by the listing numbered so
  int order;                // its place in that listing
  lang_function *seen;      // which function has it as a parameter,
  int seen_index;           // and which of its uses
};

// The tree of dotted names of an instance. A node is a value (member), a slot, or the beginning of longer names.
struct lang_space {
  const char *name;
  lang_instance *owner;
  bool has_value;
  lang_value value;
  lang_slot *slot;
  lang_span span;
  LANG_LIST(lang_space *) children;  // grown by lang_space_add
  lang_name_table table;             // of their names
};

struct lang_instance {
  const char *name;  // of the block or model
  const lang_file *file;
  const lang_block *block;  // or null
  const lang_model *model;  // or null
  const lang_params *params;
  const lang_body *body;
  lang_value *args;  // one for each of |params|
  lang_span *arg_spans;
  lang_scope *scope;  // parameters and lets
  lang_space *space;
  const char *path;  // null until it has a place; "" for the model
  LANG_LIST(const char *) aliases;
  lang_span span;        // of the construction
  lang_instance *owner;  // in whose body it was constructed; null for the model
  int depth;
  int order;  // its number in that listing
  bool failed;
  bool refused;  // its `where` does not hold, which is reported
  int mark;      // visited by the listing numbered so
};

// ---- regions: bodies that run at run time (docs/design/regions.md)
typedef enum { LANG_REGION_INDEX, LANG_REGION_SCAN, LANG_REGION_COND } lang_region_kind;
typedef struct {
  ir_value *origin;         // as the text's name has it
  ir_value *outer, *inner;  // in the terms of what is around the region, and the region's own parameter
} lang_capture;
// Rows that both arms of a cond append: a local of each arm until the cond has chosen one.
typedef struct {
  lang_slot *slot;
  const char *path;
  lang_name hidden;
} lang_joint;

typedef struct lang_region {
  struct lang_region *parent;  // in the same graph function, or null
  lang_region_kind kind;
  ir_function *ir;
  LANG_LIST(lang_capture) captures;      // its last parameters, in order
  const ir_symbol *over;                 // a scan over this seq, or null
  const char *variable;                  // a scan's, or null
  LANG_LIST(const lang_slot *) carried;  // states that a scan carries
  const lang_stmt *choice;               // of an arm: its cond, or null
  LANG_LIST(lang_joint) joints;          // of an arm
} lang_region;

// ---- graph functions
typedef enum { LANG_USE_READ, LANG_USE_APPEND, LANG_USE_WRITE } lang_use_kind;
typedef struct {
  lang_slot *slot;
  ir_value *param;  // null where a state needs none (entries)
  lang_use_kind kind;
  lang_tensor_value *current;  // states: what the name stands for now, as it is kept,
  lang_tensor_value *read;     // and as declared, where that is another type; null until it is read
  lang_span span;              // of the append or the write
  bool before;                 // its value before this call was read, outside of a scan that carries it,
  lang_span before_span;       // here
  bool failed;                 // an append that was reported
  const ir_symbol *scanned;    // the seq of the scan that carries it, or null
  int order;                   // done: the number of the slot in the listing of the roots
} lang_usage;

// A complaint that holds only if |symbol| turns out to grow in the step.
typedef struct {
  const ir_symbol *symbol;
  lang_diag_code code;
  lang_span span;
  const char *subject;
  lang_site *site;
  const lang_function *function;  // with |value|: along its dim |axis|; or null
  const ir_value *value;
  int axis;
  const ir_symbol *also;  // holds only if this one grows, too; or null
} lang_event;

typedef struct {
  const ir_symbol *symbol;
  lang_span span;  // of the append or the scan that grows it
  bool scan;
} lang_growth;

typedef struct {
  lang_value value;
  const char *path;
} lang_root;

struct lang_function {
  ir_function *ir;
  const char *key;
  const char *base;  // the key without what only checks depend on
  lang_instance *root;
  bool step;
  bool threaded;  // of an entry: states that the caller has values of are parameters
  bool failed, done;
  lang_region *region;                // innermost: where ops are built; null: in the function itself
  struct lang_index_scope *index;     // the statement of index notation whose elements are evaluated, or null
  LANG_LIST(lang_root) roots;         // whose slots it may use: the instance, then instances among its arguments
  LANG_LIST(lang_usage) uses;         // done: in the order of its parameters, those without one last
  lang_table used;                    // while it is built: uses by slot
  LANG_LIST(lang_function *) merged;  // callees whose events are here already
  LANG_LIST(lang_event) events;
  LANG_LIST(lang_growth) grown;
  lang_value result;  // as the text of the function has it: types, roles; values are the function's own
};

// ---- one body
struct lang_frame {
  lang_elab *elab;
  const lang_file *file;
  lang_instance *self;
  lang_scope *scope;        // innermost
  lang_scope *locals;       // of the body: where assignments go
  lang_function *function;  // null where there are no tensors
  bool structure;           // laying out an instance
  bool main;                // the body of self's block: its lets are evaluated already
  int loops;                // inside of so many `for`
  int arms;                 // inside of so many `if`
  lang_region *region;      // whose statements are run, null in the body itself; |locals| are its own
  bool returned;
  lang_value result;
  lang_span result_span;
};

// Where a fn or block names another one, which would be expanded in it.
typedef struct {
  int node;
  lang_span span;
  const char *name;
} lang_mention;
typedef LANG_LIST(lang_mention) lang_mention_list;

struct lang_elab {
  weir_arena *arena;
  const lang_program *program;
  lang_diags *diags;
  const lang_options *options;
  ir_module *module;
  lang_graph *graph;
  lang_instance *model;
  bool step;  // elaborating a step, else an entry
  int64_t steps;
  lang_span spent;  // where steps were last spent that have a place
  bool exhausted;   // no further step is taken,
  bool stopped;     // and nothing more is said
  int depth;
  int listing;       // number of the last listing
  lang_span demand;  // of what must prove the condition that is evaluated, else no place
  lang_site *site;
  lang_diag *open;  // waits for the notes of its site
  lang_site *open_site;
  uint64_t *reported;  // set of (code, place)
  int reported_count, reported_capacity;
  LANG_LIST(lang_function *) functions;
  lang_table keys, bases;  // functions by key and by base
  LANG_LIST(lang_slot *) slots;
  LANG_LIST(const lang_fn *) active;  // being executed: none contains itself
  struct {
    const lang_item *item;
    lang_scope *scope;
    bool busy;
  } * lets;
  int let_count, let_capacity;
  lang_mention_list *mentions;  // of each symbol of the program, then of each fn within a body
  int mention_count, mention_capacity;
};

// ---- elab_diag.c
// Reports once per code and place; the notes of the present site follow those that the caller adds. Never null.
lang_diag *lang_error(lang_elab *elab, lang_diag_code code, lang_span span, ...);
bool lang_reported(const lang_elab *elab, lang_diag_code code, lang_span span);
void lang_note_add(lang_elab *elab, lang_diag *diag, lang_span span, const char *fmt, ...) WEIR_PRINTF(4, 5);
void lang_error_flush(lang_elab *elab);
// Where dim |axis| of a tensor comes from: the chain of ops back to a parameter or an argument.
void lang_note_dim(lang_elab *elab, lang_diag *diag, const lang_function *function, const ir_value *value, int axis,
                   const char *who);
// The operand and axis that axis |*axis| of the result of |node| comes from; false where the node itself says the size.
bool lang_axis_origin(const ir_node *node, int *axis, int *operand);
// Pushes a site; pop by giving back the old one.
lang_site *lang_site_push(lang_elab *elab, const char *what, lang_span span);
// Counts work. False once the budget is spent (reported once).
bool lang_spend(lang_elab *elab, int64_t steps, lang_span span);
bool lang_enter(lang_elab *elab, lang_span span);  // false at the depth limit; pairs with lang_leave if true
void lang_leave(lang_elab *elab);
ir_loc lang_loc(const lang_elab *elab, lang_span span);
// The text of a node.
const char *lang_span_text(const lang_elab *elab, lang_span span);
void lang_suggest(lang_elab *elab, lang_diag *diag, const char *name, const char *const *candidates, int count);

// ---- elab_names.c: what can be said of a declaration alone
void lang_names_check(lang_elab *elab, const lang_file *file);
// The blocks that are constructed in the values of a section exist.
void lang_names_check_blocks(lang_elab *elab, const lang_file *file, const lang_exprs *values);
// Whether a body or a fn of it assigns the state over rows |name| whole, which is reported with the names.
bool lang_assigned_whole(const lang_body *body, const char *name);

// ---- elab_lookup.c
lang_value lang_lookup(lang_frame *frame, const char *name, lang_span span);
lang_value lang_field(lang_frame *frame, lang_value base, const lang_expr *expr);
const lang_fn *lang_body_fn(const lang_body *body, const char *name);
// The tensor of a slot in the function being built.
lang_value lang_slot_read(lang_frame *frame, lang_slot *slot, lang_span span);
lang_usage *lang_slot_use(lang_frame *frame, lang_slot *slot);

// ---- elab_region.c
// Opens a region within the one that ops are built in; from here on ops go into it, and what they use from outside is
// captured. Parameters of its own come before the first op. Close gives back to what was around it.
lang_region *lang_region_open(lang_frame *frame, lang_region_kind kind);
ir_value *lang_region_param(lang_region *region, const char *name, ir_type type);
void lang_region_close(lang_frame *frame, const lang_region *region);
// Ops go back into a region that was closed and has no owner yet.
void lang_region_enter(lang_frame *frame, lang_region *region);
// Where ops are built, and a value as they see it.
ir_function *lang_here(const lang_frame *frame);
ir_value *lang_capture_value(lang_frame *frame, ir_value *value);
// Makes the captures of two regions of one node the same, in one order.
void lang_region_join(lang_frame *frame, lang_region *first, lang_region *second);
// The owner, built in what is around the closed regions: operands are |operands|, then the captures. Null after a
// report. |second| may be null.
ir_node *lang_region_build(lang_frame *frame, ir_op op, lang_region *first, lang_region *second,
                           ir_value *const *operands, int operand_count, const ir_attr *attrs, int attr_count,
                           lang_span span);
// What |build| puts into the function itself, before everything that is open: its values are seen everywhere.
lang_region *lang_region_leave(lang_frame *frame);  // pairs with lang_region_enter of what it gives
bool lang_region_carries(const lang_frame *frame, const lang_slot *slot);
// All regions of a function: moved behind all that they call, named after it, as one text with it, taken away with it.
void lang_function_move_last(ir_module *module, ir_function *ir);
void lang_regions_move_last(ir_function *ir);
void lang_regions_name(ir_function *ir);
const char *lang_function_text(weir_arena *arena, const ir_function *ir);
void lang_function_drop(ir_function *ir);
// Whether ops are built in a scan; in one over |symbol|.
bool lang_region_loops(const lang_frame *frame);
bool lang_region_scans(const lang_frame *frame, const ir_symbol *symbol);
// A latest value of |symbol| is used where ops are built: whether it meets the rows that the scans around run over.
bool lang_region_meets(lang_frame *frame, const ir_symbol *symbol, lang_span span);

// ---- elab_control.c, elab_cond.c, elab_rows.c: scan and cond
void lang_run_scan(lang_frame *frame, const lang_stmt *stmt);
void lang_run_cond(lang_frame *frame, const lang_stmt *stmt);
bool lang_is_append(const lang_expr *expr);  // `append(...)`
// `path = append(path, rows);` in an arm of a cond whose other arm appends, too; false: it is not that.
bool lang_cond_append(lang_frame *frame, lang_slot *slot, const char *path, const lang_expr *expr);
// The scan's variable of this name in whose body we are, null if it is none: `y[t] = e;` stacks.
const char *lang_scan_variable(const lang_frame *frame, const lang_expr *sub);
void lang_scan_row(lang_frame *frame, const lang_name *name, const char *variable, lang_value row, lang_span span);
// x[t]: row |t| of a loop's variable, or of an i32[] that is proved to lie in x's first dim. Void after a report.
lang_value lang_row_of(lang_frame *frame, lang_tensor_value *x, lang_tensor_value *t, lang_span span);
// pos(t) of such a |t|.
lang_value lang_pos_of(lang_frame *frame, lang_tensor_value *t, lang_span span);

// ---- elab_expr.c
lang_value lang_eval(lang_frame *frame, const lang_expr *expr);
// A size: an int >= 0 or a run-time size; null after a report or for something that comes later (|out_later| may be
// null).
ir_dim lang_eval_dim(lang_frame *frame, const lang_expr *expr, bool *out_later);
bool lang_eval_int(lang_frame *frame, const lang_expr *expr, int64_t *out);
bool lang_truth(lang_frame *frame, const lang_expr *expr, bool *out);  // build-time bool; false when void
lang_value lang_compare(lang_frame *frame, lang_compare_op op, lang_value a, lang_value b, const lang_expr *expr);
lang_value lang_arithmetic(lang_frame *frame, lang_binary_op op, lang_value a, lang_value b, lang_span span);
// Proves the conditions of a `where`; reports those that do not hold or cannot be decided. What comes later is left.
bool lang_prove(lang_frame *frame, const lang_exprs *wheres, lang_span use);

// ---- dims.c
// 1 holds, 0 does not, -1 cannot be decided.
int lang_dim_decide(ir_dim_table *dims, lang_compare_op op, ir_dim a, ir_dim b);
bool lang_dim_equal(ir_dim_table *dims, ir_dim a, ir_dim b);
// Which fact would prove it, as a note.
void lang_note_missing(lang_elab *elab, lang_diag *diag, lang_compare_op op, ir_dim a, ir_dim b);
// The seq symbol of a dim (the one that a T.past belongs to, too), or null.
const ir_symbol *lang_dim_seq(ir_dim dim, ir_dim_table *dims);
bool lang_dim_batch(ir_dim dim);
// Whether it counts rows of earlier calls.
bool lang_dim_history(ir_dim dim, ir_dim_table *dims);
// The symbol of the rows that a window keeps, if the dim is the history of a state over last(T, W); else null.
const ir_symbol *lang_dim_kept(ir_dim dim, ir_dim_table *dims);
// The seq of a latest value that belongs to every one: a fixed-shape state written in this step.
extern const ir_symbol lang_latest_any;
// The value of `dim S: seq = (A - 1) / 2 + 1;`, in the frame's terms; void after a report.
lang_value lang_dim_derive(lang_frame *frame, const char *name, const lang_dim *dim);
ir_symbol *lang_dim_declare(lang_frame *frame, const char *name, const lang_dim *dim, lang_span span);
bool lang_role_find(const char *name, ir_role *out);
// The rule that holds only where |symbol| grows.
void lang_event_add(lang_frame *frame, const ir_symbol *symbol, lang_diag_code code, lang_span span,
                    const char *subject);
// The same for every seq in dim |axis| of |x|, which the report shows the way of.
void lang_event_along(lang_frame *frame, const lang_tensor_value *x, int axis, lang_diag_code code, lang_span span,
                      const char *subject);
void lang_event_at(lang_frame *frame, const ir_symbol *symbol, lang_diag_code code, lang_span span, const char *subject,
                   const ir_value *value, int axis);
// A latest value of |latest| meets rows of |seq|: wrong where both grow.
void lang_latest_event(lang_frame *frame, const ir_symbol *latest, const ir_symbol *seq, lang_span span,
                       const char *subject);
bool lang_function_grows(const lang_function *function, const ir_symbol *symbol);
void lang_events_report(lang_elab *elab, const lang_function *function);

// ---- types.c
typedef struct {
  ir_type type;  // dims null where any will do
  bool is_f;
} lang_tensor_type;
const char *lang_tensor_text(weir_arena *arena, const lang_tensor_value *tensor);
// "f[T, 8]" where |is_f|, else as the graph prints it.
const char *lang_type_text(weir_arena *arena, const ir_type *type, bool is_f);
bool lang_type_is_tensor(const lang_type *type);
// The element type of a tensor type.
bool lang_type_dtype(lang_frame *frame, const lang_type *type, ir_dtype *out, bool *out_is_f);
// Binds the new names of a parameter's type from its argument; then (lang_type_check) compares the rest.
bool lang_type_bind(lang_frame *callee, const lang_type *type, const ir_type *actual);
bool lang_type_check(lang_frame *callee, const lang_type *type, const lang_tensor_value *actual, const char *who,
                     lang_span use);
// A type whose dims are all known: of params, states, entries.
bool lang_type_resolve(lang_frame *frame, const lang_type *type, bool declares, lang_tensor_type *out,
                       const char **labels);
// Fits a build-time value to a declared type (int to float); reports a misfit.
lang_value lang_value_fit(lang_frame *frame, lang_value value, const lang_type *type, const char *who, lang_span span);
// `in 0..V` of integers: inclusive bounds.
// The same where the range may end at a size of the request, |*out_below|, else null.
bool lang_range_limits(lang_frame *frame, const lang_expr *range, int64_t *out_lo, int64_t *out_hi, ir_dim *out_below);
bool lang_range_bounds(lang_frame *frame, const lang_expr *range, int64_t *out_lo, int64_t *out_hi);

// ---- elab_instance.c
lang_value lang_construct(lang_frame *frame, const lang_expr *expr);
lang_instance *lang_instance_model(lang_elab *elab, const lang_symbol *symbol);
// A dim that a model declares which is a member of another one; null if there is none. Its sizes come from arguments.
const lang_dim *lang_model_dim(const lang_instance *self, const char *name);
bool lang_model_dims_hold(lang_frame *callee, lang_span use);
// Gives a member's value its place (instances in lists are numbered) and lays it out.
void lang_place(lang_elab *elab, lang_value value, const char *path, lang_span span);
lang_space *lang_space_find(lang_space *space, const char *name);
void lang_space_add(weir_arena *arena, lang_space *space, lang_space *child);  // its name is set
// Lists all slots below an instance (and its block arguments), each once; |paths| may be null. Appends the pattern of
// sharing to |out_key|.
typedef struct {
  LANG_LIST(lang_slot *) slots;
  LANG_LIST(const char *) paths;
  bool threads;  // a block with states has functions, so that one call may read what another has written
} lang_listing;
void lang_list_begin(lang_elab *elab);
void lang_list_value(lang_elab *elab, lang_value value, const char *path, lang_listing *listing, lang_buffer *out_key);

// ---- elab_call.c
typedef struct {
  const lang_expr *expr;  // the call
  const char *name;       // of what is called
  lang_value *positional;
  const lang_expr **exprs;  // of the positional ones
  int count;
  LANG_LIST(lang_arg) named;
  LANG_LIST(lang_value) named_values;
} lang_call;
lang_value lang_eval_call(lang_frame *frame, const lang_expr *expr);
// The tensor at |index|; null after a report.
lang_tensor_value *lang_tensor_arg(lang_frame *frame, const lang_call *call, int index);
// The value of a named argument, NONE if absent.
lang_value lang_call_named(const lang_call *call, const char *name, const lang_expr **out_expr);
// Values for |params|, in order, from positional and named arguments and defaults; defines them in the callee's scope.
bool lang_bind_params(lang_frame *callee, const lang_params *params, const lang_call *call, lang_value *out,
                      lang_span *out_spans);
// Evaluates arguments into a call; |expr| gives the place. False if one of them is void (out_void says which).
bool lang_call_make(lang_frame *frame, const lang_expr *expr, const lang_args *args, const char *name, lang_call *out,
                    lang_value *out_void);
// Binds the arguments of a call to a signature in |callee|'s scope; the tensors, in order, into |out_tensors| (one for
// each parameter, null for build-time ones). False after a report.
bool lang_bind_signature(lang_frame *callee, const lang_signature *signature, const lang_call *call,
                         lang_tensor_value **out_tensors);
lang_value lang_call_fn(lang_frame *frame, const lang_callable *fn, const lang_call *call);
// Fits the result of a body to its signature.
lang_value lang_result_fit(lang_frame *callee, const lang_signature *signature, lang_value value, lang_span span,
                           const char *who);

// ---- elab_apply.c: graph functions
lang_value lang_apply(lang_frame *frame, lang_instance *instance, const lang_fn *method, const lang_call *call);
// The graph function that an application calls, its tensors (room for each parameter) and the slots it may use; null
// after a report. And what its checks leave to the caller.
lang_function *lang_apply_function(lang_frame *frame, lang_instance *instance, const lang_fn *method,
                                   const lang_call *call, lang_tensor_value **tensors, lang_listing *listing);
void lang_apply_merge(lang_frame *frame, lang_function *callee);
lang_function *lang_function_create(lang_elab *elab, lang_instance *root, ir_function_kind kind, const char *name,
                                    lang_span span);
// Adds the results, orders the parameters, moves it behind its callees. |names| of the results may be null.
void lang_function_finish(lang_frame *frame, lang_value result, const lang_params *names);

// ---- elab_slot.c: param and state declarations
bool lang_is_initialiser(const char *name);  // normal, uniform ...: how a param begins
void lang_slots_declare(lang_frame *frame, const lang_stmt *stmt);
bool lang_slot_takes_cache(const lang_slot *slot);  // whether it keeps float rows that are appended
// Puts a dotted name into an instance's tree; null after a report.
lang_space *lang_space_insert(lang_frame *frame, const lang_path *path);

// ---- elab_stmt.c
void lang_set_local(lang_frame *frame, const lang_name *name, lang_value value);
// What cannot be run leaves its names behind without a value that anybody complains about.
void lang_poison_body(lang_frame *frame, const lang_body *body);
void lang_run_body(lang_frame *frame, const lang_body *body);
void lang_layout_body(lang_frame *frame, const lang_body *body);
void lang_let_run(lang_frame *frame, const lang_let *let, lang_scope *scope);
bool lang_unpack(lang_frame *frame, lang_value value, int count, lang_value *out, lang_span span);
// The items of what `for` runs over; false after a report.
bool lang_iterate(lang_frame *frame, lang_value value, int64_t index, lang_value *out);
int64_t lang_iterations(lang_frame *frame, lang_value value, lang_span span);

// ---- elab_state.c
void lang_state_append(lang_frame *frame, lang_slot *slot, const lang_expr *expr);
// The arguments of `s = append(s, rows)`: the rows, or void after a report.
lang_value lang_state_append_args(lang_frame *frame, const lang_slot *slot, const lang_expr *expr);
// Rows that are there already; |rows| may be void.
void lang_state_append_rows(lang_frame *frame, lang_slot *slot, lang_value rows, lang_span span);
void lang_state_write(lang_frame *frame, lang_slot *slot, lang_value value, lang_span span);
// Whether a state may get a new value where we are; reports why not.
bool lang_state_may_change(lang_frame *frame, const lang_slot *slot, bool append, lang_span span);
// The parameter of the rows before this call, in a step.
lang_tensor_value *lang_state_rows_param(lang_frame *frame, lang_slot *slot, ir_type type, lang_span span);
// What the state's name stands for: its value now, as it is kept, made on first use; null after a report.
lang_tensor_value *lang_state_initial(lang_frame *frame, lang_slot *slot, lang_span span);
// The same as the text reads it: of the declared type.
lang_tensor_value *lang_state_read(lang_frame *frame, lang_slot *slot, lang_span span);

// ---- elab_ops.c
lang_value lang_wrap(lang_frame *frame, ir_value *value, bool is_f, lang_span span);
lang_value lang_build(lang_frame *frame, ir_op op, lang_tensor_value *const *operands, int count, const ir_attr *attrs,
                      int attr_count, lang_span span);
// The same where ops are built, whatever they are.
lang_value lang_build_here(lang_frame *frame, ir_op op, lang_tensor_value *const *operands, int count,
                           const ir_attr *attrs, int attr_count, lang_span span);
// Latest where one of them is: a value of the last row of either.
const ir_symbol *lang_latest_join(const ir_symbol *a, const ir_symbol *b);
// |result| of an op over |operands|: the latest rule, and whether the result is a latest value itself.
void lang_check_latest(lang_frame *frame, lang_tensor_value *const *operands, int count, lang_tensor_value *result,
                       lang_span span);
// Numbers take the type of the tensor operands; shapes are equal or one ends the other.
lang_value lang_elementwise(lang_frame *frame, ir_op op, const lang_value *values, int count, lang_span span);
// A tensor from a tensor, a number (type |like|, or its own), or a size; null after a report.
lang_tensor_value *lang_tensor_of(lang_frame *frame, lang_value value, const lang_tensor_value *like, lang_span span);
// Something looks along a batch dim or takes it for a number.
void lang_batch_error(lang_frame *frame, lang_span span, const char *what, ir_dim dim);
// Role rules of an op that looks along |axis|: refused along a batch, and along a seq that grows.
void lang_axis_rule(lang_frame *frame, const lang_tensor_value *x, int axis, const char *op, lang_span span);
// For two of the |count| dims of a tensor that |op| makes.
void lang_pair_rule(lang_frame *frame, const ir_dim *sizes, int count, const char *op, lang_span span);
// What holds for the dims with roles of any tensor; |op| made it. False after a report.
bool lang_shape_rule(lang_frame *frame, const lang_tensor_value *x, const char *op, lang_span span);
// A dim used as a number or a range of one: refused for a batch, and for a seq that grows.
void lang_length_rule(lang_frame *frame, ir_dim dim, lang_span span);
// A loop's variable over a seq used as a number: refused where the seq grows.
void lang_number_use(lang_frame *frame, const lang_tensor_value *x, lang_span span);
// The axis that `over = ...` means, or -1 after a report.
int lang_axis(lang_frame *frame, const lang_tensor_value *x, const lang_expr *expr, lang_value value);

// ---- elab_numbers.c
// Whether a literal may stand where the type is wanted: integers within its range, other numbers within that of floats.
bool lang_number_fits(lang_value v, ir_dtype dtype);
lang_value lang_cast(lang_frame *frame, lang_value value, ir_dtype dtype, bool is_f, lang_span span);
lang_value lang_builtin_random(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_choose(lang_frame *frame, const lang_builtin *self, const lang_call *call);

// ---- elab_shape.c: reshape, index, slice, permute, concat, split, repeat
lang_value lang_reshape(lang_frame *frame, const lang_expr *expr);
lang_value lang_index(lang_frame *frame, const lang_expr *expr);

// ---- elab_builtin.c
struct lang_builtin {
  const char *name;
  int min, max;       // positional arguments; max -1: any
  const char *named;  // " over causal "
  lang_value (*call)(lang_frame *frame, const lang_builtin *self, const lang_call *call);
  ir_op op;  // of elementwise ones
};
const lang_builtin *lang_builtin_find(const char *name);
const char *lang_builtin_name(const lang_builtin *builtin);
bool lang_builtin_constant(const lang_elab *elab, const char *name, lang_value *out);  // true false training f32 ...
bool lang_builtin_later(const char *name);  // has meaning in a later version only
void lang_builtin_names(weir_arena *arena, lang_names *out);
lang_value lang_builtin_call(lang_frame *frame, const lang_builtin *builtin, const lang_call *call);
// those that move elements: elab_movement.c
lang_value lang_builtin_permute(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_concat(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_split(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_unstack(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_repeat(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_spread(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_last(lang_frame *frame, const lang_builtin *self, const lang_call *call);
// model builtins, in elab_model_ops.c
lang_value lang_builtin_linear(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_attend(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_rope(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_gather(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_pos(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_reduce(lang_frame *frame, const lang_builtin *self, const lang_call *call);
lang_value lang_builtin_clamp(lang_frame *frame, const lang_builtin *self, const lang_call *call);

// ---- elab_index*.c: index notation
// `y[subs] = expr` as a tensor.
lang_value lang_index_value(lang_frame *frame, const lang_sub *subs, int count, const lang_expr *expr, lang_span span);
lang_value lang_index_reduce(lang_frame *frame, const lang_expr *expr);
// While elements are evaluated: x[subs], pos(t), ops (elementwise ones work on elements, others on whole tensors).
lang_value lang_index_element(lang_frame *frame, lang_tensor_value *x, const lang_subs *subs, lang_span span);
// `experts[i](x)` with an element as i. False where the callee is no run-time choice among instances.
bool lang_index_route(lang_frame *frame, const lang_expr *expr, lang_value *out);
// Whether a builtin that works on whole tensors gets no element; reports it.
bool lang_index_takes(lang_frame *frame, const char *name, const lang_call *call);
lang_value lang_index_apply(lang_frame *frame, lang_instance *instance, const lang_fn *method, const lang_call *call);
lang_value lang_index_pos(lang_frame *frame, lang_tensor_value *t, lang_span span);
lang_value lang_index_build(lang_frame *frame, ir_op op, lang_tensor_value *const *operands, int count,
                            const ir_attr *attrs, int attr_count, lang_span span);

// ---- elab_rule.c
// Names that the conditions of a rule have beside all others: 0, 1, ...; null behind the last.
const char *lang_rule_condition(int index);

// ---- elab_pattern.c
typedef struct {
  LANG_LIST(lang_name) names;      // of [i]: |text| is the name;
  LANG_LIST(const char *) values;  // and its number
  LANG_LIST(int) alternatives;     // which one of each {a,b}
  LANG_LIST(int) sizes;            // of how many
  const char *rest;                // what the first ** stands for; or null
} lang_captures;
// Whether the pattern stands for the parameter: by its path or by another one that a tie gives it.
bool lang_pattern_weight(const lang_pattern *pattern, const lang_slot *slot, const char **out_path);
// Whether the pattern stands for |path| or something that it is part of.
bool lang_pattern_below(const lang_pattern *pattern, const char *path);
bool lang_pattern_capture(weir_arena *arena, const lang_pattern *pattern, const char *path, lang_captures *out);
const char *lang_pattern_text(weir_arena *arena, const lang_pattern *pattern);
// The same for patterns in strings, over the names of a checkpoint: * ** {a,b}.
bool lang_glob_match(const char *pattern, const char *name);

// ---- elab_bind.c
void lang_bind_evaluate(lang_elab *elab, const lang_symbol *symbol);

// ---- elab_section.c
void lang_sections_check(lang_elab *elab, const lang_file *file);
void lang_sections_evaluate(lang_elab *elab);

#endif
