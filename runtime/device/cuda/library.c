// Products by cuBLASLt: opening it, and launches that are its own.
//
// A product of so many rows is planned once for each queue: descriptors, and which of the library's proposals it is.
// Plans are kept for the numbers of rows used last. A queue's scratch memory is the library's workspace, too: launches
// of a queue follow each other.
#include "runtime/device/cuda/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/cuda/device_internal.h"

// ---- opening

static weir_status entries_find(rt_cuda_library *l) {
  const struct {
    const char *symbol;
    size_t offset;
  } entries[] = {
#define CALL(field, symbol, result, parameters, arguments) {#symbol, offsetof(rt_cuda_library, field)},
#include "runtime/device/cuda/library.def"
  };
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
    void *address = dlsym(l->library, entries[i].symbol);
    if (!address)
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "cuBLASLt '%s' has no '%s'", l->path, entries[i].symbol);
    memcpy((char *)l + entries[i].offset, &address, sizeof address);
  }
  l->version = (long)l->version_of();
  if (l->version >= RT_CUDA_LIBRARY_OLDEST) return WEIR_OK;
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "cuBLASLt '%s' is of version %ld.%ld: Weir needs 12.0 or later",
                          l->path, l->version / 10000, l->version / 100 % 100);
}

weir_status rt_cuda_library_open(rt_cuda_library *out_library) {
  static const char *const usual[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  const char *named = getenv("WEIR_CUBLASLT");
  bool given = named && *named;
  rt_cuda_library l = {0};
  for (int i = 0; i < (given ? 1 : 2) && !l.library; i++) {
    snprintf(l.path, sizeof l.path, "%s", given ? named : usual[i]);
    l.library = dlopen(l.path, RTLD_NOW | RTLD_LOCAL);
  }
  if (!l.library) return weir_status_make(WEIR_CODE_NOT_FOUND, "no cuBLASLt: %s", dlerror());
  weir_status status = entries_find(&l);
  if (status) rt_cuda_library_close(&l);
  else *out_library = l;
  return status;
}

void rt_cuda_library_close(rt_cuda_library *library) {
  if (library->library) dlclose(library->library);
  *library = (rt_cuda_library){0};
}

// ---- of a device

void rt_cuda_library_start(rt_cuda_device *d) {
  if (d->library_asked) return;
  d->library_asked = true;
  // The simulator's memory is the process's: no real library can have it.
  const char *named = getenv("WEIR_CUBLASLT");
  if (!strcmp(d->facts.arch, "sim") && (!named || !*named)) return;
  weir_status status = rt_cuda_library_open(&d->library);
  if (!status && d->library.create(&d->library_handle)) {
    d->library_handle = NULL;
    rt_cuda_library_close(&d->library);
  }
  weir_status_release(status);  // without it kernels run themselves; `weir doctor` says why
}

void rt_cuda_library_stop(rt_cuda_device *d, bool entered) {
  if (entered && d->library_handle) (void)d->library.destroy(d->library_handle);
  rt_cuda_library_close(&d->library);
}

// ---- plans

struct rt_cuda_plan {
  const rt_cuda_kernel *kernel;  // null: free
  int64_t rows, used;
  void *desc, *x, *w, *y;
  rt_cuda_algorithm algorithm;
  size_t workspace_bytes;
  bool own;  // the library does not want to: the kernel does it
};
enum { PLANS = 64 };

static void plan_clear(const rt_cuda_library *l, rt_cuda_plan *plan) {
  if (plan->desc) (void)l->desc_destroy(plan->desc);
  void *const layouts[] = {plan->x, plan->w, plan->y};
  for (int i = 0; i < 3; i++)
    if (layouts[i]) (void)l->layout_destroy(layouts[i]);
  *plan = (rt_cuda_plan){0};
}

static int layout_make(const rt_cuda_library *l, void **out, int type, int64_t rows, int64_t cols) {
  int code = l->layout_create(out, type, (uint64_t)rows, (uint64_t)cols, rows);
  if (code) *out = NULL;
  return code;
}

static int algorithm_choose(rt_cuda_device *d, rt_cuda_plan *plan, void *preference) {
  const rt_cuda_library *l = &d->library;
  rt_cuda_proposal proposals[RT_CUDA_LIBRARY_PROPOSALS];
  const uint64_t room = RT_CUDA_LIBRARY_WORK_BYTES;
  int count = 0, wanted = plan->kernel->algorithm + 1;
  int code = l->preference_set(preference, RT_CUDA_LIBRARY_WORKSPACE, &room, sizeof room);
  if (!code)
    code = l->heuristic(d->library_handle, plan->desc, plan->w, plan->x, plan->y, plan->y, preference, wanted,
                        proposals, &count);
  if (code) return code;
  if (count > wanted) count = wanted;
  while (count > 0 && (proposals[count - 1].state || proposals[count - 1].workspace_bytes > room)) count--;
  if (count < 1) return RT_CUDA_LIBRARY_NOT_SUPPORTED;
  plan->algorithm = proposals[count - 1].algorithm;
  plan->workspace_bytes = proposals[count - 1].workspace_bytes;
  return 0;
}

// The library counts columns first: y transposed is w transposed, of which it is told, times x.
static int plan_make(rt_cuda_device *d, rt_cuda_plan *plan) {
  const rt_cuda_library *l = &d->library;
  const rt_cuda_kernel *k = plan->kernel;
  const int transposed = RT_CUDA_LIBRARY_TRANSPOSED;
  void *preference = NULL;
  int code = l->desc_create(&plan->desc, RT_CUDA_LIBRARY_COMPUTE_F32, RT_CUDA_LIBRARY_F32);
  if (code) plan->desc = NULL;
  if (!code) code = l->desc_set(plan->desc, RT_CUDA_LIBRARY_DESC_TRANSA, &transposed, sizeof transposed);
  if (!code) code = layout_make(l, &plan->w, RT_CUDA_LIBRARY_BF16, k->cols, k->outs);
  if (!code) code = layout_make(l, &plan->x, RT_CUDA_LIBRARY_BF16, k->cols, plan->rows);
  if (!code) code = layout_make(l, &plan->y, RT_CUDA_LIBRARY_F32, k->outs, plan->rows);
  if (!code) code = l->preference_create(&preference);
  if (code) return code;
  code = algorithm_choose(d, plan, preference);
  (void)l->preference_destroy(preference);
  return code;
}

static weir_status plan_find(rt_cuda_queue *q, const rt_cuda_kernel *kernel, int64_t rows, rt_cuda_plan **out) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  if (!q->plans) WEIR_TRY(weir_pool_array(&q->pool, PLANS, sizeof *q->plans, &q->plans));
  rt_cuda_plan *oldest = &q->plans[0];
  *out = NULL;
  for (int i = 0; i < PLANS && !*out; i++) {
    rt_cuda_plan *plan = &q->plans[i];
    if (plan->kernel == kernel && plan->rows == rows) *out = plan;
    if (plan->used < oldest->used) oldest = plan;
  }
  if (!*out) {
    plan_clear(&d->library, oldest);
    oldest->kernel = kernel;
    oldest->rows = rows;
    oldest->own = plan_make(d, oldest) != 0;
    *out = oldest;
  }
  (*out)->used = ++q->plan_calls;
  return WEIR_OK;
}

