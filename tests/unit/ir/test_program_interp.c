// Whole programs through the kernel interpreter: sizes, tables of requests, planned buffers, states, guards.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/program_interp.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(program_interp, .init = begin, .fini = end);

// Embeds tokens, appends them to the state, sums the state's rows up to each position; row T of `n` rows is doubled in
// a guarded launch.
static const char program_text[] =
    "program \"sums\" step\n"
    "sizes R, T, T.max, T.all.max, n\n"
    "symbol T seq 1..64 grows\n"
    "symbol n plain 1..9\n"
    "input \"ids\" i32[T] ragged T bytes 4*T in 0..3\n"
    "output \"y\" f32[T] ragged T bytes 4*T\n"
    "output \"info\" i32[4] bytes 16\n"
    "state \"rows\" f32 bytes 4 rows T\n"
    "weight 0 \"table\" bytes 16\n"
    "buffer 0 \"e\" bytes 4*T at 0\n"
    "kernel 0 \"embed\" args 3 dims 1\n"
    "kernel 1 \"append\" args 4 dims 2\n"
    "kernel 2 \"sum\" args 4 dims 2\n"
    "kernel 3 \"info\" args 3 dims 5\n"
    "launch 0 grid T args in0, w0, b0 dims T note \"embed\"\n"
    "launch 1 grid T args b0, state0, requests(T), positions(T) dims R, T sync\n"
    "launch 2 grid T args state0, requests(T), positions(T), out0 dims R, T sync when n in 1..3\n"
    "launch 3 grid 1 args starts(T), past(T), out1 dims R, T, T.max, T.all.max, n\n"
    "arena (4*T + 63)/64*64\n";

static const char *const kernel_texts[] = {
    "kernel embed \"\"\nsizes T\nin ids: T * 4 @0\nin table: 16 @1\nout e: T * 4 @2\ngrid t: T\n{\n"
    "  store e:f32[t] = table:f32[i64(ids:i32[t])]\n}\n",
    "kernel append \"\"\nsizes R, T\nin e: T * 4 @0\ntable_inout rows @1\nin request: T * 4 @2\nin position: T * 4 @3\n"
    "grid t: T\n{\n  store rows:f32[i64(request:i32[t]); i64(position:i32[t])] = e:f32[t]\n}\n",
    "kernel sum \"\"\nsizes R, T\ntable_in rows @0\nin request: T * 4 @1\nin position: T * 4 @2\nout y: T * 4 @3\n"
    "grid t: T\n{\n  reg sum: f32 = 0.0\n  let r: i64 = i64(request:i32[t])\n"
    "  lanes i in 0..i64(position:i32[t]) + 1 {\n    reduce add sum = rows:f32[r; i]\n  }\n  store y:f32[t] = sum\n}\n",
    "kernel info \"\"\nsizes R, T, T.max, T.all.max, n\nin starts: (R + 1) * 4 @0\nin past: R * 4 @1\nout o: 16 "
    "@2\ngrid: 1\n{\n"
    "  store o:i32[0] = starts:i32[R]\n  store o:i32[1] = i32(T.max)\n  store o:i32[2] = i32(T.all.max)\n"
    "  store o:i32[3] = past:i32[R - 1]\n}\n",
};

typedef struct {
  rt_program *program;
  const ir_kernel *kernels[4];
  int32_t ids[8], info[4];
  float y[8], table[4], states[2][16];
  void *state_pointers[2];
  const void *inputs[1], *weights[1];
  void *outputs[2], *const *state_tables[1];
  size_t input_bytes[1], output_bytes[2], state_bytes[1];
  int64_t values[4], past[4];
  ir_program_call call;
} bench;

static bench *bench_new(void) {
  bench *b = WEIR_NEW(&arena, bench);
  weir_status status = rt_program_parse(&arena, program_text, strlen(program_text), &b->program);
  cr_assert_null(status, "%s", weir_status_message(status));
  for (int i = 0; i < 4; i++) {
    ir_kernel *kernel = NULL;
    status = ir_kernel_parse(&arena, kernel_texts[i], strlen(kernel_texts[i]), &kernel);
    cr_assert_null(status, "%s", weir_status_message(status));
    b->kernels[i] = kernel;
  }
  for (int i = 0; i < 4; i++) b->table[i] = (float)(i + 1);
  b->state_pointers[0] = b->states[0], b->state_pointers[1] = b->states[1];
  b->inputs[0] = b->ids, b->weights[0] = b->table, b->outputs[0] = b->y, b->outputs[1] = b->info;
  b->state_tables[0] = b->state_pointers;
  b->state_bytes[0] = sizeof b->states[0], b->output_bytes[1] = sizeof b->info;
  b->call = (ir_program_call){.requests = 2,
                              .values = b->values,
                              .past = b->past,
                              .inputs = b->inputs,
                              .input_bytes = b->input_bytes,
                              .outputs = b->outputs,
                              .output_bytes = b->output_bytes,
                              .weights = b->weights,
                              .states = b->state_tables,
                              .state_bytes = b->state_bytes};
  return b;
}

