// Graphs are texts. Their inputs are in float32, those of attention on a device in bf16, as caches there are.
#include "compiler/driver/bench_cases.h"

#include <stdio.h>
#include <string.h>

#include "ir/text_buffer.h"

enum { FEW_ROWS = 64 };
static const int64_t most_elements = INT64_C(1) << 31;  // of an operand
static const int64_t cold_bytes = INT64_C(256) << 20;   // of weights that no cache holds

// ---- templates

static const bench_template usual[] = {
    {"linear-f32", BENCH_LINEAR, WEIR_STORAGE_F32, CG_COMPUTE_F32},
    {"linear-bf16-bf16", BENCH_LINEAR, WEIR_STORAGE_BF16, CG_COMPUTE_BF16},
    {"linear-q8_0-int8", BENCH_LINEAR, WEIR_STORAGE_Q8_0, CG_COMPUTE_INT8},
    {"linear-q4_1-int8", BENCH_LINEAR, WEIR_STORAGE_Q4_1, CG_COMPUTE_INT8},
    {"linear-q4_1-bf16", BENCH_LINEAR, WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16},
    {"linear-q4_1", BENCH_LINEAR, WEIR_STORAGE_Q4_1, CG_COMPUTE_F32},
    {"matmul", BENCH_MATMUL, WEIR_STORAGE_F32, CG_COMPUTE_F32},
    {"attend", BENCH_ATTEND, WEIR_STORAGE_F32, CG_COMPUTE_F32},
    {"norm-quantise", BENCH_NORM, WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW},
};
enum { USUAL = sizeof usual / sizeof *usual };

static bool compute_named(const char *name, cg_compute *out) {
  for (cg_compute k = CG_COMPUTE_F32; k < CG_COMPUTE_COUNT; k++) {
    *out = k;
    if (!strcmp(cg_compute_name(k), name)) return true;
  }
  return false;
}

// "linear-STORAGE", "linear-STORAGE-COMPUTE".
static bool template_parse(weir_arena *arena, const char *name, bench_template *out) {
  *out = (bench_template){.name = name, .op = BENCH_LINEAR};
  if (strncmp(name, "linear-", 7)) return false;
  const char *storage = name + 7, *dash = strchr(storage, '-');
  const char *alone = dash ? weir_arena_strndup(arena, storage, (size_t)(dash - storage)) : storage;
  return weir_storage_from_name(alone, &out->storage) && cg_panel_supports(out->storage) &&
         (!dash || compute_named(dash + 1, &out->compute));
}

const bench_template *bench_templates(int *out_count) {
  *out_count = USUAL;
  return usual;
}

const bench_template *bench_template_find(weir_arena *arena, const char *name) {
  for (int i = 0; i < USUAL; i++)
    if (!strcmp(usual[i].name, name)) return &usual[i];
  bench_template *out = weir_arena_alloc(arena, sizeof *out);
  return template_parse(arena, name, out) ? out : NULL;
}

// ---- shapes

static const bench_shape linear_shapes[] = {
    {1, 14336, 4096, 0, 0, "8B decoder, up"},   {16, 14336, 4096, 0, 0, "8B decoder, up"},
    {512, 14336, 4096, 0, 0, "8B decoder, up"}, {1, 4096, 14336, 0, 0, "8B decoder, down"},
    {1, 1536, 576, 0, 0, "135M decoder, up"},   {512, 1536, 576, 0, 0, "135M decoder, up"},
};
static const bench_shape attend_shapes[] = {
    {4096, 4096, 128, 32, 8, "8B decoder, prefill"},
    {1, 16384, 128, 32, 8, "8B decoder, decode"},
    {512, 512, 64, 9, 3, "135M decoder, prefill"},
    {1, 2048, 64, 9, 3, "135M decoder, decode"},
};
static const bench_shape norm_shapes[] = {
    {512, 16, 4096, 0, 0, "8B decoder"},
    {16384, 16, 4096, 0, 0, "8B decoder"},
};
static const bench_shape small_linear[] = {{3, 48, 64, 0, 0, "small"}, {20, 48, 64, 0, 0, "small"}};
static const bench_shape small_attend[] = {{20, 20, 16, 4, 2, "small"}};

// ROWSxOUTPUTSxINPUTS; of attention ROWSxKEYSxSIZE, perhaps with xHEADSxKEYHEADS behind.
bool bench_shape_parse(const char *text, bench_op op, bench_shape *out) {
  bool attend = op == BENCH_ATTEND;
  enum { MOST = 1 << 20 };  // of each
  long long m, n, k, heads = attend ? 8 : 0, key_heads = attend ? 2 : 0;
  char rest;
  int count = sscanf(text, "%lldx%lldx%lldx%lldx%lld%c", &m, &n, &k, &heads, &key_heads, &rest);
  if (count != 3 && (count != 5 || !attend || heads < 1 || key_heads < 1 || heads % key_heads)) return false;
  if (m < 1 || n < 1 || k < 1 || m > MOST || n > MOST || k > MOST || heads > 1024) return false;
  int64_t each = attend ? heads : 1;
  if (m * k * each > most_elements || n * k * each > most_elements || (!attend && m * n > most_elements)) return false;
  *out = (bench_shape){m, n, k, (int)heads, (int)key_heads, "as asked"};
  return true;
}

const bench_shape *bench_shapes(bench_op op, bool simulated, int *out_count) {
#define SHAPES(list) (*out_count = (int)(sizeof list / sizeof *list), list)
  if (simulated) return op == BENCH_ATTEND ? SHAPES(small_attend) : SHAPES(small_linear);
  return op == BENCH_ATTEND ? SHAPES(attend_shapes) : op == BENCH_NORM ? SHAPES(norm_shapes) : SHAPES(linear_shapes);
#undef SHAPES
}

