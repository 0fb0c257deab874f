// Reads models/zoo.json.
#include "compiler/driver/zoo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/plan/home.h"

static weir_status text_field(cli *c, const json_t *object, const char *key, const char **out) {
  const char *text = json_string_value(json_object_get(object, key));
  if (!text || !*text) return weir_status_make(WEIR_CODE_INVALID_DATA, "zoo.json: '%s' is missing or no text", key);
  *out = weir_arena_strdup(&c->arena, text);
  return WEIR_OK;
}

static weir_status read_file(cli *c, const json_t *object, zoo_file *out) {
  WEIR_TRY(text_field(c, object, "name", &out->name));
  WEIR_TRY(text_field(c, object, "member", &out->member));
  WEIR_TRY(text_field(c, object, "sha256", &out->sha256));
  out->bytes = json_integer_value(json_object_get(object, "bytes"));
  weir_hash hash;
  if (out->bytes <= 0 || !weir_hash_parse(out->sha256, &hash) || strchr(out->name, '/')) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "zoo.json: file '%s' is described wrongly", out->name);
  }
  return WEIR_OK;
}

static weir_status read_model(cli *c, const char *folder, const char *home, const json_t *object, zoo_model *out) {
  const char *file = NULL;
  WEIR_TRY(text_field(c, object, "name", &out->name));
  WEIR_TRY(text_field(c, object, "about", &out->about));
  WEIR_TRY(text_field(c, object, "license", &out->license));
  WEIR_TRY(text_field(c, object, "file", &file));
  out->text = weir_arena_printf(&c->arena, "%s/%s", folder, file);
  WEIR_TRY(text_field(c, object, "package", &out->package));
  WEIR_TRY(text_field(c, object, "version", &out->version));
  WEIR_TRY(text_field(c, object, "weights", &file));
  out->folder = weir_arena_printf(&c->arena, "%s/models/%s", home, out->name);
  out->weights = weir_arena_printf(&c->arena, "%s/%s", out->folder, file);
  const json_t *files = json_object_get(object, "files");
  out->file_count = (int)json_array_size(files);
  out->files = WEIR_NEW_ARRAY(&c->arena, zoo_file, out->file_count);
  for (int i = 0; i < out->file_count; i++) WEIR_TRY(read_file(c, json_array_get(files, (size_t)i), &out->files[i]));
  return WEIR_OK;
}

static weir_status read_all(cli *c, const char *folder, const char *home, const json_t *root, zoo *out) {
  const json_t *models = json_object_get(root, "models");
  out->count = (int)json_array_size(models);
  out->models = WEIR_NEW_ARRAY(&c->arena, zoo_model, out->count);
  for (int i = 0; i < out->count; i++) {
    WEIR_TRY(read_model(c, folder, home, json_array_get(models, (size_t)i), &out->models[i]));
  }
  return WEIR_OK;
}

weir_status zoo_read(cli *c, zoo *out_zoo) {
  *out_zoo = (zoo){0};
  const char *folder = NULL, *home = NULL;
  WEIR_TRY(plan_models_folder(&c->arena, &folder));
  WEIR_TRY(plan_home(&c->arena, &home));
  const char *path = weir_arena_printf(&c->arena, "%s/zoo.json", folder);
  char *text = NULL;
  size_t size = 0;
  WEIR_TRY(weir_file_read(path, 1 << 24, &text, &size));
  json_error_t error;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  free(text);
  if (!root)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "%s:%d:%d: %s", path, error.line, error.column, error.text);
  weir_status status = read_all(c, folder, home, root, out_zoo);
  json_decref(root);
  return status;
}

const zoo_model *zoo_find(const zoo *z, const char *name) {
  for (int i = 0; i < z->count; i++) {
    if (!strcmp(z->models[i].name, name)) return &z->models[i];
  }
  return NULL;
}

const zoo_model *zoo_find_text(const zoo *z, const char *path) {
  struct stat a, b;
  if (stat(path, &a) != 0) return NULL;
  for (int i = 0; i < z->count; i++) {
    if (stat(z->models[i].text, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev) return &z->models[i];
  }
  return NULL;
}

const char *zoo_nearest(const zoo *z, const char *name) {
  const char *names[64];
  int count = 0;
  while (count < z->count && count < 64) {
    names[count] = z->models[count].name;
    count++;
  }
  return lang_did_you_mean(name, names, count);
}

bool zoo_is_here(const zoo_model *model) {
  for (int i = 0; i < model->file_count; i++) {
    char path[4096];
    struct stat info;
    if (snprintf(path, sizeof path, "%s/%s", model->folder, model->files[i].name) >= (int)sizeof path) return false;
    if (stat(path, &info) != 0 || info.st_size != model->files[i].bytes) return false;
  }
  return true;
}
