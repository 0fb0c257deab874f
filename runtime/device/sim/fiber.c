// Fibers: stacks in chunks of 32 with a guard page below each, and the switch in assembly.
//
// The sanitizers are told of every switch, else they take one stack for another. See fiber.h.
#include "runtime/device/sim/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef RT_SIM_ASAN
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t bytes);
void __sanitizer_finish_switch_fiber(void *fake, const void **old_bottom, size_t *old_bytes);
void __asan_unpoison_memory_region(const volatile void *at, size_t bytes);
#endif
#ifdef RT_SIM_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

enum { CHUNK = 32, GUARD = 4096 };

struct rt_sim_stack_chunk {
  struct rt_sim_stack_chunk *next;
  void *memory;
  rt_sim_stack stacks[CHUNK];
};

// rt_sim_switch(&from, to): pushes the registers that a callee keeps, stores the stack pointer in |from|, takes |to|,
// pops and returns there. A new stack looks as if it had been left at the start of rt_sim_start.
#if defined(__x86_64__)
__asm__(
    ".text\n.p2align 4\n.globl rt_sim_switch, rt_sim_start\n.hidden rt_sim_switch, rt_sim_start\n"
    ".type rt_sim_switch, @function\nrt_sim_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
    ".size rt_sim_switch, .-rt_sim_switch\n"
    ".type rt_sim_start, @function\nrt_sim_start:\n  movq %r12, %rdi\n  callq *%r13\n  ud2\n"
    ".size rt_sim_start, .-rt_sim_start\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n.p2align 4\n.globl rt_sim_switch, rt_sim_start\n.hidden rt_sim_switch, rt_sim_start\n"
    ".type rt_sim_switch, @function\nrt_sim_switch:\n"
    "  sub sp, sp, #160\n  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n  ret\n"
    ".size rt_sim_switch, .-rt_sim_switch\n"
    ".type rt_sim_start, @function\nrt_sim_start:\n  mov x0, x19\n  blr x20\n  brk #0\n"
    ".size rt_sim_start, .-rt_sim_start\n");
#endif
#ifndef RT_SIM_UCONTEXT
// Hidden, not local: the address of a local symbol that is loaded from a table loses its offset on aarch64.
__attribute__((visibility("hidden"))) void rt_sim_switch(void **from, void *to);
__attribute__((visibility("hidden"))) void rt_sim_start(void);
#endif

void rt_sim_fibers_init(rt_sim_fibers *fibers) {
  *fibers = (rt_sim_fibers){0};
#ifdef RT_SIM_TSAN
  fibers->host.tsan = __tsan_get_current_fiber();
#endif
}

void rt_sim_fibers_deinit(rt_sim_fibers *fibers) {
  while (fibers->chunks) {
    struct rt_sim_stack_chunk *chunk = fibers->chunks;
    fibers->chunks = chunk->next;
#ifdef RT_SIM_TSAN
    for (int i = 0; i < CHUNK; i++) {
      if (chunk->stacks[i].context.tsan) __tsan_destroy_fiber(chunk->stacks[i].context.tsan);
    }
#endif
    munmap(chunk->memory, CHUNK * (size_t)(RT_SIM_STACK_BYTES + GUARD));
    free(chunk);
  }
}

static bool stacks_add(rt_sim_fibers *fibers) {
  const size_t each = RT_SIM_STACK_BYTES + GUARD;
  struct rt_sim_stack_chunk *chunk = calloc(1, sizeof(*chunk));
  if (!chunk) return false;
  char *memory = mmap(NULL, CHUNK * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    free(chunk);
    return false;
  }
  chunk->memory = memory;
  chunk->next = fibers->chunks;
  fibers->chunks = chunk;
  for (int i = CHUNK - 1; i >= 0; i--) {
    rt_sim_stack *stack = &chunk->stacks[i];
    // A guard that the system refuses is a guard less; the stack serves without.
    (void)mprotect(memory + (size_t)i * each, GUARD, PROT_NONE);
    stack->low = memory + (size_t)i * each + GUARD;
    stack->next = fibers->free;
    fibers->free = stack;
  }
  return true;
}

