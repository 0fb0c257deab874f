// Dims of the elaborator: what can be decided about them, their roles, and the rules that hold only where a seq grows.
//
// Whether T grows in a step is known when the whole step has been read (a state was appended over T). So a rule that
// holds only then is noted as an event of the function it happens in, travels with that function to its callers, and is
// reported at the end of the step.
#include <string.h>

#include "compiler/lang/elab_impl.h"
#include "ir/prove.h"

static const ir_prove_relation relations[] = {
    [LANG_OP_EQ] = IR_PROVE_EQ, [LANG_OP_NE] = IR_PROVE_NE, [LANG_OP_LT] = IR_PROVE_LT,
    [LANG_OP_LE] = IR_PROVE_LE, [LANG_OP_GT] = IR_PROVE_GT, [LANG_OP_GE] = IR_PROVE_GE};

int lang_dim_decide(ir_dim_table *dims, lang_compare_op op, ir_dim a, ir_dim b) {
  return ir_dim_decide(dims, relations[op], a, b);
}

typedef struct {
  const ir_symbol *symbol;
  bool several;
} only_symbol;

static void visit_only(void *user, const ir_symbol *symbol) {
  only_symbol *only = user;
  only->several = only->several || (only->symbol && only->symbol != symbol);
  only->symbol = symbol;
}

// "dim T: seq in 1..=64 where T % 2 == 0;": the declaration that has the fact.
static const char *declaration(lang_elab *elab, const ir_symbol *symbol, const char *fact) {
  static const char *const roles[] = {[IR_ROLE_PLAIN] = "", [IR_ROLE_BATCH] = ": batch", [IR_ROLE_SEQ] = ": seq"};
  const char *range = "";
  if (symbol->hi != INT64_MAX) {
    range = weir_arena_printf(elab->arena, " in %lld..=%lld", (long long)symbol->lo, (long long)symbol->hi);
  }
  return weir_arena_printf(elab->arena, "dim %s%s%s where %s;", symbol->name, roles[symbol->role], range, fact);
}

void lang_note_missing(lang_elab *elab, lang_diag *diag, lang_compare_op op, ir_dim a, ir_dim b) {
  const char *missing = ir_dim_missing(elab->module->dims, elab->arena, relations[op], a, b);
  only_symbol only = {NULL, false};
  if (!missing) return;
  ir_dim_visit(a, visit_only, &only);
  ir_dim_visit(b, visit_only, &only);
  if (only.symbol && !only.several) {
    lang_note_add(elab, diag, (lang_span){0}, "what is missing is %s: declare `%s`", missing,
                  declaration(elab, only.symbol, missing));
  } else {
    lang_note_add(elab, diag, (lang_span){0}, "what is missing is %s", missing);
  }
}

// Normal forms: what the graph takes for equal.
bool lang_dim_equal(ir_dim_table *dims, ir_dim a, ir_dim b) { return lang_dim_decide(dims, LANG_OP_EQ, a, b) == 1; }

static void visit_seq(void *user, const ir_symbol *symbol) {
  const ir_symbol **found = user;
  if (symbol->role == IR_ROLE_SEQ && !*found) *found = symbol;
}

const ir_symbol *lang_dim_seq(ir_dim dim, ir_dim_table *dims) {
  const ir_symbol *found = NULL;
  if (!dim) return NULL;
  ir_dim_visit(dim, visit_seq, (void *)&found);
  if (found && found->kept_of) return found->kept_of;
  for (int i = 0; found && i < ir_symbol_count(dims); i++) {
    const ir_symbol *whole = ir_symbol_at(dims, i);
    if (whole->past == found) return whole;
  }
  return found;
}

const ir_symbol lang_latest_any = {.name = "the sequence", .role = IR_ROLE_SEQ};

const ir_symbol *lang_dim_kept(ir_dim dim, ir_dim_table *dims) {
  for (int i = 0; dim && i < ir_symbol_count(dims); i++) {
    const ir_symbol *kept = ir_symbol_at(dims, i);
    if (kept->kept_of && ir_dim_mentions(dim, kept)) return kept;
  }
  return NULL;
}

bool lang_dim_history(ir_dim dim, ir_dim_table *dims) {
  if (lang_dim_kept(dim, dims)) return true;
  for (int i = 0; dim && i < ir_symbol_count(dims); i++) {
    const ir_symbol *whole = ir_symbol_at(dims, i);
    if (whole->past && ir_dim_mentions(dim, whole->past)) return true;
  }
  return false;
}

