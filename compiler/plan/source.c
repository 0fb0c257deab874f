// What a bind says about one weight: a tree of tensors of the checkpoint and rearrangements. Rearrangements that only
// move whole rows of a matrix keep the checkpoint's quantised blocks as they are; all others are decoded to float32
// first.
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/internal.h"
#include "runtime/base/checked.h"

static weir_status missing(const char *name) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "the checkpoint has no tensor '%s'", name);
}

static weir_status misfit(const char *what) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "the shapes of %s in a bind do not fit together", what);
}

static int axis_of(const lang_tensor_source *source, int rank) {
  return source->axis < 0 ? source->axis + rank : source->axis;
}

static weir_status inspect_concat(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                                  plan_source_shape *out) {
  for (int i = 0; i < source->part_count; i++) {
    plan_source_shape part;
    WEIR_TRY(plan_source_inspect(checkpoint, source->parts[i], &part));
    int axis = axis_of(source, part.rank);
    if (axis < 0 || axis >= part.rank || (i && part.rank != out->rank)) return misfit("concat");
    if (!i) {
      *out = part;
    } else {
      for (int d = 0; d < part.rank; d++) {
        if (d != axis && part.dims[d] != out->dims[d]) return misfit("concat");
      }
      if (!weir_add_i64(out->dims[axis], part.dims[axis], &out->dims[axis])) return misfit("concat");
      out->raw = out->raw && part.raw && part.storage == out->storage;
    }
    out->raw = out->raw && out->rank == 2 && axis == 0;
  }
  return source->part_count ? WEIR_OK : misfit("concat");
}

weir_status plan_source_inspect(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                                plan_source_shape *out) {
  if (source->kind == LANG_SOURCE_TENSOR) {
    const import_tensor *tensor = import_checkpoint_tensor(checkpoint, source->name);
    if (!tensor) return missing(source->name);
    *out = (plan_source_shape){.storage = tensor->storage, .rank = tensor->rank, .raw = true};
    memcpy(out->dims, tensor->dims, sizeof out->dims);
    return WEIR_OK;
  }
  if (source->kind == LANG_SOURCE_CONCAT) return inspect_concat(checkpoint, source, out);
  WEIR_TRY(plan_source_inspect(checkpoint, source->parts[0], out));
  if (source->kind == LANG_SOURCE_SLICE) {
    int axis = axis_of(source, out->rank);
    if (axis < 0 || axis >= out->rank || source->start < 0 || source->stop < source->start ||
        source->stop > out->dims[axis])
      return misfit("split");
    out->dims[axis] = source->stop - source->start;
    out->raw = out->raw && out->rank == 2 && axis == 0;
  } else if (source->kind == LANG_SOURCE_TRANSPOSE) {
    if (out->rank < 2) return misfit("transpose");
    int64_t last = out->dims[out->rank - 1];
    out->dims[out->rank - 1] = out->dims[out->rank - 2];
    out->dims[out->rank - 2] = last;
    out->raw = false;
  } else {  // unpermute
    if (out->rank < 1 || source->heads < 1 || out->dims[0] % source->heads || out->dims[0] / source->heads % 2)
      return misfit("unpermute");
    out->raw = out->raw && out->rank == 2;
  }
  return WEIR_OK;
}

// Our row |row| of [heads * H, ...] lies at this row of the file: i + j * H/2 of a head at 2 i + j.
static int64_t unpermuted_row(const lang_tensor_source *source, int64_t rows, int64_t row) {
  int64_t size = rows / source->heads, half = size / 2, head = row / size, at = row % size;
  return head * size + 2 * (at % half) + at / half;
}

const uint8_t *plan_source_row(const import_checkpoint *checkpoint, const lang_tensor_source *source, int64_t row) {
  for (;;) {
    const lang_tensor_source *part = source->part_count ? source->parts[0] : NULL;
    plan_source_shape shape;
    weir_status status;
    switch (source->kind) {
      case LANG_SOURCE_TENSOR: {
        const import_tensor *tensor = import_checkpoint_tensor(checkpoint, source->name);
        int64_t rows = 1;
        for (int d = 0; d + 1 < tensor->rank; d++) rows *= tensor->dims[d];
        return tensor->data + row * (rows ? tensor->bytes / rows : 0);
      }
      case LANG_SOURCE_CONCAT:
        for (int i = 0;; i++) {
          part = source->parts[i];
          status = plan_source_inspect(checkpoint, part, &shape);
          weir_status_release(status);  // it was inspected before
          if (row < shape.dims[0] || i + 1 == source->part_count) break;
          row -= shape.dims[0];
        }
        break;
      case LANG_SOURCE_SLICE:
        row += source->start;
        break;
      default:
        status = plan_source_inspect(checkpoint, part, &shape);
        weir_status_release(status);
        row = unpermuted_row(source, shape.dims[0], row);
        break;
    }
    source = part;
  }
}

