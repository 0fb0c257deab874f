// weir chat: a conversation with a language model.
//
// Every turn renders the whole conversation by the model's template and feeds what the session has not seen yet: the
// session is cut back to the longest common beginning, so that any template is right. The answer is printed as it
// grows, whole characters only.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/driver/lm.h"
#include "runtime/text/sampler.h"
#include "runtime/text/template.h"

typedef struct {
  cli *c;
  cli_model model;
  cli_lm lm;
  text_template *template;  // null: the model has none
  text_sampler *sampler;
  json_t *messages;
  text_ids seen;  // what the session holds
  int64_t most;   // tokens of an answer
  uint64_t seed;
  // of the last answer
  text_ids prompt, tokens;
  text_buffer text;
  bool stopped;
  double first_token_s, prefill_s, decode_s;
  int64_t prefilled;
} conversation;

static int read_sampling(conversation *t) {
  cli *c = t->c;
  text_sampler_config config;
  text_sampler_config_init(&config);
  double temperature = 0.2, top_p = 0.9, min_p = 0, penalty = 1;
  int64_t top_k = 0, seed = 0;
  if (!cli_float(c, "temperature", 0, 100, &temperature) || !cli_float(c, "top_p", 1e-6, 1, &top_p) ||
      !cli_float(c, "min_p", 0, 1, &min_p) || !cli_float(c, "repetition_penalty", 1e-3, 1e3, &penalty) ||
      !cli_int(c, "top_k", 0, INT32_MAX, &top_k) || !cli_int(c, "seed", 0, INT64_MAX, &seed) ||
      !cli_int(c, "tokens", 1, INT32_MAX, &t->most)) {
    return CLI_USAGE;
  }
  config.temperature = (float)temperature;
  config.top_p = (float)top_p;
  config.min_p = (float)min_p;
  config.repetition_penalty = (float)penalty;
  config.top_k = (int32_t)top_k;
  config.seed = t->seed = (uint64_t)seed;
  int code = cli_fail(c, text_sampler_create(&config, t->lm.vocab, &t->sampler));
  t->lm.sampler = t->sampler;
  return code;
}

// ---- messages

static void add_message(conversation *t, const char *role, const char *text, size_t size) {
  json_array_append_new(t->messages, json_pack("{s:s,s:o}", "role", role, "content", cli_json_text(text, size)));
}

static int check_message(cli *c, size_t i, const json_t *message) {
  const char *role = json_string_value(json_object_get(message, "role"));
  if (!role) return cli_error(c, "message %zu has no role", i);
  if (!json_is_string(json_object_get(message, "content"))) return cli_error(c, "message %zu has no content", i);
  return CLI_DONE;
}

static int read_messages(conversation *t, const char *path) {
  cli *c = t->c;
  const char *text;
  size_t size;
  int code = cli_read_file(c, path, &text, &size);
  if (code) return code;
  json_error_t error;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!root) return cli_error(c, "%s:%d:%d: %s", path, error.line, error.column, error.text);
  // A list, or an object that holds one, as requests to servers do.
  const json_t *list = json_is_object(root) ? json_object_get(root, "messages") : root;
  if (!json_is_array(list) || !json_array_size(list)) code = cli_error(c, "%s holds no list of messages", path);
  for (size_t i = 0; !code && i < json_array_size(list); i++) {
    code = check_message(c, i, json_array_get(list, i));
    if (!code) json_array_append(t->messages, json_array_get(list, i));
  }
  json_decref(root);
  return code;
}

// ---- one answer

static weir_status render(conversation *t, text_ids *out) {
  text_buffer text = {0};
  text_encode_options options = {.parse_special = true};
  weir_status status = WEIR_OK;
  if (t->template) {
    text_chat chat = {.messages = t->messages, .add_generation_prompt = true};
    status = text_template_render_chat(t->template, t->model.tokenizer, &chat, NULL, &text);
  } else {  // a model that only continues text
    options = (text_encode_options){.add_special = true};
    for (size_t i = 0; i < json_array_size(t->messages) && !status; i++) {
      const json_t *content = json_object_get(json_array_get(t->messages, i), "content");
      status = text_buffer_append(&text, json_string_value(content), json_string_length(content));
    }
  }
  if (!status) status = text_encode(t->model.tokenizer, text.data, text.size, options, out);
  text_buffer_deinit(&text);
  if (!status && !out->count) status = weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the prompt is empty");
  return status;
}

