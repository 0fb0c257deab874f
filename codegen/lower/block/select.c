// Order in shared memory, and the first few of a long line (line.h).
//
// Sorting is bitonic over pairs of key and place, which are all different, so what comes out is stable. The first k are
// found by digits, eleven bits of the keys at a time and then of the places, for equals: a histogram says in which
// digit the k-th lies and how many are wanted of it. As soon as all of a digit are wanted the rest need not be looked
// at. Those found go to shared memory as they come and are sorted there, so their order is not that of the threads.
#include "codegen/lower/line.h"

enum { DIGIT = 11, BINS = 1 << DIGIT, BATCH = 4, WORDS = 8, KEY_BITS = 32, PLACE_BITS = 31 };
enum { WORD_DIGIT, WORD_WANTED, WORD_DONE, WORD_COUNT, WORD_PLACE_DONE };  // of |words|

// ---- keys

bool cg_has_sort_key(ir_dtype dtype) {
  ir_ktype type = cg_compute_type(dtype);
  return type == IR_KT_f32 || (!ir_ktype_is_float(type) && ir_ktype_bytes(type) <= 4);
}

const ir_kexpr *cg_emit_sort_key(ir_kbuilder *b, const ir_kexpr *x, bool descending) {
  const ir_kexpr *top = ln_u32(b, 0x80000000u), *key, *flipped;
  if (!ir_ktype_is_float(x->type)) {
    key = ir_kb_op(b, IR_K_bitcast, IR_KT_u32, ir_kb_cast(b, IR_KT_i32, x), NULL, NULL);
    key = ln_op(b, IR_K_xor, key, top);
    return descending ? ln_not(b, key) : key;
  }
  x = ir_kb_let(b, "x", ir_kb_add(b, x, ir_kb_const(b, x->type, 0)));  // one zero
  key = ir_kb_let(b, "bits", ir_kb_op(b, IR_K_bitcast, IR_KT_u32, x, NULL, NULL));
  flipped = ln_choose(b, ln_test(b, IR_K_ge, key, top), ln_not(b, key), ln_op(b, IR_K_xor, key, top));
  if (descending) flipped = ln_not(b, flipped);
  return ln_choose(b, ln_test(b, IR_K_ne, x, x), ln_u32(b, UINT32_MAX), flipped);
}

// ---- pairs

int cg_levels_of(int64_t count) {
  int levels = 0;
  while (((int64_t)1 << levels) < count) levels++;
  return levels;
}

const ir_kexpr *cg_emit_levels(ir_kbuilder *b, const ir_kexpr *count, int most) {
  if (count->op == IR_K_const) return bk_int(b, cg_levels_of(count->i));
  ir_kvar *levels = ln_reg(b, "levels", bk_int(b, 0));
  const ir_kexpr *n = bk_for(b, "n", bk_int(b, 0), bk_int(b, most), 1);
  ir_kb_if(b, bk_less(b, ln_op(b, IR_K_shl, bk_int(b, 1), n), count));
  ln_set(b, levels, bk_plus(b, n, 1));
  ir_kb_end(b);
  ir_kb_end(b);
  return ir_kb_let(b, "levels", ln_read(b, levels));
}

typedef struct {
  const ir_kexpr *key, *index;
} one_pair;

static one_pair load_pair(const cg_pairs *p, const ir_kexpr *at) {
  one_pair pair = {ir_kb_let(p->b, "key", ir_kb_load(p->b, IR_KT_u32, p->keys, at)),
                   ir_kb_let(p->b, "index", ir_kb_load(p->b, IR_KT_i32, p->indices, at))};
  return pair;
}

static void store_pair(const cg_pairs *p, const ir_kexpr *at, one_pair pair) {
  ir_kb_store(p->b, IR_KT_u32, p->keys, at, pair.key);
  ir_kb_store(p->b, IR_KT_i32, p->indices, at, pair.index);
}

