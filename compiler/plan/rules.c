// Rules of a build: the library's and the model's own, tested before they are used.
//
// A test takes a millisecond or less for a rule, and is remembered: a file in the cache, named by a hash of the texts
// and of this program, says that all rules of these texts passed. The library is a program of its own beside the
// model's, so that names of its rules are in nobody's way.
#include <stdlib.h>
#include <string.h>

#include "compiler/lang/rule.h"
#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"
#include "compiler/plan/version.h"

enum { TEST_VERSION = 1 };  // of the test: a better one tests anew

static weir_status errors_of(const plan_unit *unit) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' has errors", unit->request->text);
}

static void hash_texts(const lang_program *program, char *out_hex) {
  weir_hasher hasher;
  weir_hash hash;
  weir_hasher_init(&hasher);
  weir_hasher_add_text(&hasher, WEIR_VERSION);
  weir_hasher_add_u64(&hasher, TEST_VERSION);
  weir_hasher_add_u64(&hasher, LANG_RULE_TRIALS);
  for (int i = 0; i < program->file_count; i++) weir_hasher_add_text(&hasher, program->files[i]->source->text);
  weir_hasher_finish(&hasher, &hash);
  weir_hash_hex(&hash, out_hex);
}

// The file that says so; null where there is no cache: then rules are tested each time.
static const char *memory_of(plan_unit *unit, const lang_program *program) {
  char hex[WEIR_HASH_HEX_BYTES];
  const char *folder = NULL;
  weir_status status = plan_home_folder(unit->arena, "rules", &folder);
  if (status) {
    weir_status_release(status);
    return NULL;
  }
  hash_texts(program, hex);
  return weir_arena_printf(unit->arena, "%s/%s", folder, hex);
}

// Tests the rules of |program| unless they passed before.
static weir_status test(plan_unit *unit, const lang_program *program, int trials) {
  if (!lang_rules_count(program)) return WEIR_OK;
  const char *path = memory_of(unit, program);
  if (path && weir_file_exists(path)) return WEIR_OK;
  plan_tell(unit->request, "testing rules", -1);
  lang_rules_check(unit->arena, program, trials, unit->diags, NULL);
  if (unit->diags->error_count) return errors_of(unit);
  if (path) weir_status_release(weir_file_write_atomic(path, "", 0));  // not remembered, not wrong
  return WEIR_OK;
}

static bool has_file(const lang_program *program, const char *path) {
  char *real = realpath(path, NULL);
  bool found = false;
  for (int i = 0; i < program->file_count && real && !found; i++) {
    char *other = realpath(program->files[i]->source->path, NULL);
    found = other && !strcmp(real, other);
    free(other);
  }
  free(real);
  return found;
}

// The library's rules; none where there is no such file, or where the model uses it itself.
static weir_status load_library(plan_unit *unit) {
  const char *models = unit->request->models_folder;
  const char *path = models ? weir_arena_printf(unit->arena, "%s/std/rules.weir", models) : NULL;
  if (!path || !weir_file_exists(path) || has_file(unit->program, path)) return WEIR_OK;
  lang_search search = {.folders = &models, .count = 1};
  WEIR_TRY(lang_load(unit->arena, path, &search, unit->diags, &unit->library));
  return unit->diags->error_count ? errors_of(unit) : test(unit, unit->library, LANG_RULE_LIBRARY_TRIALS);
}

weir_status plan_read_rules(plan_unit *unit) {
  WEIR_TRY(load_library(unit));
  return test(unit, unit->program, LANG_RULE_TRIALS);
}

static bool is_setting(const plan_unit *unit, const char *word) {
  const lang_plan_line *line = unit->plan ? lang_plan_get(unit->plan, "rules") : NULL;
  return line && line->value_count && line->values[0].text && !strcmp(line->values[0].text, word);
}

void plan_use_rules(plan_unit *unit) {
  if (is_setting(unit, "none")) return;
  unit->rules = ir_rules_create(unit->arena);
  unit->rules->exact_only = is_setting(unit, "exact");
  // The model's own first: they may know better.
  lang_rules_add(unit->rules, unit->program, false, unit->diags);
  if (unit->library) lang_rules_add(unit->rules, unit->library, true, unit->diags);
  unit->graph->module->rules = unit->rules;
}

weir_status plan_check_rules(plan_unit *unit) {
  const ir_rules *rules = unit->rules;
  if (!rules || !rules->endless) return WEIR_OK;
  const char *names = "";
  const ir_rule *first = rules->endless[0];
  for (int i = 0; i < rules->endless_count; i++) {
    names = weir_arena_printf(unit->arena, "%s%s%s", names, i ? ", " : "", rules->endless[i]->name);
    if (first->library) first = rules->endless[i];
  }
  lang_diag *diag =
      lang_diag_add(unit->diags, LANG_W_RULE_ENDLESS, lang_rule_span(first), rules->endless_function, names);
  for (int i = 0; i < rules->endless_count; i++) {
    if (rules->endless[i] != first)
      lang_diag_note(unit->diags, diag, lang_rule_span(rules->endless[i]), "with %s", rules->endless[i]->name);
  }
  return errors_of(unit);
}
