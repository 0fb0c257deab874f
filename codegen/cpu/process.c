// posix_spawn and waitpid for each child by its own id: a library must not reap the children of others.
//
// A C compiler is a driver with children of its own. Each child leads a process group, so that cancelling reaches all
// of them; a terminal's SIGINT then reaches the caller alone, who cancels.
#include "codegen/cpu/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/isa.h"

extern char **environ;

// Between two looks where nothing wakes us, and where a process that ends does; from the request to end until the order
// to.
enum { POLL_MS = 4, CANCEL_MS = 50, PATIENCE_MS = 300 };

typedef struct {
  pid_t pid;
  int fd;  // readable once it has ended; -1: the system has no such thing
  bool running;
} child;

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

// Whether |c| has ended, or why it cannot be waited for.
static int look(cg_process *p, child *c, bool *out_ended) {
  int state;
  pid_t got;
  do got = waitpid(c->pid, &state, WNOHANG);
  while (got < 0 && errno == EINTR);
  *out_ended = got != 0;
  if (!*out_ended) return 0;
  c->running = false;
  if (c->fd >= 0) close(c->fd);
  if (got < 0) return errno;
  p->exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  return 0;
}

// Sleeps until one of the running children ends, at most |most_ms| below that where the system cannot tell.
static void doze(const child *children, int count, int most_ms) {
  struct pollfd files[64];
  int watched = 0, most = most_ms;
  for (int i = 0; i < count; i++) {
    if (!children[i].running) continue;
    if (children[i].fd < 0 || watched == 64) most = POLL_MS;
    else files[watched++] = (struct pollfd){.fd = children[i].fd, .events = POLLIN};
  }
  (void)poll(files, (nfds_t)watched, most);
}

static int start(const cg_process *p, child *out) {
  int error = spawn(p, &out->pid);
  if (error) return error;
  out->running = true;
  out->fd = (int)syscall(SYS_pidfd_open, out->pid, 0);
  return 0;
}

// Asks all to end, so that they remove their own temporary files, then makes them.
static void end_all(cg_process *processes, child *children, int count) {
  bool ended;
  int left = 0;
  for (int i = 0; i < count; i++) left += children[i].running && !kill(-children[i].pid, SIGTERM);
  for (int waited = 0; left && waited < PATIENCE_MS; waited += POLL_MS) {
    doze(children, count, POLL_MS);
    for (int i = 0; i < count; i++) {
      if (!children[i].running || (!look(&processes[i], &children[i], &ended) && !ended)) continue;
      kill(-children[i].pid, SIGKILL);  // what the leader left behind too
      left--;
    }
  }
  for (int i = 0; i < count; i++) {
    processes[i].exit_code = -1;
    if (!children[i].running) continue;
    kill(-children[i].pid, SIGKILL);
    do doze(&children[i], 1, POLL_MS);
    while (!look(&processes[i], &children[i], &ended) && !ended);
  }
}

static weir_status run(cg_process *processes, child *children, int count, const cg_process_options *options) {
  int started = 0, running = 0, error = 0;
  const char *what = "start";
  while (running || (started < count && !error)) {
    if (is_cancelled(options->cancel)) {
      end_all(processes, children, started);
      return weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
    }
    while (started < count && running < options->at_once && !error) {
      error = start(&processes[started], &children[started]);
      if (!error) started++, running++;
    }
    if (running) doze(children, started, CANCEL_MS);
    for (int i = 0; i < started; i++) {
      bool ended = false;
      int failed = children[i].running ? look(&processes[i], &children[i], &ended) : 0;
      if (failed && !error) error = failed, what = "wait for";
      running -= ended;
      if (ended && options->ended) options->ended(options->user, i);
    }
  }
  return error ? weir_status_errno(error, "cannot %s '%s'", what, processes[0].args[0]) : WEIR_OK;
}

weir_status cg_processes_run(cg_process *processes, int count, const cg_process_options *options) {
  child *children = calloc((size_t)(count ? count : 1), sizeof *children);
  if (!children) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %d processes", count);
  for (int i = 0; i < count; i++) processes[i].exit_code = -1;
  weir_status status = run(processes, children, count, options);
  free(children);
  return status;
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

static const char **split_words(weir_arena *arena, const char *text, int *out_count) {
  const char **words = NULL;
  int capacity = 0;
  *out_count = 0;
  for (const char *p = text + strspn(text, " \t"); *p; p += strspn(p, " \t")) {
    size_t length = strcspn(p, " \t");
    WEIR_PUSH(arena, words, *out_count, capacity, weir_arena_strndup(arena, p, length));
    p += length;
  }
  return words;
}

weir_status cg_compiler_find(weir_arena *arena, const char *arch, const char ***out_words, int *out_count) {
  bool ours = !strcmp(arch, cg_cpu_arch_here());
  const char *variable = ours ? "CC" : weir_arena_printf(arena, "WEIR_CC_%s", arch), *chosen = getenv(variable);
  *out_words = split_words(arena, chosen ? chosen : "", out_count);
  if (*out_count) {
    (*out_words)[0] = find_on_path(arena, (*out_words)[0]);
    if ((*out_words)[0]) return WEIR_OK;
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "the C compiler %s='%s' is not there", variable, chosen);
  }
  const char *cross = weir_arena_printf(arena, "%s-linux-gnu-gcc", arch);
  const char *const usual[] = {"cc", "gcc", "clang"}, *const foreign[] = {cross};
  const char *program = NULL;
  for (int i = 0; i < (ours ? 3 : 1) && !program; i++) program = find_on_path(arena, ours ? usual[i] : foreign[i]);
  if (!program && ours)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "no C compiler: none of cc, gcc and clang is on PATH");
  if (!program)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "no C compiler for %s: %s is not on PATH and %s is not set", arch,
                            cross, variable);
  *out_words = WEIR_NEW_ARRAY(arena, const char *, 1);
  (*out_words)[0] = program;
  *out_count = 1;
  return WEIR_OK;
}
