// Tensor maps of a kernel: what its facts say of them (abi.h), and the words that the driver makes of a launch's
// addresses and sizes. Facts are not believed: what parses can be evaluated.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_MAPS_H
#define WEIR_RUNTIME_DEVICE_CUDA_MAPS_H

#include "runtime/base/program.h"
#include "runtime/device/cuda/driver.h"

enum { RT_CUDA_MAP_RANK = 5, RT_CUDA_MAP_OPS = 128, RT_CUDA_MAX_MAPS = 8 };

// Expressions are over the launch's dims. |ops| is theirs: a map stays where it was parsed.
typedef struct {
  int arg, element_bytes, swizzle, rank;
  uint32_t box[RT_CUDA_MAP_RANK];
  rt_expr offset;                                             // bytes
  rt_expr dims[RT_CUDA_MAP_RANK], strides[RT_CUDA_MAP_RANK];  // elements; strides from the second dim on
  int op_count;
  rt_size_op ops[RT_CUDA_MAP_OPS];
} rt_cuda_map;

// " map=..." at |*at|; moves on. False: no map.
bool rt_cuda_map_parse(const char **at, const char *end, rt_cuda_map *out_map);
// Whether it is about these numbers of arguments and dims.
bool rt_cuda_map_fits(const rt_cuda_map *map, int args, int dims);
// Into the 128 bytes at |out|, aligned to 64. OUT_OF_RANGE: a size that no map has; else |*out_code| is the driver's.
weir_status rt_cuda_map_encode(const rt_cuda_driver *driver, const rt_cuda_map *map, void *const *args,
                               const int64_t *dims, void *out, int *out_code) WEIR_MUST_USE;

#endif
