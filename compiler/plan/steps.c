// The order of steps, and example runs of those that come first.
#include "compiler/plan/steps.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/plan/example.h"
#include "runtime/exec/model.h"

enum { MAX_TENSORS = 16 };

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

static bool is_under_way(const plan_steps *order, const weir_entry *entry) {
  for (int i = 0; i < order->count; i++)
    if (order->entries[i] == entry) return true;
  return false;
}

// Adds |entry| behind those that must run before it. |waiting| are the ones that wait for it.
static weir_status add_step(const weir_model *model, const weir_entry *entry, plan_steps *waiting, plan_steps *out) {
  const rt_program *p = rt_entry_program(entry);
  if (is_under_way(out, entry)) return WEIR_OK;
  if (is_under_way(waiting, entry) || waiting->count == PLAN_MOST_STEPS)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "step %s waits for itself", p->name);
  waiting->entries[waiting->count++] = entry;
  for (int i = 0; i < p->state_count; i++) {
    if (!p->states[i].reads) continue;
    const weir_entry *writer = writer_of(model, entry, p->states[i].path);
    if (!writer) return weir_status_make(WEIR_CODE_UNSUPPORTED, "no step writes state '%s'", p->states[i].path);
    WEIR_TRY(add_step(model, writer, waiting, out));
  }
  waiting->count--;
  if (out->count == PLAN_MOST_STEPS)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "too many steps before %s", p->name);
  out->entries[out->count++] = entry;
  return WEIR_OK;
}

weir_status plan_steps_order(const weir_model *model, const weir_entry *entry, plan_steps *out) {
  plan_steps waiting = {.count = 0};
  *out = (plan_steps){.count = 0};
  return add_step(model, entry, &waiting, out);
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

weir_status plan_steps_open(weir_model *model, const plan_steps *steps, int64_t wanted, weir_session **out) {
  weir_capacity capacities[MAX_TENSORS];
  int count = 0;
  for (int e = 0; e < steps->count; e++) {
    int symbols = weir_entry_describe(steps->entries[e]).symbol_count;
    for (int i = 0; i < symbols; i++) {
      weir_symbol_info symbol = weir_entry_symbol(steps->entries[e], i);
      if (!symbol.grows) continue;
      count =
          add_capacity(capacities, count, symbol.name, plan_example_size(steps->entries[e], i, wanted * steps->count));
    }
  }
  return weir_session_open(model, capacities, count, out);
}

static weir_status run_example(weir_executor *executor, const weir_entry *entry, int64_t wanted,
                               weir_session *session) {
  weir_entry_info info = weir_entry_describe(entry);
  weir_view inputs[MAX_TENSORS] = {0}, outputs[MAX_TENSORS] = {0};
  int64_t values[MAX_TENSORS];
  if (info.symbol_count > MAX_TENSORS || info.input_count > MAX_TENSORS || info.output_count > MAX_TENSORS)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "entry %s has too many tensors for an example", info.name);
  for (int i = 0; i < info.symbol_count; i++) values[i] = plan_example_size(entry, i, wanted);
  weir_request request = {.session = session, .inputs = inputs, .outputs = outputs};
  weir_status status = plan_example_inputs(entry, values, inputs);
  if (!status) status = weir_output_shapes(entry, &request, 1);
  for (int i = 0; i < info.output_count && !status; i++) status = plan_example_room(&outputs[i]);
  if (!status) status = weir_run(executor, entry, &request, 1, NULL);
  for (int i = 0; i < MAX_TENSORS; i++) {
    free(inputs[i].data);
    free(outputs[i].data);
  }
  return status;
}

weir_status plan_steps_before(weir_executor *executor, const plan_steps *steps, int64_t wanted, weir_session *session) {
  for (int i = 0; i + 1 < steps->count; i++) WEIR_TRY(run_example(executor, steps->entries[i], wanted, session));
  return WEIR_OK;
}
