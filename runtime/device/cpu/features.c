// One table of features: gcc's name, where cpuid tells it, and which registers the system must save for it.
#include "runtime/device/cpu/features.h"

#include <stdint.h>
#include <string.h>

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
enum { FEATURE_COUNT = sizeof features / sizeof features[0] };

#if defined(__x86_64__)
#include <cpuid.h>

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

static bool feature_has(const feature *f) {
  uint32_t regs[4];
  if (!__get_cpuid_count(f->leaf, f->subleaf, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX])) return false;
  return regs[f->reg] >> f->bit & 1 && saved_has(f->saved);
}
#else
static bool feature_has(const feature *f) {
  (void)f;
  return false;
}
#endif

void rt_cpu_features(char *out_text, size_t bytes) {
  size_t used = 0;
  if (bytes) out_text[0] = 0;
  for (int i = 0; i < FEATURE_COUNT; i++) {
    size_t length = strlen(features[i].name), comma = used > 0;
    if (!feature_has(&features[i])) continue;
    if (used + comma + length + 1 > bytes) return;
    if (comma) out_text[used++] = ',';
    memcpy(out_text + used, features[i].name, length + 1);
    used += length;
  }
}

bool rt_cpu_has_features(const char *needed) {
  while (*needed) {
    size_t length = strcspn(needed, ", ");
    bool found = !length;
    for (int i = 0; i < FEATURE_COUNT && !found; i++) {
      found =
          strlen(features[i].name) == length && !memcmp(features[i].name, needed, length) && feature_has(&features[i]);
    }
    if (!found) return false;
    needed += length;
    if (*needed) needed++;
  }
  return true;
}

// The psABI's levels; each includes the one before.
#define LEVEL_V3 "sse3,ssse3,sse4.1,sse4.2,cx16,popcnt,avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe"
#define LEVEL_V4 LEVEL_V3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"

bool rt_cpu_has_level(const char *isa) {
  if (!strcmp(isa, "portable")) return true;
#if defined(__aarch64__)
  if (!strcmp(isa, "aarch64")) return true;
#endif
  if (!strcmp(isa, "x86-64-v3")) return rt_cpu_has_features(LEVEL_V3);
  if (!strcmp(isa, "x86-64-v4")) return rt_cpu_has_features(LEVEL_V4);
  return false;
}

const char *rt_cpu_best_level(void) {
  static const char *const levels[] = {"x86-64-v4", "x86-64-v3"};
  for (int i = 0; i < 2; i++) {
    if (rt_cpu_has_level(levels[i])) return levels[i];
  }
  return "portable";
}
