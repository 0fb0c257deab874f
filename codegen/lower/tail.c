// Tails: rows that follow from the whole rows of a product or of attention, one by one (a norm, their form for products
// of lower precision, rotary positions), are computed in its launch. Items count in an i32 for each chunk of rows how
// many of them have stored their columns; the last one goes on with the chunk's rows, which are in its cache.
//
// It is the kernel there would have been otherwise, in another place, so no bit changes, and nobody waits: whichever
// item comes last does it. What else the rows need must be in memory before the launch, so a row follows from the
// latest of the values that it reads. Not for devices of thread blocks: there one block would work while the others are
// gone.
#include "codegen/lower/internal.h"

enum {
  MAX_DEPTH = 32,  // of the expressions of a row
  SPARE_ARGS = 2,  // tables of requests and rows
};

typedef struct {
  const function_lowering *fl;
  const int *order;        // of values in the body, by id
  const ir_value *target;  // computed, whatever its fate
  ir_value *latest;        // root that is read
  int leaves;
  bool fits;
} walk;

// ---- legality

// One of the axes, and no more, are the target's rows.
static bool has_rows(const walk *w, const ir_value *value) {
  const value_info *info = cg_info(w->fl, value);
  return info->ragged && !(info->ragged & (info->ragged - 1)) &&
         value->type.dims[info->axis] == w->target->type.dims[0];
}

// Something in memory, read at the row or independent of it.
static void visit_leaf(walk *w, ir_value *value) {
  ir_value *base = cg_base(w->fl, value);
  const value_info *info = cg_info(w->fl, base);
  w->leaves++;
  if (!base->def) {
    w->fits &= w->fl->function->params[base->result].kind != IR_PARAM_STATE;
    return;
  }
  if (info->fate != FATE_ROOT || info->cls == CLASS_HISTORY) w->fits = false;
  else if (!w->latest || w->order[base->id] > w->order[w->latest->id]) w->latest = base;
}

static bool is_row_local(const walk *w, const ir_node *node) {
  unsigned flags = ir_op_get_info(node->op)->flags;
  if (flags & (IR_FLAG_REDUCE | IR_FLAG_ROW)) return !cg_reduces_rows(w->fl, node);
  if (node->op == IR_OP_reshape)  // rows stay in front
    return cg_info(w->fl, node->results[0])->ragged <= 1 && cg_info(w->fl, node->operands[0])->ragged <= 1;
  return (flags & IR_FLAG_EW) || node->op == IR_OP_cast || node->op == IR_OP_broadcast || node->op == IR_OP_permute ||
         node->op == IR_OP_constant;
}

static void visit(walk *w, ir_value *value, int depth) {
  const value_info *info = cg_info(w->fl, value);
  if (depth > MAX_DEPTH) w->fits = false;
  if (!w->fits) return;
  bool rows = has_rows(w, value), fixed = info->cls == CLASS_INVARIANT || info->cls == CLASS_REQUEST;
  w->fits = rows || fixed;
  if (value != w->target && (!value->def || info->fate == FATE_ROOT || info->fate == FATE_ALIAS)) {
    visit_leaf(w, value);
    return;
  }
  if (!value->def || value->def->result_count != 1 || !is_row_local(w, value->def)) {
    w->fits = false;
    return;
  }
  for (int i = 0; i < value->def->operand_count && w->fits; i++) visit(w, value->def->operands[i], depth + 1);
}

static bool in_group(const value_info *info, const ir_value *root) {
  return info->value && info->value->def && (info->value == root || (info->fate == FATE_INLINE && info->group == root));
}

