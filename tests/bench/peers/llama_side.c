// llama.cpp as a process of its own, over the shared library of the llama-cpp-python wheel: what compare_llama.py
// measures must not hold a Python interpreter, neither in its memory nor in its start.
//
//   llama_side speed MODEL THREADS PROMPT GEN WARM FLASH UBATCH EXTRA
//       {"prefill":tokens/s,"decode":tokens/s,"peak_bytes":N}
//   llama_side first MODEL THREADS PROMPT FLASH UBATCH EXTRA
//       the first token of an answer, as soon as it is known
//   llama_side perplexity MODEL THREADS WINDOW IDS
//       {"perplexity":X,"tokens":N}; windows as `weir eval` cuts them
//   llama_side quantize IN OUT TYPE
//       llama_model_quantize, from blocks that are quantised already
//
// WARM: tokens of a prompt that is taken in before, with as many made after it as are made of the real one, at most 4;
// 0: none. FLASH: 1 or 0; UBATCH: tokens of one pass of a prompt; EXTRA: 1 lets it repack weights at load. Tokens are a
// fixed pattern, the same that `weir bench` feeds.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llama.h"

typedef struct {
  struct llama_model *model;
  struct llama_context *context;
  int vocab;
} side;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void quiet(enum ggml_log_level level, const char *text, void *user) {
  (void)user;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static int failed(const char *what) {
  fprintf(stderr, "llama_side: %s failed\n", what);
  return 1;
}

static int side_open(side *s, const char *path, int threads, int room, int flash, int ubatch, int extra) {
  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model_params model = llama_model_default_params();
  model.use_extra_bufts = extra != 0;
  s->model = llama_model_load_from_file(path, model);
  if (!s->model) return failed("loading");
  struct llama_context_params params = llama_context_default_params();
  params.n_ctx = (uint32_t)room;
  params.n_batch = (uint32_t)room;
  params.n_ubatch = (uint32_t)ubatch;
  params.n_threads = params.n_threads_batch = threads;
  params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  s->context = llama_init_from_model(s->model, params);
  s->vocab = llama_vocab_n_tokens(llama_model_get_vocab(s->model));
  return s->context ? 0 : failed("making a context");
}

static int feed(side *s, llama_token *tokens, int count) {
  int code = llama_decode(s->context, llama_batch_get_one(tokens, count));
  llama_synchronize(s->context);
  return code;
}

static llama_token largest(side *s) {
  const float *logits = llama_get_logits_ith(s->context, -1);
  int best = 0;
  for (int i = 1; i < s->vocab; i++) best = logits[i] > logits[best] ? i : best;
  return best;
}

static llama_token *pattern(const side *s, int count) {
  llama_token *tokens = malloc((size_t)count * sizeof *tokens);
  for (int i = 0; tokens && i < count; i++) tokens[i] = (llama_token)(((long long)i * 7919 + 101) % s->vocab);
  return tokens;
}

static long long peak_bytes(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long long kilobytes = 0;
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) break;
  if (file) fclose(file);
  return kilobytes * 1024;
}

static int run_once(side *s, llama_token *tokens, int prompt, int gen, double *prefill, double *decode) {
  llama_memory_clear(llama_get_memory(s->context), true);
  double start = now();
  if (feed(s, tokens, prompt)) return failed("a prompt");
  *prefill = prompt / (now() - start);
  llama_token next = largest(s);
  start = now();
  for (int i = 0; i < gen; i++) {
    if (feed(s, &next, 1)) return failed("a token");
    next = largest(s);
  }
  *decode = gen / (now() - start);
  return 0;
}

static int speed(char **a) {
  int prompt = atoi(a[2]), gen = atoi(a[3]), warm = atoi(a[4]);
  side s;
  if (side_open(&s, a[0], atoi(a[1]), prompt + gen, atoi(a[5]), atoi(a[6]), atoi(a[7]))) return 1;
  llama_token *tokens = pattern(&s, prompt);
  double prefill, decode;
  if (!tokens) return failed("taking memory");
  if (warm && run_once(&s, tokens, warm, gen < 4 ? gen : 4, &prefill, &decode)) return 1;
  if (run_once(&s, tokens, prompt, gen, &prefill, &decode)) return 1;
  printf("{\"prefill\":%.6g,\"decode\":%.6g,\"peak_bytes\":%lld}\n", prefill, decode, peak_bytes());
  return 0;
}

static int first(char **a) {
  int prompt = atoi(a[2]);
  side s;
  if (side_open(&s, a[0], atoi(a[1]), prompt + 1, atoi(a[3]), atoi(a[4]), atoi(a[5]))) return 1;
  llama_token *tokens = pattern(&s, prompt);
  if (!tokens || feed(&s, tokens, prompt)) return failed("a prompt");
  printf("%d\n", largest(&s));
  return fflush(stdout) ? failed("writing") : 0;
}

// Negative log-likelihood of |token| under the logits of position |at|.
static double loss(side *s, int at, llama_token token) {
  const float *logits = llama_get_logits_ith(s->context, at);
  double most = logits[0], sum = 0;
  for (int i = 1; i < s->vocab; i++) most = logits[i] > most ? logits[i] : most;
  for (int i = 0; i < s->vocab; i++) sum += exp(logits[i] - most);
  return most + log(sum) - logits[token];
}

static int window_loss(side *s, const llama_token *tokens, int count, double *sum) {
  struct llama_batch batch = llama_batch_init(count, 0, 1);
  batch.n_tokens = count;
  for (int i = 0; i < count; i++) {
    batch.token[i] = tokens[i];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  llama_memory_clear(llama_get_memory(s->context), true);
  int code = llama_decode(s->context, batch);
  llama_synchronize(s->context);
  for (int i = 0; !code && i + 1 < count; i++) *sum += loss(s, i, tokens[i + 1]);
  llama_batch_free(batch);
  return code;
}

static int perplexity(char **a) {
  enum { MOST = 1 << 20 };
  int window = atoi(a[2]), count = 0, scored = 0;
  llama_token *tokens = malloc(MOST * sizeof *tokens);
  FILE *file = fopen(a[3], "r");
  side s;
  if (!tokens || !file) return failed("reading tokens");
  while (count < MOST && fscanf(file, "%d", &tokens[count]) == 1) count++;
  fclose(file);
  if (side_open(&s, a[0], atoi(a[1]), window, 0, window, 1)) return 1;
  double sum = 0;
  for (int at = 0; at + 1 < count; at += window) {
    int here = count - at < window ? count - at : window;
    if (window_loss(&s, tokens + at, here, &sum)) return failed("a window");
    scored += here - 1;
  }
  printf("{\"perplexity\":%.6f,\"tokens\":%d}\n", scored ? exp(sum / scored) : 0.0, scored);
  return 0;
}

static int quantize(char **a) {
  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = (enum llama_ftype)atoi(a[2]);
  params.allow_requantize = true;
  return llama_model_quantize(a[0], a[1], &params) ? failed("quantising") : 0;
}

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    int count;
    int (*function)(char **);
  } modes[] = {{"speed", 8, speed}, {"first", 6, first}, {"perplexity", 4, perplexity}, {"quantize", 3, quantize}};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (count == modes[i].count + 2 && !strcmp(arguments[1], modes[i].name)) return modes[i].function(arguments + 2);
  fprintf(stderr, "usage: llama_side speed|first|perplexity|quantize ...\n");
  return 2;
}
