// Kernels by name from generated tables.
#include "compiler/standalone/linked.h"

#include <string.h>

#include "runtime/device/cpu/choice.h"
#include "runtime/device/cpu/features.h"

static weir_status kernel_find(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  const int level = *(const int *)context;
  int lo = 0, hi = weir_linked_counts[level];
  while (lo < hi) {
    int middle = lo + (hi - lo) / 2, order = strcmp(kernel->symbol, weir_linked_names[level][middle]);
    if (!order) {
      *out_entry = (rt_kernel_entry){.native = (rt_kernel_fn)weir_linked_functions[level][middle]};
      return WEIR_OK;
    }
    if (order < 0) hi = middle;
    else lo = middle + 1;
  }
  return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s' is linked", kernel->symbol);
}

static weir_status linked_open(void *context, const rt_package *package, const char *isa,
                               const weir_allocator *allocator, rt_kernel_provider *out_provider,
                               const char **out_isa) {
  static const int indices[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  enum { MOST = sizeof indices / sizeof indices[0] };
  int best = -1, best_rank = 0;
  (void)context, (void)package, (void)allocator;
  for (int i = 0; i < weir_linked_levels && i < MOST; i++) {
    int rank = isa && strcmp(isa, weir_linked_isas[i]) ? 0 : rt_code_rank(weir_linked_isas[i], weir_linked_features[i]);
    if (rank <= best_rank) continue;
    best = i;
    best_rank = rank;
  }
  if (best < 0)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "no code for this machine%s%s: it runs up to %s",
                            isa ? " as asked: " : "", isa ? isa : "", rt_cpu_best_level());
  *out_provider = (rt_kernel_provider){.context = (void *)(uintptr_t)&indices[best], .lookup = kernel_find};
  *out_isa = weir_linked_isas[best];
  return WEIR_OK;
}

const rt_code_source rt_linked_code = {.open = linked_open};
