// Loops over the rows of requests: a scan becomes a loop of the program around the launches of its body.
//
// The body is lowered like a function whose parameters are what the scan captures and carries; the number of the
// iteration is a size of its kernels. All requests go through one loop, as long as the longest: a request whose own
// rows are over (or whose condition was false) goes on computing, but reads nothing at places that the loop counts, and
// a last kernel of the iteration, which gives carries their new values and rows their places, leaves it out. So what a
// request gets does not depend on the others. Carries have two places, since a body may read all of a carry for each
// element of the next.
#include <string.h>

#include "codegen/lower/internal.h"

int cg_region_param(const ir_node *node, int operand) {
  if (node->op == IR_OP_scan) return operand + 1;
  if (node->op == IR_OP_cond) return operand - 1;
  if (node->op == IR_OP_map || node->op == IR_OP_fold) return node->attrs[0].count + operand;
  return -1;
}

int cg_loop_of(const function_lowering *fl, const ir_value *value) {
  bool region = fl->loop_params && !value->def && value->id < fl->function->next_id;
  return region ? fl->loop_params[value->result] : -1;
}

const ir_kexpr *cg_emit_active(emitter *e) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *active = NULL;
  for (int i = 0; i < e->fl->loop_count; i++) {
    ir_dim dim = e->fl->loops[i];
    if (!dim || ir_dim_role(dim) == IR_ROLE_PLAIN) continue;
    const ir_kexpr *t = cg_emit_size(e, SIZE_LOOP, ir_dim_const(e->fl->low->module->dims, i));
    const ir_kexpr *in = ir_kb_op(b, IR_K_lt, IR_KT_bool, t, cg_dim_expr(e, dim), NULL);
    active = active ? ir_kb_op(b, IR_K_and, IR_KT_bool, active, in, NULL) : in;
  }
  return active;
}

// ---- regions as functions

// A region's parameters are inputs; here they become what their operands are in the owner: weights, states.
typedef struct {
  ir_function *function;
  cg_weight_format *formats;
  int *loop_params;
  int *args;  // slots of the owner
} region_call;

static const ir_param *base_param(const function_lowering *fl, const ir_value *base) {
  bool param = !base->def && base->id < fl->function->next_id;
  return param ? &fl->function->params[base->result] : NULL;
}

static unsigned region_axes(const ir_type *type) {
  unsigned axes = 0;
  for (int i = 0; i < type->rank; i++)
    if (ir_dim_role(type->dims[i]) != IR_ROLE_PLAIN) axes |= 1u << i;
  return axes;
}

static weir_status capture(function_lowering *fl, const ir_node *node, ir_value *value, int at, region_call *call) {
  ir_value *base = cg_base(fl, value);
  const value_info *info = cg_info(fl, base);
  const ir_param *from = base_param(fl, base);
  ir_param *param = &call->function->params[at];
  call->loop_params[at] = cg_loop_of(fl, base);
  call->args[at] = info->slot;
  if (call->loop_params[at] >= 0) return WEIR_OK;
  if (info->slot < 0) return cg_unsupported(fl->function, node->loc, "what a region captures has no memory");
  if (info->cls == CLASS_HISTORY || (from && from->kind == IR_PARAM_STATE)) {
    param->kind = IR_PARAM_STATE;
    param->rows = info->cls == CLASS_HISTORY;
    if (cg_slot_in_panels(fl, &fl->out->slots[info->slot])) call->formats[at].layout = CG_LAYOUT_PANEL;
    if (param->rows || base == value) return WEIR_OK;
    param->kind = IR_PARAM_INPUT;
    return cg_copy_state(fl, value, &call->args[at]);
  }
  if (info->cls == CLASS_INVARIANT) {
    const cg_weight_format *format = cg_format_of(fl, base);
    param->kind = IR_PARAM_WEIGHT;
    call->formats[at] = format ? *format : (cg_weight_format){.storage = cg_plain_storage(value->type.dtype)};
    return WEIR_OK;
  }
  unsigned wanted = region_axes(&value->type), given = base == value ? fl->out->slots[info->slot].first : wanted;
  if (cg_lies_as(cg_info(fl, value), wanted, given)) return WEIR_OK;
  return cg_copy_argument(fl, value, wanted, &call->args[at]);
}

static ir_function *shadow(weir_arena *arena, const ir_function *region) {
  ir_function *copy = WEIR_NEW(arena, ir_function);
  *copy = *region;
  copy->params = WEIR_NEW_ARRAY(arena, ir_param, region->param_count);
  if (region->param_count) memcpy(copy->params, region->params, sizeof *copy->params * (size_t)region->param_count);
  return copy;
}

