// The team: one word says which phase runs, each thread's share of it is a word too.
//
// The phase word is the number of the phase (48 bits, one more for every phase) and its count of chunks (16 bits, 0
// when no job runs). A share word is the number of the phase it was last used in and how many chunks have been taken
// from its front (by its owner) and its back (by others). A share whose number is older than the phase's is untouched:
// so nobody has to fill shares in, and a phase begins with one store. Chunks are taken by compare and swap.
//
// Why a thread that was away cannot do harm: it knows an old phase word P. Every chunk of P was taken before the next
// phase was published, so every share that had chunks in P has a number of at least P. Its exchange, which changes the
// share only from a number below P or with chunks left in P, fails. And who has taken a chunk of P holds P back until
// it has reported: |left| counts down to 0, and only who takes it there calls |next|, which may then write what the
// phase's threads have read, without their ever having to check it again.
//
// Order: |next|'s writes come before the store of the phase word (release), workers load it (acquire) before they take
// and read anything. Their writes come before their subtraction from |left| (release; each reads the one before), the
// last one acquires them all, calls |next|, and so on to the caller, who acquires the phase word of the end. The words
// of shares carry no data and are relaxed. No fences, which the thread sanitizer does not know.
//
// A waiter spins with `pause` and after some time looks for a thread that holds chunks and gets no time on a core: its
// clock of CPU time stands still. It moves that thread to its own processor and sleeps, so that the chunk is done on
// the core that the waiter had; then the moved thread goes back to where it was, holding nothing. Nobody spins long
// without that, nor yields without having looked: all sleep in the end. Sleepers announce themselves before they look
// at the word a last time, and the publisher looks for them after it has changed it (both sequentially consistent), so
// a wake-up cannot be missed and costs no system call when nobody sleeps.
#include "runtime/base/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/topology.h"

enum {
  IDLE_NS = 80 * 1000,         // spins between jobs
  LOOK_NS = 20 * 1000,         // spins in a job before looking for threads off their core, and between looks
  SAMPLE_NS = 4 * 1000,        // a thread whose clock has not moved for so long is not running
  SPIN_NS = 80 * 1000,         // then yields,
  CROWDED_SPIN_NS = 3 * 1000,  // a team with more threads than processors sooner,
  YIELD_NS = 2 * 1000 * 1000,  // for so long; then sleeps
  NAP_NS = 1000 * 1000,        // sleeps for a thread that it has helped; then looks again
  SPINS_PER_LOOK = 32,         // pauses between two looks at the clock
  WORD_BITS = 16,
  SIDE_BITS = 8,
  SIDE_MASK = 255,
};

// Where a thread stands with the chunks that it holds.
enum {
  FREE,     // holds none
  HOLDS,    // or is about to look for some
  WATCHED,  // holds, and a waiter looks at it: the thread must not go away
  MOVED,    // holds, and has been moved to a waiter's processor
};

// A core, or several of one node.
typedef struct {
  bool bound;
  cpu_set_t set;
} place;

typedef struct {
  _Alignas(64) atomic_ullong share;
  _Alignas(64) atomic_int hold;
  rt_team *team;
  pthread_t handle;  // thread 0: the caller's, while |hold| is not FREE
  int index;
  place at;
  cpu_set_t home;  // affinity before it was MOVED
} member;

struct rt_team {
  const weir_allocator *allocator;
  size_t bytes;
  int thread_count;
  bool crowded;
  place caller;  // of teams bound to cores: the one that no member is bound to
  rt_team_job job;
  atomic_int ended;
  _Alignas(64) atomic_ullong phase;
  atomic_int most;               // of the phase: a hint. Beside its word, with which it is written and read
  _Alignas(64) atomic_int left;  // chunks of the phase that nobody has reported as done
  _Alignas(64) atomic_int sleepers;
  atomic_int caller_sleeps;
  atomic_uint bell;  // changes when sleepers shall look
  atomic_flag looking;
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
  __asm__ volatile("isb");  // `yield` does nothing on most cores
#endif
}

