// The tokenizer of a checkpoint, packed: from GGUF metadata, or from the tokenizer.json beside safetensors.
//
// Packing builds hash tables over the whole vocabulary, so the result is kept under the hash of everything it was made
// from.
#include "runtime/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"

enum { MAX_TOKENIZER_BYTES = 1 << 28, BLOB_VERSION = 1 };

typedef struct {
  char *data;
  size_t size;
} file_text;

static weir_status read_text(const char *path, file_text *out) {
  return weir_file_read(path, MAX_TOKENIZER_BYTES, &out->data, &out->size);
}

// ---- GGUF

static text_view text_of(const import_checkpoint *checkpoint, const char *key) {
  import_string value;
  if (!import_kv_get_string(checkpoint, key, &value)) return (text_view){0};
  return (text_view){value.data, value.length};
}

static int32_t id_of(const import_checkpoint *checkpoint, const char *key) {
  int64_t id;
  return import_kv_get_int(checkpoint, key, &id) && id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
}

static int flag_of(const import_checkpoint *checkpoint, const char *key) {
  bool flag;
  return import_kv_get_bool(checkpoint, key, &flag) ? flag : -1;
}

static const text_view *texts_of(weir_arena *arena, const import_checkpoint *checkpoint, const char *key,
                                 size_t *out_count) {
  const import_kv *kv = import_kv_get_array(checkpoint, key, IMPORT_KV_STRING);
  *out_count = 0;
  if (!kv) return NULL;
  text_view *views = WEIR_NEW_ARRAY(arena, text_view, kv->count);
  for (uint64_t i = 0; i < kv->count; i++) {
    import_string text = import_kv_string_at(kv, i);
    views[i] = (text_view){text.data, text.length};
  }
  *out_count = (size_t)kv->count;
  return views;
}

static weir_status describe_gguf(weir_arena *arena, const import_checkpoint *checkpoint, text_buffer *out) {
  text_gguf_vocab vocab;
  text_gguf_vocab_init(&vocab);
  vocab.model = text_of(checkpoint, "tokenizer.ggml.model");
  vocab.pre = text_of(checkpoint, "tokenizer.ggml.pre");
  vocab.tokens = texts_of(arena, checkpoint, "tokenizer.ggml.tokens", &vocab.token_count);
  vocab.merges = texts_of(arena, checkpoint, "tokenizer.ggml.merges", &vocab.merge_count);
  const import_kv *types = import_kv_get_array(checkpoint, "tokenizer.ggml.token_type", IMPORT_KV_INT);
  if (types && types->count == vocab.token_count) {
    int32_t *values = WEIR_NEW_ARRAY(arena, int32_t, types->count);
    for (uint64_t i = 0; i < types->count; i++) values[i] = (int32_t)import_kv_int_at(types, i);
    vocab.token_types = values;
  }
  vocab.bos_id = id_of(checkpoint, "tokenizer.ggml.bos_token_id");
  vocab.eos_id = id_of(checkpoint, "tokenizer.ggml.eos_token_id");
  vocab.eot_id = id_of(checkpoint, "tokenizer.ggml.eot_token_id");
  vocab.unk_id = id_of(checkpoint, "tokenizer.ggml.unknown_token_id");
  vocab.sep_id = id_of(checkpoint, "tokenizer.ggml.seperator_token_id");
  if (vocab.sep_id < 0) vocab.sep_id = id_of(checkpoint, "tokenizer.ggml.separator_token_id");
  vocab.cls_id = id_of(checkpoint, "tokenizer.ggml.cls_token_id");
  vocab.pad_id = id_of(checkpoint, "tokenizer.ggml.padding_token_id");
  vocab.mask_id = id_of(checkpoint, "tokenizer.ggml.mask_token_id");
  vocab.add_bos = flag_of(checkpoint, "tokenizer.ggml.add_bos_token");
  vocab.add_eos = flag_of(checkpoint, "tokenizer.ggml.add_eos_token");
  vocab.chat_template = text_of(checkpoint, "tokenizer.chat_template");
  return text_description_from_gguf(&vocab, out);
}

