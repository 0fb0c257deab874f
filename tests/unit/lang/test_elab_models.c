// The models of the repo: they elaborate, verify, keep one function for equal layers, and mean what they should: a step
// cut into calls gives what the entry gives.
#include <math.h>

#include "tests/unit/lang/elab_test.h"

static void expect_clean(elab_bench *bench) {
  cr_assert(bench->graph, "%s", elab_messages(bench));
  weir_status status = ir_verify(bench->graph->module);
  cr_assert(!status, "%s", weir_status_message(status));
}

static int functions_named(const lang_graph *graph, const char *name) {
  int count = 0;
  size_t length = strlen(name);
  for (int i = 0; i < graph->module->function_count; i++) {
    const char *text = graph->module->functions[i]->name;
    count += !strncmp(text, name, length) && (!text[length] || text[length] == '.');
  }
  return count;
}

static int calls_of(const ir_function *function, const char *name) {
  int count = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    count += node->op == IR_OP_call && !strncmp(node->callee->name, name, strlen(name));
  }
  return count;
}

static void expect_fixed_point(elab_bench *bench) {
  const char *text = ir_print_module(&bench->arena, bench->graph->module);
  ir_module *again;
  weir_status status = ir_parse_module(&bench->arena, text, strlen(text), &again);
  cr_assert(!status, "%s", weir_status_message(status));
  cr_expect_str_eq(ir_print_module(&bench->arena, again), text);
}

Test(elab_models, smollm2) {
  elab_bench *bench = elab_open();
  elab_load_model(bench, "smollm2");
  elab_run(bench, NULL);
  expect_clean(bench);
  const lang_graph *graph = bench->graph;
  cr_expect_eq(graph->weight_count, 272);
  cr_expect_eq(graph->memory_count, 60);
  cr_expect_eq(functions_named(graph, "DecoderLayer"), 2);  // entry and step: with and without states
  cr_expect_eq(functions_named(graph, "Norm"), 1);
  const ir_function *decoder = ir_function_find(graph->module, "Decoder");
  cr_assert(decoder);
  cr_expect_eq(calls_of(decoder, "DecoderLayer"), 30);
  const ir_function *next = ir_function_find(graph->module, "next"), *score = ir_function_find(graph->module, "score");
  cr_assert(next && score);
  cr_expect_eq(next->kind, IR_FUNCTION_STEP);
  cr_expect_eq(next->param_count, 1 + 272 + 60);
  cr_expect_eq(score->param_count, 1 + 272);
  cr_expect_str_eq(graph->memories[0].path, "model.layers.0.self_attn.keys");
  cr_expect(graph->memories[0].rows);
  cr_expect_str_eq(next->params[1].name, "model.embed_tokens.weight");
  const ir_symbol *T = ir_symbol_find(graph->module->dims, "T");
  cr_assert(T);
  cr_expect_eq(T->hi, 8192);
  cr_expect_eq(T->role, IR_ROLE_SEQ);
  for (int i = 0; i < graph->weight_count; i++) cr_expect(graph->weights[i].used && graph->weights[i].is_f);
  expect_fixed_point(bench);
  elab_close(bench);
}

Test(elab_models, minilm) {
  elab_bench *bench = elab_open();
  elab_load_model(bench, "minilm");
  elab_run(bench, NULL);
  expect_clean(bench);
  cr_expect_eq(bench->graph->weight_count, 101);
  cr_expect_eq(bench->graph->memory_count, 0);
  cr_expect_eq(functions_named(bench->graph, "Layer"), 1);
  expect_fixed_point(bench);
  elab_close(bench);
}

Test(elab_models, family) {
  static const char *const tied[] = {"layers=2", NULL}, *const untied[] = {"layers=2", "tied=false", NULL};
  elab_bench *bench = elab_open();
  elab_load_model(bench, "llama");
  elab_run(bench, tied);
  expect_clean(bench);
  cr_expect_eq(bench->graph->weight_count, 2 + 2 * 9);
  cr_expect_eq(bench->graph->weights[0].alias_count, 1);
  cr_expect_str_eq(bench->graph->weights[0].aliases[0], "lm_head.weight");
  elab_run(bench, untied);
  expect_clean(bench);
  cr_expect_eq(bench->graph->weight_count, 3 + 2 * 9);
  elab_close(bench);
  bench = elab_open();
  elab_load_model(bench, "qwen2");
  elab_run(bench, tied);
  expect_clean(bench);
  cr_expect_eq(bench->graph->weight_count, 2 + 2 * 12);
  elab_close(bench);
}

