// The rules of block kernels: operands of each operation, what is provably misaligned or divergent, the head.
//
// Where the threads that reach a place follow from constants and the thread's number alone, a barrier or warp operation
// that some of its threads miss is refused here; the rest is the interpreter's.
#include "ir/kernel_verify.h"
#include "runtime/base/checked.h"

typedef ir_kchecker checker;

static const ir_kbuffer *buffer_of(const checker *c, const ir_kplace *at) { return &c->kernel->buffers[at->buffer]; }

// ---- places
// What is known of a value: it is |rest| modulo |of|; 0: it is |rest|.
typedef struct {
  int64_t of, rest;
} congruence;

static congruence congruence_make(int64_t of, int64_t rest) {
  return (congruence){of, of > 0 ? ir_k_floor_mod(rest, of) : rest};
}

static congruence congruence_of(const ir_kexpr *e, int depth) {
  const congruence unknown = {1, 0};
  int64_t sum, a, b, ab;
  if (e->op == IR_K_const) return congruence_make(0, e->i);
  if (depth > 32 || (e->op != IR_K_add && e->op != IR_K_sub && e->op != IR_K_mul)) return unknown;
  congruence x = congruence_of(e->args[0], depth + 1), y = congruence_of(e->args[1], depth + 1);
  if (e->op != IR_K_mul) {
    bool over =
        e->op == IR_K_add ? __builtin_add_overflow(x.rest, y.rest, &sum) : __builtin_sub_overflow(x.rest, y.rest, &sum);
    return over ? unknown : congruence_make(weir_gcd_i64(x.of, y.of), sum);
  }
  bool over = __builtin_mul_overflow(x.of, y.of, &ab) || __builtin_mul_overflow(x.of, y.rest, &a) ||
              __builtin_mul_overflow(y.of, x.rest, &b) || __builtin_mul_overflow(x.rest, y.rest, &sum);
  return over ? unknown : congruence_make(weir_gcd_i64(weir_gcd_i64(ab, a), b), sum);
}

// |index| in units of |type| can never be at a multiple of |bytes|.
static bool never_aligned(const ir_kexpr *index, ir_ktype type, int bytes) {
  int size = ir_ktype_bytes(type);
  if (bytes <= size) return false;
  congruence known = congruence_of(index, 0);
  int64_t of = weir_gcd_i64(known.of, bytes / size);
  return of > 1 && ir_k_floor_mod(known.rest, of) != 0;
}

typedef enum { ANYWHERE, IN_SHARED, IN_GLOBAL } where;

static bool check_place(checker *c, const ir_kplace *at, where in, bool writes, int align) {
  if ((unsigned)at->type >= IR_KT_COUNT) return ir_kv_bad(c, "a malformed place");
  if (!ir_kv_access(c, at->buffer, at->index, at->request)) return false;
  const ir_kbuffer *b = buffer_of(c, at);
  if (in == IN_SHARED && b->kind != IR_KB_SHARED) return ir_kv_bad(c, "'%s' is not in shared memory", b->name);
  if (in == IN_GLOBAL && b->arg < 0) return ir_kv_bad(c, "'%s' is not in global memory", b->name);
  if (writes && (b->kind == IR_KB_IN || b->kind == IR_KB_TABLE_IN || b->kind == IR_KB_CONST))
    return ir_kv_bad(c, "'%s' is read only", b->name);
  return !never_aligned(at->index, at->type, align) ||
         ir_kv_bad(c, "'%s' is accessed at a place that is no multiple of %d bytes", b->name, align);
}

static bool check_mbarrier(checker *c, const ir_kplace *at) {
  bool known = at->buffer >= 0 && at->buffer < c->kernel->buffer_count && !at->request;
  if (!known || buffer_of(c, at)->kind != IR_KB_MBARRIER) return ir_kv_bad(c, "no mbarrier is named here");
  if (!ir_kv_index(c, at->index, "the index")) return false;
  ir_kfacts f = ir_kx_facts(at->index);
  return (f.hi >= 0 && f.lo < buffer_of(c, at)->count) ||
         ir_kv_bad(c, "no such mbarrier of '%s'", buffer_of(c, at)->name);
}

