// Rules at work: patterns for the nodes that come up, and the right side of a match.
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_rule.h"

// The pattern, the case that it was made in, and what its holes and symbols are.
typedef struct {
  ir_pattern pattern;
  lang_rule_case c;
  int hole_param[LANG_RULE_MAX];
  bool is_f;  // the result is declared as `f`
} made_pattern;

// ---- patterns

// An int that is used as a number is no size: its value would have to be one that a dim can have.
static int counted_int(const lang_rule_form *form, const lang_rule_case *c, const ir_function *function) {
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; node->op == IR_OP_size && i < form->decl->params.count; i++) {
      if (form->kinds[i] != LANG_RULE_SIZE) continue;
      for (int k = 0; k < form->size_count; k++) {
        bool same = !strcmp(form->decl->params.data[i].name.text, form->sizes[k]);
        if (same && node->attrs[0].dim == c->sizes[k]) return i;
      }
    }
  }
  return -1;
}

static bool is_plain(const ir_function *function) {
  int count = 0;
  for (const ir_node *node = function->first; node; node = node->next, count++) {
    if (node->callee || node->result_count != 1 || !(ir_op_get_info(node->op)->flags & IR_FLAG_PURE)) return false;
  }
  return count <= IR_PATTERN_MAX && function->param_count <= IR_MATCH_MAX;
}

// Only what the result is made of is looked for.
static void drop_unused(ir_function *function) {
  for (ir_node *node = function->last, *prev; node; node = prev) {
    prev = node->prev;
    if (!ir_value_use_count(function, node->results[0])) ir_node_remove(node);
  }
  ir_function_renumber(function);
}

const ir_pattern *lang_rule_pattern(lang_rule_form *form, const lang_rule_case *c, lang_diags *diags) {
  ir_module *module = diags ? ir_module_create(form->arena, form->decl->name.text) : form->shared;
  made_pattern *made = WEIR_NEW(form->arena, made_pattern);
  lang_rule_run *run = WEIR_NEW(form->arena, lang_rule_run);
  made->c = *c;
  lang_rule_open_case(form, module, &made->c);
  if (!lang_rule_open(run, form, &made->c, module, NULL, diags)) return NULL;
  ir_function *function = lang_rule_side(run, true, NULL);
  if (!function || !function->results[0].value->def) return NULL;
  if (!is_plain(function)) {
    if (diags) lang_diag_add(diags, LANG_W_RULE_REGION, form->decl->left->span, form->decl->name.text);
    return NULL;
  }
  drop_unused(function);
  ir_node *root = function->results[0].value->def;
  form->counted = counted_int(form, &made->c, function);
  if (root->op == IR_OP_constant || root->op == IR_OP_size || form->counted >= 0) return NULL;
  made->is_f = run->function.result.tensor->is_f;
  made->pattern = (ir_pattern){.function = function, .root = root, .maker = made};
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] != LANG_RULE_FLOAT && form->kinds[i] != LANG_RULE_INT) continue;
    int at = made->pattern.hole_count++;
    made->hole_param[at] = i;
    made->pattern.holes[at] = lang_rule_hole(i);
    made->pattern.hole_ints[at] = form->kinds[i] == LANG_RULE_INT;
  }
  return &made->pattern;
}

bool lang_rule_pattern_is_f(const ir_pattern *pattern) { return ((const made_pattern *)pattern->maker)->is_f; }

// ---- nodes that come up

typedef struct {
  int rank;
  ir_dtype dtype;
  const ir_pattern **data;
  int count, capacity;
} pattern_list;

// Which element types occur in the module: no others are tried for a dtype or for `f`.
typedef struct {
  bool known;
  bool has[IR_DTYPE_COUNT];
} present_types;

typedef struct {
  lang_rule_form form;
  ir_rule rule;
  present_types present;
  const lang_symbol *symbol;  // not read yet; null: read
  bool refused;
  LANG_LIST(pattern_list) lists;  // by rank and type of the root
} made_rule;

static void find_present(present_types *present, const ir_module *module) {
  present->known = true;
  for (int i = 0; i < module->function_count; i++) {
    const ir_function *function = module->functions[i];
    for (int k = 0; k < function->param_count; k++) present->has[function->params[k].value->type.dtype] = true;
    for (const ir_node *node = function->first; node; node = node->next) {
      for (int k = 0; k < node->result_count; k++) present->has[node->results[k]->type.dtype] = true;
    }
  }
}

