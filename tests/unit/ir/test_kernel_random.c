// Random kernels of integers, run by the interpreter and by a plain walk over the same statements: what is computed in
// front of loops, shared or skipped by the interpreter must not show. Each kernel also goes through its text.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/kernel.h"

enum { CELLS = 32, LOCAL_CELLS = 8, MAX_VISIBLE = 64 };

// ---- the generator
typedef struct {
  ir_kbuilder b;
  uint64_t state;
  const ir_kexpr *values[MAX_VISIBLE];  // range variables, values, sizes
  int value_count;
  ir_kvar *regs[MAX_VISIBLE];
  bool busy[MAX_VISIBLE];      // reduced into by an open range
  int reg_lanes[MAX_VISIBLE];  // depth of lanes ranges where it was declared
  int reg_count;
  int lanes_depth, lanes_sixteen;
  // Expressions made before, to be used again where the same registers may be read.
  const ir_kexpr *made[MAX_VISIBLE];
  int made_lanes[MAX_VISIBLE], made_count;
  ir_kvar *reducing;  // in this lanes range: a register that is reduced into only
  int cells, local;
} generator;

static unsigned pick(generator *g, unsigned limit) {
  g->state ^= g->state >> 12, g->state ^= g->state << 25, g->state ^= g->state >> 27;
  return (unsigned)((g->state * UINT64_C(2685821657736338717)) >> 33) % limit;
}

static const ir_kexpr *num(generator *g, int64_t v) { return ir_kb_int(&g->b, v); }
static const ir_kexpr *op(generator *g, ir_kop o, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&g->b, o, IR_KT_i64, x, y, NULL);
}
static const ir_kexpr *cell(generator *g, const ir_kexpr *e) { return op(g, IR_K_mod, e, num(g, CELLS)); }

static const ir_kexpr *expr(generator *g, int depth);

static const ir_kexpr *read_reg(generator *g) {
  if (g->reg_count == 0) return num(g, 3);
  int i = (int)pick(g, (unsigned)g->reg_count);
  ir_kvar *v = g->regs[i];
  if (g->busy[i] || (v->lanes && !g->lanes_sixteen)) return num(g, 5);
  return ir_kb_read(&g->b, v, v->rank ? num(g, pick(g, 2)) : NULL, NULL, NULL);
}

static const ir_kexpr *made_before(generator *g) {
  int i = g->made_count ? (int)pick(g, (unsigned)g->made_count) : -1;
  return i >= 0 && g->made_lanes[i] == g->lanes_depth ? g->made[i] : num(g, 4);
}

static const ir_kexpr *leaf(generator *g) {
  switch (pick(g, 4)) {
    case 0:
      return num(g, (int64_t)pick(g, 9) - 2);
    case 1:
      return read_reg(g);
    default:
      return g->values[pick(g, (unsigned)g->value_count)];
  }
}

static const ir_kexpr *condition(generator *g, int depth) {
  static const ir_kop ops[] = {IR_K_lt, IR_K_le, IR_K_gt, IR_K_ge, IR_K_eq, IR_K_ne};
  return ir_kb_op(&g->b, ops[pick(g, 6)], IR_KT_bool, expr(g, depth), expr(g, depth), NULL);
}

static const ir_kexpr *fresh_expr(generator *g, int depth) {
  static const ir_kop ops[] = {IR_K_add, IR_K_sub, IR_K_mul, IR_K_div, IR_K_mod,
                               IR_K_min, IR_K_max, IR_K_and, IR_K_xor};
  if (depth == 0) return leaf(g);
  if (depth > 1 && pick(g, 5) == 0) return made_before(g);
  switch (pick(g, 8)) {
    case 0:
      return ir_kb_load(&g->b, IR_KT_i64, g->cells, cell(g, expr(g, depth - 1)));
    case 1: {
      // One arm may read outside, behind its condition.
      const ir_kexpr *at = expr(g, depth - 1), *low = ir_kb_op(&g->b, IR_K_ge, IR_KT_bool, at, num(g, 0), NULL);
      const ir_kexpr *high = ir_kb_op(&g->b, IR_K_lt, IR_KT_bool, at, num(g, CELLS), NULL);
      const ir_kexpr *both = ir_kb_op(&g->b, IR_K_and, IR_KT_bool, low, high, NULL);
      return ir_kb_op(&g->b, IR_K_select, IR_KT_i64, both, ir_kb_load(&g->b, IR_KT_i64, g->cells, at),
                      expr(g, depth - 1));
    }
    case 2:
      return ir_kb_op(&g->b, IR_K_select, IR_KT_i64, condition(g, depth - 1), expr(g, depth - 1), expr(g, depth - 1));
    case 3:
      return ir_kb_cast(&g->b, IR_KT_i64, ir_kb_cast(&g->b, IR_KT_i8, expr(g, depth - 1)));
    default:
      return op(g, ops[pick(g, 9)], expr(g, depth - 1), expr(g, depth - 1));
  }
}