// |count| registers of |type| from |r| on.
static bool check_regs(checker *c, const ir_kregs *r, ir_ktype type, int count) {
  if (!r->var || r->var->kind != IR_KVAR_REG) return ir_kv_bad(c, "no register is named here");
  if (r->index_count < 0 || r->index_count > 3) return ir_kv_bad(c, "a malformed operand");
  if (!ir_kv_var_use(c, r->var, r->indices, r->index_count)) return false;
  const ir_kvar *v = r->var;
  if (v->type != type) return ir_kv_bad(c, "'%s' is %s, not %s", v->name, ir_ktype_name(v->type), ir_ktype_name(type));
  int rank = r->index_count, last = rank ? v->dims[rank - 1] : 1;
  int64_t first = rank ? ir_kx_facts(r->indices[rank - 1]).lo : 0;
  return first + count <= last || ir_kv_bad(c, "%d registers of '%s' from here on are outside", count, v->name);
}

// ---- which threads come here
typedef struct {
  const checker *c;
  int64_t thread;
  int steps;  // left; a value may be shared by many
} evaluator;

static bool evaluate(evaluator *v, const ir_kexpr *e, int64_t *out) {
  int64_t a[3] = {0};
  if (--v->steps < 0 || ir_ktype_is_float(e->type)) return false;
  if (e->op == IR_K_const) {
    *out = e->i;
    return true;
  }
  if (e->op == IR_K_var) {
    if (e->var == v->c->kernel->thread_var) {
      *out = v->thread;
      return true;
    }
    bool value = e->var->kind == IR_KVAR_VALUE && v->c->vars[e->var->id].expr;
    return value && evaluate(v, v->c->vars[e->var->id].expr, out);
  }
  if (e->arg_count < 1 || e->arg_count > 2 || e->op == IR_K_load || e->op == IR_K_bitcast) return false;
  for (int i = 0; i < e->arg_count; i++)
    if (ir_ktype_is_float(e->args[i]->type) || !evaluate(v, e->args[i], &a[i])) return false;
  if (e->op == IR_K_cast) {
    *out = ir_ktype_wrap(e->type, a[0]);
    return true;
  }
  return ir_k_int_op(e->op, e->args[0]->type, a[0], a[1], out);
}

// Whether |thread| passes the open ifs that can be decided; those that cannot let all pass.
static bool passes(const checker *c, int64_t thread) {
  for (int i = 0; i < c->if_count; i++) {
    int64_t value;
    evaluator v = {c, thread, 200};
    if (evaluate(&v, c->ifs[i]->expr, &value) && (value != 0) == c->in_else[i]) return false;
  }
  return true;
}

bool ir_kv_uniform(checker *c, int group, const char *what) {
  if (c->if_count == 0) return true;
  for (int first = 0; first < c->kernel->threads; first += group) {
    bool expected = passes(c, first);
    for (int t = first + 1; t < first + group && t < c->kernel->threads; t++)
      if (passes(c, t) != expected)
        return ir_kv_bad(c, "%s that thread %d %s and thread %d %s", what, first,
                         expected ? "reaches" : "does not reach", t, expected ? "does not" : "does");
  }
  return true;
}

// ---- operations
static bool check_barrier(checker *c, const ir_kblock *b) {
  bool arrives = b->op == IR_KO_BARRIER_ARRIVE;
  if (!b->value)
    return arrives ? ir_kv_bad(c, "a barrier without number") : ir_kv_uniform(c, c->kernel->threads, "a barrier");
  if (!ir_kv_index(c, b->value, "the barrier's number")) return false;
  ir_kfacts f = ir_kx_facts(b->value);
  if (f.hi < 1 || f.lo > 15) return ir_kv_bad(c, "a named barrier has a number from 1 to 15");
  if (b->number < IR_WARP || b->number % IR_WARP || b->number > c->kernel->threads)
    return ir_kv_bad(c, "a barrier of %d threads", b->number);
  return ir_kv_uniform(c, IR_WARP, "a named barrier");
}

static bool check_async(checker *c, const ir_kblock *b) {
  if (b->number != 4 && b->number != 8 && b->number != 16) return ir_kv_bad(c, "an async copy of %d bytes", b->number);
  if (!check_place(c, &b->to, IN_SHARED, true, b->number) || !check_place(c, &b->from, IN_GLOBAL, false, b->number))
    return false;
  if (b->to.type != b->from.type || b->number % ir_ktype_bytes(b->to.type)) return ir_kv_bad(c, "the types do not fit");
  return !b->condition || ir_kv_value(c, b->condition, IR_KT_bool);
}

