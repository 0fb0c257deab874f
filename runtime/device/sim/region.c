// Regions: ranges of global memory that a kernel may touch, each with a shadow of cells.
//
// Registered ranges stay; what a kernel states beyond them is a range of the launch. A shadow is eight times as large
// as its range, but reserved only: pages come into being where accesses of written buffers fall.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/device/sim/internal.h"

// The first region that ends behind |at|.
static int region_search(const rt_sim *sim, uintptr_t at) {
  int low = 0, high = sim->region_count;
  while (low < high) {
    int mid = (low + high) / 2;
    if (sim->regions[mid].high > at) high = mid;
    else low = mid + 1;
  }
  return low;
}

static void region_release(sim_region *region) {
  if (region->cells) munmap(region->cells, region->cell_bytes);
}

static void region_remove(rt_sim *sim, int i) {
  region_release(&sim->regions[i]);
  sim->region_count--;
  memmove(&sim->regions[i], &sim->regions[i + 1], (size_t)(sim->region_count - i) * sizeof(sim_region));
}

// With the lock held.
static weir_status region_insert(rt_sim *sim, sim_region region) {
  if (sim->region_count == sim->region_capacity) {
    int capacity = sim->region_capacity ? 2 * sim->region_capacity : 64;
    sim_region *grown = realloc(sim->regions, (size_t)capacity * sizeof(sim_region));
    if (!grown) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "regions of sim");
    sim->regions = grown;
    sim->region_capacity = capacity;
  }
  int i = region_search(sim, region.low);
  memmove(&sim->regions[i + 1], &sim->regions[i], (size_t)(sim->region_count - i) * sizeof(sim_region));
  sim->regions[i] = region;
  sim->region_count++;
  return WEIR_OK;
}

// Temporary ranges join those that they overlap, with what the cells say; others may not overlap.
static weir_status region_add(rt_sim *sim, uintptr_t low, uintptr_t high, bool temporary) {
  int i = region_search(sim, low);
  if (!temporary) {
    if (i < sim->region_count && sim->regions[i].low < high) {
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "device memory of sim overlaps");
    }
    return region_insert(sim, (sim_region){.low = low, .high = high});
  }
  while (low < high) {
    i = region_search(sim, low);
    uintptr_t end = i < sim->region_count && sim->regions[i].low < high ? sim->regions[i].low : high;
    if (low < end) WEIR_TRY(region_insert(sim, (sim_region){.low = low, .high = end, .temporary = true}));
    if (end == high) break;
    i = region_search(sim, end);
    low = sim->regions[i].high;
  }
  return WEIR_OK;
}

weir_status sim_region_add(rt_sim *sim, uintptr_t low, uintptr_t high, bool temporary) {
  pthread_mutex_lock(&sim->memory_lock);
  weir_status status = region_add(sim, low, high, temporary);
  pthread_mutex_unlock(&sim->memory_lock);
  return status;
}

bool sim_region_find(rt_sim *sim, uintptr_t at, sim_region *out) {
  pthread_mutex_lock(&sim->memory_lock);
  int i = region_search(sim, at);
  bool found = i < sim->region_count && sim->regions[i].low <= at;
  if (found) {
    sim_region *region = &sim->regions[i];
    if (!region->cells) {
      uintptr_t low = region->low & ~(uintptr_t)3;
      size_t bytes = ((region->high - low + 3) / 4) * sizeof(sim_cell);
      void *cells = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (cells != MAP_FAILED) {
        region->cells = cells;
        region->cell_bytes = bytes;
      }
    }
    *out = *region;
  }
  pthread_mutex_unlock(&sim->memory_lock);
  return found;
}

weir_status rt_sim_register(rt_sim *sim, const void *at, size_t bytes) {
  uintptr_t low = (uintptr_t)at, high;
  if (!at || !bytes || __builtin_add_overflow(low, bytes, &high)) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "device memory of sim: no range");
  }
  return sim_region_add(sim, low, high, false);
}

weir_status rt_sim_unregister(rt_sim *sim, const void *at) {
  pthread_mutex_lock(&sim->memory_lock);
  int i = region_search(sim, (uintptr_t)at);
  bool found = i < sim->region_count && sim->regions[i].low == (uintptr_t)at;
  if (found) region_remove(sim, i);
  pthread_mutex_unlock(&sim->memory_lock);
  return found ? WEIR_OK : weir_status_make(WEIR_CODE_NOT_FOUND, "no device memory of sim begins there");
}

void rt_sim_require_registered(rt_sim *sim, bool required) { sim->required = required; }

void sim_regions_end_launch(rt_sim *sim) {
  for (int i = sim->region_count - 1; i >= 0; i--) {
    if (sim->regions[i].temporary) region_remove(sim, i);
  }
}

void sim_regions_forget(rt_sim *sim) {
  for (int i = 0; i < sim->region_count; i++) {
    sim_region *region = &sim->regions[i];
    if (region->cells) madvise(region->cells, region->cell_bytes, MADV_DONTNEED);
  }
}
