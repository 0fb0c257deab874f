// Making and checking golden answers.
#include "compiler/plan/golden.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/example.h"
#include "runtime/base/blocks.h"
#include "runtime/exec/model.h"

enum { MAX_TENSORS = 16, MAX_BEFORE = 8, SAMPLES = 8 };
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
  for (int i = 0; i < run->info.symbol_count; i++) values[i] = plan_example_size(run->entry, i, 5);
  return plan_example_inputs(run->entry, values, run->inputs);
}

static weir_status call(golden_run *run, weir_session *session) {
  weir_request request = {.session = session, .inputs = run->inputs, .outputs = run->outputs};
  WEIR_TRY(weir_output_shapes(run->entry, &request, 1));
  for (int i = 0; i < run->info.output_count; i++) WEIR_TRY(plan_example_room(&run->outputs[i]));
  return weir_run(run->executor, run->entry, &request, 1, NULL);
}

static void free_tensors(golden_run *run) {
  for (int i = 0; i < MAX_TENSORS; i++) {
    free(run->inputs[i].data);
    free(run->outputs[i].data);
  }
}

// ---- steps: each starts from a new session, in which those have run that write what it reads

typedef struct {
  const weir_entry *entries[MAX_BEFORE + 1];  // the last one is the step itself
  int count;
} step_order;

// A step other than |reader| that writes the state.
static const weir_entry *writer_of(const weir_model *model, const weir_entry *reader, const char *path) {
  for (int e = 0; e < weir_model_entry_count(model); e++) {
    const rt_program *p = rt_entry_program(weir_model_entry(model, e));
    if (!p->step || weir_model_entry(model, e) == reader) continue;
    for (int i = 0; i < p->state_count; i++)
      if (p->states[i].writes && !strcmp(p->states[i].path, path)) return weir_model_entry(model, e);
  }
  return NULL;
}

static bool is_under_way(const step_order *order, const weir_entry *entry) {
  for (int i = 0; i < order->count; i++)
    if (order->entries[i] == entry) return true;
  return false;
}

// Adds |entry| behind those that must run before it. |waiting| are the ones that wait for it.
static weir_status add_step(const weir_model *model, const weir_entry *entry, step_order *waiting, step_order *out) {
  const rt_program *p = rt_entry_program(entry);
  if (is_under_way(out, entry)) return WEIR_OK;
  if (is_under_way(waiting, entry) || waiting->count == MAX_BEFORE)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "step %s waits for itself", p->name);
  waiting->entries[waiting->count++] = entry;
  for (int i = 0; i < p->state_count; i++) {
    if (!p->states[i].reads) continue;
    const weir_entry *writer = writer_of(model, entry, p->states[i].path);
    if (!writer) return weir_status_make(WEIR_CODE_UNSUPPORTED, "no step writes state '%s'", p->states[i].path);
    WEIR_TRY(add_step(model, writer, waiting, out));
  }
  waiting->count--;
  if (out->count > MAX_BEFORE) return weir_status_make(WEIR_CODE_UNSUPPORTED, "too many steps before %s", p->name);
  out->entries[out->count++] = entry;
  return WEIR_OK;
}

static int add_capacity(weir_capacity *capacities, int count, const char *symbol, int64_t rows) {
  for (int i = 0; i < count; i++) {
    if (strcmp(capacities[i].symbol, symbol)) continue;
    if (rows > capacities[i].rows) capacities[i].rows = rows;
    return count;
  }
  if (count < MAX_TENSORS) capacities[count++] = (weir_capacity){symbol, rows};
  return count;
}

// Room for the rows of all steps of |order|.
static weir_status open_session(const golden_run *run, const step_order *order, weir_session **out) {
  weir_capacity capacities[MAX_TENSORS];
  int count = 0;
  for (int e = 0; e < order->count; e++) {
    int symbols = weir_entry_describe(order->entries[e]).symbol_count;
    for (int i = 0; i < symbols; i++) {
      weir_symbol_info symbol = weir_entry_symbol(order->entries[e], i);
      if (!symbol.grows) continue;
      count = add_capacity(capacities, count, symbol.name, plan_example_size(order->entries[e], i, 5 * order->count));
    }
  }
  return weir_session_open(run->model, capacities, count, out);
}

static weir_status run_before(const golden_run *run, const weir_entry *entry, weir_session *session) {
  golden_run before = {.model = run->model, .executor = run->executor, .entry = entry};
  before.info = weir_entry_describe(entry);
  weir_status status = make_inputs(&before);
  if (!status) status = call(&before, session);
  free_tensors(&before);
  return status;
}

static weir_status run_entry(golden_run *run) {
  weir_session *session = NULL;
  WEIR_TRY(make_inputs(run));
  if (!run->info.step) return call(run, NULL);
  step_order order = {.count = 0}, waiting = {.count = 0};
  WEIR_TRY(add_step(run->model, run->entry, &waiting, &order));
  WEIR_TRY(open_session(run, &order, &session));
  weir_status status = WEIR_OK;
  for (int i = 0; i + 1 < order.count && !status; i++) status = run_before(run, order.entries[i], session);
  if (!status) status = call(run, session);
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
