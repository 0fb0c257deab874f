// The interpreter: runs a function node by node with the reference evaluators. It is the meaning of the graph level,
// slow and plain.
//
// A value's buffer is freed after its last use, so that a model's activations need no more than a layer's worth of
// memory at a time. Nodes see a copy of themselves in which every dim is the run's number (eval.h).
#include "ir/interpret.h"

#include <stdlib.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/rules.h"
#include "runtime/base/checked.h"

enum { FEW = 8 };

// ---- sizes

weir_status ir_frame_size(const ir_frame *f, ir_dim dim, int64_t *out) {
  if (ir_dim_eval(dim, f->sizes, out) && *out >= 0) return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "a size in '%s' overflows or is negative", f->function->name);
}

static weir_status tensor_dims(const ir_frame *f, const ir_type *type, ir_tensor *out) {
  *out = (ir_tensor){.dtype = type->dtype, .rank = type->rank};
  for (int i = 0; i < type->rank; i++) WEIR_TRY(ir_frame_size(f, type->dims[i], &out->dims[i]));
  return WEIR_OK;
}

weir_status ir_frame_tensor(const ir_frame *f, const ir_type *type, ir_tensor *out) {
  int64_t bytes = sizeof(double);
  WEIR_TRY(tensor_dims(f, type, out));
  for (int i = 0; i < type->rank; i++) {
    if (!weir_mul_i64(bytes, out->dims[i], &bytes))
      return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "a tensor of '%s' is too large", f->function->name);
  }
  out->data = malloc(bytes ? (size_t)bytes : 1);
  if (!out->data)
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a tensor of %lld bytes", (long long)bytes);
  return WEIR_OK;
}

// |node| with numbers for dims, in |copy| and |attrs|.
static weir_status fix_dims(const ir_frame *f, const ir_node *node, ir_node *copy, ir_attr *attrs) {
  ir_dim_table *table = f->function->module->dims;
  *copy = *node;
  copy->attrs = attrs;
  for (int i = 0; i < node->attr_count; i++) {
    int64_t size;
    attrs[i] = node->attrs[i];
    ir_attr_kind kind = ir_attr_get_kind(attrs[i].name);
    if (kind == IR_ATTR_DIM) {
      bool counts = node->op == IR_OP_pos;
      WEIR_TRY(ir_frame_size(f, counts ? ir_dim_first_position(table, attrs[i].dim) : attrs[i].dim, &size));
      attrs[i].dim = ir_dim_const(table, size);
    }
    for (int j = 0; kind == IR_ATTR_DIMS && j < attrs[i].count; j++) {
      WEIR_TRY(ir_frame_size(f, attrs[i].dims[j], &size));
      attrs[i].dims[j] = ir_dim_const(table, size);
    }
  }
  return WEIR_OK;
}

// ---- nodes

weir_status ir_callee_sizes(const ir_frame *f, const ir_dim *map, int count, int64_t *sizes) {
  for (int i = 0; i < count; i++) {
    sizes[i] = f->sizes[i];
    if (map[i]) WEIR_TRY(ir_frame_size(f, map[i], &sizes[i]));
  }
  return WEIR_OK;
}

static weir_status run_call(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  const ir_module *module = f->function->module;
  int count = ir_symbol_count(module->dims);
  const char *error = NULL;
  ir_dim *map = calloc((size_t)count + 1, sizeof *map);
  int64_t *sizes = calloc((size_t)count + 1, sizeof *sizes);
  weir_status status = WEIR_OK;
  if (!map || !sizes) status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a call");
  else if (!ir_call_bind(node->callee, node->operands, node->operand_count, map, &error))
    status = weir_status_make(WEIR_CODE_INVALID_DATA, "%s", error);
  if (!status) status = ir_callee_sizes(f, map, count, sizes);
  if (!status) status = ir_run_function(node->callee, sizes, operands, results);
  free(map);
  free(sizes);
  return status;
}

static weir_status run_op(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  ir_node copy;
  ir_attr attrs[IR_MAX_ATTRS];
  bool any = false;
  if (node->op == IR_OP_element) WEIR_TRY(ir_check_element(f, node, operands));
  WEIR_TRY(fix_dims(f, node, &copy, attrs));
  for (int i = 0; i < node->result_count; i++) {
    const ir_type *type = &node->results[i]->type;
    if (type->rank) WEIR_TRY(ir_frame_tensor(f, type, &results[i]));
    else results[i] = (ir_tensor){.dtype = type->dtype, .data = &f->cells[node->results[i]->id].scalar};
    any |= ir_tensor_elements(&results[i]) > 0;
  }
  if (any) ir_op_eval(node->op)(&copy, operands, results);
  return WEIR_OK;
}

// What is borrowed stays bound: a region's arguments serve all its runs.
static void drop(ir_cell *c) {
  if (!c->owned) return;
  free(c->tensor.data);
  c->tensor = (ir_tensor){0};
  c->owned = false;
}

// Stores what a node made, also where it failed half-way.
static void store(ir_frame *f, const ir_node *node, const ir_tensor *results) {
  for (int i = 0; i < node->result_count; i++) {
    ir_cell *c = &f->cells[node->results[i]->id];
    c->tensor = results[i];
    c->owned = results[i].data && results[i].data != &c->scalar;
    if (!c->last_user && !c->kept) drop(c);
  }
  for (int i = 0; i < node->operand_count; i++) {
    ir_cell *c = &f->cells[node->operands[i]->id];
    if (c->last_user == node && !c->kept) drop(c);
  }
}