// |arg_slots| of operands that are in place already, -1 for those to capture; null: all.
static weir_status begin_region(function_lowering *fl, const ir_node *node, ir_function *region, const int *arg_slots,
                                int counts, function_lowering *inner, int **out_args) {
  weir_arena *arena = fl->low->arena;
  int params = region->param_count;
  region_call call = {.function = shadow(arena, region),
                      .formats = WEIR_NEW_ARRAY(arena, cg_weight_format, params),
                      .loop_params = WEIR_NEW_ARRAY(arena, int, params),
                      .args = WEIR_NEW_ARRAY(arena, int, params)};
  for (int i = 0; i < params; i++) call.loop_params[i] = -1;
  if (counts >= 0) call.loop_params[0] = counts;
  for (int i = 0; i < node->operand_count; i++) {
    int at = cg_region_param(node, i);
    if (at < 0) continue;
    call.args[at] = arg_slots ? arg_slots[i] : -1;
    if (call.args[at] < 0) WEIR_TRY(capture(fl, node, node->operands[i], at, &call));
  }
  inner->out->function = inner->function = call.function;
  inner->out->formats = call.formats;
  inner->loop_params = call.loop_params;
  *out_args = call.args;
  return WEIR_OK;
}

weir_status cg_region_begin(function_lowering *fl, const ir_node *node, ir_function *region, function_lowering *inner,
                            int **out_args) {
  return begin_region(fl, node, region, NULL, -1, inner, out_args);
}

weir_status cg_region_begin_loop(function_lowering *fl, const ir_node *node, ir_function *region, const int *arg_slots,
                                 function_lowering *inner, int **out_args) {
  return begin_region(fl, node, region, arg_slots, inner->loop_count - 1, inner, out_args);
}

weir_status cg_lower_region(function_lowering *fl, const ir_node *node, ir_function *region, const ir_dim *loops,
                            int loop_count, bool counts, const int *arg_slots, const int *result_slots) {
  weir_arena *arena = fl->low->arena;
  lowered *made = WEIR_NEW(arena, lowered);
  function_lowering inner = {.low = fl->low, .out = made, .loops = loops, .loop_count = loop_count};
  item it = {.callee = made, .results = WEIR_NEW_ARRAY(arena, int, region->result_count)};
  WEIR_TRY(begin_region(fl, node, region, arg_slots, counts ? loop_count - 1 : -1, &inner, &it.args));
  WEIR_TRY(cg_lower_body(&inner));
  memcpy(it.results, result_slots, sizeof *result_slots * (size_t)region->result_count);
  WEIR_PUSH(arena, fl->out->items, fl->out->item_count, fl->out->item_capacity, it);
  return WEIR_OK;
}

// ---- the end of an iteration

// Copies |from| at |idx|, whose first |done| are known, to |to|; |row| where that has a row for each iteration.
static void emit_copy(emitter *e, ir_value *from, ir_value *to, const ir_kexpr *row) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *in[IR_MAX_RANK], *out[IR_MAX_RANK];
  int rank = from->type.rank, lead = row != NULL;
  if (row) out[0] = row;
  for (int i = 0; i < rank; i++) {
    const ir_kexpr *dim = cg_dim_expr(e, from->type.dims[i]);
    in[i] = out[i + lead] = ir_kb_for(b, i == rank - 1 ? IR_KR_LANES : IR_KR_SERIAL, "i", ir_kb_int(b, 0), dim, 1);
  }
  cg_emit_store(e, to, cg_info(e->fl, to)->slot, out, cg_emit_load(e, from, in));
  for (int i = 0; i < rank; i++) ir_kb_end(b);
}

