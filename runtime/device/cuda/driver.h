// The CUDA driver as a table of functions, filled at run time: Weir is linked to no part of CUDA and includes none of
// its headers. The table's shapes are the driver's binary interface, declared here for 64-bit systems.
//
// The same table stands over the simulator (runtime/device/sim/driver.h), so that all above it is one code path.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_DRIVER_H
#define WEIR_RUNTIME_DEVICE_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  RT_CUDA_OLDEST = 12000,  // what cuDriverGetVersion must say at least
  RT_CUDA_OK = 0,
  RT_CUDA_INVALID_VALUE = 1,
  RT_CUDA_OUT_OF_MEMORY = 2,
  RT_CUDA_NOT_INITIALIZED = 3,
  RT_CUDA_STUB_LIBRARY = 34,
  RT_CUDA_NO_DEVICE = 100,
  RT_CUDA_INVALID_DEVICE = 101,
  RT_CUDA_INVALID_IMAGE = 200,
  RT_CUDA_NO_BINARY = 209,
  RT_CUDA_ECC = 214,
  RT_CUDA_UNSUPPORTED_PTX = 222,
  RT_CUDA_INVALID_HANDLE = 400,
  RT_CUDA_NOT_FOUND = 500,
  RT_CUDA_ILLEGAL_ADDRESS = 700,
  RT_CUDA_LAUNCH_OUT_OF_RESOURCES = 701,
  RT_CUDA_LAUNCH_TIMEOUT = 702,
  RT_CUDA_CONTEXT_DESTROYED = 709,
  RT_CUDA_ASSERT = 710,
  RT_CUDA_HARDWARE_STACK = 714,
  RT_CUDA_ILLEGAL_INSTRUCTION = 715,
  RT_CUDA_MISALIGNED = 716,
  RT_CUDA_INVALID_SPACE = 717,
  RT_CUDA_INVALID_PC = 718,
  RT_CUDA_LAUNCH_FAILED = 719,
  RT_CUDA_UNKNOWN = 999,
};

// Attributes of devices, functions, pools; flags.
enum {
  RT_CUDA_ATTRIBUTE_MULTIPROCESSORS = 16,
  RT_CUDA_ATTRIBUTE_MAJOR = 75,
  RT_CUDA_ATTRIBUTE_MINOR = 76,
  RT_CUDA_ATTRIBUTE_SHARED_OPTIN = 97,
  RT_CUDA_ATTRIBUTE_POOLS = 115,
  RT_CUDA_FUNCTION_DYNAMIC_SHARED = 8,
  RT_CUDA_POOL_KEEP_BYTES = 4,
  RT_CUDA_STREAM_NON_BLOCKING = 1,
  RT_CUDA_JIT_ERROR_TEXT = 5,
  RT_CUDA_JIT_ERROR_BYTES = 6,
  RT_CUDA_LAUNCH_CLUSTER = 4,  // ids of launch attributes
  RT_CUDA_LAUNCH_OVERLAP = 6,
};

// CUlaunchAttribute.
typedef struct {
  int id;
  char padding[4];
  union {
    char bytes[64];
    unsigned cluster[3];
    int overlap;
  } value;
} rt_cuda_attribute;

// CUlaunchConfig.
typedef struct {
  unsigned grid[3], block[3];
  unsigned dynamic_bytes;
  void *stream;
  rt_cuda_attribute *attributes;
  unsigned attribute_count;
} rt_cuda_launch;

// CUDA_KERNEL_NODE_PARAMS_v2.
typedef struct {
  void *function;
  unsigned grid[3], block[3];
  unsigned dynamic_bytes;
  void **parameters;
  void **extra;
  void *kernel;
  void *context;
} rt_cuda_node;

// CUgraphEdgeData.
typedef struct {
  unsigned char from_port, to_port, type, reserved[5];
} rt_cuda_edge;
enum { RT_CUDA_EDGE_OVERLAP = 1, RT_CUDA_PORT_OVERLAP = 1 };

_Static_assert(sizeof(rt_cuda_attribute) == 72 && sizeof(rt_cuda_launch) == 56, "as the driver has it");
_Static_assert(sizeof(rt_cuda_node) == 72 && sizeof(rt_cuda_edge) == 8, "as the driver has it");

typedef struct {
#define CALL(field, symbol, parameters, arguments, needed) int(*field) parameters;
#include "runtime/device/cuda/driver.def"
  void *library;  // null: nothing was opened
  char path[256];
  int version;  // what the driver says of itself: 13000 is 13.0
} rt_cuda_driver;

// Opens libcuda.so.1, or the file that WEIR_CUDA_DRIVER in the environment names. NOT_FOUND: there is none;
// UNSUPPORTED: too old, naming its version or the entry that it lacks, or a driver that does not start, with its words.
weir_status rt_cuda_driver_open(rt_cuda_driver *out_driver) WEIR_MUST_USE;
void rt_cuda_driver_close(rt_cuda_driver *driver);  // zeroed is allowed

// "illegal address (700): text of the driver".
void rt_cuda_error_text(const rt_cuda_driver *driver, int code, char *out_text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
