// The kernel under construction: buffers for slots and tables, sizes, loads and stores of whole values, closing and
// sharing of kernels. How a value is computed from others stands in compute.c.
#include <string.h>

#include "codegen/lower/internal.h"
#include "codegen/lower/taps.h"
#include "runtime/base/checked.h"
#include "ir/kernel_internal.h"

ir_ktype cg_compute_type(ir_dtype dtype) {
  switch (dtype) {
    case IR_f16:
    case IR_bf16:
    case IR_f8e4m3:
    case IR_f8e5m2:
      return IR_KT_f32;
    default:
      return (ir_ktype)dtype;
  }
}

void cg_emit_begin(emitter *e, function_lowering *fl, ir_value *root, const char *name, const char *banner) {
  memset(e, 0, sizeof *e);
  e->fl = fl;
  e->root = root;
  e->item.note = name;
  ir_kb_init(&e->b, fl->low->arena, name, banner);
}

const ir_kexpr *cg_emit_size(emitter *e, size_kind kind, ir_dim dim) {
  static const char *const names[] = {"requests", "rows", "rows_max", "?", "t"};
  int same_kind = 0;
  for (int i = 0; i < e->item.size_count; i++) {
    launch_size *size = &e->item.sizes[i];
    if (size->kind != kind) continue;
    if (size->dim == dim) return ir_kb_add_size(&e->b, e->b.kernel->sizes[i]);
    same_kind++;
  }
  if (e->item.size_count == RT_MAX_DIMS) {
    e->unsupported = "so many sizes in one kernel";
    return ir_kb_int(&e->b, 1);
  }
  // Names by role, not by value: kernels that do the same are the same.
  const char *name = names[kind];
  if (kind == SIZE_PLAIN) name = ir_dim_as_symbol(dim)->name;
  else if (same_kind) name = weir_arena_printf(e->b.arena, "%s_%d", name, same_kind + 1);
  e->item.sizes[e->item.size_count++] = (launch_size){kind, dim};
  return ir_kb_add_size(&e->b, name);
}

// ---- dims of the current request

static const void *dim_constant(void *user, int64_t value) { return ir_kb_int(&((emitter *)user)->b, value); }

static const ir_kexpr *request_fact_of(emitter *e, request_fact_kind kind, ir_dim rows);

static const void *dim_symbol(void *user, const ir_symbol *symbol) {
  emitter *e = user;
  ir_kbuilder *b = &e->b;
  ir_dim_table *dims = e->fl->low->module->dims;
  ir_dim dim = ir_dim_symbol(dims, symbol);
  if (symbol->role == IR_ROLE_PLAIN) return cg_emit_size(e, SIZE_PLAIN, dim);
  if (symbol->kept_of) {
    const ir_kexpr *past = request_fact_of(e, FACT_PAST, ir_dim_symbol(dims, symbol->kept_of->past));
    return ir_kb_min(b, past, ir_kb_int(b, symbol->hi));
  }
  if (ir_symbol_before(dims, symbol)) return request_fact_of(e, FACT_PAST, dim);
  return ir_kb_sub(b, request_fact_of(e, FACT_END, dim), request_fact_of(e, FACT_START, dim));
}

static const void *dim_binary(void *user, char op, const void *a, const void *b) {
  ir_kbuilder *kb = &((emitter *)user)->b;
  if (op == '+') return ir_kb_add(kb, a, b);
  if (op == '*') return ir_kb_mul(kb, a, b);
  return op == '/' ? ir_kb_div(kb, a, b) : ir_kb_mod(kb, a, b);
}

const ir_kexpr *cg_dim_expr(emitter *e, ir_dim dim) {
  ir_dim_algebra algebra = {e, dim_constant, dim_symbol, dim_binary};
  const ir_kexpr *expr = ir_dim_convert(dim, &algebra);
  if (expr) return expr;
  e->unsupported = "a dim that cannot be computed";
  return ir_kb_int(&e->b, 1);
}

