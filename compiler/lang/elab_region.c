// Regions while they are built: functions of the graph that a node owns (scan, cond, map, fold). A tensor of the text
// is one value wherever it is used; an op that is built inside a region sees what lies outside through a parameter,
// made on first use: a capture. So no other file asks where a value comes from.
//
// A region is closed before its owner is built. The captures of two regions of one owner are made the same then.
#include <string.h>

#include "compiler/lang/elab_impl.h"

static const char *const names[] = {
    [LANG_REGION_INDEX] = "map", [LANG_REGION_SCAN] = "scan", [LANG_REGION_COND] = "cond"};

lang_region *lang_region_open(lang_frame *frame, lang_region_kind kind) {
  lang_elab *elab = frame->elab;
  lang_region *region = WEIR_NEW(elab->arena, lang_region);
  region->parent = frame->function->region;
  region->kind = kind;
  region->ir = ir_function_create(elab->module, IR_FUNCTION_REGION, names[kind]);
  frame->function->region = region;
  return region;
}

ir_value *lang_region_param(lang_region *region, const char *name, ir_type type) {
  ir_value *value = ir_function_add_param(region->ir, IR_PARAM_INPUT, name ? name : "", type);
  value->name = name;
  return value;
}

void lang_region_close(lang_frame *frame, const lang_region *region) { frame->function->region = region->parent; }

void lang_region_enter(lang_frame *frame, lang_region *region) { frame->function->region = region; }

lang_region *lang_region_leave(lang_frame *frame) {
  lang_region *inside = frame->function->region;
  frame->function->region = NULL;
  return inside;
}

ir_function *lang_here(const lang_frame *frame) {
  return frame->function->region ? frame->function->region->ir : frame->function->ir;
}

// ---- captures

static bool lives_in(const ir_value *value, const ir_function *ir) {
  if (value->def) return value->def->parent == ir;
  return value->result < ir->param_count && ir->params[value->result].value == value;
}

static ir_value *capture(lang_frame *frame, lang_region *region, ir_value *value) {
  if (!region || lives_in(value, region->ir)) return value;
  lang_spend(frame->elab, 1 + region->captures.count / 16, (lang_span){0});
  for (int i = 0; i < region->captures.count; i++) {
    if (region->captures.data[i].origin == value) return region->captures.data[i].inner;
  }
  lang_capture c = {value, capture(frame, region->parent, value), NULL};
  c.inner = lang_region_param(region, value->name, value->type);
  c.inner->lo = value->lo;
  c.inner->hi = value->hi;
  c.inner->below = value->below;
  LANG_PUSH(frame->elab->arena, &region->captures, c);
  return c.inner;
}

ir_value *lang_capture_value(lang_frame *frame, ir_value *value) {
  return capture(frame, frame->function->region, value);
}

static int capture_of(const lang_region *region, const ir_value *outer) {
  for (int i = 0; i < region->captures.count; i++) {
    if (region->captures.data[i].outer == outer) return i;
  }
  return -1;
}

static void add_missing(lang_frame *frame, lang_region *to, const lang_region *from) {
  for (int i = 0; i < from->captures.count; i++) {
    if (capture_of(to, from->captures.data[i].outer) < 0) capture(frame, to, from->captures.data[i].origin);
  }
}

void lang_region_join(lang_frame *frame, lang_region *first, lang_region *second) {
  add_missing(frame, first, second);
  add_missing(frame, second, first);
  int count = second->captures.count, own = second->ir->param_count - count;
  lang_capture *ordered = WEIR_NEW_ARRAY(frame->elab->arena, lang_capture, count + 1);
  ir_param *params = WEIR_NEW_ARRAY(frame->elab->arena, ir_param, count + 1);
  lang_spend(frame->elab, (int64_t)count * count / 16, (lang_span){0});
  for (int i = 0; i < count; i++) {
    ordered[i] = second->captures.data[capture_of(second, first->captures.data[i].outer)];
    params[i] = second->ir->params[ordered[i].inner->result];
  }
  for (int i = 0; i < count; i++) {
    second->captures.data[i] = ordered[i];
    second->ir->params[own + i] = params[i];
    params[i].value->result = own + i;
  }
}

