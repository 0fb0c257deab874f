// Each limit is a program: a launch that makes data, where it needs some, and the same work a few times behind it,
// timed by the device. The data is noise, for zeros cost less power and so clock higher. Units are kept busy from
// registers (mma) or shared memory (wgmma): the larger of the two is the limit.
#include "compiler/plan/device_roof.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cuda/arch.h"
#include "compiler/plan/probe.h"
#include "ir/kernel_block.h"
#include "runtime/device/cuda/device.h"

enum {
  PIECE = 32768,  // bytes of a block that copies
  TURNS = 5,      // timed launches of a program; the best counts
  RUNS = 3,
  EMPTY = 257,  // launches of the program of empty ones
};

// ---- kernels

// Noise of 32 bits from |of|, an i64.
#define NOISE(of) "u32(" of ") * 2654435761:u32 ^ (u32(" of ") * 2246822519:u32 >> 15:u32)"

static const char fill_text[] =
    "kernel k_roof_fill \"noise, so that memory holds no zeros\"\n"
    "sizes B\n"
    "out y: B * 32768 @0\n"
    "grid g: B\n"
    "threads t: 256\n"
    "{\n"
    "  reg a: u32[4] = 0:u32\n"
    "  unroll u in 0..8 {\n"
    "    let at: i64 = (g * 8 + u) * 1024 + t * 4\n"
    "    unroll i in 0..4 {\n"
    "      set a[i] = " NOISE("at + i") "\n"
    "    }\n"
    "    write y:u32[at] = a[0] x 4\n"
    "  }\n"
    "}\n";

static const char copy_text[] =
    "kernel k_roof_copy \"y = x, 16 bytes a thread at a time, eight of them under way\"\n"
    "sizes B\n"
    "in x: B * 32768 @0\n"
    "out y: B * 32768 @1\n"
    "grid g: B\n"
    "threads t: 256\n"
    "{\n"
    "  reg a: u32[8, 4] = 0:u32\n"
    "  unroll u in 0..8 {\n"
    "    read a[u, 0] x 4 = x:u32[(g * 8 + u) * 1024 + t * 4] stream\n"
    "  }\n"
    "  unroll u in 0..8 {\n"
    "    write y:u32[(g * 8 + u) * 1024 + t * 4] = a[u, 0] x 4 stream\n"
    "  }\n"
    "}\n";

// A sum of noise that is this very number is as good as none, but no compiler knows.
static const char read_text[] =
    "kernel k_roof_read \"reads x, 16 bytes a thread at a time, eight of them under way\"\n"
    "sizes B\n"
    "in x: B * 32768 @0\n"
    "out y: B * 1024 @1\n"
    "grid g: B\n"
    "threads t: 256\n"
    "{\n"
    "  reg a: u32[8, 4] = 0:u32\n"
    "  unroll u in 0..8 {\n"
    "    read a[u, 0] x 4 = x:u32[(g * 8 + u) * 1024 + t * 4] stream\n"
    "  }\n"
    "  reg sum: u32 = 0:u32\n"
    "  unroll u in 0..8 {\n"
    "    unroll i in 0..4 {\n"
    "      set sum = sum * 31:u32 ^ a[u, i]\n"
    "    }\n"
    "  }\n"
    "  if sum == 305419896:u32 {\n"
    "    store y:u32[g * 256 + t] = sum\n"
    "  }\n"
    "}\n";

static const char f32_text[] =
    "kernel k_roof_f32 \"N times sixteen multiply-adds a thread\"\n"
    "sizes B, N\n"
    "out y: B * 1024 @0\n"
    "grid g: B\n"
    "threads t: 256\n"
    "{\n"
    "  reg acc: f32[16] = 0.0\n"
    "  let a: f32 = 0.999 + f32(t) * 1e-06\n"
    "  let b: f32 = f32(t + 1) * 0.001\n"
    "  unroll u in 0..16 {\n"
    "    set acc[u] = f32(t * 16 + u) * 0.01\n"
    "  }\n"
    "  for i in 0..N {\n"
    "    unroll u in 0..16 {\n"
    "      set acc[u] = fma(acc[u], a, b)\n"
    "    }\n"
    "  }\n"
    "  reg sum: f32 = 0.0\n"
    "  unroll u in 0..16 {\n"
    "    set sum = sum + acc[u]\n"
    "  }\n"
    "  store y:f32[g * 256 + t] = sum\n"
    "}\n";

