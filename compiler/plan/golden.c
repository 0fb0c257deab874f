// Making and checking golden answers.
#include "compiler/plan/golden.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/example.h"
#include "compiler/plan/steps.h"
#include "runtime/base/blocks.h"

enum { MAX_TENSORS = 16, SIZE = 5, SAMPLES = 8 };
static const double TOLERANCE = 2e-3;  // of the largest element

typedef struct {
  weir_model *model;
  weir_executor *executor;
  const weir_entry *entry;
  weir_entry_info info;
  weir_view inputs[MAX_TENSORS], outputs[MAX_TENSORS];
} golden_run;

static const weir_storage storages[] = {
    WEIR_STORAGE_F16, WEIR_STORAGE_BF16, WEIR_STORAGE_F32, WEIR_STORAGE_F64, WEIR_STORAGE_F8_E4M3, WEIR_STORAGE_F8_E5M2,
    WEIR_STORAGE_I8,  WEIR_STORAGE_I16,  WEIR_STORAGE_I32, WEIR_STORAGE_I64, WEIR_STORAGE_U8,      WEIR_STORAGE_BOOL};

static int64_t count_of(const weir_view *view) { return (int64_t)(view->bytes / weir_dtype_bytes(view->dtype)); }

static weir_status make_inputs(golden_run *run) {
  if (run->info.symbol_count > MAX_TENSORS || run->info.input_count > MAX_TENSORS ||
      run->info.output_count > MAX_TENSORS) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "entry %s has too many tensors for a golden answer", run->info.name);
  }
  int64_t values[MAX_TENSORS];
  for (int i = 0; i < run->info.symbol_count; i++) values[i] = plan_example_size(run->entry, i, SIZE);
  return plan_example_inputs(run->entry, values, run->inputs);
}

static weir_status call(golden_run *run, weir_session *session) {
  weir_request request = {.session = session, .inputs = run->inputs, .outputs = run->outputs};
  WEIR_TRY(weir_output_shapes(run->entry, &request, 1));
  for (int i = 0; i < run->info.output_count; i++) WEIR_TRY(plan_example_room(&run->outputs[i]));
  return weir_run(run->executor, run->entry, &request, 1, NULL);
}

static void free_outputs(golden_run *run) {
  for (int i = 0; i < MAX_TENSORS; i++) free(run->outputs[i].data);
  memset(run->outputs, 0, sizeof run->outputs);
}

static void free_tensors(golden_run *run) {
  for (int i = 0; i < MAX_TENSORS; i++) free(run->inputs[i].data);
  free_outputs(run);
}

// Whether a sequence may be twice as long as the request.
static bool has_room_for_two(const golden_run *run) {
  bool grows = false;
  for (int i = 0; i < run->info.symbol_count; i++) {
    weir_symbol_info symbol = weir_entry_symbol(run->entry, i);
    if (symbol.grows && 2 * plan_example_size(run->entry, i, SIZE) > symbol.hi) return false;
    grows |= symbol.grows;
  }
  return grows;
}

// A step starts from a new session, in which those have run that write what it reads. One that grows runs twice: the
// second call has rows before it.
static weir_status run_entry(golden_run *run) {
  weir_session *session = NULL;
  plan_steps steps;
  WEIR_TRY(make_inputs(run));
  if (!run->info.step) return call(run, NULL);
  WEIR_TRY(plan_steps_order(run->model, run->entry, &steps));
  WEIR_TRY(plan_steps_open(run->model, &steps, 2 * SIZE, &session));
  weir_status status = plan_steps_before(run->executor, &steps, SIZE, session);
  for (int calls = has_room_for_two(run) ? 2 : 1; calls > 0 && !status; calls--) {
    free_outputs(run);
    status = call(run, session);
  }
  weir_session_close(session);
  return status;
}

static weir_status element(const weir_view *view, int64_t index, double *out) {
  const uint8_t *place = (const uint8_t *)view->data + index * (int64_t)weir_dtype_bytes(view->dtype);
  return weir_storage_decode_f64(storages[view->dtype], place, 1, out);
}

static int64_t sample_index(int64_t count, int sample) {
  return count > SAMPLES ? (count - 1) / (SAMPLES - 1) * sample : sample;
}

static weir_status largest_of(const weir_view *view, double *out) {
  *out = 0;
  for (int64_t i = 0; i < count_of(view); i++) {
    double value;
    WEIR_TRY(element(view, i, &value));
    if (fabs(value) > *out) *out = fabs(value);
  }
  return WEIR_OK;
}

// Numbers as text: JSON has no infinities, and a NaN must be seen.
static json_t *number_json(double value) {
  char text[40];
  snprintf(text, sizeof text, "%.17g", value);
  return json_string(text);
}

