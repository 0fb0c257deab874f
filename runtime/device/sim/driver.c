// The driver's entry points over the engine. Every object that the driver hands out is in one list with its kind, so
// that a handle of another kind, or one that is gone, is an error as the driver would say it, and so that tests can
// count what is left.
#include "runtime/device/sim/driver.h"

#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/device/sim/engine.h"

enum { GUARD_BYTES = 256, GUARD_FILL = 0xd5, FRESH_FILL = 0xa7, ALIGNMENT = 256 };
#define DEFAULT_MEMORY (INT64_C(1) << 46)  // what an address space has; the system refuses before

typedef enum {
  KIND_MEMORY,
  KIND_HOST,
  KIND_MODULE,
  KIND_FUNCTION,
  KIND_STREAM,
  KIND_EVENT,
  KIND_GRAPH,
  KIND_EXEC
} kind;

typedef struct node {
  const rt_sim_kernel *kernel;
  unsigned grid, dynamic_bytes;
  int cluster;
  bool overlaps;  // with a node that it has an edge from
  uint8_t *params;
  struct node *next;
} node;

// Anything that has a handle.
typedef struct object {
  kind kind;
  struct object *next;
  uint8_t *memory;  // memory: behind the first guard
  size_t bytes;
  rt_sim_object *code;    // module
  struct object *module;  // function
  const rt_sim_kernel *kernel;
  int dynamic_bytes;         // that it may ask for
  struct timespec recorded;  // event
  node *nodes, **last;       // graph
} object;

static struct {
  pthread_mutex_t lock;
  object *objects;
  int64_t live;  // objects but functions
  int retained;
  rt_sim *engine;
  rt_team *team;
  bool unchecked;
  bool complete;  // all that was launched has ended: a copy came behind it
  uint64_t seed;
  int64_t memory, used;
  int fault;  // the context's, for good
  char fault_text[1024];
} sim = {.lock = PTHREAD_MUTEX_INITIALIZER};

// ---- objects; all with the lock held

static object *object_add(kind what) {
  object *o = calloc(1, sizeof *o);
  if (!o) return NULL;
  o->kind = what;
  o->next = sim.objects;
  sim.objects = o;
  sim.live += what != KIND_FUNCTION;
  return o;
}

static object *object_find(const void *handle, kind what) {
  for (object *o = sim.objects; o; o = o->next)
    if (o == handle && o->kind == what) return o;
  return NULL;
}

static object *memory_find(const void *at, kind what) {
  for (object *o = sim.objects; o; o = o->next)
    if (o->kind == what && o->memory == at) return o;
  return NULL;
}

// The block of device memory that holds all of a range.
static bool range_known(uint64_t at, size_t bytes) {
  for (const object *o = sim.objects; o; o = o->next) {
    uint64_t begin = (uint64_t)(uintptr_t)o->memory;
    if (o->kind == KIND_MEMORY && at >= begin && at - begin <= o->bytes && bytes <= o->bytes - (at - begin))
      return true;
  }
  return bytes == 0;
}

static void nodes_free(node *n) {
  while (n) {
    node *next = n->next;
    free(n->params);
    free(n);
    n = next;
  }
}

static void object_remove(object *o) {
  object **at = &sim.objects;
  while (*at != o) at = &(*at)->next;
  *at = o->next;
  sim.live -= o->kind != KIND_FUNCTION;
  if (o->kind == KIND_MEMORY) free(o->memory - GUARD_BYTES);
  if (o->kind == KIND_HOST) free(o->memory);
  if (o->kind == KIND_MODULE) rt_sim_object_unload(o->code);
  nodes_free(o->nodes);
  free(o);
}

static int fault_set(int code, const char *text) {
  if (!sim.fault) {
    sim.fault = code;
    snprintf(sim.fault_text, sizeof sim.fault_text, "%s", text);
  }
  return sim.fault;
}

