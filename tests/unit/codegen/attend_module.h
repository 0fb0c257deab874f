// Attention in a step whose products are computed in bf16, as a module: sizes, how keys and values are kept, biases.
#ifndef WEIR_TESTS_UNIT_CODEGEN_ATTEND_MODULE_H
#define WEIR_TESTS_UNIT_CODEGEN_ATTEND_MODULE_H

#include <criterion/criterion.h>
#include <string.h>

#include "codegen/lower/lower.h"

enum { INPUTS = 32, OUTS = 16 };  // of the product beside it

// PLAIN: no state, keys and values are inputs. SAME: one state is keys and values, so that its rows stand in order.
typedef enum { STATES, SAME, PLAIN } storage_kind;
typedef enum { NO_BIAS, ADDED, MASK } bias_kind;

typedef struct {
  int heads, key_heads, depth, width, window;
  bool causal;
  storage_kind kind;
  ir_dtype dtype;
  bias_kind bias;
  double scale;
} attend_case;

static inline void must(weir_status status) {
  if (status) cr_assert_fail("%s", weir_status_message(status));
}

// ---- the module

typedef struct {
  weir_arena *arena;
  const char *text;
  int next;
} writer;

static int line(writer *w, const char *what, const char *type) {
  w->text = weir_arena_printf(w->arena, "%s  %%%d%s : %s\n", w->text, w->next, what, type);
  return w->next++;
}

static int param(writer *w, const char *kind, const char *type, const char *name, const char *end) {
  bool input = kind[0] == 'i';
  w->text = weir_arena_printf(w->arena, "%s  %s %%%d%s%s: %s \"%s\"%s\n", w->text, kind, w->next, input ? "." : "",
                              input ? name : "", type, name, end);
  return w->next++;
}

// The rows of a state and those of input |x|, widened.
static int history(writer *w, const attend_case *c, int state, int x, int width, int *out_appended) {
  weir_arena *a = w->arena;
  const char *type = ir_dtype_name(c->dtype);
  if (c->dtype != IR_f32)
    x = line(w, weir_arena_printf(a, " = cast %%%d {dtype=%s}", x, type),
             weir_arena_printf(a, "%s[T, %d, %d]", type, c->key_heads, width));
  const char *all = weir_arena_printf(a, "[T + T.past, %d, %d]", c->key_heads, width);
  int rows = *out_appended =
      line(w, weir_arena_printf(a, " = append %%%d, %%%d", state, x), weir_arena_printf(a, "%s%s", type, all));
  if (c->dtype == IR_f32) return rows;
  return line(w, weir_arena_printf(a, " = cast %%%d {dtype=f32}", rows), weir_arena_printf(a, "f32%s", all));
}

static int bias_of(writer *w, const attend_case *c) {
  weir_arena *a = w->arena;
  const char *all = "T + T.past";
  int at = line(w, " = pos {dim=T + T.past}", "i32[T + T.past]"), x;
  if (c->bias == MASK) {
    int three = line(w, " = constant {value=3, dtype=i32}", "i32[]");
    int zero = line(w, " = constant {value=0, dtype=i32}", "i32[]");
    x = line(w, weir_arena_printf(a, " = mod %%%d, %%%d", at, three), "i32[T + T.past]");
    x = line(w, weir_arena_printf(a, " = ne %%%d, %%%d", x, zero), "bool[T + T.past]");
  } else {
    int slope = line(w, " = constant {value=0.01, dtype=f32}", "f32[]");
    x = line(w, weir_arena_printf(a, " = cast %%%d {dtype=f32}", at), "f32[T + T.past]");
    x = line(w, weir_arena_printf(a, " = mul %%%d, %%%d", x, slope), "f32[T + T.past]");
  }
  return line(w, weir_arena_printf(a, " = broadcast %%%d {dims=[T, %s]}", x, all),
              weir_arena_printf(a, "%s[T, %s]", c->bias == MASK ? "bool" : "f32", all));
}

static const char *module_text(weir_arena *a, const attend_case *c) {
  writer w = {a, "", 0};
  bool plain = c->kind == PLAIN, same = c->kind == SAME;
  const char *rows = plain ? "S" : "T";
  int q = param(&w, "input", weir_arena_printf(a, "f32[T, %d, %d]", c->heads, c->depth), "q", "");
  int k = param(&w, "input", weir_arena_printf(a, "f32[%s, %d, %d]", rows, c->key_heads, c->depth), "k", "");
  int v = param(&w, "input", weir_arena_printf(a, "f32[%s, %d, %d]", rows, c->key_heads, c->width), "v", "");
  int x = param(&w, "input", "f32[T, 32]", "x", ""), matrix = param(&w, "weight", "f32[16, 32]", "w", "");
  int states[2] = {0}, appended[2];
  const char *type = ir_dtype_name(c->dtype);
  for (int s = 0; s < 2 && !plain && !(same && s); s++)
    states[s] =
        param(&w, "state", weir_arena_printf(a, "%s[T.past, %d, %d]", type, c->key_heads, s ? c->width : c->depth),
              s ? "values" : "keys", " rows");
  if (!plain) k = history(&w, c, states[0], k, c->depth, &appended[0]);
  if (same) v = k;
  else if (!plain) v = history(&w, c, states[1], v, c->width, &appended[1]);
  const char *bias = c->bias ? weir_arena_printf(a, ", %%%d", bias_of(&w, c)) : "";
  int y = line(&w,
               weir_arena_printf(a, " = attend %%%d, %%%d, %%%d%s {causal=%s, window=%d, scale=%g}", q, k, v, bias,
                                 c->causal ? "true" : "false", c->window, c->scale),
               weir_arena_printf(a, "f32[T, %d, %d]", c->heads, c->width));
  int z = line(&w, weir_arena_printf(a, " = linear %%%d, %%%d", x, matrix), "f32[T, 16]");
  const char *results = weir_arena_printf(a, "  result %%%d \"y\"\n  result %%%d \"z\"\n", y, z);
  for (int s = 0; s < 2 && !plain && !(same && s); s++)
    results = weir_arena_printf(a, "%s  result %%%d \"%s\" of %%%d\n", results, appended[s], s ? "values" : "keys",
                                states[s]);
  return weir_arena_printf(a, "module M\ndim T: seq in 1..=100\n%s main {\n%s%s}\n",
                           plain ? "dim S: seq in 1..=1000\nentry" : "dim T.past: seq in 0..=1000 before T\nstep",
                           w.text, results);
}

static cg_compute all_bf16(void *user, const char *path) {
  (void)user;
  (void)path;
  return CG_COMPUTE_BF16;
}
static weir_storage all_f32(void *user, const char *path) {
  (void)user;
  (void)path;
  return WEIR_STORAGE_F32;
}

static inline cg_module *lowered(weir_arena *arena, const attend_case *c, const cg_choice *choice) {
  const char *text = module_text(arena, c);
  ir_module *module;
  cg_module *code;
  weir_status status = ir_parse_module(arena, text, strlen(text), &module);
  if (status) cr_assert_fail("%s\n%s", weir_status_message(status), text);
  cg_lower_options options = {
      .blocks = true, .compute_of = all_bf16, .storage_of = all_f32, .choices = choice, .choice_count = choice != NULL};
  must(cg_lower(arena, module, &options, &code));
  return code;
}

#endif
