// References of ops along one axis: running sums, order, movement around, Fourier transforms, quantised numbers.
#include <math.h>
#include <stdlib.h>

#include "ir/eval.h"

// The lines of a tensor along an axis: element j of line |start| lies at start + j * stride.
typedef struct {
  int64_t size, stride, lines;
} axis_lines;

static axis_lines lines_of(const ir_tensor *x, int64_t axis) {
  axis_lines a = {.size = x->dims[axis], .stride = 1};
  for (int i = (int)axis + 1; i < x->rank; i++) a.stride *= x->dims[i];
  a.lines = a.stride;
  for (int i = 0; i < axis; i++) a.lines *= x->dims[i];
  return a;
}

static int64_t line_start(const axis_lines *a, int64_t line) {
  return line / a->stride * a->stride * a->size + line % a->stride;
}

// ---- running values

static void running(const ir_node *node, const ir_tensor *x, ir_tensor *result, ir_combine combine) {
  axis_lines a = lines_of(x, ir_node_attr(node, IR_ATTR_axis)->i);
  for (int64_t line = 0; line < a.lines; line++) {
    int64_t at = line_start(&a, line);
    ir_combiner c;
    ir_combiner_start(&c, combine, x->dtype);
    for (int64_t j = 0; j < a.size; j++, at += a.stride) {
      ir_combiner_add(&c, x->data[at], j);
      result->data[at] = ir_combiner_finish(&c);
    }
  }
}

#define RUNNING(name, combine)                                                             \
  void ir_eval_##name(const ir_node *node, const ir_tensor *operands, ir_tensor *result) { \
    running(node, operands, result, IR_COMBINE_##combine);                                 \
  }
RUNNING(cumsum, sum)
RUNNING(cumprod, prod)
RUNNING(cummax, max)
RUNNING(cummin, min)
RUNNING(cumlogsumexp, logsumexp)

// ---- order

typedef struct {
  double value;
  int64_t index;
} item;

static int by_index(const item *a, const item *b) { return a->index < b->index ? -1 : a->index > b->index; }

static int rising(const void *p, const void *q) {
  const item *a = p, *b = q;
  if (isnan(a->value) || isnan(b->value)) {
    int order = isnan(a->value) - isnan(b->value);
    return order ? order : by_index(a, b);
  }
  return a->value < b->value ? -1 : a->value > b->value ? 1 : by_index(a, b);
}

static int falling(const void *p, const void *q) {
  const item *a = p, *b = q;
  if (isnan(a->value) || isnan(b->value) || a->value == b->value) return rising(p, q);
  return a->value > b->value ? -1 : 1;
}

// The first |count| of each line in order; values and indices where wanted. Without memory the result is NaN.
static void order(const ir_tensor *x, int64_t axis, bool descending, int64_t count, double *values, double *indices) {
  axis_lines a = lines_of(x, axis), to = a;
  item *items = calloc((size_t)a.size + 1, sizeof *items);
  to.size = count;
  for (int64_t line = 0; line < a.lines; line++) {
    int64_t from = line_start(&a, line), at = line_start(&to, line);
    for (int64_t j = 0; j < a.size && items; j++) items[j] = (item){x->data[from + j * a.stride], j};
    if (items) qsort(items, (size_t)a.size, sizeof *items, descending ? falling : rising);
    for (int64_t j = 0; j < count; j++) {
      if (values) values[at + j * a.stride] = items ? items[j].value : NAN;
      if (indices) indices[at + j * a.stride] = items ? (double)items[j].index : NAN;
    }
  }
  free(items);
}

void ir_eval_sort(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t axis = ir_node_attr(node, IR_ATTR_axis)->i;
  order(operands, axis, ir_node_attr(node, IR_ATTR_descending)->i, operands->dims[axis], result->data, NULL);
}

void ir_eval_argsort(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t axis = ir_node_attr(node, IR_ATTR_axis)->i;
  order(operands, axis, ir_node_attr(node, IR_ATTR_descending)->i, operands->dims[axis], NULL, result->data);
}

void ir_eval_top_k(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  order(operands, ir_node_attr(node, IR_ATTR_axis)->i, true, ir_node_attr(node, IR_ATTR_k)->i, result[0].data,
        result[1].data);
}

// ---- movement along an axis

typedef int64_t (*source_fn)(int64_t j, int64_t size, int64_t by);

static void move(const ir_tensor *x, int64_t axis, ir_tensor *result, source_fn source, int64_t by) {
  axis_lines a = lines_of(x, axis), to = lines_of(result, axis);
  for (int64_t line = 0; line < to.lines; line++) {
    int64_t from = line_start(&a, line), at = line_start(&to, line);
    for (int64_t j = 0; j < to.size; j++)
      result->data[at + j * to.stride] = x->data[from + source(j, a.size, by) * a.stride];
  }
}

