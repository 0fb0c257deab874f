// Attention by matrix units (mma.sync m16n8k16), where products of the function compute in lower precision: the inside
// of both schedules of attend.c.
//
// Rows are the rows of fragments, query heads of a group side by side, so that a key is read once for all of them.
// Scores are sums over elements, sixteen at a time, in order, in float32; weights are rounded to the format of the
// values. Keys are taken 64 at a time (32 where heads are wide), as in FlashAttention-2 (Dao 2023), with exponents of 2
// and the scale in their factor. What is subtracted of a row is not its largest score but a reference, which rises to
// that where the row has got more than 2^8 above it: any reference gives the same quotient, and sums seldom need to be
// scaled. All of this is a row's own, counted from absolute positions, and pieces are merged as everywhere, so that no
// bit depends on other rows or on the schedule:
//
//   whole  a warp has sixteen rows and goes through all keys; weights stay in registers, from fragment C to fragment A.
//          Tiles of keys and values are copied while those before are multiplied.
//   split  the block has one piece. A warp has a tile of its keys, straight from memory in fragments, for all rows;
//          weights meet in shared memory; then it has some of the columns, for all keys in order. Values are asked for
//          first of all.
//
// A hidden key weighs 0, so what a row does not see must be finite to leave no trace.
#include <math.h>

#include "codegen/lower/block/attend_mma.h"

enum {
  SHARED_BYTES = 99 << 10,  // what every machine from sm_80 on gives a block
  STAGED_TWICE = 48 << 10,  // up to this much two tiles are in flight by default
  SPLIT_HIGH = 2,           // fragments of rows of the split schedule
  WIDE = 128,               // columns of a warp: its sums, and those of the pieces before, are registers
  LOADED = 5,               // operations whose keys are asked for at a time,
  LOADED_FEW = 2,           // with more rows; 1 where keys are rounded first
};

// ---- sizes

