// What this processor and operating system can run: cpuid for the processor, xgetbv for the registers that the system
// saves.
//
// Code levels in a package: "portable" (any machine of the object's architecture), "x86-64-v3", "x86-64-v4" (the
// psABI's levels) and "native" (the machine of the build; usable wherever all its features are).
#ifndef WEIR_RUNTIME_DEVICE_CPU_FEATURES_H
#define WEIR_RUNTIME_DEVICE_CPU_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_CPU_FEATURES_BYTES = 512 };

// Comma list of gcc's names ("avx2,avx512bw,avx512f,..."), always in one order; cut short at whole names if |bytes| is
// too little. Empty on other architectures.
void rt_cpu_features(char *out_text, size_t bytes);
// Every feature of |needed|, separated by commas or spaces, is there. A name that is not known is not.
bool rt_cpu_has_features(const char *needed);
// "portable", "x86-64-v3", "x86-64-v4", "aarch64". False for other names.
bool rt_cpu_has_level(const char *isa);
// The most able level of this machine.
const char *rt_cpu_best_level(void);

#ifdef __cplusplus
}
#endif
#endif
