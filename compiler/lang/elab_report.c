// Model against checkpoint: every parameter resolved through a bind, and all that is missing, unexpected or mis-shaped
// in one list.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

typedef struct {
  const lang_graph *graph;
  const lang_graph_bind *bind;
  weir_arena *arena;
  const lang_tensor **sorted;
  bool *used;  // of the sorted ones
  int count;
  lang_bind_report *report;
} checker;

static int by_name(const void *a, const void *b) {
  return strcmp((*(const lang_tensor *const *)a)->name, (*(const lang_tensor *const *)b)->name);
}

static int find(const checker *c, const char *name) {
  int low = 0, high = c->count;
  while (low < high) {
    int middle = low + (high - low) / 2, order = strcmp(c->sorted[middle]->name, name);
    if (!order) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return -1;
}

static void problem(checker *c, lang_problem_kind kind, const char *path, const char *name, const char *message) {
  lang_problem p = {kind, path, name, message};
  WEIR_PUSH(c->arena, c->report->problems, c->report->problem_count, c->report->problem_capacity, p);
}

static const char *dims_text(weir_arena *arena, int rank, const int64_t *dims) {
  const char *text = "[";
  for (int i = 0; i < rank; i++) text = weir_arena_printf(arena, "%s%s%" PRId64, text, i ? ", " : "", dims[i]);
  return weir_arena_printf(arena, "%s]", text);
}

// The dims of a source. |*out_missing| is the first name that the checkpoint lacks, |*out_wrong| says what does not
// fit.
static bool source_dims(checker *c, const lang_tensor_source *s, lang_tensor *out, const char **out_missing,
                        const char **out_wrong) {
  if (s->kind == LANG_SOURCE_TENSOR) {
    int at = find(c, s->name);
    if (at < 0) {
      *out_missing = s->name;
      return false;
    }
    c->used[at] = true;
    *out = *c->sorted[at];
    return true;
  }
  if (!source_dims(c, s->parts[0], out, out_missing, out_wrong)) return false;
  *out_wrong = "its rank is too small";
  switch (s->kind) {
    case LANG_SOURCE_TRANSPOSE: {
      if (out->rank < 2) return false;
      int64_t last = out->dims[out->rank - 1];
      out->dims[out->rank - 1] = out->dims[out->rank - 2];
      out->dims[out->rank - 2] = last;
      return true;
    }
    case LANG_SOURCE_UNPERMUTE:
      *out_wrong = weir_arena_printf(c->arena, "its rows are no multiple of 2 * %" PRId64 " heads", s->heads);
      return out->rank >= 1 && s->heads <= INT64_MAX / 2 && out->dims[0] % (2 * s->heads) == 0;
    case LANG_SOURCE_SLICE:
      if (s->axis >= out->rank) return false;
      *out_wrong =
          weir_arena_printf(c->arena, "%" PRId64 "..%" PRId64 " is not within axis %d", s->start, s->stop, s->axis);
      if (s->stop > out->dims[s->axis]) return false;
      out->dims[s->axis] = s->stop - s->start;
      return true;
    default:
      break;
  }
  for (int i = 1; i < s->part_count; i++) {
    lang_tensor part;
    if (!source_dims(c, s->parts[i], &part, out_missing, out_wrong)) return false;
    *out_wrong = "the parts of concat do not fit each other";
    if (part.rank != out->rank || s->axis >= out->rank) return false;
    for (int k = 0; k < part.rank; k++) {
      if (k != s->axis && part.dims[k] != out->dims[k]) return false;
    }
    if (!weir_add_i64(out->dims[s->axis], part.dims[s->axis], &out->dims[s->axis])) return false;
  }
  return true;
}

static bool same_dims(const ir_type *type, const lang_tensor *tensor) {
  if (type->rank != tensor->rank) return false;
  for (int i = 0; i < type->rank; i++) {
    int64_t size;
    if (!ir_dim_is_const(type->dims[i], &size) || size != tensor->dims[i]) return false;
  }
  return true;
}

static const char *first_name(const lang_tensor_source *source) {
  while (source->kind != LANG_SOURCE_TENSOR) source = source->parts[0];
  return source->name;
}

static void check_weight(checker *c, int index) {
  const lang_weight *weight = &c->graph->weights[index];
  const lang_tensor_source *source = lang_bind_resolve(c->bind, c->arena, weight->path);
  const char *missing = NULL, *wrong = NULL;
  lang_tensor tensor;
  // A tie may be in the file under any of its paths.
  for (int i = 0; source && i < weight->alias_count && source->kind == LANG_SOURCE_TENSOR && find(c, source->name) < 0;
       i++) {
    const lang_tensor_source *other = lang_bind_resolve(c->bind, c->arena, weight->aliases[i]);
    if (other && other->kind == LANG_SOURCE_TENSOR && find(c, other->name) >= 0) source = other;
  }
  if (!source) {
    problem(c, LANG_PROBLEM_MISSING, weight->path, "",
            weir_arena_printf(c->arena, "%s: its bind line gives no name", weight->path));
    return;
  }
  bool ok = source_dims(c, source, &tensor, &missing, &wrong);
  if (ok && same_dims(&weight->type, &tensor)) {
    c->report->sources[index] = source;
    return;
  }
  const char *name = missing ? missing : first_name(source);
  if (missing) {
    if (!weight->used) return;
    problem(c, LANG_PROBLEM_MISSING, weight->path, name,
            weir_arena_printf(c->arena, "%s: the checkpoint has no tensor %s", weight->path, name));
  } else {
    const char *why =
        ok ? weir_arena_printf(c->arena, "it has %s", dims_text(c->arena, tensor.rank, tensor.dims)) : wrong;
    problem(c, LANG_PROBLEM_SHAPE, weight->path, name,
            weir_arena_printf(c->arena, "%s is %s; %s: %s", weight->path, ir_type_print(c->arena, &weight->type), name,
                              why));
  }
}

void lang_check_bind(const lang_graph *graph, const lang_graph_bind *bind, weir_arena *arena,
                     const lang_tensor *tensors, int tensor_count, lang_bind_report *out_report) {
  *out_report = (lang_bind_report){0};
  out_report->sources = WEIR_NEW_ARRAY(arena, const lang_tensor_source *, graph->weight_count + 1);
  checker c = {graph,
               bind,
               arena,
               WEIR_NEW_ARRAY(arena, const lang_tensor *, tensor_count + 1),
               WEIR_NEW_ARRAY(arena, bool, tensor_count + 1),
               tensor_count,
               out_report};
  for (int i = 0; i < tensor_count; i++) c.sorted[i] = &tensors[i];
  if (tensor_count) qsort(c.sorted, (size_t)tensor_count, sizeof *c.sorted, by_name);
  for (int i = 0; i < graph->weight_count; i++) check_weight(&c, i);
  for (int i = 0; i < tensor_count; i++) {
    const char *name = c.sorted[i]->name;
    if (c.used[i] || lang_bind_ignores(bind, name)) continue;
    problem(&c, LANG_PROBLEM_UNEXPECTED, NULL, name,
            weir_arena_printf(arena, "nothing in the model takes the tensor %s", name));
  }
}

lang_graph_bind *lang_bind_choose(const lang_graph *graph, const lang_tensor *tensors, int tensor_count) {
  weir_arena arena;
  weir_arena_init(&arena);
  lang_bind_report report;
  lang_check_bind(graph, NULL, &arena, tensors, tensor_count, &report);
  lang_graph_bind *best = NULL;
  int fewest = report.problem_count;
  for (int i = 0; i < graph->bind_count; i++) {
    lang_check_bind(graph, graph->binds[i], &arena, tensors, tensor_count, &report);
    if (report.problem_count > fewest || (best && report.problem_count == fewest)) continue;
    best = graph->binds[i];
    fewest = report.problem_count;
  }
  weir_arena_deinit(&arena);
  return best;
}
