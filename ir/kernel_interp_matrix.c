// Products of matrices as they are meant: word by word, every access checked, in the order that kernel.h gives.
#include <math.h>
#include <string.h>

#include "ir/kernel_interp.h"
#include "runtime/base/half.h"

// Word |index| of |buffer|, which is no table.
static bool touch(const ir_ki_matrices *of, int buffer, uint64_t index, uint32_t *value, bool store) {
  ir_ki_memory *b = &of->buffers[buffer];
  if (index >= b->bytes / 4) return false;
  uint64_t at = index * 4;
  if (store) {
    memcpy(b->base + at, value, 4);
    if (b->written) memset(b->written + at, of->item, 4);
    return true;
  }
  for (uint64_t i = 0; b->written && i < 4; i++)
    if (b->written[at + i] != of->item) return false;
  memcpy(value, b->base + at, 4);
  return true;
}

static float half(uint32_t word, int which) { return weir_bf16_to_f32((uint16_t)(word >> 16 * which)); }

static void add_float(uint32_t *sum, float x) {
  float value;
  memcpy(&value, sum, sizeof value);
  value += x;
  memcpy(sum, &value, sizeof value);
}

// One element of the product, on top of |*sum|.
static bool element(const ir_ki_matrices *of, uint64_t a, uint64_t b, const ir_ki_value *at, uint32_t *sum) {
  bool floats = of->type == IR_KT_f32;
  int64_t words = at[IR_KM_WORDS].i, step = of->matdot->step, in_step = 0;
  float low = 0, high = 0;
  for (int64_t w = 0; w < words; w++) {
    uint32_t x, y;
    bool inside = touch(of, of->matdot->a, a + (uint64_t)w, &x, false);
    if (!inside || !touch(of, of->matdot->b, b + (uint64_t)w * (uint64_t)at[IR_KM_ROW_B].i, &y, false)) return false;
    if (!floats) {
      *sum = (uint32_t)ir_ki_dot4(y, (int32_t)x, (int32_t)*sum);
      continue;
    }
    low = fmaf(half(x, 0), half(y, 0), low);
    high = fmaf(half(x, 1), half(y, 1), high);
    if (++in_step < step && w + 1 < words) continue;
    add_float(sum, low + high);
    low = high = 0;
    in_step = 0;
  }
  return true;
}

bool ir_ki_matdot(const ir_ki_matrices *of, const ir_ki_value at[IR_KM_COUNT], uint64_t *steps) {
  const ir_kmatdot *d = of->matdot;
  uint64_t words = at[IR_KM_WORDS].i > 0 ? (uint64_t)at[IR_KM_WORDS].i : 0;
  for (int64_t row = 0; row < at[IR_KM_ROWS].i; row++)
    for (int n = 0; n < d->panels * IR_LANES; n++) {
      *steps = words >= of->step_limit - *steps ? UINT64_MAX : *steps + words + 1;
      if (*steps > of->step_limit) return false;
      uint64_t a = (uint64_t)at[IR_KM_AT_A].i + (uint64_t)row * (uint64_t)at[IR_KM_ROW_A].i;
      uint64_t b = (uint64_t)at[IR_KM_AT_B].i + (uint64_t)(n / IR_LANES) * (uint64_t)at[IR_KM_PANEL_B].i;
      uint64_t c = (uint64_t)at[IR_KM_AT_C].i + (uint64_t)row * (uint64_t)at[IR_KM_ROW_C].i + (uint64_t)n;
      uint32_t sum = 0;
      if (d->adds && !touch(of, d->c, c, &sum, false)) return false;
      if (!element(of, a, b + (uint64_t)(n % IR_LANES), at, &sum) || !touch(of, d->c, c, &sum, true)) return false;
    }
  return true;
}