static bool check_vector(checker *c, const ir_kblock *b) {
  const ir_kplace *at = b->op == IR_KO_READ ? &b->from : &b->to;
  int bytes = b->number * ir_ktype_bytes(at->type);
  if (b->number < 1 || bytes > 16 || (bytes & (bytes - 1))) return ir_kv_bad(c, "%d bytes at once", bytes);
  return check_place(c, at, ANYWHERE, b->op == IR_KO_WRITE, bytes) &&
         check_regs(c, &b->c, ir_kregs_type(at->type), b->number);
}

static bool check_matrix_move(checker *c, const ir_kblock *b) {
  const ir_kplace *at = b->op == IR_KO_LDMATRIX ? &b->from : &b->to;
  if (b->number != 1 && b->number != 2 && b->number != 4) return ir_kv_bad(c, "%d matrices", b->number);
  return check_place(c, at, IN_SHARED, b->op == IR_KO_STMATRIX, 16) && check_regs(c, &b->c, IR_KT_u32, b->number) &&
         ir_kv_uniform(c, IR_WARP, ir_kblock_word(b->op));
}

static bool check_mma(checker *c, const ir_kblock *b) {
  if ((unsigned)b->kind >= IR_KMMA_COUNT) return ir_kv_bad(c, "a malformed mma");
  return check_regs(c, &b->c, b->kind == IR_KMMA_s8 ? IR_KT_i32 : IR_KT_f32, 4) &&
         check_regs(c, &b->a, IR_KT_u32, ir_kmma_a_regs(b->kind)) && check_regs(c, &b->b, IR_KT_u32, 2) &&
         ir_kv_uniform(c, IR_WARP, "mma");
}

static bool check_atomic(checker *c, const ir_kstmt *s) {
  const ir_kblock *b = s->block;
  if (b->to.type != IR_KT_i32 && b->to.type != IR_KT_u32)
    return ir_kv_bad(c, "an atomic operation on %s", ir_ktype_name(b->to.type));
  if (b->combine != IR_K_add && b->combine != IR_K_min && b->combine != IR_K_max)
    return ir_kv_bad(c, "no atomic %s", ir_kop_name(b->combine));
  if (!check_place(c, &b->to, ANYWHERE, true, 4) || !ir_kv_value(c, b->value, b->to.type)) return false;
  if (!b->var) return true;
  if (b->var != s->var || b->var->type != b->to.type) return ir_kv_bad(c, "a malformed variable");
  return ir_kv_declare(c, b->var, IR_KVAR_VALUE);
}

// ---- sm_90a
static bool check_mbarrier_op(checker *c, const ir_kblock *b) {
  bool arrives = b->op == IR_KO_MBARRIER_ARRIVE;
  if (!check_mbarrier(c, &b->to)) return false;
  if (!b->value) return arrives || ir_kv_bad(c, "a value is missing");
  if (arrives && !c->kernel->cluster) return ir_kv_bad(c, "an arrival at another block without a cluster");
  if (!ir_kv_value(c, b->value, IR_KT_i64)) return false;
  ir_kfacts f = ir_kx_facts(b->value);
  int64_t lo = b->op == IR_KO_MBARRIER_INIT, hi = arrives                        ? c->kernel->cluster - 1
                                                  : b->op == IR_KO_MBARRIER_WAIT ? 1
                                                                                 : (1 << 20) - 1;
  return (f.hi >= lo && f.lo <= hi) || ir_kv_bad(c, "the value of the mbarrier operation is out of range");
}

static bool check_bulk(checker *c, const ir_kblock *b) {
  if (!check_place(c, &b->to, IN_SHARED, true, 16) || !check_place(c, &b->from, IN_GLOBAL, false, 16)) return false;
  return ir_kv_value(c, b->value, IR_KT_i64) && check_mbarrier(c, &b->signal);
}

static int64_t box_bytes(const ir_kmap *map) {
  int64_t bytes = ir_ktype_bytes(map->type);
  for (int i = 0; i < map->rank; i++) bytes *= map->box[i];
  return bytes;
}

