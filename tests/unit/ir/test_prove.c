// The prover: the examples of its page, and soundness against brute force on small random instances.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ir/prove.h"

static weir_arena arena;

static void setup(void) { weir_arena_init(&arena); }
static void teardown(void) { weir_arena_deinit(&arena); }

TestSuite(prove, .init = setup, .fini = teardown);

// ---- the page: blocks ```prove with one line each
//
//   dim T in 1..=512 by 2      a symbol; `..=*` without an upper bound
//   index n in 0..A - K + 1    an index variable
//   given n + k < A            an assumption; also `given (T + 1) % 4 == 0`
//   yes 2*(T/2) == T           a proof is found
//   open 2*(T/2) == T          none is
//   needs T % 2 == 0           the fact that the last open one lacks
//   bounds 0..=7 n%8           the interval

typedef struct {
  ir_prover *prover;
  ir_dim_table *module;
  char *last;  // missing fact of the last open question
  int line, asked;
} page;

static ir_dim expression(page *p, const char **at) {
  ir_dim e = ir_dim_parse(ir_prover_dims(p->prover), at, false);
  cr_assert(e, "line %d: '%s' is no expression", p->line, *at);
  return e;
}

static ir_prove_relation relation(page *p, const char **at) {
  static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">"};
  static const ir_prove_relation relations[] = {IR_PROVE_EQ, IR_PROVE_NE, IR_PROVE_LE,
                                                IR_PROVE_GE, IR_PROVE_LT, IR_PROVE_GT};
  while (**at == ' ') ++*at;
  for (int i = 0; i < 6; i++) {
    if (strncmp(*at, signs[i], strlen(signs[i])) != 0) continue;
    *at += strlen(signs[i]);
    return relations[i];
  }
  cr_assert(false, "line %d: '%s' is no relation", p->line, *at);
  return IR_PROVE_EQ;
}

static void page_dim(page *p, const char *at) {
  char name[32], high[32];
  long long lo, hi = 0, by = 1;
  int got = sscanf(at, "%31s in %lld..=%31s by %lld", name, &lo, high, &by);
  cr_assert(got >= 3, "line %d: %s", p->line, at);
  if (high[0] == '*') hi = INT64_MAX;
  else cr_assert_eq(sscanf(high, "%lld", &hi), 1);
  ir_symbol *symbol = ir_symbol_get(p->module, name);
  symbol->lo = lo;
  symbol->hi = hi;
  symbol->divisor = by;
  cr_assert(ir_prover_import(p->prover, ir_dim_symbol(p->module, symbol)));
}

static void page_index(page *p, const char *at) {
  char name[32];
  int length;
  cr_assert_eq(sscanf(at, "%31s in %n", name, &length), 1, "line %d: %s", p->line, at);
  at += length;
  char *dots = strstr(at, "..");
  cr_assert(dots, "line %d: %s", p->line, at);
  const char *low = weir_arena_strndup(&arena, at, (size_t)(dots - at)), *high = dots + 2;
  ir_dim l = expression(p, &low);
  ir_prover_index(p->prover, name, l, expression(p, &high));
}

static void page_given(page *p, const char *at) {
  ir_dim a = expression(p, &at);
  ir_prove_relation r = relation(p, &at);
  ir_dim b = expression(p, &at);
  ir_prover_assume(p->prover, r, a, b);
}

static void page_multiple(page *p, const char *at) {
  const char *sign = strrchr(at, '%');
  const char *e = weir_arena_strndup(&arena, at, (size_t)(sign - at));
  ir_prover_assume_multiple(p->prover, expression(p, &e), strtoll(sign + 1, NULL, 10));
}

static void page_ask(page *p, const char *at, bool wanted) {
  const char *text = at;
  ir_dim a = expression(p, &at);
  ir_prove_relation r = relation(p, &at);
  ir_dim b = expression(p, &at);
  bool proved = ir_prove_compare(p->prover, r, a, b);
  cr_expect_eq(proved, wanted, "line %d: '%s' is %s", p->line, text, proved ? "proved" : "open");
  const char *missing = proved ? NULL : ir_prove_missing(p->prover, &arena, r, a, b);
  p->last = weir_arena_strdup(&arena, missing ? missing : "nothing");
  p->asked++;
}

