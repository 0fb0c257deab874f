// Graph IR as text; the grammar stands in ir/README.md, the reader in parse.c. Output depends on the module alone: no
// pointers, no hash order. A value prints as its id and, for readers, the name it has in the model's text: %12.q.
#include "ir/print.h"

#include <string.h>

static const char *const role_names[] = {"plain", "batch", "seq"};
static const char *const param_names[] = {"input", "weight", "state"};
static const char *const kind_names[] = {"block", "entry", "step", "region"};

static void print_name(ir_text *text, const char *name) {
  if (ir_text_is_name(name)) {
    ir_text_puts(text, name);
  } else {
    ir_text_quoted(text, name);
  }
}

static void print_value(ir_text *text, const ir_value *value) {
  if (!value) {
    ir_text_puts(text, "%?");
    return;
  }
  ir_text_printf(text, "%%%d", value->id);
  if (ir_text_is_name(value->name)) ir_text_printf(text, ".%s", value->name);
}

static void print_values(ir_text *text, ir_value *const *values, int count) {
  for (int i = 0; i < count; i++) {
    if (i) ir_text_puts(text, ", ");
    print_value(text, values[i]);
  }
}

static void print_range(ir_text *text, int64_t lo, int64_t hi) {
  ir_text_printf(text, " in %lld..", (long long)lo);
  if (hi != INT64_MAX) ir_text_printf(text, "=%lld", (long long)hi);
}

// ---- attributes

static void print_number(ir_text *text, double value, bool whole) {
  if (whole && value >= -0x1p53 && value <= 0x1p53) {
    ir_text_printf(text, "%.0f", value);
  } else {
    ir_text_double(text, value);
  }
}

static void print_attr(ir_text *text, const ir_node *node, const ir_attr *attr) {
  const ir_attr *dtype = ir_node_attr(node, IR_ATTR_dtype);
  ir_text_printf(text, "%s=", ir_attr_get_name(attr->name));
  switch (ir_attr_get_kind(attr->name)) {
    case IR_ATTR_INT:
      ir_text_printf(text, "%lld", (long long)attr->i);
      break;
    case IR_ATTR_BOOL:
      ir_text_puts(text, attr->i ? "true" : "false");
      break;
    case IR_ATTR_FLOAT:
      print_number(text, attr->f, dtype && !ir_dtype_is_float(dtype->dtype));
      break;
    case IR_ATTR_DTYPE:
      ir_text_puts(text, ir_dtype_name(attr->dtype));
      break;
    case IR_ATTR_COMBINE:
      ir_text_puts(text, ir_combine_name(attr->combine));
      break;
    case IR_ATTR_DIM:
      ir_text_puts(text, ir_dim_print(text->arena, attr->dim));
      break;
    case IR_ATTR_INTS:
    case IR_ATTR_DIMS:
      ir_text_puts(text, "[");
      for (int i = 0; i < attr->count; i++) {
        if (i) ir_text_puts(text, ", ");
        if (ir_attr_get_kind(attr->name) == IR_ATTR_INTS) {
          ir_text_printf(text, "%lld", (long long)attr->ints[i]);
        } else {
          ir_text_puts(text, ir_dim_print(text->arena, attr->dims[i]));
        }
      }
      ir_text_puts(text, "]");
      break;
  }
}

// ---- lines of a function

static void print_doc(ir_text *text, const char *doc) {
  for (const char *line = doc; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    int length = (int)strcspn(line, "\n");
    ir_text_printf(text, "///%s%.*s\n", length ? " " : "", length, line);
  }
}

static void print_param(ir_text *text, const ir_param *param) {
  ir_text_printf(text, "  %s ", param_names[param->kind]);
  print_value(text, param->value);
  ir_text_printf(text, ": %s ", ir_type_print(text->arena, &param->value->type));
  ir_text_quoted(text, param->name);
  if (param->value->lo <= param->value->hi) print_range(text, param->value->lo, param->value->hi);
  if (param->value->below) ir_text_printf(text, " below [%s]", ir_dim_print(text->arena, param->value->below));
  if (param->rows) ir_text_puts(text, " rows");
  if (param->window) ir_text_printf(text, " window %lld", (long long)param->window);
  if (param->init) {
    ir_text_puts(text, " init ");
    ir_text_quoted(text, param->init);
  }
  ir_text_puts(text, "\n");
}