// Product of the dims other than the ragged ones.
static const ir_kexpr *inner_elements(emitter *e, const value_info *info) {
  const ir_kexpr *total = ir_kb_int(&e->b, 1);
  for (int i = 0; i < info->value->type.rank; i++)
    if (!(info->ragged >> i & 1)) total = ir_kb_mul(&e->b, total, cg_dim_expr(e, info->value->type.dims[i]));
  return total;
}

static bool is_state_param(const function_lowering *fl, const ir_value *value) {
  return !value->def && fl->function->params[value->result].kind == IR_PARAM_STATE;
}

// A result that is a state's value has memory of its own.
static bool is_state_slot(const function_lowering *fl, const slot *at) {
  return at->kind == SLOT_PARAM && is_state_param(fl, at->value);
}

static const ir_kexpr *slot_bytes(emitter *e, const slot *at) {
  ir_kbuilder *b = &e->b;
  if (at->kind == SLOT_ROPE) return ir_kb_mul(b, cg_emit_size(e, SIZE_ROWS, at->rows), ir_kb_int(b, 4 * at->rotary));
  if (at->kind == SLOT_ROWS) return ir_kb_int(b, at->bytes);
  if (at->kind == SLOT_COUNTERS) return ir_kb_mul(b, cg_emit_size(e, SIZE_ROWS, at->rows), ir_kb_int(b, 4 * at->piece));
  if (at->kind == SLOT_PARTS) {
    const ir_kexpr *pieces = ir_kb_div(b, cg_emit_most(e, at->rows), ir_kb_int(b, at->piece));
    pieces = ir_kb_mul(b, ir_kb_add(b, pieces, ir_kb_int(b, 2)), ir_kb_int(b, at->bytes));
    return ir_kb_mul(b, cg_emit_size(e, SIZE_REQUESTS, NULL), pieces);
  }
  const value_info *info = cg_info(e->fl, at->value);
  const cg_weight_format *format = cg_format_of(e->fl, at->value);
  int64_t bytes;
  if (format && cg_is_taps(*format)) {
    int64_t dims[IR_MAX_RANK];
    for (int i = 0; i < info->value->type.rank; i++) dims[i] = cg_const_dim(info->value->type.dims[i]);
    if (!cg_taps_bytes(*format, info->value->type.rank, dims, &bytes)) e->unsupported = "a weight too large";
    return ir_kb_int(b, bytes);
  }
  if (format && cg_is_panel(*format)) {
    const ir_type *type = &info->value->type;
    int64_t parts = type->rank == 3 ? cg_const_dim(type->dims[0]) : 1, cols = cg_const_dim(type->dims[type->rank - 1]);
    if (!cg_panel_bytes(format->storage, cg_const_dim(type->dims[type->rank - 2]), cols, &bytes) ||
        !weir_mul_i64(bytes, parts, &bytes))
      e->unsupported = "a matrix too large";
    return ir_kb_int(b, bytes);
  }
  int width = format ? (int)weir_storage_info(format->storage)->block_bytes : ir_dtype_bytes(info->value->type.dtype);
  const ir_kexpr *total = ir_kb_mul(b, inner_elements(e, info), ir_kb_int(b, width));
  if (info->ragged) return ir_kb_mul(b, total, cg_emit_size(e, SIZE_ROWS, info->volume));
  if (info->cls == CLASS_REQUEST || at->spread) return ir_kb_mul(b, total, cg_emit_size(e, SIZE_REQUESTS, NULL));
  return total;
}

static int add_arg(emitter *e, launch_arg arg, ir_kbuffer_kind kind, const char *name, const ir_kexpr *bytes) {
  if (e->item.arg_count == CG_BUILD_ARGS) {
    e->unsupported = "so many operands in one kernel";
    return 0;
  }
  e->item.args_of_kernel[e->item.arg_count++] = arg;
  return ir_kb_add_buffer(&e->b, kind, name, bytes, -1);
}

static int buffer_of_arg(const emitter *e, int arg) {
  for (int i = 0; i < e->b.kernel->buffer_count; i++)
    if (e->b.kernel->buffers[i].arg == arg) return i;
  return 0;
}

