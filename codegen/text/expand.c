// The statements of a kernel, expanded: copies for unrolled and tiled ranges, block loops for innermost `lanes` ranges.
//
// Lanes that a condition or a short rest switches off are kept in |mask|: stores and assignments heed it, loads do so
// through |guard|. A reduction over lanes collects in 16 partial results that outlive the range's loop and its rest, so
// that an element's partial depends on its number alone.
#include <string.h>

#include "codegen/text/code.h"
#include "ir/kernel_block.h"

enum { MAX_STATEMENTS = 200000, MAX_DEVICE_TILE = 4, SMALL_LOOP = 8 };

typedef struct partial {
  cg_slot *target, *sums;
  ir_kop combine;
  ir_ktype type;
  struct partial *next;
} partial;

struct cg_lanes {
  cg_scope *scope;  // around the range
  partial *partials;
};

static void expand_list(cg_code *c, const ir_kstmt *first);

// ---- statements and scopes
static cg_stmt *stmt_new(cg_code *c, cg_stmt_kind kind) {
  cg_stmt *s = WEIR_NEW(c->arena, cg_stmt);
  s->kind = kind;
  c->statement++;
  cg_memo_clear(c);
  if (++c->statement_count > MAX_STATEMENTS)
    cg_fail(c, WEIR_CODE_OUT_OF_RANGE, "unrolling makes more than %d statements", MAX_STATEMENTS);
  *c->scope->end = s;
  c->scope->end = &s->next;
  c->scope->current = s;
  return s;
}

static cg_scope *scope_open(cg_code *c, bool runs) {
  cg_scope *s = WEIR_NEW(c->arena, cg_scope);
  s->parent = c->scope;
  s->depth = c->scope->depth + 1;
  s->load_limit = runs ? c->scope->load_limit : s;
  s->end = &s->first;
  c->scope = s;
  return s;
}

static void scope_close(cg_code *c) {
  c->scope->closed = true;
  c->scope = c->scope->parent;
}

static cg_slot *slot_new(cg_code *c, const char *name, ir_ktype type, bool vector, cg_scope *scope) {
  cg_slot *slot = WEIR_NEW(c->arena, cg_slot);
  *slot = (cg_slot){cg_unique(c, name, scope), cg_base_type(type), vector, true, c->lanes != NULL};
  return slot;
}

static void declare(cg_code *c, cg_slot *slot, cg_node *value) {
  cg_stmt *s = c->scope->current;
  s->slot = slot;
  s->value = slot->vector ? cg_widen(c, value) : value;
}

// A value that holds after this statement too: itself, or a variable that keeps it.
static cg_node *bind(cg_code *c, cg_node *node, const char *name) {
  if (!node->once) return node;
  cg_stmt *s = c->scope->current;
  // The reads belong to the statement at hand, which becomes the declaration.
  s->kind = CG_DECLARE;
  cg_slot *slot = slot_new(c, name, node->type, node->vector, c->scope);
  declare(c, slot, node);
  return cg_name(c, slot->name, slot->type, slot->vector, c->scope);
}

// A bound of a range, evaluated before it.
static cg_node *bound(cg_code *c, const ir_kexpr *e, const char *name) {
  stmt_new(c, CG_COMMENT);
  return bind(c, cg_expr(c, e), name);
}

static cg_node *range_name(cg_code *c, const char *name, cg_scope *scope, const cg_node *lo, int64_t step) {
  cg_node *var = cg_name(c, name, IR_KT_i64, false, scope);
  int64_t a = lo->divisor, b = step;
  while (b) {
    int64_t r = a % b;
    a = b, b = r;
  }
  var->divisor = a;
  var->not_negative = lo->not_negative;
  return var;
}

