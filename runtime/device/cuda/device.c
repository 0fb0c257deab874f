// Opening a device, its memory, and how failures are told.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/cuda/device_internal.h"
#include "runtime/device/sim/driver.h"

// ---- failures

static weir_status lost_status(rt_cuda_device *d) {
  pthread_mutex_lock(&d->lock);
  weir_status status =
      d->lost ? weir_status_make(WEIR_CODE_DEVICE_LOST, "device '%s' was lost: %s", d->label, d->lost_text) : WEIR_OK;
  pthread_mutex_unlock(&d->lock);
  return status;
}

static weir_status lose(rt_cuda_device *d, const char *what, const char *text) {
  pthread_mutex_lock(&d->lock);
  if (!d->lost) snprintf(d->lost_text, sizeof d->lost_text, "%s: %s", what, text);
  d->lost = true;
  pthread_mutex_unlock(&d->lock);
  return weir_status_make(WEIR_CODE_DEVICE_LOST, "device '%s': %s: %s", d->label, what, text);
}

weir_status rt_cuda_lose(rt_cuda_device *d, const char *what, const char *text, int code) {
  char all[160];
  snprintf(all, sizeof all, "%s (%d)", text, code);
  return lose(d, what, all);
}

// What the driver says of every later call too.
static bool is_fault(int code) {
  switch (code) {
    case RT_CUDA_ECC:
    case RT_CUDA_ILLEGAL_ADDRESS:
    case RT_CUDA_LAUNCH_TIMEOUT:
    case RT_CUDA_CONTEXT_DESTROYED:
    case RT_CUDA_ASSERT:
    case RT_CUDA_HARDWARE_STACK:
    case RT_CUDA_ILLEGAL_INSTRUCTION:
    case RT_CUDA_MISALIGNED:
    case RT_CUDA_INVALID_SPACE:
    case RT_CUDA_INVALID_PC:
    case RT_CUDA_LAUNCH_FAILED:
    case RT_CUDA_UNKNOWN:
      return true;
    default:
      return false;
  }
}

weir_status rt_cuda_check(rt_cuda_device *d, int code, const char *what) {
  char text[1024];
  if (!code) return WEIR_OK;
  rt_cuda_error_text(&d->driver, code, text, sizeof text);
  if (is_fault(code)) return lose(d, what, text);
  return weir_status_make(code == RT_CUDA_OUT_OF_MEMORY ? WEIR_CODE_OUT_OF_MEMORY : WEIR_CODE_UNSUPPORTED,
                          "device '%s': %s: %s", d->label, what, text);
}

weir_status rt_cuda_check_work(rt_cuda_device *d, int code, const char *what) {
  char text[1024];
  if (!code) return WEIR_OK;
  rt_cuda_error_text(&d->driver, code, text, sizeof text);
  return lose(d, what, text);
}

weir_status rt_cuda_enter(rt_cuda_device *d) {
  WEIR_TRY(lost_status(d));
  return rt_cuda_check(d, d->driver.context_push(d->context), "context");
}

void rt_cuda_leave(rt_cuda_device *d) {
  void *context;
  (void)d->driver.context_pop(&context);  // there is one: rt_cuda_enter put it there
}

// ---- memory

static weir_status missing_status(rt_cuda_device *d, size_t bytes) {
  size_t left = 0, total = 0;
  if (d->driver.memory_info(&left, &total)) left = total = 0;
  return weir_status_make(WEIR_CODE_OUT_OF_MEMORY,
                          "device '%s' has no room for %zu bytes: %zu of its %zu are free, at least %zu are missing",
                          d->label, bytes, left, total, bytes > left ? bytes - left : 0);
}

static int memory_get(rt_cuda_device *d, size_t bytes, uint64_t *out) {
  if (!d->pooled) return d->driver.memory_alloc(out, bytes);
  int code = d->driver.memory_alloc_async(out, bytes, d->stream);
  if (code) return code;
  code = d->driver.stream_wait(d->stream);  // then any stream may use it
  if (code) (void)d->driver.memory_free_async(*out, d->stream);
  return code;
}

static weir_status device_alloc(rt_device *device, size_t bytes, uint8_t **out_memory) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  uint64_t memory;
  WEIR_TRY(rt_cuda_enter(d));
  int code = memory_get(d, bytes, &memory);
  weir_status status = code == RT_CUDA_OUT_OF_MEMORY ? missing_status(d, bytes) : rt_cuda_check(d, code, "memory");
  rt_cuda_leave(d);
  if (!status) *out_memory = (uint8_t *)(uintptr_t)memory;
  return status;
}

// Also of a device that is lost, whose driver then says so.
static void device_free(rt_device *device, void *memory, size_t bytes) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  (void)bytes;
  if (!memory || d->driver.context_push(d->context)) return;
  uint64_t at = (uint64_t)(uintptr_t)memory;
  weir_status_release(
      rt_cuda_check(d, d->pooled ? d->driver.memory_free_async(at, d->stream) : d->driver.memory_free(at), "memory"));
  rt_cuda_leave(d);
}

