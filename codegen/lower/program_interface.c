// What a program has to do with the outside: inputs, outputs, states, and the weights that the package must hold.
#include <stdlib.h>
#include <string.h>

#include "codegen/lower/program.h"
#include "codegen/lower/taps.h"
#include "runtime/base/checked.h"

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
    ok = ok && cg_program_dim_expr(p, type->dims[i], true, &out->dims[i]);
    if (ir_dim_role(type->dims[i]) == IR_ROLE_PLAIN) inner = ir_dim_mul(dims, inner, type->dims[i]);
    else volume = volume ? ir_dim_mul(dims, volume, type->dims[i]) : type->dims[i];
  }
  ok = ok && inner && cg_program_dim_expr(p, inner, false, &bytes);
  ok = ok && cg_program_size(p, volume ? SIZE_ROWS : SIZE_REQUESTS, volume, &rows);
  if (!ok)
    return cg_unsupported(p->entry, p->entry->loc, "%s '%s', %s: no input says what its dims are", what, name,
                          ir_type_print(arena, type));
  out->limited = value->below != NULL;
  if (out->limited && !cg_program_dim_expr(p, value->below, true, &out->below))
    return cg_unsupported(p->entry, p->entry->loc, "%s '%s': no input says what its bound is", what, name);
  if (volume) out->ragged = cg_program_rows(p, volume);
  out->bytes = rt_expr_binary(arena, RT_SIZE_MUL, bytes, rows);
  return WEIR_OK;
}

// Rows of a whole state: they go by no growing symbol.
static weir_status add_whole(builder *p, const ir_param *param, rt_state *out) {
  ir_dim rows = param->value->type.dims[0];
  out->whole = true;
  out->symbol = ir_dim_role(rows) == IR_ROLE_PLAIN ? -1 : cg_program_rows(p, rows);
  if (out->symbol >= 0) return WEIR_OK;
  return cg_unsupported(p->entry, p->entry->loc, "the rows of state '%s', %s, follow no input of this step",
                        param->name, ir_dim_print(p->low->arena, rows));
}

