// Kernels to interpreter code.
//
// Every range is a frame with two code lists: what runs once in front of it and its body. An expression without loads
// and register reads is emitted in front of the outermost range it does not depend on; the rest where it stands. Equal
// nodes of a statement are computed once. Memo entries live in scopes (lists, statements, arms of a select): leaving
// one forgets what it may not have computed.
#include <math.h>
#include <string.h>

#include "ir/kernel_interp.h"

enum { MAX_SLOTS = 1 << 22, MEMO_BITS = 12, MAX_SCOPES = 4 * IR_K_MAX_NEST + 2 * IR_K_MAX_DEPTH };

typedef struct {
  ir_ki_insn *insns;
  int count, capacity;
} code_list;

typedef struct {
  code_list before, body;
  const ir_kstmt *stmt;  // null: the kernel, or its items
  int lane;              // slot: lane of this iteration; -1 outside of lanes ranges
  int partial_lane;      // slot: partial result of this iteration
  int scope;             // of the body
} frame;

typedef struct {
  const ir_kexpr *expr;
  int slot, frame;  // |frame|: the innermost range it depends on
  bool pure;
  int scope;
  unsigned serial;
} memo_entry;

typedef struct {
  int slot, frame;
  bool pure;
} place;

typedef struct {
  place at;      // range variables and values; registers: the first slot
  int partials;  // register: slots of its partial results in the open lanes range, -1: none
} var_place;

typedef struct {
  weir_arena *arena;
  const ir_kernel *kernel;
  bool round_f32, matrix_unit, too_big;
  frame frames[IR_K_MAX_NEST + 4];
  int depth;        // open frame
  int lanes_frame;  // innermost frame of a lanes range, 0: none
  var_place *vars;  // by id
  ir_ki_value *slots;
  int slot_count, slot_capacity;
  memo_entry memo[1 << MEMO_BITS];
  unsigned serials[MAX_SCOPES], next_serial;
  int scope, list_scope;
  const ir_kstmt **stmts;
  int stmt_count, stmt_capacity;
  int first_size, zero;
} compiler;

// ---- slots and code
static int slots_new(compiler *c, int64_t count) {
  if (count < 0 || c->slot_count + count > MAX_SLOTS) {
    c->too_big = true;
    return 0;
  }
  int first = c->slot_count;
  if (c->slot_count + count > c->slot_capacity) {
    int capacity = 2 * (c->slot_count + (int)count);
    c->slots = weir_arena_grow(c->arena, c->slots, (size_t)c->slot_count, (size_t)capacity, sizeof *c->slots);
    c->slot_capacity = capacity;
  }
  c->slot_count += (int)count;
  return first;
}

static int slot_const(compiler *c, ir_ki_value value) {
  int slot = slots_new(c, 1);
  c->slots[slot] = value;
  return slot;
}

static int int_const(compiler *c, int64_t value) {
  return value == 0 ? c->zero : slot_const(c, (ir_ki_value){.i = value});
}

static int emit(compiler *c, code_list *list, ir_ki_op op, int aux, int dst, int a, int b, int d) {
  ir_ki_insn insn = {(uint16_t)op, (uint16_t)aux, dst, a, b, d, c->stmt_count - 1};
  WEIR_PUSH(c->arena, list->insns, list->count, list->capacity, insn);
  return list->count - 1;
}

static code_list *here(compiler *c) { return &c->frames[c->depth].body; }

static void patch(code_list *list, int at) { list->insns[at].c = list->count - at; }

static void append(compiler *c, code_list *to, const code_list *from) {
  for (int i = 0; i < from->count; i++) WEIR_PUSH(c->arena, to->insns, to->count, to->capacity, from->insns[i]);
}

// ---- scopes and the memo
// The verifier bounds the nesting of lists and expressions, and with it that of scopes.
static void scope_open(compiler *c) { c->serials[++c->scope] = ++c->next_serial; }

static void scope_close(compiler *c) { c->scope--; }

static memo_entry *memo_at(compiler *c, const ir_kexpr *e) {
  return &c->memo[((uintptr_t)e >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - MEMO_BITS)];
}

