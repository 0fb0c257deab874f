// Private to the front end: what the parser's actions call. A builder makes one node, checks what the grammar could not
// (with a diagnostic), and sets heights and spans. Lists are taken over, not copied. Nothing returns null unless it
// says so.
#ifndef WEIR_COMPILER_LANG_BUILD_H
#define WEIR_COMPILER_LANG_BUILD_H

#include "compiler/lang/ast.h"
#include "compiler/lang/reader.h"

typedef struct {
  const char *text;
  size_t length;
} lang_text;

// What stands behind a signature's parameters.
typedef struct {
  lang_result_kind kind;
  lang_type *type;
  lang_expr *range;
  lang_params params;
} lang_result;

// Expressions (build_expr.c). |op| is the place of the operator.
lang_expr *lang_build_name(lang_reader *reader, lang_name name);
lang_expr *lang_build_number(lang_reader *reader, lang_span span, lang_number number);
lang_expr *lang_build_string(lang_reader *reader, lang_span span, lang_text text);
lang_expr *lang_build_parens(lang_expr *expr);
lang_expr *lang_build_list(lang_reader *reader, lang_span span, const lang_exprs *values);  // values or null
lang_expr *lang_build_comprehension(lang_reader *reader, lang_span span, lang_names names, lang_expr *range,
                                    lang_expr *value);
lang_expr *lang_build_unary(lang_reader *reader, lang_span span, lang_span op, lang_unary_op kind, lang_expr *operand);
lang_expr *lang_build_binary(lang_reader *reader, lang_span span, lang_span op, lang_binary_op kind, lang_expr *left,
                             lang_expr *right);
lang_expr *lang_build_compare(lang_reader *reader, lang_span span, lang_span op, lang_compare_op kind, lang_expr *left,
                              lang_expr *right);
lang_expr *lang_build_field(lang_reader *reader, lang_span span, lang_expr *base, lang_name name);
lang_expr *lang_build_index(lang_reader *reader, lang_span span, lang_expr *base, const lang_subs *subs);
lang_expr *lang_build_call(lang_reader *reader, lang_span span, lang_expr *callee, const lang_args *args);
lang_expr *lang_build_reduce(lang_reader *reader, lang_span span, lang_expr *callee, const lang_args *args,
                             lang_expr *body, const lang_exprs *guards);
lang_expr *lang_build_reshape(lang_reader *reader, lang_span span, lang_span op, lang_expr *base,
                              const lang_subs *subs);
lang_expr *lang_build_range(lang_reader *reader, lang_span span, lang_expr *low, lang_expr *high, bool inclusive);
lang_expr *lang_build_construct(lang_reader *reader, lang_span span, lang_name name, const lang_args *args);
lang_expr *lang_build_construct_count(lang_reader *reader, lang_span span, lang_expr *construct, lang_expr *count);
lang_sub lang_build_sub(lang_span span, lang_expr *range);
// Only plain dims and `...` may stand in types and reshapes.
void lang_build_check_dims(lang_reader *reader, const lang_subs *subs);

// Types and declarations (build_decl.c).
lang_type *lang_build_type_name(lang_reader *reader, lang_span span, lang_name name);
lang_type *lang_build_type_tensor(lang_reader *reader, lang_span span, lang_name name, lang_subs subs);
lang_type *lang_build_type_list(lang_reader *reader, lang_span span, lang_type *element);
lang_result *lang_build_result_none(lang_reader *reader);
lang_result *lang_build_result_type(lang_reader *reader, lang_type *type, lang_expr *range);
lang_result *lang_build_result_named(lang_reader *reader, lang_params params);
lang_signature *lang_build_signature(lang_reader *reader, lang_span span, lang_params params,
                                     const lang_result *result);
lang_dim *lang_build_dim(lang_reader *reader, lang_names names, lang_name role, lang_expr *range, lang_expr *value,
                         lang_exprs wheres);
lang_fn *lang_build_fn(lang_reader *reader, lang_fn_kind kind, lang_name name, const lang_signature *signature,
                       lang_exprs wheres, lang_body body);
lang_path lang_build_path(lang_reader *reader, const lang_path *head, lang_name name);  // head or null

