// Choices, values and the frame of a program; the shrinker. Statements are in the random_text_*.c beside this file.
#include "tests/common/random_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/common/random_text_maker.h"

// ---- choices and texts

static uint32_t take(random_choices *c, weir_arena *arena) {
  if (c->next == c->count) {
    uint32_t fresh = 0;
    if (c->random) {
      c->random ^= c->random << 13;
      c->random ^= c->random >> 7;
      c->random ^= c->random << 17;
      fresh = (uint32_t)(c->random >> 24);
    }
    WEIR_PUSH(arena, c->data, c->count, c->capacity, fresh);
  }
  return c->data[c->next++];
}

int pick_below(maker *m, int limit) { return (int)(take(m->choices, m->arena) % (uint32_t)limit); }
bool pick_chance(maker *m, int of) { return pick_below(m, of) == of - 1; }
double pick_literal(maker *m) { return 0.25 * (1 + pick_below(m, 8)); }

void text_add(maker *m, text *t, const char *fmt, ...) {
  char line[1024];
  va_list args;
  va_start(args, fmt);
  int length = vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  if (t->length + (size_t)length + 1 > t->capacity) {
    size_t capacity = 2 * (t->capacity + (size_t)length) + 256;
    char *data = WEIR_NEW_ARRAY(m->arena, char, capacity);
    if (t->data) memcpy(data, t->data, t->length);
    t->data = data;
    t->capacity = capacity;
  }
  memcpy(t->data + t->length, line, (size_t)length + 1);
  t->length += (size_t)length;
}