static void print_node(ir_text *text, const ir_node *node) {
  ir_text_puts(text, "  ");
  print_values(text, node->results, node->result_count);
  ir_text_printf(text, "%s%s", node->result_count ? " = " : "", ir_op_get_info(node->op)->name);
  if (node->callee) {
    ir_text_puts(text, " ");
    print_name(text, node->callee->name);
  }
  if (node->second) {
    ir_text_puts(text, ", ");
    print_name(text, node->second->name);
  }
  if (node->operand_count) ir_text_puts(text, " ");
  print_values(text, node->operands, node->operand_count);
  for (int i = 0; i < node->attr_count; i++) {
    ir_text_puts(text, i ? ", " : " {");
    print_attr(text, node, &node->attrs[i]);
  }
  if (node->attr_count) ir_text_puts(text, "}");
  for (int i = 0; i < node->result_count; i++) {
    ir_text_printf(text, "%s%s", i ? ", " : " : ", ir_type_print(text->arena, &node->results[i]->type));
  }
  ir_text_puts(text, "\n");
}

static void print_result(ir_text *text, const ir_function *function, const ir_result *result) {
  ir_text_puts(text, "  result ");
  print_value(text, result->value);
  ir_text_puts(text, " ");
  ir_text_quoted(text, result->name);
  if (result->state >= 0) {
    ir_text_puts(text, " of ");
    print_value(text, result->state < function->param_count ? function->params[result->state].value : NULL);
  }
  ir_text_puts(text, "\n");
}

// Every line of |complaint| behind a marker.
static void print_complaint(ir_text *text, const void *here, const void *marked, const char *complaint) {
  if (here == marked && complaint) ir_text_printf(text, "  ^^^ %s\n", complaint);
}

void ir_text_function(ir_text *text, const ir_function *function, const void *marked, const char *complaint) {
  print_doc(text, function->doc);
  ir_text_printf(text, "%s ", kind_names[function->kind]);
  print_name(text, function->name);
  ir_text_puts(text, " {\n");
  print_complaint(text, function, marked, complaint);
  for (int i = 0; i < function->param_count; i++) {
    print_param(text, &function->params[i]);
    print_complaint(text, &function->params[i], marked, complaint);
  }
  for (const ir_node *node = function->first; node; node = node->next) {
    print_node(text, node);
    print_complaint(text, node, marked, complaint);
  }
  for (int i = 0; i < function->result_count; i++) {
    print_result(text, function, &function->results[i]);
    print_complaint(text, &function->results[i], marked, complaint);
  }
  ir_text_puts(text, "}\n");
}

const char *ir_print_function(weir_arena *arena, const ir_function *function) {
  ir_text text;
  ir_text_init(&text, arena);
  ir_text_function(&text, function, NULL, NULL);
  return text.data;
}

// ---- modules

static void print_symbol(ir_text *text, const ir_dim_table *dims, const ir_symbol *symbol) {
  ir_text_puts(text, "dim ");
  print_name(text, symbol->name);
  ir_text_printf(text, ": %s", role_names[symbol->role]);
  print_range(text, symbol->lo, symbol->hi);
  if (symbol->divisor != 1) ir_text_printf(text, " by %lld", (long long)symbol->divisor);
  const ir_symbol *whole = symbol->kept_of ? symbol->kept_of : ir_symbol_before(dims, symbol);
  if (whole) {
    ir_text_puts(text, symbol->kept_of ? " kept " : " before ");
    print_name(text, whole->name);
  }
  ir_text_puts(text, "\n");
}

const char *ir_print_module(weir_arena *arena, const ir_module *module) {
  ir_text text;
  ir_text_init(&text, arena);
  ir_text_puts(&text, "module ");
  print_name(&text, module->name);
  ir_text_puts(&text, "\n");
  for (int i = 0; i < ir_symbol_count(module->dims); i++) {
    if (i == 0) ir_text_puts(&text, "\n");
    print_symbol(&text, module->dims, ir_symbol_at(module->dims, i));
  }
  for (int i = 0; i < module->function_count; i++) {
    ir_text_puts(&text, "\n");
    ir_text_function(&text, module->functions[i], NULL, NULL);
  }
  return text.data;
}