// File level (build_item.c).
void lang_build_item_add(lang_reader *reader, lang_item *item);  // null adds nothing
lang_item *lang_build_use(lang_reader *reader, lang_span span, const lang_path *path, const lang_text *file,
                          lang_span what);
lang_item *lang_build_item_let(lang_reader *reader, lang_span span, const lang_let *let);
lang_item *lang_build_item_dim(lang_reader *reader, lang_span span, const lang_dim *dim);
lang_item *lang_build_item_fn(lang_reader *reader, lang_span span, const lang_fn *fn);
lang_item *lang_build_block(lang_reader *reader, lang_span span, lang_name name, lang_params params,
                            const lang_signature *signature, lang_exprs wheres, lang_body body);  // signature or null
lang_item *lang_build_model(lang_reader *reader, lang_span span, lang_name name, lang_params params, lang_exprs wheres,
                            lang_body body);
lang_item *lang_build_rule(lang_reader *reader, lang_span span, lang_name name, lang_params params, lang_name exactness,
                           lang_exprs wheres, lang_expr *left, lang_expr *right);
lang_item *lang_build_bind(lang_reader *reader, lang_span span, lang_name name, lang_name target, lang_bind_lines lines,
                           lang_span braces);
lang_item *lang_build_section(lang_reader *reader, lang_span span, lang_section section, lang_settings settings,
                              lang_span braces);
void lang_build_bind_line(lang_reader *reader, lang_bind_lines *lines, lang_span span, lang_patterns patterns,
                          lang_exprs values);
lang_setting *lang_build_setting(lang_reader *reader, lang_setting_kind kind, lang_span span, lang_name name,
                                 const lang_patterns *patterns, lang_exprs values);  // patterns or null

// Statements (build_stmt.c). Those that are narrowed are null after a diagnostic.
lang_stmt *lang_build_let(lang_reader *reader, lang_span span, const lang_let *let);
lang_stmt *lang_build_dim_stmt(lang_reader *reader, lang_span span, const lang_dim *dim);
lang_stmt *lang_build_fn_stmt(lang_reader *reader, lang_span span, const lang_fn *fn);
lang_stmt *lang_build_param(lang_reader *reader, lang_span span, lang_paths paths, lang_type *type, lang_expr *value);
lang_stmt *lang_build_state(lang_reader *reader, lang_span span, lang_paths paths, lang_type *type, lang_expr *over,
                            lang_expr *value);
lang_stmt *lang_build_member(lang_reader *reader, lang_span span, const lang_exprs *names, lang_expr *value);
lang_stmt *lang_build_assign(lang_reader *reader, lang_span span, const lang_exprs *targets, lang_exprs values);
lang_stmt *lang_build_call_stmt(lang_reader *reader, lang_span span, lang_expr *call);
lang_stmt *lang_build_return(lang_reader *reader, lang_span span, lang_exprs values);
lang_stmt *lang_build_for(lang_reader *reader, lang_span span, lang_names names, lang_expr *range, lang_body body);
lang_stmt *lang_build_if(lang_reader *reader, lang_span span, lang_expr *condition, lang_body body);
lang_stmt *lang_build_else_if(lang_reader *reader, lang_span span, lang_stmt *branch, lang_expr *condition,
                              lang_body body);
lang_stmt *lang_build_else(lang_reader *reader, lang_span span, lang_stmt *branch, lang_body body);
lang_stmt *lang_build_scan(lang_reader *reader, lang_span span, lang_name name, lang_expr *range, lang_names carries,
                           lang_expr *condition, lang_body body);
lang_stmt *lang_build_cond(lang_reader *reader, lang_span span, lang_expr *condition, lang_body body,
                           lang_body otherwise);

// Patterns (build_pattern.c).
void lang_build_atom_add(lang_reader *reader, lang_segment *segment, const lang_atom *atom);
void lang_build_check_patterns(lang_reader *reader, const lang_patterns *patterns);
lang_atom lang_build_alternatives(lang_span span, lang_names names);
lang_name lang_build_digits(lang_reader *reader, lang_span span, const lang_number *number);
lang_atom lang_build_pick(lang_reader *reader, lang_span low_span, const lang_number *low, lang_span high_span,
                          const lang_number *high);  // high or null

#endif