void cg_emit_pairs_sort(const cg_pairs *p, const ir_kexpr *levels) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *one = bk_int(b, 1);
  const ir_kexpr *half = ir_kb_let(b, "half", bk_div(b, ln_op(b, IR_K_shl, one, levels), 2));
  const ir_kexpr *level = bk_for(b, "level", one, bk_plus(b, levels, 1), 1);
  const ir_kexpr *step = bk_for(b, "step", bk_int(b, 0), level, 1);
  const ir_kexpr *apart = ir_kb_let(b, "apart", ln_op(b, IR_K_shl, one, ir_kb_sub(b, ir_kb_sub(b, level, one), step)));
  const ir_kexpr *i = bk_for(b, "i", p->thread, half, p->threads);
  const ir_kexpr *inside = ln_op(b, IR_K_and, i, ir_kb_sub(b, apart, one));
  const ir_kexpr *low = ir_kb_let(b, "low", ir_kb_sub(b, ir_kb_add(b, i, i), inside));
  const ir_kexpr *high = ir_kb_let(b, "high", ir_kb_add(b, low, apart));
  one_pair x = load_pair(p, low), y = load_pair(p, high);
  const ir_kexpr *up = ln_test(b, IR_K_eq, ln_op(b, IR_K_and, low, ln_op(b, IR_K_shl, one, level)), bk_int(b, 0));
  const ir_kexpr *behind = ln_test(b, IR_K_gt, x.key, y.key);
  behind =
      ln_op(b, IR_K_or, behind, bk_and(b, ln_test(b, IR_K_eq, x.key, y.key), ln_test(b, IR_K_gt, x.index, y.index)));
  ir_kb_if(b, ln_test(b, IR_K_eq, behind, up));
  store_pair(p, low, y);
  store_pair(p, high, x);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
  ir_kb_end(b);
  ir_kb_end(b);
}

// ---- the first k

void cg_select_add_shared(cg_select *s) {
  ir_kbuilder *b = s->pairs.b;
  int64_t room = (int64_t)4 << cg_levels_of(s->most);
  s->pairs.keys = ir_kb_add_shared(b, "keys", room);
  s->pairs.indices = ir_kb_add_shared(b, "indices", room);
  s->histogram = ir_kb_add_shared(b, "histogram", 4 * BINS);
  s->words = ir_kb_add_shared(b, "words", 4 * WORDS + CG_SCAN_BYTES);
}

typedef struct {
  cg_select *s;
  ir_kvar *key, *place;  // the last that is taken
  ir_kvar *wanted;       // of those that agree with it so far
  ir_kvar *done;         // i32
} search;

// Key and place of element |at| as they are compared.
static const ir_kexpr *word(const cg_select *s, int nth) {
  return ir_kb_load(s->pairs.b, IR_KT_i32, s->words, bk_int(s->pairs.b, nth));
}

static void sum(void *user, const ir_kexpr *const *x, const ir_kexpr *const *y, const ir_kexpr **out) {
  out[0] = ir_kb_add(user, x[0], y[0]);
}

// Counts the digits at |shift|, |bits| wide, of what agrees with the search in front of them.
static void count_digits(search *f, bool places, int shift, int bits) {
  cg_select *s = f->s;
  ir_kbuilder *b = s->pairs.b;
  int threads = s->pairs.threads;
  const ir_kexpr *i = bk_for(b, "i", s->pairs.thread, bk_int(b, BINS), threads);
  ir_kb_store(b, IR_KT_i32, s->histogram, i, ln_i32(b, 0));
  ir_kb_end(b);
  ir_kb_barrier(b);
  ir_kvar *keys = ir_kb_reg(b, "key", IR_KT_u32, false, 1, (int[]){BATCH}, ln_u32(b, 0));
  const ir_kexpr *base = bk_for(b, "base", s->pairs.thread, s->size, (int64_t)threads * BATCH);
  const ir_kexpr *u = bk_unroll(b, "u", BATCH), *at = ir_kb_add(b, base, bk_scaled(b, u, threads));
  ir_kb_if(b, bk_less(b, at, s->size));
  ir_kb_set(b, keys, s->key(s->user, at), u, NULL, NULL);
  ir_kb_end(b);
  ir_kb_end(b);
  u = bk_unroll(b, "u", BATCH);
  at = ir_kb_add(b, base, bk_scaled(b, u, threads));
  const ir_kexpr *key = ir_kb_read(b, keys, u, NULL, NULL), *last = ln_read(b, f->key), *digit;
  const ir_kexpr *counts = bk_less(b, at, s->size), *mask = ln_u32(b, (1u << bits) - 1);
  if (!places) {
    int above = shift + bits;
    const ir_kexpr *from = ln_u32(b, (uint32_t)above);
    if (above < KEY_BITS)
      counts = bk_and(b, counts, ln_test(b, IR_K_eq, ln_op(b, IR_K_shr, key, from), ln_op(b, IR_K_shr, last, from)));
    digit = ir_kb_cast(b, IR_KT_i64, ln_op(b, IR_K_and, ln_op(b, IR_K_shr, key, ln_u32(b, (uint32_t)shift)), mask));
  } else {
    const ir_kexpr *from = bk_int(b, shift + bits), *place = ln_read(b, f->place);
    counts = bk_and(b, counts, ln_test(b, IR_K_eq, key, last));
    counts = bk_and(b, counts, ln_test(b, IR_K_eq, ln_op(b, IR_K_shr, at, from), ln_op(b, IR_K_shr, place, from)));
    digit = ln_op(b, IR_K_and, ln_op(b, IR_K_shr, at, bk_int(b, shift)), bk_int(b, (1 << bits) - 1));
  }
  ir_kb_if(b, counts);
  ir_kb_atomic(b, IR_K_add, ir_kb_place(s->histogram, IR_KT_i32, digit), ln_i32(b, 1));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
}

