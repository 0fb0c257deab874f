// The rules of well-formed programs: after this check the executor indexes without looking.
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/program_internal.h"

#define BAD(...) return weir_status_make(WEIR_CODE_INVALID_DATA, __VA_ARGS__)

static bool is_dtype(rt_dtype dtype) { return (unsigned)dtype < RT_DTYPE_COUNT; }

// A letter or _, then letters, digits, _ and inner dots; not min or max.
static bool is_size_name(const char *name) {
  if (!name || (!isalpha((unsigned char)*name) && *name != '_')) return false;
  for (const char *c = name; *c; c++) {
    bool inner_dot = *c == '.' && (isalnum((unsigned char)c[1]) || c[1] == '_');
    if (!isalnum((unsigned char)*c) && *c != '_' && !inner_dot) return false;
  }
  return strcmp(name, "min") != 0 && strcmp(name, "max") != 0;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// |name_at| gives the name of entry i.
static weir_status check_unique(const char *what, int count, const char *(*name_at)(const rt_program *, int),
                                const rt_program *p) {
  weir_arena arena;
  weir_arena_init(&arena);
  weir_status status = WEIR_OK;
  const char **names = WEIR_NEW_ARRAY(&arena, const char *, count + 1);
  for (int i = 0; i < count && !status; i++) {
    names[i] = name_at(p, i);
    if (!names[i]) status = weir_status_make(WEIR_CODE_INVALID_DATA, "%s %d has no name", what, i);
  }
  if (!status) qsort(names, (size_t)count, sizeof *names, compare_names);
  for (int i = 1; i < count && !status; i++)
    if (!strcmp(names[i - 1], names[i]))
      status = weir_status_make(WEIR_CODE_INVALID_DATA, "%s '%s' twice", what, names[i]);
  weir_arena_deinit(&arena);
  return status;
}

static const char *size_at(const rt_program *p, int i) { return p->sizes[i]; }
static const char *symbol_at(const rt_program *p, int i) { return p->symbols[i].name; }
static const char *volume_at(const rt_program *p, int i) { return p->volumes[i].name; }
static const char *input_at(const rt_program *p, int i) { return p->inputs[i].name; }
static const char *output_at(const rt_program *p, int i) { return p->outputs[i].name; }
static const char *state_at(const rt_program *p, int i) { return p->states[i].path; }
static const char *weight_at(const rt_program *p, int i) { return p->weights[i].path; }
static const char *kernel_at(const rt_program *p, int i) { return p->kernels[i].symbol; }

static weir_status check_names(const rt_program *p) {
  WEIR_TRY(check_unique("size", p->size_count, size_at, p));
  WEIR_TRY(check_unique("symbol", p->symbol_count, symbol_at, p));
  WEIR_TRY(check_unique("volume", p->volume_count, volume_at, p));
  WEIR_TRY(check_unique("input", p->input_count, input_at, p));
  WEIR_TRY(check_unique("output", p->output_count, output_at, p));
  WEIR_TRY(check_unique("state", p->state_count, state_at, p));
  WEIR_TRY(check_unique("weight", p->weight_count, weight_at, p));
  return check_unique("kernel", p->kernel_count, kernel_at, p);
}

static bool size_is(const rt_program *p, int size, const char *name, const char *suffix) {
  if (size < 0 || size >= p->size_count) return false;
  size_t length = strlen(name);
  return !strncmp(p->sizes[size], name, length) && !strcmp(p->sizes[size] + length, suffix);
}

static weir_status check_symbol(const rt_program *p, const rt_symbol *s) {
  if (!is_size_name(s->name)) BAD("symbol '%s' is no name", s->name);
  if ((unsigned)s->role > RT_ROLE_SEQ) BAD("symbol %s has no role", s->name);
  if (s->lo < 0 || s->lo > s->hi) BAD("symbol %s: bounds %" PRId64 "..%" PRId64, s->name, s->lo, s->hi);
  if (s->divisor < 1) BAD("symbol %s: divisor %" PRId64, s->name, s->divisor);
  if (s->grows && s->role != RT_ROLE_SEQ) BAD("symbol %s grows and is no seq", s->name);
  if (s->stored && (s->role != RT_ROLE_SEQ || s->grows || !p->step)) BAD("symbol %s cannot be stored", s->name);
  if (!size_is(p, s->size, s->name, "")) BAD("symbol %s has no size", s->name);
  bool has_max = s->role != RT_ROLE_PLAIN;
  if (has_max ? !size_is(p, s->size_max, s->name, ".max") : s->size_max != -1)
    BAD("symbol %s: size %s.max", s->name, s->name);
  if (s->grows ? !size_is(p, s->size_all_max, s->name, ".all.max") : s->size_all_max != -1)
    BAD("symbol %s: size %s.all.max", s->name, s->name);
  return WEIR_OK;
}

// Every size is R or belongs to a symbol or a loop: the executor can compute it.
// A loop's size counts nothing else.
static weir_status mark_loop_sizes(const rt_program *p, bool *known) {
  for (int i = 0; i < p->loop_count; i++) {
    int size = p->loops[i].size;
    if (size < 0 || size >= p->size_count) BAD("loop %d: no size %d", i, size);
    if (known[size] || !strcmp(p->sizes[size], "R")) BAD("loop %d: size %s is taken", i, p->sizes[size]);
  }
  for (int i = 0; i < p->loop_count; i++) known[p->loops[i].size] = true;
  return WEIR_OK;
}

static weir_status check_sizes(const rt_program *p) {
  bool *known = calloc((size_t)p->size_count + 1, sizeof *known);
  if (!known) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "sizes of a program");
  for (int i = 0; i < p->symbol_count; i++) {
    const rt_symbol *s = &p->symbols[i];
    known[s->size] = true;
    if (s->size_max >= 0) known[s->size_max] = true;
    if (s->size_all_max >= 0) known[s->size_all_max] = true;
  }
  for (int i = 0; i < p->volume_count; i++) known[p->volumes[i].size] = known[p->volumes[i].size_max] = true;
  weir_status status = mark_loop_sizes(p, known);
  bool requests = false;
  for (int i = 0; i < p->size_count && !status; i++) {
    bool is_requests = !strcmp(p->sizes[i], "R");
    requests |= is_requests;
    if (!is_size_name(p->sizes[i]))
      status = weir_status_make(WEIR_CODE_INVALID_DATA, "size '%s' is no name", p->sizes[i]);
    else if (!known[i] && !is_requests)
      status = weir_status_make(WEIR_CODE_INVALID_DATA, "size %s belongs to no symbol, volume or loop", p->sizes[i]);
  }
  if (!status && !requests) status = weir_status_make(WEIR_CODE_INVALID_DATA, "size R is missing");
  free(known);
  return status;
}

