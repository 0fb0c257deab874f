// weir diff: what differs between two packages, by what it means: fields of the manifest, entries and their programs,
// kernels of each level, weights one by one, the tokenizer; everything else section by section.
#include <stdlib.h>
#include <string.h>

#include "codegen/package/symbols.h"
#include "compiler/driver/package_facts.h"
#include "runtime/base/blocks.h"
#include "runtime/base/program.h"
#include "runtime/text/tokenizer.h"

typedef struct {
  cli *c;
  const rt_package *a, *b;
  json_t *found;
} comparison;

static void add(comparison *k, const char *what, const char *name, const char *how) {
  json_array_append_new(k->found, json_pack("{s:s,s:s,s:s}", "kind", what, "name", name, "difference", how));
  if (!k->c->json) printf("%-10s %-50s %s\n", what, name, how);
}

static const char *words(comparison *k, const json_t *value) {
  char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  const char *copy = weir_arena_strdup(&k->c->arena, text ? text : "nothing");
  free(text);
  return copy;
}

// Appends ", a -> b" to |text| where they differ.
static const char *add_change(comparison *k, const char *text, const char *what, int64_t a, int64_t b) {
  if (a == b) return text;
  return weir_arena_printf(&k->c->arena, "%s%s%s %lld -> %lld", text, *text ? ", " : "", what, (long long)a,
                           (long long)b);
}

// ---- manifest

static void compare_manifests(comparison *k) {
  json_t *a = cli_package_manifest(k->a), *b = cli_package_manifest(k->b), *value;
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

// ---- programs

// The lines of a program's text that say what it takes and gives.
static const char *interface_of(comparison *k, const rt_section *section) {
  const char *text = "", *at = (const char *)section->data, *end = at + section->bytes;
  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    size_t length = stop ? (size_t)(stop - at) : (size_t)(end - at);
    bool wanted = (length > 6 && !memcmp(at, "input ", 6)) || (length > 7 && !memcmp(at, "output ", 7));
    if (wanted) text = weir_arena_printf(&k->c->arena, "%s%s%.*s", text, *text ? "; " : "", (int)length, at);
    at += length + (stop != NULL);
  }
  return text;
}

static const char *interface_change(comparison *k, const rt_section *a, const rt_section *b) {
  const char *old = interface_of(k, a), *new = interface_of(k, b);
  return strcmp(old, new) ? weir_arena_printf(&k->c->arena, "%s -> %s", old, new) : "";
}

static const char *program_change(comparison *k, const char *how, const rt_program *a, const rt_program *b) {
  how = add_change(k, how, "launches", a->launch_count, b->launch_count);
  how = add_change(k, how, "kernels", a->kernel_count, b->kernel_count);
  how = add_change(k, how, "weights", a->weight_count, b->weight_count);
  how = add_change(k, how, "states", a->state_count, b->state_count);
  how = add_change(k, how, "buffers", a->buffer_count, b->buffer_count);
  return *how ? how : "the same shape, other kernels, sizes or places";
}

static void compare_program_sections(comparison *k, const rt_section *a, const rt_section *b) {
  rt_program *programs[2] = {NULL, NULL};
  const char *entry = a->name + strlen(RT_SECTION_PROGRAM);
  weir_status status = rt_program_parse(&k->c->arena, (const char *)a->data, a->bytes, &programs[0]);
  if (!status) status = rt_program_parse(&k->c->arena, (const char *)b->data, b->bytes, &programs[1]);
  if (status) add(k, "program", entry, "other text, of which one cannot be read");
  else add(k, "program", entry, program_change(k, interface_change(k, a, b), programs[0], programs[1]));
  weir_status_release(status);
}

// ---- kernels of a level