static const char empty_text[] =
    "kernel k_roof_empty \"nothing\"\n"
    "sizes B\n"
    "out y: 256 @0\n"
    "grid g: B\n"
    "threads t: 32\n"
    "{\n"
    "  if t > 32 {\n"
    "    store y:u32[t] = 0:u32\n"
    "  }\n"
    "}\n";

// A kind of narrow products: noise under |mask| with |bits| set is a number near 1 of either sign, or any byte.
typedef struct {
  const char *name, *sum;  // of the products, of their sums
  const char *zero, *mask, *bits;
  ir_kmma kind;
} unit_kind;
static const unit_kind unit_kinds[] = {
    {"bf16", "f32", "0.0", "2155905151:u32", "1056980736:u32", IR_KMMA_bf16},
    {"e4m3", "f32", "0.0", "2408550287:u32", "808464432:u32", IR_KMMA_e4m3},
    {"s8", "i32", "0:i32", "4294967295:u32", "0:u32", IR_KMMA_s8},
};
enum { KINDS = sizeof unit_kinds / sizeof *unit_kinds };

static const char *mma_text(weir_arena *arena, const unit_kind *k) {
  return weir_arena_printf(arena,
                           "kernel k_roof_mma_%s \"N times eight products of a warp, from registers\"\n"
                           "sizes B, N\n"
                           "out y: B * 1024 @0\n"
                           "grid g: B\n"
                           "threads t: 256\n"
                           "{\n"
                           "  reg c: %s[8, 4] = %s\n"
                           "  reg a: u32[4] = 0:u32\n"
                           "  reg b: u32[8, 2] = 0:u32\n"
                           "  unroll i in 0..4 {\n"
                           "    set a[i] = (" NOISE("t * 20 + i") ") & %s | %s\n"
                           "  }\n"
                           "  unroll u in 0..8 {\n"
                           "    unroll i in 0..2 {\n"
                           "      set b[u, i] = (" NOISE("t * 20 + 4 + u * 2 + i") ") & %s | %s\n"
                           "    }\n"
                           "  }\n"
                           "  for n in 0..N {\n"
                           "    unroll u in 0..8 {\n"
                           "      mma %s c[u, 0], a[0], b[u, 0]\n"
                           "    }\n"
                           "  }\n"
                           "  reg sum: %s = %s\n"
                           "  unroll u in 0..8 {\n"
                           "    unroll i in 0..4 {\n"
                           "      set sum = sum + c[u, i]\n"
                           "    }\n"
                           "  }\n"
                           "  store y:%s[g * 256 + t] = sum\n"
                           "}\n",
                           k->name, k->sum, k->zero, k->mask, k->bits, k->mask, k->bits, k->name, k->sum, k->zero,
                           k->sum);
}

// Two warpgroups, 64 x 256 sums each; a step is 128 bytes of k.
static const char *wgmma_text(weir_arena *arena, const unit_kind *k) {
  const char *type = k->kind == IR_KMMA_bf16 ? "bf16" : k->kind == IR_KMMA_s8 ? "i8" : "f8e4m3";
  int each = ir_kmma_k(k->kind);
  return weir_arena_printf(arena,
                           "kernel k_roof_wgmma_%s \"N times four products of each warpgroup, from shared memory\"\n"
                           "sizes B, N\n"
                           "out y: B * 1024 @0\n"
                           "shared sa: 16384\n"
                           "shared sb: 32768\n"
                           "grid g: B\n"
                           "threads t: 256 resident 1\n"
                           "{\n"
                           "  for i in t..4096 step 256 {\n"
                           "    store sa:u32[i] = (" NOISE("i + 1") ") & %s | %s\n"
                           "  }\n"
                           "  for i in t..8192 step 256 {\n"
                           "    store sb:u32[i] = (" NOISE("i + 5000") ") & %s | %s\n"
                           "  }\n"
                           "  fence_async\n"
                           "  barrier\n"
                           "  reg c: %s[128] = %s\n"
                           "  for n in 0..N {\n"
                           "    wgmma fence\n"
                           "    unroll h in 0..4 {\n"
                           "      wgmma %s n 256 c[0] = sa:%s[t / 128 * %d + h * %d] swizzle 128, sb:%s[h * %d] swizzle 128\n"
                           "    }\n"
                           "    wgmma commit\n"
                           "    wgmma wait 0\n"
                           "  }\n"
                           "  reg sum: %s = %s\n"
                           "  unroll i in 0..128 {\n"
                           "    set sum = sum + c[i]\n"
                           "  }\n"
                           "  store y:%s[g * 256 + t] = sum\n"
                           "}\n",
                           k->name, k->mask, k->bits, k->mask, k->bits, k->sum, k->zero, k->name, type,
                           256 * each, each, type, each, k->sum, k->zero, k->sum);
}

