// What differs between devices: where weights, states and temporaries lie, how bytes get there, and who runs the
// launches of a call. Executors and sessions are written once, over this table.
//
// The host (host.c) is a device whose memory is the process's own: copying is memcpy, launches are a team of threads.
// Others have memory apart (`apart`): kernels' addresses mean nothing to the process, and what it gives or gets is
// copied by send and receive. A queue does what it is given in order; each executor has one, and the model one more
// for its sessions.
//
// Failure: alloc says OUT_OF_MEMORY and nothing has happened. Any other failure of a device with memory apart means
// that nobody knows what has been done: it is lost, DEVICE_LOST is what every later call says, and nothing of it
// counts. So whoever cannot hand a status on may drop it.
#ifndef WEIR_RUNTIME_EXEC_DEVICE_H
#define WEIR_RUNTIME_EXEC_DEVICE_H

#include "runtime/base/alloc.h"
#include "runtime/weir.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_device rt_device;
typedef struct rt_queue rt_queue;

// An entry of a model as an executor has bound it (exec_internal.h).
struct rt_bound;
struct rt_kernel_entry;

// Bytes on their way to the device: weights.
typedef struct {
  uint8_t *to;
  const uint8_t *from;
  size_t bytes;
} rt_piece;

typedef struct {
  bool apart;
  // Of states whose rows grow: storage begins with room for so many rows and doubles when they are used up; 0: memory
  // costs nothing until it is written, so storage has room for the whole capacity at once.
  int64_t first_rows;
  // Memory for kernels, aligned to 64 bytes; contents are undefined.
  weir_status (*alloc)(rt_device *device, size_t bytes, uint8_t **out_memory);
  void (*free)(rt_device *device, void *memory, size_t bytes);  // null is allowed; nothing uses it any more
  // Apart: memory of the process from which and to which copies are quick.
  weir_status (*alloc_host)(rt_device *device, size_t bytes, uint8_t **out_memory);
  void (*free_host)(rt_device *device, void *memory, size_t bytes);
  // Apart: all pieces, finished when it returns.
  weir_status (*upload)(rt_device *device, const rt_piece *pieces, int count);
  // Null |options|: for copies alone.
  weir_status (*queue_make)(rt_device *device, const weir_model *model, const weir_executor_options *options,
                            rt_queue **out_queue);
  void (*queue_free)(rt_queue *queue);  // null is allowed; waits for what it has been given
  // In order on the queue. The process's side of send and receive is free again after wait. move: within the device's
  // memory, ranges may overlap. fill: |width| (1, 2, 4 or 8) bytes of |element| over and over; |bytes| a multiple of
  // it.
  weir_status (*send)(rt_queue *queue, void *to, const void *from, size_t bytes);
  weir_status (*receive)(rt_queue *queue, void *to, const void *from, size_t bytes);
  weir_status (*move)(rt_queue *queue, void *to, const void *from, size_t bytes);
  weir_status (*fill)(rt_queue *queue, void *to, size_t bytes, const void *element, int width);
  weir_status (*wait)(rt_queue *queue);
  // Runs the records of a bound call, behind all that was sent; done at the latest after wait. CANCELLED, INTERNAL (a
  // kernel refused).
  weir_status (*launch)(rt_queue *queue, struct rt_bound *bound, weir_run_options *options);
  // One kernel that is in no list of launches, of |items| items, behind all that was given to the queue. Null: the
  // device does not.
  weir_status (*fire)(rt_queue *queue, const struct rt_kernel_entry *kernel, void *const *args, int arg_count,
                      const int64_t *dims, int dim_count, int64_t items);
  // Null is allowed: nothing was opened.
  void (*destroy)(rt_device *device);
} rt_device_ops;

// Begins every device. The allocator is for the device's own records, and the host's memory.
struct rt_device {
  const rt_device_ops *ops;
  const weir_allocator *allocator;
};

// Begins every queue.
struct rt_queue {
  rt_device *device;
  int threads;            // that launch: 1 where the device has its own
  int64_t scratch_bytes;  // of memory that kernels use for themselves
};

// The process itself.
extern const rt_device_ops rt_host_ops;

#ifdef __cplusplus
}
#endif
#endif