ir_node *lang_region_build(lang_frame *frame, ir_op op, lang_region *first, lang_region *second,
                           ir_value *const *operands, int operand_count, const ir_attr *attrs, int attr_count,
                           lang_span span) {
  lang_elab *elab = frame->elab;
  if (second) lang_region_join(frame, first, second);
  int captured = first->captures.count;
  const char *reason = NULL;
  ir_value **all = WEIR_NEW_ARRAY(elab->arena, ir_value *, operand_count + captured + 1);
  for (int i = 0; i < operand_count; i++) all[i] = lang_capture_value(frame, operands[i]);
  for (int i = 0; i < captured; i++) all[operand_count + i] = first->captures.data[i].outer;
  ir_function_renumber(first->ir);
  if (second) ir_function_renumber(second->ir);
  if (!lang_spend(elab, 8 + operand_count + captured, span)) return NULL;
  ir_node *node = ir_build_region(lang_here(frame), op, first->ir, second ? second->ir : NULL, all,
                                  operand_count + captured, attrs, attr_count, lang_loc(elab, span), &reason);
  if (!node) lang_error(elab, LANG_W_OP_REFUSED, span, reason ? reason : ir_op_get_info(op)->name);
  return node;
}

// ---- where we are

bool lang_region_carries(const lang_frame *frame, const lang_slot *slot) {
  for (const lang_region *region = frame->function->region; region; region = region->parent) {
    for (int i = 0; i < region->carried.count; i++) {
      if (region->carried.data[i] == slot) return true;
    }
  }
  return false;
}

bool lang_region_loops(const lang_frame *frame) {
  for (const lang_region *region = frame->function->region; region; region = region->parent) {
    if (region->kind == LANG_REGION_SCAN) return true;
  }
  return false;
}

bool lang_region_scans(const lang_frame *frame, const ir_symbol *symbol) {
  for (const lang_region *region = frame->function->region; region; region = region->parent) {
    if (region->over && region->over == symbol) return true;
  }
  return false;
}

bool lang_region_meets(lang_frame *frame, const ir_symbol *symbol, lang_span span) {
  bool any = false;
  for (const lang_region *region = frame->function->region; region; region = region->parent) {
    if (!region->over) continue;
    lang_latest_event(frame, symbol, region->over, span, lang_span_text(frame->elab, span));
    any = any || region->over == symbol || symbol == &lang_latest_any;
  }
  return any;
}

// ---- regions of a whole function

static bool is_region(const ir_function *ir) { return ir && ir->kind == IR_FUNCTION_REGION; }

void lang_function_move_last(ir_module *module, ir_function *ir) {
  int at = 0;
  while (module->functions[at] != ir) at++;
  memmove(module->functions + at, module->functions + at + 1,
          (size_t)(module->function_count - 1 - at) * sizeof *module->functions);
  module->functions[module->function_count - 1] = ir;
}

void lang_regions_move_last(ir_function *ir) {
  for (const ir_node *node = ir->first; node; node = node->next) {
    for (int i = 0; i < 2; i++) {
      ir_function *region = i ? node->second : node->callee;
      if (!is_region(region)) continue;
      lang_regions_move_last(region);
      lang_function_move_last(ir->module, region);
    }
  }
}

static void name_regions(ir_function *ir, const char *owner, int *counts) {
  weir_arena *arena = ir->module->arena;
  for (const ir_node *node = ir->first; node; node = node->next) {
    if (!is_region(node->callee)) continue;
    const char *op = ir_op_get_info(node->op)->name;
    node->callee->name = weir_arena_printf(arena, "%s.%s%d", owner, op, counts[node->op]++);
    if (node->second)
      node->second->name =
          weir_arena_printf(arena, "%s.%s", node->callee->name, node->op == IR_OP_cond ? "else" : "while");
    name_regions(node->callee, owner, counts);
    if (node->second) name_regions(node->second, owner, counts);
  }
}

void lang_regions_name(ir_function *ir) {
  int counts[IR_OP_COUNT] = {0};
  name_regions(ir, ir->name, counts);
}

static void add_text(lang_buffer *out, const ir_function *ir) {
  for (const ir_node *node = ir->first; node; node = node->next) {
    if (is_region(node->callee)) add_text(out, node->callee);
    if (is_region(node->second)) add_text(out, node->second);
  }
  lang_buffer_add(out, "%s", ir_print_function(out->arena, ir));
}

const char *lang_function_text(weir_arena *arena, const ir_function *ir) {
  lang_buffer text = {.arena = arena};
  add_text(&text, ir);
  return text.data;
}

void lang_function_drop(ir_function *ir) {
  ir_module *module = ir->module;
  for (const ir_node *node = ir->first; node; node = node->next) {
    if (is_region(node->callee)) lang_function_drop(node->callee);
    if (is_region(node->second)) lang_function_drop(node->second);
  }
  lang_function_move_last(module, ir);
  module->function_count--;
}
