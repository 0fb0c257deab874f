// Reading descriptions: every member is checked for its type and range here, so that the packer can rely on them.
#include "runtime/text/description.h"

#include <stdlib.h>

#include "runtime/text/pretokenizers.h"

static const char letters[] = "nucdbx";  // in the order of text_token_type
static const char *const forms[TEXT_FORM_COUNT] = {"none", "nfc", "nfd", "nfkc", "nfkd"};

char text_type_letter(text_token_type type) { return letters[type]; }

const char *text_form_name(text_form form) { return forms[form]; }

weir_status text_json_parse(const char *json, size_t size, const char *what, json_t **out) {
  json_error_t error;
  *out = json_loadb(json ? json : "", size, JSON_ALLOW_NUL, &error);
  if (*out) return WEIR_OK;
  return weir_status_make(WEIR_CODE_INVALID_DATA, "%s: line %d: %s", what, error.line, error.text);
}

static int write_json(const char *bytes, size_t size, void *data) {
  weir_status status = text_buffer_append(data, bytes, size);
  bool failed = status != WEIR_OK;
  weir_status_release(status);
  return failed ? -1 : 0;
}

weir_status text_json_write(json_t *root, text_buffer *out) {
  size_t before = out->size;
  bool failed = !root || json_dump_callback(root, write_json, out, JSON_COMPACT);
  json_decref(root);
  if (!failed) return WEIR_OK;
  out->size = before;
  return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to write a tokenizer description");
}

bool text_is_stop_name(text_view token) {
  static const char *const names[] = {"<|im_end|>",    "<|eot_id|>",
                                      "<|eom_id|>",    "<|end|>",
                                      "<|endoftext|>", "<end_of_turn>",
                                      "<|eot|>",       "<|end_of_text|>",
                                      "<|return|>",    "<|end_of_turn|>",
                                      "<EOT>",         "<_EOT>",
                                      "</s>",          "<|END_OF_TURN_TOKEN|>",
                                      "<|eoa|>",       "<|endofassistant|>"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strlen(names[i]) == token.size && !memcmp(names[i], token.bytes, token.size)) return true;
  }
  return false;
}

static weir_status wrong(const char *member, const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "tokenizer description: '%s' %s", member, what);
}

static bool is_text(const json_t *value, const char *text) {
  return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static weir_status read_flag(const json_t *object, const char *member, uint32_t bit, uint32_t *flags) {
  const json_t *value = json_object_get(object, member);
  if (value && !json_is_boolean(value)) return wrong(member, "is not true or false");
  if (json_is_true(value)) *flags |= bit;
  return WEIR_OK;
}

static weir_status read_tokens(text_description *d) {
  const json_t *tokens = json_object_get(d->root, "tokens");
  size_t count = json_array_size(tokens);
  if (!count || count > TEXT_VOCAB_LIMIT) return wrong("tokens", "is not an array of 1 to 16,777,216 strings");
  d->vocab = (uint32_t)count;
  d->tokens = calloc(count, sizeof *d->tokens);
  d->types = calloc(count, 1);
  if (!d->tokens || !d->types) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu tokens", count);
  for (size_t i = 0; i < count; i++) {
    const json_t *token = json_array_get(tokens, i);
    if (!json_is_string(token)) return wrong("tokens", "holds a value that is not a string");
    d->tokens[i] = text_json_text(token);
  }
  const json_t *types = json_object_get(d->root, "types");
  if (!types) return WEIR_OK;
  if (json_string_length(types) != count) return wrong("types", "is not a string with a letter for each token");
  for (size_t i = 0; i < count; i++) {
    const char *letter = memchr(letters, json_string_value(types)[i], sizeof letters - 1);
    if (!letter) return wrong("types", "holds a letter other than n u c d b x");
    d->types[i] = (uint8_t)(letter - letters);
  }
  return WEIR_OK;
}

static weir_status read_id_value(const text_description *d, const json_t *value, const char *member, int32_t *out) {
  if (!json_is_integer(value)) return wrong(member, "is not an id");
  json_int_t id = json_integer_value(value);
  if (id < 0 || id >= d->vocab) return wrong(member, "is an id outside the vocabulary");
  *out = (int32_t)id;
  return WEIR_OK;
}

static weir_status read_list(const text_description *d, const json_t *object, const char *member, const json_t **out) {
  *out = json_object_get(object, member);
  if (*out && (!json_is_array(*out) || json_array_size(*out) > d->vocab)) return wrong(member, "is not a list of ids");
  for (size_t i = 0; i < json_array_size(*out); i++) {
    int32_t id;
    WEIR_TRY(read_id_value(d, json_array_get(*out, i), member, &id));
  }
  return WEIR_OK;
}

static weir_status read_ids(text_description *d) {
  const json_t *special = json_object_get(d->root, "special");
  if (special && !json_is_object(special)) return wrong("special", "is not an object");
  const struct {
    const char *name;
    int32_t *out;
  } ids[] = {{"bos", &d->bos}, {"eos", &d->eos}, {"unk", &d->unk},  {"cls", &d->cls},
             {"sep", &d->sep}, {"pad", &d->pad}, {"mask", &d->mask}};
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    const json_t *value = json_object_get(special, ids[i].name);
    *ids[i].out = -1;
    if (value) WEIR_TRY(read_id_value(d, value, ids[i].name, ids[i].out));
  }
  WEIR_TRY(read_list(d, d->root, "prefix", &d->prefix));
  WEIR_TRY(read_list(d, d->root, "suffix", &d->suffix));
  return read_list(d, d->root, "stop", &d->stops);
}

