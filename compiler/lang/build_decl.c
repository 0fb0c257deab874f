// Builders of types, signatures and declarations that stand at file level and in bodies alike.
#include <string.h>

#include "compiler/lang/build.h"

static lang_type *type_make(lang_reader *reader, lang_type_kind kind, lang_span span) {
  lang_type *type = WEIR_NEW(reader->arena, lang_type);
  type->kind = kind;
  type->span = span;
  type->name.text = "";
  return type;
}

lang_type *lang_build_type_name(lang_reader *reader, lang_span span, lang_name name) {
  lang_type *type = type_make(reader, LANG_TYPE_NAMED, span);
  type->name = name;
  return type;
}

lang_type *lang_build_type_tensor(lang_reader *reader, lang_span span, lang_name name, lang_subs subs) {
  lang_build_check_dims(reader, &subs);
  lang_type *type = type_make(reader, LANG_TYPE_TENSOR, span);
  type->name = name;
  type->subs = subs;
  return type;
}

lang_type *lang_build_type_list(lang_reader *reader, lang_span span, lang_type *element) {
  lang_type *type = type_make(reader, LANG_TYPE_LIST, span);
  type->element = element;
  return type;
}

lang_result *lang_build_result_none(lang_reader *reader) { return WEIR_NEW(reader->arena, lang_result); }

lang_result *lang_build_result_type(lang_reader *reader, lang_type *type, lang_expr *range) {
  lang_result *result = WEIR_NEW(reader->arena, lang_result);
  *result = (lang_result){.kind = LANG_RESULT_TYPE, .type = type, .range = range};
  return result;
}

lang_result *lang_build_result_named(lang_reader *reader, lang_params params) {
  lang_result *result = WEIR_NEW(reader->arena, lang_result);
  *result = (lang_result){.kind = LANG_RESULT_NAMED, .params = params};
  return result;
}

lang_signature *lang_build_signature(lang_reader *reader, lang_span span, lang_params params,
                                     const lang_result *result) {
  lang_signature *signature = WEIR_NEW(reader->arena, lang_signature);
  *signature = (lang_signature){.params = params,
                                .result = result->kind,
                                .type = result->type,
                                .range = result->range,
                                .results = result->params,
                                .span = span};
  return signature;
}

lang_dim *lang_build_dim(lang_reader *reader, lang_names names, lang_name role, lang_expr *range, lang_expr *value,
                         lang_exprs wheres) {
  lang_dim *dim = WEIR_NEW(reader->arena, lang_dim);
  *dim = (lang_dim){names, role, range, value, wheres};
  return dim;
}

lang_fn *lang_build_fn(lang_reader *reader, lang_fn_kind kind, lang_name name, const lang_signature *signature,
                       lang_exprs wheres, lang_body body) {
  lang_fn *fn = WEIR_NEW(reader->arena, lang_fn);
  *fn = (lang_fn){kind, name, *signature, wheres, body};
  return fn;
}

// Collects parts; the dotted text is made anew for each length, which paths of a few parts can afford. A path of
// hundreds is nesting.
lang_path lang_build_path(lang_reader *reader, const lang_path *head, lang_name name) {
  lang_path path = {name.text, {0}, name.span};
  if (head) {
    path = *head;
    path.span = lang_span_join(head->span, name.span);
    if (head->parts.count >= LANG_MAX_NESTING) lang_reader_too_deep(reader, name.span);
    else path.text = weir_arena_printf(reader->arena, "%s.%s", head->text, name.text);
  }
  LANG_PUSH(reader->arena, &path.parts, name);
  return path;
}
