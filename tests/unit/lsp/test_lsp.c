// The language server's parts without a client: frames, documents, places, the index, and that no text and no place
// in it brings any answer down.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/lsp/features.h"
#include "compiler/lsp/rpc.h"

static const char models[] = WEIR_SOURCE_DIR "/models";
static const char text[] =
    "use std.nn;\n"
    "/// Two layers.\n"
    "block Two {D: int} (x: f[..., D]) -> f[..., D] {\n"
    "  a.up: Linear{D, 2 * D, bias = true};\n"
    "  a.down: Linear{2 * D, D};\n"
    "  return a.down(relu(a.up(x)));\n"
    "}\n"
    "model M {D = 8, n = 3} {\n"
    "  dim T: seq in 1..=64;\n"
    "  layers: Two{D}[n];\n"
    "  entry run(x: f32[T, D], i: i32[T] in 0..5) -> f32[T, D] {\n"
    "    h = f(x);\n"
    "    for layer in layers { h = layer(h); }\n"
    "    y[t in T, d in D] = sum(k in 0..D: f32(h[t, k])) + f32(i[t]);\n"
    "    return y + f32(layers[0].a.up.weight[0]);\n"
    "  }\n"
    "}\n"
    "bind b for M { layers[i].a.up.weight: \"up.{i}\"; }\n";

static lsp_analysis *analyse(lsp_documents *docs, const char *words, size_t length) {
  const lsp_document *doc = lsp_documents_open(docs, "file:///tmp/of%20test/m.weir", words, length);
  cr_assert(doc);
  return lsp_analysis_create(docs, doc, models);
}

// The words that the symbol at the |nth| place of |name| stands at, each as line:column from 1.
static const char *places(const char *name, int nth) {
  lsp_documents docs = {0};
  lsp_analysis *a = analyse(&docs, text, strlen(text));
  const char *at = text;
  for (int i = 0; i <= nth; i++) at = strstr(at + (i > 0), name);
  const lsp_occurrence *o = lsp_index_at(a->index, 1, (uint32_t)(at - text));
  static char out[512];
  *out = '\0';
  for (int i = 0; o && i < a->index->occurrences.count; i++) {
    const lsp_occurrence *other = &a->index->occurrences.data[i];
    if (other->symbol == o->symbol && other->span.file == 1)
      snprintf(out + strlen(out), sizeof out - strlen(out), "%d:%d ", other->span.first_line, other->span.first_column);
  }
  lsp_analysis_free(a);
  lsp_documents_deinit(&docs);
  return out;
}

Test(index, uses) {
  cr_expect_str_eq(places("D: int", 0), "3:12 3:31 3:45 4:16 4:23 5:22 5:25 ");
  cr_expect_str_eq(places("a.up", 0), "4:3 6:22 15:30 18:26 ");
  cr_expect_str_eq(places("a.down", 0), "5:3 6:10 ");
  cr_expect_str_eq(places("Two {D", 0), "3:7 10:11 ");
  cr_expect_str_eq(places("layers: T", 0), "10:3 13:18 15:20 18:16 ");
  cr_expect_str_eq(places("layer in", 0), "13:9 13:31 ");
  cr_expect_str_eq(places("h = f", 0), "12:5 13:27 13:37 14:44 ");
  cr_expect_str_eq(places("t in T", 0), "14:7 14:46 14:62 ");
  cr_expect_str_eq(places("k in 0", 0), "14:29 14:49 ");
  cr_expect_str_eq(places("T: seq", 0), "9:7 11:20 11:34 11:53 14:12 ");
  cr_expect_str_eq(places("M {D", 0), "8:7 18:12 ");
}

