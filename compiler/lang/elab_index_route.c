// A run-time choice of a block: `experts[chosen[t, j]](x[t])`. All rows go through one `route`: the index and the
// arguments become tensors with one row for each value of the indices that they depend on, flattened to one dim; the
// weights of the instances are stacked. Back in the expression, the row's result is an element like any other.
//
// The callee is the ordinary graph function of the first instance for one row; the others must have the same weights.
#include <string.h>

#include "compiler/lang/elab_index.h"

typedef struct {
  lang_frame *frame;
  lang_index_scope *scope;
  const lang_expr *expr;
  lang_value list;
  ir_value *index;         // in the region
  lang_value elements[4];  // arguments, likewise
  lang_vec rows[4];        // the dims of each that the text leaves out
  int count;
  lang_vec over;  // the indices that all of them depend on
} routing;

static bool collect(routing *r, ir_value *value, const lang_vec *without) {
  const lang_emit m = {.frame = r->frame, .scope = r->scope, .span = r->expr->span};
  return lang_emit_depends(&m, value, without, &r->over);
}

// ---- what is chosen among

static const char *key_of(lang_frame *frame, lang_value instance, lang_listing *listing) {
  lang_buffer key = {.arena = frame->elab->arena};
  lang_list_begin(frame->elab);
  lang_list_value(frame->elab, instance, NULL, listing, &key);
  return key.data ? key.data : "";
}

static bool equal_blocks(routing *r) {
  lang_frame *frame = r->frame;
  const char *first = NULL, *why = NULL;
  for (int64_t i = 0; i < r->list.list.count && !why; i++) {
    lang_value item = r->list.list.items[i];
    lang_listing listing = {0};
    if (item.kind != LANG_V_INSTANCE) {
      why = "these are no blocks";
      break;
    }
    if (item.instance->failed) return false;
    if (!item.instance->block || !item.instance->block->has_signature) why = "this block has no signature";
    const char *key = key_of(frame, item, &listing);
    if (!first) first = key;
    else if (strcmp(first, key) != 0) why = "these differ";
    for (int k = 0; k < listing.slots.count; k++) {
      if (listing.slots.data[k]->kind == LANG_SLOT_STATE) why = "these have states";
    }
  }
  if (!r->list.list.count) why = "there is none";
  if (why) lang_error(frame->elab, LANG_W_ROUTE_BLOCKS, r->expr->call.callee->span, why);
  return !why;
}

// ---- arguments

// An argument is evaluated as an element; the dims that it leaves out are the dims of its row.
static bool argument(routing *r, const lang_arg *arg) {
  lang_frame *frame = r->frame;
  lang_index_scope *scope = r->scope;
  lang_ix *whole[IR_MAX_RANK];
  int count = scope->whole_count, n = r->count;
  if (arg->kind != LANG_ARG_POSITIONAL || n == 4) {
    lang_error(frame->elab, LANG_W_ROUTE_ARGUMENT, arg->span);
    return false;
  }
  memcpy(whole, scope->whole, sizeof whole);
  scope->whole_count = 0;
  lang_value v = lang_eval(frame, arg->value);
  if (v.kind == LANG_V_TENSOR) {
    v.tensor = lang_index_scalar(frame, v.tensor, arg->span);
    if (!v.tensor) v = lang_value_error();
  }
  for (int i = scope->whole_count - 1; i >= 0; i--) {
    scope->whole[i]->order = LANG_IX_ROWS + scope->indices.count * 8 - i;
    r->rows[n].axes[r->rows[n].rank++] = scope->whole[i];
  }
  memcpy(scope->whole, whole, sizeof whole);
  scope->whole_count = count;
  if (lang_value_void(v)) return false;
  if (v.kind != LANG_V_TENSOR) {
    lang_error(frame->elab, LANG_W_ROUTE_ARGUMENT, arg->span);
    return false;
  }
  r->elements[r->count++] = v;
  return collect(r, v.tensor->value, &r->rows[n]);
}

