// An abstract run of a kernel: integers are computed, floats are only counted.
#include "compiler/driver/kernel_cost.h"

#include <stdlib.h>

enum { SAMPLES = 8 };

// What a float comes from.
enum { FROM_WEIGHTS = 1, FROM_DATA = 2 };

typedef struct {
  const ir_kernel *kernel;
  const cli_kernel_launch *launch;
  int64_t *values;    // of integer variables, by id
  unsigned *origins;  // of variables, by id: FROM_ bits
  unsigned *stored;   // likewise of what is in a buffer
  double *touched;    // bytes loaded and stored, by buffer
  cli_work work;
  double times;  // how often the statement at hand runs
} counter;

static int64_t floor_div(int64_t a, int64_t b) {
  if (!b) return 0;
  int64_t q = a / b;
  return q - (a % b && (a < 0) != (b < 0));
}

static int64_t value_of(counter *c, const ir_kexpr *e);

static int64_t binary(ir_kop op, int64_t a, int64_t b) {
  switch (op) {
    case IR_K_add:
      return (int64_t)((uint64_t)a + (uint64_t)b);
    case IR_K_sub:
      return (int64_t)((uint64_t)a - (uint64_t)b);
    case IR_K_mul:
      return (int64_t)((uint64_t)a * (uint64_t)b);
    case IR_K_div:
      return floor_div(a, b);
    case IR_K_mod:
      return (int64_t)((uint64_t)a - (uint64_t)b * (uint64_t)floor_div(a, b));
    case IR_K_min:
      return a < b ? a : b;
    case IR_K_max:
      return a > b ? a : b;
    case IR_K_eq:
      return a == b;
    case IR_K_ne:
      return a != b;
    case IR_K_lt:
      return a < b;
    case IR_K_le:
      return a <= b;
    case IR_K_gt:
      return a > b;
    case IR_K_ge:
      return a >= b;
    case IR_K_and:
      return a & b;
    case IR_K_or:
      return a | b;
    case IR_K_xor:
      return a ^ b;
    case IR_K_shl:
      return b >= 0 && b < 64 ? (int64_t)((uint64_t)a << b) : 0;
    case IR_K_shr:
      return b >= 0 && b < 64 ? a >> b : 0;
    default:
      return 0;
  }
}

// The integer value of |e|; floats are 0.
static int64_t value_of(counter *c, const ir_kexpr *e) {
  if (ir_ktype_is_float(e->type)) return 0;
  switch (e->op) {
    case IR_K_const:
      return e->i;
    case IR_K_size:
      return c->launch->sizes[e->index];
    case IR_K_var:
      return e->arg_count ? 0 : c->values[e->var->id];
    case IR_K_load: {
      const ir_kbuffer *buffer = &c->kernel->buffers[e->index];
      int64_t index = value_of(c, e->args[0]);
      if (buffer->kind == IR_KB_CONST) return index >= 0 && index < buffer->count ? (int64_t)buffer->data[index] : 0;
      return buffer->arg >= 0 ? c->launch->element(c->launch->user, buffer->arg, index) : 0;
    }
    case IR_K_select:
      return value_of(c, e->args[0]) ? value_of(c, e->args[1]) : value_of(c, e->args[2]);
    case IR_K_neg:
      return -value_of(c, e->args[0]);
    case IR_K_not:
      return e->type == IR_KT_bool ? !value_of(c, e->args[0]) : ~value_of(c, e->args[0]);
    case IR_K_cast:
    case IR_K_bitcast:
      return value_of(c, e->args[0]);
    default:
      return e->arg_count == 2 ? binary(e->op, value_of(c, e->args[0]), value_of(c, e->args[1])) : 0;
  }
}

static int flops_of(ir_kop op) {
  switch (op) {
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
      return 0;
  }
}

static void count_op(counter *c, const ir_kexpr *e, unsigned origin) {
  if (e->op == IR_K_dot4 || e->op == IR_K_dot4_7) c->work.int8_ops += 8 * c->times;
  if (e->op == IR_K_dot2) c->work.bf16_ops += 4 * c->times;
  if (!ir_ktype_is_float(e->type)) return;
  *(origin == FROM_WEIGHTS ? &c->work.decode_flops : &c->work.flops) += c->times * flops_of(e->op);
}

// Gives what |e| comes from.
static unsigned count_expr(counter *c, const ir_kexpr *e) {
  unsigned origin = 0;
  for (int i = 0; i < e->arg_count; i++) origin |= count_expr(c, e->args[i]);
  if (e->op == IR_K_var) origin |= c->origins[e->var->id];
  if (e->op == IR_K_load) {
    c->touched[e->index] += c->times * ir_ktype_bytes(e->type);
    origin = c->stored[e->index];  // not of the index
  }
  count_op(c, e, origin);
  return origin;
}

static void count_list(counter *c, const ir_kstmt *s);

