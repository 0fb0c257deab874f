// The formatter: fixed points, whole trees, no comment lost.
#include <glob.h>

#include "compiler/lang/diag_example.h"
#include "tests/unit/lang/lang_test.h"

static const char *tree(lang_bench *bench, const lang_file *file) { return lang_file_dump(&bench->arena, file); }

// Formats |file| and checks all that must hold of the result; the text.
static const char *expect_stable(lang_bench *bench, const lang_file *file, const char *what) {
  const char *once = lang_format(&bench->arena, file);
  const lang_file *again = bench_parse(bench, once);
  cr_assert(again->ok, "%s\n%s", what, once);
  cr_assert_str_eq(tree(bench, again), tree(bench, file), "%s", what);
  cr_assert_eq(again->comments.count, file->comments.count, "%s", what);
  cr_assert_str_eq(lang_format(&bench->arena, again), once, "%s", what);
  for (int i = 0; i < file->comments.count; i++)
    cr_assert_str_eq(again->comments.data[i].text, file->comments.data[i].text, "%s", what);
  for (const char *p = once; *p; p++) cr_assert(!(*p == ' ' && p[1] == '\n'), "%s: space at the end of a line", what);
  return once;
}

Test(fmt, models_are_fixed_points) {
  for (size_t i = 0; i < LANG_MODEL_COUNT; i++) {
    lang_bench *bench = bench_open();
    const char *text = expect_stable(bench, bench_parse_model(bench, lang_models[i]), lang_models[i]);
    size_t column = 0;
    for (const char *p = text; *p; p++) {
      column = *p == '\n' ? 0 : column + 1;
      if (*p == '/' && p[1] == '/') p = strchr(p, '\n') - 1;  // comments are not wrapped
      else cr_assert(column <= 120, "%s: a line is too long", lang_models[i]);
    }
    bench_close(bench);
  }
}

// All texts of the repository: the zoo, its library, the examples, the data of these tests.
Test(fmt, every_text_is_a_fixed_point) {
  static const char *const patterns[] = {"models/*.weir", "models/*/*.weir", "examples/*.weir", "tests/data/*/*.weir"};
  int texts = 0;
  for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++) {
    char pattern[512];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/%s", WEIR_SOURCE_DIR, patterns[k]);
    if (glob(pattern, 0, NULL, &found)) continue;
    for (size_t i = 0; i < found.gl_pathc; i++) {
      lang_bench *bench = bench_open();
      lang_source *source;
      cr_assert(!lang_source_read(&bench->arena, 1, found.gl_pathv[i], &source));
      lang_diags_source_add(&bench->diags, source);
      const lang_file *file = lang_parse(&bench->arena, source, &bench->diags);
      if (file->ok) expect_stable(bench, file, found.gl_pathv[i]);
      texts += file->ok;
      bench_close(bench);
    }
    globfree(&found);
  }
  cr_expect(texts > 20, "%d", texts);
}

// The examples of diagnostics hold every form of the language, refused ones too.
Test(fmt, examples_of_diagnostics) {
  int texts = 0;
  for (int code = 0; code < LANG_W_COUNT; code++) {
    lang_diag_example example;
    if (!lang_diag_example_find((lang_diag_code)code, &example)) continue;
    const lang_example_text *both[] = {&example.wrong, &example.mend};
    for (int i = 0; i < 2; i++) {
      lang_bench *bench = bench_open();
      size_t length;
      const char *text = lang_example_expand(&bench->arena, both[i], &length);
      const lang_file *file = bench_parse_bytes(bench, text, length);
      if (file->ok) expect_stable(bench, file, lang_diag_text((lang_diag_code)code));
      texts += file->ok;
      bench_close(bench);
    }
  }
  cr_expect(texts > 300, "%d", texts);
}

