// Builders of what stands at file level.
#include <string.h>

#include "compiler/lang/build.h"

static lang_item *item_make(lang_reader *reader, lang_item_kind kind, lang_span span) {
  lang_item *item = WEIR_NEW(reader->arena, lang_item);
  item->kind = kind;
  item->span = span;
  return item;
}

void lang_build_item_add(lang_reader *reader, lang_item *item) {
  if (item) LANG_PUSH(reader->arena, &reader->file->items, item);
}

lang_item *lang_build_use(lang_reader *reader, lang_span span, const lang_path *path, const lang_text *file,
                          lang_span what) {
  lang_item *item = item_make(reader, LANG_ITEM_USE, span);
  item->use.is_path = path != NULL;
  if (path) {
    item->use.path = *path;
  } else {
    item->use.file = file->text;
    item->use.file_length = file->length;
  }
  item->use.span = what;
  return item;
}

lang_item *lang_build_item_let(lang_reader *reader, lang_span span, const lang_let *let) {
  lang_item *item = item_make(reader, LANG_ITEM_LET, span);
  item->let = *let;
  return item;
}

lang_item *lang_build_item_dim(lang_reader *reader, lang_span span, const lang_dim *dim) {
  lang_item *item = item_make(reader, LANG_ITEM_DIM, span);
  item->dim = *dim;
  return item;
}

// Entries and steps stand directly in a model, or under an `if` or `for` of its body, which are expanded in place.
static void body_check(lang_reader *reader, const lang_body *body, bool in_model) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    switch (stmt->kind) {
      case LANG_STMT_FN:
        if (stmt->fn.kind != LANG_FN_PLAIN && !in_model)
          lang_diag_add(&reader->diags, LANG_W_MISPLACED, stmt->fn.name.span,
                        stmt->fn.kind == LANG_FN_ENTRY ? "an entry stands in a model" : "a step stands in a model");
        body_check(reader, &stmt->fn.body, false);
        break;
      case LANG_STMT_FOR:
        body_check(reader, &stmt->loop.body, in_model);
        break;
      case LANG_STMT_IF:
        for (int j = 0; j < stmt->branch.arms.count; j++) body_check(reader, &stmt->branch.arms.data[j].body, in_model);
        if (stmt->branch.has_else) body_check(reader, &stmt->branch.otherwise, in_model);
        break;
      case LANG_STMT_SCAN:
        body_check(reader, &stmt->scan.body, false);
        break;
      case LANG_STMT_COND:
        body_check(reader, &stmt->cond.body, false);
        body_check(reader, &stmt->cond.otherwise, false);
        break;
      default:
        break;
    }
  }
}

lang_item *lang_build_item_fn(lang_reader *reader, lang_span span, const lang_fn *fn) {
  lang_item *item = item_make(reader, LANG_ITEM_FN, span);
  body_check(reader, &fn->body, false);
  item->fn = *fn;
  return item;
}

lang_item *lang_build_block(lang_reader *reader, lang_span span, lang_name name, lang_params params,
                            const lang_signature *signature, lang_exprs wheres, lang_body body) {
  lang_item *item = item_make(reader, LANG_ITEM_BLOCK, span);
  body_check(reader, &body, false);
  item->block = (lang_block){.name = name, .params = params, .wheres = wheres, .body = body};
  if (signature) {
    item->block.has_signature = true;
    item->block.signature = *signature;
  }
  return item;
}

lang_item *lang_build_model(lang_reader *reader, lang_span span, lang_name name, lang_params params, lang_exprs wheres,
                            lang_body body) {
  lang_item *item = item_make(reader, LANG_ITEM_MODEL, span);
  body_check(reader, &body, true);
  item->model = (lang_model){name, params, wheres, body};
  return item;
}

lang_item *lang_build_rule(lang_reader *reader, lang_span span, lang_name name, lang_params params, lang_name exactness,
                           lang_exprs wheres, lang_expr *left, lang_expr *right) {
  bool exact = strcmp(exactness.text, "exact") == 0;
  if (!exact && strcmp(exactness.text, "inexact") != 0)
    lang_diag_add(&reader->diags, LANG_W_BAD_EXACTNESS, exactness.span, exactness.text);
  lang_item *item = item_make(reader, LANG_ITEM_RULE, span);
  item->rule = (lang_rule){name, params, exact, wheres, left, right};
  return item;
}

lang_item *lang_build_bind(lang_reader *reader, lang_span span, lang_name name, lang_name target, lang_bind_lines lines,
                           lang_span braces) {
  lang_item *item = item_make(reader, LANG_ITEM_BIND, span);
  item->bind = (lang_bind){name, target, lines, braces};
  return item;
}

lang_item *lang_build_section(lang_reader *reader, lang_span span, lang_section section, lang_settings settings,
                              lang_span braces) {
  lang_item *item = item_make(reader, LANG_ITEM_SECTION, span);
  item->section = section;
  item->section.settings = settings;
  item->section.braces = braces;
  return item;
}

void lang_build_bind_line(lang_reader *reader, lang_bind_lines *lines, lang_span span, lang_patterns patterns,
                          lang_exprs values) {
  lang_build_check_patterns(reader, &patterns);
  LANG_PUSH(reader->arena, lines, ((lang_bind_line){.patterns = patterns, .values = values, .span = span}));
}

lang_setting *lang_build_setting(lang_reader *reader, lang_setting_kind kind, lang_span span, lang_name name,
                                 const lang_patterns *patterns, lang_exprs values) {
  lang_setting *setting = WEIR_NEW(reader->arena, lang_setting);
  *setting = (lang_setting){.kind = kind, .name = name, .values = values, .span = span};
  if (!name.text) setting->name.text = "where";
  if (patterns) {
    lang_build_check_patterns(reader, patterns);
    setting->patterns = *patterns;
  }
  return setting;
}
