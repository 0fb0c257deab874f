// Refused programs: tests/data/lang/refused/NAME.weir is wrong and says where, NAME.mend.weir is the same meant right.
//
// Below a wrong line stands a comment `//     ^ W0402`: the caret is under the place of the only diagnostic, or one
// comment for each. Exactly those are reported, and the mend elaborates with a graph that verifies. In these texts T is
// the seq that grows in steps: a mend with a step over T gives the same however T is cut into calls.
#include <glob.h>

#include "tests/unit/lang/session_test.h"

enum { MAX_MARKS = 8 };

typedef struct {
  int line, column;
  char code[8];
} mark;

static char *read_text(const char *path) {
  FILE *file = fopen(path, "rb");
  cr_assert(file, "%s", path);
  char *text = calloc(1, 1 << 16);
  size_t length = fread(text, 1, (1 << 16) - 1, file);
  cr_assert_lt(length, (size_t)(1 << 16) - 1, "%s is too long", path);
  fclose(file);
  return text;
}

// The marks of a text; those of one line stand below it.
static int read_marks(const char *text, mark *out) {
  int count = 0, line = 1, marked = 0;
  for (const char *at = text; *at; line++) {
    const char *end = strchr(at, '\n');
    size_t length = end ? (size_t)(end - at) : strlen(at), spaces = 2;
    char code[8];
    bool is = !strncmp(at, "//", 2);
    while (is && spaces < length && at[spaces] == ' ') spaces++;
    if (is && spaces < length && at[spaces] == '^' && sscanf(at + spaces, "^ %7s", code) == 1) {
      cr_assert_lt(count, MAX_MARKS);
      out[count].line = line - 1 - marked++;
      out[count].column = (int)spaces + 1;
      memcpy(out[count++].code, code, sizeof code);
    } else {
      marked = 0;
    }
    at += length + (end != NULL);
  }
  return count;
}

static bool is_at(const lang_diag *diag, const mark *m) {
  return !strcmp(lang_diag_text(diag->code), m->code) && (int)diag->span.first_line == m->line &&
         (int)diag->span.first_column == m->column;
}

// Nothing but the marks, all of them.
static const char *wrong_program(elab_bench *bench, const char *text) {
  mark marks[MAX_MARKS];
  int count = read_marks(text, marks), matched = 0;
  elab_load_text(bench, text, strlen(text));
  if (bench->program) elab_run(bench, NULL);
  if (!count) return "it has no mark";
  if (bench->diags.error_count == 0) return "it is accepted";
  for (int i = 0; i < bench->diags.count; i++) {
    bool wanted = false;
    for (int k = 0; k < count; k++) wanted = wanted || is_at(bench->diags.data[i], &marks[k]);
    if (!wanted) return "another diagnostic than the marks";
    matched++;
  }
  return matched == count ? NULL : "a mark without its diagnostic";
}

static const char *mend(elab_bench *bench, const char *text) {
  elab_load_text(bench, text, strlen(text));
  if (!elab_run(bench, NULL)) return "the mend is refused";
  weir_status status = ir_verify(bench->graph->module);
  const char *problem = status ? weir_arena_strdup(&bench->arena, weir_status_message(status)) : NULL;
  weir_status_release(status);
  return problem;
}

// ---- mends cut into calls

static int64_t *sizes_of(elab_bench *bench, uint64_t seed) {
  const ir_dim_table *dims = bench->graph->module->dims;
  int64_t *sizes = WEIR_NEW_ARRAY(&bench->arena, int64_t, ir_symbol_count(dims) + 1);
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *symbol = ir_symbol_at(dims, i);
    int64_t most = symbol->hi < symbol->lo + 8 ? symbol->hi : symbol->lo + 8, by = symbol->divisor;
    int64_t size = symbol->lo + (int64_t)(session_noise(symbol->name, 0, seed) * (double)(most - symbol->lo + 1));
    sizes[i] = (size + by - 1) / by * by;
  }
  return sizes;
}

static bool takes(const ir_function *f, const ir_symbol *symbol) {
  for (int i = 0; symbol && i < f->param_count; i++) {
    const ir_type *type = &f->params[i].value->type;
    if (f->params[i].kind == IR_PARAM_INPUT && type->rank && ir_dim_as_symbol(type->dims[0]) == symbol) return true;
  }
  return false;
}

