// Dims of the elaborator: what can be decided about them, their roles, and the rules that hold only where a seq grows.
//
// Whether T grows in a step is known when the whole step has been read (a state was appended over T). So a rule that
// holds only then is noted as an event of the function it happens in, travels with that function to its callers, and is
// reported at the end of the step.
#include <string.h>

#include "compiler/lang/elab_impl.h"

static int from_bounds(lang_compare_op op, int64_t lo, int64_t hi) {
  switch (op) {
    case LANG_OP_EQ:
      return lo == 0 && hi == 0 ? 1 : lo > 0 || hi < 0 ? 0 : -1;
    case LANG_OP_LT:
      return hi < 0 ? 1 : lo >= 0 ? 0 : -1;
    case LANG_OP_LE:
      return hi <= 0 ? 1 : lo > 0 ? 0 : -1;
    case LANG_OP_GT:
      return lo > 0 ? 1 : hi <= 0 ? 0 : -1;
    case LANG_OP_GE:
      return lo >= 0 ? 1 : hi < 0 ? 0 : -1;
    case LANG_OP_NE:
      break;
  }
  return -1;
}

int lang_dim_decide(ir_dim_table *dims, lang_compare_op op, ir_dim a, ir_dim b) {
  if (op == LANG_OP_NE) {
    int equal = lang_dim_decide(dims, LANG_OP_EQ, a, b);
    return equal < 0 ? -1 : !equal;
  }
  int64_t lo, hi;
  ir_dim difference = a == b ? ir_dim_const(dims, 0) : ir_dim_sub(dims, a, b);
  if (!difference) return -1;
  ir_dim_bounds(difference, &lo, &hi);
  return from_bounds(op, lo, hi);
}

bool lang_dim_equal(ir_dim_table *dims, ir_dim a, ir_dim b) { return lang_dim_decide(dims, LANG_OP_EQ, a, b) == 1; }

static void visit_seq(void *user, const ir_symbol *symbol) {
  const ir_symbol **found = user;
  if (symbol->role == IR_ROLE_SEQ && !*found) *found = symbol;
}

const ir_symbol *lang_dim_seq(ir_dim dim, ir_dim_table *dims) {
  const ir_symbol *found = NULL;
  if (!dim) return NULL;
  ir_dim_visit(dim, visit_seq, (void *)&found);
  for (int i = 0; found && i < ir_symbol_count(dims); i++) {
    const ir_symbol *whole = ir_symbol_at(dims, i);
    if (whole->past == found) return whole;
  }
  return found;
}

const ir_symbol lang_latest_any = {.name = "the sequence", .role = IR_ROLE_SEQ};

bool lang_dim_history(ir_dim dim, ir_dim_table *dims) {
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

// `where T % 2 == 0` of a dim's own name: its divisor.
static bool divisor_of(lang_frame *frame, const char *name, const lang_expr *expr, int64_t *out) {
  if (expr->kind != LANG_EXPR_COMPARE || expr->compare.ops.count != 1 || expr->compare.ops.data[0] != LANG_OP_EQ)
    return false;
  const lang_expr *left = expr->compare.operands.data[0], *right = expr->compare.operands.data[1];
  if (left->kind != LANG_EXPR_BINARY || left->binary.op != LANG_OP_MOD || left->binary.left->kind != LANG_EXPR_NAME)
    return false;
  int64_t zero;
  if (strcmp(left->binary.left->name, name) != 0) return false;
  return lang_eval_int(frame, right, &zero) && zero == 0 && lang_eval_int(frame, left->binary.right, out) && *out > 0;
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
    int64_t divisor;
    if (divisor_of(frame, name, dim->wheres.data[i], &divisor)) symbol->divisor = divisor;
    else lang_error(elab, LANG_W_DIM_WHERE, dim->wheres.data[i]->span, name);
  }
  (void)span;
  return symbol;
}

// ---- growth

void lang_event_add(lang_frame *frame, const ir_symbol *symbol, lang_diag_code code, lang_span span,
                    const char *subject) {
  if (!frame->function || !frame->function->step || !symbol) return;
  lang_event event = {symbol, code, span, subject, frame->elab->site};
  LANG_PUSH(frame->elab->arena, &frame->function->events, event);
}

void lang_events_report(lang_elab *elab, const lang_function *function) {
  lang_site *site = elab->site;
  for (int i = 0; i < function->events.count; i++) {
    const lang_event *event = &function->events.data[i];
    for (int k = 0; k < function->grown.count; k++) {
      const lang_growth *growth = &function->grown.data[k];
      if (growth->symbol != event->symbol) continue;
      elab->site = event->site;
      lang_diag *diag = lang_error(elab, event->code, event->span, event->symbol->name, event->subject);
      lang_note_add(elab, diag, growth->span, "%s grows in this step: a state is appended over it here",
                    event->symbol->name);
      break;
    }
  }
  elab->site = site;
}
