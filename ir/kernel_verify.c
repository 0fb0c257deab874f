// The rules of well-formed kernels. The first complaint ends the check and shows the kernel with the line it is about.
//
// What needs the sizes of a run (bounds of accesses, register indices that depend on several variables) is left to the
// interpreter.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ir/kernel_verify.h"

enum { MAX_UNROLL = 4096, MAX_OWN_BYTES = 1 << 26 };

typedef ir_kchecker checker;
typedef ir_kvar_state var_state;

bool ir_kv_bad(checker *c, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(c->complaint, sizeof c->complaint, fmt, args);
  va_end(args);
  return false;
}

static bool is_arith(ir_ktype type) { return type == IR_KT_f32 || type == IR_KT_f64 || ir_ktype_is_int(type); }
static bool is_small_float(ir_ktype type) { return ir_ktype_is_float(type) && type != IR_KT_f32 && type != IR_KT_f64; }

var_state *ir_kv_state_of(checker *c, const ir_kvar *var) {
  if (!var || var->id < 0 || var->id >= c->kernel->var_count || c->vars[var->id].var != var) return NULL;
  return &c->vars[var->id];
}

// ---- expressions
static bool check_expr(checker *c, const ir_kexpr *e);

// Constants, tile sizes, unrolled variables, and what is computed from them.
static bool is_static(checker *c, const ir_kexpr *e) {
  if (e->op == IR_K_const) return true;
  if (e->op == IR_K_var) {
    const var_state *v = ir_kv_state_of(c, e->var);
    return v && v->is_static;
  }
  if (e->arg_count == 0 || e->op == IR_K_load) return false;
  for (int i = 0; i < e->arg_count; i++)
    if (!is_static(c, e->args[i])) return false;
  return true;
}

bool ir_kv_index(checker *c, const ir_kexpr *index, const char *what) {
  if (!index) return ir_kv_bad(c, "%s is missing", what);
  if (!check_expr(c, index)) return false;
  return index->type == IR_KT_i64 || ir_kv_bad(c, "%s is %s, not i64", what, ir_ktype_name(index->type));
}

static bool lanes_of_sixteen(const ir_kstmt *range) {
  int64_t lo, hi;
  if (ir_kx_is_const(range->lo, &lo) && ir_kx_is_const(range->hi, &hi))
    return lo < INT64_MAX - IR_LANES && hi == lo + IR_LANES;
  return range->hi->op == IR_K_add && range->hi->args[0] == range->lo && ir_kx_is_value(range->hi->args[1], IR_LANES);
}

// A read, set or reduction of |var| with these indices.
bool ir_kv_var_use(checker *c, const ir_kvar *var, const ir_kexpr *const *indices, int count) {
  const var_state *v = ir_kv_state_of(c, var);
  if (!v || !v->visible) return ir_kv_bad(c, "'%s' is not declared here", var ? var->name : "?");
  if (count != var->rank) return ir_kv_bad(c, "'%s' has %d indices, not %d", var->name, var->rank, count);
  for (int i = 0; i < count; i++) {
    if (!ir_kv_index(c, indices[i], "a register index")) return false;
    if (!is_static(c, indices[i])) return ir_kv_bad(c, "an index of '%s' is not constant after unrolling", var->name);
    ir_kfacts f = ir_kx_facts(indices[i]);
    if (f.hi < 0 || f.lo >= var->dims[i]) return ir_kv_bad(c, "index %d of '%s' is outside", i, var->name);
  }
  if (var->kind != IR_KVAR_REG || !var->lanes) return true;
  if (c->lanes_depth == 0 || !lanes_of_sixteen(c->lanes[c->lanes_depth - 1]))
    return ir_kv_bad(c, "'%s' has one value per lane and is used outside of a lanes range of extent %d", var->name,
                     IR_LANES);
  return true;
}