static weir_status open_session(conversation *t, int64_t rows) {
  if (rows > t->lm.bound) rows = t->lm.bound;
  if (t->lm.session) return cli_lm_room(&t->lm, rows);
  weir_capacity capacity = {weir_entry_symbol(t->lm.step, 0).name, rows};
  return weir_session_open(t->model.model, &capacity, 1, &t->lm.session);
}

// Brings the session to hold the prompt, and the logits after it.
static weir_status take_prompt(conversation *t) {
  text_ids *prompt = &t->prompt;
  if ((int64_t)prompt->count >= t->lm.bound) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                            "the prompt has %zu tokens and the model takes %lld with the answer", prompt->count,
                            (long long)t->lm.bound);
  }
  WEIR_TRY(open_session(t, (int64_t)prompt->count + t->most));
  size_t same = 0;
  while (same < t->seen.count && same + 1 < prompt->count && t->seen.data[same] == prompt->data[same]) same++;
  if (same < t->seen.count) WEIR_TRY(weir_session_truncate(t->lm.session, NULL, (int64_t)same));
  t->seen.count = same;
  t->prefilled = (int64_t)(prompt->count - same);
  WEIR_TRY(cli_lm_feed(&t->lm, prompt->data + same, prompt->count - same));
  for (size_t i = same; i < prompt->count; i++) WEIR_TRY(text_ids_append(&t->seen, prompt->data[i]));
  return WEIR_OK;
}

// Prints what has come since |*shown|.
static void show(conversation *t, size_t *shown) {
  if (t->c->json) return;
  cli_write(t->text.data + *shown, t->text.size - *shown);
  fflush(stdout);
  *shown = t->text.size;
}

static weir_status generate(conversation *t) {
  text_stream_decoder decoder;
  text_stream_decoder_init(&decoder, t->model.tokenizer, (text_decode_options){.skip_special = true});
  size_t shown = 0;
  double start = cli_now();
  for (int64_t made = 0;;) {
    int32_t id;
    WEIR_TRY(cli_lm_next(&t->lm, t->sampler, &id));
    WEIR_TRY(text_ids_append(&t->tokens, id));
    if (!made++) t->first_token_s = t->prefill_s + cli_now() - start;
    t->stopped = text_tokenizer_is_stop(t->model.tokenizer, id);
    if (t->stopped) break;
    WEIR_TRY(text_stream_decoder_feed(&decoder, id, &t->text));
    show(t, &shown);
    if (made >= t->most || (int64_t)t->seen.count + 1 >= t->lm.bound) break;
    WEIR_TRY(cli_lm_feed(&t->lm, &id, 1));
    WEIR_TRY(text_ids_append(&t->seen, id));
  }
  WEIR_TRY(text_stream_decoder_finish(&decoder, &t->text));
  show(t, &shown);
  t->decode_s = cli_now() - start;
  return WEIR_OK;
}

static weir_status answer(conversation *t) {
  text_ids_clear(&t->prompt);
  text_ids_clear(&t->tokens);
  text_buffer_clear(&t->text);
  WEIR_TRY(render(t, &t->prompt));
  text_sampler_reset(t->sampler, t->seed);
  double start = cli_now();
  WEIR_TRY(take_prompt(t));
  t->prefill_s = cli_now() - start;
  WEIR_TRY(text_sampler_see_prompt(t->sampler, t->prompt.data, t->prompt.count));
  return generate(t);
}

// ---- results

static json_t *ids_json(const text_ids *ids) {
  json_t *list = json_array();
  for (size_t i = 0; i < ids->count; i++) json_array_append_new(list, json_integer(ids->data[i]));
  return list;
}

