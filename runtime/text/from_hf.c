// Description of a tokenizer from a Hugging Face tokenizer.json (and tokenizer_config.json).
//
// That format is a program of interchangeable parts. The parts we have are translated; anything else is UNSUPPORTED
// with its name, since leaving a part out would give other ids without a word.
#include <stdlib.h>

#include "runtime/text/description.h"

#define BYTE_LEVEL_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum { SEQUENCE_DEPTH = 8 };

typedef struct {
  json_t *file, *config;  // config may be null
  json_t *model;
  json_t *out;
  bool byte_level;
  int normal_stage;  // of the normaliser: the last step seen, in the order in which we work
} converter;

static weir_status unsupported(const char *what, const json_t *part) {
  const char *name = json_string_value(json_object_get(part, "type"));
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: %s '%.60s' is not supported", what,
                          name ? name : "(no type)");
}

static weir_status malformed(const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "tokenizer.json: %s", what);
}

static bool type_is(const json_t *part, const char *name) {
  const char *type = json_string_value(json_object_get(part, "type"));
  return type && !strcmp(type, name);
}

static bool flag(const json_t *part, const char *member, bool absent) {
  const json_t *value = json_object_get(part, member);
  return value ? json_is_true(value) : absent;
}

// ---- vocabulary

static weir_status note_token(json_t *tokens, char *types, size_t count, const json_t *id, json_t *text,
                              text_token_type type) {
  json_int_t at = json_is_integer(id) ? json_integer_value(id) : -1;
  if (at < 0 || (size_t)at >= count || !json_is_string(text))
    return malformed("a token without a text or with a bad id");
  json_array_set(tokens, (size_t)at, text);
  types[at] = text_type_letter(type);
  return WEIR_OK;
}

static weir_status fill_tokens(converter *c, json_t *tokens, char *types, size_t count) {
  const char *text;
  size_t length;
  json_t *id;
  json_object_keylen_foreach(json_object_get(c->model, "vocab"), text, length, id) {
    json_t *token = json_stringn(text, length);
    weir_status status = note_token(tokens, types, count, id, token, TEXT_TOKEN_NORMAL);
    json_decref(token);
    WEIR_TRY(status);
  }
  size_t i;
  json_t *added;
  json_array_foreach(json_object_get(c->file, "added_tokens"), i, added) {
    text_token_type type = flag(added, "special", false) ? TEXT_TOKEN_CONTROL : TEXT_TOKEN_USER;
    if (flag(added, "single_word", false))
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: single_word tokens are not supported");
    WEIR_TRY(note_token(tokens, types, count, json_object_get(added, "id"), json_object_get(added, "content"), type));
    json_t *left = json_object_get(c->out, "strip_left"), *right = json_object_get(c->out, "strip_right");
    if (flag(added, "lstrip", false)) json_array_append(left, json_object_get(added, "id"));
    if (flag(added, "rstrip", false)) json_array_append(right, json_object_get(added, "id"));
  }
  return WEIR_OK;
}

// One more than the largest id; gaps become unused tokens, within reason.
static weir_status count_tokens(const converter *c, size_t *out_count) {
  json_int_t last = -1;
  const char *text;
  json_t *id, *added;
  size_t i, given = 0;
  json_t *vocab = json_object_get(c->model, "vocab");
  if (!json_is_object(vocab)) return malformed("model.vocab is not an object");
  json_object_foreach(vocab, text, id) {
    if (json_integer_value(id) > last) last = json_integer_value(id);
    given++;
  }
  json_array_foreach(json_object_get(c->file, "added_tokens"), i, added) {
    json_int_t added_id = json_integer_value(json_object_get(added, "id"));
    if (added_id > last) last = added_id;
    given++;
  }
  if (last < 0 || last >= (json_int_t)TEXT_VOCAB_LIMIT || (size_t)last > 4 * given + 65536)
    return malformed("ids out of range");
  *out_count = (size_t)last + 1;
  return WEIR_OK;
}

static weir_status put_vocab(converter *c) {
  size_t count = 0;
  WEIR_TRY(count_tokens(c, &count));
  json_t *tokens = json_array(), *empty = json_string("");
  char *types = malloc(count);
  if (!types) {
    json_decref(tokens);
    json_decref(empty);
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu tokens", count);
  }
  memset(types, text_type_letter(TEXT_TOKEN_UNUSED), count);
  for (size_t i = 0; i < count; i++) json_array_append(tokens, empty);
  json_decref(empty);
  json_object_set_new(c->out, "strip_left", json_array());
  json_object_set_new(c->out, "strip_right", json_array());
  weir_status status = fill_tokens(c, tokens, types, count);
  json_object_set_new(c->out, "tokens", tokens);
  json_object_set_new(c->out, "types", json_stringn(types, count));
  free(types);
  return status;
}

