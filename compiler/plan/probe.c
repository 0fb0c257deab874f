// A probe's package: code, programs, and weights whose values do not matter to a rate as long as they are numbers, and
// no zeros: zeros draw less power, so a chip computes them faster.
#include "compiler/plan/probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/cpu/compile.h"
#include "codegen/cuda/sim.h"
#include "codegen/package/writer.h"
#include "compiler/plan/home.h"
#include "runtime/device/cuda/device.h"
#include "runtime/package/format.h"

weir_status plan_device_target(weir_arena *arena, const char *device, const char *isa, const char **out_target) {
  rt_cuda_facts facts;
  *out_target = "sim";
  if (!strcmp(device, "sim")) return WEIR_OK;
  if (!isa) {
    WEIR_TRY(rt_cuda_describe_named(device, &facts));
    // Where a chip has code that only it runs, that is what its best kernels need.
    bool own = !strcmp(facts.arch, "sm_90") || !strcmp(facts.arch, "sm_100");
    isa = weir_arena_printf(arena, "%s%s", facts.arch, own ? "a" : "");
  }
  *out_target = weir_arena_printf(arena, "cuda:%s", isa);
  return WEIR_OK;
}

// ---- code

typedef struct {
  const char *isa, *features, *facts;  // |facts| null: of a processor
  const void *data;
  size_t bytes;
  weir_map map;  // where |data| lies, of a processor
} probe_code;

static weir_status compile_cpu(weir_arena *arena, const plan_probe *probe, probe_code *out) {
  cg_cpu_isa isa;
  cg_cpu_object object;
  cg_cpu_options options = {.cancel = probe->cancel};
  const char *target = probe->isa ? weir_arena_printf(arena, "cpu:%s", probe->isa) : "cpu";
  WEIR_TRY(plan_home_folder(arena, "objects", &options.cache_dir));
  WEIR_TRY(cg_cpu_isa_find(arena, target, &isa));
  WEIR_TRY(cg_cpu_compile(arena, probe->kernels, probe->kernel_count, &isa, 1, &options, &object));
  WEIR_TRY(weir_map_open(object.path, &out->map));
  out->isa = isa.name;
  out->features = isa.features;
  out->data = out->map.data;
  out->bytes = out->map.size;
  return WEIR_OK;
}

static weir_status compile_device(weir_arena *arena, const plan_probe *probe, probe_code *out) {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  cg_cuda_object *object = weir_arena_alloc(arena, sizeof *object);
  cg_cuda_options options = {.cancel = probe->cancel};
  const char *target;
  int count;
  WEIR_TRY(plan_home_folder(arena, "objects", &options.cache_dir));
  WEIR_TRY(plan_device_target(arena, probe->device, probe->isa, &target));
  if (!strcmp(target, "sim")) {
    WEIR_TRY(cg_cuda_sim_compile(arena, probe->kernels, probe->kernel_count, &options, object));
  } else {
    cg_cuda_built built;
    WEIR_TRY(cg_cuda_archs_find(target, archs, &count));
    WEIR_TRY(cg_cuda_compile(arena, probe->kernels, probe->kernel_count, archs, 1, &options, &built));
    *object = built.objects[0];
  }
  *out = (probe_code){.isa = object->arch,
                      .features = strcmp(target, "sim") ? "cuda" : "sim",
                      .facts = object->facts,
                      .data = object->data,
                      .bytes = object->bytes};
  return WEIR_OK;
}

// ---- weights

static float next_float(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

// Sixteen random rows as one panel.
static weir_status panel_make(const cg_weight *w, uint8_t *out) {
  int64_t cols = w->dims[w->rank - 1], row_bytes;
  const void *rows[IR_LANES];
  uint64_t state = 7;
  WEIR_TRY(weir_storage_row_bytes(w->format.storage, cols, &row_bytes));
  float *row = malloc((size_t)cols * sizeof *row);
  uint8_t *packed = malloc((size_t)row_bytes * IR_LANES);
  weir_status status = row && packed ? WEIR_OK : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a panel");
  for (int i = 0; i < IR_LANES && !status; i++) {
    for (int64_t k = 0; k < cols; k++) row[k] = next_float(&state);
    uint8_t *place = packed + i * row_bytes;
    if (weir_storage_info(w->format.storage)->can_encode)
      status = weir_storage_encode(w->format.storage, row, cols, place);
    else memset(place, 0x21 + i, (size_t)row_bytes);  // small numbers in every format of blocks
    rows[i] = place;
  }
  if (!status && w->format.layout == CG_LAYOUT_PAIRS) cg_panel_pack_pairs(rows, cols, out);
  else if (!status) cg_panel_pack(w->format.storage, rows, cols, out);
  free(packed);
  free(row);
  return status;
}

// The first panel again and again: what a row holds does not matter to the rate. Plain weights are small numbers.
static weir_status weight_fill(const cg_weight *w, uint8_t *out) {
  uint64_t state = 7;
  if (!cg_is_panel(w->format)) {
    bool floats = w->format.storage == WEIR_STORAGE_F32;
    for (int64_t i = 0; floats && i < w->bytes / 4; i++) {
      float value = next_float(&state);
      memcpy(out + 4 * i, &value, sizeof value);
    }
    if (!floats) memset(out, 0, (size_t)w->bytes);
    return WEIR_OK;
  }
  int64_t panel;
  if (!cg_panel_bytes(w->format.storage, IR_LANES, w->dims[w->rank - 1], &panel) || panel > w->bytes)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "weight '%s' is too large", w->key);
  WEIR_TRY(panel_make(w, out));
  for (int64_t at = panel; at + panel <= w->bytes; at += panel) memcpy(out + at, out, (size_t)panel);
  return WEIR_OK;
}