static double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

static json_t *answer_json(const conversation *t) {
  size_t steps = t->tokens.count ? t->tokens.count - 1 : 0;
  json_t *timings = json_pack("{s:f,s:f,s:f,s:f}", "load_s", t->model.load_seconds, "first_token_s", t->first_token_s,
                              "prefill_tokens_per_s", rate((double)t->prefilled, t->prefill_s), "decode_tokens_per_s",
                              rate((double)steps, t->decode_s));
  return json_pack("{s:o,s:o,s:o,s:s,s:o}", "prompt_tokens", ids_json(&t->prompt), "tokens", ids_json(&t->tokens),
                   "text", cli_json_text(t->text.data ? t->text.data : "", t->text.size), "finish_reason",
                   t->stopped ? "stop" : "length", "timings", timings);
}

static void tell_rates(const conversation *t) {
  size_t steps = t->tokens.count ? t->tokens.count - 1 : 0;
  cli_detail(t->c, "load %.2f s, first token %.3f s, %lld prompt tokens at %.0f/s, %zu tokens at %.1f/s",
             t->model.load_seconds, t->first_token_s, (long long)t->prefilled, rate((double)t->prefilled, t->prefill_s),
             t->tokens.count, rate((double)steps, t->decode_s));
}

// ---- the commands' two forms

static int one_answer(conversation *t) {
  weir_status status = answer(t);
  if (!t->c->json && t->text.size) cli_write("\n", 1);
  if (status) return cli_fail(t->c, status);
  if (t->c->json) return cli_json(t->c, answer_json(t));
  tell_rates(t);
  return CLI_DONE;
}

static int interactive(conversation *t) {
  cli *c = t->c;
  bool terminal = isatty(STDIN_FILENO);
  char *line = NULL;
  size_t room = 0;
  int code = CLI_DONE;
  if (terminal) cli_note(c, "an empty line ends the conversation");
  while (!code && !*c->cancel) {
    if (terminal) fputs(c->colour ? "\033[1m> \033[0m" : "> ", stderr);
    ssize_t length = getline(&line, &room, stdin);
    if (length > 0 && line[length - 1] == '\n') length--;
    if (length <= 0) break;
    add_message(t, "user", line, (size_t)length);
    code = one_answer(t);
    if (!code) add_message(t, "assistant", t->text.data ? t->text.data : "", t->text.size);
  }
  free(line);
  return *c->cancel ? CLI_CANCELLED : code;
}

static int open_conversation(conversation *t) {
  cli *c = t->c;
  int code = cli_model_open(c, c->arguments[0], true, &t->model);
  if (!code) code = cli_lm_open(c, &t->model, &t->lm);
  if (!code) code = read_sampling(t);
  if (code) return code;
  text_view template = text_tokenizer_chat_template(t->model.tokenizer);
  if (!template.size) {
    cli_note(c, "this model has no chat template; it continues the text");
    return CLI_DONE;
  }
  return cli_fail(c, text_template_create(template.bytes, template.size, &t->template));
}

static int talk(conversation *t) {
  cli *c = t->c;
  const char *prompt = cli_text(c, "prompt"), *system = cli_text(c, "system"), *messages = cli_text(c, "messages");
  if (system) add_message(t, "system", system, strlen(system));
  if (messages) {
    int code = read_messages(t, messages);
    if (code) return code;
  }
  if (prompt) add_message(t, "user", prompt, strlen(prompt));
  return prompt || messages ? one_answer(t) : interactive(t);
}

int cmd_chat(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  conversation t = {.c = c, .messages = json_array(), .most = 512};
  int code = open_conversation(&t);
  if (!code) code = talk(&t);
  json_decref(t.messages);
  text_template_release(t.template);
  text_sampler_release(t.sampler);
  text_ids_deinit(&t.seen);
  text_ids_deinit(&t.prompt);
  text_ids_deinit(&t.tokens);
  text_buffer_deinit(&t.text);
  cli_lm_close(&t.lm);
  cli_model_close(&t.model);
  return code;
}
