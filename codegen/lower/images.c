// Which values lie channels last: the activations between convolutions and pooling. Their type stays [..., C, Y, X];
// in memory all axes but C come first (slot.first), so that a register holds neighbouring channels of one position,
// which every kernel here and any elementwise kernel between them reads and writes at full width. What a model takes
// and gives keeps the order of its dims: the first convolution reads it as it is.
//
// The choice is made on the graph alone, before fusion, and the same for every caller of a function: operands and
// results of convolutions with weights in taps, then what touches those elementwise, by pooling or by calls.
//
// Also the mean over an image, whose natural order is then position by position.
#include <string.h>

#include "codegen/lower/window_internal.h"

struct cg_images {
  const ir_function *function;
  signed char *spatial;
};

unsigned cg_image_axes(const ir_type *type, int spatial) {
  return ((1u << type->rank) - 1) & ~(1u << (type->rank - spatial - 1));
}

bool cg_is_image(const function_lowering *fl, const ir_value *value) {
  return fl->spatial && value->id < fl->function->next_id && fl->spatial[value->id] > 0;
}

// ---- the choice

// Callers have the elements of entries in the order of the dims, and regions theirs as their owners say.
static bool is_fixed(const ir_function *function, const ir_value *value) {
  bool block = function->kind == IR_FUNCTION_BLOCK;
  if (!value->def) return !block || function->params[value->result].kind != IR_PARAM_INPUT;
  for (int i = 0; !block && i < function->result_count; i++)
    if (function->results[i].value == value) return true;
  for (int i = 0; block && i < function->result_count; i++)
    if (function->results[i].value == value && function->results[i].state >= 0) return true;
  return false;
}

static bool fits(const ir_type *type, int spatial) {
  for (int i = type->rank - spatial - 1; i < type->rank; i++)
    if (i < 0 || cg_const_dim(type->dims[i]) < 1) return false;
  return true;
}

static bool mark(const struct cg_images *images, const ir_value *value, int spatial) {
  if (images->spatial[value->id] || spatial < 1 || !fits(&value->type, spatial)) return false;
  if (is_fixed(images->function, value)) return false;
  images->spatial[value->id] = (signed char)spatial;
  return true;
}

static bool same_dims(const ir_type *a, const ir_type *b) {
  return a->rank == b->rank && !memcmp(a->dims, b->dims, sizeof *a->dims * (size_t)a->rank);
}

// |x| and |y| have as many spatial axes: what is known of one holds for the other.
static bool join(const struct cg_images *images, const ir_value *x, const ir_value *y) {
  bool changed = mark(images, y, images->spatial[x->id]);
  return mark(images, x, images->spatial[y->id]) || changed;
}

static bool visit_call(lowering *low, const struct cg_images *images, const ir_node *node) {
  const signed char *inner = cg_find_images(low, node->callee);
  bool changed = false;
  for (int i = 0; i < node->operand_count; i++)
    changed |= mark(images, node->operands[i], inner[node->callee->params[i].value->id]);
  for (int i = 0; i < node->result_count; i++)
    changed |= mark(images, node->results[i], inner[node->callee->results[i].value->id]);
  return changed;
}

static bool visit(lowering *low, const struct cg_images *images, const ir_node *node) {
  bool changed = false;
  cg_layout layout;
  if (node->op == IR_OP_call) return visit_call(low, images, node);
  bool groups = low->options->blocks && cg_conv_takes_groups(node);
  if (node->op == IR_OP_conv && (groups || cg_conv_takes_taps(node, &layout))) {
    int spatial = node->operands[1]->type.rank - 2;
    changed = mark(images, node->operands[0], spatial);
    return mark(images, node->results[0], spatial) || changed;
  }
  if (cg_window_is_pool(node)) return join(images, node->operands[0], node->results[0]);
  if (!(ir_op_get_info(node->op)->flags & IR_FLAG_EW)) return false;
  for (int i = 0; i < node->operand_count; i++)
    if (same_dims(&node->operands[i]->type, &node->results[0]->type))
      changed |= join(images, node->operands[i], node->results[0]);
  return changed;
}

const signed char *cg_find_images(lowering *low, const ir_function *function) {
  for (int i = 0; i < low->image_count; i++)
    if (low->images[i].function == function) return low->images[i].spatial;
  struct cg_images made = {function, WEIR_NEW_ARRAY(low->arena, signed char, function->next_id + 1)};
  for (bool changed = true; changed;) {
    changed = false;
    for (const ir_node *node = function->first; node; node = node->next) changed |= visit(low, &made, node);
    for (const ir_node *node = function->last; node; node = node->prev) changed |= visit(low, &made, node);
  }
  WEIR_PUSH(low->arena, low->images, low->image_count, low->image_capacity, made);
  return made.spatial;
}