static weir_status kernel_add(weir_arena *arena, const char *text, ir_kernel **kernels, int *count) {
  WEIR_TRY(ir_kernel_parse(arena, text, strlen(text), &kernels[*count]));
  return ir_kernel_verify(kernels[(*count)++]);
}

weir_status plan_device_roof_kernels(weir_arena *arena, ir_kernel ***out_kernels, int *out_count) {
  static const char *const plain[] = {fill_text, copy_text, read_text, f32_text, empty_text};
  ir_kernel **kernels = *out_kernels = WEIR_NEW_ARRAY(arena, ir_kernel *, 5 + 2 * KINDS);
  *out_count = 0;
  for (int i = 0; i < 5; i++) WEIR_TRY(kernel_add(arena, plain[i], kernels, out_count));
  for (int i = 0; i < KINDS; i++) {
    WEIR_TRY(kernel_add(arena, mma_text(arena, &unit_kinds[i]), kernels, out_count));
    WEIR_TRY(kernel_add(arena, wgmma_text(arena, &unit_kinds[i]), kernels, out_count));
  }
  return WEIR_OK;
}

// ---- programs

// How much work: little where it is simulated.
typedef struct {
  int64_t pieces;         // of memory
  int64_t blocks, steps;  // of arithmetic; wgmma does an eighth of the steps
} roof_sizes;

typedef struct {
  weir_arena *arena;
  roof_sizes sizes;
  const ir_kernel **kernels;  // those that the device can hold
  int kernel_count;
  const rt_program **programs;
  int program_count;
} roof_parts;

static bool has_kernel(const roof_parts *p, const char *name) {
  for (int i = 0; i < p->kernel_count; i++)
    if (!strcmp(p->kernels[i]->name, name)) return true;
  return false;
}

static weir_status program_add(roof_parts *p, const char *text) {
  rt_program *program;
  WEIR_TRY(rt_program_parse(p->arena, text, strlen(text), &program));
  p->programs[p->program_count++] = program;
  return WEIR_OK;
}

// x is made, then worked on.
static weir_status memory_program(roof_parts *p, const char *name) {
  int64_t bytes = p->sizes.pieces * PIECE;
  const char *text =
      weir_arena_printf(p->arena,
                        "program \"%s\"\nsizes R\nbuffer 0 \"x\" bytes %lld at 0\nbuffer 1 \"y\" bytes %lld at %lld\n"
                        "kernel 0 \"k_roof_fill\" args 1 dims 1\nkernel 1 \"k_roof_%s\" args 2 dims 1\n"
                        "launch 0 grid %lld args b0 dims %lld\n",
                        name, (long long)bytes, (long long)bytes, (long long)bytes, name, (long long)p->sizes.pieces,
                        (long long)p->sizes.pieces);
  for (int i = 0; i < TURNS; i++)
    text = weir_arena_printf(p->arena, "%slaunch 1 grid %lld args b0, b1 dims %lld sync\n", text,
                             (long long)p->sizes.pieces, (long long)p->sizes.pieces);
  return program_add(p, weir_arena_printf(p->arena, "%sarena %lld\n", text, (long long)(2 * bytes)));
}

