// weir doc: a model's own reference page, from its text and its elaborated graph. The same for the same text: no time,
// no path of this machine.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "compiler/driver/page.h"
#include "compiler/driver/tree.h"
#include "runtime/base/checked.h"
#include "runtime/base/io.h"

typedef struct {
  weir_arena *arena;
  const cli_front *front;
  page page;
  const lang_program *program;
  const lang_graph *graph;
  const lang_item *item;  // the model's
  const lang_file *file;
} writer;

static const char *text_of(writer *w, const lang_file *file, uint32_t begin, uint32_t end) {
  while (end > begin && strchr(" \n\t\r{", file->source->text[end - 1])) end--;
  return weir_arena_strndup(w->arena, file->source->text + begin, end - begin);
}

static const char *span_text(writer *w, lang_span span) {
  const lang_source *source = lang_diags_source(&w->front->diags, span.file);
  return source ? weir_arena_strndup(w->arena, source->text + span.begin, span.end - span.begin) : "";
}

static const char *code(writer *w, const char *text) { return *text ? weir_arena_printf(w->arena, "`%s`", text) : ""; }

static const char *one_line(writer *w, const char *text) {
  char *line = weir_arena_strdup(w->arena, text ? text : "");
  for (char *p = line; *p; p++) *p = *p == '\n' ? ' ' : *p;
  return line;
}

// ---- parameters and dims

static const char *setting_text(writer *w, const lang_setting_value *value) {
  switch (value->kind) {
    case LANG_SETTING_INT:
      return weir_arena_printf(w->arena, "%" PRId64, value->i);
    case LANG_SETTING_FLOAT:
      return weir_arena_printf(w->arena, "%g", value->f);
    case LANG_SETTING_BOOL:
      return value->i ? "true" : "false";
    default:
      return value->text ? value->text : "";
  }
}

static void parameters(writer *w) {
  const lang_params *params = &w->item->model.params;
  if (!params->count) return;
  page_heading(&w->page, 2, "Parameters");
  static const char *const heads[] = {"name", "value", "declared", "meaning"};
  page_table(&w->page, heads, 4);
  for (int i = 0; i < params->count && i < w->graph->setting_count; i++) {
    const lang_param *param = &params->data[i];
    const char *cells[] = {code(w, param->name.text), code(w, setting_text(w, &w->graph->settings[i])),
                           code(w, one_line(w, span_text(w, param->span))), one_line(w, param->doc)};
    page_row(&w->page, cells, 4);
  }
  page_table_end(&w->page);
}

static bool is_hidden(const ir_dim_table *dims, const ir_symbol *symbol) {
  return symbol->kept_of || ir_symbol_before(dims, symbol);
}

static void dims(writer *w) {
  const ir_dim_table *table = w->graph->module->dims;
  int count = 0;
  for (int i = 0; i < ir_symbol_count(table); i++) count += !is_hidden(table, ir_symbol_at(table, i));
  if (!count) return;
  static const char *const heads[] = {"dim", "role", "least", "most", "a multiple of"};
  static const char *const roles[] = {"plain", "batch", "seq"};
  page_heading(&w->page, 2, "Dims");
  page_table(&w->page, heads, 5);
  for (int i = 0; i < ir_symbol_count(table); i++) {
    const ir_symbol *s = ir_symbol_at(table, i);
    if (is_hidden(table, s)) continue;
    const char *cells[] = {code(w, s->name), roles[s->role], tree_number(w->arena, s->lo),
                           s->hi == INT64_MAX ? "any" : tree_number(w->arena, s->hi),
                           s->divisor > 1 ? tree_number(w->arena, s->divisor) : ""};
    page_row(&w->page, cells, 5);
  }
  page_table_end(&w->page);
}

// ---- entries and steps

static const char *range_text(writer *w, const ir_value *value) {
  if (!ir_dtype_is_int(value->type.dtype) || value->lo > value->hi) return "";
  return weir_arena_printf(w->arena, "%" PRId64 " to %" PRId64, value->lo, value->hi);
}

