// Programs by interpretation: sizes, tables of requests, buffers at their planned places, launches in order.
#include "ir/program_interp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/checked.h"

#define BAD(...) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, __VA_ARGS__)

enum { POISON = 0xff };

// Tables of one symbol or volume, as launches see them.
typedef struct {
  int32_t *starts, *requests, *positions, *past;
  int64_t rows;
} symbol_tables;

typedef struct {
  weir_arena arena;
  const rt_program *program;
  const ir_kernel *const *kernels;
  const ir_program_call *call;
  const ir_kinterpret_options *options;
  int64_t *sizes;
  symbol_tables *symbols;
  char *memory;  // of the temporaries
  int64_t memory_bytes;
} run_state;

static int64_t value_of(const rt_program *p, const int64_t *table, int64_t request, int symbol) {
  return table ? table[request * p->symbol_count + symbol] : 0;
}

// ---- sizes
static weir_status symbol_sizes(const rt_program *p, const ir_program_call *call, int symbol, int64_t *sizes) {
  const rt_symbol *s = &p->symbols[symbol];
  int64_t sum = 0, most = 0, most_all = 0;
  for (int64_t r = 0; r < call->requests; r++) {
    int64_t rows = value_of(p, call->values, r, symbol), past = value_of(p, call->past, r, symbol), all;
    if (rows < 0 || past < 0 || !weir_add_i64(rows, past, &all) || !weir_add_i64(sum, rows, &sum))
      BAD("request %" PRId64 ": %s is %" PRId64 " after %" PRId64, r, s->name, rows, past);
    if (s->role == RT_ROLE_PLAIN && rows != value_of(p, call->values, 0, symbol))
      BAD("request %" PRId64 ": %s differs from that of the first", r, s->name);
    most = rows > most ? rows : most;
    most_all = all > most_all ? all : most_all;
  }
  sizes[s->size] = s->role == RT_ROLE_PLAIN ? most : sum;
  if (s->size_max >= 0) sizes[s->size_max] = most;
  if (s->size_all_max >= 0) sizes[s->size_all_max] = most_all;
  return WEIR_OK;
}

// A request's symbols, then their rows before the call.
static const int64_t *values_of(weir_arena *arena, const rt_program *p, const ir_program_call *call, int64_t r) {
  int64_t *values = WEIR_NEW_ARRAY(arena, int64_t, 2 * p->symbol_count + 1);
  for (int i = 0; i < p->symbol_count; i++) {
    values[i] = value_of(p, call->values, r, i);
    values[p->symbol_count + i] = p->symbols[i].grows ? value_of(p, call->past, r, i) : 0;
  }
  return values;
}

static weir_status volume_sizes(const rt_program *p, const ir_program_call *call, const rt_volume *v, int64_t *sizes) {
  weir_arena arena;
  weir_arena_init(&arena);
  int64_t sum = 0, most = 0, count = 0;
  bool ok = true;
  for (int64_t r = 0; r < call->requests && ok; r++) {
    ok = rt_expr_eval(v->count, values_of(&arena, p, call, r), &count) && count >= 0 && weir_add_i64(sum, count, &sum);
    most = count > most ? count : most;
  }
  weir_arena_deinit(&arena);
  if (!ok || sum > INT32_MAX) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "volume %s is too large", v->name);
  sizes[v->size] = sum;
  sizes[v->size_max] = most;
  return WEIR_OK;
}

weir_status ir_program_sizes(const rt_program *program, const ir_program_call *call, int64_t *out_sizes) {
  if (call->requests < 1 || call->requests > INT32_MAX) BAD("%" PRId64 " requests", call->requests);
  if (program->symbol_count && !call->values) BAD("the symbols' values are missing");
  for (int i = 0; i < program->size_count; i++)
    if (!strcmp(program->sizes[i], "R")) out_sizes[i] = call->requests;
  for (int i = 0; i < program->loop_count; i++) out_sizes[program->loops[i].size] = 0;
  for (int i = 0; i < program->symbol_count; i++) WEIR_TRY(symbol_sizes(program, call, i, out_sizes));
  for (int i = 0; i < program->volume_count; i++)
    WEIR_TRY(volume_sizes(program, call, &program->volumes[i], out_sizes));
  return WEIR_OK;
}

