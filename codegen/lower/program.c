// From lowered functions to one program: calls are unrolled, slots become buffers, weights, states and tables, hazards
// become syncs. Where the buffers lie is decided in memory.c.
#include <stdlib.h>
#include <string.h>

#include "codegen/lower/internal.h"
#include "codegen/lower/memory.h"
#include "ir/rules.h"
#include "runtime/base/checked.h"

typedef struct {
  rt_arg_kind kind;
  int index;
} location;

typedef struct {
  ir_dim rows;
  double theta;
  int rotary;
  int buffer;
} rope_entry;

typedef struct {
  bool read, written;  // since the last sync
  bool guarded;        // the write was by a guarded launch
} hazard;

// Phases of a loop, both included.
typedef struct {
  int first, last;
} span_loop;

typedef struct {
  lowering *low;
  const ir_function *entry;
  rt_program *program;
  int capacity_kernels, capacity_launches, capacity_buffers, capacity_weights;
  int *kernel_of;             // program's kernel of each module kernel, -1
  const ir_symbol **symbols;  // of the program's symbols
  ir_dim *volumes;            // of the program's volumes
  int volume_capacity, volume_dim_capacity, size_capacity;
  const ir_dim *map;  // what the symbols of the function being unrolled stand for; null entries: themselves
  memory_buffer *memory;
  int memory_count, memory_capacity;
  rope_entry *ropes;
  int rope_count, rope_capacity;
  int loops[RT_MAX_LOOP_DEPTH], loop_phases[RT_MAX_LOOP_DEPTH];  // those open: the program's, and where they began
  int depth, loop_base, loop_capacity;
  int loop_sizes[RT_MAX_LOOP_DEPTH];  // by depth; 0: none yet
  bool order;                         // the next launch waits for everything before
  hazard *buffers, *states, *outputs;
  int hazard_capacity;
  cg_weight *weights;  // of the program's
  int weight_room;
  span_loop *spans;  // inner loops before outer ones
  int span_count, span_capacity;
  int phase;
} builder;

// ---- sizes

static int symbol_index(const builder *p, const ir_symbol *symbol) {
  for (int i = 0; i < p->program->symbol_count; i++)
    if (p->symbols[i] == symbol) return i;
  return -1;
}

static int add_size(builder *p, const char *name) {
  WEIR_PUSH(p->low->arena, p->program->sizes, p->program->size_count, p->size_capacity, name);
  return p->program->size_count - 1;
}

// |dim| of the function being unrolled, in the entry's symbols.
static ir_dim in_entry(const builder *p, ir_dim dim) {
  return p->map ? ir_dim_substitute(p->low->module->dims, dim, p->map) : dim;
}

static bool dim_expr(const builder *p, ir_dim dim, bool symbols, rt_expr *out);

// The symbol, or symbol_count + the volume, that counts |dim| (of the entry); -1 if no input says what it is.
static int rows_index(builder *p, ir_dim dim) {
  const ir_symbol *symbol = ir_dim_as_symbol(dim);
  rt_program *program = p->program;
  if (symbol && symbol->role != IR_ROLE_PLAIN && symbol_index(p, symbol) >= 0) return symbol_index(p, symbol);
  for (int i = 0; i < program->volume_count; i++)
    if (p->volumes[i] == dim) return program->symbol_count + i;
  rt_volume volume = {.name = weir_arena_printf(p->low->arena, "v.%d", program->volume_count)};
  if (!dim_expr(p, dim, true, &volume.count)) return -1;
  volume.size = add_size(p, volume.name);
  volume.size_max = add_size(p, weir_arena_printf(p->low->arena, "%s.max", volume.name));
  int count = program->volume_count;
  WEIR_PUSH(p->low->arena, p->volumes, count, p->volume_dim_capacity, dim);
  WEIR_PUSH(p->low->arena, program->volumes, program->volume_count, p->volume_capacity, volume);
  return program->symbol_count + program->volume_count - 1;
}

// A size over the program's sizes; false where no input says what it is.
static bool size_of(builder *p, size_kind kind, ir_dim dim, rt_expr *out) {
  weir_arena *arena = p->low->arena;
  *out = rt_expr_var(arena, 0);
  if (kind == SIZE_REQUESTS) return true;
  if (kind == SIZE_LOOP) {
    *out = rt_expr_var(arena, p->loop_sizes[p->loop_base + (int)cg_const_dim(dim)]);
    return true;
  }
  if (ir_dim_role(dim) == IR_ROLE_PLAIN) {
    rt_expr each;
    if (!dim_expr(p, dim, false, &each)) return false;
    *out = kind == SIZE_ROWS ? rt_expr_binary(arena, RT_SIZE_MUL, each, *out) : each;
    return true;
  }
  int index = rows_index(p, dim), symbols = p->program->symbol_count;
  if (index < 0) return false;
  const rt_symbol *symbol = index < symbols ? &p->program->symbols[index] : NULL;
  const rt_volume *volume = symbol ? NULL : &p->program->volumes[index - symbols];
  if (kind == SIZE_ROWS_MAX) *out = rt_expr_var(arena, symbol ? symbol->size_max : volume->size_max);
  else *out = rt_expr_var(arena, symbol ? symbol->size : volume->size);
  return true;
}

typedef struct {
  const ir_symbol *found[RT_MAX_DIMS];
  int count;
} symbol_list;

