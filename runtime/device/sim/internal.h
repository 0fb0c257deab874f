// What the engine's files share: threads, blocks, workers, the launch, memory.
//
// A worker is a host thread with its stacks; it runs one group of blocks at a time (a cluster, mostly of one block).
// Threads of a group are numbered through; every thread counts epochs, which end where it releases what it did
// (barrier, fence, arrival). An access is stamped with launch, group, thread, epoch and the bytes of its word; whether
// it happened before another one is asked of what the later thread knows: the epochs of all at its block's last
// barrier (|base|), those of its warp (|known|), and, where a kernel uses other means, of everybody (|far|).
#ifndef WEIR_RUNTIME_DEVICE_SIM_INTERNAL_H
#define WEIR_RUNTIME_DEVICE_SIM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/device/sim/abi.h"
#include "runtime/device/sim/engine.h"
#include "runtime/device/sim/fiber.h"

enum {
  SIM_WARP = 32,
  SIM_SLOTS = 128,       // cached lookups of global buffers
  SIM_MAX_EXTENTS = 64,  // stated by a kernel
  SIM_MAX_SHARED = 64,   // shared buffers of a kernel
  SIM_BARRIERS = 16,     // named barriers; 0 is that of the block
  SIM_MAX_CLUSTER = 16,
  SIM_GROUP_THREADS = 4096,  // 12 bits of a stamp
  SIM_GROUPS = 1 << 20,
  SIM_EPOCH_LAST = (1 << 19) - 1,
};

// ---- stamps: launch 8 bits, group 20, whether a tensor copy did it 1, thread 12, epoch 19, mask of bytes 4 (0: an
// atomic operation on all four)
typedef uint64_t sim_stamp;
static const sim_stamp STAMP_TENSOR = (sim_stamp)1 << 35;
enum { STAMP_EPOCH = 4, STAMP_THREAD = 23, STAMP_GROUP = 36, STAMP_LAUNCH = 56 };

// What was done to four bytes of memory: the last two writes and reads that nothing orders.
typedef struct {
  _Atomic sim_stamp writes[2], reads[2];
} sim_cell;

// A range of global memory that has cells, reserved and touched as needed.
typedef struct {
  uintptr_t low, high;
  bool temporary;  // for one launch
  sim_cell *cells;
  size_t cell_bytes;
} sim_region;

typedef struct {
  uintptr_t at, high;
  bool written;
  char name[48];
} sim_extent;

typedef struct {
  const void *base;  // null: empty
  uintptr_t low, bytes;
  bool written;
  sim_cell *cells;  // of |low| rounded down to four; null: nothing to check
  uintptr_t cells_low;
} sim_slot;

typedef struct sim_worker sim_worker;
typedef struct sim_block sim_block;
typedef struct sim_launch sim_launch;

typedef enum {
  SIM_READY,
  SIM_AT_WARP,
  SIM_AT_BARRIER,
  SIM_AT_CLUSTER,
  SIM_AT_MBARRIER,
  SIM_AT_WGMMA,
  SIM_DONE
} sim_state;

typedef struct {
  uint32_t at;  // in the block's shared memory
  uint8_t bytes;
  uint32_t group;
  uint32_t line;
  uint8_t data[16];
} sim_copy;

typedef struct {
  rt_sim_head head;  // first: the kernel's pointer is a pointer to the thread
  sim_worker *worker;
  sim_block *block;
  rt_sim_stack *stack;  // null before it began
  uint8_t state;
  bool fenced;
  bool waited;  // for the launches before
  int id;       // in the group
  uint32_t epoch;
  // what it waits for
  uint32_t line, operation, width;
  void *data;
  // those of its team that have come to the operation of a warp, where it is the first of the team
  uint32_t team_count, team_operation, team_line;
  int barrier;
  int barrier_threads;
  struct sim_mbarrier *mbarrier;
  int parity;
  uint32_t *far;  // epochs of the whole group, null until needed
  uint32_t known[SIM_WARP];
  // cp.async
  sim_copy *copies;
  int copy_count, copy_capacity;
  uint32_t groups;  // committed
  uint32_t logged;  // accesses since the warp's last operation, for counting
  // sm_90a
  uint32_t proxy;                // epochs up to here are seen by tensor copies and wgmma
  struct sim_store *stores;      // tensor stores under way
  struct sim_product *products;  // of wgmma
  uint32_t store_groups, product_groups;
  bool product_fenced;
} sim_thread;

