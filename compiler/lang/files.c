// Loading a program: a worklist of files, the closure of who uses whom, and the table of names.
//
// A file is known by its real path, so two spellings of one path are one file. Files are read in the order in which
// they are first used; nothing here recurses, and their number is limited.
#include "compiler/lang/files.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/lang/parse.h"

#define MAX_FILES 256

typedef struct {
  weir_arena *arena;
  const lang_search *search;
  lang_diags *diags;
  lang_program *program;
  const char **identities;  // of each file: its real path, or its path where it has none
  bool *uses;               // MAX_FILES x MAX_FILES
} loader;

static const char *identity(loader *l, const char *path) {
  char real[PATH_MAX];
  return weir_arena_strdup(l->arena, realpath(path, real) ? real : path);
}

static int file_find(const loader *l, const char *id) {
  for (int i = 0; i < l->program->file_count; i++)
    if (strcmp(l->identities[i], id) == 0) return i;
  return -1;
}

static void file_add(loader *l, const lang_source *source, const char *id) {
  lang_program *p = l->program;
  lang_diags_source_add(l->diags, source);
  l->identities[p->file_count] = id;
  lang_file *file = lang_parse(l->arena, source, l->diags);
  WEIR_PUSH(l->arena, p->files, p->file_count, p->file_capacity, file);
}

// ---- finding files

// Reads a file, or takes the text that stands for it.
static weir_status source_of(loader *l, const char *path, const char *id, lang_source **out) {
  int number = l->diags->source_count + 1;
  for (int i = 0; i < l->search->overlay_count; i++) {
    const lang_overlay *overlay = &l->search->overlays[i];
    if (strcmp(identity(l, overlay->path), id) == 0)
      return lang_source_make(l->arena, number, path, overlay->text, overlay->length, out);
  }
  return lang_source_read(l->arena, number, path, out);
}

// Reads |path| unless it has been; the file's index, or -1 with |*out_status| set.
static int path_take(loader *l, const char *path, weir_status *out_status) {
  const char *id = identity(l, path);
  int index = file_find(l, id);
  if (index >= 0) return index;
  lang_source *source;
  *out_status = source_of(l, path, id, &source);
  if (*out_status) return -1;
  file_add(l, source, id);
  return l->program->file_count - 1;
}

// a.b as a/b.weir below |folder|.
static const char *library_path(loader *l, const char *folder, const lang_path *path) {
  char *text = weir_arena_printf(l->arena, "%s/%s.weir", folder, path->text);
  for (char *p = text + strlen(folder); p < text + strlen(text) - strlen(".weir"); p++)
    if (*p == '.') *p = '/';
  return text;
}

static const char *beside(loader *l, const char *user, const char *name) {
  const char *slash = strrchr(user, '/');
  if (name[0] == '/' || !slash) return name;
  return weir_arena_printf(l->arena, "%.*s/%s", (int)(slash - user), user, name);
}

static void report(loader *l, const lang_use *use, const char *what, const char *why) {
  lang_diag *diag = lang_diag_add(l->diags, LANG_W_FILE_NOT_FOUND, use->span, what, why);
  if (!use->is_path) return;
  for (int i = 0; i < l->search->count; i++)
    lang_diag_note(l->diags, diag, (lang_span){0}, "looked for %s", library_path(l, l->search->folders[i], &use->path));
  if (!l->search->count) lang_diag_note(l->diags, diag, (lang_span){0}, "no library folder is known");
}

static int library_take(loader *l, const lang_use *use) {
  for (int i = 0; i < l->search->count; i++) {
    weir_status status = WEIR_OK;
    int index = path_take(l, library_path(l, l->search->folders[i], &use->path), &status);
    if (index >= 0) return index;
    bool absent = weir_status_code(status) == WEIR_CODE_NOT_FOUND;
    if (!absent) report(l, use, use->path.text, weir_status_message(status));
    weir_status_release(status);
    if (!absent) return -1;
  }
  report(l, use, use->path.text, "there is no such file");
  return -1;
}

static int use_take(loader *l, const lang_file *user, const lang_use *use) {
  if (l->program->file_count == MAX_FILES) {
    report(l, use, use->is_path ? use->path.text : use->file, "too many files");
    return -1;
  }
  if (use->is_path) return library_take(l, use);
  weir_status status = WEIR_OK;
  int index = path_take(l, beside(l, user->source->path, use->file), &status);
  if (index < 0) {
    bool absent = weir_status_code(status) == WEIR_CODE_NOT_FOUND;
    report(l, use, weir_arena_printf(l->arena, "\"%s\"", use->file),
           absent ? "there is no such file" : weir_status_message(status));
    weir_status_release(status);
  }
  return index;
}

