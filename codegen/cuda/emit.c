// Statements of kernels on a GPU as CUDA C: the frame, items, lanes as loops of threads, reductions by shuffles,
// stores.
#include "codegen/cuda/internal.h"

#include <string.h>

#include "ir/kernel_block.h"

// ---- memory
bool cg_cuda_is_shared(cg_code *c, int buffer) {
  ir_kbuffer_kind kind = c->kernel->buffers[buffer].kind;
  return kind == IR_KB_SHARED || kind == IR_KB_MBARRIER || (kind == IR_KB_LOCAL && cg_cuda_of(c)->local_shared);
}

const char *cg_cuda_load_name(cg_code *c, int buffer) {
  if (c->kernel->buffers[buffer].kind == IR_KB_CONST) return "ldk";
  if (cg_cuda_is_shared(c, buffer)) return "lds";
  bool changes = cg_cuda_of(c)->waits_itself && !c->kernel->buffers[buffer].fixed;
  return cg_buffer_is_constant(c, buffer) && !changes ? "ldc" : "ld";
}

static bool is_table(const ir_kbuffer *b) { return b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT; }

void cg_cuda_emit_operands(cg_code *c, ir_text *out, int buffer, ir_ktype type, cg_node *request, cg_node *index) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  const char *view = c->access[buffer][type].view;
  if (is_table(b)) {
    ir_text_printf(out, "(%s *)ld_pointer(%s, ", cg_memory_type(type), view);
    cg_emit_expr(c, out, request);
    ir_text_puts(out, ")");
  } else {
    ir_text_puts(out, view);
  }
  ir_text_puts(out, ", ");
  cg_emit_expr(c, out, index);
}

void cg_cuda_emit_load(cg_code *c, ir_text *out, const cg_node *n) {
  bool plain = cg_base_type(n->type) == n->type && n->type != IR_KT_bool;
  if (!plain) ir_text_printf(out, "s%c_from_%s(", cg_rep(n->type), ir_ktype_name(n->type));
  ir_text_printf(out, "%s_%s(", cg_cuda_load_name(c, n->index), cg_memory_type(n->type));
  cg_cuda_emit_operands(c, out, n->index, n->type, n->args[1], n->args[0]);
  ir_text_puts(out, plain ? ")" : "))");
}

static void emit_fence_call(cg_code *c, ir_text *out) {
  if (c->target->team > IR_WARP) ir_text_puts(out, "BARRIER();\n");
  else ir_text_printf(out, "TEAM_FENCE(%d);\n", c->target->team);
}

void cg_cuda_emit_fence(cg_code *c, ir_text *out, int indent) {
  cg_emit_line(out, indent);
  emit_fence_call(c, out);
}

static void emit_store(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  bool plain = cg_base_type(s->type) == s->type && s->type != IR_KT_bool;
  if (s->split) {
    emit_fence_call(c, out);
    cg_emit_line(out, indent);
  }
  if (!s->lanes && c->target->team > 1) ir_text_puts(out, "if (me == 0) ");
  ir_text_printf(out, "%s_%s(", cg_cuda_is_shared(c, s->buffer) ? "sts" : "st", cg_memory_type(s->type));
  cg_cuda_emit_operands(c, out, s->buffer, s->type, s->request, s->index);
  ir_text_puts(out, ", ");
  if (!plain) ir_text_printf(out, "%s_from_%c(", ir_ktype_name(s->type), cg_rep(s->type));
  cg_emit_expr(c, out, s->value);
  ir_text_puts(out, plain ? ");\n" : "));\n");
}

// ---- loops
static void emit_items(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  const cg_cuda_kernel *k = cg_cuda_of(c)->out;
  int per_block = k->items_per_block;
  if (k->block) ir_text_printf(out, "const i64 %s = BLOCK;\n%*s", s->name, 2 * indent, "");
  else if (per_block == 1)
    ir_text_printf(out, "for (i64 %s = BLOCK; %s < p.items; %s += GRID)", s->name, s->name, s->name);
  else
    ir_text_printf(out, "for (i64 %s = (i64)BLOCK * %d + team; %s < p.items; %s += (i64)GRID * %d)", s->name, per_block,
                   s->name, s->name, per_block);
  cg_emit_body(c, out, s->body, indent);
  ir_text_puts(out, "\n");
}

