// From a graph function to boxes and edges.
//
// What only moves or renames elements (casts, reshapes, broadcasts, constants) is part of an edge. A run of nodes that
// repeats itself becomes one group "x n": `x = x + layer(x)` thirty times is one call and one addition. A block without
// blocks in it is one box that tells its ops. A block that was drawn before is one box that says so.
#include "compiler/driver/picture.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_NODES = 600, LEAF_NODES = 40, LONGEST_PERIOD = 24, MOST_DEPTH = 12 };

typedef struct {
  weir_arena *arena;
  picture_drawn *drawn;
  const ir_function *function;
  const ir_node **nodes;  // those that are drawn
  int count;
  int depth;
} maker;

// ---- which nodes are drawn

static bool is_plumbing(const ir_node *node) {
  switch (node->op) {
    case IR_OP_constant:
    case IR_OP_cast:
    case IR_OP_reshape:
    case IR_OP_broadcast:
    case IR_OP_pos:
    case IR_OP_iota:
    case IR_OP_size:
      return true;
    case IR_OP_permute:  // of a value for each row that is spread over the row
      return node->operands[0]->def && node->operands[0]->def->op == IR_OP_broadcast;
    default:
      return false;
  }
}

static int param_of(const ir_function *function, const ir_value *value) {
  return value->def ? -1 : value->result < function->param_count ? value->result : -1;
}

// What a value comes from through plumbing: a drawn node, or an input (as its value); null for weights, states and
// constants.
static const ir_value *origin(const ir_function *function, const ir_value *value) {
  while (value->def && is_plumbing(value->def)) {
    if (!value->def->operand_count) return NULL;
    value = value->def->operands[0];
  }
  if (value->def) return value;
  int param = param_of(function, value);
  return param >= 0 && function->params[param].kind == IR_PARAM_INPUT ? value : NULL;
}

static int node_index(const maker *m, const ir_value *value) {
  if (!value || !value->def) return -1;
  int low = 0, high = m->count - 1;  // nodes have rising ids of results
  while (low <= high) {
    int middle = (low + high) / 2;
    if (m->nodes[middle] == value->def) return middle;
    if (m->nodes[middle]->results[0]->id < value->def->results[0]->id) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

// ---- words

static void line_add(picture_box *box, const char *text) {
  if (box->line_count < PICTURE_MAX_LINES) box->lines[box->line_count++] = text;
}

static const char *shorten(weir_arena *arena, const char *text) {
  return strlen(text) <= 44 ? text : weir_arena_printf(arena, "%.41s...", text);
}

static const char *label_of(weir_arena *arena, const ir_node *node) {
  const char *text = NULL;
  int outputs = node->result_count, same = 0;
  if (node->op == IR_OP_call) {
    outputs = 0;
    while (outputs < node->callee->result_count && node->callee->results[outputs].state < 0) outputs++;
  }
  for (int i = 0; i < outputs; i++) same += ir_type_equal(&node->results[i]->type, &node->results[0]->type);
  if (!outputs) return NULL;
  text = ir_type_print(arena, &node->results[0]->type);
  if (outputs == 1 && node->results[0]->name && *node->results[0]->name)
    text = weir_arena_printf(arena, "%s: %s", node->results[0]->name, text);
  if (outputs > 1)
    text = weir_arena_printf(arena, same == outputs ? "%s x %d" : "%s and %d more", text,
                             same == outputs ? outputs : outputs - 1);
  return shorten(arena, text);
}

// The common beginning of the paths of the weights that a call takes: the member's name. "" for none.
static const char *member_of(const maker *m, const ir_node *call) {
  const char *common = NULL;
  size_t length = 0;
  for (int i = 0; i < call->operand_count && i < call->callee->param_count; i++) {
    int param = param_of(m->function, call->operands[i]);
    if (param < 0 || m->function->params[param].kind == IR_PARAM_INPUT) continue;
    const char *path = m->function->params[param].name, *inner = call->callee->params[i].name;
    size_t own = strlen(path), tail = strlen(inner);
    size_t head = own > tail && !strcmp(path + own - tail, inner) ? own - tail - 1 : 0;
    if (!common) common = path, length = head;
    while (length && (head < length || strncmp(common, path, length))) length--;
  }
  return common ? weir_arena_strndup(m->arena, common, length) : "";
}

static void weights_tell(const maker *m, const ir_function *function, picture_box *box) {
  int more = 0;
  for (int i = 0; i < function->param_count; i++) {
    const ir_param *param = &function->params[i];
    if (param->kind != IR_PARAM_WEIGHT) continue;
    if (box->line_count < 4)
      line_add(box, shorten(m->arena, weir_arena_printf(m->arena, "%s: %s", param->name,
                                                        ir_type_print(m->arena, &param->value->type))));
    else more++;
  }
  if (more) line_add(box, weir_arena_printf(m->arena, "and %d more weights", more));
}

// "mean, rsqrt, 3 mul": the ops of a block that is one box.
static void ops_tell(const maker *m, const ir_function *function, picture_box *box) {
  int counts[IR_OP_COUNT] = {0};
  const char *text = "";
  for (const ir_node *node = function->first; node; node = node->next)
    if (!is_plumbing(node)) counts[node->op]++;
  for (int op = 0; op < IR_OP_COUNT; op++) {
    const char *name = ir_op_get_info((ir_op)op)->name;
    if (!counts[op] || strlen(text) > 36) continue;
    const char *sign = *text ? ", " : "";
    text = counts[op] > 1 ? weir_arena_printf(m->arena, "%s%s%d %s", text, sign, counts[op], name)
                          : weir_arena_printf(m->arena, "%s%s%s", text, sign, name);
  }
  if (*text) line_add(box, shorten(m->arena, text));
}

// ---- blocks

static bool was_drawn(const picture_drawn *drawn, const ir_function *function) {
  for (int i = 0; i < drawn->count; i++) {
    if (drawn->data[i] == function) return true;
  }
  return false;
}

static bool is_leaf(const ir_function *function) {
  int nodes = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    nodes += !is_plumbing(node);
    if (ir_op_takes_function(node->op) || node->op == IR_OP_append) return false;
  }
  return nodes <= LEAF_NODES;
}

static picture *make(maker *outer, const ir_function *function);

// A block has a function for each way it is used; their names differ by a number that says nothing to a reader.
static const char *block_name(weir_arena *arena, const ir_function *function) {
  const char *dot = strrchr(function->name, '.');
  bool numbered = dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1);
  return numbered ? weir_arena_strndup(arena, function->name, (size_t)(dot - function->name)) : function->name;
}