static void uses_follow(loader *l) {
  for (int i = 0; i < l->program->file_count; i++) {
    const lang_file *file = l->program->files[i];
    for (int j = 0; j < file->items.count; j++) {
      if (file->items.data[j]->kind != LANG_ITEM_USE) continue;
      int used = use_take(l, file, &file->items.data[j]->use);
      if (used >= 0) l->uses[i * MAX_FILES + used] = true;
    }
  }
}

// Warshall's closure; a file reaches itself.
static void reaches_close(loader *l) {
  int n = l->program->file_count;
  bool *r = WEIR_NEW_ARRAY(l->arena, bool, n *n);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) r[i * n + j] = i == j || l->uses[i * MAX_FILES + j];
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) r[i * n + j] |= r[i * n + k] && r[k * n + j];
  l->program->reaches = r;
}

// ---- names

static uint32_t hash(const char *name) {
  uint32_t h = 2166136261u;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
  return h;
}

static bool is_general(const lang_item *item) {
  return item->kind != LANG_ITEM_DIM && item->kind != LANG_ITEM_BIND && item->kind != LANG_ITEM_SECTION;
}

// The model that a bind or a section speaks of; null for all else, and for clusters.
static const char *model_of(const lang_item *item) {
  if (item->kind == LANG_ITEM_BIND) return item->bind.target.text;
  return item->kind == LANG_ITEM_SECTION ? item->section.target.text : NULL;
}

static uint32_t hash_in(const char *name, const char *model) { return hash(name) + (model ? 31 * hash(model) : 0); }

// The next symbol of that name; |*slot| begins at its hash and goes on. Null at the end.
static const lang_symbol *symbol_next(const lang_program *p, const char *name, uint32_t *slot) {
  for (;; (*slot)++) {
    int index = p->bucket_count ? p->buckets[*slot & (uint32_t)(p->bucket_count - 1)] : 0;
    if (!index) return NULL;
    if (strcmp(p->symbols[index - 1].name, name) != 0) continue;
    (*slot)++;
    return &p->symbols[index - 1];
  }
}

static void symbol_add(loader *l, const lang_file *file, const lang_item *item, const lang_name *name) {
  lang_program *p = l->program;
  lang_symbol symbol = {name->text, name->span, file, item};
  WEIR_PUSH(l->arena, p->symbols, p->symbol_count, p->symbol_capacity, symbol);
}