// Pointers of the kernel of |root|, as many as there may be.
static int arguments(const function_lowering *fl, ir_value *root, const ir_node *linear) {
  int count = 2 + SPARE_ARGS;  // its own and the counters
  bool *seen = WEIR_NEW_ARRAY(fl->low->arena, bool, fl->value_count);
  for (int i = 0; i < fl->value_count; i++) {
    if (!in_group(&fl->values[i], root)) continue;
    const ir_node *node = fl->values[i].value->def;
    for (int k = 0; k < node->operand_count; k++) {
      const ir_value *x = node->operands[k];
      if (seen[x->id] || in_group(cg_info(fl, x), root)) continue;
      seen[x->id] = true;
      count++;
    }
  }
  cg_compute compute = linear ? cg_linear_compute(fl, linear) : CG_COMPUTE_F32;
  return count + (compute == CG_COMPUTE_INT8 || compute == CG_COMPUTE_INT8_ROW ? 2 : 0);
}

// Whether the kernel of |root| has rows that it can say to be whole.
static bool completes_rows(const function_lowering *fl, ir_value *root, const ir_node **out_linear) {
  const value_info *info = cg_info(fl, root);
  const slot *at = info->slot >= 0 ? &fl->out->slots[info->slot] : NULL;
  ir_node *linear;
  *out_linear = NULL;
  if (info->fate != FATE_ROOT || info->ragged != 1 || !at || cg_is_image(fl, root)) return false;
  if ((at->kind != SLOT_TEMP && at->kind != SLOT_RESULT) || at->first != 1) return false;
  if (root->def->op == IR_OP_attend) return root->type.rank == 3;
  if (root->type.rank != 2 || !cg_group_linears(fl, root, &linear, 1) || linear->op != IR_OP_linear) return false;
  *out_linear = linear;
  return cg_is_panel_linear(fl, root, linear);
}

// ---- which

const row_tail *cg_tail_of(const function_lowering *fl, const ir_value *root) {
  for (int i = 0; i < fl->tail_count; i++)
    if (fl->tails[i].root == root) return &fl->tails[i];
  return NULL;
}

bool cg_is_tail(const function_lowering *fl, const ir_value *value) {
  for (int i = 0; i < fl->tail_count; i++)
    if (fl->tails[i].value == value && !fl->tails[i].packed) return true;
  return false;
}

static void consider(function_lowering *fl, const int *order, ir_value *value, cg_compute compute) {
  walk w = {.fl = fl, .order = order, .target = value, .fits = true};
  const value_info *info = cg_info(fl, value);
  const ir_node *linear;
  if (value->type.rank != 2 || info->ragged != 1 || cg_const_dim(value->type.dims[1]) < 1) return;
  if (compute && info->fate == FATE_ROOT) w.latest = value;  // packed as it lies in memory
  else visit(&w, value, 0);
  if (!w.fits || !w.latest || !has_rows(&w, w.latest) || cg_tail_of(fl, w.latest)) return;
  if (!completes_rows(fl, w.latest, &linear)) return;
  packed_rows *packed = NULL;
  int room = RT_MAX_ARGS - arguments(fl, w.latest, linear) - w.leaves;
  if (room < (compute == CG_COMPUTE_INT8 || compute == CG_COMPUTE_INT8_ROW ? 3 : 1)) return;
  if (compute) {
    packed = WEIR_NEW(fl->low->arena, packed_rows);
    cg_pack_room(fl, value, compute, packed);
  }
  row_tail tail = {w.latest, value, packed, cg_add_counters(fl, value->type.dims[0], 1)};
  WEIR_PUSH(fl->low->arena, fl->tails, fl->tail_count, fl->tail_capacity, tail);
}

// Products of lower precision that read |value| as rows.
static cg_compute packed_for(const function_lowering *fl, const value_info *info) {
  for (int i = 0; i < info->use_count; i++) {
    const ir_node *user = info->users[i];
    if (user->op != IR_OP_linear || user->operands[0] != info->value) continue;
    cg_compute compute = cg_linear_compute(fl, user);
    if (compute) return compute;
  }
  return CG_COMPUTE_F32;
}

static bool is_rowwise(const function_lowering *fl, ir_value *value) {
  const value_info *info = cg_info(fl, value);
  ir_node *linear;
  const slot *at = info->slot >= 0 ? &fl->out->slots[info->slot] : NULL;
  return info->fate == FATE_ROOT && at && (at->kind == SLOT_TEMP || at->kind == SLOT_RESULT) && at->first == 1 &&
         (ir_op_get_info(value->def->op)->flags & IR_FLAG_EW) && !cg_is_image(fl, value) &&
         !cg_group_linears(fl, value, &linear, 1);
}

