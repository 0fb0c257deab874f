// Opening libcuda: every entry of the list is looked up under its versioned name, and the version is asked before
// anything else is believed.
#include "runtime/device/cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rt_cuda_error_text(const rt_cuda_driver *driver, int code, char *out_text, size_t bytes) {
  const char *name = NULL, *text = NULL;
  if (!driver->error_name || driver->error_name(code, &name) || !name) name = "error";
  if (!driver->error_text || driver->error_text(code, &text) || !text) text = "the driver does not say more";
  snprintf(out_text, bytes, "%s (%d): %s", name, code, text);
}

// Missing entries are what a driver older than it says is made of.
static weir_status entries_find(rt_cuda_driver *d) {
  const struct {
    const char *symbol;
    bool needed;
    size_t offset;
  } entries[] = {
#define CALL(field, symbol, parameters, arguments, needed) {#symbol, needed, offsetof(rt_cuda_driver, field)},
#include "runtime/device/cuda/driver.def"
  };
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
    void *address = dlsym(d->library, entries[i].symbol);
    if (!address && entries[i].needed) {
      return weir_status_make(WEIR_CODE_UNSUPPORTED,
                              "the CUDA driver '%s' has no '%s': Weir needs a driver of CUDA %d.%d", d->path,
                              entries[i].symbol, RT_CUDA_OLDEST / 1000, RT_CUDA_OLDEST % 1000 / 10);
    }
    memcpy((char *)d + entries[i].offset, &address, sizeof address);
  }
  return WEIR_OK;
}

static weir_status version_check(rt_cuda_driver *d) {
  int (*version)(int *) = NULL;
  void *address = dlsym(d->library, "cuDriverGetVersion");
  memcpy(&version, &address, sizeof version);
  if (!version || version(&d->version)) d->version = 0;
  if (d->version >= RT_CUDA_OLDEST) return WEIR_OK;
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "the CUDA driver '%s' is of CUDA %d.%d: Weir needs %d.%d or later",
                          d->path, d->version / 1000, d->version % 1000 / 10, RT_CUDA_OLDEST / 1000,
                          RT_CUDA_OLDEST % 1000 / 10);
}

static weir_status driver_start(const rt_cuda_driver *d) {
  char text[256];
  int code = d->init(0);
  if (!code || code == RT_CUDA_NO_DEVICE) return WEIR_OK;  // no device: said by whoever wants one
  rt_cuda_error_text(d, code, text, sizeof text);
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "the CUDA driver '%s' does not start: %s", d->path, text);
}

weir_status rt_cuda_driver_open(rt_cuda_driver *out_driver) {
  const char *named = getenv("WEIR_CUDA_DRIVER");
  rt_cuda_driver d = {0};
  snprintf(d.path, sizeof d.path, "%s", named && *named ? named : "libcuda.so.1");
  d.library = dlopen(d.path, RTLD_NOW | RTLD_LOCAL);
  if (!d.library) {
    return weir_status_make(WEIR_CODE_NOT_FOUND,
                            "no CUDA driver: %s. It comes with the NVIDIA display driver; `weir doctor` says what is "
                            "here, and device sim runs the same code without one",
                            dlerror());
  }
  weir_status status = version_check(&d);
  if (!status) status = entries_find(&d);
  if (!status) status = driver_start(&d);
  if (status) rt_cuda_driver_close(&d);
  else *out_driver = d;
  return status;
}

void rt_cuda_driver_close(rt_cuda_driver *driver) {
  if (driver->library) dlclose(driver->library);
  *driver = (rt_cuda_driver){0};
}
