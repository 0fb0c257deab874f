// weir doctor: what this machine has, and what is missing and why that matters.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "codegen/cpu/isa.h"
#include "codegen/cuda/nvrtc.h"
#include "compiler/driver/roof.h"
#include "compiler/driver/standalone.h"
#include "compiler/driver/zoo.h"
#include "compiler/plan/home.h"
#include "compiler/plan/version.h"
#include "runtime/device/cpu/features.h"
#include "runtime/device/cuda/device.h"
#include "runtime/device/cuda/library.h"
#include "runtime/device/cuda/nvml.h"

typedef struct {
  cli *c;
  json_t *checks;
  int missing;  // things without which something that was built does not work
} examination;

typedef enum { FINE, ABSENT, WRONG } finding;

static void add(examination *e, finding state, const char *what, const char *text, const char *advice) {
  static const char *const states[] = {"ok", "absent", "missing"};
  static const char *const marks[] = {"ok", "--", "!!"};
  e->missing += state == WRONG;
  json_array_append_new(
      e->checks, json_pack("{s:s,s:s,s:s,s:s}", "what", what, "state", states[state], "text", text, "advice", advice));
  if (e->c->json) return;
  printf("%-3s %-20s %s\n", marks[state], what, text);
  if (*advice) printf("%-24s %s\n", "", advice);
}

// Where a program lies on PATH, or null.
static const char *find_program(weir_arena *arena, const char *name) {
  for (const char *at = getenv("PATH"); at && *at;) {
    size_t length = strcspn(at, ":");
    const char *path = weir_arena_printf(arena, "%.*s/%s", (int)length, at, name);
    if (access(path, X_OK) == 0 && weir_file_exists(path)) return path;
    at += length + (at[length] == ':');
  }
  return NULL;
}

// First line of what a program says. The command line is ours, not the user's.
static const char *first_line(weir_arena *arena, const char *command) {
  FILE *pipe = popen(command, "r");
  char line[256] = "";
  if (pipe && !fgets(line, sizeof line, pipe)) line[0] = 0;
  int state = pipe ? pclose(pipe) : -1;
  return state == 0 && *line ? weir_arena_strndup(arena, line, strcspn(line, "\n")) : NULL;
}

static void examine_compiler(examination *e) {
  weir_arena *arena = &e->c->arena;
  const char *chosen = getenv("CC");
  static const char *const names[] = {"cc", "gcc", "clang"};
  const char *path = NULL;
  if (chosen && *chosen) path = find_program(arena, weir_arena_strndup(arena, chosen, strcspn(chosen, " ")));
  for (int i = 0; i < 3 && !path; i++) path = find_program(arena, names[i]);
  const char *version = path ? first_line(arena, weir_arena_printf(arena, "'%s' --version 2>/dev/null", path)) : NULL;
  if (version) add(e, FINE, "C compiler", weir_arena_printf(arena, "%s: %s", path, version), "");
  else
    add(e, WRONG, "C compiler", "none",
        "building packages needs one: install gcc or clang, or set CC; packages run without");
}

// Whether this machine runs code of a level, and what it lacks.
static void examine_level(examination *e, const char *name) {
  weir_arena *arena = &e->c->arena;
  const char *target = weir_arena_printf(arena, "cpu:%s", name);
  cg_cpu_isa isa;
  weir_status status = cg_cpu_isa_find(arena, target, &isa);
  char why[512] = "";
  if (status) snprintf(why, sizeof why, "%s", weir_status_message(status));
  else if (strcmp(isa.arch, cg_cpu_arch_here()))
    snprintf(why, sizeof why, "code for %s, this is %s", isa.arch, cg_cpu_arch_here());
  else rt_cpu_why_not(isa.features, why, sizeof why);
  weir_status_release(status);
  if (*why) add(e, ABSENT, target, weir_arena_printf(arena, "no: %s", why), "");
  else add(e, FINE, target, "yes", "");
}