int cg_emit_slot(emitter *e, int index, ir_kbuffer_kind kind) {
  const slot *at = &e->fl->out->slots[index];
  for (int i = 0; i < e->item.arg_count; i++)
    if (e->item.args_of_kernel[i].is_slot && e->item.args_of_kernel[i].slot == index) return buffer_of_arg(e, i);
  bool table = is_state_slot(e->fl, at);
  bool write = kind != IR_KB_IN;
  if (table) kind = write ? IR_KB_TABLE_INOUT : IR_KB_TABLE_IN;
  launch_arg arg = {.is_slot = true, .slot = index, .write = write};
  // Names by role, not by value: kernels that do the same are the same.
  const char *role = table                            ? "state"
                     : at->kind == SLOT_COUNTERS      ? "arrived"
                     : write                          ? "y"
                     : at->kind == SLOT_ROPE          ? "rope"
                     : at->kind == SLOT_PARTS         ? "parts"
                     : cg_format_of(e->fl, at->value) ? "w"
                                                      : "x";
  const char *name = weir_arena_printf(e->b.arena, "%s%d", role, e->item.arg_count);
  return add_arg(e, arg, kind, name, table ? NULL : slot_bytes(e, at));
}

int cg_emit_table(emitter *e, rt_arg_kind table, ir_dim rows) {
  static const char *const names[] = {"starts", "requests_of", "positions", "past"};
  for (int i = 0; i < e->item.arg_count; i++) {
    const launch_arg *arg = &e->item.args_of_kernel[i];
    if (!arg->is_slot && arg->table == table && arg->rows == rows) return buffer_of_arg(e, i);
  }
  ir_kbuilder *b = &e->b;
  const ir_kexpr *count;
  if (table == RT_ARG_STARTS) count = ir_kb_add(b, cg_emit_size(e, SIZE_REQUESTS, NULL), ir_kb_int(b, 1));
  else if (table == RT_ARG_PAST) count = cg_emit_size(e, SIZE_REQUESTS, NULL);
  else count = cg_emit_size(e, SIZE_ROWS, rows);
  launch_arg arg = {.table = table, .rows = rows};
  return add_arg(e, arg, IR_KB_IN, names[table - RT_ARG_STARTS], ir_kb_mul(b, count, ir_kb_int(b, 4)));
}

static const ir_kexpr *load_i64(emitter *e, int buffer, const ir_kexpr *index) {
  return ir_kb_cast(&e->b, IR_KT_i64, ir_kb_load(&e->b, IR_KT_i32, buffer, index));
}

// ---- the current request

static void mark_request_place(emitter *e) {
  e->request_place = e->b.ends[e->b.depth - 1];
  e->request_lanes = e->b.state->lanes_depth;
  e->fact_count = 0;
}

void cg_emit_set_request(emitter *e, const ir_kexpr *request) {
  bool loaded = request->op == IR_K_cast;
  e->request = loaded ? ir_kb_let_index(&e->b, "request", request, 0, INT32_MAX) : ir_kb_let(&e->b, "request", request);
  mark_request_place(e);
}

const ir_kexpr *cg_emit_request(emitter *e) {
  if (!e->request) {
    e->unsupported = "a value of a request where no request is at hand";
    cg_emit_set_request(e, ir_kb_int(&e->b, 0));
  }
  return e->request;
}

// A value computed where the request became the current one.
static const ir_kexpr *let_at_request(emitter *e, const char *name, const ir_kexpr *expr) {
  ir_kbuilder *b = &e->b;
  ir_kstmt **place = e->request_place, **open_end = b->ends[b->depth - 1], *behind = *place;
  int lanes = b->state->lanes_depth;
  b->ends[b->depth - 1] = place;
  b->state->lanes_depth = e->request_lanes;
  const ir_kexpr *value = ir_kb_let_index(b, name, expr, 0, INT32_MAX);
  b->state->lanes_depth = lanes;
  e->request_place = b->ends[b->depth - 1];
  b->ends[b->depth - 1] = open_end;
  *e->request_place = behind;
  for (int i = 0; i < b->depth; i++)
    if (b->ends[i] == place) b->ends[i] = e->request_place;  // the list ended there
  return value;
}

