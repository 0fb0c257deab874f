// weir bench: rates with their spread, beside the limits of the machine measured in the same run.
//
// Language models: prefill takes in --prompt tokens at once, decode then makes --gen tokens one by one, both in --batch
// sessions side by side. Other models: calls of an entry, with --prompt as every size; where there are steps alone, of
// the last one, behind those that it needs. Inputs are a fixed pattern, never zeros.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/bench_kernels.h"
#include "compiler/driver/cost.h"
#include "compiler/driver/energy.h"
#include "compiler/driver/lm.h"
#include "compiler/driver/perplexity.h"
#include "compiler/driver/trial.h"
#include "compiler/plan/example.h"
#include "runtime/exec/model.h"

enum { MOST_RUNS = 100, MOST_BATCH = 1024 };

typedef struct {
  double values[MOST_RUNS];
  int count;
} samples;

typedef struct {
  cli *c;
  bool is_text;
  cli_front front;  // of a text: where the work of a step is counted
  cli_model model;
  cli_lm lm;
  bool language;
  const weir_entry *entry;
  int64_t prompt, gen, batch, repeat;
  int64_t *lengths;  // of each request, instead of |prompt|; null: all are alike
  int32_t *tokens;   // batch * prompt
  float *logits;     // batch * vocab
  samples prefill, decode, first, calls;
  cli_roof roof;
  cli_energy energy;
  double prefill_joules, decode_joules;  // of all runs that count
  weir_memory memory;                    // of the largest call
  int64_t peak_bytes;                    // of the process, before the roof was measured
  json_t *document;
} bench;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void add_sample(samples *s, double value) {
  if (s->count < MOST_RUNS) s->values[s->count++] = value;
}

static double median(samples *s) {
  qsort(s->values, (size_t)s->count, sizeof *s->values, by_value);
  return s->count ? 0.5 * (s->values[(s->count - 1) / 2] + s->values[s->count / 2]) : 0;
}

static json_t *samples_json(samples *s) {
  double middle = median(s);
  return json_pack("{s:f,s:f,s:f}", "median", middle, "min", s->count ? s->values[0] : 0.0, "max",
                   s->count ? s->values[s->count - 1] : 0.0);
}

// The limits of the machine or of the device, and the kernels that work is counted from: after the model's runs, for
// what they take must not count as the model's memory.
static int measure_roof(bench *b) {
  b->peak_bytes = cli_peak_memory_bytes();
  int code = b->is_text ? cli_front_open(b->c, b->c->arguments[0], &b->front) : CLI_DONE;
  return code ? code
              : cli_fail(b->c, cli_roof_measure_device(b->c, weir_executor_threads(b->model.executor), &b->roof));
}

// Keeps what the largest call used.
static void note_memory(bench *b) {
  weir_memory memory;
  weir_memory_measured(b->model.executor, &memory);
  if (memory.total_bytes > b->memory.total_bytes) b->memory = memory;
}

// A rate beside the machine's limits.
typedef struct {
  cli_work work;  // of a step
  cli_shares shares;
  bool known;  // the machine's limits are
  bool whole;  // arithmetic is known too
} placing;

// Packages do not keep the kernels that the work is counted from: of them only the weights count, which must be read
// once for each call.
static weir_status place_rate(bench *b, const weir_entry *entry, const int64_t *values, int64_t past, double seconds,
                              placing *out) {
  const rt_program *program = rt_entry_program(entry);
  *out = (placing){.known = cli_roof_counts(&b->roof), .whole = b->front.unit.code != NULL};
  if (out->whole) {
    cli_program_cost cost;
    cli_call call = {.values = values, .past = past, .requests = (int)b->batch};
    WEIR_TRY(cli_cost_of(&b->c->arena, b->front.unit.code, program, &call, &cost));
    out->work = cost.work;
  } else {
    for (int i = 0; i < program->weight_count; i++) out->work.bytes += (double)program->weights[i].bytes;
  }
  if (out->known) out->shares = cli_cost_shares(&out->work, &b->roof, seconds);
  return WEIR_OK;
}

