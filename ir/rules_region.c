// Type rules of what owns regions (docs/design/regions.md), of `element`, `scatter`, `stack` and `route`.
//
// A region is checked as a function of its own by the verifier; here only its signature: parameters and results against
// the owner's operands. Ranges of region parameters are promises, so what comes in must keep them.
#include "ir/rules.h"

static const char *show(ir_inference *in, int operand) {
  return ir_type_print(in->module->arena, &in->operands[operand]->type);
}

static const char *show_type(ir_inference *in, const ir_type *type) { return ir_type_print(in->module->arena, type); }

static ir_type scalar(ir_dtype dtype) { return ir_type_make(dtype, 0, NULL); }

static bool check_dim(ir_inference *in, ir_dim dim) {
  int64_t lo, hi;
  ir_dim_bounds(dim, &lo, &hi);
  return lo >= 0 || ir_refuse(in, "dim %s may be negative", ir_dim_print(in->module->arena, dim));
}

// |type| with a leading dim.
static bool stack_type(ir_inference *in, ir_dim dim, const ir_type *type, ir_type *out) {
  if (type->rank == IR_MAX_RANK) return ir_refuse(in, "the result has more than %d dims", IR_MAX_RANK);
  *out = (ir_type){.dtype = type->dtype, .rank = type->rank + 1, .dims = {dim}};
  for (int i = 0; i < type->rank; i++) out->dims[i + 1] = type->dims[i];
  return true;
}

// ---- signatures

static bool check_region(ir_inference *in, const ir_function *region, int params) {
  if (!region) return ir_refuse(in, "needs a region");
  if (region->module != in->module || region->kind != IR_FUNCTION_REGION)
    return ir_refuse(in, "'%s' is no region of this module", region->name);
  if (region->param_count != params)
    return ir_refuse(in, "region '%s' has %d parameters, not %d", region->name, region->param_count, params);
  return true;
}

// Parameter |index| takes values of |type| in lo..=hi (lo > hi: any).
static bool check_param(ir_inference *in, const ir_function *region, int index, const ir_type *type, int64_t lo,
                        int64_t hi) {
  const ir_value *param = region->params[index].value;
  if (!ir_type_equal(&param->type, type)) {
    return ir_refuse(in, "parameter %d of region '%s' is %s, not %s", index, region->name, show_type(in, &param->type),
                     show_type(in, type));
  }
  if (param->lo > param->hi || (lo <= hi && lo >= param->lo && hi <= param->hi)) return true;
  return ir_refuse(in, "parameter %d of region '%s' is not proved to be in %lld..=%lld", index, region->name,
                   (long long)param->lo, (long long)param->hi);
}

// Parameters from |first| on take the operands from |operand| on.
static bool check_captures(ir_inference *in, const ir_function *region, int first, int operand) {
  for (int i = operand; i < in->operand_count; i++) {
    const ir_value *value = in->operands[i];
    int64_t lo = 1, hi = 0;
    ir_value_range(value, &lo, &hi);
    if (!check_param(in, region, first + i - operand, &value->type, lo, hi)) return false;
    ir_dim below = region->params[first + i - operand].value->below;
    if (below && !ir_value_below(value, below))
      return ir_refuse(in, "parameter %d of region '%s' is not proved to be below %s", first + i - operand,
                       region->name, ir_dim_print(in->module->arena, below));
  }
  return true;
}

// Parameter |index| counts along |dim|.
static bool check_index(ir_inference *in, const ir_function *region, int index, ir_dim dim) {
  int64_t lo, hi;
  ir_type type = scalar(IR_i32);
  if (!check_dim(in, dim)) return false;
  ir_dim_bounds(dim, &lo, &hi);
  hi = hi > INT32_MAX ? INT32_MAX : hi > 0 ? hi - 1 : 0;
  return check_param(in, region, index, &type, 0, hi);
}

static bool check_indices(ir_inference *in) {
  const ir_attr *dims = &in->attrs[0];
  if (!check_region(in, in->callee, dims->count + in->operand_count)) return false;
  if (in->second) return ir_refuse(in, "has one region");
  for (int i = 0; i < dims->count; i++) {
    if (!check_index(in, in->callee, i, dims->dims[i])) return false;
  }
  return check_captures(in, in->callee, dims->count, 0);
}

static bool check_flag(ir_inference *in, const ir_function *region, int index) {
  const ir_type *type = &region->results[index].value->type;
  if (type->rank == 0 && type->dtype == IR_bool) return true;
  return ir_refuse(in, "result %d of region '%s' is %s, not bool[]", index, region->name, show_type(in, type));
}

// ---- map, fold

bool ir_rule_map(ir_inference *in) {
  if (!check_indices(in)) return false;
  if (in->callee->result_count != 1 || in->callee->results[0].value->type.rank != 0)
    return ir_refuse(in, "region '%s' must have one scalar result", in->callee->name);
  const ir_value *value = in->callee->results[0].value;
  ir_infer_results(in, 1);
  in->results[0] =
      (ir_inferred){ir_type_make(value->type.dtype, in->attrs[0].count, in->attrs[0].dims), value->lo, value->hi};
  return true;
}