static int64_t reversed(int64_t j, int64_t size, int64_t by) {
  (void)by;
  return size - 1 - j;
}
static int64_t rolled(int64_t j, int64_t size, int64_t by) {
  int64_t from = (j - by % size) % size;
  return from < 0 ? from + size : from;
}
static int64_t tiled(int64_t j, int64_t size, int64_t by) {
  (void)by;
  return j % size;
}
static int64_t repeated(int64_t j, int64_t size, int64_t by) {
  (void)size;
  return j / by;
}

void ir_eval_reverse(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  move(operands, ir_node_attr(node, IR_ATTR_axis)->i, result, reversed, 0);
}
void ir_eval_roll(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  move(operands, ir_node_attr(node, IR_ATTR_axis)->i, result, rolled, ir_node_attr(node, IR_ATTR_shift)->i);
}
void ir_eval_tile(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  move(operands, ir_node_attr(node, IR_ATTR_axis)->i, result, tiled, 0);
}
void ir_eval_repeat(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  move(operands, ir_node_attr(node, IR_ATTR_axis)->i, result, repeated, ir_node_attr(node, IR_ATTR_times)->i);
}

void ir_eval_one_hot(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t width = result->dims[result->rank - 1], count = ir_tensor_elements(result);
  (void)node;
  for (int64_t i = 0; i < count; i++) result->data[i] = operands->data[i / width] == (double)(i % width);
}

// ---- Fourier transforms: every sum as it is written

// Element |k| of the transform of |n| complex numbers, im null for real ones; |sign| -1 forward, 1 back.
static void transform(const double *re, const double *im, int64_t n, int64_t k, int sign, double *out_re,
                      double *out_im) {
  *out_re = *out_im = 0;
  for (int64_t j = 0; j < n; j++) {
    double angle = sign * 2 * M_PI * (double)(int64_t)((__int128)j * k % n) / (double)n;
    double c = cos(angle), s = sin(angle), imaginary = im ? im[j] : 0;
    *out_re += re[j] * c - imaginary * s;
    *out_im += re[j] * s + imaginary * c;
  }
}

void ir_eval_dft(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  bool inverse = ir_node_attr(node, IR_ATTR_inverse)->i;
  int64_t n = operands->dims[operands->rank - 1], count = ir_tensor_elements(operands);
  for (int64_t i = 0; i < count; i++) {
    int64_t line = i / n * n;
    double re, im, scale = inverse ? 1 / (double)n : 1;
    transform(operands[0].data + line, operands[1].data + line, n, i - line, inverse ? 1 : -1, &re, &im);
    result[0].data[i] = re * scale;
    result[1].data[i] = im * scale;
  }
}

void ir_eval_rfft(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t n = operands->dims[operands->rank - 1], half = n / 2 + 1, count = ir_tensor_elements(result);
  (void)node;
  for (int64_t i = 0; i < count; i++)
    transform(operands->data + i / half * n, NULL, n, i % half, -1, &result[0].data[i], &result[1].data[i]);
}

// The other half of the transform is the conjugate of the first; the imaginary parts of the ends do not count.
void ir_eval_irfft(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t n = result->dims[result->rank - 1], half = n / 2 + 1, count = ir_tensor_elements(result);
  (void)node;
  for (int64_t i = 0; i < count; i++) {
    const double *re = operands[0].data + i / n * half, *im = operands[1].data + i / n * half;
    double sum = 0;
    for (int64_t k = 0; k < half; k++) {
      bool end = k == 0 || 2 * k == n;
      double angle = 2 * M_PI * (double)(int64_t)((__int128)(i % n) * k % n) / (double)n;
      sum += (end ? 1 : 2) * (re[k] * cos(angle) - (end ? 0 : im[k] * sin(angle)));
    }
    result->data[i] = sum / (double)n;
  }
}

// ---- quantised numbers

// Which scale element |i| has.
static int64_t scale_of(const ir_node *node, const ir_tensor *operands, int64_t i) {
  if (operands[1].rank == 0) return 0;
  int64_t inner = 1, axis = ir_node_attr(node, IR_ATTR_axis)->i;
  for (int d = (int)axis + 1; d < operands[0].rank; d++) inner *= operands[0].dims[d];
  return i / inner % operands[0].dims[axis];
}

void ir_eval_quantize(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    int64_t s = scale_of(node, operands, i);
    double steps = nearbyint(operands[0].data[i] / operands[1].data[s]);
    result->data[i] = ir_round_to(result->dtype, steps + operands[2].data[s]);
  }
}

void ir_eval_dequantize(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    int64_t s = scale_of(node, operands, i);
    result->data[i] = (operands[0].data[i] - operands[2].data[s]) * operands[1].data[s];
  }
}
