// Code for a device: the best object of the package, its cubins as modules, and the facts about its kernels. What the
// facts say is checked against the device and the program, for launches rely on it.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/cuda/abi.h"
#include "runtime/device/cuda/device_internal.h"
#include "runtime/package/format.h"

#define BAD(...) weir_status_make(WEIR_CODE_INVALID_DATA, __VA_ARGS__)

enum { MAX_UNITS = 4096, MAX_THREADS = 1024, MAX_STATIC_BYTES = 48 * 1024, JIT_TEXT_BYTES = 1024 };

// ---- which code

// The digits of "sm_90a" as 90, and whether it is made for one chip alone.
static int arch_number(const char *arch, bool *out_only) {
  char *end;
  *out_only = false;
  if (strncmp(arch, "sm_", 3)) return 0;
  long number = strtol(arch + 3, &end, 10);
  *out_only = !strcmp(end, "a");
  return end > arch + 3 && (!*end || *out_only) && number > 0 && number < 10000 ? (int)number : 0;
}

static const char sim_of[] = "sim_";  // and an architecture: its kernels on the simulator

const char *rt_cuda_family(const char *arch) {
  size_t prefix = strncmp(arch, sim_of, strlen(sim_of)) ? 0 : strlen(sim_of);
  return strcmp(arch + prefix, "sm_90a") ? RT_SECTION_DEVICE : RT_SECTION_SM_90A;
}

int rt_cuda_arch_rank(const char *own, const char *arch) {
  bool only, ignored;
  int have = arch_number(own, &ignored), made = arch_number(arch, &only);
  if (!have) return !strcmp(own, arch) ? 1 : !strncmp(own, "sim", 4) && !strncmp(arch, sim_of, strlen(sim_of)) ? 2 : 0;
  if (!strcmp(arch, "ptx")) return 1;
  if (!made || (only && made != have)) return 0;
  if (made == have) return only ? 1000 : 900;
  return made / 10 == have / 10 && made < have ? 100 + made % 10 : 0;
}

static weir_status none_fits(const rt_cuda_device *d, const rt_package *package, const char *isa) {
  char list[512] = "";
  size_t used = 0;
  for (int i = 0; i < rt_package_object_count(package) && used < sizeof list; i++) {
    used +=
        (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", rt_package_object_at(package, i)->isa);
  }
  const char *target = !strcmp(d->facts.arch, "sim") ? "sim" : "cuda";
  return weir_status_make(
      WEIR_CODE_UNSUPPORTED, "no code for device '%s' (%s, %s)%s%s: the package has %s; build it with --target %s",
      d->label, d->facts.name, d->facts.arch, isa ? " as asked: " : "", isa ? isa : "", *list ? list : "none", target);
}

static const rt_package_object *object_choose(const rt_cuda_device *d, const rt_package *package, const char *isa) {
  const rt_package_object *best = NULL;
  int best_rank = 0;
  for (int i = 0; i < rt_package_object_count(package); i++) {
    const rt_package_object *o = rt_package_object_at(package, i);
    int rank = isa && strcmp(isa, o->isa) ? 0 : rt_cuda_arch_rank(d->facts.arch, o->isa);
    if (rank > best_rank) {
      best = o;
      best_rank = rank;
    }
  }
  return best;
}

// ---- facts

// "key=NUMBER" at |*at|, up to |most|; moves on.
static bool fact_read(const char **at, const char *end, const char *key, int64_t most, int64_t *out) {
  size_t length = strlen(key);
  const char *p = *at;
  if ((size_t)(end - p) < length + 3 || *p != ' ' || memcmp(p + 1, key, length) || p[length + 1] != '=') return false;
  int64_t value = 0;
  const char *digits = p + length + 2;
  for (p = digits; p < end && *p >= '0' && *p <= '9'; p++)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value)) return false;
  *at = p;
  *out = value;
  return p > digits && value <= most;
}

static bool maps_parse(weir_pool *pool, const char **at, const char *end, int count, rt_cuda_map **out) {
  weir_status status = weir_pool_array(pool, (size_t)count, sizeof **out, out);
  weir_status_release(status);
  for (int i = 0; !status && i < count; i++)
    if (!rt_cuda_map_parse(at, end, &(*out)[i])) return false;
  return !status;
}