void cg_find_tails(function_lowering *fl) {
  if (fl->loop_count || fl->low->options->blocks) return;
  int *order = WEIR_NEW_ARRAY(fl->low->arena, int, fl->value_count + 1), count = 0;
  for (const ir_node *node = fl->function->first; node; node = node->next)
    for (int i = 0; i < node->result_count; i++) order[node->results[i]->id] = ++count;
  for (const ir_node *node = fl->function->first; node; node = node->next) {
    ir_value *value = node->results[0];
    if (cg_takes_memory(node->op) || node->result_count != 1) continue;
    cg_compute compute = packed_for(fl, cg_info(fl, value));
    if (compute) consider(fl, order, value, compute);
    else if (is_rowwise(fl, value)) consider(fl, order, value, CG_COMPUTE_F32);
  }
}

// ---- emission

int cg_add_counters(function_lowering *fl, ir_dim rows, int per_row) {
  slot added = {.kind = SLOT_COUNTERS, .name = "arrived", .rows = rows, .piece = per_row, .index = fl->counters++};
  WEIR_PUSH(fl->low->arena, fl->out->slots, fl->out->slot_count, fl->out->slot_capacity, added);
  return fl->out->slot_count - 1;
}

void cg_emit_arrive(emitter *e, int counters, const ir_kexpr *index, const ir_kexpr *count) {
  ir_kbuilder *b = &e->b;
  ir_kvar *last = ir_kb_reg(b, "last", IR_KT_i64, false, 0, NULL, ir_kb_int(b, 0));
  ir_kb_arrive(b, last, cg_emit_slot(e, counters, IR_KB_INOUT), index, count);
  ir_kb_if(b, ir_kb_op(b, IR_K_ne, IR_KT_bool, ir_kb_read(b, last, NULL, NULL, NULL), ir_kb_int(b, 0), NULL));
}

void cg_emit_tail_rows(emitter *e, const row_tail *tail, const ir_kexpr *lo, const ir_kexpr *hi) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", lo, hi, 1), *idx[IR_MAX_RANK];
  ir_value *root = e->root;
  e->root = cg_info(e->fl, tail->value)->fate == FATE_INLINE || tail->value == tail->root ? NULL : tail->value;
  if (tail->value->def->op == IR_OP_rope) {
    cg_emit_rope_row(e, tail->value, row);
  } else {
    cg_emit_set_row(e, tail->value, row, idx);
    if (tail->packed) cg_emit_packed_row(e, tail->packed, idx);
    else cg_emit_row(e, tail->value, idx);
  }
  e->root = root;
  ir_kb_end(b);
}

weir_status cg_lower_clear(lowering *low, int per_row, int *out_kernel) {
  ir_kbuilder b;
  ir_kb_init(&b, low->arena, "clear", "counters of arrivals");
  const ir_kexpr *count = ir_kb_mul(&b, ir_kb_add_size(&b, "rows"), ir_kb_int(&b, per_row));
  int to = ir_kb_add_buffer(&b, IR_KB_OUT, "arrived", ir_kb_mul(&b, count, ir_kb_int(&b, 4)), -1);
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "n");
  const ir_kexpr *i = ir_kb_for(&b, IR_KR_LANES, "i", ir_kb_int(&b, 0), count, 1);
  ir_kb_store(&b, IR_KT_i32, to, i, ir_kb_const(&b, IR_KT_i32, 0));
  ir_kb_end(&b);
  ir_kernel *kernel = ir_kb_finish(&b);
  WEIR_TRY(ir_kernel_verify(kernel));
  uint64_t hash = ir_kernel_hash(kernel);
  kernel->name = weir_arena_printf(low->arena, "k_clear_%08x", (unsigned)(hash ^ (hash >> 32)));
  *out_kernel = cg_add_kernel(low, kernel);
  return WEIR_OK;
}
