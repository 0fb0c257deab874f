// Measuring the roof. Each loop runs on a team of threads, a few times; the best time counts, for a limit is what can
// be reached.
#include "compiler/driver/roof.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "compiler/plan/device_roof.h"
#include "runtime/base/team.h"
#include "runtime/device/cpu/features.h"
#include "runtime/device/cuda/device.h"

typedef float lanes16 __attribute__((vector_size(64)));
typedef unsigned long words8 __attribute__((vector_size(64)));

// ---- memory

enum { READ_BYTES = 256 << 20, READ_ROUNDS = 6, FMA_STEPS = 1 << 20, FMA_CHAINS = 12, FMA_ROUNDS = 6 };

typedef struct {
  const uint8_t *data;
  size_t bytes;
  unsigned long sums[RT_TEAM_MAX_THREADS];  // so that no read can be left out
} read_job;

static inline __attribute__((always_inline)) unsigned long read_all(const uint8_t *data, size_t bytes) {
  words8 a = {0}, b = {0}, c = {0}, d = {0};
  const words8 *at = (const words8 *)(const void *)data, *end = at + bytes / sizeof *at / 4 * 4;
  for (; at < end; at += 4) {
    a += at[0];
    b += at[1];
    c += at[2];
    d += at[3];
  }
  a += b + c + d;
  unsigned long sum = 0;
  for (int i = 0; i < 8; i++) sum += a[i];
  return sum;
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static unsigned long read_v3(const uint8_t *data, size_t bytes) {
  return read_all(data, bytes);
}
__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))) static unsigned long read_v4(const uint8_t *data,
                                                                                                    size_t bytes) {
  return read_all(data, bytes);
}
#endif
static unsigned long read_base(const uint8_t *data, size_t bytes) { return read_all(data, bytes); }

static void read_share(void *context, int thread, int thread_count) {
  read_job *job = context;
  size_t share = job->bytes / (size_t)thread_count / 4096 * 4096;
  const uint8_t *from = job->data + share * (size_t)thread;
#ifdef __x86_64__
  if (rt_cpu_has_level("x86-64-v4")) {
    job->sums[thread] = read_v4(from, share);
    return;
  }
  if (rt_cpu_has_level("x86-64-v3")) {
    job->sums[thread] = read_v3(from, share);
    return;
  }
#endif
  job->sums[thread] = read_base(from, share);
}

// ---- multiply-adds: enough independent chains to hide the latency of any machine

typedef struct {
  float results[RT_TEAM_MAX_THREADS];
} fma_job;

// One instruction for a multiplication and an addition, said in the way of each compiler.
#ifdef __clang__
#define FUSED
#define FUSED_BODY _Pragma("clang fp contract(fast)")
#else
#define FUSED __attribute__((optimize("fp-contract=fast")))
#define FUSED_BODY
#endif

FUSED static inline __attribute__((always_inline)) float fma_all(int steps) {
  FUSED_BODY
  lanes16 acc[FMA_CHAINS], a, b;
  for (int i = 0; i < 16; i++) {
    a[i] = 0.9999f;
    b[i] = 1e-4f;
  }
  for (int k = 0; k < FMA_CHAINS; k++) acc[k] = b * (float)k;
  for (int s = 0; s < steps; s++) {
#pragma GCC unroll 12
    for (int k = 0; k < FMA_CHAINS; k++) acc[k] = acc[k] * a + b;
  }
  float sum = 0;
  for (int k = 0; k < FMA_CHAINS; k++) sum += acc[k][k];
  return sum;
}

#ifdef __x86_64__
FUSED __attribute__((target("avx2,fma"))) static float fma_v3(int steps) { return fma_all(steps); }
FUSED __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))) static float fma_v4(int steps) {
  return fma_all(steps);
}
#endif
static float fma_base(int steps) { return fma_all(steps); }

