// The test of a rule: both sides on random inputs.
//
// A trial takes a case of everything that the rule leaves open (element types, rank of `...`, sizes, numbers), small
// cases first, so that what is found is small; elaborates both sides with these numbers; fills the tensors; and
// compares (ir/rewrite_eval.h). Everything follows from the rule's name and the trial's number: a rule that passed
// passes again.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_rule.h"
#include "ir/eval.h"
#include "ir/rewrite_eval.h"
#include "ir/rules.h"

enum { SHOWN = 8, ELEMENTS_MOST = 4096, ATTEMPTS = 12, WORK_MOST = 1 << 25, ALL_WORK_MOST = 1 << 29 };

typedef struct {
  const lang_rule_form *form;
  weir_arena *arena;  // of one attempt
  weir_arena *kept;   // of the run
  uint64_t state;
  int trial, trials, attempt;
  double work;  // operations and bytes of all trials so far
  lang_rule_case c;
  lang_rule_run *left, *right;
  ir_tensor args[LANG_RULE_MAX];
  lang_rule_report *report;
  lang_diags *diags;
} tester;

typedef enum { TRIAL_AGREES, TRIAL_DIFFERS, TRIAL_SKIPPED } outcome;

static uint64_t draw(tester *t) {
  t->state ^= t->state << 13;
  t->state ^= t->state >> 7;
  t->state ^= t->state << 17;
  return t->state * 0x2545F4914F6CDD1Du >> 11;
}

static int below(tester *t, int limit) { return (int)(draw(t) % (uint64_t)limit); }
static double fraction(tester *t) { return (double)draw(t) * 0x1p-53; }

// ---- cases

static void draw_choices(tester *t) {
  static const ir_dtype dtypes[] = {IR_f32, IR_i32, IR_bool, IR_f64, IR_bf16, IR_i8, IR_u8, IR_i64, IR_f16, IR_i16};
  const lang_rule_form *form = t->form;
  t->c = (lang_rule_case){.f = lang_rule_floats[below(t, LANG_RULE_FLOATS)]};
  t->c.dots = form->dots ? (t->trial < t->trials / 3 ? below(t, 2) : below(t, 4)) : 0;
  lang_rule_first_choice(form, &t->c);
  for (int i = 0; i < form->decl->params.count; i++) {
    lang_value *value = &t->c.values[i];
    if (form->kinds[i] == LANG_RULE_BOOL) value->b = below(t, 2);
    if (form->kinds[i] == LANG_RULE_BOUNDED) value->i = form->lo[i] + below(t, (int)(form->hi[i] - form->lo[i] + 1));
    if (form->kinds[i] == LANG_RULE_DTYPE) value->dtype.type = dtypes[below(t, sizeof dtypes / sizeof *dtypes)];
  }
}

static double draw_number(tester *t) {
  static const double usual[] = {1,  2, 0.5,  -0.0, -1,  0,   3,     -2, 0.25,    1e-5,
                                 10, 4, -0.5, 1e-6, 0.1, 100, 1.702, 8,  0.044715};
  // Conditions often tie a number to a size: s * D == 1.
  int64_t size;
  int which = t->form->size_count ? below(t, 4 * t->form->size_count) : INT32_MAX;
  if (which < t->form->size_count && ir_dim_is_const(t->c.sizes[which], &size) && size > 0)
    return below(t, 3) ? 1 / (double)size : (double)size;
  if (below(t, 4)) return usual[below(t, sizeof usual / sizeof *usual)];
  return (fraction(t) - 0.5) * ldexp(1, below(t, 8));
}

static void draw_sizes(tester *t, ir_module *module) {
  static const int sizes[] = {1, 2, 3, 0, 5, 8, 4, 6};
  const lang_rule_form *form = t->form;
  int level = t->trial * 4 / t->trials + t->attempt / 2, choices = level < 1 ? 1 : level < 2 ? 3 : 8;
  for (int i = 0; i < form->size_count + t->c.dots; i++) {
    int size = sizes[below(t, choices)];
    if (size < form->least) size = 1;
    if (t->c.dots + form->size_count > 4 && size > 3) size = 2;
    ir_dim dim = ir_dim_const(module->dims, size);
    *(i < form->size_count ? &t->c.sizes[i] : &t->c.lead[i - form->size_count]) = dim;
  }
  for (int i = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] == LANG_RULE_FLOAT) t->c.values[i] = lang_value_float(draw_number(t));
    if (form->kinds[i] == LANG_RULE_INT) t->c.values[i] = lang_value_int(below(t, 3) ? below(t, 5) : below(t, 41) - 20);
  }
}

