// Descriptions made from GGUF metadata and from tokenizer.json: what is taken over, and what is refused by name.
#include <jansson.h>

#include "tests/unit/text/models.h"

static text_view view(const char *text) { return (text_view){text, strlen(text)}; }

static void encodes_to(const text_tokenizer *tokenizer, const char *text, text_encode_options options,
                       const char *expected) {
  text_ids ids = {0};
  char line[1024] = "";
  size_t at = 0;
  OK(text_encode(tokenizer, text, strlen(text), options, &ids));
  for (size_t i = 0; i < ids.count; i++) at += (size_t)sprintf(line + at, "%s%d", i ? " " : "", ids.data[i]);
  cr_assert_str_eq(line, expected, "'%s' became %s, not %s", text, line, expected);
  text_ids_deinit(&ids);
}

static text_tokenizer *open_description(const text_buffer *description) {
  text_tokenizer *tokenizer = NULL;
  OK(text_tokenizer_create(description->data, description->size, &tokenizer));
  return tokenizer;
}

// ---- GGUF

static void small_gguf(text_gguf_vocab *vocab) {
  static const text_view tokens[] = {{"a", 1},  {"b", 1},           {"1", 1},   {"\u0120", 2},
                                     {"ab", 2}, {"<|eot_id|>", 10}, {"<s>", 3}, {"\u0120 b", 4}};
  static const int32_t types[] = {1, 1, 1, 1, 1, 3, 3, 4};
  static const text_view merges[] = {{"a b", 3}};
  text_gguf_vocab_init(vocab);
  vocab->model = view("gpt2");
  vocab->pre = view("llama-bpe");
  vocab->tokens = tokens;
  vocab->token_types = types;
  vocab->token_count = 8;
  vocab->merges = merges;
  vocab->merge_count = 1;
  vocab->bos_id = 6;
  vocab->chat_template = view("{{ messages[0].content }}");
}

Test(gguf, bpe) {
  text_gguf_vocab vocab;
  text_buffer description = {0};
  small_gguf(&vocab);
  OK(text_description_from_gguf(&vocab, &description));
  text_tokenizer *t = open_description(&description);
  encodes_to(t, "ab 1", (text_encode_options){.add_special = true}, "6 4 3 2");  // llama-bpe wants its begin token
  encodes_to(t, "b<|eot_id|>", (text_encode_options){.parse_special = true}, "1 5");
  cr_assert(text_tokenizer_is_stop(t, 5) && !text_tokenizer_is_stop(t, 6));
  cr_assert_eq(text_tokenizer_chat_template(t).size, 25);
  text_view raw = text_tokenizer_token_bytes(t, 7);  // a user token stands for what is written
  cr_assert(raw.size == 4 && !memcmp(raw.bytes, "\u0120 b", 4));
  text_tokenizer_release(t);
  text_buffer_clear(&description);
  vocab.add_bos = 0;
  vocab.pre = view("gpt-2");
  OK(text_description_from_gguf(&vocab, &description));
  t = open_description(&description);
  encodes_to(t, "ab", (text_encode_options){.add_special = true}, "4");
  text_tokenizer_release(t);
  text_buffer_deinit(&description);
}

Test(gguf, wordpiece_gets_its_continuations_back) {
  const text_view tokens[] = {view("[PAD]"),    view("[UNK]"), view("[CLS]"),  view("[SEP]"),
                              view("\u2581un"), view("able"),  view("\u2581a")};
  const int32_t types[] = {3, 2, 3, 3, 1, 1, 1};
  text_gguf_vocab vocab;
  text_buffer description = {0};
  text_gguf_vocab_init(&vocab);
  vocab.model = view("bert");
  vocab.tokens = tokens;
  vocab.token_types = types;
  vocab.token_count = 7;
  vocab.bos_id = 2;
  vocab.sep_id = 3;
  OK(text_description_from_gguf(&vocab, &description));
  text_tokenizer *t = open_description(&description);
  encodes_to(t, "Unable a x", (text_encode_options){.add_special = true}, "2 4 5 6 1 3");
  cr_assert_eq(text_tokenizer_find(t, "##able", 6), 5);
  cr_assert_eq(text_tokenizer_token_bytes(t, 5).size, 4);
  text_tokenizer_release(t);
  text_buffer_deinit(&description);
}