// A merge is "left right" or ["left", "right"].
static weir_status put_merges(converter *c) {
  json_t *merges = json_array(), *rule;
  size_t i;
  json_object_set_new(c->out, "merges", merges);
  json_array_foreach(json_object_get(c->model, "merges"), i, rule) {
    const char *left, *right;
    if (json_is_string(rule)) {
      json_array_append(merges, rule);
    } else if (!json_unpack(rule, "[ss]", &left, &right)) {
      if (strchr(left, ' ') || strchr(right, ' '))
        return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: a merge with a space inside");
      json_array_append_new(merges, json_sprintf("%s %s", left, right));
    } else {
      return malformed("a merge is not a pair of strings");
    }
  }
  return WEIR_OK;
}

// ---- normaliser

// Our stages: 1 clean and ideographs, 2 normal form, 3 marks, 4 case.
static weir_status normalizer_stage(converter *c, int stage, const json_t *part) {
  if (stage < c->normal_stage || (stage == 2 && c->normal_stage == 2))
    return unsupported("order of the normaliser at", part);
  c->normal_stage = stage;
  return WEIR_OK;
}

static weir_status add_normalizer(converter *c, const json_t *part, int depth) {
  json_t *out = json_object_get(c->out, "normalizer");
  static const char *const forms[][2] = {{"NFC", "nfc"}, {"NFD", "nfd"}, {"NFKC", "nfkc"}, {"NFKD", "nfkd"}};
  if (!part || json_is_null(part)) return WEIR_OK;
  if (type_is(part, "Sequence") && depth < SEQUENCE_DEPTH) {
    size_t i;
    json_t *inner;
    json_array_foreach(json_object_get(part, "normalizers"), i, inner) WEIR_TRY(add_normalizer(c, inner, depth + 1));
    return WEIR_OK;
  }
  if (type_is(part, "BertNormalizer")) {
    bool lower = flag(part, "lowercase", true);
    const json_t *strip = json_object_get(part, "strip_accents");
    WEIR_TRY(normalizer_stage(c, 1, part));
    c->normal_stage = 4;
    json_object_set_new(out, "clean", json_boolean(flag(part, "clean_text", true)));
    json_object_set_new(out, "cjk_spaces", json_boolean(flag(part, "handle_chinese_chars", true)));
    json_object_set_new(out, "strip_accents",
                        json_boolean(strip && !json_is_null(strip) ? json_is_true(strip) : lower));
    json_object_set_new(out, "lowercase", json_boolean(lower));
    return WEIR_OK;
  }
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    if (!type_is(part, forms[i][0])) continue;
    WEIR_TRY(normalizer_stage(c, 2, part));
    json_object_set_new(out, "form", json_string(forms[i][1]));
    return WEIR_OK;
  }
  bool lower = type_is(part, "Lowercase");
  bool nfd = !strcmp(
      json_string_value(json_object_get(out, "form")) ? json_string_value(json_object_get(out, "form")) : "", "nfd");
  if (!lower && !(type_is(part, "StripAccents") && nfd)) return unsupported("normaliser", part);
  WEIR_TRY(normalizer_stage(c, lower ? 4 : 3, part));
  json_object_set_new(out, lower ? "lowercase" : "strip_accents", json_true());
  return WEIR_OK;
}

// ---- pre-tokenizer

static weir_status add_step(converter *c, text_view pattern, const char *split, bool invert) {
  json_t *step = json_pack("{sssosb}", "split", split, "pattern", text_json_view(pattern), "invert", invert);
  if (!step) return malformed("a pattern is not UTF-8");
  json_array_append_new(json_object_get(c->out, "pre"), step);
  return WEIR_OK;
}

static weir_status add_split(converter *c, const json_t *part) {
  const char *behavior = json_string_value(json_object_get(part, "behavior"));
  const json_t *pattern = json_object_get(part, "pattern");
  const json_t *regex = json_object_get(pattern, "Regex"), *literal = json_object_get(pattern, "String");
  static const char *const splits[][2] = {
      {"Isolated", "isolated"}, {"Removed", "removed"}, {"Contiguous", "contiguous"}};
  const char *split = NULL;
  for (size_t i = 0; behavior && i < 3; i++) {
    if (!strcmp(behavior, splits[i][0])) split = splits[i][1];
  }
  if (!split)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: split behavior '%.40s'", behavior ? behavior : "");
  bool invert = flag(part, "invert", false);
  if (json_is_string(regex)) return add_step(c, text_json_text(regex), split, invert);
  if (!json_is_string(literal)) return malformed("a Split without a pattern");
  text_buffer quoted = {0};
  text_view text = text_json_text(literal);
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < text.size && !status; i++) {
    if (strchr("\\^$.[]|()?*+{}-#", text.bytes[i]) && text.bytes[i]) status = text_buffer_put(&quoted, '\\');
    if (!status) status = text_buffer_put(&quoted, text.bytes[i]);
  }
  if (!status) status = add_step(c, (text_view){quoted.data, quoted.size}, split, invert);
  text_buffer_deinit(&quoted);
  return status;
}

