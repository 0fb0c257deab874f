// What the two files of the check of names share: scopes of names, and the checks of expressions.
#ifndef WEIR_COMPILER_LANG_ELAB_NAMES_H
#define WEIR_COMPILER_LANG_ELAB_NAMES_H

#include "compiler/lang/elab_impl.h"

typedef struct {
  const char *name;
  int uses;
  bool fresh;  // a new dim of a signature
  lang_span span;
} lang_known;

// A set of names with open addressing; linear lists would be quadratic in hostile texts.
typedef struct lang_known_names {
  struct lang_known_names *parent;
  lang_known *data;
  int count, capacity;
  int *buckets;
  int bucket_count;
} lang_known_names;

typedef struct {
  lang_elab *elab;
  const lang_file *file;
  lang_known_names *scope;
  const lang_model *model;
  const lang_body *owner;  // of the block or model
  bool in_loop, in_fn;
  int later;  // inside of something that is refused as a whole
} lang_checker;

// ---- scopes
lang_known *lang_known_here(lang_known_names *set, const char *name);
lang_known *lang_known_find(lang_known_names *set, const char *name);
void lang_known_add(lang_checker *c, lang_known_names *set, const char *name, lang_span span, bool fresh);
lang_known_names *lang_known_push(lang_checker *c);
void lang_known_pop(lang_checker *c);

// ---- checks
// Says once that a thing has no meaning yet; nothing within a thing that is refused as a whole.
void lang_refuse_later(lang_checker *c, lang_diag_code code, lang_span span, const char *text);
void lang_check_name(lang_checker *c, const char *name, lang_span span);
void lang_check_expr(lang_checker *c, const lang_expr *expr);
void lang_check_exprs(lang_checker *c, const lang_exprs *exprs);
void lang_check_args(lang_checker *c, const lang_args *args);
// |type|: of a type, where `_` is any size.
void lang_check_subs(lang_checker *c, const lang_subs *subs, bool type);

#endif
