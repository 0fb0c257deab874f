// Calls kernels of a shared object for a test that runs on another architecture: compiled for the object's, started
// under an emulator, spoken to over standard input and output (tests/unit/codegen/cpu_remote.h).
//
// A call is a header, the symbol, the sizes and the arguments, each with its bytes; the answer is 0 or 1 (the kernel
// wrote past its scratch, or there is no such symbol) and the arguments' bytes as the kernel left them.
#include "tests/tools/kernel_runner.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*kernel_fn)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch);

static void get(void *data, size_t bytes) {
  if (bytes && fread(data, bytes, 1, stdin) != 1) exit(0);
}

static void put(const void *data, size_t bytes) {
  if (bytes && fwrite(data, bytes, 1, stdout) != 1) exit(2);
}

// Memory of |bytes|, at a multiple of 64.
static uint8_t *memory(int64_t bytes) {
  uint8_t *data = aligned_alloc(64, ((size_t)bytes + 127) / 64 * 64);
  if (!data) exit(2);
  return data;
}

typedef struct {
  runner_arg shape;
  uint8_t **parts;  // one, or as many as a table has
} argument;

static void arguments_get(argument *arguments, void **args, int count) {
  for (int i = 0; i < count; i++) {
    get(&arguments[i].shape, sizeof arguments[i].shape);
    int64_t parts = arguments[i].shape.count;
    arguments[i].parts = calloc((size_t)parts + 1, sizeof(uint8_t *));
    for (int64_t k = 0; k < parts; k++) {
      arguments[i].parts[k] = memory(arguments[i].shape.bytes);
      get(arguments[i].parts[k], (size_t)arguments[i].shape.bytes);
    }
    args[i] = arguments[i].shape.table ? (void *)arguments[i].parts : arguments[i].parts[0];
  }
}

static void arguments_put(argument *arguments, int count) {
  for (int i = 0; i < count; i++) {
    for (int64_t k = 0; k < arguments[i].shape.count; k++) {
      put(arguments[i].parts[k], (size_t)arguments[i].shape.bytes);
      free(arguments[i].parts[k]);
    }
    free(arguments[i].parts);
  }
}

static void serve(void *object, const runner_call *call) {
  char name[RUNNER_NAME_BYTES];
  int64_t dims[RUNNER_MOST];
  argument arguments[RUNNER_MOST];
  void *args[RUNNER_MOST];
  get(name, sizeof name);
  get(dims, (size_t)call->dim_count * sizeof *dims);
  arguments_get(arguments, args, call->arg_count);
  void *symbol = dlsym(object, name);
  int32_t failed = !symbol;
  uint8_t *scratch = memory(call->scratch_bytes + 64);
  memset(scratch, 0xAB, (size_t)call->scratch_bytes + 64);
  kernel_fn fn;
  memcpy(&fn, &symbol, sizeof fn);
  if (fn) fn(args, dims, call->begin, call->end, scratch);
  for (int i = 0; i < 64; i++) failed |= scratch[call->scratch_bytes + i] != 0xAB;
  free(scratch);
  put(&failed, sizeof failed);
  arguments_put(arguments, call->arg_count);
  fflush(stdout);
}

int main(int argc, char **argv) {
  void *object = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!object) {
    fprintf(stderr, "kernel_runner: %s\n", argc == 2 ? dlerror() : "it needs the path of an object");
    return 2;
  }
  for (runner_call call;;) {
    get(&call, sizeof call);
    if (call.arg_count < 0 || call.arg_count > RUNNER_MOST || call.dim_count < 0 || call.dim_count > RUNNER_MOST)
      return 2;
    serve(object, &call);
  }
}
