// Sim: runs kernels in emitted CUDA C on the CPU, and checks what a GPU would not tell.
//
// The system compiler makes a shared object of the emitted text behind codegen/cuda/prelude_sim.inc. A CUDA thread is a
// fiber; the threads of a warp run one after the other until each has come to an operation of the warp or of the block,
// in an order that a seed shuffles. Every access goes through the engine, which knows allocations, extents, who
// wrote what and which synchronisation lies between (docs/sim.md says what is checked). Results do not depend on
// the order unless the kernel has a race, which is then reported.
//
// An rt_sim stands for a device: its allocations, shadow memory and stacks. Launches on one rt_sim are done one at a
// time (a lock inside); different ones are independent. A fault ends the launch, never the process: the fault is in the
// report, what the kernel wrote until then stays in memory.
#ifndef WEIR_RUNTIME_DEVICE_SIM_ENGINE_H
#define WEIR_RUNTIME_DEVICE_SIM_ENGINE_H

#include "runtime/base/status.h"
#include "runtime/base/team.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_sim rt_sim;
typedef struct rt_sim_object rt_sim_object;  // a loaded shared object

// CHECK(name, what it means)
#define RT_SIM_CHECKS(CHECK)                                                                            \
  CHECK(none, "no fault")                                                                               \
  CHECK(bounds, "access outside of the buffer, or of any allocation")                                   \
  CHECK(read_only, "write to an argument that the kernel does not declare written")                     \
  CHECK(local_index, "index outside of a register array")                                               \
  CHECK(misaligned, "address that is no multiple of the width of the access")                           \
  CHECK(uninitialised, "read of shared memory that nobody has written")                                 \
  CHECK(race, "two threads touch the same byte, one writes, and nothing orders them")                   \
  CHECK(divergent_barrier, "not all threads of a barrier arrive, or they arrive at different ones")     \
  CHECK(divergent_warp, "not all threads of a warp operation take part, or they do different ones")     \
  CHECK(async_pending, "access to bytes that an asynchronous copy is still to write, or to read")       \
  CHECK(mbarrier, "use of an mbarrier that is not initialised, or arrival over its count")              \
  CHECK(deadlock, "all threads wait")                                                                   \
  CHECK(tensor_map, "box, coordinates or map of a tensor copy that the hardware refuses")               \
  CHECK(matrix_operands, "operands of a matrix operation in flight, or their fences, missing or wrong") \
  CHECK(argument, "an operand that the instruction does not take")                                      \
  CHECK(early, "data of earlier launches, or an end, before the thread has waited for them")            \
  CHECK(steps, "more steps than the launch allows")

typedef enum {
#define CHECK(name, meaning) RT_SIM_##name,
  RT_SIM_CHECKS(CHECK)
#undef CHECK
      RT_SIM_CHECK_COUNT
} rt_sim_check;

const char *rt_sim_check_name(rt_sim_check check);     // "divergent barrier"
const char *rt_sim_check_meaning(rt_sim_check check);  // the text of the table

// A kernel of an object; lives as long as the object.
typedef struct {
  const char *name;
  int threads;         // of a block, as in __launch_bounds__
  size_t param_bytes;  // of the parameter struct
} rt_sim_kernel;

typedef struct {
  int64_t grid;          // blocks, 1..2^31-1
  int threads;           // of a block, 1..1024; 0: those of the kernel
  int cluster;           // blocks of a cluster that run at once, 0 and 1: none; must divide |grid|
  size_t dynamic_bytes;  // of shared memory, at most RT_SIM_SHARED_BYTES with the static ones
  const void *params;    // |kernel->param_bytes| bytes, read before the launch returns
  uint64_t seed;         // of the order of blocks, warps and threads; 0: ascending
  bool unchecked;        // memory is accessed directly: no bounds, races, uninitialised bytes or pending copies
  bool count;            // bank conflicts and sectors
  bool overlaps;         // may begin before the launches before it have ended, back to the last one without this; what
                         // its threads do before they wait may touch nothing of theirs
  uint64_t steps;        // most accesses and synchronisations of one block; 0: RT_SIM_STEPS
  rt_team *team;         // runs blocks in parallel; null: the caller runs them in order
} rt_sim_launch_options;