typedef struct {
  uint32_t low, high;
  char name[48];
} sim_shared;

typedef struct sim_mbarrier {
  struct sim_mbarrier *next;
  uint64_t *at;
  uint32_t count, pending;
  int64_t bytes;  // that tensor copies are still to bring
  uint64_t phase;
  sim_block *block;
  struct sim_load *loads;  // tensor copies that signal here, issued and not yet done
  uint32_t *clock;         // of the running phase, then of the last complete one
} sim_mbarrier;

// Bytes of shared memory.
// BYTE_READ and up: set, and read by that many operations under way, less BYTE_READ - 1.
enum { BYTE_NEW, BYTE_SET, BYTE_COPY, BYTE_TENSOR, BYTE_READ };

struct sim_block {
  sim_worker *worker;
  int64_t number;
  int rank;
  int count;  // of threads
  sim_thread *threads;
  uint8_t *memory, *bytes;  // RT_SIM_SHARED_BYTES of shared memory, and of states
  sim_cell *cells;          // one for each word of it
  uint8_t *owner;           // which buffer each 16 bytes belong to, from 1 on
  sim_shared shared[SIM_MAX_SHARED];
  int shared_count;
  uint32_t shared_high, used_high;
  uint32_t *base;
  uint32_t ready[RT_SIM_MAX_THREADS / SIM_WARP];  // a bit for each lane
  int live;
  int arrived[SIM_BARRIERS], expected[SIM_BARRIERS];
  uint32_t *clocks[SIM_BARRIERS];  // of the named ones, null until needed
  sim_mbarrier *mbarriers;
};

typedef struct {
  uint32_t line;
  uint8_t bytes;
  bool shared;
  uint32_t lanes;
  uint64_t at[SIM_WARP];
} sim_log;

struct sim_worker {
  sim_launch *launch;
  rt_sim *sim;
  rt_sim_fibers fibers;
  sim_thread *threads;  // of all blocks of a group
  int thread_capacity;
  sim_block blocks[SIM_MAX_CLUSTER];
  int block_count, group_threads;
  uint32_t *base_memory, *far_memory;
  size_t base_capacity, far_capacity;
  int64_t group;
  sim_stamp prefix;
  rt_sim_head **slot;
  bool learned, faulted;
  int live;
  uint32_t cluster_arrived;
  uint64_t random;
  uint64_t steps;
  sim_slot slots[SIM_SLOTS];
  sim_extent extents[SIM_MAX_EXTENTS];
  int extent_count;
  uint8_t *acquired;  // groups whose work this one has seen through an atomic operation; null: none
  sim_log *log;
  int log_count;
  struct sim_reading *readings;  // shared memory that wgmmas under way read
  struct sim_load *loading;      // not yet issued; what a fault leaves is freed with the group
  uint8_t *linear;               // a box on its way out
  rt_sim_report counters;
};

struct sim_launch {
  rt_sim *sim;
  const rt_sim_entry *entry;
  const rt_sim_launch_options *options;
  const void *params;
  int threads, cluster;
  int64_t groups;
  sim_stamp stamp;  // its bits of a stamp
  uint32_t open;    // number of the first launch that may still run
  bool track_groups;
  atomic_llong next;
  atomic_bool stop;
  uint64_t stride;  // order of the groups
  pthread_mutex_t lock;
  bool faulted, no_memory;
  rt_sim_report *report;
};