static weir_status add_state(builder *p, const ir_param *param, cg_weight_format *format, rt_state *out) {
  const ir_type *type = &param->value->type;
  int64_t elements = 1;
  const ir_result *result = cg_program_new_value(p->entry, param);
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
  out->panel = cg_state_takes_panels(p->low->module, param);
  *format = (cg_weight_format){.storage = cg_plain_storage(type->dtype),
                               .layout = out->panel ? CG_LAYOUT_PANEL : CG_LAYOUT_PLAIN};
  if (param->init) out->initial = strtod(param->init, NULL);
  out->unset = !param->rows && !param->init;
  for (int i = 0; param->rows && i < p->program->symbol_count; i++)
    if (cg_program_rows_before(type->dims[0], p->symbols[i])) out->symbol = i;
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

static cg_compute compute_wanted(const lowering *low, const ir_param *param) {
  return low->options->compute_of ? low->options->compute_of(low->options->user, param->name) : CG_COMPUTE_F32;
}

// Null, or why products with a matrix in panels of |storage| cannot be computed in |wanted|.
static const char *refuse_compute(const lowering *low, weir_storage storage, int64_t cols, unsigned uses,
                                  cg_compute wanted) {
  bool blocks = weir_storage_has_codes(storage);
  bool routed = low->options->blocks && wanted == CG_COMPUTE_BF16 && cols % 32 == 0;  // block/route.c
  if (uses & 4 && !routed) return "chosen at run time";
  if (wanted == CG_COMPUTE_INT8 && !blocks) return "not stored in blocks of integers (store q8_0, for example)";
  if (wanted == CG_COMPUTE_INT8_ROW && storage != WEIR_STORAGE_W8) return "not stored with one scale a row (store w8)";
  if (wanted == CG_COMPUTE_INT8_ROW && cols > CG_INT8_ROW_INPUTS) return "rows of more than 131072 elements";
  if (wanted == CG_COMPUTE_BF16 && !blocks && cols % 2) return "rows of an odd number of elements";
  return NULL;
}

// How products with a matrix in panels are computed: as the plan says where there is a kernel for that.
static cg_weight_format panel_format(const lowering *low, const ir_param *param, weir_storage storage, unsigned uses) {
  cg_weight_format format = {storage, CG_LAYOUT_PANEL, CG_COMPUTE_F32};
  cg_compute wanted = compute_wanted(low, param);
  if (!(uses & 1) || refuse_compute(low, storage, cg_const_dim(param->value->type.dims[1]), uses, wanted))
    return format;
  format.compute = wanted;
  bool blocks = weir_storage_has_codes(storage);
  return wanted == CG_COMPUTE_BF16 && !blocks ? (cg_weight_format){WEIR_STORAGE_BF16, CG_LAYOUT_PAIRS, wanted} : format;
}

// Of a convolution for thread blocks, which transform nothing. Products in bf16 copy eight channels of a tap at once.
static cg_weight_format taps_format(const lowering *low, const ir_param *param, weir_storage storage) {
  enum { EIGHT = 8, SLAB = 32 };
  const ir_type *type = &param->value->type;
  int64_t dims[IR_MAX_RANK], cols;
  for (int i = 0; i < type->rank; i++) dims[i] = cg_const_dim(type->dims[i]);
  bool pairs = compute_wanted(low, param) == CG_COMPUTE_BF16 && dims[1] % EIGHT == 0 &&
               cg_taps_cols(CG_LAYOUT_TAPS, type->rank, dims, &cols) && cols % SLAB == 0;
  if (pairs) return (cg_weight_format){WEIR_STORAGE_BF16, CG_LAYOUT_TAPS_PAIRS, CG_COMPUTE_BF16};
  return (cg_weight_format){.storage = storage, .layout = CG_LAYOUT_TAPS};
}

static unsigned uses_in_entries(const lowering *low, const ir_param *param) {
  unsigned uses = 0;
  for (int f = 0; f < low->module->function_count; f++) {
    const ir_function *fn = low->module->functions[f];
    for (int i = 0; fn->kind != IR_FUNCTION_BLOCK && i < fn->param_count; i++)
      if (fn->params[i].kind == IR_PARAM_WEIGHT && strcmp(fn->params[i].name, param->name) == 0)
        uses |= cg_weight_uses(fn, i);
  }
  return uses;
}

// One layout for a path in all entries: panels where any linear reads it, or where its blocks would otherwise have to
// grow.
static cg_weight_format choose_format(const lowering *low, const ir_param *param) {
  unsigned uses = uses_in_entries(low, param);
  const ir_type *type = &param->value->type;
  weir_storage storage = low->options->storage_of(low->options->user, param->name);
  bool small_float = type->dtype == IR_f32 || type->dtype == IR_f16 || type->dtype == IR_bf16;
  bool blocks = weir_storage_has_codes(storage);
  if (type->rank == 2 && small_float && ((uses & 1) || blocks)) {
    if (!cg_panel_supports(storage) || cg_const_dim(type->dims[1]) % cg_panel_block(storage))
      storage = WEIR_STORAGE_F32;
    return panel_format(low, param, storage, uses);
  }
  if (low->options->blocks && uses && !(uses & ~56u))
    return taps_format(low, param, plain_storage(storage, type->dtype));
  cg_layout layout = uses == 8 ? CG_LAYOUT_TAPS : uses == 16 ? CG_LAYOUT_WINOGRAD : CG_LAYOUT_PLAIN;
  return (cg_weight_format){.storage = plain_storage(storage, type->dtype), .layout = layout};
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
  unsigned uses = uses_in_entries(p->low, param);
  weight.multiplied = uses & 1;
  if (weight.multiplied && format.compute != compute_wanted(p->low, param))
    weight.reason = cg_is_panel(format) ? refuse_compute(p->low, format.storage, cg_const_dim(type->dims[1]), uses,
                                                         compute_wanted(p->low, param))
                                        : "no matrices of floats";
  weight.bytes = elements * (int64_t)weir_storage_info(format.storage)->block_bytes;
  if (cg_is_panel(format) && !cg_panel_bytes(format.storage, weight.dims[0], weight.dims[1], &weight.bytes))
    return cg_unsupported(p->entry, p->entry->loc, "weight '%s' is too large", param->name);
  if (cg_is_taps(format) && !cg_taps_bytes(format, weight.rank, weight.dims, &weight.bytes))
    return cg_unsupported(p->entry, p->entry->loc, "weight '%s' is too large", param->name);
  *out = use_weight(p, &weight);
  return WEIR_OK;
}

// Weights that are used as one become one; those that are used in no other way are not kept.
weir_status cg_program_stack(builder *p, const lowered *fn, const slot *s, const location *at, location *out) {
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
        weight->format.layout != first->format.layout || weight->format.compute != first->format.compute)
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

weir_status cg_program_rows_of(builder *p, const lowered *fn, const slot *s, const location *at, location *out) {
  location of = at[s->index];
  if (of.kind != RT_ARG_WEIGHT || p->weights[of.index].part_count)
    return cg_unsupported(fn->function, fn->function->loc, "a matrix that a library is to read is no weight");
  cg_weight rows = p->weights[of.index];
  rows.key = weir_arena_printf(p->low->arena, "%s:rows", rows.path);
  rows.format = (cg_weight_format){WEIR_STORAGE_BF16, CG_LAYOUT_PLAIN, CG_COMPUTE_F32};
  rows.bytes = s->bytes;
  rows.multiplied = false;
  rows.reason = NULL;
  *out = use_weight(p, &rows);
  return WEIR_OK;
}

void cg_program_keep_weights(builder *p) {
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

weir_status cg_program_bind_params(builder *p, cg_weight_format *formats, location *params) {
  rt_program *program = p->program;
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    if (param->kind == IR_PARAM_INPUT) {
      WEIR_TRY(add_tensor(p, param->name, param->value, "input", &program->inputs[program->input_count]));
      params[i] = (location){RT_ARG_INPUT, program->input_count++};
    } else if (param->kind == IR_PARAM_STATE) {
      WEIR_TRY(add_state(p, param, &formats[i], &program->states[program->state_count]));
      params[i] = (location){RT_ARG_STATE, program->state_count++};
    } else {
      formats[i] = choose_format(p->low, param);
      WEIR_TRY(add_weight(p, param, formats[i], &params[i]));
    }
  }
  return WEIR_OK;
}

weir_status cg_program_bind_results(builder *p, const location *params, location *results) {
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
