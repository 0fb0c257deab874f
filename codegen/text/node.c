// Nodes of the printed expressions: interning, homes, vectors and ramps, and the count of uses that decides what gets a
// name.
//
// A node's home is the innermost of its operands' homes. Loads stay inside the loops and branches that decide whether
// they run; what reads registers or written memory belongs to its statement. Nothing here looks at statements but to
// announce new nodes.
#include <stdarg.h>
#include <string.h>

#include "codegen/text/code.h"

void cg_fail(cg_code *c, weir_code code, const char *fmt, ...) {
  if (c->status) return;
  va_list args;
  va_start(args, fmt);
  const char *message = weir_arena_vprintf(c->arena, fmt, args);
  va_end(args);
  c->status = weir_status_make(code, "kernel '%s': %s", c->kernel->name, message);
}

bool cg_is_int(const cg_node *node, int64_t *out) {
  if (node->op != IR_K_const || ir_ktype_is_float(node->type)) return false;
  *out = node->i;
  return true;
}

// ---- interning
static uint64_t mix(uint64_t hash, uint64_t value) {
  return (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15) >> 7 ^ hash << 9;
}

static uint64_t node_hash(const cg_node *n) {
  uint64_t hash = (uint64_t)n->op << 8 | (uint64_t)n->type << 1 | n->vector, f;
  memcpy(&f, &n->f, sizeof f);
  for (int i = 0; i < n->arg_count; i++) hash = mix(hash, (uintptr_t)n->args[i]);
  hash = mix(mix(mix(hash, (uint64_t)n->i), f), (uint64_t)n->index);
  return mix(hash, n->once);
}

static bool node_equal(const cg_node *a, const cg_node *b) {
  if (a->op != b->op || a->type != b->type || a->vector != b->vector || a->arg_count != b->arg_count) return false;
  if (a->i != b->i || memcmp(&a->f, &b->f, sizeof a->f) || a->index != b->index || a->once != b->once) return false;
  return a->home == b->home && !memcmp(a->args, b->args, sizeof a->args);
}

static void table_grow(cg_code *c) {
  int count = c->bucket_count ? 4 * c->bucket_count : 256;
  c->buckets = WEIR_NEW_ARRAY(c->arena, cg_node *, count);
  c->bucket_count = count;
  for (int i = 0; i < c->node_count; i++) {
    cg_node **bucket = &c->buckets[node_hash(c->nodes[i]) & (uint64_t)(count - 1)];
    c->nodes[i]->next_in_bucket = *bucket;
    *bucket = c->nodes[i];
  }
}

static cg_node *table_find(cg_code *c, const cg_node *model) {
  cg_node *n = c->bucket_count ? c->buckets[node_hash(model) & (uint64_t)(c->bucket_count - 1)] : NULL;
  while (n && !node_equal(n, model)) n = n->next_in_bucket;
  return n;
}

static cg_node *table_add(cg_code *c, const cg_node *model) {
  cg_node *n = WEIR_NEW(c->arena, cg_node);
  *n = *model;
  WEIR_PUSH(c->arena, c->nodes, c->node_count, c->node_capacity, n);
  if (c->node_count > 2 * c->bucket_count) {
    table_grow(c);
  } else {
    cg_node **bucket = &c->buckets[node_hash(n) & (uint64_t)(c->bucket_count - 1)];
    n->next_in_bucket = *bucket;
    *bucket = n;
  }
  cg_stmt *at = n->home->current;
  if (at && n->arg_count > 0) WEIR_PUSH(c->arena, at->pre, at->pre_count, at->pre_capacity, n);
  return n;
}

// ---- facts of i64 scalars
static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b, b = r;
  }
  return a;
}

