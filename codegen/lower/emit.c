// The kernel under construction: buffers for slots and tables, sizes, loads and stores of whole values, closing and
// sharing of kernels. How a value is computed from others stands in compute.c.
#include <string.h>

#include "codegen/lower/internal.h"

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

const ir_kexpr *cg_emit_size(emitter *e, size_kind kind, const ir_symbol *symbol) {
  static const char *const names[] = {"requests", "rows", "rows_max", "?"};
  const char *name = kind == SIZE_PLAIN ? symbol->name : names[kind];
  for (int i = 0; i < e->item.size_count; i++) {
    launch_size *size = &e->item.sizes[i];
    if (size->kind == kind && (kind == SIZE_REQUESTS || size->symbol == symbol))
      return ir_kb_add_size(&e->b, e->b.kernel->sizes[i]);
    // Two ragged dims in one kernel: the second gets its own name.
    if (size->kind == kind && kind != SIZE_PLAIN)
      name = weir_arena_printf(e->b.arena, "%s_%s", names[kind], symbol->name);
  }
  if (e->item.size_count == RT_MAX_DIMS) {
    e->unsupported = "too many sizes in one kernel";
    return ir_kb_int(&e->b, 1);
  }
  e->item.sizes[e->item.size_count++] = (launch_size){kind, symbol};
  return ir_kb_add_size(&e->b, name);
}

static const void *dim_constant(void *user, int64_t value) { return ir_kb_int(&((emitter *)user)->b, value); }

static const void *dim_symbol(void *user, const ir_symbol *symbol) {
  return symbol->role == IR_ROLE_PLAIN ? cg_emit_size(user, SIZE_PLAIN, symbol) : NULL;
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
  e->unsupported = "a dim that is computed from ragged dims";
  return ir_kb_int(&e->b, 1);
}

// Product of the dims other than the ragged one.
static const ir_kexpr *inner_elements(emitter *e, const value_info *info) {
  const ir_kexpr *total = ir_kb_int(&e->b, 1);
  for (int i = 0; i < info->value->type.rank; i++) {
    if ((info->cls == CLASS_PACKED && i == info->axis) || (info->cls == CLASS_HISTORY && i == 0)) continue;
    total = ir_kb_mul(&e->b, total, cg_dim_expr(e, info->value->type.dims[i]));
  }
  return total;
}

static bool is_state_param(const function_lowering *fl, const ir_value *value) {
  return !value->def && fl->function->params[value->result].kind == IR_PARAM_STATE;
}

static const cg_weight_format *weight_format(const function_lowering *fl, const ir_value *value) {
  if (value->def || fl->function->params[value->result].kind != IR_PARAM_WEIGHT) return NULL;
  return &fl->out->formats[value->result];
}

static const ir_kexpr *slot_bytes(emitter *e, const slot *at) {
  ir_kbuilder *b = &e->b;
  if (at->kind == SLOT_ROPE) return ir_kb_mul(b, cg_emit_size(e, SIZE_ROWS, at->symbol), ir_kb_int(b, 4 * at->rotary));
  const value_info *info = cg_info(e->fl, at->value);
  const cg_weight_format *format = weight_format(e->fl, at->value);
  int64_t bytes;
  if (format && format->layout == CG_LAYOUT_PANEL) {
    int64_t cols = cg_const_dim(info->value->type.dims[1]);
    if (!cg_panel_bytes(format->storage, cg_const_dim(info->value->type.dims[0]), cols, &bytes))
      e->unsupported = "a matrix too large";
    return ir_kb_int(b, bytes);
  }
  int width = format ? (int)weir_storage_info(format->storage)->block_bytes : ir_dtype_bytes(info->value->type.dtype);
  const ir_kexpr *total = ir_kb_mul(b, inner_elements(e, info), ir_kb_int(b, width));
  if (info->cls == CLASS_PACKED) return ir_kb_mul(b, total, cg_emit_size(e, SIZE_ROWS, info->symbol));
  if (info->cls == CLASS_REQUEST || at->spread) return ir_kb_mul(b, total, cg_emit_size(e, SIZE_REQUESTS, NULL));
  return total;
}

