// The way back from a package.
//
// Texts are stored in the order in which they were first used, under the last part of their paths. Following the same
// `use` lines in the same order tells which text is which; they then stand in for files (lang_overlay), below a folder
// that does not exist.
#include "compiler/plan/from_package.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/lang/files.h"
#include "compiler/lang/parse.h"
#include "compiler/plan/panel1.h"
#include "runtime/base/checked.h"

#define BAD(...) weir_status_make(WEIR_CODE_INVALID_DATA, __VA_ARGS__)

static const char nowhere[] = "/package";  // where the texts stand, for messages and relative uses

// ---- texts

typedef struct {
  plan_unit *unit;
  const lang_search *search;
  const rt_section **sections;  // in their order
  int section_count;
  lang_overlay *overlays;  // |count| are known
  int count;
} replay;

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// The name behind "source/N-".
static const char *stored_base(const rt_section *section) {
  const char *name = section->name + strlen(RT_SECTION_SOURCE), *dash = strchr(name, '-');
  return dash ? dash + 1 : name;
}

// Whether the writer would have called a text of this path so: long names lose their beginning, odd letters become '_'.
static bool base_fits(const char *stored, const char *path) {
  const char *base = base_of(path);
  size_t a = strlen(stored), b = strlen(base);
  if (a > b) return false;
  for (size_t i = 0; i < a; i++) {
    char letter = base[b - a + i];
    if (stored[i] != letter && stored[i] != '_') return false;
  }
  return true;
}

// The next section is the text at |path|, unless that is known.
static weir_status path_take(replay *r, const char *path) {
  for (int i = 0; i < r->count; i++)
    if (!strcmp(r->overlays[i].path, path)) return WEIR_OK;
  if (r->count == r->section_count) return BAD("the package lacks the text '%s', which it uses", base_of(path));
  const rt_section *section = r->sections[r->count];
  if (!base_fits(stored_base(section), path))
    return BAD("section '%s' is not the text '%s' that is used at its place", section->name, base_of(path));
  const char *text = weir_arena_strndup(r->unit->arena, (const char *)section->data, section->bytes);
  r->overlays[r->count++] = (lang_overlay){path, text, section->bytes};
  return WEIR_OK;
}

static weir_status use_take(replay *r, const char *user, const lang_use *use) {
  weir_arena *arena = r->unit->arena;
  if (!use->is_path) {
    const char *slash = strrchr(user, '/');
    bool absolute = use->file[0] == '/';
    return path_take(r, absolute ? weir_arena_strdup(arena, use->file)
                                 : weir_arena_printf(arena, "%.*s/%s", (int)(slash - user), user, use->file));
  }
  if (!r->search->count) return BAD("the text uses %s, and no folder of models is known", use->path.text);
  char *path = weir_arena_printf(arena, "%s/%s.weir", r->search->folders[0], use->path.text);
  for (char *p = path + strlen(r->search->folders[0]); p < path + strlen(path) - strlen(".weir"); p++)
    if (*p == '.') *p = '/';
  return path_take(r, path);
}

// Uses of the texts that are known, which makes more known. Mistakes of the texts are found by the load that follows.
static weir_status uses_follow(replay *r) {
  for (int i = 0; i < r->count; i++) {
    lang_diags diags;
    lang_source *source;
    lang_diags_init(&diags, r->unit->arena);
    const lang_overlay *text = &r->overlays[i];
    WEIR_TRY(lang_source_make(r->unit->arena, 1, text->path, text->text, text->length, &source));
    lang_diags_source_add(&diags, source);
    const lang_file *file = lang_parse(r->unit->arena, source, &diags);
    for (int k = 0; k < file->items.count; k++) {
      if (file->items.data[k]->kind == LANG_ITEM_USE) WEIR_TRY(use_take(r, text->path, &file->items.data[k]->use));
    }
  }
  return WEIR_OK;
}

