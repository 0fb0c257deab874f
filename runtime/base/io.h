// Files: read-only mappings, whole-file reads, atomic writes, folders, advisory locks.
//
// Messages name the path. A missing file is NOT_FOUND, other refusals of the system (no space, no permission) are IO.
// Short reads and writes and EINTR are handled here. Nothing here keeps state between calls; a handle belongs to one
// thread at a time.
#ifndef WEIR_RUNTIME_BASE_IO_H
#define WEIR_RUNTIME_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// A file mapped read-only. |data| is page aligned and never null after a successful open, even for an empty file.
// Whoever truncates the file while it is mapped makes reads fail with SIGBUS: callers map only files that are replaced
// by rename, never written in place.
typedef struct {
  const uint8_t *data;
  size_t size;
} weir_map;

// INVALID_ARGUMENT if |path| is no regular file.
weir_status weir_map_open(const char *path, weir_map *out_map) WEIR_MUST_USE;
// Unmaps and clears. A cleared map is allowed.
void weir_map_close(weir_map *map);

// Reads all of |path| into memory from malloc, with a NUL behind the last byte that |out_size| does not count. The
// caller frees it. OUT_OF_RANGE if the file is larger than |max_bytes|. Pipes and devices are read to their end, up to
// |max_bytes|.
weir_status weir_file_read(const char *path, size_t max_bytes, char **out_data, size_t *out_size) WEIR_MUST_USE;

// A file being written beside its final place: nothing is visible under |path| until commit, which syncs the data and
// renames; until then the old file, if any, stays. Discard removes every trace. Exactly one of commit and discard ends
// it; commit that fails discards.
typedef struct {
  int fd;
  char *path;
  char *temporary;
  uint64_t size_bytes;  // written so far
} weir_atomic_file;

// IO if |path| is there and no regular file: a folder, a device, a pipe.
weir_status weir_atomic_file_open(const char *path, weir_atomic_file *out_file) WEIR_MUST_USE;
// Appends.
weir_status weir_atomic_file_write(weir_atomic_file *file, const void *data, size_t bytes) WEIR_MUST_USE;
// Overwrites bytes that were appended before; OUT_OF_RANGE past |size_bytes|.
weir_status weir_atomic_file_write_at(weir_atomic_file *file, uint64_t offset, const void *data,
                                      size_t bytes) WEIR_MUST_USE;
weir_status weir_atomic_file_commit(weir_atomic_file *file) WEIR_MUST_USE;
void weir_atomic_file_discard(weir_atomic_file *file);

// All three steps at once.
weir_status weir_file_write_atomic(const char *path, const void *data, size_t bytes) WEIR_MUST_USE;

// Makes |path| and its missing parents (mode 0777 and umask). A folder that exists is success.
weir_status weir_make_dirs(const char *path) WEIR_MUST_USE;
bool weir_file_exists(const char *path);
bool weir_is_dir(const char *path);

// An advisory lock on |path| (created if missing, never removed): two processes that build the same thing take it, then
// look again whether the other has built it. Released by weir_lock_release or by the end of the process. Not inherited
// across exec.
typedef struct {
  int fd;  // -1: not held
} weir_lock;

// Waits until the lock is free.
weir_status weir_lock_take(const char *path, weir_lock *out_lock) WEIR_MUST_USE;
// Does not wait: |out_lock->fd| is -1 when another holds it.
weir_status weir_lock_try(const char *path, weir_lock *out_lock) WEIR_MUST_USE;
// A lock that is not held is allowed.
void weir_lock_release(weir_lock *lock);

#ifdef __cplusplus
}
#endif
#endif