Test(index, worth) {
  lsp_documents docs = {0};
  lsp_analysis *a = analyse(&docs, text, strlen(text));
  cr_expect_eq(a->diags.count, 0, "%s", lang_diags_render(&a->diags, &a->arena, false));
  static const struct {
    const char *at, *wanted;
  } cases[] = {{"layer(h)", "an instance of Two"}, {"h = f(x)", "f[T, 8]"},        {"x: f32", "T: seq, 1 to 64"},
               {"i: i32", "values in 0..=4"},      {"layers: Two", "3 instances"}, {"Two{D}", "Two layers."},
               {"relu", "function `relu`"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *hover = lsp_hover(a, (size_t)(strstr(text, cases[i].at) - text));
    const char *value = json_string_value(json_object_get(json_object_get(hover, "contents"), "value"));
    cr_expect(value && strstr(value, cases[i].wanted), "%s: %s", cases[i].at, value ? value : "nothing");
    json_decref(hover);
  }
  lsp_analysis_free(a);
  lsp_documents_deinit(&docs);
}

Test(documents, changes) {
  lsp_documents docs = {0};
  lsp_document *doc = lsp_documents_open(&docs, "file:///a%2Fb%zz.weir", "one\nt\xc3\xa9\xf0\x9f\x98\x80o\n", 14);
  cr_assert(doc);
  cr_expect_str_eq(doc->path, "/a/b%zz.weir");
  json_t *change = json_pack("{s:{s:{s:i,s:i},s:{s:i,s:i}},s:s}", "range", "start", "line", 1, "character", 2, "end",
                             "line", 1, "character", 4, "text", "w");
  cr_expect(lsp_document_change(doc, change));
  cr_expect_str_eq(doc->text, "one\nt\xc3\xa9wo\n");
  json_decref(change);
  json_t *place = lsp_position(doc->text, doc->length, 7);
  cr_expect_eq(json_integer_value(json_object_get(place, "character")), 2);
  cr_expect_eq(lsp_offset(doc->text, doc->length, place), 7);
  json_decref(place);
  static const int odd[][4] = {{9, 9, 1, 1}, {-1, -5, 99, 99}, {1, 1, 0, 0}};
  for (int i = 0; i < 3; i++) {
    change = json_pack("{s:{s:{s:i,s:i},s:{s:i,s:i}},s:s}", "range", "start", "line", odd[i][0], "character", odd[i][1],
                       "end", "line", odd[i][2], "character", odd[i][3], "text", "z");
    cr_expect(lsp_document_change(doc, change));
    json_decref(change);
  }
  cr_expect_eq(strlen(doc->text), doc->length);
  cr_expect(!lsp_document_change(doc, NULL));
  lsp_documents_close(&docs, doc->uri);
  cr_expect_eq(docs.count, 0);
  lsp_documents_deinit(&docs);
}

static lsp_rpc_result read_frame(const char *bytes, size_t count, json_t **out) {
  int ends[2];
  cr_assert_eq(pipe(ends), 0);
  cr_assert_eq(write(ends[1], bytes, count), (ssize_t)count);
  close(ends[1]);
  lsp_rpc rpc;
  lsp_rpc_init(&rpc, ends[0], -1);
  lsp_rpc_result result = lsp_rpc_read(&rpc, out);
  lsp_rpc_deinit(&rpc);
  close(ends[0]);
  return result;
}

Test(rpc, frames) {
  static const struct {
    const char *bytes;
    lsp_rpc_result wanted;
  } cases[] = {{"Content-Length: 2\r\n\r\n{}", LSP_RPC_MESSAGE},
               {"content-length:2\r\nContent-Type: x\r\n\r\n{}", LSP_RPC_MESSAGE},
               {"Content-Length: 2\r\n\r\n[]", LSP_RPC_MALFORMED},
               {"Content-Length: 3\r\n\r\n{}}", LSP_RPC_MALFORMED},
               {"Content-Length: 0\r\n\r\n", LSP_RPC_MALFORMED},
               {"Content-Length: 9\r\n\r\n{}", LSP_RPC_END},
               {"Content-Length: 99999999999999999999\r\n\r\n{}", LSP_RPC_END},
               {"Content-Length: -1\r\n\r\n{}", LSP_RPC_END},
               {"Length: 2\r\n\r\n{}", LSP_RPC_END},
               {"\r\n\r\n", LSP_RPC_END},
               {"", LSP_RPC_END}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *message;
    cr_expect_eq(read_frame(cases[i].bytes, strlen(cases[i].bytes), &message), cases[i].wanted, "%s", cases[i].bytes);
    json_decref(message);
  }
}

// All answers at one place.
static void ask_all(lsp_analysis *a, const lsp_document *doc, size_t offset) {
  const char *error;
  json_t *answers[] = {lsp_hover(a, offset),
                       lsp_definition(a, offset),
                       lsp_references(a, offset, true),
                       lsp_highlights(a, offset),
                       lsp_completion(a, doc, offset),
                       lsp_prepare_rename(a, offset, models),
                       lsp_rename(a, offset, "fresh", models, &error)};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) json_decref(answers[i]);
}

static void ask_once(lsp_analysis *a, const lsp_document *doc) {
  json_t *answers[] = {lsp_diagnostics(a), lsp_symbols(a), lsp_tokens(a), lsp_formatting(a, doc)};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) json_decref(answers[i]);
}

Test(features, every_beginning_of_a_text) {
  for (size_t length = 0; length <= strlen(text); length += 7) {
    lsp_documents docs = {0};
    lsp_analysis *a = analyse(&docs, text, length);
    cr_assert(a);
    ask_once(a, docs.data[0]);
    for (size_t at = 0; at <= length; at += 5) ask_all(a, docs.data[0], at);
    lsp_analysis_free(a);
    lsp_documents_deinit(&docs);
  }
}

Test(features, damaged_texts) {
  static const char signs[] = "{}()[].,;:=\"/-*\xff\xf0\n ax0";
  uint64_t state = 11;
  for (int round = 0; round < 150; round++) {
    char damaged[sizeof text];
    memcpy(damaged, text, sizeof text);
    for (int i = 0; i < 1 + round % 5; i++) {
      state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      damaged[(state >> 33) % (sizeof text - 1)] = signs[(state >> 20) % (sizeof signs - 1)];
    }
    lsp_documents docs = {0};
    lsp_analysis *a = analyse(&docs, damaged, sizeof text - 1);
    ask_once(a, docs.data[0]);
    for (size_t at = (size_t)round % 11; at < sizeof text; at += 11) ask_all(a, docs.data[0], at);
    lsp_analysis_free(a);
    lsp_documents_deinit(&docs);
  }
}