static void count_body(counter *c, const ir_kstmt *s, int64_t first, double iterations) {
  if (iterations <= 0) return;
  double outer = c->times;
  c->values[s->var->id] = first;
  c->times = outer * iterations;
  count_list(c, s->body);
  c->times = outer;
}

static void count_for(counter *c, const ir_kstmt *s) {
  int64_t lo = value_of(c, s->lo), hi = value_of(c, s->hi), step = s->step > 0 ? s->step : 1;
  if (s->range != IR_KR_TILES) {
    count_body(c, s, lo, hi > lo ? (double)((hi - lo + step - 1) / step) : 0);
    return;
  }
  for (int i = 0; i < s->tile_count && lo < hi; i++) {
    int64_t tiles = (hi - lo) / s->tiles[i];
    c->values[s->tile_var->id] = s->tiles[i];
    count_body(c, s, lo, (double)tiles);
    lo += tiles * s->tiles[i];
  }
}

static void count_matdot(counter *c, const ir_kstmt *s) {
  const ir_kmatdot *d = s->matdot;
  double rows = (double)value_of(c, d->at[IR_KM_ROWS]), words = (double)value_of(c, d->at[IR_KM_WORDS]);
  double columns = (double)d->panels * IR_LANES, products = c->times * rows * columns * words;
  if (s->type == IR_KT_i32) c->work.int8_ops += 8 * products;
  else c->work.bf16_ops += 4 * products;
  c->touched[d->a] += c->times * rows * words * 4;
  c->touched[d->b] += c->times * columns * words * 4;
  c->touched[d->c] += c->times * rows * columns * 4;
  c->stored[d->c] |= c->stored[d->a] | c->stored[d->b];
}

static void count_list(counter *c, const ir_kstmt *s) {
  for (; s; s = s->next) {
    switch (s->kind) {
      case IR_KS_FOR:
        count_for(c, s);
        break;
      case IR_KS_IF:
        count_list(c, value_of(c, s->expr) ? s->body : s->body2);
        break;
      case IR_KS_LET:
      case IR_KS_REG:
      case IR_KS_SET:
        if (!ir_ktype_is_float(s->var->type) && !s->var->rank) c->values[s->var->id] = value_of(c, s->expr);
        c->origins[s->var->id] |= count_expr(c, s->expr);
        break;
      case IR_KS_REDUCE:
        c->origins[s->var->id] |= count_expr(c, s->expr);
        if (ir_ktype_is_float(s->var->type)) c->work.flops += c->times * flops_of(s->combine);
        break;
      case IR_KS_STORE:
        c->touched[s->buffer] += c->times * ir_ktype_bytes(s->type);
        c->stored[s->buffer] |= count_expr(c, s->expr);
        break;
      case IR_KS_MATDOT:
        count_matdot(c, s);
        break;
      case IR_KS_PREFETCH:
      case IR_KS_COMMENT:
        break;
    }
  }
}

// Weights are weights; every other argument has data in it. Scratch has what is stored there.
static void mark_buffers(counter *c) {
  for (int i = 0; i < c->kernel->buffer_count; i++) {
    int arg = c->kernel->buffers[i].arg;
    if (arg >= 0) c->stored[i] = c->launch->is_weight(c->launch->user, arg) ? FROM_WEIGHTS : FROM_DATA;
  }
}

static double bytes_of(const counter *c, int arg) {
  double touched = 0;
  for (int i = 0; i < c->kernel->buffer_count; i++) touched += c->kernel->buffers[i].arg == arg ? c->touched[i] : 0;
  int64_t extent = touched > 0 ? c->launch->extent(c->launch->user, arg) : 0;
  return extent >= 0 && touched > (double)extent ? (double)extent : touched;
}

static void count_items(counter *c) {
  int64_t items = c->launch->items, samples = items < SAMPLES ? items : SAMPLES;
  mark_buffers(c);
  for (int64_t i = 0; i < samples; i++) {
    int64_t item = samples > 1 ? (items - 1) * i / (samples - 1) : 0;
    if (c->kernel->grid_var) c->values[c->kernel->grid_var->id] = item;
    c->times = (double)items / (double)samples;
    count_list(c, c->kernel->body);
  }
  for (int arg = 0; arg < c->kernel->arg_count; arg++) c->work.bytes += bytes_of(c, arg);  // scratch stays in a cache
}

void cli_kernel_count(const ir_kernel *kernel, const cli_kernel_launch *launch, cli_work *work) {
  counter c = {.kernel = kernel, .launch = launch, .work = *work};
  c.values = calloc((size_t)kernel->var_count + 1, sizeof *c.values);
  c.origins = calloc((size_t)kernel->var_count + 1, sizeof *c.origins);
  c.stored = calloc((size_t)kernel->buffer_count + 1, sizeof *c.stored);
  c.touched = calloc((size_t)kernel->buffer_count + 1, sizeof *c.touched);
  if (c.values && c.origins && c.stored && c.touched) count_items(&c);
  *work = c.work;
  free(c.values);
  free(c.origins);
  free(c.stored);
  free(c.touched);
}
