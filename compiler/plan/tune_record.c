// Answers of searches in the cache, a small JSON file for each question and machine. A file that does not fit its
// question is as good as none.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/home.h"
#include "compiler/plan/tune.h"
#include "compiler/plan/version.h"

static weir_status path_of(weir_arena *arena, const plan_tune_place *place, const cg_question *question,
                           const char **out_path) {
  const char *folder = NULL, *texts[] = {WEIR_VERSION,     place->machine, place->features,    place->target,
                                         place->toolchain, question->key,  question->parameter};
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hasher hasher;
  weir_hash hash;
  WEIR_TRY(plan_home_folder(arena, "tuning", &folder));
  weir_hasher_init(&hasher);
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) weir_hasher_add_text(&hasher, texts[i]);
  weir_hasher_add_u64(&hasher, (uint64_t)place->threads);
  weir_hasher_add_u64(&hasher, (uint64_t)question->otherwise);
  for (int i = 0; i < question->candidate_count; i++) weir_hasher_add_u64(&hasher, (uint64_t)question->candidates[i]);
  weir_hasher_finish(&hasher, &hash);
  weir_hash_hex(&hash, hex);
  *out_path = weir_arena_printf(arena, "%s/%.32s.json", folder, hex);
  return WEIR_OK;
}

static bool is_text(const json_t *root, const char *key, const char *wanted) {
  const char *text = json_string_value(json_object_get(root, key));
  return text && !strcmp(text, wanted);
}

static bool read_answer(const json_t *root, const cg_question *question, int64_t *out_value, double *out_gain) {
  const json_t *value = json_object_get(root, "value"), *gain = json_object_get(root, "gain");
  if (!is_text(root, "key", question->key) || !is_text(root, "parameter", question->parameter)) return false;
  if (!json_is_integer(value) || !json_is_number(gain)) return false;
  *out_value = json_integer_value(value);
  *out_gain = json_number_value(gain);
  bool fits = *out_value == question->otherwise;
  for (int i = 0; i < question->candidate_count; i++) fits |= *out_value == question->candidates[i];
  return fits;
}

bool plan_tune_recall(const plan_tune_place *place, const cg_question *question, int64_t *out_value, double *out_gain) {
  enum { MOST_BYTES = 4096 };
  weir_arena arena;
  weir_arena_init(&arena);
  const char *path = NULL;
  char *text = NULL;
  size_t size = 0;
  json_error_t error;
  weir_status status = path_of(&arena, place, question, &path);
  if (!status) status = weir_file_read(path, MOST_BYTES, &text, &size);
  json_t *root = status ? NULL : json_loadb(text, size, 0, &error);
  bool found = root && read_answer(root, question, out_value, out_gain);
  json_decref(root);
  free(text);
  weir_status_release(status);
  weir_arena_deinit(&arena);
  return found;
}

void plan_tune_remember(const plan_tune_place *place, const cg_question *question, int64_t value, double gain) {
  weir_arena arena;
  weir_arena_init(&arena);
  const char *path = NULL;
  json_t *root = json_pack("{s:s,s:s,s:I,s:f,s:s}", "key", question->key, "parameter", question->parameter, "value",
                           (json_int_t)value, "gain", gain, "machine", place->machine);
  char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
  weir_status status = path_of(&arena, place, question, &path);
  if (!status && text) status = weir_file_write_atomic(path, text, strlen(text));
  weir_status_release(status);
  free(text);
  json_decref(root);
  weir_arena_deinit(&arena);
}
