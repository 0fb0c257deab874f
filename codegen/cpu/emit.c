// Statements of the CPU as C: declarations of buffers and sizes, loops of vectors, stores, reductions.
#include <string.h>

#include "codegen/cpu/internal.h"

static void emit_tile(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  bool optional = !s->last && s->registers > 0;
  if (optional) ir_text_printf(out, "#if VF_REGISTERS >= %d\n", s->registers);
  cg_emit_line(out, indent);
  ir_text_puts(out, "for (; ");
  cg_emit_expr(c, out, s->hi);
  ir_text_printf(out, " - %s >= %lld; ", s->name, (long long)s->step);
  cg_emit_step(out, s->name, s->step);
  ir_text_puts(out, " {\n");
  cg_emit_line(out, indent + 1);
  ir_text_puts(out, "FRESH_REGISTERS;\n");
  cg_emit_scope(c, out, s->body, indent + 1);
  cg_emit_line(out, indent);
  ir_text_puts(out, "}");
  ir_text_puts(out, optional ? "\n#endif\n" : "\n");
}

static void emit_blocks(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  ir_text_printf(out, "for (; %s + 16 <= ", s->name);
  cg_emit_expr(c, out, s->hi);
  ir_text_printf(out, "; %s += 16)", s->name);
  cg_emit_body(c, out, s->body, indent);
  ir_text_puts(out, "\n");
}

static void emit_masked_for(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  const char *k = s->slot->name, *on = s->partial->name;
  ir_text_printf(out, "for (vm %s; vm_any(%s = ", on, on);
  if (s->mask) {
    ir_text_puts(out, "vm_and(");
    cg_emit_expr(c, out, s->mask);
    ir_text_puts(out, ", ");
  }
  ir_text_printf(out, "vl_lt(%s, ", k);
  cg_emit_expr(c, out, s->hi);
  ir_text_printf(out, s->mask ? "))); %s = vl_add(%s, vl_splat(%lld)))" : ")); %s = vl_add(%s, vl_splat(%lld)))", k, k,
                 (long long)s->step);
  cg_emit_body(c, out, s->body, indent);
  ir_text_puts(out, "\n");
}

// ---- simple statements
static void emit_scalar_store(cg_code *c, ir_text *out, const cg_stmt *s) {
  bool plain = cg_base_type(s->type) == s->type;
  if (s->mask) {
    ir_text_puts(out, "if (");
    cg_emit_expr(c, out, s->mask);
    ir_text_puts(out, ") ");
  }
  cg_emit_place(c, out, s->buffer, s->type, s->request, s->index, true);
  ir_text_puts(out, " = ");
  if (!plain) ir_text_printf(out, "%s_from_%c(", ir_ktype_name(s->type), cg_rep(s->type));
  cg_emit_expr(c, out, s->value);
  ir_text_puts(out, plain ? ";\n" : ");\n");
}

static void emit_vector_store(cg_code *c, ir_text *out, const cg_stmt *s) {
  bool next = s->ramp_step != NULL;
  ir_text_printf(out, "v%c_store_%s%s(", cg_rep(s->type), ir_ktype_name(s->type), !next ? "_g" : s->mask ? "_m" : "");
  cg_emit_place(c, out, s->buffer, s->type, s->request, next ? s->index : NULL, false);
  if (!next) {
    ir_text_puts(out, ", ");
    cg_emit_expr(c, out, s->index);
  }
  ir_text_puts(out, ", ");
  cg_emit_expr(c, out, s->value);
  if (s->mask) {
    ir_text_puts(out, ", ");
    cg_emit_expr(c, out, s->mask);
  } else if (!next) {
    ir_text_puts(out, ", vm_splat(1)");
  }
  ir_text_puts(out, ");\n");
}

static void emit_finish(ir_text *out, const cg_stmt *s) {
  char rep = cg_rep(s->slot->type);
  const char *all = s->combine == IR_K_add   ? "sum"
                    : s->combine == IR_K_mul ? "product"
                    : s->combine == IR_K_max ? "highest"
                                             : "lowest";
  bool narrow = !ir_ktype_is_float(s->type) && cg_base_type(s->type) != s->type;
  ir_text_printf(out, "%s = ", s->slot->name);
  if (narrow) ir_text_printf(out, "s%c_wrap_%s(", rep, ir_ktype_name(s->type));
  ir_text_printf(out, "s%c_%s(%s, v%c_%s(%s))", rep, ir_kop_name(s->combine), s->slot->name, rep, all,
                 s->partial->name);
  ir_text_puts(out, narrow ? ");\n" : ";\n");
}

static void emit_matdot(cg_code *c, ir_text *out, const cg_stmt *s) {
  const ir_kmatdot *d = s->matdot;
  const int buffers[] = {d->c, d->a, d->b};
  ir_text_printf(out, "matdot_%s(", ir_ktype_name(s->type));
  for (int i = 0; i < IR_KM_COUNT; i++) {
    bool place = i == IR_KM_AT_C || i == IR_KM_AT_A || i == IR_KM_AT_B;
    if (place) cg_emit_place(c, out, buffers[i / 2], i == IR_KM_AT_C ? s->type : IR_KT_u32, NULL, s->at[i], false);
    else cg_emit_expr(c, out, s->at[i]);
    ir_text_puts(out, ", ");
  }
  ir_text_printf(out, "%d, %d, %d);\n", d->panels, d->step, d->adds);
}