// "layers.0..=29" for the members from |first| to |last|.
static const char *members_name(weir_arena *arena, const char *first, const char *last) {
  const char *dot = strrchr(last, '.');
  size_t head = dot ? (size_t)(dot + 1 - last) : 0;
  if (!dot || strncmp(first, last, head) || !strcmp(first, last)) return first;
  return weir_arena_printf(arena, "%s..=%s", first, dot + 1);
}

static void call_tell(maker *m, const ir_node *node, const ir_node *last, picture_box *box) {
  const char *member = members_name(m->arena, member_of(m, node), member_of(m, last));
  const ir_function *callee = node->callee;
  const char *name = block_name(m->arena, callee);
  line_add(box, shorten(m->arena, *member ? weir_arena_printf(m->arena, "%s: %s", member, name) : name));
  if (is_leaf(callee)) {
    box->kind = PICTURE_BLOCK;
    weights_tell(m, callee, box);
    ops_tell(m, callee, box);
  } else if (was_drawn(m->drawn, callee) || m->depth >= MOST_DEPTH) {
    box->kind = PICTURE_BLOCK;
    line_add(box, "drawn elsewhere");
  } else {
    box->kind = PICTURE_GROUP;
    box->inside = make(m, callee);
  }
}

// |last|: of the nodes that the box stands for.
static picture_box box_of(maker *m, const ir_node *node, const ir_node *last) {
  picture_box box = {.kind = PICTURE_OP, .repeat = 1, .label = label_of(m->arena, node)};
  if (node->op == IR_OP_call) {
    call_tell(m, node, last, &box);
    return box;
  }
  const char *name = ir_op_get_info(node->op)->name;
  if (node->op == IR_OP_append) box.kind = PICTURE_STATE;
  line_add(&box, name);
  for (int i = 0; i < node->operand_count && i < 4; i++) {
    int param = param_of(m->function, node->operands[i]);
    if (param < 0 || m->function->params[param].kind == IR_PARAM_INPUT) continue;
    const ir_param *p = &m->function->params[param];
    line_add(&box, shorten(m->arena,
                           weir_arena_printf(m->arena, "%s: %s", p->name, ir_type_print(m->arena, &p->value->type))));
  }
  if (ir_op_takes_function(node->op) && node->callee)
    line_add(&box, shorten(m->arena, weir_arena_printf(m->arena, "over %s", node->callee->name)));
  return box;
}