static void node_facts(cg_node *n) {
  cg_node *x = n->args[0], *y = n->args[1];
  n->divisor = 1;
  if (n->vector) return;
  int64_t d;
  switch (n->op) {
    case IR_K_const:
      n->divisor = n->i < 0 ? (n->i == INT64_MIN ? 1 : -n->i) : n->i;
      n->not_negative = !ir_ktype_is_float(n->type) && n->i >= 0;
      break;
    case IR_K_size:
      n->not_negative = true;
      break;
    case IR_K_add:
    case IR_K_max:
    case IR_K_min:
      n->divisor = gcd(x->divisor, y->divisor);
      n->not_negative = x->not_negative && y->not_negative;
      break;
    case IR_K_sub:
      n->divisor = gcd(x->divisor, y->divisor);
      break;
    case IR_K_mul:
      // Kept small: only factors of block and lane sizes matter.
      n->divisor = x->divisor < 1 << 20 && y->divisor < 1 << 20 ? x->divisor * y->divisor : 1;
      n->not_negative = x->not_negative && y->not_negative;
      break;
    case IR_K_div:
      if (cg_is_int(y, &d) && d > 0 && x->divisor % d == 0) n->divisor = x->divisor / d;
      n->not_negative = x->not_negative && y->not_negative;
      break;
    case IR_K_mod:
      n->divisor = gcd(x->divisor, y->divisor);
      n->not_negative = y->not_negative;
      break;
    default:
      break;
  }
  if (n->type != IR_KT_i64) n->divisor = 1, n->not_negative = false;
}

static cg_node *intern(cg_code *c, cg_node *model) {
  model->home = c->root;
  for (int i = 0; i < model->arg_count; i++) {
    const cg_node *arg = model->args[i];
    if (!arg) continue;
    if (arg->home->depth > model->home->depth) model->home = arg->home;
    if (arg->once && model->op != CG_NAME) model->once = c->statement;
  }
  if (model->once) model->home = c->scope;
  cg_node *found = table_find(c, model);
  if (found) return found;
  node_facts(model);
  return table_add(c, model);
}

cg_node *cg_raw(cg_code *c, int op, ir_ktype type, bool vector, cg_node *x, cg_node *y, cg_node *z) {
  int count = z ? 3 : y ? 2 : x ? 1 : 0;
  return intern(c, &(cg_node){.op = op, .type = type, .vector = vector, .arg_count = count, .args = {x, y, z}});
}

cg_node *cg_const_int(cg_code *c, ir_ktype type, int64_t value) {
  return intern(c, &(cg_node){.op = IR_K_const, .type = type, .i = value});
}

cg_node *cg_const_float(cg_code *c, ir_ktype type, double value) {
  return intern(c, &(cg_node){.op = IR_K_const, .type = type, .f = value});
}

cg_node *cg_size(cg_code *c, int index) {
  return intern(c, &(cg_node){.op = IR_K_size, .type = IR_KT_i64, .index = index});
}

cg_node *cg_name(cg_code *c, const char *name, ir_ktype type, bool vector, cg_scope *scope) {
  return table_add(
      c, &(cg_node){.op = CG_NAME, .type = type, .vector = vector, .name = name, .home = scope, .divisor = 1});
}

cg_node *cg_read(cg_code *c, const cg_slot *slot) {
  // A leaf that holds at this statement only.
  return table_add(c, &(cg_node){.op = CG_NAME,
                                 .type = slot->type,
                                 .vector = slot->vector,
                                 .name = slot->name,
                                 .home = c->scope,
                                 .divisor = 1,
                                 .once = c->statement});
}

// ---- vectors
cg_node *cg_ramp(cg_code *c, cg_node *base, cg_node *step) {
  int64_t value;
  if (cg_is_int(step, &value) && value == 0) return base;
  return cg_raw(c, CG_RAMP, IR_KT_i64, true, base, step, NULL);
}

cg_node *cg_widen(cg_code *c, cg_node *node) {
  return node->vector ? node : cg_raw(c, CG_SPLAT, node->type, true, node, NULL, NULL);
}

cg_node *cg_and(cg_code *c, cg_node *x, cg_node *y) {
  if (!x || !y || x == y) return x ? x : y;
  return cg_op(c, IR_K_and, IR_KT_bool, x, y, NULL);
}