static weir_status check_volume(const rt_program *p, const rt_volume *v) {
  if (!is_size_name(v->name)) BAD("volume '%s' is no name", v->name);
  if (!rt_expr_well_formed(v->count, 2 * p->symbol_count)) BAD("volume %s: malformed count", v->name);
  if (!size_is(p, v->size, v->name, "") || !size_is(p, v->size_max, v->name, ".max"))
    BAD("volume %s has no sizes", v->name);
  for (int i = 0; i < p->symbol_count; i++)
    if (p->symbols[i].size == v->size || !strcmp(p->symbols[i].name, v->name))
      BAD("volume %s has the name of a symbol", v->name);
  return WEIR_OK;
}

static weir_status check_tensor(const rt_program *p, const rt_tensor *t) {
  if (!is_dtype(t->dtype)) BAD("tensor '%s' has no element type", t->name);
  if (t->rank < 0 || t->rank > RT_MAX_RANK) BAD("tensor '%s': rank %d", t->name, t->rank);
  for (int d = 0; d < t->rank; d++)
    if (!rt_expr_well_formed(t->dims[d], 2 * p->symbol_count)) BAD("tensor '%s': malformed dim %d", t->name, d);
  if (t->limited && (t->lo > t->hi || !rt_expr_well_formed(t->below, 2 * p->symbol_count)))
    BAD("tensor '%s': malformed bound", t->name);
  if (t->ragged < -1 || t->ragged >= p->symbol_count + p->volume_count)
    BAD("tensor '%s': no symbol %d", t->name, t->ragged);
  if (t->ragged >= 0 && t->ragged < p->symbol_count && (t->rank == 0 || p->symbols[t->ragged].role == RT_ROLE_PLAIN))
    BAD("tensor '%s' cannot be packed by %s", t->name, p->symbols[t->ragged].name);
  if (!rt_expr_well_formed(t->bytes, p->size_count)) BAD("tensor '%s': malformed extent", t->name);
  return WEIR_OK;
}

