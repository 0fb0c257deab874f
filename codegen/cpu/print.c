// The C file: prelude, then each kernel behind a banner.
#include <string.h>

#include "codegen/cpu/internal.h"
#include "codegen/cpu/print.h"
#include "runtime/base/checked.h"

static void emit_banner(ir_text *out, const ir_kernel *k) {
  ir_text_printf(out, "\n// %s\n", k->name);
  // Banners may have several lines.
  for (const char *line = k->banner; line && *line;) {
    size_t length = strcspn(line, "\n");
    ir_text_printf(out, "// %.*s\n", (int)length, line);
    line += length + (line[length] == '\n');
  }
  for (int i = 0; i < k->buffer_count; i++) {
    static const char *const kinds[] = {"in", "out", "inout", "table in", "table inout", "local", "const"};
    const ir_kbuffer *b = &k->buffers[i];
    ir_text_printf(out, "//   %s %s", kinds[b->kind], b->name);
    if (b->arg >= 0) ir_text_printf(out, " = args[%d]", b->arg);
    ir_text_puts(out, "\n");
  }
}

weir_status cg_print_kernel(weir_arena *arena, const ir_kernel *kernel, cg_printed *out) {
  int64_t scratch;
  if (kernel->threads)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "kernel '%s' is a block kernel, which only the cuda target runs",
                            kernel->name);
  WEIR_TRY(cg_scratch_bytes(kernel, &scratch));
  // The name is the symbol; the prefix keeps clear of the words of C and of the prelude.
  if (strncmp(kernel->name, "k_", 2) || strchr(kernel->name, '.'))
    return weir_status_make(WEIR_CODE_INTERNAL, "kernel '%s': the name is no k_... symbol", kernel->name);
  cg_code c = {.target = &cg_cpu_target, .arena = arena, .kernel = kernel};
  c.values = WEIR_NEW_ARRAY(arena, cg_node *, kernel->var_count + 1);
  c.slots = WEIR_NEW_ARRAY(arena, cg_slot *, kernel->var_count + 1);
  c.written = WEIR_NEW_ARRAY(arena, bool, kernel->arg_count + 1);
  c.access = weir_arena_array(arena, (size_t)kernel->buffer_count + 1, sizeof *c.access);
  for (int i = 0; i < kernel->buffer_count; i++) {
    const ir_kbuffer *b = &kernel->buffers[i];
    bool writes = b->kind == IR_KB_OUT || b->kind == IR_KB_INOUT || b->kind == IR_KB_TABLE_INOUT;
    if (writes && b->arg >= 0) c.written[b->arg] = true;
  }
  for (int i = 0; i < kernel->size_count; i++) c.size_names[i] = cg_unique(&c, kernel->sizes[i], NULL);
  cg_expand(&c);
  if (c.status) return c.status;
  cg_count_uses(&c);
  c.emitting = true;
  ir_text text;
  ir_text_init(&text, arena);
  emit_banner(&text, kernel);
  cg_emit(&c, &text);
  *out = (cg_printed){.text = text.data, .bytes = text.length};
  memcpy(out->memory, c.memory, sizeof out->memory);
  out->dots = c.dots;
  out->matrices = c.matrices;
  return WEIR_OK;
}

const char *cg_print_file(weir_arena *arena, const cg_printed *const *kernels, int count) {
  bool memory[IR_KT_COUNT] = {false}, dots = false, matrices = false;
  for (int i = 0; i < count; i++) {
    dots |= kernels[i]->dots;
    matrices |= kernels[i]->matrices;
    for (int t = 0; t < IR_KT_COUNT; t++) memory[t] |= kernels[i]->memory[t];
  }
  ir_text out;
  ir_text_init(&out, arena);
  cg_prelude(&out, memory, dots, matrices);
  for (int i = 0; i < count; i++) ir_text_puts(&out, kernels[i]->text);
  return out.data;
}

weir_status cg_cpu_print(weir_arena *arena, const ir_kernel *const *kernels, int count, const char **out_source) {
  cg_printed *printed = WEIR_NEW_ARRAY(arena, cg_printed, count);
  const cg_printed **list = WEIR_NEW_ARRAY(arena, const cg_printed *, count);
  for (int i = 0; i < count; i++) {
    WEIR_TRY(cg_print_kernel(arena, kernels[i], &printed[i]));
    list[i] = &printed[i];
  }
  *out_source = cg_print_file(arena, list, count);
  return WEIR_OK;
}