void rt_cuda_plans_free(rt_cuda_queue *q) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  for (int i = 0; q->plans && i < PLANS; i++) plan_clear(&d->library, &q->plans[i]);
}

// ---- launches

bool rt_cuda_is_library(const rt_cuda_device *d, const rt_cuda_kernel *kernel) {
  return kernel->outs && d->library_handle;
}

static bool is_refusal(int code) {
  return code == RT_CUDA_LIBRARY_INVALID_VALUE || code == RT_CUDA_LIBRARY_NOT_SUPPORTED ||
         code == RT_CUDA_LIBRARY_ARCH_MISMATCH || code == RT_CUDA_LIBRARY_NO_MEMORY;
}

weir_status rt_cuda_library_fire(rt_cuda_queue *q, const rt_cuda_shot *shot, bool *out_done) {
  rt_cuda_device *d = rt_cuda_device_of(&q->base);
  static const float one = 1, zero = 0;
  void *args[3];
  int64_t rows;
  rt_cuda_plan *plan;
  *out_done = false;
  memcpy(args, shot->params, sizeof args);
  memcpy(&rows, (const uint8_t *)shot->params + sizeof args, sizeof rows);
  WEIR_TRY(plan_find(q, shot->kernel, rows, &plan));
  if (plan->own) return WEIR_OK;
  int code =
      d->library.matmul(d->library_handle, plan->desc, &one, args[1], plan->w, args[0], plan->x, &zero, args[2],
                        plan->y, args[2], plan->y, &plan->algorithm, q->scratch, plan->workspace_bytes, q->stream);
  plan->own = is_refusal(code);
  *out_done = !code;
  if (!code || plan->own) return WEIR_OK;
  return rt_cuda_lose(d, shot->kernel->name, "cuBLASLt's product failed", code);
}
