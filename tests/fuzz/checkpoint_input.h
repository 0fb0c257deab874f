// One input for the checkpoint readers: open it from memory and, if it opens, touch everything that it describes.
#ifndef WEIR_TESTS_FUZZ_CHECKPOINT_INPUT_H
#define WEIR_TESTS_FUZZ_CHECKPOINT_INPUT_H

#include "compiler/import/builder.h"

static void touch_tensor(const import_checkpoint *checkpoint, const import_tensor *tensor, uint64_t *sum) {
  for (int64_t i = 0; i < tensor->bytes; i++) *sum += tensor->data[i];
  if (import_checkpoint_tensor(checkpoint, tensor->name) != tensor) abort();
}

static void touch_kv(const import_checkpoint *checkpoint, const import_kv *kv, uint64_t *sum) {
  if (import_checkpoint_kv(checkpoint, kv->key) != kv) abort();
  for (uint64_t i = 0; i < kv->count; i++) {
    if (kv->type == IMPORT_KV_STRING) {
      const import_string text = import_kv_string_at(kv, i);
      for (size_t c = 0; c < text.length; c++) *sum += (uint8_t)text.data[c];
    } else {
      *sum += (uint64_t)import_kv_int_at(kv, i) + (import_kv_float_at(kv, i) > 0);
    }
  }
}

static void checkpoint_input(const uint8_t *data, size_t size) {
  weir_arena arena;
  weir_arena_init(&arena);
  import_checkpoint *checkpoint = NULL;
  weir_status status = import_checkpoint_from_memory(&arena, data, size, &checkpoint);
  uint64_t sum = 0;
  for (size_t i = 0; !status && i < checkpoint->tensor_count; i++)
    touch_tensor(checkpoint, &checkpoint->tensors[i], &sum);
  for (size_t i = 0; !status && i < checkpoint->kv_count; i++) touch_kv(checkpoint, &checkpoint->kvs[i], &sum);
  // Memory stays in proportion to the input.
  if (arena.used_bytes > 200 * size + 65536) abort();
  volatile uint64_t sink = sum;
  (void)sink;
  weir_status_release(status);
  weir_arena_deinit(&arena);
}

#endif
