// What the printer of CUDA kernels and the launcher agree on.
//
// A kernel has one parameter, a struct passed by value:
//
//   void *args[arg_count];     device pointers; of a table, an array of pointers that lies on the device
//   int64_t dims[dim_count];   the kernel's sizes, in its order
//   int64_t items;             work items of the launch: the kernel's grid
//   void *scratch;             of the launch, 256-byte aligned; may be null where |scratch_bytes| is 0
//   int64_t scratch_stride;    bytes between the slices of teams: |scratch_bytes|, a multiple of 64
//   (to a multiple of 64)      tensor maps of 128 bytes each, as cuTensorMapEncodeTiled makes them
//
// Grid and block have one dimension. A block does |items_per_block| items at a time and loops, so any grid of at least
// one block is right; slice number block * items_per_block + team of the scratch belongs to one team, so scratch must
// hold grid * items_per_block * scratch_bytes. Block kernels (|block| set) have no loop where the facts say so: then
// the grid is |items| exactly.
//
// Facts are text beside the code, one line a kernel, words separated by single spaces, "key=value" in this order:
//   NAME unit=U threads=T items=I shared=S dynamic=D scratch=B registers=R spills=L occupancy=O maps=M cluster=C
//   block=K pdl=P
// unit: number of the cubin in the section; items: per block; shared: static bytes; dynamic: bytes to ask for at
// launch; scratch: bytes a team; spills: bytes; occupancy: blocks a multiprocessor can hold; cluster: blocks, 0 none;
// block: 1 for block kernels, whose grid must be |items|; pdl: 1 where the kernel waits for its predecessors itself.
// Behind that for each map " map=ARG:BYTES:SWIZZLE:BOX,BOX:OFFSET:DIM:DIM:STRIDE" (maps.c): argument, element, box and
// dims innermost first, strides in elements from the second dim on, offset in bytes. Of a product that a library may do
// (docs/kernel-ir.md, `library`), before the maps, outs=N cols=K algorithm=A.
//
// Object sections hold several cubins: rt_cuda_object_head, then |units| entries of rt_cuda_unit, then the cubins, each
// at a multiple of 64 from the section's start. All numbers are little-endian.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_ABI_H
#define WEIR_RUNTIME_DEVICE_CUDA_ABI_H

#include <stdint.h>

enum { RT_CUDA_MAP_BYTES = 128, RT_CUDA_PARAM_ALIGN = 64, RT_CUDA_MAX_PARAM_BYTES = 4096 };

static const char rt_cuda_object_magic[8] __attribute__((unused)) = "WEIRCUDA";

typedef struct {
  char magic[8];
  uint32_t version;  // 1
  uint32_t units;
  char arch[16];  // "sm_90a", zero filled; "ptx" for text that the driver compiles
} rt_cuda_object_head;

typedef struct {
  uint64_t offset, bytes;  // from the section's start; PTX ends with a zero that |bytes| counts
} rt_cuda_unit;

// Bytes of a kernel's parameter struct, and where its tensor maps begin.
static inline int64_t rt_cuda_param_bytes(int args, int dims, int maps, int64_t *out_maps_at) {
  int64_t plain = 8 * ((int64_t)args + dims + 3);
  int64_t at = (plain + RT_CUDA_PARAM_ALIGN - 1) / RT_CUDA_PARAM_ALIGN * RT_CUDA_PARAM_ALIGN;
  if (out_maps_at) *out_maps_at = at;
  return maps ? at + (int64_t)maps * RT_CUDA_MAP_BYTES : plain;
}

#endif