// ---- meaning

static uint64_t random_next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static ir_tensor tensor_make(weir_arena *arena, ir_dtype dtype, int rank, const int64_t *dims) {
  ir_tensor t = {.dtype = dtype, .rank = rank};
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= t.dims[i] = dims[i];
  t.data = WEIR_NEW_ARRAY(arena, double, count + 1);
  return t;
}

// A weight's values depend on its path alone, so that entry and step see the same model.
static ir_tensor weight_make(weir_arena *arena, const ir_param *param) {
  int64_t dims[IR_MAX_RANK];
  for (int i = 0; i < param->value->type.rank; i++) cr_assert(ir_dim_is_const(param->value->type.dims[i], &dims[i]));
  ir_tensor t = tensor_make(arena, param->value->type.dtype, param->value->type.rank, dims);
  uint64_t state = 88172645463325252u;
  for (const char *at = param->name; *at; at++) state = state * 31 + (unsigned char)*at;
  for (int64_t i = 0; i < ir_tensor_elements(&t); i++)
    t.data[i] = ((double)(random_next(&state) >> 40) / (1 << 24) - 0.5);
  return t;
}

static ir_tensor tokens_make(weir_arena *arena, const int *tokens, int count) {
  ir_tensor t = tensor_make(arena, IR_i32, 1, (int64_t[]){count});
  for (int i = 0; i < count; i++) t.data[i] = tokens[i];
  return t;
}

// |states| of a step: in and out, or null.
static ir_tensor run(elab_bench *bench, const char *name, const int *tokens, int count, ir_tensor *states) {
  const ir_function *function = ir_function_find(bench->graph->module, name);
  cr_assert(function);
  ir_tensor *args = WEIR_NEW_ARRAY(&bench->arena, ir_tensor, function->param_count);
  ir_tensor *results = WEIR_NEW_ARRAY(&bench->arena, ir_tensor, function->result_count);
  int state = 0;
  for (int i = 0; i < function->param_count; i++) {
    const ir_param *param = &function->params[i];
    if (param->kind == IR_PARAM_INPUT) args[i] = tokens_make(&bench->arena, tokens, count);
    else if (param->kind == IR_PARAM_WEIGHT) args[i] = weight_make(&bench->arena, param);
    else args[i] = states[state++];
  }
  weir_status status = ir_interpret(&bench->arena, function, args, results);
  cr_assert(!status, "%s", weir_status_message(status));
  for (int i = 1; i < function->result_count; i++) states[i - 1] = results[i];
  return results[0];
}

// Keys and values of |layers| layers, without rows.
static ir_tensor *no_rows(elab_bench *bench, int layers, int64_t heads, int64_t size) {
  ir_tensor *states = WEIR_NEW_ARRAY(&bench->arena, ir_tensor, 2 * layers);
  for (int i = 0; i < 2 * layers; i++) states[i] = tensor_make(&bench->arena, IR_f32, 3, (int64_t[]){0, heads, size});
  return states;
}

Test(elab_models, cuts_do_not_show) {
  static const char *const small[] = {"layers=2", "D=8", "F=12", "heads=2", "kv_heads=1", "V=17", NULL};
  static const int tokens[] = {3, 16, 0, 5, 5, 11};
  elab_bench *bench = elab_open();
  elab_load_model(bench, "smollm2");
  elab_run(bench, small);
  expect_clean(bench);
  ir_tensor whole = run(bench, "score", tokens, 6, NULL);
  cr_assert_eq(whole.dims[0], 6);
  for (int cut = 1; cut < 6; cut++) {
    ir_tensor *states = no_rows(bench, 2, 1, 4);
    run(bench, "next", tokens, cut, states);
    cr_expect_eq(states[0].dims[0], cut);
    ir_tensor last = run(bench, "next", tokens + cut, 6 - cut, states);
    cr_expect_eq(states[3].dims[0], 6);
    for (int i = 0; i < 17; i++) cr_expect_float_eq(last.data[i], whole.data[5 * 17 + i], 1e-9);
  }
  elab_close(bench);
}

