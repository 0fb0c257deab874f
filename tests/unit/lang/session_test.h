// A session at the level of the graph interpreter: arguments by name, states by path, steps one after another. Random
// arguments and weights are the same for one name and seed, so that runs can be compared.
#ifndef WEIR_TESTS_UNIT_LANG_SESSION_TEST_H
#define WEIR_TESTS_UNIT_LANG_SESSION_TEST_H

#include <math.h>

#include "tests/unit/lang/elab_test.h"

enum { SESSION_TENSORS = 64 };

typedef struct {
  const char *name;
  ir_tensor tensor;
} session_tensor;

typedef struct {
  weir_arena *arena;
  const lang_graph *graph;
  session_tensor inputs[SESSION_TENSORS];  // whole ones
  int input_count;
  session_tensor states[SESSION_TENSORS];
  int state_count;
  session_tensor outputs[SESSION_TENSORS];  // of the last call
  int output_count;
  uint64_t seed;  // of weights
} session;

static inline double session_noise(const char *name, int64_t at, uint64_t seed) {
  uint64_t x = seed + (uint64_t)at * 0x9E3779B97F4A7C15u;
  for (; *name; name++) x = (x ^ (unsigned char)*name) * 0x100000001B3u;
  x ^= x >> 31, x *= 0xD6E8FEB86659FD93u, x ^= x >> 32;
  return (double)(x >> 11) * 0x1p-53;
}

static inline ir_tensor *session_find(session_tensor *list, int count, const char *name) {
  for (int i = 0; i < count; i++) {
    if (!strcmp(list[i].name, name)) return &list[i].tensor;
  }
  return NULL;
}

static inline void session_put(session_tensor *list, int *count, const char *name, ir_tensor tensor) {
  ir_tensor *found = session_find(list, *count, name);
  if (found) {
    *found = tensor;
    return;
  }
  cr_assert(*count < SESSION_TENSORS);
  list[(*count)++] = (session_tensor){name, tensor};
}

static inline ir_tensor session_make(session *s, const ir_type *type, const int64_t *sizes, const char *name,
                                     double low, double high) {
  ir_tensor t = {.dtype = type->dtype, .rank = type->rank};
  for (int i = 0; i < type->rank; i++) cr_assert(ir_dim_eval(type->dims[i], sizes, &t.dims[i]));
  int64_t count = ir_tensor_elements(&t);
  t.data = WEIR_NEW_ARRAY(s->arena, double, count + 1);
  for (int64_t i = 0; i < count; i++) {
    t.data[i] = low + (high - low) * session_noise(name, i, s->seed);
    if (!ir_dtype_is_float(type->dtype)) t.data[i] = floor(t.data[i]);
  }
  return t;
}

// Rows first..first + count of an argument.
static inline ir_tensor session_rows(session *s, const ir_tensor *whole, int64_t first, int64_t count) {
  ir_tensor t = *whole;
  int64_t width = whole->dims[0] ? ir_tensor_elements(whole) / whole->dims[0] : 0;
  t.dims[0] = count;
  t.data = WEIR_NEW_ARRAY(s->arena, double, count *width + 1);
  memcpy(t.data, whole->data + first * width, (size_t)(count * width) * sizeof(double));
  return t;
}

// Calls an entry or a step on |rows| rows of |grows| from |past| on; other dims have the sizes of |sizes| (by symbol).
static inline void session_call(session *s, const char *name, const char *grows, int64_t past, int64_t rows,
                                int64_t *sizes) {
  const ir_function *f = ir_function_find(s->graph->module, name);
  cr_assert(f, "no %s", name);
  const ir_dim_table *dims = s->graph->module->dims;
  const ir_symbol *symbol = grows ? ir_symbol_find(dims, grows) : NULL;
  int64_t whole = symbol ? sizes[symbol->index] : 0;
  ir_tensor *args = WEIR_NEW_ARRAY(s->arena, ir_tensor, f->param_count + 1);
  ir_tensor *results = WEIR_NEW_ARRAY(s->arena, ir_tensor, f->result_count + 1);
  for (int i = 0; i < f->param_count; i++) {
    const ir_param *param = &f->params[i];
    const ir_type *type = &param->value->type;
    const ir_symbol *first = type->rank ? ir_dim_as_symbol(type->dims[0]) : NULL;
    ir_tensor *found = param->kind == IR_PARAM_STATE ? session_find(s->states, s->state_count, param->name)
                                                     : session_find(s->inputs, s->input_count, param->name);
    if (param->kind == IR_PARAM_STATE) {
      double init = param->init ? strtod(param->init, NULL) : 0;
      args[i] = found ? *found : session_make(s, type, sizes, param->name, init, init);
      if (!found && first && (first->kept_of || ir_symbol_before(dims, first))) args[i].dims[0] = 0;
      continue;
    }
    if (!found) {
      bool ranged = param->value->lo <= param->value->hi;
      double low = ranged ? (double)param->value->lo : -1, high = ranged ? (double)param->value->hi + 1 : 1;
      session_put(s->inputs, &s->input_count, param->name, session_make(s, type, sizes, param->name, low, high));
      found = session_find(s->inputs, s->input_count, param->name);
    }
    args[i] = first && first == symbol && param->kind == IR_PARAM_INPUT ? session_rows(s, found, past, rows) : *found;
  }
  ir_symbol_value before = {symbol ? symbol->past : NULL, past};
  ir_interpret_options options = {.symbols = &before, .symbol_count = before.symbol != NULL};
  weir_status status = ir_interpret_with(s->arena, f, &options, args, results);
  cr_assert(!status, "%s of %lld rows after %lld: %s", name, (long long)rows, (long long)past,
            weir_status_message(status));
  s->output_count = 0;
  for (int i = 0; i < f->result_count; i++) {
    const ir_result *r = &f->results[i];
    if (r->state >= 0) session_put(s->states, &s->state_count, f->params[r->state].name, results[i]);
    else s->outputs[s->output_count++] = (session_tensor){r->name, results[i]};
  }
  (void)whole;
}

#endif
