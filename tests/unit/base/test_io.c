// Files and hashes: mappings, reads with a limit, atomic writes that leave nothing behind when they fail, folders,
// locks.
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/io.h"

static char folder[64];
static char path[128];

static void start(void) {
  strcpy(folder, "/tmp/weir-io-XXXXXX");
  cr_assert(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/file", folder);
}

static void stop(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  cr_assert_eq(system(command), 0);
}
TestSuite(io, .init = start, .fini = stop);

static void must(weir_status status) { cr_assert(!status, "%s", weir_status_message(status)); }

static void fails(weir_status status, weir_code code) {
  cr_assert_eq(weir_status_code(status), code, "%s", weir_status_message(status));
  weir_status_release(status);
}

static int files_in_folder(void) {
  int count = 0;
  DIR *dir = opendir(folder);
  for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

Test(io, map) {
  weir_map map;
  fails(weir_map_open(path, &map), WEIR_CODE_NOT_FOUND);
  fails(weir_map_open(folder, &map), WEIR_CODE_INVALID_ARGUMENT);
  must(weir_file_write_atomic(path, "", 0));
  must(weir_map_open(path, &map));
  cr_assert(map.data && map.size == 0);
  weir_map_close(&map);
  weir_map_close(&map);
  must(weir_file_write_atomic(path, "hello", 5));
  must(weir_map_open(path, &map));
  cr_assert(map.size == 5 && memcmp(map.data, "hello", 5) == 0);
  weir_map_close(&map);
}

Test(io, read_with_a_limit) {
  char *data;
  size_t size;
  must(weir_file_write_atomic(path, "hello", 5));
  must(weir_file_read(path, 5, &data, &size));
  cr_assert(size == 5 && strcmp(data, "hello") == 0);
  free(data);
  fails(weir_file_read(path, 4, &data, &size), WEIR_CODE_OUT_OF_RANGE);
  fails(weir_file_read(folder, 4, &data, &size), WEIR_CODE_INVALID_ARGUMENT);
  fails(weir_file_read("/dev/zero", 100000, &data, &size), WEIR_CODE_OUT_OF_RANGE);
  must(weir_file_read("/dev/null", 10, &data, &size));
  cr_assert(size == 0 && data[0] == 0);
  free(data);
  must(weir_file_read("/proc/self/status", 1 << 20, &data, &size));
  cr_assert(size > 100);
  free(data);
}

Test(io, atomic_file) {
  weir_atomic_file file;
  must(weir_file_write_atomic(path, "old", 3));
  must(weir_atomic_file_open(path, &file));
  must(weir_atomic_file_write(&file, "....world", 9));
  must(weir_atomic_file_write_at(&file, 0, "hell", 4));
  fails(weir_atomic_file_write_at(&file, 8, "xx", 2), WEIR_CODE_OUT_OF_RANGE);
  char *data;
  size_t size;
  must(weir_file_read(path, 100, &data, &size));
  cr_assert_str_eq(data, "old");
  free(data);
  must(weir_atomic_file_commit(&file));
  must(weir_file_read(path, 100, &data, &size));
  cr_assert_str_eq(data, "hellworld");
  free(data);
  struct stat info;
  cr_assert(stat(path, &info) == 0 && (info.st_mode & 0400));
  must(weir_atomic_file_open(path, &file));
  must(weir_atomic_file_write(&file, "gone", 4));
  weir_atomic_file_discard(&file);
  weir_atomic_file_discard(&file);
  cr_assert_eq(files_in_folder(), 1);
  unlink(path);
  cr_assert_eq(mkfifo(path, 0600), 0);
  fails(weir_atomic_file_open(path, &file), WEIR_CODE_IO);
  fails(weir_file_write_atomic(folder, "x", 1), WEIR_CODE_IO);
  cr_assert(stat(path, &info) == 0 && S_ISFIFO(info.st_mode));
}

Test(io, a_failed_write_leaves_nothing) {
  must(weir_file_write_atomic(path, "old", 3));
  signal(SIGXFSZ, SIG_IGN);
  const struct rlimit limit = {100, RLIM_INFINITY};
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  setrlimit(RLIMIT_FSIZE, &limit);
  static const char big[300];
  weir_status status = weir_file_write_atomic(path, big, sizeof big);
  setrlimit(RLIMIT_FSIZE, &before);
  fails(status, WEIR_CODE_IO);
  cr_assert_eq(files_in_folder(), 1);
  char *data;
  size_t size;
  must(weir_file_read(path, 100, &data, &size));
  cr_assert_str_eq(data, "old");
  free(data);
  char missing[256];
  snprintf(missing, sizeof missing, "%s/no/file", folder);
  fails(weir_file_write_atomic(missing, "x", 1), WEIR_CODE_NOT_FOUND);
  // A folder in the file's place: rename refuses.
  snprintf(missing, sizeof missing, "%s/sub/inner", folder);
  must(weir_make_dirs(missing));
  snprintf(missing, sizeof missing, "%s/sub", folder);
  fails(weir_file_write_atomic(missing, "x", 1), WEIR_CODE_IO);
  cr_assert_eq(files_in_folder(), 2);
}

Test(io, make_dirs) {
  char deep[256];
  snprintf(deep, sizeof deep, "%s/a//b/c/", folder);
  must(weir_make_dirs(deep));
  must(weir_make_dirs(deep));
  cr_assert(weir_is_dir(deep));
  must(weir_make_dirs("/"));
  must(weir_file_write_atomic(path, "x", 1));
  snprintf(deep, sizeof deep, "%s/file/x", folder);
  fails(weir_make_dirs(deep), WEIR_CODE_IO);
  fails(weir_make_dirs(path), WEIR_CODE_IO);
  fails(weir_make_dirs(""), WEIR_CODE_INVALID_ARGUMENT);
  cr_assert(weir_file_exists(path) && !weir_is_dir(path) && !weir_file_exists(deep));
}

Test(io, locks_exclude) {
  weir_lock first, second;
  must(weir_lock_take(path, &first));
  must(weir_lock_try(path, &second));
  cr_assert_eq(second.fd, -1);
  weir_lock_release(&second);
  weir_lock_release(&first);
  must(weir_lock_try(path, &second));
  cr_assert(second.fd >= 0);
  weir_lock_release(&second);
  // The end of a process frees its lock.
  const pid_t child = fork();
  if (child == 0) {
    weir_lock held;
    _exit(weir_lock_take(path, &held) ? 1 : 0);
  }
  int result = 1;
  cr_assert(waitpid(child, &result, 0) == child && result == 0);
  must(weir_lock_take(path, &first));
  weir_lock_release(&first);
}

Test(io, hashes) {
  // Known answers: BLAKE2b with a 32-byte digest, and SHA-256, of "abc".
  weir_hash hash, again;
  char hex[WEIR_HASH_HEX_BYTES];
  must(weir_file_write_atomic(path, "abc", 3));
  must(weir_hash_file(path, &hash));
  weir_hash_hex(&hash, hex);
  cr_assert_str_eq(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  must(weir_sha256_file(path, &again));
  weir_hash_hex(&again, hex);
  cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  cr_assert(!weir_hash_equal(&hash, &again));
  cr_assert(weir_hash_parse(hex, &hash) && weir_hash_equal(&hash, &again));
  hex[3] = 'g';
  cr_assert(!weir_hash_parse(hex, &hash) && !weir_hash_parse("ab", &hash));
  weir_hasher hasher, copy;
  weir_hasher_init(&hasher);
  weir_hasher_add(&hasher, "a", 1);
  copy = hasher;
  weir_hasher_add(&copy, "bc", 2);
  weir_hasher_finish(&copy, &hash);
  weir_hash_bytes("abc", 3, &again);
  cr_assert(weir_hash_equal(&hash, &again));
  weir_hasher_init(&hasher);
  weir_hasher_add_text(&hasher, "ab");
  weir_hasher_add_text(&hasher, "c");
  weir_hasher_finish(&hasher, &hash);
  weir_hasher_init(&hasher);
  weir_hasher_add_text(&hasher, "a");
  weir_hasher_add_text(&hasher, "bc");
  weir_hasher_finish(&hasher, &again);
  cr_assert(!weir_hash_equal(&hash, &again));
  fails(weir_hash_file("/nonexistent", &hash), WEIR_CODE_NOT_FOUND);
}
