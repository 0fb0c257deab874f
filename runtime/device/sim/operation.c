// Operations of one thread that are rare enough to share one entry.
#include "runtime/device/sim/internal.h"

static void map_shared(sim_thread *t, int64_t *args, uint32_t line) {
  sim_worker *w = t->worker;
  const uint8_t *at = (const uint8_t *)(uintptr_t)args[0];
  sim_block *block = sim_shared_block(t, at);
  if (!block || args[1] < 0 || args[1] >= w->launch->cluster) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "block %lld of a cluster of %d", (long long)args[1],
              w->launch->cluster);
  }
  args[0] = (int64_t)(uintptr_t)(w->blocks[args[1]].memory + (at - block->memory));
}

void sim_operation(rt_sim_head *self, uint32_t operation, int64_t *args, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  if (!t->worker->steps--) sim_fault(t, RT_SIM_steps, line, NULL, 0, "the block has used up its steps");
  switch (operation) {
    case RT_SIM_MBARRIER_INIT:
    case RT_SIM_MBARRIER_ARRIVE:
    case RT_SIM_MBARRIER_EXPECT:
    case RT_SIM_MBARRIER_WAIT:
      sim_mbarrier_operation(t, operation, args, line);
      break;
    case RT_SIM_BULK:
    case RT_SIM_TENSOR_LOAD:
    case RT_SIM_TENSOR_STORE:
    case RT_SIM_TENSOR_COMMIT:
    case RT_SIM_TENSOR_WAIT:
      sim_tensor_operation(t, operation, args, line);
      break;
    case RT_SIM_PROXY_FENCE:
      t->proxy = t->epoch;
      sim_epoch_end(t);
      break;
    case RT_SIM_WGMMA_FENCE:
    case RT_SIM_WGMMA_COMMIT:
    case RT_SIM_WGMMA_WAIT:
    case RT_SIM_WGMMA:
      sim_wgmma_operation(t, operation, args, line);
      break;
    case RT_SIM_SETMAXNREG:
      if (args[0] < 24 || args[0] > 256 || args[0] % 8) {
        sim_fault(t, RT_SIM_argument, line, NULL, 0, "setmaxnreg of %lld registers", (long long)args[0]);
      }
      break;
    case RT_SIM_CLUSTER_BARRIER:
      sim_cluster_barrier(t, line);
      break;
    case RT_SIM_BARRIER_ARRIVE:
      sim_barrier_arrive(t, args[0], args[1], line);
      break;
    case RT_SIM_MAP_SHARED:
      map_shared(t, args, line);
      break;
    case RT_SIM_GRID:
      if (args[0]) t->waited = true;  // launches are done one at a time; memory.c says what may be touched before
      break;
    default:
      sim_fault(t, RT_SIM_argument, line, NULL, 0, "operation %u", operation);
  }
}
