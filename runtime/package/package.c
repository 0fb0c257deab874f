// Opening a package and looking things up in it.
//
// The layout leaves no freedom (format.h), so one walk over the table proves that all sections are inside the file,
// aligned and apart.
#include "runtime/package/package.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/program.h"
#include "runtime/package/package_internal.h"
#include "runtime/package/signature.h"

#define BAD(...) weir_status_make(WEIR_CODE_INVALID_DATA, __VA_ARGS__)

bool rt_package_name_valid(const char *name) {
  const char *part = name;
  if (strlen(name) >= RT_PACKAGE_NAME_BYTES) return false;
  for (const char *p = name;; p++) {
    bool word =
        (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || (*p && strchr("._+-", *p));
    if (word) continue;
    if (*p && *p != '/') return false;
    size_t length = (size_t)(p - part);
    if (!length || (length <= 2 && !strncmp(part, "..", length))) return false;
    if (!*p) return true;
    part = p + 1;
  }
}

// ---- opening

static weir_status header_check(const rt_package *package, const rt_package_header *header) {
  if (memcmp(header->magic, RT_PACKAGE_MAGIC, sizeof header->magic)) return BAD("not a package: wrong magic number");
  bool older = header->version >= RT_PACKAGE_OLDEST && header->version < RT_PACKAGE_VERSION;
  if (header->version != RT_PACKAGE_VERSION && !(older && package->options.any_version)) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "package version %u, this runtime reads %d%s", header->version,
                            RT_PACKAGE_VERSION, older ? ": 'weir upgrade' makes a current one of it" : "");
  }
  if (header->file_bytes != package->bytes) {
    return BAD("file size %zu, the header says %llu", package->bytes, (unsigned long long)header->file_bytes);
  }
  if (header->section_count > RT_PACKAGE_MAX_SECTIONS)
    return BAD("section count %u is too large", header->section_count);
  uint64_t table_bytes = (uint64_t)header->section_count * sizeof(rt_package_record);
  if (header->table_offset < RT_PACKAGE_ALIGNMENT || header->table_offset % RT_PACKAGE_ALIGNMENT ||
      header->table_offset > package->bytes || package->bytes - header->table_offset != table_bytes) {
    return BAD("section table: wrong place");
  }
  return WEIR_OK;
}

static weir_status table_hash_check(rt_package *package, const rt_package_header *header) {
  weir_hasher hasher;
  weir_hasher_init(&hasher);
  weir_hasher_add(&hasher, package->data, offsetof(rt_package_header, table_hash));
  weir_hasher_add(&hasher, package->data + header->table_offset, package->bytes - header->table_offset);
  weir_hasher_finish(&hasher, &package->identity);
  if (memcmp(package->identity.bytes, header->table_hash, sizeof header->table_hash))
    return BAD("section table: wrong hash");
  return WEIR_OK;
}

// |*inout_end| is where the section before it ended.
static weir_status section_read(const rt_package *package, const rt_package_record *record, int index, uint64_t limit,
                                uint64_t *inout_end, rt_section *out) {
  const char *name_end = memchr(record->name, 0, sizeof record->name);
  if (!name_end || !rt_package_name_valid(record->name)) return BAD("section %d: bad name", index);
  for (const char *p = name_end; p < record->name + sizeof record->name; p++) {
    if (*p) return BAD("section %d: bytes behind its name", index);
  }
  uint64_t expected = (*inout_end + RT_PACKAGE_ALIGNMENT - 1) / RT_PACKAGE_ALIGNMENT * RT_PACKAGE_ALIGNMENT;
  if (record->offset != expected) return BAD("section '%s': wrong place", record->name);
  if (record->offset > limit || record->bytes > limit - record->offset) {
    return BAD("section '%s': past the end of the file", record->name);
  }
  for (int i = 0; i < index; i++) {
    if (!strcmp(package->sections[i].name, record->name)) return BAD("section '%s': there are two", record->name);
  }
  *inout_end = record->offset + record->bytes;
  out->name = record->name;
  out->offset = record->offset;
  out->bytes = (size_t)record->bytes;
  out->data = package->data + record->offset;
  memcpy(out->hash.bytes, record->hash, sizeof record->hash);
  return WEIR_OK;
}

// Takes a signature off the end. What follows it sees a package without one.
static weir_status signature_take(rt_package *package, const rt_package_header *header) {
  size_t bytes = package->bytes;
  if (header->version < 2 || bytes < sizeof(rt_package_signature)) return WEIR_OK;
  if (header->file_bytes != bytes - sizeof(rt_package_signature)) return WEIR_OK;
  memcpy(&package->signature, package->data + header->file_bytes, sizeof package->signature);
  bool whole = !memcmp(package->signature.magic, RT_PACKAGE_SIGNATURE_MAGIC, sizeof package->signature.magic);
  for (size_t i = 0; i < sizeof package->signature.zeros; i++) whole = whole && !package->signature.zeros[i];
  if (!whole) return BAD("bytes behind the end that are no signature");
  package->is_signed = true;
  package->bytes = (size_t)header->file_bytes;
  return WEIR_OK;
}

