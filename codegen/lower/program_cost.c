// What an item of a launch costs, over the program's sizes: how the runtime weighs launches against each other when it
// shares them out, and what a second thread is worth.
//
// An estimate, made by walking the kernel once: float operations and bytes of arguments, times the iterations of the
// ranges around them. The item is the first one. A range counts as ROWS_GUESS iterations if only a table knows its end,
// or a long formula; both sides of a condition count; what is read again in another iteration counts again, but not for
// each lane. Tiles are counted in steps of one: exact for a single row, too much for many, which all launches have in
// common then.
#include <string.h>

#include "codegen/lower/program.h"

enum { ROWS_GUESS = 64, MAX_OPS = 12, MAX_VISITS = 100000, SEEN = 4096 };

// A constant, and a term over sizes (op_count 0: none). Bytes are counted in sixteenths.
typedef struct {
  int64_t fixed;
  rt_expr term;
} sum;

typedef struct {
  weir_arena *arena;
  const ir_kernel *kernel;
  const rt_expr *dims;
  rt_expr *values;      // of integer variables, by id; op_count 0: unknown
  const ir_kvar *lane;  // of the innermost `lanes` range
  int visits;
  // Expressions counted in the block of this number: an equal one is the same node, and computed once.
  const ir_kexpr *seen[SEEN];
  int seen_in[SEEN], block, blocks;
} counter;

typedef struct {
  sum flops, bytes;
} cost;

static bool is_fixed(rt_expr e) { return e.op_count == 1 && e.ops[0].code == RT_SIZE_CONST; }

static bool is_zero(rt_expr e) { return is_fixed(e) && !e.ops[0].value; }

static bool size_code_of(ir_kop op, rt_size_code *out) {
  switch (op) {
    case IR_K_add:
      return *out = RT_SIZE_ADD, true;
    case IR_K_sub:
      return *out = RT_SIZE_SUB, true;
    case IR_K_mul:
      return *out = RT_SIZE_MUL, true;
    case IR_K_div:
      return *out = RT_SIZE_DIV, true;
    case IR_K_mod:
      return *out = RT_SIZE_MOD, true;
    case IR_K_min:
      return *out = RT_SIZE_MIN, true;
    case IR_K_max:
      return *out = RT_SIZE_MAX, true;
    default:
      return false;
  }
}

// The integer |e| over the program's sizes; op_count 0: unknown, or too long to be worth it.
static rt_expr value_of(counter *c, const ir_kexpr *e) {
  rt_size_code code;
  if (c->visits++ > MAX_VISITS || ir_ktype_is_float(e->type)) return (rt_expr){0};
  if (e->op == IR_K_const) return rt_expr_const(c->arena, e->i);
  if (e->op == IR_K_size) return c->dims[e->index];
  if (e->op == IR_K_var) return e->arg_count ? (rt_expr){0} : c->values[e->var->id];
  if (!size_code_of(e->op, &code)) return (rt_expr){0};
  rt_expr a = value_of(c, e->args[0]), b = value_of(c, e->args[1]);
  if (!a.op_count || !b.op_count || a.op_count + b.op_count >= MAX_OPS) return (rt_expr){0};
  if (is_zero(a) && code >= RT_SIZE_MUL && code <= RT_SIZE_MOD) return a;
  if (is_zero(b) && code == RT_SIZE_MUL) return b;
  return rt_expr_binary(c->arena, code, a, b);
}

static int flops_of(const ir_kexpr *e) {
  switch (e->op) {
    case IR_K_const:
    case IR_K_size:
    case IR_K_var:
    case IR_K_load:
    case IR_K_bitcast:
      return 0;
    case IR_K_dot4:
    case IR_K_dot4_7:
      return 8;
    case IR_K_dot2:
      return 4;
    case IR_K_fma:
      return 2;
    case IR_K_exp:
    case IR_K_log:
    case IR_K_sin:
    case IR_K_cos:
    case IR_K_tanh:
    case IR_K_erf:
    case IR_K_pow:
      return 10;
    default:
      return ir_ktype_is_float(e->type);
  }
}

static bool uses(counter *c, const ir_kexpr *e, const ir_kvar *var) {
  if (c->visits++ > MAX_VISITS) return true;
  if (e->op == IR_K_var && (e->var == var || e->var->kind != IR_KVAR_RANGE)) return true;
  for (int i = 0; i < e->arg_count; i++)
    if (uses(c, e->args[i], var)) return true;
  return false;
}

// A value that all lanes read is read once.
static void count_access(counter *c, int buffer, ir_ktype type, const ir_kexpr *index, cost *out) {
  if (c->kernel->buffers[buffer].arg < 0) return;
  bool apart = !c->lane || uses(c, index, c->lane);
  out->bytes.fixed += apart ? ir_ktype_bytes(type) * IR_LANES : ir_ktype_bytes(type);
}

static bool was_seen(counter *c, const ir_kexpr *e) {
  unsigned place = (unsigned)((uintptr_t)e / 16 * 2654435761U) % SEEN;
  if (c->seen[place] == e && c->seen_in[place] == c->block) return true;
  c->seen[place] = e;
  c->seen_in[place] = c->block;
  return false;
}