static void emit_stmt(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  switch (s->kind) {
    case CG_TILE:
      emit_tile(c, out, s, indent);
      break;
    case CG_BLOCKS:
      emit_blocks(c, out, s, indent);
      break;
    case CG_MASKED_FOR:
      emit_masked_for(c, out, s, indent);
      break;
    case CG_STORE:
      if (s->value->vector || s->index->vector) emit_vector_store(c, out, s);
      else emit_scalar_store(c, out, s);
      break;
    case CG_PREFETCH:
      ir_text_puts(out, "__builtin_prefetch(");
      cg_emit_place(c, out, s->buffer, s->type, s->request, s->index, false);
      ir_text_puts(out, ");\n");
      break;
    case CG_MATDOT:
      emit_matdot(c, out, s);
      break;
    case CG_ARRIVE:
      ir_text_printf(out, "%s = arrive(", s->slot->name);
      cg_emit_place(c, out, s->buffer, s->type, NULL, s->index, false);
      ir_text_puts(out, ", ");
      cg_emit_expr(c, out, s->value);
      ir_text_puts(out, ");\n");
      break;
    case CG_FINISH:
      emit_finish(out, s);
      break;
    default:  // printed by cg_emit_scope
      break;
  }
}

static void emit_load(cg_code *c, ir_text *out, const cg_node *n) {
  bool plain = cg_base_type(n->type) == n->type && n->type != IR_KT_bool;
  if (!plain) ir_text_printf(out, "s%c_from_%s(", cg_rep(n->type), ir_ktype_name(n->type));
  cg_emit_place(c, out, n->index, n->type, n->args[1], n->args[0], true);
  if (!plain) ir_text_puts(out, ")");
}

const cg_target cg_cpu_target = {.load = emit_load, .stmt = emit_stmt};

// ---- buffers
static bool is_table(const ir_kbuffer *b) { return b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT; }

static int types_used(const cg_code *c, int buffer) {
  int count = 0;
  for (int t = 0; t < IR_KT_COUNT; t++) count += c->access[buffer][t].used;
  return count;
}

// Nothing else in the kernel points to the same memory, or nobody writes it; what other items wrote is read behind an
// arrival only in buffers that are read and written.
static bool may_restrict(const cg_code *c, int buffer) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  if (b->kind == IR_KB_INOUT && c->arrives) return false;
  if (b->arg < 0 || !c->written[b->arg]) return true;
  int pointers = 0;
  for (int i = 0; i < c->kernel->buffer_count; i++)
    if (c->kernel->buffers[i].arg == b->arg) pointers += types_used(c, i);
  return pointers == 1;
}

static void emit_const_buffer(cg_code *c, ir_text *out, int buffer) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  const char *name = cg_unique(c, b->name, NULL);
  ir_text_printf(out, "  static const %s %s[] __attribute__((aligned(64))) = {", cg_memory_type(b->type), name);
  cg_emit_data(out, b);
  ir_text_puts(out, "};\n");
  for (int t = 0; t < IR_KT_COUNT; t++) {
    if (!c->access[buffer][t].used) continue;
    const char *type = cg_memory_type((ir_ktype)t);
    c->access[buffer][t].view = t == (int)b->type ? name : weir_arena_printf(c->arena, "((const %s *)%s)", type, name);
  }
}

static void emit_view(cg_code *c, ir_text *out, int buffer, ir_ktype t, int64_t offset) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  bool many = types_used(c, buffer) > 1, written = b->arg < 0 || c->written[b->arg];
  const char *suffix = many ? weir_arena_printf(c->arena, "_%s", ir_ktype_name(t)) : "";
  const char *name = c->access[buffer][t].view =
      cg_unique(c, weir_arena_printf(c->arena, "%s%s", b->name, suffix), NULL);
  const char *type = weir_arena_printf(c->arena, "%s%s", written ? "" : "const ", cg_memory_type(t));
  if (is_table(b)) ir_text_printf(out, "  %s *const *%s = args[%d];\n", type, name, b->arg);
  else if (b->arg >= 0)
    ir_text_printf(out, "  %s *%s%s = args[%d];\n", type, may_restrict(c, buffer) ? "restrict " : "", name, b->arg);
  else ir_text_printf(out, "  %s *%s = (%s *)((char *)scratch + %lld);\n", type, name, type, (long long)offset);
}

static void emit_buffers(cg_code *c, ir_text *out) {
  int64_t offset = 0;
  for (int i = 0; i < c->kernel->buffer_count; i++) {
    const ir_kbuffer *b = &c->kernel->buffers[i];
    if (b->kind == IR_KB_CONST && types_used(c, i)) emit_const_buffer(c, out, i);
    if (b->kind == IR_KB_CONST) continue;
    for (int t = 0; t < IR_KT_COUNT; t++)
      if (c->access[i][t].used) emit_view(c, out, i, (ir_ktype)t, offset);
    // As cg_scratch_bytes counts, which has been asked before.
    if (b->kind == IR_KB_LOCAL) offset += (b->bytes->i + 63) & ~INT64_C(63);
  }
}

void cg_emit_head(ir_text *out, const char *name) {
  ir_text_printf(out, "void %s(void *const *args, const i64 *dims, i64 begin, i64 end, void *scratch) {\n", name);
}

void cg_emit(cg_code *c, ir_text *out, const char *name) {
  const ir_kernel *k = c->kernel;
  cg_emit_head(out, name);
  emit_buffers(c, out);
  for (int i = 0; i < k->size_count; i++) ir_text_printf(out, "  const i64 %s = dims[%d];\n", c->size_names[i], i);
  if (c->matrix_step) ir_text_printf(out, "  MATRIX_OPEN(%d);\n", c->matrix_step);
  cg_emit_scope(c, out, c->root, 1);
  ir_text_puts(out, c->matrix_step ? "  MATRIX_CLOSE();\n}\n" : "}\n");
}
