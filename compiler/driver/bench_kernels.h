// weir bench kernels: the rungs of each template, one above the other.
#ifndef WEIR_COMPILER_DRIVER_BENCH_KERNELS_H
#define WEIR_COMPILER_DRIVER_BENCH_KERNELS_H

#include "compiler/driver/cli.h"

// The arguments are `kernels` and perhaps the name of a template.
int cli_bench_kernels(cli *c);

#endif
