// .npy files. The header is the text of a Python dictionary with three keys; the parser below reads exactly the
// literals that can occur in it (strings, True, False, a tuple of integers) and nothing else of the language. No
// recursion; counts are checked.
#include "runtime/base/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/base/io.h"

static const struct {
  const char *code;  // without the byte order
  weir_storage storage;
} dtypes[] = {
    {"f4", WEIR_STORAGE_F32}, {"f8", WEIR_STORAGE_F64}, {"f2", WEIR_STORAGE_F16}, {"i1", WEIR_STORAGE_I8},
    {"i2", WEIR_STORAGE_I16}, {"i4", WEIR_STORAGE_I32}, {"i8", WEIR_STORAGE_I64}, {"u1", WEIR_STORAGE_U8},
    {"u2", WEIR_STORAGE_U16}, {"u4", WEIR_STORAGE_U32}, {"u8", WEIR_STORAGE_U64}, {"b1", WEIR_STORAGE_BOOL},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0], MAGIC_BYTES = 6, MAX_HEADER = 65536 };
static const char magic[MAGIC_BYTES + 1] = "\x93NUMPY";

typedef struct {
  const char *start, *at, *end;
  size_t base;  // offset of |start| in the file, for messages
} reader;

static weir_status malformed(const reader *r, const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "npy header, byte %zu: %s", r->base + (size_t)(r->at - r->start),
                          what);
}

static void skip_space(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

// Takes |c| if it comes next.
static bool accept(reader *r, char c) {
  skip_space(r);
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

static bool accept_word(reader *r, const char *word) {
  skip_space(r);
  const size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
  r->at += length;
  return true;
}

static weir_status read_string(reader *r, char *out, size_t capacity) {
  skip_space(r);
  if (r->at == r->end || (*r->at != '\'' && *r->at != '"')) return malformed(r, "a string was expected");
  const char quote = *r->at;
  const char *close = memchr(r->at + 1, quote, (size_t)(r->end - r->at - 1));
  if (!close) return malformed(r, "unclosed string");
  const size_t length = (size_t)(close - r->at - 1);
  if (length >= capacity) return malformed(r, "string too long");
  memcpy(out, r->at + 1, length);
  out[length] = 0;
  r->at = close + 1;
  return WEIR_OK;
}

static weir_status read_dtype(reader *r, weir_storage *out_storage) {
  skip_space(r);
  if (r->at < r->end && *r->at == '[')
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "npy: structured dtypes are not supported");
  char text[32];
  WEIR_TRY(read_string(r, text, sizeof text));
  for (const char *c = text; *c; c++)
    if (*c < 33 || *c > 126) return malformed(r, "bad dtype");
  for (int i = 0; i < DTYPE_COUNT; i++)
    if (text[0] && strcmp(text + 1, dtypes[i].code) == 0) {
      const bool single = text[2] == '1';
      if (text[0] == '<' || text[0] == '=' || (single && text[0] == '|')) {
        *out_storage = dtypes[i].storage;
        return WEIR_OK;
      }
      if (text[0] == '>')
        return weir_status_make(WEIR_CODE_UNSUPPORTED, "npy: big-endian dtype '%s' is not supported", text);
    }
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "npy: dtype '%s' is not supported", text);
}

static weir_status read_shape(reader *r, weir_npy *array) {
  if (!accept(r, '(')) return malformed(r, "a tuple was expected");
  array->rank = 0;
  while (!accept(r, ')')) {
    skip_space(r);
    if (r->at == r->end || *r->at < '0' || *r->at > '9') return malformed(r, "a dimension was expected");
    int64_t dim = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
      if (!weir_mul_i64(dim, 10, &dim) || !weir_add_i64(dim, *r->at - '0', &dim))
        return malformed(r, "dimension too large");
    if (array->rank == WEIR_NPY_MAX_RANK) return malformed(r, "more than 16 dimensions");
    array->dims[array->rank++] = dim;
    if (accept(r, ',')) continue;
    if (accept(r, ')')) break;
    return malformed(r, "',' or ')' was expected");
  }
  return WEIR_OK;
}

static weir_status read_dictionary(reader *r, weir_npy *array) {
  enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
  int seen = 0;
  if (!accept(r, '{')) return malformed(r, "'{' was expected");
  while (!accept(r, '}')) {
    char key[32];
    WEIR_TRY(read_string(r, key, sizeof key));
    if (!accept(r, ':')) return malformed(r, "':' was expected");
    int bit;
    if (strcmp(key, "descr") == 0) {
      bit = DESCR;
      WEIR_TRY(read_dtype(r, &array->storage));
    } else if (strcmp(key, "fortran_order") == 0) {
      bit = ORDER;
      if (accept_word(r, "True"))
        return weir_status_make(WEIR_CODE_UNSUPPORTED,
                                "npy: Fortran order is not supported; save numpy.ascontiguousarray(x) instead");
      if (!accept_word(r, "False")) return malformed(r, "True or False was expected");
    } else if (strcmp(key, "shape") == 0) {
      bit = SHAPE;
      WEIR_TRY(read_shape(r, array));
    } else {
      return malformed(r, "unknown key");
    }
    if (seen & bit) return malformed(r, "key given twice");
    seen |= bit;
    if (accept(r, ',')) continue;
    if (accept(r, '}')) break;
    return malformed(r, "',' or '}' was expected");
  }
  skip_space(r);
  if (r->at != r->end) return malformed(r, "text behind the dictionary");
  if (seen != (DESCR | ORDER | SHAPE)) return malformed(r, "descr, fortran_order or shape is missing");
  return WEIR_OK;
}

