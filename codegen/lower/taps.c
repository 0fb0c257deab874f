// Rows of convolution weights in the order that their kernels read. The Winograd transform of a row is computed in
// double and rounded once, so that it adds no error of its own to that of the products.
#include "codegen/lower/taps.h"

#include "runtime/base/checked.h"

bool cg_taps_cols(cg_layout layout, int rank, const int64_t *dims, int64_t *out_cols) {
  if (layout == CG_LAYOUT_WINOGRAD) return weir_mul_i64(dims[1], CG_WINOGRAD_TAPS, out_cols);
  *out_cols = 1;
  for (int i = 1; i < rank; i++)
    if (!weir_mul_i64(*out_cols, dims[i], out_cols)) return false;
  return true;
}

bool cg_taps_bytes(cg_weight_format format, int rank, const int64_t *dims, int64_t *out_bytes) {
  int64_t cols;
  return cg_taps_cols(format.layout, rank, dims, &cols) && cg_panel_bytes(format.storage, dims[0], cols, out_bytes);
}

// G x for G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
static void transform(const double x[3], double out[4]) {
  out[0] = x[0];
  out[1] = 0.5 * (x[0] + x[1] + x[2]);
  out[2] = 0.5 * (x[0] - x[1] + x[2]);
  out[3] = x[2];
}

static void winograd_taps(const float *taps, double out[4][4]) {
  double half[4][3];
  for (int x = 0; x < 3; x++) {
    double column[3] = {taps[x], taps[3 + x], taps[6 + x]}, made[4];
    transform(column, made);
    for (int y = 0; y < 4; y++) half[y][x] = made[y];
  }
  for (int y = 0; y < 4; y++) transform(half[y], out[y]);
}

void cg_taps_row(cg_layout layout, int rank, const int64_t *dims, const float *row, float *out) {
  int64_t channels = dims[1], taps = 1;
  for (int i = 2; i < rank; i++) taps *= dims[i];
  for (int64_t c = 0; c < channels; c++) {
    if (layout == CG_LAYOUT_WINOGRAD) {
      double made[4][4];
      winograd_taps(row + c * taps, made);
      for (int t = 0; t < CG_WINOGRAD_TAPS; t++) out[t * channels + c] = (float)made[t / 4][t % 4];
    } else {
      for (int64_t t = 0; t < taps; t++) out[t * channels + c] = row[c * taps + t];
    }
  }
}
