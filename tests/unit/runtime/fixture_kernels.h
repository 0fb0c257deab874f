// Kernels of the tests' model: included by fixture.h, and compiled alone (with -DFIXTURE_OBJECT) into the code object
// of a test's package. The table is included too, for the package's weights.
#include <stdint.h>
#include <string.h>

#ifdef FIXTURE_OBJECT
#define KERNEL(name)                                                   \
  void name(void *const *, const int64_t *, int64_t, int64_t, void *); \
  void name
#else
#define KERNEL(name) static void kernel_##name
#endif

#ifndef FIXTURE_OBJECT
static const float table[20] __attribute__((aligned(64))) = {0.5f,  1, 1.5f, 2,  2.5f, 3,  3.5f, 4,  4.5f, 5,
                                                             -0.5f, 7, 0.1f, 11, 0.3f, 13, 17,   19, 23,   29};
#endif

// x[row] = table[token]
KERNEL(embed)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *weights = args[0];
  const int32_t *tokens = args[1];
  float *x = args[2];
  int64_t width = dims[0];
  memset(scratch, 1, 128);
  for (int64_t i = begin; i < end; i++) {
    for (int64_t j = 0; j < width; j++) x[i * width + j] = weights[tokens[i] * width + j];
  }
}

// state(request)[position] = x[row]
KERNEL(append)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *x = args[0];
  float *const *rows = args[1];
  const int32_t *requests = args[2], *positions = args[3];
  int64_t width = dims[0];
  (void)scratch;
  for (int64_t i = begin; i < end; i++) {
    memcpy(rows[requests[i]] + positions[i] * width, x + i * width, (size_t)width * sizeof(float));
  }
}

// out[request] = sum of its rows so far
KERNEL(sum)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  float *const *rows = args[0];
  const int32_t *starts = args[1], *past = args[2];
  float *out = args[3];
  int64_t width = dims[0];
  (void)scratch;
  for (int64_t r = begin; r < end; r++) {
    int64_t count = past[r] + starts[r + 1] - starts[r];
    for (int64_t j = 0; j < width; j++) {
      float sum = 0;
      for (int64_t p = 0; p < count; p++) sum += rows[r][p * width + j];
      out[r * width + j] = sum;
    }
  }
}

// mean(request) = mean * 0.5 + x of its new rows, one after the other
KERNEL(mean)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *x = args[0];
  float *const *mean = args[1];
  const int32_t *starts = args[2];
  int64_t width = dims[0];
  (void)scratch;
  for (int64_t r = begin; r < end; r++) {
    for (int64_t i = starts[r]; i < starts[r + 1]; i++) mean[r][0] = mean[r][0] * 0.5f + x[i * width];
  }
}

// out[row] = sum of the rows of its request up to it
KERNEL(prefix)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  float *const *rows = args[0];
  const int32_t *requests = args[1], *positions = args[2];
  float *out = args[3];
  int64_t width = dims[0];
  (void)scratch;
  for (int64_t i = begin; i < end; i++) {
    for (int64_t j = 0; j < width; j++) {
      float sum = 0;
      for (int64_t p = 0; p <= positions[i]; p++) sum += rows[requests[i]][p * width + j];
      out[i * width + j] = sum;
    }
  }
}

// out[row] = sum of the two rows of a, plus b
KERNEL(blocks)(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *a = args[0];
  const uint8_t *b = args[1];
  float *out = args[2];
  (void)scratch;
  for (int64_t i = begin; i < end; i++) {
    out[i] = b[i];
    for (int64_t j = 0; j < 2 * dims[0]; j++) out[i] += a[i * 2 * dims[0] + j];
  }
}
