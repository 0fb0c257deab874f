// Patterns over dotted paths. A segment of the pattern is a glob over one segment of the path, then one number for each
// bracket; `**` is any number of segments. Matching backtracks with a bounded number of steps: a pattern that needs
// more matches nothing.
#include <string.h>

#include "compiler/lang/elab_impl.h"

enum { MATCH_STEPS = 100 * 1000, LANG_MAX_PATH = 1024 };

typedef struct {
  weir_arena *arena;  // null: captures are not wanted
  lang_captures *captures;
  int steps;
} matcher;

typedef struct {
  int names, values, alternatives;
  const char *rest;
} saved;

static saved save(const matcher *m) {
  if (!m->captures) return (saved){0};
  return (saved){m->captures->names.count, m->captures->values.count, m->captures->alternatives.count,
                 m->captures->rest};
}

static void restore(matcher *m, saved s) {
  if (!m->captures) return;
  m->captures->names.count = s.names;
  m->captures->values.count = s.values;
  m->captures->alternatives.count = m->captures->sizes.count = s.alternatives;
  m->captures->rest = s.rest;
}

// The end of the path segment that begins at |text|.
static const char *segment_end(const char *text) {
  while (*text && *text != '.') text++;
  return text;
}

static bool is_number(const char *from, const char *to) {
  if (from == to) return false;
  for (; from < to; from++) {
    if (*from < '0' || *from > '9') return false;
  }
  return true;
}

static bool is_bracket(lang_atom_kind kind) {
  return kind == LANG_ATOM_ANY || kind == LANG_ATOM_CAPTURE || kind == LANG_ATOM_NUMBER || kind == LANG_ATOM_RANGE;
}

static bool match_segments(matcher *m, const lang_pattern *p, int segment, const char *path);
static bool match_brackets(matcher *m, const lang_pattern *p, int segment, int atom, const char *path);

static void capture_alternative(matcher *m, int which, int of) {
  if (!m->captures) return;
  LANG_PUSH(m->arena, &m->captures->alternatives, which);
  LANG_PUSH(m->arena, &m->captures->sizes, of);
}

// Atoms from |atom| on over the rest [path, end) of one path segment.
static bool match_atoms(matcher *m, const lang_pattern *p, int segment, int atom, const char *path, const char *end) {
  const lang_atoms *atoms = &p->segments.data[segment].atoms;
  if (--m->steps < 0) return false;
  if (atom == atoms->count || is_bracket(atoms->data[atom].kind))
    return path == end && match_brackets(m, p, segment, atom, end);
  const lang_atom *a = &atoms->data[atom];
  if (a->kind == LANG_ATOM_NAME) {
    size_t length = strlen(a->name);
    return (size_t)(end - path) >= length && !memcmp(path, a->name, length) &&
           match_atoms(m, p, segment, atom + 1, path + length, end);
  }
  if (a->kind == LANG_ATOM_STAR) {
    for (const char *at = path; at <= end; at++) {
      saved s = save(m);
      if (match_atoms(m, p, segment, atom + 1, at, end)) return true;
      restore(m, s);
    }
    return false;
  }
  for (int i = 0; a->kind == LANG_ATOM_ALTERNATIVES && i < a->names.count; i++) {
    size_t length = strlen(a->names.data[i].text);
    if ((size_t)(end - path) < length || memcmp(path, a->names.data[i].text, length) != 0) continue;
    saved s = save(m);
    capture_alternative(m, i, a->names.count);
    if (match_atoms(m, p, segment, atom + 1, path + length, end)) return true;
    restore(m, s);
  }
  return false;
}

static bool bracket_holds(matcher *m, const lang_atom *a, const char *from, const char *to) {
  if (!is_number(from, to) || to - from > 18) return false;
  int64_t number = strtoll(from, NULL, 10);
  if (a->kind == LANG_ATOM_NUMBER) return number == a->low;
  if (a->kind == LANG_ATOM_RANGE) return number >= a->low && number < a->high;
  if (a->kind == LANG_ATOM_CAPTURE && m->captures) {
    LANG_PUSH(m->arena, &m->captures->names, ((lang_name){a->name, a->span}));
    LANG_PUSH(m->arena, &m->captures->values, weir_arena_strndup(m->arena, from, (size_t)(to - from)));
  }
  return true;
}

// |path| stands at the end of a path segment: a dot or the end.
static bool match_brackets(matcher *m, const lang_pattern *p, int segment, int atom, const char *path) {
  const lang_atoms *atoms = &p->segments.data[segment].atoms;
  for (; atom < atoms->count; atom++) {
    const lang_atom *a = &atoms->data[atom];
    if (!is_bracket(a->kind) || *path != '.') return false;
    const char *end = segment_end(path + 1);
    if (!bracket_holds(m, a, path + 1, end)) return false;
    path = end;
  }
  if (segment + 1 == p->segments.count) return !*path;
  if (*path == '.') return match_segments(m, p, segment + 1, path + 1);
  // The path is over; a `**` may still stand for nothing.
  const lang_segment *next = &p->segments.data[segment + 1];
  return segment + 2 == p->segments.count && next->atoms.data[0].kind == LANG_ATOM_STARSTAR;
}

