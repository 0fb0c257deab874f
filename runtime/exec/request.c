// Reading requests: shapes of inputs give the symbols' values; everything a caller can get wrong is found here, before
// anything runs.
//
// A dim that is a symbol alone binds it; what is then left is solved where it is linear in one symbol ("2 * T");
// finally all dims must have the values that the symbols give. Messages name request, input and element.
#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/exec/exec_internal.h"
#include "runtime/state/session.h"

#define WRONG(...) weir_status_make(WEIR_CODE_INVALID_ARGUMENT, __VA_ARGS__)

// ---- symbols from shapes

typedef struct {
  const rt_program *program;
  int64_t *values;
  bool bound[RT_MAX_VALUES];
} binding;

// The one unbound symbol of |e|; -1 if there are none or several.
static int unbound_symbol(const binding *b, rt_expr e) {
  int found = -1;
  for (int i = 0; i < e.op_count; i++) {
    if (e.ops[i].code != RT_SIZE_VAR || b->bound[e.ops[i].value]) continue;
    if (found >= 0 && found != (int)e.ops[i].value) return -1;
    found = (int)e.ops[i].value;
  }
  return found;
}

// Solves e == extent for |symbol| as if it were linear. The caller checks the result.
static void dim_solve(binding *b, rt_expr e, int symbol, int64_t extent) {
  int64_t at0, at1, slope, rest;
  b->values[symbol] = 0;
  bool ok = rt_expr_eval(e, b->values, &at0);
  b->values[symbol] = 1;
  ok = ok && rt_expr_eval(e, b->values, &at1) && !__builtin_sub_overflow(at1, at0, &slope) && slope > 0 &&
       !__builtin_sub_overflow(extent, at0, &rest);
  b->values[symbol] = ok ? rest / slope : 0;
  b->bound[symbol] = ok;
}

static void dims_bind(binding *b, const weir_request *request, bool solve) {
  for (int i = 0; i < b->program->input_count; i++) {
    const rt_tensor *t = &b->program->inputs[i];
    for (int d = 0; d < t->rank; d++) {
      rt_expr e = t->dims[d];
      int symbol = unbound_symbol(b, e);
      int64_t extent = request->inputs[i].shape[d];
      if (symbol < 0) continue;
      if (solve) {
        dim_solve(b, e, symbol, extent);
      } else if (e.op_count == 1) {
        b->values[symbol] = extent;
        b->bound[symbol] = true;
      }
    }
  }
}

static weir_status view_check(const rt_tensor *t, const weir_view *view, int index) {
  if ((int)view->dtype != (int)t->dtype) {
    return WRONG("request %d, input '%s': has type %s, must be %s", index, t->name, weir_dtype_name(view->dtype),
                 rt_dtype_name(t->dtype));
  }
  if (view->rank != t->rank) {
    return WRONG("request %d, input '%s': has %d dims, must have %d", index, t->name, view->rank, t->rank);
  }
  for (int d = 0; d < t->rank; d++) {
    if (view->shape[d] < 0) return WRONG("request %d, input '%s': dim %d is negative", index, t->name, d);
  }
  return WEIR_OK;
}

static weir_status shape_check(const weir_entry *entry, int input, const weir_view *view, int index,
                               const int64_t *values) {
  const rt_tensor *t = &entry->program->inputs[input];
  int64_t bytes = rt_dtype_bytes(t->dtype);
  for (int d = 0; d < t->rank; d++) {
    int64_t extent;
    if (!rt_expr_eval(t->dims[d], values, &extent) || extent != view->shape[d]) {
      return WRONG("request %d, input '%s': dim %d is %lld, which does not fit [%s]", index, t->name, d,
                   (long long)view->shape[d], entry->input_dims[input]);
    }
    if (!weir_mul_i64(bytes, extent, &bytes)) return WRONG("request %d, input '%s': too large", index, t->name);
  }
  if (bytes && !view->data) return WRONG("request %d, input '%s': no data", index, t->name);
  if (view->bytes && view->bytes < (size_t)bytes) {
    return WRONG("request %d, input '%s': %zu bytes, its shape needs %lld", index, t->name, view->bytes,
                 (long long)bytes);
  }
  if ((uintptr_t)view->data % (uintptr_t)rt_dtype_bytes(t->dtype)) {
    return WRONG("request %d, input '%s': data is not aligned to its elements", index, t->name);
  }
  return WEIR_OK;
}

