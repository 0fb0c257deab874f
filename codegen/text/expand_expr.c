// Kernel expressions to nodes: variables are replaced by what they stand for in the copy at hand, narrow types by
// casts, the loads in the arms of a select by guarded ones.
//
// Shared subexpressions are visited once per statement and guard; the depth is bounded because the IR's own verifier
// bounds it.
#include <string.h>

#include "codegen/text/code.h"

enum { MAX_DEPTH = 2000 };

// What was seen in this statement: open addressing, cleared by a new generation.
typedef struct {
  const ir_kexpr *expr;
  const cg_node *guard;
  cg_node *node;
  unsigned generation;
} memo_entry;

struct cg_memo {
  memo_entry *entries;
  unsigned capacity, count, generation;
  int depth;
};

static unsigned memo_slot(const struct cg_memo *m, const ir_kexpr *expr, const cg_node *guard) {
  uint64_t hash = ((uint64_t)(uintptr_t)expr >> 4) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)guard >> 3;
  unsigned i = (unsigned)(hash >> 20) & (m->capacity - 1);
  while (m->entries[i].generation == m->generation && (m->entries[i].expr != expr || m->entries[i].guard != guard))
    i = (i + 1) & (m->capacity - 1);
  return i;
}

static void memo_add(cg_code *c, const ir_kexpr *expr, const cg_node *guard, cg_node *node) {
  struct cg_memo *m = c->memo;
  if (2 * m->count >= m->capacity) {
    struct cg_memo old = *m;
    m->capacity = old.capacity * 4;
    m->entries = WEIR_NEW_ARRAY(c->arena, memo_entry, m->capacity);
    for (unsigned i = 0; i < old.capacity; i++) {
      const memo_entry *e = &old.entries[i];
      if (e->generation == m->generation) m->entries[memo_slot(m, e->expr, e->guard)] = *e;
    }
  }
  m->entries[memo_slot(m, expr, guard)] = (memo_entry){expr, guard, node, m->generation};
  m->count++;
}

void cg_memo_clear(cg_code *c) {
  if (!c->memo) {
    c->memo = WEIR_NEW(c->arena, struct cg_memo);
    c->memo->capacity = 64;
    c->memo->entries = WEIR_NEW_ARRAY(c->arena, memo_entry, c->memo->capacity);
  }
  c->memo->count = 0;
  c->memo->generation++;
}

// ---- types
ir_ktype cg_base_type(ir_ktype type) {
  switch (type) {
    case IR_KT_f16:
    case IR_KT_bf16:
    case IR_KT_f8e4m3:
    case IR_KT_f8e5m2:
      return IR_KT_f32;
    case IR_KT_i8:
    case IR_KT_i16:
      return IR_KT_i32;
    case IR_KT_u8:
    case IR_KT_u16:
      return IR_KT_u32;
    default:
      return type;
  }
}

static bool is_float(ir_ktype type) { return ir_ktype_is_float(type); }

// The value of base type |node| made one of |type|.
static cg_node *narrow(cg_code *c, ir_ktype type, cg_node *node) {
  return cg_base_type(type) == type ? node : cg_op(c, IR_K_cast, type, node, NULL, NULL);
}

static cg_node *limit(cg_code *c, cg_node *x, double lo, double hi) {
  ir_ktype t = x->type;
  return cg_op(c, IR_K_max, t, cg_op(c, IR_K_min, t, x, cg_const_float(c, t, hi), NULL), cg_const_float(c, t, lo),
               NULL);
}

// Whether every value of |from|, brought to the base type of |to|, is one of |to| already.
static bool holds(ir_ktype to, ir_ktype from) {
  if (to == from || from == IR_KT_bool || (is_float(from) && !is_float(to))) return true;
  bool narrow_ints = !is_float(from) && !is_float(to) && cg_base_type(from) != from;
  return narrow_ints && ir_ktype_bytes(from) < ir_ktype_bytes(to) && (from == IR_KT_u8 || to == IR_KT_i16);
}

// u for a vector (i32)(u & 15), else null: block formats turn such codes into floats all the time, and wide machines
// look them up.
static cg_node *nibble_of(cg_node *x) {
  if (!x->vector || x->type != IR_KT_i32 || x->op != IR_K_cast || x->args[0]->op != IR_K_and) return NULL;
  const cg_node *mask = x->args[0]->args[1];
  int64_t bits;
  if (mask->op == CG_SPLAT) mask = mask->args[0];
  return x->args[0]->type == IR_KT_u32 && cg_is_int(mask, &bits) && bits == 15 ? x->args[0]->args[0] : NULL;
}