static bool same_values(const ir_tensor *part, const ir_tensor *whole, int64_t first, bool rows) {
  int64_t width = rows && whole->dims[0] ? ir_tensor_elements(whole) / whole->dims[0] : 0;
  for (int64_t i = 0; i < ir_tensor_elements(part); i++) {
    double a = part->data[i], b = whole->data[first * width + i];
    if (!(a == b || fabs(a - b) <= 1e-12 * (1 + fabs(b)) || (isnan(a) && isnan(b)))) return false;
  }
  return true;
}

// Runs |f| on all rows at once and in pieces; the outputs that have rows are equal row by row, the others at the end.
static bool same_when_cut(session *whole, session *parts, const ir_function *f, const ir_symbol *grows,
                          int64_t *sizes) {
  int64_t total = sizes[grows->index];
  session_call(whole, f->name, grows->name, 0, total, sizes);
  memcpy(parts->inputs, whole->inputs, sizeof whole->inputs);
  parts->input_count = whole->input_count;
  for (int64_t past = 0, n; past < total; past += n) {
    n = 1 + (int64_t)(session_noise("cut", past, whole->seed) * 4);
    if (n > total - past) n = total - past;
    session_call(parts, f->name, grows->name, past, n, sizes);
    for (int i = 0; i < parts->output_count; i++) {
      const ir_type *type = &f->results[i].value->type;
      bool rows = type->rank && ir_dim_as_symbol(type->dims[0]) == grows;
      if (!rows && past + n < total) continue;
      if (!same_values(&parts->outputs[i].tensor, &whole->outputs[i].tensor, past, rows)) return false;
    }
  }
  return true;
}

static const char *cut_mend(elab_bench *bench, int *cuts) {
  const ir_module *module = bench->graph->module;
  const ir_symbol *grows = ir_symbol_find(module->dims, "T");
  for (uint64_t seed = 1; seed <= 8; seed++) {
    session whole = {.arena = &bench->arena, .graph = bench->graph, .seed = seed}, parts = whole;
    int64_t *sizes = sizes_of(bench, seed);
    for (int i = 0; i < module->function_count; i++) {
      const ir_function *f = module->functions[i];
      if (f->kind != IR_FUNCTION_STEP) continue;
      if (takes(f, grows)) {
        ++*cuts;
        if (!same_when_cut(&whole, &parts, f, grows, sizes)) return "the mend shows where the sequence was cut";
        continue;
      }
      session_call(&whole, f->name, NULL, 0, 0, sizes);
      memcpy(parts.states, whole.states, sizeof whole.states);
      parts.state_count = whole.state_count;
    }
  }
  return NULL;
}

Test(refused, mends_cut) {
  glob_t files;
  cr_assert_eq(glob(WEIR_SOURCE_DIR "/tests/data/lang/refused/*.mend.weir", 0, NULL, &files), 0);
  int cuts = 0;
  for (size_t i = 0; i < files.gl_pathc; i++) {
    elab_bench *bench = elab_open();
    char *text = read_text(files.gl_pathv[i]);
    elab_load_text(bench, text, strlen(text));
    const char *problem = elab_run(bench, NULL) ? cut_mend(bench, &cuts) : NULL;
    cr_expect(!problem, "%s: %s", files.gl_pathv[i], problem);
    free(text);
    elab_close(bench);
  }
  globfree(&files);
  cr_expect_gt(cuts, 200);
}

// ---- all of them

static void run_all(bool mends) {
  glob_t files;
  cr_assert_eq(glob(WEIR_SOURCE_DIR "/tests/data/lang/refused/*.weir", 0, NULL, &files), 0);
  int failed = 0, seen = 0;
  for (size_t i = 0; i < files.gl_pathc; i++) {
    const char *path = files.gl_pathv[i], *name = strrchr(path, '/') + 1;
    if ((strstr(name, ".mend.weir") != NULL) != mends) continue;
    elab_bench *bench = elab_open();
    char *text = read_text(path);
    const char *problem = mends ? mend(bench, text) : wrong_program(bench, text);
    seen++;
    if (problem) {
      failed++;
      fprintf(stderr, "---- %s: %s\n%s\n", name, problem, elab_messages(bench));
    }
    free(text);
    elab_close(bench);
  }
  globfree(&files);
  cr_expect_gt(seen, 80);
  cr_expect_eq(failed, 0, "%d of %d programs", failed, seen);
}

Test(refused, wrong) { run_all(false); }
Test(refused, mends) { run_all(true); }
