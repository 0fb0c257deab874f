// Rules: from the syntax tree to a form, and the elaboration of a side in a case of it.
//
// A side is elaborated by the ordinary evaluator into a graph function that no module lists. In a pattern sizes are
// symbols and numbers are ones that occur nowhere else, so that both can be found again in the graph; in a test and at
// a match they are what they are.
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_rule.h"
#include "ir/rules.h"

const ir_dtype lang_rule_floats[LANG_RULE_FLOATS] = {IR_f32, IR_bf16, IR_f64, IR_f16};

enum {
  BOUNDED_MOST = 16,      // numbers of an int with a range
  CHOICES_MOST = 2048,    // of all flags, element types and such ints together
  CASES_MOST = 3000,      // tried for a left side that is an operation
  STEPS_MOST = 20 * 1000  // of the evaluator, for a side
};

// ---- what the text says

static bool report(lang_diags *diags, lang_diag_code code, lang_span span, const char *a, const char *b) {
  lang_diag_add(diags, code, span, a, b);
  return false;
}

static bool kind_of(lang_rule_form *form, int index, lang_diags *diags) {
  const lang_param *param = &form->decl->params.data[index];
  const lang_type *type = param->type;
  if (lang_type_is_tensor(type)) {
    form->kinds[index] = LANG_RULE_TENSOR;
    return true;
  }
  const char *name = type && type->kind == LANG_TYPE_NAMED ? type->name.text : "";
  if (!strcmp(name, "float")) form->kinds[index] = LANG_RULE_FLOAT;
  else if (!strcmp(name, "int")) form->kinds[index] = param->range ? LANG_RULE_BOUNDED : LANG_RULE_SIZE;
  else if (!strcmp(name, "bool")) form->kinds[index] = LANG_RULE_BOOL;
  else if (!strcmp(name, "dtype")) form->kinds[index] = LANG_RULE_DTYPE;
  else return report(diags, LANG_W_RULE_PARAM, param->span, param->name.text, "");
  if (form->kinds[index] != LANG_RULE_BOUNDED) return true;
  const lang_options options = {.float_dtype = IR_f32};
  lang_elab elab = {.arena = form->arena, .program = form->program, .options = &options, .diags = diags};
  elab.module = ir_module_create(form->arena, "");
  lang_frame frame = {.elab = &elab, .file = form->file, .scope = lang_scope_create(form->arena, NULL)};
  bool known = lang_range_bounds(&frame, param->range, &form->lo[index], &form->hi[index]);
  lang_error_flush(&elab);
  if (!known) return false;
  if (form->hi[index] >= form->lo[index] && (uint64_t)form->hi[index] - (uint64_t)form->lo[index] < BOUNDED_MOST)
    return true;
  return report(diags, LANG_W_RULE_RANGE, param->range->span, param->name.text, "");
}

static int param_index(const lang_rule_form *form, const char *name) {
  for (int i = 0; i < form->decl->params.count; i++) {
    if (!strcmp(form->decl->params.data[i].name.text, name)) return i;
  }
  return -1;
}

bool lang_rule_is_int(const lang_rule_form *form, const char *name) { return param_index(form, name) >= 0; }

static int size_index(const lang_rule_form *form, const char *name) {
  for (int i = 0; i < form->size_count; i++) {
    if (!strcmp(form->sizes[i], name)) return i;
  }
  return -1;
}

static bool add_size(lang_rule_form *form, const char *name, lang_span span, lang_diags *diags) {
  if (size_index(form, name) >= 0) return true;
  if (form->size_count + LANG_RULE_DOTS + LANG_RULE_INTS >= LANG_RULE_MAX)
    return report(diags, LANG_W_RULE_LARGE, span, form->decl->name.text, "sizes");
  form->sizes[form->size_count++] = name;
  return true;
}