static weir_status weight_write(weir_arena *arena, cg_package_writer *writer, const cg_weight *w) {
  uint8_t *data = calloc((size_t)w->bytes + 1, 1);
  const char *dims = "-";
  if (!data) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for weight '%s'", w->key);
  for (int i = 0; i < w->rank; i++)
    dims = weir_arena_printf(arena, "%s%s%lld", i ? dims : "", i ? "x" : "", (long long)w->dims[i]);
  weir_status status = weight_fill(w, data);
  if (!status)
    status = cg_package_weight(writer, w->key, weir_storage_name(w->format.storage), cg_layout_name(w->format.layout),
                               dims, data, (size_t)w->bytes);
  free(data);
  return status;
}

// ---- the package

static weir_status manifest_write(weir_arena *arena, cg_package_writer *writer, const plan_probe *probe,
                                  const probe_code *code) {
  const char *entries = "";
  for (int i = 0; i < probe->program_count; i++)
    entries = weir_arena_printf(arena, "%s%s\"%s\"", entries, i ? ", " : "", probe->programs[i]->name);
  const char *text = weir_arena_printf(
      arena,
      "{\"format\": %d, \"model\": \"%s\", \"entries\": [%s], \"objects\": [{\"isa\": \"%s\", \"features\": \"%s\"}]}",
      RT_PACKAGE_VERSION, probe->name, entries, code->isa, code->features);
  return cg_package_add(writer, RT_SECTION_MANIFEST, text, strlen(text));
}

static weir_status sections_write(weir_arena *arena, cg_package_writer *writer, const plan_probe *probe,
                                  const probe_code *code) {
  WEIR_TRY(manifest_write(arena, writer, probe, code));
  for (int i = 0; i < probe->program_count; i++) {
    const char *text = rt_program_print(arena, probe->programs[i]);
    const char *name = weir_arena_printf(arena, RT_SECTION_PROGRAM "%s", probe->programs[i]->name);
    WEIR_TRY(cg_package_add(writer, name, text, strlen(text)));
  }
  const char *object = weir_arena_printf(arena, RT_SECTION_OBJECT "%s", code->isa);
  WEIR_TRY(cg_package_add(writer, object, code->data, code->bytes));
  if (code->facts)
    WEIR_TRY(cg_package_add(writer, weir_arena_printf(arena, "%s.facts", object), code->facts, strlen(code->facts)));
  if (!probe->weight_count) return WEIR_OK;
  WEIR_TRY(cg_package_weights_begin(writer));
  for (int i = 0; i < probe->weight_count; i++) WEIR_TRY(weight_write(arena, writer, &probe->weights[i]));
  return cg_package_weights_end(writer);
}

static weir_status package_write(weir_arena *arena, const char *path, const plan_probe *probe, const probe_code *code) {
  cg_package_writer *writer;
  WEIR_TRY(cg_package_create(path, &writer));
  weir_status status = sections_write(arena, writer, probe, code);
  if (!status) return cg_package_commit(writer, NULL, NULL);
  cg_package_discard(writer);
  return status;
}

weir_status plan_probe_load(weir_arena *arena, const plan_probe *probe, weir_model **out_model) {
  bool apart = probe->device && strcmp(probe->device, "cpu");
  probe_code code = {0};
  const char *folder;
  *out_model = NULL;
  WEIR_TRY(plan_home_folder(arena, "packages", &folder));
  const char *path = weir_arena_printf(arena, "%s/probe-%s-%lld.wpk", folder, probe->name, (long long)getpid());
  weir_status status = apart ? compile_device(arena, probe, &code) : compile_cpu(arena, probe, &code);
  if (!status) status = package_write(arena, path, probe, &code);
  weir_map_close(&code.map);
  weir_load_options options = {.device = probe->device, .isa = code.isa};
  if (!status) status = weir_model_load(path, &options, out_model);
  unlink(path);
  return status;
}
