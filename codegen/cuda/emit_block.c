// Operations of block kernels as calls of the prelude. What a kernel uses of wgmma is defined in front of it: an
// instruction has one operand for each register, so there is a macro for each form.
#include <string.h>

#include "codegen/cuda/internal.h"
#include "ir/kernel_block.h"

static const char *const hints[] = {"none", "stream", "keep"}, *const suffixes[] = {"", "_stream", "_keep"};

// ---- operands
static void emit_pointer(cg_code *c, ir_text *out, const ir_kplace *p, cg_node *index, cg_node *request) {
  ir_ktype type = c->kernel->buffers[p->buffer].kind == IR_KB_MBARRIER ? IR_KT_i64 : p->type;
  const char *view = c->access[p->buffer][type].view;
  if (request) {
    ir_text_printf(out, "((%s *)ld_pointer(%s, ", cg_memory_type(type), view);
    cg_emit_expr(c, out, request);
    ir_text_puts(out, ") + ");
  } else {
    ir_text_printf(out, "(%s + ", view);
  }
  cg_emit_expr(c, out, index);
  ir_text_puts(out, ")");
}

static void emit_slots(ir_text *out, cg_slot *const *slots, int count) {
  for (int i = 0; i < count; i++) ir_text_printf(out, i ? ", %s" : "%s", slots[i]->name);
}

static void emit_value(cg_code *c, ir_text *out, cg_node *value, const char *otherwise) {
  if (value) cg_emit_expr(c, out, value);
  else ir_text_puts(out, otherwise);
}

// ---- vectors of elements: words, taken apart and put together
static const char *memory_of(cg_code *c, int buffer) {
  const char *name = cg_cuda_load_name(c, buffer);
  return !strcmp(name, "lds") ? "s" : !strcmp(name, "ldc") ? "c" : "";
}

// Element |i| of words WORD0 ...: what stands in a register.
static void emit_unpacked(ir_text *out, ir_ktype type, int i) {
  int bytes = ir_ktype_bytes(type), at = i * bytes;
  const char *raw = cg_memory_type(type);
  if (bytes == 8) {
    ir_text_printf(out, "%s((i64)((u64)WORD%d << 32 | WORD%d))", type == IR_KT_f64 ? "sd_bits" : "", at / 4 + 1,
                   at / 4);
  } else if (bytes == 4) {
    ir_text_printf(out, type == IR_KT_f32 ? "sf_bits_u(WORD%d)" : type == IR_KT_i32 ? "(i32)WORD%d" : "WORD%d", at / 4);
  } else {
    ir_text_printf(out, "s%c_from_%s((%s)(WORD%d >> %d))", cg_rep(type), ir_ktype_name(type), raw, at / 4, at % 4 * 8);
  }
}

static void emit_read(cg_code *c, ir_text *out, const cg_block *b, int indent) {
  const ir_kblock *op = b->op;
  ir_ktype type = op->from.type;
  int bytes = op->number * ir_ktype_bytes(type), words = (bytes + 3) / 4;
  const char *memory = memory_of(c, op->from.buffer);
  ir_text_puts(out, "{\n");
  cg_emit_line(out, indent + 1);
  for (int i = 0; i < words; i++) ir_text_printf(out, i ? ", WORD%d" : "u32 WORD%d", i);
  ir_text_puts(out, ";\n");
  cg_emit_line(out, indent + 1);
  if (bytes < 4) {
    const char *unit = bytes == 1 ? "u8" : "u16";
    ir_text_printf(out, "WORD0 = %s_%s((const %s *)", cg_cuda_load_name(c, op->from.buffer), unit, unit);
    emit_pointer(c, out, &op->from, b->from, b->from_request);
    ir_text_puts(out, ", 0);\n");
  } else {
    ir_text_printf(out, "ldw%s%d%s(", memory, words, *memory == 's' ? "" : suffixes[op->hint]);
    for (int i = 0; i < words; i++) ir_text_printf(out, "WORD%d, ", i);
    emit_pointer(c, out, &op->from, b->from, b->from_request);
    ir_text_puts(out, ", 0);\n");
  }
  for (int i = 0; i < op->number; i++) {
    cg_emit_line(out, indent + 1);
    ir_text_printf(out, "%s = ", b->c[i]->name);
    emit_unpacked(out, type, i);
    ir_text_puts(out, ";\n");
  }
  cg_emit_line(out, indent);
  ir_text_puts(out, "}\n");
}

