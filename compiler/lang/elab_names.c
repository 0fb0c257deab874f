// Names of declarations, first part: scopes, what a name may mean, and the names in expressions. Scopes are hash sets,
// since linear lists would be quadratic in hostile texts.
#include "compiler/lang/elab_names.h"

#include <string.h>

static uint32_t hash(const char *text) {
  uint32_t h = 2166136261u;
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 16777619u;
  return h;
}

static int *bucket(lang_known_names *set, const char *name) {
  for (uint32_t i = hash(name);; i++) {
    int *at = &set->buckets[i & (uint32_t)(set->bucket_count - 1)];
    if (!*at || !strcmp(set->data[*at - 1].name, name)) return at;
  }
}

lang_known *lang_known_here(lang_known_names *set, const char *name) {
  if (!set->bucket_count) return NULL;
  int at = *bucket(set, name);
  return at ? &set->data[at - 1] : NULL;
}

lang_known *lang_known_find(lang_known_names *set, const char *name) {
  for (; set; set = set->parent) {
    lang_known *found = lang_known_here(set, name);
    if (found) return found;
  }
  return NULL;
}

void lang_known_add(lang_checker *c, lang_known_names *set, const char *name, lang_span span, bool fresh) {
  weir_arena *arena = c->elab->arena;
  if (lang_known_here(set, name)) return;
  lang_known entry = {name, 0, fresh, -1, span};
  WEIR_PUSH(arena, set->data, set->count, set->capacity, entry);
  if (2 * set->count > set->bucket_count) {
    set->bucket_count = set->bucket_count ? 2 * set->bucket_count : 16;
    set->buckets = WEIR_NEW_ARRAY(arena, int, set->bucket_count);
    for (int i = 0; i < set->count; i++) *bucket(set, set->data[i].name) = i + 1;
  } else {
    *bucket(set, name) = set->count;
  }
}

lang_known_names *lang_known_push(lang_checker *c) {
  lang_known_names *set = WEIR_NEW(c->elab->arena, lang_known_names);
  set->parent = c->scope;
  c->scope = set;
  return set;
}

void lang_known_pop(lang_checker *c) { c->scope = c->scope->parent; }

// ---- names

static void collect_candidates(lang_checker *c, lang_names *out, bool blocks) {
  weir_arena *arena = c->elab->arena;
  for (lang_known_names *set = blocks ? NULL : c->scope; set; set = set->parent) {
    for (int i = 0; i < set->count && out->count < 4000; i++)
      LANG_PUSH(arena, out, ((lang_name){set->data[i].name, {0}}));
  }
  const lang_program *program = c->elab->program;
  for (int i = 0; i < program->symbol_count && out->count < 8000; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    if (blocks && symbol->item->kind != LANG_ITEM_BLOCK) continue;
    if (lang_program_find(program, c->file, symbol->name) == symbol)
      LANG_PUSH(arena, out, ((lang_name){symbol->name, {0}}));
  }
  if (!blocks) lang_builtin_names(arena, out);
}

static void unknown(lang_checker *c, lang_diag_code code, const char *name, lang_span span) {
  lang_names candidates = {0};
  collect_candidates(c, &candidates, code == LANG_W_UNKNOWN_BLOCK);
  const char **texts = WEIR_NEW_ARRAY(c->elab->arena, const char *, candidates.count + 1);
  for (int i = 0; i < candidates.count; i++) texts[i] = candidates.data[i].text;
  lang_diag *diag = lang_error(c->elab, code, span, name);
  lang_suggest(c->elab, diag, name, texts, candidates.count);
}

void lang_refuse_later(lang_checker *c, lang_diag_code code, lang_span span, const char *text) {
  if (!c->later) lang_error(c->elab, code, span, text);
}

void lang_check_name(lang_checker *c, const char *name, lang_span span, lang_span whole) {
  lang_value ignored;
  lang_known *local = lang_known_find(c->scope, name);
  if (local) {
    local->uses++;
    lang_mention_add(c->elab, c->node, local->node, whole, name);
    return;
  }
  const lang_symbol *symbol = lang_program_find_dim(c->elab->program, c->file, name);
  if (!symbol) symbol = lang_program_find(c->elab->program, c->file, name);
  if (symbol) {
    if (symbol->item->kind == LANG_ITEM_FN)
      lang_mention_add(c->elab, c->node, lang_mention_symbol(c->elab, symbol), whole, name);
    return;
  }
  if (lang_builtin_constant(c->elab, name, &ignored) || lang_builtin_find(name)) return;
  if (lang_builtin_later(name)) lang_refuse_later(c, LANG_W_LATER_FUNCTION, span, name);
  else unknown(c, LANG_W_UNKNOWN_NAME, name, span);
}

// ---- expressions

void lang_check_exprs(lang_checker *c, const lang_exprs *exprs) {
  for (int i = 0; i < exprs->count; i++) lang_check_expr(c, exprs->data[i]);
}

void lang_check_args(lang_checker *c, const lang_args *args) {
  for (int i = 0; i < args->count; i++) lang_check_expr(c, args->data[i].value);
}

