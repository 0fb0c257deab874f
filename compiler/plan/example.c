// Inputs by a fixed rule.
#include "compiler/plan/example.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/blocks.h"
#include "runtime/base/checked.h"
#include "runtime/exec/model.h"

int64_t plan_example_size(const weir_entry *entry, int index, int64_t wanted) {
  weir_symbol_info symbol = weir_entry_symbol(entry, index);
  if (wanted < symbol.lo) wanted = symbol.lo;
  if (wanted > symbol.hi) wanted = symbol.hi;
  int64_t divisor = symbol.divisor > 1 ? symbol.divisor : 1, over = wanted % divisor;
  if (!over) return wanted;
  return wanted - over + divisor <= symbol.hi ? wanted - over + divisor : wanted - over;
}

weir_status plan_example_room(weir_view *view) {
  int64_t count = 1;
  for (int d = 0; d < view->rank; d++) {
    if (view->shape[d] < 0 || !weir_mul_i64(count, view->shape[d], &count) || count > INT64_MAX / 8) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "an example tensor is too large");
    }
  }
  view->bytes = (size_t)count * weir_dtype_bytes(view->dtype);
  view->data = calloc(view->bytes ? view->bytes : 1, 1);
  return view->data
             ? WEIR_OK
             : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for an example tensor of %zu bytes", view->bytes);
}

static weir_status put_float(weir_dtype dtype, int64_t index, void *place) {
  static const weir_storage storages[] = {WEIR_STORAGE_F16, WEIR_STORAGE_BF16,    WEIR_STORAGE_F32,
                                          WEIR_STORAGE_F64, WEIR_STORAGE_F8_E4M3, WEIR_STORAGE_F8_E5M2};
  float value = (float)((index * 37 + 11) % 64) / 32 - 1;
  double wide = (double)value;
  if (dtype != WEIR_DTYPE_F64) return weir_storage_encode(storages[dtype], &value, 1, place);
  memcpy(place, &wide, sizeof wide);
  return WEIR_OK;
}

static weir_status fill(weir_view *view, const weir_tensor_info *info, int64_t most) {
  bool bounded = info->lo <= info->hi;
  uint64_t span = bounded ? (uint64_t)(most < info->lo ? info->lo : most) - (uint64_t)info->lo : 7;
  int64_t width = (int64_t)weir_dtype_bytes(view->dtype), count = (int64_t)view->bytes / width;
  for (int64_t i = 0; i < count; i++) {
    uint8_t *place = (uint8_t *)view->data + i * width;
    if (view->dtype <= WEIR_DTYPE_F8E5M2) {
      WEIR_TRY(put_float(view->dtype, i, place));
      continue;
    }
    uint64_t step = (uint64_t)(i * 7919 + 101) % (span < UINT64_MAX ? span + 1 : span);
    int64_t value = view->dtype == WEIR_DTYPE_BOOL ? i % 2 : (int64_t)((uint64_t)(bounded ? info->lo : 0) + step);
    memcpy(place, &value, (size_t)width);
  }
  return WEIR_OK;
}

weir_status plan_example_inputs(const weir_entry *entry, const int64_t *values, weir_view *out_views) {
  const rt_program *program = rt_entry_program(entry);
  for (int i = 0; i < program->input_count; i++) {
    const rt_tensor *tensor = &program->inputs[i];
    weir_tensor_info info = weir_entry_input(entry, i);
    out_views[i] = (weir_view){.dtype = info.dtype, .rank = tensor->rank};
    for (int d = 0; d < tensor->rank; d++) {
      if (!rt_expr_eval(tensor->dims[d], values, &out_views[i].shape[d])) {
        return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the size of input '%s' overflows", info.name);
      }
    }
    WEIR_TRY(plan_example_room(&out_views[i]));
    int64_t most = info.hi, below;
    if (tensor->limited && rt_expr_eval(tensor->below, values, &below) && below <= most) most = below - 1;
    WEIR_TRY(fill(&out_views[i], &info, most));
  }
  return WEIR_OK;
}
