// From lowered functions to one program: calls are unrolled, slots become buffers, weights, states and tables, hazards
// become syncs. Where the buffers lie is decided in memory.c.
#include <stdlib.h>
#include <string.h>

#include "codegen/lower/internal.h"
#include "codegen/lower/memory.h"
#include "runtime/base/checked.h"

typedef struct {
  rt_arg_kind kind;
  int index;
} location;

typedef struct {
  const ir_symbol *symbol;
  double theta;
  int rotary;
  int buffer;
} rope_entry;

typedef struct {
  bool read, written;  // since the last sync
  bool guarded;        // the write was by a guarded launch
} hazard;

typedef struct {
  lowering *low;
  const ir_function *entry;
  rt_program *program;
  int capacity_kernels, capacity_launches, capacity_buffers, capacity_weights;
  int *kernel_of;             // program's kernel of each module kernel, -1
  const ir_symbol **symbols;  // of the program's symbols
  memory_buffer *memory;
  int memory_count, memory_capacity;
  rope_entry *ropes;
  int rope_count, rope_capacity;
  hazard *buffers, *states, *outputs;
  int hazard_capacity;
  int phase;
} builder;

// ---- sizes

static int size_index(const builder *p, size_kind kind, const ir_symbol *symbol) {
  if (kind == SIZE_REQUESTS) return 0;
  for (int i = 0; i < p->program->symbol_count; i++) {
    if (p->symbols[i] != symbol) continue;
    return kind == SIZE_ROWS_MAX ? p->program->symbols[i].size_max : p->program->symbols[i].size;
  }
  return -1;
}