static const ir_kexpr *request_fact_of(emitter *e, request_fact_kind kind, ir_dim rows) {
  static const char *const names[] = {"start", "end", "past"};
  ir_kbuilder *b = &e->b;
  const ir_kexpr *request = cg_emit_request(e);
  for (int i = 0; i < e->fact_count; i++)
    if (e->facts[i].kind == kind && e->facts[i].rows == rows) return e->facts[i].expr;
  int table = cg_emit_table(e, kind == FACT_PAST ? RT_ARG_PAST : RT_ARG_STARTS, rows);
  const ir_kexpr *at = kind == FACT_END ? ir_kb_add(b, request, ir_kb_int(b, 1)) : request;
  request_fact fact = {kind, rows, let_at_request(e, names[kind], load_i64(e, table, at))};
  WEIR_PUSH(b->arena, e->facts, e->fact_count, e->fact_capacity, fact);
  return fact.expr;
}

const ir_kexpr *cg_emit_start(emitter *e, ir_dim volume) { return request_fact_of(e, FACT_START, volume); }

// Rows of the first panel of a state in front of the first that it keeps.
const ir_kexpr *cg_emit_panel_lead(emitter *e, const slot *at) {
  ir_kbuilder *b = &e->b;
  const ir_symbol *rows = ir_dim_as_symbol(at->value->type.dims[0]);
  if (!rows || !rows->kept_of) return ir_kb_int(b, 0);
  ir_dim_table *dims = e->fl->low->module->dims;
  const ir_kexpr *past = request_fact_of(e, FACT_PAST, ir_dim_symbol(dims, rows->kept_of->past));
  const ir_kexpr *first = ir_kb_sub(b, past, ir_kb_min(b, past, ir_kb_int(b, rows->hi)));
  return ir_kb_mod(b, first, ir_kb_int(b, RT_PANEL_ROWS));
}

// ---- places of elements

// Row-major index of |idx| over the axes in |axes|, behind |flat|.
static const ir_kexpr *flatten(emitter *e, const ir_type *type, unsigned axes, const ir_kexpr *const *idx,
                               const ir_kexpr *flat) {
  ir_kbuilder *b = &e->b;
  for (int i = 0; i < type->rank; i++) {
    if (!(axes >> i & 1)) continue;
    flat = flat ? ir_kb_add(b, ir_kb_mul(b, flat, cg_dim_expr(e, type->dims[i])), idx[i]) : idx[i];
  }
  return flat ? flat : ir_kb_int(b, 0);
}

static const ir_kexpr *flatten_all(emitter *e, const ir_type *type, const ir_kexpr *const *idx) {
  return flatten(e, type, ~0u, idx, NULL);
}

// Row |row| of those that the state of slot |at| keeps, and the call's.
static const ir_kexpr *history_index(emitter *e, const value_info *info, const slot *at, const ir_kexpr *row,
                                     const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *inner = inner_elements(e, info), *place = flatten(e, &info->value->type, ~1u, idx, NULL);
  if (!cg_slot_in_panels(e->fl, at)) return ir_kb_add(b, ir_kb_mul(b, row, inner), place);
  row = ir_kb_add(b, row, cg_emit_panel_lead(e, at));
  return cg_panel_row_index(b, row, place, inner, cg_panel_word_elements(at->value->type.dtype, inner->i));
}

// Whether the axes |ragged| stand in |axes|, in front of all others there.
static bool comes_first(unsigned ragged, unsigned axes) {
  unsigned others = axes & ~ragged;
  return (ragged & ~axes) == 0 && (others == 0 || ragged < (others & (0u - others)));
}

