// Copies of packages in another shape: signed, with their weights inside or beside, without code.
//
// All sections that are not asked to change are the same bytes; so is the whole file when nothing is asked. What a copy
// says of its weights is in its manifest, so weights inside and beside make packages of different identity.
#ifndef WEIR_CODEGEN_PACKAGE_COPY_H
#define WEIR_CODEGEN_PACKAGE_COPY_H

#include "codegen/package/sign.h"
#include "runtime/base/arena.h"

typedef enum {
  CG_WEIGHTS_AS_THEY_ARE,  // weights beside stay where they are: the copy names them by hash
  CG_WEIGHTS_INSIDE,
  CG_WEIGHTS_BESIDE,  // in the folder of the copy, as HASH.weights; a file of that name and size is left alone
} cg_weights_place;

typedef struct {
  cg_weights_place weights;
  const cg_signing_key *key;  // null: not signed
  bool without_code;          // no code objects and no C: for code that is linked
  const int *cancel;          // CANCELLED when it becomes non-zero; may be null
} cg_copy_options;

typedef struct {
  uint64_t bytes;            // of the package's file
  const char *weights_path;  // of the file beside, null where there is none; arena
  uint64_t weights_bytes;
} cg_copy_result;

// INVALID_ARGUMENT for CG_WEIGHTS_BESIDE where there are none. Nothing is left behind on failure, but weights beside
// that were complete.
weir_status cg_package_copy(weir_arena *arena, const rt_package *from, const char *to, const cg_copy_options *options,
                            cg_copy_result *out_result) WEIR_MUST_USE;

#endif
