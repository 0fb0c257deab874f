// cuBLASLt as a table of functions, filled at run time; its binary interface, of version 12 on, is declared here.
//
// Kernels of which the facts say what product they are (`outs`, `cols`) are the library's where there is one: the
// launcher calls it with x, w and y of the launch instead. Whatever the library does not want to do, the kernel does.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_LIBRARY_H
#define WEIR_RUNTIME_DEVICE_CUDA_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

enum {
  RT_CUDA_LIBRARY_OLDEST = 120000,  // what cublasLtGetVersion must say at least
  RT_CUDA_LIBRARY_WORK_BYTES = 32 << 20,
  RT_CUDA_LIBRARY_PROPOSALS = 16,
  // cublasStatus_t
  RT_CUDA_LIBRARY_NO_MEMORY = 3,
  RT_CUDA_LIBRARY_INVALID_VALUE = 7,
  RT_CUDA_LIBRARY_ARCH_MISMATCH = 8,
  RT_CUDA_LIBRARY_EXECUTION_FAILED = 13,
  RT_CUDA_LIBRARY_NOT_SUPPORTED = 15,
  // cudaDataType, cublasComputeType_t, cublasOperation_t, attributes
  RT_CUDA_LIBRARY_F32 = 0,
  RT_CUDA_LIBRARY_BF16 = 14,
  RT_CUDA_LIBRARY_COMPUTE_F32 = 68,
  RT_CUDA_LIBRARY_TRANSPOSED = 1,
  RT_CUDA_LIBRARY_DESC_TRANSA = 3,
  RT_CUDA_LIBRARY_WORKSPACE = 1,
};

// cublasLtMatmulAlgo_t, cublasLtMatmulHeuristicResult_t.
typedef struct {
  uint64_t data[8];
} rt_cuda_algorithm;
typedef struct {
  rt_cuda_algorithm algorithm;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
} rt_cuda_proposal;
_Static_assert(sizeof(rt_cuda_algorithm) == 64 && sizeof(rt_cuda_proposal) == 96, "as the library has it");

typedef struct {
#define CALL(field, symbol, result, parameters, arguments) result(*field) parameters;
#include "runtime/device/cuda/library.def"
  void *library;  // null: nothing was opened
  char path[256];
  long version;  // what it says of itself: 130100 is 13.1
} rt_cuda_library;

// Opens libcublasLt.so.13, .12, or the file that WEIR_CUBLASLT in the environment names. NOT_FOUND: there is none;
// UNSUPPORTED: too old, or it lacks an entry.
weir_status rt_cuda_library_open(rt_cuda_library *out_library) WEIR_MUST_USE;
void rt_cuda_library_close(rt_cuda_library *library);  // zeroed is allowed

#endif