static weir_status step(bench *b, int64_t rows0, int64_t past0, int64_t rows1, int64_t past1, int64_t n) {
  const int64_t values[] = {rows0, n, rows1, n}, past[] = {past0, 0, past1, 0};
  memcpy(b->values, values, sizeof values);
  memcpy(b->past, past, sizeof past);
  b->input_bytes[0] = b->output_bytes[0] = 4 * (size_t)(rows0 + rows1);
  return ir_program_interpret(b->program, b->kernels, &b->call, NULL);
}

Test(program_interp, requests_keep_their_states) {
  bench *b = bench_new();
  const int32_t first[] = {0, 1, 2, 3, 3};
  memcpy(b->ids, first, sizeof first);
  weir_status status = step(b, 2, 0, 3, 0, 2);
  cr_assert_null(status, "%s", weir_status_message(status));
  const float sums[] = {1, 3, 3, 7, 11};
  for (int i = 0; i < 5; i++) cr_assert_eq(b->y[i], sums[i]);
  const int32_t info[] = {5, 3, 3, 0}, later[] = {4, 3, 6, 3};
  cr_assert_arr_eq(b->info, info, sizeof info);
  b->ids[0] = 3, b->ids[1] = 0, b->ids[2] = 1, b->ids[3] = 2;
  status = step(b, 1, 2, 3, 3, 2);
  cr_assert_null(status, "%s", weir_status_message(status));
  const float more[] = {7, 12, 14, 17};
  for (int i = 0; i < 4; i++) cr_assert_eq(b->y[i], more[i]);
  cr_assert_arr_eq(b->info, later, sizeof later);
}

Test(program_interp, guards_skip_and_outputs_are_poisoned) {
  bench *b = bench_new();
  weir_status status = step(b, 1, 0, 1, 0, 3);
  cr_assert_null(status, "%s", weir_status_message(status));
  uint32_t bits;
  memcpy(&bits, &b->y[1], 4);
  cr_assert_eq(bits, 0xffffffff);
}

static void refuses(bench *b, weir_status status, const char *message) {
  (void)b;
  cr_assert_str_eq(weir_status_message(status), message);
  weir_status_release(status);
}

Test(program_interp, refusals_name_the_launch) {
  bench *b = bench_new();
  b->ids[1] = 77;
  refuses(b, step(b, 1, 0, 1, 0, 2),
          "launch 0 embed: kernel embed: access outside of 'table' (16 bytes) at f32 element 77 in: "
          "store e:f32[t] = table:f32[i64(ids:i32[t])]");
  b->ids[1] = 0;
  b->state_bytes[0] = 12;
  refuses(b, step(b, 1, 3, 1, 0, 2),
          "launch 1: kernel append: access outside of 'rows' (12 bytes) at request 0, f32 element 3 in: "
          "store rows:f32[i64(request:i32[t]); i64(position:i32[t])] = e:f32[t]");
  b->state_bytes[0] = sizeof b->states[0];
  b->call.requests = 0;
  refuses(b, step(b, 1, 0, 1, 0, 2), "0 requests");
  b->call.requests = 2;
  refuses(b, step(b, 1, 0, -1, 0, 2), "request 1: T is -1 after 0");
  const rt_expr arena_bytes = b->program->arena_bytes;
  b->program->arena_bytes = rt_expr_const(&arena, 0);
  refuses(b, step(b, 1, 0, 1, 0, 2), "launch 0 embed: buffer 0 'e' is outside of the arena");
  b->program->arena_bytes = arena_bytes;
  b->program->launches[0].args[2] = (rt_arg){RT_ARG_WEIGHT, 0};
  refuses(b, step(b, 1, 0, 1, 0, 2), "launch 0 embed: kernel embed stores to 'e', which is read only");
}