static void page_bounds(page *p, const char *at) {
  long long lo, hi;
  int length;
  cr_assert_eq(sscanf(at, "%lld..=%lld %n", &lo, &hi, &length), 2, "line %d: %s", p->line, at);
  at += length;
  int64_t got_lo, got_hi;
  ir_prove_bounds(p->prover, expression(p, &at), &got_lo, &got_hi);
  cr_expect(got_lo == lo && got_hi == hi, "line %d: it is %lld..=%lld", p->line, (long long)got_lo, (long long)got_hi);
}

static void page_line(page *p, const char *text) {
  if (!strncmp(text, "dim ", 4)) page_dim(p, text + 4);
  else if (!strncmp(text, "index ", 6)) page_index(p, text + 6);
  else if (!strncmp(text, "given ", 6) && strchr(text, '%') && strstr(text, "== 0"))
    page_multiple(p, weir_arena_strndup(&arena, text + 6, (size_t)(strstr(text, "== 0") - text - 6)));
  else if (!strncmp(text, "given ", 6)) page_given(p, text + 6);
  else if (!strncmp(text, "yes ", 4)) page_ask(p, text + 4, true);
  else if (!strncmp(text, "open ", 5)) page_ask(p, text + 5, false);
  else if (!strncmp(text, "bounds ", 7)) page_bounds(p, text + 7);
  else if (!strncmp(text, "needs ", 6)) cr_expect_str_eq(p->last, text + 6, "line %d: it says '%s'", p->line, p->last);
  else cr_assert(false, "line %d: '%s'", p->line, text);
}

Test(prove, page) {
  FILE *file = fopen(WEIR_SOURCE_DIR "/docs/language/prover.md", "r");
  cr_assert(file);
  char text[512];
  page p = {0};
  bool inside = false;
  while (fgets(text, sizeof text, file)) {
    p.line++;
    text[strcspn(text, "\r\n")] = 0;
    char *comment = strstr(text, "  //");
    if (comment) {
      while (comment > text && comment[-1] == ' ') comment--;
      *comment = 0;
    }
    if (!strncmp(text, "```", 3)) {
      inside = !strcmp(text, "```prove");
      p.prover = ir_prover_create(&arena);
      p.module = ir_dim_table_create(&arena);
    } else if (inside && *text) {
      page_line(&p, text);
    }
  }
  fclose(file);
  cr_assert_gt(p.asked, 30);
}

// ---- brute force

typedef struct {
  uint64_t state;
} generator;

static int draw(generator *g, int count) {
  g->state = g->state * 6364136223846793005u + 1442695040888963407u;
  return (int)((g->state >> 33) % (uint64_t)count);
}

enum { SYMBOLS = 2, INDICES = 2, NAMES = SYMBOLS + INDICES, FACTS = 3 };

typedef struct {
  ir_prover *prover;
  ir_dim names[NAMES];
  int64_t lo[SYMBOLS], hi[SYMBOLS], divisor[SYMBOLS];
  ir_dim high[INDICES];
  ir_prove_relation relations[FACTS];
  ir_dim a[FACTS], b[FACTS];
  int64_t by[FACTS];
  int facts, known;  // names made so far
} instance;

static ir_dim random_expression(generator *g, instance *x, int depth) {
  ir_dim_table *t = ir_prover_dims(x->prover);
  if (depth == 0 || draw(g, 4) == 0) return draw(g, 3) ? x->names[draw(g, x->known)] : ir_dim_const(t, draw(g, 5) - 1);
  ir_dim a = random_expression(g, x, depth - 1), b = random_expression(g, x, depth - 1);
  switch (draw(g, 8)) {
    case 0:
    case 1:
    case 2:
      return ir_dim_add(t, a, b);
    case 3:
    case 4:
      return ir_dim_sub(t, a, b);
    case 5:
      return ir_dim_mul(t, a, b);
    case 6:
      return ir_dim_div(t, a, draw(g, 4) ? ir_dim_const(t, 2 + draw(g, 3)) : x->names[draw(g, SYMBOLS)]);
    default:
      return ir_dim_mod(t, a, draw(g, 4) ? ir_dim_const(t, 2 + draw(g, 3)) : x->names[draw(g, SYMBOLS)]);
  }
}