// ---- what repeats

static bool same_attrs(const ir_node *a, const ir_node *b) {
  if (a->attr_count != b->attr_count) return false;
  for (int i = 0; i < a->attr_count; i++) {
    if (a->attrs[i].name != b->attrs[i].name || memcmp(&a->attrs[i], &b->attrs[i], sizeof a->attrs[i])) return false;
  }
  return true;
}

// Whether node |b| does what node |a| does, |period| nodes later: the same operands, or those moved on by the period.
// The first turn takes from outside what later ones take from the turn before.
static bool repeats(const maker *m, int a, int b, int start) {
  const ir_node *x = m->nodes[a], *y = m->nodes[b];
  if (x->op != y->op || x->callee != y->callee || x->operand_count != y->operand_count || !same_attrs(x, y))
    return false;
  for (int i = 0; i < x->operand_count; i++) {
    const ir_value *from = origin(m->function, x->operands[i]), *to = origin(m->function, y->operands[i]);
    if (!from && !to) continue;
    if (!from || !to) return false;
    int at = node_index(m, from), then = node_index(m, to);
    if (from == to && at < start) continue;
    if (at >= start ? then - at != b - a : then < start || then >= b) return false;
  }
  return true;
}

// Whether node |at| takes a value of a node in [begin, end).
static bool takes_from(const maker *m, int at, int begin, int end) {
  for (int i = 0; i < m->nodes[at]->operand_count; i++) {
    int from = node_index(m, origin(m->function, m->nodes[at]->operands[i]));
    if (from >= begin && from < end) return true;
  }
  return false;
}

// Turns stand one behind the other: each takes from the one before, and only the last one is taken from later.
static bool is_chain(const maker *m, int start, int period, int turns) {
  int last = start + (turns - 1) * period;
  bool linked = false;
  for (int i = 0; i < period; i++) linked = linked || takes_from(m, start + period + i, start, start + period);
  for (int i = last + period; i < m->count && linked; i++) linked = !takes_from(m, i, start, last);
  for (int i = 0; i < m->function->result_count && linked; i++) {
    if (m->function->results[i].state >= 0) continue;
    int from = node_index(m, origin(m->function, m->function->results[i].value));
    linked = from < start || from >= last;
  }
  return linked;
}

// The longest chain of equal turns that begins at |start|: its period, and how often; 1 for none.
static int find_repeat(const maker *m, int start, int *out_period) {
  int best = 1;
  *out_period = 1;
  for (int period = 1; period <= LONGEST_PERIOD && start + 2 * period <= m->count; period++) {
    bool has_call = false;
    for (int i = 0; i < period; i++) has_call = has_call || m->nodes[start + i]->op == IR_OP_call;
    int end = start + period;
    while (end < m->count && repeats(m, end - period, end, start)) end++;
    int turns = (end - start) / period;
    if (turns < (has_call ? 2 : 4) || turns * period <= best * *out_period) continue;
    if (!is_chain(m, start, period, turns)) continue;
    best = turns;
    *out_period = period;
  }
  return best;
}

// ---- the picture of a function

static int box_add(maker *m, picture *p, picture_box box) {
  WEIR_PUSH(m->arena, p->boxes, p->box_count, p->box_capacity, box);
  return p->box_count - 1;
}

static void edge_add(maker *m, picture *p, int from, int to) {
  if (from < 0 || from == to) return;
  for (int i = 0; i < p->edge_count; i++) {
    if (p->edges[i].from == from && p->edges[i].to == to) return;
  }
  picture_edge edge = {from, to};
  WEIR_PUSH(m->arena, p->edges, p->edge_count, p->edge_capacity, edge);
}

