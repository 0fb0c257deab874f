// Sizes of a program: its symbols and volumes, and what dims of the graph and sizes of kernels are in terms of them.
#include "codegen/lower/program.h"

int cg_program_symbol(const builder *p, const ir_symbol *symbol) {
  for (int i = 0; i < p->program->symbol_count; i++)
    if (p->symbols[i] == symbol) return i;
  return -1;
}

int cg_program_add_size(builder *p, const char *name) {
  WEIR_PUSH(p->low->arena, p->program->sizes, p->program->size_count, p->size_capacity, name);
  return p->program->size_count - 1;
}

ir_dim cg_program_dim_of(const builder *p, ir_dim dim) {
  return p->map ? ir_dim_substitute(p->low->module->dims, dim, p->map) : dim;
}

int cg_program_rows(builder *p, ir_dim dim) {
  const ir_symbol *symbol = ir_dim_as_symbol(dim);
  rt_program *program = p->program;
  if (symbol && symbol->role != IR_ROLE_PLAIN && cg_program_symbol(p, symbol) >= 0) return cg_program_symbol(p, symbol);
  for (int i = 0; i < program->volume_count; i++)
    if (p->volumes[i] == dim) return program->symbol_count + i;
  rt_volume volume = {.name = weir_arena_printf(p->low->arena, "v.%d", program->volume_count)};
  if (!cg_program_dim_expr(p, dim, true, &volume.count)) return -1;
  volume.size = cg_program_add_size(p, volume.name);
  volume.size_max = cg_program_add_size(p, weir_arena_printf(p->low->arena, "%s.max", volume.name));
  int count = program->volume_count;
  WEIR_PUSH(p->low->arena, p->volumes, count, p->volume_dim_capacity, dim);
  WEIR_PUSH(p->low->arena, program->volumes, program->volume_count, p->volume_capacity, volume);
  return program->symbol_count + program->volume_count - 1;
}

// The most rows of a sequence with those of earlier calls; false where |dim| is something else.
static bool most_of_sequence(const builder *p, ir_dim dim, rt_expr *out) {
  ir_dim_table *dims = p->low->module->dims;
  for (int i = 0; i < p->program->symbol_count; i++) {
    const ir_symbol *symbol = p->symbols[i];
    if (p->program->symbols[i].size_all_max < 0 || !symbol->past) continue;
    if (dim != ir_dim_add(dims, ir_dim_symbol(dims, symbol), ir_dim_symbol(dims, symbol->past))) continue;
    *out = rt_expr_var(p->low->arena, p->program->symbols[i].size_all_max);
    return true;
  }
  return false;
}

bool cg_program_size(builder *p, size_kind kind, ir_dim dim, rt_expr *out) {
  weir_arena *arena = p->low->arena;
  *out = rt_expr_var(arena, 0);
  if (kind == SIZE_REQUESTS) return true;
  if (kind == SIZE_LOOP) {
    *out = rt_expr_var(arena, p->loop_sizes[p->loop_base + (int)cg_const_dim(dim)]);
    return true;
  }
  if (ir_dim_role(dim) == IR_ROLE_PLAIN) {
    rt_expr each;
    if (!cg_program_dim_expr(p, dim, false, &each)) return false;
    *out = kind == SIZE_ROWS ? rt_expr_binary(arena, RT_SIZE_MUL, each, *out) : each;
    return true;
  }
  if (kind == SIZE_ROWS_MAX && most_of_sequence(p, dim, out)) return true;
  int index = cg_program_rows(p, dim), symbols = p->program->symbol_count;
  if (index < 0) return false;
  const rt_symbol *symbol = index < symbols ? &p->program->symbols[index] : NULL;
  const rt_volume *volume = symbol ? NULL : &p->program->volumes[index - symbols];
  if (kind == SIZE_ROWS_MAX) *out = rt_expr_var(arena, symbol ? symbol->size_max : volume->size_max);
  else *out = rt_expr_var(arena, symbol ? symbol->size : volume->size);
  return true;
}

