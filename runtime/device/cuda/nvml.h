// NVML, the library that tells how a GPU feels: power, temperature, load, memory. Opened at run time, of no need to
// anything else.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_NVML_H
#define WEIR_RUNTIME_DEVICE_CUDA_NVML_H

#include <stdint.h>

#include "runtime/base/alloc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_nvml rt_nvml;

typedef struct {
  double watts;           // -1: it does not say
  int celsius;            // likewise
  int load, memory_load;  // percent of the last moments; likewise
  int64_t used, total;    // bytes of memory; likewise
  int clock_mhz;          // of the multiprocessors; likewise
} rt_nvml_reading;

// Opens libnvidia-ml.so.1, or the file that WEIR_NVML in the environment names. NOT_FOUND: there is none; UNSUPPORTED:
// it does not start.
weir_status rt_nvml_open(rt_nvml **out_nvml) WEIR_MUST_USE;
void rt_nvml_close(rt_nvml *nvml);                 // null is allowed
const char *rt_nvml_version(const rt_nvml *nvml);  // of the display driver: "580.65.06"; empty if it does not say
// Device |ordinal|, by NVML's order. OUT_OF_RANGE if there is none.
weir_status rt_nvml_read(const rt_nvml *nvml, int ordinal, rt_nvml_reading *out_reading) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