// Puts comments and empty lines into a model at random places between its tokens. False when they hit a string.
static bool comments_insert(const char *text, uint64_t *state, char *out) {
  static const char *const pieces[] = {"// c\n",     "\n// own\n", "\n\n// own\n", "\n\n",
                                       "//a\n//b\n", " // x\n\n",  "\n",           "\n  /// d\n\n"};
  bool in_string = false, in_comment = false;
  int budget = 60;
  for (; *text; text++) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (*text == '"' && !in_comment) in_string = !in_string;
    if (*text == '/' && text[1] == '/' && !in_string) in_comment = true;
    if (*text == '\n') in_comment = false;
    bool cut = !in_string && !in_comment && strchr(" ,;(){}[]", *text) && budget;
    if (cut && (*state >> 33) % 16 == 0) {
      out = stpcpy(out, pieces[(*state >> 40) % 8]);
      budget--;
    }
    *out++ = *text;
  }
  *out = '\0';
  return true;
}

Test(fmt, comments_anywhere) {
  uint64_t state = 1;
  int whole = 0;
  for (size_t i = 0; i < LANG_MODEL_COUNT; i++)
    for (int round = 0; round < 20; round++) {
      lang_bench *bench = bench_open();
      const lang_source *source = bench_parse_model(bench, lang_models[i])->source;
      char *text = malloc(source->length + 4096);
      comments_insert(source->text, &state, text);
      const lang_file *file = bench_parse(bench, text);
      whole += file->ok;
      if (file->ok) expect_stable(bench, file, text);
      free(text);
      bench_close(bench);
    }
  cr_expect(whole > 50, "only %d of the texts were whole", whole);
}

static void expect_format(const char *text, const char *formatted) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, text);
  cr_assert(file->ok, "%s", lang_diags_render(&bench->diags, &bench->arena, false));
  cr_expect_str_eq(expect_stable(bench, file, text), formatted);
  bench_close(bench);
}

Test(fmt, small_things) {
  expect_format("", "");
  expect_format("\n\n// only\n\n\n", "// only\n");
  expect_format("let  x=-1+ ( 2*y )%z ;", "let x = -1 + (2 * y) % z;\n");
  expect_format("fn g(){return not a and b;}", "fn g() { return not a and b; }\n");
  expect_format("fn g(){\nreturn 1;}", "fn g() {\n  return 1;\n}\n");
  expect_format("fn g(){}", "fn g() { }\n");
  expect_format("let x = [ ];\n\n\n\nlet y=[1,];", "let x = [];\n\nlet y = [1];\n");
  expect_format("fn g() { x = a; if b{c=1;}else if d{e=2;}else{f=3;} }",
                "fn g() { x = a; if b { c = 1; } else if d { e = 2; } else { f = 3; } }\n");
  expect_format("bind b for M{**:\"m.{**}\";a[ 0..2 ] . b: \"c\\n\";}",
                "bind b for M { **: \"m.{**}\"; a[0..2].b: \"c\\n\"; }\n");
}

// Each form of statement with a comment before, within and behind it.
Test(fmt, comments_in_all_forms) {
  lang_bench *bench = bench_open();
  const char *text =
      "// file\nuse std.nn; // used\n\n/// A dim.\ndim T: seq in 1..=8 // bounds\n  where T % 2 == 0; // divisor\n"
      "rule r(x: f[...]): exact { // left\n  x + x => // right\n  2 * x; }\n"
      "block B {D: int, // size\n  /// a flag\n  on: bool = true} (x: f[T, D]) // in\n  -> f[T, D] { // body\n"
      "  // first\n  state h: f[D] = 0; // fixed\n  state k: f[D] over last(T, 3); // rows\n"
      "  scan t in T // loop\n    carry h { // turn\n    h = h + x[t]; // next\n    y[t] = h;\n    // end of turn\n  "
      "}\n"
      "  cond on { // yes\n    z = y; // a\n  } else { // no\n    z = 2 * y; // b\n  } // over\n"
      "  w[t in T, d] = sum(u: // reducer\n    y[u, d] where pos(u) <= // guard\n    pos(t));\n"
      "  if on { return z; // early\n  } else if not on { return w; } // late\n  return x; // last\n  // behind\n}\n"
      "plan p for M { // plan\n  store **.{a,b}: // which\n    f16; // how\n  where a < 2; // demand\n}\n// end\n";
  const lang_file *file = bench_parse(bench, text);
  cr_assert(file->ok, "%s", lang_diags_render(&bench->diags, &bench->arena, false));
  cr_expect_eq(file->comments.count, 34, "%d", file->comments.count);
  expect_stable(bench, file, text);
  bench_close(bench);
}
