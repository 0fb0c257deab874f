// Dims as text.
//
//   sum  = ["-"] product {("+" | "-") product}      a leading minus covers the whole product
//   product = atom {("*" | "/" | "%") atom}         from left to right
//   atom = integer | name | "(" sum ")"
//
// The printer writes terms in normal order: "2*T + 1", "(T + 1)/2", "3*((T + 1)/2)*D".
#include <ctype.h>
#include <string.h>

#include "ir/dim_internal.h"
#include "ir/text_buffer.h"
#include "runtime/base/checked.h"

enum { MAX_NESTING = 48, MAX_NAME = 255 };

static void print_sum(ir_text *text, ir_dim dim);

static void print_name(ir_text *text, const char *name) {
  if (ir_text_is_name(name)) {
    ir_text_puts(text, name);
  } else {
    ir_text_quoted(text, name);
  }
}

// In parentheses unless it is a number or a symbol.
static void print_operand(ir_text *text, ir_dim dim) {
  int64_t value;
  bool bare = ir_dim_as_symbol(dim) || (ir_dim_is_const(dim, &value) && value >= 0);
  if (!bare) ir_text_puts(text, "(");
  print_sum(text, dim);
  if (!bare) ir_text_puts(text, ")");
}

static void print_atom(ir_text *text, const ir_dim_atom *atom, bool alone) {
  if (atom->kind == IR_ATOM_SYMBOL) {
    print_name(text, atom->symbol->name);
    return;
  }
  if (!alone) ir_text_puts(text, "(");
  print_operand(text, atom->a);
  ir_text_puts(text, atom->kind == IR_ATOM_DIV ? "/" : "%");
  print_operand(text, atom->b);
  if (!alone) ir_text_puts(text, ")");
}

static void print_term(ir_text *text, const ir_dim_term *term, bool negative, uint64_t magnitude) {
  bool first = true;
  if (magnitude != 1 || term->count == 0) {
    ir_text_printf(text, "%llu", (unsigned long long)magnitude);
    first = false;
  }
  bool alone = first && !negative && term->count == 1 && term->factors[0].power == 1;
  for (int i = 0; i < term->count; i++) {
    for (int k = 0; k < term->factors[i].power; k++) {
      if (!first) ir_text_puts(text, "*");
      print_atom(text, term->factors[i].atom, alone);
      first = false;
    }
  }
}

static void print_sum(ir_text *text, ir_dim dim) {
  if (dim->count == 0) ir_text_puts(text, "0");
  for (int i = 0; i < dim->count; i++) {
    const ir_dim_term *term = &dim->terms[i];
    bool negative = term->coefficient < 0;
    if (i == 0) {
      ir_text_puts(text, negative ? "-" : "");
    } else {
      ir_text_puts(text, negative ? " - " : " + ");
    }
    print_term(text, term, negative, negative ? -(uint64_t)term->coefficient : (uint64_t)term->coefficient);
  }
}

const char *ir_dim_print(weir_arena *arena, ir_dim dim) {
  ir_text text;
  ir_text_init(&text, arena);
  print_sum(&text, dim);
  return text.data;
}

// ---- parser

typedef struct {
  ir_dim_table *table;
  const char *at;
  bool create;
  int depth;
} parser;

static ir_dim parse_sum(parser *p);

static void skip_space(parser *p) {
  while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') p->at++;
}

static bool accept(parser *p, char c) {
  skip_space(p);
  if (*p->at != c) return false;
  p->at++;
  return true;
}

// A number up to 2^63; the magnitude of the smallest integer is made by the caller's minus sign.
static ir_dim parse_number(parser *p, bool negative) {
  int64_t value = 0;
  while (isdigit((unsigned char)*p->at)) {
    int digit = *p->at++ - '0';
    if (!weir_mul_i64(value, 10, &value) || !weir_add_i64(value, negative ? -digit : digit, &value)) return NULL;
  }
  return ir_dim_const(p->table, value);
}

static bool is_name_byte(const char *at) {
  return isalnum((unsigned char)*at) || *at == '_' || (*at == '.' && (isalnum((unsigned char)at[1]) || at[1] == '_'));
}

// A plain or quoted name into |name|; false on a malformed one.
static bool parse_name(parser *p, char *name) {
  size_t length = 0;
  bool quoted = *p->at == '"';
  if (!quoted && !isalpha((unsigned char)*p->at) && *p->at != '_') return false;
  if (quoted) p->at++;
  while (quoted ? *p->at != '"' : is_name_byte(p->at)) {
    unsigned char c = (unsigned char)*p->at++;
    if (c == 0 || length == MAX_NAME) return false;
    if (quoted && c == '\\') {
      c = (unsigned char)*p->at++;
      if (c == 'n') c = '\n';
      else if (c == 'x' && isxdigit((unsigned char)p->at[0]) && isxdigit((unsigned char)p->at[1])) {
        char hex[3] = {p->at[0], p->at[1], 0};
        int high = hex[0] <= '9' ? hex[0] - '0' : (hex[0] | 32) - 'a' + 10;
        int low = hex[1] <= '9' ? hex[1] - '0' : (hex[1] | 32) - 'a' + 10;
        c = (unsigned char)(high * 16 + low);
        p->at += 2;
      } else if (c != '"' && c != '\\') {
        return false;
      }
      if (c == 0) return false;
    }
    name[length++] = (char)c;
  }
  if (quoted) p->at++;
  name[length] = 0;
  return length > 0;
}

static ir_dim parse_atom(parser *p) {
  skip_space(p);
  if (isdigit((unsigned char)*p->at)) return parse_number(p, false);
  if (*p->at == '(') {
    if (p->depth == MAX_NESTING) return NULL;
    p->at++;
    p->depth++;
    ir_dim inner = parse_sum(p);
    p->depth--;
    return inner && accept(p, ')') ? inner : NULL;
  }
  char name[MAX_NAME + 1];
  if (!parse_name(p, name)) return NULL;
  const ir_symbol *symbol = p->create ? ir_symbol_get(p->table, name) : ir_symbol_find(p->table, name);
  return symbol ? ir_dim_symbol(p->table, symbol) : NULL;
}

static ir_dim parse_product(parser *p, bool negative) {
  skip_space(p);
  ir_dim value;
  if (negative && isdigit((unsigned char)*p->at)) {
    value = parse_number(p, true);
    skip_space(p);
    negative = *p->at == '/' || *p->at == '%';
    if (negative && value) value = ir_dim_sub(p->table, ir_dim_const(p->table, 0), value);
  } else {
    value = parse_atom(p);
  }
  while (value) {
    if (accept(p, '*')) value = ir_dim_mul(p->table, value, parse_atom(p));
    else if (*p->at == '/' && p->at[1] != '/' && accept(p, '/')) value = ir_dim_div(p->table, value, parse_atom(p));
    else if (accept(p, '%')) value = ir_dim_mod(p->table, value, parse_atom(p));
    else break;
  }
  return negative && value ? ir_dim_sub(p->table, ir_dim_const(p->table, 0), value) : value;
}

static ir_dim parse_sum(parser *p) {
  ir_dim value = parse_product(p, accept(p, '-'));
  while (value) {
    if (accept(p, '+')) value = ir_dim_add(p->table, value, parse_product(p, false));
    else if (accept(p, '-')) value = ir_dim_add(p->table, value, parse_product(p, true));
    else break;
  }
  return value;
}

ir_dim ir_dim_parse(ir_dim_table *table, const char **cursor, bool create) {
  parser p = {.table = table, .at = *cursor, .create = create};
  ir_dim dim = parse_sum(&p);
  if (dim) *cursor = p.at;
  return dim;
}