static void collect(void *user, const ir_symbol *symbol) {
  symbol_list *list = user;
  for (int i = 0; i < list->count; i++)
    if (list->found[i] == symbol) return;
  if (list->count < RT_MAX_DIMS) list->found[list->count++] = symbol;
}

// Whether |dim| of a state counts rows that |symbol| has had before.
static bool rows_before(ir_dim dim, const ir_symbol *symbol) {
  const ir_symbol *rows = ir_dim_as_symbol(dim);
  return rows && (rows == symbol->past || rows->kept_of == symbol);
}

// The result that gives state |param| its new value; null if none.
static const ir_result *new_value(const ir_function *entry, const ir_param *param) {
  for (int i = 0; i < entry->result_count; i++)
    if (entry->results[i].state == (int)(param - entry->params)) return &entry->results[i];
  return NULL;
}

static bool scans_rows(const ir_function *function) {
  for (const ir_node *node = function->first; node; node = node->next) {
    if (node->op == IR_OP_scan && ir_dim_role(node->attrs[0].dim) == IR_ROLE_SEQ) return true;
    if ((node->callee && scans_rows(node->callee)) || (node->second && scans_rows(node->second))) return true;
  }
  return false;
}

// Whether the rows of |symbol| add up over the calls of a session: states have a row for each, or have one value that a
// scan over them carries.
static bool adds_up(const builder *p, const ir_symbol *symbol) {
  bool carried = false;
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    if (param->kind != IR_PARAM_STATE) continue;
    if (param->rows && rows_before(param->value->type.dims[0], symbol)) return true;
    carried |= !param->rows && new_value(p->entry, param);
  }
  return carried && symbol->past && p->entry->kind == IR_FUNCTION_STEP && scans_rows(p->entry);
}

// The dims that a call says: those of inputs, then, of states that another step has written whole, those of the rows.
static int collect_symbols(const builder *p, symbol_list *list) {
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    for (int d = 0; param->kind == IR_PARAM_INPUT && d < param->value->type.rank; d++)
      ir_dim_visit(param->value->type.dims[d], collect, list);
  }
  int inputs = list->count;
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    if (param->kind != IR_PARAM_STATE || !param->rows) continue;
    const ir_symbol *symbol = ir_dim_as_symbol(param->value->type.dims[0]);
    if (symbol && !symbol->kept_of && !ir_symbol_before(p->low->module->dims, symbol)) collect(list, symbol);
  }
  return inputs;
}

static void add_symbols(builder *p) {
  symbol_list list = {.count = 0};
  int inputs = collect_symbols(p, &list);
  weir_arena *arena = p->low->arena;
  rt_program *program = p->program;
  program->symbols = WEIR_NEW_ARRAY(arena, rt_symbol, list.count);
  p->symbols = WEIR_NEW_ARRAY(arena, const ir_symbol *, list.count);
  add_size(p, "R");
  for (int i = 0; i < list.count; i++) {
    const ir_symbol *symbol = list.found[i];
    rt_symbol *out = &program->symbols[program->symbol_count++];
    p->symbols[i] = symbol;
    *out = (rt_symbol){.name = symbol->name,
                       .role = (rt_role)symbol->role,
                       .lo = symbol->lo,
                       .hi = symbol->hi,
                       .divisor = symbol->divisor,
                       .size = add_size(p, symbol->name),
                       .size_max = -1,
                       .size_all_max = -1};
    if (symbol->role == IR_ROLE_PLAIN) continue;
    out->size_max = add_size(p, weir_arena_printf(arena, "%s.max", symbol->name));
    out->grows = adds_up(p, symbol);
    out->stored = i >= inputs;
    if (!out->grows) continue;
    out->size_all_max = add_size(p, weir_arena_printf(arena, "%s.all.max", symbol->name));
  }
}

static rt_size_code size_code(ir_kop op) {
  switch (op) {
    case IR_K_add:
      return RT_SIZE_ADD;
    case IR_K_sub:
      return RT_SIZE_SUB;
    case IR_K_mul:
      return RT_SIZE_MUL;
    case IR_K_div:
      return RT_SIZE_DIV;
    case IR_K_mod:
      return RT_SIZE_MOD;
    case IR_K_min:
      return RT_SIZE_MIN;
    default:
      return RT_SIZE_MAX;
  }
}

// A kernel's size expression in terms of the program's sizes, given those of its launch.
static rt_expr size_expr(builder *p, const rt_expr *dims, const ir_kexpr *expr) {
  weir_arena *arena = p->low->arena;
  if (expr->op == IR_K_const) return rt_expr_const(arena, expr->i);
  if (expr->op == IR_K_size) return dims[expr->index];
  return rt_expr_binary(arena, size_code(expr->op), size_expr(p, dims, expr->args[0]),
                        size_expr(p, dims, expr->args[1]));
}

// A dim over the program's symbols (the form of interfaces) or over its sizes.
typedef struct {
  const builder *p;
  bool symbols;
} dim_scope;

static const void *keep_expr(weir_arena *arena, rt_expr expr) {
  rt_expr *kept = WEIR_NEW(arena, rt_expr);
  *kept = expr;
  return kept;
}

static const void *dim_constant(void *user, int64_t value) {
  const dim_scope *scope = user;
  return keep_expr(scope->p->low->arena, rt_expr_const(scope->p->low->arena, value));
}