static weir_status read_strips(text_description *d) {
  const char *const names[] = {"strip_left", "strip_right"};
  for (int side = 0; side < 2; side++) {
    const json_t *list;
    WEIR_TRY(read_list(d, d->root, names[side], &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
      d->types[json_integer_value(json_array_get(list, i))] |= side ? TEXT_STRIP_RIGHT : TEXT_STRIP_LEFT;
    }
  }
  return WEIR_OK;
}

static weir_status read_step(const json_t *step, text_split_step *out) {
  const json_t *pattern = json_object_get(step, "pattern"), *split = json_object_get(step, "split");
  if (!json_is_string(pattern)) return wrong("pre", "holds a step without a pattern");
  uint32_t invert = 0;
  WEIR_TRY(read_flag(step, "invert", 1, &invert));
  *out = (text_split_step){text_json_text(pattern), TEXT_SPLIT_ISOLATED, invert != 0};
  if (is_text(split, "removed")) {
    out->split = TEXT_SPLIT_REMOVED;
  } else if (is_text(split, "contiguous")) {
    out->split = TEXT_SPLIT_CONTIGUOUS;
  } else if (split && !is_text(split, "isolated")) {
    return wrong("split", "is not isolated, removed or contiguous");
  }
  return WEIR_OK;
}

static weir_status read_pre(text_description *d) {
  const json_t *pre = json_object_get(d->root, "pre");
  if (json_is_string(pre)) {
    const text_pretokenizer *named = text_pretokenizer_find(json_string_value(pre), json_string_length(pre));
    if (!named)
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "no pre-tokenizer is called '%.40s'", json_string_value(pre));
    while (d->step_count < TEXT_PRE_PATTERNS && named->patterns[d->step_count]) {
      const char *pattern = named->patterns[d->step_count];
      d->steps[d->step_count++] = (text_split_step){{pattern, strlen(pattern)}, TEXT_SPLIT_ISOLATED, false};
    }
    return WEIR_OK;
  }
  if (pre && (!json_is_array(pre) || json_array_size(pre) > TEXT_STEP_LIMIT))
    return wrong("pre", "is not a name or up to 16 steps");
  for (size_t i = 0; i < json_array_size(pre); i++)
    WEIR_TRY(read_step(json_array_get(pre, i), &d->steps[d->step_count++]));
  return WEIR_OK;
}

