// What the files of this folder share.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_DEVICE_INTERNAL_H
#define WEIR_RUNTIME_DEVICE_CUDA_DEVICE_INTERNAL_H

#include <pthread.h>

#include "runtime/device/cuda/device.h"
#include "runtime/device/cuda/library.h"
#include "runtime/device/cuda/maps.h"
#include "runtime/exec/exec_internal.h"

typedef struct {
  rt_device base;
  rt_cuda_driver driver;
  int ordinal, device;
  char label[32];  // "cuda:0"
  rt_cuda_facts facts;
  int multiprocessors;
  void *context;
  bool pooled;           // memory is ordered by streams
  void *stream;          // of memory and uploads
  pthread_mutex_t lock;  // of what follows
  bool lost;
  char lost_text[1536];
  bool library_asked;  // while code is opened; from then on it does not change
  rt_cuda_library library;
  void *library_handle;  // null: kernels run themselves
} rt_cuda_device;

// A kernel of the loaded code, with what its launcher must know (abi.h).
typedef struct {
  char name[160];
  int unit, threads, items_per_block, occupancy, maps, cluster;
  int64_t static_bytes, dynamic_bytes, scratch_bytes;
  bool block, waits;   // a block an item; waits for what came before by itself
  rt_cuda_map *map;    // |maps| of them
  int64_t outs, cols;  // of a product that a library may do; 0: it is none
  int algorithm;       // which of the library's proposals
  void *function;
} rt_cuda_kernel;

// Around calls of the driver: its context becomes the thread's, for as long. DEVICE_LOST where it is; then there is
// nothing to leave.
weir_status rt_cuda_enter(rt_cuda_device *device) WEIR_MUST_USE;
void rt_cuda_leave(rt_cuda_device *device);
// The driver's answer to |what| as a status. A fault loses the device.
weir_status rt_cuda_check(rt_cuda_device *device, int code, const char *what) WEIR_MUST_USE;
// The same of work on a queue: whatever fails loses the device.
weir_status rt_cuda_check_work(rt_cuda_device *device, int code, const char *what) WEIR_MUST_USE;

// What somebody else's code says failed: the device is lost.
weir_status rt_cuda_lose(rt_cuda_device *device, const char *what, const char *text, int code) WEIR_MUST_USE;

// ---- code.c: the best code of a package for the device, as a provider whose entries' contexts are rt_cuda_kernel.
weir_status rt_cuda_code_open(rt_cuda_device *device, const rt_package *package, const char *isa,
                              rt_kernel_provider *out_provider, const char **out_isa) WEIR_MUST_USE;

// ---- upload.c
weir_status rt_cuda_upload(rt_device *device, const rt_piece *pieces, int count) WEIR_MUST_USE;

// ---- queue.c: streams, and what a model's entries need on them

typedef struct rt_cuda_plan rt_cuda_plan;  // of library.c
typedef struct rt_cuda_graph rt_cuda_graph;
enum { RT_CUDA_GRAPHS = 8 };  // of one entry; the one that was used longest ago makes room

// An entry on a queue: the parameter structs of its launches, one behind the other.
typedef struct {
  int64_t *at;      // of each launch, in |params|
  uint8_t *params;  // aligned to 64
  int64_t bytes;
  rt_cuda_graph *graphs[RT_CUDA_GRAPHS];
} rt_cuda_entry;

typedef struct {
  rt_queue base;
  void *stream;
  weir_pool pool;
  const weir_model *model;
  rt_cuda_entry *entries;  // null: for copies alone
  uint8_t *scratch;
  void *begin, *end;  // events around a launch that is timed
  uint8_t *flags;     // of a loop, as read back
  size_t flags_bytes;
  rt_cuda_plan *plans;  // of a library's products; null: none yet
  int64_t plan_calls;
  bool behind_library;  // its launch is the last one
  bool check;           // wait for each launch
  bool overlaps;        // kernels that wait by themselves may begin before those before have ended
  int64_t calls;
} rt_cuda_queue;

rt_cuda_device *rt_cuda_device_of(rt_queue *queue);
weir_status rt_cuda_queue_make(rt_device *device, const weir_model *model, const weir_executor_options *options,
                               rt_queue **out_queue) WEIR_MUST_USE;
void rt_cuda_queue_free(rt_queue *queue);
weir_status rt_cuda_send(rt_queue *queue, void *to, const void *from, size_t bytes) WEIR_MUST_USE;
weir_status rt_cuda_receive(rt_queue *queue, void *to, const void *from, size_t bytes) WEIR_MUST_USE;
weir_status rt_cuda_move(rt_queue *queue, void *to, const void *from, size_t bytes) WEIR_MUST_USE;
weir_status rt_cuda_fill(rt_queue *queue, void *to, size_t bytes, const void *element, int width) WEIR_MUST_USE;
weir_status rt_cuda_wait(rt_queue *queue) WEIR_MUST_USE;

// ---- launch.c

// What a record is on the device.
typedef struct {
  const rt_cuda_kernel *kernel;
  unsigned grid;
  void *params;
  int64_t bytes;
} rt_cuda_shot;
// Fills in the parameter struct of the record. OUT_OF_RANGE: more blocks than a grid can have.
weir_status rt_cuda_shot_make(rt_cuda_queue *queue, const rt_bound *bound, const rt_record *record,
                              rt_cuda_shot *out_shot) WEIR_MUST_USE;
weir_status rt_cuda_launch_bound(rt_queue *queue, rt_bound *bound, weir_run_options *options) WEIR_MUST_USE;
// ---- single.c
weir_status rt_cuda_fire(rt_queue *queue, const rt_kernel_entry *kernel, void *const *args, int arg_count,
                         const int64_t *dims, int dim_count, int64_t items) WEIR_MUST_USE;
// Blocks of a launch of |items|, 0 where there are too many.
int64_t rt_cuda_grid(const rt_cuda_device *device, const rt_cuda_kernel *kernel, int64_t items);

// ---- library.c: all with the context entered
// Looks for the library, once.
void rt_cuda_library_start(rt_cuda_device *device);
void rt_cuda_library_stop(rt_cuda_device *device, bool entered);
bool rt_cuda_is_library(const rt_cuda_device *device, const rt_cuda_kernel *kernel);
// Has the library do the launch. Not done: the kernel is to run.
weir_status rt_cuda_library_fire(rt_cuda_queue *queue, const rt_cuda_shot *shot, bool *out_done) WEIR_MUST_USE;
void rt_cuda_plans_free(rt_cuda_queue *queue);

// ---- graph.c: all records of a call in one launch. The call has no loops.
weir_status rt_cuda_graph_run(rt_cuda_queue *queue, rt_bound *bound) WEIR_MUST_USE;
// |entered|: the driver is told too. A null graph is allowed.
void rt_cuda_graph_free(rt_cuda_queue *queue, rt_cuda_graph *graph, bool entered);

#endif
