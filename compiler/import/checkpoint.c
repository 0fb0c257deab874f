// Opening checkpoints: find the files, map them, let their format's reader describe them, then check what no single
// reader sees (names given twice, ranges that overlap, shards against their index) and build the order that lookups
// search.
//
// Names are found by binary search in a sorted array: no worse than logarithmic on names chosen to collide, and
// duplicates are neighbours.
#include "compiler/import/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/import/builder.h"

struct import_index {
  const import_tensor **tensors;  // by name
  const import_kv **kvs;          // by key
  bool mapped;                    // the files are ours to unmap
  bool hashed;
  weir_hash hash;
};

static int by_tensor_name(const void *a, const void *b) {
  return strcmp((*(const import_tensor *const *)a)->name, (*(const import_tensor *const *)b)->name);
}

static int by_key(const void *a, const void *b) {
  return strcmp((*(const import_kv *const *)a)->key, (*(const import_kv *const *)b)->key);
}

static int by_place(const void *a, const void *b) {
  const import_tensor *x = *(const import_tensor *const *)a, *y = *(const import_tensor *const *)b;
  if (x->file != y->file) return x->file < y->file ? -1 : 1;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static weir_status check_overlap(const import_tensor **order, size_t count) {
  qsort(order, count, sizeof *order, by_place);
  const import_tensor *last = NULL;  // the last that is not empty
  for (size_t i = 0; i < count; i++) {
    if (!order[i]->bytes) continue;
    if (last && last->file == order[i]->file && order[i]->offset < last->offset + (uint64_t)last->bytes)
      return weir_status_make(WEIR_CODE_INVALID_DATA, "tensors '%.80s' and '%.80s' overlap at byte %llu", last->name,
                              order[i]->name, (unsigned long long)order[i]->offset);
    last = order[i];
  }
  return WEIR_OK;
}

static weir_status sort_names(import_builder *builder, struct import_index *index) {
  const size_t tensors = builder->tensor_count, kvs = builder->kv_count;
  index->tensors = WEIR_NEW_ARRAY(builder->arena, const import_tensor *, tensors);
  for (size_t i = 0; i < tensors; i++) index->tensors[i] = &builder->tensors[i];
  WEIR_TRY(check_overlap(index->tensors, tensors));
  qsort(index->tensors, tensors, sizeof *index->tensors, by_tensor_name);
  for (size_t i = 1; i < tensors; i++)
    if (by_tensor_name(&index->tensors[i - 1], &index->tensors[i]) == 0)
      return weir_status_make(WEIR_CODE_INVALID_DATA, "tensor '%.80s' is given twice, at bytes %llu and %llu",
                              index->tensors[i]->name, (unsigned long long)index->tensors[i - 1]->offset,
                              (unsigned long long)index->tensors[i]->offset);
  index->kvs = WEIR_NEW_ARRAY(builder->arena, const import_kv *, kvs);
  for (size_t i = 0; i < kvs; i++) index->kvs[i] = &builder->kvs[i];
  qsort(index->kvs, kvs, sizeof *index->kvs, by_key);
  for (size_t i = 1; i < kvs; i++)
    if (by_key(&index->kvs[i - 1], &index->kvs[i]) == 0)
      return weir_status_make(WEIR_CODE_INVALID_DATA, "key '%.80s' is given twice", index->kvs[i]->key);
  return WEIR_OK;
}

static weir_status finish(import_builder *builder, import_format format, const char *path,
                          import_checkpoint **out_checkpoint) {
  struct import_index *index = WEIR_NEW(builder->arena, struct import_index);
  WEIR_TRY(sort_names(builder, index));
  import_checkpoint *checkpoint = WEIR_NEW(builder->arena, import_checkpoint);
  *checkpoint = (import_checkpoint){
      .format = format,
      .path = path,
      .tensors = builder->tensors,
      .tensor_count = builder->tensor_count,
      .kvs = builder->kvs,
      .kv_count = builder->kv_count,
      .files = builder->files,
      .file_count = builder->file_count,
      .index = index,
  };
  *out_checkpoint = checkpoint;
  return WEIR_OK;
}

// An integer among the key-values from |first| on; 0 if it is missing.
static int64_t find_int(const import_builder *builder, size_t first, const char *key) {
  for (size_t i = first; i < builder->kv_count; i++) {
    const import_kv *kv = &builder->kvs[i];
    if (!kv->is_array && kv->type == IMPORT_KV_INT && strcmp(kv->key, key) == 0) return import_kv_int_at(kv, 0);
  }
  return 0;
}

// Part |file| of |count| files, which must be what the part says of itself.
static weir_status read_gguf_part(import_builder *builder, int file, size_t count) {
  const size_t first = builder->kv_count;
  WEIR_TRY(import_gguf_read(builder, file));
  const int64_t parts = find_int(builder, first, "split.count"), number = find_int(builder, first, "split.no");
  if (count == 1 && parts > 1)
    return weir_status_make(WEIR_CODE_UNSUPPORTED,
                            "this is part %lld of %lld of one model; name the folder that holds all parts",
                            (long long)number + 1, (long long)parts);
  if (count > 1 && (parts != (int64_t)count || number != file))
    return weir_status_make(WEIR_CODE_INVALID_DATA,
                            "the folder's %zu GGUF files are not the parts of one model; name one file", count);
  return WEIR_OK;
}

static weir_status read_files(import_builder *builder, const import_sources *sources) {
  for (size_t i = 0; i < sources->count; i++) {
    import_file file = {.path = sources->paths[i]};
    WEIR_TRY(weir_map_open(file.path, &file.map));
    WEIR_PUSH(builder->arena, builder->files, builder->file_count, builder->file_capacity, file);
    const size_t first = builder->kv_count;
    weir_status status = sources->format == IMPORT_FORMAT_GGUF ? read_gguf_part(builder, (int)i, sources->count)
                                                               : import_safetensors_read(builder, (int)i);
    WEIR_TRY_CTX(status, "'%s'", file.path);
    // The metadata of the first file describes the model; later ones repeat it or say only their place.
    if (i > 0) builder->kv_count = first;
  }
  return WEIR_OK;
}

// Every tensor that the index names is in the shard that it names.
static weir_status check_weight_map(const import_checkpoint *checkpoint, const json_t *weight_map) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)weight_map, name, value) {
    const import_tensor *tensor = import_checkpoint_tensor(checkpoint, name);
    const char *path = tensor ? checkpoint->files[tensor->file].path : "";
    const char *slash = strrchr(path, '/');
    if (!tensor || strcmp(slash ? slash + 1 : path, json_string_value(value)) != 0)
      return weir_status_make(WEIR_CODE_INVALID_DATA, "weight_map: tensor '%.80s' is not in '%.80s'", name,
                              json_string_value(value));
  }
  return WEIR_OK;
}