static bool types_occur(const made_rule *made, const lang_rule_case *c) {
  for (int i = 0; i < made->form.decl->params.count; i++) {
    if (made->form.kinds[i] == LANG_RULE_DTYPE && !made->present.has[c->values[i].dtype.type]) return false;
  }
  return !made->form.floats || made->present.has[c->f];
}

static void collect(made_rule *made, pattern_list *list, lang_rule_case *c) {
  lang_rule_first_choice(&made->form, c);
  do {
    if (!types_occur(made, c)) continue;
    const ir_pattern *pattern = lang_rule_pattern(&made->form, c, NULL);
    if (!pattern) continue;
    const ir_type *type = &pattern->root->results[0]->type;
    if (type->dtype == list->dtype && type->rank == list->rank)
      WEIR_PUSH(made->form.arena, list->data, list->count, list->capacity, pattern);
  } while (lang_rule_next_choice(&made->form, c));
}

// Reads the rule's text when a node comes up that it may fit: most rules of the library never do.
static bool read_rule(made_rule *made) {
  const lang_symbol *symbol = made->symbol;
  const lang_rule_form now = made->form;
  lang_diags silent;
  made->symbol = NULL;
  lang_diags_init(&silent, now.arena);
  silent.sources = now.diags->sources;
  silent.source_count = now.diags->source_count;
  made->refused = !lang_rule_read(now.arena, now.program, symbol, now.shared, &silent, &made->form);
  made->form.diags = now.diags;
  return !made->refused;
}

static int patterns_of(const ir_rule *rule, const ir_node *node, const ir_pattern *const **out_patterns) {
  made_rule *made = rule->maker;
  if (made->symbol) read_rule(made);
  if (made->refused) return 0;
  const ir_type *type = &node->results[0]->type;
  for (int i = 0; i < made->lists.count; i++) {
    pattern_list *list = &made->lists.data[i];
    if (list->rank != type->rank || list->dtype != type->dtype) continue;
    *out_patterns = list->data;
    return list->count;
  }
  pattern_list fresh = {.rank = type->rank, .dtype = type->dtype};
  const lang_rule_form *form = &made->form;
  int dots = type->rank - form->root_lead;
  if (!made->present.known) find_present(&made->present, node->parent->module);
  bool fits = form->dots ? dots >= 0 && dots <= LANG_RULE_DOTS : dots == 0;
  for (int k = 0; fits && k < LANG_RULE_FLOATS; k++) {
    lang_rule_case c = {.f = lang_rule_floats[k], .dots = dots};
    if (form->root_is_f && c.f != type->dtype) continue;
    collect(made, &fresh, &c);
    if (!form->floats) break;
  }
  LANG_PUSH(form->arena, &made->lists, fresh);
  *out_patterns = fresh.data;
  return fresh.count;
}

// ---- right sides

static bool case_of(const lang_rule_form *form, const made_pattern *made, const ir_match *match, lang_rule_case *out) {
  *out = made->c;
  for (int i = 0; i < form->size_count; i++) out->sizes[i] = match->sizes[lang_rule_symbol(form, i)];
  for (int i = 0; i < made->c.dots; i++) {
    out->lead[i] = match->sizes[lang_rule_symbol(form, form->size_count + i)];
    if (!out->lead[i]) return false;
  }
  for (int i = 0; i < made->pattern.hole_count; i++) {
    int param = made->hole_param[i];
    if (!match->bound[i]) return false;
    out->values[param] = form->kinds[param] == LANG_RULE_INT ? lang_value_int((int64_t)match->numbers[i])
                                                             : lang_value_float(match->numbers[i]);
  }
  return true;
}

// Whether an op of |run| looks along a seq that grows in some step.
static bool looks_along(const lang_rule_run *run) {
  for (int i = 0; i < run->function.events.count; i++) {
    if (run->function.events.data[i].symbol->past) return true;
  }
  return false;
}

