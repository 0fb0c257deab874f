// The text form of kernels (docs/kernel-ir.md).
//
// Names are unique among what is visible: a second `i` inside the first is `i#1`. The parser drops the number again, so
// printing what was parsed gives the same bytes. Also prints a kernel with a complaint under one of its lines, for the
// verifier.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_text.h"

typedef ir_kprinter printer;

// ---- names
const char *ir_kp_declare(printer *p, const void *what, const char *name) {
  ir_kvisible v = {what, name, name, 0};
  for (int i = 0; i < p->name_count; i++)
    if (p->names[i].number >= v.number && !strcmp(p->names[i].base, name)) v.number = p->names[i].number + 1;
  if (v.number) v.name = weir_arena_printf(p->arena, "%s#%d", name, v.number);
  WEIR_PUSH(p->arena, p->names, p->name_count, p->name_capacity, v);
  return v.name;
}

const char *ir_kp_name_of(const printer *p, const void *what, const char *otherwise) {
  for (int i = p->name_count - 1; i >= 0; i--)
    if (p->names[i].what == what) return p->names[i].name;
  return weir_arena_printf(p->arena, "%s?", otherwise);
}

const char *ir_kp_buffer_name(const printer *p, int index) {
  if (index < 0 || index >= p->kernel->buffer_count) return "?";
  return ir_kp_name_of(p, &p->kernel->buffers[index], "?");
}

// ---- expressions
static void print_f32(ir_text *t, double value) {
  if (!isfinite(value)) {
    ir_text_double(t, value);
    return;
  }
  char digits[40];
  for (int precision = 1; precision <= 9; precision++) {
    snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (strtof(digits, NULL) == (float)value) break;
  }
  ir_text_puts(t, digits);
  if (!strpbrk(digits, ".e")) ir_text_puts(t, ".0");
}

static void print_const(printer *p, const ir_kexpr *e) {
  if (e->type == IR_KT_bool) ir_text_puts(&p->text, e->i ? "true" : "false");
  else if (e->type == IR_KT_f32) print_f32(&p->text, e->f);
  else if (ir_ktype_is_float(e->type)) ir_text_double(&p->text, e->f);
  else ir_text_printf(&p->text, "%lld", (long long)e->i);
  if (e->type != IR_KT_bool && e->type != IR_KT_f32 && e->type != IR_KT_i64)
    ir_text_printf(&p->text, ":%s", ir_ktype_name(e->type));
}

void ir_kp_args(printer *p, const ir_kexpr *const *args, int count, const char *open, const char *close) {
  ir_text_puts(&p->text, open);
  for (int i = 0; i < count; i++) {
    if (i) ir_text_puts(&p->text, ", ");
    ir_kp_expr(p, args[i], 0);
  }
  ir_text_puts(&p->text, close);
}

// "k:f16[request; index]"
void ir_kp_element(printer *p, int buffer, ir_ktype type, const ir_kexpr *index, const ir_kexpr *request) {
  ir_text_printf(&p->text, "%s:%s[", ir_kp_buffer_name(p, buffer), ir_ktype_name(type));
  if (request) {
    ir_kp_expr(p, request, 0);
    ir_text_puts(&p->text, "; ");
  }
  ir_kp_expr(p, index, 0);
  ir_text_puts(&p->text, "]");
}

static void print_infix(printer *p, const ir_kexpr *e, int outer) {
  int level = ir_kop_level(e->op);
  // Bit operations chain only with themselves; comparisons not at all.
  const ir_kexpr *x = e->args[0];
  bool chains = level >= 3 || (level == 1 && x->op == e->op);
  int left = chains ? level - 1 : level;
  bool parens = level <= outer;
  if (parens) ir_text_puts(&p->text, "(");
  ir_kp_expr(p, x, left);
  ir_text_printf(&p->text, " %s ", ir_kop_symbol(e->op));
  ir_kp_expr(p, e->args[1], level);
  if (parens) ir_text_puts(&p->text, ")");
}

