// Kernels that multiply keep their sums in registers: in the machine code of every level, no innermost loop with
// multiply-adds or dot products stores a vector to the stack that the next turn reads again. What a turn puts down and
// takes up itself is no sum.
//
// The kernels are those of a few modules, lowered as a model's are: products with packed matrices in every storage, for
// one and for many rows, with and without a second matrix, in every compute type; products of two values; attention;
// convolutions.
#include <ctype.h>

#include "codegen/lower/lower.h"
#include "ir/text_buffer.h"
#include "tests/unit/codegen/cpu_harness.h"

enum { MAX_LINES = 400000, MAX_SLOTS = 256, MAX_KERNELS = 400 };

// ---- the kernels

typedef struct {
  weir_storage storage;
  cg_compute compute;
} choice;

static weir_storage storage_of(void *user, const char *path) {
  return strchr(path, '.') ? WEIR_STORAGE_F32 : ((const choice *)user)->storage;
}
static cg_compute compute_of(void *user, const char *path) {
  return strchr(path, '.') ? CG_COMPUTE_F32 : ((const choice *)user)->compute;
}

static const char linears[] =
    "module M\n\ndim T: seq in 1..=1000\n\nentry main {\n"
    "  input %0.x: f32[T, 512] \"x\"\n"
    "  weight %1: f32[384, 512] \"a\"\n  weight %2: f32[384, 512] \"b\"\n  weight %3: f32[100, 512] \"c\"\n"
    "  %4 = linear %0, %1 : f32[T, 384]\n  %5 = silu %4 : f32[T, 384]\n"
    "  %6 = linear %0, %2 : f32[T, 384]\n  %7 = mul %5, %6 : f32[T, 384]\n"
    "  %8 = linear %0, %3 : f32[T, 100]\n  %9 = linear %0, %1 : f32[T, 384]\n"
    "  result %7 \"gated\"\n  result %8 \"rest\"\n  result %9 \"plain\"\n}\n";

static const char others[] =
    "module M\n\ndim T: seq in 1..=1000\ndim S: seq in 1..=1000\n\nentry main {\n"
    "  input %0.x: f32[T, 192] \"x\"\n  input %1.y: f32[192, 200] \"y\"\n  input %2.s: f32[S, 192] \"s\"\n"
    "  input %3.q: f32[T, 6, 64] \"q\"\n  input %4.k: f32[T, 2, 64] \"k\"\n  input %5.i: f32[1, 32, 28, 28] \"i\"\n"
    "  weight %6: f32[48, 32, 3, 3] \"w.conv\"\n  weight %7: f32[32, 1, 3, 3] \"w.depth\"\n"
    "  weight %8: f32[48, 32, 1, 1] \"w.point\"\n"
    "  %9 = matmul %0, %1 : f32[T, 200]\n  %10 = linear %0, %2 : f32[T, S]\n"
    "  %11 = attend %3, %4, %4 {causal=true, window=0, scale=0.125} : f32[T, 6, 64]\n"
    "  %12 = conv %5, %6 {strides=[1, 1], before=[1, 1], after=[1, 1], dilations=[1, 1], groups=1} : f32[1, 48, 28, "
    "28]\n"
    "  %13 = conv %5, %7 {strides=[1, 1], before=[1, 1], after=[1, 1], dilations=[1, 1], groups=32} : f32[1, 32, 28, "
    "28]\n"
    "  %14 = conv %5, %8 {strides=[1, 1], before=[0, 0], after=[0, 0], dilations=[1, 1], groups=1} : f32[1, 48, 28, "
    "28]\n"
    "  %15 = conv %5, %6 {strides=[2, 2], before=[1, 1], after=[1, 1], dilations=[1, 1], groups=1} : f32[1, 48, 14, "
    "14]\n"
    "  result %9 \"a\"\n  result %10 \"b\"\n  result %11 \"c\"\n  result %12 \"d\"\n  result %13 \"e\"\n"
    "  result %14 \"f\"\n  result %15 \"g\"\n}\n";

typedef struct {
  const ir_kernel *list[MAX_KERNELS];
  int count;
} kernels;