static weir_status check_state(const rt_program *p, const rt_state *s) {
  if (!is_dtype(s->dtype)) BAD("state '%s' has no element type", s->path);
  if (s->row_bytes < 1) BAD("state '%s': %" PRId64 " bytes", s->path, s->row_bytes);
  if (s->window < 0) BAD("state '%s': window %" PRId64, s->path, s->window);
  if (!s->rows) {
    if (s->symbol != -1 || s->window || s->whole || s->panel) BAD("state '%s' has no rows", s->path);
    if (s->reads && !s->unset) BAD("state '%s' always has a value to read", s->path);
    return WEIR_OK;
  }
  if (s->panel && s->row_bytes % rt_dtype_bytes(s->dtype)) BAD("state '%s': rows of parts of elements", s->path);
  int counts = p->symbol_count + (s->whole ? p->volume_count : 0);
  if (s->symbol < 0 || s->symbol >= counts ||
      (s->symbol < p->symbol_count && p->symbols[s->symbol].role != RT_ROLE_SEQ))
    BAD("state '%s' has rows of no seq", s->path);
  if (s->unset || (s->whole ? s->window != 0 : s->reads || s->writes)) BAD("state '%s' is of two kinds", s->path);
  if (s->whole && !p->step) BAD("state '%s' needs a session", s->path);
  if (s->whole && s->symbol < p->symbol_count && p->symbols[s->symbol].grows)
    BAD("state '%s' is replaced and grows", s->path);
  return WEIR_OK;
}

static weir_status check_tables(const rt_program *p) {
  for (int i = 0; i < p->weight_count; i++)
    if (p->weights[i].bytes < 0) BAD("weight '%s': %" PRId64 " bytes", p->weights[i].path, p->weights[i].bytes);
  for (int i = 0; i < p->buffer_count; i++) {
    const rt_buffer *b = &p->buffers[i];
    if (!b->name) BAD("buffer %d has no name", i);
    if (!rt_expr_well_formed(b->bytes, p->size_count)) BAD("buffer %d: malformed extent", i);
    if (!rt_expr_well_formed(b->offset, p->size_count)) BAD("buffer %d: malformed offset", i);
    if (b->offset.op_count == 1 && b->offset.ops[0].code == RT_SIZE_CONST &&
        (b->offset.ops[0].value < 0 || b->offset.ops[0].value % 64))
      BAD("buffer %d: offset %" PRId64 " is no multiple of 64", i, b->offset.ops[0].value);
  }
  for (int i = 0; i < p->kernel_count; i++) {
    const rt_kernel *k = &p->kernels[i];
    if (k->scratch_bytes < 0) BAD("kernel %d: scratch of %" PRId64 " bytes", i, k->scratch_bytes);
    if (k->arg_count < 0 || k->arg_count > RT_MAX_ARGS) BAD("kernel %d: %d arguments", i, k->arg_count);
    if (k->dim_count < 0 || k->dim_count > RT_MAX_DIMS) BAD("kernel %d: %d dims", i, k->dim_count);
  }
  return WEIR_OK;
}

static weir_status check_arg(const rt_program *p, int launch, int number, rt_arg arg) {
  int ragged = p->symbol_count + p->volume_count;
  const int counts[] = {
      [RT_ARG_BUFFER] = p->buffer_count, [RT_ARG_WEIGHT] = p->weight_count,    [RT_ARG_INPUT] = p->input_count,
      [RT_ARG_OUTPUT] = p->output_count, [RT_ARG_STATE] = p->state_count,      [RT_ARG_STARTS] = ragged,
      [RT_ARG_REQUESTS] = ragged,        [RT_ARG_POSITIONS] = p->symbol_count, [RT_ARG_PAST] = p->symbol_count};
  if ((unsigned)arg.kind > RT_ARG_PAST) BAD("launch %d: argument %d is of no kind", launch, number);
  if (arg.index < 0 || arg.index >= counts[arg.kind])
    BAD("launch %d: argument %d names entry %d of %d", launch, number, arg.index, counts[arg.kind]);
  if (arg.kind >= RT_ARG_STARTS && arg.index < p->symbol_count && p->symbols[arg.index].role == RT_ROLE_PLAIN)
    BAD("launch %d: argument %d: %s has no rows", launch, number, p->symbols[arg.index].name);
  return WEIR_OK;
}