// |first|: the axes that come first in a request's block.
static const ir_kexpr *value_index(emitter *e, const value_info *info, unsigned first, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_type *type = &info->value->type;
  if (info->cls == CLASS_INVARIANT || info->cls == CLASS_REQUEST) {
    const ir_kexpr *place = flatten(e, type, ~first, idx, first ? flatten(e, type, first, idx, NULL) : NULL);
    if (info->cls == CLASS_INVARIANT) return place;
    return ir_kb_add(b, ir_kb_mul(b, cg_emit_request(e), inner_elements(e, info)), place);
  }
  const ir_kexpr *inner = inner_elements(e, info);
  const ir_kexpr *start = cg_emit_start(e, info->volume);
  if (first == info->ragged) {
    const ir_kexpr *row = ir_kb_add(b, start, flatten(e, type, first, idx, NULL));
    return ir_kb_add(b, ir_kb_mul(b, row, inner), flatten(e, type, ~first, idx, NULL));
  }
  if (first && comes_first(info->ragged, first)) {  // rows of all requests, one behind the other
    const ir_kexpr *row = ir_kb_add(b, start, flatten(e, type, info->ragged, idx, NULL));
    return flatten(e, type, ~first, idx, flatten(e, type, first & ~info->ragged, idx, row));
  }
  const ir_kexpr *flat = flatten(e, type, ~first, idx, first ? flatten(e, type, first, idx, NULL) : NULL);
  return ir_kb_add(b, ir_kb_mul(b, start, inner), flat);
}

const ir_kexpr *cg_emit_place_of(emitter *e, const ir_value *value, const ir_kexpr *const *idx) {
  const value_info *info = cg_info(e->fl, value);
  return value_index(e, info, e->fl->out->slots[info->slot].first, idx);
}

static ir_ktype plain_type(const cg_weight_format *format, ir_dtype dtype) {
  if (!format) return (ir_ktype)dtype;
  switch (format->storage) {
    case WEIR_STORAGE_F32:
      return IR_KT_f32;
    case WEIR_STORAGE_F16:
      return IR_KT_f16;
    case WEIR_STORAGE_BF16:
      return IR_KT_bf16;
    default:
      return (ir_ktype)dtype;
  }
}

const ir_kexpr *cg_emit_load(emitter *e, ir_value *value, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const value_info *info = cg_info(e->fl, value);
  ir_value *base = cg_base(e->fl, value);
  int loop = cg_loop_of(e->fl, base);
  if (loop >= 0)
    return ir_kb_cast(b, IR_KT_i32, cg_emit_size(e, SIZE_LOOP, ir_dim_const(e->fl->low->module->dims, loop)));
  const cg_weight_format *format = cg_format_of(e->fl, base);
  int buffer = cg_emit_slot(e, cg_info(e->fl, base)->slot, IR_KB_IN);
  ir_ktype compute = cg_compute_type(value->type.dtype);
  if (format && (cg_is_taps(*format) || (cg_is_panel(*format) && base->type.rank != 2)))
    e->unsupported = "an element of one of several matrices";
  if (format && cg_is_panel(*format))
    return cg_weight_element(b, *format, buffer, cg_const_dim(base->type.dims[1]), idx[0], idx[1]);
  ir_ktype type = plain_type(format, value->type.dtype);
  const ir_kexpr *loaded;
  if (info->cls == CLASS_HISTORY) {
    const slot *at = &e->fl->out->slots[cg_info(e->fl, base)->slot];
    loaded = ir_kb_load_table(b, type, buffer, cg_emit_request(e), history_index(e, info, at, idx[0], idx));
  } else if (is_state_param(e->fl, base)) {
    loaded = ir_kb_load_table(b, type, buffer, cg_emit_request(e), flatten_all(e, &value->type, idx));
  } else {
    unsigned first = base == value ? e->fl->out->slots[cg_info(e->fl, base)->slot].first : info->ragged;
    loaded = ir_kb_load(b, type, buffer, value_index(e, info, first, idx));
  }
  return ir_kb_cast(b, compute, loaded);
}

