// The tokenizers of two real models against ids and bytes that other implementations computed
// (tests/data/text/*.jsonl). Skipped where the models have not been fetched.
#include <jansson.h>
#include <time.h>

#include "runtime/text/template.h"
#include "tests/unit/text/models.h"

#define DATA WEIR_SOURCE_DIR "/tests/data/text/"

typedef void (*case_fn)(const text_tokenizer *tokenizer, size_t line, const json_t *item);

// Calls |check| for each line; returns their number.
static size_t each_line(const char *path, const text_tokenizer *tokenizer, case_fn check) {
  size_t size, line = 0;
  char *text = read_whole(path, &size);
  for (char *at = text, *end; at < text + size; at = end + 1) {
    end = strchr(at, '\n');
    json_t *item = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
    cr_assert(item);
    check(tokenizer, ++line, item);
    json_decref(item);
  }
  free(text);
  return line;
}

static void same_ids(const text_ids *ids, const json_t *expected, size_t line) {
  cr_expect_eq(ids->count, json_array_size(expected), "line %zu: %zu ids, not %zu", line, ids->count,
               json_array_size(expected));
  for (size_t i = 0; i < ids->count && i < json_array_size(expected); i++) {
    json_int_t want = json_integer_value(json_array_get(expected, i));
    cr_assert_eq(ids->data[i], want, "line %zu, id %zu: %d, not %lld", line, i, ids->data[i], (long long)want);
  }
}

static void check_bpe(const text_tokenizer *tokenizer, size_t line, const json_t *item) {
  const json_t *text = json_object_get(item, "text");
  const char *bytes = json_string_value(text);
  size_t size = json_string_length(text);
  text_encode_options options = {.parse_special = json_is_true(json_object_get(item, "parse_special"))};
  text_ids ids = {0};
  OK(text_encode(tokenizer, bytes, size, options, &ids));
  same_ids(&ids, json_object_get(item, "ids"), line);
  text_buffer back = {0};
  OK(text_decode(tokenizer, ids.data, ids.count, (text_decode_options){0}, &back));
  bool same = back.size == size && !memcmp(back.data ? back.data : "", bytes, size);
  cr_expect_eq(same, json_is_true(json_object_get(item, "round_trip")), "line %zu: round trip", line);
  text_buffer_deinit(&back);
  text_ids_deinit(&ids);
}

Test(reference, byte_level_bpe) {
  text_tokenizer *tokenizer = open_smollm2();
  if (!tokenizer) cr_skip_test("SmolLM2-135M-Instruct.Q4_1.gguf is not below WEIR_HOME/models");
  cr_assert_eq(each_line(DATA "smollm2_bpe.jsonl", tokenizer, check_bpe), 420);
  text_tokenizer_release(tokenizer);
}

static void check_decode(const text_tokenizer *tokenizer, size_t line, const json_t *item) {
  const json_t *list = json_object_get(item, "ids");
  const char *hex = json_string_value(json_object_get(item, "hex"));
  text_ids ids = {0};
  for (size_t i = 0; i < json_array_size(list); i++)
    OK(text_ids_append(&ids, (int32_t)json_integer_value(json_array_get(list, i))));
  text_buffer bytes = {0}, clean = {0}, streamed = {0};
  OK(text_decode(tokenizer, ids.data, ids.count, (text_decode_options){0}, &bytes));
  cr_assert_eq(bytes.size, strlen(hex) / 2, "line %zu", line);
  for (size_t i = 0; i < bytes.size; i++) {
    unsigned want;
    cr_assert_eq(sscanf(hex + 2 * i, "%2x", &want), 1);
    cr_assert_eq((unsigned char)bytes.data[i], want, "line %zu, byte %zu", line, i);
  }
  OK(text_sanitize_utf8(bytes.data, bytes.size, &clean));
  text_stream_decoder decoder;
  text_stream_decoder_init(&decoder, tokenizer, (text_decode_options){0});
  for (size_t i = 0; i < ids.count; i++) {
    OK(text_stream_decoder_feed(&decoder, ids.data[i], &streamed));
    text_buffer again = {0};
    OK(text_sanitize_utf8(streamed.data, streamed.size, &again));
    cr_assert_eq(again.size, streamed.size, "line %zu: the stream is not UTF-8 after id %zu", line, i);
    text_buffer_deinit(&again);
  }
  OK(text_stream_decoder_finish(&decoder, &streamed));
  cr_assert_eq(streamed.size, clean.size, "line %zu", line);
  cr_assert_arr_eq(streamed.data, clean.data, clean.size);
  text_buffer_deinit(&bytes);
  text_buffer_deinit(&clean);
  text_buffer_deinit(&streamed);
  text_ids_deinit(&ids);
}

