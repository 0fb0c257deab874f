// Runs code with AMX instructions on x86-64 machines without them, for tests: each one traps, is performed as Intel's
// manual says, and the program goes on behind it. Every thread has tiles of its own, as in hardware.
//
// What hardware refuses (no configuration, tiles whose shapes do not fit, reserved bits) ends the process by SIGILL, as
// do instructions that are none of AMX. On machines with AMX nothing traps and nothing is emulated.
#ifndef WEIR_TESTS_AMX_EMULATOR_H
#define WEIR_TESTS_AMX_EMULATOR_H

#include <stdint.h>

// From now on, for all threads of the process.
void amx_emulator_install(void);
// Instructions performed so far by all threads: configurations, loads and stores, products.
typedef struct {
  int64_t configurations, moves, products;
} amx_emulator_counts;
amx_emulator_counts amx_emulator_counted(void);
// Whether this thread's tiles are configured: code that is done has released them.
int amx_emulator_is_open(void);

#endif
