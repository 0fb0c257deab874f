// Block kernels to vector code: see ir/kernel_block_interp.h.
//
// Temporaries are numbered anew in every statement, as none lives longer. Equal nodes of a statement are computed once;
// what may fail or reads memory is computed under the mask of the arm of a select that asks for it.
#include <string.h>

#include "ir/kernel_block_interp.h"

enum { MAX_VECTORS = 1 << 20, MEMO_BITS = 12, MAX_CODE = 1 << 20 };

typedef struct {
  const ir_kexpr *expr;
  ir_kw_ref ref;
  int mask;  // -1: whatever the mask
  unsigned serial;
} memo_entry;

typedef struct {
  weir_arena *arena;
  const ir_kernel *kernel;
  int *vars;  // by id: the first vector of the warp
  int var_count, temp_count, most_temps, mask_count, most_masks;
  ir_ki_value *consts;
  int const_count, const_capacity;  // values
  int sizes, granule, total;
  ir_kw_insn *code;
  int code_count, code_capacity;
  memo_entry memo[1 << MEMO_BITS];
  unsigned serial;
  bool too_big, uses_wgmma;
} compiler;

// ---- vectors
static int vars_new(compiler *c, int64_t count) {
  if (count < 0 || c->var_count + count > MAX_VECTORS) {
    c->too_big = true;
    return 0;
  }
  c->var_count += (int)count;
  return c->var_count - (int)count;
}

static ir_kw_ref temp_new(compiler *c) {
  if (++c->temp_count > c->most_temps) c->most_temps = c->temp_count;
  if (c->temp_count > MAX_VECTORS) c->too_big = true;
  return c->temp_count - 1;
}

static int mask_new(compiler *c) {
  if (++c->mask_count > c->most_masks) c->most_masks = c->mask_count;
  return c->mask_count - 1;
}

static ir_kw_ref const_new(compiler *c, ir_ki_value value) {
  int vectors = c->const_count / IR_WARP;
  // Constants are few; the newest are asked for again most.
  for (int i = vectors - 1; i >= 0 && i >= vectors - 64; i--)
    if (i >= c->sizes + c->kernel->size_count && c->consts[i * IR_WARP].i == value.i) return IR_KW_CONST + i;
  if (vectors > MAX_VECTORS) c->too_big = true;
  for (int i = 0; i < IR_WARP; i++) WEIR_PUSH(c->arena, c->consts, c->const_count, c->const_capacity, value);
  return IR_KW_CONST + vectors;
}

static ir_kw_ref int_const(compiler *c, int64_t value) { return const_new(c, (ir_ki_value){.i = value}); }

static void emit(compiler *c, ir_kw_insn insn) {
  if (c->total++ > MAX_CODE) c->too_big = true;
  WEIR_PUSH(c->arena, c->code, c->code_count, c->code_capacity, insn);
}

// ---- the memo
static memo_entry *memo_at(compiler *c, const ir_kexpr *e) {
  return &c->memo[((uintptr_t)e >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - MEMO_BITS)];
}

// ---- expressions
static ir_kw_ref compile(compiler *c, const ir_kexpr *e, int mask);

// May fail, or depends on more than its thread.
static bool is_strict(const ir_kexpr *e) { return e->op == IR_K_dot4_7 || ir_kx_facts(e).data; }

// The element of a register array: a constant in |*out_const|, or the vector returned.
static ir_kw_ref compile_element(compiler *c, const ir_kvar *var, const ir_kexpr *const *indices, int count, int mask,
                                 int64_t *out_const) {
  int64_t value, element = 0;
  bool is_const = true;
  for (int i = 0; i < count; i++) {
    is_const = is_const && ir_kx_is_const(indices[i], &value);
    if (is_const) element = element * var->dims[i] + value;
  }
  *out_const = is_const ? element : 0;
  if (is_const) return IR_KW_NONE;
  ir_kw_ref sum = IR_KW_NONE;
  for (int i = 0; i < count; i++) {
    ir_kw_ref index = compile(c, indices[i], mask);
    emit(c, (ir_kw_insn){.kind = IR_KW_DIM, .mask = mask, .a = index, .b = var->dims[i]});
    if (i == 0) {
      sum = index;
      continue;
    }
    static const ir_kexpr multiply = {.op = IR_K_mul, .type = IR_KT_i64}, add = {.op = IR_K_add, .type = IR_KT_i64};
    ir_kw_ref scaled = temp_new(c), next = temp_new(c);
    emit(c,
         (ir_kw_insn){.kind = IR_KW_OP, .expr = &multiply, .dst = scaled, .a = sum, .b = int_const(c, var->dims[i])});
    emit(c, (ir_kw_insn){.kind = IR_KW_OP, .expr = &add, .dst = next, .a = scaled, .b = index});
    sum = next;
  }
  return sum;
}

