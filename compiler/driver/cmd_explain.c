// weir explain: the compiler's decisions about fusion, the memory plan, and what each kernel costs.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cost.h"
#include "compiler/driver/explain_rules.h"
#include "compiler/driver/explain_states.h"
#include "compiler/driver/model.h"
#include "compiler/plan/example.h"
#include "compiler/plan/steps.h"

enum { MOST_SYMBOLS = 16, MEASURED_RUNS = 3 };

typedef struct {
  cli *c;
  cli_front front;
  cli_roof roof;
  int64_t requests;
  json_t *document;
} explanation;

static bool is_wanted(const explanation *x, const rt_program *program) {
  const char *entry = cli_text(x->c, "entry");
  return !entry || !strcmp(program->name, entry);
}

// ---- fusion

// Adds the function called |name| and all that it calls.
static void reach(explanation *x, const char *name, bool *reached) {
  const ir_module *module = x->front.unit.graph->module;
  for (int i = 0; i < module->function_count; i++) {
    if (reached[i] || strcmp(module->functions[i]->name, name)) continue;
    reached[i] = true;  // calls do not recur, and nest as deep as the text's blocks
    for (const ir_node *node = module->functions[i]->first; node; node = node->next) {
      if (node->callee) reach(x, node->callee->name, reached);
      if (node->second) reach(x, node->second->name, reached);
    }
  }
}

// Which functions of the module the wanted entries reach.
static bool *functions_wanted(explanation *x) {
  const cg_module *code = x->front.unit.code;
  bool *reached = WEIR_NEW_ARRAY(&x->c->arena, bool, x->front.unit.graph->module->function_count + 1);
  for (int i = 0; i < code->program_count; i++)
    if (is_wanted(x, code->programs[i])) reach(x, code->programs[i]->name, reached);
  return reached;
}

static bool is_reached(const explanation *x, const bool *reached, const char *function) {
  const ir_module *module = x->front.unit.graph->module;
  for (int i = 0; i < module->function_count; i++)
    if (reached[i] && !strcmp(module->functions[i]->name, function)) return true;
  return false;
}

static void explain_fusion(explanation *x) {
  const bool *reached = functions_wanted(x);
  const cg_module *code = x->front.unit.code;
  json_t *list = json_array();
  const char *function = "";
  if (!x->c->json) printf("FUSION\n");
  for (int i = 0; i < code->decision_count; i++) {
    const cg_decision *d = &code->decisions[i];
    const char *to = *d->consumer ? d->consumer : "result";
    if (!is_reached(x, reached, d->function)) continue;
    json_array_append_new(
        list, json_pack("{s:s,s:s?,s:i,s:i,s:s,s:s,s:b,s:s,s:I}", "function", d->function, "file", d->loc.file, "line",
                        d->loc.line, "column", d->loc.column, "producer", d->producer, "consumer", to, "fused",
                        d->fused, "reason", d->reason, "saved_bytes", (json_int_t)d->saved_bytes));
    if (x->c->json) continue;
    if (strcmp(function, d->function)) printf("  %s\n", d->function);
    function = d->function;
    printf("    %-12s -> %-12s %-6s %s", d->producer, to, d->fused ? "fused" : "apart", d->reason);
    if (d->saved_bytes) printf("; %s a row", cli_bytes(&x->c->arena, (double)d->saved_bytes));
    if (d->loc.line) printf("  (%s:%d)", d->loc.file ? d->loc.file : "", d->loc.line);
    printf("\n");
  }
  json_object_set_new(x->document, "fusion", list);
}

// ---- sizes

static int read_sizes(explanation *x, const rt_program *program, int64_t *values) {
  cli *c = x->c;
  for (int i = 0; i < program->symbol_count; i++) {
    const rt_symbol *symbol = &program->symbols[i];
    values[i] = symbol->hi < 128 ? symbol->hi : symbol->lo > 128 ? symbol->lo : 128;
    if (symbol->divisor > 1) values[i] -= values[i] % symbol->divisor;
  }
  for (int k = 0; k < cli_count(c, "size"); k++) {
    const char *text = cli_text_at(c, "size", k), *equals = strchr(text, '=');
    char *end = NULL;
    long long value = equals ? strtoll(equals + 1, &end, 10) : 0;
    if (!equals || !equals[1] || *end) return cli_usage(c, "--size wants NAME=N, not '%s'", text);
    for (int i = 0; i < program->symbol_count; i++) {
      const rt_symbol *symbol = &program->symbols[i];
      if (strlen(symbol->name) != (size_t)(equals - text) || memcmp(symbol->name, text, (size_t)(equals - text)))
        continue;
      if (value < symbol->lo || value > symbol->hi) {
        return cli_usage(c, "%s is between %lld and %lld", symbol->name, (long long)symbol->lo, (long long)symbol->hi);
      }
      values[i] = value;
    }
  }
  return CLI_DONE;
}