static void emit_lanes(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  if (s->name) {
    ir_text_printf(out, s->large ? "NO_UNROLL for (i64 %s = " : "for (i64 %s = ", s->name);
    cg_emit_expr(c, out, s->lo);
    ir_text_printf(out, "; %s < ", s->name);
    cg_emit_expr(c, out, s->hi);
    ir_text_puts(out, "; ");
    cg_emit_step(out, s->name, s->step);
    cg_emit_body(c, out, s->body, indent);
  } else {
    ir_text_puts(out, "{");
    ir_text_puts(out, "  // a thread, a lane\n");
    cg_emit_scope(c, out, s->body, indent + 1);
    cg_emit_line(out, indent);
    ir_text_puts(out, "}");
  }
  ir_text_puts(out, "\n");
}

static void emit_tile(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  cg_emit_line(out, indent);
  ir_text_puts(out, s->large ? "NO_UNROLL for (; " : "for (; ");
  cg_emit_expr(c, out, s->hi);
  ir_text_printf(out, " - %s >= %lld; ", s->name, (long long)s->step);
  cg_emit_step(out, s->name, s->step);
  cg_emit_body(c, out, s->body, indent);
  ir_text_puts(out, "\n");
}

// ---- reductions
static const char *raw_type(ir_ktype type) { return cg_c_type(type, false); }

// part = part OP the partial |apart| away. Of minimum and maximum the order decides between zeros and NaNs: that of the
// threads, so that all get the same.
static void emit_butterfly(ir_text *out, const cg_stmt *s, int from, int width, int indent) {
  const char *part = s->partial->name, *op = ir_kop_name(s->combine), *type = raw_type(s->partial->type);
  char rep = cg_rep(s->partial->type);
  bool ordered = (rep == 'f' || rep == 'd') && (s->combine == IR_K_min || s->combine == IR_K_max);
  ir_text_printf(out, "for (i32 apart = %d; apart > 0; apart >>= 1) {\n", from);
  cg_emit_line(out, indent + 1);
  ir_text_printf(out, "const %s other = TEAM_XOR_%s(%s, apart, %d);\n", type, type, part, width);
  cg_emit_line(out, indent + 1);
  if (ordered)
    ir_text_printf(out, "%s = me & apart ? s%c_%s(other, %s) : s%c_%s(%s, other);\n", part, rep, op, part, rep, op,
                   part);
  else ir_text_printf(out, "%s = s%c_%s(%s, other);\n", part, rep, op, part);
  cg_emit_line(out, indent);
  ir_text_puts(out, "}\n");
  cg_emit_line(out, indent);
}

// The partials of all threads become one, the same in each.
static void emit_gather(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  int team = c->target->team, width = team < IR_WARP ? team : IR_WARP;
  const char *part = s->partial->name, *type = raw_type(s->partial->type), *op = ir_kop_name(s->combine);
  char rep = cg_rep(s->partial->type);
  emit_butterfly(out, s, width / 2, width, indent);
  if (team > IR_WARP) {
    ir_text_printf(out, "if ((me & 31) == 0) sts_%s((%s *)sums, me >> 5, %s);\n", type, type, part);
    ir_text_printf(out, "%*sBARRIER();\n%*s%s = lds_%s((%s *)sums, 0);\n", 2 * indent, "", 2 * indent, "", part, type,
                   type);
    ir_text_printf(out, "%*sfor (i64 warp = 1; warp < %d; warp++) %s = s%c_%s(%s, lds_%s((%s *)sums, warp));\n",
                   2 * indent, "", team / IR_WARP, part, rep, op, part, type, type);
    ir_text_printf(out, "%*sBARRIER();\n%*s", 2 * indent, "", 2 * indent, "");
  }
}

