// Type rules: from operands and attributes to the result's type and known integer range, one ir_rule_<type> per name in
// ops.def.
//
// The builder, the parser and the verifier call ir_infer, so a node that exists has passed its rule. Rules never change
// operands. A refused node leaves a one-line reason in |error| (the module's arena).
#ifndef WEIR_IR_RULES_H
#define WEIR_IR_RULES_H

#include "ir/graph.h"

// One result of a node.
typedef struct {
  ir_type type;
  int64_t lo, hi;  // lo > hi where no range is known
} ir_inferred;

typedef struct {
  ir_module *module;
  ir_op op;
  const ir_op_info *info;
  ir_value *const *operands;
  int operand_count;
  const ir_attr *attrs;                // as many as the table says, in its order
  const ir_function *callee, *second;  // of ops that take functions
  ir_type type;                        // out of a rule with one result
  int64_t lo, hi;                      // likewise; lo > hi where no range is known
  int result_count;                    // out
  ir_inferred *results;                // out; a rule with more results than one makes them, with their ranges
  const char *error;                   // out
} ir_inference;

typedef bool (*ir_rule_fn)(ir_inference *inference);
#define OP(name, operands, attrs, type, flags, cost, meaning) bool ir_rule_##type(ir_inference *inference);
#include "ir/ops.def"
#undef OP

// Checks operand count and dtypes by the flags, then applies the op's rule.
bool ir_infer(ir_inference *inference);
// Room for |count| results without known ranges.
void ir_infer_results(ir_inference *inference, int count);
// Sets |error| and returns false.
bool ir_refuse(ir_inference *inference, const char *fmt, ...) WEIR_PRINTF(2, 3);
// The known range of the result, after its type is set.
void ir_infer_range(ir_inference *inference);
// The range of an integer value: what is known, else all of its dtype. False for other values.
bool ir_value_range(const ir_value *value, int64_t *out_lo, int64_t *out_hi);
void ir_dtype_range(ir_dtype dtype, int64_t *out_lo, int64_t *out_hi);
// True where every element of the integer |value| is proved to lie in [0, size).
bool ir_value_below(const ir_value *value, ir_dim size);
// The longer of two shapes where the other is its end; false where neither is.
bool ir_suffix_shape(const ir_type *a, const ir_type *b, ir_type *out);
bool ir_rule_product_dims(ir_module *module, const ir_dim *dims, int count, ir_dim *out);

// Finds what the callee's symbols stand for in the caller: |map| (as many as the module has symbols) gets a dim for
// each symbol that a parameter's dim names, null elsewhere. A symbol that stands for itself is null too. Checks count,
// dtypes, dims, bounds, roles and ranges; false with a reason in |*out_error|.
bool ir_call_bind(const ir_function *callee, ir_value *const *operands, int operand_count, ir_dim *map,
                  const char **out_error);
// The same for `route`: the callee on one row, each operand without its leading dim; operand 0 is the index. The
// weights' leading dim goes to |*out_experts|.
bool ir_route_bind(ir_module *module, const ir_function *callee, ir_value *const *operands, int operand_count,
                   ir_dim *map, ir_dim *out_experts, const char **out_error);

#endif