static weir_status sections_find(replay *r, const rt_package *package) {
  int most = rt_package_section_count(package);
  r->sections = WEIR_NEW_ARRAY(r->unit->arena, const rt_section *, most + 1);
  r->overlays = WEIR_NEW_ARRAY(r->unit->arena, lang_overlay, most + 1);
  for (int i = 0; i < most; i++) {
    const rt_section *section = rt_package_section(package, i);
    if (strncmp(section->name, RT_SECTION_SOURCE, strlen(RT_SECTION_SOURCE))) continue;
    WEIR_TRY(rt_package_check(package, section));
    r->sections[r->section_count++] = section;
  }
  return r->section_count ? WEIR_OK : BAD("the package has no texts");
}

weir_status plan_package_texts(plan_unit *unit, const rt_package *package, const lang_search *search) {
  replay r = {.unit = unit, .search = search};
  WEIR_TRY(sections_find(&r, package));
  WEIR_TRY(path_take(&r, weir_arena_printf(unit->arena, "%s/%s", nowhere, stored_base(r.sections[0]))));
  WEIR_TRY(uses_follow(&r));
  lang_search with = *search;
  with.overlays = r.overlays;
  with.overlay_count = r.count;
  return lang_load_text(unit->arena, r.overlays[0].path, r.overlays[0].text, r.overlays[0].length, &with, unit->diags,
                        &unit->program);
}

// ---- weights

typedef struct {
  plan_unit *unit;
  const rt_package *package;
  import_tensor *tensors;
  int count, capacity;
} unpacking;

static weir_status dims_read(const rt_package_weight *w, import_tensor *out) {
  out->elements = 1;
  for (const char *at = w->dims; *at && strcmp(w->dims, "-");) {
    char *end;
    int64_t size = strtoll(at, &end, 10);
    if (out->rank == IMPORT_MAX_RANK || !weir_mul_i64(out->elements, size, &out->elements))
      return BAD("weight '%s': dims %s", w->key, w->dims);
    out->dims[out->rank++] = size;
    at = *end == 'x' ? end + 1 : end;
  }
  return WEIR_OK;
}

// Rows as a checkpoint has them, |*out| in the unit's arena or in the package.
static weir_status rows_of(unpacking *u, const rt_package_weight *w, const import_tensor *tensor, const uint8_t *data,
                           const uint8_t **out) {
  int64_t row_bytes, cols = tensor->rank ? tensor->dims[tensor->rank - 1] : 1;
  int64_t rows = cols ? tensor->elements / cols : 0, panel_rows, bytes;
  *out = data;
  if (!strcmp(w->layout, "plain")) return tensor->bytes <= w->bytes ? WEIR_OK : BAD("weight '%s': bytes", w->key);
  if (strcmp(w->layout, "panel") || tensor->rank != 2 || !plan_panel1_supports(tensor->storage))
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "weight '%s' lies as '%s %s', of which there is no way back", w->key,
                            w->storage, w->layout);
  WEIR_TRY(weir_storage_row_bytes(tensor->storage, cols, &row_bytes));
  if (!weir_round_up_i64(rows, 16, &panel_rows) || !weir_mul_i64(panel_rows, row_bytes, &bytes) || bytes > w->bytes)
    return BAD("weight '%s': bytes", w->key);
  uint8_t *unpacked = weir_arena_alloc(u->unit->arena, (size_t)tensor->bytes);
  plan_panel1_unpack(tensor->storage, data, rows, cols, unpacked);
  *out = unpacked;
  return WEIR_OK;
}

static weir_status tensor_add(unpacking *u, const rt_package_weight *w, const char *path, import_tensor tensor,
                              const uint8_t *data) {
  tensor.name = path;
  int64_t cols = tensor.rank ? tensor.dims[tensor.rank - 1] : 1, row_bytes = 0;
  WEIR_TRY(weir_storage_row_bytes(tensor.storage, cols, &row_bytes));
  if (!weir_mul_i64(row_bytes, cols ? tensor.elements / cols : 0, &tensor.bytes)) return BAD("weight '%s'", w->key);
  WEIR_TRY(rows_of(u, w, &tensor, data, &tensor.data));
  WEIR_PUSH(u->unit->arena, u->tensors, u->count, u->capacity, tensor);
  return WEIR_OK;
}

