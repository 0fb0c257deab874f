// Mutations of whole models: every text is accepted or refused with a diagnostic that has a place, in bounded time and
// memory; what is accepted goes on through rules, passes and lowering, where a status is fine and a crash is not.
//
//   fuzz_zoo [COUNT [SEED [FILES...]]]      default: 10000 mutations, seed 1, of the library's models, its files, the
//                                           tests' texts and random programs; or of FILES, after those as they are
//
// Unlike the byte fuzzers (harness.h) it works on tokens: what it writes mostly parses. A text is one mutated file: the
// model itself, or a file of the library, which stands in for the real one while a model is read that uses it. The text
// under way lies in fuzz_zoo.weir in the folder for temporary files, so that a crash can be repeated.
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "codegen/lower/lower.h"
#include "compiler/lang/elab.h"
#include "compiler/lang/rule.h"
#include "compiler/passes/pass.h"
#include "ir/rewrite.h"
#include "tests/common/random_text.h"

#define MODELS WEIR_SOURCE_DIR "/models"
enum { MAX_FILES = 512, MAX_TEXT = 1 << 18, MAX_TOKENS = 1 << 15, RULE_TRIALS = 8, PROGRAMS = 100, FAILURES = 10 };
#ifdef __SANITIZE_ADDRESS__
static const double SECONDS = 12;
static const long MEGABYTES = 6000;
#else
static const double SECONDS = 2;
static const long MEGABYTES = 1500;
#endif

typedef struct {
  const char *path;
  char *text;
  size_t length;
  bool library;  // without a model: it is mutated below one that uses it
} seed_file;

typedef struct {
  size_t at, length;
} token;

static struct {
  seed_file files[MAX_FILES];
  int count, failures;
  uint64_t random;
  long accepted, lowered, unsupported, refused;
  double slowest;
  weir_arena rule_arena;  // the library's own rules, read once
  lang_diags rule_diags;
  lang_program *rules;
  char path[256];  // of the text under way
} run;

static size_t below(size_t limit) {
  run.random ^= run.random << 13;
  run.random ^= run.random >> 7;
  run.random ^= run.random << 17;
  return limit ? (size_t)(run.random >> 20) % limit : 0;
}

// ---- seeds

static void add_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || run.count == MAX_FILES) exit(2);
  seed_file *seed = &run.files[run.count++];
  *seed = (seed_file){.path = strdup(path), .text = malloc(MAX_TEXT)};
  seed->length = fread(seed->text, 1, MAX_TEXT - 1, file);
  seed->text[seed->length] = 0;
  seed->library = !strncmp(path, MODELS "/std/", sizeof MODELS "/std/" - 1);
  fclose(file);
}

static void add_files(const char *pattern) {
  glob_t found;
  if (glob(pattern, 0, NULL, &found)) return;
  for (size_t i = 0; i < found.gl_pathc; i++) add_file(found.gl_pathv[i]);
  globfree(&found);
}

static void add_programs(void) {
  weir_arena arena;
  weir_arena_init(&arena);
  for (uint64_t i = 1; i <= PROGRAMS && run.count < MAX_FILES; i++) {
    random_choices choices = {.random = i * 0x9E3779B97F4A7C15ull};
    const char *text = random_text(&arena, &choices);
    seed_file *seed = &run.files[run.count++];
    *seed = (seed_file){.path = strdup("random.weir"), .text = malloc(MAX_TEXT), .length = strlen(text)};
    memcpy(seed->text, text, seed->length + 1);
  }
  weir_arena_deinit(&arena);
}

// ---- tokens