static int symbol_index(const builder *p, const ir_symbol *symbol) {
  for (int i = 0; i < p->program->symbol_count; i++)
    if (p->symbols[i] == symbol) return i;
  return -1;
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

static void add_symbols(builder *p) {
  symbol_list list = {.count = 0};
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    for (int d = 0; param->kind == IR_PARAM_INPUT && d < param->value->type.rank; d++)
      ir_dim_visit(param->value->type.dims[d], collect, &list);
  }
  weir_arena *arena = p->low->arena;
  rt_program *program = p->program;
  program->symbols = WEIR_NEW_ARRAY(arena, rt_symbol, list.count);
  program->sizes = WEIR_NEW_ARRAY(arena, const char *, 1 + 3 * list.count);
  p->symbols = WEIR_NEW_ARRAY(arena, const ir_symbol *, list.count);
  program->sizes[program->size_count++] = "R";
  for (int i = 0; i < list.count; i++) {
    const ir_symbol *symbol = list.found[i];
    rt_symbol *out = &program->symbols[program->symbol_count++];
    p->symbols[i] = symbol;
    *out = (rt_symbol){.name = symbol->name,
                       .role = (rt_role)symbol->role,
                       .lo = symbol->lo,
                       .hi = symbol->hi,
                       .divisor = symbol->divisor,
                       .size = program->size_count,
                       .size_max = -1,
                       .size_all_max = -1};
    program->sizes[program->size_count++] = symbol->name;
    if (symbol->role == IR_ROLE_PLAIN) continue;
    out->size_max = program->size_count;
    program->sizes[program->size_count++] = weir_arena_printf(arena, "%s.max", symbol->name);
    for (int k = 0; k < p->entry->param_count && !out->grows; k++) {
      const ir_param *param = &p->entry->params[k];
      out->grows = param->kind == IR_PARAM_STATE && param->rows && symbol->past && param->value->type.rank > 0 &&
                   ir_dim_mentions(param->value->type.dims[0], symbol->past);
    }
    if (!out->grows) continue;
    out->size_all_max = program->size_count;
    program->sizes[program->size_count++] = weir_arena_printf(arena, "%s.all.max", symbol->name);
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

// A kernel's size expression in terms of the program's sizes.
static rt_expr size_expr(builder *p, const item *it, const ir_kexpr *expr) {
  weir_arena *arena = p->low->arena;
  if (expr->op == IR_K_const) return rt_expr_const(arena, expr->i);
  if (expr->op == IR_K_size) {
    const launch_size *size = &it->sizes[expr->index];
    return rt_expr_var(arena, size_index(p, size->kind, size->symbol));
  }
  return rt_expr_binary(arena, size_code(expr->op), size_expr(p, it, expr->args[0]), size_expr(p, it, expr->args[1]));
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

static const void *dim_symbol(void *user, const ir_symbol *symbol) {
  const dim_scope *scope = user;
  int index = symbol_index(scope->p, symbol);
  if (index >= 0 && !scope->symbols) index = scope->p->program->symbols[index].size;
  return index >= 0 ? keep_expr(scope->p->low->arena, rt_expr_var(scope->p->low->arena, index)) : NULL;
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
  *out = (rt_tensor){
      .name = name, .dtype = (rt_dtype)type->dtype, .rank = type->rank, .ragged = -1, .lo = value->lo, .hi = value->hi};
  rt_expr bytes = rt_expr_const(arena, ir_dtype_bytes(type->dtype));
  for (int i = 0; i < type->rank; i++) {
    const ir_symbol *symbol = ir_dim_as_symbol(type->dims[i]);
    bool ragged = ir_dim_role(type->dims[i]) != IR_ROLE_PLAIN;
    rt_expr size;
    if (!dim_expr(p, type->dims[i], true, &out->dims[i]) || !dim_expr(p, type->dims[i], false, &size) ||
        (ragged && (i != 0 || !symbol)))
      return cg_unsupported(p->entry, p->entry->loc,
                            "%s '%s': the ragged dim '%s' is computed, or not the first; that has no lowering yet",
                            what, name, ir_dim_print(arena, type->dims[i]));
    if (ragged) out->ragged = symbol_index(p, symbol);
    bytes = rt_expr_binary(arena, RT_SIZE_MUL, bytes, size);
  }
  if (out->ragged < 0) bytes = rt_expr_binary(arena, RT_SIZE_MUL, bytes, rt_expr_var(arena, 0));
  out->bytes = bytes;
  return WEIR_OK;
}

static weir_status add_state(builder *p, const ir_param *param, rt_state *out) {
  const ir_type *type = &param->value->type;
  int64_t elements = 1;
  *out = (rt_state){
      .path = param->name, .dtype = (rt_dtype)type->dtype, .rows = param->rows, .symbol = -1, .window = param->window};
  for (int i = param->rows ? 1 : 0; i < type->rank; i++) {
    int64_t dim = cg_const_dim(type->dims[i]);
    if (dim < 0 || !weir_mul_i64(elements, dim, &elements))
      return cg_unsupported(p->entry, p->entry->loc, "state '%s' has run-time dims beyond its rows", param->name);
  }
  out->row_bytes = elements * ir_dtype_bytes(type->dtype);
  if (param->init) out->initial = strtod(param->init, NULL);
  for (int i = 0; param->rows && i < p->program->symbol_count; i++)
    if (p->symbols[i]->past && ir_dim_mentions(type->dims[0], p->symbols[i]->past)) out->symbol = i;
  if (param->rows && out->symbol < 0)
    return cg_unsupported(p->entry, p->entry->loc, "the rows of state '%s' follow no input of this step", param->name);
  return WEIR_OK;
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

static weir_status add_weight(builder *p, const ir_param *param, cg_weight_format format, location *out) {
  cg_module *module = p->low->out;
  rt_program *program = p->program;
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
  bool known = false;
  for (int i = 0; i < module->weight_count && !known; i++) known = strcmp(module->weights[i].key, weight.key) == 0;
  if (!known) WEIR_PUSH(p->low->arena, module->weights, module->weight_count, module->weight_capacity, weight);
  rt_weight added = {.path = weight.key, .bytes = weight.bytes};
  WEIR_PUSH(p->low->arena, program->weights, program->weight_count, p->capacity_weights, added);
  *out = (location){RT_ARG_WEIGHT, program->weight_count - 1};
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
  memset(p->buffers, 0, sizeof(hazard) * (size_t)p->memory_count);
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

static void add_launch(builder *p, const item *it, const location *at, const char *note) {
  weir_arena *arena = p->low->arena;
  rt_launch launch = {.kernel = program_kernel(p, it->kernel),
                      .grid = size_expr(p, it, it->grid),
                      .arg_count = it->arg_count,
                      .dim_count = it->size_count,
                      .note = note};
  for (int i = 0; i < it->arg_count; i++) launch.args[i] = (rt_arg){at[i].kind, at[i].index};
  for (int i = 0; i < it->size_count; i++)
    launch.dims[i] = rt_expr_var(arena, size_index(p, it->sizes[i].kind, it->sizes[i].symbol));
  if (it->guarded) {
    launch.guard = size_expr(p, it, it->guard);
    launch.guard_lo = it->guard_lo;
    launch.guard_hi = it->guard_hi;
  }
  launch.sync = needs_sync(p, it, at);
  if (launch.sync) clear_hazards(p);
  touch(p, it, at);
  WEIR_PUSH(arena, p->program->launches, p->program->launch_count, p->capacity_launches, launch);
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
  memory_buffer buffer = {.name = name, .bytes = shape->bytes, .rows = -1};
  bool found = true;
  if (shape->rows != SIZE_PLAIN) found = (buffer.rows = size_index(p, shape->rows, shape->symbol)) >= 0;
  if (found && shape->inner) {
    buffer.shape_key = shape->inner;
    found = dim_expr(p, shape->inner, false, &buffer.shape);
  }
  if (!found)
    return cg_unsupported(fn->function, fn->function->loc, "a run-time dim that no input of '%s' fixes",
                          p->entry->name);
  *out = add_buffer(p, buffer);
  return WEIR_OK;
}

static weir_status rope_table(builder *p, const slot *at, location *out) {
  for (int i = 0; i < p->rope_count; i++) {
    const rope_entry *r = &p->ropes[i];
    if (r->symbol == at->symbol && r->theta == at->theta && r->rotary == at->rotary) {
      *out = (location){RT_ARG_BUFFER, r->buffer};
      return WEIR_OK;
    }
  }
  memory_buffer buffer = {.name = "rope", .bytes = 4 * at->rotary, .rows = size_index(p, SIZE_ROWS, at->symbol)};
  *out = add_buffer(p, buffer);
  item it = {.arg_count = 2, .size_count = 1, .sizes = {{SIZE_ROWS, at->symbol}}};
  WEIR_TRY(cg_lower_rope_table(p->low, at->theta, at->rotary, &it.kernel));
  it.grid = p->low->out->kernels[it.kernel]->grid;
  it.args_of_kernel[1].write = true;
  location args[2] = {{RT_ARG_POSITIONS, symbol_index(p, at->symbol)}, *out};
  add_launch(p, &it, args, "rope_table");
  rope_entry added = {at->symbol, at->theta, at->rotary, out->index};
  WEIR_PUSH(p->low->arena, p->ropes, p->rope_count, p->rope_capacity, added);
  return WEIR_OK;
}

// ---- unrolling

static weir_status instantiate(builder *p, const lowered *fn, const location *params, const location *results,
                               const char *path);

static weir_status instantiate_call(builder *p, const item *it, const location *at, const char *path, int number) {
  const lowered *callee = it->callee;
  weir_arena *arena = p->low->arena;
  const ir_function *f = callee->function;
  location *params = WEIR_NEW_ARRAY(arena, location, f->param_count),
           *results = WEIR_NEW_ARRAY(arena, location, f->result_count);
  for (int i = 0; i < f->param_count; i++) params[i] = at[it->args[i]];
  for (int i = 0; i < f->result_count; i++) results[i] = at[it->results[i]];
  return instantiate(p, callee, params, results, weir_arena_printf(arena, "%s%s[%d]/", path, f->name, number));
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
    }
  }
  return WEIR_OK;
}

static weir_status instantiate(builder *p, const lowered *fn, const location *params, const location *results,
                               const char *path) {
  weir_arena *arena = p->low->arena;
  location *at = WEIR_NEW_ARRAY(arena, location, fn->slot_count + 1);
  WEIR_TRY(locate_slots(p, fn, params, results, at));
  int calls = 0;
  for (int i = 0; i < fn->item_count; i++) {
    const item *it = &fn->items[i];
    if (it->callee) {
      WEIR_TRY(instantiate_call(p, it, at, path, calls++));
      continue;
    }
    location args[RT_MAX_ARGS];
    for (int k = 0; k < it->arg_count; k++) {
      const launch_arg *arg = &it->args_of_kernel[k];
      args[k] = arg->is_slot ? at[arg->slot] : (location){arg->table, symbol_index(p, arg->symbol)};
      if (!arg->is_slot && args[k].index < 0)
        return cg_unsupported(fn->function, fn->function->loc, "a ragged dim '%s' that no input of '%s' has",
                              arg->symbol->name, p->entry->name);
    }
    add_launch(p, it, args, weir_arena_printf(arena, "%s%s", path, it->note));
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
    if (module->functions[i]->kind == IR_FUNCTION_BLOCK) continue;
    WEIR_TRY(cg_build_program(&low, module->functions[i], &out->programs[out->program_count]));
    out->program_count++;
  }
  *out_module = out;
  return WEIR_OK;
}