static void emit_finish(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  const char *part = s->partial->name, *op = ir_kop_name(s->combine);
  char rep = cg_rep(s->slot->type);
  emit_gather(c, out, s, indent);
  bool narrow = !ir_ktype_is_float(s->type) && cg_base_type(s->type) != s->type;
  ir_text_printf(out, "%s = ", s->slot->name);
  if (narrow) ir_text_printf(out, "s%c_wrap_%s(", rep, ir_ktype_name(s->type));
  ir_text_printf(out, "s%c_%s(%s, %s)%s;\n", rep, op, s->slot->name, part, narrow ? ")" : "");
}

// ---- arrivals
static void emit_count(cg_code *c, ir_text *out, const cg_stmt *s, const char *by) {
  ir_text_puts(out, "ATOMIC_add_i32(");
  cg_cuda_emit_operands(c, out, s->buffer, s->type, NULL, s->index);
  ir_text_printf(out, ", %s)", by);
}

// The first thread counts for the team: what the team stored is visible before, what the others had stored behind it.
static void emit_arrive(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  bool team = c->target->team > 1;
  const char *last = s->slot->name;
  ir_text count;
  ir_text_init(&count, c->arena);
  cg_emit_expr(c, &count, s->value);
  if (team) {
    emit_fence_call(c, out);
    ir_text_printf(out, "%*s%s = 0;\n%*sif (me == 0) {\n", 2 * indent, "", last, 2 * indent, "");
  } else {
    ir_text_puts(out, "{\n");
  }
  ir_text_printf(out, "%*sFENCE();\n%*s%s = ", 2 * indent + 2, "", 2 * indent + 2, "", last);
  emit_count(c, out, s, "1");
  ir_text_printf(out, " + 1 == %s;\n%*sif (%s) ", count.data, 2 * indent + 2, "", last);
  emit_count(c, out, s, weir_arena_printf(c->arena, "-(i32)%s", count.data));
  ir_text_printf(out, ";\n%*sFENCE();\n%*s}\n", 2 * indent + 2, "", 2 * indent, "");
  if (!team) return;
  cg_emit_line(out, indent);
  const cg_stmt all = {.partial = s->slot, .combine = IR_K_max};
  emit_gather(c, out, &all, indent);
  emit_fence_call(c, out);
}

// ---- products of matrices, an element of the result a thread
static void matdot_load(cg_code *c, ir_text *out, int buffer, cg_node *at, const char *rest) {
  ir_text_printf(out, "%s_u32(%s, ", cg_cuda_load_name(c, buffer), c->access[buffer][IR_KT_u32].view);
  cg_emit_expr(c, out, at);
  ir_text_printf(out, " + %s)", rest);
}

static const char *matdot_text(cg_code *c, cg_node *node) {
  ir_text text;
  ir_text_init(&text, c->arena);
  cg_emit_expr(c, &text, node);
  return text.data;
}

static void matdot_place(cg_code *c, ir_text *out, const cg_stmt *s) {
  ir_text_printf(out, "%s, ", c->access[s->matdot->c][s->type].view);
  cg_emit_expr(c, out, s->at[IR_KM_AT_C]);
  ir_text_printf(out, " + cell_row * %s + cell_column", matdot_text(c, s->at[IR_KM_ROW_C]));
}

