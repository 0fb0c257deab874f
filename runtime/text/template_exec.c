// Execution of statements: output, scopes, loops, macros.
//
// A for, a macro and a with open a scope; an if does not. Names set inside a scope end with it, which is why templates
// carry state across iterations in a namespace.
#include <string.h>

#include "runtime/text/template_syntax.h"

enum { NESTING = 512 };

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;

static flow exec(text_env *env, const text_node *node);

// ---- assignment

static void assign(text_env *env, const text_node *target, text_value value);

static void assign_tuple(text_env *env, const text_node *target, text_value value) {
  text_value items = text_to_list(env, value);
  if (env->status) return;
  if (items.list->count != target->count) {
    text_fail(env, WEIR_CODE_INVALID_DATA, "%zu values for %zu names", items.list->count, target->count);
    return;
  }
  for (size_t i = 0; i < target->count; i++) assign(env, target->items[i], items.list->items[i]);
}

static void assign(text_env *env, const text_node *target, text_value value) {
  if (env->status) return;
  if (target->kind == TEXT_NODE_TUPLE) {
    assign_tuple(env, target, value);
  } else if (target->kind == TEXT_NODE_ATTR) {
    text_value space = text_eval(env, target->a);
    if (space.kind != TEXT_NAMESPACE) {
      text_fail(env, WEIR_CODE_INVALID_DATA, "only attributes of a namespace can be set");
      return;
    }
    text_dict_set(env, space.dict, text_string(target->name.bytes, target->name.size), value);
  } else {
    text_dict_set(env, &env->scope->names, text_string(target->name.bytes, target->name.size), value);
  }
}

static text_scope *open_scope(text_env *env, text_scope *parent) {
  text_scope *scope = text_env_alloc(env, sizeof *scope);
  if (scope) scope->parent = parent;
  return scope;
}

// The text that |body| prints.
static text_value capture(text_env *env, const text_node *body, text_scope *scope) {
  text_buffer buffer = {0}, *out = env->out;
  text_scope *outer = env->scope;
  env->out = &buffer;
  env->scope = scope;
  exec(env, body);
  env->out = out;
  env->scope = outer;
  text_value text = text_from_buffer(env, &buffer);
  text_buffer_deinit(&buffer);
  return text;
}

// Puts |text| through the filters of a set or filter block.
static text_value apply_filters(text_env *env, const text_node *chain, text_value text) {
  if (!chain || env->status) return text;
  text = apply_filters(env, chain->a, text);
  text_args args = text_eval_args(env, chain);
  return env->status ? text : text_call_filter(env, chain->name, text, args);
}

static void exec_set(text_env *env, const text_node *node) {
  if (node->kind == TEXT_NODE_SET) {
    assign(env, node->a, text_eval(env, node->b));
    return;
  }
  text_scope *inner = open_scope(env, env->scope);
  if (inner) assign(env, node->a, apply_filters(env, node->b, capture(env, node->body, inner)));
}

// ---- loops

text_value text_loop_attr(text_env *env, const text_loop *loop, text_view name) {
  int64_t index = (int64_t)loop->index, count = (int64_t)loop->items->count;
  (void)env;
  if (text_view_is(name, "index")) return text_int(index + 1);
  if (text_view_is(name, "index0")) return text_int(index);
  if (text_view_is(name, "revindex")) return text_int(count - index);
  if (text_view_is(name, "revindex0")) return text_int(count - index - 1);
  if (text_view_is(name, "first")) return text_bool(index == 0);
  if (text_view_is(name, "last")) return text_bool(index == count - 1);
  if (text_view_is(name, "length")) return text_int(count);
  if (text_view_is(name, "previtem") && index > 0) return loop->items->items[index - 1];
  if (text_view_is(name, "nextitem") && index + 1 < count) return loop->items->items[index + 1];
  return text_undefined(name);
}

// The items that pass the loop's own condition.
static text_value loop_items(text_env *env, const text_node *node) {
  text_value items = text_to_list(env, text_eval(env, node->b));
  if (!node->c || env->status) return items;
  text_value kept = text_make_list(env, TEXT_LIST);
  text_scope *outer = env->scope, *inner = open_scope(env, outer);
  for (size_t i = 0; inner && i < items.list->count && text_charge(env, 1); i++) {
    env->scope = inner;
    assign(env, node->a, items.list->items[i]);
    if (text_truth(text_eval(env, node->c))) text_list_push(env, kept.list, items.list->items[i]);
  }
  env->scope = outer;
  return kept;
}

// Each iteration has a scope of its own: a macro defined in it may keep it.
static flow exec_for(text_env *env, const text_node *node) {
  text_value items = loop_items(env, node);
  if (env->status) return FLOW_ON;
  if (!items.list->count) return node->orelse ? exec(env, node->orelse) : FLOW_ON;
  text_scope *outer = env->scope;
  text_loop *loop = text_env_alloc(env, sizeof *loop);
  if (loop) *loop = (text_loop){items.list, 0};
  for (size_t i = 0; i < items.list->count && text_charge(env, 1); i++) {
    text_scope *inner = open_scope(env, outer);
    if (!inner) break;
    env->scope = inner;
    loop->index = i;
    text_dict_set(env, &inner->names, text_string("loop", 4), (text_value){TEXT_LOOP, {.loop = loop}});
    assign(env, node->a, items.list->items[i]);
    if (exec(env, node->body) == FLOW_BREAK) break;
  }
  env->scope = outer;
  return FLOW_ON;
}

