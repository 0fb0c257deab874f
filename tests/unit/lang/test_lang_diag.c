// Diagnostics: rows, order, the cap, rendering, slips of spelling.
#include "tests/unit/lang/lang_test.h"

Test(diag, rows) {
  for (int code = 0; code < LANG_W_COUNT; code++) {
    const char *text = lang_diag_text((lang_diag_code)code);
    cr_expect(strlen(text) == 5 && text[0] == 'W', "%s", text);
    if (code)
      cr_expect(strcmp(lang_diag_text((lang_diag_code)(code - 1)), text) < 0, "%s is out of order or twice", text);
    cr_expect(strlen(lang_diag_explanation((lang_diag_code)code)) > 10, "%s", text);
    lang_diag_code found;
    cr_expect(lang_diag_find(text, &found) && (int)found == code);
  }
  lang_diag_code none;
  cr_expect(!lang_diag_find("W9999", &none) && !lang_diag_find("", &none));
}

Test(diag, sorted_and_once) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, "aa bb cc\n");
  bench->diags.count = bench->diags.error_count = 0;
  lang_span late = lang_source_span(file->source, 6, 8), early = lang_source_span(file->source, 0, 2);
  lang_diag_add(&bench->diags, LANG_W_SYNTAX, late, "late");
  lang_diag_add(&bench->diags, LANG_W_SYNTAX, early, "early");
  lang_diag_add(&bench->diags, LANG_W_SYNTAX, late, "late");
  lang_diags_sort(&bench->diags);
  cr_expect_eq(bench->diags.count, 2);
  cr_expect_eq(bench->diags.error_count, 2);
  cr_expect_str_eq(bench->diags.data[0]->message, "early");
  bench_close(bench);
}

Test(diag, cap) {
  lang_bench *bench = bench_open();
  for (int i = 0; i < LANG_MAX_ERRORS + 7; i++) {
    lang_diag *diag = lang_diag_add(&bench->diags, LANG_W_SYNTAX, (lang_span){.begin = (uint32_t)i}, "x");
    lang_diag_note(&bench->diags, diag, (lang_span){0}, "note %d", i);
  }
  cr_expect_eq(bench->diags.count, LANG_MAX_ERRORS);
  cr_expect_eq(bench->diags.dropped_count, 7);
  cr_expect_eq(bench->diags.error_count, LANG_MAX_ERRORS + 7);
  cr_expect(strstr(lang_diags_render(&bench->diags, &bench->arena, false), "7 more errors not shown"));
  bench_close(bench);
}

Test(diag, rendering) {
  lang_bench *bench = bench_open();
  const lang_file *file = bench_parse(bench, "let a = 1;\n\tlet \xc3\xa9;\n");
  bench->diags.count = bench->diags.error_count = 0;
  lang_diag *diag = lang_diag_add(&bench->diags, LANG_W_SYNTAX, lang_source_span(file->source, 16, 18), "odd");
  lang_diag_note(&bench->diags, diag, lang_source_span(file->source, 4, 5), "compare '%s'", "a");
  lang_diag_note(&bench->diags, diag, (lang_span){0}, "nowhere");
  cr_expect_str_eq(lang_diags_render(&bench->diags, &bench->arena, false),
                   "test.weir:2:6: error[W0101]: odd\n    2 |  let \xc3\xa9;\n      |      ^\n"
                   "test.weir:1:5: note: compare 'a'\n    1 | let a = 1;\n      |     ^\n"
                   "      = note: nowhere\n");
  cr_expect(strstr(lang_diags_render(&bench->diags, &bench->arena, true), "\x1b[1;31merror[W0101]"));
  bench_close(bench);
}

Test(diag, did_you_mean) {
  static const char *const words[] = {"Linear", "LayerNorm", "RMSNorm", "Embedding", "relu"};
  cr_expect_str_eq(lang_did_you_mean("Liner", words, 5), "Linear");
  cr_expect_str_eq(lang_did_you_mean("LayreNorm", words, 5), "LayerNorm");
  cr_expect_str_eq(lang_did_you_mean("rleu", words, 5), "relu");
  cr_expect_null(lang_did_you_mean("Attention", words, 5));
  cr_expect_null(lang_did_you_mean("Linear", words, 1));
  cr_expect_null(lang_did_you_mean("", words, 5));
}
