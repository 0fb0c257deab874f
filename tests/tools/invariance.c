// Runs a package's entries and steps alone, packed together and cut into calls at random, and compares bits.
//
//   invariance PACKAGE SEED CUTS [SPEC FOLDER]
//
// Without a SPEC every entry gets requests with random inputs of random sizes within its bounds. A SPEC names the
// requests, one line each, whose files lie in FOLDER: `run ENTRY NAME=FILE...`, before it any number of `before ENTRY
// NAME=FILE...`: steps that the session of the next run takes first. Outputs of the runs are then written to FOLDER as
// got.N.NAME.npy. Exit status 0: all bits agree; 1: they do not, or a run failed, with a line for each.
//
// It knows the public C API and .npy files only: what it checks holds for any model.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/npy.h"
#include "runtime/weir.h"

enum { MAX_RUNS = 32, MAX_TENSORS = 16, MAX_BEFORE = 4, MAX_LENGTH = 24, RANDOM_RUNS = 3 };

typedef struct {
  const weir_entry *entry;
  weir_view inputs[MAX_TENSORS];
} call;

typedef struct {
  call before[MAX_BEFORE];
  int before_count;
  call main;
  weir_view outputs[MAX_TENSORS];  // alone and whole
} run;

typedef struct {
  weir_model *model;
  weir_executor *executor;
  run runs[MAX_RUNS];
  int run_count, failures;
  uint64_t random;
} suite;

static int below(suite *s, int64_t limit) {
  s->random ^= s->random << 13;
  s->random ^= s->random >> 7;
  s->random ^= s->random << 17;
  return (int)((s->random >> 20) % (uint64_t)limit);
}

static void die(const char *what, weir_status status) {
  fprintf(stderr, "%s: %s\n", what, status ? weir_status_message(status) : "failed");
  exit(1);
}

static void must(weir_status status, const char *what) {
  if (status) die(what, status);
}

static size_t view_bytes(const weir_view *v) {
  size_t bytes = weir_dtype_bytes(v->dtype);
  for (int i = 0; i < v->rank; i++) bytes *= (size_t)v->shape[i];
  return bytes;
}

// The text of axis |axis| in "T, 576"; false if it is not exactly |symbol|.
static bool axis_is(const char *dims, int axis, const char *symbol) {
  for (; axis > 0 && dims; axis--) {
    dims = strchr(dims, ',');
    if (dims) dims += strspn(dims, ", ");
  }
  size_t length = strlen(symbol);
  return dims && !strncmp(dims, symbol, length) && (!dims[length] || dims[length] == ',');
}

// The symbol that grows in |entry|, or null.
static const char *growing(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  for (int i = 0; i < info.symbol_count; i++) {
    weir_symbol_info symbol = weir_entry_symbol(entry, i);
    if (symbol.grows) return symbol.name;
  }
  return NULL;
}

static bool has_rows(weir_tensor_info info, const char *symbol) {
  return symbol && info.rank > 0 && axis_is(info.dims, 0, symbol);
}

// ---- running

// Gives every output memory of the right size.
static void make_outputs(const weir_entry *entry, weir_request *requests, int count,
                         weir_view (*outputs)[MAX_TENSORS]) {
  int output_count = weir_entry_describe(entry).output_count;
  for (int r = 0; r < count; r++) {
    memset(outputs[r], 0, sizeof outputs[r]);
    requests[r].outputs = outputs[r];
  }
  must(weir_output_shapes(entry, requests, count), "shapes of the outputs");
  for (int r = 0; r < count; r++) {
    for (int i = 0; i < output_count; i++) {
      outputs[r][i].bytes = view_bytes(&outputs[r][i]);
      outputs[r][i].data = malloc(outputs[r][i].bytes + 64);
      memset(outputs[r][i].data, 0xCD, outputs[r][i].bytes);
    }
  }
}

static void free_outputs(const weir_entry *entry, weir_view *outputs) {
  for (int i = 0; i < weir_entry_describe(entry).output_count; i++) free(outputs[i].data);
}

