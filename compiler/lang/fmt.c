// The formatter: statements and what stands at file level (expressions: fmt_expr.c; the choice of line breaks: doc.c).
//
// The layout depends on the tree alone but for three things that are the author's: comments, single empty lines, and
// whether a body was written on one line, where it stays if it fits. That is what makes the result a fixed point.
//
// A header that is too long gives up, in this order: its `where` (own line, and the brace too), its signature (own
// line), both.
#include "compiler/lang/fmt.h"

#include "compiler/lang/fmt_write.h"
#include "compiler/lang/text.h"

static void text(lang_fmt *w, const char *t) { lang_doc_text(&w->doc, t); }
static void add(lang_fmt *w, lang_doc_kind kind) { lang_doc_add(&w->doc, kind); }
static int here(const lang_fmt *w) { return w->doc.ops.count; }

static void fill_open(lang_fmt *w) {
  add(w, LANG_DOC_FILL);
  lang_doc_indent(&w->doc, LANG_FMT_INDENT);
}

static void fill_close(lang_fmt *w) {
  lang_doc_indent(&w->doc, -LANG_FMT_INDENT);
  add(w, LANG_DOC_CLOSE);
}

// Comments within |span|, and behind it on its last line but before |limit|.
static void comments_behind(lang_fmt *w, lang_span span, uint32_t limit) {
  lang_fmt_comments(w, span.end);
  while (lang_fmt_comment_waits(w, limit)) {
    const lang_comment *c = &w->file->comments.data[w->next_comment];
    if (c->own_line || c->span.first_line != span.last_line) return;
    lang_fmt_comments(w, c->span.end);
  }
}

// What stands before a node of a list of lines: its comments, and an empty line if there was one.
static void lead(lang_fmt *w, lang_span span, lang_doc_kind separator) {
  add(w, separator);
  lang_fmt_comments(w, span.begin);
  if (lang_source_blank_above(w->file->source, span.begin) && !w->at_start) add(w, LANG_DOC_BLANK);
  w->at_start = false;
}

// ---- headers

// The ops of a header that is being written: where its parts begin.
typedef struct {
  int start;      // first op
  int signature;  // the gap before the signature, or -1
  int where;      // the gap before `where`, or -1; an indent op stands on each side of the text behind it
  int brace;      // the gap before the brace
} header;

static header header_begin(const lang_fmt *w) { return (header){here(w), -1, -1, -1}; }

static void header_signature(lang_fmt *w, header *h, const lang_signature *signature) {
  h->signature = here(w);
  add(w, LANG_DOC_SPACE);
  lang_fmt_signature(w, signature);
}

static void gap_break(lang_fmt *w, int gap) { w->doc.ops.data[gap].kind = LANG_DOC_HARD; }

static bool narrow(const lang_fmt *w, int begin, int end, int more) {
  return w->indent + lang_doc_width(&w->doc, begin, end) + more <= LANG_FMT_COLUMNS;
}

// Breaks the gaps of a header that does not fit on one line with the brace behind it.
static void header_break(lang_fmt *w, const header *h) {
  if (narrow(w, h->start, h->brace, 2)) return;
  bool where = h->where >= 0, signature = h->signature >= 0;
  if (where && narrow(w, h->start, h->where, 0)) signature = false;
  else if (signature && narrow(w, h->start, h->signature, 0) && narrow(w, h->signature + 1, h->brace, 2)) where = false;
  if (signature) gap_break(w, h->signature);
  if (!where) return;
  w->doc.ops.data[h->where - 1].amount = LANG_FMT_INDENT;
  gap_break(w, h->where);
  w->doc.ops.data[h->brace - 1].amount = -LANG_FMT_INDENT;
  gap_break(w, h->brace);
}

static void header_end(lang_fmt *w, header *h, const lang_exprs *wheres) {
  if (wheres->count) {
    lang_fmt_comments(w, lang_fmt_first_word(wheres->data[0]));
    lang_doc_indent(&w->doc, 0);
    h->where = here(w);
    add(w, LANG_DOC_SPACE);
    text(w, "where ");
    fill_open(w);
    lang_fmt_exprs(w, wheres);
    fill_close(w);
    lang_doc_indent(&w->doc, 0);
  }
  h->brace = here(w);
  add(w, LANG_DOC_SPACE);
  header_break(w, h);
}

