// Shared by the files of rules, elab_rule*.c, alone.
//
// lang_rule_form is what a rule's text says, read once. lang_rule_case is one choice of everything it leaves open:
// ranks, types, sizes, numbers. lang_rule_run elaborates a side of it in a case.
#ifndef WEIR_COMPILER_LANG_ELAB_RULE_H
#define WEIR_COMPILER_LANG_ELAB_RULE_H

#include "compiler/lang/elab_impl.h"
#include "compiler/lang/rule.h"

enum { LANG_RULE_MAX = IR_MATCH_MAX, LANG_RULE_INTS = 4, LANG_RULE_DOTS = 5, LANG_RULE_FLOATS = 4 };
// What `f` may be, in the order in which they are tried.
extern const ir_dtype lang_rule_floats[LANG_RULE_FLOATS];

typedef enum {
  LANG_RULE_TENSOR,
  LANG_RULE_FLOAT,
  LANG_RULE_INT,     // a number
  LANG_RULE_SIZE,    // an int that stands in shapes
  LANG_RULE_BOOL,    // the rest is chosen: false, true
  LANG_RULE_DTYPE,   // any element type
  LANG_RULE_BOUNDED  // an int of a short range
} lang_rule_kind;

typedef struct {
  weir_arena *arena;
  const lang_program *program;
  const lang_file *file;
  const lang_rule *decl;
  lang_span span;           // of the name
  const lang_diags *diags;  // knows the sources
  lang_rule_kind kinds[LANG_RULE_MAX];
  int64_t lo[LANG_RULE_MAX], hi[LANG_RULE_MAX];  // of bounded ints
  const char *sizes[LANG_RULE_MAX];              // names of dims, and ints that are sizes
  int size_count;
  bool dots, floats;           // some type has `...`, is `f`
  bool finite[LANG_RULE_MAX];  // tensors that the rule wants finite
  lang_exprs wheres;           // the other conditions
  // found by lang_rule_read, from the first case whose left side is an operation
  const ir_pattern *pattern;
  int64_t least;  // the least size: 0 or 1
  ir_op root;
  int tries;          // cases so far
  ir_module *shared;  // of silent patterns, whose symbols have no names of the text
  int counted;        // an int that the last try found used as a number; -1
  int root_lead;      // rank of the result, less that of `...`
  bool root_is_f;
} lang_rule_form;

typedef struct {
  ir_dtype f;
  int dots;
  lang_value values[LANG_RULE_MAX];  // of build-time parameters
  ir_dim sizes[LANG_RULE_MAX];       // in the order of the form's
  ir_dim lead[LANG_RULE_DOTS];       // `...`
} lang_rule_case;

typedef struct {
  const lang_rule_form *form;
  lang_diags own;
  lang_options options;
  lang_elab elab;
  lang_function function;
  lang_frame frame;
} lang_rule_run;

// ---- elab_rule.c
// Reads the rule; false after a report into |diags|.
bool lang_rule_read(weir_arena *arena, const lang_program *program, const lang_symbol *symbol, ir_module *shared,
                    lang_diags *diags, lang_rule_form *out_form);
// Where patterns of many rules are made: its symbols stand for sizes by their place.
ir_module *lang_rule_module(weir_arena *arena);
// Opens a run in |module|. |tensors|: what the tensors are; null: parameters of the declared types. |diags| null: in
// silence. False where a type cannot be had.
bool lang_rule_open(lang_rule_run *run, const lang_rule_form *form, const lang_rule_case *c, ir_module *module,
                    ir_value *const *tensors, lang_diags *diags);
// A side as the result of the run's function; null where it is refused. A right side that is a number becomes one of
// the element type of |like|.
ir_function *lang_rule_side(lang_rule_run *run, bool left, const ir_type *like);
// What it has taken so far, in operations; |run| may be null.
double lang_rule_work(const lang_rule_run *run);
// Whether the conditions hold, in a run whose sizes and numbers are known.
bool lang_rule_holds(lang_rule_run *run);
// Whether |name| is a declared int, not a dim of a shape.
bool lang_rule_is_int(const lang_rule_form *form, const char *name);
// Walks through the choices of bools, dtypes and bounded ints in |c|: the first one, and the
// next; false behind the last.
void lang_rule_first_choice(const lang_rule_form *form, lang_rule_case *c);
bool lang_rule_next_choice(const lang_rule_form *form, lang_rule_case *c);
// Numbers and sizes that stand for any: symbols of |module|, named as in the text where it is no shared one, and
// numbers that occur nowhere else. The symbol of size i, then of leading dims, has the index lang_rule_symbol(i).
void lang_rule_open_case(const lang_rule_form *form, ir_module *module, lang_rule_case *c);
int lang_rule_symbol(const lang_rule_form *form, int size);
double lang_rule_hole(int param);

// ---- elab_rule_match.c
// The pattern of the left side in this case; null where it has none (|diags| as above).
const ir_pattern *lang_rule_pattern(lang_rule_form *form, const lang_rule_case *c, lang_diags *diags);
bool lang_rule_pattern_is_f(const ir_pattern *pattern);  // the left side's type is `f`
// One rule, as lang_rules_add adds all.
void lang_rule_add(ir_rules *rules, const lang_program *program, const lang_symbol *symbol, ir_module *shared,
                   bool library, const lang_diags *diags);

// ---- elab_rule_test.c
bool lang_rule_test(const lang_rule_form *form, int trials, lang_diags *diags, lang_rule_report *report);

#endif
