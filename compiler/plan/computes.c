// What a plan's `activations` and `compute` could not do: there is no kernel of lower precision for the weight. Its
// products stay in float32, and the user is told.
#include <string.h>

#include "compiler/plan/internal.h"

// The weights of one reason, as a note.
static void add_note(plan_unit *unit, lang_diag *diag, const lang_plan_line *line, int first, bool *told) {
  enum { SHOWN = 6 };
  weir_arena *arena = unit->arena;
  const cg_module *code = unit->code;
  const char *reason = code->weights[first].reason, *paths = "";
  int count = 0;
  for (int i = first; i < code->weight_count; i++) {
    const cg_weight *weight = &code->weights[i];
    if (!weight->reason || strcmp(weight->reason, reason) || lang_plan_compute(unit->plan, weight->path) != line)
      continue;
    told[i] = true;
    if (count++ < SHOWN) paths = weir_arena_printf(arena, "%s%s%s", paths, count > 1 ? ", " : "", weight->path);
  }
  if (count > SHOWN) paths = weir_arena_printf(arena, "%s and %d more", paths, count - SHOWN);
  lang_diag_note(unit->diags, diag, (lang_span){0}, "%s: %s", reason, paths);
}

static void check_line(plan_unit *unit, const lang_plan_line *line) {
  const cg_module *code = unit->code;
  bool *told = WEIR_NEW_ARRAY(unit->arena, bool, code->weight_count + 1);
  int count = 0;
  for (int i = 0; i < code->weight_count; i++) {
    told[i] = !code->weights[i].reason || lang_plan_compute(unit->plan, code->weights[i].path) != line;
    count += !told[i];
  }
  if (!count) return;
  const char *asked = line->value_count && line->values[0].text ? line->values[0].text : "this";
  lang_diag *diag =
      lang_diag_add(unit->diags, LANG_W_COMPUTED_OTHERWISE, line->span, count, count == 1 ? "" : "s", asked);
  for (int i = 0; i < code->weight_count; i++)
    if (!told[i]) add_note(unit, diag, line, i, told);
}

void plan_check_computes(plan_unit *unit) {
  for (int i = 0; unit->plan && i < unit->plan->line_count; i++) {
    const lang_plan_line *line = &unit->plan->lines[i];
    if (!strcmp(line->name, "activations") || !strcmp(line->name, "compute")) check_line(unit, line);
  }
}
