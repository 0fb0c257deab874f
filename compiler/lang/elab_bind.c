// Binds: where a checkpoint has our parameters. A line is a pattern over our paths and an expression over their names;
// the last line that matches wins, and a path without a line has the same name there. Lines are checked against the
// model when it is elaborated, so that resolving a path later cannot fail for another reason than a wrong name.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

typedef struct {
  const lang_pattern *pattern;
  const lang_expr *value;
  int part;  // of a split, -1: the alternative says
} bind_line;

struct lang_graph_bind {
  const char *name;
  const lang_graph *graph;
  lang_elab *elab;  // a copy that stays: for numbers in the lines
  lang_frame *frame;
  LANG_LIST(bind_line) lines;
  LANG_LIST(const char *) ignored;
};

const char *lang_bind_name(const lang_graph_bind *bind) { return bind->name; }

lang_graph_bind *lang_graph_bind_find(const lang_graph *graph, const char *name) {
  for (int i = 0; i < graph->bind_count; i++) {
    if (!strcmp(graph->binds[i]->name, name)) return graph->binds[i];
  }
  return NULL;
}

// ---- one line, for one path

typedef struct {
  const lang_graph_bind *bind;
  weir_arena *arena;
  const bind_line *line;
  const lang_captures *captures;
  bool report;
} resolver;

static const lang_tensor_source *fail(const resolver *r, lang_diag_code code, lang_span span, const char *text) {
  if (r->report) lang_error(r->bind->elab, code, span, text);
  return NULL;
}

static const char *capture_value(const resolver *r, const char *name) {
  for (int i = 0; i < r->captures->names.count; i++) {
    if (!strcmp(r->captures->names.data[i].text, name)) return r->captures->values.data[i];
  }
  return NULL;
}

// The |which|-th of "a,b,c"; null if there are not |of| of them.
static const char *alternative(weir_arena *arena, const char *list, int which, int of) {
  int count = 1;
  const char *found = NULL, *start = list;
  for (const char *at = list;; at++) {
    if (*at && *at != ',') continue;
    if (count - 1 == which) found = weir_arena_strndup(arena, start, (size_t)(at - start));
    if (!*at) break;
    start = at + 1;
    count++;
  }
  return count == of ? found : NULL;
}

// "blk.{i}.ffn_{gate,up}.weight" for the captures.
static const char *expand(const resolver *r, const lang_expr *expr) {
  lang_buffer out = {.arena = r->arena};
  int lists = 0;
  for (const char *at = expr->string.text; *at;) {
    const char *close = *at == '{' ? strchr(at, '}') : NULL;
    if (!close) {
      lang_buffer_add(&out, "%c", *at++);
      continue;
    }
    const char *inner = weir_arena_strndup(r->arena, at + 1, (size_t)(close - at - 1)), *text;
    if (!strcmp(inner, "**")) {
      text = r->captures->rest;
    } else if (strchr(inner, ',')) {
      bool paired = lists < r->captures->alternatives.count;
      text = paired
                 ? alternative(r->arena, inner, r->captures->alternatives.data[lists], r->captures->sizes.data[lists])
                 : NULL;
      lists++;
    } else {
      text = capture_value(r, inner);
    }
    if (!text) {
      fail(r, LANG_W_BIND_CAPTURE, expr->span, inner);
      return NULL;
    }
    lang_buffer_add(&out, "%s", text);
    at = close + 1;
  }
  return out.data ? out.data : "";
}

static const lang_tensor_source *source_of(const resolver *r, const lang_expr *expr);

static lang_value evaluate(const resolver *r, const lang_expr *expr) {
  lang_value v = lang_eval(r->bind->frame, expr);
  return v;
}

static lang_tensor_source *make(const resolver *r, lang_source_kind kind, const lang_tensor_source *const *parts,
                                int count) {
  lang_tensor_source *source = WEIR_NEW(r->arena, lang_tensor_source);
  source->kind = kind;
  source->parts = parts;
  source->part_count = count;
  return source;
}

static const lang_arg *named_arg(const lang_args *args, const char *name) {
  for (int i = 0; i < args->count; i++) {
    if (args->data[i].kind == LANG_ARG_NAMED && !strcmp(args->data[i].name.text, name)) return &args->data[i];
  }
  return NULL;
}

static bool axis_of(const resolver *r, const lang_args *args, int *out) {
  const lang_arg *over = named_arg(args, "over");
  *out = 0;
  if (!over) return true;
  lang_value v = evaluate(r, over->value);
  if (v.kind != LANG_V_INT || v.i < 0 || v.i >= IR_MAX_RANK) return false;
  *out = (int)v.i;
  return true;
}