static void count_expr(counter *c, const ir_kexpr *e, cost *out) {
  if (!e || c->visits++ > MAX_VISITS || was_seen(c, e)) return;
  out->flops.fixed += flops_of(e);
  if (e->op == IR_K_load) count_access(c, e->index, e->type, e->args[0], out);
  for (int i = 0; i < e->arg_count; i++) count_expr(c, e->args[i], out);
}

static rt_expr sum_expr(const counter *c, const sum *s) {
  rt_expr fixed = rt_expr_const(c->arena, s->fixed);
  return s->term.op_count ? rt_expr_binary(c->arena, RT_SIZE_ADD, s->term, fixed) : fixed;
}

// |out| += |body| * |times|.
static void add_times(const counter *c, const sum *body, rt_expr times, sum *out) {
  if (!body->fixed && !body->term.op_count) return;
  int64_t product, fixed;
  if (is_fixed(times) && !body->term.op_count && !__builtin_mul_overflow(body->fixed, times.ops[0].value, &product) &&
      !__builtin_add_overflow(out->fixed, product, &fixed)) {
    out->fixed = fixed;
    return;
  }
  rt_expr term = rt_expr_binary(c->arena, RT_SIZE_MUL, sum_expr(c, body), times);
  if (out->term.op_count + term.op_count > 4 * MAX_OPS) return;
  out->term = out->term.op_count ? rt_expr_binary(c->arena, RT_SIZE_ADD, out->term, term) : term;
}

// Iterations of a range; those of one below zero count against the others, which does not matter here.
static rt_expr trips_of(counter *c, const ir_kstmt *s) {
  rt_expr lo = value_of(c, s->lo), hi = value_of(c, s->hi);
  rt_expr guess = rt_expr_const(c->arena, ROWS_GUESS);
  if (!lo.op_count || !hi.op_count) return guess;
  rt_expr length = rt_expr_binary(c->arena, RT_SIZE_SUB, hi, lo);
  if (s->range != IR_KR_SERIAL || s->step <= 1) return length.op_count > MAX_OPS ? guess : length;
  length = rt_expr_binary(c->arena, RT_SIZE_ADD, length, rt_expr_const(c->arena, s->step - 1));
  return rt_expr_binary(c->arena, RT_SIZE_DIV, length, rt_expr_const(c->arena, s->step));
}

static void count_list(counter *c, const ir_kstmt *s, cost *out);

static void count_range(counter *c, const ir_kstmt *s, cost *out) {
  rt_expr trips = trips_of(c, s);
  cost body = {0};
  const ir_kvar *lane = c->lane;
  int block = c->block;
  c->values[s->var->id] = value_of(c, s->lo);
  if (s->tile_var) c->values[s->tile_var->id] = rt_expr_const(c->arena, 1);
  if (s->range == IR_KR_LANES) c->lane = s->var;
  c->block = ++c->blocks;
  count_list(c, s->body, &body);
  c->lane = lane;
  c->block = block;
  add_times(c, &body.flops, trips, &out->flops);
  add_times(c, &body.bytes, trips, &out->bytes);
}

static void count_list(counter *c, const ir_kstmt *s, cost *out) {
  for (; s && c->visits <= MAX_VISITS; s = s->next) {
    if (s->kind == IR_KS_FOR) {
      count_range(c, s, out);
      continue;
    }
    count_expr(c, s->expr, out);
    for (int i = 0; i < s->index_count; i++) count_expr(c, s->indices[i], out);
    if (s->kind == IR_KS_LET) c->values[s->var->id] = value_of(c, s->expr);
    if (s->kind == IR_KS_STORE) count_access(c, s->buffer, s->type, s->indices[0], out);
    if (s->kind == IR_KS_REDUCE) out->flops.fixed++;
    // Where there is a matrix unit, the other way stands for both: what is weighed is the same.
    if (!s->expr || s->expr->op != IR_K_matrix_unit) count_list(c, s->body, out);
    count_list(c, s->body2, out);
  }
}

static rt_expr keep(weir_arena *arena, rt_expr e) {
  rt_size_op *ops = WEIR_NEW_ARRAY(arena, rt_size_op, e.op_count);
  memcpy(ops, e.ops, sizeof *ops * (size_t)e.op_count);
  return (rt_expr){e.op_count, ops};
}

void cg_program_cost(builder *p, const ir_kernel *kernel, rt_launch *launch) {
  weir_arena scratch;
  weir_arena_init(&scratch);
  counter c = {.arena = &scratch, .kernel = kernel, .dims = launch->dims};
  cost total = {0};
  c.values = WEIR_NEW_ARRAY(&scratch, rt_expr, kernel->var_count + 1);
  if (kernel->grid_var) c.values[kernel->grid_var->id] = rt_expr_const(&scratch, 0);
  count_list(&c, kernel->body, &total);
  launch->flops_per_item = keep(p->low->arena, sum_expr(&c, &total.flops));
  rt_expr bytes = rt_expr_binary(&scratch, RT_SIZE_DIV, sum_expr(&c, &total.bytes), rt_expr_const(&scratch, IR_LANES));
  launch->bytes_per_item = keep(p->low->arena, bytes);
  weir_arena_deinit(&scratch);
}
