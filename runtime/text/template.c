// The public side of templates: compile, render, and the variables of a conversation.
#include "runtime/text/template.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/text/template_syntax.h"
#include "runtime/text/utf8.h"

enum { SOURCE_LIMIT = 1 << 20, TREE_LIMIT = 64 << 20, VALUE_NESTING = 60 };

struct text_template {
  text_pool pool, strings;  // source, tree and constants
  const text_node *root;
};

// ---- compile

// Line ends become \n, and one at the very end is dropped, as Jinja does.
static text_view normalize_lines(text_env *env, const char *source, size_t size) {
  char *out = text_env_alloc(env, size + 1);
  size_t count = 0;
  for (size_t i = 0; out && i < size; i++) {
    if (source[i] == '\r' && i + 1 < size && source[i + 1] == '\n') continue;
    out[count++] = source[i] == '\r' ? '\n' : source[i];
  }
  if (count && out[count - 1] == '\n') count--;
  return (text_view){out, count};
}

weir_status text_template_create(const char *source, size_t size, text_template **out) {
  if (size > SOURCE_LIMIT) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "a chat template of more than 1 MiB");
  if (text_utf8_valid_prefix(source, size) != size)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "the chat template is not UTF-8");
  text_template *tmpl = calloc(1, sizeof *tmpl);
  if (!tmpl) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a chat template");
  text_env env = {.memory_limit = TREE_LIMIT, .max_steps = SIZE_MAX, .max_bytes = SOURCE_LIMIT, .line = 1};
  text_view text = normalize_lines(&env, source, size);
  tmpl->root = env.status ? NULL : text_parse_template(&env, text);
  tmpl->pool = env.pool;
  tmpl->strings = env.strings;
  if (env.status) {
    text_template_release(tmpl);
    return env.status;
  }
  *out = tmpl;
  return WEIR_OK;
}

void text_template_release(text_template *tmpl) {
  if (!tmpl) return;
  text_pool_deinit(&tmpl->pool);
  text_pool_deinit(&tmpl->strings);
  free(tmpl);
}

// ---- variables

static text_value from_json(text_env *env, const json_t *json, int depth);

static text_value object_from_json(text_env *env, const json_t *json, int depth) {
  text_value dict = text_make_dict(env, TEXT_DICT);
  const char *key;
  size_t size;
  json_t *member;
  json_object_keylen_foreach((json_t *)json, key, size, member) {
    if (env->status) break;
    text_value value = from_json(env, member, depth + 1);
    // Keys of a JSON object are distinct: no search.
    text_dict *d = dict.dict;
    if (d->count == d->capacity) {
      size_t larger = d->capacity ? 2 * d->capacity : 8;
      text_pair *pairs = text_env_alloc(env, larger * sizeof *pairs);
      if (!pairs) break;
      if (d->count) memcpy(pairs, d->pairs, d->count * sizeof *pairs);
      d->pairs = pairs;
      d->capacity = larger;
    }
    d->pairs[d->count++] = (text_pair){text_string(key, size), value};
  }
  return dict;
}

static text_value from_json(text_env *env, const json_t *json, int depth) {
  if (depth > VALUE_NESTING) return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "the variables are nested too deeply");
  switch (json_typeof(json)) {
    case JSON_OBJECT:
      return object_from_json(env, json, depth);
    case JSON_STRING:
      return text_string(json_string_value(json), json_string_length(json));
    case JSON_INTEGER:
      return text_int(json_integer_value(json));
    case JSON_REAL:
      return text_real(json_real_value(json));
    case JSON_TRUE:
      return text_bool(true);
    case JSON_FALSE:
      return text_bool(false);
    case JSON_NULL:
      return text_none();
    default:
      break;
  }
  text_value list = text_make_list(env, TEXT_LIST);
  for (size_t i = 0; !env->status && i < json_array_size(json); i++)
    text_list_push(env, list.list, from_json(env, json_array_get(json, i), depth + 1));
  return list;
}

// ---- render

weir_status text_template_render(const text_template *tmpl, const json_t *variables, const text_template_limits *limits,
                                 text_buffer *out) {
  text_template_limits use = limits ? *limits : (text_template_limits){0};
  if (!json_is_object(variables))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "a template's variables are an object");
  text_buffer text = {0};
  text_env env = {.memory_limit = use.max_memory_bytes ? use.max_memory_bytes : (size_t)256 << 20,
                  .out = &text,
                  .max_steps = use.max_steps ? use.max_steps : 4000000,
                  .max_bytes = use.max_output_bytes ? use.max_output_bytes : (size_t)16 << 20,
                  .line = 1,
                  .now_unix = use.now_unix ? use.now_unix : (int64_t)time(NULL)};
  text_scope globals = {0}, top = {.parent = &globals};
  text_value root = from_json(&env, variables, 0);
  if (!env.status) globals.names = *root.dict;
  env.scope = &top;
  if (!env.status) text_exec_template(&env, tmpl->root);
  if (!env.status) env.status = text_buffer_append(out, text.data, text.size);
  text_buffer_deinit(&text);
  text_pool_deinit(&env.pool);
  text_pool_deinit(&env.strings);
  return env.status;
}

static json_t *token_text(const text_tokenizer *tokenizer, int32_t id) {
  text_view bytes = text_tokenizer_token_bytes(tokenizer, id);
  return json_stringn(bytes.bytes, bytes.size);
}

weir_status text_template_render_chat(const text_template *tmpl, const text_tokenizer *tokenizer, const text_chat *chat,
                                      const text_template_limits *limits, text_buffer *out) {
  if (!json_is_array(chat->messages))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the messages of a chat are an array");
  text_special_ids ids = text_tokenizer_special_ids(tokenizer);
  const struct {
    const char *name;
    int32_t id;
  } tokens[] = {{"bos_token", ids.bos}, {"eos_token", ids.eos}, {"unk_token", ids.unk},  {"pad_token", ids.pad},
                {"sep_token", ids.sep}, {"cls_token", ids.cls}, {"mask_token", ids.mask}};
  json_t *variables = json_object();
  json_object_set(variables, "messages", (json_t *)chat->messages);
  if (chat->tools) json_object_set(variables, "tools", (json_t *)chat->tools);
  json_object_set_new(variables, "add_generation_prompt", json_boolean(chat->add_generation_prompt));
  for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
    if (tokens[i].id >= 0) json_object_set_new(variables, tokens[i].name, token_text(tokenizer, tokens[i].id));
  }
  if (chat->extra) json_object_update(variables, (json_t *)chat->extra);
  weir_status status = text_template_render(tmpl, variables, limits, out);
  json_decref(variables);
  return status;
}
