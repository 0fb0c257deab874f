// What this processor and operating system can run. On x86-64 cpuid tells of the processor and xgetbv of the registers
// that the system saves; tiles (AMX) are asked of Linux too, by arch_prctl. On aarch64 the auxiliary vector says all.
//
// Code levels in a package: "portable" (any x86-64), "x86-64-v3", "x86-64-v4" (the psABI's levels), "x86-64-v4-bf16"
// (with VNNI and BF16), "amx" (and tiles); "aarch64" (NEON), "aarch64-dotprod", "aarch64-i8mm" (and BF16); and "native"
// (the machine of the build; usable wherever all its features are).
#ifndef WEIR_RUNTIME_DEVICE_CPU_FEATURES_H
#define WEIR_RUNTIME_DEVICE_CPU_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_CPU_FEATURES_BYTES = 512 };

// Comma list of gcc's names ("avx2,avx512bw,avx512f,..."), always in one order; cut short at whole names if |bytes| is
// too little. Empty on other architectures. Asks for nothing: tiles are listed if the machine has them.
void rt_cpu_features(char *out_text, size_t bytes);
// Every feature of |needed|, separated by commas or spaces, is there and may be used: if tiles are among them and all
// else is there, this asks the system for them, for all threads of the process. A name that is not known is not there.
bool rt_cpu_has_features(const char *needed);
// Why rt_cpu_has_features says no, for people: "amx-tile amx-int8: not in the processor"; empty if it says yes.
void rt_cpu_why_not(const char *needed, char *out_text, size_t bytes);
// The named levels above. False for other names.
bool rt_cpu_has_level(const char *isa);
// 0: not usable here; else the larger the more able.
int rt_cpu_level_rank(const char *isa);
// The most able level of this machine.
const char *rt_cpu_best_level(void);

#ifdef __cplusplus
}
#endif
#endif