static bool check_read(checker *c, const ir_kexpr *e) {
  if (c->sizes_only) return ir_kv_bad(c, "only sizes may stand here");
  if (!ir_kv_var_use(c, e->var, e->args, e->arg_count)) return false;
  const var_state *v = ir_kv_state_of(c, e->var);
  if (v->reduced_in) return ir_kv_bad(c, "'%s' is read inside the range that reduces into it", e->var->name);
  return e->type == e->var->type || ir_kv_bad(c, "'%s' is %s", e->var->name, ir_ktype_name(e->var->type));
}

// The buffer of a load or store with its element index.
bool ir_kv_access(checker *c, int buffer, const ir_kexpr *index, const ir_kexpr *request) {
  if (buffer < 0 || buffer >= c->kernel->buffer_count) return ir_kv_bad(c, "no buffer %d", buffer);
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  bool table = b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT;
  if (table != (request != NULL)) return ir_kv_bad(c, "'%s' is %s table of requests", b->name, table ? "a" : "no");
  if (b->kind == IR_KB_MBARRIER) return ir_kv_bad(c, "'%s' holds mbarriers", b->name);
  return ir_kv_index(c, index, "the index") && (!table || ir_kv_index(c, request, "the request"));
}

static bool check_operands(checker *c, const ir_kexpr *e, int count) {
  const char *name = ir_kop_name(e->op);
  if (e->arg_count != count) return ir_kv_bad(c, "%s has %d operands, not %d", name, count, e->arg_count);
  for (int i = 0; i < count; i++) {
    if (!e->args[i]) return ir_kv_bad(c, "an operand of %s is missing", name);
    if (!check_expr(c, e->args[i])) return false;
    bool converts = e->op == IR_K_cast || e->op == IR_K_bitcast;
    if (is_small_float(e->args[i]->type) && !converts)
      return ir_kv_bad(c, "%s of %s: cast to f32 first", name, ir_ktype_name(e->args[i]->type));
  }
  return true;
}

static bool same_types(checker *c, const ir_kexpr *e, int first) {
  for (int i = first + 1; i < e->arg_count; i++)
    if (e->args[i]->type != e->args[first]->type)
      return ir_kv_bad(c, "operands of %s are %s and %s", ir_kop_name(e->op), ir_ktype_name(e->args[first]->type),
                       ir_ktype_name(e->args[i]->type));
  return true;
}

static bool check_result(checker *c, const ir_kexpr *e, ir_ktype type) {
  return e->type == type ||
         ir_kv_bad(c, "%s gives %s, not %s", ir_kop_name(e->op), ir_ktype_name(type), ir_ktype_name(e->type));
}

// Dot products: the types of the factors; what they are added to has that of the result.
static bool check_pair_types(checker *c, const ir_kexpr *e, ir_ktype x, ir_ktype y) {
  ir_ktype wanted[3] = {x, y, e->type};
  for (int i = 0; i < e->arg_count; i++)
    if (e->args[i]->type != wanted[i])
      return ir_kv_bad(c, "operand %d of %s is %s, not %s", i, ir_kop_name(e->op), ir_ktype_name(e->args[i]->type),
                       ir_ktype_name(wanted[i]));
  return true;
}

// Shuffles and votes: what the threads of a warp compute together.
static bool check_warp_op(checker *c, const ir_kexpr *e) {
  ir_ktype t = e->args[0]->type;
  const char *name = ir_kop_name(e->op);
  int64_t distance;
  c->of_warp = true;
  if (e->op == IR_K_any || e->op == IR_K_all)
    return (t == IR_KT_bool || ir_kv_bad(c, "%s of %s", name, ir_ktype_name(t))) && check_result(c, e, IR_KT_bool);
  if (t != IR_KT_f32 && t != IR_KT_i32 && t != IR_KT_u32) return ir_kv_bad(c, "%s of %s", name, ir_ktype_name(t));
  if (e->args[1]->type != IR_KT_i64) return ir_kv_bad(c, "the thread of %s is no i64", name);
  bool given = ir_kx_is_const(e->args[1], &distance) && distance > 0 && distance < IR_WARP;
  if (e->op != IR_K_shuffle && !given) return ir_kv_bad(c, "the distance of %s is no constant from 1 to 31", name);
  return check_result(c, e, t);
}