// Bare names in shapes that are no parameters and no lets are dims of the rule, whatever the file says of a dim so
// called: a rule holds along dims of any role.
static bool collect_type(lang_rule_form *form, const lang_type *type, lang_diags *diags) {
  form->floats = form->floats || !strcmp(type->name.text, "f");
  for (int i = 0; i < type->subs.count; i++) {
    const lang_sub *sub = &type->subs.data[i];
    if (sub->kind == LANG_SUB_ELLIPSIS) form->dots = true;
    if (sub->kind != LANG_SUB_INDEX || sub->low->kind != LANG_EXPR_NAME) continue;
    const char *name = sub->low->name;
    const lang_symbol *symbol = lang_program_find(form->program, form->file, name);
    if (!strcmp(name, "_")) return report(diags, LANG_W_RULE_ANY, sub->span, "", "");
    if (param_index(form, name) >= 0 || (symbol && symbol->item->kind == LANG_ITEM_LET)) continue;
    if (!add_size(form, name, sub->span, diags)) return false;
  }
  return true;
}

// finite(x, ...) says what the rule speaks of; it is no value.
static bool special_condition(lang_rule_form *form, const lang_expr *where, bool *out_special, lang_diags *diags) {
  *out_special = where->kind == LANG_EXPR_CALL && where->call.callee->kind == LANG_EXPR_NAME &&
                 !strcmp(where->call.callee->name, "finite");
  if (!*out_special) return true;
  if (form->decl->exact) return report(diags, LANG_W_RULE_FINITE, where->span, form->decl->name.text, "");
  for (int i = 0; i < where->call.args.count; i++) {
    const lang_expr *arg = where->call.args.data[i].value;
    int index = arg->kind == LANG_EXPR_NAME ? param_index(form, arg->name) : -1;
    if (index < 0 || form->kinds[index] != LANG_RULE_TENSOR)
      return report(diags, LANG_W_RULE_CONDITION, where->span, "finite", "tensors");
    form->finite[index] = true;
  }
  return true;
}

static int64_t choices_of(const lang_rule_form *form) {
  int64_t count = 1;
  for (int i = 0; i < form->decl->params.count && count <= CHOICES_MOST; i++) {
    if (form->kinds[i] == LANG_RULE_BOOL) count *= 2;
    if (form->kinds[i] == LANG_RULE_DTYPE) count *= IR_DTYPE_COUNT;
    if (form->kinds[i] == LANG_RULE_BOUNDED) count *= form->hi[i] - form->lo[i] + 1;
  }
  return count;
}

static bool read_text(lang_rule_form *form, lang_diags *diags) {
  const lang_rule *decl = form->decl;
  int ints = 0;
  for (int i = 0; i < decl->params.count; i++) {
    const lang_type *type = decl->params.data[i].type;
    ints += type && type->kind == LANG_TYPE_NAMED && !strcmp(type->name.text, "int") && !decl->params.data[i].range;
  }
  if (decl->params.count > LANG_RULE_MAX || ints > LANG_RULE_INTS)
    return report(diags, LANG_W_RULE_LARGE, decl->name.span, decl->name.text, "parameters");
  for (int i = 0; i < decl->params.count; i++) {
    if (!kind_of(form, i, diags)) return false;
    if (form->kinds[i] == LANG_RULE_TENSOR && !collect_type(form, decl->params.data[i].type, diags)) return false;
  }
  if (choices_of(form) > CHOICES_MOST)
    return report(diags, LANG_W_RULE_LARGE, decl->name.span, decl->name.text, "choices of flags, ranges and types");
  for (int i = 0; i < decl->wheres.count; i++) {
    bool special;
    if (!special_condition(form, decl->wheres.data[i], &special, diags)) return false;
    if (!special) LANG_PUSH(form->arena, &form->wheres, decl->wheres.data[i]);
  }
  return true;
}

// ---- conditions that only rules have: functions of build-time values

static lang_value wants(lang_frame *frame, const lang_builtin *self, const lang_call *call, const char *what) {
  lang_error(frame->elab, LANG_W_RULE_CONDITION, call->expr->span, self->name, what);
  return lang_value_error();
}

// A factor that never rounds, in any float type of 16 bits or more: a power of two with room for it.
static lang_value power_of_two(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  int exponent;
  if (!lang_value_is_number(call->positional[0])) return wants(frame, self, call, "a number");
  double x = lang_value_number(call->positional[0]);
  return lang_value_bool(isfinite(x) && fabs(frexp(x, &exponent)) == 0.5 && exponent > -13 && exponent < 15);
}

