// The measure behind `weir eval` and what `weir bench` says of a plan that trades exactness.
#include "compiler/driver/perplexity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOGITS_BYTES = 256 << 20, MOST_WINDOWS = 64 };

typedef struct {
  cli *c;
  const cli_model *model;
  const weir_entry *entry;
  int64_t vocab;
  text_ids ids;
  cli_perplexity *out;
  double sum;
} evaluation;

static bool fits(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  if (info.step || info.input_count != 1 || info.output_count != 1 || info.symbol_count != 1) return false;
  weir_tensor_info input = weir_entry_input(entry, 0), output = weir_entry_output(entry, 0);
  return input.dtype == WEIR_DTYPE_I32 && input.rank == 1 && output.dtype == WEIR_DTYPE_F32 && output.rank == 2;
}

static const weir_entry *score_entry(const weir_model *model) {
  const weir_entry *entry = weir_model_find_entry(model, "score");
  for (int i = 0; !entry && i < weir_model_entry_count(model); i++)
    if (fits(weir_model_entry(model, i))) entry = weir_model_entry(model, i);
  return entry && fits(entry) ? entry : NULL;
}

bool cli_has_scores(const weir_model *model) { return score_entry(model) != NULL; }

static int find_entry(evaluation *e) {
  e->entry = score_entry(e->model->model);
  if (!e->entry) {
    return cli_error(e->c, "%s has no entry from tokens i32[T] to logits f32[T, V]", weir_model_name(e->model->model));
  }
  int64_t bound = weir_entry_symbol(e->entry, 0).hi;
  const char *comma = strchr(weir_entry_output(e->entry, 0).dims, ',');
  e->vocab = comma ? strtoll(comma + 1, NULL, 10) : 0;
  if (e->vocab < 1) return cli_error(e->c, "the number of logits is not fixed");
  if (e->out->window > bound)
    return cli_error(e->c, "a window of %lld is longer than the model takes: %lld", (long long)e->out->window,
                     (long long)bound);
  return CLI_DONE;
}

// Negative log-likelihoods of a window from its logits [size, vocab].
static void score_window(evaluation *e, const float *logits, const int32_t *tokens, int64_t size) {
  for (int64_t t = 0; t + 1 < size; t++) {
    const float *row = logits + t * e->vocab;
    float top = row[0];
    for (int64_t v = 1; v < e->vocab; v++) top = row[v] > top ? row[v] : top;
    double sum = 0;
    for (int64_t v = 0; v < e->vocab; v++) sum += exp((double)row[v] - (double)top);
    double nll = log(sum) + (double)top - (double)row[tokens[t + 1]];
    e->out->nll[e->out->scored++] = (float)nll;
    e->sum += nll;
  }
}

static weir_status run_windows(evaluation *e, int64_t from, int count, float *logits) {
  weir_view inputs[MOST_WINDOWS], outputs[MOST_WINDOWS];
  weir_request requests[MOST_WINDOWS];
  for (int k = 0; k < count; k++) {
    int64_t at = from + k * e->out->window, size = (int64_t)e->ids.count - at;
    if (size > e->out->window) size = e->out->window;
    inputs[k] = (weir_view){.data = e->ids.data + at, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {size}};
    outputs[k] = (weir_view){.data = logits + k * e->out->window * e->vocab,
                             .bytes = (size_t)(size * e->vocab) * sizeof *logits};
    requests[k] = (weir_request){.inputs = &inputs[k], .outputs = &outputs[k]};
  }
  weir_run_options options = {.cancel = e->c->cancel};
  WEIR_TRY(weir_run(e->model->executor, e->entry, requests, count, &options));
  for (int k = 0; k < count; k++)
    score_window(e, logits + k * e->out->window * e->vocab, e->ids.data + from + k * e->out->window,
                 inputs[k].shape[0]);
  return WEIR_OK;
}

static weir_status run_all(evaluation *e) {
  int64_t total = (int64_t)e->ids.count;
  e->out->windows = (total + e->out->window - 1) / e->out->window;
  int64_t at_once = LOGITS_BYTES / (e->out->window * e->vocab * (int64_t)sizeof(float));
  if (at_once < 1) at_once = 1;
  if (at_once > MOST_WINDOWS) at_once = MOST_WINDOWS;
  if (at_once > e->out->windows) at_once = e->out->windows;
  float *logits = malloc((size_t)(at_once * e->out->window * e->vocab) * sizeof *logits);
  e->out->nll = malloc((size_t)total * sizeof *e->out->nll);
  if (!logits || !e->out->nll) {
    free(logits);
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for the logits of a window");
  }
  double start = cli_now();
  weir_status status = WEIR_OK;
  for (int64_t w = 0; w < e->out->windows && !status; w += at_once) {
    cli_progress(e->c, "scoring", (double)w / (double)e->out->windows);
    status = run_windows(e, w * e->out->window, (int)(e->out->windows - w < at_once ? e->out->windows - w : at_once),
                         logits);
  }
  e->out->seconds = cli_now() - start;
  free(logits);
  return status;
}

int cli_perplexity_measure(cli *c, const cli_model *model, const char *text, size_t size, int64_t window,
                           cli_perplexity *out) {
  *out = (cli_perplexity){.window = window};
  evaluation e = {.c = c, .model = model, .out = out};
  int code = find_entry(&e);
  if (!code) code = cli_fail(c, text_encode(model->tokenizer, text, size, (text_encode_options){0}, &e.ids));
  out->tokens = (int64_t)e.ids.count;
  if (!code && out->tokens < 2)
    code = cli_error(c, "the text has %lld tokens; at least 2 are needed", (long long)out->tokens);
  if (!code) code = cli_fail(c, run_all(&e));
  cli_progress_end(c);
  if (!code && !out->scored) code = cli_error(c, "no token was scored: every window has one token");
  if (!code) out->mean = e.sum / (double)out->scored;
  text_ids_deinit(&e.ids);
  return code;
}

void cli_perplexity_release(cli_perplexity *p) { free(p->nll); }
