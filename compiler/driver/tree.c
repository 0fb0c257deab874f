#include "compiler/driver/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ir/text_buffer.h"

enum { LONGEST_NAME = 48 };

tree *tree_create(weir_arena *arena) {
  tree *t = WEIR_NEW(arena, tree);
  t->name = t->last = "";
  t->repeat = 1;
  return t;
}

static tree *child_of(weir_arena *arena, tree *t, const char *name, size_t length) {
  // Paths come in the order of declaration: the child is mostly the last one.
  for (int i = t->child_count - 1; i >= 0; i--) {
    if (strlen(t->children[i]->name) == length && !strncmp(t->children[i]->name, name, length)) return t->children[i];
  }
  tree *child = tree_create(arena);
  child->name = child->last = weir_arena_strndup(arena, name, length);
  WEIR_PUSH(arena, t->children, t->child_count, t->child_capacity, child);
  return child;
}

void tree_add(weir_arena *arena, tree *root, const char *path, const char *about, int64_t amount) {
  tree *at = root;
  while (*path) {
    size_t length = strcspn(path, ".");
    at = child_of(arena, at, path, length);
    path += length + (path[length] == '.');
  }
  at->about = about;
  at->amount = amount;
}

static bool alike(const tree *a, const tree *b) {
  if (a->amount != b->amount || a->child_count != b->child_count || a->repeat != b->repeat) return false;
  if ((a->about == NULL) != (b->about == NULL) || (a->about && strcmp(a->about, b->about))) return false;
  for (int i = 0; i < a->child_count; i++) {
    if (strcmp(a->children[i]->name, b->children[i]->name) || !alike(a->children[i], b->children[i])) return false;
  }
  return true;
}

static bool is_number(const char *name) { return *name && strspn(name, "0123456789") == strlen(name); }

void tree_fold(weir_arena *arena, tree *root) {
  int kept = 0;
  tree *first = NULL;
  int64_t one = 0;  // the amount of the first of a run
  for (int i = 0; i < root->child_count; i++) {
    tree *child = root->children[i];
    tree_fold(arena, child);
    root->amount += child->amount;
    if (first && is_number(child->name) && child->amount == one) {
      tree whole = *first;
      whole.amount = one;
      whole.repeat = 1;
      if (alike(&whole, child)) {
        first->repeat++;
        first->last = child->name;
        first->amount += child->amount;
        continue;
      }
    }
    first = is_number(child->name) ? child : NULL;
    one = child->amount;
    root->children[kept++] = child;
  }
  root->child_count = kept;
}

const char *tree_number(weir_arena *arena, int64_t number) {
  char digits[32];
  int length = snprintf(digits, sizeof digits, "%" PRId64, number);
  ir_text text;
  ir_text_init(&text, arena);
  for (int i = 0; i < length; i++)
    ir_text_printf(&text, "%c%s", digits[i],
                   i + 1 < length && (length - i - 1) % 3 == 0 && digits[i] != '-' ? "," : "");
  return text.data;
}

static const char *name_of(weir_arena *arena, const tree *t) {
  return t->repeat > 1 ? weir_arena_printf(arena, "%s..=%s", t->name, t->last) : t->name;
}

static void print(weir_arena *arena, ir_text *out, const tree *t, int depth, const char *unit) {
  const char *name = name_of(arena, t);
  while (!t->about && t->child_count == 1 && t->repeat == 1) {
    t = t->children[0];
    name = weir_arena_printf(arena, "%s.%s", name, name_of(arena, t));
  }
  const char *about = t->about ? t->about : "";
  if (t->repeat > 1) about = weir_arena_printf(arena, "%s%s(%" PRId64 " alike)", about, *about ? " " : "", t->repeat);
  const char *left = weir_arena_printf(arena, "%*s%s", 2 * depth, "", name);
  ir_text_printf(out, "%-*s  %-24s %16s%s\n", LONGEST_NAME, left, about, tree_number(arena, t->amount), unit);
  for (int i = 0; i < t->child_count; i++) print(arena, out, t->children[i], depth + 1, unit);
}

const char *tree_print(weir_arena *arena, const tree *root, const char *unit) {
  ir_text out;
  ir_text_init(&out, arena);
  for (int i = 0; i < root->child_count; i++) print(arena, &out, root->children[i], 0, unit);
  return out.length ? out.data : "";
}
