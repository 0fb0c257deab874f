// The builder of kernels: buffers, sizes, expressions and statements at the end of the open list.
//
// Misuse (closing a list that is not open, too many arguments) is our bug; what slips through in a release build is
// refused by ir_kernel_verify, so nothing here reports.
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "ir/kernel_internal.h"

const char *ir_k_clean_name(weir_arena *arena, const char *name) {
  if (!name || !*name) return "v";
  bool prefix = !isalpha((unsigned char)*name) && *name != '_';
  char *clean = weir_arena_printf(arena, "%s%s", prefix ? "_" : "", name);
  for (char *p = clean; *p; p++) {
    // A dot stands between two other characters only.
    bool dot = *p == '.' && p[1] && p[1] != '.' && p > clean;
    if (!isalnum((unsigned char)*p) && *p != '_' && !dot) *p = '_';
  }
  static const char *const literals[] = {"true", "false", "inf", "nan"};
  for (int i = 0; i < 4; i++)
    if (!strcmp(clean, literals[i])) return weir_arena_printf(arena, "%s_", clean);
  return clean;
}

// ---- the kernel
void ir_kb_init(ir_kbuilder *b, weir_arena *arena, const char *name, const char *banner) {
  *b =
      (ir_kbuilder){.arena = arena, .kernel = WEIR_NEW(arena, ir_kernel), .state = WEIR_NEW(arena, struct ir_kb_state)};
  b->kernel->name = ir_k_clean_name(arena, name);
  b->kernel->banner = banner ? weir_arena_strdup(arena, banner) : "";
  ir_kx_table_init(&b->state->table, arena);
  b->kernel->grid = ir_kb_int(b, 1);
  WEIR_PUSH(arena, b->ends, b->depth, b->capacity, &b->kernel->body);
  b->state->open_capacity = 8;
  b->state->open = WEIR_NEW_ARRAY(arena, ir_kstmt *, 8);
}

const ir_kexpr *ir_kb_add_size(ir_kbuilder *b, const char *name) {
  ir_kernel *k = b->kernel;
  const char *clean = ir_k_clean_name(b->arena, name);
  int index = 0;
  while (index < k->size_count && index < IR_KERNEL_MAX_SIZES && strcmp(k->sizes[index], clean)) index++;
  if (index == k->size_count) {
    k->size_count++;
    if (index < IR_KERNEL_MAX_SIZES) k->sizes[index] = clean;
    else WEIR_BUG("too many sizes");
  }
  return ir_kx_make(&b->state->table, &(ir_kexpr){.op = IR_K_size, .type = IR_KT_i64, .index = index});
}

static int buffer_push(ir_kbuilder *b, const ir_kbuffer *buffer) {
  ir_kernel *k = b->kernel;
  WEIR_PUSH(b->arena, k->buffers, k->buffer_count, k->buffer_capacity, *buffer);
  if (buffer->arg >= k->arg_count) k->arg_count = buffer->arg + 1;
  return k->buffer_count - 1;
}

int ir_kb_add_buffer(ir_kbuilder *b, ir_kbuffer_kind kind, const char *name, const ir_kexpr *bytes, int arg) {
  if (kind >= IR_KB_LOCAL) arg = -1;
  else if (arg < 0) arg = b->kernel->arg_count;
  bool table = kind == IR_KB_TABLE_IN || kind == IR_KB_TABLE_INOUT;
  return buffer_push(
      b,
      &(ir_kbuffer){.kind = kind, .name = ir_k_clean_name(b->arena, name), .bytes = table ? NULL : bytes, .arg = arg});
}

int ir_kb_add_const(ir_kbuilder *b, const char *name, ir_ktype type, int64_t count, const double *data) {
  double *copy = WEIR_NEW_ARRAY(b->arena, double, count);
  for (int64_t i = 0; i < count; i++) {
    bool is_float = ir_ktype_is_float(type);
    copy[i] = is_float ? ir_ktype_round(type, data[i]) : (double)ir_ktype_saturate(type, data[i]);
  }
  return buffer_push(b, &(ir_kbuffer){.kind = IR_KB_CONST,
                                      .name = ir_k_clean_name(b->arena, name),
                                      .arg = -1,
                                      .bytes = ir_kb_int(b, count * ir_ktype_bytes(type)),
                                      .type = type,
                                      .count = count,
                                      .data = copy});
}

static ir_kvar *var_new(ir_kbuilder *b, ir_kvar_kind kind, const char *name, ir_ktype type) {
  ir_kvar *var = WEIR_NEW(b->arena, ir_kvar);
  *var = (ir_kvar){.kind = kind, .name = ir_k_clean_name(b->arena, name), .type = type, .id = b->kernel->var_count++};
  return var;
}