// The type of one row, for the signature.
static lang_value row_value(routing *r, int n) {
  lang_elab *elab = r->frame->elab;
  const lang_tensor_value *element = r->elements[n].tensor;
  ir_value *row = WEIR_NEW(elab->arena, ir_value);
  *row = *element->value;
  row->def = NULL;
  row->name = NULL;
  row->type.rank = r->rows[n].rank;
  for (int i = 0; i < r->rows[n].rank; i++) row->type.dims[i] = r->rows[n].axes[i]->size;
  lang_value v = lang_wrap(r->frame, row, element->is_f, r->expr->call.args.data[n].span);
  for (int i = 0; i < r->rows[n].rank; i++) v.tensor->labels[i] = r->rows[n].axes[i]->label;
  return v;
}

// ---- building

// |value| over the rows, flattened, and then |rest|.
static ir_value *flat_rows(routing *r, lang_emit *m, ir_value *value, const lang_vec *rest, ir_dim all) {
  lang_ix *axes[2 * IR_MAX_RANK];
  ir_dim dims[IR_MAX_RANK + 1] = {all};
  int count = r->over.rank + rest->rank;
  if (count > IR_MAX_RANK) {
    lang_error(r->frame->elab, LANG_W_RANK, r->expr->span, weir_arena_printf(r->frame->elab->arena, "%d", IR_MAX_RANK));
    return NULL;
  }
  for (int i = 0; i < count; i++) axes[i] = i < r->over.rank ? r->over.axes[i] : rest->axes[i - r->over.rank];
  for (int i = 0; i < rest->rank; i++) dims[i + 1] = rest->axes[i]->size;
  ir_value *whole = lang_emit_tensor(m, value, axes, count);
  return whole ? lang_emit_reshape(m, whole, dims, rest->rank + 1) : NULL;
}

static ir_value *stacked(routing *r, lang_emit *m, int slot) {
  lang_frame *frame = r->frame;
  int64_t count = r->list.list.count;
  ir_value **all = WEIR_NEW_ARRAY(frame->elab->arena, ir_value *, count);
  if (!lang_spend(frame->elab, 8 * count, r->expr->span)) return NULL;
  for (int64_t i = 0; i < count; i++) {
    lang_listing listing = {0};
    key_of(frame, r->list.list.items[i], &listing);
    lang_value w = lang_slot_read(frame, listing.slots.data[slot], r->expr->span);
    if (w.kind != LANG_V_TENSOR) return NULL;
    all[i] = lang_capture_value(frame, w.tensor->value);
  }
  return lang_emit_op(m, IR_OP_stack, all, (int)count, NULL, 0);
}

static ir_dim row_count(const routing *r) {
  ir_dim_table *dims = r->frame->elab->module->dims;
  ir_dim all = ir_dim_const(dims, 1);
  for (int i = 0; i < r->over.rank && all; i++) all = ir_dim_mul(dims, all, r->over.axes[i]->size);
  return all;
}

static ir_node *build_route(routing *r, lang_emit *m, const lang_function *callee) {
  lang_frame *frame = r->frame;
  const lang_vec none = {0};
  const char *reason = NULL;
  ir_dim all = row_count(r);
  ir_value **operands = WEIR_NEW_ARRAY(frame->elab->arena, ir_value *, 1 + r->count + callee->uses.count);
  int count = 0;
  if (!all) {
    lang_error(frame->elab, LANG_W_OVERFLOW, r->expr->span);
    return NULL;
  }
  operands[count++] = flat_rows(r, m, r->index, &none, all);
  for (int i = 0; i < r->count; i++)
    operands[count++] = flat_rows(r, m, r->elements[i].tensor->value, &r->rows[i], all);
  for (int i = 0; i < callee->uses.count; i++) operands[count++] = stacked(r, m, callee->uses.data[i].order);
  for (int i = 0; i < count; i++) {
    if (!operands[i]) return NULL;
  }
  ir_node *node = ir_build_region(lang_here(frame), IR_OP_route, callee->ir, NULL, operands, count, NULL, 0,
                                  lang_loc(frame->elab, r->expr->span), &reason);
  if (!node) lang_error(frame->elab, LANG_W_OP_REFUSED, r->expr->span, reason ? reason : "route");
  return node;
}

