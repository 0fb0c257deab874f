// Tensors on the command line: literals, .npy and .npz files, and how they become the views of a request.
#ifndef WEIR_COMPILER_DRIVER_TENSORS_H
#define WEIR_COMPILER_DRIVER_TENSORS_H

#include "compiler/driver/cli.h"
#include "compiler/import/npz.h"
#include "runtime/weir.h"

typedef struct {
  void *data;  // from malloc
  weir_view view;
} cli_tensor;

// "[1,2,3]", "[[1.5,2],[3,4]]", "7", "true": numbers in lists of equal length, as |dtype|. INVALID_ARGUMENT says what
// is wrong.
weir_status cli_tensor_literal(const char *text, weir_dtype dtype, cli_tensor *out) WEIR_MUST_USE;
// An array of a file as |dtype|: the same type, or one whose every value fits (i64 to i32, f64 to f32: INVALID_ARGUMENT
// where one does not).
weir_status cli_tensor_array(const weir_npy *array, weir_dtype dtype, cli_tensor *out) WEIR_MUST_USE;
// Room for the shape in |view|.
weir_status cli_tensor_room(weir_view *view, cli_tensor *out) WEIR_MUST_USE;
void cli_tensor_free(cli_tensor *tensor);
// The storage that a file holds this type in: that of NumPy; bf16 and f8 are written as f32.
weir_storage cli_tensor_storage(weir_dtype dtype);
// The elements as |cli_tensor_storage|: the tensor's own memory, or |*out_copy| from malloc.
weir_status cli_tensor_for_file(const cli_tensor *tensor, const void **out_data, void **out_copy) WEIR_MUST_USE;
int64_t cli_tensor_elements(const weir_view *view);
double cli_tensor_element(const weir_view *view, int64_t index);
json_t *cli_tensor_shape_json(const weir_view *view);
// Nested lists; for small tensors.
json_t *cli_tensor_values_json(const weir_view *view);

#endif
