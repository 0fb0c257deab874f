// weir eval: perplexity of a text under a language model's `score` entry.
//
// Protocol: windows of N tokens that do not overlap, each without history; nothing is put around the text; the first
// token of a window is not scored, every other is scored given all before it in its window; the mean is over all scored
// tokens. Several windows are packed into one call where their logits fit the memory set aside; the numbers do not
// depend on that.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "runtime/base/npy.h"

enum { LOGITS_BYTES = 256 << 20, MOST_WINDOWS = 64 };

typedef struct {
  cli *c;
  cli_model model;
  const weir_entry *entry;
  int64_t bound, vocab, window;
  const char *text;
  size_t text_size;
  text_ids ids;
  float *nll;  // of each scored token
  int64_t scored;
  int64_t windows;
  double sum, seconds;
} evaluation;

static bool fits(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  if (info.step || info.input_count != 1 || info.output_count != 1 || info.symbol_count != 1) return false;
  weir_tensor_info input = weir_entry_input(entry, 0), output = weir_entry_output(entry, 0);
  return input.dtype == WEIR_DTYPE_I32 && input.rank == 1 && output.dtype == WEIR_DTYPE_F32 && output.rank == 2;
}

static int find_entry(evaluation *e) {
  e->entry = weir_model_find_entry(e->model.model, "score");
  for (int i = 0; !e->entry && i < weir_model_entry_count(e->model.model); i++) {
    if (fits(weir_model_entry(e->model.model, i))) e->entry = weir_model_entry(e->model.model, i);
  }
  if (!e->entry || !fits(e->entry)) {
    return cli_error(e->c, "%s has no entry from tokens i32[T] to logits f32[T, V]", weir_model_name(e->model.model));
  }
  e->bound = weir_entry_symbol(e->entry, 0).hi;
  const char *comma = strchr(weir_entry_output(e->entry, 0).dims, ',');
  e->vocab = comma ? strtoll(comma + 1, NULL, 10) : 0;
  if (e->vocab < 1) return cli_error(e->c, "the number of logits is not fixed");
  if (e->window > e->bound)
    return cli_error(e->c, "a window of %lld is longer than the model takes: %lld", (long long)e->window,
                     (long long)e->bound);
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
    e->nll[e->scored++] = (float)nll;
    e->sum += nll;
  }
}

static weir_status run_windows(evaluation *e, int64_t from, int count, float *logits) {
  weir_view inputs[MOST_WINDOWS], outputs[MOST_WINDOWS];
  weir_request requests[MOST_WINDOWS];
  for (int k = 0; k < count; k++) {
    int64_t at = from + k * e->window, size = (int64_t)e->ids.count - at;
    if (size > e->window) size = e->window;
    inputs[k] = (weir_view){.data = e->ids.data + at, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {size}};
    outputs[k] =
        (weir_view){.data = logits + k * e->window * e->vocab, .bytes = (size_t)(size * e->vocab) * sizeof *logits};
    requests[k] = (weir_request){.inputs = &inputs[k], .outputs = &outputs[k]};
  }
  weir_run_options options = {.cancel = e->c->cancel};
  WEIR_TRY(weir_run(e->model.executor, e->entry, requests, count, &options));
  for (int k = 0; k < count; k++)
    score_window(e, logits + k * e->window * e->vocab, e->ids.data + from + k * e->window, inputs[k].shape[0]);
  return WEIR_OK;
}

static weir_status run_all(evaluation *e) {
  int64_t total = (int64_t)e->ids.count;
  e->windows = (total + e->window - 1) / e->window;
  int64_t at_once = LOGITS_BYTES / (e->window * e->vocab * (int64_t)sizeof(float));
  if (at_once < 1) at_once = 1;
  if (at_once > MOST_WINDOWS) at_once = MOST_WINDOWS;
  if (at_once > e->windows) at_once = e->windows;
  float *logits = malloc((size_t)(at_once * e->window * e->vocab) * sizeof *logits);
  e->nll = malloc((size_t)total * sizeof *e->nll);
  if (!logits || !e->nll) {
    free(logits);
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for the logits of a window");
  }
  double start = cli_now();
  weir_status status = WEIR_OK;
  for (int64_t w = 0; w < e->windows && !status; w += at_once) {
    cli_progress(e->c, "scoring", (double)w / (double)e->windows);
    status = run_windows(e, w * e->window, (int)(e->windows - w < at_once ? e->windows - w : at_once), logits);
  }
  e->seconds = cli_now() - start;
  free(logits);
  return status;
}

