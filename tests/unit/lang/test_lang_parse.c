// The parser: every form gives the tree it should, every slip its diagnostic and nothing else, and no input is too
// hostile.
#include "tests/unit/lang/lang_test.h"

static void expect_tree(const char *text, const char *tree) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, text);
  cr_expect(file->ok, "%s\n%s", text, lang_diags_render(&bench->diags, &bench->arena, false));
  cr_expect_str_eq(lang_file_dump(&bench->arena, file), tree);
  bench_close(bench);
}

static void expect_value(const char *value, const char *tree) {
  char text[256], full[1024];
  snprintf(text, sizeof text, "let x = %s;", value);
  snprintf(full, sizeof full, "(let(names x)%s)\n", tree);
  expect_tree(text, full);
}

Test(parse, models) {
  for (size_t i = 0; i < LANG_MODEL_COUNT; i++) {
    lang_bench *bench = bench_open();
    const lang_file *file = bench_parse_model(bench, lang_models[i]);
    cr_expect(file->ok, "%s", lang_diags_render(&bench->diags, &bench->arena, false));
    cr_expect(file->items.count > 1);
    bench_close(bench);
  }
}

Test(parse, operators) {
  expect_value("a + b * c", "(+(name a)(*(name b)(name c)))");
  expect_value("(a + b) * c", "(*(+(name a)(name b))(name c))");
  expect_value("a - b - c", "(-(-(name a)(name b))(name c))");
  expect_value("-a.b", "(-(field b(name a)))");
  expect_value("- -a % 2", "(%(-(-(name a)))(number 2))");
  expect_value("not a == b and c or d", "(or(and(not(compare(name a) ==(name b)))(name c))(name d))");
  expect_value("0 <= i < N", "(compare(number 0) <=(name i) <(name N))");
  expect_value("(0 <= i) < N", "(compare(compare(number 0) <=(name i)) <(name N))");
  expect_value("a as [T, 2 * D][0]",
               "(index(as(name a)(subs(at(low(name T)))(at(low(*(number 2)(name D))))))(subs(at(low(number 0)))))");
}

Test(parse, values) {
  expect_value("1..n + 1", "(..(number 1)(+(name n)(number 1)))");
  expect_value("1..=4", "(..=(number 1)(number 4))");
  expect_value("Linear{D, bias = true,}[n][2]",
               "(construct Linear(name D)(named bias(name true))(counts(name n)(number 2)))");
  expect_value("[]", "(list)");
  expect_value("[1, A{},]", "(list(values(number 1)(construct A)))");
  expect_value("[for i, j in xs: i..j]", "(each(names i j)(name xs)(..(name i)(name j)))");
  expect_value("sum(k, c in 0..C: x[k] where k < 2, c > 1)",
               "(reduce(name sum)(bind k)(bind c(..(number 0)(name C)))(index(name x)(subs(at(low(name k)))))"
               "(where(compare(name k) <(number 2))(compare(name c) >(number 1))))");
  expect_value(
      "x[.., 1.., ..2, 1..2, 1..=2, ..., n in N]",
      "(index(name x)(subs(slice)(slice(low(number 1)))(slice(high(number 2)))(slice(low(number 1))(high(number 2)))"
      "(slice(low(number 1))(high=(number 2)))(...)(bind n(low(name N)))))");
  expect_value("\"a\\n\\\"\\\\\"", "(string \"a\\n\\\"\\\\\")");
}

Test(parse, words_that_stay_free) {
  expect_value("model.block.over(step = plan)", "(call(field over(field block(name model)))(named step(name plan)))");
}

