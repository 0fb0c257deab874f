// weir explain: the compiler's decisions about fusion, the memory plan, what each kernel costs, and where its time
// goes.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/cost.h"
#include "compiler/driver/explain_library.h"
#include "compiler/driver/explain_rules.h"
#include "compiler/driver/explain_states.h"
#include "compiler/driver/model.h"
#include "compiler/driver/perf.h"

enum { MOST_SYMBOLS = 16 };

typedef struct {
  cli *c;
  cli_front front;
  cli_roof roof;
  int64_t requests, past;
  bool perf;  // of time alone
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

static int measure(explanation *x, const rt_program *program, const int64_t *values, cli_kernel_time *times) {
  cli *c = x->c;
  cli_model model;
  cli_trial trial = {0};
  const weir_entry *entry;
  int code = cli_model_open(c, c->arguments[0], false, &model);
  if (!code) code = cli_entry_find(c, &model, program->name, NULL, &entry);
  if (!code) {
    weir_status status =
        cli_trial_open(&c->arena, &model, entry, values, 0, (int)x->requests, program->step ? x->past : 0, 0, &trial);
    if (!status) status = cli_perf_measure(c, &trial, times);
    code = cli_fail(c, status);
    cli_trial_close(&trial);
  }
  cli_model_close(&model);
  return code;
}

// ---- kernels

// A kernel with what is known of it.
typedef struct {
  const cli_kernel_cost *cost;
  const cli_kernel_time *time;  // |wall_s| 0: not measured
  double predicted_s;
} row;

static int by_time(const void *a, const void *b) {
  const row *x = a, *y = b;
  bool measured = x->time->wall_s > 0 || y->time->wall_s > 0;
  double p = measured ? x->time->wall_s : x->predicted_s, q = measured ? y->time->wall_s : y->predicted_s;
  return p < q ? 1 : p > q ? -1 : 0;
}

static json_t *row_json(explanation *x, const row *r) {
  const cli_kernel_cost *k = r->cost;
  const cli_kernel_time *t = r->time;
  json_t *item = json_pack("{s:s,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "kernel", k->kernel, "launches",
                           (json_int_t)llround(k->launches), "items", k->items, "flops", k->work.flops, "decode_flops",
                           k->work.decode_flops, "bf16_ops", k->work.bf16_ops, "int8_ops", k->work.int8_ops, "bytes",
                           k->work.bytes, "predicted_s", r->predicted_s);
  if (t->wall_s <= 0) return item;
  cli_shares shares = cli_cost_shares(&k->work, &x->roof, t->wall_s);
  json_object_set_new(item, "measured_s", json_real(t->wall_s));
  json_object_set_new(item, "roof_percent", json_real(cli_shares_percent(&shares)));
  json_object_set_new(item, "binds", json_string(cli_shares_binds(&shares)));
  json_object_set_new(item, "memory_percent", json_real(shares.memory_percent));
  json_object_set_new(item, "compute_percent", json_real(shares.compute_percent));
  json_object_set_new(item, "why", json_string(cli_perf_why(&x->c->arena, k, t, &x->roof)));
  if (!t->complete) return item;
  json_object_set_new(item, "overhead_s", json_real(t->wall_s - t->longest_s));
  json_object_set_new(item, "imbalance_s", json_real(t->longest_s - t->mean_s));
  return item;
}

static void print_row(explanation *x, const row *r) {
  const cli_kernel_cost *k = r->cost;
  printf("  %-52s %8.0f %10.3g %10s %7.3f ms", k->kernel, k->launches,
         k->work.flops + k->work.bf16_ops + k->work.int8_ops, cli_bytes(&x->c->arena, k->work.bytes),
         1e3 * r->predicted_s);
  if (r->time->wall_s > 0) {
    cli_shares shares = cli_cost_shares(&k->work, &x->roof, r->time->wall_s);
    printf(" %7.3f ms %5.0f%% %-7s", 1e3 * r->time->wall_s, cli_shares_percent(&shares), cli_shares_binds(&shares));
    if (x->perf) printf("  %s", cli_perf_why(&x->c->arena, k, r->time, &x->roof));
  }
  printf("\n");
}

static void print_total(explanation *x, const cli_work *work, double predicted, double measured) {
  printf("  %-52s %8s %10.3g %10s %7.3f ms", "total", "", work->flops + work->bf16_ops + work->int8_ops,
         cli_bytes(&x->c->arena, work->bytes), 1e3 * predicted);
  if (measured > 0) {
    cli_shares shares = cli_cost_shares(work, &x->roof, measured);
    printf(" %7.3f ms %5.0f%% %s", 1e3 * measured, cli_shares_percent(&shares), cli_shares_binds(&shares));
  }
  printf("\n");
}

static void explain_kernels(explanation *x, const cli_program_cost *cost, const cli_kernel_time *times, json_t *entry) {
  cli *c = x->c;
  json_t *list = json_array();
  int count = cost->program->kernel_count;
  double predicted = 0, measured = 0;
  row *rows = WEIR_NEW_ARRAY(&c->arena, row, count + 1);
  for (int i = 0; i < count; i++) {
    rows[i] = (row){&cost->kernels[i], &times[i], cli_cost_predict(&cost->kernels[i].work, &x->roof)};
    predicted += rows[i].predicted_s;
    measured += times[i].wall_s;
  }
  qsort(rows, (size_t)count, sizeof *rows, by_time);
  if (!c->json)
    printf("  %-52s %8s %10s %10s %10s%s%s\n", "kernel", "launches", "operations", "bytes", "predicted",
           measured > 0 ? "   measured   roof" : "", measured > 0 && x->perf ? "          why" : "");
  for (int i = 0; i < count; i++) {
    json_array_append_new(list, row_json(x, &rows[i]));
    if (!c->json && rows[i].cost->launches > 0) print_row(x, &rows[i]);
  }
  if (!c->json) print_total(x, &cost->work, predicted, measured);
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
  cli_call call = {.values = values, .past = program->step ? x->past : 0, .requests = (int)x->requests};
  if (program->symbol_count > MOST_SYMBOLS) return cli_error(c, "entry %s has too many sizes", program->name);
  cli_kernel_time *times = WEIR_NEW_ARRAY(&c->arena, cli_kernel_time, program->kernel_count + 1);
  int code = cli_sizes_read(c, program, values);
  if (!code) code = cli_fail(c, cli_cost_of(&c->arena, x->front.unit.code, program, &call, &cost));
  if (!code && (x->perf || cli_has(c, "measure"))) code = measure(x, program, values, times);
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
  if (!x->perf) explain_memory(x, &cost, entry);
  explain_kernels(x, &cost, times, entry);
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
  int64_t threads = 0;
  if (!cli_int(c, "threads", 1, 1024, &threads)) return CLI_USAGE;
  int result = cli_sizes_check(c, (const rt_program *const *)code->programs, code->program_count);
  if (!result) result = cli_fail(c, cli_roof_measure_device(c, (int)threads, &x->roof));
  if (result) return result;
  if (!x->perf) {
    explain_fusion(x);
    cli_explain_rules(c, &x->front.unit, x->document);
    cli_explain_library(c, &x->front.unit, x->document);
    if (!c->json) printf("\nPASSES\n%s\n", x->front.unit.passes);
  }
  if (!c->json) printf("ROOF  %s\n", cli_roof_text(&c->arena, &x->roof));
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
  cli_source source;
  int located = cli_locate(c, c->arguments[0], true, &source);
  if (located) return located;
  if (source.package) return cli_explain_package(c, source.package);
  explanation x = {.c = c, .requests = 1, .perf = cli_has(c, "perf"), .document = json_object()};
  if (!cli_int(c, "requests", 1, 4096, &x.requests) || !cli_int(c, "past", 0, INT32_MAX, &x.past)) return CLI_USAGE;
  int code = cli_front_open(c, c->arguments[0], &x.front);
  if (!code) code = explain(&x);
  plan_close(&x.front.unit);
  if (!code && c->json) return cli_json(c, x.document);
  json_decref(x.document);
  return code;
}
