// References of windows over the last dims: convolutions, pooling, resizing, padding. One to three spatial dims are
// brought to three; everything is a plain loop.
#include <math.h>

#include "ir/eval.h"
#include "ir/rules.h"

enum { N = 3 };

// Three spatial dims, the missing ones of size 1 in front.
typedef struct {
  int count;  // spatial dims there are
  int64_t in[N], out[N], window[N], stride[N], before[N], dilation[N];
  int64_t in_size, out_size, window_size;
} windows;

static void fill(int64_t *to, int count, const int64_t *from, int64_t otherwise) {
  for (int i = 0; i < N; i++) to[i] = i < N - count || !from ? otherwise : from[i - (N - count)];
}

static int64_t product(const int64_t *dims) { return dims[0] * dims[1] * dims[2]; }

static windows make_windows(const ir_node *node, const ir_tensor *x, const ir_tensor *y, const int64_t *window) {
  const ir_attr *strides = ir_node_attr(node, IR_ATTR_strides), *before = ir_node_attr(node, IR_ATTR_before);
  const ir_attr *dilations = ir_node_attr(node, IR_ATTR_dilations);
  windows w = {.count = strides->count};
  fill(w.in, w.count, x->dims + x->rank - w.count, 1);
  fill(w.out, w.count, y->dims + y->rank - w.count, 1);
  fill(w.window, w.count, window, 1);
  fill(w.stride, w.count, strides->ints, 1);
  fill(w.before, w.count, before->ints, 0);
  fill(w.dilation, w.count, dilations ? dilations->ints : NULL, 1);
  w.in_size = product(w.in);
  w.out_size = product(w.out);
  w.window_size = product(w.window);
  return w;
}

static void split(int64_t at, const int64_t *dims, int64_t *out) {
  for (int i = N - 1; i >= 0; i--) {
    out[i] = at % dims[i];
    at /= dims[i];
  }
}

// Where element |k| of the window at |o| lies in the operand; -1 outside.
static int64_t input_at(const windows *w, int64_t o, int64_t k) {
  int64_t at[N], offset[N], index = 0;
  split(o, w->out, at);
  split(k, w->window, offset);
  for (int i = 0; i < N; i++) {
    int64_t position = at[i] * w->stride[i] - w->before[i] + offset[i] * w->dilation[i];
    if (position < 0 || position >= w->in[i]) return -1;
    index = index * w->in[i] + position;
  }
  return index;
}

void ir_eval_conv(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  const ir_tensor *x = &operands[0], *weights = &operands[1];
  windows w = make_windows(node, x, result, weights->dims + 2);
  int64_t outputs = weights->dims[0], inputs = weights->dims[1], groups = ir_node_attr(node, IR_ATTR_groups)->i;
  int64_t images = ir_tensor_elements(result) / (outputs * w.out_size);
  for (int64_t row = 0; row < images * outputs; row++) {
    int64_t image = row / outputs, o = row % outputs, group = o / (outputs / groups);
    const double *from = x->data + (image * groups + group) * inputs * w.in_size;
    const double *kernel = weights->data + o * inputs * w.window_size;
    for (int64_t at = 0; at < w.out_size; at++) {
      double sum = 0;
      for (int64_t k = 0; k < w.window_size; k++) {
        int64_t index = input_at(&w, at, k);
        for (int64_t c = 0; c < inputs && index >= 0; c++)
          sum += from[c * w.in_size + index] * kernel[c * w.window_size + k];
      }
      result->data[row * w.out_size + at] = sum;
    }
  }
}

// The windows of the transposed convolution stand over its result.
void ir_eval_conv_transpose(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  const ir_tensor *x = &operands[0], *weights = &operands[1];
  windows w = make_windows(node, result, x, weights->dims + 2);
  int64_t inputs = weights->dims[0], outputs = weights->dims[1], groups = ir_node_attr(node, IR_ATTR_groups)->i;
  int64_t count = ir_tensor_elements(result), rows = inputs ? ir_tensor_elements(x) / w.out_size : 0;
  for (int64_t i = 0; i < count; i++) result->data[i] = 0;
  for (int64_t row = 0; row < rows; row++) {
    int64_t image = row / inputs, c = row % inputs, group = c / (inputs / groups);
    double *to = result->data + (image * groups + group) * outputs * w.in_size;
    for (int64_t at = 0; at < w.out_size * w.window_size; at++) {
      int64_t k = at % w.window_size, index = input_at(&w, at / w.window_size, k);
      double value = x->data[row * w.out_size + at / w.window_size];
      for (int64_t o = 0; o < outputs && index >= 0; o++)
        to[o * w.in_size + index] += value * weights->data[(c * outputs + o) * w.window_size + k];
    }
  }
}

static double lowest(ir_dtype dtype) {
  int64_t lo, hi;
  if (!ir_dtype_is_int(dtype)) return -INFINITY;
  ir_dtype_range(dtype, &lo, &hi);
  return (double)lo;
}

