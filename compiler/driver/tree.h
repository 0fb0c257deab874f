// Dotted paths as a tree, in which neighbours that are numbered and alike become one line.
#ifndef WEIR_COMPILER_DRIVER_TREE_H
#define WEIR_COMPILER_DRIVER_TREE_H

#include <stdint.h>

#include "runtime/base/arena.h"

typedef struct tree tree;
struct tree {
  const char *name;   // one segment
  const char *about;  // of a leaf: what is said behind its name; else null
  int64_t amount;     // of a leaf: its number; of others the sum
  int64_t repeat;     // alike ones that this stands for, itself the first; 1
  const char *last;   // the name of the last of them
  tree **children;
  int child_count, child_capacity;
};

tree *tree_create(weir_arena *arena);
// Adds a leaf below the root, by its dotted path.
void tree_add(weir_arena *arena, tree *root, const char *path, const char *about, int64_t amount);
// Sums the amounts up and folds. Amounts of folded ones are of all of them.
void tree_fold(weir_arena *arena, tree *root);
// One line a node, indented, with |unit| behind amounts (may be ""). Chains of single children are one dotted name.
const char *tree_print(weir_arena *arena, const tree *root, const char *unit);
// 28311552 as "28,311,552".
const char *tree_number(weir_arena *arena, int64_t number);

#endif