// Every --size names a symbol of some entry.
static int check_size_names(explanation *x) {
  const cg_module *code = x->front.unit.code;
  for (int k = 0; k < cli_count(x->c, "size"); k++) {
    const char *text = cli_text_at(x->c, "size", k);
    bool known = false;
    for (int p = 0; p < code->program_count; p++) {
      for (int i = 0; i < code->programs[p]->symbol_count; i++) {
        size_t length = strlen(code->programs[p]->symbols[i].name);
        known = known || (!strncmp(text, code->programs[p]->symbols[i].name, length) && text[length] == '=');
      }
    }
    if (!known) return cli_usage(x->c, "no entry has the size of --size %s", text);
  }
  return CLI_DONE;
}

// ---- memory

// The last of |buffers|, unless an equal one was printed: equal layers use the same places.
static void print_buffer(const json_t *buffers, const char *name, int64_t offset, int64_t bytes) {
  size_t count = json_array_size(buffers);
  for (size_t i = 0; i + 1 < count; i++) {
    if (json_equal(json_array_get(buffers, i), json_array_get(buffers, count - 1))) return;
  }
  printf("    %10lld .. %10lld  %s\n", (long long)offset, (long long)(offset + bytes), name);
}

static void explain_memory(explanation *x, const cli_program_cost *cost, json_t *entry) {
  const rt_program *program = cost->program;
  cli *c = x->c;
  json_t *buffers = json_array();
  if (!c->json) {
    printf("  memory: %s of temporaries at its peak, %s of weights read\n",
           cli_bytes(&c->arena, (double)cost->arena_bytes), cli_bytes(&c->arena, (double)cost->weights_bytes));
  }
  for (int i = 0; i < program->buffer_count; i++) {
    int64_t bytes = 0, offset = 0;
    if (!rt_expr_eval(program->buffers[i].bytes, cost->sizes, &bytes) ||
        !rt_expr_eval(program->buffers[i].offset, cost->sizes, &offset))
      continue;
    const char *name = program->buffers[i].name ? program->buffers[i].name : "";
    json_array_append_new(
        buffers, json_pack("{s:s,s:I,s:I}", "name", name, "offset", (json_int_t)offset, "bytes", (json_int_t)bytes));
    if (!c->json) print_buffer(buffers, name, offset, bytes);
  }
  if (program->step) json_object_set_new(entry, "states", cli_explain_states(c, program));
  json_object_set_new(entry, "arena_bytes", json_integer(cost->arena_bytes));
  json_object_set_new(entry, "weights_bytes", json_integer(cost->weights_bytes));
  json_object_set_new(entry, "buffers", buffers);
}

// ---- measuring

static void free_views(weir_view *views, int count) {
  for (int i = 0; i < count; i++) free(views[i].data);
}

typedef struct {
  cli_model model;
  const weir_entry *entry;
  weir_entry_info info;
  int requests;
  weir_view *inputs, *outputs;
  weir_request *calls;
  weir_launch_time *times;
  plan_steps steps;
  int64_t largest;  // of the sizes
} measurement;

// Empty sessions, in which those steps have run that the measured one waits for.
static weir_status begin_sessions(measurement *m) {
  for (int r = 0; m->info.step && r < m->requests; r++) {
    WEIR_TRY(weir_session_truncate(m->calls[r].session, NULL, 0));
    WEIR_TRY(plan_steps_before(m->model.executor, &m->steps, m->largest, m->calls[r].session));
  }
  return WEIR_OK;
}

static weir_status open_sessions(measurement *m, const int64_t *values) {
  if (!m->info.step) return WEIR_OK;
  WEIR_TRY(plan_steps_order(m->model.model, m->entry, &m->steps));
  for (int i = 0; i < m->info.symbol_count; i++) m->largest = values[i] > m->largest ? values[i] : m->largest;
  for (int r = 0; r < m->requests; r++)
    WEIR_TRY(plan_steps_open(m->model.model, &m->steps, m->largest, &m->calls[r].session));
  return begin_sessions(m);
}

