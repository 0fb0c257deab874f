// Binds, plans and patterns.
#include "tests/unit/lang/elab_test.h"

static lang_graph *open_model(elab_bench *bench, const char *name) {
  static const char *const over[] = {"layers=2", NULL};
  elab_load_model(bench, name);
  elab_run(bench, over);
  cr_assert(bench->graph, "%s", elab_messages(bench));
  return bench->graph;
}

static const char *source_text(weir_arena *arena, const lang_tensor_source *s) {
  static const char *const names[] = {"", "concat", "slice", "transpose", "unpermute"};
  if (!s) return "none";
  if (s->kind == LANG_SOURCE_TENSOR) return s->name;
  const char *text = weir_arena_printf(arena, "%s(", names[s->kind]);
  for (int i = 0; i < s->part_count; i++)
    text = weir_arena_printf(arena, "%s%s%s", text, i ? "," : "", source_text(arena, s->parts[i]));
  if (s->kind == LANG_SOURCE_SLICE)
    return weir_arena_printf(arena, "%s,%d,%d..%d)", text, s->axis, (int)s->start, (int)s->stop);
  if (s->kind == LANG_SOURCE_UNPERMUTE) return weir_arena_printf(arena, "%s,%d)", text, (int)s->heads);
  return weir_arena_printf(arena, "%s)", text);
}

#define EXPECT_SOURCE(bind, path, text) \
  cr_expect_str_eq(source_text(&bench->arena, lang_bind_resolve(bind, &bench->arena, path)), text)

Test(elab_bind, gguf_names) {
  elab_bench *bench = elab_open();
  const lang_graph *graph = open_model(bench, "smollm2");
  const lang_graph_bind *gguf = lang_graph_bind_find(graph, "gguf"), *hf = lang_graph_bind_find(graph, "hf");
  cr_assert(gguf && hf);
  EXPECT_SOURCE(gguf, "model.embed_tokens.weight", "token_embd.weight");
  EXPECT_SOURCE(gguf, "model.layers.1.mlp.gate_proj.weight", "blk.1.ffn_gate.weight");
  EXPECT_SOURCE(gguf, "model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight");
  EXPECT_SOURCE(gguf, "model.layers.0.self_attn.q_proj.weight", "unpermute(blk.0.attn_q.weight,9)");
  EXPECT_SOURCE(gguf, "model.layers.0.self_attn.k_proj.weight", "unpermute(blk.0.attn_k.weight,3)");
  EXPECT_SOURCE(gguf, "something.else", "something.else");
  EXPECT_SOURCE(hf, "model.norm.weight", "model.norm.weight");
  EXPECT_SOURCE(NULL, "model.norm.weight", "model.norm.weight");
  cr_expect(lang_bind_ignores(gguf, "rope_freqs.weight"));
  cr_expect_not(lang_bind_ignores(gguf, "token_embd.weight"));
  elab_close(bench);
}

// The tensors that a file must have for |bind|, in the shapes of the model.
static lang_tensor *tensors_of(elab_bench *bench, const lang_graph_bind *bind) {
  const lang_graph *graph = bench->graph;
  lang_tensor *tensors = WEIR_NEW_ARRAY(&bench->arena, lang_tensor, graph->weight_count + 4);
  for (int i = 0; i < graph->weight_count; i++) {
    const lang_tensor_source *s = lang_bind_resolve(bind, &bench->arena, graph->weights[i].path);
    while (s->kind != LANG_SOURCE_TENSOR) s = s->parts[0];
    tensors[i].name = s->name;
    tensors[i].rank = graph->weights[i].type.rank;
    for (int k = 0; k < tensors[i].rank; k++) ir_dim_is_const(graph->weights[i].type.dims[k], &tensors[i].dims[k]);
  }
  return tensors;
}

Test(elab_bind, everything_at_once) {
  elab_bench *bench = elab_open();
  const lang_graph *graph = open_model(bench, "smollm2");
  const lang_graph_bind *gguf = lang_graph_bind_find(graph, "gguf");
  lang_tensor *tensors = tensors_of(bench, gguf);
  int count = graph->weight_count;
  lang_bind_report report;
  lang_check_bind(graph, gguf, &bench->arena, tensors, count, &report);
  cr_expect_eq(report.problem_count, 0);
  for (int i = 0; i < count; i++) cr_expect(report.sources[i]);
  cr_expect_eq(lang_bind_choose(graph, tensors, count), gguf);

  tensors[count++] = (lang_tensor){"extra.weight", 1, {3}};
  tensors[count++] = (lang_tensor){"rope_freqs.weight", 1, {32}};  // may stay unused
  tensors[2].name = "misnamed";
  tensors[5].dims[0]++;
  lang_check_bind(graph, gguf, &bench->arena, tensors, count, &report);
  int kinds[3] = {0};
  for (int i = 0; i < report.problem_count; i++) kinds[report.problems[i].kind]++;
  cr_expect_eq(kinds[LANG_PROBLEM_MISSING], 1);
  cr_expect_eq(kinds[LANG_PROBLEM_UNEXPECTED], 2);
  cr_expect_eq(kinds[LANG_PROBLEM_SHAPE], 1);
  elab_close(bench);
}

Test(elab_bind, a_tie_by_either_name) {
  elab_bench *bench = elab_open();
  const lang_graph *graph = open_model(bench, "llama");
  const lang_graph_bind *gguf = lang_graph_bind_find(graph, "gguf");
  lang_tensor *tensors = tensors_of(bench, gguf);
  cr_assert_str_eq(tensors[0].name, "token_embd.weight");
  tensors[0].name = "output.weight";
  lang_bind_report report;
  lang_check_bind(graph, gguf, &bench->arena, tensors, graph->weight_count, &report);
  cr_expect_eq(report.problem_count, 0);
  cr_expect_str_eq(report.sources[0]->name, "output.weight");
  elab_close(bench);
}

