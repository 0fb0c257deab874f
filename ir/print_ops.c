// The page docs/ops.md, generated from the op and attribute tables; a test compares it with the file in the repository.
#include "ir/print_ops.h"

#include "ir/text_buffer.h"

static const struct {
  const char *name, *kind, *meaning;
} attrs[] = {
#define ATTR(name, kind, meaning) {#name, #kind, meaning},
#include "ir/attrs.def"
#undef ATTR
};

static const char *const type_names[] = {
#define OP(name, operands, attrs, type, flags, cost, meaning) #type,
#include "ir/ops.def"
#undef OP
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

static void print_operands(ir_text *text, const ir_op_info *info) {
  const char *kind = info->flags & IR_FLAG_FLOAT   ? " float"
                     : info->flags & IR_FLAG_BOOLS ? " bool"
                     : info->flags & IR_FLAG_INTS  ? " integer"
                                                   : "";
  if (info->operands < 0) ir_text_puts(text, "any");
  else ir_text_printf(text, "%d%s", info->operands, info->operands ? kind : "");
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

// Bars would end a table cell.
static void print_meaning(ir_text *text, const char *meaning) {
  for (; *meaning; meaning++) ir_text_printf(text, *meaning == '|' ? "\\%c" : "%c", *meaning);
}

static void print_row(ir_text *text, ir_op op) {
  const ir_op_info *info = ir_op_get_info(op);
  ir_text_printf(text, "| `%s` | ", info->name);
  print_operands(text, info);
  ir_text_puts(text, " | ");
  for (int i = 0; i < info->attr_count; i++)
    ir_text_printf(text, "%s`%s`", i ? " " : "", ir_attr_get_name(info->attrs[i]));
  ir_text_printf(text, " | %s | ", type_names[op]);
  print_meaning(text, info->meaning);
  ir_text_printf(text, "%s | ", info->flags & IR_FLAG_COMM ? " (operands commute)" : "");
  print_cost(text, info);
  ir_text_puts(text, " |\n");
}

const char *ir_print_ops_markdown(weir_arena *arena) {
  ir_text text;
  ir_text_init(&text, arena);
  ir_text_puts(&text,
               "# Ops of the graph IR\n\n"
               "Generated from `ir/ops.def` and `ir/attrs.def`; `test_graph_docs` checks that it is current and, with "
               "`WEIR_BLESS=1`, writes it.\n"
               "*Type* names the rule `ir_rule_<type>` that checks the operands and gives the result's type. *Cost* "
               "counts floating point\n"
               "operations as the planner sees them. Elementwise shapes are equal, or one is the end of the other, or "
               "a scalar.\n");
  const char *group = "";
  for (int op = 0; op < IR_OP_COUNT; op++) {
    const char *mine = group_of((ir_op)op);
    if (mine != group) {
      ir_text_printf(&text,
                     "\n## %s\n\n| op | operands | attributes | type | meaning | cost |\n|---|---|---|---|---|---|\n",
                     mine);
      group = mine;
    }
    print_row(&text, (ir_op)op);
  }
  ir_text_puts(&text, "\n## Attributes\n\n| attribute | kind | meaning |\n|---|---|---|\n");
  for (int i = 0; i < IR_ATTR_COUNT; i++)
    ir_text_printf(&text, "| `%s` | %s | %s |\n", attrs[i].name, attrs[i].kind, attrs[i].meaning);
  return text.data;
}
