// DLPack tensors as views.
#include <string.h>

#include "runtime/exec/exec_internal.h"

// Device kinds and type codes of dlpack.h.
enum { DEVICE_CPU = 1, DEVICE_CUDA_HOST = 3 };

static const struct {
  uint8_t code, bits;
  weir_dtype dtype;
} types[] = {
    {0, 8, WEIR_DTYPE_I8},    {0, 16, WEIR_DTYPE_I16}, {0, 32, WEIR_DTYPE_I32},    {0, 64, WEIR_DTYPE_I64},
    {1, 8, WEIR_DTYPE_U8},    {2, 16, WEIR_DTYPE_F16}, {2, 32, WEIR_DTYPE_F32},    {2, 64, WEIR_DTYPE_F64},
    {4, 16, WEIR_DTYPE_BF16}, {6, 8, WEIR_DTYPE_BOOL}, {10, 8, WEIR_DTYPE_F8E4M3}, {12, 8, WEIR_DTYPE_F8E5M2},
};

static bool type_find(const weir_dlpack_tensor *tensor, weir_dtype *out) {
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (types[i].code == tensor->dtype.code && types[i].bits == tensor->dtype.bits && tensor->dtype.lanes == 1) {
      *out = types[i].dtype;
      return true;
    }
  }
  return false;
}

weir_status weir_view_from_dlpack(const weir_dlpack_tensor *tensor, weir_view *out_view) {
  weir_view view = {0};
  if (tensor->device.type != DEVICE_CPU && tensor->device.type != DEVICE_CUDA_HOST) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tensor on device kind %d: must be in CPU memory",
                            tensor->device.type);
  }
  if (!type_find(tensor, &view.dtype)) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tensor of type code %u, %u bits, %u lanes", tensor->dtype.code,
                            tensor->dtype.bits, tensor->dtype.lanes);
  }
  if (tensor->ndim < 0 || tensor->ndim > WEIR_MAX_RANK) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "tensor of %d dims: at most %d", tensor->ndim, WEIR_MAX_RANK);
  }
  int64_t bytes = (int64_t)weir_dtype_bytes(view.dtype), stride = 1;
  for (int d = tensor->ndim - 1; d >= 0; d--) {
    int64_t extent = tensor->shape[d];
    // The stride of a dim of one element has no meaning.
    if (tensor->strides && extent > 1 && tensor->strides[d] != stride) {
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "tensor that is not dense: dim %d has stride %lld", d,
                              (long long)tensor->strides[d]);
    }
    if (extent < 0 || __builtin_mul_overflow(stride, extent, &stride) ||
        __builtin_mul_overflow(bytes, extent, &bytes)) {
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "tensor with dim %d of %lld", d, (long long)extent);
    }
    view.shape[d] = extent;
  }
  view.rank = tensor->ndim;
  view.bytes = (size_t)bytes;
  view.data = tensor->data ? (uint8_t *)tensor->data + tensor->byte_offset : NULL;
  *out_view = view;
  return WEIR_OK;
}