rt_sim_stack *rt_sim_stack_take(rt_sim_fibers *fibers) {
  if (!fibers->free && !stacks_add(fibers)) return NULL;
  rt_sim_stack *stack = fibers->free;
  fibers->free = stack->next;
  return stack;
}

void rt_sim_stack_give(rt_sim_fibers *fibers, rt_sim_stack *stack) {
  stack->next = fibers->free;
  fibers->free = stack;
}

#ifdef RT_SIM_UCONTEXT
static void context_main(unsigned main_low, unsigned main_high, unsigned low, unsigned high) {
  void (*main)(void *) = (void (*)(void *))(uintptr_t)(main_low | (uint64_t)main_high << 32);
  main((void *)(uintptr_t)(low | (uint64_t)high << 32));
}
#endif

void rt_sim_stack_begin(rt_sim_stack *stack, void (*main)(void *argument), void *argument) {
#if defined(__x86_64__)
  void **sp = (void **)(stack->low + RT_SIM_STACK_BYTES) - 2;  // the start's stack pointer is a multiple of 16
  *--sp = (void *)rt_sim_start;
  *--sp = NULL;          // rbp
  *--sp = NULL;          // rbx
  *--sp = argument;      // r12
  *--sp = (void *)main;  // r13
  *--sp = NULL;
  *--sp = NULL;
  stack->context.sp = sp;
#elif defined(__aarch64__)
  void **sp = (void **)(stack->low + RT_SIM_STACK_BYTES) - 22;
  for (int i = 0; i < 22; i++) sp[i] = NULL;
  sp[0] = argument;               // x19
  sp[1] = (void *)main;           // x20
  sp[11] = (void *)rt_sim_start;  // x30
  stack->context.sp = sp;
#else
  uint64_t f = (uintptr_t)main, a = (uintptr_t)argument;
  getcontext(&stack->context.context);
  stack->context.context.uc_stack.ss_sp = stack->low;
  stack->context.context.uc_stack.ss_size = RT_SIM_STACK_BYTES;
  stack->context.context.uc_link = NULL;
  makecontext(&stack->context.context, (void (*)(void))context_main, 4, (unsigned)f, (unsigned)(f >> 32), (unsigned)a,
              (unsigned)(a >> 32));
#endif
#ifdef RT_SIM_ASAN
  __asan_unpoison_memory_region(stack->low, RT_SIM_STACK_BYTES);  // frames that were left and never returned
  stack->context.fake = NULL;
  stack->context.bottom = stack->low;
  stack->context.bytes = RT_SIM_STACK_BYTES;
#endif
#ifdef RT_SIM_TSAN
  if (!stack->context.tsan) stack->context.tsan = __tsan_create_fiber(0);
#endif
}

static void switch_to(rt_sim_context *from, rt_sim_context *to) {
#ifdef RT_SIM_TSAN
  __tsan_switch_to_fiber(to->tsan, 0);
#endif
#ifdef RT_SIM_ASAN
  __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->bytes);
#endif
#ifdef RT_SIM_UCONTEXT
  swapcontext(&from->context, &to->context);
#else
  rt_sim_switch(&from->sp, to->sp);
#endif
}

void rt_sim_resume(rt_sim_fibers *fibers, rt_sim_stack *stack) {
#ifdef RT_SIM_TSAN
  fibers->host.tsan = __tsan_get_current_fiber();
#endif
  switch_to(&fibers->host, &stack->context);
#ifdef RT_SIM_ASAN
  __sanitizer_finish_switch_fiber(fibers->host.fake, NULL, NULL);
#endif
}

void rt_sim_suspend(rt_sim_fibers *fibers, rt_sim_stack *stack) {
  switch_to(&stack->context, &fibers->host);
#ifdef RT_SIM_ASAN
  __sanitizer_finish_switch_fiber(stack->context.fake, &fibers->host.bottom, &fibers->host.bytes);
#endif
}

void rt_sim_entered(rt_sim_fibers *fibers) {
#ifdef RT_SIM_ASAN
  __sanitizer_finish_switch_fiber(NULL, &fibers->host.bottom, &fibers->host.bytes);
#else
  (void)fibers;
#endif
}