static bool memo_find(compiler *c, const ir_kexpr *e, place *out) {
  const memo_entry *m = memo_at(c, e);
  if (m->expr != e || m->scope > c->scope || c->serials[m->scope] != m->serial) return false;
  *out = (place){m->slot, m->frame, m->pure};
  return true;
}

static void memo_put(compiler *c, const ir_kexpr *e, place p, int scope) {
  *memo_at(c, e) = (memo_entry){e, p.slot, p.frame, p.pure, scope, c->serials[scope]};
}

// ---- expressions
static place compile_expr(compiler *c, const ir_kexpr *e);

static int slot_of(compiler *c, const ir_kexpr *e) { return compile_expr(c, e).slot; }

// Where an operation on these operands is computed.
static code_list *home(compiler *c, place p) {
  return p.pure && p.frame < c->depth ? &c->frames[p.frame + 1].before : here(c);
}

static ir_ki_op float_op(ir_kop op) {
  static const ir_ki_op table[IR_K_COUNT] = {
      [IR_K_add] = IR_KI_FADD,   [IR_K_sub] = IR_KI_FSUB,     [IR_K_mul] = IR_KI_FMUL,   [IR_K_div] = IR_KI_FDIV,
      [IR_K_mod] = IR_KI_FMOD,   [IR_K_min] = IR_KI_FMIN,     [IR_K_max] = IR_KI_FMAX,   [IR_K_fma] = IR_KI_FMA,
      [IR_K_neg] = IR_KI_FNEG,   [IR_K_abs] = IR_KI_FABS,     [IR_K_sqrt] = IR_KI_FSQRT, [IR_K_rsqrt] = IR_KI_FRSQRT,
      [IR_K_exp] = IR_KI_FEXP,   [IR_K_log] = IR_KI_FLOG,     [IR_K_sin] = IR_KI_FSIN,   [IR_K_cos] = IR_KI_FCOS,
      [IR_K_tanh] = IR_KI_FTANH, [IR_K_erf] = IR_KI_FERF,     [IR_K_pow] = IR_KI_FPOW,   [IR_K_floor] = IR_KI_FFLOOR,
      [IR_K_ceil] = IR_KI_FCEIL, [IR_K_round] = IR_KI_FROUND, [IR_K_eq] = IR_KI_FEQ,     [IR_K_ne] = IR_KI_FNE,
      [IR_K_lt] = IR_KI_FLT,     [IR_K_le] = IR_KI_FLE,       [IR_K_gt] = IR_KI_FGT,     [IR_K_ge] = IR_KI_FGE,
  };
  return table[op];
}

static ir_ki_op int_op(ir_kop op) {
  static const ir_ki_op table[IR_K_COUNT] = {
      [IR_K_add] = IR_KI_IADD, [IR_K_sub] = IR_KI_ISUB, [IR_K_mul] = IR_KI_IMUL, [IR_K_div] = IR_KI_IDIV,
      [IR_K_mod] = IR_KI_IMOD, [IR_K_min] = IR_KI_IMIN, [IR_K_max] = IR_KI_IMAX, [IR_K_neg] = IR_KI_INEG,
      [IR_K_abs] = IR_KI_IABS, [IR_K_and] = IR_KI_AND,  [IR_K_or] = IR_KI_OR,    [IR_K_xor] = IR_KI_XOR,
      [IR_K_not] = IR_KI_NOT,  [IR_K_shl] = IR_KI_SHL,  [IR_K_shr] = IR_KI_SHR,  [IR_K_eq] = IR_KI_IEQ,
      [IR_K_ne] = IR_KI_INE,   [IR_K_lt] = IR_KI_ILT,   [IR_K_le] = IR_KI_ILE,   [IR_K_gt] = IR_KI_IGT,
      [IR_K_ge] = IR_KI_IGE,
  };
  return table[op];
}

// Operations whose float64 result is an f32 already when the operands are.
static bool keeps_f32(ir_kop op) {
  return op == IR_K_neg || op == IR_K_abs || op == IR_K_min || op == IR_K_max || op == IR_K_floor || op == IR_K_ceil ||
         op == IR_K_round;
}

// Operations that cannot leave the type of their operands.
static bool keeps_width(ir_kop op) {
  return op == IR_K_and || op == IR_K_or || op == IR_K_xor || op == IR_K_shr || op == IR_K_min || op == IR_K_max ||
         op == IR_K_mod;
}

