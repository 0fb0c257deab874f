// Fibers: stacks and the switch between them.
//
// A switch saves what the calling convention asks a function to keep, changes the stack and returns: some nanoseconds.
// Where no assembly is written for the machine, ucontext does the same with system calls. Fibers stay on the host
// thread that began them. A fiber that is never resumed needs no cleaning up: what runs on it owns nothing.
#ifndef WEIR_RUNTIME_DEVICE_SIM_FIBER_H
#define WEIR_RUNTIME_DEVICE_SIM_FIBER_H

#include <stddef.h>

#include "runtime/base/status.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#define RT_SIM_UCONTEXT 1
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define RT_SIM_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define RT_SIM_TSAN 1
#endif

// Where a stack stands while something else runs.
typedef struct {
  void *sp;
#ifdef RT_SIM_UCONTEXT
  ucontext_t context;
#endif
#ifdef RT_SIM_ASAN
  void *fake;
  const void *bottom;
  size_t bytes;
#endif
#ifdef RT_SIM_TSAN
  void *tsan;
#endif
} rt_sim_context;

typedef struct rt_sim_stack rt_sim_stack;
struct rt_sim_stack {
  rt_sim_stack *next;  // in the pool
  char *low;           // the lowest byte; below it lies a page that may not be touched
  rt_sim_context context;
};

enum { RT_SIM_STACK_BYTES = 256 * 1024 };

typedef struct {
  rt_sim_stack *free;
  struct rt_sim_stack_chunk *chunks;
  rt_sim_context host;
} rt_sim_fibers;

void rt_sim_fibers_init(rt_sim_fibers *fibers);
void rt_sim_fibers_deinit(rt_sim_fibers *fibers);
// A stack from the pool, null when there is no memory.
rt_sim_stack *rt_sim_stack_take(rt_sim_fibers *fibers);
void rt_sim_stack_give(rt_sim_fibers *fibers, rt_sim_stack *stack);
// Makes |stack| enter |main(argument)| when it is first resumed. |main| must not return.
void rt_sim_stack_begin(rt_sim_stack *stack, void (*main)(void *argument), void *argument);
// From the host to a fiber and back.
void rt_sim_resume(rt_sim_fibers *fibers, rt_sim_stack *stack);
void rt_sim_suspend(rt_sim_fibers *fibers, rt_sim_stack *stack);
// What |main| calls first.
void rt_sim_entered(rt_sim_fibers *fibers);

#endif