static weir_status prepare(measurement *m, const int64_t *values) {
  for (int r = 0; r < m->requests; r++) {
    m->calls[r].inputs = m->inputs + r * m->info.input_count;
    m->calls[r].outputs = m->outputs + r * m->info.output_count;
    WEIR_TRY(plan_example_inputs(m->entry, values, m->inputs + r * m->info.input_count));
  }
  WEIR_TRY(open_sessions(m, values));
  WEIR_TRY(weir_output_shapes(m->entry, m->calls, m->requests));
  for (int i = 0; i < m->requests * m->info.output_count; i++) WEIR_TRY(plan_example_room(&m->outputs[i]));
  return WEIR_OK;
}

// The least of a few runs, kernel by kernel.
static weir_status measure_runs(explanation *x, measurement *m, cli_program_cost *cost) {
  int launches = weir_entry_launch_count(m->entry);
  double *sums = WEIR_NEW_ARRAY(&x->c->arena, double, cost->program->kernel_count + 1);
  for (int run = 0; run <= MEASURED_RUNS; run++) {  // the first one warms up
    weir_run_options options = {.cancel = x->c->cancel, .times = m->times, .time_capacity = launches};
    WEIR_TRY(begin_sessions(m));
    WEIR_TRY(weir_run(m->model.executor, m->entry, m->calls, m->requests, &options));
    memset(sums, 0, (size_t)cost->program->kernel_count * sizeof *sums);
    for (int i = 0; i < options.time_count; i++) {
      for (int k = 0; k < cost->program->kernel_count; k++) {
        if (!strcmp(cost->kernels[k].kernel, m->times[i].kernel)) sums[k] += 1e-9 * (double)m->times[i].ns;
      }
    }
    for (int k = 0; run && k < cost->program->kernel_count; k++) {
      if (run == 1 || sums[k] < cost->kernels[k].measured_s) cost->kernels[k].measured_s = sums[k];
    }
  }
  return WEIR_OK;
}

static int measure(explanation *x, cli_program_cost *cost, const int64_t *values) {
  cli *c = x->c;
  measurement m = {.requests = (int)x->requests};
  int code = cli_model_open(c, c->arguments[0], false, &m.model);
  if (!code) code = cli_entry_find(c, &m.model, cost->program->name, NULL, &m.entry);
  if (!code) {
    m.info = weir_entry_describe(m.entry);
    m.inputs = WEIR_NEW_ARRAY(&c->arena, weir_view, m.requests * m.info.input_count);
    m.outputs = WEIR_NEW_ARRAY(&c->arena, weir_view, m.requests * m.info.output_count);
    m.calls = WEIR_NEW_ARRAY(&c->arena, weir_request, m.requests);
    m.times = WEIR_NEW_ARRAY(&c->arena, weir_launch_time, weir_entry_launch_count(m.entry));
    weir_status status = prepare(&m, values);
    if (!status) status = measure_runs(x, &m, cost);
    code = cli_fail(c, status);
    for (int r = 0; r < m.requests; r++) weir_session_close(m.calls[r].session);
    free_views(m.inputs, m.requests * m.info.input_count);
    free_views(m.outputs, m.requests * m.info.output_count);
  }
  cli_model_close(&m.model);
  return code;
}

// ---- kernels

static int by_prediction(const void *a, const void *b) {
  const cli_kernel_cost *x = a, *y = b;
  double p = x->measured_s > 0 ? x->measured_s : x->bytes + x->flops,
         q = y->measured_s > 0 ? y->measured_s : y->bytes + y->flops;
  return p < q ? 1 : p > q ? -1 : 0;
}

static void explain_kernels(explanation *x, cli_program_cost *cost, json_t *entry) {
  cli *c = x->c;
  json_t *list = json_array();
  int count = cost->program->kernel_count;
  double predicted = 0, measured = 0;
  qsort(cost->kernels, (size_t)count, sizeof *cost->kernels, by_prediction);
  if (!c->json)
    printf("  %-52s %8s %10s %10s %10s %10s %6s\n", "kernel", "launches", "flops", "bytes", "predicted", "measured",
           "roof");
  for (int i = 0; i < count; i++) {
    const cli_kernel_cost *k = &cost->kernels[i];
    double least = cli_cost_predict(k->flops, k->bytes, &x->roof),
           share = k->measured_s > 0 ? 100 * least / k->measured_s : 0;
    predicted += least;
    measured += k->measured_s;
    json_t *item =
        json_pack("{s:s,s:I,s:f,s:f,s:f,s:f}", "kernel", k->kernel, "launches", (json_int_t)llround(k->launches),
                  "items", k->items, "flops", k->flops, "bytes", k->bytes, "predicted_s", least);
    if (k->measured_s > 0) {
      json_object_set_new(item, "measured_s", json_real(k->measured_s));
      json_object_set_new(item, "roof_percent", json_real(share));
    }
    json_array_append_new(list, item);
    if (c->json || k->launches <= 0) continue;
    printf("  %-52s %8.0f %10.3g %10s %7.3f ms", k->kernel, k->launches, k->flops, cli_bytes(&c->arena, k->bytes),
           1e3 * least);
    if (k->measured_s > 0) printf(" %7.3f ms %5.0f%%", 1e3 * k->measured_s, share);
    printf("\n");
  }
  if (!c->json) {
    printf("  %-52s %8s %10s %10s %7.3f ms", "total", "", "", "", 1e3 * predicted);
    if (measured > 0) printf(" %7.3f ms %5.0f%%", 1e3 * measured, 100 * predicted / measured);
    printf("\n");
  }
  json_object_set_new(entry, "kernels", list);
  json_object_set_new(entry, "predicted_s", json_real(predicted));
  if (measured > 0) json_object_set_new(entry, "measured_s", json_real(measured));
}