// Releases a status of the engine and says which error of the driver it is.
static int status_take(weir_status status, int otherwise) {
  int code = weir_status_code(status) == WEIR_CODE_OUT_OF_MEMORY ? RT_CUDA_OUT_OF_MEMORY : otherwise;
  if (!status) return RT_CUDA_OK;
  weir_status_release(status);
  return code;
}

// Around what an entry does: the lock, and a context that is there and has no fault.
static int enter(void) {
  pthread_mutex_lock(&sim.lock);
  return sim.fault ? sim.fault : sim.retained ? RT_CUDA_OK : RT_CUDA_NOT_INITIALIZED;
}

static int leave(int code) {
  pthread_mutex_unlock(&sim.lock);
  return code;
}

// ---- the device

static int sim_init(unsigned flags) { return flags ? RT_CUDA_INVALID_VALUE : RT_CUDA_OK; }

static int sim_driver_version(int *out) {
  *out = RT_CUDA_OLDEST;
  return RT_CUDA_OK;
}

static int sim_error_name(int code, const char **out) {
  static const struct {
    int code;
    const char *name;
  } names[] = {
      {RT_CUDA_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},     {RT_CUDA_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
      {RT_CUDA_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},   {RT_CUDA_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
      {RT_CUDA_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},     {RT_CUDA_NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
      {RT_CUDA_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (names[i].code != code) continue;
    *out = names[i].name;
    return RT_CUDA_OK;
  }
  return RT_CUDA_INVALID_VALUE;
}

// Of a fault what the engine's check says: it is kept for as long as the context.
static int sim_error_text(int code, const char **out) {
  pthread_mutex_lock(&sim.lock);
  *out = sim.fault == code && sim.fault ? sim.fault_text : "the simulator does not say more";
  return leave(RT_CUDA_OK);
}

static int sim_device_count(int *out) {
  *out = 1;
  return RT_CUDA_OK;
}

static int sim_device_get(int *out, int ordinal) {
  *out = 0;
  return ordinal ? RT_CUDA_INVALID_DEVICE : RT_CUDA_OK;
}

static int sim_device_name(char *out, int bytes, int device) {
  snprintf(out, (size_t)bytes, "simulator");
  return device ? RT_CUDA_INVALID_DEVICE : RT_CUDA_OK;
}

static int sim_device_attribute(int *out, int attribute, int device) {
  switch (attribute) {
    case RT_CUDA_ATTRIBUTE_MULTIPROCESSORS:
      *out = 4;
      break;
    case RT_CUDA_ATTRIBUTE_SHARED_OPTIN:
      *out = RT_SIM_SHARED_BYTES;
      break;
    default:
      *out = 0;
      break;
  }
  return device ? RT_CUDA_INVALID_DEVICE : RT_CUDA_OK;
}

static int sim_device_memory(size_t *out, int device) {
  *out = DEFAULT_MEMORY;
  return device ? RT_CUDA_INVALID_DEVICE : RT_CUDA_OK;
}

static int sim_device_pool(void **out, int device) {
  *out = NULL;
  return device ? RT_CUDA_INVALID_DEVICE : RT_CUDA_OK;
}

static int sim_pool_set(void *pool, int attribute, void *value) {
  (void)attribute, (void)value;
  return pool ? RT_CUDA_INVALID_HANDLE : RT_CUDA_OK;
}

// ---- the context

static void options_read(const char *text) {
  sim.unchecked = false;
  sim.seed = 0;
  sim.memory = DEFAULT_MEMORY;
  while (text && *text) {
    size_t length = strcspn(text, ",");
    if (length == 9 && !strncmp(text, "unchecked", 9)) sim.unchecked = true;
    if (!strncmp(text, "seed=", 5)) sim.seed = strtoull(text + 5, NULL, 10);
    if (!strncmp(text, "memory=", 7)) sim.memory = strtoll(text + 7, NULL, 10);
    text += length + (text[length] == ',');
  }
}

static int sim_context_retain(void **out, int device) {
  if (device) return RT_CUDA_INVALID_DEVICE;
  pthread_mutex_lock(&sim.lock);
  if (!sim.retained) {
    options_read(getenv("WEIR_SIM"));
    int code = status_take(rt_sim_create(&sim.engine), RT_CUDA_UNKNOWN);
    if (code) return leave(code);
    rt_sim_require_registered(sim.engine, true);
    weir_status_release(rt_team_create(0, false, weir_allocator_system(), &sim.team));  // null: one thread does it
  }
  sim.retained++;
  *out = &sim;
  return leave(RT_CUDA_OK);
}

// The last one takes everything with it, as the driver does.
static int sim_context_release(int device) {
  if (device) return RT_CUDA_INVALID_DEVICE;
  pthread_mutex_lock(&sim.lock);
  if (!sim.retained) return leave(RT_CUDA_INVALID_VALUE);
  if (--sim.retained) return leave(RT_CUDA_OK);
  while (sim.objects) object_remove(sim.objects);
  rt_sim_destroy(sim.engine);
  rt_team_destroy(sim.team);
  sim.engine = NULL;
  sim.team = NULL;
  sim.fault = 0;
  sim.used = 0;
  return leave(RT_CUDA_OK);
}

static int sim_context_push(void *context) { return context == &sim ? RT_CUDA_OK : RT_CUDA_INVALID_VALUE; }

static int sim_context_pop(void **out) {
  *out = &sim;
  return RT_CUDA_OK;
}

static int sim_priorities(int *least, int *greatest) {
  *least = *greatest = 0;
  return RT_CUDA_OK;
}

// ---- code

// Where the sections of an object file end: callers give its begin alone.
static size_t elf_bytes(const void *image) {
  Elf64_Ehdr h;
  memcpy(&h, image, sizeof h);
  if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64) return 0;
  return h.e_shoff + (size_t)h.e_shnum * h.e_shentsize;
}

static int sim_module_load(void **out, const void *image, unsigned count, int *options, void **values) {
  int code = enter();
  if (code) return leave(code);
  rt_sim_object *loaded = NULL;
  size_t bytes = elf_bytes(image);
  if (!bytes) return leave(RT_CUDA_INVALID_IMAGE);
  weir_status status = rt_sim_object_load_bytes(image, bytes, &loaded);
  for (unsigned i = 0; status && i + 1 < count; i++)
    if (options[i] == RT_CUDA_JIT_ERROR_TEXT && options[i + 1] == RT_CUDA_JIT_ERROR_BYTES)
      snprintf(values[i], (size_t)(uintptr_t)values[i + 1], "%s", weir_status_message(status));
  code = status_take(status, RT_CUDA_INVALID_IMAGE);
  if (code) return leave(code);
  object *o = object_add(KIND_MODULE);
  if (!o) {
    rt_sim_object_unload(loaded);
    return leave(RT_CUDA_OUT_OF_MEMORY);
  }
  o->code = loaded;
  *out = o;
  return leave(RT_CUDA_OK);
}

static int sim_module_unload(void *module) {
  pthread_mutex_lock(&sim.lock);
  object *m = object_find(module, KIND_MODULE);
  if (!m) return leave(RT_CUDA_INVALID_HANDLE);
  for (object *o = sim.objects, *next; o; o = next) {
    next = o->next;
    if (o->kind == KIND_FUNCTION && o->module == m) object_remove(o);
  }
  object_remove(m);
  return leave(RT_CUDA_OK);
}

static int sim_module_function(void **out, void *module, const char *name) {
  int code = enter();
  if (code) return leave(code);
  object *m = object_find(module, KIND_MODULE);
  const rt_sim_kernel *kernel;
  if (!m) return leave(RT_CUDA_INVALID_HANDLE);
  code = status_take(rt_sim_object_find(m->code, name, &kernel), RT_CUDA_NOT_FOUND);
  if (code) return leave(code);
  object *o = object_add(KIND_FUNCTION);
  if (!o) return leave(RT_CUDA_OUT_OF_MEMORY);
  o->module = m;
  o->kernel = kernel;
  *out = o;
  return leave(RT_CUDA_OK);
}

static int sim_function_attribute(int *out, int attribute, void *function) {
  (void)attribute;
  pthread_mutex_lock(&sim.lock);
  *out = 0;
  return leave(object_find(function, KIND_FUNCTION) ? RT_CUDA_OK : RT_CUDA_INVALID_HANDLE);
}

static int sim_function_set(void *function, int attribute, int value) {
  int code = enter();
  if (code) return leave(code);
  object *o = object_find(function, KIND_FUNCTION);
  if (!o) return leave(RT_CUDA_INVALID_HANDLE);
  if (attribute != RT_CUDA_FUNCTION_DYNAMIC_SHARED || value < 0 || value > RT_SIM_SHARED_BYTES)
    return leave(RT_CUDA_INVALID_VALUE);
  o->dynamic_bytes = value;
  return leave(RT_CUDA_OK);
}

// ---- memory

static int sim_memory_info(size_t *out_free, size_t *out_total) {
  int code = enter();
  *out_total = (size_t)sim.memory;
  *out_free = (size_t)(sim.memory - sim.used);
  return leave(code);
}

static int memory_make(uint64_t *out, size_t bytes) {
  if (!bytes) return RT_CUDA_INVALID_VALUE;
  if (bytes > (size_t)(sim.memory - sim.used)) return RT_CUDA_OUT_OF_MEMORY;
  size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  uint8_t *whole = aligned_alloc(ALIGNMENT, rounded + 2 * GUARD_BYTES);
  object *o = whole ? object_add(KIND_MEMORY) : NULL;
  if (!o) {
    free(whole);
    return RT_CUDA_OUT_OF_MEMORY;
  }
  memset(whole, GUARD_FILL, GUARD_BYTES);
  if (!sim.unchecked) memset(whole + GUARD_BYTES, FRESH_FILL, bytes);
  memset(whole + GUARD_BYTES + bytes, GUARD_FILL, rounded - bytes + GUARD_BYTES);
  o->memory = whole + GUARD_BYTES;
  o->bytes = bytes;
  int code = status_take(rt_sim_register(sim.engine, o->memory, bytes), RT_CUDA_UNKNOWN);
  if (code) {
    object_remove(o);
    return code;
  }
  sim.used += (int64_t)bytes;
  *out = (uint64_t)(uintptr_t)o->memory;
  return RT_CUDA_OK;
}

static int sim_memory_alloc(uint64_t *out, size_t bytes) {
  int code = enter();
  return leave(code ? code : memory_make(out, bytes));
}

static bool guards_whole(const object *o) {
  const uint8_t *before = o->memory - GUARD_BYTES, *after = o->memory + o->bytes;
  for (int i = 0; i < GUARD_BYTES; i++)
    if (before[i] != GUARD_FILL || after[i] != GUARD_FILL) return false;
  return true;
}

static int sim_memory_free(uint64_t memory) {
  pthread_mutex_lock(&sim.lock);
  object *o = memory_find((void *)(uintptr_t)memory, KIND_MEMORY);
  if (!o) return leave(RT_CUDA_INVALID_VALUE);
  if (!guards_whole(o)) (void)fault_set(RT_CUDA_ILLEGAL_ADDRESS, "memory beside an allocation was written");
  int code = status_take(rt_sim_unregister(sim.engine, o->memory), RT_CUDA_UNKNOWN);
  sim.used -= (int64_t)o->bytes;
  object_remove(o);
  return leave(sim.fault ? sim.fault : code);
}

static int sim_memory_alloc_async(uint64_t *out, size_t bytes, void *stream) {
  int code = enter();
  if (!code && stream && !object_find(stream, KIND_STREAM)) code = RT_CUDA_INVALID_HANDLE;
  return leave(code ? code : memory_make(out, bytes));
}

static int sim_memory_free_async(uint64_t memory, void *stream) {
  (void)stream;
  return sim_memory_free(memory);
}

static int sim_host_alloc(void **out, size_t bytes, unsigned flags) {
  int code = enter();
  if (code) return leave(code);
  if (!bytes || flags) return leave(RT_CUDA_INVALID_VALUE);
  uint8_t *memory = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
  object *o = memory ? object_add(KIND_HOST) : NULL;
  if (!o) {
    free(memory);
    return leave(RT_CUDA_OUT_OF_MEMORY);
  }
  o->memory = *out = memory;
  return leave(RT_CUDA_OK);
}

static int sim_host_free(void *memory) {
  pthread_mutex_lock(&sim.lock);
  object *o = memory_find(memory, KIND_HOST);
  if (!o) return leave(RT_CUDA_INVALID_VALUE);
  object_remove(o);
  return leave(RT_CUDA_OK);
}

// A command of a stream on device ranges: null |stream| is none of ours.
static int command(void *stream, uint64_t a, uint64_t b, size_t bytes) {
  int code = enter();
  if (code) return code;
  sim.complete = true;
  if (!object_find(stream, KIND_STREAM)) return RT_CUDA_INVALID_HANDLE;
  if ((a && !range_known(a, bytes)) || (b && !range_known(b, bytes))) return RT_CUDA_INVALID_VALUE;
  return RT_CUDA_OK;
}

static void *address(uint64_t memory) { return (void *)(uintptr_t)memory; }

static int sim_copy_in(uint64_t to, const void *from, size_t bytes, void *stream) {
  int code = command(stream, to, 0, bytes);
  if (!code && bytes) memcpy(address(to), from, bytes);
  return leave(code);
}

static int sim_copy_out(void *to, uint64_t from, size_t bytes, void *stream) {
  int code = command(stream, from, 0, bytes);
  if (!code && bytes) memcpy(to, address(from), bytes);
  return leave(code);
}

// Ranges must not overlap, as of the driver's.
static int sim_copy_within(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  int code = command(stream, to, from, bytes);
  if (!code && to < from + bytes && from < to + bytes) code = RT_CUDA_INVALID_VALUE;
  if (!code && bytes) memcpy(address(to), address(from), bytes);
  return leave(code);
}

static int fill_rows(uint64_t to, size_t pitch, const void *value, size_t width, size_t count, void *stream) {
  int code = count && pitch > SIZE_MAX / count ? RT_CUDA_INVALID_VALUE : RT_CUDA_OK;
  if (code) return code;
  code = command(stream, to, 0, count ? (count - 1) * pitch + width : 0);
  if (!code && to % width) code = RT_CUDA_INVALID_VALUE;
  for (size_t i = 0; !code && i < count; i++) memcpy((char *)address(to) + i * pitch, value, width);
  return leave(code);
}

static int sim_fill8(uint64_t to, unsigned char value, size_t count, void *stream) {
  return fill_rows(to, 1, &value, 1, count, stream);
}
static int sim_fill16(uint64_t to, unsigned short value, size_t count, void *stream) {
  return fill_rows(to, 2, &value, 2, count, stream);
}
static int sim_fill32(uint64_t to, unsigned value, size_t count, void *stream) {
  return fill_rows(to, 4, &value, 4, count, stream);
}
static int sim_fill32_rows(uint64_t to, size_t pitch, unsigned value, size_t width, size_t height, void *stream) {
  if (width != 1) return RT_CUDA_INVALID_VALUE;
  return fill_rows(to, pitch, &value, 4, height, stream);
}

// ---- streams and events

static int simple_make(void **out, kind what) {
  int code = enter();
  if (code) return leave(code);
  *out = object_add(what);
  return leave(*out ? RT_CUDA_OK : RT_CUDA_OUT_OF_MEMORY);
}

static int simple_free(void *handle, kind what) {
  pthread_mutex_lock(&sim.lock);
  object *o = object_find(handle, what);
  if (o) object_remove(o);
  return leave(o ? RT_CUDA_OK : RT_CUDA_INVALID_HANDLE);
}

static int sim_stream_create(void **out, unsigned flags, int priority) {
  (void)flags, (void)priority;
  return simple_make(out, KIND_STREAM);
}
static int sim_stream_destroy(void *stream) { return simple_free(stream, KIND_STREAM); }
static int sim_stream_wait(void *stream) { return leave(command(stream, 0, 0, 0)); }

static int sim_event_create(void **out, unsigned flags) {
  (void)flags;
  return simple_make(out, KIND_EVENT);
}
static int sim_event_destroy(void *event) { return simple_free(event, KIND_EVENT); }

static int sim_event_record(void *event, void *stream) {
  int code = command(stream, 0, 0, 0);
  object *o = object_find(event, KIND_EVENT);
  if (!code && !o) code = RT_CUDA_INVALID_HANDLE;
  if (!code) clock_gettime(CLOCK_MONOTONIC, &o->recorded);
  return leave(code);
}

static int sim_event_wait(void *event) {
  int code = enter();
  if (!code && !object_find(event, KIND_EVENT)) code = RT_CUDA_INVALID_HANDLE;
  return leave(code);
}

static int sim_event_elapsed(float *out_ms, void *begin, void *end) {
  int code = enter();
  const object *a = object_find(begin, KIND_EVENT), *b = object_find(end, KIND_EVENT);
  if (!code && (!a || !b)) code = RT_CUDA_INVALID_HANDLE;
  if (!code) {
    *out_ms = (float)(b->recorded.tv_sec - a->recorded.tv_sec) * 1e3f +
              (float)(b->recorded.tv_nsec - a->recorded.tv_nsec) * 1e-6f;
  }
  return leave(code);
}

// ---- launches

// What a device would refuse before it runs anything.
static int launch_check(const object *function, const unsigned grid[3], const unsigned block[3], unsigned dynamic) {
  if (!function) return RT_CUDA_INVALID_HANDLE;
  if (!grid[0] || grid[1] != 1 || grid[2] != 1 || grid[0] > 0x7fffffffu) return RT_CUDA_INVALID_VALUE;
  if (block[0] != (unsigned)function->kernel->threads || block[1] != 1 || block[2] != 1) return RT_CUDA_INVALID_VALUE;
  if (dynamic > 48 * 1024 && dynamic > (unsigned)function->dynamic_bytes) return RT_CUDA_INVALID_VALUE;
  return RT_CUDA_OK;
}

static int kernel_run(const rt_sim_kernel *kernel, unsigned grid, unsigned dynamic, int cluster, bool overlaps,
                      const void *params) {
  rt_sim_launch_options options = {.grid = grid,
                                   .overlaps = overlaps,
                                   .cluster = cluster,
                                   .dynamic_bytes = dynamic,
                                   .params = params,
                                   .seed = sim.seed,
                                   .unchecked = sim.unchecked,
                                   .team = sim.team};
  rt_sim_report report;
  weir_status status = rt_sim_launch(sim.engine, kernel, &options, &report);
  if (!status) return RT_CUDA_OK;
  int code = weir_status_code(status) == WEIR_CODE_INVALID_ARGUMENT ? RT_CUDA_INVALID_VALUE
             : weir_status_code(status) == WEIR_CODE_OUT_OF_MEMORY  ? RT_CUDA_OUT_OF_MEMORY
                                                                    : RT_CUDA_LAUNCH_FAILED;
  if (code == RT_CUDA_LAUNCH_FAILED) (void)fault_set(code, weir_status_message(status));
  weir_status_release(status);
  return code;
}

static int sim_launch(const rt_cuda_launch *launch, void *function, void **parameters, void **extra) {
  bool complete = sim.complete, overlaps = false;
  int code = command(launch->stream, 0, 0, 0), cluster = 0;
  object *f = object_find(function, KIND_FUNCTION);
  for (unsigned i = 0; i < launch->attribute_count; i++) {
    if (launch->attributes[i].id == RT_CUDA_LAUNCH_CLUSTER) cluster = (int)launch->attributes[i].value.cluster[0];
    if (launch->attributes[i].id == RT_CUDA_LAUNCH_OVERLAP) overlaps = launch->attributes[i].value.overlap && !complete;
  }
  if (!code && extra) code = RT_CUDA_INVALID_VALUE;
  if (!code) code = launch_check(f, launch->grid, launch->block, launch->dynamic_bytes);
  if (!code) code = kernel_run(f->kernel, launch->grid[0], launch->dynamic_bytes, cluster, overlaps, parameters[0]);
  sim.complete = false;
  return leave(code);
}

// ---- graphs: nodes run in the order in which they were added, which their dependencies allow

static int sim_graph_create(void **out, unsigned flags) {
  if (flags) return RT_CUDA_INVALID_VALUE;
  int code = simple_make(out, KIND_GRAPH);
  if (!code) ((object *)*out)->last = &((object *)*out)->nodes;
  return code;
}
static int sim_graph_destroy(void *graph) { return simple_free(graph, KIND_GRAPH); }

static int node_set(node *n, const rt_cuda_node *from) {
  object *f = object_find(from->function, KIND_FUNCTION);
  int code = launch_check(f, from->grid, from->block, from->dynamic_bytes);
  if (code) return code;
  uint8_t *params = malloc(f->kernel->param_bytes);
  if (!params) return RT_CUDA_OUT_OF_MEMORY;
  memcpy(params, from->parameters[0], f->kernel->param_bytes);
  free(n->params);
  n->kernel = f->kernel;
  n->grid = from->grid[0];
  n->dynamic_bytes = from->dynamic_bytes;
  n->params = params;
  return RT_CUDA_OK;
}

static node *node_find(const object *graph, const void *handle) {
  for (node *n = graph->nodes; n; n = n->next)
    if (n == handle) return n;
  return NULL;
}

static int sim_graph_add(void **out, void *graph, void *const *before, size_t count, const rt_cuda_node *what) {
  int code = enter();
  object *g = object_find(graph, KIND_GRAPH);
  if (!code && !g) code = RT_CUDA_INVALID_HANDLE;
  for (size_t i = 0; !code && i < count; i++)
    if (!node_find(g, before[i])) code = RT_CUDA_INVALID_VALUE;
  if (code) return leave(code);
  node *n = calloc(1, sizeof *n);
  code = n ? node_set(n, what) : RT_CUDA_OUT_OF_MEMORY;
  if (code) {
    free(n);
    return leave(code);
  }
  *g->last = n;
  g->last = &n->next;
  *out = n;
  return leave(RT_CUDA_OK);
}

static int sim_graph_edges(void *graph, void *const *from, void *const *to, const rt_cuda_edge *edges, size_t count) {
  int code = enter();
  object *g = object_find(graph, KIND_GRAPH);
  if (!code && !g) code = RT_CUDA_INVALID_HANDLE;
  for (size_t i = 0; !code && i < count; i++) {
    node *n = node_find(g, to[i]);
    if (!node_find(g, from[i]) || !n) code = RT_CUDA_INVALID_VALUE;
    else if (edges && edges[i].type == RT_CUDA_EDGE_OVERLAP) n->overlaps = true;
  }
  return leave(code);
}

static int sim_graph_attribute(void *handle, int attribute, const void *value) {
  int code = enter();
  node *found = NULL;
  for (const object *o = sim.objects; o && !found; o = o->next)
    if (o->kind == KIND_GRAPH) found = node_find(o, handle);
  if (!code && (!found || attribute != RT_CUDA_LAUNCH_CLUSTER)) code = RT_CUDA_INVALID_VALUE;
  if (!code) found->cluster = (int)*(const unsigned *)value;
  return leave(code);
}

// What is made of a graph has nodes of its own, found by the graph's: a copy remembers which one it is of.
typedef struct copied {
  node node;
  const void *of;
} copied;

static int sim_graph_make(void **out, void *graph, unsigned long long flags) {
  int code = enter();
  object *g = object_find(graph, KIND_GRAPH);
  if (!code && (!g || flags)) code = RT_CUDA_INVALID_HANDLE;
  if (code) return leave(code);
  object *e = object_add(KIND_EXEC);
  if (!e) return leave(RT_CUDA_OUT_OF_MEMORY);
  node **last = &e->nodes;
  for (const node *n = g->nodes; n; n = n->next) {
    copied *c = calloc(1, sizeof *c);
    uint8_t *params = malloc(n->kernel->param_bytes);
    if (!c || !params) {
      free(c);
      free(params);
      object_remove(e);
      return leave(RT_CUDA_OUT_OF_MEMORY);
    }
    memcpy(params, n->params, n->kernel->param_bytes);
    *c = (copied){.node = *n, .of = n};
    c->node.params = params;
    c->node.next = NULL;
    *last = &c->node;
    last = &c->node.next;
  }
  *out = e;
  return leave(RT_CUDA_OK);
}

static int sim_graph_patch(void *exec, void *handle, const rt_cuda_node *to) {
  int code = enter();
  object *e = object_find(exec, KIND_EXEC);
  if (code || !e) return leave(code ? code : RT_CUDA_INVALID_HANDLE);
  for (node *n = e->nodes; n; n = n->next)
    if (((copied *)n)->of == handle) return leave(node_set(n, to));
  return leave(RT_CUDA_INVALID_VALUE);
}

static int sim_graph_launch(void *exec, void *stream) {
  int code = command(stream, 0, 0, 0);
  const object *e = object_find(exec, KIND_EXEC);
  if (!code && !e) code = RT_CUDA_INVALID_HANDLE;
  for (const node *n = code ? NULL : e->nodes; n && !code; n = n->next)
    code = kernel_run(n->kernel, n->grid, n->dynamic_bytes, n->cluster, n->overlaps, n->params);
  sim.complete = true;
  return leave(code);
}
static int sim_graph_free(void *exec) { return simple_free(exec, KIND_EXEC); }

static int sim_map_encode(void *out, int type, unsigned rank, void *at, const uint64_t *dims, const uint64_t *strides,
                          const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int promotion,
                          int fill) {
  static const int widths[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};  // of the driver's types, in order
  static const int swizzles[] = {0, 32, 64, 128};
  (void)promotion;
  if (interleave || fill || rank < 1 || rank > 5 || swizzle < 0 || swizzle > 3 || type < 0 || type > 12)
    return RT_CUDA_INVALID_VALUE;
  rt_sim_map map = {.address = at, .rank = (int)rank, .element_bytes = widths[type], .swizzle = swizzles[swizzle]};
  for (unsigned i = 0; i < rank; i++) {
    if (steps[i] != 1) return RT_CUDA_INVALID_VALUE;
    map.dims[i] = dims[i];
    map.box[i] = box[i];
    if (i) map.strides[i - 1] = strides[i - 1];
  }
  return status_take(rt_sim_map_encode(&map, out), RT_CUDA_INVALID_VALUE);
}

void rt_sim_driver(rt_cuda_driver *out_driver) {
  *out_driver = (rt_cuda_driver){
#define CALL(field, symbol, parameters, arguments, needed) .field = sim_##field,
#include "runtime/device/cuda/driver.def"
      .path = "simulator",
      .version = RT_CUDA_OLDEST,
  };
}

int64_t rt_sim_driver_live(void) {
  pthread_mutex_lock(&sim.lock);
  int64_t live = sim.live;
  pthread_mutex_unlock(&sim.lock);
  return live;
}