static void emit_bits(ir_text *out, ir_ktype type, const char *name) {
  if (type == IR_KT_f32) ir_text_printf(out, "su_bits(%s)", name);
  else if (ir_ktype_bytes(type) == 4) ir_text_printf(out, "(u32)%s", name);
  else if (ir_ktype_is_float(type)) ir_text_printf(out, "(u32)%s_from_f(%s)", ir_ktype_name(type), name);
  else ir_text_printf(out, "((u32)%s & %s)", name, ir_ktype_bytes(type) == 1 ? "255" : "65535");
}

static void emit_word(ir_text *out, const cg_block *b, ir_ktype type, int word) {
  int bytes = ir_ktype_bytes(type), count = b->op->number;
  if (bytes == 8) {
    const char *name = b->c[word / 2]->name, *bits = type == IR_KT_f64 ? "sl_bits" : "";
    ir_text_printf(out, word % 2 ? "(u32)((u64)%s(%s) >> 32)" : "(u32)%s(%s)", bits, name);
    return;
  }
  int first = word * 4 / bytes, each = 4 / bytes;
  if (bytes == 2 && first + 1 < count && (type == IR_KT_bf16 || type == IR_KT_f16)) {
    ir_text_printf(out, "su_pack2%s(%s, %s)", type == IR_KT_f16 ? "_f16" : "", b->c[first]->name,
                   b->c[first + 1]->name);
    return;
  }
  for (int i = 0; i < each && first + i < count; i++) {
    if (i) ir_text_puts(out, " | ");
    emit_bits(out, type, b->c[first + i]->name);
    if (i) ir_text_printf(out, " << %d", 8 * bytes * i);
  }
}

static void emit_write(cg_code *c, ir_text *out, const cg_block *b) {
  const ir_kblock *op = b->op;
  int bytes = op->number * ir_ktype_bytes(op->to.type), words = (bytes + 3) / 4;
  bool shared = cg_cuda_is_shared(c, op->to.buffer);
  if (bytes < 4) {
    const char *unit = bytes == 1 ? "u8" : "u16";
    ir_text_printf(out, "%s_%s((%s *)", shared ? "sts" : "st", unit, unit);
    emit_pointer(c, out, &op->to, b->to, b->to_request);
    ir_text_printf(out, ", 0, (%s)(", unit);
    emit_word(out, b, op->to.type, 0);
    ir_text_puts(out, "));\n");
    return;
  }
  ir_text_printf(out, "stw%s%d%s(", shared ? "s" : "", words, shared ? "" : suffixes[op->hint]);
  emit_pointer(c, out, &op->to, b->to, b->to_request);
  ir_text_puts(out, ", 0");
  for (int i = 0; i < words; i++) {
    ir_text_puts(out, ", ");
    emit_word(out, b, op->to.type, i);
  }
  ir_text_puts(out, ");\n");
}

// ---- wgmma
static const char *const kind_types[] = {"f32.bf16.bf16", "f32.f16.f16", "f32.tf32.tf32", "s32.s8.s8", "f32.e4m3.e4m3"};

static void form_operands(ir_text *out, int registers, bool from_registers) {
  for (int i = 0; i < registers; i++) ir_text_printf(out, "c%d, ", i);
  ir_text_puts(out, "adds, ");
  ir_text_puts(out, from_registers ? "a0, a1, a2, a3, " : "a, a_swizzle, a_stride, ");
  ir_text_puts(out, "b, b_swizzle, b_stride");
}

static void form_for_sim(ir_text *out, const ir_kblock *op, bool regs) {
  ir_text_puts(out, "do { void *const c_[] = {");
  for (int i = 0; i < op->number / 2; i++) ir_text_printf(out, i ? ", &c%d" : "&c%d", i);
  ir_text_puts(out, "}; ");
  if (regs) ir_text_puts(out, "const u32 a_[] = {a0, a1, a2, a3}; ");
  ir_text_printf(out, "SIM_WGMMA(%d, %d, c_, adds, ", (int)op->kind, op->number);
  if (regs) ir_text_puts(out, "(const void *)0, a_, 0, 0, 0, ");
  else ir_text_printf(out, "a, (const u32 *)0, a_swizzle, %d, a_stride, ", op->shared_a.trans);
  ir_text_printf(out, "b, b_swizzle, %d, b_stride); } while (0)\n", op->shared_b.trans);
}

