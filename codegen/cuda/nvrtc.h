// NVRTC, the compiler library of CUDA, opened at run time: nothing is linked and no header of the toolkit is included.
//
// It is looked for in $WEIR_CUDA_HOME (alone, where that is set), $CUDA_HOME, /usr/local/cuda*, the folders where pip
// puts NVIDIA's packages, and by the loader. A library once opened stays loaded. Compiling is safe from several
// threads.
#ifndef WEIR_CODEGEN_CUDA_NVRTC_H
#define WEIR_CODEGEN_CUDA_NVRTC_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct {
  const char *path;     // of the library; arena
  const char *version;  // "NVRTC 13.0"; arena
  int major;
  // Entry points as the library declares them; a program is an opaque pointer, results are 0 for success.
  int (*create)(void **program, const char *source, const char *name, int headers, const char *const *texts,
                const char *const *names);
  int (*destroy)(void **program);
  int (*compile)(void *program, int count, const char *const *options);
  int (*log_size)(void *program, size_t *bytes);
  int (*log)(void *program, char *text);
  int (*cubin_size)(void *program, size_t *bytes);
  int (*cubin)(void *program, char *code);
  int (*ptx_size)(void *program, size_t *bytes);
  int (*ptx)(void *program, char *code);
  const char *(*error_text)(int result);
} cg_nvrtc;

typedef struct {
  char *code;  // malloc; null where it was refused
  size_t bytes;
  char *log;  // malloc; what the compiler and ptxas said
} cg_nvrtc_result;

// UNSUPPORTED, saying what to install, if it is not found or too old (12.0).
weir_status cg_nvrtc_open(weir_arena *arena, cg_nvrtc *out) WEIR_MUST_USE;
// A refusal of the source is no failure: |code| is null then. OUT_OF_MEMORY, UNSUPPORTED (an architecture that this
// version does not know), INTERNAL.
weir_status cg_nvrtc_compile(const cg_nvrtc *library, const char *source, const char *name, const char *const *options,
                             int option_count, bool ptx, cg_nvrtc_result *out) WEIR_MUST_USE;
void cg_nvrtc_result_release(cg_nvrtc_result *result);

#endif
