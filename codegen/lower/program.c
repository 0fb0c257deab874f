// From lowered functions to one program: calls are unrolled, slots become buffers, weights, states and tables, hazards
// become syncs. What the parts are made of is in the program_*.c beside this file.
#include "codegen/lower/program.h"
#include "ir/rules.h"

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
        WEIR_TRY(cg_program_temp(p, fn, &fn->shapes[i], s->name, &at[i]));
        break;
      case SLOT_ROPE:
        WEIR_TRY(cg_program_rope_table(p, s, &at[i]));
        break;
      case SLOT_COUNTERS:
        WEIR_TRY(cg_program_counters(p, s, &at[i]));
        break;
      case SLOT_PARTS:
        WEIR_TRY(cg_program_parts(p, fn, s, &at[i]));
        break;
      case SLOT_ROWS:
        WEIR_TRY(cg_program_rows_of(p, fn, s, at, &at[i]));
        break;
      case SLOT_STACK:
        WEIR_TRY(cg_program_stack(p, fn, s, at, &at[i]));
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
    if (it->loop == LOOP_BEGIN) {
      WEIR_TRY(cg_program_begin_loop(p, fn, it, at));
      continue;
    }
    if (it->loop == LOOP_END) {
      cg_program_end_loop(p);
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
      else WEIR_TRY(cg_program_table(p, arg->table, arg->rows, &args[k]));
    }
    WEIR_TRY(cg_program_launch(p, it, args, weir_arena_printf(arena, "%s%s", path, it->note)));
  }
  return WEIR_OK;
}

static weir_status build_program(lowering *low, const ir_function *entry, rt_program **out) {
  weir_arena *arena = low->arena;
  rt_program *program = WEIR_NEW(arena, rt_program);
  builder p = {.low = low, .entry = entry, .program = program};
  program->name = entry->name;
  program->step = entry->kind == IR_FUNCTION_STEP;
  cg_program_add_symbols(&p);
  int params_count = entry->param_count, results_count = entry->result_count;
  program->inputs = WEIR_NEW_ARRAY(arena, rt_tensor, params_count);
  program->states = WEIR_NEW_ARRAY(arena, rt_state, params_count);
  program->outputs = WEIR_NEW_ARRAY(arena, rt_tensor, results_count);
  p.states = WEIR_NEW_ARRAY(arena, hazard, params_count + 1);
  p.outputs = WEIR_NEW_ARRAY(arena, hazard, results_count + 1);
  cg_weight_format *formats = WEIR_NEW_ARRAY(arena, cg_weight_format, params_count);
  location *params = WEIR_NEW_ARRAY(arena, location, params_count),
           *results = WEIR_NEW_ARRAY(arena, location, results_count);
  WEIR_TRY(cg_program_bind_params(&p, formats, params));
  WEIR_TRY(cg_program_bind_results(&p, params, results));
  lowered *fn;
  WEIR_TRY(cg_lower_function(low, entry, formats, &fn));
  // Rope tables may add kernels while launches are made: leave room.
  enum { SPARE = 64 };
  p.kernel_of = WEIR_NEW_ARRAY(arena, int, low->out->kernel_count + SPARE);
  for (int i = 0; i < low->out->kernel_count + SPARE; i++) p.kernel_of[i] = -1;
  WEIR_TRY(instantiate(&p, fn, params, results, ""));
  WEIR_TRY(cg_program_add_pick(&p));
  cg_program_keep_weights(&p);
  cg_program_extend_lives(&p);
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
    WEIR_TRY(build_program(&low, module->functions[i], &out->programs[out->program_count]));
    out->program_count++;
  }
  *out_module = out;
  return WEIR_OK;
}
