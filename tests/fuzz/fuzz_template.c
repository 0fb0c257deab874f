// Chat templates: any source against one conversation, with small limits.
#include "tests/fuzz/harness.h"

#include "runtime/text/template.h"

static const char variables_text[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\" s \"},{\"role\":\"user\",\"content\":\"Hi "
    "\\u00e9\"},{\"role\":\"assistant\",\"content\":"
    "\"<think>a</"
    "think>b\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1.5}}}]}],\"tools\":[{\"function\":{"
    "\"name\":\"f\","
    "\"parameters\":{\"properties\":{\"x\":{\"type\":\"string\"}}}}}],\"bos_token\":\"<s>\",\"eos_token\":\"</"
    "s>\",\"add_generation_prompt\":true,"
    "\"items\":[\"a\",2,null],\"mapping\":{\"z\":1},\"users\":[{\"name\":\"al\",\"age\":3,\"tags\":[]}],\"root\":{"
    "\"name\":\"r\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  text_template *template = NULL;
  text_buffer out = {0};
  text_template_limits limits = {
      .max_steps = 20000, .max_output_bytes = 1 << 16, .max_memory_bytes = 4 << 20, .now_unix = 1};
  weir_status status = text_template_create((const char *)data, size, &template);
  if (!status) {
    json_t *variables = json_loads(variables_text, 0, NULL);
    status = text_template_render(template, variables, &limits, &out);
    json_decref(variables);
  }
  weir_status_release(status);
  text_template_release(template);
  text_buffer_deinit(&out);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const char *const names[] = {
      "chatml_default_system", "header_tools", "think_namespace", "inst_alternate", "turns_multimodal",
      "macros_schema",         "whitespace",   "expressions",     "loops",          "filters"};
  if (index < 0 || index >= (int)(sizeof names / sizeof names[0])) return 0;
  char path[512];
  snprintf(path, sizeof path, WEIR_SOURCE_DIR "/tests/data/text/templates/%s.jinja", names[index]);
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  size_t size = fread(buffer, 1, capacity, file);
  fclose(file);
  return size;
}
