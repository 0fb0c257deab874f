// The page docs/ops.md, generated from the tables of ops, attributes, notes and bounds; a test compares it with the
// file in the repository.
#include "ir/print_ops.h"

#include "ir/text_buffer.h"

static const struct {
  const char *name, *kind, *meaning;
} attrs[] = {
#define ATTR(name, kind, meaning) {#name, #kind, meaning},
#include "ir/attrs.def"
#undef ATTR
};

// Every rule of ops.def has its row in op_notes.def: another name is no member here.
enum {
#define RULE(type, dtypes, result) RULE_##type,
#include "ir/op_notes.def"
#undef RULE
};

static const struct {
  const char *dtypes, *result;
} rules[] = {
#define RULE(type, dtypes, result) {dtypes, result},
#include "ir/op_notes.def"
#undef RULE
};

static const int rule_of[] = {
#define OP(name, operands, attrs, type, flags, cost, meaning) RULE_##type,
#include "ir/ops.def"
#undef OP
};

static const char *const notes[IR_OP_COUNT] = {
#define NOTE(op, special) [IR_OP_##op] = special,
#include "ir/op_notes.def"
#undef NOTE
};

static const struct {
  double ulps;
  const char *of;
} bounds[IR_OP_COUNT] = {
#define RESULT ""
#define OPERAND " of x"
#define ACCURACY(op, ulps, of) [IR_OP_##op] = {ulps, of},
#include "ir/accuracy.def"
#undef ACCURACY
#undef RESULT
#undef OPERAND
};

// The sections of ops.def, each with its first op.
static const struct {
  ir_op first;
  const char *title;
} groups[] = {
    {IR_OP_constant, "Sources"},
    {IR_OP_neg, "Elementwise, one operand"},
    {IR_OP_add, "Elementwise, two and three operands"},
    {IR_OP_sum, "Reductions and softmax"},
    {IR_OP_linear, "Products and attention"},
    {IR_OP_cumsum, "Along one axis"},
    {IR_OP_conv, "Windows"},
    {IR_OP_gather, "Movement and positions"},
    {IR_OP_dft, "Signals and storage"},
    {IR_OP_map, "Regions"},
    {IR_OP_append, "States and functions"},
};

static const char *group_of(ir_op op) {
  int at = 0;
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    if (op >= groups[i].first) at = (int)i;
  }
  return groups[at].title;
}

static void print_cost(ir_text *text, const ir_op_info *info) {
  if (info->cost == IR_COST_MATMUL) ir_text_puts(text, "2 K per element");
  else if (info->cost == IR_COST_ATTEND) ir_text_puts(text, "2 (D + E) + 10 per pair of rows and head");
  else if (info->cost == IR_COST_CONV) ir_text_puts(text, "2 C K / groups per element");
  else if (info->cost == IR_COST_WINDOW) ir_text_puts(text, "the window per element");
  else if (info->cost == IR_COST_FOURIER) ir_text_puts(text, "5 log2(N) per element");
  else if (info->cost && (info->flags & IR_FLAG_REDUCE)) ir_text_printf(text, "%d per element reduced", info->cost);
  else if (info->cost) ir_text_printf(text, "%d per element", info->cost);
  else ir_text_puts(text, "-");
}

// The dtypes of a rule, narrowed by the op's flags.
static const char *dtypes_of(ir_op op) {
  unsigned flags = ir_op_get_info(op)->flags;
  bool same = rule_of[op] == RULE_same || rule_of[op] == RULE_reduce || rule_of[op] == RULE_along;
  if (same && (flags & IR_FLAG_FLOAT)) return "one float dtype";
  if (same && (flags & IR_FLAG_INTS)) return "one integer dtype";
  if (same && (flags & IR_FLAG_BOOLS)) return "bool";
  return rules[rule_of[op]].dtypes;
}

static void print_op(ir_text *text, ir_op op) {
  const ir_op_info *info = ir_op_get_info(op);
  ir_text_printf(text, "\n### %s\n\n", info->name);
  ir_text_puts(text, info->meaning);
  ir_text_printf(text, "%s\n\n| | |\n|---|---|\n| operands | ",
                 info->flags & IR_FLAG_COMM ? " (operands commute)" : "");
  if (info->operands < 0) ir_text_puts(text, "any number");
  else ir_text_printf(text, "%d", info->operands);
  if (info->operands) ir_text_printf(text, ": %s", dtypes_of(op));
  ir_text_puts(text, " |\n");
  for (int i = 0; i < info->attr_count; i++) {
    const char *name = ir_attr_get_name(info->attrs[i]);
    ir_text_printf(text, "%s`%s` %s", i ? "; " : "| attributes | ", name, attrs[info->attrs[i]].meaning);
  }
  if (info->attr_count) ir_text_puts(text, " |\n");
  ir_text_printf(text, "| result | %s |\n| cost | ", rules[rule_of[op]].result);
  print_cost(text, info);
  ir_text_puts(text, " |\n");
  if (notes[op]) ir_text_printf(text, "| special values | %s |\n", notes[op]);
  if (bounds[op].ulps > 0) ir_text_printf(text, "| accuracy in f32 | %g ulp%s |\n", bounds[op].ulps, bounds[op].of);
}

static void print_contents(ir_text *text) {
  const char *group = "";
  ir_text_printf(text, "\n%d ops:", IR_OP_COUNT);
  for (int op = 0; op < IR_OP_COUNT; op++) {
    const char *name = ir_op_get_info((ir_op)op)->name;
    if (group_of((ir_op)op) != group) ir_text_printf(text, "\n- %s:", group = group_of((ir_op)op));
    ir_text_printf(text, " [%s](#%s)", name, name);
  }
  ir_text_puts(text, "\n");
}

const char *ir_print_ops_markdown(weir_arena *arena) {
  ir_text text;
  ir_text_init(&text, arena);
  ir_text_puts(&text,
               "# Ops of the graph IR\n\n"
               "Generated from `ir/ops.def` and `ir/attrs.def`; `test_graph_docs` checks that it is current and, with "
               "`WEIR_BLESS=1`, writes it.\n"
               "*Cost* counts floating point operations as the planner sees them. Elementwise shapes are equal, or "
               "one is the end of the other, or a\n"
               "scalar. Floats are computed in their dtype, f16, bf16 and f8 in f32, and rounded where a value is "
               "stored. NaN goes through whatever\n"
               "computes with it; which sign a zero has is promised of moved elements alone. *Accuracy* is a bound "
               "that tests hold compiled code to, over\n"
               "all exponents; what has none is exact or rounded once. Results below the least normal number may be "
               "lost. `tests/common/op_cases.c` has\n"
               "every op on every dtype, on odd shapes and on special values.\n");
  print_contents(&text);
  const char *group = "";
  for (int op = 0; op < IR_OP_COUNT; op++) {
    const char *mine = group_of((ir_op)op);
    if (mine != group) {
      ir_text_printf(&text, "\n## %s\n", mine);
      group = mine;
    }
    print_op(&text, (ir_op)op);
  }
  ir_text_puts(&text, "\n## Attributes\n\n| attribute | kind | meaning |\n|---|---|---|\n");
  for (int i = 0; i < IR_ATTR_COUNT; i++)
    ir_text_printf(&text, "| `%s` | %s | %s |\n", attrs[i].name, attrs[i].kind, attrs[i].meaning);
  return text.data;
}
