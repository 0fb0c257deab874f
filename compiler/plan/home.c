// The cache folder: places, locks, remembered hashes.
#include "compiler/plan/home.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/home.h"

weir_status plan_home(weir_arena *arena, const char **out_path) {
  char path[4096];
  if (!weir_home(path, sizeof path))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "no folder for the cache: set WEIR_HOME or HOME");
  WEIR_TRY(weir_make_dirs(path));
  *out_path = weir_arena_strdup(arena, path);
  return WEIR_OK;
}

weir_status plan_home_folder(weir_arena *arena, const char *folder, const char **out_path) {
  const char *home = NULL;
  WEIR_TRY(plan_home(arena, &home));
  const char *path = weir_arena_printf(arena, "%s/%s", home, folder);
  WEIR_TRY(weir_make_dirs(path));
  *out_path = path;
  return WEIR_OK;
}

weir_status plan_models_folder(weir_arena *arena, const char **out_path) {
  const char *given = getenv("WEIR_MODELS");
  if (given && *given) {
    *out_path = weir_arena_strdup(arena, given);
    return WEIR_OK;
  }
  char program[4096];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length < 0) return weir_status_errno(errno, "cannot tell where this program lies");
  program[length] = 0;
  char *slash = strrchr(program, '/');
  if (slash) *slash = 0;
  static const char *const places[] = {"../models", "../share/weir/models"};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    char *resolved = realpath(weir_arena_printf(arena, "%s/%s", program, places[i]), NULL);
    if (resolved && weir_is_dir(resolved)) {
      *out_path = weir_arena_strdup(arena, resolved);
      free(resolved);
      return WEIR_OK;
    }
    free(resolved);
  }
  return weir_status_make(WEIR_CODE_NOT_FOUND, "no folder of models beside %s; set WEIR_MODELS", program);
}

weir_status plan_lock_take(const char *name, const int *cancel, void (*waiting)(void *user), void *user,
                           weir_lock *out_lock) {
  *out_lock = (weir_lock){.fd = -1};
  weir_arena arena;
  weir_arena_init(&arena);
  const char *folder = NULL;
  weir_status status = plan_home_folder(&arena, "locks", &folder);
  const char *path = status ? NULL : weir_arena_printf(&arena, "%s/%s", folder, name);
  for (bool told = false; !status;) {
    status = weir_lock_try(path, out_lock);
    if (status || out_lock->fd >= 0) break;
    if (!told && waiting) waiting(user);
    told = true;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    if (plan_cancelled(cancel)) status = weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
  }
  weir_arena_deinit(&arena);
  return status;
}

// What names the present state of the checkpoint's files.
static weir_status identity_of(const import_checkpoint *checkpoint, weir_hash *out_hash) {
  weir_hasher hasher;
  weir_hasher_init(&hasher);
  for (size_t i = 0; i < checkpoint->file_count; i++) {
    char *resolved = realpath(checkpoint->files[i].path, NULL);
    struct stat info;
    if (!resolved || stat(resolved, &info) != 0) {
      free(resolved);
      return weir_status_errno(errno, "cannot examine '%s'", checkpoint->files[i].path);
    }
    weir_hasher_add_text(&hasher, resolved);
    weir_hasher_add_u64(&hasher, (uint64_t)info.st_size);
    weir_hasher_add_u64(&hasher, (uint64_t)info.st_mtim.tv_sec);
    weir_hasher_add_u64(&hasher, (uint64_t)info.st_mtim.tv_nsec);
    weir_hasher_add_u64(&hasher, (uint64_t)info.st_ino);
    weir_hasher_add_u64(&hasher, (uint64_t)info.st_dev);
    free(resolved);
  }
  weir_hasher_finish(&hasher, out_hash);
  return WEIR_OK;
}

static bool remembered(const char *path, weir_hash *out_hash) {
  char *text = NULL;
  size_t size = 0;
  weir_status status = weir_file_read(path, 128, &text, &size);
  bool found = !status && size == WEIR_HASH_HEX_BYTES - 1 && weir_hash_parse(text, out_hash);
  weir_status_release(status);
  free(text);
  return found;
}

weir_status plan_checkpoint_hash(import_checkpoint *checkpoint, weir_hash *out_hash) {
  weir_arena arena;
  weir_arena_init(&arena);
  weir_hash identity;
  const char *folder = NULL;
  weir_status status = identity_of(checkpoint, &identity);
  if (!status) status = plan_home_folder(&arena, "hashes", &folder);
  if (!status) {
    char hex[WEIR_HASH_HEX_BYTES];
    weir_hash_hex(&identity, hex);
    const char *path = weir_arena_printf(&arena, "%s/%s", folder, hex);
    if (!remembered(path, out_hash)) {
      status = import_checkpoint_hash(checkpoint, out_hash);
      weir_hash_hex(out_hash, hex);
      if (!status) status = weir_file_write_atomic(path, hex, WEIR_HASH_HEX_BYTES - 1);
    }
  }
  weir_arena_deinit(&arena);
  return status;
}