// ---- ranges
static void expand_unroll(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi) {
  int64_t a, b;
  if (!cg_is_int(lo, &a) || !cg_is_int(hi, &b)) {
    cg_fail(c, WEIR_CODE_INTERNAL, "bounds of the unrolled range '%s' are not constant", s->var->name);
    return;
  }
  int64_t step = s->step > 0 ? s->step : 1;
  for (int64_t i = a; i < b && !c->status; i += step) {
    c->values[s->var->id] = cg_const_int(c, IR_KT_i64, i);
    expand_list(c, s->body);
    if (++c->statement_count > MAX_STATEMENTS)
      cg_fail(c, WEIR_CODE_OUT_OF_RANGE, "unrolling makes more than %d statements", MAX_STATEMENTS);
  }
}

// Of a device: copies are dear to compile, and threads are many. The largest moderate size and the last one do.
static bool tile_is_kept(const cg_code *c, const ir_kstmt *s, int i) {
  if (!c->target->device || i == s->tile_count - 1) return true;
  for (int k = 0; k < i; k++)
    if (tile_is_kept(c, s, k)) return false;
  return s->tiles[i] <= MAX_DEVICE_TILE;
}

// Marks the loop whose expansion began at statement number |from|.
static void loop_end(const cg_code *c, cg_stmt *loop, int from) {
  loop->large = c->target->device && c->statement_count - from > SMALL_LOOP;
}

static void expand_tiles(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi) {
  const char *name = cg_unique(c, s->var->name, c->scope);
  cg_stmt *counter = stmt_new(c, CG_COUNTER);
  counter->name = name;
  counter->value = lo;
  int outer_registers = c->lane_registers, least = 0;
  int64_t divisor = 0, first, last, left = -1;
  if (c->target->device && cg_is_int(lo, &first) && cg_is_int(hi, &last)) left = last > first ? last - first : 0;
  for (int i = 0; i < s->tile_count && left; i++) {
    if (!tile_is_kept(c, s, i) || (left > 0 && left < s->tiles[i])) continue;
    if (left > 0) left %= s->tiles[i];
    int from = c->statement_count;
    cg_stmt *tile = stmt_new(c, CG_TILE);
    tile->name = name;
    tile->hi = hi;
    tile->step = s->tiles[i];
    tile->last = i == s->tile_count - 1;
    tile->body = scope_open(c, false);
    // A tile of this size starts after whole tiles of it and of the greater ones, any of which may be missing.
    int64_t a = divisor, b = s->tiles[i];
    while (b) {
      int64_t r = a % b;
      a = b, b = r;
    }
    divisor = a;
    c->values[s->var->id] = range_name(c, name, c->scope, lo, divisor);
    c->values[s->tile_var->id] = cg_const_int(c, IR_KT_i64, s->tiles[i]);
    c->lane_registers = 0;
    expand_list(c, s->body);
    tile->registers = least = c->lane_registers;
    scope_close(c);
    loop_end(c, tile, from);
  }
  // A tile that has tiles inside needs the smallest of those.
  c->lane_registers = outer_registers + least;
}

static void expand_serial(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi) {
  int64_t a, b, step = s->step > 0 ? s->step : 1;
  bool constant = cg_is_int(lo, &a) && cg_is_int(hi, &b);
  if (constant && a >= b) return;
  if (constant && b - a <= step) {
    c->values[s->var->id] = lo;
    expand_list(c, s->body);
    return;
  }
  int from = c->statement_count;
  cg_stmt *loop = stmt_new(c, CG_FOR);
  loop->name = cg_unique(c, s->var->name, c->scope);
  loop->lo = lo, loop->hi = hi, loop->step = step;
  bool outer_saw = c->saw_lanes;
  c->saw_lanes = c->lanes != NULL;
  loop->body = scope_open(c, constant);
  c->values[s->var->id] = range_name(c, loop->name, c->scope, lo, step);
  expand_list(c, s->body);
  scope_close(c);
  loop_end(c, loop, from);
  loop->opaque = constant && c->saw_lanes && !c->target->device;
  c->saw_lanes |= outer_saw;
}

