// Status records: one allocation each, replaced as a whole when context is added.
#include "runtime/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct weir_status_record {
  weir_code code;
  char message[];
};

static struct {
  weir_code code;
  char message[16];
} out_of_memory = {WEIR_CODE_OUT_OF_MEMORY, "out of memory"};

static weir_status record_make(weir_code code, const char *tail, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  int head_length = vsnprintf(NULL, 0, fmt, again);
  va_end(again);
  if (head_length < 0) head_length = 0;
  size_t tail_length = tail ? strlen(tail) : 0;
  weir_status record = malloc(sizeof *record + (size_t)head_length + tail_length + 3);
  if (!record) return (weir_status)&out_of_memory;
  record->code = code;
  vsnprintf(record->message, (size_t)head_length + 1, fmt, args);
  if (tail) {
    memcpy(record->message + head_length, ": ", 2);
    memcpy(record->message + head_length + 2, tail, tail_length + 1);
  }
  return record;
}

weir_status weir_status_make(weir_code code, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  weir_status status = record_make(code, NULL, fmt, args);
  va_end(args);
  return status;
}

weir_status weir_status_errno(int error_number, const char *fmt, ...) {
  char text[128];
  // The GNU form returns the text, which need not be in the buffer.
  const char *reason = strerror_r(error_number, text, sizeof text);
  va_list args;
  va_start(args, fmt);
  weir_code code = error_number == ENOENT   ? WEIR_CODE_NOT_FOUND
                   : error_number == ENOMEM ? WEIR_CODE_OUT_OF_MEMORY
                                            : WEIR_CODE_IO;
  weir_status status = record_make(code, reason, fmt, args);
  va_end(args);
  return status;
}

weir_status weir_status_annotate(weir_status status, const char *fmt, ...) {
  if (!status || status == (weir_status)&out_of_memory) return status;
  va_list args;
  va_start(args, fmt);
  weir_status outer = record_make(status->code, status->message, fmt, args);
  va_end(args);
  weir_status_release(status);
  return outer;
}

weir_code weir_status_code(weir_status status) { return status ? status->code : WEIR_CODE_OK; }

const char *weir_status_message(weir_status status) { return status ? status->message : "ok"; }

const char *weir_code_name(weir_code code) {
  static const char *const names[] = {
      [WEIR_CODE_OK] = "ok",
      [WEIR_CODE_INVALID_ARGUMENT] = "invalid argument",
      [WEIR_CODE_INVALID_DATA] = "invalid data",
      [WEIR_CODE_NOT_FOUND] = "not found",
      [WEIR_CODE_OUT_OF_RANGE] = "out of range",
      [WEIR_CODE_OUT_OF_MEMORY] = "out of memory",
      [WEIR_CODE_UNSUPPORTED] = "unsupported",
      [WEIR_CODE_IO] = "i/o",
      [WEIR_CODE_CANCELLED] = "cancelled",
      [WEIR_CODE_INTERNAL] = "internal",
      [WEIR_CODE_DEVICE_LOST] = "device lost",
  };
  return names[code];
}

void weir_status_release(weir_status status) {
  if (status != (weir_status)&out_of_memory) free(status);
}

void weir_bug(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: bug: %s\n", file, line, what);
  abort();
}