// Index of |symbol| among a request's values; rows before the call stand behind the symbols.
static int value_index(const builder *p, const ir_symbol *symbol) {
  const ir_symbol *before = ir_symbol_before(p->low->module->dims, symbol);
  int index = symbol_index(p, before ? before : symbol);
  return index >= 0 && before ? p->program->symbol_count + index : index;
}

static const void *dim_symbol(void *user, const ir_symbol *symbol) {
  const dim_scope *scope = user;
  const builder *p = scope->p;
  weir_arena *arena = p->low->arena;
  if (!scope->symbols) {
    int index = symbol->role == IR_ROLE_PLAIN ? symbol_index(p, symbol) : -1;
    return index >= 0 ? keep_expr(arena, rt_expr_var(arena, p->program->symbols[index].size)) : NULL;
  }
  int index = value_index(p, symbol->kept_of ? symbol->kept_of->past : symbol);
  if (index < 0) return NULL;
  rt_expr value = rt_expr_var(arena, index);
  if (symbol->kept_of) value = rt_expr_binary(arena, RT_SIZE_MIN, value, rt_expr_const(arena, symbol->hi));
  return keep_expr(arena, value);
}

static const void *dim_binary(void *user, char op, const void *a, const void *b) {
  const dim_scope *scope = user;
  rt_size_code code = op == '+' ? RT_SIZE_ADD : op == '*' ? RT_SIZE_MUL : op == '/' ? RT_SIZE_DIV : RT_SIZE_MOD;
  return keep_expr(scope->p->low->arena,
                   rt_expr_binary(scope->p->low->arena, code, *(const rt_expr *)a, *(const rt_expr *)b));
}

static bool dim_expr(const builder *p, ir_dim dim, bool symbols, rt_expr *out) {
  dim_scope scope = {p, symbols};
  ir_dim_algebra algebra = {&scope, dim_constant, dim_symbol, dim_binary};
  const rt_expr *expr = ir_dim_convert(dim, &algebra);
  if (expr) *out = *expr;
  return expr != NULL;
}

// ---- interface

static weir_status add_tensor(builder *p, const char *name, const ir_value *value, const char *what, rt_tensor *out) {
  const ir_type *type = &value->type;
  weir_arena *arena = p->low->arena;
  ir_dim_table *dims = p->low->module->dims;
  *out = (rt_tensor){
      .name = name, .dtype = (rt_dtype)type->dtype, .rank = type->rank, .ragged = -1, .lo = value->lo, .hi = value->hi};
  ir_dim volume = NULL, inner = ir_dim_const(dims, ir_dtype_bytes(type->dtype));
  rt_expr bytes, rows;
  bool ok = true;
  for (int i = 0; i < type->rank && inner; i++) {
    ok = ok && dim_expr(p, type->dims[i], true, &out->dims[i]);
    if (ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN) inner = ir_dim_mul(dims, inner, type->dims[i]);
    else volume = volume ? ir_dim_mul(dims, volume, type->dims[i]) : type->dims[i];
  }
  ok = ok && inner && dim_expr(p, inner, false, &bytes);
  ok = ok && size_of(p, volume ? SIZE_ROWS : SIZE_REQUESTS, volume, &rows);
  if (!ok)
    return cg_unsupported(p->entry, p->entry->loc, "%s '%s', %s: no input says what its dims are", what, name,
                          ir_type_print(arena, type));
  out->limited = value->below != NULL;
  if (out->limited && !dim_expr(p, value->below, true, &out->below))
    return cg_unsupported(p->entry, p->entry->loc, "%s '%s': no input says what its bound is", what, name);
  if (volume) out->ragged = rows_index(p, volume);
  out->bytes = rt_expr_binary(arena, RT_SIZE_MUL, bytes, rows);
  return WEIR_OK;
}

// Rows of a whole state: they go by no growing symbol.
static weir_status add_whole(builder *p, const ir_param *param, rt_state *out) {
  ir_dim rows = param->value->type.dims[0];
  out->whole = true;
  out->symbol = ir_dim_role(rows) == IR_ROLE_PLAIN ? -1 : rows_index(p, rows);
  if (out->symbol >= 0) return WEIR_OK;
  return cg_unsupported(p->entry, p->entry->loc, "the rows of state '%s', %s, follow no input of this step",
                        param->name, ir_dim_print(p->low->arena, rows));
}

static weir_status add_state(builder *p, const ir_param *param, rt_state *out) {
  const ir_type *type = &param->value->type;
  int64_t elements = 1;
  const ir_result *result = new_value(p->entry, param);
  bool writes = result && result->value != param->value;
  bool reads = ir_value_use_count(p->entry, param->value) > (result && !writes);
  *out = (rt_state){
      .path = param->name, .dtype = (rt_dtype)type->dtype, .rows = param->rows, .symbol = -1, .window = param->window};
  for (int i = param->rows ? 1 : 0; i < type->rank; i++) {
    int64_t dim = cg_const_dim(type->dims[i]);
    if (dim < 0 || !weir_mul_i64(elements, dim, &elements))
      return cg_unsupported(p->entry, p->entry->loc, "state '%s' has run-time dims beyond its rows", param->name);
  }
  out->row_bytes = elements * ir_dtype_bytes(type->dtype);
  if (param->init) out->initial = strtod(param->init, NULL);
  out->unset = !param->rows && !param->init;
  for (int i = 0; param->rows && i < p->program->symbol_count; i++)
    if (rows_before(type->dims[0], p->symbols[i])) out->symbol = i;
  bool whole = param->rows && out->symbol < 0;
  out->writes = writes && (whole || !param->rows);
  out->reads = reads && (whole || out->unset);
  return whole ? add_whole(p, param, out) : WEIR_OK;
}