typedef struct {
  const ir_symbol *found[RT_MAX_DIMS];
  int count;
} symbol_list;

static void collect(void *user, const ir_symbol *symbol) {
  symbol_list *list = user;
  for (int i = 0; i < list->count; i++)
    if (list->found[i] == symbol) return;
  if (list->count < RT_MAX_DIMS) list->found[list->count++] = symbol;
}

bool cg_program_rows_before(ir_dim dim, const ir_symbol *symbol) {
  const ir_symbol *rows = ir_dim_as_symbol(dim);
  return rows && (rows == symbol->past || rows->kept_of == symbol);
}

const ir_result *cg_program_new_value(const ir_function *entry, const ir_param *param) {
  for (int i = 0; i < entry->result_count; i++)
    if (entry->results[i].state == (int)(param - entry->params)) return &entry->results[i];
  return NULL;
}

static bool scans_rows(const ir_function *function) {
  for (const ir_node *node = function->first; node; node = node->next) {
    if (node->op == IR_OP_scan && ir_dim_role(node->attrs[0].dim) == IR_ROLE_SEQ) return true;
    if ((node->callee && scans_rows(node->callee)) || (node->second && scans_rows(node->second))) return true;
  }
  return false;
}

// Whether the rows of |symbol| add up over the calls of a session: states have a row for each, or have one value that a
// scan over them carries.
static bool adds_up(const builder *p, const ir_symbol *symbol) {
  bool carried = false;
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    if (param->kind != IR_PARAM_STATE) continue;
    if (param->rows && cg_program_rows_before(param->value->type.dims[0], symbol)) return true;
    carried |= !param->rows && cg_program_new_value(p->entry, param);
  }
  return carried && symbol->past && p->entry->kind == IR_FUNCTION_STEP && scans_rows(p->entry);
}

// The dims that a call says: those of inputs, then, of states that another step has written whole, those of the rows.
static int collect_symbols(const builder *p, symbol_list *list) {
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    for (int d = 0; param->kind == IR_PARAM_INPUT && d < param->value->type.rank; d++)
      ir_dim_visit(param->value->type.dims[d], collect, list);
  }
  int inputs = list->count;
  for (int i = 0; i < p->entry->param_count; i++) {
    const ir_param *param = &p->entry->params[i];
    if (param->kind != IR_PARAM_STATE || !param->rows) continue;
    const ir_symbol *symbol = ir_dim_as_symbol(param->value->type.dims[0]);
    if (symbol && !symbol->kept_of && !ir_symbol_before(p->low->module->dims, symbol)) collect(list, symbol);
  }
  return inputs;
}

void cg_program_add_symbols(builder *p) {
  symbol_list list = {.count = 0};
  int inputs = collect_symbols(p, &list);
  weir_arena *arena = p->low->arena;
  rt_program *program = p->program;
  program->symbols = WEIR_NEW_ARRAY(arena, rt_symbol, list.count);
  p->symbols = WEIR_NEW_ARRAY(arena, const ir_symbol *, list.count);
  cg_program_add_size(p, "R");
  for (int i = 0; i < list.count; i++) {
    const ir_symbol *symbol = list.found[i];
    rt_symbol *out = &program->symbols[program->symbol_count++];
    p->symbols[i] = symbol;
    *out = (rt_symbol){.name = symbol->name,
                       .role = (rt_role)symbol->role,
                       .lo = symbol->lo,
                       .hi = symbol->hi,
                       .divisor = symbol->divisor,
                       .size = cg_program_add_size(p, symbol->name),
                       .size_max = -1,
                       .size_all_max = -1};
    if (symbol->role == IR_ROLE_PLAIN) continue;
    out->size_max = cg_program_add_size(p, weir_arena_printf(arena, "%s.max", symbol->name));
    out->grows = adds_up(p, symbol);
    out->stored = i >= inputs;
    if (!out->grows) continue;
    out->size_all_max = cg_program_add_size(p, weir_arena_printf(arena, "%s.all.max", symbol->name));
  }
}