static json_t *placing_json(const placing *p) {
  json_t *out = json_pack("{s:f}", "bytes", p->work.bytes);
  if (p->known) {
    json_object_set_new(out, "binds", json_string(cli_shares_binds(&p->shares)));
    json_object_set_new(out, "memory_percent", json_real(p->shares.memory_percent));
  }
  if (!p->whole) return out;
  if (p->known) json_object_set_new(out, "compute_percent", json_real(p->shares.compute_percent));
  json_object_set_new(out, "flops", json_real(p->work.flops));
  json_object_set_new(out, "bf16_ops", json_real(p->work.bf16_ops));
  json_object_set_new(out, "int8_ops", json_real(p->work.int8_ops));
  json_object_set_new(out, "decode_flops", json_real(p->work.decode_flops));
  return out;
}

// Where the limits say nothing, what was done: counts are the same on a GPU.
static void print_shares(const placing *p) {
  const cli_work *work = &p->work;
  if (!p->known) {
    if (p->whole) printf("; %.4g operations", work->flops + work->bf16_ops + work->int8_ops);
    if (work->bytes > 0) printf("%s %.4g bytes a call", p->whole ? "," : ";", work->bytes);
    printf("\n");
    return;
  }
  printf("; %.0f %% of the memory roof", p->shares.memory_percent);
  if (p->whole)
    printf(", %.0f %% of the compute roof: %s binds", p->shares.compute_percent, cli_shares_binds(&p->shares));
  printf("\n");
}

// ---- language models

static weir_status step(bench *b, weir_session **sessions, const int32_t *tokens, int64_t each) {
  weir_view *inputs = WEIR_NEW_ARRAY(&b->c->arena, weir_view, b->batch),
            *outputs = WEIR_NEW_ARRAY(&b->c->arena, weir_view, b->batch);
  weir_request *requests = WEIR_NEW_ARRAY(&b->c->arena, weir_request, b->batch);
  for (int64_t i = 0; i < b->batch; i++) {
    inputs[i] = (weir_view){
        .data = (void *)(uintptr_t)(tokens + i * each), .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {each}};
    outputs[i] = (weir_view){.data = b->logits + i * b->lm.vocab, .bytes = (size_t)b->lm.vocab * sizeof(float)};
    requests[i] = (weir_request){.session = sessions[i], .inputs = &inputs[i], .outputs = &outputs[i]};
  }
  weir_run_options options = {.cancel = b->c->cancel};
  WEIR_TRY(weir_run(b->model.executor, b->lm.step, requests, (int)b->batch, &options));
  note_memory(b);
  return WEIR_OK;
}

static int32_t largest(const float *logits, int32_t count) {
  int32_t best = 0;
  for (int32_t i = 1; i < count; i++) best = logits[i] > logits[best] ? i : best;
  return best;
}

static weir_status run_once(bench *b, weir_session **sessions, bool counts) {
  int32_t *next = WEIR_NEW_ARRAY(&b->c->arena, int32_t, b->batch);
  for (int64_t i = 0; i < b->batch; i++) WEIR_TRY(weir_session_truncate(sessions[i], NULL, 0));
  double before = cli_energy_joules(&b->energy), start = cli_now();
  WEIR_TRY(step(b, sessions, b->tokens, b->prompt));
  double prefill = cli_now() - start, joules = cli_energy_joules(&b->energy);
  for (int64_t i = 0; i < b->batch; i++) next[i] = largest(b->logits + i * b->lm.vocab, b->lm.vocab);
  double first = cli_now() - start;
  start = cli_now();
  for (int64_t k = 0; k < b->gen; k++) {
    WEIR_TRY(step(b, sessions, next, 1));
    for (int64_t i = 0; i < b->batch; i++) next[i] = largest(b->logits + i * b->lm.vocab, b->lm.vocab);
  }
  double decode = cli_now() - start;
  if (!counts) return WEIR_OK;
  add_sample(&b->prefill, (double)(b->prompt * b->batch) / prefill);
  if (b->gen) add_sample(&b->decode, (double)(b->gen * b->batch) / decode);
  add_sample(&b->first, first);
  b->prefill_joules += joules - before;
  b->decode_joules += cli_energy_joules(&b->energy) - joules;
  return WEIR_OK;
}

