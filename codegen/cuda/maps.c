// A kernel's tensor maps as words of its facts, which the launcher reads (runtime/device/cuda/maps.h): strides are all
// said there.
#include "codegen/cuda/internal.h"
#include "ir/kernel_block.h"

static const char *sign_of(ir_kop op) {
  switch (op) {
    case IR_K_add:
      return "+";
    case IR_K_sub:
      return "-";
    case IR_K_mul:
      return "*";
    case IR_K_div:
      return "/";
    case IR_K_mod:
      return "%";
    case IR_K_min:
      return "<";
    case IR_K_max:
      return ">";
    default:
      return NULL;
  }
}

// Postfix; false: it has something that the launcher does not evaluate.
static bool put(ir_text *out, const ir_kexpr *e) {
  if (e->op == IR_K_const && e->i >= 0) {
    ir_text_printf(out, "%lld", (long long)e->i);
    return true;
  }
  if (e->op == IR_K_const) {
    ir_text_printf(out, "0,%lld,-", -(long long)e->i);
    return true;
  }
  if (e->op == IR_K_size) {
    ir_text_printf(out, "$%d", e->index);
    return true;
  }
  const char *sign = sign_of(e->op);
  if (!sign || e->arg_count != 2 || !put(out, e->args[0])) return false;
  ir_text_puts(out, ",");
  if (!put(out, e->args[1])) return false;
  ir_text_printf(out, ",%s", sign);
  return true;
}

static bool put_stride(ir_text *out, const ir_kmap *map, int dim) {
  if (map->strides[dim]) return put(out, map->strides[dim]);
  if (!put(out, map->dims[0])) return false;
  for (int i = 1; i < dim; i++) {
    ir_text_puts(out, ",");
    if (!put(out, map->dims[i])) return false;
    ir_text_puts(out, ",*");
  }
  return true;
}

static bool put_map(ir_text *out, const ir_kernel *kernel, const ir_kmap *map) {
  ir_text_printf(out, " map=%d:%d:%d:", kernel->buffers[map->buffer].arg, ir_ktype_bytes(map->type), map->swizzle);
  for (int i = 0; i < map->rank; i++) ir_text_printf(out, i ? ",%d" : "%d", map->box[i]);
  ir_text_puts(out, ":");
  if (map->offset ? !put(out, map->offset) : (ir_text_puts(out, "0"), false)) return false;
  for (int i = 0; i < map->rank; i++) {
    ir_text_puts(out, ":");
    if (!put(out, map->dims[i])) return false;
  }
  for (int i = 1; i < map->rank; i++) {
    ir_text_puts(out, ":");
    if (!put_stride(out, map, i)) return false;
  }
  return true;
}

weir_status cg_cuda_map_facts(weir_arena *arena, const ir_kernel *kernel, const char **out_text) {
  ir_text text;
  ir_text_init(&text, arena);
  for (int i = 0; i < kernel->map_count; i++)
    if (!put_map(&text, kernel, &kernel->maps[i]))
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "kernel '%s': map '%s' is not over sizes alone", kernel->name,
                              kernel->maps[i].name);
  *out_text = text.data ? text.data : "";
  return WEIR_OK;
}
