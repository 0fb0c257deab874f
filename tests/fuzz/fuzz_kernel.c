// Fuzzes the reader of the kernel IR's text and what stands behind it: any bytes give a status or a kernel that prints
// to a fixed point; one that verifies also runs on small buffers, to its end, to a status or to its step limit.
#include <stdlib.h>

#include "ir/kernel.h"
#include "tests/fuzz/harness.h"
#include "tests/unit/ir/kernel_block_samples.h"
#include "tests/unit/ir/kernel_samples.h"

enum { ARG_BYTES = 4096 };

static void run(const ir_kernel *kernel) {
  static char memory[IR_KERNEL_MAX_ARGS][ARG_BYTES];
  void *tables[IR_KERNEL_MAX_ARGS][4], *args[IR_KERNEL_MAX_ARGS];
  size_t bytes[IR_KERNEL_MAX_ARGS];
  int64_t sizes[IR_KERNEL_MAX_SIZES];
  for (int i = 0; i < IR_KERNEL_MAX_ARGS; i++) {
    for (int n = 0; n < ARG_BYTES; n++) memory[i][n] = (char)(n * 31 + i);
    for (int r = 0; r < 4; r++) tables[i][r] = memory[i];
    args[i] = memory[i];
    bytes[i] = ARG_BYTES;
  }
  for (int i = 0; i < kernel->buffer_count; i++) {
    const ir_kbuffer *b = &kernel->buffers[i];
    if (b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT) {
      // A pointer cannot be both a table and data, and the requests must be known.
      for (int k = 0; k < i; k++)
        if (kernel->buffers[k].arg == b->arg && kernel->buffers[k].kind != b->kind) return;
      args[b->arg] = tables[b->arg];
    } else if (b->arg >= 0 && args[b->arg] != memory[b->arg]) {
      return;
    }
  }
  bool has_requests = false;
  for (int i = 0; i < kernel->size_count; i++) {
    sizes[i] = 3;
    has_requests |= !strcmp(kernel->sizes[i], "R");
  }
  for (int i = 0; i < kernel->buffer_count; i++)
    if (!kernel->buffers[i].bytes && !has_requests) return;
  for (int round = 0; round < 2; round++) {
    const ir_kinterpret_options options = {.round_f32 = round, .step_limit = 2000};
    weir_status_release(ir_kernel_interpret_options(kernel, args, bytes, sizes, 0, 1, &options));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_kernel *kernel, *again;
  weir_status status = ir_kernel_parse(&arena, (const char *)data, size, &kernel);
  if (!status) {
    const char *text = ir_kernel_print(&arena, kernel);
    if (ir_kernel_parse(&arena, text, strlen(text), &again)) abort();
    if (strcmp(ir_kernel_print(&arena, again), text) || !ir_kernel_equal(kernel, again)) abort();
    if (ir_kernel_hash(kernel) != ir_kernel_hash(again)) abort();
    status = ir_kernel_verify(kernel);
    if (!status) run(kernel);
  }
  weir_status_release(status);
  weir_arena_deinit(&arena);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  const char *const samples[] = {sample_matmul,    sample_softmax, sample_q4_1, sample_attention, sample_everything,
                                 block_everything, block_sm90,     block_gemm,  block_gemm_sm90,  block_small};
  if (index >= (int)(sizeof samples / sizeof *samples)) return 0;
  size_t length = strlen(samples[index]);
  if (length > capacity) length = capacity;
  memcpy(buffer, samples[index], length);
  return length;
}
