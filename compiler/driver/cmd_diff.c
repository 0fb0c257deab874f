// weir diff: what differs between two packages. Weights are compared one by one; everything else section by section.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"

typedef struct {
  cli *c;
  rt_package *a, *b;
  json_t *found;
} comparison;

static void add(comparison *k, const char *what, const char *name, const char *how) {
  json_array_append_new(k->found, json_pack("{s:s,s:s,s:s}", "kind", what, "name", name, "difference", how));
  if (!k->c->json) printf("%-8s %-56s %s\n", what, name, how);
}

static const char *words(comparison *k, const json_t *value) {
  char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  const char *copy = weir_arena_strdup(&k->c->arena, text ? text : "nothing");
  free(text);
  return copy;
}

static json_t *manifest_of(const rt_package *package) {
  const rt_section *section = rt_package_find(package, RT_SECTION_MANIFEST);
  json_error_t error;
  return json_loadb((const char *)section->data, section->bytes, 0, &error);
}

static void compare_manifests(comparison *k) {
  json_t *a = manifest_of(k->a), *b = manifest_of(k->b), *value;
  const char *key;
  json_object_foreach(a, key, value) {
    const json_t *other = json_object_get(b, key);
    if (!other || !json_equal(value, other))
      add(k, "manifest", key, weir_arena_printf(&k->c->arena, "%s -> %s", words(k, value), words(k, other)));
  }
  json_object_foreach(b, key, value) {
    if (!json_object_get(a, key))
      add(k, "manifest", key, weir_arena_printf(&k->c->arena, "nothing -> %s", words(k, value)));
  }
  json_decref(a);
  json_decref(b);
}

// The manifest and the weights are looked at more closely.
static bool is_special(const char *name) {
  return !strcmp(name, RT_SECTION_MANIFEST) || !strcmp(name, RT_SECTION_WEIGHTS) ||
         !strcmp(name, RT_SECTION_WEIGHTS_INDEX);
}

static void compare_sections(comparison *k) {
  for (int i = 0; i < rt_package_section_count(k->a); i++) {
    const rt_section *a = rt_package_section(k->a, i), *b = rt_package_find(k->b, a->name);
    if (is_special(a->name)) continue;
    if (!b) add(k, "section", a->name, "only in the first");
    else if (!weir_hash_equal(&a->hash, &b->hash))
      add(k, "section", a->name,
          weir_arena_printf(&k->c->arena, "%zu -> %zu bytes, other content", a->bytes, b->bytes));
  }
  for (int i = 0; i < rt_package_section_count(k->b); i++) {
    const rt_section *b = rt_package_section(k->b, i);
    if (!is_special(b->name) && !rt_package_find(k->a, b->name)) add(k, "section", b->name, "only in the second");
  }
}

static void compare_weights(comparison *k) {
  for (int i = 0; i < rt_package_weight_count(k->a); i++) {
    const rt_package_weight *a = rt_package_weight_at(k->a, i), *b = rt_package_weight_find(k->b, a->key);
    if (!b) {
      add(k, "weight", a->key, "only in the first");
    } else if (strcmp(a->storage, b->storage) || strcmp(a->layout, b->layout) || strcmp(a->dims, b->dims)) {
      add(k, "weight", a->key,
          weir_arena_printf(&k->c->arena, "%s %s %s -> %s %s %s", a->storage, a->layout, a->dims, b->storage, b->layout,
                            b->dims));
    } else if (memcmp(rt_package_weight_data(k->a, a), rt_package_weight_data(k->b, b), (size_t)a->bytes)) {
      add(k, "weight", a->key, "other values");
    }
  }
  for (int i = 0; i < rt_package_weight_count(k->b); i++) {
    const rt_package_weight *b = rt_package_weight_at(k->b, i);
    if (!rt_package_weight_find(k->a, b->key)) add(k, "weight", b->key, "only in the second");
  }
}

int cmd_diff(cli *c) {
  if (!cli_arguments(c, 2, 2)) return CLI_USAGE;
  comparison k = {.c = c, .found = json_array()};
  int code = cli_fail(c, rt_package_open(c->arguments[0], NULL, &k.a));
  if (!code) code = cli_fail(c, rt_package_open(c->arguments[1], NULL, &k.b));
  if (!code) {
    compare_manifests(&k);
    compare_sections(&k);
    compare_weights(&k);
    bool differs = json_array_size(k.found) > 0;
    if (!differs && !c->json) printf("no difference\n");
    if (c->json) code = cli_json(c, json_pack("{s:b,s:O}", "equal", !differs, "differences", k.found));
    if (!code && differs) code = CLI_INPUT;
  }
  json_decref(k.found);
  rt_package_close(k.a);
  rt_package_close(k.b);
  return code;
}
