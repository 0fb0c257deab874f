// Writing a package: sections are streamed one after the other into a temporary file, which takes its name when it is
// complete.
//
// Until commit nothing is visible under the final name; any failure, a full disk too, leaves nothing behind. The bytes
// depend on the sections and their order alone: no times, no paths, no random numbers. After a failure every later call
// returns a copy of its message and commit fails. One thread at a time.
#ifndef WEIR_CODEGEN_PACKAGE_WRITER_H
#define WEIR_CODEGEN_PACKAGE_WRITER_H

#include <stdint.h>

#include "codegen/package/sign.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"

typedef struct cg_package_writer cg_package_writer;

weir_status cg_package_create(const char *path, cg_package_writer **out_writer) WEIR_MUST_USE;

// A whole section. INVALID_ARGUMENT: a bad name, or one that is there already.
weir_status cg_package_add(cg_package_writer *writer, const char *name, const void *data, size_t bytes) WEIR_MUST_USE;
// A section in pieces: begin, append as often as needed, end.
weir_status cg_package_begin(cg_package_writer *writer, const char *name) WEIR_MUST_USE;
weir_status cg_package_append(cg_package_writer *writer, const void *data, size_t bytes) WEIR_MUST_USE;
weir_status cg_package_end(cg_package_writer *writer) WEIR_MUST_USE;

// Weights: opens the section `weights`, takes weights one by one (each placed at the next multiple of 64), closes it
// and adds `weights.index`. Text fields are words of printable characters without spaces; |dims| as in "49152x576", "-"
// for a scalar.
weir_status cg_package_weights_begin(cg_package_writer *writer) WEIR_MUST_USE;
weir_status cg_package_weight(cg_package_writer *writer, const char *key, const char *storage, const char *layout,
                              const char *dims, const void *data, size_t bytes) WEIR_MUST_USE;
weir_status cg_package_weights_end(cg_package_writer *writer) WEIR_MUST_USE;

// Commit will sign with |key|, which must live until then. Signed or not, the identity is the same.
void cg_package_sign(cg_package_writer *writer, const cg_signing_key *key);

// Writes table, header and signature, syncs, renames. Always ends the writer. |out_hash| (may be null) is the package's
// identity.
weir_status cg_package_commit(cg_package_writer *writer, uint64_t *out_bytes, weir_hash *out_hash) WEIR_MUST_USE;
// Removes every trace. Null is allowed.
void cg_package_discard(cg_package_writer *writer);

#endif
