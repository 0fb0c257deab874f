// A scan in one kernel: where the elements of the carries along one axis do not need each other, a work item takes a
// request and a block of that axis through all iterations, with the carries in local memory. Thousands of small
// launches become one.
//
// Legality is an axis: one of the carries, of one size, that every op of the body keeps (no reduction over it, no
// movement along it). Without one the items are the requests. Values used more than once, and reductions, are computed
// in order into local memory; the rest where it is needed. What does not fit is left to scan.c.
//
// On a device of thread blocks the item is a block with a thread for each element of its part of the axis, and local
// memory is shared memory: what has the axis is a thread's own, neighbouring threads having neighbouring words; what
// has not is computed once, by all threads, with barriers around.
#include <string.h>

#include "codegen/lower/block/block.h"
#include "runtime/base/checked.h"

enum {
  LOCAL_ELEMENTS = 8192,  // of a work item, all values together
  WIDE = 64,              // block of the axis where it is the last: lanes run along it
  NARROW = 16,
  THREADS = 128,  // of a block; half as many where SHARED_ELEMENTS would not do
  FEW_ELEMENTS = 12288,
  SHARED_ELEMENTS = 24576,  // of a block, all values together
};

// A value of the body in local memory. Carries have two places, for even and odd iterations.
typedef struct {
  ir_value *value;
  int buffer;
  int64_t elements;
  bool twice;
  const ir_kexpr *side;  // of |twice|: 0 or 1, which place is meant now
} local_value;

struct cg_locals {
  local_value *all;
  int count, capacity;
  int *axes;  // by value id: the axis that is divided among items, -1 none
  int64_t extent, block;
  const ir_kexpr *lo, *hi;  // of the item
  int threads;              // of a block; 0: the item is none
  const ir_kexpr *thread;
};

typedef struct {
  function_lowering inner;
  ir_node *node;
  int carries;
  struct cg_locals locals;
  emitter e;
} scan_kernel;

// ---- the axis

static bool is_allowed(const ir_node *node) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  if (node->op == IR_OP_map) return true;
  if (node->callee || node->result_count != 1) return false;
  switch (node->op) {
    case IR_OP_constant:
    case IR_OP_iota:
    case IR_OP_element:
    case IR_OP_broadcast:
    case IR_OP_permute:
    case IR_OP_slice:
    case IR_OP_reshape:
      return true;
    case IR_OP_argmax:
    case IR_OP_logsumexp:
      return false;
    default:
      return (flags & IR_FLAG_EW) || ((flags & IR_FLAG_REDUCE) && node->op != IR_OP_softmax);
  }
}

// The axis of a reshape's result that is axis |axis| of its operand: with as many elements behind it. -1 if none.
static int reshaped_axis(const ir_node *node, int axis) {
  const ir_type *from = &node->operands[0]->type, *to = &node->results[0]->type;
  int64_t behind = 1, other = 1;
  for (int i = axis + 1; i < from->rank; i++) behind *= cg_const_dim(from->dims[i]);
  for (int i = to->rank - 1; i >= 0; i--) {
    if (other == behind && to->dims[i] == from->dims[axis]) return i;
    other *= cg_const_dim(to->dims[i]);
  }
  return -1;
}

// Axis |axis| of operand |operand| in the result; -1: the op mixes or moves it.
static int axis_through(const ir_node *node, int operand, int axis) {
  const ir_type *x = &node->operands[operand]->type, *y = &node->results[0]->type;
  if (ir_op_get_info(node->op)->flags & IR_FLAG_REDUCE) {
    const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
    int before = 0;
    for (int i = 0; i < over->count; i++) {
      if (over->ints[i] == axis) return -1;
      before += over->ints[i] < axis;
    }
    return axis - before;
  }
  switch (node->op) {
    case IR_OP_element:
      return -1;
    case IR_OP_reshape:
      return reshaped_axis(node, axis);
    case IR_OP_slice:
      return ir_node_attr(node, IR_ATTR_axis)->i == axis ? -1 : axis;
    case IR_OP_permute:
      for (int i = 0; i < y->rank; i++)
        if (ir_node_attr(node, IR_ATTR_perm)->ints[i] == axis) return i;
      return -1;
    default:
      return axis + y->rank - x->rank;
  }
}