static weir_status output_json(const weir_view *view, json_t **out) {
  json_t *samples = json_array();
  int64_t count = count_of(view);
  double largest = 0;
  weir_status status = largest_of(view, &largest);
  for (int i = 0; i < SAMPLES && i < count && !status; i++) {
    double value;
    status = element(view, sample_index(count, i), &value);
    if (!status) json_array_append_new(samples, number_json(value));
  }
  *out = json_pack("{s:I,s:o,s:o}", "count", (json_int_t)count, "largest", number_json(largest), "samples", samples);
  return status;
}

weir_status plan_golden_make(weir_model *model, weir_executor *executor, text_buffer *out) {
  json_t *root = json_object();
  weir_status status = WEIR_OK;
  for (int i = 0; i < weir_model_entry_count(model) && !status; i++) {
    golden_run run = {.model = model, .executor = executor, .entry = weir_model_entry(model, i)};
    run.info = weir_entry_describe(run.entry);
    json_t *outputs = json_array();
    status = run_entry(&run);
    weir_code code = weir_status_code(status);
    if (code == WEIR_CODE_UNSUPPORTED || code == WEIR_CODE_OUT_OF_RANGE ||
        code == WEIR_CODE_OUT_OF_MEMORY) {  // goes without
      weir_status_release(status);
      status = WEIR_OK;
      run.info.output_count = 0;
    }
    for (int k = 0; k < run.info.output_count && !status; k++) {
      json_t *item = NULL;
      status = output_json(&run.outputs[k], &item);
      json_array_append_new(outputs, item);
    }
    json_object_set_new(root, run.info.name, outputs);
    free_tensors(&run);
  }
  char *text = json_dumps(root, JSON_INDENT(1));
  json_decref(root);
  if (!status)
    status = text ? text_buffer_append(out, text, strlen(text))
                  : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for golden answers");
  free(text);
  return weir_status_annotate(status, "golden answers");
}

// ---- checking

static weir_status compare_output(const char *entry, int index, const weir_view *view, const json_t *recorded,
                                  plan_golden_report *report) {
  int64_t count = count_of(view);
  const json_t *samples = json_object_get(recorded, "samples");
  const char *text = json_string_value(json_object_get(recorded, "largest"));
  double scale = text ? strtod(text, NULL) : 0;
  if (json_integer_value(json_object_get(recorded, "count")) != count) {
    return weir_status_make(WEIR_CODE_INVALID_DATA, "entry %s, output %d has another size than was recorded", entry,
                            index);
  }
  for (int i = 0; i < SAMPLES && i < count; i++) {
    const char *wanted = json_string_value(json_array_get(samples, (size_t)i));
    double expected = wanted ? strtod(wanted, NULL) : NAN, value;
    WEIR_TRY(element(view, sample_index(count, i), &value));
    if (isnan(expected) && isnan(value) && wanted) continue;
    double error = expected == value ? 0 : fabs(value - expected) / (scale > 0 ? scale : 1);
    if (!(error <= TOLERANCE)) {
      return weir_status_make(WEIR_CODE_INVALID_DATA,
                              "entry %s, output %d, element %lld is %.9g; %.9g was recorded when it was built", entry,
                              index, (long long)sample_index(count, i), value, expected);
    }
    if (error > report->largest_error) report->largest_error = error;
  }
  return WEIR_OK;
}

static weir_status check_entry(golden_run *run, const json_t *outputs, plan_golden_report *report) {
  if (!json_array_size(outputs)) return WEIR_OK;
  WEIR_TRY(run_entry(run));
  if ((int)json_array_size(outputs) != run->info.output_count)
    return weir_status_make(WEIR_CODE_INVALID_DATA, "golden answers of entry %s do not fit it", run->info.name);
  for (int k = 0; k < run->info.output_count; k++) {
    WEIR_TRY(compare_output(run->info.name, k, &run->outputs[k], json_array_get(outputs, (size_t)k), report));
  }
  report->entries++;
  return WEIR_OK;
}

weir_status plan_golden_check(const rt_package *package, weir_executor *executor, weir_model *model,
                              plan_golden_report *out_report) {
  *out_report = (plan_golden_report){0};
  const rt_section *section = rt_package_find(package, RT_SECTION_GOLDEN);
  if (!section) return WEIR_OK;
  WEIR_TRY(rt_package_check(package, section));
  json_error_t error;
  json_t *root = json_loadb((const char *)section->data, section->bytes, 0, &error);
  if (!root) return weir_status_make(WEIR_CODE_INVALID_DATA, "golden answers: line %d: %s", error.line, error.text);
  weir_status status = WEIR_OK;
  const char *name;
  json_t *outputs;
  json_object_foreach(root, name, outputs) {
    golden_run run = {.model = model, .executor = executor, .entry = weir_model_find_entry(model, name)};
    if (!run.entry) {
      status =
          weir_status_make(WEIR_CODE_INVALID_DATA, "golden answers name entry '%s', which the package lacks", name);
      break;
    }
    run.info = weir_entry_describe(run.entry);
    status = check_entry(&run, outputs, out_report);
    free_tensors(&run);
    if (status) break;
  }
  json_decref(root);
  return status;
}