// |level|: operators of this level and below need parentheses.
void ir_kp_expr(printer *p, const ir_kexpr *e, int level) {
  if (!e) {
    ir_text_puts(&p->text, "?");
    return;
  }
  switch (e->op) {
    case IR_K_const:
      print_const(p, e);
      return;
    case IR_K_size: {
      bool known = e->index >= 0 && e->index < p->kernel->size_count && e->index < IR_KERNEL_MAX_SIZES;
      ir_text_puts(&p->text, known ? p->kernel->sizes[e->index] : "?");
      return;
    }
    case IR_K_var:
      ir_text_puts(&p->text, e->var ? ir_kp_name_of(p, e->var, e->var->name) : "?");
      if (e->arg_count) ir_kp_args(p, e->args, e->arg_count, "[", "]");
      return;
    case IR_K_load:
      ir_kp_element(p, e->index, e->type, e->args[0], e->arg_count > 1 ? e->args[1] : NULL);
      return;
    case IR_K_cast:
      ir_text_puts(&p->text, ir_ktype_name(e->type));
      break;
    case IR_K_bitcast:
      ir_text_printf(&p->text, "bitcast:%s", ir_ktype_name(e->type));
      break;
    default:
      if (ir_kop_level(e->op) && e->arg_count == 2) {
        print_infix(p, e, level);
        return;
      }
      ir_text_puts(&p->text, ir_kop_name(e->op));
  }
  ir_kp_args(p, e->args, e->arg_count, "(", ")");
}

// ---- statements
static void indent(printer *p, int depth) { ir_text_printf(&p->text, "%*s", 2 * depth, ""); }

static void mark_line(printer *p, const void *what, size_t start, int depth) {
  if (!p->mark || p->mark != what) return;
  p->mark_start = start, p->mark_end = p->text.length;
  if (!p->complaint) return;
  indent(p, depth);
  ir_text_printf(&p->text, "^ %s\n", p->complaint);
}

static void print_list(printer *p, const ir_kstmt *stmt, int depth);

static void print_body(printer *p, const ir_kstmt *list, int depth) {
  int visible_before = p->name_count;
  print_list(p, list, depth + 1);
  p->name_count = visible_before;
}

static void print_for(printer *p, const ir_kstmt *s, int depth, size_t start) {
  static const char *const words[] = {"for", "lanes", "unroll", "tiles"};
  int visible_before = p->name_count;
  ir_text_printf(&p->text, "%s ", words[s->range & 3]);
  const char *name = ir_kp_declare(p, s->var, s->var->name);
  ir_text_puts(&p->text, name);
  if (s->range == IR_KR_TILES) ir_text_printf(&p->text, ", %s", ir_kp_declare(p, s->tile_var, s->tile_var->name));
  ir_text_puts(&p->text, " in ");
  ir_kp_expr(p, s->lo, 0);
  ir_text_puts(&p->text, "..");
  ir_kp_expr(p, s->hi, 0);
  if (s->range == IR_KR_TILES) {
    for (int i = 0; i < s->tile_count; i++) ir_text_printf(&p->text, "%s%d", i ? ", " : " by ", s->tiles[i]);
  } else if (s->step != 1) {
    ir_text_printf(&p->text, " step %lld", (long long)s->step);
  }
  ir_text_puts(&p->text, " {\n");
  mark_line(p, s, start, depth);
  print_list(p, s->body, depth + 1);
  indent(p, depth);
  ir_text_puts(&p->text, "}\n");
  p->name_count = visible_before;
}

static void print_if(printer *p, const ir_kstmt *s, int depth, size_t start) {
  ir_text_puts(&p->text, "if ");
  ir_kp_expr(p, s->expr, 0);
  ir_text_puts(&p->text, " {\n");
  mark_line(p, s, start, depth);
  print_body(p, s->body, depth);
  if (s->body2) {
    indent(p, depth);
    ir_text_puts(&p->text, "} else {\n");
    print_body(p, s->body2, depth);
  }
  indent(p, depth);
  ir_text_puts(&p->text, "}\n");
}