// The read of a range variable or value, whose facts are known where it is declared.
static const ir_kexpr *var_read(ir_kbuilder *b, ir_kvar *var, const ir_kfacts *facts) {
  struct ir_kb_state *s = b->state;
  const ir_kexpr model = {.op = IR_K_var, .type = var->type, .var = var};
  const ir_kexpr *read = ir_kx_make_with(&s->table, &model, facts);
  while (s->read_count <= var->id) WEIR_PUSH(b->arena, s->reads, s->read_count, s->read_capacity, NULL);
  s->reads[var->id] = read;
  return read;
}

static const ir_kexpr *range_read(ir_kbuilder *b, ir_kvar *var, const ir_kexpr *lo, const ir_kexpr *hi) {
  ir_kfacts facts = ir_kx_range_facts(lo, hi);
  return var_read(b, var, &facts);
}

const ir_kexpr *ir_kb_range_var(ir_kbuilder *b, const char *name, const ir_kexpr *lo, const ir_kexpr *hi) {
  return range_read(b, var_new(b, IR_KVAR_RANGE, name, IR_KT_i64), lo, hi);
}

const ir_kexpr *ir_kb_value_var(ir_kbuilder *b, const char *name, ir_ktype type) {
  ir_kfacts facts = {.depth = 1, .data = true};
  ir_ktype_limits(type, &facts.lo, &facts.hi);
  return var_read(b, var_new(b, IR_KVAR_VALUE, name, type), &facts);
}

const ir_kexpr *ir_kb_set_grid(ir_kbuilder *b, const ir_kexpr *count, const char *name) {
  b->kernel->grid = count;
  b->kernel->grid_var = var_new(b, IR_KVAR_RANGE, name, IR_KT_i64);
  return range_read(b, b->kernel->grid_var, ir_kb_int(b, 0), count);
}

// ---- expressions
const ir_kexpr *ir_kb_int_const(ir_kbuilder *b, ir_ktype type, int64_t value) {
  return ir_kx_make(&b->state->table, &(ir_kexpr){.op = IR_K_const, .type = type, .i = ir_ktype_wrap(type, value)});
}

const ir_kexpr *ir_kb_int(ir_kbuilder *b, int64_t value) { return ir_kb_int_const(b, IR_KT_i64, value); }

const ir_kexpr *ir_kb_const(ir_kbuilder *b, ir_ktype type, double value) {
  if (!ir_ktype_is_float(type)) return ir_kb_int_const(b, type, ir_ktype_saturate(type, value));
  double rounded = isnan(value) ? (double)NAN : ir_ktype_round(type, value);
  return ir_kx_make(&b->state->table, &(ir_kexpr){.op = IR_K_const, .type = type, .f = rounded});
}

const ir_kexpr *ir_kb_raw(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                          const ir_kexpr *z) {
  int count = z ? 3 : y ? 2 : x ? 1 : 0;
  return ir_kx_make(&b->state->table, &(ir_kexpr){.op = op, .type = type, .arg_count = count, .args = {x, y, z}});
}

const ir_kexpr *ir_kb_op(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                         const ir_kexpr *z) {
  const ir_kexpr *folded = ir_k_fold(b, op, type, x, y, z);
  return folded ? folded : ir_kb_raw(b, op, type, x, y, z);
}

const ir_kexpr *ir_kb_add(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_add, x->type, x, y, NULL);
}
const ir_kexpr *ir_kb_sub(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_sub, x->type, x, y, NULL);
}
const ir_kexpr *ir_kb_mul(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_mul, x->type, x, y, NULL);
}
const ir_kexpr *ir_kb_div(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_div, x->type, x, y, NULL);
}
const ir_kexpr *ir_kb_mod(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_mod, x->type, x, y, NULL);
}
const ir_kexpr *ir_kb_min(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_min, x->type, x, y, NULL);
}
const ir_kexpr *ir_kb_cast(ir_kbuilder *b, ir_ktype type, const ir_kexpr *x) {
  return ir_kb_op(b, IR_K_cast, type, x, NULL, NULL);
}

const ir_kexpr *ir_kb_load(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *index) {
  const ir_kexpr model = {.op = IR_K_load, .type = type, .arg_count = 1, .args = {index}, .index = buffer};
  return ir_kx_make(&b->state->table, &model);
}

const ir_kexpr *ir_kb_load_table(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request,
                                 const ir_kexpr *index) {
  const ir_kexpr model = {.op = IR_K_load, .type = type, .arg_count = 2, .args = {index, request}, .index = buffer};
  return ir_kx_make(&b->state->table, &model);
}

