// Opening code objects with the system's dynamic linker, from an anonymous file in memory, or from a file of the folder
// $WEIR_CODE_DIR for tools that read code by path (docs/debugging.md).
//
// The file in memory stays open as long as the code is loaded: the linker knows objects by path, and "/proc/PID/fd/N"
// must not come to name another one while this is open. A debugger, another process, finds the code under that path.
#include "runtime/device/cpu/object.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/io.h"
#include "runtime/device/cpu/choice.h"
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

static weir_status memory_file(const char *name, const void *data, size_t bytes, int *out_fd) {
  // Newer kernels want to be told that the file is for execution; older ones do not know the flag.
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
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

// The path under which the linker is to find the code.
static weir_status object_place(object *o, const char *name, const void *data, size_t bytes, char *out_path,
                                size_t path_bytes) {
  const char *folder = getenv("WEIR_CODE_DIR");
  if (!folder || !*folder) {
    WEIR_TRY(memory_file(name, data, bytes, &o->fd));
    snprintf(out_path, path_bytes, "/proc/%ld/fd/%d", (long)getpid(), o->fd);
    return WEIR_OK;
  }
  // Named by content, so that one file serves every process and is never changed under one.
  weir_hash hash;
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash_bytes(data, bytes, &hash);
  weir_hash_hex(&hash, hex);
  if (snprintf(out_path, path_bytes, "%s/%s-%.12s.so", folder, name, hex) >= (int)path_bytes)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "code object: WEIR_CODE_DIR is too long");
  for (char *at = out_path + strlen(folder) + 1; *at; at++)
    if (*at == ':' || *at == '/') *at = '-';
  WEIR_TRY(weir_make_dirs(folder));
  return weir_file_exists(out_path) ? WEIR_OK : weir_file_write_atomic(out_path, data, bytes);
}

static weir_status open_named(const char *name, const void *data, size_t bytes, const weir_allocator *allocator,
                              rt_kernel_provider *out_provider) {
  WEIR_TRY(elf_check(data, bytes));
  if (!allocator) allocator = weir_allocator_system();
  object *o;
  WEIR_TRY(weir_alloc(allocator, sizeof *o, 16, true, &o));
  *o = (object){allocator, NULL, -1};
  char path[1024];
  weir_status status = object_place(o, name, data, bytes, path, sizeof path);
  if (!status) {
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

weir_status rt_object_open(const void *data, size_t bytes, const weir_allocator *allocator,
                           rt_kernel_provider *out_provider) {
  return open_named("weir-code", data, bytes, allocator, out_provider);
}

// ---- choice

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
    int rank = isa && strcmp(isa, o->isa) ? 0 : rt_code_rank(o->isa, o->features);
    if (rank > best_rank) {
      best = o;
      best_rank = rank;
    }
  }
  if (!best) return none_fits(package, isa);
  WEIR_TRY(rt_package_check(package, best->object));
  char name[128];  // what /proc/PID/maps, perf and debuggers call the code
  snprintf(name, sizeof name, "weir:%.80s:%.40s", rt_package_model_name(package), best->isa);
  WEIR_TRY_CTX(open_named(name, best->object->data, best->object->bytes, allocator, out_provider), "'%s'",
               best->object->name);
  *out_isa = best->isa;
  return WEIR_OK;
}