// A region of index notation, and those around it.
typedef struct level {
  const struct level *outer;
  const ir_node *owner;
} level;

// What |value| is outside of the regions; or an index, of |*out_at|.
static ir_value *outside(const level *at, ir_value *value, const level **out_at) {
  while (at && !value->def && value->result >= at->owner->attrs[0].count) {
    value = at->owner->operands[value->result - at->owner->attrs[0].count];
    at = at->outer;
  }
  *out_at = at;
  return value;
}

// The index of the outermost region that takes elements along the axis; -1 none does, -2 there is no single one.
static int indexed_axis(const scan_kernel *k, const level *at, const ir_node *map) {
  int found = -1;
  for (const ir_node *node = at->owner->callee->first; node; node = node->next) {
    int index = -1;
    if (node->op == IR_OP_map || node->op == IR_OP_fold) {
      level inner = {at, node};
      index = indexed_axis(k, &inner, map);
    }
    for (int i = 0; i < node->operand_count && !node->callee; i++) {
      const level *where;
      if (!node->operands[i]->type.rank) continue;
      const ir_value *tensor = outside(at, node->operands[i], &where);
      if (where || k->locals.axes[tensor->id] < 0) continue;
      if (node->op != IR_OP_element || i || node->operand_count != tensor->type.rank + 1) return -2;
      const ir_value *used = outside(at, node->operands[1 + k->locals.axes[tensor->id]], &where);
      index = where && where->owner == map && !used->def ? used->result : -2;
    }
    if (index == -2 || (index >= 0 && found >= 0 && found != index)) return -2;
    if (index >= 0) found = index;
  }
  return found;
}

static bool folds(const ir_function *region) {
  for (const ir_node *node = region->first; node; node = node->next)
    if (node->op == IR_OP_fold || (node->callee && folds(node->callee))) return true;
  return false;
}

static bool constant_dims(const ir_type *type) {
  for (int i = 0; i < type->rank; i++)
    if (cg_const_dim(type->dims[i]) < 0) return false;
  return true;
}

static bool infer_axes(scan_kernel *k) {
  const ir_function *body = k->inner.function;
  for (const ir_node *node = body->first; node; node = node->next) {
    int found = -1;
    if (!is_allowed(node) || !constant_dims(&node->results[0]->type)) return false;
    if (node->op == IR_OP_map) found = indexed_axis(k, &(level){NULL, node}, node);
    if (found == -2) return false;
    for (int i = 0; i < node->operand_count && node->op != IR_OP_map; i++) {
      int axis = k->locals.axes[node->operands[i]->id];
      if (axis < 0) continue;
      axis = axis_through(node, i, axis);
      if (axis < 0 || (found >= 0 && found != axis)) return false;
      found = axis;
    }
    k->locals.axes[node->results[0]->id] = found;
  }
  for (int i = 0; i < k->carries; i++)
    if (k->locals.axes[body->results[i].value->id] != k->locals.axes[body->params[i + 1].value->id]) return false;
  return true;
}

// Tries dims equal to |dim| (null: none) of all carries; one without such a dim is computed by every item.
static bool try_dim(scan_kernel *k, ir_dim dim) {
  const ir_function *body = k->inner.function;
  bool last = true;
  for (int i = 0; i < body->next_id; i++) k->locals.axes[i] = -1;
  for (int i = 0; i < k->carries; i++) {
    const ir_value *carry = body->params[i + 1].value;
    int at = 0;
    if (!constant_dims(&carry->type)) return false;
    while (at < carry->type.rank && carry->type.dims[at] != dim) at++;
    if (at == carry->type.rank) continue;
    k->locals.axes[carry->id] = at;
    last &= at == carry->type.rank - 1;
  }
  k->locals.extent = dim ? cg_const_dim(dim) : 1;
  k->locals.block = last ? WIDE : NARROW;
  if (k->locals.block > k->locals.extent) k->locals.block = k->locals.extent;
  return k->locals.extent > 0 && infer_axes(k);
}