// ---- elements

// How the elements of a trial are: tame, of many magnitudes, with special values, and all alike.
typedef enum { TAME, WIDE, SPECIAL, ALIKE, STYLES } style;

static double special_float(tester *t, ir_dtype dtype, bool finite) {
  static const double most[] = {65504, 0x1.fep127, 0x1.fffffep127, 0x1.fffffffffffffp1023, 448, 57344};
  static const double least[] = {0x1p-24, 0x1p-133, 0x1p-149, 0x1p-1074, 0x1p-9, 0x1p-16};
  bool exact = t->form->decl->exact;
  switch (below(t, finite ? 6 : 9)) {
    case 0:
      return 0;
    case 1:
      return -0.0;
    case 2:
      return below(t, 2) ? 1 : -1;
    case 3:  // the sides of an inexact rule are real numbers: there is no largest one
      return (below(t, 2) ? 1 : -1) * (exact ? most[dtype] : 1e4);
    case 4:
      return (below(t, 2) ? 1 : -1) * (exact ? least[dtype] : 1e-4);
    case 5:
      return (below(t, 2) ? 1 : -1) * (exact ? most[dtype] / 2 : 30);
    case 6:
      return INFINITY;
    case 7:
      return -INFINITY;
    default:
      return NAN;
  }
}

static double draw_float(tester *t, style how, ir_dtype dtype, bool finite) {
  if (how == SPECIAL && !below(t, 2)) return special_float(t, dtype, finite);
  if (how == WIDE) {
    double size = t->form->decl->exact ? ldexp(1 + fraction(t), below(t, 60) - 30) : pow(10, 6 * fraction(t) - 3);
    return below(t, 2) ? size : -size;
  }
  return below(t, 2) ? (below(t, 33) - 16) * 0.25 : 4 * (fraction(t) + fraction(t) + fraction(t)) - 6;
}

static double draw_int(tester *t, style how, ir_dtype dtype) {
  int64_t lo, hi;
  ir_dtype_range(dtype, &lo, &hi);
  if (dtype == IR_i64) lo = -((int64_t)1 << 40), hi = (int64_t)1 << 40;  // float64 holds them and their products' ends
  if (how == SPECIAL && !below(t, 2)) {
    static const int small[] = {0, 1, -1, 2};
    int which = below(t, 6);
    return which == 4 ? (double)lo : which == 5 ? (double)hi : lo == 0 && small[which] < 0 ? 0 : small[which];
  }
  if (how == WIDE) return (double)(lo + (int64_t)(draw(t) % (uint64_t)(hi - lo)));
  return lo == 0 ? below(t, 20) : below(t, 21) - 10;
}

static double draw_element(tester *t, style how, const ir_value *param, bool finite) {
  ir_dtype dtype = param->type.dtype;
  if (param->lo <= param->hi) {
    uint64_t span = (uint64_t)param->hi - (uint64_t)param->lo + 1;
    return (double)(int64_t)((uint64_t)param->lo + (span ? draw(t) % span : draw(t)));
  }
  if (dtype == IR_bool) return below(t, 2);
  if (ir_dtype_is_int(dtype)) return draw_int(t, how, dtype);
  return ir_round_to(dtype, draw_float(t, how, dtype, finite));
}

static bool draw_tensors(tester *t) {
  const lang_rule_form *form = t->form;
  const ir_function *function = t->left->function.ir;
  style common = (style)below(t, STYLES);
  for (int i = 0, k = 0; i < form->decl->params.count; i++) {
    if (form->kinds[i] != LANG_RULE_TENSOR) continue;
    const ir_value *param = function->params[k].value;
    ir_tensor *tensor = &t->args[k++];
    style how = below(t, 3) ? common : (style)below(t, STYLES);
    *tensor = (ir_tensor){.dtype = param->type.dtype, .rank = param->type.rank};
    int64_t count = 1;
    for (int d = 0; d < tensor->rank; d++) {
      if (!ir_dim_is_const(param->type.dims[d], &tensor->dims[d]) || !weir_mul_i64(count, tensor->dims[d], &count) ||
          count > ELEMENTS_MOST)
        return false;
    }
    tensor->data = WEIR_NEW_ARRAY(t->arena, double, count);
    double alike = draw_element(t, SPECIAL, param, form->finite[i]);
    for (int64_t e = 0; e < count; e++)
      tensor->data[e] = how == ALIKE ? alike : draw_element(t, how, param, form->finite[i]);
  }
  return true;
}

