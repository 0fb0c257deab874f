// Loops of one instruction on independent registers, and one that reads memory. Assembly, so that no compiler leaves
// anything out.
#include "tests/bench/kernels_roof.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/team.h"
#include "runtime/device/cpu/features.h"

enum { STEPS = 100000, CHAINS = 12, READ_BYTES = 192 << 20, PART_BYTES = 48 << 20 };

double kernels_clock(int threads) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __x86_64__
#define CHAIN_LOOP(name, instruction, r)                                                                              \
  static void name(void) {                                                                                            \
    long n = STEPS;                                                                                                   \
    __asm__ volatile("vzeroall\n1:\n" instruction " %%" r "12, %%" r "12, %%" r "0\n" instruction " %%" r "12, %%" r  \
                     "12, %%" r "1\n" instruction " %%" r "12, %%" r "12, %%" r "2\n" instruction " %%" r "12, %%" r  \
                     "12, %%" r "3\n" instruction " %%" r "12, %%" r "12, %%" r "4\n" instruction " %%" r "12, %%" r  \
                     "12, %%" r "5\n" instruction " %%" r "12, %%" r "12, %%" r "6\n" instruction " %%" r "12, %%" r  \
                     "12, %%" r "7\n" instruction " %%" r "12, %%" r "12, %%" r "8\n" instruction " %%" r "12, %%" r  \
                     "12, %%" r "9\n" instruction " %%" r "12, %%" r "12, %%" r "10\n" instruction " %%" r "12, %%" r \
                     "12, %%" r "11\n dec %0\n jnz 1b\n vzeroupper"                                                   \
                     : "+r"(n)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",       \
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory");                               \
  }
CHAIN_LOOP(fma_v3, "vfmadd231ps", "ymm")
CHAIN_LOOP(fma_v4, "vfmadd231ps", "zmm")
CHAIN_LOOP(bf16_v4, "vdpbf16ps", "zmm")
CHAIN_LOOP(int8_v4, "vpdpbusd", "zmm")
#endif

typedef struct {
  const uint8_t *data;
  void (*loop)(void);
  uint64_t sums[RT_TEAM_MAX_THREADS];
} job;

static void run_loop(void *context, int thread, int threads) {
  (void)thread, (void)threads;
  ((job *)context)->loop();
}

static void read_part(void *context, int thread, int threads) {
  job *j = context;
  size_t share = PART_BYTES / (size_t)threads / 4096 * 4096;
  const uint8_t *at = j->data + share * (size_t)thread, *end = at + share;
#ifdef __x86_64__
  if (rt_cpu_has_level("x86-64-v3")) {
    for (; at < end; at += 256)
      __asm__ volatile(
          "vmovaps (%0), %%ymm0\nvmovaps 32(%0), %%ymm1\nvmovaps 64(%0), %%ymm2\nvmovaps 96(%0), %%ymm3\n"
          "vmovaps 128(%0), %%ymm0\nvmovaps 160(%0), %%ymm1\nvmovaps 192(%0), %%ymm2\nvmovaps 224(%0), %%ymm3\n" ::"r"(
              at)
          : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
    __asm__ volatile("vzeroupper");
    return;
  }
#endif
  for (; at < end; at += 8) j->sums[thread] += *(const uint64_t *)(const void *)at;
}

static double timed(rt_team *team, rt_team_fn fn, job *j) {
  int threads = rt_team_thread_count(team);
  double start = kernels_clock(threads);
  rt_team_split(team, fn, j);
  return kernels_clock(threads) - start;
}

static void raise_to(double *value, double rate) {
  if (rate > *value) *value = rate;
}

#ifdef __x86_64__
static void measure_loop(rt_team *team, job *j, void (*loop)(void), double lanes, double *out) {
  j->loop = loop;
  double operations = 2.0 * lanes * CHAINS * STEPS * rt_team_thread_count(team);
  raise_to(out, operations / timed(team, run_loop, j));
}
#endif

void kernels_roof_measure(int threads, kernels_roof *roof) {
  static uint8_t *memory;
  static rt_team *team;
  static job j;
  static size_t part;
  if (!memory) {
    memory = aligned_alloc(4096, READ_BYTES);
    weir_status status = rt_team_create(threads, false, weir_allocator_system(), &team);
    if (!memory || status) abort();
    memset(memory, 1, READ_BYTES);
  }
#ifdef __x86_64__
  if (rt_cpu_has_level("x86-64-v4")) {
    measure_loop(team, &j, fma_v4, 16, &roof->f32);
    if (rt_cpu_has_features("avx512bf16")) measure_loop(team, &j, bf16_v4, 32, &roof->bf16);
    if (rt_cpu_has_features("avx512vnni")) measure_loop(team, &j, int8_v4, 64, &roof->int8);
  } else if (rt_cpu_has_level("x86-64-v3")) {
    measure_loop(team, &j, fma_v3, 8, &roof->f32);
  }
#endif
  j.data = memory + part;
  part = (part + PART_BYTES) % READ_BYTES;
  raise_to(&roof->read, PART_BYTES / timed(team, read_part, &j));
}
