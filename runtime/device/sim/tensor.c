// Tensor copies (TMA): boxes between global and shared memory, swizzled, signalled by mbarriers.
//
// A load reads global memory when it is issued and writes shared memory as late as it can (mbarrier.c); until then
// its bytes may not be touched. What lies outside of the tensor is zeros, and counts in the bytes of the mbarrier. A
// store writes global memory when it is issued; its shared memory may not be written until it is waited for.
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/internal.h"

typedef struct {
  uint64_t magic;
  void *address;
  int32_t rank, element_bytes;
  uint64_t dims[5], strides[4];
  uint32_t box[5];
  int32_t swizzle;
} tensor_map;
static const uint64_t map_magic = 0x70616d72696577u;
_Static_assert(sizeof(tensor_map) <= RT_SIM_MAP_BYTES, "a map fits where a kernel has one");

typedef struct sim_load {
  struct sim_load *next;
  sim_thread *thread;
  sim_block *block;
  uint32_t at, bytes, swizzle;
  uint8_t data[];
} sim_load;

typedef struct sim_store {
  struct sim_store *next;
  uint32_t at, bytes, swizzle, group, line;
} sim_store;

weir_status rt_sim_map_encode(const rt_sim_map *map, void *out_bytes) {
  tensor_map m = {map_magic, map->address, map->rank, map->element_bytes, {0}, {0}, {0}, map->swizzle};
  const int e = map->element_bytes;
  bool good = map->rank >= 1 && map->rank <= 5 && (e == 1 || e == 2 || e == 4 || e == 8) && map->address &&
              (uintptr_t)map->address % 16 == 0 &&
              (map->swizzle == 0 || map->swizzle == 32 || map->swizzle == 64 || map->swizzle == 128);
  for (int i = 0; good && i < map->rank; i++) {
    m.dims[i] = map->dims[i];
    m.box[i] = map->box[i];
    good = map->dims[i] >= 1 && map->dims[i] <= (uint64_t)1 << 32 && map->box[i] >= 1 && map->box[i] <= 256;
    if (i && good) {
      m.strides[i - 1] = map->strides[i - 1];
      good = m.strides[i - 1] % 16 == 0 && m.strides[i - 1] < (uint64_t)1 << 40;
    }
  }
  uint64_t inner = good ? (uint64_t)m.box[0] * (uint64_t)e : 0;
  if (!good || inner % 16 || (map->swizzle && inner > (uint64_t)map->swizzle)) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                            "tensor map that no device takes: rank %d, elements of %d bytes, "
                            "inner box of %llu bytes, swizzle %d",
                            map->rank, e, (unsigned long long)inner, map->swizzle);
  }
  memset(out_bytes, 0, RT_SIM_MAP_BYTES);
  memcpy(out_bytes, &m, sizeof(m));
  return WEIR_OK;
}

static uint32_t swizzled(uint32_t at, uint32_t swizzle) {
  return swizzle ? at ^ ((at >> 7 & (swizzle / 16 - 1)) << 4) : at;
}

static tensor_map map_of(sim_thread *t, int64_t address, int64_t rank, uint32_t line) {
  tensor_map m;
  memcpy(&m, (const void *)(uintptr_t)address, sizeof(m));
  if (m.magic != map_magic) sim_fault(t, RT_SIM_tensor_map, line, NULL, 0, "this is no tensor map");
  if (m.rank != rank) {
    sim_fault(t, RT_SIM_tensor_map, line, NULL, 0, "%lld coordinates for a map of rank %d", (long long)rank, m.rank);
  }
  return m;
}

static uint32_t box_bytes(const tensor_map *m) {
  uint64_t bytes = (uint64_t)m->element_bytes;
  for (int i = 0; i < m->rank; i++) bytes *= m->box[i];
  return bytes > RT_SIM_SHARED_BYTES ? RT_SIM_SHARED_BYTES + 1 : (uint32_t)bytes;
}

// A run of global memory, in the widest accesses that its address has.
static void run_access(sim_thread *t, const void *base, const char *at, uint64_t bytes, uint32_t element, bool write,
                       uint32_t line) {
  if (!t->head.checked) return;
  const uint32_t flags = element * RT_SIM_ELEMENT | (write ? RT_SIM_WRITE : 0);
  while (bytes) {
    uint32_t step = (uintptr_t)at % 16 == 0 && bytes >= 16 ? 16 : element;
    sim_access(&t->head, base, at, step, flags, line);
    at += step;
    bytes -= step;
  }
}