// ---- the graph of a case

static void linear_text(bench_case *l, ir_text *t) {
  const bench_shape *s = l->size;
  bool matmul = l->what->op == BENCH_MATMUL;
  long long m = s->m, n = s->n, k = s->k;
  ir_text_printf(t, "module M\ndim T: seq in 1..=%lld\nentry main {\n  input %%0.x: f32[T, %lld] \"x\"\n", m, k);
  for (int i = 0; i < l->copies; i++) {
    if (matmul) ir_text_printf(t, "  input %%%d: f32[%lld, %lld] \"y%d\"\n", i + 1, k, n, i);
    else ir_text_printf(t, "  weight %%%d: f32[%lld, %lld] \"w%d\"\n", i + 1, n, k, i);
  }
  for (int i = 0; i < l->copies; i++) {
    ir_text_printf(t, "  %%%d = %s %%0, %%%d : f32[T, %lld]\n", l->copies + 1 + i, matmul ? "matmul" : "linear", i + 1,
                   n);
  }
  for (int i = 0; i < l->copies; i++) ir_text_printf(t, "  result %%%d \"r%d\"\n", l->copies + 1 + i, i);
  ir_text_printf(t, "}\n");
}

// Rows divided by their norm, then rounded to bytes with one scale a row for a product: what is measured is the kernel
// before the product.
static void norm_text(bench_case *l, ir_text *t) {
  long long m = l->size->m, n = l->size->n, k = l->size->k;
  ir_text_printf(t, "module M\ndim T: seq in 1..=%lld\nentry main {\n  input %%0.x: f32[T, %lld] \"x\"\n", m, k);
  ir_text_printf(t, "  weight %%1: f32[%lld] \"scale\"\n  weight %%2: f32[%lld, %lld] \"w\"\n", k, n, k);
  ir_text_printf(t, "  %%3 = mul %%0, %%0 : f32[T, %lld]\n  %%4 = mean %%3 {over=[1]} : f32[T]\n", k);
  ir_text_printf(t, "  %%5 = constant {value=1e-05, dtype=f32} : f32[]\n  %%6 = add %%4, %%5 : f32[T]\n");
  ir_text_printf(t, "  %%7 = rsqrt %%6 : f32[T]\n  %%8 = broadcast %%7 {dims=[%lld, T]} : f32[%lld, T]\n", k, k);
  ir_text_printf(t, "  %%9 = permute %%8 {perm=[1, 0]} : f32[T, %lld]\n  %%10 = mul %%0, %%9 : f32[T, %lld]\n", k, k);
  ir_text_printf(t, "  %%11 = mul %%10, %%1 : f32[T, %lld]\n  %%12 = linear %%11, %%2 : f32[T, %lld]\n", k, n);
  ir_text_printf(t, "  result %%12 \"y\"\n}\n");
}

// With as many rows as keys each row sees those before it, else all.
static void attend_text(bench_case *l, ir_text *t) {
  const bench_shape *s = l->size;
  bool causal = s->m == s->n;
  const char *type = l->device ? "bf16" : "f32", *keys = causal ? "T" : "S";
  ir_text_printf(t, "module M\ndim T: seq in 1..=%lld\n", (long long)s->m);
  if (!causal) ir_text_printf(t, "dim S: seq in 1..=%lld\n", (long long)s->n);
  ir_text_printf(t, "entry main {\n  input %%0.q: %s[T, %d, %lld] \"q\"\n", type, s->heads, (long long)s->k);
  ir_text_printf(t, "  input %%1.k: %s[%s, %d, %lld] \"k\"\n", type, keys, s->key_heads, (long long)s->k);
  ir_text_printf(t, "  input %%2.v: %s[%s, %d, %lld] \"v\"\n", type, keys, s->key_heads, (long long)s->k);
  ir_text_printf(t, "  %%3 = attend %%0, %%1, %%2 {causal=%s, window=0, scale=0.125} : %s[T, %d, %lld]\n",
                 causal ? "true" : "false", type, s->heads, (long long)s->k);
  ir_text_printf(t, "  result %%3 \"y\"\n}\n");
}

static double weight_bytes(const bench_case *l) {
  const weir_storage_desc *storage = weir_storage_info(l->what->storage);
  return (double)l->size->n * (double)l->size->k * storage->block_bytes / storage->block_elements;
}

static void count_work(bench_case *l) {
  const bench_shape *s = l->size;
  double m = (double)s->m, n = (double)s->n, k = (double)s->k;
  if (l->what->op == BENCH_ATTEND) {
    double seen = s->m == s->n ? m * (m + 1) / 2 : m * n, element = l->device ? 2 : 4;
    l->ops = 4 * s->heads * k * seen;
    l->bytes = element * k * (2 * m * s->heads + 2 * n * s->key_heads);
    return;
  }
  if (l->what->op == BENCH_NORM) {
    l->ops = 5 * m * k;
    l->bytes = m * (5 * k + 4) + 4 * k;
    return;
  }
  l->ops = 2 * m * n * k;
  l->bytes = weight_bytes(l) + 4 * m * (k + n);
}

weir_status bench_case_make(weir_arena *arena, bench_case *l) {
  ir_text text;
  ir_text_init(&text, arena);
  l->copies = 1;
  if (l->what->op == BENCH_LINEAR && l->size->m <= FEW_ROWS && !l->simulated) {
    while (l->copies < BENCH_MOST_COPIES && l->copies * weight_bytes(l) < (double)cold_bytes) l->copies++;
  }
  if (l->what->op == BENCH_ATTEND) attend_text(l, &text);
  else if (l->what->op == BENCH_NORM) norm_text(l, &text);
  else linear_text(l, &text);
  count_work(l);
  return ir_parse_module(arena, text.data, text.length, &l->module);
}