// The rows of the result, where the statement stands: [indices ..., dims of a row].
static lang_value results(routing *r) {
  lang_frame *frame = r->frame;
  lang_elab *elab = frame->elab;
  lang_value positional[4];
  const lang_expr *exprs[4];
  lang_tensor_value *tensors[64] = {NULL};
  lang_instance *first = r->list.list.items[0].instance;
  lang_call call = {.expr = r->expr, .name = first->name, .count = r->count, .positional = positional, .exprs = exprs};
  for (int i = 0; i < r->count; i++) {
    positional[i] = row_value(r, i);
    exprs[i] = r->expr->call.args.data[i].value;
  }
  lang_listing listing = {0};
  if (first->block->signature.params.count > 60) return lang_value_error();
  lang_function *callee = lang_apply_function(frame, first, NULL, &call, tensors, &listing);
  if (!callee) return lang_value_error();
  if (callee->result.kind != LANG_V_TENSOR) {
    lang_error(elab, LANG_W_ROUTE_BLOCKS, r->expr->span, "each must give one tensor");
    return lang_value_error();
  }
  lang_apply_merge(frame, callee);
  lang_emit emit = {.frame = frame, .scope = r->scope, .span = r->expr->span};
  ir_node *node = build_route(r, &emit, callee);
  if (!node) return lang_value_error();
  ir_value *flat = node->results[0];
  ir_dim dims[2 * IR_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < r->over.rank; i++) dims[rank++] = r->over.axes[i]->size;
  for (int i = 1; i < flat->type.rank; i++) dims[rank++] = flat->type.dims[i];
  if (rank > IR_MAX_RANK) {
    lang_error(elab, LANG_W_RANK, r->expr->span, weir_arena_printf(elab->arena, "%d", IR_MAX_RANK));
    return lang_value_error();
  }
  ir_value *whole = lang_emit_reshape(&emit, flat, dims, rank);
  return whole ? lang_wrap(frame, whole, callee->result.tensor->is_f, r->expr->span) : lang_value_error();
}

static lang_value route(routing *r) {
  lang_function *function = r->frame->function;
  if (!equal_blocks(r)) return lang_value_error();
  for (int i = 0; i < r->expr->call.args.count; i++) {
    if (!argument(r, &r->expr->call.args.data[i])) return lang_value_error();
  }
  const lang_vec none = {0};
  if (!collect(r, r->index, &none)) return lang_value_error();
  lang_region *inside = function->region;
  function->region = r->scope->root->parent;
  function->index = r->scope->outer;
  lang_value rows = results(r);
  function->region = inside;
  function->index = r->scope;
  if (rows.kind != LANG_V_TENSOR) return rows;
  return lang_index_row(r->frame, rows.tensor, r->over.axes, r->over.rank, r->expr->span);
}

bool lang_index_route(lang_frame *frame, const lang_expr *expr, lang_value *out) {
  const lang_expr *callee = expr->call.callee;
  if (!frame->function || !frame->function->index || callee->kind != LANG_EXPR_INDEX) return false;
  const lang_subs *subs = &callee->index.subs;
  if (subs->count != 1 || subs->data[0].kind != LANG_SUB_INDEX) return false;
  routing r = {
      .frame = frame, .scope = frame->function->index, .expr = expr, .list = lang_eval(frame, callee->index.base)};
  if (r.list.kind != LANG_V_LIST) return false;
  r.scope->subscript++;
  lang_value at = lang_eval(frame, subs->data[0].low);
  r.scope->subscript--;
  if (at.kind != LANG_V_TENSOR) return false;
  ir_dim size = ir_dim_const(frame->elab->module->dims, r.list.list.count);
  r.index = lang_index_subscript(frame, at, size, subs->data[0].span);
  *out = r.index ? route(&r) : lang_value_error();
  return true;
}