const char *text_of(maker *m, const char *fmt, ...) {
  char line[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  return weir_arena_strdup(m->arena, line);
}

const char *dim_text(maker *m, int dim) {
  static const char *const names[] = {"", "T", "T - 1", "S", "S + T", "(T - 1) / 2 + 1", "2 * T", "T * 4", "B", "N"};
  return dim < 0 ? names[-dim] : text_of(m, "%d", dim);
}

const char *dims_text(maker *m, int rank, const int *dims) {
  const char *out = "";
  for (int i = 0; i < rank; i++) out = text_of(m, "%s%s%s", out, i ? ", " : "", dim_text(m, dims[i]));
  return out;
}

const char *element_text(element type) {
  static const char *const names[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "i8", "bool"};
  return names[type];
}

const char *type_text(maker *m, const value *v) {
  return text_of(m, "%s[%s]", element_text(v->type), dims_text(m, v->rank, v->dims));
}

const char *new_param(maker *m, const char *dims) {
  const char *name = text_of(m, "w%d", m->member_count++);
  MEMBER("  param %s: f32[%s];\n", name, dims);
  return name;
}

const char *new_name(maker *m, char letter) { return text_of(m, "%c%d", letter, m->names++); }

void need(maker *m, const char *declaration) {
  if (!m->blocks.data || !strstr(m->blocks.data, declaration)) text_add(m, &m->blocks, "%s", declaration);
}

// ---- values

bool is_float(element type) { return type <= BF16; }
bool is_int(element type) { return type >= I32 && type <= I8; }

bool any_float(const value *v) { return is_float(v->type); }
bool any_f32(const value *v) { return v->type == F32; }
bool any_int(const value *v) { return is_int(v->type); }
bool any_bool(const value *v) { return v->type == BOOL; }
bool any_number(const value *v) { return v->type != BOOL; }
bool any_value(const value *v) { return v->rank >= 0; }
bool exact_value(const value *v) { return v->type != BOOL && v->exact; }
bool float_lines(const value *v) { return v->type == F32 && v->rank >= 1 && v->dims[v->rank - 1] > 0; }
bool moderate(const value *v) { return v->type == F32 && v->bound <= 2; }
bool f32_rows(const value *v) { return v->type == F32 && v->rank == 2 && v->dims[0] == DIM_T && v->dims[1] > 0; }
bool f32_matrix(const value *v) { return v->type == F32 && v->rank >= 2; }

value *new_value(maker *m, element type, int rank, const int *dims, double bound, bool exact) {
  if (m->value_count == MAX_VALUES) m->value_count--;
  value *v = &m->values[m->value_count++];
  *v = (value){.type = type, .rank = rank, .bound = bound, .exact = exact};
  snprintf(v->name, sizeof v->name, "v%d", m->names++);
  for (int i = 0; i < rank; i++) v->dims[i] = dims[i];
  return v;
}

value *new_like(maker *m, const value *x, double bound, bool exact) {
  return new_value(m, x->type, x->rank, x->dims, bound, exact);
}

bool pick_value(maker *m, wanted f, value *out) {
  value *found[MAX_VALUES];
  int count = 0;
  for (int i = m->value_count - 1; i >= 0; i--)  // the newest first: choice 0 makes chains
    if (!m->values[i].latest && f(&m->values[i])) found[count++] = &m->values[i];
  if (count) *out = *found[pick_below(m, count)];
  return count > 0;
}

value pick_fitting(maker *m, const value *x) {
  value *found[MAX_VALUES];
  int count = 0;
  for (int i = m->value_count - 1; i >= 0; i--) {
    value *v = &m->values[i];
    if (v->type != x->type || v->rank > x->rank || v->latest) continue;
    bool fits = true;
    for (int k = 1; k <= v->rank; k++) fits = fits && v->dims[v->rank - k] == x->dims[x->rank - k];
    if (fits) found[count++] = v;
  }
  return count ? *found[pick_below(m, count)] : *x;
}

bool along(const maker *m, const value *v, int axis) {
  int dim = v->dims[axis];
  return dim > 0 || dim == DIM_S || dim == DIM_N || (dim != DIM_B && m->mode == MODE_SEQ);
}

bool pick_axis(maker *m, const value *v, int *out_axis) {
  int found[MAX_RANK], count = 0;
  for (int i = v->rank - 1; i >= 0; i--)
    if (along(m, v, i)) found[count++] = i;
  if (count) *out_axis = found[pick_below(m, count)];
  return count > 0;
}

void tame(maker *m, value *v) {
  if (is_float(v->type) && v->bound > 16) {
    LINE("    %s = tanh(%s);\n", v->name, v->name);
    v->bound = 1;
    v->exact = false;
  } else if (v->type == I8 ? v->bound > 100 : is_int(v->type) && v->bound > 4000) {
    LINE("    %s = %s %% 97;\n", v->name, v->name);
    v->bound = 97;
  }
}

// ---- the program

static void write_statement(maker *m) {
  static const statement *const groups[] = {random_text_elements, random_text_axes, random_text_rows, random_text_flow,
                                            random_text_blocks};
  for (int tries = 0; tries < 6; tries++) {
    const statement *group = groups[pick_below(m, 5)];
    int count = 0;
    while (group[count]) count++;
    if (group[pick_below(m, count)](m)) return;
  }
}

// A value known before the body: an argument.
static void argument(maker *m, text *params, const char *name, element type, int rank, const int *dims, double bound,
                     const char *range) {
  value *v = new_value(m, type, rank, dims, bound, true);
  snprintf(v->name, sizeof v->name, "%s", name);
  text_add(m, params, "%s%s: %s%s", params->length ? ", " : "", name, type_text(m, v), range);
}

static void arguments(maker *m, text *params) {
  static const int c[] = {5}, seq4[] = {DIM_T, 4}, seq3[] = {DIM_T, 3}, seq[] = {DIM_T}, other[] = {DIM_S, 4},
                   links[] = {DIM_S}, pairs[] = {DIM_S, 2}, plain[] = {DIM_N, 3}, batch4[] = {DIM_B, 4},
                   image[] = {DIM_B, 2, 6, 5}, batch[] = {DIM_B}, flat[] = {2, 6, 4};
  bool batched = m->mode == MODE_BATCH;
  argument(m, params, "c", F32, 1, c, 2, "");
  argument(m, params, "flag", BOOL, 0, c, 1, "");
  argument(m, params, "turns", I32, 0, c, 6, " in 0..6");
  if (m->mode == MODE_TICK) argument(m, params, "cd", F64, 1, c, 2, "");
  if (batched) argument(m, params, "image", F32, 4, image, 2, "");
  else argument(m, params, "flat", F32, 3, flat, 2, "");
  argument(m, params, "z", F32, 2, plain, 2, "");
  if (!batched) argument(m, params, "s", F32, 2, other, 2, "");
  if (m->mode == MODE_TICK) return;
  if (m->mode == MODE_SEQ) {
    argument(m, params, "wide", I64, 2, pairs, 20, " in -20..=20");
    argument(m, params, "half", F16, 2, seq3, 2, "");
    argument(m, params, "deep", F64, 1, links, 2, "");
    argument(m, params, "little", I8, 1, seq, 9, " in -9..9");
  }
  argument(m, params, "mask", BOOL, 1, batched ? batch : seq, 1, "");
  if (m->mode == MODE_SEQ) argument(m, params, "links", I32, 1, links, 24, " in 0..T");
  argument(m, params, "ids", I32, 1, batched ? batch : seq, 8, " in 0..8");
  if (!batched) argument(m, params, "y", F32, 2, seq3, 2, "");
  argument(m, params, "x", F32, 2, batched ? batch4 : seq4, 2, "");
}

static const char *results(maker *m) {
  int count = 1 + pick_below(m, 6);
  text types = {0};
  LINE("    return ");
  for (int i = 0; i < count; i++) {
    value *v = &m->values[m->value_count - 1 - pick_below(m, m->value_count < 14 ? m->value_count : 14)];
    text_add(m, &types, "%sr%d: %s", i ? ", " : "", i, type_text(m, v));
    LINE("%s%s", i ? ", " : "", v->name);
  }
  LINE(";\n  }\n");
  return types.data;
}

const char *random_text(weir_arena *arena, random_choices *choices) {
  static const mode modes[] = {MODE_SEQ, MODE_SEQ, MODE_SEQ, MODE_STEP, MODE_STEP, MODE_STEP, MODE_BATCH, MODE_TICK};
  maker m = {.arena = arena, .choices = choices};
  text params = {0};
  choices->next = 0;
  m.mode = modes[pick_below(&m, 8)];
  arguments(&m, &params);
  int count = 1 + pick_below(&m, 14);
  for (int i = 0; i < count; i++) write_statement(&m);
  const char *types = results(&m);
  if (m.remember.data)
    text_add(&m, &m.members, "  step remember(%s) {\n%s  }\n", m.remember_params.data, m.remember.data);
  static const char *const dims[] = {"  dim T: seq in 2..=24;\n  dim S: seq in 1..=12;\n",
                                     "  dim T: seq in 1..=24;\n  dim S: seq in 1..=12;\n", "  dim B: batch in 1..=8;\n",
                                     "  dim S: seq in 1..=12;\n"};
  return weir_arena_printf(arena,
                           "use std.nn;\ndim T, S: seq;\ndim B: batch;\n%smodel Random {} {\n%s  dim N in 1..=7;\n%s"
                           "  %s main(%s) -> (%s) {\n%s}\n",
                           m.blocks.data ? m.blocks.data : "", dims[m.mode], m.members.data ? m.members.data : "",
                           m.mode == MODE_STEP || m.mode == MODE_TICK ? "step" : "entry", params.data, types,
                           m.body.data);
}

double random_text_tolerance(const char *program) {
  // Values stay below 64 (random_text.h), so a stored float32 is off by at most 4e-6; programs amplify that by some
  // tens. Halves have 11 or 8 bits, and few of them stand in a row.
  if (strstr(program, "bf16")) return 0.12;
  return strstr(program, "f16") ? 0.015 : 2e-4;
}

// ---- shrinking

static bool still_fails(weir_arena *arena, random_choices *c, random_text_fails fails, void *user, const char **best) {
  const char *made = random_text(arena, c);
  if (strlen(made) >= strlen(*best) || !fails(user, made)) return false;
  *best = made;
  return true;
}

const char *random_text_shrink(weir_arena *arena, const random_choices *choices, random_text_fails fails, void *user,
                               int attempts) {
  random_choices now = {.count = choices->count};
  now.data = WEIR_NEW_ARRAY(arena, uint32_t, choices->count + 1);
  memcpy(now.data, choices->data, sizeof *now.data * (size_t)choices->count);
  random_choices first = now;
  const char *best = random_text(arena, &first);
  for (int size = now.count / 2; size >= 1; size /= 2) {
    for (int at = 0; at + size <= now.count && attempts > 0;) {
      bool made = false;
      for (int zero = 0; zero < 2 && !made; zero++, attempts--) {  // leave them out, then set them to 0
        random_choices tried = {.count = zero ? now.count : now.count - size};
        tried.data = WEIR_NEW_ARRAY(arena, uint32_t, now.count + 1);
        memcpy(tried.data, now.data, sizeof *now.data * (size_t)at);
        if (!zero) memcpy(tried.data + at, now.data + at + size, sizeof *now.data * (size_t)(now.count - at - size));
        else memcpy(tried.data + at + size, now.data + at + size, sizeof *now.data * (size_t)(now.count - at - size));
        made = still_fails(arena, &tried, fails, user, &best);
        if (made) now = tried;
      }
      if (!made) at += size;
    }
  }
  return best;
}