// The largest dim of a carry below |limit|; null if none.
static ir_dim largest_dim(const scan_kernel *k, int64_t limit) {
  ir_dim best = NULL;
  for (int i = 0; i < k->carries; i++) {
    const ir_type *type = &k->inner.function->params[i + 1].value->type;
    for (int d = 0; d < type->rank; d++) {
      int64_t size = cg_const_dim(type->dims[d]);
      if (size < limit && size > (best ? cg_const_dim(best) : 0)) best = type->dims[d];
    }
  }
  return best;
}

// Large dims first: they give more items. Without any the items are the requests.
static bool find_axis(scan_kernel *k) {
  for (ir_dim dim = largest_dim(k, INT64_MAX); dim; dim = largest_dim(k, cg_const_dim(dim)))
    if (try_dim(k, dim)) return true;
  return try_dim(k, NULL);
}

// ---- local values

static local_value *find_local(const emitter *e, const ir_value *value) {
  for (int i = 0; e->locals && i < e->locals->count; i++)
    if (e->locals->all[i].value == value) return &e->locals->all[i];
  return NULL;
}

static const ir_kexpr *local_index(emitter *e, const local_value *local, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_type *type = &local->value->type;
  int axis = e->locals->axes[local->value->id];
  const ir_kexpr *flat = ir_kb_int(b, 0);
  for (int i = 0; i < type->rank; i++) {
    if (e->locals->threads && i == axis) continue;
    int64_t dim = i == axis ? e->locals->block : cg_const_dim(type->dims[i]);
    const ir_kexpr *at = i == axis ? ir_kb_sub(b, idx[i], e->locals->lo) : idx[i];
    flat = ir_kb_add(b, ir_kb_mul(b, flat, ir_kb_int(b, dim)), at);
  }
  if (e->locals->threads && axis >= 0)
    flat = ir_kb_add(b, bk_scaled(b, flat, e->locals->block), ir_kb_sub(b, idx[axis], e->locals->lo));
  if (local->twice) flat = ir_kb_add(b, ir_kb_mul(b, local->side, ir_kb_int(b, local->elements)), flat);
  return flat;
}

bool cg_is_local(const emitter *e, const ir_value *value) { return find_local(e, value) != NULL; }

const ir_kexpr *cg_emit_local(emitter *e, const ir_value *value, const ir_kexpr *const *idx) {
  const local_value *local = find_local(e, value);
  return ir_kb_load(&e->b, cg_compute_type(value->type.dtype), local->buffer, local_index(e, local, idx));
}

static local_value *add_local(scan_kernel *k, ir_value *value, bool twice) {
  emitter *e = &k->e;
  int64_t elements = 1;
  for (int i = 0; i < value->type.rank; i++)
    elements *= i == k->locals.axes[value->id] ? k->locals.block : cg_const_dim(value->type.dims[i]);
  local_value added = {.value = value, .elements = elements, .twice = twice};
  int64_t width = ir_ktype_bytes(cg_compute_type(value->type.dtype)), total = elements * (1 + twice);
  int64_t bytes = (total * width + 63) / 64 * 64;
  added.buffer = k->locals.threads ? ir_kb_add_shared(&e->b, "v", bytes)
                                   : ir_kb_add_buffer(&e->b, IR_KB_LOCAL, "v", ir_kb_int(&e->b, bytes), -1);
  WEIR_PUSH(e->b.arena, k->locals.all, k->locals.count, k->locals.capacity, added);
  return &k->locals.all[k->locals.count - 1];
}

static int64_t elements_of(const scan_kernel *k, const ir_value *value) {
  int64_t elements = 1;
  for (int i = 0; i < value->type.rank && elements <= SHARED_ELEMENTS; i++)
    elements *= i == k->locals.axes[value->id] ? k->locals.block : cg_const_dim(value->type.dims[i]);
  return elements;
}

static bool is_free(const ir_node *node) {
  return node->operand_count == 0 || node->op == IR_OP_element || (ir_op_get_info(node->op)->flags & IR_FLAG_MOVE);
}

// Whether the result of |node| gets local memory of its own.
static bool is_staged(const scan_kernel *k, const ir_node *node) {
  const value_info *info = cg_info(&k->inner, node->results[0]);
  if (ir_op_get_info(node->op)->flags & IR_FLAG_REDUCE) return true;
  if (node->op == IR_OP_map && folds(node->callee)) return true;
  return !is_free(node) && info->use_count + info->is_result > 1;
}

