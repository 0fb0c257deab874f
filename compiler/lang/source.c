// Sources and spans. Lines are found once when a source is made; a span's lines come from a binary search over their
// starts, so that scanner and tools agree on every place and nothing has to count while it reads.
#include "compiler/lang/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static weir_status too_long(const char *path) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "%s is longer than %zu MiB", path, LANG_MAX_SOURCE_BYTES >> 20);
}

// Takes a |text| that already lives in the arena.
static lang_source *source_build(weir_arena *arena, int32_t id, const char *path, const char *text, size_t length) {
  lang_source *source = WEIR_NEW(arena, lang_source);
  source->id = id;
  source->path = weir_arena_strdup(arena, path);
  source->text = text;
  source->length = length;
  int32_t count = 1;
  for (size_t i = 0; i < length; i++) count += text[i] == '\n';
  uint32_t *lines = WEIR_NEW_ARRAY(arena, uint32_t, count);
  int32_t line = 1;
  for (size_t i = 0; i < length; i++)
    if (text[i] == '\n') lines[line++] = (uint32_t)(i + 1);
  source->lines = lines;
  source->line_count = count;
  return source;
}

weir_status lang_source_make(weir_arena *arena, int32_t id, const char *path, const char *text, size_t length,
                             lang_source **out_source) {
  if (length > LANG_MAX_SOURCE_BYTES) return too_long(path);
  *out_source = source_build(arena, id, path, weir_arena_strndup(arena, text, length), length);
  return WEIR_OK;
}

static weir_status file_read(weir_arena *arena, FILE *file, const char *path, char **out_text, size_t *out_length) {
  struct stat facts;
  if (fstat(fileno(file), &facts) != 0) return weir_status_errno(errno, "cannot read %s", path);
  if (!S_ISREG(facts.st_mode)) return weir_status_make(WEIR_CODE_INVALID_DATA, "%s is no regular file", path);
  if (facts.st_size < 0 || (uint64_t)facts.st_size > LANG_MAX_SOURCE_BYTES) return too_long(path);
  size_t size = (size_t)facts.st_size;
  char *text = weir_arena_alloc(arena, size + 1);
  *out_length = fread(text, 1, size, file);
  if (ferror(file)) return weir_status_errno(errno, "cannot read %s", path);
  *out_text = text;
  return WEIR_OK;
}

weir_status lang_source_read(weir_arena *arena, int32_t id, const char *path, lang_source **out_source) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe without a writer must not hang
  if (fd < 0) return weir_status_errno(errno, "cannot read %s", path);
  FILE *file = fdopen(fd, "rb");
  if (!file) {
    weir_status failed = weir_status_errno(errno, "cannot read %s", path);
    close(fd);
    return failed;
  }
  char *text = NULL;
  size_t length = 0;
  weir_status status = file_read(arena, file, path, &text, &length);
  fclose(file);
  if (status) return status;
  *out_source = source_build(arena, id, path, text, length);
  return WEIR_OK;
}

const char *lang_source_line(const lang_source *source, int32_t line, size_t *out_length) {
  *out_length = 0;
  if (line < 1 || line > source->line_count) return "";
  size_t begin = source->lines[line - 1];
  size_t end = line < source->line_count ? source->lines[line] - 1 : source->length;
  if (end > begin && source->text[end - 1] == '\r') end--;
  *out_length = end - begin;
  return source->text + begin;
}

static void place_find(const lang_source *source, size_t offset, int32_t *out_line, int32_t *out_column) {
  int32_t low = 0, high = source->line_count;  // the line is in [low, high)
  while (high - low > 1) {
    int32_t middle = low + (high - low) / 2;
    if (source->lines[middle] <= offset) low = middle;
    else high = middle;
  }
  int32_t column = 1;
  for (size_t i = source->lines[low]; i < offset; i++) column += ((unsigned char)source->text[i] & 0xC0) != 0x80;
  *out_line = low + 1;
  *out_column = column;
}

lang_span lang_source_span(const lang_source *source, size_t begin, size_t end) {
  if (end > source->length) end = source->length;
  if (begin > end) begin = end;
  lang_span span = {.file = source->id, .begin = (uint32_t)begin, .end = (uint32_t)end};
  place_find(source, begin, &span.first_line, &span.first_column);
  place_find(source, end, &span.last_line, &span.last_column);
  return span;
}

bool lang_source_blank_above(const lang_source *source, uint32_t offset) {
  int newlines = 0;
  while (offset > 0) {
    char c = source->text[--offset];
    if (c == '\n') newlines++;
    else if (c != ' ' && c != '\t' && c != '\r') return newlines > 1;
  }
  return false;
}

// No overlong forms, no surrogates, nothing above U+10FFFF.
size_t lang_utf8_length(const char *text, size_t left) {
  const unsigned char *t = (const unsigned char *)text;
  if (t[0] < 0x80) return 1;
  size_t length = t[0] >= 0xF0 ? 4 : t[0] >= 0xE0 ? 3 : 2;
  if (t[0] < 0xC2 || t[0] > 0xF4 || left < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((t[i] & 0xC0) != 0x80) return 0;
  if ((t[0] == 0xE0 && t[1] < 0xA0) || (t[0] == 0xED && t[1] > 0x9F)) return 0;
  if ((t[0] == 0xF0 && t[1] < 0x90) || (t[0] == 0xF4 && t[1] > 0x8F)) return 0;
  return length;
}
