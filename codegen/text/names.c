// C identifiers of one emitted function: the kernel's own names, made legal and unique by numbers behind them.
#include <string.h>

#include "codegen/text/code.h"

enum { NUMBERS = 64 };

typedef struct {
  const char *name;       // null: free
  const cg_scope *scope;  // the name is taken until this closes; null: for good
  bool emitted;           // claimed while the text is written
  int next;               // number to try for a copy once the small ones are taken
} entry;

struct cg_names {
  entry *entries;  // open addressing
  unsigned capacity, count;
};

// Words of C, of the prelude and of the emitted frame.
static const char *const reserved[] = {
    "auto",       "break",     "case",   "char",     "const",    "continue",    "default",      "do",
    "double",     "else",      "enum",   "extern",   "float",    "for",         "goto",         "if",
    "inline",     "int",       "long",   "register", "restrict", "return",      "short",        "signed",
    "sizeof",     "static",    "struct", "switch",   "typedef",  "union",       "unsigned",     "void",
    "volatile",   "while",     "asm",    "typeof",   "bool",     "args",        "dims",         "begin",
    "end",        "scratch",   "f32",    "f64",      "i8",       "u8",          "i16",          "u16",
    "i32",        "u32",       "i64",    "u64",      "sf",       "sd",          "si",           "su",
    "sl",         "sm",        "vf",     "vd",       "vi",       "vu",          "vl",           "vm",
    "exp",        "log",       "sin",    "cos",      "tanh",     "erf",         "pow",          "floor",
    "ceil",       "rint",      "sqrt",   "fma",      "trunc",    "unix",        "linux",        "pf",
    "pi",         "pu",        "pm",     "pb",       "pc",       "ph",          "ps",           "EACH",
    "FAST",       "SLOW",      "OPAQUE", "P",        "LOOSE",    "MAP1",        "MAP2",         "MAP3",
    "LOAD",       "STORE",     "SPLAT",  "LANES",    "PIECES",   "COPIES",      "VF_REGISTERS", "LANES_PIECE",
    "floorf",     "ceilf",     "rintf",  "sqrtf",    "fmaf",     "v16qi",       "v2di",         "COMPARE",
    "REDUCTION",  "NEON",      "NEON1",  "NEON2",    "NEON3",    "MATRIX_UNIT", "MATRIX_OPEN",  "MATRIX_CLOSE",
    "matdot_f32", "matdot_i32"};

static entry *find(const struct cg_names *n, const char *name) {
  unsigned hash = 5381;
  for (const char *p = name; *p; p++) hash = hash * 33 + (unsigned char)*p;
  unsigned i = (hash ^ hash >> 15) & (n->capacity - 1);
  while (n->entries[i].name && strcmp(n->entries[i].name, name)) i = (i + 1) & (n->capacity - 1);
  return &n->entries[i];
}

static void add(cg_code *c, const char *name, const cg_scope *scope) {
  struct cg_names *n = c->names;
  if (2 * n->count >= n->capacity) {
    struct cg_names old = *n;
    n->capacity = old.capacity ? 4 * old.capacity : 512;
    n->entries = WEIR_NEW_ARRAY(c->arena, entry, n->capacity);
    for (unsigned i = 0; i < old.capacity; i++)
      if (old.entries[i].name) *find(n, old.entries[i].name) = old.entries[i];
  }
  entry *e = find(n, name);
  if (!e->name) n->count++;
  *e = (entry){name, scope, c->emitting, NUMBERS};
}

// Copies of a body use the same names again. A temporary may stand in front of a scope that is expanded already, so it
// keeps clear of all names of the expansion.
static bool is_taken(const cg_code *c, const char *name) {
  const entry *e = find(c->names, name);
  if (!e->name) return false;
  bool reusable = e->scope && e->scope->closed && e->emitted == c->emitting;
  return !reusable;
}

static char *legal(cg_code *c, const char *name) {
  char *clean = weir_arena_strdup(c->arena, name && *name ? name : "t");
  for (char *p = clean; *p; p++) {
    bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
    if (!letter) *p = '_';
  }
  if (*clean == '_' || (*clean >= '0' && *clean <= '9')) clean = weir_arena_printf(c->arena, "x%s", clean);
  return clean;
}

const char *cg_unique(cg_code *c, const char *name, cg_scope *scope) {
  if (!c->names) {
    c->names = WEIR_NEW(c->arena, struct cg_names);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) add(c, reserved[i], NULL);
    for (const char *const *word = c->target->reserved; word && *word; word++) add(c, *word, NULL);
  }
  const char *stem = legal(c, name), *result = stem;
  for (int number = 2; is_taken(c, result); number++) {
    if (number == NUMBERS) number = find(c->names, stem)->next++;
    result = weir_arena_printf(c->arena, "%s_%d", stem, number);
    if (number >= NUMBERS) number = NUMBERS - 1;
  }
  add(c, result, scope);
  return result;
}
