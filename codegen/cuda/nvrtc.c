// Finding the library, and one compilation.
#include "codegen/cuda/nvrtc.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

static const char *const file_names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
enum { FILE_NAMES = sizeof file_names / sizeof *file_names, LEAST_MAJOR = 12 };

static void *open_in(weir_arena *arena, const char *folder, const char **out_path) {
  for (int i = 0; i < FILE_NAMES; i++) {
    const char *path = *folder ? weir_arena_printf(arena, "%s/%s", folder, file_names[i]) : file_names[i];
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) continue;
    *out_path = path;
    return library;
  }
  return NULL;
}

// Newest last in the alphabet, so the last match is tried first.
static void *open_matching(weir_arena *arena, const char *pattern, const char **out_path) {
  glob_t found;
  void *library = NULL;
  if (glob(pattern, GLOB_ONLYDIR, NULL, &found)) return NULL;
  for (size_t i = found.gl_pathc; i-- > 0 && !library;) library = open_in(arena, found.gl_pathv[i], out_path);
  globfree(&found);
  return library;
}

static void *open_below(weir_arena *arena, const char *home, const char **out_path) {
  static const char *const folders[] = {"lib64", "lib", "targets/*/lib"};
  void *library = NULL;
  for (int i = 0; i < 3 && !library; i++)
    library = open_matching(arena, weir_arena_printf(arena, "%s/%s", home, folders[i]), out_path);
  return library;
}

static void *open_packages(weir_arena *arena, const char *prefix, const char **out_path) {
  static const char *const folders[] = {"nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"};
  void *library = NULL;
  for (int i = 0; i < 4 && !library; i++)
    library = open_matching(arena,
                            weir_arena_printf(arena, "%s/lib/python3*/%s/%s", prefix,
                                              i / 2 ? "dist-packages" : "site-packages", folders[i % 2]),
                            out_path);
  return library;
}

static void *find(weir_arena *arena, const char **out_path) {
  const char *home = getenv("WEIR_CUDA_HOME"), *user = getenv("HOME"), *environment = getenv("VIRTUAL_ENV");
  if (home && *home) return open_below(arena, home, out_path);
  home = getenv("CUDA_HOME");
  void *library = home && *home ? open_below(arena, home, out_path) : NULL;
  if (!library) library = open_below(arena, "/usr/local/cuda*", out_path);
  if (!library && environment && *environment) library = open_packages(arena, environment, out_path);
  if (!library && user && *user) library = open_packages(arena, weir_arena_printf(arena, "%s/.local", user), out_path);
  if (!library) library = open_packages(arena, "/usr/local", out_path);
  return library ? library : open_in(arena, "", out_path);
}

static bool load(void *library, const char *name, void *out_function) {
  void *function = dlsym(library, name);
  memcpy(out_function, &function, sizeof function);
  return function != NULL;
}

weir_status cg_nvrtc_open(weir_arena *arena, cg_nvrtc *out) {
  *out = (cg_nvrtc){.path = NULL};
  void *library = find(arena, &out->path);
  if (!library)
    return weir_status_make(WEIR_CODE_UNSUPPORTED,
                            "compiling for cuda needs NVRTC (libnvrtc.so), which was not found: install NVIDIA's CUDA "
                            "toolkit 12.8 or later, or `pip install nvidia-cuda-nvrtc`, or set WEIR_CUDA_HOME to the "
                            "folder that holds its lib");
  int (*version)(int *, int *), major = 0, minor = 0;
  bool whole = load(library, "nvrtcVersion", &version) && load(library, "nvrtcCreateProgram", &out->create) &&
               load(library, "nvrtcDestroyProgram", &out->destroy) &&
               load(library, "nvrtcCompileProgram", &out->compile) &&
               load(library, "nvrtcGetProgramLogSize", &out->log_size) &&
               load(library, "nvrtcGetProgramLog", &out->log) && load(library, "nvrtcGetCUBINSize", &out->cubin_size) &&
               load(library, "nvrtcGetCUBIN", &out->cubin) && load(library, "nvrtcGetPTXSize", &out->ptx_size) &&
               load(library, "nvrtcGetPTX", &out->ptx) && load(library, "nvrtcGetErrorString", &out->error_text);
  if (!whole || version(&major, &minor) || major < LEAST_MAJOR)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "'%s' is no NVRTC of version %d or later", out->path, LEAST_MAJOR);
  out->version = weir_arena_printf(arena, "NVRTC %d.%d", major, minor);
  out->major = major;
  return WEIR_OK;
}

static weir_status fetch(const cg_nvrtc *n, void *program, bool ptx, cg_nvrtc_result *out) {
  size_t bytes = 0;
  if ((ptx ? n->ptx_size : n->cubin_size)(program, &bytes) || !bytes)
    return weir_status_make(WEIR_CODE_INTERNAL, "NVRTC made no code");
  out->code = malloc(bytes);
  if (!out->code) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes of code", bytes);
  out->bytes = bytes;
  if ((ptx ? n->ptx : n->cubin)(program, out->code)) return weir_status_make(WEIR_CODE_INTERNAL, "NVRTC gives no code");
  return WEIR_OK;
}

static weir_status compile(const cg_nvrtc *n, void *program, const char *const *options, int count, bool ptx,
                           cg_nvrtc_result *out) {
  int result = n->compile(program, count, options);
  size_t bytes = 0;
  if (n->log_size(program, &bytes)) bytes = 0;
  out->log = calloc(bytes + 1, 1);
  if (!out->log) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for the compiler's messages");
  if (bytes > 1 && n->log(program, out->log)) out->log[0] = 0;
  if (result == 0) return fetch(n, program, ptx, out);
  enum { COMPILATION = 6, INVALID_OPTION = 5 };
  if (result == COMPILATION) return WEIR_OK;
  return weir_status_make(result == INVALID_OPTION ? WEIR_CODE_UNSUPPORTED : WEIR_CODE_INTERNAL, "%s of '%s': %s %s",
                          n->version, n->path, n->error_text(result), out->log);
}

weir_status cg_nvrtc_compile(const cg_nvrtc *n, const char *source, const char *name, const char *const *options,
                             int count, bool ptx, cg_nvrtc_result *out) {
  *out = (cg_nvrtc_result){NULL, 0, NULL};
  void *program = NULL;
  int result = n->create(&program, source, name, 0, NULL, NULL);
  if (result) return weir_status_make(WEIR_CODE_INTERNAL, "NVRTC: %s", n->error_text(result));
  weir_status status = compile(n, program, options, count, ptx, out);
  n->destroy(&program);
  return status;
}

void cg_nvrtc_result_release(cg_nvrtc_result *result) {
  free(result->code);
  free(result->log);
  *result = (cg_nvrtc_result){NULL, 0, NULL};
}