static int64_t up_to(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Whether products of the function are of lower precision: then so are its scores.
static bool computes_lower(const function_lowering *fl) {
  for (const ir_node *node = fl->function->first; node; node = node->next)
    if (node->op == IR_OP_linear && cg_linear_compute(fl, node)) return true;
  return false;
}

// Rows of the split schedule: a bias takes registers.
static int64_t split_rows(const attend_kernel *a) { return a->bias ? MMA_ROWS : MMA_ROWS * SPLIT_HIGH; }

bool cg_attend_mma_takes(const attend_kernel *a) {
  int64_t most = a->bias ? WIDE : 2 * WIDE;
  return a->fl->low->options->blocks && a->type == IR_KT_f32 && a->group <= split_rows(a) && a->depth <= most &&
         a->width <= most && a->depth % 2 == 0 && computes_lower(a->fl);
}

// Of the shape alone, since sums follow from it.
static int key_tile_of(const attend_kernel *a) { return a->width > WIDE ? 32 : 64; }

// So that the sums of a warp are registers; a bias takes some.
static int sides_of(const attend_kernel *a) {
  int sides = 1, most = a->bias ? WIDE / 2 : WIDE;
  while (a->width > sides * most) sides *= 2;
  return sides;
}

static int warps_of(const attend_kernel *a) {
  static const int64_t others[] = {4, 8};
  const char *key = weir_arena_printf(a->fl->low->arena, "block_attend_%lldx%lld_%lldx%lld", (long long)a->key_heads,
                                      (long long)a->group, (long long)a->depth, (long long)a->width);
  return (int)cg_schedule_choice(a->fl->low, key, "warps", a->width > WIDE / 2 ? 8 : 4, others, 2);
}

int64_t cg_attend_mma_tile(const attend_kernel *a) { return warps_of(a) / sides_of(a) * MMA_ROWS / a->group; }

int64_t cg_attend_mma_few(const attend_kernel *a, int64_t wanted) {
  int64_t rows = split_rows(a) / a->group;
  return rows < wanted ? rows : wanted;
}

int cg_attend_mma_threads(const attend_kernel *a, bool split) {
  return IR_WARP * (split ? ATTEND_PIECE / key_tile_of(a) : warps_of(a));
}

static int64_t shared(int64_t bytes) { return up_to(bytes, 1024); }

// Stages and rows of values that shared memory has room for.
static void fit(attend_mma *f) {
  attend_kernel *a = f->a;
  int64_t rows = (int64_t)MMA_ROWS * f->high * (f->split ? 1 : f->warps / f->sides);
  int64_t fixed = shared(2 * rows * am_query_stride(f)), row = 2 * am_value_stride(f);
  if (f->split) {
    int64_t lanes = (int64_t)8 * IR_WARP * f->high;
    fixed += shared(lanes * 2 * ATTEND_PIECE / MMA_PANEL) + 2 * shared(lanes * (ATTEND_PIECE / f->key_tile));
    for (f->value_rows = ATTEND_PIECE; fixed + shared(f->value_rows * row) > SHARED_BYTES;) f->value_rows /= 2;
    return;
  }
  static const int64_t others[] = {1, 2};
  const char *key = weir_arena_printf(a->fl->low->arena, "block_attend_%lldx%lld_%lldx%lld", (long long)a->key_heads,
                                      (long long)a->group, (long long)a->depth, (long long)a->width);
  int64_t twice = fixed + shared(2 * am_key_bytes(f)) + shared(2 * f->key_tile * row);
  f->stages = 1;
  if (twice <= SHARED_BYTES)
    f->stages = (int)cg_schedule_choice(a->fl->low, key, "stages", twice <= STAGED_TWICE ? 2 : 1, others, 2);
}

static void add_shared(attend_mma *f) {
  ir_kbuilder *b = am_builder(f);
  int64_t rows = (int64_t)MMA_ROWS * f->high * (f->split ? 1 : f->warps / f->sides);
  f->queries = ir_kb_add_shared(b, "queries", 2 * rows * am_query_stride(f));
  f->values =
      ir_kb_add_shared(b, "values", 2 * am_value_stride(f) * (f->split ? f->value_rows : f->stages * f->key_tile));
  if (!f->split) {
    f->keys = ir_kb_add_shared(b, "keys", f->stages * am_key_bytes(f));
    return;
  }
  int64_t lanes = (int64_t)8 * IR_WARP * f->high;
  f->weights = ir_kb_add_shared(b, "weights", lanes * 2 * ATTEND_PIECE / MMA_PANEL);
  f->maxima = ir_kb_add_shared(b, "maxima", lanes * (ATTEND_PIECE / f->key_tile));
  f->sums = ir_kb_add_shared(b, "sums", lanes * (ATTEND_PIECE / f->key_tile));
}

ir_kvar *am_reg(attend_mma *f, const char *name, ir_ktype type, int x, int y, int z, double initial) {
  int dims[3] = {x, y, z};
  return ir_kb_reg(am_builder(f), name, type, false,
                   z   ? 3
                   : y ? 2
                       : 1,
                   dims, ir_kb_const(am_builder(f), type, initial));
}

// Operations whose keys are asked for before the first of them is done.
int am_loaded(const attend_mma *f) {
  bool words = f->form == MMA_KEYS_WORDS && f->keys_ahead;
  int most = !words ? 1 : f->high > 1 ? LOADED_FEW : LOADED, count = f->steps < most ? f->steps : most;
  while (f->steps % count) count--;
  return count;
}

static void bind_thread(attend_mma *f) {
  ir_kbuilder *b = am_builder(f);
  f->warp = ir_kb_let(b, "warp", bk_div(b, f->thread, IR_WARP));
  f->lane = ir_kb_let(b, "lane", bk_mod(b, f->thread, IR_WARP));
  f->group = ir_kb_let(b, "group", bk_div(b, f->lane, 4));
  f->quad = ir_kb_let(b, "quad", bk_mod(b, f->lane, 4));
  f->first_row =
      f->split ? am_num(f, 0) : ir_kb_let(b, "first_row", bk_scaled(b, bk_div(b, f->warp, f->sides), MMA_ROWS));
  f->side = f->split ? f->warp : bk_mod(b, f->warp, f->sides);
  // Matrices of eight rows: the rows behind, then sixteen bytes further.
  const ir_kexpr *row = bk_mod(b, f->lane, 16), *far = bk_scaled(b, bk_div(b, f->lane, 16), 8);
  const ir_kexpr *query = bk_scaled(b, ir_kb_add(b, f->first_row, row), am_query_stride(f));
  f->query_at = ir_kb_let(b, "query_at", ir_kb_add(b, query, far));
  const ir_kexpr *value = ir_kb_add(b, bk_scaled(b, row, am_value_stride(f)), far);
  f->value_at = ir_kb_let(b, "value_at", ir_kb_add(b, value, bk_scaled(b, f->side, 16)));
  if (f->split) return;
  const ir_kexpr *at;
  if (f->form == MMA_KEYS_WORDS) {
    const ir_kexpr *half = bk_scaled(b, bk_div(b, f->quad, 2), 8);
    at = ir_kb_op(b, IR_K_xor, IR_KT_i64, bk_scaled(b, f->group, 2), half, NULL);
    at = ir_kb_add(b, bk_scaled(b, f->quad, MMA_PANEL), at);
  } else if (f->form == MMA_KEYS_HALVES) {
    const ir_kexpr *half =
        ir_kb_op(b, IR_K_xor, IR_KT_i64, bk_div(b, f->lane, 16), bk_mod(b, bk_div(b, f->lane, 4), 2), NULL);
    at = ir_kb_add(b, bk_scaled(b, row, MMA_PANEL), bk_scaled(b, half, 8));
  } else {  // the elements behind, then the keys
    at = ir_kb_add(b, bk_mod(b, f->lane, 8), far);
    at = ir_kb_add(b, bk_scaled(b, at, am_query_stride(f)), bk_scaled(b, bk_mod(b, bk_div(b, f->lane, 8), 2), 8));
  }
  f->key_at = ir_kb_let(b, "key_at", at);
}

static void bind_rows(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *last = bk_plus(b, a->rows, -1);
  for (int m = 0; m < f->high; m++)
    for (int h = 0; h < 2; h++) {
      const ir_kexpr *row = ir_kb_add(b, f->first_row, bk_plus(b, f->group, MMA_ROWS * m + 8 * h));
      f->rows[m][h] = ir_kb_let(b, "row", ir_kb_min(b, row, last));
    }
}

void am_open(attend_mma *f, attend_kernel *a, const ir_kexpr *thread, bool split) {
  ir_kbuilder *b = &a->e.b;
  *f = (attend_mma){.a = a, .thread = thread, .split = split, .stages = 1};
  f->key_tile = key_tile_of(a);
  f->steps = (int)up_to(a->depth, 16) / 16;
  f->pairs = (int)up_to(a->width, 16) / 16;
  f->warps = cg_attend_mma_threads(a, split) / IR_WARP;
  f->sides = sides_of(a);
  f->high = split ? (int)up_to(a->tile * a->group, MMA_ROWS) / MMA_ROWS : 1;
  f->apart = split ? f->warps : f->sides;
  f->mine = (f->pairs + f->apart - 1) / f->apart;
  f->folded = !a->bias && a->scale > 0;
  f->factor = (f->folded ? a->scale : 1) * M_LOG2E;
  am_choose_forms(f);
  fit(f);
  add_shared(f);
  bind_thread(f);
  int loaded = split ? am_loaded(f) : 1, panels = am_panels(f);
  f->a_words = am_reg(f, "a", IR_KT_u32, 4, 0, 0, 0);
  f->b_words = am_reg(f, "b", IR_KT_u32, loaded, panels, 4, 0);
  f->pair = am_reg(f, "pair", IR_KT_u32, 2, 0, 0, 0);
  f->four = am_reg(f, "four", IR_KT_f32, 4, 0, 0, 0);
  f->score = am_reg(f, "score", IR_KT_f32, f->high, 2 * panels, 4, 0);
  f->weight = am_reg(f, "weight", IR_KT_u32, f->high, panels, 4, 0);
  f->out = am_reg(f, "out", IR_KT_f32, f->high, 2 * f->mine, 4, 0);
  f->largest = am_reg(f, "largest", IR_KT_f32, f->high, 2, 0, -INFINITY);
  f->sum = am_reg(f, "sum", IR_KT_f32, f->high, 2, 0, 0);
  if (split) {
    am_stage_values(f, a->piece, f->value_rows, am_num(f, 0));
    ir_kb_commit(b);
  }
  am_stage_queries(f);
  bind_rows(f);
}

// ---- which keys are seen

// With the piece bound.
void am_bind_seen(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *last_row = bk_plus(b, a->rows, -1), *from, *to;
  for (int m = 0; m < f->high; m++)
    for (int h = 0; h < 2; h++) {
      cg_attend_visible(a, f->rows[m][h], &from, &to);
      f->from[m][h] = ir_kb_let(b, "from", ir_kb_cast(b, IR_KT_i32, from));
      f->to[m][h] = ir_kb_let(b, "to", ir_kb_cast(b, IR_KT_i32, to));
    }
  cg_attend_visible(a, ir_kb_let(b, "row", ir_kb_min(b, f->first_row, last_row)), &f->some_from, &f->all_to);
  const ir_kexpr *last = bk_plus(b, f->first_row, (int64_t)MMA_ROWS * f->high - 1);
  cg_attend_visible(a, ir_kb_let(b, "row", ir_kb_min(b, last, last_row)), &f->all_from, &f->some_to);
}

// Whether some row of the warp sees some key of the tile that begins at |tile|.
const ir_kexpr *am_is_seen(attend_mma *f, const ir_kexpr *tile) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *end = bk_plus(b, tile, f->key_tile);
  return bk_and(b, bk_less(b, tile, f->some_to), bk_less(b, f->some_from, end));
}

// Opens an `if` where fragment |m| may have no rows.
void am_open_fragment(attend_mma *f, int m) {
  ir_kbuilder *b = am_builder(f);
  if (m) ir_kb_if(b, bk_less(b, am_num(f, (int64_t)MMA_ROWS * m), f->a->rows));
}

void am_close_fragment(attend_mma *f, int m) {
  if (m) ir_kb_end(am_builder(f));
}