static int64_t all_elements(const scan_kernel *k) {
  int64_t total = 0;
  for (int i = 0; i < k->carries; i++) total += 2 * elements_of(k, k->inner.function->params[i + 1].value);
  for (const ir_node *node = k->inner.function->first; node; node = node->next)
    if (is_staged(k, node)) total += elements_of(k, node->results[0]);
  return total;
}

// Chooses the block's threads, too.
static bool fits(scan_kernel *k) {
  if (!k->inner.low->options->blocks) return all_elements(k) <= LOCAL_ELEMENTS;
  for (int threads = THREADS;; threads /= 2) {
    k->locals.threads = threads;
    k->locals.block = k->locals.extent > 1 ? threads : 1;
    if (threads == THREADS && k->locals.extent <= threads / 2 && k->locals.extent > 1) continue;
    int64_t all = all_elements(k);
    if (all <= FEW_ELEMENTS || threads == IR_WARP) return all <= SHARED_ELEMENTS;
  }
}

// ---- emission

typedef void (*store_fn)(scan_kernel *k, ir_value *value, void *user, const ir_kexpr *const *idx);

// Loops over the item's part of |value|, the last axis in lanes.
static void for_item(scan_kernel *k, ir_value *value, bool lanes, store_fn store, void *user) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *idx[IR_MAX_RANK];
  int rank = value->type.rank, axis = k->locals.axes[value->id];
  for (int i = 0; i < rank; i++) {
    const ir_kexpr *lo = i == axis ? k->locals.lo : ir_kb_int(b, 0);
    const ir_kexpr *hi = i == axis ? k->locals.hi : ir_kb_int(b, cg_const_dim(value->type.dims[i]));
    idx[i] = ir_kb_for(b, i == rank - 1 && lanes ? IR_KR_LANES : IR_KR_SERIAL, "i", lo, hi, 1);
  }
  store(k, value, user, idx);
  for (int i = 0; i < rank; i++) ir_kb_end(b);
}

// The thread's part of what has the axis; of what has not, an element after the other to each.
static void for_thread(scan_kernel *k, ir_value *value, store_fn store, void *user) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *idx[IR_MAX_RANK];
  int rank = value->type.rank, axis = k->locals.axes[value->id];
  if (axis < 0) {
    const ir_kexpr *flat = bk_for(b, "i", k->locals.thread, bk_int(b, elements_of(k, value)), k->locals.threads);
    for (int i = rank - 1; i >= 0; i--) {
      idx[i] = ir_kb_let(b, "at", bk_mod(b, flat, cg_const_dim(value->type.dims[i])));
      flat = bk_div(b, flat, cg_const_dim(value->type.dims[i]));
    }
    store(k, value, user, idx);
    ir_kb_end(b);
    return;
  }
  idx[axis] = ir_kb_let(b, "own", ir_kb_add(b, k->locals.lo, k->locals.thread));
  ir_kb_if(b, bk_less(b, idx[axis], k->locals.hi));
  for (int i = 0; i < rank; i++)
    if (i != axis) idx[i] = bk_for(b, "i", bk_int(b, 0), bk_int(b, cg_const_dim(value->type.dims[i])), 1);
  store(k, value, user, idx);
  for (int i = 0; i < rank - 1; i++) ir_kb_end(b);
  ir_kb_end(b);
}

static void for_elements(scan_kernel *k, ir_value *value, bool lanes, store_fn store, void *user) {
  if (k->locals.threads) for_thread(k, value, store, user);
  else for_item(k, value, lanes, store, user);
}

// Between a value in shared memory that all threads make, and those that read it.
static void meet(scan_kernel *k, const ir_value *value) {
  if (k->locals.threads && k->locals.axes[value->id] < 0) ir_kb_barrier(&k->e.b);
}

typedef struct {
  local_value *to;
  ir_value *from;        // computed; null: |value| is loaded from its slot
  const ir_kexpr *side;  // of |to|
} to_local;

