// weir eval: perplexity of a text under a language model's `score` entry. What is measured is told in perplexity.h.
#include <math.h>
#include <string.h>

#include "compiler/driver/perplexity.h"
#include "runtime/base/npy.h"

typedef struct {
  cli *c;
  cli_model model;
  const char *text;
  size_t text_size;
  cli_perplexity measured;
} evaluation;

static json_t *protocol_json(const evaluation *e) {
  weir_hash hash;
  char text[WEIR_HASH_HEX_BYTES], model[WEIR_HASH_HEX_BYTES];
  weir_hash_bytes(e->text, e->text_size, &hash);
  weir_hash_hex(&hash, text);
  hash = rt_package_identity(e->model.package);
  weir_hash_hex(&hash, model);
  return json_pack("{s:I,s:I,s:s,s:b,s:s,s:s}", "window", (json_int_t)e->measured.window, "stride",
                   (json_int_t)e->measured.window, "first_token", "not scored", "special_tokens", 0, "text_blake2b",
                   text, "package", model);
}

static int finish(evaluation *e) {
  cli *c = e->c;
  const cli_perplexity *m = &e->measured;
  const char *output = cli_text(c, "output");
  if (output) {
    int64_t dims[] = {m->scored};
    int code = cli_fail(c, weir_npy_write(output, WEIR_STORAGE_F32, 1, dims, m->nll));
    if (code) return code;
  }
  if (c->json) {
    return cli_json(c, json_pack("{s:I,s:I,s:I,s:f,s:f,s:o,s:{s:f,s:f}}", "tokens", (json_int_t)m->tokens, "scored",
                                 (json_int_t)m->scored, "windows", (json_int_t)m->windows, "nll_mean", m->mean,
                                 "perplexity", exp(m->mean), "protocol", protocol_json(e), "timings", "load_s",
                                 e->model.load_seconds, "run_s", m->seconds));
  }
  printf("perplexity %.4f  nll_mean %.6f  tokens %lld  scored %lld  windows %lld\n", exp(m->mean), m->mean,
         (long long)m->tokens, (long long)m->scored, (long long)m->windows);
  cli_note(c, "windows of %lld tokens without overlap, first token of each not scored, nothing put around the text",
           (long long)m->window);
  cli_detail(c, "%.1f tokens/s", (double)m->tokens / m->seconds);
  return CLI_DONE;
}

int cmd_eval(cli *c) {
  if (!cli_arguments(c, 2, 2)) return CLI_USAGE;
  if (strcmp(c->arguments[1], "perplexity"))
    return cli_usage(c, "what can be measured is: perplexity; not '%s'", c->arguments[1]);
  const char *file = cli_text(c, "file");
  if (!file) return cli_usage(c, "it needs a text: -f FILE");
  evaluation e = {.c = c};
  int64_t window = 512;
  if (!cli_int(c, "window", 2, INT32_MAX, &window)) return CLI_USAGE;
  const char *output = cli_text(c, "output");
  int code = output ? cli_check_output(c, output) : CLI_DONE;
  if (!code) code = cli_read_file(c, file, &e.text, &e.text_size);
  if (!code) code = cli_model_open(c, c->arguments[0], true, &e.model);
  if (!code) code = cli_perplexity_measure(c, &e.model, e.text, e.text_size, window, &e.measured);
  if (!code) code = finish(&e);
  cli_perplexity_release(&e.measured);
  cli_model_close(&e.model);
  return code;
}
