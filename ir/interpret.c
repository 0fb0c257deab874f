// The interpreter: runs a function node by node with the reference evaluators. It is the meaning of the graph level,
// slow and plain.
//
// A value's buffer is freed after its last use, so that a model's activations need no more than a layer's worth of
// memory at a time. Nodes see a copy of themselves in which every dim is the run's number (eval.h).
#include <stdlib.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/rules.h"
#include "runtime/base/checked.h"

typedef struct {
  ir_tensor tensor;
  const ir_node *last_user;
  bool owned, kept;
} cell;

typedef struct {
  const ir_function *function;
  int64_t *sizes;  // by symbol
  cell *cells;     // by value id
} frame;

static weir_status run_function(const ir_function *function, int64_t *sizes, const ir_tensor *args, ir_tensor *results);

// ---- sizes

static weir_status dim_size(const frame *f, ir_dim dim, int64_t *out) {
  if (ir_dim_eval(dim, f->sizes, out) && *out >= 0) return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "a size in '%s' overflows or is negative", f->function->name);
}

// Fills in dtype and dims and allocates.
static weir_status make_tensor(const frame *f, const ir_type *type, ir_tensor *out) {
  *out = (ir_tensor){.dtype = type->dtype, .rank = type->rank};
  int64_t bytes = sizeof(double);
  for (int i = 0; i < type->rank; i++) {
    WEIR_TRY(dim_size(f, type->dims[i], &out->dims[i]));
    if (!weir_mul_i64(bytes, out->dims[i], &bytes))
      return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "a tensor of '%s' is too large", f->function->name);
  }
  out->data = malloc(bytes ? (size_t)bytes : 1);
  if (!out->data)
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a tensor of %lld bytes", (long long)bytes);
  return WEIR_OK;
}

// A seq that grows starts behind the rows of earlier calls, its history and all else at 0.
static int64_t rows_before(const int64_t *sizes, ir_dim dim) {
  const ir_symbol *symbol = ir_dim_as_symbol(dim);
  return symbol && symbol->past ? sizes[symbol->past->index] : 0;
}

// |node| with numbers for dims, in |copy| and |attrs|.
static weir_status fix_dims(const frame *f, const ir_node *node, ir_node *copy, ir_attr *attrs) {
  ir_dim_table *table = f->function->module->dims;
  *copy = *node;
  copy->attrs = attrs;
  for (int i = 0; i < node->attr_count; i++) {
    int64_t size;
    attrs[i] = node->attrs[i];
    ir_attr_kind kind = ir_attr_get_kind(attrs[i].name);
    if (kind == IR_ATTR_DIM) {
      WEIR_TRY(dim_size(f, attrs[i].dim, &size));
      if (node->op == IR_OP_pos) size = rows_before(f->sizes, attrs[i].dim);
      attrs[i].dim = ir_dim_const(table, size);
    }
    for (int j = 0; kind == IR_ATTR_DIMS && j < attrs[i].count; j++) {
      WEIR_TRY(dim_size(f, attrs[i].dims[j], &size));
      attrs[i].dims[j] = ir_dim_const(table, size);
    }
  }
  return WEIR_OK;
}

// ---- nodes

static weir_status run_call(frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  const ir_module *module = f->function->module;
  int count = ir_symbol_count(module->dims);
  const char *error = NULL;
  ir_dim *map = calloc((size_t)count + 1, sizeof *map);
  int64_t *sizes = calloc((size_t)count + 1, sizeof *sizes);
  weir_status status = WEIR_OK;
  if (!map || !sizes) status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a call");
  else if (!ir_call_bind(node->callee, node->operands, node->operand_count, map, &error))
    status = weir_status_make(WEIR_CODE_INVALID_DATA, "%s", error);
  for (int i = 0; !status && i < count; i++) {
    sizes[i] = f->sizes[i];
    if (map[i]) status = dim_size(f, map[i], &sizes[i]);
  }
  if (!status) status = run_function(node->callee, sizes, operands, results);
  free(map);
  free(sizes);
  return status;
}

static weir_status run_op(frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  ir_node copy;
  ir_attr attrs[4];
  WEIR_TRY(fix_dims(f, node, &copy, attrs));
  WEIR_TRY(make_tensor(f, &node->results[0]->type, result));
  if (ir_tensor_elements(result) > 0) ir_op_eval(node->op)(&copy, operands, result);
  return WEIR_OK;
}

