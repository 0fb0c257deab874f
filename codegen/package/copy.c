// Section by section through the writer, so that a copy is laid out as every package is.
#include "codegen/package/copy.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/package/writer.h"
#include "runtime/base/arena.h"
#include "runtime/base/io.h"

enum { PIECE = 8 << 20 };

typedef struct {
  weir_arena *arena;
  const rt_package *from;
  const cg_copy_options *options;
  cg_package_writer *writer;
  bool beside;  // the copy's weights
} copying;

static weir_status cancel_check(const copying *c) {
  bool stop = c->options->cancel && __atomic_load_n(c->options->cancel, __ATOMIC_RELAXED);
  return stop ? weir_status_make(WEIR_CODE_CANCELLED, "interrupted") : WEIR_OK;
}

static weir_status section_copy(copying *c, const rt_section *section) {
  WEIR_TRY(cg_package_begin(c->writer, section->name));
  for (size_t at = 0; at < section->bytes; at += PIECE) {
    WEIR_TRY(cancel_check(c));
    size_t bytes = section->bytes - at < PIECE ? section->bytes - at : PIECE;
    WEIR_TRY(cg_package_append(c->writer, section->data + at, bytes));
  }
  return cg_package_end(c->writer);
}

static weir_status manifest_copy(copying *c, const rt_section *section) {
  bool moved = c->beside != (rt_package_weights_beside(c->from) != NULL);
  if (!moved && !c->options->without_code) return section_copy(c, section);
  json_error_t error;
  json_t *manifest = json_loadb((const char *)section->data, section->bytes, 0, &error);
  if (!manifest) return weir_status_make(WEIR_CODE_INVALID_DATA, "manifest: line %d: %s", error.line, error.text);
  json_object_del(manifest, "weights");
  if (c->beside) {
    char hex[WEIR_HASH_HEX_BYTES];
    const rt_section *weights = rt_package_weights(c->from);
    weir_hash_hex(&weights->hash, hex);
    json_object_set_new(manifest, "weights", json_pack("{s:s,s:I}", "hash", hex, "bytes", (json_int_t)weights->bytes));
  }
  if (c->options->without_code) json_object_set_new(manifest, "objects", json_array());
  char *text = json_dumps(manifest, JSON_INDENT(2));
  json_decref(manifest);
  if (!text) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "cannot write the manifest");
  weir_status status = cg_package_add(c->writer, RT_SECTION_MANIFEST, text, strlen(text));
  free(text);
  return status;
}

static bool begins_with(const char *text, const char *prefix) { return !strncmp(text, prefix, strlen(prefix)); }

// Weights stand before their index, inside.
static weir_status sections_copy(copying *c) {
  for (int i = 0; i < rt_package_section_count(c->from); i++) {
    const rt_section *section = rt_package_section(c->from, i);
    const char *entry;
    bool code = begins_with(section->name, RT_SECTION_OBJECT) || begins_with(section->name, RT_SECTION_KERNELS) ||
                (begins_with(section->name, RT_SECTION_PROGRAM) &&
                 rt_program_family(section->name + strlen(RT_SECTION_PROGRAM), &entry));
    if (code && c->options->without_code) continue;
    if (!strcmp(section->name, RT_SECTION_WEIGHTS)) continue;
    if (!strcmp(section->name, RT_SECTION_WEIGHTS_INDEX) && !c->beside)
      WEIR_TRY(section_copy(c, rt_package_weights(c->from)));
    WEIR_TRY(!strcmp(section->name, RT_SECTION_MANIFEST) ? manifest_copy(c, section) : section_copy(c, section));
  }
  return WEIR_OK;
}

static weir_status weights_write(copying *c, const char *path) {
  const rt_section *weights = rt_package_weights(c->from);
  weir_atomic_file file;
  weir_map there;
  if (weir_file_exists(path)) {
    WEIR_TRY(weir_map_open(path, &there));
    bool same = there.size == weights->bytes;
    weir_map_close(&there);
    if (same) return WEIR_OK;
  }
  WEIR_TRY(weir_atomic_file_open(path, &file));
  weir_status status = WEIR_OK;
  for (size_t at = 0; at < weights->bytes && !status; at += PIECE) {
    size_t bytes = weights->bytes - at < PIECE ? weights->bytes - at : PIECE;
    status = cancel_check(c);
    if (!status) status = weir_atomic_file_write(&file, weights->data + at, bytes);
  }
  if (!status) return weir_atomic_file_commit(&file);
  weir_atomic_file_discard(&file);
  return status;
}

// Puts the weights beside |to| before the package appears that needs them.
static weir_status beside_write(copying *c, const char *to, cg_copy_result *result) {
  const rt_section *weights = rt_package_weights(c->from);
  const char *slash = strrchr(to, '/');
  char hex[WEIR_HASH_HEX_BYTES];
  if (!weights) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "there are no weights to put beside it");
  WEIR_TRY(rt_package_check(c->from, weights));
  weir_hash_hex(&weights->hash, hex);
  result->weights_path = weir_arena_printf(c->arena, "%.*s%s.weights", slash ? (int)(slash - to + 1) : 0, to, hex);
  result->weights_bytes = weights->bytes;
  return weights_write(c, result->weights_path);
}

weir_status cg_package_copy(weir_arena *arena, const rt_package *from, const char *to, const cg_copy_options *options,
                            cg_copy_result *out_result) {
  copying c = {.arena = arena, .from = from, .options = options};
  bool was_beside = rt_package_weights_beside(from) != NULL;
  c.beside = options->weights == CG_WEIGHTS_BESIDE || (options->weights == CG_WEIGHTS_AS_THEY_ARE && was_beside);
  *out_result = (cg_copy_result){0};
  if (!c.beside && rt_package_weight_count(from) && !rt_package_weights(from))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the weights of the package were not opened");
  if (options->weights == CG_WEIGHTS_BESIDE) WEIR_TRY(beside_write(&c, to, out_result));
  WEIR_TRY(cg_package_create(to, &c.writer));
  if (options->key) cg_package_sign(c.writer, options->key);
  weir_status status = sections_copy(&c);
  if (!status) status = cancel_check(&c);
  if (!status) return cg_package_commit(c.writer, &out_result->bytes, NULL);
  cg_package_discard(c.writer);
  return status;
}