// ---- braces

static void indent_change(lang_fmt *w, int amount) {
  w->indent += amount;
  lang_doc_indent(&w->doc, amount);
}

// Braces written on one line without a comment stay on one line if they fit; the breaks within them are the group's
// around them.
static bool one_line(const lang_fmt *w, lang_span braces) {
  return braces.first_line == braces.last_line && !lang_fmt_comment_waits(w, braces.end);
}

static lang_doc_kind brace_open(lang_fmt *w, lang_span braces, bool flat) {
  lang_fmt_comments(w, braces.begin);
  text(w, "{");
  comments_behind(w, (lang_span){.last_line = braces.first_line}, braces.end - 1);
  indent_change(w, LANG_FMT_INDENT);
  w->at_start = true;
  return flat ? LANG_DOC_LINE : LANG_DOC_HARD;
}

static void brace_close(lang_fmt *w, lang_span braces, lang_doc_kind separator, bool empty) {
  bool comments = lang_fmt_comment_waits(w, braces.end - 1);
  if (comments) add(w, LANG_DOC_HARD);
  lang_fmt_comments(w, braces.end - 1);
  indent_change(w, -LANG_FMT_INDENT);
  add(w, empty && !comments ? LANG_DOC_SPACE : separator);
  text(w, "}");
  w->at_start = false;
}

static void stmt_write(lang_fmt *w, const lang_stmt *stmt);

static void body_write(lang_fmt *w, const lang_body *body, bool flat) {
  lang_doc_kind separator = brace_open(w, body->span, flat);
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    uint32_t limit = i + 1 < body->stmts.count ? body->stmts.data[i + 1]->span.begin : body->span.end - 1;
    lead(w, stmt->span, separator);
    stmt_write(w, stmt);
    comments_behind(w, stmt->span, limit);
  }
  brace_close(w, body->span, separator, body->stmts.count == 0);
}

// A body that is a group of its own.
static void body_group(lang_fmt *w, const lang_body *body) {
  bool flat = one_line(w, body->span);
  add(w, LANG_DOC_ALL);
  body_write(w, body, flat);
  add(w, LANG_DOC_CLOSE);
}

// ---- declarations

// ` sign value`; a comment stands behind an equals sign and before a word. Null writes nothing.
static void value_write(lang_fmt *w, const char *sign, const lang_expr *value) {
  if (!value) return;
  lang_fmt_joint(w, sign, *sign == '=' ? 0 : lang_fmt_first_word(value));
  lang_fmt_expr(w, value);
}

static void let_write(lang_fmt *w, const lang_let *let) {
  text(w, "let ");
  lang_fmt_names(w, &let->names);
  value_write(w, "=", let->value);
  text(w, ";");
}

static void where_write(lang_fmt *w, const lang_exprs *wheres) {
  if (!wheres->count) return;
  lang_fmt_comments(w, lang_fmt_first_word(wheres->data[0]));
  add(w, LANG_DOC_LINE);
  text(w, "where ");
  lang_fmt_exprs(w, wheres);
}

static void dim_write(lang_fmt *w, const lang_dim *dim) {
  fill_open(w);
  text(w, "dim ");
  lang_fmt_names(w, &dim->names);
  if (dim->role.text) {
    text(w, ": ");
    lang_fmt_name(w, &dim->role);
  }
  value_write(w, "in", dim->range);
  value_write(w, "=", dim->value);
  where_write(w, &dim->wheres);
  text(w, ";");
  fill_close(w);
}

static void fn_write(lang_fmt *w, const lang_fn *fn) {
  header h = header_begin(w);
  text(w, lang_fn_text(fn->kind));
  add(w, LANG_DOC_SPACE);
  lang_fmt_name(w, &fn->name);
  lang_fmt_signature(w, &fn->signature);
  header_end(w, &h, &fn->wheres);
  body_group(w, &fn->body);
}

// ---- statements

// A value that stands alone indents what it continues itself.
static void values_write(lang_fmt *w, const char *sign, const lang_exprs *values) {
  bool several = values->count > 1;
  if (several) fill_open(w);
  text(w, sign);
  lang_fmt_exprs(w, values);
  text(w, ";");
  if (several) fill_close(w);
}