static void store_local(scan_kernel *k, ir_value *value, void *user, const ir_kexpr *const *idx) {
  to_local *l = user;
  emitter *e = &k->e;
  const ir_kexpr *x = l->from ? cg_emit_value(e, l->from, idx) : cg_emit_load(e, value, idx);
  local_value place = *l->to;
  if (l->side) place.side = l->side;
  // A carry is its type's value in every iteration: sequences may be cut behind each.
  if (place.twice) x = ir_kb_cast(&e->b, x->type, ir_kb_cast(&e->b, (ir_ktype)value->type.dtype, x));
  ir_kb_store(&e->b, cg_compute_type(value->type.dtype), place.buffer, local_index(e, &place, idx), x);
}

typedef struct {
  ir_value *from, *to;  // of the body; with a slot of the result
  const ir_kexpr *row;  // null: all
} to_result;

static void store_result(scan_kernel *k, ir_value *value, void *user, const ir_kexpr *const *idx) {
  const to_result *r = user;
  const ir_kexpr *out[IR_MAX_RANK];
  int lead = r->row != NULL;
  if (r->row) out[0] = r->row;
  for (int i = 0; i < value->type.rank; i++) out[i + lead] = idx[i];
  cg_emit_store(&k->e, r->to, cg_info(&k->inner, r->to)->slot, out, cg_emit_value(&k->e, r->from, idx));
}

// A value that all blocks have is written by the first.
static void emit_result(scan_kernel *k, ir_value *value, to_result *r) {
  ir_kbuilder *b = &k->e.b;
  bool once = k->locals.axes[value->id] < 0 && k->locals.extent > k->locals.block;
  if (once) ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, k->locals.lo, ir_kb_int(b, 0), NULL));
  for_elements(k, value, true, store_result, r);
  if (once) ir_kb_end(b);
}

static void emit_iteration(scan_kernel *k, const ir_kexpr *t, ir_value *const *results) {
  const ir_function *body = k->inner.function;
  emitter *e = &k->e;
  ir_kbuilder *b = &e->b;
  const ir_kexpr *odd = ir_kb_let(b, "odd", ir_kb_mod(b, t, ir_kb_int(b, 2)));
  const ir_kexpr *even = ir_kb_sub(b, ir_kb_int(b, 1), odd);
  for (int i = 0; i < k->carries; i++) k->locals.all[i].side = odd;
  cg_bind(e, body->params[0].value, NULL, 0, ir_kb_cast(b, IR_KT_i32, t));
  int first = k->locals.count;
  for (const ir_node *node = body->first; node; node = node->next) {
    if (!is_staged(k, node)) continue;
    local_value *local = add_local(k, node->results[0], false);
    to_local l = {.to = local, .from = node->results[0]};
    ir_value *value = local->value;
    local_value place = *local;
    k->locals.count--;  // it is not there while it is computed
    l.to = &place;
    for_elements(k, value, !(ir_op_get_info(node->op)->flags & IR_FLAG_REDUCE), store_local, &l);
    meet(k, value);
    k->locals.all[k->locals.count++] = place;
  }
  for (int i = k->carries; i < body->result_count; i++) {
    to_result r = {body->results[i].value, results[i], t};
    emit_result(k, body->results[i].value, &r);
  }
  for (int i = 0; i < k->carries; i++) {
    to_local l = {.to = &k->locals.all[i], .from = body->results[i].value, .side = even};
    for_elements(k, body->params[i + 1].value, true, store_local, &l);
  }
  // The next iteration writes what this one still reads.
  bool together = false;
  for (int i = 0; i < k->locals.count; i++) together |= k->locals.axes[k->locals.all[i].value->id] < 0;
  if (k->locals.threads && together) ir_kb_barrier(b);
  k->locals.count = first;
}