static void print_declaration(printer *p, const ir_kstmt *s) {
  const ir_kvar *v = s->var;
  const char *word = s->kind == IR_KS_REG ? "reg" : "let";
  ir_text_printf(&p->text, "%s %s: %s", word, ir_kp_declare(p, v, v->name), ir_ktype_name(v->type));
  for (int i = 0; i < v->rank && i < 3; i++) ir_text_printf(&p->text, "%s%d", i ? ", " : "[", v->dims[i]);
  if (v->rank > 0) ir_text_puts(&p->text, "]");
  ir_text_puts(&p->text, s->kind == IR_KS_REG && v->lanes ? " lanes = " : " = ");
  ir_kp_expr(p, s->expr, 0);
}

static void print_set(printer *p, const ir_kstmt *s) {
  if (s->kind == IR_KS_SET) ir_text_puts(&p->text, "set ");
  else ir_text_printf(&p->text, "reduce %s ", ir_kop_name(s->combine));
  ir_text_puts(&p->text, ir_kp_name_of(p, s->var, s->var->name));
  if (s->index_count) ir_kp_args(p, s->indices, s->index_count, "[", "]");
  ir_text_puts(&p->text, " = ");
  ir_kp_expr(p, s->expr, 0);
}

static void print_matdot(printer *p, const ir_kstmt *s) {
  const ir_kmatdot *d = s->matdot;
  ir_text_printf(&p->text, "matdot %s %s:%s", d->adds ? "add" : "set", ir_kp_buffer_name(p, d->c),
                 ir_ktype_name(s->type));
  ir_kp_args(p, &d->at[IR_KM_AT_C], 2, "[", "] = ");
  ir_text_printf(&p->text, "%s:u32", ir_kp_buffer_name(p, d->a));
  ir_kp_args(p, &d->at[IR_KM_AT_A], 2, "[", "], ");
  ir_text_printf(&p->text, "%s:u32", ir_kp_buffer_name(p, d->b));
  ir_kp_args(p, &d->at[IR_KM_AT_B], 3, "[", "] rows ");
  ir_kp_expr(p, d->at[IR_KM_ROWS], 0);
  ir_text_printf(&p->text, " panels %d words ", d->panels);
  ir_kp_expr(p, d->at[IR_KM_WORDS], 0);
  ir_text_printf(&p->text, " step %d", d->step);
}

static void print_stmt(printer *p, const ir_kstmt *s, int depth) {
  size_t start = p->text.length;
  indent(p, depth);
  switch (s->kind) {
    case IR_KS_FOR:
      print_for(p, s, depth, start);
      return;
    case IR_KS_IF:
      print_if(p, s, depth, start);
      return;
    case IR_KS_LET:
    case IR_KS_REG:
      print_declaration(p, s);
      break;
    case IR_KS_SET:
    case IR_KS_REDUCE:
      print_set(p, s);
      break;
    case IR_KS_STORE:
      ir_text_puts(&p->text, "store ");
      ir_kp_element(p, s->buffer, s->type, s->indices[0], s->index_count > 1 ? s->indices[1] : NULL);
      ir_text_puts(&p->text, " = ");
      ir_kp_expr(p, s->expr, 0);
      break;
    case IR_KS_PREFETCH:
      ir_text_puts(&p->text, "prefetch ");
      ir_kp_element(p, s->buffer, s->type, s->indices[0], s->index_count > 1 ? s->indices[1] : NULL);
      break;
    case IR_KS_MATDOT:
      print_matdot(p, s);
      break;
    case IR_KS_ARRIVE:
      ir_text_printf(&p->text, "arrive %s = ", ir_kp_name_of(p, s->var, s->var->name));
      ir_kp_element(p, s->buffer, s->type, s->indices[0], NULL);
      ir_text_puts(&p->text, " of ");
      ir_kp_expr(p, s->expr, 0);
      break;
    case IR_KS_COMMENT:
      ir_text_printf(&p->text, "//%s%s", *s->text ? " " : "", s->text);
      break;
    case IR_KS_BLOCK:
      ir_kp_block(p, s->block);
      break;
  }
  ir_text_puts(&p->text, "\n");
  mark_line(p, s, start, depth);
}

static void print_list(printer *p, const ir_kstmt *stmt, int depth) {
  for (; stmt; stmt = stmt->next) print_stmt(p, stmt, depth);
}