static void emit_matdot(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  const ir_kmatdot *d = s->matdot;
  int width = 16 * d->panels, in = 2 * indent;
  const char *type = ir_ktype_name(s->type), *words = matdot_text(c, s->at[IR_KM_WORDS]);
  const char *a = weir_arena_printf(c->arena, "cell_row * %s + word_at", matdot_text(c, s->at[IR_KM_ROW_A]));
  const char *b = weir_arena_printf(c->arena, "(cell_column >> 4) * %s + word_at * %s + (cell_column & 15)",
                                    matdot_text(c, s->at[IR_KM_PANEL_B]), matdot_text(c, s->at[IR_KM_ROW_B]));
  bool shared = cg_cuda_is_shared(c, d->c), pairs = s->type == IR_KT_f32;
  ir_text_printf(out, "for (i64 cell = %s; cell < %s * %d; cell += %d) {\n", c->target->team > 1 ? "me" : "0",
                 matdot_text(c, s->at[IR_KM_ROWS]), width, c->target->team);
  ir_text_printf(out, "%*s  const i64 cell_row = cell / %d, cell_column = cell %% %d;\n", in, "", width, width);
  ir_text_printf(out, "%*s  %s sum_cell = ", in, "", type);
  if (d->adds) {
    ir_text_printf(out, "%s_%s(", shared ? "lds" : "ld", type);
    matdot_place(c, out, s);
    ir_text_puts(out, ")");
  } else {
    ir_text_puts(out, "0");
  }
  ir_text_printf(out, ";\n%*s  for (i64 from_word = 0; from_word < %s; from_word += %d) {\n", in, "", words, d->step);
  if (pairs) ir_text_printf(out, "%*s    f32 low_sum = 0, high_sum = 0;\n", in, "");
  ir_text_printf(out, "%*s    for (i64 word_at = from_word; word_at < from_word + %d && word_at < %s; word_at++) {\n",
                 in, "", d->step, words);
  ir_text_printf(out, "%*s      const u32 left_word = ", in, "");
  matdot_load(c, out, d->a, s->at[IR_KM_AT_A], a);
  ir_text_puts(out, ", right_word = ");
  matdot_load(c, out, d->b, s->at[IR_KM_AT_B], b);
  ir_text_puts(out, ";\n");
  if (pairs) {
    ir_text_printf(
        out, "%*s      low_sum = sf_fma(sf_bits_u(left_word << 16), sf_bits_u(right_word << 16), low_sum);\n", in, "");
    ir_text_printf(out,
                   "%*s      high_sum = sf_fma(sf_bits_u(left_word & 0xffff0000u), sf_bits_u(right_word & "
                   "0xffff0000u), high_sum);\n",
                   in, "");
  } else {
    ir_text_printf(out, "%*s      sum_cell = si_dot4(right_word, (i32)left_word, sum_cell);\n", in, "");
  }
  ir_text_printf(out, "%*s    }\n", in, "");
  if (pairs) ir_text_printf(out, "%*s    sum_cell = sum_cell + (low_sum + high_sum);\n", in, "");
  ir_text_printf(out, "%*s  }\n%*s  %s_%s(", in, "", in, "", shared ? "sts" : "st", type);
  matdot_place(c, out, s);
  ir_text_printf(out, ", sum_cell);\n%*s}\n", in, "");
}

// ---- statements
static void emit_extent(cg_code *c, ir_text *out, const cg_stmt *s) {
  const char *view = NULL;
  for (int t = 0; t < IR_KT_COUNT && !view; t++)
    if (c->access[s->buffer][t].used) view = c->access[s->buffer][t].view;
  const ir_kbuffer *b = &c->kernel->buffers[s->buffer];
  if (!view) view = weir_arena_printf(c->arena, "p.args[%d]", b->arg);
  ir_text_printf(out, "EXTENT(%s, ", view);
  cg_emit_expr(c, out, s->value);
  ir_text_printf(out, ", %d);\n", c->written[b->arg]);
}

void cg_cuda_emit_stmt(cg_code *c, ir_text *out, const cg_stmt *s, int indent) {
  switch (s->kind) {
    case CG_ITEMS:
      emit_items(c, out, s, indent);
      break;
    case CG_EXTENT:
      emit_extent(c, out, s);
      break;
    case CG_LANES:
      emit_lanes(c, out, s, indent);
      break;
    case CG_TILE:
      emit_tile(c, out, s, indent);
      break;
    case CG_STORE:
      emit_store(c, out, s, indent);
      break;
    case CG_PREFETCH:
      ir_text_puts(out, "PREFETCH(");
      cg_cuda_emit_operands(c, out, s->buffer, s->type, s->request, s->index);
      ir_text_puts(out, ");\n");
      break;
    case CG_MATDOT:
      emit_matdot(c, out, s, indent);
      break;
    case CG_FINISH:
      emit_finish(c, out, s, indent);
      break;
    case CG_ARRIVE:
      emit_arrive(c, out, s, indent);
      break;
    case CG_BLOCK:
      cg_cuda_emit_block(c, out, s, indent);
      break;
    default:  // of the CPU, or printed by cg_emit_scope
      break;
  }
}

