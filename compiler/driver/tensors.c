// Tensors from and to text and files.
#include "compiler/driver/tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/blocks.h"
#include "runtime/base/checked.h"

static const weir_storage storages[] = {
    [WEIR_DTYPE_F16] = WEIR_STORAGE_F16,        [WEIR_DTYPE_BF16] = WEIR_STORAGE_BF16,
    [WEIR_DTYPE_F32] = WEIR_STORAGE_F32,        [WEIR_DTYPE_F64] = WEIR_STORAGE_F64,
    [WEIR_DTYPE_F8E4M3] = WEIR_STORAGE_F8_E4M3, [WEIR_DTYPE_F8E5M2] = WEIR_STORAGE_F8_E5M2,
    [WEIR_DTYPE_I8] = WEIR_STORAGE_I8,          [WEIR_DTYPE_I16] = WEIR_STORAGE_I16,
    [WEIR_DTYPE_I32] = WEIR_STORAGE_I32,        [WEIR_DTYPE_I64] = WEIR_STORAGE_I64,
    [WEIR_DTYPE_U8] = WEIR_STORAGE_U8,          [WEIR_DTYPE_BOOL] = WEIR_STORAGE_BOOL,
};

static bool is_float(weir_dtype dtype) { return dtype <= WEIR_DTYPE_F8E5M2; }

int64_t cli_tensor_elements(const weir_view *view) {
  int64_t count = 1;
  for (int i = 0; i < view->rank; i++) {
    if (!weir_mul_i64(count, view->shape[i], &count)) return -1;
  }
  return count;
}

weir_status cli_tensor_room(weir_view *view, cli_tensor *out) {
  int64_t count = cli_tensor_elements(view);
  size_t bytes;
  if (count < 0 || !weir_mul_size((size_t)count, weir_dtype_bytes(view->dtype), &bytes)) {
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "a tensor is too large");
  }
  out->data = calloc(bytes ? bytes : 1, 1);
  if (!out->data) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a tensor of %zu bytes", bytes);
  out->view = *view;
  out->view.data = out->data;
  out->view.bytes = bytes;
  return WEIR_OK;
}

void cli_tensor_free(cli_tensor *tensor) {
  free(tensor->data);
  *tensor = (cli_tensor){0};
}

// The smallest and largest whole number of a type.
static void integer_range(weir_dtype dtype, int64_t *lo, int64_t *hi) {
  switch (dtype) {
    case WEIR_DTYPE_I8:
      *lo = INT8_MIN;
      *hi = INT8_MAX;
      break;
    case WEIR_DTYPE_I16:
      *lo = INT16_MIN;
      *hi = INT16_MAX;
      break;
    case WEIR_DTYPE_I32:
      *lo = INT32_MIN;
      *hi = INT32_MAX;
      break;
    case WEIR_DTYPE_U8:
      *lo = 0;
      *hi = UINT8_MAX;
      break;
    case WEIR_DTYPE_BOOL:
      *lo = 0;
      *hi = 1;
      break;
    default:
      *lo = INT64_MIN;
      *hi = INT64_MAX;
      break;
  }
}

static weir_status put_integer(weir_dtype dtype, void *data, int64_t index, int64_t value) {
  int64_t lo, hi;
  integer_range(dtype, &lo, &hi);
  if (value < lo || value > hi) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "element %lld, %lld, does not fit %s", (long long)index,
                            (long long)value, weir_dtype_name(dtype));
  }
  memcpy((uint8_t *)data + index * (int64_t)weir_dtype_bytes(dtype), &value, weir_dtype_bytes(dtype));  // little endian
  return WEIR_OK;
}

static weir_status put_float(weir_dtype dtype, void *data, int64_t index, double value) {
  uint8_t *place = (uint8_t *)data + index * (int64_t)weir_dtype_bytes(dtype);
  if (dtype == WEIR_DTYPE_F64) {
    memcpy(place, &value, sizeof value);
    return WEIR_OK;
  }
  float narrow = (float)value;
  return weir_storage_encode(storages[dtype], &narrow, 1, place);
}

// ---- literals

static weir_status literal_shape(const json_t *value, weir_view *view) {
  while (json_is_array(value)) {
    if (view->rank == WEIR_MAX_RANK)
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the literal has more than %d dims", WEIR_MAX_RANK);
    view->shape[view->rank++] = (int64_t)json_array_size(value);
    value = json_array_get(value, 0);
  }
  return WEIR_OK;
}

static weir_status literal_fill(const json_t *value, int depth, int64_t *at, cli_tensor *out) {
  const weir_view *view = &out->view;
  if (depth < view->rank) {
    if (!json_is_array(value) || (int64_t)json_array_size(value) != view->shape[depth]) {
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the lists of the literal have different lengths");
    }
    for (size_t i = 0; i < json_array_size(value); i++)
      WEIR_TRY(literal_fill(json_array_get(value, i), depth + 1, at, out));
    return WEIR_OK;
  }
  int64_t index = (*at)++;
  if (json_is_boolean(value) && view->dtype == WEIR_DTYPE_BOOL)
    return put_integer(view->dtype, out->data, index, json_is_true(value));
  if (json_is_integer(value) && !is_float(view->dtype))
    return put_integer(view->dtype, out->data, index, json_integer_value(value));
  if (json_is_number(value) && is_float(view->dtype))
    return put_float(view->dtype, out->data, index, json_number_value(value));
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "element %lld of the literal is no %s", (long long)index,
                          weir_dtype_name(view->dtype));
}

