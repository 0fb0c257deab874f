// Finding the real models' tokenizers for the tests that want them, and reading what a GGUF file says about its
// tokenizer.
//
// Models lie below $WEIR_HOME/models (default $XDG_CACHE_HOME/weir, then ~/.cache/weir). A test that finds none skips.
// The reader here knows metadata alone and trusts its file; the importer is tested elsewhere.
#ifndef WEIR_TESTS_UNIT_TEXT_MODELS_H
#define WEIR_TESTS_UNIT_TEXT_MODELS_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/text/tokenizer.h"

#define OK(expr)                                                        \
  do {                                                                  \
    weir_status status_ = (expr);                                       \
    cr_assert(!status_, "%s: %s", #expr, weir_status_message(status_)); \
  } while (0)

static inline char *read_whole(const char *path, size_t *out_size) {
  FILE *file = fopen(path, "rb");
  cr_assert(file, "cannot open %s", path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *bytes = malloc((size_t)size + 1);
  cr_assert_eq(fread(bytes, 1, (size_t)size, file), (size_t)size);
  bytes[size] = 0;
  fclose(file);
  *out_size = (size_t)size;
  return bytes;
}

// ---- looking for a model

static const char *wanted_name, *wanted_folder;
static char found_path[4096];

static inline int visit(const char *path, const struct stat *info, int flag, struct FTW *at) {
  (void)info;
  if (flag != FTW_F || strcmp(path + at->base, wanted_name) || !strcasestr(path, wanted_folder)) return 0;
  snprintf(found_path, sizeof found_path, "%s", path);
  return 1;
}

// A file of this name whose path contains |folder|; null if there is none.
static inline const char *find_model(const char *name, const char *folder) {
  char root[2048];
  const char *home = getenv("WEIR_HOME"), *cache = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
  if (home) {
    snprintf(root, sizeof root, "%s/models/", home);
  } else if (cache) {
    snprintf(root, sizeof root, "%s/weir/models/", cache);
  } else {
    snprintf(root, sizeof root, "%s/.cache/weir/models/", user ? user : "");
  }
  wanted_name = name;
  wanted_folder = folder;
  return nftw(root, visit, 16, 0) == 1 ? found_path : NULL;
}

// ---- GGUF metadata

typedef struct {
  const char *at;
} gguf_cursor;

static inline uint64_t gguf_take(gguf_cursor *c, size_t bytes) {
  uint64_t value = 0;
  memcpy(&value, c->at, bytes);
  c->at += bytes;
  return value;
}

static inline text_view gguf_string(gguf_cursor *c) {
  size_t size = gguf_take(c, 8);
  text_view view = {c->at, size};
  c->at += size;
  return view;
}

static inline size_t gguf_size(uint64_t type) {
  static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return sizes[type];
}

static inline text_view *gguf_strings(gguf_cursor *c, size_t count) {
  text_view *views = malloc(count * sizeof *views);
  for (size_t i = 0; i < count; i++) views[i] = gguf_string(c);
  return views;
}

static inline bool key_is(text_view key, const char *name) {
  return key.size > 15 && key.size - 15 == strlen(name) && !memcmp(key.bytes, "tokenizer.ggml.", 15) &&
         !memcmp(key.bytes + 15, name, key.size - 15);
}

static inline void gguf_array(gguf_cursor *c, text_view key, text_gguf_vocab *out) {
  uint64_t type = gguf_take(c, 4);
  size_t count = gguf_take(c, 8);
  if (type == 8 && key_is(key, "tokens")) {
    out->tokens = gguf_strings(c, out->token_count = count);
  } else if (type == 8 && key_is(key, "merges")) {
    out->merges = gguf_strings(c, out->merge_count = count);
  } else if (type == 8) {
    for (size_t i = 0; i < count; i++) gguf_string(c);
  } else {
    if (key_is(key, "token_type")) out->token_types = memcpy(malloc(4 * count), c->at, 4 * count);
    c->at += count * gguf_size(type);
  }
}

static inline void gguf_value(gguf_cursor *c, text_gguf_vocab *out) {
  text_view key = gguf_string(c);
  uint64_t type = gguf_take(c, 4);
  if (type == 9) {
    gguf_array(c, key, out);
  } else if (type == 8) {
    text_view text = gguf_string(c);
    if (key_is(key, "model")) out->model = text;
    if (key_is(key, "pre")) out->pre = text;
    if (key.size == 23 && !memcmp(key.bytes, "tokenizer.chat_template", 23)) out->chat_template = text;
  } else {
    int64_t value = (int64_t)gguf_take(c, gguf_size(type));
    if (key_is(key, "bos_token_id")) out->bos_id = (int32_t)value;
    if (key_is(key, "eos_token_id")) out->eos_id = (int32_t)value;
    if (key_is(key, "unknown_token_id")) out->unk_id = (int32_t)value;
    if (key_is(key, "padding_token_id")) out->pad_id = (int32_t)value;
    if (key_is(key, "add_bos_token")) out->add_bos = value != 0;
    if (key_is(key, "add_eos_token")) out->add_eos = value != 0;
  }
}

// The description of the tokenizer in a GGUF file (whose metadata fits into its first 16 MiB).
static inline void describe_gguf(const char *path, text_buffer *out) {
  FILE *file = fopen(path, "rb");
  cr_assert(file, "cannot open %s", path);
  char *bytes = calloc(1, 16 << 20);
  cr_assert_gt(fread(bytes, 1, 16 << 20, file), 24);
  fclose(file);
  gguf_cursor c = {bytes + 16};
  text_gguf_vocab vocab;
  text_gguf_vocab_init(&vocab);
  for (uint64_t keys = gguf_take(&c, 8); keys; keys--) gguf_value(&c, &vocab);
  OK(text_description_from_gguf(&vocab, out));
  free((void *)vocab.tokens);
  free((void *)vocab.merges);
  free((void *)vocab.token_types);
  free(bytes);
}

// Null if the model is not there.
static inline text_tokenizer *open_smollm2(void) {
  const char *path = find_model("SmolLM2-135M-Instruct.Q4_1.gguf", "");
  if (!path) return NULL;
  text_buffer description = {0};
  text_tokenizer *tokenizer = NULL;
  describe_gguf(path, &description);
  OK(text_tokenizer_create(description.data, description.size, &tokenizer));
  text_buffer_deinit(&description);
  return tokenizer;
}

static inline text_tokenizer *open_minilm(void) {
  const char *path = find_model("tokenizer.json", "minilm");
  if (!path) return NULL;
  size_t size;
  char *json = read_whole(path, &size);
  text_buffer description = {0};
  text_tokenizer *tokenizer = NULL;
  OK(text_description_from_hf(json, size, NULL, 0, &description));
  OK(text_tokenizer_create(description.data, description.size, &tokenizer));
  text_buffer_deinit(&description);
  free(json);
  return tokenizer;
}

#endif
