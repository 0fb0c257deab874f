// The few entries of NVML that are read. A device that does not answer a question leaves that answer open.
#include "runtime/device/cuda/nvml.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_BYTES = 96, TEMPERATURE_GPU = 0, CLOCK_SM = 1 };

typedef struct {
  unsigned gpu, memory;
} utilisation;

typedef struct {
  unsigned long long total, free, used;
} memory_info;

#define ENTRIES(ENTRY)                                                      \
  ENTRY(init, "nvmlInit_v2", (void))                                        \
  ENTRY(shutdown, "nvmlShutdown", (void))                                   \
  ENTRY(version, "nvmlSystemGetDriverVersion", (char *, unsigned))          \
  ENTRY(device, "nvmlDeviceGetHandleByIndex_v2", (unsigned, void **))       \
  ENTRY(power, "nvmlDeviceGetPowerUsage", (void *, unsigned *))             \
  ENTRY(temperature, "nvmlDeviceGetTemperature", (void *, int, unsigned *)) \
  ENTRY(load, "nvmlDeviceGetUtilizationRates", (void *, utilisation *))     \
  ENTRY(memory, "nvmlDeviceGetMemoryInfo", (void *, memory_info *))         \
  ENTRY(clock, "nvmlDeviceGetClockInfo", (void *, int, unsigned *))

struct rt_nvml {
  void *library;
#define ENTRY(field, symbol, parameters) int(*field) parameters;
  ENTRIES(ENTRY)
#undef ENTRY
  char text[VERSION_BYTES];
};

weir_status rt_nvml_open(rt_nvml **out_nvml) {
  const char *named = getenv("WEIR_NVML");
  const char *path = named && *named ? named : "libnvidia-ml.so.1";
  rt_nvml *n;
  WEIR_TRY(weir_alloc(weir_allocator_system(), sizeof *n, 16, true, &n));
  n->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  weir_status status = n->library ? WEIR_OK : weir_status_make(WEIR_CODE_NOT_FOUND, "no NVML: %s", dlerror());
  const struct {
    const char *symbol;
    size_t offset;
  } entries[] = {
#define ENTRY(field, symbol, parameters) {symbol, offsetof(rt_nvml, field)},
      ENTRIES(ENTRY)
#undef ENTRY
  };
  for (size_t i = 0; !status && i < sizeof entries / sizeof entries[0]; i++) {
    void *address = dlsym(n->library, entries[i].symbol);
    if (!address) status = weir_status_make(WEIR_CODE_UNSUPPORTED, "'%s' has no '%s'", path, entries[i].symbol);
    memcpy((char *)n + entries[i].offset, &address, sizeof address);
  }
  int code = status ? 0 : n->init();
  if (code) status = weir_status_make(WEIR_CODE_UNSUPPORTED, "'%s' does not start: error %d", path, code);
  if (status) {
    if (n->library) dlclose(n->library);
    weir_free(weir_allocator_system(), n, sizeof *n);
    return status;
  }
  if (n->version(n->text, sizeof n->text)) n->text[0] = 0;
  *out_nvml = n;
  return WEIR_OK;
}

void rt_nvml_close(rt_nvml *n) {
  if (!n) return;
  (void)n->shutdown();
  dlclose(n->library);
  weir_free(weir_allocator_system(), n, sizeof *n);
}

const char *rt_nvml_version(const rt_nvml *n) { return n->text; }

weir_status rt_nvml_read(const rt_nvml *n, int ordinal, rt_nvml_reading *out_reading) {
  void *device;
  unsigned value;
  utilisation load;
  memory_info memory;
  rt_nvml_reading r = {-1, -1, -1, -1, -1, -1, -1};
  if (ordinal < 0 || n->device((unsigned)ordinal, &device))
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "NVML has no device %d", ordinal);
  if (!n->power(device, &value)) r.watts = value / 1000.0;
  if (!n->temperature(device, TEMPERATURE_GPU, &value)) r.celsius = (int)value;
  if (!n->clock(device, CLOCK_SM, &value)) r.clock_mhz = (int)value;
  if (!n->load(device, &load)) r.load = (int)load.gpu, r.memory_load = (int)load.memory;
  if (!n->memory(device, &memory)) r.used = (int64_t)memory.used, r.total = (int64_t)memory.total;
  *out_reading = r;
  return WEIR_OK;
}