static const ir_kexpr *expr(generator *g, int depth) {
  const ir_kexpr *e = fresh_expr(g, depth);
  if (depth == 1 && g->made_count < MAX_VISIBLE) {
    g->made_lanes[g->made_count] = g->lanes_depth;
    g->made[g->made_count++] = e;
  }
  return e;
}

static void list(generator *g, int depth);

static void range(generator *g, int depth) {
  const ir_kexpr *size = NULL, *lo = num(g, pick(g, 3)), *var;
  const ir_kexpr *few = op(g, IR_K_mod, expr(g, 2), num(g, 6));
  int made = g->made_count, lanes = g->lanes_depth, sixteen = g->lanes_sixteen, values = g->value_count,
      regs = g->reg_count;
  ir_kvar *reducing = g->reducing;
  int target = -1;
  switch (pick(g, 4)) {
    case 0:
      var = ir_kb_tiles(&g->b, "m", lo, few, (int[]){3, 2, 1}, 3, &size);
      break;
    case 1:
      var = ir_kb_for(&g->b, IR_KR_UNROLL, "u", lo, num(g, 3), 1);
      break;
    case 2: {
      g->lanes_sixteen = pick(g, 2);
      g->reducing = NULL;
      for (int i = 0; i < g->reg_count && !g->reducing; i++) {
        if (g->regs[i]->lanes || g->reg_lanes[i] != lanes || g->busy[i] || pick(g, 2)) continue;
        g->reducing = g->regs[i];
        g->busy[target = i] = true;
      }
      var = ir_kb_for(&g->b, IR_KR_LANES, "l", lo, g->lanes_sixteen ? ir_kb_add(&g->b, lo, num(g, 16)) : few, 1);
      g->lanes_depth++;
      break;
    }
    default:
      var = ir_kb_for(&g->b, IR_KR_SERIAL, "i", lo, few, 1 + pick(g, 2));
  }
  g->values[g->value_count++] = var;
  if (size) g->values[g->value_count++] = size;
  list(g, depth - 1);
  ir_kb_end(&g->b);
  g->value_count = values, g->reg_count = regs, g->made_count = made;
  g->lanes_depth = lanes, g->lanes_sixteen = sixteen, g->reducing = reducing;
  if (target >= 0) g->busy[target] = false;
}

static void set(generator *g) {
  if (g->reg_count == 0) return;
  int i = (int)pick(g, (unsigned)g->reg_count);
  ir_kvar *v = g->regs[i];
  const ir_kexpr *at = v->rank ? num(g, pick(g, 2)) : NULL, *value = expr(g, (int)pick(g, 4));
  if (v == g->reducing) {
    if (!v->rank) ir_kb_reduce(&g->b, IR_K_add, v, value);
  } else if (g->busy[i]) {
    return;
  } else if (v->lanes ? g->lanes_sixteen : g->reg_lanes[i] == g->lanes_depth) {
    ir_kb_set(&g->b, v, value, at, NULL, NULL);
  }
}

// A value keeps what a register held.
static void keep(generator *g) {
  const ir_kexpr *held = ir_kb_let(&g->b, "k", read_reg(g));
  set(g);
  set(g);
  ir_kb_store(&g->b, IR_KT_i64, g->cells, num(g, pick(g, CELLS)), held);
}