static ir_function *replacement_of(const ir_rule *rule, const ir_pattern *pattern, const ir_match *match) {
  made_rule *made = rule->maker;
  const lang_rule_form *form = &made->form;
  lang_rule_case c;
  ir_module *module = match->function->module;
  if (!case_of(form, pattern->maker, match, &c)) return NULL;
  lang_rule_run *run = WEIR_NEW(module->arena, lang_rule_run);
  if (!lang_rule_open(run, form, &c, module, match->tensors, NULL) || !lang_rule_holds(run)) return NULL;
  ir_function *function = lang_rule_side(run, false, &match->root->results[0]->type);
  if (!function || !is_plain(function)) return NULL;
  if (looks_along(run)) {  // then the left side must have done so: the seq does not grow here
    lang_rule_run *left = WEIR_NEW(module->arena, lang_rule_run);
    if (!lang_rule_open(left, form, &c, module, match->tensors, NULL)) return NULL;
    if (!lang_rule_side(left, true, NULL) || !looks_along(left)) return NULL;
  }
  drop_unused(function);
  return function;
}

// ---- adding

// Ops that the left side may end in, as far as its syntax tells; 0 where it does not.
static int roots_of(const lang_program *program, const lang_symbol *symbol, ir_op *out) {
  static const ir_op binary[] = {
      [LANG_OP_ADD] = IR_OP_add, [LANG_OP_SUB] = IR_OP_sub, [LANG_OP_MUL] = IR_OP_mul, [LANG_OP_DIV] = IR_OP_div,
      [LANG_OP_MOD] = IR_OP_mod, [LANG_OP_AND] = IR_OP_and, [LANG_OP_OR] = IR_OP_or};
  const lang_expr *expr = symbol->item->rule.left;
  if (expr->kind == LANG_EXPR_BINARY) {
    out[0] = binary[expr->binary.op];
    return 1;
  }
  if (expr->kind == LANG_EXPR_UNARY) {
    out[0] = expr->unary.op == LANG_OP_NEG ? IR_OP_neg : IR_OP_not;
    return 1;
  }
  const char *name =
      expr->kind == LANG_EXPR_CALL && expr->call.callee->kind == LANG_EXPR_NAME ? expr->call.callee->name : "";
  if (lang_program_find(program, symbol->file, name) || !ir_op_find(name, &out[0])) return 0;
  if (!(ir_op_get_info(out[0])->flags & (IR_FLAG_EW | IR_FLAG_REDUCE))) return 0;
  if (out[0] != IR_OP_max && out[0] != IR_OP_min) return 1;
  out[1] = out[0] == IR_OP_max ? IR_OP_amax : IR_OP_amin;  // with a dim they reduce
  return 2;
}

void lang_rule_add(ir_rules *rules, const lang_program *program, const lang_symbol *symbol, ir_module *shared,
                   bool library, const lang_diags *diags) {
  made_rule *made = WEIR_NEW(rules->arena, made_rule);
  const lang_source *source = lang_diags_source(diags, symbol->span.file);
  made->symbol = symbol;
  made->form = (lang_rule_form){
      .arena = rules->arena, .program = program, .span = symbol->span, .diags = diags, .shared = shared};
  made->rule = (ir_rule){.name = symbol->name,
                         .loc = {source ? source->path : NULL, symbol->span.first_line, symbol->span.first_column},
                         .exact = symbol->item->rule.exact,
                         .library = library,
                         .maker = made,
                         .patterns = patterns_of,
                         .replacement = replacement_of};
  ir_op roots[2];
  int count = library ? roots_of(program, symbol, roots) : 0;
  if (!count && read_rule(made)) roots[count++] = made->form.root;
  for (int i = 0; i < count; i++) ir_rules_add(rules, &made->rule, roots[i]);
}

void lang_rules_add(ir_rules *rules, const lang_program *program, bool library, const lang_diags *diags) {
  ir_module *shared = lang_rule_module(rules->arena);
  for (int i = 0; i < program->symbol_count; i++) {
    if (program->symbols[i].item->kind == LANG_ITEM_RULE)
      lang_rule_add(rules, program, &program->symbols[i], shared, library, diags);
  }
}

lang_span lang_rule_span(const ir_rule *rule) { return ((const made_rule *)rule->maker)->form.span; }

int lang_rules_count(const lang_program *program) {
  int count = 0;
  for (int i = 0; i < program->symbol_count; i++) count += program->symbols[i].item->kind == LANG_ITEM_RULE;
  return count;
}