static weir_status table_read(rt_package *package) {
  rt_package_header header;
  if (package->bytes < sizeof header) return BAD("not a package: %zu bytes", package->bytes);
  memcpy(&header, package->data, sizeof header);
  package->version = header.version;
  if (!memcmp(header.magic, RT_PACKAGE_MAGIC, sizeof header.magic)) WEIR_TRY(signature_take(package, &header));
  WEIR_TRY(header_check(package, &header));
  WEIR_TRY(table_hash_check(package, &header));
  WEIR_TRY(weir_pool_array(&package->pool, header.section_count, sizeof *package->sections, &package->sections));
  // A copy, because the caller's memory need not be aligned; names are borrowed from it.
  rt_package_record *records;
  WEIR_TRY(weir_pool_array(&package->pool, header.section_count, sizeof *records, &records));
  memcpy(records, package->data + header.table_offset, header.section_count * sizeof *records);
  uint64_t end = RT_PACKAGE_ALIGNMENT;
  for (int i = 0; i < (int)header.section_count; i++) {
    WEIR_TRY(section_read(package, &records[i], i, header.table_offset, &end, &package->sections[i]));
    package->section_count = i + 1;
  }
  if (header.table_offset - end >= RT_PACKAGE_ALIGNMENT) return BAD("section table: a gap before it");
  return WEIR_OK;
}

static weir_status weights_read(rt_package *package) {
  const rt_section *index = rt_package_find(package, RT_SECTION_WEIGHTS_INDEX);
  package->weights = rt_package_find(package, RT_SECTION_WEIGHTS);
  bool have = package->weights || package->is_beside;
  if (!index != !have || (package->weights && package->is_beside))
    return BAD("weights and their index do not come together");
  if (!index) return WEIR_OK;
  WEIR_TRY(rt_package_check(package, index));
  if (package->is_beside) WEIR_TRY(rt_beside_open(package));
  size_t bytes = package->is_beside ? package->beside_bytes : package->weights->bytes;
  return rt_weights_index_parse(package->pool.allocator, (const char *)index->data, index->bytes, bytes,
                                &package->index);
}

static weir_status folder_note(rt_package *package, const char *path) {
  const char *slash = strrchr(path, '/');
  size_t length = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
  char *folder;
  WEIR_TRY(weir_pool_array(&package->pool, length + 1, 1, &folder));
  memcpy(folder, slash ? path : ".", length);
  package->folder = folder;
  return WEIR_OK;
}

// Takes |*map| on success. |path| and |map| are null for memory of the caller.
static weir_status open_mapped(const void *data, size_t bytes, const char *path, weir_map *map,
                               const rt_package_options *options, rt_package **out_package) {
  weir_pool pool = {.allocator = options->allocator ? options->allocator : weir_allocator_system()};
  rt_package *package;
  WEIR_TRY(weir_pool_array(&pool, 1, sizeof *package, &package));
  *package = (rt_package){.pool = pool, .options = *options, .data = data, .bytes = bytes};
  weir_status status = path ? folder_note(package, path) : WEIR_OK;
  if (!status) status = table_read(package);
  if (!status) status = rt_manifest_read(package);
  if (!status) status = weights_read(package);
  if (status) {
    rt_package_close(package);
    return status;
  }
  if (map) package->map = *map;
  *out_package = package;
  return WEIR_OK;
}

weir_status rt_package_open_with(const char *path, const rt_package_options *options, rt_package **out_package) {
  static const rt_package_options defaults;
  weir_map map;
  WEIR_TRY(weir_map_open(path, &map));
  weir_status status = open_mapped(map.data, map.size, path, &map, options ? options : &defaults, out_package);
  if (status) weir_map_close(&map);
  return weir_status_annotate(status, "package '%s'", path);
}

weir_status rt_package_open(const char *path, const weir_allocator *allocator, rt_package **out_package) {
  return rt_package_open_with(path, &(rt_package_options){.allocator = allocator}, out_package);
}

weir_status rt_package_open_memory(const void *data, size_t bytes, const weir_allocator *allocator,
                                   rt_package **out_package) {
  return open_mapped(data, bytes, NULL, NULL, &(rt_package_options){.allocator = allocator}, out_package);
}

void rt_package_close(rt_package *package) {
  if (!package) return;
  json_decref(package->manifest);
  rt_weights_index_deinit(package->pool.allocator, &package->index);
  weir_map_close(&package->map);
  weir_map_close(&package->beside_map);
  weir_pool pool = package->pool;
  weir_pool_deinit(&pool);
}

