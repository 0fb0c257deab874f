// The interpreter of regions: map, fold, scan, cond, route. Indices run in row-major order.
//
// The value of a fold is not computed where its guard is false, so that a subscript which the guard keeps in range
// never leaves it: the nodes that the guard needs run first.
#include <stdlib.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/interpret.h"
#include "ir/rules.h"
#include "runtime/base/checked.h"

static weir_status no_memory(void) { return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a region"); }

static weir_status outside(const ir_frame *f, const ir_node *node, int axis, double index, int64_t size) {
  const char *file = node->loc.file ? node->loc.file : "";
  char place[64] = "";
  if (node->loc.line) snprintf(place, sizeof place, " (%.40s:%d)", file, node->loc.line);
  return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "%%%d = %s in '%s'%s: index %.17g of axis %d is not in 0..%lld",
                          node->results[0]->id, ir_op_get_info(node->op)->name, f->function->name, place, index, axis,
                          (long long)size);
}

weir_status ir_check_element(const ir_frame *f, const ir_node *node, const ir_tensor *operands) {
  for (int i = 0; i < node->operand_count - 1; i++) {
    double index = operands[i + 1].data[0];
    if (!(index >= 0 && index < (double)operands[0].dims[i])) return outside(f, node, i, index, operands[0].dims[i]);
  }
  return WEIR_OK;
}

// ---- map, fold

// The frame of a region whose first parameters are the indices in |index|, the others the operands.
static weir_status start(ir_frame *inner, const ir_frame *f, const ir_function *region, double *index, int indices,
                         const ir_tensor *operands) {
  ir_tensor *args = calloc((size_t)region->param_count + 1, sizeof *args);
  if (!args) return no_memory();
  weir_status status = ir_frame_start(inner, region, f->sizes);
  for (int i = 0; i < region->param_count; i++)
    args[i] = i < indices ? (ir_tensor){.dtype = IR_i32, .data = &index[i]} : operands[i - indices];
  if (!status) ir_frame_bind(inner, args);
  free(args);
  return status;
}

// The number of index tuples of |dims|.
static weir_status count_indices(const ir_frame *f, const ir_attr *dims, int64_t *sizes, int64_t *out) {
  *out = 1;
  for (int i = 0; i < dims->count; i++) {
    WEIR_TRY(ir_frame_size(f, dims->dims[i], &sizes[i]));
    if (!weir_mul_i64(*out, sizes[i], out))
      return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "the indices of '%s' overflow", f->function->name);
  }
  return WEIR_OK;
}

static void set_indices(int64_t at, int rank, const int64_t *sizes, double *index) {
  for (int i = rank - 1; i >= 0; i--) {
    index[i] = (double)(at % sizes[i]);
    at /= sizes[i];
  }
}

static weir_status run_map(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  double index[IR_MAX_RANK];
  int64_t sizes[IR_MAX_RANK], count;
  const ir_attr *dims = &node->attrs[0];
  ir_frame inner;
  WEIR_TRY(count_indices(f, dims, sizes, &count));
  WEIR_TRY(ir_frame_tensor(f, &node->results[0]->type, result));
  WEIR_TRY(start(&inner, f, node->callee, index, dims->count, operands));
  weir_status status = WEIR_OK;
  for (int64_t at = 0; at < count && !status; at++) {
    set_indices(at, dims->count, sizes, index);
    status = ir_frame_run(&inner);
    if (!status) result->data[at] = ir_frame_result(&inner, 0)->data[0];
    ir_frame_clear(&inner);
  }
  ir_frame_end(&inner);
  return status;
}

// Marks by value id what the guard (result 1) needs, and keeps every cell: the order of the nodes is not that of the
// list.
static bool *find_guard(ir_frame *inner) {
  const ir_function *region = inner->function;
  bool *needed = calloc((size_t)region->next_id + 1, sizeof *needed);
  if (!needed) return NULL;
  for (int i = 0; i < region->next_id; i++) inner->cells[i].kept = true;
  needed[region->results[1].value->id] = true;
  for (const ir_node *node = region->last; node; node = node->prev) {
    bool used = false;
    for (int i = 0; i < node->result_count; i++) used |= needed[node->results[i]->id];
    for (int i = 0; i < node->operand_count && used; i++) needed[node->operands[i]->id] = true;
    for (int i = 0; i < node->result_count && used; i++) needed[node->results[i]->id] = true;
  }
  return needed;
}

// Runs the nodes whose mark is |mark|.
static weir_status run_marked(ir_frame *inner, const bool *needed, bool mark) {
  for (const ir_node *node = inner->function->first; node; node = node->next) {
    if (node->result_count && needed[node->results[0]->id] == mark) WEIR_TRY(ir_frame_run_node(inner, node));
  }
  return WEIR_OK;
}

