// Status: how the world's failures travel (file, memory, device, network).
//
// A weir_status is one pointer-sized value. Null is success; anything else is an owned, heap-allocated record of a
// code, a message and the places it passed through. Every status that is not null must be handed on or released exactly
// once. The user's mistakes in model text are diagnostics (compiler/lang/diag.h), not statuses; our own bugs are
// WEIR_BUG. Nothing here prints, exits or jumps. Any thread may create and release statuses.
#ifndef WEIR_RUNTIME_BASE_STATUS_H
#define WEIR_RUNTIME_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_status_record *weir_status;

#define WEIR_MUST_USE __attribute__((warn_unused_result))
#define WEIR_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define WEIR_NEVER_NULL __attribute__((returns_nonnull))
#define WEIR_OK ((weir_status)0)

typedef enum {
  WEIR_CODE_OK = 0,
  WEIR_CODE_INVALID_ARGUMENT,  // the caller's value is wrong
  WEIR_CODE_INVALID_DATA,      // a file or message is malformed
  WEIR_CODE_NOT_FOUND,
  WEIR_CODE_OUT_OF_RANGE,
  WEIR_CODE_OUT_OF_MEMORY,
  WEIR_CODE_UNSUPPORTED,
  WEIR_CODE_IO,  // the operating system refused
  WEIR_CODE_CANCELLED,
  WEIR_CODE_INTERNAL,     // our bug, reported instead of aborting in release
  WEIR_CODE_DEVICE_LOST,  // nothing of a model works on its device any more; loading it anew may
} weir_code;

// Makes a status with a printf-style message. Never null: out of memory yields a static OUT_OF_MEMORY record.
weir_status weir_status_make(weir_code code, const char *fmt, ...) WEIR_PRINTF(2, 3) WEIR_MUST_USE WEIR_NEVER_NULL;

// Makes an IO status (NOT_FOUND for ENOENT) whose message ends with the text of |error_number|.
weir_status weir_status_errno(int error_number, const char *fmt, ...) WEIR_PRINTF(2, 3) WEIR_MUST_USE WEIR_NEVER_NULL;

// Puts "context: " before the message. Takes and returns ownership; null stays null.
weir_status weir_status_annotate(weir_status status, const char *fmt, ...) WEIR_PRINTF(2, 3) WEIR_MUST_USE;

weir_code weir_status_code(weir_status status);
// The message, valid until the status is released; "ok" for null.
const char *weir_status_message(weir_status status);
// A code's name in lower case: "invalid argument".
const char *weir_code_name(weir_code code);
// Null is allowed.
void weir_status_release(weir_status status);

// Hands a failure on. For functions that hold nothing; others use one `cleanup:` label.
#define WEIR_TRY(expr)                             \
  do {                                             \
    weir_status weir_try_status_ = (expr);         \
    if (weir_try_status_) return weir_try_status_; \
  } while (0)

// The same, with context.
#define WEIR_TRY_CTX(expr, ...)                                                       \
  do {                                                                                \
    weir_status weir_try_status_ = (expr);                                            \
    if (weir_try_status_) return weir_status_annotate(weir_try_status_, __VA_ARGS__); \
  } while (0)

// A state that no input can reach. Aborts in a debug build; in release it is undefined to go on, so callers that can
// return a status return weir_status_make(WEIR_CODE_INTERNAL, ...) after it.
void weir_bug(const char *file, int line, const char *what);
#ifdef NDEBUG
#define WEIR_BUG(what) ((void)0)
#else
#define WEIR_BUG(what) weir_bug(__FILE__, __LINE__, what)
#endif

#ifdef __cplusplus
}
#endif
#endif
