// One kernel that is in no program's list of launches, behind everything on the queue.
#include <string.h>

#include "runtime/device/cuda/abi.h"
#include "runtime/device/cuda/device_internal.h"

weir_status rt_cuda_fire(rt_queue *queue, const rt_kernel_entry *kernel, void *const *args, int arg_count,
                         const int64_t *dims, int dim_count, int64_t items) {
  rt_cuda_queue *q = (rt_cuda_queue *)queue;
  rt_cuda_device *d = rt_cuda_device_of(queue);
  const rt_cuda_kernel *k = kernel->context;
  _Alignas(RT_CUDA_PARAM_ALIGN) uint8_t params[8 * (RT_MAX_ARGS + RT_MAX_DIMS + 3)];
  int64_t grid = rt_cuda_grid(d, k, items);
  if (!grid || k->maps || arg_count > RT_MAX_ARGS || dim_count > RT_MAX_DIMS)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel '%s': a launch of %lld items", k->name, (long long)items);
  size_t arg_bytes = 8 * (size_t)arg_count, dim_bytes = 8 * (size_t)dim_count;
  const uint64_t rest[] = {(uint64_t)items, (uint64_t)(uintptr_t)q->scratch, (uint64_t)k->scratch_bytes};
  memcpy(params, args, arg_bytes);
  memcpy(params + arg_bytes, dims, dim_bytes);
  memcpy(params + arg_bytes + dim_bytes, rest, sizeof rest);
  rt_cuda_launch launch = {.grid = {(unsigned)grid, 1, 1},
                           .block = {(unsigned)k->threads, 1, 1},
                           .dynamic_bytes = (unsigned)k->dynamic_bytes,
                           .stream = q->stream};
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status = rt_cuda_check_work(d, d->driver.launch(&launch, k->function, (void *[]){params}, NULL), k->name);
  rt_cuda_leave(d);
  return status;
}