static void emit_float(compiler *c, code_list *list, const ir_kexpr *e, int dst, const int *s) {
  bool compares = e->type == IR_KT_bool, round = c->round_f32 && e->type == IR_KT_f32 && !keeps_f32(e->op);
  ir_ki_op op = float_op(e->op);
  if (round && (op == IR_KI_FMA || op == IR_KI_FRSQRT)) {
    emit(c, list, op == IR_KI_FMA ? IR_KI_FMA32 : IR_KI_FRSQRT32, 0, dst, s[0], s[1], s[2]);
    return;
  }
  emit(c, list, op, 0, dst, s[0], s[1], s[2]);
  if (round && !compares) emit(c, list, IR_KI_ROUND32, 0, dst, dst, 0, 0);
}

static void emit_int(compiler *c, code_list *list, const ir_kexpr *e, int dst, const int *s) {
  ir_ktype type = e->args[0]->type;
  bool logical = e->op == IR_K_not && type == IR_KT_bool;
  emit(c, list, logical ? IR_KI_LNOT : int_op(e->op), 8 * ir_ktype_bytes(type), dst, s[0], s[1], s[2]);
  bool wraps = ir_ktype_is_int(e->type) && e->type != IR_KT_i64 && !keeps_width(e->op);
  if (wraps) emit(c, list, IR_KI_WRAP, e->type, dst, dst, 0, 0);
}

static void emit_cast(compiler *c, code_list *list, const ir_kexpr *e, int dst, int a) {
  ir_ktype from = e->args[0]->type, to = e->type;
  bool from_float = ir_ktype_is_float(from);
  if (!ir_ktype_is_float(to)) {
    emit(c, list, from_float ? IR_KI_F2I : IR_KI_WRAP, to, dst, a, 0, 0);
    return;
  }
  emit(c, list, from_float ? IR_KI_MOV : IR_KI_I2F, 0, dst, a, 0, 0);
  if (to == IR_KT_f32) emit(c, list, IR_KI_ROUND32, 0, dst, dst, 0, 0);
  else if (to != IR_KT_f64) emit(c, list, IR_KI_NARROW, to, dst, dst, 0, 0);
}

static ir_ki_op dot_op(ir_kop op) {
  return op == IR_K_dot4 ? IR_KI_DOT4 : op == IR_K_dot4_7 ? IR_KI_DOT4_7 : op == IR_K_dot2 ? IR_KI_DOT2 : IR_KI_PACK2;
}

static place compile_op(compiler *c, const ir_kexpr *e) {
  place p = {0, 0, true};
  int s[3] = {0, 0, 0};
  for (int i = 0; i < e->arg_count && i < 3; i++) {
    place a = compile_expr(c, e->args[i]);
    s[i] = a.slot;
    p.pure &= a.pure;
    if (a.frame > p.frame) p.frame = a.frame;
  }
  if (e->op == IR_K_dot4_7) p.pure = false;  // may fail: stays where it is asked for
  if (!p.pure) p.frame = c->depth;
  p.slot = slots_new(c, 1);
  code_list *list = home(c, p);
  ir_ktype type = e->args[0]->type;
  if (e->op == IR_K_select) emit(c, list, IR_KI_SELECT, 0, p.slot, s[0], s[1], s[2]);
  else if (e->op == IR_K_cast) emit_cast(c, list, e, p.slot, s[0]);
  else if (e->op == IR_K_bitcast) emit(c, list, IR_KI_BITCAST, (int)type * 32 + (int)e->type, p.slot, s[0], 0, 0);
  else if (e->op >= IR_K_dot4) emit(c, list, dot_op(e->op), 0, p.slot, s[0], s[1], s[2]);
  else if (ir_ktype_is_float(type)) emit_float(c, list, e, p.slot, s);
  else emit_int(c, list, e, p.slot, s);
  return p;
}