static void form_for_ptx(ir_text *out, const ir_kblock *op, bool regs) {
  int n = op->number / 2, at = n;
  bool halves = op->kind == IR_KMMA_bf16 || op->kind == IR_KMMA_f16;
  ir_text_printf(out, "asm volatile(\"{\\n\\t.reg .pred p;\\n\\tsetp.ne.b32 p, %%%d, 0;\\n\\t\" \\\n", n);
  ir_text_printf(out, "    \"wgmma.mma_async.sync.aligned.m64n%dk%d.%s {", op->number, ir_kmma_k(op->kind),
                 kind_types[op->kind]);
  for (int i = 0; i < n; i++) ir_text_printf(out, i ? ", %%%d" : "%%%d", i);
  at++;
  if (regs) ir_text_printf(out, "}, {%%%d, %%%d, %%%d, %%%d}, %%%d, p", at, at + 1, at + 2, at + 3, at + 4);
  else ir_text_printf(out, "}, %%%d, %%%d, p", at, at + 1);
  if (op->kind != IR_KMMA_s8) ir_text_puts(out, ", 1, 1");
  if (halves && !regs) ir_text_printf(out, ", %d", op->shared_a.trans);
  if (halves) ir_text_printf(out, ", %d", op->shared_b.trans);
  ir_text_puts(out, ";\\n\\t}\" \\\n    : ");
  for (int i = 0; i < n; i++)
    ir_text_printf(out, i ? ", \"+%c\"(c%d)" : "\"+%c\"(c%d)", op->kind == IR_KMMA_s8 ? 'r' : 'f', i);
  ir_text_puts(out, " : \"r\"((i32)(adds)), ");
  if (regs) ir_text_puts(out, "\"r\"(a0), \"r\"(a1), \"r\"(a2), \"r\"(a3)");
  else ir_text_printf(out, "\"l\"(WGMMA_DESCRIPTOR(a, a_swizzle, %s))", op->shared_a.trans ? "a_stride" : "16");
  ir_text_printf(out, ", \"l\"(WGMMA_DESCRIPTOR(b, b_swizzle, %s)))\n", op->shared_b.trans ? "b_stride" : "16");
}

static const char *form_name(cg_code *c, const ir_kblock *op, bool regs) {
  return weir_arena_printf(c->arena, "WGMMA_%s_n%d_%s%s%s", ir_kmma_name(op->kind), op->number, regs ? "rs" : "ss",
                           !regs && op->shared_a.trans ? "_ta" : "", op->shared_b.trans ? "_tb" : "");
}

static void form_define(cg_code *c, const char *name, const ir_kblock *op, bool regs) {
  cg_cuda_code *k = cg_cuda_of(c);
  ir_text text;
  ir_text_init(&text, c->arena);
  // Several kernels of a file may use the form.
  ir_text_printf(&text, "#ifndef %s_\n#define %s_\n#define %s(", name, name, name);
  form_operands(&text, op->number / 2, regs);
  ir_text_puts(&text, ") \\\n  ");
  if (k->prelude == CG_CUDA_SIM) form_for_sim(&text, op, regs);
  else form_for_ptx(&text, op, regs);
  ir_text_puts(&text, "#endif\n");
  for (int i = 0; i < k->form_count; i++)
    if (!strcmp(k->forms[i], text.data)) return;
  WEIR_PUSH(c->arena, k->forms, k->form_count, k->form_capacity, text.data);
}

static void emit_wgmma(cg_code *c, ir_text *out, const cg_block *b) {
  const ir_kblock *op = b->op;
  bool regs = op->a.var != NULL;
  const char *name = form_name(c, op, regs);
  form_define(c, name, op, regs);
  ir_text_printf(out, "%s(", name);
  emit_slots(out, b->c, op->number / 2);
  ir_text_puts(out, ", ");
  emit_value(c, out, b->condition, "1");
  ir_text_puts(out, ", ");
  if (regs) {
    emit_slots(out, b->a, 4);
  } else {
    emit_pointer(c, out, &op->shared_a.at, b->at_a, NULL);
    ir_text_printf(out, ", %d, %lld", op->shared_a.swizzle, (long long)op->shared_a.stride);
  }
  ir_text_puts(out, ", ");
  emit_pointer(c, out, &op->shared_b.at, b->at_b, NULL);
  ir_text_printf(out, ", %d, %lld);\n", op->shared_b.swizzle, (long long)op->shared_b.stride);
}

