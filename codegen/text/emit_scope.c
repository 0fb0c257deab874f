// The expanded statements as C, each behind the temporaries it is the first to need. What depends on the target is
// printed by the target.
#include "codegen/text/code.h"
#include "runtime/base/half.h"

enum { MAX_INLINE_DEPTH = 5 };

void cg_emit_line(ir_text *out, int indent) { ir_text_printf(out, "%*s", 2 * indent, ""); }

// ---- temporaries
static bool is_leaf(const cg_node *n) {
  return n->arg_count == 0 || (n->op == CG_SPLAT && n->args[0]->op == IR_K_const);
}

static bool needs_name(cg_node *n) {
  int deepest = 0;
  for (int i = 0; i < n->arg_count; i++) {
    const cg_node *arg = n->args[i];
    if (arg && !arg->c_name && arg->print_depth > deepest) deepest = arg->print_depth;
  }
  n->print_depth = deepest + 1;
  if (is_leaf(n)) return false;
  return n->wanted || n->deep || n->uses > 1 || n->print_depth > MAX_INLINE_DEPTH;
}

static const char *proposal(const cg_code *c, const cg_node *n) {
  if (n->name) return n->name;
  if (n->op == IR_K_load || n->op == CG_LOAD_RAMP)
    return weir_arena_printf(c->arena, "%s_v", c->kernel->buffers[n->index].name);
  if (n->op == CG_SPLAT && n->args[0]->c_name) return weir_arena_printf(c->arena, "%s_v", n->args[0]->c_name);
  if (n->type == IR_KT_bool) return "on";
  return n->type == IR_KT_i64 ? "at" : "t";
}

static void emit_temporaries(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  for (int i = 0; i < s->pre_count; i++) {
    cg_node *n = s->pre[i];
    if (!n->live || !needs_name(n)) continue;
    const char *name = cg_unique(c, proposal(c, n), c->scope);
    cg_emit_line(out, indent);
    ir_text_printf(out, "const %s %s = ", cg_c_type(n->type, n->vector), name);
    cg_emit_expr(c, out, n);
    ir_text_puts(out, ";\n");
    n->c_name = name;
  }
}

// ---- loops
void cg_emit_body(cg_code *c, ir_text *out, cg_scope *body, int indent) {
  ir_text_puts(out, " {\n");
  cg_emit_scope(c, out, body, indent + 1);
  cg_emit_line(out, indent);
  ir_text_puts(out, "}");
}

void cg_emit_step(ir_text *out, const char *name, int64_t step) {
  if (step == 1) ir_text_printf(out, "%s++)", name);
  else ir_text_printf(out, "%s += %lld)", name, (long long)step);
}

static void emit_for(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  const char *end = NULL;
  if (s->opaque) {
    end = cg_unique(c, weir_arena_printf(c->arena, "%s_end", s->name), c->scope);
    ir_text_printf(out, "i64 %s = ", end);
    cg_emit_expr(c, out, s->hi);
    ir_text_printf(out, ";\n%*sOPAQUE(%s);\n%*s", 2 * indent, "", end, 2 * indent, "");
  }
  ir_text_printf(out, s->large ? "NO_UNROLL for (i64 %s = " : "for (i64 %s = ", s->name);
  cg_emit_expr(c, out, s->lo);
  ir_text_printf(out, "; %s < ", s->name);
  if (end) ir_text_puts(out, end);
  else cg_emit_expr(c, out, s->hi);
  ir_text_puts(out, "; ");
  cg_emit_step(out, s->name, s->step);
  cg_emit_body(c, out, s->body, indent);
  ir_text_puts(out, "\n");
}

static void emit_if(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  ir_text_puts(out, "if (");
  cg_emit_expr(c, out, s->value);
  ir_text_puts(out, ")");
  cg_emit_body(c, out, s->body, indent);
  if (s->body2) {
    ir_text_puts(out, " else");
    cg_emit_body(c, out, s->body2, indent);
  }
  ir_text_puts(out, "\n");
}

// ---- simple statements
static void emit_set(cg_code *c, ir_text *out, const cg_stmt *s) {
  if (s->kind == CG_DECLARE) ir_text_printf(out, "%s ", cg_c_type(s->slot->type, s->slot->vector));
  ir_text_printf(out, "%s = ", s->slot->name);
  if (s->mask) {
    ir_text_printf(out, "v%c_select(", cg_rep(s->slot->type));
    cg_emit_expr(c, out, s->mask);
    ir_text_puts(out, ", ");
  }
  cg_emit_expr(c, out, s->value);
  if (s->mask) ir_text_printf(out, ", %s)", s->slot->name);
  ir_text_puts(out, ";\n");
}

static void emit_stmt(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  if (s->fence) c->target->fence(c, out, indent);
  emit_temporaries(c, out, s, indent);
  if ((s->kind == CG_COMMENT && !s->name) || (s->kind == CG_DECLARE && !s->slot->used)) return;
  if (s->kind != CG_TILE) cg_emit_line(out, indent);
  switch (s->kind) {
    case CG_FOR:
      emit_for(c, out, s, indent);
      break;
    case CG_IF:
      emit_if(c, out, s, indent);
      break;
    case CG_DECLARE:
    case CG_SET:
      emit_set(c, out, s);
      break;
    case CG_COUNTER:
      ir_text_printf(out, "i64 %s = ", s->name);
      cg_emit_expr(c, out, s->value);
      ir_text_puts(out, ";\n");
      break;
    case CG_COMMENT:
      ir_text_printf(out, "// %s\n", s->name);
      break;
    default:
      c->target->stmt(c, out, s, indent);
      break;
  }
}

void cg_emit_scope(cg_code *c, ir_text *out, cg_scope *scope, int indent) {
  c->scope = scope;
  scope->closed = false;
  for (const cg_stmt *s = scope->first; s; s = s->next) emit_stmt(c, out, s, indent);
  scope->closed = true;
  c->scope = scope->parent;
}

// ---- literal data
static void emit_literal(ir_text *out, ir_ktype type, double value) {
  switch (type) {
    case IR_KT_f16:
      ir_text_printf(out, "%u", weir_f32_to_f16((float)value));
      break;
    case IR_KT_bf16:
      ir_text_printf(out, "%u", weir_f32_to_bf16((float)value));
      break;
    case IR_KT_f32:
    case IR_KT_f64:
      cg_emit_float(out, type, value);
      break;
    default:
      ir_text_printf(out, "%lldLL", (long long)value);
      break;
  }
}

void cg_emit_data(ir_text *out, const ir_kbuffer *b) {
  for (int64_t i = 0; i < b->count; i++) {
    ir_text_puts(out, i % 12 ? ", " : i ? ",\n      " : "\n      ");
    emit_literal(out, b->type, b->data[i]);
  }
  if (!b->count) ir_text_puts(out, "0");
}