static const char *beside(weir_arena *arena, const char *folder, const char *name) {
  const char *path = weir_arena_printf(arena, "%s%s", folder, name);
  return weir_file_exists(path) && !weir_is_dir(path) ? path : NULL;
}

static void find_companions(weir_arena *arena, import_checkpoint *checkpoint) {
  const char *folder = import_folder_of(arena, checkpoint->files[0].path);
  checkpoint->config_json = beside(arena, folder, "config.json");
  checkpoint->tokenizer_json = beside(arena, folder, "tokenizer.json");
  checkpoint->vocab_txt = beside(arena, folder, "vocab.txt");
}

weir_status import_checkpoint_open(weir_arena *arena, const char *path, import_checkpoint **out_checkpoint) {
  import_builder builder = {.arena = arena};
  import_sources sources;
  import_checkpoint *checkpoint = NULL;
  weir_status status = import_sources_find(arena, path, &sources);
  if (!status) status = read_files(&builder, &sources);
  if (!status)
    status = weir_status_annotate(finish(&builder, sources.format, weir_arena_strdup(arena, path), &checkpoint), "'%s'",
                                  path);
  if (!status && sources.weight_map)
    status = weir_status_annotate(check_weight_map(checkpoint, sources.weight_map), "'%s'", path);
  json_decref(sources.weight_map);
  if (status) {
    for (size_t i = 0; i < builder.file_count; i++) weir_map_close(&builder.files[i].map);
    return status;
  }
  checkpoint->index->mapped = true;
  find_companions(arena, checkpoint);
  *out_checkpoint = checkpoint;
  return WEIR_OK;
}

