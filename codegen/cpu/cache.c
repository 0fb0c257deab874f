// Entries, their age, and the folders in which they are made.
#include "codegen/cpu/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/io.h"

static const char mark[8] = "WEIRKSUM";
enum { TRAILER_BYTES = 8 + WEIR_HASH_BYTES, STALE_SECONDS = 3600, IN_USE_SECONDS = 600 };

const char *cg_cache_path(weir_arena *arena, const char *folder, const weir_hash *key, const char *suffix) {
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash_hex(key, hex);
  return weir_arena_printf(arena, "%s/%s.%s", folder, hex, suffix);
}

bool cg_cache_check(const char *path, int64_t *out_bytes) {
  weir_map map;
  weir_status status = weir_map_open(path, &map);
  if (status) {
    weir_status_release(status);
    return false;
  }
  bool whole = map.size > TRAILER_BYTES;
  if (whole) {
    const uint8_t *trailer = map.data + map.size - TRAILER_BYTES;
    weir_hash hash;
    weir_hash_bytes(map.data, map.size - TRAILER_BYTES, &hash);
    whole = !memcmp(trailer, mark, sizeof mark) && !memcmp(trailer + sizeof mark, hash.bytes, WEIR_HASH_BYTES);
    *out_bytes = (int64_t)map.size;
  }
  weir_map_close(&map);
  if (whole) (void)utimensat(AT_FDCWD, path, NULL, 0);
  return whole;
}

static weir_status append(const char *path, const void *data, size_t bytes) {
  int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return weir_status_errno(errno, "cannot open '%s'", path);
  ssize_t n;
  do n = write(fd, data, bytes);
  while (n < 0 && errno == EINTR);
  int error = n < 0 ? errno : n == (ssize_t)bytes ? 0 : ENOSPC;
  if (close(fd) && !error) error = errno;
  return error ? weir_status_errno(error, "cannot write '%s'", path) : WEIR_OK;
}

// Without waiting for the disk: the hash tells what a lost write leaves behind.
weir_status cg_cache_write(const char *built, const char *path, int64_t *out_bytes) {
  weir_map map;
  weir_hash hash;
  uint8_t trailer[TRAILER_BYTES];
  WEIR_TRY(weir_map_open(built, &map));
  weir_hash_bytes(map.data, map.size, &hash);
  *out_bytes = (int64_t)map.size + TRAILER_BYTES;
  weir_map_close(&map);
  memcpy(trailer, mark, sizeof mark);
  memcpy(trailer + sizeof mark, hash.bytes, WEIR_HASH_BYTES);
  WEIR_TRY(append(built, trailer, sizeof trailer));
  return rename(built, path) ? weir_status_errno(errno, "cannot make '%s'", path) : WEIR_OK;
}

// ---- age

typedef struct {
  char *name;
  struct timespec used;
  int64_t bytes;
} entry;

static int by_use(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
  if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
  return strcmp(x->name, y->name);
}

void cg_cache_trim(const char *folder, int64_t most_bytes) {
  weir_arena arena;
  weir_arena_init(&arena);
  entry *found = NULL;
  int count = 0, capacity = 0;
  int64_t total = 0;
  DIR *listing = opendir(folder);
  for (struct dirent *e; listing && (e = readdir(listing));) {
    struct stat info;
    if (fstatat(dirfd(listing), e->d_name, &info, AT_SYMLINK_NOFOLLOW) || !S_ISREG(info.st_mode)) continue;
    entry it = {weir_arena_strdup(&arena, e->d_name), info.st_mtim, info.st_size};
    WEIR_PUSH(&arena, found, count, capacity, it);
    total += info.st_size;
  }
  if (count) qsort(found, (size_t)count, sizeof *found, by_use);
  for (int i = 0; i < count && total > most_bytes; i++) {
    if (found[i].used.tv_sec + IN_USE_SECONDS > time(NULL)) break;
    if (!unlinkat(dirfd(listing), found[i].name, 0)) total -= found[i].bytes;
  }
  if (listing) closedir(listing);
  weir_arena_deinit(&arena);
}

// ---- work in progress

void cg_cache_work_end(const char *path) {
  DIR *listing = opendir(path);
  for (struct dirent *e; listing && (e = readdir(listing));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) unlinkat(dirfd(listing), e->d_name, 0);
  if (listing) closedir(listing);
  rmdir(path);
}

weir_status cg_cache_work_begin(weir_arena *arena, const char *folder, const char **out_path) {
  DIR *listing = opendir(folder);
  for (struct dirent *e; listing && (e = readdir(listing));) {
    struct stat info;
    if (strncmp(e->d_name, "build-", 6)) continue;
    const char *path = weir_arena_printf(arena, "%s/%s", folder, e->d_name);
    if (!lstat(path, &info) && S_ISDIR(info.st_mode) && info.st_mtime + STALE_SECONDS < time(NULL))
      cg_cache_work_end(path);
  }
  if (listing) closedir(listing);
  char *path = weir_arena_printf(arena, "%s/build-XXXXXX", folder);
  if (!mkdtemp(path)) return weir_status_errno(errno, "cannot make a folder in '%s'", folder);
  *out_path = path;
  return WEIR_OK;
}
