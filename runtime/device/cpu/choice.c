// The rank of code on this machine.
#include "runtime/device/cpu/choice.h"

#include <string.h>

#include "runtime/device/cpu/features.h"

int rt_code_rank(const char *isa, const char *features) {
  enum { MOST = 1000 };  // code for a machine that has all this one has knows it best
  if (!strcmp(isa, "native")) return *features && rt_cpu_has_features(features) ? MOST : 0;
  return rt_cpu_has_features(features) ? rt_cpu_level_rank(isa) : 0;
}