// ---- comparing

static bool same_bits(double a, double b) { return (a == b && signbit(a) == signbit(b)) || (isnan(a) && isnan(b)); }

// Whether the left side's element is infinite without an infinite input: it has overflowed.
static bool overflows(tester *t, int64_t at) {
  ir_tensor args[LANG_RULE_MAX], result;
  double *errors;
  for (int i = 0; i < t->left->function.ir->param_count; i++) {
    int64_t count = ir_tensor_elements(&t->args[i]);
    args[i] = t->args[i];
    args[i].data = WEIR_NEW_ARRAY(t->arena, double, count);
    for (int64_t e = 0; e < count; e++) args[i].data[e] = isfinite(t->args[i].data[e]) ? t->args[i].data[e] : 1;
  }
  weir_status status = ir_rewrite_eval_bounded(t->arena, t->left->function.ir, args, &result, &errors);
  bool over = !status && isinf(result.data[at]);
  weir_status_release(status);
  return over;
}

// |right| may lack leading dims of |left|.
static int64_t find_difference(tester *t, const ir_tensor *left, const ir_tensor *right, const double *left_error,
                               const double *right_error) {
  int64_t count = ir_tensor_elements(left), repeat = ir_tensor_elements(right);
  for (int64_t i = 0; i < count; i++) {
    double a = left->data[i], b = right->data[i % repeat];
    if (!left_error) {
      t->report->compared += !isnan(a);
      if (!same_bits(a, b)) return i;
      continue;
    }
    double bound = 4 * (left_error[i] + right_error[i % repeat]);
    if (!isfinite(bound)) continue;  // nothing can be said
    t->report->compared += !isnan(a);
    if (a == b || (isnan(a) && isnan(b))) continue;
    if (isinf(a) && isfinite(b) && overflows(t, i)) continue;  // the right side does better
    if (!(fabs(a - b) <= bound + 1e-300)) return i;
  }
  return -1;
}

// Where the left side has a number, the right one must not overflow.
static int64_t find_overflow(const ir_tensor *left, const ir_tensor *right) {
  int64_t count = ir_tensor_elements(left), repeat = ir_tensor_elements(right);
  for (int64_t i = 0; i < count; i++) {
    if (isfinite(left->data[i]) && !isfinite(right->data[i % repeat])) return i;
  }
  return -1;
}

static bool types_agree(const ir_type *left, const ir_type *right) {
  if (right->dtype != left->dtype || right->rank > left->rank) return false;
  for (int i = 1; i <= right->rank; i++) {
    int64_t a, b;
    if (!ir_dim_is_const(left->dims[left->rank - i], &a) || !ir_dim_is_const(right->dims[right->rank - i], &b) ||
        a != b)
      return false;
  }
  return true;
}

// ---- telling

static const char *number_text(weir_arena *arena, double x) {
  return x == 0 && signbit(x) ? "-0" : weir_arena_printf(arena, "%.9g", x);
}

// As many digits as tell two numbers apart.
static const char *long_text(weir_arena *arena, double x) {
  return x == 0 && signbit(x) ? "-0" : weir_arena_printf(arena, "%.17g", x);
}

static const char *tensor_text(weir_arena *arena, const ir_tensor *tensor) {
  const char *text = weir_arena_printf(arena, "%s[", ir_dtype_name(tensor->dtype));
  int64_t count = ir_tensor_elements(tensor);
  for (int i = 0; i < tensor->rank; i++)
    text = weir_arena_printf(arena, "%s%s%" PRId64, text, i ? ", " : "", tensor->dims[i]);
  text = weir_arena_printf(arena, "%s] %s", text, tensor->rank ? "[" : "");
  for (int64_t i = 0; i < count && i < SHOWN; i++)
    text = weir_arena_printf(arena, "%s%s%s", text, i ? ", " : "", number_text(arena, tensor->data[i]));
  return weir_arena_printf(arena, "%s%s%s", text, count > SHOWN ? ", ..." : "", tensor->rank ? "]" : "");
}