static weir_status emit_kernel(scan_kernel *k, ir_value *const *results) {
  const ir_function *body = k->inner.function;
  emitter *e = &k->e;
  ir_kbuilder *b = &e->b;
  weir_arena *arena = k->inner.low->arena;
  int64_t blocks = (k->locals.extent + k->locals.block - 1) / k->locals.block;
  cg_emit_begin(e, &k->inner, NULL, k->locals.threads ? "block_scan" : "scan",
                weir_arena_printf(arena, "all iterations of a scan, %d of %d elements at a time", (int)k->locals.block,
                                  (int)k->locals.extent));
  e->locals = &k->locals;
  const ir_kexpr *count = ir_kb_int(b, blocks);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, cg_emit_size(e, SIZE_REQUESTS, NULL), count), "n");
  if (k->locals.threads) k->locals.thread = ir_kb_set_threads(b, "t", k->locals.threads, 0);
  cg_emit_set_request(e, ir_kb_let(b, "request", ir_kb_div(b, n, count)));
  k->locals.lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_mod(b, n, count), ir_kb_int(b, k->locals.block)));
  k->locals.hi = ir_kb_let(
      b, "hi", ir_kb_min(b, ir_kb_add(b, k->locals.lo, ir_kb_int(b, k->locals.block)), ir_kb_int(b, k->locals.extent)));
  for (int i = 0; i < k->carries; i++) {
    ir_value *carry = body->params[i + 1].value;
    local_value place = *add_local(k, carry, true);
    to_local l = {.to = &place, .side = ir_kb_int(b, 0)};
    k->locals.count--;
    for_elements(k, carry, true, store_local, &l);
    meet(k, carry);
    k->locals.all[k->locals.count++] = place;
  }
  const ir_kexpr *rows = cg_dim_expr(e, k->node->attrs[0].dim);
  const ir_kexpr *t = ir_kb_for(b, IR_KR_SERIAL, "t", ir_kb_int(b, 0), rows, 1);
  emit_iteration(k, t, results);
  ir_kb_end(b);
  for (int i = 0; i < k->carries; i++) {
    k->locals.all[i].side = ir_kb_mod(b, rows, ir_kb_int(b, 2));
    to_result r = {body->params[i + 1].value, results[i], NULL};
    emit_result(k, body->params[i + 1].value, &r);
  }
  return cg_emit_finish(e);
}

// ---- the kernel as a function of what the scan captures

static int add_slot(scan_kernel *k, ir_value *value, slot_kind kind, int index) {
  int at = cg_add_temp(&k->inner, value);
  k->inner.out->slots[at].kind = kind;
  k->inner.out->slots[at].index = index;
  cg_info(&k->inner, value)->slot = at;
  return at;
}

static weir_status prepare(scan_kernel *k) {
  const ir_function *body = k->inner.function;
  WEIR_TRY(cg_analyze(&k->inner));
  for (int i = 0; i < body->param_count; i++) add_slot(k, body->params[i].value, SLOT_PARAM, i);
  for (const ir_node *node = body->first; node; node = node->next)
    for (int i = 0; i < node->result_count; i++) cg_info(&k->inner, node->results[i])->fate = FATE_INLINE;
  return WEIR_OK;
}

bool cg_lower_scan_kernel(function_lowering *fl, ir_node *node, weir_status *out_status) {
  weir_arena *arena = fl->low->arena;
  scan_kernel k = {.node = node, .carries = (int)node->attrs[1].i};
  *out_status = WEIR_OK;
  for (const ir_node *each = node->callee->first; each; each = each->next)
    if (!is_allowed(each)) return false;
  if (node->second || fl->loop_count || !k.carries) return false;
  lowered *made = WEIR_NEW(arena, lowered);
  item it = {.callee = made, .results = WEIR_NEW_ARRAY(arena, int, node->result_count)};
  k.inner = (function_lowering){.low = fl->low, .out = made, .function = node->callee};
  k.locals.axes = WEIR_NEW_ARRAY(arena, int, node->callee->next_id);
  if (!find_axis(&k)) return false;
  weir_status status = cg_region_begin(fl, node, node->callee, &k.inner, &it.args);
  if (!status) status = prepare(&k);
  if (status || !fits(&k)) {
    weir_status_release(status);  // scan.c refuses it again, or can do it
    return false;
  }
  ir_value **results = WEIR_NEW_ARRAY(arena, ir_value *, node->result_count);
  for (int i = 0; i < node->result_count; i++) {
    results[i] = cg_new_value(&k.inner, node->results[i]->type);
    slot *at = &made->slots[cg_info(&k.inner, results[i])->slot];
    at->kind = SLOT_RESULT;
    at->index = i;
    it.results[i] = cg_info(fl, node->results[i])->slot;
  }
  *out_status = emit_kernel(&k, results);
  if (!*out_status) WEIR_PUSH(arena, fl->out->items, fl->out->item_count, fl->out->item_capacity, it);
  return true;
}