static void fma_share(void *context, int thread, int thread_count) {
  fma_job *job = context;
  (void)thread_count;
#ifdef __x86_64__
  if (rt_cpu_has_level("x86-64-v4")) {
    job->results[thread] = fma_v4(FMA_STEPS);
    return;
  }
  if (rt_cpu_has_level("x86-64-v3")) {
    job->results[thread] = fma_v3(FMA_STEPS);
    return;
  }
#endif
  job->results[thread] = fma_base(FMA_STEPS);
}

// ---- products of narrow numbers: one instruction that multiplies pairs or fours and adds them to 32 bits

#ifdef __x86_64__
#define DOT_LOOP(name, features, vector, zero, value, dot)                                          \
  __attribute__((target(features))) static float name(int steps) {                                  \
    vector acc[FMA_CHAINS], a = value, b = value;                                                   \
    for (int k = 0; k < FMA_CHAINS; k++) {                                                          \
      acc[k] = zero;                                                                                \
      acc[k][0] += k; /* equal chains would be one */                                               \
    }                                                                                               \
    for (int s = 0; s < steps; s++) {                                                               \
      _Pragma("GCC unroll 12") for (int k = 0; k < FMA_CHAINS; k++) acc[k] = dot(acc[k], (a), (b)); \
    }                                                                                               \
    float sum = 0;                                                                                  \
    for (int k = 0; k < FMA_CHAINS; k++) sum += (float)acc[k][k % 4];                               \
    return sum;                                                                                     \
  }
#define BF16_DOT(acc, a, b) _mm512_dpbf16_ps(acc, (__m512bh)(a), (__m512bh)(b))
DOT_LOOP(bf16_512, "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16", __m512, _mm512_setzero_ps(), _mm512_set1_ps(0.5f),
         BF16_DOT)
DOT_LOOP(int8_512, "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni", __m512i, _mm512_setzero_si512(),
         _mm512_set1_epi8(3), _mm512_dpbusd_epi32)
DOT_LOOP(int8_256, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(3), _mm256_dpbusd_avx_epi32)

// How tiles are cut, as the processor reads it: eight of 16 rows of 64 bytes.
typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_cut;
static const tile_cut eight_tiles = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

// Four sums at a time: what two rows by two columns of tiles give. Tiles are zero where they are loaded with their cut.
#define TILE_LOOP(name, features, dot)                             \
  __attribute__((target(features))) static float name(int steps) { \
    _tile_loadconfig(&eight_tiles);                                \
    for (int s = 0; s < steps / TILE_STEPS; s++) {                 \
      dot(0, 4, 6);                                                \
      dot(1, 4, 7);                                                \
      dot(2, 5, 6);                                                \
      dot(3, 5, 7);                                                \
    }                                                              \
    _tile_release();                                               \
    return 0;                                                      \
  }
enum { TILE_STEPS = 8, TILE_CHAINS = 4 };  // fewer steps, for each takes long
TILE_LOOP(bf16_tiles, "amx-tile,amx-bf16", _tile_dpbf16ps)
TILE_LOOP(int8_tiles, "amx-tile,amx-int8", _tile_dpbssd)

typedef struct {
  const char *features;
  float (*loop)(int steps);
  double products;  // of one step of the loop
} dot_loop;
static const dot_loop bf16_loops[] = {
    {"amx-tile,amx-bf16", bf16_tiles, 16.0 * 16 * 32 * TILE_CHAINS / TILE_STEPS},
    {"avx512bw,avx512bf16", bf16_512, 32 * FMA_CHAINS},
};
static const dot_loop int8_loops[] = {
    {"amx-tile,amx-int8", int8_tiles, 16.0 * 16 * 64 * TILE_CHAINS / TILE_STEPS},
    {"avx512bw,avx512vnni", int8_512, 64 * FMA_CHAINS},
    {"avx2,avxvnni", int8_256, 32 * FMA_CHAINS},
};

typedef struct {
  float (*loop)(int steps);
  float results[RT_TEAM_MAX_THREADS];
} dot_job;

static void dot_share(void *context, int thread, int thread_count) {
  dot_job *job = context;
  (void)thread_count;
  job->results[thread] = job->loop(FMA_STEPS);
}
#endif