static bool check_op(checker *c, const ir_kexpr *e) {
  if (!check_operands(c, e, ir_kop_arity(e->op))) return false;
  ir_ktype t = e->args[0]->type;
  bool is_float = ir_ktype_is_float(t), is_int = ir_ktype_is_int(t), fits = is_float;
  if (e->op >= IR_K_shuffle_xor && !c->kernel->threads)
    return ir_kv_bad(c, "%s outside of a block kernel", ir_kop_name(e->op));
  switch (e->op) {
    case IR_K_select:
      if (t != IR_KT_bool) return ir_kv_bad(c, "the condition of select is %s", ir_ktype_name(t));
      return same_types(c, e, 1) && check_result(c, e, e->args[1]->type);
    case IR_K_cast:
      return true;
    case IR_K_dot4:
    case IR_K_dot4_7:
      return check_pair_types(c, e, IR_KT_u32, IR_KT_i32) && check_result(c, e, IR_KT_i32);
    case IR_K_dot2:
      return check_pair_types(c, e, IR_KT_u32, IR_KT_u32) && check_result(c, e, IR_KT_f32);
    case IR_K_pack2:
    case IR_K_pack2_f16:
      return check_pair_types(c, e, IR_KT_f32, IR_KT_f32) && check_result(c, e, IR_KT_u32);
    case IR_K_fma2:
    case IR_K_fma2_f16:
    case IR_K_permute:
      return check_pair_types(c, e, IR_KT_u32, IR_KT_u32) && check_result(c, e, IR_KT_u32);
    case IR_K_shuffle_xor:
    case IR_K_shuffle_down:
    case IR_K_shuffle:
    case IR_K_any:
    case IR_K_all:
      return check_warp_op(c, e);
    case IR_K_exp2:
      return check_pair_types(c, e, IR_KT_f32, IR_KT_f32) && check_result(c, e, IR_KT_f32);
    case IR_K_bitcast:
      fits = t != IR_KT_bool && e->type != IR_KT_bool && ir_ktype_bytes(t) == ir_ktype_bytes(e->type);
      return fits || ir_kv_bad(c, "bitcast of %s to %s", ir_ktype_name(t), ir_ktype_name(e->type));
    case IR_K_eq:
    case IR_K_ne:
    case IR_K_lt:
    case IR_K_le:
    case IR_K_gt:
    case IR_K_ge:
      return same_types(c, e, 0) && check_result(c, e, IR_KT_bool);
    case IR_K_add:
    case IR_K_sub:
    case IR_K_mul:
    case IR_K_div:
    case IR_K_mod:
    case IR_K_min:
    case IR_K_max:
    case IR_K_neg:
    case IR_K_abs:
      fits = is_float || is_int;
      break;
    case IR_K_and:
    case IR_K_or:
    case IR_K_xor:
    case IR_K_not:
      fits = is_int || t == IR_KT_bool;
      break;
    case IR_K_shl:
    case IR_K_shr:
      fits = is_int;
      break;
    default:
      break;  // the rest is for floats
  }
  if (!fits) return ir_kv_bad(c, "%s of %s", ir_kop_name(e->op), ir_ktype_name(t));
  return same_types(c, e, 0) && check_result(c, e, t);
}