// ---- the frame
static int types_used(const cg_code *c, int buffer) {
  int count = 0;
  for (int t = 0; t < IR_KT_COUNT; t++) count += c->access[buffer][t].used;
  return count;
}

static const char *view_name(cg_code *c, int buffer, int type) {
  const char *name = c->kernel->buffers[buffer].name;
  if (types_used(c, buffer) > 1) name = weir_arena_printf(c->arena, "%s_%s", name, ir_ktype_name((ir_ktype)type));
  return c->access[buffer][type].view = cg_unique(c, name, NULL);
}

// Literal data stands in front of the function.
static void emit_const_data(cg_code *c, ir_text *out, int buffer) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  const char *name = cg_unique(c, weir_arena_printf(c->arena, "%s_%s", c->kernel->name, b->name), NULL);
  ir_text_printf(out, "CONST_DATA(%s, %s, %lld) = {", cg_memory_type(b->type), name,
                 (long long)(b->count ? b->count : 1));
  cg_emit_data(out, b);
  ir_text_puts(out, "};\n");
  for (int t = 0; t < IR_KT_COUNT; t++)
    if (c->access[buffer][t].used)
      c->access[buffer][t].view =
          t == (int)b->type ? name : weir_arena_printf(c->arena, "((const %s *)%s)", cg_memory_type((ir_ktype)t), name);
}

static void emit_views(cg_code *c, ir_text *out, int buffer, const char *memory) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  bool written = b->arg < 0 || c->written[b->arg];
  for (int t = 0; t < IR_KT_COUNT; t++) {
    if (!c->access[buffer][t].used) continue;
    const char *name = view_name(c, buffer, t), *type = cg_memory_type((ir_ktype)t), *k = written ? "" : "const ";
    if (is_table(b)) ir_text_printf(out, "  void *const *const %s = (void *const *)%s;\n", name, memory);
    else ir_text_printf(out, "  %s%s *const %s = (%s%s *)%s;\n", k, type, name, k, type, memory);
  }
}

static int64_t rounded(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }

static void emit_local(cg_cuda_code *k, ir_text *out, int buffer, int64_t offset) {
  cg_code *c = &k->code;
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  int64_t bytes = rounded(b->bytes->i, 64);
  if (!types_used(c, buffer)) return;
  if (!k->local_shared) {
    emit_views(c, out, buffer, weir_arena_printf(c->arena, "(scratch + %lld)", (long long)offset));
    return;
  }
  int teams = k->out->items_per_block;
  const char *all = cg_unique(c, weir_arena_printf(c->arena, "%s_all", b->name), NULL);
  ir_text_printf(out, "  SHARED(u8, %s, %lld);\n", all, (long long)(bytes * teams));
  emit_views(c, out, buffer,
             teams == 1 ? all : weir_arena_printf(c->arena, "(%s + team * %lld)", all, (long long)bytes));
}

static void emit_shared(cg_cuda_code *k, ir_text *out, int buffer, int64_t offset) {
  cg_code *c = &k->code;
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  const char *all = cg_unique(c, weir_arena_printf(c->arena, "%s_bytes", b->name), NULL);
  bool barriers = b->kind == IR_KB_MBARRIER;
  long long bytes = barriers ? 8 * b->count : b->bytes->i;
  if (k->out->dynamic_bytes)
    ir_text_printf(out, "  SHARED_PART(%s, %s, %lld, %lld);\n", barriers ? "u64" : "u8", all, (long long)offset, bytes);
  else if (barriers) ir_text_printf(out, "  MBARRIERS(%s, %lld);\n", all, (long long)b->count);
  else ir_text_printf(out, "  SHARED(u8, %s, %lld);\n", all, bytes);
  if (barriers) c->access[buffer][IR_KT_i64].view = all;
  else emit_views(c, out, buffer, all);
}

