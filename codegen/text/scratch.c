// Scratch memory of item kernels: their local buffers, one behind the other.
#include "codegen/text/scratch.h"

#include "runtime/base/checked.h"

weir_status cg_scratch_bytes(const ir_kernel *kernel, int64_t *out_bytes) {
  int64_t total = 0;
  for (int i = 0; i < kernel->buffer_count; i++) {
    const ir_kbuffer *b = &kernel->buffers[i];
    if (b->kind != IR_KB_LOCAL) continue;
    int64_t bytes;
    bool constant = b->bytes && b->bytes->op == IR_K_const && b->bytes->i >= 0;
    if (!constant)
      return weir_status_make(WEIR_CODE_INTERNAL, "kernel '%s': scratch '%s' has no constant extent", kernel->name,
                              b->name);
    if (!weir_round_up_i64(b->bytes->i, 64, &bytes) || !weir_add_i64(total, bytes, &total))
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel '%s': scratch is too large", kernel->name);
  }
  *out_bytes = total;
  return WEIR_OK;
}