static bool check_leaf(checker *c, const ir_kexpr *e) {
  switch (e->op) {
    case IR_K_const:
      return !is_small_float(e->type) || ir_kv_bad(c, "a literal of type %s", ir_ktype_name(e->type));
    case IR_K_size:
      if (e->index < 0 || e->index >= c->kernel->size_count) return ir_kv_bad(c, "no size %d", e->index);
      return e->type == IR_KT_i64 || ir_kv_bad(c, "a size is i64");
    case IR_K_matrix_unit:
      if (c->kernel->threads) return ir_kv_bad(c, "matrix_unit in a block kernel");
      return e->arg_count == 0 && check_result(c, e, IR_KT_bool);
    case IR_K_var:
      return check_read(c, e);
    case IR_K_load:
      if (c->sizes_only) return ir_kv_bad(c, "only sizes may stand here");
      if (e->arg_count < 1 || e->arg_count > 2) return ir_kv_bad(c, "a load has one index");
      return ir_kv_access(c, e->index, e->args[0], e->arg_count > 1 ? e->args[1] : NULL);
    default:
      return check_op(c, e);
  }
}

static bool check_expr(checker *c, const ir_kexpr *e) {
  if ((unsigned)e->op >= IR_K_COUNT || (unsigned)e->type >= IR_KT_COUNT || e->arg_count < 0 || e->arg_count > 4)
    return ir_kv_bad(c, "a malformed expression");
  const ir_kexpr **seen = &c->seen[((uintptr_t)e >> 4) * 0x9e3779b1u % IR_KV_SEEN];
  if (*seen == e) return true;
  if (ir_kx_facts(e).depth > IR_K_MAX_DEPTH) return ir_kv_bad(c, "the expression is nested too deeply");
  if (!check_leaf(c, e)) return false;
  *seen = e;
  return true;
}

bool ir_kv_value(checker *c, const ir_kexpr *e, ir_ktype type) {
  if (!e) return ir_kv_bad(c, "a value is missing");
  if (!check_expr(c, e)) return false;
  return e->type == type || ir_kv_bad(c, "the value is %s, not %s", ir_ktype_name(e->type), ir_ktype_name(type));
}

// ---- statements
static bool check_list(checker *c, const ir_kstmt *stmt, int depth);

bool ir_kv_declare(checker *c, const ir_kvar *var, ir_kvar_kind kind) {
  if (!var || var->kind != kind || var->id < 0 || var->id >= c->kernel->var_count)
    return ir_kv_bad(c, "a malformed variable");
  if (c->vars[var->id].var) return ir_kv_bad(c, "'%s' is declared twice", var->name);
  c->vars[var->id] = (var_state){.var = var, .visible = true, .lanes_depth = c->lanes_depth};
  return true;
}

static void hide(checker *c, const ir_kvar *var) {
  if (var) c->vars[var->id].visible = false;
}

// Variables declared in |list| end with it.
static bool check_scope(checker *c, const ir_kstmt *list, int depth) {
  bool ok = check_list(c, list, depth + 1);
  for (const ir_kstmt *s = list; ok && s; s = s->next)
    if (s->kind == IR_KS_LET || s->kind == IR_KS_REG || s->kind == IR_KS_BLOCK) hide(c, s->var);
  return ok;
}

static bool check_tiles(checker *c, const ir_kstmt *s) {
  if (s->tile_count < 1 || s->tile_count > 6) return ir_kv_bad(c, "%d tiles", s->tile_count);
  for (int i = 1; i < s->tile_count; i++)
    if (s->tiles[i] >= s->tiles[i - 1]) return ir_kv_bad(c, "tiles do not descend");
  if (s->tiles[s->tile_count - 1] != 1) return ir_kv_bad(c, "the last tile is not 1");
  if (!ir_kv_declare(c, s->tile_var, IR_KVAR_RANGE)) return false;
  c->vars[s->tile_var->id].is_static = true;
  return true;
}

static bool check_unroll(checker *c, const ir_kstmt *s) {
  if (!is_static(c, s->lo) || !is_static(c, s->hi))
    return ir_kv_bad(c, "bounds of unroll are not constant after tiling");
  ir_kfacts lo = ir_kx_facts(s->lo), hi = ir_kx_facts(s->hi);
  int64_t extent;
  bool small = !__builtin_sub_overflow(hi.hi, lo.lo, &extent) && extent <= MAX_UNROLL;
  return small || ir_kv_bad(c, "unroll of more than %d", MAX_UNROLL);
}