static void entry(writer *w, const lang_stmt *stmt) {
  const lang_fn *fn = &stmt->fn;
  const ir_function *function = ir_function_find(w->graph->module, fn->name.text);
  if (!function) return;
  bool step = fn->kind == LANG_FN_STEP;
  page_heading(&w->page, 3, weir_arena_printf(w->arena, "%s `%s`", step ? "Step" : "Entry", fn->name.text));
  if (stmt->trivia.doc) page_paragraph(&w->page, stmt->trivia.doc);
  page_code(&w->page, "weir", text_of(w, w->file, stmt->span.begin, fn->body.span.begin));
  static const char *const heads[] = {"", "name", "type", "values"};
  page_table(&w->page, heads, 4);
  for (int i = 0; i < function->param_count; i++) {
    const ir_param *param = &function->params[i];
    if (param->kind != IR_PARAM_INPUT) continue;
    const char *cells[] = {"in", code(w, param->name), code(w, ir_type_print(w->arena, &param->value->type)),
                           range_text(w, param->value)};
    page_row(&w->page, cells, 4);
  }
  int written = 0;
  for (int i = 0; i < function->result_count; i++) {
    const ir_result *result = &function->results[i];
    written += result->state >= 0;
    if (result->state >= 0) continue;
    const char *name = result->name && *result->name ? result->name : "output";
    const char *cells[] = {"out", code(w, name), code(w, ir_type_print(w->arena, &result->value->type)),
                           range_text(w, result->value)};
    page_row(&w->page, cells, 4);
  }
  page_table_end(&w->page);
  if (step)
    page_paragraph(&w->page, weir_arena_printf(w->arena, "Goes on with the session: it changes %d state%s.", written,
                                               written == 1 ? "" : "s"));
}

static void entries(writer *w) {
  page_heading(&w->page, 2, "Entries and steps");
  const lang_body *body = &w->item->model.body;
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    if (stmt->kind == LANG_STMT_FN && stmt->fn.kind != LANG_FN_PLAIN) entry(w, stmt);
  }
}

// ---- weights and states

// Elements of a type with |skip| leading dims left out; sizes of requests count as 1. Saturates.
static int64_t elements(const ir_type *type, int skip) {
  int64_t count = 1, size;
  for (int i = skip; i < type->rank; i++) {
    if (ir_dim_is_const(type->dims[i], &size) && !weir_mul_i64(count, size, &count)) return INT64_MAX;
  }
  return count;
}

static void weights(writer *w) {
  if (!w->graph->weight_count) return;
  tree *root = tree_create(w->arena);
  int64_t total = 0;
  int ties = 0;
  for (int i = 0; i < w->graph->weight_count; i++) {
    const lang_weight *weight = &w->graph->weights[i];
    int64_t count = elements(&weight->type, 0);
    if (!weir_add_i64(total, count, &total)) total = INT64_MAX;
    ties += weight->alias_count;
    tree_add(w->arena, root, weight->path, ir_type_print(w->arena, &weight->type), count);
  }
  tree_fold(w->arena, root);
  page_heading(&w->page, 2, "Weights");
  page_paragraph(&w->page,
                 weir_arena_printf(w->arena,
                                   "%s tensors with %s elements%s. Types are logical: `f` is shown as f32, and "
                                   "how a tensor is stored is the plan's and the checkpoint's matter.",
                                   tree_number(w->arena, w->graph->weight_count), tree_number(w->arena, total),
                                   ties ? weir_arena_printf(w->arena, ", %d of them under a second name", ties) : ""));
  page_code(&w->page, "", tree_print(w->arena, root, ""));
}

static void states(writer *w) {
  if (!w->graph->memory_count) return;
  tree *rows = tree_create(w->arena), *windows = tree_create(w->arena), *fixed = tree_create(w->arena);
  for (int i = 0; i < w->graph->memory_count; i++) {
    const lang_memory *memory = &w->graph->memories[i];
    const char *about = ir_type_print(w->arena, &memory->type);
    int64_t bytes = elements(&memory->type, memory->rows ? 1 : 0);
    if (!weir_mul_i64(bytes, ir_dtype_bytes(memory->type.dtype), &bytes) ||
        (memory->window && !weir_mul_i64(bytes, memory->window - 1, &bytes)))
      bytes = INT64_MAX;
    if (memory->window) about = weir_arena_printf(w->arena, "%s, the last %" PRId64, about, memory->window - 1);
    tree_add(w->arena, memory->window ? windows : memory->rows ? rows : fixed, memory->path, about, bytes);
  }
  tree_fold(w->arena, rows);
  tree_fold(w->arena, windows);
  tree_fold(w->arena, fixed);
  const char *last = "";
  if (windows->child_count)
    last =
        weir_arena_printf(w->arena, ", %s bytes in windows of the last rows", tree_number(w->arena, windows->amount));
  page_heading(&w->page, 2, "States");
  page_paragraph(&w->page,
                 weir_arena_printf(w->arena,
                                   "A session keeps %s bytes for each row of its sequence%s and %s bytes beside, "
                                   "with `f` as f32.",
                                   tree_number(w->arena, rows->amount), last, tree_number(w->arena, fixed->amount)));
  if (rows->child_count) page_code(&w->page, "", tree_print(w->arena, rows, " a row"));
  if (windows->child_count) page_code(&w->page, "", tree_print(w->arena, windows, ""));
  if (fixed->child_count) page_code(&w->page, "", tree_print(w->arena, fixed, ""));
}