static weir_status fold_one(ir_frame *inner, const bool *needed, int64_t at, ir_combiner *c) {
  if (!needed) {
    WEIR_TRY(ir_frame_run(inner));
  } else {
    WEIR_TRY(run_marked(inner, needed, true));
    if (ir_frame_result(inner, 1)->data[0] == 0) return WEIR_OK;
    WEIR_TRY(run_marked(inner, needed, false));
  }
  ir_combiner_add(c, ir_frame_result(inner, 0)->data[0], at);
  return WEIR_OK;
}

static weir_status run_fold(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  double index[IR_MAX_RANK];
  int64_t sizes[IR_MAX_RANK], count;
  const ir_attr *dims = &node->attrs[0];
  const ir_function *region = node->callee;
  ir_frame inner;
  ir_combiner c;
  WEIR_TRY(count_indices(f, dims, sizes, &count));
  WEIR_TRY(ir_frame_tensor(f, &node->results[0]->type, result));
  WEIR_TRY(start(&inner, f, region, index, dims->count, operands));
  bool guarded = region->result_count == 2, *needed = guarded ? find_guard(&inner) : NULL;
  weir_status status = guarded && !needed ? no_memory() : WEIR_OK;
  ir_combiner_start(&c, node->attrs[1].combine, region->results[0].value->type.dtype);
  for (int64_t at = 0; at < count && !status; at++) {
    set_indices(at, dims->count, sizes, index);
    status = fold_one(&inner, needed, at, &c);
    ir_frame_clear(&inner);
  }
  result->data[0] = ir_combiner_finish(&c);
  free(needed);
  ir_frame_end(&inner);
  return status;
}

// ---- scan, cond

typedef struct {
  ir_frame *f;
  const ir_node *node;
  int carries;
  ir_frame body, test;
  ir_tensor *args;  // t, carries, captures
  double t;
} scan;

static void copy_row(ir_tensor *to, int64_t row, const ir_tensor *from) {
  int64_t width = ir_tensor_elements(from);
  if (width) memcpy(to->data + row * width, from->data, (size_t)width * sizeof(double));
}

// One iteration; |*go| says whether there was one. The carries stand in args[1..] and are owned there.
static weir_status iterate(scan *s, int64_t t, ir_tensor *results, bool *go) {
  s->t = (double)t;
  if (s->node->second) {
    ir_frame_bind(&s->test, s->args);
    WEIR_TRY(ir_frame_run(&s->test));
    *go = ir_frame_result(&s->test, 0)->data[0] != 0;
    ir_frame_clear(&s->test);
    if (!*go) return WEIR_OK;
  }
  ir_frame_bind(&s->body, s->args);
  WEIR_TRY(ir_frame_run(&s->body));
  for (int i = s->carries; i < s->node->result_count; i++) copy_row(&results[i], t, ir_frame_result(&s->body, i));
  ir_tensor *next = calloc((size_t)s->carries + 1, sizeof *next);
  weir_status status = next ? WEIR_OK : no_memory();
  for (int i = 0; i < s->carries && !status; i++) status = ir_frame_take(&s->body, i, &next[i]);
  for (int i = 0; i < s->carries && next; i++) {
    if (!next[i].data) continue;
    free(s->args[i + 1].data);
    s->args[i + 1] = next[i];
  }
  free(next);
  ir_frame_clear(&s->body);
  return status;
}

static weir_status run_iterations(scan *s, int64_t count, ir_tensor *results) {
  bool go = true;
  weir_status status = WEIR_OK;
  for (int64_t t = 0; t < count && go && !status; t++) status = iterate(s, t, results, &go);
  for (int i = 0; i < s->carries; i++) {
    results[i] = s->args[i + 1];
    s->args[i + 1].data = NULL;
  }
  return status;
}

// Copies of the carries' first values, and room for the rows.
static weir_status start_scan(scan *s, const ir_tensor *operands, ir_tensor *results) {
  s->args[0] = (ir_tensor){.dtype = IR_i32, .data = &s->t};
  for (int i = s->carries; i < s->node->operand_count; i++) s->args[i + 1] = operands[i];
  for (int i = 0; i < s->carries; i++) {
    WEIR_TRY(ir_frame_tensor(s->f, &s->node->operands[i]->type, &s->args[i + 1]));
    copy_row(&s->args[i + 1], 0, &operands[i]);
  }
  for (int i = s->carries; i < s->node->result_count; i++)
    WEIR_TRY(ir_frame_tensor(s->f, &s->node->results[i]->type, &results[i]));
  return WEIR_OK;
}