static int64_t elements_of(const plan_source_shape *shape, int from, int to) {
  int64_t count = 1;
  for (int d = from; d < to; d++) count *= shape->dims[d];
  return count;
}

static weir_status room_for(const plan_source_shape *shape, float **out) {
  int64_t count = 1;
  for (int d = 0; d < shape->rank; d++) {
    if (!weir_mul_i64(count, shape->dims[d], &count)) return misfit("a tensor");
  }
  if (count > INT64_MAX / 8) return misfit("a tensor");
  *out = malloc((size_t)(count ? count : 1) * sizeof **out);
  return *out ? WEIR_OK
              : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to decode a tensor of %lld elements",
                                 (long long)count);
}

// Copies |count| slices of |part| along |axis| to place |at| of |out|.
static void put_along(const plan_source_shape *to, float *out, int axis, int64_t at, const float *part, int64_t from,
                      int64_t count, int64_t part_size) {
  int64_t outer = elements_of(to, 0, axis), inner = elements_of(to, axis + 1, to->rank);
  for (int64_t o = 0; o < outer; o++) {
    memcpy(out + (o * to->dims[axis] + at) * inner, part + (o * part_size + from) * inner,
           (size_t)(count * inner) * sizeof *out);
  }
}

static weir_status decode_parts(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                                const plan_source_shape *shape, float *out) {
  int axis = axis_of(source, shape->rank);
  int64_t at = 0;
  for (int i = 0; i < source->part_count; i++) {
    plan_source_shape part;
    float *data = NULL;
    WEIR_TRY(plan_source_inspect(checkpoint, source->parts[i], &part));
    WEIR_TRY(plan_source_decode(checkpoint, source->parts[i], &data));
    if (source->kind == LANG_SOURCE_SLICE) {
      put_along(shape, out, axis, 0, data, source->start, shape->dims[axis], part.dims[axis]);
    } else {
      put_along(shape, out, axis, at, data, 0, part.dims[axis], part.dims[axis]);
      at += part.dims[axis];
    }
    free(data);
  }
  return WEIR_OK;
}

static weir_status decode_moved(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                                const plan_source_shape *shape, float *out) {
  float *data = NULL;
  WEIR_TRY(plan_source_decode(checkpoint, source->parts[0], &data));
  if (source->kind == LANG_SOURCE_TRANSPOSE) {
    int64_t rows = shape->dims[shape->rank - 2], cols = shape->dims[shape->rank - 1],
            outer = elements_of(shape, 0, shape->rank - 2);
    for (int64_t o = 0; o < outer; o++) {
      for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) out[(o * rows + i) * cols + j] = data[(o * cols + j) * rows + i];
      }
    }
  } else {
    int64_t inner = elements_of(shape, 1, shape->rank);
    for (int64_t i = 0; i < shape->dims[0]; i++) {
      memcpy(out + i * inner, data + unpermuted_row(source, shape->dims[0], i) * inner, (size_t)inner * sizeof *out);
    }
  }
  free(data);
  return WEIR_OK;
}

weir_status plan_source_decode(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                               float **out_data) {
  plan_source_shape shape;
  float *out = NULL;
  WEIR_TRY(plan_source_inspect(checkpoint, source, &shape));
  WEIR_TRY(room_for(&shape, &out));
  weir_status status;
  if (source->kind == LANG_SOURCE_TENSOR) {
    const import_tensor *tensor = import_checkpoint_tensor(checkpoint, source->name);
    status = weir_status_annotate(weir_storage_decode(tensor->storage, tensor->data, tensor->elements, out),
                                  "tensor '%s'", source->name);
  } else if (source->kind == LANG_SOURCE_CONCAT || source->kind == LANG_SOURCE_SLICE) {
    status = decode_parts(checkpoint, source, &shape, out);
  } else {
    status = decode_moved(checkpoint, source, &shape, out);
  }
  if (status) {
    free(out);
    return status;
  }
  *out_data = out;
  return WEIR_OK;
}