static weir_status read_normalizer(text_description *d) {
  const json_t *normalizer = json_object_get(d->root, "normalizer");
  if (normalizer && !json_is_object(normalizer)) return wrong("normalizer", "is not an object");
  WEIR_TRY(read_flag(normalizer, "clean", TEXT_FLAG_CLEAN, &d->flags));
  WEIR_TRY(read_flag(normalizer, "cjk_spaces", TEXT_FLAG_CJK_SPACES, &d->flags));
  WEIR_TRY(read_flag(normalizer, "strip_accents", TEXT_FLAG_STRIP_ACCENTS, &d->flags));
  WEIR_TRY(read_flag(normalizer, "lowercase", TEXT_FLAG_LOWERCASE, &d->flags));
  const json_t *form = json_object_get(normalizer, "form");
  if (!form) return WEIR_OK;
  for (int i = 0; i < TEXT_FORM_COUNT; i++) {
    if (!is_text(form, forms[i])) continue;
    d->form = (text_form)i;
    return WEIR_OK;
  }
  return wrong("form", "is not none, nfc, nfd, nfkc or nfkd");
}

static weir_status read_model(text_description *d) {
  const json_t *kind = json_object_get(d->root, "kind"), *chars = json_object_get(d->root, "max_word_chars");
  d->kind = is_text(kind, "wordpiece") ? TEXT_KIND_WORDPIECE : TEXT_KIND_BPE;
  if (d->kind == TEXT_KIND_BPE && !is_text(kind, "bpe")) return wrong("kind", "is not bpe or wordpiece");
  d->merges = json_object_get(d->root, "merges");
  if (d->merges && !json_is_array(d->merges)) return wrong("merges", "is not an array");
  d->max_word_chars = 100;
  if (chars) {
    json_int_t limit = json_integer_value(chars);
    if (limit < 1 || limit > TEXT_WORD_CHARS_LIMIT) return wrong("max_word_chars", "is not a number from 1 to 1024");
    d->max_word_chars = (uint32_t)limit;
  }
  const json_t *template = json_object_get(d->root, "chat_template");
  if (template && !json_is_string(template)) return wrong("chat_template", "is not a string");
  if (template) d->chat_template = text_json_text(template);
  WEIR_TRY(read_flag(d->root, "ignore_merges", TEXT_FLAG_IGNORE_MERGES, &d->flags));
  WEIR_TRY(read_flag(d->root, "prefix_space", TEXT_FLAG_PREFIX_SPACE, &d->flags));
  WEIR_TRY(read_flag(d->root, "byte_unknown", TEXT_FLAG_BYTE_UNKNOWN, &d->flags));
  WEIR_TRY(read_flag(d->root, "fuse_unknown", TEXT_FLAG_FUSE_UNKNOWN, &d->flags));
  if ((d->kind == TEXT_KIND_WORDPIECE || (d->flags & TEXT_FLAG_BYTE_UNKNOWN)) && d->unk < 0)
    return wrong("unk", "is missing");
  return WEIR_OK;
}

weir_status text_description_parse(const char *json, size_t size, text_description *out) {
  *out = (text_description){0};
  WEIR_TRY(text_json_parse(json, size, "tokenizer description", &out->root));
  if (!is_text(json_object_get(out->root, "format"), TEXT_DESCRIPTION_FORMAT))
    return wrong("format", "is not " TEXT_DESCRIPTION_FORMAT);
  WEIR_TRY(read_tokens(out));
  WEIR_TRY(read_ids(out));
  WEIR_TRY(read_strips(out));
  WEIR_TRY(read_pre(out));
  WEIR_TRY(read_normalizer(out));
  return read_model(out);
}

void text_description_deinit(text_description *d) {
  json_decref(d->root);
  free(d->tokens);
  free(d->types);
  *d = (text_description){0};
}