static weir_status host_alloc(rt_device *device, size_t bytes, uint8_t **out_memory) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  void *memory;
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status = rt_cuda_check(d, d->driver.host_alloc(&memory, bytes, 0), "pinned memory");
  rt_cuda_leave(d);
  if (!status) *out_memory = memory;
  return status;
}

static void host_free(rt_device *device, void *memory, size_t bytes) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  (void)bytes;
  if (!memory || d->driver.context_push(d->context)) return;
  weir_status_release(rt_cuda_check(d, d->driver.host_free(memory), "pinned memory"));
  rt_cuda_leave(d);
}

// ---- life

weir_status rt_cuda_describe(const rt_cuda_driver *driver, int ordinal, rt_cuda_facts *out_facts) {
  rt_cuda_facts facts = {0};
  char text[256];
  int count = 0, device = 0, major = 0, minor = 0;
  size_t memory = 0;
  if (driver->device_count(&count) || !count)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "the CUDA driver '%s' sees no device", driver->path);
  if (ordinal < 0 || ordinal >= count) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "no device 'cuda:%d': there %s %d", ordinal,
                            count == 1 ? "is" : "are", count);
  }
  int code = driver->device_get(&device, ordinal);
  if (!code) code = driver->device_name(facts.name, sizeof facts.name, device);
  if (!code) code = driver->device_attribute(&major, RT_CUDA_ATTRIBUTE_MAJOR, device);
  if (!code) code = driver->device_attribute(&minor, RT_CUDA_ATTRIBUTE_MINOR, device);
  if (!code) code = driver->device_memory(&memory, device);
  if (code) {
    rt_cuda_error_text(driver, code, text, sizeof text);
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "device 'cuda:%d' does not answer: %s", ordinal, text);
  }
  if (major) snprintf(facts.arch, sizeof facts.arch, "sm_%d%d", major, minor);
  else snprintf(facts.arch, sizeof facts.arch, "sim");
  facts.memory = (int64_t)memory;
  *out_facts = facts;
  return WEIR_OK;
}

static weir_status pool_keep(rt_cuda_device *d) {
  void *pool = NULL;
  int has = 0;
  const rt_cuda_driver *driver = &d->driver;
  bool entries = driver->memory_alloc_async && driver->memory_free_async && driver->device_pool && driver->pool_set;
  if (!entries || driver->device_attribute(&has, RT_CUDA_ATTRIBUTE_POOLS, d->device) || !has) return WEIR_OK;
  uint64_t all = UINT64_MAX;  // what is freed stays with the process: executors grow in steps
  int code = driver->device_pool(&pool, d->device);
  if (!code) code = driver->pool_set(pool, RT_CUDA_POOL_KEEP_BYTES, &all);
  d->pooled = !code;
  return rt_cuda_check(d, code, "memory pool");
}

static weir_status device_start(rt_cuda_device *d) {
  int least = 0, greatest = 0;
  WEIR_TRY(rt_cuda_describe(&d->driver, d->ordinal, &d->facts));
  bool simulated = !strcmp(d->facts.arch, "sim");
  if (simulated) snprintf(d->label, sizeof d->label, "sim");
  WEIR_TRY(rt_cuda_check(d, d->driver.device_get(&d->device, d->ordinal), "device"));
  WEIR_TRY(rt_cuda_check(
      d, d->driver.device_attribute(&d->multiprocessors, RT_CUDA_ATTRIBUTE_MULTIPROCESSORS, d->device), "device"));
  if (d->multiprocessors < 1) return weir_status_make(WEIR_CODE_UNSUPPORTED, "device '%s' has no processors", d->label);
  WEIR_TRY(rt_cuda_check(d, d->driver.context_retain(&d->context, d->device), "context"));
  WEIR_TRY(rt_cuda_enter(d));
  weir_status status = rt_cuda_check(d, d->driver.priorities(&least, &greatest), "streams");
  if (!status) {
    int code = d->driver.stream_create(&d->stream, RT_CUDA_STREAM_NON_BLOCKING, least);
    if (code) d->stream = NULL;
    status = rt_cuda_check(d, code, "stream");
  }
  if (!status) status = pool_keep(d);
  rt_cuda_leave(d);
  return status;
}

static void device_destroy(rt_device *device) {
  rt_cuda_device *d = (rt_cuda_device *)device;
  if (!d) return;
  const weir_allocator *allocator = d->base.allocator;
  bool entered = d->context && !d->driver.context_push(d->context);
  rt_cuda_library_stop(d, entered);
  if (entered) {
    if (d->stream) (void)d->driver.stream_destroy(d->stream);
    rt_cuda_leave(d);
  }
  if (d->context) (void)d->driver.context_release(d->device);
  rt_cuda_driver_close(&d->driver);
  pthread_mutex_destroy(&d->lock);
  weir_free(allocator, d, sizeof *d);
}