static weir_storage plain_storage(weir_storage storage, ir_dtype dtype) {
  if (dtype == IR_f32 || dtype == IR_f16 || dtype == IR_bf16)
    return storage == WEIR_STORAGE_F16 || storage == WEIR_STORAGE_BF16 ? storage : WEIR_STORAGE_F32;
  switch (dtype) {
    case IR_f64:
      return WEIR_STORAGE_F64;
    case IR_i8:
      return WEIR_STORAGE_I8;
    case IR_i16:
      return WEIR_STORAGE_I16;
    case IR_i32:
      return WEIR_STORAGE_I32;
    case IR_i64:
      return WEIR_STORAGE_I64;
    case IR_u8:
      return WEIR_STORAGE_U8;
    case IR_bool:
      return WEIR_STORAGE_BOOL;
    case IR_f8e4m3:
      return WEIR_STORAGE_F8_E4M3;
    default:
      return WEIR_STORAGE_F8_E5M2;
  }
}

weir_storage cg_plain_storage(ir_dtype dtype) {
  return dtype == IR_f16    ? WEIR_STORAGE_F16
         : dtype == IR_bf16 ? WEIR_STORAGE_BF16
                            : plain_storage(WEIR_STORAGE_F32, dtype);
}

// One layout for a path in all entries: panels where any linear reads it, or where its blocks would otherwise have to
// grow.
static cg_weight_format choose_format(lowering *low, const ir_param *param) {
  unsigned uses = 0;
  for (int f = 0; f < low->module->function_count; f++) {
    const ir_function *fn = low->module->functions[f];
    for (int i = 0; fn->kind != IR_FUNCTION_BLOCK && i < fn->param_count; i++)
      if (fn->params[i].kind == IR_PARAM_WEIGHT && strcmp(fn->params[i].name, param->name) == 0)
        uses |= cg_weight_uses(fn, i);
  }
  const ir_type *type = &param->value->type;
  weir_storage storage = low->options->storage_of(low->options->user, param->name);
  bool small_float = type->dtype == IR_f32 || type->dtype == IR_f16 || type->dtype == IR_bf16;
  bool blocks = weir_storage_info(storage)->kind == WEIR_STORAGE_CLASS_BLOCK;
  if (type->rank == 2 && small_float && ((uses & 1) || blocks)) {
    if (!cg_panel_supports(storage) || cg_const_dim(type->dims[1]) % cg_panel_block(storage))
      storage = WEIR_STORAGE_F32;
    return (cg_weight_format){storage, CG_LAYOUT_PANEL};
  }
  return (cg_weight_format){plain_storage(storage, type->dtype), CG_LAYOUT_PLAIN};
}

// The program's weight |weight|; the same for the same key.
static location use_weight(builder *p, const cg_weight *weight) {
  rt_program *program = p->program;
  for (int i = 0; i < program->weight_count; i++)
    if (strcmp(program->weights[i].path, weight->key) == 0) return (location){RT_ARG_WEIGHT, i};
  rt_weight added = {.path = weight->key, .bytes = weight->bytes};
  int count = program->weight_count;
  WEIR_PUSH(p->low->arena, p->weights, count, p->weight_room, *weight);
  WEIR_PUSH(p->low->arena, program->weights, program->weight_count, p->capacity_weights, added);
  return (location){RT_ARG_WEIGHT, program->weight_count - 1};
}

static weir_status add_weight(builder *p, const ir_param *param, cg_weight_format format, location *out) {
  const ir_type *type = &param->value->type;
  cg_weight weight = {
      .key = param->name, .path = param->name, .format = format, .dtype = type->dtype, .rank = type->rank};
  int64_t elements = 1;
  for (int i = 0; i < type->rank; i++) {
    weight.dims[i] = cg_const_dim(type->dims[i]);
    if (weight.dims[i] < 0 || !weir_mul_i64(elements, weight.dims[i], &elements))
      return cg_unsupported(p->entry, p->entry->loc, "weight '%s' has run-time dims or is too large", param->name);
  }
  weight.bytes = elements * (int64_t)weir_storage_info(format.storage)->block_bytes;
  if (format.layout == CG_LAYOUT_PANEL &&
      !cg_panel_bytes(format.storage, weight.dims[0], weight.dims[1], &weight.bytes))
    return cg_unsupported(p->entry, p->entry->loc, "weight '%s' is too large", param->name);
  *out = use_weight(p, &weight);
  return WEIR_OK;
}

// ---- launches

static int64_t scratch_bytes(const ir_kernel *kernel) {
  int64_t total = 0;
  for (int i = 0; i < kernel->buffer_count; i++)
    if (kernel->buffers[i].kind == IR_KB_LOCAL) total += (kernel->buffers[i].bytes->i + 63) / 64 * 64;
  return total;
}