Test(elab_models, embedding_has_length_one) {
  static const char *const small[] = {"layers=2", "D=8", "F=12", "heads=2", "V=17", "P=16", "longest=16", NULL};
  static const int tokens[] = {3, 16, 0, 5};
  elab_bench *bench = elab_open();
  elab_load_model(bench, "minilm");
  elab_run(bench, small);
  expect_clean(bench);
  ir_tensor embedding = run(bench, "embed", tokens, 4, NULL);
  double square = 0;
  for (int i = 0; i < 8; i++) square += embedding.data[i] * embedding.data[i];
  cr_expect_float_eq(square, 1.0, 1e-6);
  elab_close(bench);
}

// ---- options

Test(elab_models, overrides) {
  static const char *const unknown[] = {"layer=2", NULL}, *const kind[] = {"layers=0.5", NULL},
                           *const form[] = {"layers", NULL};
  static const char *const *const wrong[] = {unknown, kind, form};
  static const char *const codes[] = {"W0232", "W0327", "W0231"};
  for (int i = 0; i < 3; i++) {
    elab_bench *bench = elab_open();
    elab_load_model(bench, "smollm2");
    cr_expect_null(elab_run(bench, wrong[i]));
    cr_assert_eq(bench->diags.count, 1, "%s", elab_messages(bench));
    cr_expect_str_eq(lang_diag_text(bench->diags.data[0]->code), codes[i]);
    elab_close(bench);
  }
}

Test(elab_models, settings) {
  static const char *const over[] = {"theta=10000", NULL};
  elab_bench *bench = elab_open();
  elab_load_model(bench, "smollm2");
  elab_run(bench, over);
  expect_clean(bench);
  cr_assert_eq(bench->graph->setting_count, 8);
  cr_expect_str_eq(bench->graph->settings[0].name, "layers");
  cr_expect_eq(bench->graph->settings[0].i, 30);
  cr_expect_str_eq(bench->graph->settings[6].name, "theta");
  cr_expect_eq(bench->graph->settings[6].kind, LANG_SETTING_FLOAT);
  cr_expect_float_eq(bench->graph->settings[6].f, 10000, 0);
  elab_close(bench);
}

Test(elab_models, float_type) {
  elab_bench *bench = elab_open();
  elab_load_model(bench, "smollm2");
  static const char *const over[] = {"layers=1"};
  lang_options options = {.overrides = over, .override_count = 1, .float_dtype = IR_bf16};
  bench->graph = lang_elaborate(&bench->arena, bench->program, &options, &bench->diags);
  expect_clean(bench);
  cr_expect_eq(bench->graph->weights[0].type.dtype, IR_bf16);
  const ir_function *score = ir_function_find(bench->graph->module, "score");
  cr_expect_eq(score->results[0].value->type.dtype, IR_f32);
  elab_close(bench);
}

// `weir check` of a library and of a model.
Test(elab_models, check) {
  static const char *const clean[] = {"std/nn", "std/decoder", "smollm2", "minilm", "llama", "qwen2"};
  for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) {
    elab_bench *bench = elab_open();
    elab_load_model(bench, clean[i]);
    lang_check(&bench->arena, bench->program, &bench->diags);
    cr_expect_eq(bench->diags.count, 0, "%s", elab_messages(bench));
    elab_close(bench);
  }
  elab_bench *bench = elab_open();
  static const char text[] =
      "block A {D: int} (x: f[D]) -> f[D] { return y; }\nmodel M {n} { entry e(x: f32[n]) -> f32[n] { return z; } }";
  elab_load_text(bench, text, strlen(text));
  lang_check(&bench->arena, bench->program, &bench->diags);
  cr_expect_eq(bench->diags.error_count, 2, "%s", elab_messages(bench));
  elab_close(bench);
}
