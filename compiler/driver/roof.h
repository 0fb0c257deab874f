// The machine and its limits: what it is, how fast memory can be read and how many multiply-adds and products of narrow
// numbers it does, measured here and now, on the threads and the memory that any program gets. Of a GPU likewise, by
// kernels of its own (compiler/plan/device_roof.h).
#ifndef WEIR_COMPILER_DRIVER_ROOF_H
#define WEIR_COMPILER_DRIVER_ROOF_H

#include "compiler/driver/cli.h"

typedef struct {
  double read_bytes_per_s;  // all threads together, from memory
  double flops_per_s;       // float32; multiply-adds count as two
  double bf16_ops_per_s;    // dot products of bf16 pairs, likewise; 0: no instruction for it
  double int8_ops_per_s;    // of bytes
  int threads;
  // Of a device alone:
  const char *device;       // its name and chip; null: this is the processor
  double copy_bytes_per_s;  // read and written bytes together
  double fp8_ops_per_s;     // 0: no unit for it
  double launch_s;          // of an empty kernel in a graph
  bool simulated;           // by the simulator, whose rates mean nothing
  const char *why;          // it could not be measured, and why; then all rates are 0
} cli_roof;

// Takes about half a second.
weir_status cli_roof_measure(int threads, cli_roof *out) WEIR_MUST_USE;
// Of what --device names; |threads| are the processor's. A device without NVRTC has a reason instead of rates.
weir_status cli_roof_measure_device(cli *c, int threads, cli_roof *out) WEIR_MUST_USE;
// Whether rates can be set beside it.
bool cli_roof_counts(const cli_roof *roof);
json_t *cli_roof_json(const cli_roof *roof);
// "28.1 GB/s read, 228.1 Gflop/s float32, ... on 2 threads"; arena text.
const char *cli_roof_text(weir_arena *arena, const cli_roof *roof);

// {cpu, cores, threads, features, memory_bytes, system}
json_t *cli_machine_json(void);
const char *cli_cpu_name(weir_arena *arena);
// The largest resident size of this process since the last reset, or since it began.
void cli_peak_memory_reset(void);
int64_t cli_peak_memory_bytes(void);

#endif