static int program_kernel(builder *p, int kernel) {
  if (p->kernel_of[kernel] >= 0) return p->kernel_of[kernel];
  const ir_kernel *k = p->low->out->kernels[kernel];
  rt_kernel added = {
      .symbol = k->name, .scratch_bytes = scratch_bytes(k), .arg_count = k->arg_count, .dim_count = k->size_count};
  WEIR_PUSH(p->low->arena, p->program->kernels, p->program->kernel_count, p->capacity_kernels, added);
  return p->kernel_of[kernel] = p->program->kernel_count - 1;
}

static hazard *hazard_of(builder *p, location at) {
  if (at.kind == RT_ARG_BUFFER) return &p->buffers[at.index];
  if (at.kind == RT_ARG_STATE) return &p->states[at.index];
  if (at.kind == RT_ARG_OUTPUT) return &p->outputs[at.index];
  return NULL;
}

static bool needs_sync(builder *p, const item *it, const location *at) {
  for (int i = 0; i < it->arg_count; i++) {
    const hazard *h = hazard_of(p, at[i]);
    if (!h) continue;
    bool write = it->args_of_kernel[i].write;
    if (write ? h->read || (h->written && !(h->guarded && it->guarded)) : h->written) return true;
  }
  return false;
}

static void clear_hazards(builder *p) {
  if (p->memory_count) memset(p->buffers, 0, sizeof(hazard) * (size_t)p->memory_count);
  memset(p->states, 0, sizeof(hazard) * (size_t)p->program->state_count);
  memset(p->outputs, 0, sizeof(hazard) * (size_t)p->program->output_count);
  p->phase++;
}

static void touch(builder *p, const item *it, const location *at) {
  for (int i = 0; i < it->arg_count; i++) {
    if (at[i].kind == RT_ARG_BUFFER) {
      memory_buffer *m = &p->memory[at[i].index];
      if (m->first < 0) m->first = p->phase;
      m->last = p->phase;
    }
    hazard *h = hazard_of(p, at[i]);
    if (!h) continue;
    if (it->args_of_kernel[i].write) {
      h->written = true;
      h->guarded = it->guarded;
    } else {
      h->read = true;
    }
  }
}

static weir_status add_launch(builder *p, const item *it, const location *at, const char *note) {
  weir_arena *arena = p->low->arena;
  rt_launch launch = {
      .kernel = program_kernel(p, it->kernel), .arg_count = it->arg_count, .dim_count = it->size_count, .note = note};
  for (int i = 0; i < it->arg_count; i++) launch.args[i] = (rt_arg){at[i].kind, at[i].index};
  for (int i = 0; i < it->size_count; i++) {
    ir_dim dim = it->sizes[i].dim ? in_entry(p, it->sizes[i].dim) : NULL;
    if (!size_of(p, it->sizes[i].kind, dim, &launch.dims[i]))
      return cg_unsupported(p->entry, p->entry->loc, "%s: a dim '%s' that no input says", note,
                            ir_dim_print(arena, dim));
  }
  launch.grid = size_expr(p, launch.dims, it->grid);
  if (it->guarded) {
    launch.guard = size_expr(p, launch.dims, it->guard);
    launch.guard_lo = it->guard_lo;
    launch.guard_hi = it->guard_hi;
  }
  launch.sync = p->order || needs_sync(p, it, at);
  if (launch.sync) clear_hazards(p);
  p->order = false;
  touch(p, it, at);
  WEIR_PUSH(arena, p->program->launches, p->program->launch_count, p->capacity_launches, launch);
  return WEIR_OK;
}

// ---- memory of slots

static location add_buffer(builder *p, memory_buffer buffer) {
  buffer.first = buffer.last = -1;
  int hazards = p->memory_count;
  WEIR_PUSH(p->low->arena, p->buffers, hazards, p->hazard_capacity, (hazard){0});
  WEIR_PUSH(p->low->arena, p->memory, p->memory_count, p->memory_capacity, buffer);
  return (location){RT_ARG_BUFFER, p->memory_count - 1};
}

static weir_status add_temp(builder *p, const lowered *fn, const value_shape *shape, const char *name, location *out) {
  memory_buffer buffer = {.name = name, .bytes = shape->bytes};
  bool found = true;
  if (shape->rows != SIZE_PLAIN) {
    ir_dim volume = shape->rows == SIZE_ROWS ? in_entry(p, shape->volume) : NULL;
    found = size_of(p, shape->rows, volume, &buffer.rows);
    buffer.rows_key = volume ? (const void *)volume : p;
  }
  if (found && shape->inner) {
    ir_dim inner = in_entry(p, shape->inner);
    buffer.shape_key = inner;
    found = dim_expr(p, inner, false, &buffer.shape);
  }
  if (!found)
    return cg_unsupported(fn->function, fn->function->loc, "a run-time dim that no input of '%s' fixes",
                          p->entry->name);
  *out = add_buffer(p, buffer);
  return WEIR_OK;
}

static weir_status no_rows(const builder *p, ir_dim rows) {
  return cg_unsupported(p->entry, p->entry->loc, "a ragged dim '%s' that no input of '%s' has",
                        ir_dim_print(p->low->arena, rows), p->entry->name);
}