// Bounds that differ between lanes: lanes leave the loop one by one.
static void expand_masked_serial(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi) {
  cg_slot *k = slot_new(c, s->var->name, IR_KT_i64, true, c->scope);
  stmt_new(c, CG_DECLARE);
  declare(c, k, lo);
  cg_stmt *loop = stmt_new(c, CG_MASKED_FOR);
  loop->slot = k;
  loop->hi = cg_widen(c, hi);
  loop->step = s->step > 0 ? s->step : 1;
  loop->partial = slot_new(c, weir_arena_printf(c->arena, "%s_on", s->var->name), IR_KT_bool, true, c->scope);
  cg_node *outer = c->mask;
  loop->mask = outer ? cg_widen(c, outer) : NULL;
  loop->body = scope_open(c, false);
  c->values[s->var->id] = cg_name(c, k->name, IR_KT_i64, true, c->scope);
  c->mask = cg_name(c, loop->partial->name, IR_KT_bool, true, c->scope);
  expand_list(c, s->body);
  scope_close(c);
  c->mask = outer;
}

// ---- lanes
static bool contains_lanes(const ir_kstmt *s) {
  for (; s; s = s->next) {
    if (s->kind == IR_KS_FOR && s->range == IR_KR_LANES) return true;
    if (contains_lanes(s->body) || contains_lanes(s->body2)) return true;
  }
  return false;
}

static cg_node *identity(cg_code *c, ir_kop combine, ir_ktype type) {
  if (ir_ktype_is_float(type)) {
    double inf = __builtin_inf();
    return cg_const_float(c, type,
                          combine == IR_K_add   ? 0
                          : combine == IR_K_mul ? 1
                          : combine == IR_K_max ? -inf
                                                : inf);
  }
  static const int64_t lowest[IR_KT_COUNT] = {[IR_KT_i32] = INT32_MIN, [IR_KT_i64] = INT64_MIN};
  static const int64_t highest[IR_KT_COUNT] = {
      [IR_KT_i32] = INT32_MAX, [IR_KT_i64] = INT64_MAX, [IR_KT_u32] = UINT32_MAX};
  int64_t value = combine == IR_K_add   ? 0
                  : combine == IR_K_mul ? 1
                  : combine == IR_K_max ? lowest[type]
                                        : highest[type];
  return cg_const_int(c, type, value);
}

static cg_slot *partial_find(cg_code *c, cg_slot *target, ir_kop combine, ir_ktype type) {
  partial **p = &c->lanes->partials;
  for (; *p; p = &(*p)->next)
    if ((*p)->target == target && (*p)->combine == combine) return (*p)->sums;
  *p = WEIR_NEW(c->arena, partial);
  **p = (partial){.target = target, .combine = combine, .type = type};
  c->lane_registers++;
  const char *name = weir_arena_printf(c->arena, c->target->device ? "%s_part" : "%s_16", target->name);
  (*p)->sums = slot_new(c, name, target->type, !c->target->device, c->lanes->scope);
  return (*p)->sums;
}

// Declarations in front of the loop, which stands at |*at|, and the combination behind everything.
static void expand_partials(cg_code *c, const cg_lanes *lanes, cg_stmt **at) {
  for (const partial *p = lanes->partials; p; p = p->next) {
    cg_stmt *s = WEIR_NEW(c->arena, cg_stmt);
    s->kind = CG_DECLARE;
    s->slot = p->sums;
    cg_node *start = identity(c, p->combine, p->sums->type);
    s->value = p->sums->vector ? cg_widen(c, start) : start;
    s->next = *at;
    if (c->scope->end == at) c->scope->end = &s->next;
    *at = s;
    at = &s->next;
    cg_stmt *finish = stmt_new(c, CG_FINISH);
    finish->slot = p->target, finish->partial = p->sums, finish->combine = p->combine;
    finish->type = p->type;
  }
}

static void expand_block(cg_code *c, const ir_kstmt *s, cg_node *base) {
  c->values[s->var->id] = cg_ramp(c, base, cg_const_int(c, IR_KT_i64, 1));
  expand_list(c, s->body);
}

