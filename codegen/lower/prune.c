// Takes out of a finished kernel what nothing uses: values (a table that was looked up and folded away), then buffers
// and sizes that no expression names any more, with their places in the launch. Must not change what a kernel does.
#include <string.h>

#include "codegen/lower/internal.h"
#include "ir/kernel_block.h"

// ---- values

static void mark_vars(bool *used, const ir_kexpr *e) {
  if (!e) return;
  if (e->op == IR_K_var) used[e->var->id] = true;
  for (int i = 0; i < e->arg_count; i++) mark_vars(used, e->args[i]);
}

static ir_kstmt *prune_list(weir_arena *arena, bool *used, ir_kstmt *first);

// False if |s| is a value that nothing behind it uses.
static bool keep_stmt(weir_arena *arena, bool *used, ir_kstmt *s) {
  if (s->kind == IR_KS_LET && !used[s->var->id]) return false;
  if (s->body) s->body = prune_list(arena, used, s->body);
  if (s->body2) s->body2 = prune_list(arena, used, s->body2);
  for (int i = 0; s->kind == IR_KS_MATDOT && i < IR_KM_COUNT; i++) mark_vars(used, s->matdot->at[i]);
  if (s->kind == IR_KS_BLOCK) {
    const ir_kexpr *exprs[IR_KBLOCK_MAX_EXPRS];
    int count = ir_kblock_exprs(s->block, exprs);
    for (int i = 0; i < count; i++) mark_vars(used, exprs[i]);
  }
  mark_vars(used, s->lo);
  mark_vars(used, s->hi);
  mark_vars(used, s->expr);
  for (int i = 0; i < 3; i++) mark_vars(used, s->indices[i]);
  return true;
}

// Uses stand behind their value, so a list is walked from its end.
static ir_kstmt *prune_list(weir_arena *arena, bool *used, ir_kstmt *first) {
  ir_kstmt **all = NULL, *kept = NULL;
  int count = 0, capacity = 0;
  for (ir_kstmt *s = first; s; s = s->next) WEIR_PUSH(arena, all, count, capacity, s);
  for (int i = count - 1; i >= 0; i--) {
    if (!keep_stmt(arena, used, all[i])) continue;
    all[i]->next = kept;
    kept = all[i];
  }
  return kept;
}

// ---- buffers and sizes
// New numbers are written as their complement first, so that a node that stands in several places is changed once.

typedef struct {
  bool *buffers, sizes[IR_KERNEL_MAX_SIZES];  // used
  int *new_buffers, new_sizes[IR_KERNEL_MAX_SIZES];
  enum { PASS_MARK, PASS_RENAME, PASS_SETTLE } pass;
} renaming;

static void rename_index(const renaming *r, int *index, const int *renamed) {
  if (r->pass == PASS_RENAME && *index >= 0) *index = ~renamed[*index];
  if (r->pass == PASS_SETTLE && *index < 0) *index = ~*index;
}

static void visit_expr(renaming *r, const ir_kexpr *e) {
  if (!e) return;
  for (int i = 0; i < e->arg_count; i++) visit_expr(r, e->args[i]);
  bool load = e->op == IR_K_load;
  if (!load && e->op != IR_K_size) return;
  if (r->pass == PASS_MARK) (load ? r->buffers : r->sizes)[e->index] = true;
  else rename_index(r, &((ir_kexpr *)e)->index, load ? r->new_buffers : r->new_sizes);
}

static void visit_matdot(renaming *r, ir_kmatdot *d) {
  int *const buffers[] = {&d->c, &d->a, &d->b};
  for (int i = 0; i < IR_KM_COUNT; i++) visit_expr(r, d->at[i]);
  for (int i = 0; i < 3; i++) {
    if (r->pass == PASS_MARK) r->buffers[*buffers[i]] = true;
    else rename_index(r, buffers[i], r->new_buffers);
  }
}

static void visit_place(renaming *r, ir_kplace *place) {
  if (!place->index) return;
  if (r->pass == PASS_MARK) r->buffers[place->buffer] = true;
  else rename_index(r, &place->buffer, r->new_buffers);
}

static void visit_block(renaming *r, ir_kblock *block) {
  const ir_kexpr *exprs[IR_KBLOCK_MAX_EXPRS];
  int count = ir_kblock_exprs(block, exprs);
  for (int i = 0; i < count; i++) visit_expr(r, exprs[i]);
  ir_kplace *const places[] = {&block->to, &block->from, &block->signal, &block->shared_a.at, &block->shared_b.at};
  for (int i = 0; i < 5; i++) visit_place(r, places[i]);
}

