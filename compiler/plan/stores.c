// What a plan's `store` could not do: formats of blocks hold rows of float matrices, and a row must be a whole number
// of blocks. A tensor that does not fit stays in the format that lowering gives it, and the user is told.
#include <string.h>

#include "compiler/plan/internal.h"

static bool asked_of(const lang_plan_line *line, weir_storage *out) {
  return line && line->value_count && line->values[0].text && weir_storage_from_name(line->values[0].text, out);
}

// As the language spells it.
static const char *name_of(weir_arena *arena, weir_storage storage) {
  char *name = weir_arena_strdup(arena, weir_storage_name(storage));
  for (char *at = name; *at; at++)
    if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
  return name;
}

static const char *reason_of(weir_arena *arena, const cg_weight *weight, weir_storage asked) {
  if (!ir_dtype_is_float(weight->dtype)) return "no floats";
  int rank = weight->rank - (weight->part_count > 0);
  if (rank != 2) return "not matrices";
  return weir_arena_printf(arena, "rows of %lld elements are no whole number of blocks of %d",
                           (long long)weight->dims[weight->rank - 1], (int)weir_storage_info(asked)->block_elements);
}

// One line for each reason, with the first few paths.
static void add_notes(plan_unit *unit, lang_diag *diag, int from) {
  enum { SHOWN = 6 };
  weir_arena *arena = unit->arena;
  bool *told = WEIR_NEW_ARRAY(arena, bool, unit->kept_count + 1);
  for (int i = from; i < unit->kept_count; i++) {
    const char *paths = "";
    int count = 0;
    for (int k = i; k < unit->kept_count && !told[i]; k++) {
      if (strcmp(unit->kept[k].reason, unit->kept[i].reason) != 0) continue;
      if (k > i) told[k] = true;
      if (count++ < SHOWN) paths = weir_arena_printf(arena, "%s%s%s", paths, count > 1 ? ", " : "", unit->kept[k].path);
    }
    if (count > SHOWN) paths = weir_arena_printf(arena, "%s and %d more", paths, count - SHOWN);
    if (count) lang_diag_note(unit->diags, diag, (lang_span){0}, "%s: %s", unit->kept[i].reason, paths);
  }
}

static void check_line(plan_unit *unit, const lang_plan_line *line, weir_storage asked) {
  int from = unit->kept_count;
  for (int i = 0; i < unit->code->weight_count; i++) {
    const cg_weight *weight = &unit->code->weights[i];
    if (weight->format.storage == asked || lang_plan_select(unit->plan, "store", weight->path) != line) continue;
    plan_kept kept = {weight->path, name_of(unit->arena, asked), name_of(unit->arena, weight->format.storage),
                      reason_of(unit->arena, weight, asked)};
    WEIR_PUSH(unit->arena, unit->kept, unit->kept_count, unit->kept_capacity, kept);
  }
  int count = unit->kept_count - from;
  if (!count) return;
  lang_diag *diag = lang_diag_add(unit->diags, LANG_W_STORED_OTHERWISE, line->span, count, count == 1 ? "" : "s",
                                  name_of(unit->arena, asked));
  add_notes(unit, diag, from);
}

void plan_check_stores(plan_unit *unit) {
  weir_storage asked;
  for (int i = 0; unit->plan && i < unit->plan->line_count; i++) {
    const lang_plan_line *line = &unit->plan->lines[i];
    if (!strcmp(line->name, "store") && asked_of(line, &asked)) check_line(unit, line, asked);
  }
}
