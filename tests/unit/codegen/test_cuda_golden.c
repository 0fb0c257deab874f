// Golden texts of CUDA C: a kernel, and what is printed for NVRTC behind the prelude. WEIR_BLESS=1 rewrites the
// expected outputs. And every operation on every type as NVRTC takes it.
#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/print.h"
#include "tests/common/golden.h"
#include "tests/unit/codegen/cpu_harness.h"

static const char *run(weir_arena *arena, const char *command, const char *input) {
  if (strcmp(command, "cuda") != 0) return NULL;
  ir_kernel *kernel;
  cg_cuda_kernel printed;
  const cg_cuda_print_options options = {.prelude = CG_CUDA_PTX};
  weir_status status = ir_kernel_parse(arena, input, strlen(input), &kernel);
  if (!status) status = ir_kernel_verify(kernel);
  if (!status) status = cg_cuda_print(arena, kernel, &options, &printed);
  if (!status) return printed.text;
  const char *text = weir_arena_printf(arena, "%s\n", weir_status_message(status));
  weir_status_release(status);
  return text;
}

Test(cuda_golden, texts) {
  int failed = 0, count = golden_check(WEIR_SOURCE_DIR "/tests/text/cuda", run, &failed);
  cr_assert_geq(count, 6);
  cr_assert_eq(failed, 0, "%d of %d differ", failed, count);
}

// ---- operations

static bool takes(ir_kop op, ir_ktype type) {
  bool is_float = ir_ktype_is_float(type), is_bool = type == IR_KT_bool;
  if (op == IR_K_select || (op >= IR_K_eq && op <= IR_K_ge)) return true;
  if (op >= IR_K_and && op <= IR_K_not) return !is_float;
  if (op == IR_K_shl || op == IR_K_shr) return !is_float && !is_bool;
  if ((op >= IR_K_add && op <= IR_K_max) || op == IR_K_neg || op == IR_K_abs) return !is_bool;
  return is_float;
}

// y[i] = op of x[i], z[i], w[i] for every operation that |type| has, each into rows of its own; 8 operations a kernel.
enum { PART = 8, MOST_KERNELS = 128 };
typedef struct {
  weir_arena *arena;
  const ir_kernel *kernels[MOST_KERNELS];
  int count, ops, in_part;
  ir_kbuilder b;
  const ir_kexpr *n, *i;
  int x;
  bool open;
} op_kernels;

static void part_end(op_kernels *o) {
  if (!o->open) return;
  ir_kb_end(&o->b);
  ir_kernel *kernel = ir_kb_finish(&o->b);
  cpu_must(ir_kernel_verify(kernel));
  cr_assert_lt(o->count, MOST_KERNELS);
  o->kernels[o->count++] = kernel;
  o->open = false;
  o->in_part = 0;
}

static void part_begin(op_kernels *o, ir_ktype in) {
  if (o->in_part == PART) part_end(o);
  o->in_part++;
  o->ops++;
  if (o->open) return;
  o->open = true;
  ir_kb_init(&o->b, o->arena, weir_arena_printf(o->arena, "k_ops_%s_%d", ir_ktype_name(in), o->count), "operations");
  o->n = ir_kb_add_size(&o->b, "n");
  o->x = ir_kb_add_buffer(&o->b, IR_KB_IN, "x", ir_kb_mul(&o->b, o->n, ir_kb_int(&o->b, 3 * ir_ktype_bytes(in))), -1);
  for (int i = 0; i < PART; i++)
    ir_kb_add_buffer(&o->b, IR_KB_OUT, weir_arena_printf(o->arena, "y%d", i),
                     ir_kb_mul(&o->b, o->n, ir_kb_int(&o->b, 8)), -1);
  ir_kb_set_grid(&o->b, ir_kb_int(&o->b, 1), "item");
  o->i = ir_kb_for(&o->b, IR_KR_LANES, "i", ir_kb_int(&o->b, 0), o->n, 1);
}

static void add_op(op_kernels *o, ir_kop op, int arity, ir_ktype in, ir_ktype out) {
  part_begin(o, in);
  const ir_kexpr *args[3] = {NULL};
  for (int a = 0; a < arity; a++)
    args[a] = ir_kb_load(&o->b, in, o->x, ir_kb_add(&o->b, o->i, ir_kb_mul(&o->b, o->n, ir_kb_int(&o->b, a))));
  if (op == IR_K_select) args[0] = ir_kb_op(&o->b, IR_K_lt, IR_KT_bool, args[0], args[1], NULL);
  ir_kb_store(&o->b, out, o->x + o->in_part, o->i, ir_kb_op(&o->b, op, out, args[0], args[1], args[2]));
}

static void add_all(op_kernels *o) {
#define KOP(name, operands, meaning) [IR_K_##name] = operands,
  static const int arities[IR_K_COUNT] = {IR_KERNEL_OPS(KOP)};
#undef KOP
  for (int type = 0; type < IR_KT_COUNT; type++) {
    ir_ktype in = (ir_ktype)type;
    bool small = ir_ktype_is_float(in) && in != IR_KT_f32 && in != IR_KT_f64;  // computed as f32
    for (int op = IR_K_add; op < IR_K_cast && !small; op++) {
      bool compares = op >= IR_K_eq && op <= IR_K_ge;
      if (takes((ir_kop)op, in)) add_op(o, (ir_kop)op, arities[op], in, compares ? IR_KT_bool : in);
    }
    for (int to = 0; to < IR_KT_COUNT; to++) {
      ir_ktype out = (ir_ktype)to;
      bool fits = in != IR_KT_bool && out != IR_KT_bool && ir_ktype_bytes(in) == ir_ktype_bytes(out);
      if (in != out) add_op(o, IR_K_cast, 1, in, out);
      if (in != out && fits) add_op(o, IR_K_bitcast, 1, in, out);
    }
    part_end(o);
  }
}

Test(cuda_golden, nvrtc_takes_every_operation, .timeout = 300) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_nvrtc library;
  weir_status status = cg_nvrtc_open(&arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    weir_arena_deinit(&arena);
    return;
  }
  op_kernels *o = WEIR_NEW(&arena, op_kernels);
  *o = (op_kernels){.arena = &arena};
  add_all(o);
  char folder[] = "/tmp/weir-cuda-XXXXXX";
  cr_assert(mkdtemp(folder));
  cg_cuda_options options = {.cache_dir = folder};
  cg_cuda_arch found[CG_CUDA_MAX_ARCHS];
  cg_cuda_built built;
  int one;
  cpu_must(cg_cuda_archs_find("cuda:sm_80", found, &one));
  status = cg_cuda_compile(&arena, o->kernels, o->count, found, 1, &options, &built);
  cr_assert_eq(system(weir_arena_printf(&arena, "rm -rf '%s'", folder)), 0);
  cpu_must(status);
  fprintf(stderr, "%d operations in %d kernels: %.1f s\n", o->ops, o->count, built.seconds);
  weir_arena_deinit(&arena);
}
