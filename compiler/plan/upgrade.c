// A package becomes a request, the request a package.
#include "compiler/plan/upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/plan/device.h"
#include "compiler/plan/from_package.h"

// "NAME=VALUE" as on the command line.
static const char *override_of(weir_arena *arena, const char *name, const json_t *value) {
  char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  const char *out = weir_arena_printf(arena, "%s=%s", name,
                                      text                    ? text
                                      : json_is_string(value) ? json_string_value(value)
                                                              : "");
  free(text);
  return out;
}

weir_status plan_package_request(weir_arena *arena, const rt_package *package, plan_request *request) {
  json_t *manifest = plan_package_manifest_read(package), *value;
  const json_t *settings = json_object_get(manifest, "settings");
  const char **overrides = WEIR_NEW_ARRAY(arena, const char *, json_object_size(settings) + 1);
  const char *plan = json_string_value(json_object_get(manifest, "plan")), *name;
  request->package = package;
  request->text = rt_package_model_name(package);
  request->model = rt_package_model_name(package);
  request->plan = plan ? weir_arena_strdup(arena, plan) : NULL;
  request->override_count = 0;
  json_object_foreach((json_t *)(uintptr_t)settings, name, value) {
    overrides[request->override_count++] = override_of(arena, name, value);
  }
  request->overrides = overrides;
  json_decref(manifest);
  return WEIR_OK;
}

weir_status plan_upgrade(weir_arena *arena, const rt_package *package, const plan_request *request, const char *path,
                         lang_diags *diags, plan_result *out_result) {
  plan_unit unit = {0};
  int count = rt_package_object_count(package);
  const char **targets = WEIR_NEW_ARRAY(arena, const char *, count + 1);
  for (int i = 0; i < count; i++) targets[i] = plan_object_target(arena, rt_package_object_at(package, i));
  *out_result = (plan_result){.path = path};
  weir_status status = plan_read(arena, request, diags, &unit);
  if (!status) status = plan_front(&unit);
  if (!status) status = plan_write_package(&unit, path, targets, count, out_result);
  plan_close(&unit);
  return status;
}