// ---- tensor copies
static void emit_coords(cg_code *c, ir_text *out, const cg_block *b) {
  for (int i = 0; i < IR_KMAP_MAX_RANK && b->coords[i]; i++) {
    ir_text_puts(out, ", (i32)(");
    cg_emit_expr(c, out, b->coords[i]);
    ir_text_puts(out, ")");
  }
  ir_text_puts(out, ");\n");
}

static void emit_tma(cg_code *c, ir_text *out, const cg_block *b) {
  const ir_kblock *op = b->op;
  int rank = c->kernel->maps[op->map].rank;
  if (op->op == IR_KO_TMA_STORE) {
    ir_text_printf(out, "TMA_STORE_%d(&p.maps[%d], ", rank, op->map);
    emit_pointer(c, out, &op->from, b->from, NULL);
    emit_coords(c, out, b);
    return;
  }
  ir_text_printf(out, b->value ? "TMA_MULTI_%d(" : "TMA_%d(", rank);
  emit_pointer(c, out, &op->to, b->to, NULL);
  ir_text_printf(out, ", &p.maps[%d], ", op->map);
  emit_pointer(c, out, &op->signal, b->signal, NULL);
  ir_text_printf(out, ", %s", hints[op->hint]);
  if (b->value) ir_text_puts(out, ", ");
  if (b->value) cg_emit_expr(c, out, b->value);
  emit_coords(c, out, b);
}

// ---- the others
static void emit_async(cg_code *c, ir_text *out, const cg_block *b) {
  const ir_kblock *op = b->op;
  ir_text_puts(out, "CP_ASYNC(");
  emit_pointer(c, out, &op->to, b->to, NULL);
  ir_text_puts(out, ", ");
  emit_pointer(c, out, &op->from, b->from, b->from_request);
  ir_text_printf(out, ", %d, ", op->number);
  emit_value(c, out, b->condition, "1");
  ir_text_printf(out, ", %s);\n", hints[op->hint]);
}

static void emit_matrices(cg_code *c, ir_text *out, const cg_block *b) {
  const ir_kblock *op = b->op;
  bool load = op->op == IR_KO_LDMATRIX;
  ir_text_printf(out, "%sMATRIX%s_%d(", load ? "LD" : "ST", op->trans ? "_T" : "", op->number);
  if (load) {
    emit_slots(out, b->c, op->number);
    ir_text_puts(out, ", ");
    emit_pointer(c, out, &op->from, b->from, NULL);
  } else {
    emit_pointer(c, out, &op->to, b->to, NULL);
    ir_text_puts(out, ", ");
    emit_slots(out, b->c, op->number);
  }
  ir_text_puts(out, ");\n");
}

static void emit_mma(ir_text *out, const cg_block *b) {
  ir_text_printf(out, "MMA_%s(", ir_kmma_name(b->op->kind));
  emit_slots(out, b->c, 4);
  ir_text_puts(out, ", ");
  emit_slots(out, b->a, b->a_count);
  ir_text_puts(out, ", ");
  emit_slots(out, b->b, 2);
  ir_text_puts(out, ");\n");
}

static void emit_atomic(cg_code *c, ir_text *out, const cg_stmt *s) {
  const cg_block *b = s->block;
  const ir_kplace *to = &b->op->to;
  if (b->op->var) ir_text_printf(out, "const %s %s = ", cg_c_type(to->type, false), s->name);
  else ir_text_puts(out, "(void)");
  ir_text_printf(out, "ATOMIC%s_%s_%s(", cg_cuda_is_shared(c, to->buffer) ? "S" : "", ir_kop_name(b->op->combine),
                 ir_ktype_name(to->type));
  cg_cuda_emit_operands(c, out, to->buffer, to->type, b->to_request, b->to);
  ir_text_puts(out, ", ");
  cg_emit_expr(c, out, b->value);
  ir_text_puts(out, ");\n");
}

static void emit_mbarrier(cg_code *c, ir_text *out, const cg_block *b, const char *name) {
  ir_text_printf(out, "%s(", name);
  emit_pointer(c, out, &b->op->to, b->to, NULL);
  if (b->value) ir_text_puts(out, ", ");
  if (b->value) cg_emit_expr(c, out, b->value);
  ir_text_puts(out, ");\n");
}

