// Opening code objects with the system's dynamic linker, from an anonymous file in memory.
//
// The file stays open as long as the code is loaded: the linker knows objects by path, and "/proc/self/fd/N" must not
// come to name another one while this is open.
#include "runtime/device/cpu/object.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/device/cpu/features.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#if defined(__x86_64__)
enum { HOST_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { HOST_MACHINE = EM_AARCH64 };
#elif defined(__riscv)
enum { HOST_MACHINE = EM_RISCV };
#else
enum { HOST_MACHINE = EM_NONE };
#endif

typedef struct {
  const weir_allocator *allocator;
  void *handle;
  int fd;
} object;

static weir_status elf_check(const void *data, size_t bytes) {
  Elf64_Ehdr header;
  if (bytes < sizeof header) return weir_status_make(WEIR_CODE_INVALID_DATA, "code object: %zu bytes", bytes);
  memcpy(&header, data, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "code object: no 64-bit ELF shared object");
  }
  if (header.e_machine != HOST_MACHINE) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "code object: made for ELF machine %u, this is %u", header.e_machine,
                            HOST_MACHINE);
  }
  return WEIR_OK;
}

static weir_status memory_file(const void *data, size_t bytes, int *out_fd) {
  // Newer kernels want to be told that the file is for execution; older ones do not know the flag.
  int fd = memfd_create("weir-code", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("weir-code", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return weir_status_errno(errno, "code object: no memory file");
  for (size_t done = 0; done < bytes;) {
    ssize_t n = write(fd, (const char *)data + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      weir_status status = weir_status_errno(n < 0 ? errno : ENOSPC, "code object: cannot write %zu bytes", bytes);
      close(fd);
      return status;
    }
    done += (size_t)n;
  }
  (void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);  // hardening only
  *out_fd = fd;
  return WEIR_OK;
}

static weir_status object_lookup(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  const object *o = context;
  void *address = dlsym(o->handle, kernel->symbol);
  if (!address) return weir_status_make(WEIR_CODE_NOT_FOUND, "code object: no kernel '%s'", kernel->symbol);
  *out_entry = (rt_kernel_entry){0};
  memcpy(&out_entry->native, &address, sizeof address);
  return WEIR_OK;
}

static void object_destroy(void *context) {
  object *o = context;
  if (o->handle) dlclose(o->handle);
  if (o->fd >= 0) close(o->fd);
  weir_free(o->allocator, o, sizeof *o);
}

weir_status rt_object_open(const void *data, size_t bytes, const weir_allocator *allocator,
                           rt_kernel_provider *out_provider) {
  WEIR_TRY(elf_check(data, bytes));
  if (!allocator) allocator = weir_allocator_system();
  object *o;
  WEIR_TRY(weir_alloc(allocator, sizeof *o, 16, true, &o));
  *o = (object){allocator, NULL, -1};
  weir_status status = memory_file(data, bytes, &o->fd);
  if (!status) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", o->fd);
    o->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!o->handle) status = weir_status_make(WEIR_CODE_IO, "code object: %s", dlerror());
  }
  if (status) {
    object_destroy(o);
    return status;
  }
  *out_provider = (rt_kernel_provider){.context = o, .lookup = object_lookup, .destroy = object_destroy};
  return WEIR_OK;
}

// ---- choice

// 0: cannot run here; else the larger the better.
static int object_rank(const rt_package_object *o) {
  if (!strcmp(o->isa, "native")) return *o->features && rt_cpu_has_features(o->features) ? 4 : 0;
  if (!rt_cpu_has_level(o->isa) || !rt_cpu_has_features(o->features)) return 0;
  return !strcmp(o->isa, "x86-64-v4") ? 3 : !strcmp(o->isa, "x86-64-v3") ? 2 : 1;
}

static weir_status none_fits(const rt_package *package, const char *isa) {
  char list[512] = "";
  size_t used = 0;
  for (int i = 0; i < rt_package_object_count(package) && used < sizeof list; i++) {
    used +=
        (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", rt_package_object_at(package, i)->isa);
  }
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "no code for this machine%s%s: it runs up to %s, the package has %s",
                          isa ? " as asked: " : "", isa ? isa : "", rt_cpu_best_level(), *list ? list : "none");
}

weir_status rt_object_open_best(const rt_package *package, const char *isa, const weir_allocator *allocator,
                                rt_kernel_provider *out_provider, const char **out_isa) {
  const rt_package_object *best = NULL;
  int best_rank = 0;
  for (int i = 0; i < rt_package_object_count(package); i++) {
    const rt_package_object *o = rt_package_object_at(package, i);
    int rank = isa && strcmp(isa, o->isa) ? 0 : object_rank(o);
    if (rank > best_rank) {
      best = o;
      best_rank = rank;
    }
  }
  if (!best) return none_fits(package, isa);
  WEIR_TRY(rt_package_check(package, best->object));
  WEIR_TRY_CTX(rt_object_open(best->object->data, best->object->bytes, allocator, out_provider), "'%s'",
               best->object->name);
  *out_isa = best->isa;
  return WEIR_OK;
}
