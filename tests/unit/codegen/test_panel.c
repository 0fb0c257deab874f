// Panels of every storage format: the weights that kernels decode equal what weir_storage_decode gives, in the
// interpreter (rounding as the machine does) and in compiled code. Zeros may differ in sign: kernels form d * q + b
// with one rounding.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "codegen/lower/panel.h"
#include "runtime/base/half.h"
#include "runtime/base/program.h"
#include "tests/common/scratch.h"

enum { ROWS = 20, COLS = 512, PANELS = 2 };

static const weir_storage storages[] = {WEIR_STORAGE_F32,  WEIR_STORAGE_F16,  WEIR_STORAGE_BF16, WEIR_STORAGE_Q8_0,
                                        WEIR_STORAGE_Q4_0, WEIR_STORAGE_Q4_1, WEIR_STORAGE_Q5_0, WEIR_STORAGE_Q5_1,
                                        WEIR_STORAGE_Q4_K, WEIR_STORAGE_Q5_K, WEIR_STORAGE_Q6_K, WEIR_STORAGE_W8};
enum { STORAGES = sizeof storages / sizeof *storages };

static uint64_t state = 88172645463325252ull;
static unsigned random_byte(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 32) & 255;
}

static void put_scale(unsigned char *at) {
  uint16_t half = weir_f32_to_f16(((float)random_byte() - 127.5f) / 256 * (random_byte() < 8 ? 1e-5f : 1));
  memcpy(at, &half, 2);
}

// Random blocks with finite scales, some of them subnormal, and what they mean.
static void make_rows(weir_storage storage, unsigned char *rows, int64_t row_bytes, float *values) {
  const weir_storage_desc *info = weir_storage_info(storage);
  for (int64_t i = 0; i < ROWS * row_bytes; i++) rows[i] = (unsigned char)random_byte();
  int64_t step = info->row_bytes ? row_bytes : info->block_bytes;
  for (unsigned char *block = rows; block < rows + ROWS * row_bytes; block += step) {
    if (info->row_bytes) {
      float scale = ((float)random_byte() - 127.5f) / 256;
      memcpy(block, &scale, sizeof scale);
    } else if (storage == WEIR_STORAGE_F32) {
      float value = (float)random_byte() / 7 - 17;
      memcpy(block, &value, 4);
    } else if (storage == WEIR_STORAGE_BF16) {
      block[1] = 0x3f;
    } else if (storage == WEIR_STORAGE_Q6_K) {
      put_scale(block + 208);
    } else {
      put_scale(block);
      if (storage == WEIR_STORAGE_Q4_1 || storage == WEIR_STORAGE_Q5_1 || info->block_elements == 256)
        put_scale(block + 2);
    }
  }
  for (int r = 0; r < ROWS; r++) {
    weir_status status = weir_storage_decode(storage, rows + r * row_bytes, COLS, values + r * COLS);
    cr_assert(!status, "%s", weir_status_message(status));
  }
}

static void *pack(weir_arena *arena, weir_storage storage, const unsigned char *rows, int64_t row_bytes) {
  int64_t bytes;
  cr_assert(cg_panel_bytes(storage, ROWS, COLS, &bytes));
  cr_assert_eq(bytes, PANELS * IR_LANES * row_bytes);
  uintptr_t at = ((uintptr_t)weir_arena_alloc(arena, (size_t)bytes + 64) + 63) & ~(uintptr_t)63;
  for (int panel = 0; panel < PANELS; panel++) {
    const void *of_panel[IR_LANES];
    for (int i = 0; i < IR_LANES; i++)
      of_panel[i] = panel * IR_LANES + i < ROWS ? rows + (panel * IR_LANES + i) * row_bytes : NULL;
    cg_panel_pack(storage, of_panel, COLS, (char *)at + panel * IR_LANES * row_bytes);
  }
  return (void *)at;
}

typedef struct {
  ir_kbuilder b;
  int y;
  const ir_kexpr *panel, *lane;
} walk;

static void store_weight(void *user, const ir_kexpr *k, const ir_kexpr *const *w) {
  walk *s = user;
  const ir_kexpr *row = ir_kb_add(&s->b, ir_kb_mul(&s->b, s->panel, ir_kb_int(&s->b, IR_LANES)), s->lane);
  ir_kb_store(&s->b, IR_KT_f32, s->y, ir_kb_add(&s->b, ir_kb_mul(&s->b, row, ir_kb_int(&s->b, COLS)), k), w[0]);
}

