// posix_spawn and waitpid for each child by its own id: a library must not reap the children of others.
//
// A C compiler is a driver with children of its own. Each child leads a process group, so that cancelling reaches all
// of them; a terminal's SIGINT then reaches the caller alone, who cancels.
#include "codegen/cpu/process.h"

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

extern char **environ;

enum { POLL_MS = 4, PATIENCE_MS = 300 };  // between two looks; from the request to end until the order to

static int add_files(const cg_process *p, posix_spawn_file_actions_t *actions) {
  const char *output = p->output_path ? p->output_path : "/dev/null";
  int error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
  if (!error) error = posix_spawn_file_actions_addopen(actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (!error) error = posix_spawn_file_actions_addopen(actions, 2, p->message_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  return error;
}

static int spawn(const cg_process *p, pid_t *out_pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return error;
  error = posix_spawnattr_init(&attributes);
  if (!error) {
    error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (!error) error = posix_spawnattr_setpgroup(&attributes, 0);
    if (!error) error = add_files(p, &actions);
    // posix_spawn takes the words as writable for historical reasons only.
    char *const *words = (char *const *)(uintptr_t)p->args;
    if (!error) error = posix_spawn(out_pid, p->args[0], &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

static bool is_cancelled(const int *cancel) { return cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED); }

static void pause_ms(int ms) {
  struct timespec time = {0, ms * 1000000L};
  nanosleep(&time, NULL);
}

// 0, ECANCELED while it still runs, or why it cannot be waited for. Below 0 |patience_ms| has no end.
static int wait_for(cg_process *p, pid_t pid, const int *cancel, int patience_ms) {
  bool polls = cancel || patience_ms >= 0;
  for (int waited = 0;; waited += POLL_MS) {
    int state;
    pid_t got = waitpid(pid, &state, polls ? WNOHANG : 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == pid) {
      p->exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
      return 0;
    }
    if (is_cancelled(cancel) || (patience_ms >= 0 && waited >= patience_ms)) return ECANCELED;
    pause_ms(POLL_MS);
  }
}

// Asks all to end, so that they remove their own temporary files, then makes them.
static void end_all(cg_process *processes, const pid_t *pids, int from, int to) {
  for (int i = from; i < to; i++) kill(-pids[i], SIGTERM);
  for (int i = from; i < to; i++) {
    int left = wait_for(&processes[i], pids[i], NULL, i == from ? PATIENCE_MS : POLL_MS);
    kill(-pids[i], SIGKILL);  // what the leader left behind too
    if (left == ECANCELED) (void)wait_for(&processes[i], pids[i], NULL, -1);
    processes[i].exit_code = -1;
  }
}

weir_status cg_processes_run(cg_process *processes, int count, int at_once, const int *cancel) {
  pid_t *pids = malloc((size_t)(count ? count : 1) * sizeof *pids);
  if (!pids) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %d processes", count);
  int started = 0, waited = 0, error = 0;
  const char *what = "start";
  for (int i = 0; i < count; i++) processes[i].exit_code = -1;
  while (waited < count && (waited < started || !error)) {
    if (started < count && started - waited < at_once && !error) {
      error = is_cancelled(cancel) ? ECANCELED : spawn(&processes[started], &pids[started]);
      if (!error) started++;
    } else {
      int failed = wait_for(&processes[waited], pids[waited], cancel, -1);
      if (failed && !error) error = failed, what = "wait for";
      if (failed != ECANCELED) waited++;
    }
    if (error == ECANCELED) break;
  }
  if (error == ECANCELED) end_all(processes, pids, waited, started);
  free(pids);
  if (error == ECANCELED) return weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
  return error ? weir_status_errno(error, "cannot %s '%s'", what, processes[0].args[0]) : WEIR_OK;
}

// ---- the compiler
static bool is_program(const char *path) {
  struct stat info;
  return !stat(path, &info) && S_ISREG(info.st_mode) && !access(path, X_OK);
}

static const char *find_on_path(weir_arena *arena, const char *name) {
  if (strchr(name, '/')) return is_program(name) ? name : NULL;
  const char *path = getenv("PATH");
  if (!path || !*path) path = "/usr/local/bin:/usr/bin:/bin";
  while (*path) {
    size_t length = strcspn(path, ":");
    const char *candidate = weir_arena_printf(arena, "%.*s/%s", (int)length, path, name);
    if (length && is_program(candidate)) return candidate;
    path += length + (path[length] == ':');
  }
  return NULL;
}

weir_status cg_compiler_find(weir_arena *arena, const char ***out_words, int *out_count) {
  const char **words = NULL, *program = NULL;
  int count = 0, capacity = 0;
  const char *chosen = getenv("CC");
  if (chosen && chosen[strspn(chosen, " \t")]) {
    for (const char *p = chosen + strspn(chosen, " \t"); *p; p += strspn(p, " \t")) {
      size_t length = strcspn(p, " \t");
      WEIR_PUSH(arena, words, count, capacity, weir_arena_strndup(arena, p, length));
      p += length;
    }
    program = find_on_path(arena, words[0]);
    if (!program) return weir_status_make(WEIR_CODE_UNSUPPORTED, "the C compiler CC='%s' is not there", words[0]);
  } else {
    static const char *const usual[] = {"cc", "gcc", "clang"};
    for (int i = 0; i < 3 && !program; i++) program = find_on_path(arena, usual[i]);
    if (!program) return weir_status_make(WEIR_CODE_UNSUPPORTED, "no C compiler: none of cc, gcc and clang is on PATH");
    WEIR_PUSH(arena, words, count, capacity, program);
  }
  words[0] = program;
  *out_words = words;
  *out_count = count;
  return WEIR_OK;
}
