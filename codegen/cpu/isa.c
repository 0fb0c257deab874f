// The table of ISA levels, and what the machine at hand adds to it.
#include "codegen/cpu/isa.h"

#include <string.h>

#include "runtime/device/cpu/features.h"

typedef struct {
  cg_cpu_isa isa;
  const char *reason;  // not available, because
} level;

static const level levels[] = {
#define ISA(name, arch, flags, features, reason) {{name, arch, flags, features}, reason},
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

static weir_status find_level(weir_arena *arena, const char *name, cg_cpu_isa *out_isa) {
  const char *known = "native";
  for (int i = 0; i < LEVEL_COUNT; i++) {
    const level *l = &levels[i];
    if (strcmp(l->isa.name, name)) {
      if (!l->reason) known = weir_arena_printf(arena, "%s, %s", l->isa.name, known);
      continue;
    }
    if (l->reason) return weir_status_make(WEIR_CODE_UNSUPPORTED, "target 'cpu:%s': %s", name, l->reason);
    *out_isa = l->isa;
    return WEIR_OK;
  }
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "there is no CPU level '%s'; levels: %s", name, known);
}

// The best level whose features are all here, then each further feature by its own flag.
static weir_status find_native(weir_arena *arena, cg_cpu_isa *out_isa) {
#define ISA(name, arch, flags, features, reason)
#define CG_EXTRA(feature) feature,
  static const char *const extras[] = {
#include "codegen/cpu/isa.def"
  };
#undef CG_EXTRA
#undef ISA
  const level *best = NULL;
  for (int i = 0; i < LEVEL_COUNT; i++) {
    const level *l = &levels[i];
    if (!strcmp(l->isa.arch, here) && (!l->reason || !best) && cg_cpu_isa_runs_here(&l->isa)) best = l;
  }
  if (!best || best->reason)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "target 'cpu': no code for %s yet%s%s", here, best ? ": " : "",
                            best ? best->reason : "");
  *out_isa = best->isa;
  out_isa->name = "native";
  for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
    // AVX-512 features build on the level that has AVX-512.
    bool wide = !strncmp(extras[i], "avx512", 6);
    if (!rt_cpu_has_features(extras[i]) || (wide && !strstr(best->isa.features, "avx512f"))) continue;
    if (!wide && !strstr(best->isa.features, "avx2")) continue;
    out_isa->flags = weir_arena_printf(arena, "%s -m%s", out_isa->flags, extras[i]);
    out_isa->features = weir_arena_printf(arena, "%s,%s", out_isa->features, extras[i]);
  }
  return WEIR_OK;
}

weir_status cg_cpu_isa_find(weir_arena *arena, const char *target, cg_cpu_isa *out_isa) {
  if (!strcmp(target, "cpu") || !strcmp(target, "cpu:native")) return find_native(arena, out_isa);
  if (strncmp(target, "cpu:", 4)) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' is no CPU target", target);
  return find_level(arena, target + 4, out_isa);
}

bool cg_cpu_isa_runs_here(const cg_cpu_isa *isa) {
  return !strcmp(isa->arch, here) && (!*isa->features || rt_cpu_has_features(isa->features));
}

const char *const *cg_cpu_isa_names(void) {
  static const char *const names[] = {"portable", "x86-64-v3", "x86-64-v4", "native", NULL};
  return names;
}