ir_kplace cg_emit_store_place(emitter *e, const ir_value *value, int index, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const value_info *info = cg_info(e->fl, value);
  const slot *at = &e->fl->out->slots[index];
  // Rows of a state may be narrower than what they are computed as.
  ir_ktype type = (ir_ktype)(is_state_slot(e->fl, at) ? at->value : value)->type.dtype;
  int buffer = cg_emit_slot(e, index, IR_KB_OUT);
  if (!is_state_slot(e->fl, at)) {
    const ir_kexpr *place = value_index(e, info, at->first, idx);
    if (at->spread) place = ir_kb_add(b, place, ir_kb_mul(b, cg_emit_request(e), inner_elements(e, info)));
    return ir_kb_place(buffer, type, place);
  }
  const ir_kexpr *request = cg_emit_request(e), *place;
  if (cg_info(e->fl, at->value)->cls == CLASS_HISTORY) {  // rows go behind those of earlier calls
    place = idx[0];
    if (!e->replaces) place = ir_kb_add(b, cg_dim_expr(e, at->value->type.dims[0]), place);
    place = history_index(e, info, at, place, idx);
  } else {
    place = flatten_all(e, &value->type, idx);
  }
  return ir_kb_place_table(buffer, type, request, place);
}

void cg_emit_store(emitter *e, const ir_value *value, int index, const ir_kexpr *const *idx, const ir_kexpr *expr) {
  ir_kplace to = cg_emit_store_place(e, value, index, idx);
  expr = ir_kb_cast(&e->b, to.type, expr);
  if (to.request) ir_kb_store_table(&e->b, to.type, to.buffer, to.request, to.index, expr);
  else ir_kb_store(&e->b, to.type, to.buffer, to.index, expr);
}

static const char *kernel_symbol(emitter *e, uint64_t hash) {
  return weir_arena_printf(e->b.arena, "k_%s_%08x", e->b.kernel->name, (unsigned)(hash ^ (hash >> 32)));
}

static const ir_loc *root_loc(const emitter *e) {
  return e->root && e->root->def ? &e->root->def->loc : &e->fl->function->loc;
}

weir_status cg_emit_finish(emitter *e) {
  lowering *low = e->fl->low;
  ir_kernel *kernel = ir_kb_finish(&e->b);
  cg_prune(low->arena, kernel, &e->item);
  if (e->item.arg_count > RT_MAX_ARGS && !e->unsupported) e->unsupported = "so many operands in one kernel";
  if (e->unsupported) return cg_unsupported(e->fl->function, *root_loc(e), "%s has no lowering yet", e->unsupported);
  weir_status status = ir_kernel_verify(kernel);
  if (status) return weir_status_annotate(status, "kernel of '%s'", e->fl->function->name);
  kernel->name = kernel_symbol(e, ir_kernel_hash(kernel));
  e->item.kernel = cg_add_kernel(low, kernel);
  e->item.grid = kernel->grid;
  lowered *out = e->fl->out;
  WEIR_PUSH(low->arena, out->items, out->item_count, out->item_capacity, e->item);
  return WEIR_OK;
}

void cg_bind(emitter *e, ir_value *value, const ir_kexpr *const *idx, int part, const ir_kexpr *expr) {
  bound_value bound = {.value = value, .part = part, .expr = expr};
  for (int i = 0; i < value->type.rank; i++) bound.idx[i] = idx[i];
  WEIR_PUSH(e->b.arena, e->bound, e->bound_count, e->bound_capacity, bound);
}

// ---- domains

const ir_kexpr *cg_emit_rows(emitter *e, const ir_value *value) {
  const value_info *info = cg_info(e->fl, value);
  if (info->ragged) return cg_emit_size(e, SIZE_ROWS, info->volume);
  if (info->cls == CLASS_REQUEST) return cg_emit_size(e, SIZE_REQUESTS, NULL);
  return ir_kb_int(&e->b, 1);
}

const ir_kexpr *cg_emit_set_row_of(emitter *e, ir_dim volume, const ir_kexpr *row) {
  cg_emit_set_request(e, load_i64(e, cg_emit_table(e, RT_ARG_REQUESTS, volume), row));
  return ir_kb_sub(&e->b, row, cg_emit_start(e, volume));
}

