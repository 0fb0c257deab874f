// What index notation leaves to loops: one `map` whose region computes an element. The scalar is copied from the
// scratch regions into regions of its own, with the indices that it uses as parameters. A reducer that depends on
// indices of the result alone and is an op over whole tensors is computed before, as a tensor that the map reads: so an
// expression keeps its matrix products whatever stands around them.
#include <string.h>

#include "compiler/lang/elab_index.h"

enum { MOST_DEPTH = 200, MOST_NESTING = 16 };

typedef struct level {
  struct level *outer;
  lang_region *region;
  const ir_function *scratch;  // what it is copied from
  lang_ix *axes[IR_MAX_RANK];
  ir_value *params[IR_MAX_RANK];
  int count;
  LANG_LIST(ir_value *) from;
  LANG_LIST(ir_value *) to;
} level;

typedef struct {
  lang_emit *m;
  lang_region *around;  // of the map
  int depth, nesting;
} copier;

static ir_value *copy(copier *c, level *at, ir_value *value);

static level open_level(copier *c, level *outer, lang_ix *const *axes, int count, const ir_function *scratch,
                        const char *name) {
  level l = {.outer = outer, .count = count, .scratch = scratch};
  l.region = lang_region_open(c->m->frame, LANG_REGION_INDEX);
  if (name) l.region->ir->name = name;
  for (int i = 0; i < count; i++) {
    l.axes[i] = axes[i];
    l.params[i] = lang_region_param(l.region, axes[i]->name, axes[i]->param->type);
    l.params[i]->lo = axes[i]->param->lo;
    l.params[i]->hi = axes[i]->param->hi;
  }
  return l;
}

static ir_value *index_param(const level *at, const lang_ix *ix) {
  for (; at; at = at->outer) {
    for (int i = 0; i < at->count; i++) {
      if (at->axes[i] == ix) return at->params[i];
    }
  }
  return NULL;
}

static ir_value *build(copier *c, ir_op op, ir_value **operands, int count, const ir_node *like) {
  for (int i = 0; i < count; i++) {
    if (!operands[i]) return NULL;
    operands[i] = lang_capture_value(c->m->frame, operands[i]);
  }
  return lang_emit_op(c->m, op, operands, count, like ? like->attrs : NULL, like ? like->attr_count : 0);
}

// A reducer as a tensor in front of the map, if it is one and needs no index of the loops around it; null else.
static ir_value *ahead(copier *c, const level *top, ir_value *value) {
  lang_frame *frame = c->m->frame;
  lang_vec whole;
  lang_region *inside = frame->function->region;
  frame->function->region = c->around;
  c->m->dry = true;
  bool ok = lang_emit_vec(c->m, value, &whole);
  c->m->dry = false;
  for (int i = 0; ok && i < whole.rank; i++) {
    bool mine = false;
    for (int k = 0; k < top->count; k++) mine = mine || top->axes[k] == whole.axes[i];
    ok = mine;
  }
  ok = ok && lang_emit_vec(c->m, value, &whole);
  frame->function->region = inside;
  if (!ok) return NULL;
  ir_value *operands[IR_MAX_RANK + 1] = {whole.value};
  for (int i = 0; i < whole.rank; i++) operands[i + 1] = index_param(top, whole.axes[i]);
  return whole.rank ? build(c, IR_OP_element, operands, whole.rank + 1, NULL) : whole.value;
}

static ir_value *copy_fold(copier *c, level *at, ir_node *fold) {
  const level *top = at;
  while (top->outer) top = top->outer;
  ir_value *done = ahead(c, top, fold->results[0]);
  if (done) return done;
  lang_emit *m = c->m;
  if (c->nesting == MOST_NESTING) return NULL;
  lang_ix *axes[IR_MAX_RANK];
  int count = fold->attrs[0].count;
  for (int i = 0; i < count; i++) axes[i] = lang_index_of(m->scope, fold->callee->params[i].value);
  level inner = open_level(c, at, axes, count, fold->callee, "fold");
  c->nesting++;
  bool ok = true;
  for (int i = 0; ok && i < fold->callee->result_count; i++) {
    ir_value *result = copy(c, &inner, fold->callee->results[i].value);
    ok = result != NULL;
    if (ok) ir_function_add_result(inner.region->ir, "", lang_capture_value(m->frame, result), -1);
  }
  c->nesting--;
  lang_region_close(m->frame, inner.region);
  ir_node *node =
      ok ? lang_region_build(m->frame, IR_OP_fold, inner.region, NULL, NULL, 0, fold->attrs, fold->attr_count, m->span)
         : NULL;
  return node ? node->results[0] : NULL;
}