bool lang_dim_batch(ir_dim dim) { return dim && ir_dim_role(dim) == IR_ROLE_BATCH; }

bool lang_role_find(const char *name, ir_role *out) {
  if (!strcmp(name, "seq")) *out = IR_ROLE_SEQ;
  else if (!strcmp(name, "batch")) *out = IR_ROLE_BATCH;
  else if (!strcmp(name, "plain")) *out = IR_ROLE_PLAIN;
  else return false;
  return true;
}

// ---- what a dim's own `where` says: `T % 2 == 0`, `T >= 4`, `4 <= T < 100`, `T == 64`

static bool is_name(const lang_expr *expr, const char *name) {
  return expr->kind == LANG_EXPR_NAME && !strcmp(expr->name, name);
}

static bool divisor_of(lang_frame *frame, const lang_expr *left, const lang_expr *right, ir_symbol *symbol) {
  int64_t zero, by, common;
  if (left->kind != LANG_EXPR_BINARY || left->binary.op != LANG_OP_MOD || !is_name(left->binary.left, symbol->name))
    return false;
  if (!lang_eval_int(frame, right, &zero) || zero != 0) return false;
  if (!lang_eval_int(frame, left->binary.right, &by) || by < 1) return false;
  int64_t a = symbol->divisor, b = by;
  for (int64_t r; b; a = b, b = r) r = a % b;
  return weir_mul_i64(symbol->divisor / a, by, &common) && (symbol->divisor = common, true);
}

// |symbol| op |bound|.
static bool tighten(ir_symbol *symbol, lang_compare_op op, int64_t bound) {
  bool low = op == LANG_OP_GT || op == LANG_OP_GE || op == LANG_OP_EQ;
  bool high = op == LANG_OP_LT || op == LANG_OP_LE || op == LANG_OP_EQ;
  if (op == LANG_OP_GT && !weir_add_i64(bound, 1, &bound)) return false;
  if (op == LANG_OP_LT && !weir_add_i64(bound, -1, &bound)) return false;
  if (low && bound > symbol->lo) symbol->lo = bound;
  if (high && bound < symbol->hi) symbol->hi = bound;
  return low || high;
}

static bool take_condition(lang_frame *frame, const lang_expr *expr, ir_symbol *symbol) {
  static const lang_compare_op swapped[] = {
      [LANG_OP_EQ] = LANG_OP_EQ, [LANG_OP_NE] = LANG_OP_NE, [LANG_OP_LT] = LANG_OP_GT,
      [LANG_OP_LE] = LANG_OP_GE, [LANG_OP_GT] = LANG_OP_LT, [LANG_OP_GE] = LANG_OP_LE};
  if (expr->kind == LANG_EXPR_BINARY && expr->binary.op == LANG_OP_AND)
    return take_condition(frame, expr->binary.left, symbol) && take_condition(frame, expr->binary.right, symbol);
  if (expr->kind != LANG_EXPR_COMPARE) return false;
  for (int i = 0; i < expr->compare.ops.count; i++) {
    lang_compare_op op = expr->compare.ops.data[i];
    const lang_expr *left = expr->compare.operands.data[i], *right = expr->compare.operands.data[i + 1];
    int64_t bound;
    bool taken = op == LANG_OP_EQ && divisor_of(frame, left, right, symbol);
    if (!taken && is_name(left, symbol->name))
      taken = lang_eval_int(frame, right, &bound) && tighten(symbol, op, bound);
    else if (!taken && is_name(right, symbol->name))
      taken = lang_eval_int(frame, left, &bound) && tighten(symbol, swapped[op], bound);
    if (!taken) return false;
  }
  return true;
}

// Whether the condition speaks of another dim of the same declaration, `dim Y, X where Y % 2 == 0, X % 2 == 0;`.
static bool of_another(lang_frame *frame, const lang_dim *dim, int where, const ir_symbol *symbol) {
  for (int i = 0; i < dim->names.count; i++) {
    ir_symbol other = {.name = dim->names.data[i].text, .divisor = 1, .hi = INT64_MAX};
    if (strcmp(other.name, symbol->name) && take_condition(frame, dim->wheres.data[where], &other)) return true;
  }
  return false;
}

