// A cuBLASLt for tests: the entry points of library.def, computing on the process's memory, which is the simulator's.
//
// WEIR_FAKE_BLASLT_VERSION=N is the version it says. Layouts are columns first, as the library's are; sums are in
// double precision, so that they are not the bits of any of Weir's kernels. fake_blaslt_fail makes the Nth call fail.
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/cuda/library.h"
#include "tests/fake-driver/fake.h"

enum { MOST_PROPOSALS = 3 };

typedef struct {
  int type;
  uint64_t rows, cols;
  int64_t lead;
} matrix;
typedef struct {
  int compute, scale, trans_a;
} operation;

static struct {
  int64_t calls, fail_at, products, live, algorithms[RT_CUDA_LIBRARY_PROPOSALS];
  int code;
  bool failed;
} fake;

void fake_blaslt_fail(int64_t nth, int code) {
  int64_t live = fake.live;
  memset(&fake, 0, sizeof fake);
  fake.live = live;
  fake.fail_at = nth;
  fake.code = code;
}
int64_t fake_blaslt_calls(void) { return fake.calls; }
int64_t fake_blaslt_products(int algorithm) {
  return algorithm < 0 ? fake.products : fake.algorithms[algorithm % RT_CUDA_LIBRARY_PROPOSALS];
}
int64_t fake_blaslt_live(void) { return fake.live; }
int fake_blaslt_failed(void) { return fake.failed; }

static int begin(void) {
  bool chosen = ++fake.calls == fake.fail_at;
  fake.failed |= chosen;
  return chosen ? fake.code : 0;
}

static int make(void **out, const void *value, size_t bytes) {
  int code = begin();
  if (code) return code;
  *out = malloc(bytes);
  if (!*out) return RT_CUDA_LIBRARY_NO_MEMORY;
  memcpy(*out, value, bytes);
  fake.live++;
  return 0;
}

static int drop(void *object) {
  if (!object) return RT_CUDA_LIBRARY_INVALID_VALUE;
  free(object);
  fake.live--;
  return 0;
}

static size_t fake_version_of(void) {
  const char *version = getenv("WEIR_FAKE_BLASLT_VERSION");
  return version ? (size_t)atoll(version) : 130000;
}
static int fake_create(void **out) { return make(out, &(int){0}, sizeof(int)); }
static int fake_destroy(void *handle) { return drop(handle); }
static int fake_desc_create(void **out, int compute_type, int scale_type) {
  return make(out, &(operation){compute_type, scale_type, 0}, sizeof(operation));
}
static int fake_desc_destroy(void *object) { return drop(object); }
static int fake_desc_set(void *object, int attribute, const void *value, size_t bytes) {
  int code = begin();
  if (code) return code;
  if (attribute != RT_CUDA_LIBRARY_DESC_TRANSA || bytes != sizeof(int)) return RT_CUDA_LIBRARY_INVALID_VALUE;
  memcpy(&((operation *)object)->trans_a, value, bytes);
  return 0;
}
static int fake_layout_create(void **out, int type, uint64_t rows, uint64_t cols, int64_t lead) {
  if (lead < (int64_t)rows) return RT_CUDA_LIBRARY_INVALID_VALUE;
  return make(out, &(matrix){type, rows, cols, lead}, sizeof(matrix));
}
static int fake_layout_destroy(void *object) { return drop(object); }
static int fake_preference_create(void **out) { return make(out, &(uint64_t){0}, sizeof(uint64_t)); }
static int fake_preference_destroy(void *object) { return drop(object); }
static int fake_preference_set(void *object, int attribute, const void *value, size_t bytes) {
  int code = begin();
  if (code) return code;
  if (attribute != RT_CUDA_LIBRARY_WORKSPACE || bytes != sizeof(uint64_t)) return RT_CUDA_LIBRARY_INVALID_VALUE;
  memcpy(object, value, bytes);
  return 0;
}

static bool fits(const operation *o, const matrix *a, const matrix *b, const matrix *d) {
  bool types = a->type == RT_CUDA_LIBRARY_BF16 && b->type == a->type && d->type == RT_CUDA_LIBRARY_F32;
  return types && o->trans_a == RT_CUDA_LIBRARY_TRANSPOSED && a->rows == b->rows && d->rows == a->cols &&
         d->cols == b->cols && o->compute == RT_CUDA_LIBRARY_COMPUTE_F32;
}

static int fake_heuristic(void *handle, void *object, void *a, void *b, void *c, void *d, void *preference, int wanted,
                          rt_cuda_proposal *out, int *out_count) {
  int code = begin();
  if (code) return code;
  uint64_t room;
  memcpy(&room, preference, sizeof room);
  if (!handle || c != d || wanted < 1 || !fits(object, a, b, d)) return RT_CUDA_LIBRARY_NOT_SUPPORTED;
  *out_count = wanted < MOST_PROPOSALS ? wanted : MOST_PROPOSALS;
  for (int i = 0; i < *out_count; i++) {
    out[i] = (rt_cuda_proposal){.workspace_bytes = (size_t)i * 4096};
    out[i].algorithm.data[0] = 0xa190 + (uint64_t)i;
    if (out[i].workspace_bytes > room) out[i].state = RT_CUDA_LIBRARY_NOT_SUPPORTED;
  }
  return 0;
}

static float bf16_at(const void *memory, size_t at) {
  uint16_t half;
  memcpy(&half, (const uint8_t *)memory + 2 * at, sizeof half);
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static int fake_matmul(void *handle, void *object, const void *alpha, const void *a, void *a_layout, const void *b,
                       void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,
                       const rt_cuda_algorithm *algorithm, void *workspace, size_t workspace_bytes, void *stream) {
  int code = begin();
  if (code) return code;
  const matrix *la = a_layout, *lb = b_layout, *ld = d_layout;
  uint64_t nth = algorithm->data[0] - 0xa190;
  bool good = handle && stream && c == d && c_layout == d_layout && fits(object, la, lb, ld) && nth < MOST_PROPOSALS &&
              workspace_bytes == nth * 4096 && *(const float *)alpha == 1 && *(const float *)beta == 0;
  if (!good) return RT_CUDA_LIBRARY_INVALID_VALUE;
  if (workspace_bytes) memset(workspace, 0x5a, workspace_bytes);
  for (uint64_t m = 0; m < ld->cols; m++) {
    for (uint64_t n = 0; n < ld->rows; n++) {
      double sum = 0;
      for (uint64_t k = 0; k < la->rows; k++)
        sum += (double)bf16_at(a, n * (size_t)la->lead + k) * bf16_at(b, m * (size_t)lb->lead + k);
      ((float *)d)[m * (size_t)ld->lead + n] = (float)sum;
    }
  }
  fake.products++;
  fake.algorithms[nth]++;
  return 0;
}

#define CALL(field, symbol, result, parameters, arguments) \
  FAKE_EXPORT result symbol parameters;                    \
  result symbol parameters { return fake_##field arguments; }
#include "runtime/device/cuda/library.def"