// A select with loads in it: one arm only is computed.
static place compile_branches(compiler *c, const ir_kexpr *e) {
  int condition = slot_of(c, e->args[0]), dst = slots_new(c, 1);
  int list_scope = c->list_scope;
  int skip = emit(c, here(c), IR_KI_JZ, 0, 0, condition, 0, 0);
  for (int arm = 1; arm <= 2; arm++) {
    scope_open(c);
    c->list_scope = c->scope;
    int value = slot_of(c, e->args[arm]);
    emit(c, here(c), IR_KI_MOV, 0, dst, value, 0, 0);
    scope_close(c);
    int leave = arm == 1 ? emit(c, here(c), IR_KI_JMP, 0, 0, 0, 0, 0) : 0;
    patch(here(c), skip);
    skip = leave;
  }
  c->list_scope = list_scope;
  return (place){dst, c->depth, false};
}

// The index of an access as two slots to be added: the invariant part of a sum is left in front of the loop.
static void compile_index(compiler *c, const ir_kexpr *index, int *out_a, int *out_b) {
  place whole;
  *out_b = c->zero;
  if (index->op == IR_K_add && !memo_find(c, index, &whole)) {
    place x = compile_expr(c, index->args[0]), y = compile_expr(c, index->args[1]);
    if (!x.pure || !y.pure || x.frame == c->depth || y.frame == c->depth) {
      *out_a = x.slot, *out_b = y.slot;
      return;
    }
  }
  *out_a = slot_of(c, index);
}

static bool is_plain(const compiler *c, int buffer) {
  ir_kbuffer_kind kind = c->kernel->buffers[buffer].kind;
  return kind != IR_KB_LOCAL && kind != IR_KB_TABLE_IN && kind != IR_KB_TABLE_INOUT;
}

static place compile_load(compiler *c, const ir_kexpr *e) {
  int a, b;
  place p = {0, c->depth, false};
  if (is_plain(c, e->index)) {
    compile_index(c, e->args[0], &a, &b);
    p.slot = slots_new(c, 1);
    emit(c, here(c), (ir_ki_op)(IR_KI_LD_f16 + (int)e->type), 0, p.slot, a, e->index, b);
    return p;
  }
  a = slot_of(c, e->args[0]);
  b = e->arg_count > 1 ? slot_of(c, e->args[1]) : c->zero;
  p.slot = slots_new(c, 1);
  emit(c, here(c), IR_KI_LDX, e->type, p.slot, a, e->index, b);
  return p;
}

// The element of a register array, checked where its bounds do not show it. |*out_const| if it is known now.
static int compile_element(compiler *c, const ir_kvar *var, const ir_kexpr *const *indices, bool *out_const,
                           int64_t *out_element) {
  int slot = c->zero;
  place sum = {c->zero, 0, true};
  *out_const = true;
  *out_element = 0;
  for (int i = 0; i < var->rank; i++) {
    int64_t value;
    *out_const &= ir_kx_is_const(indices[i], &value);
    if (*out_const) *out_element = *out_element * var->dims[i] + value;
  }
  if (*out_const) return slot;
  for (int i = 0; i < var->rank; i++) {
    place p = compile_expr(c, indices[i]);
    ir_kfacts f = ir_kx_facts(indices[i]);
    if (f.lo < 0 || f.hi >= var->dims[i]) emit(c, here(c), IR_KI_DIM, 0, 0, p.slot, var->dims[i], 0);
    if (p.frame > sum.frame) sum.frame = p.frame;
    sum.pure &= p.pure;
    if (i > 0) {
      int scaled = slots_new(c, 1), next = slots_new(c, 1);
      emit(c, home(c, sum), IR_KI_IMUL, 0, scaled, sum.slot, int_const(c, var->dims[i]), 0);
      emit(c, home(c, sum), IR_KI_IADD, 0, next, scaled, p.slot, 0);
      sum.slot = next;
    } else {
      sum.slot = p.slot;
    }
  }
  return sum.slot;
}

static int64_t reg_elements(const ir_kvar *var) {
  int64_t count = 1;
  for (int i = 0; i < var->rank; i++) count *= var->dims[i];
  return count;
}