static weir_status add_pretokenizer(converter *c, const json_t *part, int depth) {
  if (type_is(part, "Sequence") && depth < SEQUENCE_DEPTH) {
    size_t i;
    json_t *inner;
    json_array_foreach(json_object_get(part, "pretokenizers"), i, inner)
        WEIR_TRY(add_pretokenizer(c, inner, depth + 1));
    return WEIR_OK;
  }
  if (c->byte_level) return unsupported("pre-tokenizer behind ByteLevel", part);
  if (type_is(part, "Split")) return add_split(c, part);
  if (type_is(part, "Digits")) {
    return add_step(c, (text_view){"\\p{N}", 5}, flag(part, "individual_digits", false) ? "isolated" : "contiguous",
                    false);
  }
  if (!type_is(part, "ByteLevel")) return unsupported("pre-tokenizer", part);
  c->byte_level = true;
  if (flag(part, "add_prefix_space", true)) {
    if (json_array_size(json_object_get(c->out, "pre"))) return unsupported("add_prefix_space behind a split in", part);
    json_object_set_new(c->out, "prefix_space", json_true());
  }
  if (flag(part, "use_regex", true))
    return add_step(c, (text_view){BYTE_LEVEL_PATTERN, strlen(BYTE_LEVEL_PATTERN)}, "isolated", false);
  return WEIR_OK;
}

// ---- what goes around a text

static int32_t find_token(const converter *c, const json_t *text) {
  size_t i;
  json_t *token;
  if (json_is_object(text)) text = json_object_get(text, "content");
  if (!json_is_string(text)) return -1;
  json_array_foreach(json_object_get(c->out, "tokens"), i, token) {
    if (json_equal(token, text)) return (int32_t)i;
  }
  return -1;
}

static weir_status add_template(converter *c, const json_t *part) {
  size_t i;
  json_t *piece;
  bool behind = false;
  json_array_foreach(json_object_get(part, "single"), i, piece) {
    if (json_object_get(piece, "Sequence")) {
      behind = true;
      continue;
    }
    const char *name = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
    const json_t *ids =
        json_object_get(json_object_get(json_object_get(part, "special_tokens"), name ? name : ""), "ids");
    if (!json_is_array(ids)) return malformed("TemplateProcessing names a token that it does not define");
    json_array_extend(json_object_get(c->out, behind ? "suffix" : "prefix"), (json_t *)ids);
  }
  return WEIR_OK;
}

static weir_status add_post(converter *c, const json_t *part, int depth) {
  if (!part || json_is_null(part) || type_is(part, "ByteLevel")) return WEIR_OK;
  if (type_is(part, "Sequence") && depth < SEQUENCE_DEPTH) {
    size_t i;
    json_t *inner;
    json_array_foreach(json_object_get(part, "processors"), i, inner) WEIR_TRY(add_post(c, inner, depth + 1));
    return WEIR_OK;
  }
  if (type_is(part, "TemplateProcessing")) return add_template(c, part);
  if (!type_is(part, "BertProcessing") && !type_is(part, "RobertaProcessing"))
    return unsupported("post-processor", part);
  const json_t *cls = json_array_get(json_object_get(part, "cls"), 1),
               *sep = json_array_get(json_object_get(part, "sep"), 1);
  if (!json_is_integer(cls) || !json_is_integer(sep)) return malformed("BertProcessing without cls and sep");
  json_array_append(json_object_get(c->out, "prefix"), (json_t *)cls);
  json_array_append(json_object_get(c->out, "suffix"), (json_t *)sep);
  return WEIR_OK;
}

static void put_special(converter *c) {
  static const char *const names[][2] = {{"bos", "bos_token"},  {"eos", "eos_token"}, {"unk", "unk_token"},
                                         {"cls", "cls_token"},  {"sep", "sep_token"}, {"pad", "pad_token"},
                                         {"mask", "mask_token"}};
  json_t *special = json_object(), *stops = json_array(), *token;
  json_object_set_new(c->out, "special", special);
  json_object_set_new(c->out, "stop", stops);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    int32_t id = find_token(c, json_object_get(c->config, names[i][1]));
    if (id >= 0) json_object_set_new(special, names[i][0], json_integer(id));
  }
  int32_t unk = find_token(c, json_object_get(c->model, "unk_token"));
  if (unk >= 0) json_object_set_new(special, "unk", json_integer(unk));
  json_t *eos = json_object_get(special, "eos");
  if (eos) json_array_append(stops, eos);
  size_t i;
  const char *types = json_string_value(json_object_get(c->out, "types"));
  json_array_foreach(json_object_get(c->out, "tokens"), i, token) {
    if ((types[i] != 'c' && types[i] != 'd') || (eos && (size_t)json_integer_value(eos) == i)) continue;
    if (text_is_stop_name(text_json_text(token))) json_array_append_new(stops, json_integer((json_int_t)i));
  }
}