// Gives |value| to the registers that a lanes range with this body reduces into: those of REDUCE outside of further
// lanes ranges.
static void mark_reduced(checker *c, const ir_kstmt *list, const ir_kstmt *value) {
  for (const ir_kstmt *s = list; s; s = s->next) {
    if (s->kind == IR_KS_FOR && s->range == IR_KR_LANES) continue;
    var_state *v = s->kind == IR_KS_REDUCE ? ir_kv_state_of(c, s->var) : NULL;
    if (v && !v->reduced_in) v->combine = s->combine;
    if (v) v->reduced_in = value;
    mark_reduced(c, s->body, value);
    mark_reduced(c, s->body2, value);
  }
}

static bool check_for(checker *c, const ir_kstmt *s, int depth) {
  if (!ir_kv_index(c, s->lo, "the lower bound") || !ir_kv_index(c, s->hi, "the upper bound")) return false;
  bool steps = s->range == IR_KR_SERIAL || s->range == IR_KR_UNROLL;
  if (s->step < 1 || (s->step != 1 && !steps)) return ir_kv_bad(c, "step %lld", (long long)s->step);
  if (s->range == IR_KR_UNROLL && !check_unroll(c, s)) return false;
  if (c->kernel->threads && s->range == IR_KR_LANES) return ir_kv_bad(c, "a lanes range in a block kernel");
  if ((unsigned)s->range > IR_KR_TILES) return ir_kv_bad(c, "a malformed range");
  if (!ir_kv_declare(c, s->var, IR_KVAR_RANGE)) return false;
  if (s->var->type != IR_KT_i64) return ir_kv_bad(c, "a range variable is i64");
  if (s->range == IR_KR_TILES && !check_tiles(c, s)) return false;
  c->vars[s->var->id].is_static = s->range == IR_KR_UNROLL;
  bool lanes = s->range == IR_KR_LANES;
  if (lanes) {
    mark_reduced(c, s->body, s);
    c->lanes[c->lanes_depth++] = s;
  }
  if (!check_scope(c, s->body, depth)) return false;
  if (lanes) {
    c->lanes_depth--;
    mark_reduced(c, s->body, NULL);
  }
  hide(c, s->var);
  if (s->range == IR_KR_TILES) hide(c, s->tile_var);
  return true;
}

static bool check_let(checker *c, const ir_kstmt *s) {
  if (!s->var || !ir_kv_value(c, s->expr, s->var->type)) return s->var ? false : ir_kv_bad(c, "a malformed variable");
  if (is_small_float(s->var->type))
    return ir_kv_bad(c, "a value of type %s: cast to f32 first", ir_ktype_name(s->var->type));
  if (!ir_kv_declare(c, s->var, IR_KVAR_VALUE)) return false;
  c->vars[s->var->id].expr = s->expr;
  return true;
}

static bool check_reg(checker *c, const ir_kstmt *s) {
  const ir_kvar *v = s->var;
  if (!v || v->rank < 0 || v->rank > 3) return ir_kv_bad(c, "a malformed register");
  int64_t elements = 1;
  for (int i = 0; i < v->rank; i++) {
    if (v->dims[i] < 1 || v->dims[i] > IR_K_MAX_REG_ELEMENTS)
      return ir_kv_bad(c, "dim %d of '%s'", v->dims[i], v->name);
    elements *= v->dims[i];
    if (elements > IR_K_MAX_REG_ELEMENTS) return ir_kv_bad(c, "'%s' has too many elements", v->name);
  }
  if (c->kernel->threads && v->lanes) return ir_kv_bad(c, "'%s' has one value per lane in a block kernel", v->name);
  if (!is_arith(v->type) && v->type != IR_KT_bool) return ir_kv_bad(c, "a register of type %s", ir_ktype_name(v->type));
  return ir_kv_value(c, s->expr, v->type) && ir_kv_declare(c, v, IR_KVAR_REG);
}