// That the kernel is a product which a library may do: then it has the arguments and the size of one.
static bool library_parse(const char **at, const char *end, rt_cuda_kernel *k) {
  int64_t algorithm;
  k->outs = k->cols = 0;
  if (end - *at < 6 || memcmp(*at, " outs=", 6)) return true;
  bool ok = fact_read(at, end, "outs", INT_MAX, &k->outs) && fact_read(at, end, "cols", INT_MAX, &k->cols) &&
            fact_read(at, end, "algorithm", RT_CUDA_LIBRARY_PROPOSALS - 1, &algorithm);
  k->algorithm = ok ? (int)algorithm : 0;
  return ok && k->outs && k->cols;
}

// One line; |end| is its newline.
static bool kernel_parse(weir_pool *pool, const char *line, const char *end, int unit_count, rt_cuda_kernel *k) {
  const char *at = memchr(line, ' ', (size_t)(end - line));
  int64_t unit, threads, items, registers, spills, occupancy, maps, cluster, block, waits;
  if (!at || at == line || (size_t)(at - line) >= sizeof k->name) return false;
  memcpy(k->name, line, (size_t)(at - line));
  bool ok =
      fact_read(&at, end, "unit", unit_count - 1, &unit) && fact_read(&at, end, "threads", MAX_THREADS, &threads) &&
      fact_read(&at, end, "items", MAX_THREADS, &items) && fact_read(&at, end, "shared", INT_MAX, &k->static_bytes) &&
      fact_read(&at, end, "dynamic", INT_MAX, &k->dynamic_bytes) &&
      fact_read(&at, end, "scratch", INT64_C(1) << 40, &k->scratch_bytes) &&
      fact_read(&at, end, "registers", INT_MAX, &registers) && fact_read(&at, end, "spills", INT_MAX, &spills) &&
      fact_read(&at, end, "occupancy", 1024, &occupancy) && fact_read(&at, end, "maps", RT_CUDA_MAX_MAPS, &maps) &&
      fact_read(&at, end, "cluster", 16, &cluster) && fact_read(&at, end, "block", 1, &block) &&
      fact_read(&at, end, "pdl", 1, &waits) && library_parse(&at, end, k) &&
      maps_parse(pool, &at, end, (int)maps, &k->map) && at == end;
  if (!ok || !threads || k->scratch_bytes % 64 || (block && k->scratch_bytes) || (!block && !items)) return false;
  k->unit = (int)unit;
  k->threads = (int)threads;
  k->items_per_block = block ? 1 : (int)items;
  k->occupancy = occupancy ? (int)occupancy : 1;
  k->maps = (int)maps;
  k->cluster = (int)cluster;
  k->block = block;
  k->waits = waits;
  return true;
}

// ---- loading

typedef struct {
  rt_cuda_device *device;
  weir_pool pool;
  void **modules;
  int module_count;
  rt_cuda_kernel *kernels;  // by name
  int kernel_count;
} code;

static void code_destroy(void *context) {
  code *c = context;
  rt_cuda_device *d = c->device;
  const weir_allocator *allocator = d->base.allocator;
  if (c->module_count && !d->driver.context_push(d->context)) {
    for (int i = 0; i < c->module_count; i++) (void)d->driver.module_unload(c->modules[i]);
    rt_cuda_leave(d);
  }
  weir_pool_deinit(&c->pool);
  weir_free(allocator, c, sizeof *c);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const rt_cuda_kernel *)a)->name, ((const rt_cuda_kernel *)b)->name);
}

