// Reads the text form (grammar in ir/README.md). One pass, no look-ahead beyond a token, no recursion but the dims'
// parentheses. Any bytes give a module that passed ir_verify or an INVALID_DATA status with line and column; limits
// keep cost in line with length.
#include <string.h>

#include "ir/scan.h"
#include "ir/text_buffer.h"

enum { MAX_SYMBOLS = 256, MAX_FUNCTIONS = 4096, MAX_ID = 1 << 20, MAX_RESULTS = 1 << 16 };

typedef struct {
  ir_value *value;
  int id;
} slot;

typedef struct {
  ir_scanner scan;
  ir_function *function;
  slot *slots;  // values of the function by id, open addressing
  size_t slot_count, used;
  const char *befores[MAX_SYMBOLS];  // of symbol i: the name of the symbol that it stands before, or null
  const char *keeps[MAX_SYMBOLS];    // of symbol i: the name of the symbol whose last earlier rows it counts, or null
} parser;

// ---- values

static slot *find_slot(parser *p, int id) {
  size_t at = (size_t)id * 0x9E3779B97F4A7C15u & (p->slot_count - 1);
  while (p->slots[at].value && p->slots[at].id != id) at = (at + 1) & (p->slot_count - 1);
  return &p->slots[at];
}

// "%" id ["." name]; the name goes to |out_name|, null where there is none.
static bool read_value_name(parser *p, int *out_id, const char **out_name) {
  int64_t id;
  *out_name = NULL;
  if (!ir_scan_expect(&p->scan, '%') || !ir_scan_integer(&p->scan, &id)) return false;
  if (id < 0 || id >= MAX_ID) return ir_scan_fail(&p->scan, "the id is too large");
  *out_id = (int)id;
  if (*p->scan.at != '.' || !ir_scan_is_name_byte(p->scan.at)) return true;
  p->scan.at++;
  if (!ir_scan_name(&p->scan)) return false;
  *out_name = weir_arena_strdup(p->scan.arena, p->scan.word);
  return true;
}

static bool read_use(parser *p, ir_value **out) {
  int id;
  const char *name;
  ir_scan_space(&p->scan);
  const char *before = p->scan.at;
  if (!read_value_name(p, &id, &name)) return false;
  *out = find_slot(p, id)->value;
  if (*out) return true;
  p->scan.at = before;
  return ir_scan_fail(&p->scan, "%%%d is not defined", id);
}

static void grow_slots(parser *p) {
  slot *old = p->slots;
  size_t count = p->slot_count;
  p->slot_count = 2 * count;
  p->slots = WEIR_NEW_ARRAY(p->scan.arena, slot, p->slot_count);
  for (size_t i = 0; i < count; i++) {
    if (old[i].value) *find_slot(p, old[i].id) = old[i];
  }
}

static bool define(parser *p, ir_value *value, int id, const char *name) {
  slot *at = find_slot(p, id);
  if (at->value) return ir_scan_fail(&p->scan, "%%%d is defined twice", id);
  *at = (slot){value, id};
  value->id = id;
  value->name = name;
  if (id >= p->function->next_id) p->function->next_id = id + 1;
  if (2 * ++p->used > p->slot_count) grow_slots(p);
  return true;
}

// ---- attributes

static bool read_ints(parser *p, ir_attr *attr) {
  if (!ir_scan_expect(&p->scan, '[')) return false;
  while (!ir_scan_peek(&p->scan, ']')) {
    if (attr->count == IR_MAX_RANK) return ir_scan_fail(&p->scan, "more than %d entries", IR_MAX_RANK);
    if (attr->count && !ir_scan_expect(&p->scan, ',')) return false;
    if (!ir_scan_integer(&p->scan, &attr->ints[attr->count++])) return false;
  }
  return ir_scan_expect(&p->scan, ']');
}

static bool read_bool(parser *p, int64_t *out) {
  *out = ir_scan_word(&p->scan, "true");
  return *out || ir_scan_word(&p->scan, "false") || ir_scan_fail(&p->scan, "expected true or false");
}

