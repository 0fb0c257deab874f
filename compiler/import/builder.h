// Private to compiler/import: a checkpoint under construction, shared by the readers of single formats.
//
// checkpoint.c makes a builder, adds files, lets the reader of their format append tensors and key-values, and
// finishes: sorts names, refuses duplicates and overlaps. A reader checks everything that its own format can get wrong.
#ifndef WEIR_COMPILER_IMPORT_BUILDER_H
#define WEIR_COMPILER_IMPORT_BUILDER_H

#include <jansson.h>

#include "compiler/import/checkpoint.h"

// Longest key or tensor name, and the deepest and largest JSON text that is handed to the JSON library.
enum { IMPORT_MAX_NAME = 65535, IMPORT_MAX_JSON = 32 << 20 };

typedef struct {
  weir_arena *arena;
  import_file *files;
  size_t file_count, file_capacity;
  import_tensor *tensors;
  size_t tensor_count, tensor_capacity;
  import_kv *kvs;
  size_t kv_count, kv_capacity;
} import_builder;

// Read file |file|, already mapped, of |builder|. Messages do not name the path: the caller does.
weir_status import_gguf_read(import_builder *builder, int file) WEIR_MUST_USE;
weir_status import_safetensors_read(import_builder *builder, int file) WEIR_MUST_USE;

// Whether bytes look like a safetensors file or one that was cut short: a '{' behind the 8 bytes of the header's
// length.
bool import_safetensors_detect(const uint8_t *data, size_t size);

// Parses |size| bytes of JSON that lie at |offset| of a file. INVALID_DATA if it is malformed, larger than
// IMPORT_MAX_JSON, nested deeper than |max_depth|, has a key twice or is no object. The caller releases |out_root|
// (json_decref).
weir_status import_json_parse(const char *text, size_t size, size_t offset, int max_depth,
                              json_t **out_root) WEIR_MUST_USE;

// A name of |length| bytes at |offset| as a NUL-terminated string. INVALID_DATA if it is too long or has control
// characters.
weir_status import_name_take(weir_arena *arena, const char *what, const char *name, size_t length, size_t offset,
                             const char **out_name) WEIR_MUST_USE;

// What a path means: the files to be read, in order, their format and, where an index names them, its map. The caller
// releases |weight_map| (json_decref), null or not, also after a failure.
typedef struct {
  const char **paths;
  size_t count, capacity;
  import_format format;
  json_t *weight_map;  // tensor name -> file name; null without an index
} import_sources;
weir_status import_sources_find(weir_arena *arena, const char *path, import_sources *out_sources) WEIR_MUST_USE;

// The folder of |path| with its slash; "" for none.
const char *import_folder_of(weir_arena *arena, const char *path);

// Makes a checkpoint of bytes in memory that stay valid while it is used: what open does once its one file is mapped.
// For tests.
weir_status import_checkpoint_from_memory(weir_arena *arena, const void *data, size_t size,
                                          import_checkpoint **out_checkpoint) WEIR_MUST_USE;

#endif