weir_status cli_tensor_literal(const char *text, weir_dtype dtype, cli_tensor *out) {
  *out = (cli_tensor){0};
  json_error_t error;
  json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
  if (!value)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%.40s' is neither a file nor a literal such as [1,2,3]",
                            text);
  weir_view view = {.dtype = dtype};
  int64_t at = 0;
  weir_status status = literal_shape(value, &view);
  if (!status) status = cli_tensor_room(&view, out);
  if (!status) status = literal_fill(value, 0, &at, out);
  json_decref(value);
  if (status) cli_tensor_free(out);
  return status;
}

// ---- files

static int64_t file_integer(weir_storage storage, const void *data, int64_t index) {
  int64_t width = (int64_t)weir_storage_info(storage)->block_bytes, value = 0;
  const uint8_t *place = (const uint8_t *)data + index * width;
  memcpy(&value, place, (size_t)width);
  bool is_signed = storage == WEIR_STORAGE_I8 || storage == WEIR_STORAGE_I16 || storage == WEIR_STORAGE_I32;
  return is_signed ? (int64_t)((uint64_t)value << (64 - 8 * width)) >> (64 - 8 * width) : value;
}

static weir_status convert_array(const weir_npy *array, cli_tensor *out) {
  const weir_storage_desc *info = weir_storage_info(array->storage);
  weir_dtype dtype = out->view.dtype;
  if (array->storage == storages[dtype]) {
    memcpy(out->data, array->data, array->data_bytes);
    return WEIR_OK;
  }
  bool from_float = info->kind == WEIR_STORAGE_CLASS_FLOAT;
  if (from_float != is_float(dtype)) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the file holds %s, the model wants %s", info->name,
                            weir_dtype_name(dtype));
  }
  for (int64_t i = 0; i < array->elements; i++) {
    if (from_float) {
      double value;
      WEIR_TRY(
          weir_storage_decode_f64(array->storage, (const uint8_t *)array->data + i * info->block_bytes, 1, &value));
      WEIR_TRY(put_float(dtype, out->data, i, value));
    } else {
      WEIR_TRY(put_integer(dtype, out->data, i, file_integer(array->storage, array->data, i)));
    }
  }
  return WEIR_OK;
}

weir_status cli_tensor_array(const weir_npy *array, weir_dtype dtype, cli_tensor *out) {
  *out = (cli_tensor){0};
  if (array->rank > WEIR_MAX_RANK)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the file's array has %d dims", array->rank);
  weir_view view = {.dtype = dtype, .rank = array->rank};
  memcpy(view.shape, array->dims, (size_t)array->rank * sizeof *view.shape);
  WEIR_TRY(cli_tensor_room(&view, out));
  weir_status status = convert_array(array, out);
  if (status) cli_tensor_free(out);
  return status;
}

static bool numpy_has(weir_dtype dtype) {
  return dtype != WEIR_DTYPE_BF16 && dtype != WEIR_DTYPE_F8E4M3 && dtype != WEIR_DTYPE_F8E5M2;
}

weir_storage cli_tensor_storage(weir_dtype dtype) { return numpy_has(dtype) ? storages[dtype] : WEIR_STORAGE_F32; }

weir_status cli_tensor_for_file(const cli_tensor *tensor, const void **out_data, void **out_copy) {
  *out_copy = NULL;
  *out_data = tensor->data;
  if (numpy_has(tensor->view.dtype)) return WEIR_OK;
  int64_t count = cli_tensor_elements(&tensor->view);
  float *wide = malloc((size_t)(count ? count : 1) * sizeof *wide);
  if (!wide) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to write a tensor");
  *out_copy = wide;
  *out_data = wide;
  return weir_storage_decode(storages[tensor->view.dtype], tensor->data, count, wide);
}

// ---- text

double cli_tensor_element(const weir_view *view, int64_t index) {
  double value = 0;
  const uint8_t *place = (const uint8_t *)view->data + index * (int64_t)weir_dtype_bytes(view->dtype);
  weir_status_release(weir_storage_decode_f64(storages[view->dtype], place, 1, &value));
  return value;
}

json_t *cli_tensor_shape_json(const weir_view *view) {
  json_t *shape = json_array();
  for (int i = 0; i < view->rank; i++) json_array_append_new(shape, json_integer(view->shape[i]));
  return shape;
}

static json_t *element_json(const weir_view *view, int64_t index) {
  if (view->dtype == WEIR_DTYPE_BOOL) return json_boolean(((const uint8_t *)view->data)[index]);
  if (!is_float(view->dtype)) return json_integer(file_integer(storages[view->dtype], view->data, index));
  double value = cli_tensor_element(view, index);
  return isfinite(value) ? json_real(value) : json_string(isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
}

static json_t *values_json(const weir_view *view, int depth, int64_t *at) {
  if (depth == view->rank) return element_json(view, (*at)++);
  json_t *list = json_array();
  for (int64_t i = 0; i < view->shape[depth]; i++) json_array_append_new(list, values_json(view, depth + 1, at));
  return list;
}

json_t *cli_tensor_values_json(const weir_view *view) {
  int64_t at = 0;
  return values_json(view, 0, &at);
}
