// Facts about packages.
#include "compiler/driver/package_facts.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/driver/tuning.h"
#include "compiler/plan/example.h"
#include "compiler/plan/home.h"
#include "runtime/base/io.h"
#include "runtime/device/cpu/choice.h"
#include "runtime/exec/from_package.h"
#include "runtime/package/signature.h"

enum { USUAL_SIZE = 128, MOST_SYMBOLS = 32, MOST_REQUESTS = 64 };

// ---- opening

weir_status cli_package_copy(const cli *c, const char *from, const char *to) {
  weir_map map;
  weir_atomic_file file;
  WEIR_TRY(weir_map_open(from, &map));
  weir_status status = weir_atomic_file_open(to, &file);
  if (status) {
    weir_map_close(&map);
    return status;
  }
  enum { PIECE = 8 << 20 };
  for (size_t at = 0; at < map.size && !status; at += PIECE) {
    size_t bytes = map.size - at < PIECE ? map.size - at : PIECE;
    status = weir_atomic_file_write(&file, map.data + at, bytes);
    if (!status && plan_cancelled(c->cancel)) status = weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
  }
  weir_map_close(&map);
  if (!status) return weir_atomic_file_commit(&file);
  weir_atomic_file_discard(&file);
  return status;
}

int cli_package_open(cli *c, const char *path, cli_opened_package *out) {
  *out = (cli_opened_package){.path = path};
  rt_package_options options = {.any_version = true};
  weir_status status = rt_package_open_with(path, &options, &out->package);
  if (!status) return CLI_DONE;
  options.without_weights = true;
  weir_status second = rt_package_open_with(path, &options, &out->package);
  if (second) {
    weir_status_release(second);
    return cli_fail(c, status);
  }
  out->weights_problem = weir_arena_strdup(&c->arena, weir_status_message(status));
  weir_status_release(status);
  return CLI_DONE;
}

void cli_package_close(cli_opened_package *opened) {
  rt_package_close(opened->package);
  opened->package = NULL;
}

json_t *cli_package_manifest(const rt_package *package) {
  const rt_section *section = rt_package_find(package, RT_SECTION_MANIFEST);
  json_error_t error;
  json_t *manifest = json_loadb((const char *)section->data, section->bytes, 0, &error);
  return manifest ? manifest : json_object();
}

// ---- what is in it

static json_t *hash_json(const weir_hash *hash) {
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash_hex(hash, hex);
  return json_string(hex);
}

static json_t *sections_json(const rt_package *package) {
  json_t *list = json_array();
  for (int i = 0; i < rt_package_section_count(package); i++) {
    const rt_section *section = rt_package_section(package, i);
    json_array_append_new(
        list, json_pack("{s:s,s:I,s:I,s:o}", "name", section->name, "offset", (json_int_t)section->offset, "bytes",
                        (json_int_t)section->bytes, "hash", hash_json(&section->hash)));
  }
  return list;
}

static json_t *signature_json(const rt_package *package) {
  const rt_package_signature *signature = rt_package_signed(package);
  weir_hash key;
  if (!signature) return json_null();
  memcpy(key.bytes, signature->key, sizeof key.bytes);
  weir_status wrong = rt_signature_check(package, NULL);
  json_t *json = json_pack("{s:o,s:b}", "key", hash_json(&key), "whole", wrong == NULL);
  weir_status_release(wrong);
  return json;
}

// Number and bytes for each storage and layout, in the order of first use.
static json_t *weights_json(const cli_opened_package *opened) {
  const rt_package *package = opened->package;
  const weir_hash *beside = rt_package_weights_beside(package);
  const char *path = rt_package_weights_path(package);
  json_t *formats = json_object();
  int64_t total = 0;
  for (int i = 0; i < rt_package_weight_count(package); i++) {
    const rt_package_weight *w = rt_package_weight_at(package, i);
    json_t *name = json_sprintf("%s %s", w->storage, w->layout);
    json_t *sum = json_object_get(formats, json_string_value(name));
    json_int_t count = sum ? json_integer_value(json_object_get(sum, "count")) : 0;
    json_int_t bytes = sum ? json_integer_value(json_object_get(sum, "bytes")) : 0;
    json_object_set_new(formats, json_string_value(name),
                        json_pack("{s:I,s:I}", "count", count + 1, "bytes", bytes + (json_int_t)w->bytes));
    json_decref(name);
    total += w->bytes;
  }
  return json_pack("{s:i,s:I,s:s,s:o,s:s?,s:s?,s:o}", "count", rt_package_weight_count(package), "bytes",
                   (json_int_t)total, "place", beside ? "beside" : "inside", "hash",
                   beside ? hash_json(beside) : json_null(), "path", path, "problem", opened->weights_problem,
                   "formats", formats);
}