static bool word_char(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t token_length(const char *at, const char *end) {
  static const char *const signs[] = {"..=", "...", "..", "->", "=>", "<=", ">=", "==", "!=", "**"};
  size_t length = 0;
  if (word_char(*at)) {
    while (at + length < end && word_char(at[length])) length++;
    return length;
  }
  if (*at == '"') {
    for (length = 1; at + length < end && at[length] != '"' && at[length] != '\n';) length++;
    return at + length < end ? length + 1 : length;
  }
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (!strncmp(at, signs[i], strlen(signs[i]))) return strlen(signs[i]);
  return 1;
}

static int cut_tokens(const char *text, size_t length, token *out) {
  int count = 0;
  for (size_t at = 0; at < length && count < MAX_TOKENS;) {
    if (strchr(" \t\r\n", text[at]) && text[at]) {
      at++;
      continue;
    }
    if (text[at] == '/' && text[at + 1] == '/') {
      while (at < length && text[at] != '\n') at++;
      continue;
    }
    out[count++] = (token){at, token_length(text + at, text + length)};
    at += out[count - 1].length;
  }
  return count;
}

static const char *const words[] = {
    "let",     "dim",     "fn",       "param",   "state",
    "for",     "in",      "if",       "else",    "scan",
    "carry",   "while",   "cond",     "return",  "where",
    "as",      "and",     "or",       "not",     "use",
    "block",   "model",   "entry",    "step",    "over",
    "rule",    "bind",    "plan",     "train",   "int",
    "float",   "bool",    "str",      "dtype",   "f",
    "f16",     "bf16",    "f32",      "f64",     "i8",
    "i32",     "i64",     "u8",       "seq",     "batch",
    "last",    "append",  "pos",      "iota",    "size",
    "attend",  "rope",    "linear",   "matmul",  "softmax",
    "sum",     "mean",    "max",      "norm",    "argmax",
    "gather",  "concat",  "split",    "unstack", "repeat",
    "spread",  "permute", "clamp",    "select",  "conv2d",
    "sort",    "top_k",   "cumsum",   "pad",     "reverse",
    "one_hot", "uniform", "choose",   "T",       "S",
    "B",       "N",       "D",        "x",       "y",
    "t",       "i",       "training", "true",    "false",
    "0",       "1",       "2",        "-1",      "8",
    "1.5",     "1e300",   "0.0",      "1e-45",   "9223372036854775807",
    "(",       ")",       "[",        "]",       "{",
    "}",       ",",       ";",        ":",       ".",
    "..",      "..=",     "...",      "->",      "=>",
    "=",       "==",      "!=",       "<",       "<=",
    ">",       ">=",      "+",        "-",       "*",
    "/",       "%",       "_",        "\"x\"",   "**",
};
static const char *const numbers[] = {"0",
                                      "1",
                                      "-1",
                                      "2",
                                      "3",
                                      "7",
                                      "16",
                                      "100",
                                      "65536",
                                      "1M",
                                      "1000000",
                                      "-7",
                                      "1e9",
                                      "2147483647",
                                      "2147483648",
                                      "4294967296",
                                      "1000000000000",
                                      "9223372036854775807",
                                      "-9223372036854775807",
                                      "0.5",
                                      "-0.25",
                                      "1e308",
                                      "1e-308",
                                      "100000000000000000000",
                                      "0x10",
                                      "1G"};

static size_t splice(char *text, size_t length, size_t at, size_t removed, const char *piece, size_t size) {
  if (length - removed + size >= MAX_TEXT) return length;
  memmove(text + at + size, text + at + removed, length - at - removed);
  memcpy(text + at, piece, size);
  length = length - removed + size;
  text[length] = 0;
  return length;
}

static size_t put_word(char *text, size_t length, token t, const char *word) {
  return splice(text, length, t.at, t.length, word, strlen(word));
}

static size_t mutate_bytes(char *text, size_t length) {
  size_t at = below(length), size = below(24);
  char byte = (char)(below(4) ? 32 + below(95) : below(256));
  if (size > length - at) size = length - at;
  switch (below(4)) {
    case 0:
      return splice(text, length, at, 1, &byte, 1);
    case 1:
      return splice(text, length, at, 0, &byte, 1);
    case 2:
      return splice(text, length, at, size, "", 0);
    default:
      return below(8) ? splice(text, length, at, 1, "", 0) : at;
  }
}

// A piece of another file, or the rest of it.
static size_t splice_file(char *text, size_t length) {
  const seed_file *other = &run.files[below((size_t)run.count)];
  size_t at = below(length + 1), from = below(other->length), size = 1 + below(below(3) ? 200 : other->length);
  while (at && text[at - 1] != '\n') at--;
  while (from && other->text[from - 1] != '\n') from--;
  if (size > other->length - from) size = other->length - from;
  return splice(text, length, at, below(2) ? 0 : length - at, other->text + from, size);
}

// Both places are tokens of the text; |a| comes first.
static size_t swap_tokens(char *text, size_t length, token a, token b) {
  char first[256];
  if (a.at + a.length > b.at || a.length > sizeof first) return length;
  memcpy(first, text + a.at, a.length);
  char second[256];
  if (b.length > sizeof second) return length;
  memcpy(second, text + b.at, b.length);
  length = splice(text, length, b.at, b.length, first, a.length);
  return splice(text, length, a.at, a.length, second, b.length);
}

static bool is_number(const char *text, token t) { return text[t.at] >= '0' && text[t.at] <= '9'; }
static bool is_name(const char *text, token t) { return word_char(text[t.at]) && !is_number(text, t); }

static token find(const char *text, const token *tokens, int count, bool (*wanted)(const char *, token)) {
  int from = (int)below((size_t)count);
  for (int i = 0; i < count; i++)
    if (wanted(text, tokens[(from + i) % count])) return tokens[(from + i) % count];
  return tokens[from];
}

static size_t mutate_tokens(char *text, size_t length, const token *tokens, int count) {
  token a = tokens[below((size_t)count)], b = tokens[below((size_t)count)], name;
  size_t piece = below(4) ? a.length : (b.at > a.at && b.at - a.at < 200 ? b.at - a.at : a.length);
  char copy[256];
  switch (below(10)) {
    case 0:
      return splice(text, length, a.at, piece, "", 0);
    case 1:  // twice
      memcpy(copy, text + a.at, piece < 255 ? piece : 255);
      return splice(text, length, a.at, 0, copy, piece < 255 ? piece : 255);
    case 2:
      return a.at < b.at ? swap_tokens(text, length, a, b) : swap_tokens(text, length, b, a);
    case 3:
    case 4:
      return put_word(text, length, a, words[below(sizeof words / sizeof *words)]);
    case 5:
    case 6:
      return put_word(text, length, find(text, tokens, count, is_number),
                      numbers[below(sizeof numbers / sizeof *numbers)]);
    case 7:
    case 8:
      a = find(text, tokens, count, is_name);
      name = find(text, tokens, count, is_name);
      if (name.length > sizeof copy) return length;
      memcpy(copy, text + name.at, name.length);
      return splice(text, length, a.at, a.length, copy, name.length);
    default:
      return splice(text, length, b.at, 0, words[below(sizeof words / sizeof *words)], 1);
  }
}

static size_t mutate(char *text, size_t length) {
  static token tokens[MAX_TOKENS];
  int count = cut_tokens(text, length, tokens);
  if (!count || below(12) == 0) return length ? mutate_bytes(text, length) : splice_file(text, length);
  if (below(24) == 0) return splice_file(text, length);
  return mutate_tokens(text, length, tokens, count);
}

// ---- one text

static void fail(const char *what, const char *more) {
  char kept[300];
  snprintf(kept, sizeof kept, "%s.%d", run.path, ++run.failures);
  rename(run.path, kept);
  printf("%s: %s: %s\n", kept, what, more);
  fflush(stdout);
}

static void keep_text(const seed_file *seed, const char *text, size_t length) {
  FILE *file = fopen(run.path, "wb");
  if (!file) return;
  fwrite(text, 1, length, file);
  fprintf(file, "\n// %s\n", seed->path);
  fclose(file);
}

static bool placed(const lang_diags *diags, lang_span span) {
  const lang_source *source = lang_diags_source(diags, span.file);
  return source && span.first_line >= 1 && span.first_line <= source->line_count && span.first_column >= 1 &&
         span.begin <= span.end && span.end <= source->length;
}

static void check_diags(const lang_diags *diags, weir_arena *arena) {
  bool found = false;
  for (int i = 0; i < diags->count; i++) {
    bool is = placed(diags, diags->data[i]->span);
    if (diags->data[i]->span.file && !is) fail("a place outside of its file", diags->data[i]->message);
    found = found || (is && lang_diag_severity(diags->data[i]->code) == LANG_SEVERITY_ERROR);
  }
  if (diags->error_count && !found) fail("no error has a place", diags->data[0]->message);
  lang_diags_render(diags, arena, false);
}

static weir_storage storage_of(void *user, const char *path) {
  (void)user;
  (void)path;
  return WEIR_STORAGE_F32;
}

static void go_on(weir_arena *arena, const lang_program *program, const lang_diags *diags, lang_graph *graph) {
  weir_status status = ir_verify(graph->module);
  if (status) fail("the graph", weir_status_message(status));
  weir_status_release(status);
  ir_rules *rules = ir_rules_create(arena);
  lang_rules_add(rules, program, false, diags);
  if (run.rules) lang_rules_add(rules, run.rules, true, &run.rule_diags);
  graph->module->rules = rules;
  pass_options options = {.verify = true};
  pass_context context;
  pass_context_init(&context, &options);
  status = pass_pipeline(&context, graph->module);
  if (status) fail("passes", weir_status_message(status));
  cg_module *code;
  cg_lower_options lower = {.storage_of = storage_of};
  if (!status) {
    status = cg_lower(arena, graph->module, &lower, &code);
    run.lowered += !status;
    run.unsupported += status != NULL;
    if (status && weir_status_code(status) == WEIR_CODE_INTERNAL) fail("lowering", weir_status_message(status));
  }
  weir_status_release(status);
}

// |root| is read; where |seed| is another file, |text| stands for it.
static void read_text(const seed_file *root, const seed_file *seed, const char *text, size_t length) {
  static const char *const folders[] = {MODELS};
  weir_arena arena;
  lang_diags diags;
  lang_program *program = NULL;
  weir_arena_init(&arena);
  lang_diags_init(&diags, &arena);
  lang_overlay overlay = {seed->path, text, length};
  lang_search search = {.folders = folders, .count = 1, .overlays = &overlay, .overlay_count = root != seed};
  weir_status status = root == seed ? lang_load_text(&arena, seed->path, text, length, &search, &diags, &program)
                                    : lang_load(&arena, root->path, &search, &diags, &program);
  if (status) fail("reading", weir_status_message(status));
  weir_status_release(status);
  lang_graph *graph = NULL;
  if (program && program->ok) {
    lang_check(&arena, program, &diags);
    if (!diags.error_count) lang_rules_check(&arena, program, RULE_TRIALS, &diags, NULL);
    lang_options options = {.float_dtype = below(4) ? IR_f32 : IR_bf16};
    int before = diags.error_count;
    if (!before) graph = lang_elaborate(&arena, program, &options, &diags);
    if (!before && !graph && !diags.error_count) fail("no graph and no error", seed->path);
  } else if (program && !diags.error_count) {
    fail("not read, and no error", seed->path);
  }
  check_diags(&diags, &arena);
  run.accepted += graph != NULL;
  run.refused += graph == NULL;
  if (graph) go_on(&arena, program, &diags, graph);
  weir_arena_deinit(&arena);
}

static const seed_file *user_of(const seed_file *seed) {
  for (int tries = 0; seed->library && tries < 32; tries++) {
    const seed_file *user = &run.files[below((size_t)run.count)];
    char use[64];
    const char *name = strrchr(seed->path, '/') + 1;
    snprintf(use, sizeof use, "use std.%.*s;", (int)(strlen(name) - 5), name);
    if (user != seed && strchr(user->path, '/') && strstr(user->text, use)) return user;
  }
  return seed;
}

static void one(const seed_file *seed, const char *text, size_t length) {
  keep_text(seed, text, length);
  clock_t start = clock();
  alarm(60);
  read_text(user_of(seed), seed, text, length);
  alarm(0);
  double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  if (seconds > run.slowest) run.slowest = seconds;
  char said[32];
  snprintf(said, sizeof said, "%.1f s", seconds);
  if (seconds > SECONDS) fail("slow", said);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  snprintf(said, sizeof said, "%ld MB", usage.ru_maxrss / 1024);
  if (usage.ru_maxrss / 1024 > MEGABYTES) {
    fail("memory", said);
    run.failures = FAILURES;  // it does not fall again
  }
}

// ---- all of them

static void load_rules(void) {
  static const char *const folders[] = {MODELS};
  lang_search search = {.folders = folders, .count = 1};
  weir_arena_init(&run.rule_arena);
  lang_diags_init(&run.rule_diags, &run.rule_arena);
  weir_status status = lang_load(&run.rule_arena, MODELS "/std/rules.weir", &search, &run.rule_diags, &run.rules);
  if (status || run.rule_diags.error_count) exit(2);
}

int main(int argc, char **argv) {
  long count = argc > 1 ? atol(argv[1]) : 10000;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  const char *folder = getenv("TMPDIR");
  snprintf(run.path, sizeof run.path, "%s/fuzz_zoo.%d.weir", folder ? folder : "/tmp", (int)getpid());
  run.random = seed * 0x9E3779B97F4A7C15u + 88172645463325252u;
  load_rules();
  for (int i = 3; i < argc; i++) add_file(argv[i]);
  if (argc <= 3) {
    add_files(MODELS "/*.weir");
    add_files(MODELS "/std/*.weir");
    add_files(WEIR_SOURCE_DIR "/tests/data/lang/*.weir");
    add_files(WEIR_SOURCE_DIR "/tests/data/lang/refused/*.mend.weir");
    add_programs();
  }
  for (int i = 0; i < run.count && argc > 3; i++) one(&run.files[i], run.files[i].text, run.files[i].length);
  char *text = malloc(MAX_TEXT);
  for (long i = 0; i < count && run.failures < FAILURES && run.count; i++) {
    const seed_file *from = &run.files[below((size_t)run.count)];
    memcpy(text, from->text, from->length + 1);
    size_t length = from->length;
    for (size_t rounds = 1 + below(below(4) ? 1 : 4); rounds; rounds--) length = mutate(text, length);
    one(from, text, length);
  }
  printf(
      "%d files, %ld mutations, seed %llu: %ld refused, %ld accepted, of which %ld lowered and %ld not; slowest %.2f "
      "s; "
      "%d failures\n",
      run.count, count, (unsigned long long)seed, run.refused, run.accepted, run.lowered, run.unsupported, run.slowest,
      run.failures);
  if (!run.failures) unlink(run.path);
  free(text);
  for (int i = 0; i < run.count; i++) free(run.files[i].text), free((char *)run.files[i].path);
  weir_arena_deinit(&run.rule_arena);
  return run.failures ? 1 : 0;
}