static lang_value integer(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  if (call->positional[0].kind != LANG_V_DTYPE) return wants(frame, self, call, "an element type");
  return lang_value_bool(ir_dtype_is_int(call->positional[0].dtype.type));
}

// Bits of significand and exponents that a float type has; an integer type's values as floats.
static bool float_holds(ir_dtype from, ir_dtype to) {
  static const struct {
    int digits, least, most;
  } shapes[] = {
      [IR_f16] = {11, -14, 15}, [IR_bf16] = {8, -126, 127}, [IR_f32] = {24, -126, 127}, [IR_f64] = {53, -1022, 1023},
      [IR_f8e4m3] = {4, -6, 8}, [IR_f8e5m2] = {3, -14, 15}, [IR_i8] = {8, 0, 7},        [IR_i16] = {16, 0, 15},
      [IR_i32] = {32, 0, 31},   [IR_u8] = {8, 0, 7},        [IR_bool] = {1, 0, 0}};
  if (from == IR_i64 || to == IR_f8e4m3) return from == to;  // f8e4m3 has no infinities
  return shapes[from].digits <= shapes[to].digits && shapes[from].least >= shapes[to].least &&
         shapes[from].most <= shapes[to].most;
}

// Whether every value of the first type is one of the second.
static lang_value widens(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  const lang_value *v = call->positional;
  if (v[0].kind != LANG_V_DTYPE || v[1].kind != LANG_V_DTYPE) return wants(frame, self, call, "two element types");
  ir_dtype from = v[0].dtype.type, to = v[1].dtype.type;
  int64_t from_lo = 0, from_hi = 1, to_lo, to_hi;
  if (from == to) return lang_value_bool(true);
  if (ir_dtype_is_float(to)) return lang_value_bool(float_holds(from, to));
  if (ir_dtype_is_float(from) || to == IR_bool) return lang_value_bool(false);
  if (from != IR_bool) ir_dtype_range(from, &from_lo, &from_hi);
  ir_dtype_range(to, &to_lo, &to_hi);
  return lang_value_bool(from_lo >= to_lo && from_hi <= to_hi);
}

static const lang_builtin conditions[] = {
    {.name = "power_of_two", .min = 1, .max = 1, .named = "", .call = power_of_two},
    {.name = "integer", .min = 1, .max = 1, .named = "", .call = integer},
    {.name = "widens", .min = 2, .max = 2, .named = "", .call = widens},
};
enum { CONDITION_COUNT = sizeof conditions / sizeof *conditions };

const char *lang_rule_condition(int index) {
  return index == 0 ? "finite" : index <= CONDITION_COUNT ? conditions[index - 1].name : NULL;
}

// ---- cases

void lang_rule_first_choice(const lang_rule_form *form, lang_rule_case *c) {
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] == LANG_RULE_BOOL) c->values[i] = lang_value_bool(false);
    if (form->kinds[i] == LANG_RULE_BOUNDED) c->values[i] = lang_value_int(form->lo[i]);
    if (form->kinds[i] == LANG_RULE_DTYPE)
      c->values[i] = (lang_value){.kind = LANG_V_DTYPE, .dtype = {(ir_dtype)0, false}};
  }
}

bool lang_rule_next_choice(const lang_rule_form *form, lang_rule_case *c) {
  for (int i = 0; i < form->decl->params.count; i++) {
    lang_value *value = &c->values[i];
    if (form->kinds[i] == LANG_RULE_BOOL) {
      value->b = !value->b;
      if (value->b) return true;
    } else if (form->kinds[i] == LANG_RULE_BOUNDED) {
      if (value->i < form->hi[i]) {
        value->i++;
        return true;
      }
      value->i = form->lo[i];
    } else if (form->kinds[i] == LANG_RULE_DTYPE) {
      value->dtype.type = (ir_dtype)(value->dtype.type + 1);
      if (value->dtype.type < IR_DTYPE_COUNT) return true;
      value->dtype.type = (ir_dtype)0;
    }
  }
  return false;
}

double lang_rule_hole(int param) { return 1000003 + 97 * param; }

// A name of a leading dim that no size of the rule has.
static const char *lead_name(const lang_rule_form *form, int index) {
  const char *name = weir_arena_printf(form->arena, "L%d", index);
  while (size_index(form, name) >= 0) name = weir_arena_printf(form->arena, "_%s", name);
  return name;
}