static json_t *protocol_json(const evaluation *e) {
  weir_hash hash;
  char text[WEIR_HASH_HEX_BYTES], model[WEIR_HASH_HEX_BYTES];
  weir_hash_bytes(e->text, e->text_size, &hash);
  weir_hash_hex(&hash, text);
  hash = rt_package_identity(e->model.package);
  weir_hash_hex(&hash, model);
  return json_pack("{s:I,s:I,s:s,s:b,s:s,s:s}", "window", (json_int_t)e->window, "stride", (json_int_t)e->window,
                   "first_token", "not scored", "special_tokens", 0, "text_blake2b", text, "package", model);
}

static int finish(evaluation *e) {
  cli *c = e->c;
  double mean = e->sum / (double)e->scored;
  const char *output = cli_text(c, "output");
  if (output) {
    int64_t dims[] = {e->scored};
    int code = cli_fail(c, weir_npy_write(output, WEIR_STORAGE_F32, 1, dims, e->nll));
    if (code) return code;
  }
  if (c->json) {
    return cli_json(c, json_pack("{s:I,s:I,s:I,s:f,s:f,s:o,s:{s:f,s:f}}", "tokens", (json_int_t)e->ids.count, "scored",
                                 (json_int_t)e->scored, "windows", (json_int_t)e->windows, "nll_mean", mean,
                                 "perplexity", exp(mean), "protocol", protocol_json(e), "timings", "load_s",
                                 e->model.load_seconds, "run_s", e->seconds));
  }
  printf("perplexity %.4f  nll_mean %.6f  tokens %zu  scored %lld  windows %lld\n", exp(mean), mean, e->ids.count,
         (long long)e->scored, (long long)e->windows);
  cli_note(c, "windows of %lld tokens without overlap, first token of each not scored, nothing put around the text",
           (long long)e->window);
  cli_detail(c, "%.1f tokens/s", (double)e->ids.count / e->seconds);
  return CLI_DONE;
}

static int evaluate(evaluation *e) {
  cli *c = e->c;
  int code = cli_model_open(c, c->arguments[0], true, &e->model);
  if (!code) code = find_entry(e);
  if (!code)
    code = cli_fail(c, text_encode(e->model.tokenizer, e->text, e->text_size, (text_encode_options){0}, &e->ids));
  if (!code && e->ids.count < 2) code = cli_error(c, "the text has %zu tokens; at least 2 are needed", e->ids.count);
  if (!code) code = cli_fail(c, run_all(e));
  cli_progress_end(c);
  if (!code && !e->scored) code = cli_error(c, "no token was scored: every window has one token");
  return code ? code : finish(e);
}

int cmd_eval(cli *c) {
  if (!cli_arguments(c, 2, 2)) return CLI_USAGE;
  if (strcmp(c->arguments[1], "perplexity"))
    return cli_usage(c, "what can be measured is: perplexity; not '%s'", c->arguments[1]);
  const char *file = cli_text(c, "file");
  if (!file) return cli_usage(c, "it needs a text: -f FILE");
  evaluation e = {.c = c, .window = 512};
  if (!cli_int(c, "window", 2, INT32_MAX, &e.window)) return CLI_USAGE;
  const char *output = cli_text(c, "output");
  int code = output ? cli_check_output(c, output) : CLI_DONE;
  if (!code) code = cli_read_file(c, file, &e.text, &e.text_size);
  if (!code) code = evaluate(&e);
  text_ids_deinit(&e.ids);
  free(e.nll);
  cli_model_close(&e.model);
  return code;
}
