// Tokenizers: a description, a tokenizer.json, a blob, or GGUF values (first byte), each used as far as it opens.
#include "tests/fuzz/harness.h"

#include "runtime/text/tokenizer.h"

static const char sample[] = "Hello w\xC3\xB6rld 123 <s>ab\xFF\xE2\x82 \n\n it's [MASK] \xE6\xBC\xA2";

static void use(const text_tokenizer *tokenizer) {
  text_ids ids = {0};
  text_buffer bytes = {0};
  text_stream_decoder decoder;
  text_encode_options options = {.add_special = true, .parse_special = true, .max_ids = 40};
  weir_status status = text_encode(tokenizer, sample, sizeof sample - 1, options, &ids);
  weir_status_release(status);
  text_stream_decoder_init(&decoder, tokenizer, (text_decode_options){.skip_special = true});
  for (size_t i = 0; i < ids.count; i++) {
    status = text_stream_decoder_feed(&decoder, ids.data[i], &bytes);
    weir_status_release(status);
  }
  status = text_stream_decoder_finish(&decoder, &bytes);
  weir_status_release(status);
  text_buffer_clear(&bytes);
  text_buffer copy = {0};
  text_view template = text_tokenizer_chat_template(tokenizer);
  status = text_sanitize_utf8(template.bytes, template.size, &copy);
  weir_status_release(status);
  for (int32_t id = 0; id < text_tokenizer_vocab_size(tokenizer) && id < 64; id++) {
    text_view view = text_tokenizer_token_bytes(tokenizer, id);
    status = text_buffer_append(&copy, view.bytes, view.size);
    weir_status_release(status);
  }
  text_buffer_deinit(&copy);
  text_buffer_deinit(&bytes);
  text_ids_deinit(&ids);
}

static void try_description(const char *json, size_t size) {
  text_tokenizer *tokenizer = NULL;
  weir_status status = text_tokenizer_create(json, size, &tokenizer);
  if (!status) use(tokenizer);
  weir_status_release(status);
  text_tokenizer_release(tokenizer);
}

static void try_hf(const char *json, size_t size) {
  text_buffer description = {0};
  weir_status status = text_description_from_hf(json, size, json, size, &description);
  if (!status) try_description(description.data, description.size);
  weir_status_release(status);
  text_buffer_deinit(&description);
}

static void try_blob(const uint8_t *data, size_t size) {
  void *blob = malloc(size ? size : 1);  // aligned, and its end is the end of the allocation
  if (!blob) return;
  memcpy(blob, data, size);
  text_tokenizer *tokenizer = NULL;
  weir_status status = text_tokenizer_open(blob, size, &tokenizer);
  if (!status) use(tokenizer);
  weir_status_release(status);
  text_tokenizer_release(tokenizer);
  free(blob);
}

// Strings with a zero byte between: model, pre, then the tokens, an empty one, the merges. The bytes also serve as
// types.
static void try_gguf(const uint8_t *data, size_t size) {
  enum { MOST = 200 };
  text_view views[MOST];
  int32_t types[MOST];
  size_t count = 0, start = 0, tokens_end = 0;
  for (size_t at = 0; at <= size && count < MOST; at++) {
    if (at < size && data[at]) continue;
    views[count] = (text_view){(const char *)data + start, at - start};
    types[count] = at > start ? data[start] % 8 : 1;
    if (count > 2 && at == start && !tokens_end) tokens_end = count;
    start = at + 1;
    count++;
  }
  if (count < 4) return;
  if (!tokens_end) tokens_end = count;
  text_gguf_vocab vocab;
  text_gguf_vocab_init(&vocab);
  vocab.model = views[0];
  vocab.pre = views[1];
  vocab.tokens = views + 2;
  vocab.token_types = types + 2;
  vocab.token_count = tokens_end - 2;
  vocab.merges = views + tokens_end;
  vocab.merge_count = count - tokens_end;
  vocab.bos_id = (int32_t)size - 40;
  vocab.eos_id = 2;
  vocab.chat_template = views[2];
  text_buffer description = {0};
  weir_status status = text_description_from_gguf(&vocab, &description);
  if (!status) try_description(description.data, description.size);
  weir_status_release(status);
  text_buffer_deinit(&description);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  switch (data[0] % 4) {
    case 0:
      try_description((const char *)data + 1, size - 1);
      break;
    case 1:
      try_hf((const char *)data + 1, size - 1);
      break;
    case 2:
      try_blob(data + 1, size - 1);
      break;
    default:
      try_gguf(data + 1, size - 1);
  }
  return 0;
}