// ---- looking things up

int rt_package_section_count(const rt_package *package) { return package->section_count; }
const rt_section *rt_package_section(const rt_package *package, int index) { return &package->sections[index]; }
weir_hash rt_package_identity(const rt_package *package) { return package->identity; }
uint32_t rt_package_version(const rt_package *package) { return package->version; }

size_t rt_package_bytes(const rt_package *package) {
  return package->bytes + (package->is_signed ? sizeof package->signature : 0);
}

const rt_package_signature *rt_package_signed(const rt_package *package) {
  return package->is_signed ? &package->signature : NULL;
}

const rt_section *rt_package_weights(const rt_package *package) { return package->weights; }
const char *rt_package_weights_path(const rt_package *package) { return package->beside_path; }

const weir_hash *rt_package_weights_beside(const rt_package *package) {
  return package->is_beside ? &package->beside_hash : NULL;
}

const char *rt_package_model_name(const rt_package *package) { return package->model_name; }
int rt_package_entry_count(const rt_package *package) { return package->entry_count; }
const char *rt_package_entry(const rt_package *package, int index) { return package->entries[index]; }
int rt_package_object_count(const rt_package *package) { return package->object_count; }
const rt_package_object *rt_package_object_at(const rt_package *package, int index) { return &package->objects[index]; }
int rt_package_weight_count(const rt_package *package) { return package->index.count; }
const rt_package_weight *rt_package_weight_at(const rt_package *package, int index) {
  return &package->index.weights[index];
}

const rt_section *rt_package_find(const rt_package *package, const char *name) {
  for (int i = 0; i < package->section_count; i++) {
    if (!strcmp(package->sections[i].name, name)) return &package->sections[i];
  }
  return NULL;
}

const rt_package_weight *rt_package_weight_find(const rt_package *package, const char *key) {
  int lo = 0, hi = package->index.count;
  while (lo < hi) {
    int middle = lo + (hi - lo) / 2;
    const rt_package_weight *weight = &package->index.weights[package->index.by_key[middle]];
    int order = strcmp(key, weight->key);
    if (!order) return weight;
    if (order < 0) {
      hi = middle;
    } else {
      lo = middle + 1;
    }
  }
  return NULL;
}

const void *rt_package_weight_data(const rt_package *package, const rt_package_weight *weight) {
  return package->weights ? package->weights->data + weight->offset : NULL;
}

// ---- verifying

weir_status rt_package_check(const rt_package *package, const rt_section *section) {
  (void)package;
  weir_hash hash;
  weir_hash_bytes(section->data, section->bytes, &hash);
  return weir_hash_equal(&hash, &section->hash) ? WEIR_OK : BAD("section '%s': wrong hash", section->name);
}

static weir_status zeros_check(const rt_package *package, uint64_t from, uint64_t to) {
  for (uint64_t i = from; i < to; i++) {
    if (package->data[i]) return BAD("byte %llu between sections is not zero", (unsigned long long)i);
  }
  return WEIR_OK;
}

// The program parses and every weight it asks for is there in the right size.
static weir_status program_check(const rt_package *package, const rt_section *section) {
  weir_arena arena;
  weir_arena_init(&arena);
  rt_program *program = NULL;
  weir_status status = rt_program_parse(&arena, (const char *)section->data, section->bytes, &program);
  for (int i = 0; !status && i < program->weight_count; i++) {
    const rt_package_weight *weight = rt_package_weight_find(package, program->weights[i].path);
    if (!weight) status = BAD("weight '%s' is not in the package", program->weights[i].path);
    if (weight && weight->bytes != program->weights[i].bytes) status = BAD("weight '%s': wrong size", weight->key);
  }
  weir_arena_deinit(&arena);
  return weir_status_annotate(status, "section '%s'", section->name);
}

weir_status rt_package_verify(const rt_package *package) {
  uint64_t end = sizeof(rt_package_header);
  for (int i = 0; i < package->section_count; i++) {
    const rt_section *section = &package->sections[i];
    WEIR_TRY(zeros_check(package, end, section->offset));
    WEIR_TRY(rt_package_check(package, section));
    if (!strncmp(section->name, RT_SECTION_PROGRAM, strlen(RT_SECTION_PROGRAM)))
      WEIR_TRY(program_check(package, section));
    end = section->offset + section->bytes;
  }
  if (package->is_beside && package->weights) {
    WEIR_TRY_CTX(rt_package_check(package, package->weights), "'%s'", package->beside_path);
  }
  uint64_t table_bytes = (uint64_t)package->section_count * sizeof(rt_package_record);
  WEIR_TRY(zeros_check(package, end, package->bytes - table_bytes));
  return package->is_signed ? rt_signature_check(package, NULL) : WEIR_OK;
}
