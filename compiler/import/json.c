// JSON and names from files that are not trusted. The JSON library recurses with the text's nesting and allocates many
// times the text's size; so depth and size are bounded before it is called.
#include <string.h>

#include "compiler/import/builder.h"

// Follows strings and brackets only: what else is wrong the library finds.
static weir_status check_depth(const char *text, size_t size, size_t offset, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < size; i++) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') i++;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max_depth)
        return weir_status_make(WEIR_CODE_INVALID_DATA, "JSON at byte %zu is nested deeper than %d", offset + i,
                                max_depth);
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return WEIR_OK;
}

weir_status import_json_parse(const char *text, size_t size, size_t offset, int max_depth, json_t **out_root) {
  if (size > IMPORT_MAX_JSON)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "JSON of %zu bytes at byte %zu exceeds %d", size, offset,
                            (int)IMPORT_MAX_JSON);
  WEIR_TRY(check_depth(text, size, offset, max_depth));
  json_error_t error;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!root)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "JSON at byte %zu: %s",
                            offset + (size_t)(error.position > 0 ? error.position : 0), error.text);
  if (!json_is_object(root)) {
    json_decref(root);
    return weir_status_make(WEIR_CODE_INVALID_DATA, "JSON at byte %zu is no object", offset);
  }
  *out_root = root;
  return WEIR_OK;
}

weir_status import_name_take(weir_arena *arena, const char *what, const char *name, size_t length, size_t offset,
                             const char **out_name) {
  if (length > IMPORT_MAX_NAME)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "%s at byte %zu has %zu bytes, more than %d", what, offset, length,
                            (int)IMPORT_MAX_NAME);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < 32 || name[i] == 127)
      return weir_status_make(WEIR_CODE_INVALID_DATA, "%s at byte %zu has a control character", what, offset);
  *out_name = weir_arena_strndup(arena, name, length);
  return WEIR_OK;
}