// ---- tokenizer.json

// tokenizer_config.json beside tokenizer.json, if it is there.
static weir_status read_config(weir_arena *arena, const char *tokenizer_json, file_text *out) {
  const char *slash = strrchr(tokenizer_json, '/');
  const char *path = weir_arena_printf(arena, "%.*stokenizer_config.json",
                                       slash ? (int)(slash - tokenizer_json + 1) : 0, tokenizer_json);
  return weir_file_exists(path) ? read_text(path, out) : WEIR_OK;
}

// ---- the blob

static weir_status make_blob(weir_arena *arena, const import_checkpoint *checkpoint, const file_text *json,
                             const file_text *config, text_buffer *out) {
  text_buffer description = {0};
  weir_status status = json->data
                           ? text_description_from_hf(json->data, json->size, config->data, config->size, &description)
                           : describe_gguf(arena, checkpoint, &description);
  if (!status) status = text_tokenizer_pack(description.data, description.size, out);
  text_buffer_deinit(&description);
  return weir_status_annotate(status, "tokenizer of '%s'", checkpoint->path);
}

static weir_status key_of(import_checkpoint *checkpoint, const file_text *json, const file_text *config,
                          char hex[WEIR_HASH_HEX_BYTES]) {
  weir_hasher hasher;
  weir_hash hash;
  weir_hasher_init(&hasher);
  weir_hasher_add_u64(&hasher, BLOB_VERSION);
  if (json->data) {
    weir_hasher_add(&hasher, json->data, json->size);
    weir_hasher_add_u64(&hasher, json->size);
    if (config->data) weir_hasher_add(&hasher, config->data, config->size);
  } else {
    WEIR_TRY(plan_checkpoint_hash(checkpoint, &hash));
    weir_hasher_add(&hasher, hash.bytes, sizeof hash.bytes);
  }
  weir_hasher_finish(&hasher, &hash);
  weir_hash_hex(&hash, hex);
  return WEIR_OK;
}

// A blob of the cache, if it is there and whole.
static bool cached_blob(const char *path, text_buffer *out) {
  file_text blob = {0};
  text_tokenizer *tokenizer = NULL;
  weir_status status = read_text(path, &blob);
  if (!status) status = text_tokenizer_open(blob.data, blob.size, &tokenizer);
  text_tokenizer_release(tokenizer);
  if (!status) status = text_buffer_append(out, blob.data, blob.size);
  bool found = !status;
  weir_status_release(status);
  free(blob.data);
  return found;
}

static weir_status find_or_make(weir_arena *arena, import_checkpoint *checkpoint, file_text *json, file_text *config,
                                text_buffer *out) {
  const char *folder = NULL;
  char hex[WEIR_HASH_HEX_BYTES];
  if (checkpoint->tokenizer_json && checkpoint->format != IMPORT_FORMAT_GGUF) {
    WEIR_TRY(read_text(checkpoint->tokenizer_json, json));
    WEIR_TRY(read_config(arena, checkpoint->tokenizer_json, config));
  } else if (!import_checkpoint_kv(checkpoint, "tokenizer.ggml.model")) {
    return WEIR_OK;
  }
  WEIR_TRY(key_of(checkpoint, json, config, hex));
  WEIR_TRY(plan_home_folder(arena, "tokenizers", &folder));
  const char *path = weir_arena_printf(arena, "%s/%s", folder, hex);
  if (cached_blob(path, out)) return WEIR_OK;
  WEIR_TRY(make_blob(arena, checkpoint, json, config, out));
  return weir_file_write_atomic(path, out->data, out->size);
}

weir_status plan_tokenizer(import_checkpoint *checkpoint, text_buffer *out_blob) {
  weir_arena arena;
  file_text json = {0}, config = {0};
  weir_arena_init(&arena);
  weir_status status = find_or_make(&arena, checkpoint, &json, &config, out_blob);
  free(json.data);
  free(config.data);
  weir_arena_deinit(&arena);
  return status;
}