weir_status rt_values_check(const weir_entry *entry, int index, const int64_t *values, const int64_t *past) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->symbol_count; i++) {
    const rt_symbol *s = &p->symbols[i];
    int64_t before = past && s->grows ? past[i] : 0, whole;
    // A step with no rows has no last row either: a growing symbol needs one, unless empty sequences are legal.
    int64_t least = s->grows && s->lo > 1 ? 1 : s->lo;
    if (before < 0 || !weir_add_i64(values[i], before, &whole))
      return WRONG("request %d: %s overflows", index, s->name);
    if (values[i] < 0 || values[i] < least || whole < s->lo || whole > s->hi) {
      return WRONG("request %d: %s is %lld%s, must be from %lld to %lld", index, s->name, (long long)whole,
                   before ? " in all" : "", (long long)s->lo, (long long)s->hi);
    }
    if (values[i] % s->divisor) {
      return WRONG("request %d: %s is %lld, must be a multiple of %lld", index, s->name, (long long)values[i],
                   (long long)s->divisor);
    }
  }
  return WEIR_OK;
}

weir_status rt_request_bind(const weir_entry *entry, const weir_request *request, int index, const int64_t *past,
                            int64_t *out_values) {
  const rt_program *p = entry->program;
  binding b = {.program = p, .values = out_values};
  if (p->input_count && !request->inputs) return WRONG("request %d: no inputs", index);
  for (int i = 0; i < p->input_count; i++) WEIR_TRY(view_check(&p->inputs[i], &request->inputs[i], index));
  memset(out_values, 0, 2 * (size_t)p->symbol_count * sizeof *out_values);
  for (int i = 0; i < p->symbol_count; i++) {
    if (past && p->symbols[i].grows) out_values[p->symbol_count + i] = past[i];
    b.bound[p->symbol_count + i] = true;
  }
  dims_bind(&b, request, false);
  dims_bind(&b, request, true);
  for (int i = 0; i < p->symbol_count; i++) {
    if (b.bound[i]) continue;
    if (p->symbols[i].stored && past) {
      out_values[i] = past[i];
      continue;
    }
    if (p->symbols[i].lo != p->symbols[i].hi)
      return WRONG("request %d: no input says what %s is", index, p->symbols[i].name);
    out_values[i] = p->symbols[i].lo;
  }
  WEIR_TRY(rt_values_check(entry, index, out_values, past));
  for (int i = 0; i < p->input_count; i++) {
    WEIR_TRY(shape_check(entry, i, &request->inputs[i], index, out_values));
  }
  return WEIR_OK;
}

// ---- elements

// First of |count| elements outside lo..hi, or |count|.
#define FIND_OUTSIDE(type)                            \
  do {                                                \
    const type *x = data;                             \
    for (int64_t i = 0; i < count; i++) {             \
      if ((int64_t)x[i] < lo || (int64_t)x[i] > hi) { \
        *out_value = (int64_t)x[i];                   \
        return i;                                     \
      }                                               \
    }                                                 \
  } while (0)

static int64_t find_outside(rt_dtype dtype, const void *data, int64_t count, int64_t lo, int64_t hi,
                            int64_t *out_value) {
  switch (dtype) {
    case RT_DTYPE_i8:
      FIND_OUTSIDE(int8_t);
      break;
    case RT_DTYPE_i16:
      FIND_OUTSIDE(int16_t);
      break;
    case RT_DTYPE_i32:
      FIND_OUTSIDE(int32_t);
      break;
    case RT_DTYPE_i64:
      FIND_OUTSIDE(int64_t);
      break;
    case RT_DTYPE_u8:
    case RT_DTYPE_bool:
      FIND_OUTSIDE(uint8_t);
      break;
    default:
      break;
  }
  return count;
}

weir_status rt_request_check_elements(const weir_entry *entry, const weir_request *request, int index,
                                      const int64_t *values) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->input_count; i++) {
    const rt_tensor *t = &p->inputs[i];
    const weir_view *view = &request->inputs[i];
    int64_t lo = t->lo, hi = t->hi, count = 1, value = 0;
    if (t->dtype == RT_DTYPE_bool) lo = 0, hi = 1;  // emitted code relies on it
    if (lo > hi) continue;
    int64_t below;
    if (t->limited && !rt_expr_eval(t->below, values, &below))
      return WRONG("request %d, input '%s': its bound has no valid size", index, t->name);
    if (t->limited && below <= hi) hi = below - 1;
    for (int d = 0; d < t->rank; d++) count *= view->shape[d];
    int64_t at = find_outside(t->dtype, view->data, count, lo, hi, &value);
    if (at < count) {
      return WRONG("request %d, input '%s': element %lld is %lld, must be from %lld to %lld", index, t->name,
                   (long long)at, (long long)value, (long long)lo, (long long)hi);
    }
  }
  return WEIR_OK;
}