// A table of |rows|, a dim of the function being unrolled.
static weir_status table_location(builder *p, rt_arg_kind table, ir_dim rows, location *out) {
  ir_dim dim = in_entry(p, rows);
  if (table == RT_ARG_PAST) {
    const ir_symbol *symbol = ir_dim_as_symbol(dim);
    const ir_symbol *before = symbol ? ir_symbol_before(p->low->module->dims, symbol) : NULL;
    *out = (location){RT_ARG_PAST, before ? symbol_index(p, before) : -1};
    // Nothing before the call: where a volume of no elements begins is 0 for each request.
    if (cg_const_dim(dim) == 0) *out = (location){RT_ARG_STARTS, rows_index(p, dim)};
  } else {
    *out = (location){table, rows_index(p, dim)};
  }
  return out->index >= 0 ? WEIR_OK : no_rows(p, dim);
}

static weir_status rope_table(builder *p, const slot *at, location *out) {
  ir_dim rows = in_entry(p, at->rows);
  for (int i = 0; i < p->rope_count; i++) {
    const rope_entry *r = &p->ropes[i];
    if (r->rows == rows && r->theta == at->theta && r->rotary == at->rotary) {
      *out = (location){RT_ARG_BUFFER, r->buffer};
      return WEIR_OK;
    }
  }
  memory_buffer buffer = {.name = "rope", .bytes = 4 * at->rotary, .rows_key = rows};
  int index = rows_index(p, rows);
  if (index < 0 || !size_of(p, SIZE_ROWS, rows, &buffer.rows)) return no_rows(p, rows);
  *out = add_buffer(p, buffer);
  bool symbol = index < p->program->symbol_count;
  item it = {.arg_count = symbol ? 2 : 3, .size_count = symbol ? 1 : 2, .sizes = {{SIZE_ROWS, at->rows}}};
  WEIR_TRY(cg_lower_rope_table(p->low, at->theta, at->rotary, symbol, &it.kernel));
  it.grid = p->low->out->kernels[it.kernel]->grid;
  it.args_of_kernel[1].write = true;
  location args[3] = {{symbol ? RT_ARG_POSITIONS : RT_ARG_REQUESTS, index}, *out, {RT_ARG_STARTS, index}};
  WEIR_TRY(add_launch(p, &it, args, "rope_table"));
  rope_entry added = {rows, at->theta, at->rotary, out->index};
  if (!p->depth) WEIR_PUSH(p->low->arena, p->ropes, p->rope_count, p->rope_capacity, added);
  return WEIR_OK;
}

// ---- unrolling

static weir_status instantiate(builder *p, const lowered *fn, const location *params, const location *results,
                               const char *path);

// What the callee's symbols stand for, in the entry's.
static weir_status bind_callee(const builder *p, const ir_node *call, const ir_dim **out_map) {
  ir_dim_table *dims = p->low->module->dims;
  int count = ir_symbol_count(dims);
  ir_dim *map = WEIR_NEW_ARRAY(p->low->arena, ir_dim, count);
  const char *error = NULL;
  if (!ir_call_bind(call->callee, call->operands, call->operand_count, map, &error))
    return weir_status_make(WEIR_CODE_INTERNAL, "%s", error);
  for (int i = 0; i < count && p->map; i++) {
    if (map[i]) map[i] = ir_dim_substitute(dims, map[i], p->map);
    else map[i] = p->map[i];
  }
  *out_map = map;
  return WEIR_OK;
}

static weir_status instantiate_call(builder *p, const item *it, const location *at, const char *path, int number) {
  const lowered *callee = it->callee;
  weir_arena *arena = p->low->arena;
  const ir_function *f = callee->function;
  location *params = WEIR_NEW_ARRAY(arena, location, f->param_count),
           *results = WEIR_NEW_ARRAY(arena, location, f->result_count);
  for (int i = 0; i < f->param_count; i++) params[i] = at[it->args[i]];
  for (int i = 0; i < f->result_count; i++) results[i] = at[it->results[i]];
  const ir_dim *outer = p->map, *inner = p->map;
  int base = p->loop_base;
  if (it->call) {
    WEIR_TRY(bind_callee(p, it->call, &inner));
    p->loop_base = p->depth;
  }
  p->map = inner;
  WEIR_TRY(instantiate(p, callee, params, results, weir_arena_printf(arena, "%s%s[%d]/", path, f->name, number)));
  p->map = outer;
  p->loop_base = base;
  return WEIR_OK;
}

