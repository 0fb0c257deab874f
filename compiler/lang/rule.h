// Rules of a text: `rule name(params): exact { left => right; }`. docs/language/rules.md says what they mean.
//
// A rule is elaborated like any body. Its left side becomes patterns (ir/rewrite.h), one for each choice of rank of
// `...`, of what `f` is, and of its bools, dtypes and bounded ints, made when a node comes up that it may fit. Its
// right side is elaborated at each match, with the sizes and numbers that were found and under all checks of the
// language: a rule does not apply where its right side would be refused. Nothing is kept between calls but in the arena
// given. One thread at a time.
#ifndef WEIR_COMPILER_LANG_RULE_H
#define WEIR_COMPILER_LANG_RULE_H

#include "compiler/lang/files.h"
#include "ir/rewrite.h"

#ifdef __cplusplus
extern "C" {
#endif

// Trials that make a rule fit for use. The library passes a long test whenever Weir itself is tested; a build takes
// another look, whether its text is whole.
enum { LANG_RULE_TRIALS = 200, LANG_RULE_LIBRARY_TRIALS = 48 };

typedef struct {
  int rules;
  int trials;       // evaluations of both sides
  int compared;     // elements of results that were compared, NaN not counted
  double work;      // operations and bytes, which are bounded for a program as a whole
  const char *why;  // of the last trial that could not be made; null if there was none
} lang_rule_report;

// How many rules the files of |program| declare.
int lang_rules_count(const lang_program *program);

// Checks every rule of |program|: its form, its types, and that both sides agree on |trials| random inputs. What is
// wrong is a diagnostic; a wrong rule's shows the input on which the sides differ. |out_report| may be null.
void lang_rules_check(weir_arena *arena, const lang_program *program, int trials, lang_diags *diags,
                      lang_rule_report *out_report);
// The same for one rule; false when it is refused or there is none of that name.
bool lang_rule_check(weir_arena *arena, const lang_program *program, const char *name, int trials, lang_diags *diags,
                     lang_rule_report *out_report);

// Adds every rule of |program|, which has passed lang_rules_check, to |rules|. |library|: they are not the user's.
// |diags| knows the sources; all three must outlive |rules|.
void lang_rules_add(ir_rules *rules, const lang_program *program, bool library, const lang_diags *diags);

// A rule's place in its text, of one that lang_rules_add made.
lang_span lang_rule_span(const ir_rule *rule);

#ifdef __cplusplus
}
#endif
#endif
