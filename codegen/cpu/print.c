// The C file: prelude, then each kernel behind a banner.
#include <string.h>

#include "codegen/cpu/internal.h"
#include "codegen/cpu/print.h"
#include "runtime/base/checked.h"

enum { MOST_KINDS = 8 };  // of items; more of them share the last function

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

// ---- kinds of items

// Items of one kind: those from |lo| on (null: the first) below |hi| (null: the last) do |body|.
typedef struct {
  const ir_kstmt *body;
  const ir_kexpr *lo, *hi;
} item_kind;

static bool is_of_sizes(const ir_kexpr *e) {
  if (e->op == IR_K_load || e->op == IR_K_var || e->type != IR_KT_i64) return false;
  for (int i = 0; i < e->arg_count; i++)
    if (!is_of_sizes(e->args[i])) return false;
  return true;
}

// `if ITEM < BOUND` and nothing behind it.
static bool tells_kinds(const ir_kernel *k, const ir_kstmt *s) {
  if (!s || s->next || s->kind != IR_KS_IF || !s->body || !s->body2 || s->expr->op != IR_K_lt) return false;
  const ir_kexpr *item = s->expr->args[0];
  return k->grid_var && item->op == IR_K_var && item->var == k->grid_var && is_of_sizes(s->expr->args[1]);
}

// The kinds that the kernel tells apart by the number of the item alone.
static int kinds_of(const ir_kernel *k, item_kind *out) {
  const ir_kstmt *s = k->body;
  const ir_kexpr *lo = NULL;
  int count = 0;
  for (; count < MOST_KINDS - 1 && tells_kinds(k, s); s = s->body2) {
    out[count++] = (item_kind){s->body, lo, s->expr->args[1]};
    lo = s->expr->args[1];
  }
  out[count++] = (item_kind){s, lo, NULL};
  return count;
}

// ---- printing

static weir_status print_kind(weir_arena *arena, const ir_kernel *kernel, const item_kind *kind, const char *name,
                              ir_text *text, cg_printed *out) {
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
  c.body = kind->body;
  c.item_lo = kind->lo;
  c.item_hi = kind->hi;
  cg_expand(&c);
  if (c.status) return c.status;
  cg_count_uses(&c);
  c.emitting = true;
  cg_emit(&c, text, name);
  for (int t = 0; t < IR_KT_COUNT; t++) out->memory[t] |= c.memory[t];
  out->dots |= c.dots;
  out->matrices |= c.matrices;
  return WEIR_OK;
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
  item_kind kinds[MOST_KINDS];
  int count = kinds_of(kernel, kinds);
  ir_text text;
  ir_text_init(&text, arena);
  emit_banner(&text, kernel);
  *out = (cg_printed){0};
  if (count == 1) {
    WEIR_TRY(print_kind(arena, kernel, &kinds[0], kernel->name, &text, out));
  } else {
    // A function for each kind, or the C compiler has fewer registers for each.
    for (int i = 0; i < count; i++) {
      ir_text_puts(&text, "PART ");
      WEIR_TRY(print_kind(arena, kernel, &kinds[i], weir_arena_printf(arena, "%s_%d", kernel->name, i), &text, out));
    }
    cg_emit_head(&text, kernel->name);
    for (int i = 0; i < count; i++)
      ir_text_printf(&text, "  %s_%d(args, dims, begin, end, scratch);\n", kernel->name, i);
    ir_text_puts(&text, "}\n");
  }
  out->text = text.data;
  out->bytes = text.length;
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