static void emit_buffers(cg_cuda_code *k, ir_text *out) {
  cg_code *c = &k->code;
  int64_t offset = 0, shared = 0;
  for (int i = 0; i < c->kernel->buffer_count; i++) {
    const ir_kbuffer *b = &c->kernel->buffers[i];
    switch (b->kind) {
      case IR_KB_CONST:
        break;
      case IR_KB_LOCAL:
        emit_local(k, out, i, offset);
        offset += rounded(b->bytes->i, 64);
        break;
      case IR_KB_SHARED:
      case IR_KB_MBARRIER:
        shared = rounded(shared, b->kind == IR_KB_SHARED ? 1024 : 8);
        emit_shared(k, out, i, shared);
        shared += b->kind == IR_KB_SHARED ? b->bytes->i : 8 * b->count;
        break;
      default:
        emit_views(c, out, i,
                   weir_arena_printf(c->arena, k->waits_itself ? "p.args[%d]" : "AFTER_WAIT(p.args[%d])", b->arg));
        break;
    }
  }
}

static void emit_params(const cg_cuda_code *k, ir_text *out) {
  const cg_cuda_kernel *o = k->out;
  ir_text_printf(out, "struct %s_params {\n", o->name);
  if (o->args) ir_text_printf(out, "  void *args[%d];\n", o->args);
  if (o->dims) ir_text_printf(out, "  i64 dims[%d];\n", o->dims);
  ir_text_puts(out, "  i64 items;\n  void *scratch;\n  i64 scratch_stride;\n");
  if (o->maps) ir_text_printf(out, "  TENSOR_MAP maps[%d];\n", o->maps);
  ir_text_puts(out, "};\n");
}

static void emit_team(const cg_cuda_code *k, ir_text *out) {
  const cg_cuda_kernel *o = k->out;
  if (o->block) return;
  if (o->team > 1)
    ir_text_printf(out, o->team == o->threads ? "  const i64 me = THREAD;\n" : "  const i64 me = THREAD & %d;\n",
                   o->team - 1);
  if (o->items_per_block > 1) {
    if (o->team == 1) ir_text_puts(out, "  const i64 team = THREAD;\n");
    else ir_text_printf(out, "  const i64 team = THREAD / %d;\n", o->team);
  }
  if (o->scratch_bytes) {
    ir_text_puts(out, "  u8 *const scratch = (u8 *)p.scratch + ");
    if (o->items_per_block > 1) ir_text_printf(out, "((i64)BLOCK * %d + team)", o->items_per_block);
    else ir_text_puts(out, "(i64)BLOCK");
    ir_text_printf(out, " * p.scratch_stride;\n  EXTENT_SCRATCH(scratch, %lld);\n", (long long)o->scratch_bytes);
  }
  if (k->sums) ir_text_printf(out, "  SHARED(u64, sums, %d);\n", 8 * o->team / IR_WARP);
}

void cg_cuda_emit(cg_cuda_code *k, ir_text *out) {
  cg_code *c = &k->code;
  const cg_cuda_kernel *o = k->out;
  for (int i = 0; i < c->kernel->buffer_count; i++)
    if (c->kernel->buffers[i].kind == IR_KB_CONST && types_used(c, i)) emit_const_data(c, out, i);
  emit_params(k, out);
  // The body first: it tells which forms of wgmma it uses.
  ir_text body;
  ir_text_init(&body, c->arena);
  if (!k->waits_itself) ir_text_puts(&body, "  GRID_LAUNCH();\n  GRID_WAIT();\n");
  if (o->dynamic_bytes) ir_text_printf(&body, "  DYNAMIC_SHARED(%lld);\n", (long long)o->dynamic_bytes);
  emit_team(k, &body);
  emit_buffers(k, &body);
  for (int i = 0; i < c->kernel->size_count; i++)
    ir_text_printf(&body, "  const i64 %s = p.dims[%d];\n", c->size_names[i], i);
  cg_emit_scope(c, &body, c->root, 1);
  for (int i = 0; i < k->form_count; i++) ir_text_puts(out, k->forms[i]);
  int resident = c->kernel->resident > 0 ? c->kernel->resident : 1;
  if (o->cluster) ir_text_printf(out, "KERNEL_CLUSTER(%s, %d, %d, %d) {\n", o->name, o->threads, resident, o->cluster);
  else ir_text_printf(out, "KERNEL(%s, %d, %d) {\n", o->name, o->threads, resident);
  ir_text_puts(out, body.data ? body.data : "");
  ir_text_puts(out, "}\n");
}
