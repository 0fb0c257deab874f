// What would fit where a device has too little memory.
#ifndef WEIR_COMPILER_DRIVER_FIT_H
#define WEIR_COMPILER_DRIVER_FIT_H

#include "compiler/driver/cli.h"
#include "runtime/weir.h"

// |status|, which is taken. If a device ran out of memory with the package at |path|, its message says too what a call
// needs in all, how long a context fits, and in which formats the weights would. |model| may be null: its weights are
// on the device.
weir_status cli_fit_annotate(cli *c, const char *path, const weir_model *model, weir_status status);

#endif