// Nodes [begin, end) into |p|. |box_of_node| is where each node before and in the range is drawn, |input| the box that
// stands for what comes from outside of |p| (-1: there is none). Returns the box of the last node.
static int draw_nodes(maker *m, picture *p, int begin, int end, int *box_of_node, const int *box_of_param, int input) {
  int last = -1;
  for (int at = begin; at < end;) {
    int period, turns = input < 0 || end - begin < m->count ? find_repeat(m, at, &period) : 1;
    if (input >= 0 || turns < 2 || at + turns * period > end) turns = period = 1;
    picture_box box;
    if (period == 1) {
      box = box_of(m, m->nodes[at], m->nodes[at + turns - 1]);
    } else {
      box = (picture_box){.kind = PICTURE_GROUP, .label = label_of(m->arena, m->nodes[at + turns * period - 1])};
      box.inside = WEIR_NEW(m->arena, picture);
      line_add(&box, "repeated");
      picture_box outside = {.kind = PICTURE_INPUT, .repeat = 1, .lines = {"in"}, .line_count = 1};
      int first = box_add(m, box.inside, outside);
      int *inner = WEIR_NEW_ARRAY(m->arena, int, m->count + 1);
      for (int i = 0; i < m->count; i++) inner[i] = -1;
      int end_box = draw_nodes(m, box.inside, at, at + period, inner, NULL, first);
      picture_box out = {.kind = PICTURE_RESULT, .repeat = 1, .lines = {"out"}, .line_count = 1};
      edge_add(m, box.inside, end_box, box_add(m, box.inside, out));
    }
    box.repeat = turns;
    int number = last = box_add(m, p, box);
    for (int i = at; i < at + turns * period; i++) box_of_node[i] = number;
    for (int i = at; i < at + period; i++) {
      const ir_node *node = m->nodes[i];
      for (int k = 0; k < node->operand_count; k++) {
        const ir_value *from = origin(m->function, node->operands[k]);
        if (!from) continue;
        int index = node_index(m, from);
        int source = index >= 0 ? box_of_node[index] : box_of_param ? box_of_param[from->result] : -1;
        edge_add(m, p, source < 0 ? input : source, number);
      }
    }
    at += turns * period;
  }
  return last;
}

static void draw_results(maker *m, picture *p, const int *box_of_node, const int *box_of_param) {
  for (int i = 0; i < m->function->result_count; i++) {
    const ir_result *result = &m->function->results[i];
    if (result->state >= 0) continue;
    const ir_value *from = origin(m->function, result->value);
    int index = node_index(m, from), source = index >= 0 ? box_of_node[index] : from ? box_of_param[from->result] : -1;
    picture_box box = {.kind = PICTURE_RESULT, .repeat = 1};
    line_add(&box, result->name && *result->name ? result->name : "out");
    edge_add(m, p, source, box_add(m, p, box));
  }
}

static picture *make(maker *outer, const ir_function *function) {
  maker m = {.arena = outer->arena, .drawn = outer->drawn, .function = function, .depth = outer->depth + 1};
  picture *p = WEIR_NEW(m.arena, picture);
  WEIR_PUSH(m.arena, m.drawn->data, m.drawn->count, m.drawn->capacity, function);
  int total = 0;
  for (const ir_node *node = function->first; node; node = node->next) total += !is_plumbing(node);
  m.nodes = WEIR_NEW_ARRAY(m.arena, const ir_node *, total + 1);
  for (const ir_node *node = function->first; node; node = node->next)
    if (!is_plumbing(node) && node->result_count) m.nodes[m.count++] = node;
  int *box_of_node = WEIR_NEW_ARRAY(m.arena, int, m.count + 1);
  int *box_of_param = WEIR_NEW_ARRAY(m.arena, int, function->param_count + 1);
  for (int i = 0; i < function->param_count; i++) {
    const ir_param *param = &function->params[i];
    box_of_param[i] = -1;
    if (param->kind != IR_PARAM_INPUT) continue;
    picture_box box = {.kind = PICTURE_INPUT, .repeat = 1};
    line_add(&box, shorten(m.arena, param->name));
    box.label = shorten(m.arena, ir_type_print(m.arena, &param->value->type));
    box_of_param[i] = box_add(&m, p, box);
  }
  if (m.count > MOST_NODES) {
    picture_box box = {.kind = PICTURE_BLOCK, .repeat = 1};
    line_add(&box, weir_arena_printf(m.arena, "%d ops", m.count));
    box_add(&m, p, box);
    return p;
  }
  draw_nodes(&m, p, 0, m.count, box_of_node, box_of_param, -1);
  draw_results(&m, p, box_of_node, box_of_param);
  return p;
}

picture *picture_make(weir_arena *arena, const ir_function *function, picture_drawn *drawn) {
  maker outer = {.arena = arena, .drawn = drawn};
  return make(&outer, function);
}