static void expand_rest(cg_code *c, const ir_kstmt *s, cg_node *base, cg_node *count) {
  cg_node *mask = cg_raw(c, CG_FIRST, IR_KT_bool, true, count, NULL, NULL);
  c->mask = c->rest_mask = mask;
  expand_block(c, s, base);
  c->mask = c->rest_mask = NULL;
}

static void expand_constant_lanes(cg_code *c, const ir_kstmt *s, cg_node *lo, int64_t extent) {
  int64_t whole = extent / IR_LANES * IR_LANES;
  cg_node *end = cg_op(c, IR_K_add, IR_KT_i64, lo, cg_const_int(c, IR_KT_i64, whole), NULL);
  if (whole == IR_LANES) {
    expand_block(c, s, lo);
  } else if (whole) {
    cg_stmt *loop = stmt_new(c, CG_FOR);
    loop->name = cg_unique(c, s->var->name, c->scope);
    loop->lo = lo, loop->hi = end, loop->step = IR_LANES;
    loop->body = scope_open(c, true);
    expand_block(c, s, range_name(c, loop->name, c->scope, lo, IR_LANES));
    scope_close(c);
  }
  if (extent > whole) expand_rest(c, s, end, cg_const_int(c, IR_KT_i64, extent - whole));
}

static void expand_open_lanes(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi, bool rest) {
  const char *name = cg_unique(c, s->var->name, c->scope);
  cg_stmt *counter = stmt_new(c, CG_COUNTER);
  counter->name = name;
  counter->value = lo;
  cg_stmt *loop = stmt_new(c, CG_BLOCKS);
  loop->name = name;
  loop->hi = hi;
  loop->body = scope_open(c, false);
  expand_block(c, s, range_name(c, name, c->scope, lo, IR_LANES));
  scope_close(c);
  if (!rest) return;
  cg_stmt *branch = stmt_new(c, CG_IF);
  cg_node *at = range_name(c, name, c->scope, lo, IR_LANES);
  branch->value = cg_op(c, IR_K_lt, IR_KT_bool, at, hi, NULL);
  // The counter changes: what depends on it may not move out of this branch.
  branch->body = scope_open(c, false);
  at = range_name(c, name, c->scope, lo, IR_LANES);
  expand_rest(c, s, at, cg_op(c, IR_K_sub, IR_KT_i64, hi, at, NULL));
  scope_close(c);
}

// The threads of a team take the iterations in turns, each beginning at its own number.
static void expand_team(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi) {
  int64_t count, team = c->target->team;
  bool whole = cg_is_int(cg_op(c, IR_K_sub, IR_KT_i64, hi, lo, NULL), &count) && count % team == 0;
  if (whole && count <= 0) return;
  int from = c->statement_count;
  cg_stmt *loop = stmt_new(c, CG_LANES);
  loop->step = team;
  if (whole && count == team) {
    loop->body = scope_open(c, true);
    c->values[s->var->id] = cg_op(c, IR_K_add, IR_KT_i64, lo, c->me, NULL);
  } else {
    // With whole turns the bounds are the same for all threads, and a C compiler may unroll.
    loop->name = cg_unique(c, s->var->name, c->scope);
    loop->lo = whole ? lo : cg_op(c, IR_K_add, IR_KT_i64, lo, c->me, NULL);
    loop->hi = hi;
    loop->body = scope_open(c, whole);
    cg_node *var = range_name(c, loop->name, c->scope, loop->lo, team);
    c->values[s->var->id] = whole ? cg_op(c, IR_K_add, IR_KT_i64, var, c->me, NULL) : var;
  }
  expand_list(c, s->body);
  scope_close(c);
  loop_end(c, loop, from);
}