void lang_check_subs(lang_checker *c, const lang_subs *subs, bool type) {
  for (int i = 0; i < subs->count; i++) {
    const lang_sub *sub = &subs->data[i];
    bool any = type && sub->kind == LANG_SUB_INDEX && sub->low->kind == LANG_EXPR_NAME && !strcmp(sub->low->name, "_");
    if (sub->low && !any) lang_check_expr(c, sub->low);
    if (sub->high) lang_check_expr(c, sub->high);
  }
}

static void check_reducer(lang_checker *c, const lang_expr *expr) {
  lang_known_names *scope = lang_known_push(c);
  for (int i = 0; i < expr->reduce.binders.count; i++) {
    const lang_binder *binder = &expr->reduce.binders.data[i];
    lang_known_add(c, scope, binder->name.text, binder->name.span, false);
    if (binder->range) lang_check_expr(c, binder->range);
  }
  lang_check_expr(c, expr->reduce.body);
  lang_check_exprs(c, &expr->reduce.guards);
  lang_known_pop(c);
}

static void check_comprehension(lang_checker *c, const lang_expr *expr,
                                void (*check)(lang_checker *c, const lang_expr *expr)) {
  lang_check_expr(c, expr->comprehension.range);
  lang_known_names *scope = lang_known_push(c);
  for (int i = 0; i < expr->comprehension.names.count; i++) {
    lang_known_add(c, scope, expr->comprehension.names.data[i].text, expr->comprehension.names.data[i].span, false);
  }
  check(c, expr->comprehension.value);
  lang_known_pop(c);
}

static void check_construct(lang_checker *c, const lang_expr *expr) {
  const lang_name *name = &expr->construct.name;
  const lang_symbol *symbol = lang_program_find(c->elab->program, c->file, name->text);
  if (!symbol) unknown(c, LANG_W_UNKNOWN_BLOCK, name->text, name->span);
  else if (symbol->item->kind != LANG_ITEM_BLOCK && symbol->item->kind != LANG_ITEM_MODEL)
    lang_error(c->elab, LANG_W_NOT_A_BLOCK, name->span, name->text);
  else lang_mention_add(c->elab, c->node, lang_mention_symbol(c->elab, symbol), expr->span, name->text);
  lang_check_args(c, &expr->construct.args);
  lang_check_exprs(c, &expr->construct.counts);
}

static bool is_choice(lang_checker *c, const lang_expr *expr) {
  return expr->kind == LANG_EXPR_CALL && expr->call.callee->kind == LANG_EXPR_NAME &&
         !strcmp(expr->call.callee->name, "choose") && !lang_known_find(c->scope, "choose");
}

void lang_check_value(lang_checker *c, const lang_expr *expr) {
  if (is_choice(c, expr)) {
    lang_check_args(c, &expr->call.args);
  } else if (expr->kind == LANG_EXPR_LIST) {
    for (int i = 0; i < expr->list.values.count; i++) lang_check_value(c, expr->list.values.data[i]);
  } else if (expr->kind == LANG_EXPR_COMPREHENSION) {
    check_comprehension(c, expr, lang_check_value);
  } else {
    lang_check_expr(c, expr);
  }
}

void lang_check_expr(lang_checker *c, const lang_expr *expr) {
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      lang_check_name(c, expr->name, expr->span, expr->span);
      return;
    case LANG_EXPR_LIST:
      lang_check_exprs(c, &expr->list.values);
      return;
    case LANG_EXPR_COMPREHENSION:
      check_comprehension(c, expr, lang_check_expr);
      return;
    case LANG_EXPR_UNARY:
      lang_check_expr(c, expr->unary.operand);
      return;
    case LANG_EXPR_BINARY:
      lang_check_expr(c, expr->binary.left);
      lang_check_expr(c, expr->binary.right);
      return;
    case LANG_EXPR_COMPARE:
      lang_check_exprs(c, &expr->compare.operands);
      return;
    case LANG_EXPR_FIELD:
      lang_check_expr(c, expr->field.base);
      return;
    case LANG_EXPR_INDEX:
      lang_check_expr(c, expr->index.base);
      lang_check_subs(c, &expr->index.subs, false);
      return;
    case LANG_EXPR_CALL:
      if (is_choice(c, expr)) lang_error(c->elab, LANG_W_CHOICE_NAMELESS, expr->span);
      if (expr->call.callee->kind == LANG_EXPR_NAME)
        lang_check_name(c, expr->call.callee->name, expr->call.callee->span, expr->span);
      else lang_check_expr(c, expr->call.callee);
      lang_check_args(c, &expr->call.args);
      return;
    case LANG_EXPR_REDUCE:
      check_reducer(c, expr);
      return;
    case LANG_EXPR_RESHAPE:
      lang_check_expr(c, expr->reshape.base);
      lang_check_subs(c, &expr->reshape.subs, false);
      return;
    case LANG_EXPR_RANGE:
      lang_check_expr(c, expr->range.low);
      lang_check_expr(c, expr->range.high);
      return;
    case LANG_EXPR_CONSTRUCT:
      check_construct(c, expr);
      return;
    case LANG_EXPR_NUMBER:
    case LANG_EXPR_STRING:
    case LANG_EXPR_ERROR:
      return;
  }
}
