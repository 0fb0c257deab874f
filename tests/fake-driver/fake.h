// A CUDA driver for tests: exports the entry points that Weir calls, over the simulator, and does what the environment
// or a test tells it. It stands for libcuda.so.1 by WEIR_CUDA_DRIVER=PATH.
//
// Environment, read at cuInit: WEIR_FAKE_DEVICES=N (0: none), WEIR_FAKE_VERSION=11080, WEIR_FAKE_FAIL=N:CODE (the Nth
// call from then on fails), WEIR_FAKE_LOG=FILE (a line for each call, "cuMemAlloc_v2 0").
// What a test calls is found by dlsym on the same path.
#ifndef WEIR_TESTS_FAKE_DRIVER_FAKE_H
#define WEIR_TESTS_FAKE_DRIVER_FAKE_H

#include <stdint.h>

#define FAKE_EXPORT __attribute__((visibility("default")))

// Starts to count anew; call |nth| from 1 fails with |code|, 0: none does. Calls that free or destroy something do so
// and then say that they failed. |forever|: every later call that is none of those fails too.
FAKE_EXPORT void fake_cuda_fail(int64_t nth, int code, int forever);
FAKE_EXPORT int64_t fake_cuda_calls(void);       // since then
FAKE_EXPORT const char *fake_cuda_failed(void);  // the symbol that was made to fail; null: none yet
FAKE_EXPORT int64_t fake_cuda_count(const char *symbol);
// Objects that were there when the last context was released: leaks. -1: it was not.
FAKE_EXPORT int64_t fake_cuda_left(void);
// Since fake_cuda_fail: launches with the attribute that a kernel may begin before its predecessor has ended, and edges
// of graphs that say so.
FAKE_EXPORT int64_t fake_cuda_overlaps(void);

// ---- libfake-blaslt, for WEIR_CUBLASLT=PATH
// Starts to count anew; call |nth| from 1 fails with |code|, 0: none does. Calls that destroy something never fail.
FAKE_EXPORT void fake_blaslt_fail(int64_t nth, int code);
FAKE_EXPORT int64_t fake_blaslt_calls(void);
FAKE_EXPORT int fake_blaslt_failed(void);                 // whether it came to that call
FAKE_EXPORT int64_t fake_blaslt_products(int algorithm);  // by that proposal; negative: by any
FAKE_EXPORT int64_t fake_blaslt_live(void);               // objects that nobody has destroyed

#endif