// ---- the head
static void print_buffer(printer *p, const ir_kbuffer *b) {
  static const char *const words[] = {"in",    "out",   "inout",  "table_in", "table_inout",
                                      "local", "const", "shared", "mbarrier"};
  size_t start = p->text.length;
  ir_text_printf(&p->text, "%s %s", (unsigned)b->kind <= IR_KB_MBARRIER ? words[b->kind] : "?",
                 ir_kp_declare(p, b, b->name));
  if (b->kind == IR_KB_CONST) {
    ir_text_printf(&p->text, ": %s[%lld] =", ir_ktype_name(b->type), (long long)b->count);
    for (int64_t i = 0; i < b->count; i++) {
      // Sixteen to a line.
      ir_text_puts(&p->text, i == 0 ? " " : i % 16 ? ", " : ",\n    ");
      if (b->type == IR_KT_f32) print_f32(&p->text, b->data[i]);
      else if (ir_ktype_is_float(b->type)) ir_text_double(&p->text, b->data[i]);
      else ir_text_printf(&p->text, "%lld", (long long)ir_ktype_saturate(b->type, b->data[i]));
    }
  } else if (b->kind == IR_KB_MBARRIER) {
    ir_text_printf(&p->text, ": %lld", (long long)b->count);
  } else if (b->bytes) {
    ir_text_puts(&p->text, ": ");
    ir_kp_expr(p, b->bytes, 0);
  }
  if (b->arg >= 0) ir_text_printf(&p->text, " @%d", b->arg);
  if (b->fixed) ir_text_puts(&p->text, " fixed");
  ir_text_puts(&p->text, "\n");
  mark_line(p, b, start, 0);
}

static void print_kernel(printer *p) {
  const ir_kernel *k = p->kernel;
  ir_text_printf(&p->text, "kernel %s ", k->name);
  ir_text_quoted(&p->text, k->banner);
  ir_text_puts(&p->text, "\n");
  mark_line(p, k, 0, 0);
  for (int i = 0; i < k->size_count && i < IR_KERNEL_MAX_SIZES; i++) {
    ir_text_printf(&p->text, "%s%s", i ? ", " : "sizes ", k->sizes[i]);
    ir_kp_declare(p, NULL, k->sizes[i]);
  }
  if (k->size_count) ir_text_puts(&p->text, "\n");
  for (int i = 0; i < k->buffer_count; i++) print_buffer(p, &k->buffers[i]);
  for (int i = 0; i < k->map_count; i++) {
    size_t start = p->text.length;
    ir_kp_map(p, &k->maps[i]);
    mark_line(p, &k->maps[i], start, 0);
  }
  ir_text_puts(&p->text, "grid");
  if (k->grid_var) ir_text_printf(&p->text, " %s", ir_kp_declare(p, k->grid_var, k->grid_var->name));
  ir_text_puts(&p->text, ": ");
  ir_kp_expr(p, k->grid, 0);
  ir_text_puts(&p->text, "\n");
  if (k->threads) ir_kp_threads(p);
  ir_text_puts(&p->text, "{\n");
  print_list(p, k->body, 1);
  ir_text_puts(&p->text, "}\n");
}

const char *ir_kernel_print(weir_arena *arena, const ir_kernel *kernel) {
  return ir_kernel_print_marked(arena, kernel, NULL, NULL);
}

const char *ir_kernel_print_marked(weir_arena *arena, const ir_kernel *kernel, const void *mark,
                                   const char *complaint) {
  printer p = {.arena = arena, .kernel = kernel, .mark = mark, .complaint = complaint};
  ir_text_init(&p.text, arena);
  print_kernel(&p);
  return p.text.data;
}

const char *ir_kernel_print_stmt(weir_arena *arena, const ir_kernel *kernel, const ir_kstmt *stmt) {
  printer p = {.arena = arena, .kernel = kernel, .mark = stmt};
  ir_text_init(&p.text, arena);
  print_kernel(&p);
  if (p.mark_end == 0) return "";
  size_t start = p.mark_start, end = p.mark_end;
  while (start < end && p.text.data[start] == ' ') start++;
  while (end > start && strchr(" {\n", p.text.data[end - 1])) end--;
  return weir_arena_strndup(arena, p.text.data + start, end - start);
}