int lang_rule_symbol(const lang_rule_form *form, int size) { return form->least * LANG_RULE_MAX + size; }

ir_module *lang_rule_module(weir_arena *arena) {
  ir_module *module = ir_module_create(arena, "");
  for (int i = 0; i < 2 * LANG_RULE_MAX; i++)
    ir_symbol_get(module->dims, weir_arena_printf(arena, "S%d", i))->lo = i / LANG_RULE_MAX;
  return module;
}

void lang_rule_open_case(const lang_rule_form *form, ir_module *module, lang_rule_case *c) {
  for (int i = 0; i < form->size_count + c->dots; i++) {
    int lead = i - form->size_count;
    ir_symbol *symbol;
    if (module == form->shared) {
      symbol = ir_symbol_at(module->dims, lang_rule_symbol(form, i));
    } else {
      symbol = ir_symbol_get(module->dims, lead < 0 ? form->sizes[i] : lead_name(form, lead));
      symbol->lo = form->least;
    }
    *(lead < 0 ? &c->sizes[i] : &c->lead[lead]) = ir_dim_symbol(module->dims, symbol);
  }
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] == LANG_RULE_FLOAT) c->values[i] = lang_value_float(lang_rule_hole(i));
    if (form->kinds[i] == LANG_RULE_INT) c->values[i] = lang_value_int((int64_t)lang_rule_hole(i));
  }
}

// ---- runs

static ir_function *detached(ir_module *module, const char *name) {
  ir_function *function = WEIR_NEW(module->arena, ir_function);
  function->kind = IR_FUNCTION_BLOCK;
  function->name = name;
  function->module = module;
  return function;
}

static void define(lang_rule_run *run, const char *name, lang_value value) {
  lang_scope_add(run->elab.arena, run->frame.scope, name, value, LANG_BINDING_CONST, run->form->span);
}

static void define_case(lang_rule_run *run, const lang_rule_case *c) {
  const lang_rule_form *form = run->form;
  lang_value lead[LANG_RULE_DOTS];
  for (int i = 0; i < c->dots; i++) lead[i] = lang_value_of_dim(c->lead[i]);
  if (form->dots) define(run, "...", lang_value_list(run->elab.arena, LANG_V_LIST, lead, c->dots));
  for (int i = 0; i < form->size_count; i++) {
    if (c->sizes[i]) define(run, form->sizes[i], lang_value_of_dim(c->sizes[i]));
  }
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] != LANG_RULE_TENSOR && form->kinds[i] != LANG_RULE_SIZE)
      define(run, form->decl->params.data[i].name.text, c->values[i]);
  }
}

// The known range of an integer tensor: as declared; in a pattern, where sizes are open, any that no op refuses.
static bool set_range(lang_rule_run *run, const lang_param *param, ir_value *value, bool open) {
  int64_t lo, hi;
  if (!param->range) return true;
  if (open) {
    value->lo = value->hi = 0;
    return true;
  }
  if (!lang_range_bounds(&run->frame, param->range, &lo, &hi) || hi < lo) return false;
  value->lo = lo;
  value->hi = hi;
  return true;
}

static bool add_tensor(lang_rule_run *run, int index, const ir_value *actual, bool open) {
  const lang_param *param = &run->form->decl->params.data[index];
  lang_tensor_type type;
  const char *labels[IR_MAX_RANK] = {NULL};
  if (!lang_type_resolve(&run->frame, param->type, false, &type, labels)) return false;
  if (actual && !ir_type_equal(&type.type, &actual->type)) return false;
  ir_value *value = ir_function_add_param(run->function.ir, IR_PARAM_INPUT, param->name.text, type.type);
  if (!set_range(run, param, value, open)) return false;
  if (actual && param->range && !(actual->lo <= actual->hi && actual->lo >= value->lo && actual->hi <= value->hi))
    return false;
  if (actual) value->lo = actual->lo, value->hi = actual->hi;
  lang_value tensor = lang_wrap(&run->frame, value, type.is_f, param->name.span);
  // A rule may look along `...` as along any dim: it is no body that others call with leading dims of theirs.
  for (int i = 0; i < type.type.rank; i++)
    tensor.tensor->labels[i] = labels[i] && strcmp(labels[i], "...") != 0 ? labels[i] : NULL;
  lang_scope_add(run->elab.arena, run->frame.scope, param->name.text, tensor, LANG_BINDING_LOCAL, param->name.span);
  return true;
}

