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
} loaded;

static void loaded_destroy(void *context) {
  loaded *l = context;
  weir_arena_deinit(&l->arena);
  weir_free(l->allocator, l->programs, l->programs_bytes);
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
  *out_data = rt_package_weight_data(l->package, weight);
  return WEIR_OK;
}

static weir_status programs_read(loaded *l) {
  int count = rt_package_entry_count(l->package);
  l->programs_bytes = (size_t)count * sizeof *l->programs;
  WEIR_TRY(weir_alloc(l->allocator, l->programs_bytes, 16, true, &l->programs));
  for (int i = 0; i < count; i++) {
    const char *entry = rt_package_entry(l->package, i);
    char name[RT_PACKAGE_NAME_BYTES + 16];
    snprintf(name, sizeof name, RT_SECTION_PROGRAM "%s", entry);
    const rt_section *section = rt_package_find(l->package, name);  // the manifest was checked against the sections
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
  WEIR_TRY(programs_read(l));
  WEIR_TRY(code->open(code->context, l->package, options->isa, l->allocator, &parts.provider, &parts.isa));
  weights_prefetch(l->package);
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
    return status;
  }
  l->allocator = allocator;
  l->package = package;
  weir_arena_init(&l->arena);
  status = model_make(l, options, code, out_model);
  if (status) loaded_destroy(l);
  return status;
}