static weir_status run_language(bench *b) {
  weir_session **sessions = WEIR_NEW_ARRAY(&b->c->arena, weir_session *, b->batch);
  weir_capacity capacity = {weir_entry_symbol(b->lm.step, 0).name, b->prompt + b->gen};
  weir_tensor_info info = weir_entry_input(b->lm.step, 0);
  uint64_t span = (uint64_t)(info.hi - info.lo) + 1;
  b->tokens = malloc((size_t)(b->batch * b->prompt) * sizeof *b->tokens);
  b->logits = malloc((size_t)b->batch * (size_t)b->lm.vocab * sizeof *b->logits);
  if (!b->tokens || !b->logits)
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %lld sequences", (long long)b->batch);
  for (int64_t i = 0; i < b->batch * b->prompt; i++)
    b->tokens[i] = (int32_t)(info.lo + (int64_t)((uint64_t)(i * 7919 + 101) % span));
  weir_status status = WEIR_OK;
  for (int64_t i = 0; i < b->batch && !status; i++)
    status = weir_session_open(b->model.model, &capacity, 1, &sessions[i]);
  for (int64_t run = 0; run <= b->repeat && !status; run++) {  // the first one warms up
    cli_progress(b->c, "measuring", (double)run / (double)(b->repeat + 1));
    status = run_once(b, sessions, run > 0);
  }
  for (int64_t i = 0; i < b->batch; i++) weir_session_close(sessions[i]);
  return status;
}

static void print_rate(const char *what, samples *s, const placing *p, int64_t tokens, int64_t batch) {
  double middle = median(s);
  printf("%-8s %8.1f tokens/s  (%.1f .. %.1f), %lld tokens x %lld", what, middle, s->values[0], s->values[s->count - 1],
         (long long)tokens, (long long)batch);
  print_shares(p);
}

// Joules of a token, or why they are not known.
static void add_energy(bench *b) {
  cli *c = b->c;
  double runs = (double)b->prefill.count * (double)b->batch, prefill = b->prefill_joules / (runs * (double)b->prompt),
         decode = b->gen ? b->decode_joules / (runs * (double)b->gen) : 0;
  if (!b->energy.source) {
    json_object_set_new(b->document, "energy", json_pack("{s:n,s:s}", "source", "why", b->energy.why));
    if (!c->json) printf("energy   not readable: %s\n", b->energy.why);
    return;
  }
  json_object_set_new(b->document, "energy",
                      json_pack("{s:s,s:f,s:f}", "source", b->energy.source, "prefill_joules_per_token", prefill,
                                "decode_joules_per_token", decode));
  if (!c->json)
    printf("energy   %.4f J a token taken in, %.4f J a token made, of the whole machine\n", prefill, decode);
}

static int bench_language(bench *b) {
  cli *c = b->c;
  if (b->prompt + b->gen > b->lm.bound)
    return cli_usage(c, "--prompt and --gen together may be %lld at most", (long long)b->lm.bound);
  int code = cli_fail(c, run_language(b));
  if (!code) code = measure_roof(b);
  if (code) return code;
  placing prefill = {0}, decode = {0};
  int64_t one = 1, middle = b->prompt + b->gen / 2;
  double prefill_s = (double)(b->prompt * b->batch) / median(&b->prefill),
         decode_s = (double)b->batch / median(&b->decode);
  weir_status status = place_rate(b, b->lm.step, &b->prompt, 0, prefill_s, &prefill);
  if (!status && b->gen) status = place_rate(b, b->lm.step, &one, middle, decode_s, &decode);
  if (status) return cli_fail(c, status);
  json_object_set_new(b->document, "prefill_tokens_per_s", samples_json(&b->prefill));
  json_object_set_new(b->document, "decode_tokens_per_s", samples_json(&b->decode));
  json_object_set_new(b->document, "first_token_s", json_real(median(&b->first)));
  if (prefill.whole) json_object_set_new(b->document, "prefill_roof", placing_json(&prefill));
  if (b->gen) json_object_set_new(b->document, "decode_roof", placing_json(&decode));
  if (!c->json) {
    print_rate("prefill", &b->prefill, &prefill, b->prompt, b->batch);
    if (b->gen) print_rate("decode", &b->decode, &decode, b->gen, b->batch);
    printf("first token after %.3f s\n", median(&b->first));
  }
  add_energy(b);
  return CLI_DONE;
}

