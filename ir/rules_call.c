// Calls: what the callee's symbols stand for. Symbols belong to the module, so that mostly each stands for itself; a
// block that is used with another size (or whose state starts without rows, T.past = 0) is written for its own symbol,
// which a parameter's dim names.
#include <string.h>

#include "ir/rules.h"

typedef struct {
  const ir_function *callee;
  ir_dim_table *dims;
  weir_arena *arena;
  ir_dim *map;
  const char **out_error;
} binder;

static bool refuse(binder *b, int operand, const char *reason) {
  const ir_param *param = &b->callee->params[operand];
  *b->out_error =
      weir_arena_printf(b->arena, "call %s: operand %d ('%s'): %s", b->callee->name, operand, param->name, reason);
  return false;
}

static bool refuse_types(binder *b, int operand, const ir_value *value) {
  const char *got = ir_type_print(b->arena, &value->type);
  const char *wanted = ir_type_print(b->arena, &b->callee->params[operand].value->type);
  return refuse(b, operand, weir_arena_printf(b->arena, "is %s, not %s", got, wanted));
}

// |symbol| := |dim|, where the symbol's facts hold for the dim.
static bool bind_symbol(binder *b, int operand, const ir_symbol *symbol, ir_dim dim) {
  int64_t lo, hi;
  ir_dim_bounds(dim, &lo, &hi);
  const char *shown = ir_dim_print(b->arena, dim);
  if (lo < symbol->lo || hi > symbol->hi) {
    return refuse(b, operand, weir_arena_printf(b->arena, "%s is not within the bounds of %s", shown, symbol->name));
  }
  if (symbol->divisor > 1 &&
      ir_dim_mod(b->dims, dim, ir_dim_const(b->dims, symbol->divisor)) != ir_dim_const(b->dims, 0)) {
    return refuse(
        b, operand,
        weir_arena_printf(b->arena, "%s is not known to be a multiple of %lld", shown, (long long)symbol->divisor));
  }
  if (symbol->role == IR_ROLE_PLAIN && ir_dim_role(dim) != IR_ROLE_PLAIN) {
    return refuse(b, operand, weir_arena_printf(b->arena, "%s has a role, %s is plain", shown, symbol->name));
  }
  b->map[symbol->index] = dim;
  return true;
}

// First round: parameters whose dims are plain symbols say what those are.
static bool bind_param(binder *b, int operand, const ir_value *value) {
  const ir_type *wanted = &b->callee->params[operand].value->type, *got = &value->type;
  if (wanted->dtype != got->dtype || wanted->rank != got->rank) return refuse_types(b, operand, value);
  for (int i = 0; i < wanted->rank; i++) {
    const ir_symbol *symbol = ir_dim_as_symbol(wanted->dims[i]);
    if (!symbol || b->map[symbol->index]) continue;
    if (got->dims[i] == wanted->dims[i]) {
      b->map[symbol->index] = got->dims[i];
    } else if (!bind_symbol(b, operand, symbol, got->dims[i])) {
      return false;
    }
  }
  return true;
}

// The rows of |of|'s window of |most|, else null.
static const ir_symbol *find_keep(const ir_dim_table *dims, const ir_symbol *of, int64_t most) {
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *keep = ir_symbol_at(dims, i);
    if (keep->kept_of == of && keep->hi == most) return keep;
  }
  return NULL;
}

// The rows before this call follow their symbol where no parameter names them: T := S gives T.past := S.past (and
// T.keepN := S.keepN), any other dim 0.
static void bind_pasts(binder *b) {
  ir_dim zero = ir_dim_const(b->dims, 0);
  for (int i = 0; i < ir_symbol_count(b->dims); i++) {
    const ir_symbol *symbol = ir_symbol_at(b->dims, i);
    if (symbol->kept_of && b->map[symbol->kept_of->index] && !b->map[i]) {
      const ir_symbol *is = ir_dim_as_symbol(b->map[symbol->kept_of->index]);
      const ir_symbol *keep = is && is->past ? find_keep(b->dims, is, symbol->hi) : NULL;
      if (keep || !is || !is->past) b->map[i] = keep ? ir_dim_symbol(b->dims, keep) : zero;
    }
    if (!symbol->past || !b->map[i] || b->map[symbol->past->index]) continue;
    const ir_symbol *is = ir_dim_as_symbol(b->map[i]);
    b->map[symbol->past->index] = is && is->past ? ir_dim_symbol(b->dims, is->past) : zero;
  }
}

// Second round: all dims agree under the map.
static bool check_param(binder *b, int operand, const ir_value *value) {
  const ir_value *param = b->callee->params[operand].value;
  for (int i = 0; i < param->type.rank; i++) {
    if (ir_dim_substitute(b->dims, param->type.dims[i], b->map) != value->type.dims[i])
      return refuse_types(b, operand, value);
  }
  int64_t lo, hi;
  if (param->lo <= param->hi && ir_value_range(value, &lo, &hi) && (lo < param->lo || hi > param->hi)) {
    return refuse(b, operand,
                  weir_arena_printf(b->arena, "is in %lld..=%lld, not proved to be in %lld..=%lld", (long long)lo,
                                    (long long)hi, (long long)param->lo, (long long)param->hi));
  }
  ir_dim below = param->below ? ir_dim_substitute(b->dims, param->below, b->map) : NULL;
  if (param->below && !(below && ir_value_below(value, below)))
    return refuse(b, operand,
                  weir_arena_printf(b->arena, "is not proved to be below %s",
                                    ir_dim_print(b->arena, below ? below : param->below)));
  return true;
}

bool ir_call_bind(const ir_function *callee, ir_value *const *operands, int operand_count, ir_dim *map,
                  const char **out_error) {
  ir_module *module = callee->module;
  binder b = {.callee = callee, .dims = module->dims, .arena = module->arena, .map = map, .out_error = out_error};
  memset(map, 0, (size_t)ir_symbol_count(module->dims) * sizeof *map);
  if (operand_count != callee->param_count) {
    *out_error = weir_arena_printf(module->arena, "call %s: takes %d operands, not %d", callee->name,
                                   callee->param_count, operand_count);
    return false;
  }
  for (int i = 0; i < operand_count; i++) {
    if (!operands[i]) return refuse(&b, i, "is missing");
    if (!bind_param(&b, i, operands[i])) return false;
  }
  bind_pasts(&b);
  for (int i = 0; i < operand_count; i++) {
    if (!check_param(&b, i, operands[i])) return false;
  }
  for (int i = 0; i < ir_symbol_count(module->dims); i++) {
    if (map[i] && ir_dim_as_symbol(map[i]) == ir_symbol_at(module->dims, i)) map[i] = NULL;
  }
  return true;
}
