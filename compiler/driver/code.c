// What a diagnostic's code means: the rule, a text that is refused with it, the text mended.
#include <ctype.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/lang/diag_example.h"

bool cli_is_code(const char *text) {
  if (*text != 'W' || strlen(text) != 5) return false;
  for (int i = 1; i < 5; i++) {
    if (!isdigit((unsigned char)text[i])) return false;
  }
  return true;
}

static void print_indented(const char *text, size_t length) {
  for (const char *end = text + length; text < end;) {
    size_t line = strcspn(text, "\n");
    printf(line ? "    %.*s\n" : "\n", (int)line, text);
    text += line + 1;
  }
}

static json_t *text_json(const lang_example_text *text) { return json_stringn_nocheck(text->text, text->length); }

int cli_explain_code(cli *c, const char *text) {
  lang_diag_code code;
  if (!lang_diag_find(text, &code)) return cli_usage(c, "there is no error code '%s'", text);
  lang_diag_example example;
  bool has_example = lang_diag_example_find(code, &example);
  const char *severity = lang_severity_text(lang_diag_severity(code));
  if (c->json) {
    json_t *document = json_pack("{s:s,s:s,s:s,s:s}", "code", lang_diag_text(code), "name", lang_diag_name(code),
                                 "severity", severity, "explanation", lang_diag_explanation(code));
    if (has_example) {
      json_object_set_new(document, "example", text_json(&example.wrong));
      json_object_set_new(document, "mend", text_json(&example.mend));
    }
    return cli_json(c, document);
  }
  printf("%s %s: %s\n\n%s\n", severity, lang_diag_text(code), lang_diag_name(code), lang_diag_explanation(code));
  if (has_example) {
    printf("\nRefused:\n\n");
    print_indented(example.wrong.text, example.wrong.length);
    printf("\nRight:\n\n");
    print_indented(example.mend.text, example.mend.length);
  }
  return CLI_DONE;
}