// Copies the box between |linear| and the tensor: to it where |write|.
static void box_copy(sim_thread *t, const tensor_map *m, const int64_t *coordinates, uint8_t *linear, bool write,
                     uint32_t line) {
  const uint32_t e = (uint32_t)m->element_bytes;
  uint64_t rows = 1;
  for (int i = 1; i < m->rank; i++) rows *= m->box[i];
  const int64_t x = coordinates[0];
  int64_t low = x < 0 ? -x : 0, high = (int64_t)m->dims[0] - x;
  if (high > m->box[0]) high = m->box[0];
  for (uint64_t row = 0; row < rows; row++) {
    uint64_t rest = row, offset = 0;
    bool inside = low < high;
    for (int i = 1; i < m->rank; i++) {
      int64_t c = coordinates[i] + (int64_t)(rest % m->box[i]);
      rest /= m->box[i];
      if (c < 0 || c >= (int64_t)m->dims[i]) inside = false;
      else offset += (uint64_t)c * m->strides[i - 1];
    }
    uint8_t *to = linear + row * m->box[0] * e;
    if (!inside) continue;
    char *at = (char *)m->address + offset + (x + low) * (int64_t)e;
    uint64_t bytes = (uint64_t)(high - low) * e;
    run_access(t, m->address, at, bytes, e, write, line);
    if (write) memcpy(at, to + low * e, bytes);
    else memcpy(to + low * e, at, bytes);
  }
}

// The bytes of a box in shared memory, 16 at a time: place i of |linear| and where it lies.
#define EACH_PIECE(i, place, at, bytes, swizzle) \
  for (uint32_t i = 0, place = swizzled(at, swizzle); i < (bytes); i += 16, place = swizzled((at) + i, swizzle))

static void piece_check(sim_thread *t, sim_block *block, uint32_t place, bool write, uint32_t line) {
  const sim_place where = {block, block->memory + place, place, line};
  const char *name = sim_shared_name(block, where.base);
  if (!t->head.checked) return;
  for (uint32_t k = 0; k < 16; k++) {
    uint8_t state = block->bytes[place + k];
    if (state == BYTE_COPY || state == BYTE_TENSOR || (write && state >= BYTE_READ)) {
      sim_fault(t, RT_SIM_async_pending, line, name, place,
                "byte %u of shared memory is still to be %s by another copy", place + k,
                state >= BYTE_READ ? "read" : "written");
    }
    if (!write && state == BYTE_NEW) {
      sim_fault(t, RT_SIM_uninitialised, line, name, place, "byte %u of shared memory, which nobody has written",
                place + k);
    }
  }
  for (uint32_t k = 0; k < 4; k++) sim_touch_async(t, &block->cells[place / 4 + k], write, &where);
}

static void load_issue(sim_thread *t, sim_load *load, uint8_t *to, uint64_t *at, uint32_t align, uint32_t line) {
  load->block = sim_shared_check(t, to, load->bytes, align, line);
  load->at = (uint32_t)(to - load->block->memory);
  load->thread = t;
  sim_mbarrier *b = sim_mbarrier_at(t, at, line);
  EACH_PIECE(i, place, load->at, load->bytes, load->swizzle) {
    piece_check(t, load->block, place, true, line);
    memset(load->block->bytes + place, BYTE_TENSOR, 16);
  }
  load->next = b->loads;
  b->loads = load;
  t->worker->loading = NULL;
}

static sim_load *load_new(sim_thread *t, uint32_t bytes, uint32_t swizzle, uint32_t line) {
  sim_load *load = bytes <= RT_SIM_SHARED_BYTES ? calloc(1, sizeof(*load) + bytes) : NULL;
  if (!load) sim_fault(t, RT_SIM_tensor_map, line, NULL, 0, "a copy of %u bytes into shared memory", bytes);
  load->bytes = bytes;
  load->swizzle = swizzle;
  t->worker->loading = load;
  return load;
}

static void tensor_load(sim_thread *t, const int64_t *args, uint32_t line) {
  sim_worker *w = t->worker;
  const tensor_map m = map_of(t, args[1], args[4], line);
  const int64_t mask = args[3] ? args[3] : (int64_t)1 << t->block->rank;
  if (mask < 0 || mask >> w->launch->cluster) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "a copy to blocks %llx of a cluster of %d", (unsigned long long)mask,
              w->launch->cluster);
  }
  uint32_t bytes = box_bytes(&m);
  sim_load *first = NULL;
  for (int rank = 0; rank < w->launch->cluster; rank++) {
    if (!(mask >> rank & 1)) continue;
    sim_load *load = load_new(t, bytes, (uint32_t)m.swizzle, line);
    if (first) memcpy(load->data, first->data, bytes);
    else box_copy(t, &m, args + 5, load->data, false, line);
    first = load;  // alive until it is delivered, which is not before this returns
    ptrdiff_t shift = w->blocks[rank].memory - t->block->memory;
    load_issue(t, load, (uint8_t *)(uintptr_t)args[0] + shift,
               (uint64_t *)(void *)((uint8_t *)(uintptr_t)args[2] + shift), 128, line);
  }
}

