// A small model made by hand, with kernels written in C: what the runtime's tests run.
//
//   next(tokens: i32[T] in 0..=9) -> f32[2]     step; sum of the embeddings of all tokens so far, and a running mean in
//   a fixed state score(tokens: i32[T] in 0..=9) -> f32[T, 2] keeps nothing; the sums up to each position blocks(a:
//   f32[2 * N, W], b: u8[N]) -> f32[N]  N rows of a batch, W one value for all
//
// Kernels are handed out by a provider that can be told to refuse, to count items, or to raise a flag in the middle.
#ifndef WEIR_TESTS_UNIT_RUNTIME_FIXTURE_H
#define WEIR_TESTS_UNIT_RUNTIME_FIXTURE_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/exec/model.h"

// Criterion's programs do not run under the thread sanitizer: one without it defines FIXTURE_CHECK itself.
#ifndef FIXTURE_CHECK
#include <criterion/criterion.h>
#define FIXTURE_CHECK(condition, ...) cr_assert(condition, __VA_ARGS__)
#endif

#define OK(expr)                                                    \
  do {                                                              \
    weir_status ok_ = (expr);                                       \
    FIXTURE_CHECK(!ok_, "%s: %s", #expr, weir_status_message(ok_)); \
  } while (0)

// The call fails with this code, and the message holds the text.
#define FAILS(expr, expected, text)                                                                    \
  do {                                                                                                 \
    weir_status fails_ = (expr);                                                                       \
    FIXTURE_CHECK(weir_status_code(fails_) == expected, "%s: %s", #expr, weir_status_message(fails_)); \
    FIXTURE_CHECK(strstr(weir_status_message(fails_), text), "'%s' is not in '%s'", text,              \
                  weir_status_message(fails_));                                                        \
    weir_status_release(fails_);                                                                       \
  } while (0)

// ---- an allocator that counts, and can fail

typedef struct {
  atomic_long live, calls;
  long fail_at;  // the call that fails, counted from 1; 0: none
} counting;

static void *counting_alloc(void *context, size_t bytes, size_t alignment) {
  counting *c = context;
  if (atomic_fetch_add(&c->calls, 1) + 1 == c->fail_at) return NULL;
  atomic_fetch_add(&c->live, 1);
  void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory) memset(memory, 0xa5, bytes);  // nobody may rely on zeros
  return memory;
}

static void counting_free(void *context, void *memory, size_t bytes) {
  counting *c = context;
  (void)bytes;
  atomic_fetch_sub(&c->live, 1);
  free(memory);
}

static inline weir_allocator counting_allocator(counting *c) {
  return (weir_allocator){c, counting_alloc, counting_free};
}

// ---- kernels

typedef struct {
  atomic_long items;
  const char *refuse;  // kernel that fails
  const char *raise;   // kernel that sets |flag|
  int flag;
} behaviour;

#include "tests/unit/runtime/fixture_kernels.h"

static const struct {
  const char *symbol;
  rt_kernel_fn fn;
  int args;
} kernels[] = {{"embed", kernel_embed, 3}, {"append", kernel_append, 4}, {"sum", kernel_sum, 4},
               {"mean", kernel_mean, 3},   {"prefix", kernel_prefix, 4}, {"blocks", kernel_blocks, 3}};
enum { KERNELS = 6 };

typedef struct {
  behaviour *how;
  int kernel;
} kernel_context;

// Through the interface of interpreters, so that tests can interfere.
static int kernel_run(void *context, void *const *args, const int64_t *dims, int64_t begin, int64_t end,
                      void *scratch) {
  kernel_context *k = context;
  const char *symbol = kernels[k->kernel].symbol;
  if (k->how->refuse && !strcmp(k->how->refuse, symbol)) return 1;
  if (k->how->raise && !strcmp(k->how->raise, symbol)) __atomic_store_n(&k->how->flag, 1, __ATOMIC_RELAXED);
  atomic_fetch_add(&k->how->items, end - begin);
  kernels[k->kernel].fn(args, dims, begin, end, scratch);
  return 0;
}

typedef struct {
  weir_arena arena;
  behaviour how;
  kernel_context contexts[KERNELS];
  rt_program *programs[3];
  bool native;
} fixture;

static weir_status fixture_lookup(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  fixture *f = context;
  for (int i = 0; i < KERNELS; i++) {
    if (strcmp(kernel->symbol, kernels[i].symbol)) continue;
    *out_entry = (rt_kernel_entry){0};
    if (f->native) {
      out_entry->native = kernels[i].fn;
    } else {
      f->contexts[i] = (kernel_context){&f->how, i};
      out_entry->run = kernel_run;
      out_entry->context = &f->contexts[i];
    }
    return WEIR_OK;
  }
  return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
}

static weir_status fixture_weight(void *context, const char *path, int64_t bytes, const void **out_data) {
  (void)context;
  if (strcmp(path, "table")) return weir_status_make(WEIR_CODE_NOT_FOUND, "no weight '%s'", path);
  FIXTURE_CHECK(bytes == (int64_t)sizeof table, "%lld bytes", (long long)bytes);
  *out_data = table;
  return WEIR_OK;
}

// ---- programs

enum { SIZE_R, SIZE_T, SIZE_T_MAX, SIZE_T_ALL_MAX };

static inline rt_expr num(fixture *f, int64_t value) { return rt_expr_const(&f->arena, value); }
static inline rt_expr var(fixture *f, int size) { return rt_expr_var(&f->arena, size); }
static inline rt_expr times(fixture *f, int64_t factor, rt_expr e) {
  return rt_expr_binary(&f->arena, RT_SIZE_MUL, num(f, factor), e);
}
static inline rt_expr plus(fixture *f, rt_expr a, rt_expr b) { return rt_expr_binary(&f->arena, RT_SIZE_ADD, a, b); }
static inline rt_expr round64(fixture *f, rt_expr e) {
  rt_expr up = plus(f, e, num(f, 63));
  return rt_expr_binary(&f->arena, RT_SIZE_MUL, rt_expr_binary(&f->arena, RT_SIZE_DIV, up, num(f, 64)), num(f, 64));
}

static inline void launch_set(fixture *f, rt_launch *launch, int kernel, rt_expr grid, bool sync, rt_expr dim,
                              const char *note) {
  *launch = (rt_launch){
      .kernel = kernel, .grid = grid, .arg_count = kernels[kernel].args, .dim_count = 1, .sync = sync, .note = note};
  launch->dims[0] = dim;
  (void)f;
}

// The common part of next and score. |last| is the kernel of the output.
static inline rt_program *sequence_program(fixture *f, const char *name, bool step) {
  rt_program *p = WEIR_NEW(&f->arena, rt_program);
  static const char *sizes[] = {"R", "T", "T.max", "T.all.max"};
  p->name = name;
  p->step = step;
  p->size_count = 4;
  p->sizes = sizes;
  p->symbol_count = 1;
  p->symbols = WEIR_NEW_ARRAY(&f->arena, rt_symbol, 1);
  p->symbols[0] = (rt_symbol){"T", RT_ROLE_SEQ, 1, 64, 1, true, false, SIZE_T, SIZE_T_MAX, SIZE_T_ALL_MAX};
  p->input_count = p->output_count = p->weight_count = 1;
  p->inputs = WEIR_NEW_ARRAY(&f->arena, rt_tensor, 1);
  p->inputs[0] = (rt_tensor){"tokens", RT_DTYPE_i32, 1, {var(f, 0)}, 0, times(f, 4, var(f, SIZE_T)), 0, .hi = 9};
  p->outputs = WEIR_NEW_ARRAY(&f->arena, rt_tensor, 1);
  p->outputs[0] =
      step ? (rt_tensor){"sum", RT_DTYPE_f32, 1, {num(f, 2)}, -1, times(f, 8, var(f, SIZE_R)), 1, .hi = 0}
           : (rt_tensor){"sums", RT_DTYPE_f32, 2, {var(f, 0), num(f, 2)}, 0, times(f, 8, var(f, SIZE_T)), 1, .hi = 0};
  p->weights = WEIR_NEW_ARRAY(&f->arena, rt_weight, 1);
  p->weights[0] = (rt_weight){"table", sizeof table};
  p->state_count = step ? 2 : 1;
  p->states = WEIR_NEW_ARRAY(&f->arena, rt_state, 2);
  p->states[0] = (rt_state){"rows", RT_DTYPE_f32, true, 0, 8, .window = 0};
  if (step) p->states[1] = (rt_state){"mean", RT_DTYPE_f32, false, -1, 4, 0, 3.0, .writes = true};
  p->buffer_count = 2;
  p->buffers = WEIR_NEW_ARRAY(&f->arena, rt_buffer, 2);
  p->buffers[0] = (rt_buffer){times(f, 8, var(f, SIZE_T)), num(f, 0), "x"};
  p->buffers[1] = (rt_buffer){num(f, 64), round64(f, times(f, 8, var(f, SIZE_T))), "tail"};
  p->arena_bytes = plus(f, round64(f, times(f, 8, var(f, SIZE_T))), num(f, 64));
  p->kernel_count = 6;
  p->kernels = WEIR_NEW_ARRAY(&f->arena, rt_kernel, 6);
  for (int i = 0; i < 6; i++) p->kernels[i] = (rt_kernel){kernels[i].symbol, 128, kernels[i].args, 1};
  p->launches = WEIR_NEW_ARRAY(&f->arena, rt_launch, 5);
  rt_launch *l = p->launches;
  launch_set(f, &l[0], 0, var(f, SIZE_T), false, num(f, 2), "embed");
  l[0].args[0] = (rt_arg){RT_ARG_WEIGHT, 0}, l[0].args[1] = (rt_arg){RT_ARG_INPUT, 0},
  l[0].args[2] = (rt_arg){RT_ARG_BUFFER, 0};
  launch_set(f, &l[1], 1, var(f, SIZE_T), true, num(f, 2), "append");
  l[1].args[0] = (rt_arg){RT_ARG_BUFFER, 0}, l[1].args[1] = (rt_arg){RT_ARG_STATE, 0};
  l[1].args[2] = (rt_arg){RT_ARG_REQUESTS, 0}, l[1].args[3] = (rt_arg){RT_ARG_POSITIONS, 0};
  // Never runs, but its sync counts; it binds the second buffer.
  launch_set(f, &l[2], 0, var(f, SIZE_T), true, num(f, 2), "never");
  l[2].args[0] = (rt_arg){RT_ARG_WEIGHT, 0}, l[2].args[1] = (rt_arg){RT_ARG_INPUT, 0},
  l[2].args[2] = (rt_arg){RT_ARG_BUFFER, 1};
  l[2].guard = var(f, SIZE_R), l[2].guard_lo = 1000, l[2].guard_hi = 2000;
  if (step) {
    launch_set(f, &l[3], 3, var(f, SIZE_R), false, num(f, 2), "mean");
    l[3].args[0] = (rt_arg){RT_ARG_BUFFER, 0}, l[3].args[1] = (rt_arg){RT_ARG_STATE, 1},
    l[3].args[2] = (rt_arg){RT_ARG_STARTS, 0};
    launch_set(f, &l[4], 2, var(f, SIZE_R), false, num(f, 2), "sum");
    l[4].args[0] = (rt_arg){RT_ARG_STATE, 0}, l[4].args[1] = (rt_arg){RT_ARG_STARTS, 0};
    l[4].args[2] = (rt_arg){RT_ARG_PAST, 0}, l[4].args[3] = (rt_arg){RT_ARG_OUTPUT, 0};
  } else {
    launch_set(f, &l[3], 4, var(f, SIZE_T), false, num(f, 2), "prefix");
    l[3].args[0] = (rt_arg){RT_ARG_STATE, 0}, l[3].args[1] = (rt_arg){RT_ARG_REQUESTS, 0};
    l[3].args[2] = (rt_arg){RT_ARG_POSITIONS, 0}, l[3].args[3] = (rt_arg){RT_ARG_OUTPUT, 0};
  }
  p->launch_count = step ? 5 : 4;
  // Said to be long: their items are handed out piece by piece.
  l[1].flops_per_item = l[3].flops_per_item = num(f, 100000);
  l[1].bytes_per_item = l[3].bytes_per_item = num(f, 0);
  return p;
}

static inline rt_program *blocks_program(fixture *f) {
  rt_program *p = WEIR_NEW(&f->arena, rt_program);
  static const char *sizes[] = {"N", "W", "R", "N.max"};
  p->name = "blocks";
  p->size_count = 4;
  p->sizes = sizes;
  p->symbol_count = 2;
  p->symbols = WEIR_NEW_ARRAY(&f->arena, rt_symbol, 2);
  p->symbols[0] = (rt_symbol){"N", RT_ROLE_BATCH, 2, 100, 2, false, false, 0, 3, -1};
  p->symbols[1] = (rt_symbol){"W", RT_ROLE_PLAIN, 1, 8, 1, false, false, 1, -1, -1};
  p->input_count = 2;
  p->inputs = WEIR_NEW_ARRAY(&f->arena, rt_tensor, 2);
  rt_expr nw = rt_expr_binary(&f->arena, RT_SIZE_MUL, var(f, 0), var(f, 1));
  p->inputs[0] = (rt_tensor){"a", RT_DTYPE_f32, 2, {times(f, 2, var(f, 0)), var(f, 1)}, 0, times(f, 8, nw), 1, .hi = 0};
  p->inputs[1] = (rt_tensor){"b", RT_DTYPE_u8, 1, {var(f, 0)}, 0, var(f, 0), 0, .hi = 200};
  p->output_count = 1;
  p->outputs = WEIR_NEW_ARRAY(&f->arena, rt_tensor, 1);
  p->outputs[0] = (rt_tensor){"out", RT_DTYPE_f32, 1, {var(f, 0)}, 0, times(f, 4, var(f, 0)), 1, .hi = 0};
  p->arena_bytes = num(f, 0);
  p->kernel_count = 1;
  p->kernels = WEIR_NEW_ARRAY(&f->arena, rt_kernel, 1);
  p->kernels[0] = (rt_kernel){"blocks", 0, 3, 1};
  p->launches = WEIR_NEW_ARRAY(&f->arena, rt_launch, 1);
  p->launch_count = 1;
  launch_set(f, &p->launches[0], 5, var(f, 0), false, var(f, 1), "blocks");
  p->launches[0].kernel = 0;
  for (int i = 0; i < 3; i++) p->launches[0].args[i] = (rt_arg){i < 2 ? RT_ARG_INPUT : RT_ARG_OUTPUT, i % 2};
  return p;
}

static inline void fixture_init(fixture *f) {
  memset(f, 0, sizeof *f);
  weir_arena_init(&f->arena);
  f->programs[0] = sequence_program(f, "next", true);
  f->programs[1] = sequence_program(f, "score", false);
  f->programs[2] = blocks_program(f);
}

static inline rt_model_parts fixture_parts(fixture *f, const weir_allocator *allocator) {
  return (rt_model_parts){
      .name = "fixture",
      .isa = "test",
      .programs = (const rt_program *const *)f->programs,
      .program_count = 3,
      .provider = {.context = f, .lookup = fixture_lookup},
      .find_weight = fixture_weight,
      .allocator = allocator,
  };
}

static inline weir_model *fixture_model(fixture *f, const weir_allocator *allocator) {
  weir_model *model = NULL;
  rt_model_parts parts = fixture_parts(f, allocator);
  OK(rt_model_create(&parts, &model));
  return model;
}

static inline void fixture_deinit(fixture *f) { weir_arena_deinit(&f->arena); }

// ---- calls

static inline weir_view tokens_view(const int32_t *tokens, int64_t count) {
  return (weir_view){.data = (void *)(uintptr_t)tokens, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {count}};
}

static inline weir_view room_view(float *data, size_t count) {
  return (weir_view){.data = data, .bytes = count * sizeof *data};
}

#endif
