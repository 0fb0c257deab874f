// Two tables: features, with the place where the processor tells of them, and levels of code, with the features they
// need. A feature counts only if the system saves the registers that come with it.
#include "runtime/device/cpu/features.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef enum { EAX, EBX, ECX, EDX } cpuid_register;
// What XCR0 must say: nothing, AVX registers, AVX-512 registers, AMX tiles.
typedef enum { SAVE_NONE, SAVE_AVX, SAVE_AVX512, SAVE_AMX } saved_state;

typedef struct {
  const char *name;
  uint32_t leaf, subleaf;
  cpuid_register reg;
  int bit;
  saved_state saved;
} feature;

static const feature features[] = {
    {"cmov", 1, 0, EDX, 15, SAVE_NONE},
    {"sse", 1, 0, EDX, 25, SAVE_NONE},
    {"sse2", 1, 0, EDX, 26, SAVE_NONE},
    {"sse3", 1, 0, ECX, 0, SAVE_NONE},
    {"pclmul", 1, 0, ECX, 1, SAVE_NONE},
    {"ssse3", 1, 0, ECX, 9, SAVE_NONE},
    {"sse4.1", 1, 0, ECX, 19, SAVE_NONE},
    {"sse4.2", 1, 0, ECX, 20, SAVE_NONE},
    {"cx16", 1, 0, ECX, 13, SAVE_NONE},
    {"movbe", 1, 0, ECX, 22, SAVE_NONE},
    {"popcnt", 1, 0, ECX, 23, SAVE_NONE},
    {"aes", 1, 0, ECX, 25, SAVE_NONE},
    {"avx", 1, 0, ECX, 28, SAVE_AVX},
    {"f16c", 1, 0, ECX, 29, SAVE_AVX},
    {"fma", 1, 0, ECX, 12, SAVE_AVX},
    {"bmi", 7, 0, EBX, 3, SAVE_NONE},
    {"bmi2", 7, 0, EBX, 8, SAVE_NONE},
    {"avx2", 7, 0, EBX, 5, SAVE_AVX},
    {"lzcnt", 0x80000001, 0, ECX, 5, SAVE_NONE},
    {"avx512f", 7, 0, EBX, 16, SAVE_AVX512},
    {"avx512dq", 7, 0, EBX, 17, SAVE_AVX512},
    {"avx512ifma", 7, 0, EBX, 21, SAVE_AVX512},
    {"avx512cd", 7, 0, EBX, 28, SAVE_AVX512},
    {"avx512bw", 7, 0, EBX, 30, SAVE_AVX512},
    {"avx512vl", 7, 0, EBX, 31, SAVE_AVX512},
    {"avx512vbmi", 7, 0, ECX, 1, SAVE_AVX512},
    {"avx512vbmi2", 7, 0, ECX, 6, SAVE_AVX512},
    {"gfni", 7, 0, ECX, 8, SAVE_NONE},
    {"vaes", 7, 0, ECX, 9, SAVE_AVX},
    {"vpclmulqdq", 7, 0, ECX, 10, SAVE_AVX},
    {"avx512vnni", 7, 0, ECX, 11, SAVE_AVX512},
    {"avx512bitalg", 7, 0, ECX, 12, SAVE_AVX512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, SAVE_AVX512},
    {"avx512fp16", 7, 0, EDX, 23, SAVE_AVX512},
    {"amx-bf16", 7, 0, EDX, 22, SAVE_AMX},
    {"amx-tile", 7, 0, EDX, 24, SAVE_AMX},
    {"amx-int8", 7, 0, EDX, 25, SAVE_AMX},
    {"avxvnni", 7, 1, EAX, 4, SAVE_AVX},
    {"avx512bf16", 7, 1, EAX, 5, SAVE_AVX512},
};

static bool saved_has(saved_state saved) {
  static const uint32_t masks[] = {[SAVE_NONE] = 0, [SAVE_AVX] = 0x6, [SAVE_AVX512] = 0xe6, [SAVE_AMX] = 0x60006};
  uint32_t regs[4];
  if (saved == SAVE_NONE) return true;
  if (!__get_cpuid_count(1, 0, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX])) return false;
  if (!(regs[ECX] >> 27 & 1)) return false;  // OSXSAVE: xgetbv may be used
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return (lo & masks[saved]) == masks[saved];
}

static bool processor_has(const feature *f) {
  uint32_t regs[4];
  if (!__get_cpuid_count(f->leaf, f->subleaf, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX])) return false;
  return regs[f->reg] >> f->bit & 1;
}

static bool system_has(const feature *f) { return saved_has(f->saved); }