// ---- other models

static weir_status call_entry(bench *b, cli_trial *trial) {
  for (int64_t run = 0; run <= b->repeat; run++) {
    cli_progress(b->c, "measuring", (double)run / (double)(b->repeat + 1));
    weir_run_options options = {.cancel = b->c->cancel};
    WEIR_TRY(cli_trial_begin(trial));
    double start = cli_now();
    WEIR_TRY(cli_trial_run(trial, &options));
    double seconds = cli_now() - start;
    note_memory(b);
    if (run) add_sample(&b->calls, (double)b->batch / seconds);
  }
  return WEIR_OK;
}

static int bench_entry(bench *b) {
  cli *c = b->c;
  weir_entry_info info = weir_entry_describe(b->entry);
  int symbols = info.symbol_count, rows = b->lengths ? (int)b->batch : 1;
  int64_t *values = WEIR_NEW_ARRAY(&c->arena, int64_t, rows * symbols + 1);
  for (int i = 0; i < rows * symbols; i++)
    values[i] = plan_example_size(b->entry, i % symbols, b->lengths ? b->lengths[i / symbols] : b->prompt);
  cli_trial trial;
  weir_status status =
      cli_trial_open(&c->arena, &b->model, b->entry, values, b->lengths ? symbols : 0, (int)b->batch, 0, 0, &trial);
  if (!status) status = call_entry(b, &trial);
  cli_trial_close(&trial);
  int code = cli_fail(c, status);
  if (!code) code = measure_roof(b);
  if (code) return code;
  placing place = {0};
  if (!b->lengths) code = cli_fail(c, place_rate(b, b->entry, values, 0, (double)b->batch / median(&b->calls), &place));
  if (code) return code;
  json_object_set_new(b->document, "entry", json_string(info.name));
  json_object_set_new(b->document, "requests_per_s", samples_json(&b->calls));
  if (!b->lengths) json_object_set_new(b->document, "roof_share", placing_json(&place));
  if (c->json) return CLI_DONE;
  printf("%s  %8.2f requests/s  (%.2f .. %.2f), %lld at a time", info.name, median(&b->calls), b->calls.values[0],
         b->calls.values[b->calls.count - 1], (long long)b->batch);
  if (b->lengths) printf(", each of its own length\n");
  for (int i = 0; i < symbols && !b->lengths; i++)
    printf(", %s = %lld", weir_entry_symbol(b->entry, i).name, (long long)values[i]);
  if (b->lengths) return CLI_DONE;
  print_shares(&place);
  return CLI_DONE;
}

// ---- an earlier run

static double rate_of(const json_t *document, const char *key) {
  return json_number_value(json_object_get(json_object_get(document, key), "median"));
}

