// Checked sizes: products and sums of shapes, strides and bytes go through these. Each returns false on overflow and
// leaves the output alone.
#ifndef WEIR_RUNTIME_BASE_CHECKED_H
#define WEIR_RUNTIME_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool weir_add_i64(int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}

static inline bool weir_mul_i64(int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}

static inline bool weir_add_size(size_t a, size_t b, size_t *out) {
  size_t r;
  if (__builtin_add_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}

static inline bool weir_mul_size(size_t a, size_t b, size_t *out) {
  size_t r;
  if (__builtin_mul_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}

// Rounds |a| up to a multiple of |unit|, a power of two.
static inline bool weir_round_up_i64(int64_t a, int64_t unit, int64_t *out) {
  int64_t r;
  if (__builtin_add_overflow(a, unit - 1, &r)) return false;
  *out = r & ~(unit - 1);
  return true;
}

// The greatest common divisor, not negative; that of 0 and 0 is 0. |a| and |b| must not be INT64_MIN.
static inline int64_t weir_gcd_i64(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a < 0 ? -a : a;
}

#endif
