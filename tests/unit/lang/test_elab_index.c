// Index notation: what is proved and what is refused, in pairs of a text and its mend. Graphs stand in tests/text/elab.
#include "tests/unit/lang/elab_test.h"

typedef struct {
  const char *body;  // of an entry with the arguments of |program|
  int code;          // of the only complaint; 0: there is none
} index_case;

// x: f32[T, 4] with T in 2..=64, z: f32[8, 4], w: f32[3], i: i32[T], j: i32[T] in 0..T, k: i32[T] in 0..8
static const char program[] =
    "dim T: seq;\n"
    "fn bounded(d: i32[...], n: int) -> i32[...] in 0..n { return clamp(d, 0, n - 1); }\n"
    "model M {} {\n"
    "  dim T: seq in 2..=64;\n"
    "  entry run(x: f32[T, 4], z: f32[8, 4], w: f32[3], i: i32[T], j: i32[T] in 0..T, k: i32[T] in 0..8) -> f32[T, 4] "
    "{\n"
    "    r = x;\n"
    "    %s\n"
    "    return r;\n"
    "  }\n"
    "}\n";

static const index_case cases[] = {
    {"y[n, c] = sum(v: z[n + v, c] * w[v]);", 700},
    {"y[n in 8 - 2, c] = sum(v: z[n + v, c] * w[v]);", 0},
    {"y[t in T, d] = x[t + 1, d];", 705},
    {"y[t in T - 1, d] = x[t + 1, d];", 0},
    {"y[t in T - 2, d] = x[t + 2, d] - x[t, d];", 0},
    {"y[t, d] = x[i[t], d];", 705},
    {"y[t, d] = x[clamp(i[t], 0, T - 1), d];", 0},
    {"y[t, d] = x[max(min(i[t], T - 1), 0), d];", 0},
    {"y[t, d] = x[min(i[t], T - 1), d];", 705},
    {"y[t, d] = x[j[t], d];", 0},
    {"y[t, d] = z[j[t], d];", 705},
    {"y[t, d] = z[k[t], d];", 0},
    {"y[t, d] = z[k[t] / 2 + 4, d];", 0},
    {"y[t, d] = z[k[t] + 1, d];", 705},
    {"y[t, d] = z[bounded(i[t] * 3, 8), d];", 0},
    {"y[t in T, d] = z[t % 8, d];", 0},
    {"y[t in T, d] = z[t / 8, d];", 0},
    {"y[t in T, d] = z[t / 7, d];", 705},
    {"y[t in T, d] = select(t > 0, x[t - 1, d], 0);", 705},
    {"y[t in T, d] = select(t > 0, x[max(t - 1, 0), d], 0);", 0},
    {"y[t in T, d] = sum(u: x[u, d] where u == t - 1);", 0},
    {"y[t in T, d] = sum(v in 0..5: x[t + v - 2, d] where 0 <= t + v - 2 < T);", 0},
    {"y[t in T, d] = sum(v in 0..5: x[t + v - 2, d] where 0 <= t + v - 2);", 705},
    {"y[t in T / 2, d] = x[2 * t, d] + x[2 * t + 1, d];", 0},
    {"y[t in (T + 1) / 2, d] = x[2 * t + 1, d];", 705},
    {"y[t in T, d] = sum(u in T: x[T - 1 - (pos(t) - pos(u)), d] where 0 <= pos(t) - pos(u) < T);", 0},
    {"y[t] = x[t] + z[0];", 0},
    {"y[t] = x[t] + w;", 710},
    {"y[t, d] = x[t, d] + w[d];", 703},
    {"y[t, d in 3] = x[t, d] + w[d];", 0},
    {"y[t, w] = x[t, w];", 701},
    {"y[t + 1] = x[t, 0];", 702},
    {"y[t in 1..T] = x[t, 0];", 704},
    {"y[t] = x[t, 0.5];", 706},
    {"y[t] = total(d: x[t, d]);", 707},
    {"y[t] = sum(d: x[t, d] where x[t, d]);", 708},
    {"y[t in T - 3] = x[t, 0];", 709},
    {"y[t] = any(d: x[t, d]);", 330},
    {"y[t] = mean(d in 0..4: i[t] * d);", 330},
    {"y[t] = argmax(u: x[u, 0] where u <= t);", 700},
    {"y[t in T] = argmax(u: x[u, 0] where u <= t);", 0},
    {"y[t in T] = softmax(x[t], over = -1);", 711},
    {"y[t in T] = pos(t + 1);", 716},
    {"y[t], y2[t] = x[t];", 717},
    {"y = sum(t, d: x[t, d]) + sum(v: w[v]);", 0},
    {"y[t, d] = x[t, d, 0];", 355},
};

Test(elab_index, proved_or_refused) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    elab_bench *bench = elab_open();
    elab_text(bench, weir_arena_printf(&bench->arena, program, cases[i].body));
    const char *messages = elab_messages(bench);
    if (!cases[i].code) {
      cr_expect_eq(bench->diags.count, 0, "%s\n%s", cases[i].body, messages);
      weir_status status = bench->graph ? ir_verify(bench->graph->module) : NULL;
      cr_expect(!status, "%s\n%s", cases[i].body, weir_status_message(status));
      weir_status_release(status);
    } else {
      const char *code = weir_arena_printf(&bench->arena, "[W%04d]", cases[i].code);
      cr_expect(bench->diags.count == 1 && strstr(messages, code), "%s: not %s alone\n%s", cases[i].body, code,
                messages);
    }
    elab_close(bench);
  }
}

// Scratch regions leave nothing behind: what is in the module has an owner.
Test(elab_index, leaves_no_regions) {
  elab_bench *bench = elab_open();
  elab_text(bench, weir_arena_printf(&bench->arena, program,
                                     "y[t in T, d] = sum(u: x[u, d] where u <= t); q[t, d] = x[t, d] * y[t, d];"));
  cr_assert(bench->graph);
  cr_expect(!ir_module_drop_regions(bench->graph->module));
  elab_close(bench);
}