void ir_eval_max_pool(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  windows w = make_windows(node, operands, result, ir_node_attr(node, IR_ATTR_window_dims)->ints);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    double best = lowest(result->dtype);
    for (int64_t k = 0; k < w.window_size; k++) {
      int64_t index = input_at(&w, i % w.out_size, k);
      double x = index < 0 ? best : operands->data[i / w.out_size * w.in_size + index];
      if (!isnan(best) && !(x <= best)) best = x;
    }
    result->data[i] = best;
  }
}

void ir_eval_avg_pool(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  windows w = make_windows(node, operands, result, ir_node_attr(node, IR_ATTR_window_dims)->ints);
  bool count_pad = ir_node_attr(node, IR_ATTR_count_pad)->i;
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    double sum = 0;
    int64_t elements = 0;
    for (int64_t k = 0; k < w.window_size; k++) {
      int64_t index = input_at(&w, i % w.out_size, k);
      if (index >= 0) sum += operands->data[i / w.out_size * w.in_size + index];
      elements += index >= 0 || count_pad;
    }
    result->data[i] = sum / (double)elements;
  }
}

// ---- resizing

void ir_eval_resize_nearest(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result);
  (void)node;
  for (int64_t i = 0; i < count; i++) {
    int64_t at = i, offset = 0, stride = 1;
    for (int d = result->rank - 1; d >= 0; d--) {
      offset += at % result->dims[d] * operands->dims[d] / result->dims[d] * stride;
      stride *= operands->dims[d];
      at /= result->dims[d];
    }
    result->data[i] = operands->data[offset];
  }
}

// The two neighbours of element |i| along a dim and the weight of the second.
static double neighbours(int64_t i, int64_t from, int64_t to, bool corners, int64_t *low, int64_t *high) {
  double scale = corners ? (to > 1 ? (double)(from - 1) / (double)(to - 1) : 0) : (double)from / (double)to;
  double at = corners ? (double)i * scale : ((double)i + 0.5) * scale - 0.5;
  if (at < 0) at = 0;
  if (at > (double)(from - 1)) at = (double)(from - 1);
  *low = (int64_t)at;
  *high = *low + 1 < from ? *low + 1 : *low;
  return at - (double)*low;
}

void ir_eval_resize_linear(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  bool corners = ir_node_attr(node, IR_ATTR_corners)->i;
  int count = ir_node_attr(node, IR_ATTR_dims)->count, first = result->rank - count;
  int64_t total = ir_tensor_elements(result);
  for (int64_t i = 0; i < total; i++) {
    int64_t at = i, stride = 1, low[IR_MAX_RANK], high[IR_MAX_RANK], lead = 0;
    double part[IR_MAX_RANK], sum = 0;
    for (int d = result->rank - 1; d >= first; d--) {
      part[d] = neighbours(at % result->dims[d], operands->dims[d], result->dims[d], corners, &low[d], &high[d]);
      low[d] *= stride;
      high[d] *= stride;
      stride *= operands->dims[d];
      at /= result->dims[d];
    }
    lead = at * stride;
    for (int corner = 0; corner < 1 << count; corner++) {
      double weight = 1;
      int64_t offset = lead;
      for (int d = 0; d < count; d++) {
        bool up = corner >> d & 1;
        weight *= up ? part[first + d] : 1 - part[first + d];
        offset += up ? high[first + d] : low[first + d];
      }
      if (weight != 0) sum += weight * operands->data[offset];
    }
    result->data[i] = sum;
  }
}

// ---- padding

// Where element |at| of a padded dim comes from; -1 for the padding of `pad`.
static int64_t source(ir_op op, int64_t at, int64_t size) {
  if (at >= 0 && at < size) return at;
  if (op == IR_OP_pad) return -1;
  if (op == IR_OP_pad_edge) return at < 0 ? 0 : size - 1;
  return at < 0 ? -at : 2 * (size - 1) - at;
}

static void pad(const ir_node *node, const ir_tensor *operands, ir_tensor *result, double value) {
  const ir_attr *before = ir_node_attr(node, IR_ATTR_before);
  int64_t count = ir_tensor_elements(result);
  for (int64_t i = 0; i < count; i++) {
    int64_t at = i, offset = 0, stride = 1;
    bool inside = true;
    for (int d = result->rank - 1; d >= 0; d--) {
      int64_t from = source(node->op, at % result->dims[d] - before->ints[d], operands->dims[d]);
      inside &= from >= 0;
      offset += from * stride;
      stride *= operands->dims[d];
      at /= result->dims[d];
    }
    result->data[i] = inside ? operands->data[offset] : value;
  }
}

void ir_eval_pad(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  pad(node, operands, result, ir_node_attr(node, IR_ATTR_value)->f);
}
void ir_eval_pad_edge(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  pad(node, operands, result, 0);
}
void ir_eval_pad_reflect(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  pad(node, operands, result, 0);
}
