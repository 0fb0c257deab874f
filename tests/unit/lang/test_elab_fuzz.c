// Hostile texts: elaboration ends, with a diagnostic instead of a crash. The mutations are of the repo's models and of
// the texts in tests/data/lang; the seed is fixed. WEIR_FUZZ=n runs n times as many.
#include <glob.h>
#include <time.h>

#include "tests/unit/lang/elab_test.h"

static char *file_read(const char *path, size_t *out_length) {
  FILE *file = fopen(path, "rb");
  cr_assert(file, "%s", path);
  char *text = calloc(1, 1 << 20);
  *out_length = fread(text, 1, (1 << 20) - 1, file);
  fclose(file);
  return text;
}

static uint64_t random_next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state >> 11;
}

static void elaborate(const char *text, size_t length) {
  elab_bench *bench = elab_open();
  elab_load_text(bench, text, length);
  static const char *const small[] = {NULL};
  elab_run(bench, small);
  if (bench->graph) {
    weir_status status = ir_verify(bench->graph->module);
    cr_expect(!status, "%s\n%s", weir_status_message(status), text);
    weir_status_release(status);
  } else {
    cr_expect(bench->diags.error_count > 0, "no graph and no error:\n%s", text);
  }
  lang_diags_render(&bench->diags, &bench->arena, false);
  elab_close(bench);
}

static const char *const snippets[] = {"T",
                                       "D",
                                       "0",
                                       "1",
                                       "-1",
                                       "2",
                                       "f",
                                       "f32",
                                       "x",
                                       "...",
                                       "_",
                                       "[",
                                       "]",
                                       "..",
                                       "over = T",
                                       "x[0]",
                                       "last(x)",
                                       "9223372036854775807",
                                       "1e300",
                                       "[8]",
                                       "heads * H",
                                       " as [T, D]",
                                       "append(keys, x)",
                                       "pos(T)",
                                       "mean(x, over = -1)",
                                       "return x;",
                                       "x = x + x;",
                                       "for i in 0..3 { }",
                                       "if true { }",
                                       "let q = 3;",
                                       "state s: f[8] = 0;",
                                       "param p: f[2];",
                                       "scan t in T { y[t] = x[t]; }",
                                       "scan i in 0..3 carry x { x = x + x; }",
                                       "carry x",
                                       "carry cell",
                                       "while x[0] > 0",
                                       "cond x[0] > 0 { y = x; } else { y = 2 * x; }",
                                       "y[t] = x[t];",
                                       "x[t]",
                                       "pos(t)",
                                       "keys = x;",
                                       "over last(T, 3)",
                                       "over S",
                                       "uniform(x, 1)",
                                       "choose(1, 2)",
                                       "sum(k: x[k] * x[k])",
                                       "sum(u: x[u, d] where pos(u) <= pos(t))",
                                       "where dst[e] == n",
                                       "y[t in T, d] = x[max(t - 1, 0), d];",
                                       "y[n] = x[n];",
                                       "n in T - 1",
                                       "k in 0..3: ",
                                       "experts[chosen[t, 0]](x[t])",
                                       "clamp(i, 0, T - 1)"};
enum { SNIPPETS = sizeof snippets / sizeof *snippets };