static json_t *targets_json(const rt_package *package) {
  json_t *list = json_array();
  for (int i = 0; i < rt_package_object_count(package); i++) {
    const rt_package_object *o = rt_package_object_at(package, i);
    bool runs = rt_code_rank(o->isa, o->features) > 0;
    json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:b}", "isa", o->isa, "features", o->features, "bytes",
                                          (json_int_t)o->object->bytes, "runs_here", runs));
  }
  return list;
}

// ---- entries

static int never_runs(void *context, void *const *args, const int64_t *dims, int64_t begin, int64_t end,
                      void *scratch) {
  (void)context, (void)args, (void)dims, (void)begin, (void)end, (void)scratch;
  return 1;
}

static weir_status no_kernel(void *context, const rt_kernel *kernel, rt_kernel_entry *out) {
  (void)context, (void)kernel;
  *out = (rt_kernel_entry){.run = never_runs};
  return WEIR_OK;
}

static weir_status no_code(void *context, const rt_package *package, const char *isa, const weir_allocator *allocator,
                           rt_kernel_provider *out_provider, const char **out_isa) {
  (void)context, (void)package, (void)isa, (void)allocator;
  *out_provider = (rt_kernel_provider){.lookup = no_kernel};
  *out_isa = "none";
  return WEIR_OK;
}

// The value of --size for this symbol, else the usual one; as near as the symbol allows.
static int64_t size_of(cli *c, const weir_entry *entry, int index) {
  const char *name = weir_entry_symbol(entry, index).name;
  size_t length = strlen(name);
  int64_t wanted = USUAL_SIZE;
  for (int i = 0; i < cli_count(c, "size"); i++) {
    const char *text = cli_text_at(c, "size", i);
    if (!strncmp(text, name, length) && text[length] == '=') wanted = strtoll(text + length + 1, NULL, 10);
  }
  return plan_example_size(entry, index, wanted);
}

static json_t *memory_json(const weir_memory *m, json_t *sizes, int64_t requests, int threads) {
  return json_pack("{s:o,s:I,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "sizes", sizes, "requests", (json_int_t)requests,
                   "threads", threads, "weights_bytes", (json_int_t)m->weights_bytes, "arena_bytes",
                   (json_int_t)m->arena_bytes, "state_bytes", (json_int_t)m->state_bytes, "table_bytes",
                   (json_int_t)m->table_bytes, "scratch_bytes", (json_int_t)m->scratch_bytes, "packing_bytes",
                   (json_int_t)m->packing_bytes, "total_bytes", (json_int_t)m->total_bytes);
}

// Null where it cannot be said: of a step that reads what others must write first.
static json_t *memory_of(cli *c, const weir_executor *executor, const weir_entry *entry, int64_t requests) {
  int64_t values[MOST_SYMBOLS], past[MOST_SYMBOLS] = {0};
  weir_extent extents[MOST_REQUESTS];
  weir_memory memory;
  int count = weir_entry_describe(entry).symbol_count;
  if (count > MOST_SYMBOLS) return json_null();
  json_t *sizes = json_object();
  for (int i = 0; i < count; i++) {
    values[i] = size_of(c, entry, i);
    json_object_set_new(sizes, weir_entry_symbol(entry, i).name, json_integer(values[i]));
  }
  for (int64_t i = 0; i < requests; i++) extents[i] = (weir_extent){.values = values, .past = past};
  weir_status status = weir_memory_predict(executor, entry, extents, (int)requests, &memory);
  if (!status) return memory_json(&memory, sizes, requests, weir_executor_threads(executor));
  weir_status_release(status);
  json_decref(sizes);
  return json_null();
}

