// The template interpreter against what Jinja made of the same templates (tests/data/text/templates/cases.json, written
// by tests/tools/template_expect.py), and its limits.
#include <jansson.h>

#include "runtime/text/template.h"
#include "tests/unit/text/models.h"

#define FOLDER WEIR_SOURCE_DIR "/tests/data/text/templates/"

static weir_status render(const char *source, size_t size, const json_t *variables, const text_template_limits *limits,
                          text_buffer *out) {
  text_template *template = NULL;
  weir_status status = text_template_create(source, size, &template);
  if (!status) status = text_template_render(template, variables, limits, out);
  text_template_release(template);
  return status;
}

// The failure of a source without variables.
static weir_status failure_of(const char *source, const text_template_limits *limits) {
  json_t *none = json_object();
  text_buffer out = {0};
  weir_status status = render(source, strlen(source), none, limits, &out);
  cr_assert(status, "no failure from %s", source);
  cr_assert_eq(out.size, 0);
  text_buffer_deinit(&out);
  json_decref(none);
  return status;
}

static void fails_with(const char *source, weir_code code) {
  weir_status status = failure_of(source, NULL);
  cr_expect_eq(weir_status_code(status), code, "%.60s: %s", source, weir_status_message(status));
  weir_status_release(status);
}

static void check_case(size_t number, json_t *item) {
  const char *name = json_string_value(json_object_get(item, "template"));
  char path[512], *file = NULL;
  size_t size = json_string_length(json_object_get(item, "source"));
  const char *source = json_string_value(json_object_get(item, "source"));
  if (name) {
    snprintf(path, sizeof path, FOLDER "%s.jinja", name);
    source = file = read_whole(path, &size);
  }
  text_buffer out = {0};
  text_template_limits limits = {.now_unix = 1721984700};  // 2024-07-26 09:05:00
  weir_status status = render(source, size, json_object_get(item, "variables"), &limits, &out);
  const json_t *expected = json_object_get(item, "expected");
  const char *label = name ? name : source, *error = json_string_value(json_object_get(item, "error"));
  if (!expected) {
    cr_expect(status, "case %zu (%s): rendered '%.*s' where Jinja has %s", number, label, (int)out.size,
              out.data ? out.data : "", error);
    if (!strncmp(error, "TemplateError: ", 15))
      cr_expect(strstr(weir_status_message(status), error + 15), "case %zu: %s", number, weir_status_message(status));
  } else {
    cr_expect(!status, "case %zu (%s): %s", number, label, weir_status_message(status));
    bool same = out.size == json_string_length(expected) &&
                !memcmp(out.data ? out.data : "", json_string_value(expected), out.size);
    cr_expect(status || same, "case %zu (%s):\n%.*s\n--- not\n%s", number, label, (int)out.size,
              out.data ? out.data : "", json_string_value(expected));
  }
  weir_status_release(status);
  text_buffer_deinit(&out);
  free(file);
}

Test(template, renders_what_jinja_renders) {
  json_t *cases = json_load_file(FOLDER "cases.json", JSON_ALLOW_NUL, NULL), *item;
  size_t i;
  cr_assert_geq(json_array_size(cases), 200);
  json_array_foreach(cases, i, item) check_case(i, item);
  json_decref(cases);
}

Test(template, errors_name_the_line) {
  weir_status status = failure_of("a\nb\n{{ missing.x }}\n", NULL);
  cr_assert(strstr(weir_status_message(status), "line 3"), "%s", weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), "'missing' is undefined"), "%s", weir_status_message(status));
  weir_status_release(status);
}