static void statement(generator *g, int depth) {
  if (g->value_count + 4 > MAX_VISIBLE || g->reg_count + 1 > MAX_VISIBLE) return;
  int values = g->value_count, regs = g->reg_count, made = g->made_count;
  switch (depth > 0 ? pick(g, 11) : 4 + pick(g, 7)) {
    case 0:
    case 1:
    case 2:
      range(g, depth);
      break;
    case 3:
      ir_kb_if(&g->b, condition(g, 2));
      list(g, depth - 1);
      if (pick(g, 2)) {
        g->value_count = values, g->reg_count = regs, g->made_count = made;
        ir_kb_else(&g->b);
        list(g, depth - 1);
      }
      ir_kb_end(&g->b);
      g->value_count = values, g->reg_count = regs, g->made_count = made;
      break;
    case 4:
      g->values[g->value_count++] = ir_kb_let(&g->b, "v", expr(g, (int)pick(g, 4)));
      break;
    case 5: {
      bool array = pick(g, 3) == 0;
      const int dims[] = {2};
      g->reg_lanes[g->reg_count] = g->lanes_depth;
      g->busy[g->reg_count] = false;
      g->regs[g->reg_count] = ir_kb_reg(&g->b, "r", IR_KT_i64, pick(g, 3) == 0, array, array ? dims : NULL, expr(g, 2));
      g->reg_count++;
      break;
    }
    case 6:
      ir_kb_store(&g->b, IR_KT_i64, g->cells, cell(g, expr(g, 3)), expr(g, 3));
      break;
    case 7: {
      const ir_kexpr *at = op(g, IR_K_mod, expr(g, 2), num(g, LOCAL_CELLS));
      ir_kb_store(&g->b, IR_KT_i64, g->local, at, expr(g, 2));
      g->values[g->value_count++] = ir_kb_let(&g->b, "s", ir_kb_load(&g->b, IR_KT_i64, g->local, at));
      break;
    }
    case 8:
      keep(g);
      break;
    default:
      set(g);
  }
}

static void list(generator *g, int depth) {
  for (unsigned n = 1 + pick(g, 4); n > 0; n--) statement(g, depth);
}

static ir_kernel *generate(weir_arena *arena, uint64_t seed) {
  generator g = {.state = seed * 77777 + 1};
  ir_kb_init(&g.b, arena, "random", "");
  g.values[g.value_count++] = ir_kb_add_size(&g.b, "N");
  g.cells = ir_kb_add_buffer(&g.b, IR_KB_INOUT, "x", num(&g, CELLS * 8), -1);
  g.local = ir_kb_add_buffer(&g.b, IR_KB_LOCAL, "s", num(&g, LOCAL_CELLS * 8), -1);
  g.values[g.value_count++] = ir_kb_set_grid(&g.b, num(&g, 3), "g");
  for (int i = 0; i < 3; i++) list(&g, 3);
  return ir_kb_finish(&g.b);
}

// ---- the plain walk
typedef struct {
  const ir_kernel *kernel;
  int64_t *memory[2];
  int64_t size;
  int64_t (*vars)[2][16];  // by variable id: elements and lanes
  int64_t lane;
  long steps;
} walker;

static int64_t walk_expr(walker *w, const ir_kexpr *e) {
  int64_t a[3] = {0, 0, 0};
  if (e->op == IR_K_const) return e->i;
  if (e->op == IR_K_size) return w->size;
  if (e->op == IR_K_var) {
    int64_t at = e->arg_count ? walk_expr(w, e->args[0]) : 0;
    return w->vars[e->var->id][at][e->var->kind == IR_KVAR_REG && e->var->lanes ? w->lane : 0];
  }
  if (e->op == IR_K_load) return w->memory[e->index][walk_expr(w, e->args[0])];
  if (e->op == IR_K_select) return walk_expr(w, walk_expr(w, e->args[0]) ? e->args[1] : e->args[2]);
  for (int i = 0; i < e->arg_count; i++) a[i] = walk_expr(w, e->args[i]);
  int64_t x = a[0], y = a[1], r = y ? (y == -1 ? 0 : x % y) : 0;
  if (r && (r < 0) != (y < 0)) r += y;
  switch (e->op) {
    case IR_K_add:
      return (int64_t)((uint64_t)x + (uint64_t)y);
    case IR_K_sub:
      return (int64_t)((uint64_t)x - (uint64_t)y);
    case IR_K_mul:
      return (int64_t)((uint64_t)x * (uint64_t)y);
    case IR_K_div:
      return y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : (int64_t)((x / y) - ((x % y) && (x < 0) != (y < 0)));
    case IR_K_mod:
      return r;
    case IR_K_min:
      return x < y ? x : y;
    case IR_K_max:
      return x > y ? x : y;
    case IR_K_and:
      return x & y;
    case IR_K_xor:
      return x ^ y;
    case IR_K_neg:
      return (int64_t)(0 - (uint64_t)x);
    case IR_K_lt:
      return x < y;
    case IR_K_le:
      return x <= y;
    case IR_K_gt:
      return x > y;
    case IR_K_ge:
      return x >= y;
    case IR_K_eq:
      return x == y;
    case IR_K_ne:
      return x != y;
    case IR_K_cast:
      return e->type == IR_KT_i8 ? (int8_t)x : x;
    default:
      cr_assert_fail("unexpected %s", ir_kop_name(e->op));
      return 0;
  }
}