// y[row, k] of all rows, either panel by panel or element by element.
static ir_kernel *make_kernel(weir_arena *arena, weir_storage storage, bool single) {
  walk s;
  int64_t bytes;
  cr_assert(cg_panel_bytes(storage, ROWS, COLS, &bytes));
  ir_kb_init(&s.b, arena, weir_arena_printf(arena, "k_%s_%s", single ? "element" : "panel", weir_storage_name(storage)),
             "decodes");
  int w = ir_kb_add_buffer(&s.b, IR_KB_IN, "w", ir_kb_int(&s.b, bytes), -1);
  s.y = ir_kb_add_buffer(&s.b, IR_KB_OUT, "y", ir_kb_int(&s.b, 4 * PANELS * IR_LANES * COLS), -1);
  s.panel = ir_kb_set_grid(&s.b, ir_kb_int(&s.b, single ? ROWS : PANELS), "n");
  if (single) {
    const ir_kexpr *k = ir_kb_for(&s.b, IR_KR_LANES, "k", ir_kb_int(&s.b, 0), ir_kb_int(&s.b, COLS), 1);
    const ir_kexpr *x =
        cg_weight_element(&s.b, (cg_weight_format){.storage = storage, .layout = CG_LAYOUT_PANEL}, w, COLS, s.panel, k);
    ir_kb_store(&s.b, IR_KT_f32, s.y, ir_kb_add(&s.b, ir_kb_mul(&s.b, s.panel, ir_kb_int(&s.b, COLS)), k), x);
  } else {
    s.lane = ir_kb_for(&s.b, IR_KR_LANES, "l", ir_kb_int(&s.b, 0), ir_kb_int(&s.b, IR_LANES), 1);
    cg_panel_operand operand = {.buffer = w, .panel = s.panel};
    cg_panel_emit(&s.b, storage, COLS, &operand, 1, s.lane, ir_kb_int(&s.b, 0), ir_kb_int(&s.b, COLS), store_weight,
                  &s);
  }
  ir_kb_end(&s.b);
  ir_kernel *kernel = ir_kb_finish(&s.b);
  weir_status status = ir_kernel_verify(kernel);
  cr_assert(!status, "%s", weir_status_message(status));
  return kernel;
}

static void compare(const char *name, const char *how, const float *got, const float *values) {
  for (int i = 0; i < ROWS * COLS; i++)
    cr_assert(got[i] == values[i], "%s, %s: element %d is %.9g instead of %.9g", name, how, i, (double)got[i],
              (double)values[i]);
}

static rt_kernel_fn find(void *library, const char *symbol) {
  rt_kernel_fn fn;
  void *at = dlsym(library, symbol);
  cr_assert(at, "%s", symbol);
  memcpy(&fn, &at, sizeof fn);
  return fn;
}

Test(panel, kernels_decode_what_the_format_means) {
  weir_arena arena;
  weir_arena_init(&arena);
  const ir_kernel *kernels[2 * STORAGES];
  void *packed[STORAGES];
  float *values[STORAGES], *y = WEIR_NEW_ARRAY(&arena, float, PANELS *IR_LANES *COLS);
  for (int s = 0; s < STORAGES; s++) {
    int64_t row_bytes;
    cr_assert(!weir_storage_row_bytes(storages[s], COLS, &row_bytes));
    unsigned char *rows = weir_arena_alloc(&arena, (size_t)(ROWS * row_bytes));
    values[s] = WEIR_NEW_ARRAY(&arena, float, ROWS *COLS);
    make_rows(storages[s], rows, row_bytes, values[s]);
    packed[s] = pack(&arena, storages[s], rows, row_bytes);
    size_t bytes[2] = {(size_t)(PANELS * IR_LANES * row_bytes), 4 * PANELS * IR_LANES * COLS};
    for (int single = 0; single < 2; single++) {
      ir_kernel *kernel = make_kernel(&arena, storages[s], single);
      kernels[2 * s + single] = kernel;
      void *args[2] = {packed[s], y};
      ir_kinterpret_options options = {.round_f32 = true};
      weir_status status = ir_kernel_interpret_options(kernel, args, bytes, NULL, 0, single ? ROWS : PANELS, &options);
      cr_assert(!status, "%s", weir_status_message(status));
      compare(kernel->name, "interpreted", y, values[s]);
    }
  }
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = "-O1"};
  const char *const *level = cg_cpu_isa_names();
  for (; *level; level++) {
    cg_cpu_isa isa;
    weir_status status = cg_cpu_isa_find(&arena, weir_arena_printf(&arena, "cpu:%s", *level), &isa);
    if (status || !cg_cpu_isa_runs_here(&isa)) {
      weir_status_release(status);
      continue;
    }
    cg_cpu_object object;
    status = cg_cpu_compile(&arena, kernels, 2 * STORAGES, &isa, 1, &options, &object);
    cr_assert(!status, "%s", weir_status_message(status));
    void *library = dlopen(object.path, RTLD_NOW);
    cr_assert(library, "%s", dlerror());
    for (int i = 0; i < 2 * STORAGES; i++) {
      void *args[2] = {packed[i / 2], y};
      memset(y, 0xFF, 4 * PANELS * IR_LANES * COLS);
      find(library, kernels[i]->name)(args, NULL, 0, i % 2 ? ROWS : PANELS, NULL);
      compare(kernels[i]->name, *level, y, values[i / 2]);
    }
    dlclose(library);
  }
  weir_arena_deinit(&arena);
}

Test(panel, unsupported_storage_is_said) {
  cr_assert(!cg_panel_supports(WEIR_STORAGE_IQ2_XXS));
  int64_t bytes;
  cr_assert(!cg_panel_bytes(WEIR_STORAGE_Q4_1, 16, 33, &bytes));
  cr_assert(!cg_panel_bytes(WEIR_STORAGE_F32, INT64_MAX / 2, 1024, &bytes));
}