static void drop(cell *c) {
  if (c->owned) free(c->tensor.data);
  *c = (cell){0};
}

static weir_status run_node(frame *f, const ir_node *node) {
  ir_tensor *operands = calloc((size_t)node->operand_count + 1, sizeof *operands);
  ir_tensor *results = calloc((size_t)node->result_count + 1, sizeof *results);
  weir_status status = WEIR_OK;
  if (!operands || !results) status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a node");
  for (int i = 0; !status && i < node->operand_count; i++) operands[i] = f->cells[node->operands[i]->id].tensor;
  if (!status) status = node->callee ? run_call(f, node, operands, results) : run_op(f, node, operands, results);
  for (int i = 0; i < node->result_count && results; i++) {
    cell *c = &f->cells[node->results[i]->id];
    c->tensor = results[i];
    c->owned = true;
    if (!c->last_user && !c->kept) drop(c);
  }
  for (int i = 0; i < node->operand_count; i++) {
    cell *c = &f->cells[node->operands[i]->id];
    if (c->last_user == node && !c->kept) drop(c);
  }
  free(operands);
  free(results);
  return status;
}

// ---- functions

static void find_last_users(frame *f) {
  for (const ir_node *node = f->function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) f->cells[node->operands[i]->id].last_user = node;
  }
  for (int i = 0; i < f->function->result_count; i++) f->cells[f->function->results[i].value->id].kept = true;
}

// Moves a result out of its cell; copies what is an argument or returned twice.
static weir_status take_result(frame *f, const ir_value *value, ir_tensor *out) {
  cell *c = &f->cells[value->id];
  if (c->owned) {
    *out = c->tensor;
    c->owned = false;
    return WEIR_OK;
  }
  WEIR_TRY(make_tensor(f, &value->type, out));
  memcpy(out->data, c->tensor.data, (size_t)ir_tensor_elements(out) * sizeof(double));
  return WEIR_OK;
}

// |args| are borrowed; the data of |results| is malloc'ed (also on failure, where not null).
static weir_status run_function(const ir_function *function, int64_t *sizes, const ir_tensor *args,
                                ir_tensor *results) {
  frame f = {.function = function, .sizes = sizes};
  f.cells = calloc((size_t)function->next_id + 1, sizeof *f.cells);
  if (!f.cells) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for the values of '%s'", function->name);
  find_last_users(&f);
  for (int i = 0; i < function->param_count; i++) f.cells[function->params[i].value->id].tensor = args[i];
  weir_status status = WEIR_OK;
  for (const ir_node *node = function->first; node && !status; node = node->next) status = run_node(&f, node);
  for (int i = 0; i < function->result_count && !status; i++)
    status = take_result(&f, function->results[i].value, &results[i]);
  for (int i = 0; i < function->next_id; i++) {
    if (f.cells[i].owned) free(f.cells[i].tensor.data);
  }
  free(f.cells);
  return status;
}

// ---- arguments

typedef struct {
  const ir_function *function;
  int64_t *sizes;
  bool *bound;
  const ir_symbol *unbound;  // found by visit_unbound
} binding;

static weir_status wrong(const ir_param *param, const char *fmt, ...) WEIR_PRINTF(2, 3);
static weir_status wrong(const ir_param *param, const char *fmt, ...) {
  char reason[256];
  va_list args;
  va_start(args, fmt);
  vsnprintf(reason, sizeof reason, fmt, args);
  va_end(args);
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "argument '%s': %s", param->name, reason);
}

static weir_status bind_arg(binding *b, const ir_param *param, const ir_tensor *arg) {
  const ir_type *type = &param->value->type;
  if (arg->dtype != type->dtype || arg->rank != type->rank) {
    return wrong(param, "is %s with %d dims, not %s with %d", ir_dtype_name(arg->dtype), arg->rank,
                 ir_dtype_name(type->dtype), type->rank);
  }
  for (int i = 0; i < type->rank; i++) {
    const ir_symbol *symbol = ir_dim_as_symbol(type->dims[i]);
    if (!symbol || b->bound[symbol->index]) continue;
    b->bound[symbol->index] = true;
    b->sizes[symbol->index] = arg->dims[i];
  }
  return WEIR_OK;
}

