// Fuzzes rules: any text of a rule is refused or tested in bounded time, and what passes can be applied: the graph
// stays valid. Seeds are single rules, so that many mutations still parse.
#include "compiler/lang/elab.h"
#include "compiler/lang/rule.h"
#include "tests/fuzz/harness.h"

enum { TRIALS = 24 };

static const char target[] =
    "module M\ndim T: seq in 1..=100\nentry main {\n  input %0: f32[T, 8] \"x\"\n  input %1: f32[8, 8] \"w\"\n"
    "  input %2: i32[T] \"i\"\n  %3 = constant {value=2.0, dtype=f32} : f32[]\n  %4 = mul %0, %3 : f32[T, 8]\n"
    "  %5 = linear %4, %1 : f32[T, 8]\n  %6 = neg %5 : f32[T, 8]\n  %7 = exp %6 : f32[T, 8]\n"
    "  %8 = sum %7 {over=[1]} : f32[T]\n  %9 = broadcast %8 {dims=[8, T]} : f32[8, T]\n"
    "  %10 = permute %9 {perm=[1, 0]} : f32[T, 8]\n  %11 = div %7, %10 : f32[T, 8]\n"
    "  %12 = slice %11 {axis=1, start=2, stop=6} : f32[T, 4]\n  %13 = constant {value=3, dtype=i32} : i32[]\n"
    "  %14 = add %2, %13 : i32[T]\n  %15 = max %11, %0 : f32[T, 8]\n  %16 = last %15 : f32[8]\n"
    "  result %12 \"a\"\n  result %14 \"b\"\n  result %16 \"c\"\n}\n";

static void apply(weir_arena *arena, const lang_program *program, const lang_diags *diags) {
  ir_module *module;
  if (ir_parse_module(arena, target, sizeof target - 1, &module)) abort();
  ir_rules *rules = ir_rules_create(arena);
  lang_rules_add(rules, program, false, diags);
  ir_rewrite(module, rules);
  for (int i = 0; i < module->function_count; i++) ir_function_renumber(module->functions[i]);
  weir_status status = ir_verify(module);
  if (status) {
    fprintf(stderr, "%s\n", weir_status_message(status));
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weir_arena arena;
  lang_diags diags;
  lang_program *program;
  weir_arena_init(&arena);
  lang_diags_init(&diags, &arena);
  char *text = weir_arena_strndup(&arena, (const char *)data, size);
  weir_status status = lang_load_text(&arena, "fuzz.weir", text, strlen(text), NULL, &diags, &program);
  if (!status && program->ok) {
    lang_check(&arena, program, &diags);
    lang_rules_check(&arena, program, TRIALS, &diags, NULL);
    if (!diags.error_count) apply(&arena, program, &diags);
  }
  weir_status_release(status);
  lang_diags_render(&diags, &arena, false);
  weir_arena_deinit(&arena);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const char *const seeds[] = {
      "rule r(x: f[...], s: float): inexact where s > 0 { x * s * 2 => x * (s * 2); }",
      "rule r(t: dtype, x: t[...], a: int, b: int): exact where integer(t) { x + a + b => x + (a + b); }",
      "rule r(x: f[..., D], m: f[...]): inexact where finite(m) {\n  softmax(x - spread(m, D), over = -1) => x;\n}",
      "rule r(t: dtype, u: dtype, x: t[...]): exact where widens(t, u), t != bool { t(u(x)) => x; }",
      "rule r(t: dtype, x: t[..., A + B], A: int, B: int): exact {\n"
      "  concat(x[..., 0..A], x[..., A..A + B], over = -1) => x;\n}",
      "rule r(x: f[...], k: int in -4..0): exact { max(-x, over = k) => -min(x, over = k); }",
      "rule r(x: f[..., I], w: f[O, I], s: float): inexact where O <= I { linear(x * s, w) => linear(x, w) * s; }",
      "rule r(x: f[N, ...], i: i32[T] in 0..N): exact { gather(-x, i) => -gather(x, i); }",
      "fn g(x: f[...]) -> f[...] { return x * 2; }\nrule r(x: f[...]): exact { g(x) => x + x; }",
      "rule r(c: bool[...], x: f[...], y: f[...]): exact { select(not c, x, y) => select(c, y, x); }",
      "rule a(x: f[...], y: f[...]): exact { x + y => y + x; }\nrule b(x: f[...]): exact { exp(x) => exp(-(-x)); }",
      "rule r(q: f[T, G * R, D], k: f[S, G, D], v: f[S, G, E], R: int, s: float, a: float, b: bool): inexact {\n"
      "  attend(q * s, k, v, causal = b, scale = a) => attend(q, k, v, causal = b, scale = a * s);\n}",
  };
  if (index >= (int)(sizeof seeds / sizeof *seeds)) return 0;
  size_t size = strlen(seeds[index]);
  if (size > capacity) return 0;
  memcpy(buffer, seeds[index], size);
  return size;
}