// The same weight may lie in two layouts, or in a group and alone: the first one counts.
static int by_name(const void *a, const void *b, void *tensors) {
  const import_tensor *t = tensors;
  int x = *(const int *)a, y = *(const int *)b, order = strcmp(t[x].name, t[y].name);
  return order ? order : x - y;
}

static void doubles_drop(unpacking *u) {
  int *order = WEIR_NEW_ARRAY(u->unit->arena, int, u->count + 1), kept = 0;
  bool *again = WEIR_NEW_ARRAY(u->unit->arena, bool, u->count + 1);
  for (int i = 0; i < u->count; i++) order[i] = i;
  if (u->count) qsort_r(order, (size_t)u->count, sizeof *order, by_name, u->tensors);
  for (int i = 1; i < u->count; i++)
    again[order[i]] = !strcmp(u->tensors[order[i - 1]].name, u->tensors[order[i]].name);
  for (int i = 0; i < u->count; i++)
    if (!again[i]) u->tensors[kept++] = u->tensors[i];
  u->count = kept;
}

// ---- weights among which a program chooses: FIRST.allN-HASH, where paths differ in one number

static unsigned hash_of(weir_arena *arena, const char *head, int64_t index, const char *tail, int count) {
  uint64_t hash = 14695981039346656037u;
  for (int i = 0; i < count; i++) {
    const char *path = weir_arena_printf(arena, "%s%lld%s", head, (long long)index + i, tail);
    for (; *path; path++) hash = (hash ^ (unsigned char)*path) * 1099511628211u;
  }
  return (unsigned)(hash ^ hash >> 32);
}

static weir_status group_unpack(unpacking *u, const rt_package_weight *w, const import_tensor *whole, const char *head,
                                int64_t index, const char *tail, int count) {
  import_tensor part = *whole;
  part.rank--;
  part.elements = whole->elements / count;
  memmove(part.dims, whole->dims + 1, (size_t)part.rank * sizeof part.dims[0]);
  rt_package_weight one = *w;
  one.bytes = w->bytes / count;
  const uint8_t *data = rt_package_weight_data(u->package, w);
  for (int i = 0; i < count; i++) {
    const char *path = weir_arena_printf(u->unit->arena, "%s%lld%s", head, (long long)index + i, tail);
    WEIR_TRY(tensor_add(u, &one, path, part, data + i * one.bytes));
  }
  return WEIR_OK;
}

// |first| is the path before ".all". The number that changes is found by the hash.
static weir_status group_take(unpacking *u, const rt_package_weight *w, const import_tensor *whole, const char *first,
                              const char *suffix) {
  weir_arena *arena = u->unit->arena;
  char *end;
  long count = strtol(suffix, &end, 10);
  unsigned wanted = *end == '-' ? (unsigned)strtoul(end + 1, NULL, 16) : 0;
  if (count < 1 || count > 1 << 16 || whole->rank < 1 || whole->dims[0] != count) return BAD("weight '%s'", w->key);
  for (const char *at = first; *at; at++) {
    bool index = at > first && (at[-1] == '.' || at[-1] == '[') && *at >= '0' && *at <= '9';
    if (!index) continue;
    int64_t number = strtoll(at, &end, 10);
    const char *head = weir_arena_strndup(arena, first, (size_t)(at - first));
    if (hash_of(arena, head, number, end, (int)count) == wanted)
      return group_unpack(u, w, whole, head, number, end, (int)count);
  }
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "weight '%s': which %ld weights it holds is not told", w->key, count);
}

// Where ".allN-HASH" begins at the end of |key|; null if it does not end so.
static const char *group_suffix(const char *key) {
  const char *dash = strrchr(key, '-'), *at = dash;
  if (!dash || strlen(dash + 1) != 8 || strspn(dash + 1, "0123456789abcdef") != 8) return NULL;
  while (at > key && at[-1] >= '0' && at[-1] <= '9') at--;
  return at < dash && at - key >= 4 && !strncmp(at - 4, ".all", 4) ? at - 4 : NULL;
}