// ---- what launches are given
static weir_status make_tables(run_state *s, int symbol) {
  const rt_program *p = s->program;
  const rt_symbol *sym = &p->symbols[symbol];
  symbol_tables *t = &s->symbols[symbol];
  if (sym->role == RT_ROLE_PLAIN) return WEIR_OK;
  int64_t requests = s->call->requests, row = 0;
  t->rows = s->sizes[sym->size];
  if (t->rows > INT32_MAX) BAD("%" PRId64 " rows of %s", t->rows, sym->name);
  t->starts = WEIR_NEW_ARRAY(&s->arena, int32_t, requests + 1);
  t->past = WEIR_NEW_ARRAY(&s->arena, int32_t, requests);
  t->requests = WEIR_NEW_ARRAY(&s->arena, int32_t, t->rows + 1);
  t->positions = WEIR_NEW_ARRAY(&s->arena, int32_t, t->rows + 1);
  for (int64_t r = 0; r < requests; r++) {
    int64_t rows = value_of(p, s->call->values, r, symbol), past = value_of(p, s->call->past, r, symbol);
    if (past + rows > INT32_MAX) BAD("%" PRId64 " rows of %s", past + rows, sym->name);
    t->starts[r] = (int32_t)row;
    t->past[r] = (int32_t)past;
    for (int64_t i = 0; i < rows; i++, row++) {
      t->requests[row] = (int32_t)r;
      t->positions[row] = (int32_t)(past + i);
    }
  }
  t->starts[requests] = (int32_t)row;
  return WEIR_OK;
}

static void make_volume_tables(run_state *s, int volume) {
  const rt_program *p = s->program;
  const rt_volume *v = &p->volumes[volume];
  symbol_tables *t = &s->symbols[p->symbol_count + volume];
  int64_t requests = s->call->requests, row = 0, count = 0;
  t->rows = s->sizes[v->size];
  t->starts = WEIR_NEW_ARRAY(&s->arena, int32_t, requests + 1);
  t->requests = WEIR_NEW_ARRAY(&s->arena, int32_t, t->rows + 1);
  for (int64_t r = 0; r < requests; r++) {
    (void)rt_expr_eval(v->count, values_of(&s->arena, p, s->call, r), &count);  // did not fail for the sizes
    t->starts[r] = (int32_t)row;
    for (int64_t i = 0; i < count; i++, row++) t->requests[row] = (int32_t)r;
  }
  t->starts[requests] = (int32_t)row;
}

static weir_status check_tensors(run_state *s, const rt_tensor *tensors, int count, const size_t *bytes) {
  for (int i = 0; i < count; i++) {
    int64_t needed;
    if (!rt_expr_eval(tensors[i].bytes, s->sizes, &needed) || needed < 0)
      BAD("extent of '%s' overflows", tensors[i].name);
    if ((uint64_t)needed != bytes[i]) BAD("'%s' has %zu bytes, not %" PRId64, tensors[i].name, bytes[i], needed);
  }
  return WEIR_OK;
}

static weir_status prepare(run_state *s) {
  const rt_program *p = s->program;
  WEIR_TRY(rt_program_verify(p));
  s->sizes = WEIR_NEW_ARRAY(&s->arena, int64_t, p->size_count + 1);
  s->symbols = WEIR_NEW_ARRAY(&s->arena, symbol_tables, p->symbol_count + p->volume_count + 1);
  WEIR_TRY(ir_program_sizes(p, s->call, s->sizes));
  for (int i = 0; i < p->symbol_count; i++) WEIR_TRY(make_tables(s, i));
  for (int i = 0; i < p->volume_count; i++) make_volume_tables(s, i);
  WEIR_TRY(check_tensors(s, p->inputs, p->input_count, s->call->input_bytes));
  WEIR_TRY(check_tensors(s, p->outputs, p->output_count, s->call->output_bytes));
  for (int i = 0; i < p->output_count; i++) memset(s->call->outputs[i], POISON, s->call->output_bytes[i]);
  if (!rt_expr_eval(p->arena_bytes, s->sizes, &s->memory_bytes) || s->memory_bytes < 0)
    BAD("the arena's extent overflows");
  s->memory = aligned_alloc(64, ((size_t)s->memory_bytes + 127) / 64 * 64);
  if (!s->memory) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "arena of %" PRId64 " bytes", s->memory_bytes);
  memset(s->memory, POISON, (size_t)s->memory_bytes);
  return WEIR_OK;
}

