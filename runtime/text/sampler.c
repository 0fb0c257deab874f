// The sampler. Top-k, top-p and min-p each keep a prefix of the tokens sorted by logit, so the sort is a heap from
// which only that prefix is popped; the three cut-offs are then one length.
#include "runtime/text/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct text_sampler {
  text_sampler_config config;
  text_logit_bias *biases;
  int32_t vocab;
  uint64_t draws;
  uint32_t *counts;   // occurrences in the answer
  uint8_t *seen;      // in the prompt or the answer
  int32_t *seen_ids;  // the tokens seen, each once
  int32_t seen_count;
  float *scores;    // logits after bias and penalties
  int32_t *order;   // heap; then, from its end, the tokens popped
  double *weights;  // exp((score - max) / temperature) of the tokens popped
};

void text_sampler_config_init(text_sampler_config *config) {
  *config = (text_sampler_config){.top_p = 1, .repetition_penalty = 1};
}

// ---- numbers that are the same everywhere

// e^x for x <= 0 by argument reduction and the Taylor polynomial; relative error below 1e-15.
static double exp_same(double x) {
  static const double inverse_factorials[] = {1.0 / 6227020800.0,
                                              1.0 / 479001600.0,
                                              1.0 / 39916800.0,
                                              1.0 / 3628800.0,
                                              1.0 / 362880.0,
                                              1.0 / 40320.0,
                                              1.0 / 5040.0,
                                              1.0 / 720.0,
                                              1.0 / 120.0,
                                              1.0 / 24.0,
                                              1.0 / 6.0,
                                              1.0 / 2.0,
                                              1.0,
                                              1.0};
  if (!(x > -745.0)) return 0;
  double n = floor(x * 1.4426950408889634 + 0.5);
  double r = x - n * 0x1.62e42fee00000p-1;  // ln 2 in two parts, the first short enough for an exact product
  r = r - n * 0x1.a39ef35793c76p-33;
  double sum = 0;
  for (size_t i = 0; i < sizeof inverse_factorials / sizeof inverse_factorials[0]; i++)
    sum = sum * r + inverse_factorials[i];
  return ldexp(sum, (int)n);
}

// Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011): number |draw| of the stream |seed|,
// uniform in [0, 1) with 53 bits.
static double uniform(uint64_t seed, uint64_t draw) {
  uint32_t counter[4] = {(uint32_t)draw, (uint32_t)(draw >> 32), 0, 0},
           key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)0xD2511F53u * counter[0], b = (uint64_t)0xCD9E8D57u * counter[2];
    uint32_t next[4] = {(uint32_t)(b >> 32) ^ counter[1] ^ key[0], (uint32_t)b,
                        (uint32_t)(a >> 32) ^ counter[3] ^ key[1], (uint32_t)a};
    memcpy(counter, next, sizeof counter);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  uint64_t bits = (uint64_t)counter[0] << 21 | counter[1] >> 11;
  return (double)bits * 0x1p-53;
}

// ---- life

static weir_status check_config(const text_sampler_config *c, int32_t vocab) {
#define WANT(condition, name) \
  if (!(condition)) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "sampler: %s is out of range", name)
  WANT(vocab > 0, "the vocabulary");
  WANT(c->temperature >= 0 && isfinite(c->temperature), "temperature");
  WANT(c->top_k >= 0, "top_k");
  WANT(c->top_p > 0 && c->top_p <= 1, "top_p");
  WANT(c->min_p >= 0 && c->min_p < 1, "min_p");
  WANT(c->repetition_penalty > 0 && isfinite(c->repetition_penalty), "repetition_penalty");
  WANT(isfinite(c->frequency_penalty), "frequency_penalty");
  WANT(isfinite(c->presence_penalty), "presence_penalty");
  for (size_t i = 0; i < c->bias_count; i++) {
    WANT(c->biases[i].id >= 0 && c->biases[i].id < vocab && !isnan(c->biases[i].bias), "a logit bias");
  }
#undef WANT
  return WEIR_OK;
}

weir_status text_sampler_create(const text_sampler_config *config, int32_t vocab, text_sampler **out) {
  WEIR_TRY(check_config(config, vocab));
  size_t n = (size_t)vocab;
  text_sampler *s = calloc(1, sizeof *s);
  if (!s) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a sampler");
  s->config = *config;
  s->vocab = vocab;
  s->biases = calloc(config->bias_count + 1, sizeof *s->biases);
  s->counts = calloc(n, sizeof *s->counts);
  s->seen = calloc(n, sizeof *s->seen);
  s->seen_ids = malloc(n * sizeof *s->seen_ids);
  s->scores = malloc(n * sizeof *s->scores);
  s->order = malloc(n * sizeof *s->order);
  s->weights = malloc(n * sizeof *s->weights);
  if (!s->biases || !s->counts || !s->seen || !s->seen_ids || !s->scores || !s->order || !s->weights) {
    text_sampler_release(s);
    return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a sampler of %d tokens", vocab);
  }
  if (config->bias_count) memcpy(s->biases, config->biases, config->bias_count * sizeof *s->biases);
  s->config.biases = s->biases;
  *out = s;
  return WEIR_OK;
}

