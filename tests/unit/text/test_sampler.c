// Samplers: choices that can be computed by hand, distributions, and the stream of random numbers.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "runtime/text/sampler.h"

#define OK(expr)                                                        \
  do {                                                                  \
    weir_status status_ = (expr);                                       \
    cr_assert(!status_, "%s: %s", #expr, weir_status_message(status_)); \
  } while (0)

enum { VOCAB = 8 };

static text_sampler *make(const text_sampler_config *config) {
  text_sampler *sampler = NULL;
  OK(text_sampler_create(config, VOCAB, &sampler));
  return sampler;
}

static int32_t next(text_sampler *sampler, const float *logits) {
  int32_t id = -1;
  OK(text_sampler_next(sampler, logits, &id));
  return id;
}

static text_sampler_config defaults(void) {
  text_sampler_config config;
  text_sampler_config_init(&config);
  return config;
}

// How often each token comes in |draws| draws without memory of the ones before.
static void histogram(text_sampler_config config, const float *logits, int draws, int *counts) {
  text_sampler *sampler = make(&config);
  memset(counts, 0, VOCAB * sizeof *counts);
  for (int i = 0; i < draws; i++) counts[next(sampler, logits)]++;
  text_sampler_release(sampler);
}

Test(sampler, greedy_takes_the_lowest_id_of_a_tie) {
  text_sampler_config config = defaults();
  text_sampler *sampler = make(&config);
  cr_assert_eq(next(sampler, (float[VOCAB]){0, 3, 1, 3, 2, 3, 0, 0}), 1);
  cr_assert_eq(next(sampler, (float[VOCAB]){-9, -9, -9, -9, -9, -9, -9, -8}), 7);
  cr_assert_eq(next(sampler, (float[VOCAB]){NAN, -INFINITY, NAN, -1, -INFINITY, -1, NAN, NAN}), 3);
  text_sampler_release(sampler);
}

Test(sampler, nothing_left_is_an_error) {
  text_sampler_config config = defaults();
  for (int i = 0; i < 2; i++, config.temperature = 1) {
    text_sampler *sampler = make(&config);
    float logits[VOCAB];
    int32_t id;
    for (int k = 0; k < VOCAB; k++) logits[k] = k % 2 ? NAN : -INFINITY;
    weir_status status = text_sampler_next(sampler, logits, &id);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
    weir_status_release(status);
    text_sampler_release(sampler);
  }
}

Test(sampler, bias_and_penalties) {
  const float logits[VOCAB] = {4, 3.5f, 3, -1, -2, -3, -4, -5};
  text_logit_bias biases[] = {{0, -INFINITY}, {2, 1}};
  text_sampler_config config = defaults();
  config.biases = biases;
  config.bias_count = 2;
  text_sampler *sampler = make(&config);
  cr_assert_eq(next(sampler, logits), 2);
  text_sampler_release(sampler);

  config = defaults();
  config.repetition_penalty = 2;  // 4 -> 2 once seen
  sampler = make(&config);
  OK(text_sampler_see_prompt(sampler, (int32_t[]){0}, 1));
  cr_assert_eq(next(sampler, logits), 1);
  cr_assert_eq(next(sampler, logits), 2);
  cr_assert_eq(next(sampler, logits), 0);
  text_sampler_reset(sampler, 0);
  cr_assert_eq(next(sampler, logits), 0);
  text_sampler_release(sampler);

  config = defaults();
  config.frequency_penalty = 0.4f;  // 4, 3.6, 3.2, ...
  sampler = make(&config);
  OK(text_sampler_see_prompt(sampler, (int32_t[]){0, 0, 0, 0}, 4));  // the prompt does not count here
  const int32_t expected[] = {0, 0, 1, 0, 1, 2};
  for (int i = 0; i < 6; i++) cr_assert_eq(next(sampler, logits), expected[i], "step %d", i);
  text_sampler_release(sampler);

  config = defaults();
  config.presence_penalty = 0.75f;
  sampler = make(&config);
  const int32_t once[] = {0, 1, 0, 0};
  for (int i = 0; i < 4; i++) cr_assert_eq(next(sampler, logits), once[i], "step %d", i);
  text_sampler_release(sampler);
}

Test(sampler, frequencies_follow_the_softmax) {
  const float logits[VOCAB] = {1, 0, 2, -1, 0.5f, -3, 1.5f, 0};
  text_sampler_config config = defaults();
  for (int round = 0; round < 3; round++) {
    enum { DRAWS = 200000 };
    config.temperature = (float[]){0.5f, 1, 2}[round];
    config.seed = 77 + (uint64_t)round;
    int counts[VOCAB];
    histogram(config, logits, DRAWS, counts);
    double total = 0;
    for (int i = 0; i < VOCAB; i++) total += exp(logits[i] / config.temperature);
    for (int i = 0; i < VOCAB; i++) {
      double p = exp(logits[i] / config.temperature) / total, deviation = sqrt(DRAWS * p * (1 - p));
      cr_assert_lt(fabs(counts[i] - DRAWS * p), 4.5 * deviation + 1, "round %d, token %d: %d, not %.0f", round, i,
                   counts[i], DRAWS * p);
    }
  }
}

static void only_these(text_sampler_config config, unsigned mask) {
  // Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 by id 5, 2, 0, 1, 3; the rest impossible.
  const float logits[VOCAB] = {logf(0.15f), logf(0.1f), logf(0.3f), logf(0.05f),
                               -INFINITY,   logf(0.4f), -INFINITY,  -INFINITY};
  int counts[VOCAB];
  config.temperature = 1;
  histogram(config, logits, 20000, counts);
  for (int i = 0; i < VOCAB; i++) cr_assert_eq(counts[i] > 0, (mask >> i & 1) != 0, "token %d: %d", i, counts[i]);
}

Test(sampler, cut_offs) {
  text_sampler_config config = defaults();
  enum { ID0 = 1, ID1 = 2, ID2 = 4, ID3 = 8, ID5 = 32 };
  only_these(config, ID0 | ID1 | ID2 | ID3 | ID5);
  config.top_k = 2;
  only_these(config, ID5 | ID2);
  config.top_k = 100;
  only_these(config, ID0 | ID1 | ID2 | ID3 | ID5);
  config = defaults();
  config.top_p = 0.65f;
  only_these(config, ID5 | ID2);
  config.top_p = 0.72f;
  only_these(config, ID5 | ID2 | ID0);
  config.top_p = 0.0001f;
  only_these(config, ID5);
  config = defaults();
  config.min_p = 0.3f;
  only_these(config, ID5 | ID2 | ID0);
  config.top_k = 3;  // 0.4 0.3 0.15 become 0.47 0.35 0.18
  config.top_p = 0.8f;
  only_these(config, ID5 | ID2);
  config.top_p = 0.84f;
  only_these(config, ID5 | ID2 | ID0);
  config.min_p = 0.5f;
  only_these(config, ID5 | ID2);
}

Test(sampler, a_seed_gives_these_tokens) {
  const float logits[VOCAB] = {0, 0, 0, 0, 0, 0, 0, 0};
  text_sampler_config config = defaults();
  config.temperature = 1;
  // floor(8 u) for Philox4x32-10 with key 0 and counters 0, 1, ...; the first block is 6627e8d5 e169c58d bc57ac4c
  // 9b00dbd8.
  text_sampler *sampler = make(&config);
  int32_t first[16], again[16];
  for (int i = 0; i < 16; i++) first[i] = next(sampler, logits);
  cr_assert_eq(first[0], (int32_t)(0x6627e8d5u >> 29));
  text_sampler_reset(sampler, 0);
  for (int i = 0; i < 8; i++) OK(text_sampler_accept(sampler, first[i]));  // resumes in the middle
  for (int i = 8; i < 16; i++) cr_assert_eq(next(sampler, logits), first[i]);
  text_sampler_reset(sampler, 12345);
  for (int i = 0; i < 16; i++) again[i] = next(sampler, logits);
  cr_assert_arr_neq(first, again, sizeof first);
  text_sampler_release(sampler);
}

Test(sampler, wrong_values_are_refused) {
  text_sampler_config config = defaults();
  text_sampler *sampler = NULL;
  text_logit_bias outside = {VOCAB, 1};
  for (int i = 0; i < 9; i++) {
    config = defaults();
    if (i == 0) config.temperature = -1;
    if (i == 1) config.top_p = 0;
    if (i == 2) config.top_p = NAN;
    if (i == 3) config.min_p = 1;
    if (i == 4) config.top_k = -1;
    if (i == 5) config.repetition_penalty = 0;
    if (i == 6) config.frequency_penalty = INFINITY;
    if (i == 7) config.biases = &outside, config.bias_count = 1;
    weir_status status = text_sampler_create(&config, i == 8 ? 0 : VOCAB, &sampler);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT, "%d", i);
    weir_status_release(status);
  }
  config = defaults();
  sampler = make(&config);
  weir_status status = text_sampler_accept(sampler, VOCAB);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(status);
  text_sampler_release(sampler);
}

Test(sampler, log_probabilities) {
  const float logits[4] = {1, 2, -INFINITY, 3};
  double total = exp(1) + exp(2) + exp(3);
  for (int i = 0; i < 4; i++) {
    double expected = i == 2 ? -INFINITY : logits[i] - log(total), got = text_logits_logprob(logits, 4, i);
    cr_assert(i == 2 ? got == expected : fabs(got - expected) < 1e-14, "%d: %.17g, not %.17g", i, got, expected);
  }
  cr_assert_eq(text_logits_logprob(logits, 4, 4), -INFINITY);
  const float far[3] = {0, -800, -30};
  cr_assert_eq(text_logits_logprob(far, 3, 1), -800 - log1p(exp(-30)));
}
