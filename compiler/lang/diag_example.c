// The examples of diagnostics: finds them in the embedded text. The text is ours and well formed (a test reads all of
// it), so what does not parse here is simply not found.
#include "compiler/lang/diag_example.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/lang/text.h"

extern const char lang_diag_examples[];  // generated from diag_examples.txt

// The text behind the head line at |head|, up to the next head line.
static lang_example_text section_at(const char *head, size_t mark_length) {
  lang_example_text section = {.options = head + mark_length};
  section.options_length = strcspn(section.options, "\n");
  section.text = section.options + section.options_length + 1;
  const char *end = section.text;
  while (*end && strncmp(end, "=== ", 4) && strncmp(end, "--- mend", 8)) {
    end += strcspn(end, "\n");
    end += *end == '\n';
  }
  section.length = (size_t)(end - section.text);
  return section;
}

bool lang_diag_example_find(lang_diag_code code, lang_diag_example *out) {
  char mark[16] = "\n=== ";
  strcat(mark, lang_diag_text(code));
  const char *head = strstr(lang_diag_examples, mark);
  if (!head) return false;
  out->wrong = section_at(head + 1, strlen(mark) - 1);
  const char *behind = out->wrong.text + out->wrong.length;
  if (strncmp(behind, "--- mend", 8)) return false;
  out->mend = section_at(behind, 8);
  return true;
}

// <<300:words>> or <<byte E9>>, of |length| bytes between its signs.
static void put_escape(lang_text_out *out, const char *inside, size_t length) {
  if (!strncmp(inside, "byte ", 5)) {
    lang_text_put(out, (char)strtol(inside + 5, NULL, 16));
    return;
  }
  char *colon;
  long count = strtol(inside, &colon, 10);
  size_t head = (size_t)(colon - inside) + 1;
  for (long i = 0; i < count; i++) {
    for (size_t k = head; k < length; k++) lang_text_put(out, inside[k]);
  }
}

char *lang_example_expand(weir_arena *arena, const lang_example_text *text, size_t *out_length) {
  lang_text_out out = {.arena = arena};
  const char *end = text->text + text->length;
  for (const char *p = text->text; p < end; p++) {
    const char *close = strncmp(p, "<<", 2) ? NULL : strstr(p, ">>");
    if (close && close < end) {
      put_escape(&out, p + 2, (size_t)(close - p - 2));
      p = close + 1;
    } else {
      lang_text_put(&out, *p);
    }
  }
  *out_length = out.count;
  return lang_text_take(&out);
}