static void expand_lanes(cg_code *c, const ir_kstmt *s, cg_node *lo, cg_node *hi) {
  if (c->lanes || contains_lanes(s->body)) {
    expand_serial(c, s, lo, hi);
    return;
  }
  cg_lanes lanes = {c->scope, NULL};
  c->lanes = &lanes;
  c->saw_lanes = true;
  cg_stmt **at = c->scope->end;
  if (c->target->device) {
    expand_team(c, s, lo, hi);
    expand_partials(c, &lanes, at);
    c->lanes = NULL;
    return;
  }
  cg_node *extent = cg_op(c, IR_K_sub, IR_KT_i64, hi, lo, NULL);
  int64_t count;
  if (!cg_is_int(extent, &count)) expand_open_lanes(c, s, lo, hi, extent->divisor % IR_LANES != 0);
  else if (count > 0) expand_constant_lanes(c, s, lo, count);
  expand_partials(c, &lanes, at);
  c->lanes = NULL;
}

static void expand_for(cg_code *c, const ir_kstmt *s) {
  cg_node *lo = bound(c, s->lo, "from"), *hi = bound(c, s->hi, weir_arena_printf(c->arena, "%s_end", s->var->name));
  if (lo->vector || hi->vector) {
    if (s->range == IR_KR_SERIAL) expand_masked_serial(c, s, lo, hi);
    else cg_fail(c, WEIR_CODE_INTERNAL, "bounds of '%s' differ between lanes", s->var->name);
    return;
  }
  switch (s->range) {
    case IR_KR_SERIAL:
      expand_serial(c, s, lo, hi);
      break;
    case IR_KR_LANES:
      expand_lanes(c, s, lo, hi);
      break;
    case IR_KR_UNROLL:
      expand_unroll(c, s, lo, hi);
      break;
    case IR_KR_TILES:
      expand_tiles(c, s, lo, hi);
      break;
  }
}

// ---- simple statements
static void expand_let(cg_code *c, const ir_kstmt *s) {
  stmt_new(c, CG_COMMENT);
  cg_node *node = cg_expr(c, s->expr);
  node = bind(c, node, s->var->name);
  if (node->arg_count && !node->name) {
    node->name = s->var->name;
    node->wanted = true;
  }
  c->values[s->var->id] = node;
}

static void expand_reg(cg_code *c, const ir_kstmt *s) {
  const ir_kvar *var = s->var;
  int64_t count = 1;
  for (int i = 0; i < var->rank; i++) count *= var->dims[i];
  bool inner = var->lanes || c->lanes, vector = inner && !c->target->device;
  cg_slot *slots = WEIR_NEW_ARRAY(c->arena, cg_slot, count);
  c->slots[var->id] = slots;
  for (int64_t i = 0; i < count; i++) {
    const char *name = var->name;
    int64_t rest = i;
    for (int d = 0, size = (int)count; d < var->rank; d++) {
      size /= var->dims[d];
      name = weir_arena_printf(c->arena, "%s_%d", name, (int)(rest / size));
      rest %= size;
    }
    stmt_new(c, CG_DECLARE);
    slots[i] = (cg_slot){cg_unique(c, name, c->scope), cg_base_type(var->type), vector, false, inner};
    declare(c, &slots[i], cg_expr(c, s->expr));
  }
}

static void assign(cg_code *c, cg_slot *slot, cg_node *value, cg_node *mask) {
  cg_stmt *s = c->scope->current;
  if ((!slot->inner && c->lanes) || (!slot->vector && value->vector)) {
    cg_fail(c, WEIR_CODE_INTERNAL, "register '%s' stands outside the lanes and is set from inside", slot->name);
    return;
  }
  s->slot = slot;
  s->value = slot->vector ? cg_widen(c, value) : value;
  s->mask = mask && slot->vector ? cg_widen(c, mask) : NULL;
}

static void expand_set(cg_code *c, const ir_kstmt *s) {
  stmt_new(c, CG_SET);
  cg_slot *slot = cg_slot_find(c, s->var, s->index_count, s->indices);
  // What the rest of a range leaves in its idle lanes is not looked at.
  if (slot) assign(c, slot, cg_expr(c, s->expr), c->mask == c->rest_mask ? NULL : c->mask);
}

