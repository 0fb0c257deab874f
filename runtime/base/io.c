// Files, over POSIX calls. Every system call that may be interrupted or transfer less than asked is in a loop here,
// once.
#include "runtime/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

// Where a mapping of an empty file points: the system does not map zero bytes.
static const uint8_t empty_file[1];

static int open_retry(const char *path, int flags, mode_t mode) {
  int fd;
  do fd = open(path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

weir_status weir_map_open(const char *path, weir_map *out_map) {
  *out_map = (weir_map){0};
  const int fd = open_retry(path, O_RDONLY | O_NONBLOCK, 0);
  if (fd < 0) return weir_status_errno(errno, "cannot open '%s'", path);
  weir_status status = WEIR_OK;
  struct stat info;
  if (fstat(fd, &info) != 0) {
    status = weir_status_errno(errno, "cannot examine '%s'", path);
  } else if (!S_ISREG(info.st_mode)) {
    status = weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' is no regular file", path);
  } else if (info.st_size == 0) {
    *out_map = (weir_map){empty_file, 0};
  } else {
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) status = weir_status_errno(errno, "cannot map '%s'", path);
    else *out_map = (weir_map){data, (size_t)info.st_size};
  }
  close(fd);
  return status;
}

void weir_map_close(weir_map *map) {
  if (map->data && map->data != empty_file) munmap((void *)(uintptr_t)map->data, map->size);
  *map = (weir_map){0};
}

// Reads until |capacity| bytes are there or the file ends. -1 with errno.
static ssize_t read_fully(int fd, char *data, size_t capacity) {
  size_t size = 0;
  while (size < capacity) {
    const ssize_t got = read(fd, data + size, capacity - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    size += (size_t)got;
  }
  return (ssize_t)size;
}

static weir_status read_to_end(int fd, const char *path, size_t guess, size_t max_bytes, char **out_data,
                               size_t *out_size) {
  char *data = NULL;
  size_t size = 0, capacity = guess;
  for (;;) {
    char *larger = realloc(data, capacity + 1);
    if (!larger) {
      free(data);
      return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes of '%s'", capacity, path);
    }
    data = larger;
    // One byte more than wanted shows that the file goes on.
    const ssize_t got = read_fully(fd, data + size, capacity + 1 - size);
    if (got < 0) {
      const int error = errno;
      free(data);
      return weir_status_errno(error, "cannot read '%s'", path);
    }
    size += (size_t)got;
    if (size <= capacity) break;
    if (capacity >= max_bytes) {
      free(data);
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "'%s' is larger than %zu bytes", path, max_bytes);
    }
    capacity = capacity < 4096 ? 4096 : 2 * capacity;
    if (capacity > max_bytes) capacity = max_bytes;
  }
  data[size] = 0;
  *out_data = data;
  *out_size = size;
  return WEIR_OK;
}

weir_status weir_file_read(const char *path, size_t max_bytes, char **out_data, size_t *out_size) {
  if (max_bytes > SIZE_MAX / 4) max_bytes = SIZE_MAX / 4;
  const int fd = open_retry(path, O_RDONLY, 0);
  if (fd < 0) return weir_status_errno(errno, "cannot open '%s'", path);
  weir_status status = WEIR_OK;
  struct stat info;
  if (fstat(fd, &info) != 0) status = weir_status_errno(errno, "cannot examine '%s'", path);
  else if (S_ISDIR(info.st_mode)) status = weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' is a folder", path);
  else if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > max_bytes)
    status = weir_status_make(WEIR_CODE_OUT_OF_RANGE, "'%s' is larger than %zu bytes", path, max_bytes);
  else status = read_to_end(fd, path, S_ISREG(info.st_mode) ? (size_t)info.st_size : 0, max_bytes, out_data, out_size);
  close(fd);
  return status;
}

weir_status weir_atomic_file_open(const char *path, weir_atomic_file *out_file) {
  *out_file = (weir_atomic_file){.fd = -1};
  struct stat info;
  // The rename at the end would put a file in the place of a device or a pipe; root may do that to /dev/null.
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
    return weir_status_make(WEIR_CODE_IO, "cannot write '%s': it is no regular file", path);
  weir_atomic_file file = {.fd = -1, .path = strdup(path)};
  if (!file.path) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a path");
  // A random name of our own instead of mkstemp: the file gets the permissions of the process's umask.
  for (int tries = 0; tries < 16 && file.fd < 0; tries++) {
    uint64_t tag = (uint64_t)getpid() << 32 | (uint64_t)tries;
    if (getrandom(&tag, sizeof tag, GRND_NONBLOCK) < 0) tag ^= (uint64_t)(uintptr_t)file.path;
    free(file.temporary);
    file.temporary = NULL;
    if (asprintf(&file.temporary, "%s.tmp-%016llx", path, (unsigned long long)tag) < 0) {
      file.temporary = NULL;
      weir_atomic_file_discard(&file);
      return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a path");
    }
    file.fd = open_retry(file.temporary, O_RDWR | O_CREAT | O_EXCL, 0666);
    if (file.fd < 0 && errno != EEXIST) break;
  }
  if (file.fd < 0) {
    const int error = errno;
    weir_atomic_file_discard(&file);
    return weir_status_errno(error, "cannot create '%s'", path);
  }
  *out_file = file;
  return WEIR_OK;
}

