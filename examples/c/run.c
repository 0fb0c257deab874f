// A program that uses a package through weir.h, and needs nothing else of Weir.
//
//   weir_example_run PACKAGE                        lists the entries, their inputs and outputs
//   weir_example_run PACKAGE ENTRY NUMBER...        runs an entry whose only input is a list of i32 ("tokens: i32[T]"),
//   prints its outputs
//
// A step entry is run twice with the same session, the second time with the first number alone, to show that it goes
// on.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir.h>

enum { SHOWN = 8 };

static void tensor_print(const char *role, weir_tensor_info t) {
  printf("  %s %s: %s[%s]", role, t.name, weir_dtype_name(t.dtype), t.dims);
  if (t.lo <= t.hi) printf(" in %lld..=%lld", (long long)t.lo, (long long)t.hi);
  printf("\n");
}

static void entries_print(const weir_model *model) {
  printf("%s, code for %s\n", weir_model_name(model), weir_model_isa(model));
  for (int i = 0; i < weir_model_entry_count(model); i++) {
    const weir_entry *entry = weir_model_entry(model, i);
    weir_entry_info info = weir_entry_describe(entry);
    printf("%s %s\n", info.step ? "step" : "entry", info.name);
    for (int k = 0; k < info.symbol_count; k++) {
      weir_symbol_info s = weir_entry_symbol(entry, k);
      printf("  dim %s in %lld..=%lld%s\n", s.name, (long long)s.lo, (long long)s.hi,
             s.grows ? ", over all calls" : "");
    }
    for (int k = 0; k < info.input_count; k++) tensor_print("in ", weir_entry_input(entry, k));
    for (int k = 0; k < info.output_count; k++) tensor_print("out", weir_entry_output(entry, k));
  }
}

static size_t view_elements(const weir_view *view) {
  size_t count = 1;
  for (int d = 0; d < view->rank; d++) count *= (size_t)view->shape[d];
  return count;
}

static void output_print(const char *name, const weir_view *view) {
  size_t count = view_elements(view);
  printf("%s: %s[", name, weir_dtype_name(view->dtype));
  for (int d = 0; d < view->rank; d++) printf("%s%lld", d ? ", " : "", (long long)view->shape[d]);
  printf("] =");
  for (size_t i = 0; view->dtype == WEIR_DTYPE_F32 && i < count && i < SHOWN; i++)
    printf(" %g", ((float *)view->data)[i]);
  printf("%s\n", count > SHOWN ? " ..." : "");
}

// Asks for the shapes, makes room for the outputs, runs, prints.
static weir_status request_run(weir_executor *executor, const weir_entry *entry, weir_request *request) {
  weir_entry_info info = weir_entry_describe(entry);
  WEIR_TRY(weir_output_shapes(entry, request, 1));
  for (int i = 0; i < info.output_count; i++) {
    weir_view *view = &request->outputs[i];
    view->bytes = view_elements(view) * weir_dtype_bytes(view->dtype);
    view->data = calloc(1, view->bytes ? view->bytes : 1);
    if (!view->data)
      return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for output '%s'", weir_entry_output(entry, i).name);
  }
  weir_status status = weir_run(executor, entry, request, 1, NULL);
  for (int i = 0; i < info.output_count; i++) {
    if (!status) output_print(weir_entry_output(entry, i).name, &request->outputs[i]);
    free(request->outputs[i].data);
  }
  return status;
}

static weir_status entry_run(weir_model *model, const weir_entry *entry, int32_t *numbers, int count) {
  weir_entry_info info = weir_entry_describe(entry);
  if (info.input_count != 1)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' has %d inputs", info.name, info.input_count);
  weir_view input = {.data = numbers, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {count}};
  weir_view *outputs = calloc((size_t)info.output_count + 1, sizeof *outputs);
  if (!outputs) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory");
  weir_request request = {.inputs = &input, .outputs = outputs};
  weir_executor *executor = NULL;
  weir_status status = weir_executor_create(model, NULL, &executor);
  if (!status && info.step) status = weir_session_open(model, NULL, 0, &request.session);
  if (!status) status = request_run(executor, entry, &request);
  if (!status && info.step) {
    input.shape[0] = 1;
    status = request_run(executor, entry, &request);
  }
  weir_memory memory;
  if (!status) {
    weir_memory_measured(executor, &memory);
    printf("memory: %lld bytes, of which %lld are weights\n", (long long)memory.total_bytes,
           (long long)memory.weights_bytes);
  }
  weir_session_close(request.session);
  weir_executor_destroy(executor);
  free(outputs);
  return status;
}

static weir_status number_parse(const char *text, int32_t *out) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || *end || end == text || value < INT32_MIN || value > INT32_MAX) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' is no 32-bit number", text);
  }
  *out = (int32_t)value;
  return WEIR_OK;
}

static weir_status arguments_run(weir_model *model, int count, char **arguments) {
  const weir_entry *entry = weir_model_find_entry(model, arguments[0]);
  if (!entry) return weir_status_make(WEIR_CODE_NOT_FOUND, "no entry '%s'", arguments[0]);
  int32_t *numbers = calloc((size_t)count, sizeof *numbers);
  if (!numbers) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory");
  weir_status status = WEIR_OK;
  for (int i = 1; !status && i < count; i++) status = number_parse(arguments[i], &numbers[i - 1]);
  if (!status) status = entry_run(model, entry, numbers, count - 1);
  free(numbers);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s PACKAGE [ENTRY NUMBER...]\n", argv[0]);
    return 2;
  }
  weir_model *model = NULL;
  weir_status status = weir_model_load(argv[1], NULL, &model);
  if (!status && argc == 2) entries_print(model);
  if (!status && argc > 2) status = arguments_run(model, argc - 2, argv + 2);
  weir_model_release(model);
  if (!status) return 0;
  fprintf(stderr, "%s: %s\n", argv[0], weir_status_message(status));
  weir_code code = weir_status_code(status);
  weir_status_release(status);
  return code == WEIR_CODE_INVALID_ARGUMENT || code == WEIR_CODE_INVALID_DATA || code == WEIR_CODE_OUT_OF_RANGE ? 1 : 3;
}