static weir_status check_symbol(const binding *b, const ir_symbol *symbol) {
  int64_t size = b->sizes[symbol->index], total = size;
  if (!b->bound[symbol->index]) return WEIR_OK;
  if (size < symbol->lo || size > symbol->hi) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%s = %lld is not in %lld..=%lld", symbol->name,
                            (long long)size, (long long)symbol->lo, (long long)symbol->hi);
  }
  if (size % symbol->divisor) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%s = %lld is no multiple of %lld", symbol->name,
                            (long long)size, (long long)symbol->divisor);
  }
  if (symbol->past && (!weir_add_i64(size, b->sizes[symbol->past->index], &total) || total > symbol->hi)) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%s = %lld after %lld rows is above %lld", symbol->name,
                            (long long)size, (long long)b->sizes[symbol->past->index], (long long)symbol->hi);
  }
  return WEIR_OK;
}

static void visit_unbound(void *user, const ir_symbol *symbol) {
  binding *b = user;
  if (!b->bound[symbol->index]) b->unbound = symbol;
}

// Every symbol that the function's types and attributes mention has a size. Rows before a call that no state counts are
// 0.
static weir_status check_bound(binding *b) {
  const ir_dim_table *dims = b->function->module->dims;
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *past = ir_symbol_at(dims, i)->past;
    if (past) b->bound[past->index] = true;
  }
  for (int i = 0; i < b->function->param_count; i++) {
    const ir_type *type = &b->function->params[i].value->type;
    for (int j = 0; j < type->rank; j++) ir_dim_visit(type->dims[j], visit_unbound, b);
  }
  for (const ir_node *node = b->function->first; node; node = node->next) {
    for (int i = 0; i < node->result_count; i++) {
      for (int j = 0; j < node->results[i]->type.rank; j++)
        ir_dim_visit(node->results[i]->type.dims[j], visit_unbound, b);
    }
    for (int i = 0; i < node->attr_count; i++) {
      if (ir_attr_get_kind(node->attrs[i].name) == IR_ATTR_DIM) ir_dim_visit(node->attrs[i].dim, visit_unbound, b);
    }
  }
  if (!b->unbound) return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "no argument of '%s' fixes the size %s", b->function->name,
                          b->unbound->name);
}

static weir_status check_arg(const binding *b, const ir_param *param, const ir_tensor *arg) {
  const ir_value *value = param->value;
  for (int i = 0; i < arg->rank; i++) {
    int64_t size;
    if (ir_dim_eval(value->type.dims[i], b->sizes, &size) && size == arg->dims[i]) continue;
    return wrong(param, "dim %d is %lld, which is not the declared size", i, (long long)arg->dims[i]);
  }
  int64_t count = ir_tensor_elements(arg);
  for (int64_t i = 0; value->lo <= value->hi && i < count; i++) {
    if (arg->data[i] >= (double)value->lo && arg->data[i] <= (double)value->hi) continue;
    return wrong(param, "element %lld is %.17g, outside %lld..=%lld", (long long)i, arg->data[i], (long long)value->lo,
                 (long long)value->hi);
  }
  return WEIR_OK;
}

static weir_status bind_args(binding *b, const ir_tensor *args) {
  const ir_function *function = b->function;
  for (int i = 0; i < function->param_count; i++) WEIR_TRY(bind_arg(b, &function->params[i], &args[i]));
  WEIR_TRY(check_bound(b));
  for (int i = 0; i < ir_symbol_count(function->module->dims); i++)
    WEIR_TRY(check_symbol(b, ir_symbol_at(function->module->dims, i)));
  for (int i = 0; i < function->param_count; i++) WEIR_TRY(check_arg(b, &function->params[i], &args[i]));
  return WEIR_OK;
}

weir_status ir_interpret(weir_arena *arena, const ir_function *function, const ir_tensor *args, ir_tensor *results) {
  int symbols = ir_symbol_count(function->module->dims);
  binding b = {.function = function};
  b.sizes = WEIR_NEW_ARRAY(arena, int64_t, symbols);
  b.bound = WEIR_NEW_ARRAY(arena, bool, symbols);
  WEIR_TRY(bind_args(&b, args));
  for (int i = 0; i < function->result_count; i++) results[i] = (ir_tensor){0};
  weir_status status = run_function(function, b.sizes, args, results);
  for (int i = 0; i < function->result_count; i++) {
    double *owned = results[i].data;
    if (!owned) continue;
    int64_t count = ir_tensor_elements(&results[i]);
    results[i].data = WEIR_NEW_ARRAY(arena, double, count);
    memcpy(results[i].data, owned, (size_t)count * sizeof(double));
    free(owned);
  }
  return status;
}
