// .npz over libzip. Sizes in the archive are hints: members are inflated in pieces until they end, against one budget
// for all of them.
#include "compiler/import/npz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

enum { MAX_MEMBERS = 8192, FIRST_PIECE = 1 << 16 };

static weir_status zip_failure(weir_code code, const char *what, zip_error_t *error) {
  return weir_status_make(code, "%s: %s", what, zip_error_strerror(error));
}

// Inflates a member into memory from malloc; takes its size off |budget|.
static weir_status inflate_member(zip_file_t *member, size_t *budget, char **out_data, size_t *out_size) {
  size_t size = 0, capacity = 0;
  char *data = NULL;
  for (;;) {
    if (size == capacity) {
      capacity = capacity ? 2 * capacity : FIRST_PIECE;
      char *larger = realloc(data, capacity);
      if (!larger) {
        free(data);
        return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes", capacity);
      }
      data = larger;
    }
    const zip_int64_t got = zip_fread(member, data + size, capacity - size);
    if (got < 0) {
      free(data);
      return zip_failure(WEIR_CODE_INVALID_DATA, "cannot inflate", zip_file_get_error(member));
    }
    if (got == 0) break;
    size += (size_t)got;
    if (size > *budget) {
      free(data);
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the arrays exceed the limit in memory");
    }
  }
  *budget -= size;
  *out_data = data;
  *out_size = size;
  return WEIR_OK;
}

static weir_status read_member(zip_t *archive, zip_uint64_t at, size_t *budget, import_npz_entry *entry) {
  const char *name = zip_get_name(archive, at, 0);
  const size_t length = name ? strlen(name) : 0;
  if (length < 5 || strcmp(name + length - 4, ".npy") != 0)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "member %llu, '%.80s', is no .npy", (unsigned long long)at,
                            name ? name : "");
  zip_file_t *member = zip_fopen_index(archive, at, 0);
  if (!member) return zip_failure(WEIR_CODE_INVALID_DATA, name, zip_get_error(archive));
  char *data = NULL;
  size_t size = 0;
  weir_status status = inflate_member(member, budget, &data, &size);
  zip_fclose(member);
  if (!status) status = weir_npy_parse(data, size, &entry->array);
  if (!status) {
    // Moves the values to the front of the memory, where they are aligned, and gives back what is behind them.
    const size_t bytes = entry->array.data_bytes;
    memmove(data, entry->array.data, bytes);
    char *smaller = realloc(data, bytes ? bytes : 1);
    if (smaller) data = smaller;
    entry->array.data = entry->array.owned = data;
    entry->name = strndup(name, length - 4);
    if (entry->name) return WEIR_OK;
    status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a name");
    entry->array = (weir_npy){0};
  }
  free(data);
  return weir_status_annotate(status, "'%.80s'", name);
}

static weir_status read_archive(zip_t *archive, size_t max_bytes, import_npz *npz) {
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  if (count < 0 || count > MAX_MEMBERS)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "%lld members, more than %d", (long long)count, (int)MAX_MEMBERS);
  npz->entries = calloc(count ? (size_t)count : 1, sizeof *npz->entries);
  if (!npz->entries) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %lld members", (long long)count);
  for (zip_int64_t i = 0; i < count; i++) {
    import_npz_entry entry = {0};
    WEIR_TRY(read_member(archive, (zip_uint64_t)i, &max_bytes, &entry));
    const bool repeated = import_npz_find(npz, entry.name) != NULL;
    npz->entries[npz->count++] = entry;
    if (repeated) return weir_status_make(WEIR_CODE_INVALID_DATA, "'%.80s' is given twice", entry.name);
  }
  return WEIR_OK;
}

weir_status import_npz_read(const char *path, size_t max_bytes, import_npz *out_npz) {
  int code = 0;
  zip_t *archive = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (!archive) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const weir_code kind = code == ZIP_ER_NOENT                         ? WEIR_CODE_NOT_FOUND
                           : code == ZIP_ER_OPEN || code == ZIP_ER_READ ? WEIR_CODE_IO
                                                                        : WEIR_CODE_INVALID_DATA;
    weir_status status = weir_status_annotate(zip_failure(kind, "cannot open as npz", &error), "'%s'", path);
    zip_error_fini(&error);
    return status;
  }
  import_npz npz = {0};
  weir_status status = read_archive(archive, max_bytes, &npz);
  zip_discard(archive);
  if (status) import_npz_release(&npz);
  else *out_npz = npz;
  return weir_status_annotate(status, "'%s'", path);
}

void import_npz_release(import_npz *npz) {
  for (size_t i = 0; i < npz->count; i++) {
    free(npz->entries[i].name);
    weir_npy_release(&npz->entries[i].array);
  }
  free(npz->entries);
  *npz = (import_npz){0};
}

const weir_npy *import_npz_find(const import_npz *npz, const char *name) {
  for (size_t i = 0; i < npz->count; i++)
    if (strcmp(npz->entries[i].name, name) == 0) return &npz->entries[i].array;
  return NULL;
}

// One member: header and data in one buffer that the archive frees.
static weir_status add_member(zip_t *archive, const import_npz_entry *entry) {
  const weir_npy *array = &entry->array;
  char *header = NULL;
  size_t header_bytes = 0;
  WEIR_TRY(weir_npy_header(array->storage, array->rank, array->dims, &header, &header_bytes));
  const size_t name_bytes = strlen(entry->name) + sizeof ".npy";
  char *member = realloc(header, header_bytes + array->data_bytes);
  char *name = malloc(name_bytes);
  if (!member || !name) {
    free(member ? member : header);
    free(name);
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes", header_bytes + array->data_bytes);
  }
  if (array->data_bytes) memcpy(member + header_bytes, array->data, array->data_bytes);
  memcpy(name, entry->name, strlen(entry->name));
  memcpy(name + strlen(entry->name), ".npy", sizeof ".npy");
  weir_status status = WEIR_OK;
  zip_source_t *source = zip_source_buffer(archive, member, header_bytes + array->data_bytes, 1);
  if (!source) free(member);
  const zip_int64_t at = source ? zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8) : -1;
  if (source && at < 0) zip_source_free(source);
  // The date is fixed (1 January 1980), so that equal arrays give equal files.
  if (at < 0 || zip_set_file_compression(archive, (zip_uint64_t)at, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive, (zip_uint64_t)at, 0, 1 << 5 | 1, 0) != 0)
    status = zip_failure(WEIR_CODE_INVALID_ARGUMENT, entry->name, zip_get_error(archive));
  free(name);
  return status;
}

weir_status import_npz_write(const char *path, const import_npz_entry *entries, size_t count) {
  if (count == 0) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s': an npz needs at least one array", path);
  // Writing ends with a rename, as in runtime/base/io.h: a device or a pipe is not replaced.
  struct stat info;
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
    return weir_status_make(WEIR_CODE_IO, "cannot write '%s': it is no regular file", path);
  int code = 0;
  zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (!archive) return weir_status_make(WEIR_CODE_IO, "cannot create '%s'", path);
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < count && !status; i++) status = add_member(archive, &entries[i]);
  // Closing writes a temporary file beside |path| and renames it.
  if (!status && zip_close(archive) != 0) status = zip_failure(WEIR_CODE_IO, "cannot write", zip_get_error(archive));
  if (status) zip_discard(archive);
  return weir_status_annotate(status, "'%s'", path);
}
