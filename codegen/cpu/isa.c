// The table of ISA levels, and what the machine at hand adds to it.
#include "codegen/cpu/isa.h"

#include <string.h>

#include "runtime/device/cpu/features.h"

static const cg_cpu_isa levels[] = {
#define ISA(name, arch, flags, features) {name, arch, flags, features},
#include "codegen/cpu/isa.def"
#undef ISA
};
enum { LEVEL_COUNT = sizeof levels / sizeof *levels };

#if defined(__x86_64__)
static const char here[] = "x86_64";
#elif defined(__aarch64__)
static const char here[] = "aarch64";
#else
static const char here[] = "unknown";
#endif

const char *cg_cpu_arch_here(void) { return here; }

static weir_status find_level(weir_arena *arena, const char *name, cg_cpu_isa *out_isa) {
  const char *known = "native";
  for (int i = 0; i < LEVEL_COUNT; i++) {
    known = weir_arena_printf(arena, "%s, %s", levels[i].name, known);
    if (strcmp(levels[i].name, name)) continue;
    *out_isa = levels[i];
    return WEIR_OK;
  }
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "there is no CPU level '%s'; levels: %s", name, known);
}

static bool lists(const char *features, const char *feature) {
  size_t length = strlen(feature);
  for (const char *at = features; (at = strstr(at, feature)); at += length)
    if ((at == features || at[-1] == ',') && (!at[length] || at[length] == ',')) return true;
  return false;
}

// The best level whose features are all here, then each further feature by its own flag.
static weir_status find_native(weir_arena *arena, cg_cpu_isa *out_isa) {
#define ISA(name, arch, flags, features)
#define CG_EXTRA(feature) feature,
  static const char *const extras[] = {
#include "codegen/cpu/isa.def"
  };
#undef CG_EXTRA
#undef ISA
  const cg_cpu_isa *best = NULL;
  for (int i = 0; i < LEVEL_COUNT; i++)
    if (cg_cpu_isa_runs_here(&levels[i])) best = &levels[i];
  if (!best) return weir_status_make(WEIR_CODE_UNSUPPORTED, "target 'cpu': there is no code for %s", here);
  *out_isa = *best;
  out_isa->name = "native";
  for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
    // AVX-512 features build on the level that has AVX-512.
    bool wide = !strncmp(extras[i], "avx512", 6);
    if (lists(out_isa->features, extras[i])) continue;
    if (!rt_cpu_has_features(extras[i]) || (wide && !strstr(best->features, "avx512f"))) continue;
    if (!wide && !strstr(best->features, "avx2")) continue;
    out_isa->flags = weir_arena_printf(arena, "%s -m%s", out_isa->flags, extras[i]);
    out_isa->features = weir_arena_printf(arena, "%s,%s", out_isa->features, extras[i]);
  }
  return WEIR_OK;
}

weir_status cg_cpu_isa_find(weir_arena *arena, const char *target, cg_cpu_isa *out_isa) {
  if (!strcmp(target, "cpu") || !strcmp(target, "cpu:native")) return find_native(arena, out_isa);
  if (strncmp(target, "cpu:", 4))
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                            "'%s' is no target; write cpu, cpu:LEVEL, cuda, cuda:NAME or sim", target);
  return find_level(arena, target + 4, out_isa);
}

bool cg_cpu_isa_runs_here(const cg_cpu_isa *isa) {
  return !strcmp(isa->arch, here) && (!*isa->features || rt_cpu_has_features(isa->features));
}

const char *const *cg_cpu_isa_names(void) {
#define ISA(name, arch, flags, features) name,
  static const char *const names[] = {
#include "codegen/cpu/isa.def"
      "native", NULL};
#undef ISA
  return names;
}