static void emit_barrier(cg_code *c, ir_text *out, const cg_block *b) {
  if (!b->value) {
    ir_text_puts(out, "BARRIER();\n");
    return;
  }
  ir_text_puts(out, b->op->op == IR_KO_BARRIER ? "BARRIER_ID(" : "BARRIER_ARRIVE(");
  cg_emit_expr(c, out, b->value);
  ir_text_printf(out, ", %d);\n", b->op->number);
}

static void emit_bulk(cg_code *c, ir_text *out, const cg_block *b) {
  ir_text_puts(out, "BULK(");
  emit_pointer(c, out, &b->op->to, b->to, NULL);
  ir_text_puts(out, ", ");
  emit_pointer(c, out, &b->op->from, b->from, b->from_request);
  ir_text_puts(out, ", ");
  cg_emit_expr(c, out, b->value);
  ir_text_puts(out, ", ");
  emit_pointer(c, out, &b->op->signal, b->signal, NULL);
  ir_text_puts(out, ");\n");
}

// Operations without operands, or with a number.
static const char *plain(const ir_kblock *op, bool *out_number) {
  *out_number = false;
  switch (op->op) {
    case IR_KO_BARRIER_WARP:
      return "WARP_FENCE";
    case IR_KO_COMMIT:
      return "CP_COMMIT";
    case IR_KO_FENCE:
      return "FENCE";
    case IR_KO_LAUNCH_DEPENDENTS:
      return "GRID_LAUNCH";
    case IR_KO_WAIT_DEPENDENCIES:
      return "GRID_WAIT";
    case IR_KO_BARRIER_CLUSTER:
      return "CLUSTER_BARRIER";
    case IR_KO_FENCE_ASYNC:
      return "PROXY_FENCE";
    case IR_KO_TMA_COMMIT:
      return "TMA_COMMIT";
    case IR_KO_WGMMA_FENCE:
      return "WGMMA_FENCE";
    case IR_KO_WGMMA_COMMIT:
      return "WGMMA_COMMIT";
    default:
      break;
  }
  *out_number = true;
  switch (op->op) {
    case IR_KO_WAIT:
      return "CP_WAIT";
    case IR_KO_TMA_WAIT:
      return "TMA_WAIT";
    case IR_KO_WGMMA_WAIT:
      return "WGMMA_WAIT";
    case IR_KO_REGISTERS:
      return op->up ? "REGISTERS_UP" : "REGISTERS_DOWN";
    default:
      return NULL;
  }
}

void cg_cuda_emit_block(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  const cg_block *b = s->block;
  bool number;
  const char *name = plain(b->op, &number);
  if (name) {
    if (number) ir_text_printf(out, "%s(%d);\n", name, b->op->number);
    else ir_text_printf(out, "%s();\n", name);
    return;
  }
  switch (b->op->op) {
    case IR_KO_BARRIER:
    case IR_KO_BARRIER_ARRIVE:
      emit_barrier(c, out, b);
      break;
    case IR_KO_ASYNC:
      emit_async(c, out, b);
      break;
    case IR_KO_READ:
      emit_read(c, out, b, indent);
      break;
    case IR_KO_WRITE:
      emit_write(c, out, b);
      break;
    case IR_KO_LDMATRIX:
    case IR_KO_STMATRIX:
      emit_matrices(c, out, b);
      break;
    case IR_KO_MMA:
      emit_mma(out, b);
      break;
    case IR_KO_ATOMIC:
      emit_atomic(c, out, s);
      break;
    case IR_KO_MBARRIER_INIT:
      emit_mbarrier(c, out, b, "MBAR_INIT");
      break;
    case IR_KO_MBARRIER_EXPECT:
      emit_mbarrier(c, out, b, "MBAR_EXPECT");
      break;
    case IR_KO_MBARRIER_ARRIVE:
      emit_mbarrier(c, out, b, b->value ? "MBAR_ARRIVE_AT" : "MBAR_ARRIVE");
      break;
    case IR_KO_MBARRIER_WAIT:
      emit_mbarrier(c, out, b, "MBAR_WAIT");
      break;
    case IR_KO_BULK:
      emit_bulk(c, out, b);
      break;
    case IR_KO_TMA:
    case IR_KO_TMA_STORE:
      emit_tma(c, out, b);
      break;
    case IR_KO_WGMMA:
      emit_wgmma(c, out, b);
      break;
    default:
      cg_fail(c, WEIR_CODE_INTERNAL, "an operation of block kernels without text");
      break;
  }
}