static place compile_read(compiler *c, const ir_kexpr *e) {
  const ir_kvar *var = e->var;
  place at = c->vars[var->id].at;
  if (var->kind != IR_KVAR_REG) return at;
  bool is_const;
  int64_t element;
  int index = compile_element(c, var, e->args, &is_const, &element);
  place p = {0, c->depth, false};
  if (var->lanes) {
    if (is_const) index = int_const(c, element);
    p.slot = slots_new(c, 1);
    emit(c, here(c), IR_KI_RDL, (int)reg_elements(var), p.slot, index, at.slot, c->frames[c->lanes_frame].lane);
  } else if (is_const) {
    p.slot = at.slot + (int)element;
  } else {
    p.slot = slots_new(c, 1);
    emit(c, here(c), IR_KI_RD, (int)reg_elements(var), p.slot, index, at.slot, 0);
  }
  return p;
}

static place compile_new(compiler *c, const ir_kexpr *e) {
  switch (e->op) {
    case IR_K_const: {
      ir_ki_value value = {.i = e->i};
      if (ir_ktype_is_float(e->type)) value.f = ir_ktype_round(e->type, e->f);
      return (place){slot_const(c, value), 0, true};
    }
    case IR_K_size:
      return (place){c->first_size + e->index, 0, true};
    case IR_K_matrix_unit:
      return (place){int_const(c, c->matrix_unit), 0, true};
    case IR_K_load:
      return compile_load(c, e);
    case IR_K_select:
      return ir_kx_facts(e).data ? compile_branches(c, e) : compile_op(c, e);
    default:
      return compile_op(c, e);
  }
}

static place compile_expr(compiler *c, const ir_kexpr *e) {
  place p;
  if (e->op == IR_K_var) return compile_read(c, e);
  if (memo_find(c, e, &p)) return p;
  p = compile_new(c, e);
  // What stands in front of a range is known as long as the range is open.
  int scope = p.pure ? (p.frame < c->depth ? c->frames[p.frame + 1].scope : c->list_scope) : c->scope;
  memo_put(c, e, p, scope);
  return p;
}

// ---- statements
static void compile_list(compiler *c, const ir_kstmt *stmt);

static void compile_scope(compiler *c, const ir_kstmt *list) {
  int list_scope = c->list_scope;
  scope_open(c);
  c->list_scope = c->scope;
  compile_list(c, list);
  scope_close(c);
  c->list_scope = list_scope;
}

static void emit_combine(compiler *c, ir_kop op, ir_ktype type, int dst, int a, int b) {
  ir_kexpr operand = {.op = IR_K_const, .type = type},
           e = {.op = op, .type = type, .arg_count = 2, .args = {&operand, &operand}};
  int s[3] = {a, b, 0};
  if (ir_ktype_is_float(type)) emit_float(c, here(c), &e, dst, s);
  else emit_int(c, here(c), &e, dst, s);
}

static ir_ki_value identity(ir_kop op, ir_ktype type) {
  ir_ki_value v = {0};
  int64_t lo, hi;
  ir_ktype_limits(type, &lo, &hi);
  bool is_float = ir_ktype_is_float(type);
  if (op == IR_K_mul) is_float ? (v.f = 1) : (v.i = 1);
  else if (op == IR_K_max) is_float ? (v.f = -INFINITY) : (v.i = lo);
  else if (op == IR_K_min) is_float ? (v.f = INFINITY) : (v.i = hi);
  return v;
}

// Calls |visit| for the registers that the lanes range |list| is the body of reduces into, once for each statement.
static void visit_reductions(compiler *c, const ir_kstmt *list, void (*visit)(compiler *c, const ir_kstmt *reduce)) {
  for (const ir_kstmt *s = list; s; s = s->next) {
    if (s->kind == IR_KS_REDUCE) visit(c, s);
    if (s->kind == IR_KS_FOR && s->range == IR_KR_LANES) continue;
    visit_reductions(c, s->body, visit);
    visit_reductions(c, s->body2, visit);
  }
}

static void partials_open(compiler *c, const ir_kstmt *reduce) {
  var_place *v = &c->vars[reduce->var->id];
  if (v->partials >= 0) return;
  int64_t count = reg_elements(reduce->var) * IR_LANES;
  v->partials = slots_new(c, count);
  int start = slot_const(c, identity(reduce->combine, reduce->var->type));
  emit(c, here(c), IR_KI_FILL, 0, v->partials, start, 0, (int)count);
}

