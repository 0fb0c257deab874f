// Rules: the library's are tested by name and applied, wrong ones are refused with a counterexample, endless ones are
// stopped, and random modules mean the same before and after.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codegen/lower/lower.h"
#include "compiler/lang/elab_rule.h"
#include "compiler/passes/pass.h"
#include "tests/common/random_module.h"

#define LIBRARY WEIR_SOURCE_DIR "/models/std/rules.weir"
#define DATA WEIR_SOURCE_DIR "/tests/data/lang/rules/"

typedef struct {
  weir_arena arena;
  lang_diags diags;
  lang_program *program;
} text;

static void open_text(text *t, const char *path) {
  static const char *const folders[] = {WEIR_SOURCE_DIR "/models"};
  lang_search search = {.folders = folders, .count = 1};
  weir_arena_init(&t->arena);
  lang_diags_init(&t->diags, &t->arena);
  weir_status status = lang_load(&t->arena, path, &search, &t->diags, &t->program);
  cr_assert(!status, "%s", weir_status_message(status));
  cr_assert(t->program->ok, "%s", lang_diags_render(&t->diags, &t->arena, false));
}

static void close_text(text *t) { weir_arena_deinit(&t->arena); }

static bool is_rule(const lang_symbol *symbol) { return symbol->item->kind == LANG_ITEM_RULE; }

// ---- tests of rules

Test(rules, library_is_right) {
  text t;
  int failed = 0, count = 0;
  long trials = 0, compared = 0;
  open_text(&t, LIBRARY);
  for (int i = 0; i < t.program->symbol_count; i++) {
    lang_rule_report report;
    if (!is_rule(&t.program->symbols[i])) continue;
    count++;
    failed += !lang_rule_check(&t.arena, t.program, t.program->symbols[i].name, 1000, &t.diags, &report);
    trials += report.trials;
    compared += report.compared;
  }
  lang_rules_check(&t.arena, t.program, LANG_RULE_LIBRARY_TRIALS, &t.diags, NULL);
  failed += t.diags.error_count;
  printf("%d rules of the library, %ld trials, %ld elements compared\n", count, trials, compared);
  cr_expect_geq(count, 80);
  cr_expect_eq(failed, 0, "%s", lang_diags_render(&t.diags, &t.arena, false));
  close_text(&t);
}

Test(rules, wrong_rules_are_refused) {
  text t;
  int count = 0;
  open_text(&t, DATA "wrong.weir");
  for (int i = 0; i < t.program->symbol_count; i++) {
    const char *name = t.program->symbols[i].name;
    int before = t.diags.count;
    if (!is_rule(&t.program->symbols[i])) continue;
    count++;
    bool ok = lang_rule_check(&t.arena, t.program, name, LANG_RULE_TRIALS, &t.diags, NULL);
    cr_expect(!ok, "%s passed", name);
    if (ok) continue;
    cr_expect_eq(t.diags.count, before + 1, "%s", name);
    const lang_diag *diag = t.diags.data[before];
    cr_expect_eq(diag->code, LANG_W_RULE_WRONG, "%s: %s", name, diag->message);
    cr_expect_geq(diag->note_count, 3, "%s has no counterexample", name);
  }
  printf("%d wrong rules refused\n", count);
  close_text(&t);
}

Test(rules, forms_are_refused) {
  text t;
  open_text(&t, DATA "refused.weir");
  for (int i = 0; i < t.program->symbol_count; i++) {
    const char *name = t.program->symbols[i].name;
    int before = t.diags.count;
    if (!is_rule(&t.program->symbols[i])) continue;
    bool ok = lang_rule_check(&t.arena, t.program, name, LANG_RULE_TRIALS, &t.diags, NULL);
    cr_expect(!ok && t.diags.count > before, "%s passed", name);
    if (t.diags.count == before) continue;
    const char *code = lang_diag_text(t.diags.data[before]->code);
    cr_expect(!strncasecmp(code, name, strlen(code)), "%s: %s %s", name, code, t.diags.data[before]->message);
  }
  close_text(&t);
}

// ---- rules at work: the left side of each as a program of its own

static ir_rules *only(text *t, const char *name) {
  ir_rules *rules = ir_rules_create(&t->arena);
  lang_rule_add(rules, t->program, lang_program_find(t->program, NULL, name), lang_rule_module(&t->arena), true,
                &t->diags);
  return rules;
}

