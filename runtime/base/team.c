// The thread team: one generation word starts runs, another one is the barrier.
//
// A waiter spins on its word with `pause`, then yields, then sleeps on a futex. Sleepers announce themselves before
// they sleep and the waker looks for them after it has changed the word (both sequentially consistent), so a wake-up
// cannot be missed and costs no system call when nobody sleeps. A central counter serves as barrier: on the core counts
// of one socket it takes 0.1 to 0.3 us. Ordering is by acquire and release on the words alone, without fences, which
// the thread sanitizer does not know.
#include "runtime/base/team.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  SPIN_NS = 80 * 1000,         // idle threads, and barriers of a team that has its cores
  CROWDED_SPIN_NS = 3 * 1000,  // of a team with more threads than processors
  YIELD_NS = 2 * 1000 * 1000,  // then yields at a barrier, before it sleeps
  SPINS_PER_LOOK = 32,         // pauses between two looks at the clock
};

typedef struct {
  _Alignas(64) atomic_uint word;  // changes when the event happens
  _Alignas(64) atomic_int sleepers;
} event;

typedef struct {
  rt_team *team;
  pthread_t handle;
  int index;
  int cpu;  // pinned to it; -1: runs anywhere
} member;

struct rt_team {
  const weir_allocator *allocator;
  size_t bytes;
  int thread_count;
  bool crowded;
  int caller_cpu;  // of pinned teams: the processor that no member is pinned to
  rt_team_fn fn;   // null: end
  void *context;
  event start;
  event barrier;
  event done;
  _Alignas(64) atomic_int arrived;
  _Alignas(64) atomic_int running;  // created threads still inside the run
  _Alignas(64) member members[];
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void event_wait(event *e, unsigned old, int64_t spin_ns, int64_t yield_ns) {
  int64_t begin = 0;
  for (;;) {
    for (int i = 0; i < SPINS_PER_LOOK; i++) {
      if (atomic_load_explicit(&e->word, memory_order_acquire) != old) return;
      relax();
    }
    int64_t now = now_ns();
    if (!begin) begin = now;
    if (now - begin < spin_ns) continue;
    if (now - begin >= spin_ns + yield_ns) break;
    sched_yield();
  }
  atomic_fetch_add(&e->sleepers, 1);
  while (atomic_load(&e->word) == old) syscall(SYS_futex, &e->word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
  atomic_fetch_sub(&e->sleepers, 1);
}

static void event_signal(event *e) {
  atomic_fetch_add(&e->word, 1);
  if (atomic_load(&e->sleepers)) syscall(SYS_futex, &e->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void rt_team_barrier(rt_team *team, int thread) {
  (void)thread;
  if (team->thread_count == 1) return;
  unsigned old = atomic_load_explicit(&team->barrier.word, memory_order_relaxed);  // cannot change before we arrive
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == team->thread_count) {
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    event_signal(&team->barrier);
  } else {
    event_wait(&team->barrier, old, team->crowded ? CROWDED_SPIN_NS : SPIN_NS, YIELD_NS);
  }
}

static void *member_main(void *argument) {
  member *self = argument;
  rt_team *team = self->team;
  unsigned seen = 0;
  for (;;) {
    event_wait(&team->start, seen, SPIN_NS, 0);
    seen++;
    if (!team->fn) return NULL;
    team->fn(team->context, self->index, team->thread_count);
    if (atomic_fetch_sub_explicit(&team->running, 1, memory_order_acq_rel) == 1) event_signal(&team->done);
  }
}

static void member_pin(member *self, int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  self->cpu = pthread_setaffinity_np(self->handle, sizeof one, &one) ? -1 : cpu;  // refused: the thread runs anywhere
}

// The caller is not pinned. Where it has come to run on a member's processor, the two would share it and halve the
// team's speed until the system moves one of them, which takes a tenth of a second: so the member goes to the processor
// that is free.
static void make_room(rt_team *team) {
  int cpu = sched_getcpu();
  if (team->caller_cpu < 0 || cpu == team->caller_cpu) return;
  for (int i = 1; i < team->thread_count; i++) {
    if (team->members[i].cpu != cpu) continue;
    member_pin(&team->members[i], team->caller_cpu);
    team->caller_cpu = cpu;
    return;
  }
}

void rt_team_run(rt_team *team, rt_team_fn fn, void *context) {
  if (team->thread_count == 1) {
    fn(context, 0, 1);
    return;
  }
  make_room(team);
  unsigned done = atomic_load_explicit(&team->done.word, memory_order_relaxed);
  team->fn = fn;
  team->context = context;
  atomic_store_explicit(&team->running, team->thread_count - 1, memory_order_relaxed);
  event_signal(&team->start);
  fn(context, 0, team->thread_count);
  event_wait(&team->done, done, team->crowded ? CROWDED_SPIN_NS : SPIN_NS, YIELD_NS);
}

// ---- creation

static void team_end(rt_team *team, int created) {
  team->fn = NULL;
  event_signal(&team->start);
  for (int i = 1; i <= created; i++) pthread_join(team->members[i].handle, NULL);
  weir_free(team->allocator, team, team->bytes);
}

// Created threads take no signals: handlers run on the program's own threads.
static int member_start(member *self) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&self->handle, NULL, member_main, self);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

// One processor a member; one is left for the caller.
static void pin_all(rt_team *team, const cpu_set_t *allowed) {
  int next = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && next < team->thread_count; cpu++) {
    if (!CPU_ISSET(cpu, allowed)) continue;
    if (next == 0) team->caller_cpu = cpu;
    else member_pin(&team->members[next], cpu);
    next++;
  }
}

weir_status rt_team_create(int threads, bool pin, const weir_allocator *allocator, rt_team **out_team) {
  if (threads == 0) threads = rt_team_default_threads();
  if (threads < 1 || threads > RT_TEAM_MAX_THREADS) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%d threads: from 1 to %d", threads, RT_TEAM_MAX_THREADS);
  }
  size_t bytes = sizeof(rt_team) + (size_t)threads * sizeof(member);
  rt_team *team;
  WEIR_TRY(weir_alloc(allocator, bytes, 64, true, &team));
  team->allocator = allocator;
  team->bytes = bytes;
  team->thread_count = threads;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  int processors = sched_getaffinity(0, sizeof allowed, &allowed) ? 0 : CPU_COUNT(&allowed);
  team->crowded = processors && threads > processors;
  team->caller_cpu = -1;
  for (int i = 1; i < threads; i++) {
    member *self = &team->members[i];
    self->team = team;
    self->index = i;
    self->cpu = -1;
    int error = member_start(self);
    if (error) {
      team_end(team, i - 1);
      return weir_status_errno(error, "cannot create thread %d of %d", i + 1, threads);
    }
  }
  if (pin && threads == processors) pin_all(team, &allowed);
  *out_team = team;
  return WEIR_OK;
}