static void partials_close(compiler *c, const ir_kstmt *reduce) {
  var_place *v = &c->vars[reduce->var->id];
  if (v->partials < 0) return;
  for (int i = 0; i < reg_elements(reduce->var); i++)
    emit(c, here(c), IR_KI_REDUCE, reduce->var->type, v->at.slot + i, v->partials + i * IR_LANES, reduce->combine, 0);
  v->partials = -1;
}

static frame *frame_open(compiler *c, const ir_kstmt *stmt, const ir_kvar *var, int slots) {
  frame *f = &c->frames[++c->depth];
  *f = (frame){.stmt = stmt, .lane = -1};
  int slot = slots_new(c, slots);
  if (var) c->vars[var->id].at = (place){slot, c->depth, true};
  scope_open(c);
  f->scope = c->scope;
  return f;
}

// Puts what stands in front of the range, the loop and its body at the end of the list around it.
static void loop_close(compiler *c, int var, int lo, int hi, int step) {
  frame *f = &c->frames[c->depth--];
  scope_close(c);
  code_list *out = here(c);
  append(c, out, &f->before);
  int head = emit(c, out, IR_KI_LOOP, 0, var, lo, hi, 0), body = out->count;
  append(c, out, &f->body);
  emit(c, out, IR_KI_NEXT, 0, var, step, hi, body - out->count);
  patch(out, head);
}

static void tiles_close(compiler *c, const ir_kstmt *s, int var, int lo, int hi) {
  frame *f = &c->frames[c->depth--];
  scope_close(c);
  code_list *out = here(c);
  append(c, out, &f->before);
  int tiles = slots_new(c, s->tile_count);
  for (int i = 0; i < s->tile_count && !c->too_big; i++) c->slots[tiles + i].i = s->tiles[i];
  emit(c, out, IR_KI_MOV, 0, var, lo, 0, 0);
  int head = emit(c, out, IR_KI_TILE, s->tile_count, var, hi, tiles, 0);
  append(c, out, &f->body);
  emit(c, out, IR_KI_TNEXT, 0, var, 0, 0, head - out->count);
  patch(out, head);
}

// Slots of the lane of an iteration and of the partial result it goes to.
static void lanes_head(compiler *c, frame *f, int var, int lo) {
  f->lane = slots_new(c, 1);
  f->partial_lane = slots_new(c, 1);
  emit(c, here(c), IR_KI_ISUB, 0, f->lane, var, lo, 0);
  emit(c, here(c), IR_KI_AND, 0, f->partial_lane, f->lane, int_const(c, IR_LANES - 1), 0);
}

// |e| in a slot of its own: a register may change later.
static place compile_copy(compiler *c, const ir_kexpr *e) {
  place p = compile_expr(c, e);
  if (e->op != IR_K_var || e->var->kind != IR_KVAR_REG) return p;
  int copy = slots_new(c, 1);
  emit(c, here(c), IR_KI_MOV, 0, copy, p.slot, 0, 0);
  p.slot = copy;
  return p;
}

static void compile_for(compiler *c, const ir_kstmt *s) {
  bool lanes = s->range == IR_KR_LANES, tiles = s->range == IR_KR_TILES;
  scope_open(c);
  int lo = compile_copy(c, s->lo).slot, hi = compile_copy(c, s->hi).slot;
  scope_close(c);
  if (lanes) visit_reductions(c, s->body, partials_open);
  int list_scope = c->list_scope, lanes_frame = c->lanes_frame;
  frame *f = frame_open(c, s, s->var, tiles ? 2 : 1);
  int var = c->vars[s->var->id].at.slot;
  c->list_scope = c->scope;
  if (tiles) c->vars[s->tile_var->id].at = (place){var + 1, c->depth, true};
  if (lanes) {
    c->lanes_frame = c->depth;
    lanes_head(c, f, var, lo);
  }
  compile_list(c, s->body);
  c->list_scope = list_scope;
  c->lanes_frame = lanes_frame;
  if (tiles) tiles_close(c, s, var, lo, hi);
  else loop_close(c, var, lo, hi, int_const(c, s->step));
  if (lanes) visit_reductions(c, s->body, partials_close);
}