static cg_node *cast(cg_code *c, ir_ktype to, ir_ktype from, cg_node *x) {
  ir_ktype base = cg_base_type(to);
  cg_node *nibble = base == IR_KT_f32 ? nibble_of(x) : NULL;
  if (nibble) return cg_raw(c, CG_NIBBLE, IR_KT_f32, true, nibble, NULL, NULL);
  // Saturation into narrow integers happens before the value is an integer.
  if (is_float(from) && from != to) {
    if (to == IR_KT_i8) x = limit(c, x, -128, 127);
    if (to == IR_KT_i16) x = limit(c, x, -32768, 32767);
    if (to == IR_KT_u8) x = limit(c, x, 0, 255);
    if (to == IR_KT_u16) x = limit(c, x, 0, 65535);
  }
  if (cg_base_type(from) != base) x = cg_op(c, IR_K_cast, base, x, NULL, NULL);
  return holds(to, from) ? x : narrow(c, to, x);
}

// Bits of a narrow float are asked of the f32 that holds it.
static cg_node *bitcast(cg_code *c, ir_ktype to, ir_ktype from, cg_node *x) {
  if (to == from) return x;
  if (!is_float(from) && !is_float(to)) return cast(c, to, from, x);
  bool small_from = is_float(from) && cg_base_type(from) != from, small_to = is_float(to) && cg_base_type(to) != to;
  if (!small_from && !small_to) return cg_op(c, IR_K_bitcast, to, x, NULL, NULL);
  ir_ktype bits = ir_ktype_bytes(from) == 1 ? IR_KT_u8 : IR_KT_u16;
  x = small_from ? cg_op(c, CG_BITS_OF + (int)from, IR_KT_u32, x, NULL, NULL) : cast(c, bits, from, x);
  return small_to ? cg_op(c, CG_OF_BITS + (int)to, IR_KT_f32, x, NULL, NULL) : cast(c, to, bits, x);
}

// ---- variables
static bool constant_index(cg_code *c, const ir_kexpr *e, int64_t *out) { return cg_is_int(cg_expr(c, e), out); }

cg_slot *cg_slot_find(cg_code *c, const ir_kvar *var, int index_count, const ir_kexpr *const *indices) {
  int64_t flat = 0, count = 1;
  for (int i = 0; i < var->rank; i++) {
    int64_t at = 0;
    count *= var->dims[i];
    bool given = i < index_count && constant_index(c, indices[i], &at);
    if (!given || at < 0 || at >= var->dims[i]) {
      cg_fail(c, WEIR_CODE_INTERNAL, "register '%s': index %d is not a constant in range", var->name, i);
      at = 0;
    }
    flat = flat * var->dims[i] + at;
  }
  cg_slot *slots = c->slots[var->id];
  if (!slots || flat >= count) {
    cg_fail(c, WEIR_CODE_INTERNAL, "register '%s' is used before it is declared", var->name);
    return NULL;
  }
  cg_slot *slot = &slots[flat];
  if (!slot->used && slot->vector) c->lane_registers++;
  slot->used = true;
  return slot;
}

static cg_node *variable(cg_code *c, const ir_kexpr *e) {
  if (e->var->kind == IR_KVAR_REG) {
    const cg_slot *slot = cg_slot_find(c, e->var, e->arg_count, e->args);
    return slot ? cg_read(c, slot) : cg_const_int(c, IR_KT_i64, 0);
  }
  cg_node *value = c->values[e->var->id];
  if (value) return value;
  cg_fail(c, WEIR_CODE_INTERNAL, "variable '%s' is used outside its range", e->var->name);
  return cg_const_int(c, IR_KT_i64, 0);
}

// ---- operations
static bool contains_load(cg_code *c, const ir_kexpr *e) {
  static const cg_node asked = {.op = 0};
  if (e->op == IR_K_load) return true;
  struct cg_memo *m = c->memo;
  const memo_entry *seen = &m->entries[memo_slot(m, e, &asked)];
  if (seen->generation == m->generation) return seen->node != NULL;
  bool found = false;
  for (int i = 0; i < e->arg_count && !found; i++) found = contains_load(c, e->args[i]);
  memo_add(c, e, &asked, found ? cg_const_int(c, IR_KT_bool, 1) : NULL);
  return found;
}

static cg_node *arm(cg_code *c, const ir_kexpr *e, cg_node *condition, bool taken) {
  if (!contains_load(c, e)) return cg_expr(c, e);
  cg_node *outer = c->guard;
  c->guard = cg_and(c, outer, taken ? condition : cg_op(c, IR_K_not, IR_KT_bool, condition, NULL, NULL));
  cg_node *node = cg_expr(c, e);
  c->guard = outer;
  return node;
}