static void add_module(weir_arena *arena, const char *text, choice c, kernels *out) {
  ir_module *module;
  cg_module *code;
  cpu_must(ir_parse_module(arena, text, strlen(text), &module));
  cg_lower_options options = {.storage_of = storage_of, .compute_of = compute_of, .user = &c};
  cpu_must(cg_lower(arena, module, &options, &code));
  for (int i = 0; i < code->kernel_count; i++) {
    bool known = false;
    for (int k = 0; k < out->count && !known; k++) known = !strcmp(out->list[k]->name, code->kernels[i]->name);
    cr_assert_lt(out->count, MAX_KERNELS);
    if (!known) out->list[out->count++] = code->kernels[i];
  }
}

static void add_floats(weir_arena *arena, kernels *out) {
  for (int s = 0; s < WEIR_STORAGE_COUNT; s++)
    if (cg_panel_supports((weir_storage)s)) add_module(arena, linears, (choice){(weir_storage)s, CG_COMPUTE_F32}, out);
  add_module(arena, others, (choice){WEIR_STORAGE_F32, CG_COMPUTE_F32}, out);
}

static void add_dots(weir_arena *arena, kernels *out) {
  add_module(arena, linears, (choice){WEIR_STORAGE_BF16, CG_COMPUTE_BF16}, out);
  add_module(arena, linears, (choice){WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16}, out);
  for (int s = 0; s < WEIR_STORAGE_COUNT; s++)
    if (cg_panel_supports((weir_storage)s) && weir_storage_has_codes((weir_storage)s))
      add_module(arena, linears, (choice){(weir_storage)s, CG_COMPUTE_INT8}, out);
  add_module(arena, linears, (choice){WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW}, out);
}

// ---- the machine code

typedef struct {
  const char *text;      // behind the address
  long address, target;  // |target|: of a jump, else -1
} line;

typedef struct {
  weir_arena *arena;
  line *lines;
  int count;
  bool frame;  // the function has a frame pointer
  int loops;
} listing;

static bool multiplies(const char *text) {
  return !strncmp(text, "vfmadd", 6) || !strncmp(text, "vfnmadd", 7) || !strncmp(text, "vpdp", 4) ||
         !strncmp(text, "vdpbf16", 7) || !strncmp(text, "vpmaddubsw", 10);
}

// The place on the stack that an instruction with vectors touches, as written; false if none.
static bool stack_slot(const listing *l, const char *text, char *out, size_t size, bool *out_store) {
  const char *open = strstr(text, "(%rsp)");
  if (!open && l->frame) open = strstr(text, "(%rbp)");
  if (!open || !(strstr(text, "%zmm") || strstr(text, "%ymm") || strstr(text, "%xmm"))) return false;
  const char *from = open;
  while (from > text && !isspace((unsigned char)from[-1]) && from[-1] != ',') from--;
  snprintf(out, size, "%.*s", (int)(open + 6 - from), from);
  // A store names its place last.
  *out_store = !strncmp(text, "vmov", 4) && open[6] != ',';
  return true;
}

// Whether the loop carries a vector over the stack from turn to turn.
static const char *carried(const listing *l, int first, int last) {
  static char slots[MAX_SLOTS][40];
  bool read_first[MAX_SLOTS];
  int count = 0;
  for (int i = first; i <= last; i++) {
    char slot[40];
    bool store;
    if (!stack_slot(l, l->lines[i].text, slot, sizeof slot, &store)) continue;
    int at = 0;
    while (at < count && strcmp(slots[at], slot)) at++;
    if (at == count && count < MAX_SLOTS) {
      strcpy(slots[count], slot);
      read_first[count++] = !store;
    } else if (at < count && store && read_first[at]) {
      return l->lines[i].text;
    }
  }
  return NULL;
}

// The vector register that an instruction writes, its last operand; -1 if none.
static int written_register(const char *text) {
  const char *last = strrchr(text, ','), *at = last ? strstr(last, "mm") : NULL;
  return at && isdigit((unsigned char)at[2]) && !strchr(last, '(') ? atoi(at + 2) : -1;
}

// Whether some register takes products turn after turn: what it held before the loop, or at its end, goes in.
static bool holds_sums(const listing *l, int first, int last) {
  bool written[32] = {0};
  for (int i = first; i <= last; i++) {
    const char *text = l->lines[i].text;
    int at = written_register(text);
    if (at < 0 || at >= 32) continue;
    if (multiplies(text) && !written[at]) return true;
    written[at] = true;
  }
  return false;
}