bool lang_rule_open(lang_rule_run *run, const lang_rule_form *form, const lang_rule_case *c, ir_module *module,
                    ir_value *const *tensors, lang_diags *diags) {
  *run = (lang_rule_run){.form = form, .options = {.float_dtype = c->f}};
  weir_arena *arena = module->arena;
  if (!diags) {
    lang_diags_init(&run->own, arena);
    run->own.sources = form->diags->sources;
    run->own.source_count = form->diags->source_count;
  }
  run->elab = (lang_elab){.arena = arena,
                          .program = form->program,
                          .diags = diags ? diags : &run->own,
                          .options = &run->options,
                          .module = module,
                          .steps = LANG_STEP_BUDGET - STEPS_MOST};
  run->function.ir = detached(module, form->decl->name.text);
  run->function.step = tensors != NULL;  // collects what holds only where no seq grows
  run->frame = (lang_frame){.elab = &run->elab, .file = form->file, .function = &run->function};
  run->frame.scope = run->frame.locals = lang_scope_create(arena, NULL);
  define_case(run, c);
  bool open = !tensors && form->size_count && c->sizes[0] && !ir_dim_is_const(c->sizes[0], NULL);
  bool ok = true;
  for (int i = 0, k = 0; i < form->decl->params.count && ok; i++) {
    if (form->kinds[i] != LANG_RULE_TENSOR) continue;
    ok = add_tensor(run, i, tensors ? tensors[k] : NULL, open);
    k++;
  }
  lang_error_flush(&run->elab);
  return ok;
}

ir_function *lang_rule_side(lang_rule_run *run, bool left, const ir_type *like) {
  const lang_expr *expr = left ? run->form->decl->left : run->form->decl->right;
  lang_value value = lang_eval(&run->frame, expr);
  ir_value *result = value.kind == LANG_V_TENSOR ? value.tensor->value : NULL;
  bool number = lang_value_is_number(value) || value.kind == LANG_V_BOOL || value.kind == LANG_V_DIM;
  if (!result && number && like && !run->elab.diags->error_count) {
    ir_value type = {.type = {.dtype = like->dtype}};
    lang_tensor_value wanted = {.value = &type};
    const lang_tensor_value *tensor = lang_tensor_of(&run->frame, value, &wanted, expr->span);
    result = tensor ? tensor->value : NULL;
  } else if (!result && !lang_value_void(value)) {
    lang_error(&run->elab, LANG_W_RULE_SIDE, expr->span, lang_value_describe(run->elab.arena, value));
  }
  lang_error_flush(&run->elab);
  if (!result || run->elab.diags->error_count) return NULL;
  ir_function_add_result(run->function.ir, "", result, -1);
  ir_function_renumber(run->function.ir);
  if (left) run->function.result = value;
  return run->function.ir;
}

// Every condition in a scope of its own, so that the names of conditions hide nothing of the sides.
bool lang_rule_holds(lang_rule_run *run) {
  lang_scope *outer = run->frame.scope;
  run->frame.scope = lang_scope_create(run->elab.arena, outer);
  for (int i = 0; i < CONDITION_COUNT; i++) {
    lang_callable *fn = WEIR_NEW(run->elab.arena, lang_callable);
    fn->builtin = &conditions[i];
    define(run, conditions[i].name, (lang_value){.kind = LANG_V_FN, .fn = fn});
  }
  bool holds = true;
  for (int i = 0; i < run->form->wheres.count && holds; i++) {
    bool truth;
    holds = lang_truth(&run->frame, run->form->wheres.data[i], &truth) && truth;
  }
  run->frame.scope = outer;
  return holds;
}

double lang_rule_work(const lang_rule_run *run) {
  enum { PER_STEP = 100 };
  return run && run->form ? PER_STEP * (double)(run->elab.steps - (LANG_STEP_BUDGET - STEPS_MOST)) : 0;
}

// ---- reading