// Small numbers and sizes, other ones with each |salt|.
static void fill_case(const lang_rule_form *form, ir_module *module, lang_rule_case *c, int salt) {
  static const double floats[] = {2, 0.5, 3, 0.25, 1, 1.0 / 3, 4, 1.0 / 6};
  static const int ints[] = {2, 3, 1, 4}, sizes[] = {2, 3, 4, 6, 1};
  for (int i = 0; i < form->size_count; i++)
    c->sizes[i] = ir_dim_const(module->dims, sizes[(i * (1 + salt / 5) + salt) % 5]);
  for (int i = 0; i < c->dots; i++) c->lead[i] = ir_dim_const(module->dims, 2 + i);
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] == LANG_RULE_FLOAT) c->values[i] = lang_value_float(floats[(i + salt) % 8]);
    if (form->kinds[i] == LANG_RULE_INT) c->values[i] = lang_value_int(ints[(i + salt) % 4]);
  }
}

// The left side as an entry of |module|; null where the case has none.
static ir_function *left_side(const lang_rule_form *form, ir_module *module, lang_rule_case *c) {
  lang_rule_run *run = WEIR_NEW(module->arena, lang_rule_run);
  if (!lang_rule_open(run, form, c, module, NULL, NULL) || !lang_rule_holds(run)) return NULL;
  ir_function *function = lang_rule_side(run, true, NULL);
  if (!function || !function->results[0].value->def) return NULL;
  function->kind = IR_FUNCTION_ENTRY;
  WEIR_PUSH(module->arena, module->functions, module->function_count, module->function_capacity, function);
  return function;
}

// Small numbers of every type, within the known range of integers.
static ir_tensor argument(weir_arena *arena, const ir_value *value, unsigned seed) {
  ir_tensor tensor = {.dtype = value->type.dtype, .rank = value->type.rank};
  for (int i = 0; i < tensor.rank; i++) ir_dim_is_const(value->type.dims[i], &tensor.dims[i]);
  int64_t count = ir_tensor_elements(&tensor), lo = 0, hi = tensor.dtype == IR_bool ? 1 : 5;
  if (value->lo <= value->hi) lo = value->lo, hi = value->hi;
  tensor.data = WEIR_NEW_ARRAY(arena, double, count);
  for (int64_t i = 0; i < count; i++) {
    seed = seed * 1664525 + 1013904223;
    tensor.data[i] = ir_dtype_is_float(tensor.dtype) ? (double)(int)(seed >> 20 & 15) / 4 - 1.75
                                                     : (double)(lo + (int64_t)(seed >> 16) % (hi - lo + 1));
  }
  return tensor;
}

static ir_tensor interpret(weir_arena *arena, const ir_function *function) {
  ir_tensor args[LANG_RULE_MAX], result;
  for (int i = 0; i < function->param_count; i++)
    args[i] = argument(arena, function->params[i].value, 7u + (unsigned)i);
  weir_status status = ir_interpret(arena, function, args, &result);
  cr_assert(!status, "%s\n%s", weir_status_message(status), ir_print_function(arena, function));
  return result;
}

static void expect_close(const ir_tensor *a, const ir_tensor *b, const char *what) {
  cr_assert_eq(ir_tensor_elements(a), ir_tensor_elements(b), "%s", what);
  for (int64_t i = 0; i < ir_tensor_elements(a); i++) {
    double x = a->data[i], y = b->data[i];
    bool close = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= 1e-9 * (1 + fabs(x));
    cr_expect(close, "%s: %.17g became %.17g", what, x, y);
    if (!close) return;
  }
}

static weir_storage stored(void *user, const char *path) {
  (void)user, (void)path;
  return WEIR_STORAGE_F32;
}

// Whether kernels can be made of a copy of the module.
static bool is_lowered(weir_arena *arena, const ir_module *module) {
  const char *source = ir_print_module(arena, module);
  ir_module *copy;
  pass_options options = {0};
  pass_context context;
  cg_lower_options lower = {.storage_of = stored};
  cg_module *code;
  weir_status status = ir_parse_module(arena, source, strlen(source), &copy);
  pass_context_init(&context, &options);
  if (!status) status = pass_pipeline(&context, copy);
  if (!status) status = cg_lower(arena, copy, &lower, &code);
  bool ok = !status;
  weir_status_release(status);
  return ok;
}