// The dtype that |combine| makes of elements of |dtype|; false with a reason.
static bool combine_type(ir_inference *in, ir_combine combine, ir_dtype dtype, ir_dtype *out) {
  const char *name = ir_combine_name(combine);
  bool logical = combine == IR_COMBINE_any || combine == IR_COMBINE_all;
  bool index = combine == IR_COMBINE_argmax || combine == IR_COMBINE_argmin;
  if (logical != (dtype == IR_bool))
    return ir_refuse(in, "%s combines %s, not %s", name, logical ? "bool" : "numbers", ir_dtype_name(dtype));
  if ((combine == IR_COMBINE_mean || combine == IR_COMBINE_logsumexp) && !ir_dtype_is_float(dtype))
    return ir_refuse(in, "%s combines floats, not %s", name, ir_dtype_name(dtype));
  *out = index ? IR_i32 : dtype;
  return true;
}

bool ir_rule_fold(ir_inference *in) {
  ir_type type = scalar(IR_i32);
  if (!check_indices(in)) return false;
  const ir_function *region = in->callee;
  if (region->result_count < 1 || region->result_count > 2 || region->results[0].value->type.rank != 0)
    return ir_refuse(in, "region '%s' must have a scalar result and at most a guard", region->name);
  if (region->result_count == 2 && !check_flag(in, region, 1)) return false;
  if (!combine_type(in, in->attrs[1].combine, region->results[0].value->type.dtype, &type.dtype)) return false;
  in->type = type;
  return true;
}

bool ir_rule_element(ir_inference *in) {
  if (in->operand_count < 1) return ir_refuse(in, "needs a tensor");
  const ir_type *x = &in->operands[0]->type;
  int count = in->operand_count - 1;
  if (count > x->rank) return ir_refuse(in, "%s takes %d indices, not %d", show(in, 0), x->rank, count);
  for (int i = 1; i <= count; i++) {
    const ir_type *index = &in->operands[i]->type;
    if (index->rank || index->dtype != IR_i32) return ir_refuse(in, "the index %s is no i32[]", show(in, i));
  }
  in->type = ir_type_make(x->dtype, x->rank - count, x->dims + count);
  return true;
}

// ---- scan, cond

bool ir_rule_scan(ir_inference *in) {
  ir_dim dim = in->attrs[0].dim;
  int64_t carries = in->attrs[1].i;
  if (!check_region(in, in->callee, in->operand_count + 1)) return false;
  if (carries < 0 || carries > in->operand_count || carries > in->callee->result_count)
    return ir_refuse(in, "carries %lld of %d operands and %d results", (long long)carries, in->operand_count,
                     in->callee->result_count);
  if (in->second && !check_region(in, in->second, in->operand_count + 1)) return false;
  if (in->second && (in->second->result_count != 1 || in->callee->result_count != carries))
    return ir_refuse(in, "with a condition there is one flag and there are no rows");
  if (in->second && !check_flag(in, in->second, 0)) return false;
  for (int r = 0; r < 1 + (in->second != NULL); r++) {
    const ir_function *region = r ? in->second : in->callee;
    if (!check_index(in, region, 0, dim) || !check_captures(in, region, 1, 0)) return false;
    for (int i = 0; i < carries; i++) {  // the next value of a carry
      const ir_value *next = in->callee->results[i].value;
      int64_t lo = 1, hi = 0;
      ir_value_range(next, &lo, &hi);
      if (!check_param(in, region, i + 1, &next->type, lo, hi)) return false;
    }
  }
  ir_infer_results(in, in->callee->result_count);
  for (int i = 0; i < in->result_count; i++) {
    const ir_value *value = in->callee->results[i].value;
    in->results[i].type = value->type;
    if (i >= carries && !stack_type(in, dim, &value->type, &in->results[i].type)) return false;
    const ir_value *start = i < carries ? in->operands[i] : value;
    if (value->lo > value->hi || start->lo > start->hi) continue;
    in->results[i].lo = value->lo < start->lo ? value->lo : start->lo;
    in->results[i].hi = value->hi > start->hi ? value->hi : start->hi;
  }
  return true;
}

bool ir_rule_cond(ir_inference *in) {
  const ir_function *yes = in->callee, *no = in->second;
  if (in->operand_count < 1 || in->operands[0]->type.rank || in->operands[0]->type.dtype != IR_bool)
    return ir_refuse(in, "the condition must be bool[]");
  if (!check_region(in, yes, in->operand_count - 1) || !check_region(in, no, in->operand_count - 1)) return false;
  if (!check_captures(in, yes, 0, 1) || !check_captures(in, no, 0, 1)) return false;
  if (yes == no) return ir_refuse(in, "the two regions are one");
  if (yes->result_count != no->result_count)
    return ir_refuse(in, "the regions have %d and %d results", yes->result_count, no->result_count);
  ir_infer_results(in, yes->result_count);
  for (int i = 0; i < in->result_count; i++) {
    const ir_value *a = yes->results[i].value, *b = no->results[i].value;
    if (!ir_type_equal(&a->type, &b->type))
      return ir_refuse(in, "result %d is %s or %s", i, show_type(in, &a->type), show_type(in, &b->type));
    in->results[i].type = a->type;
    if (a->lo > a->hi || b->lo > b->hi) continue;
    in->results[i].lo = a->lo < b->lo ? a->lo : b->lo;
    in->results[i].hi = a->hi > b->hi ? a->hi : b->hi;
  }
  return true;
}