static const char *role_name(ir_role role) {
  return role == IR_ROLE_SEQ ? "seq" : role == IR_ROLE_BATCH ? "batch" : "plain";
}

lang_value lang_dim_derive(lang_frame *frame, const char *name, const lang_dim *dim) {
  lang_elab *elab = frame->elab;
  lang_value value = lang_eval(frame, dim->value);
  ir_role wanted = IR_ROLE_PLAIN;
  if (lang_value_void(value) || value.kind == LANG_V_INT) return value;
  if (value.kind != LANG_V_DIM) {
    lang_error(elab, LANG_W_BAD_DIM, dim->value->span, lang_value_describe(elab->arena, value));
    return lang_value_error();
  }
  ir_role got = ir_dim_role(value.dim);
  if (!dim->role.text || !lang_role_find(dim->role.text, &wanted) || got == wanted || got == IR_ROLE_PLAIN)
    return value;
  lang_error(elab, LANG_W_ROLE_MISMATCH, dim->role.span, ir_dim_print(elab->arena, value.dim), role_name(got), name,
             role_name(wanted));
  return lang_value_error();
}

ir_symbol *lang_dim_declare(lang_frame *frame, const char *name, const lang_dim *dim, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_symbol *symbol = ir_symbol_get(elab->module->dims, name);
  ir_role role = IR_ROLE_PLAIN;
  if (dim && dim->role.text) lang_role_find(dim->role.text, &role);
  symbol->role = role;
  if (symbol->divisor < 1) symbol->divisor = 1;
  if (dim && dim->range) {
    int64_t lo, hi;
    if (lang_range_bounds(frame, dim->range, &lo, &hi)) {
      if (lo < 0 || hi < lo) lang_error(elab, LANG_W_BAD_BOUNDS, dim->range->span, name);
      else symbol->lo = lo, symbol->hi = hi;
    }
  }
  for (int i = 0; dim && i < dim->wheres.count; i++) {
    int errors = elab->diags->error_count;
    if (!take_condition(frame, dim->wheres.data[i], symbol) && elab->diags->error_count == errors &&
        !of_another(frame, dim, i, symbol))
      lang_error(elab, LANG_W_DIM_WHERE, dim->wheres.data[i]->span, name);
  }
  if (dim && symbol->lo > symbol->hi) lang_error(elab, LANG_W_BAD_BOUNDS, span, name);
  return symbol;
}

// ---- growth

void lang_event_at(lang_frame *frame, const ir_symbol *symbol, lang_diag_code code, lang_span span, const char *subject,
                   const ir_value *value, int axis) {
  if (!frame->function || !frame->function->step || !symbol) return;
  lang_event event = {symbol, code, span, subject, frame->elab->site, frame->function, value, axis, NULL};
  LANG_PUSH(frame->elab->arena, &frame->function->events, event);
}

void lang_event_add(lang_frame *frame, const ir_symbol *symbol, lang_diag_code code, lang_span span,
                    const char *subject) {
  lang_event_at(frame, symbol, code, span, subject, NULL, 0);
}

void lang_latest_event(lang_frame *frame, const ir_symbol *latest, const ir_symbol *seq, lang_span span,
                       const char *subject) {
  if (!frame->function || !frame->function->step || !seq) return;
  lang_event event = {.symbol = seq, .code = LANG_W_LATEST_MEETS_ROWS, .span = span, .subject = subject};
  event.site = frame->elab->site;
  event.function = frame->function;
  if (latest != seq && latest != &lang_latest_any) event.also = latest;
  LANG_PUSH(frame->elab->arena, &frame->function->events, event);
}

typedef struct {
  const ir_symbol *seen[IR_MAX_RANK];
  int count;
} seqs;

static void visit_each_seq(void *user, const ir_symbol *symbol) {
  seqs *all = user;
  for (int i = 0; i < all->count; i++) {
    if (all->seen[i] == symbol) return;
  }
  if (symbol->role == IR_ROLE_SEQ && all->count < IR_MAX_RANK) all->seen[all->count++] = symbol;
}

void lang_event_along(lang_frame *frame, const lang_tensor_value *x, int axis, lang_diag_code code, lang_span span,
                      const char *subject) {
  ir_dim_table *dims = frame->elab->module->dims;
  seqs all = {.count = 0};
  const ir_symbol *last = NULL;
  ir_dim_visit(x->value->type.dims[axis], visit_each_seq, &all);
  for (int i = 0; i < all.count; i++) {
    const ir_symbol *whole = lang_dim_seq(ir_dim_symbol(dims, all.seen[i]), dims);
    if (whole != last) lang_event_at(frame, whole, code, span, subject, x->value, axis);
    last = whole;
  }
}