static void gguf_refused(const text_gguf_vocab *vocab, weir_code code, const char *word) {
  text_buffer description = {0};
  weir_status status = text_description_from_gguf(vocab, &description);
  cr_assert_eq(weir_status_code(status), code, "%s", weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), word), "%s", weir_status_message(status));
  cr_assert_eq(description.size, 0);
  weir_status_release(status);
  text_buffer_deinit(&description);
}

Test(gguf, refusals) {
  text_gguf_vocab vocab;
  small_gguf(&vocab);
  vocab.model = view("llama");
  gguf_refused(&vocab, WEIR_CODE_UNSUPPORTED, "llama");
  small_gguf(&vocab);
  vocab.pre = view("never-heard-of");
  gguf_refused(&vocab, WEIR_CODE_UNSUPPORTED, "never-heard-of");
  small_gguf(&vocab);
  const text_view broken[] = {{"\xFF", 1}};
  vocab.tokens = broken;
  vocab.token_count = 1;
  gguf_refused(&vocab, WEIR_CODE_INVALID_DATA, "token 0");
  small_gguf(&vocab);
  vocab.merges = broken;
  gguf_refused(&vocab, WEIR_CODE_INVALID_DATA, "merge 0");
  small_gguf(&vocab);
  vocab.chat_template = broken[0];
  gguf_refused(&vocab, WEIR_CODE_INVALID_DATA, "template");
}

// ---- tokenizer.json

#define BPE_MODEL                                                                                                      \
  "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"1\": 3, \"\\u0120\": 4, \"\\u0120a\": " \
  "6, "                                                                                                                \
  "\"11\": 9}, \"merges\": [\"a b\", [\"\\u0120\", \"a\"], \"1 1\"]}, \"added_tokens\": [{\"id\": 7, \"content\": "    \
  "\"<s>\", "                                                                                                          \
  "\"special\": true}, {\"id\": 8, \"content\": \"zz\", \"special\": false, \"lstrip\": true}]"

static text_tokenizer *from_hf(const char *json, const char *config) {
  text_buffer description = {0};
  OK(text_description_from_hf(json, strlen(json), config, config ? strlen(config) : 0, &description));
  text_tokenizer *t = open_description(&description);
  text_buffer_deinit(&description);
  return t;
}

Test(hf, byte_level_bpe) {
  text_tokenizer *t = from_hf(
      "{" BPE_MODEL
      ", \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", "
      "\"individual_digits\": true}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false}]}, \"post_processor\": "
      "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, {\"type\": \"TemplateProcessing\", "
      "\"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": "
      "{\"<s>\": {\"ids\": [7]}}}]}}",
      "{\"eos_token\": {\"content\": \"<s>\"}, \"chat_template\": [{\"name\": \"other\", \"template\": \"x\"}, "
      "{\"name\": \"default\", \"template\": \"T\"}]}");
  encodes_to(t, "ab a11", (text_encode_options){.add_special = true}, "7 2 6 3 3");
  encodes_to(t, "a zz<s>", (text_encode_options){.parse_special = true}, "0 8 7");
  cr_assert_eq(text_tokenizer_special_ids(t).eos, 7);
  cr_assert(text_tokenizer_is_stop(t, 7));
  cr_assert_eq(text_tokenizer_token_type(t, 5), TEXT_TOKEN_UNUSED);  // a gap in the ids
  cr_assert_eq(text_tokenizer_chat_template(t).size, 1);
  text_tokenizer_release(t);
}

