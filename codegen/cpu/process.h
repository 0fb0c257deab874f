// Child processes of the CPU target: the C compiler is started directly, with its messages in a file.
#ifndef WEIR_CODEGEN_CPU_PROCESS_H
#define WEIR_CODEGEN_CPU_PROCESS_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct {
  const char **args;         // null after the last; args[0] is a path
  const char *output_path;   // of stdout; null: none
  const char *message_path;  // of stderr
  int exit_code;             // out: -1 if it did not run or was killed
} cg_process;

typedef struct {
  int at_once;
  const int *cancel;                     // may be null
  void (*ended)(void *user, int index);  // a process came to its own end; may be null
  void *user;
} cg_process_options;

// Starts all in order, at most |at_once| at the same time, the next as soon as any has ended, and waits for those that
// were started. IO if one cannot be started or waited for. CANCELLED once |*cancel| is not 0: those that run are ended,
// with their own children, and waited for.
weir_status cg_processes_run(cg_process *processes, int count, const cg_process_options *options) WEIR_MUST_USE;

// The words of the compiler for |arch| ("x86_64", "aarch64"). For this machine's: $CC, else the first of cc, gcc and
// clang on PATH. For others: $WEIR_CC_ARCH, else ARCH-linux-gnu-gcc on PATH. UNSUPPORTED, saying what to install, if
// there is none.
weir_status cg_compiler_find(weir_arena *arena, const char *arch, const char ***out_words,
                             int *out_count) WEIR_MUST_USE;

#endif
