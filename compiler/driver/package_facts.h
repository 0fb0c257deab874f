// Everything that a package tells of itself, as one JSON document: what `weir inspect` prints and prints as text.
//
// Needs no code that this machine can run: entries are described by a model whose kernels are never called.
#ifndef WEIR_COMPILER_DRIVER_PACKAGE_FACTS_H
#define WEIR_COMPILER_DRIVER_PACKAGE_FACTS_H

#include "compiler/driver/cli.h"
#include "runtime/package/package.h"

typedef struct {
  const char *path;
  rt_package *package;
  const char *weights_problem;  // weights beside that cannot be opened, and why; null: none
} cli_opened_package;

// Opens a package of any version; without its weights where they are beside and cannot be found. Returns the exit code.
int cli_package_open(cli *c, const char *path, cli_opened_package *out);
void cli_package_close(cli_opened_package *opened);
// The same bytes at |to|, which appears when they are complete: with the signature, weights beside stay where they are.
weir_status cli_package_copy(const cli *c, const char *from, const char *to) WEIR_MUST_USE;

// The manifest as JSON. Opening has read it already: never null.
json_t *cli_package_manifest(const rt_package *package);

// identity, version, bytes, signature, storage (of the weights), manifest, targets, entries (of the current version
// only: types, states, memory at the sizes of --size and --requests), sections, and of a tuned one tuning. Returns the
// exit code; |*out| is the caller's.
int cli_package_facts(cli *c, const cli_opened_package *opened, json_t **out);

#endif