static bool check_set(checker *c, const ir_kstmt *s) {
  const ir_kvar *v = s->var;
  if (!v || v->kind != IR_KVAR_REG) return ir_kv_bad(c, "not a register");
  if (s->index_count < 0 || s->index_count > 3) return ir_kv_bad(c, "a malformed statement");
  if (!ir_kv_var_use(c, v, s->indices, s->index_count) || !ir_kv_value(c, s->expr, v->type)) return false;
  int declared = c->vars[v->id].lanes_depth;
  if (s->kind == IR_KS_SET) {
    if (c->vars[v->id].reduced_in) return ir_kv_bad(c, "'%s' is set inside the range that reduces into it", v->name);
    if (!v->lanes && declared < c->lanes_depth)
      return ir_kv_bad(c, "'%s' has one value and is set inside a lanes range", v->name);
    return true;
  }
  bool combines = s->combine == IR_K_add || s->combine == IR_K_max || s->combine == IR_K_min || s->combine == IR_K_mul;
  if (!combines) return ir_kv_bad(c, "no reduction by %s", ir_kop_name(s->combine));
  if (v->lanes) return ir_kv_bad(c, "'%s' has one value per lane and cannot be reduced into", v->name);
  if (!is_arith(v->type)) return ir_kv_bad(c, "a reduction of %s", ir_ktype_name(v->type));
  if (c->vars[v->id].reduced_in && c->vars[v->id].combine != s->combine)
    return ir_kv_bad(c, "'%s' is reduced by two operations in one range", v->name);
  if (c->lanes_depth > 0 && declared != c->lanes_depth - 1)
    return ir_kv_bad(c, "'%s' does not stand just outside of the innermost lanes range", v->name);
  return true;
}

static bool check_store(checker *c, const ir_kstmt *s) {
  if ((unsigned)s->type >= IR_KT_COUNT || s->index_count < 1 || s->index_count > 2)
    return ir_kv_bad(c, "a malformed store");
  if (!ir_kv_access(c, s->buffer, s->indices[0], s->index_count > 1 ? s->indices[1] : NULL)) return false;
  const ir_kbuffer *b = &c->kernel->buffers[s->buffer];
  if (b->kind == IR_KB_IN || b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_CONST)
    return ir_kv_bad(c, "'%s' is read only", b->name);
  return ir_kv_value(c, s->expr, s->type);
}

static bool check_matdot(checker *c, const ir_kstmt *s) {
  const ir_kmatdot *d = s->matdot;
  if (!d || d->panels < 1 || d->panels > 16 || d->step < 1 || d->step > 16) return ir_kv_bad(c, "a malformed matdot");
  if (s->type != IR_KT_i32 && s->type != IR_KT_f32) return ir_kv_bad(c, "a matdot of %s", ir_ktype_name(s->type));
  if (c->lanes_depth) return ir_kv_bad(c, "a matdot inside a lanes range");
  if (!c->matdot) c->matdot = s;
  if (c->matdot->type != s->type || c->matdot->matdot->step != d->step)
    return ir_kv_bad(c, "a kernel's matdots have one type and one step");
  for (int i = 0; i < IR_KM_COUNT; i++)
    if (!ir_kv_index(c, d->at[i], "a place, a stride or an extent")) return false;
  if (!ir_kv_access(c, d->c, d->at[IR_KM_AT_C], NULL) || !ir_kv_access(c, d->a, d->at[IR_KM_AT_A], NULL) ||
      !ir_kv_access(c, d->b, d->at[IR_KM_AT_B], NULL))
    return false;
  const ir_kbuffer *to = &c->kernel->buffers[d->c];
  if (to->kind == IR_KB_IN || to->kind == IR_KB_CONST) return ir_kv_bad(c, "'%s' is read only", to->name);
  return (d->c != d->a && d->c != d->b) || ir_kv_bad(c, "'%s' is a factor and the result", to->name);
}