static cg_node *select_node(cg_code *c, const ir_kexpr *e) {
  cg_node *condition = cg_expr(c, e->args[0]);
  int64_t known;
  if (cg_is_int(condition, &known)) return cg_expr(c, e->args[known ? 1 : 2]);
  cg_node *x = arm(c, e->args[1], condition, true), *y = arm(c, e->args[2], condition, false);
  return cg_op(c, IR_K_select, cg_base_type(e->type), condition, x, y);
}

// Masks and shifts of indices are divisions, which the folding understands.
static cg_node *index_bits(cg_code *c, ir_kop op, cg_node *x, cg_node *y) {
  int64_t v;
  if (!cg_is_int(y, &v) || v < 0) return NULL;
  if (op == IR_K_and && (v & (v + 1)) == 0 && v < INT64_MAX)
    return cg_op(c, IR_K_mod, IR_KT_i64, x, cg_const_int(c, IR_KT_i64, v + 1), NULL);
  if ((op == IR_K_shr || op == IR_K_shl) && v < 62)
    return cg_op(c, op == IR_K_shr ? IR_K_div : IR_K_mul, IR_KT_i64, x, cg_const_int(c, IR_KT_i64, INT64_C(1) << v),
                 NULL);
  return NULL;
}

static bool may_leave_type(ir_kop op) {
  return op == IR_K_add || op == IR_K_sub || op == IR_K_mul || op == IR_K_div || op == IR_K_neg || op == IR_K_abs ||
         op == IR_K_shl || op == IR_K_not;
}

static cg_node *operation(cg_code *c, const ir_kexpr *e) {
  cg_node *args[3] = {NULL};
  for (int i = 0; i < e->arg_count && i < 3; i++) args[i] = cg_expr(c, e->args[i]);
  ir_ktype from = e->args[0]->type;
  if (e->op == IR_K_cast) return cast(c, e->type, from, args[0]);
  if (e->op == IR_K_bitcast) return bitcast(c, e->type, from, args[0]);
  if (e->op >= IR_K_dot4 && e->op <= IR_K_pack2) c->dots = true;
  if (e->type == IR_KT_i64 && args[1]) {
    cg_node *folded = index_bits(c, e->op, args[0], args[1]);
    if (folded) return folded;
  }
  if (from == IR_KT_bool && cg_is_compare(e->op) && e->op != IR_K_eq && e->op != IR_K_ne)
    for (int i = 0; i < 2; i++) args[i] = cg_op(c, IR_K_cast, IR_KT_u32, args[i], NULL, NULL);
  cg_node *r = cg_op(c, e->op, cg_base_type(e->type), args[0], args[1], args[2]);
  // All threads of a warp take part: it may not stand in an arm that C skips.
  if (e->op >= IR_K_shuffle_xor && e->op <= IR_K_all) r->wanted = true;
  return !is_float(e->type) && may_leave_type(e->op) ? narrow(c, e->type, r) : r;
}

static cg_node *convert(cg_code *c, const ir_kexpr *e) {
  switch (e->op) {
    case IR_K_const:
      return is_float(e->type) ? cg_const_float(c, cg_base_type(e->type), e->f)
                               : cg_const_int(c, cg_base_type(e->type), e->i);
    case IR_K_size:
      return cg_size(c, e->index);
    case IR_K_matrix_unit:
      if (c->target->device) return cg_const_int(c, IR_KT_bool, 0);
      c->matrices = true;
      return cg_raw(c, IR_K_matrix_unit, IR_KT_bool, false, NULL, NULL, NULL);
    case IR_K_var:
      return variable(c, e);
    case IR_K_load: {
      cg_node *index = cg_expr(c, e->args[0]), *request = e->arg_count > 1 ? cg_expr(c, e->args[1]) : NULL;
      return cg_load(c, e->type, e->index, index, request, c->guard);
    }
    case IR_K_select:
      return select_node(c, e);
    default:
      return operation(c, e);
  }
}

cg_node *cg_expr(cg_code *c, const ir_kexpr *e) {
  struct cg_memo *m = c->memo;
  const cg_node *guard = c->guard;
  const memo_entry *seen = &m->entries[memo_slot(m, e, guard)];
  if (seen->generation == m->generation) return seen->node;
  if (m->depth >= MAX_DEPTH) {
    cg_fail(c, WEIR_CODE_OUT_OF_RANGE, "an expression is more than %d operations deep", MAX_DEPTH);
    return cg_const_int(c, IR_KT_i64, 0);
  }
  m->depth++;
  cg_node *node = convert(c, e);
  m->depth--;
  memo_add(c, e, guard, node);
  return node;
}