Test(reference, decode_and_stream) {
  text_tokenizer *tokenizer = open_smollm2();
  if (!tokenizer) cr_skip_test("SmolLM2-135M-Instruct.Q4_1.gguf is not below WEIR_HOME/models");
  cr_assert_eq(each_line(DATA "smollm2_decode.jsonl", tokenizer, check_decode), 120);
  text_tokenizer_release(tokenizer);
}

static void check_wordpiece(const text_tokenizer *tokenizer, size_t line, const json_t *item) {
  const json_t *text = json_object_get(item, "text");
  text_encode_options options = {.add_special = true, .parse_special = true, .max_ids = 256};
  text_ids ids = {0};
  OK(text_encode(tokenizer, json_string_value(text), json_string_length(text), options, &ids));
  same_ids(&ids, json_object_get(item, "ids"), line);
  text_ids_deinit(&ids);
}

Test(reference, wordpiece) {
  text_tokenizer *tokenizer = open_minilm();
  if (!tokenizer) cr_skip_test("MiniLM's tokenizer.json is not below WEIR_HOME/models");
  cr_assert_eq(each_line(DATA "minilm_wordpiece.jsonl", tokenizer, check_wordpiece), 260);
  text_tokenizer_release(tokenizer);
}

// The model's own chat template, then its ids with the control tokens recognised; the answer's text from its ids.
static void check_chat(const text_tokenizer *tokenizer, size_t line, const json_t *item) {
  text_view source = text_tokenizer_chat_template(tokenizer);
  text_template *template = NULL;
  OK(text_template_create(source.bytes, source.size, &template));
  text_chat chat = {.messages = json_object_get(item, "messages"), .add_generation_prompt = true};
  text_buffer prompt = {0}, answer = {0};
  OK(text_template_render_chat(template, tokenizer, &chat, NULL, &prompt));
  const json_t *expected = json_object_get(item, "prompt_text");
  cr_assert_eq(prompt.size, json_string_length(expected), "line %zu", line);
  cr_assert_arr_eq(prompt.data, json_string_value(expected), prompt.size);
  text_ids ids = {0};
  OK(text_encode(tokenizer, prompt.data, prompt.size, (text_encode_options){.parse_special = true, .add_special = true},
                 &ids));
  same_ids(&ids, json_object_get(item, "prompt_tokens"), line);
  text_stream_decoder decoder;
  text_stream_decoder_init(&decoder, tokenizer, (text_decode_options){.skip_special = true});
  const json_t *generated = json_object_get(item, "generated_tokens");
  for (size_t i = 0; i < json_array_size(generated); i++) {
    OK(text_stream_decoder_feed(&decoder, (int32_t)json_integer_value(json_array_get(generated, i)), &answer));
  }
  OK(text_stream_decoder_finish(&decoder, &answer));
  const json_t *text = json_object_get(item, "text");
  cr_assert_eq(answer.size, json_string_length(text), "line %zu", line);
  cr_assert_arr_eq(answer.data, json_string_value(text), answer.size);
  text_ids_deinit(&ids);
  text_buffer_deinit(&prompt);
  text_buffer_deinit(&answer);
  text_template_release(template);
}

Test(reference, chats) {
  text_tokenizer *tokenizer = open_smollm2();
  if (!tokenizer) cr_skip_test("SmolLM2-135M-Instruct.Q4_1.gguf is not below WEIR_HOME/models");
  cr_assert_eq(each_line(DATA "smollm2_chats.jsonl", tokenizer, check_chat), 6);
  cr_assert(text_tokenizer_is_stop(tokenizer, 2));
  text_tokenizer_release(tokenizer);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

Test(reference, opening_a_blob_is_fast) {
  const char *path = find_model("SmolLM2-135M-Instruct.Q4_1.gguf", "");
  if (!path) cr_skip_test("SmolLM2-135M-Instruct.Q4_1.gguf is not below WEIR_HOME/models");
  text_buffer description = {0}, blob = {0};
  describe_gguf(path, &description);
  OK(text_tokenizer_pack(description.data, description.size, &blob));
  double best = 1;
  for (int i = 0; i < 5; i++) {
    text_tokenizer *tokenizer = NULL;
    double start = seconds();
    OK(text_tokenizer_open(blob.data, blob.size, &tokenizer));
    double taken = seconds() - start;
    if (taken < best) best = taken;
    text_tokenizer_release(tokenizer);
  }
  cr_log_info("blob of %zu bytes opens in %.2f ms", blob.size, 1e3 * best);
  cr_assert_lt(best, 0.1, "%.1f ms",
               1e3 * best);  // 1 ms on an idle machine; generous for sanitizers and shared runners
  text_buffer_deinit(&blob);
  text_buffer_deinit(&description);
}