static bool read_attr(parser *p, ir_attr *attr) {
  *attr = (ir_attr){0};
  if (!ir_scan_name(&p->scan)) return false;
  int name = 0;
  while (name < IR_ATTR_COUNT && strcmp(ir_attr_get_name((ir_attr_name)name), p->scan.word)) name++;
  if (name == IR_ATTR_COUNT) return ir_scan_fail(&p->scan, "unknown attribute '%s'", p->scan.word);
  attr->name = (ir_attr_name)name;
  if (!ir_scan_expect(&p->scan, '=')) return false;
  switch (ir_attr_get_kind(attr->name)) {
    case IR_ATTR_INT:
      return ir_scan_integer(&p->scan, &attr->i);
    case IR_ATTR_FLOAT:
      return ir_scan_float(&p->scan, &attr->f);
    case IR_ATTR_BOOL:
      return read_bool(p, &attr->i);
    case IR_ATTR_INTS:
      return read_ints(p, attr);
    case IR_ATTR_DIM:
      return ir_scan_dim(&p->scan, &attr->dim);
    case IR_ATTR_DIMS:
      return ir_scan_dims(&p->scan, &attr->count, attr->dims);
    case IR_ATTR_DTYPE:
      return ir_scan_dtype(&p->scan, &attr->dtype);
    case IR_ATTR_COMBINE:
      if (!ir_scan_name(&p->scan)) return false;
      return ir_combine_find(p->scan.word, &attr->combine) ||
             ir_scan_fail(&p->scan, "nothing combines by '%s'", p->scan.word);
  }
  return false;
}

static bool read_attrs(parser *p, ir_attr *attrs, int *count) {
  *count = 0;
  if (!ir_scan_accept(&p->scan, '{')) return true;
  do {
    if (*count == IR_MAX_ATTRS) return ir_scan_fail(&p->scan, "too many attributes");
    if (!read_attr(p, &attrs[(*count)++])) return false;
  } while (ir_scan_accept(&p->scan, ','));
  return ir_scan_expect(&p->scan, '}');
}

// ---- statements

static bool read_param(parser *p, ir_param_kind kind) {
  int id = 0;
  const char *value_name;
  ir_type type;
  if (!read_value_name(p, &id, &value_name) || !ir_scan_expect(&p->scan, ':') || !ir_scan_type(&p->scan, &type))
    return false;
  const char *name = ir_scan_string(&p->scan);
  if (!name) return false;
  if (p->function->first) return ir_scan_fail(&p->scan, "a parameter stands before all nodes");
  ir_value *value = ir_function_add_param(p->function, kind, name, type);
  ir_param *param = &p->function->params[p->function->param_count - 1];
  if (ir_scan_word(&p->scan, "in") && !ir_scan_range(&p->scan, &value->lo, &value->hi)) return false;
  if (ir_scan_word(&p->scan, "below") &&
      (!ir_scan_expect(&p->scan, '[') || !ir_scan_dim(&p->scan, &value->below) || !ir_scan_expect(&p->scan, ']')))
    return false;
  if (value->below && (value->lo > value->hi || value->lo < 0))
    return ir_scan_fail(&p->scan, "what is below a size has a range from 0 or more");
  param->rows = ir_scan_word(&p->scan, "rows");
  if (ir_scan_word(&p->scan, "window") && !ir_scan_integer(&p->scan, &param->window)) return false;
  if (ir_scan_word(&p->scan, "init")) {
    param->init = ir_scan_string(&p->scan);
    if (!param->init) return false;
  }
  return define(p, value, id, value_name);
}

static bool read_result(parser *p) {
  ir_value *value, *state;
  if (!read_use(p, &value)) return false;
  const char *name = ir_scan_string(&p->scan);
  if (!name) return false;
  int index = -1;
  if (ir_scan_word(&p->scan, "of")) {
    if (!read_use(p, &state)) return false;
    if (state->def) return ir_scan_fail(&p->scan, "%%%d is no state parameter", state->id);
    index = state->result;
  }
  ir_function_add_result(p->function, name, value, index);
  return true;
}

typedef struct {
  int id;
  const char *name;
} value_name;

typedef struct {
  value_name *results;
  int result_count, result_capacity;
  ir_value **operands;
  int operand_count, operand_capacity;
} node_text;

static bool read_node_results(parser *p, node_text *text) {
  if (!ir_scan_peek(&p->scan, '%')) return true;
  do {
    value_name result;
    if (text->result_count == MAX_RESULTS) return ir_scan_fail(&p->scan, "too many results");
    if (!read_value_name(p, &result.id, &result.name)) return false;
    WEIR_PUSH(p->scan.arena, text->results, text->result_count, text->result_capacity, result);
  } while (ir_scan_accept(&p->scan, ','));
  return ir_scan_expect(&p->scan, '=');
}

static bool read_operands(parser *p, node_text *text) {
  if (!ir_scan_peek(&p->scan, '%')) return true;
  do {
    ir_value *value;
    if (!read_use(p, &value)) return false;
    WEIR_PUSH(p->scan.arena, text->operands, text->operand_count, text->operand_capacity, value);
  } while (ir_scan_accept(&p->scan, ','));
  return true;
}

// The types behind the colon, which must be those the rule gave.
static bool read_node_types(parser *p, const ir_node *node) {
  for (int i = 0; i < node->result_count; i++) {
    ir_type type;
    if (!ir_scan_expect(&p->scan, i ? ',' : ':')) return false;
    ir_scan_space(&p->scan);
    const char *before = p->scan.at;
    if (!ir_scan_type(&p->scan, &type)) return false;
    if (ir_type_equal(&type, &node->results[i]->type)) continue;
    p->scan.at = before;
    return ir_scan_fail(&p->scan, "the operands give %s", ir_type_print(p->scan.arena, &node->results[i]->type));
  }
  return true;
}