// Whether the rule applies to its own left side in this case.
static bool applies(text *t, const lang_rule_form *form, lang_rule_case *c, int salt) {
  ir_module *module = ir_module_create(&t->arena, "M");
  const char *name = form->decl->name.text;
  fill_case(form, module, c, salt);
  ir_function *function = left_side(form, module, c);
  if (!function) return false;
  weir_status status = ir_verify(module);
  cr_assert(!status, "%s: %s", name, weir_status_message(status));
  ir_tensor before = interpret(&t->arena, function);
  bool lowered = is_lowered(&t->arena, module);
  ir_rules *rules = only(t, name);
  ir_rewrite(module, rules);
  if (!rules->firing_count) return false;
  cr_expect(!rules->endless, "%s feeds itself", name);
  ir_function_renumber(function);
  status = ir_verify(module);
  cr_assert(!status, "%s: %s", name, weir_status_message(status));
  ir_tensor after = interpret(&t->arena, function);
  expect_close(&before, &after, name);
  cr_expect(!lowered || is_lowered(&t->arena, module), "%s makes what has no kernel", name);
  return true;
}

static bool applies_somewhere(text *t, const lang_rule_form *form) {
  for (int salt = 0; salt < 25; salt++) {
    for (int k = 0; k < 2; k++) {
      lang_rule_case c = {.f = lang_rule_floats[k], .dots = form->dots ? 1 + salt % 2 : 0};
      lang_rule_first_choice(form, &c);
      do {
        if (applies(t, form, &c, salt)) return true;
      } while (lang_rule_next_choice(form, &c));
    }
  }
  return false;
}

Test(rules, library_applies) {
  text t;
  int count = 0;
  open_text(&t, LIBRARY);
  for (int i = 0; i < t.program->symbol_count; i++) {
    lang_rule_form form;
    if (!is_rule(&t.program->symbols[i])) continue;
    ir_module *shared = lang_rule_module(&t.arena);
    cr_assert(lang_rule_read(&t.arena, t.program, &t.program->symbols[i], shared, &t.diags, &form));
    bool ok = applies_somewhere(&t, &form);
    cr_expect(ok, "%s never applies", t.program->symbols[i].name);
    count += ok;
  }
  printf("%d rules of the library applied to their left sides\n", count);
  close_text(&t);
}

// ---- random modules

Test(rules, meaning_is_kept) {
  text t;
  long applied = 0;
  open_text(&t, LIBRARY);
  for (uint64_t seed = 0; seed < 400; seed++) {
    weir_arena arena;
    int64_t sizes[8];
    weir_arena_init(&arena);
    ir_module *module = ir_module_create(&arena, "Random");
    ir_function *main = random_module_create(module, seed, 20 + (int)seed % 60);
    ir_tensor *args = WEIR_NEW_ARRAY(&arena, ir_tensor, main->param_count);
    ir_tensor *expected = WEIR_NEW_ARRAY(&arena, ir_tensor, main->result_count);
    ir_tensor *got = WEIR_NEW_ARRAY(&arena, ir_tensor, main->result_count);
    random_module_sizes(module, seed, sizes);
    random_module_args(&arena, main, seed, sizes, args);
    weir_status status = ir_interpret(&arena, main, args, expected);
    cr_assert(!status, "%s", weir_status_message(status));
    module->rules = ir_rules_create(&arena);
    lang_rules_add(module->rules, t.program, true, &t.diags);
    pass_options options = {.verify = true};
    pass_context context;
    pass_context_init(&context, &options);
    status = pass_pipeline(&context, module);
    cr_assert(!status, "seed %llu: %s", (unsigned long long)seed, weir_status_message(status));
    cr_expect(!module->rules->endless, "seed %llu has no end: %s", (unsigned long long)seed,
              module->rules->endless ? module->rules->endless[0]->name : "");
    status = ir_interpret(&arena, main, args, got);
    cr_assert(!status, "%s", weir_status_message(status));
    for (int i = 0; i < main->result_count; i++)
      expect_close(&expected[i], &got[i], weir_arena_printf(&arena, "seed %llu", (unsigned long long)seed));
    for (int i = 0; i < module->rules->firing_count; i++) applied += module->rules->firings[i].count;
    weir_arena_deinit(&arena);
  }
  printf("rules applied %ld times in 400 random modules\n", applied);
  cr_expect_gt(applied, 50);
  close_text(&t);
}

// ---- no end