Test(hf, splits_and_prefix_space) {
  text_tokenizer *t = from_hf("{" BPE_MODEL ", \"pre_tokenizer\": {\"type\": \"ByteLevel\"}}", NULL);
  encodes_to(t, "a", (text_encode_options){0}, "6");
  encodes_to(t, " a", (text_encode_options){0}, "6");
  encodes_to(t, "11", (text_encode_options){0}, "4 9");
  text_tokenizer_release(t);
  t = from_hf(
      "{" BPE_MODEL
      ", \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
      "{\"String\": "
      "\"a\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
      "\"use_regex\": false}]}}",
      NULL);
  encodes_to(t, "ab a", (text_encode_options){0}, "0 1 4 0");
  text_tokenizer_release(t);
  t = from_hf("{" BPE_MODEL
              ", \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
              "{\"Regex\": "
              "\"1+|\\\\s\"}, \"behavior\": \"Removed\", \"invert\": false}, {\"type\": \"ByteLevel\", "
              "\"add_prefix_space\": false, "
              "\"use_regex\": false}]}}",
              NULL);
  encodes_to(t, "ab11 b", (text_encode_options){0}, "2 1");
  text_tokenizer_release(t);
}

static void hf_refused(const char *json, weir_code code, const char *word) {
  text_buffer description = {0};
  weir_status status = text_description_from_hf(json, strlen(json), NULL, 0, &description);
  cr_expect_eq(weir_status_code(status), code, "%s: %s", json, weir_status_message(status));
  cr_expect(strstr(weir_status_message(status), word), "%s: %s", json, weir_status_message(status));
  cr_expect_eq(description.size, 0);
  weir_status_release(status);
  text_buffer_deinit(&description);
}

#define BYTE_LEVEL ", \"pre_tokenizer\": {\"type\": \"ByteLevel\"}"

Test(hf, refusals) {
  hf_refused("{", WEIR_CODE_INVALID_DATA, "tokenizer.json");
  hf_refused("{}", WEIR_CODE_INVALID_DATA, "model");
  hf_refused("{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", WEIR_CODE_UNSUPPORTED, "Unigram");
  hf_refused("{" BPE_MODEL "}", WEIR_CODE_UNSUPPORTED, "pre-tokenizer");
  hf_refused("{" BPE_MODEL ", \"pre_tokenizer\": {\"type\": \"Metaspace\"}}", WEIR_CODE_UNSUPPORTED, "Metaspace");
  hf_refused("{" BPE_MODEL BYTE_LEVEL ", \"normalizer\": {\"type\": \"Prepend\"}}", WEIR_CODE_UNSUPPORTED, "Prepend");
  hf_refused(
      "{" BPE_MODEL BYTE_LEVEL
      ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Lowercase\"}, {\"type\": \"NFC\"}]}}",
      WEIR_CODE_UNSUPPORTED, "NFC");
  hf_refused("{" BPE_MODEL BYTE_LEVEL ", \"post_processor\": {\"type\": \"Other\"}}", WEIR_CODE_UNSUPPORTED, "Other");
  hf_refused("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 99999999999}, \"merges\": []}" BYTE_LEVEL "}",
             WEIR_CODE_INVALID_DATA, "ids");
  hf_refused("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1, \"b\": 0}, \"merges\": []}" BYTE_LEVEL "}",
             WEIR_CODE_INVALID_DATA, "id");
  hf_refused("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [3]}" BYTE_LEVEL "}",
             WEIR_CODE_INVALID_DATA, "merge");
  hf_refused(
      "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [], \"byte_fallback\": true}" BYTE_LEVEL "}",
      WEIR_CODE_UNSUPPORTED, "byte_fallback");
  hf_refused(
      "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}, \"pre_tokenizer\": {\"type\": \"Whitespace\"}}",
      WEIR_CODE_UNSUPPORTED, "Whitespace");
}

Test(hf, wordpiece) {
  text_tokenizer *t = from_hf(
      "{\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[UNK]\": 0, \"[CLS]\": 1, "
      "\"[SEP]\": 2, "
      "\"caf\": 3, \"##e\": 4, \"##\\u00e9\": 5, \"Caf\": 6}}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, "
      "\"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": false, \"strip_accents\": null}, "
      "\"post_processor\": "
      "{\"type\": \"BertProcessing\", \"sep\": [\"[SEP]\", 2], \"cls\": [\"[CLS]\", 1]}, \"truncation\": "
      "{\"max_length\": 2}}",
      NULL);
  encodes_to(t, "caf\u00e9 Cafe", (text_encode_options){.add_special = true},
             "1 3 5 6 4 2");  // no case, so no accents stripped
  text_tokenizer_release(t);
}