static bool read_callee(parser *p, ir_function **out) {
  const char *name = ir_scan_label(&p->scan);
  if (!name) return false;
  *out = ir_function_find(p->scan.module, name);
  if (*out && *out != p->function) return true;
  return ir_scan_fail(&p->scan, "function '%s' does not stand before this one", name);
}

static bool read_node(parser *p) {
  node_text text = {0};
  ir_op op;
  ir_function *callee = NULL, *second = NULL;
  ir_attr attrs[IR_MAX_ATTRS];
  int attr_count;
  const char *error = NULL;
  if (!read_node_results(p, &text)) return false;
  ir_scan_space(&p->scan);
  const char *start = p->scan.at;
  if (!ir_scan_name(&p->scan)) return false;
  if (!ir_op_find(p->scan.word, &op)) {
    p->scan.at = start;
    return ir_scan_fail(&p->scan, "unknown op '%s'", p->scan.word);
  }
  if (ir_op_takes_function(op) && !read_callee(p, &callee)) return false;
  if (callee && ir_scan_accept(&p->scan, ',') && !read_callee(p, &second)) return false;
  if (!read_operands(p, &text) || !read_attrs(p, attrs, &attr_count)) return false;
  if (op == IR_OP_call && (attr_count || second))
    return ir_scan_fail(&p->scan, "a call has one callee and no attributes");
  ir_loc nowhere = {0};
  ir_node *node = op == IR_OP_call
                      ? ir_build_call(p->function, callee, text.operands, text.operand_count, nowhere, &error)
                      : ir_build_region(p->function, op, callee, second, text.operands, text.operand_count, attrs,
                                        attr_count, nowhere, &error);
  if (!node || node->result_count != text.result_count) {
    p->scan.at = start;
    return ir_scan_fail(&p->scan, "%s", node ? "the number of results is not the op's" : error);
  }
  if (!read_node_types(p, node)) return false;
  for (int i = 0; i < node->result_count; i++) {
    if (!define(p, node->results[i], text.results[i].id, text.results[i].name)) return false;
  }
  return true;
}

// ---- declarations

static bool read_symbol(parser *p) {
  const char *name = ir_scan_label(&p->scan);
  if (!name) return false;
  if (ir_symbol_find(p->scan.module->dims, name)) return ir_scan_fail(&p->scan, "dim '%s' is declared twice", name);
  if (ir_symbol_count(p->scan.module->dims) == MAX_SYMBOLS)
    return ir_scan_fail(&p->scan, "more than %d dims", MAX_SYMBOLS);
  ir_symbol *symbol = ir_symbol_get(p->scan.module->dims, name);
  if (!ir_scan_expect(&p->scan, ':')) return false;
  if (ir_scan_word(&p->scan, "seq")) symbol->role = IR_ROLE_SEQ;
  else if (ir_scan_word(&p->scan, "batch")) symbol->role = IR_ROLE_BATCH;
  else if (!ir_scan_word(&p->scan, "plain")) return ir_scan_fail(&p->scan, "expected plain, batch or seq");
  if (ir_scan_word(&p->scan, "in") && !ir_scan_range(&p->scan, &symbol->lo, &symbol->hi)) return false;
  if (symbol->lo < 0) return ir_scan_fail(&p->scan, "a dim is not negative");
  if (ir_scan_word(&p->scan, "by") && !ir_scan_integer(&p->scan, &symbol->divisor)) return false;
  if (symbol->divisor < 1) return ir_scan_fail(&p->scan, "a divisor is at least 1");
  if (ir_scan_word(&p->scan, "kept")) {
    p->keeps[symbol->index] = ir_scan_label(&p->scan);
    return p->keeps[symbol->index] != NULL;
  }
  if (!ir_scan_word(&p->scan, "before")) return true;
  p->befores[symbol->index] = ir_scan_label(&p->scan);
  return p->befores[symbol->index] != NULL;
}

// The symbol that |p->keeps| names must grow, and the name and facts be those that ir_symbol_keep gives.
static bool link_keep(parser *p, ir_symbol *keep) {
  ir_dim_table *dims = p->scan.module->dims;
  ir_symbol *whole = ir_symbol_find(dims, p->keeps[keep->index]);
  if (!whole || !whole->past)
    return ir_scan_fail(&p->scan, "dim '%s' has no rows before it that could be kept", p->keeps[keep->index]);
  bool named = keep->hi < INT64_MAX && keep->lo == 0 && keep->divisor == 1 && keep->role == IR_ROLE_SEQ &&
               ir_symbol_keep(dims, whole, keep->hi + 1) == keep;
  return named ||
         ir_scan_fail(&p->scan, "the kept rows of '%s' are '%s.keepN: seq in 0..=N'", whole->name, whole->name);
}