static void walk_list(walker *w, const ir_kstmt *s);

static void walk_for(walker *w, const ir_kstmt *s) {
  int64_t lo = walk_expr(w, s->lo), hi = walk_expr(w, s->hi), lane = w->lane;
  for (int64_t i = lo, step; i < hi; i += step) {
    step = s->step;
    if (s->range == IR_KR_TILES) {
      int k = 0;
      while (s->tiles[k] > hi - i) k++;
      step = s->tiles[k];
      w->vars[s->tile_var->id][0][0] = step;
    }
    w->vars[s->var->id][0][0] = i;
    if (s->range == IR_KR_LANES) w->lane = i - lo;
    walk_list(w, s->body);
  }
  w->lane = lane;
}

static void walk_stmt(walker *w, const ir_kstmt *s) {
  int64_t at = s->index_count ? walk_expr(w, s->indices[0]) : 0;
  w->steps++;
  switch (s->kind) {
    case IR_KS_FOR:
      walk_for(w, s);
      break;
    case IR_KS_IF:
      walk_list(w, walk_expr(w, s->expr) ? s->body : s->body2);
      break;
    case IR_KS_LET:
      w->vars[s->var->id][0][0] = walk_expr(w, s->expr);
      break;
    case IR_KS_REG: {
      int64_t value = walk_expr(w, s->expr);
      for (int i = 0; i < 32; i++) w->vars[s->var->id][i / 16][i % 16] = value;
      break;
    }
    case IR_KS_SET:
      w->vars[s->var->id][at][s->var->lanes ? w->lane : 0] = walk_expr(w, s->expr);
      break;
    case IR_KS_REDUCE: {
      int64_t *v = &w->vars[s->var->id][0][0];
      *v = (int64_t)((uint64_t)*v + (uint64_t)walk_expr(w, s->expr));
      break;
    }
    case IR_KS_STORE:
      w->memory[s->buffer][at] = walk_expr(w, s->expr);
      break;
    default:
      break;
  }
}

static void walk_list(walker *w, const ir_kstmt *s) {
  for (; s; s = s->next) walk_stmt(w, s);
}

static long walk(const ir_kernel *kernel, int64_t *cells, int64_t size) {
  static int64_t vars[4096][2][16];
  int64_t local[LOCAL_CELLS] = {0};
  cr_assert_lt(kernel->var_count, 4096);
  walker w = {.kernel = kernel, .memory = {cells, local}, .size = size, .vars = vars};
  for (int64_t g = 0; g < 3; g++) {
    vars[kernel->grid_var->id][0][0] = g;
    walk_list(&w, kernel->body);
  }
  return w.steps;
}

static void check(uint64_t seed) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_kernel *kernel = generate(&arena, seed), *again = NULL;
  const char *text = ir_kernel_print(&arena, kernel);
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &again);
  cr_assert_null(status, "seed %lu: %s\n%s", (unsigned long)seed, weir_status_message(status), text);
  cr_assert_str_eq(ir_kernel_print(&arena, again), text);
  cr_assert(ir_kernel_equal(kernel, again));
  int64_t start[CELLS], expected[CELLS], got[CELLS];
  for (int i = 0; i < CELLS; i++) start[i] = (i * 7 + (int64_t)seed) % 23 - 9;
  memcpy(expected, start, sizeof start);
  walk(kernel, expected, 4);
  for (int parsed = 0; parsed < 2; parsed++) {
    memcpy(got, start, sizeof start);
    void *args[] = {got};
    const size_t bytes[] = {sizeof got};
    const int64_t sizes[] = {4};
    status = ir_kernel_interpret(parsed ? again : kernel, args, bytes, sizes, 0, 3);
    cr_assert_null(status, "seed %lu: %s\n%s", (unsigned long)seed, weir_status_message(status), text);
    cr_assert_arr_eq(got, expected, sizeof got, "seed %lu\n%s", (unsigned long)seed, text);
  }
  weir_arena_deinit(&arena);
}

Test(random, interpreter_agrees_with_a_plain_walk) {
  for (uint64_t seed = 1; seed <= 1000; seed++) check(seed);
}
