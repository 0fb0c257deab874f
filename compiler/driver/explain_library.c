// The table of choices between Weir's own kernels and a library: the answers to the questions `library.rows` and
// `library.algorithm` among those that a search has asked on a device (compiler/plan/tune.h).
#include "compiler/driver/explain_library.h"

#include <string.h>

#include "compiler/driver/tuning.h"

static const char rows_name[] = "library.rows", algorithm_name[] = "library.algorithm";

// ---- of a text

void cli_explain_library(cli *c, const plan_unit *unit, json_t *document) {
  const cg_module *code = unit->code;
  int shapes = 0;
  for (int i = 0; i < code->question_count; i++) shapes += !strcmp(code->questions[i].parameter, rows_name);
  bool allowed = plan_takes_library(unit), device = unit->device_code || unit->sm_90a_code;
  json_object_set_new(document, "library", json_pack("{s:b,s:i}", "allowed", allowed, "shapes", shapes));
  if (c->json || !allowed) return;
  printf("\nLIBRARY\n");
  if (!device)
    printf(
        "  cublaslt may be used on GPUs; code for processors has Weir's own kernels (--device cuda shows the other)\n");
  else if (!shapes)
    printf(
        "  cublaslt may be used, but there are no products for it: it does those in bf16, of matrices stored as "
        "floats\n");
  else
    printf(
        "  cublaslt may do products of %d shape%s; without a table of what was measured on a GPU all are Weir's own "
        "kernels\n  (weir build --tune --device cuda makes one, and the package keeps it)\n",
        shapes, shapes == 1 ? "" : "s");
}

// ---- of a package

static const char *text_of(const json_t *trial, const char *key) {
  const char *text = json_string_value(json_object_get(trial, key));
  return text ? text : "";
}
static double number_of(const json_t *trial, const char *key) { return json_number_value(json_object_get(trial, key)); }
static bool is_kept(const json_t *trial) { return json_is_true(json_object_get(trial, "kept")); }

static void print_trial(const json_t *trial) {
  double gain = 100 * number_of(trial, "gain");
  bool rows = !strcmp(text_of(trial, "parameter"), rows_name);
  if (number_of(trial, "value") == number_of(trial, "default")) {
    if (rows) printf("    own kernels: nothing was faster (from the cache)\n");
    return;
  }
  if (gain == 0 && number_of(trial, "spread") == 0) return;  // it concerned nothing that was called
  printf("    %s %.0f: %.1f %% %s than %s, pairs spread %.1f %%, %.0f %% of a call%s%s\n",
         rows ? "cublaslt from rows" : "proposal", number_of(trial, "value"), gain < 0 ? -gain : gain,
         gain < 0 ? "slower" : "faster", rows ? "own kernels" : "proposal 0", 100 * number_of(trial, "spread"),
         100 * number_of(trial, "share"), is_kept(trial) ? "; kept" : "; not kept",
         json_is_true(json_object_get(trial, "remembered")) ? " (from the cache)" : "");
}

// The trials of one product, |trials| from |first| on.
static void print_product(const json_t *trials, size_t first) {
  const char *key = text_of(json_array_get(trials, first), "key");
  long long from = 0, algorithm = 0;
  for (size_t i = first; i < json_array_size(trials); i++) {
    const json_t *trial = json_array_get(trials, i);
    if (strcmp(text_of(trial, "key"), key) || !is_kept(trial)) continue;
    if (!strcmp(text_of(trial, "parameter"), rows_name)) from = (long long)number_of(trial, "value");
    if (!strcmp(text_of(trial, "parameter"), algorithm_name)) algorithm = (long long)number_of(trial, "value");
  }
  if (from) printf("  %s: own kernels below %lld rows, from there on cublaslt, proposal %lld\n", key, from, algorithm);
  else printf("  %s: own kernels\n", key);
  for (size_t i = first; i < json_array_size(trials); i++) {
    const json_t *trial = json_array_get(trials, i);
    const char *parameter = text_of(trial, "parameter");
    bool library = !strcmp(parameter, rows_name) || !strcmp(parameter, algorithm_name);
    if (library && !strcmp(text_of(trial, "key"), key)) print_trial(trial);
  }
}

static bool is_first(const json_t *trials, size_t at) {
  const json_t *trial = json_array_get(trials, at);
  if (strncmp(text_of(trial, "parameter"), "library.", 8) != 0) return false;
  for (size_t i = 0; i < at; i++) {
    const json_t *before = json_array_get(trials, i);
    bool library = !strncmp(text_of(before, "parameter"), "library.", 8);
    if (library && !strcmp(text_of(before, "key"), text_of(trial, "key"))) return false;
  }
  return true;
}

static void print_table(const json_t *tuning) {
  const json_t *trials = json_object_get(tuning, "trials");
  int products = 0;
  printf("LIBRARY\n");
  for (size_t i = 0; i < json_array_size(trials); i++) {
    if (!is_first(trials, i)) continue;
    print_product(trials, i);
    products++;
  }
  if (products) printf("  measured on %s, %s\n", text_of(tuning, "features"), text_of(tuning, "target"));
  else
    printf(
        "  no table: all products are Weir's own kernels (a plan with library = cublaslt; and\n"
        "  weir build --tune --device cuda make one)\n");
}

int cli_explain_package(cli *c, const char *path) {
  rt_package *package;
  weir_status status = rt_package_open(path, NULL, &package);
  if (status) return cli_fail(c, status);
  json_t *tuning = cli_tuning_read(package);
  rt_package_close(package);
  if (c->json) return cli_json(c, json_pack("{s:o}", "tuning", tuning ? tuning : json_null()));
  print_table(tuning);
  json_decref(tuning);
  return CLI_DONE;
}