static bool link_symbols(parser *p) {
  for (int i = 0; i < ir_symbol_count(p->scan.module->dims); i++) {
    if (!p->befores[i]) continue;
    ir_symbol *symbol = ir_symbol_find(p->scan.module->dims, p->befores[i]);
    if (!symbol || symbol->index == i || symbol->past)
      return ir_scan_fail(&p->scan, "dim '%s' cannot have rows before it", p->befores[i]);
    symbol->past = ir_symbol_at(p->scan.module->dims, i);
  }
  for (int i = 0, count = ir_symbol_count(p->scan.module->dims); i < count; i++) {
    if (p->keeps[i] && !link_keep(p, ir_symbol_at(p->scan.module->dims, i))) return false;
  }
  return true;
}

// Lines of "///" in front of a function; null where there are none.
static const char *read_doc(parser *p) {
  ir_text text;
  bool any = false;
  ir_text_init(&text, p->scan.arena);
  for (ir_scan_space(&p->scan); !strncmp(p->scan.at, "///", 3); ir_scan_space(&p->scan)) {
    p->scan.at += 3;
    if (*p->scan.at == ' ') p->scan.at++;
    size_t length = strcspn(p->scan.at, "\n");
    if (any) ir_text_puts(&text, "\n");
    ir_text_printf(&text, "%.*s", (int)length, p->scan.at);
    p->scan.at += length;
    any = true;
  }
  return any ? text.data : NULL;
}

static bool read_function(parser *p, const char *doc) {
  ir_function_kind kind;
  if (ir_scan_word(&p->scan, "block")) kind = IR_FUNCTION_BLOCK;
  else if (ir_scan_word(&p->scan, "entry")) kind = IR_FUNCTION_ENTRY;
  else if (ir_scan_word(&p->scan, "step")) kind = IR_FUNCTION_STEP;
  else if (ir_scan_word(&p->scan, "region")) kind = IR_FUNCTION_REGION;
  else return ir_scan_fail(&p->scan, "expected block, entry, step or region");
  const char *name = ir_scan_label(&p->scan);
  if (!name) return false;
  if (ir_function_find(p->scan.module, name)) return ir_scan_fail(&p->scan, "function '%s' is defined twice", name);
  if (p->scan.module->function_count == MAX_FUNCTIONS)
    return ir_scan_fail(&p->scan, "more than %d functions", MAX_FUNCTIONS);
  p->function = ir_function_create(p->scan.module, kind, name);
  p->function->doc = doc;
  p->used = 0;
  p->slot_count = 64;
  p->slots = WEIR_NEW_ARRAY(p->scan.arena, slot, p->slot_count);
  if (!ir_scan_expect(&p->scan, '{')) return false;
  while (!ir_scan_accept(&p->scan, '}')) {
    bool ok = ir_scan_word(&p->scan, "input")    ? read_param(p, IR_PARAM_INPUT)
              : ir_scan_word(&p->scan, "weight") ? read_param(p, IR_PARAM_WEIGHT)
              : ir_scan_word(&p->scan, "state")  ? read_param(p, IR_PARAM_STATE)
              : ir_scan_word(&p->scan, "result") ? read_result(p)
                                                 : read_node(p);
    if (!ok) return false;
  }
  return true;
}

static bool read_module(parser *p) {
  if (!ir_scan_word(&p->scan, "module")) return ir_scan_fail(&p->scan, "expected 'module'");
  const char *name = ir_scan_label(&p->scan);
  if (!name) return false;
  p->scan.module = ir_module_create(p->scan.arena, name);
  while (ir_scan_word(&p->scan, "dim")) {
    if (!read_symbol(p)) return false;
  }
  if (!link_symbols(p)) return false;
  for (ir_scan_space(&p->scan); *p->scan.at; ir_scan_space(&p->scan)) {
    if (!read_function(p, read_doc(p))) return false;
  }
  return true;
}

weir_status ir_parse_module(weir_arena *arena, const char *text, size_t length, ir_module **out_module) {
  const char *zero = memchr(text, 0, length);
  parser *p = WEIR_NEW(arena, parser);
  p->scan.arena = arena;
  p->scan.start = p->scan.at = weir_arena_strndup(arena, text, zero ? (size_t)(zero - text) : length);
  if (read_module(p) && zero) ir_scan_fail(&p->scan, "the text holds a zero byte");
  if (p->scan.status) return p->scan.status;
  WEIR_TRY(ir_verify(p->scan.module));
  *out_module = p->scan.module;
  return WEIR_OK;
}
