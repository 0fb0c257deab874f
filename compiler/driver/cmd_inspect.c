// weir inspect: what is in a package. The facts are one document (package_facts.h); as text it is laid out here.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/package_facts.h"
#include "compiler/driver/tuning.h"

enum { HASH_SHOWN = 16 };

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static double number_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static void print_line(const char *name, const json_t *value) {
  char *text = json_dumps(value, JSON_ENCODE_ANY);
  if (text) printf("%-14s %s\n", name, json_is_string(value) ? json_string_value(value) : text);
  free(text);
}

// ---- parts of the text

static void print_head(cli *c, const json_t *facts) {
  const json_t *signature = json_object_get(facts, "signature"), *weights = json_object_get(facts, "storage");
  printf("%-14s %s\n", "identity", text_of(facts, "identity"));
  printf("%-14s %s, format %.0f\n", "size", cli_bytes(&c->arena, number_of(facts, "bytes")),
         number_of(facts, "version"));
  if (json_is_null(signature)) printf("%-14s none\n", "signature");
  else
    printf("%-14s ed25519, %s, by %s\n", "signature",
           json_is_true(json_object_get(signature, "whole")) ? "whole" : "WRONG", text_of(signature, "key"));
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(facts, "manifest"), key, value) {
    static const char *const elsewhere[] = {"format", "entries", "objects", "weights"};
    bool shown = false;
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) shown |= !strcmp(key, elsewhere[i]);
    if (!shown) print_line(key, value);
  }
  printf("%-14s %.0f, %s, %s %s\n", "weights", number_of(weights, "count"),
         cli_bytes(&c->arena, number_of(weights, "bytes")), text_of(weights, "place"), text_of(weights, "path"));
  if (*text_of(weights, "problem")) printf("%-14s %s\n", "", text_of(weights, "problem"));
  json_object_foreach(json_object_get(weights, "formats"), key, value) {
    printf("  %-20s %6.0f %12s\n", key, number_of(value, "count"), cli_bytes(&c->arena, number_of(value, "bytes")));
  }
}

static void print_targets(cli *c, const json_t *facts) {
  size_t i;
  json_t *target;
  printf("\n%-14s %12s  %-10s features\n", "target", "code", "here");
  json_array_foreach(json_object_get(facts, "targets"), i, target) {
    printf("%-14s %12s  %-10s %s\n", text_of(target, "isa"), cli_bytes(&c->arena, number_of(target, "bytes")),
           json_is_true(json_object_get(target, "runs_here")) ? "runs" : "does not", text_of(target, "features"));
  }
}

static void print_tensor(const json_t *tensor) {
  printf("%s: %s", text_of(tensor, "name"), text_of(tensor, "dtype"));
  if (*text_of(tensor, "dims")) printf("[%s]", text_of(tensor, "dims"));
  if (json_object_get(tensor, "lo"))
    printf(" in %lld..=%lld", (long long)json_integer_value(json_object_get(tensor, "lo")),
           (long long)json_integer_value(json_object_get(tensor, "hi")));
}

static void print_tensors(const json_t *list) {
  size_t i;
  json_t *tensor;
  json_array_foreach(list, i, tensor) {
    if (i) printf(", ");
    print_tensor(tensor);
  }
}

static void print_memory(cli *c, const json_t *memory) {
  const char *key;
  json_t *value;
  if (!json_is_object(memory)) {
    printf("  memory   depends on the steps before it\n");
    return;
  }
  printf("  memory   %s", cli_bytes(&c->arena, number_of(memory, "total_bytes")));
  const char *before = " at ";
  json_object_foreach(json_object_get(memory, "sizes"), key, value) {
    printf("%s%s=%lld", before, key, (long long)json_integer_value(value));
    before = " ";
  }
  printf(", %.0f request%s, %.0f thread%s: weights %s, temporaries %s, state %s, scratch %s\n",
         number_of(memory, "requests"), number_of(memory, "requests") > 1 ? "s" : "", number_of(memory, "threads"),
         number_of(memory, "threads") > 1 ? "s" : "", cli_bytes(&c->arena, number_of(memory, "weights_bytes")),
         cli_bytes(&c->arena, number_of(memory, "arena_bytes")), cli_bytes(&c->arena, number_of(memory, "state_bytes")),
         cli_bytes(&c->arena, number_of(memory, "scratch_bytes")));
}

