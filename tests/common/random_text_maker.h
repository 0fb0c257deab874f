// Shared by the files of the generator of random programs only (random_text.h): the program under way, the values it
// has so far, and how statements are written.
//
// A statement picks values, appends its lines, and enters what it made with what is known of it: type, bound of the
// magnitude, whether float32 computes it exactly. It returns false where it found no operands; what it wrote until then
// must still be a program.
#ifndef WEIR_TESTS_COMMON_RANDOM_TEXT_MAKER_H
#define WEIR_TESTS_COMMON_RANDOM_TEXT_MAKER_H

#include <stddef.h>

#include "tests/common/random_text.h"

enum { MAX_VALUES = 64, MAX_RANK = 4 };

// Dims: a number, or one of these.
enum {
  DIM_T = -1,
  DIM_T_LESS = -2,  // T - 1
  DIM_S = -3,
  DIM_S_T = -4,      // S + T
  DIM_T_HALF = -5,   // (T - 1) / 2 + 1
  DIM_T_TWICE = -6,  // 2 * T
  DIM_T_FOUR = -7,   // T * 4
  DIM_B = -8,        // a batch
  DIM_N = -9,        // plain, known at run time
};

typedef enum { F32, F64, F16, BF16, I32, I64, I8, BOOL } element;

typedef struct {
  char name[16];
  element type;
  int rank, dims[MAX_RANK];
  double bound;
  bool exact;
  bool latest;  // of the last row of a sequence that grows: it may be returned, no more
} value;

typedef struct {
  char *data;
  size_t length, capacity;
} text;

typedef enum {
  MODE_SEQ,    // an entry: all lengths arrive whole
  MODE_STEP,   // T grows
  MODE_BATCH,  // an entry of examples
  MODE_TICK,   // a step without T: states of fixed shapes
} mode;

typedef struct {
  weir_arena *arena;
  random_choices *choices;
  mode mode;
  text blocks, members, body, remember, remember_params;
  value values[MAX_VALUES];
  int value_count, names, member_count;
} maker;

// ---- choices: 0 is the simplest
int pick_below(maker *m, int limit);
bool pick_chance(maker *m, int of);  // one in |of|; 0 is no
double pick_literal(maker *m);       // an exact one in (0, 2]

// ---- texts
void text_add(maker *m, text *t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define LINE(...) text_add(m, &m->body, __VA_ARGS__)
#define MEMBER(...) text_add(m, &m->members, __VA_ARGS__)
const char *text_of(maker *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *dim_text(maker *m, int dim);
const char *dims_text(maker *m, int rank, const int *dims);  // "T, 4"
const char *element_text(element type);
const char *type_text(maker *m, const value *v);
const char *new_param(maker *m, const char *dims);  // an f32 weight, elements within 0.5
const char *new_name(maker *m, char letter);

// ---- values
typedef bool (*wanted)(const value *v);
bool pick_value(maker *m, wanted f, value *out);  // never a latest one
bool any_float(const value *v);
bool any_f32(const value *v);
bool any_int(const value *v);
bool any_bool(const value *v);
bool any_number(const value *v);
bool any_value(const value *v);
bool exact_value(const value *v);  // numbers
bool float_lines(const value *v);  // f32 with a last dim of a fixed number
bool moderate(const value *v);     // f32 within 2
bool f32_rows(const value *v);     // [T, D]
bool f32_matrix(const value *v);   // f32 of two dims or more
value *new_value(maker *m, element type, int rank, const int *dims, double bound, bool exact);
value *new_like(maker *m, const value *x, double bound, bool exact);
// Another value of |x|'s type, whose shape is that of |x|, ends it, or is a scalar. There is one: |x|.
value pick_fitting(maker *m, const value *x);
// Whether ops may look along the axis.
bool along(const maker *m, const value *v, int axis);
bool pick_axis(maker *m, const value *v, int *out_axis);
bool is_float(element type);
bool is_int(element type);
// Brings it back to small magnitudes where it has grown.
void tame(maker *m, value *v);

// Adds |declaration| in front of the model, once.
void need(maker *m, const char *declaration);

// ---- statements
typedef bool (*statement)(maker *m);
extern const statement random_text_elements[], random_text_axes[], random_text_rows[], random_text_flow[],
    random_text_blocks[];  // end with null

#endif