// What to write instead.
static const char *mend_of(const lang_event *event) {
  static const struct {
    const char *subject, *mend;
  } along[] = {
      {"an index", "a step may take last(x); a row before this one is kept by a state `over last(T, 2)`"},
      {"gather", "rows of a whole sequence are gathered in an `entry`, or from a seq that arrives whole"},
      {"softmax", "attention over a history is attend(q, keys, values, causal = true)"},
      {"attend", "append this call's keys and values to a state and attend to that: keys = append(keys, k)"},
      {"this reshape", "keep the dim as it is: reshape the others"},
      {"concat", "join whole sequences in an `entry`"},
      {"repeat", "repeat whole sequences in an `entry`"},
  };
  switch (event->code) {
    case LANG_W_ALONG_GROWING:
      for (size_t i = 0; i < sizeof along / sizeof *along; i++) {
        if (!strncmp(event->subject, along[i].subject, strlen(along[i].subject))) return along[i].mend;
      }
      return "use an `entry`, which sees the whole sequence; or `scan t in T` with a state as carry; or reduce over a "
             "state's history with the guard `where pos(u) <= pos(t)`";
    case LANG_W_LATEST_MEETS_ROWS:
      return "return or store it; combine row by row in a `scan t in T` that carries a state";
    case LANG_W_LENGTH_GROWS:
      return "pos(t) and pos(T) count the whole sequence";
    case LANG_W_NOT_CAUSAL:
      return "`attend(q, keys, values, causal = true)`: each row sees its own history";
    case LANG_W_INDEX_LATER_ROWS:
      return "with the guard `where pos(u) <= pos(t)`, t a row of this call, there are this row and those before it";
    case LANG_W_INDEX_OTHER_ROW:
      return "rows before this one are kept by a state `over last(T, W)` and read under the guard "
             "`where 0 <= pos(t) - pos(u) < W`";
    case LANG_W_INDEX_BEHIND:
      return "a guard with a smaller reach, `where 0 <= pos(t) - pos(u) < W`, or a state `over last(T, W)` with a "
             "larger W";
    case LANG_W_LOCAL_CARRIED:
      return "declare a state, `state c: f[D] = 0;`, and carry that: it goes on from call to call";
    case LANG_W_WHILE_GROWS:
      return "run over all rows, carry a flag in a state, and choose with `select`";
    case LANG_W_WHOLE_GROWS:
      return "append this call's rows: `keys = append(keys, rows);`";
    case LANG_W_ROWS_BY_ROWS:
      return "append the rows to a state and pair this call's rows with its history";
    case LANG_W_ROWS_BY_WHOLE:
      return "store it in a state, `keys = m;` in a step of its own, and pair the rows with that";
    default:
      return NULL;
  }
}

static void report_event(lang_elab *elab, const lang_event *event, const lang_growth *growth) {
  elab->site = event->site;
  lang_diag *diag = lang_error(elab, event->code, event->span, growth->symbol->name, event->subject);
  if (event->value) lang_note_dim(elab, diag, event->function, event->value, event->axis, "");
  lang_note_add(elab, diag, growth->span, "%s grows in this step: a state is %s over it here", growth->symbol->name,
                growth->scan ? "carried by a scan" : "appended");
  const char *mend = mend_of(event);
  if (mend) lang_note_add(elab, diag, (lang_span){0}, "%s", mend);
}

bool lang_function_grows(const lang_function *function, const ir_symbol *symbol) {
  for (int i = 0; i < function->grown.count; i++) {
    if (function->grown.data[i].symbol == symbol) return true;
  }
  return false;
}

void lang_events_report(lang_elab *elab, const lang_function *function) {
  lang_site *site = elab->site;
  for (int i = 0; i < function->events.count; i++) {
    const lang_event *event = &function->events.data[i];
    for (int k = 0; k < function->grown.count; k++) {
      const lang_growth *growth = &function->grown.data[k];
      if (growth->symbol != event->symbol && event->symbol != &lang_latest_any) continue;
      if (event->also && !lang_function_grows(function, event->also)) continue;
      report_event(elab, event, growth);
      break;
    }
  }
  elab->site = site;
}