static weir_status bind_buffer(run_state *s, int index, void **out_arg, size_t *out_bytes) {
  const rt_buffer *b = &s->program->buffers[index];
  int64_t bytes, offset, end;
  bool fits = rt_expr_eval(b->bytes, s->sizes, &bytes) && rt_expr_eval(b->offset, s->sizes, &offset) && bytes >= 0 &&
              offset >= 0 && offset % 64 == 0 && weir_add_i64(offset, bytes, &end) && end <= s->memory_bytes;
  if (!fits) return weir_status_make(WEIR_CODE_INVALID_DATA, "buffer %d '%s' is outside of the arena", index, b->name);
  *out_arg = s->memory + offset;
  *out_bytes = (size_t)bytes;
  return WEIR_OK;
}

static weir_status bind_arg(run_state *s, rt_arg arg, void **out_arg, size_t *out_bytes) {
  const ir_program_call *c = s->call;
  const symbol_tables *t = arg.kind >= RT_ARG_STARTS ? &s->symbols[arg.index] : NULL;
  // Kernels store to what they declare as output only; inputs and weights are declared read only.
  switch (arg.kind) {
    case RT_ARG_BUFFER:
      return bind_buffer(s, arg.index, out_arg, out_bytes);
    case RT_ARG_WEIGHT:
      *out_arg = (void *)(uintptr_t)c->weights[arg.index];
      *out_bytes = (size_t)s->program->weights[arg.index].bytes;
      break;
    case RT_ARG_INPUT:
      *out_arg = (void *)(uintptr_t)c->inputs[arg.index], *out_bytes = c->input_bytes[arg.index];
      break;
    case RT_ARG_OUTPUT:
      *out_arg = c->outputs[arg.index], *out_bytes = c->output_bytes[arg.index];
      break;
    case RT_ARG_STATE:
      *out_arg = (void *)(uintptr_t)c->states[arg.index], *out_bytes = c->state_bytes[arg.index];
      break;
    case RT_ARG_STARTS:
      *out_arg = t->starts, *out_bytes = 4 * ((size_t)c->requests + 1);
      break;
    case RT_ARG_REQUESTS:
      *out_arg = t->requests, *out_bytes = 4 * (size_t)t->rows;
      break;
    case RT_ARG_POSITIONS:
      *out_arg = t->positions, *out_bytes = 4 * (size_t)t->rows;
      break;
    case RT_ARG_PAST:
      *out_arg = t->past, *out_bytes = 4 * (size_t)c->requests;
      break;
  }
  return WEIR_OK;
}

// Writable arguments are temporaries, outputs and states only.
static weir_status check_kernel(const rt_launch *l, const ir_kernel *k) {
  if (k->arg_count > l->arg_count || k->size_count != l->dim_count)
    BAD("kernel %s takes %d arguments and %d sizes, not %d and %d", k->name, k->arg_count, k->size_count, l->arg_count,
        l->dim_count);
  for (int i = 0; i < k->buffer_count; i++) {
    const ir_kbuffer *b = &k->buffers[i];
    if (b->arg < 0) continue;
    rt_arg_kind kind = l->args[b->arg].kind;
    bool table = b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_TABLE_INOUT;
    bool stored = b->kind == IR_KB_OUT || b->kind == IR_KB_INOUT || b->kind == IR_KB_TABLE_INOUT;
    if (table != (kind == RT_ARG_STATE))
      BAD("kernel %s: '%s' is %s table of states", k->name, b->name, table ? "no" : "a");
    if (stored && kind != RT_ARG_BUFFER && kind != RT_ARG_OUTPUT && kind != RT_ARG_STATE)
      BAD("kernel %s stores to '%s', which is read only", k->name, b->name);
  }
  return WEIR_OK;
}

