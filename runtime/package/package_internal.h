// What the files of this folder share about an open package.
#ifndef WEIR_RUNTIME_PACKAGE_PACKAGE_INTERNAL_H
#define WEIR_RUNTIME_PACKAGE_PACKAGE_INTERNAL_H

#include <jansson.h>

#include "runtime/base/io.h"
#include "runtime/package/package.h"
#include "runtime/package/weights_index.h"

struct rt_package {
  weir_pool pool;  // this struct and everything but the index
  rt_package_options options;
  const char *folder;  // of the package's file; null: it was opened from memory
  weir_map map;        // cleared if the memory is the caller's
  const uint8_t *data;
  size_t bytes;  // without the signature
  uint32_t version;
  weir_hash identity;
  rt_package_signature signature;
  bool is_signed;
  rt_section *sections;
  int section_count;
  json_t *manifest;  // strings below are its
  const char *model_name;
  const char **entries;
  int entry_count;
  rt_package_object *objects;
  int object_count;
  rt_weights_index index;
  const rt_section *weights;  // null if there are none
  // Weights beside.
  bool is_beside;
  weir_hash beside_hash;
  size_t beside_bytes;
  const char *beside_path;
  weir_map beside_map;
  rt_section beside;
};

// Reads the manifest into |package|. INVALID_DATA: not JSON, fields of a wrong kind, entries or objects without their
// section or the other way round.
weir_status rt_manifest_read(rt_package *package) WEIR_MUST_USE;

// ---- beside.c: finds and maps the file of weights that the manifest names; |package->weights| is then set, unless the
// options say without.
weir_status rt_beside_open(rt_package *package) WEIR_MUST_USE;

#endif