static ir_value *copy_node(copier *c, level *at, ir_node *node) {
  ir_value *operands[IR_MAX_RANK + 1];
  if (node->op == IR_OP_fold) return copy_fold(c, at, node);
  if (node->operand_count > IR_MAX_RANK + 1) return NULL;
  for (int i = 0; i < node->operand_count; i++) {
    operands[i] = copy(c, at, node->operands[i]);
    if (!operands[i]) return NULL;
  }
  return build(c, node->op, operands, node->operand_count, node);
}

static ir_value *copy(copier *c, level *at, ir_value *value) {
  lang_emit *m = c->m;
  value = lang_index_origin(m->scope, value);
  const lang_ix *ix = lang_index_of(m->scope, value);
  if (ix) return index_param(at, ix);
  if (!lang_index_inner(m->scope, value)) return value;
  while (at->outer && at->scratch != value->def->parent) at = at->outer;  // where it was, so that loops repeat no more
  for (int i = 0; i < at->from.count; i++) {
    if (at->from.data[i] == value) return at->to.data[i];
  }
  if (c->depth >= MOST_DEPTH || !lang_spend(m->frame->elab, 4 + at->from.count / 16, m->span)) return NULL;
  c->depth++;
  lang_region *inside = m->frame->function->region;
  m->frame->function->region = at->region;
  ir_value *made = copy_node(c, at, value->def);
  m->frame->function->region = inside;
  c->depth--;
  LANG_PUSH(m->frame->elab->arena, &at->from, value);
  LANG_PUSH(m->frame->elab->arena, &at->to, made);
  return made;
}

ir_value *lang_emit_guarded(lang_emit *m, const ir_node *fold, ir_value *value, lang_ix *const *axes, int count) {
  lang_frame *frame = m->frame;
  copier c = {.m = m, .around = frame->function->region};
  ir_dim dims[IR_MAX_RANK], one = ir_dim_const(frame->elab->module->dims, 1);
  ir_attr once[2] = {ir_attr_dims(IR_ATTR_dims, &one, 1), ir_attr_combine(IR_ATTR_combine, IR_COMBINE_sum)};
  level top = open_level(&c, NULL, axes, count, m->scope->root->ir, NULL);
  level inner = open_level(&c, &top, NULL, 0, fold->callee, "fold");
  ir_value *unit = lang_region_param(inner.region, "_", ir_type_make(IR_i32, 0, NULL));
  unit->lo = unit->hi = 0;
  ir_value *parts[2] = {copy(&c, &inner, value), copy(&c, &inner, fold->callee->results[1].value)};
  for (int i = 0; i < 2 && parts[0] && parts[1]; i++)
    ir_function_add_result(inner.region->ir, "", lang_capture_value(frame, parts[i]), -1);
  lang_region_close(frame, inner.region);
  ir_node *node =
      parts[0] && parts[1] ? lang_region_build(frame, IR_OP_fold, inner.region, NULL, NULL, 0, once, 2, m->span) : NULL;
  if (node) ir_function_add_result(top.region->ir, "", node->results[0], -1);
  lang_region_close(frame, top.region);
  for (int i = 0; i < count; i++) dims[i] = axes[i]->size;
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, count);
  node = node ? lang_region_build(frame, IR_OP_map, top.region, NULL, NULL, 0, &attr, 1, m->span) : NULL;
  return node ? node->results[0] : NULL;
}

// Without indices an element is the value itself: its ops go where the statement stands.
static ir_value *emit_scalar(copier *c, ir_value *value) {
  level here = {.region = c->around, .scratch = c->m->scope->root->ir};
  ir_value *made = copy(c, &here, value);
  return made ? lang_capture_value(c->m->frame, made) : NULL;
}

ir_value *lang_emit_map(lang_emit *m, ir_value *value, lang_ix *const *axes, int count) {
  lang_frame *frame = m->frame;
  copier c = {.m = m, .around = frame->function->region};
  ir_value *made = NULL, *result = NULL;
  ir_dim dims[IR_MAX_RANK];
  if (!count) {
    result = emit_scalar(&c, value);
  } else {
    level top = open_level(&c, NULL, axes, count, m->scope->root->ir, NULL);
    made = copy(&c, &top, value);
    if (made) ir_function_add_result(top.region->ir, "", lang_capture_value(frame, made), -1);
    lang_region_close(frame, top.region);
    for (int i = 0; i < count; i++) dims[i] = axes[i]->size;
    ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, count);
    ir_node *node = made ? lang_region_build(frame, IR_OP_map, top.region, NULL, NULL, 0, &attr, 1, m->span) : NULL;
    result = node ? node->results[0] : NULL;
  }
  if (!result && !frame->elab->exhausted) lang_error(frame->elab, LANG_W_INDEX_TOO_DEEP, m->span);
  return result;
}