void text_sampler_release(text_sampler *s) {
  if (!s) return;
  free(s->biases);
  free(s->counts);
  free(s->seen);
  free(s->seen_ids);
  free(s->scores);
  free(s->order);
  free(s->weights);
  free(s);
}

void text_sampler_reset(text_sampler *s, uint64_t seed) {
  for (int32_t i = 0; i < s->seen_count; i++) {
    s->seen[s->seen_ids[i]] = 0;
    s->counts[s->seen_ids[i]] = 0;
  }
  s->seen_count = 0;
  s->draws = 0;
  s->config.seed = seed;
}

static void note(text_sampler *s, int32_t id, bool answer) {
  if (!s->seen[id]) s->seen_ids[s->seen_count++] = id;
  s->seen[id] = 1;
  if (answer && s->counts[id] < UINT32_MAX) s->counts[id]++;
}

static weir_status out_of_range(int32_t id) {
  return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "id %d is not in the vocabulary", id);
}

weir_status text_sampler_see_prompt(text_sampler *s, const int32_t *ids, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (ids[i] < 0 || ids[i] >= s->vocab) return out_of_range(ids[i]);
  }
  for (size_t i = 0; i < count; i++) note(s, ids[i], false);
  return WEIR_OK;
}

weir_status text_sampler_accept(text_sampler *s, int32_t id) {
  if (id < 0 || id >= s->vocab) return out_of_range(id);
  note(s, id, true);
  s->draws++;
  return WEIR_OK;
}

// ---- choosing

static void adjust(text_sampler *s, const float *logits) {
  const text_sampler_config *c = &s->config;
  for (int32_t i = 0; i < s->vocab; i++) s->scores[i] = isnan(logits[i]) ? -INFINITY : logits[i];
  for (size_t i = 0; i < c->bias_count; i++) {
    float sum = s->scores[s->biases[i].id] + s->biases[i].bias;
    s->scores[s->biases[i].id] = isnan(sum) ? -INFINITY : sum;
  }
  for (int32_t i = 0; i < s->seen_count; i++) {
    int32_t id = s->seen_ids[i];
    float score = s->scores[id];
    score = score > 0 ? score / c->repetition_penalty : score * c->repetition_penalty;
    if (s->counts[id]) score = score - c->frequency_penalty * (float)s->counts[id] - c->presence_penalty;
    s->scores[id] = isnan(score) ? -INFINITY : score;
  }
}

// The first of the largest; -1 if all are -INFINITY.
static int32_t arg_max(const float *scores, int32_t count) {
  int32_t best = -1;
  float top = -INFINITY;
  for (int32_t i = 0; i < count; i++) {
    if (scores[i] > top) {
      top = scores[i];
      best = i;
    }
  }
  return best;
}

static double weight_of(const text_sampler *s, int32_t id, float top) {
  if (s->scores[id] == top) return 1;
  return exp_same(((double)s->scores[id] - (double)top) / (double)s->config.temperature);
}

static bool goes_before(const text_sampler *s, int32_t a, int32_t b) {
  return s->scores[a] != s->scores[b] ? s->scores[a] > s->scores[b] : a < b;
}

static void sift_down(text_sampler *s, int32_t hole, int32_t count) {
  int32_t id = s->order[hole];
  for (int32_t child; (child = 2 * hole + 1) < count; hole = child) {
    if (child + 1 < count && goes_before(s, s->order[child + 1], s->order[child])) child++;
    if (!goes_before(s, s->order[child], id)) break;
    s->order[hole] = s->order[child];
  }
  s->order[hole] = id;
}

// All tokens as a heap.
static void make_heap(text_sampler *s) {
  for (int32_t i = 0; i < s->vocab; i++) s->order[i] = i;
  for (int32_t i = s->vocab / 2; i-- > 0;) sift_down(s, i, s->vocab);
}

// The best token of the heap moves to the end of the array: the n-th one popped lies at vocab - n.
static int32_t pop(text_sampler *s, int32_t popped) {
  int32_t last = s->vocab - 1 - popped, id = s->order[0];
  s->order[0] = s->order[last];
  s->order[last] = id;
  if (last > 0) sift_down(s, 0, last);
  return id;
}

// Draws among the |count| tokens popped, whose weights sum to |total|.
static int32_t draw(text_sampler *s, int32_t count, double total) {
  double target = uniform(s->config.seed, s->draws) * total, sum = 0;
  int32_t chosen = -1;
  for (int32_t i = 0; i < count; i++) {
    if (s->weights[i] <= 0) continue;
    chosen = s->order[s->vocab - 1 - i];
    sum += s->weights[i];
    if (sum > target) break;
  }
  return chosen;
}

