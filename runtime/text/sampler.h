// Sampler: from a row of logits to the next token.
//
// The order of work: logit bias, repetition penalty, frequency and presence penalty, then the arg max if temperature is
// 0, else temperature, top-k, top-p, min-p (each on what the one before left, renormalised), then one draw. Ties go to
// the lower id everywhere. The draw is Philox4x32-10 with the seed as key and the number of the draw as counter, and
// exp is computed here from IEEE additions and multiplications alone, so that a seed gives the same tokens on every
// machine. Sums over all tokens are made of sums of RT_PICK_PIECE neighbours, so that a device can make them side by
// side.
//
// A sampler belongs to one sequence and one thread at a time. After creation nothing is allocated.
#ifndef WEIR_RUNTIME_TEXT_SAMPLER_H
#define WEIR_RUNTIME_TEXT_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/exec/pick.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct text_sampler text_sampler;

typedef struct {
  int32_t id;
  float bias;  // added to the logit; -INFINITY forbids the token
} text_logit_bias;

typedef struct {
  float temperature;         // >= 0; 0: greedy
  int32_t top_k;             // >= 0; 0: off
  float top_p;               // in (0, 1]; 1: off. The fewest tokens whose probabilities sum to at least this
  float min_p;               // in [0, 1); 0: off. Drops tokens less likely than this share of the likeliest
  float repetition_penalty;  // > 0; 1: off. Divides positive and multiplies negative logits of all tokens seen
  float frequency_penalty;   // 0: off. Times the number of occurrences in the answer, subtracted
  float presence_penalty;    // 0: off. Subtracted once for each token that occurs in the answer
  uint64_t seed;
  const text_logit_bias *biases;  // copied
  size_t bias_count;
} text_sampler_config;

// Greedy: temperature 0, everything else off.
void text_sampler_config_init(text_sampler_config *config);

// INVALID_ARGUMENT names the value that is out of its range.
weir_status text_sampler_create(const text_sampler_config *config, int32_t vocab_size,
                                text_sampler **out) WEIR_MUST_USE;
void text_sampler_release(text_sampler *sampler);  // null is allowed

// Back to the state after creation: no tokens seen, draw 0. |seed| replaces the seed.
void text_sampler_reset(text_sampler *sampler, uint64_t seed);

// The prompt counts for the repetition penalty alone. OUT_OF_RANGE for an id that is not in the vocabulary.
weir_status text_sampler_see_prompt(text_sampler *sampler, const int32_t *ids, size_t count) WEIR_MUST_USE;

// Chooses from |logits| (vocab_size floats, only read; NaN counts as -INFINITY) and notes the choice for the penalties.
// INVALID_DATA if no token is left with a logit above -INFINITY.
weir_status text_sampler_next(text_sampler *sampler, const float *logits, int32_t *out_id) WEIR_MUST_USE;

// What a device that has the logits needs to choose as text_sampler_next would (runtime/exec/pick.h); false where
// biases or penalties are at work, which it does not know of. Nothing changes but |out|.
bool text_sampler_ask(const text_sampler *sampler, rt_pick *out);
// Notes what the device has chosen. INVALID_DATA as text_sampler_next.
weir_status text_sampler_take(text_sampler *sampler, const rt_pick *pick, int32_t *out_id) WEIR_MUST_USE;

// Notes a token chosen elsewhere (forced, or continued from a stored answer) as if it had been drawn: the counter of
// draws moves on too. OUT_OF_RANGE as above.
weir_status text_sampler_accept(text_sampler *sampler, int32_t id) WEIR_MUST_USE;

// ln of the softmax of |logits| at |id|: the model's own opinion, before bias, penalties and temperature. -INFINITY for
// an id out of range.
double text_logits_logprob(const float *logits, int32_t vocab_size, int32_t id);

#ifdef __cplusplus
}
#endif
#endif