static int compare(bench *b, const char *path) {
  cli *c = b->c;
  const char *text;
  size_t size;
  int code = cli_read_file(c, path, &text, &size);
  if (code) return code;
  json_error_t error;
  json_t *earlier = json_loadb(text, size, 0, &error), *ratios = json_object();
  if (!earlier) {
    json_decref(ratios);
    return cli_error(c, "%s:%d: %s", path, error.line, error.text);
  }
  static const char *const keys[] = {"prefill_tokens_per_s", "decode_tokens_per_s", "requests_per_s"};
  for (int i = 0; i < 3; i++) {
    double now = rate_of(b->document, keys[i]), then = rate_of(earlier, keys[i]);
    if (now <= 0 || then <= 0) continue;
    json_object_set_new(ratios, keys[i], json_real(now / then));
    if (!c->json) printf("%-22s %.2f times the baseline (%.1f)\n", keys[i], now / then, then);
  }
  json_object_set_new(b->document, "ratio_to_baseline", ratios);
  json_decref(earlier);
  return CLI_DONE;
}

// ---- what a plan of lower precision costs

// Whether some product is not computed in float32, or states are rounded.
static bool trades_exactness(const bench *b) {
  const cg_module *code = b->front.unit.code;
  if (b->front.unit.plan && lang_plan_has(b->front.unit.plan, "cache")) return true;
  for (int i = 0; code && i < code->weight_count; i++)
    if (code->weights[i].format.compute != CG_COMPUTE_F32) return true;
  return false;
}

// The perplexity with the plan beside that of the same plan with all products in float32.
static int compare_exact(bench *b) {
  cli *c = b->c;
  if (!trades_exactness(b) || !b->model.tokenizer || !cli_has_scores(b->model.model)) return CLI_DONE;
  const char *path = cli_text(c, "text"), *text;
  size_t size;
  if (!path) path = weir_arena_printf(&c->arena, "%s/README.md", b->front.source.request.models_folder);
  cli_perplexity with = {0}, without = {0};
  cli_model exact = {0};
  int64_t window = b->lm.bound < 512 ? b->lm.bound : 512;
  int code = cli_read_file(c, path, &text, &size);
  if (!code) code = cli_perplexity_measure(c, &b->model, text, size, window, &with);
  c->exact = true;
  if (!code) code = cli_model_open(c, c->arguments[0], true, &exact);
  c->exact = false;
  if (!code) code = cli_perplexity_measure(c, &exact, text, size, window, &without);
  if (!code) {
    double plan = exp(with.mean), f32 = exp(without.mean), change = 100 * (plan / f32 - 1);
    json_object_set_new(b->document, "perplexity",
                        json_pack("{s:f,s:f,s:f,s:I}", "plan", plan, "exact", f32, "change_percent", change, "scored",
                                  (json_int_t)with.scored));
    if (!c->json)
      printf("perplexity %.3f, %.3f with exact products: %+.2f %%, of %lld tokens of %s\n", plan, f32, change,
             (long long)with.scored, path);
  }
  cli_perplexity_release(&with);
  cli_perplexity_release(&without);
  cli_model_close(&exact);
  return code;
}

// ---- all of it

// An entry if there is one, else the last step, behind those that it needs.
static int first_entry(bench *b) {
  int count = weir_model_entry_count(b->model.model);
  for (int i = 0; i < count && !b->entry; i++) {
    if (!weir_entry_describe(weir_model_entry(b->model.model, i)).step) b->entry = weir_model_entry(b->model.model, i);
  }
  if (!b->entry && count) b->entry = weir_model_entry(b->model.model, count - 1);
  return b->entry ? CLI_DONE : cli_error(b->c, "the model has no entry");
}

static int measure(bench *b) {
  cli *c = b->c;
  cli_source source;
  int code = cli_locate(c, c->arguments[0], false, &source);
  if (!code) code = cli_model_open(c, c->arguments[0], false, &b->model);
  b->is_text = !source.package;
  if (code) return code;
  cli_peak_memory_reset();  // building does not count
  b->language = cli_is_lm(b->model.model);
  if (b->language && b->lengths) return cli_usage(c, "--lengths is for models without steps");
  code = b->language ? cli_lm_open(c, &b->model, &b->lm) : first_entry(b);
  if (!code) code = b->language ? bench_language(b) : bench_entry(b);
  if (!code && b->language) code = compare_exact(b);
  cli_progress_end(c);
  return code;
}

