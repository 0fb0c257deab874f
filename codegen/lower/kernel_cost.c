// The abstract run. Sums are a constant and a term over sizes, one for each kind of operation and each buffer, so that
// a range multiplies what its body cost.
//
// Nodes are interned: one met again in the same list is the same value, which is computed once.
#include "codegen/lower/kernel_cost.h"

#include <string.h>

#include "ir/kernel_block.h"

enum { ROWS_GUESS = 64, MAX_OPS = 12, MAX_VISITS = 100000, SEEN = 4096 };

// What a float comes from.
enum { FROM_WEIGHTS = 1, FROM_DATA = 2 };

// op_count 0: no term. Bytes are counted in sixteenths.
typedef struct {
  int64_t fixed;
  rt_expr term;
} sum;

typedef struct {
  const ir_kexpr *node;
  int block;
  unsigned origin;
} seen_node;

typedef struct {
  weir_arena *arena;
  const ir_kernel *kernel;
  const rt_expr *sizes;
  const cg_cost_facts *facts;
  int sum_count;        // CG_COST_COUNT, then one for each buffer
  rt_expr *values;      // of integer variables, by id; op_count 0: unknown
  unsigned *origins;    // of variables, by id: FROM_ bits
  unsigned *stored;     // likewise of what is in a buffer
  const ir_kvar *lane;  // of the innermost `lanes` range
  int visits;
  int block, blocks;  // number of the list at hand, and the last one given
  seen_node seen[SEEN];
} counter;

// ---- numbers

static bool is_fixed(rt_expr e) { return e.op_count == 1 && e.ops[0].code == RT_SIZE_CONST; }

static bool is_zero(rt_expr e) { return is_fixed(e) && !e.ops[0].value; }

static rt_expr known(const counter *c, int64_t value) { return rt_expr_const(c->arena, value); }

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

static rt_expr value_of(counter *c, const ir_kexpr *e);

static rt_expr value_of_load(counter *c, const ir_kexpr *e) {
  const ir_kbuffer *buffer = &c->kernel->buffers[e->index];
  rt_expr index = value_of(c, e->args[0]);
  if (!c->facts || !is_fixed(index)) return (rt_expr){0};
  int64_t at = index.ops[0].value;
  if (buffer->kind == IR_KB_CONST) return known(c, at >= 0 && at < buffer->count ? (int64_t)buffer->data[at] : 0);
  return buffer->arg < 0 ? (rt_expr){0} : known(c, c->facts->element(c->facts->user, buffer->arg, at));
}

// What only constants have a value for.
static rt_expr value_of_constants(counter *c, const ir_kexpr *e, rt_expr a, rt_expr b) {
  int64_t value;
  if (!c->facts || !is_fixed(a) || (e->arg_count > 1 && !is_fixed(b))) return (rt_expr){0};
  if (e->op == IR_K_cast || e->op == IR_K_bitcast) return a;
  if (!ir_k_int_op(e->op, e->args[0]->type, a.ops[0].value, e->arg_count > 1 ? b.ops[0].value : 0, &value))
    return (rt_expr){0};
  return known(c, value);
}

static rt_expr value_of_op(counter *c, const ir_kexpr *e) {
  rt_size_code code;
  if (e->arg_count < 1 || e->arg_count > 2) return (rt_expr){0};
  rt_expr a = value_of(c, e->args[0]), b = e->arg_count > 1 ? value_of(c, e->args[1]) : (rt_expr){0};
  if (!size_code_of(e->op, &code)) return value_of_constants(c, e, a, b);
  if (!a.op_count || !b.op_count || a.op_count + b.op_count >= MAX_OPS) return (rt_expr){0};
  if (is_zero(a) && code >= RT_SIZE_MUL && code <= RT_SIZE_MOD) return a;
  if (is_zero(b) && code >= RT_SIZE_MUL && code <= RT_SIZE_MOD) return b;  // division by zero gives 0
  return rt_expr_binary(c->arena, code, a, b);
}

