// Description of a tokenizer from what a GGUF file says about it. No file is read here.
//
// WordPiece vocabularies are rewritten on their way into GGUF: a first piece of a word has U+2581 in front and a
// continuation has nothing. The usual form, ## before continuations, is put back.
#include "runtime/text/description.h"
#include "runtime/text/pretokenizers.h"

void text_gguf_vocab_init(text_gguf_vocab *v) {
  *v = (text_gguf_vocab){.bos_id = -1,
                         .eos_id = -1,
                         .eot_id = -1,
                         .unk_id = -1,
                         .sep_id = -1,
                         .cls_id = -1,
                         .pad_id = -1,
                         .mask_id = -1,
                         .add_bos = -1,
                         .add_eos = -1};
}

static bool view_is(text_view view, const char *text) {
  return view.size == strlen(text) && !memcmp(view.bytes, text, view.size);
}

// GGUF: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
static text_token_type type_of(const text_gguf_vocab *v, size_t i) {
  static const text_token_type types[] = {TEXT_TOKEN_NORMAL, TEXT_TOKEN_NORMAL, TEXT_TOKEN_UNKNOWN, TEXT_TOKEN_CONTROL,
                                          TEXT_TOKEN_USER,   TEXT_TOKEN_UNUSED, TEXT_TOKEN_BYTE};
  int32_t type = v->token_types ? v->token_types[i] : 1;
  return type >= 1 && type <= 6 ? types[type] : TEXT_TOKEN_NORMAL;
}

static bool in_vocab(const text_gguf_vocab *v, int32_t id) { return id >= 0 && (size_t)id < v->token_count; }

static json_t *wordpiece_token(text_view token, text_token_type type) {
  static const char phantom_space[] = "\xE2\x96\x81";
  if (type != TEXT_TOKEN_NORMAL) return text_json_view(token);
  if (token.size >= 3 && !memcmp(token.bytes, phantom_space, 3)) return json_stringn(token.bytes + 3, token.size - 3);
  if (token.size >= 2 && token.bytes[0] == '[' && token.bytes[token.size - 1] == ']') return text_json_view(token);
  json_t *text = text_json_view(token), *joined = text ? json_sprintf("##%s", json_string_value(text)) : NULL;
  json_decref(text);
  return joined;
}

static weir_status put_tokens(const text_gguf_vocab *v, bool wordpiece, json_t *root) {
  json_t *tokens = json_array();
  text_buffer types = {0};
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < v->token_count && !status; i++) {
    text_token_type type = type_of(v, i);
    json_t *token = wordpiece ? wordpiece_token(v->tokens[i], type) : text_json_view(v->tokens[i]);
    if (json_array_append_new(tokens, token)) {
      status = weir_status_make(WEIR_CODE_INVALID_DATA, "token %zu of the vocabulary is not UTF-8", i);
    } else {
      status = text_buffer_put(&types, text_type_letter(type));
    }
  }
  json_object_set_new(root, "tokens", tokens);
  json_object_set_new(root, "types", text_json_view((text_view){types.data, types.size}));
  text_buffer_deinit(&types);
  return status;
}

static weir_status put_merges(const text_gguf_vocab *v, json_t *root) {
  json_t *merges = json_array();
  json_object_set_new(root, "merges", merges);
  for (size_t i = 0; i < v->merge_count; i++) {
    if (json_array_append_new(merges, text_json_view(v->merges[i]))) {
      return weir_status_make(WEIR_CODE_INVALID_DATA, "merge %zu of the vocabulary is not UTF-8", i);
    }
  }
  return WEIR_OK;
}

static void put_special(const text_gguf_vocab *v, bool wordpiece, json_t *root) {
  const struct {
    const char *name;
    int32_t id;
  } ids[] = {{"bos", v->bos_id}, {"eos", v->eos_id}, {"unk", v->unk_id},  {"sep", v->sep_id},
             {"cls", v->cls_id}, {"pad", v->pad_id}, {"mask", v->mask_id}};
  json_t *special = json_object();
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    if (in_vocab(v, ids[i].id)) json_object_set_new(special, ids[i].name, json_integer(ids[i].id));
  }
  for (size_t i = 0; wordpiece && !in_vocab(v, v->unk_id) && i < v->token_count; i++) {
    if (view_is(v->tokens[i], "[UNK]")) json_object_set_new(special, "unk", json_integer((json_int_t)i));
  }
  json_object_set_new(root, "special", special);
}