// Whether the left side is an operation in this case, and which.
static bool try_case(lang_rule_form *form, lang_rule_case *c) {
  if (form->tries++ > CASES_MOST) return false;
  const ir_pattern *pattern = lang_rule_pattern(form, c, NULL);
  if (!pattern) return false;
  form->pattern = pattern;
  form->root = pattern->root->op;
  form->root_lead = pattern->root->results[0]->type.rank - c->dots;
  form->root_is_f = lang_rule_pattern_is_f(pattern);
  return true;
}

// The first case whose left side is an operation, or that tells an int to be a number.
static bool try_cases(lang_rule_form *form, lang_rule_case *c) {
  for (int dots = form->dots ? 2 : 0; dots >= 0; dots--) {
    for (int k = 0; k < (form->floats ? LANG_RULE_FLOATS : 1); k++) {
      *c = (lang_rule_case){.f = lang_rule_floats[k], .dots = dots};
      lang_rule_first_choice(form, c);
      do {
        if (try_case(form, c)) return true;
        if (form->counted >= 0) return false;
      } while (lang_rule_next_choice(form, c));
    }
  }
  return false;
}

// Takes the ints whose bit is set in |numbers| for numbers, the others for sizes; |dims| sizes are names of shapes.
static void assign_ints(lang_rule_form *form, int dims, unsigned numbers) {
  int bit = 0;
  form->size_count = dims;
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] != LANG_RULE_SIZE && form->kinds[i] != LANG_RULE_INT) continue;
    bool number = numbers >> bit++ & 1;
    form->kinds[i] = number ? LANG_RULE_INT : LANG_RULE_SIZE;
    if (!number) form->sizes[form->size_count++] = form->decl->params.data[i].name.text;
  }
}

// The bit of a parameter among the ints.
static unsigned int_bit(const lang_rule_form *form, int param) {
  unsigned bit = 1;
  for (int i = 0; i < param; i++) bit <<= form->kinds[i] == LANG_RULE_SIZE || form->kinds[i] == LANG_RULE_INT;
  return bit;
}

// An int is a size if the left side has a meaning so; else a number. Sizes may be 0, unless the left side needs more.
static bool settle(lang_rule_form *form) {
  int dims = form->size_count, ints = 0;
  for (int i = 0; i < form->decl->params.count; i++) ints += form->kinds[i] == LANG_RULE_SIZE;
  unsigned known = 0;  // ints that are numbers for sure
  for (unsigned numbers = 0; numbers < 1u << ints; numbers++) {
    lang_rule_case c;
    if ((numbers & known) != known) continue;
    assign_ints(form, dims, numbers);
    form->least = 1;
    form->counted = -1;
    bool found = try_cases(form, &c);
    if (!found && form->counted >= 0) known |= int_bit(form, form->counted);
    if (!found) continue;
    form->least = 0;
    if (!try_case(form, &c)) {
      form->least = 1;
      return try_case(form, &c);
    }
    return true;
  }
  return false;
}

// Why no case has a pattern, told for the plainest one.
static void explain(lang_rule_form *form, lang_diags *diags) {
  lang_rule_case c = {.f = IR_f32, .dots = form->dots ? 2 : 0};
  int before = diags->error_count;
  form->least = 1;
  lang_rule_first_choice(form, &c);
  for (bool more = true; more && c.values[0].kind == LANG_V_DTYPE && c.values[0].dtype.type != IR_f32;)
    more = lang_rule_next_choice(form, &c);
  lang_rule_pattern(form, &c, diags);
  if (diags->error_count == before)
    lang_diag_add(diags, LANG_W_RULE_LEFT, form->decl->left->span, form->decl->name.text);
}

bool lang_rule_read(weir_arena *arena, const lang_program *program, const lang_symbol *symbol, ir_module *shared,
                    lang_diags *diags, lang_rule_form *out_form) {
  *out_form = (lang_rule_form){.arena = arena,
                               .program = program,
                               .file = symbol->file,
                               .decl = &symbol->item->rule,
                               .span = symbol->span,
                               .diags = diags,
                               .shared = shared,
                               .counted = -1};
  if (!read_text(out_form, diags)) return false;
  if (settle(out_form)) return true;
  explain(out_form, diags);
  return false;
}