static weir_session *open_session(suite *s, const run *r) {
  weir_session *session;
  must(weir_session_open(s->model, NULL, 0, &session), "opening a session");
  for (int i = 0; i < r->before_count; i++) {
    weir_view outputs[1][MAX_TENSORS];
    weir_request request = {.session = session, .inputs = r->before[i].inputs};
    make_outputs(r->before[i].entry, &request, 1, outputs);
    must(weir_run(s->executor, r->before[i].entry, &request, 1, NULL), "a step before");
    free_outputs(r->before[i].entry, outputs[0]);
  }
  return session;
}

static void run_alone(suite *s, run *r) {
  weir_view outputs[1][MAX_TENSORS];
  bool step = weir_entry_describe(r->main.entry).step;
  weir_request request = {.session = step ? open_session(s, r) : NULL, .inputs = r->main.inputs};
  make_outputs(r->main.entry, &request, 1, outputs);
  must(weir_run(s->executor, r->main.entry, &request, 1, NULL), weir_entry_describe(r->main.entry).name);
  memcpy(r->outputs, outputs[0], sizeof r->outputs);
  weir_session_close(request.session);
}

static void compare(suite *s, int number, const char *how, int output, const void *got, size_t bytes) {
  const run *r = &s->runs[number];
  const weir_view *wanted = &r->outputs[output];
  if (bytes == view_bytes(wanted) && !memcmp(got, wanted->data, bytes)) return;
  s->failures++;
  size_t at = 0;
  while (at < bytes && at < view_bytes(wanted) && ((const char *)got)[at] == ((const char *)wanted->data)[at]) at++;
  printf("differs: run %d (%s), output %s, %s, at byte %zu of %zu\n", number, weir_entry_describe(r->main.entry).name,
         weir_entry_output(r->main.entry, output).name, how, at, view_bytes(wanted));
}

// All runs of |entry| in one call.
static void run_packed(suite *s, const weir_entry *entry) {
  weir_request requests[MAX_RUNS];
  weir_view outputs[MAX_RUNS][MAX_TENSORS];
  int numbers[MAX_RUNS], count = 0;
  bool step = weir_entry_describe(entry).step;
  for (int i = s->run_count - 1; i >= 0; i--) {  // another order than alone
    if (s->runs[i].main.entry != entry) continue;
    requests[count] =
        (weir_request){.session = step ? open_session(s, &s->runs[i]) : NULL, .inputs = s->runs[i].main.inputs};
    numbers[count++] = i;
  }
  make_outputs(entry, requests, count, outputs);
  must(weir_run(s->executor, entry, requests, count, NULL), "packed");
  for (int r = 0; r < count; r++) {
    for (int i = 0; i < weir_entry_describe(entry).output_count; i++)
      compare(s, numbers[r], "packed", i, outputs[r][i].data, view_bytes(&outputs[r][i]));
    free_outputs(entry, outputs[r]);
    weir_session_close(requests[r].session);
  }
}

// ---- cutting

typedef struct {
  int number;
  weir_session *session;
  int64_t done, rows, piece;
  uint8_t *gathered[MAX_TENSORS];  // outputs with rows
  size_t gathered_bytes[MAX_TENSORS];
} cut;

static int64_t rows_of(const run *r, const char *symbol) {
  for (int i = 0; i < weir_entry_describe(r->main.entry).input_count; i++)
    if (has_rows(weir_entry_input(r->main.entry, i), symbol)) return r->main.inputs[i].shape[0];
  return 0;
}

static void take_piece(const run *r, const char *symbol, const cut *c, weir_view *inputs) {
  for (int i = 0; i < weir_entry_describe(r->main.entry).input_count; i++) {
    inputs[i] = r->main.inputs[i];
    if (!has_rows(weir_entry_input(r->main.entry, i), symbol)) continue;
    size_t row = view_bytes(&inputs[i]) / (size_t)inputs[i].shape[0];
    inputs[i].data = (uint8_t *)inputs[i].data + row * (size_t)c->done;
    inputs[i].shape[0] = c->piece;
  }
}