static weir_status weight_take(unpacking *u, const rt_package_weight *w) {
  import_tensor tensor = {0};
  WEIR_TRY(dims_read(w, &tensor));
  if (!weir_storage_from_name(w->storage, &tensor.storage)) return BAD("weight '%s': storage %s", w->key, w->storage);
  const char *group = group_suffix(w->key), *colon = strchr(w->key, ':');
  size_t length = group ? (size_t)(group - w->key) : colon ? (size_t)(colon - w->key) : strlen(w->key);
  const char *path = weir_arena_strndup(u->unit->arena, w->key, length);
  if (group) return group_take(u, w, &tensor, path, group + 4);
  return tensor_add(u, w, path, tensor, rt_package_weight_data(u->package, w));
}

weir_status plan_package_weights(plan_unit *unit, const rt_package *package) {
  unpacking u = {.unit = unit, .package = package};
  const rt_section *weights = rt_package_weights(package);
  if (!weights && rt_package_weight_count(package)) return BAD("the weights of the package were not opened");
  if (weights) WEIR_TRY(rt_package_check(package, weights));
  for (int i = 0; i < rt_package_weight_count(package); i++)
    WEIR_TRY(weight_take(&u, rt_package_weight_at(package, i)));
  doubles_drop(&u);
  return import_checkpoint_of_tensors(unit->arena, "the package's weights", u.tensors, (size_t)u.count,
                                      &unit->checkpoint);
}

static bool shape_fits(const lang_weight *weight, const import_tensor *tensor) {
  if (weight->type.rank != tensor->rank) return false;
  for (int i = 0; i < tensor->rank; i++) {
    int64_t size;
    if (!ir_dim_is_const(weight->type.dims[i], &size) || size != tensor->dims[i]) return false;
  }
  return true;
}

weir_status plan_package_bind(plan_unit *unit) {
  int count = unit->graph->weight_count;
  const lang_tensor_source **sources = WEIR_NEW_ARRAY(unit->arena, const lang_tensor_source *, count + 1);
  for (int i = 0; i < count; i++) {
    const lang_weight *weight = &unit->graph->weights[i];
    const import_tensor *tensor = import_checkpoint_tensor(unit->checkpoint, weight->path);
    if (!tensor && !weight->used) continue;
    if (!tensor) return BAD("the package lacks weight '%s' of its own model", weight->path);
    if (!shape_fits(weight, tensor))
      return BAD("weight '%s' of the package has another shape than its model says", weight->path);
    lang_tensor_source *source = WEIR_NEW(unit->arena, lang_tensor_source);
    source->kind = LANG_SOURCE_TENSOR;
    source->name = weight->path;
    sources[i] = source;
  }
  unit->sources = sources;
  return WEIR_OK;
}

// ---- manifest

json_t *plan_package_manifest_read(const rt_package *package) {
  const rt_section *section = rt_package_find(package, RT_SECTION_MANIFEST);  // opening has read it
  json_error_t error;
  return json_loadb((const char *)section->data, section->bytes, 0, &error);
}

bool plan_package_float(const rt_package *package, ir_dtype *out_dtype) {
  json_t *manifest = plan_package_manifest_read(package);
  const char *name = json_string_value(json_object_get(manifest, "float"));
  bool found = name && ir_dtype_find(name, out_dtype);
  json_decref(manifest);
  return found;
}

static weir_status settings_check(const json_t *old, const json_t *manifest) {
  const char *key;
  json_t *value;
  const json_t *made = json_object_get(manifest, "settings");
  json_object_foreach(json_object_get(old, "settings"), key, value) {
    if (!json_equal(value, json_object_get(made, key)))
      return BAD("parameter '%s' of the model has another value than the package was built with", key);
  }
  return WEIR_OK;
}

weir_status plan_package_manifest(const rt_package *package, json_t *manifest) {
  static const char *const kept[] = {"bind", "checkpoint", "random", "tokenizer_problem"};
  json_t *old = plan_package_manifest_read(package);
  json_object_del(manifest, "checkpoint");
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
    json_t *value = json_object_get(old, kept[i]);
    if (value) json_object_set(manifest, kept[i], value);
  }
  json_object_set_new(manifest, "upgraded_from", json_integer((json_int_t)rt_package_version(package)));
  weir_status status = settings_check(old, manifest);
  json_decref(old);
  return status;
}
