// References of linear, matmul, attend and rope. Dot products run over contiguous rows in float64 with eight partial
// sums, added in a fixed order, so that a whole language model can be interpreted; the result does not depend on how
// many rows there are.
#include <math.h>
#include <string.h>

#include "ir/eval.h"

typedef double lanes __attribute__((vector_size(16), aligned(8), may_alias));

static double dot(const double *a, const double *b, int64_t count) {
  lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    s0 += *(const lanes *)(a + i) * *(const lanes *)(b + i);
    s1 += *(const lanes *)(a + i + 2) * *(const lanes *)(b + i + 2);
    s2 += *(const lanes *)(a + i + 4) * *(const lanes *)(b + i + 4);
    s3 += *(const lanes *)(a + i + 6) * *(const lanes *)(b + i + 6);
  }
  lanes sum = (s0 + s1) + (s2 + s3);
  double total = sum[0] + sum[1];
  for (; i < count; i++) total += a[i] * b[i];
  return total;
}

void ir_eval_linear(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  const ir_tensor *x = &operands[0], *w = &operands[1];
  int64_t outputs = w->dims[0], inputs = w->dims[1];
  int64_t rows = outputs ? ir_tensor_elements(result) / outputs : 0;
  for (int64_t o = 0; o < outputs; o++) {  // each row of weights is read once
    for (int64_t r = 0; r < rows; r++) {
      result->data[r * outputs + o] = dot(x->data + r * inputs, w->data + o * inputs, inputs);
    }
  }
}

void ir_eval_matmul(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  (void)node;
  const ir_tensor *a = &operands[0], *b = &operands[1];
  int64_t m = a->dims[a->rank - 2], k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
  int64_t count = ir_tensor_elements(result), a_count = ir_tensor_elements(a), b_count = ir_tensor_elements(b);
  if (count == 0) return;
  memset(result->data, 0, (size_t)count * sizeof(double));
  for (int64_t batch = 0; batch < count / (m * n) && k; batch++) {
    const double *left = a->data + batch * m * k % a_count, *right = b->data + batch * k * n % b_count;
    double *out = result->data + batch * m * n;
    for (int64_t row = 0; row < m; row++) {
      for (int64_t inner = 0; inner < k; inner++) {
        double scale = left[row * k + inner];
        for (int64_t column = 0; column < n; column++) out[row * n + column] += scale * right[inner * n + column];
      }
    }
  }
}

// The rows that row |t| of |rows| sees among |history|: [*first, *stop).
static void visible(const ir_node *node, int64_t t, int64_t rows, int64_t history, int64_t *first, int64_t *stop) {
  int64_t window = ir_node_attr(node, IR_ATTR_window)->i;
  *first = 0;
  *stop = history;
  if (!ir_node_attr(node, IR_ATTR_causal)->i) return;
  *stop = history - rows + t + 1;
  if (window && *stop > window) *first = *stop - window;
}

// One image of attention: what one row of one head reads.
typedef struct {
  const ir_node *node;
  const ir_tensor *bias;  // may be null
  int64_t rows, heads, size, history, groups, width;
  double scale;
} attention;

// The score of row |t| and row |s| of the history; false where the pair does not count.
static bool score_of(const attention *a, int64_t h, int64_t t, int64_t s, const double *query, const double *key,
                     double *out) {
  *out = a->scale * dot(query, key, a->size);
  if (!a->bias) return true;
  int64_t plane = a->bias->rank == 3 ? h * a->rows * a->history : 0;
  double bias = a->bias->data[plane + t * a->history + s];
  if (a->bias->dtype == IR_bool) return bias != 0;
  *out += bias;
  return bias != -INFINITY;
}

static void attend_row(const attention *a, int64_t t, int64_t h, const double *q, const double *k, const double *v,
                       double *y) {
  int64_t first, stop, g = h / (a->heads / a->groups), width = a->width;
  const double *query = q + (t * a->heads + h) * a->size;
  double *out = y + (t * a->heads + h) * width, largest = -INFINITY, sum = 0, score;
  visible(a->node, t, a->rows, a->history, &first, &stop);
  if (width) memset(out, 0, (size_t)width * sizeof(double));
  for (int64_t s = first; s < stop; s++) {
    if (!score_of(a, h, t, s, query, k + (s * a->groups + g) * a->size, &score)) continue;
    if (!(score <= largest)) {  // a new maximum: what was summed so far shrinks
      double shrink = exp(largest - score);
      for (int64_t e = 0; e < width; e++) out[e] *= shrink;
      sum *= shrink;
      largest = score;
    }
    double weight = exp(score - largest);
    sum += weight;
    for (int64_t e = 0; e < width; e++) out[e] += weight * v[(s * a->groups + g) * width + e];
  }
  for (int64_t e = 0; e < width && sum != 0; e++) out[e] /= sum;
}

void ir_eval_attend(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  const ir_tensor *q = &operands[0], *k = &operands[1], *v = &operands[2];
  const int64_t *queries = q->dims + q->rank - 3, *keys = k->dims + k->rank - 3;
  attention a = {.node = node,
                 .bias = node->operand_count == 4 ? &operands[3] : NULL,
                 .rows = queries[0],
                 .heads = queries[1],
                 .size = queries[2],
                 .history = keys[0],
                 .groups = keys[1],
                 .width = v->dims[v->rank - 1],
                 .scale = ir_node_attr(node, IR_ATTR_scale)->f};
  int64_t part = a.rows * a.heads * a.width, images = part ? ir_tensor_elements(result) / part : 0;
  for (int64_t image = 0; image < images; image++) {
    for (int64_t at = 0; at < a.rows * a.heads; at++)
      attend_row(&a, at / a.heads, at % a.heads, q->data + image * a.rows * a.heads * a.size,
                 k->data + image * a.history * a.groups * a.size, v->data + image * a.history * a.groups * a.width,
                 result->data + image * part);
  }
}

// Rotates the pair at |i| and |j|.
static void rotate(const double *x, double *y, int64_t i, int64_t j, double angle) {
  y[i] = x[i] * cos(angle) - x[j] * sin(angle);
  y[j] = x[j] * cos(angle) + x[i] * sin(angle);
}

void ir_eval_rope(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  const ir_tensor *x = &operands[0], *pos = &operands[1];
  int64_t rotary = ir_node_attr(node, IR_ATTR_rotary)->i, half = rotary / 2;
  bool interleaved = ir_node_attr(node, IR_ATTR_interleaved)->i;
  double theta = ir_node_attr(node, IR_ATTR_theta)->f;
  int64_t heads = x->dims[1], size = x->dims[2], vectors = x->dims[0] * heads;
  for (int64_t n = 0; n < vectors; n++) {
    const double *from = x->data + n * size;
    double *to = result->data + n * size;
    if (size) memcpy(to, from, (size_t)size * sizeof(double));
    for (int64_t i = 0; i < half; i++) {
      double angle = pos->data[n / heads] * pow(theta, -2.0 * (double)i / (double)rotary);
      if (interleaved) rotate(from, to, 2 * i, 2 * i + 1, angle);
      else rotate(from, to, i, i + half, angle);
    }
  }
}