static double best_time(rt_team *team, rt_team_fn fn, void *job, int rounds) {
  double best = 1e9;
  for (int i = 0; i < rounds; i++) {
    double start = cli_now();
    rt_team_split(team, fn, job);
    double took = cli_now() - start;
    if (took < best) best = took;
  }
  return best;
}

#ifdef __x86_64__
// Operations a second of the first loop that this machine can run; 0 if there is none.
static double dot_rate(rt_team *team, const dot_loop *loops, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!rt_cpu_has_features(loops[i].features)) continue;
    dot_job *job = calloc(1, sizeof *job);
    if (!job) return 0;
    job->loop = loops[i].loop;
    double ops = 2.0 * loops[i].products * FMA_STEPS * rt_team_thread_count(team);
    double rate = ops / best_time(team, dot_share, job, FMA_ROUNDS);
    free(job);
    return rate;
  }
  return 0;
}
#endif

weir_status cli_roof_measure(int threads, cli_roof *out) {
  rt_team *team = NULL;
  WEIR_TRY(rt_team_create(threads, true, weir_allocator_system(), &team));
  read_job *read = calloc(1, sizeof *read);
  fma_job *fma = calloc(1, sizeof *fma);
  uint8_t *memory = aligned_alloc(4096, READ_BYTES);
  weir_status status = WEIR_OK;
  if (!read || !fma || !memory) {
    status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to measure the machine");
  } else {
    memset(memory, 1, READ_BYTES);
    *read = (read_job){.data = memory, .bytes = READ_BYTES};
    out->threads = rt_team_thread_count(team);
    out->read_bytes_per_s = READ_BYTES / best_time(team, read_share, read, READ_ROUNDS);
    double flops = 2.0 * 16 * FMA_CHAINS * FMA_STEPS * out->threads;
    out->flops_per_s = flops / best_time(team, fma_share, fma, FMA_ROUNDS);
#ifdef __x86_64__
    out->bf16_ops_per_s = dot_rate(team, bf16_loops, sizeof bf16_loops / sizeof *bf16_loops);
    out->int8_ops_per_s = dot_rate(team, int8_loops, sizeof int8_loops / sizeof *int8_loops);
#endif
  }
  free(memory);
  free(fma);
  free(read);
  rt_team_destroy(team);
  return status;
}

// ---- a device

weir_status cli_roof_measure_device(cli *c, int threads, cli_roof *out) {
  const char *device = cli_text(c, "device");
  rt_cuda_facts facts;
  plan_device_roof roof = {0};
  if (!device || !strcmp(device, "cpu")) return cli_roof_measure(threads, out);
  *out = (cli_roof){.threads = 1, .simulated = !strcmp(device, "sim")};
  WEIR_TRY(rt_cuda_describe_named(device, &facts));
  out->device = weir_arena_printf(&c->arena, "%s, %s", facts.name, facts.arch);
  weir_status status = plan_device_roof_measure(&c->arena, device, NULL, c->cancel, &roof);
  if (status && weir_status_code(status) == WEIR_CODE_UNSUPPORTED) {
    out->why = weir_arena_strdup(&c->arena, weir_status_message(status));
    weir_status_release(status);
    return WEIR_OK;
  }
  out->read_bytes_per_s = roof.read_bytes_per_s;
  out->copy_bytes_per_s = roof.copy_bytes_per_s;
  out->flops_per_s = roof.flops_per_s;
  out->bf16_ops_per_s = roof.bf16_ops_per_s;
  out->fp8_ops_per_s = roof.fp8_ops_per_s;
  out->int8_ops_per_s = roof.int8_ops_per_s;
  out->launch_s = roof.launch_s;
  return status;
}

bool cli_roof_counts(const cli_roof *roof) { return !roof->simulated && !roof->why && roof->flops_per_s > 0; }

