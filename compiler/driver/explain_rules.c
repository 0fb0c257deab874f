// The rules of a build: which applied, where and how often.
#include "compiler/driver/explain_rules.h"

#include <string.h>

#include "compiler/lang/rule.h"

// The end of a path: with file:line it says enough, and lines stay short.
static const char *file_of(const char *path) {
  const char *slash = path ? strrchr(path, '/') : NULL;
  return slash ? slash + 1 : path ? path : "";
}

static json_t *place_json(const ir_firing *firing) {
  const ir_rule *rule = firing->rule;
  return json_pack("{s:s,s:s?,s:i,s:b,s:b,s:s,s:s?,s:i,s:i,s:i}", "rule", rule->name, "rule_file", rule->loc.file,
                   "rule_line", rule->loc.line, "exact", rule->exact, "library", rule->library, "function",
                   firing->function, "file", firing->loc.file, "line", firing->loc.line, "column", firing->loc.column,
                   "count", firing->count);
}

static int firings_of(const ir_rules *rules, const ir_rule *rule) {
  int count = 0;
  for (int i = 0; i < rules->firing_count; i++) count += rules->firings[i].rule == rule ? rules->firings[i].count : 0;
  return count;
}

static void print_rule(const ir_rules *rules, const ir_rule *rule) {
  int count = firings_of(rules, rule);
  if (!count && rule->library) return;
  printf("  %-26s %4d %-5s  %-7s (%s:%d)\n", rule->name, count, count == 1 ? "time" : "times",
         rule->exact ? "exact" : "inexact", file_of(rule->loc.file), rule->loc.line);
  for (int i = 0; i < rules->firing_count; i++) {
    const ir_firing *firing = &rules->firings[i];
    if (firing->rule != rule) continue;
    printf("    in %s", firing->function);
    if (firing->loc.line) printf(" (%s:%d)", file_of(firing->loc.file), firing->loc.line);
    if (firing->count > 1) printf(", %d times", firing->count);
    printf("\n");
  }
}

void cli_explain_rules(cli *c, const plan_unit *unit, json_t *document) {
  const ir_rules *rules = unit->rules;
  json_t *list = json_array();
  int own = 0, applied = 0;
  for (int i = 0; rules && i < rules->firing_count; i++) {
    json_array_append_new(list, place_json(&rules->firings[i]));
    applied += rules->firings[i].count;
  }
  json_object_set_new(document, "rules", list);
  if (c->json) return;
  for (int i = 0; rules && i < rules->count; i++) own += !rules->data[i]->library;
  if (!rules) {
    printf("\nRULES  none: the plan says so\n");
    return;
  }
  printf("\nRULES  %d of the library, %d of the model; applied %d %s\n", rules->count - own, own, applied,
         applied == 1 ? "time" : "times");
  for (int i = 0; i < rules->count; i++) print_rule(rules, rules->data[i]);
}