static void examine_cpu(examination *e) {
  weir_arena *arena = &e->c->arena;
  json_t *machine = cli_machine_json();
  const char *best = json_string_value(json_object_get(machine, "best_isa"));
  long long memory = json_integer_value(json_object_get(machine, "memory_bytes"));
  add(e, FINE, "processor",
      weir_arena_printf(arena, "%s, %lld cores, best level %s", json_string_value(json_object_get(machine, "cpu")),
                        (long long)json_integer_value(json_object_get(machine, "cores")), best ? best : ""),
      "");
  add(e, FINE, "memory", cli_bytes(arena, (double)memory), "");
  json_decref(machine);
  for (const char *const *name = cg_cpu_isa_names(); *name; name++) examine_level(e, *name);
}

static void examine_library(examination *e, const char *what, const char *const *names, int count, const char *advice) {
  for (int i = 0; i < count; i++) {
    void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    if (!library) continue;
    dlclose(library);
    add(e, FINE, what, names[i], "");
    return;
  }
  add(e, ABSENT, what, "not here", advice);
}

static void examine_gpu(examination *e, const rt_cuda_driver *driver, const rt_nvml *nvml, int ordinal) {
  weir_arena *arena = &e->c->arena;
  const char *name = weir_arena_printf(arena, "cuda:%d", ordinal);
  rt_cuda_facts facts;
  rt_nvml_reading now;
  weir_status status = rt_cuda_describe(driver, ordinal, &facts);
  if (status) {
    add(e, ABSENT, name, weir_status_message(status), "");
    weir_status_release(status);
    return;
  }
  const char *text =
      weir_arena_printf(arena, "%s, %s, %s", facts.name, facts.arch, cli_bytes(arena, (double)facts.memory));
  status = nvml ? rt_nvml_read(nvml, ordinal, &now) : WEIR_OK;
  if (nvml && !status) {
    text = weir_arena_printf(arena, "%s; %.0f W, %d C, %d %% busy, %s used", text, now.watts, now.celsius, now.load,
                             cli_bytes(arena, (double)now.used));
  }
  weir_status_release(status);
  add(e, FINE, name, text, "");
}

static void examine_cuda(examination *e) {
  weir_arena *arena = &e->c->arena;
  rt_cuda_driver driver = {0};
  rt_nvml *nvml = NULL;
  int count = 0;
  weir_status status = rt_nvml_open(&nvml);
  if (!status) add(e, FINE, "NVML", weir_arena_printf(arena, "display driver %s", rt_nvml_version(nvml)), "");
  else add(e, ABSENT, "NVML", weir_status_message(status), "nothing is read of power and temperature of GPUs");
  weir_status_release(status);
  status = rt_cuda_driver_open(&driver);
  if (status) {
    add(e, ABSENT, "CUDA driver", weir_status_message(status), "everything runs on the processor; --device sim too");
    weir_status_release(status);
  } else {
    if (driver.device_count(&count)) count = 0;
    add(e, FINE, "CUDA driver",
        weir_arena_printf(arena, "%s, CUDA %d.%d, %d %s", driver.path, driver.version / 1000,
                          driver.version % 1000 / 10, count, count == 1 ? "device" : "devices"),
        count ? "" : "no GPU is seen: everything runs on the processor");
  }
  for (int i = 0; i < count; i++) examine_gpu(e, &driver, nvml, i);
  rt_cuda_driver_close(&driver);
  rt_nvml_close(nvml);
}

static void examine_cublaslt(examination *e) {
  static const char cost[] = "products on GPUs are Weir's own kernels alone";
  rt_cuda_library library;
  weir_status status = rt_cuda_library_open(&library);
  if (!status) {
    add(e, FINE, "cuBLASLt",
        weir_arena_printf(&e->c->arena, "%s, %ld.%ld.%ld", library.path, library.version / 10000,
                          library.version / 100 % 100, library.version % 100),
        "");
    rt_cuda_library_close(&library);
    return;
  }
  bool absent = weir_status_code(status) == WEIR_CODE_NOT_FOUND;
  add(e, ABSENT, "cuBLASLt", absent ? "not here" : weir_arena_strdup(&e->c->arena, weir_status_message(status)), cost);
  weir_status_release(status);
}

static void examine_nvrtc(examination *e) {
  cg_nvrtc library;
  weir_status status = cg_nvrtc_open(&e->c->arena, &library);
  if (!status) {
    add(e, FINE, "NVRTC", weir_arena_printf(&e->c->arena, "%s: %s", library.path, library.version), "");
    return;
  }
  add(e, ABSENT, "NVRTC", weir_status_message(status),
      "packages with code for GPUs run, but none is built here; sim is");
  weir_status_release(status);
}