static ir_kw_ref compile_var(compiler *c, const ir_kexpr *e, int mask) {
  int first = c->vars[e->var->id];
  if (e->var->kind != IR_KVAR_REG) return ~first;
  int64_t fixed;
  ir_kw_ref element = compile_element(c, e->var, e->args, e->arg_count, mask, &fixed);
  if (element == IR_KW_NONE && !c->uses_wgmma) return ~(first + (int)fixed);
  if (element == IR_KW_NONE) element = int_const(c, fixed);
  ir_kw_ref dst = temp_new(c);
  emit(c, (ir_kw_insn){.kind = IR_KW_READ, .mask = mask, .expr = e, .dst = dst, .a = element, .b = first});
  return dst;
}

static ir_kw_ref compile_select(compiler *c, const ir_kexpr *e, int mask) {
  ir_kw_ref condition = compile(c, e->args[0], mask), arms[2];
  for (int arm = 0; arm < 2; arm++) {
    int inner = mask;
    if (is_strict(e->args[arm + 1])) {
      inner = mask_new(c);
      emit(c, (ir_kw_insn){arm ? IR_KW_MASK_NOT : IR_KW_MASK, mask, NULL, inner, condition, 0, 0});
    }
    arms[arm] = compile(c, e->args[arm + 1], inner);
  }
  ir_kw_ref dst = temp_new(c);
  emit(c, (ir_kw_insn){IR_KW_OP, mask, e, dst, condition, arms[0], arms[1]});
  return dst;
}

static void shared_access(compiler *c, int buffer, int bytes) {
  if (c->kernel->buffers[buffer].kind == IR_KB_SHARED && bytes < c->granule) c->granule = bytes;
}

static ir_kw_ref compile_node(compiler *c, const ir_kexpr *e, int mask) {
  switch (e->op) {
    case IR_K_const:
      return const_new(c, ir_ktype_is_float(e->type) ? (ir_ki_value){.f = e->f} : (ir_ki_value){.i = e->i});
    case IR_K_size:
      return IR_KW_CONST + c->sizes + e->index;
    case IR_K_var:
      return compile_var(c, e, mask);
    case IR_K_select:
      return compile_select(c, e, mask);
    case IR_K_load: {
      shared_access(c, e->index, ir_ktype_bytes(e->type));
      ir_kw_ref index = compile(c, e->args[0], mask);
      ir_kw_ref request = e->arg_count > 1 ? compile(c, e->args[1], mask) : IR_KW_NONE, dst = temp_new(c);
      emit(c, (ir_kw_insn){IR_KW_LOAD, mask, e, dst, index, request, 0});
      return dst;
    }
    default: {
      ir_kw_ref args[3] = {0};
      for (int i = 0; i < e->arg_count && i < 3; i++) args[i] = compile(c, e->args[i], mask);
      ir_kw_ref dst = temp_new(c);
      emit(c, (ir_kw_insn){IR_KW_OP, mask, e, dst, args[0], args[1], args[2]});
      return dst;
    }
  }
}

static ir_kw_ref compile(compiler *c, const ir_kexpr *e, int mask) {
  memo_entry *m = memo_at(c, e);
  if (m->expr == e && m->serial == c->serial && (m->mask < 0 || m->mask == mask)) return m->ref;
  if (c->too_big) return 0;
  ir_kw_ref ref = compile_node(c, e, mask);
  bool any_mask = mask == 0 || !is_strict(e);
  *memo_at(c, e) = (memo_entry){e, ref, any_mask ? -1 : mask, c->serial};
  return ref;
}

static ir_kw_ref compile_value(compiler *c, const ir_kexpr *e) { return e ? compile(c, e, 0) : IR_KW_NONE; }

static ir_kw_place compile_place(compiler *c, const ir_kplace *at, int bytes) {
  if (!at->index) return (ir_kw_place){0};
  shared_access(c, at->buffer, bytes);
  return (ir_kw_place){at->buffer, at->type, compile_value(c, at->index), compile_value(c, at->request)};
}

static ir_kw_regs compile_regs(compiler *c, const ir_kregs *r) {
  if (!r->var) return (ir_kw_regs){-1, IR_KW_NONE};
  int64_t fixed;
  ir_kw_ref element = compile_element(c, r->var, r->indices, r->index_count, 0, &fixed);
  return (ir_kw_regs){c->vars[r->var->id] + (int)fixed, element};
}

// ---- statements
static const ir_kw_stmt *compile_list(compiler *c, const ir_kstmt *stmt);

static int64_t elements_of(const ir_kvar *var) {
  int64_t count = 1;
  for (int i = 0; i < var->rank; i++) count *= var->dims[i];
  return count;
}

static void compile_block(compiler *c, const ir_kblock *b, ir_kw_stmt *out) {
  int width = 16;
  if (b->op == IR_KO_ASYNC) width = b->number;
  if (b->op == IR_KO_READ) width = b->number * ir_ktype_bytes(b->from.type);
  if (b->op == IR_KO_WRITE) width = b->number * ir_ktype_bytes(b->to.type);
  if (b->op == IR_KO_ATOMIC) width = 4;
  if (b->var) c->vars[b->var->id] = vars_new(c, 1);
  out->to = compile_place(c, &b->to, width);
  out->from = compile_place(c, &b->from, width);
  out->signal = compile_place(c, &b->signal, width);
  out->shared_a = compile_place(c, &b->shared_a.at, width);
  out->shared_b = compile_place(c, &b->shared_b.at, width);
  out->c = compile_regs(c, &b->c);
  out->a = compile_regs(c, &b->a);
  out->b = compile_regs(c, &b->b);
  out->value = compile_value(c, b->value);
  out->condition = compile_value(c, b->condition);
  for (int i = 0; i < IR_KMAP_MAX_RANK; i++) out->coords[i] = compile_value(c, b->coords[i]);
  if (b->var) out->c = (ir_kw_regs){c->vars[b->var->id], IR_KW_NONE};
}