enum { RT_SIM_SHARED_BYTES = 227 * 1024, RT_SIM_STEPS = 2000000000, RT_SIM_MAX_THREADS = 1024 };

typedef struct {
  // The first fault. |check| is RT_SIM_none if there was none, and then the rest of this part is empty.
  rt_sim_check check;
  char kernel[160];
  int64_t block;
  int thread;
  char buffer[64];  // name in the emitted text; empty where there is none
  int64_t index;    // of the access, in its elements
  int line;         // of the emitted file
  char text[1024];  // everything of it in one sentence
  // Counters of the whole launch.
  uint64_t blocks, barriers, warp_operations, accesses;  // |accesses|: 0 when unchecked
  uint64_t shared_bytes;                                 // static and dynamic, of a block
  uint64_t bank_conflicts;                               // passes over shared memory beyond the least; with |count|
  uint64_t sectors, extra_sectors;  // of 32 bytes that global accesses moved, and those beyond the least; with |count|
} rt_sim_report;

weir_status rt_sim_create(rt_sim **out_sim) WEIR_MUST_USE;
// No launch is under way. Allocations are the caller's: they are forgotten, not freed. Null is allowed.
void rt_sim_destroy(rt_sim *sim);

// Tells that |bytes| at |at| are device memory: kernels may touch them. Ranges must not overlap (INVALID_ARGUMENT).
// Memory that is never registered may be used by launches whose kernels state its extent.
weir_status rt_sim_register(rt_sim *sim, const void *at, size_t bytes) WEIR_MUST_USE;
// NOT_FOUND if no range begins at |at|.
weir_status rt_sim_unregister(rt_sim *sim, const void *at) WEIR_MUST_USE;
// Once a range is registered, true: every global access must lie in a registered range. Off at first.
void rt_sim_require_registered(rt_sim *sim, bool required);

// INVALID_DATA if it is no object of this engine's version; IO if the system refuses to load it.
weir_status rt_sim_object_load(const char *path, rt_sim_object **out_object) WEIR_MUST_USE;
// The same from memory (through an anonymous file); |data| is copied.
weir_status rt_sim_object_load_bytes(const void *data, size_t bytes, rt_sim_object **out_object) WEIR_MUST_USE;
void rt_sim_object_unload(rt_sim_object *object);  // no launch of its kernels is under way; null is allowed
// NOT_FOUND if there is no such kernel.
weir_status rt_sim_object_find(const rt_sim_object *object, const char *name,
                               const rt_sim_kernel **out_kernel) WEIR_MUST_USE;

// Runs the whole grid and returns. INVALID_DATA with the report's text when a check fired; INVALID_ARGUMENT for options
// that no device takes. |out_report| may be null.
weir_status rt_sim_launch(rt_sim *sim, const rt_sim_kernel *kernel, const rt_sim_launch_options *options,
                          rt_sim_report *out_report) WEIR_MUST_USE;

// A tensor map in the 128 bytes that a kernel's parameters have for one, as the driver's encoder takes it: |rank| 1..5,
// sizes in elements and strides in bytes (of dimensions 1 and up), innermost first. INVALID_ARGUMENT for what a device
// refuses: addresses and strides that are no multiples of 16, boxes above 256, an inner box wider than the swizzle.
typedef struct {
  void *address;
  int rank, element_bytes;
  uint64_t dims[5], strides[4];
  uint32_t box[5];
  int swizzle;  // 0, 32, 64 or 128 bytes
} rt_sim_map;
enum { RT_SIM_MAP_BYTES = 128 };
weir_status rt_sim_map_encode(const rt_sim_map *map, void *out_bytes) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