// The integer |e|; op_count 0: unknown, or too long to be worth it.
static rt_expr value_of(counter *c, const ir_kexpr *e) {
  if (c->visits++ > MAX_VISITS || ir_ktype_is_float(e->type)) return (rt_expr){0};
  switch (e->op) {
    case IR_K_const:
      return known(c, e->i);
    case IR_K_size:
      return c->sizes[e->index];
    case IR_K_var:
      return e->arg_count ? (rt_expr){0} : c->values[e->var->id];
    case IR_K_load:
      return value_of_load(c, e);
    case IR_K_select: {
      rt_expr condition = c->facts ? value_of(c, e->args[0]) : (rt_expr){0};
      return is_fixed(condition) ? value_of(c, e->args[is_zero(condition) ? 2 : 1]) : (rt_expr){0};
    }
    default:
      return value_of_op(c, e);
  }
}

static rt_expr value_or_guess(counter *c, const ir_kexpr *e) {
  rt_expr value = value_of(c, e);
  return value.op_count && value.op_count <= MAX_OPS ? value : known(c, ROWS_GUESS);
}

// ---- sums

static rt_expr sum_expr(const counter *c, const sum *s) {
  rt_expr fixed = known(c, s->fixed);
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

static void add_all_times(const counter *c, const sum *body, rt_expr times, sum *out) {
  for (int i = 0; i < c->sum_count; i++) add_times(c, &body[i], times, &out[i]);
}

// Without facts all operations are one sum, all bytes another.
static sum *ops_sum(const counter *c, sum *out, cg_cost_kind kind) { return &out[c->facts ? kind : CG_COST_FLOPS]; }

static sum *bytes_sum(const counter *c, sum *out, int buffer) { return &out[CG_COST_COUNT + (c->facts ? buffer : 0)]; }

static void add_ops(const counter *c, cg_cost_kind kind, int64_t count, sum *out) {
  ops_sum(c, out, kind)->fixed += count;
}

static bool is_argument(const counter *c, int buffer) { return c->kernel->buffers[buffer].arg >= 0; }

static void add_bytes(const counter *c, int buffer, int64_t bytes, sum *out) {
  if (is_argument(c, buffer)) bytes_sum(c, out, buffer)->fixed += bytes * IR_LANES;
}

// ---- expressions

// Float operations of |e|; below 0: it is of another kind, or none.
static int flops_of(ir_kop op) {
  switch (op) {
    case IR_K_fma:
      return 2;
    case IR_K_fma2:
    case IR_K_fma2_f16:
      return 4;
    case IR_K_exp:
    case IR_K_exp2:
    case IR_K_log:
    case IR_K_sin:
    case IR_K_cos:
    case IR_K_tanh:
    case IR_K_erf:
    case IR_K_pow:
      return 10;
    case IR_K_add:
    case IR_K_sub:
    case IR_K_mul:
    case IR_K_div:
    case IR_K_mod:
    case IR_K_min:
    case IR_K_max:
    case IR_K_neg:
    case IR_K_abs:
    case IR_K_sqrt:
    case IR_K_rsqrt:
    case IR_K_floor:
    case IR_K_ceil:
    case IR_K_round:
      return 1;
    default:
      return -1;
  }
}

static void count_op(const counter *c, const ir_kexpr *e, unsigned origin, sum *out) {
  cg_cost_kind kind = origin == FROM_WEIGHTS ? CG_COST_DECODE : CG_COST_FLOPS;
  switch (e->op) {
    case IR_K_const:
    case IR_K_size:
    case IR_K_var:
    case IR_K_load:
    case IR_K_bitcast:
      return;
    case IR_K_dot4:
    case IR_K_dot4_7:
      add_ops(c, CG_COST_INT8, 8, out);
      return;
    case IR_K_dot2:
      add_ops(c, CG_COST_BF16, 4, out);
      return;
    case IR_K_fma2:
    case IR_K_fma2_f16:
      add_ops(c, kind, flops_of(e->op), out);
      return;
    default:
      break;
  }
  if (!ir_ktype_is_float(e->type)) return;
  int flops = flops_of(e->op);
  add_ops(c, flops < 0 ? CG_COST_OTHER : kind, flops < 0 ? 1 : flops, out);
}

static bool uses(counter *c, const ir_kexpr *e, const ir_kvar *var) {
  if (c->visits++ > MAX_VISITS) return true;
  if (e->op == IR_K_var && (e->var == var || e->var->kind != IR_KVAR_RANGE)) return true;
  for (int i = 0; i < e->arg_count; i++)
    if (uses(c, e->args[i], var)) return true;
  return false;
}

// A value that all lanes read is read once.
static void count_access(counter *c, int buffer, ir_ktype type, const ir_kexpr *index, sum *out) {
  if (!is_argument(c, buffer)) return;
  bool apart = !c->lane || uses(c, index, c->lane);
  bytes_sum(c, out, buffer)->fixed += apart ? ir_ktype_bytes(type) * IR_LANES : ir_ktype_bytes(type);
}

static seen_node *place_of(counter *c, const ir_kexpr *e) {
  return &c->seen[(unsigned)((uintptr_t)e / 16 * 2654435761U) % SEEN];
}

// Gives what |e| comes from.
static unsigned count_expr(counter *c, const ir_kexpr *e, sum *out) {
  if (!e || c->visits++ > MAX_VISITS) return 0;
  seen_node *place = place_of(c, e);
  unsigned origin = 0;
  if (place->node == e && place->block == c->block) return place->origin;
  for (int i = 0; i < e->arg_count; i++) origin |= count_expr(c, e->args[i], out);
  if (e->op == IR_K_var) origin |= c->origins[e->var->id];
  if (e->op == IR_K_load) {
    count_access(c, e->index, e->type, e->args[0], out);
    origin = c->stored[e->index];  // not of the index
  }
  count_op(c, e, origin, out);
  *place = (seen_node){e, c->block, origin};
  return origin;
}

// ---- statements

static void count_list(counter *c, const ir_kstmt *s, sum *out);

static rt_expr trips_of(counter *c, const ir_kstmt *s) {
  rt_expr lo = value_of(c, s->lo), hi = value_of(c, s->hi), guess = known(c, ROWS_GUESS);
  if (!lo.op_count || !hi.op_count) return guess;
  rt_expr length = rt_expr_binary(c->arena, RT_SIZE_SUB, hi, lo);
  if (is_fixed(length) && length.ops[0].value < 0) return known(c, 0);
  if (s->range != IR_KR_SERIAL || s->step <= 1) return length.op_count > MAX_OPS ? guess : length;
  length = rt_expr_binary(c->arena, RT_SIZE_ADD, length, known(c, s->step - 1));
  return rt_expr_binary(c->arena, RT_SIZE_DIV, length, known(c, s->step));
}

// |tile|: of `tiles` ranges.
static void count_body(counter *c, const ir_kstmt *s, rt_expr first, int tile, rt_expr trips, sum *out) {
  if (is_zero(trips)) return;
  sum *body = WEIR_NEW_ARRAY(c->arena, sum, c->sum_count);
  const ir_kvar *lane = c->lane;
  int block = c->block;
  c->values[s->var->id] = first;
  if (s->tile_var) c->values[s->tile_var->id] = known(c, tile);
  if (s->range == IR_KR_LANES) c->lane = s->var;
  c->block = ++c->blocks;
  count_list(c, s->body, body);
  c->lane = lane;
  c->block = block;
  add_all_times(c, body, trips, out);
}

static void count_for(counter *c, const ir_kstmt *s, sum *out) {
  rt_expr lo = value_of(c, s->lo), hi = value_of(c, s->hi);
  if (s->range != IR_KR_TILES || !c->facts || !is_fixed(lo) || !is_fixed(hi)) {
    count_body(c, s, lo, 1, trips_of(c, s), out);
    return;
  }
  int64_t at = lo.ops[0].value, end = hi.ops[0].value;
  for (int i = 0; i < s->tile_count && at < end; i++) {
    int64_t tiles = (end - at) / s->tiles[i];
    count_body(c, s, known(c, at), s->tiles[i], known(c, tiles), out);
    at += tiles * s->tiles[i];
  }
}

// Where there is a matrix unit, the other way stands for both: what is weighed is the same.
static void count_if(counter *c, const ir_kstmt *s, sum *out) {
  bool unit = s->expr->op == IR_K_matrix_unit;
  rt_expr condition = c->facts ? value_of(c, s->expr) : (rt_expr){0};
  count_expr(c, s->expr, out);
  if (!unit && !is_zero(condition)) count_list(c, s->body, out);
  if (unit || !is_fixed(condition) || is_zero(condition)) count_list(c, s->body2, out);
}

static void count_matdot(counter *c, const ir_kstmt *s, sum *out) {
  const ir_kmatdot *d = s->matdot;
  rt_expr rows = value_or_guess(c, d->at[IR_KM_ROWS]), words = value_or_guess(c, d->at[IR_KM_WORDS]);
  rt_expr products = rt_expr_binary(c->arena, RT_SIZE_MUL, rows, words);
  int64_t columns = (int64_t)d->panels * IR_LANES, word = 4 * IR_LANES;
  bool bytes = s->type == IR_KT_i32;
  sum one = {.fixed = (bytes ? 8 : 4) * columns};
  add_times(c, &one, products, ops_sum(c, out, bytes ? CG_COST_INT8 : CG_COST_BF16));
  const sum a = {.fixed = word}, b = {.fixed = word * columns};
  if (is_argument(c, d->a)) add_times(c, &a, products, bytes_sum(c, out, d->a));
  if (is_argument(c, d->b)) add_times(c, &b, words, bytes_sum(c, out, d->b));
  if (is_argument(c, d->c)) add_times(c, &b, rows, bytes_sum(c, out, d->c));
  c->stored[d->c] |= c->stored[d->a] | c->stored[d->b];
}

// The products of a whole warp or warpgroup, shared out to its threads.
static void count_product(const counter *c, const ir_kblock *b, sum *out) {
  int k = ir_kmma_k(b->kind);
  int64_t flops = b->op == IR_KO_MMA ? 2LL * 16 * 8 * k / IR_WARP : 2LL * 64 * b->number * k / (4 * IR_WARP);
  switch (b->kind) {
    case IR_KMMA_bf16:
    case IR_KMMA_f16:
      add_ops(c, CG_COST_BF16, flops, out);
      break;
    case IR_KMMA_s8:
    case IR_KMMA_e4m3:
      add_ops(c, CG_COST_INT8, flops, out);
      break;
    case IR_KMMA_tf32:
    case IR_KMMA_COUNT:
      add_ops(c, CG_COST_FLOPS, flops, out);
      break;
  }
}

// What one thread moves for all. Without facts every thread seems to, and has its share.
static rt_expr share_of_block(const counter *c, rt_expr bytes) {
  return c->facts ? bytes : rt_expr_binary(c->arena, RT_SIZE_DIV, bytes, known(c, c->kernel->threads));
}

static void add_moved(const counter *c, int buffer, rt_expr bytes, sum *out) {
  const sum one = {.fixed = IR_LANES};
  if (is_argument(c, buffer)) add_times(c, &one, bytes, bytes_sum(c, out, buffer));
}

static void count_map(const counter *c, const ir_kblock *b, sum *out) {
  const ir_kmap *map = &c->kernel->maps[b->map];
  int64_t bytes = ir_ktype_bytes(map->type);
  for (int i = 0; i < map->rank; i++) bytes *= map->box[i];
  add_moved(c, map->buffer, share_of_block(c, known(c, bytes)), out);
}

static void count_copy(const counter *c, const ir_kblock *b, rt_expr bytes, sum *out) {
  add_moved(c, b->to.buffer, bytes, out);
  add_moved(c, b->from.buffer, bytes, out);
  c->stored[b->to.buffer] |= c->stored[b->from.buffer];
}

static void count_block_op(counter *c, const ir_kblock *b, sum *out) {
  const ir_kexpr *exprs[IR_KBLOCK_MAX_EXPRS];
  int count = ir_kblock_exprs(b, exprs);
  for (int i = 0; i < count; i++) count_expr(c, exprs[i], out);
  if (b->c.var) c->origins[b->c.var->id] |= b->op == IR_KO_READ ? c->stored[b->from.buffer] : FROM_DATA;
  switch (b->op) {
    case IR_KO_ASYNC:
      if (!b->condition || !is_zero(value_of(c, b->condition))) count_copy(c, b, known(c, b->number), out);
      break;
    case IR_KO_BULK:
      count_copy(c, b, share_of_block(c, value_or_guess(c, b->value)), out);
      break;
    case IR_KO_READ:
      add_bytes(c, b->from.buffer, (int64_t)b->number * ir_ktype_bytes(b->from.type), out);
      break;
    case IR_KO_WRITE:
      add_bytes(c, b->to.buffer, (int64_t)b->number * ir_ktype_bytes(b->to.type), out);
      break;
    case IR_KO_ATOMIC:
      add_bytes(c, b->to.buffer, 2LL * ir_ktype_bytes(b->to.type), out);
      add_ops(c, CG_COST_OTHER, 1, out);
      break;
    case IR_KO_MMA:
    case IR_KO_WGMMA:
      count_product(c, b, out);
      break;
    case IR_KO_TMA:
    case IR_KO_TMA_STORE:
      count_map(c, b, out);
      break;
    default:
      break;  // shared memory, registers and waiting
  }
}

static void count_statement(counter *c, const ir_kstmt *s, sum *out) {
  unsigned origin = count_expr(c, s->expr, out);
  for (int i = 0; i < s->index_count; i++) count_expr(c, s->indices[i], out);
  if (s->kind == IR_KS_STORE) {
    count_access(c, s->buffer, s->type, s->indices[0], out);
    c->stored[s->buffer] |= origin;
    return;
  }
  if (!s->var) return;
  c->origins[s->var->id] |= origin;
  if (s->kind == IR_KS_REDUCE) add_ops(c, ir_ktype_is_float(s->var->type) ? CG_COST_FLOPS : CG_COST_OTHER, 1, out);
  else if (s->kind == IR_KS_LET || (c->facts && !s->var->rank)) c->values[s->var->id] = value_of(c, s->expr);
}

// What the last of those that arrive does behind |s| is shared out among all of them.
static void count_arrival(counter *c, const ir_kstmt *s, sum *out) {
  rt_expr all = value_or_guess(c, s->expr);
  sum *body = WEIR_NEW_ARRAY(c->arena, sum, c->sum_count);
  int block = c->block;
  c->block = ++c->blocks;
  count_list(c, s->next->body, body);
  c->block = block;
  for (int i = 0; i < c->sum_count; i++) {
    if (!body[i].fixed && !body[i].term.op_count) continue;
    rt_expr share = rt_expr_binary(c->arena, RT_SIZE_DIV, sum_expr(c, &body[i]), all);
    const sum one = {.fixed = 1};
    add_times(c, &one, share, &out[i]);
  }
}

static void count_list(counter *c, const ir_kstmt *s, sum *out) {
  for (; s && c->visits <= MAX_VISITS; s = s->next) {
    switch (s->kind) {
      case IR_KS_FOR:
        count_for(c, s, out);
        break;
      case IR_KS_IF:
        count_if(c, s, out);
        break;
      case IR_KS_MATDOT:
        count_matdot(c, s, out);
        break;
      case IR_KS_BLOCK:
        count_block_op(c, s->block, out);
        break;
      case IR_KS_LET:
      case IR_KS_REG:
      case IR_KS_SET:
      case IR_KS_REDUCE:
      case IR_KS_STORE:
        count_statement(c, s, out);
        break;
      case IR_KS_ARRIVE:
        c->values[s->var->id] = (rt_expr){0};
        if (!s->next || s->next->kind != IR_KS_IF) break;
        count_arrival(c, s, out);
        s = s->next;
        break;
      case IR_KS_PREFETCH:
      case IR_KS_COMMENT:
        break;
    }
  }
}

// ---- items

// Weights are weights; every other argument has data in it. Scratch has what is stored there.
static void mark_buffers(counter *c) {
  for (int i = 0; i < c->kernel->buffer_count; i++) {
    int arg = c->kernel->buffers[i].arg;
    if (arg >= 0) c->stored[i] = c->facts && c->facts->is_weight(c->facts->user, arg) ? FROM_WEIGHTS : FROM_DATA;
  }
}

static void count_thread(counter *c, int thread, int64_t alike, sum *out) {
  sum *one = WEIR_NEW_ARRAY(c->arena, sum, c->sum_count);
  c->visits = 0;
  c->block = ++c->blocks;
  if (c->kernel->thread_var) c->values[c->kernel->thread_var->id] = known(c, thread);
  count_list(c, c->kernel->body, one);
  add_all_times(c, one, known(c, alike), out);
}

// Of block kernels the first thread of a warp may do what the others do not, and a warp what others do not. Without
// facts one thread stands for all.
static void count_item(counter *c, sum *out) {
  int threads = c->kernel->threads;
  mark_buffers(c);
  if (!c->facts || !threads) count_thread(c, 0, threads ? threads : 1, out);
  for (int i = 0; c->facts && i < threads; i += IR_WARP) {
    count_thread(c, i, 1, out);
    count_thread(c, i + 1, IR_WARP - 1, out);
  }
}

static rt_expr keep(weir_arena *arena, rt_expr e) {
  rt_size_op *ops = WEIR_NEW_ARRAY(arena, rt_size_op, e.op_count);
  memcpy(ops, e.ops, sizeof *ops * (size_t)e.op_count);
  return (rt_expr){e.op_count, ops};
}

void cg_kernel_cost(weir_arena *arena, const ir_kernel *kernel, const rt_expr *sizes, int64_t item,
                    const cg_cost_facts *facts, cg_cost *out) {
  weir_arena scratch;
  weir_arena_init(&scratch);
  counter *c = WEIR_NEW(&scratch, counter);
  int buffers = kernel->buffer_count ? kernel->buffer_count : 1;
  *c = (counter){.arena = &scratch, .kernel = kernel, .sizes = sizes, .facts = facts};
  c->sum_count = CG_COST_COUNT + buffers;
  c->values = WEIR_NEW_ARRAY(&scratch, rt_expr, kernel->var_count + 1);
  c->origins = WEIR_NEW_ARRAY(&scratch, unsigned, kernel->var_count + 1);
  c->stored = WEIR_NEW_ARRAY(&scratch, unsigned, buffers);
  sum *sums = WEIR_NEW_ARRAY(&scratch, sum, c->sum_count);
  if (kernel->grid_var) c->values[kernel->grid_var->id] = known(c, item);
  count_item(c, sums);
  out->bytes = WEIR_NEW_ARRAY(arena, rt_expr, buffers);
  for (int i = 0; i < CG_COST_COUNT; i++) out->ops[i] = keep(arena, sum_expr(c, &sums[i]));
  for (int i = 0; i < buffers; i++) {
    rt_expr sixteenths = sum_expr(c, &sums[CG_COST_COUNT + i]);
    out->bytes[i] = keep(arena, rt_expr_binary(&scratch, RT_SIZE_DIV, sixteenths, known(c, IR_LANES)));
  }
  weir_arena_deinit(&scratch);
}
