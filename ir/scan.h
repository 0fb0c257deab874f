// Tokens of the graph IR's text: what parse.c is made of.
//
// Every reader skips white space and comments first. Where it finds something else it records the first failure with
// line and column in |status| and returns false (null); the caller gives up. The text ends with a zero byte.
#ifndef WEIR_IR_SCAN_H
#define WEIR_IR_SCAN_H

#include "ir/graph.h"

enum { IR_SCAN_MAX_WORD = 1024 };

typedef struct {
  weir_arena *arena;
  ir_module *module;  // whose symbols dims may name
  const char *start, *at;
  char word[IR_SCAN_MAX_WORD];  // the last name read
  weir_status status;           // the first failure
} ir_scanner;

// Returns false.
bool ir_scan_fail(ir_scanner *p, const char *fmt, ...) WEIR_PRINTF(2, 3);
void ir_scan_space(ir_scanner *p);
// Peek looks, accept takes if there, expect fails if not there.
bool ir_scan_peek(ir_scanner *p, char c);
bool ir_scan_accept(ir_scanner *p, char c);
bool ir_scan_expect(ir_scanner *p, char c);
// Takes the keyword |word| if it is there.
bool ir_scan_word(ir_scanner *p, const char *word);
bool ir_scan_is_name_byte(const char *at);
// A name into p->word.
bool ir_scan_name(ir_scanner *p);
// A quoted string; a name, plain or quoted. In the arena; null on failure.
const char *ir_scan_string(ir_scanner *p);
const char *ir_scan_label(ir_scanner *p);
bool ir_scan_integer(ir_scanner *p, int64_t *out);
bool ir_scan_float(ir_scanner *p, double *out);
// lo ".." ["=" hi]; without hi INT64_MAX.
bool ir_scan_range(ir_scanner *p, int64_t *lo, int64_t *hi);
bool ir_scan_dim(ir_scanner *p, ir_dim *out);
bool ir_scan_dtype(ir_scanner *p, ir_dtype *out);
// "[" dim {"," dim} "]" into |dims|, which has room for IR_MAX_RANK.
bool ir_scan_dims(ir_scanner *p, int *count, ir_dim *dims);
bool ir_scan_type(ir_scanner *p, ir_type *out);

#endif
