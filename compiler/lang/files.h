// Programs: a root file and all that it uses, read once each, with one table of the names they declare.
#ifndef WEIR_COMPILER_LANG_FILES_H
#define WEIR_COMPILER_LANG_FILES_H

#include "compiler/lang/ast.h"
#include "compiler/lang/diag.h"

#ifdef __cplusplus
extern "C" {
#endif

// A text that stands for the file at |path|: what an editor has and has not saved.
typedef struct {
  const char *path;
  const char *text;
  size_t length;
} lang_overlay;

// Folders in which `use a.b;` looks for a/b.weir, first one first; and texts that go before files.
typedef struct {
  const char *const *folders;
  int count;
  const lang_overlay *overlays;
  int overlay_count;
} lang_search;

// One declaration of a file. A let or a dim of several names has a symbol for each.
typedef struct {
  const char *name;
  lang_span span;  // of the name
  const lang_file *file;
  const lang_item *item;
} lang_symbol;

typedef struct {
  lang_file **files;  // the root first, then in the order in which they were first used
  int file_count, file_capacity;
  lang_symbol *symbols;  // in the order of files and items; every kind of item but `use`
  int symbol_count, symbol_capacity;
  int *buckets;      // hash table over |symbols|, the first of each name and space: index + 1, 0 for none
  int bucket_count;  // a power of two
  bool *reaches;     // file_count x file_count: row uses column, itself or through others
  bool ok;           // every file was found and read without an error, and no name is twice
} lang_program;

// Reads |path| and what it uses. A file that uses itself through others is read once: a namespace has no order. A
// missing file, a syntax error and a name twice are diagnostics. NOT_FOUND or IO only when the root itself cannot be
// read. Files are numbered from 1 in |diags|.
//
// One namespace for lets, fns, blocks, models and rules of the root and all that it uses. Dims belong to their own
// file: `dim T: seq;` speaks of the signatures there. Binds and sections are told apart by kind, name and model.
weir_status lang_load(weir_arena *arena, const char *path, const lang_search *search, lang_diags *diags,
                      lang_program **out_program) WEIR_MUST_USE;

// The same from a text in memory; |path| is shown in messages and is where relative uses begin.
weir_status lang_load_text(weir_arena *arena, const char *path, const char *text, size_t length,
                           const lang_search *search, lang_diags *diags, lang_program **out_program) WEIR_MUST_USE;

// A let, fn, block, model or rule that |from| sees: declared there or in a file that it uses. Any file's when |from| is
// null. Or null.
const lang_symbol *lang_program_find(const lang_program *program, const lang_file *from, const char *name);
// A dim of that very file, or null.
const lang_symbol *lang_program_find_dim(const lang_program *program, const lang_file *file, const char *name);
// The bind |name| for |model|, the section of |kind| so named for |model| (null: for any, and for clusters). Or null.
const lang_symbol *lang_program_find_bind(const lang_program *program, const char *name, const char *model);
const lang_symbol *lang_program_find_section(const lang_program *program, lang_section_kind kind, const char *name,
                                             const char *model);

#ifdef __cplusplus
}
#endif
#endif