static const rt_device_ops ops = {
    .apart = true,
    .first_rows = 256,
    .alloc = device_alloc,
    .free = device_free,
    .alloc_host = host_alloc,
    .free_host = host_free,
    .upload = rt_cuda_upload,
    .queue_make = rt_cuda_queue_make,
    .queue_free = rt_cuda_queue_free,
    .send = rt_cuda_send,
    .receive = rt_cuda_receive,
    .move = rt_cuda_move,
    .fill = rt_cuda_fill,
    .wait = rt_cuda_wait,
    .launch = rt_cuda_launch_bound,
    .fire = rt_cuda_fire,
    .destroy = device_destroy,
};

weir_status rt_cuda_device_open(const rt_cuda_driver *driver, int ordinal, const weir_allocator *allocator,
                                rt_device **out_device) {
  rt_cuda_device *d;
  weir_status status = weir_alloc(allocator, sizeof *d, 16, true, &d);
  if (status) {
    rt_cuda_driver_close(&(rt_cuda_driver){.library = driver->library});
    return status;
  }
  d->base = (rt_device){&ops, allocator};
  d->driver = *driver;
  d->ordinal = ordinal;
  pthread_mutex_init(&d->lock, NULL);
  snprintf(d->label, sizeof d->label, "cuda:%d", ordinal);
  status = device_start(d);
  if (status) device_destroy(&d->base);
  else *out_device = &d->base;
  return status;
}

// ---- a model on a device

// "cuda" and "cuda:N" are devices of the driver, "sim" is the simulator.
static weir_status name_parse(const char *name, bool *out_sim, int *out_ordinal) {
  char *end;
  *out_sim = !strcmp(name, "sim");
  *out_ordinal = 0;
  if (*out_sim || !strcmp(name, "cuda")) return WEIR_OK;
  long ordinal = strncmp(name, "cuda:", 5) ? -1 : strtol(name + 5, &end, 10);
  if (ordinal < 0 || ordinal > 1023 || end == name + 5 || *end) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "device '%s': there are 'cpu', 'cuda', 'cuda:N' and 'sim'", name);
  }
  *out_ordinal = (int)ordinal;
  return WEIR_OK;
}

static weir_status driver_by_name(const char *name, rt_cuda_driver *out_driver, int *out_ordinal) {
  bool sim;
  WEIR_TRY(name_parse(name, &sim, out_ordinal));
  if (!sim) return rt_cuda_driver_open(out_driver);
  rt_sim_driver(out_driver);
  return WEIR_OK;
}

weir_status rt_cuda_describe_named(const char *name, rt_cuda_facts *out_facts) {
  rt_cuda_driver driver;
  int ordinal;
  WEIR_TRY(driver_by_name(name, &driver, &ordinal));
  weir_status status = rt_cuda_describe(&driver, ordinal, out_facts);
  rt_cuda_driver_close(&driver);
  return status;
}

weir_status rt_cuda_device_named(const char *name, const weir_allocator *allocator, rt_device **out_device) {
  rt_cuda_driver driver;
  int ordinal;
  WEIR_TRY(driver_by_name(name, &driver, &ordinal));
  return rt_cuda_device_open(&driver, ordinal, allocator, out_device);
}

weir_status rt_cuda_memory_named(const char *name, int64_t *out_free, int64_t *out_total) {
  rt_device *device;
  size_t left = 0, total = 0;
  WEIR_TRY(rt_cuda_device_named(name, weir_allocator_system(), &device));
  rt_cuda_device *d = (rt_cuda_device *)device;
  weir_status status = rt_cuda_enter(d);
  if (!status) {
    status = rt_cuda_check(d, d->driver.memory_info(&left, &total), "memory");
    rt_cuda_leave(d);
  }
  device_destroy(device);
  *out_free = (int64_t)left;
  *out_total = (int64_t)total;
  return status;
}

static weir_status code_open(void *context, const rt_package *package, const char *isa, const weir_allocator *allocator,
                             rt_kernel_provider *out_provider, const char **out_isa) {
  (void)allocator;  // the device's
  return rt_cuda_code_open(context, package, isa, out_provider, out_isa);
}

weir_status rt_cuda_model(const char *name, rt_package *package, const weir_load_options *options,
                          weir_model **out_model) {
  const weir_allocator *allocator = options->allocator ? options->allocator : weir_allocator_system();
  rt_device *device;
  weir_status status = rt_cuda_device_named(name, allocator, &device);
  if (status) {
    rt_package_close(package);
    return status;
  }
  const rt_code_source code = {.open = code_open, .context = device, .device = device, .family = rt_cuda_family};
  return rt_model_from_package(package, options, &code, out_model);
}
