// Rules: rewritings that are declared in texts, the library's and the model's own (compiler/lang/rule.h). They come
// with the module, so that a module that was parsed from its text form has none. Canonical forms come first: they bring
// numbers together and movements out of the way, so that a rule finds what it is about.
#include "compiler/passes/pass.h"
#include "ir/rewrite.h"

bool pass_rules(ir_module *module) { return module->rules && ir_rewrite(module, module->rules); }
