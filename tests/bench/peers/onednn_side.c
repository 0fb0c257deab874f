// A matrix product by oneDNN, from the package index's onednn-cpu-gomp: operands stay in memory, weights in the layout
// that it prefers.
//
//   OMP_NUM_THREADS=2 onednn_side f32|bf16|int8 M K N SECONDS     operations a second; a multiply-add is two
//
// Results are float32. int8 is its best form, unsigned by signed bytes.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oneapi/dnnl/dnnl.h"

#define CHECK(call)                                                         \
  do {                                                                      \
    dnnl_status_t status_ = (call);                                         \
    if (status_ != dnnl_success) {                                          \
      fprintf(stderr, "onednn_side: %s: status %d\n", #call, (int)status_); \
      exit(1);                                                              \
    }                                                                       \
  } while (0)

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static dnnl_memory_desc_t describe(dnnl_dim_t rows, dnnl_dim_t columns, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t out;
  dnnl_dims_t dims = {rows, columns};
  CHECK(dnnl_memory_desc_create_with_tag(&out, 2, dims, type, tag));
  return out;
}

// Filled with a pattern that is a small number in each of the types.
static dnnl_memory_t fill(const_dnnl_memory_desc_t what, dnnl_engine_t engine, dnnl_data_type_t type) {
  dnnl_memory_t out;
  void *data;
  CHECK(dnnl_memory_create(&out, what, engine, DNNL_MEMORY_ALLOCATE));
  CHECK(dnnl_memory_get_data_handle(out, &data));
  size_t bytes = dnnl_memory_desc_get_size(what);
  for (size_t i = 0; type == dnnl_f32 && i < bytes / 4; i++)
    ((float *)data)[i] = (float)((i * 7919) % 255) / 255 - 0.5f;
  for (size_t i = 0; type == dnnl_bf16 && i < bytes / 2; i++)
    ((unsigned short *)data)[i] = (unsigned short)(0x3e00 | ((i * 7919) & 0x80ff));
  for (size_t i = 0; (type == dnnl_u8 || type == dnnl_s8) && i < bytes; i++)
    ((char *)data)[i] = (char)((i * 7919) % 127);
  return out;
}

static void execute(dnnl_primitive_desc_t what, dnnl_stream_t stream, const dnnl_exec_arg_t *args, int count) {
  dnnl_primitive_t primitive;
  CHECK(dnnl_primitive_create(&primitive, what));
  CHECK(dnnl_primitive_execute(primitive, stream, count, args));
  CHECK(dnnl_stream_wait(stream));
  CHECK(dnnl_primitive_destroy(primitive));
}

static double rate(dnnl_primitive_desc_t what, dnnl_stream_t stream, const dnnl_exec_arg_t *args, double operations,
                   double seconds) {
  dnnl_primitive_t primitive;
  CHECK(dnnl_primitive_create(&primitive, what));
  double start = 0, took = 0;
  long count = -2;  // two that warm up
  while (count < 1 || took < seconds) {
    if (!count) start = now();
    CHECK(dnnl_primitive_execute(primitive, stream, 3, args));
    CHECK(dnnl_stream_wait(stream));
    count++;
    if (count > 0) took = now() - start;
  }
  CHECK(dnnl_primitive_destroy(primitive));
  return operations * (double)count / took;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  bool bytes = !strcmp(argv[1], "int8"), halves = !strcmp(argv[1], "bf16");
  dnnl_data_type_t left = bytes ? dnnl_u8 : halves ? dnnl_bf16 : dnnl_f32, right = bytes ? dnnl_s8 : left;
  dnnl_dim_t m = atol(argv[2]), k = atol(argv[3]), n = atol(argv[4]);
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
  CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
  dnnl_memory_desc_t x = describe(m, k, left, dnnl_ab), y = describe(m, n, dnnl_f32, dnnl_ab),
                     plain = describe(k, n, right, dnnl_ab), any = describe(k, n, right, dnnl_format_tag_any);
  dnnl_primitive_desc_t product, reorder;
  CHECK(dnnl_matmul_primitive_desc_create(&product, engine, x, any, NULL, y, NULL));
  const_dnnl_memory_desc_t own = dnnl_primitive_desc_query_md(product, dnnl_query_weights_md, 0);
  dnnl_memory_t given = fill(plain, engine, right), weights;
  CHECK(dnnl_memory_create(&weights, own, engine, DNNL_MEMORY_ALLOCATE));
  CHECK(dnnl_reorder_primitive_desc_create(&reorder, plain, engine, own, engine, NULL));
  execute(reorder, stream, (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, given}, {DNNL_ARG_TO, weights}}, 2);
  dnnl_exec_arg_t args[] = {
      {DNNL_ARG_SRC, fill(x, engine, left)}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, fill(y, engine, dnnl_f32)}};
  printf("%.6g\n", rate(product, stream, args, 2.0 * (double)m * (double)k * (double)n, atof(argv[5])));
  return 0;
}