// ---- plans, binds, blocks

static void sections(writer *w, lang_item_kind kind, const char *title) {
  bool any = false;
  for (int i = 0; i < w->program->symbol_count; i++) {
    const lang_symbol *symbol = &w->program->symbols[i];
    if (symbol->item->kind != kind) continue;
    const lang_name *target = kind == LANG_ITEM_BIND ? &symbol->item->bind.target : &symbol->item->section.target;
    if (!target->text || strcmp(target->text, w->graph->name)) continue;
    if (!any) page_heading(&w->page, 2, title);
    any = true;
    if (symbol->item->trivia.doc) page_paragraph(&w->page, symbol->item->trivia.doc);
    page_code(&w->page, "weir", span_text(w, symbol->item->span));
  }
}

// Whether some function of the graph comes from the block: it has its name, with a number behind it or a method's.
static bool is_used(const writer *w, const char *name) {
  size_t length = strlen(name);
  for (int i = 0; i < w->graph->module->function_count; i++) {
    const char *other = w->graph->module->functions[i]->name;
    if (!strncmp(other, name, length) && (!other[length] || other[length] == '.')) return true;
  }
  return false;
}

static void blocks(writer *w) {
  bool any = false;
  for (int i = 0; i < w->program->symbol_count; i++) {
    const lang_symbol *symbol = &w->program->symbols[i];
    if (symbol->item->kind != LANG_ITEM_BLOCK || !is_used(w, symbol->name)) continue;
    if (!any) page_heading(&w->page, 2, "Blocks");
    any = true;
    page_heading(&w->page, 3, code(w, symbol->name));
    if (symbol->item->trivia.doc) page_paragraph(&w->page, symbol->item->trivia.doc);
    page_code(&w->page, "weir",
              text_of(w, symbol->file, symbol->item->span.begin, symbol->item->block.body.span.begin));
  }
}

// ---- the page

static bool find_model(writer *w) {
  for (int i = 0; i < w->program->symbol_count; i++) {
    const lang_symbol *symbol = &w->program->symbols[i];
    if (symbol->item->kind != LANG_ITEM_MODEL || strcmp(symbol->name, w->graph->name)) continue;
    w->item = symbol->item;
    w->file = symbol->file;
    return true;
  }
  return false;
}

static const char *write_page(writer *w, bool html) {
  page_begin(&w->page, w->arena, html, w->graph->name);
  page_heading(&w->page, 1, w->graph->name);
  if (w->item->trivia.doc) page_paragraph(&w->page, w->item->trivia.doc);
  parameters(w);
  dims(w);
  entries(w);
  weights(w);
  states(w);
  sections(w, LANG_ITEM_SECTION, "Plans");
  sections(w, LANG_ITEM_BIND, "Binds");
  blocks(w);
  return page_end(&w->page);
}

static int finish(cli *c, const char *text) {
  const char *path = cli_text(c, "output");
  if (path) {
    int wrong = cli_check_output(c, path);
    if (!wrong) wrong = cli_fail(c, weir_file_write_atomic(path, text, strlen(text)));
    if (wrong) return wrong;
  }
  if (c->json) {
    return cli_json(
        c, path ? json_pack("{s:s}", "path", path) : json_pack("{s:o}", "text", cli_json_text(text, strlen(text))));
  }
  if (!path) cli_write(text, strlen(text));
  return CLI_DONE;
}

int cmd_doc(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  cli_front front;
  int code = cli_elaborate(c, c->arguments[0], &front);
  if (code) return code;
  writer w = {.arena = &c->arena, .front = &front, .program = front.unit.program, .graph = front.unit.graph};
  code = find_model(&w) ? finish(c, write_page(&w, cli_has(c, "html"))) : CLI_BUG;
  plan_close(&front.unit);
  return code;
}