static void compile_if(compiler *c, const ir_kstmt *s) {
  scope_open(c);
  int condition = slot_of(c, s->expr);
  scope_close(c);
  int skip = emit(c, here(c), IR_KI_JZ, 0, 0, condition, 0, 0);
  compile_scope(c, s->body);
  if (s->body2) {
    int leave = emit(c, here(c), IR_KI_JMP, 0, 0, 0, 0, 0);
    patch(here(c), skip);
    compile_scope(c, s->body2);
    skip = leave;
  }
  patch(here(c), skip);
}

static void compile_let(compiler *c, const ir_kstmt *s) {
  place p = compile_copy(c, s->expr);
  if (!p.pure) p.frame = c->depth;
  p.pure = true;
  c->vars[s->var->id].at = p;
}

static void compile_reg(compiler *c, const ir_kstmt *s) {
  int64_t count = reg_elements(s->var) * (s->var->lanes ? IR_LANES : 1);
  int value = slot_of(c, s->expr), base = slots_new(c, count);
  c->vars[s->var->id] = (var_place){{base, c->depth, false}, -1};
  emit(c, here(c), IR_KI_FILL, 0, base, value, 0, (int)count);
}

// The result of the last instruction goes to |to| instead of the temporary |from| where that is all it is for.
static bool retarget(compiler *c, place value, int to) {
  code_list *list = here(c);
  if (value.pure || list->count == 0) return false;
  ir_ki_insn *last = &list->insns[list->count - 1];
  bool produces = last->op <= IR_KI_LD_u32 || last->op == IR_KI_RD || last->op == IR_KI_RDL;
  if (!produces || last->dst != value.slot || last->op == IR_KI_MOV) return false;
  last->dst = to;
  return true;
}

static void compile_set(compiler *c, const ir_kstmt *s) {
  const ir_kvar *var = s->var;
  bool is_const;
  int64_t element;
  int base = c->vars[var->id].at.slot, count = (int)reg_elements(var);
  int index = compile_element(c, var, s->indices, &is_const, &element);
  place value = compile_expr(c, s->expr);
  if (var->lanes) {
    if (is_const) index = int_const(c, element);
    emit(c, here(c), IR_KI_WRL, count, value.slot, index, base, c->frames[c->lanes_frame].lane);
  } else if (!is_const) {
    emit(c, here(c), IR_KI_WR, count, value.slot, index, base, 0);
  } else if (s->expr->op == IR_K_var || !retarget(c, value, base + (int)element)) {
    emit(c, here(c), IR_KI_MOV, 0, base + (int)element, value.slot, 0, 0);
  }
}

static void compile_reduce(compiler *c, const ir_kstmt *s) {
  const ir_kvar *var = s->var;
  var_place v = c->vars[var->id];
  bool is_const;
  int64_t element;
  int count = (int)reg_elements(var), index = compile_element(c, var, s->indices, &is_const, &element);
  int value = slot_of(c, s->expr), old = slots_new(c, 1);
  if (is_const) index = int_const(c, element);
  if (v.partials >= 0) {
    int lane = c->frames[c->lanes_frame].partial_lane;
    emit(c, here(c), IR_KI_RDL, count, old, index, v.partials, lane);
    emit_combine(c, s->combine, var->type, old, old, value);
    emit(c, here(c), IR_KI_WRL, count, old, index, v.partials, lane);
  } else {
    emit(c, here(c), IR_KI_RD, count, old, index, v.at.slot, 0);
    emit_combine(c, s->combine, var->type, old, old, value);
    emit(c, here(c), IR_KI_WR, count, old, index, v.at.slot, 0);
  }
}

static void compile_store(compiler *c, const ir_kstmt *s) {
  int a, b, value = slot_of(c, s->expr);
  if (is_plain(c, s->buffer)) {
    compile_index(c, s->indices[0], &a, &b);
    emit(c, here(c), IR_KI_ST, s->type, value, a, s->buffer, b);
    return;
  }
  a = slot_of(c, s->indices[0]);
  b = s->index_count > 1 ? slot_of(c, s->indices[1]) : c->zero;
  emit(c, here(c), IR_KI_STX, s->type, value, a, s->buffer, b);
}