weir_status import_checkpoint_from_memory(weir_arena *arena, const void *data, size_t size,
                                          import_checkpoint **out_checkpoint) {
  import_builder builder = {.arena = arena};
  import_file file = {.path = "memory", .map = {data, size}};
  WEIR_PUSH(arena, builder.files, builder.file_count, builder.file_capacity, file);
  const bool gguf = size >= 4 && memcmp(data, "GGUF", 4) == 0;
  WEIR_TRY(gguf ? read_gguf_part(&builder, 0, 1) : import_safetensors_read(&builder, 0));
  return finish(&builder, gguf ? IMPORT_FORMAT_GGUF : IMPORT_FORMAT_SAFETENSORS, file.path, out_checkpoint);
}

weir_status import_checkpoint_of_tensors(weir_arena *arena, const char *path, const import_tensor *tensors,
                                         size_t count, import_checkpoint **out_checkpoint) {
  import_builder builder = {.arena = arena};
  uint64_t offset = 0;
  for (size_t i = 0; i < count; i++) {
    import_tensor tensor = tensors[i];
    tensor.file = 0;
    tensor.offset = offset;
    offset += (uint64_t)tensor.bytes;
    WEIR_PUSH(arena, builder.tensors, builder.tensor_count, builder.tensor_capacity, tensor);
  }
  return finish(&builder, IMPORT_FORMAT_SAFETENSORS, weir_arena_strdup(arena, path), out_checkpoint);
}

void import_checkpoint_close(import_checkpoint *checkpoint) {
  if (!checkpoint || !checkpoint->index->mapped) return;
  for (size_t i = 0; i < checkpoint->file_count; i++) {
    weir_map map = checkpoint->files[i].map;
    weir_map_close(&map);
  }
  checkpoint->index->mapped = false;
}

const import_tensor *import_checkpoint_tensor(const import_checkpoint *checkpoint, const char *name) {
  const import_tensor probe = {.name = name}, *key = &probe;
  const import_tensor **found =
      bsearch(&key, checkpoint->index->tensors, checkpoint->tensor_count, sizeof *found, by_tensor_name);
  return found ? *found : NULL;
}

const import_kv *import_checkpoint_kv(const import_checkpoint *checkpoint, const char *key) {
  const import_kv probe = {.key = key}, *pointer = &probe;
  const import_kv **found = bsearch(&pointer, checkpoint->index->kvs, checkpoint->kv_count, sizeof *found, by_key);
  return found ? *found : NULL;
}

weir_status import_checkpoint_hash(import_checkpoint *checkpoint, weir_hash *out_hash) {
  struct import_index *index = checkpoint->index;
  if (!index->hashed) {
    weir_hasher all;
    weir_hasher_init(&all);
    for (size_t i = 0; i < checkpoint->file_count; i++) {
      weir_hash_bytes(checkpoint->files[i].map.data, checkpoint->files[i].map.size, &index->hash);
      weir_hasher_add(&all, index->hash.bytes, WEIR_HASH_BYTES);
    }
    if (checkpoint->file_count != 1) weir_hasher_finish(&all, &index->hash);
    index->hashed = true;
  }
  *out_hash = index->hash;
  return WEIR_OK;
}