static weir_status facts_read(code *c, const rt_section *section, int unit_count) {
  const char *text = (const char *)section->data, *end = text + section->bytes;
  size_t lines = 0;
  for (const char *p = text; p < end; p++) lines += *p == '\n';
  WEIR_TRY(weir_pool_array(&c->pool, lines, sizeof *c->kernels, &c->kernels));
  for (const char *line = text; line < end;) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop || !kernel_parse(&c->pool, line, stop, unit_count, &c->kernels[c->kernel_count]))
      return BAD("section '%s': line %d says no kernel", section->name, c->kernel_count + 1);
    c->kernel_count++;
    line = stop + 1;
  }
  if (c->kernel_count) qsort(c->kernels, (size_t)c->kernel_count, sizeof *c->kernels, by_name);
  for (int i = 1; i < c->kernel_count; i++)
    if (!strcmp(c->kernels[i - 1].name, c->kernels[i].name))
      return BAD("section '%s': '%s' stands there twice", section->name, c->kernels[i].name);
  return WEIR_OK;
}

static weir_status module_add(code *c, const void *image) {
  rt_cuda_device *d = c->device;
  char log[JIT_TEXT_BYTES] = "";
  int options[] = {RT_CUDA_JIT_ERROR_TEXT, RT_CUDA_JIT_ERROR_BYTES};
  void *values[] = {log, (void *)(uintptr_t)sizeof log};
  int result = d->driver.module_load(&c->modules[c->module_count], image, 2, options, values);
  if (!result) {
    c->module_count++;
    return WEIR_OK;
  }
  weir_status status = rt_cuda_check(d, result, "code");
  if (*log) status = weir_status_annotate(status, "%s", log);
  if (result != RT_CUDA_NO_BINARY && result != RT_CUDA_INVALID_IMAGE && result != RT_CUDA_UNSUPPORTED_PTX)
    return status;
  return weir_status_annotate(status, "the driver, of CUDA %d.%d, may be too old for this code",
                              d->driver.version / 1000, d->driver.version % 1000 / 10);
}

// The cubins of an object; one that is an ELF file itself is its only one.
static weir_status units_load(code *c, const rt_section *section, int *out_count) {
  rt_cuda_object_head head;
  if (section->bytes < 64) return BAD("section '%s': %zu bytes", section->name, section->bytes);
  memcpy(&head, section->data, sizeof head);
  bool single = memcmp(head.magic, rt_cuda_object_magic, sizeof head.magic);
  if (!single &&
      (head.version != 1 || head.units > MAX_UNITS || sizeof head + head.units * sizeof(rt_cuda_unit) > section->bytes))
    return BAD("section '%s': version %u, %u units", section->name, head.version, head.units);
  int count = single ? 1 : (int)head.units;
  WEIR_TRY(weir_pool_array(&c->pool, (size_t)count, sizeof *c->modules, &c->modules));
  for (int i = 0; i < count; i++) {
    rt_cuda_unit unit = {0, section->bytes};
    if (!single) memcpy(&unit, section->data + sizeof head + (size_t)i * sizeof unit, sizeof unit);
    if (unit.offset > section->bytes || unit.bytes > section->bytes - unit.offset || unit.bytes < 64)
      return BAD("section '%s': unit %d is outside", section->name, i);
    const uint8_t *image = section->data + unit.offset;
    if (memcmp(image,
               "\x7f"
               "ELF",
               4) &&
        image[unit.bytes - 1])
      return BAD("section '%s': unit %d is neither a cubin nor text", section->name, i);
    WEIR_TRY_CTX(module_add(c, image), "section '%s'", section->name);
  }
  *out_count = count;
  return WEIR_OK;
}

static weir_status code_load(code *c, const rt_section *object, const rt_section *facts) {
  int units = 0;
  bool products = false;
  WEIR_TRY(rt_cuda_enter(c->device));
  weir_status status = units_load(c, object, &units);
  if (!status) status = facts_read(c, facts, units);
  for (int i = 0; !status && i < c->kernel_count; i++) products |= c->kernels[i].outs > 0;
  if (products) rt_cuda_library_start(c->device);
  rt_cuda_leave(c->device);
  return status;
}

static weir_status code_fill(code *c, const rt_package *package, const rt_package_object *object) {
  char name[RT_PACKAGE_NAME_BYTES + 16];
  snprintf(name, sizeof name, RT_SECTION_OBJECT "%s.facts", object->isa);
  const rt_section *facts = rt_package_find(package, name);
  if (!facts) return BAD("no section '%s'", name);
  WEIR_TRY(rt_package_check(package, object->object));
  WEIR_TRY(rt_package_check(package, facts));
  return code_load(c, object->object, facts);
}