static void assign_write(lang_fmt *w, const lang_stmt *stmt) {
  fill_open(w);
  for (int i = 0; i < stmt->assign.targets.count; i++) {
    const lang_target *target = &stmt->assign.targets.data[i];
    if (i) {
      text(w, ",");
      add(w, LANG_DOC_LINE);
    }
    lang_fmt_comments(w, target->span.begin);
    text(w, target->path.text);
    if (target->indexed) lang_fmt_subs(w, &target->subs);
  }
  fill_close(w);
  values_write(w, " = ", &stmt->assign.values);
}

static void declaration_write(lang_fmt *w, const char *word, const lang_paths *paths, const lang_type *type,
                              const lang_expr *over, const lang_expr *value) {
  text(w, word);
  lang_fmt_paths(w, paths);
  text(w, ": ");
  lang_fmt_type(w, type);
  value_write(w, "over", over);
  value_write(w, "=", value);
  text(w, ";");
}

// All bodies of an `if` or a `cond` break alike.
static void branches_begin(lang_fmt *w) { add(w, LANG_DOC_ALL); }

static void else_write(lang_fmt *w, uint32_t before) {
  add(w, LANG_DOC_SPACE);
  lang_fmt_comments(w, before);
  text(w, "else");
  add(w, LANG_DOC_SPACE);
}

static bool arms_one_line(const lang_fmt *w, const lang_stmt *stmt) {
  bool flat = !lang_fmt_comment_waits(w, stmt->span.end);
  for (int i = 0; i < stmt->branch.arms.count; i++) flat &= one_line(w, stmt->branch.arms.data[i].body.span);
  return flat && (!stmt->branch.has_else || one_line(w, stmt->branch.otherwise.span));
}

static void if_write(lang_fmt *w, const lang_stmt *stmt) {
  bool flat = arms_one_line(w, stmt);
  branches_begin(w);
  for (int i = 0; i < stmt->branch.arms.count; i++) {
    const lang_arm *arm = &stmt->branch.arms.data[i];
    if (i) else_write(w, lang_fmt_first_word(arm->condition));
    text(w, "if ");
    lang_fmt_expr(w, arm->condition);
    add(w, LANG_DOC_SPACE);
    body_write(w, &arm->body, flat);
  }
  if (stmt->branch.has_else) {
    else_write(w, stmt->branch.otherwise.span.begin);
    body_write(w, &stmt->branch.otherwise, flat);
  }
  add(w, LANG_DOC_CLOSE);
}

static void cond_write(lang_fmt *w, const lang_stmt *stmt) {
  bool flat = !lang_fmt_comment_waits(w, stmt->span.end) && one_line(w, stmt->cond.body.span) &&
              one_line(w, stmt->cond.otherwise.span);
  branches_begin(w);
  text(w, "cond ");
  lang_fmt_expr(w, stmt->cond.condition);
  add(w, LANG_DOC_SPACE);
  body_write(w, &stmt->cond.body, flat);
  else_write(w, stmt->cond.otherwise.span.begin);
  body_write(w, &stmt->cond.otherwise, flat);
  add(w, LANG_DOC_CLOSE);
}

static void for_write(lang_fmt *w, const lang_stmt *stmt) {
  text(w, "for ");
  lang_fmt_names(w, &stmt->loop.names);
  value_write(w, "in", stmt->loop.range);
  add(w, LANG_DOC_SPACE);
  body_group(w, &stmt->loop.body);
}

static void scan_write(lang_fmt *w, const lang_stmt *stmt) {
  text(w, "scan ");
  lang_fmt_name(w, &stmt->scan.name);
  value_write(w, "in", stmt->scan.range);
  if (stmt->scan.carries.count) {
    lang_fmt_joint(w, "carry", stmt->scan.carries.data[0].span.begin);
    lang_fmt_names(w, &stmt->scan.carries);
  }
  value_write(w, "while", stmt->scan.condition);
  add(w, LANG_DOC_SPACE);
  body_group(w, &stmt->scan.body);
}