struct sim_release;
struct rt_sim {
  pthread_mutex_t lock;         // of launches
  pthread_mutex_t memory_lock;  // of regions and releases
  sim_region *regions;          // sorted by address
  int region_count, region_capacity;
  bool required;
  sim_worker **workers;
  int worker_count;
  uint32_t launches, open;       // the latest; the first that the next one may overlap with
  struct sim_release *releases;  // atomic operations of the running launch, see atomic.c
  int release_count;
};

struct rt_sim_object {
  void *handle;
  int fd;  // of the anonymous file; -1: none. Open as long as the code: the loader knows objects by path
  struct sim_named {
    rt_sim_kernel kernel;  // first: handed out
    const rt_sim_entry *entry;
    struct sim_named *next;
  } * kernels;
  pthread_mutex_t lock;
};

extern const rt_sim_api sim_api;

// ---- report.c: records the first fault and leaves the thread for good.
_Noreturn void sim_fault(sim_thread *t, rt_sim_check check, uint32_t line, const char *buffer, int64_t index,
                         const char *fmt, ...) WEIR_PRINTF(6, 7);
// The same seen from the scheduler: the worker stops.
void sim_fault_of(sim_thread *t, rt_sim_check check, uint32_t line, const char *buffer, int64_t index, const char *fmt,
                  ...) WEIR_PRINTF(6, 7);
void sim_report_merge(sim_launch *launch, sim_worker *worker);

// ---- block.c
weir_status sim_worker_prepare(sim_worker *worker, sim_launch *launch);
void sim_worker_free(sim_worker *worker);
void sim_group_run(sim_worker *worker, int64_t group);
// Leaves the running thread until its state is SIM_READY again.
void sim_wait(sim_thread *t, sim_state state, uint32_t line);
static inline void sim_ready(sim_thread *t) {
  t->state = SIM_READY;
  t->block->ready[t->head.thread / SIM_WARP] |= 1u << t->head.thread % SIM_WARP;
}
static inline sim_thread *sim_thread_of(rt_sim_head *head) { return (sim_thread *)(void *)head; }

// ---- memory.c
void sim_access(rt_sim_head *self, const void *base, const void *at, uint32_t bytes, uint32_t flags, uint32_t line);
void sim_extent_state(rt_sim_head *self, const void *at, int64_t bytes, const char *name, int32_t written);
void sim_index(rt_sim_head *self, int64_t index, int64_t count, uint32_t line);
void sim_slots_clear(sim_worker *worker);
void sim_early_end(sim_thread *t);  // at the end of the thread
const sim_slot *sim_slot_of(sim_thread *t, const void *base, uint32_t line);
// Where an access is, for the report of a race.
typedef struct {
  const sim_block *shared;  // null: global memory
  const void *base;
  int64_t index;
  uint32_t line;
} sim_place;
// The bytes of |mask| of one word.
void sim_touch(sim_thread *t, sim_cell *cell, unsigned mask, bool write, bool atomic, const sim_place *place);
// An operation of the asynchronous proxy on a word. It leaves no stamp: until it is complete the bytes' states stand
// for it. What it reads must come after a proxy fence of whoever wrote it.
void sim_touch_async(sim_thread *t, sim_cell *cell, bool write, const sim_place *place);
void sim_stamp_async(const sim_thread *t, sim_cell *cell);  // a write that |t| began is complete
const char *sim_buffer_name(sim_worker *worker, const void *base);

// ---- region.c: |low|..|high| of global memory.
weir_status sim_region_add(rt_sim *sim, uintptr_t low, uintptr_t high, bool temporary);
// The region around |at| with its cells, false if there is none.
bool sim_region_find(rt_sim *sim, uintptr_t at, sim_region *out);
void sim_regions_end_launch(rt_sim *sim);
void sim_regions_forget(rt_sim *sim);

