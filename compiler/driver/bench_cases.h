// What `weir bench kernels` measures: templates, shapes, and the graph of one op for each, with the work that it is.
#ifndef WEIR_COMPILER_DRIVER_BENCH_CASES_H
#define WEIR_COMPILER_DRIVER_BENCH_CASES_H

#include "codegen/lower/panel.h"
#include "ir/graph.h"

enum { BENCH_MOST_COPIES = 8 };

typedef enum { BENCH_LINEAR, BENCH_MATMUL, BENCH_ATTEND, BENCH_NORM } bench_op;

typedef struct {
  const char *name;
  bench_op op;
  weir_storage storage;  // of the weights
  cg_compute compute;
} bench_template;

// Rows x outputs x inputs; of attention rows x keys x size of a head.
typedef struct {
  int64_t m, n, k;
  int heads, key_heads;
  const char *of;
} bench_shape;

typedef struct {
  const bench_template *what;
  const bench_shape *size;
  bool device, simulated;
  // Filled in:
  int copies;         // of a matrix, one behind the other, so that it comes from memory
  double ops, bytes;  // of one of them: two for each multiply-add; every operand and result once
  ir_module *module;
} bench_case;

const bench_template *bench_templates(int *out_count);
// One of them, or "linear-STORAGE", "linear-STORAGE-COMPUTE"; null if it is none.
const bench_template *bench_template_find(weir_arena *arena, const char *name);
// The shapes of a large and of a small decoder; on the simulator a few tiny ones.
const bench_shape *bench_shapes(bench_op op, bool simulated, int *out_count);
// ROWSxOUTPUTSxINPUTS; of attention ROWSxKEYSxSIZE, perhaps with xHEADSxKEYHEADS behind.
bool bench_shape_parse(const char *text, bench_op op, bench_shape *out);
// |what|, |size|, |device| and |simulated| are set.
weir_status bench_case_make(weir_arena *arena, bench_case *out) WEIR_MUST_USE;

#endif