static void expand_reduce(cg_code *c, const ir_kstmt *s) {
  stmt_new(c, CG_SET);
  cg_slot *slot = cg_slot_find(c, s->var, s->index_count, s->indices);
  if (!slot) return;
  cg_node *value = cg_expr(c, s->expr);
  if (c->lanes && !slot->inner) slot = partial_find(c, slot, s->combine, s->var->type);
  cg_node *r = cg_op(c, s->combine, slot->type, cg_read(c, slot), value, NULL);
  ir_ktype type = s->var->type;
  if (!ir_ktype_is_float(type) && cg_base_type(type) != type) r = cg_op(c, IR_K_cast, type, r, NULL, NULL);
  assign(c, slot, r, c->mask);
}

static void expand_store(cg_code *c, const ir_kstmt *s) {
  cg_stmt *t = stmt_new(c, CG_STORE);
  t->buffer = s->buffer;
  t->type = s->type;
  c->access[s->buffer][s->type].used = c->access[s->buffer][s->type].written = true;
  cg_node *index = cg_expr(c, s->indices[0]), *value = cg_expr(c, s->expr);
  t->request = s->index_count > 1 && s->indices[1] ? cg_expr(c, s->indices[1]) : NULL;
  if (t->request && t->request->vector) cg_fail(c, WEIR_CODE_UNSUPPORTED, "request number differs between lanes");
  // The store itself narrows.
  if (value->op == IR_K_cast && value->type == s->type && cg_base_type(value->args[0]->type) == cg_base_type(s->type))
    value = value->args[0];
  t->mask = c->mask;
  t->lanes = c->lanes != NULL;
  if (!index->vector && !value->vector) {
    if (c->mask && c->mask->vector)
      t->mask = c->mask == c->rest_mask ? NULL : cg_raw(c, CG_ANY, IR_KT_bool, false, c->mask, NULL, NULL);
  } else {
    value = cg_widen(c, value);
    if (t->mask) t->mask = cg_widen(c, t->mask);
    int64_t step = 0;
    bool next = index->op == CG_RAMP && cg_is_int(index->args[1], &step) && step == 1;
    if (!next || t->mask) c->memory[s->type] = true;
    if (next) t->ramp_step = index->args[1], index = index->args[0];
    else index = cg_widen(c, index);
  }
  t->index = index;
  t->value = value;
}

// Of lanes the first one's place.
static void expand_prefetch(cg_code *c, const ir_kstmt *s) {
  cg_stmt *t = stmt_new(c, CG_PREFETCH);
  t->buffer = s->buffer;
  t->type = s->type;
  c->access[s->buffer][s->type].used = true;
  cg_node *index = cg_expr(c, s->indices[0]);
  t->request = s->index_count > 1 && s->indices[1] ? cg_expr(c, s->indices[1]) : NULL;
  t->index = index->op == CG_RAMP ? index->args[0] : index;
  if (t->index->vector || (t->request && t->request->vector))
    cg_fail(c, WEIR_CODE_UNSUPPORTED, "a prefetch of a place for each lane");
}

static void expand_matdot(cg_code *c, const ir_kstmt *s) {
  cg_stmt *t = stmt_new(c, CG_MATDOT);
  const ir_kmatdot *d = t->matdot = s->matdot;
  t->type = s->type;
  c->matrices = true;
  c->matrix_step = d->step;
  c->access[d->c][s->type].used = c->access[d->c][s->type].written = true;
  c->access[d->a][IR_KT_u32].used = c->access[d->b][IR_KT_u32].used = true;
  for (int i = 0; i < IR_KM_COUNT; i++) {
    t->at[i] = cg_expr(c, d->at[i]);
    if (t->at[i]->vector) cg_fail(c, WEIR_CODE_INTERNAL, "a matrix whose place differs between lanes");
  }
}

