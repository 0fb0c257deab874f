// Objects: shared objects of kernels behind the sim prelude, loaded and asked for their kernels.
//
// An object stays mapped until it is unloaded; one from memory goes through an anonymous file, as the loader wants a
// path. Kernels are looked up by name once and then kept in a list.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/device/sim/internal.h"

weir_status rt_sim_object_load(const char *path, rt_sim_object **out_object) {
  *out_object = NULL;
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return weir_status_make(WEIR_CODE_IO, "cannot load kernels for sim: %s", dlerror());
  const rt_sim_object_header *header = dlsym(handle, "weir_sim_object");
  if (!header || header->version != RT_SIM_ABI_VERSION || header->head_bytes != (int32_t)sizeof(rt_sim_head) ||
      header->api_bytes != (int32_t)sizeof(rt_sim_api)) {
    weir_status status =
        weir_status_make(WEIR_CODE_INVALID_DATA, "%s holds no kernels for sim of version %d", path, RT_SIM_ABI_VERSION);
    dlclose(handle);
    return status;
  }
  rt_sim_object *object = calloc(1, sizeof(*object));
  if (!object) {
    dlclose(handle);
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "kernels for sim");
  }
  object->handle = handle;
  object->fd = -1;
  pthread_mutex_init(&object->lock, NULL);
  *out_object = object;
  return WEIR_OK;
}

weir_status rt_sim_object_load_bytes(const void *data, size_t bytes, rt_sim_object **out_object) {
  *out_object = NULL;
  int fd = memfd_create("weir-sim", MFD_CLOEXEC);
  if (fd < 0) return weir_status_make(WEIR_CODE_IO, "cannot create an anonymous file for kernels");
  for (size_t done = 0; done < bytes;) {
    ssize_t n = write(fd, (const char *)data + done, bytes - done);
    if (n <= 0) {
      close(fd);
      return weir_status_make(WEIR_CODE_IO, "cannot write kernels to an anonymous file");
    }
    done += (size_t)n;
  }
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  weir_status status = rt_sim_object_load(path, out_object);
  if (status) close(fd);
  else (*out_object)->fd = fd;
  return status;
}

void rt_sim_object_unload(rt_sim_object *object) {
  if (!object) return;
  while (object->kernels) {
    struct sim_named *kernel = object->kernels;
    object->kernels = kernel->next;
    free(kernel);
  }
  dlclose(object->handle);
  if (object->fd >= 0) close(object->fd);
  pthread_mutex_destroy(&object->lock);
  free(object);
}

static struct sim_named *named_find(rt_sim_object *object, const char *name) {
  for (struct sim_named *k = object->kernels; k; k = k->next) {
    if (!strcmp(k->kernel.name, name)) return k;
  }
  char symbol[512];
  if ((size_t)snprintf(symbol, sizeof(symbol), "weir_sim_%s", name) >= sizeof(symbol)) return NULL;
  const rt_sim_entry *entry = dlsym(object->handle, symbol);
  struct sim_named *k = entry ? calloc(1, sizeof(*k)) : NULL;
  if (!k) return NULL;
  k->entry = entry;
  k->kernel = (rt_sim_kernel){entry->name, entry->threads, (size_t)entry->param_bytes};
  k->next = object->kernels;
  object->kernels = k;
  return k;
}

weir_status rt_sim_object_find(const rt_sim_object *object, const char *name, const rt_sim_kernel **out_kernel) {
  rt_sim_object *shared = (rt_sim_object *)object;  // the list is a cache
  pthread_mutex_lock(&shared->lock);
  struct sim_named *k = named_find(shared, name);
  pthread_mutex_unlock(&shared->lock);
  *out_kernel = k ? &k->kernel : NULL;
  if (!k) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel %s in this object for sim", name);
  return WEIR_OK;
}
