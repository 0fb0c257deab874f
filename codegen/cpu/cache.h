// The cache of object code: a folder of files that are named by what went into them.
//
// An entry is the file followed by 40 bytes, which linkers and loaders ignore: a mark and the BLAKE2b hash of what is
// before it. It appears by rename; one that is cut or damaged counts as absent. The time of last change says when it
// was last used. Processes may share the folder, and deleting it is always safe.
#ifndef WEIR_CODEGEN_CPU_CACHE_H
#define WEIR_CODEGEN_CPU_CACHE_H

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"

// Where the entry with this name lies: "FOLDER/HEX.SUFFIX".
const char *cg_cache_path(weir_arena *arena, const char *folder, const weir_hash *key, const char *suffix);
// Whether a whole entry lies at |path|; it counts as used now.
bool cg_cache_check(const char *path, int64_t *out_bytes);
// The file |built|, on the same file system, becomes the entry |path|.
weir_status cg_cache_write(const char *built, const char *path, int64_t *out_bytes) WEIR_MUST_USE;
// Removes the entries used longest ago until at most |most_bytes| are left. Those that were used within ten minutes
// stay: another process may be linking them.
void cg_cache_trim(const char *folder, int64_t most_bytes);

// A folder "build-..." for work in progress below |folder|, and its end. Folders that killed processes left behind go
// after an hour.
weir_status cg_cache_work_begin(weir_arena *arena, const char *folder, const char **out_path) WEIR_MUST_USE;
void cg_cache_work_end(const char *path);

#endif