static const char chain[] =
    "module M\nentry main {\n  input %0: f32[4] \"x\"\n  input %1: f32[4] \"y\"\n  %2 = add %0, %1 : f32[4]\n"
    "  %3 = exp %2 : f32[4]\n  %4 = abs %3 : f32[4]\n  result %4 \"z\"\n}\n";

Test(rules, endless_ones_are_stopped) {
  static const char *const names[] = {"turn", "grow"};
  text t;
  open_text(&t, DATA "endless.weir");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    ir_module *module;
    weir_status status = ir_parse_module(&t.arena, chain, strlen(chain), &module);
    cr_assert(!status);
    ir_rules *rules = only(&t, names[i]);
    ir_rewrite(module, rules);
    cr_assert(rules->endless, "%s came to an end", names[i]);
    cr_expect_str_eq(rules->endless[0]->name, names[i]);
    cr_expect_str_eq(rules->endless_function, "main");
    for (int k = 0; k < module->function_count; k++) ir_function_renumber(module->functions[k]);
    status = ir_verify(module);
    cr_expect(!status, "%s", weir_status_message(status));
  }
  close_text(&t);
}

// ---- what others use

// |body| of a function of x: f32[4, 8] after the library's rules; how often they applied goes to |*out_count|.
static const char *rewritten(text *t, const char *body, int *out_count) {
  const char *source =
      weir_arena_printf(&t->arena, "module M\nentry main {\n  input %%0.x: f32[4, 8] \"x\"\n%s}\n", body);
  ir_module *module;
  weir_status status = ir_parse_module(&t->arena, source, strlen(source), &module);
  cr_assert(!status, "%s", weir_status_message(status));
  ir_rules *rules = ir_rules_create(&t->arena);
  lang_rules_add(rules, t->program, true, &t->diags);
  ir_rewrite(module, rules);
  *out_count = 0;
  for (int i = 0; i < rules->firing_count; i++) *out_count += rules->firings[i].count;
  for (int k = 0; k < module->function_count; k++) ir_function_renumber(module->functions[k]);
  status = ir_verify(module);
  cr_assert(!status, "%s", weir_status_message(status));
  return ir_print_module(&t->arena, module);
}

Test(rules, shared_work_is_not_done_twice) {
  text t;
  int count;
  open_text(&t, LIBRARY);
  // exp(x) is also a result: max(exp(x)) => exp(max(x)) would save nothing of it but is less work than max over exp.
  const char *got = rewritten(&t,
                              "  %1 = linear %0, %0 : f32[4, 4]\n  %2 = constant {value=2.0, dtype=f32} : f32[]\n"
                              "  %3 = mul %1, %2 : f32[4, 4]\n  result %1 \"a\"\n  result %3 \"b\"\n",
                              &count);
  cr_expect_eq(count, 0, "a product was made twice\n%s", got);
  got = rewritten(
      &t, "  %1 = sigmoid %0 : f32[4, 8]\n  %2 = mul %1, %0 : f32[4, 8]\n  result %1 \"a\"\n  result %2 \"b\"\n",
      &count);
  cr_expect_eq(count, 0, "silu was computed beside its sigmoid\n%s", got);
  got = rewritten(&t, "  %1 = sigmoid %0 : f32[4, 8]\n  %2 = mul %1, %0 : f32[4, 8]\n  result %2 \"b\"\n", &count);
  cr_expect_eq(count, 1);
  cr_expect(strstr(got, "silu") && !strstr(got, "sigmoid"), "%s", got);
  close_text(&t);
}

// gelu as texts write it: several rules, one after the other.
Test(rules, rules_work_together) {
  text t;
  int count;
  open_text(&t, LIBRARY);
  const char *got =
      rewritten(&t,
                "  %1 = constant {value=1.4142135623730951, dtype=f32} : f32[]\n"
                "  %2 = constant {value=1.0, dtype=f32} : f32[]\n"
                "  %3 = constant {value=0.5, dtype=f32} : f32[]\n"
                "  %4 = div %0, %1 : f32[4, 8]\n  %5 = erf %4 : f32[4, 8]\n  %6 = add %2, %5 : f32[4, 8]\n"
                "  %7 = mul %0, %6 : f32[4, 8]\n  %8 = mul %3, %7 : f32[4, 8]\n  result %8 \"y\"\n",
                &count);
  cr_expect(strstr(got, " = gelu %0") && !strstr(got, "mul"), "%s", got);
  close_text(&t);
}