static json_t *tensor_json(weir_tensor_info t) {
  json_t *json = json_pack("{s:s,s:s,s:s}", "name", t.name, "dtype", weir_dtype_name(t.dtype), "dims", t.dims);
  if (t.lo <= t.hi) {
    json_object_set_new(json, "lo", json_integer(t.lo));
    json_object_set_new(json, "hi", json_integer(t.hi));
  }
  return json;
}

static json_t *symbol_json(weir_symbol_info s) {
  static const char *const roles[] = {"plain", "batch", "seq"};
  return json_pack("{s:s,s:s,s:I,s:I,s:I,s:b}", "name", s.name, "role", roles[s.role], "lo", (json_int_t)s.lo, "hi",
                   (json_int_t)s.hi, "divisor", (json_int_t)s.divisor, "grows", s.grows);
}

static json_t *state_json(weir_state_info s) {
  return json_pack("{s:s,s:s,s:b,s:s?,s:I,s:I}", "path", s.path, "dtype", weir_dtype_name(s.dtype), "rows", s.rows,
                   "symbol", s.symbol, "row_bytes", (json_int_t)s.row_bytes, "window", (json_int_t)s.window);
}

static json_t *entry_json(cli *c, const weir_executor *executor, const weir_entry *entry, int64_t requests) {
  weir_entry_info info = weir_entry_describe(entry);
  json_t *inputs = json_array(), *outputs = json_array(), *symbols = json_array(), *states = json_array();
  for (int i = 0; i < info.input_count; i++) json_array_append_new(inputs, tensor_json(weir_entry_input(entry, i)));
  for (int i = 0; i < info.output_count; i++) json_array_append_new(outputs, tensor_json(weir_entry_output(entry, i)));
  for (int i = 0; i < info.symbol_count; i++) json_array_append_new(symbols, symbol_json(weir_entry_symbol(entry, i)));
  for (int i = 0; i < info.state_count; i++) json_array_append_new(states, state_json(weir_entry_state(entry, i)));
  return json_pack("{s:s,s:b,s:o,s:o,s:o,s:o,s:i,s:o}", "name", info.name, "step", info.step, "inputs", inputs,
                   "outputs", outputs, "symbols", symbols, "states", states, "launches", weir_entry_launch_count(entry),
                   "memory", memory_of(c, executor, entry, requests));
}

static weir_status entries_json(cli *c, const cli_opened_package *opened, int64_t threads, int64_t requests,
                                json_t **out) {
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  rt_package *again = NULL;  // the model closes its own
  rt_package_options how = {.without_weights = opened->weights_problem != NULL};
  weir_load_options load = {0};
  weir_executor_options options = {.threads = (int)threads, .no_pin = true};
  const rt_code_source code = {.open = no_code};
  WEIR_TRY(rt_package_open_with(opened->path, &how, &again));
  WEIR_TRY(rt_model_from_package(again, &load, &code, &model));
  weir_status status = weir_executor_create(model, &options, &executor);
  *out = json_array();
  for (int i = 0; i < weir_model_entry_count(model) && !status; i++)
    json_array_append_new(*out, entry_json(c, executor, weir_model_entry(model, i), requests));
  weir_executor_destroy(executor);
  weir_model_release(model);
  return status;
}

int cli_package_facts(cli *c, const cli_opened_package *opened, json_t **out) {
  const rt_package *package = opened->package;
  int64_t threads = 0, requests = 1;
  json_t *entries = NULL;
  *out = NULL;
  if (!cli_int(c, "threads", 1, 1024, &threads) || !cli_int(c, "requests", 1, MOST_REQUESTS, &requests))
    return CLI_USAGE;
  if (rt_package_version(package) == RT_PACKAGE_VERSION) {
    int code = cli_fail(c, entries_json(c, opened, threads, requests, &entries));
    if (code) return code;
  }
  weir_hash identity = rt_package_identity(package);
  *out = json_pack("{s:o,s:i,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "identity", hash_json(&identity), "version",
                   (int)rt_package_version(package), "bytes", (json_int_t)rt_package_bytes(package), "signature",
                   signature_json(package), "storage", weights_json(opened), "manifest", cli_package_manifest(package),
                   "targets", targets_json(package), "entries", entries ? entries : json_null(), "sections",
                   sections_json(package));
  json_t *tuning = cli_tuning_read(package);
  if (tuning && *out) json_object_set(*out, "tuning", tuning);
  json_decref(tuning);
  return *out ? CLI_DONE : CLI_BUG;
}