static int add_arg(emitter *e, launch_arg arg, ir_kbuffer_kind kind, const char *name, const ir_kexpr *bytes) {
  if (e->item.arg_count == RT_MAX_ARGS) {
    e->unsupported = "too many operands in one kernel";
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
  bool table =
      at->kind != SLOT_ROPE && (cg_info(e->fl, at->value)->cls == CLASS_HISTORY || is_state_param(e->fl, at->value));
  bool write = kind != IR_KB_IN;
  if (table) kind = write ? IR_KB_TABLE_INOUT : IR_KB_TABLE_IN;
  launch_arg arg = {.is_slot = true, .slot = index, .write = write};
  // Names by role, not by value: kernels that do the same are the same.
  const char *role = table                             ? "state"
                     : write                           ? "y"
                     : at->kind == SLOT_ROPE           ? "rope"
                     : weight_format(e->fl, at->value) ? "w"
                                                       : "x";
  const char *name = weir_arena_printf(e->b.arena, "%s%d", role, e->item.arg_count);
  return add_arg(e, arg, kind, name, table ? NULL : slot_bytes(e, at));
}

int cg_emit_table(emitter *e, rt_arg_kind table, const ir_symbol *symbol) {
  static const char *const names[] = {"starts", "requests_of", "positions", "past"};
  for (int i = 0; i < e->item.arg_count; i++) {
    const launch_arg *arg = &e->item.args_of_kernel[i];
    if (!arg->is_slot && arg->table == table && arg->symbol == symbol) return buffer_of_arg(e, i);
  }
  ir_kbuilder *b = &e->b;
  const ir_kexpr *count;
  if (table == RT_ARG_STARTS) count = ir_kb_add(b, cg_emit_size(e, SIZE_REQUESTS, NULL), ir_kb_int(b, 1));
  else if (table == RT_ARG_PAST) count = cg_emit_size(e, SIZE_REQUESTS, NULL);
  else count = cg_emit_size(e, SIZE_ROWS, symbol);
  launch_arg arg = {.table = table, .symbol = symbol};
  return add_arg(e, arg, IR_KB_IN, names[table - RT_ARG_STARTS], ir_kb_mul(b, count, ir_kb_int(b, 4)));
}

static const ir_kexpr *load_i64(emitter *e, int buffer, const ir_kexpr *index) {
  return ir_kb_cast(&e->b, IR_KT_i64, ir_kb_load(&e->b, IR_KT_i32, buffer, index));
}

const ir_kexpr *cg_emit_request(emitter *e) {
  if (!e->request && e->row) {
    e->request = load_i64(e, cg_emit_table(e, RT_ARG_REQUESTS, e->symbol), e->row);
  } else if (!e->request) {
    e->unsupported = "a value of a request where no request is at hand";
    e->request = ir_kb_int(&e->b, 0);
  }
  return e->request;
}

const ir_kexpr *cg_emit_start(emitter *e, const ir_symbol *symbol, const ir_kexpr *request) {
  return load_i64(e, cg_emit_table(e, RT_ARG_STARTS, symbol), request);
}

// Row-major index of |idx| over the axes other than |skip|.
static const ir_kexpr *flatten(emitter *e, const ir_type *type, int skip, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *flat = ir_kb_int(b, 0);
  for (int i = 0; i < type->rank; i++) {
    if (i == skip) continue;
    flat = ir_kb_add(b, ir_kb_mul(b, flat, cg_dim_expr(e, type->dims[i])), idx[i]);
  }
  return flat;
}

static const ir_kexpr *value_index(emitter *e, const value_info *info, const ir_kexpr *const *idx) {
  ir_kbuilder *b = &e->b;
  const ir_type *type = &info->value->type;
  if (info->cls == CLASS_INVARIANT) return flatten(e, type, -1, idx);
  const ir_kexpr *inner = inner_elements(e, info);
  if (info->cls == CLASS_REQUEST)
    return ir_kb_add(b, ir_kb_mul(b, cg_emit_request(e), inner), flatten(e, type, -1, idx));
  int axis = info->cls == CLASS_PACKED ? info->axis : 0;
  return ir_kb_add(b, ir_kb_mul(b, idx[axis], inner), flatten(e, type, axis, idx));
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
  const cg_weight_format *format = weight_format(e->fl, base);
  int buffer = cg_emit_slot(e, cg_info(e->fl, base)->slot, IR_KB_IN);
  ir_ktype compute = cg_compute_type(value->type.dtype);
  if (format && format->layout == CG_LAYOUT_PANEL)
    return cg_weight_element(b, *format, buffer, cg_const_dim(base->type.dims[1]), idx[0], idx[1]);
  ir_ktype type = plain_type(format, value->type.dtype);
  const ir_kexpr *loaded;
  if (info->cls == CLASS_HISTORY) {
    loaded = ir_kb_load_table(b, type, buffer, cg_emit_request(e), value_index(e, info, idx));
  } else if (is_state_param(e->fl, base)) {
    loaded = ir_kb_load_table(b, type, buffer, cg_emit_request(e), flatten(e, &value->type, -1, idx));
  } else {
    loaded = ir_kb_load(b, type, buffer, value_index(e, info, idx));
  }
  return ir_kb_cast(b, compute, loaded);
}

void cg_emit_store(emitter *e, const ir_value *value, int index, const ir_kexpr *const *idx, const ir_kexpr *expr) {
  ir_kbuilder *b = &e->b;
  const value_info *info = cg_info(e->fl, value);
  const slot *at = &e->fl->out->slots[index];
  ir_ktype type = (ir_ktype)value->type.dtype;
  expr = ir_kb_cast(b, type, expr);
  int buffer = cg_emit_slot(e, index, IR_KB_OUT);
  if (!is_state_param(e->fl, at->value)) {
    const ir_kexpr *place = value_index(e, info, idx);
    if (at->spread) place = ir_kb_add(b, place, ir_kb_mul(b, cg_emit_request(e), inner_elements(e, info)));
    ir_kb_store(b, type, buffer, place, expr);
    return;
  }
  const ir_kexpr *request = cg_emit_request(e);
  if (info->cls == CLASS_PACKED) {  // rows go to their position
    const ir_kexpr *position = load_i64(e, cg_emit_table(e, RT_ARG_POSITIONS, info->symbol), idx[info->axis]);
    const ir_kexpr *row = ir_kb_mul(b, position, inner_elements(e, info));
    ir_kb_store_table(b, type, buffer, request, ir_kb_add(b, row, flatten(e, &value->type, info->axis, idx)), expr);
  } else {
    ir_kb_store_table(b, type, buffer, request, flatten(e, &value->type, -1, idx), expr);
  }
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
  if (info->cls == CLASS_PACKED) return cg_emit_size(e, SIZE_ROWS, info->symbol);
  if (info->cls == CLASS_REQUEST) return cg_emit_size(e, SIZE_REQUESTS, NULL);
  return ir_kb_int(&e->b, 1);
}

void cg_emit_set_row(emitter *e, const ir_value *value, const ir_kexpr *row) {
  const value_info *info = cg_info(e->fl, value);
  e->symbol = info->symbol;
  e->row = info->cls == CLASS_PACKED ? row : NULL;
  e->request = info->cls == CLASS_REQUEST ? row : NULL;
}

void cg_emit_domain(emitter *e, const ir_value *value, int64_t per_row, const ir_kexpr **out_part) {
  ir_kbuilder *b = &e->b;
  const ir_kexpr *count = ir_kb_int(b, per_row);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, cg_emit_rows(e, value), count), "n");
  if (out_part) *out_part = ir_kb_mod(b, n, count);
  cg_emit_set_row(e, value, ir_kb_div(b, n, count));
}
