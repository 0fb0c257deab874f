// A package becomes a model: its programs, its weights, and code from wherever it is. The package, its mapped weights
// and the parsed programs live as long as it.
#include "runtime/exec/from_package.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/topology.h"
#include "runtime/exec/exec_internal.h"
#include "runtime/package/signature.h"

typedef struct {
  const weir_allocator *allocator;
  rt_package *package;
  weir_arena arena;  // programs
  const rt_program **programs;
  size_t programs_bytes;
  rt_device *device;  // with memory apart; null: the host
  uint8_t *weights;   // there
  size_t weights_bytes;
  int64_t *places;  // of each weight of the package, in |weights|; -1: no program names it
} loaded;

static void loaded_destroy(void *context) {
  loaded *l = context;
  weir_arena_deinit(&l->arena);
  weir_free(l->allocator, l->programs, l->programs_bytes);
  weir_free(l->allocator, l->places, sizeof *l->places * (size_t)rt_package_weight_count(l->package));
  if (l->device) {
    l->device->ops->free(l->device, l->weights, l->weights_bytes);
    l->device->ops->destroy(l->device);
  }
  rt_package_close(l->package);
  weir_free(l->allocator, l, sizeof *l);
}

static weir_status weight_find(void *context, const char *path, int64_t bytes, const void **out_data) {
  const loaded *l = context;
  const rt_package_weight *weight = rt_package_weight_find(l->package, path);
  if (!weight) return weir_status_make(WEIR_CODE_INVALID_DATA, "not in the package");
  if (weight->bytes != bytes) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "%lld bytes, the program wants %lld", (long long)weight->bytes,
                            (long long)bytes);
  }
  *out_data = l->device ? l->weights + l->places[weight - rt_package_weight_at(l->package, 0)]
                        : rt_package_weight_data(l->package, weight);
  return WEIR_OK;
}

// ---- weights for a device with memory apart: those that programs name, in one block

// Places for all, and what is to be copied there.
static weir_status places_make(loaded *l, rt_piece *pieces, int *out_count) {
  int count = rt_package_weight_count(l->package);
  int64_t next = 0;
  for (int i = 0; i < count; i++) l->places[i] = -1;
  *out_count = 0;
  for (int e = 0; e < rt_package_entry_count(l->package); e++) {
    for (int k = 0; k < l->programs[e]->weight_count; k++) {
      const rt_package_weight *w = rt_package_weight_find(l->package, l->programs[e]->weights[k].path);
      if (!w || l->places[w - rt_package_weight_at(l->package, 0)] >= 0)
        continue;  // missing: said when it is looked up
      l->places[w - rt_package_weight_at(l->package, 0)] = next;
      pieces[(*out_count)++] =
          (rt_piece){(uint8_t *)(uintptr_t)next, rt_package_weight_data(l->package, w), (size_t)w->bytes};
      next += ((w->bytes + RT_SLACK_BYTES) | 255) + 1;  // their sum is less than the file, with room between
    }
  }
  l->weights_bytes = (size_t)next;
  return WEIR_OK;
}

static weir_status weights_upload(loaded *l) {
  weir_pool pool = {.allocator = l->allocator};
  rt_piece *pieces;
  int count = 0, all = rt_package_weight_count(l->package);
  WEIR_TRY(weir_alloc(l->allocator, sizeof *l->places * (size_t)all, 16, true, &l->places));
  weir_status status = weir_pool_array(&pool, (size_t)all, sizeof *pieces, &pieces);
  if (!status) status = places_make(l, pieces, &count);
  if (!status && count) {
    status = weir_status_annotate(l->device->ops->alloc(l->device, l->weights_bytes, &l->weights), "weights");
    for (int i = 0; !status && i < count; i++) pieces[i].to = l->weights + (uintptr_t)pieces[i].to;
    if (!status) status = l->device->ops->upload(l->device, pieces, count);
  }
  weir_pool_deinit(&pool);
  return status;
}

// ---- programs

