// A folder of a test's own, removed when the test is done.
#ifndef WEIR_TESTS_COMMON_SCRATCH_H
#define WEIR_TESTS_COMMON_SCRATCH_H

enum { SCRATCH_BYTES = 32 };

// Makes a folder below /tmp and writes its path to |out_folder|. Ends the test program if it cannot.
void scratch_make(char out_folder[SCRATCH_BYTES]);
// Removes it and all that is in it.
void scratch_remove(const char *folder);

#endif