// Weights that are used as one become one; those that are used in no other way are not kept.
static weir_status stack_weights(builder *p, const lowered *fn, const slot *s, const location *at, location *out) {
  weir_arena *arena = p->low->arena;
  int count = s->index;
  const cg_weight *first = &p->weights[at[s->parts[0]].index];
  cg_weight whole = *first;
  uint64_t hash = 14695981039346656037u;
  whole.part_count = count;
  whole.parts = WEIR_NEW_ARRAY(arena, const char *, count);
  whole.rank = first->rank + 1;
  whole.dims[0] = count;
  for (int i = 0; i < first->rank && i + 1 < IR_MAX_RANK; i++) whole.dims[i + 1] = first->dims[i];
  for (int i = 0; i < count; i++) {
    location part = at[s->parts[i]];
    const cg_weight *weight = part.kind == RT_ARG_WEIGHT ? &p->weights[part.index] : NULL;
    if (!weight || weight->part_count || weight->format.storage != first->format.storage ||
        weight->format.layout != first->format.layout)
      return cg_unsupported(fn->function, fn->function->loc,
                            "weights that are chosen at run time, '%s' among them, must be stored alike", first->path);
    whole.parts[i] = weight->path;
    for (const char *c = weight->path; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
  }
  if (!weir_mul_i64(first->bytes, count, &whole.bytes) || whole.rank > IR_MAX_RANK)
    return cg_unsupported(fn->function, fn->function->loc, "the weights at '%s' are too large", first->path);
  whole.key = weir_arena_printf(arena, "%s.all%d-%08x", first->path, count, (unsigned)(hash ^ hash >> 32));
  *out = use_weight(p, &whole);
  return WEIR_OK;
}

// Drops the weights that no launch reads, and hands the others to the package.
static void keep_used_weights(builder *p) {
  rt_program *program = p->program;
  cg_module *module = p->low->out;
  int *place = WEIR_NEW_ARRAY(p->low->arena, int, program->weight_count + 1), count = 0;
  for (int i = 0; i < program->launch_count; i++)
    for (int k = 0; k < program->launches[i].arg_count; k++)
      if (program->launches[i].args[k].kind == RT_ARG_WEIGHT) place[program->launches[i].args[k].index] = 1;
  for (int i = 0; i < program->weight_count; i++) {
    if (!place[i]) continue;
    bool known = false;
    for (int k = 0; k < module->weight_count && !known; k++)
      known = strcmp(module->weights[k].key, p->weights[i].key) == 0;
    if (!known) WEIR_PUSH(p->low->arena, module->weights, module->weight_count, module->weight_capacity, p->weights[i]);
    program->weights[count] = program->weights[i];
    place[i] = count++;
  }
  program->weight_count = count;
  for (int i = 0; i < program->launch_count; i++)
    for (int k = 0; k < program->launches[i].arg_count; k++) {
      rt_arg *arg = &program->launches[i].args[k];
      if (arg->kind == RT_ARG_WEIGHT) arg->index = place[arg->index];
    }
}

static weir_status locate_slots(builder *p, const lowered *fn, const location *params, const location *results,
                                location *at) {
  for (int i = 0; i < fn->slot_count; i++) {
    const slot *s = &fn->slots[i];
    switch (s->kind) {
      case SLOT_PARAM:
        at[i] = params[s->index];
        break;
      case SLOT_RESULT:
        at[i] = results[s->index];
        break;
      case SLOT_TEMP:
        WEIR_TRY(add_temp(p, fn, &fn->shapes[i], s->name, &at[i]));
        break;
      case SLOT_ROPE:
        WEIR_TRY(rope_table(p, s, &at[i]));
        break;
      case SLOT_STACK:
        WEIR_TRY(stack_weights(p, fn, s, at, &at[i]));
        break;
    }
  }
  return WEIR_OK;
}

// ---- loops: the first launch of an iteration waits for the one before, and the first behind the loop for all of it,
// also where there was no iteration.

static weir_status begin_loop(builder *p, const lowered *fn, const item *it, const location *at) {
  weir_arena *arena = p->low->arena;
  rt_program *program = p->program;
  if (p->depth == RT_MAX_LOOP_DEPTH)
    return cg_unsupported(fn->function, fn->function->loc, "more than %d loops inside each other", RT_MAX_LOOP_DEPTH);
  if (!p->loop_sizes[p->depth]) p->loop_sizes[p->depth] = add_size(p, weir_arena_printf(arena, "loop.%d", p->depth));
  rt_loop loop = {.first = program->launch_count,
                  .trips = rt_expr_const(arena, 1),
                  .size = p->loop_sizes[p->depth],
                  .flags = it->flags >= 0 ? at[it->flags].index : -1};
  if (it->trips) {
    ir_dim dim = in_entry(p, it->trips);
    size_kind kind = ir_dim_role(dim) == IR_ROLE_PLAIN ? SIZE_PLAIN : SIZE_ROWS_MAX;
    if (!size_of(p, kind, dim, &loop.trips)) return no_rows(p, dim);
  }
  p->order = true;
  p->loop_phases[p->depth] = p->phase + 1;
  p->loops[p->depth++] = program->loop_count;
  WEIR_PUSH(arena, program->loops, program->loop_count, p->loop_capacity, loop);
  return WEIR_OK;
}

// What lives into the loop, or out of it, lives as long as it runs.
static void end_loop(builder *p) {
  rt_loop *loop = &p->program->loops[p->loops[--p->depth]];
  loop->last = p->program->launch_count - 1;
  p->order = true;
  span_loop span = {p->loop_phases[p->depth], p->phase};
  WEIR_PUSH(p->low->arena, p->spans, p->span_count, p->span_capacity, span);
}

static void extend_lives(builder *p) {
  for (int s = 0; s < p->span_count; s++) {
    int first = p->spans[s].first, last = p->spans[s].last;
    for (int i = 0; i < p->memory_count; i++) {
      memory_buffer *m = &p->memory[i];
      bool inside = m->first >= first && m->last <= last, apart = m->last < first || m->first > last;
      if (m->first < 0 || inside || apart) continue;
      if (m->first > first) m->first = first;
      if (m->last < last) m->last = last;
    }
  }
}

static weir_status instantiate(builder *p, const lowered *fn, const location *params, const location *results,
                               const char *path) {
  weir_arena *arena = p->low->arena;
  location *at = WEIR_NEW_ARRAY(arena, location, fn->slot_count + 1);
  WEIR_TRY(locate_slots(p, fn, params, results, at));
  int calls = 0;
  for (int i = 0; i < fn->item_count; i++) {
    const item *it = &fn->items[i];
    if (it->loop == LOOP_BEGIN) {
      WEIR_TRY(begin_loop(p, fn, it, at));
      continue;
    }
    if (it->loop == LOOP_END) {
      end_loop(p);
      continue;
    }
    if (it->callee) {
      WEIR_TRY(instantiate_call(p, it, at, path, calls++));
      continue;
    }
    location args[RT_MAX_ARGS];
    for (int k = 0; k < it->arg_count; k++) {
      const launch_arg *arg = &it->args_of_kernel[k];
      if (arg->is_slot) args[k] = at[arg->slot];
      else WEIR_TRY(table_location(p, arg->table, arg->rows, &args[k]));
    }
    WEIR_TRY(add_launch(p, it, args, weir_arena_printf(arena, "%s%s", path, it->note)));
  }
  return WEIR_OK;
}

static weir_status bind_params(builder *p, cg_weight_format *formats, location *params) {
  rt_program *program = p->program;
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    if (param->kind == IR_PARAM_INPUT) {
      WEIR_TRY(add_tensor(p, param->name, param->value, "input", &program->inputs[program->input_count]));
      params[i] = (location){RT_ARG_INPUT, program->input_count++};
    } else if (param->kind == IR_PARAM_STATE) {
      WEIR_TRY(add_state(p, param, &program->states[program->state_count]));
      params[i] = (location){RT_ARG_STATE, program->state_count++};
    } else {
      formats[i] = choose_format(p->low, param);
      WEIR_TRY(add_weight(p, param, formats[i], &params[i]));
    }
  }
  return WEIR_OK;
}