// ---- kernels

static weir_status function_get(rt_cuda_device *d, void *module, rt_cuda_kernel *k) {
  const rt_cuda_driver *driver = &d->driver;
  int result = driver->module_function(&k->function, module, k->name);
  if (result) {
    k->function = NULL;
    return weir_status_annotate(rt_cuda_check(d, result, "code"), "kernel '%s'", k->name);
  }
  // Beyond what every device gives it has to be asked for.
  if (k->static_bytes + k->dynamic_bytes > MAX_STATIC_BYTES)
    result = driver->function_set(k->function, RT_CUDA_FUNCTION_DYNAMIC_SHARED, (int)k->dynamic_bytes);
  if (result) k->function = NULL;
  return weir_status_annotate(rt_cuda_check(d, result, "shared memory"), "kernel '%s'", k->name);
}

static weir_status code_lookup(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  code *c = context;
  int lo = 0, hi = c->kernel_count;
  while (lo < hi) {
    int mid = lo + (hi - lo) / 2;
    if (strcmp(c->kernels[mid].name, kernel->symbol) < 0) lo = mid + 1;
    else hi = mid;
  }
  rt_cuda_kernel *k = lo < c->kernel_count ? &c->kernels[lo] : NULL;
  if (!k || strcmp(k->name, kernel->symbol))
    return weir_status_make(WEIR_CODE_NOT_FOUND, "code object: no kernel '%s'", kernel->symbol);
  if (k->maps && !c->device->driver.map_encode)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "kernel '%s' wants tensor maps, which the driver does not make",
                            k->name);
  for (int i = 0; i < k->maps; i++)
    if (!rt_cuda_map_fits(&k->map[i], kernel->arg_count, kernel->dim_count))
      return BAD("kernel '%s': a tensor map of something else", k->name);
  if (rt_cuda_param_bytes(kernel->arg_count, kernel->dim_count, k->maps, NULL) > RT_CUDA_MAX_PARAM_BYTES)
    return BAD("kernel '%s' has too many parameters", k->name);
  if (!k->function) {
    WEIR_TRY(rt_cuda_enter(c->device));
    weir_status status = function_get(c->device, c->modules[k->unit], k);
    rt_cuda_leave(c->device);
    if (status) return status;
  }
  *out_entry = (rt_kernel_entry){.context = k};
  return WEIR_OK;
}

static weir_status code_make(rt_cuda_device *d, code **out) {
  WEIR_TRY(weir_alloc(d->base.allocator, sizeof **out, 16, true, out));
  (*out)->device = d;
  (*out)->pool.allocator = d->base.allocator;
  return WEIR_OK;
}

static weir_status code_give(code *c, weir_status status, rt_kernel_provider *out_provider) {
  if (status) code_destroy(c);
  else *out_provider = (rt_kernel_provider){.context = c, .lookup = code_lookup, .destroy = code_destroy};
  return status;
}

weir_status rt_cuda_code_from(rt_device *device, const void *data, size_t bytes, const char *facts,
                              rt_kernel_provider *out_provider) {
  rt_section object = {.name = "object", .data = data, .bytes = bytes};
  rt_section text = {.name = "facts", .data = (const uint8_t *)facts, .bytes = strlen(facts)};
  code *c;
  WEIR_TRY(code_make((rt_cuda_device *)device, &c));
  return code_give(c, code_load(c, &object, &text), out_provider);
}

weir_status rt_cuda_code_open(rt_cuda_device *d, const rt_package *package, const char *isa,
                              rt_kernel_provider *out_provider, const char **out_isa) {
  const rt_package_object *object = object_choose(d, package, isa);
  if (!object) return none_fits(d, package, isa);
  code *c;
  WEIR_TRY(code_make(d, &c));
  *out_isa = object->isa;
  return code_give(c, code_fill(c, package, object), out_provider);
}