static bool check_arrive(checker *c, const ir_kstmt *s) {
  const ir_kvar *v = s->var;
  if (!v || v->kind != IR_KVAR_REG || v->rank || v->lanes || v->type != IR_KT_i64)
    return ir_kv_bad(c, "arrive sets a register of i64");
  if (c->lanes_depth) return ir_kv_bad(c, "arrive stands outside of lanes ranges");
  if (s->type != IR_KT_i32 || s->index_count != 1) return ir_kv_bad(c, "a malformed arrive");
  if (!ir_kv_var_use(c, v, NULL, 0)) return false;
  if (!ir_kv_index(c, s->expr, "the number of arrivals") || !ir_kv_access(c, s->buffer, s->indices[0], NULL))
    return false;
  const ir_kbuffer *to = &c->kernel->buffers[s->buffer];
  return to->kind == IR_KB_INOUT || ir_kv_bad(c, "'%s' does not count arrivals", to->name);
}

static bool check_if(checker *c, const ir_kstmt *s, int depth) {
  if (!ir_kv_value(c, s->expr, IR_KT_bool)) return false;
  if (c->of_warp && !ir_kv_uniform(c, IR_WARP, "a shuffle or vote")) return false;
  int at = c->if_count++;
  c->ifs[at] = s;
  c->in_else[at] = false;
  if (!check_scope(c, s->body, depth)) return false;
  c->in_else[at] = true;
  if (!check_scope(c, s->body2, depth)) return false;
  c->if_count--;
  return true;
}

static bool check_kind(checker *c, const ir_kstmt *s, int depth) {
  bool of_items = s->kind == IR_KS_REDUCE || s->kind == IR_KS_MATDOT || s->kind == IR_KS_ARRIVE;
  if (of_items && c->kernel->threads) {
    const char *what = s->kind == IR_KS_REDUCE ? "a reduce" : s->kind == IR_KS_MATDOT ? "a matdot" : "an arrive";
    return ir_kv_bad(c, "%s in a block kernel", what);
  }
  switch (s->kind) {
    case IR_KS_FOR:
      return check_for(c, s, depth);
    case IR_KS_LET:
      return check_let(c, s);
    case IR_KS_REG:
      return check_reg(c, s);
    case IR_KS_SET:
    case IR_KS_REDUCE:
      return check_set(c, s);
    case IR_KS_STORE:
      return check_store(c, s);
    case IR_KS_PREFETCH:
      if ((unsigned)s->type >= IR_KT_COUNT || s->index_count < 1 || s->index_count > 2)
        return ir_kv_bad(c, "a malformed prefetch");
      return ir_kv_access(c, s->buffer, s->indices[0], s->index_count > 1 ? s->indices[1] : NULL);
    case IR_KS_MATDOT:
      return check_matdot(c, s);
    case IR_KS_ARRIVE:
      return check_arrive(c, s);
    case IR_KS_IF:
      return check_if(c, s, depth);
    case IR_KS_COMMENT:
      return s->text || ir_kv_bad(c, "a comment without text");
    case IR_KS_BLOCK:
      return ir_kv_block(c, s);
  }
  return ir_kv_bad(c, "a malformed statement");
}

static bool check_stmt(checker *c, const ir_kstmt *s, int depth) {
  c->mark = s;
  c->of_warp = false;
  memset(c->seen, 0, sizeof c->seen);
  bool nests = s->kind == IR_KS_FOR || s->kind == IR_KS_IF;
  if (!check_kind(c, s, depth)) return false;
  return nests || !c->of_warp || ir_kv_uniform(c, IR_WARP, "a shuffle or vote");
}

