// The limits of this machine for one team of threads: multiply-adds in registers and reading memory.
#ifndef WEIR_TESTS_BENCH_KERNELS_ROOF_H
#define WEIR_TESTS_BENCH_KERNELS_ROOF_H

typedef struct {
  double f32, bf16, int8;  // operations a second, a multiply-add is two; 0: this machine has no such instruction
  double read;             // bytes a second
} kernels_roof;

// Raises what is in |roof| to what this round shows. Some milliseconds.
void kernels_roof_measure(int threads, kernels_roof *roof);
// Seconds: the calling thread's CPU time for one thread, else the wall's.
double kernels_clock(int threads);

#endif