// Of |family|, else of all devices, else of processors: that one is there, the manifest was checked against it.
static const rt_section *program_find(const loaded *l, const char *entry, const char *family, char *name,
                                      size_t bytes) {
  const char *const folders[] = {family, RT_SECTION_DEVICE, ""};
  const rt_section *section = NULL;
  for (int i = family ? 0 : 2; i < 3 && !section; i++) {
    snprintf(name, bytes, RT_SECTION_PROGRAM "%s%s", folders[i], entry);
    section = rt_package_find(l->package, name);
  }
  return section;
}

static weir_status programs_read(loaded *l, const char *family) {
  int count = rt_package_entry_count(l->package);
  l->programs_bytes = (size_t)count * sizeof *l->programs;
  WEIR_TRY(weir_alloc(l->allocator, l->programs_bytes, 16, true, &l->programs));
  for (int i = 0; i < count; i++) {
    const char *entry = rt_package_entry(l->package, i);
    char name[RT_PACKAGE_NAME_BYTES + 16];
    const rt_section *section = program_find(l, entry, family, name, sizeof name);
    WEIR_TRY(rt_package_check(l->package, section));
    rt_program *program;
    WEIR_TRY_CTX(rt_program_parse(&l->arena, (const char *)section->data, section->bytes, &program), "section '%s'",
                 name);
    if (strcmp(program->name, entry)) {
      return weir_status_make(WEIR_CODE_INVALID_DATA, "section '%s' holds entry '%s'", name, program->name);
    }
    l->programs[i] = program;
  }
  return WEIR_OK;
}

// Weights will be read soon; where there are several nodes of memory, they lie on all.
static void weights_prefetch(const rt_package *package) {
  rt_topology topology;
  const rt_section *weights = rt_package_weights(package);
  if (!weights || !weights->bytes) return;
  rt_topology_read("/sys", NULL, &topology);
  rt_memory_fetch(&topology, weights->data, weights->bytes);
}

// Nothing of the package has been used yet.
static weir_status key_require(const rt_package *package, const char *text) {
  rt_public_key key;
  if (!text) return WEIR_OK;
  WEIR_TRY(rt_public_key_parse(text, &key));
  WEIR_TRY(rt_signature_check(package, &key));
  return rt_package_verify(package);
}

static weir_status model_make(loaded *l, const weir_load_options *options, const rt_code_source *code,
                              weir_model **out_model) {
  rt_model_parts parts = {0};
  WEIR_TRY(key_require(l->package, options->require_key));
  WEIR_TRY(code->open(code->context, l->package, options->isa, l->allocator, &parts.provider, &parts.isa));
  weir_status status = programs_read(l, code->family ? code->family(parts.isa) : NULL);
  if (!status) weights_prefetch(l->package);
  if (!status && l->device) status = weights_upload(l);
  if (status) {
    parts.provider.destroy(parts.provider.context);
    return status;
  }
  parts.device = l->device;
  parts.name = rt_package_model_name(l->package);
  parts.programs = l->programs;
  parts.program_count = rt_package_entry_count(l->package);
  parts.find_weight = weight_find;
  parts.weight_context = l;  // destroyed by the caller until the model is made
  parts.identity = rt_package_identity(l->package);
  parts.allocator = l->allocator;
  WEIR_TRY(rt_model_create(&parts, out_model));
  (*out_model)->destroy_weights = loaded_destroy;
  return WEIR_OK;
}

weir_status rt_model_from_package(rt_package *package, const weir_load_options *options, const rt_code_source *code,
                                  weir_model **out_model) {
  const weir_allocator *allocator = options->allocator ? options->allocator : weir_allocator_system();
  loaded *l;
  weir_status status = weir_alloc(allocator, sizeof *l, 16, true, &l);
  if (status) {
    rt_package_close(package);
    if (code->device) code->device->ops->destroy(code->device);
    return status;
  }
  l->allocator = allocator;
  l->device = code->device;
  l->package = package;
  weir_arena_init(&l->arena);
  status = model_make(l, options, code, out_model);
  if (status) loaded_destroy(l);
  return status;
}