// ---- scatter, stack

bool ir_rule_scatter(ir_inference *in) {
  const ir_type *index = &in->operands[0]->type, *rows = &in->operands[1]->type;
  if (index->rank != 1 || !ir_dtype_is_int(index->dtype))
    return ir_refuse(in, "the index %s is not integers over one dim", show(in, 0));
  if (rows->rank < 1 || rows->dims[0] != index->dims[0])
    return ir_refuse(in, "the rows %s are not one for each of %s", show(in, 1), show(in, 0));
  if (!check_dim(in, in->attrs[0].dim)) return false;
  in->type = *rows;
  in->type.dims[0] = in->attrs[0].dim;
  return combine_type(in, in->attrs[1].combine, rows->dtype, &in->type.dtype);
}

bool ir_rule_stack(ir_inference *in) {
  if (in->operand_count < 1) return ir_refuse(in, "needs at least one operand");
  for (int i = 1; i < in->operand_count; i++) {
    if (!ir_type_equal(&in->operands[i]->type, &in->operands[0]->type))
      return ir_refuse(in, "%s and %s differ", show(in, 0), show(in, i));
  }
  ir_dim count = ir_dim_const(in->module->dims, in->operand_count);
  return stack_type(in, count, &in->operands[0]->type, &in->type);
}

// ---- route

bool ir_route_bind(ir_module *module, const ir_function *callee, ir_value *const *operands, int operand_count,
                   ir_dim *map, ir_dim *out_experts, const char **out_error) {
  weir_arena *arena = module->arena;
  ir_value *parts = WEIR_NEW_ARRAY(arena, ir_value, operand_count);
  ir_value **rows = WEIR_NEW_ARRAY(arena, ir_value *, operand_count);
  *out_experts = NULL;
  *out_error = NULL;
  if (callee->param_count != operand_count - 1)
    *out_error = weir_arena_printf(arena, "'%s' takes %d operands, not %d", callee->name, callee->param_count,
                                   operand_count - 1);
  for (int i = 1; i < operand_count && !*out_error; i++) {
    const ir_type *type = &operands[i]->type;
    ir_param_kind kind = callee->params[i - 1].kind;
    ir_dim lead = type->rank ? type->dims[0] : NULL;
    if (kind == IR_PARAM_WEIGHT && !*out_experts) *out_experts = lead;
    bool fits =
        kind != IR_PARAM_STATE && lead && lead == (kind == IR_PARAM_WEIGHT ? *out_experts : operands[0]->type.dims[0]);
    if (!fits) {
      *out_error = weir_arena_printf(arena, "operand %d of '%s', %s, has no rows to choose from", i, callee->name,
                                     ir_type_print(arena, type));
      break;
    }
    parts[i] = *operands[i];
    parts[i].type = ir_type_make(type->dtype, type->rank - 1, type->dims + 1);
    rows[i] = &parts[i];
  }
  if (!*out_error && !*out_experts) *out_error = weir_arena_printf(arena, "'%s' has no weights", callee->name);
  return !*out_error && ir_call_bind(callee, rows + 1, operand_count - 1, map, out_error);
}

bool ir_rule_route(ir_inference *in) {
  const ir_function *callee = in->callee;
  const char *error;
  ir_dim experts, *map = WEIR_NEW_ARRAY(in->module->arena, ir_dim, ir_symbol_count(in->module->dims));
  if (!callee || callee->module != in->module || callee->kind != IR_FUNCTION_BLOCK || in->second)
    return ir_refuse(in, "needs a block of this module");
  if (in->operand_count < 1 || in->operands[0]->type.rank != 1 || in->operands[0]->type.dtype != IR_i32)
    return ir_refuse(in, "the index must be i32 over one dim");
  if (!ir_route_bind(in->module, callee, in->operands, in->operand_count, map, &experts, &error))
    return ir_refuse(in, "%s", error);
  if (!ir_value_below(in->operands[0], experts))
    return ir_refuse(in, "the index is not proved to lie in 0..%s", ir_dim_print(in->module->arena, experts));
  ir_infer_results(in, callee->result_count);
  for (int i = 0; i < in->result_count; i++) {
    const ir_value *value = callee->results[i].value;
    if (!stack_type(in, in->operands[0]->type.dims[0], &value->type, &in->results[i].type)) return false;
    in->results[i].lo = value->lo;
    in->results[i].hi = value->hi;
    for (int j = 1; j < in->results[i].type.rank; j++) {
      ir_dim *dim = &in->results[i].type.dims[j];
      *dim = ir_dim_substitute(in->module->dims, *dim, map);
      if (!*dim) return ir_refuse(in, "a dim of result %d overflows", i);
    }
  }
  return true;
}