// What goes around a text: [CLS] and [SEP], or begin and end as far as the file asks for them.
static void put_frame(const text_gguf_vocab *v, bool wordpiece, bool default_bos, json_t *root) {
  int32_t first = wordpiece && in_vocab(v, v->cls_id) ? v->cls_id : v->bos_id;
  int32_t last = wordpiece && in_vocab(v, v->sep_id) ? v->sep_id : v->eos_id;
  bool add_first = v->add_bos < 0 ? wordpiece || default_bos : v->add_bos != 0;
  bool add_last = v->add_eos < 0 ? wordpiece : v->add_eos != 0;
  if (add_first && in_vocab(v, first)) json_object_set_new(root, "prefix", json_pack("[i]", first));
  if (add_last && in_vocab(v, last)) json_object_set_new(root, "suffix", json_pack("[i]", last));
}

static void put_stops(const text_gguf_vocab *v, json_t *root) {
  json_t *stops = json_array();
  if (in_vocab(v, v->eos_id)) json_array_append_new(stops, json_integer(v->eos_id));
  if (in_vocab(v, v->eot_id) && v->eot_id != v->eos_id) json_array_append_new(stops, json_integer(v->eot_id));
  for (size_t i = 0; i < v->token_count; i++) {
    text_token_type type = type_of(v, i);
    bool special = type == TEXT_TOKEN_CONTROL || type == TEXT_TOKEN_USER;
    if (!special || (int64_t)i == v->eos_id || (int64_t)i == v->eot_id || !text_is_stop_name(v->tokens[i])) continue;
    json_array_append_new(stops, json_integer((json_int_t)i));
  }
  json_object_set_new(root, "stop", stops);
}

static weir_status put_bpe(const text_gguf_vocab *v, const text_pretokenizer *pre, json_t *root) {
  json_object_set_new(root, "pre", json_string(pre->name));
  json_object_set_new(root, "ignore_merges", json_boolean(pre->ignore_merges));
  json_object_set_new(root, "normalizer", json_pack("{ss}", "form", text_form_name(pre->form)));
  return put_merges(v, root);
}

static void put_wordpiece(json_t *root) {
  json_object_set_new(root, "normalizer",
                      json_pack("{sbsbsbsb}", "clean", 1, "cjk_spaces", 1, "strip_accents", 1, "lowercase", 1));
  json_object_set_new(root, "max_word_chars", json_integer(100));
}

typedef enum { KIND_BPE, KIND_WORDPIECE, KIND_UNKNOWN } tokenizer_kind;

static tokenizer_kind kind_of(text_view name) {
#define TOKENIZER(text, kind) \
  if (view_is(name, text)) return KIND_##kind;
#include "models/tokenizers.def"
#undef TOKENIZER
  return KIND_UNKNOWN;
}

weir_status text_description_from_gguf(const text_gguf_vocab *v, text_buffer *out) {
  tokenizer_kind kind = kind_of(v->model);
  bool wordpiece = kind == KIND_WORDPIECE;
  if (kind == KIND_UNKNOWN) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer model '%.*s' is neither byte-level BPE nor WordPiece",
                            (int)(v->model.size < 40 ? v->model.size : 40), v->model.bytes ? v->model.bytes : "");
  }
  text_view name = v->pre.size ? v->pre : (text_view){"default", 7};
  const text_pretokenizer *pre = text_pretokenizer_find(name.bytes, name.size);
  if (!wordpiece && !pre) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "no pre-tokenizer is called '%.*s'",
                            (int)(name.size < 40 ? name.size : 40), name.bytes);
  }
  json_t *root = json_pack("{ssss}", "format", TEXT_DESCRIPTION_FORMAT, "kind", wordpiece ? "wordpiece" : "bpe");
  weir_status status = put_tokens(v, wordpiece, root);
  if (!status && !wordpiece) status = put_bpe(v, pre, root);
  if (wordpiece) put_wordpiece(root);
  put_special(v, wordpiece, root);
  put_frame(v, wordpiece, pre && !wordpiece && pre->add_bos, root);
  put_stops(v, root);
  if (v->chat_template.size && json_object_set_new(root, "chat_template", text_json_view(v->chat_template)) &&
      !status) {
    status = weir_status_make(WEIR_CODE_INVALID_DATA, "the chat template is not UTF-8");
  }
  if (!status) return text_json_write(root, out);
  json_decref(root);
  return status;
}