weir_status ir_frame_run_node(ir_frame *f, const ir_node *node) {
  ir_tensor near_operands[FEW], near_results[FEW] = {{0}}, *operands = near_operands, *results = near_results;
  bool far = node->operand_count > FEW || node->result_count > FEW;
  if (far) {
    operands = calloc((size_t)node->operand_count + 1, sizeof *operands);
    results = calloc((size_t)node->result_count + 1, sizeof *results);
  }
  weir_status status = WEIR_OK;
  if (!operands || !results) status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a node");
  for (int i = 0; !status && i < node->operand_count; i++) operands[i] = f->cells[node->operands[i]->id].tensor;
  if (!status) {
    status = node->op == IR_OP_call ? run_call(f, node, operands, results)
             : node->callee         ? ir_run_region(f, node, operands, results)
                                    : run_op(f, node, operands, results);
  }
  if (results) store(f, node, results);
  if (far) {
    free(operands);
    free(results);
  }
  return status;
}

// ---- functions

weir_status ir_frame_start(ir_frame *f, const ir_function *function, int64_t *sizes) {
  *f = (ir_frame){.function = function, .sizes = sizes};
  f->cells = calloc((size_t)function->next_id + 1, sizeof *f->cells);
  if (!f->cells) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for the values of '%s'", function->name);
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) f->cells[node->operands[i]->id].last_user = node;
  }
  for (int i = 0; i < function->result_count; i++) f->cells[function->results[i].value->id].kept = true;
  return WEIR_OK;
}

void ir_frame_bind(ir_frame *f, const ir_tensor *args) {
  for (int i = 0; i < f->function->param_count; i++) {
    ir_cell *c = &f->cells[f->function->params[i].value->id];
    c->tensor = args[i];
    c->owned = false;
  }
}

weir_status ir_frame_run(ir_frame *f) {
  for (const ir_node *node = f->function->first; node; node = node->next) WEIR_TRY(ir_frame_run_node(f, node));
  return WEIR_OK;
}

void ir_frame_clear(ir_frame *f) {
  for (const ir_node *node = f->function->first; node; node = node->next) {
    for (int i = 0; i < node->result_count; i++) drop(&f->cells[node->results[i]->id]);
  }
}

void ir_frame_end(ir_frame *f) {
  ir_frame_clear(f);
  free(f->cells);
}

const ir_tensor *ir_frame_result(const ir_frame *f, int index) {
  return &f->cells[f->function->results[index].value->id].tensor;
}

// Copies what is an argument or returned twice.
weir_status ir_frame_take(ir_frame *f, int index, ir_tensor *out) {
  ir_cell *c = &f->cells[f->function->results[index].value->id];
  if (c->owned) {
    *out = c->tensor;
    c->owned = false;
    return WEIR_OK;
  }
  WEIR_TRY(ir_frame_tensor(f, &f->function->results[index].value->type, out));
  size_t bytes = (size_t)ir_tensor_elements(out) * sizeof(double);
  if (bytes) memcpy(out->data, c->tensor.data, bytes);
  return WEIR_OK;
}

weir_status ir_run_function(const ir_function *function, int64_t *sizes, const ir_tensor *args, ir_tensor *results) {
  ir_frame f;
  WEIR_TRY(ir_frame_start(&f, function, sizes));
  ir_frame_bind(&f, args);
  weir_status status = ir_frame_run(&f);
  for (int i = 0; i < function->result_count && !status; i++) status = ir_frame_take(&f, i, &results[i]);
  ir_frame_end(&f);
  return status;
}

// A window's state keeps its last rows only: the rest goes, in place.
static void cut_window(const ir_function *function, const ir_result *result, ir_tensor *value) {
  const ir_param *param = result->state >= 0 ? &function->params[result->state] : NULL;
  const ir_symbol *keep =
      param && param->window && param->value->type.rank ? ir_dim_as_symbol(param->value->type.dims[0]) : NULL;
  if (!keep || !keep->kept_of || value->dims[0] <= keep->hi) return;
  int64_t width = ir_tensor_elements(value) / value->dims[0], gone = value->dims[0] - keep->hi;
  memmove(value->data, value->data + gone * width, (size_t)(keep->hi * width) * sizeof(double));
  value->dims[0] = keep->hi;
}

weir_status ir_interpret_with(weir_arena *arena, const ir_function *function, const ir_interpret_options *options,
                              const ir_tensor *args, ir_tensor *results) {
  int symbols = ir_symbol_count(function->module->dims);
  int64_t *sizes = WEIR_NEW_ARRAY(arena, int64_t, symbols);
  bool *bound = WEIR_NEW_ARRAY(arena, bool, symbols);
  WEIR_TRY(ir_bind_args(function, options, args, sizes, bound));
  for (int i = 0; i < function->result_count; i++) results[i] = (ir_tensor){0};
  weir_status status = ir_run_function(function, sizes, args, results);
  for (int i = 0; i < function->result_count; i++) {
    double *owned = results[i].data;
    if (!owned) continue;
    cut_window(function, &function->results[i], &results[i]);
    int64_t count = ir_tensor_elements(&results[i]);
    results[i].data = WEIR_NEW_ARRAY(arena, double, count);
    memcpy(results[i].data, owned, (size_t)count * sizeof(double));
    free(owned);
  }
  return status;
}

weir_status ir_interpret(weir_arena *arena, const ir_function *function, const ir_tensor *args, ir_tensor *results) {
  ir_interpret_options options = {0};
  return ir_interpret_with(arena, function, &options, args, results);
}