static bool check_list(checker *c, const ir_kstmt *stmt, int depth) {
  if (depth > IR_K_MAX_NEST) return ir_kv_bad(c, "statements are nested too deeply");
  for (; stmt; stmt = stmt->next)
    if (!check_stmt(c, stmt, depth)) return false;
  return true;
}

// ---- the head
static bool check_buffer(checker *c, const ir_kbuffer *b) {
  c->mark = b;
  bool own = b->kind >= IR_KB_LOCAL;
  bool table = b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT;
  if ((unsigned)b->kind > IR_KB_MBARRIER) return ir_kv_bad(c, "a malformed buffer");
  if (b->kind >= IR_KB_SHARED && !c->kernel->threads) return ir_kv_bad(c, "shared memory outside of a block kernel");
  if (b->kind == IR_KB_LOCAL && c->kernel->threads) return ir_kv_bad(c, "local memory in a block kernel");
  if (own ? b->arg != -1 : b->arg < 0 || b->arg >= IR_KERNEL_MAX_ARGS) return ir_kv_bad(c, "argument %d", b->arg);
  if (b->fixed && (b->kind != IR_KB_IN || !c->kernel->threads)) return ir_kv_bad(c, "'%s' is not fixed", b->name);
  if (table != !b->bytes) return ir_kv_bad(c, table ? "a table has no extent here" : "the extent is missing");
  if (!table && !ir_kv_index(c, b->bytes, "the extent")) return false;
  int64_t bytes = 0;
  if (own && (!ir_kx_is_const(b->bytes, &bytes) || bytes < 1 || bytes > MAX_OWN_BYTES - c->own_bytes))
    return ir_kv_bad(c, "local and literal data are constants, of %d bytes together at most", MAX_OWN_BYTES);
  c->own_bytes += bytes;
  if (b->kind != IR_KB_CONST) return true;
  if ((unsigned)b->type >= IR_KT_COUNT || !b->data) return ir_kv_bad(c, "malformed data");
  return (b->count > 0 && b->count == bytes / ir_ktype_bytes(b->type) && bytes % ir_ktype_bytes(b->type) == 0) ||
         ir_kv_bad(c, "%lld elements in %lld bytes", (long long)b->count, (long long)bytes);
}

static bool check_kernel(checker *c) {
  const ir_kernel *k = c->kernel;
  c->mark = k;
  if (k->size_count < 0 || k->size_count > IR_KERNEL_MAX_SIZES) return ir_kv_bad(c, "%d sizes", k->size_count);
  c->sizes_only = true;
  int args = 0;
  for (int i = 0; i < k->buffer_count; i++) {
    if (!check_buffer(c, &k->buffers[i])) return false;
    if (k->buffers[i].arg >= args) args = k->buffers[i].arg + 1;
  }
  c->mark = k;
  if (k->arg_count != args) return ir_kv_bad(c, "%d arguments, but the buffers use %d", k->arg_count, args);
  if (!ir_kv_index(c, k->grid, "the grid")) return false;
  if (k->threads && !ir_kv_block_head(c)) return false;
  c->sizes_only = false;
  c->mark = k;
  if (k->grid_var && !ir_kv_declare(c, k->grid_var, IR_KVAR_RANGE)) return false;
  return check_list(c, k->body, 1);
}

weir_status ir_kernel_verify(const ir_kernel *kernel) {
  weir_arena arena;
  weir_arena_init(&arena);
  checker c = {.kernel = kernel, .arena = &arena};
  c.vars = WEIR_NEW_ARRAY(&arena, var_state, kernel->var_count > 0 ? kernel->var_count : 1);
  weir_status status = WEIR_OK;
  if (!check_kernel(&c))
    status = weir_status_make(WEIR_CODE_INVALID_DATA, "kernel %s: %s\n%s", kernel->name, c.complaint,
                              ir_kernel_print_marked(&arena, kernel, c.mark, c.complaint));
  weir_arena_deinit(&arena);
  return status;
}
