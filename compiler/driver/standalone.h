// weir build --standalone: a package and its kernels as one static program.
#ifndef WEIR_COMPILER_DRIVER_STANDALONE_H
#define WEIR_COMPILER_DRIVER_STANDALONE_H

#include "compiler/driver/model.h"

// |package| is what plan_build made of the text that |source| names, or the package that it names. NOT_FOUND if the
// static runtime (libweir_standalone.a) is not here; UNSUPPORTED where levels of several architectures are asked for;
// INVALID_DATA where a package has no C text of its kernels that compiles.
weir_status cli_standalone(cli *c, const cli_source *source, const char *package, const char *output,
                           uint64_t *out_bytes) WEIR_MUST_USE;
// Where libweir_standalone.a lies: $WEIR_STANDALONE, beside this program, or in the lib folder of its installation.
// Null if nowhere.
const char *cli_standalone_library(cli *c);

#endif