static const char functions[] =
    "use std.nn;\n"
    "block Att {D: int} (x: f[D]) -> f[D] { q, k, v: Linear{D, D}; return q(x) + k(x) + v(x); }\n"
    "model M {D = 4} {\n"
    "  deep.att: Att{D}[2];\n"
    "  both: Linear{D, 2 * D};\n"
    "  entry e(x: f32[D]) -> f32[2 * D] { h = f(x); for a in deep.att { h = a(h); } return f32(both(h)); }\n"
    "}\n"
    "bind b for M {\n"
    "  **: \"net.{**}\";\n"
    "  deep.att[i].q.weight, deep.att[i].k.weight, deep.att[i].v.weight: split(transpose(\"l{i}.qkv\"), [D, D, D]);\n"
    "  both.weight: concat(\"up\", \"gate\");\n"
    "  _: \"**.{steps,mean}\", \"old.*\";\n"
    "}\n"
    "plan p for M { float = bf16; target = cpu(\"x86-64-v3\"), cuda; store **.weight: q8_0(); store "
    "deep.att[1..2].{q,k}.*: q4_1; }\n";

Test(elab_bind, functions) {
  elab_bench *bench = elab_open();
  cr_assert(elab_text(bench, functions), "%s", elab_messages(bench));
  const lang_graph_bind *b = lang_graph_bind_find(bench->graph, "b");
  EXPECT_SOURCE(b, "deep.att.1.k.weight", "slice(transpose(l1.qkv),0,4..8)");
  EXPECT_SOURCE(b, "both.weight", "concat(up,gate)");
  EXPECT_SOURCE(b, "any.name", "net.any.name");
  cr_expect(lang_bind_ignores(b, "a.b.steps"));
  cr_expect(lang_bind_ignores(b, "old.x"));
  cr_expect_not(lang_bind_ignores(b, "old.x.y"));
  lang_tensor tensors[] = {{"l0.qkv", 2, {4, 12}}, {"l1.qkv", 2, {4, 12}}, {"up", 2, {4, 4}}, {"gate", 2, {4, 4}}};
  lang_bind_report report;
  lang_check_bind(bench->graph, b, &bench->arena, tensors, 4, &report);
  cr_expect_eq(report.problem_count, 0, "%s", report.problem_count ? report.problems[0].message : "");
  elab_close(bench);
}

Test(elab_bind, plans) {
  elab_bench *bench = elab_open();
  cr_assert(elab_text(bench, functions), "%s", elab_messages(bench));
  const lang_plan *plan = lang_graph_plan(bench->graph, "p");
  cr_assert(plan);
  cr_expect_null(lang_graph_plan(bench->graph, "q"));
  const lang_plan_line *line = lang_plan_get(plan, "float");
  cr_assert(line && line->value_count == 1);
  cr_expect_str_eq(line->values[0].text, "bf16");
  line = lang_plan_get(plan, "target");
  cr_assert(line && line->value_count == 2);
  cr_expect_eq(line->values[0].kind, LANG_SETTING_CALL);
  cr_expect_str_eq(line->values[0].items[0].text, "x86-64-v3");
  cr_expect_str_eq(lang_plan_select(plan, "store", "deep.att.0.q.weight")->values[0].text, "q8_0");
  cr_expect_str_eq(lang_plan_select(plan, "store", "deep.att.1.q.weight")->values[0].text, "q4_1");
  cr_expect_str_eq(lang_plan_select(plan, "store", "deep.att.1.v.weight")->values[0].text, "q8_0");
  cr_expect_null(lang_plan_select(plan, "store", "deep"));
  elab_close(bench);
}

// ---- patterns

static bool matches(const char *pattern, const char *path) {
  elab_bench *bench = elab_open();
  const char *text = weir_arena_printf(&bench->arena, "plan p for M { store %s: q8_0(); }", pattern);
  elab_load_text(bench, text, strlen(text));
  const lang_item *item = bench->program->files[0]->items.data[0];
  bool result = lang_pattern_match(&item->section.settings.data[0].patterns.data[0], path);
  elab_close(bench);
  return result;
}

Test(elab_bind, patterns) {
  cr_expect(matches("a.b", "a.b"));
  cr_expect_not(matches("a.b", "a.b.c"));
  cr_expect_not(matches("a", "a.0"));
  cr_expect(matches("a[*]", "a.0"));
  cr_expect(matches("a[*][2].w", "a.0.2.w"));
  cr_expect_not(matches("a[*]", "a.x"));
  cr_expect(matches("a[1..3].w", "a.2.w"));
  cr_expect_not(matches("a[1..3].w", "a.3.w"));
  cr_expect(matches("*_proj.weight", "q_proj.weight"));
  cr_expect_not(matches("*_proj.weight", "a.q_proj.weight"));
  cr_expect(matches("**.*norm*.weight", "x.y.input_layernorm.weight"));
  cr_expect(matches("**.weight", "weight"));
  cr_expect(matches("a.**", "a.b.c"));
  cr_expect(matches("**", "anything.at.all"));
  cr_expect(matches("a.{b,c}_{x,y}", "a.c_x"));
  cr_expect_not(matches("a.{b,c}_{x,y}", "a.d_x"));
  cr_expect(matches("**.a.**.b", "a.x.a.y.b"));
  cr_expect_not(
      matches("**.a.**.a.**.a.**.a.**.a.**.z", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.y"));
}