static weir_status commit_some(function_lowering *fl, ir_value *flags, ir_value *const *from, ir_value *const *to,
                               int count, int rows, const char *name) {
  emitter e;
  cg_emit_begin(&e, fl, NULL, name, weir_arena_printf(fl->low->arena, "%s: what an iteration leaves behind", name));
  ir_kbuilder *b = &e.b;
  cg_emit_set_request(&e, ir_kb_set_grid(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n"));
  const ir_kexpr *active = cg_emit_active(&e), *row = NULL;
  if (flags) {
    const ir_kexpr *flag = cg_emit_load(&e, flags, NULL);
    active = active ? ir_kb_op(b, IR_K_and, IR_KT_bool, active, flag, NULL) : flag;
  }
  if (active) ir_kb_if(b, active);
  if (rows < count) row = cg_emit_size(&e, SIZE_LOOP, ir_dim_const(fl->low->module->dims, fl->loop_count - 1));
  for (int i = 0; i < count; i++) emit_copy(&e, from[i], to[i], i < rows ? NULL : row);
  if (active) ir_kb_end(b);
  return cg_emit_finish(&e);
}

weir_status cg_lower_commit(function_lowering *fl, ir_value *flags, ir_value *const *from, ir_value *const *to,
                            int count, int rows, const char *name) {
  enum { AT_ONCE = 4 };  // two pointers for each, tables of its dims, and 16 in all
  for (int i = 0; i < count; i += AT_ONCE) {
    int some = count - i < AT_ONCE ? count - i : AT_ONCE, carried = rows - i < 0 ? 0 : rows - i;
    WEIR_TRY(commit_some(fl, flags, from + i, to + i, some, carried < some ? carried : some, name));
  }
  return WEIR_OK;
}

// ---- scan

void cg_mark_loop(function_lowering *fl, loop_mark mark, ir_dim trips, int flags) {
  item it = {.loop = mark, .trips = trips, .flags = flags};
  WEIR_PUSH(fl->low->arena, fl->out->items, fl->out->item_count, fl->out->item_capacity, it);
}

// Copies an initial value to where the carry lies, one for each request.
static weir_status start_carry(function_lowering *fl, ir_value *initial, const ir_value *carry) {
  int at = cg_info(fl, carry)->slot;
  bool spread = fl->out->slots[at].spread;
  fl->out->slots[at].spread = cg_info(fl, initial)->cls == CLASS_INVARIANT;
  weir_status status = cg_lower_copy(fl, initial, at);
  fl->out->slots[at].spread = spread;
  return status;
}

// flags[r] = true, or flags[r] and what the condition said.
static weir_status lower_flags(function_lowering *fl, ir_value *flags, ir_value *condition) {
  emitter e;
  cg_emit_begin(&e, fl, NULL, "flags", "which requests go on");
  ir_kbuilder *b = &e.b;
  const ir_kexpr *n = ir_kb_set_grid(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n");
  cg_emit_set_request(&e, n);
  const ir_kexpr *value = ir_kb_const(b, IR_KT_bool, 1);
  if (condition) {
    const ir_kexpr *active = cg_emit_active(&e);
    int buffer = cg_emit_slot(&e, cg_info(fl, flags)->slot, IR_KB_INOUT);
    value = ir_kb_op(b, IR_K_and, IR_KT_bool, ir_kb_load(b, IR_KT_bool, buffer, n), cg_emit_load(&e, condition, NULL),
                     NULL);
    if (active) value = ir_kb_op(b, IR_K_and, IR_KT_bool, value, active, NULL);
    ir_kb_store(b, IR_KT_bool, buffer, n, value);
  } else {
    cg_emit_store(&e, flags, cg_info(fl, flags)->slot, NULL, value);
  }
  return cg_emit_finish(&e);
}

typedef struct {
  ir_node *node;
  int carries, results;
  ir_value **made;  // by an iteration: next carries, then rows
  int *args;        // slots of the carries, then -1
  const ir_dim *loops;
  int loop_count;
  ir_value *flags;  // null without a condition
} scan_plan;

static weir_status lower_condition(function_lowering *fl, scan_plan *s) {
  ir_value *condition = cg_new_value(fl, s->flags->type);
  int at = cg_info(fl, condition)->slot;
  WEIR_TRY(cg_lower_region(fl, s->node, s->node->second, s->loops, s->loop_count, true, s->args, &at));
  return lower_flags(fl, s->flags, condition);
}

static weir_status lower_iteration(function_lowering *fl, scan_plan *s) {
  weir_arena *arena = fl->low->arena;
  int *slots = WEIR_NEW_ARRAY(arena, int, s->results + 1);
  for (int i = 0; i < s->results; i++) slots[i] = cg_info(fl, s->made[i])->slot;
  if (s->flags) WEIR_TRY(lower_condition(fl, s));
  WEIR_TRY(cg_lower_region(fl, s->node, s->node->callee, s->loops, s->loop_count, true, s->args, slots));
  return cg_lower_commit(fl, s->flags, s->made, s->node->results, s->results, s->carries, "carry");
}

weir_status cg_lower_scan(function_lowering *fl, ir_node *node) {
  weir_arena *arena = fl->low->arena;
  weir_status kernel;
  if (cg_lower_scan_kernel(fl, node, &kernel) || cg_lower_scan_cell(fl, node, &kernel)) return kernel;
  scan_plan s = {.node = node, .carries = (int)node->attrs[1].i, .results = node->result_count};
  ir_dim *loops = WEIR_NEW_ARRAY(arena, ir_dim, fl->loop_count + 1);
  if (fl->loop_count) memcpy(loops, fl->loops, sizeof *loops * (size_t)fl->loop_count);
  loops[fl->loop_count] = node->attrs[0].dim;
  s.args = WEIR_NEW_ARRAY(arena, int, node->operand_count + 1);
  s.made = WEIR_NEW_ARRAY(arena, ir_value *, s.results + 1);
  for (int i = 0; i < node->operand_count; i++) s.args[i] = -1;
  for (int i = 0; i < s.carries; i++) {
    s.args[i] = cg_info(fl, node->results[i])->slot;
    WEIR_TRY(start_carry(fl, node->operands[i], node->results[i]));
  }
  for (int i = 0; i < s.results; i++) s.made[i] = cg_new_value(fl, node->callee->results[i].value->type);
  if (node->second) {
    s.flags = cg_new_value(fl, ir_type_make(IR_bool, 0, NULL));
    WEIR_TRY(lower_flags(fl, s.flags, NULL));
  }
  s.loops = loops;
  s.loop_count = fl->loop_count + 1;
  cg_mark_loop(fl, LOOP_BEGIN, node->attrs[0].dim, s.flags ? cg_info(fl, s.flags)->slot : -1);
  const ir_dim *outer = fl->loops;
  fl->loops = loops;
  fl->loop_count++;
  weir_status status = lower_iteration(fl, &s);
  fl->loops = outer;
  fl->loop_count--;
  cg_mark_loop(fl, LOOP_END, NULL, -1);
  return status;
}