static json_t *sizes_json(const rt_program *program, const int64_t *values) {
  json_t *sizes = json_object();
  for (int i = 0; i < program->symbol_count; i++)
    json_object_set_new(sizes, program->symbols[i].name, json_integer(values[i]));
  return sizes;
}

static int explain_entry(explanation *x, const rt_program *program, json_t *entries) {
  cli *c = x->c;
  int64_t values[MOST_SYMBOLS];
  cli_program_cost cost;
  cli_call call = {.values = values, .requests = (int)x->requests};
  if (program->symbol_count > MOST_SYMBOLS) return cli_error(c, "entry %s has too many sizes", program->name);
  int code = read_sizes(x, program, values);
  if (!code) code = cli_fail(c, cli_cost_of(&c->arena, x->front.unit.code, program, &call, &cost));
  if (!code && cli_has(c, "measure")) code = measure(x, &cost, values);
  if (code) return code;
  json_t *entry = json_pack("{s:s,s:b,s:o,s:I}", "entry", program->name, "step", program->step, "sizes",
                            sizes_json(program, values), "requests", (json_int_t)x->requests);
  if (!c->json) {
    printf("\n%s %s, %lld request%s", program->step ? "STEP" : "ENTRY", program->name, (long long)x->requests,
           x->requests == 1 ? "" : "s");
    for (int i = 0; i < program->symbol_count; i++)
      printf(", %s = %lld", program->symbols[i].name, (long long)values[i]);
    printf("\n");
  }
  explain_memory(x, &cost, entry);
  explain_kernels(x, &cost, entry);
  json_array_append_new(entries, entry);
  return CLI_DONE;
}

static int explain(explanation *x) {
  cli *c = x->c;
  const cg_module *code = x->front.unit.code;
  const char *entry = cli_text(c, "entry");
  bool found = !entry;
  for (int i = 0; i < code->program_count; i++) found = found || is_wanted(x, code->programs[i]);
  if (!found) return cli_error(c, "the model has no entry '%s'", entry);
  if (cli_has(c, "rules")) {
    cli_explain_rules(c, &x->front.unit, x->document);
    return CLI_DONE;
  }
  int result = check_size_names(x);
  if (!result) result = cli_fail(c, cli_roof_measure(0, &x->roof));
  if (result) return result;
  explain_fusion(x);
  cli_explain_rules(c, &x->front.unit, x->document);
  if (!c->json) {
    printf("\nPASSES\n%s\nROOF  %.1f GB/s read, %.1f Gflop/s on %d threads\n", x->front.unit.passes,
           1e-9 * x->roof.read_bytes_per_s, 1e-9 * x->roof.flops_per_s, x->roof.threads);
  }
  json_object_set_new(x->document, "roof", cli_roof_json(&x->roof));
  json_t *entries = json_array();
  json_object_set_new(x->document, "entries", entries);
  for (int i = 0; i < code->program_count && !result; i++) {
    if (is_wanted(x, code->programs[i])) result = explain_entry(x, code->programs[i], entries);
  }
  return result;
}

int cmd_explain(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  if (cli_is_code(c->arguments[0])) return cli_explain_code(c, c->arguments[0]);
  explanation x = {.c = c, .requests = 1, .document = json_object()};
  if (!cli_int(c, "requests", 1, 4096, &x.requests)) return CLI_USAGE;
  int code = cli_front_open(c, c->arguments[0], &x.front);
  if (!code) code = explain(&x);
  plan_close(&x.front.unit);
  if (!code && c->json) return cli_json(c, x.document);
  json_decref(x.document);
  return code;
}