static void stmt_write(lang_fmt *w, const lang_stmt *stmt) {
  switch (stmt->kind) {
    case LANG_STMT_LET:
      let_write(w, &stmt->let);
      break;
    case LANG_STMT_DIM:
      dim_write(w, &stmt->dim);
      break;
    case LANG_STMT_FN:
      fn_write(w, &stmt->fn);
      break;
    case LANG_STMT_PARAM:
      declaration_write(w, "param ", &stmt->param.paths, stmt->param.type, NULL, stmt->param.value);
      break;
    case LANG_STMT_STATE:
      declaration_write(w, "state ", &stmt->state.paths, stmt->state.type, stmt->state.over, stmt->state.value);
      break;
    case LANG_STMT_MEMBER:
      lang_fmt_paths(w, &stmt->member.paths);
      text(w, ":");
      add(w, LANG_DOC_SPACE);
      lang_fmt_expr(w, stmt->member.value);
      text(w, ";");
      break;
    case LANG_STMT_ASSIGN:
      assign_write(w, stmt);
      break;
    case LANG_STMT_CALL:
      lang_fmt_expr(w, stmt->call.call);
      text(w, ";");
      break;
    case LANG_STMT_RETURN:
      values_write(w, "return ", &stmt->ret.values);
      break;
    case LANG_STMT_FOR:
      for_write(w, stmt);
      break;
    case LANG_STMT_IF:
      if_write(w, stmt);
      break;
    case LANG_STMT_SCAN:
      scan_write(w, stmt);
      break;
    case LANG_STMT_COND:
      cond_write(w, stmt);
      break;
  }
}

// ---- file
// level

static void use_write(lang_fmt *w, const lang_use *use) {
  text(w, "use ");
  lang_fmt_comments(w, use->span.begin);
  if (use->is_path) {
    text(w, use->path.text);
  } else {
    lang_text_out out = {.arena = w->doc.arena};
    lang_text_quote(&out, use->file, use->file_length);
    text(w, lang_text_take(&out));
  }
  text(w, ";");
}

static void block_write(lang_fmt *w, const lang_block *block) {
  header h = header_begin(w);
  text(w, "block ");
  lang_fmt_name(w, &block->name);
  add(w, LANG_DOC_SPACE);
  lang_fmt_params(w, &block->params, "{", "}");
  if (block->has_signature) header_signature(w, &h, &block->signature);
  header_end(w, &h, &block->wheres);
  body_group(w, &block->body);
}

static void model_write(lang_fmt *w, const lang_model *model) {
  header h = header_begin(w);
  text(w, "model ");
  lang_fmt_name(w, &model->name);
  add(w, LANG_DOC_SPACE);
  lang_fmt_params(w, &model->params, "{", "}");
  header_end(w, &h, &model->wheres);
  body_group(w, &model->body);
}

static int32_t next_comment_line(const lang_fmt *w) {
  return w->next_comment < w->file->comments.count ? w->file->comments.data[w->next_comment].span.first_line : 0;
}

static void rule_write(lang_fmt *w, const lang_item *item) {
  const lang_rule *rule = &item->rule;
  header h = header_begin(w);
  text(w, "rule ");
  lang_fmt_name(w, &rule->name);
  lang_fmt_params(w, &rule->params, "(", ")");
  text(w, rule->exact ? ": exact" : ": inexact");
  header_end(w, &h, &rule->wheres);
  // The opening brace has no place in the tree: the left side stands on its line or not.
  bool flat = rule->left->span.first_line == item->span.last_line && !lang_fmt_comment_waits(w, item->span.end);
  add(w, LANG_DOC_ALL);
  text(w, "{");
  comments_behind(w, (lang_span){.last_line = next_comment_line(w)}, lang_fmt_first_word(rule->left));
  indent_change(w, LANG_FMT_INDENT);
  w->at_start = true;
  lang_fmt_comments(w, lang_fmt_first_word(rule->left));
  add(w, flat ? LANG_DOC_LINE : LANG_DOC_HARD);
  fill_open(w);
  lang_fmt_expr(w, rule->left);
  text(w, " =>");
  add(w, LANG_DOC_LINE);
  lang_fmt_expr(w, rule->right);
  text(w, ";");
  fill_close(w);
  lang_fmt_comments(w, item->span.end - 1);
  indent_change(w, -LANG_FMT_INDENT);
  add(w, flat ? LANG_DOC_LINE : LANG_DOC_HARD);
  w->at_start = false;
  text(w, "}");
  add(w, LANG_DOC_CLOSE);
}