// Finds the header's text between the fixed fields and the data.
static weir_status find_header(const uint8_t *bytes, size_t size, reader *out_reader) {
  if (size < MAGIC_BYTES + 2 || memcmp(bytes, magic, MAGIC_BYTES) != 0)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "no npy file: the magic is missing");
  const int major = bytes[6];
  if (major < 1 || major > 3 || bytes[7] != 0)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "npy version %d.%d is not supported", major, bytes[7]);
  const size_t width = major == 1 ? 2 : 4;
  const size_t fixed = MAGIC_BYTES + 2 + width;
  if (size < fixed)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "npy: the file ends in the header length at byte 8");
  size_t length = 0;
  for (size_t i = 0; i < width; i++) length |= (size_t)bytes[8 + i] << (8 * i);
  if (length > size - fixed || length > MAX_HEADER)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "npy: header length %zu at byte 8 exceeds the file or %d bytes",
                            length, (int)MAX_HEADER);
  const char *start = (const char *)bytes + fixed;
  *out_reader = (reader){start, start, start + length, fixed};
  return WEIR_OK;
}

weir_status weir_npy_parse(const void *bytes, size_t size, weir_npy *out_array) {
  weir_npy array = {.elements = 1};
  reader r = {0};
  WEIR_TRY(find_header(bytes, size, &r));
  WEIR_TRY(read_dictionary(&r, &array));
  bool fits = true;
  for (int i = 0; i < array.rank; i++) fits = fits && weir_mul_i64(array.elements, array.dims[i], &array.elements);
  int64_t data_bytes = 0;
  fits = fits && weir_mul_i64(array.elements, weir_storage_info(array.storage)->block_bytes, &data_bytes);
  const size_t offset = r.base + (size_t)(r.end - r.start);
  if (!fits || (uint64_t)data_bytes != size - offset)
    return weir_status_make(
        WEIR_CODE_INVALID_DATA, "npy: the shape asks for %s%lld bytes of data, the file has %zu at byte %zu",
        fits ? "" : "more than ", fits ? (long long)data_bytes : (long long)INT64_MAX, size - offset, offset);
  array.data = (const uint8_t *)bytes + offset;
  array.data_bytes = (size_t)data_bytes;
  *out_array = array;
  return WEIR_OK;
}

weir_status weir_npy_read(const char *path, weir_npy *out_array) {
  weir_map map;
  WEIR_TRY(weir_map_open(path, &map));
  weir_npy array;
  weir_status status = weir_npy_parse(map.data, map.size, &array);
  if (!status) {
    array.owned = malloc(array.data_bytes ? array.data_bytes : 1);
    if (!array.owned) status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes", array.data_bytes);
  }
  if (!status) {
    memcpy(array.owned, array.data, array.data_bytes);
    array.data = array.owned;
    *out_array = array;
  }
  weir_map_close(&map);
  return weir_status_annotate(status, "'%s'", path);
}

void weir_npy_release(weir_npy *array) {
  free(array->owned);
  *array = (weir_npy){0};
}

weir_status weir_npy_header(weir_storage storage, int rank, const int64_t *dims, char **out_header, size_t *out_size) {
  if (rank < 0 || rank > WEIR_NPY_MAX_RANK)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "npy: rank %d is not between 0 and %d", rank,
                            WEIR_NPY_MAX_RANK);
  const char *code = NULL;
  for (int i = 0; i < DTYPE_COUNT; i++)
    if (dtypes[i].storage == storage) code = dtypes[i].code;
  if (!code)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "npy: NumPy has no dtype for %s", weir_storage_name(storage));
  char text[64 + 24 * WEIR_NPY_MAX_RANK];
  int length = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                        code[1] == '1' ? '|' : '<', code);
  for (int i = 0; i < rank; i++)
    length += snprintf(text + length, sizeof text - (size_t)length, i ? ", %lld" : "%lld", (long long)dims[i]);
  length += snprintf(text + length, sizeof text - (size_t)length, rank == 1 ? ",), }" : "), }");
  const size_t total = (MAGIC_BYTES + 4 + (size_t)length + 1 + 63) / 64 * 64;
  char *header = malloc(total);
  if (!header) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for an npy header");
  memset(header, ' ', total);
  memcpy(header, magic, MAGIC_BYTES);
  header[6] = 1;
  header[7] = 0;
  header[8] = (char)((total - 10) & 255);
  header[9] = (char)((total - 10) >> 8);
  memcpy(header + 10, text, (size_t)length);
  header[total - 1] = '\n';
  *out_header = header;
  *out_size = total;
  return WEIR_OK;
}

// Bytes of an array of |dims|, checked.
static weir_status array_bytes(weir_storage storage, int rank, const int64_t *dims, size_t *out_bytes) {
  int64_t elements = 1;
  for (int i = 0; i < rank; i++)
    if (dims[i] < 0 || !weir_mul_i64(elements, dims[i], &elements))
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "npy: dimension %d is negative or too large", i);
  int64_t bytes;
  WEIR_TRY(weir_storage_row_bytes(storage, elements, &bytes));
  *out_bytes = (size_t)bytes;
  return WEIR_OK;
}

weir_status weir_npy_write(const char *path, weir_storage storage, int rank, const int64_t *dims, const void *data) {
  char *header = NULL;
  size_t header_bytes = 0, bytes = 0;
  WEIR_TRY(weir_npy_header(storage, rank, dims, &header, &header_bytes));
  weir_atomic_file file = {.fd = -1};
  weir_status status = array_bytes(storage, rank, dims, &bytes);
  if (!status) status = weir_atomic_file_open(path, &file);
  if (!status) status = weir_atomic_file_write(&file, header, header_bytes);
  if (!status) status = weir_atomic_file_write(&file, data, bytes);
  if (!status) status = weir_atomic_file_commit(&file);
  else weir_atomic_file_discard(&file);
  free(header);
  return status;
}