static void compare_objects(comparison *k, const rt_section *a, const rt_section *b) {
  cg_symbol *x, *y;
  int x_count, y_count, gone = 0, new = 0, resized = 0;
  const char *level = a->name + strlen(RT_SECTION_OBJECT);
  weir_status status = cg_object_symbols(&k->c->arena, a->data, a->bytes, &x, &x_count);
  if (!status) status = cg_object_symbols(&k->c->arena, b->data, b->bytes, &y, &y_count);
  if (status) {
    weir_status_release(status);
    add(k, "kernels", level, "other bytes, which are no code object");
    return;
  }
  for (int i = 0, j = 0; i < x_count || j < y_count;) {
    int order = i == x_count ? 1 : j == y_count ? -1 : strcmp(x[i].name, y[j].name);
    gone += order < 0;
    new += order > 0;
    resized += !order && x[i].bytes != y[j].bytes;
    i += order <= 0;
    j += order >= 0;
  }
  bool same = !gone && !new && !resized;
  add(k, "kernels", level,
      weir_arena_printf(&k->c->arena, "%d -> %d: %d only in the first, %d only in the second, %d of another size%s",
                        x_count, y_count, gone, new, resized, same ? "; other instructions" : ""));
}

// ---- tokenizer

static bool view_equal(text_view a, text_view b) {
  return a.size == b.size && (!a.size || !memcmp(a.bytes, b.bytes, a.size));
}

static const char *tokenizer_change(comparison *k, const text_tokenizer *a, const text_tokenizer *b) {
  int32_t x = text_tokenizer_vocab_size(a), y = text_tokenizer_vocab_size(b), changed = 0;
  const char *how = add_change(k, "", "tokens", x, y);
  for (int32_t id = 0; id < x && id < y; id++)
    changed += !view_equal(text_tokenizer_token_bytes(a, id), text_tokenizer_token_bytes(b, id));
  if (changed) how = weir_arena_printf(&k->c->arena, "%s%s%d tokens changed", how, *how ? ", " : "", changed);
  if (!view_equal(text_tokenizer_chat_template(a), text_tokenizer_chat_template(b)))
    how = weir_arena_printf(&k->c->arena, "%s%sanother chat template", how, *how ? ", " : "");
  return *how ? how : "the same tokens and template; merges, types or special ids differ";
}

static void compare_tokenizers(comparison *k, const rt_section *a, const rt_section *b) {
  text_tokenizer *x = NULL, *y = NULL;
  weir_status status = text_tokenizer_open(a->data, a->bytes, &x);
  if (!status) status = text_tokenizer_open(b->data, b->bytes, &y);
  add(k, "tokenizer", a->name, status ? "other bytes, which are no tokenizer" : tokenizer_change(k, x, y));
  weir_status_release(status);
  text_tokenizer_release(x);
  text_tokenizer_release(y);
}

// ---- sections

// The manifest and the weights are looked at more closely.
static bool is_special(const char *name) {
  return !strcmp(name, RT_SECTION_MANIFEST) || !strcmp(name, RT_SECTION_WEIGHTS) ||
         !strcmp(name, RT_SECTION_WEIGHTS_INDEX);
}

static bool begins_with(const char *text, const char *prefix) { return !strncmp(text, prefix, strlen(prefix)); }

static void compare_section(comparison *k, const rt_section *a, const rt_section *b) {
  if (weir_hash_equal(&a->hash, &b->hash)) return;
  if (begins_with(a->name, RT_SECTION_PROGRAM)) compare_program_sections(k, a, b);
  else if (begins_with(a->name, RT_SECTION_OBJECT)) compare_objects(k, a, b);
  else if (!strcmp(a->name, RT_SECTION_TOKENIZER)) compare_tokenizers(k, a, b);
  else
    add(k, "section", a->name, weir_arena_printf(&k->c->arena, "%zu -> %zu bytes, other content", a->bytes, b->bytes));
}

static void compare_sections(comparison *k) {
  for (int i = 0; i < rt_package_section_count(k->a); i++) {
    const rt_section *a = rt_package_section(k->a, i), *b = rt_package_find(k->b, a->name);
    if (is_special(a->name)) continue;
    if (b) compare_section(k, a, b);
    else add(k, "section", a->name, "only in the first");
  }
  for (int i = 0; i < rt_package_section_count(k->b); i++) {
    const rt_section *b = rt_package_section(k->b, i);
    if (!is_special(b->name) && !rt_package_find(k->a, b->name)) add(k, "section", b->name, "only in the second");
  }
}