static weir_status run_scan(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  scan s = {.f = f, .node = node, .carries = (int)node->attrs[1].i};
  int64_t count = 0;
  WEIR_TRY(ir_frame_size(f, node->attrs[0].dim, &count));
  s.args = calloc((size_t)node->operand_count + 2, sizeof *s.args);
  weir_status status = s.args ? start_scan(&s, operands, results) : no_memory();
  if (!status) status = ir_frame_start(&s.body, node->callee, f->sizes);
  if (!status && node->second) status = ir_frame_start(&s.test, node->second, f->sizes);
  if (!status) status = run_iterations(&s, count, results);
  if (s.body.cells) ir_frame_end(&s.body);
  if (s.test.cells) ir_frame_end(&s.test);
  for (int i = 0; i < s.carries && s.args; i++) free(s.args[i + 1].data);
  free(s.args);
  return status;
}

static weir_status run_cond(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  const ir_function *taken = operands[0].data[0] != 0 ? node->callee : node->second;
  return ir_run_function(taken, f->sizes, operands + 1, results);
}

// ---- route

// Row |at| of |tensor|, borrowed.
static ir_tensor row_of(const ir_tensor *tensor, int64_t at) {
  ir_tensor row = {.dtype = tensor->dtype, .rank = tensor->rank - 1};
  for (int i = 0; i < row.rank; i++) row.dims[i] = tensor->dims[i + 1];
  row.data = tensor->data + at * ir_tensor_elements(&row);
  return row;
}

static weir_status run_row(ir_frame *f, ir_frame *inner, const ir_node *node, int64_t row, int64_t experts,
                           const ir_tensor *operands, ir_tensor *args, ir_tensor *results) {
  double chosen = operands[0].data[row];
  if (!(chosen >= 0 && chosen < (double)experts)) return outside(f, node, 0, chosen, experts);
  for (int i = 0; i < node->callee->param_count; i++) {
    bool weight = node->callee->params[i].kind == IR_PARAM_WEIGHT;
    args[i] = row_of(&operands[i + 1], weight ? (int64_t)chosen : row);
  }
  ir_frame_bind(inner, args);
  WEIR_TRY(ir_frame_run(inner));
  for (int i = 0; i < node->result_count; i++) copy_row(&results[i], row, ir_frame_result(inner, i));
  ir_frame_clear(inner);
  return WEIR_OK;
}

static weir_status run_rows(ir_frame *f, const ir_node *node, ir_dim *map, int64_t *sizes, ir_tensor *args,
                            const ir_tensor *operands, ir_tensor *results) {
  ir_module *module = f->function->module;
  ir_frame inner;
  ir_dim experts_dim;
  const char *error;
  int64_t experts = 0;
  if (!ir_route_bind(module, node->callee, node->operands, node->operand_count, map, &experts_dim, &error))
    return weir_status_make(WEIR_CODE_INVALID_DATA, "%s", error);
  WEIR_TRY(ir_callee_sizes(f, map, ir_symbol_count(module->dims), sizes));
  WEIR_TRY(ir_frame_size(f, experts_dim, &experts));
  for (int i = 0; i < node->result_count; i++) WEIR_TRY(ir_frame_tensor(f, &node->results[i]->type, &results[i]));
  WEIR_TRY(ir_frame_start(&inner, node->callee, sizes));
  weir_status status = WEIR_OK;
  for (int64_t row = 0; row < operands[0].dims[0] && !status; row++)
    status = run_row(f, &inner, node, row, experts, operands, args, results);
  ir_frame_end(&inner);
  return status;
}

static weir_status run_route(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  size_t symbols = (size_t)ir_symbol_count(f->function->module->dims);
  ir_dim *map = calloc(symbols + 1, sizeof *map);
  int64_t *sizes = calloc(symbols + 1, sizeof *sizes);
  ir_tensor *args = calloc((size_t)node->operand_count + 1, sizeof *args);
  weir_status status = map && sizes && args ? run_rows(f, node, map, sizes, args, operands, results) : no_memory();
  free(map);
  free(sizes);
  free(args);
  return status;
}

weir_status ir_run_region(ir_frame *f, const ir_node *node, const ir_tensor *operands, ir_tensor *results) {
  switch (node->op) {
    case IR_OP_map:
      return run_map(f, node, operands, results);
    case IR_OP_fold:
      return run_fold(f, node, operands, results);
    case IR_OP_scan:
      return run_scan(f, node, operands, results);
    case IR_OP_cond:
      return run_cond(f, node, operands, results);
    default:
      return run_route(f, node, operands, results);
  }
}