static weir_status unit_program(roof_parts *p, const char *name, int64_t steps) {
  if (!has_kernel(p, weir_arena_printf(p->arena, "k_roof_%s", name))) return WEIR_OK;
  long long bytes = 1024 * p->sizes.blocks, blocks = p->sizes.blocks;
  const char *text = weir_arena_printf(
      p->arena, "program \"%s\"\nsizes R\nbuffer 0 \"y\" bytes %lld at 0\nkernel 0 \"k_roof_%s\" args 1 dims 2\n", name,
      bytes, name);
  for (int i = 0; i < TURNS; i++)
    text = weir_arena_printf(p->arena, "%slaunch 0 grid %lld args b0 dims %lld, %lld%s\n", text, blocks, blocks,
                             (long long)steps, i ? " sync" : "");
  return program_add(p, weir_arena_printf(p->arena, "%sarena %lld\n", text, bytes));
}

static weir_status empty_program(roof_parts *p, const char *name, int count) {
  const char *text = weir_arena_printf(p->arena,
                                       "program \"%s\"\nsizes R\nbuffer 0 \"y\" bytes 256 at 0\n"
                                       "kernel 0 \"k_roof_empty\" args 1 dims 1\n",
                                       name);
  for (int i = 0; i < count; i++)
    text = weir_arena_printf(p->arena, "%slaunch 0 grid 1 args b0 dims 1%s\n", text, i ? " sync" : "");
  return program_add(p, weir_arena_printf(p->arena, "%sarena 256\n", text));
}

static weir_status programs_make(roof_parts *p) {
  p->programs = WEIR_NEW_ARRAY(p->arena, const rt_program *, 5 + 2 * KINDS);
  WEIR_TRY(memory_program(p, "copy"));
  WEIR_TRY(memory_program(p, "read"));
  WEIR_TRY(unit_program(p, "f32", 8 * p->sizes.steps));
  for (int i = 0; i < KINDS; i++) {
    const char *name = unit_kinds[i].name;
    WEIR_TRY(unit_program(p, weir_arena_printf(p->arena, "mma_%s", name), p->sizes.steps));
    WEIR_TRY(unit_program(p, weir_arena_printf(p->arena, "wgmma_%s", name), (p->sizes.steps + 7) / 8));
  }
  WEIR_TRY(empty_program(p, "one", 1));
  return empty_program(p, "many", EMPTY);
}

// ---- measuring

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// The least that a launch from |first| on takes by the device's clock. 0 where the model has no such entry.
static weir_status launch_time(weir_executor *x, const weir_entry *entry, int first, double *out_s) {
  weir_launch_time times[TURNS + 1];
  double best = 0;
  *out_s = 0;
  for (int run = 0; entry && run < RUNS; run++) {
    weir_run_options options = {.times = times, .time_capacity = TURNS + 1};
    weir_request request = {0};
    WEIR_TRY(weir_run(x, entry, &request, 1, &options));
    for (int i = first; i < options.time_count; i++) {
      double s = 1e-9 * (double)times[i].ns;
      if (s > 0 && (best <= 0 || s < best)) best = s;
    }
  }
  *out_s = best;
  return WEIR_OK;
}

// The least time of a whole call.
static weir_status call_time(weir_executor *x, const weir_entry *entry, double *out_s) {
  *out_s = 1e9;
  for (int run = 0; run <= 4 * RUNS; run++) {
    weir_request request = {0};
    double start = now_s();
    WEIR_TRY(weir_run(x, entry, &request, 1, NULL));
    double took = now_s() - start;
    if (run && took < *out_s) *out_s = took;
  }
  return WEIR_OK;
}

static double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

static weir_status unit_rate(weir_executor *x, const weir_model *model, weir_arena *arena, const roof_sizes *sizes,
                             int kind, double *out) {
  const char *name = unit_kinds[kind].name;
  double k = ir_kmma_k(unit_kinds[kind].kind), s, wide_s;
  WEIR_TRY(launch_time(x, weir_model_find_entry(model, weir_arena_printf(arena, "mma_%s", name)), 0, &s));
  WEIR_TRY(launch_time(x, weir_model_find_entry(model, weir_arena_printf(arena, "wgmma_%s", name)), 0, &wide_s));
  double blocks = (double)sizes->blocks, steps = (double)sizes->steps;
  double narrow = rate(blocks * steps * 8 * 8 * 2 * 16 * 8 * k, s);
  double wide = rate(blocks * (double)((sizes->steps + 7) / 8) * 2 * 4 * 2 * 64 * 256 * k, wide_s);
  *out = narrow > wide ? narrow : wide;
  return WEIR_OK;
}