static weir_status bind_results(builder *p, const location *params, location *results) {
  rt_program *program = p->program;
  int outputs = 0;
  for (int i = 0; i < p->entry->result_count; i++) outputs += p->entry->results[i].state < 0;
  for (int i = 0; i < p->entry->result_count; i++) {
    const ir_result *result = &p->entry->results[i];
    if (result->state >= 0) {
      results[i] = params[result->state];
      continue;
    }
    int at = program->output_count;
    const char *name = result->name;
    if (!name || !*name) name = outputs > 1 ? weir_arena_printf(p->low->arena, "output%d", at) : "output";
    WEIR_TRY(add_tensor(p, name, result->value, "output", &program->outputs[at]));
    results[i] = (location){RT_ARG_OUTPUT, at};
    program->output_count++;
  }
  return WEIR_OK;
}

weir_status cg_build_program(lowering *low, const ir_function *entry, rt_program **out) {
  weir_arena *arena = low->arena;
  rt_program *program = WEIR_NEW(arena, rt_program);
  builder p = {.low = low, .entry = entry, .program = program};
  program->name = entry->name;
  program->step = entry->kind == IR_FUNCTION_STEP;
  add_symbols(&p);
  int params_count = entry->param_count, results_count = entry->result_count;
  program->inputs = WEIR_NEW_ARRAY(arena, rt_tensor, params_count);
  program->states = WEIR_NEW_ARRAY(arena, rt_state, params_count);
  program->outputs = WEIR_NEW_ARRAY(arena, rt_tensor, results_count);
  p.states = WEIR_NEW_ARRAY(arena, hazard, params_count + 1);
  p.outputs = WEIR_NEW_ARRAY(arena, hazard, results_count + 1);
  cg_weight_format *formats = WEIR_NEW_ARRAY(arena, cg_weight_format, params_count);
  location *params = WEIR_NEW_ARRAY(arena, location, params_count),
           *results = WEIR_NEW_ARRAY(arena, location, results_count);
  WEIR_TRY(bind_params(&p, formats, params));
  WEIR_TRY(bind_results(&p, params, results));
  lowered *fn;
  WEIR_TRY(cg_lower_function(low, entry, formats, &fn));
  // Rope tables may add kernels while launches are made: leave room.
  enum { SPARE = 64 };
  p.kernel_of = WEIR_NEW_ARRAY(arena, int, low->out->kernel_count + SPARE);
  for (int i = 0; i < low->out->kernel_count + SPARE; i++) p.kernel_of[i] = -1;
  WEIR_TRY(instantiate(&p, fn, params, results, ""));
  keep_used_weights(&p);
  extend_lives(&p);
  cg_plan_memory(arena, p.memory, p.memory_count, program);
  WEIR_TRY_CTX(rt_program_verify(program), "program '%s'", entry->name);
  *out = program;
  return WEIR_OK;
}

weir_status cg_lower(weir_arena *arena, const ir_module *module, const cg_lower_options *options,
                     cg_module **out_module) {
  cg_module *out = WEIR_NEW(arena, cg_module);
  lowering low = {.arena = arena, .module = module, .options = options, .out = out};
  out->programs = WEIR_NEW_ARRAY(arena, rt_program *, module->function_count);
  for (int i = 0; i < module->function_count; i++) {
    ir_function_kind kind = module->functions[i]->kind;
    if (kind != IR_FUNCTION_ENTRY && kind != IR_FUNCTION_STEP) continue;
    WEIR_TRY(cg_build_program(&low, module->functions[i], &out->programs[out->program_count]));
    out->program_count++;
  }
  *out_module = out;
  return WEIR_OK;
}