static void expand_arrive(cg_code *c, const ir_kstmt *s) {
  cg_stmt *t = stmt_new(c, CG_ARRIVE);
  c->arrives = true;
  t->slot = cg_slot_find(c, s->var, 0, s->indices);
  t->buffer = s->buffer;
  t->type = s->type;
  c->access[s->buffer][s->type].used = c->access[s->buffer][s->type].written = true;
  t->index = cg_expr(c, s->indices[0]);
  t->value = cg_expr(c, s->expr);
  if (t->index->vector || t->value->vector || c->mask)
    cg_fail(c, WEIR_CODE_INTERNAL, "an arrival that differs between lanes");
}

// ---- block kernels
static cg_slot **registers(cg_code *c, const ir_kregs *r, int count) {
  if (!r->var) return NULL;
  cg_slot *first = cg_slot_find(c, r->var, r->index_count, r->indices);
  cg_slot **slots = WEIR_NEW_ARRAY(c->arena, cg_slot *, count + 1);
  for (int i = 0; i < count && first; i++) {
    slots[i] = &first[i];
    first[i].used = true;
  }
  return first ? slots : NULL;
}

static cg_node *operand(cg_code *c, const ir_kexpr *e) { return e ? cg_expr(c, e) : NULL; }

static void place(cg_code *c, const ir_kplace *p, cg_node **out_index, cg_node **out_request) {
  if (!p->index) return;
  c->access[p->buffer][p->type].used = true;
  *out_index = cg_expr(c, p->index);
  if (out_request) *out_request = operand(c, p->request);
}

static void expand_block_op(cg_code *c, const ir_kblock *op) {
  cg_stmt *t = stmt_new(c, CG_BLOCK);
  cg_block *b = t->block = WEIR_NEW(c->arena, cg_block);
  b->op = op;
  b->c_count = op->op == IR_KO_MMA ? 4 : op->op == IR_KO_WGMMA ? op->number / 2 : op->number;
  b->a_count = op->op == IR_KO_MMA ? ir_kmma_a_regs(op->kind) : 4;
  b->b_count = 2;
  b->c = registers(c, &op->c, b->c_count);
  b->a = registers(c, &op->a, b->a_count);
  b->b = registers(c, &op->b, b->b_count);
  place(c, &op->to, &b->to, &b->to_request);
  place(c, &op->from, &b->from, &b->from_request);
  place(c, &op->signal, &b->signal, NULL);
  place(c, &op->shared_a.at, &b->at_a, NULL);
  place(c, &op->shared_b.at, &b->at_b, NULL);
  b->value = operand(c, op->value);
  b->condition = operand(c, op->condition);
  for (int i = 0; i < IR_KMAP_MAX_RANK; i++) b->coords[i] = operand(c, op->coords[i]);
  if (!op->var) return;
  t->name = cg_unique(c, op->var->name, c->scope);
  c->values[op->var->id] = cg_name(c, t->name, op->var->type, false, c->scope);
}

static void expand_if(cg_code *c, const ir_kstmt *s) {
  cg_stmt *t = stmt_new(c, CG_IF);
  cg_node *condition = cg_expr(c, s->expr), *outer = c->mask;
  int64_t known;
  if (cg_is_int(condition, &known)) {
    t->kind = CG_COMMENT;
    expand_list(c, known ? s->body : s->body2);
    return;
  }
  if (!condition->vector) {
    t->value = condition;
    t->body = scope_open(c, false);
    expand_list(c, s->body);
    scope_close(c);
    if (!s->body2) return;
    t->body2 = scope_open(c, false);
    expand_list(c, s->body2);
    scope_close(c);
    return;
  }
  condition = bind(c, condition, "on");
  for (int other = 0; other < 2; other++) {
    const ir_kstmt *body = other ? s->body2 : s->body;
    if (!body) continue;
    cg_stmt *branch = stmt_new(c, CG_IF);
    c->mask = cg_and(c, outer, other ? cg_op(c, IR_K_not, IR_KT_bool, condition, NULL, NULL) : condition);
    branch->value = cg_raw(c, CG_ANY, IR_KT_bool, false, cg_widen(c, c->mask), NULL, NULL);
    branch->body = scope_open(c, false);
    expand_list(c, body);
    scope_close(c);
  }
  // The statement of the condition itself is the declaration that |bind| may have made of it.
  if (t->kind == CG_IF) t->kind = CG_COMMENT;
  c->mask = outer;
}