static weir_status measure(weir_executor *x, const weir_model *model, weir_arena *arena, const roof_sizes *sizes,
                           plan_device_roof *out) {
  double bytes = (double)sizes->pieces * PIECE, s, one, many;
  WEIR_TRY(launch_time(x, weir_model_find_entry(model, "copy"), 1, &s));
  out->copy_bytes_per_s = rate(2 * bytes, s);
  WEIR_TRY(launch_time(x, weir_model_find_entry(model, "read"), 1, &s));
  out->read_bytes_per_s = rate(bytes, s);
  WEIR_TRY(launch_time(x, weir_model_find_entry(model, "f32"), 0, &s));
  out->flops_per_s = rate((double)sizes->blocks * 256 * 16 * 2 * 8 * (double)sizes->steps, s);
  WEIR_TRY(unit_rate(x, model, arena, sizes, 0, &out->bf16_ops_per_s));
  WEIR_TRY(unit_rate(x, model, arena, sizes, 1, &out->fp8_ops_per_s));
  WEIR_TRY(unit_rate(x, model, arena, sizes, 2, &out->int8_ops_per_s));
  WEIR_TRY(call_time(x, weir_model_find_entry(model, "one"), &one));
  WEIR_TRY(call_time(x, weir_model_find_entry(model, "many"), &many));
  out->launch_s = many > one ? (many - one) / (EMPTY - 1) : 0;
  return WEIR_OK;
}

// Memory far beyond any cache, but not all that a small device has.
static weir_status sizes_choose(const char *device, bool simulated, roof_sizes *out) {
  rt_cuda_facts facts;
  *out = (roof_sizes){.pieces = 2, .blocks = 1, .steps = 2};
  if (simulated) return WEIR_OK;
  WEIR_TRY(rt_cuda_describe_named(device, &facts));
  int64_t bytes = INT64_C(1) << 29;
  while (bytes > PIECE && bytes > facts.memory / 8) bytes /= 2;
  *out = (roof_sizes){.pieces = bytes / PIECE, .blocks = 1056, .steps = 2048};
  return WEIR_OK;
}

weir_status plan_device_roof_measure(weir_arena *arena, const char *device, const char *isa, const int *cancel,
                                     plan_device_roof *out) {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  const char *target;
  ir_kernel **kernels;
  int count, arch_count = 0;
  roof_parts p = {.arena = arena};
  WEIR_TRY(plan_device_target(arena, device, isa, &target));
  *out = (plan_device_roof){.simulated = !strcmp(target, "sim")};
  if (!out->simulated) WEIR_TRY(cg_cuda_archs_find(target, archs, &arch_count));
  WEIR_TRY(sizes_choose(device, out->simulated, &p.sizes));
  WEIR_TRY(plan_device_roof_kernels(arena, &kernels, &count));
  p.kernels = WEIR_NEW_ARRAY(arena, const ir_kernel *, count);
  for (int i = 0; i < count; i++)
    if (out->simulated || cg_cuda_arch_holds(&archs[0], ir_kernel_needs(kernels[i])))
      p.kernels[p.kernel_count++] = kernels[i];
  WEIR_TRY(programs_make(&p));
  plan_probe probe = {.name = "roof",
                      .device = device,
                      .isa = isa,
                      .kernels = p.kernels,
                      .kernel_count = p.kernel_count,
                      .programs = p.programs,
                      .program_count = p.program_count,
                      .cancel = cancel};
  weir_model *model;
  weir_executor *executor = NULL;
  WEIR_TRY(plan_probe_load(arena, &probe, &model));
  weir_status status = weir_executor_create(model, NULL, &executor);
  if (!status) status = measure(executor, model, arena, &p.sizes, out);
  weir_executor_destroy(executor);
  weir_model_release(model);
  return status;
}