Test(parse, statements) {
  expect_tree(
      "fn g(x: f[T, _] in 0..2, n: [int] = [], act: fn) -> f32[] in 0..1 where n > 0 {\n"
      "  a.b, c: L{};\n  y[t in T, o], z = x, 1;\n  g(x);\n  return x, y;\n}",
      "(fn g(params(x(type f(subs(at(low(name T)))(at(low(name _)))))(in(..(number 0)(number 2))))"
      "(n(type-list(type int))(=(list)))(act(type fn)))(type f32(subs))(in(..(number 0)(number 1)))"
      "(where(compare(name n) >(number 0)))(body(member(paths a.b c)(construct L))"
      "(assign(target y(subs(bind t(low(name T)))(at(low(name o)))))(target z)(values(name x)(number 1)))"
      "(effect(call(name g)(name x)))(return(values(name x)(name y)))))\n");
  expect_tree(
      "model M {} {\n  dim T: seq in 1..=P where T > 1;\n  param w.x, b: f[O] = zeros();\n"
      "  state k, v: f[H] over last(T, W) = 0;\n  for a, b in xs { }\n  if a { } else if b { } else { }\n"
      "  scan i in 0..9 carry x, y while e > t { }\n  cond p { } else { }\n  step s() { }\n  entry e() -> (a: f32[]) { "
      "}\n}",
      "(model M(braces)(body(dim(names T) seq(in(..=(number 1)(name P)))(where(compare(name T) >(number 1))))"
      "(param(paths w.x b)(type f(subs(at(low(name O)))))(=(call(name zeros))))"
      "(state(paths k v)(type f(subs(at(low(name H)))))(over(call(name last)(name T)(name W)))(=(number 0)))"
      "(for(names a b)(name xs)(body))(if(name a)(body)(name b)(body)(body))"
      "(scan i(..(number 0)(number 9))(names x y)(while(compare(name e) >(name t)))(body))(cond(name p)(body)(body))"
      "(step s(params)(body))(entry e(params)(results(a(type f32(subs))))(body))))\n");
}

Test(parse, sections) {
  expect_tree(
      "bind hf for M { **: \"m.{**}\"; a[i].{q,1}_x[*].b[0..2][3]*: f(\"x\", n), \"y\"; }",
      "(bind hf M(line(pattern **)(values(string \"m.{**}\")))"
      "(line(pattern a[i].(names q 1)_x[*].b[0..2][3]*)(values(call(name f)(string \"x\")(name n))(string \"y\"))))\n");
  expect_tree("plan p for M { float = bf16; update **, a.*: A{}; where x < 2k; } cluster c { node = 141GB; }",
              "(plan p M(set float(values(name bf16)))(select update(pattern **)(pattern a.*)(values(construct A)))"
              "(where(values(compare(name x) <(number 2k)))))\n(cluster c(set node(values(number 141GB))))\n");
  expect_tree("use a.b; use \"c.weir\"; rule r(x: f[...]): exact where x > 0 { x + 0 => x; }",
              "(use a.b)\n(use \"c.weir\")\n(rule r(exact(x(type f(subs(...)))))(where(compare(name x) >(number 0)))"
              "(+(name x)(number 0))(name x))\n");
}

static lang_number number_of(lang_bench *bench, const char *text) {
  const lang_file *file = bench_parse(bench, weir_arena_printf(&bench->arena, "let x = %s;", text));
  cr_assert(file->items.count == 1);
  return file->items.data[0]->let.value->number;
}

Test(parse, numbers) {
  lang_bench *bench = bench_open();
  lang_number n = number_of(bench, "100k");
  cr_expect(n.is_int && n.i == 100000 && n.unit == LANG_UNIT_COUNT);
  n = number_of(bench, "141GB");
  cr_expect(n.is_int && n.i == 141000000000 && n.unit == LANG_UNIT_BYTES);
  n = number_of(bench, "4.8TB/s");
  cr_expect(!n.is_int && n.f == 4.8e12 && n.unit == LANG_UNIT_BYTES_PER_SECOND);
  n = number_of(bench, "2us");
  cr_expect(!n.is_int && n.f == 2e-6 && n.unit == LANG_UNIT_SECONDS);
  n = number_of(bench, "8h");
  cr_expect(n.is_int && n.i == 28800);
  n = number_of(bench, "3MiB");
  cr_expect(n.is_int && n.i == 3145728);
  n = number_of(bench, "1e4");
  cr_expect(!n.is_int && n.f == 1e4);
  n = number_of(bench, "9223372036854775807");
  cr_expect(n.is_int && n.i == INT64_MAX && !n.overflow);
  cr_expect_eq(bench->diags.error_count, 0);
  cr_expect(number_of(bench, "9223372036854775808").overflow);
  cr_expect(number_of(bench, "9223372036854775807k").overflow);
  cr_expect(number_of(bench, "1e999").overflow);
  cr_expect_str_eq(bench_codes(bench), "W0006 W0006 W0006");
  bench_close(bench);
}