void cg_emit_set_row(emitter *e, const ir_value *value, const ir_kexpr *row, const ir_kexpr **idx) {
  ir_kbuilder *b = &e->b;
  const value_info *info = cg_info(e->fl, value);
  if (info->cls == CLASS_REQUEST) cg_emit_set_request(e, row);
  if (!info->ragged) return;
  const ir_kexpr *flat = cg_emit_set_row_of(e, info->volume, row);
  for (int i = value->type.rank - 1; i >= 0; i--) {
    if (!(info->ragged >> i & 1)) continue;
    if (i == info->axis) {
      idx[i] = flat;
      return;
    }
    const ir_kexpr *dim = cg_dim_expr(e, value->type.dims[i]);
    idx[i] = ir_kb_mod(b, flat, dim);
    flat = ir_kb_div(b, flat, dim);
  }
}

void cg_emit_domain(emitter *e, const ir_value *value, const ir_kexpr **idx) {
  ir_kbuilder *b = &e->b;
  const value_info *info = cg_info(e->fl, value);
  ir_dim rows = info->ragged ? value->type.dims[info->axis] : NULL;
  const ir_kexpr *count = ir_kb_int(b, 1);
  if (rows) count = cg_emit_size(e, SIZE_ROWS, rows);
  else if (info->cls == CLASS_REQUEST) count = cg_emit_size(e, SIZE_REQUESTS, NULL);
  const ir_kexpr *n = ir_kb_set_grid(b, count, "n");
  if (rows) idx[info->axis] = cg_emit_set_row_of(e, rows, n);
  else if (info->cls == CLASS_REQUEST) cg_emit_set_request(e, n);
}

// ---- images: places in the leading axes

const ir_kexpr *cg_emit_most(emitter *e, ir_dim dim) {
  return ir_dim_role(dim) == IR_ROLE_PLAIN ? cg_dim_expr(e, dim) : cg_emit_size(e, SIZE_ROWS_MAX, dim);
}

// The product of the ragged ones among the first |lead| dims; null if there is none.
static ir_dim ragged_lead(const emitter *e, const ir_type *type, int lead) {
  ir_dim volume = NULL;
  for (int i = 0; i < lead; i++) {
    if (ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN) continue;
    volume = volume ? ir_dim_mul(e->fl->low->module->dims, volume, type->dims[i]) : type->dims[i];
  }
  return volume;
}

const ir_kexpr *cg_emit_images(emitter *e, const ir_value *value, int lead) {
  const ir_type *type = &value->type;
  ir_dim volume = ragged_lead(e, type, lead);
  const ir_kexpr *count = ir_kb_int(&e->b, 1);
  if (volume) count = cg_emit_size(e, SIZE_ROWS, volume);
  else if (cg_info(e->fl, value)->cls != CLASS_INVARIANT) count = cg_emit_size(e, SIZE_REQUESTS, NULL);
  for (int i = 0; i < lead; i++)
    if (ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN) count = ir_kb_mul(&e->b, count, cg_dim_expr(e, type->dims[i]));
  return count;
}

// Indices along |axes|, the last running fastest. |whole|: the first takes all that is left.
static const ir_kexpr *unflatten(emitter *e, const ir_type *type, unsigned axes, const ir_kexpr *flat, bool whole,
                                 const ir_kexpr **idx) {
  ir_kbuilder *b = &e->b;
  for (int i = type->rank - 1; i >= 0; i--) {
    if (!(axes >> i & 1)) continue;
    if (whole && !(axes & ((1u << i) - 1))) {
      idx[i] = flat;
      return flat;
    }
    const ir_kexpr *dim = cg_dim_expr(e, type->dims[i]);
    idx[i] = ir_kb_let(b, "lead", ir_kb_mod(b, flat, dim));
    flat = ir_kb_div(b, flat, dim);
  }
  return flat;
}

void cg_emit_set_image(emitter *e, const ir_value *value, int lead, const ir_kexpr *image, const ir_kexpr **idx) {
  const ir_type *type = &value->type;
  unsigned ragged = 0, plain = 0;
  ir_dim volume = ragged_lead(e, type, lead);
  for (int i = 0; i < lead; i++) *(ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN ? &plain : &ragged) |= 1u << i;
  image = unflatten(e, type, plain, image, false, idx);
  if (volume) unflatten(e, type, ragged, cg_emit_set_row_of(e, volume, image), true, idx);
  else if (cg_info(e->fl, value)->cls != CLASS_INVARIANT) cg_emit_set_request(e, image);
}