// ---- means

// The spatial axes of the operand if |node| adds up over all of those and nothing else; 0 if not.
static int summed_axes(const function_lowering *fl, const ir_node *node) {
  if (node->op != IR_OP_mean && node->op != IR_OP_sum) return 0;
  const ir_value *x = node->operands[0];
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  int spatial = cg_is_image(fl, x) ? fl->spatial[x->id] : 0;
  if (!spatial || over->count != spatial || cg_compute_type(x->type.dtype) != IR_KT_f32) return 0;
  for (int i = 0; i < spatial; i++)
    if (over->ints[i] < x->type.rank - spatial) return 0;
  return spatial;
}

// One work item is a block of channels of an image. Positions go round four partial sums, which are added up in pairs.
bool cg_lower_image_mean(function_lowering *fl, ir_value *root, weir_status *out_status) {
  enum { PARTS = 4, GROUP = 4 };
  const ir_node *node = root->def;
  int spatial = summed_axes(fl, node);
  if (!spatial) return false;
  ir_value *x = node->operands[0];
  int lead = x->type.rank - spatial - 1;
  int64_t channels = cg_const_dim(x->type.dims[lead]), positions = 1;
  for (int i = lead + 1; i < x->type.rank; i++) positions *= cg_const_dim(x->type.dims[i]);
  emitter e;
  cg_emit_begin(&e, fl, root, weir_arena_printf(fl->low->arena, "image_%s", ir_op_get_info(node->op)->name),
                weir_arena_printf(fl->low->arena, "over the positions of %s", ir_type_print(fl->low->arena, &x->type)));
  ir_kbuilder *b = &e.b;
  int64_t blocks = (channels + GROUP * IR_LANES - 1) / (GROUP * IR_LANES);
  const ir_kexpr *idx[IR_MAX_RANK], *count = ir_kb_int(b, blocks), *zero = ir_kb_int(b, 0);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, cg_emit_images(&e, root, lead), count), "n");
  const ir_kexpr *lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_mod(b, n, count), ir_kb_int(b, GROUP * IR_LANES)));
  cg_emit_set_image(&e, root, lead, ir_kb_div(b, n, count), idx);
  const ir_kexpr *all = ir_kb_int(b, channels),
                 *hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, lo, ir_kb_int(b, GROUP * IR_LANES)), all));
  const ir_kexpr *block = ir_kb_for(b, IR_KR_SERIAL, "block", lo, hi, IR_LANES);
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", zero, ir_kb_int(b, IR_LANES), 1), *size;
  int dims[1] = {PARTS}, tiles[2] = {PARTS, 1};
  ir_kvar *part = ir_kb_reg(b, "part", IR_KT_f32, true, 1, dims, ir_kb_const(b, IR_KT_f32, 0));
  idx[lead] = ir_kb_add(b, block, lane);
  bool masked = channels % IR_LANES != 0;
  if (masked) ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, idx[lead], all, NULL));
  const ir_kexpr *first = ir_kb_tiles(b, "p", zero, ir_kb_int(b, positions), tiles, 2, &size);
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", zero, size, 1), *rest = ir_kb_add(b, first, i);
  for (int a = x->type.rank - 1; a > lead; a--) {
    const ir_kexpr *dim = ir_kb_int(b, cg_const_dim(x->type.dims[a]));
    idx[a] = a > lead + 1 ? ir_kb_mod(b, rest, dim) : rest;
    rest = ir_kb_div(b, rest, dim);
  }
  ir_kb_set(b, part, ir_kb_add(b, ir_kb_read(b, part, i, NULL, NULL), cg_emit_value(&e, x, idx)), i, NULL, NULL);
  ir_kb_end(b);
  ir_kb_end(b);
  const ir_kexpr *sums[PARTS];
  for (int p = 0; p < PARTS; p++) sums[p] = ir_kb_read(b, part, ir_kb_int(b, p), NULL, NULL);
  const ir_kexpr *sum = ir_kb_add(b, ir_kb_add(b, sums[0], sums[2]), ir_kb_add(b, sums[1], sums[3]));
  if (node->op == IR_OP_mean) sum = ir_kb_div(b, sum, ir_kb_const(b, IR_KT_f32, (double)positions));
  cg_emit_store(&e, root, cg_info(fl, root)->slot, idx, sum);
  if (masked) ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  *out_status = cg_emit_finish(&e);
  return true;
}