static const char bpe_text[] =
    "{\"format\":\"weir-tokenizer-1\",\"kind\":\"bpe\",\"tokens\":[\"H\",\"e\",\"l\",\"o\",\"\xC4\xA0\",\"w\",\"ll\","
    "\"He\",\"<s>\",\"<s>ab\","
    "\"\xC3\x83\",\"\xC2\xB6\"],\"types\":\"nnnnnnnncdnn\",\"merges\":[\"l l\",\"H e\",\"\xC3\x83 "
    "\xC2\xB6\"],\"pre\":[{\"pattern\":\"\\\\s+|[^\\\\s]+\","
    "\"split\":\"isolated\",\"invert\":false}],\"special\":{\"bos\":8,\"unk\":0},\"prefix\":[8],\"suffix\":[9],"
    "\"stop\":[8],\"byte_unknown\":true,"
    "\"fuse_unknown\":true,\"strip_left\":[9],\"strip_right\":[9],\"normalizer\":{\"form\":\"nfc\",\"lowercase\":false}"
    ",\"chat_template\":\"x\"}";
static const char wordpiece_text[] =
    "{\"format\":\"weir-tokenizer-1\",\"kind\":\"wordpiece\",\"tokens\":[\"[UNK]\",\"hello\",\"##1\",\"w\",\"##orld\","
    "\"[MASK]\"],\"types\":"
    "\"unnnnc\",\"special\":{\"unk\":0},\"max_word_chars\":20,\"normalizer\":{\"clean\":true,\"cjk_spaces\":true,"
    "\"strip_accents\":true,"
    "\"lowercase\":true}}";
static const char hf_text[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"H\":0,\"e\":1,\"He\":2,\"<s>\":3},\"merges\":[\"H "
    "e\"]},\"added_tokens\":[{\"id\":3,\"content\":"
    "\"<s>\",\"special\":true}],\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\","
    "\"pretokenizers\":[{\"type\":\"Digits\","
    "\"individual_digits\":true},{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"behavior\":\"Isolated\"},{"
    "\"type\":\"ByteLevel\","
    "\"add_prefix_space\":false}]},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
    "\"id\":\"<s>\"}},"
    "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[3]}}},\"bos_token\":\"<s>\",\"chat_"
    "template\":\"y\"}";
static const char gguf_text[] = "gpt2\0smollm\0H\0e\0He\0\x03<s>\0\0H e\0e He";

// |kind|, then the bytes.
static size_t put_seed(uint8_t *buffer, size_t capacity, uint8_t kind, const void *bytes, size_t size) {
  if (size >= capacity) size = capacity - 1;
  buffer[0] = kind;
  memcpy(buffer + 1, bytes, size);
  return size + 1;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  if (index == 0) return put_seed(buffer, capacity, 0, bpe_text, sizeof bpe_text - 1);
  if (index == 1) return put_seed(buffer, capacity, 0, wordpiece_text, sizeof wordpiece_text - 1);
  if (index == 2) return put_seed(buffer, capacity, 1, hf_text, sizeof hf_text - 1);
  if (index == 3) return put_seed(buffer, capacity, 3, gguf_text, sizeof gguf_text - 1);
  if (index > 5) return 0;
  text_buffer blob = {0};
  const char *description = index == 4 ? bpe_text : wordpiece_text;
  weir_status status = text_tokenizer_pack(description, strlen(description), &blob);
  size_t size = status ? 0 : put_seed(buffer, capacity, 2, blob.data, blob.size);
  weir_status_release(status);
  text_buffer_deinit(&blob);
  return size;
}