json_t *cli_roof_json(const cli_roof *roof) {
  json_t *json = json_pack("{s:f,s:f,s:f,s:f,s:i}", "read_bytes_per_s", roof->read_bytes_per_s, "flops_per_s",
                           roof->flops_per_s, "bf16_ops_per_s", roof->bf16_ops_per_s, "int8_ops_per_s",
                           roof->int8_ops_per_s, "threads", roof->threads);
  if (!roof->device) return json;
  json_object_set_new(json, "device", json_string(roof->device));
  json_object_set_new(json, "copy_bytes_per_s", json_real(roof->copy_bytes_per_s));
  json_object_set_new(json, "fp8_ops_per_s", json_real(roof->fp8_ops_per_s));
  json_object_set_new(json, "launch_s", json_real(roof->launch_s));
  json_object_set_new(json, "simulated", json_boolean(roof->simulated));
  if (roof->why) json_object_set_new(json, "why", json_string(roof->why));
  return json;
}

static const char *device_text(weir_arena *arena, const cli_roof *roof) {
  if (roof->why) return weir_arena_printf(arena, "not measured: %s", roof->why);
  const char *fp8 =
      roof->fp8_ops_per_s > 0 ? weir_arena_printf(arena, ", %.0f Tflop/s fp8", 1e-12 * roof->fp8_ops_per_s) : "";
  const char *text = weir_arena_printf(
      arena,
      "%.0f GB/s read, %.0f GB/s copied, %.1f Tflop/s float32, %.0f Tflop/s bf16%s, %.0f Top/s int8, %.2f us a launch",
      1e-9 * roof->read_bytes_per_s, 1e-9 * roof->copy_bytes_per_s, 1e-12 * roof->flops_per_s,
      1e-12 * roof->bf16_ops_per_s, fp8, 1e-12 * roof->int8_ops_per_s, 1e6 * roof->launch_s);
  return roof->simulated ? "none: rates of the simulator say nothing of a GPU" : text;
}

const char *cli_roof_text(weir_arena *arena, const cli_roof *roof) {
  const char *narrow = "";
  if (roof->device) return device_text(arena, roof);
  if (roof->bf16_ops_per_s > 0) narrow = weir_arena_printf(arena, ", %.0f Gop/s bf16", 1e-9 * roof->bf16_ops_per_s);
  if (roof->int8_ops_per_s > 0)
    narrow = weir_arena_printf(arena, "%s, %.0f Gop/s int8", narrow, 1e-9 * roof->int8_ops_per_s);
  return weir_arena_printf(arena, "%.1f GB/s read, %.1f Gflop/s float32%s on %d thread%s",
                           1e-9 * roof->read_bytes_per_s, 1e-9 * roof->flops_per_s, narrow, roof->threads,
                           roof->threads == 1 ? "" : "s");
}

// ---- the machine

const char *cli_cpu_name(weir_arena *arena) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[512];
  const char *name = "unknown";
  while (file && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) || !colon) continue;
    name = weir_arena_strndup(arena, colon + 2, strcspn(colon + 2, "\n"));
    break;
  }
  if (file) fclose(file);
  return name;
}

json_t *cli_machine_json(void) {
  weir_arena arena;
  struct utsname system = {0};
  char features[RT_CPU_FEATURES_BYTES];
  weir_arena_init(&arena);
  uname(&system);
  rt_cpu_features(features, sizeof features);
  int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
  json_t *machine = json_pack("{s:s,s:s,s:I,s:i,s:s,s:s,s:I,s:s}", "cpu", cli_cpu_name(&arena), "arch", system.machine,
                              "processors", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "cores",
                              rt_team_default_threads(), "best_isa", rt_cpu_best_level(), "features", features,
                              "memory_bytes", (json_int_t)memory, "system", system.release);
  weir_arena_deinit(&arena);
  return machine;
}

void cli_peak_memory_reset(void) {
#ifdef __GLIBC__
  malloc_trim(0);  // what building has freed
#endif
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (!file) return;  // then the peak counts from the start of the process
  fputs("5", file);
  fclose(file);
}

int64_t cli_peak_memory_bytes(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long long kilobytes = 0;
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) break;
  }
  if (file) fclose(file);
  return kilobytes * 1024;
}