// ---- weights

// How many elements, of blocks bytes, are not the same; both have the same storage, layout and dims.
static const char *values_change(comparison *k, const rt_package_weight *w, const uint8_t *a, const uint8_t *b) {
  weir_storage storage;
  int64_t unit = 1, changed = 0;
  bool elements = weir_storage_from_name(w->storage, &storage) && !weir_storage_has_codes(storage);
  if (elements) unit = (int64_t)weir_storage_info(storage)->block_bytes;
  if (!memcmp(a, b, (size_t)w->bytes)) return NULL;
  for (int64_t at = 0; at + unit <= w->bytes; at += unit) changed += memcmp(a + at, b + at, (size_t)unit) != 0;
  return weir_arena_printf(&k->c->arena, "%lld of %lld %s changed", (long long)changed, (long long)(w->bytes / unit),
                           elements ? "elements" : "bytes");
}

static const char *weight_change(comparison *k, const rt_package_weight *a, const rt_package_weight *b) {
  if (strcmp(a->storage, b->storage) || strcmp(a->layout, b->layout) || strcmp(a->dims, b->dims))
    return weir_arena_printf(&k->c->arena, "%s %s %s -> %s %s %s", a->storage, a->layout, a->dims, b->storage,
                             b->layout, b->dims);
  if (a->bytes != b->bytes)
    return weir_arena_printf(&k->c->arena, "%lld -> %lld bytes", (long long)a->bytes, (long long)b->bytes);
  if (rt_package_version(k->a) != rt_package_version(k->b) && strcmp(a->layout, "plain"))
    return "laid out as another format does; not compared";
  return values_change(k, a, rt_package_weight_data(k->a, a), rt_package_weight_data(k->b, b));
}

static bool same_weights(const comparison *k) {
  const rt_section *a = rt_package_weights(k->a), *b = rt_package_weights(k->b);
  return a && b && a->bytes == b->bytes && weir_hash_equal(&a->hash, &b->hash);
}

static void compare_weights(comparison *k) {
  bool same = same_weights(k) && rt_package_version(k->a) == rt_package_version(k->b);
  for (int i = 0; i < rt_package_weight_count(k->a); i++) {
    const rt_package_weight *a = rt_package_weight_at(k->a, i), *b = rt_package_weight_find(k->b, a->key);
    if (same && b && a->offset == b->offset && !strcmp(a->dims, b->dims) && !strcmp(a->storage, b->storage)) continue;
    const char *how = b ? weight_change(k, a, b) : "only in the first";
    if (how) add(k, "weight", a->key, how);
  }
  for (int i = 0; i < rt_package_weight_count(k->b); i++) {
    const rt_package_weight *b = rt_package_weight_at(k->b, i);
    if (!rt_package_weight_find(k->a, b->key)) add(k, "weight", b->key, "only in the second");
  }
}

static int compare(comparison *k) {
  compare_manifests(k);
  compare_sections(k);
  compare_weights(k);
  bool differs = json_array_size(k->found) > 0;
  if (!differs && !k->c->json) printf("no difference\n");
  int code = k->c->json ? cli_json(k->c, json_pack("{s:b,s:O}", "equal", !differs, "differences", k->found)) : CLI_DONE;
  return !code && differs ? CLI_INPUT : code;
}

int cmd_diff(cli *c) {
  if (!cli_arguments(c, 2, 2)) return CLI_USAGE;
  cli_opened_package a = {0}, b = {0};
  int code = cli_package_open(c, c->arguments[0], &a);
  if (!code) code = cli_package_open(c, c->arguments[1], &b);
  const char *problem = a.weights_problem ? a.weights_problem : b.weights_problem;
  if (!code && problem) {
    cli_error(c, "%s", problem);
    code = CLI_WORLD;
  }
  comparison k = {.c = c, .a = a.package, .b = b.package, .found = json_array()};
  if (!code) code = compare(&k);
  json_decref(k.found);
  cli_package_close(&a);
  cli_package_close(&b);
  return code;
}