// ---- shared.c
void *sim_shared_state(rt_sim_head *self, int64_t bytes, const char *name, int32_t dynamic);
void sim_shared_fresh(rt_sim_head *self, const void *at, int64_t bytes, uint32_t line);
sim_block *sim_shared_block(sim_thread *t, const void *at);
void sim_shared_access(sim_thread *t, const void *base, const void *at, uint32_t bytes, uint32_t flags, uint32_t line);
// |bytes| at |at| lie in one buffer of the cluster's shared memory and begin at a multiple of |align|.
sim_block *sim_shared_check(sim_thread *t, const void *at, uint64_t bytes, uint32_t align, uint32_t line);
const char *sim_shared_name(const sim_block *block, const void *at);

// ---- order.c
bool sim_ordered(const sim_thread *t, sim_stamp earlier);
void sim_epoch_end(sim_thread *t);
uint32_t *sim_far(sim_thread *t);                           // makes it
void sim_clock_join(sim_thread *t, uint32_t *clock);        // into |clock|, of the group, what t knows and did
void sim_clock_take(sim_thread *t, const uint32_t *clock);  // what t learns
void sim_order_block(sim_block *block);                     // all threads of it know all of it
void sim_order_warp(sim_thread *first, uint32_t lanes);     // those lanes of first's warp likewise

// ---- warp.c, barrier.c, async.c, mbarrier.c, tensor.c, bulk.c, atomic.c, count.c
void sim_warp(rt_sim_head *self, uint32_t operation, uint32_t width, void *data, uint32_t line);
void sim_barrier(rt_sim_head *self, int32_t id, int32_t threads, uint32_t line);
void sim_cluster_barrier(sim_thread *t, uint32_t line);
void sim_stuck(sim_worker *worker);  // nobody can run: says why
void sim_copy_async(rt_sim_head *self, void *shared, const void *global, uint32_t bytes, int32_t on, uint32_t line);
void sim_copy_commit(rt_sim_head *self);
void sim_copy_wait(rt_sim_head *self, int32_t pending, uint32_t line);
void sim_copy_end(sim_thread *t);  // at the end of the thread
void sim_operation(rt_sim_head *self, uint32_t operation, int64_t *args, uint32_t line);
uint32_t sim_atomic(rt_sim_head *self, const void *base, uint32_t *at, uint32_t value, uint32_t kind, uint32_t line);
void sim_barrier_arrive(sim_thread *t, int64_t id, int64_t threads, uint32_t line);
void sim_fence(rt_sim_head *self);
// mbarrier.c, tensor.c, wgmma.c: |args| as in abi.h
void sim_mbarrier_operation(sim_thread *t, uint32_t operation, int64_t *args, uint32_t line);
sim_mbarrier *sim_mbarrier_at(sim_thread *t, const void *at, uint32_t line);
void sim_mbarrier_bytes(sim_worker *worker, sim_mbarrier *b, int64_t bytes);  // so many have come
void sim_mbarriers_free(sim_block *block);
void sim_tensor_operation(sim_thread *t, uint32_t operation, int64_t *args, uint32_t line);
void sim_tensor_deliver(sim_mbarrier *b);         // all that is to signal there
bool sim_tensor_deliver_all(sim_worker *worker);  // false: there was nothing
void sim_tensor_end(sim_thread *t);               // at the end of the thread
void sim_loads_free(struct sim_load *loads);
void sim_stores_free(sim_thread *t);
void sim_wgmma_operation(sim_thread *t, uint32_t operation, int64_t *args, uint32_t line);
void sim_wgmma_end(sim_thread *t);
void sim_products_free(sim_thread *t);
void sim_readings_free(sim_worker *worker);
void sim_atomic_end_launch(rt_sim *sim);
void sim_count(sim_thread *t, const void *at, uint32_t bytes, bool shared, uint32_t line);
void sim_count_flush(sim_worker *worker);

// ---- matrix.c: the operations of a warp on fragments, |data| of its 32 lanes
void sim_matrix_move(sim_thread *first, sim_thread *last, bool store, uint32_t line);
void sim_mma(sim_thread *first, sim_thread *last, uint32_t line);

#endif