cg_node *cg_op(cg_code *c, int op, ir_ktype type, cg_node *x, cg_node *y, cg_node *z) {
  bool vector = (x && x->vector) || (y && y->vector) || (z && z->vector);
  if (!vector) {
    cg_node *folded = cg_fold(c, op, type, x, y, z);
    return folded ? folded : cg_raw(c, op, type, false, x, y, z);
  }
  if (x->type == IR_KT_i64 && !z) {
    cg_node *folded = cg_fold_ramp(c, op, type, x, y);
    if (folded) return folded;
  }
  return cg_raw(c, op, type, true, cg_widen(c, x), y ? cg_widen(c, y) : NULL, z ? cg_widen(c, z) : NULL);
}

// ---- loads
bool cg_buffer_is_constant(const cg_code *c, int buffer) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  if (b->kind == IR_KB_CONST) return true;
  return (b->kind == IR_KB_IN || b->kind == IR_KB_TABLE_IN) && b->arg >= 0 && !c->written[b->arg];
}

cg_node *cg_load(cg_code *c, ir_ktype type, int buffer, cg_node *index, cg_node *request, cg_node *mask) {
  cg_node n = {.op = IR_K_load, .type = type, .arg_count = 3, .index = buffer, .vector = index->vector};
  if (request && request->vector) cg_fail(c, WEIR_CODE_UNSUPPORTED, "request number differs between lanes");
  c->access[buffer][type].used = true;
  if (!n.vector && mask && mask->vector) {
    // One element for all lanes: needed if any lane is active. The rest of a range always has one.
    mask = mask == c->rest_mask ? NULL : cg_raw(c, CG_ANY, IR_KT_bool, false, mask, NULL, NULL);
  }
  if (n.vector && mask) mask = cg_widen(c, mask);
  int64_t step;
  bool ramp = index->op == CG_RAMP, next = ramp && cg_is_int(index->args[1], &step) && step == 1;
  if (n.vector && (mask || !next)) c->memory[type] = true;
  if (ramp && (next || !mask)) {
    n.op = CG_LOAD_RAMP;
    n.arg_count = 4;
    n.args[3] = index->args[1];
    index = index->args[0];
  }
  n.args[0] = index, n.args[1] = request, n.args[2] = mask;
  if (!cg_buffer_is_constant(c, buffer)) {
    n.once = c->statement;
    return intern(c, &n);
  }
  // The same load may stand already in a scope between the operands' home and the limit.
  cg_scope *home = c->root;
  for (int i = 0; i < n.arg_count; i++) {
    if (!n.args[i]) continue;
    if (n.args[i]->home->depth > home->depth) home = n.args[i]->home;
    if (n.args[i]->once) n.once = c->statement;
  }
  cg_scope *limit = c->scope->load_limit;
  n.home = n.once ? c->scope : limit->depth > home->depth ? limit : home;
  cg_node model = n;
  for (cg_scope *s = n.home; s && s->depth >= home->depth; s = s->parent) {
    model.home = s;
    cg_node *found = table_find(c, &model);
    if (found) return found;
  }
  node_facts(&n);
  return table_add(c, &n);
}

// ---- uses
static void use(cg_node *node, const cg_scope *scope) {
  if (!node) return;
  node->live = true;
  node->uses++;
  if (node->home != scope) node->deep = true;
}

static void use_block(const cg_block *b, const cg_scope *scope) {
  cg_node *const used[] = {b->to,    b->to_request, b->from, b->from_request, b->signal,
                           b->value, b->condition,  b->at_a, b->at_b};
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) use(used[i], scope);
  for (int i = 0; i < 5; i++) use(b->coords[i], scope);
}

static void count_scope(const cg_scope *scope) {
  for (cg_stmt *s = scope->first; s; s = s->next) {
    cg_node *const used[] = {s->lo, s->hi, s->value, s->mask, s->index, s->ramp_step, s->request};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) use(used[i], scope);
    for (int i = 0; i < IR_KM_COUNT; i++) use(s->at[i], scope);
    if (s->block) use_block(s->block, scope);
    if (s->body) count_scope(s->body);
    if (s->body2) count_scope(s->body2);
  }
}

void cg_count_uses(cg_code *c) {
  count_scope(c->root);
  // Operands are older than what uses them.
  for (int i = c->node_count - 1; i >= 0; i--) {
    const cg_node *n = c->nodes[i];
    if (!n->live) continue;
    for (int k = 0; k < n->arg_count; k++) use(n->args[k], n->home);
  }
}
