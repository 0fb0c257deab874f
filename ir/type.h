// Types of tensor values: element type and dims. At run time `f32[]` is a scalar.
#ifndef WEIR_IR_TYPE_H
#define WEIR_IR_TYPE_H

#include "ir/dim.h"

// name, bits, C type of the emitted code ("" where elements need a conversion)
#define IR_DTYPES(X) \
  X(f16, 16)         \
  X(bf16, 16)        \
  X(f32, 32)         \
  X(f64, 64)         \
  X(f8e4m3, 8)       \
  X(f8e5m2, 8)       \
  X(i8, 8)           \
  X(i16, 16)         \
  X(i32, 32)         \
  X(i64, 64)         \
  X(u8, 8)           \
  X(bool, 8)

typedef enum {
#define X(name, bits) IR_##name,
  IR_DTYPES(X)
#undef X
      IR_DTYPE_COUNT
} ir_dtype;

#define IR_MAX_RANK 8

typedef struct {
  ir_dtype dtype;
  int rank;
  ir_dim dims[IR_MAX_RANK];
} ir_type;

const char *ir_dtype_name(ir_dtype dtype);
int ir_dtype_bytes(ir_dtype dtype);
bool ir_dtype_is_float(ir_dtype dtype);
bool ir_dtype_is_int(ir_dtype dtype);                 // bool is not an int
bool ir_dtype_find(const char *name, ir_dtype *out);  // false if unknown
bool ir_type_equal(const ir_type *a, const ir_type *b);
ir_type ir_type_make(ir_dtype dtype, int rank, const ir_dim *dims);
const char *ir_type_print(weir_arena *arena, const ir_type *type);  // "f32[T, 576]"

#endif
