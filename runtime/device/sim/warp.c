// Warp operations: fences, shuffles, votes, and the entry of ldmatrix and mma.
//
// A group of |width| lanes (a team, or the warp) takes part. The lane that arrives last does the operation for all,
// makes the others ready and goes on. Lanes that arrive for different operations are a fault at once; lanes that never
// arrive are found when nothing moves. A shuffle orders no memory accesses, a fence does.
#include <string.h>

#include "runtime/device/sim/internal.h"

static const char *const operation_names[] = {"fence", "shuffle xor", "shuffle down", "shuffle", "any",
                                              "all",   "ldmatrix",    "stmatrix",     "mma"};

static void shuffle(sim_thread *first, uint32_t begin, uint32_t width, uint32_t operation) {
  uint32_t before[SIM_WARP][2];
  for (uint32_t i = begin; i < begin + width; i++) memcpy(before[i], first[i].data, 8);
  for (uint32_t i = begin; i < begin + width; i++) {
    uint32_t *word = first[i].data, lane = i - begin, from = lane;
    if (operation == RT_SIM_SHUFFLE_XOR) from = lane ^ word[2];
    else if (operation == RT_SIM_SHUFFLE_DOWN) from = lane + word[2];
    else from = word[2] % width;
    memcpy(word, before[begin + (from < width ? from : lane)], 8);
  }
}

static void vote(sim_thread *first, uint32_t begin, uint32_t width, uint32_t operation) {
  uint32_t count = 0;
  for (uint32_t i = begin; i < begin + width; i++) count += *(uint32_t *)first[i].data != 0;
  for (uint32_t i = begin; i < begin + width; i++) {
    *(uint32_t *)first[i].data = operation == RT_SIM_ANY ? count > 0 : count == width;
  }
}

// |t| is the last of its group; the lanes' first thread is |first|.
static void perform(sim_thread *t, sim_thread *first, uint32_t begin, uint32_t operation, uint32_t width,
                    uint32_t line) {
  t->worker->counters.warp_operations++;
  switch (operation) {
    case RT_SIM_FENCE:
      sim_order_warp(first, (width == SIM_WARP ? ~0u : (1u << width) - 1) << begin);
      break;
    case RT_SIM_SHUFFLE_XOR:
    case RT_SIM_SHUFFLE_DOWN:
    case RT_SIM_SHUFFLE:
      shuffle(first, begin, width, operation);
      break;
    case RT_SIM_ANY:
    case RT_SIM_ALL:
      vote(first, begin, width, operation);
      break;
    case RT_SIM_LDMATRIX:
    case RT_SIM_STMATRIX:
      sim_matrix_move(first, t, operation == RT_SIM_STMATRIX, line);
      break;
    case RT_SIM_MMA:
      sim_mma(first, t, line);
      break;
    default:
      sim_fault(t, RT_SIM_argument, line, NULL, 0, "warp operation %u", operation);
  }
}

void sim_warp(rt_sim_head *self, uint32_t operation, uint32_t width, void *data, uint32_t line) {
  sim_thread *t = sim_thread_of(self);
  sim_block *block = t->block;
  if (!t->worker->steps--) sim_fault(t, RT_SIM_steps, line, NULL, 0, "the block has used up its steps");
  if (!width || width > SIM_WARP || width & (width - 1)) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "a team of %u threads in a warp", width);
  }
  sim_thread *first = t - self->thread % SIM_WARP;
  const uint32_t lane = self->thread % SIM_WARP, begin = lane / width * width;
  if (self->thread - lane + begin + width > (uint32_t)block->count) {
    sim_fault(t, RT_SIM_divergent_warp, line, NULL, 0, "a block of %d threads has no %u threads for this operation",
              block->count, width);
  }
  sim_thread *team = &first[begin];
  if (team->team_count && (team->team_operation != operation)) {
    sim_fault(t, RT_SIM_divergent_warp, line, NULL, 0, "thread %u does %s here, others of its team do %s in line %u",
              self->thread, operation_names[operation], operation_names[team->team_operation], team->team_line);
  }
  team->team_operation = operation;
  team->team_line = line;
  t->operation = operation;
  t->width = width;
  t->data = data;
  if (++team->team_count < width) {
    sim_wait(t, SIM_AT_WARP, line);
    return;
  }
  team->team_count = 0;
  perform(t, first, begin, operation, width, line);
  for (uint32_t i = begin; i < begin + width; i++) {
    if (&first[i] != t) sim_ready(&first[i]);
  }
}
