// Intervals of integer expressions, and the table that makes equal pure expressions one node.
//
// The intervals drive index folding: (x*c + y)/c is x exactly where y lies in [0, c). They are conservative; INT64_MIN
// and INT64_MAX double as "unbounded" and stay so through sums and products.
#include <string.h>

#include "ir/kernel_internal.h"

static int64_t sat_add(int64_t a, int64_t b, bool up) {
  int64_t edge = up ? INT64_MAX : INT64_MIN;
  if (a == edge || b == edge) return edge;
  if (a == INT64_MIN || a == INT64_MAX) return a;
  if (b == INT64_MIN || b == INT64_MAX) return b;
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) return a > 0 ? INT64_MAX : INT64_MIN;
  return r;
}

static int64_t sat_mul(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  bool negative = (a < 0) != (b < 0);
  int64_t r;
  if (a == INT64_MIN || a == INT64_MAX || b == INT64_MIN || b == INT64_MAX || __builtin_mul_overflow(a, b, &r))
    return negative ? INT64_MIN : INT64_MAX;
  return r;
}

static int64_t sat_neg(int64_t a) { return a == INT64_MIN ? INT64_MAX : a == INT64_MAX ? INT64_MIN : -a; }

static int64_t sat_div(int64_t a, int64_t c) { return a == INT64_MIN || a == INT64_MAX ? a : ir_k_floor_div(a, c); }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static void mul_interval(ir_kfacts *f, const ir_kfacts *a, const ir_kfacts *b) {
  int64_t p[4] = {sat_mul(a->lo, b->lo), sat_mul(a->lo, b->hi), sat_mul(a->hi, b->lo), sat_mul(a->hi, b->hi)};
  f->lo = f->hi = p[0];
  for (int i = 1; i < 4; i++) f->lo = least(f->lo, p[i]), f->hi = most(f->hi, p[i]);
}

static void div_interval(ir_kfacts *f, const ir_kfacts *a, const ir_kfacts *b) {
  if (b->lo == b->hi && b->lo > 0) {
    f->lo = sat_div(a->lo, b->lo), f->hi = sat_div(a->hi, b->lo);
  } else if (a->lo >= 0 && b->lo >= 0) {
    f->lo = 0, f->hi = a->hi;
  }
}

static void mod_interval(ir_kfacts *f, const ir_kfacts *a, const ir_kfacts *b) {
  if (b->lo < 0) return;
  f->lo = 0;
  f->hi = b->hi == INT64_MAX ? INT64_MAX : most(b->hi - 1, 0);
  if (a->lo >= 0) f->hi = least(f->hi, a->hi);
}

static void shift_interval(ir_kfacts *f, ir_kop op, const ir_kfacts *a, const ir_kfacts *b) {
  if (a->lo < 0 || b->lo < 0 || b->lo != b->hi || b->lo > 62) return;
  if (op == IR_K_shr) f->lo = a->lo >> b->lo, f->hi = a->hi == INT64_MAX ? INT64_MAX : a->hi >> b->lo;
  else f->lo = sat_mul(a->lo, INT64_C(1) << b->lo), f->hi = sat_mul(a->hi, INT64_C(1) << b->lo);
}

// The interval before the width of the type is looked at.
static void op_interval(ir_kfacts *f, const ir_kexpr *e, const ir_kfacts *a, const ir_kfacts *b, const ir_kfacts *c) {
  switch (e->op) {
    case IR_K_const:
      f->lo = f->hi = e->i;
      break;
    case IR_K_size:
      f->lo = 0;
      break;
    case IR_K_add:
      f->lo = sat_add(a->lo, b->lo, false), f->hi = sat_add(a->hi, b->hi, true);
      break;
    case IR_K_sub:
      f->lo = sat_add(a->lo, sat_neg(b->hi), false), f->hi = sat_add(a->hi, sat_neg(b->lo), true);
      break;
    case IR_K_mul:
      mul_interval(f, a, b);
      break;
    case IR_K_div:
      div_interval(f, a, b);
      break;
    case IR_K_mod:
      mod_interval(f, a, b);
      break;
    case IR_K_min:
      f->lo = least(a->lo, b->lo), f->hi = least(a->hi, b->hi);
      break;
    case IR_K_max:
      f->lo = most(a->lo, b->lo), f->hi = most(a->hi, b->hi);
      break;
    case IR_K_neg:
      f->lo = sat_neg(a->hi), f->hi = sat_neg(a->lo);
      break;
    case IR_K_and:
      if (a->lo >= 0 && b->lo >= 0) f->lo = 0, f->hi = least(a->hi, b->hi);
      else if (b->lo >= 0) f->lo = 0, f->hi = b->hi;
      else if (a->lo >= 0) f->lo = 0, f->hi = a->hi;
      break;
    case IR_K_shl:
    case IR_K_shr:
      shift_interval(f, e->op, a, b);
      break;
    case IR_K_select:
      f->lo = least(b->lo, c->lo), f->hi = most(b->hi, c->hi);
      break;
    case IR_K_cast:
      if (!ir_ktype_is_float(e->args[0]->type)) f->lo = a->lo, f->hi = a->hi;
      break;
    default:
      break;
  }
}