void rt_team_destroy(rt_team *team) {
  if (team) team_end(team, team->thread_count - 1);
}

int rt_team_thread_count(const rt_team *team) { return team->thread_count; }

// ---- how many cores

// The first number in a small file of the system, or |otherwise|. |out_second| (may be null) is the one after it.
static long file_number(const char *path, long otherwise, long *out_second) {
  FILE *file = fopen(path, "re");
  if (!file) return otherwise;
  long first = otherwise, second = 0;
  int found = fscanf(file, "%ld %ld", &first, &second);
  fclose(file);
  if (out_second && found == 2) *out_second = second;
  return found >= 1 ? first : otherwise;
}

// Processors' worth of time that the control group grants; INT_MAX if unlimited.
static int quota_processors(void) {
  char group[512] = "", path[640];
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (file) {
    char line[512];
    while (fgets(line, sizeof line, file)) {
      if (!strncmp(line, "0::", 3)) {
        line[strcspn(line, "\n")] = 0;
        memcpy(group, line + 3, strlen(line + 3) + 1);
      }
    }
    fclose(file);
  }
  long period = 0;
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
  long quota = file_number(path, 0, &period);
  if (!quota) quota = file_number("/sys/fs/cgroup/cpu.max", 0, &period);
  if (!quota) {
    quota = file_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", 0, NULL);
    period = file_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 0, NULL);
  }
  if (quota <= 0 || period <= 0) return INT_MAX;
  long processors = (quota + period - 1) / period;
  return processors < INT_MAX ? (int)processors : INT_MAX;
}

int rt_team_default_threads(void) {
  cpu_set_t allowed, cores;
  CPU_ZERO(&allowed);
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof allowed, &allowed)) return 1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    long first = file_number(path, cpu, NULL);  // siblings share the first of them
    CPU_SET(first >= 0 && first < CPU_SETSIZE ? (int)first : cpu, &cores);
  }
  int count = CPU_COUNT(&cores), quota = quota_processors();
  if (count > quota) count = quota;
  if (count > RT_TEAM_MAX_THREADS) count = RT_TEAM_MAX_THREADS;
  return count > 0 ? count : 1;
}
