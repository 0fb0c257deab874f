// What a run's arguments say: the size of every symbol, and whether dims, bounds and ranges hold.
#include <stdio.h>

#include "ir/interpret.h"
#include "runtime/base/checked.h"

typedef struct {
  const ir_function *function;
  int64_t *sizes;
  bool *bound;
  const ir_symbol *unbound;  // found by visit_unbound
} binding;

static void set(binding *b, const ir_symbol *symbol, int64_t size) {
  b->bound[symbol->index] = true;
  b->sizes[symbol->index] = size;
}

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
    set(b, symbol, arg->dims[i]);
  }
  return WEIR_OK;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// T.keepN is min(T.past, N): kept rows fewer than N are all there were; a full window does not say how many more. Rows
// before a call that nothing counts are 0.
static weir_status bind_pasts(binding *b) {
  const ir_dim_table *dims = b->function->module->dims;
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *keep = ir_symbol_at(dims, i), *past = keep->kept_of ? keep->kept_of->past : NULL;
    if (!past || !b->bound[i] || b->bound[past->index]) continue;
    if (b->sizes[i] < keep->hi) set(b, past, b->sizes[i]);
    else
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%s = %lld does not say how many rows there were; give %s",
                              keep->name, (long long)keep->hi, past->name);
  }
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *past = ir_symbol_at(dims, i)->past;
    if (past && !b->bound[past->index]) set(b, past, 0);
  }
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *keep = ir_symbol_at(dims, i);
    if (!keep->kept_of || !keep->kept_of->past) continue;
    int64_t past = b->sizes[keep->kept_of->past->index], rows = smaller(past, keep->hi);
    if (b->bound[i] && b->sizes[i] != rows)
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%s = %lld, but of %lld rows %lld are kept", keep->name,
                              (long long)b->sizes[i], (long long)past, (long long)rows);
    set(b, keep, rows);
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

static void visit_type(binding *b, const ir_type *type) {
  for (int i = 0; i < type->rank; i++) ir_dim_visit(type->dims[i], visit_unbound, b);
}

// Every symbol that types and attributes of the body and of its regions mention.
static void visit_body(binding *b, const ir_function *body) {
  for (int i = 0; i < body->param_count; i++) visit_type(b, &body->params[i].value->type);
  for (const ir_node *node = body->first; node; node = node->next) {
    for (int i = 0; i < node->result_count; i++) visit_type(b, &node->results[i]->type);
    for (int i = 0; i < node->attr_count; i++) {
      const ir_attr *attr = &node->attrs[i];
      ir_attr_kind kind = ir_attr_get_kind(attr->name);
      if (kind == IR_ATTR_DIM) ir_dim_visit(attr->dim, visit_unbound, b);
      for (int j = 0; kind == IR_ATTR_DIMS && j < attr->count; j++) ir_dim_visit(attr->dims[j], visit_unbound, b);
    }
    if (node->callee && node->callee->kind == IR_FUNCTION_REGION) visit_body(b, node->callee);
    if (node->second) visit_body(b, node->second);
  }
}

static weir_status check_bound(binding *b) {
  visit_body(b, b->function);
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
  int64_t below;
  if (!value->below) return WEIR_OK;
  if (!ir_dim_eval(value->below, b->sizes, &below)) return wrong(param, "its bound cannot be computed");
  for (int64_t i = 0; i < count; i++) {
    if (arg->data[i] < (double)below) continue;
    return wrong(param, "element %lld is %.17g, not below %lld", (long long)i, arg->data[i], (long long)below);
  }
  return WEIR_OK;
}

weir_status ir_bind_args(const ir_function *function, const ir_interpret_options *options, const ir_tensor *args,
                         int64_t *sizes, bool *bound) {
  binding b = {.function = function, .sizes = sizes, .bound = bound};
  for (int i = 0; i < options->symbol_count; i++) set(&b, options->symbols[i].symbol, options->symbols[i].value);
  for (int i = 0; i < function->param_count; i++) WEIR_TRY(bind_arg(&b, &function->params[i], &args[i]));
  WEIR_TRY(bind_pasts(&b));
  WEIR_TRY(check_bound(&b));
  for (int i = 0; i < ir_symbol_count(function->module->dims); i++)
    WEIR_TRY(check_symbol(&b, ir_symbol_at(function->module->dims, i)));
  for (int i = 0; i < function->param_count; i++) WEIR_TRY(check_arg(&b, &function->params[i], &args[i]));
  return WEIR_OK;
}
