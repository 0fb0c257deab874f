// Kernels of a foreign architecture, run by a kernel_runner under an emulator (tests/tools/kernel_runner.h).
//
// WEIR_RUNNER_aarch64 and WEIR_EMULATOR_aarch64 are defined where CMake found a cross compiler and an emulator.
#ifndef WEIR_TESTS_CPU_REMOTE_H
#define WEIR_TESTS_CPU_REMOTE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/cpu/isa.h"
#include "codegen/cpu/print.h"
#include "tests/tools/kernel_runner.h"

typedef struct {
  pid_t pid;
  FILE *to, *from;
} cpu_remote;

// The emulated processor that has what a level needs and nothing newer; null: this level cannot be run here.
static inline const char *cpu_remote_processor(const cg_cpu_isa *isa) {
#ifdef WEIR_RUNNER_aarch64
  if (!strcmp(isa->name, "aarch64")) return "cortex-a53";
  if (!strcmp(isa->name, "aarch64-dotprod")) return "neoverse-n1";
  if (!strcmp(isa->name, "aarch64-i8mm")) return "max";
#endif
  (void)isa;
  return NULL;
}

static inline bool cpu_remote_start(cpu_remote *remote, const cg_cpu_isa *isa, const char *object) {
#ifdef WEIR_RUNNER_aarch64
  static const char emulator[] = WEIR_EMULATOR_aarch64, root[] = WEIR_ROOT_aarch64, runner[] = WEIR_RUNNER_aarch64;
#else
  static const char emulator[] = "", root[] = "", runner[] = "";
#endif
  int in[2], out[2];
  // Not inherited by the runners of other levels, which would keep it open.
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) return false;
  remote->pid = fork();
  if (remote->pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execl(emulator, emulator, "-cpu", cpu_remote_processor(isa), "-L", root, runner, object, (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  remote->to = fdopen(in[1], "wb");
  remote->from = fdopen(out[0], "rb");
  return remote->pid > 0 && remote->to && remote->from;
}

static inline void cpu_remote_stop(cpu_remote *remote) {
  if (remote->to) fclose(remote->to);
  if (remote->from) fclose(remote->from);
  if (remote->pid > 0) waitpid(remote->pid, NULL, 0);
}

static inline int64_t cpu_extent(const ir_kexpr *e, const int64_t *dims) {
  if (e->op == IR_K_const) return e->i;
  if (e->op == IR_K_size) return dims[e->index];
  int64_t a = cpu_extent(e->args[0], dims), b = e->arg_count > 1 ? cpu_extent(e->args[1], dims) : 0;
  switch (e->op) {
    case IR_K_add:
      return a + b;
    case IR_K_sub:
      return a - b;
    case IR_K_mul:
      return a * b;
    case IR_K_div:
      return b > 0 ? a / b : 0;
    case IR_K_min:
      return a < b ? a : b;
    case IR_K_max:
      return a > b ? a : b;
    default:
      return -1;
  }
}

// |tables|: the pointers behind an argument that is a table, and the bytes behind each.
static inline bool cpu_remote_shape(const ir_kernel *k, int arg, const int64_t *dims, const runner_arg *tables,
                                    runner_arg *out) {
  *out = (runner_arg){.count = 1};
  for (int i = 0; i < k->buffer_count; i++) {
    const ir_kbuffer *b = &k->buffers[i];
    if (b->arg != arg) continue;
    if (b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT) *out = *tables;
    else out->bytes = cpu_extent(b->bytes, dims) > out->bytes ? cpu_extent(b->bytes, dims) : out->bytes;
  }
  return out->bytes >= 0;
}

static inline bool cpu_remote_run(cpu_remote *remote, const ir_kernel *k, void *const *args, const int64_t *dims,
                                  int64_t begin, int64_t end, int64_t scratch, const runner_arg *tables) {
  char name[RUNNER_NAME_BYTES] = "";
  runner_call call = {begin, end, scratch, k->arg_count, k->size_count};
  runner_arg shapes[RUNNER_MOST];
  snprintf(name, sizeof name, "%s", k->name);
  fwrite(&call, sizeof call, 1, remote->to);
  fwrite(name, sizeof name, 1, remote->to);
  fwrite(dims, sizeof *dims, (size_t)k->size_count, remote->to);
  for (int i = 0; i < k->arg_count; i++) {
    if (!cpu_remote_shape(k, i, dims, tables, &shapes[i])) return false;
    fwrite(&shapes[i], sizeof shapes[i], 1, remote->to);
    void *const *parts = shapes[i].table ? args[i] : &args[i];
    for (int64_t p = 0; p < shapes[i].count; p++) fwrite(parts[p], 1, (size_t)shapes[i].bytes, remote->to);
  }
  int32_t failed = 1;
  if (fflush(remote->to) || fread(&failed, sizeof failed, 1, remote->from) != 1) return false;
  for (int i = 0; i < k->arg_count; i++) {
    void *const *parts = shapes[i].table ? args[i] : &args[i];
    for (int64_t p = 0; p < shapes[i].count; p++)
      if (fread(parts[p], 1, (size_t)shapes[i].bytes, remote->from) != (size_t)shapes[i].bytes) return false;
  }
  return !failed;
}

#endif