static bool word_char(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// One mutation that mostly keeps the text parseable: a word replaced by another word of the text, a snippet, or a line
// moved.
static size_t mutate(char *text, size_t length, uint64_t *seed) {
  size_t at = random_next(seed) % length, other = random_next(seed) % length, a = at, b = at, c = other, d = other;
  while (a > 0 && word_char(text[a - 1])) a--;
  while (b < length && word_char(text[b])) b++;
  while (c > 0 && word_char(text[c - 1])) c--;
  while (d < length && word_char(text[d])) d++;
  char piece[256];
  const char *from = text + c;
  size_t size = d - c;
  switch (random_next(seed) % 5) {
    case 0:
      from = snippets[random_next(seed) % SNIPPETS];
      size = strlen(from);
      break;
    case 1:
      size = 0;
      break;
    case 2:
      while (c > 0 && text[c - 1] != '\n') c--;
      while (d < length && text[d] != '\n') d++;
      from = text + c;
      size = d - c;
      while (a > 0 && text[a - 1] != '\n') a--;
      b = a;
      break;
    default:
      break;
  }
  if (size > sizeof piece) size = sizeof piece;
  memcpy(piece, from, size);
  if (length - (b - a) + size >= (1 << 19)) return length;
  memmove(text + a + size, text + b, length - b);
  memcpy(text + a, piece, size);
  length = length - (b - a) + size;
  text[length] = 0;
  return length;
}

static void fuzz_file(const char *path, int rounds, uint64_t *seed) {
  size_t length;
  char *original = file_read(path, &length), *text = calloc(1, 1 << 20);
  for (int i = 0; i < rounds && length; i++) {
    size_t now = length;
    memcpy(text, original, length + 1);
    for (uint64_t k = 1 + random_next(seed) % 4; k && now; k--) now = mutate(text, now, seed);
    elaborate(text, now);
  }
  free(original);
  free(text);
}

static void fuzz_folder(const char *pattern, int rounds) {
  uint64_t seed = 0x9E3779B97F4A7C15u;
  glob_t found;
  const char *more = getenv("WEIR_FUZZ");
  if (more) {
    rounds *= atoi(more);
    seed += (uint64_t)atoi(more);
  }
  if (glob(pattern, 0, NULL, &found)) return;
  for (size_t i = 0; i < found.gl_pathc; i++) fuzz_file(found.gl_pathv[i], rounds, &seed);
  globfree(&found);
}

Test(elab_fuzz, library) { fuzz_folder(WEIR_SOURCE_DIR "/models/std/*.weir", 12); }
Test(elab_fuzz, models) { fuzz_folder(WEIR_SOURCE_DIR "/models/*.weir", 12); }
Test(elab_fuzz, texts) { fuzz_folder(WEIR_SOURCE_DIR "/tests/data/lang/*.weir", 6); }
Test(elab_fuzz, golden) {
  // The programs of the golden texts; what stands before and behind them is one more syntax error.
  fuzz_folder(WEIR_SOURCE_DIR "/tests/text/elab/graph_*.test", 6);
}

// ---- bounds

static const char *errors_of(elab_bench *bench, const char *text) {
  clock_t start = clock();
  elab_text(bench, text);
  cr_expect_null(bench->graph);
  cr_expect((double)(clock() - start) / CLOCKS_PER_SEC < 60, "too slow");
  cr_assert(bench->diags.count > 0);
  return lang_diag_text(bench->diags.data[0]->code);
}

#define ENTRY "entry e(x: f32[8]) -> f32[8] { return x; } }"

Test(elab_fuzz, bounds) {
  static const struct {
    const char *text, *code;
  } cases[] = {
      {"block A {} (x: f32[8]) -> f32[8] { param w: f32[8]; return x; } model M {} { a: A{}[1000000000000]; " ENTRY,
       "W0301"},
      {"model M {} { let n = [for i in 0..9000000000000000000: i]; " ENTRY, "W0301"},
      {"fn g(n: int) -> int { r = 0; for i in 0..1000000000 { for k in 0..1000000000 { r = r + k; } } return r; } "
       "model M {} { let n = g(1); " ENTRY,
       "W0301"},
      {"model M {} { let n = [for i in 0..4000: [for k in 0..4000: i + k]]; " ENTRY, "W0301"},
      {"fn f1(n: int) -> int { return f2(n) + f2(n); } fn f2(n: int) -> int { return f1(n); } model M {} { let n = "
       "f1(1); " ENTRY,
       "W0223"},
      {"let a = b; let b = a; model M {} { let n = a; " ENTRY, "W0223"},
      {"model M {} { let n = 9223372036854775807 + 1; " ENTRY, "W0303"},
      {"model M {} { let n = 0 - 9223372036854775807 - 2; " ENTRY, "W0303"},
      {"model M {} { let n = 5 / 0; " ENTRY, "W0304"},
      {"model M {} { let n = 5 % (3 - 3); " ENTRY, "W0304"},
      {"model M {} { dim T: seq in 1..; " ENTRY, "W0101"},
      {"model M {} { }", "W0230"},
      {"", "W0228"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    elab_bench *bench = elab_open();
    cr_expect_str_eq(errors_of(bench, cases[i].text), cases[i].code, "%s\n%s", cases[i].text, elab_messages(bench));
    elab_close(bench);
  }
}

// Fns that call each other through nested ifs: the depth is bounded, not the stack.
Test(elab_fuzz, deep_calls) {
  elab_bench *bench = elab_open();
  size_t size = 4 << 20, length = 0;
  char *text = calloc(1, size);
  for (int i = 0; i < 400; i++) {
    length += (size_t)snprintf(text + length, size - length, "fn g%d(n: int) -> int { ", i);
    for (int k = 0; k < 200; k++) length += (size_t)snprintf(text + length, size - length, "if true { ");
    length += (size_t)snprintf(text + length, size - length, i < 399 ? "return g%d(n) + 1; " : "return n; ", i + 1);
    for (int k = 0; k < 200; k++) length += (size_t)snprintf(text + length, size - length, "} ");
    length += (size_t)snprintf(text + length, size - length, "}\n");
  }
  length += (size_t)snprintf(text + length, size - length, "model M {} { let n = g0(1); " ENTRY);
  cr_expect_str_eq(errors_of(bench, text), "W0302");
  free(text);
  elab_close(bench);
}

Test(elab_fuzz, many_members) {
  elab_bench *bench = elab_open();
  size_t size = 4 << 20, length = 0;
  char *text = calloc(1, size);
  length += (size_t)snprintf(text + length, size - length, "model M {} {\n");
  for (int i = 0; i < 10000; i++)
    length += (size_t)snprintf(text + length, size - length, "  param w%d: f32[8] = 0;\n", i);
  length += (size_t)snprintf(text + length, size - length, "  entry e(x: f32[8]) -> f32[8] { y = x;\n");
  for (int i = 0; i < 10000; i++) length += (size_t)snprintf(text + length, size - length, "    y = y + w%d;\n", i);
  snprintf(text + length, size - length, "    return y; } }");
  cr_assert(elab_text(bench, text), "%s", elab_messages(bench));
  cr_expect_eq(bench->graph->weight_count, 10000);
  free(text);
  elab_close(bench);
}