// Tiles have 8 KiB, which every thread's state would carry: Linux hands them to a process that asks.
static bool system_permits(const feature *f) {
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  return f->saved != SAVE_AMX || syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

typedef struct {
  const char *name;
  unsigned long word;
  int bit;
} feature;

static const feature features[] = {
    {"asimd", AT_HWCAP, 1}, {"dotprod", AT_HWCAP, 20}, {"i8mm", AT_HWCAP2, 13}, {"bf16", AT_HWCAP2, 14}};

static bool processor_has(const feature *f) { return getauxval(f->word) >> f->bit & 1; }
static bool system_has(const feature *f) { return f != NULL; }  // the words are what the system lets programs use
static bool system_permits(const feature *f) { return f != NULL; }

#else
typedef struct {
  const char *name;
} feature;
static const feature features[] = {{""}};

static bool processor_has(const feature *f) { return f->name[0] != 0; }
static bool system_has(const feature *f) { return processor_has(f); }
static bool system_permits(const feature *f) { return processor_has(f); }
#endif
enum { FEATURE_COUNT = sizeof features / sizeof features[0] };

void rt_cpu_features(char *out_text, size_t bytes) {
  size_t used = 0;
  if (bytes) out_text[0] = 0;
  for (int i = 0; i < FEATURE_COUNT; i++) {
    size_t length = strlen(features[i].name), comma = used > 0;
    if (!processor_has(&features[i]) || !system_has(&features[i])) continue;
    if (used + comma + length + 1 > bytes) return;
    if (comma) out_text[used++] = ',';
    memcpy(out_text + used, features[i].name, length + 1);
    used += length;
  }
}

typedef enum { USABLE, UNKNOWN, NO_PROCESSOR, NO_SYSTEM, NO_PERMISSION } usability;

static usability usability_of(const char *name, size_t length) {
  const feature *f = NULL;
  for (int i = 0; i < FEATURE_COUNT && !f; i++)
    if (strlen(features[i].name) == length && !memcmp(features[i].name, name, length)) f = &features[i];
  if (!f) return UNKNOWN;
  if (!processor_has(f)) return NO_PROCESSOR;
  if (!system_has(f)) return NO_SYSTEM;
  return USABLE;
}

// Permission is asked only once all else is there.
static usability permission_for(const char *needed) {
  for (int i = 0; i < FEATURE_COUNT; i++) {
    const char *at = strstr(needed, features[i].name);
    if (at && *features[i].name && !system_permits(&features[i])) return NO_PERMISSION;
  }
  return USABLE;
}

bool rt_cpu_has_features(const char *needed) {
  for (const char *at = needed; *at;) {
    size_t length = strcspn(at, ", ");
    if (length && usability_of(at, length) != USABLE) return false;
    at += length + (at[length] != 0);
  }
  return permission_for(needed) == USABLE;
}

void rt_cpu_why_not(const char *needed, char *out_text, size_t bytes) {
  static const char *const words[] = {
      [UNKNOWN] = "unknown here", [NO_PROCESSOR] = "not in the processor", [NO_SYSTEM] = "not saved by the system"};
  size_t used = 0;
  if (bytes) out_text[0] = 0;
  for (usability why = UNKNOWN; why <= NO_SYSTEM; why++) {
    bool any = false;
    for (const char *at = needed; *at;) {
      size_t length = strcspn(at, ", ");
      if (length && usability_of(at, length) == why && used < bytes) {
        used += (size_t)snprintf(out_text + used, bytes - used, "%s%.*s",
                                 any    ? " "
                                 : used ? "; "
                                        : "",
                                 (int)length, at);
        any = true;
      }
      at += length + (at[length] != 0);
    }
    if (any && used < bytes) used += (size_t)snprintf(out_text + used, bytes - used, ": %s", words[why]);
  }
  if (!used && permission_for(needed) != USABLE)
    snprintf(out_text, bytes, "the system does not permit this process to use tiles");
}

// ---- levels, from the least to the most able. Each x86-64 level includes the one before; v3 and v4 are the psABI's.

#if defined(__x86_64__)
#define LEVEL_V3 "sse3,ssse3,sse4.1,sse4.2,cx16,popcnt,avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe"
#define LEVEL_V4 LEVEL_V3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
#define LEVEL_V4_BF16 LEVEL_V4 ",avx512vnni,avx512bf16"
#define LEVELS                                                                                             \
  {"portable", ""}, {"x86-64-v3", LEVEL_V3}, {"x86-64-v4", LEVEL_V4}, {"x86-64-v4-bf16", LEVEL_V4_BF16}, { \
    "amx", LEVEL_V4_BF16 ",amx-tile,amx-int8,amx-bf16"                                                     \
  }
#elif defined(__aarch64__)
#define LEVELS \
  {"aarch64", "asimd"}, {"aarch64-dotprod", "asimd,dotprod"}, { "aarch64-i8mm", "asimd,dotprod,i8mm,bf16" }
#else
#define LEVELS \
  { "portable", "" }
#endif
static const struct { const char *name, *features; } levels[] = {LEVELS};
enum { LEVEL_COUNT = sizeof levels / sizeof levels[0] };

int rt_cpu_level_rank(const char *isa) {
  for (int i = 0; i < LEVEL_COUNT; i++)
    if (!strcmp(isa, levels[i].name)) return rt_cpu_has_features(levels[i].features) ? i + 1 : 0;
  return 0;
}

bool rt_cpu_has_level(const char *isa) { return rt_cpu_level_rank(isa) > 0; }

const char *rt_cpu_best_level(void) {
  for (int i = LEVEL_COUNT - 1; i > 0; i--)
    if (rt_cpu_has_features(levels[i].features)) return levels[i].name;
  return levels[0].name;
}