static void print_entry(cli *c, const json_t *entry) {
  size_t i;
  json_t *item;
  printf("\n%s %s(", json_is_true(json_object_get(entry, "step")) ? "step" : "entry", text_of(entry, "name"));
  print_tensors(json_object_get(entry, "inputs"));
  printf(") -> (");
  print_tensors(json_object_get(entry, "outputs"));
  printf(")\n");
  json_array_foreach(json_object_get(entry, "symbols"), i, item) {
    printf("  dim      %s: %s in %.0f..=%.0f", text_of(item, "name"), text_of(item, "role"), number_of(item, "lo"),
           number_of(item, "hi"));
    if (number_of(item, "divisor") > 1) printf(", a multiple of %.0f", number_of(item, "divisor"));
    printf("%s\n", json_is_true(json_object_get(item, "grows")) ? ", grows" : "");
  }
  const json_t *states = json_object_get(entry, "states");
  double row_bytes = 0;
  json_array_foreach(states, i, item) row_bytes += number_of(item, "row_bytes");
  if (json_array_size(states))
    printf("  states   %zu, %s a row or block\n", json_array_size(states), cli_bytes(&c->arena, row_bytes));
  printf("  launches %.0f\n", number_of(entry, "launches"));
  print_memory(c, json_object_get(entry, "memory"));
}

static void print_sections(const json_t *facts) {
  size_t i;
  json_t *section;
  printf("\n%-34s %12s  hash\n", "section", "bytes");
  json_array_foreach(json_object_get(facts, "sections"), i, section) {
    printf("%-34s %12.0f  %.*s\n", text_of(section, "name"), number_of(section, "bytes"), HASH_SHOWN,
           text_of(section, "hash"));
  }
}

static void print_tuning_line(void *user, const char *text) {
  (void)user;
  printf("%s\n", text);
}

static void print_tuning(cli *c, const json_t *facts) {
  const json_t *tuning = json_object_get(facts, "tuning");
  if (!tuning) return;
  printf("\ntuned: ");
  cli_tuning_lines(&c->arena, tuning, c->verbose, print_tuning_line, NULL);
}

static int inspect_text(cli *c, const json_t *facts) {
  size_t i;
  json_t *entry;
  print_head(c, facts);
  print_targets(c, facts);
  print_tuning(c, facts);
  if (json_is_null(json_object_get(facts, "entries")))
    printf("\nentries are those of an older format; 'weir upgrade' makes a current package of it\n");
  json_array_foreach(json_object_get(facts, "entries"), i, entry) print_entry(c, entry);
  print_sections(facts);
  return CLI_DONE;
}

// ---- the list of weights

static json_t *weight_list(const rt_package *package) {
  json_t *list = json_array();
  for (int i = 0; i < rt_package_weight_count(package); i++) {
    const rt_package_weight *w = rt_package_weight_at(package, i);
    json_array_append_new(
        list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "key", w->key, "storage", w->storage, "layout", w->layout, "dims",
                        w->dims, "offset", (json_int_t)w->offset, "bytes", (json_int_t)w->bytes));
  }
  return list;
}

static void print_weights(const rt_package *package) {
  for (int i = 0; i < rt_package_weight_count(package); i++) {
    const rt_package_weight *w = rt_package_weight_at(package, i);
    printf("%s%-56s %-6s %-6s %-14s %12lld\n", i ? "" : "\n", w->key, w->storage, w->layout, w->dims,
           (long long)w->bytes);
  }
}

static int print_section(cli *c, const rt_package *package, const char *name) {
  const rt_section *section = rt_package_find(package, name);
  if (!section) return cli_error(c, "the package has no section '%s'", name);
  int code = cli_fail(c, rt_package_check(package, section));
  if (!code) cli_write((const char *)section->data, section->bytes);
  return code;
}

int cmd_inspect(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  cli_opened_package opened;
  json_t *facts = NULL;
  const char *section = cli_text(c, "section");
  int code = cli_package_open(c, c->arguments[0], &opened);
  if (code) return code;
  if (section) {
    code = print_section(c, opened.package, section);
  } else {
    code = cli_package_facts(c, &opened, &facts);
    bool list = cli_has(c, "list_weights");
    if (!code && c->json) {
      if (list) json_object_set_new(facts, "weights", weight_list(opened.package));
      code = cli_json(c, json_incref(facts));
    } else if (!code) {
      code = inspect_text(c, facts);
      if (list) print_weights(opened.package);
    }
  }
  json_decref(facts);
  cli_package_close(&opened);
  return code;
}