static void bulk_load(sim_thread *t, const int64_t *args, uint32_t line) {
  const char *from = (const char *)(uintptr_t)args[1];
  if (args[2] < 0 || args[2] > RT_SIM_SHARED_BYTES || args[2] % 16 || (uintptr_t)from % 16) {
    sim_fault(t, RT_SIM_misaligned, line, NULL, args[2], "a bulk copy of %lld bytes from an address of %u mod 16",
              (long long)args[2], (unsigned)((uintptr_t)from % 16));
  }
  sim_load *load = load_new(t, (uint32_t)args[2], 0, line);
  run_access(t, from, from, (uint64_t)args[2], 16, false, line);
  memcpy(load->data, from, load->bytes);
  load_issue(t, load, (uint8_t *)(uintptr_t)args[0], (uint64_t *)(uintptr_t)args[3], 16, line);
}

void sim_tensor_deliver(sim_mbarrier *b) {
  sim_worker *w = b->block->worker;
  int64_t bytes = 0;
  while (b->loads) {
    sim_load *load = b->loads;
    b->loads = load->next;
    EACH_PIECE(i, place, load->at, load->bytes, load->swizzle) {
      memcpy(load->block->memory + place, load->data + i, 16);
      memset(load->block->bytes + place, BYTE_SET, 16);
      for (uint32_t k = 0; k < 4; k++) sim_stamp_async(load->thread, &load->block->cells[place / 4 + k]);
    }
    uint32_t *known = &b->clock[load->thread->id];
    if (load->thread->epoch > *known) *known = load->thread->epoch;
    sim_epoch_end(load->thread);
    bytes += load->bytes;
    free(load);
  }
  sim_mbarrier_bytes(w, b, bytes);
}

bool sim_tensor_deliver_all(sim_worker *worker) {
  bool any = false;
  for (int rank = 0; rank < worker->launch->cluster; rank++) {
    for (sim_mbarrier *b = worker->blocks[rank].mbarriers; b; b = b->next) {
      if (!b->loads) continue;
      sim_tensor_deliver(b);
      any = true;
    }
  }
  return any;
}

void sim_loads_free(sim_load *loads) {
  while (loads) {
    sim_load *load = loads;
    loads = load->next;
    free(load);
  }
}

static void tensor_store(sim_thread *t, const int64_t *args, uint32_t line) {
  const tensor_map m = map_of(t, args[0], args[2], line);
  const uint32_t bytes = box_bytes(&m), swizzle = (uint32_t)m.swizzle;
  uint8_t *from = (uint8_t *)(uintptr_t)args[1];
  sim_block *block = sim_shared_check(t, from, bytes, 128, line);
  const uint32_t at = (uint32_t)(from - block->memory);
  if (block != t->block) sim_fault(t, RT_SIM_argument, line, NULL, 0, "a store from another block's shared memory");
  if (!t->worker->linear) t->worker->linear = malloc(RT_SIM_SHARED_BYTES);
  uint8_t *linear = t->worker->linear;
  sim_store *store = linear ? malloc(sizeof(*store)) : NULL;
  if (!store) sim_fault(t, RT_SIM_argument, line, NULL, 0, "no memory for a store of %u bytes", bytes);
  *store = (sim_store){t->stores, at, bytes, swizzle, t->store_groups, line};
  t->stores = store;
  EACH_PIECE(i, place, at, bytes, swizzle) {
    piece_check(t, block, place, false, line);
    memcpy(linear + i, block->memory + place, 16);
    for (uint32_t k = 0; k < 16; k++)
      block->bytes[place + k] += block->bytes[place + k] == BYTE_SET ? BYTE_READ - BYTE_SET : 1;
  }
  box_copy(t, &m, args + 3, linear, true, line);
}

static void store_wait(sim_thread *t, int64_t pending) {
  uint32_t end = t->store_groups > pending ? t->store_groups - (uint32_t)pending : 0;
  for (sim_store **link = &t->stores; *link;) {
    sim_store *store = *link;
    if (store->group >= end) {
      link = &store->next;
      continue;
    }
    EACH_PIECE(i, place, store->at, store->bytes, store->swizzle) {
      uint8_t *state = t->block->bytes + place;
      for (int k = 0; k < 16; k++) state[k] = state[k] > BYTE_READ ? state[k] - 1 : BYTE_SET;
    }
    *link = store->next;
    free(store);
  }
}

void sim_tensor_end(sim_thread *t) {
  if (t->stores) {
    sim_fault(t, RT_SIM_async_pending, t->stores->line, NULL, 0,
              "the thread ends before its tensor store of line %u has read", t->stores->line);
  }
}

void sim_stores_free(sim_thread *t) {
  while (t->stores) {
    sim_store *store = t->stores;
    t->stores = store->next;
    free(store);
  }
}

void sim_tensor_operation(sim_thread *t, uint32_t operation, int64_t *args, uint32_t line) {
  switch (operation) {
    case RT_SIM_BULK:
      bulk_load(t, args, line);
      break;
    case RT_SIM_TENSOR_LOAD:
      tensor_load(t, args, line);
      break;
    case RT_SIM_TENSOR_STORE:
      tensor_store(t, args, line);
      break;
    case RT_SIM_TENSOR_COMMIT:
      t->store_groups++;
      break;
    default:
      store_wait(t, args[0]);
      break;
  }
}