static void item_declare(loader *l, const lang_file *file, const lang_item *item) {
  switch (item->kind) {
    case LANG_ITEM_USE:
      break;
    case LANG_ITEM_LET:
      for (int i = 0; i < item->let.names.count; i++) symbol_add(l, file, item, &item->let.names.data[i]);
      break;
    case LANG_ITEM_DIM:
      for (int i = 0; i < item->dim.names.count; i++) symbol_add(l, file, item, &item->dim.names.data[i]);
      break;
    case LANG_ITEM_FN:
      symbol_add(l, file, item, &item->fn.name);
      break;
    case LANG_ITEM_BLOCK:
      symbol_add(l, file, item, &item->block.name);
      break;
    case LANG_ITEM_MODEL:
      symbol_add(l, file, item, &item->model.name);
      break;
    case LANG_ITEM_RULE:
      symbol_add(l, file, item, &item->rule.name);
      break;
    case LANG_ITEM_BIND:
      symbol_add(l, file, item, &item->bind.name);
      break;
    case LANG_ITEM_SECTION:
      symbol_add(l, file, item, &item->section.name);
      break;
  }
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

// Whether two declarations of one name are in each other's way (see lang_load).
static bool collide(const lang_symbol *a, const lang_symbol *b) {
  if (is_general(a->item) || is_general(b->item)) return is_general(a->item) && is_general(b->item);
  if (a->item->kind != b->item->kind) return false;
  if (a->item->kind == LANG_ITEM_DIM) return a->file == b->file;
  if (a->item->kind == LANG_ITEM_SECTION && a->item->section.kind != b->item->section.kind) return false;
  return same_text(model_of(a->item), model_of(b->item));
}

// The first declaration stays in the table; a second one is reported.
static void symbol_insert(loader *l, int index) {
  lang_program *p = l->program;
  const lang_symbol *symbol = &p->symbols[index], *other;
  uint32_t start = hash_in(symbol->name, model_of(symbol->item)), slot = start;
  while ((other = symbol_next(p, symbol->name, &slot))) {
    if (!collide(symbol, other)) continue;
    lang_diag *diag = lang_diag_add(l->diags, LANG_W_DUPLICATE_NAME, symbol->span, symbol->name);
    lang_diag_note(l->diags, diag, other->span, "the first declaration is here");
    return;
  }
  for (slot = start; p->buckets[slot & (uint32_t)(p->bucket_count - 1)]; slot++) continue;
  p->buckets[slot & (uint32_t)(p->bucket_count - 1)] = index + 1;
}

static void names_collect(loader *l) {
  lang_program *p = l->program;
  for (int i = 0; i < p->file_count; i++)
    for (int j = 0; j < p->files[i]->items.count; j++) item_declare(l, p->files[i], p->files[i]->items.data[j]);
  p->bucket_count = 16;
  while (p->bucket_count < 2 * p->symbol_count) p->bucket_count *= 2;
  p->buckets = WEIR_NEW_ARRAY(l->arena, int, p->bucket_count);
  for (int i = 0; i < p->symbol_count; i++) symbol_insert(l, i);
}

// ---- the
// program

static lang_program *program_load(weir_arena *arena, const lang_source *root, const lang_search *search,
                                  lang_diags *diags) {
  static const lang_search nowhere = {0};
  loader l = {
      .arena = arena, .search = search ? search : &nowhere, .diags = diags, .program = WEIR_NEW(arena, lang_program)};
  l.identities = WEIR_NEW_ARRAY(arena, const char *, MAX_FILES);
  l.uses = WEIR_NEW_ARRAY(arena, bool, MAX_FILES *MAX_FILES);
  int errors = diags->error_count;
  file_add(&l, root, identity(&l, root->path));
  uses_follow(&l);
  reaches_close(&l);
  names_collect(&l);
  l.program->ok = diags->error_count == errors;
  return l.program;
}

weir_status lang_load(weir_arena *arena, const char *path, const lang_search *search, lang_diags *diags,
                      lang_program **out_program) {
  lang_source *source;
  WEIR_TRY(lang_source_read(arena, diags->source_count + 1, path, &source));
  *out_program = program_load(arena, source, search, diags);
  return WEIR_OK;
}

weir_status lang_load_text(weir_arena *arena, const char *path, const char *text, size_t length,
                           const lang_search *search, lang_diags *diags, lang_program **out_program) {
  lang_source *source;
  WEIR_TRY(lang_source_make(arena, diags->source_count + 1, path, text, length, &source));
  *out_program = program_load(arena, source, search, diags);
  return WEIR_OK;
}

static int file_index(const lang_program *program, const lang_file *file) {
  for (int i = 0; i < program->file_count; i++)
    if (program->files[i] == file) return i;
  return -1;
}

static bool sees(const lang_program *program, const lang_file *from, const lang_file *file) {
  if (!from || from == file) return true;
  int user = file_index(program, from), used = file_index(program, file);
  return user >= 0 && used >= 0 && program->reaches[user * program->file_count + used];
}

const lang_symbol *lang_program_find(const lang_program *program, const lang_file *from, const char *name) {
  uint32_t slot = hash(name);
  const lang_symbol *symbol;
  while ((symbol = symbol_next(program, name, &slot)))
    if (is_general(symbol->item) && sees(program, from, symbol->file)) return symbol;
  return NULL;
}

const lang_symbol *lang_program_find_dim(const lang_program *program, const lang_file *file, const char *name) {
  uint32_t slot = hash(name);
  const lang_symbol *symbol;
  while ((symbol = symbol_next(program, name, &slot)))
    if (symbol->item->kind == LANG_ITEM_DIM && symbol->file == file) return symbol;
  return NULL;
}

const lang_symbol *lang_program_find_bind(const lang_program *program, const char *name, const char *model) {
  uint32_t slot = hash_in(name, model);
  const lang_symbol *symbol;
  while ((symbol = symbol_next(program, name, &slot)))
    if (symbol->item->kind == LANG_ITEM_BIND && same_text(symbol->item->bind.target.text, model)) return symbol;
  return NULL;
}

const lang_symbol *lang_program_find_section(const lang_program *program, lang_section_kind kind, const char *name,
                                             const char *model) {
  for (int i = 0; i < program->symbol_count; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    if (symbol->item->kind != LANG_ITEM_SECTION || symbol->item->section.kind != kind) continue;
    if (strcmp(symbol->name, name) != 0) continue;
    if (!model || same_text(symbol->item->section.target.text, model)) return symbol;
  }
  return NULL;
}