// The thread in whose digits the last one lies says which, how many are wanted of it, and whether these are all.
static void find_digit(search *f) {
  cg_select *s = f->s;
  ir_kbuilder *b = s->pairs.b;
  int threads = s->pairs.threads, per = (BINS + threads - 1) / threads;
  const ir_kexpr *first = ir_kb_let(b, "bin", bk_scaled(b, s->pairs.thread, per));
  ir_kvar *own = ln_reg(b, "own", ln_i32(b, 0));
  const ir_kexpr *u = bk_for(b, "u", bk_int(b, 0), bk_int(b, per), 1), *bin = ir_kb_add(b, first, u);
  ln_set(b, own, ir_kb_add(b, ln_read(b, own), ir_kb_load(b, IR_KT_i32, s->histogram, bin)));
  ir_kb_end(b);
  const cg_block_scan scan = {.count = 1, .type = IR_KT_i32, .combine = sum, .user = b};
  const ir_kexpr *mine = ir_kb_let(b, "mine", ln_read(b, own)), *before, *all;
  cg_emit_block_scan(b, &scan, s->pairs.thread, threads, s->words, &mine, &before, &all);
  ir_kvar *so_far = ln_reg(b, "so_far", before);
  const ir_kexpr *wanted = ir_kb_let(b, "wanted", ln_read(b, f->wanted));
  u = bk_for(b, "u", bk_int(b, 0), bk_int(b, per), 1);
  bin = ir_kb_let(b, "bin", ir_kb_add(b, first, u));
  const ir_kexpr *old = ir_kb_let(b, "old", ln_read(b, so_far));
  const ir_kexpr *here = ir_kb_let(b, "here", ir_kb_load(b, IR_KT_i32, s->histogram, bin));
  const ir_kexpr *now = ir_kb_let(b, "now", ir_kb_add(b, old, here));
  ir_kb_if(b, bk_and(b, bk_less(b, old, wanted), ln_test(b, IR_K_le, wanted, now)));
  const ir_kexpr *words[] = {ir_kb_cast(b, IR_KT_i32, bin), ir_kb_sub(b, wanted, old),
                             ir_kb_cast(b, IR_KT_i32, ln_test(b, IR_K_eq, wanted, now))};
  for (int n = 0; n < 3; n++) ir_kb_store(b, IR_KT_i32, s->words, bk_int(b, n), words[n]);
  ir_kb_end(b);
  ln_set(b, so_far, now);
  ir_kb_end(b);
  ir_kb_barrier(b);
}