static rt_size_code size_code(ir_kop op) {
  switch (op) {
    case IR_K_add:
      return RT_SIZE_ADD;
    case IR_K_sub:
      return RT_SIZE_SUB;
    case IR_K_mul:
      return RT_SIZE_MUL;
    case IR_K_div:
      return RT_SIZE_DIV;
    case IR_K_mod:
      return RT_SIZE_MOD;
    case IR_K_min:
      return RT_SIZE_MIN;
    default:
      return RT_SIZE_MAX;
  }
}

rt_expr cg_program_size_expr(builder *p, const rt_expr *dims, const ir_kexpr *expr) {
  weir_arena *arena = p->low->arena;
  if (expr->op == IR_K_const) return rt_expr_const(arena, expr->i);
  if (expr->op == IR_K_size) return dims[expr->index];
  return rt_expr_binary(arena, size_code(expr->op), cg_program_size_expr(p, dims, expr->args[0]),
                        cg_program_size_expr(p, dims, expr->args[1]));
}

// A dim over the program's symbols (the form of interfaces) or over its sizes.
typedef struct {
  const builder *p;
  bool symbols;
} dim_scope;

static const void *keep_expr(weir_arena *arena, rt_expr expr) {
  rt_expr *kept = WEIR_NEW(arena, rt_expr);
  *kept = expr;
  return kept;
}

static const void *dim_constant(void *user, int64_t value) {
  const dim_scope *scope = user;
  return keep_expr(scope->p->low->arena, rt_expr_const(scope->p->low->arena, value));
}

// Index of |symbol| among a request's values; rows before the call stand behind the symbols.
static int value_index(const builder *p, const ir_symbol *symbol) {
  const ir_symbol *before = ir_symbol_before(p->low->module->dims, symbol);
  int index = cg_program_symbol(p, before ? before : symbol);
  return index >= 0 && before ? p->program->symbol_count + index : index;
}

static const void *dim_symbol(void *user, const ir_symbol *symbol) {
  const dim_scope *scope = user;
  const builder *p = scope->p;
  weir_arena *arena = p->low->arena;
  if (!scope->symbols) {
    int index = symbol->role == IR_ROLE_PLAIN ? cg_program_symbol(p, symbol) : -1;
    return index >= 0 ? keep_expr(arena, rt_expr_var(arena, p->program->symbols[index].size)) : NULL;
  }
  int index = value_index(p, symbol->kept_of ? symbol->kept_of->past : symbol);
  if (index < 0) return NULL;
  rt_expr value = rt_expr_var(arena, index);
  if (symbol->kept_of) value = rt_expr_binary(arena, RT_SIZE_MIN, value, rt_expr_const(arena, symbol->hi));
  return keep_expr(arena, value);
}

static const void *dim_binary(void *user, char op, const void *a, const void *b) {
  const dim_scope *scope = user;
  rt_size_code code = op == '+' ? RT_SIZE_ADD : op == '*' ? RT_SIZE_MUL : op == '/' ? RT_SIZE_DIV : RT_SIZE_MOD;
  return keep_expr(scope->p->low->arena,
                   rt_expr_binary(scope->p->low->arena, code, *(const rt_expr *)a, *(const rt_expr *)b));
}

bool cg_program_dim_expr(const builder *p, ir_dim dim, bool symbols, rt_expr *out) {
  dim_scope scope = {p, symbols};
  ir_dim_algebra algebra = {&scope, dim_constant, dim_symbol, dim_binary};
  const rt_expr *expr = ir_dim_convert(dim, &algebra);
  if (expr) *out = *expr;
  return expr != NULL;
}
