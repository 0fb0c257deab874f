// The weight index: text, one line for each weight, in the order of their places. First line: "weights COUNT".
#ifndef WEIR_RUNTIME_PACKAGE_WEIGHTS_INDEX_H
#define WEIR_RUNTIME_PACKAGE_WEIGHTS_INDEX_H

#include "runtime/package/package.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  rt_package_weight *weights;  // in the order of the file
  int *by_key;                 // indices, sorted by key
  int count;
  char *text;  // the strings
  size_t text_bytes;
} rt_weights_index;

// INVALID_DATA with the line: a count that is wrong, fields that are missing or malformed, places not aligned, out of
// order, overlapping or past |section_bytes|, a key twice.
weir_status rt_weights_index_parse(const weir_allocator *allocator, const char *text, size_t length,
                                   size_t section_bytes, rt_weights_index *out_index) WEIR_MUST_USE;
void rt_weights_index_deinit(const weir_allocator *allocator, rt_weights_index *index);

#ifdef __cplusplus
}
#endif
#endif