static void make_instance(generator *g, instance *x) {
  *x = (instance){.prover = ir_prover_create(&arena)};
  ir_dim_table *module = ir_dim_table_create(&arena), *t = ir_prover_dims(x->prover);
  for (int i = 0; i < SYMBOLS; i++) {
    ir_symbol *symbol = ir_symbol_get(module, i ? "B" : "A");
    x->lo[i] = symbol->lo = draw(g, 3);
    x->hi[i] = symbol->lo + 1 + draw(g, 6);
    symbol->hi = draw(g, 4) ? x->hi[i] : INT64_MAX;
    x->divisor[i] = symbol->divisor = draw(g, 3) ? 1 : 2 + draw(g, 2);
    x->names[x->known++] = ir_prover_import(x->prover, ir_dim_symbol(module, symbol));
  }
  for (int i = 0; i < INDICES; i++) {
    ir_dim high = random_expression(g, x, 1);
    if (!high) high = ir_dim_const(t, 3);
    x->high[i] = high;
    x->names[x->known++] = ir_prover_index(x->prover, i ? "j" : "i", ir_dim_const(t, 0), high);
  }
  for (int count = draw(g, FACTS + 1); x->facts < count;) {
    int f = x->facts;
    x->relations[f] = (ir_prove_relation)draw(g, 6);
    x->a[f] = random_expression(g, x, 2);
    x->b[f] = random_expression(g, x, 1);
    x->by[f] = draw(g, 3) ? 0 : 2 + draw(g, 3);
    if (!x->a[f] || !x->b[f]) continue;
    if (x->by[f]) ir_prover_assume_multiple(x->prover, x->a[f], x->by[f]);
    else ir_prover_assume(x->prover, x->relations[f], x->a[f], x->b[f]);
    x->facts++;
  }
}

static bool relation_holds(ir_prove_relation r, int64_t a, int64_t b) {
  return r == IR_PROVE_EQ   ? a == b
         : r == IR_PROVE_NE ? a != b
         : r == IR_PROVE_LT ? a < b
         : r == IR_PROVE_LE ? a <= b
         : r == IR_PROVE_GT ? a > b
                            : a >= b;
}

// Whether the values obey all that the prover was told.
static bool allowed(const instance *x, const int64_t *values) {
  for (int i = 0; i < INDICES; i++) {
    int64_t high;
    if (!ir_dim_eval(x->high[i], values, &high) || values[SYMBOLS + i] >= high) return false;
  }
  for (int i = 0; i < x->facts; i++) {
    int64_t a, b;
    if (!ir_dim_eval(x->a[i], values, &a) || !ir_dim_eval(x->b[i], values, &b)) return false;
    if (x->by[i] ? a % x->by[i] != 0 : x->relations[i] != IR_PROVE_NE && !relation_holds(x->relations[i], a, b))
      return false;
  }
  return true;
}

// Calls |check| for all values; false as soon as it says so.
static bool all_values(const instance *x, bool (*check)(void *user, const int64_t *values), void *user) {
  int64_t v[NAMES];
  for (v[0] = x->lo[0]; v[0] <= x->hi[0]; v[0]++) {
    for (v[1] = x->lo[1]; v[1] <= x->hi[1]; v[1]++) {
      if (v[0] % x->divisor[0] || v[1] % x->divisor[1]) continue;
      for (v[2] = 0; v[2] < 9; v[2]++) {
        for (v[3] = 0; v[3] < 9; v[3]++) {
          if (allowed(x, v) && !check(user, v)) return false;
        }
      }
    }
  }
  return true;
}

typedef struct {
  ir_prove_relation relation;
  ir_dim a, b;
  int64_t by, lo, hi;
} claim;

static bool claim_holds(void *user, const int64_t *values) {
  const claim *c = user;
  int64_t a, b;
  if (!ir_dim_eval(c->a, values, &a) || !ir_dim_eval(c->b, values, &b)) return true;  // division by zero says nothing
  if (c->by) return a % c->by == 0;
  return relation_holds(c->relation, a, b);
}

