// Which code of several a machine takes: the same for code in a package and for code linked into a program.
#ifndef WEIR_RUNTIME_DEVICE_CPU_CHOICE_H
#define WEIR_RUNTIME_DEVICE_CPU_CHOICE_H

#ifdef __cplusplus
extern "C" {
#endif

// 0: cannot run here; else the larger the better. |features| as rt_cpu_has_features takes them.
int rt_code_rank(const char *isa, const char *features);

#ifdef __cplusplus
}
#endif
#endif