static weir_status check_launch(const rt_program *p, int i) {
  const rt_launch *l = &p->launches[i];
  if (l->kernel < 0 || l->kernel >= p->kernel_count) BAD("launch %d: no kernel %d", i, l->kernel);
  const rt_kernel *k = &p->kernels[l->kernel];
  if (l->arg_count != k->arg_count)
    BAD("launch %d: %d arguments, kernel %d takes %d", i, l->arg_count, l->kernel, k->arg_count);
  if (l->dim_count != k->dim_count)
    BAD("launch %d: %d dims, kernel %d takes %d", i, l->dim_count, l->kernel, k->dim_count);
  if (!rt_expr_well_formed(l->grid, p->size_count)) BAD("launch %d: malformed grid", i);
  for (int a = 0; a < l->arg_count; a++) WEIR_TRY(check_arg(p, i, a, l->args[a]));
  for (int d = 0; d < l->dim_count; d++)
    if (!rt_expr_well_formed(l->dims[d], p->size_count)) BAD("launch %d: malformed dim %d", i, d);
  if (l->guard.op_count && !rt_expr_well_formed(l->guard, p->size_count)) BAD("launch %d: malformed guard", i);
  bool costs = l->flops_per_item.op_count || l->bytes_per_item.op_count;
  if (costs && (!rt_expr_well_formed(l->flops_per_item, p->size_count) ||
                !rt_expr_well_formed(l->bytes_per_item, p->size_count)))
    BAD("launch %d: malformed cost", i);
  return WEIR_OK;
}

static weir_status check_loops(const rt_program *p) {
  int open[RT_MAX_LOOP_DEPTH], depth = 0;
  for (int i = 0; i < p->loop_count; i++) {
    const rt_loop *l = &p->loops[i];
    if (l->first < 0 || l->last < l->first || l->last >= p->launch_count)
      BAD("loop %d: launches %d to %d of %d", i, l->first, l->last, p->launch_count);
    if (!rt_expr_well_formed(l->trips, p->size_count)) BAD("loop %d: malformed trips", i);
    if (l->flags < -1 || l->flags >= p->buffer_count) BAD("loop %d: no buffer %d", i, l->flags);
    if (i && l->first < p->loops[i - 1].first) BAD("loop %d begins before the one before it", i);
    while (depth && p->loops[open[depth - 1]].last < l->first) depth--;
    if (depth && p->loops[open[depth - 1]].last < l->last) BAD("loop %d crosses another one", i);
    if (depth == RT_MAX_LOOP_DEPTH) BAD("loop %d is nested too deeply", i);
    for (int k = 0; k < depth; k++)
      if (p->loops[open[k]].size == l->size) BAD("loop %d counts in the size of the loop around it", i);
    open[depth++] = i;
  }
  return WEIR_OK;
}

weir_status rt_program_verify(const rt_program *p) {
  if (!p->name) BAD("the program has no name");
  const int counts[] = {p->size_count,   p->symbol_count, p->input_count,  p->output_count,
                        p->state_count,  p->weight_count, p->buffer_count, p->kernel_count,
                        p->launch_count, p->loop_count,   p->volume_count};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    if (counts[i] < 0) BAD("a negative count");
  WEIR_TRY(check_names(p));
  for (int i = 0; i < p->symbol_count; i++) WEIR_TRY(check_symbol(p, &p->symbols[i]));
  for (int i = 0; i < p->volume_count; i++) WEIR_TRY(check_volume(p, &p->volumes[i]));
  WEIR_TRY(check_sizes(p));
  for (int i = 0; i < p->input_count; i++) WEIR_TRY(check_tensor(p, &p->inputs[i]));
  for (int i = 0; i < p->output_count; i++) WEIR_TRY(check_tensor(p, &p->outputs[i]));
  for (int i = 0; i < p->state_count; i++) WEIR_TRY(check_state(p, &p->states[i]));
  WEIR_TRY(check_tables(p));
  for (int i = 0; i < p->launch_count; i++) WEIR_TRY(check_launch(p, i));
  WEIR_TRY(check_loops(p));
  if (!rt_expr_well_formed(p->arena_bytes, p->size_count)) BAD("malformed arena extent");
  return WEIR_OK;
}