static bool within(void *user, const int64_t *values) {
  const claim *c = user;
  int64_t a;
  return !ir_dim_eval(c->a, values, &a) || (a >= c->lo && a <= c->hi);
}

Test(prove, never_a_falsehood) {
  generator g = {20240607};
  int proved = 0, asked = 0, wrong = 0, true_claims = 0;
  for (int round = 0; round < 1500 && wrong < 3; round++) {
    instance x;
    make_instance(&g, &x);
    for (int k = 0; k < 6; k++) {
      claim c = {.relation = (ir_prove_relation)draw(&g, 6)};
      c.a = random_expression(&g, &x, 3);
      c.b = random_expression(&g, &x, 1);
      c.by = draw(&g, 5) ? 0 : 2 + draw(&g, 3);
      if (!c.a || !c.b) continue;
      bool yes = c.by ? ir_prove_multiple(x.prover, c.a, c.by) : ir_prove_compare(x.prover, c.relation, c.a, c.b);
      bool holds = all_values(&x, claim_holds, &c);
      ir_prove_bounds(x.prover, c.a, &c.lo, &c.hi);
      bool inside = all_values(&x, within, &c);
      asked++;
      proved += yes;
      true_claims += holds;
      if ((!yes || holds) && inside) continue;
      wrong++;
      cr_expect(false, "round %d: %s against %s (relation %d, by %lld): proved %d, holds %d; interval %lld..=%lld",
                round, ir_prove_text(x.prover, &arena, c.a), ir_prove_text(x.prover, &arena, c.b), (int)c.relation,
                (long long)c.by, yes, holds, (long long)c.lo, (long long)c.hi);
    }
  }
  fprintf(stderr, "prover: %d of %d claims hold on the values tried, %d proved\n", true_claims, asked, proved);
  cr_assert_gt(proved * 2, true_claims, "%d of %d proved", proved, true_claims);
}

Test(prove, facts_end_with_their_guard) {
  ir_prover *p = ir_prover_create(&arena);
  ir_dim_table *t = ir_prover_dims(p);
  ir_dim n = ir_prover_unknown(p, "n", INT64_MIN, INT64_MAX), ten = ir_dim_const(t, 10);
  int mark = ir_prover_mark(p);
  ir_prover_assume(p, IR_PROVE_LT, n, ten);
  cr_assert(ir_prove_compare(p, IR_PROVE_LT, n, ten));
  cr_assert_eq(ir_prove_decide(p, IR_PROVE_GE, n, ten), 0);
  ir_prover_release(p, mark);
  cr_assert_eq(ir_prove_decide(p, IR_PROVE_LT, n, ten), -1);
  cr_assert(!ir_prove_nonnegative(p, NULL));
}

// Systems at the limits end soon.
Test(prove, work_is_bounded, .timeout = 20) {
  ir_prover *p = ir_prover_create(&arena);
  ir_dim_table *t = ir_prover_dims(p);
  ir_dim sum = ir_dim_const(t, 0), names[20];
  for (int i = 0; i < 20; i++)
    names[i] = ir_prover_index(p, weir_arena_printf(&arena, "i%d", i), ir_dim_const(t, 0),
                               i ? ir_dim_add(t, names[i - 1], ir_dim_const(t, 3)) : ir_dim_const(t, 9));
  for (int i = 0; i < 200; i++) {
    ir_dim a = names[i % 20], b = names[(7 * i + 3) % 20], c = names[(11 * i + 5) % 20];
    ir_prover_assume(p, IR_PROVE_LE, ir_dim_add(t, ir_dim_mul(t, a, b), ir_dim_const(t, i)), ir_dim_mul(t, c, b));
    ir_prover_assume(p, IR_PROVE_LE, ir_dim_mul(t, ir_dim_const(t, 3 + i % 7), a), ir_dim_add(t, b, c));
  }
  for (int i = 0; i + 1 < 20; i++) sum = ir_dim_add(t, sum, ir_dim_mul(t, names[i], names[i + 1]));
  for (int i = 0; i < 20; i++) {
    int64_t lo, hi;
    ir_prove_bounds(p, sum, &lo, &hi);
    ir_prove_compare(p, IR_PROVE_LT, sum, ir_dim_mul(t, names[i], names[3]));
  }
}