const ir_kexpr *ir_kb_read(ir_kbuilder *b, ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j, const ir_kexpr *k) {
  struct ir_kb_state *s = b->state;
  if (var->kind != IR_KVAR_REG && var->id < s->read_count && s->reads[var->id] && s->reads[var->id]->var == var)
    return s->reads[var->id];
  int count = k ? 3 : j ? 2 : i ? 1 : 0;
  const ir_kexpr model = {.op = IR_K_var, .type = var->type, .arg_count = count, .args = {i, j, k}, .var = var};
  return ir_kx_make(&s->table, &model);
}

// ---- statements
ir_kstmt *ir_kb_stmt(ir_kbuilder *b, ir_kstmt_kind kind) {
  ir_kstmt *stmt = WEIR_NEW(b->arena, ir_kstmt);
  stmt->kind = kind;
  ir_kstmt ***end = &b->ends[b->depth - 1];
  **end = stmt;
  *end = &stmt->next;
  return stmt;
}

static void list_open(ir_kbuilder *b, ir_kstmt *stmt, ir_kstmt **list) {
  WEIR_PUSH(b->arena, b->ends, b->depth, b->capacity, list);
  struct ir_kb_state *s = b->state;
  int count = b->depth - 2;
  WEIR_PUSH(b->arena, s->open, count, s->open_capacity, stmt);
  if (stmt->kind == IR_KS_FOR && stmt->range == IR_KR_LANES) s->lanes_depth++;
}

const ir_kexpr *ir_kb_for(ir_kbuilder *b, ir_krange range, const char *name, const ir_kexpr *lo, const ir_kexpr *hi,
                          int64_t step) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_FOR);
  stmt->range = range;
  stmt->var = var_new(b, IR_KVAR_RANGE, name, IR_KT_i64);
  stmt->var->lanes = range == IR_KR_LANES;
  stmt->lo = lo, stmt->hi = hi, stmt->step = step;
  list_open(b, stmt, &stmt->body);
  return range_read(b, stmt->var, lo, hi);
}

const ir_kexpr *ir_kb_tiles(ir_kbuilder *b, const char *name, const ir_kexpr *lo, const ir_kexpr *hi, const int *tiles,
                            int tile_count, const ir_kexpr **out_size) {
  const ir_kexpr *var = ir_kb_for(b, IR_KR_TILES, name, lo, hi, 1);
  ir_kstmt *stmt = b->state->open[b->depth - 2];
  int capacity = (int)(sizeof stmt->tiles / sizeof stmt->tiles[0]);
  if (tile_count < 1 || tile_count > capacity) WEIR_BUG("number of tiles");
  stmt->tile_count = tile_count < 0 ? 0 : tile_count < capacity ? tile_count : capacity;
  memcpy(stmt->tiles, tiles, (size_t)stmt->tile_count * sizeof *tiles);
  stmt->tile_var = var_new(b, IR_KVAR_RANGE, weir_arena_printf(b->arena, "%s_size", name), IR_KT_i64);
  ir_kfacts facts = {.lo = 1, .hi = stmt->tile_count ? stmt->tiles[0] : 1, .depth = 1};
  *out_size = var_read(b, stmt->tile_var, &facts);
  return var;
}

void ir_kb_if(ir_kbuilder *b, const ir_kexpr *condition) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_IF);
  stmt->expr = condition;
  list_open(b, stmt, &stmt->body);
}

void ir_kb_else(ir_kbuilder *b) {
  ir_kstmt *stmt = b->depth > 1 ? b->state->open[b->depth - 2] : NULL;
  if (!stmt || stmt->kind != IR_KS_IF || stmt->body2) {
    WEIR_BUG("else without if");
    return;
  }
  b->ends[b->depth - 1] = &stmt->body2;
}

void ir_kb_end(ir_kbuilder *b) {
  if (b->depth <= 1) {
    WEIR_BUG("end without an open list");
    return;
  }
  ir_kstmt *stmt = b->state->open[b->depth - 2];
  if (stmt->kind == IR_KS_FOR && stmt->range == IR_KR_LANES) b->state->lanes_depth--;
  b->depth--;
}

const ir_kexpr *ir_kb_let(ir_kbuilder *b, const char *name, const ir_kexpr *expr) {
  bool value = expr->op == IR_K_var && expr->var->kind != IR_KVAR_REG;
  if (expr->op == IR_K_const || expr->op == IR_K_size || value) return expr;
  return ir_kb_let_raw(b, name, expr);
}

