// Words for a syntax error, and the missing ';'.
//
// The parser says which token it got and which it could take. Tokens that may stand for the same thing are said as one
// ("a name", "an expression", "an operator"). When a ';' could stand and the token begins a new line, or closes the
// body, the ';' is what is missing: the pass is given up and the file read again with it.
#include "compiler/lang/syntax.h"

#include <string.h>

#include "compiler/lang/service.h"

#define MOST_SAID 6

static bool is_one_of(const char *word, const char *const *words) {
  for (; *words; words++)
    if (strcmp(word, *words) == 0) return true;
  return false;
}

const char *const lang_declaration_words[] = {"use",  "block", "model", "entry",  "step",    "over", "rule",
                                              "bind", "plan",  "train", "search", "cluster", NULL};
const char *const lang_reserved_words[] = {"let",   "dim",  "fn",   "param", "state", "for",  "in",
                                           "if",    "else", "scan", "carry", "while", "cond", "return",
                                           "where", "as",   "and",  "or",    "not",   NULL};
static const char *const operators[] = {"'+'", "'-'", "'*'", "'/'", "'%'", "'<'", "'>'", "<=", ">=",  "==",
                                        "!=",  "and", "or",  "as",  "'.'", "'['", "'('", "..", "..=", NULL};
static const char *const beginnings[] = {"a number", "a string", "'('", "'['", "'-'", "not", NULL};

static bool has(const char *const *words, int count, const char *word) {
  for (int i = 0; i < count; i++)
    if (strcmp(words[i], word) == 0) return true;
  return false;
}

// A token's name as it is said: signs and words in quotes, classes ("a name") bare.
static const char *say(weir_arena *arena, const char *name) {
  if (name[0] == '\'' || strchr(name, ' ')) return name;
  return weir_arena_printf(arena, "'%s'", name);
}

// What could stand, grouped, at most MOST_SAID of them; null when there is too much to say.
static const char *say_expected(weir_arena *arena, const char *const *expected, int count) {
  const char *said[MOST_SAID];
  int n = 0;
  bool name = has(expected, count, "a name");
  bool declaration = !name && has(expected, count, "block"), statement = name && has(expected, count, "return");
  bool expression = name && !statement && has(expected, count, "a number");
  bool operator= !expression && has(expected, count, "'+'") && has(expected, count, "'*'");
  if (declaration) said[n++] = "a declaration";
  else if (statement) said[n++] = "a statement";
  else if (expression) said[n++] = "an expression";
  else if (name) said[n++] = "a name";
  if (operator) said[n++] = "an operator";
  for (int i = 0; i < count; i++) {
    const char *word = expected[i];
    if ((name || declaration) && (strcmp(word, "a name") == 0 || is_one_of(word, lang_declaration_words))) continue;
    if ((declaration || statement) && is_one_of(word, lang_reserved_words)) continue;
    if ((statement || expression) && is_one_of(word, beginnings)) continue;
    if (operator&& is_one_of(word, operators)) continue;
    if (n == MOST_SAID) return NULL;
    said[n++] = say(arena, word);
  }
  if (n == 0) return NULL;
  const char *text = said[0];
  for (int i = 1; i < n; i++) text = weir_arena_printf(arena, "%s%s%s", text, i + 1 < n ? ", " : " or ", said[i]);
  return text;
}

// The text of the token itself, cut when it is long.
static const char *say_token(lang_reader *reader, const char *token, lang_span span) {
  if (!token || strcmp(token, "end of file") == 0) return "end of the file";
  int length = (int)(span.end - span.begin);
  if (token[0] == 'a' && token[1] == ' ' && length > 40)
    return weir_arena_printf(reader->arena, "%s", strcmp(token, "a string") == 0 ? "this string" : "this word");
  return weir_arena_printf(reader->arena, "'%.*s'", length, reader->source->text + span.begin);
}

static bool semicolon_helps(const lang_reader *reader, const char *token, lang_span span) {
  if (!reader->can_insert || reader->insert_count == LANG_MAX_INSERTS || !reader->before.end) return false;
  if (reader->insert_next < reader->insert_count) return false;
  bool at_end = !token || strcmp(token, "end of file") == 0 || strcmp(token, "'}'") == 0;
  return at_end || span.first_line > reader->before.last_line;
}

// A reserved word where a name is wanted, or before a sign that follows a name.
static void reserved_note(lang_reader *reader, lang_diag *diag, const char *token) {
  static const char *const followers[] = {"'='", "':'", "'.'", NULL};
  if (!token) return;
  if (is_one_of(token, followers)) {
    lang_span at = reader->before;
    token = weir_arena_strndup(reader->arena, reader->source->text + at.begin, at.end - at.begin);
  }
  if (is_one_of(token, lang_reserved_words))
    lang_diag_note(&reader->diags, diag, (lang_span){0}, "'%s' is reserved: it cannot be a name", token);
}

// A body where the parameters of a block or a model go.
static void parameters_note(lang_reader *reader, lang_diag *diag) {
  if (!reader->parameters.file) return;
  lang_diag_note(&reader->diags, diag, reader->parameters,
                 "these braces hold the parameters and stay when there are none: `model C {} { ... }`, `block B {} "
                 "(...) { ... }`");
  reader->parameters = (lang_span){0};
}

void lang_syntax_error(lang_reader *reader, const char *token, lang_span span, const char *const *expected, int count) {
  bool cut = reader->length < reader->source->length && token && strcmp(token, "end of file") == 0;
  if (cut || reader->stopped || (token && strcmp(token, "a bad token") == 0)) return;
  if (has(expected, count, "';'") && semicolon_helps(reader, token, span)) {
    reader->inserts[reader->insert_count++] = reader->before.end;
    reader->stopped = reader->restart = true;
    return;
  }
  const char *wanted = say_expected(reader->arena, expected, count);
  const char *message = weir_arena_printf(reader->arena, "unexpected %s%s%s", say_token(reader, token, span),
                                          wanted ? "; expected " : "", wanted ? wanted : "");
  lang_diag *diag = lang_diag_add(&reader->diags, LANG_W_SYNTAX, span, message);
  if (reader->unclosed.file) lang_diag_note(&reader->diags, diag, reader->unclosed, "this bracket is not closed");
  parameters_note(reader, diag);
  if (has(expected, count, "a name")) reserved_note(reader, diag, token);
}
