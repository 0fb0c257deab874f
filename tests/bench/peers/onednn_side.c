// A matrix product by oneDNN, from the package index's onednn-cpu-gomp or onednn: operands stay in memory, weights in
// the layout that it prefers.
//
//   OMP_NUM_THREADS=2 onednn_side KIND M K N SECONDS     operations a second; a multiply-add is two
//   onednn_side version
//
// KIND: f32, bf16; int8, its best form, unsigned by signed bytes; int8_row, signed by signed with a scale for each
// column and one for all rows (with one for each row, where that is known at all, a version has taken a thousand times
// as long); int8_rounded, the same with rows that come as float32 and are rounded in each call, by a scale each.
// Results are float32.
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
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
  CHECK(dnnl_memory_map_data(out, &data));
  size_t bytes = dnnl_memory_desc_get_size(what);
  for (size_t i = 0; type == dnnl_f32 && i < bytes / 4; i++)
    ((float *)data)[i] = (float)((i * 7919) % 255) / 255 - 0.5f;
  for (size_t i = 0; type == dnnl_bf16 && i < bytes / 2; i++)
    ((unsigned short *)data)[i] = (unsigned short)(0x3e00 | ((i * 7919) & 0x80ff));
  for (size_t i = 0; (type == dnnl_u8 || type == dnnl_s8) && i < bytes; i++)
    ((char *)data)[i] = (char)((i * 7919) % 127);
  CHECK(dnnl_memory_unmap_data(out, data));
  return out;
}

static dnnl_memory_t scales_of(dnnl_dim_t count, dnnl_engine_t engine) {
  dnnl_memory_desc_t what;
  CHECK(dnnl_memory_desc_create_with_tag(&what, 1, (dnnl_dims_t){count}, dnnl_f32, dnnl_a));
  return fill(what, engine, dnnl_f32);
}

static void execute(dnnl_primitive_desc_t what, dnnl_stream_t stream, const dnnl_exec_arg_t *args, int count) {
  dnnl_primitive_t primitive;
  CHECK(dnnl_primitive_create(&primitive, what));
  CHECK(dnnl_primitive_execute(primitive, stream, count, args));
  CHECK(dnnl_stream_wait(stream));
  CHECK(dnnl_primitive_destroy(primitive));
}

// Rows of float32 to be rounded to bytes with a scale each, before the product; |values| null: there is nothing to do.
typedef struct {
  const float *values;
  int64_t rows, columns;
  dnnl_memory_t codes;
  float *scales;
} rounding;

static void round_rows(const rounding *r) {
  void *codes;
  CHECK(dnnl_memory_map_data(r->codes, &codes));
#pragma omp parallel for
  for (int64_t i = 0; i < r->rows; i++) {
    const float *x = r->values + i * r->columns;
    int8_t *to = (int8_t *)codes + i * r->columns;
    float most = 0;
    for (int64_t k = 0; k < r->columns; k++) most = fabsf(x[k]) > most ? fabsf(x[k]) : most;
    float inverse = most > 0 ? 127 / most : 0;
    r->scales[i] = most / 127;
    for (int64_t k = 0; k < r->columns; k++) to[k] = (int8_t)rintf(x[k] * inverse);
  }
  CHECK(dnnl_memory_unmap_data(r->codes, codes));
}

static double rate(dnnl_primitive_desc_t what, dnnl_stream_t stream, const dnnl_exec_arg_t *args, int arg_count,
                   const rounding *rows, double operations, double seconds) {
  dnnl_primitive_t primitive;
  CHECK(dnnl_primitive_create(&primitive, what));
  double start = 0, took = 0;
  long count = -2;  // two that warm up
  while (count < 1 || took < seconds) {
    if (!count) start = now();
    if (rows->values) round_rows(rows);
    CHECK(dnnl_primitive_execute(primitive, stream, arg_count, args));
    CHECK(dnnl_stream_wait(stream));
    count++;
    if (count > 0) took = now() - start;
  }
  CHECK(dnnl_primitive_destroy(primitive));
  return operations * (double)count / took;
}

// One thread for each processor that this process may use: engines without OpenMP go by that.
static void limit_processors(void) {
  const char *wanted = getenv("OMP_NUM_THREADS");
  cpu_set_t all, some;
  if (!wanted || sched_getaffinity(0, sizeof all, &all)) return;
  CPU_ZERO(&some);
  for (int i = 0, left = atoi(wanted); i < CPU_SETSIZE && left > 0; i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &some), left--;
  sched_setaffinity(0, sizeof some, &some);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "version")) {
    const dnnl_version_t *v = dnnl_version();
    printf("%d.%d.%d\n", v->major, v->minor, v->patch);
    return 0;
  }
  if (argc != 6) return 2;
  limit_processors();
  bool rounded = !strcmp(argv[1], "int8_rounded"), scaled = rounded || !strcmp(argv[1], "int8_row");
  bool bytes = scaled || !strcmp(argv[1], "int8"), halves = !strcmp(argv[1], "bf16");
  dnnl_data_type_t left = scaled ? dnnl_s8 : bytes ? dnnl_u8 : halves ? dnnl_bf16 : dnnl_f32;
  dnnl_data_type_t right = bytes ? dnnl_s8 : left;
  dnnl_dim_t m = atol(argv[2]), k = atol(argv[3]), n = atol(argv[4]);
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
  CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
  dnnl_memory_desc_t x = describe(m, k, left, dnnl_ab), y = describe(m, n, dnnl_f32, dnnl_ab),
                     plain = describe(k, n, right, dnnl_ab), any = describe(k, n, right, dnnl_format_tag_any);
  dnnl_primitive_desc_t product, reorder;
  dnnl_primitive_attr_t attr = NULL;
  if (scaled) {
    CHECK(dnnl_primitive_attr_create(&attr));
    CHECK(dnnl_primitive_attr_set_scales_mask(attr, DNNL_ARG_WEIGHTS, 1 << 1));
    CHECK(dnnl_primitive_attr_set_scales_mask(attr, DNNL_ARG_SRC, 0));
  }
  CHECK(dnnl_matmul_primitive_desc_create(&product, engine, x, any, NULL, y, attr));
  const_dnnl_memory_desc_t own = dnnl_primitive_desc_query_md(product, dnnl_query_weights_md, 0);
  dnnl_memory_t given = fill(plain, engine, right), weights;
  CHECK(dnnl_memory_create(&weights, own, engine, DNNL_MEMORY_ALLOCATE));
  CHECK(dnnl_reorder_primitive_desc_create(&reorder, plain, engine, own, engine, NULL));
  execute(reorder, stream, (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, given}, {DNNL_ARG_TO, weights}}, 2);
  dnnl_exec_arg_t args[5] = {
      {DNNL_ARG_SRC, fill(x, engine, left)}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, fill(y, engine, dnnl_f32)}};
  int count = 3;
  if (scaled) {
    args[count++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC, scales_of(1, engine)};
    args[count++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, scales_of(n, engine)};
  }
  rounding r = {.rows = m, .columns = k, .codes = args[0].memory};
  float *values = rounded ? malloc((size_t)(m * k + m) * sizeof *values) : NULL;
  if (rounded && !values) return 1;
  for (int64_t i = 0; rounded && i < m * k; i++) values[i] = (float)((i * 7919) % 255) / 255 - 0.5f;
  if (rounded) r.values = values, r.scales = values + m * k;
  printf("%.6g\n", rate(product, stream, args, count, &r, 2.0 * (double)m * (double)k * (double)n, atof(argv[5])));
  return 0;
}