static flow exec_if(text_env *env, const text_node *node) {
  for (size_t i = 0; i + 1 < node->count && !env->status; i += 2) {
    if (text_truth(text_eval(env, node->items[i]))) return exec(env, node->items[i + 1]);
  }
  return node->orelse ? exec(env, node->orelse) : FLOW_ON;
}

static flow exec_with(text_env *env, const text_node *node) {
  text_scope *outer = env->scope, *inner = open_scope(env, outer);
  for (size_t i = 0; i + 1 < node->count && !env->status; i += 2) {
    text_value value = text_eval(env, node->items[i + 1]);
    env->scope = inner;
    assign(env, node->items[i], value);
    env->scope = outer;
  }
  if (env->status) return FLOW_ON;
  env->scope = inner;
  flow result = exec(env, node->body);
  env->scope = outer;
  return result;
}

// ---- macros

static void exec_macro(text_env *env, const text_node *node) {
  text_macro *macro = text_env_alloc(env, sizeof *macro);
  if (!macro) return;
  *macro = (text_macro){node, env->scope};
  text_dict_set(env, &env->scope->names, text_string(node->name.bytes, node->name.size),
                (text_value){TEXT_MACRO, {.macro = macro}});
}

static bool is_parameter(const text_node *node, text_view name) {
  for (size_t i = 0; i < node->count; i++) {
    if (node->items[i]->name.size == name.size && !memcmp(node->items[i]->name.bytes, name.bytes, name.size))
      return true;
  }
  return false;
}

static void check_arguments(text_env *env, const text_node *node, text_args args) {
  size_t positional = 0;
  for (size_t i = 0; i < args.count; i++) {
    text_view name = args.items[i].name;
    if (!name.size) positional++;
    if (name.size && !is_parameter(node, name)) {
      text_fail(env, WEIR_CODE_INVALID_DATA, "macro '%.*s' has no parameter '%.*s'", (int)node->name.size,
                node->name.bytes, (int)(name.size < 60 ? name.size : 60), name.bytes);
    }
  }
  if (positional > node->count)
    text_fail(env, WEIR_CODE_INVALID_DATA, "macro '%.*s' has %zu parameters", (int)node->name.size, node->name.bytes,
              node->count);
}

static const text_value *given(text_args args, size_t index, text_view name) {
  for (size_t i = 0; i < args.count; i++) {
    text_view own = args.items[i].name;
    if (own.size ? own.size == name.size && !memcmp(own.bytes, name.bytes, name.size) : i == index)
      return &args.items[i].value;
  }
  return NULL;
}

text_value text_call_macro(text_env *env, const text_macro *macro, text_args args) {
  const text_node *node = macro->node;
  check_arguments(env, node, args);
  text_scope *caller = env->scope, *inner = open_scope(env, macro->scope);
  for (size_t i = 0; i < node->count && !env->status; i++) {
    const text_node *parameter = node->items[i];
    const text_value *value = given(args, i, parameter->name);
    env->scope = inner;  // a default may use the parameters before it
    text_value use = value ? *value : parameter->a ? text_eval(env, parameter->a) : text_undefined(parameter->name);
    text_dict_set(env, &inner->names, text_string(parameter->name.bytes, parameter->name.size), use);
  }
  env->scope = caller;
  return env->status ? text_none() : capture(env, node->body, inner);
}

// ---- statements

static flow exec_block(text_env *env, const text_node *node) {
  for (size_t i = 0; i < node->count && !env->status; i++) {
    flow result = exec(env, node->items[i]);
    if (result != FLOW_ON) return result;
  }
  return FLOW_ON;
}

static void exec_filter_block(text_env *env, const text_node *node) {
  text_scope *inner = open_scope(env, env->scope);
  if (!inner) return;
  text_value text = apply_filters(env, node->b, capture(env, node->body, inner));
  if (!env->status) text_print(env, text, env->out);
}

static flow exec_inner(text_env *env, const text_node *node) {
  text_value value;
  switch (node->kind) {
    case TEXT_NODE_DATA:
      text_env_put(env, env->out, node->value.text.bytes, node->value.text.size);
      return FLOW_ON;
    case TEXT_NODE_PRINT:
      value = text_eval(env, node->a);
      if (!env->status) text_print(env, value, env->out);
      return FLOW_ON;
    case TEXT_NODE_BLOCK:
      return exec_block(env, node);
    case TEXT_NODE_IF:
      return exec_if(env, node);
    case TEXT_NODE_FOR:
      return exec_for(env, node);
    case TEXT_NODE_SET:
    case TEXT_NODE_SET_BLOCK:
      exec_set(env, node);
      return FLOW_ON;
    case TEXT_NODE_FILTER_BLOCK:
      exec_filter_block(env, node);
      return FLOW_ON;
    case TEXT_NODE_WITH:
      return exec_with(env, node);
    case TEXT_NODE_MACRO:
      exec_macro(env, node);
      return FLOW_ON;
    case TEXT_NODE_BREAK:
      return FLOW_BREAK;
    case TEXT_NODE_CONTINUE:
      return FLOW_CONTINUE;
    default:
      text_fail(env, WEIR_CODE_INTERNAL, "an expression where a statement belongs");
      return FLOW_ON;
  }
}

static flow exec(text_env *env, const text_node *node) {
  if (!text_charge(env, 1)) return FLOW_ON;
  if (env->depth >= NESTING) {
    text_fail(env, WEIR_CODE_OUT_OF_RANGE, "statements are nested too deeply");
    return FLOW_ON;
  }
  env->line = node->line;
  env->depth++;
  flow result = exec_inner(env, node);
  env->depth--;
  return result;
}

void text_exec_template(text_env *env, const text_node *root) { exec(env, root); }