// Keeps rows; compares what has none after the last piece.
static void give_piece(suite *s, const char *symbol, cut *c, const weir_view *outputs) {
  const weir_entry *entry = s->runs[c->number].main.entry;
  for (int i = 0; i < weir_entry_describe(entry).output_count; i++) {
    size_t bytes = view_bytes(&outputs[i]);
    bool rows = has_rows(weir_entry_output(entry, i), symbol);
    if (rows) {
      c->gathered[i] = realloc(c->gathered[i], c->gathered_bytes[i] + bytes + 1);
      memcpy(c->gathered[i] + c->gathered_bytes[i], outputs[i].data, bytes);
      c->gathered_bytes[i] += bytes;
    }
    if (c->done + c->piece < c->rows) continue;
    compare(s, c->number, "cut", i, rows ? c->gathered[i] : outputs[i].data, rows ? c->gathered_bytes[i] : bytes);
  }
}

static void run_cut(suite *s, const weir_entry *entry, const char *symbol) {
  cut cuts[MAX_RUNS];
  int count = 0, left;
  for (int i = 0; i < s->run_count; i++) {
    if (s->runs[i].main.entry != entry) continue;
    cuts[count++] = (cut){.number = i, .session = open_session(s, &s->runs[i]), .rows = rows_of(&s->runs[i], symbol)};
  }
  do {
    weir_request requests[MAX_RUNS];
    weir_view inputs[MAX_RUNS][MAX_TENSORS], outputs[MAX_RUNS][MAX_TENSORS];
    cut *taking[MAX_RUNS];
    int taken = 0;
    left = 0;
    for (int i = 0; i < count; i++) {
      if (cuts[i].done == cuts[i].rows) continue;
      left++;
      if (below(s, 3) == 0) continue;
      cuts[i].piece = 1 + below(s, below(s, 2) ? 3 : cuts[i].rows);
      if (cuts[i].piece > cuts[i].rows - cuts[i].done) cuts[i].piece = cuts[i].rows - cuts[i].done;
      take_piece(&s->runs[cuts[i].number], symbol, &cuts[i], inputs[taken]);
      requests[taken] = (weir_request){.session = cuts[i].session, .inputs = inputs[taken]};
      taking[taken++] = &cuts[i];
    }
    if (!taken) continue;
    make_outputs(entry, requests, taken, outputs);
    must(weir_run(s->executor, entry, requests, taken, NULL), "cut");
    for (int i = 0; i < taken; i++) {
      give_piece(s, symbol, taking[i], outputs[i]);
      taking[i]->done += taking[i]->piece;
      free_outputs(entry, outputs[i]);
    }
  } while (left);
  for (int i = 0; i < count; i++) {
    for (int k = 0; k < MAX_TENSORS; k++) free(cuts[i].gathered[k]);
    weir_session_close(cuts[i].session);
  }
}

// ---- requests

// An integer, or the value of a symbol; sums and products of them are left to the runtime's own check.
static int64_t dim_value(const char **text, const char *const *names, const int64_t *values, int count);

static int64_t dim_atom(const char **text, const char *const *names, const int64_t *values, int count) {
  *text += strspn(*text, " ");
  if (**text == '(') {
    ++*text;
    int64_t v = dim_value(text, names, values, count);
    *text += strspn(*text, " )");
    return v;
  }
  if (**text >= '0' && **text <= '9') return strtoll(*text, (char **)text, 10);
  for (int i = 0; i < count; i++) {
    size_t length = strlen(names[i]);
    if (strncmp(*text, names[i], length)) continue;
    *text += length;
    return values[i];
  }
  die("a dim that this tool cannot read", NULL);
  return 0;
}

static int64_t dim_product(const char **text, const char *const *names, const int64_t *values, int count) {
  int64_t v = dim_atom(text, names, values, count);
  for (;;) {
    *text += strspn(*text, " ");
    char op = **text;
    if (op != '*' && op != '/' && op != '%') return v;
    ++*text;
    int64_t w = dim_atom(text, names, values, count);
    v = op == '*' ? v * w : op == '/' ? v / w : v % w;
  }
}

static int64_t dim_value(const char **text, const char *const *names, const int64_t *values, int count) {
  int64_t v = dim_product(text, names, values, count);
  for (;;) {
    *text += strspn(*text, " ");
    char op = **text;
    if (op != '+' && op != '-') return v;
    ++*text;
    int64_t w = dim_product(text, names, values, count);
    v = op == '+' ? v + w : v - w;
  }
}