Test(template, hostile_templates_end) {
  fails_with("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", WEIR_CODE_OUT_OF_RANGE);
  fails_with("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", WEIR_CODE_OUT_OF_RANGE);
  fails_with("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
             WEIR_CODE_OUT_OF_RANGE);
  fails_with(
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
      WEIR_CODE_OUT_OF_RANGE);
  fails_with("{% set ns = namespace() %}{% set ns.s = ns %}{{ ns }}", WEIR_CODE_OUT_OF_RANGE);
  fails_with("{% set x = 'a' * 9999999 %}{% set y = x * 9999 %}", WEIR_CODE_OUT_OF_RANGE);
  fails_with("{{ 9223372036854775807 + 1 }}", WEIR_CODE_OUT_OF_RANGE);
  fails_with("{{ 99999999999999999999 }}", WEIR_CODE_INVALID_DATA);
  fails_with(
      "{{ 'x'|indent('"
      "aaaaaaaaaaaaaaaa"
      "', true).nothing.more }}",
      WEIR_CODE_INVALID_DATA);
}

// |count| copies of |open|, then |middle|, then |count| of |close|.
static void nested_fails(const char *open, const char *middle, const char *close) {
  enum { COUNT = 20000 };
  text_buffer source = {0};
  for (int i = 0; i < COUNT; i++) OK(text_buffer_append(&source, open, strlen(open)));
  OK(text_buffer_append(&source, middle, strlen(middle)));
  for (int i = 0; i < COUNT; i++) OK(text_buffer_append(&source, close, strlen(close)));
  text_buffer out = {0};
  json_t *none = json_object();
  weir_status status = render(source.data, source.size, none, NULL, &out);
  cr_expect(status, "%s", open);
  weir_status_release(status);
  json_decref(none);
  text_buffer_deinit(&out);
  text_buffer_deinit(&source);
}

Test(template, deep_nesting_is_an_error) {
  nested_fails("{% if true %}", "x", "{% endif %}");
  nested_fails("{{ (", "1", ") }}");
  nested_fails("{{ [", "1", "] }}");
  nested_fails("{{ not ", "1", "}}");
  text_buffer source = {0};
  OK(text_buffer_append(&source, "{{ ", 3));
  for (int i = 0; i < 20000; i++) OK(text_buffer_append(&source, "- not (1 + ", 11));
  for (int i = 0; i < 20000; i++) OK(text_buffer_append(&source, "1 + ", 4));
  OK(text_buffer_append(&source, "1 }}", 5));
  weir_status status = failure_of(source.data, NULL);
  weir_status_release(status);
  text_buffer_deinit(&source);
}

Test(template, a_chain_too_long_to_evaluate_is_an_error) {
  text_buffer source = {0};
  OK(text_buffer_append(&source, "{{ 1", 4));
  for (int i = 0; i < 100000; i++) OK(text_buffer_append(&source, "+1", 2));
  OK(text_buffer_append(&source, " }}", 4));
  weir_status status = failure_of(source.data, NULL);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(status);
  text_buffer_deinit(&source);
}

Test(template, limits_are_kept) {
  text_template_limits few_steps = {.max_steps = 100}, little_output = {.max_output_bytes = 10},
                       little_memory = {.max_memory_bytes = 10000};
  weir_status steps = failure_of("{% for i in range(200) %}{% endfor %}", &few_steps);
  weir_status output = failure_of("twelve bytes", &little_output);
  weir_status memory = failure_of("{{ range(2000)|list|length }}", &little_memory);
  cr_assert_eq(weir_status_code(steps), WEIR_CODE_OUT_OF_RANGE);
  cr_assert_eq(weir_status_code(output), WEIR_CODE_OUT_OF_RANGE);
  cr_assert_eq(weir_status_code(memory), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(steps);
  weir_status_release(output);
  weir_status_release(memory);
}

Test(template, growing_a_string_is_linear) {
  json_t *none = json_object();
  text_buffer out = {0};
  const char source[] =
      "{% set ns = namespace(s='') %}{% for i in range(60000) %}{% set ns.s = ns.s + '0123456789abcdef' %}{% endfor "
      "%}{{ ns.s|length }}";
  text_template_limits limits = {.max_memory_bytes = 64 << 20};
  OK(render(source, sizeof source - 1, none, &limits, &out));
  cr_assert_eq(out.size, 6);
  cr_assert_arr_eq(out.data, "960000", 6);
  text_buffer_deinit(&out);
  json_decref(none);
}