static void tell_case(tester *t, lang_diag *diag) {
  const lang_rule_form *form = t->form;
  for (int i = 0, k = 0; i < form->decl->params.count; i++) {
    const char *name = form->decl->params.data[i].name.text;
    bool tensor = form->kinds[i] == LANG_RULE_TENSOR;
    if (form->kinds[i] == LANG_RULE_SIZE) continue;  // among the sizes
    lang_diag_note(t->diags, diag, (lang_span){0}, "%s = %s", name,
                   tensor ? tensor_text(t->kept, &t->args[k]) : lang_value_print(t->kept, t->c.values[i]));
    k += tensor;
  }
  for (int i = 0; i < form->size_count; i++) {
    if (lang_rule_is_int(form, form->sizes[i]))
      lang_diag_note(t->diags, diag, (lang_span){0}, "%s = %s", form->sizes[i], ir_dim_print(t->kept, t->c.sizes[i]));
  }
}

static outcome tell(tester *t, const ir_tensor *left, const ir_tensor *right, int64_t at, bool overflow) {
  const lang_rule *decl = t->form->decl;
  lang_diag *diag = lang_diag_add(t->diags, LANG_W_RULE_WRONG, t->form->span, decl->name.text);
  int64_t repeat = ir_tensor_elements(right);
  tell_case(t, diag);
  lang_diag_note(t->diags, diag, decl->left->span, "the left side is %s", tensor_text(t->kept, left));
  lang_diag_note(t->diags, diag, decl->right->span, "the right side is %s%s", tensor_text(t->kept, right),
                 overflow ? ", beyond the type's largest number" : "");
  if (left->rank || !t->form->decl->exact) {
    lang_diag_note(t->diags, diag, (lang_span){0}, "element %" PRId64 ": %s and %s", at,
                   long_text(t->kept, left->data[at]), long_text(t->kept, right->data[at % repeat]));
  }
  return TRIAL_DIFFERS;
}

static outcome skip(tester *t, const char *why) {
  t->report->why = why;
  return TRIAL_SKIPPED;
}

static outcome skip_status(tester *t, weir_status status) {
  t->report->why = weir_arena_strdup(t->kept, weir_status_message(status));
  weir_status_release(status);
  return TRIAL_SKIPPED;
}

// ---- trials

static outcome compare(tester *t, const ir_function *left, const ir_function *right) {
  ir_tensor a, b;
  double *a_error, *b_error;
  double a_work = 0, b_work = 0;
  weir_status status = ir_rewrite_eval_rounded(t->arena, left, t->args, &a, &a_work);
  if (!status) status = ir_rewrite_eval_rounded(t->arena, right, t->args, &b, &b_work);
  t->work += a_work + b_work;
  if (status) return skip_status(t, status);
  t->report->trials++;
  if (t->form->decl->exact) {
    int64_t at = find_difference(t, &a, &b, NULL, NULL);
    return at < 0 ? TRIAL_AGREES : tell(t, &a, &b, at, false);
  }
  int64_t over = find_overflow(&a, &b);
  ir_tensor x, y;
  status = ir_rewrite_eval_bounded(t->arena, left, t->args, &x, &a_error);
  if (!status) status = ir_rewrite_eval_bounded(t->arena, right, t->args, &y, &b_error);
  if (status) return skip_status(t, status);
  int64_t at = find_difference(t, &x, &y, a_error, b_error);
  if (at >= 0) return tell(t, &x, &y, at, false);
  return over < 0 || !isfinite(a_error[over]) ? TRIAL_AGREES : tell(t, &a, &b, over, true);
}

static const char *first_message(const lang_rule_run *run) {
  return run->own.count ? run->own.data[0]->message : "its types do not fit";
}

// The sides have no common type: an error, for the sizes of a trial are as good as any.
static outcome types_differ(tester *t, const ir_function *left, const ir_function *right) {
  lang_diag *diag = lang_diag_add(t->diags, LANG_W_RULE_TYPES, t->form->decl->right->span,
                                  ir_type_print(t->kept, &left->results[0].value->type),
                                  ir_type_print(t->kept, &right->results[0].value->type));
  lang_diag_note(t->diags, diag, t->form->span, "in rule %s", t->form->decl->name.text);
  return TRIAL_DIFFERS;
}