const ir_kexpr *ir_kb_let_raw(ir_kbuilder *b, const char *name, const ir_kexpr *expr) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_LET);
  stmt->var = var_new(b, IR_KVAR_VALUE, name, expr->type);
  stmt->var->lanes = b->state->lanes_depth > 0;
  stmt->expr = expr;
  ir_kfacts facts = ir_kx_facts(expr);
  facts.depth = 1;
  facts.wraps = false;
  return var_read(b, stmt->var, &facts);
}

const ir_kexpr *ir_kb_let_index(ir_kbuilder *b, const char *name, const ir_kexpr *expr, int64_t lo, int64_t hi) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_LET);
  stmt->var = var_new(b, IR_KVAR_VALUE, name, expr->type);
  stmt->var->lanes = b->state->lanes_depth > 0;
  stmt->expr = expr;
  const ir_kfacts facts = {.lo = lo, .hi = hi, .depth = 1};
  return var_read(b, stmt->var, &facts);
}

ir_kvar *ir_kb_reg(ir_kbuilder *b, const char *name, ir_ktype type, bool lanes, int rank, const int *dims,
                   const ir_kexpr *initial) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_REG);
  stmt->var = var_new(b, IR_KVAR_REG, name, type);
  stmt->var->lanes = lanes;
  stmt->var->rank = rank;
  for (int i = 0; i < rank && i < 3; i++) stmt->var->dims[i] = dims[i];
  stmt->expr = initial;
  return stmt->var;
}

static void set_indices(ir_kstmt *stmt, const ir_kexpr *i, const ir_kexpr *j, const ir_kexpr *k) {
  stmt->index_count = k ? 3 : j ? 2 : i ? 1 : 0;
  stmt->indices[0] = i, stmt->indices[1] = j, stmt->indices[2] = k;
}

void ir_kb_set(ir_kbuilder *b, ir_kvar *var, const ir_kexpr *expr, const ir_kexpr *i, const ir_kexpr *j,
               const ir_kexpr *k) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_SET);
  stmt->var = var;
  stmt->expr = expr;
  set_indices(stmt, i, j, k);
}

void ir_kb_reduce(ir_kbuilder *b, ir_kop combine, ir_kvar *var, const ir_kexpr *expr) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_REDUCE);
  stmt->combine = combine;
  stmt->var = var;
  stmt->expr = expr;
}

static void store_add(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request, const ir_kexpr *index,
                      const ir_kexpr *expr) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_STORE);
  stmt->type = type;
  stmt->buffer = buffer;
  stmt->expr = expr;
  set_indices(stmt, index, request, NULL);
}

void ir_kb_store(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *index, const ir_kexpr *expr) {
  store_add(b, type, buffer, NULL, index, expr);
}

void ir_kb_store_table(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request, const ir_kexpr *index,
                       const ir_kexpr *expr) {
  store_add(b, type, buffer, request, index, expr);
}

void ir_kb_prefetch(ir_kbuilder *b, ir_ktype type, int buffer, const ir_kexpr *request, const ir_kexpr *index) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_PREFETCH);
  stmt->type = type;
  stmt->buffer = buffer;
  set_indices(stmt, index, request, NULL);
}

void ir_kb_arrive(ir_kbuilder *b, ir_kvar *last, int buffer, const ir_kexpr *index, const ir_kexpr *count) {
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_ARRIVE);
  stmt->type = IR_KT_i32;
  stmt->var = last;
  stmt->buffer = buffer;
  stmt->expr = count;
  set_indices(stmt, index, NULL, NULL);
}

const ir_kexpr *ir_kb_matrix_unit(ir_kbuilder *b) {
  return ir_kb_raw(b, IR_K_matrix_unit, IR_KT_bool, NULL, NULL, NULL);
}

void ir_kb_matdot(ir_kbuilder *b, ir_ktype type, const ir_kmatdot *matdot) {
  ir_kmatdot *copy = WEIR_NEW(b->arena, ir_kmatdot);
  *copy = *matdot;
  ir_kstmt *stmt = ir_kb_stmt(b, IR_KS_MATDOT);
  stmt->type = type;
  stmt->matdot = copy;
}

void ir_kb_comment(ir_kbuilder *b, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  char *text = weir_arena_vprintf(b->arena, fmt, args);
  va_end(args);
  // One line of printable text.
  for (char *p = text; *p; p++)
    if ((unsigned char)*p < ' ' || *p == 127) *p = ' ';
  ir_kb_stmt(b, IR_KS_COMMENT)->text = text;
}

ir_kernel *ir_kb_finish(ir_kbuilder *b) {
  if (b->depth != 1) WEIR_BUG("lists are still open");
  return b->kernel;
}