static bool match_rest(matcher *m, const lang_pattern *p, int segment, const char *path) {
  bool first = m->captures && !m->captures->rest;
  if (segment + 1 == p->segments.count) {
    if (first) m->captures->rest = weir_arena_strdup(m->arena, path);
    return true;
  }
  for (const char *at = path;;) {
    saved s = save(m);
    if (first) m->captures->rest = weir_arena_strndup(m->arena, path, at > path ? (size_t)(at - path - 1) : 0);
    if (match_segments(m, p, segment + 1, at)) return true;
    restore(m, s);
    const char *end = segment_end(at);
    if (!*end || m->steps < 0) return false;
    at = end + 1;
  }
}

static bool match_segments(matcher *m, const lang_pattern *p, int segment, const char *path) {
  if (--m->steps < 0) return false;
  const lang_atoms *atoms = &p->segments.data[segment].atoms;
  if (atoms->data[0].kind == LANG_ATOM_STARSTAR) return match_rest(m, p, segment, path);
  return match_atoms(m, p, segment, 0, path, segment_end(path));
}

bool lang_pattern_capture(weir_arena *arena, const lang_pattern *pattern, const char *path, lang_captures *out) {
  *out = (lang_captures){0};
  matcher m = {arena, out, MATCH_STEPS};
  return match_segments(&m, pattern, 0, path);
}

bool lang_pattern_match(const lang_pattern *pattern, const char *path) {
  matcher m = {NULL, NULL, MATCH_STEPS};
  return match_segments(&m, pattern, 0, path);
}

bool lang_pattern_below(const lang_pattern *pattern, const char *path) {
  char part[LANG_MAX_PATH];
  size_t length = strlen(path);
  if (lang_pattern_match(pattern, path)) return true;
  if (length >= sizeof part) return false;
  memcpy(part, path, length + 1);
  for (size_t i = length; i-- > 0;) {
    if (part[i] != '.') continue;
    part[i] = 0;
    if (lang_pattern_match(pattern, part)) return true;
  }
  return false;
}

bool lang_pattern_weight(const lang_pattern *pattern, const lang_slot *slot, const char **out_path) {
  if (slot->kind != LANG_SLOT_WEIGHT) return false;
  *out_path = slot->path;
  if (lang_pattern_match(pattern, slot->path)) return true;
  for (int i = 0; i < slot->aliases.count; i++) {
    *out_path = slot->aliases.data[i];
    if (lang_pattern_match(pattern, slot->aliases.data[i])) return true;
  }
  return false;
}

static void atom_text(lang_buffer *b, const lang_atom *a) {
  switch (a->kind) {
    case LANG_ATOM_NAME:
      lang_buffer_add(b, "%s", a->name);
      return;
    case LANG_ATOM_STAR:
      lang_buffer_add(b, "*");
      return;
    case LANG_ATOM_STARSTAR:
      lang_buffer_add(b, "**");
      return;
    case LANG_ATOM_ANY:
      lang_buffer_add(b, "[*]");
      return;
    case LANG_ATOM_CAPTURE:
      lang_buffer_add(b, "[%s]", a->name);
      return;
    case LANG_ATOM_NUMBER:
      lang_buffer_add(b, "[%lld]", (long long)a->low);
      return;
    case LANG_ATOM_RANGE:
      lang_buffer_add(b, "[%lld..%lld]", (long long)a->low, (long long)a->high);
      return;
    case LANG_ATOM_ALTERNATIVES:
      for (int i = 0; i < a->names.count; i++) lang_buffer_add(b, "%s%s", i ? "," : "{", a->names.data[i].text);
      lang_buffer_add(b, "}");
      return;
  }
}

const char *lang_pattern_text(weir_arena *arena, const lang_pattern *pattern) {
  lang_buffer b = {.arena = arena};
  for (int i = 0; i < pattern->segments.count; i++) {
    if (i) lang_buffer_add(&b, ".");
    for (int k = 0; k < pattern->segments.data[i].atoms.count; k++)
      atom_text(&b, &pattern->segments.data[i].atoms.data[k]);
  }
  return b.data ? b.data : "";
}

// ---- patterns in strings

static bool glob(const char *p, const char *name, int *steps);

static bool glob_braces(const char *p, const char *name, int *steps) {
  const char *close = strchr(p, '}');
  for (const char *at = p + 1; close && at <= close;) {
    const char *end = at;
    while (end < close && *end != ',') end++;
    size_t length = (size_t)(end - at);
    if (!strncmp(at, name, length) && glob(close + 1, name + length, steps)) return true;
    at = end + 1;
  }
  return false;
}

static bool glob(const char *p, const char *name, int *steps) {
  for (; *p; p++, name++) {
    if (--*steps < 0) return false;
    if (*p == '{') return glob_braces(p, name, steps);
    if (*p == '*') {
      bool deep = p[1] == '*';
      p += deep ? 2 : 1;
      for (;; name++) {
        if (glob(p, name, steps)) return true;
        if (!*name || (*name == '.' && !deep) || *steps < 0) return false;
      }
    }
    if (*p != *name) return false;
  }
  return !*name;
}

bool lang_glob_match(const char *pattern, const char *name) {
  int steps = MATCH_STEPS;
  return glob(pattern, name, &steps);
}
