// How values are put together, one after another (fold, scatter), and the references of what picks and places rows by
// an index.
#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/rules.h"

static double type_end(ir_dtype dtype, bool high) {
  int64_t lo, hi;
  if (!ir_dtype_is_int(dtype)) return high ? INFINITY : -INFINITY;
  ir_dtype_range(dtype, &lo, &hi);
  return (double)(high ? hi : lo);
}

void ir_combiner_start(ir_combiner *c, ir_combine combine, ir_dtype dtype) {
  *c = (ir_combiner){.combine = combine, .dtype = dtype};
  if (combine == IR_COMBINE_prod || combine == IR_COMBINE_all) c->value = 1;
  if (combine == IR_COMBINE_max || combine == IR_COMBINE_argmax) c->value = type_end(dtype, false);
  if (combine == IR_COMBINE_min || combine == IR_COMBINE_argmin) c->value = type_end(dtype, true);
  if (combine == IR_COMBINE_logsumexp) c->value = -INFINITY;
}

static uint64_t bits(double x) { return (uint64_t)(int64_t)x; }

// The sum is kept relative to the largest value so far.
static void add_exp(ir_combiner *c, double x) {
  if (isnan(c->value) || x == -INFINITY) return;
  if (x > c->value || isnan(x)) {
    c->sum = isfinite(x) ? c->sum * exp(c->value - x) + 1 : 0;
    c->value = x;
  } else {
    c->sum += exp(x - c->value);
  }
}

// True where |x| comes before what is there: NaN before all, the first of equals stays.
static bool is_better(const ir_combiner *c, double x) {
  if (c->count == 1) return true;
  if (isnan(x) || isnan(c->value)) return !isnan(c->value);
  return c->combine == IR_COMBINE_argmax ? x > c->value : x < c->value;
}

void ir_combiner_add(ir_combiner *c, double x, int64_t index) {
  bool whole = ir_dtype_is_int(c->dtype);
  c->count++;
  switch (c->combine) {
    case IR_COMBINE_sum:
    case IR_COMBINE_mean:
      c->value = whole ? ir_wrap_to(c->dtype, (int64_t)(bits(c->value) + bits(x))) : c->value + x;
      break;
    case IR_COMBINE_prod:
      c->value = whole ? ir_wrap_to(c->dtype, (int64_t)(bits(c->value) * bits(x))) : c->value * x;
      break;
    case IR_COMBINE_max:
      if (!isnan(c->value) && !(x <= c->value)) c->value = x;
      break;
    case IR_COMBINE_min:
      if (!isnan(c->value) && !(x >= c->value)) c->value = x;
      break;
    case IR_COMBINE_any:
      c->value = c->value != 0 || x != 0;
      break;
    case IR_COMBINE_all:
      c->value = c->value != 0 && x != 0;
      break;
    case IR_COMBINE_logsumexp:
      add_exp(c, x);
      break;
    default:
      if (!is_better(c, x)) break;
      c->value = x;
      c->index = index;
  }
}

double ir_combiner_finish(const ir_combiner *c) {
  switch (c->combine) {
    case IR_COMBINE_mean:
      return c->value / (double)c->count;
    case IR_COMBINE_logsumexp:
      return isfinite(c->value) ? c->value + log(c->sum) : c->value;
    case IR_COMBINE_argmax:
    case IR_COMBINE_argmin:
      return (double)c->index;
    default:
      return c->value;
  }
}

void ir_eval_scatter(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  const ir_tensor *index = &operands[0], *rows = &operands[1];
  ir_combine combine = ir_node_attr(node, IR_ATTR_combine)->combine;
  int64_t targets = result->dims[0], width = targets ? ir_tensor_elements(result) / targets : 0;
  for (int64_t n = 0; n < targets; n++) {
    for (int64_t i = 0; i < width; i++) {
      ir_combiner c;
      ir_combiner_start(&c, combine, rows->dtype);
      for (int64_t e = 0; e < index->dims[0]; e++) {
        if (index->data[e] == (double)n) ir_combiner_add(&c, rows->data[e * width + i], e);
      }
      result->data[n * width + i] = ir_combiner_finish(&c);
    }
  }
}

void ir_eval_element(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t at = 0, count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) result->data[i] = NAN;
  for (int i = 0; i < node->operand_count - 1; i++) {
    double index = operands[i + 1].data[0];
    if (!(index >= 0 && index < (double)operands[0].dims[i])) return;
    at = at * operands[0].dims[i] + (int64_t)index;
  }
  if (count) memcpy(result->data, operands[0].data + at * count, (size_t)count * sizeof *result->data);
}

void ir_eval_stack(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t part = ir_tensor_elements(operands);
  for (int i = 0; i < node->operand_count; i++)
    if (part) memcpy(result->data + i * part, operands[i].data, (size_t)part * sizeof(double));
}
