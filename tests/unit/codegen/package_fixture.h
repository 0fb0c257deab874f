// A package of the runtime tests' model, written with the real writer. Its code object is compiled from the fixture's
// kernels.
#ifndef WEIR_TESTS_UNIT_CODEGEN_PACKAGE_FIXTURE_H
#define WEIR_TESTS_UNIT_CODEGEN_PACKAGE_FIXTURE_H

#include <unistd.h>

#include "codegen/package/writer.h"
#include "runtime/base/io.h"
#include "runtime/package/package.h"
#include "tests/unit/runtime/fixture.h"

// A folder for this test's files, removed by scratch_remove.
static char scratch[64];

static inline void scratch_make(void) {
  strcpy(scratch, "/tmp/weir-test-XXXXXX");
  cr_assert(mkdtemp(scratch));
}

static inline void scratch_remove(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", scratch);
  cr_assert_eq(system(command), 0);
}

static inline const char *scratch_path(const char *name) {
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
  return path;
}

// The fixture's kernels as a shared object; the caller frees it.
static inline char *object_build(size_t *out_bytes) {
  char command[512], *data;
  snprintf(command, sizeof command,
           "cc -std=gnu11 -O1 -shared -fPIC -DFIXTURE_OBJECT -x c '%s/tests/unit/runtime/fixture_kernels.h' -o '%s'",
           WEIR_SOURCE_DIR, scratch_path("kernels.so"));
  cr_assert_eq(system(command), 0);
  OK(weir_file_read(scratch_path("kernels.so"), 1 << 24, &data, out_bytes));
  return data;
}

#define MANIFEST                                                                              \
  "{\"format\": 2, \"model\": \"fixture\", \"entries\": [\"next\", \"score\", \"blocks\"],\n" \
  " \"objects\": [{\"isa\": \"portable\", \"features\": \"\"}], \"toolchain\": {\"cc\": \"12\"}}\n"

// Null |object|: a few bytes that are no code. |manifest| null: the right one.
static inline weir_status package_write(const char *path, fixture *f, const char *manifest, const void *object,
                                        size_t object_bytes) {
  cg_package_writer *w;
  if (!manifest) manifest = MANIFEST;
  WEIR_TRY(cg_package_create(path, &w));
  weir_status status = cg_package_add(w, RT_SECTION_MANIFEST, manifest, strlen(manifest));
  if (!status) status = cg_package_add(w, "source/models/fixture.weir", "model Fixture {}\n", 17);
  for (int i = 0; i < 3 && !status; i++) {
    char name[64];
    const char *text = rt_program_print(&f->arena, f->programs[i]);
    snprintf(name, sizeof name, RT_SECTION_PROGRAM "%s", f->programs[i]->name);
    status = cg_package_add(w, name, text, strlen(text));
  }
  if (!status)
    status = cg_package_add(w, RT_SECTION_OBJECT "portable", object ? object : "no code", object ? object_bytes : 7);
  if (!status) status = cg_package_weights_begin(w);
  if (!status) status = cg_package_weight(w, "bias", "f32", "plain", "-", "abcd", 4);
  if (!status) status = cg_package_weight(w, "table", "f32", "plain", "10x2", table, sizeof table);
  if (!status) status = cg_package_weights_end(w);
  if (!status) status = cg_package_add(w, RT_SECTION_TOKENIZER, "tokens", 6);
  if (status) {
    cg_package_discard(w);
    return status;
  }
  return cg_package_commit(w, NULL, NULL);
}

#endif