static weir_status write_fully(weir_atomic_file *file, uint64_t offset, const void *data, size_t bytes) {
  const uint8_t *at = data;
  while (bytes) {
    const ssize_t put = pwrite(file->fd, at, bytes, (off_t)offset);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return weir_status_errno(put < 0 ? errno : ENOSPC, "cannot write '%s'", file->path);
    at += put;
    offset += (uint64_t)put;
    bytes -= (size_t)put;
  }
  return WEIR_OK;
}

weir_status weir_atomic_file_write(weir_atomic_file *file, const void *data, size_t bytes) {
  WEIR_TRY(write_fully(file, file->size_bytes, data, bytes));
  file->size_bytes += bytes;
  return WEIR_OK;
}

weir_status weir_atomic_file_write_at(weir_atomic_file *file, uint64_t offset, const void *data, size_t bytes) {
  if (offset > file->size_bytes || bytes > file->size_bytes - offset)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "'%s': %zu bytes at %llu lie past the %llu written", file->path,
                            bytes, (unsigned long long)offset, (unsigned long long)file->size_bytes);
  return write_fully(file, offset, data, bytes);
}

void weir_atomic_file_discard(weir_atomic_file *file) {
  if (file->fd >= 0) {
    close(file->fd);
    unlink(file->temporary);
  }
  free(file->path);
  free(file->temporary);
  *file = (weir_atomic_file){.fd = -1};
}

// Makes a rename in the folder of |path| durable. File systems that cannot sync a folder answer EINVAL, which is no
// failure.
static weir_status sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
  if (!folder) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a path");
  weir_status status = WEIR_OK;
  const int fd = open_retry(folder, O_RDONLY | O_DIRECTORY, 0);
  // A folder that may be written but not read cannot be opened: the rename stands all the same.
  if (fd >= 0) {
    if (fsync(fd) != 0 && errno != EINVAL) status = weir_status_errno(errno, "cannot sync folder '%s'", folder);
    close(fd);
  }
  free(folder);
  return status;
}

weir_status weir_atomic_file_commit(weir_atomic_file *file) {
  if (fsync(file->fd) != 0 || rename(file->temporary, file->path) != 0) {
    weir_status status = weir_status_errno(errno, "cannot finish '%s'", file->path);
    weir_atomic_file_discard(file);
    return status;
  }
  close(file->fd);
  weir_status status = sync_folder(file->path);
  free(file->path);
  free(file->temporary);
  *file = (weir_atomic_file){.fd = -1};
  return status;
}

weir_status weir_file_write_atomic(const char *path, const void *data, size_t bytes) {
  weir_atomic_file file;
  WEIR_TRY(weir_atomic_file_open(path, &file));
  weir_status status = weir_atomic_file_write(&file, data, bytes);
  if (status) {
    weir_atomic_file_discard(&file);
    return status;
  }
  return weir_atomic_file_commit(&file);
}

weir_status weir_make_dirs(const char *path) {
  if (!*path) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "empty folder name");
  char *copy = strdup(path);
  if (!copy) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a path");
  weir_status status = WEIR_OK;
  for (char *at = copy + 1; !status; at++) {
    if (*at != '/' && *at != 0) continue;
    const char end = *at;
    *at = 0;
    // A parent that exists may refuse mkdir for other reasons (read-only, no permission); what counts is that it is
    // there.
    if (mkdir(copy, 0777) != 0) {
      const int error = errno;
      if (!weir_is_dir(copy))
        status = weir_status_errno(error == EEXIST ? ENOTDIR : error, "cannot make folder '%s'", copy);
    }
    *at = end;
    if (!end) break;
  }
  free(copy);
  return status;
}

bool weir_file_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

bool weir_is_dir(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static weir_status lock_with(const char *path, int operation, weir_lock *out_lock) {
  *out_lock = (weir_lock){-1};
  const int fd = open_retry(path, O_RDWR | O_CREAT, 0666);
  if (fd < 0) return weir_status_errno(errno, "cannot open lock '%s'", path);
  int result;
  do result = flock(fd, operation);
  while (result != 0 && errno == EINTR);
  if (result == 0) {
    out_lock->fd = fd;
    return WEIR_OK;
  }
  const int error = errno;
  close(fd);
  if (error == EWOULDBLOCK) return WEIR_OK;
  return weir_status_errno(error, "cannot lock '%s'", path);
}

weir_status weir_lock_take(const char *path, weir_lock *out_lock) { return lock_with(path, LOCK_EX, out_lock); }

weir_status weir_lock_try(const char *path, weir_lock *out_lock) {
  return lock_with(path, LOCK_EX | LOCK_NB, out_lock);
}

void weir_lock_release(weir_lock *lock) {
  if (lock->fd >= 0) close(lock->fd);
  *lock = (weir_lock){-1};
}
