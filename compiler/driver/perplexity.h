// Perplexity of a text under a language model's `score` entry.
//
// Protocol: windows of N tokens that do not overlap, each without history; nothing is put around the text; the first
// token of a window is not scored, every other is scored given all before it in its window; the mean is over all scored
// tokens. Several windows are packed into one call where their logits fit the memory set aside; the numbers do not
// depend on that.
#ifndef WEIR_COMPILER_DRIVER_PERPLEXITY_H
#define WEIR_COMPILER_DRIVER_PERPLEXITY_H

#include "compiler/driver/model.h"

typedef struct {
  int64_t window, tokens, scored, windows;
  float *nll;            // of each scored token
  double mean, seconds;  // mean: of |nll|; the perplexity is exp(mean)
} cli_perplexity;

// Whether the model has an entry from tokens i32[T] to logits f32[T, V].
bool cli_has_scores(const weir_model *model);
// |window|: tokens of a window, at most what the model takes. Prints what is wrong. cli_perplexity_release in any case.
int cli_perplexity_measure(cli *c, const cli_model *model, const char *text, size_t size, int64_t window,
                           cli_perplexity *out);
void cli_perplexity_release(cli_perplexity *p);

#endif
