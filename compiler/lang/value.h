// Values of elaboration: what an expression is worth while the model is laid out. Build-time values are numbers, texts,
// lists, instances and functions; tensors are values of the graph function that is being built; a run-time size is a
// dim. Small and passed by value.
//
// LANG_V_ERROR stands for something already reported and spreads without a word. LANG_V_LATER stands, while an instance
// is laid out, for what depends on arguments that are not there yet.
#ifndef WEIR_COMPILER_LANG_VALUE_H
#define WEIR_COMPILER_LANG_VALUE_H

#include "compiler/lang/ast.h"
#include "ir/graph.h"

typedef struct lang_instance lang_instance;
typedef struct lang_space lang_space;
typedef struct lang_slot lang_slot;
typedef struct lang_builtin lang_builtin;

typedef enum {
  LANG_V_ERROR,
  LANG_V_LATER,
  LANG_V_NONE,  // a call without a result
  LANG_V_INT,
  LANG_V_FLOAT,
  LANG_V_BOOL,
  LANG_V_STRING,
  LANG_V_DTYPE,
  LANG_V_DIM,    // a run-time size; constant ones are LANG_V_INT
  LANG_V_RANGE,  // a..b, two values: low and (exclusive) high
  LANG_V_LIST,
  LANG_V_TUPLE,  // several results
  LANG_V_FN,
  LANG_V_INSTANCE,
  LANG_V_SPACE,  // the first part of dotted members: `attn` of attn.qkv
  LANG_V_TENSOR,
} lang_value_kind;

typedef struct {
  const lang_fn *decl;  // or null: a builtin
  const lang_builtin *builtin;
  const lang_file *file;
  lang_instance *self;  // whose function it is; null for one of a file
} lang_callable;

// A tensor of the function being built, with what the role and state rules need to know about it.
typedef struct {
  ir_value *value;
  bool is_f;                        // declared as `f`: never mixed with the type that f happens to be
  const ir_symbol *latest;          // where this seq grows, the value is of its last row: never combined with rows
  const lang_slot *state;           // it is this state, by name
  ir_dim index;                     // the variable of a scan or of index notation: it is in 0..index; else null
  const char *labels[IR_MAX_RANK];  // how the text calls the axes, or null: tells apart dims of equal size
  lang_span span;                   // what made it
} lang_tensor_value;

typedef struct lang_value {
  lang_value_kind kind;
  union {
    int64_t i;
    double f;
    bool b;
    const char *s;
    struct {
      ir_dtype type;
      bool is_f;
    } dtype;
    ir_dim dim;
    struct {
      struct lang_value *items;
      int64_t count;
    } list;  // LIST, TUPLE; RANGE: two items
    lang_callable *fn;
    lang_instance *instance;
    lang_space *space;
    lang_tensor_value *tensor;
  };
} lang_value;

static inline lang_value lang_value_error(void) { return (lang_value){.kind = LANG_V_ERROR}; }
static inline lang_value lang_value_later(void) { return (lang_value){.kind = LANG_V_LATER}; }
static inline lang_value lang_value_none(void) { return (lang_value){.kind = LANG_V_NONE}; }
static inline lang_value lang_value_int(int64_t i) { return (lang_value){.kind = LANG_V_INT, .i = i}; }
static inline lang_value lang_value_float(double f) { return (lang_value){.kind = LANG_V_FLOAT, .f = f}; }
static inline lang_value lang_value_bool(bool b) { return (lang_value){.kind = LANG_V_BOOL, .b = b}; }
static inline bool lang_value_is_number(lang_value v) { return v.kind == LANG_V_INT || v.kind == LANG_V_FLOAT; }
static inline double lang_value_number(lang_value v) { return v.kind == LANG_V_INT ? (double)v.i : v.f; }
// Nothing can be said about it: an error that is reported, or a thing that comes later.
static inline bool lang_value_void(lang_value v) { return v.kind == LANG_V_ERROR || v.kind == LANG_V_LATER; }
static inline lang_value lang_value_void_of(lang_value a, lang_value b) {
  return a.kind == LANG_V_ERROR || b.kind == LANG_V_ERROR ? lang_value_error() : lang_value_later();
}

// INT for a constant dim; ERROR for null.
lang_value lang_value_of_dim(ir_dim dim);
lang_value lang_value_list(weir_arena *arena, lang_value_kind kind, const lang_value *items, int64_t count);
// "an int", "a tensor f32[T, 8]", "a list": for messages.
const char *lang_value_describe(weir_arena *arena, lang_value value);
// The value as it would be written: "30", "1e-05", "[1, 2]". Instances by path, functions by name.
const char *lang_value_print(weir_arena *arena, lang_value value);
// Build-time equality of numbers, bools, strings, dtypes and lists of them. Others are never equal.
bool lang_value_equal(lang_value a, lang_value b);

// ---- scopes: names of a body, innermost first
typedef enum { LANG_BINDING_CONST, LANG_BINDING_LOCAL } lang_binding_kind;
typedef struct {
  const char *name;
  lang_value value;
  lang_binding_kind kind;
  lang_span span;
} lang_binding;
// Places in a list by name, for lists that grow long: open addressing, place + 1, 0 for none. Begin with zeros.
typedef struct {
  uint32_t *hashes;
  int *places;
  int size, used;  // |size| a power of two
} lang_name_table;
// Enters a place; of equal names the newest place is found.
void lang_name_table_put(weir_arena *arena, lang_name_table *table, const char *name, int place,
                         const char *(*name_at)(const void *list, int place), const void *list);
// -1 for none.
int lang_name_table_find(const lang_name_table *table, const char *name,
                         const char *(*name_at)(const void *list, int place), const void *list);

typedef struct lang_scope {
  struct lang_scope *parent;
  lang_binding *data;
  int count, capacity;
  lang_name_table table;
} lang_scope;

lang_scope *lang_scope_create(weir_arena *arena, lang_scope *parent);
// In this scope alone, or null.
lang_binding *lang_scope_here(lang_scope *scope, const char *name);
// In this one or those around it, or null.
lang_binding *lang_scope_find(lang_scope *scope, const char *name);
lang_binding *lang_scope_add(weir_arena *arena, lang_scope *scope, const char *name, lang_value value,
                             lang_binding_kind kind, lang_span span);

#endif