static const lang_tensor_source *concat_of(const resolver *r, const lang_expr *expr) {
  const lang_args *args = &expr->call.args;
  const lang_tensor_source **parts = WEIR_NEW_ARRAY(r->arena, const lang_tensor_source *, args->count + 1);
  int count = 0, axis;
  for (int i = 0; i < args->count; i++) {
    if (args->data[i].kind != LANG_ARG_POSITIONAL) continue;
    parts[count] = source_of(r, args->data[i].value);
    if (!parts[count++]) return NULL;
  }
  if (!count || !axis_of(r, args, &axis))
    return fail(r, LANG_W_BIND_VALUE, expr->span, "concat(\"a\", \"b\", over = 0)");
  lang_tensor_source *source = make(r, LANG_SOURCE_CONCAT, parts, count);
  source->axis = axis;
  return source;
}

static const lang_tensor_source *split_of(const resolver *r, const lang_expr *expr) {
  const lang_args *args = &expr->call.args;
  const char *form = "split(\"name\", [sizes], over = 0)";
  int axis, part = r->line->part;
  if (args->count < 2 || !axis_of(r, args, &axis)) return fail(r, LANG_W_BIND_VALUE, expr->span, form);
  const lang_tensor_source **parts = WEIR_NEW_ARRAY(r->arena, const lang_tensor_source *, 1);
  parts[0] = source_of(r, args->data[0].value);
  lang_value sizes = evaluate(r, args->data[1].value);
  if (!parts[0]) return NULL;
  if (part < 0) part = r->captures->alternatives.count ? r->captures->alternatives.data[0] : 0;
  if (sizes.kind != LANG_V_LIST || part >= sizes.list.count) return fail(r, LANG_W_BIND_VALUE, expr->span, form);
  lang_tensor_source *source = make(r, LANG_SOURCE_SLICE, parts, 1);
  source->axis = axis;
  for (int i = 0; i <= part; i++) {
    if (sizes.list.items[i].kind != LANG_V_INT || sizes.list.items[i].i < 0)
      return fail(r, LANG_W_BIND_VALUE, expr->span, form);
    source->start = source->stop;
    if (!weir_add_i64(source->stop, sizes.list.items[i].i, &source->stop))
      return fail(r, LANG_W_OVERFLOW, expr->span, "");
  }
  return source;
}

static const lang_tensor_source *unary_of(const resolver *r, const lang_expr *expr, lang_source_kind kind) {
  const lang_args *args = &expr->call.args;
  int wanted = kind == LANG_SOURCE_UNPERMUTE ? 2 : 1;
  const char *form = wanted == 2 ? "unpermute(\"name\", heads)" : "transpose(\"name\")";
  if (args->count != wanted) return fail(r, LANG_W_BIND_VALUE, expr->span, form);
  const lang_tensor_source **parts = WEIR_NEW_ARRAY(r->arena, const lang_tensor_source *, 1);
  parts[0] = source_of(r, args->data[0].value);
  if (!parts[0]) return NULL;
  lang_tensor_source *source = make(r, kind, parts, 1);
  if (wanted == 1) return source;
  lang_value heads = evaluate(r, args->data[1].value);
  if (heads.kind != LANG_V_INT || heads.i < 1) return fail(r, LANG_W_BIND_VALUE, expr->span, form);
  source->heads = heads.i;
  return source;
}

static const lang_tensor_source *source_of(const resolver *r, const lang_expr *expr) {
  if (expr->kind == LANG_EXPR_STRING) {
    const char *name = expand(r, expr);
    if (!name) return NULL;
    lang_tensor_source *source = make(r, LANG_SOURCE_TENSOR, NULL, 0);
    source->name = name;
    return source;
  }
  const char *called =
      expr->kind == LANG_EXPR_CALL && expr->call.callee->kind == LANG_EXPR_NAME ? expr->call.callee->name : "";
  if (!strcmp(called, "concat")) return concat_of(r, expr);
  if (!strcmp(called, "split")) return split_of(r, expr);
  if (!strcmp(called, "transpose")) return unary_of(r, expr, LANG_SOURCE_TRANSPOSE);
  if (!strcmp(called, "unpermute")) return unary_of(r, expr, LANG_SOURCE_UNPERMUTE);
  return fail(r, LANG_W_BIND_VALUE, expr->span, "a string, or concat, split, transpose, unpermute of strings");
}