static outcome attempt(tester *t) {
  t->left = t->right = NULL;
  draw_choices(t);
  ir_module *module = ir_module_create(t->arena, "");
  draw_sizes(t, module);
  t->left = WEIR_NEW(t->arena, lang_rule_run);
  t->right = WEIR_NEW(t->arena, lang_rule_run);
  if (!lang_rule_open(t->left, t->form, &t->c, module, NULL, NULL) ||
      !lang_rule_open(t->right, t->form, &t->c, module, NULL, NULL))
    return skip(t, weir_arena_strdup(t->kept, first_message(t->left)));
  if (!lang_rule_holds(t->left)) return skip(t, "its conditions hardly ever hold");
  ir_function *left = lang_rule_side(t->left, true, NULL);
  if (!left) return skip(t, weir_arena_strdup(t->kept, first_message(t->left)));
  ir_function *right = lang_rule_side(t->right, false, &left->results[0].value->type);
  if (!right) return skip(t, weir_arena_strdup(t->kept, first_message(t->right)));
  if (!types_agree(&left->results[0].value->type, &right->results[0].value->type)) return types_differ(t, left, right);
  if (!draw_tensors(t)) return skip(t, "its tensors are too large");
  return compare(t, left, right);
}

static outcome trial(tester *t) {
  outcome result = TRIAL_SKIPPED;
  for (t->attempt = 0; t->attempt < ATTEMPTS && result == TRIAL_SKIPPED; t->attempt++) {
    weir_arena arena;
    weir_arena_init(&arena);
    t->arena = &arena;
    result = attempt(t);
    t->work += lang_rule_work(t->left) + lang_rule_work(t->right);
    weir_arena_deinit(&arena);
  }
  return result;
}

// ---- what the left side fixes

static bool mentions(const lang_expr *expr, const char *name);

static bool mentions_any(const lang_exprs *exprs, const char *name) {
  for (int i = 0; i < exprs->count; i++) {
    if (mentions(exprs->data[i], name)) return true;
  }
  return false;
}

static bool mentions_subs(const lang_subs *subs, const char *name) {
  for (int i = 0; i < subs->count; i++) {
    if (mentions(subs->data[i].low, name) || mentions(subs->data[i].high, name)) return true;
  }
  return false;
}

static bool mentions(const lang_expr *expr, const char *name) {
  if (!expr) return false;
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      return !strcmp(expr->name, name);
    case LANG_EXPR_LIST:
      return mentions_any(&expr->list.values, name);
    case LANG_EXPR_UNARY:
      return mentions(expr->unary.operand, name);
    case LANG_EXPR_BINARY:
      return mentions(expr->binary.left, name) || mentions(expr->binary.right, name);
    case LANG_EXPR_COMPARE:
      return mentions_any(&expr->compare.operands, name);
    case LANG_EXPR_INDEX:
      return mentions(expr->index.base, name) || mentions_subs(&expr->index.subs, name);
    case LANG_EXPR_RESHAPE:
      return mentions(expr->reshape.base, name) || mentions_subs(&expr->reshape.subs, name);
    case LANG_EXPR_CALL:
      for (int i = 0; i < expr->call.args.count; i++) {
        if (mentions(expr->call.args.data[i].value, name)) return true;
      }
      return false;
    default:
      return false;
  }
}

static bool is_used(const lang_rule_form *form, const char *name) {
  return mentions(form->decl->right, name) || mentions_any(&form->decl->wheres, name);
}

static bool unfixed(const lang_rule_form *form, const char *name, lang_span span, lang_diags *diags) {
  lang_diag *diag = lang_diag_add(diags, LANG_W_RULE_UNFIXED, span, name);
  lang_diag_note(diags, diag, form->decl->left->span, "in the left side of rule %s", form->decl->name.text);
  return false;
}

static bool has_number(const ir_function *function, double number) {
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->attr_count; i++) {
      ir_attr_kind kind = ir_attr_get_kind(node->attrs[i].name);
      if (kind == IR_ATTR_FLOAT && node->attrs[i].f == number) return true;
      if (kind == IR_ATTR_INT && (double)node->attrs[i].i == number) return true;
    }
  }
  return false;
}

