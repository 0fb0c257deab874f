/* weir.y: the whole language, LALR(1), no conflict. An action is one call of a builder (build.h); everything lives in
   the arena, so nothing needs a destructor. Forms that need more than one token of look-ahead are parsed as the wider
   form and narrowed by their builder; each such place is marked NARROW. After an error the parser goes on behind the
   next ';' or '}' of the same body. */
%define api.pure full
%define api.prefix {lang_yy}
%define api.token.prefix {TOK_}
%define api.location.type {lang_span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param { lang_reader *reader }
%initial-action { @$ = (lang_span){reader->source->id, 1, 1, 1, 1, 0, 0}; }
%code requires {
#include "compiler/lang/build.h"
#include "compiler/lang/reader.h"
}
%code {
#include "compiler/lang/syntax.h"

// An empty rule stands directly behind what precedes it.
#define YYLLOC_DEFAULT(out, rhs, count) \
  ((out) = (count) ? lang_span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, count)) : lang_span_behind(YYRHSLOC(rhs, 0)))
int lang_yylex(LANG_YYSTYPE *value, LANG_YYLTYPE *span, lang_reader *reader);
static void lang_yyerror(LANG_YYLTYPE *span, lang_reader *reader, const char *message);
}
%union {
  int depth;
  lang_name name;
  lang_names names;
  lang_path path;
  lang_paths paths;
  lang_number number;
  lang_text string;
  lang_expr *expr;
  lang_exprs exprs;
  lang_compare_op compare_op;
  lang_sub sub;
  lang_subs subs;
  lang_arg arg;
  lang_args args;
  lang_type *type;
  lang_param param;
  lang_params params;
  lang_result *result;
  lang_signature *signature;
  lang_let let;
  lang_dim *dim;
  lang_fn *fn;
  lang_body body;
  lang_stmt *stmt;
  lang_stmts stmts;
  lang_item *item;
  lang_atom atom;
  lang_segment segment;
  lang_pattern pattern;
  lang_patterns patterns;
  lang_bind_lines lines;
  lang_settings settings;
  lang_setting *setting;
  lang_section section;
}
%token LET "let" DIM "dim" <name> FN "fn" PARAM "param" STATE "state" FOR "for" IN "in" IF "if" ELSE "else"
%token SCAN "scan" CARRY "carry" WHILE "while" COND "cond" RETURN "return" WHERE "where" AS "as"
%token AND "and" OR "or" NOT "not"
%token <name> USE "use" BLOCK "block" MODEL "model" ENTRY "entry" STEP "step" OVER "over" RULE "rule"
%token <name> BIND "bind" PLAN "plan" TRAIN "train" SEARCH "search" CLUSTER "cluster"
%token <name> NAME "a name"
%token <number> NUMBER "a number"
%token <string> STRING "a string"
%token BAD "a bad token"
%token ARROW "->" FATARROW "=>" ELLIPSIS "..." DOTDOTEQ "..=" DOTDOT ".." LE "<=" GE ">=" EQ "==" NE "!="
%token <depth> '{'
%type <name> name role_opt
%type <names> names carry_opt
%type <path> path
%type <paths> paths
%type <expr> expr conj neg cmp sum term unary postfix primary list range value construct domain_opt
%type <expr> dim_value_opt default_opt over_opt while_opt
%type <exprs> exprs values where_opt
%type <compare_op> relop
%type <sub> sub
%type <subs> subs sublist
%type <arg> arg
%type <args> args arglist
%type <type> type
%type <param> par
%type <params> params parens parlist pars
%type <result> result
%type <signature> signature
%type <let> let
%type <dim> dim
%type <fn> fn
%type <body> body
%type <stmt> stmt if if_chain
%type <stmts> stmts
%type <item> item
%type <atom> atom pick
%type <names> alts
%type <name> alt
%type <segment> seg
%type <pattern> pattern
%type <patterns> patterns
%type <lines> bindlines
%type <settings> settings
%type <setting> setting
%type <section> section
%start file
%%
/* ---- file level */
file: items ;
items: %empty | items item { lang_build_item_add(reader, $2); } ;
item
  : USE path ';'                              { $$ = lang_build_use(reader, @$, &$2, NULL, @2); }
  | USE STRING ';'                            { $$ = lang_build_use(reader, @$, NULL, &$2, @2); }
  | let                                       { $$ = lang_build_item_let(reader, @$, &$1); }
  | dim                                       { $$ = lang_build_item_dim(reader, @$, $1); }
  | fn                                        { $$ = lang_build_item_fn(reader, @$, $1); }
  | BLOCK name params where_opt body          { $$ = lang_build_block(reader, @$, $2, $3, NULL, $4, $5); }
  | BLOCK name params signature where_opt body { $$ = lang_build_block(reader, @$, $2, $3, $4, $5, $6); }
  | MODEL name params where_opt body          { $$ = lang_build_model(reader, @$, $2, $3, $4, $5); }
  | RULE name parens ':' name where_opt '{' expr FATARROW expr ';' '}'
                                              { $$ = lang_build_rule(reader, @$, $2, $3, $5, $6, $8, $10); }
  | BIND name FOR name '{' bindlines '}'      { $$ = lang_build_bind(reader, @$, $2, $4, $6, lang_span_join(@5, @7)); }
  | BIND name FOR name '{' bindlines error '}' { $$ = lang_build_bind(reader, @$, $2, $4, $6, lang_span_join(@5, @8)); }
  | section '{' settings '}'                  { $$ = lang_build_section(reader, @$, $1, $3, lang_span_join(@2, @4)); }
  | section '{' settings error '}'            { $$ = lang_build_section(reader, @$, $1, $3, lang_span_join(@2, @5)); }
  | error ';'                                 { $$ = NULL; lang_reader_resume(reader, 0); yyerrok; }
  | error '}'                                 { $$ = NULL; lang_reader_resume(reader, 0); }
  ;