static void check_function(listing *l, const char *level, const char *name) {
  for (int i = 0; i < l->count; i++) {
    if (l->lines[i].target < 0 || l->lines[i].target > l->lines[i].address) continue;
    int start = i, products = 0, divisions = 0;
    bool innermost = true;
    while (start > 0 && l->lines[start].address > l->lines[i].target) start--;
    for (int n = start; n < i; n++) {
      const line *at = &l->lines[n];
      innermost &= !(at->target >= l->lines[i].target && at->target <= at->address);
      products += multiplies(at->text);
      divisions += !strncmp(at->text, "vdiv", 4);
    }
    // A loop that divides and holds no sums is an epilogue: the multiply-adds are those of exp.
    if (!innermost || !products || (divisions && !holds_sums(l, start, i))) continue;
    l->loops++;
    const char *spill = carried(l, start, i);
    cr_expect(!spill, "%s at %s: the loop at %lx carries a sum over the stack: %s", name, level,
              l->lines[start].address, spill);
  }
}

// Every function of the object, one after the other.
static int check_object(weir_arena *arena, const char *object, const char *level) {
  FILE *pipe = popen(weir_arena_printf(arena, "objdump -d --no-show-raw-insn '%s'", object), "r");
  cr_assert(pipe != NULL);
  listing l = {.arena = arena, .lines = malloc(MAX_LINES * sizeof *l.lines)};
  char text[512], name[256] = "";
  while (fgets(text, sizeof text, pipe)) {
    char *open = strchr(text, '<'), *colon = strchr(text, ':');
    if (text[0] != ' ' && open && strstr(open, ">:")) {
      if (!strncmp(name, "k_", 2)) check_function(&l, level, name);
      l.count = 0;
      l.frame = false;
      snprintf(name, sizeof name, "%.*s", (int)strcspn(open + 1, ">"), open + 1);
    } else if (text[0] == ' ' && colon && !strncmp(name, "k_", 2) && l.count < MAX_LINES) {
      char *rest = colon + 1 + strspn(colon + 1, " \t");
      rest[strcspn(rest, "#<\n")] = '\0';
      line *at = &l.lines[l.count++];
      *at = (line){weir_arena_strdup(arena, rest), strtol(text, NULL, 16), -1};
      if (*rest == 'j') at->target = strtol(rest + strcspn(rest, " \t"), NULL, 16);
      l.frame |= !strncmp(rest, "mov    %rsp,%rbp", 16);
    }
  }
  if (!strncmp(name, "k_", 2)) check_function(&l, level, name);
  cr_assert_eq(pclose(pipe), 0);
  free(l.lines);
  return l.loops;
}

static void check(void (*add)(weir_arena *, kernels *), const char *const *names, int levels) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  kernels k = {.count = 0};
  add(&rig.arena, &k);
  cg_cpu_isa isas[CPU_MAX_LEVELS];
  cg_cpu_object objects[CPU_MAX_LEVELS];
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES};
  for (int i = 0; i < levels; i++) {
    cpu_must(cg_cpu_isa_find(&rig.arena, names[i], &isas[i]));
    if (strcmp(isas[i].arch, "x86_64")) cr_skip_test("reads x86 assembly");
  }
  cpu_must(cg_cpu_compile(&rig.arena, k.list, k.count, isas, levels, &options, objects));
  for (int i = 0; i < levels; i++) {
    int loops = check_object(&rig.arena, objects[i].path, names[i]);
    fprintf(stderr, "%s: %d kernels, %d loops, compiled in %.1f s\n", names[i], k.count, loops, objects[i].seconds);
    cr_expect_gt(loops, k.count);
  }
  cpu_rig_deinit(&rig);
}

Test(cpu_spills, no_sum_leaves_its_register_in_an_inner_loop) {
  static const char *const names[] = {"cpu:x86-64-v3", "cpu:x86-64-v4"};
  check(add_floats, names, 2);
}

// Instructions of dot products are what "native" may have and the levels below have not.
Test(cpu_spills, nor_does_one_of_dot_products) {
  static const char *const names[] = {"cpu:native"};
  check(add_dots, names, 1);
}