static void take_digit(search *f, bool places, int shift) {
  cg_select *s = f->s;
  ir_kbuilder *b = s->pairs.b;
  const ir_kexpr *done = ir_kb_let(b, "found", ln_test(b, IR_K_ne, word(s, WORD_DONE), ln_i32(b, 0)));
  const ir_kexpr *digit = ir_kb_let(b, "digit", word(s, WORD_DIGIT));
  int64_t rest = ((int64_t)1 << shift) - 1;  // what may stand behind the digit, if all are wanted
  if (places) {
    const ir_kexpr *low = ln_choose(b, done, bk_int(b, rest), bk_int(b, 0));
    const ir_kexpr *high = ln_op(b, IR_K_shl, ir_kb_cast(b, IR_KT_i64, digit), bk_int(b, shift));
    ln_set(b, f->place, ln_op(b, IR_K_or, ln_read(b, f->place), ln_op(b, IR_K_or, high, low)));
  } else {
    const ir_kexpr *low = ln_choose(b, done, ln_u32(b, (uint32_t)rest), ln_u32(b, 0));
    const ir_kexpr *high =
        ln_op(b, IR_K_shl, ir_kb_op(b, IR_K_bitcast, IR_KT_u32, digit, NULL, NULL), ln_u32(b, (uint32_t)shift));
    ln_set(b, f->key, ln_op(b, IR_K_or, ln_read(b, f->key), ln_op(b, IR_K_or, high, low)));
    ln_set(b, f->place, ln_choose(b, done, bk_int(b, INT32_MAX), bk_int(b, 0)));
  }
  ln_set(b, f->wanted, word(s, WORD_WANTED));
  ln_set(b, f->done, word(s, WORD_DONE));
  ir_kb_barrier(b);
}

static void look_at(search *f, bool places, int shift, int bits) {
  ir_kbuilder *b = f->s->pairs.b;
  ir_kb_if(b, ln_test(b, IR_K_eq, ln_read(b, f->done), ln_i32(b, 0)));
  count_digits(f, places, shift, bits);
  find_digit(f);
  take_digit(f, places, shift);
  ir_kb_end(b);
}

// Those up to the last go to shared memory; what is free there is filled.
static void gather(search *f, const ir_kexpr *levels) {
  cg_select *s = f->s;
  ir_kbuilder *b = s->pairs.b;
  int threads = s->pairs.threads;
  const ir_kexpr *i = bk_for(b, "i", s->pairs.thread, ln_op(b, IR_K_shl, bk_int(b, 1), levels), threads);
  store_pair(&s->pairs, i, (one_pair){ln_u32(b, UINT32_MAX), ln_i32(b, INT32_MAX)});
  ir_kb_end(b);
  ir_kb_if(b, ln_test(b, IR_K_eq, s->pairs.thread, bk_int(b, 0)));
  ir_kb_store(b, IR_KT_i32, s->words, bk_int(b, WORD_COUNT), ln_i32(b, 0));
  ir_kb_end(b);
  ir_kb_barrier(b);
  i = bk_for(b, "i", s->pairs.thread, s->size, threads);
  const ir_kexpr *key = ir_kb_let(b, "key", s->key(s->user, i)), *last = ln_read(b, f->key);
  const ir_kexpr *taken = bk_and(b, ln_test(b, IR_K_eq, key, last), ln_test(b, IR_K_le, i, ln_read(b, f->place)));
  ir_kb_if(b, ln_op(b, IR_K_or, bk_less(b, key, last), taken));
  const ir_kexpr *at =
      ir_kb_atomic_old(b, "at", IR_K_add, ir_kb_place(s->words, IR_KT_i32, bk_int(b, WORD_COUNT)), ln_i32(b, 1));
  store_pair(&s->pairs, ir_kb_cast(b, IR_KT_i64, at), (one_pair){key, ir_kb_cast(b, IR_KT_i32, i)});
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
}

void cg_emit_select(cg_select *s) {
  ir_kbuilder *b = s->pairs.b;
  search f = {.s = s,
              .key = ln_reg(b, "last_key", ln_u32(b, 0)),
              .place = ln_reg(b, "last_place", bk_int(b, 0)),
              .wanted = ln_reg(b, "wanted", ir_kb_cast(b, IR_KT_i32, s->k)),
              .done = ln_reg(b, "done", ln_i32(b, 0))};
  for (int left = KEY_BITS; left > 0; left -= DIGIT)
    look_at(&f, false, left > DIGIT ? left - DIGIT : 0, left > DIGIT ? DIGIT : left);
  for (int left = PLACE_BITS; left > 0; left -= DIGIT)
    look_at(&f, true, left > DIGIT ? left - DIGIT : 0, left > DIGIT ? DIGIT : left);
  const ir_kexpr *levels = cg_emit_levels(b, s->k, cg_levels_of(s->most));
  gather(&f, levels);
  cg_emit_pairs_sort(&s->pairs, levels);
}