static void fill(suite *s, weir_view *v, weir_tensor_info info) {
  size_t count = view_bytes(v) / weir_dtype_bytes(v->dtype);
  v->data = malloc(view_bytes(v) + 64);
  for (size_t i = 0; i < count; i++) {
    int64_t number = info.lo <= info.hi
                         ? info.lo + below(s, info.hi - info.lo < 1000000 ? info.hi - info.lo + 1 : 1000000)
                         : below(s, 21) - 10;
    double real = below(s, 20001) * 1e-4 - 1;
    switch (v->dtype) {
      case WEIR_DTYPE_F32:
        ((float *)v->data)[i] = (float)real;
        break;
      case WEIR_DTYPE_F64:
        ((double *)v->data)[i] = real;
        break;
      case WEIR_DTYPE_I32:
        ((int32_t *)v->data)[i] = (int32_t)number;
        break;
      case WEIR_DTYPE_I64:
        ((int64_t *)v->data)[i] = number;
        break;
      case WEIR_DTYPE_I16:
      case WEIR_DTYPE_F16:
      case WEIR_DTYPE_BF16:
        ((int16_t *)v->data)[i] = v->dtype == WEIR_DTYPE_I16 ? (int16_t)number : (int16_t)(0x3c00 + below(s, 64));
        break;
      case WEIR_DTYPE_BOOL:
        ((uint8_t *)v->data)[i] = (uint8_t)below(s, 2);
        break;
      default:
        ((uint8_t *)v->data)[i] = (uint8_t)number;
    }
  }
}

// Random inputs; |plain| holds the values of the plain symbols, equal in all requests of an entry.
static void random_call(suite *s, call *c, uint64_t plain) {
  weir_entry_info info = weir_entry_describe(c->entry);
  const char *names[MAX_TENSORS];
  int64_t values[MAX_TENSORS];
  for (int i = 0; i < info.symbol_count && i < MAX_TENSORS; i++) {
    weir_symbol_info symbol = weir_entry_symbol(c->entry, i);
    int64_t hi = symbol.hi < symbol.lo + MAX_LENGTH ? symbol.hi : symbol.lo + MAX_LENGTH;
    int64_t span = hi - symbol.lo + 1;
    names[i] = symbol.name;
    values[i] = symbol.lo + (symbol.role == WEIR_ROLE_PLAIN ? (int64_t)(plain % (uint64_t)span) : below(s, span));
    values[i] += (symbol.divisor - values[i] % symbol.divisor) % symbol.divisor;
  }
  for (int i = 0; i < info.input_count; i++) {
    weir_tensor_info tensor = weir_entry_input(c->entry, i);
    const char *text = tensor.dims;
    weir_view *v = &c->inputs[i];
    v->dtype = tensor.dtype;
    v->rank = tensor.rank;
    for (int d = 0; d < tensor.rank; d++) {
      v->shape[d] = dim_value(&text, names, values, info.symbol_count);
      text += strspn(text, ", ");
    }
    fill(s, v, tensor);
  }
}

static void random_runs(suite *s) {
  const weir_entry *first = NULL;  // a step that takes whole sequences comes before the others
  for (int e = 0; e < weir_model_entry_count(s->model); e++) {
    const weir_entry *entry = weir_model_entry(s->model, e);
    if (weir_entry_describe(entry).step && !growing(entry)) first = entry;
  }
  for (int e = 0; e < weir_model_entry_count(s->model); e++) {
    const weir_entry *entry = weir_model_entry(s->model, e);
    uint64_t plain = (uint64_t)below(s, 1000);
    for (int i = 0; i < RANDOM_RUNS && s->run_count < MAX_RUNS; i++) {
      run *r = &s->runs[s->run_count++];
      *r = (run){.main.entry = entry};
      if (first && first != entry && weir_entry_describe(entry).step) {
        r->before[r->before_count++].entry = first;
        random_call(s, &r->before[0], 0);
      }
      random_call(s, &r->main, plain);
    }
  }
}

// ---- requests of a file

