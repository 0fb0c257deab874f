// What the engine and the kernels compiled behind codegen/cuda/prelude_sim.inc share. The prelude is text that includes
// nothing, so it repeats these declarations word for word; RT_SIM_ABI_VERSION is checked when an object is loaded and
// changes with anything in this file.
//
// An object exports `weir_sim_object`. A kernel is entered once for each thread, on that thread's own stack, with the
// parameter struct and its thread; it calls the engine through |api|. A call may switch to other threads before it
// returns, and does not return where a check fires.
#ifndef WEIR_RUNTIME_DEVICE_SIM_ABI_H
#define WEIR_RUNTIME_DEVICE_SIM_ABI_H

#include <stdint.h>

enum { RT_SIM_ABI_VERSION = 1 };

// Flags of an access; the bytes of an element of the buffer stand above them, from RT_SIM_ELEMENT on.
enum { RT_SIM_WRITE = 1, RT_SIM_SHARED = 2, RT_SIM_ATOMIC = 4, RT_SIM_ELEMENT = 8 };

// Warp operations. |data|: 32-bit words of this thread.
enum {
  RT_SIM_FENCE,
  RT_SIM_SHUFFLE_XOR,   // words 0, 1: value and result, word 2: distance
  RT_SIM_SHUFFLE_DOWN,  // likewise
  RT_SIM_SHUFFLE,       // word 2: lane
  RT_SIM_ANY,           // word 0: condition and result
  RT_SIM_ALL,
  RT_SIM_LDMATRIX,  // words 0, 1: address; 2: matrices, 16 more where transposed; 3..6: results
  RT_SIM_STMATRIX,  // likewise; 3..6: what is stored
  RT_SIM_MMA,       // word 0: kind; 1..4: c; 5..8: a; 9, 10: b
  RT_SIM_WARP_OPERATIONS
};
enum { RT_SIM_MMA_BF16, RT_SIM_MMA_F16, RT_SIM_MMA_TF32, RT_SIM_MMA_S8, RT_SIM_MMA_E4M3, RT_SIM_MMA_KINDS };

// Operations of one thread; |args| are 64-bit words.
enum {
  RT_SIM_MBARRIER_INIT,    // address, count
  RT_SIM_MBARRIER_ARRIVE,  // address, rank of the block in the cluster or -1
  RT_SIM_MBARRIER_EXPECT,  // address, bytes: arrives too
  RT_SIM_MBARRIER_WAIT,    // address, parity
  RT_SIM_BULK,             // to, from, bytes, mbarrier
  RT_SIM_TENSOR_LOAD,      // to, map, mbarrier, mask of blocks or 0, rank, coordinates...
  RT_SIM_TENSOR_STORE,     // map, from, rank, coordinates...
  RT_SIM_TENSOR_COMMIT,
  RT_SIM_TENSOR_WAIT,  // groups that may stay pending
  RT_SIM_PROXY_FENCE,
  RT_SIM_WGMMA_FENCE,
  RT_SIM_WGMMA_COMMIT,
  RT_SIM_WGMMA_WAIT,  // groups that may stay pending
  RT_SIM_WGMMA,       // kind, n, array of pointers to accumulators, adds, then address, registers, swizzle, transposed,
                      // stride of a and address, swizzle, transposed, stride of b
  RT_SIM_SETMAXNREG,  // registers, 1: more
  RT_SIM_CLUSTER_BARRIER,
  RT_SIM_BARRIER_ARRIVE,  // id, threads
  RT_SIM_MAP_SHARED,      // address, rank; args[0] becomes the address in that block
  RT_SIM_GRID,            // 0: dependents may start, 1: wait for what came before
  RT_SIM_OPERATIONS
};
enum { RT_SIM_ATOMIC_ADD, RT_SIM_ATOMIC_MIN, RT_SIM_ATOMIC_MAX, RT_SIM_ATOMIC_SIGNED = 4, RT_SIM_ATOMIC_SHARED = 8 };

typedef struct rt_sim_head rt_sim_head;

typedef struct {
  int32_t version, bytes;
  void (*access)(rt_sim_head *self, const void *base, const void *at, uint32_t bytes, uint32_t flags, uint32_t line);
  void (*extent)(rt_sim_head *self, const void *at, int64_t bytes, const char *name, int32_t written);
  // |dynamic| 0: static; else 1 more than the place in dynamic shared memory, a multiple of 16.
  void *(*shared)(rt_sim_head *self, int64_t bytes, const char *name, int32_t dynamic);
  void (*barrier)(rt_sim_head *self, int32_t id, int32_t threads, uint32_t line);
  void (*warp)(rt_sim_head *self, uint32_t operation, uint32_t width, void *data, uint32_t line);
  void (*operation)(rt_sim_head *self, uint32_t operation, int64_t *args, uint32_t line);
  void (*copy)(rt_sim_head *self, void *shared, const void *global, uint32_t bytes, int32_t on, uint32_t line);
  void (*commit)(rt_sim_head *self);
  void (*wait)(rt_sim_head *self, int32_t pending, uint32_t line);
  void (*fence)(rt_sim_head *self);
  uint32_t (*atomic)(rt_sim_head *self, const void *base, uint32_t *at, uint32_t value, uint32_t kind, uint32_t line);
  void (*index)(rt_sim_head *self, int64_t index, int64_t count,
                uint32_t line);  // outside of 0..count: does not return
  void (*fresh)(rt_sim_head *self, const void *shared, int64_t bytes, uint32_t line);  // uninitialised from here on
} rt_sim_api;

// What a kernel sees of its thread.
struct rt_sim_head {
  const rt_sim_api *api;
  uint32_t thread, threads, block, grid, rank, cluster;
  int32_t checked, learning;  // learning: the engine does not know the kernel's extents yet
  uint32_t shared_at;         // the next shared buffer begins here
  const void *scratch;        // the slice of its team, set by the kernel
  int64_t scratch_bytes;
};

typedef struct {
  const char *name;
  int32_t threads;
  int64_t param_bytes;
  void (*enter)(const void *params, rt_sim_head *self);
  rt_sim_head **(*slot)(
      void);  // where helper functions of the object find the running thread; for the calling host thread
} rt_sim_entry;

typedef struct {
  int32_t version, head_bytes, api_bytes;
} rt_sim_object_header;  // exported as weir_sim_object; a kernel k as weir_sim_k, an rt_sim_entry

#endif
