// Requests with random inputs of random sizes, for whatever the entries of a package take.
#include <stdlib.h>
#include <string.h>

#include "tests/tools/invariance.h"

enum { MAX_LENGTH = 24, RANDOM_RUNS = 3 };

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

// Elements that may be |most| at most, where that is less than the tensor's own bound.
static void fill(suite *s, weir_view *v, weir_tensor_info info, int64_t most) {
  if (info.lo <= info.hi && most < info.hi) info.hi = most < info.lo ? info.lo : most;
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

// An index below a dim has that dim's bound for its own: it must be below the request's value.
static int64_t most_of(const weir_entry *entry, const int64_t *values, weir_tensor_info tensor) {
  int64_t most = tensor.hi;
  for (int i = 0; i < weir_entry_describe(entry).symbol_count; i++)
    if (weir_entry_symbol(entry, i).hi - 1 == tensor.hi && values[i] - 1 < most) most = values[i] - 1;
  return most;
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
    fill(s, v, tensor, most_of(c->entry, values, tensor));
  }
}

void random_runs(suite *s) {
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