section
  : PLAN name FOR name                         { $$ = (lang_section){LANG_SECTION_PLAN, $2, $4, {0}, {0}}; }
  | TRAIN name FOR name                        { $$ = (lang_section){LANG_SECTION_TRAIN, $2, $4, {0}, {0}}; }
  | SEARCH name FOR name                       { $$ = (lang_section){LANG_SECTION_SEARCH, $2, $4, {0}, {0}}; }
  | CLUSTER name                              { $$ = (lang_section){.kind = LANG_SECTION_CLUSTER, .name = $2}; }
  ;

/* ---- declarations */
let: LET names '=' value ';'                  { $$ = (lang_let){$2, $4}; } ;
dim: DIM names role_opt domain_opt dim_value_opt where_opt ';' { $$ = lang_build_dim(reader, $2, $3, $4, $5, $6); } ;
role_opt: %empty { $$ = (lang_name){0}; } | ':' name { $$ = $2; } ;
domain_opt: %empty { $$ = NULL; } | IN range { $$ = $2; } ;
dim_value_opt: %empty { $$ = NULL; } | '=' expr { $$ = $2; } ;
fn: FN name signature where_opt body          { $$ = lang_build_fn(reader, LANG_FN_PLAIN, $2, $3, $4, $5); } ;
parens: '(' parlist ')'                       { $$ = $2; $$.close = @3.begin; } ;
signature: parens result                      { $$ = lang_build_signature(reader, @$, $1, $2); } ;
result
  : %empty                                    { $$ = lang_build_result_none(reader); }
  | ARROW type domain_opt                     { $$ = lang_build_result_type(reader, $2, $3); }
  | ARROW parens                              { $$ = lang_build_result_named(reader, $2); }
  ;
