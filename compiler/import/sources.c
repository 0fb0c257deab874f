// Which files a path means. A file is judged by its first bytes; a folder by what lies in it. An index is JSON with a
// "weight_map" from tensor names to the names of files beside it; those are names, never paths, so that an index cannot
// point out of its folder.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/import/builder.h"

enum { MAX_FILES = 4096, INDEX_DEPTH = 4 };

static bool ends_with(const char *text, const char *tail) {
  const size_t length = strlen(text), tail_length = strlen(tail);
  return length >= tail_length && strcmp(text + length - tail_length, tail) == 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static weir_status add_path(weir_arena *arena, import_sources *sources, const char *path) {
  if (sources->count == MAX_FILES)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s': more than %d files", path, MAX_FILES);
  WEIR_PUSH(arena, sources->paths, sources->count, sources->capacity, path);
  return WEIR_OK;
}

const char *import_folder_of(weir_arena *arena, const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? weir_arena_strndup(arena, path, (size_t)(slash - path) + 1) : "";
}

// Adds the distinct files of a weight map, sorted by name.
static weir_status add_shards(weir_arena *arena, const char *folder, json_t *weight_map, import_sources *sources) {
  const char *tensor, **names = NULL;
  size_t count = 0, capacity = 0;
  json_t *value;
  json_object_foreach(weight_map, tensor, value) {
    const char *name = json_string_value(value);
    if (!name || !*name || strchr(name, '/') || name[0] == '.')
      return weir_status_make(WEIR_CODE_INVALID_DATA, "weight_map '%.80s' is no plain file name", tensor);
    // Neighbours mostly share a file; sorting removes the other repeats.
    if (!count || strcmp(names[count - 1], name) != 0) WEIR_PUSH(arena, names, count, capacity, name);
  }
  if (!count) return weir_status_make(WEIR_CODE_INVALID_DATA, "weight_map is empty");
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
      WEIR_TRY(add_path(arena, sources, weir_arena_printf(arena, "%s%s", folder, names[i])));
  return WEIR_OK;
}

static weir_status read_index(weir_arena *arena, const char *path, import_sources *sources) {
  char *text;
  size_t size;
  WEIR_TRY(weir_file_read(path, IMPORT_MAX_JSON, &text, &size));
  json_t *root = NULL;
  weir_status status = import_json_parse(text, size, 0, INDEX_DEPTH, &root);
  free(text);
  if (status) return weir_status_annotate(status, "'%s'", path);
  json_t *weight_map = json_object_get(root, "weight_map");
  if (!json_is_object(weight_map))
    status = weir_status_make(WEIR_CODE_INVALID_DATA,
                              "neither GGUF nor safetensors, and no index: \"weight_map\" is missing");
  else status = add_shards(arena, import_folder_of(arena, path), weight_map, sources);
  if (!status) {
    sources->format = IMPORT_FORMAT_SAFETENSORS;
    sources->weight_map = json_incref(weight_map);
  }
  json_decref(root);
  return weir_status_annotate(status, "'%s'", path);
}

static weir_status find_in_file(weir_arena *arena, const char *path, import_sources *sources) {
  weir_map map;
  WEIR_TRY(weir_map_open(path, &map));
  const bool gguf = map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0;
  uint64_t length = UINT64_MAX;
  if (map.size >= sizeof length) memcpy(&length, map.data, sizeof length);
  const bool safetensors = import_safetensors_detect(map.data, map.size);
  // An index starts with '{' too: as a length that is larger than any file.
  size_t at = 0;
  while (at < map.size && (map.data[at] == ' ' || map.data[at] == '\n' || map.data[at] == '\r' || map.data[at] == '\t'))
    at++;
  const bool json = at < map.size && map.data[at] == '{' && length > map.size;
  weir_map_close(&map);
  if (!gguf && json) return read_index(arena, path, sources);
  if (!gguf && !safetensors)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' is neither GGUF nor safetensors", path);
  sources->format = gguf ? IMPORT_FORMAT_GGUF : IMPORT_FORMAT_SAFETENSORS;
  return add_path(arena, sources, path);
}

// Appends the names in |folder| that end with |tail|, as paths, sorted.
static weir_status list_folder(weir_arena *arena, const char *folder, const char *tail, import_sources *out_list) {
  DIR *dir = opendir(folder);
  if (!dir) return weir_status_errno(errno, "cannot open folder '%s'", folder);
  weir_status status = WEIR_OK;
  for (struct dirent *entry; !status && (entry = readdir(dir));)
    if (entry->d_name[0] != '.' && ends_with(entry->d_name, tail))
      status = add_path(arena, out_list,
                        weir_arena_printf(arena, "%s%s%s", folder, ends_with(folder, "/") ? "" : "/", entry->d_name));
  closedir(dir);
  if (out_list->count) qsort(out_list->paths, out_list->count, sizeof *out_list->paths, by_name);
  return status;
}

static weir_status find_in_folder(weir_arena *arena, const char *folder, import_sources *sources) {
  import_sources indexes = {0};
  WEIR_TRY(list_folder(arena, folder, ".safetensors.index.json", &indexes));
  if (indexes.count == 1) return read_index(arena, indexes.paths[0], sources);
  if (indexes.count > 1)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "folder '%s' has more than one index; name the file", folder);
  sources->format = IMPORT_FORMAT_SAFETENSORS;
  WEIR_TRY(list_folder(arena, folder, ".safetensors", sources));
  if (sources->count) return WEIR_OK;
  sources->format = IMPORT_FORMAT_GGUF;
  WEIR_TRY(list_folder(arena, folder, ".gguf", sources));
  if (sources->count) return WEIR_OK;
  return weir_status_make(WEIR_CODE_NOT_FOUND, "folder '%s' holds neither *.safetensors nor *.gguf", folder);
}

weir_status import_sources_find(weir_arena *arena, const char *path, import_sources *out_sources) {
  *out_sources = (import_sources){0};
  return weir_is_dir(path) ? find_in_folder(arena, path, out_sources) : find_in_file(arena, path, out_sources);
}
