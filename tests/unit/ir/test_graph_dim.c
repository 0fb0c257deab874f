// Dims: normal form, division, bounds, text.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/dim.h"

static weir_arena arena;
static ir_dim_table *table;

static void setup(void) {
  weir_arena_init(&arena);
  table = ir_dim_table_create(&arena);
  ir_symbol *T = ir_symbol_get(table, "T"), *E = ir_symbol_get(table, "E");
  ir_symbol_get(table, "S");
  T->role = IR_ROLE_SEQ;
  T->hi = 8192;
  E->divisor = 4;
  ir_symbol_past(table, T);
}

static void teardown(void) { weir_arena_deinit(&arena); }

TestSuite(dim, .init = setup, .fini = teardown);

static ir_dim read_dim(const char *text) {
  const char *cursor = text;
  ir_dim dim = ir_dim_parse(table, &cursor, false);
  cr_assert(dim, "'%s' does not parse", text);
  cr_assert_eq(*cursor, 0, "'%s' is left of '%s'", cursor, text);
  return dim;
}

Test(dim, equal_polynomials_are_one_pointer) {
  static const char *const pairs[][2] = {
      {"2*(T + 1)", "T + T + 2"},
      {"(T + 1)*(T - 1)", "T*T - 1"},
      {"(T - 1)/2 + 1", "(T + 1)/2"},
      {"(2*T + 4)/2", "T + 2"},
      {"(4*T + 2)/4", "T"},
      {"T/2/3", "T/6"},
      {"(T/2 + 1)/3", "(T + 2)/6"},
      {"2*(T/2) + T%2", "T"},
      {"4*(E/4)", "E"},
      {"2*(E/2)", "E"},
      {"E%4", "0"},
      {"E - E/4", "3*(E/4)"},
      {"T*E - T*(E/2)", "T*(E/2)"},
      {"E - 4*(E/4)", "0"},
      {"(E + 3)/4", "E/4"},
      {"(E + 3)%4", "3"},
      {"(T*S)/S", "T"},
      {"(T*T - S*S)/(T - S)", "T + S"},
      {"(T*S + 3*S)/S", "T + 3"},
      {"T%1", "0"},
      {"(3*T)%3", "0"},
      {"(T%5)/5", "0"},
      {"(T%5)%7", "T%5"},
      {"T/(0 - 2)", "(0 - T)/2"},
      {"(6*T)%4", "2*(T%2)"},
      {"S*(T/S) + T%S", "T"},
      {"7/2", "3"},
      {"-7/2", "-3"},
      {"(-7)/2", "-4"},
      {"(-7)%2", "1"},
      {"T/10000", "0"},
      {"T%10000", "T"},
      {"T.past + T", "T + T.past"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    ir_dim a = read_dim(pairs[i][0]), b = read_dim(pairs[i][1]);
    cr_expect_eq(a, b, "%s is %s, %s is %s", pairs[i][0], ir_dim_print(&arena, a), pairs[i][1],
                 ir_dim_print(&arena, b));
  }
}

Test(dim, different_polynomials_differ) {
  cr_assert_neq(read_dim("2*(T/2)"), read_dim("T"));
  cr_assert_neq(read_dim("T/2 + T/2"), read_dim("T"));
  cr_assert_neq(read_dim("T/S"), read_dim("S/T"));
}

Test(dim, printed_form_reads_back) {
  static const char *const texts[] = {"0",
                                      "-5",
                                      "2*T + 1",
                                      "(T + 1)/2",
                                      "3*((T + 1)/2)*S",
                                      "-(T/2)",
                                      "S - T/2",
                                      "-(7/S)",
                                      "T*T - 2*S",
                                      "(T%3)*(S/2)",
                                      "T/(S + 1)",
                                      "T.past + T",
                                      "-T*S",
                                      "(S - T)/(T*S)",
                                      "S%(T/2)",
                                      "9223372036854775807",
                                      "-9223372036854775807 - 1",
                                      "(-3*S)%T"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    ir_dim dim = read_dim(texts[i]);
    const char *printed = ir_dim_print(&arena, dim);
    cr_expect_eq(read_dim(printed), dim, "%s prints as %s", texts[i], printed);
  }
  cr_assert_str_eq(ir_dim_print(&arena, read_dim("1 + T*2")), "2*T + 1");
  cr_assert_str_eq(ir_dim_print(&arena, read_dim("(T + 1)/2")), "(T + 1)/2");
}

Test(dim, malformed_text_is_null) {
  static const char *const texts[] = {"",    "+",   "T +", "(T",        "T//2",  "U", "9223372036854775808",
                                      "T/0", "T%0", "\"",  "\"\\x00\"", "2 * -T"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char *cursor = texts[i];
    ir_dim dim = ir_dim_parse(table, &cursor, false);
    cr_expect(!dim || *cursor, "'%s' gave %s", texts[i], dim ? ir_dim_print(&arena, dim) : "");
  }
}

Test(dim, overflow_is_null) {
  ir_dim big = ir_dim_const(table, INT64_MAX), T = read_dim("T");
  cr_assert_null(ir_dim_add(table, big, ir_dim_const(table, 1)));
  cr_assert_null(ir_dim_mul(table, ir_dim_mul(table, T, big), ir_dim_const(table, 2)));
  cr_assert_null(ir_dim_sub(table, ir_dim_const(table, INT64_MIN), ir_dim_const(table, 1)));
  cr_assert_null(ir_dim_div(table, T, ir_dim_const(table, 0)));
  cr_assert_null(ir_dim_add(table, NULL, T));
  ir_dim power = T;
  for (int i = 0; i < 100; i++) power = ir_dim_mul(table, power, T);
  cr_assert_null(power);
  char deep[400] = {0};
  memset(deep, '(', sizeof deep - 1);
  const char *cursor = deep;
  cr_assert_null(ir_dim_parse(table, &cursor, false));
}

static void expect_bounds(const char *text, int64_t lo, int64_t hi) {
  int64_t got_lo, got_hi;
  ir_dim_bounds(read_dim(text), &got_lo, &got_hi);
  cr_expect(got_lo == lo && got_hi == hi, "%s: %lld..=%lld", text, (long long)got_lo, (long long)got_hi);
}

Test(dim, bounds) {
  expect_bounds("T", 1, 8192);
  expect_bounds("2*T - 1", 1, 16383);
  expect_bounds("T/2", 0, 4096);
  expect_bounds("T%7", 0, 6);
  expect_bounds("S", 1, INT64_MAX);
  expect_bounds("S - 1", 0, INT64_MAX);
  expect_bounds("T - S", INT64_MIN, 8191);
  expect_bounds("S*S*S", 1, INT64_MAX);
  expect_bounds("S/2", 0, INT64_MAX);
  expect_bounds("T.past", 0, 8192);
}

// A sum of random products evaluates to what plain arithmetic gives, however it was rearranged.
Test(dim, values_match_arithmetic) {
  uint64_t random = 1;
  for (int round = 0; round < 3000; round++) {
    int64_t values[4], numbers[6];
    for (int i = 0; i < 4; i++)
      values[i] = 1 + (int64_t)((random = random * 6364136223846793005u + 1442695040888963407u) >> 60);
    values[1] *= 4;  // E
    for (int i = 0; i < 6; i++)
      numbers[i] = (int64_t)((random = random * 6364136223846793005u + 1442695040888963407u) >> 61) - 3;
    int64_t c = numbers[3] > 0 ? numbers[3] : 5, d = numbers[4] > 0 ? numbers[4] : 3, S = values[2], T = values[0],
            E = values[1];
    const char *text = weir_arena_printf(
        &arena, "(%lld*T + %lld*E*S + (%lld))/%lld + ((T + (%lld)*S)%%%lld)*2 + (T*S + E)/S + (S - 2*E)%%(T + S)",
        (long long)numbers[0] + 3, (long long)numbers[1] + 3, (long long)numbers[2], (long long)c,
        (long long)numbers[5], (long long)d);
    int64_t a = (numbers[0] + 3) * T + (numbers[1] + 3) * E * S + numbers[2], b = T + numbers[5] * S, e = S - 2 * E;
    int64_t expected = (a >= 0 ? a / c : -((-a + c - 1) / c)) + ((b % d + d) % d) * 2 + (T * S + E) / S +
                       ((e % (T + S)) + T + S) % (T + S),
            got;
    cr_assert(ir_dim_eval(read_dim(text), values, &got));
    cr_assert_eq(got, expected, "%s at T=%lld E=%lld S=%lld: %lld, not %lld (%s)", text, (long long)T, (long long)E,
                 (long long)S, (long long)got, (long long)expected, ir_dim_print(&arena, read_dim(text)));
  }
}

Test(dim, roles_and_symbols) {
  ir_symbol *T = ir_symbol_find(table, "T");
  cr_assert_eq(ir_dim_role(read_dim("T/2 + S")), IR_ROLE_SEQ);
  cr_assert_eq(ir_dim_role(read_dim("S*3")), IR_ROLE_PLAIN);
  cr_assert_eq(ir_dim_as_symbol(read_dim("T")), T);
  cr_assert_null(ir_dim_as_symbol(read_dim("2*T")));
  cr_assert(ir_dim_mentions(read_dim("S + (T/3)%2"), T));
  cr_assert(!ir_dim_mentions(read_dim("S"), T));
  cr_assert_eq(ir_symbol_past(table, T), ir_symbol_find(table, "T.past"));
  ir_dim map[4] = {NULL};
  map[T->index] = read_dim("2*S");
  cr_assert_eq(ir_dim_substitute(table, read_dim("T/2 + T*T"), map), read_dim("S + 4*S*S"));
}