params: params_open parlist '}'               { $$ = $2; $$.close = @3.begin; reader->parameters = (lang_span){0}; } ;
params_open: brace                            { reader->parameters = @1; } ;
parlist: %empty { $$ = (lang_params){0}; } | pars | pars ',' ;
pars
  : par                                       { $$ = (lang_params){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | pars ',' par                              { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
par
  : name                                      { $$ = (lang_param){.name = $1, .span = @$}; }
  | name ':' type domain_opt default_opt
                  { $$ = (lang_param){.name = $1, .type = $3, .range = $4, .value = $5, .span = @$}; }
  | name '=' value                            { $$ = (lang_param){.name = $1, .value = $3, .span = @$}; }
  ;
default_opt: %empty { $$ = NULL; } | '=' value { $$ = $2; } ;
type
  : name                                      { $$ = lang_build_type_name(reader, @$, $1); }
  | FN                                        { $$ = lang_build_type_name(reader, @$, $1); }
  | name '[' subs ']'                         { $$ = lang_build_type_tensor(reader, @$, $1, $3); }
  | '[' type ']'                              { $$ = lang_build_type_list(reader, @$, $2); }
  ;
where_opt: %empty { $$ = (lang_exprs){0}; } | WHERE exprs { $$ = $2; } ;

/* ---- bodies */
body
  : '{' stmts '}'                             { $$ = (lang_body){$2, @$}; }
  | '{' stmts error '}'                       { $$ = (lang_body){$2, @$}; lang_reader_resume(reader, $1 - 1); yyerrok; }
  ;
stmts: %empty { $$ = (lang_stmts){0}; } | stmts stmt { $$ = $1; if ($2) LANG_PUSH(reader->arena, &$$, $2); } ;
stmt
  : let                                       { $$ = lang_build_let(reader, @$, &$1); }
  | dim                                       { $$ = lang_build_dim_stmt(reader, @$, $1); }
  | fn                                        { $$ = lang_build_fn_stmt(reader, @$, $1); }
  | PARAM paths ':' type default_opt ';'      { $$ = lang_build_param(reader, @$, $2, $4, $5); }
  | STATE paths ':' type over_opt default_opt ';' { $$ = lang_build_state(reader, @$, $2, $4, $5, $6); }
  | ENTRY name signature where_opt body
                  { $$ = lang_build_fn_stmt(reader, @$, lang_build_fn(reader, LANG_FN_ENTRY, $2, $3, $4, $5)); }
  | STEP name signature where_opt body
                  { $$ = lang_build_fn_stmt(reader, @$, lang_build_fn(reader, LANG_FN_STEP, $2, $3, $4, $5)); }
  | exprs ':' value ';'                       { $$ = lang_build_member(reader, @$, &$1, $3); }    /* NARROW: paths */
  | exprs '=' values ';'                      { $$ = lang_build_assign(reader, @$, &$1, $3); }    /* NARROW: targets */
  | expr ';'                                  { $$ = lang_build_call_stmt(reader, @$, $1); }      /* NARROW: a call */
  | RETURN values ';'                         { $$ = lang_build_return(reader, @$, $2); }
  | FOR names IN range body                   { $$ = lang_build_for(reader, @$, $2, $4, $5); }
  | if
  | SCAN name IN range carry_opt while_opt body { $$ = lang_build_scan(reader, @$, $2, $4, $5, $6, $7); }
  | COND expr body ELSE body                  { $$ = lang_build_cond(reader, @$, $2, $3, $5); }
  | error ';'                                 { $$ = NULL; lang_reader_resume(reader, $<depth>-1); yyerrok; }
  ;
over_opt: %empty { $$ = NULL; } | OVER expr { $$ = $2; } ;
if
  : if_chain
  | if_chain ELSE body                        { $$ = lang_build_else(reader, @$, $1, $3); }
  ;
if_chain
  : IF expr body                              { $$ = lang_build_if(reader, @$, $2, $3); }
  | if_chain ELSE IF expr body                { $$ = lang_build_else_if(reader, @$, $1, $4, $5); }
  ;
carry_opt: %empty { $$ = (lang_names){0}; } | CARRY names { $$ = $2; } ;
while_opt: %empty { $$ = NULL; } | WHILE expr { $$ = $2; } ;

/* ---- values: construction is not an expression */
values
  : value                                     { $$ = (lang_exprs){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | values ',' value                          { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
value: range | construct ;
construct
  : name brace arglist '}'                    { $$ = lang_build_construct(reader, @$, $1, &$3); }
  | construct '[' expr ']'                    { $$ = lang_build_construct_count(reader, @$, $1, $3); }
  ;
brace: '{'                                    { lang_reader_brace_inline(reader); } ;
range
  : expr
  | expr DOTDOT expr                          { $$ = lang_build_range(reader, @$, $1, $3, false); }
  | expr DOTDOTEQ expr                        { $$ = lang_build_range(reader, @$, $1, $3, true); }
  ;

/* ---- expressions */
exprs
  : expr                                      { $$ = (lang_exprs){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | exprs ',' expr                            { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
expr: conj | expr OR conj                     { $$ = lang_build_binary(reader, @$, @2, LANG_OP_OR, $1, $3); } ;
conj: neg | conj AND neg                      { $$ = lang_build_binary(reader, @$, @2, LANG_OP_AND, $1, $3); } ;
neg: cmp | NOT neg                            { $$ = lang_build_unary(reader, @$, @1, LANG_OP_NOT, $2); } ;
cmp: sum | cmp relop sum                      { $$ = lang_build_compare(reader, @$, @2, $2, $1, $3); } ;
relop
  : '<' { $$ = LANG_OP_LT; } | '>' { $$ = LANG_OP_GT; } | LE { $$ = LANG_OP_LE; }
  | GE { $$ = LANG_OP_GE; } | EQ { $$ = LANG_OP_EQ; } | NE { $$ = LANG_OP_NE; }
  ;
sum
  : term
  | sum '+' term                              { $$ = lang_build_binary(reader, @$, @2, LANG_OP_ADD, $1, $3); }
  | sum '-' term                              { $$ = lang_build_binary(reader, @$, @2, LANG_OP_SUB, $1, $3); }
  ;
term
  : unary
  | term '*' unary                            { $$ = lang_build_binary(reader, @$, @2, LANG_OP_MUL, $1, $3); }
  | term '/' unary                            { $$ = lang_build_binary(reader, @$, @2, LANG_OP_DIV, $1, $3); }
  | term '%' unary                            { $$ = lang_build_binary(reader, @$, @2, LANG_OP_MOD, $1, $3); }
  ;
unary: postfix | '-' unary                    { $$ = lang_build_unary(reader, @$, @1, LANG_OP_NEG, $2); } ;
postfix
  : primary
  | postfix '.' name                          { $$ = lang_build_field(reader, @$, $1, $3); }
  | postfix '[' subs ']'                      { $$ = lang_build_index(reader, @$, $1, &$3); }
  | postfix '(' arglist ')'                   { $$ = lang_build_call(reader, @$, $1, &$3); }
  | postfix '(' args ':' expr where_opt ')'   /* NARROW: binders */
                                                { $$ = lang_build_reduce(reader, @$, $1, &$3, $5, &$6); }
  | postfix AS '[' subs ']'                   { $$ = lang_build_reshape(reader, @$, @2, $1, &$4); }
  ;
primary
  : name                                      { $$ = lang_build_name(reader, $1); }
  | NUMBER                                    { $$ = lang_build_number(reader, @$, $1); }
  | STRING                                    { $$ = lang_build_string(reader, @$, $1); }
  | '(' expr ')'                              { $$ = lang_build_parens($2); }
  | list
  ;
list
  : '[' ']'                                   { $$ = lang_build_list(reader, @$, NULL); }
  | '[' values ']'                            { $$ = lang_build_list(reader, @$, &$2); }
  | '[' values ',' ']'                        { $$ = lang_build_list(reader, @$, &$2); }
  | '[' FOR names IN range ':' value ']'      { $$ = lang_build_comprehension(reader, @$, $3, $5, $7); }
  ;
arglist: %empty { $$ = (lang_args){0}; } | args | args ',' ;
args
  : arg                                       { $$ = (lang_args){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | args ',' arg                              { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
arg
  : value                                     { $$ = (lang_arg){.kind = LANG_ARG_POSITIONAL, .value = $1, .span = @$}; }
  | name '=' value                            { $$ = (lang_arg){LANG_ARG_NAMED, @$, $1, $3}; }
  | name IN range                             { $$ = (lang_arg){LANG_ARG_BINDER, @$, $1, $3}; }
  ;
subs: %empty { $$ = (lang_subs){0}; } | sublist ;
sublist
  : sub                                       { $$ = (lang_subs){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | sublist ',' sub                           { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
sub
  : range                                     { $$ = lang_build_sub(@$, $1); }
  | name IN range                             { $$ = (lang_sub){LANG_SUB_BINDER, @$, $1, $3, NULL, false}; }
  | expr DOTDOT                               { $$ = (lang_sub){.kind = LANG_SUB_SLICE, .low = $1, .span = @$}; }
  | DOTDOT expr                               { $$ = (lang_sub){.kind = LANG_SUB_SLICE, .high = $2, .span = @$}; }
  | DOTDOT                                    { $$ = (lang_sub){.kind = LANG_SUB_SLICE, .span = @$}; }
  | ELLIPSIS                                  { $$ = (lang_sub){.kind = LANG_SUB_ELLIPSIS, .span = @$}; }
  ;

/* ---- bind, and plan / train / search / cluster */
bindlines
  : %empty                                    { $$ = (lang_bind_lines){0}; }
  | bindlines patterns ':' values ';'
                  { $$ = $1; lang_build_bind_line(reader, &$$, lang_span_join(@2, @5), $2, $4); }
  | bindlines error ';'                       { $$ = $1; lang_reader_resume(reader, $<depth>0); yyerrok; }
  ;
settings
  : %empty                                    { $$ = (lang_settings){0}; }
  | settings setting                          { $$ = $1; if ($2) LANG_PUSH(reader->arena, &$$, *$2); }
  ;
setting
  : name '=' values ';'                       { $$ = lang_build_setting(reader, LANG_SETTING_SET, @$, $1, NULL, $3); }
  | name patterns ':' values ';'              { $$ = lang_build_setting(reader, LANG_SETTING_SELECT, @$, $1, &$2, $4); }
  | WHERE exprs ';'
                  { $$ = lang_build_setting(reader, LANG_SETTING_WHERE, @$, (lang_name){0}, NULL, $2); }
  | error ';'                                 { $$ = NULL; lang_reader_resume(reader, $<depth>-1); yyerrok; }
  ;
patterns
  : pattern                                   { $$ = (lang_patterns){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | patterns ',' pattern                      { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
pattern
  : seg                             { $$ = (lang_pattern){.span = @$}; LANG_PUSH(reader->arena, &$$.segments, $1); }
  | pattern '.' seg                           { $$ = $1; $$.span = @$; LANG_PUSH(reader->arena, &$$.segments, $3); }
  ;
seg
  : atom                            { $$ = (lang_segment){.span = @$}; LANG_PUSH(reader->arena, &$$.atoms, $1); }
  | seg atom                                  { $$ = $1; lang_build_atom_add(reader, &$$, &$2); } /* NARROW: touch */
  ;
atom
  : name                                      { $$ = (lang_atom){.kind = LANG_ATOM_NAME, .name = $1.text, .span = @$}; }
  | '*'                                       { $$ = (lang_atom){.kind = LANG_ATOM_STAR, .span = @$}; }
  | brace alts '}'                            { $$ = lang_build_alternatives(@$, $2); }
  | '[' pick ']'                              { $$ = $2; $$.span = @$; }
  ;
alts
  : alt                                       { $$ = (lang_names){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | alts ',' alt                              { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
alt: name | NUMBER                            { $$ = lang_build_digits(reader, @$, &$1); } ;
pick
  : '*'                                       { $$ = (lang_atom){.kind = LANG_ATOM_ANY}; }
  | name                                      { $$ = (lang_atom){.kind = LANG_ATOM_CAPTURE, .name = $1.text}; }
  | NUMBER                                    { $$ = lang_build_pick(reader, @1, &$1, @1, NULL); }
  | NUMBER DOTDOT NUMBER                      { $$ = lang_build_pick(reader, @1, &$1, @3, &$3); }
  ;

/* ---- names: words that only begin declarations stay free */
names
  : name                                      { $$ = (lang_names){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | names ',' name                            { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
path
  : name                                      { $$ = lang_build_path(reader, NULL, $1); }
  | path '.' name                             { $$ = lang_build_path(reader, &$1, $3); }
  ;
paths
  : path                                      { $$ = (lang_paths){0}; LANG_PUSH(reader->arena, &$$, $1); }
  | paths ',' path                            { $$ = $1; LANG_PUSH(reader->arena, &$$, $3); }
  ;
name: NAME | USE | BLOCK | MODEL | ENTRY | STEP | OVER | RULE | BIND | PLAN | TRAIN | SEARCH | CLUSTER ;
%%
// Called when the parser's own stack is at its limit: thousands of signs in a row that nothing has closed.
static void lang_yyerror(LANG_YYLTYPE *span, lang_reader *reader, const char *message) {
  (void)message;
  lang_reader_too_deep(reader, *span);
}

// Beyond the cap errors are only counted: finding out what was expected costs a trial of every token.
static int yyreport_syntax_error(const yypcontext_t *context, lang_reader *reader) {
  yysymbol_kind_t kinds[YYNTOKENS];
  const char *expected[YYNTOKENS];
  bool said = reader->diags.error_count < LANG_MAX_ERRORS;
  int count = said ? yypcontext_expected_tokens(context, kinds, YYNTOKENS) : 0;
  if (count < 0) count = 0;
  for (int i = 0; i < count; i++) expected[i] = yysymbol_name(kinds[i]);
  yysymbol_kind_t token = yypcontext_token(context);
  const char *name = token == YYSYMBOL_YYEMPTY ? NULL : yysymbol_name(token);
  lang_syntax_error(reader, name, *yypcontext_location(context), expected, count);
  return 0;
}