static bool check_fixed(const lang_rule_form *form, lang_diags *diags) {
  const lang_rule *decl = form->decl;
  const ir_pattern *pattern = form->pattern;
  for (int i = 0, k = 0; i < decl->params.count; i++) {
    const lang_param *param = &decl->params.data[i];
    bool fixed = true;
    if (form->kinds[i] == LANG_RULE_TENSOR) {
      fixed = ir_value_use_count(pattern->function, pattern->function->params[k++].value) > 0;
      if (!fixed && !mentions(decl->left, param->name.text)) return unfixed(form, param->name.text, param->span, diags);
      fixed = fixed || !is_used(form, param->name.text);
    } else if (form->kinds[i] == LANG_RULE_FLOAT || form->kinds[i] == LANG_RULE_INT) {
      fixed = has_number(pattern->function, lang_rule_hole(i));
    } else if (form->kinds[i] == LANG_RULE_SIZE) {
      fixed = mentions(decl->left, param->name.text);
      for (int j = 0; j < decl->params.count && !fixed; j++) {
        if (form->kinds[j] == LANG_RULE_TENSOR)
          fixed = mentions_subs(&decl->params.data[j].type->subs, param->name.text);
      }
    }
    if (!fixed) return unfixed(form, param->name.text, param->span, diags);
  }
  return true;
}

static void seed(tester *t) {
  t->state = 0x9E3779B97F4A7C15u * (uint64_t)(t->trial + 1);
  for (const char *c = t->form->decl->name.text; *c; c++) t->state = (t->state ^ (unsigned char)*c) * 0x100000001B3u;
  t->state |= 1;
  for (int i = 0; i < 4; i++) draw(t);
}

static bool untested(const lang_rule_form *form, lang_diags *diags, const char *why) {
  lang_diag_add(diags, LANG_W_RULE_UNTESTED, form->span, form->decl->name.text, why);
  return false;
}

bool lang_rule_test(const lang_rule_form *form, int trials, lang_diags *diags, lang_rule_report *report) {
  tester t = {.form = form, .kept = form->arena, .trials = trials, .report = report, .diags = diags};
  int agreed = 0, compared = report->compared;
  bool differs = false;
  if (!check_fixed(form, diags)) return false;
  if (report->work > ALL_WORK_MOST) return untested(form, diags, "the rules before it took all the time that there is");
  report->rules++;
  for (; t.trial < trials && t.work < WORK_MOST && !differs; t.trial++) {
    seed(&t);
    outcome result = trial(&t);
    differs = result == TRIAL_DIFFERS;
    agreed += result == TRIAL_AGREES;
    if (t.trial == 23 && !agreed) break;
  }
  report->work += t.work;
  if (differs) return false;
  // Trials that were left out for their work are no reason to doubt.
  if (agreed > t.trial / 8 && report->compared - compared > t.trial / 4) return true;
  return untested(form, diags, !agreed && report->why ? report->why : "its results can hardly ever be compared");
}

// ---- all of a program

static bool check_one(weir_arena *arena, const lang_program *program, const lang_symbol *symbol, ir_module *shared,
                      int trials, lang_diags *diags, lang_rule_report *report) {
  lang_rule_form form;
  return lang_rule_read(arena, program, symbol, shared, diags, &form) && lang_rule_test(&form, trials, diags, report);
}

void lang_rules_check(weir_arena *arena, const lang_program *program, int trials, lang_diags *diags,
                      lang_rule_report *out_report) {
  lang_rule_report report = {0};
  ir_module *shared = lang_rules_count(program) ? lang_rule_module(arena) : NULL;
  for (int i = 0; i < program->symbol_count; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    if (symbol->item->kind == LANG_ITEM_RULE) check_one(arena, program, symbol, shared, trials, diags, &report);
  }
  if (out_report) *out_report = report;
}

bool lang_rule_check(weir_arena *arena, const lang_program *program, const char *name, int trials, lang_diags *diags,
                     lang_rule_report *out_report) {
  lang_rule_report report = {0};
  const lang_symbol *symbol = lang_program_find(program, NULL, name);
  bool ok = symbol && symbol->item->kind == LANG_ITEM_RULE &&
            check_one(arena, program, symbol, lang_rule_module(arena), trials, diags, &report);
  if (out_report) *out_report = report;
  return ok;
}