static void bind_write(lang_fmt *w, const lang_bind *bind) {
  text(w, "bind ");
  lang_fmt_name(w, &bind->name);
  text(w, " for ");
  lang_fmt_name(w, &bind->target);
  add(w, LANG_DOC_SPACE);
  bool flat = one_line(w, bind->braces);
  add(w, LANG_DOC_ALL);
  lang_doc_kind separator = brace_open(w, bind->braces, flat);
  for (int i = 0; i < bind->lines.count; i++) {
    const lang_bind_line *line = &bind->lines.data[i];
    uint32_t limit = i + 1 < bind->lines.count ? bind->lines.data[i + 1].span.begin : bind->braces.end - 1;
    lead(w, line->span, separator);
    lang_fmt_patterns(w, &line->patterns);
    values_write(w, ": ", &line->values);
    comments_behind(w, line->span, limit);
  }
  brace_close(w, bind->braces, separator, bind->lines.count == 0);
  add(w, LANG_DOC_CLOSE);
}

static void setting_write(lang_fmt *w, const lang_setting *setting) {
  if (setting->kind == LANG_SETTING_WHERE) {
    values_write(w, "where ", &setting->values);
    return;
  }
  lang_fmt_name(w, &setting->name);
  if (setting->kind == LANG_SETTING_SELECT) {
    add(w, LANG_DOC_SPACE);
    lang_fmt_patterns(w, &setting->patterns);
  }
  values_write(w, setting->kind == LANG_SETTING_SELECT ? ": " : " = ", &setting->values);
}

static void section_write(lang_fmt *w, const lang_section *section) {
  text(w, lang_section_text(section->kind));
  add(w, LANG_DOC_SPACE);
  lang_fmt_name(w, &section->name);
  if (section->target.text) {
    text(w, " for ");
    lang_fmt_name(w, &section->target);
  }
  add(w, LANG_DOC_SPACE);
  bool flat = one_line(w, section->braces);
  add(w, LANG_DOC_ALL);
  lang_doc_kind separator = brace_open(w, section->braces, flat);
  for (int i = 0; i < section->settings.count; i++) {
    const lang_setting *setting = &section->settings.data[i];
    uint32_t limit =
        i + 1 < section->settings.count ? section->settings.data[i + 1].span.begin : section->braces.end - 1;
    lead(w, setting->span, separator);
    setting_write(w, setting);
    comments_behind(w, setting->span, limit);
  }
  brace_close(w, section->braces, separator, section->settings.count == 0);
  add(w, LANG_DOC_CLOSE);
}

static void item_write(lang_fmt *w, const lang_item *item) {
  switch (item->kind) {
    case LANG_ITEM_USE:
      use_write(w, &item->use);
      break;
    case LANG_ITEM_LET:
      let_write(w, &item->let);
      break;
    case LANG_ITEM_DIM:
      dim_write(w, &item->dim);
      break;
    case LANG_ITEM_FN:
      fn_write(w, &item->fn);
      break;
    case LANG_ITEM_BLOCK:
      block_write(w, &item->block);
      break;
    case LANG_ITEM_MODEL:
      model_write(w, &item->model);
      break;
    case LANG_ITEM_RULE:
      rule_write(w, item);
      break;
    case LANG_ITEM_BIND:
      bind_write(w, &item->bind);
      break;
    case LANG_ITEM_SECTION:
      section_write(w, &item->section);
      break;
  }
}

char *lang_format(weir_arena *arena, const lang_file *file) {
  lang_fmt w = {.doc = {.arena = arena}, .file = file, .at_start = true};
  for (int i = 0; i < file->items.count; i++) {
    const lang_item *item = file->items.data[i];
    lead(&w, item->span, LANG_DOC_HARD);
    item_write(&w, item);
    comments_behind(&w, item->span, i + 1 < file->items.count ? file->items.data[i + 1]->span.begin : UINT32_MAX);
  }
  lang_fmt_comments(&w, UINT32_MAX);
  return lang_doc_print(&w.doc, LANG_FMT_COLUMNS);
}
