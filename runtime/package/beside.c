// Weights in a file of their own, named by the hash of its bytes, so that packages of one model share it.
//
// Opening checks the size alone, as it does for weights inside; their hash is the verifier's. A file is looked for
// beside the package, then where the caller says, then in the cache.
#include <stdio.h>
#include <string.h>

#include "runtime/base/home.h"
#include "runtime/package/package_internal.h"

enum { PATH_BYTES = 4096, PLACES = 3 };

// Maps |folder|/HASH.weights. False, with |*out_status| null, if it is not there.
static bool place_try(rt_package *package, const char *folder, const char *hex, weir_status *out_status) {
  char path[PATH_BYTES];
  *out_status = WEIR_OK;
  int length = snprintf(path, sizeof path, "%s/%s.weights", folder, hex);
  if (length < 0 || (size_t)length >= sizeof path || !weir_file_exists(path)) return false;
  weir_status status = weir_map_open(path, &package->beside_map);
  if (!status && package->beside_map.size != package->beside_bytes) {
    status = weir_status_make(WEIR_CODE_INVALID_DATA, "weights '%s': %zu bytes, the package wants %zu", path,
                              package->beside_map.size, package->beside_bytes);
  }
  if (!status) status = weir_pool_strdup(&package->pool, path, &package->beside_path);
  *out_status = status;
  return true;
}

weir_status rt_beside_open(rt_package *package) {
  char hex[WEIR_HASH_HEX_BYTES], cache[PATH_BYTES] = "";
  if (package->options.without_weights) return WEIR_OK;
  weir_hash_hex(&package->beside_hash, hex);
  if (weir_home(cache, sizeof cache - 16)) strcat(cache, "/weights");
  const char *places[PLACES] = {package->folder, package->options.weights_folder, *cache ? cache : NULL};
  char list[512] = "";
  size_t used = 0;
  for (int i = 0; i < PLACES; i++) {
    weir_status status;
    if (!places[i]) continue;
    if (place_try(package, places[i], hex, &status)) {
      WEIR_TRY(status);
      package->beside = (rt_section){.name = RT_SECTION_WEIGHTS,
                                     .bytes = package->beside_bytes,
                                     .data = package->beside_map.data,
                                     .hash = package->beside_hash};
      package->weights = &package->beside;
      return WEIR_OK;
    }
    if (used < sizeof list)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s'%s'", used ? ", " : "", places[i]);
  }
  return weir_status_make(WEIR_CODE_NOT_FOUND, "its weights, '%s.weights', are in none of these folders: %s", hex,
                          *list ? list : "(none is known)");
}