Test(parse, spans) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, "// \xc3\xa9\nlet x =\n  \"\xc3\xa9\" + (a);\n");
  const lang_expr *sum = file->items.data[0]->let.value;
  cr_expect(sum->span.first_line == 3 && sum->span.first_column == 3 && sum->span.last_column == 12);
  cr_expect(sum->op_span.first_column == 7);
  cr_expect(sum->binary.right->span.first_column == 10 && sum->binary.right->parens == 1);
  lang_span again = lang_source_span(file->source, sum->span.begin, sum->span.end);
  cr_expect(memcmp(&again, &sum->span, sizeof again) == 0);
  bench_close(bench);
}

Test(parse, comments_and_docs) {
  lang_bench *bench = bench_open();
  const lang_file *file =
      bench_parse(bench,
                  "// top\n\n/// One.\n/// Two.\nblock A { // brace\n  /// Width.\n  D: int,\n  E: int } {\n"
                  "  // own\n  let a = [1, // in\n    2]; // behind\n} // end\n// last\n");
  cr_assert(file->ok);
  const lang_item *item = file->items.data[0];
  cr_expect_str_eq(item->trivia.doc, "One.\nTwo.");
  cr_expect_eq(item->trivia.leading_count, 3);
  cr_expect_eq(item->trivia.trailing_count, 1);
  cr_expect_str_eq(file->comments.data[item->trivia.trailing].text, "// end");
  cr_expect_str_eq(item->block.params.data[0].doc, "Width.");
  cr_expect_null(item->block.params.data[1].doc);
  const lang_stmt *stmt = item->block.body.stmts.data[0];
  cr_expect_str_eq(file->comments.data[stmt->trivia.leading].text, "// own");
  cr_expect_str_eq(file->comments.data[stmt->trivia.trailing].text, "// behind");
  cr_expect_eq(file->comments.count, 10);
  bench_close(bench);
}

static void expect_codes(const char *text, const char *codes) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, text);
  cr_expect_str_eq(bench_codes(bench), codes, "%s\n%s", text, lang_diags_render(&bench->diags, &bench->arena, false));
  cr_expect_eq(file->ok, *codes == '\0');
  bench_close(bench);
}

Test(parse, one_slip_one_error) {
  expect_codes("let x = 1", "W0102");
  expect_codes("use std.nn\ndim T: seq\nlet x = 1;", "W0102 W0102");
  expect_codes("fn g() { return x }", "W0102");
  expect_codes("fn g() { x = f(a, ; y = 1; }\nfn h() { }", "W0101");
  expect_codes("fn g() { k: Linear{D, D; v: Linear{D}; }\nfn h() { }", "W0101");
  expect_codes("fn g() { for x y { a = b; c = d; } e = f; }\nfn h() { }", "W0101");
  expect_codes("block B {D: int (x: f[T]) { a = b; c = d; }\nfn h() { }", "W0101");
  expect_codes("block B {D int} (x: f[T]) { a = b; c = d; }\nfn h() { }", "W0101");
  expect_codes("fn g() { let in = 3; }", "W0101");
  expect_codes("fn g() {", "W0101");
  expect_codes("fn g() { x = 3 @ 4; y = 1; }", "W0001");
  expect_codes("fn g() { x = \"abc\n; y = 1; }", "W0004");
  expect_codes("let x = \"\\q\\z\";", "W0005");
  expect_codes("let x = 5q;", "W0003");
  expect_codes("plan p for M { float bf16; a = 1; }\nfn h() { }", "W0101");
  expect_codes("bind p for M { a = b; c: \"d\"; }\nfn h() { }", "W0101");
}