static void compile_own(compiler *c, const ir_kstmt *s, ir_kw_stmt *out) {
  switch (s->kind) {
    case IR_KS_FOR:
      out->lo = compile(c, s->lo, 0);
      out->hi = compile(c, s->hi, 0);
      c->vars[s->var->id] = vars_new(c, 1);
      out->limit = vars_new(c, 1);
      out->c = (ir_kw_regs){c->vars[s->var->id], IR_KW_NONE};
      if (s->range == IR_KR_TILES) out->tile = c->vars[s->tile_var->id] = vars_new(c, 1);
      break;
    case IR_KS_IF:
      out->value = compile(c, s->expr, 0);
      break;
    case IR_KS_LET:
    case IR_KS_REG:
      out->value = compile(c, s->expr, 0);
      c->vars[s->var->id] = vars_new(c, elements_of(s->var));
      out->c = (ir_kw_regs){c->vars[s->var->id], IR_KW_NONE};
      break;
    case IR_KS_SET: {
      const ir_kregs to = {s->var, s->index_count, {s->indices[0], s->indices[1], s->indices[2]}};
      out->value = compile(c, s->expr, 0);
      out->c = compile_regs(c, &to);
      break;
    }
    case IR_KS_STORE: {
      const ir_kplace to = {s->buffer, s->type, s->indices[0], s->index_count > 1 ? s->indices[1] : NULL};
      out->value = compile(c, s->expr, 0);
      out->to = compile_place(c, &to, ir_ktype_bytes(s->type));
      break;
    }
    case IR_KS_BLOCK:
      compile_block(c, s->block, out);
      break;
    default:
      break;
  }
}

static const ir_kw_stmt *compile_list(compiler *c, const ir_kstmt *stmt) {
  const ir_kw_stmt *first = NULL, **end = &first;
  for (; stmt && !c->too_big; stmt = stmt->next) {
    if (stmt->kind == IR_KS_COMMENT || stmt->kind == IR_KS_PREFETCH) continue;
    ir_kw_stmt *out = WEIR_NEW(c->arena, ir_kw_stmt);
    *out = (ir_kw_stmt){.stmt = stmt, .value = IR_KW_NONE, .condition = IR_KW_NONE};
    c->code = NULL;
    c->code_count = c->code_capacity = 0;
    c->temp_count = 0;
    c->mask_count = 1;
    c->serial++;
    compile_own(c, stmt, out);
    out->code = c->code;
    out->code_count = c->code_count;
    out->body = compile_list(c, stmt->body);
    out->body2 = compile_list(c, stmt->body2);
    *end = out;
    end = &out->next;
  }
  return first;
}

static bool has_wgmma(const ir_kstmt *s) {
  for (; s; s = s->next) {
    if (s->kind == IR_KS_BLOCK && s->block->op == IR_KO_WGMMA) return true;
    if (has_wgmma(s->body) || has_wgmma(s->body2)) return true;
  }
  return false;
}

weir_status ir_kw_compile(weir_arena *arena, const ir_kernel *kernel, ir_kw_code *out_code) {
  compiler *c = WEIR_NEW(arena, compiler);
  c->arena = arena, c->kernel = kernel, c->granule = 16, c->most_masks = 1;
  c->vars = WEIR_NEW_ARRAY(arena, int, kernel->var_count + 1);
  c->uses_wgmma = has_wgmma(kernel->body);
  for (int i = 0; i < kernel->size_count * IR_WARP; i++)
    WEIR_PUSH(arena, c->consts, c->const_count, c->const_capacity, (ir_ki_value){0});
  int thread = vars_new(c, 1), grid = vars_new(c, 1);
  c->vars[kernel->thread_var->id] = thread;
  if (kernel->grid_var) c->vars[kernel->grid_var->id] = grid;
  const ir_kw_stmt *first = compile_list(c, kernel->body);
  int64_t blocks = kernel->cluster ? kernel->cluster : 1, warps = kernel->threads / IR_WARP;
  if (c->too_big || c->var_count * warps * blocks > MAX_VECTORS)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel %s needs too many registers", kernel->name);
  *out_code = (ir_kw_code){.first = first,
                           .temp_count = c->most_temps,
                           .var_count = c->var_count,
                           .mask_count = c->most_masks,
                           .temps = WEIR_NEW_ARRAY(arena, ir_ki_value, (int64_t)c->most_temps * IR_WARP + 1),
                           .consts = c->consts,
                           .grid = grid,
                           .thread = thread,
                           .granule = c->granule,
                           .uses_wgmma = c->uses_wgmma};
  return WEIR_OK;
}