static weir_dtype dtype_of(weir_storage storage) {
  for (int d = 0; d <= WEIR_DTYPE_BOOL; d++) {
    weir_storage found;
    if (weir_storage_from_name(weir_dtype_name((weir_dtype)d), &found) && found == storage) return (weir_dtype)d;
  }
  die("a .npy file of a type that no tensor has", NULL);
  return WEIR_DTYPE_F32;
}

static void read_input(call *c, const char *folder, char *word) {
  char path[1024], *file = strchr(word, '=');
  if (!file) die(word, NULL);
  *file++ = 0;
  for (int i = 0; i < weir_entry_describe(c->entry).input_count; i++) {
    if (strcmp(weir_entry_input(c->entry, i).name, word)) continue;
    weir_npy array;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    must(weir_npy_read(path, &array), path);
    weir_view *v = &c->inputs[i];
    v->dtype = dtype_of(array.storage);
    v->rank = array.rank;
    for (int d = 0; d < v->rank; d++) v->shape[d] = array.dims[d];
    v->data = malloc(array.data_bytes + 64);
    memcpy(v->data, array.data, array.data_bytes);
    weir_npy_release(&array);
    return;
  }
  die(word, NULL);
}

static void read_runs(suite *s, const char *spec, const char *folder) {
  char line[4096];
  FILE *file = fopen(spec, "r");
  if (!file) die(spec, NULL);
  run next = {0};
  while (fgets(line, sizeof line, file)) {
    char *save, *kind = strtok_r(line, " \n", &save), *name = strtok_r(NULL, " \n", &save), *word;
    if (!name || s->run_count == MAX_RUNS) die("a line of the specification", NULL);
    bool before = !strcmp(kind, "before");
    call *c = before ? &next.before[next.before_count++] : &next.main;
    c->entry = weir_model_find_entry(s->model, name);
    if (!c->entry || next.before_count == MAX_BEFORE) die(name, NULL);
    while ((word = strtok_r(NULL, " \n", &save))) read_input(c, folder, word);
    if (before) continue;
    s->runs[s->run_count++] = next;
    next = (run){0};
  }
  fclose(file);
}

static void write_outputs(const suite *s, const char *folder) {
  for (int r = 0; r < s->run_count; r++) {
    for (int i = 0; i < weir_entry_describe(s->runs[r].main.entry).output_count; i++) {
      const weir_view *v = &s->runs[r].outputs[i];
      char path[1024];
      weir_storage storage;
      snprintf(path, sizeof path, "%s/got.%d.%s.npy", folder, r, weir_entry_output(s->runs[r].main.entry, i).name);
      if (!weir_storage_from_name(weir_dtype_name(v->dtype), &storage)) die(path, NULL);
      must(weir_npy_write(path, storage, v->rank, v->shape, v->data), path);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 6) die("usage: invariance PACKAGE SEED CUTS [SPEC FOLDER]", NULL);
  suite *s = calloc(1, sizeof *s);
  s->random = strtoull(argv[2], NULL, 10) * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
  must(weir_model_load(argv[1], NULL, &s->model), argv[1]);
  must(weir_executor_create(s->model, &(weir_executor_options){.threads = 2, .no_pin = true}, &s->executor),
       "executor");
  if (argc == 6) read_runs(s, argv[4], argv[5]);
  else random_runs(s);
  for (int i = 0; i < s->run_count; i++) run_alone(s, &s->runs[i]);
  int cut_count = atoi(argv[3]), schedules = 0;
  for (int e = 0; e < weir_model_entry_count(s->model); e++) {
    const weir_entry *entry = weir_model_entry(s->model, e);
    int count = 0;
    for (int i = 0; i < s->run_count; i++) count += s->runs[i].main.entry == entry;
    if (!count) continue;
    run_packed(s, entry);
    if (!weir_entry_describe(entry).step || !growing(entry)) continue;
    for (int i = 0; i < cut_count; i++, schedules++) run_cut(s, entry, growing(entry));
  }
  if (argc == 6) write_outputs(s, argv[5]);
  printf("%d runs alone and packed, %d schedules of cuts, %d differences\n", s->run_count, schedules, s->failures);
  weir_executor_destroy(s->executor);
  weir_model_release(s->model);
  return s->failures ? 1 : 0;
}