// One text, or a list of named ones of which "default" is taken.
static void put_chat_template(converter *c) {
  json_t *value = json_object_get(c->config, "chat_template"), *named;
  size_t i;
  if (json_is_string(value)) json_object_set(c->out, "chat_template", value);
  json_array_foreach(value, i, named) {
    const char *name = json_string_value(json_object_get(named, "name"));
    json_t *text = json_object_get(named, "template");
    if (name && !strcmp(name, "default") && json_is_string(text)) json_object_set(c->out, "chat_template", text);
  }
}

// ---- the two kinds

static weir_status refuse_members(const converter *c) {
  static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  for (size_t i = 0; i < 2; i++) {
    if (json_string_length(json_object_get(c->model, empty[i])))
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: %s", empty[i]);
  }
  const json_t *dropout = json_object_get(c->model, "dropout");
  if (json_is_number(dropout) && json_number_value(dropout) > 0)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: dropout");
  if (flag(c->model, "byte_fallback", false))
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: byte_fallback");
  return WEIR_OK;
}

static weir_status convert_bpe(converter *c) {
  json_object_set_new(c->out, "kind", json_string("bpe"));
  WEIR_TRY(refuse_members(c));
  WEIR_TRY(put_merges(c));
  WEIR_TRY(add_pretokenizer(c, json_object_get(c->file, "pre_tokenizer"), 0));
  if (!c->byte_level) return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: BPE that is not byte level");
  json_object_set_new(c->out, "ignore_merges", json_boolean(flag(c->model, "ignore_merges", false)));
  bool unknown = json_is_string(json_object_get(c->model, "unk_token"));
  json_object_set_new(c->out, "byte_unknown", json_boolean(unknown));
  json_object_set_new(c->out, "fuse_unknown", json_boolean(flag(c->model, "fuse_unk", false)));
  return WEIR_OK;
}

static weir_status convert_wordpiece(converter *c) {
  json_object_set_new(c->out, "kind", json_string("wordpiece"));
  const char *prefix = json_string_value(json_object_get(c->model, "continuing_subword_prefix"));
  if (prefix && strcmp(prefix, "##"))
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tokenizer.json: continuing_subword_prefix '%.20s'", prefix);
  const json_t *pre = json_object_get(c->file, "pre_tokenizer");
  if (!type_is(pre, "BertPreTokenizer")) return unsupported("pre-tokenizer", pre);
  json_t *chars = json_object_get(c->model, "max_input_chars_per_word");
  if (chars) json_object_set(c->out, "max_word_chars", chars);
  return WEIR_OK;
}

// Old files leave the type of the model out.
static bool is_wordpiece(const json_t *model) {
  if (json_object_get(model, "type")) return type_is(model, "WordPiece");
  return json_object_get(model, "max_input_chars_per_word") && !json_object_get(model, "merges");
}

static weir_status convert(converter *c) {
  c->model = json_object_get(c->file, "model");
  if (!json_is_object(c->model)) return malformed("no model");
  static const char *const lists[] = {"pre", "prefix", "suffix"};
  for (size_t i = 0; i < 3; i++) json_object_set_new(c->out, lists[i], json_array());
  json_object_set_new(c->out, "normalizer", json_object());
  bool wordpiece = is_wordpiece(c->model);
  if (!wordpiece && !json_object_get(c->model, "merges")) return unsupported("model", c->model);
  WEIR_TRY(put_vocab(c));
  WEIR_TRY(wordpiece ? convert_wordpiece(c) : convert_bpe(c));
  WEIR_TRY(add_normalizer(c, json_object_get(c->file, "normalizer"), 0));
  WEIR_TRY(add_post(c, json_object_get(c->file, "post_processor"), 0));
  put_special(c);
  put_chat_template(c);
  return WEIR_OK;
}

weir_status text_description_from_hf(const char *json, size_t json_size, const char *config_json, size_t config_size,
                                     text_buffer *out) {
  converter c = {0};
  weir_status status = text_json_parse(json, json_size, "tokenizer.json", &c.file);
  if (!status && config_json) status = text_json_parse(config_json, config_size, "tokenizer_config.json", &c.config);
  c.out = json_pack("{ss}", "format", TEXT_DESCRIPTION_FORMAT);
  if (!status) status = convert(&c);
  if (!status) {
    status = text_json_write(c.out, out);
  } else {
    json_decref(c.out);
  }
  json_decref(c.file);
  json_decref(c.config);
  return status;
}
