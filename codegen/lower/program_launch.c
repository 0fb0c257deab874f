// Launches of a program, with the syncs that keep readers behind writers; loops of them; and the memory that they use.
// Where buffers lie is decided in memory.c, from the phases between two syncs in which they are used.
#include <string.h>

#include "codegen/lower/program.h"

// ---- launches

static int64_t scratch_bytes(const ir_kernel *kernel) {
  int64_t total = 0;
  for (int i = 0; i < kernel->buffer_count; i++)
    if (kernel->buffers[i].kind == IR_KB_LOCAL) total += (kernel->buffers[i].bytes->i + 63) / 64 * 64;
  return total;
}

int cg_program_kernel(builder *p, int kernel) {
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

weir_status cg_program_launch(builder *p, const item *it, const location *at, const char *note) {
  weir_arena *arena = p->low->arena;
  rt_launch launch = {.kernel = cg_program_kernel(p, it->kernel),
                      .arg_count = it->arg_count,
                      .dim_count = it->size_count,
                      .note = note};
  for (int i = 0; i < it->arg_count; i++) launch.args[i] = (rt_arg){at[i].kind, at[i].index};
  for (int i = 0; i < it->size_count; i++) {
    ir_dim dim = it->sizes[i].dim ? cg_program_dim_of(p, it->sizes[i].dim) : NULL;
    if (!cg_program_size(p, it->sizes[i].kind, dim, &launch.dims[i]))
      return cg_unsupported(p->entry, p->entry->loc, "%s: a dim '%s' that no input says", note,
                            ir_dim_print(arena, dim));
  }
  launch.grid = cg_program_size_expr(p, launch.dims, it->grid);
  if (it->guarded) {
    launch.guard = cg_program_size_expr(p, launch.dims, it->guard);
    launch.guard_lo = it->guard_lo;
    launch.guard_hi = it->guard_hi;
  }
  cg_program_cost(p, p->low->out->kernels[it->kernel], &launch);
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

weir_status cg_program_temp(builder *p, const lowered *fn, const value_shape *shape, const char *name, location *out) {
  memory_buffer buffer = {.name = name, .bytes = shape->bytes};
  bool found = true;
  if (shape->rows != SIZE_PLAIN) {
    ir_dim volume = shape->rows == SIZE_ROWS ? cg_program_dim_of(p, shape->volume) : NULL;
    found = cg_program_size(p, shape->rows, volume, &buffer.rows);
    buffer.rows_key = volume ? (const void *)volume : p;
  }
  if (found && shape->inner) {
    ir_dim inner = cg_program_dim_of(p, shape->inner);
    buffer.shape_key = inner;
    found = cg_program_dim_expr(p, inner, false, &buffer.shape);
  }
  if (!found)
    return cg_unsupported(fn->function, fn->function->loc, "a run-time dim that no input of '%s' fixes",
                          p->entry->name);
  *out = add_buffer(p, buffer);
  return WEIR_OK;
}

weir_status cg_program_parts(builder *p, const lowered *fn, const slot *s, location *out) {
  weir_arena *arena = p->low->arena;
  ir_dim rows = cg_program_dim_of(p, s->rows);
  size_kind kind = ir_dim_role(rows) == IR_ROLE_PLAIN ? SIZE_PLAIN : SIZE_ROWS_MAX;
  memory_buffer buffer = {.name = s->name, .bytes = s->bytes, .rows_key = p, .shape_key = rows};
  rt_expr most;
  bool found = cg_program_size(p, SIZE_REQUESTS, NULL, &buffer.rows) && cg_program_size(p, kind, rows, &most);
  if (!found)
    return cg_unsupported(fn->function, fn->function->loc, "a run-time dim that no input of '%s' fixes",
                          p->entry->name);
  most = rt_expr_binary(arena, RT_SIZE_DIV, most, rt_expr_const(arena, s->piece));
  buffer.shape = rt_expr_binary(arena, RT_SIZE_ADD, most, rt_expr_const(arena, 2));
  *out = add_buffer(p, buffer);
  return WEIR_OK;
}

static weir_status no_rows(const builder *p, ir_dim rows) {
  return cg_unsupported(p->entry, p->entry->loc, "a ragged dim '%s' that no input of '%s' has",
                        ir_dim_print(p->low->arena, rows), p->entry->name);
}

weir_status cg_program_table(builder *p, rt_arg_kind table, ir_dim rows, location *out) {
  ir_dim dim = cg_program_dim_of(p, rows);
  if (table == RT_ARG_PAST) {
    const ir_symbol *symbol = ir_dim_as_symbol(dim);
    const ir_symbol *before = symbol ? ir_symbol_before(p->low->module->dims, symbol) : NULL;
    *out = (location){RT_ARG_PAST, before ? cg_program_symbol(p, before) : -1};
    // Nothing before the call: where a volume of no elements begins is 0 for each request.
    if (cg_const_dim(dim) == 0) *out = (location){RT_ARG_STARTS, cg_program_rows(p, dim)};
  } else {
    *out = (location){table, cg_program_rows(p, dim)};
  }
  return out->index >= 0 ? WEIR_OK : no_rows(p, dim);
}

weir_status cg_program_rope_table(builder *p, const slot *at, location *out) {
  ir_dim rows = cg_program_dim_of(p, at->rows);
  for (int i = 0; i < p->rope_count; i++) {
    const rope_entry *r = &p->ropes[i];
    if (r->rows == rows && r->theta == at->theta && r->rotary == at->rotary) {
      *out = (location){RT_ARG_BUFFER, r->buffer};
      return WEIR_OK;
    }
  }
  memory_buffer buffer = {.name = "rope", .bytes = 4 * at->rotary, .rows_key = rows};
  int index = cg_program_rows(p, rows);
  if (index < 0 || !cg_program_size(p, SIZE_ROWS, rows, &buffer.rows)) return no_rows(p, rows);
  *out = add_buffer(p, buffer);
  bool symbol = index < p->program->symbol_count;
  item it = {.arg_count = symbol ? 2 : 3, .size_count = symbol ? 1 : 2, .sizes = {{SIZE_ROWS, at->rows}}};
  WEIR_TRY(cg_lower_rope_table(p->low, at->theta, at->rotary, symbol, &it.kernel));
  it.grid = p->low->out->kernels[it.kernel]->grid;
  it.args_of_kernel[1].write = true;
  location args[3] = {{symbol ? RT_ARG_POSITIONS : RT_ARG_REQUESTS, index}, *out, {RT_ARG_STARTS, index}};
  WEIR_TRY(cg_program_launch(p, &it, args, "rope_table"));
  rope_entry added = {rows, at->theta, at->rotary, out->index};
  if (!p->depth) WEIR_PUSH(p->low->arena, p->ropes, p->rope_count, p->rope_capacity, added);
  return WEIR_OK;
}

weir_status cg_program_counters(builder *p, const slot *at, location *out) {
  ir_dim rows = cg_program_dim_of(p, at->rows);
  for (int i = 0; i < p->counters_count; i++) {
    const counters_entry *c = &p->counters[i];
    if (c->rows == rows && c->per_row == at->piece && c->number == at->index) {
      *out = (location){RT_ARG_BUFFER, c->buffer};
      return WEIR_OK;
    }
  }
  memory_buffer buffer = {.name = "arrived", .bytes = 4 * at->piece, .rows_key = rows};
  if (!cg_program_size(p, SIZE_ROWS, rows, &buffer.rows)) return no_rows(p, rows);
  *out = add_buffer(p, buffer);
  item it = {.arg_count = 1, .size_count = 1, .sizes = {{SIZE_ROWS, at->rows}}};
  WEIR_TRY(cg_lower_clear(p->low, (int)at->piece, &it.kernel));
  it.grid = p->low->out->kernels[it.kernel]->grid;
  it.args_of_kernel[0].write = true;
  WEIR_TRY(cg_program_launch(p, &it, out, "clear"));
  counters_entry added = {rows, at->piece, at->index, out->index};
  if (!p->depth) WEIR_PUSH(p->low->arena, p->counters, p->counters_count, p->counters_capacity, added);
  return WEIR_OK;
}

// ---- loops

weir_status cg_program_begin_loop(builder *p, const lowered *fn, const item *it, const location *at) {
  weir_arena *arena = p->low->arena;
  rt_program *program = p->program;
  if (p->depth == RT_MAX_LOOP_DEPTH)
    return cg_unsupported(fn->function, fn->function->loc, "more than %d loops inside each other", RT_MAX_LOOP_DEPTH);
  if (!p->loop_sizes[p->depth])
    p->loop_sizes[p->depth] = cg_program_add_size(p, weir_arena_printf(arena, "loop.%d", p->depth));
  rt_loop loop = {.first = program->launch_count,
                  .trips = rt_expr_const(arena, 1),
                  .size = p->loop_sizes[p->depth],
                  .flags = it->flags >= 0 ? at[it->flags].index : -1};
  if (it->trips) {
    ir_dim dim = cg_program_dim_of(p, it->trips);
    size_kind kind = ir_dim_role(dim) == IR_ROLE_PLAIN ? SIZE_PLAIN : SIZE_ROWS_MAX;
    if (!cg_program_size(p, kind, dim, &loop.trips)) return no_rows(p, dim);
  }
  p->order = true;
  p->loop_phases[p->depth] = p->phase + 1;
  p->loops[p->depth++] = program->loop_count;
  WEIR_PUSH(arena, program->loops, program->loop_count, p->loop_capacity, loop);
  return WEIR_OK;
}

void cg_program_end_loop(builder *p) {
  rt_loop *loop = &p->program->loops[p->loops[--p->depth]];
  loop->last = p->program->launch_count - 1;
  p->order = true;
  span_loop span = {p->loop_phases[p->depth], p->phase};
  WEIR_PUSH(p->low->arena, p->spans, p->span_count, p->span_capacity, span);
}

void cg_program_extend_lives(builder *p) {
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
