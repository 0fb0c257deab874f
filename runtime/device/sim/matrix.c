// Fragments of a warp: ldmatrix, stmatrix and mma.sync with the layouts of PTX.
//
// With lane l, g = l / 4, q = l % 4: an 8x8 matrix of 16-bit elements gives lane l the word q of row g. The factors of
// a product are laid out as ir/kernel_block.h says. The sum of one operation is taken in double precision, k ascending,
// added to c and rounded to f32 once; integers wrap.
#include <string.h>

#include "runtime/base/half.h"
#include "runtime/device/sim/internal.h"
#include "runtime/device/sim/matrix.h"

void sim_matrix_move(sim_thread *first, sim_thread *last, bool store, uint32_t line) {
  const uint32_t form = ((uint32_t *)first->data)[2], count = form & 15;
  const bool trans = form & 16, checked = first->head.checked;
  uint16_t *rows[4][8];
  for (int lane = 0; lane < SIM_WARP; lane++) {
    uint32_t *d = first[lane].data;
    if (d[2] != form)
      sim_fault(last, RT_SIM_divergent_warp, line, NULL, 0, "lanes load %u and %u matrices", form, d[2]);
    if (lane >= (int)count * 8) continue;
    memcpy(&rows[lane / 8][lane % 8], d, sizeof(void *));
    if (checked) {
      uint32_t flags = RT_SIM_SHARED | 2 * RT_SIM_ELEMENT | (store ? RT_SIM_WRITE : 0);
      sim_access(&first[lane].head, rows[lane / 8][lane % 8], rows[lane / 8][lane % 8], 16, flags, line);
    }
  }
  for (int lane = 0; lane < SIM_WARP; lane++) {
    uint32_t *d = first[lane].data;
    for (uint32_t m = 0; m < count; m++) {
      for (int half = 0; half < 2; half++) {
        int row = trans ? lane % 4 * 2 + half : lane / 4, column = trans ? lane / 4 : lane % 4 * 2 + half;
        uint16_t *at = &rows[m][row][column];
        if (store) *at = (uint16_t)(d[3 + m] >> 16 * half);
        else if (half) d[3 + m] |= (uint32_t)*at << 16;
        else d[3 + m] = *at;
      }
    }
  }
}

static const int depth_of[RT_SIM_MMA_KINDS] = {16, 16, 8, 32, 32};

int sim_mma_depth(int kind) { return depth_of[kind]; }

double sim_mma_element(int kind, uint32_t word, int part) {
  switch (kind) {
    case RT_SIM_MMA_BF16:
      return weir_bf16_to_f32((uint16_t)(word >> 16 * part));
    case RT_SIM_MMA_F16:
      return weir_f16_to_f32((uint16_t)(word >> 16 * part));
    case RT_SIM_MMA_TF32:
      return weir_f32_from_bits(word & 0xffffe000);
    case RT_SIM_MMA_S8:
      return (int8_t)(word >> 8 * part);
    default:
      return weir_f8e4m3_to_f32((uint8_t)(word >> 8 * part));
  }
}

// The parts of an operand word, and how many.
static int parts_of(int kind) { return kind == RT_SIM_MMA_TF32 ? 1 : kind <= RT_SIM_MMA_F16 ? 2 : 4; }

void sim_mma_fragment_a(int kind, const uint32_t *words, int lane, double *a, int depth) {
  const int g = lane / 4, q = lane % 4, parts = parts_of(kind);
  for (int i = 0; i < 4; i++) {
    for (int e = 0; e < parts; e++)
      a[(g + 8 * (i % 2)) * depth + parts * q + 4 * parts * (i / 2) + e] = sim_mma_element(kind, words[i], e);
  }
}

void sim_mma(sim_thread *first, sim_thread *last, uint32_t line) {
  const uint32_t kind = ((uint32_t *)first->data)[0];
  double a[16 * 32], b[32 * 8];
  if (kind >= RT_SIM_MMA_KINDS) sim_fault(last, RT_SIM_argument, line, NULL, 0, "mma of kind %u", kind);
  const int depth = depth_of[kind], parts = parts_of((int)kind);
  for (int lane = 0; lane < SIM_WARP; lane++) {
    const uint32_t *d = first[lane].data;
    if (d[0] != kind)
      sim_fault(last, RT_SIM_divergent_warp, line, NULL, 0, "lanes do mma of kinds %u and %u", kind, d[0]);
    sim_mma_fragment_a((int)kind, d + 5, lane, a, depth);
    for (int i = 0; i < 2; i++) {
      for (int e = 0; e < parts; e++) {
        b[(parts * (lane % 4) + 4 * parts * i + e) * 8 + lane / 4] = sim_mma_element((int)kind, d[9 + i], e);
      }
    }
  }
  for (int lane = 0; lane < SIM_WARP; lane++) {
    uint32_t *d = first[lane].data;
    for (int i = 0; i < 4; i++) {
      int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
      double sum = 0;
      for (int k = 0; k < depth; k++) sum += a[row * depth + k] * b[k * 8 + column];
      if (kind == RT_SIM_MMA_S8) d[1 + i] += (uint32_t)(int32_t)sum;
      else d[1 + i] = weir_f32_bits((float)((double)weir_f32_from_bits(d[1 + i]) + sum));
    }
  }
}