Test(parse, narrowing) {
  expect_codes("fn g() { a + b; f(x).y: L{}; 2 = x; f(x) = 1; }", "W0106 W0104 W0105 W0105");
  expect_codes("fn g() { x = sum(a + b: c); y = f(n in N); z = f(a = 1, b); }", "W0107 W0113 W0111");
  expect_codes("fn g(x: f[1..2]) { y = x as [n in N]; }", "W0114 W0114");
  expect_codes("plan p for M { q a b: w(); q a.***: w(); q a**: w(); q [1.5]: w(); q [2..1]: w(); }",
               "W0108 W0109 W0109 W0109 W0109");
  expect_codes("rule r(x: f[...]): fuzzy { x => x; }", "W0110");
  expect_codes("block B {} { entry e() { } }\nmodel M {} { if a { step s() { } } fn g() { entry e() { } } }",
               "W0112 W0112");
}

Test(parse, all_errors_of_a_file) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, "let a = ;\nlet b = 1\nlet c = 5q;\nfn g() { x y; return 2 }\nlet d = 3;");
  cr_expect_str_eq(bench_codes(bench), "W0101 W0102 W0003 W0101 W0102");
  cr_expect_eq(file->items.count, 4);
  cr_expect_eq(bench->diags.data[1]->span.first_line, 2);
  cr_expect_eq(bench->diags.data[1]->span.first_column, 10);
  bench_close(bench);
}

Test(parse, not_text) {
  lang_bench *bench = bench_open();
  static const struct {
    const char *text;
    size_t length;
  } bad[] = {{"let x = \xff;", 10}, {"let \xc0\xaf;", 7}, {"let \xed\xa0\x80;", 8}, {"let \xf4\x90\x80\x80;", 9},
             {"let \xe2\x82", 6},   {"let\0x;", 6},       {"// \x1b[31m", 8}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    cr_expect(!bench_parse_bytes(bench, bad[i].text, bad[i].length)->ok);
  cr_expect_str_eq(bench_codes(bench), "W0002 W0002 W0002 W0002 W0002 W0001 W0001");
  cr_expect(bench_parse(bench, "\r\nlet x = 1;\r\n// \xf0\x9f\x8c\x8a\r\n")->ok);
  cr_expect(bench_parse(bench, "")->ok);
  bench_close(bench);
}

static void expect_deep(const char *before, const char *piece, const char *middle, const char *after_piece,
                        const char *after, const char *codes) {
  enum { TIMES = 10000 };
  char *text = calloc(1, TIMES * (strlen(piece) + strlen(after_piece)) + 256), *to = stpcpy(text, before);
  for (int i = 0; i < TIMES; i++) to = stpcpy(to, piece);
  to = stpcpy(to, middle);
  for (int i = 0; i < TIMES; i++) to = stpcpy(to, after_piece);
  stpcpy(to, after);
  expect_codes(text, codes);
  free(text);
}

Test(parse, deep_nesting) {
  expect_deep("let x = ", "(", "1", ")", ";", "W0103");
  expect_deep("let x = ", "[", "1", "]", ";", "W0103");
  expect_deep("let x = ", "f(", "1", ")", ";", "W0103");
  expect_deep("let x = ", "A{", "1", "}", ";", "W0103");
  expect_deep("fn f(x: ", "[", "int", "]", ") { }", "W0103");
  expect_deep("fn f() {", "if a {", "", "}", "}", "W0103");
  expect_deep("", "{", "", "}", "", "W0101 W0103");
  expect_deep("let x = ", "-", "1", "", ";", "W0103");
  expect_deep("let x = ", "not ", "1", "", ";", "W0103");
  expect_deep("let x = 1", "+1", "", "", ";", "W0103");
  expect_deep("let x = a", ".b", "", "", ";", "W0103");
  expect_deep("let x = a", "[0]", "", "", ";", "W0103");
  expect_deep("use a", ".b", "", "", ";", "W0103");
  expect_deep("let x = 1", " < 1", "", "", ";", "");
  expect_deep("let x = A{}", "[2]", "", "", ";", "");
  expect_deep("fn f() { if a { }", " else if b { }", "", "", "}", "");
}