static ir_kfacts compute_facts(const ir_kexpr *e) {
  ir_kfacts f = {.depth = 1}, args[4] = {{0}};
  int64_t least_value, most_value;
  ir_ktype_limits(e->type, &least_value, &most_value);
  f.lo = least_value, f.hi = most_value;
  bool of_warp = e->op >= IR_K_shuffle_xor && e->op <= IR_K_all;
  f.data = of_warp || e->op == IR_K_load || (e->op == IR_K_var && e->var && e->var->kind == IR_KVAR_REG);
  for (int i = 0; i < e->arg_count && i < 4; i++) {
    args[i] = ir_kx_facts(e->args[i]);
    f.depth = args[i].depth >= f.depth ? args[i].depth + 1 : f.depth;
    f.data |= args[i].data;
  }
  if (ir_ktype_is_float(e->type)) return f;
  op_interval(&f, e, &args[0], &args[1], &args[2]);
  if (e->op == IR_K_mod && args[1].lo > 0) f.below = e->args[1];
  // Unbounded ends of index arithmetic stay unbounded; anything else that leaves its type may hold any value of it.
  bool index = e->type == IR_KT_i64 && !f.data;
  bool left = f.lo < least_value || f.hi > most_value || f.lo == INT64_MIN || f.hi == INT64_MAX;
  if (left && !index) {
    f.wraps = e->op == IR_K_add || e->op == IR_K_sub || e->op == IR_K_mul || e->op == IR_K_neg || e->op == IR_K_shl;
    if (f.wraps || f.lo < least_value || f.hi > most_value) f.lo = least_value, f.hi = most_value;
  }
  return f;
}

ir_kfacts ir_kx_facts(const ir_kexpr *e) { return e->facts ? *e->facts : compute_facts(e); }

ir_kfacts ir_kx_range_facts(const ir_kexpr *lo, const ir_kexpr *hi) {
  ir_kfacts l = ir_kx_facts(lo), h = ir_kx_facts(hi), f = {.depth = 1, .below = hi};
  f.data = l.data || h.data;
  f.lo = l.lo;
  f.hi = h.hi == INT64_MAX || h.hi == INT64_MIN ? INT64_MAX : h.hi - 1;
  if (f.hi < f.lo) f.hi = f.lo;  // never runs
  return f;
}

// ---- interning
struct ir_kx_entry {
  const ir_kexpr *expr;
  uint64_t hash;
  struct ir_kx_entry *next;
};

void ir_kx_table_init(ir_kx_table *table, weir_arena *arena) {
  *table = (ir_kx_table){.arena = arena, .bucket_count = 256};
  table->buckets = WEIR_NEW_ARRAY(arena, struct ir_kx_entry *, table->bucket_count);
}

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 29;
}

static uint64_t float_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint64_t node_hash(const ir_kexpr *e) {
  uint64_t h = mix((uint64_t)e->op << 8 | (uint64_t)e->type, (uint64_t)e->i);
  h = mix(h, float_bits(e->f));
  h = mix(h, (uint64_t)e->index);
  h = mix(h, (uint64_t)(uintptr_t)e->var);
  for (int i = 0; i < e->arg_count; i++) h = mix(h, (uint64_t)(uintptr_t)e->args[i]);
  return h;
}

static bool node_same(const ir_kexpr *a, const ir_kexpr *b) {
  if (a->op != b->op || a->type != b->type || a->arg_count != b->arg_count || a->i != b->i || a->index != b->index ||
      a->var != b->var || float_bits(a->f) != float_bits(b->f))
    return false;
  for (int i = 0; i < a->arg_count; i++)
    if (a->args[i] != b->args[i]) return false;
  return true;
}

static void table_grow(ir_kx_table *table) {
  int count = 4 * table->bucket_count;
  struct ir_kx_entry **buckets = WEIR_NEW_ARRAY(table->arena, struct ir_kx_entry *, count);
  for (int i = 0; i < table->bucket_count; i++) {
    for (struct ir_kx_entry *e = table->buckets[i], *next; e; e = next) {
      next = e->next;
      struct ir_kx_entry **slot = &buckets[e->hash & (uint64_t)(count - 1)];
      e->next = *slot;
      *slot = e;
    }
  }
  table->buckets = buckets;
  table->bucket_count = count;
}

static const ir_kexpr *node_copy(ir_kx_table *table, const ir_kexpr *model, const ir_kfacts *facts) {
  struct {
    ir_kexpr expr;
    ir_kfacts facts;
  } *node = weir_arena_alloc(table->arena, sizeof *node);
  node->expr = *model;
  node->facts = facts ? *facts : compute_facts(model);
  node->expr.facts = &node->facts;
  return &node->expr;
}

const ir_kexpr *ir_kx_make_with(ir_kx_table *table, const ir_kexpr *model, const ir_kfacts *facts) {
  bool reads = model->op == IR_K_load || (model->op == IR_K_var && model->var && model->var->kind == IR_KVAR_REG);
  if (reads) return node_copy(table, model, facts);
  uint64_t hash = node_hash(model);
  struct ir_kx_entry **slot = &table->buckets[hash & (uint64_t)(table->bucket_count - 1)];
  for (struct ir_kx_entry *e = *slot; e; e = e->next)
    if (e->hash == hash && node_same(e->expr, model)) return e->expr;
  struct ir_kx_entry *entry = WEIR_NEW(table->arena, struct ir_kx_entry);
  *entry = (struct ir_kx_entry){node_copy(table, model, facts), hash, *slot};
  *slot = entry;
  if (++table->count > 2 * table->bucket_count) table_grow(table);
  return entry->expr;
}

const ir_kexpr *ir_kx_make(ir_kx_table *table, const ir_kexpr *model) { return ir_kx_make_with(table, model, NULL); }