// Of up to RT_PICK_PIECE tokens from |from| on.
static double sum_piece(const text_sampler *s, int32_t from, float top) {
  int32_t to = s->vocab - from < RT_PICK_PIECE ? s->vocab : from + RT_PICK_PIECE;
  double sum = 0;
  for (int32_t i = from; i < to; i++) sum += weight_of(s, i, top);
  return sum;
}

static double sum_all(const text_sampler *s, float top) {
  double total = 0;
  for (int32_t from = 0; from < s->vocab; from += RT_PICK_PIECE) total += sum_piece(s, from, top);
  return total;
}

// Without cut-offs: all tokens, in order of id. The piece in which the sum passes the target, or the last that has
// anything, and in it the token likewise.
static int32_t draw_from_all(text_sampler *s, float top) {
  double target = uniform(s->config.seed, s->draws) * sum_all(s, top), base = 0, before = 0, sum = 0;
  int32_t piece = 0, chosen = -1;
  for (int32_t from = 0; from < s->vocab && base <= target; from += RT_PICK_PIECE) {
    double part = sum_piece(s, from, top);
    if (part <= 0) continue;
    before = base;
    piece = from;
    base += part;
  }
  for (int32_t i = piece; i < s->vocab && i - piece < RT_PICK_PIECE; i++) {
    double weight = weight_of(s, i, top);
    if (weight <= 0) continue;
    chosen = i;
    sum += weight;
    if (before + sum > target) break;
  }
  return chosen;
}

static int32_t draw_from_best(text_sampler *s, float top) {
  const text_sampler_config *c = &s->config;
  int32_t limit = c->top_k && c->top_k < s->vocab ? c->top_k : s->vocab, count = 0;
  double total = 0, sum = 0;
  make_heap(s);
  if (c->top_k) {
    for (; count < limit; count++) total += s->weights[count] = weight_of(s, pop(s, count), top);
  } else {
    total = sum_all(s, top);
  }
  int32_t kept = 0;
  while (kept < limit) {
    if (kept == count) {
      s->weights[count] = weight_of(s, pop(s, count), top);
      count++;
    }
    if (kept && s->weights[kept] < (double)c->min_p) break;  // the largest weight is 1
    sum += s->weights[kept++];
    if (c->top_p < 1 && sum >= (double)c->top_p * total) break;
  }
  return draw(s, kept, sum);
}

static bool is_plain(const text_sampler_config *c) {
  return !c->bias_count && c->repetition_penalty == 1 && c->frequency_penalty == 0 && c->presence_penalty == 0;
}

static weir_status nothing_left(void) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "no token is left to choose: all logits are -infinity or NaN");
}

weir_status text_sampler_next(text_sampler *s, const float *logits, int32_t *out_id) {
  const text_sampler_config *c = &s->config;
  bool plain = is_plain(c);
  bool greedy = c->temperature == 0;
  if (!plain || !greedy) adjust(s, logits);
  int32_t id = arg_max(plain && greedy ? logits : s->scores, s->vocab);
  if (id < 0) return nothing_left();
  if (!greedy) {
    bool cut = c->top_k || c->top_p < 1 || c->min_p > 0;
    id = cut ? draw_from_best(s, s->scores[id]) : draw_from_all(s, s->scores[id]);
  }
  WEIR_TRY(text_sampler_accept(s, id));
  *out_id = id;
  return WEIR_OK;
}

bool text_sampler_ask(const text_sampler *s, rt_pick *out) {
  const text_sampler_config *c = &s->config;
  *out = (rt_pick){.picked = false};
  out->params[RT_PICK_TEMPERATURE] = c->temperature;
  out->params[RT_PICK_TOP_P] = c->top_p;
  out->params[RT_PICK_MIN_P] = c->min_p;
  out->params[RT_PICK_TOP_K] = c->top_k;
  out->params[RT_PICK_DRAW] = uniform(c->seed, s->draws);
  return is_plain(c);
}

weir_status text_sampler_take(text_sampler *s, const rt_pick *pick, int32_t *out_id) {
  int32_t id = (int32_t)pick->results[RT_PICK_ID];
  if (id == RT_PICK_NONE) return nothing_left();
  WEIR_TRY(text_sampler_accept(s, id));
  *out_id = id;
  return WEIR_OK;
}

double text_logits_logprob(const float *logits, int32_t vocab, int32_t id) {
  int32_t best = arg_max(logits, vocab);
  if (id < 0 || id >= vocab || best < 0 || isnan(logits[id])) return -INFINITY;
  double top = (double)logits[best], sum = 0;
  for (int32_t from = 0; from < vocab; from += RT_PICK_PIECE) {
    double part = 0;
    for (int32_t i = from; i < vocab && i - from < RT_PICK_PIECE; i++)
      if (!isnan(logits[i])) part += logits[i] == logits[best] ? 1 : exp_same((double)logits[i] - top);
    sum += part;
  }
  return logits[id] == logits[best] ? -log(sum) : (double)logits[id] - top - log(sum);
}