static int chunks_of(unsigned long long word) { return (int)(word & ((1 << WORD_BITS) - 1)); }

// ---- taking chunks

static int share_begin(const rt_team *team, int chunks, int share) {
  return (int)((long long)chunks * share / team->thread_count);
}

// How many of |left| chunks to take. The owner begins with most of its share, so that a calm phase costs two or three
// calls; what others can take in time is what is left for the end.
static int bite(const rt_team *team, int left, bool untouched) {
  int most = atomic_load_explicit(&team->most, memory_order_relaxed);
  int take = untouched && left > 2 ? left - left / 4 : (left + 1) / 2;
  return most && take > most ? most : take;
}

// Takes chunks of a share of phase |word|: from its front if it is one's own. Returns how many.
static int take(rt_team *team, unsigned long long word, int share, bool own, int *out_begin) {
  atomic_ullong *word_of = &team->members[share].share;
  unsigned long long number = word >> WORD_BITS, old = atomic_load_explicit(word_of, memory_order_relaxed), changed;
  int first = share_begin(team, chunks_of(word), share);
  int count = share_begin(team, chunks_of(word), share + 1) - first, front, back, n;
  do {
    if (old >> WORD_BITS > number) return 0;
    bool current = old >> WORD_BITS == number;
    front = current ? (int)(old >> SIDE_BITS & SIDE_MASK) : 0;
    back = current ? (int)(old & SIDE_MASK) : 0;
    int left = count - front - back;
    if (left <= 0) return 0;
    n = bite(team, left, !front && !back && own);
    unsigned sides = (unsigned)(own ? front + n : front) << SIDE_BITS | (unsigned)(own ? back : back + n);
    changed = number << WORD_BITS | sides;
  } while (!atomic_compare_exchange_weak_explicit(word_of, &old, changed, memory_order_relaxed, memory_order_relaxed));
  *out_begin = own ? first + front : first + count - back - n;
  return n;
}

// Does what it gets of phase |word|: its own share, or the others'. Returns how many chunks.
static int work(rt_team *team, int self, unsigned long long word, bool own) {
  int done = 0, begin, n, threads = team->thread_count;
  for (int k = own ? 0 : 1; k < (own ? 1 : threads); k++) {
    int share = self + k < threads ? self + k : self + k - threads;
    while ((n = take(team, word, share, own, &begin))) {
      team->job.work(team->job.context, self, begin, begin + n);
      done += n;
    }
  }
  return done;
}

