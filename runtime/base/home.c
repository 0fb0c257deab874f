// The variables that say where the cache is, in their order.
#include "runtime/base/home.h"

#include <stdio.h>
#include <stdlib.h>

bool weir_home(char *out_path, size_t bytes) {
  static const char *const places[][2] = {{"WEIR_HOME", ""}, {"XDG_CACHE_HOME", "/weir"}, {"HOME", "/.cache/weir"}};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    const char *value = getenv(places[i][0]);
    if (!value || !*value) continue;
    int length = snprintf(out_path, bytes, "%s%s", value, places[i][1]);
    if (length >= 0 && (size_t)length < bytes) return true;
    break;
  }
  if (bytes) out_path[0] = 0;
  return false;
}
