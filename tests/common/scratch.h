// A folder of a test's own, removed when the test is done, and one that all tests share.
#ifndef WEIR_TESTS_COMMON_SCRATCH_H
#define WEIR_TESTS_COMMON_SCRATCH_H

#include <stdint.h>

enum { SCRATCH_BYTES = 32 };

// Makes a folder below /tmp and writes its path to |out_folder|. Ends the test program if it cannot.
void scratch_make(char out_folder[SCRATCH_BYTES]);
// Removes it and all that is in it.
void scratch_remove(const char *folder);

// Where compiled kernels are kept by their contents (cache_dir of cg_cpu_options): for all tests, trees and runs, since
// a sanitizer changes no kernel. KEPT_BYTES are what may lie there.
#define KEPT_OBJECTS WEIR_KEPT_OBJECTS
#define KEPT_BYTES ((int64_t)2 << 30)

#endif