static weir_status run_launch(run_state *s, const rt_launch *l) {
  int64_t guard, grid, dims[RT_MAX_DIMS];
  if (l->guard.op_count) {
    if (!rt_expr_eval(l->guard, s->sizes, &guard)) BAD("the guard overflows");
    if (guard < l->guard_lo || guard >= l->guard_hi) return WEIR_OK;
  }
  if (!rt_expr_eval(l->grid, s->sizes, &grid)) BAD("the grid overflows");
  void *args[RT_MAX_ARGS];
  size_t bytes[RT_MAX_ARGS];
  for (int i = 0; i < l->arg_count; i++) WEIR_TRY(bind_arg(s, l->args[i], &args[i], &bytes[i]));
  for (int i = 0; i < l->dim_count; i++)
    if (!rt_expr_eval(l->dims[i], s->sizes, &dims[i])) BAD("dim %d overflows", i);
  const ir_kernel *kernel = s->kernels[l->kernel];
  WEIR_TRY(check_kernel(l, kernel));
  if (s->call->launch) return s->call->launch(s->call->user, kernel, args, bytes, dims, grid);
  return ir_kernel_interpret_options(kernel, args, bytes, dims, 0, grid, s->options);
}

static weir_status run_range(run_state *s, int first, int last, int loop);

static weir_status any_flag(run_state *s, const rt_loop *loop, bool *out) {
  void *flags;
  size_t bytes;
  *out = loop->flags < 0;
  if (*out) return WEIR_OK;
  WEIR_TRY(bind_buffer(s, loop->flags, &flags, &bytes));
  if (bytes < (size_t)s->call->requests) BAD("flags of %zu bytes", bytes);
  for (int64_t r = 0; r < s->call->requests && !*out; r++) {
    unsigned char flag = ((unsigned char *)flags)[r];
    if (flag > 1) BAD("flag %" PRId64 " is neither true nor false", r);
    *out = flag;
  }
  return WEIR_OK;
}

static weir_status run_loop(run_state *s, int index) {
  const rt_loop *loop = &s->program->loops[index];
  int64_t trips;
  bool goes;
  if (!rt_expr_eval(loop->trips, s->sizes, &trips) || trips > INT32_MAX) BAD("trips of loop %d overflow", index);
  for (int64_t t = 0; t < trips; t++) {
    s->sizes[loop->size] = t;
    WEIR_TRY(any_flag(s, loop, &goes));
    if (!goes) break;
    WEIR_TRY_CTX(run_range(s, loop->first, loop->last, index + 1), "iteration %" PRId64, t);
  }
  s->sizes[loop->size] = 0;
  return WEIR_OK;
}

// Launches |first|..|last|; the loops among them are those from |loop| on.
static weir_status run_range(run_state *s, int first, int last, int loop) {
  const rt_program *p = s->program;
  for (int i = first; i <= last;) {
    while (loop < p->loop_count && p->loops[loop].first < i) loop++;
    if (loop < p->loop_count && p->loops[loop].first == i) {
      WEIR_TRY(run_loop(s, loop));
      i = p->loops[loop].last + 1;
    } else {
      const rt_launch *l = &p->launches[i];
      WEIR_TRY_CTX(run_launch(s, l), "launch %d%s%s", i, l->note && *l->note ? " " : "", l->note ? l->note : "");
      i++;
    }
  }
  return WEIR_OK;
}

static weir_status run(run_state *s) {
  WEIR_TRY(prepare(s));
  return run_range(s, 0, s->program->launch_count - 1, 0);
}

weir_status ir_program_interpret(const rt_program *program, const ir_kernel *const *kernels,
                                 const ir_program_call *call, const ir_kinterpret_options *options) {
  const ir_kinterpret_options plain = {0};
  run_state s = {.program = program, .kernels = kernels, .call = call, .options = options ? options : &plain};
  weir_arena_init(&s.arena);
  weir_status status = run(&s);
  free(s.memory);
  weir_arena_deinit(&s.arena);
  return status;
}
