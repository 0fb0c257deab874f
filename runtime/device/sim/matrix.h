// What mma and wgmma share: elements of operand words.
#ifndef WEIR_RUNTIME_DEVICE_SIM_MATRIX_H
#define WEIR_RUNTIME_DEVICE_SIM_MATRIX_H

#include <stdint.h>

int sim_mma_depth(int kind);  // k of one operation: 32 bytes
double sim_mma_element(int kind, uint32_t word, int part);
// The elements of A (16 rows of |depth|) that |lane| holds in four words.
void sim_mma_fragment_a(int kind, const uint32_t *words, int lane, double *a, int depth);

#endif