static void ring(rt_team *team) {
  atomic_fetch_add(&team->bell, 1);
  syscall(SYS_futex, &team->bell, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

// Begins the next phase; by the one thread that ended the last. Returns its word.
static unsigned long long advance(rt_team *team, int self) {
  rt_team_phase phase = team->job.next(team->job.context, self);
  unsigned long long old = atomic_load_explicit(&team->phase, memory_order_relaxed);
  unsigned long long word = ((old >> WORD_BITS) + 1) << WORD_BITS | (unsigned)phase.chunks;
  atomic_store_explicit(&team->left, phase.chunks, memory_order_relaxed);
  atomic_store_explicit(&team->most, phase.most, memory_order_relaxed);
  atomic_store(&team->phase, word);
  if (phase.chunks ? atomic_load(&team->sleepers) : atomic_load(&team->caller_sleeps)) ring(team);
  return word;
}

static void go_home(member *self);

// The phase word, as soon as it is another one than |word|, or after about a microsecond.
static unsigned long long watch(rt_team *team, unsigned long long word) {
  for (int i = 0; i < SPINS_PER_LOOK; i++) {
    unsigned long long now = atomic_load_explicit(&team->phase, memory_order_acquire);
    if (now != word) return now;
    relax();
  }
  return word;
}

// From phase |word| on until there is nothing to do. Returns the word of the phase that has nothing left, or of the
// end. Looking into others' shares takes their words away from them, so in a calm machine nobody does: all end at once.
static unsigned long long take_part(rt_team *team, member *self, unsigned long long word) {
  bool own = true;
  while (chunks_of(word)) {
    int done = work(team, self->index, word, own);
    unsigned long long now = word;
    if (done && atomic_fetch_sub_explicit(&team->left, done, memory_order_acq_rel) == done)
      now = advance(team, self->index);
    if (atomic_load_explicit(&self->hold, memory_order_relaxed) == MOVED) go_home(self);
    if (now == word) now = watch(team, word);
    if (now == word && !own) break;
    own = now != word;
    word = now;
  }
  return word;
}

// ---- helping a thread that is off its core

static int64_t clock_of(clockid_t clock) {
  struct timespec t;
  return clock_gettime(clock, &t) ? -1 : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_off_core(const member *m) {
  clockid_t clock;
  if (pthread_getcpuclockid(m->handle, &clock)) return false;
  int64_t before = clock_of(clock), begin = now_ns();
  while (now_ns() - begin < SAMPLE_NS) relax();
  return before >= 0 && clock_of(clock) == before;
}

static bool move_here(member *m) {
  int cpu = sched_getcpu();
  cpu_set_t here;
  if (cpu < 0 || cpu >= CPU_SETSIZE || pthread_getaffinity_np(m->handle, sizeof m->home, &m->home)) return false;
  CPU_ZERO(&here);
  CPU_SET(cpu, &here);
  return !pthread_setaffinity_np(m->handle, sizeof here, &here);
}

// The job begins and ends with the caller, so it shall not stay on a core that others want: it keeps the helper's core,
// which takes the caller's. Written before MOVED, so that the caller sees it in its next make_room.
static bool swap_places(rt_team *team, member *self) {
  if (!team->caller.bound || !self->at.bound) return false;
  place mine = self->at;
  self->at = team->caller;
  team->caller = mine;
  return true;
}

// True if some thread that holds chunks was off its core, and now is on the caller's as soon as that sleeps.
static bool help(rt_team *team, int index) {
  member *self = &team->members[index];
  bool helped = false, swapped = false;
  if (atomic_flag_test_and_set_explicit(&team->looking, memory_order_acquire)) return false;
  for (int i = 0; i < team->thread_count && !helped; i++) {
    member *m = &team->members[i];
    int holds = HOLDS;
    if (i == index ||
        !atomic_compare_exchange_strong_explicit(&m->hold, &holds, WATCHED, memory_order_acquire, memory_order_relaxed))
      continue;
    helped = is_off_core(m) && move_here(m);
    if (helped && !i) swapped = swap_places(team, self);
    atomic_store_explicit(&m->hold, helped ? MOVED : HOLDS, memory_order_release);
  }
  atomic_flag_clear_explicit(&team->looking, memory_order_release);
  if (swapped) (void)pthread_setaffinity_np(pthread_self(), sizeof self->at.set, &self->at.set);
  return helped && !swapped;
}

// From the processor of the thread that helped, back to where it may run: first anywhere else, so that it leaves. The
// caller stays.
static void go_home(member *self) {
  (void)atomic_load_explicit(&self->hold, memory_order_acquire);  // |home| was written before MOVED
  cpu_set_t elsewhere = self->home;
  int cpu = sched_getcpu();
  if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_CLR(cpu, &elsewhere);
  if (self->index && CPU_COUNT(&elsewhere)) (void)pthread_setaffinity_np(pthread_self(), sizeof elsewhere, &elsewhere);
  (void)pthread_setaffinity_np(pthread_self(), sizeof self->home, &self->home);
  atomic_store_explicit(&self->hold, HOLDS, memory_order_relaxed);
}

// Says that it holds nothing any more. Who is being looked at stays until that is over; what the other has read of it
// may change afterwards (acquire).
static void let_go(member *self) {
  for (;;) {
    int hold = HOLDS;
    if (atomic_compare_exchange_strong_explicit(&self->hold, &hold, FREE, memory_order_acq_rel, memory_order_relaxed))
      return;
    if (hold == MOVED) go_home(self);
    else sched_yield();
  }
}

// ---- waiting

static void sleep_on(rt_team *team, unsigned long long word, bool caller, int64_t most_ns) {
  struct timespec most = {0, (long)most_ns};
  unsigned bell = atomic_load(&team->bell);
  atomic_fetch_add(&team->sleepers, 1);
  if (caller) atomic_store(&team->caller_sleeps, 1);
  if (atomic_load(&team->phase) == word)
    syscall(SYS_futex, &team->bell, FUTEX_WAIT_PRIVATE, bell, most_ns ? &most : NULL, NULL, 0);
  if (caller) atomic_store(&team->caller_sleeps, 0);
  atomic_fetch_sub(&team->sleepers, 1);
}

// Until the phase word is another one than |word|; returns it.
static unsigned long long wait(rt_team *team, member *self, unsigned long long word) {
  bool idle = !chunks_of(word), caller = !self->index;
  int64_t begin = now_ns(), look = LOOK_NS, spin = idle ? IDLE_NS : team->crowded ? CROWDED_SPIN_NS : SPIN_NS;
  for (;;) {
    unsigned long long now = watch(team, word);
    if (now != word) return now;
    int64_t waited = now_ns() - begin;
    if (idle) {
      if (waited >= spin) sleep_on(team, word, caller, 0);
    } else if (waited >= look) {
      if (help(team, self->index)) sleep_on(team, word, caller, NAP_NS);
      look = now_ns() - begin + LOOK_NS;
    } else if (waited >= spin + YIELD_NS) {
      sleep_on(team, word, caller, NAP_NS);
    } else if (waited >= spin) {
      sched_yield();
    }
  }
}

static void *member_main(void *argument) {
  member *self = argument;
  rt_team *team = self->team;
  unsigned long long word = 0;
  // The word of the end may come to be seen in take_part too.
  while (!atomic_load_explicit(&team->ended, memory_order_relaxed)) {
    word = wait(team, self, word);
    atomic_store_explicit(&self->hold, HOLDS, memory_order_release);
    word = take_part(team, self, word);
    let_go(self);
  }
  return NULL;
}

// ---- jobs

static void member_bind(member *m, const place *at) {
  m->at = *at;
  m->at.bound = !pthread_setaffinity_np(m->handle, sizeof at->set, &at->set);  // refused: the thread runs anywhere
}

// The caller is not bound. Where it has come to run on a member's core, the two would share it and halve the team's
// speed until the system moves one of them, which takes a tenth of a second: so the member goes to the core that is
// free.
static void make_room(rt_team *team) {
  int cpu = sched_getcpu();
  if (!team->caller.bound || cpu < 0 || cpu >= CPU_SETSIZE || CPU_ISSET(cpu, &team->caller.set)) return;
  for (int i = 1; i < team->thread_count; i++) {
    member *m = &team->members[i];
    place at = m->at;
    if (!at.bound || !CPU_ISSET(cpu, &at.set)) continue;
    if (atomic_load_explicit(&m->hold, memory_order_relaxed) != FREE) return;
    member_bind(m, &team->caller);
    team->caller = at;
    return;
  }
}

void rt_team_run(rt_team *team, const rt_team_job *job) {
  if (team->thread_count == 1) {
    for (rt_team_phase phase; (phase = job->next(job->context, 0)).chunks;) job->work(job->context, 0, 0, phase.chunks);
    return;
  }
  member *self = &team->members[0];
  make_room(team);
  team->job = *job;
  self->handle = pthread_self();
  atomic_store_explicit(&self->hold, HOLDS, memory_order_release);
  for (unsigned long long word = advance(team, 0); chunks_of(word = take_part(team, self, word));) {
    let_go(self);
    word = wait(team, self, word);
    atomic_store_explicit(&self->hold, HOLDS, memory_order_release);
  }
  let_go(self);
}

typedef struct {
  rt_team_fn fn;
  void *context;
  int parts;
  bool begun;
} split;

static rt_team_phase split_next(void *context, int thread) {
  split *s = context;
  (void)thread;
  if (s->begun) return (rt_team_phase){0, 0};
  s->begun = true;
  return (rt_team_phase){s->parts, 0};
}

static void split_work(void *context, int thread, int begin, int end) {
  split *s = context;
  (void)thread;
  for (int part = begin; part < end; part++) s->fn(s->context, part, s->parts);
}

void rt_team_split(rt_team *team, rt_team_fn fn, void *context) {
  split s = {fn, context, team->thread_count, false};
  rt_team_run(team, &(rt_team_job){split_next, split_work, &s});
}

// ---- creation

static void team_end(rt_team *team, int created) {
  atomic_store_explicit(&team->ended, 1, memory_order_relaxed);
  atomic_fetch_add(&team->phase, 1ULL << WORD_BITS);
  ring(team);
  for (int i = 1; i <= created; i++) pthread_join(team->members[i].handle, NULL);
  weir_free(team->allocator, team, team->bytes);
}

// Created threads take no signals: handlers run on the program's own threads.
static int member_start(member *self) {
  sigset_t all, before;
  sigfillset(&all);
  // What a thread brings on itself is its own: blocked, it would end the process past the handlers.
  static const int own[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&all, own[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&self->handle, NULL, member_main, self);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

// The core, or the node, of thread |i|.
static place place_of(const rt_topology *t, int i, int threads, bool cores) {
  place at = {.bound = true};
  const rt_cpu *first = &t->cpus[rt_topology_place(t, i, threads)];
  CPU_ZERO(&at.set);
  for (int k = 0; k < t->cpu_count; k++)
    if (cores ? t->cpus[k].core == first->core : t->cpus[k].node == first->node) CPU_SET(t->cpus[k].cpu, &at.set);
  return at;
}

static void bind_all(rt_team *team, const rt_topology *t) {
  int n = team->thread_count;
  bool cores = n == t->core_count || n == t->cpu_count;
  if (!cores && t->node_count < 2) return;
  for (int i = 1; i < n; i++) {
    place at = place_of(t, i, n, cores);
    member_bind(&team->members[i], &at);
  }
  if (cores) team->caller = place_of(t, 0, n, true);
}

static weir_status members_start(rt_team *team) {
  for (int i = 0; i < team->thread_count; i++) {
    member *self = &team->members[i];
    self->team = team;
    self->index = i;
    int error = i ? member_start(self) : 0;
    if (!error) continue;
    int threads = team->thread_count;
    team_end(team, i - 1);
    return weir_status_errno(error, "cannot create thread %d of %d", i + 1, threads);
  }
  return WEIR_OK;
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
  rt_topology topology;
  rt_topology_read("/sys", NULL, &topology);
  team->crowded = threads > topology.cpu_count;
  WEIR_TRY(members_start(team));
  if (pin && threads > 1) bind_all(team, &topology);
  *out_team = team;
  return WEIR_OK;
}

void rt_team_destroy(rt_team *team) {
  if (team) team_end(team, team->thread_count - 1);
}

int rt_team_thread_count(const rt_team *team) { return team->thread_count; }

int rt_team_chunk_limit(const rt_team *team) {
  int limit = RT_TEAM_SHARE_CHUNKS * team->thread_count;
  return limit < RT_TEAM_MAX_CHUNKS ? limit : RT_TEAM_MAX_CHUNKS;
}

int rt_team_default_threads(void) {
  rt_topology topology;
  rt_topology_read("/sys", NULL, &topology);
  int count = topology.core_count, quota = rt_cpu_quota();
  if (count > quota) count = quota;
  if (count > RT_TEAM_MAX_THREADS) count = RT_TEAM_MAX_THREADS;
  return count > 0 ? count : 1;
}
