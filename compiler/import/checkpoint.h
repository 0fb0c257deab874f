// Checkpoint: one interface over files of weights, GGUF (v2, v3) and safetensors (one file, or shards with or without
// an index).
//
// A checkpoint maps its files read-only and describes what lies in them: tensors (name, storage format, dims, bytes)
// and metadata. Everything is checked when it is opened: every count, length and offset against the file's size, names
// for duplicates, ranges for overlap; afterwards accessors cannot fail on hostile content. Nothing is decoded or copied
// but names and key-values.
//
// Ownership: structures live in the arena given to open; the mappings live until import_checkpoint_close, which must be
// called before the arena goes and after the last use of any tensor's |data|. A checkpoint is read-only after open and
// may be shared by threads, save import_checkpoint_hash (one thread at a time). Failures: NOT_FOUND (no such file),
// INVALID_DATA (malformed, or a number no version of the format knows; the message names the field and its byte
// offset), UNSUPPORTED (well-formed, but not read here: big endian, GGUF v1, one part of a split file), IO.
#ifndef WEIR_COMPILER_IMPORT_CHECKPOINT_H
#define WEIR_COMPILER_IMPORT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/blocks.h"
#include "runtime/base/hash.h"
#include "runtime/base/io.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMPORT_MAX_RANK 8

typedef enum { IMPORT_FORMAT_GGUF, IMPORT_FORMAT_SAFETENSORS } import_format;

// Bytes with a length; |data| also has a NUL behind it only where said so.
typedef struct {
  const char *data;
  size_t length;
} import_string;

typedef struct {
  const char *path;
  weir_map map;
} import_file;

typedef struct {
  const char *name;  // NUL-terminated, no control characters
  weir_storage storage;
  int rank;
  int64_t dims[IMPORT_MAX_RANK];  // row-major, outermost first (GGUF stores them the other way round)
  int64_t elements;
  const uint8_t *data;  // inside the mapping, |bytes| long, perhaps unaligned
  int64_t bytes;
  int file;         // index into |files|
  uint64_t offset;  // of |data| in that file
} import_tensor;

typedef enum {
  IMPORT_KV_INT,    // any integer type
  IMPORT_KV_FLOAT,  // f32 or f64
  IMPORT_KV_BOOL,
  IMPORT_KV_STRING,
} import_kv_type;

// One entry of the metadata: a value, or an array of values of one type.
typedef struct {
  const char *key;  // NUL-terminated, no control characters
  import_kv_type type;
  bool is_array;
  uint64_t count;                // 1 for a value that is no array
  uint32_t gguf_type;            // how GGUF stores the elements
  const uint8_t *raw;            // elements in the mapping (numbers and booleans)
  const import_string *strings;  // |count| of them (strings)
} import_kv;

typedef struct import_checkpoint {
  import_format format;
  const char *path;              // as given to open
  const import_tensor *tensors;  // in file order, shard by shard
  size_t tensor_count;
  const import_kv *kvs;  // in file order; safetensors: the strings of __metadata__
  size_t kv_count;
  const import_file *files;
  size_t file_count;
  // Files that lie in the same folder, null where there is none.
  const char *config_json;
  const char *tokenizer_json;
  const char *vocab_txt;
  struct import_index *index;  // private: sorted names, the hash once computed
} import_checkpoint;

// Opens a GGUF or safetensors file, a *.safetensors.index.json, or a folder that holds one of them (an index wins, then
// all *.safetensors files together, then GGUF: one file, or all parts of one split). The content decides, not the
// file's name.
weir_status import_checkpoint_open(weir_arena *arena, const char *path,
                                   import_checkpoint **out_checkpoint) WEIR_MUST_USE;
// A checkpoint of tensors that the caller has in memory, without metadata; names and data must stay valid while it is
// used. |path| is what messages call it. INVALID_DATA for a name given twice.
weir_status import_checkpoint_of_tensors(weir_arena *arena, const char *path, const import_tensor *tensors,
                                         size_t count, import_checkpoint **out_checkpoint) WEIR_MUST_USE;
// Unmaps the files. Null is allowed.
void import_checkpoint_close(import_checkpoint *checkpoint);

// Null if there is none of that name.
const import_tensor *import_checkpoint_tensor(const import_checkpoint *checkpoint, const char *name);
const import_kv *import_checkpoint_kv(const import_checkpoint *checkpoint, const char *key);

// BLAKE2b-256 of the file's bytes; of several files, of their hashes one after the other. Computed on the first call.
weir_status import_checkpoint_hash(import_checkpoint *checkpoint, weir_hash *out_hash) WEIR_MUST_USE;

// Values by key: false if the key is missing, is an array or has another type (an int is read as a float too, where
// asked for one; an unsigned value above INT64_MAX is no int). |out| is then left alone.
bool import_kv_get_int(const import_checkpoint *checkpoint, const char *key, int64_t *out_value);
bool import_kv_get_float(const import_checkpoint *checkpoint, const char *key, double *out_value);
bool import_kv_get_bool(const import_checkpoint *checkpoint, const char *key, bool *out_value);
bool import_kv_get_string(const import_checkpoint *checkpoint, const char *key, import_string *out_value);
// The array under |key| whose elements have type |type|; null if there is none.
const import_kv *import_kv_get_array(const import_checkpoint *checkpoint, const char *key, import_kv_type type);

// Elements, |at| < |kv->count|; the type must fit (int_at also reads booleans, float_at also integers).
int64_t import_kv_int_at(const import_kv *kv, uint64_t at);  // u64 above INT64_MAX: INT64_MAX
double import_kv_float_at(const import_kv *kv, uint64_t at);
bool import_kv_bool_at(const import_kv *kv, uint64_t at);
import_string import_kv_string_at(const import_kv *kv, uint64_t at);

#ifdef __cplusplus
}
#endif
#endif