static void expand_list(cg_code *c, const ir_kstmt *s) {
  for (; s && !c->status; s = s->next) {
    c->guard = c->mask;
    switch (s->kind) {
      case IR_KS_FOR:
        expand_for(c, s);
        break;
      case IR_KS_LET:
        expand_let(c, s);
        break;
      case IR_KS_REG:
        expand_reg(c, s);
        break;
      case IR_KS_SET:
        expand_set(c, s);
        break;
      case IR_KS_REDUCE:
        expand_reduce(c, s);
        break;
      case IR_KS_STORE:
        expand_store(c, s);
        break;
      case IR_KS_PREFETCH:
        expand_prefetch(c, s);
        break;
      case IR_KS_MATDOT:
        expand_matdot(c, s);
        break;
      case IR_KS_ARRIVE:
        expand_arrive(c, s);
        break;
      case IR_KS_IF:
        expand_if(c, s);
        break;
      case IR_KS_COMMENT:
        stmt_new(c, CG_COMMENT)->name = s->text;
        break;
      case IR_KS_BLOCK:
        expand_block_op(c, s->block);
        break;
    }
  }
}

static void expand_items(cg_code *c) {
  const ir_kvar *grid = c->kernel->grid_var;
  cg_stmt *items = stmt_new(c, c->target->device ? CG_ITEMS : CG_FOR);
  items->name = cg_unique(c, grid ? grid->name : "item", c->scope);
  items->step = 1;
  cg_node *zero = cg_const_int(c, IR_KT_i64, 0);
  if (!c->target->device) {
    items->lo = cg_name(c, "begin", IR_KT_i64, false, c->root);
    items->hi = cg_name(c, "end", IR_KT_i64, false, c->root);
    if (c->item_lo) items->lo = cg_op(c, IR_K_max, IR_KT_i64, items->lo, cg_expr(c, c->item_lo), NULL);
    if (c->item_hi) items->hi = cg_op(c, IR_K_min, IR_KT_i64, items->hi, cg_expr(c, c->item_hi), NULL);
    items->lo->not_negative = true;
  }
  items->body = scope_open(c, false);
  if (grid) c->values[grid->id] = range_name(c, items->name, c->scope, items->lo ? items->lo : zero, 1);
  expand_list(c, c->body ? c->body : c->kernel->body);
  scope_close(c);
}

// Of a device: the thread's number, and the extents of what the arguments point to.
static void expand_device(cg_code *c) {
  const ir_kernel *k = c->kernel;
  if (c->target->team > 1) {
    c->me = cg_name(c, "me", IR_KT_i64, false, c->root);
    c->me->not_negative = true;
  }
  if (k->thread_var) {
    cg_stmt *thread = stmt_new(c, CG_COUNTER);
    thread->name = cg_unique(c, k->thread_var->name, NULL);
    thread->value = cg_name(c, "THREAD", IR_KT_i64, false, c->root);
    cg_node *var = c->values[k->thread_var->id] = cg_name(c, thread->name, IR_KT_i64, false, c->root);
    var->not_negative = true;
  }
  for (int i = 0; i < k->buffer_count; i++) {
    const ir_kbuffer *b = &k->buffers[i];
    if (b->arg < 0 || !b->bytes) continue;
    cg_stmt *extent = stmt_new(c, CG_EXTENT);
    extent->buffer = i;
    extent->value = cg_expr(c, b->bytes);
  }
}

void cg_expand(cg_code *c) {
  c->root = WEIR_NEW(c->arena, cg_scope);
  c->root->end = &c->root->first;
  c->root->load_limit = c->root;
  c->scope = c->root;
  if (c->target->device) expand_device(c);
  expand_items(c);
}