static const lang_tensor_source *resolve(const lang_graph_bind *bind, weir_arena *arena, const char *path,
                                         bool report) {
  for (int i = bind ? bind->lines.count - 1 : -1; i >= 0; i--) {
    lang_captures captures;
    const bind_line *line = &bind->lines.data[i];
    if (!lang_pattern_capture(arena, line->pattern, path, &captures)) continue;
    resolver r = {bind, arena, line, &captures, report};
    bind->elab->steps = 0;
    bind->elab->exhausted = false;
    return source_of(&r, line->value);
  }
  lang_tensor_source *same = WEIR_NEW(arena, lang_tensor_source);
  same->kind = LANG_SOURCE_TENSOR;
  same->name = path;
  return same;
}

const lang_tensor_source *lang_bind_resolve(const lang_graph_bind *bind, weir_arena *arena, const char *path) {
  return resolve(bind, arena, path, false);
}

bool lang_bind_ignores(const lang_graph_bind *bind, const char *name) {
  for (int i = 0; bind && i < bind->ignored.count; i++) {
    if (lang_glob_match(bind->ignored.data[i], name)) return true;
  }
  return false;
}

// ---- evaluation

static bool is_ignored(const lang_pattern *pattern) {
  const lang_atoms *atoms = &pattern->segments.data[0].atoms;
  return pattern->segments.count == 1 && atoms->count == 1 && atoms->data[0].kind == LANG_ATOM_NAME &&
         !strcmp(atoms->data[0].name, "_");
}

static void add_ignored(lang_elab *elab, lang_graph_bind *bind, const lang_bind_line *line) {
  for (int i = 0; i < line->values.count; i++) {
    const lang_expr *value = line->values.data[i];
    if (value->kind == LANG_EXPR_STRING) LANG_PUSH(elab->arena, &bind->ignored, value->string.text);
    else lang_error(elab, LANG_W_BIND_VALUE, value->span, "a string: the name of a tensor that may stay unused");
  }
}

static void add_line(lang_elab *elab, lang_graph_bind *bind, const lang_bind_line *line) {
  int patterns = line->patterns.count, values = line->values.count;
  if (is_ignored(&line->patterns.data[0])) {
    add_ignored(elab, bind, line);
    return;
  }
  if (values != 1 && values != patterns) {
    lang_error(elab, LANG_W_VALUE_COUNT, line->span, weir_arena_printf(elab->arena, "%d", patterns),
               weir_arena_printf(elab->arena, "%d", values));
    return;
  }
  for (int i = 0; i < patterns; i++) {
    bool split = values == 1 && patterns > 1;
    bind_line one = {&line->patterns.data[i], line->values.data[split ? 0 : i], split ? i : -1};
    LANG_PUSH(elab->arena, &bind->lines, one);
  }
}

// The first parameter that a line stands for resolves, and with it all: captures and numbers are the same for every
// path.
static void check_line(lang_elab *elab, const lang_graph_bind *bind, const bind_line *line) {
  for (int i = 0; i < elab->slots.count; i++) {
    lang_captures captures;
    const char *path;
    if (!lang_spend(elab, 4, line->pattern->span)) return;
    if (!lang_pattern_weight(line->pattern, elab->slots.data[i], &path)) continue;
    if (!lang_pattern_capture(elab->arena, line->pattern, path, &captures)) continue;
    resolver r = {bind, elab->arena, line, &captures, true};
    source_of(&r, line->value);
    return;
  }
  lang_error(elab, LANG_W_PATTERN_NO_MATCH, line->pattern->span, lang_pattern_text(elab->arena, line->pattern),
             elab->graph->name);
}

void lang_bind_evaluate(lang_elab *elab, const lang_symbol *symbol) {
  const lang_bind *decl = &symbol->item->bind;
  lang_graph_bind *bind = WEIR_NEW(elab->arena, lang_graph_bind);
  bind->name = decl->name.text;
  bind->graph = elab->graph;
  bind->frame = WEIR_NEW(elab->arena, lang_frame);
  *bind->frame =
      (lang_frame){.elab = elab, .file = symbol->file, .scope = elab->model->scope, .locals = elab->model->scope};
  bind->elab = elab;
  for (int i = 0; i < decl->lines.count; i++) add_line(elab, bind, &decl->lines.data[i]);
  for (int i = 0; i < bind->lines.count; i++) check_line(elab, bind, &bind->lines.data[i]);
  // What stays behind the run has no list of diagnostics to write to but its own.
  bind->elab = WEIR_NEW(elab->arena, lang_elab);
  *bind->elab = *elab;
  bind->elab->diags = WEIR_NEW(elab->arena, lang_diags);
  lang_diags_init(bind->elab->diags, elab->arena);
  bind->elab->open = NULL;
  bind->frame->elab = bind->elab;
  WEIR_PUSH(elab->arena, elab->graph->binds, elab->graph->bind_count, elab->graph->bind_capacity, bind);
}
