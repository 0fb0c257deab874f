// The manifest: JSON text for people and tools; the runtime needs the names of the model, the entries and the code
// objects.
//
// Beside the program of an entry there may be some for families of devices, `program/cuda/ENTRY`, and beside an object
// facts about it, `object/ISA.facts`. Fields that it does not know are left to others (toolchain, hashes of inputs,
// facts about text), so that a package may say more than this reader understands. Every entry has a program and every
// program is an entry; the same of objects.
#include <string.h>

#include "runtime/package/package_internal.h"

static weir_status bad(const char *field, const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "manifest: '%s' %s", field, what);
}

const char *rt_program_family(const char *rest, const char **out_entry) {
  static const char *const families[] = {RT_SECTION_DEVICE, RT_SECTION_SM_90A};
  for (int i = 0; i < 2; i++) {
    size_t length = strlen(families[i]);
    *out_entry = rest + length;
    if (!strncmp(rest, families[i], length)) return families[i];
  }
  *out_entry = rest;
  return NULL;
}

// Sections that stand beside another one.
static bool is_beside(const char *rest) {
  const char *entry;
  size_t length = strlen(rest);
  return rt_program_family(rest, &entry) || (length > 6 && !strcmp(rest + length - 6, ".facts"));
}

static int family_count(const rt_package *package, const char *prefix) {
  int count = 0;
  for (int i = 0; i < package->section_count; i++) {
    const char *name = package->sections[i].name;
    count += !strncmp(name, prefix, strlen(prefix)) && !is_beside(name + strlen(prefix));
  }
  return count;
}

static const rt_section *family_find(const rt_package *package, const char *prefix, const char *name) {
  size_t length = strlen(prefix);
  for (int i = 0; i < package->section_count; i++) {
    const char *section = package->sections[i].name;
    if (!strncmp(section, prefix, length) && !strcmp(section + length, name)) return &package->sections[i];
  }
  return NULL;
}

static weir_status entries_read(rt_package *package) {
  const json_t *list = json_object_get(package->manifest, "entries");
  if (!json_is_array(list)) return bad("entries", "is no list");
  size_t count = json_array_size(list);
  if (count != (size_t)family_count(package, RT_SECTION_PROGRAM)) return bad("entries", "does not fit the programs");
  WEIR_TRY(weir_pool_array(&package->pool, count, sizeof *package->entries, &package->entries));
  for (size_t i = 0; i < count; i++) {
    const char *name = json_string_value(json_array_get(list, i));
    if (!name || !family_find(package, RT_SECTION_PROGRAM, name)) return bad("entries", "names one without a program");
    for (size_t k = 0; k < i; k++) {
      if (!strcmp(package->entries[k], name)) return bad("entries", "names one twice");
    }
    package->entries[package->entry_count++] = name;
  }
  return WEIR_OK;
}

static weir_status objects_read(rt_package *package) {
  const json_t *list = json_object_get(package->manifest, "objects");
  if (!json_is_array(list)) return bad("objects", "is no list");
  size_t count = json_array_size(list);
  if (count != (size_t)family_count(package, RT_SECTION_OBJECT)) return bad("objects", "does not fit the code objects");
  WEIR_TRY(weir_pool_array(&package->pool, count, sizeof *package->objects, &package->objects));
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(list, i);
    const json_t *features = json_object_get(item, "features");
    rt_package_object object = {.isa = json_string_value(json_object_get(item, "isa"))};
    if (!object.isa || (features && !json_is_string(features))) return bad("objects", "has one without a name");
    object.features = features ? json_string_value(features) : "";
    object.object = family_find(package, RT_SECTION_OBJECT, object.isa);
    if (!object.object) return bad("objects", "names one that is not there");
    for (size_t k = 0; k < i; k++) {
      if (package->objects[k].object == object.object) return bad("objects", "names one twice");
    }
    package->objects[package->object_count++] = object;
  }
  return WEIR_OK;
}

// "weights": {"hash": 64 digits, "bytes": N}: they are in a file of their own.
static weir_status beside_read(rt_package *package) {
  const json_t *weights = json_object_get(package->manifest, "weights");
  if (!weights) return WEIR_OK;
  const char *hash = json_string_value(json_object_get(weights, "hash"));
  const json_t *bytes = json_object_get(weights, "bytes");
  if (!hash || !weir_hash_parse(hash, &package->beside_hash)) return bad("weights", "has no hash");
  if (!json_is_integer(bytes) || json_integer_value(bytes) < 0) return bad("weights", "has no number of bytes");
  package->beside_bytes = (size_t)json_integer_value(bytes);
  package->is_beside = true;
  return WEIR_OK;
}

weir_status rt_manifest_read(rt_package *package) {
  const rt_section *section = rt_package_find(package, RT_SECTION_MANIFEST);
  if (!section) return weir_status_make(WEIR_CODE_INVALID_DATA, "no section 'manifest'");
  WEIR_TRY(rt_package_check(package, section));
  json_error_t error;
  package->manifest = json_loadb((const char *)section->data, section->bytes, JSON_REJECT_DUPLICATES, &error);
  if (!package->manifest) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "manifest: line %d: %s", error.line, error.text);
  }
  const json_t *format = json_object_get(package->manifest, "format");
  if (!json_is_integer(format)) return bad("format", "is no number");
  if (json_integer_value(format) != package->version) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "manifest: format %lld in a package of version %u",
                            (long long)json_integer_value(format), package->version);
  }
  package->model_name = json_string_value(json_object_get(package->manifest, "model"));
  if (!package->model_name) return bad("model", "is no text");
  WEIR_TRY(entries_read(package));
  WEIR_TRY(objects_read(package));
  return beside_read(package);
}