static int finish(bench *b) {
  cli *c = b->c;
  const char *baseline = cli_text(c, "baseline");
  if (baseline) {
    int code = compare(b, baseline);
    if (code) return code;
  }
  const weir_memory *memory = &b->memory;
  json_object_set_new(b->document, "peak_memory_bytes", json_integer(b->peak_bytes));
  json_object_set_new(b->document, "memory",
                      json_pack("{s:I,s:I,s:I,s:I}", "weights_bytes", (json_int_t)memory->weights_bytes, "arena_bytes",
                                (json_int_t)memory->arena_bytes, "state_bytes", (json_int_t)memory->state_bytes,
                                "total_bytes", (json_int_t)memory->total_bytes));
  json_object_set_new(b->document, "roof", cli_roof_json(&b->roof));
  json_t *machine = cli_machine_json();
  json_object_set_new(machine, "threads", json_integer(weir_executor_threads(b->model.executor)));
  json_object_set_new(machine, "isa", json_string(weir_model_isa(b->model.model)));
  json_object_set_new(b->document, "machine", machine);
  if (c->json) return CLI_DONE;
  printf("memory   %s at the peak of the process\nroof     %s; %s, %s\n", cli_bytes(&c->arena, (double)b->peak_bytes),
         cli_roof_text(&c->arena, &b->roof), weir_model_isa(b->model.model),
         b->roof.device ? b->roof.device : cli_cpu_name(&c->arena));
  return CLI_DONE;
}

// Whole numbers with anything between them.
static int read_lengths(bench *b, const char *path) {
  cli *c = b->c;
  const char *text;
  size_t size;
  int code = cli_read_file(c, path, &text, &size);
  if (code) return code;
  b->lengths = WEIR_NEW_ARRAY(&c->arena, int64_t, MOST_BATCH);
  b->batch = 0;
  for (const char *at = text; at < text + size;) {
    if (*at < '0' || *at > '9') {
      at++;
      continue;
    }
    char *end;
    long long length = strtoll(at, &end, 10);
    if (length < 1 || length > INT32_MAX || b->batch == MOST_BATCH)
      return cli_error(c, "%s: lengths are 1 to %d, %d of them at most", path, INT32_MAX, MOST_BATCH);
    b->lengths[b->batch++] = length;
    at = end;
  }
  return b->batch ? CLI_DONE : cli_error(c, "%s: no lengths", path);
}

int cmd_bench(cli *c) {
  bool kernels = c->argument_count && !strcmp(c->arguments[0], "kernels");
  if (!cli_arguments(c, 1, kernels ? 2 : 1)) return CLI_USAGE;
  if (kernels) return cli_bench_kernels(c);
  bench b = {.c = c, .prompt = 256, .gen = 64, .batch = 1, .repeat = 5};
  if (!cli_int(c, "prompt", 1, INT32_MAX, &b.prompt) || !cli_int(c, "gen", 0, INT32_MAX, &b.gen) ||
      !cli_int(c, "batch", 1, MOST_BATCH, &b.batch) || !cli_int(c, "repeat", 1, MOST_RUNS, &b.repeat)) {
    return CLI_USAGE;
  }
  const char *lengths = cli_text(c, "lengths");
  int code = lengths ? read_lengths(&b, lengths) : CLI_DONE;
  if (code) return code;
  b.document = json_pack("{s:s,s:I,s:I,s:I,s:I}", "model", c->arguments[0], "prompt", (json_int_t)b.prompt, "gen",
                         (json_int_t)b.gen, "batch", (json_int_t)b.batch, "repeat", (json_int_t)b.repeat);
  cli_energy_open(&c->arena, &b.energy);
  code = measure(&b);
  if (!code) code = finish(&b);
  cli_energy_close(&b.energy);
  free(b.tokens);
  free(b.logits);
  cli_lm_close(&b.lm);
  cli_model_close(&b.model);
  plan_close(&b.front.unit);
  if (!code && c->json) return cli_json(c, b.document);
  json_decref(b.document);
  return code;
}