static void examine_devices(examination *e) {
  static const char *const mpi[] = {"libmpi.so.40", "libmpi.so.12", "libmpi.so"};
  examine_cuda(e);
  examine_nvrtc(e);
  examine_cublaslt(e);
  examine_library(e, "MPI", mpi, 3, "one machine is used");
}

// What goes with packages beside building them.
static void examine_packages(examination *e) {
  const char *library = cli_standalone_library(e->c);
  add(e, FINE, "signatures", weir_arena_printf(&e->c->arena, "ed25519, libsodium %s", sodium_version_string()), "");
  if (library) add(e, FINE, "standalone", library, "");
  else
    add(e, ABSENT, "standalone", "no libweir_standalone.a",
        "weir build --standalone needs it; it is built where static jansson, pcre2, utf8proc and sodium are");
}

static void examine_python(examination *e) {
  weir_arena *arena = &e->c->arena;
  const char *version =
      find_program(arena, "python3") ? first_line(arena, "python3 -m pip --version 2>/dev/null") : NULL;
  if (version) add(e, FINE, "pip", version, "");
  else add(e, WRONG, "pip", "none", "weir pull needs python3 with pip; models whose weights you have run without");
}

static int64_t folder_bytes(const char *path, int depth) {
  int64_t bytes = 0;
  DIR *listing = depth < 6 ? opendir(path) : NULL;
  for (struct dirent *entry; listing && (entry = readdir(listing));) {
    struct stat info;
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (fstatat(dirfd(listing), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    char inner[4096];
    if (S_ISREG(info.st_mode)) bytes += info.st_size;
    else if (S_ISDIR(info.st_mode) && snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner)
      bytes += folder_bytes(inner, depth + 1);
  }
  if (listing) closedir(listing);
  return bytes;
}

static void examine_cache(examination *e) {
  weir_arena *arena = &e->c->arena;
  const char *home = NULL;
  struct statvfs disk;
  weir_status status = plan_home(arena, &home);
  if (status) {
    add(e, WRONG, "cache", weir_status_message(status), "set WEIR_HOME to a folder that can be written");
    weir_status_release(status);
    return;
  }
  double left = statvfs(home, &disk) == 0 ? (double)disk.f_bavail * (double)disk.f_frsize : 0;
  const char *text = weir_arena_printf(arena, "%s: %s used, %s free", home,
                                       cli_bytes(arena, (double)folder_bytes(home, 0)), cli_bytes(arena, left));
  if (access(home, W_OK) != 0) add(e, WRONG, "cache", text, "it cannot be written: set WEIR_HOME to another folder");
  else if (left < 1e9) add(e, WRONG, "cache", text, "less than 1 GB is free; deleting the folder is safe");
  else add(e, FINE, "cache", text, "");
}

static void examine_zoo(examination *e) {
  weir_arena *arena = &e->c->arena;
  zoo z;
  weir_status status = zoo_read(e->c, &z);
  if (status) {
    add(e, WRONG, "zoo", weir_status_message(status), "set WEIR_MODELS to the folder of models");
    weir_status_release(status);
    return;
  }
  const char *text = "";
  for (int i = 0; i < z.count; i++)
    text = weir_arena_printf(arena, "%s%s%s%s", text, i ? ", " : "", z.models[i].name,
                             zoo_is_here(&z.models[i]) ? " (here)" : "");
  add(e, FINE, "zoo", text, "");
}

int cmd_doctor(cli *c) {
  if (!cli_arguments(c, 0, 0)) return CLI_USAGE;
  examination e = {.c = c, .checks = json_array()};
  add(&e, FINE, "weir", WEIR_VERSION, "");
  examine_cpu(&e);
  examine_compiler(&e);
  examine_packages(&e);
  examine_devices(&e);
  examine_python(&e);
  examine_cache(&e);
  examine_zoo(&e);
  if (c->json) {
    int code = cli_json(
        c, json_pack("{s:s,s:o,s:o}", "version", WEIR_VERSION, "machine", cli_machine_json(), "checks", e.checks));
    return code ? code : e.missing ? CLI_WORLD : CLI_DONE;
  }
  json_decref(e.checks);
  return e.missing ? CLI_WORLD : CLI_DONE;
}
