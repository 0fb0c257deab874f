// Types of tensor values.
#include "ir/type.h"

#include <string.h>

#include "ir/text_buffer.h"

static const char *const names[] = {
#define X(name, bits) #name,
    IR_DTYPES(X)
#undef X
};

static const int bit_counts[] = {
#define X(name, bits) bits,
    IR_DTYPES(X)
#undef X
};

const char *ir_dtype_name(ir_dtype dtype) { return names[dtype]; }
int ir_dtype_bytes(ir_dtype dtype) { return bit_counts[dtype] / 8; }
bool ir_dtype_is_float(ir_dtype dtype) { return dtype <= IR_f8e5m2; }
bool ir_dtype_is_int(ir_dtype dtype) { return dtype >= IR_i8 && dtype <= IR_u8; }

bool ir_dtype_find(const char *name, ir_dtype *out) {
  for (int i = 0; i < IR_DTYPE_COUNT; i++) {
    if (strcmp(names[i], name)) continue;
    *out = (ir_dtype)i;
    return true;
  }
  return false;
}

bool ir_type_equal(const ir_type *a, const ir_type *b) {
  if (a->dtype != b->dtype || a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != b->dims[i]) return false;
  }
  return true;
}

ir_type ir_type_make(ir_dtype dtype, int rank, const ir_dim *dims) {
  ir_type type = {.dtype = dtype, .rank = rank};
  for (int i = 0; i < rank; i++) type.dims[i] = dims[i];
  return type;
}

const char *ir_type_print(weir_arena *arena, const ir_type *type) {
  ir_text text;
  ir_text_init(&text, arena);
  ir_text_printf(&text, "%s[", ir_dtype_name(type->dtype));
  for (int i = 0; i < type->rank; i++) {
    ir_text_printf(&text, "%s%s", i ? ", " : "", ir_dim_print(arena, type->dims[i]));
  }
  ir_text_puts(&text, "]");
  return text.data;
}