static void visit_list(renaming *r, ir_kstmt *first) {
  for (ir_kstmt *s = first; s; s = s->next) {
    visit_expr(r, s->lo);
    visit_expr(r, s->hi);
    visit_expr(r, s->expr);
    for (int i = 0; i < 3; i++) visit_expr(r, s->indices[i]);
    if (s->kind == IR_KS_STORE || s->kind == IR_KS_PREFETCH || s->kind == IR_KS_ARRIVE) {
      if (r->pass == PASS_MARK) r->buffers[s->buffer] = true;
      else rename_index(r, &s->buffer, r->new_buffers);
    }
    if (s->kind == IR_KS_MATDOT) visit_matdot(r, (ir_kmatdot *)s->matdot);
    if (s->kind == IR_KS_BLOCK) visit_block(r, (ir_kblock *)s->block);
    visit_list(r, s->body);
    visit_list(r, s->body2);
  }
}

static void visit_map(renaming *r, ir_kmap *map) {
  visit_expr(r, map->offset);
  for (int i = 0; i < map->rank; i++) {
    visit_expr(r, map->dims[i]);
    visit_expr(r, map->strides[i]);
  }
  if (r->pass == PASS_MARK) r->buffers[map->buffer] = true;
  else rename_index(r, &map->buffer, r->new_buffers);
}

static void visit_kernel(renaming *r, ir_kernel *kernel, const item *it) {
  visit_list(r, kernel->body);
  visit_expr(r, kernel->grid);
  visit_expr(r, it->guard);
  for (int i = 0; i < kernel->map_count; i++) visit_map(r, &kernel->maps[i]);
  for (int i = 0; i < kernel->buffer_count; i++)  // what is not used is gone in the later passes
    if (r->pass != PASS_MARK || r->buffers[i]) visit_expr(r, kernel->buffers[i].bytes);
}

// Names of slots end with the number of their argument.
static const char *renumber(weir_arena *arena, const char *name, int arg) {
  size_t length = strlen(name);
  while (length && name[length - 1] >= '0' && name[length - 1] <= '9') length--;
  return weir_arena_printf(arena, "%.*s%d", (int)length, name, arg);
}

static void drop_buffers(renaming *r, weir_arena *arena, ir_kernel *kernel, item *it) {
  int buffers = 0, args = 0, old_args[CG_BUILD_ARGS];
  for (int i = 0; i < kernel->buffer_count; i++) {
    r->new_buffers[i] = buffers;
    if (!r->buffers[i]) continue;
    ir_kbuffer *to = &kernel->buffers[buffers++];
    *to = kernel->buffers[i];
    if (to->arg < 0) continue;
    old_args[args] = to->arg;
    if (it->args_of_kernel[to->arg].is_slot) to->name = renumber(arena, to->name, args);
    to->arg = args++;
  }
  launch_arg launch[CG_BUILD_ARGS];
  for (int i = 0; i < args; i++) launch[i] = it->args_of_kernel[old_args[i]];
  memcpy(it->args_of_kernel, launch, (size_t)args * sizeof *launch);
  kernel->buffer_count = buffers;
  kernel->arg_count = it->arg_count = args;
}

static void drop_sizes(renaming *r, ir_kernel *kernel, item *it) {
  int sizes = 0;
  for (int i = 0; i < kernel->size_count; i++) {
    r->new_sizes[i] = sizes;
    if (!r->sizes[i]) continue;
    kernel->sizes[sizes] = kernel->sizes[i];
    it->sizes[sizes++] = it->sizes[i];
  }
  kernel->size_count = it->size_count = sizes;
}

void cg_prune(weir_arena *names, ir_kernel *kernel, item *it) {
  weir_arena arena;
  weir_arena_init(&arena);
  bool *used = WEIR_NEW_ARRAY(&arena, bool, kernel->var_count + 1);
  kernel->body = prune_list(&arena, used, kernel->body);
  renaming r = {.buffers = WEIR_NEW_ARRAY(&arena, bool, kernel->buffer_count + 1),
                .new_buffers = WEIR_NEW_ARRAY(&arena, int, kernel->buffer_count + 1)};
  visit_kernel(&r, kernel, it);
  drop_buffers(&r, names, kernel, it);
  drop_sizes(&r, kernel, it);
  r.pass = PASS_RENAME;
  visit_kernel(&r, kernel, it);
  r.pass = PASS_SETTLE;
  visit_kernel(&r, kernel, it);
  weir_arena_deinit(&arena);
}
