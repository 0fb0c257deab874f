// What the two files of the check of names share: scopes of names, and the checks of expressions.
#ifndef WEIR_COMPILER_LANG_ELAB_NAMES_H
#define WEIR_COMPILER_LANG_ELAB_NAMES_H

#include "compiler/lang/elab_impl.h"

typedef struct {
  const char *name;
  int uses;
  bool fresh;  // a new dim of a signature
  int node;    // of a fn: where its mentions are; else -1
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
  int node;                // of the fn or block whose body is checked, else -1
  bool in_loop, in_fn, in_region;
  int later;  // inside of something that is refused as a whole
} lang_checker;

// ---- scopes
lang_known *lang_known_here(lang_known_names *set, const char *name);
lang_known *lang_known_find(lang_known_names *set, const char *name);
void lang_known_add(lang_checker *c, lang_known_names *set, const char *name, lang_span span, bool fresh);
lang_known_names *lang_known_push(lang_checker *c);
void lang_known_pop(lang_checker *c);

// ---- mentions (elab_cycles.c)
// A node for a fn that is no item of a file; those have the numbers of their symbols.
int lang_mention_node(lang_elab *elab);
int lang_mention_symbol(const lang_elab *elab, const lang_symbol *symbol);  // -1: it is never expanded
void lang_mention_add(lang_elab *elab, int from, int to, lang_span span, const char *name);
// Reports every mention that closes a circle.
void lang_mentions_check(lang_elab *elab);

// ---- checks
// Says once that a thing has no meaning yet; nothing within a thing that is refused as a whole.
void lang_refuse_later(lang_checker *c, lang_diag_code code, lang_span span, const char *text);
// |whole|: of the call, where the name is called.
void lang_check_name(lang_checker *c, const char *name, lang_span span, lang_span whole);
void lang_check_expr(lang_checker *c, const lang_expr *expr);
// |expr| is a whole value, where a choice may stand: itself, or as an element of a list.
void lang_check_value(lang_checker *c, const lang_expr *expr);
void lang_check_exprs(lang_checker *c, const lang_exprs *exprs);
void lang_check_args(lang_checker *c, const lang_args *args);
// |type|: of a type, where `_` is any size.
void lang_check_subs(lang_checker *c, const lang_subs *subs, bool type);

#endif
