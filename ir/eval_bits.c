// References of ops on bits: integers as words, the same bits as another type, random numbers from a key and a counter.
#include <math.h>

#include "ir/eval.h"
#include "ir/rules.h"
#include "runtime/base/half.h"

#define BITS(name, expression)                                                              \
  void ir_eval_##name(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {  \
    int64_t count = ir_tensor_elements(result), x_count = ir_tensor_elements(&operands[0]); \
    int64_t y_count = node->operand_count > 1 ? ir_tensor_elements(&operands[1]) : 1;       \
    for (int64_t i = 0; i < count; i++) {                                                   \
      int64_t x = (int64_t)operands[0].data[i % x_count];                                   \
      int64_t y = node->operand_count > 1 ? (int64_t)operands[1].data[i % y_count] : 0;     \
      int width = 8 * ir_dtype_bytes(result->dtype);                                        \
      bool inside = y >= 0 && y < width;                                                    \
      (void)y, (void)inside;                                                                \
      result->data[i] = ir_wrap_to(result->dtype, expression);                              \
    }                                                                                       \
  }

BITS(bit_not, ~x)
BITS(bit_and, x &y)
BITS(bit_or, x | y)
BITS(bit_xor, x ^ y)
BITS(shift_left, inside ? (int64_t)((uint64_t)x << y) : 0)
BITS(shift_right, inside ? x >> y : 0)

void ir_eval_saturate(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result);
  (void)node;
  for (int64_t i = 0; i < count; i++) result->data[i] = ir_round_to(result->dtype, operands[0].data[i]);
}

void ir_eval_fits(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t lo, hi, count = ir_tensor_elements(result);
  ir_dtype_range(ir_node_attr(node, IR_ATTR_dtype)->dtype, &lo, &hi);
  for (int64_t i = 0; i < count; i++) {
    double x = operands[0].data[i];
    // Of 64 bits the upper end is no double: 2^63 lies outside.
    result->data[i] = x == trunc(x) && x >= (double)lo && (hi == INT64_MAX ? x < 0x1p63 : x <= (double)hi);
  }
}

static uint32_t to_word(ir_dtype dtype, double value) {
  if (dtype == IR_f32) return weir_f32_bits((float)value);
  if (dtype == IR_f16) return weir_f32_to_f16((float)value);
  if (dtype == IR_bf16) return weir_f32_to_bf16((float)value);
  return (uint32_t)(int64_t)value;
}

static double from_word(ir_dtype dtype, uint32_t word) {
  if (dtype == IR_f32) return weir_f32_from_bits(word);
  if (dtype == IR_f16) return weir_f16_to_f32((uint16_t)word);
  if (dtype == IR_bf16) return weir_bf16_to_f32((uint16_t)word);
  return ir_wrap_to(dtype, (int64_t)word);
}

void ir_eval_bitcast(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result);
  (void)node;
  for (int64_t i = 0; i < count; i++)
    result->data[i] = from_word(result->dtype, to_word(operands[0].dtype, operands[0].data[i]));
}

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

// Threefry-2x32 with 20 rounds (Salmon et al., 2011) of (counter, 0) under (key, 0): the first word.
static uint32_t threefry(uint32_t key, uint32_t counter) {
  static const int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  uint32_t keys[3] = {key, 0, 0x1BD11BDAu ^ key}, x = counter + keys[0], y = keys[1];
  for (int round = 0; round < 20; round++) {
    x += y;
    y = rotate(y, rotations[round % 8]) ^ x;
    if (round % 4 != 3) continue;
    uint32_t inject = (uint32_t)round / 4 + 1;
    x += keys[inject % 3];
    y += keys[(inject + 1) % 3] + inject;
  }
  return x;
}

void ir_eval_random(const ir_node *node, const ir_tensor *operands, ir_tensor *result) {
  int64_t count = ir_tensor_elements(result), keys = ir_tensor_elements(&operands[0]);
  int64_t counters = ir_tensor_elements(&operands[1]);
  (void)node;
  for (int64_t i = 0; i < count; i++) {
    uint32_t key = (uint32_t)(int64_t)operands[0].data[i % keys];
    uint32_t counter = (uint32_t)(int64_t)operands[1].data[i % counters];
    result->data[i] = (threefry(key, counter) >> 8) * 0x1p-24;
  }
}
