// The section `tuning` as text.
#include "compiler/driver/tuning.h"

#include <string.h>

json_t *cli_tuning_read(const rt_package *package) {
  const rt_section *section = rt_package_find(package, RT_SECTION_TUNING);
  json_error_t error;
  if (!section) return NULL;
  weir_status status = rt_package_check(package, section);
  json_t *root = status ? NULL : json_loadb((const char *)section->data, section->bytes, 0, &error);
  weir_status_release(status);
  if (root && json_is_object(root)) return root;
  json_decref(root);
  return NULL;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static double number_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static bool is_true(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }

static const char *summary_of(weir_arena *arena, const json_t *tuning) {
  size_t i;
  json_t *trial;
  int tried = 0, kept = 0;
  json_array_foreach(json_object_get(tuning, "trials"), i, trial) {
    tried += !is_true(trial, "remembered");
    kept += is_true(trial, "kept");
  }
  const char *result = is_true(tuning, "dropped") ? "as a whole not faster, so that the default is kept"
                       : kept ? weir_arena_printf(arena, "%.1f %% faster as a whole", 100 * number_of(tuning, "gain"))
                              : "nothing was faster than the default";
  return weir_arena_printf(arena, "%d schedule%s kept, %d measured in %.1f s (%s): %s; %s on %s, %.0f thread%s", kept,
                           kept == 1 ? "" : "s", tried, number_of(tuning, "spent_s"), text_of(tuning, "end"), result,
                           text_of(tuning, "target"), text_of(tuning, "machine"), number_of(tuning, "threads"),
                           number_of(tuning, "threads") > 1 ? "s" : "");
}

static const char *trial_text(weir_arena *arena, const json_t *trial) {
  double gain = 100 * number_of(trial, "gain");
  if (number_of(trial, "default") == number_of(trial, "value"))
    return weir_arena_printf(arena, "  %-34s %-12s %4.0f         nothing was faster (from the cache)",
                             text_of(trial, "key"), text_of(trial, "parameter"), number_of(trial, "default"));
  return weir_arena_printf(arena, "  %-34s %-12s %4.0f -> %-4.0f %3.0f %% of a call, %5.1f %% %s%s",
                           text_of(trial, "key"), text_of(trial, "parameter"), number_of(trial, "default"),
                           number_of(trial, "value"), 100 * number_of(trial, "share"), gain < 0 ? -gain : gain,
                           gain < 0 ? "slower" : "faster",
                           is_true(trial, "remembered") ? " (from the cache)"
                           : is_true(trial, "kept")     ? ""
                                                        : " (not kept)");
}

void cli_tuning_lines(weir_arena *arena, const json_t *tuning, bool all, void (*line)(void *user, const char *text),
                      void *user) {
  size_t i;
  json_t *trial;
  line(user, summary_of(arena, tuning));
  json_array_foreach(json_object_get(tuning, "trials"), i, trial) {
    if (all || is_true(trial, "kept")) line(user, trial_text(arena, trial));
  }
}