// ---- outputs

weir_status rt_tensor_request_bytes(const rt_tensor *t, const int64_t *values, int64_t *out_shape, int64_t *out_bytes) {
  int64_t bytes = rt_dtype_bytes(t->dtype);
  for (int d = 0; d < t->rank; d++) {
    int64_t extent;
    if (!rt_expr_eval(t->dims[d], values, &extent) || extent < 0 || !weir_mul_i64(bytes, extent, &bytes)) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "'%s': dim %d has no valid size", t->name, d);
    }
    if (out_shape) out_shape[d] = extent;
  }
  *out_bytes = bytes;
  return WEIR_OK;
}

weir_status rt_request_outputs(const weir_entry *entry, weir_request *request, int index, const int64_t *values,
                               bool room) {
  const rt_program *p = entry->program;
  if (p->output_count && !request->outputs) return WRONG("request %d: no outputs", index);
  for (int i = 0; i < p->output_count; i++) {
    const rt_tensor *t = &p->outputs[i];
    weir_view *view = &request->outputs[i];
    int64_t bytes;
    WEIR_TRY_CTX(rt_tensor_request_bytes(t, values, view->shape, &bytes), "request %d, output", index);
    view->dtype = (weir_dtype)t->dtype;
    view->rank = t->rank;
    if (!room) continue;
    if (bytes && !view->data) return WRONG("request %d, output '%s': no memory given", index, t->name);
    if (view->bytes < (size_t)bytes) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "request %d, output '%s': room for %zu bytes, needs %lld", index,
                              t->name, view->bytes, (long long)bytes);
    }
    if ((uintptr_t)view->data % (uintptr_t)rt_dtype_bytes(t->dtype)) {
      return WRONG("request %d, output '%s': memory is not aligned to its elements", index, t->name);
    }
  }
  return WEIR_OK;
}

weir_status weir_output_shapes(const weir_entry *entry, weir_request *requests, int request_count) {
  for (int r = 0; r < request_count; r++) {
    int64_t values[RT_MAX_VALUES], past[RT_MAX_SYMBOLS];
    WEIR_TRY(rt_session_look(requests[r].session, entry, r, past));
    WEIR_TRY(rt_request_bind(entry, &requests[r], r, past, values));
    WEIR_TRY(rt_request_outputs(entry, &requests[r], r, values, false));
  }
  return WEIR_OK;
}

// ---- totals

static weir_status volumes_add(const rt_program *p, rt_totals *totals, int index, const int64_t *values,
                               const int64_t *past) {
  int64_t all[RT_MAX_VALUES], count;
  for (int i = 0; i < p->symbol_count; i++) {
    all[i] = values[i];
    all[p->symbol_count + i] = past && p->symbols[i].grows ? past[i] : 0;
  }
  for (int i = 0; i < p->volume_count; i++) {
    int64_t *rows = &totals->rows[p->symbol_count + i], *most = &totals->most[p->symbol_count + i];
    if (!rt_expr_eval(p->volumes[i].count, all, &count) || count < 0 || !weir_add_i64(*rows, count, rows) ||
        *rows > INT32_MAX) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "request %d: more than %d elements along its ragged dims", index,
                              INT32_MAX);
    }
    if (count > *most) *most = count;
  }
  return WEIR_OK;
}

weir_status rt_totals_add(const weir_entry *entry, rt_totals *totals, const int64_t *values, const int64_t *past) {
  const rt_program *p = entry->program;
  int index = totals->requests++;
  for (int i = 0; i < p->symbol_count; i++) {
    const rt_symbol *s = &p->symbols[i];
    int64_t whole = values[i] + (past && s->grows ? past[i] : 0);  // checked by rt_values_check
    if (s->role == RT_ROLE_PLAIN) {
      if (index && totals->rows[i] != values[i]) {
        return WRONG("request %d: %s is %lld, but %lld in request 0; it is one value for all", index, s->name,
                     (long long)values[i], (long long)totals->rows[i]);
      }
      totals->rows[i] = totals->most[i] = values[i];
      continue;
    }
    if (!weir_add_i64(totals->rows[i], values[i], &totals->rows[i]) || totals->rows[i] > INT32_MAX ||
        whole > INT32_MAX) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "request %d: more than %d rows of %s", index, INT32_MAX, s->name);
    }
    if (values[i] > totals->most[i]) totals->most[i] = values[i];
    if (whole > totals->all_most[i]) totals->all_most[i] = whole;
  }
  return volumes_add(p, totals, index, values, past);
}
