// Plans, and the sections that have no meaning yet. A plan is settings as data: the elaborator checks their names,
// forms and patterns; what they mean is the planner's matter.
#include <string.h>

#include "compiler/lang/elab_impl.h"

typedef enum { FORM_SET, FORM_SELECT } form;
static const struct {
  const char *name;
  form form;
  bool later;
} settings[] = {
    {"target", FORM_SET, false},         {"float", FORM_SET, false},      {"store", FORM_SELECT, false},
    {"rules", FORM_SET, false},          {"quantize", FORM_SELECT, true}, {"prune", FORM_SELECT, true},
    {"activations", FORM_SELECT, false}, {"compute", FORM_SELECT, false}, {"cache", FORM_SELECT, false},
    {"library", FORM_SET, false},        {"factor", FORM_SELECT, true},   {"parallel", FORM_SET, true},
    {"freeze", FORM_SELECT, true},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

// What the sections say that are carried along: nothing acts on them here, but a slip is one all the same.
static const char *const train_settings[] = {"loss", "batch", "steps",    "epochs", "clip",   "float", "seed",
                                             "data", "log",   "schedule", "save",   "update", "freeze"};
static const char *const search_settings[] = {"train", "maximize", "minimize", "strategy", "budget", "seed", "data"};
static const char *const cluster_settings[] = {"node", "nodes", "link", "switch", "storage"};

static const char *const stores[] = {"f32",  "f16",  "bf16", "q8_0", "q4_0", "q4_1",
                                     "q5_0", "q5_1", "q4_k", "q5_k", "q6_k", "w8"};
static const char *const floats[] = {"f32", "f16", "bf16", "f64"};
static const char *const activations[] = {"int8", "f32"};
static const char *const computes[] = {"bf16", "f32"};
static const char *const caches[] = {"f16", "bf16", "f32"};
static const char *const rules[] = {"all", "exact", "none"};
static const char *const libraries[] = {"cublaslt", "none"};
static const char *const targets[] = {"cpu", "cuda"};

static bool listed(const char *const *names, int count, const char *name) {
  for (int i = 0; i < count; i++) {
    if (!strcmp(names[i], name)) return true;
  }
  return false;
}

// ---- definitions

static bool value_of(lang_frame *frame, const lang_expr *expr, lang_setting_value *out);
static bool known_value(lang_elab *elab, const char *setting, const lang_setting_value *value);

static void check_values(lang_elab *elab, const lang_setting *line) {
  lang_frame frame = {.elab = elab};
  lang_setting_value value;
  for (int i = 0; i < line->values.count; i++) {
    if (value_of(&frame, line->values.data[i], &value)) known_value(elab, line->name.text, &value);
  }
}

static void check_setting(lang_elab *elab, const lang_setting *line) {
  const char *names[SETTING_COUNT];
  if (line->kind == LANG_SETTING_WHERE) {
    lang_error(elab, LANG_W_LATER_SETTING, line->span, "where");
    return;
  }
  for (int i = 0; i < SETTING_COUNT; i++) {
    names[i] = settings[i].name;
    if (strcmp(settings[i].name, line->name.text) != 0) continue;
    if (settings[i].later) lang_error(elab, LANG_W_LATER_SETTING, line->name.span, line->name.text);
    else if ((settings[i].form == FORM_SET) != (line->kind == LANG_SETTING_SET)) {
      lang_error(elab, LANG_W_SETTING_FORM, line->span, line->name.text,
                 settings[i].form == FORM_SET ? "name = values;" : "name patterns: values;");
    } else {
      check_values(elab, line);
    }
    return;
  }
  lang_diag *diag = lang_error(elab, LANG_W_UNKNOWN_SETTING, line->name.span, line->name.text, "plan");
  lang_suggest(elab, diag, line->name.text, names, SETTING_COUNT);
}

static void check_target(lang_elab *elab, const lang_file *file, const lang_name *target) {
  LANG_LIST(const char *) names = {0};
  const lang_symbol *symbol = lang_program_find(elab->program, file, target->text);
  if (symbol && symbol->item->kind == LANG_ITEM_MODEL) return;
  for (int i = 0; i < elab->program->symbol_count; i++) {
    if (elab->program->symbols[i].item->kind == LANG_ITEM_MODEL)
      LANG_PUSH(elab->arena, &names, elab->program->symbols[i].name);
  }
  lang_diag *diag = lang_error(elab, LANG_W_UNKNOWN_MODEL, target->span, target->text);
  lang_suggest(elab, diag, target->text, names.data, names.count);
  if (names.count) return;
  lang_note_add(elab, diag, (lang_span){0},
                "nothing here declares or uses a model: write `use \"model.weir\";`, or give this file with --plan "
                "when the model is built");
}

static const char *const *settings_of(lang_section_kind kind, int *out_count) {
  switch (kind) {
    case LANG_SECTION_TRAIN:
      *out_count = sizeof train_settings / sizeof *train_settings;
      return train_settings;
    case LANG_SECTION_SEARCH:
      *out_count = sizeof search_settings / sizeof *search_settings;
      return search_settings;
    default:
      *out_count = sizeof cluster_settings / sizeof *cluster_settings;
      return cluster_settings;
  }
}

// Train, search and cluster sections: the names of settings, and of the blocks that update.
static void check_carried(lang_elab *elab, const lang_file *file, const lang_section *section) {
  int count;
  const char *const *names = settings_of(section->kind, &count);
  for (int i = 0; i < section->settings.count; i++) {
    const lang_setting *line = &section->settings.data[i];
    if (line->kind == LANG_SETTING_WHERE && section->kind != LANG_SECTION_TRAIN) continue;
    if (line->kind == LANG_SETTING_WHERE || !listed(names, count, line->name.text)) {
      const char *name = line->kind == LANG_SETTING_WHERE ? "where" : line->name.text;
      lang_diag *diag =
          lang_error(elab, LANG_W_UNKNOWN_SETTING, line->kind == LANG_SETTING_WHERE ? line->span : line->name.span,
                     name, lang_section_text(section->kind));
      lang_suggest(elab, diag, name, names, count);
      continue;
    }
    lang_names_check_blocks(elab, file, &line->values);
  }
}

void lang_sections_check(lang_elab *elab, const lang_file *file) {
  for (int i = 0; i < file->items.count; i++) {
    const lang_item *item = file->items.data[i];
    if (item->kind == LANG_ITEM_BIND) check_target(elab, file, &item->bind.target);
    if (item->kind != LANG_ITEM_SECTION) continue;
    const lang_section *section = &item->section;
    if (section->kind != LANG_SECTION_CLUSTER) check_target(elab, file, &section->target);
    if (section->kind != LANG_SECTION_PLAN) {
      check_carried(elab, file, section);
      continue;
    }
    for (int k = 0; k < section->settings.count; k++) check_setting(elab, &section->settings.data[k]);
  }
  lang_error_flush(elab);
}

// ---- values

static bool number_of(const lang_expr *expr, bool negative, lang_setting_value *out) {
  const lang_number *n = &expr->number;
  out->kind = n->is_int ? LANG_SETTING_INT : LANG_SETTING_FLOAT;
  out->i = n->is_int ? (negative ? -n->i : n->i) : 0;
  out->f = negative ? -n->f : n->f;
  return !n->overflow;
}

static bool items_of(lang_frame *frame, const lang_expr *expr, lang_setting_value *out) {
  bool call = expr->kind == LANG_EXPR_CALL, ok = true;
  int count = call ? expr->call.args.count : expr->list.values.count;
  out->kind = call ? LANG_SETTING_CALL : LANG_SETTING_LIST;
  out->text = call ? expr->call.callee->name : NULL;
  out->items = WEIR_NEW_ARRAY(frame->elab->arena, lang_setting_value, count + 1);
  out->item_count = count;
  for (int i = 0; i < count; i++) {
    ok = value_of(frame, call ? expr->call.args.data[i].value : expr->list.values.data[i], &out->items[i]) && ok;
    if (call && expr->call.args.data[i].kind == LANG_ARG_NAMED) out->items[i].name = expr->call.args.data[i].name.text;
  }
  return ok;
}

static bool value_of(lang_frame *frame, const lang_expr *expr, lang_setting_value *out) {
  *out = (lang_setting_value){.span = expr->span};
  if (expr->kind == LANG_EXPR_NUMBER) return number_of(expr, false, out);
  if (expr->kind == LANG_EXPR_UNARY && expr->unary.op == LANG_OP_NEG && expr->unary.operand->kind == LANG_EXPR_NUMBER) {
    return number_of(expr->unary.operand, true, out);
  }
  if (expr->kind == LANG_EXPR_LIST) return items_of(frame, expr, out);
  if (expr->kind == LANG_EXPR_CALL && expr->call.callee->kind == LANG_EXPR_NAME) return items_of(frame, expr, out);
  if (expr->kind == LANG_EXPR_STRING) {
    out->kind = LANG_SETTING_STRING;
    out->text = expr->string.text;
    return true;
  }
  if (expr->kind == LANG_EXPR_NAME) {
    bool truth = !strcmp(expr->name, "true");
    out->kind = truth || !strcmp(expr->name, "false") ? LANG_SETTING_BOOL : LANG_SETTING_NAME;
    out->i = truth;
    out->text = expr->name;
    return true;
  }
  if (expr->kind != LANG_EXPR_ERROR)
    lang_error(frame->elab, LANG_W_SETTING_VALUE, expr->span, "a number, a string, a name or a call of them");
  return false;
}

#define VALUES(list) list, sizeof list / sizeof *list
static const struct {
  const char *setting;
  const char *const *names;
  int count;
} known_values[] = {{"store", VALUES(stores)},      {"float", VALUES(floats)},  {"activations", VALUES(activations)},
                    {"compute", VALUES(computes)},  {"cache", VALUES(caches)},  {"rules", VALUES(rules)},
                    {"library", VALUES(libraries)}, {"target", VALUES(targets)}};

bool lang_setting_is_row(const lang_setting_value *value) {
  if (value->kind != LANG_SETTING_CALL || value->item_count != 1) return false;
  const lang_setting_value *item = &value->items[0];
  return item->kind == LANG_SETTING_NAME && !item->name && !strcmp(item->text, "row");
}

static bool known_value(lang_elab *elab, const char *setting, const lang_setting_value *value) {
  bool word = value->kind == LANG_SETTING_NAME || value->kind == LANG_SETTING_CALL;
  size_t at = 0;
  while (strcmp(known_values[at].setting, setting) != 0 && at + 1 < sizeof known_values / sizeof *known_values) at++;
  const char *const *names = known_values[at].names;
  int count = known_values[at].count;
  if (word && listed(names, count, value->text)) {
    bool bare = names == activations || names == computes || names == caches;
    if (!bare || value->kind == LANG_SETTING_NAME || !value->item_count) return true;
    if (names == activations && !strcmp(value->text, "int8") && lang_setting_is_row(value)) return true;
    lang_error(elab, LANG_W_SETTING_VALUE, value->span,
               weir_arena_printf(elab->arena, "%s() without arguments%s", value->text,
                                 names == activations ? ", for groups of 32 inputs, or int8(row)" : ""));
    return false;
  }
  lang_buffer all = {.arena = elab->arena};
  for (int i = 0; i < count; i++) lang_buffer_add(&all, "%s%s", i ? " " : "one of ", names[i]);
  lang_diag *diag = lang_error(elab, LANG_W_SETTING_VALUE, value->span, all.data);
  if (word) lang_suggest(elab, diag, value->text, names, count);
  return false;
}

// ---- evaluation

// Whether the line speaks of products: then a path stands for all weights below it, too.
static bool is_of_products(const char *name) { return !strcmp(name, "activations") || !strcmp(name, "compute"); }

static void check_patterns(lang_elab *elab, const lang_plan_line *line) {
  bool below = is_of_products(line->name);
  for (int i = 0; i < line->patterns.count; i++) {
    bool found = false;
    for (int k = 0; k < elab->slots.count && !found; k++) {
      const char *path;
      if (!lang_spend(elab, 4, line->span)) return;
      const lang_slot *slot = elab->slots.data[k];
      found = lang_pattern_weight(&line->patterns.data[i], slot, &path) ||
              (below && slot->kind == LANG_SLOT_WEIGHT && lang_pattern_below(&line->patterns.data[i], slot->path));
    }
    if (found) continue;
    lang_error(elab, LANG_W_PATTERN_NO_MATCH, line->patterns.data[i].span,
               lang_pattern_text(elab->arena, &line->patterns.data[i]), elab->graph->name);
  }
}

static const char *why_not_cached(const lang_slot *slot) {
  if (slot->kind == LANG_SLOT_WEIGHT) return "a parameter";
  if (!ir_dtype_is_float(slot->dtype)) return "a state without floats";
  return slot->over ? "assigned whole, not appended" : "a state of fixed shape";
}

// A `cache` says how states are kept: those that are rows of floats, appended. Others may be among the selected.
static void check_cached(lang_elab *elab, const lang_plan_line *line) {
  for (int i = 0; i < line->patterns.count; i++) {
    const lang_pattern *pattern = &line->patterns.data[i];
    const lang_slot *other = NULL;
    bool found = false;
    for (int k = 0; k < elab->slots.count && !found; k++) {
      const lang_slot *slot = elab->slots.data[k];
      if (!lang_spend(elab, 4, line->span)) return;
      if (!lang_pattern_match(pattern, slot->path)) continue;
      found = lang_slot_takes_cache(slot);
      if (!other || slot->kind == LANG_SLOT_STATE) other = slot;
    }
    if (found) continue;
    const char *text = lang_pattern_text(elab->arena, pattern);
    lang_diag *diag = lang_error(elab, LANG_W_CACHE_NO_ROWS, pattern->span, text, elab->graph->name);
    if (other) lang_note_add(elab, diag, other->span, "%s is %s", other->path, why_not_cached(other));
  }
}

static void evaluate_plan(lang_elab *elab, const lang_symbol *symbol) {
  const lang_section *section = &symbol->item->section;
  lang_plan plan = {.name = section->name.text, .span = section->name.span};
  lang_frame frame = {.elab = elab, .file = symbol->file, .scope = elab->model->scope, .locals = elab->model->scope};
  for (int i = 0; i < section->settings.count; i++) {
    const lang_setting *setting = &section->settings.data[i];
    if (setting->kind == LANG_SETTING_WHERE) continue;
    lang_plan_line line = {.name = setting->name.text, .patterns = setting->patterns, .span = setting->span};
    line.values = WEIR_NEW_ARRAY(elab->arena, lang_setting_value, setting->values.count + 1);
    for (int k = 0; k < setting->values.count; k++) {
      lang_setting_value *value = &line.values[line.value_count++];
      if (!value_of(&frame, setting->values.data[k], value)) return;
    }
    if (setting->kind == LANG_SETTING_SELECT && (!strcmp(line.name, "store") || is_of_products(line.name)))
      check_patterns(elab, &line);
    if (setting->kind == LANG_SETTING_SELECT && !strcmp(line.name, "cache")) check_cached(elab, &line);
    WEIR_PUSH(elab->arena, plan.lines, plan.line_count, plan.line_capacity, line);
  }
  WEIR_PUSH(elab->arena, elab->graph->plans, elab->graph->plan_count, elab->graph->plan_capacity, plan);
}

void lang_sections_evaluate(lang_elab *elab) {
  const lang_program *program = elab->program;
  elab->site = NULL;
  for (int i = 0; i < program->symbol_count; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    const lang_item *item = symbol->item;
    if (item->kind == LANG_ITEM_BIND && !strcmp(item->bind.target.text, elab->graph->name))
      lang_bind_evaluate(elab, symbol);
    bool plan = item->kind == LANG_ITEM_SECTION && item->section.kind == LANG_SECTION_PLAN;
    if (plan && !strcmp(item->section.target.text, elab->graph->name)) evaluate_plan(elab, symbol);
  }
}

// ---- reading plans

const lang_plan *lang_graph_plan(const lang_graph *graph, const char *name) {
  for (int i = 0; i < graph->plan_count; i++) {
    if (!strcmp(graph->plans[i].name, name)) return &graph->plans[i];
  }
  return NULL;
}

const lang_plan_line *lang_plan_later(const lang_plan *plan) {
  for (int i = 0; i < plan->line_count; i++) {
    for (int k = 0; k < SETTING_COUNT; k++) {
      if (settings[k].later && !strcmp(settings[k].name, plan->lines[i].name)) return &plan->lines[i];
    }
  }
  return NULL;
}

bool lang_plan_has(const lang_plan *plan, const char *name) {
  for (int i = 0; i < plan->line_count; i++) {
    if (!strcmp(plan->lines[i].name, name)) return true;
  }
  return false;
}

const lang_plan_line *lang_plan_get(const lang_plan *plan, const char *name) {
  for (int i = plan->line_count - 1; i >= 0; i--) {
    if (!plan->lines[i].patterns.count && !strcmp(plan->lines[i].name, name)) return &plan->lines[i];
  }
  return NULL;
}

const lang_plan_line *lang_plan_select(const lang_plan *plan, const char *name, const char *path) {
  for (int i = plan->line_count - 1; i >= 0; i--) {
    const lang_plan_line *line = &plan->lines[i];
    if (strcmp(line->name, name) != 0) continue;
    for (int k = 0; k < line->patterns.count; k++) {
      if (lang_pattern_match(&line->patterns.data[k], path)) return line;
    }
  }
  return NULL;
}

const lang_plan_line *lang_plan_compute(const lang_plan *plan, const char *path) {
  for (int i = plan->line_count - 1; i >= 0; i--) {
    const lang_plan_line *line = &plan->lines[i];
    if (!is_of_products(line->name)) continue;
    for (int k = 0; k < line->patterns.count; k++) {
      if (lang_pattern_below(&line->patterns.data[k], path)) return line;
    }
  }
  return NULL;
}

bool lang_plan_cache(const lang_plan *plan, const char *path, ir_dtype *out) {
  const lang_plan_line *line = lang_plan_select(plan, "cache", path);
  return line && line->value_count && line->values[0].text && ir_dtype_find(line->values[0].text, out);
}
