// Who is who in a program: every declaration as a symbol, every place where it is named as an occurrence, and scopes
// for what is in sight at a place.
//
// The index goes by the syntax tree alone, so it also serves texts with errors; what a name is *worth* is the
// elaborator's matter (compiler/lang/service.h). It follows instances of known blocks (`layers[0].attn.q_proj`), not
// build-time values: a member of a `block` parameter is not found. Everything lives in the arena given and borrows the
// program.
#ifndef WEIR_COMPILER_LSP_INDEX_H
#define WEIR_COMPILER_LSP_INDEX_H

#include "compiler/lang/files.h"

typedef enum {
  LSP_BLOCK,
  LSP_MODEL,
  LSP_FN,
  LSP_ENTRY,
  LSP_STEP,
  LSP_RULE,
  LSP_BIND,
  LSP_SECTION,
  LSP_LET,
  LSP_DIM,
  LSP_PARAMETER,  // in braces
  LSP_ARGUMENT,   // in parentheses
  LSP_WEIGHT,
  LSP_STATE,
  LSP_MEMBER,
  LSP_LOCAL,
  LSP_INDEX,  // of for, scan, reducers and index notation
} lsp_symbol_kind;

typedef struct lsp_scope lsp_scope;

typedef struct {
  const char *name;  // members may have dots
  lsp_symbol_kind kind;
  const lang_file *file;
  lang_span span;          // of the name
  lang_span shown;         // the declaration as a reader sees it: without its body
  const char *doc;         // or null
  const lang_expr *value;  // what a local, member, let or loop name is given; or null
  const lang_item *item;   // block, model, fn of a file; or null
  const lang_fn *fn;       // fn, entry, step; or null
  lsp_scope *inside;       // block, model, fn: its names
  lsp_scope *home;         // where it is declared; null: at the level of its file
} lsp_symbol;

struct lsp_scope {
  lsp_scope *parent;
  const lang_file *file;
  lang_span span;
  bool body;               // of a block or a model: its names are seen from outside
  bool locals;             // assignments declare names here
  LANG_LIST(int) symbols;  // indices
  int *buckets;            // hash table over them: place + 1, 0 for none
  int bucket_count;        // a power of two
};

typedef struct {
  lang_span span;
  int symbol;
  const lang_expr *expr;  // the expression that the name is; null for declarations and patterns
  bool definition;
} lsp_occurrence;

typedef struct {
  weir_arena *arena;
  const lang_program *program;
  LANG_LIST(lsp_symbol) symbols;
  LANG_LIST(lsp_occurrence) occurrences;  // by file and place, once lsp_index_create has returned
  LANG_LIST(lsp_scope *) scopes;
  LANG_LIST(int) items;  // the symbol of each symbol of the program
} lsp_index;

lsp_index *lsp_index_create(weir_arena *arena, const lang_program *program);

// The occurrence that covers |offset| of a file or ends there, or null.
const lsp_occurrence *lsp_index_at(const lsp_index *index, int32_t file, uint32_t offset);
// The innermost scope around it, or null: the file's own level.
const lsp_scope *lsp_index_scope(const lsp_index *index, int32_t file, uint32_t offset);
// What |name| means there; -1 for nothing that is declared.
int lsp_index_resolve(const lsp_index *index, const lsp_scope *scope, const lang_file *file, const char *name);
// A symbol of |scope| itself, or -1.
int lsp_scope_find(const lsp_index *index, const lsp_scope *scope, const char *name);
// The names of the block that the symbol is an instance of, or null.
const lsp_scope *lsp_index_members(const lsp_index *index, int symbol);

#endif