static bool check_tma(checker *c, const ir_kblock *b) {
  const ir_kplace *at = b->op == IR_KO_TMA ? &b->to : &b->from;
  if (b->map < 0 || b->map >= c->kernel->map_count) return ir_kv_bad(c, "no map %d", b->map);
  const ir_kmap *map = &c->kernel->maps[b->map];
  if (!check_place(c, at, IN_SHARED, b->op == IR_KO_TMA, 128)) return false;
  for (int i = 0; i < map->rank; i++)
    if (!ir_kv_index(c, b->coords[i], "a coordinate")) return false;
  int64_t bytes;
  if (ir_kx_is_const(buffer_of(c, at)->bytes, &bytes) && bytes < box_bytes(map))
    return ir_kv_bad(c, "'%s' does not hold a box of '%s'", buffer_of(c, at)->name, map->name);
  if (b->op == IR_KO_TMA_STORE) {
    ir_kbuffer_kind kind = c->kernel->buffers[map->buffer].kind;
    return kind != IR_KB_IN || ir_kv_bad(c, "'%s' is read only", c->kernel->buffers[map->buffer].name);
  }
  if (b->value && !c->kernel->cluster) return ir_kv_bad(c, "multicast without a cluster");
  return (!b->value || ir_kv_value(c, b->value, IR_KT_i64)) && check_mbarrier(c, &b->signal);
}

static bool check_factor(checker *c, const ir_kwgmma *f, ir_kmma kind) {
  if (f->swizzle != 32 && f->swizzle != 64 && f->swizzle != 128)
    return ir_kv_bad(c, "a factor of swizzle %d", f->swizzle);
  if (ir_ktype_bytes(f->at.type) != ir_ktype_bytes(ir_kmma_type(kind)))
    return ir_kv_bad(c, "a factor of %s in wgmma %s", ir_ktype_name(f->at.type), ir_kmma_name(kind));
  if (f->trans && kind != IR_KMMA_bf16 && kind != IR_KMMA_f16)
    return ir_kv_bad(c, "wgmma %s transposed", ir_kmma_name(kind));
  if (f->trans ? f->stride < 16 || f->stride % 16 : f->stride != 0)
    return ir_kv_bad(c, "a factor of stride %lld", (long long)f->stride);
  return check_place(c, &f->at, IN_SHARED, false, 16);
}

static bool check_wgmma(checker *c, const ir_kblock *b) {
  int n = b->number;
  if ((unsigned)b->kind >= IR_KMMA_COUNT) return ir_kv_bad(c, "a malformed wgmma");
  if (c->kernel->threads % 128) return ir_kv_bad(c, "wgmma without whole warpgroups");
  bool even = b->kind != IR_KMMA_s8 || n % 16 == 0 || n == 8 || n == 24;
  if (n < 8 || n > 256 || n % 8 || !even) return ir_kv_bad(c, "a wgmma of %d columns", n);
  if (!check_regs(c, &b->c, b->kind == IR_KMMA_s8 ? IR_KT_i32 : IR_KT_f32, n / 2)) return false;
  if (b->condition && !ir_kv_value(c, b->condition, IR_KT_bool)) return false;
  if (b->a.var ? !check_regs(c, &b->a, IR_KT_u32, 4) : !check_factor(c, &b->shared_a, b->kind)) return false;
  return check_factor(c, &b->shared_b, b->kind) && ir_kv_uniform(c, 128, "wgmma");
}

bool ir_kv_block(checker *c, const ir_kstmt *s) {
  const ir_kblock *b = s->block;
  if (!c->kernel->threads) return ir_kv_bad(c, "a block operation outside of a block kernel");
  if (!b || (unsigned)b->op >= IR_KO_COUNT || (unsigned)b->hint > IR_KHINT_KEEP)
    return ir_kv_bad(c, "a malformed operation");
  switch (b->op) {
    case IR_KO_BARRIER:
    case IR_KO_BARRIER_ARRIVE:
      return check_barrier(c, b);
    case IR_KO_BARRIER_WARP:
      return ir_kv_uniform(c, IR_WARP, "a barrier");
    case IR_KO_BARRIER_CLUSTER:
      return ir_kv_uniform(c, c->kernel->threads, "a barrier");
    case IR_KO_ASYNC:
      return check_async(c, b);
    case IR_KO_WAIT:
    case IR_KO_TMA_WAIT:
    case IR_KO_WGMMA_WAIT:
      return (b->number >= 0 && b->number < 64) || ir_kv_bad(c, "a wait for %d groups", b->number);
    case IR_KO_READ:
    case IR_KO_WRITE:
      return check_vector(c, b);
    case IR_KO_LDMATRIX:
    case IR_KO_STMATRIX:
      return check_matrix_move(c, b);
    case IR_KO_MMA:
      return check_mma(c, b);
    case IR_KO_ATOMIC:
      return check_atomic(c, s);
    case IR_KO_MBARRIER_INIT:
    case IR_KO_MBARRIER_EXPECT:
    case IR_KO_MBARRIER_ARRIVE:
    case IR_KO_MBARRIER_WAIT:
      return check_mbarrier_op(c, b);
    case IR_KO_BULK:
      return check_bulk(c, b);
    case IR_KO_TMA:
    case IR_KO_TMA_STORE:
      return check_tma(c, b);
    case IR_KO_WGMMA:
      return check_wgmma(c, b);
    case IR_KO_REGISTERS:
      if (b->number < 24 || b->number > 256 || b->number % 8) return ir_kv_bad(c, "%d registers", b->number);
      return c->kernel->threads % 128 ? ir_kv_bad(c, "registers without whole warpgroups")
                                      : ir_kv_uniform(c, 128, "registers");
    default:
      return true;
  }
}

