#include "tests/common/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scratch_make(char out_folder[SCRATCH_BYTES]) {
  strcpy(out_folder, "/tmp/weir-test-XXXXXX");
  if (mkdtemp(out_folder)) return;
  perror("cannot make a folder below /tmp");
  exit(1);
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *where) {
  (void)info;
  (void)flag;
  (void)where;
  return remove(path);
}

void scratch_remove(const char *folder) { nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS); }