static void compile_matdot(compiler *c, const ir_kstmt *s) {
  int first = slots_new(c, IR_KM_COUNT);
  for (int i = 0; i < IR_KM_COUNT; i++) emit(c, here(c), IR_KI_MOV, 0, first + i, slot_of(c, s->matdot->at[i]), 0, 0);
  emit(c, here(c), IR_KI_MATDOT, s->type, 0, first, 0, 0);
}

// One item runs at a time here.
static void compile_arrive(compiler *c, const ir_kstmt *s) {
  int a, b, count = slot_of(c, s->expr), one = int_const(c, 1), sum = slots_new(c, 1), full = slots_new(c, 1);
  compile_index(c, s->indices[0], &a, &b);
  emit(c, here(c), IR_KI_LD_i32, 0, sum, a, s->buffer, b);
  emit(c, here(c), IR_KI_IADD, 0, sum, sum, one, 0);
  emit(c, here(c), IR_KI_IEQ, 0, full, sum, count, 0);
  emit(c, here(c), IR_KI_SELECT, 0, sum, full, c->zero, sum);
  emit(c, here(c), IR_KI_ST, s->type, sum, a, s->buffer, b);
  emit(c, here(c), IR_KI_MOV, 0, c->vars[s->var->id].at.slot, full, 0, 0);
}

static void compile_simple(compiler *c, const ir_kstmt *s) {
  switch (s->kind) {
    case IR_KS_LET:
      compile_let(c, s);
      break;
    case IR_KS_REG:
      compile_reg(c, s);
      break;
    case IR_KS_SET:
      compile_set(c, s);
      break;
    case IR_KS_REDUCE:
      compile_reduce(c, s);
      break;
    case IR_KS_STORE:
      compile_store(c, s);
      break;
    case IR_KS_MATDOT:
      compile_matdot(c, s);
      break;
    case IR_KS_ARRIVE:
      compile_arrive(c, s);
      break;
    default:
      break;
  }
}

static void compile_list(compiler *c, const ir_kstmt *stmt) {
  for (; stmt && !c->too_big; stmt = stmt->next) {
    if (stmt->kind == IR_KS_COMMENT || stmt->kind == IR_KS_PREFETCH) continue;
    WEIR_PUSH(c->arena, c->stmts, c->stmt_count, c->stmt_capacity, stmt);
    if (stmt->kind == IR_KS_FOR) {
      compile_for(c, stmt);
    } else if (stmt->kind == IR_KS_IF) {
      compile_if(c, stmt);
    } else {
      scope_open(c);
      compile_simple(c, stmt);
      scope_close(c);
    }
  }
}

weir_status ir_ki_compile(weir_arena *arena, const ir_kernel *kernel, bool round_f32, bool matrix_unit,
                          ir_ki_code *out_code) {
  compiler *c = WEIR_NEW(arena, compiler);
  c->arena = arena, c->kernel = kernel, c->round_f32 = round_f32, c->matrix_unit = matrix_unit;
  int var_count = kernel->var_count > 0 ? kernel->var_count : 1;
  c->vars = WEIR_NEW_ARRAY(arena, var_place, var_count);
  for (int i = 0; i < var_count; i++) c->vars[i].partials = -1;
  scope_open(c);
  c->zero = slots_new(c, 1);
  c->first_size = slots_new(c, kernel->size_count);
  int begin = slots_new(c, 1), end = slots_new(c, 1);
  frame_open(c, NULL, kernel->grid_var, 1);
  int var = kernel->grid_var ? c->vars[kernel->grid_var->id].at.slot : end + 1;
  c->list_scope = c->scope;
  emit(c, here(c), IR_KI_ITEM, 0, 0, 0, 0, 0);
  compile_list(c, kernel->body);
  loop_close(c, var, begin, end, int_const(c, 1));
  emit(c, here(c), IR_KI_END, 0, 0, 0, 0, 0);
  if (c->too_big) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel %s needs too many registers", kernel->name);
  *out_code = (ir_ki_code){c->frames[0].body.insns,
                           c->frames[0].body.count,
                           c->slots,
                           c->slot_count,
                           c->first_size,
                           begin,
                           end,
                           c->stmts,
                           round_f32};
  return WEIR_OK;
}