// ---- the head
static bool check_map(checker *c, const ir_kmap *map) {
  c->mark = map;
  if (map->rank < 1 || map->rank > IR_KMAP_MAX_RANK || (unsigned)map->type >= IR_KT_COUNT)
    return ir_kv_bad(c, "a malformed map");
  if (map->buffer < 0 || map->buffer >= c->kernel->buffer_count || c->kernel->buffers[map->buffer].kind > IR_KB_INOUT)
    return ir_kv_bad(c, "a map of no plain argument");
  if (map->offset && !ir_kv_index(c, map->offset, "the offset")) return false;
  bool strided = map->rank > 1 && map->strides[1];
  for (int i = 0; i < map->rank; i++) {
    if (!ir_kv_index(c, map->dims[i], "a dim")) return false;
    if (i > 0 && strided && !ir_kv_index(c, map->strides[i], "a stride")) return false;
    if (map->box[i] < 1 || map->box[i] > 256) return ir_kv_bad(c, "a box of %d", map->box[i]);
  }
  int row = map->box[0] * ir_ktype_bytes(map->type);
  bool swizzles = map->swizzle == 32 || map->swizzle == 64 || map->swizzle == 128;
  if (map->swizzle && !swizzles) return ir_kv_bad(c, "a swizzle of %d", map->swizzle);
  return (row % 16 == 0 && (!map->swizzle || row == map->swizzle)) || ir_kv_bad(c, "rows of %d bytes", row);
}

static bool check_library(checker *c) {
  const ir_kernel *k = c->kernel;
  static const ir_kbuffer_kind kinds[] = {IR_KB_IN, IR_KB_IN, IR_KB_OUT};
  bool fits = k->library.outs > 0 && k->library.cols > 0 && k->library.outs <= INT32_MAX &&
              k->library.cols <= INT32_MAX && k->library.algorithm >= 0 &&
              k->library.algorithm <= IR_KB_MAX_ALGORITHM && k->size_count == 1 && k->arg_count == 3;
  for (int i = 0; fits && i < k->buffer_count; i++)
    fits = k->buffers[i].arg < 0 || k->buffers[i].kind == kinds[k->buffers[i].arg];
  return fits || ir_kv_bad(c, "a library's product has x, w and y, and one size");
}

bool ir_kv_block_head(checker *c) {
  const ir_kernel *k = c->kernel;
  if (k->library.outs && !check_library(c)) return false;
  if (k->threads < IR_WARP || k->threads > IR_KB_MAX_THREADS || k->threads % IR_WARP)
    return ir_kv_bad(c, "%d threads: a multiple of 32 up to 1024", k->threads);
  if (k->resident < 0 || k->resident * k->threads > 2048) return ir_kv_bad(c, "%d blocks resident", k->resident);
  if (k->cluster != 0 && k->cluster != 2 && k->cluster != 4 && k->cluster != 8)
    return ir_kv_bad(c, "a cluster of %d blocks: 2, 4 or 8", k->cluster);
  int64_t shared = ir_kernel_shared_bytes(k);
  if (shared > IR_KB_MAX_SHARED) return ir_kv_bad(c, "%lld bytes of shared memory", (long long)shared);
  if (k->map_count < 0 || k->map_count > IR_KB_MAX_MAPS) return ir_kv_bad(c, "%d maps", k->map_count);
  for (int i = 0; i < k->map_count; i++)
    if (!check_map(c, &k->maps[i])) return false;
  c->mark = k;
  return ir_kv_declare(c, k->thread_var, IR_KVAR_RANGE);
}
